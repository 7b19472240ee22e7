//! The planted bugs, by name. `tests/planted.rs` proves that each is found, and that none is
//! forgotten here.

/// All of them; each names a `planted!` site in the code.
pub const BUGS: &[&str] = &[
    "wal.ack-before-sync",
    "wal.sync-error-swallowed",
    "wal.checksum-not-checked",
    "wal.append-after-torn-tail",
    "mvcc.log-released-before-checkpoint",
    "mvcc.replay-not-idempotent",
    "mvcc.no-first-updater-check",
    "mvcc.publish-before-durable",
    "lsm.manifest-before-table-sync",
    "lsm.compaction-drops-newest",
    "btree.freed-page-reused-early",
    "btree.root-switch-before-sync",
];
