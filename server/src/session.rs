//! Sessions: the one path from SQL to data.
//!
//! A session is blocking code on its caller's thread. [`Session::simple_query`] runs a string of
//! statements; `prepare`, `bind`, `execute`, `sync` are the extended protocol. Rows go to a
//! [`ResponseSink`], which may block.
//!
//! ```text
//! text → parsed (sql) → bound (sql, catalog) → planned (planner) → direct or operators (executor)
//!        └──────────────── kept by text or by name, while the catalog is the same ─────────┘
//! ```
//!
//! Invariants
//! * A command is reported complete only after the commit that it stands for.
//! * After an error the transaction is failed or gone; nothing of the statement stays.
//! * A panic inside a statement ends the statement, not the process: the transaction is rolled back
//!   and the client gets XX000.

mod actions;
mod answer;
mod ask;
mod branch;
mod copy;
mod cursor;
mod extended;
mod lock_first;
mod message;
mod notify;
mod past;
mod plan;
mod portal;
mod prepared;
mod role;
mod routine;
mod run;
mod sequences;
mod settings;
mod simple;
mod sink;
pub(crate) mod system;
mod temporary;
mod time;
mod timeout;
mod transaction;
mod utility;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::CancelToken;
use driftdb_env::HashMap;
use driftdb_env::sync::Mutex;
use driftdb_query::{Result, SqlError};
use driftdb_types::{EvalContext, SqlState};

use crate::node::activity::State;
use crate::node::{CancelKey, DATABASE, Node, Registered, SERVER_VERSION, Wake};
use actions::Actions;
use copy::Copying;
use cursor::Cursors;
use notify::Listening;
use portal::Portal;
use prepared::Prepared;
use settings::Settings;
use temporary::Temporary;
use transaction::Block;

pub(crate) use run::ending;

pub use answer::{Answer, Answers};
/// What a [`ResponseSink`] is given.
pub use driftdb_executor::{Batch, CommandTag};
pub use sink::{CopyResponse, Format, Formats, ResponseSink, Severity};
pub(crate) use timeout::Timeouts;

/// Who connects, and with what.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// `session_user`
    pub user: String,
    /// Settings to begin with, and to go back to with RESET.
    pub settings: Vec<(String, String)>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { user: DATABASE.to_owned(), settings: Vec::new() }
    }
}

/// What a session waits for after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: the call is finished.
    Done,
    /// COPY's bytes: [`Session::copy_data`], then [`Session::copy_done`] or [`Session::copy_fail`].
    CopyIn,
}

impl Progress {
    /// Whether COPY's bytes are awaited.
    pub fn is_copy_in(self) -> bool {
        self == Self::CopyIn
    }
}

/// The transaction state that the protocol reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`
    Idle,
    /// `T`
    InBlock,
    /// `E`
    Failed,
}

/// One client's conversation with the database.
pub struct Session {
    node: Arc<Node>,
    registered: Registered,
    cancel: CancelToken,
    actions: Arc<Actions>,
    settings: Settings,
    eval: EvalContext,
    block: Block,
    statements: BTreeMap<String, Arc<Prepared>>,
    portals: BTreeMap<String, Portal>,
    cursors: Cursors,
    listening: Listening,
    /// Statements by their whole text.
    repeated: HashMap<Box<str>, Arc<Prepared>>,
    /// Hashes of texts that came once.
    seen: Vec<u64>,
    copying: Option<Copying>,
    notices: Vec<SqlError>,
    temporary: Temporary,
    routines: routine::Kept,
    identity: role::Identity,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("key", self.registered.key()).finish_non_exhaustive()
    }
}

impl Session {
    /// A session that begins.
    ///
    /// # Errors
    /// A setting that does not exist, or not a value of it.
    pub fn new(node: &Arc<Node>, options: &SessionOptions) -> Result<Self> {
        let registered = node.registry().register();
        let cancel = registered.token().clone();
        let user: Arc<str> = Arc::from(options.user.as_str());
        let pid = registered.key().pid;
        let identity = role::Identity::of(node, &user)?;
        let actions = Arc::new(Actions::new(node, &cancel, &user, pid));
        let mut settings = Settings::default();
        // A time is read in the session's time zone, so that it comes last.
        let is_past = |setting: &&(String, String)| setting.0.eq_ignore_ascii_case(past::AS_OF);
        for (name, value) in options.settings.iter().filter(|setting| !is_past(setting)) {
            settings.set_at_startup(name, value)?;
        }
        let env = node.env().clone();
        let rng = Mutex::new(env.rng(&format!("session {pid}")));
        let mut eval = EvalContext {
            clock: Arc::new(move || time::wall_micros(&env)),
            user: Arc::clone(&user),
            session_user: user,
            database: Arc::clone(node.name()),
            backend_pid: pid,
            version: Arc::from(format!("PostgreSQL {SERVER_VERSION}")),
            random: Arc::new(move || rng.lock().next_u64()),
            actions: Arc::<Actions>::clone(&actions),
            ..EvalContext::default()
        };
        settings.apply(&mut eval);
        eval.statement_ts = time::wall_micros(node.env());
        cancel.set_lock_timeout(settings.lock_timeout());
        let mut session = Self {
            node: Arc::clone(node),
            registered,
            cancel,
            actions,
            settings,
            eval,
            block: Block::default(),
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            cursors: Cursors::default(),
            listening: Listening::default(),
            repeated: HashMap::default(),
            seen: Vec::new(),
            copying: None,
            notices: Vec::new(),
            temporary: Temporary::default(),
            routines: routine::Kept::default(),
            identity,
        };
        session.apply_identity();
        session.settings.apply(&mut session.eval);
        if let Some((_, value)) = options.settings.iter().rfind(is_past) {
            let value = session.past_setting(Some(value))?.unwrap_or_default();
            session.settings.set_at_startup(past::AS_OF, &value)?;
        }
        let (user, id) = (Arc::clone(&session.eval.session_user), session.eval.session_role);
        let application = session.settings.application_name();
        session.registered.activity().start(user, id, application, session.eval.statement_ts);
        Ok(session)
    }

