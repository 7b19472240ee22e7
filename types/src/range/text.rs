//! Ranges as text: `[1,5)`, `empty`, `{[1,3),[5,7)}`.

use super::{Bound, Multirange, Range};
use crate::{DataType, EvalContext, SqlState, ValueError, parse_text, write_text};

fn malformed(kind: &str, text: &str, detail: &str) -> ValueError {
    let message = format!("malformed {kind} literal: \"{text}\"");
    ValueError::new(SqlState::InvalidTextRepresentation, message).with_detail(detail)
}

const END: &str = "Unexpected end of input.";

/// One bound: up to a character that ends it, without its quotes; `None` if nothing stands there.
fn bound<'a>(rest: &'a str, whole: &str) -> Result<(Option<String>, &'a str), ValueError> {
    if rest.starts_with([',', ')', ']']) {
        return Ok((None, rest));
    }
    let mut out = String::new();
    let mut in_quotes = false;
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            ',' | '(' | ')' | '[' | ']' if !in_quotes => return Ok((Some(out), &rest[at..])),
            '\\' => match chars.next() {
                Some((_, c)) => out.push(c),
                None => break,
            },
            '"' if in_quotes && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                out.push('"');
            }
            '"' => in_quotes = !in_quotes,
            c => out.push(c),
        }
    }
    Err(malformed("range", whole, END))
}

/// Reads a range.
///
/// # Errors
/// 22P02, and what reading the bounds and making the range raise.
pub(crate) fn parse_range(
    element: DataType,
    text: &str,
    ctx: &EvalContext,
) -> Result<Range, ValueError> {
    let fail = |detail: &str| malformed("range", text, detail);
    let is_blank = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    let rest = text.trim_start_matches(is_blank);
    if rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("empty")) {
        let after = rest[5..].trim_matches(is_blank);
        return match after {
            "" => Ok(Range::empty(element)),
            _ => Err(fail("Junk after \"empty\" key word.")),
        };
    }
    let lower_inclusive = match rest.chars().next() {
        Some('[') => true,
        Some('(') => false,
        _ => return Err(fail("Missing left parenthesis or bracket.")),
    };
    let (lower, rest) = bound(&rest[1..], text)?;
    let rest = rest.strip_prefix(',').ok_or_else(|| fail("Missing comma after lower bound."))?;
    let (upper, rest) = bound(rest, text)?;
    let upper_inclusive = match rest.chars().next() {
        Some(']') => true,
        Some(')') => false,
        _ => return Err(fail("Too many commas.")),
    };
    if !rest[1..].trim_matches(is_blank).is_empty() {
        return Err(fail("Junk after right parenthesis or bracket."));
    }
    let read = |text: Option<String>, inclusive: bool| -> Result<Bound, ValueError> {
        let value = text.map(|text| parse_text(element, -1, &text, ctx)).transpose()?;
        Ok(Bound { value, inclusive })
    };
    Range::new(element, read(lower, lower_inclusive)?, read(upper, upper_inclusive)?)
}

/// Appends a range.
pub(crate) fn write_range(range: &Range, ctx: &EvalContext, out: &mut Vec<u8>) {
    let Some((lower, upper)) = range.bounds() else { return out.extend(b"empty") };
    let write = |bound: &Bound, out: &mut Vec<u8>| {
        let Some(value) = &bound.value else { return };
        let mut text = Vec::new();
        write_text(value, range.element(), ctx, &mut text);
        let is_special = |c: &u8| c.is_ascii_whitespace() || b"\"\\()[],\x0b".contains(c);
        if !text.is_empty() && !text.iter().any(is_special) {
            return out.extend(text);
        }
        out.push(b'"');
        for c in text {
            if c == b'"' || c == b'\\' {
                out.push(c);
            }
            out.push(c);
        }
        out.push(b'"');
    };
    out.push(if lower.inclusive { b'[' } else { b'(' });
    write(lower, out);
    out.push(b',');
    write(upper, out);
    out.push(if upper.inclusive { b']' } else { b')' });
}

/// The end of the range at the start of a text: the byte after its bracket.
fn range_end(rest: &str) -> Option<usize> {
    let (mut in_quotes, mut escaped) = (false, false);
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_quotes = !in_quotes,
            ')' | ']' if !in_quotes => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Reads a multirange.
///
/// # Errors
/// As [`parse_range`].
pub(crate) fn parse_multirange(
    element: DataType,
    text: &str,
    ctx: &EvalContext,
) -> Result<Multirange, ValueError> {
    let fail = |detail: &str| malformed("multirange", text, detail);
    let is_blank = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    let mut rest = text.trim_start_matches(is_blank);
    rest = rest.strip_prefix('{').ok_or_else(|| fail("Missing left brace."))?;
    rest = rest.trim_start_matches(is_blank);
    let mut ranges = Vec::new();
    if let Some(after) = rest.strip_prefix('}') {
        rest = after;
    } else {
        loop {
            let length = match rest.chars().next() {
                Some('[' | '(') => range_end(rest).ok_or_else(|| fail(END))?,
                Some('e' | 'E')
                    if rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("empty")) =>
                {
                    5
                }
                None => return Err(fail(END)),
                _ => return Err(fail("Expected range start.")),
            };
            ranges.push(parse_range(element, &rest[..length], ctx)?);
            rest = rest[length..].trim_start_matches(is_blank);
            match rest.chars().next() {
                Some(',') => rest = rest[1..].trim_start_matches(is_blank),
                Some('}') => {
                    rest = &rest[1..];
                    break;
                }
                None => return Err(fail(END)),
                _ => return Err(fail("Expected comma or end of multirange.")),
            }
        }
    }
    if !rest.trim_matches(is_blank).is_empty() {
        return Err(fail("Junk after closing right brace."));
    }
    Ok(Multirange::new(element, ranges))
}

/// Appends a multirange.
pub(crate) fn write_multirange(multirange: &Multirange, ctx: &EvalContext, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, range) in multirange.ranges().iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_range(range, ctx, out);
    }
    out.push(b'}');
}
