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
        Self { input, groups, calls, result: None, next: 0, held_bytes: 0 }
    }

    fn compute(&mut self, run: &mut Run<'_, '_>) -> Result<Batch> {
        let group_types: Vec<DataType> = self.groups.iter().map(Expr::ty).collect();
        let mut grouping = Grouping::new(&group_types, &self.calls);
        while let Some(batch) = pull(&mut self.input, run)? {
            run.check_cancel()?;
            let keys = evaluate_all(&self.groups, &batch, run)?;
            self.held_bytes += grouping.add(&keys, &batch, run)?;
        }
        let (mut columns, results, count) = grouping.finish(run)?;
        columns.extend(results);
        Ok(Batch::new(columns, count))
    }
}

/// Groups and what is aggregated over each.
pub(crate) struct Grouping<'a> {
    groups: GroupTable,
    calls: Vec<Call<'a>>,
    /// Without keys there is one group, also of no rows.
    has_keys: bool,
    count: usize,
}

impl<'a> Grouping<'a> {
    pub(crate) fn new(key_types: &[DataType], calls: &'a [PhysicalAggregate]) -> Self {
        let mut calls: Vec<Call<'a>> = calls.iter().map(Call::new).collect();
        let has_keys = !key_types.is_empty();
        if !has_keys {
            calls.iter_mut().for_each(|call| call.grow(1));
        }
        let groups = GroupTable::new(key_types);
        Self { groups, calls, has_keys, count: usize::from(!has_keys) }
    }

    /// Adds the rows of a batch; returns the memory taken, which is accounted for.
    pub(crate) fn add(
        &mut self,
        keys: &[Arc<Vector>],
        batch: &Batch,
        run: &mut Run<'_, '_>,
    ) -> Result<usize> {
        let mut held_bytes = 0;
        let numbers = if self.has_keys {
            let hashes = GroupTable::hash(keys, batch.len());
            let numbers: Vec<u32> =
                (0..batch.len()).map(|row| self.groups.insert(keys, row, hashes[row]).0).collect();
            let added = self.groups.len() - self.count;
            let key_bytes: usize = keys.iter().map(|key| key.size_bytes()).sum();
            held_bytes = added * (GroupTable::ROW_BYTES + self.calls.len() * ACCUMULATOR_BYTES)
                + key_bytes * added / batch.len().max(1);
            run.hold(held_bytes)?;
            self.count = self.groups.len();
            numbers
        } else {
            vec![0; batch.len()]
        };
        for call in &mut self.calls {
            call.grow(self.count);
            let bytes = call.add(batch, &numbers, run)?;
            held_bytes += bytes;
            run.hold(bytes)?;
        }
        Ok(held_bytes)
    }

    /// The keys, what the calls yield, and how many groups there are.
    #[expect(clippy::type_complexity, reason = "keys and results are both columns")]
    pub(crate) fn finish(
        self,
        run: &mut Run<'_, '_>,
    ) -> Result<(Vec<Arc<Vector>>, Vec<Arc<Vector>>, usize)> {
        let keys = self.groups.rows().columns().map(|column| Arc::new(column.clone())).collect();
        let mut results = Vec::with_capacity(self.calls.len());
        for call in self.calls {
            results.push(Arc::new(call.finish(run)?));
        }
        Ok((keys, results, self.count))
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
pub(crate) fn feed(
    accumulator: &mut dyn Accumulator,
    args: &[Arc<Vector>],
    row: usize,
) -> Result<()> {
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
