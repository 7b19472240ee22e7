//! Files written by earlier versions of the format must open for ever, and while the version is the
//! same, the same data must give the same bytes.
//!
//! To write them after a change of version: `DRIFTDB_GOLDEN=write cargo test`. Keep the old.

use std::path::{Path, PathBuf};

use driftdb_conformance::golden;
use driftdb_sim_disk::SimDisk;
use driftdb_storage::{Damage, Engine, EngineOptions, Retention, Timestamp, VerifyDepth, Visible};
use driftdb_storage_lsm::LsmEngine;

use crate::dictionaries;
use crate::store::{DIR, Store, everything, get, open, scan};

const FILES: [&str; 3] = ["MANIFEST", "000001.table", "000002.table"];
/// The versions that are written: 3 is for tables with a dictionary.
const PRESENT: [&str; 2] = ["v2", "v3"];

fn directory(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(version)
}

/// What is in the files of a version.
fn written_as(version: &str) -> Store {
    if version == "v3" { learned() } else { written() }
}

/// A table with a dictionary, and a short one, which has none.
fn learned() -> Store {
    let mut store = dictionaries::small();
    for n in 0..5u8 {
        store.write(&[b'm', n], Some(&[n; 300]));
    }
    store.checkpoint();
    store
}

/// Two tables: values, tombstones, several versions of a key, several blocks; and a floor.
fn written() -> Store {
    let mut store = Store::new(EngineOptions { block_size_bytes: 256, ..EngineOptions::tiny() });
    for n in 0..30u8 {
        store.write(&[b'k', n / 3], (n % 4 != 1).then_some(&[n; 9]));
    }
    store.checkpoint();
    for n in 0..5u8 {
        store.write(&[b'm', n], Some(&[n; 300]));
    }
    store.checkpoint();
    store
}

fn read_golden(version: &str, name: &str) -> Vec<u8> {
    golden::read(&directory(version).join(name)).expect("golden files are kept for ever")
}

fn write_golden(version: &str, store: &Store) {
    for name in FILES {
        let bytes = store.disk.read_file(&Path::new(DIR).join(name)).unwrap();
        golden::write(&directory(version).join(name), &bytes);
    }
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    for version in PRESENT {
        let store = written_as(version);
        if std::env::var_os("DRIFTDB_GOLDEN").is_some() {
            write_golden(version, &store);
        }
        for name in FILES {
            let bytes = store.disk.read_file(&Path::new(DIR).join(name)).unwrap();
            assert!(bytes == read_golden(version, name), "{name} differs from formats/{version}");
        }
    }
}

#[test]
fn a_table_is_of_the_version_that_it_needs() {
    let version_of = |directory, name| read_golden(directory, name)[16];
    assert_eq!(FILES[1..].iter().map(|name| version_of("v2", name)).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(FILES[1..].iter().map(|name| version_of("v3", name)).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(version_of("v3", "MANIFEST"), 2);
}

/// A disk with the files of a version.
fn disk_of(version: &str) -> SimDisk {
    let disk = SimDisk::new(1);
    // A directory is there once something was opened in it.
    drop(open(&disk, &EngineOptions::tiny()).unwrap());
    for name in FILES {
        disk.write_file(&Path::new(DIR).join(name), &read_golden(version, name));
    }
    disk
}

/// Whether the engine shows what was written, every way there is to ask.
fn check(engine: &LsmEngine, expected: &Store) {
    assert_eq!(engine.durable(), expected.model.last());
    let snapshot = engine.snapshot();
    let times: Vec<_> = (1..40).map(|n| Timestamp(10 * n)).collect();
    for reverse in [false, true] {
        let window = |&up_to: &Timestamp| Visible::Between {
            after: Timestamp(up_to.0.saturating_sub(95)),
            up_to,
        };
        let kinds = std::iter::once(Visible::All);
        let kinds =
            kinds.chain(times.iter().map(|&ts| Visible::AsOf(ts))).chain(times.iter().map(window));
        for visible in kinds {
            let spec = everything(visible, reverse);
            assert_eq!(scan(&snapshot, &spec).unwrap(), expected.model.scan(&spec), "{spec:?}");
        }
    }
    for key in expected.model.keys() {
        for &ts in &times {
            assert_eq!(get(&snapshot, key, ts).unwrap(), expected.model.get(key, ts));
        }
    }
    let mut damages = Vec::new();
    engine.verify(VerifyDepth::Full, &mut |damage: Damage| damages.push(damage)).unwrap();
    assert_eq!(damages, []);
}

#[test]
fn files_of_every_version_open_and_go_on() {
    for version in ["v1", "v2", "v3"] {
        let expected = written_as(version);
        check(&open(&disk_of(version), &EngineOptions::tiny()).unwrap(), &expected);
        // What was opened goes on: its tables are compacted with newer ones, and it is version 2 then.
        let mut store = expected;
        store.disk = disk_of(version);
        store.options.write_buffer_bytes = EngineOptions::tiny().write_buffer_bytes;
        store.reopen();
        for n in 0..60u8 {
            store.write(&[b'l', n], Some(&[n; 300]));
            store.maintain();
        }
        assert!(store.stat("compactions") > 0);
        store.reopen();
        let spec = everything(Visible::All, false);
        assert_eq!(scan(&store.engine.snapshot(), &spec).unwrap(), store.model.scan(&spec));
    }
}

#[test]
fn a_merge_takes_tables_of_version_1_in() {
    let mut store = written();
    store.disk = disk_of("v1");
    store.reopen();
    let old = |store: &Store| {
        let tables = store.disk.files().into_iter().filter(|path| {
            path.extension().is_some_and(|ending| ending == "table")
                && store.disk.read_file(path).unwrap()[16] == 1
        });
        tables.count()
    };
    assert_eq!(old(&store), 2);
    // Something is past the promise, so everything is rewritten.
    store.retain(Retention::since(Timestamp(100)));
    store.checkpoint();
    assert_eq!(old(&store), 0);
    let spec = everything(Visible::AsOf(Timestamp(200)), false);
    let snapshot = store.engine.snapshot();
    assert_eq!(scan(&snapshot, &spec).unwrap(), store.model.scan(&spec));
}

#[test]
fn the_floor_is_kept_in_the_manifest() {
    let mut store = written();
    store.retain(Retention::since(Timestamp(200)));
    store.checkpoint();
    let engine = open(&store.disk, &store.options).unwrap();
    get(&engine.snapshot(), b"k\0", Timestamp(199)).unwrap_err();
    get(&engine.snapshot(), b"k\0", Timestamp(200)).unwrap();
}
