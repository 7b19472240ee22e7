//! The statements without a query in them: settings, prepared statements, maintenance, DROP.

use driftdb_query::{Deferral, Result, SetScope, SqlError};
use driftdb_types::{SqlState, TimeZone};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::{Body, DropKind, body};
use super::history::HistoryBody;
use super::rewrite::Lifted;
use super::schema::SchemaBody;
use super::tokens::word;
use crate::deparse::quoted;

const SEARCH_PATH: &str = "search_path";

/// SET, after the word.
pub(crate) fn set(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Body> {
    if let Some(body) = super::transaction::set(cursor, lifted)? {
        return Ok(body);
    }
    if let Some(body) = identity(cursor)? {
        return Ok(body);
    }
    if cursor.accept(&["constraints"]) {
        return constraints(cursor);
    }
    let mut scope = SetScope::Session;
    if cursor.peek_word(1).is_some_and(|word| word != "to") {
        if cursor.accept(&["local"]) {
            scope = SetScope::Local;
        } else {
            cursor.accept(&["session"]);
        }
    }
    if cursor.accept(&["time", "zone"]) {
        let value = match cursor.peek_word(0).as_deref() {
            Some("local" | "default") => {
                cursor.at += 1;
                None
            }
            Some("interval") => {
                cursor.at += 1;
                let text = cursor.string()?;
                cursor.accept(&["hour", "to", "minute"]);
                let zone = TimeZone::from_interval(&text);
                Some(zone.map_or(text, |zone| zone.name().to_owned()))
            }
            _ => Some(value(cursor)?),
        };
        cursor.expect_end()?;
        return Ok(Body::Set { name: "timezone".into(), value, scope });
    }
    if cursor.accept(&["names"]) {
        let value = if cursor.is_at_end() || cursor.accept(&["default"]) {
            None
        } else {
            Some(value(cursor)?)
        };
        cursor.expect_end()?;
        return Ok(Body::Set { name: "client_encoding".into(), value, scope });
    }
    let after = cursor.tokens.get(cursor.at + 1);
    let is_value = after.is_some_and(|after| word(after).is_none() && after.token != Token::Eq);
    if is_value && cursor.accept(&["schema"]) {
        let value = Some(quoted(&cursor.string()?));
        cursor.expect_end()?;
        return Ok(Body::Set { name: SEARCH_PATH.into(), value, scope });
    }
    let name = setting(cursor)?;
    if !cursor.accept_token(&Token::Eq) {
        cursor.expect(&["to"])?;
    }
    if cursor.accept(&["default"]) {
        cursor.expect_end()?;
        return Ok(Body::Set { name, value: None, scope });
    }
    let mut values = vec![value(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        values.push(value(cursor)?);
    }
    cursor.expect_end()?;
    if name == SEARCH_PATH {
        // Each is one name, also in a string.
        values = values.iter().map(|value| quoted(value)).collect();
    }
    Ok(Body::Set { name, value: Some(values.join(", ")), scope })
}

/// `[LOCAL | SESSION] ROLE name`, `[LOCAL | SESSION] SESSION AUTHORIZATION name`
fn identity(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    let begin = cursor.at;
    let is_local = cursor.accept(&["local"]);
    let scope = if is_local { SetScope::Local } else { SetScope::Session };
    let is_twice = cursor.peek_word(1).is_some_and(|word| word == "session" || word == "role");
    if !is_local && is_twice {
        cursor.accept(&["session"]);
    }
    let after = cursor.tokens.get(cursor.at + 1);
    let is_assigned = after.is_some_and(|after| {
        after.token == Token::Eq || word(after).is_some_and(|word| word == "to")
    });
    let name = if !is_assigned && cursor.accept(&["role"]) {
        "role"
    } else if cursor.accept(&["session", "authorization"]) {
        "session_authorization"
    } else {
        cursor.at = begin;
        return Ok(None);
    };
    let value = if cursor.accept(&["default"]) {
        None
    } else {
        Some(cursor.name().or_else(|_| cursor.string())?)
    };
    cursor.expect_end()?;
    Ok(Some(Body::Set { name: name.into(), value, scope }))
}

/// SET CONSTRAINTS, after the words.
fn constraints(cursor: &mut Cursor<'_>) -> Result<Body> {
    let names = if cursor.accept(&["all"]) {
        None
    } else {
        let mut names = vec![cursor.qualified_name()?];
        while cursor.accept_token(&Token::Comma) {
            names.push(cursor.qualified_name()?);
        }
        Some(names)
    };
    let deferred = cursor.accept(&["deferred"]);
    if !deferred {
        cursor.expect(&["immediate"])?;
    }
    cursor.expect_end()?;
    Ok(Body::SetConstraints { names, deferred })
}

/// ALTER TABLE … ALTER CONSTRAINT, from its first word.
pub(crate) fn alter_constraint(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.expect(&["alter", "table"])?;
    let if_exists = cursor.accept(&["if", "exists"]);
    cursor.accept(&["only"]);
    let table = cursor.qualified_name()?;
    cursor.accept_token(&Token::Mul);
    cursor.expect(&["alter", "constraint"])?;
    let name = cursor.name()?;
    let (mut deferrable, mut deferred) = (None, false);
    loop {
        if cursor.accept(&["not", "deferrable"]) {
            deferrable = Some(false);
        } else if cursor.accept(&["deferrable"]) {
            deferrable = Some(true);
        } else if cursor.accept(&["initially", "deferred"]) {
            deferred = true;
        } else if !cursor.accept(&["initially", "immediate"]) {
            break;
        }
    }
    if cursor.accept_token(&Token::Comma) {
        return Ok(Body::Unsupported("ALTER CONSTRAINT beside other actions".into()));
    }
    cursor.expect_end()?;
    let deferral = match (deferrable, deferred) {
        (Some(false), true) => {
            let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        (_, true) => Deferral::Deferred,
        (Some(true), false) => Deferral::Immediate,
        (Some(false) | None, false) => Deferral::Never,
    };
    Ok(Body::AlterConstraint { table, if_exists, name, deferral })
}

/// The name of a setting: lower case, perhaps with dots.
fn setting(cursor: &mut Cursor<'_>) -> Result<String> {
    let name = cursor.qualified_name()?;
    let name = match name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name,
    };
    Ok(name.to_ascii_lowercase())
}

/// A value of a setting as text.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<String> {
    let negative = cursor.accept_token(&Token::Minus);
    let positive = !negative && cursor.accept_token(&Token::Plus);
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(digits, _)) => {
            cursor.at += 1;
            Ok(format!("{}{digits}", if negative { "-" } else { "" }))
        }
        Some(Token::Word(_)) if !negative && !positive => cursor.name(),
        _ if !negative && !positive => cursor.string(),
        _ => Err(cursor.error()),
    }
}

