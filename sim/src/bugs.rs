//! The planted bugs, by name. `tests/planted.rs` proves that each is found, and that none is
//! forgotten here; those of isolation are found by `tests/isolation.rs`.

use crate::Scenario;

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

/// Those of shipping a log over the network (`sim/src/shipping`): `tests/network.rs` finds them.
pub const NETWORK_BUGS: &[&str] = &[
    "shipping.double-taken",
    "shipping.gap-taken",
    "shipping.acknowledged-before-sync",
    "shipping.sent-before-sync",
];

/// Those that make answers wrong, and that only other answers can tell: `tests/queries.rs` finds them.
pub const QUERY_BUGS: &[&str] = &[
    "planner.partial-index-unproved",
    "planner.outer-join-condition-pushed",
    "planner.full-join-keeps-the-wrong-side",
    "planner.not-in-is-an-anti-join",
    "tables.range-lets-null-in",
    "executor.distinct-loses-null",
    "executor.null-keys-join",
    "executor.except-all-forgets-its-count",
];

/// Those that keep what nobody needs: `tests/leaks.rs` finds them.
pub const LEAK_BUGS: &[&str] = &[
    "mvcc.reader-stays",
    "lock.table-lock-stays",
    "session.stays-registered",
    "mvcc.spilled-file-stays-open",
];

/// Bugs that an honest disk never shows.
const TRUSTING: &[&str] = &[
    "lsm.frame-checksum-not-checked",
    "btree.page-checksum-not-checked",
    "btree.stale-page-accepted",
];

/// Where seeds of `isolation` find a bug: control and level.
const IN_ISOLATION: &[(&str, &str, &str)] = &[
    ("mvcc.claims-end-before-commit", "ssi", "repeatable read"),
    ("mvcc.snapshot-ahead-of-visible", "ssi", "repeatable read"),
    ("mvcc.savepoint-keeps-writes", "ssi", "read committed"),
    ("mvcc.scan-misses-own-writes", "ssi", "repeatable read"),
    ("mvcc.oldest-run-forgotten", "ssi", "read committed"),
    ("mvcc.past-reads-one-later", "ssi", "read committed"),
    ("lock.victim-keeps-its-place", "ssi", "read committed"),
    ("mvcc.ssi-first-of-three-not-seen", "ssi", "serializable"),
    ("mvcc.footprint-forgotten-early", "ssi", "serializable"),
    ("mvcc.rows-shown-before-durable", "ssi", "read committed"),
    ("mvcc.reader-ends-before-durable", "ssi", "read committed"),
    ("mvcc.statement-sees-applied", "ssi", "read committed"),
    ("mvcc.statement-forgets-what-was-read", "ssi", "read committed"),
];

/// Where seeds find a planted bug: the scenario, and what lets its code run at all. `None` if only specs do.
pub fn place(bug: &str) -> Option<(Scenario, Vec<(String, String)>)> {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    if let Some((_, control, level)) = IN_ISOLATION.iter().find(|(name, ..)| *name == bug) {
        let settings = [("concurrency.control", *control), ("sim.isolation", *level)];
        return Some((Scenario::Isolation, settings.map(owned).to_vec()));
    }
    match bug {
        _ if !CLIENT_BUGS.contains(&bug) => {}
        "executor.locked-row-not-rechecked" => return Some((Scenario::Queue, Vec::new())),
        _ => return Some((Scenario::Wire, Vec::new())),
    }
    if NETWORK_BUGS.contains(&bug) {
        return Some((Scenario::Shipping, Vec::new()));
    }
    if QUERY_BUGS.contains(&bug) {
        return Some((Scenario::Query, Vec::new()));
    }
    if !BUGS.contains(&bug) {
        return None;
    }
    let mut settings = Vec::new();
    if bug == "mvcc.parts-without-commit" {
        settings.push(("transaction.memory_bytes", "1"));
    }
    if let Some((engine @ ("lsm" | "btree"), _)) = bug.split_once('.') {
        settings.push(("storage.engine", engine));
    }
    if bug == "lsm.frame-checksum-not-checked" {
        // What does not decompress is noticed by that.
        settings.push(("storage.compression", "none"));
    }
    if TRUSTING.contains(&bug) {
        settings.push(("sim.damage", "on"));
    }
    // Below SQL there are no definitions and no feeds.
    let scenario = match bug {
        _ if bug.starts_with("tables.feed-") => Scenario::Feed,
        _ if bug.starts_with("tables.") => Scenario::Bank,
        _ => Scenario::Ledger,
    };
    Some((scenario, settings.into_iter().map(owned).collect()))
}

/// The planted bug of that name.
pub(crate) fn bug(name: &str) -> Option<&'static str> {
    let all = BUGS.iter().chain(ISOLATION_BUGS).chain(CLIENT_BUGS).chain(NETWORK_BUGS);
    all.chain(QUERY_BUGS).chain(LEAK_BUGS).copied().find(|bug| *bug == name)
}
