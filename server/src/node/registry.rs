//! Running sessions by their cancel keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftdb_concurrency::CancelToken;
use driftdb_env::sync::Mutex;
use driftdb_env::{Rng, planted};

use super::activity::{Activity, Told};
use super::channels::Channels;

/// What a client shows to cancel a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelKey {
    /// The session's number (`pg_backend_pid()`).
    pub pid: i32,
    /// Its secret.
    pub secret: [u8; 4],
}

/// Which sessions there are, and how to cancel each.
#[derive(Debug)]
pub(crate) struct Registry {
    state: Mutex<State>,
    channels: Channels,
}

#[derive(Debug)]
struct State {
    sessions: BTreeMap<i32, Entry>,
    next_pid: i32,
    rng: Rng,
}

#[derive(Debug)]
struct Entry {
    secret: [u8; 4],
    token: CancelToken,
    end: Arc<EndSignal>,
    activity: Arc<Activity>,
}

/// Says that a session is to end.
#[derive(Default)]
pub(crate) struct EndSignal {
    is_given: AtomicBool,
    /// Wakes whoever waits for the client's next message.
    wake: Mutex<Option<Wake>>,
}

/// Wakes a waiter; may be called from any thread.
pub(crate) type Wake = Box<dyn Fn() + Send + Sync>;

impl std::fmt::Debug for EndSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndSignal").field("is_given", &self.is_given).finish_non_exhaustive()
    }
}

impl EndSignal {
    pub(crate) fn is_given(&self) -> bool {
        self.is_given.load(Ordering::SeqCst)
    }

    /// Names what to call when the signal is given.
    pub(crate) fn set_wake(&self, wake: Wake) {
        *self.wake.lock() = Some(wake);
    }

    fn give(&self) {
        self.is_given.store(true, Ordering::SeqCst);
        if let Some(wake) = &*self.wake.lock() {
            wake();
        }
    }
}

/// Keeps a session in the registry.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    key: CancelKey,
    token: CancelToken,
    end: Arc<EndSignal>,
    activity: Arc<Activity>,
}

impl Registry {
    pub(crate) fn new(rng: Rng) -> Self {
        let state = Mutex::new(State { sessions: BTreeMap::new(), next_pid: 0, rng });
        Self { state, channels: Channels::default() }
    }

    /// Who listens to what.
    pub(crate) fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Gives a session its number, key and token.
    pub(crate) fn register(self: &Arc<Self>) -> Registered {
        let mut state = self.state.lock();
        loop {
            state.next_pid = state.next_pid.checked_add(1).unwrap_or(1);
            if !state.sessions.contains_key(&state.next_pid) {
                break;
            }
        }
        let pid = state.next_pid;
        let mut secret = [0; 4];
        state.rng.fill(&mut secret);
        let token = CancelToken::of_session(pid);
        let end = Arc::new(EndSignal::default());
        let activity = Arc::new(Activity::default());
        let entry = Entry {
            secret,
            token: token.clone(),
            end: Arc::clone(&end),
            activity: Arc::clone(&activity),
        };
        state.sessions.insert(pid, entry);
        let registry = Arc::clone(self);
        Registered { registry, key: CancelKey { pid, secret }, token, end, activity }
    }

    /// Cancels the statement that a session runs. A wrong key does nothing, and nobody is told.
    pub(crate) fn cancel(&self, pid: i32, secret: &[u8]) {
        if let Some(entry) = self.state.lock().sessions.get(&pid)
            && secret == entry.secret
        {
            entry.token.cancel();
        }
    }

    /// Cancels the statement that a session runs, without a secret; false if there is no session.
    pub(crate) fn cancel_session(&self, pid: i32) -> bool {
        let state = self.state.lock();
        let entry = state.sessions.get(&pid);
        entry.inspect(|entry| entry.token.cancel()).is_some()
    }

    /// The numbers of the sessions there are.
    pub(crate) fn pids(&self) -> Vec<i32> {
        self.state.lock().sessions.keys().copied().collect()
    }

    /// The statement that a session runs, or ran last.
    pub(crate) fn activity(&self, pid: i32) -> Option<Arc<str>> {
        self.state.lock().sessions.get(&pid)?.token.activity()
    }

    /// What a session tells of itself.
    pub(crate) fn told(&self, pid: i32) -> Option<Told> {
        let activity = Arc::clone(&self.state.lock().sessions.get(&pid)?.activity);
        activity.told()
    }

    /// Asks a session to end; false if there is none.
    pub(crate) fn terminate(&self, pid: i32) -> bool {
        let state = self.state.lock();
        let entry = state.sessions.get(&pid);
        let entry = entry.inspect(|entry| {
            entry.end.give();
            entry.token.cancel();
        });
        entry.is_some()
    }

    /// Asks the sessions to end whose statements would never end by themselves.
    pub(crate) fn terminate_endless(&self) {
        for entry in self.state.lock().sessions.values() {
            if entry.token.is_endless() {
                entry.end.give();
                entry.token.cancel();
            }
        }
    }

    /// Cancels what every session runs.
    pub(crate) fn cancel_all(&self) {
        self.state.lock().sessions.values().for_each(|entry| entry.token.cancel());
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().sessions.len()
    }
}

impl Registered {
    pub(crate) fn token(&self) -> &CancelToken {
        &self.token
    }

    pub(crate) fn end(&self) -> &EndSignal {
        &self.end
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(crate) fn key(&self) -> &CancelKey {
        &self.key
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if planted!("session.stays-registered") {
            return;
        }
        self.registry.channels.forget(self.key.pid);
        self.registry.state.lock().sessions.remove(&self.key.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_cancels() {
        let registry = Arc::new(Registry::new(Rng::seeded(1)));
        let registered = registry.register();
        let token = registered.token().clone();
        let CancelKey { pid, secret } = registered.key().clone();
        registry.cancel(pid, &[0, 0, 0, 0, 0]);
        registry.cancel(pid + 1, &secret);
        assert!(!token.is_canceled());
        registry.cancel(pid, &secret);
        assert!(token.is_canceled());
        token.reset();
        assert!(!registry.cancel_session(pid + 1));
        assert!(!registry.terminate(pid + 1));
        assert!(!registered.end().is_given());
        assert!(registry.terminate(pid));
        assert!(registered.end().is_given() && token.is_canceled());
        drop(registered);
        assert_eq!(registry.len(), 0);
    }
}
