//! WITH: common table expressions, computed as far as they are read, and kept.

use std::sync::Arc;

use driftdb_query::{CteId, Result, SqlError};
use driftdb_types::Value;

use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::Batch;
use crate::context::Run;

/// A common table expression in reach of the running operators.
pub(crate) struct CteSlot {
    operator: Option<BoxOperator>,
    /// What was handed down where the expression stands, not where it is read.
    frame: Arc<[Value]>,
    /// What was computed so far, and whether that is all.
    batches: Vec<Batch>,
    is_whole: bool,
    held_bytes: usize,
}

/// The node that brings common table expressions into reach.
pub(crate) struct With {
    /// The operators; they move to their slots at the first call.
    pending: Vec<(CteId, BoxOperator)>,
    ids: Vec<CteId>,
    /// Those that are changes: they happen even if nobody reads them.
    changes: Vec<CteId>,
    body: BoxOperator,
}

impl With {
    pub(crate) fn new(
        ctes: Vec<(CteId, BoxOperator)>,
        changes: Vec<CteId>,
        body: BoxOperator,
    ) -> Self {
        let ids = ctes.iter().map(|(id, _)| *id).collect();
        Self { pending: ctes, ids, changes, body }
    }
}

impl Operator for With {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        for (id, operator) in self.pending.drain(..) {
            let frame = Arc::clone(&run.state.frame);
            let slot = CteSlot {
                operator: Some(operator),
                frame,
                batches: Vec::new(),
                is_whole: false,
                held_bytes: 0,
            };
            run.state.ctes.insert(id, slot);
        }
        if !self.changes.is_empty() {
            run.state.claims.get_or_insert_default();
        }
        let batch = pull(&mut self.body, run)?;
        if batch.is_none() {
            for id in self.changes.drain(..) {
                let mut index = 0;
                while batch_of(id, index, run)?.is_some() {
                    index += 1;
                }
            }
        }
        Ok(batch)
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        for id in &self.ids {
            let frame = Arc::clone(&run.state.frame);
            let Some(slot) = run.state.ctes.get_mut(id) else { continue };
            slot.frame = frame;
            slot.batches.clear();
            slot.is_whole = false;
            let held_bytes = std::mem::take(&mut slot.held_bytes);
            let Some(mut operator) = slot.operator.take() else { continue };
            run.release(held_bytes);
            rebind(&mut operator, run);
            if let Some(slot) = run.state.ctes.get_mut(id) {
                slot.operator = Some(operator);
            }
        }
        run.state.subplans.values_mut().for_each(crate::subplan::SubplanState::forget_ctes);
        rebind(&mut self.body, run);
    }
}

/// Reads a common table expression.
pub(crate) struct CteScan {
    cte: CteId,
    next: usize,
}

impl CteScan {
    pub(crate) fn new(cte: CteId) -> Self {
        Self { cte, next: 0 }
    }
}

/// The batch at a place, computed now if nobody has read so far yet.
fn batch_of(id: CteId, index: usize, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
    let out_of_reach =
        || SqlError::internal(format!("common table expression {} is not in reach", id.0));
    loop {
        let slot = run.state.ctes.get_mut(&id).ok_or_else(out_of_reach)?;
        if let Some(batch) = slot.batches.get(index) {
            return Ok(Some(batch.clone()));
        }
        if slot.is_whole {
            return Ok(None);
        }
        let frame = Arc::clone(&slot.frame);
        let mut operator = slot.operator.take().ok_or_else(out_of_reach)?;
        let pulled = run.in_frame(&frame, |run| {
            let batch = pull(&mut operator, run)?;
            run.hold(batch.as_ref().map_or(0, Batch::size_bytes))?;
            Ok::<_, SqlError>(batch)
        });
        let slot = run.state.ctes.get_mut(&id).ok_or_else(out_of_reach)?;
        slot.operator = Some(operator);
        match pulled? {
            None => slot.is_whole = true,
            Some(batch) => {
                slot.held_bytes += batch.size_bytes();
                if !batch.is_empty() {
                    slot.batches.push(batch);
                }
            }
        }
    }
}

impl Operator for CteScan {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let batch = batch_of(self.cte, self.next, run)?;
        self.next += 1;
        Ok(batch)
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.next = 0;
    }
}
