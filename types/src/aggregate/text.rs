//! `string_agg`.

use super::Accumulator;
use crate::function::mistyped;
use crate::{SqlState, Value, ValueError};

/// No string may be longer (PostgreSQL's MaxAllocSize).
const MAX_BYTES: usize = 0x3fff_ffff;

fn too_long(length: usize, more: usize) -> ValueError {
    let message = "out of memory";
    ValueError::new(SqlState::ProgramLimitExceeded, message).with_detail(format!(
        "Cannot enlarge string buffer containing {length} bytes by {more} more bytes."
    ))
}

/// Joins strings. The delimiter of a row stands before its string; that of the first is not used.
#[derive(Clone, Default)]
pub(super) struct StringAgg {
    joined: Option<String>,
}

impl Accumulator for StringAgg {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let Value::Text(text) = &args[0] else {
            return if args[0].is_null() { Ok(()) } else { Err(mistyped(&args[0])) };
        };
        let Some(joined) = &mut self.joined else {
            self.joined = Some(text.to_string());
            return Ok(());
        };
        let delimiter = args[1].as_str().unwrap_or("");
        let more = delimiter.len() + text.len();
        if joined.len() + more > MAX_BYTES {
            return Err(too_long(joined.len(), more));
        }
        joined.push_str(delimiter);
        joined.push_str(text);
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(self.joined.take().map_or(Value::Null, Value::text))
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.joined.as_ref().map_or(0, String::capacity)
    }
}

/// The same for byte strings.
#[derive(Clone, Default)]
pub(super) struct ByteaAgg {
    joined: Option<Vec<u8>>,
}

impl Accumulator for ByteaAgg {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let Value::Bytea(bytes) = &args[0] else {
            return if args[0].is_null() { Ok(()) } else { Err(mistyped(&args[0])) };
        };
        let Some(joined) = &mut self.joined else {
            self.joined = Some(bytes.to_vec());
            return Ok(());
        };
        let delimiter: &[u8] = if let Value::Bytea(delimiter) = &args[1] { delimiter } else { &[] };
        let more = delimiter.len() + bytes.len();
        if joined.len() + more > MAX_BYTES {
            return Err(too_long(joined.len(), more));
        }
        joined.extend(delimiter);
        joined.extend(&**bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(self.joined.take().map_or(Value::Null, |joined| Value::Bytea(joined.into())))
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.joined.as_ref().map_or(0, Vec::capacity)
    }
}
