//! The data directory: whose it is, and what is in it.
//!
//! `LOCK` is held while a process has the database open. `DRIFTDB`, the marker, says which format and
//! which engine made the directory, and in which subdirectory the store lies if it is not in the directory
//! itself; it is written, by rename, before anything else is. So replacing the marker switches from one
//! store to another in one step.

use std::path::{Path, PathBuf};

use driftdb_env::{DirEntry, DiskLock, Env, FileKind, OpenHow, directory};
use driftdb_mvcc::SalvageReport;
use driftdb_storage::Damage;

use super::NodeError;

const LOCK: &str = "LOCK";
const MARKER: &str = "DRIFTDB";
const MARKER_DRAFT: &str = "DRIFTDB.new";
/// The formats of the directory as a whole; parts have versions of their own. A store in the directory
/// itself, or in a subdirectory that the marker names.
const FORMAT: u32 = 1;
const FORMAT_WITH_STORE: u32 = 2;
/// A marker is a few dozen bytes; more is not ours.
const MARKER_MAX_BYTES: u64 = 4096;

/// A data directory that this process owns.
pub(super) struct DataDirectory {
    dir: PathBuf,
    /// The subdirectory of the store, if it has one.
    store: Option<String>,
    _lock: Box<dyn DiskLock>,
}

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marker {
    format: u32,
    engine: String,
    store: Option<String>,
}

impl DataDirectory {
    /// Takes the directory for this process, making it for `engine` if it is new.
    pub(super) fn open(env: &Env, dir: &Path, engine: &str) -> Result<Self, NodeError> {
        let disk = env.disk();
        disk.create_dir_all(dir)?;
        let lock = lock(env, dir)?;
        let marker = read_marker(env, dir)?;
        let store = marker.as_ref().and_then(|marker| marker.store.clone());
        match marker {
            None => create(env, dir, engine)?,
            Some(marker) if ![FORMAT, FORMAT_WITH_STORE].contains(&marker.format) => {
                return Err(NodeError::Format { dir: dir.to_owned(), found: marker.format });
            }
            Some(marker) if marker.engine != engine => {
                return Err(NodeError::OtherEngine {
                    dir: dir.to_owned(),
                    made_with: marker.engine,
                    asked_for: engine.to_owned(),
                });
            }
            // The process that wrote the marker may have died before it made the name durable: a
            // power cut must not take it away once there is something beside it.
            Some(_) => disk.sync_dir(dir)?,
        }
        Ok(Self { dir: dir.to_owned(), store, _lock: lock })
    }

    /// The directory of the store.
    pub(super) fn store_dir(&self) -> PathBuf {
        match &self.store {
            Some(store) => self.dir.join(store),
            None => self.dir.clone(),
        }
    }

    /// A name for another store in this directory, in which nothing is yet: what an earlier attempt left
    /// there is removed.
    pub(super) fn new_store(&self, env: &Env) -> Result<String, NodeError> {
        let number = |store: &String| store.strip_prefix(STORE_PREFIX)?.parse::<u32>().ok();
        let next = self.store.as_ref().and_then(number).unwrap_or(1) + 1;
        let name = format!("{STORE_PREFIX}{next}");
        let path = self.dir.join(&name);
        if env.disk().exists(&path)? {
            directory::remove_dir_all(env.disk(), &path)?;
        }
        Ok(name)
    }

    /// From now on the store is the one in that subdirectory, of that engine. Durable on return, and one
    /// step: a crash leaves the old store in force or the new one.
    pub(super) fn switch_to(
        &mut self,
        env: &Env,
        store: &str,
        engine: &str,
    ) -> Result<(), NodeError> {
        let (engine, store) = (engine.to_owned(), Some(store.to_owned()));
        write_marker(
            env,
            &self.dir,
            &Marker { format: FORMAT_WITH_STORE, engine, store: store.clone() },
        )?;
        self.store = store;
        Ok(())
    }

    /// Removes a store that is no longer in force: the parts of it in the directory itself, or its
    /// subdirectory.
    pub(super) fn remove_store(&self, env: &Env, old: Option<&str>) -> Result<(), NodeError> {
        let parts: &[&str] = match &old {
            Some(store) => &[*store],
            None => &["engine", "wal"],
        };
        for part in parts {
            let path = self.dir.join(part);
            if env.disk().exists(&path)? {
                directory::remove_dir_all(env.disk(), &path)?;
            }
        }
        Ok(())
    }

    /// The subdirectory of the store, if it has one.
    pub(super) fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }
}