    /// The client's message has been answered: until the next there is nothing to do.
    pub(crate) fn rest(&self) {
        let state = match self.transaction_status() {
            TransactionStatus::Idle => State::Idle,
            TransactionStatus::InBlock => State::InTransaction,
            TransactionStatus::Failed => State::InFailedTransaction,
        };
        let now = time::wall_micros(self.node.env());
        self.registered.activity().rest(state, self.settings.application_name(), now);
    }

    /// What a client needs to cancel this session's statement.
    pub fn cancel_key(&self) -> &CancelKey {
        self.registered.key()
    }

    /// Cancels this session's statement from anywhere.
    pub fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// Whether somebody asked this session to end (`pg_terminate_backend`).
    pub fn is_ending(&self) -> bool {
        self.registered.end().is_given()
    }

    /// Names what to call when somebody asks it to end while it waits for its client.
    pub(crate) fn on_end(&self, wake: Wake) {
        self.registered.end().set_wake(wake);
    }

    /// How long it may wait for its client's next message, and what that is called when it was too
    /// long.
    pub fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        let (limit, state, message) = match self.transaction_status() {
            TransactionStatus::Idle => (
                self.settings.idle_session_timeout()?,
                SqlState::IdleSessionTimeout,
                "terminating connection due to idle-session timeout",
            ),
            TransactionStatus::InBlock | TransactionStatus::Failed => (
                self.settings.idle_in_transaction_session_timeout()?,
                SqlState::IdleInTransactionSessionTimeout,
                "terminating connection due to idle-in-transaction timeout",
            ),
        };
        Some((limit, SqlError::new(state, message)))
    }

    /// The node it runs on.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The transaction state.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.block.status()
    }

    /// The settings that the client follows, with their values.
    pub fn reported_settings(&self) -> Vec<(&'static str, String)> {
        let user = self.eval.session_user.to_string();
        self.settings
            .reported()
            .map(|(name, value)| match name {
                "session_authorization" => (name, user.clone()),
                _ => (name, value.to_owned()),
            })
            .collect()
    }

    /// Those of [`Session::reported_settings`] that changed since the last call.
    pub fn changed_settings(&mut self) -> Vec<(&'static str, String)> {
        self.settings.take_unreported()
    }

    /// Runs part of a statement so that an error fails the transaction, and a panic too.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let error = self.settle_reads().err().unwrap_or(error);
                self.fail_block();
                Err(error)
            }
            Err(panic) => {
                self.node.count_panic();
                self.abandon();
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                let message = format!("internal error: the statement panicked: {text}");
                Err(SqlError::new(SqlState::InternalError, message)
                    .with_detail("The transaction was rolled back; other sessions go on."))
            }
        }
    }

    /// After a panic nothing that the statement may have touched is used again.
    fn abandon(&mut self) {
        self.copying = None;
        self.repeated.clear();
        self.forget_savepoints();
        self.fail_block();
    }
}

#[cfg(test)]
mod tests {
    use driftdb_env::Env;
    use driftdb_types::Value;

    use super::*;
    use crate::Config;

    #[test]
    fn a_panic_ends_the_statement_and_not_the_session() {
        let dir = tempfile::tempdir().unwrap();
        let config =
            Config { data: dir.path().into(), engine: "memory".into(), ..Config::default() };
        let node = Node::open(&Env::os(), &config).unwrap();
        let mut session = Session::new(&node, &SessionOptions::default()).unwrap();
        session.query("CREATE TABLE t (a int)").unwrap();
        session.query("BEGIN; SAVEPOINT s; INSERT INTO t VALUES (1)").unwrap();
        let error = session.guarded::<()>(|_| panic!("on purpose")).unwrap_err();
        assert_eq!(error.state.code(), "XX000");
        assert!(error.message.ends_with("on purpose"));
        assert_eq!(session.transaction_status(), TransactionStatus::Failed);
        assert_eq!(node.panic_count(), 1);
        // Nothing that the statement touched can come back.
        assert_eq!(session.query("ROLLBACK TO s").unwrap_err().state.code(), "3B001");
        session.query("ROLLBACK").unwrap();
        let answers = session.query("SELECT count(*) FROM t").unwrap();
        assert_eq!(answers[0].rows, [[Value::Int8(0)]]);
    }
}
