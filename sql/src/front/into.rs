//! SELECT … INTO: the same as CREATE TABLE … AS, and made that before it is parsed.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::Cursor;
use super::tokens::is_word;

/// The tokens of CREATE TABLE … AS, if a query says INTO at its own level.
pub(crate) fn as_create(cursor: &Cursor<'_>) -> Option<Vec<TokenWithSpan>> {
    let tokens = &cursor.tokens[cursor.at..];
    let (mut depth, mut place) = (0u32, None);
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(_) if depth == 0 && is_word(token, "into") => {
                place = Some(at);
                break;
            }
            // What follows FROM cannot say it, nor what changes something.
            Token::Word(_) if depth == 0 => {
                if ["from", "insert", "merge"].iter().any(|word| is_word(token, word)) {
                    return None;
                }
            }
            _ => {}
        }
    }
    let place = place?;
    let span = tokens[place].span;
    let word = |word: &str| TokenWithSpan { token: Token::make_keyword(word), span };
    let mut created = vec![word("CREATE")];
    let mut at = place + 1;
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| is_word(token, word));
    if is(at, "temp") || is(at, "temporary") {
        created.push(word("TEMPORARY"));
        at += 1;
    } else if is(at, "unlogged") {
        at += 1;
    }
    created.push(word("TABLE"));
    if is(at, "table") {
        at += 1;
    }
    let name = at;
    at += 1;
    while tokens.get(at).is_some_and(|token| token.token == Token::Period) {
        at += 2;
    }
    created.extend_from_slice(tokens.get(name..at)?);
    // Nothing that would go on with the select list.
    const AFTER: [&str; 13] = [
        "from",
        "where",
        "group",
        "having",
        "window",
        "union",
        "intersect",
        "except",
        "order",
        "limit",
        "offset",
        "fetch",
        "for",
    ];
    if tokens.get(at).is_some_and(|next| !AFTER.iter().any(|word| is_word(next, word))) {
        return None;
    }
    created.push(word("AS"));
    created.extend_from_slice(&tokens[..place]);
    created.extend_from_slice(tokens.get(at..)?);
    Some(created)
}
