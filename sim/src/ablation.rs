//! The matrix of ablation: for each planted bug, which faults it takes to find it, and which oracle sees it.
//!
//! Single kinds of fault stand in for each other: there are many ways to die. So whole *families* are left out
//! ([`FAMILIES`], by [`crate::without`]), and single *oracles* are not listened to ([`ORACLES`], `sim.deaf`): a
//! complaint of theirs is no failure, and the seed goes on, if there is anything left to go on with, until somebody
//! else complains.
//!
//! To run each bug without each family would take days. A family that did not strike in some seed that failed is
//! not needed; so first a few failing seeds are looked for, and only what was there in all of them is left out
//! in turn. What [`SPARED`] times as many seeds do not find without it, *needs* it. So it is with oracles: only
//! one that was the first to complain in all of those seeds may be needed.
//!
//! [`WITNESSES`] names for each family and oracle a bug that needs it, which `sim/tests/ablation.rs` checks in
//! every submission; [`UNWITNESSED`] says of each other why there is none.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::bugs::place;
use crate::{BUGS, CLIENT_BUGS, ISOLATION_BUGS, NETWORK_BUGS, SeedOptions, run_seed};

/// Failing seeds that are compared.
const FAILURES: usize = 3;

/// How many times as many seeds must find nothing before something is called needed.
const SPARED: u64 = 3;

/// Kinds of fault that do the same sort of thing.
pub const FAMILIES: &[(&str, &[&str])] = &[
    ("deaths", &["kills-at-yield", "kills-at-disk-op", "kills-at-point", "kills-at-end"]),
    (
        "losses",
        &[
            "writes-lost",
            "writes-torn",
            "writes-cut",
            "writes-reordered",
            "lengths-only",
            "names-lost",
        ],
    ),
    ("failing syncs", &["syncs-lost"]),
    ("failing operations", &["write-errors", "read-errors", "disk-gone"]),
    ("full disks", &["disk-full"]),
    ("handles", &["files-too-many"]),
    ("slow disks", &["disk-stalls", "disk-slow"]),
    ("clocks", &["clock-ahead", "clock-back", "clock-drift"]),
    ("schedules", &["delays", "pauses", "priority-changes", "switches"]),
    ("mischief", &["mischief"]),
    ("bad lines", &["messages-torn", "clients-slow", "clients-gone", "clients-gone-in-commit"]),
    ("memory", &["memory-short"]),
    (
        "bad networks",
        &[
            "messages-late",
            "messages-reordered",
            "messages-doubled",
            "messages-dropped",
            "links-cut",
            "links-cut-one-way",
            "nodes-isolated",
            "links-clogged",
        ],
    ),
    (
        "damage",
        &[
            "sync-lies",
            "reads-flipped",
            "reads-misdirected",
            "reads-stale",
            "writes-vanished",
            "writes-misdirected",
            "sectors-zeroed",
            "bit-rot",
            "files-wiped",
            "files-cut",
            "files-swapped",
            "files-stale",
        ],
    ),
];

/// Who may complain.
pub const ORACLES: &[&str] = &[
    "durability",
    "balances",
    "real-time",
    "time-travel",
    "indexes",
    "lists",
    "timestamps",
    "feed",
    "jobs",
    "answers",
    "memory-limits",
    "replicas",
    "verify",
    "opening",
    "errors",
    "liveness",
    "panics",
];

