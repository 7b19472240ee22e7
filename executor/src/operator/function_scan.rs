//! Set-returning functions, one batch at a time.
//!
//! Each function is a source of values; several stand side by side, and one that ends before the others
//! yields NULLs.

mod series;
mod source;

use driftdb_query::{Expr, Result, SetFunction};
use driftdb_types::{DataType, Value};

use super::Operator;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;
use source::Source;

pub(crate) struct FunctionScan {
    functions: Vec<(SetFunction, usize)>,
    ordinality: bool,
    args: Vec<Expr>,
    types: Vec<DataType>,
    /// Once it was started: the sources, and how many rows there were.
    started: Option<(Vec<Source>, i64)>,
}

impl FunctionScan {
    pub(crate) fn new(function: &SetFunction, args: Vec<Expr>, types: Vec<DataType>) -> Self {
        let (functions, ordinality) = match function {
            SetFunction::Zip { functions, ordinality } => (functions.clone(), *ordinality),
            one => (vec![(one.clone(), args.len())], false),
        };
        Self { functions, ordinality, args, types, started: None }
    }

    fn start(&self, run: &mut Run<'_, '_>) -> Result<Vec<Source>> {
        let mut args = &self.args[..];
        let mut sources = Vec::with_capacity(self.functions.len());
        for (function, count) in &self.functions {
            let (own, rest) = args.split_at(*count);
            args = rest;
            let values =
                own.iter().map(|arg| evaluate_free(arg, run)).collect::<Result<Vec<Value>>>()?;
            sources.push(Source::new(function, values, run)?);
        }
        Ok(sources)
    }
}

impl Operator for FunctionScan {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        run.check_cancel()?;
        let (mut sources, mut number) = match self.started.take() {
            Some(started) => started,
            None => (self.start(run)?, 0),
        };
        let mut out = RowBuffer::new(&self.types, BATCH_ROWS);
        while out.len() < BATCH_ROWS {
            let mut row = Vec::with_capacity(self.types.len());
            let mut is_end = true;
            for source in &mut sources {
                let value = source.next(run)?;
                is_end &= value.is_none();
                row.push(value.unwrap_or(Value::Null));
            }
            if is_end {
                break;
            }
            number += 1;
            if self.ordinality {
                row.push(Value::Int8(number));
            }
            out.push(row)?;
        }
        self.started = Some((sources, number));
        Ok(if out.len() == 0 { None } else { Some(out.finish()) })
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.started = None;
    }
}
