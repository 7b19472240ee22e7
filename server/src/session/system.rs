//! System relations: the table of them, and where their rows come from.
//!
//! One file for each. Its description is part of the catalog ([`definitions`]); its rows are asked of
//! a [`SystemView`], which reaches what the session reaches.

mod branches;
mod locks;
mod periods;
mod restore_points;
mod retention;
mod transactions;
mod waits;

use std::sync::Arc;

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SqlError, SystemRelation, SystemRows, SystemScan};
use driftdb_types::Value;

use crate::node::Node;

/// One relation.
trait Relation: Sync {
    fn definition(&self) -> SystemRelation;

    /// As [`SystemRows::rows`].
    fn rows(
        &self,
        view: &SystemView<'_>,
        scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>>;
}

/// Every relation.
const RELATIONS: &[&dyn Relation] = &[
    &transactions::Transactions,
    &restore_points::RestorePoints,
    &branches::Branches,
    &retention::Retention,
    &periods::Periods,
    &locks::Locks,
    &waits::Waits,
];

/// What the catalog says of them.
pub(crate) fn definitions() -> Vec<Arc<SystemRelation>> {
    RELATIONS.iter().map(|relation| Arc::new(relation.definition())).collect()
}

/// What rows are made of.
pub(super) struct SystemView<'a> {
    pub(super) node: &'a Node,
}

impl SystemRows for SystemView<'_> {
    fn rows(
        &self,
        scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        let name = scan.relation.name;
        let relation = RELATIONS.iter().find(|relation| relation.definition().name == name);
        let Some(relation) = relation else {
            return Err(SqlError::internal(format!("nobody has the rows of {name}")));
        };
        relation.rows(self, scan, txn, out)
    }
}
