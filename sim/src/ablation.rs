//! The matrix of ablation: for each planted bug, which kinds of fault it takes to find it, and who sees it.
//!
//! To run each bug without each kind would take days. A kind that did not strike in some seed that failed is
//! not needed; so first a few failing seeds are looked for, and only kinds that struck in all of them are left out
//! in turn ([`crate::without`]). A kind without which as many seeds find nothing is *needed*.
//!
//! An oracle is needed if it alone saw the bug in all of those seeds: the first to complain ends a seed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::bugs::place;
use crate::without::BOUND;
use crate::{BUGS, FAULTS, SeedOptions, run_seed};

/// Failing seeds that are compared.
const FAILURES: usize = 4;

/// What one bug takes.
#[derive(Debug, Clone)]
pub struct Ablated {
    /// Its name.
    pub bug: &'static str,
    /// The first seed that finds it; `None` if none did.
    pub found_by: Option<u64>,
    /// Kinds of fault without which it is not found.
    pub needs: Vec<&'static str>,
    /// Who complained.
    pub seen_by: BTreeSet<&'static str>,
}

/// Which oracle a complaint is from.
pub fn oracle_of(failure: &str) -> &'static str {
    let starts = |heads: &[&str]| heads.iter().any(|head| failure.starts_with(head));
    let has = |parts: &[&str]| parts.iter().any(|part| failure.contains(part));
    match () {
        () if starts(&["liveness", "deadlock", "livelock"]) => "liveness",
        () if starts(&["panic", "a panic", "a statement panicked"]) => "panics",
        () if starts(&["verify"]) => "verify",
        () if starts(&["feed"]) => "feed",
        () if starts(&["index"]) => "index = table",
        () if starts(&["time travel", "retention", "sequence number"]) => "time travel",
        () if starts(&["real time"]) => "real time",
        () if starts(&["atomicity"]) || has(&["are nobody's"]) => "balances",
        () if starts(&["durability", "entry "]) || has(&["is lost", "failed and is there"]) => {
            "durability ledger"
        }
        () if starts(&["the database does not open", "the recovered database", "a healthy"]) => {
            "opens and closes"
        }
        () if starts(&["unexpected error"]) => "no unexpected error",
        () => "isolation",
    }
}

/// What a bug takes, by seeds 0 to `most_seeds` - 1.
///
/// # Errors
/// No such bug.
pub fn ablate(bug: &'static str, most_seeds: u64) -> Result<Ablated, String> {
    let (scenario, settings) = place(bug).ok_or_else(|| format!("\"{bug}\" is found by specs"))?;
    let options = SeedOptions { settings, bug: Some(bug) };
    let mut row = Ablated { bug, found_by: None, needs: Vec::new(), seen_by: BTreeSet::new() };
    let mut candidates: BTreeSet<&str> = FAULTS.iter().copied().collect();
    let (mut failures, mut last) = (0, most_seeds);
    for seed in 0..most_seeds {
        let report = run_seed(scenario, seed, &options)?;
        let Some(failure) = report.failure else { continue };
        row.found_by.get_or_insert(seed);
        row.seen_by.insert(oracle_of(&failure));
        candidates.retain(|kind| report.faults.of(kind) > 0);
        failures += 1;
        if failures == FAILURES {
            last = seed + 1;
            break;
        }
    }
    candidates.retain(|kind| !BOUND.iter().any(|(bound, _)| bound == kind));
    // Four times the seeds in which so many failed, before a kind is called needed.
    let seeds = last.saturating_mul(4).min(most_seeds);
    for kind in candidates.into_iter().filter(|_| row.found_by.is_some()) {
        let mut without = options.clone();
        without.settings.push(("sim.without".into(), kind.into()));
        let mut is_found = false;
        for seed in 0..seeds {
            is_found = run_seed(scenario, seed, &without)?.failure.is_some();
            if is_found {
                break;
            }
        }
        if !is_found {
            row.needs.push(kind);
        }
    }
    Ok(row)
}

/// The matrix of all bugs that seeds find, or of some, in Markdown; `progress` hears of each.
///
/// # Errors
/// No such bug.
pub fn matrix(
    bugs: &[&'static str],
    most_seeds: u64,
    mut progress: impl FnMut(&Ablated),
) -> Result<String, String> {
    let mut rows = Vec::new();
    for bug in bugs {
        let row = ablate(bug, most_seeds)?;
        progress(&row);
        rows.push(row);
    }
    let mut text = String::from(
        "| Planted bug | first seed | needs | seen by |\n| --- | ---: | --- | --- |\n",
    );
    for row in &rows {
        let seed = row.found_by.map_or("—".to_owned(), |seed| seed.to_string());
        let seen: Vec<&str> = row.seen_by.iter().copied().collect();
        writeln!(
            text,
            "| `{}` | {seed} | {} | {} |",
            row.bug,
            if row.needs.is_empty() { "—".to_owned() } else { row.needs.join(", ") },
            seen.join(", "),
        )
        .expect("a string takes everything");
    }
    let needed: BTreeSet<&str> = rows.iter().flat_map(|row| row.needs.iter().copied()).collect();
    let idle: Vec<&str> = FAULTS.iter().copied().filter(|kind| !needed.contains(kind)).collect();
    writeln!(text, "\nNo bug of these needs: {}.", idle.join(", "))
        .expect("a string takes everything");
    let alone: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.seen_by.len() == 1)
        .flat_map(|row| row.seen_by.iter().copied())
        .collect();
    let alone: Vec<&str> = alone.into_iter().collect();
    writeln!(text, "\nOracles that alone see some bug: {}.", alone.join(", "))
        .expect("a string takes everything");
    Ok(text)
}

/// The bugs that seeds find.
pub fn bugs_found_by_seeds() -> Vec<&'static str> {
    let all = BUGS.iter().chain(crate::ISOLATION_BUGS).copied();
    all.filter(|bug| place(bug).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_apart() {
        assert_eq!(oracle_of("liveness: clients do not finish"), "liveness");
        assert_eq!(oracle_of("G2: ReadWrite from 0"), "isolation");
        assert_eq!(oracle_of("durability: entry 3 is gone"), "durability ledger");
        assert_eq!(oracle_of("5 rows, of which some are nobody's: []"), "balances");
    }

    #[test]
    fn a_bug_that_every_seed_shows_needs_no_fault() {
        let row = ablate("mvcc.no-first-updater-check", 40).unwrap();
        assert_eq!((row.found_by.is_some(), row.needs.len()), (true, 0), "{row:?}");
        let refused = ablate("mvcc.waited-row-not-rechecked", 1).unwrap_err();
        assert!(refused.contains("specs"), "{refused}");
    }
}
