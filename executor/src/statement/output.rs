//! Rows that RETURNING yields.

use std::collections::VecDeque;

use driftdb_query::{Expr, Field, Result};
use driftdb_types::{DataType, Value};

use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_row;

/// Evaluates RETURNING and keeps the rows.
pub(crate) struct Output<'a> {
    exprs: Option<&'a [Expr]>,
    types: Vec<DataType>,
    buffer: RowBuffer,
    batches: VecDeque<Batch>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(exprs: Option<&'a [Expr]>, fields: &[Field]) -> Self {
        let types: Vec<DataType> = fields.iter().map(|field| field.ty).collect();
        let buffer = RowBuffer::new(&types, 0);
        Self { exprs, types, buffer, batches: VecDeque::new() }
    }

    /// Whether there is a RETURNING at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.exprs.is_some()
    }

    /// Adds the row that RETURNING makes of `row`.
    pub(crate) fn add(&mut self, row: &[Value], run: &mut Run<'_, '_>) -> Result<()> {
        let Some(exprs) = self.exprs else { return Ok(()) };
        let values: Vec<Value> =
            exprs.iter().map(|expr| evaluate_row(expr, row, run)).collect::<Result<_>>()?;
        self.buffer.push(values)?;
        if self.buffer.len() == BATCH_ROWS {
            self.flush(run)?;
        }
        Ok(())
    }

    fn flush(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        if self.buffer.len() == 0 {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, RowBuffer::new(&self.types, 0));
        let batch = full.finish();
        run.hold(batch.size_bytes())?;
        self.batches.push_back(batch);
        Ok(())
    }

    /// All rows.
    pub(crate) fn finish(mut self, run: &mut Run<'_, '_>) -> Result<VecDeque<Batch>> {
        self.flush(run)?;
        Ok(self.batches)
    }
}
