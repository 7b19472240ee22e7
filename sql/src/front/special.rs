//! Calls that the parser does not know as PostgreSQL spells them.
//!
//! * `SUBSTRING(s FOR n FROM m)` has FROM first; `SUBSTRING(s SIMILAR p ESCAPE e)` becomes a call of three
//!   arguments.
//! * `inet '10.0.0.1'` becomes `'10.0.0.1'::inet`, for the types whose names the parser does not know.
//! * `VARIADIC a` becomes an argument with the name `"variadic"`.

use driftdb_query::Result;
use driftdb_types::DataType;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::Cursor;
use super::rewrite::{Lifted, rewrite};
use super::tokens::{end, is_word, start, token_at};

/// The name of the argument that VARIADIC stands before.
pub(crate) const VARIADIC: &str = "variadic";

/// Where the bracket that opens at `from` closes, and where the words stand that divide what is in it.
fn divided(tokens: &[TokenWithSpan], from: usize) -> Option<(usize, Vec<usize>)> {
    let mut depth = 0u32;
    let mut words = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => {
                depth -= 1;
                if depth == 0 {
                    return Some((at, words));
                }
            }
            Token::Word(_)
                if depth == 1
                    && (["for", "similar", "escape"].iter().any(|word| is_word(token, word))
                        || (is_word(token, "from") && !is_word(&tokens[at - 1], "distinct"))) =>
            {
                words.push(at);
            }
            _ => {}
        }
    }
    None
}

/// SUBSTRING in the forms that the parser lacks.
pub(super) fn substring(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<TokenWithSpan>,
    lifted: &mut Lifted,
) -> Result<bool> {
    let tokens = cursor.tokens;
    let bracket = cursor.at + 1;
    if !is_word(&tokens[cursor.at], "substring")
        || tokens.get(bracket).is_none_or(|token| token.token != Token::LParen)
    {
        return Ok(false);
    }
    let Some((close, words)) = divided(tokens, bracket) else { return Ok(false) };
    let [first, second] = words[..] else { return Ok(false) };
    let is = |at: usize, word: &str| is_word(&tokens[at], word);
    let (parts, separators) = if is(first, "for") && is(second, "from") {
        let from = Token::make_keyword("FROM");
        let length = Token::make_keyword("FOR");
        ([(bracket, first), (second, close), (first, second)], [from, length])
    } else if is(first, "similar") && is(second, "escape") {
        ([(bracket, first), (first, second), (second, close)], [Token::Comma, Token::Comma])
    } else {
        return Ok(false);
    };
    out.extend_from_slice(&tokens[cursor.at..=bracket]);
    let mut separators = separators.into_iter();
    for (before, after) in parts {
        let mut part = Cursor {
            source: cursor.source,
            tokens: &tokens[before + 1..after],
            terminator: tokens.get(after),
            at: 0,
        };
        out.extend(rewrite(&mut part, lifted)?);
        let place = &tokens[after];
        out.extend(separators.next().map(|token| token_at(token, start(place), end(place))));
    }
    out.push(tokens[close].clone());
    cursor.at = close + 1;
    Ok(true)
}

/// A literal after the name of its type with modifiers, `interval(0) '1.5'`: how many tokens it is.
fn modified_literal(tokens: &[TokenWithSpan], out: &mut Vec<TokenWithSpan>) -> Option<usize> {
    const TYPES: [&str; 10] = [
        "interval",
        "timestamp",
        "timestamptz",
        "time",
        "timetz",
        "bit",
        "varbit",
        "varchar",
        "char",
        "numeric",
    ];
    let name = tokens.first()?;
    if !TYPES.iter().any(|known| is_word(name, known)) || tokens.get(1)?.token != Token::LParen {
        return None;
    }
    let close = tokens.iter().take(6).position(|token| token.token == Token::RParen)?;
    let is_modifier =
        |token: &TokenWithSpan| matches!(token.token, Token::Number(..) | Token::Comma);
    let literal = tokens.get(close + 1)?;
    let is_literal =
        matches!(literal.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
    if !is_literal || !tokens[2..close].iter().all(is_modifier) {
        return None;
    }
    out.push(literal.clone());
    out.push(token_at(Token::DoubleColon, start(name), end(name)));
    out.extend_from_slice(&tokens[..=close]);
    Some(close + 2)
}

/// A literal after the name of its type.
pub(super) fn typed_literal(cursor: &mut Cursor<'_>, out: &mut Vec<TokenWithSpan>) -> bool {
    let rest = &cursor.tokens[cursor.at..];
    if let Some(count) = modified_literal(rest, out) {
        cursor.at += count;
        return true;
    }
    let [name, literal, ..] = rest else { return false };
    let is_literal =
        matches!(literal.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
    let Token::Word(word) = &name.token else { return false };
    // Of these the parser knows the names, and what may stand after the literal.
    let is_known = word.keyword == Keyword::INTERVAL
        || ["date", "time", "timestamp", "timestamptz"].iter().any(|known| is_word(name, known));
    let is_type = is_literal
        && word.quote_style.is_none()
        && !is_known
        && DataType::from_name(&word.value).is_some();
    let after_value = out.last().is_some_and(|before| {
        matches!(before.token, Token::Period) || ["as", "to"].iter().any(|w| is_word(before, w))
    });
    if !is_type || after_value {
        return false;
    }
    out.push(literal.clone());
    out.push(token_at(Token::DoubleColon, start(name), end(name)));
    out.push(name.clone());
    cursor.at += 2;
    true
}

/// VARIADIC before an argument.
pub(super) fn variadic(cursor: &mut Cursor<'_>, out: &mut Vec<TokenWithSpan>) -> bool {
    let token = &cursor.tokens[cursor.at];
    let begins_argument =
        out.last().is_some_and(|before| matches!(before.token, Token::LParen | Token::Comma));
    // A column may have the name: then something other than an operand follows.
    let has_operand = cursor.tokens.get(cursor.at + 1).is_some_and(|next| {
        matches!(
            next.token,
            Token::Word(_)
                | Token::SingleQuotedString(_)
                | Token::Placeholder(_)
                | Token::Number(..)
                | Token::LParen
        )
    });
    if !is_word(token, VARIADIC) || !begins_argument || !has_operand {
        return false;
    }
    let place = |token_kind| token_at(token_kind, start(token), end(token));
    out.push(place(Token::make_word(VARIADIC, Some('"'))));
    out.push(place(Token::RArrow));
    cursor.at += 1;
    true
}
