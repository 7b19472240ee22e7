//! Arrays as text: `{1,2}`, `{{a,"b c"},{NULL,d}}`, `[0:1]={1,2}`, and the vectors of the catalog.

use super::{Array, Dimension, MAX_DIMENSIONS, checked_count, too_many_dimensions};
use crate::io::{parse_text, write_text};
use crate::{DataType, EvalContext, SqlState, Value, ValueError};

/// What stands between elements, of all types that are here.
const DELIMITER: char = ',';

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn malformed(text: &str, detail: impl Into<String>) -> ValueError {
    let message = format!("malformed array literal: \"{text}\"");
    ValueError::new(SqlState::InvalidTextRepresentation, message).with_detail(detail)
}

/// Reads an array.
///
/// # Errors
/// 22P02, 2202E and 54000 with PostgreSQL's texts, and what reading an element raises.
pub(crate) fn parse_array(
    element: DataType,
    typmod: i32,
    text: &str,
    ctx: &EvalContext,
) -> Result<Array, ValueError> {
    let mut rest = text;
    let given = dimensions(&mut rest, text)?;
    if given.is_empty() {
        if !rest.starts_with('{') {
            let detail = "Array value must start with \"{\" or dimension information.";
            return Err(malformed(text, detail));
        }
    } else {
        let Some(contents) = rest.strip_prefix('=') else {
            return Err(malformed(text, "Missing \"=\" after array dimensions."));
        };
        rest = contents.trim_start_matches(is_space);
        if !rest.starts_with('{') {
            return Err(malformed(text, "Array contents must start with \"{\"."));
        }
    }
    let (items, lengths) = Braces::new(text, rest).read()?;
    let dimensions: Vec<Dimension> = if given.is_empty() {
        lengths.iter().map(|&length| Dimension { length, lower: 1 }).collect()
    } else if given.iter().map(|dimension| dimension.length).eq(lengths) {
        given
    } else {
        return Err(malformed(text, "Specified array dimensions do not match array contents."));
    };
    checked_count(&dimensions)?;
    let read = |item: Option<String>| {
        item.map_or(Ok(Value::Null), |item| parse_text(element, typmod, &item, ctx))
    };
    let values = items.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Array::new(element, dimensions, values)
}

/// The leading digits and signs.
fn number<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '+');
    let (head, tail) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = tail;
    Some(head).filter(|head| !head.is_empty())
}

/// As C's `atoi`, where it is defined; what is beyond is at the end.
fn bound(digits: &str) -> i32 {
    let (sign, digits) = match digits.as_bytes()[0] {
        b'-' => (-1, &digits[1..]),
        b'+' => (1, &digits[1..]),
        _ => (1, digits),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let value = digits[..end].bytes().fold(0i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(i64::from(i32::MAX) + 1)
    });
    (value * sign).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// Reads what stands before the contents: `[1:2][0:3]`.
fn dimensions(rest: &mut &str, text: &str) -> Result<Vec<Dimension>, ValueError> {
    let mut found = Vec::new();
    loop {
        *rest = rest.trim_start_matches(is_space);
        let Some(inner) = rest.strip_prefix('[') else { return Ok(found) };
        *rest = inner;
        if found.len() == MAX_DIMENSIONS {
            return Err(too_many_dimensions(MAX_DIMENSIONS + 1));
        }
        let first = number(rest).ok_or_else(|| {
            malformed(text, "\"[\" must introduce explicitly-specified array dimensions.")
        })?;
        let (lower, upper) = match rest.strip_prefix(':') {
            Some(inner) => {
                *rest = inner;
                let last = number(rest)
                    .ok_or_else(|| malformed(text, "Missing array dimension value."))?;
                (bound(first), bound(last))
            }
            None => (1, bound(first)),
        };
        *rest = rest
            .strip_prefix(']')
            .ok_or_else(|| malformed(text, "Missing \"]\" after array dimensions."))?;
        if upper < lower {
            return Err(ValueError::new(
                SqlState::ArraySubscriptError,
                "upper bound cannot be less than lower bound",
            ));
        }
        // What is longer than an array can be wraps, and is no array's length.
        let length = upper.wrapping_sub(lower).wrapping_add(1);
        found.push(Dimension { length, lower });
    }
}

/// Where a reader of braces stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    LevelStarted,
    Element,
    Quoted,
    QuotedDone,
    ElementDelimited,
    LevelDone,
    LevelDelimited,
}

