//! A statement of a function: bound, planned, and run within the one that called.

use std::sync::Arc;

use driftdb_concurrency::LockMode;
use driftdb_executor::{ExecContext, evaluate_alone, lock_read_tables, run_nested};
use driftdb_plpgsql::{Column, Rows};
use driftdb_query::{
    Expr, Field, PhysicalPlan, PhysicalStatement, Result, SetScope, SqlError, Statement, Table,
    Variables, temporary_schema,
};
use driftdb_sql::{BindContext, ParsedStatement, bind};
use driftdb_storage::Timestamp;
use driftdb_types::{DataType, SqlState, Value};

use super::Runner;
use crate::session::plan::{changes_catalog, kinds, reads_of, writing_command};

/// A bound and planned statement.
pub(in crate::session) struct Nested {
    work: Work,
    fields: Option<Vec<Field>>,
    reads: Vec<(Arc<Table>, LockMode)>,
    asks_catalog: bool,
    depends_on_time: bool,
    /// The snapshot that it was bound at; `None`: with the transaction's own changes.
    bound_at: Option<Timestamp>,
    /// Changes of definitions within statements, by then.
    changes: u64,
    settings_epoch: u64,
    /// The role that it was bound for.
    role: u32,
}

enum Work {
    Plan(Arc<PhysicalStatement>),
    /// An expression that reads nothing.
    Value(Expr),
    Set {
        name: String,
        value: Option<String>,
        scope: SetScope,
    },
    Nothing,
}

fn columns(fields: &[Field]) -> Vec<Column> {
    let column =
        |field: &Field| Column { name: field.name.clone(), ty: field.ty, typmod: field.typmod };
    fields.iter().map(column).collect()
}

/// The one expression of a query that reads nothing.
fn lone_expression(statement: &PhysicalStatement) -> Option<&Expr> {
    let PhysicalStatement::Query(query) = statement else { return None };
    let PhysicalPlan::Project { input, exprs } = &query.plan else { return None };
    let PhysicalPlan::Values { rows, .. } = &**input else { return None };
    let ([row], [expr]) = (&rows[..], &exprs[..]) else { return None };
    (row.is_empty() && is_free(expr)).then_some(expr)
}

fn is_free(expr: &Expr) -> bool {
    if matches!(expr, Expr::Subplan(_)) {
        return false;
    }
    let mut is_whole = true;
    expr.for_each_child(&mut |child| is_whole &= is_free(child));
    is_whole
}

impl Nested {
    /// The result columns.
    pub(super) fn fields(&self) -> Option<&[Field]> {
        self.fields.as_deref()
    }
}

