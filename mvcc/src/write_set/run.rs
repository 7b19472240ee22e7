//! A run: own writes in key order, in a file.
//!
//! Blocks of entries, each with a checksum before it; in memory the first key of each block. The file is
//! written once, from front to back, and is worthless after a crash.
//!
//! Always holds: entries ascend by keyspace and key, and no key is there twice.

use std::cell::RefCell;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_env::File;
use driftdb_storage::{KeyRange, KeyspaceId, Result, StorageError};

use super::VersionsRef;
use crate::spill::Spill;

const CHECKSUM_BYTES: usize = 4;
/// Flags, keyspace, statement, and the lengths of key, value and earlier value.
const ENTRY_HEAD_BYTES: usize = 21;

const HAS_VALUE: u8 = 1;
const HAS_EARLIER: u8 = 2;
const HAS_EARLIER_VALUE: u8 = 4;

/// One key's own writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) space: KeyspaceId,
    pub(super) key: &'a [u8],
    pub(super) versions: VersionsRef<'a>,
}

/// A block's place in the file, and its first key.
struct Place {
    space: KeyspaceId,
    first: Box<[u8]>,
    offset: u64,
    len: usize,
}

/// See the module.
pub(super) struct Run {
    file: Arc<dyn File>,
    places: Vec<Place>,
    /// The key of the last entry, in the last of `spaces`.
    last: Vec<u8>,
    /// Ascending.
    spaces: Vec<KeyspaceId>,
    /// How often its entries were merged.
    pub(super) level: u32,
    /// The block that was read last: reads go by keys that are near one another.
    last_read: RefCell<Option<(usize, Arc<Block>)>>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("blocks", &self.places.len()).finish_non_exhaustive()
    }
}

impl Run {
    /// Whether it has writes of a keyspace.
    pub(super) fn has(&self, space: KeyspaceId) -> bool {
        self.spaces.binary_search(&space).is_ok()
    }

    /// Whether a key comes after all entries, as each new key of a load in key order does.
    fn ends_before(&self, space: KeyspaceId, key: &[u8]) -> bool {
        self.spaces.last().is_none_or(|last| (*last, &*self.last) < (space, key))
    }

    /// The entry of a key.
    pub(super) fn find(&self, space: KeyspaceId, key: &[u8]) -> Result<Option<Found>> {
        if self.ends_before(space, key) || !self.has(space) {
            return Ok(None);
        }
        let after =
            self.places.partition_point(|place| (place.space, &*place.first) <= (space, key));
        let Some(index) = after.checked_sub(1) else { return Ok(None) };
        let block = self.block(index)?;
        let at = block.partition_point(|entry| (entry.space, entry.key) < (space, key));
        let is_it = |entry: Entry<'_>| (entry.space, entry.key) == (space, key);
        Ok((at < block.len() && is_it(block.entry(at))).then_some(Found { block, at }))
    }

    fn block(&self, index: usize) -> Result<Arc<Block>> {
        if let Some((last, block)) = &*self.last_read.borrow()
            && *last == index
        {
            return Ok(Arc::clone(block));
        }
        let Place { offset, len, .. } = self.places[index];
        let mut bytes = vec![0; len];
        let read = self.file.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        let block = Block::decode(bytes).ok_or_else(|| {
            StorageError::corruption("a spilled write set", offset, "a block does not verify")
        })?;
        let block = Arc::new(block);
        *self.last_read.borrow_mut() = Some((index, Arc::clone(&block)));
        Ok(block)
    }
}

/// An entry that was looked for.
pub(super) struct Found {
    block: Arc<Block>,
    at: usize,
}

impl Found {
    pub(super) fn versions(&self) -> VersionsRef<'_> {
        self.block.entry(self.at).versions
    }
}

