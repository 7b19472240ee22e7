//! The places of the product that say `sometimes!` or `buggify!` ([`driftdb_env::sites`]), and how often
//! a campaign saw each.
//!
//! A campaign that never saw a place has proved nothing about it: either the seeds do not get there, and then
//! a setting, a workload or a `buggify!` is missing, or nobody ever can, and then the code is.

use std::collections::BTreeMap;

/// Every place, by name.
pub const SITES: &[&str] = &[
    "btree.branch-split",
    "btree.checkpoint-early",
    "btree.checkpoint-gave-way",
    "btree.checkpoint-undone",
    "btree.empty-node-removed",
    "btree.facts-written-anew",
    "btree.file-shrank",
    "btree.freed-pages-kept-for-a-reader",
    "btree.leaf-split-at-its-end",
    "btree.leaf-split-by-time",
    "btree.leaf-split-in-the-middle",
    "btree.many-nodes-read-for-a-change",
    "btree.node-copied-for-a-snapshot",
    "btree.node-read-for-a-change",
    "btree.nodes-merged",
    "btree.nodes-relocated",
    "btree.nothing-to-write",
    "btree.overflow-pages-let-go",
    "btree.picture-put-back",
    "btree.promise-shortened",
    "btree.root-grew",
    "btree.root-shrank",
    "btree.small-steps",
    "btree.version-folded",
    "btree.view-shared",
    "btree.written-while-replaced",
    "catalog.definition-changed-since-the-snapshot",
    "catalog.scan-in-small-steps",
    "catalog.sequence-logged-ahead",
    "catalog.waited-for-a-table",
    "executor.locked-row-skipped",
    "executor.memory-short",
    "executor.row-to-lock-has-changed",
    "executor.row-to-lock-is-gone",
    "executor.row-to-update-has-changed",
    "executor.row-to-update-is-gone",
    "feed.commit-larger-than-a-window",
    "feed.versions-one-by-one",
    "feed.window-cut-short",
    "feed.window-of-many",
    "feed.window-of-one",
    "lock.deadlock",
    "lock.deadlock-of-three",
    "lock.given-back-down",
    "lock.granted-after-a-wait",
    "lock.granted-past-those-who-wait",
    "lock.held-more-strongly",
    "lock.hold-whole-early",
    "lock.moved-up-out-of-a-cycle",
    "lock.queue-jumped",
    "lock.queue-of-many",
    "lock.refused-at-once",
    "lock.shared",
    "lock.timed-out",
    "lock.victim-still-in-the-queue",
    "lock.wakes-early",
    "lock.whole-held",
    "lock.whole-in-the-way",
    "lsm.batch-is-a-memtable",
    "lsm.commit-during-a-switch",
    "lsm.compact-before-flush",
    "lsm.compaction-before-a-flush",
    "lsm.empty-memtable-flushed",
    "lsm.flush-undone",
    "lsm.freeze-early",
    "lsm.frozen-behind-another",
    "lsm.half-made-manifest-removed",
    "lsm.input-trimmed",
    "lsm.merge-gave-way",
    "lsm.merge-given-up",
    "lsm.merge-in-pieces",
    "lsm.merge-in-small-steps",
    "lsm.merge-waits-for-room",
    "lsm.orphan-removed",
    "lsm.poisoned",
    "lsm.run-moved-by-name-only",
    "lsm.step-failed-and-undone",
    "lsm.table-dropped-whole",
    "lsm.table-kept-for-a-reader",
    "lsm.table-moved-without-reading",
    "lsm.table-pushed-down",
    "lsm.table-rewritten-alone",
    "lsm.tombstone-at-the-bottom",
    "lsm.tombstone-kept-for-an-older-version",
    "lsm.version-let-go",
    "lsm.version-of-a-dropped-keyspace",
    "mvcc.answer-waits-for-the-log",
    "mvcc.ballast-given-up",
    "mvcc.ballast-given-up-to-open",
    "mvcc.begun-anew-on-a-newer-snapshot",
    "mvcc.checkpoint-by-itself",
    "mvcc.checkpoint-early",
    "mvcc.claimed-a-newer-version",
    "mvcc.claims-released-before-durable",
    "mvcc.commit-of-many-parts",
    "mvcc.commit-of-unknown-fate",
    "mvcc.commit-refused-on-a-full-disk",
    "mvcc.commit-slowed-down",
    "mvcc.commit-stalled",
    "mvcc.commit-stalled-in-vain",
    "mvcc.deletion-on-a-full-disk",
    "mvcc.dirty-row-claimed",
    "mvcc.disk-is-full",
    "mvcc.first-updater-wins",
    "mvcc.floor-held-by-a-reader",
    "mvcc.follower-told",
    "mvcc.follower-waited-in-vain",
    "mvcc.full-disk-has-room-again",
    "mvcc.full-disk-looked-at-again",
    "mvcc.history-let-go",
    "mvcc.keyspace-without-a-rule-yet",
    "mvcc.maintenance-failed",
    "mvcc.maintenance-late",
    "mvcc.no-room-for-the-ballast",
    "mvcc.part-waits-for-its-commit",
    "mvcc.part-waits-for-the-engine",
    "mvcc.parts-without-an-end",
    "mvcc.poisoned",
    "mvcc.published-with-a-later-commit",
    "mvcc.read-what-is-not-committed",
    "mvcc.read-what-is-not-durable",
    "mvcc.replay-after-a-flush",
    "mvcc.replay-begins-within-a-commit",
    "mvcc.replay-flushes",
    "mvcc.replay-maintains-early",
    "mvcc.replay-on-a-full-disk",
    "mvcc.restarted-on-a-newer-snapshot",
    "mvcc.retention-awaits-its-rules",
    "mvcc.scan-short",
    "mvcc.spill-undone",
    "mvcc.spilled-runs-merged",
    "mvcc.stall-short",
    "mvcc.unfinished-parts-passed-over",
    "mvcc.writes-spilled",
    "mvcc.writes-spilled-between-savepoints",
    "occ.began-before-what-is-remembered",
    "occ.claim-refused",
    "occ.claim-wholly-early",
    "occ.forget-early",
    "occ.forgotten-while-needed",
    "occ.keyspace-claimed-wholly",
    "occ.read-refused",
    "session.bound-again-after-ddl",
    "session.statement-begun-again",
    "shipping.double-left",
    "shipping.gap-left",
    "shipping.old-news",
    "shipping.several-on-their-way",
    "ssi.doomed-met-its-end",
    "ssi.edge-from-a-range",
    "ssi.edge-from-a-summary",
    "ssi.edge-to-a-summary",
    "ssi.footprint-forgotten",
    "ssi.late-comer-turned-away",
    "ssi.pivot-by-its-write",
    "ssi.pivot-doomed-by-a-commit",
    "ssi.read-after-a-committed-pivot",
    "ssi.read-set-coarse",
    "ssi.reader-proved-safe",
    "ssi.reader-proved-unsafe",
    "ssi.reader-safe-at-once",
    "ssi.summarise-early",
    "ssi.writer-doomed-by-a-reader",
    "wal.append-waits-for-a-segment",
    "wal.buffer-full",
    "wal.buffer-small",
    "wal.group-grew",
    "wal.group-over-two-segments",
    "wal.half-made-segment-removed",
    "wal.header-vouched-for-by-nothing",
    "wal.no-room-for-a-segment",
    "wal.opened-with-an-unbegun-segment",
    "wal.opened-with-many-segments",
    "wal.poisoned",
    "wal.poisoned-under-a-waiter",
    "wal.prepared-segment-too-small",
    "wal.record-larger-than-a-segment",
    "wal.segment-begun",
    "wal.segment-prepared-early",
    "wal.spare-of-another-size",
    "wal.spare-used-again",
    "wal.tail-vouched-for-by-nothing",
    "wal.torn-tail",
    "wal.waited-for-a-running-flush",
    "wal.waited-for-the-next-group",
    "wire.client-gone-in-a-block",
];

