//! A table: an immutable file of sorted versions, the newest of each key apart from the older ones.
//!
//! ```text
//!   preamble │ dictionary │ data, history and filters… │ index of history │ index │ footer
//! ```
//!
//! The *newest section* has, in the order of keys, the newest version of each key that the table has;
//! the *history section* all older ones, by key and timestamp descending. A bit on the newest version
//! says whether there are older ones. So reads of the present touch dense blocks only, however long
//! the history; and a read of the past needs one more search and one more block.
//!
//! Each section has an *index*, with the last entry of each of its data blocks; that of the newest
//! section names the *filter* that covers a block. The footer, of fixed length, finds the indexes. A
//! point read searches the index (in memory once used), asks the filter whether the bare key may be
//! there, and reads one block.
//!
//! Some tables have a *dictionary*, with which their blocks are compressed (`dictionary.rs`).
//!
//! Tables of version 1 have one section with all versions (`v1.rs`), which takes both places.
//!
//! What is read is checked first (`format.rs`), then parsed with every length bounded by what is
//! there; after that, accessors cannot fail. Bytes: `docs/formats/lsm.md`. Sources: \[ONeil96\];
//! Pebble's value blocks and columnar blocks for the layout (research/storage.md 1.4, 2.4).

mod block;
mod check;
mod column;
mod compress;
mod cursor;
mod dictionary;
mod filter;
mod footer;
mod index;
mod readable;
mod scan;
mod source;
mod v1;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use driftdb_env::{Env, File, FileKind, OpenHow, ReadRequest};
use driftdb_storage::{Damage, KeyspaceId, Result, StorageError, Timestamp};

use crate::cache::{BlockCache, BlockKey, Cached};
use crate::format::{self, FRAME_HEADER_BYTES, FileType, FrameKind, PREAMBLE_BYTES};
use crate::memtable::Found;
use crate::stats::Stats;
use block::DataBlock;
use compress::Decompressor;
use dictionary::Dictionary;
use footer::{Footer, FramePlace};
use index::{BlockRef, FilterRef, Index};

pub(crate) use block::Block;
pub(crate) use check::{check_table, ends};
pub(crate) use compress::Codec;
pub(crate) use filter::Filter;
#[cfg(test)]
pub(crate) use filter::build as build_filter;
pub(crate) use readable::ReadableScan;
pub(crate) use scan::TableScan;
pub(crate) use source::TableSource;
pub(crate) use writer::TableWriter;

/// What `fuzz/` reaches through [`crate::fuzzing`].
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    pub(crate) use super::block::{Block, BlockBuilder};
    pub(crate) use super::compress::{Codec, Compressor, Decompressor};
    pub(crate) use super::dictionary::Dictionary;
    pub(crate) use super::filter::{Filter, build as build_filter};
    pub(crate) use super::index::{BlockRef, Index, IndexBuilder};
    pub(crate) use super::v1::parse as parse_v1;
}

/// The part of the cache's budget that filters and dictionaries may take beside it, pinned. Dictionaries are
/// always pinned, and filters get what they leave.
const PINNED_SHARE: usize = 4;

/// What the manifest knows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableMeta {
    pub(crate) file_id: u64,
    pub(crate) size_bytes: u64,
    /// Versions in it.
    pub(crate) entry_count: u64,
    /// Distinct keys in it.
    pub(crate) key_count: u64,
    pub(crate) tombstone_count: u64,
    pub(crate) min_ts: Timestamp,
    pub(crate) max_ts: Timestamp,
    /// The `keep_since` under which it was last folded; zero after a flush.
    pub(crate) folded_to: Timestamp,
}

/// What all tables of an engine share.
#[derive(Debug)]
pub(crate) struct TableContext {
    pub(crate) cache: BlockCache,
    pub(crate) stats: Stats,
    decompressor: Decompressor,
    /// Bytes of filters and dictionaries that tables keep, and how many those of filters may become.
    pinned_bytes: AtomicUsize,
    max_pinned_bytes: usize,
}

