//! `driftdb_branches`: the databases beside the one that a node has from the start.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemRelation, SystemScan, timestamptz_of};
use driftdb_types::{DataType, Value};

use super::{Relation, SystemView};
use crate::node::DATABASE;

pub(super) struct Branches;

impl Relation for Branches {
    fn definition(&self) -> SystemRelation {
        SystemRelation {
            name: "driftdb_branches",
            columns: vec![
                ("name", DataType::Text),
                ("parent", DataType::Text),
                // The moment that it inherits, and the number of the parent's last commit in it.
                ("at", DataType::Timestamptz),
                ("seq", DataType::Int8),
                ("created_at", DataType::Timestamptz),
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
        let branches = view.node.branches(txn, scan.at)?;
        for branch in &branches {
            let is_parent = |other: &&driftdb_mvcc::Branch| Some(other.keyspace) == branch.parent;
            let parent = branches.iter().find(is_parent);
            let sequence = view.node.store().sequence_at(branch.at)?;
            out.push(vec![
                Value::text(branch.name.clone()),
                Value::text(parent.map_or(DATABASE, |parent| &parent.name)),
                Value::Timestamptz(timestamptz_of(branch.at)),
                Value::Int8(sequence as i64),
                Value::Timestamptz(timestamptz_of(branch.created)),
            ]);
        }
        Ok(None)
    }
}
