//! `driftdb_waits`: who waits for whom, one row for each pair.

use driftdb_concurrency::Transaction;
use driftdb_query::Result;
use driftdb_types::Value;

use super::SystemView;
use super::locks::{describe, owners};
use super::rows::Rows;

pub(super) fn rows(
    view: &SystemView<'_>,
    txn: &mut dyn Transaction,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let owners = owners(txn)?;
    let pid = |session: Option<i32>| session.map_or(Value::Null, Value::Int4);
    let number = |txn: u64| Value::Int8(i64::try_from(txn).unwrap_or(i64::MAX));
    let mut columns = rows.columns([
        "pid",
        "txn",
        "statement",
        "locktype",
        "relation",
        "mode",
        "blocking_pid",
        "blocking_txn",
        "blocking_statement",
    ])?;
    for wait in view.node.store().waits() {
        let (kind, relation, mode) = describe(&wait.thing, &owners);
        for (session, blocker) in wait.blockers {
            let statement = session.and_then(|pid| view.node.registry().activity(pid));
            columns.add([
                pid(wait.session),
                number(wait.txn.0),
                wait.statement.as_deref().map_or(Value::Null, Value::text),
                Value::text(kind),
                relation.map_or(Value::Null, Value::Oid),
                Value::text(mode),
                pid(session),
                blocker.map_or(Value::Null, |txn| number(txn.0)),
                statement.as_deref().map_or(Value::Null, Value::text),
            ])?;
        }
    }
    Ok(())
}
