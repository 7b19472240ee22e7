//! System relations: batches of rows from whoever has them, each with the relation's `tableoid`.

use std::collections::VecDeque;
use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{Expr, Result, SystemRelation};
use driftdb_types::{DataType, Value};

use super::Operator;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;

pub(crate) struct SystemScan {
    relation: Arc<SystemRelation>,
    at: ReadAt,
    /// Where the key begins and ends, or nothing.
    bounds: Vec<Expr>,
    types: Vec<DataType>,
    /// The keys that were not asked for yet; `None` before the first call.
    rest: Option<Rest>,
    /// Rows that are there but not given yet.
    rows: VecDeque<Vec<Value>>,
}

struct Rest {
    from: Option<i64>,
    to: i64,
}

impl SystemScan {
    pub(crate) fn new(
        relation: &Arc<SystemRelation>,
        at: ReadAt,
        bounds: Vec<Expr>,
        types: Vec<DataType>,
    ) -> Self {
        let relation = Arc::clone(relation);
        Self { relation, at, bounds, types, rest: None, rows: VecDeque::new() }
    }

    fn start(&self, run: &mut Run<'_, '_>) -> Result<Rest> {
        let mut ends = [i64::MIN, i64::MAX];
        for (end, bound) in ends.iter_mut().zip(&self.bounds) {
            // No number is no limit; the filter above decides.
            *end = evaluate_free(bound, run)?.as_int().unwrap_or(*end);
        }
        let [from, to] = ends;
        Ok(Rest { from: (from <= to).then_some(from), to })
    }
}

impl Operator for SystemScan {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        run.check_cancel()?;
        let rest = match &mut self.rest {
            Some(rest) => rest,
            None => {
                let rest = self.start(run)?;
                self.rest.insert(rest)
            }
        };
        if self.rows.is_empty() {
            let Some(from) = rest.from else { return Ok(None) };
            let scan = driftdb_query::SystemScan {
                relation: &self.relation,
                at: self.at,
                keys: from..=rest.to,
            };
            let mut rows = Vec::new();
            let next = run.cx.system.rows(&scan, run.cx.txn, &mut rows)?;
            rest.from = next.filter(|next| *next <= rest.to);
            self.rows = rows.into();
        }
        let count = self.rows.len().min(BATCH_ROWS);
        let mut out = RowBuffer::new(&self.types, count);
        let tableoid = Value::Oid(self.relation.oid);
        for row in self.rows.drain(..count) {
            out.push(row.into_iter().chain([tableoid.clone()]))?;
        }
        Ok(Some(out.finish()))
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.rest = None;
        self.rows.clear();
    }
}
