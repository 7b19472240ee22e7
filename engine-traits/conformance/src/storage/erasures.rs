//! Erasing: gone from every time and from every file, and nothing else changes.
//!
//! What should be left is computed from the log: [`struck`] gives the log as it would be had what was
//! erased never been written.

use std::io::ErrorKind;

use driftdb_env::{FileKind, OpenHow, Rng};
use driftdb_sim_disk::{CrashMode, Effect, Fault};
use driftdb_storage::{
    Commit, Compression, Engine, Erasure, Operation, Result, Timestamp, WriteBatch,
};

use super::compare::{Tolerance, compare};
use super::crashes::{MOST_OPERATIONS, recovers};
use super::harness::{Harness, OTHER, SPACE, Upkeep, directory};
use super::model::Model;
use super::workload::{Mix, Workload};

type Log = Vec<(Commit, WriteBatch)>;

/// The log without what is erased.
fn struck(log: &Log, erasure: &Erasure) -> Log {
    let mut model = Model::of(log);
    for (&id, space) in &mut model.spaces {
        for (key, versions) in &mut space.keys {
            let newest_first = versions.iter().rev();
            let mut left = newest_first.map(|(ts, value)| (*ts, value.clone())).collect();
            erasure.apply(id, key, &mut left);
            *versions = left.into_iter().collect();
        }
    }
    let rewritten = log.iter().map(|(at, batch)| (*at, batch_of(&model, *at, batch)));
    rewritten.collect()
}

/// What a commit did, by the model: keyspaces are made before writes and dropped after them.
fn batch_of(model: &Model, at: Commit, was: &WriteBatch) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for operation in was.operations() {
        if let Operation::CreateKeyspace(space) = operation {
            batch.create_keyspace(space);
        }
    }
    for (&id, space) in &model.spaces {
        for (key, versions) in &space.keys {
            match versions.get(&at.ts) {
                Some(Some(value)) => batch.put(id, key, value),
                Some(None) => batch.delete(id, key),
                None => {}
            }
        }
    }
    for operation in was.operations() {
        if let Operation::DropKeyspace(space) = operation {
            batch.drop_keyspace(space);
        }
    }
    batch
}

/// Some of what was ever written: whole keys in one keyspace, values in the others; up to now, or to a
/// moment before.
fn some_of(log: &Log, rng: &mut Rng) -> Erasure {
    let mut erasure = Erasure::default();
    let last = log.last().map_or(Timestamp::MIN, |(at, _)| at.ts);
    erasure.up_to = if rng.below(3) == 0 { Timestamp(rng.below(last.0 + 1)) } else { last };
    for (&id, space) in &Model::of(log).spaces {
        for (key, versions) in &space.keys {
            if rng.below(8) != 0 {
                continue;
            }
            if id == SPACE {
                erasure.add_key(id, key);
            } else if let Some(value) = versions.values().flatten().next() {
                erasure.add_value(id, value);
            }
        }
    }
    erasure
}

/// Erases, in the engine and in the log that the suite keeps.
fn erase<E: Engine>(harness: &mut Harness<E>, erasure: &Erasure) -> Result<()> {
    harness.engine().erase(erasure, &harness.barrier)?;
    harness.log = struck(&harness.log, erasure);
    Ok(())
}

/// Whatever state it is in, an engine shows of what was erased nothing, at any time, and of the rest
/// everything. Snapshots from before are as they were; later work and a restart bring nothing back.
pub fn what_is_erased_is_gone_at_every_time<E: Engine>() {
    let upkeeps = [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(1), Upkeep::Checkpoint(7)];
    for seed in 0..6u64 {
        for upkeep in upkeeps {
            let mut harness = Harness::<E>::new(seed);
            harness.upkeep = upkeep;
            harness.options.compression = Compression::Zstd;
            let mut workload = Workload::new(seed, Mix::default());
            let mut rng = Rng::stream(seed, "erasures");
            for round in 0..4 {
                let context = format!("seed {seed}, {upkeep:?}, round {round}");
                workload.run(&mut harness, 20).expect("a healthy engine works");
                let (before, log) = (harness.engine().snapshot(), harness.log.clone());
                let erasure = some_of(&harness.log, &mut rng);
                erase(&mut harness, &erasure).expect("a healthy engine erases");
                harness.check_whole(&context);
                let stable = compare(&before, &Model::of(&log), &harness.policy, Tolerance::Strict);
                assert!(stable.is_ok(), "{context}: a snapshot from before: {stable:?}");
                erase(&mut harness, &erasure).expect("it may be done again");
                harness.check(&format!("{context}, again"));
                if round % 2 == 1 {
                    harness.reopen().expect("a closed engine reopens");
                    harness.check_whole(&format!("{context}, reopened"));
                }
            }
            workload.run(&mut harness, 15).expect("a healthy engine works");
            harness.checkpoint().expect("a healthy engine checkpoints");
            harness.reopen().expect("a closed engine reopens");
            harness.check_whole(&format!("seed {seed}, {upkeep:?}, in the end"));
        }
    }
}

