//! New columns.

use driftdb_query::{Expr, Result};

use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::Batch;
use crate::context::Run;
use crate::evaluate::evaluate_all;

pub(crate) struct Project {
    input: BoxOperator,
    exprs: Vec<Expr>,
}

impl Project {
    pub(crate) fn new(input: BoxOperator, exprs: Vec<Expr>) -> Self {
        Self { input, exprs }
    }
}

impl Operator for Project {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let Some(batch) = pull(&mut self.input, run)? else { return Ok(None) };
        let columns = evaluate_all(&self.exprs, &batch, run)?;
        Ok(Some(Batch::new(columns, batch.len())))
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        rebind(&mut self.input, run);
    }
}
