//! `driftdb_periods`: the application-time periods of tables.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemScan};
use driftdb_tables::tables;
use driftdb_types::Value;

use super::rows::Rows;

pub(super) fn rows(
    scan: &SystemScan<'_>,
    txn: &mut dyn Transaction,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let mut columns =
        rows.columns(["schema_name", "table_name", "period_name", "start_column", "end_column"])?;
    for table in tables(txn, scan.at)? {
        let Some(period) = &table.period else { continue };
        let column = |id| table.position(id).map(|at| table.columns[at].name.clone());
        let text = |text: String| Value::text(text);
        columns.add([
            text(table.schema.clone()),
            text(table.name.clone()),
            text(period.name.clone()),
            column(period.start).map_or(Value::Null, text),
            column(period.end).map_or(Value::Null, text),
        ])?;
    }
    Ok(())
}
