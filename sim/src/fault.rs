//! What befalls a node in one life, and how often each kind struck.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use driftdb_env::{FileKind, IoOp, Rng};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};

use crate::kernel::KillAt;

/// One trouble of one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Killed.
    Kill(KillAt),
    /// The n-th sync of a kind of file fails, and the pages are marked clean all the same.
    SyncLost { nth: u64, kind: Option<FileKind> },
    /// The n-th write fails, perhaps done in part.
    WriteError { nth: u64, kind: Option<FileKind> },
    /// The n-th read fails.
    ReadError { nth: u64 },
    /// The disk takes so many more bytes.
    DiskFull { slack_bytes: u64 },
}

/// Small numbers often, large ones sometimes: faults should hit early and late.
fn spread(rng: &mut Rng, doublings: u64) -> u64 {
    let most = 1 << (1 + rng.below(doublings));
    1 + rng.below(most)
}

impl Trouble {
    /// A trouble by chance.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let kinds = [
            None,
            Some(FileKind::Log),
            Some(FileKind::Table),
            Some(FileKind::Pages),
            Some(FileKind::Meta),
        ];
        match rng.below(16) {
            0..5 => Self::Kill(KillAt::Yield(spread(rng, 11))),
            5..10 => Self::Kill(KillAt::DiskOp(spread(rng, 8))),
            10..12 => Self::SyncLost { nth: spread(rng, 5), kind: kinds[rng.index(kinds.len())] },
            12 | 13 => {
                Self::WriteError { nth: spread(rng, 6), kind: kinds[rng.index(kinds.len())] }
            }
            14 => Self::ReadError { nth: spread(rng, 5) },
            _ => Self::DiskFull { slack_bytes: spread(rng, 15) },
        }
    }

    /// When it kills, if it does.
    pub(crate) fn kill_at(self) -> Option<KillAt> {
        match self {
            Self::Kill(at) => Some(at),
            _ => None,
        }
    }

    /// Sets the disk's faults.
    pub(crate) fn arm(self, disk: &SimDisk) {
        let of = |fault: Fault, kind: Option<FileKind>| match kind {
            Some(kind) => fault.kind(kind),
            None => fault,
        };
        match self {
            Self::Kill(_) => {}
            Self::SyncLost { nth, kind } => {
                let fault = Fault::at(nth).on(&[IoOp::Sync]).effect(Effect::LoseDirty);
                disk.inject(of(fault, kind));
            }
            Self::WriteError { nth, kind } => {
                let fault =
                    Fault::at(nth).on(&[IoOp::Write]).effect(Effect::Error(ErrorKind::Other));
                disk.inject(of(fault, kind));
            }
            Self::ReadError { nth } => {
                let fault = Fault::at(nth).on(&[IoOp::Read]);
                disk.inject(fault.effect(Effect::Error(ErrorKind::Other)));
            }
            Self::DiskFull { slack_bytes } => {
                disk.set_capacity(Some(disk.used_bytes() + slack_bytes));
            }
        }
    }
}

/// A crash mode by chance: losing what was not synced is the common case.
pub(crate) fn draw_crash_mode(rng: &mut Rng) -> CrashMode {
    CrashMode::ALL[rng.index(CrashMode::ALL.len())]
}

/// How often each kind of fault struck.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultCounts(BTreeMap<&'static str, u64>);

impl FaultCounts {
    /// Counts some.
    pub fn add(&mut self, kind: &'static str, count: u64) {
        *self.0.entry(kind).or_default() += count;
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            self.add(kind, *count);
        }
    }

    /// How often one kind struck.
    pub fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or_default()
    }

    /// Counts what a disk reports.
    pub(crate) fn add_disk(&mut self, disk: &SimDisk) {
        let fired = disk.fired();
        self.add("io-errors", fired.errors);
        self.add("syncs-lost", fired.dirty_lost);
        self.add("disk-full", fired.disk_full);
        self.add("writes-lost", fired.dropped);
        self.add("writes-torn", fired.torn);
        self.add("crashes", fired.crashes);
    }
}

impl std::fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (kind, count)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {count}")?;
        }
        Ok(())
    }
}
