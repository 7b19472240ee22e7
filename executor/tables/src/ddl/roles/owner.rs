//! ALTER … OWNER TO, REASSIGN OWNED, DROP OWNED, and what names a role.
//!
//! Source: PostgreSQL 15, commands/alter.c, commands/tablecmds.c (ATExecChangeOwner) and
//! catalog/pg_shdepend.c.

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    BOOTSTRAP_ROLE, NameSpace, Named, ObjectId, ObjectKind, Privileges, Result, Rights, RoleRef,
    Securable, SqlError, Subject, TableId,
};
use driftdb_types::SqlState;

use super::{DdlContext, acting, all_privileges, denied, existing, privileges_of, write};
use crate::catalog::{not_owner, object_by_id, objects, objects_named, table_by_id};
use crate::ddl::{Thing, drop_all};

pub(super) fn set(cx: &mut DdlContext<'_>, of: &[Named], owner: &RoleRef) -> Result<()> {
    let owner = existing(cx, owner)?;
    let by = acting(cx)?;
    for what in of {
        let before = privileges_of(cx, what.subject)?;
        if before.owner == owner.id {
            continue;
        }
        if !by.is_superuser {
            if !before.is_owned_by(&by) {
                return Err(not_owner(what));
            }
            if !by.may_be(owner.id) {
                return Err(denied(format!("must be member of role \"{}\"", owner.name)));
            }
            check_may_create(cx, what.subject, owner.id)?;
        }
        give(cx, before, owner.id)?;
    }
    Ok(())
}

/// The new owner could have made it there.
fn check_may_create(cx: &mut DdlContext<'_>, subject: Subject, owner: u32) -> Result<()> {
    let table = table_by_id(cx.txn, TableId(subject.id), ReadAt::Newest)?;
    let schema = match table {
        Some(table) => table.schema.clone(),
        None => match object_by_id(cx.txn, ObjectId(subject.id), ReadAt::Newest)? {
            Some(object) => object.schema.clone(),
            None => return Ok(()),
        },
    };
    let found = objects_named(cx.txn, NameSpace::Schema, "", &schema, ReadAt::Newest)?;
    let Some(found) = found.first() else { return Ok(()) };
    let of_schema = privileges_of(cx, Subject::whole(Securable::Schema, found.id.0))?;
    let owner = driftdb_query::Acting::of(owner, &mut crate::catalog::Knowing(cx.txn))?;
    if of_schema.held(&owner).has(Rights::CREATE) {
        return Ok(());
    }
    Err(denied(format!("permission denied for schema {schema}")))
}

/// Gives something, and what belongs to it, to a role.
fn give(cx: &mut DdlContext<'_>, mut privileges: Privileges, owner: u32) -> Result<()> {
    let old = privileges.owner;
    privileges.set_owner(owner);
    write(cx, &privileges)?;
    if privileges.subject.kind != Securable::Table {
        return Ok(());
    }
    let table = privileges.subject.id;
    for (_, mut column) in all_privileges(cx)? {
        if (column.subject.kind, column.subject.id) == (Securable::Column, table) {
            column.owner = old;
            column.set_owner(owner);
            write(cx, &column)?;
        }
    }
    for object in objects(cx.txn, ReadAt::Newest)? {
        let is_of_table = object.needs.iter().any(|need| need.is_part && need.id == table);
        if matches!(object.kind, ObjectKind::Sequence(_)) && is_of_table {
            let subject = Subject::whole(Securable::Sequence, object.id.0);
            let mut of_sequence = privileges_of(cx, subject)?;
            of_sequence.set_owner(owner);
            write(cx, &of_sequence)?;
        }
    }
    Ok(())
}

