//! Roles come, change and go; what is whose, and who may do what with it.
//!
//! What is said of something ([`Privileges`]) is an object that is a part of it, and needs the roles that
//! it names: so it goes with what it is of, and whoever drops a role takes that alone and finds all that
//! names it.
//!
//! Source: PostgreSQL 15, commands/user.c, catalog/aclchk.c and catalog/pg_shdepend.c, whose rules and
//! texts these are.

mod grant;
mod owner;

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    Acting, BOOTSTRAP_ROLE, EVERYBODY, FIXED_ROLES, Known, Membership, NameSpace, Need, Object,
    ObjectId, ObjectKind, Privileges, Result, Role, RoleOptions, RoleRef, RoleStatement, Securable,
    SqlError, Subject,
};
use driftdb_types::SqlState;

use super::{DdlContext, create_object, object, rename_object, replace_object};
use crate::catalog::{
    Knowing, claim_object_name, delete_object, delete_object_name, objects, objects_named,
};

/// 42501
fn denied(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InsufficientPrivilege, message)
}

/// Roles from here on have records.
const FIRST_OF_USERS: u32 = 16_384;

/// 0LP01
const INVALID_GRANT: SqlState = SqlState::Other(*b"0LP01");

/// What something new is said to be: whoever makes it owns it.
pub(super) fn own_new(cx: &mut DdlContext<'_>, subject: Subject) -> Result<()> {
    if cx.eval.role == BOOTSTRAP_ROLE {
        return Ok(());
    }
    write(cx, &Privileges { subject, owner: cx.eval.role, list: None })
}

/// Runs a statement; gives what there is to tell.
///
/// # Errors
/// What PostgreSQL raises; storage.
pub fn run_role_statement(
    cx: &mut DdlContext<'_>,
    statement: &RoleStatement,
) -> Result<Vec<SqlError>> {
    let mut told = Vec::new();
    match statement {
        RoleStatement::Create { name, options, member_of, members, notices } => {
            told.extend(notices.iter().map(|text| SqlError::new(SqlState::Warning, text.clone())));
            create(cx, name, options, member_of, members, &mut told)?;
        }
        RoleStatement::Alter { role, options, notices } => {
            told.extend(notices.iter().map(|text| SqlError::new(SqlState::Warning, text.clone())));
            alter(cx, role, options)?;
        }
        RoleStatement::Rename { role, to } => rename(cx, role, to)?,
        RoleStatement::Drop { roles, if_exists } => drop_roles(cx, roles, *if_exists, &mut told)?,
        RoleStatement::Member { is_grant, roles, members, admin } => {
            for role in roles {
                for member in members {
                    let (role, member) = (existing(cx, role)?, existing(cx, member)?);
                    if *is_grant {
                        add_member(cx, &role, &member, *admin, &mut told)?;
                    } else {
                        remove_member(cx, &role, &member, *admin, &mut told)?;
                    }
                }
            }
        }
        RoleStatement::Privileges { .. } => grant::run(cx, statement, &mut told)?,
        RoleStatement::SetOwner { of, owner, .. } => owner::set(cx, of, owner)?,
        RoleStatement::Reassign { from, to } => owner::reassign(cx, from, to)?,
        RoleStatement::DropOwned { roles, cascade } => {
            owner::drop_owned(cx, roles, *cascade, &mut told)?;
        }
        RoleStatement::Nothing { notices, .. } => {
            let of = |text: &String| SqlError::new(SqlState::SuccessfulCompletion, text.clone());
            told.extend(notices.iter().map(of));
        }
    }
    Ok(told)
}

/// A role that a statement names.
struct Found {
    id: u32,
    name: String,
}

/// The role that a name stands for. Whoever is connected under a name that is no role's is the one that
/// may do everything.
fn find(cx: &mut DdlContext<'_>, role: &RoleRef) -> Result<Option<Found>> {
    let name = match role {
        RoleRef::Current => {
            return Ok(Some(Found { id: cx.eval.role, name: cx.eval.user.to_string() }));
        }
        RoleRef::Session => {
            let name = cx.eval.session_user.to_string();
            return Ok(Some(Found { id: cx.eval.session_role, name }));
        }
        RoleRef::Everybody => return Ok(Some(Found { id: EVERYBODY, name: "public".into() })),
        RoleRef::Name(name) => name,
    };
    let found = objects_named(cx.txn, NameSpace::Role, "", name, ReadAt::Newest)?;
    if let Some(object) = found.first() {
        return Ok(Some(Found { id: object.id.0, name: name.clone() }));
    }
    let is_own = *name == *cx.eval.session_user && cx.eval.session_role == BOOTSTRAP_ROLE;
    Ok(is_own.then(|| Found { id: BOOTSTRAP_ROLE, name: name.clone() }))
}

