//! Schemas change and go, and what is in them moves.
//!
//! Whoever puts something into a schema holds it; whoever drops or renames it takes it alone, and then works
//! on what is in it now: nothing can be left without its schema.
//!
//! Source: PostgreSQL 15, src/backend/commands/schemacmds.c, whose texts these are.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    LockMode, LockObject, ReadAt, RowBatch, ScanRequest, ScanState, WaitPolicy,
};
use driftdb_query::{
    NameSpace, ObjectId, ObjectKind, Result, Schema, SqlError, Table, TableId, is_temporary,
};
use driftdb_storage::KeyRange;
use driftdb_types::SqlState;

use super::{DdlContext, Thing, drop_all, duplicate_relation, object};
use crate::catalog::{
    NAMES, Named, codec, delete_name, delete_object_name, lookup, malformed, name_key, objects,
    objects_named, put_name, put_object, put_object_name, put_table, table_by_id,
};
use crate::key::after_prefix;

/// Drops schemas, with all that is in them if CASCADE was said; gives descriptions of what went with
/// them.
///
/// # Errors
/// 2BP01 for a schema that is not empty, without CASCADE; storage.
pub fn drop_schemas(
    cx: &mut DdlContext<'_>,
    schemas: &[Arc<Schema>],
    cascade: bool,
) -> Result<Vec<String>> {
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    let things: Vec<Thing> =
        schemas.iter().map(|schema| Thing::Object(ObjectId(schema.id))).collect();
    drop_all(cx, &things, cascade)
}

/// Drops the temporary tables that nobody dropped: those of sessions that ended with the process.
///
/// # Errors
/// Storage.
pub(crate) fn drop_left_over(cx: &mut DdlContext<'_>) -> Result<()> {
    let objects = objects(cx.txn, ReadAt::Newest)?;
    let left = objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Schema && is_temporary(&object.name));
    let left: Vec<Thing> = left.map(|object| Thing::Object(object.id)).collect();
    if !left.is_empty() {
        drop_all(cx, &left, true)?;
    }
    Ok(())
}

/// Gives a schema another name, under which everything in it is from now on.
///
/// # Errors
/// 42P06 for a name that is taken; storage.
pub fn rename_schema(cx: &mut DdlContext<'_>, schema: &Schema, to: &str) -> Result<()> {
    let from = object::take(cx, ObjectId(schema.id))?.name;
    object::rename_object(cx, ObjectId(schema.id), ("", to))?;
    let contents = contents(cx, &from)?;
    for id in contents.tables {
        if let Some(table) = cx.try_take_id(id)? {
            place_in(cx, table, to)?;
        }
    }
    for id in contents.objects {
        let mut object = object::take(cx, id)?;
        delete_object_name(cx.txn, &object)?;
        to.clone_into(&mut object.schema);
        put_object(cx.txn, &object)?;
        put_object_name(cx.txn, &object)?;
    }
    Ok(())
}

/// Moves a table with its indexes to another schema.
///
/// # Errors
/// 3F000 for a schema that is gone; 42P07 for a name that is taken there; storage.
pub fn move_table(cx: &mut DdlContext<'_>, table: &Table, to: &str) -> Result<()> {
    let table = cx.take(table)?;
    cx.hold_schema(to)?;
    if table.schema == to {
        return Ok(());
    }
    let names = std::iter::once(&table.name).chain(table.indexes.iter().map(|index| &index.name));
    for name in names {
        if !cx.name_is_free(to, name)? {
            let error = duplicate_relation(name);
            let message = format!("{} in schema \"{to}\"", error.message);
            return Err(SqlError { message, ..error });
        }
    }
    place_in(cx, table, to)
}

