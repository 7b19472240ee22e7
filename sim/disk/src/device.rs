//! A device that says it did what it did not: lost, misdirected and half-zeroed writes, misdirected
//! and stale reads. The caller sees success; only checksums that know their place can tell.
//!
//! Sources: [Bairavasundaram08] for the classes; research/storage.md 3.5.

use crate::fault::{Effect, Fault};
use crate::file::SimFile;
use crate::image::SECTOR;
use crate::state::State;

impl SimFile {
    /// Does a write the way `effect` wants it. The file is as long afterwards as after a right one: its
    /// length is the file system's, not the device's.
    pub(crate) fn misbehave(&self, state: &mut State, effect: Effect, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        match effect {
            Effect::LoseWrite => {
                state.fired.writes_lost += 1;
                self.lengthen(state, end);
            }
            Effect::MisdirectWrite => {
                self.lengthen(state, end);
                match self.elsewhere(state, offset, data.len()) {
                    Some(place) => {
                        state.fired.writes_misdirected += 1;
                        self.put(state, place, data, place + data.len() as u64);
                    }
                    // A file with one place has no other: the write goes to another file's, say.
                    None => state.fired.writes_lost += 1,
                }
            }
            Effect::ZeroSector => {
                state.fired.sectors_zeroed += 1;
                let mut data = data.to_vec();
                let first = offset / SECTOR;
                let sector = first + state.fault_rng.below((end - 1) / SECTOR - first + 1);
                let from = (sector * SECTOR).max(offset) - offset;
                let to = ((sector + 1) * SECTOR).min(end) - offset;
                data[from as usize..to as usize].fill(0);
                self.put(state, offset, &data, end);
            }
            // These concern no write: it is done.
            _ => self.put(state, offset, data, end),
        }
    }

    /// Replaces what was read by what stands at another place.
    pub(crate) fn misdirect_read(&self, state: &mut State, offset: u64, buf: &mut [u8]) {
        if let Some(place) = self.elsewhere(state, offset, buf.len()) {
            state.fired.reads_misdirected += 1;
            state.inode(self.inode).seen.read(place, buf);
        }
    }

    /// Replaces what was read by what was there when the fault was injected, if that is different.
    pub(crate) fn read_stale(&self, state: &mut State, offset: u64, buf: &mut [u8]) {
        let mut older = buf.to_vec();
        let end = offset + buf.len() as u64;
        // The oldest last: it is what was there at first.
        for (from, bytes) in state.inode(self.inode).replaced.iter().rev() {
            let (start, stop) = (offset.max(*from), end.min(from + bytes.len() as u64));
            if start < stop {
                let part = &bytes[(start - from) as usize..(stop - from) as usize];
                older[(start - offset) as usize..(stop - offset) as usize].copy_from_slice(part);
            }
        }
        if older != buf {
            state.fired.reads_stale += 1;
            buf.copy_from_slice(&older);
            state.clear_faults(Fault::is_stale);
        }
    }

    /// A place for `len` bytes inside the file, as far into its sector as `offset` is, that is not
    /// `offset`.
    fn elsewhere(&self, state: &mut State, offset: u64, len: usize) -> Option<u64> {
        let within = offset % SECTOR;
        let last = state.inode(self.inode).seen.len().checked_sub(within + len as u64)? / SECTOR;
        let here = offset / SECTOR;
        let others = if here <= last { last } else { last + 1 };
        if len == 0 || others == 0 {
            return None;
        }
        let sector = state.fault_rng.below(others);
        let sector = if sector >= here { sector + 1 } else { sector };
        Some(sector * SECTOR + within)
    }

    fn lengthen(&self, state: &mut State, end: u64) {
        let len = state.inode(self.inode).seen.len();
        if let Some(missing) = end.checked_sub(len).filter(|&missing| missing > 0) {
            let zeroes = vec![0; missing as usize];
            self.put(state, len, &zeroes, end);
        }
    }
}
