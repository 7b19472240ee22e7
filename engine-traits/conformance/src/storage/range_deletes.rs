//! Range deletes: a tombstone for each key that has a value just before, and for no other.

use driftdb_storage::{
    Commit, Engine, KeyRange, KeyspaceId, Lsn, ScanSpec, StorageError, Timestamp, Visible,
    WriteBatch,
};

use super::compare::{Tolerance, compare, scan, scan_range};
use super::harness::{Harness, OTHER, SPACE, Upkeep, in_every_state};
use super::model::Model;

fn key(number: u32) -> Vec<u8> {
    format!("key/{number:02}").into_bytes()
}

/// Two keyspaces of forty keys, some rewritten, some deleted.
fn fill<E: Engine>(harness: &mut Harness<E>) {
    harness.create(SPACE);
    harness.create(OTHER);
    for round in 0..3 {
        for number in (0..40).step_by(round + 1) {
            let value = vec![round as u8; 30 + number as usize];
            let gone = (number + round as u32).is_multiple_of(7);
            harness.write(SPACE, &[(&key(number), (!gone).then_some(&value))]);
            harness.write(OTHER, &[(&key(number), Some(&value))]);
        }
    }
}

/// One range delete as a commit of its own.
fn delete<E: Engine>(harness: &mut Harness<E>, start: &[u8], end: &[u8]) -> Commit {
    let mut batch = WriteBatch::new();
    batch.delete_range(SPACE, start, end);
    harness.commit(batch).expect("a healthy engine deletes ranges")
}

/// Ranges that overlap, touch, hold nothing, are inverted, or hold everything, in every state of
/// the engine: at each time, between times and among all versions, both ways.
pub fn ranges_delete_what_has_a_value<E: Engine>() {
    in_every_state::<E>(
        110,
        |harness| {
            fill(harness);
            let ranges: [(&[u8], &[u8]); 9] = [
                (b"key/05", b"key/12"),
                (b"key/10", b"key/15"),
                (b"key/15", b"key/16"),
                // Nothing, three times: the same key twice, inverted, between two keys.
                (b"key/20", b"key/20"),
                (b"key/30", b"key/20"),
                (b"key/20\0", b"key/21"),
                // The end need not be a key, nor the start.
                (b"key/3", b"key/33\0"),
                (b"", b"key/02"),
                (b"key/05", b"key/12"),
            ];
            for (index, (start, end)) in ranges.into_iter().enumerate() {
                delete(harness, start, end);
                if index == 4 {
                    // Keys that come back live again, and can go again.
                    harness.write(SPACE, &[(b"key/06", Some(b"back")), (b"key/11", Some(b"back"))]);
                }
            }
            let before = harness.log.len();
            delete(harness, b"", &[0xff; 9]);
            harness.write(SPACE, &[(b"key/08", Some(b"after all of it"))]);
            assert_eq!(harness.log.len(), before + 2);
        },
        |harness, state| {
            harness.check(state);
            partial_scans_agree(harness, state);
        },
    );
}

/// Scans whose ends lie inside of deleted ranges.
fn partial_scans_agree<E: Engine>(harness: &Harness<E>, state: &str) {
    let model = Model::of(&harness.log);
    let snapshot = harness.engine().snapshot();
    for (start, end) in [("key/06", "key/11"), ("key/12", "key/16"), ("key/0", "key/31")] {
        let range = KeyRange::half_open(start.as_bytes(), end.as_bytes());
        for (at, _) in harness.log.iter().rev().take(14) {
            let mut expected = model.spaces[&SPACE].as_of(at.ts);
            expected.retain(|(key, _, _)| range.contains(key));
            for reverse in [false, true] {
                let spec = ScanSpec { range, visible: Visible::AsOf(at.ts), reverse };
                let shown = scan_range(&snapshot, SPACE, spec).expect("a healthy engine scans");
                assert_eq!(shown, expected, "{state}: {start}..{end} as of {:?}", at.ts);
                expected.reverse();
            }
        }
    }
}

