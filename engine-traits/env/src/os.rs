//! The operating system as a [`World`].
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one place that touches the operating system"
)]

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::blocking::blocking;
use crate::{DirEntry, Disk, DiskLock, File, FileKind, IoError, IoOp, OpenHow, World};

pub(crate) struct OsWorld {
    start: Instant,
    seed: u64,
}

impl OsWorld {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), seed: system_seed() }
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
        &OsDisk
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
        let builder = std::thread::Builder::new().name(name.to_owned());
        builder.spawn(body).expect("the system can start a thread");
    }

    fn sleep(&self, duration: Duration) {
        blocking(|| std::thread::sleep(duration));
    }
}

struct OsDisk;

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
    fn open(&self, path: &Path, how: OpenHow, _kind: FileKind) -> Result<Arc<dyn File>, IoError> {
        let file =
            Self::open_file(path, how).map_err(|source| IoError::new(IoOp::Open, path, source))?;
        Ok(Arc::new(OsFile { file, path: path.to_owned() }))
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
        blocking(|| fs::File::open(dir).and_then(|handle| handle.sync_all()))
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

struct OsFile {
    file: fs::File,
    path: PathBuf,
}

impl OsFile {
    fn fail(&self, op: IoOp) -> impl FnOnce(io::Error) -> IoError {
        move |source| IoError::new(op, &self.path, source)
    }
}

impl File for OsFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, IoError> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.file.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fail(IoOp::Read)(error)),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.file.write_all_at(data, offset).map_err(self.fail(IoOp::Write))
    }

    fn sync_data(&self) -> Result<(), IoError> {
        blocking(|| self.file.sync_data()).map_err(self.fail(IoOp::Sync))
    }

    fn set_len(&self, len: u64) -> Result<(), IoError> {
        self.file.set_len(len).map_err(self.fail(IoOp::SetLen))
    }

    fn len(&self) -> Result<u64, IoError> {
        Ok(self.file.metadata().map_err(self.fail(IoOp::Stat))?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_read_back_and_locks_exclude() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk;
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
}
