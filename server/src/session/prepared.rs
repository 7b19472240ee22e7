//! Prepared statements: a parsed statement with its types, and the plan while it holds.

use std::hash::BuildHasher;
use std::sync::Arc;

use driftdb_env::FixedState;
use driftdb_env::sync::Mutex;
use driftdb_query::{Field, Result, SqlError};
use driftdb_sql::{ParsedStatement, StatementKind};
use driftdb_types::{DataType, SqlState};

use super::Session;
use super::plan::Planned;

/// A statement that was parsed once, perhaps to be run often.
pub(super) struct Prepared {
    /// None: a text without a statement.
    pub(super) parsed: Option<ParsedStatement>,
    /// The parameters' types as the client declared them; `Unknown` where it did not.
    pub(super) declared: Vec<DataType>,
    /// The parameters' types; set by the first binding, and kept by later ones.
    types: Mutex<Option<Arc<[DataType]>>>,
    /// The result columns that the client was told of.
    announced: Mutex<Option<Option<Vec<Field>>>>,
    plan: Mutex<Option<Arc<Planned>>>,
}

impl Prepared {
    pub(super) fn new(parsed: Option<ParsedStatement>, declared: Vec<DataType>) -> Self {
        Self {
            parsed,
            declared,
            types: Mutex::new(None),
            announced: Mutex::new(None),
            plan: Mutex::new(None),
        }
    }

    pub(super) fn kind(&self) -> StatementKind {
        self.parsed.as_ref().map_or(StatementKind::Empty, ParsedStatement::kind)
    }

    /// The command without counts.
    pub(super) fn tag(&self) -> &'static str {
        self.parsed.as_ref().map_or("", ParsedStatement::tag)
    }

    pub(super) fn is_allowed_in_failed_transaction(&self) -> bool {
        self.parsed.as_ref().is_none_or(ParsedStatement::is_allowed_in_failed_transaction)
    }

    pub(super) fn depends_on_time(&self) -> bool {
        self.parsed.as_ref().is_some_and(ParsedStatement::depends_on_time)
    }

    /// The types that a new binding starts from.
    pub(super) fn known_types(&self) -> Vec<DataType> {
        match &*self.types.lock() {
            Some(types) => types.to_vec(),
            None => self.declared.clone(),
        }
    }

    /// The parameters' types, once bound.
    pub(super) fn param_types(&self) -> Arc<[DataType]> {
        self.types.lock().clone().unwrap_or_default()
    }

    pub(super) fn plan(&self) -> Option<Arc<Planned>> {
        self.plan.lock().clone()
    }

    pub(super) fn keep_plan(&self, planned: &Arc<Planned>) {
        let mut types = self.types.lock();
        if types.is_none() {
            *types = Some(planned.param_types.as_slice().into());
        }
        *self.plan.lock() = Some(Arc::clone(planned));
    }

    /// Notes which columns the client is told of; later plans must give the same.
    pub(super) fn announce(&self, fields: Option<&[Field]>) {
        *self.announced.lock() = Some(fields.map(<[Field]>::to_vec));
    }

    /// Whether the client was told of its columns.
    pub(super) fn is_announced(&self) -> bool {
        self.announced.lock().is_some()
    }

    /// Fails if a new plan gives other columns than the client was told of.
    pub(super) fn check_announced(&self, fields: Option<&[Field]>) -> Result<()> {
        let shape = |field: &Field| (field.name.clone(), field.ty, field.typmod);
        match &*self.announced.lock() {
            Some(Some(told))
                if !fields.is_some_and(|now| now.iter().map(shape).eq(told.iter().map(shape))) =>
            {
                let message = "cached plan must not change result type";
                Err(SqlError::new(SqlState::FeatureNotSupported, message))
            }
            _ => Ok(()),
        }
    }
}

impl Session {
    /// A prepared statement by name.
    pub(super) fn statement(&self, name: &str) -> Result<Arc<Prepared>> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            SqlError::new(SqlState::InvalidSqlStatementName, message)
        })
    }

    /// Gives a statement a name.
    pub(super) fn name_statement(&mut self, name: &str, statement: Arc<Prepared>) -> Result<()> {
        if !name.is_empty() && self.statements.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicatePreparedStatement, message));
        }
        self.statements.insert(name.to_owned(), statement);
        Ok(())
    }

    /// A statement with this whole text that was seen before, if it was.
    pub(super) fn repeated(&self, text: &str) -> Option<Arc<Prepared>> {
        self.repeated.get(text).cloned()
    }

    /// Keeps a statement by its whole text, once the text comes a second time: to keep what never comes
    /// again, and let it go later, costs as much as half of its parsing.
    pub(super) fn remember(&mut self, text: &str, statement: &Arc<Prepared>) {
        let most = self.node.config().plan_cache_entries;
        if most == 0 || text.len() > LONGEST_REMEMBERED_BYTES {
            return;
        }
        let hash = FixedState.hash_one(text);
        let slot = hash as usize % SEEN_SLOTS;
        self.seen.resize(SEEN_SLOTS, 0);
        if std::mem::replace(&mut self.seen[slot], hash) != hash {
            return;
        }
        if self.repeated.len() >= most {
            // All at once: texts that repeat are back after one more parse each, and texts that do
            // not repeat cost no bookkeeping.
            self.repeated.clear();
        }
        self.repeated.insert(text.into(), Arc::clone(statement));
    }
}

/// How many texts are remembered as seen once, by their hash: another text in the same slot displaces
/// one, which costs a parse and no more.
const SEEN_SLOTS: usize = 512;

/// Longer texts are hardly repeated, and would make the cache large.
const LONGEST_REMEMBERED_BYTES: usize = 16 << 10;