/// Those that a campaign of some ten thousand seeds may well miss: told, and not demanded.
pub const RARE: &[&str] = &[
    "btree.empty-node-removed",
    "btree.many-nodes-read-for-a-change",
    "btree.overflow-pages-let-go",
    "btree.root-shrank",
    "catalog.sequence-logged-ahead",
    "executor.locked-row-skipped",
    "executor.row-to-lock-has-changed",
    "executor.row-to-lock-is-gone",
    "feed.commit-larger-than-a-window",
    "feed.window-cut-short",
    "lock.refused-at-once",
    "lock.timed-out",
    "lsm.batch-is-a-memtable",
    "lsm.commit-during-a-switch",
    "lsm.table-dropped-whole",
    "lsm.tombstone-at-the-bottom",
    "lsm.tombstone-kept-for-an-older-version",
    "lsm.version-of-a-dropped-keyspace",
    "mvcc.ballast-given-up-to-open",
    "mvcc.begun-anew-on-a-newer-snapshot",
    "mvcc.commit-stalled-in-vain",
    "mvcc.deletion-on-a-full-disk",
    "mvcc.full-disk-has-room-again",
    "mvcc.replay-on-a-full-disk",
    "mvcc.stall-short",
    "ssi.late-comer-turned-away",
    "ssi.reader-proved-safe",
    "ssi.reader-proved-unsafe",
    "wal.prepared-segment-too-small",
    "wal.record-larger-than-a-segment",
    "wal.spare-of-another-size",
];

