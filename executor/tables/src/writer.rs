//! Writing rows: NOT NULL, uniqueness and index entries, one way for every statement.
//!
//! Every key that a row change touches is claimed first (row, old and new index entries), so that two
//! transactions that would break a constraint together wait for each other; of those that nobody else can
//! want it is only said so ([`LockIntent::Owned`]). What stands at a claimed
//! key is then read as of now ([`ReadAt::Newest`]), at every isolation level: a constraint is about
//! what is there, not about what a snapshot shows.

use std::sync::Arc;

use driftdb_concurrency::{
    Counter, LockIntent, LockStrength, Locked, ReadAt, Store, Transaction, WaitPolicy,
};
use driftdb_query::{Index, IndexId, Result, RowKey, SqlError, Table};
use driftdb_types::{DataType, EvalContext, SqlState, Value, write_text};

use crate::key::{index_entry, primary_key_of, row_id_key};
use crate::row::{RowReader, encode_row};
use crate::uniqueness::{bare_key, is_surely_unique};

/// Row identifiers are taken in runs, since each run is a durable promise of the store.
const ROW_ID_RUN: u64 = 64;

/// A unique index already has the key.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Which index.
    pub index: IndexId,
    /// The storage key of the row that has it.
    pub existing_key: Vec<u8>,
    /// The values of the index's columns in the row that was to be written.
    pub values: Vec<Value>,
}

/// What became of an insertion.
#[derive(Debug, Clone, PartialEq)]
pub enum Inserted {
    /// The row is there, at this storage key.
    Done {
        /// The storage key.
        key: Vec<u8>,
    },
    /// Nothing was written.
    Conflict(Conflict),
}

/// A row after it was locked.
#[derive(Debug, Clone, PartialEq)]
pub enum RowState {
    /// As the statement's snapshot shows it.
    Unchanged,
    /// Changed by another since: the whole newest row, or `None` if it is gone.
    Changed(Option<Vec<Value>>),
}

/// A key of a deferrable index that may be there twice, and is to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recheck {
    /// Which index.
    pub index: IndexId,
    /// The key ([`crate::bare_key`]).
    pub bare: Vec<u8>,
}

/// Writes rows of one table. Rows are given extended: with the values of the table's terms
/// ([`Table::width`]) behind those of its columns.
#[derive(Debug)]
pub struct TableWriter {
    table: Arc<Table>,
    whole: RowReader,
    row_ids: std::ops::Range<u64>,
    bytes: Vec<u8>,
    rechecks: Vec<Recheck>,
}

impl TableWriter {
    /// A writer of `table`, whose definition the caller has locked ([`crate::lock_table`]).
    pub fn new(table: Arc<Table>) -> Self {
        let whole = RowReader::whole(&table);
        Self { table, whole, row_ids: 0..0, bytes: Vec::new(), rechecks: Vec::new() }
    }

    /// Inserts a row, unless a unique index already has one of its keys.
    ///
    /// # Errors
    /// 23502 for a NULL where none may be; conflicts with other transactions; storage.
    pub fn insert(
        &mut self,
        txn: &mut dyn Transaction,
        store: &dyn Store,
        row: &[Value],
        context: &EvalContext,
    ) -> Result<Inserted> {
        self.check_not_null(row, context)?;
        let (key, intent) = match self.table.key {
            RowKey::Primary => (primary_key_of(&self.table, row), LockIntent::Insert),
            RowKey::RowId => (row_id_key(self.next_row_id(store)?), LockIntent::Owned),
        };
        claim_in(txn, self.table.keyspace, &key, intent)?;
        if self.table.key == RowKey::Primary && self.stands_at(txn, &key)? {
            let index = self.table.primary_key().expect("the key is primary");
            return Ok(Inserted::Conflict(self.conflict(index, row, key)));
        }
        if let Some(conflict) = self.find_conflict(txn, row, &key, None)? {
            return Ok(Inserted::Conflict(conflict));
        }
        self.put_row(txn, &key, row)?;
        self.put_entries(txn, &key, row)?;
        self.watch_deferrable(txn, row, None)?;
        Ok(Inserted::Done { key })
    }

