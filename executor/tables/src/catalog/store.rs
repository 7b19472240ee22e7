//! What sessions share about the catalog: decoded definitions, and when DDL last happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driftdb_concurrency::{BeginOptions, ReadAt, Store, Transaction, TxnError};
use driftdb_env::sync::Mutex;
use driftdb_query::{Object, Result, SYSTEM_SCHEMA, SystemRelation, Table};
use driftdb_storage::{StorageError, Timestamp};
use driftdb_types::EvalContext;

use super::objects::put_first_objects;
use super::restore_points::RESTORE_POINTS;
use super::retention::RETENTION;
use super::{CatalogReader, NAMES, OBJECTS, TABLES};
use crate::ddl::schema::drop_left_over;
use crate::ddl::{DdlContext, NoTerms};
use crate::digest::ERASED;
use crate::sequence::{SEQUENCES, Sequences};

/// One per database.
#[derive(Debug, Default)]
pub struct CatalogStore {
    /// The newest commit that changed the catalog, as far as this process made it.
    last_change: AtomicU64,
    /// Transactions that have changed the catalog and not ended.
    pending: AtomicU64,
    cache: Mutex<Cache>,
    sequences: Sequences,
    /// By name; a name may be in both schemas of the system.
    system: BTreeMap<&'static str, Vec<Arc<SystemRelation>>>,
}

#[derive(Debug, Default)]
struct Cache {
    /// Definitions by schema and name, as of `read_at`.
    by_name: BTreeMap<(String, String), Option<Arc<Table>>>,
    /// Objects by what their names begin with in the catalog, as of `read_at`.
    objects: BTreeMap<Vec<u8>, Vec<Arc<Object>>>,
    read_at: Timestamp,
}

impl CatalogStore {
    /// The catalog of a store; makes those of its keyspaces that the
    /// database does not have yet.
    ///
    /// # Errors
    /// Storage.
    pub fn open(store: &dyn Store) -> Result<Self> {
        let mut txn = store.begin(BeginOptions::default())?;
        for space in [TABLES, NAMES, RESTORE_POINTS, RETENTION, OBJECTS, SEQUENCES, ERASED] {
            match txn.get(space, &[], ReadAt::Newest, &mut Vec::new()) {
                Ok(_) => {}
                Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => {
                    txn.create_keyspace(space)?;
                    if space == OBJECTS {
                        put_first_objects(txn.as_mut())?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        let eval = EvalContext::default();
        let terms = Box::new(NoTerms);
        drop_left_over(&mut DdlContext { txn: txn.as_mut(), store, eval: &eval, terms })?;
        if txn.has_writes() {
            txn.commit()?;
        } else {
            txn.rollback();
        }
        Ok(Self { last_change: AtomicU64::new(store.newest().0), ..Self::default() })
    }

    /// The same catalog with system relations in it.
    #[must_use]
    pub fn with_system_relations(self, system: Vec<Arc<SystemRelation>>) -> Self {
        let mut by_name: BTreeMap<&'static str, Vec<_>> = BTreeMap::new();
        for relation in system {
            by_name.entry(relation.name).or_default().push(relation);
        }
        Self { system: by_name, ..self }
    }

    /// Where sequences stand.
    pub fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    pub(super) fn system_relation(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Option<Arc<SystemRelation>> {
        let schema = schema.unwrap_or(SYSTEM_SCHEMA);
        self.system.get(name)?.iter().find(|relation| relation.schema == schema).cloned()
    }

    /// A view of the catalog for one statement. `own_changes` says whether this transaction has
    /// changed the catalog itself.
    pub fn reader<'a>(
        &'a self,
        txn: &'a mut dyn Transaction,
        store: &'a dyn Store,
        own_changes: bool,
    ) -> CatalogReader<'a> {
        CatalogReader::new(self, txn, store, own_changes)
    }

    /// Whether what was read from the catalog at one snapshot holds at another: no DDL lies between.
    pub fn is_same_at(&self, a: Timestamp, b: Timestamp) -> bool {
        // In this order: a change that ended before the first load has raised `last_change`, and one that
        // begins after it is later than both snapshots.
        let is_quiet = self.pending.load(Ordering::SeqCst) == 0;
        let last_change = Timestamp(self.last_change.load(Ordering::SeqCst));
        is_quiet && last_change <= a.min(b)
    }

    /// To be held by a transaction from before its first DDL until after its end.
    pub fn begin_ddl(self: &Arc<Self>) -> DdlGuard {
        self.pending.fetch_add(1, Ordering::SeqCst);
        DdlGuard { catalog: Arc::clone(self) }
    }

    pub(super) fn cached(
        &self,
        schema: &str,
        name: &str,
        snapshot: Timestamp,
    ) -> Option<Option<Arc<Table>>> {
        let cache = self.cache.lock();
        if !self.is_same_at(cache.read_at, snapshot) {
            return None;
        }
        cache.by_name.get(&(schema.to_owned(), name.to_owned())).cloned()
    }

    pub(super) fn remember(
        &self,
        schema: &str,
        name: &str,
        snapshot: Timestamp,
        table: Option<Arc<Table>>,
    ) {
        let mut cache = self.cache.lock();
        if self.renew(&mut cache, snapshot) {
            cache.by_name.insert((schema.to_owned(), name.to_owned()), table);
        }
    }

    pub(super) fn cached_objects(
        &self,
        key: &[u8],
        snapshot: Timestamp,
    ) -> Option<Vec<Arc<Object>>> {
        let cache = self.cache.lock();
        if !self.is_same_at(cache.read_at, snapshot) {
            return None;
        }
        cache.objects.get(key).cloned()
    }

    pub(super) fn remember_objects(
        &self,
        key: Vec<u8>,
        snapshot: Timestamp,
        objects: Vec<Arc<Object>>,
    ) {
        let mut cache = self.cache.lock();
        if self.renew(&mut cache, snapshot) {
            cache.objects.insert(key, objects);
        }
    }

    /// Makes the cache one of `snapshot`; false if nothing of that may be remembered.
    fn renew(&self, cache: &mut Cache, snapshot: Timestamp) -> bool {
        /// Names that do not exist are remembered, too, so their number needs a bound.
        const MOST_NAMES: usize = 10_000;
        if !self.is_same_at(cache.read_at, snapshot) {
            if !self.is_same_at(snapshot, snapshot) {
                return false;
            }
            *cache = Cache { read_at: snapshot, ..Cache::default() };
        }
        if cache.by_name.len() + cache.objects.len() >= MOST_NAMES {
            *cache = Cache { read_at: cache.read_at, ..Cache::default() };
        }
        true
    }
}

/// Held by a transaction that changes the catalog; while one is held, nobody reads from the cache.
#[derive(Debug)]
pub struct DdlGuard {
    catalog: Arc<CatalogStore>,
}

impl DdlGuard {
    /// The transaction has ended: committed at a timestamp, or rolled back.
    pub fn finish(self, committed: Option<Timestamp>) {
        if let Some(ts) = committed {
            self.catalog.last_change.fetch_max(ts.0, Ordering::SeqCst);
        }
    }
}

impl Drop for DdlGuard {
    fn drop(&mut self) {
        self.catalog.pending.fetch_sub(1, Ordering::SeqCst);
    }
}
