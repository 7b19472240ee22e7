//! `generate_series`.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, FunctionId, Interval, SqlState, Value, compare, function};

use crate::context::Run;

/// What is left of a series.
pub(super) struct Series {
    /// The next element; `None` at the end.
    next: Option<Value>,
    stop: Value,
    step: Value,
    rises: bool,
    add: FunctionId,
}

impl Series {
    /// A series from its arguments, which are all of `element` but the step.
    pub(super) fn new(element: DataType, add: FunctionId, mut args: Vec<Value>) -> Result<Self> {
        if args.len() == 2 {
            args.push(one(element)?);
        }
        let [start, stop, step] = <[Value; 3]>::try_from(args)
            .map_err(|_| SqlError::internal("generate_series takes two or three arguments"))?;
        if start.is_null() || stop.is_null() || step.is_null() {
            return Ok(Self { next: None, stop, step, rises: true, add });
        }
        let rises = match sign(&step)? {
            0 => {
                let message = "step size cannot equal zero";
                return Err(SqlError::new(SqlState::InvalidParameterValue, message));
            }
            sign => sign > 0,
        };
        let mut series = Self { next: Some(start), stop, step, rises, add };
        series.end_beyond_stop();
        Ok(series)
    }

    /// The next element.
    pub(super) fn next(&mut self, run: &Run<'_, '_>) -> Result<Option<Value>> {
        let Some(current) = self.next.take() else { return Ok(None) };
        self.advance(current.clone(), run)?;
        Ok(Some(current))
    }

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
