//! What the functions that a statement calls can do to its session, and to others.
//!
//! Functions see a session only through [`driftdb_types::EvalContext`], so what they change is kept
//! here: advisory locks, of the session and of its transaction; warnings; and changes of settings,
//! which are made on a copy and taken over when the statement has succeeded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftdb_concurrency::{
    CancelToken, LockMode, LockObject, ReadAt, SessionLocks, TxnError, WaitPolicy,
};
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_query::{
    Acting, BOOTSTRAP_ROLE, Object, Rights, SIGNAL_ROLE, Securable, SetScope, SqlError, Subject,
    Table, temporary_schema,
};
use driftdb_storage::Timestamp;
use driftdb_types::{
    AdvisoryKey, AdvisoryRequest, CatalogQuestion, DomainChecks, EvalContext, SequenceCall,
    SequenceState, SessionActions, SqlState, UserType, Value, ValueError,
};

use super::Session;
use super::ask::Answering;
use super::cursor::CursorPlace;
use super::notify::check_message;
use super::sequences::{Found, TakenValues, not_a_sequence, not_yet, sequence_of};
use super::settings::Settings;
use super::system::{Definitions, relation_with_oid};
use crate::node::Node;

/// One session's.
pub(super) struct Actions {
    node: Arc<Node>,
    cancel: CancelToken,
    locks: Mutex<Locks>,
    warnings: Mutex<Vec<SqlError>>,
    settings: Mutex<Changes>,
    definitions: Mutex<Lent>,
    /// The cursor of the statement's WHERE CURRENT OF.
    cursor: Mutex<Option<CursorPlace>>,
    /// What the session listens to.
    channels: Mutex<Vec<String>>,
    identity: Mutex<Who>,
    /// The schema of the session's temporary tables.
    temporary: Box<str>,
    taken: Mutex<TakenValues>,
    is_read_only: AtomicBool,
    /// Whether a function did anything since the session last looked: most statements call none.
    is_touched: AtomicBool,
    /// Whether the transaction may hold advisory locks.
    has_locked: AtomicBool,
}

/// Whose rights count.
#[derive(Clone)]
struct Who {
    user: Arc<str>,
    role: u32,
}

/// Advisory locks.
struct Locks {
    of_session: Box<dyn SessionLocks>,
    /// How often each is held: it must be given back as often.
    counts: BTreeMap<(LockObject, LockMode), u64>,
    of_transaction: Box<dyn SessionLocks>,
}

/// The definitions that functions see.
#[derive(Default)]
struct Lent {
    definitions: Arc<Definitions>,
    /// The snapshot that they were read at; `None` if they may not be what is committed there.
    at: Option<Timestamp>,
}

#[derive(Default)]
struct Changes {
    /// The session's settings, with the changes.
    copy: Settings,
    made: Vec<Change>,
    /// Channels and payloads of messages.
    messages: Vec<(String, String)>,
}

/// A change of a setting that a function made.
struct Change {
    name: String,
    value: Option<String>,
    scope: SetScope,
}

fn object(key: AdvisoryKey) -> LockObject {
    LockObject::Advisory { class: key.class, object: key.object, form: key.form }
}

fn mode(is_shared: bool) -> LockMode {
    if is_shared { LockMode::Share } else { LockMode::Exclusive }
}

fn value_error(error: SqlError) -> ValueError {
    let mut value = ValueError::new(error.state, error.message);
    value.detail = error.detail.map(Into::into);
    value.hint = error.hint.map(Into::into);
    value
}

impl Actions {
    pub(super) fn new(node: &Arc<Node>, cancel: &CancelToken, user: &Arc<str>, pid: i32) -> Self {
        let locks = Locks {
            of_session: node.store().session_locks(cancel),
            counts: BTreeMap::new(),
            of_transaction: node.store().session_locks(cancel),
        };
        Self {
            node: Arc::clone(node),
            cancel: cancel.clone(),
            locks: Mutex::new(locks),
            warnings: Mutex::default(),
            settings: Mutex::default(),
            definitions: Mutex::default(),
            cursor: Mutex::default(),
            channels: Mutex::default(),
            identity: Mutex::new(Who { user: Arc::clone(user), role: BOOTSTRAP_ROLE }),
            temporary: temporary_schema(pid).into(),
            taken: Mutex::default(),
            is_read_only: AtomicBool::new(false),
            is_touched: AtomicBool::new(false),
            has_locked: AtomicBool::new(false),
        }
    }

    /// The transaction's locks, for [`Actions::release_since`].
    pub(super) fn mark(&self) -> usize {
        self.locks.lock().of_transaction.mark()
    }

