//! A scan over one table: the visible versions of a span, either way.
//!
//! Forward, it walks slot by slot and skips what is not visible by binary search, and whole blocks
//! by their time bounds. In reverse, it finds the last key below where it stands, goes to that key's
//! newest visible version, and walks its versions forward, since they stay newest first.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{Entry, Result, Timestamp};

use super::block::{DataBlock, precedes};
use super::index::{BlockRef, Index};
use super::{Fill, Table};
use crate::span::{Source, Span};

#[derive(Debug)]
pub(crate) struct TableSource {
    table: Arc<Table>,
    span: Arc<Span>,
    index: Option<Arc<Index>>,
    block: Option<(usize, DataBlock)>,
    slot: usize,
    is_on_entry: bool,
    /// In reverse: the key it stands on.
    key: Vec<u8>,
}

impl TableSource {
    pub(crate) fn new(table: Arc<Table>, span: Arc<Span>) -> Self {
        let key = Vec::new();
        Self { table, span, index: None, block: None, slot: 0, is_on_entry: false, key }
    }

    fn index(&mut self) -> Result<Arc<Index>> {
        if self.index.is_none() {
            self.index = Some(Arc::clone(self.table.index()?));
        }
        Ok(Arc::clone(self.index.as_ref().expect("just set")))
    }

    fn load(&mut self, index: &Index, position: usize) -> Result<&DataBlock> {
        if self.block.as_ref().is_none_or(|(loaded, _)| *loaded != position) {
            self.block = None;
            let block = self.table.block(&index.block(position), Fill::Cache)?;
            self.block = Some((position, block));
        }
        Ok(&self.block.as_ref().expect("just loaded").1)
    }

    /// Goes to the first slot, in the order of the table, for which `is_before` is false. False if
    /// there is none in this keyspace.
    fn go_to(&mut self, is_before: impl Fn(&[u8], Timestamp) -> bool) -> Result<bool> {
        let index = self.index()?;
        let space = self.span.space;
        let position = index.partition_point(|block| {
            block.space < space
                || (block.space == space && is_before(block.last_key, block.last_ts))
        });
        if position == index.len() || index.block(position).space != space {
            return Ok(false);
        }
        let block = self.load(&index, position)?;
        self.slot = block.partition_point(|entry| is_before(entry.key, entry.ts));
        Ok(true)
    }

