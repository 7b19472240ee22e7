//! The binder's view of the catalog for one statement.

use std::sync::Arc;

use driftdb_concurrency::{LockMode, ReadAt, Store, Transaction};
use driftdb_env::planted;
use driftdb_query::{Catalog, CatalogAt, IndexId, Result, SystemRelation, Table, TableId};
use driftdb_storage::{KeyspaceId, Timestamp};

use super::{CatalogStore, Named, dropped_table, lookup, restore_point, table_by_id, tables};

/// The only schema until the SQL issue brings more.
const DEFAULT_SCHEMA: &str = "public";

/// See [`CatalogStore::reader`].
pub struct CatalogReader<'a> {
    shared: &'a CatalogStore,
    txn: &'a mut dyn Transaction,
    store: &'a dyn Store,
    own_changes: bool,
    used: Vec<(Arc<Table>, LockMode)>,
}

impl<'a> CatalogReader<'a> {
    pub(super) fn new(
        shared: &'a CatalogStore,
        txn: &'a mut dyn Transaction,
        store: &'a dyn Store,
        own_changes: bool,
    ) -> Self {
        Self { shared, txn, store, own_changes, used: Vec::new() }
    }

    /// The tables that were looked up as of the statement, and how it must lock them to read them.
    pub fn into_used(self) -> Vec<(Arc<Table>, LockMode)> {
        self.used
    }

    fn note(&mut self, table: &Arc<Table>, mode: LockMode) {
        match self.used.iter_mut().find(|(used, _)| used.id == table.id) {
            Some((_, used)) => *used = mode.max(*used),
            None => self.used.push((Arc::clone(table), mode)),
        }
    }

    fn current_table(
        &mut self,
        schema: &str,
        name: &str,
        at: ReadAt,
    ) -> Result<Option<Arc<Table>>> {
        if self.own_changes {
            return self.read_table(schema, name, at);
        }
        let snapshot = self.txn.snapshot_ts();
        if let Some(known) = self.shared.cached(schema, name, snapshot) {
            return Ok(known);
        }
        let table = self.read_table(schema, name, at)?;
        self.shared.remember(schema, name, snapshot, table.clone());
        Ok(table)
    }

    fn read_table(&mut self, schema: &str, name: &str, at: ReadAt) -> Result<Option<Arc<Table>>> {
        match lookup(self.txn, schema, name, at)? {
            Some(Named::Table(id)) => table_by_id(self.txn, id, at),
            _ => Ok(None),
        }
    }
}

fn read_at(at: CatalogAt) -> ReadAt {
    match at {
        CatalogAt::Statement => ReadAt::Statement,
        CatalogAt::AsOf(ts) => ReadAt::AsOf(ts),
    }
}

impl std::fmt::Debug for CatalogReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogReader").field("own_changes", &self.own_changes).finish()
    }
}

impl Catalog for CatalogReader<'_> {
    fn table(
        &mut self,
        schema: Option<&str>,
        name: &str,
        at: CatalogAt,
    ) -> Result<Option<Arc<Table>>> {
        let schema = schema.unwrap_or(DEFAULT_SCHEMA);
        let at = match at {
            CatalogAt::AsOf(ts) => {
                let is_of_now = planted!("tables.definition-of-now");
                let at = if is_of_now { ReadAt::Statement } else { ReadAt::AsOf(ts) };
                let found = self.read_table(schema, name, at);
                return found.map_err(|error| error.about_table(name));
            }
            CatalogAt::Statement => ReadAt::Statement,
        };
        let table = self.current_table(schema, name, at)?;
        if let Some(table) = &table {
            self.note(table, LockMode::AccessShare);
        }
        Ok(table)
    }

    fn rows_are_locked(&mut self, table: &Arc<Table>) {
        self.note(table, LockMode::RowShare);
    }

    fn table_by_id(&mut self, id: TableId) -> Result<Option<Arc<Table>>> {
        table_by_id(self.txn, id, ReadAt::Statement)
    }

    fn index(&mut self, schema: Option<&str>, name: &str) -> Result<Option<(Arc<Table>, IndexId)>> {
        let schema = schema.unwrap_or(DEFAULT_SCHEMA);
        match lookup(self.txn, schema, name, ReadAt::Statement)? {
            Some(Named::Index(table, index)) => {
                Ok(table_by_id(self.txn, table, ReadAt::Statement)?.map(|table| (table, index)))
            }
            _ => Ok(None),
        }
    }

    fn system_relation(&self, schema: Option<&str>, name: &str) -> Option<Arc<SystemRelation>> {
        self.shared.system_relation(schema, name)
    }

    fn time_of_restore_point(&mut self, name: &str) -> Result<Option<Timestamp>> {
        Ok(restore_point(self.txn, name, ReadAt::Statement)?.map(|point| point.at))
    }

    fn keyspaces_of_commit(&mut self, sequence: u64) -> Result<Option<Vec<KeyspaceId>>> {
        let notes = self.store.commits(sequence, sequence, 1)?;
        Ok(notes.into_iter().next().and_then(|note| note.keyspaces))
    }

    fn dropped_table(
        &mut self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<(Arc<Table>, Timestamp)>> {
        dropped_table(self.txn, schema.unwrap_or(DEFAULT_SCHEMA), name)
    }

    fn tables(&mut self, at: CatalogAt) -> Result<Vec<Arc<Table>>> {
        tables(self.txn, read_at(at))
    }

    fn time_of_sequence(&mut self, sequence: u64) -> Result<Timestamp> {
        Ok(self.store.timestamp_of_sequence(sequence)?)
    }
}