    /// Inserts a row at a storage key of the past, at which no row stands now.
    ///
    /// # Errors
    /// As [`TableWriter::insert`], and 23505.
    pub fn insert_at(
        &mut self,
        txn: &mut dyn Transaction,
        key: &[u8],
        row: &[Value],
        context: &EvalContext,
    ) -> Result<()> {
        self.check_not_null(row, context)?;
        claim_in(txn, self.table.keyspace, key, LockIntent::Insert)?;
        let conflict = if self.stands_at(txn, key)? {
            // Only a primary key can be taken: numbers of rows are not given out twice.
            let index = self.table.primary_key();
            index.map(|index| self.conflict(index, row, key.to_vec()))
        } else {
            self.find_conflict(txn, row, key, None)?
        };
        if let Some(conflict) = conflict {
            return Err(self.conflict_error(&conflict, context));
        }
        self.put_row(txn, key, row)?;
        self.put_entries(txn, key, row)?;
        self.watch_deferrable(txn, row, None)
    }

    fn put_entries(&self, txn: &mut dyn Transaction, key: &[u8], row: &[Value]) -> Result<()> {
        for index in secondary(&self.table) {
            if let Some((entry, _)) = index_entry(&self.table, index, row, key) {
                txn.put(index.keyspace.expect("secondary"), &entry, key)?;
            }
        }
        Ok(())
    }

    fn conflict(&self, index: &Index, row: &[Value], existing_key: Vec<u8>) -> Conflict {
        let places = index.columns.iter().filter_map(|column| self.table.place(column.column));
        let values = places.map(|place| row[place].clone()).collect();
        Conflict { index: index.id, existing_key, values }
    }

    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The storage key of a row whose table is keyed by its primary key; `None` if it is a number.
    pub fn key_of(&self, row: &[Value]) -> Option<Vec<u8>> {
        (self.table.key == RowKey::Primary).then(|| primary_key_of(&self.table, row))
    }

    /// What became doubtful since the last call: keys of deferrable indexes.
    pub fn take_rechecks(&mut self) -> Vec<Recheck> {
        std::mem::take(&mut self.rechecks)
    }

    /// Notes the keys that a row brings to deferrable indexes, unless they are surely unique.
    fn watch_deferrable(
        &mut self,
        txn: &mut dyn Transaction,
        row: &[Value],
        old: Option<&[Value]>,
    ) -> Result<()> {
        let table = Arc::clone(&self.table);
        for index in secondary(&table).filter(|i| i.unique && i.deferral.is_deferrable()) {
            let Some(bare) = bare_key(&table, index, row) else { continue };
            if old.and_then(|old| bare_key(&table, index, old)).as_ref() == Some(&bare) {
                continue;
            }
            if !is_surely_unique(txn, index, &bare)? {
                self.rechecks.push(Recheck { index: index.id, bare });
            }
        }
        Ok(())
    }

    /// Replaces the row at `key`, which the caller has locked, by `new`.
    ///
    /// # Errors
    /// 23502, 23505; conflicts with other transactions; storage.
    pub fn update(
        &mut self,
        txn: &mut dyn Transaction,
        store: &dyn Store,
        key: &[u8],
        old: &[Value],
        new: &[Value],
        context: &EvalContext,
    ) -> Result<()> {
        self.check_not_null(new, context)?;
        if self.table.key == RowKey::Primary && primary_key_of(&self.table, new) != key {
            self.delete(txn, key, old)?;
            return match self.insert(txn, store, new, context)? {
                Inserted::Done { .. } => Ok(()),
                Inserted::Conflict(conflict) => Err(self.conflict_error(&conflict, context)),
            };
        }
        if let Some(conflict) = self.find_conflict(txn, new, key, Some(old))? {
            return Err(self.conflict_error(&conflict, context));
        }
        for index in secondary(&self.table) {
            let space = index.keyspace.expect("secondary");
            let before = index_entry(&self.table, index, old, key);
            let after = index_entry(&self.table, index, new, key);
            if before == after {
                continue;
            }
            if let Some((before, exclusive)) = before {
                claim_in(txn, space, &before, of_entry(exclusive))?;
                txn.delete(space, &before)?;
            }
            if let Some((after, _)) = after {
                txn.put(space, &after, key)?;
            }
        }
        self.put_row(txn, key, new)?;
        self.watch_deferrable(txn, new, Some(old))
    }

