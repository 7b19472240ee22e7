//! Set-returning functions: `generate_series`, one batch at a time.

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{DataType, FunctionId, Interval, SqlState, Value, compare, function};

use super::Operator;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;

pub(crate) struct FunctionScan {
    element: DataType,
    add: FunctionId,
    args: Vec<Expr>,
    types: Vec<DataType>,
    series: Option<Series>,
}

/// What is left of a series.
struct Series {
    /// The next element; `None` at the end.
    next: Option<Value>,
    stop: Value,
    step: Value,
    rises: bool,
    add: FunctionId,
}

impl FunctionScan {
    pub(crate) fn new(
        element: DataType,
        add: FunctionId,
        args: Vec<Expr>,
        types: Vec<DataType>,
    ) -> Self {
        Self { element, add, args, types, series: None }
    }

    fn start(&self, run: &mut Run<'_, '_>) -> Result<Series> {
        let (element, add) = (self.element, self.add);
        let mut args = Vec::with_capacity(3);
        for arg in &self.args {
            args.push(evaluate_free(arg, run)?);
        }
        if args.len() == 2 {
            args.push(one(element)?);
        }
        let [start, stop, step] = <[Value; 3]>::try_from(args)
            .map_err(|_| SqlError::internal("generate_series takes two or three arguments"))?;
        if start.is_null() || stop.is_null() || step.is_null() {
            return Ok(Series { next: None, stop, step, rises: true, add });
        }
        let rises = match sign(&step)? {
            0 => {
                let message = "step size cannot equal zero";
                return Err(SqlError::new(SqlState::InvalidParameterValue, message));
            }
            sign => sign > 0,
        };
        let mut series = Series { next: Some(start), stop, step, rises, add };
        series.end_beyond_stop();
        Ok(series)
    }
}

/// The step if none is given.
fn one(element: DataType) -> Result<Value> {
    Ok(match element {
        DataType::Int2 => Value::Int2(1),
        DataType::Int4 => Value::Int4(1),
        DataType::Int8 => Value::Int8(1),
        DataType::Numeric => Value::Numeric(driftdb_types::Numeric::Small { digits: 1, scale: 0 }),
        _ => return Err(SqlError::internal(format!("generate_series of {element} needs a step"))),
    })
}

/// The sign of a step.
fn sign(step: &Value) -> Result<i64> {
    if let Some(step) = step.as_int() {
        return Ok(step.signum());
    }
    let zero = match step {
        Value::Interval(_) => Value::Interval(Interval::default()),
        Value::Numeric(_) => Value::Numeric(driftdb_types::Numeric::Small { digits: 0, scale: 0 }),
        _ => return Err(SqlError::internal("the step of generate_series has another type")),
    };
    Ok(compare(step, &zero) as i64)
}

impl Series {
    fn end_beyond_stop(&mut self) {
        let beyond = self.next.as_ref().is_some_and(|next| {
            let order = compare(next, &self.stop);
            if self.rises { order.is_gt() } else { order.is_lt() }
        });
        if beyond {
            self.next = None;
        }
    }

    fn advance(&mut self, current: Value, run: &Run<'_, '_>) -> Result<()> {
        match function(self.add).eval(&[current, self.step.clone()], run.cx.eval) {
            Ok(next) => {
                self.next = Some(next);
                self.end_beyond_stop();
                Ok(())
            }
            // The last element may stand at the edge of its type: the series ends there.
            Err(error) if error.state == SqlState::NumericValueOutOfRange => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Operator for FunctionScan {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        run.check_cancel()?;
        let series = match &mut self.series {
            Some(series) => series,
            None => {
                let series = self.start(run)?;
                self.series.insert(series)
            }
        };
        if series.next.is_none() {
            return Ok(None);
        }
        let mut out = RowBuffer::new(&self.types, BATCH_ROWS);
        while out.len() < BATCH_ROWS
            && let Some(current) = series.next.take()
        {
            out.push([current.clone()])?;
            series.advance(current, run)?;
        }
        Ok(Some(out.finish()))
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.series = None;
    }
}
