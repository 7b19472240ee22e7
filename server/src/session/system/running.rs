//! What the running server knows: its database, roles, settings and sessions.

use driftdb_concurrency::Transaction;
use driftdb_query::{OWNER, Result, SystemScan};
use driftdb_types::{Interval, TimeZone, Value};

use super::SystemView;
use super::rows::Rows;
use crate::node::activity::{State, Told};
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

/// The zones of the database of zones, as they are now.
pub(super) fn time_zones(view: &SystemView<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns(["name", "abbrev", "utc_offset", "is_dst"])?;
    for name in TimeZone::names() {
        let Some(zone) = TimeZone::named(&name) else { continue };
        let (abbreviation, seconds, is_dst) = zone.facts_at(view.eval.statement_ts);
        let offset = Interval { months: 0, days: 0, micros: i64::from(seconds) * 1_000_000 };
        columns.add([
            Value::text(name),
            Value::text(abbreviation),
            Value::Interval(offset),
            Value::Bool(is_dst),
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
        "backend_start",
        "xact_start",
        "query_start",
        "state_change",
        "wait_event_type",
        "wait_event",
        "state",
        "query",
    ])?;
    let registry = view.node.registry();
    for pid in registry.pids() {
        let query = registry.activity(pid);
        // A session that is only just coming has told nothing yet.
        let told = registry.told(pid);
        let time = |at: Option<i64>| at.map_or(Value::Null, Value::Timestamptz);
        let of = |value: fn(&Told) -> Value| told.as_ref().map_or(Value::Null, value);
        let waits = told.as_ref().is_some_and(|told| told.state != State::Active);
        let user_oid = told.as_ref().map(|told| match told.user_oid {
            OWNER_OID if *told.user != *OWNER => USER_OID,
            id => id,
        });
        columns.add([
            Value::Oid(view.node.database_id()),
            Value::text(&*view.eval.database),
            Value::Int4(pid),
            user_oid.map_or(Value::Null, Value::Oid),
            of(|told| Value::text(&*told.user)),
            of(|told| Value::text(told.application.as_str())),
            time(told.as_ref().map(|told| told.started_at)),
            time(told.as_ref().and_then(|told| told.transaction_since)),
            time(told.as_ref().and_then(|told| told.message_at)),
            time(told.as_ref().map(|told| told.state_since)),
            if waits { Value::text("Client") } else { Value::Null },
            if waits { Value::text("ClientRead") } else { Value::Null },
            of(|told| Value::text(told.state.name())),
            query.as_deref().map_or(Value::Null, Value::text),
        ])?;
    }
    Ok(())
}
