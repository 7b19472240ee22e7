//! Running sessions by their cancel keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::CancelToken;
use driftdb_env::Rng;
use driftdb_env::sync::Mutex;

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
}

#[derive(Debug)]
struct State {
    sessions: BTreeMap<i32, ([u8; 4], CancelToken)>,
    next_pid: i32,
    rng: Rng,
}

/// Keeps a session in the registry.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    key: CancelKey,
}

impl Registry {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { state: Mutex::new(State { sessions: BTreeMap::new(), next_pid: 0, rng }) }
    }

    /// Gives a session its number and key.
    pub(crate) fn register(self: &Arc<Self>, token: &CancelToken) -> Registered {
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
        state.sessions.insert(pid, (secret, token.clone()));
        Registered { registry: Arc::clone(self), key: CancelKey { pid, secret } }
    }

    /// Cancels the statement that a session runs. A wrong key does nothing, and nobody is told.
    pub(crate) fn cancel(&self, pid: i32, secret: &[u8]) {
        if let Some((right, token)) = self.state.lock().sessions.get(&pid)
            && secret == right
        {
            token.cancel();
        }
    }

    /// Cancels what every session runs.
    pub(crate) fn cancel_all(&self) {
        self.state.lock().sessions.values().for_each(|(_, token)| token.cancel());
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().sessions.len()
    }
}

impl Registered {
    pub(crate) fn key(&self) -> &CancelKey {
        &self.key
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.state.lock().sessions.remove(&self.key.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_cancels() {
        let registry = Arc::new(Registry::new(Rng::seeded(1)));
        let token = CancelToken::new();
        let registered = registry.register(&token);
        let CancelKey { pid, secret } = registered.key().clone();
        registry.cancel(pid, &[0, 0, 0, 0, 0]);
        registry.cancel(pid + 1, &secret);
        assert!(!token.is_canceled());
        registry.cancel(pid, &secret);
        assert!(token.is_canceled());
        drop(registered);
        assert_eq!(registry.len(), 0);
    }
}
