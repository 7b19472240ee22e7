//! Claims on keys: who waits, who is told what, and that every wait ends.

use std::time::Duration;

use driftdb_concurrency::{
    IsolationLevel, LockIntent, LockStrength, Locked, ReadAt, Transaction, TxnError, WaitPolicy,
};
use driftdb_storage::ErrorKind;

use super::driver::Step::{Commit, Write};
use super::driver::{Fixture, LEVELS, Open, Outcome, SPACE, get, put};

const ALL: [LockStrength; 4] =
    [LockStrength::KeyShare, LockStrength::Share, LockStrength::NoKeyUpdate, LockStrength::Update];

pub(super) fn lock(
    txn: &mut dyn Transaction,
    key: &str,
    strength: LockStrength,
    wait: WaitPolicy,
) -> driftdb_concurrency::Result<Locked> {
    txn.lock(SPACE, key.as_bytes(), strength, LockIntent::Existing, wait)
}

/// Claims conflict as PostgreSQL's row locks do; who does not want to wait, or not long, does not.
pub fn nowait_and_timeouts_do_not_wait(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "1")]);
    if !fixture.store.claims_wait() {
        return later_claims_fail_at_commit(&fixture);
    }
    for (held, asked) in ALL.into_iter().flat_map(|held| ALL.map(|asked| (held, asked))) {
        let mut holder = fixture.begin(IsolationLevel::ReadCommitted);
        lock(&mut *holder, "a", held, WaitPolicy::NoWait).expect("nobody holds it");
        lock(&mut *holder, "a", asked, WaitPolicy::NoWait).expect("a holder does not block itself");
        let mut other = fixture.begin(IsolationLevel::ReadCommitted);
        let conflicts = held.max(asked).conflicts_with(asked) || held.conflicts_with(asked);
        match lock(&mut *other, "a", asked, WaitPolicy::NoWait) {
            Ok(_) => assert!(!conflicts, "{asked:?} is granted beside {held:?}"),
            Err(TxnError::LockNotAvailable) => {
                assert!(conflicts, "{asked:?} is refused beside {held:?}");
                other.rollback();
                let mut third = fixture.begin(IsolationLevel::ReadCommitted);
                let wait = WaitPolicy::Wait(Some(Duration::from_millis(3)));
                let late = lock(&mut *third, "a", asked, wait);
                assert!(matches!(late, Err(TxnError::LockTimeout)), "{late:?}");
            }
            Err(error) => panic!("NOWAIT gives {error}"),
        }
    }
}

/// Where claims do not wait, those that conflict are found when the later one commits, and no others.
fn later_claims_fail_at_commit(fixture: &Fixture) {
    for (first, later) in ALL.into_iter().flat_map(|first| ALL.map(|later| (first, later))) {
        let [mut winner, mut loser] =
            [(); 2].map(|()| fixture.begin(IsolationLevel::ReadCommitted));
        lock(&mut *winner, "a", first, WaitPolicy::NoWait).expect("claims do not wait");
        lock(&mut *loser, "a", later, WaitPolicy::NoWait).expect("claims do not wait");
        put(&mut *winner, "w", "1").expect("claims do not wait");
        put(&mut *loser, "l", "1").expect("claims do not wait");
        winner.commit().expect("the first to commit");
        match loser.commit() {
            Ok(_) => assert!(!first.conflicts_with(later), "{later:?} commits after {first:?}"),
            Err(error) => {
                assert!(first.conflicts_with(later), "{later:?} fails after {first:?}: {error}");
                assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
            }
        }
    }
}

/// Claims end with a commit, a rollback, and a dropped transaction.
pub fn locks_end_with_their_transaction(open: &Open) {
    for level in LEVELS {
        let fixture = Fixture::new(open, &[("a", "1")]);
        for end in 0..3 {
            let mut holder = fixture.begin(level);
            lock(&mut *holder, "a", LockStrength::Update, WaitPolicy::NoWait)
                .expect("the last holder has ended");
            match end {
                0 => drop(holder.commit().expect("nothing conflicts")),
                1 => holder.rollback(),
                _ => drop(holder),
            }
        }
    }
}

