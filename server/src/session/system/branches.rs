//! `driftdb_branches`: the databases beside the one that a node has from the start.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemScan, timestamptz_of};
use driftdb_types::Value;

use super::SystemView;
use super::rows::Rows;
use crate::node::DATABASE;

pub(super) fn rows(
    view: &SystemView<'_>,
    scan: &SystemScan<'_>,
    txn: &mut dyn Transaction,
    rows: &mut Rows<'_>,
) -> Result<()> {
    // `at` is the moment that it inherits, `seq` the number of the parent's last commit in it.
    let mut columns = rows.columns(["name", "parent", "at", "seq", "created_at"])?;
    let branches = view.node.branches(txn, scan.at)?;
    for branch in &branches {
        let is_parent = |other: &&driftdb_mvcc::Branch| Some(other.keyspace) == branch.parent;
        let parent = branches.iter().find(is_parent);
        let sequence = view.node.store().sequence_at(branch.at)?;
        columns.add([
            Value::text(branch.name.clone()),
            Value::text(parent.map_or(DATABASE, |parent| &parent.name)),
            Value::Timestamptz(timestamptz_of(branch.at)),
            Value::Int8(sequence as i64),
            Value::Timestamptz(timestamptz_of(branch.created)),
        ])?;
    }
    Ok(())
}
