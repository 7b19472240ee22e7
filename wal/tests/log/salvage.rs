//! What is saved of a damaged log, and what a log that begins later looks like.
#![expect(clippy::unwrap_used, reason = "test code; clippy exempts only functions marked as tests")]

use std::path::Path;

use driftdb_storage::{Damage, Lsn, StorageError};
use driftdb_wal::{Wal, WalOptions};

use super::harness::{DIR, Records, Scratch, commit, records};

fn filled() -> (Scratch, Records) {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let mut expected = Vec::new();
    for index in 0..60_u8 {
        let payload = vec![index; 100 + usize::from(index)];
        expected.push((commit(&wal, &payload), payload));
    }
    drop(wal);
    assert!(scratch.files(".wal").len() >= 3);
    (scratch, expected)
}

fn salvage(scratch: &Scratch) -> (Records, Vec<Damage>) {
    let (mut saved, mut lost) = (Vec::new(), Vec::new());
    let visit = &mut |end, payload: &[u8]| {
        saved.push((end, payload.to_vec()));
        Ok(())
    };
    Wal::salvage(&scratch.env, Path::new(DIR), visit, &mut |damage| lost.push(damage)).unwrap();
    (saved, lost)
}

#[test]
fn a_sound_log_is_saved_whole() {
    let (scratch, expected) = filled();
    assert_eq!(salvage(&scratch), (expected, vec![]));
}

#[test]
fn damage_anywhere_costs_the_records_it_hits_and_is_told() {
    let (scratch, expected) = filled();
    let files = scratch.files(".wal");
    for (number, file) in files.iter().enumerate() {
        for offset in (0..4096).step_by(67) {
            let damaged = scratch.fork();
            if damaged.disk.read_file(file).is_none_or(|bytes| bytes[offset] == 0) {
                continue;
            }
            damaged.disk.overwrite(file, offset as u64, &[0; 4]);
            let (saved, lost) = salvage(&damaged);
            assert!(saved.iter().all(|record| expected.contains(record)), "segment {number}");
            let missing = expected.iter().filter(|record| !saved.contains(record)).count();
            let is_tail = expected.starts_with(&saved) && number + 1 >= files.len() - 1;
            assert!(
                missing == 0 || !lost.is_empty() || is_tail,
                "segment {number}, byte {offset}: {missing} records are missing silently"
            );
            if offset >= 64 {
                assert!(missing <= 2, "segment {number}, byte {offset}: {missing} records lost");
            }
        }
    }
}

#[test]
fn a_missing_segment_is_told_and_the_rest_is_saved() {
    let (scratch, expected) = filled();
    let files = scratch.files(".wal");
    assert!(scratch.disk.remove_file(&files[1]));
    let (saved, lost) = salvage(&scratch);
    assert!(saved.len() < expected.len() && saved.iter().all(|record| expected.contains(record)));
    assert_eq!(saved.last(), expected.last());
    assert!(lost.iter().any(|damage| damage.what.contains("is missing")), "{lost:?}");
}

#[test]
fn a_log_can_begin_anywhere() {
    let scratch = Scratch::new();
    let (dir, options) = (Path::new(DIR), WalOptions::tiny());
    let begin = Lsn(123_456_789);
    let wal = Wal::create_at(&scratch.env, dir, &options, begin).unwrap();
    assert_eq!((wal.tail(), wal.durable()), (begin, begin));
    drop(wal);
    let wal = scratch.open();
    assert_eq!(wal.tail(), begin, "also when nothing was written yet");
    let expected: Records = (0..50_u8).map(|n| (commit(&wal, &[n; 200]), vec![n; 200])).collect();
    drop(wal);
    let wal = scratch.open();
    assert_eq!(records(&wal, begin), expected);
    assert!(wal.replay(Lsn(1), &mut |_, _| Ok(())).is_err(), "what came before is not there");
    assert_eq!(scratch.verify(), []);
    drop(wal);
    let again = Wal::create_at(&scratch.env, dir, &options, begin).unwrap_err();
    assert!(matches!(again, StorageError::WrongDirectory { .. }), "{again}");
}
