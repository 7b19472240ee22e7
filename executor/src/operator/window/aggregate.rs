//! Aggregates over frames.
//!
//! * A frame that only grows at its end goes on with the state of the row before.
//! * A frame that also loses rows at its start takes them back out, where the aggregate can do so exactly.
//! * Any other is computed anew: row by row if it is short or the aggregate must see rows one by one, else
//!   from a [`Tree`] of partial states. Only for floats may that differ from PostgreSQL, in the last digits
//!   of frames longer than [`SHORT`] rows, for which PostgreSQL adds up every frame from its first row.

use std::sync::Arc;

use driftdb_query::{Frame, Result};
use driftdb_types::{Accumulator, AggregateId, DataType, Value, accumulator};

use super::frame::{Offsets, Partition, Span};
use super::tree::Tree;
use crate::context::Run;
use crate::operator::aggregate::feed;
use crate::vector::{Vector, VectorBuilder};

/// Frames up to here are computed row by row.
pub(super) const SHORT: usize = 256;

/// What an aggregate is computed from.
pub(super) struct Input<'a> {
    pub(super) aggregate: AggregateId,
    pub(super) arg_types: Vec<DataType>,
    pub(super) args: &'a [Arc<Vector>],
    pub(super) filter: Option<&'a Vector>,
}

impl Input<'_> {
    pub(super) fn fresh(&self) -> Box<dyn Accumulator> {
        accumulator(self.aggregate, &self.arg_types)
    }

    fn counts(&self, row: usize) -> bool {
        self.filter.is_none_or(|filter| filter.is_true(row))
    }

    /// Adds rows to a state.
    pub(super) fn add(&self, state: &mut dyn Accumulator, (from, to): Span) -> Result<()> {
        (from..to).filter(|row| self.counts(*row)).try_for_each(|row| feed(state, self.args, row))
    }

    /// Takes rows back out of a state; false if that cannot be.
    fn retract(&self, state: &mut dyn Accumulator, (from, to): Span) -> bool {
        (from..to).filter(|row| self.counts(*row)).all(|row| {
            let values: Vec<Value> = self.args.iter().map(|arg| arg.value(row)).collect();
            state.retract(&values)
        })
    }
}

/// Adds what the aggregate yields for each row of a partition.
pub(super) fn run(
    input: &Input<'_>,
    frame: &Frame,
    offsets: &Offsets,
    partition: &mut Partition<'_>,
    out: &mut VectorBuilder,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let mut state = input.fresh();
    let mut covered: [Span; 3] = [(partition.start, partition.start), (0, 0), (0, 0)];
    let mut value: Option<Value> = None;
    let mut can_retract = true;
    let mut tree: Option<Tree> = None;
    let mut steps = 0usize;
    for row in partition.start..partition.end {
        partition.go_to(row);
        let spans = partition.spans(row, frame, offsets, run)?;
        if let Some(value) = value.as_ref().filter(|_| spans == covered) {
            out.push(value.clone())?;
            continue;
        }
        steps += 1;
        if steps.is_multiple_of(1024) {
            run.check_cancel()?;
        }
        let [(old_start, old_end), ..] = covered;
        let [(start, end), second, third] = spans;
        let is_one = |spans: &[Span; 3]| spans[1..].iter().all(|(from, to)| from == to);
        let goes_on = is_one(&spans)
            && is_one(&covered)
            && start >= old_start
            && end >= old_end
            && start <= old_end
            && start < end;
        let mut is_done = false;
        if goes_on && (start == old_start || can_retract) {
            is_done = start == old_start || input.retract(&mut *state, (old_start, start));
            can_retract &= is_done;
            if is_done {
                input.add(&mut *state, (old_end, end))?;
            }
        }
        if !is_done {
            state = input.fresh();
            let len = |(from, to): Span| to - from;
            let is_long = len((start, end)) + len(second) + len(third) > SHORT;
            if is_long && tree.is_none() {
                tree = Some(Tree::build(input, (partition.start, partition.end), run)?);
            }
            for span in spans {
                match tree.as_ref().filter(|tree| is_long && tree.is_usable()) {
                    Some(tree) => tree.add(input, &mut *state, span)?,
                    None => input.add(&mut *state, span)?,
                }
            }
        }
        covered = spans;
        let result = state.boxed_clone().finish()?;
        run.hold(result.heap_bytes())?;
        out.push(result.clone())?;
        run.release(result.heap_bytes());
        value = Some(result);
    }
    if let Some(tree) = tree {
        run.release(tree.held_bytes());
    }
    Ok(())
}
