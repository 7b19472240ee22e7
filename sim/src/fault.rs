//! What befalls a node, and how often each kind struck.
//!
//! The atlas of faults: what is injected can be survived, or must be noticed.
//!
//! * [`trouble`]: an honest machine that dies, fails, is full or slow. Everything acknowledged survives, and
//!   nothing is ever called damaged.
//! * [`damage`]: a device that lies, files that rot or go. The database may say so, and end there; it may
//!   never answer wrongly. Damage that nobody could notice is not injected: what the last group of the log
//!   holds is vouched for by nothing later, so the end of the log is not damaged, and its sync lies only
//!   where power stays.

pub(crate) mod damage;
pub(crate) mod trouble;

use std::collections::BTreeMap;

use driftdb_env::Rng;
use driftdb_sim_disk::{CrashMode, SimDisk};

use crate::kernel::Outcome;

/// Small numbers often, large ones sometimes: faults should hit early and late.
fn spread(rng: &mut Rng, doublings: u64) -> u64 {
    let most = 1 << (1 + rng.below(doublings));
    1 + rng.below(most)
}

/// A crash mode by chance: losing what was not synced is the common case.
pub(crate) fn draw_crash_mode(rng: &mut Rng) -> CrashMode {
    CrashMode::ALL[rng.index(CrashMode::ALL.len())]
}

/// Every kind of fault, in the order in which they are printed. A kind that never struck has proved
/// nothing.
pub const FAULTS: &[&str] = &[
    // The machine dies.
    "kills-at-yield",
    "kills-at-disk-op",
    "kills-at-point",
    "kills-at-end",
    "kills-in-recovery",
    "kills-in-recovery-again",
    // What was not synced is lost.
    "writes-lost",
    "writes-torn",
    "writes-cut",
    "writes-reordered",
    "lengths-only",
    "names-lost",
    // The disk fails, and says so.
    "syncs-lost",
    "write-errors",
    "writes-short",
    "read-errors",
    "disk-gone",
    "disk-full",
    "files-too-many",
    // Time is not what it seems.
    "delays",
    "pauses",
    "disk-stalls",
    "disk-slow",
    "clock-ahead",
    "clock-back",
    "clock-drift",
    "priority-changes",
    // The product does it to itself.
    "mischief",
    // Clients, and the lines to them.
    "messages-torn",
    "clients-slow",
    "clients-gone",
    "clients-gone-in-commit",
    "memory-short",
    // Messages between nodes.
    "messages-late",
    "messages-reordered",
    "messages-doubled",
    "messages-dropped",
    "links-cut",
    "links-cut-one-way",
    "nodes-isolated",
    "links-clogged",
    // The disk lies.
    "sync-lies",
    "reads-flipped",
    "reads-misdirected",
    "reads-stale",
    "writes-vanished",
    "writes-misdirected",
    "sectors-zeroed",
    // What is at rest changes.
    "bit-rot",
    "files-wiped",
    "files-cut",
    "files-swapped",
    "files-stale",
];

/// What came of faults.
pub const RESULTS: &[&str] = &["refusals-to-open", "damage-reported"];

/// How often each kind of fault struck.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultCounts(BTreeMap<&'static str, u64>);

impl FaultCounts {
    /// Counts some of a kind in [`FAULTS`] or [`RESULTS`].
    ///
    /// # Panics
    /// If the kind is in neither: it would be printed nowhere.
    pub fn add(&mut self, kind: &'static str, count: u64) {
        assert!(FAULTS.contains(&kind) || RESULTS.contains(&kind), "no fault \"{kind}\"");
        if count > 0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            self.add(kind, *count);
        }
    }

    /// How often one kind struck.
    pub fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or_default()
    }

    /// How many faults struck, of all kinds.
    pub fn total(&self) -> u64 {
        FAULTS.iter().map(|kind| self.of(kind)).sum()
    }

    /// How many kinds struck.
    pub fn kind_count(&self) -> usize {
        FAULTS.iter().filter(|kind| self.of(kind) > 0).count()
    }

    /// The kinds of fault that never struck.
    pub fn missing(&self) -> Vec<&'static str> {
        FAULTS.iter().copied().filter(|kind| self.of(kind) == 0).collect()
    }

    /// Counts what the kernel did.
    pub(crate) fn add_kernel(&mut self, outcome: &Outcome) {
        self.add("delays", outcome.delay_count);
        self.add("pauses", outcome.pause_count);
        self.add("disk-stalls", outcome.stall_count);
        self.add("disk-slow", outcome.slow_op_count);
        self.add("priority-changes", outcome.fall_count);
        self.add("mischief", outcome.mischief_count);
    }

    /// Counts what a disk reports.
    pub(crate) fn add_disk(&mut self, disk: &SimDisk) {
        let fired = disk.fired();
        for (kind, count) in [
            ("writes-lost", fired.dropped),
            ("writes-torn", fired.torn),
            ("writes-cut", fired.cut),
            ("writes-reordered", fired.reordered),
            ("lengths-only", fired.lengths_only),
            ("names-lost", fired.names_lost),
            ("syncs-lost", fired.dirty_lost),
            ("writes-short", fired.writes_short),
            ("disk-full", fired.disk_full),
            ("files-too-many", fired.opens_refused),
            ("sync-lies", fired.sync_lies),
            ("reads-flipped", fired.reads_flipped),
            ("reads-misdirected", fired.reads_misdirected),
            ("reads-stale", fired.reads_stale),
            ("writes-vanished", fired.writes_lost),
            ("writes-misdirected", fired.writes_misdirected),
            ("sectors-zeroed", fired.sectors_zeroed),
        ] {
            self.add(kind, count);
        }
    }
}

impl std::fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = FAULTS.iter().chain(RESULTS);
        let struck = all.filter(|kind| self.of(kind) > 0);
        for (index, kind) in struck.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {}", self.of(kind))?;
        }
        let missing = self.missing();
        if !missing.is_empty() {
            write!(f, "; never: {}", missing.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_struck_is_named() {
        let mut counts = FaultCounts::default();
        for kind in &FAULTS[2..] {
            counts.add(kind, 2);
        }
        counts.add("damage-reported", 1);
        let mut twice = counts.clone();
        twice.merge(&counts);
        assert_eq!(twice.of("bit-rot"), 4);
        assert_eq!(twice.kind_count(), FAULTS.len() - 2);
        assert_eq!(twice.total(), 4 * (FAULTS.len() as u64 - 2));
        let text = twice.to_string();
        assert!(text.ends_with("; never: kills-at-yield, kills-at-disk-op"), "{text}");
        assert!(text.contains("damage-reported 2"), "{text}");
    }
}
