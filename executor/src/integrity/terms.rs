//! The expressions that indexes are about, computed for rows that are written.
//!
//! The values of a table's terms stand behind those of its columns ([`Table::width`]). Whoever bound the
//! statement may have bound them with its table; else the session does, who runs functions of users, too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::{CancelToken, StatementKinds, Store, Transaction};
use driftdb_query::{Expr, Result, SqlError, SystemRows, Table, TableId};
use driftdb_tables::{DdlGuard, Terms};
use driftdb_types::{DataType, EvalContext, Value};

use crate::context::{ExecContext, Run, State};
use crate::evaluate::row::evaluate_row;
use crate::integrity::PendingChecks;
use crate::routine::Routines;

/// The terms of the tables whose rows a statement writes, as they were bound.
#[derive(Default)]
pub(crate) struct BoundTerms(BTreeMap<TableId, Arc<[Arc<Expr>]>>);

impl BoundTerms {
    /// A row with the values of its table's terms.
    pub(crate) fn extended<'r>(
        &mut self,
        table: &Table,
        row: &'r [Value],
        run: &mut Run<'_, '_>,
    ) -> Result<Cow<'r, [Value]>> {
        if table.terms.is_empty() {
            return Ok(Cow::Borrowed(row));
        }
        let bound = match self.0.get(&table.id) {
            Some(bound) => Arc::clone(bound),
            None => {
                let bound = bind(table, run.cx)?;
                self.0.insert(table.id, Arc::clone(&bound));
                bound
            }
        };
        let mut row = row.to_vec();
        extend(table, &bound, &mut row, run)?;
        Ok(Cow::Owned(row))
    }
}

fn bind(table: &Table, cx: &mut ExecContext<'_>) -> Result<Arc<[Arc<Expr>]>> {
    let bound = table.terms.iter().map(|term| term.bound.0.clone()).collect::<Option<Vec<_>>>();
    let bound = match bound {
        Some(bound) => bound,
        None => cx.routines.terms(table, cx)?,
    };
    Ok(bound.into())
}

/// Appends the values of the terms, index by index: those of a partial index only if it covers the row.
fn extend(
    table: &Table,
    bound: &[Arc<Expr>],
    row: &mut Vec<Value>,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let torn = || SqlError::internal(format!("an index of table {} is torn", table.name));
    row.truncate(table.columns.len());
    let mut values = vec![Value::Null; table.terms.len()];
    for index in &table.indexes {
        for id in index.terms() {
            let at = table.terms.iter().position(|term| term.id == id).ok_or_else(torn)?;
            values[at] = evaluate_row(bound.get(at).ok_or_else(torn)?, row, run)?;
            if index.predicate == Some(id) && values[at] != Value::Bool(true) {
                break;
            }
        }
    }
    row.append(&mut values);
    Ok(())
}

/// What a statement that changes definitions lends for computing terms: all but the transaction.
pub(crate) struct DdlTerms<'a> {
    pub(crate) system: &'a dyn SystemRows,
    pub(crate) params: &'a [Value],
    pub(crate) routines: &'a dyn Routines,
    pub(crate) ddl: &'a mut Option<DdlGuard>,
    pub(crate) kinds: &'a mut StatementKinds,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) pending: &'a mut PendingChecks,
    pub(crate) notices: &'a mut Vec<SqlError>,
    pub(crate) memory_limit_bytes: usize,
    /// The definition that terms were bound of last.
    pub(crate) last: Option<(Table, Arc<[Arc<Expr>]>)>,
}

impl DdlTerms<'_> {
    /// The terms of a table, bound once as long as its columns stay what they are.
    fn with_bound<R>(
        &mut self,
        table: &Table,
        (txn, store, eval): (&mut dyn Transaction, &dyn Store, &EvalContext),
        work: impl FnOnce(&[Arc<Expr>], &mut Run<'_, '_>) -> Result<R>,
    ) -> Result<R> {
        let mut cx = ExecContext {
            txn,
            store,
            system: self.system,
            eval,
            params: self.params,
            routines: self.routines,
            ddl: &mut *self.ddl,
            kinds: &mut *self.kinds,
            cancel: self.cancel,
            pending: &mut *self.pending,
            notices: &mut *self.notices,
            memory_limit_bytes: self.memory_limit_bytes,
        };
        let is_same =
            |known: &&(Table, _)| known.0.terms == table.terms && known.0.columns == table.columns;
        let bound = match self.last.as_ref().filter(is_same) {
            Some((_, bound)) => Arc::clone(bound),
            None => {
                let bound: Arc<[Arc<Expr>]> = cx.routines.terms(table, &mut cx)?.into();
                self.last = Some((table.clone(), Arc::clone(&bound)));
                bound
            }
        };
        let mut state = State::default();
        let mut run = Run { cx: &mut cx, state: &mut state };
        run.check_cancel()?;
        work(&bound, &mut run)
    }
}

impl Terms for DdlTerms<'_> {
    fn extend(
        &mut self,
        table: &Table,
        row: &mut Vec<Value>,
        lent: (&mut dyn Transaction, &dyn Store, &EvalContext),
    ) -> Result<()> {
        self.with_bound(table, lent, |bound, run| extend(table, bound, row, run))
    }

    fn types(
        &mut self,
        table: &Table,
        lent: (&mut dyn Transaction, &dyn Store, &EvalContext),
    ) -> Result<Vec<DataType>> {
        self.with_bound(table, lent, |bound, _| Ok(bound.iter().map(|expr| expr.ty()).collect()))
    }
}
