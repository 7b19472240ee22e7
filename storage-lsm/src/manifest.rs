//! The manifest: what is durable, and which tables hold it.
//!
//! It is small (about 90 bytes and two keys a table, 24 bytes a keyspace), so every change writes all of it anew:
//! write `MANIFEST.new`, sync it, rename it over `MANIFEST`, sync the directory. The alternative, an
//! appended log of edits, saves one sync per flush, but a damaged last edit then looks like one that
//! was torn by a crash, and would be forgotten; here no damage is ever forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use driftdb_env::{Env, FileKind, OpenHow};
use driftdb_storage::{Commit, KeyspaceId, Lsn, Result, Retention, StorageError, Timestamp};

use crate::format::{self, FRAME_HEADER_BYTES, FileType, FrameKind, PREAMBLE_BYTES};
use crate::health::Failure;
use crate::history::Floors;
use crate::keyspaces::{Keyspaces, Life};
use crate::run::{Bounds, Place};
use crate::table::TableMeta;

pub(crate) const NAME: &str = "MANIFEST";
pub(crate) const NEW_NAME: &str = "MANIFEST.new";

/// A manifest is far smaller; a longer file is not one, and is not read into memory.
const MAX_BYTES: u64 = 1 << 30;

/// No count of files or changes gets this far; below, adding to one does not overflow.
const NUMBER_LIMIT: u64 = 1 << 62;

/// What the manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Grows with every change.
    pub(crate) generation: u64,
    pub(crate) durable: Commit,
    /// The number of the next file.
    pub(crate) next_file_id: u64,
    /// Newest first.
    pub(crate) runs: Vec<RunRecord>,
    /// As of `durable`.
    pub(crate) keyspaces: Keyspaces,
    pub(crate) floors: Floors,
}

/// What the manifest says of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunRecord {
    pub(crate) level: u32,
    pub(crate) is_merging: bool,
    /// Ascending.
    pub(crate) parts: Vec<(TableMeta, Bounds)>,
}

impl Manifest {
    /// Whether it says the same as `present`, which may have given out file numbers since it was written.
    pub(crate) fn is_behind(&self, present: &Self) -> bool {
        let next_file_id = present.next_file_id;
        self.next_file_id <= next_file_id && Self { next_file_id, ..self.clone() } == *present
    }

    /// Whether it could be one that was written. A checksum says that bytes are as they were, not that
    /// they were ours; what relies on runs that are in order panics where they are not.
    fn is_possible(&self) -> bool {
        let mut file_ids = BTreeSet::new();
        let mut parts = self.runs.iter().flat_map(|run| &run.parts);
        parts.all(|(table, bounds)| {
            let is_range = bounds.last.as_ref().is_none_or(|last| bounds.first <= *last);
            is_range && table.file_id < NUMBER_LIMIT && file_ids.insert(table.file_id)
        }) && self.generation < NUMBER_LIMIT
            && self.next_file_id < NUMBER_LIMIT
    }

    /// The tables of all runs, newest run first.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &TableMeta> {
        self.runs.iter().flat_map(|run| &run.parts).map(|(meta, _)| meta)
    }
}

/// Reads the manifest; `None` if there is none yet.
///
/// # Errors
/// I/O; damage; another engine's or a newer format.
pub(crate) fn load(env: &Env, dir: &Path) -> Result<Option<Manifest>> {
    let path = dir.join(NAME);
    let name = path.display().to_string();
    let file = match env.disk().open(&path, OpenHow::Read, FileKind::Meta) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let len = file.len()?;
    if len > MAX_BYTES {
        return Err(StorageError::corruption(name, 0, "the file is too long for a manifest"));
    }
    let bytes = format::read_exact(&*file, &name, 0, len as usize)?;
    let version = format::check_preamble(&bytes, FileType::Manifest, 0, &name)?;
    let offset = PREAMBLE_BYTES as u64;
    let frame = &bytes[PREAMBLE_BYTES..];
    let damage = |what: &str| StorageError::corruption(name.clone(), offset, what);
    format::check_frame(frame, FrameKind::Manifest, 0, offset).map_err(damage)?;
    let manifest = decode(&mut Reader { rest: &frame[FRAME_HEADER_BYTES..] }, version);
    manifest.map(Some).ok_or_else(|| damage("the manifest is malformed"))
}

/// Replaces the manifest. Returns the bytes written.
///
/// # Errors
/// [`Failure`] says whether it may have been replaced.
pub(crate) fn save(
    env: &Env,
    dir: &Path,
    manifest: &Manifest,
) -> std::result::Result<u64, Failure> {
    let new = dir.join(NEW_NAME);
    let bytes = encode(manifest);
    if let Err(error) = write_new(env, &new, &bytes) {
        // Only a leftover: the next save, or the next open, removes it.
        drop(env.disk().remove(&new));
        return Err(Failure::Undone(error));
    }
    let switch = || -> Result<()> {
        env.disk().rename(&new, &dir.join(NAME))?;
        Ok(env.disk().sync_dir(dir)?)
    };
    switch().map_err(Failure::Unknown)?;
    Ok(bytes.len() as u64)
}

