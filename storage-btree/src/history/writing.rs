//! The part of a checkpoint that is about history: pages of slices first, the catalogue last.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use driftdb_storage::{Compression, Result};

use super::catalogue::Catalogue;
use super::pack::Output;
use crate::codec::Overflow;
use crate::facts::Facts;
use crate::node::{Large, Location, PageRef};
use crate::page::PageKind;
use crate::writing::Writing;

impl Writing<'_> {
    /// Writes about `bytes` of the history made since the last checkpoint; true once all is written.
    pub(crate) fn history(&mut self, bytes: usize) -> Result<bool> {
        let mut packing = std::mem::take(&mut self.progress.packing);
        let before = packing.written_count();
        let done = packing.step(self, bytes);
        let written = (packing.written_count() - before) as u64;
        self.pages.pager().counters.history_slices_written.fetch_add(written, Ordering::Relaxed);
        self.progress.packing = packing;
        done
    }

    /// Takes out the large values that nobody will free; gives their pages, ascending.
    pub(crate) fn disown(&mut self) -> Vec<u64> {
        let mut pages = Vec::new();
        self.progress.written.large.retain(|_, written| {
            if !written.is_owned {
                pages.extend(written.location.pages());
            }
            written.is_owned
        });
        pages.sort_unstable();
        pages
    }

    /// Writes the catalogue, with what has died since, if it is not the `durable` one or should not stay
    /// where it is; gives its place and the pages that are free now.
    pub(crate) fn catalogue(
        &mut self,
        at: PageRef,
        (old, old_facts): (&Catalogue, &Facts),
        stays: bool,
    ) -> Result<Option<(PageRef, Vec<u64>)>> {
        let mut catalogue = old.clone();
        for (space, entry) in &self.progress.packing.packed.entries {
            catalogue.pages.entry(*space).or_default().push(*entry);
        }
        let dead = catalogue.take_dead(self.facts);
        // While there never was any history, nothing leads to it.
        let none_yet = at.is_none() && catalogue.pages.is_empty();
        let is_same = catalogue == *old && self.facts.same_pages(old_facts);
        if none_yet || (is_same && stays) {
            return Ok(None);
        }
        let pager = self.pages.pager();
        let mut freed = Vec::new();
        for entry in &dead {
            freed.extend(entry.freed_pages(pager)?);
        }
        pager.counters.history_pages_freed.fetch_add(dead.len() as u64, Ordering::Relaxed);
        let location = self.chain(PageKind::Catalogue, 0, &catalogue.encode(self.facts))?;
        self.progress.written.catalogue = Some((catalogue, location.pages().collect()));
        Ok(Some((location.at, freed)))
    }
}

impl Output for Writing<'_> {
    fn shape(&self) -> (Compression, usize) {
        (self.compression, self.pages.capacity())
    }

    fn history_page(&mut self, payload: &[u8]) -> Result<Location> {
        let location = self.chain(PageKind::History, 0, payload)?;
        let pages = location.pages().count() as u64;
        let counters = &self.pages.pager().counters;
        counters.history_pages_written.fetch_add(pages, Ordering::Relaxed);
        Ok(location)
    }

    fn large(&mut self, large: &Arc<Large>, is_owner: bool) -> Result<Overflow> {
        Writing::large(self, large, is_owner)
    }
}