/// Which oracle a complaint is from.
pub fn oracle_of(failure: &str) -> &'static str {
    let starts = |heads: &[&str]| heads.iter().any(|head| failure.starts_with(head));
    let has = |parts: &[&str]| parts.iter().any(|part| failure.contains(part));
    match () {
        () if starts(&["liveness", "deadlock", "livelock"]) => "liveness",
        () if starts(&["panic", "a panic", "a statement panicked"]) => "panics",
        () if starts(&["verify"]) => "verify",
        () if starts(&["feed", "a stream ended"]) => "feed",
        () if starts(&["queue", "sequence:"]) => "jobs",
        () if starts(&["index"]) => "indexes",
        () if starts(&["memory"]) => "memory-limits",
        () if starts(&["replica"]) => "replicas",
        () if starts(&["time travel", "retention", "sequence number", "a present time"]) => {
            "time-travel"
        }
        () if starts(&["real time"]) => "real-time",
        () if has(&["by timestamps", "which must be", "is no version of", "which never began"]) => {
            "timestamps"
        }
        () if has(&["and then at", "its version is said", "two commits share a time"])
            || has(&["but commits left", "failed, with a commit"]) =>
        {
            "timestamps"
        }
        () if starts(&["list "]) || has(&[", lists ", "does not see its own"]) => "lists",
        () if starts(&["atomicity", "branches"]) || has(&["are nobody's", "that nobody made"]) => {
            "balances"
        }
        () if starts(&["durability", "entry ", "transfer "])
            || has(&["is lost", "failed and is there", "is acknowledged at"]) =>
        {
            "durability"
        }
        () if starts(&["the database does not open", "the recovered database", "a healthy"]) => {
            "opening"
        }
        () if starts(&["unexpected error"]) => "errors",
        () => "answers",
    }
}

/// A bug that is not found without something.
#[derive(Debug, Clone, Copy)]
pub struct Witness {
    /// A family of faults, or an oracle.
    pub needed: &'static str,
    /// The bug that needs it.
    pub bug: &'static str,
    /// So many seeds find it, and do not without.
    pub seeds: u64,
    /// The families that strike beside it, where others could stand in for it; all where there is nothing here.
    pub beside: Option<&'static [&'static str]>,
}

const fn witness(needed: &'static str, bug: &'static str, seeds: u64) -> Witness {
    Witness { needed, bug, seeds, beside: None }
}

/// One that is needed where only some others strike.
const fn beside(
    others: &'static [&'static str],
    needed: &'static str,
    bug: &'static str,
    seeds: u64,
) -> Witness {
    Witness { needed, bug, seeds, beside: Some(others) }
}

impl Witness {
    /// The first seed that finds the bug, with what is needed or without.
    ///
    /// # Errors
    /// As of [`found`].
    pub fn found(&self, is_there: bool) -> Result<Option<(u64, String)>, String> {
        let strikes = |name: &str| match self.beside {
            Some(others) => name == self.needed || others.contains(&name),
            None => true,
        };
        let mut off: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
        off.retain(|name| !strikes(name));
        if !is_there {
            off.push(self.needed);
        }
        found(self.bug, &off, self.seeds)
    }
}

/// For each family and each oracle a bug that needs it.
pub const WITNESSES: &[Witness] = &[
    beside(&[], "deaths", "mvcc.replay-not-idempotent", 30),
    beside(&[], "losses", "wal.ack-before-sync", 30),
    beside(&["losses"], "failing syncs", "wal.sync-error-swallowed", 300),
    beside(&[], "failing operations", "wal.append-after-torn-tail", 300),
    witness("mischief", "mvcc.footprint-forgotten-early", 60),
    witness("bad lines", "wire.block-outlives-its-client", 25),
    witness("memory", "executor.memory-not-bounded", 25),
    beside(&[], "bad networks", "shipping.gap-taken", 25),
    witness("damage", "btree.page-checksum-not-checked", 160),
    witness("durability", "shipping.acknowledged-before-sync", 20),
    witness("balances", "mvcc.no-first-updater-check", 12),
    witness("time-travel", "mvcc.vacuum-passes-readers", 40),
    witness("lists", "mvcc.scan-misses-own-writes", 15),
    witness("timestamps", "mvcc.snapshot-ahead-of-visible", 15),
    witness("feed", "tables.feed-begins-late", 10),
    witness("memory-limits", "executor.memory-not-bounded", 20),
    witness("jobs", "executor.locked-row-not-rechecked", 25),
    witness("replicas", "shipping.gap-taken", 20),
    witness("verify", "btree.freed-page-reused-early", 4),
    witness("opening", "lsm.manifest-before-table-sync", 60),
    witness("liveness", "wire.partial-message-dropped", 10),
    beside(&[], "panics", "mvcc.commit-time-of-the-wall", 20),
];

