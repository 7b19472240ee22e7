//! Claiming and writing.

use driftdb_concurrency::{
    ConcurrencyControl, IsolationLevel, LockIntent, LockStrength, Locked, Result, TxnError,
    WaitPolicy,
};
use driftdb_env::{planted, sometimes};
use driftdb_storage::{Engine, KeyspaceId, Snapshot, StorageError, Timestamp};

use super::{Mode, MvccTransaction};
use crate::write_set::Fate;

impl<E: Engine, C: ConcurrencyControl> MvccTransaction<E, C> {
    pub(super) fn refuse_read_only(&self) -> Result<()> {
        if self.is_read_only { Err(TxnError::ReadOnly) } else { Ok(()) }
    }

    pub(super) fn check_writable(&self, space: KeyspaceId) -> Result<()> {
        self.refuse_read_only()?;
        self.check_not_dropped(space)
    }

    pub(super) fn check_not_dropped(&self, space: KeyspaceId) -> Result<()> {
        match self.fate(space) {
            Fate::Lives | Fate::Created => Ok(()),
            Fate::Dropped | Fate::CreatedAndDropped => {
                Err(StorageError::UnknownKeyspace { space, at: self.snapshot_ts }.into())
            }
        }
    }

    /// Writes a value or a delete. What no longer fits into memory is spilled.
    pub(super) fn write_own(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<()> {
        self.check_writable(space)?;
        if self.tracks_reads && self.fate(space) != Fate::Created {
            let control = self.control.as_mut().expect("begun with the transaction");
            let judged = self.shared.control.writes(control, space, key);
            judged.inspect_err(|error| self.shared.counts.note_error(error))?;
        }
        self.touch();
        let mut writes = self.writes.lock();
        writes.write(space, key, value);
        if writes.memory_bytes() > self.shared.spill.budget_bytes() {
            writes.spill(&self.shared.spill)?;
        }
        Ok(())
    }

    /// See [`driftdb_concurrency::Transaction::lock`].
    pub(super) fn lock_key(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        intent: LockIntent,
        wait: WaitPolicy,
    ) -> Result<Locked> {
        let locked = self.claim_key(space, key, strength, intent, wait);
        if let Err(error) = &locked {
            self.shared.counts.note_error(error);
        }
        locked
    }

    /// Claims a key and tells whether it changed since the snapshot. The claim comes first: from
    /// then on nobody changes the key, and what whoever held it before wrote is in the engine.
    fn claim_key(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        intent: LockIntent,
        wait: WaitPolicy,
    ) -> Result<Locked> {
        self.check_writable(space)?;
        if self.fate(space) == Fate::Created {
            return Ok(Locked::Unchanged);
        }
        self.begin_control();
        if intent == LockIntent::Owned && !C::READS_NEWEST {
            return Ok(Locked::Unchanged);
        }
        let control = self.control.as_mut().expect("begun just now");
        self.shared.control.claim(control, space, key, strength, wait)?;
        if intent == LockIntent::Insert && self.tracks_reads {
            // Before a duplicate is found: what makes it one may be what a serial order does not have.
            self.shared.control.writes(control, space, key)?;
        }
        if self.mode == Mode::Dirty {
            // What was read may never have been committed: it has to be read again.
            sometimes!("mvcc.dirty-row-claimed");
            return Ok(Locked::Changed);
        }
        let is_not_rechecked =
            self.mode == Mode::Statement && planted!("mvcc.waited-row-not-rechecked");
        if planted!("mvcc.no-first-updater-check") || is_not_rechecked {
            return Ok(Locked::Unchanged);
        }
        self.changed_since_snapshot(space, key, strength, intent)
    }

    /// First-updater-wins.
    fn changed_since_snapshot(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        intent: LockIntent,
    ) -> Result<Locked> {
        let view = self.shared.claimed_view();
        let newest = view.snapshot.newest(space, key)?;
        if !self.is_change(newest) {
            return Ok(Locked::Unchanged);
        }
        // What is newer than the view is not there yet for whoever reads now.
        let newest = newest.map_or(Timestamp::MIN, |newest| newest.min(view.ts));
        self.depend_on(newest);
        let must_fail = self.mode == Mode::Snapshot && intent == LockIntent::Existing;
        // Whoever only wants the key to stay (a foreign key) does not mind a new value.
        let still_there = strength == LockStrength::KeyShare
            && view.snapshot.get(space, key, view.ts, &mut Vec::new())?.is_some();
        if must_fail && !still_there {
            debug_assert!(self.isolation >= IsolationLevel::RepeatableRead);
            // Who begins anew then has a snapshot that shows it.
            sometimes!("mvcc.first-updater-wins");
            self.settle()?;
            return Err(TxnError::ConcurrentUpdate);
        }
        sometimes!("mvcc.claimed-a-newer-version");
        Ok(Locked::Changed)
    }
}
