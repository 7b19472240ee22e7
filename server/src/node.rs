//! The composition root: from names in the configuration to one running database.
//!
//! This is the only file in the system that names implementations. Adding an engine, a control or a
//! planner is one line in a table and one arm below.

pub(crate) mod activity;
mod branches;
mod channels;
mod directory;
mod offline;
mod registry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driftdb_concurrency::{BeginOptions, CancelToken, ConcurrencyControl, ReadAt, Store, TxnError};
use driftdb_env::{Env, IoError};
use driftdb_memory::MemoryEngine;
use driftdb_mvcc::{
    BranchStore, LockingControl, MvccStore, OccControl, SsiControl, SsnControl, StoreOptions,
};
use driftdb_planner::HeuristicPlanner;
use driftdb_query::{Planner, SqlError};
use driftdb_storage::{Engine, EngineOptions, KeyspaceId, StorageError};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;
use driftdb_tables::{CatalogStore, Finding, Hash};
use driftdb_wal::WalOptions;

use crate::Config;
use crate::session::{Timeouts, system};
use branches::Databases;
pub(crate) use branches::MAIN_ID;
use directory::DataDirectory;

pub(crate) use channels::Mailbox;
pub use channels::Notification;
pub use directory::engine_of;
pub use offline::{backup, convert, salvage};
pub use registry::CancelKey;
pub(crate) use registry::{Registered, Registry, Wake};

/// The names of `storage.engine`.
pub const ENGINES: &[&str] = &["lsm", "btree", "memory"];
/// The names of `concurrency.control`.
pub const CONTROLS: &[&str] = &["ssi", "locking", "occ", "ssn"];
/// The names of `planner.kind`.
pub const PLANNERS: &[&str] = &["heuristic"];

/// The database that a node has from the start; others are its branches.
pub const DATABASE: &str = "driftdb";

/// What `server_version` says: the version whose behaviour is followed, then who follows it.
pub const SERVER_VERSION: &str = concat!("15.0 (DriftDB ", env!("CARGO_PKG_VERSION"), ")");

/// Why a node cannot open or close.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The disk.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Engine or log.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Transactions.
    #[error(transparent)]
    Txn(#[from] TxnError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] SqlError),
    /// Another process has the directory.
    #[error(
        "the data directory \"{}\" is in use by another process; stop it, or choose another \
         directory with --data",
        dir.display()
    )]
    InUse {
        /// Which.
        dir: PathBuf,
    },
    /// Made by another version.
    #[error("the data directory \"{}\" has format {found}, which this version cannot read", dir.display())]
    Format {
        /// Which.
        dir: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Made with another engine.
    #[error(
        "the data directory \"{dir}\" was made with storage.engine={made_with}, not {asked_for}; open \
         it with --set storage.engine={made_with}, or change its engine with \
         `driftdb convert --data {dir} --engine {asked_for}`",
        dir = dir.display()
    )]
    OtherEngine {
        /// Which.
        dir: PathBuf,
        /// With which engine it was made.
        made_with: String,
        /// Which engine was asked for.
        asked_for: String,
    },
    /// Something else is in the directory.
    #[error(
        "\"{}\" is not a DriftDB data directory and not empty (it contains \"{entry}\"); choose \
         another directory with --data",
        dir.display()
    )]
    NotOurs {
        /// Which.
        dir: PathBuf,
        /// Something in it.
        entry: String,
    },
    /// The marker file is not ours.
    #[error("\"{}\" is damaged: it does not name a format and an engine", path.display())]
    Marker {
        /// Which.
        path: PathBuf,
    },
    /// An engine that cannot be converted to, or salvaged.
    #[error("storage engine \"{engine}\" keeps no files: {what}")]
    NoFiles {
        /// Which.
        engine: String,
        /// What cannot be done.
        what: &'static str,
    },
    /// A name that no implementation has.
    #[error("there is no {what} called \"{name}\"")]
    Unknown {
        /// Engine, control, planner.
        what: &'static str,
        /// The name.
        name: String,
    },
}

