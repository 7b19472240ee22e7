//! Statements that operate on history.

use driftdb_query::{HistoryStatement, Result, SqlError};
use driftdb_tables::{RestorePoint, create_restore_point, drop_restore_point};
use driftdb_types::SqlState;

use super::{CommandTag, Outcome};
use crate::context::Run;

/// Runs the statement to its end.
pub(crate) fn run(statement: &HistoryStatement, run: &mut Run<'_, '_>) -> Result<Outcome> {
    match statement {
        HistoryStatement::CreateRestorePoint { name, at, pin } => {
            let at = at.unwrap_or_else(|| run.cx.txn.snapshot_ts());
            let point = RestorePoint { name: name.clone(), at, is_pinned: *pin };
            create_restore_point(run.cx.txn, &point)?;
        }
        HistoryStatement::DropRestorePoint { name, if_exists } => {
            if !drop_restore_point(run.cx.txn, name)? {
                let message = format!("restore point \"{name}\" does not exist");
                if !if_exists {
                    return Err(SqlError::new(SqlState::UndefinedObject, message));
                }
                let notice = format!("{message}, skipping");
                run.cx.notices.push(SqlError::new(SqlState::SuccessfulCompletion, notice));
            }
        }
    }
    Ok(Outcome::tag(CommandTag::plain(statement.command())))
}