/// A reader of `{…}`: the texts of the elements, and the lengths of the dimensions.
struct Braces<'a> {
    text: &'a str,
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    at: At,
    /// How many items there are so far at each open level.
    open: Vec<i32>,
    /// The length of each level, once one of it has been closed.
    lengths: [Option<i32>; MAX_DIMENSIONS],
    /// The level at which elements stand, once one was seen.
    depth: Option<usize>,
    items: Vec<Option<String>>,
    item: String,
    /// The length of `item` without the blanks at its end.
    solid: usize,
    is_escaped: bool,
}

impl<'a> Braces<'a> {
    fn new(text: &'a str, contents: &'a str) -> Self {
        Self {
            text,
            rest: contents.chars().peekable(),
            at: At::Start,
            open: Vec::new(),
            lengths: [None; MAX_DIMENSIONS],
            depth: None,
            items: Vec::new(),
            item: String::new(),
            solid: 0,
            is_escaped: false,
        }
    }

    fn unexpected(&self, c: char) -> ValueError {
        malformed(self.text, format!("Unexpected \"{c}\" character."))
    }

    fn unmatched(&self) -> ValueError {
        let detail = "Multidimensional arrays must have sub-arrays with matching dimensions.";
        malformed(self.text, detail)
    }

    fn next(&mut self) -> Result<char, ValueError> {
        self.rest.next().ok_or_else(|| malformed(self.text, "Unexpected end of input."))
    }

    fn read(mut self) -> Result<(Vec<Option<String>>, Vec<i32>), ValueError> {
        loop {
            let c = self.next()?;
            match c {
                '\\' => {
                    if !self.may_start() && !matches!(self.at, At::Element | At::Quoted) {
                        return Err(self.unexpected(c));
                    }
                    if self.at != At::Quoted {
                        self.at = At::Element;
                    }
                    let escaped = self.next()?;
                    self.item.push(escaped);
                    self.solid = self.item.len();
                    self.is_escaped = true;
                }
                '"' if self.at == At::Quoted => {
                    self.solid = self.item.len();
                    self.at = At::QuotedDone;
                }
                '"' => {
                    if !self.may_start() {
                        return Err(malformed(self.text, "Unexpected array element."));
                    }
                    self.is_escaped = true;
                    self.at = At::Quoted;
                }
                _ if self.at == At::Quoted => self.item.push(c),
                '{' => self.open_level()?,
                '}' => {
                    self.close_level()?;
                    if self.open.is_empty() {
                        break;
                    }
                }
                DELIMITER => {
                    self.at = match self.at {
                        At::LevelDone => At::LevelDelimited,
                        At::Element | At::QuotedDone => {
                            self.end_item()?;
                            At::ElementDelimited
                        }
                        _ => return Err(self.unexpected(c)),
                    };
                }
                _ if is_space(c) => {
                    if self.at == At::Element {
                        self.item.push(c);
                    }
                }
                _ => {
                    if !self.may_start() && self.at != At::Element {
                        return Err(malformed(self.text, "Unexpected array element."));
                    }
                    self.at = At::Element;
                    self.item.push(c);
                    self.solid = self.item.len();
                }
            }
        }
        if self.rest.any(|c| !is_space(c)) {
            return Err(malformed(self.text, "Junk after closing right brace."));
        }
        let Some(depth) = self.depth else { return Ok((self.items, Vec::new())) };
        let lengths = self.lengths[..depth].iter().map(|length| length.unwrap_or(0)).collect();
        Ok((self.items, lengths))
    }

    /// Whether an element may begin here.
    fn may_start(&self) -> bool {
        matches!(self.at, At::LevelStarted | At::ElementDelimited)
    }

