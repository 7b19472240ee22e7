//! The text and binary forms of values, as on the wire.

mod binary;
mod float;
mod integer;
pub(crate) mod plain;
mod reg;

pub use binary::{parse_binary, write_binary};

pub(crate) use float::{parse_float8, write_float8};
pub(crate) use integer::write_int;
pub(crate) use plain::{write_bytea, write_uuid};

use crate::cast::{CastContext, coerce_length};
use crate::json::{check_json, parse_json, write_json};
use crate::jsonpath::{parse_path, write_path};
use crate::range::{parse_multirange, parse_range, write_multirange, write_range};
use crate::{
    Bits, DataType, EvalContext, Numeric, SqlState, Value, ValueError, array, datetime, mac, money,
    net, record,
};

/// Reads a value from its text, as a literal or a text parameter, and fits it to the typmod.
///
/// # Errors
/// 22P02, 22003, 22007, 22008 and their like, with PostgreSQL's texts.
pub fn parse_text(
    ty: DataType,
    typmod: i32,
    text: &str,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    if let Some(domain) = ty.as_domain() {
        let (base, typmod) = ty.base_with_typmod(typmod);
        let value = parse_text(base, typmod, text, ctx)?;
        domain.check(&value, ctx)?;
        return Ok(value);
    }
    let value = match ty {
        DataType::Bool => Value::Bool(plain::parse_bool(text)?),
        DataType::Int2 => Value::Int2(integer::parse_int(text, ty)? as i16),
        DataType::Int4 => Value::Int4(integer::parse_int(text, ty)? as i32),
        DataType::Int8 => Value::Int8(integer::parse_int(text, ty)?),
        DataType::Oid | DataType::Xid => Value::Oid(integer::parse_oid(text)?),
        ty if ty.is_reg() => reg::parse_reg(ty, text, ctx)?,
        DataType::Float4 => Value::Float4(float::parse_float4(text)?),
        DataType::Float8 => Value::Float8(parse_float8(text)?),
        DataType::Numeric => Value::Numeric(Numeric::parse(text)?),
        DataType::Text
        | DataType::Varchar
        | DataType::Bpchar
        | DataType::Name
        | DataType::Unknown => Value::text(text),
        DataType::Bytea => Value::Bytea(plain::parse_bytea(text)?.into()),
        DataType::Date => Value::Date(datetime::parse_date(text, ctx)?),
        DataType::Time => Value::Time(datetime::parse_time(text, ctx)?),
        DataType::Timestamp => Value::Timestamp(datetime::parse_timestamp(text, ctx)?),
        DataType::Timestamptz => Value::Timestamptz(datetime::parse_timestamptz(text, ctx)?),
        DataType::Interval => Value::Interval(datetime::parse_interval(text, ctx.interval_style)?),
        DataType::Uuid => Value::Uuid(plain::parse_uuid(text)?),
        DataType::Json => {
            check_json(text)?;
            Value::Json(text.into())
        }
        DataType::Jsonb => Value::jsonb(parse_json(text)?),
        DataType::Char => Value::Char(plain::parse_char(text)),
        DataType::Array(element) => {
            return array::parse_array(element.data_type(), typmod, text, ctx).map(Value::array);
        }
        DataType::Int2vector => Value::array(array::parse_vector(DataType::Int2, text, ctx)?),
        DataType::Oidvector => Value::array(array::parse_vector(DataType::Oid, text, ctx)?),
        DataType::Void => Value::Void,
        DataType::Timetz => Value::Timetz(datetime::parse_timetz(text, ctx)?),
        DataType::Bit | DataType::Varbit => Value::bits(Bits::parse(text)?),
        DataType::Money => Value::Money(money::parse_money(text)?),
        DataType::Inet => Value::Inet(net::parse_inet(text, false)?),
        DataType::Cidr => Value::Inet(net::parse_inet(text, true)?),
        DataType::Macaddr => Value::Macaddr(mac::parse_macaddr(text)?),
        DataType::Macaddr8 => Value::Macaddr8(mac::parse_macaddr8(text)?),
        DataType::PgLsn => Value::Lsn(mac::parse_lsn(text)?),
        DataType::Jsonpath => Value::Jsonpath(parse_path(text)?.into()),
        DataType::User(user) if user.labels().is_some() => user.labelled(text)?,
        ty if ty.is_row() => record::parse_record(ty, text, ctx)?,
        _ => match ty.subtype() {
            Some(subtype) if ty.is_range() => Value::range(parse_range(subtype, text, ctx)?),
            Some(subtype) => Value::multirange(parse_multirange(subtype, text, ctx)?),
            None => {
                let message = format!("cannot accept a value of type {ty}");
                return Err(ValueError::new(SqlState::FeatureNotSupported, message));
            }
        },
    };
    if typmod < 0 && ty != DataType::Name {
        return Ok(value);
    }
    // Input functions are as strict as assignment.
    coerce_length(value, ty, typmod, CastContext::Assignment)
}

/// Appends the text of a value; nothing for NULL. Does not allocate for integers and strings.
pub fn write_text(value: &Value, ty: DataType, ctx: &EvalContext, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Void => {}
        Value::Bool(v) => out.push(if *v { b't' } else { b'f' }),
        Value::Int2(v) => write_int(i64::from(*v), out),
        Value::Int4(v) => write_int(i64::from(*v), out),
        Value::Int8(v) => write_int(*v, out),
        Value::Oid(v) if ty.base().is_reg() => reg::write_reg(*v, ty.base(), ctx, out),
        Value::Oid(v) => write_int(i64::from(*v), out),
        Value::Float4(v) => float::write_float4(*v, ctx.extra_float_digits, out),
        Value::Float8(v) => write_float8(*v, ctx.extra_float_digits, out),
        Value::Numeric(v) => v.write(out),
        Value::Text(v) => out.extend(v.as_bytes()),
        Value::Bytea(v) => write_bytea(v, ctx.bytea_output, out),
        Value::Date(v) => datetime::write_date(*v, ctx, out),
        Value::Time(v) => datetime::write_time(*v, out),
        Value::Timestamp(v) => datetime::write_timestamp(*v, ctx, out),
        Value::Timestamptz(v) => datetime::write_timestamptz(*v, ctx, out),
        Value::Interval(v) => datetime::write_interval(*v, ctx.interval_style, out),
        Value::Uuid(v) => write_uuid(v, out),
        Value::Json(v) => out.extend(v.as_bytes()),
        Value::Jsonb(v) => write_json(v, out),
        Value::Char(v) => plain::write_char(*v, out),
        Value::Array(v) if matches!(ty.base(), DataType::Int2vector | DataType::Oidvector) => {
            array::write_vector(v, ctx, out);
        }
        Value::Array(v) => array::write_array(v, ctx, out),
        Value::Timetz(v) => datetime::write_timetz(*v, out),
        Value::Bits(v) => v.write(out),
        Value::Money(v) => money::write_money(*v, out),
        Value::Inet(v) => net::write_inet(v, out),
        Value::Macaddr(v) => mac::write_mac(v, out),
        Value::Macaddr8(v) => mac::write_mac(v, out),
        Value::Lsn(v) => mac::write_lsn(*v, out),
        Value::Jsonpath(v) => write_path(v, out),
        Value::Range(v) => write_range(v, ctx, out),
        Value::Multirange(v) => write_multirange(v, ctx, out),
        Value::Enum(ty, v) => out.extend(ty.label_of(*v).unwrap_or_default().as_bytes()),
        Value::Record(v) => record::write_record(v, ctx, out),
    }
}
