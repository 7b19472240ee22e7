//! The shared suite notices the bugs that are planted in this engine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use driftdb_conformance::storage::{crashes, random};
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
