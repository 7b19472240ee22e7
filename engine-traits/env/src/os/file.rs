//! Open files of the operating system, and the ways to their bytes.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::ReadWriteFlags;

use super::map::Map;
use super::ring::{self, with_ring};
use super::whole;
use crate::{File, FileKind, IoError, IoOp, IoOptions, LogWriter, OpenHow, ReadPath, ReadRequest};

/// Makes a handle of an open file, with the ways that its kind has.
pub(super) fn handle(
    file: fs::File,
    path: &Path,
    how: OpenHow,
    kind: FileKind,
    options: IoOptions,
) -> io::Result<Arc<dyn File>> {
    let is_table = kind == FileKind::Table && how == OpenHow::Read;
    let read_path = if is_table { options.read_path } else { ReadPath::Pread };
    let log_writer = if kind == FileKind::Log { options.log_writer } else { LogWriter::Plain };
    let map = if read_path == ReadPath::Mmap { Map::new(&file)? } else { None };
    let has_ring = read_path == ReadPath::IoUring;
    Ok(Arc::new(OsFile { file, path: path.to_owned(), map, has_ring, log_writer }))
}

struct OsFile {
    file: fs::File,
    path: PathBuf,
    /// The whole file, where it is read through a mapping.
    map: Option<Map>,
    /// Whether several reads go through `io_uring`.
    has_ring: bool,
    log_writer: LogWriter,
}

impl OsFile {
    fn fail(&self, op: IoOp) -> impl FnOnce(io::Error) -> IoError {
        move |source| IoError::new(op, &self.path, source)
    }

    /// Reads on from where a read stopped: at the end of the file, or short of it.
    fn read_rest(&self, offset: u64, buf: &mut [u8], filled: usize) -> Result<usize, IoError> {
        let read = whole::read_full(offset, buf, filled, |buf, at| self.file.read_at(buf, at));
        read.map_err(self.fail(IoOp::Read))
    }

    /// Writes and syncs in one call; the bytes written, all of them unless the kernel wrote less.
    fn write_dsync(&self, offset: u64, data: &[u8]) -> io::Result<usize> {
        let pieces = [io::IoSlice::new(data)];
        let write = || rustix::io::pwritev2(&self.file, &pieces, offset, ReadWriteFlags::DSYNC);
        whole::uninterrupted(|| write().map_err(io::Error::from))
    }

    /// Finishes, by the plain way, a write of which `done` bytes are written and nothing failed.
    fn write_rest(&self, offset: u64, data: &[u8], done: usize) -> Result<(), IoError> {
        self.write_at(offset + done as u64, &data[done..])?;
        self.sync_data()
    }
}

impl File for OsFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, IoError> {
        match &self.map {
            Some(map) => Ok(map.copy_at(offset, buf)),
            None => self.read_rest(offset, buf, 0),
        }
    }

    fn read_many(&self, requests: &mut [ReadRequest<'_>]) -> Result<(), IoError> {
        if self.has_ring && requests.len() > 1 {
            for group in requests.chunks_mut(ring::ENTRIES as usize) {
                let read = with_ring(|ring| ring.read(&self.file, group));
                match read {
                    Some(Ok(())) => {
                        for request in group {
                            let filled = request.read;
                            request.read = self.read_rest(request.offset, request.buf, filled)?;
                        }
                    }
                    Some(Err(error)) if error.kind() != io::ErrorKind::Interrupted => {
                        return Err(self.fail(IoOp::Read)(error));
                    }
                    Some(Err(_)) | None => self.read_each(group)?,
                }
            }
            return Ok(());
        }
        self.read_each(requests)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let written = whole::write_full(offset, data, |data, at| self.file.write_at(data, at));
        written.map_err(self.fail(IoOp::Write))
    }

    fn sync_data(&self) -> Result<(), IoError> {
        self.file.sync_data().map_err(self.fail(IoOp::Sync))
    }

    fn write_sync(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        match self.log_writer {
            LogWriter::Plain => self.write_rest(offset, data, 0),
            LogWriter::Dsync => {
                let written = self.write_dsync(offset, data);
                match written.map_err(self.fail(IoOp::Write))? {
                    done if done == data.len() => Ok(()),
                    // What was written is durable; the rest is not there yet.
                    done => self.write_rest(offset, data, done),
                }
            }
            LogWriter::IoUring => {
                let results = with_ring(|ring| ring.write_sync(&self.file, offset, data));
                let Some((written, synced)) = results else {
                    return self.write_rest(offset, data, 0);
                };
                match written {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                        self.write_rest(offset, data, 0)
                    }
                    Err(error) => Err(self.fail(IoOp::Write)(error)),
                    // A short write breaks the link: the sync did not run, and nothing failed.
                    Ok(done) if done < data.len() => self.write_rest(offset, data, done),
                    Ok(_) => synced.map(drop).map_err(self.fail(IoOp::Sync)),
                }
            }
        }
    }

    fn reserve(&self, len: u64) -> Result<(), IoError> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(errno) => Err(self.fail(IoOp::Write)(errno.into())),
        }
    }

    fn set_len(&self, len: u64) -> Result<(), IoError> {
        self.file.set_len(len).map_err(self.fail(IoOp::SetLen))
    }

    fn len(&self) -> Result<u64, IoError> {
        Ok(self.file.metadata().map_err(self.fail(IoOp::Stat))?.len())
    }
}

impl OsFile {
    fn read_each(&self, requests: &mut [ReadRequest<'_>]) -> Result<(), IoError> {
        for request in requests {
            request.read = self.read_at(request.offset, request.buf)?;
        }
        Ok(())
    }
}