fn existing(cx: &mut DdlContext<'_>, role: &RoleRef) -> Result<Found> {
    let found = find(cx, role)?;
    found.ok_or_else(|| match role {
        RoleRef::Name(name) => no_such_role(name),
        _ => SqlError::internal("a role that is none"),
    })
}

fn no_such_role(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedObject, format!("role \"{name}\" does not exist"))
}

/// Who runs the statement.
fn acting(cx: &mut DdlContext<'_>) -> Result<Acting> {
    Acting::of(cx.eval.role, &mut Knowing(cx.txn))
}

fn role_of(cx: &mut DdlContext<'_>, id: u32) -> Result<Role> {
    Ok(Knowing(cx.txn).role(id)?.unwrap_or_default())
}

fn check_new_name(name: &str) -> Result<()> {
    if !name.starts_with("pg_") {
        return Ok(());
    }
    let message = format!("role name \"{name}\" is reserved");
    Err(SqlError::new(SqlState::ReservedName, message)
        .with_detail("Role names starting with \"pg_\" are reserved."))
}

fn create(
    cx: &mut DdlContext<'_>,
    name: &str,
    options: &RoleOptions,
    member_of: &[RoleRef],
    members: &[(RoleRef, bool)],
    told: &mut Vec<SqlError>,
) -> Result<()> {
    let by = acting(cx)?;
    if !by.is_superuser {
        for (said, what) in [
            (options.superuser, "superusers"),
            (options.replication, "replication users"),
            (options.bypass_rls, "bypassrls users"),
        ] {
            if said == Some(true) {
                return Err(denied(format!("must be superuser to create {what}")));
            }
        }
        if !by.may_create_roles {
            return Err(denied("permission denied to create role"));
        }
    }
    check_new_name(name)?;
    if find(cx, &RoleRef::Name(name.to_owned()))?.is_some_and(|found| found.id < FIRST_OF_USERS)
        && FIXED_ROLES.iter().any(|(_, fixed)| *fixed == name)
    {
        let message = format!("role \"{name}\" already exists");
        return Err(SqlError::new(SqlState::DuplicateObject, message));
    }
    let mut role = Role::default();
    options.apply(&mut role);
    let kind = ObjectKind::Role(Box::new(role));
    let made = create_object(cx, ("", name), kind, Vec::new(), false)?;
    let Some(made) = made else { return Err(SqlError::internal("a role that was not made")) };
    let new = Found { id: made.id.0, name: name.to_owned() };
    for role in member_of {
        let role = existing(cx, role)?;
        add_member(cx, &role, &new, false, told)?;
    }
    for (member, admin) in members {
        let member = existing(cx, member)?;
        add_member(cx, &new, &member, *admin, told)?;
    }
    Ok(())
}

/// Gives a role another definition; one without a record gets one.
fn change(cx: &mut DdlContext<'_>, role: &Found, change: impl FnOnce(&mut Role)) -> Result<()> {
    if role.id < FIRST_OF_USERS {
        let message = format!("role \"{}\" cannot be altered", role.name);
        return Err(SqlError::new(SqlState::FeatureNotSupported, message)
            .with_detail("It is required by the database system."));
    }
    replace_object(cx, ObjectId(role.id), |object| {
        let ObjectKind::Role(role) = &mut object.kind else {
            return Err(SqlError::internal("a role that is none"));
        };
        change(role);
        Ok(())
    })?;
    Ok(())
}

fn alter(cx: &mut DdlContext<'_>, role: &RoleRef, options: &RoleOptions) -> Result<()> {
    let found = existing(cx, role)?;
    let (by, before) = (acting(cx)?, role_of(cx, found.id)?);
    if !by.is_superuser {
        if before.superuser || options.superuser.is_some() {
            let what = "superuser roles or change superuser attribute";
            return Err(denied(format!("must be superuser to alter {what}")));
        }
        if before.replication || options.replication.is_some() {
            let what = "replication roles or change replication attribute";
            return Err(denied(format!("must be superuser to alter {what}")));
        }
        if options.bypass_rls.is_some() {
            return Err(denied("must be superuser to change bypassrls attribute"));
        }
        let is_own = found.id == by.id && *options == RoleOptions::default();
        if !by.may_create_roles && !is_own {
            return Err(denied("permission denied"));
        }
    }
    if *options == RoleOptions::default() {
        return Ok(());
    }
    change(cx, &found, |role| options.apply(role))
}

