//! Rows by foreign key: the one that is referred to, and those that refer.
//!
//! Both are looked for as of now, at every isolation level: a constraint is about what is there. The
//! referenced row is found through the unique index that the key relies on, then locked for key-share
//! and looked at again: from then on nobody takes it away or changes its key until the transaction
//! ends. Above READ COMMITTED a row that refers must also find the referenced row in its snapshot: it may
//! not build on what the transaction cannot see. Referring rows are found through the index that fixes most of the key's columns, or by
//! reading the whole table.
//!
//! Invariants
//! * Whoever deletes a referenced row, or changes its key, holds it with `LockStrength::Update`, so a
//!   row that refers to it was committed before and is seen, or waits and then sees that it is gone.
//! * A value that its counterpart's type cannot hold equals no value there.
//!
//! Sources: PostgreSQL 15, src/backend/utils/adt/ri_triggers.c, whose rules and texts these are.

mod children;
mod values;

use std::sync::Arc;

use driftdb_concurrency::{
    IsolationLevel, LockIntent, LockStrength, Locked, ReadAt, Transaction, TxnError, WaitPolicy,
};
use driftdb_env::planted;
use driftdb_query::{ConstraintId, ForeignKey, Index, Result, RowKey, SqlError, Table};
use driftdb_types::{CastContext, EvalContext, SqlState, Value, cast};

pub use children::{ChildScan, FoundRow};
pub(crate) use values::are_comparable;

use crate::key::unique_key;
use crate::row::RowReader;
use crate::writer::values_detail;
use values::converted;

/// A referenced row may move while it is waited for; then it is looked for again, so often.
const ATTEMPTS: usize = 100;

/// A foreign key with both its tables.
#[derive(Debug)]
pub struct Reference {
    key: ForeignKey,
    child: Arc<Table>,
    parent: Arc<Table>,
    child_positions: Vec<usize>,
    parent_positions: Vec<usize>,
    /// For each column of the referenced index, its place in the key.
    index_order: Vec<usize>,
    index: Index,
    child_reader: RowReader,
}

/// What a row says by a foreign key.
#[derive(Debug, Clone, PartialEq)]
pub enum Referral {
    /// Nothing: one of its columns is NULL (MATCH FULL: all are).
    None,
    /// Some columns are NULL, and MATCH FULL forbids that.
    Mixed,
    /// It refers to the row with these values.
    To(Vec<Value>),
}

/// What became of holding a referenced row.
enum Held {
    /// It is held: its storage key, and whether it changed since the snapshot.
    Stands(Vec<u8>, Locked),
    /// There is none.
    Gone,
    /// Another transaction has it, and it was not to be waited for.
    Busy,
}

impl Reference {
    /// Puts a foreign key of `child` together with the table it refers to.
    ///
    /// # Errors
    /// The definitions do not belong together: they are not of one time.
    pub fn new(key: &ForeignKey, child: &Arc<Table>, parent: &Arc<Table>) -> Result<Self> {
        let torn =
            || SqlError::internal(format!("foreign key {} does not fit its tables", key.name));
        let index = parent.index(key.referenced_index).ok_or_else(torn)?;
        let place = |id| key.referenced_columns.iter().position(|other| *other == id);
        let order: Option<Vec<usize>> =
            index.columns.iter().map(|column| place(column.column)).collect();
        Ok(Self {
            child_positions: child.positions(&key.columns).ok_or_else(torn)?,
            parent_positions: parent.positions(&key.referenced_columns).ok_or_else(torn)?,
            index_order: order.ok_or_else(torn)?,
            index: index.clone(),
            child_reader: RowReader::whole(child),
            key: key.clone(),
            child: Arc::clone(child),
            parent: Arc::clone(parent),
        })
    }

    /// The constraint.
    pub fn key(&self) -> &ForeignKey {
        &self.key
    }

    /// The constraint's identity.
    pub fn id(&self) -> ConstraintId {
        self.key.id
    }

    /// The referencing table.
    pub fn child(&self) -> &Arc<Table> {
        &self.child
    }

    /// The referenced table.
    pub fn parent(&self) -> &Arc<Table> {
        &self.parent
    }

