//! DROP of kinds of things of which this build has none: every name is one that does not exist.

use driftdb_query::Result;
use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::Body;
use super::tokens::is_word;

/// DROP of what cannot be there.
#[derive(Debug)]
pub(crate) struct AbsentBody {
    pub(crate) command: &'static str,
    pub(crate) if_exists: bool,
    pub(crate) things: Vec<Absent>,
}

/// One thing that is not there.
#[derive(Debug)]
pub(crate) enum Absent {
    /// By a word for its kind and a name in quotes.
    Named(&'static str, QualifiedName),
    /// A collation.
    Collation(QualifiedName),
    /// An aggregate; `None`: of anything.
    Aggregate(QualifiedName, Option<Vec<ast::DataType>>),
    /// An operator, with the types at its sides.
    Operator(String, Vec<Option<ast::DataType>>),
    /// A cast.
    Cast(ast::DataType, ast::DataType),
    /// A rule or policy of a relation.
    Of(&'static str, String, QualifiedName),
    /// An operator class or family of an access method.
    OfMethod(&'static str, QualifiedName, String),
    /// A database.
    Database(String),
}

/// The kinds that are named by a name alone: after DROP, in messages, the command.
const NAMED: [(&[&str], &str, &str); 15] = [
    (&["conversion"], "conversion", "DROP CONVERSION"),
    (&["text", "search", "parser"], "text search parser", "DROP TEXT SEARCH PARSER"),
    (&["text", "search", "dictionary"], "text search dictionary", "DROP TEXT SEARCH DICTIONARY"),
    (&["text", "search", "template"], "text search template", "DROP TEXT SEARCH TEMPLATE"),
    (
        &["text", "search", "configuration"],
        "text search configuration",
        "DROP TEXT SEARCH CONFIGURATION",
    ),
    (&["extension"], "extension", "DROP EXTENSION"),
    (&["language"], "language", "DROP LANGUAGE"),
    (&["foreign", "data", "wrapper"], "foreign-data wrapper", "DROP FOREIGN DATA WRAPPER"),
    (&["foreign", "table"], "foreign table", "DROP FOREIGN TABLE"),
    (&["server"], "server", "DROP SERVER"),
    (&["event", "trigger"], "event trigger", "DROP EVENT TRIGGER"),
    (&["publication"], "publication", "DROP PUBLICATION"),
    (&["statistics"], "statistics object", "DROP STATISTICS"),
    (&["access", "method"], "access method", "DROP ACCESS METHOD"),
    (&["tablespace"], "tablespace", "DROP TABLESPACE"),
];

/// DROP, after the word, of what cannot be there.
pub(crate) fn drop(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    let found = NAMED.iter().find(|(words, ..)| cursor.accept(words));
    let (command, things, if_exists);
    if let Some((_, kind, named)) = found {
        command = *named;
        // PROCEDURAL LANGUAGE is one word less.
        if_exists = cursor.accept(&["if", "exists"]);
        things = list(cursor, |cursor| Ok(Absent::Named(kind, cursor.qualified_name()?)))?;
    } else if cursor.accept(&["procedural", "language"]) {
        command = "DROP LANGUAGE";
        if_exists = cursor.accept(&["if", "exists"]);
        things = list(cursor, |cursor| Ok(Absent::Named("language", cursor.qualified_name()?)))?;
    } else if cursor.accept(&["collation"]) {
        command = "DROP COLLATION";
        if_exists = cursor.accept(&["if", "exists"]);
        things = list(cursor, |cursor| cursor.qualified_name().map(Absent::Collation))?;
    } else if cursor.accept(&["aggregate"]) {
        command = "DROP AGGREGATE";
        if_exists = cursor.accept(&["if", "exists"]);
        things = list(cursor, aggregate)?;
    } else if cursor.accept(&["operator", "class"]) {
        command = "DROP OPERATOR CLASS";
        if_exists = cursor.accept(&["if", "exists"]);
        things = vec![of_method(cursor, "operator class")?];
    } else if cursor.accept(&["operator", "family"]) {
        command = "DROP OPERATOR FAMILY";
        if_exists = cursor.accept(&["if", "exists"]);
        things = vec![of_method(cursor, "operator family")?];
    } else if cursor.accept(&["operator"]) {
        command = "DROP OPERATOR";
        if_exists = cursor.accept(&["if", "exists"]);
        things = list(cursor, operator)?;
    } else if cursor.accept(&["cast"]) {
        command = "DROP CAST";
        if_exists = cursor.accept(&["if", "exists"]);
        cursor.expect_token(&Token::LParen)?;
        let from = cursor.parse(Parser::parse_data_type)?;
        cursor.expect(&["as"])?;
        let to = cursor.parse(Parser::parse_data_type)?;
        cursor.expect_token(&Token::RParen)?;
        things = vec![Absent::Cast(from, to)];
    } else if let Some((kind, named)) =
        [("rule", "DROP RULE"), ("policy", "DROP POLICY")].iter().find(|(k, _)| cursor.accept(&[k]))
    {
        command = *named;
        if_exists = cursor.accept(&["if", "exists"]);
        let name = cursor.name()?;
        cursor.expect(&["on"])?;
        things = vec![Absent::Of(kind, name, cursor.qualified_name()?)];
    } else if cursor.accept(&["database"]) {
        command = "DROP DATABASE";
        if_exists = cursor.accept(&["if", "exists"]);
        things = vec![Absent::Database(cursor.name()?)];
        if cursor.accept(&["with"]) || cursor.peek().is_some() {
            cursor.expect_token(&Token::LParen)?;
            cursor.expect(&["force"])?;
            cursor.expect_token(&Token::RParen)?;
        }
    } else {
        return Ok(None);
    }
    if !cursor.accept(&["cascade"]) {
        cursor.accept(&["restrict"]);
    }
    cursor.expect_end()?;
    Ok(Some(Body::Absent(AbsentBody { command, if_exists, things })))
}

fn list(
    cursor: &mut Cursor<'_>,
    mut one: impl FnMut(&mut Cursor<'_>) -> Result<Absent>,
) -> Result<Vec<Absent>> {
    let mut found = vec![one(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        found.push(one(cursor)?);
    }
    Ok(found)
}

fn aggregate(cursor: &mut Cursor<'_>) -> Result<Absent> {
    let name = cursor.qualified_name()?;
    cursor.expect_token(&Token::LParen)?;
    if cursor.accept_token(&Token::Mul) {
        cursor.expect_token(&Token::RParen)?;
        return Ok(Absent::Aggregate(name, None));
    }
    let mut types = vec![cursor.parse(Parser::parse_data_type)?];
    while cursor.accept_token(&Token::Comma) {
        types.push(cursor.parse(Parser::parse_data_type)?);
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(Absent::Aggregate(name, Some(types)))
}

fn operator(cursor: &mut Cursor<'_>) -> Result<Absent> {
    let mut symbol = String::new();
    while let Some(token) = cursor.peek().filter(|token| token.token != Token::LParen) {
        symbol.push_str(&token.token.to_string());
        cursor.at += 1;
    }
    if symbol.is_empty() {
        return Err(cursor.error());
    }
    cursor.expect_token(&Token::LParen)?;
    let side = |cursor: &mut Cursor<'_>| -> Result<Option<ast::DataType>> {
        if cursor.peek().is_some_and(|token| is_word(token, "none")) {
            cursor.at += 1;
            return Ok(None);
        }
        cursor.parse(Parser::parse_data_type).map(Some)
    };
    let left = side(cursor)?;
    if !cursor.accept_token(&Token::Comma) {
        let message = "missing argument";
        return Err(driftdb_query::SqlError::new(driftdb_types::SqlState::SyntaxError, message)
            .with_hint("Use NONE to denote the missing argument of a unary operator.")
            .at(cursor.position()));
    }
    let right = side(cursor)?;
    cursor.expect_token(&Token::RParen)?;
    Ok(Absent::Operator(symbol, vec![left, right]))
}

fn of_method(cursor: &mut Cursor<'_>, kind: &'static str) -> Result<Absent> {
    let name = cursor.qualified_name()?;
    cursor.expect(&["using"])?;
    Ok(Absent::OfMethod(kind, name, cursor.name()?))
}
