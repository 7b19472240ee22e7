//! Whether the engine still accepts writes.
//!
//! A step that failed before anything referred to its output is undone and may be tried again with
//! a new file; after three such failures in a row, or one failure whose effect is unknown, the
//! engine is poisoned: it refuses every further write until it is opened again. A full disk does
//! not count: it is undone the same way and passes when space returns.

use driftdb_env::sometimes;
use driftdb_env::sync::Mutex;
use driftdb_env::sync::atomic::{AtomicBool, Ordering};
use driftdb_storage::{Result, StorageError};

const MAX_FAILURES: u32 = 3;

/// A failed step, and what became of it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing refers to what it wrote: the state on disk is as before.
    Undone(StorageError),
    /// The state on disk may be the old or the new.
    Unknown(StorageError),
}

impl Failure {
    /// What went wrong, for a caller to whom the state on disk makes no difference.
    pub(crate) fn into_error(self) -> StorageError {
        match self {
            Self::Undone(error) | Self::Unknown(error) => error,
        }
    }
}

impl<E: Into<StorageError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Undone(error.into())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Health {
    is_poisoned: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    first: Option<String>,
}

impl Health {
    /// # Errors
    /// [`StorageError::Poisoned`] after an earlier failure.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.is_poisoned.load(Ordering::Acquire) {
            return Ok(());
        }
        let first = self.state.lock().first.clone().unwrap_or_default();
        Err(StorageError::Poisoned { first })
    }

    /// Accounts for the outcome of a step that writes.
    ///
    /// # Errors
    /// Those of the step.
    pub(crate) fn settle<T>(&self, outcome: std::result::Result<T, Failure>) -> Result<T> {
        match outcome {
            Ok(value) => {
                self.state.lock().failures = 0;
                Ok(value)
            }
            Err(Failure::Undone(error)) => Err(self.step_failed(error)),
            Err(Failure::Unknown(error)) => Err(self.poison(error)),
        }
    }

    /// Something failed and its effect is unknown. Returns the error.
    fn poison(&self, error: StorageError) -> StorageError {
        let mut state = self.state.lock();
        sometimes!("lsm.poisoned", state.first.is_none());
        state.first.get_or_insert_with(|| error.to_string());
        self.is_poisoned.store(true, Ordering::Release);
        error
    }

    /// A step failed and was undone. Returns the error.
    fn step_failed(&self, error: StorageError) -> StorageError {
        if matches!(&error, StorageError::Io(io) if io.is_disk_full()) {
            return error;
        }
        let failures = {
            let mut state = self.state.lock();
            state.failures += 1;
            state.failures
        };
        sometimes!("lsm.step-failed-and-undone", failures < MAX_FAILURES);
        if failures >= MAX_FAILURES { self.poison(error) } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failure_in_a_row_poisons() {
        let health = Health::default();
        let fail = || -> std::result::Result<(), _> {
            Err(Failure::Undone(StorageError::Internal("x".to_owned())))
        };
        for _ in 0..2 {
            for _ in 0..2 {
                assert!(health.settle(fail()).is_err());
                health.check().unwrap();
            }
            health.settle(Ok(())).unwrap();
        }
        for _ in 0..3 {
            assert!(health.settle(fail()).is_err());
        }
        assert!(matches!(health.check(), Err(StorageError::Poisoned { .. })));
    }
}
