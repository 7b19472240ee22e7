//! UNDROP TABLE: a dropped table comes back, as it was at a moment.
//!
//! A keyspace that was dropped is not revived: its history would have a gap that no reader knows of. The
//! table gets new keyspaces, as after TRUNCATE, and the rows and index entries of the moment are copied
//! as they are. It keeps its identifier, so that its history is one. Foreign keys come back last
//! (`references`).

mod references;

use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    LockIntent, LockStrength, ReadAt, RowBatch, ScanRequest, ScanState, WaitPolicy,
};
use driftdb_query::{Result, SqlError, Table};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};
use driftdb_types::SqlState;

pub use references::undrop_references;

use super::{DdlContext, duplicate_relation};
use crate::catalog::{Named, TABLES, put_name, put_table, table_by_id, table_key};

/// Entries copied at a time.
const BATCH: usize = 1024;

/// Brings back a table that is gone, as it was at `at`, under a name, but for its foreign keys: see
/// [`undrop_references`].
///
/// # Errors
/// 42P07 for a name that is taken, its own or an index's; 55000 if the table is not gone; 72000 where its
/// history is; storage.
pub fn undrop_table(
    cx: &mut DdlContext<'_>,
    was: &Table,
    at: Timestamp,
    name: &str,
) -> Result<Arc<Table>> {
    if was.materialized().is_some() {
        return Err(SqlError::unsupported("UNDROP of a materialized view")
            .with_hint("CREATE MATERIALIZED VIEW makes it anew."));
    }
    let (key, wait) = (table_key(was.id), WaitPolicy::Wait(None));
    cx.txn.lock(TABLES, &key, LockStrength::Update, LockIntent::Insert, wait)?;
    if let Some(now) = table_by_id(cx.txn, was.id, ReadAt::Newest)? {
        let message = format!("table \"{}\" is not dropped", now.name);
        return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
            .with_hint("RESTORE TABLE ... AS OF ... brings rows back."));
    }
    cx.hold_schema(&was.schema).map_err(|error| error.with_hint("CREATE SCHEMA makes it anew."))?;
    if !cx.name_is_free(&was.schema, name)? {
        let error = duplicate_relation(name);
        return Err(error.with_hint("UNDROP TABLE ... RENAME TO ... gives it another name."));
    }
    let (foreign_keys, referenced_by) = (Vec::new(), Vec::new());
    let name = name.to_owned();
    let mut table = Table { name, row_count: None, foreign_keys, referenced_by, ..was.clone() };
    let name = &table.name.clone();
    put_name(cx.txn, &table.schema, name, Named::Table(table.id))?;
    table.keyspace = cx.new_keyspace()?;
    copy(cx, was, was.keyspace, at, table.keyspace)?;
    for index in &mut table.indexes {
        if !cx.name_is_free(&was.schema, &index.name)? {
            index.name = other_name(cx, was, name, &index.name)?;
        }
        put_name(cx.txn, &was.schema, &index.name, Named::Index(was.id, index.id))?;
        if let Some(old) = index.keyspace {
            let new = cx.new_keyspace()?;
            index.keyspace = Some(new);
            copy(cx, was, old, at, new)?;
        }
    }
    put_table(cx.txn, &table)?;
    Ok(Arc::new(table))
}

/// A free name for an index whose own is taken: the table's new name instead of its old one.
fn other_name(cx: &mut DdlContext<'_>, was: &Table, name: &str, index: &str) -> Result<String> {
    let rest = index.strip_prefix(was.name.as_str());
    let other = rest.map(|rest| format!("{name}{rest}")).filter(|other| other != index);
    match other {
        Some(other) if cx.name_is_free(&was.schema, &other)? => Ok(other),
        _ => Err(duplicate_relation(index)),
    }
}

/// Copies what a keyspace held at a moment into a new one.
fn copy(
    cx: &mut DdlContext<'_>,
    was: &Table,
    from: KeyspaceId,
    at: Timestamp,
    to: KeyspaceId,
) -> Result<()> {
    let mut last: Option<Vec<u8>> = None;
    loop {
        let start = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { start, end: Bound::Unbounded };
        let request = ScanRequest { range, at: ReadAt::AsOf(at), reverse: false, max_rows: BATCH };
        let mut entries = RowBatch::new();
        let state = cx.txn.scan(from, &request, &mut entries);
        let state = state.map_err(|error| SqlError::from(error).about_table(&was.name))?;
        for entry in entries.rows() {
            cx.txn.put(to, entry.key, entry.value.unwrap_or_default())?;
        }
        match entries.last_key() {
            Some(key) if state == ScanState::More => last = Some(key.to_vec()),
            _ => return Ok(()),
        }
    }
}
