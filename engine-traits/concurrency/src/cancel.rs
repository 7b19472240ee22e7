//! Asking a running statement to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftdb_env::sync::{Condvar, Mutex};

/// Shared by a session and whoever may cancel it. Long loops ask [`CancelToken::is_canceled`] every
/// few thousand rows; waiters register the condition variable they sleep on.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    canceled: AtomicBool,
    waiting_on: Mutex<Option<Arc<Condvar>>>,
}

impl CancelToken {
    /// A token that nobody has canceled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the statement to stop, and wakes it if it waits.
    pub fn cancel(&self) {
        self.shared.canceled.store(true, Ordering::SeqCst);
        if let Some(condition) = &*self.shared.waiting_on.lock() {
            condition.notify_all();
        }
    }

    /// Whether the running statement should stop.
    pub fn is_canceled(&self) -> bool {
        self.shared.canceled.load(Ordering::Relaxed)
    }

    /// Forgets a request that came too late; called before each statement.
    pub fn reset(&self) {
        self.shared.canceled.store(false, Ordering::SeqCst);
    }

    /// Names the condition to notify on cancel (none: not waiting). A waiter must check
    /// [`CancelToken::is_canceled`] after registering and again after every wake-up, and must use a
    /// bounded wait, since the notification may come between its check and its wait.
    pub fn set_waiting_on(&self, condition: Option<Arc<Condvar>>) {
        *self.shared.waiting_on.lock() = condition;
    }
}
