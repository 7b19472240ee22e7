//! Functions of network and MAC addresses, and of log positions.

use super::table::Builder;
use super::{Kernel, arg, mistyped};
use crate::DataType::{
    self, Bool, Cidr, Inet as Net, Int4, Int8, Macaddr, Macaddr8, Numeric as Num,
};
use crate::DataType::{PgLsn, Text};
use crate::net::{write_host, write_inet};
use crate::{EvalContext, Inet, Numeric, SqlState, Value, ValueError};

fn net(args: &[Value], index: usize) -> Result<Inet, ValueError> {
    match &args[index] {
        Value::Inet(v) => Ok(*v),
        other => Err(mistyped(other)),
    }
}

fn both(args: &[Value]) -> Result<(Inet, Inet), ValueError> {
    Ok((net(args, 0)?, net(args, 1)?))
}

/// Whether the second network holds the first.
fn within(args: &[Value], or_same: bool) -> Result<bool, ValueError> {
    let (a, b) = both(args)?;
    let narrower = if or_same { a.bits >= b.bits } else { a.bits > b.bits };
    Ok(a.is_v6 == b.is_v6 && narrower && a.agrees(&b, b.bits))
}

fn swapped(args: &[Value]) -> Vec<Value> {
    vec![args[1].clone(), args[0].clone()]
}

fn different_sizes(what: &str) -> ValueError {
    ValueError::invalid_parameter(format!("cannot {what} inet values of different sizes"))
}

fn plain(v: Inet) -> Value {
    Value::Inet(Inet { is_cidr: false, ..v })
}

fn whole(v: Inet) -> Inet {
    Inet { bits: v.max_bits(), is_cidr: false, ..v }
}

/// Two addresses of one family, bit by bit.
fn pairwise(args: &[Value], what: &str, f: fn(u128, u128) -> u128) -> Result<Value, ValueError> {
    let (a, b) = both(args)?;
    if a.is_v6 != b.is_v6 {
        return Err(different_sizes(what));
    }
    let v = a.with_number(f(a.number(), b.number()));
    Ok(plain(Inet { bits: a.bits.max(b.bits), ..v }))
}

/// The address so many further on.
fn moved(v: Inet, by: i128) -> Result<Value, ValueError> {
    let moved = if by < 0 {
        v.number().checked_sub(by.unsigned_abs())
    } else {
        v.number().checked_add(by.unsigned_abs())
    };
    let all = v.mask(v.max_bits());
    match moved.filter(|moved| *moved <= all) {
        Some(number) => Ok(plain(v.with_number(number))),
        None => Err(ValueError::new(SqlState::NumericValueOutOfRange, "result is out of range")),
    }
}

fn distance(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (a, b) = both(args)?;
    if a.is_v6 != b.is_v6 {
        return Err(ValueError::invalid_parameter(
            "cannot subtract inet values of different sizes",
        ));
    }
    let (a, b) = (a.number(), b.number());
    let magnitude = i64::try_from(a.abs_diff(b));
    let signed = match magnitude {
        Ok(v) => Some(if a < b { -v } else { v }),
        Err(_) if a < b && b - a == 1 << 63 => Some(i64::MIN),
        Err(_) => None,
    };
    let range = || ValueError::new(SqlState::NumericValueOutOfRange, "result is out of range");
    signed.map(Value::Int8).ok_or_else(range)
}

fn with_mask_length(args: &[Value], is_cidr: bool) -> Result<Value, ValueError> {
    let (v, bits) = (net(args, 0)?, arg::int(args, 1)?);
    let bits = if bits == -1 { i64::from(v.max_bits()) } else { bits };
    match u8::try_from(bits) {
        Ok(bits) if bits <= v.max_bits() => {
            let v = Inet { bits, is_cidr, ..v };
            Ok(Value::Inet(if is_cidr { v.network() } else { v }))
        }
        _ => {
            let message = format!("invalid mask length: {bits}");
            Err(ValueError::invalid_parameter(message))
        }
    }
}

/// The smallest network that holds both.
fn merged(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (a, b) = both(args)?;
    if a.is_v6 != b.is_v6 {
        return Err(ValueError::invalid_parameter(
            "cannot merge addresses from different families",
        ));
    }
    let mut bits = a.bits.min(b.bits);
    while !a.agrees(&b, bits) {
        bits -= 1;
    }
    Ok(Value::Inet(Inet { bits, is_cidr: true, ..a }.network()))
}

