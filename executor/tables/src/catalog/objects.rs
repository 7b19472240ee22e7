//! Objects other than tables and indexes: keyspace 20, from identifier to definition.
//!
//! Relations among them share the tables' names in keyspace 17; a name of another name space is
//! followed there by a zero byte, the name space, and the object's signature if names may repeat.

mod codec;
mod role;
mod routine;
mod user_type;

use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    LockIntent, LockStrength, ReadAt, RowBatch, ScanRequest, ScanState, Transaction, TxnError,
    WaitPolicy,
};
use driftdb_query::{
    FIXED_ROLES, NameSpace, Object, ObjectId, ObjectKind, PUBLIC, PUBLIC_ID, Result, Role,
};
use driftdb_storage::{KeyRange, KeyspaceId, StorageError};

use super::types::with_types;
use super::{NAMES, Named, malformed, name_key, read, scan_all};

/// Definitions by identifier.
pub(crate) const OBJECTS: KeyspaceId = KeyspaceId(20);

pub(crate) fn object_key(id: ObjectId) -> [u8; 4] {
    id.0.to_be_bytes()
}

/// What all objects of a name begin with in the space of names.
pub(crate) fn names_key(space: NameSpace, schema: &str, name: &str) -> Vec<u8> {
    let mut key = name_key(schema, name);
    let code = match space {
        // As tables have it.
        NameSpace::Relation => return key,
        NameSpace::Schema => b's',
        NameSpace::Comment => b'c',
        NameSpace::Routine => b'f',
        NameSpace::Trigger => b'g',
        NameSpace::Role => b'r',
        NameSpace::Privileges => b'p',
        NameSpace::Type => b't',
        NameSpace::Materialized => b'm',
    };
    key.extend_from_slice(&[0, code]);
    key
}

/// The name of one object in the space of names.
pub(crate) fn key_of_name(kind: &ObjectKind, schema: &str, name: &str) -> Vec<u8> {
    [names_key(kind.name_space(), schema, name), kind.signature()].concat()
}

/// An object by identity, as of some time.
///
/// # Errors
/// Storage; a malformed record.
pub fn object_by_id(
    txn: &mut dyn Transaction,
    id: ObjectId,
    at: ReadAt,
) -> Result<Option<Arc<Object>>> {
    let Some(bytes) = read(txn, OBJECTS, &object_key(id), at)? else {
        if let Some(role) = fixed_role(|fixed, _| fixed == id.0) {
            return Ok(Some(Arc::new(role)));
        }
        let is_implied = id.0 == PUBLIC_ID && is_before_objects(txn, at)?;
        return Ok(is_implied.then(|| Arc::new(public())));
    };
    with_types(txn, at, |types| codec::decode(&bytes, types)).map(|object| Some(Arc::new(object)))
}

/// Every object, as of some time, in order of creation.
///
/// # Errors
/// Storage; a malformed record.
pub fn objects(txn: &mut dyn Transaction, at: ReadAt) -> Result<Vec<Arc<Object>>> {
    let mut found = Vec::new();
    if is_before_objects(txn, at)? {
        return Ok(vec![Arc::new(public())]);
    }
    let mut records = Vec::new();
    scan_all(txn, OBJECTS, at, &mut |_, bytes| {
        records.push(bytes.to_vec());
        Ok(())
    })?;
    for bytes in records {
        found.push(Arc::new(with_types(txn, at, |types| codec::decode(&bytes, types))?));
    }
    Ok(found)
}

/// The objects of a name, as of some time: more than one where names may repeat.
///
/// # Errors
/// Storage; a malformed record.
pub(crate) fn objects_named(
    txn: &mut dyn Transaction,
    space: NameSpace,
    schema: &str,
    name: &str,
    at: ReadAt,
) -> Result<Vec<Arc<Object>>> {
    let prefix = names_key(space, schema, name);
    let mut ids = Vec::new();
    if space == NameSpace::Relation {
        let named = read(txn, NAMES, &prefix, at)?;
        ids.extend(named.and_then(|bytes| object_of(&bytes)));
    } else {
        scan_prefix(txn, &prefix, at, &mut |bytes| ids.extend(object_of(bytes)))?;
    }
    let mut found = Vec::new();
    for id in ids {
        found.extend(object_by_id(txn, id, at)?);
    }
    if space == NameSpace::Role && found.is_empty() {
        found.extend(fixed_role(|_, fixed| fixed == name).map(Arc::new));
    }
    if found.is_empty()
        && (space, name) == (NameSpace::Schema, PUBLIC)
        && is_before_objects(txn, at)?
    {
        found.push(Arc::new(public()));
    }
    Ok(found)
}

