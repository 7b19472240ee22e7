//! Our own statement: what parsing yields and binding takes.

use std::fmt;
use std::sync::Arc;

use driftdb_query::{Result, SqlError, TransactionStatement};
use driftdb_types::SqlState;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::bind::changes::{ALL_CHANGES, TABLE_CHANGES};
use crate::bind::diff::TABLE_DIFF;
use crate::front::cursor::Cursor;
use crate::front::dispatch::{Body, body};
use crate::front::history::HistoryBody;
use crate::front::limits::{depth, with_room};
use crate::front::rewrite::Lifted;
use crate::front::tokens::{Source, end, is_word, start, tokenize};

/// One statement of a string: syntactically right, no name looked up. Cheap to clone.
#[derive(Clone)]
pub struct ParsedStatement {
    inner: Arc<Inner>,
}

struct Inner {
    text: Arc<str>,
    position: u32,
    depth: u32,
    parameters: usize,
    /// Whether it names a function whose arguments are times.
    has_time_arguments: bool,
    /// Always there until it is dropped, which needs room.
    content: Option<Box<Content>>,
}

/// The tree, and what was lifted out of it.
pub(crate) struct Content {
    pub(crate) body: Body,
    pub(crate) lifted: Lifted,
}

/// What kind of statement it is, as far as sessions care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// Nothing between two semicolons.
    Empty,
    /// SELECT, VALUES, TABLE, WITH.
    Query,
    /// INSERT, UPDATE, DELETE.
    Change,
    /// CREATE, ALTER, DROP, TRUNCATE.
    Definition,
    /// BEGIN and its kin.
    Transaction,
    /// COPY.
    Copy,
    /// Everything else.
    Utility,
}

/// Parses a string of statements separated by semicolons. Empty statements between semicolons are left
/// out; a string without any statement yields none.
///
/// # Errors
/// 42601 with a position; 54000 and 54001 for texts that are too long or nested too deeply.
pub fn parse(text: &str) -> Result<Vec<ParsedStatement>> {
    let source = Source::new(text);
    let tokens = tokenize(&source)?;
    let mut statements = Vec::new();
    let mut from = 0;
    while from < tokens.len() {
        let to = end_of_statement(&tokens, from);
        if to > from {
            let terminator = tokens.get(to);
            statements.push(parse_one(&source, &tokens[from..to], terminator)?);
        }
        from = to + 1;
    }
    Ok(statements)
}

/// Where the statement that begins at a token ends. Semicolons in BEGIN ATOMIC … END are a body's.
fn end_of_statement(tokens: &[TokenWithSpan], from: usize) -> usize {
    let (mut depth, mut is_body) = (0u32, false);
    let may_have_body = is_word(&tokens[from], "create");
    for (at, token) in tokens.iter().enumerate().skip(from) {
        if token.token == Token::SemiColon && depth == 0 {
            return at;
        }
        if may_have_body {
            let next = tokens.get(at + 1);
            if is_word(token, "begin") && next.is_some_and(|next| is_word(next, "atomic")) {
                (depth, is_body) = (depth + 1, true);
            } else if is_body && is_word(token, "case") {
                depth += 1;
            } else if is_body && is_word(token, "end") {
                depth = depth.saturating_sub(1);
            }
        }
    }
    tokens.len()
}

fn parse_one(
    source: &Source<'_>,
    tokens: &[TokenWithSpan],
    terminator: Option<&TokenWithSpan>,
) -> Result<ParsedStatement> {
    let depth = depth(tokens)?;
    let content = with_room(depth, || {
        let mut lifted = Lifted::default();
        let mut cursor = Cursor { source, tokens, terminator, at: 0 };
        let body = body(&mut cursor, &mut lifted)?;
        Ok::<_, SqlError>(Box::new(Content { body, lifted }))
    })?;
    let position = tokens.first().map_or(1, start);
    // PREPARE has no parameters itself: those in its text are the prepared statement's.
    let own = match &content.body {
        Body::Prepare { .. } => false,
        // Those of a body are its function's.
        Body::Routine(body) => !body.is_definition(),
        _ => true,
    };
    let parameters = if own { parameters(tokens)? } else { 0 };
    let last = tokens.last().map_or(position, end);
    Ok(ParsedStatement {
        inner: Arc::new(Inner {
            text: source.slice(position, last).into(),
            position,
            depth,
            parameters,
            has_time_arguments: tokens.iter().any(has_time_argument),
            content: Some(content),
        }),
    })
}

/// Whether a word is the name of a function over history; if it is something else, the statement is bound more often
/// than it need be.
fn has_time_argument(token: &TokenWithSpan) -> bool {
    let functions = [TABLE_DIFF, TABLE_CHANGES, ALL_CHANGES];
    let is_one = |word: &str| functions.iter().any(|name| word.eq_ignore_ascii_case(name));
    matches!(&token.token, Token::Word(word) if is_one(&word.value))
}

