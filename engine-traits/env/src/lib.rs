//! The outside world, behind one handle.
//!
//! Everything in DriftDB that waits, reads a clock, draws a random number, starts a task, touches
//! a file or sends a message does it through this crate. Dispatch is at run time, so that one binary serves both worlds:
//!
//! * **operating system**: [`Env::os`]; threads, parking_lot, real files.
//! * **simulation**: the `sim` crate builds an [`Env`] over its own [`World`] and installs a
//!   [`kernel::Kernel`] for the thread that runs the fibers. One seed then gives one history.
//!
//! Invariants
//! * No other crate of the core calls `std::fs`, `std::thread`, `std::time` or `std::sync` locks
//!   (`clippy.toml` bans them and names the substitute).
//! * Destructors are never needed for correctness: a crash drops fibers without unwinding.
//!
//! Sources: [FDB21] for one binary in both worlds, [TigerBeetle] for the fault model.

mod collections;
pub mod directory;
mod disk;
mod entropy;
mod error;
mod io_options;
pub mod kernel;
mod network;
mod os;
pub mod planted;
#[cfg(shuttle)]
pub mod schedules;
pub mod sites;
pub mod sync;
mod world;

pub use collections::{FixedState, HashMap, HashSet};
pub use disk::{DirEntry, Disk, DiskLock, File, FileKind, OpenHow, ReadRequest};
pub use entropy::Rng;
pub use error::{IoError, IoOp};
pub use io_options::{IoOptions, LogWriter, ReadPath};
pub use kernel::yield_now;
pub use network::{
    MOST_MESSAGE_BYTES, Mailbox, Message, Network, NoNetwork, OsNetwork, check_length,
};
pub use os::has_io_uring;
pub use world::{Env, Task, World};
