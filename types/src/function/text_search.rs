//! Patterns: `LIKE`, `ILIKE` and regular expressions.
//!
//! Regular expressions run on the `regex` crate, whose time is linear in text and pattern: no pattern
//! can hang a session. PostgreSQL's syntax is a little wider; back references and look-around are
//! refused as invalid, as are patterns whose automaton would exceed a megabyte.

use regex::{Regex, RegexBuilder};

use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::{self, Bool, Bpchar, Bytea, Name, Text};
use crate::{SqlState, Value, ValueError};

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
    ignore_case: bool,
    pub(super) global: bool,
    newline: bool,
    literal: bool,
    expanded: bool,
}

impl Flags {
    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        let mut flags = Self::default();
        for c in text.chars() {
            match c {
                'i' => flags.ignore_case = true,
                'c' => flags.ignore_case = false,
                'g' => flags.global = true,
                'n' | 'm' => flags.newline = true,
                's' => flags.newline = false,
                'q' => flags.literal = true,
                'x' => flags.expanded = true,
                't' | 'e' | 'b' => {}
                _ => {
                    let message = format!("invalid regular expression option: \"{c}\"");
                    return Err(ValueError::invalid_parameter(message));
                }
            }
        }
        Ok(flags)
    }
}

/// PostgreSQL's spellings that the crate does not have: `\m \M \y \Y \Z` and the `***` directors.
fn translate(pattern: &str, flags: &mut Flags) -> String {
    let pattern = if let Some(rest) = pattern.strip_prefix("***=") {
        flags.literal = true;
        rest
    } else {
        pattern.strip_prefix("***:").unwrap_or(pattern)
    };
    if flags.literal {
        return regex::escape(pattern);
    }
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        // A brace that no digit follows is a brace.
        if c == '{' && !chars.clone().next().is_some_and(|next| next.is_ascii_digit()) {
            out.push_str(r"\{");
            continue;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('m') => out.push_str(r"\b{start}"),
            Some('M') => out.push_str(r"\b{end}"),
            Some('y') => out.push_str(r"\b"),
            Some('Y') => out.push_str(r"\B"),
            Some('Z') => out.push_str(r"\z"),
            // In PostgreSQL an escaped character that is no letter stands for itself.
            Some(other) if other.is_ascii_alphanumeric() => {
                out.push('\\');
                out.push(other);
            }
            Some(other) => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            None => out.push('\\'),
        }
    }
    out
}

pub(super) fn compile(pattern: &str, mut flags: Flags) -> Result<Regex, ValueError> {
    let translated = translate(pattern, &mut flags);
    RegexBuilder::new(&translated)
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.newline)
        .dot_matches_new_line(!flags.newline)
        .ignore_whitespace(flags.expanded)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .nest_limit(100)
        .build()
        .map_err(|error| {
            let reason = match &error {
                regex::Error::CompiledTooBig(_) => "regular expression is too complex".to_owned(),
                other => other
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            };
            let message = format!("invalid regular expression: {reason}");
            ValueError::new(SqlState::InvalidRegularExpression, message)
        })
}

/// A regular expression for others than SQL's own functions.
pub(crate) fn regex_of(
    pattern: &str,
    ignore_case: bool,
    literal: bool,
) -> Result<Regex, ValueError> {
    compile(pattern, Flags { ignore_case, literal, ..Flags::default() })
}

thread_local! {
    /// The last pattern of this thread: a scan matches every row against the same one.
    static LAST: std::cell::RefCell<Option<(String, bool, Regex)>> =
        const { std::cell::RefCell::new(None) };
}

fn matches(text: &str, pattern: &str, ignore_case: bool) -> Result<bool, ValueError> {
    LAST.with_borrow_mut(|last| {
        if let Some((known, case, regex)) = last
            && *case == ignore_case
            && known == pattern
        {
            return Ok(regex.is_match(text));
        }
        let regex = compile(pattern, Flags { ignore_case, ..Flags::default() })?;
        let found = regex.is_match(text);
        *last = Some((pattern.to_owned(), ignore_case, regex));
        Ok(found)
    })
}

/// A replacement in PostgreSQL's notation: `\1` to `\9`, `\&`, `\\`.
pub(super) fn replacement(captures: &regex::Captures<'_>, template: &str, out: &mut String) {
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(&captures[0]),
            Some(digit @ '1'..='9') => {
                let index = digit as usize - '0' as usize;
                out.push_str(captures.get(index).map_or("", |group| group.as_str()));
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
fn regexp_substring(text: &str, pattern: &str) -> Result<Value, ValueError> {
    let regex = compile(pattern, Flags::default())?;
    Ok(match regex.captures(text) {
        None => Value::Null,
        Some(captures) => {
            let group = if regex.captures_len() > 1 { captures.get(1) } else { captures.get(0) };
            group.map_or(Value::Null, |group| Value::text(group.as_str()))
        }
    })
}

/// Translates a pattern of `SIMILAR TO` to a regular expression.
pub(super) fn similar_to_escape(pattern: &str, escape: Option<&str>) -> Result<String, ValueError> {
    let escape = match escape {
        None => Some('\\'),
        Some(text) => {
            let mut chars = text.chars();
            let first = chars.next();
            if chars.next().is_some() {
                return Err(ValueError::new(
                    SqlState::InvalidEscapeSequence,
                    "invalid escape string",
                )
                .with_hint("Escape string must be empty or one character."));
            }
            first
        }
    };
    let mut out = String::from("^(?:");
    let mut chars = pattern.chars();
    let mut in_class = false;
    // How many of the separators there may be have been seen. What is before the first matches as little
    // as it can.
    let mut separators = 0;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            match chars.next() {
                Some('"') if !in_class => {
                    separators += 1;
                    match separators {
                        1 => out.push_str(")("),
                        2 => out.push_str(")(?:"),
                        _ => return Err(too_many_separators()),
                    }
                }
                Some(literal) => out.extend(['\\', literal]),
                None => {}
            }
        } else if in_class {
            in_class = c != ']';
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        } else {
            match c {
                '[' => {
                    in_class = true;
                    out.push(c);
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => out.extend(['\\', c]),
                _ => out.push(c),
            }
            let has_separator = || {
                let mark: String = escape.into_iter().chain(['"']).collect();
                escape.is_some() && pattern.contains(&mark)
            };
            if matches!(c, '%' | '*' | '+' | '?' | '}') && separators == 0 && has_separator() {
                out.push('?');
            }
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
    let kernels: [(&'static str, fn(&str, &str) -> Result<bool, ValueError>); 8] = [
        ("~~", like),
        ("!~~", |text, pattern| Ok(!like(text, pattern)?)),
        ("~~*", ilike),
        ("!~~*", |text, pattern| Ok(!ilike(text, pattern)?)),
        ("~", |text, pattern| matches(text, pattern, false)),
        ("!~", |text, pattern| Ok(!matches(text, pattern, false)?)),
        ("~*", |text, pattern| matches(text, pattern, true)),
        ("!~*", |text, pattern| Ok(!matches(text, pattern, true)?)),
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
    t.add("like", &[Text, Text], Bool, Kernel::TextMatch(like));
    t.add(
        "notlike",
        &[Text, Text],
        Bool,
        Kernel::TextMatch(|text, pattern| Ok(!like(text, pattern)?)),
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
        Kernel::Values(|args, _| regexp_substring(arg::text(args, 0)?, arg::text(args, 1)?)),
    );
}
