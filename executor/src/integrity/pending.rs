//! Checks that wait for the end of the transaction, and SET CONSTRAINTS.
//!
//! A check names what is to be looked at again (a row by its storage key, a key by its values), not
//! what was seen: when it is made, what is there then counts. So a check too many does no harm, and
//! when a constraint has too many of them they are dropped for one look at the whole table.
//!
//! Invariants
//! * Every deferrable constraint that the transaction's changes may violate has a check here that is
//!   not made yet, or the constraint is to be looked at as a whole.
//! * Going back to a savepoint takes back checks, modes, and what was made of both since.
//! * A key of a deferrable index that is looked at as a whole was claimed when it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::{ReadAt, TxnError, WaitPolicy};
use driftdb_query::{ConstraintId, Deferral, IndexId, Result, SqlError, Table};
use driftdb_tables::{Reference, Referral, claim_key, find_repeated, repeated, tables};
use driftdb_types::{SqlState, Value};

use crate::context::{ExecContext, Run};

/// The checks of one constraint take this part of what a statement may hold: 16 MiB unless set otherwise.
const SHARE_OF_MEMORY: usize = 64;

/// Something to be looked at.
#[derive(Debug)]
pub(super) enum Check {
    /// Whether the row at a storage key refers to a row that stands.
    Referral(Arc<Reference>, Box<[u8]>),
    /// Whether nothing refers to these values, or a row with them stands.
    Unreferenced(Arc<Reference>, Vec<Value>),
    /// Whether a key of an index is there once at most.
    Unique(IndexId, Box<[u8]>),
}

impl Check {
    fn constraint(&self) -> ConstraintId {
        match self {
            Self::Referral(reference, _) | Self::Unreferenced(reference, _) => reference.id(),
            Self::Unique(index, _) => ConstraintId(index.0),
        }
    }

    /// About the memory it takes.
    pub(super) fn size_bytes(&self) -> usize {
        96 + match self {
            Self::Referral(_, key) | Self::Unique(_, key) => key.len(),
            Self::Unreferenced(_, values) => {
                values.iter().map(|value| size_of::<Value>() + value.heap_bytes()).sum()
            }
        }
    }

    /// The error if the constraint is violated now.
    pub(super) fn violation(
        &self,
        table: &Table,
        cx: &mut ExecContext<'_>,
    ) -> Result<Option<SqlError>> {
        let (txn, eval) = (&mut *cx.txn, cx.eval);
        match self {
            Self::Referral(reference, key) => {
                let Some(row) = reference.child_at(txn, key)? else { return Ok(None) };
                match reference.referral(&row) {
                    Referral::None => Ok(None),
                    Referral::Mixed => Ok(Some(reference.mixed_nulls())),
                    Referral::To(values) => {
                        let wait = WaitPolicy::Wait(None);
                        let stands = reference.hold_parent(txn, &values, wait, eval)?;
                        Ok((stands != Some(true)).then(|| reference.missing_parent(&values, eval)))
                    }
                }
            }
            Self::Unreferenced(reference, values) => {
                let violated = !reference.stands(txn, values)?
                    && reference.is_referenced(txn, values, eval)?;
                Ok(violated.then(|| reference.still_referenced(values, eval)))
            }
            Self::Unique(index, bare) => {
                let unknown = || SqlError::internal("a key of an unknown index");
                let index = table.index(*index).ok_or_else(unknown)?;
                repeated(txn, table, index, bare, eval)
            }
        }
    }

    /// The error if the constraint is violated anywhere.
    fn violation_anywhere(
        &self,
        table: &Table,
        cx: &mut ExecContext<'_>,
    ) -> Result<Option<SqlError>> {
        let (txn, eval) = (&mut *cx.txn, cx.eval);
        match self {
            Self::Referral(reference, _) | Self::Unreferenced(reference, _) => {
                reference.find_violation(txn, eval)
            }
            Self::Unique(index, _) => {
                let unknown = || SqlError::internal("a key of an unknown index");
                let index = table.index(*index).ok_or_else(unknown)?;
                find_repeated(txn, table, index, eval)
            }
        }
    }

    /// Claims the key, so that it need not be claimed later.
    fn claim(&self, table: &Table, cx: &mut ExecContext<'_>) -> Result<()> {
        if let Self::Unique(index, bare) = self
            && let Some(index) = table.index(*index)
        {
            claim_key(cx.txn, index, bare, WaitPolicy::Wait(None))?;
        }
        Ok(())
    }
}

