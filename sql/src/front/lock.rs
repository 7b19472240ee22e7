//! LOCK TABLE.

use driftdb_concurrency::LockMode;
use driftdb_query::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::dispatch::Body;

/// LOCK, after the word.
pub(crate) fn lock(cursor: &mut Cursor<'_>) -> Result<Body> {
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
    let mut mode = LockMode::AccessExclusive;
    if cursor.accept(&["in"]) {
        mode = self::mode(cursor)?;
        cursor.expect(&["mode"])?;
    }
    let no_wait = cursor.accept(&["nowait"]);
    cursor.expect_end()?;
    Ok(Body::LockTable { tables, mode, no_wait })
}

/// The longest name first, of those that begin alike.
fn mode(cursor: &mut Cursor<'_>) -> Result<LockMode> {
    let mut modes = LockMode::ALL;
    modes.sort_by_key(|mode| std::cmp::Reverse(mode.sql_name().len()));
    for mode in modes {
        let name = mode.sql_name().to_lowercase();
        let words: Vec<&str> = name.split(' ').collect();
        if cursor.accept(&words) {
            return Ok(mode);
        }
    }
    Err(cursor.error())
}
