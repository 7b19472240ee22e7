//! `driftdb_changes('t', after [, up_to])` and `driftdb_all_changes(after [, up_to])`: the feed of changes.

use std::sync::Arc;
use std::time::Duration;

use driftdb_query::{
    CatalogAt, ChangesScan, Expr, LogicalPlan, OutputColumn, Result, SetFunction, SqlError, Table,
};
use driftdb_storage::Timestamp;
use driftdb_types::SqlState;
use sqlparser::ast;

use super::as_of::no_such_table;
use super::diff::{constant_text, split_name};
use super::from::{Aliased, item};
use super::scope::{FromItem, Named};
use super::target::NO_META;
use super::{Binder, Meta};

/// The name of the function over one table.
pub(crate) const TABLE_CHANGES: &str = "driftdb_changes";
/// The name of the function over all.
pub(crate) const ALL_CHANGES: &str = "driftdb_all_changes";

impl Binder<'_> {
    /// `driftdb_changes('table', after [, up_to])`
    pub(crate) fn table_changes(
        &mut self,
        args: &[ast::FunctionArg],
        position: u32,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let usage = || {
            let message = "driftdb_changes takes the name of a table, as a constant, and the number of \
                           a commit or a time, after which it begins; then perhaps one, with which it ends";
            SqlError::new(SqlState::InvalidParameterValue, message).at(position)
        };
        let list = argument_list(args);
        let given = super::call::arguments(&list)?;
        let Some((name, times)) = given.split_first() else { return Err(usage()) };
        let name = constant_text(name).ok_or_else(usage)?;
        let (after, up_to) = self.changes_stretch(times)?.ok_or_else(usage)?;
        let (schema, name) = split_name(&name);
        let table = self.table_of_changes(schema.as_deref(), &name, after, up_to)?;
        let table = table.ok_or_else(|| no_such_table(schema.as_deref(), &name).at(position))?;
        self.ask_read_whole(&table);
        let scan = ChangesScan { table: Some(table), after, up_to, follow: None };
        self.changes_item(scan, TABLE_CHANGES, alias)
    }

    /// `driftdb_all_changes(after [, up_to])`
    pub(crate) fn all_changes(
        &mut self,
        args: &[ast::FunctionArg],
        position: u32,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let list = argument_list(args);
        let stretch = self.changes_stretch(&super::call::arguments(&list)?)?;
        let (after, up_to) = stretch.ok_or_else(|| {
            let message = "driftdb_all_changes takes the number of a commit or a time, after which it \
                           begins; then perhaps one, with which it ends";
            SqlError::new(SqlState::InvalidParameterValue, message).at(position)
        })?;
        let message = "permission denied for function driftdb_all_changes".to_owned();
        self.ask_other(driftdb_query::Demand::Superuser(message));
        let scan = ChangesScan { table: None, after, up_to, follow: None };
        self.changes_item(scan, ALL_CHANGES, alias)
    }

    /// The stretch that the arguments name; `None` if there are too few or too many.
    fn changes_stretch(
        &mut self,
        times: &[&ast::Expr],
    ) -> Result<Option<(Timestamp, Option<Timestamp>)>> {
        let (after, up_to) = match times {
            [after] => (after, None),
            [after, up_to] => (after, Some(up_to)),
            _ => return Ok(None),
        };
        let after = self.argument_time(after)?;
        // While parameters have no values, only the columns matter.
        let up_to = up_to.map(|up_to| self.argument_time(up_to)).transpose()?.flatten();
        Ok(Some((after.unwrap_or(Timestamp::MIN), up_to)))
    }

    /// The table as of the end; if there was none of the name, the one that was dropped last, or the one at
    /// the beginning.
    fn table_of_changes(
        &mut self,
        schema: Option<&str>,
        name: &str,
        after: Timestamp,
        up_to: Option<Timestamp>,
    ) -> Result<Option<Arc<Table>>> {
        let at = up_to.map_or(CatalogAt::Statement, CatalogAt::AsOf);
        if let Some(table) = self.catalog.table(schema, name, at)? {
            return Ok(Some(table));
        }
        if let Some((table, _)) = self.catalog.dropped_table(schema, name)? {
            return Ok(Some(table));
        }
        match after {
            Timestamp::MIN => Ok(None),
            after => self.catalog.table(schema, name, CatalogAt::AsOf(after)),
        }
    }

    fn changes_item(
        &mut self,
        scan: ChangesScan,
        own: &str,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let (mut columns, mut named) = (Vec::new(), Vec::new());
        for (name, ty, typmod) in scan.columns() {
            let id = self.column_id();
            self.meta.insert(id, Meta { typmod, ..NO_META });
            columns.push(OutputColumn { id, ty });
            named.push(Named { name, expr: Expr::Column { id, ty } });
        }
        let function = SetFunction::Changes(scan);
        let plan = LogicalPlan::FunctionScan { function, args: Vec::new(), columns };
        item(plan, named, Aliased { alias, own: own.to_owned(), schema: None }, None, None)
    }
}

/// Makes the feed that a query reads go on for ever; the query may only choose rows and compute columns.
pub(super) fn follow(plan: &mut LogicalPlan, heartbeat: Duration) -> Result<()> {
    match plan {
        LogicalPlan::Project { input, .. } | LogicalPlan::Filter { input, .. } => {
            follow(input, heartbeat)
        }
        LogicalPlan::FunctionScan { function: SetFunction::Changes(scan), .. }
            if scan.up_to.is_none() =>
        {
            scan.follow = Some(heartbeat);
            Ok(())
        }
        _ => Err(cannot_follow()),
    }
}

/// COPY of something else with FOLLOW.
pub(super) fn cannot_follow() -> SqlError {
    let message =
        "COPY can follow only a SELECT from driftdb_changes or driftdb_all_changes without an end";
    SqlError::new(SqlState::FeatureNotSupported, message)
        .with_hint("Such a SELECT may have a WHERE clause, and nothing that needs all rows.")
}

fn argument_list(args: &[ast::FunctionArg]) -> ast::FunctionArgumentList {
    ast::FunctionArgumentList {
        duplicate_treatment: None,
        args: args.to_vec(),
        clauses: Vec::new(),
    }
}
