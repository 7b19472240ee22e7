//! `driftdb_restore_points`: named times.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemScan, timestamptz_of};
use driftdb_tables::restore_points;
use driftdb_types::Value;

use super::SystemView;
use super::rows::Rows;

pub(super) fn rows(
    view: &SystemView<'_>,
    scan: &SystemScan<'_>,
    txn: &mut dyn Transaction,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let mut columns = rows.columns(["name", "at", "seq", "pinned"])?;
    for point in restore_points(txn, scan.at)? {
        let sequence = view.node.store().sequence_at(point.at)?;
        columns.add([
            Value::text(point.name),
            Value::Timestamptz(timestamptz_of(point.at)),
            Value::Int8(sequence as i64),
            Value::Bool(point.is_pinned),
        ])?;
    }
    Ok(())
}
