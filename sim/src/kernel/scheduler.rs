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
use super::priorities::Priorities;
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
    /// When it passes a certain yield point for the n-th time from now.
    Site {
        /// The yield point's name.
        site: &'static str,
        /// The how manieth time.
        nth: u64,
    },
}

/// Something that takes a node longer than it should, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// All of the node stands still at its n-th yield point, while time goes on.
    Pause {
        /// Which.
        nth: u64,
        /// For how long, in nanoseconds.
        for_ns: u64,
    },
    /// Its n-th disk operation hangs.
    Stall {
        /// Which.
        nth: u64,
        /// For how long, in nanoseconds.
        for_ns: u64,
    },
    /// From its n-th on, some disk operations take longer.
    Slow {
        /// From which on.
        nth: u64,
        /// How many.
        count: u64,
        /// How many times as long.
        times: u64,
    },
}

/// Where a fiber is that may be killed or held there.
#[derive(Clone, Copy)]
enum Here {
    Yield(&'static str),
    DiskOp,
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
    /// Greater goes first, if priorities decide.
    rank: i64,
}

#[derive(Default)]
struct Node {
    is_dead: bool,
    kill_at: Option<KillAt>,
    hold: Option<Hold>,
}

/// Counts of what the kernel did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) steps: u64,
    pub(crate) switches: u64,
    pub(crate) delays: u64,
    pub(crate) disk_ops: u64,
    pub(crate) kills: u64,
    pub(crate) pauses: u64,
    pub(crate) stalls: u64,
    pub(crate) slow_ops: u64,
    pub(crate) falls: u64,
}

pub(crate) struct State {
    settings: KernelSettings,
    rng: Rng,
    priorities: Option<Priorities>,
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
    fn is_killed_here(&mut self, here: Here) -> bool {
        let node = self.node_of_current();
        let Some(kill_at) = &mut self.nodes[node.0 as usize].kill_at else { return false };
        let left = match (kill_at, here) {
            (KillAt::Yield(left), Here::Yield(_)) | (KillAt::DiskOp(left), Here::DiskOp) => left,
            (KillAt::Site { site, nth }, Here::Yield(passed)) if *site == passed => nth,
            _ => return false,
        };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return false;
        }
        self.kill(node);
        true
    }

    /// Lets the node of the running fiber stand still, if it is to do so at this yield point.
    fn pause_here(&mut self) {
        let node = self.node_of_current();
        if let Some(Hold::Pause { nth, for_ns }) = &mut self.nodes[node.0 as usize].hold {
            *nth = nth.saturating_sub(1);
            if *nth == 0 {
                self.now_ns = self.now_ns.saturating_add(*for_ns);
                self.nodes[node.0 as usize].hold = None;
                self.counts.pauses += 1;
                self.note("pause");
            }
        }
    }

    /// How long a disk operation takes that would take `ns`.
    fn held_up(&mut self, ns: u64) -> u64 {
        let node = self.node_of_current();
        let hold = &mut self.nodes[node.0 as usize].hold;
        let counts = &mut self.counts;
        match hold {
            Some(Hold::Stall { nth: left @ 2.., .. } | Hold::Slow { nth: left @ 2.., .. }) => {
                *left -= 1;
                ns
            }
            Some(Hold::Stall { for_ns, .. }) => {
                let for_ns = *for_ns;
                *hold = None;
                counts.stalls += 1;
                ns.saturating_add(for_ns)
            }
            Some(Hold::Slow { count, times, .. }) => {
                let times = *times;
                *count = count.saturating_sub(1);
                if *count == 0 {
                    *hold = None;
                }
                counts.slow_ops += 1;
                ns.saturating_mul(times)
            }
            Some(Hold::Pause { .. }) | None => ns,
        }
    }

    /// Makes all fibers of a node vanish; the running one as soon as it suspends.
    fn kill(&mut self, node: NodeId) {
        assert!(node != NodeId::HARNESS, "the harness outlives all nodes");
        self.nodes[node.0 as usize] = Node { is_dead: true, ..Node::default() };
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

    fn draws_switch(&mut self) -> bool {
        // Where priorities decide, chance does not.
        self.priorities.is_none() && self.draw(self.settings.switch)
    }

    /// The place among those who can run of the one whose rank is greatest.
    fn first_in_rank(&self) -> usize {
        let rank = |fiber: FiberIndex| self.slots[fiber as usize].as_ref().map(|slot| slot.rank);
        let runnable = self.runnable.iter().enumerate();
        // Ranks are drawn from so many that equal ones are rare; then the younger goes first.
        let first = runnable.max_by_key(|(_, fiber)| (rank(**fiber), **fiber));
        first.map_or(0, |(place, _)| place)
    }

    /// Whether priorities make the running fiber give way at this yield point.
    fn gives_way(&mut self) -> bool {
        let (fiber, step) = (self.current(), self.counts.steps);
        let Some(priorities) = &mut self.priorities else { return false };
        if let Some(rank) = priorities.passed(step) {
            self.slot(fiber).rank = rank;
            self.counts.falls += 1;
        }
        let rank = self.slot(fiber).rank;
        self.runnable
            .iter()
            .any(|other| self.slots[*other as usize].as_ref().is_some_and(|slot| slot.rank > rank))
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
            priorities: settings
                .priority_changes
                .map(|count| Priorities::new(settings.seed, count)),
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
        let rank = state.priorities.as_mut().map_or(0, Priorities::draw);
        state.slots.push(Some(Slot {
            name: name.to_owned(),
            node,
            fiber: Some(fiber),
            wait: 0,
            waits_on: None,
            woken: Woken::Notified,
            rank,
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

    /// A node comes to life (again).
    pub(crate) fn boot(&self, node: NodeId) {
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
            if !state.is_killed_here(Here::DiskOp) {
                let most = match op {
                    IoOp::Sync | IoOp::SyncDir => state.settings.max_disk_ns * 20,
                    _ => state.settings.max_disk_ns,
                };
                if most == 0 {
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
                let settings = state.settings;
                state.pause_here();
                let gives_way = state.gives_way();
                if state.draw(settings.delay) {
                    state.counts.delays += 1;
                    let until = state.now_ns + state.rng.below(settings.max_delay_ns + 1);
                    state.rest(SLEEPING, Some(until));
                } else if gives_way || state.draws_switch() {
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
