//! What the changes of a statement have to answer for: foreign keys and deferrable uniqueness.
//!
//! Every statement that writes rows does so through an [`Integrity`]. A row change that surely satisfies
//! its constraints leaves nothing behind; any other becomes an *event*. Events are settled in order
//! once the statement's own work is done, as PostgreSQL fires its after triggers: a check raises an
//! error, a referential action changes rows of other tables, whose events join the end of the queue. So
//! cascades take a queue and no stack, whatever their length. Checks that are deferred go to the
//! transaction's [`PendingChecks`].
//!
//! Why a check that succeeds early may be forgotten: a referring row's parent is locked for key-share,
//! and should the transaction itself take it away, that change is an event of its own, which sees the
//! referring row. Likewise whoever later comes to refer to a key that nobody refers to now is checked
//! itself. Only a table that refers to itself, SET DEFAULT, and rows that follow a key to where another
//! one was depend on the order; they always queue.
//!
//! Source: PostgreSQL 15, src/backend/commands/trigger.c and utils/adt/ri_triggers.c.

mod actions;
mod pending;
pub(crate) mod terms;
pub(crate) mod triggers;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use driftdb_concurrency::{LockMode, WaitPolicy};
use driftdb_query::{ReferentialAction, Related, Result, SqlError, Table, TableId};
use driftdb_tables::{Inserted, Recheck, Reference, Referral, TableWriter, lock_table};
use driftdb_types::Value;

pub use pending::{PendingChecks, PendingMark, check_pending};
pub(crate) use pending::{refuse_pending, set_constraints};

use crate::context::Run;
use crate::routine::TriggerEvent;
use crate::statement::stale;
use pending::Check;
use terms::BoundTerms;
use triggers::{Change, TableTriggers};

/// The constraints of one statement's changes.
pub(crate) struct Integrity {
    target: Arc<Table>,
    related: Arc<Related>,
    links: BTreeMap<TableId, Arc<Links>>,
    events: VecDeque<Event>,
    /// For rows that referential actions change.
    writers: BTreeMap<TableId, TableWriter>,
    triggers: BTreeMap<TableId, TableTriggers>,
    /// What the statement does to the target, and the positions that it assigns to.
    begun: Vec<(TriggerEvent, Vec<usize>)>,
    terms: BoundTerms,
}

/// A table's foreign keys and those that refer to it, in order of creation.
struct Links {
    outgoing: Vec<Arc<Reference>>,
    incoming: Vec<Arc<Reference>>,
}

/// What is to be settled at the end of the statement.
enum Event {
    Check(Arc<Table>, Check),
    Action(Arc<Reference>, Gone),
    Fire(Change),
}

/// A referenced row's key is no longer there.
struct Gone {
    /// The values of the referenced columns.
    old: Vec<Value>,
    /// What they became; `None`: the row was deleted.
    new: Option<Vec<Value>>,
}

impl Gone {
    fn action(&self, reference: &Reference) -> ReferentialAction {
        let key = reference.key();
        if self.new.is_some() { key.on_update } else { key.on_delete }
    }
}

/// A row's storage key and values.
#[derive(Clone, Copy)]
struct Stored<'a> {
    key: &'a [u8],
    row: &'a [Value],
}

impl Integrity {
    /// For a statement that changes `target` and reaches `related`.
    pub(crate) fn new(target: &Arc<Table>, related: &Arc<Related>) -> Self {
        Self {
            target: Arc::clone(target),
            related: Arc::clone(related),
            links: BTreeMap::new(),
            events: VecDeque::new(),
            writers: BTreeMap::new(),
            triggers: BTreeMap::new(),
            begun: Vec::new(),
            terms: BoundTerms::default(),
        }
    }

    /// Holds still the definitions of the tables that the statement reaches.
    pub(crate) fn hold_definitions(&self, run: &mut Run<'_, '_>) -> Result<()> {
        for related in self.related.tables.iter().filter(|other| other.table.id != self.target.id) {
            let mode = if related.is_changed { LockMode::RowExclusive } else { LockMode::RowShare };
            let wait = WaitPolicy::Wait(None);
            if lock_table(run.cx.txn, &related.table, mode, wait)? {
                return Err(stale(&related.table.name));
            }
        }
        Ok(())
    }

