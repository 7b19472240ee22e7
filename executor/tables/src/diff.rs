//! The rows in which a table differs between two moments, by their storage keys.
//!
//! Where the rows are in the same keyspace at both, only keys with a version in between are looked at
//! ([`Transaction::scan_changes`]); what came and went in between is no difference. Else (TRUNCATE or a
//! change of key lies in between) two scans in key order are merged. Either way memory is bounded by a
//! batch.
//!
//! Invariants
//! * A change has two different sides, at least one of them a row. Sides differ if they do under the
//!   second side's definition: what was dropped with a column makes no difference.
//! * Changes come in the order of their keys, each key once.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{ReadAt, RowBatch, ScanRequest, ScanState, Transaction, TxnError};
use driftdb_query::{Index, Result, RowKey, SqlError, Table, TableAt};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};
use driftdb_types::{DataType, SqlState, Value};

use crate::row::{RowReader, encode_row};

/// Keys looked at in one call.
const BATCH: usize = 1024;

/// A row that differs: stored, as it is on either side; `None` where it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its storage key.
    pub key: Vec<u8>,
    /// The row on the first side.
    pub before: Option<Vec<u8>>,
    /// The row on the second side.
    pub after: Option<Vec<u8>>,
}

/// Walks the differences between two moments of one table.
#[derive(Debug)]
pub struct TableDiff {
    before: Option<TableAt>,
    after: Option<TableAt>,
    /// Where there are two sides: how rows of the first are compared with those of the second.
    mapping: Option<Mapping>,
    how: How,
}

#[derive(Debug)]
enum How {
    /// Keys of one keyspace with a version in `low < ts <= high`, after the last one seen.
    Changes {
        low: Timestamp,
        high: Timestamp,
        last: Option<Vec<u8>>,
    },
    /// Two scans side by side.
    Merge {
        before: Stream,
        after: Stream,
    },
    Done,
}

impl TableDiff {
    /// The differences between two sides; a side is missing where the table did not exist. A side at
    /// [`ReadAt::Statement`] shows the transaction's own earlier writes if `has_own_writes`.
    ///
    /// # Errors
    /// 55000 if rows of the two sides cannot be told to be the same; a moment outside of the promise.
    pub fn new(
        txn: &mut dyn Transaction,
        before: Option<TableAt>,
        after: Option<TableAt>,
        has_own_writes: bool,
    ) -> Result<Self> {
        for side in [&before, &after].into_iter().flatten() {
            // Asks whether the moment can be read at all: a scan of what lies between might not.
            row(side, txn, &[])?;
        }
        let mut how = None;
        if let (Some(before), Some(after)) = (&before, &after) {
            check_comparable(&before.table, &after.table)?;
            let is_plain = |side: &TableAt| !has_own_writes || matches!(side.at, ReadAt::AsOf(_));
            let same = before.table.keyspace == after.table.keyspace;
            if same && is_plain(before) && is_plain(after) {
                let ends = [before, after].map(|side| match side.at {
                    ReadAt::AsOf(ts) => ts,
                    ReadAt::Statement | ReadAt::Newest => txn.snapshot_ts(),
                });
                let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
                how = Some(How::Changes { low, high, last: None });
            }
        }
        let how = how.unwrap_or_else(|| How::Merge {
            before: Stream::new(before.as_ref()),
            after: Stream::new(after.as_ref()),
        });
        let mapping = before
            .as_ref()
            .zip(after.as_ref())
            .map(|(before, after)| Mapping::new(&before.table, &after.table));
        Ok(Self { before, after, mapping, how })
    }

    /// The next differences, perhaps none; `None` at the end.
    ///
    /// # Errors
    /// Storage; canceled.
    pub fn next(&mut self, txn: &mut dyn Transaction) -> Result<Option<Vec<Change>>> {
        match &self.how {
            How::Changes { .. } => self.next_changed(txn).map(Some),
            How::Merge { .. } => self.next_merged(txn).map(Some),
            How::Done => Ok(None),
        }
    }

