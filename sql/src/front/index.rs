//! ALTER INDEX, REINDEX, CLUSTER, and ALTER TABLE as far as it is about the index that a table is clustered on.

use driftdb_query::Result;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::Body;

/// A statement about an index, as written.
#[derive(Debug)]
pub(crate) enum IndexBody {
    /// ALTER INDEX
    Alter { index: QualifiedName, if_exists: bool, change: IndexChange },
    /// REINDEX
    Reindex { name: QualifiedName, is_table: bool, concurrently: bool },
    /// CLUSTER table [USING index]
    Cluster { table: QualifiedName, index: Option<QualifiedName> },
    /// ALTER TABLE … CLUSTER ON index, or, with `None`, SET WITHOUT CLUSTER
    ClusterOn { table: QualifiedName, index: Option<QualifiedName> },
}

/// What ALTER INDEX changes.
#[derive(Debug)]
pub(crate) enum IndexChange {
    Rename(String),
    Set(Vec<(String, String)>),
    Reset(Vec<String>),
    /// ALTER COLUMN n SET STATISTICS
    Statistics(usize),
}

impl IndexBody {
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Alter { .. } => "ALTER INDEX",
            Self::Reindex { .. } => "REINDEX",
            Self::Cluster { .. } => "CLUSTER",
            Self::ClusterOn { .. } => "ALTER TABLE",
        }
    }
}

/// ALTER INDEX, from its first word.
pub(crate) fn alter(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.expect(&["alter", "index"])?;
    if cursor.accept(&["all", "in", "tablespace"]) {
        return Ok(Body::Unsupported("ALTER INDEX ALL IN TABLESPACE".into()));
    }
    let if_exists = cursor.accept(&["if", "exists"]);
    let index = cursor.qualified_name()?;
    let change = if cursor.accept(&["rename", "to"]) {
        IndexChange::Rename(cursor.name()?)
    } else if cursor.accept(&["set", "tablespace"]) {
        return Ok(Body::Unsupported("ALTER INDEX ... SET TABLESPACE".into()));
    } else if cursor.accept(&["attach", "partition"]) {
        return Ok(Body::Unsupported("ALTER INDEX ... ATTACH PARTITION".into()));
    } else if cursor.accept(&["set"]) {
        IndexChange::Set(options(cursor)?)
    } else if cursor.accept(&["reset"]) {
        IndexChange::Reset(options(cursor)?.into_iter().map(|(name, _)| name).collect())
    } else if cursor.accept(&["alter"]) {
        cursor.accept(&["column"]);
        let number = number(cursor)?;
        cursor.expect(&["set", "statistics"])?;
        cursor.accept_token(&Token::Minus);
        self::number(cursor)?;
        IndexChange::Statistics(number)
    } else {
        return Err(cursor.error());
    };
    cursor.expect_end()?;
    Ok(Body::Index(IndexBody::Alter { index, if_exists, change }))
}

fn number(cursor: &mut Cursor<'_>) -> Result<usize> {
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(digits, _)) => {
            let number = digits.parse().map_err(|_| cursor.error())?;
            cursor.at += 1;
            Ok(number)
        }
        _ => Err(cursor.error()),
    }
}

/// `(name [= value], …)`
fn options(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>> {
    cursor.expect_token(&Token::LParen)?;
    let mut options = Vec::new();
    loop {
        let name = cursor.name()?;
        let mut value = "true".to_owned();
        if cursor.accept_token(&Token::Eq) {
            let token = cursor.peek().ok_or_else(|| cursor.error())?;
            value = match &token.token {
                Token::SingleQuotedString(text) => text.clone(),
                Token::Number(digits, _) => digits.clone(),
                Token::Word(word) => word.value.to_lowercase(),
                _ => return Err(cursor.error()),
            };
            cursor.at += 1;
        }
        options.push((name, value));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(options)
}

/// REINDEX, after the word.
pub(crate) fn reindex(cursor: &mut Cursor<'_>) -> Result<Body> {
    let mut concurrently = false;
    if cursor.accept_token(&Token::LParen) {
        loop {
            if cursor.accept(&["concurrently"]) {
                concurrently = true;
            } else {
                cursor.expect(&["verbose"])?;
            }
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    let is_table = match cursor.peek_word(0).as_deref() {
        Some("index") => false,
        Some("table") => true,
        Some("schema" | "database" | "system") => {
            return Ok(Body::Unsupported("REINDEX of more than a table".into()));
        }
        _ => return Err(cursor.error()),
    };
    cursor.at += 1;
    concurrently |= cursor.accept(&["concurrently"]);
    let name = cursor.qualified_name()?;
    cursor.expect_end()?;
    Ok(Body::Index(IndexBody::Reindex { name, is_table, concurrently }))
}

/// CLUSTER, after the word.
pub(crate) fn cluster(cursor: &mut Cursor<'_>) -> Result<Body> {
    if cursor.accept_token(&Token::LParen) {
        cursor.expect(&["verbose"])?;
        cursor.expect_token(&Token::RParen)?;
    } else {
        cursor.accept(&["verbose"]);
    }
    if cursor.is_at_end() {
        return Ok(Body::Unsupported("CLUSTER of all tables".into()));
    }
    let first = cursor.qualified_name()?;
    let body = if cursor.accept(&["using"]) {
        IndexBody::Cluster { table: first, index: Some(cursor.qualified_name()?) }
    } else if cursor.accept(&["on"]) {
        IndexBody::Cluster { table: cursor.qualified_name()?, index: Some(first) }
    } else {
        IndexBody::Cluster { table: first, index: None }
    };
    cursor.expect_end()?;
    Ok(Body::Index(body))
}

/// ALTER TABLE … CLUSTER ON, SET WITHOUT CLUSTER; the cursor stays where it is if it is something else.
pub(crate) fn alter_table(cursor: &mut Cursor<'_>) -> Option<Body> {
    let from = cursor.at;
    let found = cluster_on(cursor);
    if !matches!(found, Ok(Some(_))) {
        cursor.at = from;
    }
    found.ok().flatten()
}

fn cluster_on(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    cursor.expect(&["alter", "table"])?;
    cursor.accept(&["only"]);
    let table = cursor.qualified_name()?;
    let index = if cursor.accept(&["cluster", "on"]) {
        Some(cursor.qualified_name()?)
    } else if cursor.accept(&["set", "without", "cluster"]) {
        None
    } else {
        return Ok(None);
    };
    cursor.expect_end()?;
    Ok(Some(Body::Index(IndexBody::ClusterOn { table, index })))
}
