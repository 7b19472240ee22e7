//! What the storage contract costs on this engine.

driftdb_conformance::storage_costs!(driftdb_memory::MemoryEngine);
