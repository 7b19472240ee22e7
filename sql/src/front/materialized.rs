//! CREATE, ALTER, DROP and REFRESH MATERIALIZED VIEW.
//!
//! ALTER says what ALTER TABLE says, and is read as that; the binder looks whether it is of a materialized
//! view.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::{Body, body};
use super::rewrite::Lifted;
use super::tokens::{end, is_word, start};

/// A statement about a materialized view, as written.
#[derive(Debug)]
pub(crate) enum MaterializedBody {
    Create {
        name: QualifiedName,
        if_not_exists: bool,
        /// The names of its columns, as far as given.
        columns: Vec<String>,
        /// Storage parameters.
        options: Vec<(String, Option<String>)>,
        query: Box<Body>,
        /// Where the query begins and ends.
        text: (u32, u32),
        with_data: bool,
    },
    Drop {
        names: Vec<QualifiedName>,
        if_exists: bool,
        cascade: bool,
    },
    /// What ALTER TABLE would be.
    Alter {
        name: QualifiedName,
        if_exists: bool,
        change: Box<Body>,
    },
    Refresh {
        name: QualifiedName,
        concurrently: bool,
        with_data: bool,
    },
}

impl MaterializedBody {
    /// The command tag.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE MATERIALIZED VIEW",
            Self::Drop { .. } => "DROP MATERIALIZED VIEW",
            Self::Alter { .. } => "ALTER MATERIALIZED VIEW",
            Self::Refresh { .. } => "REFRESH MATERIALIZED VIEW",
        }
    }
}

/// CREATE MATERIALIZED VIEW, from its first word, if it is that.
pub(crate) fn create(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Option<Body>> {
    if !cursor.accept(&["create", "materialized", "view"])
        && !cursor.accept(&["create", "unlogged", "materialized", "view"])
    {
        return Ok(None);
    }
    if is_word(&cursor.tokens[1], "unlogged") {
        let message = "materialized views cannot be unlogged";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let if_not_exists = cursor.accept(&["if", "not", "exists"]);
    let name = cursor.qualified_name()?;
    let columns = super::view::column_names(cursor)?;
    if cursor.accept(&["using"]) {
        let position = cursor.position();
        let method = cursor.name()?;
        if method != "heap" {
            let message = format!("access method \"{method}\" does not exist");
            return Err(SqlError::new(SqlState::UndefinedObject, message).at(position));
        }
    }
    let options = if cursor.accept(&["with"]) { parameters(cursor)? } else { Vec::new() };
    if cursor.accept(&["tablespace"]) {
        cursor.name()?;
        return Ok(Some(Body::Unsupported("TABLESPACE".into())));
    }
    cursor.expect(&["as"])?;
    let rest = &cursor.tokens[cursor.at..];
    let (tokens, with_data) = without_data(rest);
    let Some((first, last)) = tokens.first().zip(tokens.last()) else {
        return Err(cursor.error());
    };
    let is_query = ["select", "with", "values", "table"].iter().any(|word| is_word(first, word))
        || first.token == Token::LParen;
    if !is_query {
        return Err(cursor.error());
    }
    let text = (start(first), end(last));
    let mut inner = Cursor { source: cursor.source, tokens, terminator: cursor.terminator, at: 0 };
    let query = Box::new(body(&mut inner, lifted)?);
    cursor.at = cursor.tokens.len();
    let body =
        MaterializedBody::Create { name, if_not_exists, columns, options, query, text, with_data };
    Ok(Some(Body::Materialized(body)))
}

/// The query's tokens, and whether WITH NO DATA does not stand behind it.
fn without_data(tokens: &[TokenWithSpan]) -> (&[TokenWithSpan], bool) {
    let forms: [(&[&str], bool); 2] = [(&["with", "no", "data"], false), (&["with", "data"], true)];
    for (words, with_data) in forms {
        if let Some(before) = tokens.len().checked_sub(words.len())
            && tokens[before..].iter().zip(words).all(|(token, word)| is_word(token, word))
        {
            return (&tokens[..before], with_data);
        }
    }
    (tokens, true)
}

/// `(name = value, …)`
fn parameters(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Option<String>)>> {
    let mut found = Vec::new();
    cursor.expect_token(&Token::LParen)?;
    loop {
        let mut name = cursor.name()?;
        if cursor.accept_token(&Token::Period) {
            name = format!("{name}.{}", cursor.name()?);
        }
        let mut value = None;
        if cursor.accept_token(&Token::Eq) {
            value = Some(match cursor.peek().map(|token| &token.token) {
                Some(Token::SingleQuotedString(_)) => cursor.string()?,
                Some(Token::Number(digits, _)) => {
                    let digits = digits.clone();
                    cursor.at += 1;
                    digits
                }
                _ => cursor.name()?,
            });
        }
        found.push((name, value));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(found)
}

/// DROP MATERIALIZED VIEW, after the words.
pub(crate) fn drop(cursor: &mut Cursor<'_>) -> Result<Body> {
    let (if_exists, names, cascade) = super::view::dropped(cursor)?;
    Ok(Body::Materialized(MaterializedBody::Drop { names, if_exists, cascade }))
}

/// ALTER MATERIALIZED VIEW, from its first word, if it is that.
pub(crate) fn alter(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Option<Body>> {
    if !cursor.accept(&["alter", "materialized", "view"]) {
        return Ok(None);
    }
    let mut tokens = cursor.tokens.to_vec();
    tokens.remove(2);
    let keyword = Keyword::TABLE;
    tokens[1].token = Token::Word(Word { value: "table".into(), quote_style: None, keyword });
    if cursor.accept(&["all", "in", "tablespace"]) {
        return Ok(Some(Body::Unsupported("ALTER MATERIALIZED VIEW ALL IN TABLESPACE".into())));
    }
    let if_exists = cursor.accept(&["if", "exists"]);
    let name = cursor.qualified_name()?;
    let (source, terminator) = (cursor.source, cursor.terminator);
    let mut made = Cursor { source, tokens: &tokens, terminator, at: 0 };
    let change = Box::new(body(&mut made, lifted)?);
    cursor.at = cursor.tokens.len();
    Ok(Some(Body::Materialized(MaterializedBody::Alter { name, if_exists, change })))
}

/// REFRESH, after the word.
pub(crate) fn refresh(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.expect(&["materialized", "view"])?;
    let concurrently = cursor.accept(&["concurrently"]);
    let name = cursor.qualified_name()?;
    let mut with_data = true;
    if cursor.accept(&["with", "no", "data"]) {
        with_data = false;
    } else {
        cursor.accept(&["with", "data"]);
    }
    cursor.expect_end()?;
    if concurrently && !with_data {
        let message = "CONCURRENTLY and WITH NO DATA options cannot be used together";
        return Err(SqlError::new(SqlState::SyntaxError, message));
    }
    Ok(Body::Materialized(MaterializedBody::Refresh { name, concurrently, with_data }))
}