    fn open_level(&mut self) -> Result<(), ValueError> {
        if !matches!(self.at, At::Start | At::LevelStarted | At::LevelDelimited) {
            return Err(self.unexpected('{'));
        }
        if self.open.len() == MAX_DIMENSIONS {
            return Err(too_many_dimensions(MAX_DIMENSIONS + 1));
        }
        self.at = At::LevelStarted;
        self.open.push(0);
        Ok(())
    }

    fn close_level(&mut self) -> Result<(), ValueError> {
        match self.at {
            At::Element | At::QuotedDone => self.end_item()?,
            At::LevelDone => {}
            At::LevelStarted if self.open.len() == 1 => {}
            _ => return Err(self.unexpected('}')),
        }
        self.at = At::LevelDone;
        let level = self.open.len() - 1;
        let length = self.open.pop().unwrap_or(0);
        match &mut self.lengths[level] {
            Some(known) if *known != length => return Err(self.unmatched()),
            known => *known = Some(length),
        }
        if let Some(outer) = self.open.last_mut() {
            *outer = outer.saturating_add(1);
        }
        Ok(())
    }

    fn end_item(&mut self) -> Result<(), ValueError> {
        if *self.depth.get_or_insert(self.open.len()) != self.open.len() {
            return Err(self.unmatched());
        }
        if let Some(count) = self.open.last_mut() {
            *count = count.saturating_add(1);
        }
        let mut item = std::mem::take(&mut self.item);
        item.truncate(self.solid);
        let is_null = !self.is_escaped && item.eq_ignore_ascii_case("null");
        self.items.push(if is_null { None } else { Some(item) });
        self.solid = 0;
        self.is_escaped = false;
        Ok(())
    }
}

/// Appends an array.
pub(crate) fn write_array(array: &Array, ctx: &EvalContext, out: &mut Vec<u8>) {
    if array.is_empty() {
        out.extend(b"{}");
        return;
    }
    let dimensions = array.dimensions();
    if dimensions.iter().any(|dimension| dimension.lower != 1) {
        for dimension in dimensions {
            out.extend(format!("[{}:{}]", dimension.lower, dimension.upper()).as_bytes());
        }
        out.push(b'=');
    }
    // How many elements one brace of each level holds.
    let mut sizes: Vec<usize> = Vec::with_capacity(dimensions.len());
    for dimension in dimensions.iter().rev() {
        sizes.push(sizes.last().copied().unwrap_or(1) * dimension.length as usize);
    }
    let mut element = Vec::new();
    for (index, value) in array.values().iter().enumerate() {
        if index > 0 {
            out.push(DELIMITER as u8);
        }
        let opened = sizes.iter().filter(|size| index % **size == 0).count();
        out.extend(std::iter::repeat_n(b'{', opened));
        if value.is_null() {
            out.extend(b"NULL");
        } else {
            element.clear();
            write_text(value, array.element(), ctx, &mut element);
            write_element(&element, out);
        }
        let closed = sizes.iter().filter(|size| (index + 1) % **size == 0).count();
        out.extend(std::iter::repeat_n(b'}', closed));
    }
}

fn write_element(element: &[u8], out: &mut Vec<u8>) {
    let is_special = |byte: &u8| {
        matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(char::from(*byte))
    };
    let quotes = element.is_empty()
        || element.eq_ignore_ascii_case(b"null")
        || element.iter().any(is_special);
    if !quotes {
        out.extend(element);
        return;
    }
    out.push(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Reads an `int2vector` or `oidvector`: numbers with blanks between them.
pub(crate) fn parse_vector(
    element: DataType,
    text: &str,
    ctx: &EvalContext,
) -> Result<Array, ValueError> {
    let values = text
        .split(is_space)
        .filter(|word| !word.is_empty())
        .map(|word| parse_text(element, -1, word, ctx))
        .collect::<Result<Vec<_>, _>>()?;
    Array::vector(element, values)
}

/// Appends an `int2vector` or `oidvector`.
pub(crate) fn write_vector(array: &Array, ctx: &EvalContext, out: &mut Vec<u8>) {
    for (index, value) in array.values().iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write_text(value, array.element(), ctx, out);
    }
}
