//! Every planted bug is found, and the clean build passes the seeds that find them.
//!
//! Prints, with `--nocapture`, how many seeds each bug took.

use driftdb_sim::ablation::bugs_found_by_seeds;
use driftdb_sim::{BUGS, Scenario, SeedOptions, place, run_seed, shrink};

/// Seeds tried before a bug counts as missed.
const MOST_SEEDS: u64 = 2000;

/// Seeds that the clean build must pass for each engine, beyond those that found a bug.
const CLEAN_SEEDS: u64 = 150;

fn failure(seed: u64, options: &SeedOptions) -> Option<String> {
    failure_of(Scenario::Ledger, seed, options)
}

fn failure_of(scenario: Scenario, seed: u64, options: &SeedOptions) -> Option<String> {
    run_seed(scenario, seed, options).expect("the settings exist").failure
}

fn scenario(bug: &str) -> Scenario {
    place(bug).expect("seeds find it").0
}

/// Bugs that an honest disk never shows.
const TRUSTING: &[&str] = &[
    "lsm.frame-checksum-not-checked",
    "btree.page-checksum-not-checked",
    "btree.stale-page-accepted",
];

fn settings(bug: &str) -> Vec<(String, String)> {
    place(bug).expect("seeds find it").1
}

fn check(bug: &'static str) {
    let clean = SeedOptions { settings: settings(bug), bug: None };
    let planted = SeedOptions { bug: Some(bug), ..clean.clone() };
    let failure = |seed, options| failure_of(scenario(bug), seed, options);
    let found = (0..MOST_SEEDS).find_map(|seed| Some((seed, failure(seed, &planted)?)));
    let (seed, what) = found.unwrap_or_else(|| panic!("{bug}: missed by {MOST_SEEDS} seeds"));
    println!("{bug}: found by seed {seed}: {}", what.lines().next().unwrap_or_default());
    assert_eq!(failure(seed, &clean), None, "seed {seed} fails without {bug}");
}

macro_rules! bugs {
    ($($test:ident: $bug:literal,)*) => {
        $(#[test] fn $test() { check($bug); })*

        #[test]
        fn no_bug_is_forgotten() {
            assert_eq!(BUGS, [$($bug),*]);
        }
    };
}

bugs! {
    acknowledge_before_sync: "wal.ack-before-sync",
    swallow_a_sync_error: "wal.sync-error-swallowed",
    ignore_checksums: "wal.checksum-not-checked",
    append_after_a_torn_tail: "wal.append-after-torn-tail",
    release_the_log_before_the_checkpoint: "mvcc.log-released-before-checkpoint",
    replay_at_new_times: "mvcc.replay-not-idempotent",
    let_the_last_updater_win: "mvcc.no-first-updater-check",
    publish_before_durable: "mvcc.publish-before-durable",
    show_what_a_branch_hides: "mvcc.branch-shows-what-it-hides",
    replay_parts_without_their_commit: "mvcc.parts-without-commit",
    let_go_what_readers_need: "mvcc.vacuum-passes-readers",
    read_the_past_by_the_definition_of_now: "tables.definition-of-now",
    begin_a_feed_late: "tables.feed-begins-late",
    name_a_table_before_its_sync: "lsm.manifest-before-table-sync",
    drop_the_newest_version_in_a_merge: "lsm.compaction-drops-newest",
    reuse_pages_too_early: "btree.freed-page-reused-early",
    switch_roots_before_the_sync: "btree.root-switch-before-sync",
    leave_an_unsynced_tail: "wal.tail-not-written-again",
    follow_the_wall_clock: "mvcc.commit-time-of-the-wall",
    trust_a_table: "lsm.frame-checksum-not-checked",
    trust_a_page: "btree.page-checksum-not-checked",
    trust_an_old_page: "btree.stale-page-accepted",
}

/// Half of the bugs that seeds find are found by so few.
const MEDIAN_SEEDS: u64 = 25;

#[test]
fn half_of_the_bugs_are_found_at_once() {
    let bugs = bugs_found_by_seeds();
    let is_found = |bug: &&'static str| {
        let planted = SeedOptions { settings: settings(bug), bug: Some(bug) };
        (0..MEDIAN_SEEDS).any(|seed| failure_of(scenario(bug), seed, &planted).is_some())
    };
    let found = bugs.iter().filter(|bug| is_found(bug)).count();
    println!("{found} of {} bugs are found by {MEDIAN_SEEDS} seeds", bugs.len());
    assert!(found * 2 > bugs.len(), "only {found} of {}", bugs.len());
    let all = BUGS.len() + driftdb_sim::ISOLATION_BUGS.len();
    assert!(all >= 40, "only {all} bugs");
}

/// Seeds by which a bug is not found that needs a fault which these do not have.
const SPARED_SEEDS: u64 = 200;

#[test]
fn only_damage_shows_trust_in_a_disk() {
    for &bug in TRUSTING {
        let mut settings = settings(bug);
        settings.push(("sim.damage".to_owned(), "off".to_owned()));
        let honest = SeedOptions { settings, bug: Some(bug) };
        for seed in 0..SPARED_SEEDS {
            assert_eq!(failure(seed, &honest), None, "{bug} needs no damage: seed {seed}");
        }
    }
}

/// What a seed fails of is still what it fails of when all else is gone, and little is left.
#[test]
fn what_fails_is_shrunk() {
    for bug in [
        "mvcc.no-first-updater-check",
        "btree.root-switch-before-sync",
        "wal.append-after-torn-tail",
        "tables.definition-of-now",
        "tables.feed-begins-late",
    ] {
        let planted = SeedOptions { settings: settings(bug), bug: Some(bug) };
        let failure = |seed, options| failure_of(scenario(bug), seed, options);
        let failing = (0..MOST_SEEDS).find(|seed| failure(*seed, &planted).is_some());
        let seed = failing.expect("it is found");
        let shrunk = shrink(scenario(bug), seed, &planted).expect("the settings exist");
        let shrunk = shrunk.expect("it fails");
        assert_eq!(failure(seed, &shrunk.options), Some(shrunk.failure));
        let counts = (shrunk.operation_count, shrunk.fault_count, shrunk.preemption_count);
        println!("{bug}: {counts:?} after {} runs", shrunk.run_count);
        assert!(shrunk.operation_count <= 20 && shrunk.fault_count <= 3, "{bug}: {counts:?}");
        let clean = SeedOptions { bug: None, ..planted };
        assert!(shrink(scenario(bug), seed, &clean).expect("the settings exist").is_none());
    }
}

fn check_clean(engine: &str) {
    let settings = vec![("storage.engine".to_owned(), engine.to_owned())];
    let options = SeedOptions { settings, bug: None };
    for seed in 0..CLEAN_SEEDS {
        assert_eq!(failure(seed, &options), None, "seed {seed} on {engine}");
    }
}

#[test]
fn the_clean_build_passes_on_lsm() {
    check_clean("lsm");
}

#[test]
fn the_clean_build_passes_on_btree() {
    check_clean("btree");
}

#[test]
fn the_clean_build_passes_on_memory() {
    check_clean("memory");
}
