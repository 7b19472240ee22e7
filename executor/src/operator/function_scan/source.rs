//! Where the values of one set-returning function come from.

use std::sync::Arc;

use driftdb_query::{Result, SetFunction, SqlError};
use driftdb_types::{Array, Value};

use super::series::Series;
use crate::context::Run;
use crate::routine::call_rows;

pub(super) enum Source {
    Series(Series),
    /// The elements of an array from a place on.
    Elements(Arc<Array>, usize),
    /// Likewise its rows.
    Rows(Arc<Array>, usize),
    /// What is left of numbers: the next, how far it is to the last, and whether they fall.
    Numbers(i64, i64, bool),
    /// The values of a function of a user's.
    Called(std::vec::IntoIter<Value>),
    End,
}

impl Source {
    /// The start of a function with its arguments.
    pub(super) fn new(
        function: &SetFunction,
        args: Vec<Value>,
        run: &mut Run<'_, '_>,
    ) -> Result<Self> {
        Ok(match function {
            SetFunction::GenerateSeries { element, add } => {
                Self::Series(Series::new(*element, *add, args)?)
            }
            SetFunction::Unnest => match args.into_iter().next() {
                Some(Value::Array(array)) => Self::Elements(array, 0),
                _ => Self::End,
            },
            SetFunction::UnnestRows => match args.into_iter().next() {
                Some(Value::Array(array)) => Self::Rows(array, 0),
                _ => Self::End,
            },
            SetFunction::Subscripts => subscripts(&args),
            SetFunction::Routine { call, .. } => {
                let rows = call_rows(call, args, run)?;
                let values = rows.into_iter().filter_map(|row| row.into_iter().next());
                Self::Called(values.collect::<Vec<_>>().into_iter())
            }
            SetFunction::Zip { .. }
            | SetFunction::TableDiff { .. }
            | SetFunction::Changes(_)
            | SetFunction::Digest
            | SetFunction::VerifyDigest
            | SetFunction::System { .. } => {
                return Err(SqlError::internal("a function that is no source of values"));
            }
        })
    }

    /// The next value; `None` at the end, and from then on.
    pub(super) fn next(&mut self, run: &Run<'_, '_>) -> Result<Option<Value>> {
        match self {
            Self::Series(series) => series.next(run),
            Self::Elements(array, at) => {
                let value = array.values().get(*at).cloned();
                *at += usize::from(value.is_some());
                Ok(value)
            }
            Self::Rows(array, at) => {
                let length = match array.dimensions() {
                    [_, row] => row.length as usize,
                    _ => array.values().len(),
                };
                let Some(values) = array.values().get(*at..*at + length) else { return Ok(None) };
                if values.is_empty() {
                    return Ok(None);
                }
                *at += length;
                Ok(Some(Value::array(Array::from_values(array.element(), values.to_vec())?)))
            }
            Self::Numbers(next, left, falls) => {
                if *left < 0 {
                    return Ok(None);
                }
                let value = Value::Int4(*next as i32);
                *next += if *falls { -1 } else { 1 };
                *left -= 1;
                Ok(Some(value))
            }
            Self::Called(values) => Ok(values.next()),
            Self::End => Ok(None),
        }
    }
}

/// The subscripts of a dimension of an array; none if there is no such dimension.
fn subscripts(args: &[Value]) -> Source {
    let [Value::Array(array), Value::Int4(number), rest @ ..] = args else { return Source::End };
    let falls = match rest {
        [] => false,
        [Value::Bool(falls)] => *falls,
        _ => return Source::End,
    };
    let index = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
    let Some(dimension) = index.and_then(|index| array.dimensions().get(index)) else {
        return Source::End;
    };
    let first = if falls { dimension.upper() } else { dimension.lower };
    Source::Numbers(i64::from(first), i64::from(dimension.length) - 1, falls)
}
