//! What the virtual disk promises: to its users as a disk, and to tests as a saboteur.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::{Disk, File, FileKind, IoOp, OpenHow};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk, sim_env};

fn path(name: &str) -> PathBuf {
    Path::new("/db").join(name)
}

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/db")).unwrap();
    disk
}

fn open(disk: &SimDisk, name: &str, kind: FileKind) -> Arc<dyn File> {
    disk.open(&path(name), OpenHow::OpenOrCreate, kind).unwrap()
}

/// A file with `bytes`, durable in every respect.
fn durable(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = open(disk, name, FileKind::Log);
    file.write_at(0, bytes).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/db")).unwrap();
    file
}

#[test]
fn reads_see_writes_and_stop_at_the_end() {
    let disk = disk(1);
    let file = open(&disk, "a", FileKind::Table);
    file.write_at(3, b"xyz").unwrap();
    let mut buf = [9; 8];
    assert_eq!(file.read_at(0, &mut buf).unwrap(), 6);
    assert_eq!(&buf, b"\0\0\0xyz\x09\x09");
    file.set_len(4).unwrap();
    file.set_len(6).unwrap();
    assert_eq!(disk.read_file(&path("a")).unwrap(), b"\0\0\0x\0\0");
    let again = disk.open(&path("a"), OpenHow::CreateNew, FileKind::Table).err().unwrap();
    assert_eq!(again.source.kind(), ErrorKind::AlreadyExists);
    let missing = disk.open(&path("b"), OpenHow::Read, FileKind::Table).err().unwrap();
    assert!(missing.is_not_found());
    let reader = disk.open(&path("a"), OpenHow::Read, FileKind::Table).unwrap();
    assert!(reader.write_at(0, b"no").is_err());
    let names: Vec<_> = disk.list(Path::new("/")).unwrap();
    assert_eq!((names.len(), names[0].name.as_str(), names[0].is_dir), (1, "db", true));
}

#[test]
fn what_was_synced_survives_every_mode() {
    for mode in CrashMode::ALL {
        let disk = disk(2);
        let file = durable(&disk, "a", &[7; 3000]);
        file.write_at(3000, &[8; 3000]).unwrap();
        file.set_len(9000).unwrap();
        disk.remove(&path("a")).unwrap();
        open(&disk, "b", FileKind::Log).write_at(0, b"b").unwrap();
        disk.crash_with(mode);
        assert!(SimDisk::is_crash(&file.sync_data().unwrap_err()), "{mode:?}: old handles die");
        if let Some(bytes) = disk.read_file(&path("a")) {
            assert_eq!(bytes[..3000], [7; 3000], "{mode:?}");
        }
    }
}

#[test]
fn modes_do_what_their_names_say() {
    let after = |mode| {
        let disk = disk(3);
        let file = durable(&disk, "a", &[1; 1024]);
        file.write_at(0, &[2; 2048]).unwrap();
        open(&disk, "new", FileKind::Log).write_at(0, b"n").unwrap();
        disk.crash_with(mode);
        (disk.read_file(&path("a")).unwrap(), disk.read_file(&path("new")))
    };
    assert_eq!(after(CrashMode::KeepAll), (vec![2; 2048], Some(b"n".to_vec())));
    assert_eq!(after(CrashMode::LoseAll), (vec![1; 1024], None));
    assert_eq!(after(CrashMode::DataOnly), (vec![2; 2048], None));
    let zero_tail = [vec![1; 1024], vec![0; 1024]].concat();
    assert_eq!(after(CrashMode::MetadataOnly), (zero_tail, Some(vec![0])));
}

#[test]
fn a_torn_write_is_new_or_old_by_sector() {
    let mut mixed = 0;
    for seed in 0..50 {
        let disk = disk(seed);
        let file = durable(&disk, "a", &[1; 5120]);
        file.write_at(100, &[2; 4000]).unwrap();
        disk.crash_with(CrashMode::Torn);
        let bytes = disk.read_file(&path("a")).unwrap();
        let firsts: Vec<u8> = (0..8).map(|sector| bytes[sector * 512 + 200]).collect();
        for (sector, first) in firsts.iter().enumerate() {
            let written = (sector * 512).max(100)..(sector * 512 + 512).min(4100);
            assert!(bytes[written].iter().all(|byte| byte == first), "seed {seed} sector {sector}");
        }
        mixed += u32::from(firsts.contains(&2) && firsts.contains(&1));
    }
    assert!(mixed > 40, "{mixed} of 50 were torn in the middle");
}

