//! `ON CONFLICT (expression, …) WHERE predicate`: the parser knows columns alone.

use driftdb_query::Result;
use sqlparser::ast;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::Cursor;
use super::rewrite::{Lifted, MAX_CLAUSES, too_many};
use super::tokens::{end, is_word, start, token_at};

/// What is said of the index that ON CONFLICT is about.
#[derive(Debug)]
pub(crate) struct Inference {
    /// Columns and expressions.
    pub(crate) items: Vec<ast::Expr>,
    /// WHERE
    pub(crate) predicate: Option<ast::Expr>,
}

/// Lifts the inference at the cursor, which is on CONFLICT; a column stands in its place. Plain lists of
/// columns are the parser's.
pub(crate) fn inference(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<TokenWithSpan>,
    lifted: &mut Lifted,
) -> Result<bool> {
    let rest = &cursor.tokens[cursor.at..];
    let is_here = out.last().is_some_and(|before| is_word(before, "on"))
        && rest.get(1).is_some_and(|next| next.token == Token::LParen);
    if !is_here || is_plain(&rest[2..]) {
        return Ok(false);
    }
    let (word, open) = (rest[0].clone(), rest[1].clone());
    cursor.at += 2;
    let mut items = Vec::new();
    loop {
        items.push(cursor.expression()?);
        // An operator class, which changes nothing.
        if matches!(cursor.peek().map(|token| &token.token), Some(Token::Word(_))) {
            cursor.qualified_name()?;
        }
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    let predicate = if cursor.accept(&["where"]) { Some(cursor.expression()?) } else { None };
    if lifted.inferences.len() >= MAX_CLAUSES {
        return Err(too_many());
    }
    let (from, to) = (start(&open), end(&open));
    lifted.inferences.insert(from, Inference { items, predicate });
    out.extend([word, open, token_at(Token::make_word("lifted", Some('"')), from, to)]);
    out.push(token_at(Token::RParen, from, to));
    Ok(true)
}

/// Whether a list is one of columns, and nothing follows it.
fn is_plain(rest: &[TokenWithSpan]) -> bool {
    let Some(close) = rest.iter().position(|token| token.token == Token::RParen) else {
        return true;
    };
    let is_list = rest[..close].iter().enumerate().all(|(at, token)| match token.token {
        Token::Word(_) => at % 2 == 0,
        Token::Comma => at % 2 == 1,
        _ => false,
    });
    is_list && !rest.get(close + 1).is_some_and(|token| is_word(token, "where"))
}
