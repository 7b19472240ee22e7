//! The log's latches under schedules, and the misplaced steps that these are known to find.
//! Run by `.ci/shuttle`.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "test code; clippy exempts only functions marked as tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use driftdb_env::schedules::Schedules;
use driftdb_env::sync::Mutex;
use driftdb_sim_disk::{CrashMode, SimDisk, sim_env};
use driftdb_storage::Lsn;
use driftdb_wal::{Wal, WalOptions, WalStep};

const DIR: &str = "/wal";
const APPENDERS: u8 = 2;
const RECORDS: u8 = 3;

fn payloads(wal: &Wal, after: Lsn) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    wal.replay(after, &mut |_, payload| {
        assert!(found.insert(payload[..2].to_vec()), "a record is there twice");
        Ok(())
    })
    .unwrap();
    found
}

/// What the log acknowledged before the power failed is there when it opens again: the records that
/// were waited for, and whatever it said was durable.
fn power_fails(disk: &SimDisk, said: Lsn, acknowledged: &Mutex<BTreeSet<Vec<u8>>>) {
    let before = acknowledged.lock().clone();
    let copy = disk.fork(7);
    copy.crash_with(CrashMode::LoseAll);
    let wal = Wal::open(&sim_env(&copy, 1), Path::new(DIR), &WalOptions::tiny()).unwrap();
    assert!(wal.tail() >= said, "durable up to {said}, found up to {}", wal.tail());
    let found = payloads(&wal, Lsn(0));
    assert!(before.is_subset(&found), "acknowledged {before:?}, found {found:?}");
}

fn appenders_and_a_crash() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    let wal = Arc::new(Wal::open(&env, Path::new(DIR), &WalOptions::tiny()).unwrap());
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let mut tasks = Vec::new();
    for appender in 0..APPENDERS {
        let (wal, acknowledged) = (Arc::clone(&wal), Arc::clone(&acknowledged));
        tasks.push(env.spawn("appender", move || {
            for record in 0..RECORDS {
                let end = wal.append(&[&[appender, record], &[0; 700]]).unwrap();
                wal.wait_durable(end).unwrap();
                assert!(wal.durable() >= end);
                acknowledged.lock().insert(vec![appender, record]);
            }
        }));
    }
    let (crashing, seen, failing) = (disk.clone(), Arc::clone(&acknowledged), Arc::clone(&wal));
    // Several times, for the first is over before anything is acknowledged.
    tasks.push(env.spawn("power", move || {
        for _ in 0..4 {
            power_fails(&crashing, failing.durable(), &seen);
        }
    }));
    tasks.into_iter().for_each(driftdb_env::Task::join);
    power_fails(&disk, wal.durable(), &acknowledged);
    assert_eq!(acknowledged.lock().len(), usize::from(APPENDERS * RECORDS));
}

fn a_reader_while_segments_are_released() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    let wal = Arc::new(Wal::open(&env, Path::new(DIR), &WalOptions::tiny()).unwrap());
    let mut reader = wal.reader(Lsn(0)).unwrap();
    let appending = Arc::clone(&wal);
    let appender = env.spawn("appender", move || {
        for record in 0..6_u8 {
            let end = appending.append(&[&[0, record], &[record; 1500]]).unwrap();
            appending.wait_durable(end).unwrap();
        }
    });
    let releasing = Arc::clone(&wal);
    let releaser = env.spawn("releaser", move || {
        for _ in 0..4 {
            releasing.release_before(releasing.durable()).unwrap();
        }
    });
    let reading = env.spawn("reader", move || {
        let mut next = 0;
        // A reader from the start pins everything, so nothing may be gone and order is exact.
        for _ in 0..12 {
            match reader.step().unwrap() {
                WalStep::Record { payload, .. } => {
                    assert_eq!((payload[1], payload.len()), (next, 1502));
                    next += 1;
                }
                WalStep::CaughtUp(_) => driftdb_env::yield_now("reader"),
                WalStep::Gone { oldest } => panic!("pinned, yet the log begins at {oldest}"),
            }
        }
    });
    for task in [appender, releaser, reading] {
        task.join();
    }
}

const SCHEDULES: Schedules = Schedules { random: 10_000, priority: 10_000 };

#[test]
fn acknowledged_records_survive_under_any_schedule() {
    SCHEDULES.all_hold(appenders_and_a_crash);
}

#[test]
fn a_pinned_reader_misses_nothing_under_any_schedule() {
    SCHEDULES.all_hold(a_reader_while_segments_are_released);
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    SCHEDULES.find("wal.durable-before-sync", appenders_and_a_crash);
}

#[test]
fn a_next_group_that_nobody_wakes_is_found() {
    SCHEDULES.find("wal.next-group-not-woken", appenders_and_a_crash);
}

#[test]
fn a_wait_that_begins_after_the_latch_was_free_is_found() {
    SCHEDULES.find("wal.wait-after-latch", appenders_and_a_crash);
}

#[test]
fn a_write_without_its_sync_is_found() {
    SCHEDULES.find("wal.ack-before-sync", appenders_and_a_crash);
}
