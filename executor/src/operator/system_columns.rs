//! System columns: what a version knows of itself besides its columns.

use std::collections::BTreeMap;
use std::ops::Bound;

use driftdb_concurrency::{ReadAt, RowBatch, Store, Transaction, TxnError, VersionScan};
use driftdb_query::{Result, SqlError, SystemColumn, timestamptz_of};
use driftdb_storage::{KeyRange, KeyspaceId, StorageError, Timestamp};
use driftdb_types::Value;

/// Sequence numbers that are remembered: rows of one commit mostly come together.
const MOST_SEQUENCES: usize = 4096;

/// What ended a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Updated,
    Deleted,
}

/// What is known of a version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    /// The commit that began it; [`Timestamp::MAX`]: this transaction, not yet committed.
    pub(crate) start: Timestamp,
    /// The commit that ended it, and how.
    pub(crate) end: Option<(Timestamp, Ended)>,
    /// Whether its row was there before; `None` if that is not kept any more.
    pub(crate) was_there: Option<bool>,
}

/// The system columns of one access.
pub(crate) struct System {
    columns: Vec<SystemColumn>,
    sequences: BTreeMap<Timestamp, u64>,
}

impl System {
    pub(crate) fn new(columns: &[SystemColumn]) -> Self {
        Self { columns: columns.to_vec(), sequences: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether a column is asked for.
    pub(crate) fn wants(&self, column: SystemColumn) -> bool {
        self.columns.contains(&column)
    }

    /// Whether what came later is asked for.
    pub(crate) fn wants_end(&self) -> bool {
        self.columns.iter().any(|column| column.is_of_end())
    }

    /// The values of the columns for a version.
    pub(crate) fn values(&mut self, version: Version, store: &dyn Store) -> Result<Vec<Value>> {
        let columns = std::mem::take(&mut self.columns);
        let values = columns.iter().map(|column| self.value(*column, version, store)).collect();
        self.columns = columns;
        values
    }

    fn value(
        &mut self,
        column: SystemColumn,
        version: Version,
        store: &dyn Store,
    ) -> Result<Value> {
        let is_committed = version.start != Timestamp::MAX;
        Ok(match column {
            SystemColumn::Start | SystemColumn::Seq if !is_committed => Value::Null,
            SystemColumn::Start => Value::Timestamptz(timestamptz_of(version.start)),
            SystemColumn::Seq => self.sequence(version.start, store)?,
            SystemColumn::Op => match version.was_there {
                Some(true) => Value::text("UPDATE"),
                Some(false) => Value::text("INSERT"),
                None => Value::Null,
            },
            SystemColumn::End => {
                let end = version.end.map_or(Timestamp::MAX, |(ts, _)| ts);
                Value::Timestamptz(timestamptz_of(end))
            }
            SystemColumn::EndSeq => match version.end {
                Some((ts, _)) => self.sequence(ts, store)?,
                None => Value::Null,
            },
            SystemColumn::EndOp => match version.end {
                Some((_, Ended::Updated)) => Value::text("UPDATE"),
                Some((_, Ended::Deleted)) => Value::text("DELETE"),
                None => Value::Null,
            },
        })
    }

    fn sequence(&mut self, ts: Timestamp, store: &dyn Store) -> Result<Value> {
        let sequence = match self.sequences.get(&ts) {
            Some(known) => *known,
            None => {
                if self.sequences.len() >= MOST_SEQUENCES {
                    self.sequences.clear();
                }
                let found = store.sequence_at(ts)?;
                self.sequences.insert(ts, found);
                found
            }
        };
        Ok(Value::Int8(i64::try_from(sequence).unwrap_or(i64::MAX)))
    }
}

/// Whether a key held a row just before the version that began at `start`; `None` if that time is not
/// kept any more.
pub(crate) fn was_there(
    txn: &mut dyn Transaction,
    space: KeyspaceId,
    key: &[u8],
    start: Timestamp,
) -> Result<Option<bool>> {
    let before = if start == Timestamp::MAX {
        txn.snapshot_ts()
    } else {
        Timestamp(start.0.saturating_sub(1))
    };
    match txn.get(space, key, ReadAt::AsOf(before), &mut Vec::new()) {
        Ok(found) => Ok(Some(found)),
        Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => Ok(Some(false)),
        Err(TxnError::Storage(StorageError::SnapshotTooOld { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The newest committed version of a row that this transaction has locked and not written.
pub(crate) fn newest_version(
    txn: &mut dyn Transaction,
    store: &dyn Store,
    space: KeyspaceId,
    key: &[u8],
) -> Result<Version> {
    // The version may be of a commit that is not visible yet.
    txn.settle_reads()?;
    let now = store.newest();
    let range = KeyRange { start: Bound::Included(key), end: Bound::Included(key) };
    let scan =
        VersionScan { range, from: now, up_to: now, older_than: None, reverse: false, max_rows: 1 };
    let mut found = RowBatch::new();
    txn.scan_versions(space, &scan, &mut found)?;
    let unknown = || SqlError::internal("a row that is locked has no version");
    let start = found.rows().next().map(|row| row.ts).ok_or_else(unknown)?;
    let was_there = was_there(txn, space, key, start)?;
    Ok(Version { start, end: None, was_there })
}