impl TableContext {
    pub(crate) fn new(cache_bytes: usize) -> Self {
        Self {
            cache: BlockCache::new(cache_bytes),
            stats: Stats::default(),
            decompressor: Decompressor::default(),
            pinned_bytes: AtomicUsize::new(0),
            max_pinned_bytes: cache_bytes / PINNED_SHARE,
        }
    }

    /// Whether `size_bytes` more may be pinned. If so, they count from now on.
    fn try_pin(&self, size_bytes: usize) -> bool {
        // Relaxed: a budget, which orders nothing.
        let before = self.pinned_bytes.fetch_add(size_bytes, Ordering::Relaxed);
        let has_room = before + size_bytes <= self.max_pinned_bytes;
        if !has_room {
            self.unpin(size_bytes);
        }
        has_room
    }

    /// The same for what must be in memory.
    fn pin(&self, size_bytes: usize) {
        self.pinned_bytes.fetch_add(size_bytes, Ordering::Relaxed);
    }

    /// Memory of filters and dictionaries beside the cache.
    pub(crate) fn pinned_bytes(&self) -> usize {
        self.pinned_bytes.load(Ordering::Relaxed)
    }

    fn unpin(&self, size_bytes: usize) {
        self.pinned_bytes.fetch_sub(size_bytes, Ordering::Relaxed);
    }
}

/// What a table consists of, as its indexes say.
#[derive(Debug)]
pub(crate) struct Sections {
    version: u32,
    newest: Arc<Index>,
    /// In version 1 the same index as `newest`.
    history: Arc<Index>,
    dictionary: Option<(FramePlace, Dictionary)>,
    /// Where the frames of the indexes begin.
    data_end: u64,
}

impl Sections {
    /// Whether one section has all versions.
    fn is_mixed(&self) -> bool {
        self.version == 1
    }

    fn dictionary(&self) -> Option<&Dictionary> {
        self.dictionary.as_ref().map(|(_, dictionary)| dictionary)
    }

    fn index(&self, section: Section) -> &Index {
        match section {
            Section::Newest => &self.newest,
            Section::History => &self.history,
        }
    }
}

/// One of the two sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Newest,
    History,
}

pub(crate) struct Table {
    meta: TableMeta,
    name: String,
    file: Arc<dyn File>,
    context: Arc<TableContext>,
    sections: OnceLock<Arc<Sections>>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("meta", &self.meta).finish_non_exhaustive()
    }
}

/// Whether a read leaves what it read in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    Cache,
    /// Also does not look there: a merge or a check reads the disk.
    Bypass,
}

/// The path of a table's file.
pub(crate) fn path_of(dir: &Path, file_id: u64) -> PathBuf {
    dir.join(format!("{file_id:06}.table"))
}

/// The number in a table's file name; `None` if it is not one.
pub(crate) fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".table")?;
    let id = digits.parse().ok()?;
    (format!("{id:06}") == digits).then_some(id)
}