/// Within a batch, a range delete takes what the batch wrote before it, and leaves what it writes
/// after it; in a keyspace that the batch creates, too.
pub fn range_deletes_keep_their_place_in_a_batch<E: Engine>() {
    in_every_state::<E>(
        111,
        |harness| {
            fill(harness);
            let mut batch = WriteBatch::new();
            batch.put(SPACE, b"key/03", b"before: goes");
            batch.put(SPACE, b"new", b"before: goes, and leaves a tombstone");
            batch.put(SPACE, b"o", b"the end of the range: stays");
            batch.delete(SPACE, b"key/04");
            batch.delete_range(SPACE, b"key/02", b"o");
            batch.delete_range(SPACE, b"new", b"key/03");
            batch.put(SPACE, b"key/05", b"after: stays");
            batch.put(SPACE, b"newer", b"after: stays");
            harness.commit(batch).expect("a healthy engine deletes ranges");
            let mut batch = WriteBatch::new();
            batch.delete_range(SPACE, b"", b"z");
            batch.put(SPACE, b"key/07", b"1");
            batch.delete_range(SPACE, b"key/07", b"key/08");
            batch.put(SPACE, b"key/07", b"2");
            batch.delete_range(OTHER, b"key/01", b"key/09");
            harness.commit(batch).expect("a healthy engine deletes ranges");
            let fresh = KeyspaceId(300);
            let mut batch = WriteBatch::new();
            batch.create_keyspace(fresh);
            batch.delete_range(fresh, b"", b"z");
            batch.put(fresh, b"a", b"goes");
            batch.put(fresh, b"c", b"stays");
            batch.delete_range(fresh, b"a", b"b");
            harness.commit(batch).expect("a healthy engine deletes ranges");
        },
        |harness, state| harness.check(state),
    );
}

/// Snapshots taken before still show what was there; a keyspace that is not there is refused, and
/// the rest of the batch with it.
pub fn range_deletes_change_no_snapshot<E: Engine>() {
    for upkeep in [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(1)] {
        let mut harness = Harness::<E>::new(112);
        harness.upkeep = upkeep;
        fill(&mut harness);
        let model = Model::of(&harness.log);
        let before = harness.engine().snapshot();
        delete(&mut harness, b"key/01", b"key/39");
        harness.checkpoint().expect("a healthy engine checkpoints");
        if let Err(wrong) = compare(&before, &model, &harness.policy, Tolerance::Strict) {
            panic!("{upkeep:?}: the snapshot from before: {wrong}");
        }
        let left = scan(&harness.engine().snapshot(), SPACE, Visible::AsOf(Timestamp::MAX), false);
        assert!(left.is_ok_and(|left| left.len() <= 2), "{upkeep:?}: the range is gone");
        let mut batch = WriteBatch::new();
        batch.put(SPACE, b"key/01", b"not to be seen");
        batch.delete_range(KeyspaceId(900), b"a", b"b");
        let at = Commit { lsn: Lsn(1 << 30), ts: Timestamp(1 << 30) };
        let refused = harness.engine().apply(&batch, at);
        assert!(
            matches!(refused, Err(StorageError::UnknownKeyspace { .. })),
            "{upkeep:?}: a range in a keyspace that is not there gives {refused:?}"
        );
        harness.check(&format!("{upkeep:?}: after a refused range"));
    }
}

/// Replay of a range delete from earlier than it must changes nothing, although the keys in its
/// range have other versions by then.
pub fn replayed_range_deletes_change_nothing<E: Engine>() {
    for upkeep in [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(5)] {
        let mut harness = Harness::<E>::new(113);
        harness.upkeep = upkeep;
        fill(&mut harness);
        for round in 0..12u32 {
            delete(&mut harness, &key(round), &key(round + 9));
            harness.write(SPACE, &[(&key(round + 3), Some(b"again")), (&key(50), None)]);
        }
        for earlier in [0usize, 1, 2, 5, 1000] {
            harness.open().expect("a closed engine opens");
            let durable = harness.engine().durable();
            let start = harness.log.partition_point(|(at, _)| *at <= durable);
            let from = match start.saturating_sub(earlier) {
                0 => Commit::default(),
                start => harness.log[start - 1].0,
            };
            harness.replay_after(from).expect("replay from before durable() is accepted");
            harness.check_whole(&format!("{upkeep:?}, replay from {earlier} commits earlier"));
        }
    }
}