/// Erasing makes durable what was applied before it, and waits for the log.
pub fn an_erasure_makes_durable<E: Engine>() {
    let mut harness = Harness::<E>::new(5);
    Workload::new(5, Mix::default()).run(&mut harness, 10).expect("a healthy engine works");
    let erasure = some_of(&harness.log, &mut Rng::stream(5, "erasures"));
    harness.refuse_barrier(true);
    harness.engine().erase(&erasure, &harness.barrier).expect_err("the log refuses");
    harness.refuse_barrier(false);
    erase(&mut harness, &erasure).expect("a healthy engine erases");
    assert_eq!(harness.engine().durable(), harness.last());
    harness.crash(CrashMode::LoseAll, true);
    harness.open().expect("a crashed engine opens");
    harness.check_whole("without replay");
}

/// What can be found in no other bytes.
const MARKER: &[u8] = b"~erase-me-6b1f~";

/// The files in the engine's directory that hold the marker.
fn files_with_marker<E: Engine>(harness: &Harness<E>) -> Vec<String> {
    let env = harness.env().expect("the disk works");
    let listed = env.disk().list(&directory()).expect("the directory is there");
    let holds = |name: &String| {
        let path = directory().join(name);
        let file = env.disk().open(&path, OpenHow::Read, FileKind::Meta).expect("it opens");
        let mut bytes = vec![0; file.len().expect("it has a length") as usize];
        file.read_at(0, &mut bytes).expect("it can be read");
        bytes.windows(MARKER.len()).any(|window| window == MARKER)
    };
    let names = listed.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name);
    names.filter(|name| name != "lock").filter(holds).collect()
}

/// Writes rows that hold the marker in keys and in values, short and long, among others; overwrites and
/// deletes them, over many flushes. Returns what erases them.
fn write_marked<E: Engine>(harness: &mut Harness<E>) -> Erasure {
    harness.upkeep = Upkeep::Checkpoint(6);
    harness.create(SPACE);
    harness.create(OTHER);
    let mut workload =
        Workload::after(9, Mix { turnover: 0, ..Mix::default() }, &Model::of(&harness.log));
    let mut erasure = Erasure::default();
    for round in 0..12u8 {
        let key = [&[round % 5], MARKER, &[round]].concat();
        let value = [MARKER, &vec![round; usize::from(round) * 200]].concat();
        let plain = [b'm', round];
        harness.write(SPACE, &[(&key, Some(b"v")), (&plain, Some(&value))]);
        harness.write(OTHER, &[(&plain, Some(&key)), (b"shared", Some(&key))]);
        erasure.add_key(SPACE, &key);
        erasure.add_key(SPACE, &plain);
        erasure.add_value(OTHER, &key);
        workload.run(harness, 4).expect("a healthy engine works");
        if round % 2 == 0 {
            harness.write(SPACE, &[(&key, None), (&plain, Some(MARKER))]);
        }
        if round % 3 == 0 {
            harness.write(OTHER, &[(&plain, None), (b"shared", Some(b"another"))]);
        }
    }
    erasure.up_to = harness.last().ts;
    erasure
}

