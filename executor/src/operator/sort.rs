//! ORDER BY: stable; with a limit only the first rows are kept.

use std::cmp::Ordering;

use driftdb_query::{Expr, PhysicalSortKey, Result};
use driftdb_types::{DataType, Value};

use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::evaluate_all;
use crate::evaluate::row::evaluate_free;
use crate::vector::Vector;

pub(crate) struct Sort {
    input: BoxOperator,
    keys: Vec<PhysicalSortKey>,
    key_exprs: Vec<Expr>,
    top: Vec<Expr>,
    types: Vec<DataType>,
    sorted: Option<(Batch, Vec<u32>)>,
    next: usize,
    held_bytes: usize,
}

/// The order of two rows by keys, whose columns are given.
pub(crate) fn compare_rows(
    keys: &[PhysicalSortKey],
    columns: &[&Vector],
    a: usize,
    b: usize,
) -> Ordering {
    for (key, column) in keys.iter().zip(columns) {
        let order = match (column.is_null(a), column.is_null(b)) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let order = column.compare(a, column, b);
                if key.descending { order.reverse() } else { order }
            }
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

impl Sort {
    pub(crate) fn new(
        input: BoxOperator,
        keys: Vec<PhysicalSortKey>,
        top: Vec<Expr>,
        types: Vec<DataType>,
    ) -> Self {
        let key_exprs = keys.iter().map(|key| key.expr.clone()).collect();
        Self { input, keys, key_exprs, top, types, sorted: None, next: 0, held_bytes: 0 }
    }

    /// How many rows are needed; `None`: all.
    fn bound(&self, run: &mut Run<'_, '_>) -> Result<Option<usize>> {
        if self.top.is_empty() {
            return Ok(None);
        }
        let mut sum = 0usize;
        for expr in &self.top {
            let value = evaluate_free(expr, run)?;
            let Some(count) = value.as_int() else {
                // OFFSET NULL is none, LIMIT NULL is all: without the clause's name, keep all.
                debug_assert!(value == Value::Null);
                return Ok(None);
            };
            // The limit above reports a negative count.
            sum = sum.saturating_add(usize::try_from(count).unwrap_or(0));
        }
        Ok(Some(sum))
    }

    fn sort(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        let bound = self.bound(run)?;
        let key_types: Vec<DataType> = self.key_exprs.iter().map(Expr::ty).collect();
        let mut rows = RowBuffer::new(&self.types, 0);
        let mut keys = RowBuffer::new(&key_types, 0);
        while let Some(batch) = pull(&mut self.input, run)? {
            run.check_cancel()?;
            let key_columns = evaluate_all(&self.key_exprs, &batch, run)?;
            let key_bytes: usize = key_columns.iter().map(|column| column.size_bytes()).sum();
            let bytes = batch.size_bytes() + key_bytes;
            self.held_bytes += bytes;
            run.hold(bytes)?;
            keys.extend(&Batch::new(key_columns, batch.len()));
            rows.extend(&batch);
            if let Some(bound) = bound
                && rows.len() > bound.saturating_mul(2).max(4 * BATCH_ROWS)
            {
                // What lies beyond the bound now can never come back.
                let order = self.order(&keys, Some(bound));
                let kept = |buffer: RowBuffer, types: &[DataType]| {
                    let batch = buffer.finish().select(&order);
                    let mut kept = RowBuffer::new(types, batch.len());
                    kept.extend(&batch);
                    kept
                };
                rows = kept(rows, &self.types);
                keys = kept(keys, &key_types);
                run.release(std::mem::take(&mut self.held_bytes));
                self.held_bytes = rows.size_bytes() + keys.size_bytes();
                run.hold(self.held_bytes)?;
            }
        }
        let order = self.order(&keys, bound);
        self.sorted = Some((rows.finish(), order));
        Ok(())
    }

    /// The rows in order, up to a bound.
    fn order(&self, keys: &RowBuffer, bound: Option<usize>) -> Vec<u32> {
        let columns: Vec<&Vector> = keys.columns().collect();
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        order.sort_by(|&a, &b| compare_rows(&self.keys, &columns, a as usize, b as usize));
        order.truncate(bound.unwrap_or(usize::MAX));
        order
    }
}

impl Operator for Sort {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if self.sorted.is_none() {
            self.sort(run)?;
        }
        let Some((rows, order)) = &self.sorted else { return Ok(None) };
        let end = order.len().min(self.next + BATCH_ROWS);
        if self.next == end {
            return Ok(None);
        }
        let batch = rows.select(&order[self.next..end]);
        self.next = end;
        Ok(Some(batch))
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        self.sorted = None;
        self.next = 0;
        run.release(std::mem::take(&mut self.held_bytes));
        rebind(&mut self.input, run);
    }
}
