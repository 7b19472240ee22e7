//! The data directory: whose it is, and what is in it.
//!
//! `LOCK` is held while a process has the database open. `DRIFTDB` says which format and which engine
//! made the directory; it is written, by rename, before anything else is.

use std::path::Path;

use driftdb_env::{DiskLock, Env, FileKind, OpenHow};

use super::NodeError;

const LOCK: &str = "LOCK";
const MARKER: &str = "DRIFTDB";
const MARKER_DRAFT: &str = "DRIFTDB.new";
/// The format of the directory as a whole; parts have versions of their own.
const FORMAT: u32 = 1;
/// A marker is a few dozen bytes; more is not ours.
const MARKER_MAX_BYTES: u64 = 4096;

/// A data directory that this process owns.
pub(super) struct DataDirectory {
    _lock: Box<dyn DiskLock>,
}

/// What the marker says.
#[derive(Debug, PartialEq, Eq)]
struct Marker {
    format: u32,
    engine: String,
}

impl DataDirectory {
    /// Takes the directory for this process, making it for `engine` if it is new.
    pub(super) fn open(env: &Env, dir: &Path, engine: &str) -> Result<Self, NodeError> {
        let disk = env.disk();
        disk.create_dir_all(dir)?;
        let lock = disk.lock(&dir.join(LOCK)).map_err(|error| {
            if error.source.kind() == std::io::ErrorKind::WouldBlock {
                NodeError::InUse { dir: dir.to_owned() }
            } else {
                error.into()
            }
        })?;
        match read_marker(env, dir)? {
            None => create(env, dir, engine)?,
            Some(marker) if marker.format != FORMAT => {
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
        Ok(Self { _lock: lock })
    }
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
    let draft = dir.join(MARKER_DRAFT);
    let text = format!("driftdb data directory\nformat {FORMAT}\nengine {engine}\n");
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
    Some(Marker { format, engine })
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
        assert_eq!(marker, Marker { format: 1, engine: "lsm".into() });
    }
}
