//! The operating system as a [`World`].
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one place that touches the operating system"
)]

mod file;
mod map;
mod ring;
mod whole;

use std::fs;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{
    DirEntry, Disk, DiskLock, File, FileKind, IoError, IoOp, IoOptions, Network, OpenHow,
    OsNetwork, World,
};

/// Whether the kernel gives this thread an `io_uring`. Without one, what asks for it does without.
pub fn has_io_uring() -> bool {
    ring::with_ring(|_| ()).is_some()
}

pub(crate) struct OsWorld {
    disk: OsDisk,
    network: OsNetwork,
    start: Instant,
    seed: u64,
}

impl OsWorld {
    pub(crate) fn new(options: IoOptions) -> Self {
        // Other machines reach a node only if it says so: with an `OsNetwork` of its own.
        let network = OsNetwork::at(Ipv4Addr::LOCALHOST);
        Self { disk: OsDisk { options }, network, start: Instant::now(), seed: system_seed() }
    }
}

/// Eight bytes from the kernel's generator; the clock where that is not to be had.
fn system_seed() -> u64 {
    let mut bytes = [0; 8];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64),
    }
}

impl World for OsWorld {
    fn disk(&self) -> &dyn Disk {
        &self.disk
    }

    fn network(&self) -> &dyn Network {
        &self.network
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) {
        crate::sync::start_thread(name, body);
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

struct OsDisk {
    options: IoOptions,
}

impl OsDisk {
    fn open_file(path: &Path, how: OpenHow) -> io::Result<fs::File> {
        let mut options = fs::OpenOptions::new();
        match how {
            OpenHow::Read => options.read(true),
            OpenHow::ReadWrite => options.read(true).write(true),
            OpenHow::CreateNew => options.read(true).write(true).create_new(true),
            OpenHow::OpenOrCreate => options.read(true).write(true).create(true).truncate(false),
        };
        options.open(path)
    }
}

impl Disk for OsDisk {
    fn open(&self, path: &Path, how: OpenHow, kind: FileKind) -> Result<Arc<dyn File>, IoError> {
        let opened = Self::open_file(path, how);
        let opened = opened.and_then(|open| file::handle(open, path, how, kind, self.options));
        opened.map_err(|source| IoError::new(IoOp::Open, path, source))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        fs::rename(from, to).map_err(|source| IoError::new(IoOp::Rename, from, source))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        fs::hard_link(from, to).map_err(|source| IoError::new(IoOp::Link, to, source))
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        fs::remove_file(path).map_err(|source| IoError::new(IoOp::Remove, path, source))
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, IoError> {
        let fail = |source| IoError::new(IoOp::List, dir, source);
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let is_dir = entry.file_type().map_err(fail)?.is_dir();
            entries
                .push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), is_dir });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<(), IoError> {
        if dir.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(dir).map_err(|source| IoError::new(IoOp::CreateDir, dir, source))?;
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => Ok(()),
        }
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), IoError> {
        fs::remove_dir(dir).map_err(|source| IoError::new(IoOp::Remove, dir, source))?;
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), IoError> {
        fs::File::open(dir)
            .and_then(|handle| handle.sync_all())
            .map_err(|source| IoError::new(IoOp::SyncDir, dir, source))
    }

