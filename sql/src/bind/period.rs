//! Application time: periods of tables, rows as of a time, and changes of a portion of time.
//!
//! A clause is a predicate over the period's two columns, as a user would write it; so its times may be
//! of any type that compares with theirs, and may come from other rows. A clause whose times are upside
//! down means no rows, and neither does one with a NULL.

use std::sync::Arc;

use driftdb_query::{
    AlterAction, ColId, Expr, LogicalPlan, PeriodSpec, Portion, Result, SqlError, Statement, Table,
};
use driftdb_types::{CastContext, DataType, SqlState, Volatility, function, resolve_operator};
use sqlparser::ast;

use super::Binder;
use super::alter::{Alteration, skipped};
use super::as_of::{is_of_each_row, no_such_table};
use super::create::{Definition, has_subquery};
use super::position::Placed;
use super::predicate::all_of;
use super::scope::{Clause, Named, Scope};
use crate::front::cursor::QualifiedName;
use crate::front::period::{PeriodChange, PeriodClause, PeriodDefinition, PeriodRange};

impl<'a> Binder<'a> {
    /// The clause of application time after a table's name or alias.
    pub(crate) fn take_period(
        &mut self,
        name: u32,
        alias: Option<u32>,
    ) -> Result<Option<&'a PeriodClause>> {
        let Some(content) = self.content else { return Ok(None) };
        let mut found: Option<&PeriodClause> = None;
        for place in [Some(name), alias].into_iter().flatten() {
            let Some(clause) = content.lifted.periods.get(&place) else { continue };
            self.used_periods.push(place);
            if found.replace(clause).is_some() {
                let message = "a table can be read at one time of its period only";
                return Err(SqlError::new(SqlState::SyntaxError, message).at(clause.position));
            }
        }
        Ok(found)
    }

    /// A clause that no table took stands at something else.
    pub(crate) fn check_periods_used(&self) -> Result<()> {
        let Some(content) = self.content else { return Ok(()) };
        for (place, clause) in &content.lifted.periods {
            if !self.used_periods.contains(place) {
                let message = format!("{} belongs after a table", clause.name());
                let error = SqlError::new(SqlState::FeatureNotSupported, message);
                return Err(error.at(clause.position));
            }
        }
        Ok(())
    }

    /// The rows of a table that a clause means; `columns` are those of the table, under its own names.
    pub(crate) fn held(
        &mut self,
        plan: LogicalPlan,
        table: &Table,
        columns: &[Named],
        clause: &PeriodClause,
    ) -> Result<LogicalPlan> {
        if clause.is_portion() {
            let message = format!("{} is for tables that are changed", clause.name());
            let error = SqlError::new(SqlState::FeatureNotSupported, message);
            return Err(error.at(clause.position));
        }
        let bounds = bounds(table, clause)?.map(|at| columns[at].expr.clone());
        let predicate = self.overlap(&bounds, clause)?;
        Ok(LogicalPlan::Filter { input: Box::new(plan), predicate })
    }

    /// The predicate that a clause stands for.
    fn overlap(&mut self, [start, end]: &[Expr; 2], clause: &PeriodClause) -> Result<Expr> {
        let ty = start.ty();
        let mut tests = Vec::with_capacity(3);
        let mut test = |binder: &mut Self, bound: &Expr, symbol: &str, time: &ast::Expr| {
            let time = binder.period_time(time, ty, clause)?;
            tests.push(compare(binder, bound.clone(), symbol, time)?);
            Ok::<_, SqlError>(())
        };
        let ordered = match &clause.range {
            PeriodRange::AsOf(time) => {
                test(self, start, "<=", time)?;
                test(self, end, ">", time)?;
                None
            }
            PeriodRange::Between(from, to) => {
                test(self, start, "<=", to)?;
                test(self, end, ">", from)?;
                Some((from, "<=", to))
            }
            PeriodRange::FromTo(from, to) | PeriodRange::Portion(from, to) => {
                test(self, start, "<", to)?;
                test(self, end, ">", from)?;
                Some((from, "<", to))
            }
            PeriodRange::ContainedIn(from, to) => {
                test(self, start, ">=", from)?;
                test(self, end, "<=", to)?;
                None
            }
            PeriodRange::All => None,
        };
        if let Some((from, symbol, to)) = ordered {
            let from = self.period_time(from, ty, clause)?;
            let to = self.period_time(to, ty, clause)?;
            tests.push(compare(self, from, symbol, to)?);
        }
        Ok(all_of(tests))
    }

    /// A time in a clause. It is bound anew for each use: a subquery has identities of its own.
    fn period_time(
        &mut self,
        time: &ast::Expr,
        ty: DataType,
        clause: &PeriodClause,
    ) -> Result<Expr> {
        self.scopes.push(Scope::new(Clause::Period));
        let bound = self.expr(time).at_expr(time);
        self.scopes.pop();
        let bound = bound?;
        if is_volatile(&bound) {
            // It would be another time at each use.
            let message = format!("{} cannot contain volatile functions", clause.name());
            return Err(SqlError::new(SqlState::FeatureNotSupported, message)).at_expr(time);
        }
        match bound.ty() {
            DataType::Unknown => self.coerce(bound, ty, -1, CastContext::Implicit).at_expr(time),
            _ => Ok(bound),
        }
    }

    /// FOR PORTION OF: which rows it means, the part of each that changes (assignments to the period's
    /// columns), and what is left of it.
    pub(crate) fn portion(
        &mut self,
        table: &Arc<Table>,
        old: &[ColId],
        clause: &PeriodClause,
    ) -> Result<(Expr, [(usize, Expr); 2], Portion)> {
        let PeriodRange::Portion(from, to) = &clause.range else {
            let message = format!("{} is for tables that are read", clause.name());
            let error = SqlError::new(SqlState::FeatureNotSupported, message)
                .with_hint("FOR PORTION OF period FROM ... TO ... changes a portion of time.");
            return Err(error.at(clause.position));
        };
        let [start, end] = bounds(table, clause)?;
        let column = |at: usize| Expr::Column { id: old[at], ty: table.columns[at].ty };
        let bounds = [column(start), column(end)];
        let ty = bounds[0].ty();
        let meant = self.overlap(&bounds, clause)?;
        let mut bound = |time: &ast::Expr, at: usize| {
            let bound = self.period_time(time, ty, clause)?;
            if is_of_each_row(&bound) || has_subquery(&bound) {
                let message = format!("argument of {} must not contain variables", clause.name());
                return Err(SqlError::new(SqlState::InvalidColumnReference, message)).at_expr(time);
            }
            self.assign(bound, &table.columns[at]).at_expr(time)
        };
        let (from, to) = (bound(from, start)?, bound(to, end)?);
        let part = |own: &Expr, limit: &Expr, greatest| Expr::Extreme {
            args: vec![own.clone(), limit.clone()],
            greatest,
            ty,
        };
        let assignments =
            [(start, part(&bounds[0], &from, true)), (end, part(&bounds[1], &to, false))];
        let is_before = compare(self, bounds[0].clone(), "<", from.clone())?;
        let is_after = compare(self, bounds[1].clone(), ">", to.clone())?;
        let row = self.row_ids(table);
        let checks = self.checks(table, &row)?;
        let portion = Portion { start, end, from, to, is_before, is_after, row, checks };
        Ok((meant, assignments, portion))
    }

    /// The period that CREATE TABLE defines, among its columns or by a storage parameter.
    pub(crate) fn periods(
        &mut self,
        definition: &mut Definition,
        options: &ast::CreateTableOptions,
    ) -> Result<Option<PeriodSpec>> {
        let only_one = |position| {
            let message = "a table can have one period only";
            Err(SqlError::new(SqlState::FeatureNotSupported, message).at(position))
        };
        let written = match self.content {
            Some(content) => &content.lifted.period_definitions[..],
            None => &[],
        };
        match (written, option_period(options)?) {
            ([], None) => Ok(None),
            ([period], None) => self.period(definition, period).map(Some),
            ([], Some(period)) => {
                // As a dump has it: the CHECK stands among the others.
                let dumped = ordering_check(definition, &period);
                let mut spec = self.period(definition, &period)?;
                if let Some(name) = dumped {
                    definition.constraints.pop();
                    spec.check = name;
                }
                Ok(Some(spec))
            }
            ([first, ..], Some(_)) => only_one(first.position),
            ([_, second, ..], None) => only_one(second.position),
        }
    }

    /// A period in a table's definition: its columns become NOT NULL, and a CHECK keeps their order.
    pub(crate) fn period(
        &mut self,
        definition: &mut Definition,
        period: &PeriodDefinition,
    ) -> Result<PeriodSpec> {
        let place = |error: SqlError| error.at(period.position);
        let name = &period.name;
        if name == "system_time" {
            let error = SqlError::unsupported("PERIOD FOR SYSTEM_TIME");
            return Err(place(error.with_hint("Every table keeps its history by itself.")));
        }
        if definition.columns.iter().any(|spec| spec.name == *name) {
            let message = format!("period name \"{name}\" conflicts with the name of a column");
            return Err(place(SqlError::new(SqlState::DuplicateColumn, message)));
        }
        let [(start, _), (end, at)] = &period.columns;
        if start == end {
            let message = format!("column \"{end}\" appears twice in a period");
            return Err(SqlError::new(SqlState::DuplicateColumn, message).at(*at));
        }
        let mut types = Vec::with_capacity(2);
        for (column, at) in &period.columns {
            let Some(spec) = definition.columns.iter_mut().find(|spec| spec.name == *column) else {
                let message = format!("column \"{column}\" named in period does not exist");
                return Err(SqlError::new(SqlState::UndefinedColumn, message).at(*at));
            };
            if !matches!(spec.ty, DataType::Date | DataType::Timestamp | DataType::Timestamptz) {
                let message = format!(
                    "column \"{column}\" of type {} cannot bound a period: it must be of type \
                     date, timestamp or timestamptz",
                    spec.ty
                );
                return Err(SqlError::new(SqlState::DatatypeMismatch, message).at(*at));
            }
            spec.not_null = true;
            types.push((spec.ty, spec.typmod));
        }
        if types[0] != types[1] {
            let message = format!("columns \"{start}\" and \"{end}\" of a period differ in type");
            return Err(SqlError::new(SqlState::DatatypeMismatch, message).at(*at));
        }
        let check = self.constraint_name(definition, None, std::slice::from_ref(name), "check")?;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let condition = format!("{} < {}", quoted(start), quoted(end));
        let constraint = driftdb_query::ConstraintSpec::Check {
            name: check.clone(),
            condition,
            not_valid: false,
            no_inherit: false,
        };
        definition.constraints.push(constraint);
        Ok(PeriodSpec { name: name.clone(), start: start.clone(), end: end.clone(), check })
    }

    /// ALTER TABLE … ADD PERIOD and DROP PERIOD.
    pub(crate) fn alter_period(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
        change: &PeriodChange,
    ) -> Result<Statement> {
        let schema = name.schema.as_deref();
        let at = driftdb_query::CatalogAt::Statement;
        let Some(table) = self.catalog.table(schema, &name.name, at)? else {
            if if_exists {
                return Ok(skipped(&name.name));
            }
            return Err(no_such_table(schema, &name.name).at(name.position));
        };
        let mut alteration = Alteration::new(table);
        match change {
            PeriodChange::Add(definition) => self.add_period(&mut alteration, definition)?,
            PeriodChange::Drop { name, position, if_exists } => {
                let table = &alteration.table;
                if table.period.as_ref().is_none_or(|period| period.name != *name) {
                    if *if_exists {
                        let (table, actions) = (alteration.table, Vec::new());
                        return Ok(Statement::AlterTable { table, actions });
                    }
                    return Err(no_such_period(table, name).at(*position));
                }
                alteration.actions.push((AlterAction::DropPeriod, None));
            }
        }
        Ok(Statement::AlterTable { table: alteration.table, actions: alteration.actions })
    }

    fn add_period(
        &mut self,
        alteration: &mut Alteration,
        definition: &PeriodDefinition,
    ) -> Result<()> {
        if let Some(period) = &alteration.table.period {
            let message = format!(
                "table \"{}\" already has a period \"{}\"",
                alteration.table.name, period.name
            );
            let error = SqlError::new(SqlState::InvalidTableDefinition, message);
            return Err(error.at(definition.position));
        }
        let spec = self.period(&mut alteration.definition, definition)?;
        for column in [&spec.start, &spec.end] {
            let position = alteration.table.column(column).map(|(position, _)| position);
            let unknown = || SqlError::internal("a period of a column that is not there");
            let violation = self.null_rows(alteration, std::slice::from_ref(column));
            let action = AlterAction::SetNotNull(position.ok_or_else(unknown)?, true);
            alteration.actions.push((action, Some(violation)));
        }
        self.add_constraints(alteration)?;
        alteration.actions.push((AlterAction::AddPeriod(spec), None));
        Ok(())
    }
}