/// What SET CONSTRAINTS said.
#[derive(Debug, Clone, Default)]
struct Modes {
    /// ALL: deferred or not.
    all: Option<bool>,
    /// By name, since.
    named: BTreeMap<ConstraintId, bool>,
}

#[derive(Debug)]
struct Logged {
    sequence: u64,
    table: Arc<Table>,
    check: Check,
}

/// The checks of one constraint.
#[derive(Debug, Default)]
struct Waiting {
    /// In order of their numbers.
    checks: Vec<Logged>,
    bytes: usize,
    /// Checks with lower numbers have been made.
    made_before: u64,
    /// Set for good once there were too many checks: one of them, which tells what to look at.
    whole: Option<Logged>,
}

impl Waiting {
    /// Whether a check is to be made that looks at a table.
    fn has_work_for(&self, table: &Table) -> bool {
        let unmade = self.checks.iter().filter(|logged| logged.sequence >= self.made_before);
        unmade.chain(&self.whole).any(|logged| logged.looks_at(table))
    }
}

impl Logged {
    fn looks_at(&self, table: &Table) -> bool {
        match &self.check {
            Check::Referral(reference, _) | Check::Unreferenced(reference, _) => {
                reference.child().id == table.id || reference.parent().id == table.id
            }
            Check::Unique(..) => self.table.id == table.id,
        }
    }
}

/// The deferred checks of one transaction.
#[derive(Debug, Default)]
pub struct PendingChecks {
    modes: Modes,
    waiting: BTreeMap<ConstraintId, Waiting>,
    next: u64,
}

/// A moment to go back to.
#[derive(Debug, Clone)]
pub struct PendingMark {
    modes: Modes,
    made_before: BTreeMap<ConstraintId, u64>,
    next: u64,
}

impl PendingChecks {
    /// Whether a constraint is deferred now.
    pub(super) fn is_deferred(&self, id: ConstraintId, deferral: Deferral) -> bool {
        if !deferral.is_deferrable() {
            return false;
        }
        let said = self.modes.named.get(&id).copied().or(self.modes.all);
        said.unwrap_or(deferral == Deferral::Deferred)
    }

    /// The present state.
    pub fn mark(&self) -> PendingMark {
        let made = self.waiting.iter().map(|(id, waiting)| (*id, waiting.made_before));
        PendingMark { modes: self.modes.clone(), made_before: made.collect(), next: self.next }
    }

    /// Back to a state from before.
    pub fn rollback_to(&mut self, mark: &PendingMark) {
        self.modes = mark.modes.clone();
        for (id, waiting) in &mut self.waiting {
            let keep = waiting.checks.partition_point(|logged| logged.sequence < mark.next);
            waiting.checks.truncate(keep);
            waiting.bytes = waiting.checks.iter().map(|logged| logged.check.size_bytes()).sum();
            waiting.made_before = mark.made_before.get(id).copied().unwrap_or(0);
        }
    }

    /// Whether no check waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.values().all(|waiting| {
            let last = waiting.checks.last();
            waiting.whole.is_none() && last.is_none_or(|last| last.sequence < waiting.made_before)
        })
    }

    /// Makes the checks of some constraints that were not made yet.
    fn make(&mut self, of: &dyn Fn(ConstraintId) -> bool, cx: &mut ExecContext<'_>) -> Result<()> {
        let mut order = Vec::new();
        for (id, waiting) in self.waiting.iter().filter(|(id, _)| of(**id)) {
            if let Some(whole) = &waiting.whole {
                if let Some(error) = whole.check.violation_anywhere(&whole.table, cx)? {
                    return Err(error);
                }
                continue;
            }
            let from = waiting.checks.partition_point(|l| l.sequence < waiting.made_before);
            order.extend((from..waiting.checks.len()).map(|at| {
                let sequence = waiting.checks[at].sequence;
                (sequence, *id, at)
            }));
        }
        order.sort_unstable();
        for (_, id, at) in order {
            if cx.cancel.is_canceled() {
                return Err(TxnError::Canceled.into());
            }
            let logged = &self.waiting[&id].checks[at];
            if let Some(error) = logged.check.violation(&logged.table, cx)? {
                return Err(error);
            }
        }
        let next = self.next;
        let made = self.waiting.iter_mut().filter(|(id, _)| of(**id));
        made.for_each(|(_, waiting)| waiting.made_before = next);
        Ok(())
    }
}

