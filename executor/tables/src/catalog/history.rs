//! Where a table's rows were, over a stretch of time.
//!
//! TRUNCATE and a change of the primary key give a table new keyspaces; the rows of each time are in the
//! keyspaces that the definition of that time names. A *generation* is a stretch in which the rows stayed
//! in one keyspace. Columns need no such care: stored rows name them by number, so that rows of every
//! time can be read by the definition of any.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{ReadAt, RowBatch, ScanState, Transaction, VersionScan};
use driftdb_query::{Result, RowKey, Table, TableId};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use super::{TABLES, codec, table_key, with_types};

/// A stretch of time in which a table's rows stayed in one keyspace.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Its first time, or that of the stretch asked for if it was there already.
    pub from: Timestamp,
    /// The commit that ended it: all its versions end there.
    pub ended: Option<Timestamp>,
    /// The definition that it began with.
    pub table: Arc<Table>,
}

/// The generations of a table that lived at some time of `from..=up_to`, in order of time.
///
/// # Errors
/// Storage; a time outside of the promise; a malformed record.
pub fn generations(
    txn: &mut dyn Transaction,
    id: TableId,
    from: Timestamp,
    up_to: Timestamp,
) -> Result<Vec<Generation>> {
    let mut found = Found::default();
    for_each_definition(txn, id, (from, up_to), &mut |ts, table| found.add(ts, table))?;
    found.newest_first.reverse();
    Ok(found.newest_first)
}

/// The keyspaces of every index that the table had, as far back as definitions are kept, by the keyspace
/// of the rows that they lead to.
///
/// # Errors
/// Storage; a malformed record.
pub fn index_keyspaces(
    txn: &mut dyn Transaction,
    id: TableId,
) -> Result<BTreeMap<KeyspaceId, BTreeSet<KeyspaceId>>> {
    let mut found = BTreeMap::<KeyspaceId, BTreeSet<KeyspaceId>>::new();
    let stretch = (oldest_definitions(txn)?, txn.snapshot_ts());
    for_each_definition(txn, id, stretch, &mut |_, table| {
        if let Some(table) = table {
            let indexes = table.indexes.iter().filter_map(|index| index.keyspace);
            found.entry(table.keyspace).or_default().extend(indexes);
        }
    })?;
    Ok(found)
}

/// Calls `visit` with each definition that a table had in a stretch and when it began, newest first;
/// `None`: it was dropped.
fn for_each_definition(
    txn: &mut dyn Transaction,
    id: TableId,
    (from, up_to): (Timestamp, Timestamp),
    visit: &mut dyn FnMut(Timestamp, Option<Arc<Table>>),
) -> Result<()> {
    let key = table_key(id);
    let range = KeyRange { start: Bound::Included(&key), end: Bound::Included(&key) };
    let mut older_than = None;
    loop {
        let mut batch = RowBatch::new();
        let scan = VersionScan { range, from, up_to, older_than, reverse: false, max_rows: 256 };
        let state = txn.scan_versions(TABLES, &scan, &mut batch)?;
        for row in batch.rows() {
            let at = ReadAt::AsOf(row.ts);
            let table = row
                .value
                .map(|bytes| with_types(txn, at, |types| codec::decode_table(bytes, types)))
                .transpose()?
                .map(Arc::new);
            visit(row.ts.max(from), table);
            older_than = Some(row.ts);
        }
        if state == ScanState::Done {
            return Ok(());
        }
    }
}

/// Generations, while definitions come in, newest first: of each generation only one is kept, however
/// often ANALYZE or ALTER wrote another.
#[derive(Default)]
struct Found {
    newest_first: Vec<Generation>,
    /// When the next older generation ended.
    ended: Option<Timestamp>,
}

impl Found {
    /// A definition and when it was made; `None`: the table was dropped.
    fn add(&mut self, ts: Timestamp, table: Option<Arc<Table>>) {
        let Some(table) = table else {
            self.ended = Some(ts);
            return;
        };
        match self.newest_first.last_mut() {
            Some(last)
                if self.ended == Some(last.from) && last.table.keyspace == table.keyspace =>
            {
                last.from = ts;
                last.table = table;
            }
            _ => self.newest_first.push(Generation { from: ts, ended: self.ended, table }),
        }
        self.ended = Some(ts);
    }
}

/// The oldest time whose definitions of tables are kept.
///
/// # Errors
/// Storage.
pub fn oldest_definitions(txn: &mut dyn Transaction) -> Result<Timestamp> {
    Ok(txn.oldest_readable(TABLES)?)
}

/// A definition of a table as seen from another time: the columns are those that are shown, the rows
/// and index entries where they were. An index of `shown` is there only if it was there then, and the
/// rows are keyed by the primary key only if they are now as they were.
pub fn seen_from(shown: &Table, then: &Table) -> Table {
    let mut seen = shown.clone();
    seen.keyspace = then.keyspace;
    seen.indexes.retain_mut(|index| {
        let Some(old) = then.index(index.id) else { return false };
        index.keyspace = old.keyspace;
        index.columns == old.columns
    });
    let is_keyed = then.key == RowKey::Primary && seen.primary_key().is_some();
    seen.key = if is_keyed { RowKey::Primary } else { RowKey::RowId };
    seen
}
