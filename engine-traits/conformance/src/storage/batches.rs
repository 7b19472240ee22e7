//! Batches: all or nothing, one write per key.

use driftdb_storage::{
    Commit, Engine, Lsn, Snapshot, StorageError, Timestamp, Visible, WriteBatch,
};

use super::compare::scan;
use super::harness::{Harness, OTHER, SPACE, Upkeep, in_every_state};

/// Every snapshot shows all of a batch or none of it, across keyspaces and whatever its size.
pub fn a_batch_is_all_or_nothing<E: Engine>() {
    for upkeep in [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(3)] {
        let mut harness = Harness::<E>::new(10);
        harness.upkeep = upkeep;
        harness.create(SPACE);
        harness.create(OTHER);
        for round in 0..12u8 {
            let before = harness.engine().snapshot();
            let mut batch = WriteBatch::new();
            for key in 0..(1 << (round % 8)) as u8 {
                batch.put(SPACE, &[key], &[round; 40]);
                batch.put(OTHER, &[key], &[round; 40]);
            }
            let at = harness.commit(batch).expect("a healthy engine takes writes");
            let after = harness.engine().snapshot();
            assert_eq!(after.at(), at, "a snapshot is of everything applied");
            for (snapshot, expected) in [(&before, 0), (&after, 1 << (round % 8))] {
                for space in [SPACE, OTHER] {
                    let shown = scan(snapshot, space, Visible::AsOf(Timestamp::MAX), false)
                        .expect("a healthy engine scans");
                    let new = shown.iter().filter(|(_, ts, _)| *ts == at.ts).count();
                    assert_eq!(new, expected, "{upkeep:?}, round {round}, {space:?}");
                }
            }
        }
        harness.check("batches");
    }
    a_refused_batch_leaves_nothing::<E>();
}

fn a_refused_batch_leaves_nothing<E: Engine>() {
    let mut harness = Harness::<E>::new(11);
    harness.create(SPACE);
    let mut batch = WriteBatch::new();
    batch.put(SPACE, b"key", b"value");
    batch.put(OTHER, b"key", b"value");
    let at = Commit { lsn: Lsn(1000), ts: Timestamp(1000) };
    let refused = harness.engine().apply(&batch, at);
    assert!(
        matches!(refused, Err(StorageError::UnknownKeyspace { space: OTHER, .. })),
        "a write into a keyspace that is not there gives {refused:?}"
    );
    harness.check("after a refused batch");
}

/// Within a batch the last write to a key counts, in every mix of puts and deletes.
pub fn a_later_write_in_a_batch_replaces_the_earlier<E: Engine>() {
    in_every_state::<E>(
        12,
        |harness| {
            harness.create(SPACE);
            let writes: [&[Option<&[u8]>]; 5] = [
                &[Some(b"first"), Some(b"second, longer")],
                &[Some(b"put"), None],
                &[None, Some(b"put")],
                &[None, None],
                &[Some(b"a"), None, Some(b"b"), None, Some(b"c")],
            ];
            for (index, values) in writes.iter().enumerate() {
                let key = format!("key {index}");
                let changes: Vec<_> = values.iter().map(|value| (key.as_bytes(), *value)).collect();
                harness.write(SPACE, &changes);
            }
        },
        |harness, state| harness.check(state),
    );
}

/// A commit in several batches is what it would be in one, whatever becomes durable in between.
pub fn a_commit_may_come_in_parts<E: Engine>() {
    in_every_state::<E>(
        13,
        |harness| {
            harness.create(SPACE);
            for key in 0..30u8 {
                harness.write(SPACE, &[(&[key], Some(b"before"))]);
            }
            let ts = harness.last().ts.next();
            let mut batch = WriteBatch::new();
            batch.create_keyspace(OTHER);
            for part in 0..10u8 {
                for key in [3 * part, 3 * part + 1] {
                    batch.put(SPACE, &[key], &[key; 40]);
                }
                batch.delete(SPACE, &[3 * part + 2]);
                batch.put(OTHER, &[part], &[part; 40]);
                let lsn = Lsn(harness.last().lsn.0 + 100);
                let batch = std::mem::take(&mut batch);
                harness.commit_at(batch, Commit { lsn, ts }).expect("parts are taken");
                let snapshot = harness.engine().snapshot();
                let old = scan(&snapshot, SPACE, Visible::AsOf(Timestamp(ts.0 - 1)), false)
                    .expect("a healthy engine scans");
                assert_eq!(old.len(), 30, "half a commit changes no time before it");
            }
            let (at, batch) = harness.log[harness.log.len() - 3].clone();
            harness.engine().apply(&batch, at).expect("a part that is there is accepted again");
            harness.write(SPACE, &[(b"after", Some(b"after"))]);
            harness.drop_space(OTHER);
        },
        |harness, state| harness.check(state),
    );
}