    /// The positions of the referencing columns.
    pub fn child_positions(&self) -> &[usize] {
        &self.child_positions
    }

    /// The positions of the referenced columns.
    pub fn parent_positions(&self) -> &[usize] {
        &self.parent_positions
    }

    /// What a row of the referencing table says.
    pub fn referral(&self, row: &[Value]) -> Referral {
        let values: Vec<Value> = self.child_positions.iter().map(|at| row[*at].clone()).collect();
        let nulls = values.iter().filter(|value| value.is_null()).count();
        match nulls {
            0 => Referral::To(values),
            _ if self.key.match_full && nulls < values.len() => Referral::Mixed,
            _ => Referral::None,
        }
    }

    /// The values by which rows refer to a row of the referenced table; `None` if one is NULL.
    pub fn referenced_values(&self, row: &[Value]) -> Option<Vec<Value>> {
        let values: Vec<Value> = self.parent_positions.iter().map(|at| row[*at].clone()).collect();
        (!values.iter().any(Value::is_null)).then_some(values)
    }

    /// Values of the referenced columns as the referencing columns hold them; `None` if they cannot.
    pub fn to_child(&self, values: &[Value], context: &EvalContext) -> Option<Vec<Value>> {
        let from = self.parent_positions.iter().map(|at| self.parent.columns[*at].ty);
        let to = self.child_positions.iter().map(|at| self.child.columns[*at].ty);
        let pairs = values.iter().zip(from.zip(to));
        pairs.map(|(value, (from, to))| converted(value, from, to, context)).collect()
    }

    /// Values of the referencing columns as the referenced columns hold them; `None` if they cannot.
    fn to_parent(&self, values: &[Value], context: &EvalContext) -> Option<Vec<Value>> {
        let from = self.child_positions.iter().map(|at| self.child.columns[*at].ty);
        let to = self.parent_positions.iter().map(|at| self.parent.columns[*at].ty);
        let pairs = values.iter().zip(from.zip(to));
        pairs.map(|(value, (from, to))| converted(value, from, to, context)).collect()
    }

    /// New values of the referenced columns, to be stored in the referencing ones.
    ///
    /// # Errors
    /// They do not fit there.
    pub fn assigned(&self, values: &[Value], context: &EvalContext) -> Result<Vec<Value>> {
        let from = self.parent_positions.iter().map(|at| self.parent.columns[*at].ty);
        let to = self.child_positions.iter().map(|at| &self.child.columns[*at]);
        let assign = CastContext::Assignment;
        let pairs = values.iter().zip(from.zip(to));
        pairs
            .map(|(value, (from, to))| {
                Ok(cast(value.clone(), from, to.ty, to.typmod, assign, context)?)
            })
            .collect()
    }

    /// Whether the row that a referencing row's values name stands; if so, it stays until the
    /// transaction ends. `None`: it stands, and could not be locked without waiting. Above READ COMMITTED
    /// one that the snapshot does not show is none.
    ///
    /// # Errors
    /// 40001 above READ COMMITTED if it went since the snapshot; deadlock; canceled; storage.
    pub fn hold_parent(
        &self,
        txn: &mut dyn Transaction,
        values: &[Value],
        wait: WaitPolicy,
        context: &EvalContext,
    ) -> Result<Option<bool>> {
        let Some(values) = self.to_parent(values, context) else { return Ok(Some(false)) };
        let Some(entry) = self.entry(&values) else { return Ok(Some(false)) };
        let sees_all = txn.isolation() < IsolationLevel::RepeatableRead;
        let key = match self.hold(txn, &entry, wait)? {
            Held::Stands(key, Locked::Changed) if !sees_all => key,
            Held::Stands(..) => return Ok(Some(true)),
            Held::Busy => return Ok(None),
            Held::Gone if sees_all => return Ok(Some(false)),
            Held::Gone => {
                self.check_not_taken_away(txn, &entry)?;
                return Ok(Some(false));
            }
        };
        Ok(Some(self.row_at(txn, &entry, ReadAt::Statement)? == Some(key)))
    }

