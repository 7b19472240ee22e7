//! Statements about branches; PostgreSQL's CREATE DATABASE … TEMPLATE and DROP DATABASE are two of them.

use driftdb_query::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::dispatch::Body;
use super::rewrite::{TimePoint, time_point};

/// A statement as written.
#[derive(Debug)]
pub(crate) enum BranchBody {
    Create { name: String, parent: Option<String>, at: Option<TimePoint>, is_database: bool },
    Drop { name: String, if_exists: bool, is_database: bool },
    Use(String),
}

impl BranchBody {
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Create { is_database: false, .. } => "CREATE BRANCH",
            Self::Create { is_database: true, .. } => "CREATE DATABASE",
            Self::Drop { is_database: false, .. } => "DROP BRANCH",
            Self::Drop { is_database: true, .. } => "DROP DATABASE",
            Self::Use(_) => "USE",
        }
    }
}

/// Parses the statement at the cursor, if it is one of these.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    let body = if cursor.accept(&["create", "branch"]) {
        let name = cursor.name()?;
        let parent = if cursor.accept(&["from"]) { Some(cursor.name()?) } else { None };
        let at = if cursor.accept(&["as", "of"]) { Some(time_point(cursor)?) } else { None };
        BranchBody::Create { name, parent, at, is_database: false }
    } else if let Some(database) = create_database(cursor)? {
        database
    } else if cursor.accept(&["drop", "branch"]) {
        drop(cursor, false)?
    } else if cursor.accept(&["drop", "database"]) {
        drop(cursor, true)?
    } else if cursor.accept(&["use"]) {
        BranchBody::Use(cursor.name()?)
    } else {
        return Ok(None);
    };
    cursor.expect_end()?;
    Ok(Some(Body::Branch(body)))
}

fn drop(cursor: &mut Cursor<'_>, is_database: bool) -> Result<BranchBody> {
    let if_exists = cursor.accept(&["if", "exists"]);
    Ok(BranchBody::Drop { name: cursor.name()?, if_exists, is_database })
}

/// CREATE DATABASE … TEMPLATE …; the cursor stays where it is before all other forms.
fn create_database(cursor: &mut Cursor<'_>) -> Result<Option<BranchBody>> {
    let start = cursor.at;
    if cursor.accept(&["create", "database"])
        && let Ok(name) = cursor.name()
    {
        cursor.accept(&["with"]);
        if cursor.accept(&["template"]) {
            cursor.accept_token(&Token::Eq);
            let parent = Some(cursor.name()?);
            return Ok(Some(BranchBody::Create { name, parent, at: None, is_database: true }));
        }
    }
    cursor.at = start;
    Ok(None)
}