/// The length of its file.
pub(crate) fn size_bytes(manifest: &Manifest) -> u64 {
    encode(manifest).len() as u64
}

fn write_new(env: &Env, path: &Path, bytes: &[u8]) -> Result<()> {
    if env.disk().exists(path)? {
        env.disk().remove(path)?;
    }
    let file = env.disk().open(path, OpenHow::CreateNew, FileKind::Meta)?;
    file.write_at(0, bytes)?;
    Ok(file.sync_data()?)
}

fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut out = Writer::default();
    out.u64(manifest.generation);
    out.u64(manifest.durable.lsn.0);
    out.u64(manifest.durable.ts.0);
    out.u64(manifest.next_file_id);
    out.u32(manifest.runs.len() as u32);
    out.u32(manifest.keyspaces.len() as u32);
    out.u32(manifest.floors.len() as u32);
    for run in &manifest.runs {
        out.u32(run.level);
        out.u32(u32::from(run.is_merging));
        out.u32(run.parts.len() as u32);
        for (table, bounds) in &run.parts {
            encode_table(&mut out, table);
            out.u64(bounds.skipped_bytes);
            out.u32(u32::from(bounds.last.is_some()));
            out.place(&bounds.first);
            bounds.last.iter().for_each(|last| out.place(last));
        }
    }
    for (space, life) in &manifest.keyspaces {
        out.u32(space.0);
        out.u32(u32::from(life.dropped.is_some()));
        out.u64(life.created.0);
        out.u64(life.dropped.unwrap_or_default().0);
    }
    for (space, floor) in &manifest.floors {
        out.u32(space.0);
        out.u32(floor.pins.len() as u32);
        out.u64(floor.keep_since.0);
        floor.pins.iter().for_each(|pin| out.u64(pin.0));
    }
    let mut file =
        format::preamble(FileType::Manifest, FileType::Manifest.latest_version(), 0).to_vec();
    let offset = file.len() as u64;
    format::write_frame(&mut file, FrameKind::Manifest, 0, offset, &out.bytes);
    file
}

fn encode_table(out: &mut Writer, table: &TableMeta) {
    for number in [table.file_id, table.size_bytes, table.entry_count, table.key_count] {
        out.u64(number);
    }
    out.u64(table.tombstone_count);
    for ts in [table.min_ts, table.max_ts, table.folded_to] {
        out.u64(ts.0);
    }
}

fn decode_table(reader: &mut Reader<'_>) -> Option<TableMeta> {
    Some(TableMeta {
        file_id: reader.u64()?,
        size_bytes: reader.u64()?,
        entry_count: reader.u64()?,
        key_count: reader.u64()?,
        tombstone_count: reader.u64()?,
        min_ts: reader.ts()?,
        max_ts: reader.ts()?,
        folded_to: reader.ts()?,
    })
}

/// A run. In version 1 there is a table in its place, which may have any keys.
fn decode_run(reader: &mut Reader<'_>, version: u32) -> Option<RunRecord> {
    if version == 1 {
        let parts = vec![(decode_table(reader)?, Bounds::default())];
        return Some(RunRecord { parts, ..RunRecord::default() });
    }
    let level = reader.u32()?;
    let is_merging = reader.flag()?;
    let count = reader.u32()?;
    let mut parts: Vec<(TableMeta, Bounds)> = Vec::new();
    for _ in 0..count {
        let meta = decode_table(reader)?;
        let skipped_bytes = reader.u64()?;
        let has_last = reader.flag()?;
        let first = reader.place()?;
        let last = if has_last { Some(reader.place()?) } else { None };
        let bounds = Bounds { first, last, skipped_bytes };
        if parts.last().is_some_and(|(_, before)| !before.precedes(&bounds)) {
            return None;
        }
        parts.push((meta, bounds));
    }
    Some(RunRecord { level, is_merging, parts })
}

