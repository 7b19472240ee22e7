//! Window functions over sorted rows.
//!
//! Rows are kept until the partition they belong to is whole: what is held is one partition, or some small
//! ones together. Past the statement's budget that is an error, as for a sort. Partitions begin where the
//! partition's keys change; peers are rows between which no key of the order changes.
//!
//! Sources: PostgreSQL 15, src/backend/executor/nodeWindowAgg.c and src/backend/utils/adt/windowfuncs.c,
//! whose rules and texts these are.

mod aggregate;
mod frame;
mod function;
mod tree;

use std::sync::Arc;

use driftdb_query::{Expr, PhysicalSortKey, Result, WindowCall, WindowFunction};
use driftdb_types::{DataType, Value};

use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::evaluate_all;
use crate::evaluate::row::evaluate_free;
use crate::vector::{Vector, VectorBuilder};
use frame::{Offsets, Partition};

pub(crate) struct Window {
    input: BoxOperator,
    /// Of the partition, then of the order.
    key_exprs: Vec<Expr>,
    partition_keys: usize,
    order: Vec<PhysicalSortKey>,
    calls: Vec<WindowCall>,
    types: Vec<DataType>,
    kept: Kept,
    /// The offsets of each call's frame, once a row asked for them.
    offsets: Option<Vec<Offsets>>,
    done: Option<Batch>,
    next: usize,
    at_end: bool,
    held_bytes: usize,
}

/// Rows whose partitions may go on.
struct Kept {
    rows: RowBuffer,
    keys: RowBuffer,
    /// Where partitions begin, after the first.
    starts: Vec<usize>,
}

impl Kept {
    fn new(types: &[DataType], keys: &[Expr]) -> Self {
        let key_types: Vec<DataType> = keys.iter().map(Expr::ty).collect();
        let (rows, keys) = (RowBuffer::new(types, 0), RowBuffer::new(&key_types, 0));
        Self { rows, keys, starts: Vec::new() }
    }

    fn differ(&self, keys: std::ops::Range<usize>, a: usize, b: usize) -> bool {
        keys.into_iter().any(|key| {
            let column = self.keys.column(key);
            !column.same(a, column, b)
        })
    }

    fn size_bytes(&self) -> usize {
        self.rows.size_bytes() + self.keys.size_bytes()
    }
}

impl Window {
    pub(crate) fn new(
        input: BoxOperator,
        partition: Vec<Expr>,
        order: Vec<PhysicalSortKey>,
        calls: Vec<WindowCall>,
        types: Vec<DataType>,
    ) -> Self {
        let partition_keys = partition.len();
        let key_exprs: Vec<Expr> =
            partition.into_iter().chain(order.iter().map(|key| key.expr.clone())).collect();
        let kept = Kept::new(&types, &key_exprs);
        Self {
            input,
            key_exprs,
            partition_keys,
            order,
            calls,
            types,
            kept,
            offsets: None,
            done: None,
            next: 0,
            at_end: false,
            held_bytes: 0,
        }
    }

    /// Reads until some partitions are whole, and computes them.
    fn advance(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        let mut whole = 0;
        while whole < BATCH_ROWS && !self.at_end {
            run.check_cancel()?;
            let Some(batch) = pull(&mut self.input, run)? else {
                self.at_end = true;
                whole = self.kept.rows.len();
                break;
            };
            let from = self.kept.rows.len();
            let keys = evaluate_all(&self.key_exprs, &batch, run)?;
            let key_bytes: usize = keys.iter().map(|key| key.size_bytes()).sum();
            let bytes = batch.size_bytes() + key_bytes;
            self.held_bytes += bytes;
            run.hold(bytes)?;
            self.kept.keys.extend(&Batch::new(keys, batch.len()));
            self.kept.rows.extend(&batch);
            for row in from.max(1)..self.kept.rows.len() {
                if self.kept.differ(0..self.partition_keys, row - 1, row) {
                    self.kept.starts.push(row);
                }
            }
            whole = self.kept.starts.last().copied().unwrap_or(0);
        }
        let (rows, keys, starts) = self.split(whole);
        if rows.is_empty() {
            return Ok(());
        }
        self.done = Some(self.compute(rows, &keys, &starts, run)?);
        self.next = 0;
        Ok(())
    }

