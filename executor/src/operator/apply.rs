//! Apply: the right side is started over for each left row, with values of that row handed down.

use std::sync::Arc;

use driftdb_query::{Expr, Result};
use driftdb_types::Value;

use super::join::{END, Emit, Pairs};
use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::evaluate_all;
use crate::vector::Vector;

pub(crate) struct Apply {
    left: BoxOperator,
    right: BoxOperator,
    outer: Vec<Expr>,
    emit: Emit,
    probe: Option<Probe>,
    right_started: bool,
}

/// A left batch on its way.
struct Probe {
    batch: Batch,
    handed: Vec<Arc<Vector>>,
    row: usize,
    /// What is handed down for `row`, once its right side was started.
    frame: Option<Arc<[Value]>>,
}

impl Apply {
    pub(crate) fn new(left: BoxOperator, right: BoxOperator, outer: Vec<Expr>, emit: Emit) -> Self {
        Self { left, right, outer, emit, probe: None, right_started: false }
    }

    /// Joins rows of the current left batch until there are enough for a batch.
    fn probe(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let Some(probe) = &mut self.probe else { return Ok(None) };
        let mut pairs = Pairs::default();
        let mut rows = RowBuffer::new(&self.emit.right_types, 0);
        while probe.row < probe.batch.len() && !pairs.is_full() && rows.len() < BATCH_ROWS {
            let frame = match &probe.frame {
                Some(frame) => Arc::clone(frame),
                None => {
                    let frame: Arc<[Value]> =
                        probe.handed.iter().map(|vector| vector.value(probe.row)).collect();
                    if self.right_started {
                        run.in_frame(&frame, |run| rebind(&mut self.right, run));
                    }
                    self.right_started = true;
                    Arc::clone(probe.frame.insert(frame))
                }
            };
            let batch = run.in_frame(&frame, |run| pull(&mut self.right, run))?;
            let ended = match batch {
                Some(batch) => {
                    let first = rows.len() as u32;
                    rows.extend(&batch);
                    (first..rows.len() as u32)
                        .for_each(|right| pairs.push(probe.row as u32, right));
                    self.emit.first_decides() && !batch.is_empty()
                }
                None => true,
            };
            if ended {
                pairs.push(probe.row as u32, END);
                probe.row += 1;
                probe.frame = None;
            }
        }
        if pairs.is_empty() {
            return Ok(None);
        }
        let right: Vec<&Vector> = rows.columns().collect();
        self.emit.emit(&probe.batch, &right, &mut pairs, run).map(Some)
    }
}

impl Operator for Apply {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        loop {
            run.check_cancel()?;
            match self.probe(run)? {
                Some(batch) if batch.is_empty() => continue,
                Some(batch) => return Ok(Some(batch)),
                None => {}
            }
            let Some(batch) = pull(&mut self.left, run)? else { return Ok(None) };
            let handed = evaluate_all(&self.outer, &batch, run)?;
            self.probe = Some(Probe { batch, handed, row: 0, frame: None });
        }
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        rebind(&mut self.left, run);
        self.probe = None;
        self.emit.start(0);
    }
}
