//! What reads cost beyond what the suite asks of every engine: bytes, reads ahead, room, false positives.

use driftdb_conformance::allocations::{Counting, during};
use driftdb_storage::{
    Compression, Cursor, Engine, EngineOptions, FilterKind, Snapshot, Timestamp, Visible,
};

use crate::store::{SPACE, Store, everything};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One table of 400 keys with that many versions each, all in the cache.
fn store(versions: u32, options: EngineOptions) -> Store {
    let mut store = Store::new(EngineOptions { write_buffer_bytes: 64 << 20, ..options });
    for version in 0..versions {
        for n in 0..400u32 {
            store.write(&n.to_be_bytes(), Some(&[version as u8; 100]));
        }
    }
    store.checkpoint();
    store
}

fn cached() -> EngineOptions {
    EngineOptions { cache_bytes: 64 << 20, ..EngineOptions::tiny() }
}

#[test]
fn the_present_costs_the_same_however_long_the_history() {
    let options = EngineOptions { cache_bytes: 0, compression: Compression::None, ..cached() };
    let cost = |versions: u32| {
        let store = store(versions, options.clone());
        let snapshot = store.engine.snapshot();
        // Loads the indexes.
        snapshot.newest(SPACE, &0u32.to_be_bytes()).unwrap();
        let before = store.stat("bytes_read");
        let mut cursor =
            snapshot.cursor(SPACE, &everything(Visible::AsOf(Timestamp::MAX), false)).unwrap();
        while cursor.next().unwrap() {}
        store.stat("bytes_read") - before
    };
    let (one, many) = (cost(1), cost(50));
    assert!(many * 100 < one * 115, "{many} bytes instead of {one}");
}

#[test]
fn long_scans_read_ahead() {
    let store = store(1, EngineOptions { cache_bytes: 0, ..cached() });
    let snapshot = store.engine.snapshot();
    for (steps, expected) in [(5, 0..1), (400, 1..20)] {
        let before = store.stat("reads_ahead");
        let spec = everything(Visible::AsOf(Timestamp::MAX), false);
        let mut cursor = snapshot.cursor(SPACE, &spec).unwrap();
        for _ in 0..steps {
            assert!(cursor.next().unwrap());
        }
        let count = store.stat("reads_ahead") - before;
        assert!(expected.contains(&count), "{count} for {steps}");
    }
}

/// Reads and allocations of opening and replaying 50 commits, beside so much data.
fn cost_of_opening(key_count: u32) -> (u64, u64, u64) {
    let mut store = Store::new(EngineOptions { write_buffer_bytes: 64 << 20, ..cached() });
    let write = |store: &mut Store, n: u32| {
        store.write(&n.to_be_bytes(), Some(&[7; 100]));
    };
    (0..key_count).for_each(|n| write(&mut store, n));
    store.checkpoint();
    (0..50).for_each(|n| write(&mut store, n * 7919 % 400));
    let before = store.disk.counters();
    let allocations = during(|| {
        store.open_again();
        store.replay();
        drop(store.engine.snapshot());
    });
    let after = store.disk.counters();
    (after.reads - before.reads, after.bytes_read - before.bytes_read, allocations)
}

#[test]
fn opening_costs_the_log_and_not_the_data() {
    let few = cost_of_opening(400);
    assert!(few.0 > 0, "it reads the manifest");
    assert_eq!(cost_of_opening(8000), few, "reads, bytes, allocations");
}

#[test]
fn history_takes_little_room() {
    let store = store(10, EngineOptions { block_size_bytes: 8 << 10, ..cached() });
    let (user_bytes, disk_bytes) = (10 * 400 * 104, store.stat("table_bytes_now"));
    assert!(disk_bytes * 10 < user_bytes * 6, "{disk_bytes} for {user_bytes}");
}

#[test]
fn false_positives_are_counted() {
    for filter in [FilterKind::Bloom, FilterKind::Fuse] {
        let store = store(1, EngineOptions { filter, filter_bits_per_key: 8, ..cached() });
        let snapshot = store.engine.snapshot();
        let mut out = Vec::new();
        for n in 0..20_000u32 {
            let absent = [&(n % 399).to_be_bytes()[..], &n.to_be_bytes()].concat();
            assert!(snapshot.get(SPACE, &absent, Timestamp::MAX, &mut out).unwrap().is_none());
        }
        let (right, wrong) = (store.stat("filter_negatives"), store.stat("filter_false_positives"));
        assert_eq!(right + wrong, 20_000);
        assert!((1..1000).contains(&wrong), "{filter:?}: {wrong}");
    }
}
