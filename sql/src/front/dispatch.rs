//! One statement's tokens to its body: by the first word, ours or the parser's.

use driftdb_concurrency::LockMode;
use driftdb_query::{
    ChannelStatement, Deferral, ExplainOutput, Fetch, Result, SetScope, SqlError,
    TransactionStatement,
};
use driftdb_types::SqlState;
use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::absent::AbsentBody;
use super::branch::{self, BranchBody};
use super::comment::CommentBody;
use super::copy::CopyBody;
use super::cursor::{Cursor, QualifiedName};
use super::extension::CreateExtension;
use super::history::{self, HistoryBody};
use super::index::{self, IndexBody};
use super::materialized::MaterializedBody;
use super::portal::{self, Declare};
use super::rewrite::{Lifted, parse_statement};
use super::role::{self, RoleBody};
use super::routine::{self, RoutineBody};
use super::schema::{self, SchemaBody};
use super::sequence::SequenceBody;
use super::tokens::is_word;
use super::user_type::{self, TypeBody};
use super::view::{self, ViewBody};
use super::{alter_column, copy, into, like, sequence, transaction, utility};
use crate::bind::alter_column::ColumnChange;

/// What DROP drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropKind {
    Table,
    Index,
    IndexConcurrently,
    Sequence,
}

/// A statement as written, before any name is looked up.
#[derive(Debug)]
pub(crate) enum Body {
    Empty,
    /// What `sqlparser` parsed.
    Tree(Box<ast::Statement>),
    Transaction(TransactionStatement),
    Set {
        name: String,
        value: Option<String>,
        scope: SetScope,
    },
    Reset(Option<String>),
    Show(Option<String>),
    Prepare {
        name: String,
        types: Vec<(ast::DataType, u32)>,
        text: String,
    },
    Execute {
        name: String,
        args: Vec<ast::Expr>,
    },
    Deallocate(Option<String>),
    DiscardAll,
    DiscardSequences,
    Checkpoint,
    Vacuum {
        tables: Vec<QualifiedName>,
        analyze: bool,
    },
    Analyze(Vec<QualifiedName>),
    Truncate {
        tables: Vec<QualifiedName>,
        cascade: bool,
        restart: bool,
    },
    AlterConstraint {
        table: QualifiedName,
        if_exists: bool,
        name: String,
        deferral: Deferral,
    },
    SetConstraints {
        /// `None`: ALL.
        names: Option<Vec<QualifiedName>>,
        deferred: bool,
    },
    LockTable {
        tables: Vec<QualifiedName>,
        mode: LockMode,
        no_wait: bool,
    },
    Drop {
        kind: DropKind,
        if_exists: bool,
        names: Vec<QualifiedName>,
        cascade: bool,
    },
    Explain {
        statement: Box<Self>,
        analyze: bool,
        output: ExplainOutput,
    },
    Copy(CopyBody),
    View(ViewBody),
    Materialized(MaterializedBody),
    Extension(CreateExtension),
    /// DECLARE, with the query.
    Declare(Declare, Box<Self>),
    Fetch(Fetch),
    /// `None`: ALL.
    Close(Option<String>),
    Channel(ChannelStatement),
    History(HistoryBody),
    Sequence(SequenceBody),
    Type(TypeBody),
    AlterColumn {
        table: QualifiedName,
        if_exists: bool,
        column: String,
        change: ColumnChange,
    },
    Branch(BranchBody),
    Routine(RoutineBody),
    Schema(SchemaBody),
    Role(RoleBody),
    Absent(AbsentBody),
    Comment(CommentBody),
    Index(IndexBody),
    /// A statement that PostgreSQL has and this build has not: an error once it is bound, so that the
    /// statements before it run.
    Unsupported(String),
}

/// The first words of statements that PostgreSQL has and this build has not.
const UNSUPPORTED: [&str; 13] = [
    "grant", "revoke", "call", "do", "load", "import", "security", "reassign", "label", "alter",
    "create", "copy", "set",
];

