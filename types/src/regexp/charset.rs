//! Sets of characters: what a bracket expression, an escape or a single character stands for.
//!
//! A set is a sorted list of ranges that neither meet nor overlap. Classes are Unicode's, as PostgreSQL's
//! are in a database whose `LC_CTYPE` is UTF-8. Folding pairs a character with its single lower-case and
//! upper-case forms, as PostgreSQL does; forms of several characters do not count.

use std::sync::OnceLock;

const LAST: u32 = char::MAX as u32;

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct CharSet {
    ranges: Vec<(u32, u32)>,
}

impl CharSet {
    /// One character; nothing where the code is none's.
    pub(super) fn single(c: u32) -> Self {
        Self { ranges: if c <= LAST { vec![(c, c)] } else { Vec::new() } }
    }

    pub(super) fn all() -> Self {
        Self { ranges: vec![(0, LAST)] }
    }

    fn from_ranges(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        let mut out: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match out.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => out.push((low, high)),
            }
        }
        Self { ranges: out }
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    pub(super) fn contains(&self, c: u32) -> bool {
        let after = self.ranges.partition_point(|range| range.0 <= c);
        after > 0 && self.ranges[after - 1].1 >= c
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self::from_ranges([self.ranges.as_slice(), other.ranges.as_slice()].concat())
    }

    pub(super) fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = 0;
        for (low, high) in &self.ranges {
            if next < *low {
                ranges.push((next, low - 1));
            }
            next = high + 1;
        }
        if next <= LAST {
            ranges.push((next, LAST));
        }
        Self { ranges }
    }

    pub(super) fn without(&self, c: u32) -> Self {
        self.complement().union(&Self::single(c)).complement()
    }

    /// All from `low` to `high`.
    pub(super) fn range(low: u32, high: u32) -> Self {
        let high = high.min(LAST);
        Self { ranges: if low <= high { vec![(low, high)] } else { Vec::new() } }
    }

    /// The set with the other cases of its characters.
    pub(super) fn folded(&self) -> Self {
        let mut ranges = self.ranges.clone();
        for (low, high) in &self.ranges {
            // No character beyond has cases.
            for code in *low..=(*high).min(0x1_ffff) {
                let Some(c) = char::from_u32(code) else { continue };
                for other in [lower(c), upper(c)] {
                    if other != c {
                        ranges.push((other as u32, other as u32));
                    }
                }
            }
        }
        Self::from_ranges(ranges)
    }

    fn of(holds: impl Fn(char) -> bool) -> Self {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for code in 0..=LAST {
            if !char::from_u32(code).is_some_and(&holds) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.1 + 1 == code => last.1 = code,
                _ => ranges.push((code, code)),
            }
        }
        Self { ranges }
    }
}

/// A union in the making, of any number of sets.
#[derive(Debug, Default)]
pub(super) struct Collected {
    ranges: Vec<(u32, u32)>,
}

impl Collected {
    /// So many ranges are merged before there are more.
    const MOST: usize = 100_000;

    pub(super) fn add(&mut self, set: &CharSet) {
        self.ranges.extend_from_slice(set.ranges());
        if self.ranges.len() > Self::MOST {
            self.ranges = CharSet::from_ranges(std::mem::take(&mut self.ranges)).ranges;
        }
    }

    pub(super) fn set(self) -> CharSet {
        CharSet::from_ranges(self.ranges)
    }
}

/// The lower case of a character, if it is one character.
pub(super) fn lower(c: char) -> char {
    let mut forms = c.to_lowercase();
    match (forms.next(), forms.next()) {
        (Some(form), None) => form,
        _ => c,
    }
}

fn upper(c: char) -> char {
    let mut forms = c.to_uppercase();
    match (forms.next(), forms.next()) {
        (Some(form), None) => form,
        _ => c,
    }
}

/// A named class of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Alnum,
    Alpha,
    Ascii,
    Blank,
    Cntrl,
    Digit,
    Graph,
    Lower,
    Print,
    Punct,
    Space,
    Upper,
    Xdigit,
    Word,
}

