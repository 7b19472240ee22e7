//! Nested-loop join: every left row with every right row; the right side is read once and kept.

use driftdb_query::Result;

use super::join::{END, Emit, Pairs};
use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::{Batch, RowBuffer};
use crate::context::Run;
use crate::vector::Vector;

pub(crate) struct LoopJoin {
    left: BoxOperator,
    right: BoxOperator,
    emit: Emit,
    right_depends: bool,
    rows: Option<RowBuffer>,
    /// The left batch on its way, its row, and the right row to pair it with next.
    probe: Option<(Batch, usize, usize)>,
    rest: Option<usize>,
    held_bytes: usize,
}

impl LoopJoin {
    pub(crate) fn new(
        left: BoxOperator,
        right: BoxOperator,
        emit: Emit,
        right_depends: bool,
    ) -> Self {
        Self {
            left,
            right,
            emit,
            right_depends,
            rows: None,
            probe: None,
            rest: None,
            held_bytes: 0,
        }
    }

    fn read_right(&mut self, run: &mut Run<'_, '_>) -> Result<RowBuffer> {
        let mut rows = RowBuffer::new(&self.emit.right_types, 0);
        while let Some(batch) = pull(&mut self.right, run)? {
            run.check_cancel()?;
            let bytes = batch.size_bytes();
            self.held_bytes += bytes;
            run.hold(bytes)?;
            rows.extend(&batch);
        }
        Ok(rows)
    }

    fn probe(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let (Some(rows), Some((batch, row, candidate))) = (&self.rows, &mut self.probe) else {
            return Ok(None);
        };
        let mut pairs = Pairs::default();
        let candidates = if self.emit.first_decides() { rows.len().min(1) } else { rows.len() };
        while *row < batch.len() && !pairs.is_full() {
            while *candidate < candidates && !pairs.is_full() {
                pairs.push(*row as u32, *candidate as u32);
                *candidate += 1;
            }
            if *candidate == candidates {
                pairs.push(*row as u32, END);
                *row += 1;
                *candidate = 0;
            }
        }
        if pairs.is_empty() {
            return Ok(None);
        }
        let right: Vec<&Vector> = rows.columns().collect();
        self.emit.emit(batch, &right, &mut pairs, run).map(Some)
    }
}

impl Operator for LoopJoin {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if self.rows.is_none() {
            let rows = self.read_right(run)?;
            self.emit.start(rows.len());
            self.rows = Some(rows);
        }
        while self.rest.is_none() {
            run.check_cancel()?;
            match self.probe(run)? {
                Some(batch) if batch.is_empty() => continue,
                Some(batch) => return Ok(Some(batch)),
                None => {}
            }
            match pull(&mut self.left, run)? {
                Some(batch) => self.probe = Some((batch, 0, 0)),
                None => self.rest = Some(0),
            }
        }
        let (Some(rows), Some(from)) = (&self.rows, self.rest) else { return Ok(None) };
        let right: Vec<&Vector> = rows.columns().collect();
        let rest = self.emit.unmatched_right(&right, from);
        Ok(rest.map(|(batch, next)| {
            self.rest = Some(next);
            batch
        }))
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        rebind(&mut self.left, run);
        self.probe = None;
        self.rest = None;
        if self.right_depends || self.rows.is_none() {
            rebind(&mut self.right, run);
            self.rows = None;
            run.release(std::mem::take(&mut self.held_bytes));
        } else if let Some(rows) = &self.rows {
            self.emit.start(rows.len());
        }
    }
}
