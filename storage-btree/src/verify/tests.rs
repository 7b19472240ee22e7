//! A tree that no program of ours writes: every branch leads to one page twice, so that a walk of all ways
//! would take 2⁴⁰ steps.

use std::path::Path;

use driftdb_env::{Env, FileKind, OpenHow};
use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{
    Commit, Damage, Engine, EngineOptions, Entry, Keyspace, KeyspaceId, Result, SalvageSink,
    VerifyDepth,
};

use crate::BtreeEngine;
use crate::codec::{Layout, encode_branch, encode_leaf};
use crate::key::VersionKey;
use crate::node::{Branch, Child, Leaf, PageRef};
use crate::open::superblock_area;
use crate::page::{self, HEADER, Header, PageKind};
use crate::salvage::salvage;
use crate::slotted::Tag;
use crate::superblock::{FILE_NAME, SUPERBLOCK_AREA, Superblock};

const PAGE: usize = 512;
const LEVELS: u8 = 40;

fn write_tree(env: &Env, dir: &Path) {
    env.disk().create_dir_all(dir).unwrap();
    let file = env.disk().open(&dir.join(FILE_NAME), OpenHow::CreateNew, FileKind::Pages).unwrap();
    let mut below = PageRef::default();
    for level in 0..=LEVELS {
        let mut payload = Vec::new();
        if level == 0 {
            let mut leaf = Leaf::default();
            let key = VersionKey { space: 1, key: b"k", age: !7 };
            leaf.entries.insert(0, key, Tag::Tombstone, &[]);
            encode_leaf(&leaf, |_| unreachable!("no large values"), |_| None, &mut payload);
        } else {
            let mut branch = Branch::of_one(Child::disk(below));
            branch.insert(1, VersionKey { space: 1, key: b"m", age: 0 }, Child::disk(below));
            encode_branch(&branch, &[below, below], &mut payload);
        }
        let kind = if level == 0 { PageKind::Leaf } else { PageKind::Branch };
        let (page, len) = (u64::from(level) + 1, payload.len());
        let (layout, next) = (Layout::Packed, PageRef::default());
        let header = Header { kind, level, layout, page, generation: 1, next, len };
        let mut image = vec![0; PAGE];
        image[HEADER..HEADER + len].copy_from_slice(&payload);
        below = PageRef { page, crc: page::seal(&mut image, &header) };
        file.write_at(SUPERBLOCK_AREA + (page - 1) * PAGE as u64, &image).unwrap();
    }
    let first = Superblock {
        generation: 1,
        page_count: u64::from(LEVELS) + 1,
        root: below,
        root_level: LEVELS,
        ..Superblock::empty(1, PAGE)
    };
    let second = Superblock { generation: 2, ..first };
    file.write_at(0, &superblock_area(second, first)).unwrap();
    file.sync_data().unwrap();
}

#[derive(Default)]
struct Tally {
    versions: usize,
    lost: usize,
}

impl SalvageSink for Tally {
    fn begin(&mut self, _at: Commit) -> Result<()> {
        Ok(())
    }

    fn keyspace(&mut self, _space: &Keyspace) -> Result<()> {
        Ok(())
    }

    fn version(&mut self, _space: KeyspaceId, _entry: Entry<'_>) -> Result<()> {
        self.versions += 1;
        Ok(())
    }

    fn lost(&mut self, _damage: Damage) {
        self.lost += 1;
    }

    fn progress(&mut self, _done_bytes: u64, _total_bytes: u64) {}
}

#[test]
fn pages_that_many_ways_lead_to_are_walked_once() {
    let disk = SimDisk::new(1);
    let (env, dir) = (sim_env(&disk, 1), Path::new("/data"));
    write_tree(&env, dir);
    let mut found = 0;
    {
        let engine = BtreeEngine::open(&env, dir, &EngineOptions::tiny()).unwrap();
        engine.verify(VerifyDepth::Full, &mut |_: Damage| found += 1).unwrap();
    }
    assert!(found >= usize::from(LEVELS), "{found} places");
    let mut tally = Tally::default();
    salvage(&env, dir, &EngineOptions::tiny(), &mut tally).unwrap();
    assert_eq!(tally.versions, 1);
    assert!(tally.lost >= usize::from(LEVELS), "{} lost", tally.lost);
}
