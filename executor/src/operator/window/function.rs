//! The window functions that are no aggregates.

use std::sync::Arc;

use driftdb_query::{Frame, Result, SqlError, WindowFunction};
use driftdb_types::{SqlState, Value};

use super::frame::{Offsets, Partition};
use crate::context::Run;
use crate::vector::{Vector, VectorBuilder};

/// Adds what the function yields for each row of a partition.
pub(super) fn run(
    function: WindowFunction,
    args: &[Arc<Vector>],
    (frame, offsets): (&Frame, &Offsets),
    partition: &mut Partition<'_>,
    out: &mut VectorBuilder,
    run: &Run<'_, '_>,
) -> Result<()> {
    let mut buckets = Buckets::default();
    for row in partition.start..partition.end {
        partition.go_to(row);
        let (start, len) = (partition.start, partition.len());
        let place = row - start;
        match function {
            WindowFunction::RowNumber => out.push(Value::Int8(place as i64 + 1))?,
            WindowFunction::Rank => {
                out.push(Value::Int8((partition.peers().0 - start) as i64 + 1))?;
            }
            WindowFunction::DenseRank => out.push(Value::Int8(partition.group() as i64 + 1))?,
            WindowFunction::PercentRank => {
                let before = (partition.peers().0 - start) as f64;
                let share = if len <= 1 { 0.0 } else { before / (len - 1) as f64 };
                out.push(Value::Float8(share))?;
            }
            WindowFunction::CumeDist => {
                let up_to = (partition.peers().1 - start) as f64;
                out.push(Value::Float8(up_to / len as f64))?;
            }
            WindowFunction::Ntile => out.push(buckets.next(&args[0].value(row), len)?)?,
            WindowFunction::Lag | WindowFunction::Lead => {
                let by = match args.get(1) {
                    None => Some(1),
                    Some(by) => by.value(row).as_int(),
                };
                let Some(by) = by else {
                    out.push_null();
                    continue;
                };
                let by = if function == WindowFunction::Lag { -i128::from(by) } else { by.into() };
                let target = row as i128 + by;
                if (start as i128..partition.end as i128).contains(&target) {
                    out.push_from(&args[0], target as usize);
                } else if let Some(default) = args.get(2) {
                    out.push_from(default, row);
                } else {
                    out.push_null();
                }
            }
            _ => {
                let spans = partition.spans(row, frame, offsets, run)?;
                let found = match function {
                    WindowFunction::FirstValue => {
                        spans.iter().find(|(from, to)| from < to).map(|(from, _)| *from)
                    }
                    WindowFunction::LastValue => {
                        spans.iter().rev().find(|(from, to)| from < to).map(|(_, to)| to - 1)
                    }
                    _ => nth(&args[1].value(row), &spans)?,
                };
                match found {
                    Some(found) => out.push_from(&args[0], found),
                    None => out.push_null(),
                }
            }
        }
    }
    Ok(())
}

/// The row of a frame with a number from 1.
fn nth(number: &Value, spans: &[(usize, usize)]) -> Result<Option<usize>> {
    let Some(number) = number.as_int() else { return Ok(None) };
    if number <= 0 {
        let message = "argument of nth_value must be greater than zero";
        return Err(SqlError::new(SqlState::InvalidArgumentForNthValue, message));
    }
    let mut left = number as usize - 1;
    for (from, to) in spans {
        if left < to - from {
            return Ok(Some(from + left));
        }
        left -= to - from;
    }
    Ok(None)
}

/// The state of `ntile`.
#[derive(Default)]
struct Buckets {
    bucket: i64,
    rows: i64,
    size: i64,
    larger: i64,
}

impl Buckets {
    fn next(&mut self, count: &Value, len: usize) -> Result<Value> {
        if self.bucket == 0 {
            let Some(count) = count.as_int() else { return Ok(Value::Null) };
            if count <= 0 {
                let message = "argument of ntile must be greater than zero";
                return Err(SqlError::new(SqlState::InvalidArgumentForNtile, message));
            }
            self.bucket = 1;
            self.size = len as i64 / count;
            if self.size == 0 {
                self.size = 1;
            } else {
                self.larger = len as i64 % count;
                if self.larger != 0 {
                    self.size += 1;
                }
            }
        }
        self.rows += 1;
        if self.size < self.rows {
            if self.larger != 0 && self.bucket == self.larger {
                self.larger = 0;
                self.size -= 1;
            }
            self.bucket += 1;
            self.rows = 1;
        }
        Ok(Value::Int4(self.bucket as i32))
    }
}
