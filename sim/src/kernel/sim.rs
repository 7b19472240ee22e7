//! What the harness calls: start fibers, kill nodes, wait for something to happen, fail.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use driftdb_env::Env;
use driftdb_env::kernel::{self, Kernel, Woken};
use driftdb_sim_disk::SimDisk;

use super::fiber::on_host_stack;
use super::panics;
use super::preemption::Place;
use super::record;
use super::scheduler::Scheduler;
use super::settings::KernelSettings;
use super::state::{FiberIndex, Hold, KillAt, NodeId};
use super::world::{SimNodeWorld, WallClock};
use crate::network::SimNetwork;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

/// The scheduler of this thread's simulation.
pub(crate) fn current() -> Rc<Scheduler> {
    CURRENT.with_borrow(Clone::clone).expect("called inside a simulation")
}

/// The fiber that runs, if this thread is in a simulation.
pub(crate) fn current_fiber() -> Option<u32> {
    CURRENT.with_borrow(|scheduler| scheduler.as_ref()?.running())
}

/// Virtual time in nanoseconds; zero outside of a simulation.
pub(crate) fn current_ns() -> u64 {
    CURRENT.with_borrow(|scheduler| {
        scheduler.as_ref().map_or(0, |it| u64::try_from(it.now().as_nanos()).unwrap_or(u64::MAX))
    })
}

/// What came of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What went wrong first: a violation, a panic, a deadlock, a livelock.
    pub failure: Option<String>,
    /// The hash over all that happened.
    pub trace_hash: u64,
    /// How far virtual time went.
    pub virtual_time: Duration,
    /// Yield points passed.
    pub step_count: u64,
    /// Times that a fiber was resumed.
    pub switch_count: u64,
    /// Times that a fiber was held up at a yield point.
    pub delay_count: u64,
    /// Disk operations.
    pub disk_op_count: u64,
    /// Nodes killed.
    pub kill_count: u64,
    /// Times that a node stood still.
    pub pause_count: u64,
    /// Disk operations that hung.
    pub stall_count: u64,
    /// Disk operations that were slow.
    pub slow_op_count: u64,
    /// Times that a fiber fell behind all others.
    pub fall_count: u64,
    /// Times that the product made mischief.
    pub mischief_count: u64,
}

/// Runs `body` as the harness's fiber of a new simulation, until it returns or something fails.
///
/// # Panics
/// Inside of another simulation.
pub fn simulate(settings: KernelSettings, body: impl FnOnce(Sim) + 'static) -> Outcome {
    on_host_stack(|| {
        let scheduler = Rc::new(Scheduler::new(settings));
        let before = CURRENT.replace(Some(Rc::clone(&scheduler)));
        assert!(before.is_none(), "simulations do not nest");
        kernel::install(Some(Rc::clone(&scheduler) as Rc<dyn Kernel>));
        panics::listen();
        let sim = Sim { scheduler: Rc::clone(&scheduler) };
        scheduler.spawn(NodeId::HARNESS, "harness", Box::new(move || body(sim)));
        scheduler.run();
        panics::stop_listening();
        kernel::install(None);
        CURRENT.set(None);
        let panicked = panics::first().map(|text| format!("panic: {text}"));
        let counts = scheduler.counts();
        Outcome {
            failure: panicked.or_else(|| scheduler.failure()),
            trace_hash: scheduler.trace_hash(),
            virtual_time: scheduler.now(),
            step_count: counts.steps,
            switch_count: counts.switches,
            delay_count: counts.delays,
            disk_op_count: counts.disk_ops,
            kill_count: counts.kills,
            pause_count: counts.pauses,
            stall_count: counts.stalls,
            slow_op_count: counts.slow_ops,
            fall_count: counts.falls,
            mischief_count: counts.mischief,
        }
    })
}

/// The harness's hold on its simulation. Cheap to clone.
#[derive(Clone)]
pub struct Sim {
    scheduler: Rc<Scheduler>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sim")
    }
}

/// Names a fiber that was started.
#[derive(Debug, Clone, Copy)]
pub struct FiberId(FiberIndex);

