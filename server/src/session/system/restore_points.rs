//! `driftdb_restore_points`: named times.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemRelation, SystemScan, timestamptz_of};
use driftdb_tables::restore_points;
use driftdb_types::{DataType, Value};

use super::{Relation, SystemView};

pub(super) struct RestorePoints;

impl Relation for RestorePoints {
    fn definition(&self) -> SystemRelation {
        SystemRelation {
            name: "driftdb_restore_points",
            columns: vec![
                ("name", DataType::Text),
                ("at", DataType::Timestamptz),
                ("seq", DataType::Int8),
                ("pinned", DataType::Bool),
            ],
            key: None,
            has_history: true,
        }
    }

    fn rows(
        &self,
        view: &SystemView<'_>,
        scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        for point in restore_points(txn, scan.at)? {
            let sequence = view.node.store().sequence_at(point.at)?;
            out.push(vec![
                Value::text(point.name),
                Value::Timestamptz(timestamptz_of(point.at)),
                Value::Int8(sequence as i64),
                Value::Bool(point.is_pinned),
            ]);
        }
        Ok(None)
    }
}
