//! Objects that are neither tables nor indexes: made, replaced, renamed.
//!
//! Whoever makes something locks what it needs in a shared mode, whoever drops something locks that
//! alone, by identifier, as tables are locked: so nothing comes to need what is about to go.

use std::sync::Arc;

use driftdb_concurrency::{LockIntent, LockMode, LockObject, LockStrength, ReadAt, WaitPolicy};
use driftdb_query::{
    Need, Object, ObjectId, ObjectKind, Result, Securable, SqlError, Subject, routine_signature,
};
use driftdb_types::SqlState;

use super::{DdlContext, roles};
use crate::catalog::{
    OBJECTS, claim_object_name, delete_object_name, object_by_id, object_key, put_object,
    put_object_name,
};

/// 42P07 and its kin.
fn taken(kind: &ObjectKind, name: &str) -> SqlError {
    match kind {
        ObjectKind::Comment { .. } => {
            SqlError::new(SqlState::DuplicateObject, format!("comment \"{name}\" already exists"))
        }
        ObjectKind::Schema => {
            let message = format!("schema \"{name}\" already exists");
            SqlError::new(SqlState::DuplicateSchema, message)
        }
        ObjectKind::Sequence(_) | ObjectKind::View(_) => super::duplicate_relation(name),
        ObjectKind::Routine(routine) => {
            let signature = routine_signature(name, &routine.input_types());
            let message = if routine.is_procedure {
                format!("procedure {signature} already exists")
            } else {
                format!("function \"{name}\" already exists with same argument types")
            };
            SqlError::new(SqlState::DuplicateFunction, message)
        }
        ObjectKind::Role(_) | ObjectKind::Privileges(_) | ObjectKind::Materialized(_) => {
            let message = format!("{} \"{name}\" already exists", kind.word());
            SqlError::new(SqlState::DuplicateObject, message)
        }
        ObjectKind::Type(_) => {
            let message = format!("type \"{name}\" already exists");
            SqlError::new(SqlState::DuplicateObject, message)
        }
        ObjectKind::Trigger(_) => {
            let message = format!("trigger \"{name}\" already exists");
            SqlError::new(SqlState::DuplicateObject, message)
        }
    }
}

/// Makes an object; `None` if something has its name and `if_not_exists` was said.
///
/// # Errors
/// A name that is taken; storage.
pub fn create_object(
    cx: &mut DdlContext<'_>,
    (schema, name): (&str, &str),
    kind: ObjectKind,
    needs: Vec<Need>,
    if_not_exists: bool,
) -> Result<Option<Arc<Object>>> {
    if claim_object_name(cx.txn, &kind, schema, name)?.is_some() {
        return if if_not_exists { Ok(None) } else { Err(taken(&kind, name)) };
    }
    if !schema.is_empty() {
        cx.hold_schema(schema)?;
    }
    hold(cx, &needs)?;
    let id = ObjectId(cx.new_object_id()?);
    let object = Object { id, schema: schema.into(), name: name.into(), needs, kind };
    claim(cx, id, LockIntent::Insert)?;
    put_object(cx.txn, &object)?;
    put_object_name(cx.txn, &object)?;
    if let Some(kind) = Securable::of(&object.kind) {
        roles::own_new(cx, Subject::whole(kind, id.0))?;
    }
    Ok(Some(Arc::new(object)))
}

/// Gives an object another definition; its name, schema and signature stay.
///
/// # Errors
/// It is gone; storage.
pub fn replace_object(
    cx: &mut DdlContext<'_>,
    id: ObjectId,
    change: impl FnOnce(&mut Object) -> Result<()>,
) -> Result<Arc<Object>> {
    let mut object = take(cx, id)?;
    let before = object.needs.clone();
    change(&mut object)?;
    let added: Vec<Need> =
        object.needs.iter().filter(|need| !before.contains(need)).copied().collect();
    hold(cx, &added)?;
    put_object(cx.txn, &object)?;
    Ok(Arc::new(object))
}

/// Gives an object another name or schema.
///
/// # Errors
/// A name that is taken; it is gone; storage.
pub fn rename_object(
    cx: &mut DdlContext<'_>,
    id: ObjectId,
    (schema, name): (&str, &str),
) -> Result<Arc<Object>> {
    let mut object = take(cx, id)?;
    if claim_object_name(cx.txn, &object.kind, schema, name)?.is_some() {
        return Err(taken(&object.kind, name));
    }
    if !schema.is_empty() && schema != object.schema {
        cx.hold_schema(schema)?;
    }
    delete_object_name(cx.txn, &object)?;
    object.schema = schema.into();
    object.name = name.into();
    put_object(cx.txn, &object)?;
    put_object_name(cx.txn, &object)?;
    Ok(Arc::new(object))
}

/// Locks an object alone and gives its definition as of now.
pub(super) fn take(cx: &mut DdlContext<'_>, id: ObjectId) -> Result<Object> {
    let wait = WaitPolicy::Wait(None);
    cx.txn.lock_object(LockObject::Table(id.0), LockMode::AccessExclusive, wait)?;
    claim(cx, id, LockIntent::Existing)?;
    let found = object_by_id(cx.txn, id, ReadAt::Newest)?;
    found.map(Arc::unwrap_or_clone).ok_or_else(|| {
        let message = format!("object with OID {} does not exist", id.0);
        SqlError::new(SqlState::UndefinedObject, message)
    })
}

fn claim(cx: &mut DdlContext<'_>, id: ObjectId, intent: LockIntent) -> Result<()> {
    let (key, wait) = (object_key(id), WaitPolicy::Wait(None));
    cx.txn.lock(OBJECTS, &key, LockStrength::Update, intent, wait)?;
    Ok(())
}

/// Locks what is needed against being dropped.
pub(super) fn hold(cx: &mut DdlContext<'_>, needs: &[Need]) -> Result<()> {
    for need in needs {
        let wait = WaitPolicy::Wait(None);
        cx.txn.lock_object(LockObject::Table(need.id), LockMode::AccessShare, wait)?;
    }
    Ok(())
}
