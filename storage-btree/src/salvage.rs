//! Reading what verifies of a damaged page file.
//!
//! The tree is walked from the newest superblock that stands; a node that fails its checksum costs the
//! keys below it and no others, and is told with the bounds that its branches give it. Without a
//! superblock the root is looked for among the pages: it is the branch (or leaf) of the highest level that
//! the last checkpoint wrote, and what it leads to is checked by the checksums in the references.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use driftdb_env::{Env, File, FileKind, OpenHow};
use driftdb_storage::{
    Commit, Damage, EngineOptions, Entry, Keyspace, KeyspaceId, Lsn, Result, Retention,
    SalvageSink, StorageError, Timestamp,
};

use crate::facts::Facts;
use crate::history::lens;
use crate::node::{Body, Leaf, PageRef};
use crate::open::{read_catalogue, read_facts};
use crate::page::{self, Header, MAX_PAGE_SIZE, MIN_PAGE_SIZE, PageKind};
use crate::pager::Pager;
use crate::slotted::Tag;
use crate::snapshot::copy_value;
use crate::superblock::{FILE_NAME, FORMAT_VERSION, SUPERBLOCK_AREA, Superblock};
use crate::verify::Bounds;

/// See [`driftdb_storage::FileEngine::salvage`].
pub(crate) fn salvage(
    env: &Env,
    dir: &Path,
    options: &EngineOptions,
    sink: &mut dyn SalvageSink,
) -> Result<()> {
    let path = dir.join(FILE_NAME);
    let name = path.display().to_string();
    let file = match env.disk().open(&path, OpenHow::Read, FileKind::Pages) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => {
            sink.lost(Damage::new(name, 0, "the file is missing"));
            return sink.begin(Commit::default());
        }
        Err(error) => return Err(error.into()),
    };
    let superblock = match newest_superblock(&*file, &name, sink)? {
        Some(superblock) => superblock,
        None => guess_superblock(&*file, &name, sink)?,
    };
    let pager = Pager::new(file, name, &superblock, options.cache_bytes);
    let mut commit = superblock.commit;
    if commit == Commit::default() && !superblock.root.is_none() {
        commit = Commit {
            lsn: Lsn(0),
            ts: newest_time(&pager, superblock.root, superblock.root_level, &mut BTreeSet::new())?,
        };
    }
    sink.begin(commit)?;
    let facts = read_whole_facts(&pager, &superblock, sink)?;
    let mut walk = Walk {
        pager: &pager,
        keyspaces: facts.list(Timestamp::MAX),
        facts,
        visited: BTreeSet::new(),
        begun: None,
        done_pages: 0,
        used_pages: superblock.page_count.saturating_sub(superblock.free_count),
        sink,
    };
    if !superblock.root.is_none() {
        walk.node(superblock.root, superblock.root_level, &Bounds::default())?;
    }
    walk.keyspaces_before(None)
}

/// The facts, with how far back the catalogue says that history pages reach.
fn read_whole_facts(
    pager: &Pager,
    superblock: &Superblock,
    sink: &mut dyn SalvageSink,
) -> Result<Facts> {
    let mut facts = match read_facts(pager, superblock.facts) {
        Ok((facts, _)) => facts,
        Err(StorageError::Corruption(damage)) => {
            sink.lost(damage);
            sink.lost(lost_facts(pager.name()));
            // The catalogue completes facts; alone it cannot be read.
            return Ok(Facts::default());
        }
        Err(error) => return Err(error),
    };
    let mut completed = facts.clone();
    match read_catalogue(pager, superblock.catalogue, &mut completed) {
        Ok(_) => facts = completed,
        // Eras of pages that were freed are then told as lost below.
        Err(StorageError::Corruption(damage)) => sink.lost(damage),
        Err(error) => return Err(error),
    }
    Ok(facts)
}

fn lost_facts(name: &str) -> Damage {
    let what = "it is not known when keyspaces were created and dropped, nor how far back each was kept: \
                dropped tables may come back";
    Damage::new(name, 0, what)
}

