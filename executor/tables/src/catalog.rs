//! The catalog: definitions of tables, kept in versioned keyspaces like any data.
//!
//! Keyspaces 18 to 20 hold restore points, the retention of single tables, and objects that are neither
//! tables nor indexes. Keyspace 16 holds one record per table (columns, indexes and checks together: they change together
//! and are read together), keyed by its object identifier. Keyspace 17 maps names to identifiers;
//! tables and indexes share one space of names, as in PostgreSQL. Nothing is cached beside the records
//! but decoded definitions, and those only while no DDL lies between the snapshot that read them and
//! the snapshot that asks.

pub(crate) mod codec;
mod dropped;
mod history;
mod objects;
mod privileges;
mod reader;
mod restore_points;
mod retention;
mod store;
mod types;

pub(crate) use dropped::dropped_table;
pub use history::{Generation, generations, index_keyspaces, oldest_definitions, seen_from};
pub(crate) use objects::objects_named;
pub(crate) use objects::{
    OBJECTS, claim_object_name, delete_object, delete_object_name, object_key, put_object,
    put_object_name,
};
pub use objects::{object_by_id, objects};
pub use privileges::{Knowing, role_named};
pub(crate) use privileges::{demand, denied, not_owner, privileges_of};
pub use reader::CatalogReader;
pub use restore_points::{
    RestorePoint, create_restore_point, drop_restore_point, restore_point, restore_points,
};
pub(crate) use retention::set_retention;
pub use retention::{history_rules, table_retentions};
pub use store::{CatalogStore, DdlGuard};
pub use types::type_by_oid;
pub(crate) use types::with_types;

use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    IsolationLevel, LockIntent, LockMode, LockObject, LockStrength, ObjectLocked, ReadAt, RowBatch,
    ScanRequest, ScanState, Transaction, TxnError, WaitPolicy,
};
use driftdb_env::{buggify, sometimes};
use driftdb_query::{IndexId, ObjectId, Result, SqlError, Table, TableId};
use driftdb_storage::{KeyRange, KeyspaceId, StorageError};
use driftdb_types::SqlState;

/// Definitions by object identifier.
pub(crate) const TABLES: KeyspaceId = KeyspaceId(16);
/// Object identifiers by schema and name.
pub(crate) const NAMES: KeyspaceId = KeyspaceId(17);

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Table(TableId),
    Index(TableId, IndexId),
    Object(ObjectId),
}

pub(crate) fn table_key(id: TableId) -> [u8; 4] {
    id.0.to_be_bytes()
}

/// Neither part may hold a zero byte: the lexer refuses it.
pub(crate) fn name_key(schema: &str, name: &str) -> Vec<u8> {
    [schema.as_bytes(), &[0], name.as_bytes()].concat()
}

