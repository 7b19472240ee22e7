//! One wait: how it is ended and by whom.

use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{CancelToken, LockStrength, WaitPolicy};
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Env, buggify};

/// A waiter wakes for nothing so often at most.
const MOST_EARLY: u32 = 16;

/// Why a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WaitEnd {
    /// `before` is how strongly the key was held before.
    Granted {
        before: Option<LockStrength>,
    },
    Victim {
        detail: String,
    },
    TimedOut,
    Canceled,
}

/// Shared by a waiter and those who may end its wait; the first to do so has decided.
#[derive(Debug, Default)]
pub(super) struct WaitCell {
    /// Granted or victim.
    decided: Mutex<Option<WaitEnd>>,
    woken: Arc<Condvar>,
}

impl WaitCell {
    /// Ends the wait, of which [`Decided`] tells; false if it was decided already.
    pub(super) fn decide(&self, end: WaitEnd) -> bool {
        let mut decided = self.decided.lock();
        if decided.is_some() {
            return false;
        }
        *decided = Some(end);
        true
    }

    pub(super) fn is_decided(&self) -> bool {
        self.decided.lock().is_some()
    }

    /// If the lock was granted: how strongly the key was held before.
    pub(super) fn granted(&self) -> Option<Option<LockStrength>> {
        match *self.decided.lock() {
            Some(WaitEnd::Granted { before }) => Some(before),
            _ => None,
        }
    }

    pub(super) fn wait(&self, env: &Env, cancel: &CancelToken, wait: WaitPolicy) -> WaitEnd {
        let timeout = match wait {
            WaitPolicy::Wait(timeout) => timeout.or_else(|| cancel.lock_timeout()),
            WaitPolicy::NoWait => None,
        };
        let deadline = timeout.map(|timeout| env.now().saturating_add(timeout));
        cancel.set_waiting_on(Some(Arc::clone(&self.woken)));
        let end = self.wait_until(env, cancel, deadline);
        cancel.set_waiting_on(None);
        end
    }

    fn wait_until(&self, env: &Env, cancel: &CancelToken, deadline: Option<Duration>) -> WaitEnd {
        let mut decided = self.decided.lock();
        // Mischief: a long wait is not made of nothing else.
        let mut early_count = 0;
        loop {
            if let Some(end) = &*decided {
                return end.clone();
            }
            if cancel.is_canceled() {
                return WaitEnd::Canceled;
            }
            let left = deadline.map(|deadline| deadline.saturating_sub(env.now()));
            if left == Some(Duration::ZERO) {
                return WaitEnd::TimedOut;
            }
            let longest = left.map_or(CancelToken::LOOK_AGAIN_AFTER, |left| {
                left.min(CancelToken::LOOK_AGAIN_AFTER)
            });
            let is_early = early_count < MOST_EARLY && buggify!("lock.wakes-early");
            early_count += u32::from(is_early);
            let longest = if is_early { Duration::from_micros(20) } else { longest };
            self.woken.wait_for(&mut decided, longest);
        }
    }
}

/// Waits that were decided under a latch and end when this is dropped, without one: who is woken may take
/// the processor from whoever woke it, and those who want the latch would wait for both.
#[derive(Debug, Default)]
pub(super) struct Decided(Vec<Arc<WaitCell>>);

impl Decided {
    pub(super) fn push(&mut self, cell: Arc<WaitCell>) {
        self.0.push(cell);
    }
}

impl Drop for Decided {
    fn drop(&mut self) {
        for cell in &self.0 {
            cell.woken.notify_all();
        }
    }
}
