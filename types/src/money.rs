//! `money`: cents in 64 bits, as the `C` locale prints them.

use crate::{SqlState, ValueError};

fn out_of_range(text: &str) -> ValueError {
    let message = format!("value \"{text}\" is out of range for type money");
    ValueError::new(SqlState::NumericValueOutOfRange, message)
}

/// Reads an amount (`cash_in`): a currency sign, separators, and minus or brackets for a negative one.
///
/// # Errors
/// 22P02 and 22003.
pub(crate) fn parse_money(text: &str) -> Result<i64, ValueError> {
    let invalid = || ValueError::invalid_syntax("money", text);
    let is_blank = |c: u8| c.is_ascii_whitespace() || c == b'\x0b';
    let bytes = text.as_bytes();
    let mut at = 0;
    let skip_blanks = |at: &mut usize| {
        while bytes.get(*at).is_some_and(|c| is_blank(*c)) {
            *at += 1;
        }
    };
    skip_blanks(&mut at);
    if bytes.get(at) == Some(&b'$') {
        at += 1;
    }
    skip_blanks(&mut at);
    let mut negative = false;
    match bytes.get(at) {
        Some(b'-' | b'(') => {
            negative = true;
            at += 1;
        }
        Some(b'+') => at += 1,
        _ => {}
    }
    skip_blanks(&mut at);
    if bytes.get(at) == Some(&b'$') {
        at += 1;
    }
    skip_blanks(&mut at);
    // Summed up as a negative number, of which there is one more.
    let mut value: i64 = 0;
    let (mut decimals, mut seen_point, mut any) = (0, false, false);
    let push = |value: i64, digit: u8| {
        value
            .checked_mul(10)
            .and_then(|v| v.checked_sub(i64::from(digit - b'0')))
            .ok_or_else(|| out_of_range(text))
    };
    while let Some(c) = bytes.get(at) {
        match c {
            b'0'..=b'9' if !seen_point || decimals < 2 => {
                value = push(value, *c)?;
                decimals += i32::from(seen_point);
                any = true;
            }
            b'.' if !seen_point => seen_point = true,
            b',' => {}
            _ => break,
        }
        at += 1;
    }
    if bytes.get(at).is_some_and(|c| (b'5'..=b'9').contains(c)) {
        value = value.checked_sub(1).ok_or_else(|| out_of_range(text))?;
    }
    for _ in decimals..2 {
        value = push(value, b'0')?;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    for c in &bytes[at..] {
        match c {
            b')' | b'-' => negative = true,
            b'+' | b'$' => {}
            c if is_blank(*c) => {}
            _ => return Err(invalid()),
        }
    }
    if !any && !seen_point {
        return Err(invalid());
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or_else(|| out_of_range(text)) }
}

/// Appends an amount.
pub(crate) fn write_money(v: i64, out: &mut Vec<u8>) {
    let magnitude = v.unsigned_abs();
    if v < 0 {
        out.push(b'-');
    }
    out.push(b'$');
    let whole = (magnitude / 100).to_string();
    for (index, digit) in whole.bytes().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(b',');
        }
        out.push(digit);
    }
    out.extend(format!(".{:02}", magnitude % 100).as_bytes());
}

const SMALL: [&str; 28] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
];

/// A number below a thousand in words (`num_word`).
fn below_thousand(v: u64) -> String {
    let rest = (v % 100) as usize;
    let small = |v: usize| SMALL[v];
    if v <= 20 {
        return small(v as usize).to_owned();
    }
    let hundreds = || small((v / 100) as usize);
    if rest == 0 {
        return format!("{} hundred", hundreds());
    }
    let tens = || {
        let ten = SMALL[18 + rest / 10];
        if rest.is_multiple_of(10) { ten.to_owned() } else { format!("{ten} {}", small(rest % 10)) }
    };
    if v > 99 {
        if rest.is_multiple_of(10) && rest > 10 {
            return format!("{} hundred {}", hundreds(), SMALL[18 + rest / 10]);
        }
        if rest < 20 {
            return format!("{} hundred and {}", hundreds(), small(rest));
        }
        return format!("{} hundred {}", hundreds(), tens());
    }
    if rest < 20 { small(rest).to_owned() } else { tens() }
}

/// An amount in words (`cash_words`).
pub(crate) fn money_in_words(v: i64) -> String {
    let mut out = String::new();
    if v < 0 {
        out.push_str("minus ");
    }
    let magnitude = v.unsigned_abs();
    let (dollars, cents) = (magnitude / 100, magnitude % 100);
    let scales = [
        (1_000_000_000_000_000, " quadrillion "),
        (1_000_000_000_000, " trillion "),
        (1_000_000_000, " billion "),
        (1_000_000, " million "),
        (1_000, " thousand "),
    ];
    for (scale, name) in scales {
        let group = dollars / scale % 1000;
        if group > 0 {
            out.push_str(&below_thousand(group));
            out.push_str(name);
        }
    }
    let units = dollars % 1000;
    if units > 0 {
        out.push_str(&below_thousand(units));
    }
    if dollars == 0 {
        out.push_str("zero");
    }
    out.push_str(if dollars == 1 { " dollar and " } else { " dollars and " });
    out.push_str(&below_thousand(cents));
    out.push_str(if cents == 1 { " cent" } else { " cents" });
    let mut chars = out.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().collect::<String>() + chars.as_str(),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written() {
        let round = |text: &str| {
            let mut out = Vec::new();
            write_money(parse_money(text).unwrap(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(round("1234567.895"), "$1,234,567.90");
        assert_eq!(round("($1)"), "-$1.00");
        assert_eq!(round("-$0.5"), "-$0.50");
        assert_eq!(round("-92233720368547758.08"), "-$92,233,720,368,547,758.08");
        parse_money("92233720368547758.08").unwrap_err();
        parse_money("a").unwrap_err();
    }
}
