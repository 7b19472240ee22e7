//! The scheduler: who runs, who waits on what, when timers fire, who is killed.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use driftdb_env::kernel::{Kernel, Woken};
use driftdb_env::{HashMap, IoOp, Rng};

use super::fiber::{Fiber, suspend};
use super::settings::{Chance, KernelSettings};
use super::trace::Trace;

/// A simulated process. Node 0 is the harness itself and cannot be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The harness.
    pub const HARNESS: Self = Self(0);
}

/// When a node is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillAt {
    /// At its n-th yield point from now.
    Yield(u64),
    /// Before its n-th disk operation from now.
    DiskOp(u64),
}

/// Where the harness waits. No latch has this address: it is not aligned for any.
const HARNESS_ADDRESS: usize = 1;

/// Where somebody waits for the moment at which nobody can run unless time passes.
const IDLE_ADDRESS: usize = 3;

/// Where fibers wait that only a timer wakes.
const SLEEPING: usize = 0;

pub(crate) type FiberIndex = u32;

struct Slot {
    name: String,
    node: NodeId,
    /// `None` while it runs.
    fiber: Option<Fiber>,
    /// The number of its present or last wait: what refers to an earlier one is stale.
    wait: u64,
    /// What it waits on; `None` if it is runnable.
    waits_on: Option<usize>,
    woken: Woken,
}

#[derive(Default)]
struct Node {
    is_dead: bool,
    kill_at: Option<KillAt>,
}

/// Counts of what the kernel did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) steps: u64,
    pub(crate) switches: u64,
    pub(crate) delays: u64,
    pub(crate) disk_ops: u64,
    pub(crate) kills: u64,
}

pub(crate) struct State {
    settings: KernelSettings,
    rng: Rng,
    trace: Trace,
    now_ns: u64,
    slots: Vec<Option<Slot>>,
    nodes: Vec<Node>,
    running: Option<FiberIndex>,
    runnable: Vec<FiberIndex>,
    /// Queues by address; looked up, never iterated. Entries of ended waits are skipped.
    waiters: HashMap<usize, VecDeque<(FiberIndex, u64)>>,
    timers: BinaryHeap<Reverse<(u64, FiberIndex, u64)>>,
    failure: Option<String>,
    counts: Counts,
}

/// The scheduler of one simulation.
pub(crate) struct Scheduler {
    state: RefCell<State>,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl State {
    fn slot(&mut self, fiber: FiberIndex) -> &mut Slot {
        self.slots[fiber as usize].as_mut().expect("a fiber that is scheduled exists")
    }

    fn current(&self) -> FiberIndex {
        self.running.expect("called by a fiber")
    }

    fn node_of_current(&self) -> NodeId {
        let slot = self.slots[self.current() as usize].as_ref();
        slot.expect("the running fiber exists").node
    }

    /// Whether `wait` is still the present wait of `fiber`.
    fn is_present(&self, fiber: FiberIndex, wait: u64) -> bool {
        let slot = self.slots[fiber as usize].as_ref();
        slot.is_some_and(|slot| slot.wait == wait && slot.waits_on.is_some())
    }

    fn make_runnable(&mut self, fiber: FiberIndex, woken: Woken) {
        let slot = self.slot(fiber);
        slot.waits_on = None;
        slot.woken = woken;
        self.runnable.push(fiber);
    }

    /// Puts the running fiber to rest. The caller suspends it afterwards.
    fn rest(&mut self, address: usize, deadline_ns: Option<u64>) {
        let fiber = self.current();
        let slot = self.slot(fiber);
        slot.wait += 1;
        slot.waits_on = Some(address);
        let wait = slot.wait;
        if address != SLEEPING {
            self.waiters.entry(address).or_default().push_back((fiber, wait));
        }
        if let Some(at) = deadline_ns {
            self.timers.push(Reverse((at, fiber, wait)));
        }
    }

    fn wake(&mut self, address: usize, count: usize) {
        let mut woken = 0;
        while woken < count {
            let Some(queue) = self.waiters.get_mut(&address) else { return };
            let Some((fiber, wait)) = queue.pop_front() else {
                self.waiters.remove(&address);
                return;
            };
            if self.is_present(fiber, wait) {
                self.make_runnable(fiber, Woken::Notified);
                woken += 1;
            }
        }
    }

    /// Advances time to the next timer and fires all that are due; false if there is none.
    fn fire_timers(&mut self) -> bool {
        while let Some(&Reverse((at, fiber, wait))) = self.timers.peek() {
            if at > self.now_ns {
                if !self.runnable.is_empty() {
                    break;
                }
                self.wake(IDLE_ADDRESS, usize::MAX);
                if !self.runnable.is_empty() {
                    break;
                }
            }
            self.timers.pop();
            if self.is_present(fiber, wait) {
                self.now_ns = self.now_ns.max(at);
                self.make_runnable(fiber, Woken::TimedOut);
            }
        }
        if self.runnable.is_empty() {
            self.wake(IDLE_ADDRESS, usize::MAX);
        }
        !self.runnable.is_empty()
    }

    /// Counts a yield point or disk operation of the running fiber's node; true if it dies there.
    fn is_killed_here(&mut self, is_disk_op: bool) -> bool {
        let node = self.node_of_current();
        let Some(kill_at) = &mut self.nodes[node.0 as usize].kill_at else { return false };
        let left = match kill_at {
            KillAt::Yield(left) if !is_disk_op => left,
            KillAt::DiskOp(left) if is_disk_op => left,
            KillAt::Yield(_) | KillAt::DiskOp(_) => return false,
        };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return false;
        }
        self.kill(node);
        true
    }

