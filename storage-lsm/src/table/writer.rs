//! Writes a table, front to back.
//!
//! Entries come in the order of tables and go to two sections: the first of each key to the newest, the
//! rest to the history. Each section fills a block of its own; full blocks go to the file as they come,
//! so that memory stays bounded, and the sections interleave in the file. Only the first blocks wait, until it
//! is known whether the table gets a dictionary ([`held`]).

mod held;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::{Env, File, FileKind, OpenHow};
use driftdb_storage::{
    Compression, EngineOptions, Entry, FilterKind, KeyspaceId, Result, Timestamp,
};

use super::block::BlockBuilder;
use super::compress::{Codec, Compressor};
use super::dictionary;
use super::filter::{self, KEYS_PER_FILTER};
use super::footer::{Footer, FramePlace};
use super::index::{BlockRef, IndexBuilder, NO_FILTER};
use super::{Section, TableContext, TableMeta, path_of};
use crate::format::{self, FileType, FrameKind, PREAMBLE_BYTES};
use crate::run::{Bounds, Place};
use held::Held;

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;

pub(crate) struct TableWriter {
    env: Env,
    path: PathBuf,
    file: Arc<dyn File>,
    context: Arc<TableContext>,
    file_id: u64,
    block_size_bytes: usize,
    filter_kind: FilterKind,
    filter_bits_per_key: usize,
    compressor: Compressor,
    /// The first blocks, while they wait.
    held: Option<Held>,
    /// Bytes not yet written, and where they will lie.
    pending: Vec<u8>,
    pending_offset: u64,
    newest: SectionWriter,
    history: SectionWriter,
    /// The last entry added; its key is the last of `newest`.
    last: Option<(KeyspaceId, Timestamp)>,
    last_key: Vec<u8>,
    /// The first entry added.
    first: Place,
    hashes: Vec<u64>,
    footer: Footer,
}

/// A section under way.
struct SectionWriter {
    codec: Codec,
    block: BlockBuilder,
    /// The bounds of the block's times, and its last.
    min_ts: Timestamp,
    max_ts: Timestamp,
    last_ts: Timestamp,
    index: IndexBuilder,
}

