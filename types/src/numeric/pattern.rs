//! Printing numbers by a pattern (`to_char(number, '9,999.99')`).

use super::Numeric;
use crate::{SqlState, ValueError};

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Node {
    Nine,
    Zero,
    Point,
    Group,
    /// `S`: a sign always, beside the number.
    Sign,
    /// `SG`: a sign always, in its place.
    FixedSign,
    /// `MI`: a minus or a blank.
    Minus,
    /// `PL`: a plus or a blank.
    Plus,
    /// `L`: the currency symbol, a blank in the C locale.
    Currency,
    /// `TH` and `th`.
    Ordinal(bool),
    Char(char),
}

/// A pattern, taken apart.
#[derive(Default)]
pub(super) struct Pattern {
    pub(super) nodes: Vec<Node>,
    pub(super) fill: bool,
    pub(super) brackets: bool,
    pub(super) before: usize,
    pub(super) after: usize,
    /// The first place before the point that shows a zero.
    first_zero: Option<usize>,
    /// The last place after the point that a fill-mode number keeps.
    last_zero_after: usize,
    pub(super) point: bool,
    pub(super) shift: Option<usize>,
    exponent: bool,
    roman: Option<bool>,
    sign_seen: bool,
}

fn wrong(message: &str) -> ValueError {
    ValueError::new(SqlState::SyntaxError, message)
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        let mut pattern = Self::default();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '"' {
                let mut chars = rest[1..].chars();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => pattern.nodes.extend(chars.next().map(Node::Char)),
                        c => pattern.nodes.push(Node::Char(c)),
                    }
                }
                rest = chars.as_str();
                continue;
            }
            if let Some(next) = rest.strip_prefix("\\\"") {
                pattern.nodes.push(Node::Char('"'));
                rest = next;
                continue;
            }
            const WORDS: [&str; 20] = [
                "EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", ",", ".", "0", "9", "B",
                "C", "D", "G", "L", "S", "V",
            ];
            let found = WORDS.iter().find(|word| {
                let lower = word.to_ascii_lowercase();
                rest.starts_with(**word) || rest.starts_with(&lower)
            });
            let Some(word) = found else {
                pattern.nodes.push(Node::Char(c));
                rest = &rest[c.len_utf8()..];
                continue;
            };
            let lower = rest.starts_with(|c: char| c.is_ascii_lowercase());
            rest = &rest[word.len()..];
            pattern.word(word, lower)?;
        }
        Ok(pattern)
    }

    fn word(&mut self, word: &str, lower: bool) -> Result<(), ValueError> {
        if self.exponent && word != "S" {
            return Err(wrong("\"EEEE\" must be the last pattern used"));
        }
        match word {
            "9" | "0" => {
                if self.brackets {
                    return Err(wrong("\"9\" must be ahead of \"PR\""));
                }
                if let Some(shift) = &mut self.shift {
                    *shift += 1;
                    self.nodes.push(Node::Nine);
                    return Ok(());
                }
                if self.point {
                    self.after += 1;
                    if word == "0" {
                        self.last_zero_after = self.after;
                    }
                } else {
                    self.before += 1;
                    if word == "0" && self.first_zero.is_none() {
                        self.first_zero = Some(self.before);
                    }
                }
                self.nodes.push(if word == "0" { Node::Zero } else { Node::Nine });
            }
            "." | "D" => {
                if self.point {
                    return Err(wrong("multiple decimal points"));
                }
                if self.shift.is_some() {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.point = true;
                self.nodes.push(Node::Point);
            }
            "," | "G" => self.nodes.push(Node::Group),
            "S" | "SG" | "MI" | "PL" => {
                if word == "S" && self.sign_seen {
                    return Err(wrong("cannot use \"S\" twice"));
                }
                self.sign_seen = true;
                self.nodes.push(match word {
                    "MI" => Node::Minus,
                    "PL" => Node::Plus,
                    "SG" => Node::FixedSign,
                    _ => Node::Sign,
                });
            }
            "PR" => {
                if self.sign_seen {
                    return Err(wrong("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                }
                self.brackets = true;
            }
            "FM" => self.fill = true,
            "L" => self.nodes.push(Node::Currency),
            "TH" => self.nodes.push(Node::Ordinal(lower)),
            "V" => {
                if self.point {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.shift = Some(0);
            }
            "RN" => self.roman = Some(lower),
            "EEEE" => {
                let conflict = self.fill || self.brackets || self.sign_seen || self.shift.is_some();
                if conflict {
                    return Err(wrong("\"EEEE\" is incompatible with other formats").with_detail(
                        "\"EEEE\" may only be used together with digit and decimal point patterns.",
                    ));
                }
                self.exponent = true;
            }
            // B, C and SP have no effect.
            _ => {}
        }
        Ok(())
    }
}

fn roman(number: i32, lower: bool, fill: bool) -> String {
    const PARTS: [(i32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let text = match number {
        mut v @ 1..=3999 => {
            let mut out = String::new();
            for (value, digits) in PARTS {
                while v >= value {
                    out.push_str(digits);
                    v -= value;
                }
            }
            out
        }
        _ => "#".repeat(15),
    };
    let text = if lower { text.to_lowercase() } else { text };
    if fill { text } else { format!("{text:>15}") }
}

fn scientific(number: &Numeric, places: usize) -> String {
    if !number.is_finite() {
        return format!(" {}#.{}", "#", "#".repeat(places + 4));
    }
    if number.is_zero() {
        let zeros = "0".repeat(places);
        return if places > 0 { format!(" 0.{zeros}e+00") } else { " 0e+00".to_owned() };
    }
    // Round to the places after the first digit; rounding up may carry into one more.
    let exponent_of = |number: &Numeric| {
        let text = number.abs().to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        match whole.trim_start_matches('0') {
            "" => -(fraction.bytes().take_while(|byte| *byte == b'0').count() as i32) - 1,
            digits => digits.len() as i32 - 1,
        }
    };
    let mut exponent = exponent_of(number);
    let rounded = number.round(places as i32 - exponent);
    exponent = exponent_of(&rounded);
    let digits: String = rounded
        .abs()
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .skip_while(|c| *c == '0')
        .chain(std::iter::repeat('0'))
        .take(places + 1)
        .collect();
    let sign = if number.signum() < 0 { '-' } else { ' ' };
    let point = if places > 0 { "." } else { "" };
    let e = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{}{point}{}e{e}{:02}", &digits[..1], &digits[1..], exponent.abs())
}

fn ordinal(digits: &str, lower: bool) -> &'static str {
    let bytes = digits.as_bytes();
    let teen = bytes.len() > 1 && bytes[bytes.len() - 2] == b'1';
    match (bytes.last(), lower) {
        (Some(b'1'), true) if !teen => "st",
        (Some(b'2'), true) if !teen => "nd",
        (Some(b'3'), true) if !teen => "rd",
        (Some(b'1'), false) if !teen => "ST",
        (Some(b'2'), false) if !teen => "ND",
        (Some(b'3'), false) if !teen => "RD",
        (_, true) => "th",
        (_, false) => "TH",
    }
}

/// Prints a number by a pattern.
///
/// # Errors
/// 42601 for patterns that contradict themselves.
pub(crate) fn format_number(number: &Numeric, text: &str) -> Result<String, ValueError> {
    // More digits than any number has would only cost time and memory.
    if text.len() > 20_000 {
        let message = "number format pattern is too long";
        return Err(ValueError::new(SqlState::ProgramLimitExceeded, message));
    }
    let pattern = Pattern::parse(text)?;
    if let Some(lower) = pattern.roman {
        let v = number.to_i64().and_then(|v| i32::try_from(v).ok());
        let v = v.ok_or_else(|| ValueError::out_of_range("integer"))?;
        return Ok(roman(v, lower, pattern.fill));
    }
    if pattern.exponent {
        return Ok(scientific(number, pattern.after));
    }
    let shift = pattern.shift.unwrap_or(0);
    let shifted = match number.unscaled() {
        Some((digits, scale)) if shift > 0 => {
            Numeric::from_big(digits * super::power_of_ten(shift as u32), scale)
        }
        _ => number.clone(),
    };
    let rounded = shifted.round(pattern.after as i32);
    let negative = rounded.signum() < 0;
    let places = pattern.before + shift;
    let plain = rounded.abs().to_string();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let overflow = !number.is_finite() || whole.len() > places;
    let whole: String = if overflow { "#".repeat(places) } else { whole.to_owned() };
    let fraction: String = if overflow { "#".repeat(pattern.after) } else { fraction.to_owned() };
    Ok(Layout { pattern: &pattern, negative, places, whole, fraction }.write())
}

/// Lays digits out over the parts of a pattern.
struct Layout<'a> {
    pattern: &'a Pattern,
    negative: bool,
    places: usize,
    whole: String,
    fraction: String,
}

impl Layout<'_> {
    /// The place before the point where output begins: the first digit, or the first forced zero.
    fn first_place(&self) -> usize {
        // A zero before the point is shown only where nothing else is.
        let bare = self.pattern.fill
            && self.pattern.last_zero_after == 0
            && self.fraction.bytes().all(|byte| byte == b'0');
        let hidden_zero = self.whole == "0" && self.pattern.after > 0 && !bare;
        let digits = if hidden_zero { 0 } else { self.whole.len() };
        let by_digits = self.places - digits.min(self.places) + 1;
        self.pattern.first_zero.map_or(by_digits, |zero| by_digits.min(zero))
    }

    /// A character, or the blank that holds its place unless there is no padding.
    fn or_blank(&self, shown: bool, c: char) -> Option<char> {
        if shown {
            Some(c)
        } else if self.pattern.fill {
            None
        } else {
            Some(' ')
        }
    }

    /// What stands directly before the number.
    fn leading_sign(&self, floating: bool) -> Option<char> {
        // A plus in its place does not replace the sign of the number.
        let replaces = |node: &Node| matches!(node, Node::Sign | Node::FixedSign | Node::Minus);
        if self.pattern.brackets {
            self.or_blank(self.negative, '<')
        } else if !self.pattern.nodes.iter().any(replaces) {
            self.or_blank(self.negative, '-')
        } else if floating {
            Some(self.sign())
        } else {
            None
        }
    }

    fn sign(&self) -> char {
        if self.negative { '-' } else { '+' }
    }

    /// The digit at a place before the point.
    fn whole_digit(&self, place: usize) -> char {
        let index = self.whole.len().checked_sub(self.places - place + 1);
        index.map_or('0', |index| char::from(self.whole.as_bytes()[index]))
    }

    fn write(&self) -> String {
        let pattern = self.pattern;
        let first = self.first_place();
        let kept = if pattern.fill {
            self.fraction.trim_end_matches('0').len().max(pattern.last_zero_after)
        } else {
            self.fraction.len()
        };
        let sign_at = pattern.nodes.iter().position(|node| *node == Node::Sign);
        let digit_at =
            pattern.nodes.iter().position(|node| matches!(node, Node::Nine | Node::Zero));
        // S before the digits moves to the number; behind them it stays.
        let floating = matches!((sign_at, digit_at), (Some(sign), Some(digit)) if sign < digit);
        let mut out = String::new();
        let (mut place, mut decimal) = (0, 0);
        let mut after_point = false;
        let mut digits_shown = false;
        let mut sign = self.leading_sign(floating);
        for node in &pattern.nodes {
            match node {
                Node::Nine | Node::Zero if !after_point => {
                    place += 1;
                    if place < first {
                        out.extend(self.or_blank(false, ' '));
                    } else {
                        out.extend(sign.take());
                        out.push(self.whole_digit(place));
                        digits_shown = true;
                    }
                }
                Node::Nine | Node::Zero => {
                    let digit = self.fraction.as_bytes().get(decimal).filter(|_| decimal < kept);
                    out.extend(digit.map(|digit| char::from(*digit)));
                    digits_shown |= digit.is_some();
                    decimal += 1;
                }
                Node::Point => {
                    out.extend(sign.take());
                    after_point = true;
                    out.push('.');
                }
                Node::Group => out.extend(self.or_blank(digits_shown, ',')),
                // A sign goes with the digits: where there are none, there is none.
                Node::Sign if floating || digit_at.is_none() => {}
                Node::Sign | Node::FixedSign => out.push(self.sign()),
                Node::Minus => out.extend(self.or_blank(self.negative, '-')),
                Node::Plus => out.extend(self.or_blank(!self.negative, '+')),
                Node::Currency => out.push(' '),
                Node::Ordinal(lower) => {
                    if !self.negative && pattern.after == 0 && !self.whole.starts_with('#') {
                        out.push_str(ordinal(&self.whole, *lower));
                    }
                }
                Node::Char(c) => out.push(*c),
            }
        }
        if pattern.brackets {
            out.extend(self.or_blank(self.negative, '>'));
        }
        out
    }
}