fn rename(cx: &mut DdlContext<'_>, role: &RoleRef, to: &str) -> Result<()> {
    let found = existing(cx, role)?;
    let in_use = |who: &str| {
        let message = format!("{who} user cannot be renamed");
        Err(SqlError::new(SqlState::FeatureNotSupported, message))
    };
    if found.id == cx.eval.session_role {
        return in_use("session");
    }
    if found.id == cx.eval.role {
        return in_use("current");
    }
    check_new_name(&found.name)?;
    check_new_name(to)?;
    let (by, before) = (acting(cx)?, role_of(cx, found.id)?);
    if before.superuser && !by.is_superuser {
        return Err(denied("must be superuser to rename superusers"));
    }
    if !by.may_create_roles {
        return Err(denied("permission denied to rename role"));
    }
    if find(cx, &RoleRef::Name(to.to_owned()))?.is_some() {
        let message = format!("role \"{to}\" already exists");
        return Err(SqlError::new(SqlState::DuplicateObject, message));
    }
    change(cx, &found, |_| {})?;
    rename_object(cx, ObjectId(found.id), ("", to))?;
    Ok(())
}

fn drop_roles(
    cx: &mut DdlContext<'_>,
    roles: &[RoleRef],
    if_exists: bool,
    told: &mut Vec<SqlError>,
) -> Result<()> {
    let by = acting(cx)?;
    if !by.may_create_roles {
        return Err(denied("permission denied to drop role"));
    }
    let mut dropped: Vec<Found> = Vec::new();
    for role in roles {
        let RoleRef::Name(name) = role else {
            let message = "cannot use special role specifier in DROP ROLE";
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        };
        let Some(found) = find(cx, role)? else {
            if !if_exists {
                return Err(no_such_role(name));
            }
            let message = format!("role \"{name}\" does not exist, skipping");
            told.push(SqlError::new(SqlState::SuccessfulCompletion, message));
            continue;
        };
        for (id, who) in [(cx.eval.role, "current"), (cx.eval.session_role, "session")] {
            if found.id == id {
                let message = format!("{who} user cannot be dropped");
                return Err(SqlError::new(SqlState::ObjectInUse, message));
            }
        }
        if role_of(cx, found.id)?.superuser && !by.is_superuser {
            return Err(denied("must be superuser to drop superusers"));
        }
        if found.id < FIRST_OF_USERS {
            let message =
                format!("cannot drop role {name} because it is required by the database system");
            return Err(SqlError::new(SqlState::DependentObjectsStillExist, message));
        }
        dropped.push(found);
    }
    for found in &dropped {
        // Alone: nobody comes to name it.
        let object = object::take(cx, ObjectId(found.id))?;
        let lines = owner::named_by(cx, found.id)?;
        if !lines.is_empty() {
            let name = &found.name;
            let message =
                format!("role \"{name}\" cannot be dropped because some objects depend on it");
            return Err(SqlError::new(SqlState::DependentObjectsStillExist, message)
                .with_detail(lines.join("\n")));
        }
        for member in objects(cx.txn, ReadAt::Newest)? {
            let ObjectKind::Role(role) = &member.kind else { continue };
            if role.member_of.iter().any(|membership| membership.role == found.id) {
                let member = Found { id: member.id.0, name: member.name.clone() };
                change(cx, &member, |role| role.member_of.retain(|one| one.role != found.id))?;
            }
        }
        delete_object_name(cx.txn, &object)?;
        delete_object(cx.txn, object.id)?;
    }
    Ok(())
}

fn check_administers(cx: &mut DdlContext<'_>, role: &Found) -> Result<()> {
    let by = acting(cx)?;
    if by.is_superuser {
        return Ok(());
    }
    if role_of(cx, role.id)?.superuser {
        return Err(denied("must be superuser to alter superusers"));
    }
    if by.may_create_roles || by.administers.contains(&role.id) {
        return Ok(());
    }
    Err(denied(format!("must have admin option on role \"{}\"", role.name)))
}

