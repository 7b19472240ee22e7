//! FOR SYSTEM_TIME: which times a table is read at, and the table as of then.
//!
//! The expressions may use parameters, the clock and arithmetic. They are evaluated now, because the
//! schema of that time decides what the statement means. AS OF may also use columns of the FROM items
//! before it and of outer queries: then each of their rows is a time of its own, and the schema is that
//! of now.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::eval::{Constants, eval};
use driftdb_query::{
    BranchStatement, CatalogAt, Expr, Moment, PastTime, Period, PeriodForm, Result, Span, SqlError,
    Table, TransactionStatement, timestamptz_of,
};
use driftdb_storage::Timestamp;
use driftdb_types::{CastContext, DataType, SqlState, Value, can_cast, write_text};
use sqlparser::ast;

use super::Binder;
use super::names::{ObjectName, ident_position};
use super::position::Placed;
use super::scope::{Clause, Scope};
use crate::front::branch::BranchBody;
use crate::front::rewrite::{TimeClause, TimePoint, TimeRange};

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
                    format!("{} belongs after a table that is read", clause.range.name()),
                )
                .at(clause.position));
            }
        }
        Ok(())
    }

    /// The table with a name, and when to read it. The schema is that of the time, for a stretch of
    /// time that of its end, and that of now where the time comes from another row.
    pub(crate) fn table_at(
        &mut self,
        name: &ObjectName,
        clause: Option<&TimeClause>,
    ) -> Result<(Arc<Table>, ReadAt, Span)> {
        let time = match clause {
            None => TableTime::at(self.default_time),
            Some(clause) => self.time(clause).map_err(|error| error.at(clause.position))?,
        };
        let at = time.schema_of.map_or(CatalogAt::Statement, CatalogAt::AsOf);
        let place = |error: SqlError| error.at(name.position);
        let table = self.catalog.table(name.schema.as_deref(), &name.name, at).map_err(place)?;
        match (table, time.schema_of) {
            (Some(table), _) => Ok((self.with_terms(table)?, time.at, time.span)),
            (None, None) => Err(place(no_such_table(name.schema.as_deref(), &name.name))),
            (None, Some(schema_of)) => Err(place(SqlError::new(
                SqlState::UndefinedTable,
                format!(
                    "relation \"{}\" did not exist as of {}",
                    qualified(name.schema.as_deref(), &name.name),
                    self.display_time(schema_of)
                ),
            ))),
        }
    }

    /// The times that a clause means; now while a parameter in it has no value.
    fn time(&mut self, clause: &TimeClause) -> Result<TableTime> {
        let name = clause.range.name();
        let (form, from, to) = match &clause.range {
            TimeRange::AsOf(point) => {
                return Ok(match self.moment(point, name)? {
                    Moments::Known(moment) => TableTime::at(Some(moment.last)),
                    Moments::OfEachRow(expr) => {
                        TableTime { span: Span::Each(Box::new(expr)), ..TableTime::now() }
                    }
                    Moments::NotYet => TableTime::now(),
                });
            }
            TimeRange::All => {
                return Ok(TableTime { span: Span::Period(Period::ALL), ..TableTime::now() });
            }
            TimeRange::Between(from, to) => (PeriodForm::Between, from, to),
            TimeRange::FromTo(from, to) => (PeriodForm::FromTo, from, to),
            TimeRange::ContainedIn(from, to) => (PeriodForm::ContainedIn, from, to),
        };
        let bounds = (self.moment(from, name)?, self.moment(to, name)?);
        let (from, to) = match bounds {
            (Moments::Known(from), Moments::Known(to)) => (from, to),
            (Moments::OfEachRow(_), _) | (_, Moments::OfEachRow(_)) => {
                let message = format!("argument of {name} must not contain variables");
                return Err(SqlError::new(SqlState::InvalidColumnReference, message));
            }
            _ => return Ok(TableTime { span: Span::Period(Period::ALL), ..TableTime::now() }),
        };
        let span = Span::Period(Period { form, from, to });
        // The end names no time where there is none: versions up to now.
        let schema_of = (to != Moment::END).then_some(to.last);
        Ok(TableTime { schema_of, at: ReadAt::Statement, span })
    }

    /// A single time that no row decides; `None` while a parameter in it has no value.
    pub(crate) fn point(&mut self, point: &TimePoint, name: &str) -> Result<Option<Timestamp>> {
        let moments = self.moment(point, name)?;
        single(moments, name)
    }

    /// As [`Self::point`], of an expression.
    pub(crate) fn time_of(&mut self, expr: &ast::Expr, name: &str) -> Result<Option<Timestamp>> {
        let moments = self.moment_of(expr, name)?;
        single(moments, name)
    }

    /// The number of a commit, where an expression is an integer: without a value while a parameter in it
    /// has none. `None` for what is no integer.
    pub(crate) fn number_of(&mut self, expr: &ast::Expr) -> Result<Option<Option<u64>>> {
        self.scopes.push(Scope::new(Clause::AsOf));
        let bound = self.expr(expr).at_expr(expr);
        self.scopes.pop();
        let bound = bound?;
        if !matches!(bound.ty(), DataType::Int2 | DataType::Int4 | DataType::Int8)
            || is_of_each_row(&bound)
        {
            return Ok(None);
        }
        if self.params.is_none() && has_parameter(&bound) {
            return Ok(Some(None));
        }
        let scope = Constants { context: self.eval, params: self.params.unwrap_or(&[]) };
        let number = match eval(&bound, &scope)? {
            Value::Int2(number) => i64::from(number),
            Value::Int4(number) => i64::from(number),
            Value::Int8(number) => number,
            Value::Null => {
                let message = "the number of a commit must not be null";
                return Err(SqlError::new(SqlState::InvalidParameterValue, message)).at_expr(expr);
            }
            other => {
                return Err(SqlError::internal(format!("a number of type {}", other.data_type())));
            }
        };
        u64::try_from(number).map(|number| Some(Some(number))).map_err(|_| {
            let message = format!("{number} is not the number of a commit");
            SqlError::new(SqlState::InvalidParameterValue, message)
        })
    }

    /// The time that is written: every way to write one comes through here and through
    /// [`Self::past_time`].
    fn moment(&mut self, point: &TimePoint, name: &str) -> Result<Moments> {
        let expr = match point {
            TimePoint::Sequence(sequence) => {
                let ts = self.catalog.time_of_sequence(*sequence)?;
                return Ok(Moments::Known(Moment::of_commit(ts)));
            }
            TimePoint::RestorePoint(name, position) => {
                let time = self.catalog.time_of_restore_point(name)?;
                return match time {
                    Some(time) => Ok(Moments::Known(Moment::of_commit(time))),
                    None => Err(no_such_restore_point(name).at(*position)),
                };
            }
            TimePoint::Expression(expr) => expr,
        };
        self.moment_of(expr, name)
    }

    /// As [`Self::moment`], of an expression.
    fn moment_of(&mut self, expr: &ast::Expr, name: &str) -> Result<Moments> {
        let bound = self.time_expression(expr, name)?;
        if is_of_each_row(&bound) {
            return Ok(Moments::OfEachRow(bound));
        }
        if self.params.is_none() && has_parameter(&bound) {
            return Ok(Moments::NotYet);
        }
        self.constant_time(&bound, name)
            .map(|micros| Moments::Known(Moment::of_timestamptz(micros)))
    }

    fn constant_time(&self, bound: &Expr, name: &str) -> Result<i64> {
        let scope = Constants { context: self.eval, params: self.params.unwrap_or(&[]) };
        match eval(bound, &scope)? {
            Value::Timestamptz(micros) => Ok(micros),
            Value::Null => Err(SqlError::new(
                SqlState::InvalidParameterValue,
                format!("the time of {name} must not be null"),
            )),
            other => Err(SqlError::internal(format!("a time of type {}", other.data_type()))),
        }
    }

    /// Transaction control, with the time that it names.
    pub(crate) fn transaction(
        &mut self,
        statement: &TransactionStatement,
    ) -> Result<TransactionStatement> {
        let point = self.content.and_then(|content| content.lifted.transaction_time.as_ref());
        let mut statement = statement.clone();
        if let Some(point) = point
            && let TransactionStatement::Begin(modes) | TransactionStatement::SetTransaction(modes) =
                &mut statement
        {
            modes.as_of = Some(self.past_time(point, "AS OF SYSTEM TIME")?);
        }
        Ok(statement)
    }

    /// A statement about branches, with the time that it names.
    pub(crate) fn branch(&mut self, body: &BranchBody) -> Result<BranchStatement> {
        Ok(match body {
            BranchBody::Create { name, parent, at, is_database } => BranchStatement::Create {
                name: name.clone(),
                parent: parent.clone(),
                at: at.as_ref().map(|at| self.past_time(at, "AS OF")).transpose()?,
                as_database: *is_database,
            },
            BranchBody::Drop { name, if_exists, is_database } => BranchStatement::Drop {
                name: name.clone(),
                if_exists: *if_exists,
                as_database: *is_database,
            },
            BranchBody::Use(name) => BranchStatement::Use(name.clone()),
        })
    }

    /// The time that a transaction names. Numbers of commits are looked up where it begins.
    fn past_time(&mut self, point: &TimePoint, what: &str) -> Result<PastTime> {
        let expr = match point {
            TimePoint::Sequence(sequence) => return Ok(PastTime::Sequence(*sequence)),
            TimePoint::RestorePoint(name, position) => {
                let time = self.catalog.time_of_restore_point(name)?;
                let time = time.ok_or_else(|| no_such_restore_point(name).at(*position))?;
                return Ok(PastTime::Commit(time));
            }
            TimePoint::Expression(expr) => expr,
        };
        let bound = self.time_expression(expr, what)?;
        if is_of_each_row(&bound) || has_parameter(&bound) {
            let message = format!("argument of {what} must not contain variables");
            return Err(SqlError::new(SqlState::InvalidColumnReference, message)).at_expr(expr);
        }
        self.constant_time(&bound, what).at_expr(expr).map(PastTime::Timestamptz)
    }

    fn time_expression(&mut self, expr: &ast::Expr, name: &str) -> Result<Expr> {
        self.scopes.push(Scope::new(Clause::AsOf));
        let bound = self.expr(expr).at_expr(expr);
        self.scopes.pop();
        let bound = bound?;
        let ty = bound.ty();
        if ty != DataType::Unknown && !can_cast(ty, DataType::Timestamptz, CastContext::Implicit) {
            return Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!("argument of {name} must be type timestamp with time zone, not type {ty}"),
            ))
            .at_expr(expr);
        }
        self.coerce(bound, DataType::Timestamptz, -1, CastContext::Implicit).at_expr(expr)
    }

    pub(crate) fn display_time(&self, time: Timestamp) -> String {
        let mut out = Vec::new();
        let value = Value::Timestamptz(timestamptz_of(time));
        write_text(&value, DataType::Timestamptz, self.eval, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// When to read a table.
struct TableTime {
    /// Whose schema; `None`: the statement's.
    schema_of: Option<Timestamp>,
    at: ReadAt,
    span: Span,
}

impl TableTime {
    fn now() -> Self {
        Self { schema_of: None, at: ReadAt::Statement, span: Span::Once }
    }

    /// One time; `None`: now.
    fn at(time: Option<Timestamp>) -> Self {
        let at = time.map_or(ReadAt::Statement, ReadAt::AsOf);
        Self { schema_of: time, at, span: Span::Once }
    }
}

/// What a time is before the statement runs.
enum Moments {
    Known(Moment),
    /// A parameter has no value yet.
    NotYet,
    /// Columns of other rows, or a subquery, decide.
    OfEachRow(Expr),
}

fn single(moments: Moments, name: &str) -> Result<Option<Timestamp>> {
    match moments {
        Moments::Known(moment) => Ok(Some(moment.last)),
        Moments::NotYet => Ok(None),
        Moments::OfEachRow(_) => {
            let message = format!("argument of {name} must not contain variables");
            Err(SqlError::new(SqlState::InvalidColumnReference, message))
        }
    }
}

pub(crate) fn is_of_each_row(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Column { .. } | Expr::Subquery(_));
    expr.for_each_child(&mut |child| found |= is_of_each_row(child));
    found
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
