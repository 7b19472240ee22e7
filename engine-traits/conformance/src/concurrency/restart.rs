//! A first statement that begins anew.

use driftdb_concurrency::{IsolationLevel, LockStrength, ReadAt, TxnError, WaitPolicy};

use super::driver::{Fixture, Open, get, put};
use super::locks::lock;

/// A transaction whose first statement met a newer version goes on with a newer snapshot: it sees that
/// version, none of its own writes, keeps what it claimed, and commits.
pub fn a_first_statement_may_begin_anew(open: &Open) {
    for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        let fixture = Fixture::new(open, &[("a", "1"), ("b", "1")]);
        let mut txn = fixture.begin(level);
        put(&mut *txn, "b", "2").expect("nobody else writes");
        fixture.set("a", "2");
        let claim = lock(&mut *txn, "a", LockStrength::Update, WaitPolicy::NoWait);
        match claim {
            Ok(_) => {
                // It reads the newest version under its locks: there is nothing to begin anew.
                assert!(!txn.restart().expect("a healthy store"), "{level}");
                continue;
            }
            Err(error) => assert!(matches!(error, TxnError::ConcurrentUpdate), "{error}"),
        }
        assert!(txn.restart().expect("a healthy store"), "{level}");
        let mut seen = |key| get(&mut *txn, key, ReadAt::Newest).expect("a healthy store reads");
        assert_eq!(seen("a").as_deref(), Some("2"), "{level}: as of now");
        assert_eq!(seen("b").as_deref(), Some("1"), "{level}: its writes are undone");
        assert!(!txn.has_writes(), "{level}");
        if fixture.store.claims_wait() {
            let mut other = fixture.begin(IsolationLevel::ReadCommitted);
            let taken = lock(&mut *other, "a", LockStrength::Update, WaitPolicy::NoWait);
            assert!(matches!(taken, Err(TxnError::LockNotAvailable)), "{level}: {taken:?}");
        }
        put(&mut *txn, "a", "3").expect("its snapshot is the newest");
        txn.commit().expect("nothing changed since");
        assert_eq!(fixture.value("a").as_deref(), Some("3"), "{level}");
        assert_eq!(fixture.value("b").as_deref(), Some("1"), "{level}");
    }
}

/// Whoever keeps no snapshot, or has a savepoint, does not begin anew.
pub fn others_do_not_begin_anew(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "1")]);
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    put(&mut *txn, "a", "2").expect("nobody else writes");
    assert!(!txn.restart().expect("a healthy store"));
    txn.commit().expect("nobody else writes");
    assert_eq!(fixture.value("a").as_deref(), Some("2"));
    let mut txn = fixture.begin(IsolationLevel::RepeatableRead);
    put(&mut *txn, "a", "3").expect("nobody else writes");
    txn.savepoint();
    assert!(!txn.restart().expect("a healthy store"));
    txn.commit().expect("nobody else writes");
    assert_eq!(fixture.value("a").as_deref(), Some("3"));
}
