//! Writes a table, front to back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::{Env, File, FileKind, OpenHow};
use driftdb_storage::{EngineOptions, Entry, KeyspaceId, Result, Timestamp};

use super::block::BlockBuilder;
use super::filter::{self, KEYS_PER_FILTER};
use super::footer::Footer;
use super::index::{BlockRef, IndexBuilder, NO_FILTER};
use super::{TableContext, TableMeta, path_of};
use crate::format::{self, FileType, FrameKind, PREAMBLE_BYTES};
use crate::run::{Bounds, Place};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;

pub(crate) struct TableWriter {
    env: Env,
    path: PathBuf,
    file: Arc<dyn File>,
    context: Arc<TableContext>,
    file_id: u64,
    block_size_bytes: usize,
    filter_bits_per_key: usize,
    /// Bytes not yet written, and where they will lie.
    pending: Vec<u8>,
    pending_offset: u64,
    block: BlockBuilder,
    bounds: Option<(Timestamp, Timestamp)>,
    /// The last entry added.
    last: Option<(KeyspaceId, Timestamp)>,
    last_key: Vec<u8>,
    /// The first entry added.
    first: Place,
    hashes: Vec<u64>,
    index: IndexBuilder,
    footer: Footer,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TableWriter {
    /// # Errors
    /// The file could not be made.
    pub(crate) fn create(
        env: &Env,
        dir: &Path,
        file_id: u64,
        options: &EngineOptions,
        context: &Arc<TableContext>,
    ) -> Result<Self> {
        let path = path_of(dir, file_id);
        let file = env.disk().open(&path, OpenHow::CreateNew, FileKind::Table)?;
        let (min_ts, max_ts) = (Timestamp::MAX, Timestamp::MIN);
        Ok(Self {
            env: env.clone(),
            path,
            file,
            context: Arc::clone(context),
            file_id,
            block_size_bytes: options.block_size_bytes,
            filter_bits_per_key: options.filter_bits_per_key,
            pending: format::preamble(FileType::Table, file_id).to_vec(),
            pending_offset: 0,
            block: BlockBuilder::default(),
            bounds: None,
            last: None,
            last_key: Vec::new(),
            first: Place::default(),
            hashes: Vec::new(),
            index: IndexBuilder::default(),
            footer: Footer {
                index_offset: PREAMBLE_BYTES as u64,
                index_len: 0,
                entry_count: 0,
                key_count: 0,
                tombstone_count: 0,
                min_ts,
                max_ts,
            },
        })
    }

    /// How long the file would be without its index, were it to end here.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.pending_offset + (self.pending.len() + self.block.size_bytes()) as u64
    }

    /// The first and the last key added.
    pub(crate) fn bounds(&self) -> Bounds {
        let space = self.last.map_or(self.first.space, |(space, _)| space);
        Bounds::new(self.first.clone(), Place::new(space, &self.last_key))
    }

