//! AS OF: which time a table is read at, and the table as of that time.
//!
//! The expression may use parameters, the clock and arithmetic, but no column. It is evaluated now,
//! because the schema of that time decides what the statement means. A timestamp has microseconds and a
//! commit nanoseconds: *as of t* means everything committed in microsecond t or before, so the last
//! nanosecond of t is asked for.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::eval::{Constants, eval};
use driftdb_query::{CatalogAt, Expr, Result, SqlError, Table};
use driftdb_storage::Timestamp;
use driftdb_types::{CastContext, DataType, SqlState, Value, can_cast, write_text};
use sqlparser::ast;

use super::Binder;
use super::names::{ObjectName, ident_position};
use super::position::Placed;
use super::scope::{Clause, Scope};
use crate::front::rewrite::{TimeClause, TimePoint};

/// Microseconds from 1970-01-01, the epoch of commits, to 2000-01-01, that of `timestamptz`.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

impl<'a> Binder<'a> {
    /// The time clause after a table's name or alias.
    pub(crate) fn take_time(
        &mut self,
        name: u32,
        alias: Option<&ast::TableAlias>,
    ) -> Result<Option<&'a TimeClause>> {
        let Some(content) = self.content else { return Ok(None) };
        if content.lifted.times.is_empty() {
            return Ok(None);
        }
        let mut clauses = Vec::new();
        for place in [Some(name), alias.map(|alias| ident_position(&alias.name))] {
            if let Some(place) = place
                && let Some(clause) = content.lifted.times.get(&place)
            {
                self.used_times.push(place);
                clauses.push(clause);
            }
        }
        match clauses[..] {
            [] => Ok(None),
            [clause] => Ok(Some(clause)),
            [_, second, ..] => {
                Err(SqlError::new(SqlState::SyntaxError, "a table can be read at one time only")
                    .at(second.position))
            }
        }
    }

    /// A clause that no table took stands at something else.
    pub(crate) fn check_times_used(&self) -> Result<()> {
        let Some(content) = self.content else { return Ok(()) };
        for (place, clause) in &content.lifted.times {
            if !self.used_times.contains(place) {
                return Err(SqlError::new(
                    SqlState::FeatureNotSupported,
                    "FOR SYSTEM_TIME AS OF belongs after a table that is read",
                )
                .at(clause.position));
            }
        }
        Ok(())
    }

    /// The table with a name, and when to read it.
    pub(crate) fn table_at(
        &mut self,
        name: &ObjectName,
        clause: Option<&TimeClause>,
    ) -> Result<(Arc<Table>, ReadAt)> {
        let time = match clause {
            None => self.default_time,
            Some(clause) => self.time(clause).map_err(|error| error.at(clause.position))?,
        };
        let at = time.map_or(CatalogAt::Statement, CatalogAt::AsOf);
        let place = |error: SqlError| error.at(name.position);
        let table = self.catalog.table(name.schema.as_deref(), &name.name, at).map_err(place)?;
        match (table, time) {
            (Some(table), Some(time)) => Ok((table, ReadAt::AsOf(time))),
            (Some(table), None) => Ok((table, ReadAt::Statement)),
            (None, None) => Err(place(no_such_table(name.schema.as_deref(), &name.name))),
            (None, Some(time)) => Err(place(SqlError::new(
                SqlState::UndefinedTable,
                format!(
                    "relation \"{}\" did not exist as of {}",
                    qualified(name.schema.as_deref(), &name.name),
                    self.display_time(time)
                ),
            ))),
        }
    }

    /// The time of a clause; nothing while a parameter in it has no value.
    pub(crate) fn time(&mut self, clause: &TimeClause) -> Result<Option<Timestamp>> {
        self.point(&clause.at)
    }

    /// As [`Self::time`], of a time by itself.
    pub(crate) fn point(&mut self, point: &TimePoint) -> Result<Option<Timestamp>> {
        let expr = match point {
            TimePoint::Sequence(sequence) => {
                return self.catalog.time_of_sequence(*sequence).map(Some);
            }
            TimePoint::RestorePoint(name, position) => {
                let time = self.catalog.time_of_restore_point(name)?;
                return match time {
                    Some(time) => Ok(Some(time)),
                    None => Err(no_such_restore_point(name).at(*position)),
                };
            }
            TimePoint::Expression(expr) => expr,
        };
        self.time_of(expr)
    }

    /// As [`Self::point`], of an expression.
    pub(crate) fn time_of(&mut self, expr: &ast::Expr) -> Result<Option<Timestamp>> {
        let bound = self.time_expression(expr)?;
        if self.params.is_none() && has_parameter(&bound) {
            return Ok(None);
        }
        let scope = Constants { context: self.eval, params: self.params.unwrap_or(&[]) };
        match eval(&bound, &scope)? {
            Value::Timestamptz(micros) => Ok(Some(commit_time(micros))),
            Value::Null => Err(SqlError::new(
                SqlState::InvalidParameterValue,
                "the time of FOR SYSTEM_TIME AS OF must not be null",
            )),
            other => Err(SqlError::internal(format!("a time of type {}", other.data_type()))),
        }
    }

    fn time_expression(&mut self, expr: &ast::Expr) -> Result<Expr> {
        // No column is in sight, not even an outer query's.
        let outside = std::mem::replace(&mut self.scopes, vec![Scope::new(Clause::AsOf)]);
        let bound = self.expr(expr).at_expr(expr);
        self.scopes = outside;
        let bound = bound.map_err(|error| match error.state {
            SqlState::UndefinedColumn | SqlState::UndefinedTable => {
                let position = error.position;
                let plain = SqlError::new(
                    SqlState::InvalidColumnReference,
                    "argument of FOR SYSTEM_TIME AS OF must not contain variables",
                );
                position.map_or(plain.clone(), |position| plain.at(position))
            }
            _ => error,
        })?;
        let ty = bound.ty();
        if ty != DataType::Unknown && !can_cast(ty, DataType::Timestamptz, CastContext::Implicit) {
            return Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!(
                    "argument of FOR SYSTEM_TIME AS OF must be type timestamp with time zone, \
                     not type {ty}"
                ),
            ))
            .at_expr(expr);
        }
        self.coerce(bound, DataType::Timestamptz, -1, CastContext::Implicit).at_expr(expr)
    }

    pub(crate) fn display_time(&self, time: Timestamp) -> String {
        let micros = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX) - EPOCH_MICROS;
        let mut out = Vec::new();
        write_text(&Value::Timestamptz(micros), DataType::Timestamptz, self.eval, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// The last nanosecond of a microsecond. Before 1970 there are no commits.
fn commit_time(micros: i64) -> Timestamp {
    if micros == i64::MAX {
        return Timestamp::MAX;
    }
    let since_1970 = micros.saturating_add(EPOCH_MICROS);
    match u64::try_from(since_1970) {
        Ok(micros) => Timestamp(micros.saturating_mul(1000).saturating_add(999)),
        Err(_) => Timestamp::MIN,
    }
}

fn has_parameter(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Param { .. });
    expr.for_each_child(&mut |child| found |= has_parameter(child));
    found
}

/// 42704
pub(crate) fn no_such_restore_point(name: &str) -> SqlError {
    let message = format!("restore point \"{name}\" does not exist");
    SqlError::new(SqlState::UndefinedObject, message)
}

/// `schema.name`, as written.
pub(crate) fn qualified(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_owned(),
    }
}

/// 42P01
pub(crate) fn no_such_table(schema: Option<&str>, name: &str) -> SqlError {
    let name = qualified(schema, name);
    SqlError::new(SqlState::UndefinedTable, format!("relation \"{name}\" does not exist"))
}
