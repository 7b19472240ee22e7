//! Sizes at their limits, on the paths that insert, replace, split and remove.

use std::ops::Bound;

use driftdb_storage::{
    Cursor, Engine, KeyRange, ScanSpec, Snapshot, StorageError, Timestamp, Visible, WriteBatch,
};

use crate::model::{DIR, SPACE, World};

fn with_pages_of(bytes: usize) -> World {
    let mut world = World::new();
    world.engine = None;
    assert!(world.disk.remove_file(&std::path::Path::new(DIR).join("pages.db")));
    world.options.block_size_bytes = bytes;
    world.options.cache_bytes = 16 << 20;
    world.log.clear();
    world.versions.clear();
    world.open();
    let mut batch = WriteBatch::new();
    batch.create_keyspace(SPACE);
    world.commit(batch);
    world
}

#[test]
fn values_around_every_limit_replace_each_other() {
    let mut world = World::new();
    // A quarter of a page's payload, the payload, and the lengths that need one more byte.
    let sizes = [0, 1, 117, 118, 119, 471, 472, 473, 943, 944, 945, 65_535, 65_536];
    for (round, size) in sizes.iter().chain(sizes.iter().rev()).enumerate() {
        for n in 0..3u8 {
            world.put(&[n], &vec![round as u8; *size]);
        }
        if round % 3 == 0 {
            world.checkpoint();
            world.verify();
        }
    }
    world.check();
    world.reopen();
    world.check();
    world.set_retention(world.now());
    world.checkpoint();
    world.verify();
    world.check();
}

#[test]
fn keys_around_every_limit_stand_side_by_side() {
    let mut world = World::new();
    for len in [0, 1, 7, 8, 9, 250, 254, 255, 256, 257, 472, 65_534, 65_535, 65_536] {
        for last in [0u8, 255] {
            let mut key = vec![b'k'; len];
            key.push(last);
            world.put(&key, b"value");
        }
        world.checkpoint();
        world.verify();
    }
    world.check();
    world.reopen();
    world.check();
}

#[test]
fn a_page_of_64_kib_holds_thousands_of_the_smallest_entries() {
    let mut world = with_pages_of(64 << 10);
    let mut batch = WriteBatch::new();
    for n in 0..66_000u32 {
        batch.put(SPACE, &n.to_be_bytes()[1..], b"");
    }
    world.commit(batch);
    world.checkpoint();
    world.verify();
    world.reopen();
    let spec =
        ScanSpec { range: KeyRange::ALL, visible: Visible::AsOf(Timestamp::MAX), reverse: false };
    let snapshot = world.engine().snapshot();
    let mut cursor = snapshot.cursor(SPACE, &spec).unwrap();
    for n in 0..66_000u32 {
        assert!(cursor.next().unwrap());
        assert_eq!(cursor.entry().key, &n.to_be_bytes()[1..]);
    }
    assert!(!cursor.next().unwrap());
}

#[test]
fn a_key_unlike_all_others_comes_first_and_last() {
    let mut world = World::new();
    // A long common prefix, then keys that have none of it, at both ends and again.
    for n in 0..60u32 {
        let key = [&[b'm'; 200][..], &n.to_be_bytes()].concat();
        world.put(&key, b"value");
        if n % 7 == 0 {
            world.put(&[b'a', 255 - n as u8], b"first");
            world.put(&[b'z', n as u8], b"last");
        }
        if n % 20 == 0 {
            world.checkpoint();
            world.verify();
        }
    }
    world.checkpoint();
    world.verify();
    world.reopen();
    world.check();
}

#[test]
fn an_inverted_range_is_empty() {
    let mut world = World::new();
    for n in 0..200u8 {
        world.put(&[n], b"value");
    }
    world.checkpoint();
    let snapshot = world.engine().snapshot();
    let ends = [(&[150][..], &[20][..]), (&[150], &[150]), (&[255], &[0]), (&[199, 0], &[3])];
    for (start, end) in ends {
        for reverse in [false, true] {
            for (start, end) in [
                (Bound::Included(start), Bound::Excluded(end)),
                (Bound::Excluded(start), Bound::Included(end)),
                (Bound::Excluded(start), Bound::Excluded(end)),
            ] {
                for visible in [Visible::AsOf(Timestamp::MAX), Visible::All] {
                    let spec = ScanSpec { range: KeyRange { start, end }, visible, reverse };
                    let mut cursor = snapshot.cursor(SPACE, &spec).unwrap();
                    assert!(!cursor.next().unwrap(), "{start:?} to {end:?}, reverse {reverse}");
                    cursor.seek(&[100]).unwrap();
                    assert!(!cursor.next().unwrap(), "{start:?} to {end:?}, reverse {reverse}");
                }
            }
        }
    }
}

/// Sets bytes of a page and makes its checksum fit; what refers to it is not changed.
fn forge(bytes: &mut [u8], page: usize, at: usize, with: &[u8]) -> u32 {
    let image = &mut bytes[16_384 + (page - 1) * 512..][..512];
    image[at..at + with.len()].copy_from_slice(with);
    let crc = crc32c::crc32c(&image[4..]);
    image[..4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Points the root of both superblocks, and their checksums, at `page`.
fn point_root(bytes: &mut [u8], page: u64, crc: u32) {
    for copy in bytes.chunks_mut(4096).take(4) {
        let copy = &mut copy[..512];
        copy[88..96].copy_from_slice(&page.to_le_bytes());
        copy[96..100].copy_from_slice(&crc.to_le_bytes());
        copy[12..16].fill(0);
        let crc = crc32c::crc32c(copy);
        copy[12..16].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn pages_that_lead_in_circles_or_far_away_are_damage() {
    let mut world = World::new();
    (0..300u32).for_each(|n| world.put(&n.to_be_bytes(), &[1; 60]));
    world.checkpoint();
    world.engine = None;
    let file = std::path::Path::new(DIR).join("pages.db");
    let whole = world.disk.read_file(&file).unwrap();
    let newest = if whole[48] < whole[8192 + 48] { 8192 } else { 0 };
    let root = u64::from_le_bytes(*whole[newest + 88..].first_chunk().unwrap());
    let level = whole[16_384 + (root as usize - 1) * 512 + 5];
    assert!(level >= 1, "the root is a branch");
    let far = [u64::MAX, 1 << 47, 1 << 40, root, 0];
    // The place of the next page of the chain, the first child, and the payload's length and count.
    for at in [24, 44] {
        for page in far {
            let mut bytes = whole.clone();
            let crc = forge(&mut bytes, root as usize, at, &page.to_le_bytes());
            point_root(&mut bytes, root, crc);
            check_damaged(&mut world, &file, &bytes, page == 0 && at == 24);
        }
    }
    for at in [36, 40] {
        for number in [u32::MAX, 1 << 30, 65_536] {
            let mut bytes = whole.clone();
            let crc = forge(&mut bytes, root as usize, at, &number.to_le_bytes());
            point_root(&mut bytes, root, crc);
            check_damaged(&mut world, &file, &bytes, false);
        }
    }
}

fn check_damaged(world: &mut World, file: &std::path::Path, bytes: &[u8], is_whole: bool) {
    assert!(world.disk.write_file(file, bytes));
    let found = world.try_open().and_then(|()| {
        let snapshot = world.engine().snapshot();
        crate::model::scan(&snapshot, Visible::All, false).map(drop)
    });
    match found {
        Ok(()) => assert!(is_whole, "damage that nobody noticed"),
        Err(error) => assert!(matches!(error, StorageError::Corruption(_)), "{error}"),
    }
    world.engine = None;
}