impl Sim {
    /// Starts a fiber on a node.
    pub fn spawn(&self, node: NodeId, name: &str, body: impl FnOnce() + 'static) -> FiberId {
        FiberId(self.scheduler.spawn(node, name, Box::new(body)))
    }

    /// Gives life to a node that has none (or no longer), and returns the environment of this life.
    /// The disk's operations take time and count for [`KillAt::DiskOp`].
    ///
    /// # Panics
    /// If the node lives.
    pub fn boot(&self, node: NodeId, disk: &SimDisk, seed: u64, wall: WallClock) -> Env {
        self.scheduler.boot(node);
        if record::is_on() {
            let watched = disk.clone();
            disk.set_pause(Some(Arc::new(move |op, bytes| {
                let fiber = current_fiber().unwrap_or(u32::MAX);
                record::look_at(&watched, current_ns(), fiber);
                current().disk_op(op, bytes);
            })));
        } else {
            disk.set_pause(Some(Arc::new(|op, bytes| current().disk_op(op, bytes))));
        }
        Env::over(Arc::new(SimNodeWorld::new(node, disk.clone(), seed, wall)))
    }

    /// What lies between nodes: its weather, links that are cut, what struck.
    pub fn network(&self) -> &SimNetwork {
        self.scheduler.network()
    }

    /// Kills a node now; does not return if the caller is part of it.
    pub fn kill(&self, node: NodeId) {
        self.scheduler.kill(node);
    }

    /// Kills a node later, or no longer.
    pub fn kill_at(&self, node: NodeId, at: Option<KillAt>) {
        self.scheduler.kill_at(node, at);
    }

    /// Holds a node up later, or no longer.
    pub fn hold(&self, node: NodeId, hold: Option<Hold>) {
        self.scheduler.hold(node, hold);
    }

    /// Makes only these preemptions from now on, of those that the seed draws.
    pub(crate) fn preempt_only(&self, wanted: BTreeSet<Place>) {
        self.scheduler.preempt_only(wanted);
    }

    /// Whether a node is dead.
    pub fn is_dead(&self, node: NodeId) -> bool {
        self.scheduler.is_dead(node)
    }

    /// Virtual time.
    pub fn now(&self) -> Duration {
        self.scheduler.now()
    }

    /// Rests.
    pub fn sleep(&self, duration: Duration) {
        self.scheduler.sleep(duration);
    }

    /// Waits until `done` says so, which is asked whenever a fiber ends, a node dies, or somebody
    /// calls [`Sim::notify`]; at most for `timeout`. False if it never did.
    pub fn wait_until(&self, timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
        let deadline = self.now().saturating_add(timeout);
        loop {
            if done() {
                return true;
            }
            if self.scheduler.wait_for_event(deadline) == Woken::TimedOut {
                return done();
            }
        }
    }

    /// Waits until nobody can run unless time passes. Who then waits and does not sleep
    /// ([`Sim::is_waiting`]) is blocked by somebody: exactly, if disks are fast and nobody is held up
    /// ([`super::KernelSettings`]).
    pub fn wait_until_idle(&self) {
        self.scheduler.wait_until_idle();
    }

    /// Whether a fiber waits to be woken; false if it has ended, can run, or only sleeps.
    pub fn is_waiting(&self, fiber: FiberId) -> bool {
        self.scheduler.is_waiting(fiber.0)
    }

    /// The names of the fibers of a node that have not ended.
    pub fn fibers_of(&self, node: NodeId) -> Vec<String> {
        self.scheduler.fibers_of(node)
    }

    /// Makes all [`Sim::wait_until`] look again.
    pub fn notify(&self) {
        self.scheduler.notify_harness();
    }

    /// Adds to the trace.
    pub fn note(&self, what: &str) {
        self.scheduler.note(what);
    }

    /// Fails the simulation and never returns.
    pub fn fail(&self, what: &str) -> ! {
        self.scheduler.fail(what);
        loop {
            self.scheduler.sleep(Duration::ZERO);
        }
    }
}
