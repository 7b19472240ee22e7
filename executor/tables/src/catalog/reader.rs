//! The binder's view of the catalog for one statement.

use std::sync::Arc;

use driftdb_concurrency::{ReadAt, Store, Transaction};
use driftdb_query::{Catalog, CatalogAt, IndexId, Result, Table, TableId};
use driftdb_storage::Timestamp;

use super::{CatalogStore, Named, lookup, table_by_id};

/// The only schema until the SQL issue brings more.
const DEFAULT_SCHEMA: &str = "public";

/// See [`CatalogStore::reader`].
pub struct CatalogReader<'a> {
    shared: &'a CatalogStore,
    txn: &'a mut dyn Transaction,
    store: &'a dyn Store,
    own_changes: bool,
}

impl<'a> CatalogReader<'a> {
    pub(super) fn new(
        shared: &'a CatalogStore,
        txn: &'a mut dyn Transaction,
        store: &'a dyn Store,
        own_changes: bool,
    ) -> Self {
        Self { shared, txn, store, own_changes }
    }

    fn read_table(&mut self, schema: &str, name: &str, at: ReadAt) -> Result<Option<Arc<Table>>> {
        match lookup(self.txn, schema, name, at)? {
            Some(Named::Table(id)) => table_by_id(self.txn, id, at),
            _ => Ok(None),
        }
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
            CatalogAt::AsOf(ts) => return self.read_table(schema, name, ReadAt::AsOf(ts)),
            CatalogAt::Statement => ReadAt::Statement,
        };
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

    fn time_of_sequence(&mut self, sequence: u64) -> Result<Timestamp> {
        Ok(self.store.timestamp_of_sequence(sequence)?)
    }
}