    /// Gives back what the transaction locked since a mark; all with 0.
    pub(super) fn release_since(&self, mark: usize) {
        if self.has_locked.load(Ordering::Relaxed) {
            self.locks.lock().of_transaction.release_since(mark);
            self.has_locked.store(mark > 0, Ordering::Relaxed);
        }
    }

    /// Whether a function of the statement did anything that another run would do again.
    pub(super) fn is_touched(&self) -> bool {
        self.is_touched.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        self.is_touched.store(true, Ordering::Relaxed);
    }

    /// Lends definitions that were read at a snapshot; `None` if that has the transaction's own changes.
    pub(super) fn lend_definitions(
        &self,
        tables: Vec<Arc<Table>>,
        objects: Vec<Arc<Object>>,
        at: Option<Timestamp>,
    ) {
        let definitions = Arc::new(Definitions::new(tables, objects));
        *self.definitions.lock() = Lent { definitions, at };
    }

    /// Says whose rights count from now on.
    pub(super) fn lend_identity(&self, eval: &EvalContext) {
        *self.identity.lock() = Who { user: Arc::clone(&eval.user), role: eval.role };
    }

    /// Fails unless the current role may do something with a sequence.
    fn check_sequence(
        &self,
        definitions: &Definitions,
        oid: u32,
        wanted: Rights,
    ) -> Result<(), SqlError> {
        let role = self.identity.lock().role;
        if role == BOOTSTRAP_ROLE {
            return Ok(());
        }
        let Some(object) = definitions.object(oid) else { return Ok(()) };
        // Columns that are numbered ask nobody.
        if sequence_of(object).is_ok_and(|definition| definition.is_identity) {
            return Ok(());
        }
        let acting = Acting::of(role, &mut &*definitions)?;
        let privileges = definitions.privileges_of(Subject::whole(Securable::Sequence, oid));
        if (privileges.held(&acting) & wanted).is_none() {
            let message = format!("permission denied for sequence {}", object.name);
            return Err(SqlError::new(SqlState::InsufficientPrivilege, message));
        }
        Ok(())
    }

    /// Whether the current role may disturb another session.
    fn check_may_signal(&self, pid: i32, verb: &str) -> Result<(), ValueError> {
        let who = self.identity.lock().clone();
        if who.role == BOOTSTRAP_ROLE || temporary_schema(pid) == *self.temporary {
            return Ok(());
        }
        let has_role = super::role::committed_role(&self.node, who.role).map_err(value_error)?;
        if has_role.has_all_of(SIGNAL_ROLE) {
            return Ok(());
        }
        let message =
            format!("must be a member of the role whose {verb} or member of pg_signal_backend");
        Err(ValueError::new(SqlState::InsufficientPrivilege, message))
    }

    /// Lends the place of the cursor that the next statement means.
    pub(super) fn lend_cursor(&self, place: CursorPlace) {
        *self.cursor.lock() = Some(place);
    }

    /// Says what the session listens to.
    pub(super) fn lend_channels(&self, channels: &BTreeSet<String>) {
        *self.channels.lock() = channels.iter().cloned().collect();
    }

    /// Says whether the statement that comes may write.
    pub(super) fn set_read_only(&self, is_read_only: bool) {
        self.is_read_only.store(is_read_only, Ordering::Relaxed);
    }

    /// Forgets what was taken from sequences.
    pub(super) fn discard_sequences(&self) {
        self.taken.lock().clear();
    }

    fn check_may_write(&self, function: &str) -> Result<(), SqlError> {
        if self.is_read_only.load(Ordering::Relaxed) {
            let message = format!("cannot execute {function} in a read-only transaction");
            return Err(SqlError::new(SqlState::ReadOnlySqlTransaction, message));
        }
        Ok(())
    }

    fn warn(&self, state: SqlState, message: String) {
        self.warnings.lock().push(SqlError::new(state, message));
        self.touch();
    }

    fn no_such_process(&self, pid: i32) -> bool {
        let message = format!("PID {pid} is not a PostgreSQL server process");
        self.warn(SqlState::Warning, message);
        false
    }
}

/// The sequence with an identifier.
fn found(definitions: &Definitions, oid: u32) -> Result<Found<'_>, SqlError> {
    if let Some(object) = definitions.object(oid) {
        let definition = sequence_of(object)?;
        return Ok(Found { oid, name: &object.name, definition });
    }
    let other = definitions.table(oid).map(|table| &table.name);
    let other = other.or_else(|| definitions.index(oid).map(|(_, index)| &index.name));
    let system = relation_with_oid(oid).map(|relation| relation.name);
    match other.map(String::as_str).or(system) {
        Some(name) => Err(not_a_sequence(name)),
        None => {
            let message = format!("relation with OID {oid} does not exist");
            Err(SqlError::new(SqlState::UndefinedTable, message))
        }
    }
}

