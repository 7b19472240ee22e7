//! Batches too large for a memtable: each is frozen at once, between what came before and after.

use driftdb_storage::{Engine, EngineOptions, Timestamp, Visible};

use crate::store::{Store, everything, get, scan};

fn check(store: &Store, context: &str) {
    let snapshot = store.engine.snapshot();
    for reverse in [false, true] {
        let spec = everything(Visible::All, reverse);
        let shown = scan(&snapshot, &spec).unwrap();
        assert_eq!(shown, store.model.scan(&spec), "{context}");
    }
    for key in store.model.keys() {
        for ts in [Timestamp(10), Timestamp(20), Timestamp(30), Timestamp::MAX] {
            let found = get(&snapshot, key, ts).unwrap();
            assert_eq!(found, store.model.get(key, ts), "{context}: {ts}");
        }
    }
}

#[test]
fn a_large_batch_bypasses_the_memtable() {
    let mut store =
        Store::new(EngineOptions { write_buffer_bytes: 64 << 10, ..EngineOptions::tiny() });
    store.write(b"k", Some(b"before"));
    let growing_bytes = store.stat("memtable_bytes_now");
    // With the index of its keys.
    assert!(growing_bytes < 12 << 10, "{growing_bytes}");
    assert_eq!(store.stat("frozen_memtable_count"), 0);
    store.write(b"k", Some(&[1; 20 << 10]));
    // What came before is frozen below it.
    assert_eq!(store.stat("frozen_memtable_count"), 2);
    // With no commit in the growing memtable, there is nothing else to freeze.
    store.write(b"l", Some(&[2; 20 << 10]));
    assert_eq!(store.stat("frozen_memtable_count"), 3);
    store.write(b"k", Some(b"after"));
    assert_eq!(store.stat("frozen_memtable_count"), 3);
    check(&store, "in memory");
    store.checkpoint();
    assert_eq!(store.stat("frozen_memtable_count"), 0);
    check(&store, "in tables");
}
