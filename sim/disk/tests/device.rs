//! Devices that lie, names that are given twice, and a system that runs out of handles.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driftdb_env::{Disk, File, FileKind, IoOp, OpenHow};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};

const SECTOR: usize = 512;

fn path(name: &str) -> PathBuf {
    Path::new("/db").join(name)
}

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/db")).unwrap();
    disk
}

/// A durable file whose every sector holds its own number.
fn numbered(disk: &SimDisk, sectors: u8) -> (Arc<dyn File>, Vec<u8>) {
    let bytes: Vec<u8> = (0..sectors).flat_map(|number| [number; SECTOR]).collect();
    let file = disk.open(&path("a"), OpenHow::CreateNew, FileKind::Table).unwrap();
    file.write_at(0, &bytes).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/db")).unwrap();
    (file, bytes)
}

fn durable_bytes(disk: &SimDisk, file: &dyn File) -> Vec<u8> {
    file.sync_data().unwrap();
    disk.crash_with(CrashMode::LoseAll);
    disk.read_file(&path("a")).unwrap()
}

fn strike_next(disk: &SimDisk, op: IoOp, effect: Effect) {
    disk.inject(Fault::at(1).on(&[op]).effect(effect));
}

#[test]
fn a_lost_write_leaves_the_stale_block_and_the_new_length() {
    let disk = disk(1);
    let (file, mut expected) = numbered(&disk, 4);
    strike_next(&disk, IoOp::Write, Effect::LoseWrite);
    file.write_at(3 * SECTOR as u64, &[9; 2 * SECTOR]).unwrap();
    file.write_at(0, &[8; 10]).unwrap();
    expected[..10].fill(8);
    expected.resize(5 * SECTOR, 0);
    assert_eq!(durable_bytes(&disk, &*file), expected);
    assert_eq!(disk.fired().writes_lost, 1);
}

#[test]
fn a_misdirected_write_damages_another_place_than_it_should_change() {
    for seed in 0..40 {
        let disk = disk(seed);
        let (file, before) = numbered(&disk, 8);
        strike_next(&disk, IoOp::Write, Effect::MisdirectWrite);
        file.write_at(2 * SECTOR as u64, &[99; SECTOR]).unwrap();
        let after = durable_bytes(&disk, &*file);
        let changed: Vec<usize> =
            (0..8).filter(|n| after[n * SECTOR] != before[n * SECTOR]).collect();
        assert!(changed.len() == 1 && changed[0] != 2, "seed {seed}: {changed:?}");
        assert_eq!(after[changed[0] * SECTOR..][..SECTOR], [99; SECTOR], "seed {seed}");
        assert_eq!((after.len(), disk.fired().writes_misdirected), (before.len(), 1));
    }
}

#[test]
fn where_there_is_no_other_place_a_misdirected_write_is_lost() {
    let disk = disk(1);
    let (file, before) = numbered(&disk, 1);
    strike_next(&disk, IoOp::Write, Effect::MisdirectWrite);
    file.write_at(0, &[99; SECTOR]).unwrap();
    assert_eq!(durable_bytes(&disk, &*file), before);
    assert_eq!((disk.fired().writes_lost, disk.fired().writes_misdirected), (1, 0));
}

#[test]
fn a_misdirected_read_is_wrong_once_and_the_device_unharmed() {
    for seed in 0..40 {
        let disk = disk(seed);
        let (file, before) = numbered(&disk, 8);
        strike_next(&disk, IoOp::Read, Effect::MisdirectRead);
        let mut sector = [0xee; SECTOR];
        assert_eq!(file.read_at(5 * SECTOR as u64, &mut sector).unwrap(), SECTOR);
        assert!(sector[0] < 8 && sector[0] != 5, "seed {seed}: {}", sector[0]);
        file.read_at(5 * SECTOR as u64, &mut sector).unwrap();
        assert_eq!(sector, [5; SECTOR]);
        assert_eq!((durable_bytes(&disk, &*file), disk.fired().reads_misdirected), (before, 1));
    }
}

