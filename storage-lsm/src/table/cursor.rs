//! Walks one section of a table.
//!
//! It stands on an entry, and has that entry's key in a buffer of its own: blocks hold keys in two
//! parts. A step inside a block allocates nothing. When blocks are wanted one after the other, the next
//! ones are read in one call; they are checked when their turn comes.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{Entry, KeyspaceId, Result, Timestamp};

use super::block::DataBlock;
use super::{Fill, Section, Sections, Table};
use crate::span::Span;

/// Blocks in a row after which the next are read ahead.
const SEQUENTIAL_BLOCKS: usize = 2;
/// Blocks that may be skipped in such a row.
const MAX_SKIP: usize = 4;
/// Bytes read ahead in one call, and blocks.
const AHEAD_BYTES: usize = 128 << 10;
const AHEAD_BLOCKS: usize = 32;

#[derive(Debug)]
pub(crate) struct SectionCursor {
    table: Arc<Table>,
    sections: Arc<Sections>,
    section: Section,
    fill: Fill,
    block: Option<(usize, DataBlock)>,
    /// In the block.
    key_index: usize,
    slot: usize,
    /// The key it stands on.
    key: Vec<u8>,
    /// How many blocks were wanted one after the other.
    row: usize,
    /// Frames read ahead, by position.
    ahead: VecDeque<(usize, Vec<u8>)>,
}

impl SectionCursor {
    pub(super) fn new(
        table: Arc<Table>,
        sections: Arc<Sections>,
        section: Section,
        fill: Fill,
    ) -> Self {
        // A merge or a check wants all blocks, from the first.
        let row = if fill == Fill::Bypass { SEQUENTIAL_BLOCKS } else { 0 };
        Self {
            table,
            sections,
            section,
            fill,
            block: None,
            key_index: 0,
            slot: 0,
            key: Vec::new(),
            row,
            ahead: VecDeque::new(),
        }
    }

    /// The block it stands in. It stands somewhere after every call that returned true.
    #[inline]
    fn current(&self) -> &DataBlock {
        &self.block.as_ref().expect("it stands on an entry").1
    }

    /// The entry it stands on.
    #[inline]
    pub(super) fn head(&self) -> Entry<'_> {
        let block = self.current();
        Entry { key: &self.key, ts: block.ts(self.slot), value: block.value(self.slot) }
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    pub(super) fn ts(&self) -> Timestamp {
        self.current().ts(self.slot)
    }

    #[inline]
    pub(super) fn space(&self) -> KeyspaceId {
        self.current().space()
    }

    #[inline]
    pub(super) fn is_on_tombstone(&self) -> bool {
        self.current().is_tombstone(self.slot)
    }

    /// Whether the history section has older versions of the key.
    #[inline]
    pub(super) fn has_older(&self) -> bool {
        self.current().has_older(self.slot)
    }

    /// Goes to the first entry of all. False if there is none.
    pub(super) fn seek_start(&mut self) -> Result<bool> {
        if self.sections.index(self.section).len() == 0 {
            return Ok(false);
        }
        self.load(0)?;
        self.stand_on(0);
        Ok(true)
    }

    /// Goes to the first entry at or after a key, whatever its keyspace. False, and it stands nowhere, if
    /// there is none.
    pub(super) fn seek_entry(&mut self, space: KeyspaceId, key: &[u8]) -> Result<bool> {
        let index = self.sections.index(self.section);
        let position = index.first_at(space, key).unwrap_or_else(|| index.first_beyond(space));
        if position == index.len() {
            self.block = None;
            return Ok(false);
        }
        self.load(position)?;
        let block = self.current();
        let key_index = if block.space() == space { block.find_key(key).0 } else { 0 };
        self.stand_on(key_index);
        Ok(true)
    }

    /// Where in the file the block begins in which it stands.
    pub(super) fn block_offset(&self) -> Option<u64> {
        let (position, _) = self.block.as_ref()?;
        Some(self.sections.index(self.section).block(*position).offset)
    }

    /// Goes to the next entry in the order of tables, whatever its key and keyspace. False, and it
    /// stands nowhere, if there is none.
    pub(super) fn next_entry(&mut self) -> Result<bool> {
        let Some((position, block)) = &self.block else { return Ok(false) };
        self.slot += 1;
        if self.slot < block.end(self.key_index) {
            return Ok(true);
        }
        if self.key_index + 1 < block.key_count() {
            self.key_index += 1;
            block.replace_key(self.key_index, &mut self.key);
            return Ok(true);
        }
        let next = position + 1;
        if next == self.sections.index(self.section).len() {
            self.block = None;
            return Ok(false);
        }
        self.load(next)?;
        self.stand_on(0);
        Ok(true)
    }