/// RESET, after the word.
pub(crate) fn reset(cursor: &mut Cursor<'_>) -> Result<Body> {
    let name = named_setting(cursor)?;
    Ok(Body::Reset(name))
}

/// SHOW, after the word.
pub(crate) fn show(cursor: &mut Cursor<'_>) -> Result<Body> {
    let name = named_setting(cursor)?;
    Ok(Body::Show(name))
}

fn named_setting(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    let name = if cursor.accept(&["all"]) {
        None
    } else if cursor.accept(&["time", "zone"]) {
        Some("timezone".to_owned())
    } else if cursor.accept(&["transaction", "isolation", "level"]) {
        Some("transaction_isolation".to_owned())
    } else if cursor.accept(&["session", "authorization"]) {
        Some("session_authorization".to_owned())
    } else {
        Some(setting(cursor)?)
    };
    cursor.expect_end()?;
    Ok(name)
}

/// PREPARE, after the word.
pub(crate) fn prepare(cursor: &mut Cursor<'_>) -> Result<Body> {
    if cursor.accept(&["transaction"]) {
        return Ok(Body::Unsupported("PREPARE TRANSACTION".into()));
    }
    let name = cursor.name()?;
    let mut types = Vec::new();
    if cursor.accept_token(&Token::LParen) {
        loop {
            let position = cursor.position();
            types.push((cursor.parse(Parser::parse_data_type)?, position));
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    cursor.expect(&["as"])?;
    let text = cursor.rest_text().to_owned();
    refuse_nesting(cursor)?;
    // Only to find syntax errors now, where the positions are the user's.
    match body(cursor, &mut Lifted::default())? {
        Body::Tree(_) | Body::History(HistoryBody::Diff { .. }) => {
            Ok(Body::Prepare { name, types, text })
        }
        Body::Unsupported(what) => Err(SqlError::unsupported(what)),
        _ => Err(SqlError::new(SqlState::SyntaxError, "this statement cannot be prepared")),
    }
}

/// EXPLAIN and PREPARE take a query, not another of their kind; said before the parser follows a chain
/// of them to the end of the stack.
pub(super) fn refuse_nesting(cursor: &Cursor<'_>) -> Result<()> {
    match cursor.peek_word(0).as_deref() {
        Some("explain" | "prepare") => Err(cursor.error()),
        _ => Ok(()),
    }
}

/// EXECUTE, after the word.
pub(crate) fn execute(cursor: &mut Cursor<'_>) -> Result<Body> {
    let name = cursor.name()?;
    let mut args = Vec::new();
    if cursor.accept_token(&Token::LParen) {
        loop {
            args.push(cursor.expression()?);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    cursor.expect_end()?;
    Ok(Body::Execute { name, args })
}

/// DEALLOCATE, after the word.
pub(crate) fn deallocate(cursor: &mut Cursor<'_>) -> Result<Body> {
    if cursor.peek_word(1).is_some() {
        cursor.accept(&["prepare"]);
    }
    let name = if cursor.accept(&["all"]) { None } else { Some(cursor.name()?) };
    cursor.expect_end()?;
    Ok(Body::Deallocate(name))
}

/// DISCARD, after the word.
pub(crate) fn discard(cursor: &mut Cursor<'_>) -> Result<Body> {
    let body = if cursor.accept(&["all"]) {
        Body::DiscardAll
    } else if cursor.accept(&["temp"]) || cursor.accept(&["temporary"]) {
        Body::Schema(SchemaBody::DropTemporary)
    } else if cursor.accept(&["sequences"]) {
        Body::DiscardSequences
    } else {
        let what = cursor.name()?.to_uppercase();
        Body::Unsupported(format!("DISCARD {what}"))
    };
    cursor.expect_end()?;
    Ok(body)
}

/// VACUUM, after the word.
pub(crate) fn vacuum(cursor: &mut Cursor<'_>) -> Result<Body> {
    let mut analyze = false;
    if cursor.accept_token(&Token::LParen) {
        for (name, value) in options(cursor)? {
            match name.as_str() {
                "analyze" | "analyse" => analyze = flag(&value),
                "full"
                | "freeze"
                | "verbose"
                | "disable_page_skipping"
                | "skip_locked"
                | "index_cleanup"
                | "process_toast"
                | "truncate"
                | "parallel" => {}
                _ => return Err(unknown_option("VACUUM", &name)),
            }
        }
    } else {
        while let Some(word) = cursor.peek_word(0) {
            match word.as_str() {
                "full" | "freeze" | "verbose" => {}
                "analyze" | "analyse" => analyze = true,
                _ => break,
            }
            cursor.at += 1;
        }
    }
    let tables = maintained(cursor)?;
    Ok(Body::Vacuum { tables, analyze })
}

/// ANALYZE, after the word.
pub(crate) fn analyze(cursor: &mut Cursor<'_>) -> Result<Body> {
    if cursor.accept_token(&Token::LParen) {
        for (name, _) in options(cursor)? {
            if !matches!(name.as_str(), "verbose" | "skip_locked") {
                return Err(unknown_option("ANALYZE", &name));
            }
        }
    } else {
        cursor.accept(&["verbose"]);
    }
    Ok(Body::Analyze(maintained(cursor)?))
}

fn unknown_option(statement: &str, name: &str) -> SqlError {
    let message = format!("unrecognized {statement} option \"{name}\"");
    SqlError::new(SqlState::SyntaxError, message)
}

/// `t, t (a, b)`: the columns are read and not needed.
fn maintained(cursor: &mut Cursor<'_>) -> Result<Vec<QualifiedName>> {
    let mut tables = Vec::new();
    if cursor.is_at_end() {
        return Ok(tables);
    }
    loop {
        tables.push(cursor.qualified_name()?);
        if cursor.accept_token(&Token::LParen) {
            cursor.name()?;
            while cursor.accept_token(&Token::Comma) {
                cursor.name()?;
            }
            cursor.expect_token(&Token::RParen)?;
        }
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_end()?;
    Ok(tables)
}

/// `(name [value], …)`, after the opening bracket.
fn options(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Option<String>)>> {
    let mut options = Vec::new();
    loop {
        let name = cursor.name()?;
        let value = match cursor.peek().map(|token| &token.token) {
            Some(Token::Comma | Token::RParen) => None,
            _ => Some(value(cursor)?),
        };
        options.push((name, value));
        if !cursor.accept_token(&Token::Comma) {
            cursor.expect_token(&Token::RParen)?;
            return Ok(options);
        }
    }
}

fn flag(value: &Option<String>) -> bool {
    !matches!(value.as_deref(), Some("off" | "false" | "0"))
}

/// TRUNCATE, after the word.
pub(crate) fn truncate(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.accept(&["table"]);
    let mut tables = Vec::new();
    loop {
        cursor.accept(&["only"]);
        tables.push(cursor.qualified_name()?);
        cursor.accept_token(&Token::Mul);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    let restart = cursor.accept(&["restart", "identity"]);
    if !restart {
        cursor.accept(&["continue", "identity"]);
    }
    let cascade = cascade(cursor);
    cursor.expect_end()?;
    Ok(Body::Truncate { tables, cascade, restart })
}

/// DROP, after the word.
pub(crate) fn drop(cursor: &mut Cursor<'_>) -> Result<Body> {
    if cursor.accept(&["view"]) {
        return super::view::drop(cursor);
    }
    if cursor.accept(&["materialized", "view"]) {
        return super::materialized::drop(cursor);
    }
    if let Some(body) = super::absent::drop(cursor)? {
        return Ok(body);
    }
    let kind = if cursor.accept(&["table"]) {
        DropKind::Table
    } else if cursor.accept(&["index"]) {
        let is_concurrent = cursor.accept(&["concurrently"]);
        if is_concurrent { DropKind::IndexConcurrently } else { DropKind::Index }
    } else if cursor.accept(&["sequence"]) {
        DropKind::Sequence
    } else {
        let what = cursor.peek_word(0).ok_or_else(|| cursor.error())?.to_uppercase();
        return Ok(Body::Unsupported(format!("DROP {what}")));
    };
    let if_exists = cursor.accept(&["if", "exists"]);
    let mut names = vec![cursor.qualified_name()?];
    while cursor.accept_token(&Token::Comma) {
        names.push(cursor.qualified_name()?);
    }
    let cascade = cascade(cursor);
    cursor.expect_end()?;
    if kind == DropKind::IndexConcurrently && (names.len() > 1 || cascade) {
        let what = if cascade { "CASCADE" } else { "dropping multiple objects" };
        let message = format!("DROP INDEX CONCURRENTLY does not support {what}");
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    Ok(Body::Drop { kind, if_exists, names, cascade })
}

/// CASCADE, or RESTRICT or nothing.
fn cascade(cursor: &mut Cursor<'_>) -> bool {
    let cascade = cursor.accept(&["cascade"]);
    if !cascade {
        cursor.accept(&["restrict"]);
    }
    cascade
}
