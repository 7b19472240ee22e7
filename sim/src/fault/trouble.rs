//! What an honest machine does to a node in one life: it dies, its disk fails, is full, slow or gone for
//! good, time passes where nobody runs, its clock is wrong. Everything acknowledged survives all of it.

use std::io::ErrorKind;
use std::time::Duration;

use driftdb_env::{FileKind, IoOp, Rng};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};

use super::spread;
use crate::kernel::{Hold, KillAt, WallClock};

/// One trouble of one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// None.
    Nothing,
    /// Killed.
    Kill(KillAt),
    /// The n-th sync of a kind of file fails, and the pages are marked clean all the same.
    SyncLost { nth: u64, kind: Option<FileKind> },
    /// The n-th write fails, perhaps done in part.
    WriteError { nth: u64, kind: Option<FileKind> },
    /// The n-th read fails.
    ReadError { nth: u64 },
    /// From the n-th operation on everything fails.
    DiskGone { nth: u64 },
    /// The disk takes so many more bytes.
    DiskFull { slack_bytes: u64 },
    /// So many more files can be open.
    TooManyFiles { slack_count: u64 },
}

/// Yield points of the product at which something has just begun or ended that a crash may spoil.
const POINTS: &[&str] = &[
    "file.written-not-synced",
    "wal.before-write",
    "wal.synced-not-published",
    "mvcc.commit.begin",
    "mvcc.commit.latched",
    "mvcc.commit.appended",
    "mvcc.commit.applied",
    "mvcc.commit.durable",
    "mvcc.lock.wait",
    "mvcc.maintain.step",
    "mvcc.release-log",
    "lsm.flush-begin",
    "lsm.flush-before-manifest",
    "lsm.table-synced",
    "lsm.before-publish",
    "lsm.apply-before-publish",
    "lsm.merge-before-manifest",
    "btree.apply",
    "btree.picture-taken",
    "btree.fold",
    "btree.step-written",
    "btree.pages-written",
    "btree.pages-synced",
    "btree.switched",
];

/// The log more often: what becomes of it decides what is there.
const KINDS: [Option<FileKind>; 6] = [
    None,
    Some(FileKind::Log),
    Some(FileKind::Log),
    Some(FileKind::Table),
    Some(FileKind::Pages),
    Some(FileKind::Meta),
];

impl Trouble {
    /// A trouble by chance.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        match rng.below(20) {
            0..4 => Self::Kill(KillAt::Yield(spread(rng, 11))),
            4..8 => Self::Kill(KillAt::DiskOp(spread(rng, 8))),
            8..12 => {
                let site = POINTS[rng.index(POINTS.len())];
                Self::Kill(KillAt::Site { site, nth: spread(rng, 5) })
            }
            12 | 13 => Self::SyncLost { nth: spread(rng, 5), kind: KINDS[rng.index(KINDS.len())] },
            14 | 15 => {
                Self::WriteError { nth: spread(rng, 6), kind: KINDS[rng.index(KINDS.len())] }
            }
            16 => Self::ReadError { nth: spread(rng, 5) },
            17 => Self::DiskGone { nth: spread(rng, 8) },
            18 => Self::TooManyFiles { slack_count: rng.below(4) },
            _ => Self::DiskFull { slack_bytes: spread(rng, 15) },
        }
    }

    /// Another crash mode where that lets the trouble do its worst: pages that a failed sync marked clean
    /// are read, until power fails in a later life.
    pub(crate) fn worst(self, mode: CrashMode, rng: &mut Rng) -> CrashMode {
        match self {
            Self::SyncLost { .. } if rng.chance(1, 2) => CrashMode::Process,
            _ => mode,
        }
    }

    /// When it kills, if it does.
    pub(crate) fn kill_at(self) -> Option<KillAt> {
        match self {
            Self::Kill(at) => Some(at),
            _ => None,
        }
    }

    /// Whether it passes within the life, once its clients have met it.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::DiskFull { slack_bytes } if slack_bytes.is_multiple_of(2))
    }

    /// Sets the disk's faults. Where the disk does not count them itself: the fault, and its name.
    pub(crate) fn arm(self, disk: &SimDisk) -> Option<(usize, &'static str)> {
        let error = Effect::Error(ErrorKind::Other);
        match self {
            Self::Nothing | Self::Kill(_) => None,
            Self::SyncLost { nth, kind } => {
                let fault = Fault::at(nth).on(&[IoOp::Sync]).effect(Effect::LoseDirty);
                disk.inject(of(fault, kind));
                None
            }
            Self::WriteError { nth, kind } => {
                let fault = of(Fault::at(nth).on(&[IoOp::Write]).effect(error), kind);
                Some((disk.inject(fault), "write-errors"))
            }
            Self::ReadError { nth } => {
                let fault = Fault::at(nth).on(&[IoOp::Read]).effect(error);
                Some((disk.inject(fault), "read-errors"))
            }
            Self::DiskGone { nth } => {
                Some((disk.inject(Fault::from(nth).effect(error)), "disk-gone"))
            }
            Self::DiskFull { slack_bytes } => {
                disk.set_capacity(Some(disk.used_bytes() + slack_bytes));
                None
            }
            Self::TooManyFiles { slack_count } => {
                disk.set_handle_limit(Some(disk.handle_count() + slack_count as usize));
                None
            }
        }
    }
}

