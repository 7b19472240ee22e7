//! Tokens of paths (jsonpath_scan.l).

use crate::{SqlState, ValueError};

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name without quotes: perhaps a key word.
    Word(String),
    String(String),
    Variable(String),
    Number(String),
    /// One or two characters that stand for themselves.
    Symbol(&'static str),
}

/// The token and where it begins and ends.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) text: std::ops::Range<usize>,
}

/// The error of the grammar for what was found.
pub(super) fn unexpected(found: Option<&str>) -> ValueError {
    failed("syntax error", found)
}

pub(super) fn failed(what: &str, found: Option<&str>) -> ValueError {
    let message = match found {
        Some(found) => format!("{what} at or near \"{found}\" of jsonpath input"),
        None => format!("{what} at end of jsonpath input"),
    };
    ValueError::new(SqlState::SyntaxError, message)
}

const SYMBOLS: [&str; 30] = [
    "&&", "||", "**", "==", "!=", "<>", "<=", ">=", "?", "%", "$", ".", "[", "]", "{", "}", "(",
    ")", "|", "!", "<", ">", "@", ",", "*", ":", "-", "+", "/", "=",
];

fn is_special(c: char) -> bool {
    c.is_ascii_whitespace() || "?%$.[]{}()|&!=<>@#,*:-+/\"\\".contains(c)
}

/// What a backslash and the text after it stand for, and what follows.
fn escape<'a>(after: &'a str, out: &mut String) -> Result<&'a str, ValueError> {
    let invalid =
        |what: &str| ValueError::new(SqlState::SyntaxError, format!("invalid {what} sequence"));
    let mut chars = after.chars();
    let Some(c) = chars.next() else { return Err(unexpected(None)) };
    let rest = chars.as_str();
    let simple = match c {
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => {
            let code = rest.get(..2).and_then(|hex| u32::from_str_radix(hex, 16).ok());
            let code = code.ok_or_else(|| invalid("hexadecimal character"))?;
            out.extend(char::from_u32(code));
            return Ok(&rest[2..]);
        }
        'u' => return unicode(rest, out),
        other => other,
    };
    out.push(simple);
    Ok(rest)
}

/// `\uXXXX` or `\u{…}`, perhaps half of a surrogate pair.
fn unicode<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, ValueError> {
    let invalid = || ValueError::new(SqlState::SyntaxError, "invalid Unicode escape sequence");
    let one = |rest: &'a str| -> Option<(u32, &'a str)> {
        if let Some(braced) = rest.strip_prefix('{') {
            let end = braced.find('}').filter(|end| (1..=6).contains(end))?;
            return Some((u32::from_str_radix(&braced[..end], 16).ok()?, &braced[end + 1..]));
        }
        let hex = rest.get(..4).filter(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()))?;
        Some((u32::from_str_radix(hex, 16).ok()?, &rest[4..]))
    };
    let (code, rest) = one(rest).ok_or_else(invalid)?;
    let surrogate = |message: &str| {
        ValueError::new(
            SqlState::InvalidTextRepresentation,
            "invalid input syntax for type jsonpath",
        )
        .with_detail(message)
    };
    match code {
        0 => Err(ValueError::new(
            SqlState::UntranslatableCharacter,
            "unsupported Unicode escape sequence",
        )
        .with_detail("\\u0000 cannot be converted to text.")),
        0xd800..=0xdbff => {
            let low = rest.strip_prefix("\\u").and_then(one);
            match low {
                Some((low @ 0xdc00..=0xdfff, rest)) => {
                    let code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    out.extend(char::from_u32(code));
                    Ok(rest)
                }
                _ => Err(surrogate("Unicode low surrogate must follow a high surrogate.")),
            }
        }
        0xdc00..=0xdfff => Err(surrogate("Unicode low surrogate must follow a high surrogate.")),
        code => {
            out.push(char::from_u32(code).ok_or_else(invalid)?);
            Ok(rest)
        }
    }
}

/// The content of a quoted string, and what follows its quote.
fn quoted(after: &str) -> Result<(String, &str), ValueError> {
    let mut out = String::new();
    let mut rest = after;
    loop {
        let Some(c) = rest.chars().next() else {
            return Err(failed("unterminated quoted string", None));
        };
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return Ok((out, rest)),
            '\\' => rest = escape(rest, &mut out)?,
            c => out.push(c),
        }
    }
}

/// A name without quotes, and what follows.
fn bare(text: &str) -> Result<(String, &str), ValueError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\\' {
            rest = escape(&rest[1..], &mut out)?;
        } else if is_special(c) {
            break;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok((out, rest))
}

/// The length of the number at the front.
fn number(text: &str) -> Result<usize, ValueError> {
    let bytes = text.as_bytes();
    let digits =
        |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut end = whole;
    if whole > 1 && bytes[0] == b'0' {
        // No number begins with a zero before other digits.
        let message = "trailing junk after numeric literal";
        return Err(failed(message, Some(&text[..2])));
    }
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction > end + 1 || whole > 0 {
            end = fraction;
        }
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        } else {
            let message = "trailing junk after numeric literal";
            return Err(failed(message, Some(&text[..end + 1 + sign])));
        }
    }
    match text[end..].chars().next() {
        Some(c) if !is_special(c) || c == '\\' => {
            let shown = end + c.len_utf8();
            Err(failed("trailing junk after numeric literal", Some(&text[..shown])))
        }
        _ => Ok(end),
    }
}

/// Cuts a path into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, ValueError> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let start = text.len() - rest.len();
        if c.is_ascii_whitespace() {
            rest = &rest[1..];
            continue;
        }
        if let Some(comment) = rest.strip_prefix("/*") {
            let end =
                comment.find("*/").ok_or_else(|| failed("unexpected end of comment", None))?;
            rest = &comment[end + 2..];
            continue;
        }
        let next_is_digit = rest[c.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        let token = if c == '"' {
            let (string, after) = quoted(&rest[1..])?;
            rest = after;
            Token::String(string)
        } else if c.is_ascii_digit() || (c == '.' && next_is_digit) {
            let length = number(rest)?;
            let digits = rest[..length].to_owned();
            rest = &rest[length..];
            Token::Number(digits)
        } else if c == '$' && rest[1..].starts_with('"') {
            let (name, after) = quoted(&rest[2..])?;
            rest = after;
            Token::Variable(name)
        } else if c == '$' && rest[1..].starts_with(|c: char| !is_special(c) || c == '\\') {
            let (name, after) = bare(&rest[1..])?;
            rest = after;
            Token::Variable(name)
        } else if is_special(c) && c != '\\' {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
            let symbol = symbol.ok_or_else(|| unexpected(Some(&rest[..c.len_utf8()])))?;
            rest = &rest[symbol.len()..];
            Token::Symbol(symbol)
        } else {
            let (word, after) = bare(rest)?;
            rest = after;
            Token::Word(word)
        };
        out.push(Placed { token, text: start..text.len() - rest.len() });
    }
    Ok(out)
}
