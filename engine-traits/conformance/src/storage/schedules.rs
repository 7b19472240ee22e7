//! An engine's latches under schedules (`--cfg shuttle`): a writer, a maintainer, readers that read
//! while both work, and snapshots that are kept until all is over.
//!
//! Nothing is cached to speak of, so that what a snapshot needs is read from disk, where a page or a
//! table that went too early is missed.

use std::path::Path;
use std::sync::Arc;

use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::Mutex;
use driftdb_env::{Env, Task};
use driftdb_sim_disk::{CrashMode, SimDisk, sim_env};
use driftdb_storage::{
    Commit, Cursor, Engine, EngineOptions, KeyRange, KeyspaceId, LogBarrier, Lsn, Result, ScanSpec,
    Snapshot, Timestamp, Visible, WriteBatch,
};

const SPACE: KeyspaceId = KeyspaceId(3);
const KEYS: u64 = 4;
const COMMITS: u64 = 12;
/// Made when the tasks are over, each with a checkpoint: by the last, what the first let go is used.
const MORE_COMMITS: u64 = 2;

/// A log that is always durable, and that lets others run where an engine waits for it.
struct Ready;

impl LogBarrier for Ready {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        preemption_point("log");
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

/// Everything visible as of the snapshot's time is there exactly once, in order.
fn exact(snapshot: &impl Snapshot, reverse: bool) {
    let ts = snapshot.at().ts;
    let spec = ScanSpec { range: KeyRange::ALL, visible: Visible::AsOf(ts), reverse };
    let mut cursor = snapshot.cursor(SPACE, &spec).expect("a scan begins");
    let mut found = Vec::new();
    while cursor.next().expect("the scan goes on") {
        let entry = cursor.entry();
        let value = entry.value.expect("no tombstones as of a time");
        let key = u64::from_be_bytes(*entry.key.first_chunk().expect("eight bytes"));
        found.push((key, u64::from_le_bytes(*value.first_chunk().expect("eight bytes"))));
        preemption_point("reader");
    }
    let mut expected: Vec<_> = (0..KEYS).map(|key| (key, ts.0)).collect();
    if reverse {
        expected.reverse();
    }
    assert_eq!(found, expected, "as of {ts}, reverse {reverse}");
}

/// Reads twice at each of several moments: the second time after whatever was flushed, merged and
/// removed meanwhile.
fn read<E: Engine>(engine: &E, reverse: bool) {
    let mut last = 0;
    // Enough for the writer and the maintainer, who have more steps each, to be at work all along.
    for _ in 0..10 {
        let snapshot = engine.snapshot();
        assert!(snapshot.at().ts.0 >= last, "time went back");
        last = snapshot.at().ts.0;
        exact(&snapshot, reverse);
        exact(&snapshot, !reverse);
    }
}

/// Maintains, and keeps a snapshot of what each checkpoint left.
fn maintain<E: Engine>(engine: &E, kept: &Kept<E>) {
    for _ in 0..4 {
        engine.maintain(&Ready).expect("maintained");
        engine.checkpoint(&Ready).expect("a checkpoint");
        keep(engine, kept);
    }
}

fn keep<E: Engine>(engine: &E, kept: &Kept<E>) {
    let snapshot = engine.snapshot();
    kept.lock().push(snapshot);
}

fn write<E: Engine>(engine: &E, n: u64) {
    engine.apply(&batch(n), commit(n)).expect("applied");
}

type Kept<E> = Mutex<Vec<<E as Engine>::Snapshot>>;

fn start<E: Engine>(
    env: &Env,
    engine: &Arc<E>,
    kept: &Arc<Kept<E>>,
    work: fn(&E, &Kept<E>),
) -> Task {
    let (engine, kept) = (Arc::clone(engine), Arc::clone(kept));
    env.spawn("task", move || work(&engine, &kept))
}

fn open<E: Engine>(env: &Env) -> Arc<E> {
    // Three commits fill the buffer.
    let options = EngineOptions { cache_bytes: 1 << 10, ..EngineOptions::tiny() };
    Arc::new(E::open(env, Path::new("/engine"), &options).expect("the engine opens"))
}

/// One schedule of snapshots being taken while all that they need is let go and used again. Few steps,
/// so that one task often stands still just where it takes a snapshot.
///
/// # Panics
/// A snapshot is not exact, or the engine fails.
pub fn snapshots_hold_what_they_need<E: Engine>() {
    let env = sim_env(&SimDisk::new(1), 1);
    let engine = open::<E>(&env);
    write(&*engine, 1);
    engine.checkpoint(&Ready).expect("a checkpoint");
    let kept = Arc::new(Mutex::new(Vec::new()));
    let tasks: [fn(&E, &Kept<E>); 2] = [
        |engine, _| {
            for n in 2..=4 {
                write(engine, n);
                engine.checkpoint(&Ready).expect("a checkpoint");
            }
        },
        |engine, kept| (0..6).for_each(|_| keep(engine, kept)),
    ];
    let tasks = tasks.map(|work| start(&env, &engine, &kept, work));
    tasks.into_iter().for_each(Task::join);
    for snapshot in kept.lock().drain(..) {
        exact(&snapshot, false);
    }
}

/// One schedule of everybody at work, and a crash afterwards.
///
/// # Panics
/// A snapshot is not exact, or the engine fails.
pub fn snapshots_are_exact<E: Engine>() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    let engine = open::<E>(&env);
    write(&*engine, 1);

    let kept = Arc::new(Mutex::new(Vec::new()));
    let tasks: [fn(&E, &Kept<E>); 5] = [
        |engine, _| (2..=COMMITS).for_each(|n| write(engine, n)),
        maintain,
        |engine, _| read(engine, false),
        |engine, _| read(engine, true),
        |engine, kept| (0..8).for_each(|_| keep(engine, kept)),
    ];
    let tasks = tasks.map(|work| start(&env, &engine, &kept, work));
    tasks.into_iter().for_each(Task::join);

    for n in COMMITS + 1..=COMMITS + MORE_COMMITS {
        engine.checkpoint(&Ready).expect("a checkpoint");
        write(&*engine, n);
    }
    let durable = engine.checkpoint(&Ready).expect("a checkpoint");
    assert_eq!(durable, commit(COMMITS + MORE_COMMITS));
    for snapshot in kept.lock().drain(..) {
        exact(&snapshot, false);
    }
    drop(engine);
    disk.crash_with(CrashMode::LoseAll);
    let engine = open::<E>(&env);
    assert_eq!(engine.durable(), durable);
    exact(&engine.snapshot(), false);
}
