//! Hands inside the machine: reading, writing and damaging files past the contract. Nothing here is
//! counted, traced, or struck by faults; what it changes is durable at once.

use std::path::{Path, PathBuf};

use driftdb_env::{FileKind, IoOp};

use crate::SimDisk;
use crate::image::Image;
use crate::state::{NameOp, State, split};

impl SimDisk {
    /// Every file that readers see, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.shared.state.lock();
        let in_directory = |(dir, directory): (&PathBuf, &crate::Directory)| {
            directory.seen.keys().map(|name| dir.join(name)).collect::<Vec<_>>()
        };
        state.directories.iter().flat_map(in_directory).collect()
    }

    /// What a file is for, as it was said when it was created.
    pub fn kind_of(&self, path: &Path) -> Option<FileKind> {
        self.shared.state.lock().kind_of(path)
    }

    /// The bytes that readers see.
    pub fn read_file(&self, path: &Path) -> Option<Vec<u8>> {
        let mut state = self.shared.state.lock();
        let inode = state.lookup(path)?;
        Some(state.inode(inode).seen.to_vec())
    }

    /// Replaces a file's bytes, or makes the file. False if its directory does not exist.
    pub fn write_file(&self, path: &Path, bytes: &[u8]) -> bool {
        let mut state = self.shared.state.lock();
        let Ok((dir, name)) = split(IoOp::Open, path) else { return false };
        if !state.directories.contains_key(&dir) {
            return false;
        }
        let inode = match state.lookup(path) {
            Some(inode) => inode,
            None => state.create(&dir, &name, FileKind::Meta),
        };
        let mut image = Image::default();
        image.write(0, bytes);
        let file = state.inode(inode);
        file.pending.clear();
        file.durable = image.clone();
        file.seen = image;
        state.settle_names(&dir);
        state.fired.damaged += 1;
        state.collect();
        true
    }

    /// Removes a file for good. False if it is not there.
    pub fn remove_file(&self, path: &Path) -> bool {
        let mut state = self.shared.state.lock();
        let Ok((dir, name)) = split(IoOp::Remove, path) else { return false };
        if state.lookup(path).is_none() {
            return false;
        }
        let seq = state.take_seq();
        if let Some(directory) = state.directories.get_mut(&dir) {
            directory.change(seq, NameOp::Unlink { name });
        }
        state.settle_names(&dir);
        state.fired.damaged += 1;
        state.collect();
        true
    }

    /// Flips the bits of `mask` in the byte at `offset`: rot at rest. False if there is no such byte.
    pub fn corrupt(&self, path: &Path, offset: u64, mask: u8) -> bool {
        self.edit(path, |image| {
            let mut byte = [0];
            if image.read(offset, &mut byte) == 0 {
                return false;
            }
            image.write(offset, &[byte[0] ^ mask]);
            true
        })
    }

    /// Exchanges two stretches of a file: two misdirected writes. False if one is not inside it.
    pub fn swap(&self, path: &Path, a: u64, b: u64, len: usize) -> bool {
        self.edit(path, |image| {
            let (mut first, mut second) = (vec![0; len], vec![0; len]);
            if image.read(a, &mut first) < len || image.read(b, &mut second) < len {
                return false;
            }
            image.write(a, &second);
            image.write(b, &first);
            true
        })
    }

    /// Overwrites a stretch with bytes from elsewhere: a stale or misdirected block. False if the
    /// stretch is not inside the file.
    pub fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> bool {
        self.edit(path, |image| {
            if offset.saturating_add(bytes.len() as u64) > image.len() {
                return false;
            }
            image.write(offset, bytes);
            true
        })
    }

    /// Cuts a file short. False if it is not longer than `len`.
    pub fn truncate(&self, path: &Path, len: u64) -> bool {
        self.edit(path, |image| {
            let longer = image.len() > len;
            image.set_len(image.len().min(len));
            longer
        })
    }

    /// Edits what readers see and what is durable alike.
    fn edit(&self, path: &Path, edit: impl Fn(&mut Image) -> bool) -> bool {
        let mut state = self.shared.state.lock();
        let Some(inode) = state.lookup(path) else { return false };
        let file = state.inode(inode);
        let done = edit(&mut file.seen);
        edit(&mut file.durable);
        if done {
            state.fired.damaged += 1;
        }
        done
    }
}

impl State {
    fn settle_names(&mut self, dir: &Path) {
        let until = self.next_seq;
        if let Some(directory) = self.directories.get_mut(dir) {
            directory.sync(until);
        }
    }
}
