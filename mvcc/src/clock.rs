//! The hybrid logical clock [Kulkarni14].
//!
//! A commit timestamp is the wall clock in nanoseconds, pushed forward where needed to stay unique
//! and ascending: past every earlier commit (also of earlier runs: recovery observes them), and past
//! every time that somebody has read as of.

use driftdb_env::sync::atomic::{AtomicU64, Ordering};
use driftdb_env::{Env, planted};
use driftdb_storage::Timestamp;

pub(crate) struct HybridClock {
    env: Env,
    last: AtomicU64,
}

impl HybridClock {
    pub(crate) fn new(env: &Env) -> Self {
        Self { env: env.clone(), last: AtomicU64::new(0) }
    }

    /// A timestamp later than every one given or observed before.
    pub(crate) fn tick(&self) -> Timestamp {
        let wall = self.wall().0;
        let next = |last: u64| match planted!("mvcc.commit-time-of-the-wall") {
            true => wall,
            false => wall.max(last.saturating_add(1)),
        };
        let before = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)))
            .expect("the closure never declines");
        Timestamp(next(before))
    }

    /// Later ticks are after `ts`.
    pub(crate) fn observe(&self, ts: Timestamp) {
        self.last.fetch_max(ts.0, Ordering::SeqCst);
    }

    /// The latest time that may be read: nothing to come is at or before it once it is observed.
    pub(crate) fn latest(&self) -> Timestamp {
        self.wall().max(Timestamp(self.last.load(Ordering::SeqCst)))
    }

    /// The wall clock.
    pub(crate) fn wall(&self) -> Timestamp {
        // The year 2554 is where 64 bits of nanoseconds end.
        Timestamp(u64::try_from(self.env.wall().as_nanos()).unwrap_or(u64::MAX - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_ascend_past_what_was_observed() {
        let clock = HybridClock::new(&Env::os());
        let first = clock.tick();
        let future = Timestamp(first.0 + 3_600_000_000_000);
        clock.observe(future);
        let second = clock.tick();
        assert_eq!(second, future.next());
        assert!(clock.tick() > second);
        assert!(clock.latest() > future);
    }
}
