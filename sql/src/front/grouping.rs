//! Clauses of grouping and windows that the parser does not know.
//!
//! * `GROUPING SETS (…)`, `ROLLUP (…)` and `CUBE (…)` become calls of functions with names of their own, and
//!   the empty set `()` a name, so that they nest as PostgreSQL nests them.
//! * `GROUP BY DISTINCT` becomes a first item of that meaning; `GROUP BY ALL` is what GROUP BY does anyway.
//! * `EXCLUDE …` at the end of a frame is put in front of the name of the window that it goes on from.
//! * The offset of a frame that begins with a string is put in brackets: the parser wants an interval there.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::Cursor;
use super::tokens::{end, is_word, start, token_at};

/// What GROUPING SETS is called as.
pub(crate) const SETS: &str = "#grouping sets";
/// What ROLLUP is called as.
pub(crate) const ROLLUP: &str = "#rollup";
/// What CUBE is called as.
pub(crate) const CUBE: &str = "#cube";
/// What the empty set is named.
pub(crate) const EMPTY: &str = "#()";
/// What GROUP BY DISTINCT has for its first item.
pub(crate) const DISTINCT: &str = "#distinct";

/// The exclusions of a frame, as marked.
pub(crate) const EXCLUSIONS: [&str; 3] = ["#current:", "#group:", "#ties:"];

fn quoted(name: &str, at: &TokenWithSpan) -> TokenWithSpan {
    token_at(Token::make_word(name, Some('"')), start(at), end(at))
}

/// Handles the construct at the cursor, if it is one.
pub(crate) fn rewritten(cursor: &mut Cursor<'_>, out: &mut Vec<TokenWithSpan>) -> bool {
    let Some(token) = cursor.peek() else { return false };
    let next = |ahead: usize| cursor.tokens.get(cursor.at + ahead);
    let opens = |ahead: usize| next(ahead).is_some_and(|token| token.token == Token::LParen);
    if is_word(token, "grouping") && next(1).is_some_and(|t| is_word(t, "sets")) && opens(2) {
        out.push(quoted(SETS, token));
        cursor.at += 2;
        return true;
    }
    if opens(1) && (is_word(token, "rollup") || is_word(token, "cube")) {
        if !is_in_group_by(out) {
            return false;
        }
        out.push(quoted(if is_word(token, "rollup") { ROLLUP } else { CUBE }, token));
        cursor.at += 1;
        return true;
    }
    if is_word(token, "group") && next(1).is_some_and(|t| is_word(t, "by")) {
        let Some(third) = next(2) else { return false };
        if !is_word(third, "distinct") && !is_word(third, "all") {
            return false;
        }
        out.extend(cursor.tokens[cursor.at..cursor.at + 2].iter().cloned());
        if is_word(third, "distinct") {
            out.push(quoted(DISTINCT, third));
            out.push(token_at(Token::Comma, start(third), end(third)));
        }
        cursor.at += 3;
        return true;
    }
    if is_word(token, "exclude") {
        return exclusion(cursor, out);
    }
    if is_word(token, "preceding") || is_word(token, "following") {
        bracket_offset(out);
    }
    false
}

/// `()` as a grouping set.
pub(crate) fn empty_set(cursor: &mut Cursor<'_>, out: &mut Vec<TokenWithSpan>) -> bool {
    let token = &cursor.tokens[cursor.at];
    let closes = cursor.tokens.get(cursor.at + 1).is_some_and(|token| token.token == Token::RParen);
    let begins = out.last().is_some_and(|before| {
        matches!(before.token, Token::LParen | Token::Comma) || is_word(before, "by")
    });
    if !closes || !begins || !is_in_group_by(out) {
        return false;
    }
    out.push(quoted(EMPTY, token));
    cursor.at += 2;
    true
}

/// Whether the clause that the next token belongs to is GROUP BY.
fn is_in_group_by(out: &[TokenWithSpan]) -> bool {
    const OTHERS: [&str; 9] =
        ["select", "from", "where", "having", "order", "window", "limit", "union", "values"];
    for (at, token) in out.iter().enumerate().rev() {
        if is_word(token, "by") {
            return at > 0 && is_word(&out[at - 1], "group");
        }
        if OTHERS.iter().any(|word| is_word(token, word)) {
            return false;
        }
    }
    false
}

fn exclusion(cursor: &mut Cursor<'_>, out: &mut Vec<TokenWithSpan>) -> bool {
    let at = cursor.at;
    let marker = if cursor.accept(&["exclude", "no", "others"]) {
        None
    } else if cursor.accept(&["exclude", "current", "row"]) {
        Some(EXCLUSIONS[0])
    } else if cursor.accept(&["exclude", "group"]) {
        Some(EXCLUSIONS[1])
    } else if cursor.accept(&["exclude", "ties"]) {
        Some(EXCLUSIONS[2])
    } else {
        return false;
    };
    let closes = cursor.peek().is_some_and(|token| token.token == Token::RParen);
    let Some(open) = opening(out).filter(|_| closes) else {
        cursor.at = at;
        return false;
    };
    let Some(marker) = marker else { return true };
    let begins = ["partition", "order", "rows", "range", "groups"];
    let place = start(&out[open]);
    match out.get_mut(open + 1) {
        Some(TokenWithSpan { token: Token::Word(word), .. })
            if word.quote_style.is_some()
                || !begins.iter().any(|keyword| word.value.eq_ignore_ascii_case(keyword)) =>
        {
            let name = crate::bind::names::fold(&word.value, word.quote_style);
            *word = match Token::make_word(&format!("{marker}{name}"), Some('"')) {
                Token::Word(word) => word,
                _ => return false,
            };
        }
        _ => {
            let token = token_at(Token::make_word(marker, Some('"')), place, place + 1);
            out.insert(open + 1, token);
        }
    }
    true
}

/// The bracket that is open at the end.
fn opening(out: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in out.iter().enumerate().rev() {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => return Some(at),
            Token::LParen => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Puts the operand that ends here in brackets, if it begins with a string.
fn bracket_offset(out: &mut Vec<TokenWithSpan>) {
    let mut depth = 0usize;
    for at in (0..out.len()).rev() {
        match out[at].token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => return,
            Token::LParen => depth -= 1,
            _ => {}
        }
        let bounds = ["between", "and", "rows", "range", "groups"];
        if depth == 0 && bounds.iter().any(|word| is_word(&out[at], word)) {
            let first = out.get(at + 1);
            if first.is_some_and(|token| matches!(token.token, Token::SingleQuotedString(_))) {
                let (from, to) = (start(&out[at + 1]), out.last().map_or(0, end));
                out.insert(at + 1, token_at(Token::LParen, from, from));
                out.push(token_at(Token::RParen, to, to));
            }
            return;
        }
    }
}
