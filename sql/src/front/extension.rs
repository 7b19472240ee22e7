//! CREATE EXTENSION.

use driftdb_query::Result;

use super::cursor::Cursor;
use super::dispatch::Body;

/// CREATE EXTENSION as written.
#[derive(Debug)]
pub(crate) struct CreateExtension {
    pub(crate) name: String,
    pub(crate) if_not_exists: bool,
}

/// CREATE EXTENSION, from its first word, if it is that.
pub(crate) fn create(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    if !cursor.accept(&["create", "extension"]) {
        return Ok(None);
    }
    let if_not_exists = cursor.accept(&["if", "not", "exists"]);
    let name = cursor.name()?;
    cursor.accept(&["with"]);
    loop {
        if cursor.accept(&["schema"]) {
            cursor.name()?;
        } else if cursor.accept(&["version"]) {
            if cursor.string().is_err() {
                cursor.name()?;
            }
        } else if !cursor.accept(&["cascade"]) {
            break;
        }
    }
    cursor.expect_end()?;
    Ok(Some(Body::Extension(CreateExtension { name, if_not_exists })))
}
