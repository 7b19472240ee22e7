//! Arrays in the binary wire format: dimensions, flags, the element type, each element with its length.

use super::{Array, Dimension, MAX_DIMENSIONS, checked_count, too_many_dimensions};
use crate::io::{parse_binary, write_binary as write_element};
use crate::{DataType, SqlState, Value, ValueError};

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ValueError> {
        let (head, tail) = self.0.split_at_checked(count).ok_or_else(|| {
            ValueError::new(SqlState::ProtocolViolation, "insufficient data left in message")
        })?;
        self.0 = tail;
        Ok(head)
    }

    fn int(&mut self) -> Result<i32, ValueError> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(i32::from_be_bytes(bytes))
    }
}

fn invalid(message: impl Into<String>) -> ValueError {
    ValueError::new(SqlState::InvalidBinaryRepresentation, message)
}

/// Reads an array of an element type.
///
/// # Errors
/// 22P03, 08P01, 42804 and 54000 with PostgreSQL's texts, and what reading an element raises.
pub(crate) fn read_binary(
    element: DataType,
    typmod: i32,
    bytes: &[u8],
) -> Result<Array, ValueError> {
    let mut reader = Reader(bytes);
    let count = reader.int()?;
    let ndim = usize::try_from(count)
        .map_err(|_| invalid(format!("invalid number of dimensions: {count}")))?;
    if ndim > MAX_DIMENSIONS {
        return Err(too_many_dimensions(ndim));
    }
    if !(0..=1).contains(&reader.int()?) {
        return Err(invalid("invalid array flags"));
    }
    let oid = reader.int()? as u32;
    if oid != element.oid() {
        let found = DataType::from_oid(oid).map_or("???", DataType::sql_name);
        let message = format!(
            "binary data has array element type {oid} ({found}) instead of expected {} ({element})",
            element.oid()
        );
        return Err(ValueError::new(SqlState::DatatypeMismatch, message));
    }
    let mut dimensions = Vec::with_capacity(ndim);
    for _ in 0..ndim {
        let (length, lower) = (reader.int()?, reader.int()?);
        dimensions.push(Dimension { length, lower });
    }
    let count = checked_count(&dimensions)?;
    // Each element has at least its length: more are not there.
    if count > reader.0.len() / 4 {
        return Err(ValueError::new(
            SqlState::ProtocolViolation,
            "insufficient data left in message",
        ));
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match reader.int()? {
            -1 => Value::Null,
            length => {
                let length = usize::try_from(length).map_err(|_| {
                    ValueError::new(SqlState::InvalidBinaryRepresentation, "improper binary format")
                })?;
                parse_binary(element, typmod, reader.take(length)?)?
            }
        });
    }
    if !reader.0.is_empty() {
        return Err(invalid("incorrect binary data format"));
    }
    Array::new(element, dimensions, values)
}

/// Appends an array.
pub(crate) fn write_binary(array: &Array, out: &mut Vec<u8>) {
    let element = array.element();
    out.extend((array.dimensions().len() as i32).to_be_bytes());
    out.extend(i32::from(array.values().iter().any(Value::is_null)).to_be_bytes());
    out.extend(element.oid().to_be_bytes());
    for dimension in array.dimensions() {
        out.extend(dimension.length.to_be_bytes());
        out.extend(dimension.lower.to_be_bytes());
    }
    for value in array.values() {
        if value.is_null() {
            out.extend((-1i32).to_be_bytes());
            continue;
        }
        let at = out.len();
        out.extend([0; 4]);
        write_element(value, element, out);
        let length = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}
