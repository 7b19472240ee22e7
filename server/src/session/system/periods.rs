//! `driftdb_periods`: the application-time periods of tables.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemRelation, SystemScan};
use driftdb_tables::tables;
use driftdb_types::{DataType, Value};

use super::{Relation, SystemView};

pub(super) struct Periods;

impl Relation for Periods {
    fn definition(&self) -> SystemRelation {
        SystemRelation {
            name: "driftdb_periods",
            columns: vec![
                ("schema_name", DataType::Text),
                ("table_name", DataType::Text),
                ("period_name", DataType::Text),
                ("start_column", DataType::Text),
                ("end_column", DataType::Text),
            ],
            key: None,
            has_history: true,
        }
    }

    fn rows(
        &self,
        _view: &SystemView<'_>,
        scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        for table in tables(txn, scan.at)? {
            let Some(period) = &table.period else { continue };
            let column = |id| table.position(id).map(|at| table.columns[at].name.clone());
            let text = |text: String| Value::text(text);
            out.push(vec![
                text(table.schema.clone()),
                text(table.name.clone()),
                text(period.name.clone()),
                column(period.start).map_or(Value::Null, text),
                column(period.end).map_or(Value::Null, text),
            ]);
        }
        Ok(None)
    }
}
