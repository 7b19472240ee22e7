//! The binary wire format: network byte order.

use crate::cast::{CastContext, coerce_length};
use crate::json::{check_json, parse_json, write_json};
use crate::jsonpath::{parse_path, write_path};
use crate::{
    Bits, DataType, Interval, Numeric, SqlState, Timetz, Value, ValueError, array, datetime, net,
    range, record,
};

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| {
        if bytes.len() < N {
            ValueError::new(SqlState::ProtocolViolation, "insufficient data left in message")
        } else {
            let message = "incorrect binary data format";
            ValueError::new(SqlState::InvalidBinaryRepresentation, message)
        }
    })
}

/// A string from the client: valid UTF-8 without zero bytes.
fn string(bytes: &[u8]) -> Result<&str, ValueError> {
    let invalid = |at: usize, count: usize| {
        let listed: Vec<String> =
            bytes[at..].iter().take(count).map(|byte| format!("0x{byte:02x}")).collect();
        ValueError::new(
            SqlState::CharacterNotInRepertoire,
            format!("invalid byte sequence for encoding \"UTF8\": {}", listed.join(" ")),
        )
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| invalid(error.valid_up_to(), error.error_len().unwrap_or(4)))?;
    match text.find('\0') {
        Some(at) => Err(invalid(at, 1)),
        None => Ok(text),
    }
}

/// Reads a value from its binary form, as a parameter, and fits it to the typmod. What a domain says of
/// it is for the caller to ask.
///
/// # Errors
/// 22P03, 08P01, 22021 and 22008 for malformed or impossible values.
#[expect(clippy::too_many_lines, reason = "one arm for each type")]
pub fn parse_binary(ty: DataType, typmod: i32, bytes: &[u8]) -> Result<Value, ValueError> {
    let (ty, typmod) = ty.base_with_typmod(typmod);
    let value = match ty {
        DataType::Bool => Value::Bool(fixed::<1>(bytes)?[0] != 0),
        DataType::Int2 => Value::Int2(i16::from_be_bytes(fixed(bytes)?)),
        DataType::Int4 => Value::Int4(i32::from_be_bytes(fixed(bytes)?)),
        DataType::Int8 => Value::Int8(i64::from_be_bytes(fixed(bytes)?)),
        ty if ty.is_oid() => Value::Oid(u32::from_be_bytes(fixed(bytes)?)),
        DataType::Float4 => Value::Float4(f32::from_be_bytes(fixed(bytes)?)),
        DataType::Float8 => Value::Float8(f64::from_be_bytes(fixed(bytes)?)),
        DataType::Numeric => Value::Numeric(Numeric::read_wire(bytes)?),
        DataType::Text
        | DataType::Varchar
        | DataType::Bpchar
        | DataType::Name
        | DataType::Unknown => Value::text(string(bytes)?),
        DataType::Bytea => Value::Bytea(bytes.into()),
        DataType::Date => {
            let v = i32::from_be_bytes(fixed(bytes)?);
            if v != i32::MIN && v != i32::MAX && !datetime::valid_date(v) {
                return Err(datetime::date_out_of_range(""));
            }
            Value::Date(v)
        }
        DataType::Time => {
            let v = i64::from_be_bytes(fixed(bytes)?);
            if !(0..=datetime::DAY_MICROS).contains(&v) {
                return Err(datetime::date_out_of_range("").with_message("time out of range"));
            }
            Value::Time(v)
        }
        DataType::Timestamp => Value::Timestamp(timestamp(bytes)?),
        DataType::Timestamptz => Value::Timestamptz(timestamp(bytes)?),
        DataType::Interval => {
            let all: [u8; 16] = fixed(bytes)?;
            Value::Interval(Interval {
                micros: i64::from_be_bytes(fixed(&all[..8])?),
                days: i32::from_be_bytes(fixed(&all[8..12])?),
                months: i32::from_be_bytes(fixed(&all[12..])?),
            })
        }
        DataType::Uuid => Value::Uuid(fixed(bytes)?),
        DataType::Json => {
            let text = string(bytes)?;
            check_json(text)?;
            Value::Json(text.into())
        }
        DataType::Jsonb => match bytes.split_first() {
            Some((1, text)) => Value::jsonb(parse_json(string(text)?)?),
            version => {
                let version = version.map_or(0, |(version, _)| *version);
                let message = format!("unsupported jsonb version number {version}");
                return Err(ValueError::new(SqlState::InternalError, message));
            }
        },
        DataType::Char => Value::Char(u8::from_be_bytes(fixed(bytes)?)),
        DataType::Array(_) | DataType::Int2vector | DataType::Oidvector => {
            let element = ty.element().unwrap_or(ty);
            return array::read_binary(element, typmod, bytes).map(Value::array);
        }
        DataType::Void => Value::Void,
        DataType::Timetz => {
            let all: [u8; 12] = fixed(bytes)?;
            let micros = i64::from_be_bytes(fixed(&all[..8])?);
            let west = i32::from_be_bytes(fixed(&all[8..])?);
            let range = || datetime::date_out_of_range("").with_message("time out of range");
            if !(0..=datetime::DAY_MICROS).contains(&micros) {
                return Err(range());
            }
            if west.unsigned_abs() >= 16 * 3600 {
                let message = "time zone displacement out of range";
                return Err(range().with_message(message));
            }
            Value::Timetz(Timetz { micros, west })
        }
        DataType::Bit | DataType::Varbit => {
            let (length, held) = bytes.split_at_checked(4).ok_or_else(malformed)?;
            let length = u32::from_be_bytes(fixed(length)?);
            Value::bits(Bits::from_bytes(length, held).ok_or_else(malformed)?)
        }
        DataType::Money => Value::Money(i64::from_be_bytes(fixed(bytes)?)),
        DataType::Inet => Value::Inet(net::read_wire(bytes, false)?),
        DataType::Cidr => Value::Inet(net::read_wire(bytes, true)?),
        DataType::Macaddr => Value::Macaddr(fixed(bytes)?),
        DataType::Macaddr8 => match bytes.len() {
            6 => Value::Macaddr8(crate::mac::macaddr_to_8(fixed(bytes)?)),
            _ => Value::Macaddr8(fixed(bytes)?),
        },
        DataType::PgLsn => Value::Lsn(u64::from_be_bytes(fixed(bytes)?)),
        DataType::Jsonpath => match bytes.split_first() {
            Some((1, text)) => Value::Jsonpath(parse_path(string(text)?)?.into()),
            version => {
                let version = version.map_or(0, |(version, _)| *version);
                let message = format!("unsupported jsonpath version number: {version}");
                return Err(ValueError::new(SqlState::InternalError, message));
            }
        },
        DataType::User(user) if user.labels().is_some() => user.labelled(string(bytes)?)?,
        ty if ty.is_row() => record::read_record_binary(ty, bytes)?,
        _ => match ty.subtype() {
            Some(subtype) if ty.is_range() => Value::range(range::read_range(subtype, bytes)?),
            Some(subtype) => Value::multirange(range::read_multirange(subtype, bytes)?),
            None => {
                let message = format!("cannot accept a value of type {ty}");
                return Err(ValueError::new(SqlState::FeatureNotSupported, message));
            }
        },
    };
    if typmod < 0 && ty != DataType::Name {
        return Ok(value);
    }
    coerce_length(value, ty, typmod, CastContext::Assignment)
}

