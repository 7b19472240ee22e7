//! Grouping by several sets of expressions at once: one hash table for each set, all fed in one pass.

use std::collections::VecDeque;
use std::sync::Arc;

use driftdb_query::{Expr, PhysicalAggregate, Result};
use driftdb_types::{DataType, Value};

use super::aggregate::Grouping;
use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::{BATCH_ROWS, Batch};
use crate::context::Run;
use crate::evaluate::evaluate_all;
use crate::vector::Vector;

pub(crate) struct GroupingSets {
    input: BoxOperator,
    groups: Vec<Expr>,
    sets: Vec<Vec<usize>>,
    calls: Vec<PhysicalAggregate>,
    groupings: Vec<Vec<usize>>,
    /// What is left to give; `None` before anything was computed.
    results: Option<VecDeque<Batch>>,
    held_bytes: usize,
}

impl GroupingSets {
    pub(crate) fn new(
        input: BoxOperator,
        groups: Vec<Expr>,
        sets: Vec<Vec<usize>>,
        calls: Vec<PhysicalAggregate>,
        groupings: Vec<Vec<usize>>,
    ) -> Self {
        Self { input, groups, sets, calls, groupings, results: None, held_bytes: 0 }
    }

    fn compute(&mut self, run: &mut Run<'_, '_>) -> Result<VecDeque<Batch>> {
        let types: Vec<DataType> = self.groups.iter().map(Expr::ty).collect();
        let mut groupings: Vec<Grouping<'_>> = self
            .sets
            .iter()
            .map(|set| {
                let own: Vec<DataType> = set.iter().map(|place| types[*place]).collect();
                Grouping::new(&own, &self.calls)
            })
            .collect();
        while let Some(batch) = pull(&mut self.input, run)? {
            run.check_cancel()?;
            let keys = evaluate_all(&self.groups, &batch, run)?;
            for (grouping, set) in groupings.iter_mut().zip(&self.sets) {
                let own: Vec<Arc<Vector>> =
                    set.iter().map(|place| Arc::clone(&keys[*place])).collect();
                self.held_bytes += grouping.add(&own, &batch, run)?;
            }
        }
        let mut out = VecDeque::new();
        for (grouping, set) in groupings.into_iter().zip(&self.sets) {
            let (keys, results, count) = grouping.finish(run)?;
            let mut columns = Vec::with_capacity(types.len() + results.len());
            for (place, ty) in types.iter().enumerate() {
                columns.push(match set.iter().position(|own| *own == place) {
                    Some(index) => Arc::clone(&keys[index]),
                    None => Arc::new(Vector::nulls(*ty, count)),
                });
            }
            columns.extend(results);
            for places in &self.groupings {
                let bits = places
                    .iter()
                    .fold(0, |bits, place| bits << 1 | i32::from(!set.contains(place)));
                columns.push(Arc::new(Vector::constant(DataType::Int4, Value::Int4(bits), count)));
            }
            let whole = Batch::new(columns, count);
            for from in (0..count).step_by(BATCH_ROWS) {
                out.push_back(whole.slice(from, BATCH_ROWS.min(count - from)));
            }
        }
        Ok(out)
    }
}

impl Operator for GroupingSets {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let results = match &mut self.results {
            Some(results) => results,
            None => {
                let computed = self.compute(run)?;
                self.results.insert(computed)
            }
        };
        Ok(results.pop_front())
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        self.results = None;
        run.release(std::mem::take(&mut self.held_bytes));
        rebind(&mut self.input, run);
    }
}