    /// Whether a row with these values of the referenced columns stands now, whoever brought it; if so,
    /// it stays.
    ///
    /// # Errors
    /// Deadlock; canceled; storage.
    pub fn stands(&self, txn: &mut dyn Transaction, values: &[Value]) -> Result<bool> {
        let Some(entry) = self.entry(values) else { return Ok(false) };
        Ok(matches!(self.hold(txn, &entry, WaitPolicy::Wait(None))?, Held::Stands(..)))
    }

    /// The referenced index's entry for values of the referenced columns.
    fn entry(&self, values: &[Value]) -> Option<Vec<u8>> {
        let ordered = self.index_order.iter().map(|place| &values[*place]);
        unique_key(&self.parent, &self.index, ordered)
    }

    fn hold(&self, txn: &mut dyn Transaction, entry: &[u8], wait: WaitPolicy) -> Result<Held> {
        let space = self.parent.keyspace;
        for _ in 0..ATTEMPTS {
            let Some(key) = self.row_at(txn, entry, ReadAt::Newest)? else {
                return Ok(Held::Gone);
            };
            if planted!("integrity.no-parent-lock") {
                return Ok(Held::Stands(key, Locked::Unchanged));
            }
            let locked =
                match txn.lock(space, &key, LockStrength::KeyShare, LockIntent::Insert, wait) {
                    Ok(locked) => locked,
                    Err(TxnError::LockNotAvailable) => return Ok(Held::Busy),
                    Err(error) => return Err(error.into()),
                };
            if self.row_at(txn, entry, ReadAt::Newest)?.as_ref() == Some(&key) {
                return Ok(Held::Stands(key, locked));
            }
        }
        Err(TxnError::ConcurrentUpdate.into())
    }

    /// The storage key of the referenced row with an index entry.
    fn row_at(
        &self,
        txn: &mut dyn Transaction,
        entry: &[u8],
        at: ReadAt,
    ) -> Result<Option<Vec<u8>>> {
        let mut found = Vec::new();
        Ok(match self.index.keyspace {
            Some(space) => txn.get(space, entry, at, &mut found)?.then_some(found),
            None => {
                debug_assert!(self.parent.key == RowKey::Primary);
                let stands = txn.get(self.parent.keyspace, entry, at, &mut found)?;
                stands.then(|| entry.to_vec())
            }
        })
    }

    /// Fails if the snapshot shows the row and a later commit took it away.
    fn check_not_taken_away(&self, txn: &mut dyn Transaction, entry: &[u8]) -> Result<()> {
        let Some(key) = self.row_at(txn, entry, ReadAt::Statement)? else { return Ok(()) };
        let (intent, wait) = (LockIntent::Existing, WaitPolicy::Wait(None));
        txn.lock(self.parent.keyspace, &key, LockStrength::KeyShare, intent, wait)?;
        Ok(())
    }

    /// The error for a row that refers to nothing.
    pub fn missing_parent(&self, values: &[Value], context: &EvalContext) -> SqlError {
        let key = values_detail(&self.child, &self.child_positions, values, context);
        self.child_error()
            .with_detail(format!("Key {key} is not present in table \"{}\".", self.parent.name))
    }

    /// The error for a row with some NULLs under MATCH FULL.
    pub fn mixed_nulls(&self) -> SqlError {
        self.child_error()
            .with_detail("MATCH FULL does not allow mixing of null and nonnull key values.")
    }

    fn child_error(&self) -> SqlError {
        let (table, name) = (&self.child.name, &self.key.name);
        SqlError::new(
            SqlState::ForeignKeyViolation,
            format!(
                "insert or update on table \"{table}\" violates foreign key constraint \"{name}\""
            ),
        )
        .with_constraint(table, name)
    }

    /// The error for a referenced row that must not go, by its values.
    pub fn still_referenced(&self, values: &[Value], context: &EvalContext) -> SqlError {
        let (child, name) = (&self.child.name, &self.key.name);
        let key = values_detail(&self.parent, &self.parent_positions, values, context);
        SqlError::new(
            SqlState::ForeignKeyViolation,
            format!(
                "update or delete on table \"{}\" violates foreign key constraint \"{name}\" on \
                 table \"{child}\"",
                self.parent.name
            ),
        )
        .with_detail(format!("Key {key} is still referenced from table \"{child}\"."))
        .with_constraint(child, name)
    }
}
