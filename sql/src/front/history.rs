//! Statements that operate on history.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::copy::bracketed_query;
use super::cursor::{Cursor, QualifiedName};
use super::dispatch::Body;
use super::period::{self, PeriodChange};
use super::rewrite::{Lifted, Operand, TimePoint, point, rewrite, sequence_number};
use super::tree;

/// A statement as written.
#[derive(Debug)]
pub(crate) enum HistoryBody {
    CreateRestorePoint {
        name: String,
        at: Option<TimePoint>,
        options: Vec<(String, Option<String>)>,
    },
    DropRestorePoint {
        name: String,
        if_exists: bool,
    },
    /// RESTORE TABLE; without tables: RESTORE DATABASE
    Restore {
        tables: Vec<QualifiedName>,
        at: TimePoint,
    },
    /// ERASE FROM … [WHERE …]
    Erase {
        table: QualifiedName,
        condition: Option<Box<ast::Expr>>,
    },
    /// UNDROP TABLE
    Undrop {
        table: QualifiedName,
        at: Option<TimePoint>,
        name: Option<String>,
    },
    /// UNDO TRANSACTION
    Undo {
        sequence: u64,
        skip_conflicts: bool,
    },
    /// DIFF (query) BETWEEN … AND … [KEY (…)]
    Diff {
        query: Box<ast::Query>,
        times: [TimePoint; 2],
        key: Vec<(String, u32)>,
    },
    /// ALTER TABLE … SET (…) or, without values, RESET (…)
    SetOptions {
        table: QualifiedName,
        if_exists: bool,
        options: Vec<(String, Option<String>)>,
        is_reset: bool,
    },
    /// ALTER TABLE … ADD PERIOD or DROP PERIOD
    AlterPeriod {
        table: QualifiedName,
        if_exists: bool,
        change: PeriodChange,
    },
}

impl HistoryBody {
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::CreateRestorePoint { .. } => "CREATE RESTORE POINT",
            Self::DropRestorePoint { .. } => "DROP RESTORE POINT",
            Self::Restore { tables, .. } if tables.is_empty() => "RESTORE DATABASE",
            Self::Restore { .. } => "RESTORE TABLE",
            Self::Erase { .. } => "ERASE",
            Self::Undrop { .. } => "UNDROP TABLE",
            Self::Undo { .. } => "UNDO TRANSACTION",
            // It reports its rows as a SELECT does.
            Self::Diff { .. } => "SELECT",
            Self::SetOptions { .. } | Self::AlterPeriod { .. } => "ALTER TABLE",
        }
    }
}