/// Keeps a check for the end of the transaction.
pub(super) fn defer(table: &Arc<Table>, check: Check, cx: &mut ExecContext<'_>) -> Result<()> {
    let sequence = cx.pending.next;
    cx.pending.next += 1;
    let waiting = cx.pending.waiting.entry(check.constraint()).or_default();
    if waiting.whole.is_some() {
        return check.claim(table, cx);
    }
    waiting.bytes += check.size_bytes();
    waiting.checks.push(Logged { sequence, table: Arc::clone(table), check });
    if waiting.bytes <= cx.memory_limit_bytes / SHARE_OF_MEMORY {
        return Ok(());
    }
    let mut checks = std::mem::take(&mut waiting.checks);
    waiting.bytes = 0;
    for logged in &checks {
        logged.check.claim(&logged.table, cx)?;
    }
    let last = checks.pop();
    if let Some(waiting) = last
        .as_ref()
        .map(|last| last.check.constraint())
        .and_then(|id| cx.pending.waiting.get_mut(&id))
    {
        waiting.whole = last;
    }
    Ok(())
}

/// Makes all checks that wait: before the commit.
///
/// # Errors
/// 23503, 23505; deadlock; canceled; storage. The transaction must then be rolled back.
pub fn check_pending(cx: &mut ExecContext<'_>) -> Result<()> {
    make(&|_| true, cx)
}

fn make(of: &dyn Fn(ConstraintId) -> bool, cx: &mut ExecContext<'_>) -> Result<()> {
    if cx.pending.is_empty() {
        return Ok(());
    }
    let mut pending = std::mem::take(cx.pending);
    let made = pending.make(of, cx);
    *cx.pending = pending;
    made
}

/// SET CONSTRAINTS. What becomes immediate is checked at once.
pub(crate) fn set_constraints(
    names: Option<&[(Option<String>, String)]>,
    deferred: bool,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let Some(names) = names else {
        let all = Some(deferred);
        run.cx.pending.modes = Modes { all, named: BTreeMap::new() };
        return if deferred { Ok(()) } else { make(&|_| true, run.cx) };
    };
    let all = tables(run.cx.txn, ReadAt::Statement)?;
    let mut meant = Vec::new();
    for (schema, name) in names {
        let path = if schema.is_none() { &run.cx.eval.schemas[..] } else { &[] };
        let mut schemas = schema.as_deref().into_iter().chain(path.iter().map(|schema| &**schema));
        // The first schema in which something has the name.
        let found = schemas.find_map(|schema| {
            constraints_called(name, all.iter().filter(|table| table.schema == schema))
        });
        let Some(found) = found else {
            let message = format!("constraint \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::UndefinedObject, message));
        };
        if found.is_empty() && deferred {
            let message = format!("constraint \"{name}\" is not deferrable");
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        meant.extend(found);
    }
    meant.iter().for_each(|id| {
        run.cx.pending.modes.named.insert(*id, deferred);
    });
    if deferred { Ok(()) } else { make(&|id| meant.contains(&id), run.cx) }
}

/// The deferrable constraints of a name; `None` if none has it.
fn constraints_called<'t>(
    name: &str,
    tables: impl Iterator<Item = &'t Arc<Table>>,
) -> Option<Vec<ConstraintId>> {
    let (mut found, mut is_known) = (Vec::new(), false);
    for table in tables {
        let keys = table.foreign_keys.iter().filter(|key| key.name == name);
        let keys = keys.map(|key| (key.id, key.deferral));
        let indexes = table.indexes.iter().filter(|i| i.constraint && i.name == name);
        let indexes = indexes.map(|index| (index.constraint_id(), index.deferral));
        let checks = table.checks.iter().filter(|check| check.name == name);
        is_known |= checks.count() > 0;
        for (id, deferral) in keys.chain(indexes) {
            is_known = true;
            if deferral.is_deferrable() {
                found.push(id);
            }
        }
    }
    is_known.then_some(found)
}

/// Fails if checks wait that a new definition of a table would leave without their subject.
pub(crate) fn refuse_pending(table: &Table, command: &str, run: &Run<'_, '_>) -> Result<()> {
    let waiting = run.cx.pending.waiting.values().find(|waiting| waiting.has_work_for(table));
    if waiting.is_none() {
        return Ok(());
    }
    let name = &table.name;
    let message = format!("cannot {command} \"{name}\" because it has pending trigger events");
    Err(SqlError::new(SqlState::ObjectInUse, message))
}
