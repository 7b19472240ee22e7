//! What the running server knows: its database, roles, settings and sessions.

use driftdb_concurrency::Transaction;
use driftdb_query::{OWNER, Result, SystemScan};
use driftdb_types::Value;

use super::SystemView;
use super::rows::Rows;
use crate::node::{DATABASE, MAIN_ID};

/// Who owns everything.
pub(in crate::session) const OWNER_OID: u32 = 10;
/// A session's user where that is another: everybody may do everything.
pub(in crate::session) const USER_OID: u32 = 16_383;

/// The main database and its branches.
pub(super) fn databases(
    view: &SystemView<'_>,
    scan: &SystemScan<'_>,
    txn: &mut dyn Transaction,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let mut databases = vec![(MAIN_ID, DATABASE.to_owned())];
    let branches = view.node.branches(txn, scan.at)?;
    databases.extend(branches.into_iter().map(|branch| (branch.keyspace.0, branch.name)));
    let own = view.node.database_id();
    if databases.iter().all(|(id, _)| *id != own) {
        databases.push((own, view.eval.database.to_string()));
    }
    let mut columns = rows.columns(["oid", "datname"])?;
    databases
        .into_iter()
        .try_for_each(|(id, name)| columns.add([Value::Oid(id), Value::text(name)]))
}

pub(super) fn settings(view: &SystemView<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "name",
        "setting",
        "category",
        "short_desc",
        "vartype",
        "source",
        "boot_val",
        "reset_val",
        "context",
    ])?;
    for setting in view.settings.described() {
        columns.add([
            Value::text(setting.name),
            Value::text(setting.value),
            Value::text("Client Connection Defaults"),
            Value::text(setting.description),
            Value::text(setting.kind),
            Value::text(if setting.value == setting.default { "default" } else { "session" }),
            Value::text(setting.default),
            Value::text(setting.reset),
            Value::text(if setting.is_fact { "internal" } else { "user" }),
        ])?;
    }
    Ok(())
}

pub(super) fn cursors(view: &SystemView<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "name",
        "statement",
        "is_holdable",
        "is_binary",
        "is_scrollable",
        "creation_time",
    ])?;
    view.cursors.described().try_for_each(|row| columns.add(row))
}

pub(super) fn activity(view: &SystemView<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "datid",
        "datname",
        "pid",
        "usesysid",
        "usename",
        "application_name",
        "query",
    ])?;
    let own_id = match view.eval.session_role {
        OWNER_OID if *view.eval.session_user != *OWNER => USER_OID,
        id => id,
    };
    let own_user = Some((own_id, view.eval.session_user.to_string()));
    for pid in view.node.registry().pids() {
        let is_own = pid == view.eval.backend_pid;
        let user = own_user.clone().filter(|_| is_own);
        let application = is_own.then(|| view.settings.application_name());
        let activity = view.node.registry().activity(pid);
        columns.add([
            Value::Oid(view.node.database_id()),
            Value::text(&*view.eval.database),
            Value::Int4(pid),
            user.as_ref().map_or(Value::Null, |(oid, _)| Value::Oid(*oid)),
            user.map_or(Value::Null, |(_, name)| Value::text(name)),
            application.map_or(Value::Null, Value::text),
            activity.as_deref().map_or(Value::Null, Value::text),
        ])?;
    }
    Ok(())
}