fn text_of(write: impl Fn(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    super::string::into_text(out)
}

/// A `cidr` without the octets that the prefix does not reach.
fn abbreviated(v: &Inet) -> Value {
    if v.is_v6 {
        return text_of(|out| write_inet(v, out));
    }
    let octets = usize::from(v.bits).div_ceil(8).max(1);
    let shown: Vec<String> = v.bytes()[..octets].iter().map(u8::to_string).collect();
    Value::text(format!("{}/{}", shown.join("."), v.bits))
}

fn inet(t: &mut Builder) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    const ONE: &[DataType] = &[Net];
    const TWO: &[DataType] = &[Net, Net];
    let mut op = |name: &'static str, args: &'static [DataType], result, kernel: General| {
        t.add(name, args, result, Kernel::Values(kernel));
    };
    for (name, alias) in [("<<", "network_sub"), ("<<=", "network_subeq")] {
        let kernel: General = if name == "<<" {
            |args, _| Ok(Value::Bool(within(args, false)?))
        } else {
            |args, _| Ok(Value::Bool(within(args, true)?))
        };
        op(name, TWO, Bool, kernel);
        op(alias, TWO, Bool, kernel);
    }
    op(">>", TWO, Bool, |args, _| Ok(Value::Bool(within(&swapped(args), false)?)));
    op(">>=", TWO, Bool, |args, _| Ok(Value::Bool(within(&swapped(args), true)?)));
    op("&&", TWO, Bool, |args, _| {
        Ok(Value::Bool(within(args, true)? || within(&swapped(args), true)?))
    });
    op("~", ONE, Net, |args, _| {
        let v = net(args, 0)?;
        Ok(plain(v.with_number(!v.number())))
    });
    op("&", TWO, Net, |args, _| pairwise(args, "AND", |a, b| a & b));
    op("|", TWO, Net, |args, _| pairwise(args, "OR", |a, b| a | b));
    op("+", &[Net, Int8], Net, |args, _| moved(net(args, 0)?, i128::from(arg::int(args, 1)?)));
    op("+", &[Int8, Net], Net, |args, _| moved(net(args, 1)?, i128::from(arg::int(args, 0)?)));
    op("-", &[Net, Int8], Net, |args, _| moved(net(args, 0)?, -i128::from(arg::int(args, 1)?)));
    op("-", TWO, Int8, distance);
    op("host", ONE, Text, |args, _| {
        let v = net(args, 0)?;
        Ok(text_of(|out| write_host(&v, out)))
    });
    op("text", ONE, Text, |args, _| {
        let v = Inet { is_cidr: true, ..net(args, 0)? };
        Ok(text_of(|out| write_inet(&v, out)))
    });
    op("abbrev", ONE, Text, |args, _| {
        let v = net(args, 0)?;
        Ok(text_of(|out| write_inet(&v, out)))
    });
    op("abbrev", &[Cidr], Text, |args, _| Ok(abbreviated(&net(args, 0)?)));
    op("masklen", ONE, Int4, |args, _| Ok(Value::Int4(i32::from(net(args, 0)?.bits))));
    op("family", ONE, Int4, |args, _| Ok(Value::Int4(if net(args, 0)?.is_v6 { 6 } else { 4 })));
    op("netmask", ONE, Net, |args, _| {
        let v = net(args, 0)?;
        Ok(Value::Inet(whole(v.with_number(v.mask(v.bits)))))
    });
    op("hostmask", ONE, Net, |args, _| {
        let v = net(args, 0)?;
        Ok(Value::Inet(whole(v.with_number(!v.mask(v.bits)))))
    });
    op("network", ONE, Cidr, |args, _| {
        Ok(Value::Inet(Inet { is_cidr: true, ..net(args, 0)?.network() }))
    });
    op("broadcast", ONE, Net, |args, _| {
        let v = net(args, 0)?;
        Ok(plain(v.with_number(v.number() | !v.mask(v.bits))))
    });
    op("set_masklen", &[Net, Int4], Net, |args, _| with_mask_length(args, false));
    op("set_masklen", &[Cidr, Int4], Cidr, |args, _| with_mask_length(args, true));
    op("inet_same_family", TWO, Bool, |args, _| {
        let (a, b) = both(args)?;
        Ok(Value::Bool(a.is_v6 == b.is_v6))
    });
    op("inet_merge", TWO, Cidr, merged);
    op("network_cmp", TWO, Int4, |args, _| {
        let (a, b) = both(args)?;
        Ok(Value::Int4(a.compare(&b) as i32))
    });
    op("network_larger", TWO, Net, |args, _| {
        let (a, b) = both(args)?;
        Ok(Value::Inet(if a.compare(&b).is_gt() { a } else { b }))
    });
    op("network_smaller", TWO, Net, |args, _| {
        let (a, b) = both(args)?;
        Ok(Value::Inet(if a.compare(&b).is_lt() { a } else { b }))
    });
}