    /// A row with the values of its table's terms.
    pub(crate) fn extended<'r>(
        &mut self,
        table: &Table,
        row: &'r [Value],
        run: &mut Run<'_, '_>,
    ) -> Result<Cow<'r, [Value]>> {
        self.terms.extended(table, row, run)
    }

    /// Inserts a row, as [`TableWriter::insert`] does.
    pub(crate) fn insert(
        &mut self,
        writer: &mut TableWriter,
        row: &[Value],
        run: &mut Run<'_, '_>,
    ) -> Result<Inserted> {
        let extended = self.terms.extended(writer.table(), row, run)?;
        let inserted = writer.insert(run.cx.txn, run.cx.store, &extended, run.cx.eval)?;
        if let Inserted::Done { key } = &inserted {
            self.note_rechecks(writer, run)?;
            for reference in &self.links(writer.table())?.outgoing {
                self.check_referral(reference, Stored { key, row }, run)?;
            }
            self.note_change(writer.table(), TriggerEvent::Insert, None, Some(row), run)?;
        }
        Ok(inserted)
    }

    /// Replaces a row, as [`TableWriter::update`] does.
    pub(crate) fn update(
        &mut self,
        writer: &mut TableWriter,
        key: &[u8],
        old: &[Value],
        new: &[Value],
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let was = self.terms.extended(writer.table(), old, run)?;
        let is = self.terms.extended(writer.table(), new, run)?;
        writer.update(run.cx.txn, run.cx.store, key, &was, &is, run.cx.eval)?;
        self.note_rechecks(writer, run)?;
        self.note_change(writer.table(), TriggerEvent::Update, Some(old), Some(new), run)?;
        let links = self.links(writer.table())?;
        if links.incoming.is_empty() && links.outgoing.is_empty() {
            return Ok(());
        }
        let moved = writer.key_of(new).filter(|moved| moved != key);
        for reference in &links.incoming {
            let changed = reference.parent_positions().iter().any(|at| old[*at] != new[*at]);
            if let Some(before) = reference.referenced_values(old).filter(|_| changed) {
                let after = reference.parent_positions().iter().map(|at| new[*at].clone());
                let gone = Gone { old: before, new: Some(after.collect()) };
                self.note_gone(reference, gone, run)?;
            }
        }
        for reference in &links.outgoing {
            let changed = reference.child_positions().iter().any(|at| old[*at] != new[*at]);
            // A row that moved is a new one to everybody else: whoever deletes its parent would look for
            // it under its old key only, unless the parent is held. And a pending check knows the row
            // by its storage key.
            if changed || moved.is_some() {
                let key = moved.as_deref().unwrap_or(key);
                self.check_referral(reference, Stored { key, row: new }, run)?;
            }
        }
        Ok(())
    }

    /// Removes a row, as [`TableWriter::delete`] does.
    pub(crate) fn delete(
        &mut self,
        writer: &mut TableWriter,
        key: &[u8],
        old: &[Value],
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let was = self.terms.extended(writer.table(), old, run)?;
        writer.delete(run.cx.txn, key, &was)?;
        self.note_change(writer.table(), TriggerEvent::Delete, Some(old), None, run)?;
        for reference in &self.links(writer.table())?.incoming {
            if let Some(before) = reference.referenced_values(old) {
                self.note_gone(reference, Gone { old: before, new: None }, run)?;
            }
        }
        Ok(())
    }

    /// Puts back a row of the past, as [`TableWriter::insert_at`] does.
    pub(crate) fn put_back(
        &mut self,
        writer: &mut TableWriter,
        key: &[u8],
        row: &[Value],
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let extended = self.terms.extended(writer.table(), row, run)?;
        writer.insert_at(run.cx.txn, key, &extended, run.cx.eval)?;
        self.note_rechecks(writer, run)?;
        for reference in &self.links(writer.table())?.outgoing {
            self.check_referral(reference, Stored { key, row }, run)?;
        }
        Ok(())
    }

    /// Removes a row whose place a row of the past may take. No referential action follows: what refers
    /// to it is left as it is, and must refer to a row when the constraint is checked.
    pub(crate) fn take_away(
        &mut self,
        writer: &mut TableWriter,
        key: &[u8],
        old: &[Value],
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let was = self.terms.extended(writer.table(), old, run)?;
        writer.delete(run.cx.txn, key, &was)?;
        for reference in &self.links(writer.table())?.incoming {
            let Some(values) = reference.referenced_values(old) else { continue };
            if reference.may_be_referenced(run.cx.txn, &values, run.cx.eval)? {
                let key = reference.key();
                let is_deferred = run.cx.pending.is_deferred(key.id, key.deferral);
                let check = Check::Unreferenced(Arc::clone(reference), values);
                self.note(Arc::clone(reference.parent()), check, is_deferred, run)?;
            }
        }
        Ok(())
    }

    /// Settles what is left: the end of the statement.
    pub(crate) fn finish(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        while let Some(event) = self.events.pop_front() {
            run.check_cancel()?;
            match event {
                Event::Check(table, check) => {
                    run.release(check.size_bytes());
                    if let Some(error) = check.violation(&table, run.cx)? {
                        return Err(error);
                    }
                }
                Event::Action(reference, gone) => {
                    run.release(size_bytes(&gone));
                    self.act(&reference, &gone, run)?;
                }
                Event::Fire(change) => {
                    run.release(change.size_bytes());
                    self.fire_after_row(&change, run)?;
                }
            }
        }
        self.fire_after_statement(run)
    }

    /// The foreign keys of a table and those that refer to it, as far as the statement reaches.
    fn links(&mut self, table: &Arc<Table>) -> Result<Arc<Links>> {
        if let Some(links) = self.links.get(&table.id) {
            return Ok(Arc::clone(links));
        }
        let mut links = Links { outgoing: Vec::new(), incoming: Vec::new() };
        for key in &table.foreign_keys {
            if let Some(parent) = self.related.table(key.referenced) {
                links.outgoing.push(Arc::new(Reference::new(key, table, &parent.table)?));
            }
        }
        for child in table.referenced_by.iter().filter_map(|id| self.related.table(*id)) {
            for key in child.table.foreign_keys.iter().filter(|key| key.referenced == table.id) {
                links.incoming.push(Arc::new(Reference::new(key, &child.table, table)?));
            }
        }
        links.incoming.sort_by_key(|reference| reference.id());
        let links = Arc::new(links);
        self.links.insert(table.id, Arc::clone(&links));
        Ok(links)
    }

    /// A row was written that may refer to another.
    fn check_referral(
        &mut self,
        reference: &Arc<Reference>,
        stored: Stored<'_>,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let key = reference.key();
        let is_deferred = run.cx.pending.is_deferred(key.id, key.deferral);
        match reference.referral(stored.row) {
            Referral::None => return Ok(()),
            Referral::Mixed => {}
            Referral::To(values) => {
                // Who defers the check does not want to wait for it now.
                let wait = if is_deferred { WaitPolicy::NoWait } else { WaitPolicy::Wait(None) };
                let (txn, eval) = (&mut *run.cx.txn, run.cx.eval);
                if reference.hold_parent(txn, &values, wait, eval)? == Some(true) {
                    return Ok(());
                }
            }
        }
        let check = Check::Referral(Arc::clone(reference), stored.key.into());
        self.note(Arc::clone(reference.child()), check, is_deferred, run)
    }

    /// A referenced row's key went.
    fn note_gone(
        &mut self,
        reference: &Arc<Reference>,
        gone: Gone,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let key = reference.key();
        let action = gone.action(reference);
        let follows = action == ReferentialAction::Cascade && gone.new.is_some();
        let depends_on_order = action == ReferentialAction::SetDefault
            || follows
            || reference.child().id == self.target.id
            || reference.child().id == reference.parent().id;
        if !depends_on_order && !reference.may_be_referenced(run.cx.txn, &gone.old, run.cx.eval)? {
            return Ok(());
        }
        if action == ReferentialAction::NoAction {
            let is_deferred = run.cx.pending.is_deferred(key.id, key.deferral);
            let check = Check::Unreferenced(Arc::clone(reference), gone.old);
            return self.note(Arc::clone(reference.parent()), check, is_deferred, run);
        }
        run.hold(size_bytes(&gone))?;
        self.events.push_back(Event::Action(Arc::clone(reference), gone));
        Ok(())
    }

    /// Keys of deferrable indexes may have been repeated.
    fn note_rechecks(&mut self, writer: &mut TableWriter, run: &mut Run<'_, '_>) -> Result<()> {
        for Recheck { index, bare } in writer.take_rechecks() {
            let table = writer.table();
            let unknown = || SqlError::internal("a key of an unknown index");
            let found = table.index(index).ok_or_else(unknown)?;
            let is_deferred = run.cx.pending.is_deferred(found.constraint_id(), found.deferral);
            let check = Check::Unique(index, bare.into());
            self.note(Arc::clone(table), check, is_deferred, run)?;
        }
        Ok(())
    }

    /// Keeps a check for the end of the statement or of the transaction.
    fn note(
        &mut self,
        table: Arc<Table>,
        check: Check,
        is_deferred: bool,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        if is_deferred {
            return pending::defer(&table, check, run.cx);
        }
        run.hold(check.size_bytes())?;
        self.events.push_back(Event::Check(table, check));
        Ok(())
    }
}

/// About the memory that an event takes.
fn size_bytes(gone: &Gone) -> usize {
    let values = gone.old.iter().chain(gone.new.iter().flatten());
    64 + values.map(|value| size_of::<Value>() + value.heap_bytes()).sum::<usize>()
}