#[test]
fn a_zeroed_sector_is_one_of_those_written() {
    for seed in 0..40 {
        let disk = disk(seed);
        let (file, mut expected) = numbered(&disk, 8);
        expected.fill(7);
        file.write_at(0, &expected).unwrap();
        strike_next(&disk, IoOp::Write, Effect::ZeroSector);
        file.write_at(700, &[9; 1500]).unwrap();
        expected[700..2200].fill(9);
        let after = durable_bytes(&disk, &*file);
        let zeroes: Vec<usize> = (0..after.len()).filter(|&at| after[at] == 0).collect();
        let (first, last) = (zeroes[0], *zeroes.last().unwrap());
        assert_eq!(first / SECTOR, last / SECTOR, "seed {seed}: one sector");
        assert!(first >= 700 && last < 2200, "seed {seed}: nothing that was not written");
        assert!(first == 700 || first % SECTOR == 0, "seed {seed}: all of the sector");
        assert!(last == 2199 || last % SECTOR == SECTOR - 1, "seed {seed}: all of the sector");
        expected[first..=last].fill(0);
        assert_eq!((after == expected, disk.fired().sectors_zeroed), (true, 1), "seed {seed}");
    }
}

#[test]
fn a_sync_that_lies_is_found_out_by_the_crash() {
    let disk = disk(1);
    let (file, before) = numbered(&disk, 2);
    strike_next(&disk, IoOp::Sync, Effect::LieAboutSync);
    file.write_at(0, &[9; SECTOR]).unwrap();
    file.sync_data().unwrap();
    disk.crash_with(CrashMode::LoseAll);
    assert_eq!(disk.read_file(&path("a")).unwrap(), before);

    strike_next(&disk, IoOp::SyncDir, Effect::LieAboutSync);
    disk.rename(&path("a"), &path("b")).unwrap();
    disk.sync_dir(Path::new("/db")).unwrap();
    disk.crash_with(CrashMode::LoseAll);
    assert_eq!((disk.files(), disk.fired().sync_lies), (vec![path("a")], 2));
}

#[test]
fn a_quota_is_a_full_disk() {
    let disk = disk(1);
    let (file, _) = numbered(&disk, 1);
    strike_next(&disk, IoOp::Write, Effect::Error(ErrorKind::QuotaExceeded));
    assert!(file.write_at(0, b"x").unwrap_err().is_disk_full());
    assert_eq!(disk.fired().errors, 1);
}

#[test]
fn a_disk_fills_at_the_byte() {
    let disk = disk(1);
    let (file, _) = numbered(&disk, 2);
    disk.set_capacity(Some(1024 + 77));
    assert!(file.write_at(1024, &[5; 100]).unwrap_err().is_disk_full());
    assert_eq!((file.len().unwrap(), disk.fired().disk_full), (1024 + 77, 1));
    assert!(file.set_len(1024 + 78).unwrap_err().is_disk_full());
}

#[test]
fn too_many_open_files_are_refused_until_one_is_closed() {
    let disk = disk(1);
    let open = |name| disk.open(&path(name), OpenHow::OpenOrCreate, FileKind::Table);
    let (first, second) = (open("a").unwrap(), open("b").unwrap());
    disk.set_handle_limit(Some(2));
    let refused = open("c").err().unwrap();
    assert_eq!(refused.source.raw_os_error(), Some(24));
    assert_eq!((refused.op, refused.path.as_path()), (IoOp::Open, path("c").as_path()));
    assert!(!disk.exists(&path("c")).unwrap(), "nothing was created");
    second.write_at(0, b"open files go on").unwrap();
    drop(first);
    let third = open("c").unwrap();
    assert_eq!((disk.handle_count(), disk.fired().opens_refused), (2, 1));
    disk.crash_with(CrashMode::Process);
    assert_eq!(disk.handle_count(), 0, "the handles of a dead process are closed");
    let _both = (open("a").unwrap(), open("b").unwrap());
    drop((second, third));
    assert_eq!(disk.handle_count(), 2, "a dead handle's end closes nothing");
}

#[test]
fn a_slow_disk_lets_time_pass_before_each_operation() {
    let disk = disk(1);
    let (file, _) = numbered(&disk, 1);
    let bytes = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&bytes);
    disk.set_pause(Some(Arc::new(move |op, size| {
        assert_eq!(op, IoOp::Write);
        seen.fetch_add(size, Ordering::Relaxed);
    })));
    file.write_at(0, &[1; 300]).unwrap();
    disk.set_pause(None);
    file.write_at(0, &[1; 300]).unwrap();
    assert_eq!(bytes.load(Ordering::Relaxed), 300);
}

