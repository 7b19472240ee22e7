//! Verification: everything on disk, from the durable root down.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use driftdb_storage::{Damage, KeyspaceId, Result, StorageError, Timestamp};

use crate::codec::Overflow;
use crate::engine::BtreeEngine;
use crate::facts::Facts;
use crate::history::catalogue::Entry;
use crate::history::pack::unpack;
use crate::history::{Era, Past, SliceRef, slice};
use crate::key::OwnedKey;
use crate::node::{Body, Branch, Child, Leaf, PageRef};
use crate::open::{read_catalogue, read_free_pages};
use crate::page::PageKind;
use crate::pager::Pager;
use crate::slotted::Tag;
use crate::superblock::{self, FILE_NAME, Superblock};

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
    let mut check = Check {
        pager: &engine.pager,
        pages: BTreeMap::new(),
        complete: true,
        facts: Facts::default(),
        slices: BTreeMap::new(),
        lost: BTreeMap::new(),
        has_catalogue: false,
        found,
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
struct Bounds {
    low: Option<OwnedKey>,
    high: Option<OwnedKey>,
}

/// A slice of history, and the times of the page that it lies in.
#[derive(Debug, Clone)]
struct FoundSlice {
    space: u32,
    level: u8,
    low: Timestamp,
    high: Timestamp,
    eras: Past,
}

/// A damaged page of history, and the keys of the leaves that lead to it.
struct Lost {
    damage: Damage,
    space: u32,
    keys: Option<(Option<OwnedKey>, Option<OwnedKey>)>,
}

impl Lost {
    /// Takes in the keys of one more leaf; none is without end.
    fn widen(&mut self, Bounds { low, high }: &Bounds) {
        self.keys = Some(match self.keys.take() {
            None => (low.clone(), high.clone()),
            Some((first, last)) => (
                first.zip(low.as_ref()).map(|(first, low)| first.min(low.clone())),
                last.zip(high.as_ref()).map(|(last, high)| last.max(high.clone())),
            ),
        });
    }

    fn report(self) -> Damage {
        let (first, last) = self.keys.unwrap_or_default();
        let here = |key: &Option<OwnedKey>| {
            key.as_ref().filter(|key| key.space == self.space).map(|key| key.key.clone())
        };
        let (first, last) = (here(&first), here(&last));
        self.damage.with_keys(KeyspaceId(self.space), first.as_deref(), last.as_deref())
    }
}

struct Check<'a> {
    pager: &'a Pager,
    pages: BTreeMap<u64, Use>,
    /// Whether everything that should be reached was.
    complete: bool,
    facts: Facts,
    /// Every slice of history.
    slices: BTreeMap<SliceRef, FoundSlice>,
    /// Damaged pages of history.
    lost: BTreeMap<u64, Lost>,
    /// Whether all of `slices` could be found.
    has_catalogue: bool,
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
                    StorageError::corruption(FILE_NAME, at, what)
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
            match Facts::decode(&chain.payload) {
                Some(facts) => self.facts = facts,
                None => self.damage(superblock.facts.page, "malformed keyspace facts"),
            }
        }
        Ok(())
    }

    /// Every history page that the catalogue names, once, however many leaves lead to it.
    fn history(&mut self, superblock: &Superblock) -> Result<()> {
        let mut facts = self.facts.clone();
        let read = read_catalogue(self.pager, superblock.catalogue, &mut facts);
        let ControlFlow::Continue((catalogue, own)) = self.whole(read)? else { return Ok(()) };
        self.facts = facts;
        self.has_catalogue = true;
        own.into_iter().for_each(|page| self.claim(page, Use::Reached));
        for (space, entries) in &catalogue.pages {
            for entry in entries {
                if self.facts.is_dead(KeyspaceId(*space), entry.low, entry.high) {
                    self.damage(entry.at.page, "history page that nobody is promised is not free");
                }
                let chain = self.pager.read_chain(entry.at, PageKind::History, u64::MAX);
                match chain {
                    Ok(chain) => {
                        chain.location.pages().for_each(|page| self.claim(page, Use::Reached));
                        self.history_page(*space, entry, &chain.payload)?;
                    }
                    Err(StorageError::Corruption(damage)) => self.lose(*space, entry.at, damage),
                    Err(error) => return Err(error),
                }
            }
        }
        for (at, slice) in self.slices.clone() {
            let outside = |era: &Era| era.low < slice.low || slice.high < era.high;
            if slice.eras.eras().iter().any(outside) {
                self.damage(at.page.page, "index of history with an era outside of its own");
            }
        }
        Ok(())
    }

    /// Notes a history page that is not whole, until it is known which leaves lead to it.
    fn lose(&mut self, space: u32, at: PageRef, damage: Damage) {
        self.complete = false;
        self.lost.entry(at.page).or_insert(Lost { damage, space, keys: None });
    }

    fn report_lost(&mut self) {
        std::mem::take(&mut self.lost).into_values().for_each(|lost| (self.found)(lost.report()));
    }

    fn history_page(&mut self, space: u32, entry: &Entry, payload: &[u8]) -> Result<()> {
        let malformed = |what| Damage::new(FILE_NAME, self.pager.offset(entry.at.page), what);
        let Some(slices) = unpack(payload) else {
            self.lose(space, entry.at, malformed("malformed history page"));
            return Ok(());
        };
        for (slot, bytes) in (0..).zip(slices) {
            let Some((level, content)) = slice::decode(bytes) else {
                self.lose(space, entry.at, malformed("malformed slice of history"));
                continue;
            };
            for overflow in content.owned {
                let chain = self.pager.read_overflow(overflow);
                if let ControlFlow::Continue(chain) = self.whole(chain)? {
                    chain.location.pages().for_each(|page| self.claim(page, Use::Reached));
                }
            }
            let entries = &content.leaf.entries;
            if entries.iter().any(|slot| slot.key.space != space || slot.key.ts() >= entry.high) {
                self.damage(entry.at.page, "version in history of another keyspace or time");
            }
            let eras = content.leaf.past;
            let (low, high) = (entry.low, entry.high);
            let found = FoundSlice { space, level, low, high, eras };
            self.slices.insert(SliceRef { page: entry.at, slot }, found);
        }
        Ok(())
    }

    /// The eras of a leaf, and those behind its indexes: each live one leads to a slice that the
    /// catalogue knows.
    fn past(&mut self, page: PageRef, past: &Past, bounds: &Bounds) {
        for era in past.eras() {
            let Some(at) = era.on_disk() else { continue };
            if self.facts.is_dead(KeyspaceId(era.space), era.low, era.high) {
                continue;
            }
            if let Some(lost) = self.lost.get_mut(&at.page.page) {
                lost.widen(bounds);
                continue;
            }
            let covers = |slice: &&FoundSlice| {
                slice.space == era.space
                    && slice.level == era.level
                    && slice.low <= era.low
                    && era.high <= slice.high
            };
            match self.slices.get(&at).filter(covers) {
                // An index leads to lower levels only: decoding it checked that.
                Some(slice) if slice.level > 0 => self.past(at.page, &slice.eras.clone(), bounds),
                Some(_) => {}
                None if self.has_catalogue => {
                    self.damage(page.page, "era that no slice of history covers");
                }
                None => {}
            }
        }
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
        self.past(at, &leaf.past, bounds);
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
                _ => Some(branch.separators.key(index).to_owned()),
            };
            let high = match index + 1 {
                next if next == branch.children.len() => bounds.high.clone(),
                next => Some(branch.separators.key(next).to_owned()),
            };
            if low.is_some() && high.is_some() && low >= high {
                self.damage(at.page, "separators outside of the range of the branch");
            }
            if let Child::Disk(child) = child {
                self.node(*child, level - 1, &Bounds { low, high })?;
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
