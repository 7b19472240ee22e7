//! What is forgotten stays forgotten, and is never answered wrongly.

use driftdb_storage::{
    Commit, Compression, Engine, EngineOptions, KeyspaceId, Lsn, Retention, Snapshot, StorageError,
    Timestamp, Visible, WriteBatch,
};

use crate::store::{SPACE, Store, everything, get, scan};

fn is_too_old<T>(result: Result<T, StorageError>, requested: u64, oldest: u64) -> bool {
    let (asked, kept) = (Timestamp(requested), Timestamp(oldest));
    matches!(
        result,
        Err(StorageError::SnapshotTooOld { requested, oldest })
            if requested == asked && oldest == kept
    )
}

#[test]
fn dropped_history_stays_dropped_after_reopening_with_a_longer_promise() {
    let mut store = Store::new(EngineOptions::tiny());
    for n in 0..9u8 {
        store.write(b"k", Some(&[n]));
    }
    store.retain(Retention::since(Timestamp(60)));
    store.checkpoint();
    store.retain(Retention::FOREVER);
    for _ in 0..2 {
        let snapshot = store.engine.snapshot();
        assert!(is_too_old(get(&snapshot, b"k", Timestamp(59)), 59, 60));
        assert_eq!(get(&snapshot, b"k", Timestamp(60)).unwrap().unwrap().1, [4]);
        store.reopen();
    }
    assert_eq!(store.stat("versions_dropped"), 0);
}

#[test]
fn tombstones_at_the_bottom_go() {
    let mut store = Store::new(EngineOptions::tiny());
    store.write(b"k", Some(b"v"));
    let deleted = store.write(b"k", None);
    store.write(b"other", Some(b"v"));
    store.retain(Retention::since(deleted));
    store.checkpoint();
    let spec = everything(Visible::All, false);
    let shown = scan(&store.engine.snapshot(), &spec).unwrap();
    assert_eq!(shown.len(), 1, "{shown:?}");
}

#[test]
fn a_dropped_keyspace_leaves_no_bytes() {
    let mut store =
        Store::new(EngineOptions { compression: Compression::None, ..EngineOptions::tiny() });
    let gone = KeyspaceId(9);
    let commit = |n: u64| Commit { lsn: Lsn(1000 + n), ts: Timestamp(1000 + n) };
    let mut batch = WriteBatch::new();
    batch.create_keyspace(gone);
    for n in 0..100u8 {
        batch.put(gone, &[n], &[n; 100]);
    }
    store.engine.apply(&batch, commit(1)).unwrap();
    let mut batch = WriteBatch::new();
    batch.drop_keyspace(gone);
    batch.put(SPACE, b"k", b"v");
    store.engine.apply(&batch, commit(2)).unwrap();
    store.engine.checkpoint(&crate::store::Always).unwrap();
    let before = store.stat("table_bytes_now");
    assert!(before > 10_000);
    let mut out = Vec::new();
    let snapshot = store.engine.snapshot();
    assert!(snapshot.get(gone, &[5], Timestamp(1001), &mut out).unwrap().is_some());
    let now = snapshot.get(gone, &[5], Timestamp(1002), &mut out);
    assert!(matches!(now, Err(StorageError::UnknownKeyspace { .. })), "{now:?}");

    store.retain(Retention::since(Timestamp(1002)));
    store.engine.checkpoint(&crate::store::Always).unwrap();
    assert!(store.stat("table_bytes_now") < 1000, "{}", store.stat("table_bytes_now"));
    let then = store.engine.snapshot().get(gone, &[5], Timestamp(1001), &mut out);
    assert!(is_too_old(then, 1001, 1002));
    assert!(snapshot.get(gone, &[6], Timestamp(1001), &mut out).unwrap().is_some());
}
