//! Interesting places of the product, which simulations should reach, and mischief that it does to itself.
//!
//! * `sometimes!("wal.group-of-many", count > 1)` says that a campaign ought to see this at least once. A campaign
//!   counts how often each was seen, and can fail by one that never was: a test that does not get there proves
//!   nothing about it.
//! * `buggify!("lsm.flush-early")` is true now and then in a simulation, for seeds that draw it: a rare path taken, a
//!   small buffer, a time-out at once. What it guards must be right at any time. Each is a site, too.
//!
//! Both are for simulations, which run the product as it is, in release builds as well. Outside of one, each costs
//! what a yield point costs, one relaxed load, and no condition is computed. `sim/src/sites.rs` lists
//! all of them; a test holds the list to the sources.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kernel;

/// A place in the source. Made by the macros.
#[derive(Debug)]
pub struct Site {
    name: &'static str,
    /// Its place in [`COUNTS`]; [`NONE`] before it is first seen.
    index: AtomicUsize,
}

const NONE: usize = usize::MAX;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Of this thread, so of one simulation: by the site's index.
    static COUNTS: RefCell<Vec<(&'static str, u64)>> = const { RefCell::new(Vec::new()) };
}

impl Site {
    /// A place of that name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, index: AtomicUsize::new(NONE) }
    }

    /// It was seen.
    #[cold]
    pub fn hit(&self) {
        let index = self.index();
        COUNTS.with_borrow_mut(|counts| {
            if counts.len() <= index {
                counts.resize(index + 1, ("", 0));
            }
            counts[index].0 = self.name;
            counts[index].1 += 1;
        });
    }

    /// Whether the simulation makes mischief here, this time.
    #[cold]
    pub fn fires(&self) -> bool {
        let fires = kernel::current().is_some_and(|kernel| kernel.buggify(self.name));
        if fires {
            self.hit();
        }
        fires
    }

    fn index(&self) -> usize {
        let known = self.index.load(Ordering::Relaxed);
        if known != NONE {
            return known;
        }
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        // Another thread may have come first; a number that nobody has does no harm.
        let taken = self.index.compare_exchange(NONE, next, Ordering::Relaxed, Ordering::Relaxed);
        taken.map_or_else(|theirs| theirs, |_| next)
    }
}

/// What this thread has seen since it last asked, and how often; names come once for each place that has them.
pub fn take() -> Vec<(&'static str, u64)> {
    let counts = COUNTS.take();
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// A place that simulations should see, if the condition holds there: see [`crate::sites`].
#[macro_export]
macro_rules! sometimes {
    ($site:literal) => {
        $crate::sometimes!($site, true)
    };
    ($site:literal, $holds:expr) => {
        if $crate::kernel::is_simulated() {
            static SITE: $crate::sites::Site = $crate::sites::Site::new($site);
            if $holds {
                SITE.hit();
            }
        }
    };
}

/// Whether a simulation makes mischief here: see [`crate::sites`].
#[macro_export]
macro_rules! buggify {
    ($site:literal) => {
        $crate::kernel::is_simulated() && {
            static SITE: $crate::sites::Site = $crate::sites::Site::new($site);
            SITE.fires()
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_counted_once_it_is_simulated() {
        let visit = |count: u32| {
            for number in 0..count {
                sometimes!("odd", number % 2 == 1);
                sometimes!("any");
                assert!(!buggify!("nothing-is-simulated-here"));
            }
        };
        take();
        // Marks the process as one that simulates; this thread does not.
        kernel::install(None);
        visit(5);
        let mut seen = take();
        seen.sort_unstable();
        assert_eq!(seen, [("any", 5), ("odd", 2)]);
        assert_eq!(take(), []);
    }
}
