//! What a running statement reaches: the transaction, the session, and its own state.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::{CancelToken, StatementKinds, Store, Transaction, TxnError};
use driftdb_env::{HashSet, planted, sometimes};
use driftdb_query::{CteId, Result, SqlError, SystemRows};
use driftdb_tables::DdlGuard;
use driftdb_types::{EvalContext, SqlState, Value};

use crate::batch::Batch;
use crate::integrity::PendingChecks;
use crate::operator::cte::CteSlot;
use crate::routine::Routines;
use crate::subplan::SubplanState;

/// The memory that hash tables, sorts and the like of one statement may take, unless set otherwise.
pub const DEFAULT_MEMORY_LIMIT_BYTES: usize = 1 << 30;

/// What the caller lends to a statement for the time of one call.
pub struct ExecContext<'a> {
    /// The transaction. `begin_statement` is the caller's.
    pub txn: &'a mut dyn Transaction,
    /// The store it belongs to.
    pub store: &'a dyn Store,
    /// Whoever has the rows of system relations.
    pub system: &'a dyn SystemRows,
    /// Session and time.
    pub eval: &'a EvalContext,
    /// The parameters' values: `$1` first.
    pub params: &'a [Value],
    /// Whoever runs functions of users.
    pub routines: &'a dyn Routines,
    /// Announces that the transaction changes definitions, once it does.
    pub ddl: &'a mut Option<DdlGuard>,
    /// What the commit says that it was made with.
    pub kinds: &'a mut StatementKinds,
    /// How the statement is interrupted.
    pub cancel: &'a CancelToken,
    /// The checks that wait for the end of the transaction; they live as long as it does.
    pub pending: &'a mut PendingChecks,
    /// Where notices go.
    pub notices: &'a mut Vec<SqlError>,
    /// The most memory that the statement may hold.
    pub memory_limit_bytes: usize,
}

/// What a statement keeps between calls.
#[derive(Default)]
pub(crate) struct State {
    /// The values handed down by the enclosing apply or subplan.
    pub(crate) frame: Arc<[Value]>,
    /// The common table expressions in reach.
    pub(crate) ctes: BTreeMap<CteId, CteSlot>,
    /// The rows that recursive queries read of themselves.
    pub(crate) working: BTreeMap<CteId, Arc<Vec<Batch>>>,
    /// The rows that were changed, if a statement consists of several changes: a row is changed once.
    pub(crate) claims: Option<HashSet<(u32, Box<[u8]>)>>,
    /// The subplans met so far, by the address of their plan.
    pub(crate) subplans: BTreeMap<usize, SubplanState>,
    /// Whether functions or triggers of users ran within the statement.
    pub(crate) has_called: bool,
    memory_bytes: usize,
    depth: u32,
}

/// A statement while it runs: what was lent to it, and what it keeps.
pub(crate) struct Run<'r, 'a> {
    pub(crate) cx: &'r mut ExecContext<'a>,
    pub(crate) state: &'r mut State,
}

/// Calls nest this deep before the stack is looked at again.
const LEVELS_PER_CHECK: u32 = 16;
/// Enough for so many levels, in a build without optimization.
const RED_ZONE_BYTES: usize = 256 << 10;
const STACK_STEP_BYTES: usize = 2 << 20;

/// Calls `f` on a stack that is large enough for a deep tree.
pub fn on_deep_stack<R>(f: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(RED_ZONE_BYTES, STACK_STEP_BYTES, f)
}

impl Run<'_, '_> {
    /// Fails if somebody asked the statement to stop.
    pub(crate) fn check_cancel(&self) -> Result<()> {
        if self.cx.cancel.is_canceled() {
            return Err(TxnError::Canceled.into());
        }
        Ok(())
    }

    /// Calls `f` one level deeper; deep trees go on on a new stack instead of overflowing this one.
    pub(crate) fn nested<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        self.state.depth += 1;
        let result = if self.state.depth.is_multiple_of(LEVELS_PER_CHECK) {
            on_deep_stack(|| f(self))
        } else {
            f(self)
        };
        self.state.depth -= 1;
        result
    }

    /// Calls `f` with other values handed down.
    pub(crate) fn in_frame<R>(
        &mut self,
        frame: &Arc<[Value]>,
        f: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let enclosing = std::mem::replace(&mut self.state.frame, Arc::clone(frame));
        let result = f(self);
        self.state.frame = enclosing;
        result
    }

    /// Whether nobody in this statement has changed the row with a storage key yet; now somebody has.
    pub(crate) fn claim(&mut self, table: u32, key: &[u8]) -> Result<bool> {
        let Some(claims) = &mut self.state.claims else { return Ok(true) };
        let is_first = claims.insert((table, key.into()));
        self.hold(if is_first { key.len() + 48 } else { 0 })?;
        Ok(is_first)
    }

    /// Accounts for memory about to be held.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<()> {
        self.state.memory_bytes += bytes;
        let is_short = self.state.memory_bytes > self.cx.memory_limit_bytes;
        sometimes!("executor.memory-short", is_short);
        if is_short && !planted!("executor.memory-not-bounded") {
            return Err(out_of_memory(self.cx.memory_limit_bytes));
        }
        Ok(())
    }

    /// Accounts for memory let go.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.state.memory_bytes = self.state.memory_bytes.saturating_sub(bytes);
    }
}

fn out_of_memory(limit_bytes: usize) -> SqlError {
    SqlError::new(SqlState::OutOfMemory, "out of memory")
        .with_detail(format!("The statement needs more than its limit of {limit_bytes} bytes."))
        .with_hint("Let the statement read or group fewer rows, or raise the limit.")
}
