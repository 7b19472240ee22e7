//! The two superblocks: the one place that says which tree is the current one.
//!
//! They alternate between two slots. Each is one sector, which a crash leaves whole, old or new; and
//! each slot has two copies, written one after the other, because a *write that fails* may leave
//! half a sector behind. So one damaged copy is repaired from the other, and two are damage.
//! Layout: `docs/formats/btree.md`.

use driftdb_storage::{Commit, Lsn, StorageError, Timestamp};

use crate::node::PageRef;
use crate::page::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, u32_at, u64_at};

/// Bytes of a superblock: one sector.
pub(crate) const SUPERBLOCK: usize = 512;

/// Copies lie apart by this much: in different physical sectors of any disk.
const COPY_DISTANCE: u64 = 4096;

/// Bytes at the start of the file that belong to the superblocks.
pub(crate) const SUPERBLOCK_AREA: u64 = 4 * COPY_DISTANCE;

/// Where a copy of a slot lies.
pub(crate) fn offset(slot: usize, copy: usize) -> u64 {
    (slot * 2 + copy) as u64 * COPY_DISTANCE
}

/// The name of the page file.
pub(crate) const FILE_NAME: &str = "pages.db";

/// The format that this program writes.
pub(crate) const FORMAT_VERSION: u32 = 2;

/// The oldest format that it reads: no history, and zeroes in place of the catalogue.
const OLDEST_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"DriftDBp";
const ENGINE: &[u8; 16] = b"btree\0\0\0\0\0\0\0\0\0\0\0";

/// Everything that a root switch switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// The format of the newest pages that it may lead to: raised by the first checkpoint.
    pub(crate) version: u32,
    /// Tells this database from every other.
    pub(crate) database_id: u64,
    pub(crate) page_size: usize,
    /// Counts checkpoints; even ones are in the first slot.
    pub(crate) generation: u64,
    /// Everything up to here is in the tree.
    pub(crate) commit: Commit,
    /// Pages in the file, free ones included.
    pub(crate) page_count: u64,
    /// Free pages among them.
    pub(crate) free_count: u64,
    /// The root, or none: an empty tree.
    pub(crate) root: PageRef,
    pub(crate) root_level: u8,
    /// The list of free pages, or none.
    pub(crate) free_list: PageRef,
    /// Keyspaces and floors of history, or none.
    pub(crate) facts: PageRef,
    /// The catalogue of history pages, or none.
    pub(crate) catalogue: PageRef,
}

impl Superblock {
    /// That of a file without pages.
    pub(crate) fn empty(database_id: u64, page_size: usize) -> Self {
        Self {
            version: FORMAT_VERSION,
            database_id,
            page_size,
            generation: 0,
            commit: Commit::default(),
            page_count: 0,
            free_count: 0,
            root: PageRef::default(),
            root_level: 0,
            free_list: PageRef::default(),
            facts: PageRef::default(),
            catalogue: PageRef::default(),
        }
    }

    /// The slot where this superblock lies, by its generation.
    pub(crate) fn slot(&self) -> usize {
        (self.generation % 2) as usize
    }

