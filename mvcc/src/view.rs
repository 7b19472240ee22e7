//! A readable moment: a timestamp, and an engine snapshot that can answer for it.

use driftdb_concurrency::{ConcurrencyControl, Result, TxnError};
use driftdb_storage::{Engine, Retention, StorageError, Timestamp};

use crate::store::Shared;

/// A timestamp with a snapshot that holds everything up to it.
#[derive(Debug, Clone)]
pub(crate) struct View<S> {
    pub(crate) ts: Timestamp,
    pub(crate) snapshot: S,
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    /// The newest visible moment.
    ///
    /// The timestamp is read first, so that the snapshot holds all of it. History may be let go
    /// between the two; then the floor has passed the timestamp, and the next look is newer.
    pub(crate) fn newest_view(&self) -> View<E::Snapshot> {
        self.view_now(|| self.visible())
    }

    /// The newest moment for those who read under claims: where claims end early, what is committed and
    /// not visible yet is in it.
    pub(crate) fn claimed_view(&self) -> View<E::Snapshot> {
        self.view_now(|| self.newest_claimed())
    }

    /// The timestamp of [`Shared::claimed_view`].
    pub(crate) fn newest_claimed(&self) -> Timestamp {
        if C::RELEASES_EARLY { self.applied() } else { self.visible() }
    }

    fn view_now(&self, now: impl Fn() -> Timestamp) -> View<E::Snapshot> {
        loop {
            let ts = now();
            let snapshot = self.engine.snapshot();
            if self.readers.floor() <= ts {
                return View { ts, snapshot };
            }
        }
    }

    /// The moment `ts` of the past, or of right now.
    ///
    /// # Errors
    /// It is in the future; the log failed under a commit that may or may not belong before it.
    pub(crate) fn view_as_of(&self, ts: Timestamp) -> Result<View<E::Snapshot>> {
        self.settle(ts)?;
        Ok(View { ts, snapshot: self.engine.snapshot() })
    }

    /// Returns when no commit at or before `ts` is still to become visible.
    ///
    /// # Errors
    /// As [`Shared::view_as_of`].
    pub(crate) fn settle(&self, ts: Timestamp) -> Result<()> {
        if ts <= self.visible() {
            return Ok(());
        }
        if ts > self.clock.latest() {
            return Err(TxnError::FutureTime { requested: ts });
        }
        // Commits that tick from now on come after `ts`; those that ticked before hold the latch
        // or have left it, applied.
        self.clock.observe(ts);
        let last = self.pipeline.lock().last;
        self.check_poison()?;
        if last.commit.ts > self.visible() {
            self.wal.wait_durable(last.commit.lsn)?;
            self.publish(last);
        }
        Ok(())
    }

    /// Refuses a time that no keyspace promises any more.
    pub(crate) fn check_promised(&self, ts: Timestamp) -> Result<()> {
        let policy = self.retention.policy();
        let promised = |retention: &Retention| retention.covers(ts);
        if promised(&policy.default) || policy.by_keyspace.values().any(promised) {
            return Ok(());
        }
        let oldest = policy.default.keep_since;
        Err(StorageError::SnapshotTooOld { requested: ts, oldest }.into())
    }
}
