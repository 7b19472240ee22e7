//! Files written by every version of the format: they must open for ever, and while the version is
//! the same, the same data must give the same bytes. Version 2 changed the manifest only.
//!
//! To write them anew after a change of version: `DRIFTDB_GOLDEN=write cargo test`. Keep the old.

use std::path::{Path, PathBuf};

use driftdb_env::{Env, FileKind, OpenHow};
use driftdb_sim_disk::SimDisk;
use driftdb_storage::{Engine, EngineOptions, Retention, Timestamp, Visible};

use crate::store::{DIR, Store, everything, get, open, scan};

const FILES: [&str; 3] = ["MANIFEST", "000001.table", "000002.table"];

const NEWEST: &str = "v2";

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(version)
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
    let env = Env::os();
    let file = env.disk().open(&golden(version).join(name), OpenHow::Read, FileKind::Meta).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn write_golden(store: &Store) {
    let env = Env::os();
    env.disk().create_dir_all(&golden(NEWEST)).unwrap();
    for name in FILES {
        let path = golden(NEWEST).join(name);
        let bytes = store.disk.read_file(&Path::new(DIR).join(name)).unwrap();
        let file = env.disk().open(&path, OpenHow::OpenOrCreate, FileKind::Meta).unwrap();
        file.set_len(0).unwrap();
        file.write_at(0, &bytes).unwrap();
    }
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let store = written();
    if std::env::var_os("DRIFTDB_GOLDEN").is_some() {
        write_golden(&store);
    }
    for name in FILES {
        let bytes = store.disk.read_file(&Path::new(DIR).join(name)).unwrap();
        assert!(bytes == read_golden(NEWEST, name), "{name} differs from tests/formats/{NEWEST}");
    }
}

#[test]
fn files_of_every_version_open() {
    for version in ["v1", "v2"] {
        check_opens(version);
    }
}

fn check_opens(version: &str) {
    let expected = written();
    let disk = SimDisk::new(1);
    // A directory is there once something was opened in it.
    drop(open(&disk, &EngineOptions::tiny()).unwrap());
    for name in FILES {
        disk.write_file(&Path::new(DIR).join(name), &read_golden(version, name));
    }
    let engine = open(&disk, &EngineOptions::tiny()).unwrap();
    assert_eq!(engine.durable(), expected.model.last());
    let snapshot = engine.snapshot();
    for reverse in [false, true] {
        let spec = everything(Visible::All, reverse);
        assert_eq!(scan(&snapshot, &spec).unwrap(), expected.model.scan(&spec));
    }
    for key in expected.model.keys() {
        for ts in (1..40).map(|n| Timestamp(10 * n)) {
            assert_eq!(get(&snapshot, key, ts).unwrap(), expected.model.get(key, ts));
        }
    }
    let mut damages = 0;
    engine
        .verify(driftdb_storage::VerifyDepth::Full, &mut |_: driftdb_storage::Damage| damages += 1)
        .unwrap();
    assert_eq!(damages, 0, "{version}");
    // What was opened goes on: its tables are compacted with newer ones, and it is version 2 then.
    drop(engine);
    let mut store = expected;
    store.disk = disk;
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

#[test]
fn the_floor_is_kept_in_the_manifest() {
    let mut store = written();
    store.retain(Retention::since(Timestamp(200)));
    store.checkpoint();
    let engine = open(&store.disk, &store.options).unwrap();
    get(&engine.snapshot(), b"k\0", Timestamp(199)).unwrap_err();
    get(&engine.snapshot(), b"k\0", Timestamp(200)).unwrap();
}
