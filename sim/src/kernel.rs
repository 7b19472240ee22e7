//! The kernel: a deterministic scheduler of fibers on one OS thread, with virtual time.
//!
//! The database's own threads run as [`fiber`]s. Whenever one waits, sleeps, touches the disk or
//! passes a yield point, the scheduler decides by the seeded generator, or by [`priorities`], who goes on. Time advances
//! only when nobody can run, to the next timer. Fibers belong to a *node*; [`Sim::kill`] makes all
//! fibers of a node vanish where they stand, without destructors, as `kill -9` does.
//!
//! Invariants
//! * Same settings and body: same history, same [`Outcome::trace_hash`], in every process.
//! * Choosing the next fiber is O(1); a timer is O(log timers).
//! * Nobody runnable and no timer means deadlock, exactly: every wait goes through the kernel.
//!
//! Sources: research/sim.md 2 (why fibers, and what they cost), [FDB21].

mod fiber;
mod mischief;
mod panics;
mod preemption;
mod priorities;
pub(crate) mod record;
mod scheduler;
mod settings;
mod sim;
mod state;
mod trace;
mod world;

pub(crate) use fiber::on_host_stack;
pub(crate) use preemption::Place;
pub use settings::{Chance, KernelSettings};
pub use sim::{FiberId, Outcome, Sim, simulate};
pub(crate) use sim::{current, current_fiber, current_ns};
pub use state::{Hold, KillAt, NodeId};
pub use world::{SimNodeWorld, WallClock};