/// The highest `$n`.
fn parameters(tokens: &[TokenWithSpan]) -> Result<usize> {
    let mut highest = 0;
    for token in tokens {
        if let Token::Placeholder(name) = &token.token {
            highest = highest.max(parameter_index(name).map_err(|e| e.at(start(token)))? + 1);
        }
    }
    Ok(highest)
}

/// The index of `$n`, from 0.
pub(crate) fn parameter_index(name: &str) -> Result<usize> {
    match name.strip_prefix('$').map(str::parse::<usize>) {
        Some(Ok(number @ 1..=65_535)) => Ok(number - 1),
        Some(_) => Err(SqlError::new(
            SqlState::UndefinedParameter,
            format!("there is no parameter {name}"),
        )),
        None => {
            Err(SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{name}\"")))
        }
    }
}

impl ParsedStatement {
    /// The statement's text, without blanks around it and without its semicolon.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// As [`ParsedStatement::text`], to be kept.
    pub fn shared_text(&self) -> &Arc<str> {
        &self.inner.text
    }

    /// Where it begins in the whole string: characters from 1. Error positions count in the whole
    /// string, too.
    pub fn position(&self) -> u32 {
        self.inner.position
    }

    /// How many parameters it names: the highest `$n`.
    pub fn parameter_count(&self) -> usize {
        self.inner.parameters
    }

    /// The command tag without counts: `SELECT`, `CREATE TABLE`.
    pub fn tag(&self) -> &'static str {
        self.body().tag()
    }

    /// What kind of statement it is.
    pub fn kind(&self) -> StatementKind {
        match self.body() {
            Body::Empty => StatementKind::Empty,
            Body::Tree(_) => match self.tag() {
                "SELECT" if self.is_definition() => StatementKind::Definition,
                "SELECT" => StatementKind::Query,
                "INSERT" | "UPDATE" | "DELETE" | "MERGE" => StatementKind::Change,
                _ => StatementKind::Definition,
            },
            Body::Transaction(_) => StatementKind::Transaction,
            Body::Copy(_) => StatementKind::Copy,
            Body::History(HistoryBody::Diff { .. }) => StatementKind::Query,
            Body::Truncate { .. }
            | Body::Sequence(_)
            | Body::Type(_)
            | Body::AlterColumn { .. }
            | Body::Drop { .. }
            | Body::AlterConstraint { .. }
            | Body::View(_)
            | Body::Materialized(_)
            | Body::Extension(_)
            | Body::Schema(_)
            | Body::Role(_)
            | Body::Absent(_)
            | Body::Comment(_)
            | Body::Index(_)
            | Body::History(_) => StatementKind::Definition,
            Body::Routine(body) if !body.is_definition() => StatementKind::Change,
            Body::Routine(_) => StatementKind::Definition,
            _ => StatementKind::Utility,
        }
    }

    fn is_definition(&self) -> bool {
        matches!(self.body(), Body::Tree(tree)
            if matches!(**tree, sqlparser::ast::Statement::CreateTable(_)))
    }

    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO, SET TRANSACTION.
    pub fn is_transaction_control(&self) -> bool {
        matches!(self.body(), Body::Transaction(_))
    }

    /// Whether it may run in a transaction that has failed; all others are refused with 25P02.
    pub fn is_allowed_in_failed_transaction(&self) -> bool {
        matches!(
            self.body(),
            Body::Empty
                | Body::Transaction(
                    TransactionStatement::Commit { .. }
                        | TransactionStatement::Rollback { .. }
                        | TransactionStatement::RollbackTo(_)
                )
        )
    }

    /// Whether it must be bound again at each execution: it reads the past (AS OF), where the time may be
    /// a parameter or relative to now, and the schema is that of the time; or it means a cursor's row.
    pub fn depends_on_time(&self) -> bool {
        !self.content().lifted.times.is_empty()
            || self.inner.has_time_arguments
            || self.content().lifted.current_of.is_some()
            || matches!(self.body(), Body::History(_) | Body::Branch(_))
    }

    /// The cursor whose row it changes (WHERE CURRENT OF).
    pub fn current_of(&self) -> Option<&str> {
        self.content().lifted.current_of.as_ref().map(|(cursor, _)| &**cursor)
    }

    pub(crate) fn body(&self) -> &Body {
        &self.content().body
    }

    pub(crate) fn content(&self) -> &Content {
        self.inner.content.as_deref().expect("only dropping takes it")
    }

    pub(crate) fn depth(&self) -> u32 {
        self.inner.depth
    }
}

impl fmt::Debug for ParsedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParsedStatement").field(&self.text()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Dropping a tree recurses as deep as the tree is.
        let content = self.content.take();
        with_room(self.depth, || drop(content));
    }
}
