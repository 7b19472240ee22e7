//! What a simulated node runs: a transactional store on its disk, by the names of the configuration.

use std::path::Path;
use std::sync::Arc;

use driftdb_concurrency::{ConcurrencyControl, Store};
use driftdb_env::Env;
use driftdb_memory::MemoryEngine;
use driftdb_mvcc::{LockingControl, MvccStore, SsiControl, StoreOptions};
use driftdb_storage::{Engine, StorageError};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;

/// The engines by name.
pub(crate) const ENGINES: [&str; 3] = [LsmEngine::NAME, BtreeEngine::NAME, MemoryEngine::NAME];

/// The concurrency controls by name.
pub(crate) const CONTROLS: [&str; 2] = [SsiControl::NAME, LockingControl::NAME];

/// A store that can be closed.
pub(crate) trait Database: Store {
    /// Ends its background work and makes everything durable in the engine.
    fn close(&self) -> driftdb_concurrency::Result<()>;
}

impl<E: Engine, C: ConcurrencyControl> Database for MvccStore<E, C> {
    fn close(&self) -> driftdb_concurrency::Result<()> {
        Self::close(self)
    }
}

type Opened = Result<Arc<dyn Database>, StorageError>;

/// Opens the database of a node.
pub(crate) fn open(env: &Env, engine: &str, control: &str, options: &StoreOptions) -> Opened {
    match engine {
        LsmEngine::NAME => with_engine::<LsmEngine>(env, control, options),
        BtreeEngine::NAME => with_engine::<BtreeEngine>(env, control, options),
        MemoryEngine::NAME => with_engine::<MemoryEngine>(env, control, options),
        name => Err(StorageError::Internal(format!("no engine is called {name}"))),
    }
}

fn with_engine<E: Engine>(env: &Env, control: &str, options: &StoreOptions) -> Opened {
    let dir = Path::new("/node");
    match control {
        SsiControl::NAME => Ok(MvccStore::<E, SsiControl>::open(env, dir, options)?),
        LockingControl::NAME => Ok(MvccStore::<E, LockingControl>::open(env, dir, options)?),
        name => Err(StorageError::Internal(format!("no control is called {name}"))),
    }
}
