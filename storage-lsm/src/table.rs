//! A table: an immutable file of sorted versions.
//!
//! ```text
//!   preamble │ data │ data │ … │ filter │ data │ … │ filter │ index │ footer
//! ```
//!
//! Order is by keyspace, key, and timestamp descending. A *data block* holds versions of one
//! keyspace. The *index* has the last entry of each data block and names the *filter* that covers
//! it. The footer, of fixed length, finds the index. A point read searches the index (in memory
//! once used), asks the filter whether the bare key may be there, and reads one block, however many
//! versions the key has.
//!
//! What is read is checked first (`format.rs`), then parsed with every length bounded by what is
//! there; after that, accessors cannot fail.

pub(crate) mod block;
mod check;
pub(crate) mod filter;
mod footer;
pub(crate) mod index;
mod scan;
mod source;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use driftdb_env::{Env, File, FileKind, OpenHow};
use driftdb_storage::{KeyspaceId, Result, StorageError, Timestamp};

use crate::cache::{BlockCache, BlockKey, Frame};
use crate::format::{self, FileType, FrameKind, PREAMBLE_BYTES};
use crate::memtable::Found;
use crate::stats::Stats;
use block::DataBlock;
use filter::Filter;
use footer::{FOOTER_FRAME_BYTES, Footer};
use index::{BlockRef, Index};

pub(crate) use check::check_table;
pub(crate) use scan::TableScan;
pub(crate) use source::TableSource;
pub(crate) use writer::TableWriter;

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
}

pub(crate) struct Table {
    meta: TableMeta,
    name: String,
    file: Arc<dyn File>,
    context: Arc<TableContext>,
    index: OnceLock<Arc<Index>>,
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
        let index = OnceLock::new();
        Ok(Self { meta, name, file, context: Arc::clone(context), index })
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
        let footer = table.read_footer()?;
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
        let entry = block.entry(slot);
        Ok(Some(match entry.value {
            Some(value) => {
                out.extend_from_slice(value);
                Found::Value(entry.ts)
            }
            None => Found::Tombstone(entry.ts),
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
        Ok(found.map(|(block, slot)| block.entry(slot).ts))
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
        let index = self.index()?;
        let position = index.partition_point(|last| last.is_before(space, key, ts));
        if position == index.len() || index.block(position).space != space {
            return Ok(None);
        }
        let place = index.block(position);
        if !self.may_contain(index, &place, space, key) {
            self.context.stats.filter_negatives.add(1);
            return Ok(None);
        }
        let block = self.block(&place, Fill::Cache)?;
        let slot = block.lower_bound(key, ts);
        let is_hit = slot < block.len() && block.entry(slot).key == key;
        Ok(is_hit.then_some((block, slot)))
    }

    /// Asks the filter. A filter that cannot be read or is damaged excludes nothing: the block
    /// itself is checked anyway. `verify` reports it.
    fn may_contain(
        &self,
        index: &Index,
        place: &BlockRef<'_>,
        space: KeyspaceId,
        key: &[u8],
    ) -> bool {
        let Some((offset, len)) = index.filter(place.filter) else { return true };
        match self.frame(FrameKind::Filter, offset, len, Fill::Cache, Filter::check) {
            Ok(frame) => Filter::new(&frame).may_contain(filter::hash(space, key)),
            Err(_) => {
                self.context.stats.filters_damaged.add(1);
                true
            }
        }
    }

    /// The index, read at the first use.
    ///
    /// # Errors
    /// I/O; damage. The next call tries again.
    pub(crate) fn index(&self) -> Result<&Arc<Index>> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = Arc::new(self.read_index()?);
        // Two readers may both have read it; either copy will do.
        Ok(self.index.get_or_init(|| index))
    }

    fn read_index(&self) -> Result<Index> {
        let footer_offset = self.footer_offset()?;
        let footer = self.read_footer()?;
        if !footer.agrees_with(&self.meta) {
            return Err(self.damage(footer_offset, "the footer disagrees with the manifest"));
        }
        let end = footer.index_offset.checked_add(u64::from(footer.index_len));
        if footer.index_offset < PREAMBLE_BYTES as u64 || end != Some(footer_offset) {
            return Err(self.damage(footer_offset, "the footer refers to no index"));
        }
        let (offset, len) = (footer.index_offset, footer.index_len);
        let frame = self.read_frame(FrameKind::Index, offset, len, |_| Ok(()))?;
        Index::parse(frame, footer.index_offset).map_err(|what| self.damage(offset, what))
    }

    /// Where the footer is, if the file is long enough for one.
    fn footer_offset(&self) -> Result<u64> {
        let fixed = (PREAMBLE_BYTES + FOOTER_FRAME_BYTES) as u64;
        if self.meta.size_bytes < fixed {
            return Err(self.damage(0, "the file is too short for a table"));
        }
        Ok(self.meta.size_bytes - FOOTER_FRAME_BYTES as u64)
    }

    fn read_footer(&self) -> Result<Footer> {
        let footer_offset = self.footer_offset()?;
        let head = format::read_exact(&*self.file, &self.name, 0, PREAMBLE_BYTES)?;
        format::check_preamble(&head, FileType::Table, self.meta.file_id, &self.name)?;
        let len = FOOTER_FRAME_BYTES as u32;
        let frame = self.read_frame(FrameKind::Footer, footer_offset, len, Footer::check)?;
        Ok(Footer::decode(&frame))
    }

    /// A data block, from the cache or the disk.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn block(&self, place: &BlockRef<'_>, fill: Fill) -> Result<DataBlock> {
        let (offset, len) = (place.offset, place.len);
        let frame = self.frame(FrameKind::Data, offset, len, fill, DataBlock::check)?;
        let block = DataBlock::new(frame);
        if block.space() != place.space {
            return Err(self.damage(offset, "the block belongs to another keyspace"));
        }
        Ok(block)
    }

