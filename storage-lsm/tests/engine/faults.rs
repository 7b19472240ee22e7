//! Failures of background steps: undone and tried again, until they are too many.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use driftdb_env::{Env, FileKind, IoOp};
use driftdb_sim_disk::{CrashMode, Effect, Fault};
use driftdb_storage::{
    Commit, Compression, Engine, EngineOptions, KeyspaceId, Lsn, Maintained, Retention,
    RetentionPolicy, Snapshot, StorageError, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_lsm::LsmEngine;

use crate::store::{Always, SPACE, Store, everything, scan};

fn full() -> Store {
    // Tables as large as the memtables they come from.
    let compression = Compression::None;
    let mut store = Store::new(EngineOptions { compression, ..EngineOptions::tiny() });
    for n in 0..100u8 {
        store.write(&[n], Some(&[n; 100]));
    }
    assert!(store.stat("frozen_memtable_count") > 2);
    store
}

fn check(store: &Store) {
    let spec = everything(Visible::All, false);
    assert_eq!(scan(&store.engine.snapshot(), &spec).unwrap(), store.model.scan(&spec));
}

#[test]
fn a_failed_table_is_written_again() {
    for op in [IoOp::Open, IoOp::Write, IoOp::Sync] {
        let store = full();
        store.disk.inject(Fault::at(1).on(&[op]).kind(FileKind::Table));
        let error = store.engine.maintain(&Always).unwrap_err();
        assert!(matches!(error, StorageError::Io(_)), "{op}: {error}");
        check(&store);
        store.maintain();
        store.checkpoint();
        check(&store);
    }
}

#[test]
fn three_failures_in_a_row_poison() {
    let mut store = full();
    store.disk.inject(Fault::from(1).on(&[IoOp::Sync]).kind(FileKind::Table));
    for _ in 0..3 {
        let error = store.engine.maintain(&Always).unwrap_err();
        assert!(matches!(error, StorageError::Io(_)), "{error}");
    }
    store.disk.clear_faults();
    let error = store.engine.maintain(&Always).unwrap_err();
    assert!(matches!(error, StorageError::Poisoned { .. }), "{error}");
    let at = Commit { lsn: Lsn(1 << 40), ts: Timestamp(1 << 40) };
    let error = store.engine.apply(&WriteBatch::new(), at).unwrap_err();
    assert!(matches!(error, StorageError::Poisoned { .. }), "{error}");
    check(&store);
    store.reopen();
    store.checkpoint();
    check(&store);
}

#[test]
fn a_failed_switch_of_manifests_poisons_at_once() {
    for op in [IoOp::Rename, IoOp::SyncDir] {
        let mut store = full();
        store.disk.inject(Fault::from(1).on(&[op]));
        store.engine.maintain(&Always).unwrap_err();
        store.disk.clear_faults();
        let error = store.engine.maintain(&Always).unwrap_err();
        assert!(matches!(error, StorageError::Poisoned { .. }), "{op}: {error}");
        store.reopen();
        store.checkpoint();
        check(&store);
    }
}

#[test]
fn a_full_disk_passes() {
    let store = full();
    store
        .disk
        .inject(Fault::from(1).on(&[IoOp::Write]).effect(Effect::Error(ErrorKind::StorageFull)));
    for _ in 0..10 {
        let error = store.engine.maintain(&Always).unwrap_err();
        assert!(matches!(&error, StorageError::Io(io) if io.is_disk_full()), "{error}");
    }
    store.disk.clear_faults();
    store.checkpoint();
    check(&store);
}

#[test]
fn a_merge_that_would_fill_the_disk_waits_for_space() {
    let mut store = full();
    let files = store.disk.files();
    let used: usize = files.iter().map(|path| store.disk.read_file(path).unwrap().len()).sum();
    // Each memtable flushed, and not much more.
    let frozen = store.stat("memtable_bytes_now");
    store.disk.set_capacity(Some(used as u64 + frozen * 5 / 4));
    store.maintain();
    assert_eq!(store.stat("frozen_memtable_count"), 0);
    assert_eq!(store.stat("compactions"), 0);
    check(&store);
    store.disk.set_capacity(None);
    for n in 0..50u8 {
        store.write(&[n], Some(&[n; 100]));
    }
    store.maintain();
    assert!(store.stat("compactions") > 0);
    check(&store);
}

/// One writer, one maintainer, readers: every snapshot shows whole batches, and the same twice.
#[test]
fn threads_see_whole_batches() {
    const KEYS: u64 = 20;
    let dir = std::env::temp_dir().join(format!("driftdb-lsm-threads-{}", std::process::id()));
    let env = Env::os();
    let engine = Arc::new(LsmEngine::open(&env, &dir, &EngineOptions::tiny()).unwrap());
    let space = KeyspaceId(SPACE.0);
    let mut batch = WriteBatch::new();
    batch.create_keyspace(space);
    let commit = |n: u64| Commit { lsn: Lsn(n), ts: Timestamp(n) };
    engine.apply(&batch, commit(1)).unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let checked = Arc::new(AtomicU64::new(0));
    // A task that panics does not get to count itself.
    let ended = Arc::new(AtomicU64::new(0));

    let start = |name| {
        let (engine, is_done) = (Arc::clone(&engine), Arc::clone(&is_done));
        let (checked, ended) = (Arc::clone(&checked), Arc::clone(&ended));
        env.spawn(name, move || {
            while !is_done.load(Ordering::Relaxed) {
                let snapshot = engine.snapshot();
                let at = snapshot.at().ts;
                for reverse in [false, true] {
                    let shown = scan(&snapshot, &everything(Visible::AsOf(at), reverse)).unwrap();
                    assert!(shown.iter().all(|(_, ts, _)| *ts == at), "at {at:?}: {shown:?}");
                    assert!(shown.is_empty() || shown.len() as u64 == KEYS);
                }
                checked.fetch_add(1, Ordering::Relaxed);
            }
            ended.fetch_add(1, Ordering::Relaxed);
        })
    };
    let readers = [start("reader 1"), start("reader 2")];
    let maintainer = {
        let (engine, is_done) = (Arc::clone(&engine), Arc::clone(&is_done));
        let ended = Arc::clone(&ended);
        env.spawn("maintainer", move || {
            while !is_done.load(Ordering::Relaxed) {
                let keep_since = Timestamp(engine.applied().ts.0.saturating_sub(5));
                let default = Retention::since(keep_since);
                let by_keyspace = std::collections::BTreeMap::new();
                engine.set_retention(Arc::new(RetentionPolicy { default, by_keyspace }));
                if engine.maintain(&Always).unwrap() == Maintained::Idle {
                    driftdb_env::yield_now("idle");
                }
            }
            ended.fetch_add(1, Ordering::Relaxed);
        })
    };
    for n in 2..1500 {
        batch.clear();
        for key in 0..KEYS {
            batch.put(space, &key.to_be_bytes(), &[n as u8; 40]);
        }
        engine.apply(&batch, commit(n)).unwrap();
    }
    is_done.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(driftdb_env::Task::join);
    maintainer.join();
    assert_eq!(ended.load(Ordering::Relaxed), 3);
    assert!(checked.load(Ordering::Relaxed) > 0);
    let mut damages = 0;
    engine
        .verify(driftdb_storage::VerifyDepth::Full, &mut |_: driftdb_storage::Damage| damages += 1)
        .unwrap();
    assert_eq!(damages, 0);
    drop(engine);
    for entry in env.disk().list(&dir).unwrap() {
        env.disk().remove(&dir.join(entry.name)).unwrap();
    }
}

/// The process that switched manifests died between rename and sync of the directory; the next one relies
/// on what it reads, and then power fails.
#[test]
fn a_manifest_that_a_dying_process_named_is_made_durable() {
    let mut store = full();
    // The first sync of the directory is for the table, the second for the manifest.
    store.disk.inject(Fault::at(2).on(&[IoOp::SyncDir]).effect(Effect::Halt));
    store.engine.maintain(&Always).unwrap_err();
    store.disk.clear_faults();
    let manifest = std::path::Path::new(crate::store::DIR).join("MANIFEST");
    let switched = store.disk.read_file(&manifest).unwrap();
    store.disk.crash_with(CrashMode::Process);
    store.open_again();
    store.disk.crash_with(CrashMode::LoseAll);
    assert_eq!(store.disk.read_file(&manifest).unwrap(), switched);
    store.reopen();
    store.checkpoint();
    check(&store);
}
