//! What functions can do besides computing: lock, sleep, look at other sessions, change settings.
//!
//! The session implements [`SessionActions`]; functions reach it through
//! [`crate::EvalContext::actions`]. Where there is no session (constant folding, tests) they fail.

use std::sync::Arc;

use crate::{DataType, DomainChecks, SqlState, UserType, Value, ValueError};

/// An advisory lock, as `pg_locks` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvisoryKey {
    /// The upper half of one `bigint`, or the first of two `int`s.
    pub class: u32,
    /// The lower half, or the second.
    pub object: u32,
    /// 1: one `bigint`; 2: two `int`s.
    pub form: u8,
}

/// How an advisory lock is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvisoryRequest {
    /// Which.
    pub key: AdvisoryKey,
    /// Beside others who share it.
    pub is_shared: bool,
    /// Until the transaction ends, not the session.
    pub is_for_transaction: bool,
    /// Whether to wait for it.
    pub waits: bool,
}

/// What functions ask of the catalog as of the statement. Where not said otherwise the first argument is
/// an object's identifier, and the answer NULL if there is no such object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogQuestion {
    /// The identifier of the object that a text names; of which kind says the type.
    Read(DataType),
    /// Likewise, and NULL where there is no such object.
    Find(DataType),
    /// An object's name; of which kind says the type.
    Name(DataType),
    /// The first schema of the search path that exists.
    CurrentSchema,
    /// Those that exist; with those that are on every path, if the argument says so.
    CurrentSchemas,
    /// The schema of the session's temporary tables, or 0.
    TemporarySchema,
    /// Whether it is that of another session's.
    IsOtherTemporarySchema,
    /// Whether a table or index is found by its name alone.
    TableIsVisible,
    /// Likewise a type.
    TypeIsVisible,
    /// Likewise a function.
    FunctionIsVisible,
    /// Likewise anything else, which only the system has.
    OtherIsVisible,
    /// A constraint as ALTER TABLE ADD takes it.
    ConstraintDefinition,
    /// An expression's text, perhaps with the brackets left out that it can do without: the text, the
    /// relation that it is of, and whether so.
    Expression,
    /// CREATE INDEX; with a second argument that is not zero, that column.
    IndexDefinition,
    /// A view's query.
    ViewDefinition,
    /// The types of a function's arguments.
    FunctionArguments,
    /// The type of a function's result.
    FunctionResult,
    /// CREATE FUNCTION.
    FunctionDefinition,
    /// CREATE TRIGGER.
    TriggerDefinition,
    /// What is said of an object, perhaps of one in a relation of this name.
    Description,
    /// What is said of a column of a relation: the second argument is its number.
    ColumnDescription,
    /// Whether a relation is a user's table.
    IsPublishable,
    /// What a relation can be changed by, a bit for each command.
    IsUpdatable,
    /// A role's name.
    UserName,
    /// The sequence of a column, both by name.
    SerialSequence,
    /// Whether somebody may do something with a table: perhaps a role, the table, and the privilege.
    TablePrivilege,
    /// Likewise with a schema.
    SchemaPrivilege,
    /// Likewise with any column of a table.
    AnyColumnPrivilege,
    /// Likewise with one: perhaps a role, the table, the column, and the privilege.
    ColumnPrivilege,
    /// Likewise with a sequence.
    SequencePrivilege,
    /// Likewise with a database.
    DatabasePrivilege,
    /// Likewise with a function.
    FunctionPrivilege,
    /// Likewise with a type.
    TypePrivilege,
    /// Likewise with a language.
    LanguagePrivilege,
    /// Likewise with a tablespace.
    TablespacePrivilege,
    /// Whether somebody has or is a role: perhaps a role, that role, and how.
    HasRole,
    /// What is so of a kind of object where nothing is said: its letter and its owner.
    DefaultPrivileges,
}

/// What functions do with sequences, which they name by identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceCall {
    /// `nextval`
    Next(u32),
    /// `currval`
    Current(u32),
    /// `lastval`
    Last,
    /// `setval`
    Set {
        /// Which.
        sequence: u32,
        /// Its new value.
        value: i64,
        /// Whether the next value is the one after it.
        is_called: bool,
    },
}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceState {
    /// The value that was given last, or is given first.
    pub last_value: i64,
    /// How many more values may be given before anything is written.
    pub log_count: i64,
    /// Whether `last_value` was given.
    pub is_called: bool,
}

/// What a session can do for the functions that its statements call.
pub trait SessionActions: Send + Sync {
    /// Takes an advisory lock; false if it is not free and not to be waited for.
    ///
    /// # Errors
    /// Deadlock, cancel, lock timeout.
    fn lock(&self, request: AdvisoryRequest) -> Result<bool, ValueError>;