/// A directory that may be damaged, as far as it can be made out.
pub(super) struct Found {
    pub(super) engine: String,
    pub(super) store_dir: PathBuf,
    _lock: Box<dyn DiskLock>,
}

impl Found {
    /// Takes a directory for this process. Where the marker does not say what is in it, the files do, and
    /// `report` is told.
    pub(super) fn open(
        env: &Env,
        dir: &Path,
        report: &mut dyn SalvageReport,
    ) -> Result<Self, NodeError> {
        let disk = env.disk();
        let lock = lock(env, dir)?;
        let what = match read_marker(env, dir) {
            Ok(Some(marker)) => {
                let store_dir = marker.store.map_or(dir.to_owned(), |store| dir.join(store));
                return Ok(Self { engine: marker.engine, store_dir, _lock: lock });
            }
            Ok(None) => "the file is missing; engine and store are made out by their files",
            Err(NodeError::Marker { .. }) => {
                "it does not name a format and an engine; they are made out by the files"
            }
            Err(error) => return Err(error),
        };
        report.lost(Damage::new(dir.join(MARKER).display().to_string(), 0, what));
        // The newest store is the one that a conversion switched to last.
        let number = |name: &String| name.strip_prefix(STORE_PREFIX)?.parse::<u32>().ok();
        let mut stores: Vec<(u32, String)> = Vec::new();
        for entry in disk.list(dir)?.into_iter().filter(|entry| entry.is_dir) {
            stores.extend(number(&entry.name).map(|number| (number, entry.name)));
        }
        let store = stores.into_iter().max().map(|(_, name)| dir.join(name));
        let store_dir = store.unwrap_or_else(|| dir.to_owned());
        let engine_dir = store_dir.join("engine");
        for (engine, file) in [("btree", "pages.db"), ("lsm", "MANIFEST")] {
            if disk.exists(&engine_dir.join(file))? {
                return Ok(Self { engine: engine.to_owned(), store_dir, _lock: lock });
            }
        }
        let is_table = |entry: DirEntry| entry.name.ends_with(".table");
        if disk.exists(&engine_dir)? && disk.list(&engine_dir)?.into_iter().any(is_table) {
            return Ok(Self { engine: "lsm".to_owned(), store_dir, _lock: lock });
        }
        Err(NodeError::Marker { path: dir.join(MARKER) })
    }
}

/// Keeps other processes out of a directory.
fn lock(env: &Env, dir: &Path) -> Result<Box<dyn DiskLock>, NodeError> {
    env.disk().lock(&dir.join(LOCK)).map_err(|error| {
        if error.source.kind() == std::io::ErrorKind::WouldBlock {
            NodeError::InUse { dir: dir.to_owned() }
        } else {
            error.into()
        }
    })
}

/// Stores in subdirectories are numbered from 2: the first one was in the directory itself.
const STORE_PREFIX: &str = "store-";

/// Makes a directory that holds a copy of a store a database of that engine. The store comes first: without
/// a marker a directory with something in it is refused, not taken for empty.
pub(super) fn mark(env: &Env, dir: &Path, engine: &str) -> Result<(), NodeError> {
    write_marker(env, dir, &Marker { format: FORMAT, engine: engine.to_owned(), store: None })
}

/// The engine that made a directory; `None` if there is no database in it.
///
/// # Errors
/// I/O; a marker that is not ours.
pub fn engine_of(env: &Env, dir: &Path) -> Result<Option<String>, NodeError> {
    Ok(read_marker(env, dir)?.map(|marker| marker.engine))
}

fn create(env: &Env, dir: &Path, engine: &str) -> Result<(), NodeError> {
    let disk = env.disk();
    // A file system's own directory, and what a crash left of an earlier try, do no harm.
    let foreign = disk
        .list(dir)?
        .into_iter()
        .find(|entry| ![LOCK, MARKER_DRAFT, "lost+found"].contains(&entry.name.as_str()));
    if let Some(entry) = foreign {
        return Err(NodeError::NotOurs { dir: dir.to_owned(), entry: entry.name });
    }
    mark(env, dir, engine)
}

