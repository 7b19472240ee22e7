//! Replays, whose rows are put in order only for the first snapshot after them.

use std::path::Path;

use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{
    Commit, Engine, EngineOptions, Lsn, Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_lsm::LsmEngine;

use crate::store::{DIR, SPACE, Store, everything, get, scan};

fn store(write_buffer_bytes: usize) -> Store {
    let mut store = Store::new(EngineOptions { write_buffer_bytes, ..EngineOptions::tiny() });
    for n in 0..200u32 {
        store.write(&(n * 7919 % 101).to_be_bytes(), Some(&n.to_be_bytes()));
        if n == 60 {
            store.checkpoint();
        }
    }
    store
}

fn check_all(store: &Store) {
    let snapshot = store.engine.snapshot();
    for visible in [Visible::All, Visible::AsOf(Timestamp(700)), Visible::AsOf(Timestamp::MAX)] {
        for reverse in [false, true] {
            let spec = everything(visible, reverse);
            assert_eq!(scan(&snapshot, &spec).unwrap(), store.model.scan(&spec));
        }
    }
    for key in store.model.keys() {
        for ts in [300, 700, 1500, u64::MAX].map(Timestamp) {
            assert_eq!(get(&snapshot, key, ts).unwrap(), store.model.get(key, ts));
        }
    }
}

/// Also when memtables get full on the way.
#[test]
fn what_is_replayed_is_there_and_more_can_come() {
    for write_buffer_bytes in [1 << 10, 1 << 20] {
        let mut store = store(write_buffer_bytes);
        store.reopen();
        store.write(b"before the first snapshot", Some(b"v"));
        check_all(&store);
        store.write(b"after it", None);
        check_all(&store);
        // Nobody reads, and the replay is flushed.
        store.reopen();
        store.checkpoint();
        check_all(&store);
    }
}

#[test]
fn a_snapshot_from_before_a_replay_sees_none_of_it() {
    let mut store = store(1 << 20);
    store.open_again();
    let durable = store.engine.durable();
    let before = store.engine.snapshot();
    assert_eq!(before.at(), durable);
    let check = |store: &Store| {
        let as_of = everything(Visible::AsOf(durable.ts), false);
        let now = everything(Visible::AsOf(Timestamp::MAX), false);
        assert_eq!(scan(&before, &now).unwrap(), store.model.scan(&as_of));
        for key in store.model.keys() {
            let expected = store.model.get(key, durable.ts);
            assert_eq!(get(&before, key, Timestamp::MAX).unwrap(), expected);
        }
    };
    check(&store);
    store.replay();
    check(&store);
    check_all(&store);
    check(&store);
}

#[test]
fn a_range_delete_finds_what_was_replayed_before_it() {
    let env = sim_env(&SimDisk::new(1), 1);
    let engine = LsmEngine::open(&env, Path::new(DIR), &EngineOptions::tiny()).unwrap();
    let mut n = 0;
    let mut apply = |fill: &dyn Fn(&mut WriteBatch)| {
        let mut batch = WriteBatch::new();
        fill(&mut batch);
        n += 1;
        engine.apply(&batch, Commit { lsn: Lsn(n), ts: Timestamp(n) }).unwrap();
    };
    apply(&|batch| batch.create_keyspace(SPACE));
    apply(&|batch| [b"c", b"a", b"b"].map(|key| batch.put(SPACE, key, b"1")).into_iter().collect());
    apply(&|batch| batch.delete_range(SPACE, b"b", b"d"));
    apply(&|batch| batch.put(SPACE, b"c", b"2"));
    let snapshot = engine.snapshot();
    let rows = scan(&snapshot, &everything(Visible::AsOf(Timestamp::MAX), false)).unwrap();
    let expected = [(&b"a"[..], 2, &b"1"[..]), (b"c", 4, b"2")];
    let expected = expected.map(|(key, ts, v)| (key.to_vec(), Timestamp(ts), Some(v.to_vec())));
    assert_eq!(rows, expected);
}
