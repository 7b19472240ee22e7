//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT and SET TRANSACTION.

use driftdb_concurrency::IsolationLevel;
use driftdb_query::{Result, SqlError, TransactionModes, TransactionStatement};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::dispatch::Body;
use super::rewrite::{Lifted, time_point};

/// Parses transaction control, the first word of which is already known to be one.
pub(crate) fn parse(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Body> {
    let statement = if cursor.accept(&["begin"]) {
        work(cursor);
        TransactionStatement::Begin(modes(cursor, lifted, false)?)
    } else if cursor.accept(&["start"]) {
        cursor.expect(&["transaction"])?;
        TransactionStatement::Begin(modes(cursor, lifted, false)?)
    } else if cursor.accept(&["commit"]) || cursor.accept(&["end"]) {
        if cursor.accept(&["prepared"]) {
            return Ok(Body::Unsupported("COMMIT PREPARED".into()));
        }
        work(cursor);
        TransactionStatement::Commit { chain: chain(cursor)? }
    } else if cursor.accept(&["rollback"]) || cursor.accept(&["abort"]) {
        if cursor.accept(&["prepared"]) {
            return Ok(Body::Unsupported("ROLLBACK PREPARED".into()));
        }
        work(cursor);
        if cursor.accept(&["to"]) {
            cursor.accept(&["savepoint"]);
            TransactionStatement::RollbackTo(cursor.name()?)
        } else {
            TransactionStatement::Rollback { chain: chain(cursor)? }
        }
    } else if cursor.accept(&["savepoint"]) {
        TransactionStatement::Savepoint(cursor.name()?)
    } else {
        cursor.expect(&["release"])?;
        cursor.accept(&["savepoint"]);
        TransactionStatement::Release(cursor.name()?)
    };
    cursor.expect_end()?;
    Ok(Body::Transaction(statement))
}

fn work(cursor: &mut Cursor<'_>) {
    if !cursor.accept(&["work"]) {
        cursor.accept(&["transaction"]);
    }
}

fn chain(cursor: &mut Cursor<'_>) -> Result<bool> {
    if !cursor.accept(&["and"]) {
        return Ok(false);
    }
    let chain = !cursor.accept(&["no"]);
    cursor.expect(&["chain"])?;
    Ok(chain)
}

/// A list of modes, with or without commas; `required`: at least one.
pub(crate) fn modes(
    cursor: &mut Cursor<'_>,
    lifted: &mut Lifted,
    required: bool,
) -> Result<TransactionModes> {
    let mut modes = TransactionModes::default();
    let mut first = true;
    loop {
        if cursor.accept(&["isolation", "level"]) {
            modes.isolation = Some(level(cursor)?);
        } else if cursor.accept(&["read", "only"]) {
            modes.read_only = Some(true);
        } else if cursor.accept(&["read", "write"]) {
            modes.read_only = Some(false);
        } else if cursor.accept(&["deferrable"]) {
            modes.deferrable = Some(true);
        } else if cursor.accept(&["not", "deferrable"]) {
            modes.deferrable = Some(false);
        } else if cursor.accept(&["as", "of"]) {
            // CockroachDB's spelling; the words say nothing more.
            cursor.accept(&["system", "time"]);
            lifted.transaction_time = Some(time_point(cursor)?);
        } else if first && !required {
            return Ok(modes);
        } else {
            return Err(cursor.error());
        }
        first = false;
        if !cursor.accept_token(&Token::Comma) && cursor.is_at_end() {
            return Ok(modes);
        }
    }
}

fn level(cursor: &mut Cursor<'_>) -> Result<IsolationLevel> {
    Ok(if cursor.accept(&["read", "uncommitted"]) {
        IsolationLevel::ReadUncommitted
    } else if cursor.accept(&["read", "committed"]) {
        IsolationLevel::ReadCommitted
    } else if cursor.accept(&["repeatable", "read"]) {
        IsolationLevel::RepeatableRead
    } else if cursor.accept(&["serializable"]) {
        IsolationLevel::Serializable
    } else {
        return Err(cursor.error());
    })
}

/// SET TRANSACTION and SET SESSION CHARACTERISTICS, after SET.
pub(crate) fn set(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Option<Body>> {
    let statement = if cursor.accept(&["transaction", "snapshot"]) {
        return Err(SqlError::unsupported("SET TRANSACTION SNAPSHOT"));
    } else if cursor.accept(&["transaction"]) || cursor.accept(&["local", "transaction"]) {
        TransactionStatement::SetTransaction(modes(cursor, lifted, true)?)
    } else if cursor.accept(&["session", "characteristics", "as", "transaction"]) {
        let modes = modes(cursor, lifted, true)?;
        if lifted.transaction_time.is_some() {
            return Err(SqlError::unsupported("AS OF in SET SESSION CHARACTERISTICS")
                .with_hint("SET driftdb.as_of lets a session read the past."));
        }
        TransactionStatement::SetSession(modes)
    } else {
        return Ok(None);
    };
    cursor.expect_end()?;
    Ok(Some(Body::Transaction(statement)))
}
