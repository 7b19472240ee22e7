//! Faults on command: which operation they hit, and what happens to it.

use std::io;
use std::path::Path;

use driftdb_env::{FileKind, IoOp, Rng};

/// What a fault does to the operation it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It fails. A write may have been done in part.
    Error(io::ErrorKind),
    /// A sync fails, and the dirty pages are marked clean: reads still see them, but only a random
    /// part ever reaches the device, and the next sync succeeds [Rebello20]. Elsewhere: an error.
    LoseDirty,
    /// A sync reports success without doing anything. No effect elsewhere.
    LieAboutSync,
    /// A read returns with one bit flipped, once; the device is unharmed. No effect elsewhere.
    FlipRead,
    /// A read returns what stands at another place of the file, once. No effect elsewhere.
    MisdirectRead,
    /// The first read from then on to which it makes a difference returns what was there when the fault was
    /// injected: zeroes where nothing was. Once. No effect elsewhere.
    StaleRead,
    /// A write reports success and is not done: reads find what stood there before, or zeroes where the
    /// file grew. No effect elsewhere.
    LoseWrite,
    /// A write reports success and is done at another place of the file, over what stands there. No effect
    /// elsewhere.
    MisdirectWrite,
    /// A write reports success, and one of its sectors holds zeroes. No effect elsewhere.
    ZeroSector,
    /// The machine stops before the operation is done: it and everything after it fails until
    /// [`crate::SimDisk::crash`]. A write it hits may be found done, torn, or not done.
    Halt,
}

#[derive(Debug, Clone, Copy)]
enum Trigger {
    Nth { n: u64, onwards: bool },
    Chance { numerator: u64, denominator: u64 },
}

/// A rule: the operations it watches, when it strikes, what it does.
#[derive(Debug, Clone)]
pub struct Fault {
    trigger: Trigger,
    ops: Vec<IoOp>,
    kind: Option<FileKind>,
    path: Option<String>,
    effect: Effect,
    matched: u64,
    pub(crate) fired: u64,
}

impl Fault {
    fn new(trigger: Trigger) -> Self {
        Self {
            trigger,
            ops: Vec::new(),
            kind: None,
            path: None,
            effect: Effect::Error(io::ErrorKind::Other),
            matched: 0,
            fired: 0,
        }
    }

    /// Strikes the `n`-th watched operation from now on (the first is 1).
    ///
    /// # Panics
    /// If `n` is zero.
    pub fn at(n: u64) -> Self {
        assert!(n > 0);
        Self::new(Trigger::Nth { n, onwards: false })
    }

    /// Strikes the `n`-th watched operation and all later ones.
    ///
    /// # Panics
    /// If `n` is zero.
    pub fn from(n: u64) -> Self {
        assert!(n > 0);
        Self::new(Trigger::Nth { n, onwards: true })
    }

    /// Strikes each watched operation with this probability.
    pub fn chance(numerator: u64, denominator: u64) -> Self {
        Self::new(Trigger::Chance { numerator, denominator })
    }

    /// Watches only these operations.
    #[must_use]
    pub fn on(mut self, ops: &[IoOp]) -> Self {
        self.ops = ops.to_vec();
        self
    }

    /// Watches only files of this kind.
    #[must_use]
    pub fn kind(mut self, kind: FileKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Watches only paths that contain `part`.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        self.path = Some(part.to_owned());
        self
    }

    /// What happens to the operation.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Whether it needs to know what writes replace.
    pub(crate) fn is_stale(&self) -> bool {
        self.effect == Effect::StaleRead
    }

    /// Shows the rule an operation; says whether it strikes.
    pub(crate) fn strikes(
        &mut self,
        op: IoOp,
        kind: Option<FileKind>,
        path: &Path,
        rng: &mut Rng,
    ) -> Option<Effect> {
        let watched = (self.ops.is_empty() || self.ops.contains(&op))
            && (self.kind.is_none() || self.kind == kind)
            && self.path.as_ref().is_none_or(|part| path.to_string_lossy().contains(part));
        if !watched {
            return None;
        }
        self.matched += 1;
        let strikes = match self.trigger {
            Trigger::Nth { n, onwards } => self.matched == n || (onwards && self.matched > n),
            Trigger::Chance { numerator, denominator } => rng.chance(numerator, denominator),
        };
        if strikes {
            self.fired += 1;
        }
        strikes.then_some(self.effect)
    }
}

/// How often each kind of fault has struck: a run in which a configured fault never did proves
/// nothing about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fired {
    /// Operations that failed by [`Effect::Error`].
    pub errors: u64,
    /// Syncs that failed and lost what they should have saved.
    pub dirty_lost: u64,
    /// Syncs that lied.
    pub sync_lies: u64,
    /// Reads with a flipped bit.
    pub reads_flipped: u64,
    /// Reads that returned another place's bytes.
    pub reads_misdirected: u64,
    /// Reads that returned earlier bytes, and other ones.
    pub reads_stale: u64,
    /// Writes that failed after a part of them was done.
    pub writes_short: u64,
    /// Writes that reported success and were not done.
    pub writes_lost: u64,
    /// Writes that were done at another place.
    pub writes_misdirected: u64,
    /// Writes that left a sector of zeroes.
    pub sectors_zeroed: u64,
    /// Files not opened because too many were open.
    pub opens_refused: u64,
    /// Stops of the machine by [`Effect::Halt`].
    pub halts: u64,
    /// Writes refused because the disk was full.
    pub disk_full: u64,
    /// Crashes.
    pub crashes: u64,
    /// Pending operations that a crash dropped whole.
    pub dropped: u64,
    /// Writes that a crash tore: some sectors are new, others old.
    pub torn: u64,
    /// Writes of which a crash kept the first sectors, or none.
    pub cut: u64,
    /// Writes of which a crash kept only that the file grew.
    pub lengths_only: u64,
    /// Names that a crash did not make, remove or change.
    pub names_lost: u64,
    /// Writes that a crash kept although it had dropped an earlier one of the same file.
    pub reordered: u64,
    /// Places damaged by [`crate::SimDisk::corrupt`] and its kin.
    pub damaged: u64,
}

impl Fired {
    /// How often the device did not keep its word: what only checksums can notice.
    pub fn lies(&self) -> u64 {
        let reads = self.reads_flipped + self.reads_misdirected + self.reads_stale;
        let writes = self.writes_lost + self.writes_misdirected + self.sectors_zeroed;
        reads + writes + self.sync_lies + self.damaged
    }
}

/// Operations by kind since the disk was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// All operations.
    pub ops: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// File syncs.
    pub syncs: u64,
    /// Directory syncs.
    pub dir_syncs: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
}
