//! CREATE EXTENSION: what is here is built in, and there is nothing else to be had.
//!
//! Source: PostgreSQL 15, commands/extension.c, whose texts these are.

use driftdb_query::{Result, SqlError, ViewStatement};
use driftdb_types::SqlState;

use crate::front::extension::CreateExtension;

/// The one that every database has.
const INSTALLED: &str = "plpgsql";

/// # Errors
/// 42710 for what is there, 0A000 for what is not.
pub(crate) fn create(statement: &CreateExtension) -> Result<ViewStatement> {
    let CreateExtension { name, if_not_exists } = statement;
    if name == INSTALLED {
        let message = format!("extension \"{name}\" already exists");
        if !if_not_exists {
            return Err(SqlError::new(SqlState::DuplicateObject, message));
        }
        let notices = vec![format!("{message}, skipping")];
        return Ok(ViewStatement::Nothing { notices, command: "CREATE EXTENSION" });
    }
    let is_name = !name.is_empty()
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains('/');
    if !is_name {
        let message = format!("invalid extension name: \"{name}\"");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    let message = format!("extension \"{name}\" is not available");
    Err(SqlError::new(SqlState::FeatureNotSupported, message)
        .with_hint("SELECT * FROM pg_available_extensions lists those that are."))
}
