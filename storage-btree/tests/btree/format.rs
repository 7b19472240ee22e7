//! Old files, kept as bytes, still open and still hold what they held.
//!
//! A new format version adds a line to `FORMATS`; its file is written when the test first runs
//! without it, and is then committed. Files are never rewritten.

use std::path::Path;

use driftdb_conformance::golden;
use driftdb_storage::{Engine, Snapshot, StorageError, Timestamp, Visible, WriteBatch};

use crate::model::{DIR, SPACE, World, scan};

const FORMATS: [&str; 2] = ["v1.pages.db", "v2.pages.db"];

/// The world whose page file is kept: every kind of page, history, a floor, a dropped keyspace.
fn original() -> World {
    let mut world = World::new();
    let other = driftdb_storage::KeyspaceId(9);
    let mut batch = WriteBatch::new();
    batch.create_keyspace(other);
    batch.put(other, b"gone", b"with its keyspace");
    world.commit(batch);
    // The model knows one keyspace only.
    world.versions.remove(&b"gone"[..]);
    for n in 0..150u32 {
        let key = format!("key-{:03}", n % 60);
        match n % 10 {
            7 => {
                let mut batch = WriteBatch::new();
                batch.delete(SPACE, key.as_bytes());
                world.commit(batch);
            }
            3 => world.put(key.as_bytes(), &[n as u8; 1500]),
            _ => world.put(key.as_bytes(), format!("value {n}").as_bytes()),
        }
        if n % 40 == 39 {
            world.checkpoint();
        }
    }
    world.put(&[b'k'; 900], b"under a key that no page holds");
    let mut batch = WriteBatch::new();
    batch.drop_keyspace(other);
    world.commit(batch);
    world.set_retention(500);
    world.checkpoint();
    world
}

#[test]
fn files_of_every_format_open() {
    let page_file = Path::new(DIR).join("pages.db");
    for format in FORMATS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(format);
        let mut world = original();
        world.engine = None;
        let Some(kept) = golden::read(&path) else {
            let bytes = world.disk.read_file(&page_file).expect("the page file");
            golden::write(&path, &bytes);
            panic!("{} was missing and has been written: commit it", path.display());
        };
        assert!(world.disk.write_file(&page_file, &kept));
        world.open();
        assert_eq!(world.engine().durable(), world.log.last().expect("commits").0);
        world.verify();
        // To look at a file is not to change its version.
        assert_eq!(version(&world), format.as_bytes()[1] - b'0');
        // The floor is in the file, not only in the policy.
        let snapshot = world.engine().snapshot();
        let below = scan(&snapshot, Visible::AsOf(Timestamp(499)), false);
        assert!(matches!(below, Err(StorageError::SnapshotTooOld { .. })), "{below:?}");
        world.check();
        let mut out = Vec::new();
        let other = driftdb_storage::KeyspaceId(9);
        let end = Timestamp(world.now());
        let found = snapshot.get(other, b"gone", Timestamp(end.0 - 10), &mut out);
        assert_eq!(found.expect("it lived then"), Some(Timestamp(20)));
        let after = snapshot.get(other, b"gone", end, &mut out);
        assert!(matches!(after, Err(StorageError::UnknownKeyspace { .. })), "{after:?}");
        // And it can be written.
        drop(snapshot);
        world.put(b"new", b"value");
        world.checkpoint();
        assert_eq!(version(&world), 2);
        world.verify();
        world.check();
        // Pages of both versions, side by side.
        for n in 0..60u32 {
            world.put(format!("key-{n:03}").as_bytes(), &[b'x'; 100]);
        }
        world.checkpoint();
        world.reopen();
        world.verify();
        world.check();
    }
}

/// The format version that the newer superblock names.
fn version(world: &World) -> u8 {
    let bytes = world.disk.read_file(&Path::new(DIR).join("pages.db")).expect("the page file");
    let at = |offset: usize| (bytes[offset + 48], bytes[offset + 8]);
    [at(0), at(8192)].into_iter().max().expect("two superblocks").1
}
