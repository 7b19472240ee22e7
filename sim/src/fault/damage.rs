//! What a dishonest machine does in one life: its device lies, or what is at rest changes between two
//! lives. The database may report it and end there; it must not answer wrongly.
//!
//! What nobody could notice is left out: see the atlas in [`super`].

use std::path::PathBuf;

use driftdb_env::{FileKind, IoOp, Rng};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};

use super::spread;

/// One damage of one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The n-th operation on files of a part is not what the device says it was, or, without a number, one
    /// of eight.
    Lie { effect: Effect, nth: Option<u64>, part: Part },
    /// After the life, a file is not what it was.
    Rest { how: AtRest, part: Part },
}

/// A part of what a node stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Log,
    /// Where the engine keeps rows.
    Data,
    Meta,
}

impl Part {
    fn kind(self, engine: &str) -> FileKind {
        match self {
            Self::Log => FileKind::Log,
            Self::Data if engine == "btree" => FileKind::Pages,
            Self::Data => FileKind::Table,
            Self::Meta => FileKind::Meta,
        }
    }
}

/// What becomes of a file at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtRest {
    /// Some bits are others.
    Rot,
    /// It is gone.
    Wiped,
    /// Its end is gone.
    Cut,
    /// It and another of its kind have changed places.
    Swapped,
    /// It is as it was before the life.
    Stale,
}

impl AtRest {
    const ALL: [Self; 5] = [Self::Rot, Self::Wiped, Self::Cut, Self::Swapped, Self::Stale];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rot => "bit-rot",
            Self::Wiped => "files-wiped",
            Self::Cut => "files-cut",
            Self::Swapped => "files-swapped",
            Self::Stale => "files-stale",
        }
    }
}

/// A file as it was.
pub(crate) type Keepsake = Vec<(PathBuf, Vec<u8>)>;

/// Mostly data: there is most of it, and in most forms.
const NO_LOG: [Part; 4] = [Part::Data, Part::Data, Part::Data, Part::Meta];
const ALL_PARTS: [Part; 5] = [Part::Log, Part::Data, Part::Data, Part::Data, Part::Meta];

impl Damage {
    /// A damage by chance.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let any = ALL_PARTS[rng.index(ALL_PARTS.len())];
        // What is written to the log is not read again before a crash: nobody would notice.
        let no_log = NO_LOG[rng.index(NO_LOG.len())];
        let (effect, part) = match rng.below(15) {
            0 | 1 => (Effect::LieAboutSync, any),
            2 => (Effect::FlipRead, any),
            3 | 4 => (Effect::MisdirectRead, any),
            5 | 6 => (Effect::StaleRead, no_log),
            7 => (Effect::LoseWrite, no_log),
            8 => (Effect::MisdirectWrite, no_log),
            9 => (Effect::ZeroSector, no_log),
            _ => {
                let how = AtRest::ALL[rng.index(AtRest::ALL.len())];
                // A log that is older than it was is a log that ends earlier.
                return Self::Rest { how, part: if how == AtRest::Stale { no_log } else { any } };
            }
        };
        let nth = spread(rng, 5);
        Self::Lie { effect, nth: rng.chance(1, 2).then_some(nth), part }
    }

    /// Another mode where this damage could not be noticed after a crash in that mode: a log whose sync
    /// lied ends earlier, and nothing says so.
    pub(crate) fn allowed(self, mode: CrashMode) -> CrashMode {
        match self {
            Self::Lie { effect: Effect::LieAboutSync, part: Part::Log, .. } => CrashMode::Process,
            _ => mode,
        }
    }

    /// Sets the disk's lies.
    pub(crate) fn arm(self, disk: &SimDisk, engine: &str) {
        let Self::Lie { effect, nth, part } = self else { return };
        let op = match effect {
            Effect::LieAboutSync => IoOp::Sync,
            Effect::FlipRead | Effect::MisdirectRead | Effect::StaleRead => IoOp::Read,
            _ => IoOp::Write,
        };
        let fault = match (effect, nth) {
            // It strikes once, where it makes a difference.
            (Effect::StaleRead, nth) => Fault::from(nth.unwrap_or(1)),
            (_, Some(nth)) => Fault::at(nth),
            (_, None) => Fault::chance(1, 8),
        };
        disk.inject(fault.on(&[op]).kind(part.kind(engine)).effect(effect));
    }

    /// What is needed to bring files back to what they are now.
    pub(crate) fn keepsake(self, disk: &SimDisk, engine: &str) -> Keepsake {
        match self {
            Self::Rest { how: AtRest::Stale, part } => {
                let kind = part.kind(engine);
                let bytes = |path: PathBuf| Some((path.clone(), disk.read_file(&path)?));
                files(disk, kind).into_iter().filter_map(bytes).collect()
            }
            _ => Keepsake::new(),
        }
    }

    /// Damages what is at rest; the fault that struck.
    pub(crate) fn strike(
        self,
        disk: &SimDisk,
        engine: &str,
        keepsake: &Keepsake,
        rng: &mut Rng,
    ) -> Option<&'static str> {
        let Self::Rest { how, part } = self else { return None };
        let candidates = match part {
            Part::Log => vouched_segments(disk),
            Part::Data | Part::Meta => files(disk, part.kind(engine)),
        };
        if candidates.is_empty() {
            return None;
        }
        let path = &candidates[rng.index(candidates.len())];
        let bytes = disk.read_file(path).unwrap_or_default();
        let has_struck = match how {
            AtRest::Rot => (0..1 << rng.below(5)).fold(false, |_, _| {
                disk.corrupt(path, rng.below(bytes.len() as u64), 1 << rng.below(8))
            }),
            AtRest::Wiped => disk.remove_file(path),
            AtRest::Cut => disk.truncate(path, rng.below(bytes.len() as u64)),
            AtRest::Swapped => {
                let other = &candidates[rng.index(candidates.len())];
                let others = disk.read_file(other).unwrap_or_default();
                others != bytes && disk.write_file(path, &others) && disk.write_file(other, &bytes)
            }
            AtRest::Stale => keepsake
                .iter()
                .find(|(kept, _)| kept == path)
                .is_some_and(|(_, before)| *before != bytes && disk.write_file(path, before)),
        };
        has_struck.then(|| how.name())
    }
}

/// The files of a kind that hold something, in order of their names.
fn files(disk: &SimDisk, kind: FileKind) -> Vec<PathBuf> {
    let mut files = disk.files();
    files.retain(|path| disk.kind_of(path) == Some(kind));
    files.retain(|path| disk.read_file(path).is_some_and(|bytes| !bytes.is_empty()));
    files
}

/// The segments of the log that a later one vouches for: those that were begun, but the last.
fn vouched_segments(disk: &SimDisk) -> Vec<PathBuf> {
    let is_begun = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(".wal"));
        let number = number.and_then(|number| u32::from_str_radix(number, 16).ok());
        let bytes = disk.read_file(path).unwrap_or_default();
        // docs/formats/wal.md: a header, and the segment's number in it.
        bytes.starts_with(b"DriftWAL")
            && number.is_some_and(|number| bytes.get(32..36) == Some(&number.to_le_bytes()))
    };
    let mut begun = files(disk, FileKind::Log);
    begun.retain(is_begun);
    begun.pop();
    begun
}