fn malformed() -> ValueError {
    ValueError::new(SqlState::InvalidBinaryRepresentation, "incorrect binary data format")
}

fn timestamp(bytes: &[u8]) -> Result<i64, ValueError> {
    let v = i64::from_be_bytes(fixed(bytes)?);
    if v != i64::MIN && v != i64::MAX && !datetime::valid_timestamp(v) {
        return Err(datetime::timestamp_out_of_range());
    }
    Ok(v)
}

/// Appends the binary form of a value; nothing for NULL.
pub fn write_binary(value: &Value, _ty: DataType, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Void => {}
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::Int2(v) => out.extend(v.to_be_bytes()),
        Value::Int4(v) | Value::Date(v) => out.extend(v.to_be_bytes()),
        Value::Int8(v) | Value::Time(v) | Value::Timestamp(v) | Value::Timestamptz(v) => {
            out.extend(v.to_be_bytes());
        }
        Value::Oid(v) => out.extend(v.to_be_bytes()),
        Value::Float4(v) => out.extend(v.to_be_bytes()),
        Value::Float8(v) => out.extend(v.to_be_bytes()),
        Value::Numeric(v) => v.write_wire(out),
        Value::Text(v) => out.extend(v.as_bytes()),
        Value::Bytea(v) => out.extend(&**v),
        Value::Interval(v) => {
            out.extend(v.micros.to_be_bytes());
            out.extend(v.days.to_be_bytes());
            out.extend(v.months.to_be_bytes());
        }
        Value::Uuid(v) => out.extend(v),
        Value::Char(v) => out.push(*v),
        Value::Json(v) => out.extend(v.as_bytes()),
        Value::Jsonb(v) => {
            out.push(1);
            write_json(v, out);
        }
        Value::Array(v) => array::write_binary(v, out),
        Value::Timetz(v) => {
            out.extend(v.micros.to_be_bytes());
            out.extend(v.west.to_be_bytes());
        }
        Value::Bits(v) => {
            out.extend((v.len() as u32).to_be_bytes());
            out.extend(v.bytes());
        }
        Value::Money(v) => out.extend(v.to_be_bytes()),
        Value::Inet(v) => net::write_wire(v, out),
        Value::Macaddr(v) => out.extend(v),
        Value::Macaddr8(v) => out.extend(v),
        Value::Lsn(v) => out.extend(v.to_be_bytes()),
        Value::Jsonpath(v) => {
            out.push(1);
            write_path(v, out);
        }
        Value::Range(v) => range::write_range_wire(v, out),
        Value::Multirange(v) => range::write_multirange_wire(v, out),
        Value::Enum(ty, v) => out.extend(ty.label_of(*v).unwrap_or_default().as_bytes()),
        Value::Record(v) => record::write_record_binary(v, out),
    }
}