fn write_marker(env: &Env, dir: &Path, marker: &Marker) -> Result<(), NodeError> {
    let disk = env.disk();
    let draft = dir.join(MARKER_DRAFT);
    let Marker { format, engine, store } = marker;
    let mut text = format!("driftdb data directory\nformat {format}\nengine {engine}\n");
    if let Some(store) = store {
        text.push_str(&format!("store {store}\n"));
    }
    let file = disk.open(&draft, OpenHow::OpenOrCreate, FileKind::Meta)?;
    file.set_len(0)?;
    file.write_at(0, text.as_bytes())?;
    file.sync_data()?;
    disk.rename(&draft, &dir.join(MARKER))?;
    disk.sync_dir(dir)?;
    Ok(())
}

fn read_marker(env: &Env, dir: &Path) -> Result<Option<Marker>, NodeError> {
    let path = dir.join(MARKER);
    if !env.disk().exists(&path)? {
        return Ok(None);
    }
    let file = env.disk().open(&path, OpenHow::Read, FileKind::Meta)?;
    let length = file.len()?.min(MARKER_MAX_BYTES) as usize;
    let mut bytes = vec![0; length];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    parse_marker(&bytes).map(Some).ok_or(NodeError::Marker { path })
}

fn parse_marker(bytes: &[u8]) -> Option<Marker> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    if lines.next()? != "driftdb data directory" {
        return None;
    }
    let format = lines.next()?.strip_prefix("format ")?.parse().ok()?;
    let engine = lines.next()?.strip_prefix("engine ")?.to_owned();
    let store = match lines.next() {
        None => None,
        Some(line) => Some(line.strip_prefix("store ")?.to_owned()),
    };
    // A name that leads elsewhere was not written by us.
    let is_plain = |store: &String| !store.contains(['/', '\\']) && !store.starts_with('.');
    store.iter().all(is_plain).then_some(Marker { format, engine, store })
}

#[cfg(test)]
mod tests {
    use driftdb_sim_disk::{CrashMode, SimDisk, sim_env};

    use super::*;

    #[test]
    fn a_directory_keeps_its_engine_and_its_owner() {
        let (env, dir) = (Env::os(), tempfile::tempdir().unwrap());
        let data = dir.path().join("data");
        let first = DataDirectory::open(&env, &data, "lsm").unwrap();
        let second = DataDirectory::open(&env, &data, "lsm").err().unwrap();
        assert!(second.to_string().contains("in use by another process"), "{second}");
        drop(first);
        DataDirectory::open(&env, &data, "lsm").unwrap();
        assert_eq!(engine_of(&env, &data).unwrap().as_deref(), Some("lsm"));
        let other = DataDirectory::open(&env, &data, "btree").err().unwrap();
        assert!(other.to_string().contains("driftdb convert"), "{other}");
    }

    #[test]
    fn a_marker_outlives_a_power_cut_after_a_killed_start() {
        // Found by `driftdb sim list-append --seed 1541`: killed between rename and sync of the
        // directory, started again, power cut: the engine's directory was there, the marker gone.
        for ops in 0..12 {
            let disk = SimDisk::new(1);
            let env = sim_env(&disk, 1);
            let dir = Path::new("/data");
            disk.halt_after(ops);
            let _killed = DataDirectory::open(&env, dir, "lsm").err();
            disk.crash_with(CrashMode::Process);
            disk.clear_faults();
            DataDirectory::open(&env, dir, "lsm").unwrap();
            env.disk().create_dir_all(&dir.join("engine")).unwrap();
            disk.crash_with(CrashMode::LoseAll);
            DataDirectory::open(&env, dir, "lsm").unwrap();
        }
    }

    #[test]
    fn a_foreign_directory_is_left_alone() {
        let (env, dir) = (Env::os(), tempfile::tempdir().unwrap());
        let file = dir.path().join("thesis.tex");
        env.disk().open(&file, OpenHow::CreateNew, FileKind::Temp).unwrap();
        let error = DataDirectory::open(&env, dir.path(), "lsm").err().unwrap();
        assert!(error.to_string().contains("thesis.tex"), "{error}");
    }

    #[test]
    fn a_broken_marker_is_an_error() {
        assert_eq!(parse_marker(b"driftdb data directory\nformat x\nengine lsm\n"), None);
        assert_eq!(parse_marker(b"\xff"), None);
        let marker = parse_marker(b"driftdb data directory\nformat 1\nengine lsm\n").unwrap();
        assert_eq!(marker, Marker { format: 1, engine: "lsm".into(), store: None });
        let text = b"driftdb data directory\nformat 2\nengine btree\nstore store-2\n";
        assert_eq!(parse_marker(text).unwrap().store.as_deref(), Some("store-2"));
        assert_eq!(parse_marker(&text.map(|b| if b == b'2' { b'/' } else { b })), None);
    }
}
