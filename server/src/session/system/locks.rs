//! `pg_locks`: every lock, held or waited for.
//!
//! Locks on tables and advisory locks look as in PostgreSQL. A lock on a row, or on an entry of an
//! index, is a `tuple` of its table in the mode that PostgreSQL's row locks have; PostgreSQL shows
//! those only while somebody waits. `relation` is NULL for keys of the catalog itself.

use std::collections::BTreeMap;

use driftdb_concurrency::{
    LockEntry, LockMode, LockObject, LockStrength, LockedThing, ReadAt, Transaction,
};
use driftdb_query::{Result, SystemRelation, SystemScan};
use driftdb_storage::KeyspaceId;
use driftdb_types::{DataType, Value};

use super::{Relation, SystemView};

pub(super) struct Locks;

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
        LockedThing::Object(LockObject::Table(id), mode) => ("relation", Some(*id), mode.pg_name()),
        LockedThing::Object(LockObject::Advisory { .. }, mode) => {
            ("advisory", None, mode.pg_name())
        }
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

impl Relation for Locks {
    fn definition(&self) -> SystemRelation {
        SystemRelation {
            name: "pg_locks",
            columns: vec![
                ("locktype", DataType::Text),
                ("database", DataType::Oid),
                ("relation", DataType::Oid),
                ("page", DataType::Int4),
                ("tuple", DataType::Int2),
                ("virtualxid", DataType::Text),
                ("transactionid", DataType::Int8),
                ("classid", DataType::Oid),
                ("objid", DataType::Oid),
                ("objsubid", DataType::Int2),
                ("virtualtransaction", DataType::Text),
                ("pid", DataType::Int4),
                ("mode", DataType::Text),
                ("granted", DataType::Bool),
                ("fastpath", DataType::Bool),
                ("waitstart", DataType::Timestamptz),
            ],
            key: None,
            has_history: false,
        }
    }

    fn rows(
        &self,
        view: &SystemView<'_>,
        _scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        let owners = owners(txn)?;
        out.extend(view.node.store().locks().iter().map(|entry| row(entry, &owners)));
        Ok(None)
    }
}

fn row(entry: &LockEntry, owners: &Owners) -> Vec<Value> {
    let (kind, relation, mode) = describe(&entry.thing, owners);
    let [class, object, form] = match entry.thing {
        LockedThing::Object(LockObject::Advisory { class, object, form }, _) => {
            [Value::Oid(class), Value::Oid(object), Value::Int2(form.into())]
        }
        _ => [Value::Null, Value::Null, Value::Null],
    };
    let txn = entry.txn.map(|txn| txn.0);
    let virtual_txn = format!("{}/{}", entry.session.unwrap_or(0), txn.unwrap_or(0));
    vec![
        Value::text(kind),
        Value::Oid(1),
        relation.map_or(Value::Null, Value::Oid),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        class,
        object,
        form,
        Value::text(virtual_txn),
        entry.session.map_or(Value::Null, Value::Int4),
        Value::text(mode),
        Value::Bool(entry.is_granted),
        Value::Bool(false),
        Value::Null,
    ]
}