/// No file of the directory holds a byte of it: not as free space, not under another name.
pub fn erased_bytes_leave_the_directory<E: Engine>() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        for seed in 0..4 {
            let mut harness = Harness::<E>::new(seed);
            harness.options.compression = compression;
            harness.reopen().expect("an engine reopens");
            let erasure = write_marked(&mut harness);
            let before = files_with_marker(&harness);
            assert!(compression != Compression::None || !before.is_empty(), "nothing to be erased");
            let held = harness.engine().snapshot();
            erase(&mut harness, &erasure).expect("a healthy engine erases");
            assert_eq!(files_with_marker(&harness), [""; 0], "{compression:?}, with a snapshot");
            drop(held);
            harness.check_whole(&format!("{compression:?}"));
            harness.crash(CrashMode::LoseAll, true);
            assert_eq!(files_with_marker(&harness), [""; 0], "{compression:?}, after a crash");
            recovers(&mut harness, &format!("{compression:?}"));
            assert_eq!(files_with_marker(&harness), [""; 0], "{compression:?}, later");
        }
    }
}

/// The machine stops at the n-th operation of an erasure, for every n: all of it has happened or
/// nothing, and it can be done again, wholly.
pub fn a_crash_during_an_erasure<E: Engine>() {
    let mut base = Harness::<E>::new(70);
    let erasure = write_marked(&mut base);
    base.close();
    for n in 1..MOST_OPERATIONS {
        let mode = CrashMode::ALL[n as usize % CrashMode::ALL.len()];
        let context = format!("crash at operation {n} of an erasure, {mode:?}");
        let mut harness = base.fork(n);
        harness.reopen().expect("a sound directory opens");
        let fault = harness.disk.inject(Fault::at(n).effect(Effect::Halt));
        let erased = harness.engine().erase(&erasure, &harness.barrier);
        if harness.disk.fired_by(fault) == 0 {
            assert!(erased.is_ok(), "{context}: fails without a fault: {erased:?}");
            assert!(n > 1, "an engine with files does I/O");
            return;
        }
        harness.crash(mode, false);
        if let Err(error) = harness.reopen() {
            panic!("{context}: does not reopen: {error}");
        }
        all_or_nothing(&mut harness, &erasure, &context);
        erase(&mut harness, &erasure).expect("a healthy engine erases");
        assert_eq!(files_with_marker(&harness), [""; 0], "{context}");
        harness.check_whole(&context);
        if n.is_multiple_of(5) {
            recovers(&mut harness, &context);
        }
    }
    panic!("an erasure does more than {MOST_OPERATIONS} operations");
}

/// What the engine shows is what was there before, or what should be left.
fn all_or_nothing<E: Engine>(harness: &mut Harness<E>, erasure: &Erasure, context: &str) {
    let snapshot = harness.engine().snapshot();
    let before = Model::of(&harness.log);
    let as_before = compare(&snapshot, &before, &harness.policy, Tolerance::Strict);
    if let Err(before) = as_before {
        let after = Model::of(&struck(&harness.log, erasure));
        if let Err(after) = compare(&snapshot, &after, &harness.policy, Tolerance::Strict) {
            panic!("{context}: neither as before ({before}) nor as after ({after})");
        }
    }
}

/// The n-th operation of an erasure finds the disk full, or fails: an error; what was there is there,
/// or nothing of what was erased.
pub fn a_failed_erasure_is_none<E: Engine>() {
    let mut base = Harness::<E>::new(71);
    let erasure = write_marked(&mut base);
    base.close();
    for n in 1..MOST_OPERATIONS {
        let kind = [ErrorKind::StorageFull, ErrorKind::Other][n as usize % 2];
        let context = format!("{kind:?} at operation {n} of an erasure");
        let mut harness = base.fork(n);
        harness.reopen().expect("a sound directory opens");
        let fault = harness.disk.inject(Fault::at(n).effect(Effect::Error(kind)));
        let erased = harness.engine().erase(&erasure, &harness.barrier);
        if harness.disk.fired_by(fault) == 0 {
            assert!(erased.is_ok(), "{context}: fails without a fault: {erased:?}");
            return;
        }
        harness.disk.clear_faults();
        all_or_nothing(&mut harness, &erasure, &context);
        if erased.is_ok() || erase(&mut harness, &erasure).is_err() {
            harness.crash(CrashMode::Process, false);
            if let Err(error) = harness.reopen() {
                panic!("{context}: does not reopen: {error}");
            }
            all_or_nothing(&mut harness, &erasure, &context);
            erase(&mut harness, &erasure).expect("a healthy engine erases");
        }
        assert_eq!(files_with_marker(&harness), [""; 0], "{context}");
        harness.check_whole(&context);
    }
    panic!("an erasure does more than {MOST_OPERATIONS} operations");
}
