//! Patterns: `LIKE`, `ILIKE` and regular expressions, which [`crate::regexp`] does.

use std::cell::RefCell;
use std::rc::Rc;

use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::{self, Bool, Bpchar, Bytea, Name, Text};
use crate::regexp::{Match, Options, Regexp};
use crate::{EvalContext, SqlState, Value, ValueError};

fn invalid_escape() -> ValueError {
    ValueError::new(
        SqlState::InvalidEscapeSequence,
        "LIKE pattern must not end with escape character",
    )
}

/// Matches bytes against a pattern with `%`, `_` and `\`. Greedy with one backtrack point, the last
/// `%`: time is at most the product of the lengths.
fn like_bytes(text: &[u8], pattern: &[u8], wide: bool) -> Result<bool, ValueError> {
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    let step = |at: usize| {
        let mut next = at + 1;
        while wide && next < text.len() && text[next] & 0xc0 == 0x80 {
            next += 1;
        }
        next
    };
    while t < text.len() {
        let advanced = match pattern.get(p) {
            Some(b'%') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(b'_') => {
                t = step(t);
                p += 1;
                true
            }
            Some(b'\\') => {
                let literal = pattern.get(p + 1).ok_or_else(invalid_escape)?;
                let same = *literal == text[t];
                if same {
                    t += 1;
                    p += 2;
                }
                same
            }
            Some(literal) if *literal == text[t] => {
                t += 1;
                p += 1;
                true
            }
            _ => false,
        };
        if !advanced {
            let Some((pattern_at, text_at)) = retry else { return Ok(false) };
            let text_at = step(text_at);
            retry = Some((pattern_at, text_at));
            p = pattern_at;
            t = text_at;
        }
    }
    while pattern.get(p) == Some(&b'%') {
        p += 1;
    }
    Ok(p == pattern.len())
}

fn like(text: &str, pattern: &str) -> Result<bool, ValueError> {
    like_bytes(text.as_bytes(), pattern.as_bytes(), true)
}

fn ilike(text: &str, pattern: &str) -> Result<bool, ValueError> {
    like(&text.to_lowercase(), &pattern.to_lowercase())
}