#[test]
fn prefixes_keep_the_order_of_writes() {
    for seed in 0..100 {
        let disk = disk(seed);
        let (first, second) = (durable(&disk, "a", b"-"), durable(&disk, "b", b"-"));
        for round in 1..=5u8 {
            first.write_at(0, &[round]).unwrap();
            second.write_at(0, &[round]).unwrap();
        }
        disk.crash_with(CrashMode::Prefix);
        let byte = |name| Some(disk.read_file(&path(name))?[0]).filter(|byte| *byte != b'-');
        let (a, b) = (byte("a").unwrap_or(0), byte("b").unwrap_or(0));
        assert!(a == b || a == b + 1, "seed {seed}: {a} {b}");
    }
}

#[test]
fn renames_are_atomic_and_durable_after_the_directory_sync() {
    for seed in 0..40 {
        let disk = disk(seed);
        durable(&disk, "current", b"old");
        durable(&disk, "next", b"new");
        disk.rename(&path("next"), &path("current")).unwrap();
        if seed % 2 == 0 {
            disk.sync_dir(Path::new("/db")).unwrap();
        }
        disk.crash();
        let bytes = disk.read_file(&path("current")).expect("old or new, never neither");
        assert!(bytes == b"new" || (seed % 2 == 1 && bytes == b"old"));
    }
}

#[test]
fn a_failed_sync_loses_pages_that_the_next_one_does_not_save() {
    let disk = disk(5);
    let file = durable(&disk, "a", &[1; 512 * 64]);
    for sector in 0..64 {
        file.write_at(sector * 512, &[2; 512]).unwrap();
    }
    let fault = disk.inject(Fault::at(1).on(&[IoOp::Sync]).effect(Effect::LoseDirty));
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(disk.read_file(&path("a")).unwrap(), vec![2; 512 * 64], "the cache still has it");
    disk.crash_with(CrashMode::KeepAll);
    let bytes = disk.read_file(&path("a")).unwrap();
    assert!(bytes.contains(&1) && bytes.contains(&2));
    assert_eq!((disk.fired_by(fault), disk.fired().dirty_lost), (1, 1));
}

#[test]
fn faults_strike_where_they_are_aimed() {
    let disk = disk(6);
    let (log, table) = (durable(&disk, "log", b"l"), durable(&disk, "table", b"t"));
    disk.inject(Fault::at(2).on(&[IoOp::Write]).path("log").kind(FileKind::Log));
    log.write_at(0, b"1").unwrap();
    table.write_at(0, b"1").unwrap();
    assert!(log.write_at(0, b"2").is_err());
    log.write_at(0, b"3").unwrap();
    disk.clear_faults();
    disk.inject(Fault::from(1).effect(Effect::Error(ErrorKind::PermissionDenied)));
    log.len().unwrap_err();
    assert_eq!(log.sync_data().unwrap_err().source.kind(), ErrorKind::PermissionDenied);
    disk.clear_faults();
    disk.inject(Fault::at(1).on(&[IoOp::Read]).effect(Effect::FlipRead));
    let mut byte = [0];
    log.read_at(0, &mut byte).unwrap();
    assert_eq!((byte[0] ^ b'3').count_ones(), 1);
    log.read_at(0, &mut byte).unwrap();
    assert_eq!(byte[0], b'3');
}

#[test]
fn a_halted_machine_fails_until_the_crash() {
    let disk = disk(7);
    let file = durable(&disk, "a", &[1; 512]);
    disk.halt_after(1);
    file.write_at(0, &[2; 512]).unwrap();
    assert!(SimDisk::is_crash(&file.sync_data().unwrap_err()));
    assert!(SimDisk::is_crash(&disk.exists(&path("a")).unwrap_err()));
    assert!(disk.is_halted());
    disk.crash_with(CrashMode::LoseAll);
    assert_eq!(disk.read_file(&path("a")).unwrap(), [1; 512]);
    disk.clear_faults();
    assert!(disk.exists(&path("a")).unwrap());
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = disk(8);
    let file = durable(&disk, "a", &[1; 1000]);
    durable(&disk, "b", &[1; 1000]);
    disk.set_capacity(Some(2500));
    let error = file.write_at(1000, &[2; 1000]).unwrap_err();
    assert!(error.is_disk_full());
    assert_eq!((file.len().unwrap(), disk.free_bytes(&path("a")).unwrap()), (1500, 0));
    file.write_at(0, &[3; 1500]).unwrap();
    disk.remove(&path("b")).unwrap();
    file.write_at(1500, &[4; 1000]).unwrap();
}

