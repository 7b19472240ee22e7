//! Schedules by priorities: probabilistic concurrency testing [Burckhardt10].
//!
//! Each fiber has a random priority, and of those who can run the first in rank does. At a few yield points,
//! drawn before, the running fiber falls behind all others. A mistake that takes *d* steps in the right
//! order is met with a chance that falls with the number of steps to the power of *d* − 1, whatever the
//! rest does; switching by chance needs luck at every step.
//!
//! We depart from the paper in two ways: how many steps there will be is not known, so the points are
//! spread over powers of two; and a fiber that passes very many yield points in a row falls behind too,
//! since it may be waiting for somebody without saying so.

use driftdb_env::Rng;

/// Passing so many yield points without rest is taken for a wait.
const PATIENCE_STEPS: u64 = 10_000;

/// The earliest and the latest change, as powers of two of steps.
const SPREAD: std::ops::Range<u64> = 3..14;

pub(crate) struct Priorities {
    rng: Rng,
    /// Steps at which the running fiber falls behind, the next one last.
    changes: Vec<u64>,
    /// The rank of the next that falls behind: below all others so far.
    lowest: i64,
    /// When the running fiber began to run.
    since: u64,
}

impl Priorities {
    pub(crate) fn new(seed: u64, change_count: u32) -> Self {
        let mut rng = Rng::stream(seed, "priorities");
        let mut point = || {
            let doublings = SPREAD.start + rng.below(SPREAD.end - SPREAD.start);
            1 + rng.below(1 << doublings)
        };
        let mut changes: Vec<u64> = (0..change_count).map(|_| point()).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Self { rng, changes, lowest: 0, since: 0 }
    }

    /// The rank of a new fiber; greater goes first.
    pub(crate) fn draw(&mut self) -> i64 {
        1 + self.rng.below(1 << 48) as i64
    }

    /// A fiber begins to run, or goes on.
    pub(crate) fn resumed(&mut self, step: u64) {
        self.since = step;
    }

    /// The running fiber passes a yield point: its new rank, if it falls behind there.
    pub(crate) fn passed(&mut self, step: u64) -> Option<i64> {
        let is_due = self.changes.last().is_some_and(|change| *change <= step);
        if is_due {
            self.changes.pop();
        } else if step - self.since < PATIENCE_STEPS {
            return None;
        }
        self.since = step;
        self.lowest -= 1;
        Some(self.lowest)
    }
}