/// Parses one statement from the cursor to its end.
pub(crate) fn body(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Body> {
    let Some(first) = cursor.peek() else { return Ok(Body::Empty) };
    let Some(word) = cursor.peek_word(0) else {
        // A query in brackets; anything else cannot begin a statement.
        if first.token == Token::LParen {
            return Ok(Body::Tree(Box::new(parse_statement(cursor, lifted)?)));
        }
        return Err(cursor.error());
    };
    if let Some(body) = history::parse(cursor, lifted)? {
        return Ok(body);
    }
    if let Some(body) = branch::parse(cursor)? {
        return Ok(body);
    }
    if let Some(body) = role::parse(cursor)? {
        return Ok(body);
    }
    if let Some(body) = routine::parse(cursor)? {
        return Ok(Body::Routine(body));
    }
    if let Some(body) = schema::parse(cursor)? {
        return Ok(body);
    }
    if let Some(body) = user_type::parse(cursor)? {
        return Ok(Body::Type(body));
    }
    match word.as_str() {
        "select" | "with" | "values" | "table" | "insert" | "update" | "delete" | "merge" => {
            if let ("select" | "with", Some(tokens)) = (&*word, into::as_create(cursor)) {
                let (source, terminator) = (cursor.source, cursor.terminator);
                let mut made = Cursor { source, tokens: &tokens, terminator, at: 0 };
                cursor.at = cursor.tokens.len();
                return Ok(Body::Tree(Box::new(parse_statement(&mut made, lifted)?)));
            }
            Ok(Body::Tree(Box::new(parse_statement(cursor, lifted)?)))
        }
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            transaction::parse(cursor, lifted)
        }
        "create" | "alter" => definition(cursor, lifted),
        _ => {
            cursor.at += 1;
            utility_statement(&word, cursor, lifted)
        }
    }
}

