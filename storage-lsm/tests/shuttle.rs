//! The engine's latches under schedules, and the misplaced steps that these are known to find.
//! Run by `.ci/shuttle`.
#![cfg(shuttle)]

use driftdb_conformance::storage::schedules::{snapshots_are_exact, snapshots_hold_what_they_need};
use driftdb_env::schedules::Schedules;
use driftdb_storage_lsm::LsmEngine;

const SCHEDULES: Schedules = Schedules { random: 2_000, priority: 2_000 };

#[test]
fn snapshots_are_exact_under_any_schedule() {
    SCHEDULES.all_hold(snapshots_are_exact::<LsmEngine>);
}

#[test]
fn snapshots_hold_what_they_need_under_any_schedule() {
    SCHEDULES.all_hold(snapshots_hold_what_they_need::<LsmEngine>);
}

fn find(bug: &'static str) {
    SCHEDULES.find(bug, snapshots_are_exact::<LsmEngine>);
}

#[test]
fn a_memtable_that_goes_before_its_table_comes_is_found() {
    find("lsm.memtable-gone-before-table");
}

#[test]
fn a_commit_that_shows_before_it_is_there_is_found() {
    find("lsm.applied-before-insert");
}

#[test]
fn a_snapshot_newer_than_its_version_is_found() {
    find("lsm.time-read-after-version");
}
