//! What the storage contract costs on this engine.

use driftdb_conformance::storage::costs::Costs;

driftdb_conformance::storage_costs!(
    driftdb_storage_lsm::LsmEngine,
    Costs {
        allocations_among_versions: 0,
        syncs_per_checkpoint: 4,
        reads_per_cold_get: 5,
        bytes_written_per_user_byte: 3,
        blocks_beyond_in_a_get: 0,
        blocks_beyond_in_a_scan: 3,
        buffers_behind_a_slow_disk: 10,
    }
);
