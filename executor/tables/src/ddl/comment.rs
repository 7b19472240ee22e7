//! COMMENT ON: the comment is a part of what it is about, and goes with it.

use driftdb_concurrency::{LockMode, LockObject, ReadAt, WaitPolicy};
use driftdb_query::{Comment, NameSpace, ObjectId, ObjectKind, Result, SqlError, TableId};
use driftdb_types::SqlState;

use super::{DdlContext, create_object, object, replace_object};
use crate::catalog::{delete_object, delete_object_name, object_by_id, objects_named, table_by_id};

/// Says something of an object, or nothing any more.
///
/// # Errors
/// 42704 if the object is gone; storage.
pub fn set_comment(cx: &mut DdlContext<'_>, comment: &Comment) -> Result<()> {
    hold_subject(cx, comment)?;
    let name = comment.subject.name();
    let found = objects_named(cx.txn, NameSpace::Comment, "", &name, ReadAt::Newest)?;
    match (found.first(), &comment.text) {
        (None, None) => Ok(()),
        (Some(before), None) => {
            let before = object::take(cx, before.id)?;
            delete_object_name(cx.txn, &before)?;
            delete_object(cx.txn, before.id)
        }
        (before, Some(text)) => {
            let kind = ObjectKind::Comment { subject: comment.subject.clone(), text: text.clone() };
            match before {
                Some(before) => replace_object(cx, before.id, |object| {
                    object.kind = kind;
                    Ok(())
                })
                .map(drop),
                None => create_object(cx, ("", &name), kind, vec![comment.need], false).map(drop),
            }
        }
    }
}

/// Locks what is spoken of against others who do, and against being dropped.
fn hold_subject(cx: &mut DdlContext<'_>, comment: &Comment) -> Result<()> {
    let (id, wait) = (comment.need.id, WaitPolicy::Wait(None));
    cx.txn.lock_object(LockObject::Table(id), LockMode::ShareUpdateExclusive, wait)?;
    let is_there = table_by_id(cx.txn, TableId(id), ReadAt::Newest)?.is_some()
        || object_by_id(cx.txn, ObjectId(id), ReadAt::Newest)?.is_some();
    // An index is locked by its table.
    if is_there || comment.subject.class == driftdb_query::CommentSubject::RELATIONS {
        return Ok(());
    }
    let message = format!("object with OID {id} does not exist");
    Err(SqlError::new(SqlState::UndefinedObject, message))
}
