//! The engine's latches under schedules, and the misplaced steps that these are known to find.
//! Run by `.ci/shuttle`.
#![cfg(shuttle)]

use driftdb_conformance::storage::schedules::{snapshots_are_exact, snapshots_hold_what_they_need};
use driftdb_env::schedules::Schedules;
use driftdb_storage_btree::BtreeEngine;

const SCHEDULES: Schedules = Schedules { random: 2_000, priority: 2_000 };

#[test]
fn snapshots_are_exact_under_any_schedule() {
    SCHEDULES.all_hold(snapshots_are_exact::<BtreeEngine>);
}

#[test]
fn snapshots_hold_what_they_need_under_any_schedule() {
    SCHEDULES.all_hold(snapshots_hold_what_they_need::<BtreeEngine>);
}

fn find(bug: &'static str) {
    SCHEDULES.find(bug, snapshots_are_exact::<BtreeEngine>);
}

#[test]
fn a_page_reused_under_a_reader_is_found() {
    find("btree.page-reused-under-reader");
}

#[test]
fn a_page_reused_before_the_switch_is_found() {
    find("btree.freed-page-reused-early");
}

#[test]
fn a_snapshot_that_pins_after_it_took_its_root_is_found() {
    SCHEDULES.find("btree.pin-after-root", snapshots_hold_what_they_need::<BtreeEngine>);
}
