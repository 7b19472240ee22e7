//! The contracts, executable: suites that any implementation runs in one line.
//!
//! A suite is a macro that makes one named `#[test]` for each sentence of a contract, over generic
//! functions that take the implementation as a type:
//!
//! ```ignore
//! driftdb_conformance::storage_suite!(driftdb_storage_lsm::LsmEngine);
//! driftdb_conformance::storage_suite!(driftdb_memory::MemoryEngine, without_files);
//! driftdb_conformance::concurrency_suite!(open_store);
//! driftdb_conformance::network_suite!(run_case);
//! ```
//!
//! Everything runs on the virtual disk with fixed seeds, so a failure repeats. Messages name the
//! case and the number (operation, sync, offset, seed) to look at. One case alone:
//! `cargo test -p driftdb-storage-lsm --test conformance crash_at_every_sync`.
//!
//! An implementation is finished when its suite passes; a suite is wrong when an implementation
//! that breaks the contract passes it.

pub mod allocations;
pub mod concurrency;
pub mod golden;
pub mod network;
pub mod storage;