    /// Makes all fibers of a node vanish; the running one as soon as it suspends.
    fn kill(&mut self, node: NodeId) {
        assert!(node != NodeId::HARNESS, "the harness outlives all nodes");
        self.nodes[node.0 as usize] = Node { is_dead: true, kill_at: None };
        self.counts.kills += 1;
        let Self { slots, runnable, .. } = self;
        for slot in slots.iter_mut() {
            if let Some(dead) = slot.take_if(|slot| slot.node == node && slot.fiber.is_some()) {
                dead.fiber.expect("checked just now").abandon();
            }
        }
        runnable.retain(|&fiber| slots[fiber as usize].is_some());
        self.wake(HARNESS_ADDRESS, usize::MAX);
    }

    fn draw(&mut self, chance: Chance) -> bool {
        chance.numerator > 0 && self.rng.chance(chance.numerator, chance.denominator)
    }

    fn note(&mut self, site: &str) {
        let fiber = self.running.unwrap_or(u32::MAX);
        self.trace.note(fiber, self.now_ns, site);
    }

    fn describe_waits(&self) -> String {
        let mut text = String::from("deadlock: nobody can run and no timer is set");
        for slot in self.slots.iter().flatten() {
            let how = if slot.waits_on == Some(HARNESS_ADDRESS) { "for the node" } else { "" };
            text.push_str(&format!("\n  node {} \"{}\" waits {how}", slot.node.0, slot.name));
        }
        text
    }
}

impl Scheduler {
    pub(crate) fn new(settings: KernelSettings) -> Self {
        let state = State {
            settings,
            rng: Rng::stream(settings.seed, "schedule"),
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
        };
        Self { state: RefCell::new(state) }
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
        state.slots.push(Some(Slot {
            name: name.to_owned(),
            node,
            fiber: Some(fiber),
            wait: 0,
            waits_on: None,
            woken: Woken::Notified,
        }));
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
    }

    /// The next fiber to run; `None` at the end.
    fn next(&self) -> Option<FiberIndex> {
        let mut state = self.state.borrow_mut();
        if state.failure.is_some() || state.slots[0].is_none() {
            return None;
        }
        if state.counts.steps > state.settings.max_steps {
            state.failure = Some(format!("livelock: {} yield points passed", state.counts.steps));
            return None;
        }
        if !state.fire_timers() {
            state.failure = Some(state.describe_waits());
            return None;
        }
        let count = state.runnable.len();
        let chosen = if count == 1 { 0 } else { state.rng.index(count) };
        Some(state.runnable.swap_remove(chosen))
    }

    /// A node comes to life (again).
    pub(crate) fn boot(&self, node: NodeId) {
        let mut state = self.state.borrow_mut();
        while state.nodes.len() <= node.0 as usize {
            state.nodes.push(Node { is_dead: true, kill_at: None });
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
            if !state.is_killed_here(true) {
                let most = match op {
                    IoOp::Sync | IoOp::SyncDir => state.settings.max_disk_ns * 20,
                    _ => state.settings.max_disk_ns,
                };
                if most == 0 {
                    return;
                }
                let until = at + state.rng.below(most + 1);
                state.rest(SLEEPING, Some(until));
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
            if !state.is_killed_here(false) {
                let settings = state.settings;
                if state.draw(settings.delay) {
                    state.counts.delays += 1;
                    let until = state.now_ns + state.rng.below(settings.max_delay_ns + 1);
                    state.rest(SLEEPING, Some(until));
                } else if state.draw(settings.switch) {
                    let fiber = state.current();
                    state.runnable.push(fiber);
                } else {
                    if state.counts.steps <= settings.max_steps {
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
}
