//! Locks on tables and advisory numbers: who excludes whom, and until when.

use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, CancelToken, IsolationLevel, LockMode, LockObject, LockedThing, ObjectLocked,
    TxnError, WaitPolicy,
};

use super::driver::{Fixture, LEVELS, Open};

const TABLE: LockObject = LockObject::Table(16_384);
const OTHER: LockObject = LockObject::Table(16_385);
const NOWAIT: WaitPolicy = WaitPolicy::NoWait;

fn is_free(fixture: &Fixture, object: LockObject, mode: LockMode) -> bool {
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    match txn.lock_object(object, mode, NOWAIT) {
        Ok(_) => true,
        Err(TxnError::LockNotAvailable) => false,
        Err(error) => panic!("NOWAIT gives {error}"),
    }
}

/// Each mode excludes what its conflict table says, at every level, until the transaction ends; a
/// wait ends at its limit, the caller's or the session's.
pub fn modes_conflict_as_they_say(open: &Open) {
    let fixture = Fixture::new(open, &[]);
    for (level, held) in LEVELS.into_iter().flat_map(|level| LockMode::ALL.map(|m| (level, m))) {
        let mut holder = fixture.begin(level);
        let locked = holder.lock_object(TABLE, held, NOWAIT).expect("nobody holds it");
        assert_eq!(locked, ObjectLocked::AtOnce);
        let again = holder.lock_object(TABLE, held, NOWAIT).expect("a holder has it");
        assert_eq!(again, ObjectLocked::Before);
        for asked in LockMode::ALL {
            let expected = !held.conflicts_with(asked);
            assert_eq!(is_free(&fixture, TABLE, asked), expected, "{asked:?} beside {held:?}");
            assert!(is_free(&fixture, OTHER, asked), "another table has its own locks");
        }
        assert_eq!(fixture.store.must_lock_reads(), held == LockMode::AccessExclusive);
        let cancel = CancelToken::of_session(1);
        cancel.set_lock_timeout(Some(Duration::from_millis(3)));
        let options = BeginOptions { cancel, ..BeginOptions::default() };
        let mut late = fixture.store.begin(options).expect("a healthy store begins transactions");
        let wait = WaitPolicy::Wait(None);
        let result = late.lock_object(TABLE, LockMode::AccessExclusive, wait);
        assert!(matches!(result, Err(TxnError::LockTimeout)), "{result:?}");
        holder.rollback();
        assert!(is_free(&fixture, TABLE, LockMode::AccessExclusive));
        assert!(!fixture.store.must_lock_reads());
    }
    assert!(fixture.store.locks().is_empty());
}

/// A rollback to a savepoint gives back what was taken after it, and nothing else.
pub fn savepoints_give_locks_back(open: &Open) {
    for level in LEVELS {
        let fixture = Fixture::new(open, &[("a", "1")]);
        let mut txn = fixture.begin(level);
        let alone = LockMode::AccessExclusive;
        txn.lock_object(TABLE, LockMode::Share, NOWAIT).expect("nobody holds it");
        let outer = txn.savepoint();
        txn.lock_object(OTHER, alone, NOWAIT).expect("nobody holds it");
        let inner = txn.savepoint();
        txn.lock_object(TABLE, alone, NOWAIT).expect("nobody else holds it");
        txn.rollback_to(inner);
        assert!(is_free(&fixture, TABLE, LockMode::Share));
        assert!(!is_free(&fixture, TABLE, LockMode::RowExclusive), "{level}: SHARE was before");
        assert!(!is_free(&fixture, OTHER, LockMode::AccessShare));
        txn.release(inner);
        txn.rollback_to(outer);
        assert!(is_free(&fixture, OTHER, alone));
        assert!(!is_free(&fixture, TABLE, LockMode::RowExclusive));
        txn.lock_object(OTHER, alone, NOWAIT).expect("it was given back");
        txn.release(outer);
        assert!(!is_free(&fixture, OTHER, LockMode::AccessShare));
        txn.commit().expect("nothing conflicts");
        assert!(is_free(&fixture, OTHER, alone));
    }
}

/// What a session holds beside its transactions outlives them, does not exclude them, and goes when
/// it is dropped.
pub fn a_session_is_one_holder(open: &Open) {
    let fixture = Fixture::new(open, &[]);
    let token = CancelToken::of_session(7);
    let number = LockObject::Advisory { class: 0, object: 9, form: 1 };
    let mut locks = fixture.store.session_locks(&token);
    locks.lock(number, LockMode::Exclusive, NOWAIT).expect("nobody holds it");
    for level in LEVELS {
        let options =
            BeginOptions { isolation: level, cancel: token.clone(), ..BeginOptions::default() };
        let mut own = fixture.store.begin(options).expect("a healthy store begins transactions");
        own.lock_object(number, LockMode::Exclusive, NOWAIT).expect("the session has it");
        own.rollback();
        assert!(!is_free(&fixture, number, LockMode::Share));
    }
    let listed = fixture.store.locks();
    let [entry] = &listed[..] else { panic!("one lock is held: {listed:?}") };
    assert_eq!((entry.session, entry.txn, entry.is_granted()), (Some(7), None, true));
    assert_eq!(entry.thing, LockedThing::Object(number, LockMode::Exclusive));
    assert!(locks.unlock(number, LockMode::Exclusive));
    assert!(!locks.unlock(number, LockMode::Exclusive));
    assert!(is_free(&fixture, number, LockMode::Exclusive));
    locks.lock(number, LockMode::Share, NOWAIT).expect("nobody holds it");
    drop(locks);
    assert!(is_free(&fixture, number, LockMode::Exclusive));
}
