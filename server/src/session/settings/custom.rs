//! Settings that users make up: a name with a dot in it, whose value is any text. Such a setting is there from
//! the first SET on, and empty once that is undone.
//!
//! Source: PostgreSQL 15, src/backend/utils/misc/guc.c (`valid_custom_variable_name`).

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

/// So many of them a session may have.
pub(super) const MOST: usize = 1000;

/// The first parts of names that are ours.
const RESERVED: [&str; 2] = ["driftdb", "plpgsql"];

/// The name as it is kept, if it may be that of such a setting.
pub(super) fn name(name: &str) -> Option<String> {
    if !name.contains('.') {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    let is_custom = name.len() <= 200
        && name.split('.').all(is_part)
        && !RESERVED.contains(&name.split('.').next().unwrap_or_default());
    is_custom.then_some(name)
}

/// The error for one too many.
pub(super) fn check_room(count: usize) -> Result<()> {
    if count < MOST {
        return Ok(());
    }
    let message = format!("a session has at most {MOST} settings of its own");
    Err(SqlError::new(SqlState::ProgramLimitExceeded, message))
}