pub(super) fn reassign(cx: &mut DdlContext<'_>, from: &[RoleRef], to: &RoleRef) -> Result<()> {
    let by = acting(cx)?;
    let refused = || denied("permission denied to reassign objects");
    let mut old = Vec::new();
    for role in from {
        let found = existing(cx, role)?;
        if !by.has_all_of(found.id) {
            return Err(refused());
        }
        check_droppable(found.id, &found.name, "reassign ownership of")?;
        old.push(found.id);
    }
    let to = existing(cx, to)?;
    if !by.has_all_of(to.id) {
        return Err(refused());
    }
    for (_, privileges) in all_privileges(cx)? {
        if privileges.subject.kind != Securable::Column && old.contains(&privileges.owner) {
            // A sequence may have gone with its table.
            let now = privileges_of(cx, privileges.subject)?;
            give(cx, now, to.id)?;
        }
    }
    Ok(())
}

fn check_droppable(id: u32, name: &str, what: &str) -> Result<()> {
    if id != BOOTSTRAP_ROLE {
        return Ok(());
    }
    let message = format!(
        "cannot {what} objects owned by role {name} because they are required by the database system"
    );
    Err(SqlError::new(SqlState::DependentObjectsStillExist, message))
}

pub(super) fn drop_owned(
    cx: &mut DdlContext<'_>,
    roles: &[RoleRef],
    cascade: bool,
    told: &mut Vec<SqlError>,
) -> Result<()> {
    let by = acting(cx)?;
    let mut owners = Vec::new();
    for role in roles {
        let found = existing(cx, role)?;
        if !by.has_all_of(found.id) {
            return Err(denied("permission denied to drop objects"));
        }
        check_droppable(found.id, &found.name, "drop")?;
        owners.push(found.id);
    }
    let mut things = Vec::new();
    for (_, mut privileges) in all_privileges(cx)? {
        let subject = privileges.subject;
        if subject.kind != Securable::Column && owners.contains(&privileges.owner) {
            let is_table = table_by_id(cx.txn, TableId(subject.id), ReadAt::Newest)?.is_some();
            things.push(if is_table {
                Thing::Table(TableId(subject.id))
            } else {
                Thing::Object(ObjectId(subject.id))
            });
            continue;
        }
        let Some(list) = &mut privileges.list else { continue };
        let before = list.len();
        list.retain(|item| !owners.contains(&item.grantee) && !owners.contains(&item.grantor));
        if list.len() < before {
            write(cx, &privileges)?;
        }
    }
    let lines = drop_all(cx, &things, cascade)?;
    let lines: Vec<String> = lines.iter().map(|one| format!("drop cascades to {one}")).collect();
    match &lines[..] {
        [] => {}
        [line] => told.push(SqlError::new(SqlState::SuccessfulCompletion, line.clone())),
        _ => {
            let message = format!("drop cascades to {} other objects", lines.len());
            let one = SqlError::new(SqlState::SuccessfulCompletion, message);
            told.push(one.with_detail(crate::ddl::told(&lines)));
        }
    }
    Ok(())
}

/// What names a role, as DROP ROLE tells.
pub(super) fn named_by(cx: &mut DdlContext<'_>, role: u32) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (_, privileges) in all_privileges(cx)? {
        let subject = privileges.subject;
        let owns = subject.kind != Securable::Column && privileges.owner == role;
        if owns {
            lines.push(format!("owner of {}", describe(cx, subject)?));
        }
        let given = privileges.list().iter().any(|item| {
            let by_other = item.grantee == role && !owns;
            by_other || item.grantor == role && item.grantee != role && !owns
        });
        if given {
            lines.push(format!("privileges for {}", describe(cx, subject)?));
        }
    }
    Ok(lines)
}

/// Something as messages name it.
fn describe(cx: &mut DdlContext<'_>, subject: Subject) -> Result<String> {
    if let Some(table) = table_by_id(cx.txn, TableId(subject.id), ReadAt::Newest)? {
        let column = table.columns.iter().find(|column| column.id.0 == subject.column);
        return Ok(match column {
            Some(column) => format!("column {} of table {}", column.name, table.name),
            None => format!("table {}", table.name),
        });
    }
    if subject.kind == Securable::Database {
        return Ok(format!("database {}", cx.eval.database));
    }
    let found = object_by_id(cx.txn, ObjectId(subject.id), ReadAt::Newest)?;
    Ok(match found {
        Some(object) => object.describe(),
        None => format!("object {}", subject.id),
    })
}
