//! Locks on objects, and how far savepoints give locks back.

use driftdb_concurrency::{
    ConcurrencyControl, LockMode, LockObject, ObjectLocked, ObjectLocks, Result, SavepointId,
    WaitPolicy,
};
use driftdb_storage::{Engine, KeyspaceId, Snapshot, Timestamp};

use super::{Mode, MvccTransaction};

impl<E: Engine, C: ConcurrencyControl> MvccTransaction<E, C> {
    /// See [`driftdb_concurrency::Transaction::lock_object`].
    pub(super) fn take_object(
        &mut self,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked> {
        if self.mode == Mode::Historical {
            return Ok(ObjectLocked::Before);
        }
        self.begin_control();
        let owner = C::owner(self.control.as_mut().expect("begun just now"));
        let taken = self.shared.control.locks().lock_object(owner, object, mode, wait);
        if let Err(error) = &taken {
            self.shared.counts.note_error(error);
        }
        taken
    }

    /// Whether a key changed since the snapshot. Who asks holds something that keeps it from
    /// changing now.
    pub(super) fn changed_since_snapshot_at(&self, space: KeyspaceId, key: &[u8]) -> Result<bool> {
        let view = self.shared.newest_view();
        Ok(self.is_change(view.snapshot.newest(space, key)?))
    }

    /// Whether the newest version of a key began after the snapshot.
    pub(super) fn is_change(&self, newest: Option<Timestamp>) -> bool {
        match newest {
            Some(newest) => newest > self.snapshot_ts,
            // The key may have been deleted since, and the tombstone dropped.
            None => self.shared.readers.floor() > self.snapshot_ts,
        }
    }

    pub(super) fn mark_locks(&mut self, savepoint: SavepointId) {
        let mark = self.control.as_mut().map_or(0, |control| C::Locks::mark(C::owner(control)));
        self.lock_marks.push((savepoint, mark));
    }

    /// Gives back what was taken since a savepoint, which stays.
    pub(super) fn release_locks_since(&mut self, savepoint: SavepointId) {
        self.lock_marks.retain(|(id, _)| *id <= savepoint);
        let Some(&(id, mark)) = self.lock_marks.last() else { return };
        if id != savepoint {
            return;
        }
        if let Some(control) = &mut self.control {
            self.shared.control.locks().release_since(C::owner(control), mark);
        }
    }
}
