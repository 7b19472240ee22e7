//! `pg_locks`: every lock, held or waited for.
//!
//! Locks on tables and advisory locks look as in PostgreSQL. A lock on a row, or on an entry of an
//! index, is a `tuple` of its table in the mode that PostgreSQL's row locks have; PostgreSQL shows
//! those only while somebody waits. `relation` is NULL for keys of the catalog itself.

use std::collections::BTreeMap;

use driftdb_concurrency::{
    LockEntry, LockMode, LockObject, LockStrength, LockedThing, ReadAt, Transaction,
};
use driftdb_query::{Result, timestamptz_of};
use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_types::Value;

use super::SystemView;
use super::rows::Rows;

/// Which table a keyspace belongs to.
pub(super) type Owners = BTreeMap<KeyspaceId, u32>;

/// The tables of the statement's snapshot by their keyspaces.
pub(super) fn owners(txn: &mut dyn Transaction) -> Result<Owners> {
    let mut owners = Owners::new();
    for table in driftdb_tables::tables(txn, ReadAt::Statement)? {
        let indexes = table.indexes.iter().filter_map(|index| index.keyspace);
        owners.extend(indexes.chain([table.keyspace]).map(|space| (space, table.id.0)));
    }
    Ok(owners)
}

/// Kind, table, and mode of what is locked.
pub(super) fn describe(
    thing: &LockedThing,
    owners: &Owners,
) -> (&'static str, Option<u32>, &'static str) {
    match thing {
        LockedThing::Object(object, mode) => match object.within_branch().1 {
            LockObject::Table(id) => ("relation", Some(id), mode.pg_name()),
            _ => ("advisory", None, mode.pg_name()),
        },
        LockedThing::Key(space, _, strength) => {
            ("tuple", owners.get(space).copied(), mode_of(*strength).pg_name())
        }
        LockedThing::Keys(space, strength) => {
            ("tuples", owners.get(space).copied(), mode_of(*strength).pg_name())
        }
        LockedThing::Ranges(space) => ("range", owners.get(space).copied(), "ShareLock"),
    }
}

/// PostgreSQL's name for a row lock.
fn mode_of(strength: LockStrength) -> LockMode {
    match strength {
        LockStrength::KeyShare => LockMode::AccessShare,
        LockStrength::Share => LockMode::RowShare,
        LockStrength::NoKeyUpdate => LockMode::Exclusive,
        LockStrength::Update => LockMode::AccessExclusive,
    }
}

pub(super) fn rows(
    view: &SystemView<'_>,
    txn: &mut dyn Transaction,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let owners = owners(txn)?;
    let database = view.node.database_id();
    let mut columns = rows.columns([
        "locktype",
        "database",
        "relation",
        "classid",
        "objid",
        "objsubid",
        "virtualtransaction",
        "pid",
        "mode",
        "granted",
        "waitstart",
    ])?;
    for entry in view.node.store().locks() {
        columns.add(row(&entry, &owners, database))?;
    }
    Ok(())
}

fn row(entry: &LockEntry, owners: &Owners, database: u32) -> [Value; 11] {
    let (kind, relation, mode) = describe(&entry.thing, owners);
    let (branch, object) = match entry.thing {
        LockedThing::Object(object, _) => object.within_branch(),
        _ => (None, LockObject::Table(0)),
    };
    let [class, object, form] = match object {
        LockObject::Advisory { class, object, form } => {
            [Value::Oid(class), Value::Oid(object), Value::Int2(form.into())]
        }
        _ => [Value::Null, Value::Null, Value::Null],
    };
    let txn = entry.txn.map(|txn| txn.0);
    let virtual_txn = format!("{}/{}", entry.session.unwrap_or(0), txn.unwrap_or(0));
    [
        Value::text(kind),
        Value::Oid(branch.unwrap_or(database)),
        relation.map_or(Value::Null, Value::Oid),
        class,
        object,
        form,
        Value::text(virtual_txn),
        entry.session.map_or(Value::Null, Value::Int4),
        Value::text(mode),
        Value::Bool(entry.is_granted()),
        entry.waits_since.map_or(Value::Null, |since| {
            let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            Value::Timestamptz(timestamptz_of(Timestamp(nanos)))
        }),
    ]
}