/// A lock on a row that changed since the snapshot says so at READ COMMITTED, and is a conflict
/// above it; a waiter goes on when the holder ends.
pub fn a_changed_row_is_told(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "1")]);
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    let unchanged = lock(&mut *txn, "a", LockStrength::KeyShare, WaitPolicy::NoWait);
    assert_eq!(unchanged.expect("nobody holds it"), Locked::Unchanged);
    txn.rollback();
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    fixture.set("a", "2");
    let changed = lock(&mut *txn, "a", LockStrength::Update, WaitPolicy::NoWait);
    assert_eq!(changed.expect("nobody holds it"), Locked::Changed);
    let newest = get(&mut *txn, "a", ReadAt::Newest).expect("a healthy store reads");
    assert_eq!(newest.as_deref(), Some("2"));
    txn.rollback();
    // A transaction that reads a snapshot has one from its first statement on; one that reads the
    // newest under locks is told that nothing changed under its eyes.
    let mut txn = fixture.begin(IsolationLevel::RepeatableRead);
    let before = txn.snapshot_ts();
    fixture.set("a", "3");
    match lock(&mut *txn, "a", LockStrength::Update, WaitPolicy::NoWait) {
        Err(error) => assert!(matches!(error, TxnError::ConcurrentUpdate), "{error}"),
        Ok(locked) => {
            let seen = get(&mut *txn, "a", ReadAt::Statement).expect("it is locked");
            let fresh = seen.as_deref() == Some("3");
            assert!(fresh, "locked ({locked:?}) at {before:?} and reads {seen:?}: a lost update");
        }
    }
    drop(txn);
    a_waiter_goes_on(open);
}

fn a_waiter_goes_on(open: &Open) {
    for level in LEVELS {
        let fixture = Fixture::new(open, &[("a", "1")]);
        let (mut first, mut second) = (fixture.actor(level), fixture.actor(level));
        first.complete(Write("a", "2"));
        let has_waited = !second.send(Write("a", "3"));
        assert!(has_waited || !fixture.store.claims_wait(), "{level}: a second writer waits");
        first.send(Commit);
        second.send(Commit);
        first.finish();
        let outcomes = second.finish();
        let committed = matches!(outcomes.last(), Some(Outcome::Done));
        let expected = if committed { "3" } else { "2" };
        assert_eq!(fixture.value("a").as_deref(), Some(expected), "{level}: {outcomes:?}");
        if level == IsolationLevel::ReadCommitted && has_waited {
            assert!(committed, "{level}: the waiter goes on: {outcomes:?}");
        }
    }
}

/// In a cycle of waits somebody is told `Deadlock`, and the others go on; where nobody waits, somebody
/// fails at commit.
pub fn deadlocks_have_a_victim(open: &Open) {
    for (level, count) in LEVELS.into_iter().flat_map(|level| [(level, 2), (level, 3)]) {
        let keys = ["a", "b", "c"];
        let fixture = Fixture::new(open, &keys.map(|key| (key, "0")));
        let mut actors: Vec<_> = (0..count).map(|_| fixture.actor(level)).collect();
        for (index, actor) in actors.iter_mut().enumerate() {
            actor.complete(Write(keys[index], "1"));
        }
        for (index, actor) in actors.iter_mut().enumerate() {
            actor.send(Write(keys[(index + 1) % count], "2"));
        }
        for actor in &mut actors {
            actor.send(Commit);
        }
        let outcomes: Vec<_> = actors.into_iter().map(super::driver::Actor::finish).collect();
        let failed = |outcome: &&Outcome| matches!(outcome, Outcome::Failed(_));
        let is_victim = |outcome: &&Outcome| match outcome {
            Outcome::Failed(TxnError::Deadlock { .. }) => true,
            Outcome::Failed(_) => !fixture.store.claims_wait(),
            _ => false,
        };
        let victims = outcomes.iter().flatten().filter(is_victim);
        assert!(victims.count() >= 1, "{level}: no victim among {count}: {outcomes:?}");
        let ends = outcomes.iter().filter(|of| of.iter().find(failed).is_none());
        assert!(ends.count() >= 1, "{level}: nobody of {count} got through: {outcomes:?}");
    }
}

/// A canceled waiter stops waiting, is told so, and holds nothing.
pub fn a_canceled_waiter_stops(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "1"), ("b", "1")]);
    if !fixture.store.claims_wait() {
        return;
    }
    let mut holder = fixture.begin(IsolationLevel::ReadCommitted);
    put(&mut *holder, "a", "2").expect("nobody holds it");
    let mut waiter = fixture.actor(IsolationLevel::ReadCommitted);
    waiter.complete(Write("b", "3"));
    assert!(!waiter.send(Write("a", "3")), "it waits");
    waiter.cancel();
    let outcomes = waiter.finish();
    match outcomes.last() {
        Some(Outcome::Failed(error)) => {
            assert!(matches!(error, TxnError::Canceled), "{error}");
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
        other => panic!("a canceled waiter gives {other:?}"),
    }
    put(&mut *holder, "b", "2").expect("the canceled transaction holds nothing");
    holder.commit().expect("nothing conflicts");
    assert_eq!(fixture.value("b").as_deref(), Some("2"));
}
