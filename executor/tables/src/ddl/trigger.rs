//! Triggers: made, switched on and off.
//!
//! A trigger is an object that is a part of its table; the table's record names its triggers, so that who
//! knows a table knows them, and making one changes the table's definition for everybody.

use std::sync::Arc;

use driftdb_concurrency::{LockMode, ReadAt};
use driftdb_query::{
    Need, Object, ObjectId, ObjectKind, Result, SqlError, Table, TableNeed, TablePart, Trigger,
};
use driftdb_types::SqlState;

use super::DdlContext;
use super::object::{create_object, replace_object};
use crate::catalog::{object_by_id, put_table};

/// The triggers of a table, in the order of their names.
///
/// # Errors
/// Storage; a malformed record.
pub fn triggers_of(
    txn: &mut dyn driftdb_concurrency::Transaction,
    table: &Table,
    at: ReadAt,
) -> Result<Vec<Arc<Object>>> {
    let mut found = Vec::new();
    for needing in table.needs.iter().filter(|needing| needing.part == TablePart::Trigger) {
        found.extend(object_by_id(txn, ObjectId(needing.need.id), at)?);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Makes a trigger, or with `replace` another one of an old one.
///
/// # Errors
/// 42710 for a name that is taken; storage.
pub fn create_trigger(
    cx: &mut DdlContext<'_>,
    table: &Table,
    name: &str,
    trigger: &Trigger,
    replace: bool,
) -> Result<()> {
    let mut table = cx.take_in(table, LockMode::ShareRowExclusive)?;
    let kind = ObjectKind::Trigger(Box::new(trigger.clone()));
    let mut needs =
        vec![Need { id: table.id.0, column: None, is_part: true }, Need::of(trigger.function.0)];
    needs.extend(trigger.columns.iter().map(|column| Need {
        id: table.id.0,
        column: Some(*column),
        is_part: false,
    }));
    let schema = table.schema.clone();
    let created = create_object(cx, (&schema, name), kind.clone(), needs.clone(), true)?;
    match created {
        Some(object) => {
            let need = Need { id: object.id.0, column: None, is_part: true };
            table.needs.push(TableNeed { part: TablePart::Trigger, need });
        }
        None if replace => {
            let found = triggers_of(cx.txn, &table, ReadAt::Newest)?;
            let Some(before) = found.into_iter().find(|object| object.name == name) else {
                return Err(SqlError::internal("a name without a trigger"));
            };
            replace_object(cx, before.id, |object| {
                object.kind = kind;
                object.needs = needs;
                Ok(())
            })?;
        }
        None => {
            let message =
                format!("trigger \"{name}\" for relation \"{}\" already exists", table.name);
            return Err(SqlError::new(SqlState::DuplicateObject, message));
        }
    }
    // The definition is another one now, also where only the trigger's is.
    put_table(cx.txn, &table)
}

/// Says when triggers of a table fire.
///
/// # Errors
/// Storage.
pub fn enable_triggers(
    cx: &mut DdlContext<'_>,
    table: &Table,
    triggers: &[ObjectId],
    enabled: char,
) -> Result<()> {
    let table = cx.take_in(table, LockMode::ShareRowExclusive)?;
    for id in triggers {
        replace_object(cx, *id, |object| {
            if let ObjectKind::Trigger(trigger) = &mut object.kind {
                trigger.enabled = enabled;
            }
            Ok(())
        })?;
    }
    put_table(cx.txn, &table)
}