    /// Goes to the next older version of the key. False, and it stands anywhere, if there is none.
    pub(super) fn next_version(&mut self) -> Result<bool> {
        let Some((position, block)) = &self.block else { return Ok(false) };
        if self.slot + 1 < block.end(self.key_index) {
            self.slot += 1;
            return Ok(true);
        }
        let (next, space) = (position + 1, block.space());
        let index = self.sections.index(self.section);
        if self.key_index + 1 < block.key_count()
            || next == index.len()
            || index.block(next).space != space
        {
            return Ok(false);
        }
        self.load(next)?;
        let is_same = self.current().find_key(&self.key) == (0, true);
        self.stand_on(0);
        Ok(is_same)
    }

    /// Goes to the newest version of `key` at or below `ts`. False, and it stands anywhere, if there
    /// is none.
    pub(super) fn seek_version(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
    ) -> Result<bool> {
        if let Some(is_found) = self.seek_version_here(space, key, ts) {
            return Ok(is_found);
        }
        let index = self.sections.index(self.section);
        let Some(position) = index.first_version(space, key, ts) else { return Ok(false) };
        self.load(position)?;
        let block = Arc::clone(self.current());
        let (key_index, is_there) = block.find_key(key);
        if !is_there {
            return Ok(false);
        }
        let slot = block.find_version(key_index, ts);
        self.stand_on(key_index);
        self.slot = slot;
        Ok(slot < block.end(key_index))
    }

    /// The same inside the current block; `None` if that does not decide it.
    fn seek_version_here(&mut self, space: KeyspaceId, key: &[u8], ts: Timestamp) -> Option<bool> {
        let (_, block) = self.block.as_ref().filter(|(_, block)| block.space() == space)?;
        let (key_index, is_there) = block.find_key(key);
        if !is_there {
            // Decided if there are keys on both sides.
            return (0 < key_index && key_index < block.key_count()).then_some(false);
        }
        let slot = block.find_version(key_index, ts);
        if slot == 0 {
            // Blocks before may have it too.
            return None;
        }
        if slot == block.end(key_index) {
            return (key_index + 1 < block.key_count()).then_some(false);
        }
        self.stand_on(key_index);
        self.slot = slot;
        Some(true)
    }

    /// Goes to the first key of the span at or after `from`, in its direction, in a block that may have
    /// visible versions. False if there is none.
    pub(super) fn seek_key(&mut self, span: &Span, from: Bound<&[u8]>) -> Result<bool> {
        if span.reverse { self.seek_key_down(span, from) } else { self.seek_key_up(span, from) }
    }

    /// Goes on to the next key, likewise.
    #[inline]
    pub(super) fn next_key(&mut self, span: &Span) -> Result<bool> {
        let Some((position, block)) = &self.block else { return Ok(false) };
        let next = if span.reverse {
            self.key_index.checked_sub(1)
        } else {
            Some(self.key_index + 1).filter(|&next| next < block.key_count())
        };
        if let Some(next) = next {
            self.key_index = next;
            self.slot = block.start(next);
            block.replace_key(next, &mut self.key);
            return Ok(true);
        }
        let position = *position;
        if span.reverse {
            self.last_below(span, position)
        } else {
            self.first_from(span, position + 1)
        }
    }

    fn seek_key_up(&mut self, span: &Span, from: Bound<&[u8]>) -> Result<bool> {
        let index = self.sections.index(self.section);
        let position = match from {
            Bound::Included(key) => index.first_at(span.space, key),
            Bound::Excluded(key) => index.first_after(span.space, key),
            Bound::Unbounded => Some(index.blocks_of(span.space).start),
        };
        let Some(position) = position else { return Ok(false) };
        // No key before it is wanted, so the buffer holds none that may not come again.
        self.key.clear();
        self.block = None;
        if !self.first_from(span, position)? {
            return Ok(false);
        }
        if self.block.as_ref().is_some_and(|(found, _)| *found == position) {
            let block = self.current();
            let key_index = match from {
                Bound::Included(key) => block.find_key(key).0,
                Bound::Excluded(key) => {
                    let (found, is_there) = block.find_key(key);
                    found + usize::from(is_there)
                }
                Bound::Unbounded => 0,
            };
            if key_index == block.key_count() {
                // The index says that there is such a key; the block is checked against it by verify.
                return self.first_from(span, position + 1);
            }
            self.stand_on(key_index);
        }
        Ok(true)
    }

    fn seek_key_down(&mut self, span: &Span, from: Bound<&[u8]>) -> Result<bool> {
        let index = self.sections.index(self.section);
        let blocks = index.blocks_of(span.space);
        let position = match from {
            Bound::Included(key) => index.first_after(span.space, key),
            Bound::Excluded(key) => index.first_at(span.space, key),
            Bound::Unbounded => None,
        };
        let position = position.unwrap_or(blocks.end);
        self.key.clear();
        self.block = None;
        if position < blocks.end {
            let place = *index.block(position);
            if span.overlaps(place.min_ts, place.max_ts) {
                self.load(position)?;
                let block = self.current();
                let after = match from {
                    Bound::Included(key) => {
                        let (found, is_there) = block.find_key(key);
                        found + usize::from(is_there)
                    }
                    Bound::Excluded(key) => block.find_key(key).0,
                    Bound::Unbounded => block.key_count(),
                };
                if let Some(key_index) = after.checked_sub(1) {
                    self.stand_on(key_index);
                    return Ok(true);
                }
            }
        }
        self.last_below(span, position)
    }

