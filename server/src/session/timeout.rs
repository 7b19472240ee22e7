//! `statement_timeout`: one task per database that cancels what runs too long.
//!
//! The task starts with the first statement that has a timeout and ends when nothing was armed for a
//! while, so that a database that never uses it pays nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftdb_concurrency::CancelToken;
use driftdb_env::Env;
use driftdb_env::sync::{Condvar, Mutex};

/// Watches deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timeouts {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    armed: BTreeMap<(Duration, u64), (CancelToken, Arc<AtomicBool>)>,
    next_id: u64,
    is_running: bool,
}

/// A deadline that is being watched; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Armed {
    timeouts: Arc<Timeouts>,
    key: (Duration, u64),
    fired: Arc<AtomicBool>,
}

/// How long the task lingers without work.
const IDLE: Duration = Duration::from_secs(10);

impl Timeouts {
    /// Cancels `token` after `limit`, unless the result is dropped before.
    pub(crate) fn arm(self: &Arc<Self>, env: &Env, token: &CancelToken, limit: Duration) -> Armed {
        let mut state = self.state.lock();
        let key = (env.now().saturating_add(limit), state.next_id);
        state.next_id += 1;
        let fired = Arc::new(AtomicBool::new(false));
        state.armed.insert(key, (token.clone(), Arc::clone(&fired)));
        if state.is_running {
            self.changed.notify_all();
        } else {
            state.is_running = true;
            let (timeouts, env) = (Arc::clone(self), env.clone());
            env.clone().spawn("statement timeouts", move || timeouts.watch(&env));
        }
        drop(state);
        Armed { timeouts: Arc::clone(self), key, fired }
    }

    fn watch(&self, env: &Env) {
        let mut state = self.state.lock();
        loop {
            let now = env.now();
            while let Some(entry) = state.armed.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                let (token, fired) = entry.remove();
                fired.store(true, Ordering::SeqCst);
                token.cancel();
            }
            let next = state.armed.keys().next().map(|(deadline, _)| *deadline);
            let rest = next.map_or(IDLE, |deadline| deadline.saturating_sub(now));
            let woken = self.changed.wait_for(&mut state, rest);
            if !woken && next.is_none() && state.armed.is_empty() {
                state.is_running = false;
                return;
            }
        }
    }
}

impl Armed {
    /// Whether the time ran out.
    pub(crate) fn has_fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.timeouts.state.lock().armed.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancels_what_runs_too_long_only() {
        let (env, timeouts) = (Env::os(), Arc::new(Timeouts::default()));
        let (slow, quick) = (CancelToken::new(), CancelToken::new());
        let armed = timeouts.arm(&env, &slow, Duration::from_millis(5));
        drop(timeouts.arm(&env, &quick, Duration::from_millis(5)));
        while !armed.has_fired() {
            env.sleep(Duration::from_millis(1));
        }
        assert!(slow.is_canceled());
        assert!(!quick.is_canceled());
    }
}
