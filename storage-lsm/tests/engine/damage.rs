//! Every bit of every file is covered: a flipped one gives the right data or `Corruption`, and
//! `verify` finds it.

use std::path::{Path, PathBuf};

use driftdb_sim_disk::SimDisk;
use driftdb_storage::{Compression, Engine, EngineOptions, StorageError, Timestamp, Visible};

use crate::dictionaries;
use crate::store::{DIR, Store, everything, get, open, scan};

/// A small engine with one table of several blocks, and nothing in memory.
fn small() -> Store {
    let mut store = Store::new(EngineOptions { block_size_bytes: 128, ..EngineOptions::tiny() });
    for n in 0..24u8 {
        store.write(&[b'k', n / 2], (n % 5 != 0).then_some(&[n; 20]));
    }
    store.checkpoint();
    store
}

fn files(disk: &SimDisk) -> Vec<PathBuf> {
    disk.files().into_iter().filter(|path| path.starts_with(DIR)).collect()
}

fn is_clear(error: &StorageError) -> bool {
    matches!(error, StorageError::Corruption(_))
}

/// Reads everything; each answer is right or `Corruption`. True if the damage was noticed.
fn is_noticed(store: &Store, disk: &SimDisk, context: &str) -> bool {
    let engine = match open(disk, &store.options) {
        Ok(engine) => engine,
        Err(error) => {
            assert!(is_clear(&error), "{context}: {error}");
            return true;
        }
    };
    assert_eq!(engine.durable(), store.model.last(), "{context}");
    let snapshot = engine.snapshot();
    let mut noticed = false;
    for key in store.model.keys() {
        for ts in (0..30).map(|n| Timestamp(n * 10)).filter(|ts| ts.0 >= 10) {
            match get(&snapshot, key, ts) {
                Ok(found) => assert_eq!(found, store.model.get(key, ts), "{context}"),
                Err(error) => {
                    assert!(is_clear(&error), "{context}: {error}");
                    noticed = true;
                }
            }
        }
    }
    for reverse in [false, true] {
        let spec = everything(Visible::All, reverse);
        match scan(&snapshot, &spec) {
            Ok(found) => assert_eq!(found, store.model.scan(&spec), "{context}"),
            Err(error) => {
                assert!(is_clear(&error), "{context}: {error}");
                noticed = true;
            }
        }
    }
    let mut damages = 0;
    engine
        .verify(driftdb_storage::VerifyDepth::Full, &mut |_: driftdb_storage::Damage| damages += 1)
        .unwrap();
    assert!(!noticed || damages > 0, "{context}: verify misses it");
    damages > 0
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    flip_bytes(&small(), 1);
}

#[test]
fn a_flipped_bit_in_a_table_with_a_dictionary_is_noticed() {
    let store = dictionaries::small();
    assert_eq!(store.stat("dictionaries"), 1);
    // Not all: a table that is refused is read anew by every get. `dictionaries` goes over the section.
    flip_bytes(&store, 17);
}

fn flip_bytes(store: &Store, step: usize) {
    assert!(!is_noticed(store, &store.disk.fork(1), "undamaged"));
    let files = files(&store.disk);
    assert_eq!(files.len(), 2, "{files:?}");
    for path in files {
        let len = store.disk.read_file(&path).unwrap().len() as u64;
        for offset in (0..len).step_by(step) {
            let disk = store.disk.fork(1);
            assert!(disk.corrupt(&path, offset, 1 << (offset % 8)));
            let context = format!("{} byte {offset} of {len}", path.display());
            assert!(is_noticed(store, &disk, &context), "{context}: not noticed");
        }
    }
}

#[test]
fn files_cut_anywhere_are_noticed() {
    let store = small();
    for path in files(&store.disk) {
        let len = store.disk.read_file(&path).unwrap().len() as u64;
        for cut in 0..len {
            let disk = store.disk.fork(1);
            disk.truncate(&path, cut);
            let context = format!("{} cut to {cut} of {len}", path.display());
            assert!(is_noticed(&store, &disk, &context), "{context}: not noticed");
        }
    }
}

#[test]
fn a_damaged_filter_never_hides_a_key() {
    let store = small();
    let path = Path::new(DIR).join("000001.table");
    let bytes = store.disk.read_file(&path).unwrap();
    // Frame by frame, to the one of kind 2, a filter.
    let mut at = 36;
    while bytes[at] != 2 {
        at += 12 + u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    store.disk.overwrite(&path, at as u64 + 12, &[0; 8]);
    let engine = open(&store.disk, &store.options).unwrap();
    for key in store.model.keys() {
        let found = get(&engine.snapshot(), key, Timestamp::MAX).unwrap();
        assert_eq!(found, store.model.get(key, Timestamp::MAX));
    }
    let mut damages = Vec::new();
    engine
        .verify(driftdb_storage::VerifyDepth::Full, &mut |damage: driftdb_storage::Damage| {
            damages.push(damage);
        })
        .unwrap();
    assert!(damages.iter().all(|damage| damage.offset_bytes == at as u64), "{damages:?}");
    assert!(!damages.is_empty());
}

#[test]
fn a_foreign_directory_is_refused() {
    let disk = SimDisk::new(1);
    let options = EngineOptions::tiny();
    drop(open(&disk, &options).unwrap());
    disk.remove_file(&Path::new(DIR).join("MANIFEST"));
    disk.write_file(&Path::new(DIR).join("pages"), b"something else");
    let error = open(&disk, &options).unwrap_err();
    assert!(matches!(error, StorageError::WrongDirectory { .. }), "{error}");
}

/// Where each frame of a table begins and how long it is, up to the first of another kind than 1, data.
fn blocks(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 36;
    while bytes[at] == 1 {
        let len = 12 + u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        found.push((at, len));
        at += len;
    }
    found
}

/// A write or a read that hits another block of the same length: each is whole, and not the one asked for.
#[test]
fn a_whole_block_in_the_place_of_another_is_noticed() {
    let options = EngineOptions {
        block_size_bytes: 128,
        compression: Compression::None,
        ..EngineOptions::tiny()
    };
    let mut store = Store::new(options);
    for table in 0..2u8 {
        for n in 0..24u8 {
            store.write(&[b'k', 24 * table + n], Some(&[n; 20]));
        }
        store.checkpoint();
    }
    let [first, second] = ["000001.table", "000002.table"].map(|name| Path::new(DIR).join(name));
    let bytes = [&first, &second].map(|path| store.disk.read_file(path).unwrap());
    let places = blocks(&bytes[0]);
    let mut swapped = 0;
    for (index, (a, len)) in places.iter().enumerate() {
        for (b, _) in places[index + 1..].iter().filter(|(_, other)| other == len) {
            swapped += 1;
            let disk = store.disk.fork(1);
            assert!(disk.swap(&first, *a as u64, *b as u64, *len));
            let context = format!("{len} bytes at {a} and {b} exchanged");
            assert!(is_noticed(&store, &disk, &context), "{context}: not noticed");
        }
    }
    assert!(swapped > 3, "{places:?}");
    let (at, len) = places[1];
    assert_eq!(blocks(&bytes[1])[1], (at, len), "the tables are alike");
    let disk = store.disk.fork(1);
    assert!(disk.overwrite(&second, at as u64, &bytes[0][at..at + len]));
    assert!(is_noticed(&store, &disk, "of another table"), "a block of another table");
}
