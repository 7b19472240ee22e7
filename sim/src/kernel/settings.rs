//! How a simulated machine behaves: chances and latencies.

/// A chance of `numerator` in `denominator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    /// How many.
    pub numerator: u64,
    /// Of how many.
    pub denominator: u64,
}

impl Chance {
    /// Never.
    pub const NEVER: Self = Self { numerator: 0, denominator: 1 };

    /// Once in `denominator` times.
    pub const fn one_in(denominator: u64) -> Self {
        Self { numerator: 1, denominator }
    }
}

/// Settings of a [`super::Sim`].
#[derive(Debug, Clone, Copy)]
pub struct KernelSettings {
    /// Where all random streams come from.
    pub seed: u64,
    /// How often a fiber is held up at a yield point: without it CPU would be free, and tasks that
    /// timers drive would never overlap (research/sim.md 4.2).
    pub delay: Chance,
    /// The longest such hold-up, in nanoseconds.
    pub max_delay_ns: u64,
    /// How often another fiber is chosen at a yield point.
    pub switch: Chance,
    /// The longest a disk operation takes, in nanoseconds; a sync takes up to 20 times as long.
    pub max_disk_ns: u64,
    /// More yield points, disk operations and switches than this are a livelock.
    pub max_events: u64,
    /// Schedules by priorities that change so often; by chance where there are none
    /// ([`super::priorities`]).
    pub priority_changes: Option<u32>,
    /// Whether the product makes mischief where it says `buggify!` ([`driftdb_env::sites`]).
    pub buggifies: bool,
}

impl KernelSettings {
    /// Moderate settings, for tests of the kernel itself.
    pub fn plain(seed: u64) -> Self {
        Self {
            seed,
            delay: Chance::one_in(16),
            max_delay_ns: 300_000,
            switch: Chance::one_in(4),
            max_disk_ns: 20_000,
            max_events: 2_000_000,
            priority_changes: None,
            buggifies: false,
        }
    }
}
