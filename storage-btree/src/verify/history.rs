//! Verification of history: every page that the catalogue names, and every era that leads to one.

use std::ops::ControlFlow;

use driftdb_storage::{Damage, KeyspaceId, Result, StorageError, Timestamp, VerifyDepth};

use super::{Bounds, Check, Use};
use crate::history::catalogue::Entry;
use crate::history::pack::unpack;
use crate::history::{Era, Past, SliceRef, slice};
use crate::key::OwnedKey;
use crate::node::PageRef;
use crate::open::read_catalogue;
use crate::page::PageKind;
use crate::superblock::Superblock;

/// A slice of history, and the times of the page that it lies in.
#[derive(Debug, Clone)]
pub(super) struct FoundSlice {
    space: u32,
    level: u8,
    low: Timestamp,
    high: Timestamp,
    eras: Past,
}

/// A damaged page of history, and the keys of the leaves that lead to it.
pub(super) struct Lost {
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

impl Check<'_> {
    /// Every history page that the catalogue names, once, however many leaves lead to it.
    pub(super) fn history(&mut self, superblock: &Superblock) -> Result<()> {
        let mut facts = self.facts.clone();
        let read = read_catalogue(self.pager, superblock.catalogue, &mut facts);
        let ControlFlow::Continue((catalogue, own)) = self.whole(read)? else { return Ok(()) };
        self.facts = facts;
        self.has_catalogue = true;
        own.into_iter().for_each(|page| self.claim(page, Use::Reached));
        if self.depth == VerifyDepth::Structure {
            return Ok(());
        }
        for (space, entries) in &catalogue.pages {
            for entry in entries {
                self.progress();
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

    pub(super) fn report_lost(&mut self) {
        for lost in std::mem::take(&mut self.lost).into_values() {
            self.report.damage(lost.report());
        }
    }

    fn history_page(&mut self, space: u32, entry: &Entry, payload: &[u8]) -> Result<()> {
        let malformed =
            |what| Damage::new(self.pager.name(), self.pager.offset(entry.at.page), what);
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
    pub(super) fn past(&mut self, page: PageRef, past: &Past, bounds: &Bounds) {
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
}