    /// Takes the first rows out, whose partitions are whole.
    fn split(&mut self, whole: usize) -> (Batch, Batch, Vec<usize>) {
        let kept = std::mem::replace(&mut self.kept, Kept::new(&self.types, &self.key_exprs));
        let mut starts = kept.starts;
        starts.retain(|start| *start < whole);
        starts.insert(0, 0);
        let (rows, keys) = (kept.rows.finish(), kept.keys.finish());
        let rest = rows.len() - whole;
        if rest > 0 {
            self.kept.rows.extend(&rows.slice(whole, rest));
            self.kept.keys.extend(&keys.slice(whole, rest));
            let dense = |batch: Batch| Batch::new(batch.columns(), whole);
            return (dense(rows.slice(0, whole)), dense(keys.slice(0, whole)), starts);
        }
        (rows, keys, starts)
    }

    /// The rows with what the calls yield for them.
    fn compute(
        &mut self,
        rows: Batch,
        keys: &Batch,
        starts: &[usize],
        run: &mut Run<'_, '_>,
    ) -> Result<Batch> {
        if self.offsets.is_none() {
            let offsets = self
                .calls
                .iter()
                .map(|call| Offsets::evaluate(&call.frame, run))
                .collect::<Result<_>>()?;
            self.offsets = Some(offsets);
        }
        let offsets = self.offsets.as_deref().unwrap_or_default();
        let order: Vec<Arc<Vector>> =
            (self.partition_keys..keys.width()).map(|key| keys.column(key)).collect();
        let mut columns = rows.columns();
        let mut computed: Vec<Arc<Vector>> = Vec::with_capacity(self.calls.len());
        for (call, offsets) in self.calls.iter().zip(offsets) {
            let args = evaluate_all(&call.args, &rows, run)?;
            let filter = match &call.filter {
                Some(filter) => Some(crate::evaluate::evaluate_batch(filter, &rows, run)?),
                None => None,
            };
            let mut out = VectorBuilder::new(call.ty, rows.len());
            for (index, start) in starts.iter().enumerate() {
                run.check_cancel()?;
                let end = starts.get(index + 1).copied().unwrap_or(rows.len());
                let mut partition = Partition::new(*start, end, &order, &self.order);
                match call.function {
                    WindowFunction::Aggregate(id) => {
                        let arg_types: Vec<DataType> = call.args.iter().map(Expr::ty).collect();
                        let input = aggregate::Input {
                            aggregate: id,
                            arg_types,
                            args: &args,
                            filter: filter.as_deref(),
                        };
                        aggregate::run(
                            &input,
                            &call.frame,
                            offsets,
                            &mut partition,
                            &mut out,
                            run,
                        )?;
                    }
                    function => {
                        let frame = (&call.frame, offsets);
                        function::run(function, &args, frame, &mut partition, &mut out, run)?;
                    }
                }
            }
            let vector = out.finish();
            let bytes = vector.size_bytes();
            self.held_bytes += bytes;
            run.hold(bytes)?;
            computed.push(Arc::new(vector));
        }
        let len = rows.len();
        columns.extend(computed);
        Ok(Batch::new(columns, len))
    }

    /// Lets go of what was given.
    fn let_go(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        self.done = None;
        run.release(std::mem::take(&mut self.held_bytes));
        self.held_bytes = self.kept.size_bytes();
        run.hold(self.held_bytes)
    }
}

impl Operator for Window {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        loop {
            if let Some(done) = &self.done {
                let count = (done.len() - self.next).min(BATCH_ROWS);
                if count > 0 {
                    let batch = done.slice(self.next, count);
                    self.next += count;
                    return Ok(Some(batch));
                }
                self.let_go(run)?;
            }
            if self.at_end {
                return Ok(None);
            }
            self.advance(run)?;
        }
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        self.kept = Kept::new(&self.types, &self.key_exprs);
        self.offsets = None;
        self.done = None;
        self.next = 0;
        self.at_end = false;
        run.release(std::mem::take(&mut self.held_bytes));
        rebind(&mut self.input, run);
    }
}

/// The value of an expression without columns of the window.
fn free(expr: &Expr, run: &mut Run<'_, '_>) -> Result<Value> {
    evaluate_free(expr, run)
}