    fn exists(&self, path: &Path) -> Result<bool, IoError> {
        path.try_exists().map_err(|source| IoError::new(IoOp::Stat, path, source))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, IoError> {
        let fail = |source| IoError::new(IoOp::Lock, path, source);
        let file = Self::open_file(path, OpenHow::OpenOrCreate).map_err(fail)?;
        file.try_lock().map_err(|error| fail(error.into()))?;
        Ok(Box::new(OsLock { _file: file }))
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, IoError> {
        let stat = rustix::fs::statvfs(path)
            .map_err(|errno| IoError::new(IoOp::Stat, path, errno.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// An advisory lock lives as long as its open file.
struct OsLock {
    _file: fs::File,
}

impl DiskLock for OsLock {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LogWriter, ReadPath, ReadRequest};

    #[test]
    fn files_read_back_and_locks_exclude() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk { options: IoOptions::default() };
        let path = dir.path().join("a");
        let file = disk.open(&path, OpenHow::CreateNew, FileKind::Temp).unwrap();
        file.write_at(3, b"xyz").unwrap();
        file.sync_data().unwrap();
        let mut buf = [9; 8];
        assert_eq!(file.read_at(0, &mut buf).unwrap(), 6);
        assert_eq!(&buf[..6], b"\0\0\0xyz");
        assert!(disk.open(&path, OpenHow::CreateNew, FileKind::Temp).is_err());

        let lock = disk.lock(&dir.path().join("lock")).unwrap();
        let second = disk.lock(&dir.path().join("lock")).err().unwrap();
        assert_eq!(second.source.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        disk.lock(&dir.path().join("lock")).unwrap();
        assert!(disk.free_bytes(dir.path()).unwrap() > 0);
    }

    /// A table of some length, on a disk with these ways to it.
    fn table(options: IoOptions, len: usize) -> (tempfile::TempDir, Arc<dyn File>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251) as u8).collect();
        let disk = OsDisk { options };
        let file = disk.open(&path, OpenHow::CreateNew, FileKind::Table).unwrap();
        file.write_at(0, &bytes).unwrap();
        let file = disk.open(&path, OpenHow::Read, FileKind::Table).unwrap();
        (dir, file, bytes)
    }

    #[test]
    fn every_read_path_gives_the_same_bytes() {
        for read_path in [ReadPath::Pread, ReadPath::Mmap, ReadPath::IoUring] {
            let options = IoOptions { read_path, ..IoOptions::default() };
            for len in [0, 1, 4096, 100_003] {
                let (_dir, file, bytes) = table(options, len);
                let mut buffers = vec![vec![9; 1000]; 150];
                let mut requests: Vec<_> = buffers
                    .iter_mut()
                    .enumerate()
                    .map(|(n, buf)| ReadRequest { offset: n as u64 * 997, buf, read: usize::MAX })
                    .collect();
                file.read_many(&mut requests).unwrap();
                for request in &requests {
                    let start = bytes.len().min(request.offset as usize);
                    let expected = &bytes[start..bytes.len().min(start + 1000)];
                    assert_eq!(request.read, expected.len(), "{read_path:?}, {len} bytes");
                    assert_eq!(&request.buf[..request.read], expected, "{read_path:?}");
                    let mut one = vec![0; 1000];
                    let read = file.read_at(request.offset, &mut one).unwrap();
                    assert_eq!(&one[..read], expected, "{read_path:?}");
                }
                let mut beyond = [0; 8];
                assert_eq!(
                    file.read_at(u64::MAX - 8, &mut beyond).ok(),
                    match read_path {
                        ReadPath::Mmap if len > 0 => Some(0),
                        // The system refuses the offset.
                        _ => None,
                    }
                );
            }
        }
    }

    #[test]
    fn every_log_writer_writes_the_same_bytes_and_names_the_file_it_fails_on() {
        for log_writer in [LogWriter::Plain, LogWriter::Dsync, LogWriter::IoUring] {
            let disk = OsDisk { options: IoOptions { log_writer, ..IoOptions::default() } };
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let file = disk.open(&path, OpenHow::CreateNew, FileKind::Log).unwrap();
            file.write_at(0, &[0; 8192]).unwrap();
            for round in 0..100_u64 {
                file.write_sync(round * 80, &[round as u8 + 1; 70]).unwrap();
            }
            let mut bytes = vec![0; 8192];
            assert_eq!(file.read_at(0, &mut bytes).unwrap(), 8192);
            for round in 0..100 {
                let expected = [[round as u8 + 1; 70].as_slice(), &[0; 10]].concat();
                assert_eq!(bytes[round * 80..][..80], expected, "{log_writer:?}, round {round}");
            }
            let read_only = disk.open(&path, OpenHow::Read, FileKind::Log).unwrap();
            let error = read_only.write_sync(0, b"x").unwrap_err();
            assert_eq!((error.op, error.path), (IoOp::Write, path), "{log_writer:?}");
        }
    }
}
