//! A compaction is put into force piece by piece: whatever interrupts it, what is there is right,
//! and what was done stays done.

use std::io::ErrorKind;

use driftdb_env::IoOp;
use driftdb_sim_disk::{CrashMode, Effect, Fault};
use driftdb_storage::{
    Compaction, Cursor, Engine, EngineOptions, Maintained, Retention, Snapshot, StorageError,
    Timestamp, Visible,
};

use crate::store::{Always, SPACE, Store, everything, open, scan};

const KINDS: [Compaction; 2] = [Compaction::Leveled, Compaction::Tiered];

/// Memtables of some ten entries, outputs of half as many, one key a step.
fn options(compaction: Compaction) -> EngineOptions {
    EngineOptions {
        write_buffer_bytes: 2 << 10,
        block_size_bytes: 128,
        step_bytes: 1,
        compaction,
        ..EngineOptions::tiny()
    }
}

/// Flushed runs that overlap, and a compaction due: it will take several pieces.
fn due(compaction: Compaction) -> Store {
    let mut store = Store::new(options(compaction));
    for n in 0..100u32 {
        let key = (n * 7 % 40).to_be_bytes();
        store.write(&key, (n % 9 != 0).then_some(&[n as u8; 60]));
    }
    store.retain(Retention::since(Timestamp(200)));
    while store.stat("frozen_memtable_count") > 0 {
        assert_eq!(store.engine.maintain(&Always).unwrap(), Maintained::Worked);
    }
    assert!(store.stat("run_count") >= 4, "{} runs", store.stat("run_count"));
    assert_eq!(store.stat("compactions"), 0);
    store
}

fn check_reads(store: &Store, context: &str) {
    for ts in [200, 350, 1000].map(Timestamp) {
        for reverse in [false, true] {
            let spec = everything(Visible::AsOf(ts), reverse);
            let found = scan(&store.engine.snapshot(), &spec).unwrap();
            assert_eq!(found, store.model.scan(&spec), "{context}, at {ts:?}");
        }
    }
}

fn check(store: &Store, context: &str) {
    check_reads(store, context);
    let mut damages = Vec::new();
    let mut found = |damage: driftdb_storage::Damage| damages.push(damage);
    store.engine.verify(driftdb_storage::VerifyDepth::Full, &mut found).unwrap();
    assert!(damages.is_empty(), "{context}: {damages:?}");
}

#[test]
fn every_step_leaves_a_whole_tree() {
    for kind in KINDS {
        let store = due(kind);
        let mut steps = 0;
        let mut pieces = std::collections::BTreeSet::new();
        while store.engine.maintain(&Always).unwrap() == Maintained::Worked {
            steps += 1;
            check(&store, &format!("{kind:?}, step {steps}"));
            pieces.insert(store.stat("compaction_bytes_written"));
        }
        assert!(steps > 40, "a step is one key: {steps}");
        assert!(pieces.len() > 3, "{kind:?}: {pieces:?}");
        assert!(store.stat("compactions") > 0);
        assert!(store.stat("run_count") < 4);
    }
}

#[test]
fn a_crash_at_every_operation_of_a_compaction_keeps_everything() {
    for kind in KINDS {
        let mut n = 0;
        loop {
            n += 1;
            let mut store = due(kind);
            let fault = store.disk.inject(Fault::at(n).effect(Effect::Halt));
            while matches!(store.engine.maintain(&Always), Ok(Maintained::Worked)) {}
            if store.disk.fired_by(fault) == 0 {
                break;
            }
            let mode = CrashMode::ALL[n as usize % CrashMode::ALL.len()];
            store.disk.crash_with(mode);
            store.disk.clear_faults();
            let context = format!("{kind:?}, crash at {n}, {mode:?}");
            store.reopen();
            check(&store, &context);
            store.maintain();
            check(&store, &format!("{context}, afterwards"));
            assert!(store.stat("run_count") < 4, "{context}");
        }
        assert!(n > 40, "{kind:?}: {n} operations");
    }
}

#[test]
fn pieces_survive_a_close() {
    for kind in KINDS {
        let whole = due(kind);
        whole.maintain();
        let whole_bytes = whole.stat("compaction_bytes_written");
        let mut store = due(kind);
        let mut written_bytes = 0;
        let mut closes = 0;
        loop {
            let before = store.stat("compaction_bytes_written");
            // To the end of the next piece, and a few keys beyond.
            let mut after_piece = 0;
            let mut is_idle = false;
            while after_piece < 3 && !is_idle {
                is_idle = store.engine.maintain(&Always).unwrap() == Maintained::Idle;
                after_piece += u32::from(store.stat("compaction_bytes_written") > before);
            }
            written_bytes += store.stat("compaction_bytes_written");
            if is_idle {
                break;
            }
            store.reopen();
            closes += 1;
            assert!(closes < 100, "{kind:?}: it begins anew each time");
        }
        assert!(closes >= 2, "{kind:?}: {closes}");
        check(&store, "closed often");
        // Each close may end a table early, and that is all.
        assert!(written_bytes < whole_bytes * 2, "{kind:?}: {written_bytes} for {whole_bytes}");
    }
}

