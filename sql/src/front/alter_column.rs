//! ALTER TABLE … ALTER COLUMN as far as the parser does not know it.

use driftdb_query::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::dispatch::Body;
use crate::bind::alter_column::ColumnChange;

/// The statement, if it is one of these alone; the cursor stays where it is otherwise.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    let from = cursor.at;
    let found = statement(cursor);
    if !matches!(found, Ok(Some(_))) {
        cursor.at = from;
    }
    match found {
        Ok(found) => Ok(found),
        // Whoever parses the statement as a whole says what is wrong with it.
        Err(_) => Ok(None),
    }
}

fn statement(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    cursor.expect(&["alter", "table"])?;
    let if_exists = cursor.accept(&["if", "exists"]);
    cursor.accept(&["only"]);
    let table = cursor.qualified_name()?;
    cursor.accept_token(&Token::Mul);
    cursor.expect(&["alter"])?;
    cursor.accept(&["column"]);
    let column = cursor.name()?;
    let Some(change) = change(cursor)? else { return Ok(None) };
    cursor.expect_end()?;
    Ok(Some(Body::AlterColumn { table, if_exists, column, change }))
}

fn change(cursor: &mut Cursor<'_>) -> Result<Option<ColumnChange>> {
    Ok(Some(if cursor.accept(&["set", "generated", "always"]) {
        ColumnChange::SetIdentity(true)
    } else if cursor.accept(&["set", "generated", "by", "default"]) {
        ColumnChange::SetIdentity(false)
    } else if cursor.accept(&["drop", "identity"]) {
        ColumnChange::DropIdentity(cursor.accept(&["if", "exists"]))
    } else if cursor.accept(&["drop", "expression"]) {
        ColumnChange::DropExpression(cursor.accept(&["if", "exists"]))
    } else if cursor.accept(&["set", "statistics"]) {
        cursor.accept_token(&Token::Minus);
        cursor.at += 1;
        ColumnChange::Nothing
    } else if cursor.accept(&["set", "storage"]) || cursor.accept(&["set", "compression"]) {
        cursor.name()?;
        ColumnChange::Nothing
    } else {
        return Ok(None);
    }))
}
