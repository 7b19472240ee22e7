//! What nobody needs any more is let go: each scenario ends with nothing held, and a planted leak is told.

use driftdb_sim::{LEAK_BUGS, Scenario, SeedOptions, run_seed};

/// Seeds tried before a bug counts as missed.
const MOST_SEEDS: u64 = 100;

fn failure(scenario: Scenario, seed: u64, options: &SeedOptions) -> Option<String> {
    run_seed(scenario, seed, options).expect("the settings exist").failure
}

fn check(bug: &'static str, scenario: Scenario, settings: &[(&str, &str)]) {
    let settings = settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    let clean = SeedOptions { settings: settings.collect(), bug: None };
    let planted = SeedOptions { bug: Some(bug), ..clean.clone() };
    let found = (0..MOST_SEEDS).find_map(|seed| Some((seed, failure(scenario, seed, &planted)?)));
    let (seed, what) = found.unwrap_or_else(|| panic!("{bug}: missed by {MOST_SEEDS} seeds"));
    println!("{bug}: found by seed {seed}: {what}");
    assert!(what.starts_with("leak: "), "{bug}: {what}");
    assert_eq!(failure(scenario, seed, &clean), None, "seed {seed} fails without {bug}");
}

macro_rules! bugs {
    ($($test:ident: $bug:literal $scenario:ident $settings:expr,)*) => {
        $(#[test] fn $test() { check($bug, Scenario::$scenario, &$settings); })*

        #[test]
        fn no_bug_is_forgotten() {
            assert_eq!(LEAK_BUGS, [$($bug),*]);
        }
    };
}

bugs! {
    hold_history_for_nobody: "mvcc.reader-stays" Bank [],
    lock_a_table_for_nobody: "lock.table-lock-stays" Queue [("sim.lives", "0")],
    list_a_session_that_is_gone: "session.stays-registered" Bank [],
    keep_a_spilled_file_open: "mvcc.spilled-file-stays-open" Bank [("transaction.memory_bytes", "1")],
}