/// A fault of files of one kind, or of all.
fn of(fault: Fault, kind: Option<FileKind>) -> Fault {
    match kind {
        Some(kind) => fault.kind(kind),
        None => fault,
    }
}

/// What takes longer than it should, by chance: in one life of four something does.
pub(crate) fn draw_hold(rng: &mut Rng) -> Option<Hold> {
    const MILLISECOND: u64 = 1_000_000;
    match rng.below(12) {
        0 => Some(Hold::Pause { nth: spread(rng, 9), for_ns: MILLISECOND << rng.below(14) }),
        1 => Some(Hold::Stall { nth: spread(rng, 7), for_ns: MILLISECOND << rng.below(14) }),
        2 => {
            let (nth, count) = (spread(rng, 7), spread(rng, 7));
            Some(Hold::Slow { nth, count, times: 1 << (3 + rng.below(8)) })
        }
        _ => None,
    }
}

/// A wall clock by chance: wrong in every life, wrong in another way in one of three.
pub(crate) fn draw_clock(ahead: Duration, rng: &mut Rng) -> WallClock {
    let right = WallClock { ahead, ..WallClock::default() };
    let set_after = Some(Duration::from_micros(spread(rng, 13)));
    // From a millisecond to more than an hour.
    let set_by_ns = 1_000_000_i64 << rng.below(23);
    match rng.below(9) {
        0 => WallClock { set_after, set_by_ns, ..right },
        1 => WallClock { set_after, set_by_ns: -set_by_ns, ..right },
        2 => WallClock { drift_ppm: [-500, 500, -50_000, 50_000][rng.index(4)], ..right },
        _ => right,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The names of all yield points in a directory of sources.
    fn points(dir: &Path, found: &mut BTreeSet<String>) {
        let env = driftdb_env::Env::os();
        for entry in env.disk().list(dir).expect("sources are there") {
            let path = dir.join(&entry.name);
            if entry.is_dir {
                points(&path, found);
            } else if entry.name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).expect("a source is text");
                let calls = text.split("preemption_point(\"").skip(1);
                found.extend(calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn the_named_points_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut found = BTreeSet::new();
        for part in ["wal", "mvcc", "storage-lsm", "storage-btree", "engine-traits/env"] {
            points(&root.join(part).join("src"), &mut found);
        }
        for point in POINTS {
            assert!(found.contains(*point), "nothing passes \"{point}\"");
        }
    }
}
