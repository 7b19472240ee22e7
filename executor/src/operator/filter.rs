//! Rows for which a predicate is true.

use driftdb_query::{Expr, Result};

use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::Batch;
use crate::context::Run;
use crate::evaluate::evaluate_batch;

pub(crate) struct Filter {
    input: BoxOperator,
    predicate: Expr,
}

impl Filter {
    pub(crate) fn new(input: BoxOperator, predicate: Expr) -> Self {
        Self { input, predicate }
    }
}

/// The rows of a batch for which `predicate` is true.
pub(crate) fn filtered(batch: Batch, predicate: &Expr, run: &mut Run<'_, '_>) -> Result<Batch> {
    let truth = evaluate_batch(predicate, &batch, run)?;
    let rows: Vec<u32> =
        (0..batch.len()).filter(|&row| truth.is_true(row)).map(|row| row as u32).collect();
    Ok(if rows.len() == batch.len() { batch } else { batch.select(&rows) })
}

impl Operator for Filter {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        while let Some(batch) = pull(&mut self.input, run)? {
            run.check_cancel()?;
            let batch = filtered(batch, &self.predicate, run)?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        rebind(&mut self.input, run);
    }
}
