//! The whole storage contract, on the virtual disk.

driftdb_conformance::storage_suite!(driftdb_storage_lsm::LsmEngine);