impl SectionWriter {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            block: BlockBuilder::default(),
            min_ts: Timestamp::MAX,
            max_ts: Timestamp::MIN,
            last_ts: Timestamp::MIN,
            index: IndexBuilder::default(),
        }
    }

    fn add(&mut self, space: KeyspaceId, entry: Entry<'_>) {
        self.block.add(space, entry);
        self.min_ts = self.min_ts.min(entry.ts);
        self.max_ts = self.max_ts.max(entry.ts);
        self.last_ts = entry.ts;
    }
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
        // History is written for keeps and read seldom: it gets the dense codec.
        let history_codec = match options.compression {
            Compression::None => Codec::Raw,
            Compression::Lz4 | Compression::Zstd => Codec::Zstd,
        };
        let footer = Footer {
            index: FramePlace::default(),
            history: FramePlace::default(),
            dictionary: None,
            entry_count: 0,
            key_count: 0,
            tombstone_count: 0,
            min_ts: Timestamp::MAX,
            max_ts: Timestamp::MIN,
        };
        Ok(Self {
            env: env.clone(),
            path,
            file,
            context: Arc::clone(context),
            file_id,
            block_size_bytes: options.block_size_bytes,
            filter_kind: options.filter,
            filter_bits_per_key: options.filter_bits_per_key,
            compressor: Compressor::default(),
            held: Held::under(options),
            pending: format::preamble(FileType::Table, footer.version(), file_id).to_vec(),
            pending_offset: 0,
            newest: SectionWriter::new(options.compression.into()),
            history: SectionWriter::new(history_codec),
            last: None,
            last_key: Vec::new(),
            first: Place::default(),
            hashes: Vec::new(),
            footer,
        })
    }

    /// The first and the last key added.
    pub(crate) fn bounds(&self) -> Bounds {
        let space = self.last.map_or(self.first.space, |(space, _)| space);
        Bounds::new(self.first.clone(), Place::new(space, &self.last_key))
    }

    /// How long the file would be without its indexes, were it to end here and blocks not to be
    /// compressed.
    pub(crate) fn size_bytes(&self) -> u64 {
        let blocks = self.newest.block.size_bytes() + self.history.block.size_bytes();
        let held = self.held.as_ref().map_or(0, Held::size_bytes);
        self.pending_offset + (self.pending.len() + held + blocks) as u64
    }

    /// Adds the next entry in the order of tables.
    ///
    /// # Errors
    /// I/O: the table cannot be completed, only removed.
    pub(crate) fn add(&mut self, space: KeyspaceId, entry: Entry<'_>) -> Result<()> {
        let is_new_space = self.last.is_some_and(|(last, _)| last != space);
        if is_new_space {
            self.end_block(Section::Newest)?;
            self.end_block(Section::History)?;
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
        if is_new_key {
            if self.newest.block.size_bytes() >= self.block_size_bytes {
                self.end_block(Section::Newest)?;
            }
            if self.filter_bits_per_key > 0 {
                self.hashes.push(filter::hash(space, entry.key));
            }
            self.newest.add(space, entry);
            self.last_key.clear();
            self.last_key.extend_from_slice(entry.key);
        } else {
            if self.history.block.size_bytes() >= self.block_size_bytes {
                self.end_block(Section::History)?;
            }
            self.history.add(space, entry);
            self.newest.block.mark_older();
            // The bounds cover all versions of the block's keys: see `BlockRef::min_ts`.
            self.newest.min_ts = self.newest.min_ts.min(entry.ts);
        }
        self.footer.entry_count += 1;
        self.footer.key_count += u64::from(is_new_key);
        self.footer.tombstone_count += u64::from(entry.value.is_none());
        self.footer.min_ts = self.footer.min_ts.min(entry.ts);
        self.footer.max_ts = self.footer.max_ts.max(entry.ts);
        self.last = Some((space, entry.ts));
        Ok(())
    }

    fn end_block(&mut self, section: Section) -> Result<()> {
        let writer = self.section(section);
        if writer.block.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut writer.block);
        let place = BlockRef {
            offset: 0,
            len: 0,
            space: block.space(),
            last_ts: writer.last_ts,
            min_ts: writer.min_ts,
            max_ts: writer.max_ts,
            filter: NO_FILTER,
        };
        if let Some(held) = &mut self.held {
            let payload = block.finish().to_vec();
            held.push(section, place, block.last_key(), payload);
        } else {
            let at = self.put_data(section, block.finish());
            self.index_block(section, &place, at, block.last_key());
        }
        block.clear();
        let writer = self.section(section);
        writer.block = block;
        (writer.min_ts, writer.max_ts) = (Timestamp::MAX, Timestamp::MIN);
        if section == Section::Newest && self.hashes.len() >= KEYS_PER_FILTER {
            self.end_filter();
        }
        if self.held.as_ref().is_some_and(Held::is_full) {
            self.settle()?;
        }
        self.write_pending(WRITE_BYTES)
    }

    fn section(&mut self, section: Section) -> &mut SectionWriter {
        match section {
            Section::Newest => &mut self.newest,
            Section::History => &mut self.history,
        }
    }

    /// Appends the frame of a data block; returns its place.
    fn put_data(&mut self, section: Section, payload: &[u8]) -> FramePlace {
        let wanted = self.section(section).codec;
        let (codec, stored) = self.compressor.compress(wanted, payload);
        let offset = self.pending_offset + self.pending.len() as u64;
        let before = self.pending.len();
        let kind = FrameKind::Data;
        format::write_coded_frame(&mut self.pending, kind, codec, self.file_id, offset, stored);
        FramePlace { offset, len: (self.pending.len() - before) as u32 }
    }

    /// Names a block in the index of its section.
    fn index_block(&mut self, section: Section, block: &BlockRef, at: FramePlace, last_key: &[u8]) {
        let has_filter = section == Section::Newest && self.filter_bits_per_key > 0;
        let FramePlace { offset, len } = at;
        let index = &mut self.section(section).index;
        let filter = if has_filter { index.next_filter() } else { NO_FILTER };
        index.add_block(&BlockRef { offset, len, filter, ..*block }, last_key);
    }

    fn end_filter(&mut self) {
        if self.hashes.is_empty() {
            return;
        }
        let payload = filter::build(self.filter_kind, &mut self.hashes, self.filter_bits_per_key);
        self.hashes.clear();
        match &mut self.held {
            Some(held) => held.push_filter(payload),
            None => self.put_filter(&payload),
        }
    }

    fn put_filter(&mut self, payload: &[u8]) {
        let FramePlace { offset, len } = self.frame(FrameKind::Filter, payload);
        self.newest.index.add_filter(offset, len);
    }

    /// Decides whether the table gets a dictionary, and writes what has waited for that.
    fn settle(&mut self) -> Result<()> {
        let Some(held) = self.held.take() else { return Ok(()) };
        if held.is_full() {
            match dictionary::train(&held.payloads(), &mut self.compressor) {
                Some(dictionary) => {
                    self.adopt(&dictionary);
                    self.context.stats.dictionaries.add(1);
                }
                None => self.context.stats.dictionaries_declined.add(1),
            }
        }
        for block in held.into_blocks() {
            let at = self.put_data(block.section, &block.payload);
            self.index_block(block.section, &block.place, at, &block.last_key);
            if let Some(filter) = block.filter {
                self.put_filter(&filter);
            }
            self.write_pending(WRITE_BYTES)?;
        }
        Ok(())
    }

    /// The dictionary comes before all blocks, and all are compressed with it.
    fn adopt(&mut self, dictionary: &[u8]) {
        assert_eq!(self.pending_offset, 0, "blocks have waited");
        self.pending.clear();
        // Takes the place of the preamble until the version is known.
        self.pending.resize(PREAMBLE_BYTES, 0);
        self.footer.dictionary = Some(self.frame(FrameKind::Dictionary, dictionary));
        let preamble = format::preamble(FileType::Table, self.footer.version(), self.file_id);
        self.pending[..PREAMBLE_BYTES].copy_from_slice(&preamble);
        self.newest.codec = Codec::ZstdDictionary;
        self.history.codec = Codec::ZstdDictionary;
    }

    /// Appends a frame; returns its place.
    fn frame(&mut self, kind: FrameKind, payload: &[u8]) -> FramePlace {
        let offset = self.pending_offset + self.pending.len() as u64;
        let before = self.pending.len();
        format::write_frame(&mut self.pending, kind, self.file_id, offset, payload);
        FramePlace { offset, len: (self.pending.len() - before) as u32 }
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
        self.end_block(Section::Newest)?;
        self.end_block(Section::History)?;
        self.settle()?;
        self.end_filter();
        if !self.history.index.is_empty() {
            let index = std::mem::take(&mut self.history.index).finish();
            self.footer.history = self.frame(FrameKind::Index, &index);
        }
        let index = std::mem::take(&mut self.newest.index).finish();
        self.footer.index = self.frame(FrameKind::Index, &index);
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

#[cfg(test)]
mod tests;
