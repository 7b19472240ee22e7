//! What the disk holds: for each file and directory the durable state, the state that readers see,
//! and the operations between the two.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::{FileKind, IoError, IoOp, Rng};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::fault::{Counters, Effect, Fault, Fired};
use crate::image::{Bytes, Image};

pub(crate) type InodeId = u64;

/// A change of a file's bytes that no sync has made durable yet.
#[derive(Debug, Clone)]
pub(crate) enum DataOp {
    Write { offset: u64, bytes: Bytes },
    SetLen(u64),
}

/// A change of a directory's names that no sync has made durable yet.
#[derive(Debug, Clone)]
pub(crate) enum NameOp {
    Link {
        name: String,
        inode: InodeId,
    },
    Unlink {
        name: String,
    },
    /// Within one directory: atomic.
    Rename {
        from: String,
        to: String,
        inode: InodeId,
    },
}

/// An operation with its place in the order of all operations of the disk.
#[derive(Debug, Clone)]
pub(crate) struct Pending<T> {
    pub(crate) seq: u64,
    pub(crate) op: T,
}

#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) kind: FileKind,
    pub(crate) seen: Image,
    pub(crate) durable: Image,
    pub(crate) pending: Vec<Pending<DataOp>>,
    /// What writes replaced, oldest first, while a fault waits that wants to know.
    pub(crate) replaced: Vec<(u64, Vec<u8>)>,
    /// Shared with every open handle: a second reference means that somebody can still read it.
    pub(crate) handles: Arc<()>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub(crate) seen: BTreeMap<String, InodeId>,
    pub(crate) durable: BTreeMap<String, InodeId>,
    pub(crate) pending: Vec<Pending<NameOp>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) inodes: BTreeMap<InodeId, Inode>,
    pub(crate) directories: BTreeMap<PathBuf, Directory>,
    pub(crate) locks: BTreeMap<PathBuf, u64>,
    pub(crate) next_id: u64,
    pub(crate) next_seq: u64,
    /// Handles of an earlier epoch died in a crash.
    pub(crate) epoch: u64,
    pub(crate) halted: bool,
    pub(crate) capacity: Option<u64>,
    pub(crate) used: u64,
    /// How many files may be open at once.
    pub(crate) handle_limit: Option<usize>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) fired: Fired,
    pub(crate) counters: Counters,
    pub(crate) trace: u64,
    pub(crate) fault_rng: Rng,
    pub(crate) crash_rng: Rng,
}

impl DataOp {
    pub(crate) fn apply(&self, image: &mut Image) {
        match self {
            Self::Write { offset, bytes } => bytes.write_part(image, *offset, 0, bytes.len()),
            Self::SetLen(len) => image.set_len(*len),
        }
    }
}

