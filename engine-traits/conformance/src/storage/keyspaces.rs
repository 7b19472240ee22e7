//! Keyspaces: apart from each other, alive between two commits.

use driftdb_storage::{
    Commit, Engine, KeyspaceId, Lsn, Snapshot, StorageError, Timestamp, Visible, WriteBatch,
};

use super::compare::scan;
use super::harness::{Harness, OTHER, SPACE, in_every_state};

/// The same keys in neighbouring keyspaces do not meet, ids up to the largest.
pub fn keyspaces_are_apart<E: Engine>() {
    let ids = [0, 1, 7, 8, 255, 256, 65_536, u32::MAX - 1, u32::MAX].map(KeyspaceId);
    in_every_state::<E>(
        40,
        |harness| {
            let mut batch = WriteBatch::new();
            for id in ids {
                batch.create_keyspace(id);
            }
            harness.commit(batch).expect("a healthy engine creates keyspaces");
            for round in 0..10u32 {
                for id in ids {
                    let value = format!("{id}/{round}");
                    let key: &[u8] = [&b""[..], b"\0", b"k", b"\xff\xff"][round as usize % 4];
                    let value = (round % 7 != 6).then_some(value.as_bytes());
                    harness.write(id, &[(key, value)]);
                }
            }
        },
        |harness, state| harness.check(state),
    );
}

/// A keyspace can be read at each time between its creation and its end, and at no other.
pub fn keyspaces_live_in_time<E: Engine>() {
    in_every_state::<E>(
        41,
        |harness| {
            harness.create(SPACE);
            harness.write(SPACE, &[(b"a", Some(b"1"))]);
            let mut batch = WriteBatch::new();
            batch.create_keyspace(OTHER);
            batch.put(OTHER, b"b", b"in the batch that creates");
            harness.commit(batch).expect("a keyspace can be written in the batch that creates it");
            for round in 0..30u8 {
                harness.write(OTHER, &[(&[round], Some(&[round; 100]))]);
            }
            harness.drop_space(OTHER);
            for round in 0..30u8 {
                harness.write(SPACE, &[(&[round], Some(&[round; 100]))]);
            }
            let mut batch = WriteBatch::new();
            batch.drop_keyspace(SPACE);
            batch.create_keyspace(KeyspaceId(9));
            batch.put(KeyspaceId(9), b"c", b"3");
            harness.commit(batch).expect("one batch ends one and begins another");
            harness.create(KeyspaceId(10));
        },
        |harness, state| {
            let snapshot = harness.engine().snapshot();
            let empty = scan(&snapshot, KeyspaceId(10), Visible::AsOf(Timestamp::MAX), false);
            assert_eq!(empty.expect("an empty keyspace is no error"), [], "{state}");
            harness.check(state);
        },
    );
}

/// Reads and writes where nothing exists are errors that say so, and poison nothing.
pub fn unknown_keyspaces_are_refused<E: Engine>() {
    let mut harness = Harness::<E>::new(42);
    let snapshot = harness.engine().snapshot();
    let read = snapshot.get(SPACE, b"k", Timestamp::MAX, &mut Vec::new());
    assert!(matches!(read, Err(StorageError::UnknownKeyspace { .. })), "{read:?}");
    harness.create(SPACE);
    harness.create(OTHER);
    harness.write(OTHER, &[(b"k", Some(b"v"))]);
    let read = snapshot.get(SPACE, b"k", Timestamp::MAX, &mut Vec::new());
    assert!(
        matches!(read, Err(StorageError::UnknownKeyspace { .. })),
        "a snapshot from before the creation gives {read:?}"
    );
    let living = harness.engine().snapshot();
    harness.drop_space(OTHER);
    let read = living.get(OTHER, b"k", Timestamp::MAX, &mut Vec::new());
    assert_eq!(read.expect("a snapshot from before the end reads on"), Some(Timestamp(30)));
    for (index, space) in [OTHER, KeyspaceId(99)].into_iter().enumerate() {
        let at = 1000 + index as u64;
        let mut batch = WriteBatch::new();
        batch.delete(space, b"k");
        let refused = harness.engine().apply(&batch, Commit { lsn: Lsn(at), ts: Timestamp(at) });
        assert!(matches!(refused, Err(StorageError::UnknownKeyspace { .. })), "{refused:?}");
    }
    // The log goes on as if nothing had been asked.
    let at = Commit { lsn: Lsn(2000), ts: Timestamp(2000) };
    let mut batch = WriteBatch::new();
    batch.put(SPACE, b"k", b"v");
    harness.commit_at(batch, at).expect("a refused batch does not poison");
    harness.check_whole("after refused batches");
}
