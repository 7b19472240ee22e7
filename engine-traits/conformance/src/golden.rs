//! Golden files: bytes that an earlier version of the program wrote and this one must read.
//!
//! They lie in the source tree and are read and copied there, on the real disk.

use std::path::Path;

use driftdb_env::{Disk, Env, FileKind, OpenHow};

/// The bytes of a file; `None` if it is not there.
///
/// # Panics
/// If it is there and cannot be read.
pub fn read(path: &Path) -> Option<Vec<u8>> {
    read_on(Env::os().disk(), path)
}

fn read_on(disk: &dyn Disk, path: &Path) -> Option<Vec<u8>> {
    if !disk.exists(path).expect("the directory can be asked") {
        return None;
    }
    let file = disk.open(path, OpenHow::Read, FileKind::Meta).expect("the file opens");
    let mut bytes = vec![0; file.len().expect("a file has a length") as usize];
    let read = file.read_at(0, &mut bytes).expect("the file reads");
    assert_eq!(read, bytes.len(), "{} is shorter than it says", path.display());
    Some(bytes)
}

/// Writes a file anew, and makes its directory.
///
/// # Panics
/// If that does not work.
pub fn write(path: &Path, bytes: &[u8]) {
    write_on(Env::os().disk(), path, bytes);
}

fn write_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let dir = path.parent().expect("a file is in a directory");
    disk.create_dir_all(dir).expect("the directory is made");
    let file = disk.open(path, OpenHow::OpenOrCreate, FileKind::Meta).expect("the file is made");
    file.set_len(0).expect("the file is emptied");
    file.write_at(0, bytes).expect("the file is written");
}

/// Copies a directory with everything below it.
///
/// # Panics
/// If that does not work.
pub fn copy(from: &Path, to: &Path) {
    let env = Env::os();
    let disk = env.disk();
    disk.create_dir_all(to).expect("the directory is made");
    for entry in disk.list(from).expect("the directory can be listed") {
        let (source, target) = (from.join(&entry.name), to.join(&entry.name));
        if entry.is_dir {
            copy(&source, &target);
        } else {
            let bytes = read_on(disk, &source).expect("the file was listed");
            write_on(disk, &target, &bytes);
        }
    }
}