impl NameOp {
    pub(crate) fn apply(&self, names: &mut BTreeMap<String, InodeId>) {
        match self {
            Self::Link { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Self::Unlink { name } => {
                names.remove(name);
            }
            Self::Rename { from, to, inode } => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

impl Inode {
    pub(crate) fn new(kind: FileKind) -> Self {
        Self {
            kind,
            seen: Image::default(),
            durable: Image::default(),
            pending: Vec::new(),
            replaced: Vec::new(),
            handles: Arc::new(()),
        }
    }

    /// Does `op` for readers and remembers it until a sync.
    pub(crate) fn change(&mut self, seq: u64, op: DataOp) {
        op.apply(&mut self.seen);
        // Scratch files are worthless after a crash: no need to remember what they held.
        if self.kind != FileKind::Temp {
            self.pending.push(Pending { seq, op });
        }
    }

    /// Makes the operations before `until` durable.
    pub(crate) fn sync(&mut self, until: u64) {
        let count = self.pending.partition_point(|pending| pending.seq < until);
        for pending in self.pending.drain(..count) {
            pending.op.apply(&mut self.durable);
        }
    }
}

impl Directory {
    pub(crate) fn change(&mut self, seq: u64, op: NameOp) {
        op.apply(&mut self.seen);
        self.pending.push(Pending { seq, op });
    }

    pub(crate) fn sync(&mut self, until: u64) {
        let count = self.pending.partition_point(|pending| pending.seq < until);
        for pending in self.pending.drain(..count) {
            pending.op.apply(&mut self.durable);
        }
    }
}

pub(crate) const HALTED: &str = "the simulated machine has stopped";
pub(crate) const STALE: &str = "this handle died in a simulated crash";

pub(crate) fn fail(op: IoOp, path: &Path, kind: io::ErrorKind, text: &str) -> IoError {
    IoError::new(op, path, io::Error::new(kind, text))
}

/// A path's directory and bare name.
pub(crate) fn split(op: IoOp, path: &Path) -> Result<(PathBuf, String), IoError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        return Err(fail(op, path, io::ErrorKind::InvalidInput, "not the name of a file"));
    };
    Ok((path.parent().unwrap_or(Path::new("")).to_owned(), name.to_owned()))
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        let mut directories = BTreeMap::new();
        directories.insert(PathBuf::from("/"), Directory::default());
        directories.insert(PathBuf::new(), Directory::default());
        Self {
            inodes: BTreeMap::new(),
            directories,
            locks: BTreeMap::new(),
            next_id: 1,
            next_seq: 1,
            epoch: 0,
            halted: false,
            capacity: None,
            used: 0,
            handle_limit: None,
            faults: Vec::new(),
            fired: Fired::default(),
            counters: Counters::default(),
            trace: seed,
            fault_rng: Rng::stream(seed, "disk fault"),
            crash_rng: Rng::stream(seed, "disk crash"),
        }
    }

    /// A copy without handles, locks, faults and figures, with random streams of its own.
    pub(crate) fn fork(&self, seed: u64) -> Self {
        let inodes = self.inodes.iter().map(|(&id, inode)| {
            let copy = Inode {
                kind: inode.kind,
                seen: inode.seen.clone(),
                durable: inode.durable.clone(),
                pending: inode.pending.clone(),
                replaced: Vec::new(),
                handles: Arc::new(()),
            };
            (id, copy)
        });
        Self {
            inodes: inodes.collect(),
            directories: self.directories.clone(),
            next_id: self.next_id,
            next_seq: self.next_seq,
            capacity: self.capacity,
            used: self.used,
            ..Self::new(seed)
        }
    }

    pub(crate) fn take_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// Counts an operation, then lets the faults at it.
    pub(crate) fn begin(
        &mut self,
        op: IoOp,
        path: &Path,
        kind: Option<FileKind>,
    ) -> Result<Option<Effect>, IoError> {
        if self.halted {
            return Err(fail(op, path, io::ErrorKind::Other, HALTED));
        }
        self.counters.ops += 1;
        let mut struck = None;
        for fault in &mut self.faults {
            struck = struck.or(fault.strikes(op, kind, path, &mut self.fault_rng));
        }
        self.note(&[op as u64, struck.is_some().into()], path.as_os_str().as_encoded_bytes());
        match struck {
            // The operation itself decides what these do to it.
            Some(Effect::LoseDirty) if op == IoOp::Sync => Ok(struck),
            Some(Effect::Error(_)) if op == IoOp::Write => Ok(struck),
            Some(Effect::Halt) => {
                self.fired.halts += 1;
                self.halted = true;
                match op {
                    IoOp::Write => Ok(struck),
                    _ => Err(fail(op, path, io::ErrorKind::Other, HALTED)),
                }
            }
            Some(Effect::Error(kind)) => {
                self.fired.errors += 1;
                Err(fail(op, path, kind, "injected fault"))
            }
            Some(Effect::LoseDirty) => {
                self.fired.errors += 1;
                Err(fail(op, path, io::ErrorKind::Other, "injected fault"))
            }
            // Errors of the device that only the operation itself can make.
            Some(
                Effect::LieAboutSync
                | Effect::FlipRead
                | Effect::MisdirectRead
                | Effect::StaleRead
                | Effect::LoseWrite
                | Effect::MisdirectWrite
                | Effect::ZeroSector,
            )
            | None => Ok(struck),
        }
    }

    /// Adds to the trace: two runs with equal traces did the same operations in the same order.
    pub(crate) fn note(&mut self, numbers: &[u64], bytes: &[u8]) {
        for number in numbers {
            self.trace = (self.trace ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        self.trace = xxh3_64_with_seed(bytes, self.trace);
    }

    pub(crate) fn directory(&mut self, op: IoOp, dir: &Path) -> Result<&mut Directory, IoError> {
        self.directories
            .get_mut(dir)
            .ok_or_else(|| fail(op, dir, io::ErrorKind::NotFound, "no such directory"))
    }

    pub(crate) fn lookup(&self, path: &Path) -> Option<InodeId> {
        let (dir, name) = split(IoOp::Stat, path).ok()?;
        self.directories.get(&dir)?.seen.get(&name).copied()
    }

    pub(crate) fn kind_of(&self, path: &Path) -> Option<FileKind> {
        Some(self.inodes.get(&self.lookup(path)?)?.kind)
    }

    pub(crate) fn inode(&mut self, id: InodeId) -> &mut Inode {
        self.inodes.get_mut(&id).expect("an open or named file has an inode")
    }

    /// A new empty file in an existing directory.
    pub(crate) fn create(&mut self, dir: &Path, name: &str, kind: FileKind) -> InodeId {
        let inode = self.next_id;
        self.next_id += 1;
        self.inodes.insert(inode, Inode::new(kind));
        let seq = self.take_seq();
        let directory = self.directories.get_mut(dir).expect("looked up by the caller");
        directory.change(seq, NameOp::Link { name: name.to_owned(), inode });
        inode
    }

    /// How far towards `len` a file can grow: less than `len` if the disk is too full.
    pub(crate) fn room(&mut self, id: InodeId, len: u64) -> u64 {
        let Some(capacity) = self.capacity else { return len };
        let old = self.inode(id).seen.len();
        if len.saturating_sub(old) > capacity.saturating_sub(self.used) {
            // Files were removed, or their last handle closed, since the last count.
            self.count_used();
        }
        len.min(old.saturating_add(capacity.saturating_sub(self.used)))
    }

    /// Accounts for a file that grows to `len`.
    pub(crate) fn grow(&mut self, id: InodeId, len: u64) {
        self.used += len.saturating_sub(self.inode(id).seen.len());
    }

    /// Forgets faults, and what they wanted to know.
    pub(crate) fn clear_faults(&mut self, is_gone: impl Fn(&Fault) -> bool) {
        self.faults.retain(|fault| !is_gone(fault));
        if !self.faults.iter().any(Fault::is_stale) {
            self.inodes.values_mut().for_each(|inode| inode.replaced.clear());
        }
    }

    /// How many handles are open on all files together.
    pub(crate) fn handle_count(&self) -> usize {
        self.inodes.values().map(|inode| Arc::strong_count(&inode.handles) - 1).sum()
    }

    /// Forgets files that no name and no handle can reach.
    pub(crate) fn collect(&mut self) {
        let mut named: Vec<InodeId> = Vec::new();
        for directory in self.directories.values() {
            named.extend(directory.seen.values());
            named.extend(directory.durable.values());
            named.extend(directory.pending.iter().filter_map(|pending| match pending.op {
                NameOp::Link { inode, .. } | NameOp::Rename { inode, .. } => Some(inode),
                NameOp::Unlink { .. } => None,
            }));
        }
        named.sort_unstable();
        self.inodes.retain(|id, inode| {
            named.binary_search(id).is_ok() || Arc::strong_count(&inode.handles) > 1
        });
        self.count_used();
    }

    /// Counts the bytes of files that a reader can still reach.
    pub(crate) fn count_used(&mut self) {
        let mut named: Vec<InodeId> =
            self.directories.values().flat_map(|dir| dir.seen.values().copied()).collect();
        named.sort_unstable();
        let reachable = self.inodes.iter().filter(|(id, inode)| {
            named.binary_search(id).is_ok() || Arc::strong_count(&inode.handles) > 1
        });
        self.used = reachable.map(|(_, inode)| inode.seen.len()).sum();
    }
}