/// Rewrites a pattern with another escape character to one with the backslash.
fn like_escape(pattern: &str, escape: &str) -> Result<String, ValueError> {
    let mut chars = escape.chars();
    let (escape, more) = (chars.next(), chars.next());
    if more.is_some() {
        return Err(ValueError::new(SqlState::InvalidEscapeSequence, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        if Some(c) == escape && !escaped {
            out.push('\\');
            escaped = true;
            continue;
        }
        if c == '\\' && !escaped {
            out.push('\\');
        }
        out.push(c);
        escaped = false;
    }
    Ok(out)
}

/// Likewise for byte strings.
fn like_escape_bytes(pattern: &[u8], escape: &[u8]) -> Result<Value, ValueError> {
    if escape.len() > 1 {
        return Err(ValueError::new(SqlState::InvalidEscapeSequence, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut out = Vec::with_capacity(pattern.len());
    let mut escaped = false;
    for byte in pattern {
        if Some(byte) == escape.first() && !escaped {
            out.push(b'\\');
            escaped = true;
            continue;
        }
        if *byte == b'\\' && !escaped {
            out.push(b'\\');
        }
        out.push(*byte);
        escaped = false;
    }
    Ok(Value::Bytea(out.into()))
}

/// How a regular expression is applied.
#[derive(Default)]
pub(super) struct Flags {
    options: Options,
    pub(super) global: bool,
}

impl Flags {
    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        let mut flags = Self::default();
        for c in text.chars() {
            if c == 'g' {
                flags.global = true;
            } else if !flags.options.set(c) {
                let message = format!("invalid regular expression option: \"{c}\"");
                return Err(ValueError::invalid_parameter(message));
            }
        }
        Ok(flags)
    }
}

/// How many patterns a thread remembers.
const MAX_REMEMBERED: usize = 16;

type Remembered = (String, Options, Rc<Regexp>);

thread_local! {
    /// The patterns that this thread used last, the last first: a scan matches every row against the same.
    static PATTERNS: RefCell<Vec<Remembered>> = const { RefCell::new(Vec::new()) };
}

/// The compiled pattern.
pub(crate) fn regex_of(pattern: &str, options: Options) -> Result<Rc<Regexp>, ValueError> {
    PATTERNS.with_borrow_mut(|known| {
        let found = known.iter().position(|(text, by, _)| *by == options && text == pattern);
        if let Some(at) = found {
            known[..=at].rotate_right(1);
        } else {
            let regexp = Rc::new(Regexp::new(pattern, options)?);
            known.truncate(MAX_REMEMBERED - 1);
            known.insert(0, (pattern.to_owned(), options, regexp));
        }
        Ok(Rc::clone(&known[0].2))
    })
}

pub(super) fn compile(pattern: &str, flags: &Flags) -> Result<Rc<Regexp>, ValueError> {
    regex_of(pattern, flags.options)
}

fn matches(
    text: &str,
    pattern: &str,
    ignore_case: bool,
    ctx: &EvalContext,
) -> Result<bool, ValueError> {
    regex_of(pattern, Options::ignoring_case(ignore_case))?.is_match(text, ctx)
}

/// A replacement in PostgreSQL's notation: `\1` to `\9`, `\&`, `\\`.
pub(super) fn replacement(text: &str, found: &Match, template: &str, out: &mut String) {
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(&text[found.whole()]),
            Some(digit @ '1'..='9') => {
                let index = digit as usize - '0' as usize;
                out.push_str(found.group(index).map_or("", |group| &text[group]));
            }
            Some('\\') => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
}

/// `substring(text from pattern)`: the first group, or all of the match.
pub(super) fn regexp_substring(
    text: &str,
    pattern: &str,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    let regexp = regex_of(pattern, Options::default())?;
    let found = regexp.match_at(&regexp.subject(text, ctx), 0, true)?;
    let group = found.and_then(|found| found.group(regexp.group_count().min(1)));
    Ok(group.map_or(Value::Null, |group| Value::text(&text[group])))
}

/// The character that escapes, of an argument that may have one.
fn escape_character(escape: Option<&str>) -> Result<Option<char>, ValueError> {
    let Some(text) = escape else { return Ok(Some('\\')) };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => {
            let message = "invalid escape string";
            Err(ValueError::new(SqlState::InvalidEscapeSequence, message)
                .with_hint("Escape string must be empty or one character."))
        }
    }
}

/// Translates a pattern of `SIMILAR TO` to a regular expression.
///
/// Separators divide it into `^(?:1){1,1}?(2){1,1}(?:3)$`: of the first part as little as can be, of the
/// second, which `substring` gives, as much.
pub(super) fn similar_to_escape(pattern: &str, escape: Option<&str>) -> Result<String, ValueError> {
    let escape = escape_character(escape)?;
    let mut out = String::from("^(?:");
    let (mut escaped, mut in_brackets, mut separator_count) = (false, false, 0);
    for c in pattern.chars() {
        if std::mem::take(&mut escaped) {
            if c != '"' || in_brackets {
                out.extend(['\\', c]);
                continue;
            }
            separator_count += 1;
            out.push_str(match separator_count {
                1 => "){1,1}?(",
                2 => "){1,1}(?:",
                _ => return Err(too_many_separators()),
            });
        } else if Some(c) == escape {
            escaped = true;
        } else if in_brackets {
            in_brackets = c != ']';
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        } else {
            match c {
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => out.extend(['\\', c]),
                _ => out.push(c),
            }
            in_brackets = c == '[';
        }
    }
    out.push_str(")$");
    Ok(out)
}

fn too_many_separators() -> ValueError {
    let message =
        "SQL regular expression may not contain more than two escape-double-quote separators";
    ValueError::new(SqlState::InvalidUseOfEscapeCharacter, message)
}

fn operators(t: &mut Builder, args: &'static [DataType]) {
    type Match = fn(&str, &str, &EvalContext) -> Result<bool, ValueError>;
    let kernels: [(&'static str, Match); 8] = [
        ("~~", |text, pattern, _| like(text, pattern)),
        ("!~~", |text, pattern, _| Ok(!like(text, pattern)?)),
        ("~~*", |text, pattern, _| ilike(text, pattern)),
        ("!~~*", |text, pattern, _| Ok(!ilike(text, pattern)?)),
        ("~", |text, pattern, ctx| matches(text, pattern, false, ctx)),
        ("!~", |text, pattern, ctx| Ok(!matches(text, pattern, false, ctx)?)),
        ("~*", |text, pattern, ctx| matches(text, pattern, true, ctx)),
        ("!~*", |text, pattern, ctx| Ok(!matches(text, pattern, true, ctx)?)),
    ];
    for (name, kernel) in kernels {
        t.add(name, args, Bool, Kernel::TextMatch(kernel));
    }
}

pub(super) fn add(t: &mut Builder) {
    operators(t, &[Text, Text]);
    operators(t, &[Name, Text]);
    operators(t, &[Bpchar, Text]);
    t.add(
        "~~",
        &[Bytea, Bytea],
        Bool,
        Kernel::Values(|args, _| {
            Ok(Value::Bool(like_bytes(arg::bytes(args, 0)?, arg::bytes(args, 1)?, false)?))
        }),
    );
    t.add(
        "!~~",
        &[Bytea, Bytea],
        Bool,
        Kernel::Values(|args, _| {
            Ok(Value::Bool(!like_bytes(arg::bytes(args, 0)?, arg::bytes(args, 1)?, false)?))
        }),
    );
    t.add("like", &[Text, Text], Bool, Kernel::TextMatch(|text, pattern, _| like(text, pattern)));
    t.add(
        "notlike",
        &[Text, Text],
        Bool,
        Kernel::TextMatch(|text, pattern, _| Ok(!like(text, pattern)?)),
    );
    t.add(
        "like_escape",
        &[Text, Text],
        Text,
        Kernel::Values(|args, _| {
            Ok(Value::text(like_escape(arg::text(args, 0)?, arg::text(args, 1)?)?))
        }),
    );
    t.add(
        "like_escape",
        &[Bytea, Bytea],
        Bytea,
        Kernel::Values(|args, _| like_escape_bytes(arg::bytes(args, 0)?, arg::bytes(args, 1)?)),
    );
    t.add(
        "similar_to_escape",
        &[Text],
        Text,
        Kernel::Values(|args, _| Ok(Value::text(similar_to_escape(arg::text(args, 0)?, None)?))),
    );
    t.add(
        "similar_to_escape",
        &[Text, Text],
        Text,
        Kernel::Values(|args, _| {
            Ok(Value::text(similar_to_escape(arg::text(args, 0)?, Some(arg::text(args, 1)?))?))
        }),
    );
    t.add(
        "substring",
        &[Text, Text],
        Text,
        Kernel::Values(|args, ctx| regexp_substring(arg::text(args, 0)?, arg::text(args, 1)?, ctx)),
    );
}