/// Parses the statement at the cursor, if it is one of these.
pub(crate) fn parse(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Option<Body>> {
    let body = if cursor.accept(&["create", "restore", "point"]) {
        create_restore_point(cursor)?
    } else if cursor.accept(&["drop", "restore", "point"]) {
        let if_exists = cursor.accept(&["if", "exists"]);
        HistoryBody::DropRestorePoint { name: cursor.name()?, if_exists }
    } else if cursor.accept(&["restore"]) {
        restore(cursor)?
    } else if cursor.accept(&["erase", "from"]) {
        cursor.accept(&["only"]);
        let table = cursor.qualified_name()?;
        let condition =
            if cursor.accept(&["where"]) { Some(condition(cursor, lifted)?) } else { None };
        HistoryBody::Erase { table, condition }
    } else if cursor.accept(&["undrop", "table"]) {
        let table = cursor.qualified_name()?;
        let at = if cursor.accept(&["as", "of"]) { Some(time_point(cursor)?) } else { None };
        let name = if cursor.accept(&["rename", "to"]) { Some(cursor.name()?) } else { None };
        HistoryBody::Undrop { table, at, name }
    } else if cursor.accept(&["undo", "transaction"]) {
        let sequence = number(cursor)?;
        let skip_conflicts = cursor.accept(&["on", "conflict", "skip"]);
        HistoryBody::Undo { sequence, skip_conflicts }
    } else if cursor.accept(&["diff"]) {
        diff(cursor, lifted)?
    } else if let Some((table, if_exists, change)) = period::alter(cursor)? {
        HistoryBody::AlterPeriod { table, if_exists, change }
    } else if let Some(body) = set_options(cursor)? {
        body
    } else {
        return Ok(None);
    };
    cursor.expect_end()?;
    Ok(Some(Body::History(body)))
}

fn create_restore_point(cursor: &mut Cursor<'_>) -> Result<HistoryBody> {
    let name = cursor.name()?;
    let at = if cursor.accept(&["as", "of"]) { Some(time_point(cursor)?) } else { None };
    let options = if cursor.accept(&["with"]) { options(cursor)? } else { Vec::new() };
    Ok(HistoryBody::CreateRestorePoint { name, at, options })
}

/// An expression, up to the end of the statement.
pub(super) fn condition(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Box<ast::Expr>> {
    let tokens = rewrite(cursor, lifted)?;
    let (source, end) = (cursor.source, cursor.terminator);
    tree::parse_all(source, tokens, end, Parser::parse_expr).map(Box::new)
}

fn restore(cursor: &mut Cursor<'_>) -> Result<HistoryBody> {
    let mut tables = Vec::new();
    if !cursor.accept(&["database"]) {
        cursor.expect(&["table"])?;
        loop {
            cursor.accept(&["only"]);
            tables.push(cursor.qualified_name()?);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
    }
    cursor.expect(&["as", "of"])?;
    Ok(HistoryBody::Restore { tables, at: time_point(cursor)? })
}

/// A commit's number, with `@SEQ:` or without.
fn number(cursor: &mut Cursor<'_>) -> Result<u64> {
    if let Some(sequence) = sequence_number(cursor)? {
        return Ok(sequence);
    }
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(digits, _)) => {
            let number = digits.parse().map_err(|_| cursor.error())?;
            cursor.at += 1;
            Ok(number)
        }
        _ => Err(cursor.error()),
    }
}

fn diff(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<HistoryBody> {
    cursor.expect_token(&Token::LParen)?;
    let statement = bracketed_query(cursor, lifted)?;
    let ast::Statement::Query(query) = statement else {
        return Err(SqlError::new(SqlState::SyntaxError, "DIFF compares what a query yields"));
    };
    cursor.expect(&["between"])?;
    let from = time_point(cursor)?;
    cursor.expect(&["and"])?;
    let to = time_point(cursor)?;
    let mut key = Vec::new();
    if cursor.accept(&["key"]) {
        cursor.expect_token(&Token::LParen)?;
        loop {
            let position = cursor.position();
            key.push((cursor.name()?, position));
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(HistoryBody::Diff { query, times: [from, to], key })
}

/// ALTER TABLE … SET (…) and RESET (…); the cursor stays where it is before all other forms.
fn set_options(cursor: &mut Cursor<'_>) -> Result<Option<HistoryBody>> {
    let start = cursor.at;
    if !cursor.accept(&["alter", "table"]) {
        return Ok(None);
    }
    let if_exists = cursor.accept(&["if", "exists"]);
    cursor.accept(&["only"]);
    if let Ok(table) = cursor.qualified_name() {
        let is_reset = cursor.accept(&["reset"]);
        let is_ours = is_reset || cursor.accept(&["set"]);
        if is_ours && cursor.peek().is_some_and(|token| token.token == Token::LParen) {
            let options = options(cursor)?;
            return Ok(Some(HistoryBody::SetOptions { table, if_exists, options, is_reset }));
        }
    }
    cursor.at = start;
    Ok(None)
}

/// `(name [= value], …)`
fn options(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Option<String>)>> {
    cursor.expect_token(&Token::LParen)?;
    let mut options = Vec::new();
    loop {
        let name = cursor.name()?;
        let value = if cursor.accept_token(&Token::Eq) { Some(value(cursor)?) } else { None };
        options.push((name, value));
        if !cursor.accept_token(&Token::Comma) {
            cursor.expect_token(&Token::RParen)?;
            return Ok(options);
        }
    }
}

/// A word, number or string.
fn value(cursor: &mut Cursor<'_>) -> Result<String> {
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(digits, _)) => {
            cursor.at += 1;
            Ok(digits.clone())
        }
        Some(Token::Word(_)) => cursor.name(),
        _ => cursor.string(),
    }
}

/// A time; an expression ends before AND.
fn time_point(cursor: &mut Cursor<'_>) -> Result<TimePoint> {
    point(cursor, Operand::BeforeAnd)
}