/// Writes a table under another schema, in which its names are free.
fn place_in(cx: &mut DdlContext<'_>, mut table: Table, to: &str) -> Result<()> {
    let from = std::mem::replace(&mut table.schema, to.to_owned());
    delete_name(cx.txn, &from, &table.name)?;
    put_name(cx.txn, to, &table.name, Named::Table(table.id))?;
    for index in &table.indexes {
        delete_name(cx.txn, &from, &index.name)?;
        put_name(cx.txn, to, &index.name, Named::Index(table.id, index.id))?;
    }
    put_table(cx.txn, &table)
}

/// The tables in a schema now, in order of creation.
///
/// # Errors
/// Storage; a malformed record.
pub fn tables_in(cx: &mut DdlContext<'_>, schema: &str) -> Result<Vec<Arc<Table>>> {
    let mut found = Vec::new();
    for id in contents(cx, schema)?.tables {
        found.extend(table_by_id(cx.txn, id, ReadAt::Newest)?);
    }
    Ok(found)
}

/// What is in a schema, in order of creation.
#[derive(Default)]
struct Contents {
    tables: BTreeSet<TableId>,
    objects: BTreeSet<ObjectId>,
}

fn contents(cx: &mut DdlContext<'_>, schema: &str) -> Result<Contents> {
    let prefix = name_key(schema, "");
    let end = after_prefix(&prefix);
    let mut found = Contents::default();
    let mut from: Option<Vec<u8>> = None;
    loop {
        let start = match &from {
            Some(last) => Bound::Excluded(&last[..]),
            None => Bound::Included(&prefix[..]),
        };
        let range = KeyRange { start, end: end.as_ref().map(|key| &key[..]) };
        let request = ScanRequest { range, at: ReadAt::Newest, reverse: false, max_rows: 256 };
        let mut names = RowBatch::new();
        let state = cx.txn.scan(NAMES, &request, &mut names)?;
        for name in names.rows() {
            match codec::decode_named(name.value.unwrap_or_default()).ok_or_else(malformed)? {
                Named::Table(id) => drop(found.tables.insert(id)),
                Named::Object(id) => drop(found.objects.insert(id)),
                // It goes where its table goes.
                Named::Index(..) => {}
            }
        }
        match names.last_key() {
            Some(last) if state == ScanState::More => from = Some(last.to_vec()),
            _ => return Ok(found),
        }
    }
}

impl DdlContext<'_> {
    /// Holds the schema in which something is about to be.
    ///
    /// # Errors
    /// 3F000 if it does not exist.
    pub(crate) fn hold_schema(&mut self, name: &str) -> Result<()> {
        if Schema::of_system_named(name).is_some() {
            return Ok(());
        }
        if is_temporary(name) {
            // Made when it is first needed; only its session puts anything into it.
            let (kind, needs) = (ObjectKind::Schema, Vec::new());
            object::create_object(self, ("", name), kind, needs, true)?;
            return Ok(());
        }
        let missing = || {
            let message = format!("schema \"{name}\" does not exist");
            SqlError::new(SqlState::InvalidSchemaName, message)
        };
        let before = self.schema_id(name)?.ok_or_else(missing)?;
        let wait = WaitPolicy::Wait(None);
        self.txn.lock_object(LockObject::Table(before.0), LockMode::AccessShare, wait)?;
        if self.schema_id(name)? == Some(before) { Ok(()) } else { Err(missing()) }
    }

    fn schema_id(&mut self, name: &str) -> Result<Option<ObjectId>> {
        let found = objects_named(self.txn, NameSpace::Schema, "", name, ReadAt::Newest)?;
        Ok(found.first().map(|schema| schema.id))
    }

    /// A relation's name as messages have it: with its schema where the search path does not lead to it.
    pub(crate) fn shown(&mut self, schema: &str, name: &str) -> Result<String> {
        if is_temporary(schema) {
            return Ok(name.to_owned());
        }
        for on_path in Arc::clone(&self.eval.schemas).iter() {
            if **on_path == *schema {
                return Ok(name.to_owned());
            }
            if lookup(self.txn, on_path, name, ReadAt::Newest)?.is_some() {
                break;
            }
        }
        Ok(format!("{schema}.{name}"))
    }
}