#[test]
fn a_hard_link_is_the_same_file_and_durable_after_its_directory_s_sync() {
    for is_synced in [false, true] {
        for mode in [CrashMode::LoseAll, CrashMode::DataOnly] {
            let disk = disk(1);
            disk.create_dir_all(Path::new("/copy")).unwrap();
            let (_, bytes) = numbered(&disk, 3);
            let link = Path::new("/copy/a");
            disk.hard_link(&path("a"), link).unwrap();
            assert_eq!(disk.read_file(link).unwrap(), bytes);
            assert_eq!(disk.used_bytes(), bytes.len() as u64, "counted once");
            if is_synced {
                disk.sync_dir(Path::new("/copy")).unwrap();
            }
            disk.crash_with(mode);
            let found = disk.read_file(link);
            assert_eq!(found, is_synced.then_some(bytes.clone()), "{mode:?}");
            assert_eq!(disk.read_file(&path("a")).unwrap(), bytes, "the first name is untouched");
        }
    }
}

#[test]
fn a_file_lives_until_its_last_name_goes() {
    let disk = disk(1);
    let (file, bytes) = numbered(&disk, 3);
    drop(file);
    disk.hard_link(&path("a"), &path("b")).unwrap();
    let again = disk.hard_link(&path("a"), &path("b")).unwrap_err();
    assert_eq!(again.source.kind(), ErrorKind::AlreadyExists);
    assert!(disk.hard_link(&path("nothing"), &path("c")).unwrap_err().is_not_found());
    disk.remove(&path("a")).unwrap();
    disk.sync_dir(Path::new("/db")).unwrap();
    disk.crash_with(CrashMode::LoseAll);
    assert_eq!((disk.files(), disk.read_file(&path("b"))), (vec![path("b")], Some(bytes)));
    disk.remove(&path("b")).unwrap();
    disk.sync_dir(Path::new("/db")).unwrap();
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn an_unsynced_link_survives_or_not_but_is_never_half_a_file() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..60 {
        let disk = disk(seed);
        let (_, bytes) = numbered(&disk, 3);
        disk.hard_link(&path("a"), &path("b")).unwrap();
        disk.crash();
        match disk.read_file(&path("b")) {
            Some(found) => {
                assert_eq!(found, bytes, "seed {seed}");
                kept += 1;
            }
            None => lost += 1,
        }
    }
    assert!(kept > 10 && lost > 10, "{kept} kept, {lost} lost");
}

#[test]
fn only_an_empty_directory_is_removed_and_for_good() {
    let disk = disk(1);
    let (file, _) = numbered(&disk, 1);
    let refused = disk.remove_dir(Path::new("/db")).unwrap_err();
    assert_eq!(refused.source.kind(), ErrorKind::DirectoryNotEmpty);
    disk.create_dir_all(Path::new("/db/below")).unwrap();
    disk.remove(&path("a")).unwrap();
    assert!(disk.remove_dir(Path::new("/db")).is_err(), "it holds a directory");
    disk.remove_dir(Path::new("/db/below")).unwrap();
    disk.remove_dir(Path::new("/db")).unwrap();
    assert!(disk.remove_dir(Path::new("/db")).unwrap_err().is_not_found());
    disk.crash_with(CrashMode::LoseAll);
    assert!(!disk.exists(Path::new("/db")).unwrap(), "durable when it returns");
    file.len().unwrap_err();
}

#[test]
fn a_stale_read_shows_what_was_there_before_the_fault() {
    let disk = disk(1);
    let (file, bytes) = numbered(&disk, 4);
    disk.inject(Fault::from(1).on(&[IoOp::Read]).effect(Effect::StaleRead));
    file.write_at(SECTOR as u64, &[8; SECTOR]).unwrap();
    file.sync_data().unwrap();
    file.write_at(SECTOR as u64, &[9; SECTOR / 2]).unwrap();
    let mut buf = [0; SECTOR];
    // What has not changed cannot be stale.
    file.read_at(0, &mut buf).unwrap();
    assert_eq!((buf, disk.fired().reads_stale), ([0; SECTOR], 0));
    let mut buf = [0; 2 * SECTOR];
    file.read_at(SECTOR as u64, &mut buf).unwrap();
    assert_eq!(buf[..], bytes[SECTOR..3 * SECTOR]);
    assert_eq!((disk.fired().reads_stale, disk.fired().lies()), (1, 1));
    file.read_at(SECTOR as u64, &mut buf).unwrap();
    assert_eq!(buf[..SECTOR / 2], [9; SECTOR / 2]);
    assert_eq!(buf[SECTOR / 2..SECTOR], [8; SECTOR / 2]);
}