/// Families and oracles that no planted bug needs, and why they are there all the same.
pub const UNWITNESSED: &[(&str, &str)] = &[
    (
        "full disks",
        "what the planted bugs make of a write without room, failing operations show too",
    ),
    ("handles", "a file that cannot be opened is an operation that fails, at another moment"),
    (
        "slow disks",
        "operations take time anyway; a wait that ends too early would need them: none is planted",
    ),
    ("clocks", "commit times that follow the clock are found by two commits at one time as well"),
    (
        "schedules",
        "tasks change places at each disk operation: enough for all races that are planted",
    ),
    ("real-time", "who reads too little is found out by the next look at the past as well"),
    ("indexes", "the bugs of indexes that are planted are found by the executor's own tests"),
    ("answers", "the others' rest: no planted bug has caused a complaint that is nobody's"),
    ("errors", "a bug that makes a statement fail makes a check fail as well"),
];

/// The setting that leaves a family out, or makes deaf to an oracle.
///
/// # Errors
/// Neither.
pub fn without(needed: &str) -> Result<(String, String), String> {
    if let Some((_, kinds)) = FAMILIES.iter().find(|(name, _)| *name == needed) {
        return Ok(("sim.without".to_owned(), kinds.join(" ")));
    }
    match ORACLES.contains(&needed) {
        true => Ok(("sim.deaf".to_owned(), needed.to_owned())),
        false => Err(format!("no family of faults and no oracle \"{needed}\"")),
    }
}

/// The first of some seeds that fails with a bug, and of what, without some families and oracles.
///
/// # Errors
/// No such bug, or none that seeds find.
pub fn found(bug: &'static str, off: &[&str], seeds: u64) -> Result<Option<(u64, String)>, String> {
    let (scenario, mut settings) =
        place(bug).ok_or_else(|| format!("\"{bug}\" is found by specs"))?;
    for name in off {
        settings.push(without(name)?);
    }
    let options = SeedOptions { settings, bug: Some(bug) };
    for seed in 0..seeds {
        if let Some(what) = run_seed(scenario, seed, &options)?.failure {
            return Ok(Some((seed, what)));
        }
    }
    Ok(None)
}

/// What one bug takes.
#[derive(Debug, Clone)]
pub struct Ablated {
    /// Its name.
    pub bug: &'static str,
    /// The first seed that finds it; `None` if none did.
    pub found_by: Option<u64>,
    /// Families of fault without which it is not found.
    pub needs: Vec<&'static str>,
    /// Who complained first.
    pub seen_by: BTreeSet<&'static str>,
    /// The one without which it is not found, if there is one.
    pub only_by: Option<&'static str>,
}

/// What a bug takes, by seeds 0 to `most_seeds` - 1.
///
/// # Errors
/// No such bug.
pub fn ablate(bug: &'static str, most_seeds: u64) -> Result<Ablated, String> {
    let (scenario, settings) = place(bug).ok_or_else(|| format!("\"{bug}\" is found by specs"))?;
    let options = SeedOptions { settings, bug: Some(bug) };
    let (mut found_by, mut seen_by) = (None, BTreeSet::new());
    let mut families: Vec<_> = FAMILIES.to_vec();
    let (mut failures, mut last) = (0, most_seeds);
    for seed in 0..most_seeds {
        let report = run_seed(scenario, seed, &options)?;
        let Some(failure) = report.failure else { continue };
        found_by.get_or_insert(seed);
        seen_by.insert(oracle_of(&failure));
        // Switches are no faults, and are not counted.
        let was_there = |kind: &&str| *kind == "switches" || report.faults.of(kind) > 0;
        families.retain(|(_, kinds)| kinds.iter().any(was_there));
        failures += 1;
        if failures == FAILURES {
            last = seed + 1;
            break;
        }
    }
    let mut row = Ablated { bug, found_by, needs: Vec::new(), seen_by, only_by: None };
    if row.found_by.is_none() {
        return Ok(row);
    }
    let seeds = last.saturating_mul(SPARED).max(20);
    for (family, _) in families {
        if found(bug, &[family], seeds)?.is_none() {
            row.needs.push(family);
        }
    }
    if let (1, Some(oracle)) = (row.seen_by.len(), row.seen_by.first())
        && found(bug, &[*oracle], seeds)?.is_none()
    {
        row.only_by = Some(oracle);
    }
    Ok(row)
}

