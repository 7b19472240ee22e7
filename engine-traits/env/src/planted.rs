//! Planted bugs: deliberate mistakes that prove that the simulator would find them.
//!
//! A site reads `if planted!("wal.ack-before-sync") { … }`. In a release build the condition is the
//! constant `false`. In a build with debug assertions (tests, and the simulator's own suite) it is
//! true while [`activate`] names that bug on the calling thread, which only `sim` does, and the tests
//! of schedules.
//!
//! `planted_order!` is the same for steps in a wrong order: the constant `false` but in a build with
//! `--cfg shuttle`, whose tests demand that their schedules find each (`.ci/shuttle`). All tasks of a
//! schedule run on one thread, so they share what is active.

use std::cell::Cell;

thread_local! {
    static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Activates one planted bug on this thread, or none. No effect in a release build.
pub fn activate(bug: Option<&'static str>) {
    ACTIVE.with(|active| active.set(bug));
}

/// Whether `bug` is active on this thread. Call it through [`crate::planted!`].
pub fn is_active(bug: &str) -> bool {
    ACTIVE.with(Cell::get) == Some(bug)
}

/// Whether the named bug is planted in this run: constant `false` in release builds.
#[macro_export]
macro_rules! planted {
    ($bug:literal) => {
        cfg!(any(debug_assertions, shuttle)) && $crate::planted::is_active($bug)
    };
}

/// Whether the named mistake of order is planted in these schedules: constant `false` in other builds.
#[macro_export]
macro_rules! planted_order {
    ($bug:literal) => {
        cfg!(shuttle) && $crate::planted::is_active($bug)
    };
}
