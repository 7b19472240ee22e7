//! Trying schedules of a concurrent piece of code, in a build with `--cfg shuttle`.
//!
//! A body starts its tasks and checks what they saw. It runs once per schedule, under two schedulers
//! in turn: one draws every step, one draws priorities and a few points at which they change
//! [Burckhardt10], which finds what needs one task to stand still for long.
//!
//! [`Schedules::all_hold`] demands that no schedule breaks the body. [`Schedules::find`] demands that
//! the same schedules break it with one misplaced step (`planted_order!`): what they are known to find.
//! Seeds are fixed, so that both are the same everywhere; `SHUTTLE_RANDOM_SEED` tries others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};

use crate::planted;

const SEED: u64 = 0x0005_c4ed;
/// The points at which priorities change, and one.
const PRIORITY_DEPTH: usize = 3;

/// How many schedules are tried.
#[derive(Debug, Clone, Copy)]
pub struct Schedules {
    /// With every step drawn.
    pub random: usize,
    /// With priorities drawn.
    pub priority: usize,
}

impl Schedules {
    /// Tries all schedules; none may break `body`.
    ///
    /// # Panics
    /// One did. The schedule is printed for `shuttle::replay`.
    pub fn all_hold(self, body: fn()) {
        let tried = self.run(FailurePersistence::Print, body);
        let all = self.random + self.priority;
        assert!(tried.is_ok(), "schedule {} of {all} breaks it", tried.unwrap_or_else(|at| at));
    }

    /// Plants `bug` (see [`crate::planted_order!`]); one of the schedules must break `body`.
    ///
    /// # Panics
    /// None did.
    pub fn find(self, bug: &'static str, body: fn()) {
        planted::activate(Some(bug));
        let tried = self.run(FailurePersistence::None, body);
        planted::activate(None);
        let all = self.random + self.priority;
        match tried {
            Ok(_) => panic!("{bug}: not found in {all} schedules"),
            Err(at) => eprintln!("{bug}: found by schedule {at} of {all}"),
        }
    }

    /// The number of schedules tried; as an error, of the one that broke `body`.
    fn run(self, failures: FailurePersistence, body: fn()) -> Result<usize, usize> {
        let tried = Arc::new(AtomicUsize::new(0));
        let counted = {
            let tried = Arc::clone(&tried);
            move || {
                tried.fetch_add(1, Ordering::Relaxed);
                body();
            }
        };
        let mut config = Config::new();
        config.failure_persistence = failures;
        // Orderings weaker than SeqCst are loom's business.
        config.silence_warnings = true;
        let random = RandomScheduler::new_from_seed(SEED, self.random);
        let priority = PctScheduler::new_from_seed(SEED, PRIORITY_DEPTH, self.priority);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            Runner::new(random, config.clone()).run(counted.clone());
            Runner::new(priority, config).run(counted);
        }));
        let tried = tried.load(Ordering::Relaxed);
        outcome.map(|()| tried).map_err(|_| tried)
    }
}