fn utility_statement(word: &str, cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Body> {
    match word {
        "set" => utility::set(cursor, lifted),
        "reset" => utility::reset(cursor),
        "show" => utility::show(cursor),
        "prepare" => utility::prepare(cursor),
        "execute" => utility::execute(cursor),
        "deallocate" => utility::deallocate(cursor),
        "discard" => utility::discard(cursor),
        "vacuum" => utility::vacuum(cursor),
        "analyze" | "analyse" => utility::analyze(cursor),
        "explain" => super::explain::explain(cursor, lifted),
        "truncate" => utility::truncate(cursor),
        "lock" => super::lock::lock(cursor),
        "refresh" => super::materialized::refresh(cursor),
        "reindex" => index::reindex(cursor),
        "cluster" => index::cluster(cursor),
        "drop" => utility::drop(cursor),
        "copy" => copy::parse(cursor, lifted),
        "declare" => portal::declare(cursor, lifted),
        "fetch" => portal::fetch(cursor, false),
        "move" => portal::fetch(cursor, true),
        "close" => portal::close(cursor),
        "listen" => portal::listen(cursor),
        "unlisten" => portal::unlisten(cursor),
        "notify" => portal::notify(cursor),
        "comment" => super::comment::comment(cursor),
        "checkpoint" => {
            cursor.expect_end()?;
            Ok(Body::Checkpoint)
        }
        _ if UNSUPPORTED.contains(&word) => Ok(Body::Unsupported(word.to_uppercase())),
        _ => {
            cursor.at -= 1;
            Err(cursor.error())
        }
    }
}

/// CREATE and ALTER: tables and indexes are parsed, all else is named.
fn definition(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Body> {
    if let Some(body) = view::create(cursor, lifted)? {
        return Ok(body);
    }
    if let Some(body) = super::extension::create(cursor)? {
        return Ok(body);
    }
    if let Some(body) = super::materialized::create(cursor, lifted)? {
        return Ok(body);
    }
    if let Some(body) = super::materialized::alter(cursor, lifted)? {
        return Ok(body);
    }
    if let Some(body) = sequence::create_temporary(cursor)? {
        return Ok(Body::Sequence(body));
    }
    let create = cursor.peek_word(0).as_deref() == Some("create");
    let second = cursor.peek_word(1).unwrap_or_default();
    let third = cursor.peek_word(2).unwrap_or_default();
    let ours = matches!(
        (create, second.as_str(), third.as_str()),
        (_, "table", _)
            | (true, "unlogged", "table")
            | (true, "index", _)
            | (true, "unique", "index")
    ) || create && is_temporary_table(cursor);
    if !create && second == "table" && has_words(cursor, &["alter", "constraint"]) {
        return utility::alter_constraint(cursor);
    }
    if !create
        && second == "table"
        && let Some(body) = alter_column::parse(cursor)?
    {
        return Ok(body);
    }
    if !create && second == "index" {
        return index::alter(cursor);
    }
    if !create
        && second == "table"
        && let Some(body) = index::alter_table(cursor)
    {
        return Ok(body);
    }
    if ours {
        if create && let Some((tokens, likes)) = like::lift(cursor)? {
            lifted.likes = likes;
            let (source, terminator) = (cursor.source, cursor.terminator);
            let mut made = Cursor { source, tokens: &tokens, terminator, at: 0 };
            cursor.at = cursor.tokens.len();
            return Ok(Body::Tree(Box::new(parse_statement(&mut made, lifted)?)));
        }
        return match parse_statement(cursor, lifted) {
            Ok(statement) => Ok(Body::Tree(Box::new(statement))),
            Err(error) => {
                foreign_form(cursor).map_or(Err(error), |what| Ok(Body::Unsupported(what)))
            }
        };
    }
    if !create && second == "view" {
        return view::alter(cursor);
    }
    if second == "sequence" {
        cursor.at += 2;
        if create {
            return sequence::create(cursor, false).map(Body::Sequence);
        }
        if let Some(body) = sequence::alter(cursor)? {
            return Ok(Body::Sequence(body));
        }
        cursor.at = 0;
    }
    let kind = if create { "CREATE" } else { "ALTER" };
    match (second.as_str(), third.as_str()) {
        ("", _) => {
            cursor.at += 1;
            Err(cursor.error())
        }
        ("temp" | "temporary" | "local" | "global", third) => {
            let word = if matches!(third, "temp" | "temporary") {
                cursor.peek_word(3).unwrap_or_default()
            } else {
                third.to_owned()
            };
            Ok(Body::Unsupported(format!("a temporary {word}")))
        }
        ("unlogged", "sequence") if create => {
            cursor.at += 3;
            sequence::create(cursor, false).map(Body::Sequence)
        }
        ("unlogged", _) => Ok(Body::Unsupported("an unlogged table".into())),
        ("or", "replace") => {
            let what = cursor.peek_word(3).unwrap_or_default().to_uppercase();
            Ok(Body::Unsupported(format!("{kind} OR REPLACE {what}")))
        }
        ("foreign" | "event", third) => {
            let what = format!("{second} {third}").to_uppercase();
            Ok(Body::Unsupported(format!("{kind} {what}")))
        }
        (second, _) => Ok(Body::Unsupported(format!("{kind} {}", second.to_uppercase()))),
    }
}

/// CREATE [LOCAL] TEMPORARY TABLE
fn is_temporary_table(cursor: &Cursor<'_>) -> bool {
    let is_scope = |word: &str| matches!(word, "local" | "global");
    let skipped = usize::from(cursor.peek_word(1).is_some_and(|word| is_scope(&word)));
    matches!(cursor.peek_word(1 + skipped).as_deref(), Some("temp" | "temporary"))
        && cursor.peek_word(2 + skipped).as_deref() == Some("table")
}

/// Whether words follow each other somewhere in a statement.
fn has_words(cursor: &Cursor<'_>, words: &[&str]) -> bool {
    cursor
        .tokens
        .windows(words.len())
        .any(|window| window.iter().zip(words).all(|(token, expected)| is_word(token, expected)))
}

/// What PostgreSQL's CREATE TABLE and ALTER TABLE can do and the parser cannot.
fn foreign_form(cursor: &Cursor<'_>) -> Option<String> {
    const WORDS: [&str; 12] = [
        "attach",
        "detach",
        "inherit",
        "inherits",
        "storage",
        "statistics",
        "schema",
        "cluster",
        "partition",
        "tablespace",
        "oids",
        "compression",
    ];
    let alter = cursor.tokens.first().is_some_and(|token| is_word(token, "alter"));
    let kind = if alter { "ALTER TABLE" } else { "CREATE TABLE" };
    WORDS
        .iter()
        .find(|word| has_words(cursor, &[word]))
        .map(|word| format!("{kind} ... {}", word.to_uppercase()))
}

impl Body {
    /// The command tag, without counts.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Empty | Self::Unsupported(_) => "",
            Self::Tree(tree) => tree_tag(tree),
            Self::Transaction(statement) => match statement {
                TransactionStatement::Begin(_) => "BEGIN",
                TransactionStatement::Commit { .. } => "COMMIT",
                TransactionStatement::Rollback { .. } | TransactionStatement::RollbackTo(_) => {
                    "ROLLBACK"
                }
                TransactionStatement::Savepoint(_) => "SAVEPOINT",
                TransactionStatement::Release(_) => "RELEASE",
                TransactionStatement::SetTransaction(_) | TransactionStatement::SetSession(_) => {
                    "SET"
                }
            },
            Self::Set { .. } => "SET",
            Self::Reset(_) => "RESET",
            Self::Show(_) => "SHOW",
            Self::Prepare { .. } => "PREPARE",
            Self::Execute { .. } => "EXECUTE",
            Self::Deallocate(None) => "DEALLOCATE ALL",
            Self::Deallocate(_) => "DEALLOCATE",
            Self::DiscardAll => "DISCARD ALL",
            Self::DiscardSequences => "DISCARD SEQUENCES",
            Self::Checkpoint => "CHECKPOINT",
            Self::Vacuum { .. } => "VACUUM",
            Self::Analyze(_) => "ANALYZE",
            Self::Truncate { .. } => "TRUNCATE TABLE",
            Self::SetConstraints { .. } => "SET CONSTRAINTS",
            Self::LockTable { .. } => "LOCK TABLE",
            Self::AlterConstraint { .. } | Self::AlterColumn { .. } => "ALTER TABLE",
            Self::Drop { kind: DropKind::Table, .. } => "DROP TABLE",
            Self::Drop { kind: DropKind::Index | DropKind::IndexConcurrently, .. } => "DROP INDEX",
            Self::Drop { kind: DropKind::Sequence, .. } => "DROP SEQUENCE",
            Self::Sequence(SequenceBody::Create { .. }) => "CREATE SEQUENCE",
            Self::Sequence(_) => "ALTER SEQUENCE",
            Self::Type(body) => body.tag(),
            Self::Explain { .. } => "EXPLAIN",
            Self::Copy(_) => "COPY",
            Self::Materialized(body) => body.tag(),
            Self::Extension(_) => "CREATE EXTENSION",
            Self::View(ViewBody::Create { .. }) => "CREATE VIEW",
            Self::View(ViewBody::Drop { .. }) => "DROP VIEW",
            Self::View(ViewBody::Alter { .. }) => "ALTER VIEW",
            Self::Declare(..) => "DECLARE CURSOR",
            Self::Fetch(fetch) => {
                if fetch.is_move {
                    "MOVE"
                } else {
                    "FETCH"
                }
            }
            Self::Close(None) => "CLOSE CURSOR ALL",
            Self::Close(Some(_)) => "CLOSE CURSOR",
            Self::Channel(ChannelStatement::Listen(_)) => "LISTEN",
            Self::Channel(ChannelStatement::Unlisten(_)) => "UNLISTEN",
            Self::Channel(ChannelStatement::Notify { .. }) => "NOTIFY",
            Self::History(body) => body.tag(),
            Self::Branch(body) => body.tag(),
            Self::Routine(body) => body.tag(),
            Self::Schema(body) => body.tag(),
            Self::Role(body) => body.tag(),
            Self::Absent(body) => body.command,
            Self::Comment(_) => "COMMENT",
            Self::Index(body) => body.tag(),
        }
    }
}

fn tree_tag(tree: &ast::Statement) -> &'static str {
    match tree {
        ast::Statement::Insert(_) => "INSERT",
        ast::Statement::Update(_) => "UPDATE",
        ast::Statement::Delete(_) => "DELETE",
        ast::Statement::Merge(_) => "MERGE",
        // CREATE TABLE AS reports the rows it wrote, as SELECT does.
        ast::Statement::CreateTable(create) if create.query.is_some() => "SELECT",
        ast::Statement::CreateTable(_) => "CREATE TABLE",
        ast::Statement::CreateIndex(_) => "CREATE INDEX",
        ast::Statement::AlterTable(_) => "ALTER TABLE",
        // WITH before a change.
        ast::Statement::Query(query) => match &*query.body {
            ast::SetExpr::Insert(_) => "INSERT",
            ast::SetExpr::Update(_) => "UPDATE",
            ast::SetExpr::Delete(_) => "DELETE",
            ast::SetExpr::Merge(_) => "MERGE",
            _ => "SELECT",
        },
        _ => "SELECT",
    }
}

/// The error for a statement that is not of this build.
pub(crate) fn unsupported(what: &str) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, format!("{what} is not supported"))
}
