//! Commits on their way into the log: who may see them, and who is told.

use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{
    IsolationLevel, LockIntent, LockStrength, ReadAt, Result, Transaction, TxnError, WaitPolicy,
};
use driftdb_env::sync::Mutex;

use super::driver::Step::{Commit, Write};
use super::driver::{Fixture, LEVELS, Open, SPACE, SyncGate, get};

/// How long nothing must happen.
const A_WHILE: Duration = Duration::from_millis(20);

/// How a transaction tells what it read.
type Tell = fn(Box<dyn Transaction>) -> Result<()>;

/// As a row that is given.
fn settle(mut txn: Box<dyn Transaction>) -> Result<()> {
    txn.settle_reads()
}

/// By its end.
fn end(txn: Box<dyn Transaction>) -> Result<()> {
    txn.commit().map(drop)
}

/// By a commit that depends on it.
fn write(mut txn: Box<dyn Transaction>) -> Result<()> {
    txn.put(SPACE, b"a", b"3")?;
    end(txn)
}

/// While a commit is not durable, snapshots do not have it. Whoever claims a key of it may wait, or go on and
/// read it; but nobody is told of it before it is durable: not by a row, by the end of a transaction, or by the
/// acknowledgement of another commit.
pub fn what_is_not_durable_is_not_told(open: &Open) {
    for (level, tell) in
        LEVELS.into_iter().flat_map(|level| [settle, end, write].map(|tell| (level, tell as Tell)))
    {
        let fixture = Fixture::new(open, &[("a", "1")]);
        let mut first = fixture.actor(IsolationLevel::ReadCommitted);
        first.complete(Write("a", "2"));
        let gate = SyncGate::close(&fixture.disk);
        assert!(!first.send(Commit), "a commit returns when it is durable");
        let told = Arc::new(Mutex::new(None));
        let (theirs, mut txn) = (Arc::clone(&told), fixture.begin(level));
        let second = fixture.env.spawn("second", move || {
            let (strength, intent) = (LockStrength::Update, LockIntent::Existing);
            let claimed = txn.lock(SPACE, b"a", strength, intent, WaitPolicy::Wait(None));
            let read = claimed.and_then(|_| get(&mut *txn, "a", ReadAt::Newest));
            let outcome = read.and_then(|value| tell(txn).map(|()| value));
            *theirs.lock() = Some(outcome);
        });
        fixture.env.sleep(A_WHILE);
        assert_eq!(
            fixture.value("a").as_deref(),
            Some("1"),
            "{level}: a snapshot of what is durable"
        );
        if let Some(Ok(value)) = &*told.lock() {
            assert_eq!(value.as_deref(), Some("1"), "{level}: told before it is durable");
        }
        gate.open();
        first.finish();
        second.join();
        match told.lock().take() {
            Some(Ok(_)) => {}
            Some(Err(TxnError::ConcurrentUpdate | TxnError::ReadWriteDependency { .. })) => {}
            other => panic!("{level}: {other:?}"),
        }
        assert_ne!(fixture.value("a").as_deref(), Some("1"), "{level}");
    }
}
