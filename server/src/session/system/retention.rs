//! `driftdb_retention`: how far back each table can be read.

use std::time::Duration;

use driftdb_concurrency::{Keep, Transaction};
use driftdb_query::{Result, SystemScan, timestamptz_of};
use driftdb_storage::Timestamp;
use driftdb_tables::{table_retentions, tables};
use driftdb_types::{Interval, Value};

use super::SystemView;
use super::rows::Rows;

pub(super) fn rows(
    view: &SystemView<'_>,
    scan: &SystemScan<'_>,
    txn: &mut dyn Transaction,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let own = table_retentions(txn, scan.at)?;
    let database = view.node.config().retention.map_or(Keep::Forever, Keep::For);
    let promised = view.node.store().retention();
    // `retention` is how long, NULL for ever; `readable_since` is NULL where that is all there is.
    let mut columns =
        rows.columns(["schema_name", "table_name", "retention", "is_own", "readable_since"])?;
    for table in tables(txn, scan.at)? {
        let keep = own.get(&table.id).copied();
        let since = promised.of(table.keyspace).keep_since;
        columns.add([
            Value::text(table.schema.clone()),
            Value::text(table.name.clone()),
            match keep.unwrap_or(database) {
                Keep::Forever => Value::Null,
                Keep::For(period) => Value::Interval(interval(period)),
            },
            Value::Bool(keep.is_some()),
            if since == Timestamp::MIN {
                Value::Null
            } else {
                Value::Timestamptz(timestamptz_of(since))
            },
        ])?;
    }
    Ok(())
}

/// A period as days and what is left of one.
pub(super) fn interval(period: Duration) -> Interval {
    const MICROS_PER_DAY: u128 = 86_400_000_000;
    let micros = period.as_micros();
    Interval {
        months: 0,
        days: i32::try_from(micros / MICROS_PER_DAY).unwrap_or(i32::MAX),
        micros: (micros % MICROS_PER_DAY) as i64,
    }
}
