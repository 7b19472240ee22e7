//! Group commit: one sync for all who wait.

use std::path::Path;
use std::sync::Arc;

use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Env, IoOp, Task};
use driftdb_storage::Lsn;
use driftdb_wal::{Wal, WalOptions};

use super::harness::{Scratch, records, stat};

#[test]
fn one_wait_covers_a_whole_group_with_one_sync() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let before = scratch.disk.counters();
    let ends: Vec<Lsn> = (0..20).map(|_| wal.append(&[b"record"]).unwrap()).collect();
    wal.wait_durable(ends[5]).unwrap();
    assert_eq!(wal.durable(), ends[19]);
    wal.wait_durable(ends[19]).unwrap();
    let after = scratch.disk.counters();
    assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (1, 1));
    assert_eq!((stat(&wal, "syncs"), stat(&wal, "waits"), stat(&wal, "records")), (1, 1, 20));
    assert_eq!(stat(&wal, "bytes"), 20 * (24 + 6));
}

#[test]
fn those_who_come_while_a_sync_runs_share_the_next() {
    let scratch = Scratch::new();
    let wal = Arc::new(scratch.open());
    let appended = Arc::new((Mutex::new(0), Condvar::new()));
    let gate = Arc::clone(&appended);
    // The first sync lasts until all eight have appended.
    scratch.disk.set_pause(Some(Arc::new(move |op, _| {
        let mut count = gate.0.lock();
        while op == IoOp::Sync && *count < 8 {
            gate.1.wait(&mut count);
        }
    })));
    let tasks: Vec<Task> = (0..8_u8)
        .map(|client| {
            let (wal, appended) = (Arc::clone(&wal), Arc::clone(&appended));
            scratch.env.spawn("client", move || {
                let end = wal.append(&[&[client]]).unwrap();
                *appended.0.lock() += 1;
                appended.1.notify_all();
                wal.wait_durable(end).unwrap();
            })
        })
        .collect();
    tasks.into_iter().for_each(Task::join);
    assert_eq!(wal.durable(), wal.tail());
    assert_eq!(records(&wal, Lsn(0)).len(), 8);
    assert!(stat(&wal, "syncs") <= 2, "{}", stat(&wal, "syncs"));
}

#[test]
fn many_threads_on_a_real_disk_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::os();
    let options = WalOptions { segment_bytes: 16 << 10, ..WalOptions::tiny() };
    let open = || Wal::open(&env, dir.path(), &options).unwrap();
    let wal = Arc::new(open());
    let tasks: Vec<Task> = (0..4_u8)
        .map(|client| {
            let wal = Arc::clone(&wal);
            env.spawn("client", move || {
                for turn in 0..50_u8 {
                    let end = wal.append(&[&[client, turn], &[0; 300]]).unwrap();
                    wal.wait_durable(end).unwrap();
                    assert!(wal.durable() >= end);
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(Task::join);
    assert_eq!(stat(&wal, "records"), 200);
    // A group that goes into two segments takes two.
    assert!(stat(&wal, "syncs") <= 200 + 5, "{}", stat(&wal, "syncs"));
    drop(wal);
    let found = records(&open(), Lsn(0));
    for client in 0..4 {
        let turns = found.iter().filter(|(_, payload)| payload[0] == client);
        assert!(turns.map(|(_, payload)| payload[1]).eq(0..50), "client {client}");
    }
    assert!(found.is_sorted());
    assert!(Path::exists(&dir.path().join("00000001.wal")));
}

#[test]
fn a_full_buffer_makes_appenders_flush() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    for _ in 0..100 {
        wal.append(&[&[1; 500]]).unwrap();
    }
    let unflushed = wal.tail().0 - wal.durable().0;
    assert!(unflushed <= scratch.options.buffer_bytes as u64, "{unflushed}");
    wal.wait_durable(wal.tail()).unwrap();
    assert_eq!(records(&wal, Lsn(0)).len(), 100);
}