    /// A checked frame, from the cache or the disk.
    fn frame(
        &self,
        kind: FrameKind,
        offset: u64,
        len: u32,
        fill: Fill,
        check: impl FnOnce(&[u8]) -> std::result::Result<(), &'static str>,
    ) -> Result<Frame> {
        let key = BlockKey { file_id: self.meta.file_id, offset };
        if fill == Fill::Cache {
            if let Some(frame) = self.context.cache.get(key) {
                self.context.stats.cache_hits.add(1);
                return Ok(frame);
            }
            self.context.stats.cache_misses.add(1);
        }
        let frame = Arc::new(self.read_frame(kind, offset, len, check)?);
        if fill == Fill::Cache {
            self.context.cache.insert(key, Arc::clone(&frame));
        }
        Ok(frame)
    }

    /// Reads a frame from the disk and checks it. `offset` and `len` have been checked against the
    /// length of the file.
    fn read_frame(
        &self,
        kind: FrameKind,
        offset: u64,
        len: u32,
        check: impl FnOnce(&[u8]) -> std::result::Result<(), &'static str>,
    ) -> Result<Vec<u8>> {
        let bytes = format::read_exact(&*self.file, &self.name, offset, len as usize)?;
        self.context.stats.bytes_read.add(u64::from(len));
        format::check_frame(&bytes, kind, self.meta.file_id, offset)
            .and_then(|()| check(&bytes))
            .map_err(|what| self.damage(offset, what))?;
        Ok(bytes)
    }

    fn damage(&self, offset: u64, what: &str) -> StorageError {
        StorageError::corruption(self.name.clone(), offset, what)
    }

    /// Takes the blocks out of the cache: the file goes away.
    pub(crate) fn forget(&self) {
        let Some(index) = self.index.get() else { return };
        let file_id = self.meta.file_id;
        let blocks = (0..index.len()).map(|position| index.block(position).offset);
        let filters = (0..index.filter_count()).filter_map(|n| index.filter(n as u32));
        for offset in blocks.chain(filters.map(|(offset, _)| offset)) {
            self.context.cache.remove(BlockKey { file_id, offset });
        }
    }
}
