//! The planted bugs, by name. `tests/planted.rs` proves that each is found, and that none is
//! forgotten here; those of isolation are found by `tests/isolation.rs`.

/// Those that crashes and faults bring to light; each names a `planted!` site in the code.
pub const BUGS: &[&str] = &[
    "wal.ack-before-sync",
    "wal.sync-error-swallowed",
    "wal.checksum-not-checked",
    "wal.append-after-torn-tail",
    "mvcc.log-released-before-checkpoint",
    "mvcc.replay-not-idempotent",
    "mvcc.no-first-updater-check",
    "mvcc.publish-before-durable",
    "mvcc.branch-shows-what-it-hides",
    "mvcc.parts-without-commit",
    "mvcc.vacuum-passes-readers",
    "tables.definition-of-now",
    "tables.feed-begins-late",
    "lsm.manifest-before-table-sync",
    "lsm.compaction-drops-newest",
    "btree.freed-page-reused-early",
    "btree.root-switch-before-sync",
    "wal.tail-not-written-again",
    "mvcc.commit-time-of-the-wall",
    "lsm.frame-checksum-not-checked",
    "btree.page-checksum-not-checked",
    "btree.stale-page-accepted",
];

/// Those that break isolation: specs or seeds of the scenario `isolation` find them.
pub const ISOLATION_BUGS: &[&str] = &[
    "mvcc.claims-end-before-commit",
    "mvcc.snapshot-ahead-of-visible",
    "mvcc.statement-snapshot-kept",
    "mvcc.waited-row-not-rechecked",
    "mvcc.savepoint-keeps-writes",
    "mvcc.scan-misses-own-writes",
    "mvcc.oldest-run-forgotten",
    "mvcc.range-ends-at-its-last-row",
    "mvcc.past-reads-one-later",
    "mvcc.release-without-settling",
    "lock.victim-keeps-its-place",
    "lock.deadlock-of-two-only",
    "mvcc.ssi-pivot-not-seen",
    "mvcc.ssi-first-of-three-not-seen",
    "mvcc.ssn-reader-not-seen",
    "mvcc.scan-extent-not-tracked",
    "mvcc.readers-not-certified",
    "mvcc.footprint-forgotten-early",
    "mvcc.occ-claims-not-validated",
    "mvcc.occ-reads-not-validated",
    "integrity.no-parent-lock",
    "mvcc.rows-shown-before-durable",
    "mvcc.reader-ends-before-durable",
    "mvcc.statement-sees-applied",
    "mvcc.statement-forgets-what-was-read",
];

/// Those that clients bring to light, who come over bad lines, go when they like or take jobs from each other:
/// `tests/clients.rs` finds them.
pub const CLIENT_BUGS: &[&str] = &[
    "wire.partial-message-dropped",
    "wire.block-outlives-its-client",
    "executor.memory-not-bounded",
    "executor.locked-row-not-rechecked",
];

/// The planted bug of that name.
pub(crate) fn bug(name: &str) -> Option<&'static str> {
    BUGS.iter().chain(ISOLATION_BUGS).chain(CLIENT_BUGS).find(|bug| **bug == name).copied()
}