    /// Removes the row at `key`, which the caller has locked.
    ///
    /// # Errors
    /// Conflicts with other transactions; storage.
    pub fn delete(&mut self, txn: &mut dyn Transaction, key: &[u8], old: &[Value]) -> Result<()> {
        for index in secondary(&self.table) {
            let space = index.keyspace.expect("secondary");
            let Some((entry, exclusive)) = index_entry(&self.table, index, old, key) else {
                continue;
            };
            claim_in(txn, space, &entry, of_entry(exclusive))?;
            txn.delete(space, &entry)?;
        }
        txn.delete(self.table.keyspace, key)?;
        Ok(())
    }

    /// Locks a row that the statement's snapshot showed.
    ///
    /// # Errors
    /// 40001 above READ COMMITTED if it changed; deadlock; not available; canceled.
    pub fn lock_row(
        &self,
        txn: &mut dyn Transaction,
        key: &[u8],
        strength: LockStrength,
        wait: WaitPolicy,
    ) -> Result<RowState> {
        match txn.lock(self.table.keyspace, key, strength, LockIntent::Existing, wait)? {
            Locked::Unchanged => Ok(RowState::Unchanged),
            Locked::Changed => self.newest(txn, key).map(RowState::Changed),
        }
    }

    /// The whole row at `key` as of now.
    ///
    /// # Errors
    /// Storage.
    pub fn newest(&self, txn: &mut dyn Transaction, key: &[u8]) -> Result<Option<Vec<Value>>> {
        self.row_at(txn, key, ReadAt::Newest)
    }

    /// The whole row at `key` as of some time.
    ///
    /// # Errors
    /// Storage.
    pub fn row_at(
        &self,
        txn: &mut dyn Transaction,
        key: &[u8],
        at: ReadAt,
    ) -> Result<Option<Vec<Value>>> {
        let mut row = Vec::with_capacity(self.whole.len());
        let found = fetch_row(txn, &self.table, key, at, &self.whole, &mut row)?;
        Ok(found.then_some(row))
    }

    /// The error for a conflict that the statement does not handle, in PostgreSQL's words.
    pub fn conflict_error(&self, conflict: &Conflict, context: &EvalContext) -> SqlError {
        let index = self.table.index(conflict.index).expect("a conflict names an index");
        duplicate_key(&self.table, index, &conflict.values, context)
    }

    fn next_row_id(&mut self, store: &dyn Store) -> Result<u64> {
        if self.row_ids.is_empty() {
            let first = store.unique_ids(Counter::RowId, ROW_ID_RUN)?;
            self.row_ids = first..first + ROW_ID_RUN;
        }
        Ok(self.row_ids.next().expect("the run was just refilled"))
    }

    fn stands_at(&mut self, txn: &mut dyn Transaction, key: &[u8]) -> Result<bool> {
        self.bytes.clear();
        Ok(txn.get(self.table.keyspace, key, ReadAt::Newest, &mut self.bytes)?)
    }

    fn put_row(&mut self, txn: &mut dyn Transaction, key: &[u8], row: &[Value]) -> Result<()> {
        self.bytes.clear();
        encode_row(&self.table, &row[..self.table.columns.len()], &mut self.bytes);
        txn.put(self.table.keyspace, key, &self.bytes)?;
        Ok(())
    }

    /// Claims the row's new entries in all secondary indexes and looks for another row behind one.
    fn find_conflict(
        &mut self,
        txn: &mut dyn Transaction,
        row: &[Value],
        key: &[u8],
        old: Option<&[Value]>,
    ) -> Result<Option<Conflict>> {
        for index in secondary(&self.table) {
            let space = index.keyspace.expect("secondary");
            let Some((entry, exclusive)) = index_entry(&self.table, index, row, key) else {
                continue;
            };
            let before = old.and_then(|old| index_entry(&self.table, index, old, key));
            if before.is_some_and(|(before, _)| before == entry) {
                continue;
            }
            claim_in(txn, space, &entry, of_entry(exclusive))?;
            self.bytes.clear();
            if exclusive && txn.get(space, &entry, ReadAt::Newest, &mut self.bytes)? {
                let existing_key = self.bytes.clone();
                return Ok(Some(self.conflict(index, row, existing_key)));
            }
        }
        Ok(None)
    }

