//! Subscripts at what is assigned to: `SET a[1] = …`, `INSERT INTO t (a[1:2])`. The parser takes names
//! only there; the subscripts are cut out and kept under the position of the name.

use driftdb_query::Result;
use sqlparser::ast;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::Cursor;
use super::tokens::{is_word, start};

/// How far back the beginning of a list of targets is looked for.
const MAX_LOOK_BACK: usize = 4096;

/// The subscripts at the cursor, if the name before them is assigned to: the position of the name, and
/// the chain.
pub(crate) fn target(
    cursor: &mut Cursor<'_>,
    out: &[TokenWithSpan],
) -> Result<Option<(u32, Vec<ast::AccessExpr>)>> {
    let is_change = cursor
        .tokens
        .iter()
        .take(2)
        .any(|token| is_word(token, "update") || is_word(token, "insert"));
    let Some((name, before)) = out.split_last() else { return Ok(None) };
    if !is_change
        || !matches!(name.token, Token::Word(_))
        || is_word(name, "array")
        || !begins_target(before)
    {
        return Ok(None);
    }
    let place = start(name);
    cursor.at -= 1;
    // Nothing binds tighter than this: the name and its brackets.
    match cursor.parse(|parser| parser.parse_subexpr(u8::MAX))? {
        ast::Expr::CompoundFieldAccess { access_chain, .. } => Ok(Some((place, access_chain))),
        _ => Err(cursor.error()),
    }
}

/// Whether a target of SET, or a column of INSERT, begins after these tokens.
fn begins_target(before: &[TokenWithSpan]) -> bool {
    let mut depth = 0u32;
    for (back, token) in before.iter().rev().take(MAX_LOOK_BACK).enumerate() {
        match &token.token {
            Token::Comma | Token::LParen => {}
            _ if back == 0 => return is_word(token, "set"),
            _ => {}
        }
        match &token.token {
            Token::RParen | Token::RBracket => depth += 1,
            Token::LBracket if depth == 0 => return false,
            Token::LBracket => depth -= 1,
            Token::LParen if depth == 0 => {
                return begins_list(&before[..before.len() - back - 1]);
            }
            Token::LParen => depth -= 1,
            _ if depth > 0 => {}
            Token::Word(_) if is_word(token, "set") => return true,
            Token::Word(_)
                if ["values", "select", "from", "where", "returning", "into", "by", "using"]
                    .iter()
                    .any(|word| is_word(token, word)) =>
            {
                return false;
            }
            _ => {}
        }
    }
    false
}

/// Whether a bracket after these tokens holds targets: after SET, after a comma of SET's list, or after
/// the table of INSERT.
fn begins_list(before: &[TokenWithSpan]) -> bool {
    let Some((last, rest)) = before.split_last() else { return false };
    match &last.token {
        Token::Comma => begins_target(before),
        Token::Word(_) if is_word(last, "set") => true,
        Token::Word(_) => {
            // INTO name, INTO schema.name, INTO name AS alias
            rest.iter()
                .rev()
                .take(5)
                .take_while(|token| matches!(token.token, Token::Word(_) | Token::Period))
                .any(|token| is_word(token, "into"))
        }
        _ => false,
    }
}
