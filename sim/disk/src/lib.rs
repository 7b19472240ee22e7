//! The virtual disk: loses, tears and reorders what was not synced, and fails on command.
//!
//! [`SimDisk`] implements the [`Disk`] contract in memory. For each file it keeps the bytes that
//! readers see, the bytes that are durable, and the operations in between; for each directory the
//! same of its names. [`SimDisk::crash`] decides by the seeded generator what became of everything
//! in between, kills all handles, and the disk can be opened again. [`Fault`]s strike operations by
//! number, kind, path or chance; `corrupt` and its kin damage what is at rest.
//!
//! Invariants
//! * Same seed, same operations in the same order: same result, same [`SimDisk::trace_hash`].
//! * What a successful sync covered survives every crash, unless a fault was asked for.
//! * A handle from before a crash never reads or writes again.
//! * The latch is never held while another task could run, so fibers never meet it taken.
//!
//! Sources: [Rebello20] for failed syncs, [TigerBeetle] and Pebble's crashable file system for the
//! crash model; research/sim.md 2.5.

mod crash;
mod device;
mod fault;
mod file;
mod image;
mod state;
mod surgery;
mod world;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::sync::Mutex;
use driftdb_env::{
    DirEntry, Disk, DiskLock, File, FileKind, IoError, IoOp, OpenHow, kernel::preemption_point,
};

pub use crash::CrashMode;
pub use fault::{Counters, Effect, Fault, Fired};
pub use world::{SimWorld, sim_env};

use file::SimFile;
use state::{Directory, HALTED, NameOp, STALE, State, fail, split};

/// `EMFILE`: the standard library has no name for it.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// Called before each operation, with no latch held: a simulator lets virtual time pass here.
pub type Pause = Arc<dyn Fn(IoOp, u64) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pause: Mutex<Option<Pause>>,
}

impl Shared {
    pub(crate) fn pause(&self, op: IoOp, bytes: u64) {
        let pause = self.pause.lock().clone();
        match pause {
            Some(pause) => pause(op, bytes),
            None => preemption_point("disk"),
        }
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    pub(crate) shared: Arc<Shared>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDisk")
    }
}

impl SimDisk {
    /// An empty disk with its own random streams.
    pub fn new(seed: u64) -> Self {
        Self::over(State::new(seed))
    }

