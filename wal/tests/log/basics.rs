//! Append, wait, replay, reopen.

use driftdb_storage::{ErrorKind, Lsn};

use super::harness::{Scratch, commit, records};

#[test]
fn a_new_log_is_empty_and_starts_after_zero() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    assert!(wal.tail() > Lsn(0));
    assert_eq!(wal.tail(), wal.durable());
    assert_eq!(records(&wal, Lsn(0)), []);
}

#[test]
fn records_come_back_in_order_over_many_segments_and_opens() {
    let scratch = Scratch::new();
    let mut expected = Vec::new();
    for round in 0..5_u8 {
        let wal = scratch.open();
        assert_eq!(records(&wal, Lsn(0)), expected);
        for len in 0..40_usize {
            let payload = vec![round; len * 17];
            expected.push((commit(&wal, &payload), payload));
        }
        assert_eq!(records(&wal, Lsn(0)), expected);
        let middle = expected[expected.len() / 2].0;
        assert_eq!(records(&wal, middle), expected[expected.len() / 2 + 1..]);
    }
}

#[test]
fn pieces_are_joined_and_a_wait_covers_what_came_before() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let first = wal.append(&[b"a", b"", b"bc"]).unwrap();
    let second = wal.append(&[]).unwrap();
    wal.wait_durable(second).unwrap();
    assert_eq!(wal.durable(), second);
    assert_eq!(records(&wal, Lsn(0)), [(first, b"abc".to_vec()), (second, Vec::new())]);
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_size() {
    let scratch = Scratch::new();
    let large = vec![7; 100_000];
    let mut expected = Vec::new();
    let wal = scratch.open();
    for payload in [&b"small"[..], &large, b"small", &large, &large, b"end"] {
        expected.push((commit(&wal, payload), payload.to_vec()));
    }
    assert_eq!(records(&wal, Lsn(0)), expected);
    drop(wal);
    assert_eq!(records(&scratch.open(), Lsn(0)), expected);
}

#[test]
fn a_position_past_the_end_is_corruption() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let past = Lsn(wal.tail().0 + 1);
    let error = wal.replay(past, &mut |_, _| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(wal.wait_durable(past).unwrap_err().kind(), ErrorKind::Internal);
}