impl Table {
    /// Opens the file that the manifest names. Reads nothing yet but its length.
    ///
    /// # Errors
    /// I/O; [`StorageError::Corruption`] if it is missing or of another length.
    pub(crate) fn open(
        env: &Env,
        dir: &Path,
        meta: TableMeta,
        context: &Arc<TableContext>,
    ) -> Result<Self> {
        let path = path_of(dir, meta.file_id);
        let name = path.display().to_string();
        let file = match env.disk().open(&path, OpenHow::Read, FileKind::Table) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => {
                return Err(StorageError::corruption(name, 0, "the file is missing"));
            }
            Err(error) => return Err(error.into()),
        };
        let found = file.len()?;
        if found != meta.size_bytes {
            let what = format!("the file has {found} bytes instead of {}", meta.size_bytes);
            return Err(StorageError::corruption(name, found.min(meta.size_bytes), what));
        }
        let sections = OnceLock::new();
        Ok(Self { meta, name, file, context: Arc::clone(context), sections })
    }

    /// What a table says of itself, for a salvage that has no manifest.
    ///
    /// # Errors
    /// I/O; damage to preamble, footer or index.
    pub(crate) fn describe(
        env: &Env,
        dir: &Path,
        file_id: u64,
        context: &Arc<TableContext>,
    ) -> Result<TableMeta> {
        let path = path_of(dir, file_id);
        let file = env.disk().open(&path, OpenHow::Read, FileKind::Table)?;
        let meta = TableMeta {
            file_id,
            size_bytes: file.len()?,
            entry_count: 0,
            key_count: 0,
            tombstone_count: 0,
            min_ts: Timestamp::MIN,
            max_ts: Timestamp::MIN,
            folded_to: Timestamp::MIN,
        };
        let table = Self::open(env, dir, meta, context)?;
        let (_, _, footer) = table.read_footer()?;
        Ok(TableMeta {
            entry_count: footer.entry_count,
            key_count: footer.key_count,
            tombstone_count: footer.tombstone_count,
            min_ts: footer.min_ts,
            max_ts: footer.max_ts,
            ..meta
        })
    }

    pub(crate) fn meta(&self) -> &TableMeta {
        &self.meta
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The newest version of `key` at or below `ts`; a value is appended to `out`.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Option<Found>> {
        let Some((block, slot)) = self.find(space, key, ts)? else { return Ok(None) };
        let found = block.ts(slot);
        Ok(Some(match block.value(slot) {
            Some(value) => {
                out.extend_from_slice(value);
                Found::Value(found)
            }
            None => Found::Tombstone(found),
        }))
    }

    /// The timestamp of the newest version at or below `ts`, tombstones included.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn newest(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let found = self.find(space, key, ts)?;
        Ok(found.map(|(block, slot)| block.ts(slot)))
    }

    /// Where the newest version of `key` at or below `ts` is.
    fn find(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
    ) -> Result<Option<(DataBlock, usize)>> {
        if self.meta.min_ts > ts {
            return Ok(None);
        }
        let sections = self.sections()?;
        let index = &sections.newest;
        let position = if sections.is_mixed() {
            index.first_version(space, key, ts)
        } else {
            index.first_at(space, key)
        };
        let Some(position) = position else { return Ok(None) };
        let place = index.block(position);
        if place.min_ts > ts {
            return Ok(None);
        }
        if !self.may_contain(sections, place, space, key) {
            self.context.stats.filter_negatives.add(1);
            return Ok(None);
        }
        let block = self.block(sections, Section::Newest, position, Fill::Cache)?;
        let (found, is_there) = block.find_key(key);
        if !is_there {
            if place.filter != index::NO_FILTER {
                self.context.stats.filter_false_positives.add(1);
            }
            return Ok(None);
        }
        let slot = block.find_version(found, ts);
        if slot < block.end(found) {
            return Ok(Some((block, slot)));
        }
        if !block.has_older(slot - 1) {
            return Ok(None);
        }
        self.find_older(sections, space, key, ts)
    }

    /// Where the newest version of `key` at or below `ts` is in the history section.
    fn find_older(
        &self,
        sections: &Sections,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
    ) -> Result<Option<(DataBlock, usize)>> {
        let Some(position) = sections.history.first_version(space, key, ts) else {
            return Ok(None);
        };
        let block = self.block(sections, Section::History, position, Fill::Cache)?;
        let (found, is_there) = block.find_key(key);
        if !is_there {
            return Ok(None);
        }
        let slot = block.find_version(found, ts);
        Ok((slot < block.end(found)).then_some((block, slot)))
    }

    /// Asks the filter. A filter that cannot be read or is damaged excludes nothing: the block
    /// itself is checked anyway. `verify` reports it.
    fn may_contain(
        &self,
        sections: &Sections,
        place: &BlockRef,
        space: KeyspaceId,
        key: &[u8],
    ) -> bool {
        let Some(filter) = sections.newest.filters().get(place.filter as usize) else {
            return true;
        };
        let hash = filter::hash(space, key);
        if let Some(pinned) = filter.pinned.get() {
            return pinned.may_contain(hash);
        }
        match self.load_filter(sections, filter) {
            Ok(filter) => filter.may_contain(hash),
            Err(_) => {
                self.context.stats.filters_damaged.add(1);
                true
            }
        }
    }

    /// A filter that is not pinned: from the cache, or from the disk, and then pinned if there is
    /// room.
    fn load_filter(&self, sections: &Sections, place: &FilterRef) -> Result<Arc<Filter>> {
        let key = BlockKey { file_id: self.meta.file_id, offset: place.offset };
        if let Some(Cached::Filter(filter)) = self.context.cache.get(key) {
            self.context.stats.cache_hits.add(1);
            return Ok(filter);
        }
        self.context.stats.cache_misses.add(1);
        let filter = Arc::new(self.read_filter(sections, place)?);
        if self.context.try_pin(filter.size_bytes()) {
            if place.pinned.set(Arc::clone(&filter)).is_err() {
                // Another reader was first.
                self.context.unpin(filter.size_bytes());
            }
        } else {
            self.context.cache.insert(key, Cached::Filter(Arc::clone(&filter)));
        }
        Ok(filter)
    }

    fn read_filter(&self, sections: &Sections, place: &FilterRef) -> Result<Filter> {
        let frame = self.read_frame(FrameKind::Filter, place.offset, place.len as usize)?;
        let payload = &frame[FRAME_HEADER_BYTES..];
        let filter =
            if sections.version == 1 { Filter::parse_v1(payload) } else { Filter::parse(payload) };
        filter.map_err(|what| self.damage(place.offset, what))
    }

    /// The indexes and the dictionary, read at the first use.
    ///
    /// # Errors
    /// I/O; damage. The next call tries again.
    pub(crate) fn sections(&self) -> Result<&Arc<Sections>> {
        if let Some(sections) = self.sections.get() {
            return Ok(sections);
        }
        let sections = Arc::new(self.read_sections()?);
        // Two readers may both have read them; either copy will do, and one counts.
        Ok(self.sections.get_or_init(|| {
            self.context.pin(sections.dictionary().map_or(0, Dictionary::size_bytes));
            sections
        }))
    }

    fn read_sections(&self) -> Result<Sections> {
        let (version, footer_offset, footer) = self.read_footer()?;
        if !footer.agrees_with(&self.meta) {
            return Err(self.damage(footer_offset, "the footer disagrees with the manifest"));
        }
        let newest = Arc::new(self.read_index(footer.index, footer_offset, footer_offset)?);
        let mut data_end = footer.index.offset;
        let history = if version == 1 {
            Arc::clone(&newest)
        } else if footer.history.len == 0 {
            Arc::default()
        } else {
            data_end = footer.history.offset;
            Arc::new(self.read_index(footer.history, footer.index.offset, footer_offset)?)
        };
        let read = |place| self.read_dictionary(place, data_end, footer_offset);
        let dictionary = footer.dictionary.map(read).transpose()?;
        Ok(Sections { version, newest, history, dictionary, data_end })
    }

    /// Reads the dictionary, which ends at or before `data_end`.
    fn read_dictionary(
        &self,
        place: FramePlace,
        data_end: u64,
        footer_offset: u64,
    ) -> Result<(FramePlace, Dictionary)> {
        let FramePlace { offset, len } = place;
        let end = offset.checked_add(u64::from(len));
        if offset < PREAMBLE_BYTES as u64 || end.is_none_or(|end| end > data_end) {
            return Err(self.damage(footer_offset, "the footer refers to no dictionary"));
        }
        let frame = self.read_frame(FrameKind::Dictionary, offset, len as usize)?;
        let dictionary = Dictionary::parse(&frame[FRAME_HEADER_BYTES..]);
        Ok((place, dictionary.map_err(|what| self.damage(offset, what))?))
    }

    /// Reads an index that should end at `end`.
    fn read_index(&self, place: FramePlace, end: u64, footer_offset: u64) -> Result<Index> {
        let FramePlace { offset, len } = place;
        let found_end = offset.checked_add(u64::from(len));
        if offset < PREAMBLE_BYTES as u64 || end > footer_offset || found_end != Some(end) {
            return Err(self.damage(footer_offset, "the footer refers to no index"));
        }
        let frame = self.read_frame(FrameKind::Index, offset, len as usize)?;
        Index::parse(frame, offset).map_err(|what| self.damage(offset, what))
    }

    /// The footer, where it is, and the version of the format.
    fn read_footer(&self) -> Result<(u32, u64, Footer)> {
        let short = || self.damage(0, "the file is too short for a table");
        if self.meta.size_bytes < PREAMBLE_BYTES as u64 {
            return Err(short());
        }
        let head = format::read_exact(&*self.file, &self.name, 0, PREAMBLE_BYTES)?;
        let version =
            format::check_preamble(&head, FileType::Table, self.meta.file_id, &self.name)?;
        let footer_len = Footer::frame_bytes(version);
        let footer_offset = self.meta.size_bytes.checked_sub(footer_len as u64);
        let footer_offset =
            footer_offset.filter(|&at| at >= PREAMBLE_BYTES as u64).ok_or_else(short)?;
        let frame = self.read_frame(FrameKind::Footer, footer_offset, footer_len)?;
        Ok((version, footer_offset, Footer::decode(&frame, version)))
    }

    /// A data block, from the cache or the disk.
    ///
    /// # Errors
    /// I/O; damage, which names the keys that lie there.
    fn block(
        &self,
        sections: &Sections,
        section: Section,
        position: usize,
        fill: Fill,
    ) -> Result<DataBlock> {
        let place = sections.index(section).block(position);
        if fill == Fill::Cache
            && let Some(block) = self.cached_block(place)
        {
            return Ok(block);
        }
        self.read_block(sections, section, position, fill)
    }

    /// A data block, from the disk.
    ///
    /// # Errors
    /// I/O; damage, which names the keys that lie there.
    fn read_block(
        &self,
        sections: &Sections,
        section: Section,
        position: usize,
        fill: Fill,
    ) -> Result<DataBlock> {
        let place = sections.index(section).block(position);
        let (offset, len) = (place.offset, place.len as usize);
        let frame = format::read_exact(&*self.file, &self.name, offset, len)?;
        self.context.stats.bytes_read.add(len as u64);
        self.take_block(sections, section, position, frame, fill)
    }

    /// A data block, if it is in the cache.
    fn cached_block(&self, place: &BlockRef) -> Option<DataBlock> {
        let key = BlockKey { file_id: self.meta.file_id, offset: place.offset };
        match self.context.cache.get(key) {
            Some(Cached::Block(block)) => {
                self.context.stats.cache_hits.add(1);
                Some(block)
            }
            _ => {
                self.context.stats.cache_misses.add(1);
                None
            }
        }
    }

    /// Checks and parses the frame of a data block.
    ///
    /// # Errors
    /// Damage, which names the keys that lie there.
    fn take_block(
        &self,
        sections: &Sections,
        section: Section,
        position: usize,
        frame: Vec<u8>,
        fill: Fill,
    ) -> Result<DataBlock> {
        let index = sections.index(section);
        let &BlockRef { offset, space, .. } = index.block(position);
        let block = self.parse_block(sections, offset, frame).and_then(|block| {
            let is_of_space = block.space() == space;
            let block =
                is_of_space.then_some(block).ok_or("the block belongs to another keyspace")?;
            let is_described = index.describes(position, &block);
            is_described.then_some(block).ok_or("the block has other entries than the index says")
        });
        let block = block.map_err(|what| {
            let (first, last) = (index.lower_bound(position), index.last_key(position));
            let damage = Damage::new(self.name.clone(), offset, what);
            StorageError::Corruption(damage.with_keys(space, first, Some(last)))
        })?;
        let block = Arc::new(block);
        if fill == Fill::Cache {
            let key = BlockKey { file_id: self.meta.file_id, offset };
            self.context.cache.insert(key, Cached::Block(Arc::clone(&block)));
        }
        Ok(block)
    }

    fn parse_block(
        &self,
        sections: &Sections,
        offset: u64,
        frame: Vec<u8>,
    ) -> std::result::Result<Block, &'static str> {
        let file_id = self.meta.file_id;
        if sections.version == 1 {
            format::check_frame(&frame, FrameKind::Data, file_id, offset)?;
            return v1::parse(&frame[FRAME_HEADER_BYTES..]);
        }
        match format::check_coded_frame(&frame, FrameKind::Data, file_id, offset)? {
            Codec::Raw => Block::parse(frame, FRAME_HEADER_BYTES),
            codec => {
                let stored = &frame[FRAME_HEADER_BYTES..];
                let decompressor = &self.context.decompressor;
                Block::parse(decompressor.decompress(codec, sections.dictionary(), stored)?, 0)
            }
        }
    }

    /// Reads the frames of several data blocks at once, unchecked: damage is reported when a block's
    /// turn comes.
    ///
    /// # Errors
    /// I/O.
    fn read_frames(&self, places: &[BlockRef]) -> Result<Vec<Vec<u8>>> {
        let mut frames: Vec<Vec<u8>> =
            places.iter().map(|place| vec![0; place.len as usize]).collect();
        let requests = places.iter().zip(&mut frames);
        let mut requests: Vec<_> = requests
            .map(|(place, buf)| ReadRequest { offset: place.offset, buf, read: 0 })
            .collect();
        self.file.read_many(&mut requests)?;
        self.context.stats.reads_ahead.add(1);
        let read: Vec<usize> = requests.iter().map(|request| request.read).collect();
        for (frame, read) in frames.iter_mut().zip(read) {
            // A file that ends early gives a frame that fails its check.
            frame.truncate(read);
            self.context.stats.bytes_read.add(read as u64);
        }
        Ok(frames)
    }

    /// Reads a frame that is not compressed from the disk and checks it. `offset` and `len` have
    /// been checked against the length of the file.
    fn read_frame(&self, kind: FrameKind, offset: u64, len: usize) -> Result<Vec<u8>> {
        let bytes = format::read_exact(&*self.file, &self.name, offset, len)?;
        self.context.stats.bytes_read.add(len as u64);
        format::check_frame(&bytes, kind, self.meta.file_id, offset)
            .map_err(|what| self.damage(offset, what))?;
        Ok(bytes)
    }

    fn damage(&self, offset: u64, what: &str) -> StorageError {
        StorageError::corruption(self.name.clone(), offset, what)
    }

    /// Takes the blocks out of the cache: the file goes away.
    pub(crate) fn forget(&self) {
        let Some(sections) = self.sections.get() else { return };
        let file_id = self.meta.file_id;
        for index in [&sections.newest, &sections.history] {
            let blocks = (0..index.len()).map(|position| index.block(position).offset);
            for offset in blocks.chain(index.filters().iter().map(|filter| filter.offset)) {
                self.context.cache.remove(BlockKey { file_id, offset });
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let Some(sections) = self.sections.get() else { return };
        let pinned = sections.newest.filters().iter().filter_map(|filter| filter.pinned.get());
        self.context.unpin(pinned.map(|filter| filter.size_bytes()).sum());
        self.context.unpin(sections.dictionary().map_or(0, Dictionary::size_bytes));
    }
}
