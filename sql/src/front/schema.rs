//! CREATE, DROP and ALTER SCHEMA; ALTER TABLE … SET SCHEMA.

use driftdb_query::Result;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::Body;

/// A role as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoleName {
    /// CURRENT_USER, CURRENT_ROLE
    Current,
    /// SESSION_USER
    Session,
    Named(String),
}

/// A statement about schemas.
#[derive(Debug)]
pub(crate) enum SchemaBody {
    Create {
        /// `None`: that of its owner.
        name: Option<String>,
        if_not_exists: bool,
        owner: Option<RoleName>,
    },
    Drop {
        names: Vec<String>,
        if_exists: bool,
        cascade: bool,
    },
    Rename {
        name: String,
        to: String,
    },
    SetOwner {
        name: String,
        owner: RoleName,
    },
    DropTemporary,
    MoveTable {
        table: QualifiedName,
        if_exists: bool,
        to: String,
    },
}

impl SchemaBody {
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE SCHEMA",
            Self::Drop { .. } => "DROP SCHEMA",
            Self::Rename { .. } | Self::SetOwner { .. } => "ALTER SCHEMA",
            Self::MoveTable { .. } => "ALTER TABLE",
            Self::DropTemporary => "DISCARD TEMP",
        }
    }
}

/// A statement about schemas, if it is one.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    let body = if cursor.accept(&["create", "schema"]) {
        create(cursor)?
    } else if cursor.accept(&["drop", "schema"]) {
        drop_schemas(cursor)?
    } else if cursor.accept(&["alter", "schema"]) {
        alter(cursor)?
    } else {
        return move_table(cursor);
    };
    if let Body::Unsupported(_) = body {
        return Ok(Some(body));
    }
    cursor.expect_end()?;
    Ok(Some(body))
}

fn create(cursor: &mut Cursor<'_>) -> Result<Body> {
    let if_not_exists = cursor.accept(&["if", "not", "exists"]);
    let (name, owner) = if cursor.accept(&["authorization"]) {
        (None, Some(role(cursor)?))
    } else {
        let name = cursor.name()?;
        let owner = if cursor.accept(&["authorization"]) { Some(role(cursor)?) } else { None };
        (Some(name), owner)
    };
    if matches!(cursor.peek_word(0).as_deref(), Some("create" | "grant")) {
        return Ok(Body::Unsupported("CREATE SCHEMA with what is in it".into()));
    }
    Ok(Body::Schema(SchemaBody::Create { name, if_not_exists, owner }))
}

fn drop_schemas(cursor: &mut Cursor<'_>) -> Result<Body> {
    let if_exists = cursor.accept(&["if", "exists"]);
    let mut names = vec![cursor.name()?];
    while cursor.accept_token(&Token::Comma) {
        names.push(cursor.name()?);
    }
    let cascade = cursor.accept(&["cascade"]);
    if !cascade {
        cursor.accept(&["restrict"]);
    }
    Ok(Body::Schema(SchemaBody::Drop { names, if_exists, cascade }))
}

fn alter(cursor: &mut Cursor<'_>) -> Result<Body> {
    let name = cursor.name()?;
    let body = if cursor.accept(&["rename"]) {
        cursor.expect(&["to"])?;
        SchemaBody::Rename { name, to: cursor.name()? }
    } else {
        cursor.expect(&["owner", "to"])?;
        SchemaBody::SetOwner { name, owner: role(cursor)? }
    };
    Ok(Body::Schema(body))
}

/// ALTER TABLE … SET SCHEMA, which the parser does not know.
fn move_table(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    let is_meant = cursor.peek_word(0).as_deref() == Some("alter")
        && cursor.peek_word(1).as_deref() == Some("table")
        && cursor.tokens.len() >= 3
        && {
            let word = |back: usize| {
                cursor.tokens.get(cursor.tokens.len() - back).and_then(super::tokens::word)
            };
            word(3).as_deref() == Some("set") && word(2).as_deref() == Some("schema")
        };
    if !is_meant {
        return Ok(None);
    }
    cursor.expect(&["alter", "table"])?;
    let if_exists = cursor.accept(&["if", "exists"]);
    cursor.accept(&["only"]);
    let table = cursor.qualified_name()?;
    cursor.accept_token(&Token::Mul);
    cursor.expect(&["set", "schema"])?;
    let to = cursor.name()?;
    cursor.expect_end()?;
    Ok(Some(Body::Schema(SchemaBody::MoveTable { table, if_exists, to })))
}

/// A role: a name, or a word for one's own.
pub(crate) fn role(cursor: &mut Cursor<'_>) -> Result<RoleName> {
    if cursor.accept(&["current_user"]) || cursor.accept(&["current_role"]) {
        return Ok(RoleName::Current);
    }
    if cursor.accept(&["session_user"]) {
        return Ok(RoleName::Session);
    }
    Ok(RoleName::Named(cursor.name()?))
}
