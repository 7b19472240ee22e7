//! Floating point as text: the shortest digits that read back the same.

use crate::{SqlState, ValueError};

fn parse(text: &str, type_name: &str) -> Result<f64, ValueError> {
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let body = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let starts_number = body.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let special = ["nan", "inf", "infinity"].iter().any(|word| body.eq_ignore_ascii_case(word));
    if !starts_number && !special {
        return Err(ValueError::invalid_syntax(type_name, text));
    }
    trimmed.parse::<f64>().map_err(|_| ValueError::invalid_syntax(type_name, text))
}

fn out_of_range(text: &str, type_name: &str) -> ValueError {
    let message = format!("\"{text}\" is out of range for type {type_name}");
    ValueError::new(SqlState::NumericValueOutOfRange, message)
}

fn names_infinity(text: &str) -> bool {
    text.to_ascii_lowercase().contains("inf")
}

/// Whether the digits before the exponent are not all zero.
fn is_nonzero(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

/// Reads a `double precision`.
pub(crate) fn parse_float8(text: &str) -> Result<f64, ValueError> {
    const NAME: &str = "double precision";
    let v = parse(text, NAME)?;
    if (v.is_infinite() && !names_infinity(text)) || (v == 0.0 && is_nonzero(text)) {
        return Err(out_of_range(text, NAME));
    }
    Ok(v)
}

/// Reads a `real`, rounding once.
pub(super) fn parse_float4(text: &str) -> Result<f32, ValueError> {
    const NAME: &str = "real";
    parse(text, NAME)?;
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let v: f32 = trimmed.parse().map_err(|_| ValueError::invalid_syntax(NAME, text))?;
    if (v.is_infinite() && !names_infinity(text)) || (v == 0.0 && is_nonzero(text)) {
        return Err(out_of_range(text, NAME));
    }
    Ok(v)
}

fn write_special(v: f64, out: &mut Vec<u8>) -> bool {
    if v.is_nan() {
        out.extend(b"NaN");
    } else if v.is_infinite() {
        out.extend(if v > 0.0 { &b"Infinity"[..] } else { b"-Infinity" });
    } else {
        return false;
    }
    true
}

/// Appends a `double precision`. Without extra digits it has 15 significant ones, or fewer.
pub(crate) fn write_float8(v: f64, extra_digits: i32, out: &mut Vec<u8>) {
    if write_special(v, out) {
        return;
    }
    if extra_digits > 0 {
        layout(&shortest_float8(v), 15, out);
    } else {
        let digits = (15 + extra_digits).max(1) as usize;
        layout_rounded(&format!("{:.*e}", digits - 1, v), digits as i32, out);
    }
}

/// Appends a `real`.
pub(super) fn write_float4(v: f32, extra_digits: i32, out: &mut Vec<u8>) {
    if write_special(f64::from(v), out) {
        return;
    }
    if extra_digits > 0 {
        layout(&shortest_float4(v), 6, out);
    } else {
        let digits = (6 + extra_digits).max(1) as usize;
        layout_rounded(&format!("{:.*e}", digits - 1, v), digits as i32, out);
    }
}

/// The shortest digits that are nearer to a number than to its neighbours. Rust's shortest may lie exactly
/// between two of them, where reading decides for the even one; PostgreSQL takes one more digit.
///
/// Only whole numbers whose neighbours are whole numbers, too, have such middles of so few digits.
fn shortest_float8(v: f64) -> String {
    let shortest = format!("{v:e}");
    if !(9_007_199_254_740_992.0..1e41).contains(&v.abs()) {
        return shortest;
    }
    let reads_back = |text: &str| text.parse() == Ok(v);
    lengthened(shortest, reads_back, |digits| format!("{v:.digits$e}"))
}

fn shortest_float4(v: f32) -> String {
    let shortest = format!("{v:e}");
    if !(16_777_216.0..1e21).contains(&v.abs()) {
        return shortest;
    }
    let reads_back = |text: &str| text.parse() == Ok(v);
    lengthened(shortest, reads_back, |digits| format!("{v:.digits$e}"))
}

/// Digits, or as many more as it takes for those a little above and below to read back the same.
fn lengthened(
    shortest: String,
    reads_back: impl Fn(&str) -> bool,
    with_decimals: impl Fn(usize) -> String,
) -> String {
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let point = if decimals == 0 { "." } else { "" };
    // So little above and below that no number lies between.
    let above = format!("{mantissa}{point}{:030}e{exponent}", 1);
    let digits: u64 = mantissa
        .bytes()
        .filter(u8::is_ascii_digit)
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    // One less at the last place, and nines behind it.
    let scale = exponent.parse::<i32>().unwrap_or(0) - decimals as i32;
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let below = format!("{sign}{}.{}e{scale}", digits.saturating_sub(1), "9".repeat(30));
    if reads_back(&above) && reads_back(&below) {
        return shortest;
    }
    with_decimals(decimals + 1)
}

/// Lays out `d.ddde±x` as `%g` would: plain between 0.0001 and 10^precision, else with an exponent.
fn layout_rounded(text: &str, precision: i32, out: &mut Vec<u8>) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    layout(&format!("{mantissa}e{exponent}"), precision, out);
}

fn layout(text: &str, precision: i32, out: &mut Vec<u8>) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    if negative {
        out.push(b'-');
    }
    let digits: Vec<u8> = mantissa.bytes().filter(|byte| *byte != b'.').collect();
    if (-4..precision).contains(&exponent) {
        if exponent < 0 {
            out.extend(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            out.extend(&digits);
        } else {
            let whole = exponent as usize + 1;
            if digits.len() <= whole {
                out.extend(&digits);
                out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
            } else {
                out.extend(&digits[..whole]);
                out.push(b'.');
                out.extend(&digits[whole..]);
            }
        }
        return;
    }
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend(&digits[1..]);
    }
    out.push(b'e');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    out.extend(format!("{:02}", exponent.abs()).as_bytes());
}
