//! COPY: both spellings of its options.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::Body;
use super::rewrite::{Lifted, rewrite};
use super::tokens::{end, is_word, start, token_at};
use super::tree;

/// What is copied.
#[derive(Debug)]
pub(crate) enum CopyWhat {
    /// A table with its columns, as named.
    Table(QualifiedName, Vec<(String, u32)>),
    /// A query's rows.
    Query(Box<ast::Statement>),
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopyValue {
    /// None: true.
    Absent,
    /// A word, number or string.
    Text(String),
    /// A list of columns.
    Columns(Vec<String>),
    /// `*`
    Star,
}

/// An option: its name, value and position.
pub(crate) type CopyOption = (String, CopyValue, u32);

/// COPY as written.
#[derive(Debug)]
pub(crate) struct CopyBody {
    pub(crate) what: CopyWhat,
    pub(crate) from: bool,
    pub(crate) options: Vec<CopyOption>,
    pub(crate) filter: Option<Box<ast::Expr>>,
}

/// Parses what comes after COPY.
pub(crate) fn parse(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Body> {
    let mut options = Vec::new();
    let position = cursor.position();
    if cursor.accept(&["binary"]) {
        options.push(("format".into(), CopyValue::Text("binary".into()), position));
    }
    let what = if cursor.accept_token(&Token::LParen) {
        let first = cursor.peek_word(0);
        let statement = match first.as_deref() {
            Some("insert" | "update" | "delete") => bracketed(cursor, lifted, returned)?,
            _ => bracketed_query(cursor, lifted)?,
        };
        CopyWhat::Query(Box::new(statement))
    } else {
        let name = cursor.qualified_name()?;
        let mut columns = Vec::new();
        if cursor.accept_token(&Token::LParen) {
            loop {
                columns.push((cursor.name()?, cursor.position()));
                if !cursor.accept_token(&Token::Comma) {
                    break;
                }
            }
            cursor.expect_token(&Token::RParen)?;
        }
        CopyWhat::Table(name, columns)
    };
    let from = if cursor.accept(&["from"]) && matches!(what, CopyWhat::Table(..)) {
        true
    } else {
        cursor.expect(&["to"])?;
        false
    };
    if cursor.accept(&["program"]) || cursor.string().is_ok() {
        return Err(SqlError::unsupported("COPY with a file or program on the server")
            .with_hint("Use STDIN or STDOUT; psql's \\copy reads and writes the client's files."));
    }
    if !cursor.accept(&["stdin"]) {
        cursor.expect(&["stdout"])?;
    }
    let with = cursor.accept(&["with"]);
    if cursor.accept_token(&Token::LParen) {
        list(cursor, &mut options)?;
    } else {
        legacy(cursor, &mut options)?;
        let _ = with;
    }
    let position = cursor.position();
    let filter = if cursor.accept(&["where"]) {
        if !from {
            let error =
                SqlError::new(SqlState::SyntaxError, "WHERE clause not allowed with COPY TO");
            return Err(error.at(position));
        }
        Some(super::history::condition(cursor, lifted)?)
    } else {
        cursor.expect_end()?;
        None
    };
    Ok(Body::Copy(CopyBody { what, from, options, filter }))
}

/// The query up to its closing bracket, after the opening one.
pub(crate) fn bracketed_query(
    cursor: &mut Cursor<'_>,
    lifted: &mut Lifted,
) -> Result<ast::Statement> {
    bracketed(cursor, lifted, |tokens| tokens)
}

/// The rows that a changing statement returns, as a query: `WITH … AS (…) SELECT * FROM …`. Without
/// RETURNING it stays what it is.
fn returned(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let returns = tokens.iter().any(|token| is_word(token, "returning"));
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return tokens };
    if !returns {
        return tokens;
    }
    let (from, to) = (start(first), end(last));
    let name = || Token::make_word("copied rows", Some('"'));
    let before = [Token::make_keyword("WITH"), name(), Token::make_keyword("AS"), Token::LParen];
    let select = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM"), name()];
    let after = std::iter::once(Token::RParen).chain(select);
    let mut out: Vec<_> = before.into_iter().map(|token| token_at(token, from, from)).collect();
    out.extend(tokens);
    out.extend(after.map(|token| token_at(token, to, to)));
    out
}

fn bracketed(
    cursor: &mut Cursor<'_>,
    lifted: &mut Lifted,
    prepare: impl FnOnce(Vec<TokenWithSpan>) -> Vec<TokenWithSpan>,
) -> Result<ast::Statement> {
    let mut open = 1;
    let mut to = cursor.at;
    while open > 0 {
        match cursor.tokens.get(to).map(|token| &token.token) {
            Some(Token::LParen) => open += 1,
            Some(Token::RParen) => open -= 1,
            Some(_) => {}
            None => return Err(Cursor { at: to, ..*cursor }.error()),
        }
        to += 1;
    }
    let inner = &cursor.tokens[cursor.at..to - 1];
    let closing = cursor.tokens.get(to - 1);
    let mut inside = Cursor { source: cursor.source, tokens: inner, terminator: closing, at: 0 };
    let tokens = prepare(rewrite(&mut inside, lifted)?);
    let statement = tree::parse_all(cursor.source, tokens, closing, Parser::parse_statement)?;
    cursor.at = to;
    Ok(statement)
}

fn columns(cursor: &mut Cursor<'_>) -> Result<CopyValue> {
    if cursor.accept_token(&Token::Mul) {
        return Ok(CopyValue::Star);
    }
    let mut names = vec![cursor.name()?];
    while cursor.accept_token(&Token::Comma) {
        names.push(cursor.name()?);
    }
    Ok(CopyValue::Columns(names))
}

/// `(name [value], …)`, after the opening bracket.
fn list(cursor: &mut Cursor<'_>, options: &mut Vec<CopyOption>) -> Result<()> {
    loop {
        let position = cursor.position();
        let name = cursor.name()?;
        let value = match cursor.peek().map(|token| &token.token) {
            Some(Token::Comma | Token::RParen) => CopyValue::Absent,
            Some(Token::Mul) => columns(cursor)?,
            Some(Token::LParen) => {
                cursor.at += 1;
                let value = columns(cursor)?;
                cursor.expect_token(&Token::RParen)?;
                value
            }
            Some(Token::Number(digits, _)) => {
                cursor.at += 1;
                CopyValue::Text(digits.clone())
            }
            Some(Token::Word(_)) => CopyValue::Text(cursor.name()?),
            _ => CopyValue::Text(cursor.string()?),
        };
        options.push((name, value, position));
        if !cursor.accept_token(&Token::Comma) {
            return cursor.expect_token(&Token::RParen);
        }
    }
}

/// The spelling from before PostgreSQL 9.0.
fn legacy(cursor: &mut Cursor<'_>, options: &mut Vec<CopyOption>) -> Result<()> {
    loop {
        let position = cursor.position();
        let text = |text: &str| CopyValue::Text(text.into());
        let (name, value) = if cursor.accept(&["binary"]) {
            ("format", text("binary"))
        } else if cursor.accept(&["csv"]) {
            ("format", text("csv"))
        } else if cursor.accept(&["header"]) {
            ("header", CopyValue::Absent)
        } else if cursor.accept(&["freeze"]) {
            ("freeze", CopyValue::Absent)
        } else if cursor.accept(&["delimiter"]) || cursor.accept(&["delimiters"]) {
            cursor.accept(&["as"]);
            ("delimiter", CopyValue::Text(cursor.string()?))
        } else if cursor.accept(&["null"]) {
            cursor.accept(&["as"]);
            ("null", CopyValue::Text(cursor.string()?))
        } else if cursor.accept(&["quote"]) {
            cursor.accept(&["as"]);
            ("quote", CopyValue::Text(cursor.string()?))
        } else if cursor.accept(&["escape"]) {
            cursor.accept(&["as"]);
            ("escape", CopyValue::Text(cursor.string()?))
        } else if cursor.accept(&["force", "quote"]) {
            ("force_quote", columns(cursor)?)
        } else if cursor.accept(&["force", "not", "null"]) {
            ("force_not_null", columns(cursor)?)
        } else if cursor.accept(&["force", "null"]) {
            ("force_null", columns(cursor)?)
        } else if cursor.accept(&["encoding"]) {
            ("encoding", CopyValue::Text(cursor.string()?))
        } else {
            return Ok(());
        };
        options.push((name.into(), value, position));
    }
}
