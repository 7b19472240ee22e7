//! What is left after a crash: each operation that no sync had made durable is kept, dropped, or torn.

use std::sync::Arc;

use driftdb_env::{FileKind, Rng};

use crate::fault::Fired;
use crate::image::{Image, SECTOR};
use crate::state::{DataOp, Inode, State};

/// How a crash treats what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashMode {
    /// The process dies, the machine does not: everything written is still there, still unsynced.
    Process,
    /// Power fails before anything unsynced reached the device.
    LoseAll,
    /// Everything had just reached the device.
    KeepAll,
    /// Each operation on its own is kept, dropped or torn.
    Subset,
    /// Operations up to some point in time are kept, and of the next its first sectors.
    Prefix,
    /// Every unsynced write is torn: each sector on its own is new or old.
    Torn,
    /// Names and lengths are kept, the bytes are not: grown files end in zeroes.
    MetadataOnly,
    /// Bytes are kept, names are not.
    DataOnly,
}

impl CrashMode {
    /// Every mode, mildest first.
    pub const ALL: [Self; 8] = [
        Self::Process,
        Self::KeepAll,
        Self::LoseAll,
        Self::Subset,
        Self::Prefix,
        Self::Torn,
        Self::MetadataOnly,
        Self::DataOnly,
    ];
}

/// What becomes of one operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Drop,
    Tear,
    /// The first sectors, perhaps none.
    Cut,
    /// The length, not the bytes.
    LengthOnly,
}

impl State {
    /// Kills all handles and locks and decides about everything unsynced.
    pub(crate) fn crash(&mut self, mode: CrashMode) {
        self.epoch += 1;
        self.halted = false;
        self.locks.clear();
        self.fired.crashes += 1;
        self.note(&[u64::MAX, mode as u64], b"");
        // Handles of the old epoch cannot reach anything any more, whoever still holds them.
        for inode in self.inodes.values_mut() {
            inode.handles = Arc::new(());
        }
        if mode == CrashMode::Process {
            return;
        }
        let mut rng = self.crash_rng.clone();
        let cut = self.cut(&mut rng);
        for inode in self.inodes.values_mut() {
            inode.settle(mode, cut, &mut rng, &mut self.fired);
        }
        for directory in self.directories.values_mut() {
            for pending in std::mem::take(&mut directory.pending) {
                let keep = match mode {
                    CrashMode::Process | CrashMode::KeepAll | CrashMode::MetadataOnly => true,
                    CrashMode::LoseAll | CrashMode::DataOnly => false,
                    CrashMode::Subset | CrashMode::Torn => rng.chance(1, 2),
                    CrashMode::Prefix => pending.seq < cut,
                };
                if keep {
                    pending.op.apply(&mut directory.durable);
                } else {
                    self.fired.names_lost += 1;
                }
            }
            directory.seen = directory.durable.clone();
        }
        self.crash_rng = rng;
        self.collect();
    }

    /// A point in the order of all unsynced operations.
    fn cut(&self, rng: &mut Rng) -> u64 {
        let data = self.inodes.values().flat_map(|inode| &inode.pending).map(|op| op.seq);
        let names = self.directories.values().flat_map(|dir| &dir.pending).map(|op| op.seq);
        match data.chain(names).min() {
            Some(oldest) => oldest + rng.below(self.next_seq - oldest + 1),
            None => self.next_seq,
        }
    }
}

impl Inode {
    fn settle(&mut self, mode: CrashMode, cut: u64, rng: &mut Rng, fired: &mut Fired) {
        if self.kind == FileKind::Temp {
            self.durable = Image::default();
        }
        let mut has_dropped = false;
        for pending in std::mem::take(&mut self.pending) {
            let fate = match mode {
                CrashMode::Process | CrashMode::KeepAll | CrashMode::DataOnly => Fate::Keep,
                CrashMode::LoseAll => Fate::Drop,
                CrashMode::Subset => {
                    [Fate::Keep, Fate::Drop, Fate::Tear, Fate::LengthOnly][rng.index(4)]
                }
                CrashMode::Prefix if pending.seq < cut => Fate::Keep,
                CrashMode::Prefix if pending.seq == cut => Fate::Cut,
                CrashMode::Prefix => Fate::Drop,
                CrashMode::Torn => Fate::Tear,
                CrashMode::MetadataOnly => Fate::LengthOnly,
            };
            fired.reordered += u64::from(has_dropped && fate == Fate::Keep);
            has_dropped |= fate == Fate::Drop;
            settle(&pending.op, fate, &mut self.durable, rng, fired);
        }
        self.seen = self.durable.clone();
    }

    /// A sync that failed: part of the dirty pages got through, and none is dirty any more.
    pub(crate) fn lose_dirty(&mut self, rng: &mut Rng, fired: &mut Fired) {
        for pending in std::mem::take(&mut self.pending) {
            let fate = [Fate::Drop, Fate::Drop, Fate::Keep, Fate::Tear][rng.index(4)];
            settle(&pending.op, fate, &mut self.durable, rng, fired);
        }
    }
}

fn settle(op: &DataOp, fate: Fate, image: &mut Image, rng: &mut Rng, fired: &mut Fired) {
    match (fate, op) {
        (Fate::Keep, _) | (Fate::LengthOnly, DataOp::SetLen(_)) => op.apply(image),
        (Fate::Drop, _) => fired.dropped += 1,
        (Fate::Tear | Fate::Cut, DataOp::SetLen(_)) => {
            if rng.chance(1, 2) {
                op.apply(image);
            }
        }
        (Fate::LengthOnly, DataOp::Write { offset, bytes }) => {
            fired.lengths_only += 1;
            image.set_len(image.len().max(offset + bytes.len()));
        }
        (Fate::Cut, DataOp::Write { offset, bytes }) => {
            fired.cut += 1;
            let first = offset / SECTOR;
            let sectors = (offset + bytes.len()).div_ceil(SECTOR) - first;
            let end = (first + rng.below(sectors + 1)) * SECTOR;
            bytes.write_part(image, *offset, 0, end.saturating_sub(*offset).min(bytes.len()));
        }
        (Fate::Tear, DataOp::Write { offset, bytes }) => {
            fired.torn += 1;
            let grow = rng.chance(1, 2);
            let (mut from, len) = (0, bytes.len());
            while from < len {
                let sector_end = ((offset + from) / SECTOR + 1) * SECTOR;
                let to = (sector_end - offset).min(len);
                if rng.chance(1, 2) {
                    bytes.write_part(image, *offset, from, to);
                }
                from = to;
            }
            if grow {
                image.set_len(image.len().max(offset + len));
            }
        }
    }
}