    fn over(state: State) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::new(state), pause: Mutex::new(None) }) }
    }

    /// Another disk with the same content, durable and pending; without handles, locks and faults.
    /// A sweep prepares once and forks for each case.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        Self::over(self.shared.state.lock().fork(seed))
    }

    /// Sets what happens before each operation, instead of a preemption point.
    pub fn set_pause(&self, pause: Option<Pause>) {
        *self.shared.pause.lock() = pause;
    }

    /// A crash in a mode that the seeded generator picks. Returns the mode.
    pub fn crash(&self) -> CrashMode {
        let mut state = self.shared.state.lock();
        let mode = CrashMode::ALL[state.crash_rng.index(CrashMode::ALL.len())];
        state.crash(mode);
        mode
    }

    /// A crash: old handles and locks are dead, everything unsynced has met its fate, and the disk
    /// can be used again. Faults stay (see [`SimDisk::clear_faults`]).
    pub fn crash_with(&self, mode: CrashMode) {
        self.shared.state.lock().crash(mode);
    }

    /// Whether an error says that the machine has stopped, or that its handle died in a crash.
    pub fn is_crash(error: &IoError) -> bool {
        let text = error.source.to_string();
        text == HALTED || text == STALE
    }

    /// Whether the machine has stopped and waits for [`SimDisk::crash`].
    pub fn is_halted(&self) -> bool {
        self.shared.state.lock().halted
    }

    /// Stops the machine now: every operation fails until [`SimDisk::crash`].
    pub fn halt(&self) {
        self.shared.state.lock().halted = true;
    }

    /// Lets `count` more operations happen, then stops the machine.
    pub fn halt_after(&self, count: u64) {
        self.inject(Fault::at(count + 1).effect(Effect::Halt));
    }

    /// Adds a fault. The number names it in [`SimDisk::fired_by`].
    pub fn inject(&self, fault: Fault) -> usize {
        let mut state = self.shared.state.lock();
        state.faults.push(fault);
        state.faults.len() - 1
    }

    /// Removes all faults; their totals stay in [`SimDisk::fired`].
    pub fn clear_faults(&self) {
        self.shared.state.lock().clear_faults(|_| true);
    }

    /// How often one fault has struck. Zero for a number that names none.
    pub fn fired_by(&self, fault: usize) -> u64 {
        self.shared.state.lock().faults.get(fault).map_or(0, |fault| fault.fired)
    }

    /// How often each kind of fault has struck.
    pub fn fired(&self) -> Fired {
        self.shared.state.lock().fired
    }

    /// Operations since the disk was made.
    pub fn counters(&self) -> Counters {
        self.shared.state.lock().counters
    }

    /// A hash over every operation, with the bytes of writes.
    pub fn trace_hash(&self) -> u64 {
        self.shared.state.lock().trace
    }

    /// Limits the bytes of all files together; `None` is no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.state.lock().capacity = bytes;
    }

    /// Limits how many files may be open at once, as the system limits a process; `None` is no limit. Files
    /// that are open already stay open.
    pub fn set_handle_limit(&self, count: Option<usize>) {
        self.shared.state.lock().handle_limit = count;
    }

    /// How many files are open.
    pub fn handle_count(&self) -> usize {
        self.shared.state.lock().handle_count()
    }

    /// The bytes of all files together, as readers see them (holes count).
    pub fn used_bytes(&self) -> u64 {
        let mut state = self.shared.state.lock();
        state.count_used();
        state.used
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: OpenHow, kind: FileKind) -> Result<Arc<dyn File>, IoError> {
        self.shared.pause(IoOp::Open, 0);
        let mut state = self.shared.state.lock();
        state.begin(IoOp::Open, path, Some(kind))?;
        if state.handle_limit.is_some_and(|limit| state.handle_count() >= limit) {
            state.fired.opens_refused += 1;
            let source = io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES);
            return Err(IoError::new(IoOp::Open, path, source));
        }
        let (dir, name) = split(IoOp::Open, path)?;
        if state.directories.contains_key(path) {
            return Err(fail(IoOp::Open, path, io::ErrorKind::IsADirectory, "is a directory"));
        }
        let found = state.directory(IoOp::Open, &dir)?.seen.get(&name).copied();
        let inode = match (how, found) {
            (OpenHow::CreateNew, Some(_)) => {
                let exists = io::ErrorKind::AlreadyExists;
                return Err(fail(IoOp::Open, path, exists, "file exists"));
            }
            (OpenHow::Read | OpenHow::ReadWrite, None) => {
                return Err(fail(IoOp::Open, path, io::ErrorKind::NotFound, "no such file"));
            }
            (_, Some(inode)) => inode,
            (OpenHow::CreateNew | OpenHow::OpenOrCreate, None) => state.create(&dir, &name, kind),
        };
        let handle = Arc::clone(&state.inode(inode).handles);
        Ok(Arc::new(SimFile {
            shared: Arc::clone(&self.shared),
            inode,
            epoch: state.epoch,
            path: path.to_owned(),
            kind,
            writable: how != OpenHow::Read,
            _handle: handle,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        self.shared.pause(IoOp::Rename, 0);
        let mut state = self.shared.state.lock();
        let kind = state.kind_of(from);
        state.begin(IoOp::Rename, from, kind)?;
        let (from_dir, from_name) = split(IoOp::Rename, from)?;
        let (to_dir, to_name) = split(IoOp::Rename, to)?;
        state.directory(IoOp::Rename, &to_dir)?;
        let Some(inode) = state.lookup(from) else {
            return Err(fail(IoOp::Rename, from, io::ErrorKind::NotFound, "no such file"));
        };
        state.note(&[inode], to.as_os_str().as_encoded_bytes());
        if from == to {
            return Ok(());
        }
        let seq = state.take_seq();
        if from_dir == to_dir {
            let op = NameOp::Rename { from: from_name, to: to_name, inode };
            state.directory(IoOp::Rename, &to_dir)?.change(seq, op);
        } else {
            let link = NameOp::Link { name: to_name, inode };
            state.directory(IoOp::Rename, &to_dir)?.change(seq, link);
            let seq = state.take_seq();
            let unlink = NameOp::Unlink { name: from_name };
            state.directory(IoOp::Rename, &from_dir)?.change(seq, unlink);
        }
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        self.shared.pause(IoOp::Link, 0);
        let mut state = self.shared.state.lock();
        let kind = state.kind_of(from);
        state.begin(IoOp::Link, to, kind)?;
        let (dir, name) = split(IoOp::Link, to)?;
        let Some(inode) = state.lookup(from) else {
            return Err(fail(IoOp::Link, from, io::ErrorKind::NotFound, "no such file"));
        };
        if state.lookup(to).is_some() {
            return Err(fail(IoOp::Link, to, io::ErrorKind::AlreadyExists, "file exists"));
        }
        state.note(&[inode], to.as_os_str().as_encoded_bytes());
        let seq = state.take_seq();
        state.directory(IoOp::Link, &dir)?.change(seq, NameOp::Link { name, inode });
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        self.shared.pause(IoOp::Remove, 0);
        let mut state = self.shared.state.lock();
        let kind = state.kind_of(path);
        state.begin(IoOp::Remove, path, kind)?;
        let (dir, name) = split(IoOp::Remove, path)?;
        if state.lookup(path).is_none() {
            return Err(fail(IoOp::Remove, path, io::ErrorKind::NotFound, "no such file"));
        }
        let seq = state.take_seq();
        state.directory(IoOp::Remove, &dir)?.change(seq, NameOp::Unlink { name });
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, IoError> {
        self.shared.pause(IoOp::List, 0);
        let mut state = self.shared.state.lock();
        state.begin(IoOp::List, dir, None)?;
        let files = state.directory(IoOp::List, dir)?.seen.keys();
        let mut entries: Vec<_> =
            files.map(|name| DirEntry { name: name.clone(), is_dir: false }).collect();
        for path in state.directories.keys().filter(|path| path.parent() == Some(dir)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            entries.push(DirEntry { name, is_dir: true });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<(), IoError> {
        self.shared.pause(IoOp::CreateDir, 0);
        let mut state = self.shared.state.lock();
        state.begin(IoOp::CreateDir, dir, None)?;
        for ancestor in dir.ancestors() {
            if state.lookup(ancestor).is_some() {
                let kind = io::ErrorKind::NotADirectory;
                return Err(fail(IoOp::CreateDir, ancestor, kind, "is a file"));
            }
        }
        for ancestor in dir.ancestors() {
            state.directories.entry(ancestor.to_owned()).or_default();
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), IoError> {
        self.shared.pause(IoOp::Remove, 0);
        let mut state = self.shared.state.lock();
        state.begin(IoOp::Remove, dir, None)?;
        let has_files = !state.directory(IoOp::Remove, dir)?.seen.is_empty();
        if has_files || state.directories.keys().any(|path| path.parent() == Some(dir)) {
            let kind = io::ErrorKind::DirectoryNotEmpty;
            return Err(fail(IoOp::Remove, dir, kind, "directory not empty"));
        }
        state.directories.remove(dir);
        state.collect();
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), IoError> {
        let until = self.shared.state.lock().next_seq;
        self.shared.pause(IoOp::SyncDir, 0);
        let mut state = self.shared.state.lock();
        let struck = state.begin(IoOp::SyncDir, dir, None)?;
        state.counters.dir_syncs += 1;
        if struck == Some(Effect::LieAboutSync) {
            state.fired.sync_lies += 1;
            return Ok(());
        }
        let directory = state.directory(IoOp::SyncDir, dir)?;
        let unlinks = directory.pending.iter().any(|op| !matches!(op.op, NameOp::Link { .. }));
        directory.sync(until);
        if unlinks {
            state.collect();
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool, IoError> {
        self.shared.pause(IoOp::Stat, 0);
        let mut state = self.shared.state.lock();
        let kind = state.kind_of(path);
        state.begin(IoOp::Stat, path, kind)?;
        Ok(state.directories.contains_key(path) || state.lookup(path).is_some())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, IoError> {
        self.shared.pause(IoOp::Lock, 0);
        let mut state = self.shared.state.lock();
        state.begin(IoOp::Lock, path, None)?;
        let (dir, name) = split(IoOp::Lock, path)?;
        if state.locks.contains_key(path) {
            let held = io::ErrorKind::WouldBlock;
            return Err(fail(IoOp::Lock, path, held, "held by another process"));
        }
        if !state.directory(IoOp::Lock, &dir)?.seen.contains_key(&name) {
            state.create(&dir, &name, FileKind::Meta);
        }
        let id = state.take_seq();
        state.locks.insert(path.to_owned(), id);
        Ok(Box::new(SimLock { shared: Arc::clone(&self.shared), path: path.to_owned(), id }))
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, IoError> {
        self.shared.pause(IoOp::Stat, 0);
        let mut state = self.shared.state.lock();
        state.begin(IoOp::Stat, path, None)?;
        state.count_used();
        Ok(state.capacity.map_or(1 << 40, |capacity| capacity.saturating_sub(state.used)))
    }
}

struct SimLock {
    shared: Arc<Shared>,
    path: PathBuf,
    id: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        // After a crash somebody else may hold it: the number tells.
        if state.locks.get(&self.path) == Some(&self.id) {
            state.locks.remove(&self.path);
        }
    }
}
