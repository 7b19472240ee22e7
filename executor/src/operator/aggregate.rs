//! Grouping by hashing. Groups come out in the order of their first rows.

use std::sync::Arc;

use driftdb_query::{Expr, PhysicalAggregate, Result};
use driftdb_types::{Accumulator, DataType, Value, accumulator};

use super::group_table::GroupTable;
use super::sort::compare_rows;
use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::{evaluate_all, evaluate_batch};
use crate::vector::{Data, Vector};

pub(crate) struct Aggregate {
    input: BoxOperator,
    groups: Vec<Expr>,
    calls: Vec<PhysicalAggregate>,
    types: Vec<DataType>,
    result: Option<Batch>,
    next: usize,
    held_bytes: usize,
}

/// One aggregate call over all groups.
struct Call<'a> {
    call: &'a PhysicalAggregate,
    arg_types: Vec<DataType>,
    /// One per group.
    accumulators: Vec<Box<dyn Accumulator>>,
    /// DISTINCT: the groups and arguments seen.
    seen: Option<GroupTable>,
    /// ORDER BY: arguments and keys, to be fed in order at the end, and their groups.
    ordered: Option<(RowBuffer, Vec<u32>)>,
}

/// About how much memory an accumulator takes.
const ACCUMULATOR_BYTES: usize = 64;

impl Aggregate {
    pub(crate) fn new(
        input: BoxOperator,
        groups: Vec<Expr>,
        calls: Vec<PhysicalAggregate>,
    ) -> Self {
        let types = groups.iter().map(Expr::ty).chain(calls.iter().map(|call| call.ty)).collect();
        Self { input, groups, calls, types, result: None, next: 0, held_bytes: 0 }
    }

    fn compute(&mut self, run: &mut Run<'_, '_>) -> Result<Batch> {
        let group_types: Vec<DataType> = self.groups.iter().map(Expr::ty).collect();
        let mut groups = GroupTable::new(&group_types);
        let mut calls: Vec<Call<'_>> = self.calls.iter().map(Call::new).collect();
        let mut group_count = 0;
        if self.groups.is_empty() {
            group_count = 1;
            calls.iter_mut().for_each(|call| call.grow(1));
        }
        while let Some(batch) = pull(&mut self.input, run)? {
            run.check_cancel()?;
            let numbers = if self.groups.is_empty() {
                vec![0; batch.len()]
            } else {
                let keys = evaluate_all(&self.groups, &batch, run)?;
                let hashes = GroupTable::hash(&keys, batch.len());
                let numbers: Vec<u32> =
                    (0..batch.len()).map(|row| groups.insert(&keys, row, hashes[row]).0).collect();
                let added = groups.len() - group_count;
                let key_bytes: usize = keys.iter().map(|key| key.size_bytes()).sum();
                let bytes = added * (GroupTable::ROW_BYTES + calls.len() * ACCUMULATOR_BYTES)
                    + key_bytes * added / batch.len().max(1);
                self.held_bytes += bytes;
                run.hold(bytes)?;
                group_count = groups.len();
                numbers
            };
            for call in &mut calls {
                call.grow(group_count);
                let bytes = call.add(&batch, &numbers, run)?;
                self.held_bytes += bytes;
                run.hold(bytes)?;
            }
        }
        let mut columns: Vec<Arc<Vector>> = Vec::with_capacity(self.types.len());
        columns.extend(groups.rows().columns().map(|column| Arc::new(column.clone())));
        for call in calls {
            columns.push(Arc::new(call.finish(run)?));
        }
        Ok(Batch::new(columns, group_count))
    }
}

impl<'a> Call<'a> {
    fn new(call: &'a PhysicalAggregate) -> Self {
        let arg_types = call.args.iter().map(Expr::ty);
        let types = arg_types.clone().collect();
        let seen = call.distinct.then(|| {
            let types: Vec<DataType> =
                [DataType::Int8].into_iter().chain(arg_types.clone()).collect();
            GroupTable::new(&types)
        });
        let ordered = (!call.order_by.is_empty()).then(|| {
            let keys = call.order_by.iter().map(|key| key.expr.ty());
            (RowBuffer::new(&arg_types.chain(keys).collect::<Vec<_>>(), 0), Vec::new())
        });
        Self { call, arg_types: types, accumulators: Vec::new(), seen, ordered }
    }

    /// Makes room for so many groups.
    fn grow(&mut self, groups: usize) {
        while self.accumulators.len() < groups {
            self.accumulators.push(accumulator(self.call.aggregate, &self.arg_types));
        }
    }