impl SessionActions for Actions {
    fn lock(&self, request: AdvisoryRequest) -> Result<bool, ValueError> {
        self.touch();
        let wait = if request.waits { WaitPolicy::Wait(None) } else { WaitPolicy::NoWait };
        let (object, mode) = (object(request.key), mode(request.is_shared));
        if request.is_for_transaction {
            self.has_locked.store(true, Ordering::Relaxed);
        }
        let mut locks = self.locks.lock();
        let owner = if request.is_for_transaction {
            &mut locks.of_transaction
        } else {
            &mut locks.of_session
        };
        match owner.lock(object, mode, wait) {
            Ok(_) => {}
            Err(TxnError::LockNotAvailable) => return Ok(false),
            Err(error) => return Err(value_error(error.into())),
        }
        if !request.is_for_transaction {
            *locks.counts.entry((object, mode)).or_default() += 1;
        }
        Ok(true)
    }

    fn unlock(&self, key: AdvisoryKey, is_shared: bool) -> bool {
        self.touch();
        let held = (object(key), mode(is_shared));
        let mut locks = self.locks.lock();
        let Some(count) = locks.counts.get_mut(&held) else {
            let message = format!("you don't own a lock of type {}", held.1.pg_name());
            self.warn(SqlState::Warning, message);
            return false;
        };
        *count -= 1;
        if *count == 0 {
            locks.counts.remove(&held);
            locks.of_session.unlock(held.0, held.1);
        }
        true
    }

    fn unlock_all(&self) {
        self.touch();
        let mut locks = self.locks.lock();
        locks.counts.clear();
        locks.of_session.release_since(0);
    }

    fn sleep(&self, seconds: f64) -> Result<(), ValueError> {
        self.touch();
        let env = self.node.env();
        // Not a number, negative: not at all. Too much: as long as a clock can count.
        let length = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        let deadline = env.now().saturating_add(length);
        let (latch, woken) = (Mutex::new(()), Arc::new(Condvar::new()));
        self.cancel.set_waiting_on(Some(Arc::clone(&woken)));
        let mut guard = latch.lock();
        let slept = loop {
            if self.cancel.is_canceled() {
                break Err(value_error(TxnError::Canceled.into()));
            }
            let left = deadline.saturating_sub(env.now());
            if left.is_zero() {
                break Ok(());
            }
            woken.wait_for(&mut guard, left.min(CancelToken::LOOK_AGAIN_AFTER));
        };
        drop(guard);
        self.cancel.set_waiting_on(None);
        slept
    }

    fn blocking_pids(&self, pid: i32) -> Vec<i32> {
        self.node.store().blockers(pid)
    }

    fn is_canceled(&self) -> bool {
        self.cancel.is_canceled()
    }

    fn cancel(&self, pid: i32) -> Result<bool, ValueError> {
        self.touch();
        self.check_may_signal(pid, "query is being canceled")?;
        Ok(self.node.registry().cancel_session(pid) || self.no_such_process(pid))
    }

    fn terminate(&self, pid: i32) -> Result<bool, ValueError> {
        self.touch();
        self.check_may_signal(pid, "process is being terminated")?;
        Ok(self.node.registry().terminate(pid) || self.no_such_process(pid))
    }

    fn setting(&self, name: &str) -> Result<String, ValueError> {
        self.settings.lock().copy.show(name).map_err(value_error)
    }

    fn ask(&self, question: CatalogQuestion, args: &[Value]) -> Result<Value, ValueError> {
        let definitions = Arc::clone(&self.definitions.lock().definitions);
        let who = self.identity.lock().clone();
        let path = self.settings.lock().copy.schemas(&who.user);
        let temporary = &*self.temporary;
        Answering {
            definitions: &definitions,
            user: &who.user,
            role: who.role,
            database: self.node.name(),
            path: &path,
            temporary,
        }
        .answer(question, args)
    }

    fn cursor_row(&self, table: u32, name: &str) -> Result<Option<Box<[u8]>>, ValueError> {
        match &*self.cursor.lock() {
            Some(place) => place.row_of(table, name).map_err(value_error),
            None => Err(value_error(SqlError::internal("no cursor was lent"))),
        }
    }

    fn notify(&self, channel: &str, payload: &str) -> Result<(), ValueError> {
        check_message(channel, payload)?;
        self.settings.lock().messages.push((channel.to_owned(), payload.to_owned()));
        self.touch();
        Ok(())
    }

    fn channels(&self) -> Vec<String> {
        self.channels.lock().clone()
    }

