//! LIKE among the elements of CREATE TABLE: lifted out, since the parser knows it only alone.

use driftdb_query::Result;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::{Cursor, QualifiedName};
use super::tokens::{is_word, word};

/// `LIKE t INCLUDING …`
#[derive(Debug, Clone)]
pub(crate) struct LikeClause {
    pub(crate) table: QualifiedName,
    /// How many columns stand before it.
    pub(crate) before: usize,
    pub(crate) options: LikeOptions,
}

/// What comes along besides columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LikeOptions {
    pub(crate) comments: bool,
    pub(crate) constraints: bool,
    pub(crate) defaults: bool,
    pub(crate) generated: bool,
    pub(crate) identity: bool,
    pub(crate) indexes: bool,
}

/// The statement's tokens without its LIKE clauses, and those; `None` if it has none.
pub(crate) fn lift(cursor: &Cursor<'_>) -> Result<Option<(Vec<TokenWithSpan>, Vec<LikeClause>)>> {
    let tokens = cursor.tokens;
    let Some(open) = tokens.iter().position(|token| token.token == Token::LParen) else {
        return Ok(None);
    };
    // Before the list there is only a name.
    if tokens[..open].iter().any(|token| is_word(token, "as")) {
        return Ok(None);
    }
    let (mut depth, mut close) = (0u32, None);
    let mut begins = vec![open + 1];
    let mut ends = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    close = Some(at);
                    break;
                }
            }
            Token::Comma if depth == 1 => {
                ends.push(at);
                begins.push(at + 1);
            }
            _ => {}
        }
    }
    let Some(close) = close else { return Ok(None) };
    ends.push(close);
    let is_like = |begin: usize| is_word(&tokens[begin], "like");
    if !begins.iter().any(|begin| is_like(*begin)) {
        return Ok(None);
    }
    let (mut kept, mut clauses, mut before) = (tokens[..=open].to_vec(), Vec::new(), 0);
    let mut is_first = true;
    for (begin, end) in begins.iter().zip(&ends) {
        if is_like(*begin) {
            clauses.push(clause(cursor, *begin, *end, before)?);
            continue;
        }
        if !is_first {
            kept.push(TokenWithSpan { token: Token::Comma, span: tokens[*begin].span });
        }
        is_first = false;
        kept.extend_from_slice(&tokens[*begin..*end]);
        let constraints =
            ["constraint", "primary", "unique", "check", "foreign", "exclude", "period"];
        if word(&tokens[*begin]).is_none_or(|word| !constraints.contains(&&*word)) {
            before += 1;
        }
    }
    kept.extend_from_slice(&tokens[close..]);
    Ok(Some((kept, clauses)))
}

fn clause(cursor: &Cursor<'_>, begin: usize, end: usize, before: usize) -> Result<LikeClause> {
    let tokens = &cursor.tokens[..end];
    let terminator = cursor.tokens.get(end);
    let mut inner = Cursor { source: cursor.source, tokens, terminator, at: begin + 1 };
    let table = inner.qualified_name()?;
    let mut options = LikeOptions::default();
    while !inner.is_at_end() {
        let is_included = inner.accept(&["including"]);
        if !is_included {
            inner.expect(&["excluding"])?;
        }
        let name = inner.peek_word(0).unwrap_or_default();
        match name.as_str() {
            "comments" => options.comments = is_included,
            "constraints" => options.constraints = is_included,
            "defaults" => options.defaults = is_included,
            "generated" => options.generated = is_included,
            "identity" => options.identity = is_included,
            "indexes" => options.indexes = is_included,
            // Of these there is nothing to bring along.
            "compression" | "statistics" | "storage" => {}
            "all" => {
                options = LikeOptions {
                    comments: is_included,
                    constraints: is_included,
                    defaults: is_included,
                    generated: is_included,
                    identity: is_included,
                    indexes: is_included,
                };
            }
            _ => return Err(inner.error()),
        }
        inner.at += 1;
    }
    Ok(LikeClause { table, before, options })
}