    fn check_not_null(&self, row: &[Value], context: &EvalContext) -> Result<()> {
        let violated =
            self.table.columns.iter().zip(row).find(|(column, v)| column.not_null && v.is_null());
        let Some((column, _)) = violated else { return Ok(()) };
        let mut error = SqlError::new(
            SqlState::NotNullViolation,
            format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                column.name, self.table.name
            ),
        )
        .with_detail(row_detail(&self.table, row, context));
        error.table = Some(self.table.name.as_str().into());
        error.column = Some(column.name.as_str().into());
        Err(error)
    }
}

/// Reads some columns of the row at `key`; false, with `out` untouched, if there is none.
///
/// # Errors
/// Storage; a malformed row.
pub fn fetch_row(
    txn: &mut dyn Transaction,
    table: &Table,
    key: &[u8],
    at: ReadAt,
    reader: &RowReader,
    out: &mut Vec<Value>,
) -> Result<bool> {
    let mut bytes = Vec::new();
    if !txn.get(table.keyspace, key, at, &mut bytes)? {
        return Ok(false);
    }
    reader.read(&bytes, out)?;
    Ok(true)
}

/// The DETAIL of a violated constraint: `Failing row contains (1, null).`
pub fn row_detail(table: &Table, row: &[Value], context: &EvalContext) -> String {
    let values =
        table.columns.iter().zip(row).map(|(column, value)| display(value, column.ty, context));
    format!("Failing row contains ({}).", values.collect::<Vec<_>>().join(", "))
}

/// Which row it is, for a DETAIL: `Key (id)=(1)`, or all of it where there is no primary key.
pub fn row_identity(table: &Table, row: &[Value], context: &EvalContext) -> String {
    match table.primary_key() {
        Some(index) => format!("Key {}", key_detail(table, index, row, context)),
        None => {
            let columns = table.columns.iter().zip(row);
            let values = columns.map(|(column, value)| display(value, column.ty, context));
            format!("Row ({})", values.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The error for a row whose key in a unique index, given by the values of its columns, another row has.
pub(crate) fn duplicate_key(
    table: &Table,
    index: &Index,
    values: &[Value],
    context: &EvalContext,
) -> SqlError {
    SqlError::new(
        SqlState::UniqueViolation,
        format!("duplicate key value violates unique constraint \"{}\"", index.name),
    )
    .with_detail(format!(
        "Key {} already exists.",
        values_detail(table, &places_of(table, index), values, context)
    ))
    .with_constraint(&table.name, &index.name)
}

/// The places of an index's columns in an extended row.
pub(crate) fn places_of(table: &Table, index: &Index) -> Vec<usize> {
    let place = |id| table.place(id).expect("an index covers live columns");
    index.columns.iter().map(|column| place(column.column)).collect()
}

/// `(a, b)=(1, x)`, of an extended row.
pub(crate) fn key_detail(
    table: &Table,
    index: &Index,
    row: &[Value],
    context: &EvalContext,
) -> String {
    let positions = places_of(table, index);
    let values: Vec<Value> = positions.iter().map(|at| row[*at].clone()).collect();
    values_detail(table, &positions, &values, context)
}

/// `(a, b)=(1, x)`, of what stands at some places of an extended row.
pub(crate) fn values_detail(
    table: &Table,
    positions: &[usize],
    values: &[Value],
    context: &EvalContext,
) -> String {
    let names: Vec<&str> = positions.iter().map(|at| table.name_at(*at)).collect();
    let types = positions.iter().map(|at| table.type_at(*at));
    let values = types.zip(values).map(|(ty, value)| display(value, ty, context));
    format!("({})=({})", names.join(", "), values.collect::<Vec<_>>().join(", "))
}

fn display(value: &Value, ty: DataType, context: &EvalContext) -> String {
    if value.is_null() {
        return "null".into();
    }
    let mut out = Vec::new();
    write_text(value, ty, context, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The indexes whose entries are apart from the rows.
pub(crate) fn secondary(table: &Table) -> impl Iterator<Item = &Index> {
    table.indexes.iter().filter(|index| index.keyspace.is_some())
}

/// An entry that is no other row's names its row, whose claim is claim enough.
fn of_entry(exclusive: bool) -> LockIntent {
    if exclusive { LockIntent::Insert } else { LockIntent::Owned }
}

fn claim_in(
    txn: &mut dyn Transaction,
    space: driftdb_storage::KeyspaceId,
    key: &[u8],
    intent: LockIntent,
) -> Result<()> {
    txn.lock(space, key, LockStrength::Update, intent, WaitPolicy::Wait(None))?;
    Ok(())
}
