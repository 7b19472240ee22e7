//! Which tables there were over a stretch of time, and where their rows were.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{ReadAt, RowBatch, ScanState, Transaction, VersionScan};
use driftdb_env::planted;
use driftdb_query::{Column, Result, Table, TableId, is_temporary};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use super::{CHUNK, FeedOp, Item, What, before};
use crate::catalog::{TABLES, codec, malformed, table_key, with_types};

/// A table got a definition, or (`None`) was dropped.
#[derive(Debug)]
pub(super) struct Defined {
    ts: Timestamp,
    id: TableId,
    table: Option<Arc<Table>>,
}

impl Defined {
    /// What belongs to a session is no change of the database.
    fn is_temporary(&self) -> bool {
        self.table.as_ref().is_some_and(|table| is_temporary(&table.schema))
    }
}

/// A stretch in which a table had one definition.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) table: Arc<Table>,
    pub(super) after: Timestamp,
    pub(super) up_to: Timestamp,
}

/// The tables at a moment: one, or all.
pub(super) fn alive_at(
    txn: &mut dyn Transaction,
    only: Option<TableId>,
    at: Timestamp,
) -> Result<BTreeMap<TableId, Arc<Table>>> {
    let mut found = versions(txn, only, at, at, true)?;
    found.retain(|defined| only.is_some() || !defined.is_temporary());
    Ok(found.into_iter().filter_map(|defined| Some((defined.id, defined.table?))).collect())
}

/// The definitions made in `after < ts <= up_to`, table by table, for each in order of time.
pub(super) fn defined_since(
    txn: &mut dyn Transaction,
    only: Option<TableId>,
    after: Timestamp,
    up_to: Timestamp,
) -> Result<Vec<Defined>> {
    let mut found = versions(txn, only, after, up_to, false)?;
    found.retain(|defined| only.is_some() || !defined.is_temporary());
    found.sort_by_key(|defined| (defined.id, defined.ts));
    Ok(found)
}

/// The keyspaces of rows that any table had at some time of `from..=up_to`.
pub(crate) fn keyspaces_within(
    txn: &mut dyn Transaction,
    from: Timestamp,
    up_to: Timestamp,
) -> Result<BTreeSet<KeyspaceId>> {
    let found = versions(txn, None, from, up_to, true)?;
    Ok(found.into_iter().filter_map(|defined| Some(defined.table?.keyspace)).collect())
}

fn versions(
    txn: &mut dyn Transaction,
    only: Option<TableId>,
    from: Timestamp,
    up_to: Timestamp,
    with_alive: bool,
) -> Result<Vec<Defined>> {
    let key = only.map(table_key);
    let whole = || Bound::Unbounded;
    let end = key.as_ref().map_or_else(whole, |key| Bound::Included(&key[..]));
    let mut found: Vec<Defined> = Vec::new();
    let mut resume = None;
    loop {
        let last = resume.map(|(id, _)| table_key(id));
        let start = last.as_ref().map_or(end, |key| Bound::Included(&key[..]));
        let scan = VersionScan {
            range: KeyRange { start, end },
            from,
            up_to,
            older_than: resume.map(|(_, ts)| ts),
            reverse: false,
            max_rows: CHUNK,
        };
        let mut batch = RowBatch::new();
        let state = match with_alive {
            true => txn.scan_versions(TABLES, &scan, &mut batch)?,
            false => txn.scan_begun(TABLES, &scan, &mut batch)?,
        };
        for row in batch.rows() {
            let id = TableId(u32::from_be_bytes(row.key.try_into().map_err(|_| malformed())?));
            let at = ReadAt::AsOf(row.ts);
            let table = row
                .value
                .map(|bytes| with_types(txn, at, |types| codec::decode_table(bytes, types)));
            let table = table.transpose()?.map(Arc::new);
            found.push(Defined { ts: row.ts, id, table });
            resume = Some((id, row.ts));
        }
        if state == ScanState::Done {
            return Ok(found);
        }
    }
}

/// Takes the stretch after `after`, up to `up_to`, apart: the segments of every table, and what the
/// definitions themselves changed.
pub(super) fn segments(
    tables: &BTreeMap<TableId, Arc<Table>>,
    since: &[Defined],
    after: Timestamp,
    up_to: Timestamp,
) -> (Vec<Segment>, Vec<Item>) {
    let (mut segments, mut items) = (Vec::new(), Vec::new());
    let mut current: BTreeMap<TableId, (Arc<Table>, Timestamp)> =
        tables.iter().map(|(id, table)| (*id, (Arc::clone(table), after))).collect();
    for defined in since.iter().filter(|defined| defined.ts <= up_to) {
        let was = current.remove(&defined.id);
        if let Some((table, after)) = &was {
            let (table, after, up_to) = (Arc::clone(table), *after, before(defined.ts));
            segments.push(Segment { table, after, up_to });
        }
        let was = was.map(|(table, _)| table);
        for op in what_changed(was.as_deref(), defined.table.as_deref()) {
            if let Some(table) = defined.table.as_ref().or(was.as_ref()) {
                let table = Arc::clone(table);
                items.push(Item { ts: defined.ts, table, what: What::Definition(op) });
            }
        }
        if let Some(table) = &defined.table {
            current.insert(defined.id, (Arc::clone(table), before(defined.ts)));
        }
    }
    let open = current.into_values();
    segments.extend(open.map(|(table, after)| Segment { table, after, up_to }));
    if planted!("tables.feed-last-definition-only") {
        segments.retain(|segment| segment.up_to == up_to);
    }
    // Tables in order, for a commit that is given as it is read.
    segments.sort_by_key(|segment| (segment.table.id, segment.after));
    (segments, items)
}

fn what_changed(was: Option<&Table>, is: Option<&Table>) -> Vec<FeedOp> {
    let (was, is) = match (was, is) {
        (None, None) => return Vec::new(),
        (None, Some(_)) => return vec![FeedOp::Create],
        (Some(_), None) => return vec![FeedOp::Drop],
        (Some(was), Some(is)) => (was, is),
    };
    let mut ops = Vec::new();
    if was.keyspace != is.keyspace {
        ops.push(FeedOp::Truncate);
    }
    let shape = |table: &Table| -> Vec<_> {
        let column = |c: &Column| (c.id, c.name.clone(), c.ty, c.typmod);
        table.columns.iter().map(column).collect()
    };
    let name = |table: &Table| (table.schema.clone(), table.name.clone());
    if name(was) != name(is) || shape(was) != shape(is) {
        ops.push(FeedOp::Alter);
    }
    ops
}

/// The tables at `up_to`.
pub(super) fn later(
    mut tables: BTreeMap<TableId, Arc<Table>>,
    since: Vec<Defined>,
    up_to: Timestamp,
) -> BTreeMap<TableId, Arc<Table>> {
    for defined in since.into_iter().filter(|defined| defined.ts <= up_to) {
        match defined.table {
            Some(table) => tables.insert(defined.id, table),
            None => tables.remove(&defined.id),
        };
    }
    tables
}