    fn slot_entry(&self) -> Option<Entry<'_>> {
        let (_, block) = self.block.as_ref()?;
        (self.slot < block.len()).then(|| block.entry(self.slot))
    }

    /// From the current slot on, goes to the first visible version.
    fn settle_forward(&mut self) -> Result<()> {
        loop {
            let Some((_, block)) = &self.block else { return Ok(()) };
            if self.slot >= block.len() {
                if !self.next_block()? {
                    return Ok(());
                }
                continue;
            }
            let entry = block.entry(self.slot);
            if self.span.is_past(entry.key) {
                return Ok(());
            }
            if self.span.shows(entry.ts) {
                self.is_on_entry = true;
                return Ok(());
            }
            let up_to = self.span.up_to;
            self.slot = if entry.ts > up_to {
                block.lower_bound(entry.key, up_to)
            } else {
                block.partition_point(|other| other.key <= entry.key)
            };
        }
    }

    /// Goes to the start of the next block that may hold visible versions.
    fn next_block(&mut self) -> Result<bool> {
        let index = self.index()?;
        let Some((current, _)) = self.block else { return Ok(false) };
        for position in current + 1..index.len() {
            let place = index.block(position);
            if place.space != self.span.space {
                return Ok(false);
            }
            if self.span.overlaps(place.min_ts, place.max_ts) {
                self.load(&index, position)?;
                self.slot = 0;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn advance_forward(&mut self) -> Result<()> {
        let Some((_, block)) = &self.block else { return Ok(()) };
        let key = block.entry(self.slot).key;
        self.slot += 1;
        if self.span.newest_only {
            let same = |slot| slot < block.len() && block.entry(slot).key == key;
            if same(self.slot) {
                self.slot = block.partition_point(|other| other.key <= key);
            }
            if self.slot >= block.len() {
                // The key's versions may go on in the next blocks: over all of them at once.
                let key = key.to_vec();
                if !self.go_to(|other, _| other <= &*key)? {
                    return Ok(());
                }
            }
        }
        self.settle_forward()
    }

    /// Goes to the newest visible version of the last key below `limit`.
    fn seek_reverse(&mut self, limit: Bound<&[u8]>) -> Result<()> {
        let mut limit = limit.map(<[u8]>::to_vec);
        loop {
            let is_inside = |key: &[u8]| match &limit {
                Bound::Included(limit) => key <= &**limit,
                Bound::Excluded(limit) => key < &**limit,
                Bound::Unbounded => true,
            };
            if !self.go_to_last(is_inside)? {
                return Ok(());
            }
            let mut key = std::mem::take(&mut self.key);
            key.clear();
            key.extend(self.slot_entry().into_iter().flat_map(|entry| entry.key));
            if self.span.is_past(&key) {
                return Ok(());
            }
            let is_visible = self.go_to_newest_of(&key);
            self.key = key;
            if is_visible? {
                self.is_on_entry = true;
                return Ok(());
            }
            limit = Bound::Excluded(self.key.clone());
        }
    }

    /// Goes to the last slot of the keyspace whose key is inside; such keys come first.
    fn go_to_last(&mut self, is_inside: impl Fn(&[u8]) -> bool) -> Result<bool> {
        if let Some((_, block)) = &self.block {
            // Most steps stay in the block: right if its keys lie on both sides.
            let after = block.partition_point(|entry| is_inside(entry.key));
            if 0 < after && after < block.len() {
                self.slot = after - 1;
                return Ok(true);
            }
        }
        let index = self.index()?;
        let space = self.span.space;
        let is_inside_block = |block: BlockRef<'_>| {
            block.space < space || (block.space == space && is_inside(block.last_key))
        };
        let position = index.partition_point(is_inside_block);
        if position < index.len() && index.block(position).space == space {
            let after = self.load(&index, position)?.partition_point(|entry| is_inside(entry.key));
            if after > 0 {
                self.slot = after - 1;
                return Ok(true);
            }
        }
        let Some(position) = position.checked_sub(1) else { return Ok(false) };
        if index.block(position).space != space {
            return Ok(false);
        }
        self.slot = self.load(&index, position)?.len() - 1;
        Ok(true)
    }

    /// Goes to the newest visible version of `key`, on one of whose versions it stands.
    fn go_to_newest_of(&mut self, key: &[u8]) -> Result<bool> {
        let up_to = self.span.up_to;
        let Some((_, block)) = &self.block else { return Ok(false) };
        let slot = block.lower_bound(key, up_to);
        // The run of versions begins in this block if something lies before it there.
        if 0 < slot && slot < block.len() {
            self.slot = slot;
        } else if !self.go_to(|other, ts| precedes(other, ts, key, up_to))? {
            return Ok(false);
        }
        Ok(self.slot_entry().is_some_and(|entry| entry.key == key && self.span.shows(entry.ts)))
    }

    fn advance_reverse(&mut self) -> Result<()> {
        if !self.span.newest_only {
            self.slot += 1;
            if self.slot_entry().is_none() {
                // Blocks without visible versions hold none of this key's either.
                self.next_block()?;
            }
            let next = self.slot_entry();
            if next.is_some_and(|next| next.key == self.key && self.span.shows(next.ts)) {
                self.is_on_entry = true;
                return Ok(());
            }
        }
        let key = std::mem::take(&mut self.key);
        self.seek_reverse(Bound::Excluded(&key))
    }
}

impl Source for TableSource {
    fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        self.is_on_entry = false;
        let meta = self.table.meta();
        if !self.span.overlaps(meta.min_ts, meta.max_ts) {
            return Ok(());
        }
        if self.span.reverse {
            return self.seek_reverse(from);
        }
        let up_to = self.span.up_to;
        let is_found = self.go_to(|key, ts| match from {
            Bound::Included(from) => precedes(key, ts, from, up_to),
            Bound::Excluded(from) => key <= from,
            Bound::Unbounded => false,
        })?;
        if is_found { self.settle_forward() } else { Ok(()) }
    }

    fn advance(&mut self) -> Result<()> {
        if !self.is_on_entry {
            return Ok(());
        }
        self.is_on_entry = false;
        if self.span.reverse { self.advance_reverse() } else { self.advance_forward() }
    }

    fn head(&self) -> Option<Entry<'_>> {
        if self.is_on_entry { self.slot_entry() } else { None }
    }
}
