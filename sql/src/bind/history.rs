//! Statements that operate on history, and the options of tables that speak of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::Keep;
use driftdb_query::{
    AlterAction, CatalogAt, DropObjects, Expr, HistoryStatement, Related, RelatedTable,
    RestoredTable, Result, RowRules, SqlError, Statement, Table, is_temporary,
};
use driftdb_storage::Timestamp;
use driftdb_types::{CastContext, DataType, EvalContext, Interval, SqlState, Value, cast};
use sqlparser::ast;

use super::Binder;
use super::as_of::{no_such_restore_point, no_such_table, qualified};
use super::copy::to_slots;
use super::materialized::refuse;
use super::names::ident;
use super::scope::{Clause, Scope};
use super::stored::{named_row, relation};
use crate::front::cursor::QualifiedName;
use crate::front::history::HistoryBody;
use crate::front::rewrite::TimePoint;

/// A month, where a period of time must have a fixed length.
const DAYS_PER_MONTH: i64 = 30;
const MICROS_PER_DAY: i64 = 86_400_000_000;

impl Binder<'_> {
    pub(crate) fn history(&mut self, body: &HistoryBody) -> Result<Statement> {
        Ok(match body {
            HistoryBody::CreateRestorePoint { name, at, options } => {
                let pin = pin_option(options)?;
                let at = at.as_ref().map(|at| self.known_point(at)).transpose()?;
                let name = name.clone();
                Statement::History(HistoryStatement::CreateRestorePoint { name, at, pin })
            }
            HistoryBody::DropRestorePoint { name, if_exists } => {
                if !if_exists && self.catalog.time_of_restore_point(name)?.is_none() {
                    return Err(no_such_restore_point(name));
                }
                let (name, if_exists) = (name.clone(), *if_exists);
                Statement::History(HistoryStatement::DropRestorePoint { name, if_exists })
            }
            HistoryBody::Diff { query, times: [from, to], key } => {
                Statement::Query(self.query_diff(query, [from, to], key)?)
            }
            HistoryBody::Erase { table, condition } => self.erase(table, condition.as_deref())?,
            HistoryBody::Restore { tables, at } => self.restore(tables, at)?,
            HistoryBody::Undrop { table, at, name } => {
                self.undrop(table, at.as_ref(), name.as_deref())?
            }
            HistoryBody::Undo { sequence, skip_conflicts } => {
                self.undo(*sequence, *skip_conflicts)?
            }
            HistoryBody::SetOptions { table, if_exists, options, is_reset } => {
                self.set_table_options(table, *if_exists, options, *is_reset)?
            }
            HistoryBody::AlterPeriod { table, if_exists, change } => {
                self.alter_period(table, *if_exists, change)?
            }
        })
    }

    /// A time, whose parameters must be known.
    fn known_point(&mut self, point: &TimePoint) -> Result<Timestamp> {
        let unknown = || SqlError::unsupported("a parameter as the time of this statement");
        self.point(point, "AS OF")?.ok_or_else(unknown)
    }

    /// The tables that a table refers to, and those that refer to it; but for those that go.
    fn neighbours(&mut self, table: &Arc<Table>, going: &[Arc<Table>]) -> Result<Arc<Related>> {
        let mut found = BTreeMap::new();
        let referenced = table.foreign_keys.iter().map(|key| key.referenced);
        for id in referenced.chain(table.referenced_by.iter().copied()) {
            if going.iter().any(|table| table.id == id) {
                continue;
            }
            let other = if id == table.id {
                Some(Arc::clone(table))
            } else {
                self.catalog.table_by_id(id)?
            };
            let gone = || SqlError::internal(format!("table {} of a foreign key is gone", id.0));
            let (checks, defaults) = (RowRules::default(), Vec::new());
            let table = other.ok_or_else(gone)?;
            let related = RelatedTable { table, is_changed: true, checks, defaults };
            found.insert(id, related);
        }
        Ok(Arc::new(Related { tables: found.into_values().collect() }))
    }

    fn restored(&mut self, table: Arc<Table>, going: &[Arc<Table>]) -> Result<RestoredTable> {
        let checks = self.slot_checks(&table)?;
        let related = self.neighbours(&table, going)?;
        Ok(RestoredTable { table, checks, related })
    }

    fn restore(&mut self, names: &[QualifiedName], at: &TimePoint) -> Result<Statement> {
        let at = self.known_point(at)?;
        // What belongs to sessions is not of the database.
        let lasting = |mut tables: Vec<Arc<Table>>| {
            tables.retain(|table| !is_temporary(&table.schema));
            tables
        };
        let then = lasting(self.catalog.tables(CatalogAt::AsOf(at))?);
        let is_database = names.is_empty();
        let tables = if is_database {
            lasting(self.catalog.tables(CatalogAt::Statement)?)
        } else {
            let named = self.tables(names)?;
            for table in &named {
                refuse(table, |name| format!("cannot change materialized view \"{name}\""))?;
            }
            named
        };
        let is_missing =
            |table: &Table, from: &[Arc<Table>]| !from.iter().any(|other| other.id == table.id);
        let (mut created, mut dropped) = (Vec::new(), Vec::new());
        if is_database {
            created.extend(tables.iter().filter(|table| is_missing(table, &then)).cloned());
            // A query can be asked again; what it was of may be gone.
            let is_table = |was: &&Arc<Table>| was.materialized().is_none();
            let gone = then.iter().filter(|was| is_missing(was, &tables)).filter(is_table);
            dropped.extend(gone.cloned());
        }
        let mut restored: Vec<(RestoredTable, Arc<Table>)> = Vec::with_capacity(tables.len());
        for table in tables {
            let Some(was) = then.iter().find(|was| was.id == table.id) else {
                if is_database {
                    continue;
                }
                let message = format!(
                    "table \"{}\" did not exist as of {}",
                    table.name,
                    self.display_time(at)
                );
                return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
                    .with_hint("DROP TABLE makes it as it was then."));
            };
            // One that holds no data, now or then, stays as it is.
            let is_comparable = table.is_populated() == was.is_populated();
            if is_comparable && !restored.iter().any(|(other, _)| other.table.id == table.id) {
                restored.push((self.restored(table, &created)?, Arc::clone(was)));
            }
        }
        let tables = restored;
        let restore = HistoryStatement::Restore { tables, at, is_database, created, dropped };
        Ok(Statement::History(restore))
    }

    fn erase(&mut self, name: &QualifiedName, condition: Option<&ast::Expr>) -> Result<Statement> {
        let tables = self.tables(std::slice::from_ref(name))?;
        let [table] = &tables[..] else {
            return Err(SqlError::internal("one name is one table"));
        };
        let row = self.row_ids(table);
        let filter = match condition {
            None => None,
            Some(condition) => {
                let columns = named_row(table, &row);
                let relations = vec![relation(&table.name, columns.clone())];
                self.scopes.push(Scope::with(Clause::Where, relations, columns));
                let bound = self.predicate(condition, "WHERE");
                self.scopes.pop();
                let mut filter = bound?;
                refuse_subqueries(&filter)?;
                to_slots(&mut filter, &row);
                Some(filter)
            }
        };
        let related = self.neighbours(table, &[])?;
        let table = Arc::clone(table);
        Ok(Statement::History(HistoryStatement::Erase { table, related, filter }))
    }

    fn undrop(
        &mut self,
        table: &QualifiedName,
        at: Option<&TimePoint>,
        name: Option<&str>,
    ) -> Result<Statement> {
        let (schema, position) = (table.schema.as_deref(), table.position);
        let (was, at) = match at {
            Some(at) => {
                let at = self.known_point(at)?;
                let was = self.catalog.table(schema, &table.name, CatalogAt::AsOf(at))?;
                let was = was.ok_or_else(|| {
                    let message = format!(
                        "relation \"{}\" did not exist as of {}",
                        qualified(schema, &table.name),
                        self.display_time(at)
                    );
                    SqlError::new(SqlState::UndefinedTable, message).at(position)
                })?;
                (was, at)
            }
            None => self.catalog.dropped_table(schema, &table.name)?.ok_or_else(|| {
                let name = qualified(schema, &table.name);
                let message = format!("no dropped table \"{name}\" is remembered");
                SqlError::new(SqlState::UndefinedTable, message).at(position)
            })?,
        };
        let name = name.unwrap_or(&was.name).to_owned();
        Ok(Statement::History(HistoryStatement::Undrop { was, at, name }))
    }

    fn undo(&mut self, sequence: u64, skip_conflicts: bool) -> Result<Statement> {
        let ts = self.catalog.time_of_sequence(sequence)?;
        let mut after = self.catalog.tables(CatalogAt::AsOf(ts))?;
        // One nanosecond earlier, the commit before is the newest.
        let before = self.catalog.tables(CatalogAt::AsOf(Timestamp(ts.0.saturating_sub(1))))?;
        if before != after {
            let message = format!("transaction {sequence} changed definitions");
            return Err(
                SqlError::unsupported("UNDO of definitions").with_detail(format!("{message}."))
            );
        }
        // Where the commit says what it wrote to, no other table is looked at.
        if let Some(written) = self.catalog.keyspaces_of_commit(sequence)? {
            after.retain(|was| written.contains(&was.keyspace));
        }
        let mut tables = Vec::with_capacity(after.len());
        for table in self.catalog.tables(CatalogAt::Statement)? {
            if let Some(was) = after.iter().find(|was| was.id == table.id) {
                tables.push((self.restored(table, &[])?, Arc::clone(was)));
            }
        }
        let gone =
            after.into_iter().filter(|was| !tables.iter().any(|(now, _)| now.table.id == was.id));
        let gone = gone.collect();
        let undo = HistoryStatement::Undo { sequence, ts, tables, gone, skip_conflicts };
        Ok(Statement::History(undo))
    }

    fn set_table_options(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
        options: &[(String, Option<String>)],
        is_reset: bool,
    ) -> Result<Statement> {
        let schema = name.schema.as_deref();
        let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? else {
            if if_exists {
                let relation = qualified(schema, &name.name);
                let notices = vec![format!("relation \"{relation}\" does not exist, skipping")];
                let objects = DropObjects { notices, ..DropObjects::default() };
                return Ok(Statement::Drop(objects));
            }
            return Err(no_such_table(schema, &name.name).at(name.position));
        };
        let mut actions = Vec::new();
        for (name, value) in options {
            if is_reset && value.is_some() {
                let message = "RESET must not include values for parameters";
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
            if is_ours(name)? {
                let keep = if is_reset { None } else { self.retention(value.as_deref())? };
                actions.push((AlterAction::SetRetention(keep), None));
            }
        }
        Ok(Statement::AlterTable { table, actions })
    }

    /// The options of CREATE MATERIALIZED VIEW.
    pub(crate) fn kept(&self, options: &[(String, Option<String>)]) -> Result<Option<Keep>> {
        let mut keep = None;
        for (name, value) in options {
            if is_ours(name)? {
                keep = self.retention(value.as_deref())?;
            }
        }
        Ok(keep)
    }

    /// The options of CREATE TABLE.
    pub(crate) fn table_options(
        &mut self,
        options: &ast::CreateTableOptions,
    ) -> Result<Option<Keep>> {
        let options = match options {
            ast::CreateTableOptions::None => return Ok(None),
            ast::CreateTableOptions::With(options) => options,
            _ => return Err(SqlError::unsupported("this form of table options")),
        };
        let mut keep = None;
        for option in options {
            let ast::SqlOption::KeyValue { key, value } = option else {
                return Err(SqlError::unsupported(format!("the table option {option}")));
            };
            if ident(key) == super::period::OPTION {
                continue;
            }
            let text = option_text(value);
            if is_ours(&ident(key))? {
                keep = self.retention(Some(&text))?;
            }
        }
        Ok(keep)
    }

    fn retention(&self, value: Option<&str>) -> Result<Option<Keep>> {
        let invalid = |text: &str| {
            let message = format!("invalid value for option \"retention\": \"{text}\"");
            SqlError::new(SqlState::InvalidParameterValue, message)
                .with_hint("Give an interval such as '30 days', or 'forever', or 'default'.")
        };
        let text = value.ok_or_else(|| invalid(""))?;
        match text.trim().to_ascii_lowercase().as_str() {
            "forever" => return Ok(Some(Keep::Forever)),
            "default" => return Ok(None),
            _ => {}
        }
        period(text, self.eval).map(|period| Some(Keep::For(period))).ok_or_else(|| invalid(text))
    }
}