    /// Gives a lock of the session back; false, and a warning, if it has none.
    fn unlock(&self, key: AdvisoryKey, is_shared: bool) -> bool;

    /// Gives all locks of the session back.
    fn unlock_all(&self);

    /// Does nothing for a while.
    ///
    /// # Errors
    /// Cancel.
    fn sleep(&self, seconds: f64) -> Result<(), ValueError>;

    /// The sessions that a session waits for.
    fn blocking_pids(&self, pid: i32) -> Vec<i32>;

    /// Whether the statement at hand is to stop: what takes long for a single row asks.
    fn is_canceled(&self) -> bool;

    /// Cancels what a session runs; false, and a warning, if there is no such session.
    ///
    /// # Errors
    /// 42501 for another role's.
    fn cancel(&self, pid: i32) -> Result<bool, ValueError>;

    /// Ends a session; false, and a warning, if there is none.
    ///
    /// # Errors
    /// As [`SessionActions::cancel`].
    fn terminate(&self, pid: i32) -> Result<bool, ValueError>;

    /// The value of a setting, as SHOW gives it.
    ///
    /// # Errors
    /// No such setting.
    fn setting(&self, name: &str) -> Result<String, ValueError>;

    /// Answers a question about the catalog.
    ///
    /// # Errors
    /// An object that is named and does not exist.
    fn ask(&self, question: CatalogQuestion, args: &[Value]) -> Result<Value, ValueError>;

    /// The storage key of the row of a table that the cursor of WHERE CURRENT OF is on; `None` if that row
    /// is of no table.
    ///
    /// # Errors
    /// The cursor is not on a row, or its rows are not the table's.
    fn cursor_row(&self, _table: u32, _name: &str) -> Result<Option<Box<[u8]>>, ValueError> {
        Err(no_session())
    }

    /// The CHECK constraints of a domain, ready to be looked at.
    ///
    /// # Errors
    /// They name something that is not there any more.
    fn domain_checks(&self, _domain: UserType) -> Result<Arc<dyn DomainChecks>, ValueError> {
        Err(no_session())
    }

    /// NOTIFY, when the transaction commits.
    ///
    /// # Errors
    /// A channel's name or a text that is too long.
    fn notify(&self, _channel: &str, _payload: &str) -> Result<(), ValueError> {
        Err(no_session())
    }

    /// The channels that the session listens to.
    fn channels(&self) -> Vec<String> {
        Vec::new()
    }
    /// Takes a value from a sequence, sets it, or says what was taken last.
    ///
    /// # Errors
    /// No such sequence; it is at its end; nothing was taken yet; a read-only transaction; storage.
    fn sequence(&self, call: SequenceCall) -> Result<i64, ValueError>;

    /// Where a sequence stands; `None` if there is no such sequence.
    ///
    /// # Errors
    /// Storage.
    fn sequence_state(&self, sequence: u32) -> Result<Option<SequenceState>, ValueError>;

    /// Changes a setting, for the session or for the transaction; the new value, as SHOW gives it.
    ///
    /// # Errors
    /// No such setting; not a value of it.
    fn set(&self, name: &str, value: Option<&str>, is_local: bool) -> Result<String, ValueError>;
}

/// Where there is no session.
#[derive(Debug, Clone, Copy)]
pub struct NoActions;

fn no_session() -> ValueError {
    ValueError::new(SqlState::FeatureNotSupported, "this function needs a session")
}

impl SessionActions for NoActions {
    fn lock(&self, _request: AdvisoryRequest) -> Result<bool, ValueError> {
        Err(no_session())
    }

    fn unlock(&self, _key: AdvisoryKey, _is_shared: bool) -> bool {
        false
    }

    fn unlock_all(&self) {}

    fn sleep(&self, _seconds: f64) -> Result<(), ValueError> {
        Err(no_session())
    }

    fn blocking_pids(&self, _pid: i32) -> Vec<i32> {
        Vec::new()
    }

    fn is_canceled(&self) -> bool {
        false
    }

    fn cancel(&self, _pid: i32) -> Result<bool, ValueError> {
        Ok(false)
    }

    fn terminate(&self, _pid: i32) -> Result<bool, ValueError> {
        Ok(false)
    }

    fn setting(&self, _name: &str) -> Result<String, ValueError> {
        Err(no_session())
    }

    fn ask(&self, _question: CatalogQuestion, _args: &[Value]) -> Result<Value, ValueError> {
        Err(no_session())
    }

    fn sequence(&self, _call: SequenceCall) -> Result<i64, ValueError> {
        Err(no_session())
    }

    fn sequence_state(&self, _sequence: u32) -> Result<Option<SequenceState>, ValueError> {
        Err(no_session())
    }

    fn set(
        &self,
        _name: &str,
        _value: Option<&str>,
        _is_local: bool,
    ) -> Result<String, ValueError> {
        Err(no_session())
    }
}