/// The bytes of both arguments joined by a function.
fn mac_pairs<const N: usize>(a: &[u8; N], b: &[u8; N], f: fn(u8, u8) -> u8) -> [u8; N] {
    std::array::from_fn(|index| f(a[index], b[index]))
}

fn mac(args: &[Value], f: fn(u8, u8) -> u8) -> Result<Value, ValueError> {
    match (&args[0], args.last()) {
        (Value::Macaddr(a), Some(Value::Macaddr(b))) => Ok(Value::Macaddr(mac_pairs(a, b, f))),
        (Value::Macaddr8(a), Some(Value::Macaddr8(b))) => Ok(Value::Macaddr8(mac_pairs(a, b, f))),
        (other, _) => Err(mistyped(other)),
    }
}

fn macs(t: &mut Builder) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    let types: [(DataType, &'static [DataType], &'static [DataType]); 2] = [
        (Macaddr, &[Macaddr], &[Macaddr, Macaddr]),
        (Macaddr8, &[Macaddr8], &[Macaddr8, Macaddr8]),
    ];
    for (ty, one, two) in types {
        let mut op = |name: &'static str, args: &'static [DataType], kernel: General| {
            t.add(name, args, ty, Kernel::Values(kernel));
        };
        op("~", one, |args, _| mac(args, |a, _| !a));
        op("&", two, |args, _| mac(args, |a, b| a & b));
        op("|", two, |args, _| mac(args, |a, b| a | b));
        op("trunc", one, |args, _| match &args[0] {
            Value::Macaddr([a, b, c, ..]) => Ok(Value::Macaddr([*a, *b, *c, 0, 0, 0])),
            Value::Macaddr8([a, b, c, ..]) => Ok(Value::Macaddr8([*a, *b, *c, 0, 0, 0, 0, 0])),
            other => Err(mistyped(other)),
        });
    }
    t.add(
        "macaddr8_set7bit",
        &[Macaddr8],
        Macaddr8,
        Kernel::Values(|args, _| match &args[0] {
            Value::Macaddr8(v) => {
                let mut v = *v;
                v[0] |= 2;
                Ok(Value::Macaddr8(v))
            }
            other => Err(mistyped(other)),
        }),
    );
}

fn lsn(args: &[Value], index: usize) -> Result<u64, ValueError> {
    match &args[index] {
        Value::Lsn(v) => Ok(*v),
        other => Err(mistyped(other)),
    }
}

/// The position so many bytes further on, or back.
fn lsn_moved(at: u64, by: &Numeric, back: bool) -> Result<Value, ValueError> {
    if matches!(by, Numeric::NaN) {
        let word = if back { "subtract NaN from" } else { "add NaN to" };
        let message = format!("cannot {word} pg_lsn");
        return Err(ValueError::new(SqlState::FeatureNotSupported, message));
    }
    let at = number(at);
    let moved = if back { at.sub(by)? } else { at.add(by)? };
    let range = || ValueError::out_of_range("pg_lsn");
    if !moved.is_finite() {
        return Err(range());
    }
    let mut text = Vec::new();
    moved.round(0).write(&mut text);
    let v = String::from_utf8_lossy(&text).parse::<u64>().map_err(|_| range())?;
    Ok(Value::Lsn(v))
}

fn number(v: u64) -> Numeric {
    Numeric::new(i128::from(v), 0)
}

fn lsns(t: &mut Builder) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    let mut op = |name: &'static str, args: &'static [DataType], result, kernel: General| {
        t.add(name, args, result, Kernel::Values(kernel));
    };
    op("-", &[PgLsn, PgLsn], Num, |args, _| {
        Ok(Value::Numeric(number(lsn(args, 0)?).sub(&number(lsn(args, 1)?))?))
    });
    op("-", &[PgLsn, Num], PgLsn, |args, _| lsn_moved(lsn(args, 0)?, arg::numeric(args, 1)?, true));
    op("+", &[PgLsn, Num], PgLsn, |args, _| {
        lsn_moved(lsn(args, 0)?, arg::numeric(args, 1)?, false)
    });
    op("+", &[Num, PgLsn], PgLsn, |args, _| {
        lsn_moved(lsn(args, 1)?, arg::numeric(args, 0)?, false)
    });
    op("pg_wal_lsn_diff", &[PgLsn, PgLsn], Num, |args, _| {
        Ok(Value::Numeric(number(lsn(args, 0)?).sub(&number(lsn(args, 1)?))?))
    });
}

pub(super) fn add(t: &mut Builder) {
    inet(t);
    macs(t);
    lsns(t);
}