impl Runner<'_> {
    /// Binds and plans a statement.
    pub(super) fn bind_nested(
        &self,
        parsed: &ParsedStatement,
        mut types: Vec<DataType>,
        variables: Option<&mut dyn Variables>,
        cx: &mut ExecContext<'_>,
    ) -> Result<Nested> {
        let own_changes = cx.ddl.is_some();
        let snapshot = cx.txn.snapshot_ts();
        let (node, actions, eval) = (self.node, self.actions, cx.eval);
        let lend = move |tables, objects| {
            actions.lend_definitions(tables, objects, (!own_changes).then_some(snapshot));
        };
        let catalog = node.catalog().reader(&mut *cx.txn, node.store(), own_changes);
        let catalog = catalog.on_path(&eval.schemas).lending(lend);
        let temporary = temporary_schema(eval.backend_pid);
        let mut catalog = catalog.with_temporary(Some(&temporary)).acting_as(eval.role);
        let statement = bind(
            parsed,
            &mut BindContext {
                catalog: &mut catalog,
                eval,
                param_types: &mut types,
                params: None,
                variables: match variables {
                    Some(variables) => Some(&mut *variables),
                    None => None,
                },
            },
        )?;
        let asks_catalog = catalog.was_asked();
        let used = catalog.into_used();
        let fields = statement.fields();
        let mut nested = Nested {
            work: Work::Nothing,
            fields,
            reads: Vec::new(),
            asks_catalog,
            depends_on_time: parsed.depends_on_time(),
            bound_at: (!own_changes).then_some(snapshot),
            changes: self.changes(),
            settings_epoch: self.settings.epoch(),
            role: eval.role,
        };
        nested.work = match statement {
            Statement::Empty => Work::Nothing,
            Statement::Set { name, value, scope } => Work::Set { name, value, scope },
            Statement::Reset(Some(name)) => {
                Work::Set { name, value: None, scope: SetScope::Session }
            }
            Statement::Copy(copy)
                if matches!(copy.source, driftdb_query::CopySource::From { .. }) =>
            {
                let message = "cannot COPY to/from client in a function";
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
            Statement::Transaction(_) => {
                return Err(SqlError::unsupported("transaction control in a function"));
            }
            Statement::Reset(None)
            | Statement::Show(_)
            | Statement::Prepare { .. }
            | Statement::DeclareCursor(_)
            | Statement::Fetch(_)
            | Statement::CloseCursor(_)
            | Statement::Channel(_)
            | Statement::DiscardSequences
            | Statement::Execute { .. }
            | Statement::Deallocate(_)
            | Statement::DiscardAll
            | Statement::Checkpoint
            | Statement::Branch(_)
            | Statement::History(_)
            | Statement::Vacuum { .. }
            | Statement::Copy(_) => {
                let what = format!("{} in a function", parsed.tag());
                return Err(SqlError::unsupported(what));
            }
            statement => {
                let physical = node.planner().plan(statement, &self.settings.plan_context())?;
                nested.reads = reads_of(&physical, used);
                match lone_expression(&physical) {
                    Some(expr) if !asks_catalog => Work::Value(expr.clone()),
                    _ => Work::Plan(Arc::new(physical)),
                }
            }
        };
        Ok(nested)
    }

    /// Whether what was bound is still what it would be.
    pub(super) fn nested_holds(&self, nested: &Nested, cx: &ExecContext<'_>) -> bool {
        if nested.depends_on_time
            || nested.settings_epoch != self.settings.epoch()
            || nested.role != cx.eval.role
            || nested.changes != self.changes()
        {
            return false;
        }
        match nested.bound_at {
            Some(at) => {
                cx.ddl.is_none() && self.node.catalog().is_same_at(at, cx.txn.snapshot_ts())
            }
            // Of one transaction: another one begins with no definitions of its own.
            None => cx.ddl.is_some(),
        }
    }

    /// Runs a statement.
    pub(super) fn run_bound(
        &self,
        nested: &Nested,
        params: &[Value],
        limit: Option<u64>,
        is_volatile: bool,
        cx: &mut ExecContext<'_>,
    ) -> Result<Rows> {
        let mut inner = ExecContext {
            txn: &mut *cx.txn,
            store: cx.store,
            system: cx.system,
            eval: cx.eval,
            params,
            routines: cx.routines,
            ddl: &mut *cx.ddl,
            kinds: &mut *cx.kinds,
            cancel: cx.cancel,
            pending: &mut *cx.pending,
            notices: &mut *cx.notices,
            memory_limit_bytes: cx.memory_limit_bytes,
        };
        let physical = match &nested.work {
            Work::Nothing => return Ok(Rows::default()),
            Work::Value(expr) => {
                let value = evaluate_alone(expr, &mut inner)?;
                let columns = nested.fields.as_deref().map(columns);
                return Ok(Rows { columns, rows: vec![vec![value]], count: 1 });
            }
            Work::Set { name, value, scope } => {
                let is_local = *scope == SetScope::Local;
                inner.eval.actions.set(name, value.as_deref(), is_local)?;
                return Ok(Rows::default());
            }
            Work::Plan(physical) => physical,
        };
        if let Some(command) = writing_command(physical) {
            if inner.txn.is_read_only() {
                let message = format!("cannot execute {command} in a read-only transaction");
                return Err(SqlError::new(SqlState::ReadOnlySqlTransaction, message));
            }
            if !is_volatile {
                let message = format!("{command} is not allowed in a non-volatile function");
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
        }
        if is_volatile {
            inner.txn.begin_statement()?;
        }
        if nested.asks_catalog {
            let at = driftdb_concurrency::ReadAt::Statement;
            let tables = driftdb_tables::tables(inner.txn, at)?;
            let objects = driftdb_tables::objects(inner.txn, at)?;
            self.actions.lend_definitions(tables, objects, None);
        }
        if !nested.reads.is_empty() {
            lock_read_tables(&nested.reads, &mut inner)?;
        }
        inner.kinds.add(kinds(physical));
        if changes_catalog(physical) {
            if inner.ddl.is_none() {
                *inner.ddl = Some(self.node.catalog().begin_ddl());
            }
            self.note_change();
            self.note_made(physical);
        }
        let (rows, tag) = run_nested(physical, limit, &mut inner)?;
        let count = tag.rows.unwrap_or(rows.len() as u64);
        Ok(Rows { columns: nested.fields.as_deref().map(columns), rows, count })
    }
}
