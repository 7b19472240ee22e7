//! The storage contract, on this engine.

driftdb_conformance::storage_suite!(driftdb_storage_btree::BtreeEngine);
