//! Statements that operate on history.

mod erase;
mod restore;
mod undo;

use driftdb_query::{HistoryStatement, Result, SqlError};
use driftdb_tables::{
    RestorePoint, create_restore_point, drop_restore_point, undrop_references, undrop_table,
};
use driftdb_types::SqlState;

use super::ddl::context;
use super::{CommandTag, Outcome};
use crate::context::Run;

/// Runs the statement to its end.
pub(crate) fn run(statement: &HistoryStatement, run: &mut Run<'_, '_>) -> Result<Outcome> {
    let rows = match statement {
        HistoryStatement::CreateRestorePoint { name, at, pin } => {
            let at = at.unwrap_or_else(|| run.cx.txn.snapshot_ts());
            let point = RestorePoint { name: name.clone(), at, is_pinned: *pin };
            create_restore_point(run.cx.txn, &point)?;
            None
        }
        HistoryStatement::DropRestorePoint { name, if_exists } => {
            drop_point(name, *if_exists, run)?;
            None
        }
        HistoryStatement::Undrop { was, at, name } => {
            undrop_table(&mut context(run), was, *at, name)?;
            let lost = undrop_references(&mut context(run), was, *at)?;
            lost.into_iter().for_each(|lost| notice(lost, run));
            None
        }
        HistoryStatement::Erase { table, related, filter } => {
            Some(erase::run(table, related, filter.as_ref(), run)?)
        }
        HistoryStatement::Restore { tables, at, created, dropped, .. } => {
            let tables = restore::Tables { restored: tables, created, dropped };
            Some(restore::run(&tables, *at, run)?)
        }
        HistoryStatement::Undo { sequence, ts, tables, gone, skip_conflicts } => {
            let commit = undo::Commit { sequence: *sequence, ts: *ts };
            Some(undo::run(commit, tables, gone, *skip_conflicts, run)?)
        }
    };
    Ok(Outcome::tag(CommandTag { command: statement.command(), rows }))
}

fn drop_point(name: &str, if_exists: bool, run: &mut Run<'_, '_>) -> Result<()> {
    if drop_restore_point(run.cx.txn, name)? {
        return Ok(());
    }
    let message = format!("restore point \"{name}\" does not exist");
    if !if_exists {
        return Err(SqlError::new(SqlState::UndefinedObject, message));
    }
    notice(format!("{message}, skipping"), run);
    Ok(())
}

fn notice(text: String, run: &mut Run<'_, '_>) {
    run.cx.notices.push(SqlError::new(SqlState::SuccessfulCompletion, text));
}
