//! Verification: everything on disk, from the durable root down.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use driftdb_storage::{Damage, KeyspaceId, Result, StorageError, VerifyDepth, VerifyReport};

use crate::codec::Overflow;
use crate::engine::PageFile;
use crate::facts::Facts;
use crate::history::SliceRef;
use crate::history::lens::KeyRange;
use crate::key::{OwnedKey, VersionKey};
use crate::node::{Body, Branch, Child, Leaf, PageRef};
use crate::open::read_free_pages;
use crate::page::PageKind;
use crate::pager::Pager;
use crate::slotted::Tag;
use crate::superblock::{self, Superblock};

mod history;
#[cfg(test)]
mod tests;

use history::{FoundSlice, Lost};

/// Checks the superblocks, then all that the durable one reaches, then that every page is either
/// reached or free.
///
/// At depth `Structure` leaves, pages of history and overflow chains are not read; at `Checksums` what leaves hold is not
/// compared with what leads to them.
pub(crate) fn verify(
    engine: &PageFile,
    depth: VerifyDepth,
    report: &mut dyn VerifyReport,
) -> Result<()> {
    // The pin keeps checkpoints from reusing what is read here.
    let (superblock, copies, _pin) = {
        let mut readers = engine.readers.lock();
        let (file, name) = (engine.pager.file(), engine.pager.name());
        let copies = COPIES.map(|(slot, copy)| Pager::read_superblock(file, name, slot, copy));
        let (superblock, pin) = readers.pin_durable();
        (superblock, copies, pin)
    };
    let mut check = Check {
        pager: &engine.pager,
        pages: BTreeMap::new(),
        complete: depth > VerifyDepth::Structure,
        depth,
        done_pages: 0,
        used_pages: superblock.page_count - superblock.free_count,
        facts: Facts::default(),
        slices: BTreeMap::new(),
        lost: BTreeMap::new(),
        has_catalogue: false,
        report,
    };
    check.superblocks(&superblock, copies)?;
    check.facts(&superblock)?;
    check.history(&superblock)?;
    if !superblock.root.is_none() {
        check.node(superblock.root, superblock.root_level, &Bounds::default())?;
    }
    check.report_lost();
    check.free_list(&superblock)?;
    check.nothing_leaked(&superblock);
    Ok(())
}

/// Every copy of every superblock: its slot, and which of the two it is.
const COPIES: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

/// What a page was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Reached,
    Free,
}

/// The keys that a subtree may hold: from the first on, and below the second.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounds {
    pub(crate) low: Option<OwnedKey>,
    pub(crate) high: Option<OwnedKey>,
}

impl Bounds {
    /// Those of a single version.
    pub(crate) fn around(key: VersionKey<'_>) -> Self {
        Self { low: Some(key.to_owned()), high: Some(key.to_owned()) }
    }

    /// The same, borrowed.
    pub(crate) fn range(&self) -> KeyRange<'_> {
        (self.low.as_ref().map(OwnedKey::borrow), self.high.as_ref().map(OwnedKey::borrow))
    }

    /// Those of the child at `index`, inside of these.
    pub(crate) fn of_child(&self, branch: &Branch, index: usize) -> Self {
        let low = match index {
            0 => self.low.clone(),
            _ => Some(branch.separator(index).to_owned()),
        };
        let high = match index + 1 {
            next if next == branch.children.len() => self.high.clone(),
            next => Some(branch.separator(next).to_owned()),
        };
        Self { low, high }
    }

    /// Adds these keys to damage. Where several keyspaces lie between the bounds, those of the first.
    pub(crate) fn name_keys(&self, error: StorageError) -> StorageError {
        let StorageError::Corruption(damage) = error else { return error };
        let (low, high) = (self.low.as_ref(), self.high.as_ref());
        let Some(space) = low.or(high).map(|key| key.space) else {
            return StorageError::Corruption(damage);
        };
        let first = low.map(|low| &*low.key);
        let last = high.filter(|high| high.space == space).map(|high| &*high.key);
        StorageError::Corruption(damage.with_keys(KeyspaceId(space), first, last))
    }
}

struct Check<'a> {
    pager: &'a Pager,
    pages: BTreeMap<u64, Use>,
    /// Whether everything that should be reached was.
    complete: bool,
    depth: VerifyDepth,
    done_pages: u64,
    used_pages: u64,
    facts: Facts,
    /// Every slice of history.
    slices: BTreeMap<SliceRef, FoundSlice>,
    /// Damaged pages of history.
    lost: BTreeMap<u64, Lost>,
    /// Whether all of `slices` could be found.
    has_catalogue: bool,
    report: &'a mut dyn VerifyReport,
}

