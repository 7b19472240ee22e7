//! `driftdb_retention`: how far back each table can be read.

use std::time::Duration;

use driftdb_concurrency::{Keep, Transaction};
use driftdb_query::{Result, SystemRelation, SystemScan, timestamptz_of};
use driftdb_storage::Timestamp;
use driftdb_tables::{table_retentions, tables};
use driftdb_types::{DataType, Interval, Value};

use super::{Relation, SystemView};

pub(super) struct Retention;

impl Relation for Retention {
    fn definition(&self) -> SystemRelation {
        SystemRelation {
            name: "driftdb_retention",
            columns: vec![
                ("schema_name", DataType::Text),
                ("table_name", DataType::Text),
                // How long; NULL: for ever.
                ("retention", DataType::Interval),
                // Whether the table says so itself.
                ("is_own", DataType::Bool),
                // The oldest time that is promised; NULL: all there is.
                ("readable_since", DataType::Timestamptz),
            ],
            key: None,
            has_history: false,
        }
    }

    fn rows(
        &self,
        view: &SystemView<'_>,
        scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        let own = table_retentions(txn, scan.at)?;
        let database = view.node.config().retention.map_or(Keep::Forever, Keep::For);
        let promised = view.node.store().retention();
        for table in tables(txn, scan.at)? {
            let keep = own.get(&table.id).copied();
            let since = promised.of(table.keyspace).keep_since;
            out.push(vec![
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
            ]);
        }
        Ok(None)
    }
}

/// A period as days and what is left of one.
fn interval(period: Duration) -> Interval {
    const MICROS_PER_DAY: u128 = 86_400_000_000;
    let micros = period.as_micros();
    Interval {
        months: 0,
        days: i32::try_from(micros / MICROS_PER_DAY).unwrap_or(i32::MAX),
        micros: (micros % MICROS_PER_DAY) as i64,
    }
}