/// The newest superblock of which a copy stands, with what is wrong with others.
fn newest_superblock(
    file: &dyn File,
    name: &str,
    sink: &mut dyn SalvageSink,
) -> Result<Option<Superblock>> {
    let mut newest: Option<Superblock> = None;
    let mut damaged = [0; 2];
    for (slot, copy) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        match Pager::read_superblock(file, name, slot, copy) {
            Ok(found) if newest.is_none_or(|newest| newest.generation < found.generation) => {
                newest = Some(found);
            }
            Ok(_) => {}
            Err(StorageError::Corruption(damage)) => {
                damaged[slot] += 1;
                // One copy makes up for the other.
                if damaged[slot] == 2 {
                    sink.lost(damage);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(newest)
}

/// A superblock made up from what the pages say of themselves.
fn guess_superblock(file: &dyn File, name: &str, sink: &mut dyn SalvageSink) -> Result<Superblock> {
    let len = file.len()?;
    let mut sizes = (MIN_PAGE_SIZE..=MAX_PAGE_SIZE).filter(|size| size.is_power_of_two());
    let found = sizes.find_map(|page_size| match pages(file, page_size, len) {
        Ok(pages) if pages.is_empty() => None,
        other => Some(other.map(|pages| (page_size, pages))),
    });
    let Some(found) = found else {
        let what = "neither a superblock nor any page can be read";
        return Err(StorageError::corruption(name, 0, what));
    };
    let (page_size, pages) = found?;
    sink.lost(Damage::new(
        name,
        0,
        "no superblock stands; the last tree is looked for among the pages, and may lack its last commits",
    ));
    let newest = |kinds: &[PageKind]| {
        let of_kind = pages.iter().filter(|(_, header)| kinds.contains(&header.kind));
        of_kind.max_by_key(|(at, header)| (header.generation, header.level, at.page)).copied()
    };
    let root = newest(&[PageKind::Leaf, PageKind::Branch]);
    Ok(Superblock {
        version: FORMAT_VERSION,
        database_id: 0,
        page_size,
        generation: root.map_or(0, |(_, header)| header.generation),
        commit: Commit::default(),
        page_count: len.saturating_sub(SUPERBLOCK_AREA) / page_size as u64,
        free_count: 0,
        root: root.map_or_else(PageRef::default, |(at, _)| at),
        root_level: root.map_or(0, |(_, header)| header.level),
        free_list: PageRef::default(),
        facts: newest(&[PageKind::Facts]).map_or_else(PageRef::default, |(at, _)| at),
        catalogue: newest(&[PageKind::Catalogue]).map_or_else(PageRef::default, |(at, _)| at),
    })
}

/// Every page that verifies, if pages are of that size.
fn pages(file: &dyn File, page_size: usize, len: u64) -> Result<Vec<(PageRef, Header)>> {
    let mut found = Vec::new();
    let mut image = vec![0; page_size];
    let count = len.saturating_sub(SUPERBLOCK_AREA) / page_size as u64;
    for page in 1..=count {
        let offset = SUPERBLOCK_AREA + (page - 1) * page_size as u64;
        if file.read_at(offset, &mut image)? < page_size {
            break;
        }
        let at = PageRef { page, crc: page::u32_at(&image, 0) };
        if let Ok(header) = page::open(&image, at) {
            found.push((at, header));
        }
    }
    Ok(found)
}

/// The largest timestamp below a node, as far as it can be read.
fn newest_time(
    pager: &Pager,
    at: PageRef,
    level: u8,
    visited: &mut BTreeSet<u64>,
) -> Result<Timestamp> {
    if !visited.insert(at.page) {
        return Ok(Timestamp::MIN);
    }
    let node = match pager.read_node(at, level) {
        Ok(node) => node,
        Err(StorageError::Corruption(_)) => return Ok(Timestamp::MIN),
        Err(error) => return Err(error),
    };
    match &node.body {
        Body::Leaf(leaf) => {
            Ok(leaf.entries.iter().map(|slot| slot.key.ts()).max().unwrap_or_default())
        }
        Body::Branch(branch) => {
            branch.children.iter().try_fold(Timestamp::MIN, |newest, child| match child {
                crate::node::Child::Disk(swip) => {
                    Ok(newest.max(newest_time(pager, swip.at, level - 1, visited)?))
                }
                crate::node::Child::Memory(_) => Ok(newest),
            })
        }
    }
}

struct Walk<'a> {
    pager: &'a Pager,
    /// Those that the facts name.
    keyspaces: Vec<Keyspace>,
    /// Says which history is dead.
    facts: Facts,
    /// Pages of nodes that the walk came to.
    visited: BTreeSet<u64>,
    /// The keyspace that the sink was told last.
    begun: Option<KeyspaceId>,
    done_pages: u64,
    used_pages: u64,
    sink: &'a mut dyn SalvageSink,
}

impl Walk<'_> {
    fn node(&mut self, at: PageRef, level: u8, bounds: &Bounds) -> Result<()> {
        if !self.visited.insert(at.page) {
            // Its keys are told already, and can belong to one place only.
            let error = self.pager.damage(at.page, "page that two references lead to");
            self.tell(bounds.name_keys(error), bounds);
            return Ok(());
        }
        let node = match self.pager.read_node(at, level) {
            Ok(node) => Arc::new(node),
            Err(error @ StorageError::Corruption(_)) => {
                self.tell(bounds.name_keys(error), bounds);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.done_pages = self.used_pages.min(self.done_pages + 1);
        let page_size = self.pager.page_size as u64;
        self.sink.progress(self.done_pages * page_size, self.used_pages * page_size);
        match &node.body {
            Body::Leaf(leaf) if leaf.past.is_empty() => self.leaf(leaf),
            Body::Leaf(leaf) => {
                let mut damaged = Vec::new();
                let whole =
                    lens::whole(self.pager, leaf, &self.facts, bounds.range(), &mut damaged)?;
                damaged.into_iter().for_each(|error| self.tell(bounds.name_keys(error), bounds));
                self.leaf(&whole)
            }
            Body::Branch(branch) => {
                for (index, child) in branch.children.iter().enumerate() {
                    if let crate::node::Child::Disk(child) = child {
                        self.node(child.at, level - 1, &bounds.of_child(branch, index))?;
                    }
                }
                Ok(())
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf) -> Result<()> {
        let mut value = Vec::new();
        for slot in leaf.entries.iter() {
            let space = KeyspaceId(slot.key.space);
            self.keyspaces_before(Some(space))?;
            value.clear();
            match copy_value(self.pager, leaf, slot, &mut value) {
                Ok(has_value) => {
                    let value = has_value.then_some(&*value);
                    let entry = Entry { key: slot.key.key, ts: slot.key.ts(), value };
                    self.sink.version(space, entry)?;
                }
                Err(error @ StorageError::Corruption(_)) => {
                    assert_eq!(slot.tag, Tag::Overflow, "other values are in the leaf");
                    let bounds = Bounds::around(slot.key);
                    self.tell(bounds.name_keys(error), &bounds);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells damage, once for every keyspace that may have keys there.
    fn tell(&mut self, error: StorageError, bounds: &Bounds) {
        let StorageError::Corruption(damage) = error else { return };
        let first = bounds.low.as_ref().map_or(0, |low| low.space);
        let last = bounds.high.as_ref().map_or(u32::MAX, |high| high.space);
        let spaces: BTreeSet<u32> = self.keyspaces.iter().map(|space| space.id.0).collect();
        for &space in spaces.range(first..=last).filter(|space| **space != first) {
            let until = bounds.high.as_ref().filter(|high| high.space == space);
            if until.is_some_and(|high| high.key.is_empty()) {
                continue;
            }
            let last = until.map(|high| &*high.key);
            self.sink.lost(damage.clone().with_keys(KeyspaceId(space), None, last));
        }
        self.sink.lost(damage);
    }

    /// Tells the sink of every keyspace up to and including `space`; at the end, of all.
    fn keyspaces_before(&mut self, space: Option<KeyspaceId>) -> Result<()> {
        if space.is_some() && self.begun == space {
            return Ok(());
        }
        let is_due = |id: KeyspaceId, begun: Option<KeyspaceId>| {
            begun.is_none_or(|begun| begun < id) && space.is_none_or(|space| id <= space)
        };
        let due: Vec<Keyspace> =
            self.keyspaces.iter().filter(|known| is_due(known.id, self.begun)).cloned().collect();
        for known in due {
            self.begun = Some(known.id);
            self.sink.keyspace(&known)?;
        }
        if let Some(unknown) = space.filter(|space| self.begun != Some(*space)) {
            self.begun = Some(unknown);
            let kept = Retention::FOREVER;
            self.sink.keyspace(&Keyspace {
                id: unknown,
                created: Timestamp(1),
                dropped: None,
                kept,
            })?;
        }
        Ok(())
    }
}