/// A store that can be closed.
trait NodeStore: Store {
    fn close(&self) -> Result<(), TxnError>;
}

impl<E: Engine, C: ConcurrencyControl> NodeStore for MvccStore<E, C> {
    fn close(&self) -> Result<(), TxnError> {
        Self::close(self)
    }
}

/// It ends with the database.
impl NodeStore for BranchStore {
    fn close(&self) -> Result<(), TxnError> {
        Ok(())
    }
}

/// One running database: store, catalog, planner, and what its sessions share. A branch is one too, on
/// the node of the database it belongs to.
pub struct Node {
    env: Env,
    config: Config,
    /// What it is called, and its number in listings.
    name: Arc<str>,
    id: u32,
    store: Arc<dyn NodeStore>,
    catalog: Arc<CatalogStore>,
    planner: Arc<dyn Planner>,
    registry: Arc<Registry>,
    timeouts: Arc<Timeouts>,
    place: Place,
}

/// Whether a node is a branch's.
enum Place {
    /// The database itself.
    Main {
        databases: Databases,
        panics: AtomicU64,
        // Last: the directory is ours until everything else is gone.
        _directory: DataDirectory,
    },
    /// A branch on the node of its database.
    Branch(Arc<Node>),
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("data", &self.config.data).finish_non_exhaustive()
    }
}

impl Node {
    /// Opens the database that the configuration describes, creating it when there is none, and
    /// recovers what a crash left.
    ///
    /// # Errors
    /// The directory belongs to another process, another engine, or somebody else; I/O; damage.
    pub fn open(env: &Env, config: &Config) -> Result<Arc<Self>, NodeError> {
        let directory = DataDirectory::open(env, &config.data, &config.engine)?;
        let store = open_store(env, &directory.store_dir(), config)?;
        let catalog = CatalogStore::open(&*store)?;
        let catalog = Arc::new(catalog.with_system_relations(system::definitions()));
        let databases = Databases::new(Arc::<dyn NodeStore>::clone(&store));
        let node = Arc::new(Self {
            env: env.clone(),
            config: config.clone(),
            name: Arc::from(DATABASE),
            id: MAIN_ID,
            store,
            catalog,
            planner: planner(&config.planner)?,
            registry: Arc::new(Registry::new(env.rng("cancel keys"))),
            timeouts: Arc::default(),
            place: Place::Main { databases, panics: AtomicU64::new(0), _directory: directory },
        });
        node.follow_every_rule()?;
        Ok(node)
    }

    /// Its name: that of the database, or of the branch.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Refuses new transactions and makes everything durable in the engine, so that the next start
    /// replays nothing. Not needed for safety.
    ///
    /// # Errors
    /// Storage; what was acknowledged is in the log all the same.
    pub fn close(&self) -> Result<(), NodeError> {
        Ok(self.store.close()?)
    }

