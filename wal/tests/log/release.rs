//! Released segments, spares, and readers that pin.

use std::time::Duration;

use driftdb_storage::{ErrorKind, Lsn};
use driftdb_wal::{Wal, WalStep};

use super::harness::{Scratch, commit, records, try_records};

fn fill(wal: &Wal, count: usize, byte: u8) -> Vec<Lsn> {
    (0..count).map(|_| commit(wal, &[byte; 400])).collect()
}

#[test]
fn released_segments_are_used_again_and_their_records_stay_away() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let mut created = 0;
    for round in 0..10 {
        let ends = fill(&wal, 30, round);
        wal.release_before(*ends.last().unwrap()).unwrap();
        assert!(scratch.files(".spare").len() <= scratch.options.spare_segment_count);
        assert!(scratch.files(".wal").len() <= 2);
        created = created.max(scratch.files("").len());
        let kept = records(&wal, *ends.last().unwrap());
        assert_eq!(kept, []);
    }
    // With the file that says how far the log was begun.
    assert!(created <= 3 + scratch.options.spare_segment_count);
    let last = wal.tail();
    drop(wal);
    // The current segment is a used one: behind its tail are whole records of its earlier life.
    let wal = scratch.open();
    assert_eq!(wal.tail(), last);
    let end = commit(&wal, b"more");
    assert_eq!(records(&wal, last), [(end, b"more".to_vec())]);
}

#[test]
fn a_reader_keeps_what_it_has_not_read() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let ends = fill(&wal, 30, 1);
    let mut reader = wal.reader(ends[2]).unwrap();
    let before = scratch.files(".wal").len();
    wal.release_before(wal.tail()).unwrap();
    assert_eq!(scratch.files(".wal").len(), before);
    for &expected in &ends[3..] {
        let WalStep::Record { end, payload } = reader.step().unwrap() else { panic!() };
        assert_eq!((end, payload), (expected, &[1; 400][..]));
    }
    assert_eq!(reader.step().unwrap(), WalStep::CaughtUp(ends[29]));
    // It follows, over new segments too, and lets go of the old ones.
    wal.release_before(wal.tail()).unwrap();
    assert!(scratch.files(".wal").len() < before);
    let more = fill(&wal, 20, 2);
    for &expected in &more {
        let WalStep::Record { end, .. } = reader.step().unwrap() else { panic!() };
        assert_eq!(end, expected);
    }
    drop(reader);
    wal.release_before(wal.tail()).unwrap();
    assert!(scratch.files(".wal").len() <= 2);
}

#[test]
fn a_reader_that_comes_too_late_is_told_where_the_log_begins() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let ends = fill(&wal, 30, 1);
    wal.release_before(ends[25]).unwrap();
    let mut reader = wal.reader(ends[1]).unwrap();
    let WalStep::Gone { oldest } = reader.step().unwrap() else { panic!() };
    assert!(oldest > ends[1]);
    assert!(oldest <= ends[25]);
    let first = ends.iter().position(|end| *end == oldest).unwrap();
    let mut reader = wal.reader(oldest).unwrap();
    let WalStep::Record { end, .. } = reader.step().unwrap() else { panic!() };
    assert_eq!(end, ends[first + 1]);
    let error = try_records(&wal, ends[1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
}

#[test]
fn a_reader_sees_only_what_is_durable_and_can_wait_for_it() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let mut reader = wal.reader(Lsn(0)).unwrap();
    let end = wal.append(&[b"gathered"]).unwrap();
    assert!(matches!(reader.step().unwrap(), WalStep::CaughtUp(_)));
    assert!(!reader.wait(Duration::from_millis(1)).unwrap());
    wal.wait_durable(end).unwrap();
    assert!(reader.wait(Duration::ZERO).unwrap());
    assert_eq!(reader.step().unwrap(), WalStep::Record { end, payload: b"gathered" });
    assert_eq!(reader.position(), end);
}

#[test]
fn releasing_everything_leaves_a_log_that_opens() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    // A segment that is begun but not yet written must not be the only one.
    let mut end = Lsn(0);
    for _ in 0..30 {
        end = wal.append(&[&[3; 400]]).unwrap();
        wal.release_before(end).unwrap();
    }
    wal.wait_durable(end).unwrap();
    wal.release_before(end).unwrap();
    drop(wal);
    assert_eq!(scratch.open().tail(), end);
}
