//! Who waits, and what ends a wait early: a request to stop, or `lock_timeout`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use driftdb_env::sync::{Condvar, Mutex};

/// Shared by a session and whoever may cancel it. Long loops ask [`CancelToken::is_canceled`] every
/// few thousand rows; waiters register the condition variable they sleep on.
///
/// A session has one token for life. By its number all that the session holds, in transactions and
/// beside them, counts as held by one; transactions without a session stand each for itself.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    canceled: AtomicBool,
    /// Whether the statement goes on until somebody ends it.
    endless: AtomicBool,
    waiting_on: Mutex<Option<Arc<Condvar>>>,
    /// The session's number; 0: none.
    session: i32,
    /// In microseconds; 0: none.
    lock_timeout: AtomicU64,
    activity: Mutex<Option<Arc<str>>>,
}

impl CancelToken {
    /// How long a waiter waits at most before it looks again: a notification may come between its look
    /// and its wait ([`CancelToken::set_waiting_on`]).
    pub const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

    /// A token that nobody has canceled, of no session.
    pub fn new() -> Self {
        Self::default()
    }

    /// The token of the session with this number, which is above zero.
    pub fn of_session(session: i32) -> Self {
        Self { shared: Arc::new(Shared { session, ..Shared::default() }) }
    }

    /// The session's number, if there is a session.
    pub fn session(&self) -> Option<i32> {
        (self.shared.session > 0).then_some(self.shared.session)
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

    /// Whether the running statement only ends when somebody ends it, so that nobody should wait for it.
    pub fn is_endless(&self) -> bool {
        self.shared.endless.load(Ordering::SeqCst)
    }

    /// Says so, or takes it back.
    pub fn set_endless(&self, endless: bool) {
        self.shared.endless.store(endless, Ordering::SeqCst);
    }

    /// Names the condition to notify on cancel (none: not waiting). A waiter must check
    /// [`CancelToken::is_canceled`] after registering and again after every wake-up, and must use a
    /// bounded wait, since the notification may come between its check and its wait.
    pub fn set_waiting_on(&self, condition: Option<Arc<Condvar>>) {
        *self.shared.waiting_on.lock() = condition;
    }

    /// How long a wait for a lock may take that is not limited otherwise.
    pub fn lock_timeout(&self) -> Option<Duration> {
        match self.shared.lock_timeout.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// Limits waits for locks; `None`: no limit.
    pub fn set_lock_timeout(&self, timeout: Option<Duration>) {
        let micros = timeout.map_or(0, |timeout| timeout.as_micros());
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        self.shared.lock_timeout.store(micros, Ordering::Relaxed);
    }

    /// The statement that runs, or ran last, as its text.
    pub fn activity(&self) -> Option<Arc<str>> {
        self.shared.activity.lock().clone()
    }

    /// Says which statement runs from now on.
    pub fn set_activity(&self, text: &Arc<str>) {
        *self.shared.activity.lock() = Some(Arc::clone(text));
    }
}
