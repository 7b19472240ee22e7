//! Fitting a value to the modifier of its type.

use std::sync::Arc;

use super::CastContext;
use crate::typmod::{interval_precision, length_typmod};
use crate::{Bits, DataType, SqlState, Value, ValueError, datetime};

/// The longest `name` in bytes.
const NAME_LENGTH: usize = 63;

/// Applies a typmod: an explicit cast to `varchar(n)` cuts, an assignment raises 22001 unless what is
/// cut off is blank; numbers and times are rounded.
pub(crate) fn coerce_length(
    value: Value,
    ty: DataType,
    typmod: i32,
    context: CastContext,
) -> Result<Value, ValueError> {
    if typmod < 0 && ty != DataType::Name {
        return Ok(value);
    }
    match (ty, value) {
        (DataType::Array(element), Value::Array(array)) => {
            let element = element.data_type();
            let fit = |value: &Value| coerce_length(value.clone(), element, typmod, context);
            Ok(Value::array(array.map(element, fit)?))
        }
        (DataType::Varchar, Value::Text(text)) => match length_typmod(typmod) {
            Some(length) => {
                let cut = cut(&text, length, context, "character varying")?;
                Ok(if cut.len() == text.len() { Value::Text(text) } else { Value::text(cut) })
            }
            None => Ok(Value::Text(text)),
        },
        (DataType::Bpchar, Value::Text(text)) => match length_typmod(typmod) {
            Some(length) => {
                let cut = cut(&text, length, context, "character")?;
                let missing = length - cut.chars().count();
                let mut padded = String::with_capacity(cut.len() + missing);
                padded.push_str(cut);
                padded.extend(std::iter::repeat_n(' ', missing));
                Ok(Value::text(padded))
            }
            None => Ok(Value::Text(text)),
        },
        (DataType::Name, Value::Text(text)) => Ok(Value::Text(name(text))),
        (DataType::Numeric, Value::Numeric(number)) => {
            Ok(Value::Numeric(number.apply_typmod(typmod)?))
        }
        (DataType::Time, Value::Time(v)) => Ok(Value::Time(datetime::round_micros(v, typmod))),
        (DataType::Timetz, Value::Timetz(v)) => {
            let micros = datetime::round_micros(v.micros, typmod);
            Ok(Value::Timetz(crate::Timetz { micros, ..v }))
        }
        (DataType::Bit | DataType::Varbit, Value::Bits(bits)) => {
            fit_bits(bits, ty, typmod, context).map(Value::Bits)
        }
        (DataType::Timestamp, Value::Timestamp(v)) => {
            Ok(Value::Timestamp(datetime::round_timestamp(v, typmod)))
        }
        (DataType::Timestamptz, Value::Timestamptz(v)) => {
            Ok(Value::Timestamptz(datetime::round_timestamp(v, typmod)))
        }
        (DataType::Interval, Value::Interval(mut v)) => {
            if let Some(precision) = interval_precision(typmod) {
                v.micros = datetime::round_micros(v.micros, precision);
            }
            Ok(Value::Interval(v))
        }
        (_, value) => Ok(value),
    }
}

/// The first `length` characters, if the context allows dropping the rest.
fn cut<'a>(
    text: &'a str,
    length: usize,
    context: CastContext,
    type_name: &str,
) -> Result<&'a str, ValueError> {
    if text.len() <= length {
        return Ok(text);
    }
    let Some((end, _)) = text.char_indices().nth(length) else { return Ok(text) };
    let (kept, dropped) = text.split_at(end);
    if context != CastContext::Explicit && dropped.bytes().any(|byte| byte != b' ') {
        return Err(ValueError::new(
            SqlState::StringDataRightTruncation,
            format!("value too long for type {type_name}({length})"),
        ));
    }
    Ok(kept)
}

/// A `bit(n)` must have its length, a `bit varying(n)` at most; a cast that is asked for makes it so.
fn fit_bits(
    bits: Arc<Bits>,
    ty: DataType,
    typmod: i32,
    context: CastContext,
) -> Result<Arc<Bits>, ValueError> {
    let Ok(length) = usize::try_from(typmod) else { return Ok(bits) };
    let fits = if ty == DataType::Bit { bits.len() == length } else { bits.len() <= length };
    if fits {
        return Ok(bits);
    }
    if context == CastContext::Explicit {
        return Ok(Arc::new(bits.resized(length)?));
    }
    Err(if ty == DataType::Bit {
        let message = format!("bit string length {} does not match type bit({length})", bits.len());
        ValueError::new(SqlState::StringDataLengthMismatch, message)
    } else {
        let message = format!("bit string too long for type bit varying({length})");
        ValueError::new(SqlState::StringDataRightTruncation, message)
    })
}

/// A `name` is cut to 63 bytes, between characters.
pub(super) fn name(text: Box<str>) -> Box<str> {
    if text.len() <= NAME_LENGTH {
        return text;
    }
    let end = (0..=NAME_LENGTH).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].into()
}
