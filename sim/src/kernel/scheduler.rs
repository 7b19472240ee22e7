//! The scheduler: who runs, who waits on what, when timers fire, who is killed.

use std::cell::RefCell;
use std::collections::{BTreeSet, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use driftdb_env::kernel::{Kernel, Woken};
use driftdb_env::{HashMap, IoOp, Rng};

use super::fiber::{Fiber, suspend};
use super::mischief::Mischief;
use super::preemption::{Place, Preemption};
use super::priorities::Priorities;
use super::record::{self, What};
use super::settings::KernelSettings;
use super::state::{
    Counts, FiberIndex, HARNESS_ADDRESS, Here, Hold, IDLE_ADDRESS, KillAt, Node, NodeId, SLEEPING,
    Slot, State, nanos,
};
use super::trace::Trace;
use crate::network::SimNetwork;

/// The scheduler of one simulation.
pub(crate) struct Scheduler {
    state: RefCell<State>,
    network: SimNetwork,
}

impl Scheduler {
    pub(crate) fn new(settings: KernelSettings) -> Self {
        let state = State {
            settings,
            rng: Rng::stream(settings.seed, "schedule"),
            priorities: settings
                .priority_changes
                .map(|count| Priorities::new(settings.seed, count)),
            mischief: Mischief::new(settings.seed, settings.buggifies),
            trace: Trace::new(settings.seed),
            now_ns: 0,
            slots: Vec::new(),
            nodes: vec![Node::default()],
            running: None,
            runnable: Vec::new(),
            waiters: HashMap::default(),
            timers: BinaryHeap::new(),
            failure: None,
            counts: Counts::default(),
            preempts_only: None,
        };
        Self { state: RefCell::new(state), network: SimNetwork::new(settings.seed) }
    }

    /// Starts a fiber on a node.
    pub(crate) fn spawn(
        self: &Rc<Self>,
        node: NodeId,
        name: &str,
        body: Box<dyn FnOnce()>,
    ) -> FiberIndex {
        let kernel = Rc::downgrade(self);
        let fiber_name = name.to_owned();
        let fiber = Fiber::new(Box::new(move || {
            if catch_unwind(AssertUnwindSafe(body)).is_err()
                && let Some(kernel) = kernel.upgrade()
            {
                kernel.fail(&format!("a panic ended \"{fiber_name}\""));
            }
        }));
        let mut state = self.state.borrow_mut();
        let index = state.slots.len() as FiberIndex;
        let rank = state.priorities.as_mut().map_or(0, Priorities::draw);
        state.slots.push(Some(Slot {
            name: name.to_owned(),
            node,
            fiber: Some(fiber),
            wait: 0,
            waits_on: None,
            woken: Woken::Notified,
            rank,
            yields: 0,
        }));
        record::fiber(name, node);
        state.runnable.push(index);
        index
    }

    /// Runs until the first fiber has ended or something failed. Everything else is abandoned.
    pub(crate) fn run(&self) {
        while let Some(index) = self.next() {
            let mut fiber = {
                let mut state = self.state.borrow_mut();
                state.running = Some(index);
                state.counts.switches += 1;
                state.note("run");
                state.slot(index).fiber.take().expect("only a suspended fiber is runnable")
            };
            let has_ended = fiber.resume();
            let mut state = self.state.borrow_mut();
            state.running = None;
            let node = state.slot(index).node;
            if has_ended {
                fiber.recycle();
                state.slots[index as usize] = None;
                state.wake(HARNESS_ADDRESS, usize::MAX);
            } else if state.nodes[node.0 as usize].is_dead {
                fiber.abandon();
                state.slots[index as usize] = None;
            } else {
                state.slot(index).fiber = Some(fiber);
            }
        }
        let mut state = self.state.borrow_mut();
        for slot in state.slots.drain(..).flatten() {
            slot.fiber.expect("nobody runs any more").abandon();
        }
        // Abandoned stacks keep the scheduler alive: give back what it holds.
        state.waiters = HashMap::default();
        state.timers.clear();
        drop(state);
        self.network.clear();
    }

    /// The next fiber to run; `None` at the end.
    fn next(&self) -> Option<FiberIndex> {
        let mut state = self.state.borrow_mut();
        if state.failure.is_some() || state.slots[0].is_none() {
            return None;
        }
        if state.is_endless() {
            state.failure = Some(state.describe_livelock());
            return None;
        }
        if !state.fire_timers() {
            state.failure = Some(state.describe_waits());
            return None;
        }
        let count = state.runnable.len();
        let steps = state.counts.steps;
        let chosen = if let Some(priorities) = &mut state.priorities {
            priorities.resumed(steps);
            state.first_in_rank()
        } else if count == 1 {
            0
        } else {
            state.rng.index(count)
        };
        Some(state.runnable.swap_remove(chosen))
    }

    /// From now on only these preemptions are made, of those that the seed draws.
    pub(crate) fn preempt_only(&self, wanted: BTreeSet<Place>) {
        self.state.borrow_mut().preempts_only = Some(wanted);
    }

    /// Who runs.
    pub(crate) fn running(&self) -> Option<FiberIndex> {
        self.state.borrow().running
    }

    /// What lies between nodes.
    pub(crate) fn network(&self) -> &SimNetwork {
        &self.network
    }

    /// A node comes to life (again).
    pub(crate) fn boot(&self, node: NodeId) {
        // What its last life had open is gone with it.
        self.network.died(node);
        let mut state = self.state.borrow_mut();
        while state.nodes.len() <= node.0 as usize {
            state.nodes.push(Node { is_dead: true, ..Node::default() });
        }
        assert!(state.nodes[node.0 as usize].is_dead, "a node is booted once per life");
        state.nodes[node.0 as usize] = Node::default();
    }

    pub(crate) fn is_dead(&self, node: NodeId) -> bool {
        self.state.borrow().nodes.get(node.0 as usize).is_none_or(|node| node.is_dead)
    }

    pub(crate) fn kill_at(&self, node: NodeId, at: Option<KillAt>) {
        self.state.borrow_mut().nodes[node.0 as usize].kill_at = at;
    }

    pub(crate) fn hold(&self, node: NodeId, hold: Option<Hold>) {
        self.state.borrow_mut().nodes[node.0 as usize].hold = hold;
    }

    /// Kills a node. Does not return if the caller is part of it.
    pub(crate) fn kill(&self, node: NodeId) {
        let is_own = {
            let mut state = self.state.borrow_mut();
            state.note("kill");
            state.kill(node);
            state.node_of_current() == node
        };
        if is_own {
            suspend();
        }
    }

    /// The first failure counts; the simulation ends when the caller suspends.
    pub(crate) fn fail(&self, what: &str) {
        self.state.borrow_mut().failure.get_or_insert_with(|| what.to_owned());
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.state.borrow().failure.clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state.borrow().counts
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.state.borrow().trace.hash()
    }

    /// Adds to the trace.
    pub(crate) fn note(&self, site: &str) {
        self.state.borrow_mut().note(site);
    }

    /// Rests until something happened that the harness may be interested in.
    pub(crate) fn wait_for_event(&self, deadline: Duration) -> Woken {
        self.wait(HARNESS_ADDRESS, Some(deadline))
    }

    /// Rests until nobody can run unless time passes.
    pub(crate) fn wait_until_idle(&self) {
        self.wait(IDLE_ADDRESS, None);
    }

    /// Whether a fiber waits for somebody to wake it, and not only for time to pass.
    pub(crate) fn is_waiting(&self, fiber: FiberIndex) -> bool {
        let state = self.state.borrow();
        let slot = state.slots[fiber as usize].as_ref();
        slot.is_some_and(|slot| slot.waits_on.is_some_and(|address| address != SLEEPING))
    }

    /// The names of the fibers of a node that have not ended.
    pub(crate) fn fibers_of(&self, node: NodeId) -> Vec<String> {
        let state = self.state.borrow();
        let slots = state.slots.iter().flatten().filter(|slot| slot.node == node);
        slots.map(|slot| slot.name.clone()).collect()
    }

    pub(crate) fn notify_harness(&self) {
        self.state.borrow_mut().wake(HARNESS_ADDRESS, usize::MAX);
    }

    pub(crate) fn sleep(&self, duration: Duration) {
        {
            let mut state = self.state.borrow_mut();
            state.note("sleep");
            let until = state.now_ns.saturating_add(nanos(duration));
            state.rest(SLEEPING, Some(until));
        }
        suspend();
    }

    /// A disk operation is about to be done: time passes, or the node dies.
    pub(crate) fn disk_op(&self, op: IoOp, bytes: u64) {
        {
            let mut state = self.state.borrow_mut();
            state.counts.disk_ops += 1;
            let fiber = state.current();
            let at = state.now_ns;
            state.trace.note(fiber ^ (op as u32) << 24, at ^ bytes << 40, "disk");
            record::event(at, fiber, || What::Disk { op: name_of(op), bytes });
            if !state.is_killed_here(Here::DiskOp) {
                let most = match op {
                    IoOp::Sync | IoOp::SyncDir => state.settings.max_disk_ns * 20,
                    _ => state.settings.max_disk_ns,
                };
                if most == 0 && !state.is_endless() {
                    return;
                }
                let takes = state.rng.below(most + 1);
                let takes = state.held_up(takes);
                state.rest(SLEEPING, Some(at.saturating_add(takes)));
            }
        }
        suspend();
    }
}

impl Kernel for Scheduler {
    fn wait(&self, address: usize, deadline: Option<Duration>) -> Woken {
        let fiber = {
            let mut state = self.state.borrow_mut();
            state.note("wait");
            state.rest(address, deadline.map(nanos));
            state.current()
        };
        suspend();
        self.state.borrow_mut().slot(fiber).woken
    }

    fn wake(&self, address: usize, count: usize) {
        self.state.borrow_mut().wake(address, count);
    }

    fn yield_point(&self, site: &'static str) {
        {
            let mut state = self.state.borrow_mut();
            state.counts.steps += 1;
            state.note(site);
            if !state.is_killed_here(Here::Yield(site)) {
                state.pause_here();
                let gives_way = state.gives_way();
                let preemption = state.preemption();
                if let Preemption::Delay(for_ns) = preemption {
                    state.counts.delays += 1;
                    let until = state.now_ns + for_ns;
                    state.rest(SLEEPING, Some(until));
                } else if gives_way || preemption == Preemption::Switch {
                    let fiber = state.current();
                    state.runnable.push(fiber);
                } else {
                    if !state.is_endless() {
                        return;
                    }
                    // Give the livelock up.
                    let fiber = state.current();
                    state.runnable.push(fiber);
                }
            }
        }
        suspend();
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.state.borrow().now_ns)
    }

    fn buggify(&self, site: &'static str) -> bool {
        let mut state = self.state.borrow_mut();
        let acts = state.mischief.acts(site);
        if acts {
            state.counts.mischief += 1;
            state.note(site);
        }
        acts
    }
}

fn name_of(op: IoOp) -> &'static str {
    match op {
        IoOp::Read => "read",
        IoOp::Write => "write",
        IoOp::Sync => "sync",
        IoOp::SyncDir => "sync of names",
        IoOp::Open => "open",
        _ => "change of a file",
    }
}
