//! Atomics by which tasks synchronise: std's, or in a build with `--cfg shuttle` shuttle's, whose
//! scheduler may run others at each access. Plain figures and hints use std's directly: a choice there
//! finds nothing and costs schedules.

#[cfg(shuttle)]
pub use ::shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(shuttle))]
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