#[test]
fn a_failure_of_any_operation_is_undone_or_poisons() {
    for kind in KINDS {
        for effect in [ErrorKind::Other, ErrorKind::StorageFull] {
            let mut n = 0;
            loop {
                n += 1;
                let mut store = due(kind);
                let fault = store.disk.inject(Fault::at(n).effect(Effect::Error(effect)));
                let mut error = None;
                for _ in 0..10_000 {
                    match store.engine.maintain(&Always) {
                        Ok(Maintained::Worked) => {}
                        Ok(Maintained::Idle) => break,
                        Err(first) => {
                            error.get_or_insert(first.clone());
                            if matches!(first, StorageError::Poisoned { .. }) {
                                break;
                            }
                        }
                    }
                }
                if store.disk.fired_by(fault) == 0 {
                    assert!(error.is_none(), "{error:?}");
                    break;
                }
                let context = format!("{kind:?}, {effect:?} at {n}: {error:?}");
                // The manifest may be the new one or the old; readers have what they had.
                check_reads(&store, &context);
                store.reopen();
                check(&store, &context);
                store.maintain();
                check(&store, &context);
            }
            assert!(n > 40, "{kind:?}: {n} operations");
        }
    }
}

#[test]
fn a_full_disk_stops_a_compaction_and_space_resumes_it() {
    for kind in KINDS {
        let store = due(kind);
        while store.stat("compaction_bytes_written") == 0 {
            store.engine.maintain(&Always).unwrap();
        }
        let full = Fault::from(1).on(&[IoOp::Write]);
        store.disk.inject(full.effect(Effect::Error(ErrorKind::StorageFull)));
        let mut failures = 0;
        for _ in 0..1000 {
            if let Err(error) = store.engine.maintain(&Always) {
                assert!(matches!(&error, StorageError::Io(io) if io.is_disk_full()), "{error}");
                failures += 1;
            }
        }
        assert!(failures > 3, "{kind:?}: a full disk does not poison");
        check(&store, "full");
        store.disk.clear_faults();
        store.maintain();
        check(&store, "resumed");
        assert!(store.stat("run_count") < 4);
    }
}

#[test]
fn an_open_cursor_reads_through_a_whole_compaction() {
    for kind in KINDS {
        for reverse in [false, true] {
            let mut store = due(kind);
            let snapshot = store.engine.snapshot();
            let spec = everything(Visible::AsOf(Timestamp(600)), reverse);
            let expected = store.model.scan(&spec);
            let mut cursor = snapshot.cursor(SPACE, &spec).unwrap();
            let mut shown = Vec::new();
            while cursor.next().unwrap() {
                let entry = cursor.entry();
                shown.push((entry.key.to_vec(), entry.ts, entry.value.map(<[u8]>::to_vec)));
                for _ in 0..20 {
                    store.engine.maintain(&Always).unwrap();
                }
                store.write(b"later", Some(&[1; 100]));
            }
            assert_eq!(shown, expected, "{kind:?}");
            assert!(store.stat("compactions") > 0);
        }
    }
}

#[test]
fn an_ascending_load_is_never_rewritten() {
    for kind in KINDS {
        let mut store = Store::new(EngineOptions { compaction: kind, ..EngineOptions::tiny() });
        for n in 0..3000u32 {
            store.write(&n.to_be_bytes(), Some(&[n as u8; 50]));
            store.maintain();
        }
        assert!(store.stat("compactions") > 10, "{kind:?}");
        assert_eq!(store.stat("compaction_bytes_written"), 0, "{kind:?}");
        assert!(store.stat("run_count") <= 12, "{kind:?}");
        let spec = everything(Visible::All, false);
        assert_eq!(scan(&store.engine.snapshot(), &spec).unwrap(), store.model.scan(&spec));
    }
}

#[test]
fn a_tombstone_stays_while_an_older_run_has_the_key() {
    let mut store = Store::new(options(Compaction::Leveled));
    for n in 0..400u32 {
        store.write(&(n * 37 % 100).to_be_bytes(), Some(&[n as u8; 60]));
        store.maintain();
    }
    assert!(store.stat("run_count") > 1, "the key lies below");
    let deleted: Vec<u32> = (0..100).filter(|n| n % 3 == 0).collect();
    for n in &deleted {
        store.write(&n.to_be_bytes(), None);
    }
    let last = store.model.last().ts;
    store.retain(Retention::since(last));
    for n in 100..160u32 {
        store.write(&n.to_be_bytes(), Some(&[1; 60]));
        store.maintain();
        let now = everything(Visible::AsOf(Timestamp::MAX), false);
        assert_eq!(scan(&store.engine.snapshot(), &now).unwrap(), store.model.scan(&now));
    }
    assert!(store.stat("versions_dropped") > 0);
    drop(open(&store.disk, &store.options).unwrap());
}

#[test]
fn a_table_of_a_dropped_keyspace_goes_unread() {
    use driftdb_storage::{Commit, KeyspaceId, Lsn, WriteBatch};
    for kind in KINDS {
        let compression = driftdb_storage::Compression::None;
        let options = EngineOptions { compaction: kind, compression, ..EngineOptions::tiny() };
        let mut store = Store::new(options);
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
        store.engine.apply(&batch, commit(2)).unwrap();
        store.engine.checkpoint(&Always).unwrap();
        assert!(store.stat("table_bytes_now") > 5000);
        store.retain(Retention::since(Timestamp(1002)));
        let read = store.stat("bytes_read");
        store.maintain();
        assert_eq!(store.stat("table_bytes_now"), 0);
        assert_eq!(store.stat("bytes_read"), read, "it was read");
        let mut out = Vec::new();
        let then = store.engine.snapshot().get(gone, &[5], Timestamp(1001), &mut out);
        assert!(matches!(then, Err(StorageError::SnapshotTooOld { .. })), "{then:?}");
    }
}
