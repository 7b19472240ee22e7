//! The concurrency contract, run on every control and engine that exist.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "conformance/branches.rs"]
mod branches;

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

/// Branches keep the contract too, whether a table is made in them or inherited.
macro_rules! branch_pairs {
    ($($name:ident: $engine:ty, $control:ty;)+) => {
        $(mod $name {
            mod of_nothing {
                driftdb_conformance::concurrency_suite!(
                    crate::branches::of_nothing::<$engine, $control>
                );
            }
            mod inheriting {
                driftdb_conformance::concurrency_suite!(
                    crate::branches::inheriting::<$engine, $control>
                );
            }
            mod nested {
                driftdb_conformance::concurrency_suite!(
                    crate::branches::nested::<$engine, $control>
                );
            }
        })+
    };
}

branch_pairs! {
    branch_with_ssi_on_memory: driftdb_memory::MemoryEngine, driftdb_mvcc::SsiControl;
    branch_with_ssi_on_lsm: driftdb_storage_lsm::LsmEngine, driftdb_mvcc::SsiControl;
    branch_with_ssi_on_btree: driftdb_storage_btree::BtreeEngine, driftdb_mvcc::SsiControl;
    branch_with_ssn_on_memory: driftdb_memory::MemoryEngine, driftdb_mvcc::SsnControl;
    branch_with_ssn_on_lsm: driftdb_storage_lsm::LsmEngine, driftdb_mvcc::SsnControl;
    branch_with_ssn_on_btree: driftdb_storage_btree::BtreeEngine, driftdb_mvcc::SsnControl;
    branch_with_occ_on_memory: driftdb_memory::MemoryEngine, driftdb_mvcc::OccControl;
    branch_with_occ_on_lsm: driftdb_storage_lsm::LsmEngine, driftdb_mvcc::OccControl;
    branch_with_occ_on_btree: driftdb_storage_btree::BtreeEngine, driftdb_mvcc::OccControl;
    branch_with_locking_on_memory: driftdb_memory::MemoryEngine, driftdb_mvcc::LockingControl;
    branch_with_locking_on_lsm: driftdb_storage_lsm::LsmEngine, driftdb_mvcc::LockingControl;
    branch_with_locking_on_btree: driftdb_storage_btree::BtreeEngine, driftdb_mvcc::LockingControl;
}
