//! The SQL scenarios hold on every engine and control, and their checkers see what they should.

use driftdb_sim::{Scenario, SeedOptions, run_seed};

fn options(settings: &[(&str, &str)], bug: Option<&'static str>) -> SeedOptions {
    let settings = settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    SeedOptions { settings: settings.collect(), bug }
}

fn failure(scenario: Scenario, seed: u64, options: &SeedOptions) -> Option<String> {
    run_seed(scenario, seed, options).expect("the settings exist").failure
}

fn check_clean(scenario: Scenario, engine: &str) {
    for (seed, control) in (0..24).zip(["ssi", "locking"].into_iter().cycle()) {
        let settings = [("storage.engine", engine), ("concurrency.control", control)];
        let failure = failure(scenario, seed, &options(&settings, None));
        assert_eq!(failure, None, "{} seed {seed} on {settings:?}", scenario.name());
    }
}

#[test]
fn bank_holds_on_lsm() {
    check_clean(Scenario::Bank, "lsm");
}

#[test]
fn bank_holds_on_btree() {
    check_clean(Scenario::Bank, "btree");
}

#[test]
fn list_append_holds_on_lsm() {
    check_clean(Scenario::ListAppend, "lsm");
}

#[test]
fn list_append_holds_on_btree() {
    check_clean(Scenario::ListAppend, "btree");
}

#[test]
fn feed_holds_on_lsm() {
    check_clean(Scenario::Feed, "lsm");
}

#[test]
fn feed_holds_on_btree() {
    check_clean(Scenario::Feed, "btree");
}

#[test]
fn ddl_holds_on_lsm() {
    check_clean(Scenario::Ddl, "lsm");
}

#[test]
fn ddl_holds_on_btree() {
    check_clean(Scenario::Ddl, "btree");
}

#[test]
fn tpcc_holds_on_lsm() {
    check_clean(Scenario::Tpcc, "lsm");
}

#[test]
fn tpcc_holds_on_btree() {
    check_clean(Scenario::Tpcc, "btree");
}

#[test]
fn a_consumer_notices_commits_that_are_not_durable() {
    let what = found(Scenario::Feed, &[], "mvcc.publish-before-durable");
    assert!(what.starts_with("feed: ") || what.starts_with("durability"), "{what}");
}

#[test]
fn a_consumer_notices_a_feed_that_begins_late() {
    let what = found(Scenario::Feed, &[], "tables.feed-begins-late");
    assert!(what.starts_with("feed: "), "{what}");
}

/// The first failure within a few hundred seeds.
fn first_failure(scenario: Scenario, options: &SeedOptions) -> String {
    let found = (0..300).find_map(|seed| failure(scenario, seed, options));
    found.unwrap_or_else(|| panic!("{options:?} is missed by {}", scenario.name()))
}

fn found(scenario: Scenario, settings: &[(&str, &str)], bug: &'static str) -> String {
    first_failure(scenario, &options(settings, Some(bug)))
}

#[test]
fn lists_show_what_weaker_levels_allow() {
    let anomaly = |isolation: &str, judged_as: &str| {
        let settings = [
            ("concurrency.control", "ssi"),
            ("sim.isolation", isolation),
            ("sim.judge", judged_as),
        ];
        first_failure(Scenario::ListAppend, &options(&settings, None))
    };
    let skew = anomaly("repeatable read", "serializable");
    assert!(skew.starts_with("G2"), "{skew}");
    let single = anomaly("read committed", "repeatable read");
    assert!(single.starts_with("G-single"), "{single}");
}

#[test]
fn lists_show_a_lost_update() {
    let settings = [("sim.isolation", "repeatable read"), ("concurrency.control", "ssi")];
    let what = found(Scenario::ListAppend, &settings, "mvcc.no-first-updater-check");
    assert!(!what.contains("panic"), "{what}");
}

#[test]
fn balances_show_a_lost_update() {
    let settings = [("concurrency.control", "ssi")];
    let what = found(Scenario::Bank, &settings, "mvcc.no-first-updater-check");
    assert!(what.starts_with("atomicity"), "{what}");
}

#[test]
fn sessions_notice_lost_commits() {
    for scenario in [Scenario::Bank, Scenario::ListAppend] {
        let what = found(scenario, &[], "wal.ack-before-sync");
        // A session misses its commit, unless the engine or a later record of the log misses it first.
        let is_loss = what.starts_with("durability")
            || what.contains("but the engine is complete")
            || what.contains("was written after it was synced");
        assert!(is_loss, "{what}");
    }
}
