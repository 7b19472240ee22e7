//! Locks that a session holds beside its transactions.

use std::sync::Arc;

use driftdb_concurrency::{
    CancelToken, ConcurrencyControl, LockMode, LockObject, ObjectLocked, ObjectLocks, Result,
    SessionLocks, WaitPolicy,
};
use driftdb_storage::Engine;

use crate::store::Shared;

/// One session's, or the part of them that ends with its transaction.
pub(crate) struct StoreSessionLocks<E: Engine, C: ConcurrencyControl> {
    shared: Arc<Shared<E, C>>,
    owner: <C::Locks as ObjectLocks>::Owner,
}

impl<E: Engine, C: ConcurrencyControl> StoreSessionLocks<E, C> {
    pub(crate) fn new(shared: &Arc<Shared<E, C>>, token: &CancelToken) -> Self {
        let owner = shared.control.locks().session_owner(token);
        Self { shared: Arc::clone(shared), owner }
    }
}

impl<E: Engine, C: ConcurrencyControl> SessionLocks for StoreSessionLocks<E, C> {
    fn lock(
        &mut self,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked> {
        let taken = self.shared.control.locks().lock_object(&mut self.owner, object, mode, wait);
        if let Err(error) = &taken {
            self.shared.counts.note_error(error);
        }
        taken
    }

    fn unlock(&mut self, object: LockObject, mode: LockMode) -> bool {
        self.shared.control.locks().unlock_object(&mut self.owner, object, mode)
    }

    fn mark(&self) -> usize {
        C::Locks::mark(&self.owner)
    }

    fn release_since(&mut self, mark: usize) {
        self.shared.control.locks().release_since(&mut self.owner, mark);
    }
}

impl<E: Engine, C: ConcurrencyControl> Drop for StoreSessionLocks<E, C> {
    fn drop(&mut self) {
        self.release_since(0);
    }
}