/// The matrix as cells: its heads, and a row for each bug.
pub fn cells(rows: &[Ablated]) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let heads = vec!["planted bug", "first seed#", "needs", "seen by", "by nobody else"];
    let cells = rows.iter().map(|row| {
        let or_none = |text: String| if text.is_empty() { "—".to_owned() } else { text };
        vec![
            row.bug.to_owned(),
            row.found_by.map_or("—".to_owned(), |seed| seed.to_string()),
            or_none(row.needs.join(", ")),
            or_none(row.seen_by.iter().copied().collect::<Vec<_>>().join(", ")),
            or_none(row.only_by.unwrap_or_default().to_owned()),
        ]
    });
    (heads, cells.collect())
}

/// Families and oracles that no bug of the matrix needs.
pub fn idle(rows: &[Ablated]) -> Vec<&'static str> {
    let needed: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.needs.iter().copied().chain(row.only_by)).collect();
    let all = FAMILIES.iter().map(|(name, _)| *name).chain(ORACLES.iter().copied());
    all.filter(|name| !needed.contains(name)).collect()
}

/// The matrix in Markdown.
pub fn matrix(rows: &[Ablated]) -> String {
    let (heads, cells) = cells(rows);
    let heads: Vec<&str> = heads.iter().map(|head| head.trim_end_matches('#')).collect();
    let mut text = format!("| {} |\n| --- | ---: | --- | --- | --- |\n", heads.join(" | "));
    for row in cells {
        writeln!(text, "| `{}` | {} |", row[0], row[1..].join(" | "))
            .expect("a string takes everything");
    }
    writeln!(text, "\nNeeded by none of these: {}.", idle(rows).join(", "))
        .expect("a string takes everything");
    text
}

/// The bugs that seeds find.
pub fn bugs_found_by_seeds() -> Vec<&'static str> {
    let all = [BUGS, ISOLATION_BUGS, CLIENT_BUGS, NETWORK_BUGS].concat();
    all.into_iter().filter(|bug| place(bug).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FAULTS;

    #[test]
    fn complaints_are_told_apart() {
        assert_eq!(oracle_of("liveness: clients do not finish"), "liveness");
        assert_eq!(oracle_of("G2: ReadWrite from 0, by timestamps"), "timestamps");
        assert_eq!(oracle_of("durability: entry 3 is gone"), "durability");
        assert_eq!(oracle_of("5 rows, of which some are nobody's: []"), "balances");
    }

    #[test]
    fn every_fault_is_of_one_family() {
        for fault in FAULTS {
            let count = FAMILIES.iter().filter(|(_, kinds)| kinds.contains(fault)).count();
            // What comes with others goes with them.
            let is_bound = crate::without::BOUND.iter().any(|(bound, _)| bound == fault);
            let is_death = fault.starts_with("kills-in-recovery");
            assert_eq!(count, usize::from(!is_bound && !is_death), "{fault}");
        }
    }

    #[test]
    fn every_family_and_oracle_has_its_witness_or_its_reason() {
        let all = FAMILIES.iter().map(|(name, _)| *name).chain(ORACLES.iter().copied());
        for name in all {
            let witnesses = WITNESSES.iter().filter(|witness| witness.needed == name).count();
            let reasons = UNWITNESSED.iter().filter(|(needed, _)| *needed == name).count();
            assert_eq!(witnesses + reasons, 1, "{name}");
        }
    }

    #[test]
    fn a_bug_that_every_seed_shows_needs_no_fault() {
        let row = ablate("mvcc.no-first-updater-check", 40).unwrap();
        assert!(row.found_by.is_some() && !row.needs.contains(&"damage"), "{row:?}");
        let refused = ablate("mvcc.waited-row-not-rechecked", 1).unwrap_err();
        assert!(refused.contains("specs"), "{refused}");
        let unknown = found("wal.ack-before-sync", &["rain"], 1).unwrap_err();
        assert!(unknown.contains("rain"), "{unknown}");
    }
}
