//! Ranges as bytes: on the wire, in cells, and as keys.
//!
//! On the wire and in cells a range is a byte of flags and its bounds; a bound without value is left out.
//! As a key it is a zero if empty; otherwise a one and two bounds, each with a byte that puts the missing
//! bound outermost, and after the value one that puts a bound that does not belong a little inside.

use super::{Bound, Multirange, Range};
use crate::cell::{decode_value, encode_value};
use crate::key::{decode_key, encode_key, take};
use crate::{DataType, SqlState, ValueError, parse_binary, write_binary};

const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

fn flags(range: &Range) -> u8 {
    let Some((lower, upper)) = range.bounds() else { return EMPTY };
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    flag(lower.inclusive, LOWER_INCLUSIVE)
        | flag(upper.inclusive, UPPER_INCLUSIVE)
        | flag(lower.value.is_none(), LOWER_INFINITE)
        | flag(upper.value.is_none(), UPPER_INFINITE)
}

fn damaged() -> ValueError {
    ValueError::new(SqlState::DataCorrupted, "malformed value")
}

fn short() -> ValueError {
    ValueError::new(SqlState::ProtocolViolation, "insufficient data left in message")
}

/// Appends the binary form of a range.
pub(crate) fn write_range_wire(range: &Range, out: &mut Vec<u8>) {
    out.push(flags(range));
    let bounds = range.bounds().into_iter().flat_map(|(lower, upper)| [lower, upper]);
    for value in bounds.filter_map(|bound| bound.value.as_ref()) {
        let start = out.len();
        out.extend([0; 4]);
        write_binary(value, range.element(), out);
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn counted<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], ValueError> {
    let (length, rest) = bytes.split_at_checked(4).ok_or_else(short)?;
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
    let (piece, rest) = rest.split_at_checked(length).ok_or_else(short)?;
    *bytes = rest;
    Ok(piece)
}

/// Reads the binary form of a range.
pub(crate) fn read_range(element: DataType, bytes: &[u8]) -> Result<Range, ValueError> {
    let invalid = || {
        let message = "incorrect binary data format";
        ValueError::new(SqlState::InvalidBinaryRepresentation, message)
    };
    let (flags, mut rest) = bytes.split_first().ok_or_else(short)?;
    if flags & EMPTY != 0 {
        return if rest.is_empty() { Ok(Range::empty(element)) } else { Err(invalid()) };
    }
    let mut bound = |infinite: u8, inclusive: u8| -> Result<Bound, ValueError> {
        let value = if flags & infinite != 0 {
            None
        } else {
            Some(parse_binary(element, -1, counted(&mut rest)?)?)
        };
        Ok(Bound { value, inclusive: flags & inclusive != 0 })
    };
    let lower = bound(LOWER_INFINITE, LOWER_INCLUSIVE)?;
    let upper = bound(UPPER_INFINITE, UPPER_INCLUSIVE)?;
    if rest.is_empty() { Range::new(element, lower, upper) } else { Err(invalid()) }
}

/// Appends the binary form of a multirange.
pub(crate) fn write_multirange_wire(multirange: &Multirange, out: &mut Vec<u8>) {
    out.extend((multirange.ranges().len() as u32).to_be_bytes());
    for range in multirange.ranges() {
        let mut piece = Vec::new();
        write_range_wire(range, &mut piece);
        out.extend((piece.len() as u32).to_be_bytes());
        out.extend(piece);
    }
}

/// Reads the binary form of a multirange.
pub(crate) fn read_multirange(element: DataType, bytes: &[u8]) -> Result<Multirange, ValueError> {
    let (count, mut rest) = bytes.split_at_checked(4).ok_or_else(short)?;
    let count = u32::from_be_bytes([count[0], count[1], count[2], count[3]]);
    let mut ranges = Vec::new();
    for _ in 0..count {
        ranges.push(read_range(element, counted(&mut rest)?)?);
    }
    if rest.is_empty() { Ok(Multirange::new(element, ranges)) } else { Err(short()) }
}

/// The payload of a range's cell: the flags, and the cells of the bounds.
pub(crate) fn range_payload(range: &Range, out: &mut Vec<u8>) {
    out.push(flags(range));
    let bounds = range.bounds().into_iter().flat_map(|(lower, upper)| [lower, upper]);
    for value in bounds.filter_map(|bound| bound.value.as_ref()) {
        encode_value(value, range.element(), out);
    }
}

/// Reads the payload at the front, and moves past it.
pub(crate) fn read_range_payload(
    element: DataType,
    bytes: &mut &[u8],
) -> Result<Range, ValueError> {
    let flags = take(bytes, 1)?[0];
    if flags & EMPTY != 0 {
        return Ok(Range::empty(element));
    }
    let mut bound = |infinite: u8, inclusive: u8| -> Result<Bound, ValueError> {
        let value = if flags & infinite != 0 {
            None
        } else {
            Some(decode_value(element, bytes)?).filter(|value| !value.is_null())
        };
        if value.is_none() && flags & infinite == 0 {
            return Err(damaged());
        }
        Ok(Bound { value, inclusive: flags & inclusive != 0 })
    };
    let lower = bound(LOWER_INFINITE, LOWER_INCLUSIVE)?;
    let upper = bound(UPPER_INFINITE, UPPER_INCLUSIVE)?;
    Range::new(element, lower, upper).map_err(|_| damaged())
}

/// The payload of a multirange's cell: those of the ranges.
pub(crate) fn multirange_payload(multirange: &Multirange, out: &mut Vec<u8>) {
    multirange.ranges().iter().for_each(|range| range_payload(range, out));
}

/// Reads the payload of a multirange's cell.
pub(crate) fn read_multirange_payload(
    element: DataType,
    mut bytes: &[u8],
) -> Result<Multirange, ValueError> {
    let mut ranges = Vec::new();
    while !bytes.is_empty() {
        ranges.push(read_range_payload(element, &mut bytes)?);
    }
    Ok(Multirange::new(element, ranges))
}

/// Appends the key of a range.
pub(crate) fn encode_range_key(range: &Range, out: &mut Vec<u8>) {
    let Some((lower, upper)) = range.bounds() else { return out.push(0) };
    out.push(1);
    match &lower.value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            encode_key(value, range.element(), out);
            out.push(u8::from(!lower.inclusive));
        }
    }
    match &upper.value {
        None => out.push(2),
        Some(value) => {
            out.push(1);
            encode_key(value, range.element(), out);
            out.push(u8::from(upper.inclusive));
        }
    }
}