    /// The outside world.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The transactional store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<CatalogStore> {
        &self.catalog
    }

    /// The planner.
    pub fn planner(&self) -> &dyn Planner {
        &*self.planner
    }

    /// How many statements have panicked; each is a bug of ours.
    pub fn panic_count(&self) -> u64 {
        self.panics().load(Ordering::Relaxed)
    }

    /// Cancels the statement that a session runs, if the secret is right.
    pub fn cancel(&self, pid: i32, secret: &[u8]) {
        self.registry.cancel(pid, secret);
    }

    /// Asks the sessions to end whose statements would never end by themselves.
    pub fn terminate_endless(&self) {
        self.registry.terminate_endless();
    }

    /// Cancels what every session runs.
    pub fn cancel_all(&self) {
        self.registry.cancel_all();
    }

    /// What is kept in which keyspace, as far as the catalog can be read: `table public.t`,
    /// `index public.t_pkey`.
    pub fn keyspace_names(&self) -> BTreeMap<KeyspaceId, String> {
        let mut names = self.branch_keyspace_names();
        let begun = self.store.begin(BeginOptions { read_only: true, ..BeginOptions::default() });
        let tables = begun.map_err(SqlError::from).and_then(|mut txn| {
            txn.begin_statement()?;
            driftdb_tables::tables(&mut *txn, ReadAt::Statement)
        });
        for table in tables.unwrap_or_default() {
            names.insert(table.keyspace, format!("table {}.{}", table.schema, table.name));
            for index in &table.indexes {
                if let Some(space) = index.keyspace {
                    names.insert(space, format!("index {}.{}", table.schema, index.name));
                }
            }
        }
        names
    }

    /// What became of the commits that a digest covers, which was taken when `sequence` was the newest.
    ///
    /// # Errors
    /// Storage; damage.
    pub fn check_digest(&self, sequence: u64, digest: &Hash) -> Result<Vec<Finding>, NodeError> {
        Ok(driftdb_tables::check_digest(self.store(), sequence, digest, &CancelToken::new())?)
    }

    /// What listings call the database.
    pub(crate) fn database_id(&self) -> u32 {
        self.id
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.registry.len()
    }

    fn panics(&self) -> &AtomicU64 {
        match &self.place {
            Place::Main { panics, .. } => panics,
            Place::Branch(main) => main.panics(),
        }
    }

    pub(crate) fn count_panic(&self) {
        self.panics().fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(crate) fn timeouts(&self) -> &Arc<Timeouts> {
        &self.timeouts
    }
}

fn open_store(env: &Env, dir: &Path, config: &Config) -> Result<Arc<dyn NodeStore>, NodeError> {
    match config.engine.as_str() {
        LsmEngine::NAME => open_with_engine::<LsmEngine>(env, dir, config),
        BtreeEngine::NAME => open_with_engine::<BtreeEngine>(env, dir, config),
        MemoryEngine::NAME => open_with_engine::<MemoryEngine>(env, dir, config),
        name => Err(NodeError::Unknown { what: "storage engine", name: name.to_owned() }),
    }
}

fn open_with_engine<E: Engine>(
    env: &Env,
    dir: &Path,
    config: &Config,
) -> Result<Arc<dyn NodeStore>, NodeError> {
    let options = store_options(config);
    match config.control.as_str() {
        SsiControl::NAME => Ok(MvccStore::<E, SsiControl>::open(env, dir, &options)?),
        LockingControl::NAME => Ok(MvccStore::<E, LockingControl>::open(env, dir, &options)?),
        OccControl::NAME => Ok(MvccStore::<E, OccControl>::open(env, dir, &options)?),
        SsnControl::NAME => Ok(MvccStore::<E, SsnControl>::open(env, dir, &options)?),
        name => Err(NodeError::Unknown { what: "concurrency control", name: name.to_owned() }),
    }
}

fn planner(name: &str) -> Result<Arc<dyn Planner>, NodeError> {
    match name {
        "heuristic" => Ok(Arc::new(HeuristicPlanner)),
        name => Err(NodeError::Unknown { what: "planner", name: name.to_owned() }),
    }
}

fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        engine: EngineOptions {
            write_buffer_bytes: config.write_buffer_bytes,
            cache_bytes: config.cache_bytes,
            block_size_bytes: config.block_size_bytes,
            filter_bits_per_key: config.filter_bits_per_key,
            filter: config.filter,
            compression: config.compression,
            dictionary_sample_bytes: config.dictionary_sample_bytes,
            compaction: config.compaction,
            step_bytes: config.step_bytes,
        },
        wal: WalOptions {
            segment_bytes: config.wal_segment_bytes,
            buffer_bytes: config.wal_buffer_bytes,
            spare_segment_count: config.wal_spare_segments,
        },
        retention: config.retention,
        awaits_history_rules: true,
        transaction_memory_bytes: config.transaction_memory_bytes,
        ballast_bytes: config.ballast_bytes,
        checkpoint_log_bytes: config.checkpoint_log_bytes,
        maintain_log_bytes: config.maintain_log_bytes,
        ..StoreOptions::default()
    }
}
