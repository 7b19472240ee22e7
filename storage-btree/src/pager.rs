//! The page file: reads checked chains, gathers writes, counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driftdb_env::File;
use driftdb_storage::{Result, StorageError};

use crate::cache::Cache;
use crate::codec::{Layout, Overflow, decode_node};
use crate::node::{Location, Node, PageRef};
use crate::page::{self, HEADER, Header, PageKind};
use crate::striped::Striped;
use crate::superblock::{self, SUPERBLOCK, SUPERBLOCK_AREA, Superblock};

/// Neighbouring pages are written together, up to this many bytes.
const WRITE_BYTES: usize = 256 << 10;

/// Figures since open.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) pages_written: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    /// Keys and values of the batches applied.
    pub(crate) user_bytes: AtomicU64,
    pub(crate) versions_examined: Striped,
    pub(crate) history_slices_read: Striped,
    pub(crate) history_slices_written: AtomicU64,
    pub(crate) history_pages_written: AtomicU64,
    pub(crate) history_pages_freed: AtomicU64,
}

/// The page file and its cache.
pub(crate) struct Pager {
    file: Arc<dyn File>,
    /// The path, as damage is reported.
    name: String,
    pub(crate) page_size: usize,
    cache: Cache,
    /// Pages of the durable tree's file: no reference is beyond it.
    page_count: AtomicU64,
    pub(crate) counters: Arc<Counters>,
}

/// A chain as read.
pub(crate) struct Chain {
    pub(crate) payload: Vec<u8>,
    pub(crate) location: Location,
}

impl Pager {
    pub(crate) fn new(
        file: Arc<dyn File>,
        name: String,
        superblock: &Superblock,
        cache_bytes: usize,
    ) -> Self {
        let page_size = superblock.page_size;
        let cache = Cache::new(cache_bytes, page_size);
        let page_count = AtomicU64::new(superblock.page_count);
        Self { file, name, page_size, cache, page_count, counters: Arc::default() }
    }

    /// The file has grown.
    pub(crate) fn set_page_count(&self, page_count: u64) {
        self.page_count.store(page_count, Ordering::Release);
    }

    /// Gives back what lies beyond the durable tree's pages. Best effort: a longer file does no harm.
    pub(crate) fn cut_to_pages(&self) {
        let len = self.file_len(self.page_count.load(Ordering::Acquire));
        drop(self.file.set_len(len));
    }

