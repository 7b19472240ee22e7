//! LOCK TABLE before anything else.
//!
//! In PostgreSQL a transaction that keeps one snapshot takes it with its first query, and LOCK is none: what
//! is committed before the lock is granted is seen. Here a transaction has its snapshot from its first
//! statement on, for that is how the lock's names are found. So a transaction whose first statement waited
//! for a lock is exchanged for a new one, while the session, which is one party with its transactions, holds
//! the locks in between.

use driftdb_concurrency::{IsolationLevel, LockObject, SessionLocks, WaitPolicy};
use driftdb_query::{LockTable, PhysicalStatement, Result};

use super::Session;
use super::plan::{Planned, Work};

/// The LOCK TABLE that a plan is.
fn lock_table(planned: &Planned) -> Option<&LockTable> {
    match &planned.work {
        Work::Plan(physical) => match &**physical {
            PhysicalStatement::LockTable(locks) => Some(locks),
            _ => None,
        },
        Work::Session(_) | Work::Cursor { .. } => None,
    }
}

impl Session {
    /// After a transaction's first statement has run: if it was LOCK TABLE, and others committed while it
    /// waited, begins the transaction anew. Returns what holds the locks until the statement has run again;
    /// `None` if it need not.
    pub(super) fn begin_after_lock(
        &mut self,
        planned: &Planned,
    ) -> Result<Option<Box<dyn SessionLocks>>> {
        let (Some(locks), Some(txn)) = (lock_table(planned), &self.block.txn) else {
            return Ok(None);
        };
        let keeps_snapshot = txn.isolation() >= IsolationLevel::RepeatableRead;
        let is_newest = txn.snapshot_ts() == self.node.store().newest();
        if !keeps_snapshot || is_newest || self.is_in_past() {
            return Ok(None);
        }
        let mut held = self.node.store().session_locks(&self.cancel);
        for table in &locks.tables {
            // Granted at once: the transaction has it.
            held.lock(LockObject::Table(table.id.0), locks.mode, WaitPolicy::NoWait)?;
        }
        if let Some(txn) = self.block.txn.take() {
            txn.rollback();
        }
        self.begin_statement()?;
        Ok(Some(held))
    }
}
