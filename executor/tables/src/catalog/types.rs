//! Types by identifier, as of some time: what a record of the catalog names.

use std::cell::RefCell;

use driftdb_concurrency::{ReadAt, Transaction};
use driftdb_query::{
    ObjectId, ObjectKind, Result, SqlError, TableId, TypeOid, array_type_oid, object_type,
    table_type, view_type,
};
use driftdb_types::{DataType, UserDefinition, UserKind, UserType};

use super::objects::object_by_id;
use super::{malformed, table_by_id};

/// A type by identifier, as of some time.
///
/// # Errors
/// Storage; a malformed record.
pub fn type_by_oid(txn: &mut dyn Transaction, oid: u32, at: ReadAt) -> Result<Option<DataType>> {
    if let Some(known) = DataType::from_oid(oid) {
        return Ok(Some(known));
    }
    Ok(match TypeOid::of(oid) {
        Some(TypeOid::ArrayOf(element)) => type_by_oid(txn, element, at)?.and_then(DataType::array),
        Some(TypeOid::RowsOf(relation)) => match table_by_id(txn, TableId(relation), at)? {
            Some(table) => Some(table_type(&table)),
            None => match object_by_id(txn, ObjectId(relation), at)? {
                Some(object) => match &object.kind {
                    ObjectKind::View(view) => Some(view_type(&object, view)),
                    _ => None,
                },
                None => None,
            },
        },
        Some(TypeOid::Object(id)) => {
            object_by_id(txn, ObjectId(id), at)?.and_then(|object| object_type(&object))
        }
        None => None,
    })
}

/// What stands for a type that is not there: a name only.
fn gone(oid: u32) -> Option<DataType> {
    let (of, is_array) = match TypeOid::of(oid)? {
        TypeOid::ArrayOf(element) => (element, true),
        TypeOid::Object(_) | TypeOid::RowsOf(_) => (oid, false),
    };
    // Users' objects begin here.
    if of < 16_384 {
        return None;
    }
    let ty = DataType::User(UserType::new(UserDefinition {
        oid: of,
        array_oid: array_type_oid(of),
        schema: "pg_catalog".to_owned(),
        name: format!("dropped type {of}"),
        kind: UserKind::Shell,
    }));
    if is_array { ty.array() } else { Some(ty) }
}

/// Reads a record in which types are named by identifier.
///
/// # Errors
/// Storage; a malformed record.
pub(crate) fn with_types<T>(
    txn: &mut dyn Transaction,
    at: ReadAt,
    decode: impl FnOnce(&dyn Fn(u32) -> Option<DataType>) -> Option<T>,
) -> Result<T> {
    let failed: RefCell<Option<SqlError>> = RefCell::new(None);
    let txn = RefCell::new(txn);
    let find = |oid| {
        if let Some(known) = DataType::from_oid(oid) {
            return Some(known);
        }
        match type_by_oid(&mut **txn.borrow_mut(), oid, at) {
            // What names a type that is gone must stay readable, so that it can be dropped.
            Ok(found) => found.or_else(|| gone(oid)),
            Err(error) => {
                failed.replace(Some(error));
                None
            }
        }
    };
    let decoded = decode(&find);
    match (failed.into_inner(), decoded) {
        (Some(error), _) => Err(error),
        (None, Some(decoded)) => Ok(decoded),
        (None, None) => Err(malformed()),
    }
}
