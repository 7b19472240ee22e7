//! Whole files and directories, in terms of [`Disk`]: what backups and conversions need.

use std::path::Path;

use crate::{Disk, FileKind, IoError, IoOp, OpenHow};

/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Copies a file that nobody changes, and syncs the copy; its name is the caller's business.
/// Returns its length. `progress` is told the bytes of each piece.
///
/// # Errors
/// I/O; `to` exists.
pub fn copy_file(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    kind: FileKind,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, IoError> {
    let source = disk.open(from, OpenHow::Read, kind)?;
    let target = disk.open(to, OpenHow::CreateNew, kind)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        let read = source.read_at(offset, &mut buffer)?;
        if read == 0 {
            break;
        }
        target.write_at(offset, &buffer[..read])?;
        offset += read as u64;
        progress(read as u64);
    }
    target.sync_data()?;
    Ok(offset)
}

/// Makes a directory that must be empty or absent.
///
/// # Errors
/// I/O; something is in it (kind `DirectoryNotEmpty`).
pub fn create_empty_dir(disk: &dyn Disk, dir: &Path) -> Result<(), IoError> {
    disk.create_dir_all(dir)?;
    if disk.list(dir)?.is_empty() {
        return Ok(());
    }
    Err(IoError::new(IoOp::CreateDir, dir, std::io::ErrorKind::DirectoryNotEmpty.into()))
}

/// Removes a directory and everything in it.
///
/// # Errors
/// The first thing that could not be removed; what is left stays.
pub fn remove_dir_all(disk: &dyn Disk, dir: &Path) -> Result<(), IoError> {
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            remove_dir_all(disk, &path)?;
        } else {
            disk.remove(&path)?;
        }
    }
    disk.remove_dir(dir)
}

/// The bytes of all files in a directory and below it.
///
/// # Errors
/// I/O.
pub fn dir_bytes(disk: &dyn Disk, dir: &Path) -> Result<u64, IoError> {
    let mut bytes = 0;
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        bytes += if entry.is_dir {
            dir_bytes(disk, &path)?
        } else {
            disk.open(&path, OpenHow::Read, FileKind::Temp)?.len()?
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Env;

    #[test]
    fn a_tree_is_copied_measured_and_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let env = Env::os();
        let disk = env.disk();
        let dir = scratch.path().join("a");
        create_empty_dir(disk, &dir).unwrap();
        create_empty_dir(disk, &dir.join("b")).unwrap();
        let file = disk.open(&dir.join("one"), OpenHow::CreateNew, FileKind::Temp).unwrap();
        let bytes: Vec<u8> = (0..COPY_BYTES * 2 + 7).map(|n| n as u8).collect();
        file.write_at(0, &bytes).unwrap();
        let mut told = 0;
        let to = dir.join("b/two");
        let len = copy_file(disk, &dir.join("one"), &to, FileKind::Temp, &mut |n| told += n);
        assert_eq!((len.unwrap(), told), (bytes.len() as u64, bytes.len() as u64));
        let copy = disk.open(&to, OpenHow::Read, FileKind::Temp).unwrap();
        let mut again = vec![0; bytes.len() + 1];
        assert_eq!(copy.read_at(0, &mut again).unwrap(), bytes.len());
        assert_eq!(again[..bytes.len()], bytes);
        assert_eq!(dir_bytes(disk, &dir).unwrap(), 2 * bytes.len() as u64);
        let error = create_empty_dir(disk, &dir).unwrap_err();
        assert_eq!(error.source.kind(), std::io::ErrorKind::DirectoryNotEmpty);
        remove_dir_all(disk, &dir).unwrap();
        assert!(!disk.exists(&dir).unwrap());
    }
}