fn decode(reader: &mut Reader<'_>, version: u32) -> Option<Manifest> {
    let generation = reader.u64()?;
    let durable = Commit { lsn: Lsn(reader.u64()?), ts: reader.ts()? };
    let next_file_id = reader.u64()?;
    let (run_count, space_count, floor_count) = (reader.u32()?, reader.u32()?, reader.u32()?);
    // Grown entry by entry: a wrong count runs out of bytes before it runs out of memory.
    let mut runs = Vec::new();
    for _ in 0..run_count {
        runs.push(decode_run(reader, version)?);
    }
    let mut keyspaces = BTreeMap::new();
    for _ in 0..space_count {
        let space = KeyspaceId(reader.u32()?);
        let is_dropped = reader.u32()? != 0;
        let (created, dropped) = (reader.ts()?, reader.ts()?);
        keyspaces.insert(space, Life { created, dropped: is_dropped.then_some(dropped) });
    }
    let mut floors = BTreeMap::new();
    for _ in 0..floor_count {
        let space = KeyspaceId(reader.u32()?);
        let pin_count = reader.u32()?;
        let keep_since = reader.ts()?;
        let mut pins = Vec::new();
        for _ in 0..pin_count {
            pins.push(reader.ts()?);
        }
        floors.insert(space, Retention { keep_since, pins, min_versions: 0 });
    }
    let manifest = Manifest { generation, durable, next_file_id, runs, keyspaces, floors };
    (reader.rest.is_empty() && manifest.is_possible()).then_some(manifest)
}

#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn u32(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn place(&mut self, place: &Place) {
        self.u32(place.space.0);
        self.u32(place.key.len() as u32);
        self.bytes.extend_from_slice(&place.key);
    }
}

#[derive(Debug)]
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn place(&mut self) -> Option<Place> {
        let space = KeyspaceId(self.u32()?);
        let len = self.u32()? as usize;
        let (key, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Place::new(space, key))
    }

    fn ts(&mut self) -> Option<Timestamp> {
        self.u64().map(Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(file_id: u64) -> TableMeta {
        TableMeta {
            file_id,
            size_bytes: 1000,
            entry_count: 3,
            key_count: 2,
            tombstone_count: 1,
            min_ts: Timestamp(4),
            max_ts: Timestamp(9),
            folded_to: Timestamp(5),
        }
    }

    fn part(first: &[u8], last: &[u8], skipped_bytes: u64) -> Bounds {
        let place = |key: &[u8]| Place::new(KeyspaceId(1), key);
        Bounds { skipped_bytes, ..Bounds::new(place(first), place(last)) }
    }

    /// Whether the manifest is refused though its bytes are as they were written.
    fn is_refused(manifest: &Manifest) -> bool {
        let bytes = encode(manifest);
        let payload = &bytes[PREAMBLE_BYTES + FRAME_HEADER_BYTES..];
        decode(&mut Reader { rest: payload }, 2).is_none()
    }

    #[test]
    fn what_was_never_written_is_refused_under_a_sound_checksum() {
        let run = |parts| RunRecord { level: 1, is_merging: false, parts };
        let of = |runs| Manifest { runs, ..Manifest::default() };
        let (a, b) = (part(b"a", b"f", 0), part(b"g", b"h", 0));
        assert!(!is_refused(&of(vec![run(vec![(table(1), a.clone()), (table(2), b.clone())])])));
        // Out of order, backwards, and one file twice.
        assert!(is_refused(&of(vec![run(vec![(table(1), b.clone()), (table(2), a.clone())])])));
        assert!(is_refused(&of(vec![run(vec![(table(1), part(b"f", b"a", 0))])])));
        assert!(is_refused(&of(vec![run(vec![(table(1), a.clone()), (table(1), b.clone())])])));
        assert!(is_refused(&of(vec![run(vec![(table(1), a)]), run(vec![(table(1), b)])])));
        // Numbers that nobody counts to.
        assert!(is_refused(&Manifest { generation: u64::MAX, ..Manifest::default() }));
        assert!(is_refused(&Manifest { next_file_id: u64::MAX, ..Manifest::default() }));
        assert!(is_refused(&of(vec![run(vec![(table(u64::MAX), Bounds::default())])])));
    }

    #[test]
    fn a_manifest_comes_back() {
        let life = |dropped| Life { created: Timestamp(1), dropped };
        let floor = Retention {
            keep_since: Timestamp(5),
            pins: vec![Timestamp(2), Timestamp(3)],
            min_versions: 0,
        };
        let manifest = Manifest {
            generation: 11,
            durable: Commit { lsn: Lsn(70), ts: Timestamp(9) },
            next_file_id: 8,
            runs: vec![
                RunRecord {
                    level: 0,
                    is_merging: true,
                    parts: vec![(table(7), part(b"a", b"f", 0)), (table(8), part(b"g", b"g", 99))],
                },
                RunRecord {
                    level: 3,
                    is_merging: false,
                    parts: vec![(table(9), Bounds::default())],
                },
            ],
            keyspaces: [(KeyspaceId(1), life(None)), (KeyspaceId(2), life(Some(Timestamp::MIN)))]
                .into(),
            floors: [(KeyspaceId(2), floor)].into(),
        };
        let bytes = encode(&manifest);
        let payload = &bytes[PREAMBLE_BYTES + FRAME_HEADER_BYTES..];
        assert_eq!(decode(&mut Reader { rest: payload }, 2), Some(manifest));
        for len in 0..payload.len() {
            assert_eq!(decode(&mut Reader { rest: &payload[..len] }, 2), None, "cut to {len}");
        }
    }
}