#[test]
fn locks_exclude_until_dropped_or_crashed() {
    let disk = disk(9);
    let held = disk.lock(&path("lock")).unwrap();
    let second = disk.lock(&path("lock")).err().unwrap();
    assert_eq!(second.source.kind(), ErrorKind::WouldBlock);
    disk.crash_with(CrashMode::Process);
    let third = disk.lock(&path("lock")).unwrap();
    drop(held);
    assert!(disk.lock(&path("lock")).is_err(), "an old lock's end does not free a new one");
    drop(third);
    disk.lock(&path("lock")).unwrap();
}

#[test]
fn same_seed_same_trace_and_a_fork_is_apart() {
    let run = |seed| {
        let disk = disk(seed);
        let file = durable(&disk, "a", b"abc");
        disk.inject(Fault::chance(1, 2).on(&[IoOp::Write]));
        for round in 0..50 {
            drop(file.write_at(round * 100, &[round as u8; 100]));
        }
        disk.crash();
        (disk.trace_hash(), disk.read_file(&path("a")))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);

    let original = disk(1);
    let file = durable(&original, "a", b"abc");
    file.write_at(0, b"xyz").unwrap();
    let fork = original.fork(2);
    assert!(fork.corrupt(&path("a"), 1, 0xff));
    fork.crash_with(CrashMode::LoseAll);
    assert_eq!(fork.read_file(&path("a")).unwrap(), [b'a', b'b' ^ 0xff, b'c']);
    assert_eq!(original.read_file(&path("a")).unwrap(), b"xyz");
}

#[test]
fn a_zero_filled_segment_costs_next_to_nothing() {
    let disk = disk(11);
    let file = open(&disk, "segment", FileKind::Log);
    let zeroes = vec![0; 1 << 20];
    for megabyte in 0..16 {
        file.write_at(megabyte << 20, &zeroes).unwrap();
    }
    file.sync_data().unwrap();
    assert_eq!((file.len().unwrap(), disk.counters().bytes_written), (16 << 20, 16 << 20));
}

#[test]
fn a_world_over_the_disk_has_a_clock_and_tasks() {
    let env = sim_env(&disk(12), 1);
    let before = env.now();
    env.sleep(std::time::Duration::from_secs(1));
    assert!((env.now() - before).as_secs() == 1 && env.wall() > env.now());
    env.spawn("task", || {}).join();
}

#[test]
fn the_write_at_the_cut_keeps_its_first_sectors() {
    let mut partial = 0;
    for seed in 0..50 {
        let disk = disk(seed);
        let file = durable(&disk, "a", &[1; 5120]);
        file.write_at(100, &[2; 4000]).unwrap();
        disk.crash_with(CrashMode::Prefix);
        let bytes = disk.read_file(&path("a")).unwrap();
        let new = bytes.iter().filter(|byte| **byte == 2).count();
        let end = 100 + new;
        assert!(bytes[100..end].iter().all(|byte| *byte == 2), "seed {seed}");
        assert!(new == 0 || new == 4000 || end % 512 == 0, "seed {seed}: {new} bytes are new");
        partial += u32::from(new > 0 && new < 4000);
    }
    assert!(partial > 10, "{partial} of 50 were cut in the middle");
}

#[test]
fn writes_are_kept_out_of_order_and_counted() {
    let disk = disk(9);
    let file = durable(&disk, "a", &[1; 64 * 512]);
    for sector in 0..64 {
        file.write_at(sector * 512, &[2; 512]).unwrap();
    }
    disk.crash_with(CrashMode::Subset);
    let bytes = disk.read_file(&path("a")).unwrap();
    let first_old = (0..64).position(|sector| bytes[sector * 512] == 1).expect("some are dropped");
    assert!(bytes[first_old * 512..].contains(&2));
    assert!(disk.fired().reordered > 5);
}