    pub(crate) fn encode(&self) -> [u8; SUPERBLOCK] {
        let mut out = [0; SUPERBLOCK];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&self.version.to_le_bytes());
        out[16..32].copy_from_slice(ENGINE);
        out[32..40].copy_from_slice(&self.database_id.to_le_bytes());
        out[40..44].copy_from_slice(&(self.page_size as u32).to_le_bytes());
        out[44..48].copy_from_slice(&u32::from(self.root_level).to_le_bytes());
        out[48..56].copy_from_slice(&self.generation.to_le_bytes());
        out[56..64].copy_from_slice(&self.commit.lsn.0.to_le_bytes());
        out[64..72].copy_from_slice(&self.commit.ts.0.to_le_bytes());
        out[72..80].copy_from_slice(&self.page_count.to_le_bytes());
        out[80..88].copy_from_slice(&self.free_count.to_le_bytes());
        for (index, at) in
            [self.root, self.free_list, self.facts, self.catalogue].into_iter().enumerate()
        {
            let start = 88 + index * 12;
            out[start..start + 8].copy_from_slice(&at.page.to_le_bytes());
            out[start + 8..start + 12].copy_from_slice(&at.crc.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes the superblock that was read from a copy of `slot` in the file `name`.
    ///
    /// # Errors
    /// Damage; another format version; another engine's file.
    pub(crate) fn decode(
        bytes: &[u8; SUPERBLOCK],
        name: &str,
        slot: usize,
        copy: usize,
    ) -> Result<Self, StorageError> {
        let damage = |what| StorageError::corruption(name, offset(slot, copy), what);
        let mut unsigned = *bytes;
        unsigned[12..16].fill(0);
        if crc32c::crc32c(&unsigned) != u32_at(bytes, 12) {
            return Err(damage("superblock checksum does not match"));
        }
        if bytes[..8] != *MAGIC {
            return Err(damage("not a page file of DriftDB"));
        }
        let version = u32_at(bytes, 8);
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
            return Err(StorageError::FormatVersion {
                file: name.to_owned(),
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        if bytes[16..32] != *ENGINE {
            return Err(damage("superblock of another engine"));
        }
        let at = |start| PageRef { page: u64_at(bytes, start), crc: u32_at(bytes, start + 8) };
        let superblock = Self {
            version,
            database_id: u64_at(bytes, 32),
            page_size: u32_at(bytes, 40) as usize,
            generation: u64_at(bytes, 48),
            commit: Commit { lsn: Lsn(u64_at(bytes, 56)), ts: Timestamp(u64_at(bytes, 64)) },
            page_count: u64_at(bytes, 72),
            free_count: u64_at(bytes, 80),
            root: at(88),
            root_level: u8::try_from(u32_at(bytes, 44)).map_err(|_| damage("tree too high"))?,
            free_list: at(100),
            facts: at(112),
            catalogue: at(124),
        };
        superblock.check(slot).map_err(damage)?;
        Ok(superblock)
    }

    fn check(&self, slot: usize) -> Result<(), &'static str> {
        if self.slot() != slot {
            return Err("superblock of the other slot");
        }
        if !self.page_size.is_power_of_two()
            || !(MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&self.page_size)
        {
            return Err("page size out of bounds");
        }
        // Below this, no byte offset overflows.
        if self.page_count > (1 << 47) || self.free_count > self.page_count {
            return Err("page count out of bounds");
        }
        let within = |at: PageRef| at.page <= self.page_count;
        let roots = [self.root, self.free_list, self.facts, self.catalogue];
        if !roots.into_iter().all(within) {
            return Err("root page out of bounds");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        Superblock {
            version: FORMAT_VERSION,
            database_id: 7,
            page_size: 8192,
            generation: 4,
            commit: Commit { lsn: Lsn(1), ts: Timestamp(2) },
            page_count: 30,
            free_count: 2,
            root: PageRef { page: 3, crc: 4 },
            root_level: 1,
            free_list: PageRef { page: 5, crc: 6 },
            facts: PageRef::default(),
            catalogue: PageRef { page: 7, crc: 8 },
        }
    }

    #[test]
    fn comes_back() {
        assert_eq!(Superblock::decode(&sample().encode(), FILE_NAME, 0, 0).unwrap(), sample());
    }

    #[test]
    fn every_flipped_bit_is_damage() {
        let bytes = sample().encode();
        for bit in 0..SUPERBLOCK * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            let found = Superblock::decode(&damaged, FILE_NAME, 0, 0);
            assert!(matches!(found, Err(StorageError::Corruption(_))), "bit {bit}: {found:?}");
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut bytes = sample().encode();
        bytes[8] = 9;
        bytes[12..16].fill(0);
        let crc = crc32c::crc32c(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        let found = Superblock::decode(&bytes, FILE_NAME, 0, 0);
        assert!(matches!(found, Err(StorageError::FormatVersion { found: 9, .. })), "{found:?}");
    }
}