impl Class {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "alnum" => Self::Alnum,
            "alpha" => Self::Alpha,
            "ascii" => Self::Ascii,
            "blank" => Self::Blank,
            "cntrl" => Self::Cntrl,
            "digit" => Self::Digit,
            "graph" => Self::Graph,
            "lower" => Self::Lower,
            "print" => Self::Print,
            "punct" => Self::Punct,
            "space" => Self::Space,
            "upper" => Self::Upper,
            "xdigit" => Self::Xdigit,
            "word" => Self::Word,
            _ => return None,
        })
    }

    fn holds(self, c: char) -> bool {
        let graphic = || !c.is_control() && !c.is_whitespace();
        match self {
            Self::Alnum => c.is_alphanumeric(),
            Self::Alpha => c.is_alphabetic(),
            Self::Ascii => c.is_ascii(),
            Self::Blank => c == ' ' || c == '\t',
            Self::Cntrl => c.is_control(),
            Self::Digit => c.is_ascii_digit(),
            Self::Graph => graphic(),
            Self::Lower => c.is_lowercase(),
            Self::Print => graphic() || (c.is_whitespace() && !c.is_control()),
            Self::Punct => graphic() && !c.is_alphanumeric(),
            Self::Space => c.is_whitespace(),
            Self::Upper => c.is_uppercase(),
            Self::Xdigit => c.is_ascii_hexdigit(),
            Self::Word => c.is_alphanumeric() || c == '_',
        }
    }

    /// The class's characters. All of Unicode is looked at once per class and process.
    pub(super) fn set(self) -> &'static CharSet {
        static SETS: [OnceLock<CharSet>; 14] = [const { OnceLock::new() }; 14];
        SETS[self as usize].get_or_init(|| CharSet::of(|c| self.holds(c)))
    }
}

/// The names of collating elements of one character in POSIX's locale, from NUL.
const NAMES: [&str; 128] = [
    "NUL",
    "SOH",
    "STX",
    "ETX",
    "EOT",
    "ENQ",
    "ACK",
    "BEL",
    "BS",
    "HT",
    "LF",
    "VT",
    "FF",
    "CR",
    "SO",
    "SI",
    "DLE",
    "DC1",
    "DC2",
    "DC3",
    "DC4",
    "NAK",
    "SYN",
    "ETB",
    "CAN",
    "EM",
    "SUB",
    "ESC",
    "IS4",
    "IS3",
    "IS2",
    "IS1",
    "space",
    "exclamation-mark",
    "quotation-mark",
    "number-sign",
    "dollar-sign",
    "percent-sign",
    "ampersand",
    "apostrophe",
    "left-parenthesis",
    "right-parenthesis",
    "asterisk",
    "plus-sign",
    "comma",
    "hyphen",
    "period",
    "slash",
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
    "colon",
    "semicolon",
    "less-than-sign",
    "equals-sign",
    "greater-than-sign",
    "question-mark",
    "commercial-at",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "left-square-bracket",
    "backslash",
    "right-square-bracket",
    "circumflex",
    "underscore",
    "grave-accent",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "left-brace",
    "vertical-line",
    "right-brace",
    "tilde",
    "DEL",
];

/// Second names of some of them.
const MORE_NAMES: [(&str, u32); 19] = [
    ("alert", 7),
    ("backspace", 8),
    ("tab", 9),
    ("newline", 10),
    ("vertical-tab", 11),
    ("form-feed", 12),
    ("carriage-return", 13),
    ("FS", 28),
    ("GS", 29),
    ("RS", 30),
    ("US", 31),
    ("hyphen-minus", 45),
    ("full-stop", 46),
    ("solidus", 47),
    ("reverse-solidus", 92),
    ("circumflex-accent", 94),
    ("low-line", 95),
    ("left-curly-bracket", 123),
    ("right-curly-bracket", 125),
];

/// The character that a collating element is: itself, or one that has the name.
pub(super) fn element(name: &[char]) -> Option<u32> {
    if let [only] = name {
        return Some(*only as u32);
    }
    let name: String = name.iter().collect();
    if name.is_empty() {
        return None;
    }
    NAMES
        .iter()
        .position(|known| *known == name)
        .map(|at| at as u32)
        .or_else(|| MORE_NAMES.iter().find(|(known, _)| *known == name).map(|(_, code)| *code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_their_characters() {
        let of = |name: &str| element(&name.chars().collect::<Vec<_>>());
        for (name, c) in [
            ("space", ' '),
            ("period", '.'),
            ("nine", '9'),
            ("commercial-at", '@'),
            ("left-square-bracket", '['),
            ("grave-accent", '`'),
            ("left-brace", '{'),
            ("DEL", '\x7f'),
            ("ESC", '\x1b'),
            ("é", 'é'),
        ] {
            assert_eq!(of(name), Some(c as u32), "{name}");
        }
        assert_eq!(of("nobody"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn sets_are_closed_under_complement() {
        let set = CharSet::range(b'b'.into(), b'd'.into()).union(&CharSet::single(b'e'.into()));
        assert_eq!(set, CharSet::range(b'b'.into(), b'e'.into()));
        assert_eq!(set.complement().complement(), set);
        assert!(!set.without(b'c'.into()).contains(b'c'.into()));
        assert!(set.folded().contains(b'D'.into()));
        assert_eq!(CharSet::all().complement(), CharSet::default());
    }
}