    fn sequence(&self, call: SequenceCall) -> Result<i64, ValueError> {
        let definitions = Arc::clone(&self.definitions.lock().definitions);
        let (sequences, store) = (self.node.catalog().sequences(), self.node.store());
        let mut taken = self.taken.lock();
        let result = match call {
            SequenceCall::Last => match taken.last() {
                Ok((oid, _)) if definitions.object(oid).is_none() => Err(not_yet()),
                last => last.map(|last| last.1),
            },
            SequenceCall::Current(oid) => self
                .check_sequence(&definitions, oid, Rights::USAGE | Rights::SELECT)
                .and_then(|()| found(&definitions, oid))
                .and_then(|found| taken.current(found)),
            SequenceCall::Next(oid) => self
                .check_may_write("nextval()")
                .and_then(|()| {
                    self.check_sequence(&definitions, oid, Rights::USAGE | Rights::UPDATE)
                })
                .and_then(|()| found(&definitions, oid))
                .and_then(|found| taken.next(found, sequences, store)),
            SequenceCall::Set { sequence, value, is_called } => self
                .check_may_write("setval()")
                .and_then(|()| self.check_sequence(&definitions, sequence, Rights::UPDATE))
                .and_then(|()| found(&definitions, sequence))
                .and_then(|found| taken.set(found, value, is_called, sequences, store))
                .map(|()| value),
        };
        result.map_err(value_error)
    }

    fn domain_checks(&self, domain: UserType) -> Result<Arc<dyn DomainChecks>, ValueError> {
        driftdb_sql::domain_checks(domain).map_err(value_error)
    }

    fn sequence_state(&self, sequence: u32) -> Result<Option<SequenceState>, ValueError> {
        let definitions = Arc::clone(&self.definitions.lock().definitions);
        let Some(object) = definitions.object(sequence) else { return Ok(None) };
        let Ok(definition) = sequence_of(object) else { return Ok(None) };
        let sequences = self.node.catalog().sequences();
        sequences.state(self.node.store(), definition).map(Some).map_err(value_error)
    }

    fn set(&self, name: &str, value: Option<&str>, is_local: bool) -> Result<String, ValueError> {
        let scope = if is_local { SetScope::Local } else { SetScope::Session };
        let mut settings = self.settings.lock();
        settings.copy.set(name, value, scope).map_err(value_error)?;
        let (name, value) = (name.to_owned(), value.map(str::to_owned));
        let shown = settings.copy.show(&name).map_err(value_error)?;
        settings.made.push(Change { name, value, scope });
        self.touch();
        Ok(shown)
    }
}

impl Session {
    /// Before a statement whose functions ask for them: the definitions as of it.
    pub(super) fn lend_definitions(&mut self) -> Result<(), SqlError> {
        let own_changes = self.block.has_ddl();
        let Some(txn) = &mut self.block.txn else { return Ok(()) };
        let snapshot = txn.snapshot_ts();
        let lent = self.actions.definitions.lock().at;
        if !own_changes && lent.is_some_and(|at| self.node.catalog().is_same_at(at, snapshot)) {
            return Ok(());
        }
        let tables = driftdb_tables::tables(txn.as_mut(), ReadAt::Statement)?;
        let objects = driftdb_tables::objects(txn.as_mut(), ReadAt::Statement)?;
        self.actions.lend_definitions(tables, objects, (!own_changes).then_some(snapshot));
        Ok(())
    }

    /// Before a statement: functions see the settings as they are.
    pub(super) fn lend_settings(&mut self) {
        self.actions.set_read_only(self.is_read_only());
        let mut changes = self.actions.settings.lock();
        changes.made.clear();
        changes.messages.clear();
        if changes.copy.epoch() != self.settings.epoch() {
            changes.copy = self.settings.clone();
        }
    }

    /// After a statement: what its functions changed.
    pub(super) fn take_back_settings(&mut self) -> Result<(), SqlError> {
        if !self.actions.is_touched() {
            return Ok(());
        }
        let (made, messages) = {
            let mut changes = self.actions.settings.lock();
            (std::mem::take(&mut changes.made), std::mem::take(&mut changes.messages))
        };
        for (channel, payload) in messages {
            self.listening.notify(channel, payload);
        }
        if made.is_empty() {
            return Ok(());
        }
        for change in made {
            self.settings.set(&change.name, change.value.as_deref(), change.scope)?;
        }
        self.apply_settings();
        // The copy went another way to the same values.
        self.actions.settings.lock().copy = self.settings.clone();
        Ok(())
    }

    /// The warnings that functions left.
    pub(super) fn collect_warnings(&mut self) {
        if self.actions.is_touched.swap(false, Ordering::Relaxed) {
            self.notices.append(&mut self.actions.warnings.lock());
        }
    }
}
