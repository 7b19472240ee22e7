//! The engine's latches under random schedules: a writer, a maintainer and two readers.
//! Run by `.ci/shuttle`.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "test code; clippy exempts only functions marked as tests")]

use std::path::Path;
use std::sync::Arc;

use driftdb_env::{Task, yield_now};
use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{
    Commit, Cursor, Engine, EngineOptions, KeyRange, KeyspaceId, LogBarrier, Lsn, Result, ScanSpec,
    Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_lsm::LsmEngine;

const SPACE: KeyspaceId = KeyspaceId(3);
const KEYS: u64 = 4;
const COMMITS: u64 = 12;

/// A log that is always durable, and that lets others run where an engine waits for it.
struct Ready;

impl LogBarrier for Ready {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        yield_now("log");
        Ok(())
    }
}

fn commit(n: u64) -> Commit {
    Commit { lsn: Lsn(n), ts: Timestamp(n) }
}

/// Commit `n` gives every key the value `n`, so that a snapshot at `n` holds nothing else.
fn batch(n: u64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    if n == 1 {
        batch.create_keyspace(SPACE);
    }
    for key in 0..KEYS {
        let mut value = vec![0; 300];
        value[..8].copy_from_slice(&n.to_le_bytes());
        batch.put(SPACE, &key.to_be_bytes(), &value);
    }
    batch
}

/// Everything visible as of `ts` is there exactly once, in order.
fn exact(snapshot: &impl Snapshot, ts: u64, reverse: bool) {
    let visible = Visible::AsOf(Timestamp(ts));
    let spec = ScanSpec { range: KeyRange::ALL, visible, reverse };
    let mut cursor = snapshot.cursor(SPACE, &spec).unwrap();
    let mut found = Vec::new();
    while cursor.next().unwrap() {
        let entry = cursor.entry();
        let value = entry.value.expect("no tombstones as of a time");
        let key = u64::from_be_bytes(*entry.key.first_chunk().unwrap());
        found.push((key, u64::from_le_bytes(*value.first_chunk().unwrap())));
        yield_now("reader");
    }
    let mut expected: Vec<_> = (0..KEYS).map(|key| (key, ts)).collect();
    if reverse {
        expected.reverse();
    }
    assert_eq!(found, expected, "as of {ts}, reverse {reverse}");
}

fn writer_maintainer_readers() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    let dir = Path::new("/engine");
    let mut options = EngineOptions::tiny();
    // Three commits fill it.
    options.write_buffer_bytes = 4 << 10;
    let engine = Arc::new(LsmEngine::open(&env, dir, &options).unwrap());
    engine.apply(&batch(1), commit(1)).unwrap();

    let mut tasks = Vec::new();
    let writing = Arc::clone(&engine);
    tasks.push(env.spawn("writer", move || {
        for n in 2..=COMMITS {
            writing.apply(&batch(n), commit(n)).unwrap();
        }
    }));
    let maintaining = Arc::clone(&engine);
    tasks.push(env.spawn("maintainer", move || {
        for _ in 0..4 {
            maintaining.maintain(&Ready).unwrap();
            maintaining.checkpoint(&Ready).unwrap();
        }
    }));
    for reverse in [false, true] {
        let reading = Arc::clone(&engine);
        tasks.push(env.spawn("reader", move || {
            for _ in 0..3 {
                let snapshot = reading.snapshot();
                let now = snapshot.at().ts.0;
                exact(&snapshot, now, reverse);
                // The same again, after whatever was flushed, merged and removed meanwhile.
                exact(&snapshot, now, !reverse);
            }
        }));
    }
    tasks.into_iter().for_each(Task::join);

    let durable = engine.checkpoint(&Ready).unwrap();
    assert_eq!(durable, commit(COMMITS));
    drop(engine);
    disk.crash_with(driftdb_sim_disk::CrashMode::LoseAll);
    let engine = LsmEngine::open(&env, dir, &options).unwrap();
    assert_eq!(engine.durable(), commit(COMMITS));
    exact(&engine.snapshot(), COMMITS, false);
}

#[test]
fn snapshots_are_exact_under_random_schedules() {
    shuttle::check_random(writer_maintainer_readers, 300);
}

#[test]
fn snapshots_are_exact_under_priority_schedules() {
    shuttle::check_pct(writer_maintainer_readers, 150, 3);
}