    /// Reports each figure under its name.
    pub(crate) fn report(&self, out: &mut dyn FnMut(&'static str, u64)) {
        let counters = &self.counters;
        for (name, counter) in [
            ("user_bytes_written", &counters.user_bytes),
            ("checkpoints", &counters.checkpoints),
            ("pages_written", &counters.pages_written),
            ("bytes_written", &counters.bytes_written),
            ("bytes_read", &counters.bytes_read),
            ("history_slices_written", &counters.history_slices_written),
            ("history_pages_written", &counters.history_pages_written),
            ("history_pages_freed", &counters.history_pages_freed),
        ] {
            out(name, counter.load(Ordering::Relaxed));
        }
        out("versions_examined", counters.versions_examined.sum());
        out("history_slices_read", counters.history_slices_read.sum());
        let (hits, misses, bytes) = self.cache.figures();
        out("cache_hits", hits);
        out("cache_misses", misses);
        out("cache_bytes_now", bytes);
        out("disk_bytes_now", self.file.len().unwrap_or_default());
    }

    /// Bytes of payload that one page holds.
    pub(crate) fn capacity(&self) -> usize {
        self.page_size - HEADER
    }

    /// Values beyond this go to overflow pages.
    pub(crate) fn max_inline(&self) -> usize {
        self.capacity() / 4
    }

    /// Where a page lies in the file, in bytes.
    ///
    /// # Panics
    /// On page 0, which is no page.
    pub(crate) fn offset(&self, page: u64) -> u64 {
        assert_ne!(page, 0);
        SUPERBLOCK_AREA.saturating_add((page - 1).saturating_mul(self.page_size as u64))
    }

    /// How long the file is at least when it has `page_count` pages.
    pub(crate) fn file_len(&self, page_count: u64) -> u64 {
        SUPERBLOCK_AREA + page_count * self.page_size as u64
    }

    /// Damage at a page.
    pub(crate) fn damage(&self, page: u64, what: impl Into<String>) -> StorageError {
        StorageError::corruption(&self.name, self.offset(page.max(1)), what)
    }

    /// The node at `at`, which its parent says is of `level`.
    pub(crate) fn node(&self, at: PageRef, level: u8) -> Result<Arc<Node>> {
        if let Some(node) = self.cache.get(at) {
            if node.level == level {
                return Ok(node);
            }
            return Err(self.damage(at.page, "node at the wrong height of the tree"));
        }
        let node = Arc::new(self.read_node(at, level)?);
        self.cache.insert(at, &node);
        Ok(node)
    }

    /// Takes the node at `at` out of the cache.
    pub(crate) fn take(&self, at: PageRef) -> Option<Arc<Node>> {
        self.cache.take(at)
    }

    /// The node at `at`, if it is in memory.
    pub(crate) fn cached(&self, at: PageRef) -> Option<Arc<Node>> {
        self.cache.get(at)
    }

    /// A node was found without asking the cache.
    #[inline]
    pub(crate) fn found(&self, at: PageRef) {
        self.cache.found(at);
    }

    /// Keeps a node that was just written.
    pub(crate) fn keep(&self, at: PageRef, node: &Arc<Node>) {
        self.cache.insert(at, node);
    }

    /// As [`Pager::node`], always from disk.
    pub(crate) fn read_node(&self, at: PageRef, level: u8) -> Result<Node> {
        let kind = if level == 0 { PageKind::Leaf } else { PageKind::Branch };
        let mut image = vec![0; self.page_size];
        let header = self.read_page(at, &mut image)?;
        if header.kind != kind {
            return Err(self.damage(at.page, "page of another kind"));
        }
        if header.level != level {
            return Err(self.damage(at.page, "node at the wrong height of the tree"));
        }
        let node = if header.next.is_none() {
            let location = Location { at, more: Vec::new() };
            decode_node(&image[HEADER..HEADER + header.len], level, header.layout, location)
        } else {
            let chain = self.read_chain(at, kind, u64::MAX)?;
            decode_node(&chain.payload, level, header.layout, chain.location)
        };
        node.map_err(|what| self.damage(at.page, what))
    }

    /// A value on overflow pages.
    pub(crate) fn read_overflow(&self, overflow: Overflow) -> Result<Chain> {
        let chain = self.read_chain(overflow.at, PageKind::Overflow, overflow.len)?;
        if chain.payload.len() as u64 != overflow.len {
            return Err(self.damage(overflow.at.page, "overflow value of another length"));
        }
        Ok(chain)
    }

    /// Reads a chain of at most `max_len` bytes. Every page is checked before its content is used,
    /// so memory grows only with pages that were really written.
    pub(crate) fn read_chain(&self, at: PageRef, kind: PageKind, max_len: u64) -> Result<Chain> {
        let mut image = vec![0; self.page_size];
        let mut location = Location { at, more: Vec::new() };
        let mut payload = Vec::new();
        let mut next = at;
        let mut read_count = 0;
        while !next.is_none() {
            // Counted, not told by what was gathered: pages may be empty.
            if read_count >= self.page_count.load(Ordering::Acquire) {
                return Err(self.damage(next.page, "chain that runs in a circle"));
            }
            let header = self.read_page(next, &mut image)?;
            if header.kind != kind {
                return Err(self.damage(next.page, "page of another kind"));
            }
            if read_count > 0 {
                location.more.push(header.page);
            }
            read_count += 1;
            payload.extend_from_slice(&image[HEADER..HEADER + header.len]);
            if payload.len() as u64 > max_len {
                return Err(self.damage(at.page, "chain longer than its reference says"));
            }
            next = header.next;
        }
        Ok(Chain { payload, location })
    }

    fn read_page(&self, at: PageRef, image: &mut [u8]) -> Result<Header> {
        if at.page > self.page_count.load(Ordering::Acquire) {
            return Err(self.damage(at.page, "reference to a page that does not exist"));
        }
        let read = self.file.read_at(self.offset(at.page), image)?;
        self.counters.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        if read < image.len() {
            return Err(self.damage(at.page, "page beyond the end of the file"));
        }
        page::open(image, at).map_err(|what| self.damage(at.page, what))
    }

    /// Reads one copy of a superblock from the file of that name.
    pub(crate) fn read_superblock(
        file: &dyn File,
        name: &str,
        slot: usize,
        copy: usize,
    ) -> Result<Superblock> {
        let (mut bytes, offset) = ([0; SUPERBLOCK], superblock::offset(slot, copy));
        if file.read_at(offset, &mut bytes)? < SUPERBLOCK {
            return Err(StorageError::corruption(name, offset, "superblock cut short"));
        }
        Superblock::decode(&bytes, name, slot, copy)
    }

    /// Writes both copies of a superblock; the switch is durable after [`Pager::sync`].
    pub(crate) fn write_superblock(&self, superblock: &Superblock) -> Result<()> {
        (0..2).try_for_each(|copy| self.write_superblock_copy(superblock, copy))
    }

    /// Writes one copy. The other one must be whole on disk: a write that fails may tear this one.
    pub(crate) fn write_superblock_copy(&self, superblock: &Superblock, copy: usize) -> Result<()> {
        self.counters.bytes_written.fetch_add(SUPERBLOCK as u64, Ordering::Relaxed);
        let offset = superblock::offset(superblock.slot(), copy);
        Ok(self.file.write_at(offset, &superblock.encode())?)
    }

    pub(crate) fn sync(&self) -> Result<()> {
        Ok(self.file.sync_data()?)
    }

    /// The path of the page file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The page file itself.
    pub(crate) fn file(&self) -> &dyn File {
        &*self.file
    }
}

/// Gathers pages and writes neighbours together.
pub(crate) struct PageWriter<'a> {
    pager: &'a Pager,
    generation: u64,
    buffer: Vec<u8>,
    /// The page of the first buffered image.
    first: u64,
}

