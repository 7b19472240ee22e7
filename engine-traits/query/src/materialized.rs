//! Materialized views: tables that a query fills.
//!
//! A materialized view is a table in everything that reads it, its history included. That it is one is said
//! by an object of the catalog, a part of the table, which holds the query and what that needs; the table's
//! record names the object, so that who knows the table knows it. Whether it holds rows of its query or was
//! left empty is a second note in the table's record, because whoever reads the table must know.
//!
//! Source: PostgreSQL 15, commands/matview.c.

use std::sync::Arc;

use crate::{Need, ObjectId, SqlError, Table, TableId, TablePart, View};
use driftdb_types::SqlState;

/// What makes a table a materialized view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Materialized {
    /// The table.
    pub table: TableId,
    /// Its query.
    pub view: View,
}

/// What CREATE MATERIALIZED VIEW says besides a table's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct MaterializedSpec {
    /// Its query.
    pub view: View,
    /// What the query needs.
    pub needs: Vec<Need>,
    /// WITH DATA
    pub with_data: bool,
}

/// REFRESH MATERIALIZED VIEW.
#[derive(Debug, Clone, PartialEq)]
pub struct Refresh {
    /// Which.
    pub table: Arc<Table>,
    /// CONCURRENTLY: only what differs is written.
    pub concurrently: bool,
}

impl Table {
    /// What makes it a materialized view, if it is one.
    pub fn materialized(&self) -> Option<ObjectId> {
        let part = |needing: &&crate::TableNeed| needing.part == TablePart::Materialized;
        self.needs.iter().find(part).map(|needing| ObjectId(needing.need.id))
    }

    /// Whether it may be read: all but a materialized view that holds no data.
    pub fn is_populated(&self) -> bool {
        self.needs.iter().all(|needing| needing.part != TablePart::Unpopulated)
    }

    /// PostgreSQL's word for it in messages.
    pub fn word(&self) -> &'static str {
        if self.materialized().is_some() { "materialized view" } else { "table" }
    }

    /// The error for reading a materialized view that holds no data.
    pub fn unpopulated(&self) -> SqlError {
        let message = format!("materialized view \"{}\" has not been populated", self.name);
        SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
            .with_hint("Use the REFRESH MATERIALIZED VIEW command.")
    }
}
