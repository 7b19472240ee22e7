//! System relations: what the running system knows of itself, selected from like a table.
//!
//! A [`SystemRelation`] is only a description, which the [`crate::Catalog`] finds by name; the plan
//! holds it as a [`crate::SetFunction::System`]. Its rows come from whoever implements
//! [`SystemRows`] (the session), so that binder, planner and executor know none of them. Some are views
//! of others: the binder binds their text where they are named, as of the time of the reference.
//!
//! Invariants
//! * Every row has one value for each column, of its type or NULL.
//! * Rows of a relation with a key come in ascending order of it, and no two have the same.

use std::ops::RangeInclusive;

use driftdb_concurrency::{ReadAt, Transaction};
use driftdb_types::{DataType, Value};

use crate::{Result, SqlError};

/// The schema of system relations. It comes before all others on every search path.
pub const SYSTEM_SCHEMA: &str = "pg_catalog";

/// The schema of the standard's views of the catalog. Names in it are always qualified.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// The role that everything belongs to.
pub const OWNER: &str = "driftdb";

/// What a system relation is called and what its rows look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemRelation {
    /// Its object identifier, which its hidden column `tableoid` has.
    pub oid: u32,
    /// Its schema: [`SYSTEM_SCHEMA`] or [`INFORMATION_SCHEMA`].
    pub schema: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: Vec<(&'static str, DataType)>,
    /// The position of the `int8` column that its rows are reached by; `None`: only all together.
    pub key: Option<usize>,
    /// Whether it can be read as of a time.
    pub has_history: bool,
    /// The query whose rows it has, over other system relations; `None`: [`SystemRows`] has its rows.
    pub view: Option<&'static str>,
}

/// Which rows are wanted.
#[derive(Debug, Clone)]
pub struct SystemScan<'a> {
    /// Of which relation.
    pub relation: &'a SystemRelation,
    /// As of when; [`ReadAt::Statement`] where it has no history.
    pub at: ReadAt,
    /// Rows with other keys are not needed. Everything if there is no key.
    pub keys: RangeInclusive<i64>,
}

/// Whoever has the rows of system relations.
pub trait SystemRows {
    /// Adds rows to `out`: all, or for a relation with a key a bounded number from the start of the
    /// range on; then the key is returned from which to go on.
    ///
    /// # Errors
    /// Storage; a time outside of the promise.
    fn rows(
        &self,
        scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>>;
}

/// Where no system relation can be named.
#[derive(Debug, Clone, Copy)]
pub struct NoSystemRows;

impl SystemRows for NoSystemRows {
    fn rows(
        &self,
        scan: &SystemScan<'_>,
        _txn: &mut dyn Transaction,
        _out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        Err(SqlError::internal(format!("nobody has the rows of {}", scan.relation.name)))
    }
}
