//! COMMENT ON.

use driftdb_query::Result;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::Body;
use super::routine::{self, Named, RoutineWord};

/// What a comment is about, as written.
#[derive(Debug)]
pub(crate) enum CommentOn {
    /// A table, index or other relation, by the word for its kind.
    Relation {
        word: &'static str,
        name: QualifiedName,
    },
    Column {
        table: QualifiedName,
        column: String,
    },
    Constraint {
        name: String,
        table: QualifiedName,
    },
    Schema(String),
    /// A function or procedure.
    Routine {
        word: RoutineWord,
        named: Named,
    },
    Trigger {
        name: String,
        table: QualifiedName,
    },
    /// A constraint of a domain.
    DomainConstraint {
        name: String,
        domain: QualifiedName,
    },
    /// A type, or a domain.
    Type {
        name: QualifiedName,
        is_domain: bool,
    },
}

/// COMMENT ON as written.
#[derive(Debug)]
pub(crate) struct CommentBody {
    pub(crate) on: CommentOn,
    /// `None`: NULL
    pub(crate) text: Option<String>,
}

const RELATIONS: [(&[&str], &str); 6] = [
    (&["table"], "table"),
    (&["index"], "index"),
    (&["view"], "view"),
    (&["sequence"], "sequence"),
    (&["materialized", "view"], "materialized view"),
    (&["foreign", "table"], "foreign table"),
];

/// COMMENT, after the word.
pub(crate) fn comment(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.expect(&["on"])?;
    let relation = RELATIONS.iter().find(|(words, _)| cursor.accept(words));
    let on = if let Some((_, word)) = relation {
        CommentOn::Relation { word, name: cursor.qualified_name()? }
    } else if cursor.accept(&["column"]) {
        column(cursor)?
    } else if cursor.accept(&["constraint"]) {
        let name = cursor.name()?;
        cursor.expect(&["on"])?;
        if cursor.accept(&["domain"]) {
            CommentOn::DomainConstraint { name, domain: cursor.qualified_name()? }
        } else {
            CommentOn::Constraint { name, table: cursor.qualified_name()? }
        }
    } else if cursor.accept(&["type"]) {
        CommentOn::Type { name: cursor.qualified_name()?, is_domain: false }
    } else if cursor.accept(&["domain"]) {
        CommentOn::Type { name: cursor.qualified_name()?, is_domain: true }
    } else if cursor.accept(&["schema"]) {
        CommentOn::Schema(cursor.name()?)
    } else if let Some(word) = routine::word(cursor) {
        CommentOn::Routine { word, named: routine::named(cursor)? }
    } else if cursor.accept(&["trigger"]) {
        let name = cursor.name()?;
        cursor.expect(&["on"])?;
        CommentOn::Trigger { name, table: cursor.qualified_name()? }
    } else {
        let what = cursor.name()?.to_uppercase();
        return Ok(Body::Unsupported(format!("COMMENT ON {what}")));
    };
    cursor.expect(&["is"])?;
    let text = if cursor.accept(&["null"]) { None } else { Some(cursor.string()?) };
    cursor.expect_end()?;
    Ok(Body::Comment(CommentBody { on, text: text.filter(|text| !text.is_empty()) }))
}

fn column(cursor: &mut Cursor<'_>) -> Result<CommentOn> {
    let position = cursor.position();
    let mut parts = vec![cursor.name()?];
    while cursor.accept_token(&Token::Period) {
        parts.push(cursor.name()?);
    }
    let column = parts.pop().unwrap_or_default();
    let Some(name) = parts.pop() else {
        let message = "column name must be qualified";
        return Err(driftdb_query::SqlError::new(driftdb_types::SqlState::SyntaxError, message));
    };
    let table = QualifiedName { schema: parts.pop(), name, position };
    Ok(CommentOn::Column { table, column })
}
