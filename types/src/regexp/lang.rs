//! The language of a part of a pattern: what it matches, without how it is taken apart.

use std::fmt::Write;
use std::rc::Rc;

use super::charset::CharSet;

/// A condition on a place between two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assertion {
    TextStart,
    TextEnd,
    /// At the text's start or behind a newline.
    LineStart,
    /// At the text's end or before a newline.
    LineEnd,
    WordStart,
    WordEnd,
    WordEdge,
    NoWordEdge,
}

/// A set of strings, each with what must be around it.
#[derive(Debug)]
pub(super) enum Lang {
    Empty,
    Set(Rc<CharSet>),
    Concat(Vec<Rc<Self>>),
    Or(Vec<Rc<Self>>),
    /// `max` is `None` where there is no limit.
    Repeat {
        inner: Rc<Self>,
        min: u32,
        max: Option<u32>,
    },
    Assert(Assertion),
    /// The number of a look-around.
    Look(usize),
}

impl Lang {
    pub(super) fn concat(mut parts: Vec<Rc<Self>>) -> Rc<Self> {
        match parts.len() {
            0 => Rc::new(Self::Empty),
            1 => parts.remove(0),
            _ => Rc::new(Self::Concat(parts)),
        }
    }

    pub(super) fn repeat(inner: Rc<Self>, min: u32, max: Option<u32>) -> Rc<Self> {
        if min == 1 && max == Some(1) {
            return inner;
        }
        Rc::new(Self::Repeat { inner, min, max })
    }

    /// The same without conditions: what a back reference may at most match.
    pub(super) fn unconditional(self: &Rc<Self>) -> Rc<Self> {
        let all = |parts: &[Rc<Self>]| parts.iter().map(Self::unconditional).collect();
        match &**self {
            Self::Empty | Self::Set(_) => Rc::clone(self),
            Self::Concat(parts) => Rc::new(Self::Concat(all(parts))),
            Self::Or(parts) => Rc::new(Self::Or(all(parts))),
            Self::Repeat { inner, min, max } => Self::repeat(inner.unconditional(), *min, *max),
            Self::Assert(_) | Self::Look(_) => Rc::new(Self::Empty),
        }
    }

    /// How many states its automaton has, at most `limit + 1`.
    pub(super) fn size(&self, limit: u64) -> u64 {
        let sum = |parts: &[Rc<Self>]| {
            let mut total = 1_u64;
            for part in parts {
                total += part.size(limit);
                if total > limit {
                    break;
                }
            }
            total
        };
        let size = match self {
            Self::Empty => 1,
            Self::Set(_) | Self::Assert(_) | Self::Look(_) => 1,
            Self::Concat(parts) | Self::Or(parts) => sum(parts),
            Self::Repeat { inner, min, max } => {
                let copies = u64::from(max.unwrap_or(*min).max(1));
                inner.size(limit).saturating_add(1).saturating_mul(copies)
            }
        };
        size.min(limit + 1)
    }

    /// Calls `found` for every set of characters in it.
    pub(super) fn each_set(&self, found: &mut impl FnMut(&Rc<CharSet>)) {
        match self {
            Self::Set(set) => found(set),
            Self::Concat(parts) | Self::Or(parts) => {
                parts.iter().for_each(|part| part.each_set(found));
            }
            Self::Repeat { inner, .. } => inner.each_set(found),
            Self::Empty | Self::Assert(_) | Self::Look(_) => {}
        }
    }

    /// Whether a condition for which this holds is in it.
    pub(super) fn has_assertion(&self, which: &impl Fn(Assertion) -> bool) -> bool {
        match self {
            Self::Assert(assertion) => which(*assertion),
            Self::Concat(parts) | Self::Or(parts) => {
                parts.iter().any(|part| part.has_assertion(which))
            }
            Self::Repeat { inner, .. } => inner.has_assertion(which),
            Self::Empty | Self::Set(_) | Self::Look(_) => false,
        }
    }

    /// Writes a pattern of the `regex` crate for the same strings; false where that has none that is
    /// surely the same: look-around, and words, of which it has another notion.
    pub(super) fn write_crate_pattern(&self, out: &mut String) -> bool {
        match self {
            Self::Empty => out.push_str("(?:)"),
            Self::Set(set) => return write_set(set, out),
            Self::Concat(parts) => {
                out.push_str("(?:");
                for part in parts {
                    if !part.write_crate_pattern(out) {
                        return false;
                    }
                }
                out.push(')');
            }
            Self::Or(parts) => {
                out.push_str("(?:");
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        out.push('|');
                    }
                    if !part.write_crate_pattern(out) {
                        return false;
                    }
                }
                out.push(')');
            }
            Self::Repeat { inner, min, max } => {
                out.push_str("(?:");
                if !inner.write_crate_pattern(out) {
                    return false;
                }
                out.push(')');
                let written = match (min, max) {
                    (0, None) => out.write_char('*'),
                    (1, None) => out.write_char('+'),
                    (0, Some(1)) => out.write_char('?'),
                    (min, None) => write!(out, "{{{min},}}"),
                    (min, Some(max)) => write!(out, "{{{min},{max}}}"),
                };
                return written.is_ok();
            }
            Self::Assert(assertion) => out.push_str(match assertion {
                Assertion::TextStart => r"\A",
                Assertion::TextEnd => r"\z",
                Assertion::LineStart => "(?m:^)",
                Assertion::LineEnd => "(?m:$)",
                _ => return false,
            }),
            Self::Look(_) => return false,
        }
        true
    }
}

/// A set for the crate. Surrogates are no characters there nor in any text.
fn write_set(set: &CharSet, out: &mut String) -> bool {
    let is_all = set.ranges() == CharSet::all().ranges();
    if is_all {
        out.push_str("(?s:.)");
        return true;
    }
    if let [(low, high)] = set.ranges()
        && low == high
    {
        return write!(out, r"\x{{{low:x}}}").is_ok() && char::from_u32(*low).is_some();
    }
    if set.ranges().is_empty() {
        return false;
    }
    out.push('[');
    for (low, high) in set.ranges() {
        let low = if (0xd800..0xe000).contains(low) { 0xe000 } else { *low };
        let high = if (0xd800..0xe000).contains(high) { 0xd7ff } else { *high };
        if low <= high && write!(out, r"\x{{{low:x}}}-\x{{{high:x}}}").is_err() {
            return false;
        }
    }
    out.push(']');
    true
}