/// The storage parameter by which a dump says that a table has a period: `name (start, end)`.
pub(super) const OPTION: &str = "period";

fn option_period(options: &ast::CreateTableOptions) -> Result<Option<PeriodDefinition>> {
    let ast::CreateTableOptions::With(options) = options else { return Ok(None) };
    let mut found = None;
    for option in options {
        let ast::SqlOption::KeyValue { key, value } = option else { continue };
        if super::names::ident(key) == OPTION {
            let text = super::history::option_text(value);
            let parsed = crate::front::period::definition_of(&text).map_err(|_| {
                let message = format!("invalid value for option \"{OPTION}\": \"{text}\"");
                SqlError::new(SqlState::InvalidParameterValue, message)
                    .with_hint("Give the period's name and its columns: 'name (start, end)'.")
            })?;
            found = Some(parsed);
        }
    }
    Ok(found)
}

/// The CHECK of a definition that keeps a period's start less than its end.
fn ordering_check(definition: &Definition, period: &PeriodDefinition) -> Option<String> {
    let [(start, _), (end, _)] = &period.columns;
    let in_quotes = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let plain = crate::deparse::quoted;
    let spellings = [
        format!("{} < {}", in_quotes(start), in_quotes(end)),
        format!("{} < {}", plain(start), plain(end)),
    ];
    definition.constraints.iter().find_map(|constraint| match constraint {
        driftdb_query::ConstraintSpec::Check { name, condition, not_valid: false, .. } => {
            let mut condition = condition.as_str();
            while let Some(inner) =
                condition.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
            {
                condition = inner;
            }
            spellings.iter().any(|spelling| spelling == condition).then(|| name.clone())
        }
        _ => None,
    })
}

/// The positions of the columns of the period that a clause names.
fn bounds(table: &Table, clause: &PeriodClause) -> Result<[usize; 2]> {
    let named = table.period.as_ref().filter(|period| period.name == clause.period);
    let Some(period) = named else {
        return Err(no_such_period(table, &clause.period).at(clause.position));
    };
    let unknown = || SqlError::internal("a period without its columns");
    let position = |id| table.position(id).ok_or_else(unknown);
    Ok([position(period.start)?, position(period.end)?])
}

/// 42704
fn no_such_period(table: &Table, name: &str) -> SqlError {
    let message = format!("period \"{name}\" of relation \"{}\" does not exist", table.name);
    SqlError::new(SqlState::UndefinedObject, message)
}

fn compare(binder: &mut Binder<'_>, left: Expr, symbol: &str, right: Expr) -> Result<Expr> {
    let resolved = resolve_operator(symbol, Some(left.ty()), Some(right.ty()))?;
    binder.resolved_call(&resolved, vec![left, right])
}

fn is_volatile(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Call { function: id, .. }
        if function(*id).volatility == Volatility::Volatile);
    expr.for_each_child(&mut |child| found |= is_volatile(child));
    found
}