/// One of the roles that have no record.
fn fixed_role(mut is_it: impl FnMut(u32, &str) -> bool) -> Option<Object> {
    let (id, name) = FIXED_ROLES.into_iter().find(|(id, name)| is_it(*id, name))?;
    Some(Object {
        id: ObjectId(id),
        schema: String::new(),
        name: name.into(),
        needs: Vec::new(),
        kind: ObjectKind::Role(Box::new(Role::fixed(id)?)),
    })
}

/// The schema that every database begins with.
fn public() -> Object {
    Object {
        id: ObjectId(PUBLIC_ID),
        schema: String::new(),
        name: PUBLIC.into(),
        needs: Vec::new(),
        kind: ObjectKind::Schema,
    }
}

/// Writes what a database has in the keyspace from its beginning, or that of the keyspace.
pub(super) fn put_first_objects(txn: &mut dyn Transaction) -> Result<()> {
    put_object(txn, &public())?;
    put_object_name(txn, &public())
}

/// Whether it is a time before the keyspace: then there was only what had no record.
fn is_before_objects(txn: &mut dyn Transaction, at: ReadAt) -> Result<bool> {
    match txn.get(OBJECTS, &[], at, &mut Vec::new()) {
        Ok(_) => Ok(false),
        Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn object_of(bytes: &[u8]) -> Option<ObjectId> {
    match super::codec::decode_named(bytes)? {
        Named::Object(id) => Some(id),
        Named::Table(_) | Named::Index(..) => None,
    }
}

fn scan_prefix(
    txn: &mut dyn Transaction,
    prefix: &[u8],
    at: ReadAt,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let mut from = Bound::Included(prefix.to_vec());
    loop {
        let start = from.as_ref().map(Vec::as_slice);
        let range = KeyRange { start, end: Bound::Unbounded };
        let request = ScanRequest { range, at, reverse: false, max_rows: 16 };
        let mut rows = RowBatch::new();
        let state = match txn.scan(NAMES, &request, &mut rows) {
            Ok(state) => state,
            Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for row in rows.rows() {
            if !row.key.starts_with(prefix) {
                return Ok(());
            }
            visit(row.value.unwrap_or_default());
        }
        match rows.last_key() {
            Some(key) if state == ScanState::More => from = Bound::Excluded(key.to_vec()),
            _ => return Ok(()),
        }
    }
}

/// Writes a definition, claimed or new.
pub(crate) fn put_object(txn: &mut dyn Transaction, object: &Object) -> Result<()> {
    txn.put(OBJECTS, &object_key(object.id), &codec::encode(object))?;
    Ok(())
}

/// Takes a definition out.
pub(crate) fn delete_object(txn: &mut dyn Transaction, id: ObjectId) -> Result<()> {
    txn.delete(OBJECTS, &object_key(id))?;
    Ok(())
}

/// Claims an object's name and says what stands there now.
pub(crate) fn claim_object_name(
    txn: &mut dyn Transaction,
    kind: &ObjectKind,
    schema: &str,
    name: &str,
) -> Result<Option<Named>> {
    let key = key_of_name(kind, schema, name);
    let wait = WaitPolicy::Wait(None);
    txn.lock(NAMES, &key, LockStrength::Update, LockIntent::Insert, wait)?;
    let Some(bytes) = read(txn, NAMES, &key, ReadAt::Newest)? else { return Ok(None) };
    super::codec::decode_named(&bytes).map(Some).ok_or_else(malformed)
}

/// Gives an object its name.
pub(crate) fn put_object_name(txn: &mut dyn Transaction, object: &Object) -> Result<()> {
    let key = key_of_name(&object.kind, &object.schema, &object.name);
    txn.put(NAMES, &key, &super::codec::encode_named(Named::Object(object.id)))?;
    Ok(())
}

/// Takes an object's name.
pub(crate) fn delete_object_name(txn: &mut dyn Transaction, object: &Object) -> Result<()> {
    claim_object_name(txn, &object.kind, &object.schema, &object.name)?;
    txn.delete(NAMES, &key_of_name(&object.kind, &object.schema, &object.name))?;
    Ok(())
}