    fn next_changed(&mut self, txn: &mut dyn Transaction) -> Result<Vec<Change>> {
        let How::Changes { low, high, last } = &mut self.how else { return Ok(Vec::new()) };
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return Err(SqlError::internal("only a table that is on both sides has changes"));
        };
        let start = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { start, end: Bound::Unbounded };
        let mut rows = RowBatch::new();
        let space = before.table.keyspace;
        let state = txn
            .scan_changes(space, &range, *low, *high, BATCH, &mut rows)
            .map_err(|error| about(&before.table, error))?;
        let mut changes = Vec::with_capacity(rows.len());
        for changed in rows.rows() {
            let key = changed.key.to_vec();
            let (before, after) = (row(before, txn, &key)?, row(after, txn, &key)?);
            if !is_same(self.mapping.as_ref(), before.as_deref(), after.as_deref())? {
                changes.push(Change { key, before, after });
            }
        }
        match rows.last_key() {
            Some(key) if state == ScanState::More => *last = Some(key.to_vec()),
            _ => self.how = How::Done,
        }
        Ok(changes)
    }

    fn next_merged(&mut self, txn: &mut dyn Transaction) -> Result<Vec<Change>> {
        let How::Merge { before, after } = &mut self.how else { return Ok(Vec::new()) };
        let mut changes = Vec::new();
        for _ in 0..BATCH {
            before.fill(txn)?;
            after.fill(txn)?;
            let order = match (before.key(), after.key()) {
                (None, None) => {
                    self.how = How::Done;
                    break;
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.cmp(after),
            };
            let (mut key, mut sides) = (Vec::new(), [None, None]);
            let mut take = |stream: &mut Stream, side: usize| {
                if let Some((taken, row)) = stream.take() {
                    (key, sides[side]) = (taken, Some(row));
                }
            };
            if order != Ordering::Greater {
                take(before, 0);
            }
            if order != Ordering::Less {
                take(after, 1);
            }
            let [before, after] = sides;
            if !is_same(self.mapping.as_ref(), before.as_deref(), after.as_deref())? {
                changes.push(Change { key, before, after });
            }
        }
        Ok(changes)
    }
}

/// Whether a row is the same on both sides. Stored bytes may differ all the same: they keep the cells of
/// dropped columns.
fn is_same(mapping: Option<&Mapping>, before: Option<&[u8]>, after: Option<&[u8]>) -> Result<bool> {
    match (before, after, mapping) {
        _ if before == after => Ok(true),
        (Some(before), Some(after), Some(mapping)) => mapping.alike(before, after),
        _ => Ok(false),
    }
}

/// The stored row at a key.
fn row(side: &TableAt, txn: &mut dyn Transaction, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut row = Vec::new();
    let found = txn.get(side.table.keyspace, key, side.at, &mut row);
    Ok(found.map_err(|error| about(&side.table, error))?.then_some(row))
}

fn about(table: &Table, error: TxnError) -> SqlError {
    SqlError::from(error).about_table(&table.name)
}

/// One side's rows in key order, a batch at a time.
#[derive(Debug)]
struct Stream {
    space: Option<KeyspaceId>,
    at: ReadAt,
    rows: RowBatch,
    next: usize,
    table: String,
}

impl Stream {
    fn new(side: Option<&TableAt>) -> Self {
        Self {
            space: side.map(|side| side.table.keyspace),
            at: side.map_or(ReadAt::Statement, |side| side.at),
            rows: RowBatch::new(),
            next: 0,
            table: side.map(|side| side.table.name.clone()).unwrap_or_default(),
        }
    }

    /// Reads on if all rows of the batch were taken.
    fn fill(&mut self, txn: &mut dyn Transaction) -> Result<()> {
        let Some(space) = self.space else { return Ok(()) };
        if self.next < self.rows.len() {
            return Ok(());
        }
        let last = self.rows.last_key().map(<[u8]>::to_vec);
        let start = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { start, end: Bound::Unbounded };
        let request = ScanRequest { range, at: self.at, reverse: false, max_rows: BATCH };
        self.rows.clear();
        self.next = 0;
        let state = txn
            .scan(space, &request, &mut self.rows)
            .map_err(|error| SqlError::from(error).about_table(&self.table))?;
        if state == ScanState::Done && self.rows.is_empty() {
            self.space = None;
        }
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        (self.next < self.rows.len()).then(|| self.rows.row(self.next).key)
    }