impl Check<'_> {
    /// Reports damage; gives what is whole, or breaks off this part of the walk.
    fn whole<T>(&mut self, result: Result<T>) -> Result<ControlFlow<(), T>> {
        match result {
            Ok(whole) => Ok(ControlFlow::Continue(whole)),
            Err(StorageError::Corruption(damage)) => {
                self.complete = false;
                self.report.damage(damage);
                Ok(ControlFlow::Break(()))
            }
            Err(error) => Err(error),
        }
    }

    fn damage(&mut self, page: u64, what: &str) {
        if let StorageError::Corruption(damage) = self.pager.damage(page, what) {
            self.report.damage(damage);
        }
    }

    fn superblocks(&mut self, durable: &Superblock, copies: [Result<Superblock>; 4]) -> Result<()> {
        for ((slot, copy), read) in COPIES.into_iter().zip(copies) {
            if let ControlFlow::Continue(superblock) = self.whole(read)?
                && superblock.generation + 1 < durable.generation
            {
                let at = superblock::offset(slot, copy);
                let what = "superblock older than the switch before the last";
                self.report.damage(Damage::new(self.pager.name(), at, what));
            }
        }
        Ok(())
    }

    fn claim(&mut self, page: u64, what: Use) {
        if let Some(before) = self.pages.insert(page, what) {
            self.damage(
                page,
                match (before, what) {
                    (Use::Reached, Use::Reached) => "page that two references lead to",
                    _ => "page that is free and in use",
                },
            );
        }
    }

    fn facts(&mut self, superblock: &Superblock) -> Result<()> {
        if superblock.facts.is_none() {
            return Ok(());
        }
        let chain = self.pager.read_chain(superblock.facts, PageKind::Facts, u64::MAX);
        if let ControlFlow::Continue(chain) = self.whole(chain)? {
            chain.location.pages().for_each(|page| self.claim(page, Use::Reached));
            match Facts::decode(&chain.payload) {
                Some(facts) => self.facts = facts,
                None => self.damage(superblock.facts.page, "malformed keyspace facts"),
            }
        }
        Ok(())
    }

    fn node(&mut self, at: PageRef, level: u8, bounds: &Bounds) -> Result<()> {
        if level == 0 && self.depth == VerifyDepth::Structure {
            return Ok(());
        }
        let node = self.pager.read_node(at, level).map_err(|error| bounds.name_keys(error));
        let ControlFlow::Continue(node) = self.whole(node)? else { return Ok(()) };
        let is_first = !self.pages.contains_key(&at.page);
        let location = node.location.get().expect("a node that was read has a location");
        location.pages().for_each(|page| self.claim(page, Use::Reached));
        if !is_first {
            // Once is enough, however many damaged references lead here.
            return Ok(());
        }
        self.progress();
        match &node.body {
            Body::Leaf(leaf) => self.leaf(at, leaf, bounds),
            Body::Branch(branch) => self.branch(at, branch, level, bounds),
        }
    }

    /// Tells that one more page is done.
    fn progress(&mut self) {
        self.done_pages = self.used_pages.min(self.done_pages + 1);
        let page_size = self.pager.page_size as u64;
        self.report.progress(self.done_pages * page_size, self.used_pages * page_size);
    }

    fn leaf(&mut self, at: PageRef, leaf: &Leaf, bounds: &Bounds) -> Result<()> {
        self.past(at, &leaf.past, bounds);
        for slot in leaf.entries.iter() {
            let is_compared = self.depth == VerifyDepth::Full;
            let below = bounds.low.as_ref().is_some_and(|low| slot.key < low.borrow());
            let above = bounds.high.as_ref().is_some_and(|high| slot.key >= high.borrow());
            if is_compared && (below || above) {
                self.damage(at.page, "key outside of the range that its branches give the leaf");
            }
            if slot.tag == Tag::Overflow {
                let chain = self.pager.read_overflow(Overflow::decode(slot.value));
                let own = Bounds::around(slot.key);
                let chain = chain.map_err(|error| own.name_keys(error));
                if let ControlFlow::Continue(chain) = self.whole(chain)? {
                    chain.location.pages().for_each(|page| self.claim(page, Use::Reached));
                }
            }
        }
        Ok(())
    }

    fn branch(&mut self, at: PageRef, branch: &Branch, level: u8, bounds: &Bounds) -> Result<()> {
        for (index, child) in branch.children.iter().enumerate() {
            let Bounds { low, high } = bounds.of_child(branch, index);
            if low.is_some() && high.is_some() && low >= high {
                self.damage(at.page, "separators outside of the range of the branch");
            }
            if let Child::Disk(child) = child {
                self.node(child.at, level - 1, &Bounds { low, high })?;
            }
        }
        Ok(())
    }

    fn free_list(&mut self, superblock: &Superblock) -> Result<()> {
        let list = read_free_pages(self.pager, superblock);
        if let ControlFlow::Continue((free, own)) = self.whole(list)? {
            own.into_iter().for_each(|page| self.claim(page, Use::Reached));
            free.into_iter().for_each(|page| self.claim(page, Use::Free));
        }
        Ok(())
    }

    fn nothing_leaked(&mut self, superblock: &Superblock) {
        // Below damage pages are in use that the walk could not see.
        if !self.complete {
            return;
        }
        for page in 1..=superblock.page_count {
            if !self.pages.contains_key(&page) {
                self.damage(page, "page that is neither in use nor free");
            }
        }
    }
}
