//! The file that says how far the log has been begun.
//!
//! A segment vouches for the ones before it, by its number and by where it starts. Nothing would vouch for
//! the last one: deleted, with no segment prepared behind it, it would be missed by nobody. So the number of
//! each segment is written here when it begins, after its first records are durable and before they are
//! acknowledged: one sync more for a segment of 16 MiB. Two slots alternate, so that one always stands.
//! Layout: `docs/formats/wal.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::{Env, File, FileKind, OpenHow};
use driftdb_storage::Result;

const NAME: &str = "begun";
const MAGIC: &[u8; 8] = b"DriftWLB";
/// The slots lie in different sectors of any disk.
const SLOT_DISTANCE: u64 = 4096;
const SLOT_BYTES: usize = 32;

/// The last segment that was begun, as the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Begins {
    pub(crate) number: u32,
    pub(crate) log_id: u64,
}

impl Begins {
    fn encode(self) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(MAGIC);
        slot[12..16].copy_from_slice(&self.number.to_le_bytes());
        slot[16..24].copy_from_slice(&self.log_id.to_le_bytes());
        let crc = crc32c::crc32c(&slot);
        slot[8..12].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    fn decode(slot: &[u8; SLOT_BYTES]) -> Option<Self> {
        let mut unsigned = *slot;
        unsigned[8..12].fill(0);
        let crc = u32::from_le_bytes(slot[8..12].try_into().expect("four bytes"));
        if slot[..8] != *MAGIC || crc32c::crc32c(&unsigned) != crc {
            return None;
        }
        let number = u32::from_le_bytes(slot[12..16].try_into().expect("four bytes"));
        let log_id = u64::from_le_bytes(slot[16..24].try_into().expect("eight bytes"));
        Some(Self { number, log_id })
    }
}

/// The path of the file, for messages.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// What the file in `dir` says; `None` if there is none (a log of an earlier version) or no slot stands.
///
/// # Errors
/// I/O.
pub(crate) fn read(env: &Env, dir: &Path) -> Result<Option<Begins>> {
    let file = match env.disk().open(&path(dir), OpenHow::Read, FileKind::Log) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut newest = None;
    for slot in 0..2 {
        let mut bytes = [0; SLOT_BYTES];
        // What lies beyond the end stays zero, and is no slot.
        file.read_at(slot * SLOT_DISTANCE, &mut bytes)?;
        newest = newest.max(Begins::decode(&bytes));
    }
    Ok(newest)
}

/// The file, open for writing.
pub(crate) struct BegunFile {
    file: Arc<dyn File>,
}

impl BegunFile {
    /// Opens or makes the file, and writes what is so now. Its name is durable when the directory is synced.
    ///
    /// # Errors
    /// I/O.
    pub(crate) fn open(env: &Env, dir: &Path, now: Begins) -> Result<Self> {
        let file = env.disk().open(&path(dir), OpenHow::OpenOrCreate, FileKind::Log)?;
        let begun = Self { file };
        // Both, the other one first: whatever a crash leaves, one says what is so now, or what was.
        begun.write(Begins { number: now.number - 1, ..now })?;
        begun.write(now)?;
        env.disk().sync_dir(dir)?;
        Ok(begun)
    }

    /// Makes it durable that a segment has begun.
    ///
    /// # Errors
    /// I/O.
    pub(crate) fn write(&self, now: Begins) -> Result<()> {
        let offset = u64::from(now.number % 2) * SLOT_DISTANCE;
        Ok(self.file.write_sync(offset, &now.encode())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let begins = Begins { number: 7, log_id: 0x1234_5678_9abc };
        let slot = begins.encode();
        assert_eq!(Begins::decode(&slot), Some(begins));
        for bit in 0..SLOT_BYTES * 8 {
            let mut damaged = slot;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Begins::decode(&damaged), None, "bit {bit}");
        }
    }
}
