//! Generated SQL holds, finds the bugs that only other answers can tell, and answers alike on every engine and control.

use driftdb_sim::{QUERY_BUGS, Scenario, SeedOptions, SeedReport, run_seed};

/// Seeds tried before a bug counts as missed.
const MOST_SEEDS: u64 = 400;

/// Schedules and crashes have nothing to do with how a query is planned.
const CALM: [(&str, &str); 3] =
    [("sim.lives", "0"), ("sim.clients", "1"), ("sim.transactions", "24")];

fn options(settings: &[(&str, &str)], bug: Option<&'static str>) -> SeedOptions {
    let settings = settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    SeedOptions { settings: settings.collect(), bug }
}

fn run(seed: u64, options: &SeedOptions) -> SeedReport {
    run_seed(Scenario::Query, seed, options).expect("the settings exist")
}

fn check(bug: &'static str, oracles: &[&str]) {
    let planted = options(&CALM, Some(bug));
    let found = (0..MOST_SEEDS).find_map(|seed| Some((seed, run(seed, &planted).failure?)));
    let (seed, what) = found.unwrap_or_else(|| panic!("{bug}: missed by {MOST_SEEDS} seeds"));
    println!("{bug}: found by seed {seed}: {}", what.lines().next().unwrap_or_default());
    let oracle = what.split(':').next().unwrap_or_default();
    assert!(oracles.contains(&oracle), "{bug}: {what}");
    assert_eq!(run(seed, &options(&CALM, None)).failure, None, "seed {seed} fails without {bug}");
}

const TLP: [&str; 4] =
    ["tlp of rows", "tlp of distinct rows", "tlp of aggregates", "tlp of groups"];

/// What tells that a query was planned wrongly.
const ANY: [&str; 11] = [
    TLP[0],
    TLP[1],
    TLP[2],
    TLP[3],
    "norec",
    "plans",
    "fence",
    "outer join",
    "window",
    "order",
    "limit",
];

macro_rules! bugs {
    ($($test:ident: $bug:literal $oracles:expr,)*) => {
        $(#[test] fn $test() { check($bug, &$oracles); })*

        #[test]
        fn no_bug_is_forgotten() {
            assert_eq!(QUERY_BUGS, [$($bug),*]);
        }
    };
}

bugs! {
    use_a_partial_index_for_all_rows: "planner.partial-index-unproved" ANY,
    let_an_outer_join_filter: "planner.outer-join-condition-pushed" ANY,
    strengthen_a_full_join_to_the_wrong_side: "planner.full-join-keeps-the-wrong-side" ANY,
    forget_that_not_in_knows_null: "planner.not-in-is-an-anti-join" ANY,
    find_null_above_a_limit: "tables.range-lets-null-in" ANY,
    lose_null_among_distinct_rows: "executor.distinct-loses-null" ["distinct", TLP[1], "set operation"],
    join_null_with_null: "executor.null-keys-join" ANY,
    forget_how_many_to_except: "executor.except-all-forgets-its-count" ["set operation"],
}

#[test]
fn every_engine_and_control_gives_the_same_answers() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..6 {
        let mut first = None;
        for engine in ["lsm", "btree", "memory"] {
            for control in ["ssi", "locking", "occ", "ssn"] {
                let settings = [("storage.engine", engine), ("concurrency.control", control)];
                let report = run(seed, &options(&[&CALM[..], &settings].concat(), None));
                assert_eq!(report.failure, None, "seed {seed} on {engine} with {control}");
                let of_first = *first.get_or_insert(report.answers_hash);
                assert_eq!(report.answers_hash, of_first, "seed {seed} on {engine} with {control}");
            }
        }
        hashes.extend(first);
    }
    assert_eq!(hashes.len(), 6, "seeds differ");
}

/// Most queries of the generator answer, and relations are judged.
#[test]
fn queries_hold_over_crashes() {
    let mut related_count = 0;
    for seed in 0..30 {
        let report = run(seed, &options(&[], None));
        assert_eq!(report.failure, None, "seed {seed}");
        related_count += report.related_count;
    }
    assert!(related_count > 300, "{related_count} relations in 30 seeds");
}
