//! Partial states of an aggregate over a partition, in levels.
//!
//! A node of the lowest level stands for [`FAN`] rows, one of the next for as many nodes. Any frame is then
//! put together from a few rows and nodes: O(log n) of them, in the order of the rows.
//!
//! Sources: [Leis15] (segment trees for window functions); here only as much of one as sums need.

use driftdb_query::Result;
use driftdb_types::Accumulator;

use super::aggregate::Input;
use super::frame::Span;
use crate::context::Run;

const FAN: usize = 16;

/// About how much memory a node takes.
const NODE_BYTES: usize = 96;

pub(super) struct Tree {
    start: usize,
    levels: Vec<Vec<Box<dyn Accumulator>>>,
    held_bytes: usize,
}

impl Tree {
    /// The tree of a partition; without levels if the aggregate's states cannot be put together.
    pub(super) fn build(
        input: &Input<'_>,
        (start, end): Span,
        run: &mut Run<'_, '_>,
    ) -> Result<Self> {
        let mut tree = Self { start, levels: Vec::new(), held_bytes: 0 };
        if !input.fresh().merge(&*input.fresh())? {
            return Ok(tree);
        }
        let held_bytes = (end - start) / FAN * NODE_BYTES * 17 / 16;
        run.hold(held_bytes)?;
        tree.held_bytes = held_bytes;
        let mut level = Vec::with_capacity((end - start) / FAN);
        let mut from = start;
        while from + FAN <= end {
            let mut state = input.fresh();
            input.add(&mut *state, (from, from + FAN))?;
            level.push(state);
            from += FAN;
        }
        while !level.is_empty() {
            let mut above: Vec<Box<dyn Accumulator>> = Vec::with_capacity(level.len() / FAN);
            for nodes in level.chunks_exact(FAN) {
                let mut state = input.fresh();
                for node in nodes {
                    state.merge(&**node)?;
                }
                above.push(state);
            }
            tree.levels.push(std::mem::replace(&mut level, above));
        }
        Ok(tree)
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.levels.is_empty()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Adds rows to a state, in order.
    pub(super) fn add(
        &self,
        input: &Input<'_>,
        state: &mut dyn Accumulator,
        (from, to): Span,
    ) -> Result<()> {
        let mut at = from;
        while at < to {
            // The largest node that begins here and does not reach beyond the end.
            let mut best = None;
            let mut size = FAN;
            for level in &self.levels {
                let place = at - self.start;
                if !place.is_multiple_of(size) || at + size > to || place / size >= level.len() {
                    break;
                }
                best = Some((&level[place / size], size));
                size *= FAN;
            }
            match best {
                Some((node, size)) => {
                    state.merge(&**node)?;
                    at += size;
                }
                None => {
                    let next = self.start + ((at - self.start) / FAN + 1) * FAN;
                    let next = next.min(to);
                    input.add(state, (at, next))?;
                    at = next;
                }
            }
        }
        Ok(())
    }
}
