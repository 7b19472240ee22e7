//! Ends a process whose seed does not end, and says which seed it is.
//!
//! The kernel counts what happens and calls too much of it a livelock, but it is only asked where code waits,
//! reaches a disk or passes a yield point. A loop that does none of that would hang a campaign for ever; real time is
//! all that is left to notice it by. So the one who runs seeds says which is next, and a thread looks now and
//! then whether it still is the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use driftdb_env::Env;

use crate::Scenario;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks at the same seed after which it never ends: a thousand times what one takes.
const PATIENCE_LOOKS: u32 = 300;

/// No seed runs any more.
const DONE: u64 = u64::MAX;

/// The exit status of a process that was ended.
const STATUS: i32 = 3;

pub(super) struct Watchdog {
    seed: Arc<AtomicU64>,
}

impl Watchdog {
    /// Begins to watch; ends with the value.
    pub(super) fn of(scenario: Scenario, first: u64) -> Self {
        let seed = Arc::new(AtomicU64::new(first));
        let (env, watched) = (Env::os(), Arc::clone(&seed));
        drop(env.clone().spawn("watchdog", move || {
            let (mut last, mut looks) = (first, 0);
            while last != DONE {
                env.sleep(LOOK);
                let now = watched.load(Ordering::Relaxed);
                looks = if now == last { looks + 1 } else { 0 };
                last = now;
                if looks >= PATIENCE_LOOKS && now != DONE {
                    let seconds = PATIENCE_LOOKS;
                    eprintln!("{} seed {now} does not end within {seconds} s", scenario.name());
                    std::process::exit(STATUS);
                }
            }
        }));
        Self { seed }
    }

    /// That seed is next.
    pub(super) fn next(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.seed.store(DONE, Ordering::Relaxed);
    }
}
