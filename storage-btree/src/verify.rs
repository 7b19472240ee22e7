//! Verification: everything on disk, from the durable root down.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use driftdb_storage::{Damage, Result, StorageError};

use crate::codec::Overflow;
use crate::engine::BtreeEngine;
use crate::key::OwnedKey;
use crate::node::{Body, Branch, Child, Leaf, PageRef};
use crate::open::read_free_pages;
use crate::page::PageKind;
use crate::pager::Pager;
use crate::slotted::Tag;
use crate::superblock::{self, Superblock};

/// Checks the superblocks, then all that the durable one reaches, then that every page is either
/// reached or free.
pub(crate) fn verify(engine: &BtreeEngine, found: &mut dyn FnMut(Damage)) -> Result<()> {
    // The pin keeps checkpoints from reusing what is read here.
    let (superblock, copies, _pin) = {
        let mut readers = engine.readers.lock();
        let copies =
            COPIES.map(|(slot, copy)| Pager::read_superblock(engine.pager.file(), slot, copy));
        let (superblock, pin) = readers.pin_durable();
        (superblock, copies, pin)
    };
    let mut check = Check { pager: &engine.pager, pages: BTreeMap::new(), complete: true, found };
    check.superblocks(&superblock, copies)?;
    check.facts(&superblock)?;
    if !superblock.root.is_none() {
        check.node(superblock.root, superblock.root_level, &Bounds::default())?;
    }
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
struct Bounds {
    low: Option<OwnedKey>,
    high: Option<OwnedKey>,
}

struct Check<'a> {
    pager: &'a Pager,
    pages: BTreeMap<u64, Use>,
    /// Whether everything that should be reached was.
    complete: bool,
    found: &'a mut dyn FnMut(Damage),
}

impl Check<'_> {
    /// Reports damage; gives what is whole, or breaks off this part of the walk.
    fn whole<T>(&mut self, result: Result<T>) -> Result<ControlFlow<(), T>> {
        match result {
            Ok(whole) => Ok(ControlFlow::Continue(whole)),
            Err(StorageError::Corruption(damage)) => {
                self.complete = false;
                (self.found)(damage);
                Ok(ControlFlow::Break(()))
            }
            Err(error) => Err(error),
        }
    }

    fn damage(&mut self, page: u64, what: &str) {
        if let StorageError::Corruption(damage) = self.pager.damage(page, what) {
            (self.found)(damage);
        }
    }

    fn superblocks(&mut self, durable: &Superblock, copies: [Result<Superblock>; 4]) -> Result<()> {
        for ((slot, copy), read) in COPIES.into_iter().zip(copies) {
            if let ControlFlow::Continue(superblock) = self.whole(read)?
                && superblock.generation + 1 < durable.generation
            {
                let at = superblock::offset(slot, copy);
                let what = "superblock older than the switch before the last";
                if let StorageError::Corruption(damage) =
                    StorageError::corruption(superblock::FILE_NAME, at, what)
                {
                    (self.found)(damage);
                }
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
            if crate::facts::Facts::decode(&chain.payload).is_none() {
                self.damage(superblock.facts.page, "malformed keyspace facts");
            }
        }
        Ok(())
    }

    fn node(&mut self, at: PageRef, level: u8, bounds: &Bounds) -> Result<()> {
        let node = self.pager.read_node(at, level);
        let ControlFlow::Continue(node) = self.whole(node)? else { return Ok(()) };
        let location = node.location.get().expect("a node that was read has a location");
        location.pages().for_each(|page| self.claim(page, Use::Reached));
        match &node.body {
            Body::Leaf(leaf) => self.leaf(at, leaf, bounds),
            Body::Branch(branch) => self.branch(at, branch, level, bounds),
        }
    }

    fn leaf(&mut self, at: PageRef, leaf: &Leaf, bounds: &Bounds) -> Result<()> {
        for slot in leaf.entries.iter() {
            let below = bounds.low.as_ref().is_some_and(|low| slot.key < low.borrow());
            let above = bounds.high.as_ref().is_some_and(|high| slot.key >= high.borrow());
            if below || above {
                self.damage(at.page, "key outside of the range that its branches give the leaf");
            }
            if slot.tag == Tag::Overflow {
                let chain = self.pager.read_overflow(Overflow::decode(slot.value));
                if let ControlFlow::Continue(chain) = self.whole(chain)? {
                    chain.location.pages().for_each(|page| self.claim(page, Use::Reached));
                }
            }
        }
        Ok(())
    }

    fn branch(&mut self, at: PageRef, branch: &Branch, level: u8, bounds: &Bounds) -> Result<()> {
        for (index, child) in branch.children.iter().enumerate() {
            let low = match index {
                0 => bounds.low.clone(),
                _ => Some(branch.separator(index).to_owned()),
            };
            let high = match index + 1 {
                next if next == branch.children.len() => bounds.high.clone(),
                next => Some(branch.separator(next).to_owned()),
            };
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
