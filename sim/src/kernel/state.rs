//! What the scheduler knows: fibers, who waits on what, timers, and what is to befall each node.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use driftdb_env::kernel::Woken;
use driftdb_env::{HashMap, Rng};

use super::fiber::Fiber;
use super::mischief::Mischief;
use super::preemption::{self, Place, Preemption};
use super::priorities::Priorities;
use super::record::{self, What};
use super::settings::KernelSettings;
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
pub(super) enum Here {
    Yield(&'static str),
    DiskOp,
}

/// Where the harness waits. No latch has this address: it is not aligned for any.
pub(super) const HARNESS_ADDRESS: usize = 1;

/// Where somebody waits for the moment at which nobody can run unless time passes.
pub(super) const IDLE_ADDRESS: usize = 3;

/// Where fibers wait that only a timer wakes.
pub(super) const SLEEPING: usize = 0;

pub(crate) type FiberIndex = u32;

pub(super) struct Slot {
    pub(super) name: String,
    pub(super) node: NodeId,
    /// `None` while it runs.
    pub(super) fiber: Option<Fiber>,
    /// The number of its present or last wait: what refers to an earlier one is stale.
    pub(super) wait: u64,
    /// What it waits on; `None` if it is runnable.
    pub(super) waits_on: Option<usize>,
    pub(super) woken: Woken,
    /// Greater goes first, if priorities decide.
    pub(super) rank: i64,
    /// Yield points passed.
    pub(super) yields: u64,
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) is_dead: bool,
    pub(super) kill_at: Option<KillAt>,
    pub(super) hold: Option<Hold>,
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
    pub(crate) mischief: u64,
}

impl Counts {
    /// Everything that happened one after the other. What goes on for ever makes this grow for ever, unless
    /// it is in a loop that passes no yield point, reaches no disk and waits for nobody.
    pub(super) fn events(&self) -> u64 {
        self.steps + self.disk_ops + self.switches
    }
}

pub(super) struct State {
    pub(super) settings: KernelSettings,
    pub(super) rng: Rng,
    pub(super) priorities: Option<Priorities>,
    pub(super) mischief: Mischief,
    pub(super) trace: Trace,
    pub(super) now_ns: u64,
    pub(super) slots: Vec<Option<Slot>>,
    pub(super) nodes: Vec<Node>,
    pub(super) running: Option<FiberIndex>,
    pub(super) runnable: Vec<FiberIndex>,
    /// Queues by address; looked up, never iterated. Entries of ended waits are skipped.
    pub(super) waiters: HashMap<usize, VecDeque<(FiberIndex, u64)>>,
    pub(super) timers: BinaryHeap<Reverse<(u64, FiberIndex, u64)>>,
    pub(super) failure: Option<String>,
    pub(super) counts: Counts,
    /// The preemptions that a plan has left; all where it does not say.
    pub(super) preempts_only: Option<BTreeSet<Place>>,
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl State {
    pub(super) fn slot(&mut self, fiber: FiberIndex) -> &mut Slot {
        self.slots[fiber as usize].as_mut().expect("a fiber that is scheduled exists")
    }

    pub(super) fn current(&self) -> FiberIndex {
        self.running.expect("called by a fiber")
    }

    pub(super) fn node_of_current(&self) -> NodeId {
        let slot = self.slots[self.current() as usize].as_ref();
        slot.expect("the running fiber exists").node
    }

    /// Whether `wait` is still the present wait of `fiber`.
    pub(super) fn is_present(&self, fiber: FiberIndex, wait: u64) -> bool {
        let slot = self.slots[fiber as usize].as_ref();
        slot.is_some_and(|slot| slot.wait == wait && slot.waits_on.is_some())
    }

    pub(super) fn make_runnable(&mut self, fiber: FiberIndex, woken: Woken) {
        let slot = self.slot(fiber);
        slot.waits_on = None;
        slot.woken = woken;
        self.runnable.push(fiber);
    }

    /// Puts the running fiber to rest. The caller suspends it afterwards.
    pub(super) fn rest(&mut self, address: usize, deadline_ns: Option<u64>) {
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

    pub(super) fn wake(&mut self, address: usize, count: usize) {
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
    pub(super) fn fire_timers(&mut self) -> bool {
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
    pub(super) fn is_killed_here(&mut self, here: Here) -> bool {
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
    pub(super) fn pause_here(&mut self) {
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
    pub(super) fn held_up(&mut self, ns: u64) -> u64 {
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
    pub(super) fn kill(&mut self, node: NodeId) {
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

    /// What happens to the running fiber at this yield point.
    pub(super) fn preemption(&mut self) -> Preemption {
        let fiber = self.current();
        let slot = self.slot(fiber);
        slot.yields += 1;
        let place = (fiber, slot.yields);
        let preemption = preemption::at(place, &self.settings, self.preempts_only.as_ref());
        if preemption != Preemption::Nothing {
            record::preempted(self.now_ns, place);
        }
        preemption
    }

    /// The place among those who can run of the one whose rank is greatest.
    pub(super) fn first_in_rank(&self) -> usize {
        let rank = |fiber: FiberIndex| self.slots[fiber as usize].as_ref().map(|slot| slot.rank);
        let runnable = self.runnable.iter().enumerate();
        // Ranks are drawn from so many that equal ones are rare; then the younger goes first.
        let first = runnable.max_by_key(|(_, fiber)| (rank(**fiber), **fiber));
        first.map_or(0, |(place, _)| place)
    }

    /// Whether priorities make the running fiber give way at this yield point.
    pub(super) fn gives_way(&mut self) -> bool {
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

    pub(super) fn note(&mut self, site: &str) {
        let fiber = self.running.unwrap_or(u32::MAX);
        self.trace.note(fiber, self.now_ns, site);
        if site != "run" {
            record::event(self.now_ns, fiber, || What::Note(site.to_owned()));
        }
    }

    /// Whether so much has happened that it must be a livelock.
    pub(super) fn is_endless(&self) -> bool {
        self.counts.events() > self.settings.max_events
    }

    pub(super) fn describe_livelock(&self) -> String {
        let Counts { steps, disk_ops, switches, .. } = self.counts;
        let now = Duration::from_nanos(self.now_ns);
        format!(
            "livelock: {steps} yield points, {disk_ops} disk operations and {switches} switches in {now:?}"
        )
    }

    pub(super) fn describe_waits(&self) -> String {
        let mut text = String::from("deadlock: nobody can run and no timer is set");
        for slot in self.slots.iter().flatten() {
            let how = if slot.waits_on == Some(HARNESS_ADDRESS) { "for the node" } else { "" };
            text.push_str(&format!("\n  node {} \"{}\" waits {how}", slot.node.0, slot.name));
        }
        text
    }
}