    fn take(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.key()?;
        let row = self.rows.row(self.next);
        self.next += 1;
        Some((row.key.to_vec(), row.value.unwrap_or_default().to_vec()))
    }
}

/// Reads rows of one definition of a table as rows of another: columns that were dropped are left out,
/// columns that were added hold what existing rows were given.
#[derive(Debug, Clone)]
pub struct Mapping {
    from: RowReader,
    /// For each column of the other definition: where it is read, or what it holds.
    columns: Vec<std::result::Result<usize, Value>>,
    to: Arc<Table>,
}

impl Mapping {
    /// From the rows of one definition to those of another.
    pub fn new(from: &Table, to: &Arc<Table>) -> Self {
        let columns = to.columns.iter().map(|column| {
            let found = from.position(column.id);
            found
                .filter(|position| from.columns[*position].ty == column.ty)
                .ok_or_else(|| column.missing.clone())
        });
        Self { from: RowReader::whole(from), columns: columns.collect(), to: Arc::clone(to) }
    }

    /// The values of a stored row under the other definition.
    ///
    /// # Errors
    /// A malformed row.
    pub fn read(&self, row: &[u8]) -> Result<Vec<Value>> {
        let mut values = Vec::with_capacity(self.from.len());
        self.from.read(row, &mut values)?;
        let read = |column: &std::result::Result<usize, Value>| match column {
            Ok(position) => values[*position].clone(),
            Err(missing) => missing.clone(),
        };
        Ok(self.columns.iter().map(read).collect())
    }

    /// Whether two rows, one of each definition, hold the same.
    fn alike(&self, from: &[u8], to: &[u8]) -> Result<bool> {
        let mut values = Vec::with_capacity(self.columns.len());
        RowReader::whole(&self.to).read(to, &mut values)?;
        let (mut left, mut right) = (Vec::new(), Vec::new());
        encode_row(&self.to, &self.read(from)?, &mut left);
        encode_row(&self.to, &values, &mut right);
        Ok(left == right)
    }
}

/// Whether rows of one definition can be read by another: columns that both have are of the same types.
///
/// # Errors
/// 55000 if not.
pub fn check_same_types(shown: &Table, then: &Table) -> Result<()> {
    let changed = shown.columns.iter().find(|column| {
        let was = then.position(column.id).map(|position| then.columns[position].ty);
        was.is_some_and(|was| was != column.ty)
    });
    let Some(column) = changed else { return Ok(()) };
    let message = format!(
        "rows of table \"{}\" from before column \"{}\" got another type cannot be read by its \
         definition of now",
        shown.name, column.name
    );
    Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
        .with_hint("Read them AS OF their times."))
}

/// Whether equal storage keys mean the same row under both definitions.
///
/// # Errors
/// 55000 if they do not.
pub fn check_comparable(before: &Table, after: &Table) -> Result<()> {
    let refuse = |what: &str| {
        let message = format!("rows of table \"{}\" cannot be told apart: {what}", after.name);
        Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
            .with_hint("DIFF (SELECT ...) BETWEEN ... compares what queries yield."))
    };
    if before.id != after.id {
        return refuse("it was dropped and created again in between");
    }
    check_same_types(after, before)?;
    let columns = |table: &Table, key: &Index| -> Vec<(u16, DataType, bool)> {
        let types = key.columns.iter().map(|column| {
            let ty = table.position(column.column).map(|at| table.columns[at].ty);
            (column.column.0, ty.unwrap_or(DataType::Unknown), column.descending)
        });
        types.collect()
    };
    let key = |table: &Table| match table.key {
        RowKey::RowId => None,
        RowKey::Primary => table.primary_key().map(|key| columns(table, key)),
    };
    if key(before) != key(after) {
        return refuse("its primary key changed in between");
    }
    Ok(())
}