    /// Adds the rows of a batch to their groups; returns the memory taken besides the groups.
    fn add(&mut self, batch: &Batch, numbers: &[u32], run: &mut Run<'_, '_>) -> Result<usize> {
        let (batch, numbers) = match &self.call.filter {
            None => (batch.clone(), numbers.to_vec()),
            Some(filter) => {
                let truth = evaluate_batch(filter, batch, run)?;
                let rows: Vec<u32> =
                    (0..batch.len() as u32).filter(|&row| truth.is_true(row as usize)).collect();
                let numbers = rows.iter().map(|&row| numbers[row as usize]).collect();
                (batch.select(&rows), numbers)
            }
        };
        let mut args = evaluate_all(&self.call.args, &batch, run)?;
        let mut rows: Option<Vec<u32>> = None;
        let mut bytes = 0;
        if let Some(seen) = &mut self.seen {
            let groups = numbers.iter().map(|&number| i64::from(number)).collect();
            let mut keys = vec![Arc::new(Vector::ints(DataType::Int8, groups, None))];
            keys.extend(args.iter().cloned());
            let (fresh, taken) = super::distinct::fresh_rows(seen, &keys, batch.len());
            bytes += taken;
            rows = Some(fresh);
        }
        if let Some((buffer, groups)) = &mut self.ordered {
            let keys: Vec<Expr> = self.call.order_by.iter().map(|key| key.expr.clone()).collect();
            args.extend(evaluate_all(&keys, &batch, run)?);
            let mut keep = |row: usize| {
                buffer.push_from(&args, row);
                groups.push(numbers[row]);
            };
            match &rows {
                Some(rows) => rows.iter().for_each(|&row| keep(row as usize)),
                None => (0..batch.len()).for_each(keep),
            }
            bytes += args.iter().map(|arg| arg.size_bytes()).sum::<usize>() + batch.len() * 4;
            return Ok(bytes);
        }
        if driftdb_types::aggregate(self.call.aggregate).name == "string_agg" {
            bytes += args.iter().map(|arg| arg.size_bytes()).sum::<usize>();
        }
        let mut feed =
            |row: usize| feed(&mut *self.accumulators[numbers[row] as usize], &args, row);
        match &rows {
            Some(rows) => rows.iter().try_for_each(|&row| feed(row as usize))?,
            None => (0..batch.len()).try_for_each(feed)?,
        }
        Ok(bytes)
    }

    /// The results, one per group.
    fn finish(mut self, run: &mut Run<'_, '_>) -> Result<Vector> {
        if let Some((buffer, groups)) = self.ordered.take() {
            run.check_cancel()?;
            let width = self.call.args.len();
            let keys: Vec<&Vector> = buffer.columns().skip(width).collect();
            let mut order: Vec<u32> = (0..buffer.len() as u32).collect();
            order
                .sort_by(|&a, &b| compare_rows(&self.call.order_by, &keys, a as usize, b as usize));
            for row in order {
                let row = row as usize;
                let values: Vec<Value> =
                    buffer.columns().take(width).map(|column| column.value(row)).collect();
                self.accumulators[groups[row] as usize].update(&values)?;
            }
        }
        let mut results = Vec::with_capacity(self.accumulators.len());
        for accumulator in &mut self.accumulators {
            results.push(accumulator.finish()?);
        }
        Vector::from_values(self.call.ty, results)
    }
}

/// Hands one row's arguments to an accumulator.
fn feed(accumulator: &mut dyn Accumulator, args: &[Arc<Vector>], row: usize) -> Result<()> {
    match args {
        [] => accumulator.update(&[])?,
        [arg] if arg.is_null(row) => accumulator.update(&[Value::Null])?,
        [arg] => match arg.data() {
            Data::Int(data) => accumulator.update_int(arg.ty(), data[row])?,
            Data::Float(data) if arg.ty() == DataType::Float8 => {
                accumulator.update_float(data[row])?;
            }
            _ => accumulator.update(&[arg.value(row)])?,
        },
        _ => {
            let values: Vec<Value> = args.iter().map(|arg| arg.value(row)).collect();
            accumulator.update(&values)?;
        }
    }
    Ok(())
}

impl Operator for Aggregate {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if self.result.is_none() {
            let result = self.compute(run)?;
            self.result = Some(result);
        }
        let Some(result) = &self.result else { return Ok(None) };
        let count = (result.len() - self.next).min(BATCH_ROWS);
        if count == 0 {
            return Ok(None);
        }
        let batch = result.slice(self.next, count);
        self.next += count;
        Ok(Some(batch))
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        self.result = None;
        self.next = 0;
        run.release(std::mem::take(&mut self.held_bytes));
        rebind(&mut self.input, run);
    }
}
