//! `driftdb_transactions`: every commit there ever was, by its sequence number.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemRelation, SystemScan};
use driftdb_types::{DataType, Value};

use super::{Relation, SystemView};
use crate::session::time::micros_of;

pub(super) struct Transactions;

/// Commits looked up at a time.
const MOST_AT_ONCE: u64 = 1024;

impl Relation for Transactions {
    fn definition(&self) -> SystemRelation {
        SystemRelation {
            name: "driftdb_transactions",
            columns: vec![("seq", DataType::Int8), ("committed_at", DataType::Timestamptz)],
            key: Some(0),
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
        let store = view.node.store();
        let newest = store.sequence_at(txn.snapshot_ts())?;
        let from = u64::try_from(*scan.keys.start()).unwrap_or(0).max(1);
        let to = u64::try_from(*scan.keys.end()).unwrap_or(0).min(newest);
        let end = to.min(from.saturating_add(MOST_AT_ONCE - 1));
        for sequence in from..=end {
            let ts = store.timestamp_of_sequence(sequence)?;
            out.push(vec![Value::Int8(sequence as i64), Value::Timestamptz(micros_of(ts))]);
        }
        Ok((end < to).then_some(end as i64 + 1))
    }
}