impl<'a> PageWriter<'a> {
    pub(crate) fn new(pager: &'a Pager, generation: u64) -> Self {
        Self { pager, generation, buffer: Vec::new(), first: 0 }
    }

    /// Bytes of payload that one page holds.
    pub(crate) fn capacity(&self) -> usize {
        self.pager.capacity()
    }

    pub(crate) fn page_size(&self) -> usize {
        self.pager.page_size
    }

    pub(crate) fn pager(&self) -> &'a Pager {
        self.pager
    }

    /// How many pages `payload_len` bytes take.
    pub(crate) fn pages_for(&self, payload_len: usize) -> usize {
        payload_len.div_ceil(self.pager.capacity()).max(1)
    }

    /// Writes `payload` over `pages`, in this order; pages that it does not fill hold padding.
    pub(crate) fn write_chain(
        &mut self,
        kind: PageKind,
        level: u8,
        payload: &[u8],
        pages: &[u64],
    ) -> Result<Location> {
        let capacity = self.pager.capacity();
        assert!(self.pages_for(payload.len()) <= pages.len());
        let layout = match kind {
            PageKind::Leaf | PageKind::Branch => Layout::Packed,
            PageKind::Overflow
            | PageKind::FreeList
            | PageKind::Facts
            | PageKind::History
            | PageKind::Catalogue => Layout::Plain,
        };
        let generation = self.generation;
        if let &[page] = pages {
            let (next, len) = (PageRef::default(), payload.len());
            let header = Header { kind, level, layout, page, generation, next, len };
            let image = self.next_image(page)?;
            image[HEADER..HEADER + len].copy_from_slice(payload);
            let at = PageRef { page, crc: page::seal(image, &header) };
            return Ok(Location { at, more: Vec::new() });
        }
        // Each page holds the checksum of the next one, so the last is made first.
        let mut images = Vec::with_capacity(pages.len());
        let mut next = PageRef::default();
        for (index, &page) in pages.iter().enumerate().rev() {
            let from = payload.len().min(index * capacity);
            let part = &payload[from..payload.len().min(from + capacity)];
            let mut image = vec![0; self.pager.page_size];
            image[HEADER..HEADER + part.len()].copy_from_slice(part);
            let header = Header { kind, level, layout, page, generation, next, len: part.len() };
            next = PageRef { page, crc: page::seal(&mut image, &header) };
            images.push((page, image));
        }
        for (page, image) in images.into_iter().rev() {
            self.next_image(page)?.copy_from_slice(&image);
        }
        Ok(Location { at: next, more: pages[1..].to_vec() })
    }

    /// Zeroes that go to the file as `page`, for the caller to fill.
    fn next_image(&mut self, page: u64) -> Result<&mut [u8]> {
        let buffered = (self.buffer.len() / self.pager.page_size) as u64;
        if buffered > 0 && (self.first + buffered != page || self.buffer.len() >= WRITE_BYTES) {
            self.flush()?;
        }
        if self.buffer.is_empty() {
            self.first = page;
        }
        let start = self.buffer.len();
        self.buffer.resize(start + self.pager.page_size, 0);
        Ok(&mut self.buffer[start..])
    }

    /// Hands what is gathered to the file.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let counters = &self.pager.counters;
        let pages = (self.buffer.len() / self.pager.page_size) as u64;
        counters.pages_written.fetch_add(pages, Ordering::Relaxed);
        counters.bytes_written.fetch_add(self.buffer.len() as u64, Ordering::Relaxed);
        self.pager.file.write_at(self.pager.offset(self.first), &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use driftdb_env::{Disk, FileKind, OpenHow};
    use driftdb_sim_disk::SimDisk;

    use super::*;

    #[test]
    fn an_empty_page_that_follows_itself_is_damage() {
        let disk = SimDisk::new(1);
        let path = Path::new("/pages.db");
        let file = disk.open(path, OpenHow::CreateNew, FileKind::Pages).unwrap();
        let at = PageRef { page: 1, crc: 7 };
        let superblock = Superblock { page_count: 1, root: at, ..Superblock::empty(1, 512) };
        let mut image = vec![0; 512];
        // With these four bytes the checksum of the page is the one that it has in its own reference.
        image[508..].copy_from_slice(&0x665c91d5_u32.to_le_bytes());
        let (kind, layout) = (PageKind::Overflow, Layout::Plain);
        let header = Header { kind, level: 0, layout, page: 1, generation: 0, next: at, len: 0 };
        assert_eq!(page::seal(&mut image, &header), at.crc);
        file.write_at(SUPERBLOCK_AREA, &image).unwrap();
        let pager = Pager::new(file, "pages.db".to_owned(), &superblock, 1 << 16);
        let found = pager.read_chain(at, PageKind::Overflow, 100).map(|chain| chain.payload);
        assert!(matches!(found, Err(StorageError::Corruption(_))), "{found:?}");
    }
}