/// How often each place was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteCounts(BTreeMap<&'static str, u64>);

impl SiteCounts {
    /// Those that this thread has seen since somebody last took them.
    pub(crate) fn taken() -> Self {
        let mut counts = Self::default();
        driftdb_env::sites::take().into_iter().for_each(|(site, count)| counts.add(site, count));
        counts
    }

    /// Counts a place in [`SITES`]; one that is not there is of a test.
    pub(crate) fn add(&mut self, site: &str, count: u64) {
        if let Ok(place) = SITES.binary_search(&site)
            && count > 0
        {
            *self.0.entry(SITES[place]).or_default() += count;
        }
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(site, count)| self.add(site, *count));
    }

    /// How often a place was seen.
    pub fn of(&self, site: &str) -> u64 {
        self.0.get(site).copied().unwrap_or_default()
    }

    /// How many places were seen.
    pub fn seen_count(&self) -> usize {
        self.0.len()
    }

    /// The places that nobody saw.
    pub fn missing(&self) -> Vec<&'static str> {
        SITES.iter().copied().filter(|site| self.of(site) == 0).collect()
    }

    /// Those of them that must be seen.
    pub fn demanded(&self) -> Vec<&'static str> {
        self.missing().into_iter().filter(|site| !RARE.contains(site)).collect()
    }

    /// Those that were seen, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(site, count)| (*site, *count))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The names of all places in a directory of sources.
    fn places(dir: &Path, found: &mut BTreeSet<String>) {
        let env = driftdb_env::Env::os();
        for entry in env.disk().list(dir).expect("sources are there") {
            let path = dir.join(&entry.name);
            if entry.is_dir {
                places(&path, found);
            } else if entry.name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).expect("a source is text");
                for call in ["sometimes!(", "buggify!("] {
                    let calls = text.split(call).skip(1);
                    let name = |rest: &str| {
                        Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned())
                    };
                    found.extend(calls.filter_map(name));
                }
            }
        }
    }

    #[test]
    fn the_list_is_that_of_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut found = BTreeSet::new();
        for part in ["wal", "mvcc", "storage-lsm", "storage-btree", "server", "executor"] {
            places(&root.join(part).join("src"), &mut found);
        }
        places(&root.join("executor/tables/src"), &mut found);
        places(&root.join("sim/src/shipping"), &mut found);
        let listed: BTreeSet<String> = SITES.iter().map(|site| (*site).to_owned()).collect();
        assert_eq!(listed, found);
        assert!(SITES.is_sorted() && listed.len() == SITES.len());
        assert!(RARE.iter().all(|site| listed.contains(*site)));
        assert!(SITES.len() - RARE.len() >= 100, "{} are demanded", SITES.len() - RARE.len());
    }

    #[test]
    fn what_was_never_seen_is_named() {
        let mut counts = SiteCounts::default();
        SITES[1..].iter().for_each(|site| counts.add(site, 2));
        counts.add("of a test", 1);
        let mut twice = counts.clone();
        twice.merge(&counts);
        assert_eq!(twice.missing(), [SITES[0]]);
        assert_eq!((twice.seen_count(), twice.of(SITES[1])), (SITES.len() - 1, 4));
    }
}
