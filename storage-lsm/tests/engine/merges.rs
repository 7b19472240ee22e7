//! Merges keep tables few, reads cheap, and files only as long as someone reads them.

use driftdb_storage::{Engine, EngineOptions, Retention, Snapshot, Timestamp, Visible};

use crate::store::{DIR, SPACE, Store, everything, get, scan};

fn tables_on_disk(store: &Store) -> usize {
    let files = store.disk.files().into_iter().filter(|path| path.starts_with(DIR));
    files.filter(|path| path.extension().is_some_and(|ending| ending == "table")).count()
}

#[test]
fn runs_stay_few() {
    let mut store = Store::new(EngineOptions::tiny());
    for n in 0..3000u32 {
        store.write(&(n * 7919 % 1000).to_be_bytes(), Some(&[n as u8; 50]));
        if n % 10 == 0 {
            store.maintain();
            assert!(store.stat("run_count") <= 12, "{} runs", store.stat("run_count"));
        }
    }
    assert!(store.stat("flushes") > 50);
    assert!(store.stat("compactions") > 5);
    assert_eq!(store.stat("table_count"), tables_on_disk(&store) as u64);
    let spec = everything(Visible::All, false);
    assert_eq!(scan(&store.engine.snapshot(), &spec).unwrap(), store.model.scan(&spec));
}

#[test]
fn a_snapshot_keeps_its_files() {
    let mut store = Store::new(EngineOptions::tiny());
    for n in 0..200u32 {
        store.write(&(n % 20).to_be_bytes(), Some(&[n as u8; 90]));
        store.maintain();
    }
    let (snapshot, then) = (store.engine.snapshot(), store.model.clone());
    store.retain(Retention::since(Timestamp(1000)));
    for n in 0..400u32 {
        store.write(&(n % 20).to_be_bytes(), (n % 3 != 0).then_some(&[n as u8; 90]));
        store.maintain();
    }
    store.retain(Retention::since(store.model.last().ts));
    store.checkpoint();
    assert!(tables_on_disk(&store) > 1, "the snapshot's tables are there");
    let spec = everything(Visible::All, true);
    assert_eq!(scan(&snapshot, &spec).unwrap(), then.scan(&spec));
    drop(snapshot);
    store.maintain();
    assert_eq!(tables_on_disk(&store), 1);
}

#[test]
fn a_read_costs_one_block_however_many_versions() {
    let options = EngineOptions { cache_bytes: 0, ..EngineOptions::tiny() };
    let mut store = Store::new(options);
    for n in 0..2000u32 {
        store.write(b"hot", Some(&n.to_be_bytes()));
        store.write(&n.to_be_bytes(), Some(b"cold"));
    }
    store.checkpoint();
    let snapshot = store.engine.snapshot();
    // Loads the indexes.
    snapshot.newest(SPACE, b"hot").unwrap();
    for ts in [100, 20_000, 40_000].map(Timestamp) {
        let before = store.stat("bytes_read");
        assert_eq!(get(&snapshot, b"hot", ts).unwrap(), store.model.get(b"hot", ts));
        let tables = store.stat("table_count");
        let cost = store.stat("bytes_read") - before;
        // A block and filters of up to 5 KiB from each table.
        assert!(cost < tables * (600 + 6000), "{cost} bytes from {tables} tables");
    }
}

#[test]
fn filters_spare_blocks() {
    let mut store = Store::new(EngineOptions::tiny());
    for n in 0..500u32 {
        store.write(&(2 * n).to_be_bytes(), Some(b"even"));
    }
    store.checkpoint();
    let snapshot = store.engine.snapshot();
    for n in 0..499u32 {
        assert_eq!(get(&snapshot, &(2 * n + 1).to_be_bytes(), Timestamp::MAX).unwrap(), None);
    }
    assert!(store.stat("filter_negatives") > 480, "{}", store.stat("filter_negatives"));
}
