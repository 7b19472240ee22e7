//! `t.*` and `(row).*` where the parser does not take a star: the star becomes the name `"*"`, which the binder knows.
//!
//! After brackets it always does. After a name it does where a value stands: beside an operator, before IS, IN and a cast,
//! after DISTINCT FROM, and alone in brackets that are no call's. Elsewhere `t.*` is a list of columns, or an argument,
//! and the parser has both.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::Cursor;
use super::tokens::{end, is_word, start, token_at};

/// Handles the star at the cursor, if it is such a one.
pub(crate) fn rewritten(cursor: &mut Cursor<'_>, out: &mut Vec<TokenWithSpan>) -> bool {
    let Some(star) = cursor.peek() else { return false };
    let [before @ .., last, period] = &out[..] else { return false };
    if star.token != Token::Mul || period.token != Token::Period {
        return false;
    }
    let is_value = match last.token {
        Token::RParen | Token::RBracket => true,
        Token::Word(_) => {
            let before = before_name(before);
            let next = cursor.tokens.get(cursor.at + 1);
            next.is_some_and(goes_on)
                || is_operand(before)
                || (next.is_some_and(|next| next.token == Token::RParen) && is_bracketed(before))
        }
        _ => false,
    };
    if is_value {
        let name = Token::make_word("*", Some('"'));
        out.push(token_at(name, start(star), end(star)));
        cursor.at += 1;
    }
    is_value
}

/// What stands before the first part of a name.
fn before_name(mut before: &[TokenWithSpan]) -> &[TokenWithSpan] {
    while let [rest @ .., part, period] = before
        && period.token == Token::Period
        && matches!(part.token, Token::Word(_))
    {
        before = rest;
    }
    before
}

/// Whether a token after a value says that it is one.
fn goes_on(token: &TokenWithSpan) -> bool {
    is_comparison(&token.token)
        || token.token == Token::DoubleColon
        || ["is", "in", "isnull", "notnull"].iter().any(|word| is_word(token, word))
}

fn is_comparison(token: &Token) -> bool {
    matches!(token, Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq)
}

/// Whether an operand comes next.
fn is_operand(before: &[TokenWithSpan]) -> bool {
    match before {
        [.., distinct, from] if is_word(from, "from") => is_word(distinct, "distinct"),
        [.., last] => is_comparison(&last.token),
        [] => false,
    }
}

/// Whether a bracket has just opened that is neither a call's nor a list's.
fn is_bracketed(before: &[TokenWithSpan]) -> bool {
    let [rest @ .., open] = before else { return false };
    if open.token != Token::LParen {
        return false;
    }
    match rest.last().map(|token| &token.token) {
        Some(Token::Word(word)) => {
            word.quote_style.is_none()
                && [
                    "select", "and", "or", "not", "where", "on", "by", "distinct", "when", "then",
                    "else", "case",
                ]
                .iter()
                .any(|keyword| word.value.eq_ignore_ascii_case(keyword))
        }
        _ => true,
    }
}
