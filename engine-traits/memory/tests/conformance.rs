//! The contracts, run on the model engine.

driftdb_conformance::storage_suite!(driftdb_memory::MemoryEngine, without_files);