/// A storage parameter's value.
pub(super) fn option_text(value: &ast::Expr) -> String {
    match value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        ast::Expr::Identifier(name) => ident(name),
        other => other.to_string(),
    }
}

/// A length of time from the text of an interval, unless it is none.
pub(super) fn period(text: &str, eval: &EvalContext) -> Option<Duration> {
    let (from, to) = (Value::text(text), DataType::Interval);
    match cast(from, DataType::Text, to, -1, CastContext::Explicit, eval) {
        Ok(Value::Interval(interval)) => length(interval),
        _ => None,
    }
}

/// The statement has no plan that could run them.
fn refuse_subqueries(expr: &Expr) -> Result<()> {
    if let Expr::Subquery(_) = expr {
        return Err(SqlError::unsupported("a subquery in ERASE"));
    }
    let mut found = Ok(());
    expr.for_each_child(&mut |child| {
        if found.is_ok() {
            found = refuse_subqueries(child);
        }
    });
    found
}

/// The length of an interval, unless it is negative.
fn length(interval: Interval) -> Option<Duration> {
    let days = i64::from(interval.months) * DAYS_PER_MONTH + i64::from(interval.days);
    let micros = days.checked_mul(MICROS_PER_DAY)?.checked_add(interval.micros)?;
    u64::try_from(micros).ok().map(Duration::from_micros)
}

