//! What clients find: bugs that need a bad line, a client who goes, one job for two workers, or a short budget.

use driftdb_sim::{CLIENT_BUGS, Scenario, SeedOptions, run_seed};

/// Seeds tried before a bug counts as missed.
const MOST_SEEDS: u64 = 2000;

fn failure(scenario: Scenario, seed: u64, options: &SeedOptions) -> Option<String> {
    run_seed(scenario, seed, options).expect("no settings are fixed").failure
}

fn check(scenario: Scenario, bug: &'static str) {
    let clean = SeedOptions::default();
    let planted = SeedOptions { bug: Some(bug), ..clean.clone() };
    let found = (0..MOST_SEEDS).find_map(|seed| Some((seed, failure(scenario, seed, &planted)?)));
    let (seed, what) = found.unwrap_or_else(|| panic!("{bug}: missed by {MOST_SEEDS} seeds"));
    println!("{bug}: found by seed {seed}: {}", what.lines().next().unwrap_or_default());
    assert_eq!(failure(scenario, seed, &clean), None, "seed {seed} fails without {bug}");
}

macro_rules! bugs {
    ($($test:ident: $scenario:ident $bug:literal,)*) => {
        $(#[test] fn $test() { check(Scenario::$scenario, $bug); })*

        #[test]
        fn no_bug_is_forgotten() {
            assert_eq!(CLIENT_BUGS, [$($bug),*]);
        }
    };
}

bugs! {
    drop_the_rest_of_a_message: Wire "wire.partial-message-dropped",
    keep_the_block_of_who_is_gone: Wire "wire.block-outlives-its-client",
    take_more_memory_than_allowed: Wire "executor.memory-not-bounded",
    take_a_job_that_was_done_meanwhile: Queue "executor.locked-row-not-rechecked",
}

/// Each place that was seen once is seen again by its seed; and clients meet what they are to meet.
#[test]
fn clients_meet_every_fault_of_theirs() {
    let mut faults = driftdb_sim::FaultCounts::default();
    for seed in 0..60 {
        let report = run_seed(Scenario::Wire, seed, &SeedOptions::default()).expect("no settings");
        assert_eq!(report.failure, None, "seed {seed}");
        faults.merge(&report.faults);
    }
    for kind in
        ["messages-torn", "clients-slow", "clients-gone", "clients-gone-in-commit", "memory-short"]
    {
        assert!(faults.of(kind) > 0, "{kind}: {faults}");
    }
}