    /// Goes to the first key in the blocks from `position` on that is not the one in the buffer.
    fn first_from(&mut self, span: &Span, position: usize) -> Result<bool> {
        let had_key = self.block.is_some();
        let sections = Arc::clone(&self.sections);
        let index = sections.index(self.section);
        for position in position..index.blocks_of(span.space).end {
            let place = index.block(position);
            if !span.overlaps(place.min_ts, place.max_ts) {
                continue;
            }
            self.load(position)?;
            let block = self.current();
            // In a mixed section the versions of a key may go on in this block.
            let is_repeated =
                had_key && sections.is_mixed() && block.find_key(&self.key) == (0, true);
            if usize::from(is_repeated) < block.key_count() {
                self.stand_on(usize::from(is_repeated));
                return Ok(true);
            }
        }
        self.block = None;
        Ok(false)
    }

    /// Goes to the last key in the blocks before `position` that is not the one in the buffer.
    fn last_below(&mut self, span: &Span, position: usize) -> Result<bool> {
        let had_key = self.block.is_some();
        let sections = Arc::clone(&self.sections);
        let index = sections.index(self.section);
        for position in (index.blocks_of(span.space).start..position).rev() {
            let place = index.block(position);
            if !span.overlaps(place.min_ts, place.max_ts) {
                continue;
            }
            self.load(position)?;
            let block = self.current();
            let last = block.key_count() - 1;
            let is_repeated =
                had_key && sections.is_mixed() && block.find_key(&self.key) == (last, true);
            if let Some(key_index) = last.checked_sub(usize::from(is_repeated)) {
                self.stand_on(key_index);
                return Ok(true);
            }
        }
        self.block = None;
        Ok(false)
    }

    /// Stands on the first entry of a key of the current block.
    fn stand_on(&mut self, key_index: usize) {
        let (_, block) = self.block.as_ref().expect("a block was loaded");
        self.key_index = key_index;
        self.slot = block.start(key_index);
        block.copy_key(key_index, &mut self.key);
    }

    fn load(&mut self, position: usize) -> Result<()> {
        let before = self.block.as_ref().map(|(before, _)| *before);
        if before == Some(position) {
            return Ok(());
        }
        let is_next =
            before.is_some_and(|before| before < position && position - before <= MAX_SKIP);
        self.row = match before {
            Some(_) if is_next => self.row + 1,
            Some(_) => 0,
            None => self.row,
        };
        self.block = None;
        let block = self.read(position)?;
        self.block = Some((position, block));
        Ok(())
    }

    fn read(&mut self, position: usize) -> Result<DataBlock> {
        let place = self.sections.index(self.section).block(position);
        if self.fill == Fill::Cache
            && let Some(block) = self.table.cached_block(place)
        {
            return Ok(block);
        }
        let mut frame = self.ahead_frame(position);
        if frame.is_none() && self.row >= SEQUENTIAL_BLOCKS && self.read_ahead(position) {
            frame = self.ahead_frame(position);
        }
        if let Some(frame) = frame {
            return self.table.take_block(&self.sections, self.section, position, frame, self.fill);
        }
        self.table.read_block(&self.sections, self.section, position, self.fill)
    }

    /// The frame of a block, if it was read ahead.
    fn ahead_frame(&mut self, position: usize) -> Option<Vec<u8>> {
        while let Some((found, frame)) = self.ahead.pop_front() {
            if found == position {
                return Some(frame);
            }
            if found > position {
                self.ahead.clear();
            }
        }
        None
    }

    /// Reads the blocks from `position` on. False if that failed: then the block itself says why.
    fn read_ahead(&mut self, position: usize) -> bool {
        let index = self.sections.index(self.section);
        let space = index.block(position).space;
        let mut bytes = 0;
        let places: Vec<_> = (position..index.len().min(position + AHEAD_BLOCKS))
            .map(|position| *index.block(position))
            // A scan ends with its keyspace; a merge does not.
            .take_while(|place| self.fill == Fill::Bypass || place.space == space)
            .take_while(|place| {
                let fits = bytes == 0 || bytes + place.len as usize <= AHEAD_BYTES;
                bytes += place.len as usize;
                fits
            })
            .collect();
        let Ok(frames) = self.table.read_frames(&places) else { return false };
        self.ahead.clear();
        self.ahead.extend((position..).zip(frames));
        true
    }
}
