//! The shared suite notices the bugs that are planted in this engine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use driftdb_conformance::storage::{crashes, erasures, random, script};
use driftdb_env::planted;
use driftdb_storage_lsm::LsmEngine;

fn is_found(bug: &'static str, case: fn()) -> bool {
    planted::activate(Some(bug));
    let outcome = catch_unwind(AssertUnwindSafe(case));
    planted::activate(None);
    outcome.is_err()
}

#[test]
fn naming_a_table_before_it_is_synced_is_found() {
    assert!(is_found(
        "lsm.manifest-before-table-sync",
        crashes::a_crash_at_every_sync::<LsmEngine>
    ));
}

#[test]
fn a_merge_that_drops_the_newest_is_found() {
    let case = random::any_history_agrees_with_the_model::<LsmEngine>;
    assert!(is_found("lsm.compaction-drops-newest", case));
}

#[test]
fn tables_that_outlive_an_erasure_are_found() {
    let case = erasures::erased_bytes_leave_the_directory::<LsmEngine>;
    assert!(is_found("lsm.erased-tables-stay", case));
}

#[test]
fn a_script_that_finds_it_is_made_small() {
    planted::activate(Some("lsm.compaction-drops-newest"));
    let outcome = catch_unwind(script::any_script_agrees_with_the_model::<LsmEngine>);
    planted::activate(None);
    let report = outcome.expect_err("the bug is found");
    let report = report.downcast_ref::<String>().expect("a message");
    let script = report.split("\nafter\n").nth(1).expect("the message ends in a script");
    assert!(script.lines().count() <= 12, "not reduced:\n{report}");
}