    /// Adds the next entry in the order of tables.
    ///
    /// # Errors
    /// I/O: the table cannot be completed, only removed.
    pub(crate) fn add(&mut self, space: KeyspaceId, entry: Entry<'_>) -> Result<()> {
        let is_new_space = self.last.is_some_and(|(last, _)| last != space);
        if is_new_space || self.block.size_bytes() >= self.block_size_bytes {
            self.end_block()?;
        }
        let is_new_key = is_new_space || self.last.is_none() || self.last_key != entry.key;
        if self.last.is_none() {
            self.first = Place::new(space, entry.key);
        }
        if let Some((last, last_ts)) = self.last {
            assert!(last <= space, "keyspaces ascend");
            assert!(is_new_space || *self.last_key <= *entry.key, "keys ascend");
            assert!(is_new_key || entry.ts < last_ts, "versions descend");
        }
        let (min_ts, max_ts) = self.bounds.unwrap_or((entry.ts, entry.ts));
        self.bounds = Some((min_ts.min(entry.ts), max_ts.max(entry.ts)));
        self.footer.entry_count += 1;
        self.footer.key_count += u64::from(is_new_key);
        self.footer.tombstone_count += u64::from(entry.value.is_none());
        if self.filter_bits_per_key > 0 {
            let hash = filter::hash(space, entry.key);
            if self.hashes.last() != Some(&hash) {
                self.hashes.push(hash);
            }
        }
        self.block.add(space, entry);
        self.last = Some((space, entry.ts));
        if is_new_key {
            self.last_key.clear();
            self.last_key.extend_from_slice(entry.key);
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let (Some((space, last_ts)), Some((min_ts, max_ts))) = (self.last, self.bounds.take())
        else {
            return Ok(());
        };
        let payload = self.block.finish();
        let offset = self.pending_offset + self.pending.len() as u64;
        let before = self.pending.len();
        format::write_frame(&mut self.pending, FrameKind::Data, self.file_id, offset, payload);
        let len = (self.pending.len() - before) as u32;
        self.block.clear();
        let has_filter = self.filter_bits_per_key > 0;
        let filter = if has_filter { self.index.next_filter() } else { NO_FILTER };
        let last_key = &self.last_key;
        let block = BlockRef { offset, len, space, last_key, last_ts, min_ts, max_ts, filter };
        self.index.add_block(&block);
        self.footer.min_ts = self.footer.min_ts.min(min_ts);
        self.footer.max_ts = self.footer.max_ts.max(max_ts);
        if self.hashes.len() >= KEYS_PER_FILTER {
            self.end_filter();
        }
        self.write_pending(WRITE_BYTES)
    }

    fn end_filter(&mut self) {
        if self.hashes.is_empty() {
            return;
        }
        let payload = filter::build(&self.hashes, self.filter_bits_per_key);
        self.hashes.clear();
        let (offset, len) = self.frame(FrameKind::Filter, &payload);
        self.index.add_filter(offset, len);
    }

    /// Appends a frame; returns its place.
    fn frame(&mut self, kind: FrameKind, payload: &[u8]) -> (u64, u32) {
        let offset = self.pending_offset + self.pending.len() as u64;
        let before = self.pending.len();
        format::write_frame(&mut self.pending, kind, self.file_id, offset, payload);
        (offset, (self.pending.len() - before) as u32)
    }

    /// Writes what is pending if it is at least `threshold` bytes.
    fn write_pending(&mut self, threshold: usize) -> Result<()> {
        if self.pending.len() < threshold {
            return Ok(());
        }
        self.file.write_at(self.pending_offset, &self.pending)?;
        self.context.stats.bytes_written.add(self.pending.len() as u64);
        self.pending_offset += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the rest. The file is complete, but not yet durable.
    ///
    /// # Errors
    /// I/O: remove the file.
    pub(crate) fn finish(&mut self, folded_to: Timestamp) -> Result<TableMeta> {
        assert!(self.footer.entry_count > 0, "a table has entries");
        self.end_block()?;
        self.end_filter();
        let index = std::mem::take(&mut self.index).finish();
        let (offset, len) = self.frame(FrameKind::Index, &index);
        self.footer.index_offset = offset;
        self.footer.index_len = len;
        let footer = self.footer.encode();
        self.frame(FrameKind::Footer, &footer);
        self.write_pending(0)?;
        Ok(TableMeta {
            file_id: self.file_id,
            size_bytes: self.pending_offset,
            entry_count: self.footer.entry_count,
            key_count: self.footer.key_count,
            tombstone_count: self.footer.tombstone_count,
            min_ts: self.footer.min_ts,
            max_ts: self.footer.max_ts,
            folded_to,
        })
    }

    /// Makes the bytes durable; the name is the caller's business.
    ///
    /// # Errors
    /// The sync failed: remove the file.
    pub(crate) fn sync(&self) -> Result<()> {
        Ok(self.file.sync_data()?)
    }

    /// Removes a file that nothing refers to. What fails here, the next open cleans up.
    pub(crate) fn discard(self) {
        drop(self.env.disk().remove(&self.path));
    }
}