/// Reads the key of a range, and moves past it.
pub(crate) fn decode_range_key(element: DataType, bytes: &mut &[u8]) -> Result<Range, ValueError> {
    if take(bytes, 1)?[0] == 0 {
        return Ok(Range::empty(element));
    }
    let mut bound = |inclusive: u8| -> Result<Bound, ValueError> {
        if take(bytes, 1)?[0] != 1 {
            return Ok(Bound { value: None, inclusive: false });
        }
        let value = Some(decode_key(element, bytes)?);
        Ok(Bound { value, inclusive: take(bytes, 1)?[0] == inclusive })
    };
    let (lower, upper) = (bound(0)?, bound(1)?);
    Range::new(element, lower, upper).map_err(|_| damaged())
}

/// Appends the key of a multirange: each range after a one, and a zero.
pub(crate) fn encode_multirange_key(multirange: &Multirange, out: &mut Vec<u8>) {
    for range in multirange.ranges() {
        out.push(1);
        encode_range_key(range, out);
    }
    out.push(0);
}

/// Reads the key of a multirange, and moves past it.
pub(crate) fn decode_multirange_key(
    element: DataType,
    bytes: &mut &[u8],
) -> Result<Multirange, ValueError> {
    let mut ranges = Vec::new();
    while take(bytes, 1)?[0] == 1 {
        ranges.push(decode_range_key(element, bytes)?);
    }
    Ok(Multirange::new(element, ranges))
}
