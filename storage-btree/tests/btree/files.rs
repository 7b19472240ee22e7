//! The page file: reuse of space, damage, a full disk.

use std::path::{Path, PathBuf};

use driftdb_env::{Disk, IoOp};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk, sim_env};
use driftdb_storage::{
    Engine, EngineOptions, Snapshot, StorageError, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_btree::BtreeEngine;

use crate::model::{DIR, Ready, SPACE, World, scan};

fn pages() -> PathBuf {
    Path::new(DIR).join("pages.db")
}

#[test]
fn space_of_dropped_history_is_used_again() {
    let mut world = World::new();
    for round in 0..40u32 {
        for n in 0..40u32 {
            world.put(&n.to_be_bytes(), &[round as u8; 200]);
        }
        world.set_retention(world.now());
        world.checkpoint();
        world.verify();
    }
    let pages = world.stat("page_count");
    // The live data is 8,000 bytes; at most two trees of it exist at a time.
    assert!(pages < 150, "{pages} pages of 512 bytes");
    world.check();
}

#[test]
fn deleting_everything_leaves_an_empty_tree() {
    let mut world = World::new();
    for n in 0..300u32 {
        world.put(&n.to_be_bytes(), &[1; 50]);
    }
    world.checkpoint();
    let mut batch = WriteBatch::new();
    (0..300u32).for_each(|n| batch.delete(SPACE, &n.to_be_bytes()));
    world.commit(batch);
    world.set_retention(world.now());
    world.checkpoint();
    world.checkpoint();
    world.verify();
    let in_use = world.stat("page_count") - world.stat("free_page_count");
    assert!(in_use <= 8, "{in_use} pages in use");
    assert!(scan(&world.engine().snapshot(), Visible::All, false).unwrap().is_empty());
}

#[test]
fn a_dropped_keyspace_gives_its_pages_back() {
    let mut world = World::new();
    for n in 0..100u32 {
        world.put(&n.to_be_bytes(), &[1; 300]);
    }
    world.checkpoint();
    let before = world.now();
    let mut batch = WriteBatch::new();
    batch.drop_keyspace(SPACE);
    world.commit(batch);
    world.checkpoint();
    let read = |world: &World, ts| {
        let mut out = Vec::new();
        world.engine().snapshot().get(SPACE, &[0; 4], Timestamp(ts), &mut out)
    };
    assert!(read(&world, before).unwrap().is_some());
    assert!(matches!(read(&world, before + 10), Err(StorageError::UnknownKeyspace { .. })));
    world.set_retention(world.now());
    world.checkpoint();
    world.verify();
    let in_use = world.stat("page_count") - world.stat("free_page_count");
    assert!(in_use <= 8, "{in_use} pages in use");
    assert!(matches!(read(&world, before), Err(StorageError::SnapshotTooOld { .. })));
    world.reopen();
    assert!(matches!(read(&world, before), Err(StorageError::SnapshotTooOld { .. })));
}

#[test]
fn a_key_with_a_thousand_versions_is_read_by_few_pages() {
    let mut world = World::new();
    for n in 0..1000u32 {
        world.put(b"hot", &n.to_be_bytes());
    }
    world.checkpoint();
    let mut cold = |ts: u64| {
        world.open();
        let before = world.stat("cache_misses");
        let mut out = Vec::new();
        let found = world.engine().snapshot().get(SPACE, b"hot", Timestamp(ts), &mut out).unwrap();
        assert_eq!(found, Some(Timestamp(ts.min(world.now()))));
        world.stat("cache_misses") - before
    };
    for ts in [20, 5000, u64::MAX] {
        let pages = cold(ts);
        assert!(pages <= 6, "{pages} pages as of {ts}");
    }
}

/// Values on every kind of page: leaves, branches, overflow, facts, free list.
fn sample() -> World {
    let mut world = World::new();
    for n in 0..120u32 {
        world.put(&(n % 40).to_be_bytes(), &vec![n as u8; if n % 7 == 0 { 1200 } else { 40 }]);
        if n % 50 == 0 {
            world.checkpoint();
        }
    }
    world.checkpoint();
    world
}

#[test]
fn a_flipped_byte_anywhere_is_found_or_harmless() {
    let mut world = sample();
    world.verify();
    world.engine = None;
    let whole = world.disk.read_file(&pages()).unwrap();
    for offset in (0..whole.len()).step_by(37) {
        assert!(world.disk.corrupt(&pages(), offset as u64, 1 << (offset % 8)));
        match world.try_open() {
            Err(StorageError::Corruption(_)) => {}
            Err(other) => panic!("byte {offset}: {other}"),
            Ok(()) => {
                let snapshot = world.engine().snapshot();
                match scan(&snapshot, Visible::All, false) {
                    Ok(found) => {
                        let count: usize = world.versions.values().map(|times| times.len()).sum();
                        assert_eq!(found.len(), count, "byte {offset}");
                        for (key, ts, value) in found {
                            assert!(world.versions[&key][&ts] == value, "byte {offset}");
                        }
                    }
                    Err(StorageError::Corruption(_)) => {
                        let mut damages = 0;
                        world
                            .engine()
                            .verify(
                                driftdb_storage::VerifyDepth::Full,
                                &mut |_: driftdb_storage::Damage| damages += 1,
                            )
                            .unwrap();
                        assert!(damages > 0, "byte {offset}: verify finds nothing");
                    }
                    Err(other) => panic!("byte {offset}: {other}"),
                }
            }
        }
        world.engine = None;
        assert!(world.disk.write_file(&pages(), &whole));
    }
}

#[test]
fn a_lost_write_is_found() {
    let mut world = World::new();
    (0..40u32).for_each(|n| world.put(&n.to_be_bytes(), &[1; 40]));
    world.checkpoint();
    let before = world.disk.read_file(&pages()).unwrap();
    // The same pages, older content: what a disk leaves behind that dropped a write.
    (0..40u32).for_each(|n| world.put(&n.to_be_bytes(), &[2; 40]));
    world.checkpoint();
    (0..40u32).for_each(|n| world.put(&n.to_be_bytes(), &[3; 40]));
    world.checkpoint();
    world.engine = None;
    let after = world.disk.read_file(&pages()).unwrap();
    let stale = (16384..before.len())
        .step_by(512)
        .filter(|at| before[*at..*at + 512] != after[*at..*at + 512]);
    let mut found = 0;
    for at in stale {
        assert!(world.disk.overwrite(&pages(), at as u64, &before[at..at + 512]));
        match world.try_open() {
            Ok(()) => match scan(&world.engine().snapshot(), Visible::All, false) {
                Ok(shown) => assert_eq!(shown.len(), 120),
                Err(error) => {
                    assert!(matches!(error, StorageError::Corruption(_)), "{error}");
                    found += 1;
                }
            },
            Err(error) => assert!(matches!(error, StorageError::Corruption(_)), "{error}"),
        }
        world.engine = None;
        assert!(world.disk.write_file(&pages(), &after));
    }
    assert!(found > 0, "no stale page was in use");
}

#[test]
fn a_full_disk_fails_a_checkpoint_and_nothing_else() {
    let mut world = sample();
    let used_bytes = world.disk.used_bytes();
    // Room for a part of what a checkpoint needs.
    world.disk.set_capacity(Some(used_bytes + 5000));
    let durable = world.engine().durable();
    for n in 0..200u32 {
        world.put(&(1000 + n).to_be_bytes(), &[7; 100]);
    }
    for _ in 0..3 {
        let error = world.engine().checkpoint(&Ready).unwrap_err();
        assert!(matches!(&error, StorageError::Io(error) if error.is_disk_full()), "{error}");
        assert_eq!(world.engine().durable(), durable);
        assert_eq!(world.disk.used_bytes(), used_bytes, "what failed gives its space back");
        world.verify();
    }
    world.put(b"still", b"writable");
    world.check();
    world.disk.set_capacity(None);
    world.checkpoint();
    world.verify();
    world.check();
    world.reopen();
    world.check();
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let mut world = World::new();
    world.engine = None;
    assert!(world.disk.remove_file(&pages()));
    assert!(world.disk.write_file(&Path::new(DIR).join("MANIFEST"), b"of another engine"));
    let error = world.try_open().unwrap_err();
    assert!(matches!(error, StorageError::WrongDirectory { .. }), "{error}");
}

/// Found by `driftdb sim bank --seed 4297 --set sim.damage=on`: the process that made the file died between
/// rename and sync of the directory, the next one committed to it, and then power failed.
#[test]
fn a_name_that_a_dying_process_gave_is_made_durable() {
    let disk = SimDisk::new(1);
    let open = || BtreeEngine::open(&sim_env(&disk, 1), Path::new(DIR), &EngineOptions::tiny());
    disk.inject(Fault::at(1).on(&[IoOp::SyncDir]).effect(Effect::Halt));
    open().unwrap_err();
    disk.clear_faults();
    disk.crash_with(CrashMode::Process);
    drop(open().unwrap());
    disk.crash_with(CrashMode::LoseAll);
    assert!(disk.exists(&pages()).unwrap());
}
