//! Constant rows.

use driftdb_query::{Expr, Result};
use driftdb_types::DataType;

use super::Operator;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;

pub(crate) struct Values {
    rows: Vec<Vec<Expr>>,
    types: Vec<DataType>,
    next: usize,
}

impl Values {
    pub(crate) fn new(rows: Vec<Vec<Expr>>, types: Vec<DataType>) -> Self {
        Self { rows, types, next: 0 }
    }
}

impl Operator for Values {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if self.next == self.rows.len() {
            return Ok(None);
        }
        run.check_cancel()?;
        let end = self.rows.len().min(self.next + BATCH_ROWS);
        let mut buffer = RowBuffer::new(&self.types, end - self.next);
        for row in &self.rows[self.next..end] {
            for (column, expr) in buffer.builders().iter_mut().zip(row) {
                column.push(evaluate_free(expr, run)?)?;
            }
            buffer.added();
        }
        self.next = end;
        Ok(Some(buffer.finish()))
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.next = 0;
    }
}
