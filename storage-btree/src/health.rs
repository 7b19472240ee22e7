//! Whether the engine may still write.

use std::sync::OnceLock;

use driftdb_storage::{Result, StorageError};

/// Remembers the first failure of a write; after it nothing more is written.
#[derive(Debug, Default)]
pub(crate) struct Health {
    first: OnceLock<String>,
}

impl Health {
    /// # Errors
    /// [`StorageError::Poisoned`] after a failure.
    pub(crate) fn check(&self) -> Result<()> {
        match self.first.get() {
            None => Ok(()),
            Some(first) => Err(StorageError::Poisoned { first: first.clone() }),
        }
    }

    /// Notes a failure and hands it back.
    pub(crate) fn poison(&self, error: StorageError) -> StorageError {
        self.first.get_or_init(|| error.to_string());
        error
    }
}
