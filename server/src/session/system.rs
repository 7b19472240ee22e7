//! System relations: where their rows come from.
//!
//! What they look like is declared in a file (`declared`); most are computed from the definitions of
//! tables as of the time of the reference (`catalog`), some from the running node. A relation that is
//! declared and named nowhere else is one of things that this build does not have, and is empty.

mod branches;
mod catalog;
mod declared;
mod fixed;
mod locks;
mod periods;
mod restore_points;
mod retention;
mod rows;
mod running;
mod transactions;
mod waits;

use std::sync::Arc;

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SqlError, SystemRelation, SystemRows, SystemScan};
use driftdb_types::{EvalContext, Value};

use super::cursor::Cursors;
use super::settings::Settings;
use crate::node::Node;
use rows::Rows;

pub(super) use catalog::{Constraint, Definitions, default_of};
pub(super) use fixed::{
    fixed_description, fixed_function, fixed_functions, fixed_type_name, fixed_type_named,
};
pub(super) use running::USER_OID;

/// What the catalog says of them.
pub(crate) fn definitions() -> Vec<Arc<SystemRelation>> {
    declared::declared().iter().map(|declared| Arc::clone(&declared.definition)).collect()
}

/// A relation's oid by its schema, or along the search path, and name.
pub(super) fn relation_named(schema: Option<&str>, name: &str) -> Option<&'static SystemRelation> {
    let schema = schema.unwrap_or(driftdb_query::SYSTEM_SCHEMA);
    let all = declared::declared().iter().map(|declared| &*declared.definition);
    all.into_iter().find(|relation| relation.name == name && relation.schema == schema)
}

/// The relation with an oid.
pub(super) fn relation_with_oid(oid: u32) -> Option<&'static SystemRelation> {
    let mut all = declared::declared().iter().map(|declared| &*declared.definition);
    all.find(|relation| relation.oid == oid)
}

/// What rows are made of.
pub(super) struct SystemView<'a> {
    pub(super) node: &'a Node,
    pub(super) eval: &'a EvalContext,
    pub(super) settings: &'a Settings,
    pub(super) cursors: &'a Cursors,
}

impl SystemRows for SystemView<'_> {
    fn rows(
        &self,
        scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        let Some(declared) = declared::declaration(scan.relation) else {
            return Err(SqlError::internal(format!("nobody knows {}", scan.relation.name)));
        };
        let mut rows = Rows::new(declared, out);
        match scan.relation.name {
            "driftdb_transactions" => return transactions::rows(self, scan, txn, &mut rows),
            "driftdb_restore_points" => restore_points::rows(self, scan, txn, &mut rows)?,
            "driftdb_branches" => branches::rows(self, scan, txn, &mut rows)?,
            "driftdb_periods" => periods::rows(scan, txn, &mut rows)?,
            "driftdb_retention" => retention::rows(self, scan, txn, &mut rows)?,
            "driftdb_waits" => waits::rows(self, txn, &mut rows)?,
            "pg_locks" => locks::rows(self, txn, &mut rows)?,
            "pg_cursors" => running::cursors(self, &mut rows)?,
            "pg_authid" => {
                catalog::roles(&Definitions::read(txn, scan.at)?, self.eval, &mut rows)?;
            }
            "pg_database" => running::databases(self, scan, txn, &mut rows)?,
            "pg_timezone_names" => running::time_zones(self, &mut rows)?,
            "pg_settings" => running::settings(self, &mut rows)?,
            "pg_stat_activity" => running::activity(self, &mut rows)?,
            "pg_description" => {
                fixed::rows("pg_description", &mut rows)?;
                if let Some(source) = catalog::source("pg_description") {
                    source(&Definitions::read(txn, scan.at)?, &mut rows)?;
                }
            }
            name @ ("pg_proc" | "pg_type") => {
                fixed::rows(name, &mut rows)?;
                if let Some(source) = catalog::source(name) {
                    source(&Definitions::read(txn, scan.at)?, &mut rows)?;
                }
            }
            name => match catalog::source(name) {
                Some(source) => source(&Definitions::read(txn, scan.at)?, &mut rows)?,
                None => fixed::rows(name, &mut rows)?,
            },
        }
        Ok(None)
    }
}
