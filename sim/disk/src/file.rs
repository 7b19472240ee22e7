//! An open file of the virtual disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use driftdb_env::sync::MutexGuard;
use driftdb_env::{File, FileKind, IoError, IoOp};

use crate::Shared;
use crate::fault::{Effect, Fault};
use crate::image::Bytes;
use crate::state::{DataOp, HALTED, InodeId, STALE, State, fail};

/// The largest file: beyond it, an offset is somebody's mistake.
const MAX_FILE_BYTES: u64 = 1 << 44;

pub(crate) struct SimFile {
    pub(crate) shared: Arc<Shared>,
    pub(crate) inode: InodeId,
    pub(crate) epoch: u64,
    pub(crate) path: PathBuf,
    pub(crate) kind: FileKind,
    pub(crate) writable: bool,
    pub(crate) _handle: Arc<()>,
}

impl SimFile {
    fn fail(&self, op: IoOp, kind: io::ErrorKind, text: &str) -> IoError {
        fail(op, &self.path, kind, text)
    }

    /// Lets time pass, then begins the operation if the handle is still alive.
    fn begin(
        &self,
        op: IoOp,
        bytes: u64,
    ) -> Result<(MutexGuard<'_, State>, Option<Effect>), IoError> {
        self.shared.pause(op, bytes);
        let mut state = self.shared.state.lock();
        if self.epoch != state.epoch {
            return Err(self.fail(op, io::ErrorKind::Other, STALE));
        }
        let struck = state.begin(op, &self.path, Some(self.kind))?;
        Ok((state, struck))
    }

    fn check_writable(&self, op: IoOp, end: Option<u64>) -> Result<(), IoError> {
        if !self.writable {
            return Err(self.fail(op, io::ErrorKind::PermissionDenied, "opened for reading"));
        }
        match end {
            Some(end) if end <= MAX_FILE_BYTES => Ok(()),
            _ => Err(self.fail(op, io::ErrorKind::FileTooLarge, "file too large")),
        }
    }

    /// Does a write, or the part of it before byte `upto`.
    pub(crate) fn put(&self, state: &mut State, offset: u64, data: &[u8], upto: u64) {
        let part = &data[..upto.saturating_sub(offset).min(data.len() as u64) as usize];
        let end = offset + part.len() as u64;
        if part.is_empty() || state.room(self.inode, end) < end {
            return;
        }
        state.grow(self.inode, end);
        if state.faults.iter().any(Fault::is_stale) {
            let mut before = vec![0; part.len()];
            let inode = state.inode(self.inode);
            inode.seen.read(offset, &mut before);
            inode.replaced.push((offset, before));
        }
        let seq = state.take_seq();
        state.counters.bytes_written += part.len() as u64;
        let op = DataOp::Write { offset, bytes: Bytes::copy_of(part) };
        state.inode(self.inode).change(seq, op);
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, IoError> {
        let (mut state, struck) = self.begin(IoOp::Read, buf.len() as u64)?;
        let count = state.inode(self.inode).seen.read(offset, buf);
        state.counters.reads += 1;
        state.counters.bytes_read += count as u64;
        if struck == Some(Effect::FlipRead) && count > 0 {
            state.fired.reads_flipped += 1;
            let bit = state.fault_rng.index(count * 8);
            buf[bit / 8] ^= 1 << (bit % 8);
        }
        match struck {
            Some(Effect::MisdirectRead) => {
                self.misdirect_read(&mut state, offset, &mut buf[..count]);
            }
            Some(Effect::StaleRead) => self.read_stale(&mut state, offset, &mut buf[..count]),
            _ => {}
        }
        // The bytes follow from the writes before: hashing them again would only cost time.
        state.note(&[self.inode, offset, buf.len() as u64, count as u64], b"");
        Ok(count)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.check_writable(IoOp::Write, offset.checked_add(data.len() as u64))?;
        let (mut state, struck) = self.begin(IoOp::Write, data.len() as u64)?;
        let end = offset + data.len() as u64;
        state.counters.writes += 1;
        state.note(&[self.inode, offset, data.len() as u64], data);
        match struck {
            Some(Effect::Halt) => {
                // The crash decides whether it is found done, torn or not done.
                self.put(&mut state, offset, data, end);
                return Err(self.fail(IoOp::Write, io::ErrorKind::Other, HALTED));
            }
            Some(Effect::Error(kind)) => {
                state.fired.errors += 1;
                let upto = offset + state.fault_rng.below(data.len() as u64 + 1);
                state.fired.writes_short += u64::from(upto > offset && upto < end);
                self.put(&mut state, offset, data, upto);
                return Err(self.fail(IoOp::Write, kind, "injected fault"));
            }
            _ => {}
        }
        let fits = state.room(self.inode, end);
        if let Some(effect) = struck
            && fits == end
            && !data.is_empty()
        {
            self.misbehave(&mut state, effect, offset, data);
            return Ok(());
        }
        self.put(&mut state, offset, data, fits);
        if fits < end {
            state.fired.disk_full += 1;
            return Err(self.fail(IoOp::Write, io::ErrorKind::StorageFull, "no space left"));
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<(), IoError> {
        // Only what was written before the call is promised; a write made while it runs is not.
        let until = self.shared.state.lock().next_seq;
        let (mut state, struck) = self.begin(IoOp::Sync, 0)?;
        state.counters.syncs += 1;
        match struck {
            Some(Effect::LoseDirty) => {
                let State { inodes, fault_rng, fired, .. } = &mut *state;
                fired.dirty_lost += 1;
                if let Some(inode) = inodes.get_mut(&self.inode) {
                    inode.lose_dirty(fault_rng, fired);
                }
                Err(self.fail(IoOp::Sync, io::ErrorKind::Other, "injected fault: pages lost"))
            }
            Some(Effect::LieAboutSync) => {
                state.fired.sync_lies += 1;
                Ok(())
            }
            _ => {
                state.inode(self.inode).sync(until);
                Ok(())
            }
        }
    }

    fn set_len(&self, len: u64) -> Result<(), IoError> {
        self.check_writable(IoOp::SetLen, Some(len))?;
        let (mut state, _) = self.begin(IoOp::SetLen, 0)?;
        state.note(&[self.inode, len], b"");
        if state.room(self.inode, len) < len {
            state.fired.disk_full += 1;
            return Err(self.fail(IoOp::SetLen, io::ErrorKind::StorageFull, "no space left"));
        }
        state.grow(self.inode, len);
        let old = state.inode(self.inode).seen.len();
        state.used -= old.saturating_sub(len);
        let seq = state.take_seq();
        state.inode(self.inode).change(seq, DataOp::SetLen(len));
        Ok(())
    }

    fn len(&self) -> Result<u64, IoError> {
        let (mut state, _) = self.begin(IoOp::Stat, 0)?;
        Ok(state.inode(self.inode).seen.len())
    }
}
