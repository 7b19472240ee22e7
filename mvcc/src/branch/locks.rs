//! Locks in a branch: the one table of locks, under names that no other branch has.

use driftdb_concurrency::{
    LockMode, LockObject, LockedThing, ObjectLocked, Result, SessionLocks, WaitPolicy,
};
use driftdb_storage::KeyspaceId;

use super::keys;

/// What is locked, as the branch itself calls it; `None` if it is not the branch's. What was made in a
/// branch has numbers that no other names.
pub(super) fn within(thing: LockedThing, own: KeyspaceId) -> Option<LockedThing> {
    match thing {
        LockedThing::Object(object, mode) => {
            let (branch, object) = object.within_branch();
            (branch == Some(own.0)).then_some(LockedThing::Object(object, mode))
        }
        LockedThing::Key(space, key, strength) if space == own => {
            let (space, key) = keys::split(&key)?;
            Some(LockedThing::Key(space, key.into(), strength))
        }
        LockedThing::Key(space, ..) | LockedThing::Keys(space, _) | LockedThing::Ranges(space) => {
            (space >= own).then_some(thing)
        }
    }
}

/// What a session of a branch locks beside its transactions.
pub(super) struct BranchLocks {
    inner: Box<dyn SessionLocks>,
    branch: u32,
}

impl BranchLocks {
    pub(super) fn new(inner: Box<dyn SessionLocks>, own: KeyspaceId) -> Self {
        Self { inner, branch: own.0 }
    }
}

impl SessionLocks for BranchLocks {
    fn lock(
        &mut self,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked> {
        self.inner.lock(object.in_branch(self.branch), mode, wait)
    }

    fn unlock(&mut self, object: LockObject, mode: LockMode) -> bool {
        self.inner.unlock(object.in_branch(self.branch), mode)
    }

    fn mark(&self) -> usize {
        self.inner.mark()
    }

    fn release_since(&mut self, mark: usize) {
        self.inner.release_since(mark);
    }
}
