//! Waiting for the next commit.
//!
//! A commit looks at one number when it becomes visible; only where somebody waits does it wake them.
//!
//! Always holds: whoever waits for a commit that is visible is told. The waiter counts itself before it
//! looks, and a commit is visible before the count is looked at, so that one of the two sees the other;
//! and the latch is held from the waiter's look to its sleep.

use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{CancelToken, Result, TxnError};
use driftdb_env::sync::atomic::{AtomicU64, Ordering};
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Env, sometimes};

#[derive(Default)]
pub(crate) struct Followers {
    count: AtomicU64,
    latch: Mutex<()>,
    published: Arc<Condvar>,
}

impl Followers {
    /// A commit became visible.
    pub(crate) fn tell(&self) {
        if self.count.load(Ordering::SeqCst) > 0 {
            sometimes!("mvcc.follower-told");
            drop(self.latch.lock());
            self.published.notify_all();
        }
    }

    /// Returns when `is_there` holds, or after `limit`: what is left of it, at least a nanosecond in the
    /// first case, and nothing in the second.
    pub(crate) fn wait(
        &self,
        env: &Env,
        limit: Duration,
        cancel: &CancelToken,
        is_there: impl Fn() -> bool,
    ) -> Result<Duration> {
        let deadline = env.now().saturating_add(limit);
        self.count.fetch_add(1, Ordering::SeqCst);
        cancel.set_waiting_on(Some(Arc::clone(&self.published)));
        let mut guard = self.latch.lock();
        let waited = loop {
            let left = deadline.saturating_sub(env.now());
            if cancel.is_canceled() {
                break Err(TxnError::Canceled);
            }
            if is_there() {
                break Ok(left.max(Duration::from_nanos(1)));
            }
            if left.is_zero() {
                sometimes!("mvcc.follower-waited-in-vain");
                break Ok(Duration::ZERO);
            }
            self.published.wait_for(&mut guard, left.min(CancelToken::LOOK_AGAIN_AFTER));
        };
        drop(guard);
        cancel.set_waiting_on(None);
        self.count.fetch_sub(1, Ordering::SeqCst);
        waited
    }
}
