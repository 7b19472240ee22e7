//! What a transaction depends on: commits that it read before they were durable.
//!
//! Where claims end early ([`ConcurrencyControl::RELEASES_EARLY`]), whoever gets one from a transaction on its
//! way into the log reads, under the claim, what that has committed ([`ReadAt::Newest`]). It is in the engine
//! and in the log's memory, and in nobody else's snapshot. Reading on from there is right as long as nobody is
//! told before the log is durable so far: a commit comes later in the log; rows and errors wait
//! ([`MvccTransaction::settle`]), and so does the end of a transaction that wrote nothing [Johnson10].
//!
//! Always holds: every version that was read is visible or is at or before `depends_on`; every commit at or
//! before `depends_on` is wholly in the engine.

use driftdb_concurrency::{ConcurrencyControl, ReadAt, Result};
use driftdb_env::{planted, sometimes};
use driftdb_storage::{Engine, KeyspaceId, Snapshot, Timestamp};

use super::{Mode, MvccTransaction};

impl<E: Engine, C: ConcurrencyControl> MvccTransaction<E, C> {
    /// Whether a read may meet a commit that is not visible yet. A dirty reader finds it among what is pending.
    pub(super) fn reads_claimed(&self, at: ReadAt) -> bool {
        at == ReadAt::Newest && self.mode != Mode::Historical
    }

    /// What is committed up to `ts` was read.
    pub(super) fn depend_on(&mut self, ts: Timestamp) {
        if C::RELEASES_EARLY && ts > self.shared.visible() {
            sometimes!("mvcc.read-what-is-not-durable");
            self.depends_on = self.depends_on.max(ts);
        }
    }

    /// A key was read in the view of those who claim: the version that began at `found`, or nothing.
    pub(super) fn depend_on_key(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        found: Option<Timestamp>,
    ) -> Result<()> {
        let Some(view) = self.other.as_ref().filter(|view| view.ts > self.shared.visible()) else {
            return Ok(());
        };
        let read = match found {
            Some(ts) => Some(ts),
            // Its deletion was read. What is newer than the view was not.
            None => view.snapshot.newest(space, key)?.map(|newest| newest.min(view.ts)),
        };
        if let Some(ts) = read {
            self.depend_on(ts);
        }
        Ok(())
    }

    /// See [`driftdb_concurrency::Transaction::settle_reads`].
    pub(super) fn settle(&self) -> Result<()> {
        if self.depends_on <= self.shared.visible() {
            return Ok(());
        }
        sometimes!("mvcc.answer-waits-for-the-log");
        self.shared.settle(self.depends_on)
    }

    /// The snapshot of the next statement where each has its own: the newest, and no older than what was read.
    pub(super) fn next_snapshot(&self) -> Timestamp {
        if planted!("mvcc.statement-sees-applied") {
            return self.shared.applied();
        }
        let visible = self.shared.visible();
        if planted!("mvcc.statement-forgets-what-was-read") {
            return visible;
        }
        visible.max(self.depends_on)
    }
}
