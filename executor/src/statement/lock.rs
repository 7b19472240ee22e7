//! LOCK TABLE, and the locks of statements that only read.

use std::sync::Arc;

use driftdb_concurrency::{LockMode, ReadAt, WaitPolicy};
use driftdb_query::{LockTable, Result, Table};
use driftdb_tables::{lock_table, table_by_id};

use super::{CommandTag, Outcome, stale};
use crate::context::{ExecContext, Run};

/// Locks one table after the other.
pub(crate) fn lock_tables(locks: &LockTable, run: &mut Run<'_, '_>) -> Result<Outcome> {
    let wait = if locks.no_wait { WaitPolicy::NoWait } else { WaitPolicy::Wait(None) };
    for table in &locks.tables {
        if lock_table(run.cx.txn, table, locks.mode, wait)? && !is_called_so(table, run)? {
            return Err(stale(&table.name));
        }
    }
    Ok(Outcome::tag(CommandTag::plain("LOCK TABLE")))
}

/// Whether a table still has the name that it was bound by.
fn is_called_so(table: &Table, run: &mut Run<'_, '_>) -> Result<bool> {
    let newest = table_by_id(run.cx.txn, table.id, ReadAt::Newest)?;
    Ok(newest.is_some_and(|now| now.name == table.name && now.schema == table.schema))
}

/// Locks the tables that a statement reads, as far as anybody would notice. An error for which
/// [`super::is_stale`] holds says that the statement must be begun and bound again.
///
/// # Errors
/// Deadlock; canceled; a lock that took too long.
pub fn lock_read_tables(tables: &[(Arc<Table>, LockMode)], cx: &mut ExecContext<'_>) -> Result<()> {
    let mut changed = None;
    for (table, mode) in tables {
        // Readers keep their snapshot whatever happens to the table; what they must not do is to
        // pass somebody who has locked it against them.
        if *mode == LockMode::AccessShare && !cx.store.must_lock_reads() {
            continue;
        }
        if lock_table(cx.txn, table, *mode, WaitPolicy::Wait(None))? {
            changed = Some(table);
        }
    }
    changed.map_or(Ok(()), |table| Err(stale(&table.name)))
}
