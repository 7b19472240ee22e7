//! The rows of a function of a user's.

use std::sync::Arc;
use std::vec::IntoIter;

use driftdb_query::{Expr, Result, RoutineCall};
use driftdb_types::{DataType, Value};

use super::Operator;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;
use crate::routine::call_rows;

pub(crate) struct RoutineScan {
    call: Arc<RoutineCall>,
    ordinality: bool,
    args: Vec<Expr>,
    types: Vec<DataType>,
    /// Once it was called: what is left, and how many rows were given.
    rows: Option<(IntoIter<Vec<Value>>, i64)>,
}

impl RoutineScan {
    pub(crate) fn new(
        call: Arc<RoutineCall>,
        ordinality: bool,
        args: Vec<Expr>,
        types: Vec<DataType>,
    ) -> Self {
        Self { call, ordinality, args, types, rows: None }
    }
}

impl Operator for RoutineScan {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        run.check_cancel()?;
        let (mut rows, mut number) = match self.rows.take() {
            Some(rows) => rows,
            None => {
                let args = self.args.iter().map(|arg| evaluate_free(arg, run));
                let args = args.collect::<Result<Vec<Value>>>()?;
                (call_rows(&self.call, args, run)?.into_iter(), 0)
            }
        };
        let mut out = RowBuffer::new(&self.types, BATCH_ROWS);
        for mut row in rows.by_ref().take(BATCH_ROWS) {
            number += 1;
            if self.ordinality {
                row.push(Value::Int8(number));
            }
            out.push(row)?;
        }
        self.rows = Some((rows, number));
        Ok(if out.len() == 0 { None } else { Some(out.finish()) })
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.rows = None;
    }
}
