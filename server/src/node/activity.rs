//! What sessions tell of themselves to each other, for `pg_stat_activity`.
//!
//! A session writes at the start and the end of each message, under a lock of its own that only a reader
//! of `pg_stat_activity` asks for, too. Times are the wall clock's.

use std::sync::Arc;

use driftdb_env::sync::Mutex;

/// Whether a session works, or what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs a message.
    Active,
    /// It waits for its client.
    Idle,
    /// As Idle, in a transaction.
    InTransaction,
    /// As `InTransaction`, and only the end of it is taken.
    InFailedTransaction,
}

impl State {
    /// As `pg_stat_activity` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::InTransaction => "idle in transaction",
            Self::InFailedTransaction => "idle in transaction (aborted)",
        }
    }
}

/// What a session told last.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) user: Arc<str>,
    pub(crate) user_oid: u32,
    pub(crate) application: String,
    pub(crate) started_at: i64,
    pub(crate) transaction_since: Option<i64>,
    pub(crate) message_at: Option<i64>,
    pub(crate) state_since: i64,
    pub(crate) state: State,
}

/// The activity of one session.
#[derive(Debug, Default)]
pub(crate) struct Activity(Mutex<Option<Told>>);

impl Activity {
    /// The session has started.
    pub(crate) fn start(&self, user: Arc<str>, user_oid: u32, application: &str, at: i64) {
        *self.0.lock() = Some(Told {
            user,
            user_oid,
            application: application.to_owned(),
            started_at: at,
            transaction_since: None,
            message_at: None,
            state_since: at,
            state: State::Idle,
        });
    }

    /// A message has come.
    pub(crate) fn begin(&self, at: i64) {
        if let Some(told) = &mut *self.0.lock() {
            told.message_at = Some(at);
            if told.state != State::Active {
                (told.state, told.state_since) = (State::Active, at);
            }
        }
    }

    /// A transaction has begun.
    pub(crate) fn begin_transaction(&self, at: i64) {
        if let Some(told) = &mut *self.0.lock() {
            told.transaction_since = Some(at);
        }
    }

    /// The session waits for its client.
    pub(crate) fn rest(&self, state: State, application: &str, at: i64) {
        if let Some(told) = &mut *self.0.lock() {
            (told.state, told.state_since) = (state, at);
            if state == State::Idle {
                told.transaction_since = None;
            }
            if told.application != application {
                application.clone_into(&mut told.application);
            }
        }
    }

    /// What it told last; nothing if it has only just come.
    pub(crate) fn told(&self) -> Option<Told> {
        self.0.lock().clone()
    }
}
