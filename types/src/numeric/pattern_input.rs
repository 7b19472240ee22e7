//! Reading numbers by a pattern (`to_number('1,234.5', '9,999.99')`).
//!
//! As in formatting.c: the pattern's parts each take what suits them of the text, one character or none;
//! a character of the pattern that means nothing takes any one.

use super::Numeric;
use super::pattern::{Node, Pattern};
use crate::ValueError;

/// What has been read.
struct Reader<'a> {
    pattern: &'a Pattern,
    text: &'a [u8],
    at: usize,
    sign: Option<u8>,
    digits: String,
    before: usize,
    after: usize,
    point: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn has(&self, node: Node) -> bool {
        self.pattern.nodes.contains(&node)
    }

    /// Passes over at most so many characters that cannot be part of a number.
    fn skip_others(&mut self, count: usize) {
        for _ in 0..count {
            match self.peek() {
                Some(c) if !b"0123456789.,+-".contains(&c) => self.advance(),
                _ => return,
            }
        }
    }

    /// Moves on by a character.
    fn advance(&mut self) {
        self.at += 1;
        while self.peek().is_some_and(|c| c & 0xc0 == 0x80) {
            self.at += 1;
        }
    }

    /// A digit, or the point, with the signs that may be beside it (`NUM_numpart_from_char`).
    fn part(&mut self, is_digit: bool) {
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
        let Some(c) = self.peek() else { return };
        let any = self.before + self.after > 0;
        let anchored = self.has(Node::Sign);
        if self.sign.is_none() && is_digit && !any {
            match c {
                b'-' => (self.sign, self.at) = (Some(b'-'), self.at + 1),
                b'<' if self.pattern.brackets => {
                    (self.sign, self.at) = (Some(b'-'), self.at + 1);
                }
                b'+' => (self.sign, self.at) = (Some(b'+'), self.at + 1),
                _ => {}
            }
        }
        let Some(c) = self.peek() else { return };
        let mut is_read = false;
        if c.is_ascii_digit() {
            if self.point && self.after == self.pattern.after {
                return;
            }
            self.digits.push(char::from(c));
            if self.point {
                self.after += 1;
            } else {
                self.before += 1;
            }
            is_read = true;
        } else if self.pattern.point && !self.point && c == b'.' {
            self.digits.push('.');
            self.point = true;
            is_read = true;
        }
        if self.sign.is_some() || self.before + self.after == 0 {
            return;
        }
        if anchored {
            // The sign stands behind the last digit.
            if is_read && let Some(sign @ (b'-' | b'+')) = self.text.get(self.at + 1).copied() {
                self.sign = Some(sign);
                self.at += 1;
            }
        } else if !is_read
            && !self.has(Node::Plus)
            && !self.has(Node::Minus)
            && matches!(c, b'-' | b'+')
        {
            self.sign = Some(c);
        }
    }

    fn node(&mut self, node: Node) {
        match node {
            Node::Nine | Node::Zero => self.part(true),
            Node::Point => self.part(false),
            Node::Group => {
                let any = self.before + self.after > 0;
                if (!any && self.pattern.fill) || self.peek() != Some(b',') {
                    return;
                }
            }
            Node::Currency => return self.skip_others(1),
            Node::Ordinal(_) => return self.skip_others(2),
            Node::Minus | Node::Plus | Node::FixedSign => {
                let c = self.peek();
                let is_sign = match node {
                    Node::Minus => c == Some(b'-'),
                    Node::Plus => c == Some(b'+'),
                    _ => matches!(c, Some(b'-' | b'+')),
                };
                if !is_sign {
                    return self.skip_others(1);
                }
                self.sign = c;
            }
            Node::Sign => return,
            Node::Char(_) => {}
        }
        self.advance();
    }
}

/// Reads a number by a pattern.
///
/// # Errors
/// 42601 for a pattern that is wrong, 22P02 where there is no number, 22003 where it is too large for the
/// pattern.
pub(crate) fn to_number(text: &str, pattern: &str) -> Result<Numeric, ValueError> {
    let pattern = Pattern::parse(pattern)?;
    let mut reader = Reader {
        pattern: &pattern,
        text: text.as_bytes(),
        at: 0,
        sign: None,
        digits: String::new(),
        before: 0,
        after: 0,
        point: false,
    };
    for node in &pattern.nodes {
        if reader.at >= reader.text.len() {
            break;
        }
        reader.node(*node);
    }
    let sign = reader.sign.map_or(' ', char::from);
    let digits = reader.digits.strip_suffix('.').unwrap_or(&reader.digits);
    let number = Numeric::parse(&format!("{sign}{digits}"))?;
    let shift = pattern.shift.unwrap_or(0);
    let precision = pattern.before + shift + reader.after;
    let typmod = (((precision as i32) << 16) | reader.after as i32) + 4;
    let number = number.apply_typmod(typmod)?;
    match i32::try_from(shift) {
        Ok(shift @ 1..) => {
            let factor = Numeric::from(10i64).power(&Numeric::from(i64::from(-shift)))?;
            number.mul(&factor)
        }
        _ => Ok(number),
    }
}