/// Reads a catalog key. Before the catalog existed there was nothing in it.
pub(crate) fn read(
    txn: &mut dyn Transaction,
    space: KeyspaceId,
    key: &[u8],
    at: ReadAt,
) -> Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    match txn.get(space, key, at, &mut out) {
        Ok(found) => Ok(found.then_some(out)),
        Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a name stands for, as of some time.
pub(crate) fn lookup(
    txn: &mut dyn Transaction,
    schema: &str,
    name: &str,
    at: ReadAt,
) -> Result<Option<Named>> {
    let Some(bytes) = read(txn, NAMES, &name_key(schema, name), at)? else { return Ok(None) };
    codec::decode_named(&bytes).map(Some).ok_or_else(malformed)
}

/// A table by identity, as of some time.
///
/// # Errors
/// Storage; a malformed record.
pub fn table_by_id(
    txn: &mut dyn Transaction,
    id: TableId,
    at: ReadAt,
) -> Result<Option<Arc<Table>>> {
    let Some(bytes) = read(txn, TABLES, &table_key(id), at)? else { return Ok(None) };
    with_types(txn, at, |types| codec::decode_table(&bytes, types))
        .map(|table| Some(Arc::new(table)))
}

/// Every table, as of some time, in order of creation.
///
/// # Errors
/// Storage; a malformed record.
pub fn tables(txn: &mut dyn Transaction, at: ReadAt) -> Result<Vec<Arc<Table>>> {
    let mut found = Vec::new();
    let mut records = Vec::new();
    scan_all(txn, TABLES, at, &mut |_, bytes| {
        records.push(bytes.to_vec());
        Ok(())
    })?;
    for bytes in records {
        found.push(Arc::new(with_types(txn, at, |types| codec::decode_table(&bytes, types))?));
    }
    Ok(found)
}

/// Visits every record of a catalog keyspace. Before the keyspace existed there was nothing in it.
pub(crate) fn scan_all(
    txn: &mut dyn Transaction,
    space: KeyspaceId,
    at: ReadAt,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let mut from: Option<Vec<u8>> = None;
    loop {
        let start = from.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { start, end: Bound::Unbounded };
        let max_rows = if buggify!("catalog.scan-in-small-steps") { 1 } else { 256 };
        let request = ScanRequest { range, at, reverse: false, max_rows };
        let mut rows = RowBatch::new();
        let state = match txn.scan(space, &request, &mut rows) {
            Ok(state) => state,
            Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for row in rows.rows() {
            visit(row.key, row.value.unwrap_or_default())?;
        }
        match rows.last_key() {
            Some(key) if state == ScanState::More => from = Some(key.to_vec()),
            _ => return Ok(()),
        }
    }
}

/// Locks a table until the transaction ends, and so holds its definition still: whoever changes that
/// takes [`LockMode::Share`] or more, whoever changes rows [`LockMode::RowExclusive`]. True if the
/// statement must be begun and bound again: the definition changed since its snapshot, or, where each
/// statement has its own, others whom it had to wait for may have changed rows that it should see.
///
/// # Errors
/// Deadlock; canceled; 55P03 for a lock that is not to be waited for, or not so long.
pub fn lock_table(
    txn: &mut dyn Transaction,
    table: &Table,
    mode: LockMode,
    wait: WaitPolicy,
) -> Result<bool> {
    let locked = match txn.lock_object(LockObject::Table(table.id.0), mode, wait) {
        Ok(locked) => locked,
        Err(TxnError::LockNotAvailable) => {
            let message = format!("could not obtain lock on relation \"{}\"", table.name);
            return Err(SqlError::new(SqlState::LockNotAvailable, message));
        }
        Err(error) => return Err(error.into()),
    };
    match locked {
        ObjectLocked::Before => Ok(false),
        ObjectLocked::AfterWait if txn.isolation() <= IsolationLevel::ReadCommitted => {
            sometimes!("catalog.waited-for-a-table");
            Ok(true)
        }
        ObjectLocked::AtOnce | ObjectLocked::AfterWait => {
            let has_changed = txn.has_changed(TABLES, &table_key(table.id))?;
            sometimes!("catalog.definition-changed-since-the-snapshot", has_changed);
            Ok(has_changed)
        }
    }
}

pub(crate) fn put_table(txn: &mut dyn Transaction, table: &Table) -> Result<()> {
    txn.put(TABLES, &table_key(table.id), &codec::encode_table(table))?;
    retention::note_keyspaces(txn, table)
}

/// Claims a name and says what stands there now.
pub(crate) fn claim_name(
    txn: &mut dyn Transaction,
    schema: &str,
    name: &str,
) -> Result<Option<Named>> {
    let key = name_key(schema, name);
    let wait = WaitPolicy::Wait(None);
    txn.lock(NAMES, &key, LockStrength::Update, LockIntent::Insert, wait)?;
    lookup(txn, schema, name, ReadAt::Newest)
}

pub(crate) fn put_name(
    txn: &mut dyn Transaction,
    schema: &str,
    name: &str,
    named: Named,
) -> Result<()> {
    txn.put(NAMES, &name_key(schema, name), &codec::encode_named(named))?;
    Ok(())
}

pub(crate) fn delete_name(txn: &mut dyn Transaction, schema: &str, name: &str) -> Result<()> {
    claim_name(txn, schema, name)?;
    txn.delete(NAMES, &name_key(schema, name))?;
    Ok(())
}

pub(crate) fn malformed() -> SqlError {
    SqlError::new(SqlState::DataCorrupted, "malformed catalog record")
        .with_hint("Run driftdb verify --data DIR and restore what it names.")
}
