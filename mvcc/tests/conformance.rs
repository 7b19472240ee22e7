//! The concurrency contract, run on every control and engine that exist.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use driftdb_concurrency::{ConcurrencyControl, Store};
use driftdb_env::Env;
use driftdb_mvcc::{LockingControl, MvccStore, OccControl, SsiControl, SsnControl, StoreOptions};
use driftdb_storage::Engine;

fn open<E: Engine, C: ConcurrencyControl>(env: &Env) -> Arc<dyn Store> {
    MvccStore::<E, C>::open(env, Path::new("/data"), &StoreOptions::tiny()).unwrap()
}

/// One module a pair, so that a failure names it.
macro_rules! pairs {
    ($($name:ident: $engine:ty, $control:ty;)+) => {
        $(mod $name {
            driftdb_conformance::concurrency_suite!(super::open::<$engine, $control>);
        })+
    };
}

pairs! {
    ssi_on_memory: driftdb_memory::MemoryEngine, super::SsiControl;
    ssi_on_lsm: driftdb_storage_lsm::LsmEngine, super::SsiControl;
    ssi_on_btree: driftdb_storage_btree::BtreeEngine, super::SsiControl;
    ssn_on_memory: driftdb_memory::MemoryEngine, super::SsnControl;
    ssn_on_lsm: driftdb_storage_lsm::LsmEngine, super::SsnControl;
    ssn_on_btree: driftdb_storage_btree::BtreeEngine, super::SsnControl;
    occ_on_memory: driftdb_memory::MemoryEngine, super::OccControl;
    occ_on_lsm: driftdb_storage_lsm::LsmEngine, super::OccControl;
    occ_on_btree: driftdb_storage_btree::BtreeEngine, super::OccControl;
    locking_on_memory: driftdb_memory::MemoryEngine, super::LockingControl;
    locking_on_lsm: driftdb_storage_lsm::LsmEngine, super::LockingControl;
    locking_on_btree: driftdb_storage_btree::BtreeEngine, super::LockingControl;
}