fn add_member(
    cx: &mut DdlContext<'_>,
    role: &Found,
    member: &Found,
    admin: bool,
    told: &mut Vec<SqlError>,
) -> Result<()> {
    check_administers(cx, role)?;
    if role.id == driftdb_query::DATABASE_OWNER_ROLE {
        let message = "role \"pg_database_owner\" cannot have explicit members";
        return Err(SqlError::new(INVALID_GRANT, message));
    }
    let other = Acting::of(role.id, &mut Knowing(cx.txn))?;
    if other.may_become.contains(&member.id) {
        let message = format!("role \"{}\" is a member of role \"{}\"", role.name, member.name);
        return Err(SqlError::new(INVALID_GRANT, message));
    }
    let before = role_of(cx, member.id)?;
    let known = before.member_of.iter().find(|known| known.role == role.id);
    if known.is_some_and(|known| known.admin || !admin) {
        let message =
            format!("role \"{}\" is already a member of role \"{}\"", member.name, role.name);
        told.push(SqlError::new(SqlState::SuccessfulCompletion, message));
        return Ok(());
    }
    // What is joined must not be dropped meanwhile.
    if role.id >= FIRST_OF_USERS {
        object::hold(cx, &[Need::of(role.id)])?;
    }
    let grantor = cx.eval.role;
    change(cx, member, |member| {
        member.member_of.retain(|known| known.role != role.id);
        member.member_of.push(Membership { role: role.id, grantor, admin });
    })
}

fn remove_member(
    cx: &mut DdlContext<'_>,
    role: &Found,
    member: &Found,
    only_admin: bool,
    told: &mut Vec<SqlError>,
) -> Result<()> {
    check_administers(cx, role)?;
    let before = role_of(cx, member.id)?;
    if before.member_of.iter().all(|known| known.role != role.id) {
        let message = format!("role \"{}\" is not a member of role \"{}\"", member.name, role.name);
        told.push(SqlError::new(SqlState::Warning, message));
        return Ok(());
    }
    change(cx, member, |member| {
        if only_admin {
            let of = member.member_of.iter_mut().filter(|known| known.role == role.id);
            of.for_each(|known| known.admin = false);
        } else {
            member.member_of.retain(|known| known.role != role.id);
        }
    })
}

/// What is so of something now.
fn privileges_of(cx: &mut DdlContext<'_>, subject: Subject) -> Result<Privileges> {
    crate::catalog::privileges_of(&mut Knowing(cx.txn), subject)
}

/// Says what is so of something from now on.
fn write(cx: &mut DdlContext<'_>, privileges: &Privileges) -> Result<()> {
    let (subject, name) = (privileges.subject, privileges.subject.name());
    let kind = ObjectKind::Privileges(Box::new(privileges.clone()));
    // Of two who say something first, one waits for the other here.
    claim_object_name(cx.txn, &kind, "", &name)?;
    let found = objects_named(cx.txn, NameSpace::Privileges, "", &name, ReadAt::Newest)?;
    let is_first = match subject.kind {
        Securable::Column => privileges.list().is_empty(),
        _ => privileges.is_first(),
    };
    let needs = needs_of(privileges);
    match (found.first(), is_first) {
        (None, true) => Ok(()),
        (Some(before), true) => {
            let before = object::take(cx, before.id)?;
            delete_object_name(cx.txn, &before)?;
            delete_object(cx.txn, before.id)
        }
        (Some(before), false) => {
            let change = |object: &mut Object| {
                (object.kind, object.needs) = (kind, needs);
                Ok(())
            };
            replace_object(cx, before.id, change).map(drop)
        }
        (None, false) => create_object(cx, ("", &name), kind, needs, false).map(drop),
    }
}

/// Privileges go with what they are of, and name roles.
fn needs_of(privileges: &Privileges) -> Vec<Need> {
    let subject = privileges.subject;
    let mut needs = Vec::new();
    if !matches!(subject.kind, Securable::Database | Securable::Language) {
        let column = (subject.column > 0).then_some(driftdb_query::ColumnId(subject.column));
        needs.push(Need { id: subject.id, column, is_part: true });
    }
    let list = privileges.list.iter().flatten();
    let named = list.flat_map(|item| [item.grantee, item.grantor]);
    for role in std::iter::once(privileges.owner).chain(named) {
        if role >= FIRST_OF_USERS && !needs.contains(&Need::of(role)) {
            needs.push(Need::of(role));
        }
    }
    needs
}

/// All that is said of anything.
fn all_privileges(cx: &mut DdlContext<'_>) -> Result<Vec<(Arc<Object>, Privileges)>> {
    let all = objects(cx.txn, ReadAt::Newest)?.into_iter();
    Ok(all
        .filter_map(|object| match &object.kind {
            ObjectKind::Privileges(privileges) => {
                let privileges = (**privileges).clone();
                Some((object, privileges))
            }
            _ => None,
        })
        .collect())
}