/// Whether a storage parameter is ours. PostgreSQL's say how it lays out and tends its files; scripts
/// name them, and here there is nothing that they could say.
fn is_ours(name: &str) -> Result<bool> {
    const OTHERS: [&str; 6] = [
        "fillfactor",
        "parallel_workers",
        "toast_tuple_target",
        "user_catalog_table",
        "vacuum_truncate",
        "vacuum_index_cleanup",
    ];
    match name {
        "retention" => Ok(true),
        name if OTHERS.contains(&name) || name.contains("autovacuum_") => Ok(false),
        _ => {
            let message = format!("unrecognized parameter \"{name}\"");
            Err(SqlError::new(SqlState::InvalidParameterValue, message))
        }
    }
}

fn pin_option(options: &[(String, Option<String>)]) -> Result<bool> {
    let mut pin = false;
    for (name, value) in options {
        if name != "pin" {
            let message = format!("unrecognized parameter \"{name}\"");
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        pin = match value.as_deref() {
            None | Some("true" | "on" | "yes" | "1") => true,
            Some("false" | "off" | "no" | "0") => false,
            Some(other) => {
                let message = format!("invalid value for boolean option \"pin\": {other}");
                return Err(SqlError::new(SqlState::InvalidParameterValue, message));
            }
        };
    }
    Ok(pin)
}