/// A block that was read.
struct Block {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Block {
    /// `None`: it is not what was written.
    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let (checksum, entries) = bytes.split_first_chunk::<CHECKSUM_BYTES>()?;
        if u32::from_le_bytes(*checksum) != crc32c::crc32c(entries) {
            return None;
        }
        let mut starts = Vec::new();
        let mut start = CHECKSUM_BYTES;
        while start < bytes.len() {
            let head = bytes.get(start..start + ENTRY_HEAD_BYTES)?;
            starts.push(start);
            start += ENTRY_HEAD_BYTES + number(head, 9) + number(head, 13) + number(head, 17);
        }
        (start == bytes.len()).then_some(Self { bytes, starts })
    }

    fn len(&self) -> usize {
        self.starts.len()
    }

    fn entry(&self, index: usize) -> Entry<'_> {
        let (head, rest) = self.bytes[self.starts[index]..].split_at(ENTRY_HEAD_BYTES);
        let (key, rest) = rest.split_at(number(head, 9));
        let (value, rest) = rest.split_at(number(head, 13));
        let earlier = &rest[..number(head, 17)];
        let has = |flag: u8| head[0] & flag != 0;
        Entry {
            space: KeyspaceId(number(head, 1) as u32),
            key,
            versions: VersionsRef {
                statement: number(head, 5) as u32,
                value: has(HAS_VALUE).then_some(value),
                earlier: has(HAS_EARLIER).then(|| has(HAS_EARLIER_VALUE).then_some(earlier)),
            },
        }
    }

    /// The first entry of which `is_before` is not true.
    fn partition_point(&self, is_before: impl Fn(Entry<'_>) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self.entry(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

fn number(head: &[u8], at: usize) -> usize {
    u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes of the head")) as usize
}

/// Writes a run.
pub(super) struct RunWriter {
    run: Run,
    block_bytes: usize,
    block: Vec<u8>,
    end: u64,
}

impl RunWriter {
    pub(super) fn new(spill: &Spill, level: u32) -> Result<Self> {
        let run = Run {
            file: spill.create()?,
            places: Vec::new(),
            last: Vec::new(),
            spaces: Vec::new(),
            level,
            last_read: RefCell::default(),
        };
        Ok(Self { run, block_bytes: spill.block_bytes(), block: Vec::new(), end: 0 })
    }

    /// Adds the next entry.
    pub(super) fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        let Entry { space, key, versions } = entry;
        if self.run.spaces.last() != Some(&space) {
            assert!(self.run.spaces.last().is_none_or(|last| *last < space), "entries ascend");
            self.run.spaces.push(space);
        }
        if self.block.is_empty() {
            self.block.extend_from_slice(&[0; CHECKSUM_BYTES]);
            let (first, offset) = (key.into(), self.end);
            self.run.places.push(Place { space, first, offset, len: 0 });
        }
        let VersionsRef { statement, value, earlier } = versions;
        let mut flags = 0;
        flags |= if value.is_some() { HAS_VALUE } else { 0 };
        flags |= if earlier.is_some() { HAS_EARLIER } else { 0 };
        let earlier = earlier.flatten();
        flags |= if earlier.is_some() { HAS_EARLIER_VALUE } else { 0 };
        let (value, earlier) = (value.unwrap_or_default(), earlier.unwrap_or_default());
        self.block.push(flags);
        for number in [space.0, statement, length(key)?, length(value)?, length(earlier)?] {
            self.block.extend_from_slice(&number.to_le_bytes());
        }
        for bytes in [key, value, earlier] {
            self.block.extend_from_slice(bytes);
        }
        key.clone_into(&mut self.run.last);
        if self.block.len() >= self.block_bytes { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let checksum = crc32c::crc32c(&self.block[CHECKSUM_BYTES..]);
        self.block[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
        self.run.file.write_at(self.end, &self.block)?;
        self.run.places.last_mut().expect("pushed when it began").len = self.block.len();
        self.end += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Run> {
        self.end_block()?;
        Ok(self.run)
    }
}

fn length(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| StorageError::TooLarge {
        what: "a key or value",
        size_bytes: bytes.len() as u64,
        limit_bytes: u64::from(u32::MAX),
    })
}

/// Walks a run, up or down.
pub(super) struct RunCursor<'a> {
    run: &'a Run,
    reverse: bool,
    /// Where it is; `None` beyond the end.
    place: Option<(usize, Arc<Block>, usize)>,
}

impl<'a> RunCursor<'a> {
    /// On the first entry.
    pub(super) fn first(run: &'a Run) -> Result<Self> {
        let mut cursor = Self { run, reverse: false, place: None };
        cursor.enter(0)?;
        Ok(cursor)
    }

    /// On the first entry of a range in its direction, or beyond the range.
    pub(super) fn seek(
        run: &'a Run,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        reverse: bool,
    ) -> Result<Self> {
        let mut cursor = Self { run, reverse, place: None };
        if !run.has(space) {
            return Ok(cursor);
        }
        if reverse {
            let is_inside = |of: KeyspaceId, key: &[u8]| match range.end {
                Bound::Unbounded => of <= space,
                Bound::Included(end) => (of, key) <= (space, end),
                Bound::Excluded(end) => (of, key) < (space, end),
            };
            let count = run.places.partition_point(|place| is_inside(place.space, &place.first));
            if let Some(index) = count.checked_sub(1) {
                let block = run.block(index)?;
                let at = block.partition_point(|entry| is_inside(entry.space, entry.key)) - 1;
                cursor.place = Some((index, block, at));
            }
        } else {
            let is_before = |of: KeyspaceId, key: &[u8]| match range.start {
                Bound::Unbounded => of < space,
                Bound::Included(start) => (of, key) < (space, start),
                Bound::Excluded(start) => (of, key) <= (space, start),
            };
            let count = run.places.partition_point(|place| is_before(place.space, &place.first));
            let index = count.saturating_sub(1);
            let block = run.block(index)?;
            let at = block.partition_point(|entry| is_before(entry.space, entry.key));
            if at < block.len() {
                cursor.place = Some((index, block, at));
            } else {
                cursor.enter(index + 1)?;
            }
        }
        Ok(cursor)
    }

    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        self.place.as_ref().map(|(_, block, at)| block.entry(*at))
    }

    pub(super) fn advance(&mut self) -> Result<()> {
        let Some((index, block, at)) = &mut self.place else { return Ok(()) };
        let index = *index;
        if self.reverse {
            if *at > 0 {
                *at -= 1;
                return Ok(());
            }
            match index.checked_sub(1) {
                Some(index) => self.enter(index),
                None => {
                    self.place = None;
                    Ok(())
                }
            }
        } else if *at + 1 < block.len() {
            *at += 1;
            Ok(())
        } else {
            self.enter(index + 1)
        }
    }

    /// Goes to the near end of a block, or beyond the end if there is none.
    fn enter(&mut self, index: usize) -> Result<()> {
        self.place = None;
        if index < self.run.places.len() {
            let block = self.run.block(index)?;
            let at = if self.reverse { block.len() - 1 } else { 0 };
            self.place = Some((index, block, at));
        }
        Ok(())
    }
}

/// One run of several, newest first, that follow one another.
pub(super) fn merge(runs: &[Run], level: u32, spill: &Spill) -> Result<Run> {
    let mut writer = RunWriter::new(spill, level)?;
    let cursors = runs.iter().rev().map(RunCursor::first);
    let mut cursors = cursors.collect::<Result<Vec<_>>>()?;
    let mut on_key = Vec::new();
    loop {
        let heads = cursors.iter().filter_map(RunCursor::entry);
        let Some(least) = heads.map(|entry| (entry.space, entry.key)).min() else { break };
        on_key.clear();
        let is_least =
            |cursor: &RunCursor<'_>| cursor.entry().is_some_and(|e| (e.space, e.key) == least);
        on_key.extend((0..cursors.len()).filter(|index| is_least(&cursors[*index])));
        let mut of_key = on_key.iter().filter_map(|index| cursors[*index].entry());
        let mut newest = of_key.next().expect("one of them is the least");
        for older in of_key {
            let before = super::OwnView::Before(newest.versions.statement);
            if newest.versions.earlier.is_none() {
                newest.versions.earlier = older.versions.visible(before);
            }
        }
        writer.add(newest)?;
        for index in &on_key {
            cursors[*index].advance()?;
        }
    }
    writer.finish()
}
