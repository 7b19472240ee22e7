//! WITH: common table expressions, computed when first read, and kept.

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
    batches: Option<Arc<Vec<Batch>>>,
    held_bytes: usize,
}

/// The node that brings common table expressions into reach.
pub(crate) struct With {
    /// The operators; they move to their slots at the first call.
    pending: Vec<(CteId, BoxOperator)>,
    ids: Vec<CteId>,
    body: BoxOperator,
}

impl With {
    pub(crate) fn new(ctes: Vec<(CteId, BoxOperator)>, body: BoxOperator) -> Self {
        let ids = ctes.iter().map(|(id, _)| *id).collect();
        Self { pending: ctes, ids, body }
    }
}

impl Operator for With {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        for (id, operator) in self.pending.drain(..) {
            let frame = Arc::clone(&run.state.frame);
            let slot = CteSlot { operator: Some(operator), frame, batches: None, held_bytes: 0 };
            run.state.ctes.insert(id, slot);
        }
        pull(&mut self.body, run)
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        for id in &self.ids {
            let frame = Arc::clone(&run.state.frame);
            let Some(slot) = run.state.ctes.get_mut(id) else { continue };
            slot.frame = frame;
            slot.batches = None;
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
    batches: Option<Arc<Vec<Batch>>>,
    next: usize,
}

impl CteScan {
    pub(crate) fn new(cte: CteId) -> Self {
        Self { cte, batches: None, next: 0 }
    }
}

/// The rows of an expression, computed now if nobody has read it yet.
fn rows_of(id: CteId, run: &mut Run<'_, '_>) -> Result<Arc<Vec<Batch>>> {
    let out_of_reach =
        || SqlError::internal(format!("common table expression {} is not in reach", id.0));
    let slot = run.state.ctes.get_mut(&id).ok_or_else(out_of_reach)?;
    if let Some(batches) = &slot.batches {
        return Ok(Arc::clone(batches));
    }
    let frame = Arc::clone(&slot.frame);
    let mut operator = slot.operator.take().ok_or_else(out_of_reach)?;
    let mut held_bytes = 0;
    let computed = run.in_frame(&frame, |run| -> Result<Vec<Batch>> {
        let mut batches = Vec::new();
        while let Some(batch) = pull(&mut operator, run)? {
            let size_bytes = batch.size_bytes();
            held_bytes += size_bytes;
            run.hold(size_bytes)?;
            if !batch.is_empty() {
                batches.push(batch);
            }
        }
        Ok(batches)
    });
    let slot = run.state.ctes.get_mut(&id).ok_or_else(out_of_reach)?;
    slot.operator = Some(operator);
    slot.held_bytes = held_bytes;
    let batches = Arc::new(computed?);
    slot.batches = Some(Arc::clone(&batches));
    Ok(batches)
}

impl Operator for CteScan {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let batches = match &self.batches {
            Some(batches) => batches,
            None => self.batches.insert(rows_of(self.cte, run)?),
        };
        let batch = batches.get(self.next).cloned();
        self.next += 1;
        Ok(batch)
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.batches = None;
        self.next = 0;
    }
}
