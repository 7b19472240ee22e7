//! The scenario `shipping`: a log is shipped to replicas over the simulated network, while nodes die and links are cut.
//!
//! Replication is not there yet; [`protocol`] is the smallest one that can be wrong in the ways in which
//! replication is: a record lost, taken twice, taken after a gap, acknowledged or sent before it is durable. So the
//! network and its faults are proved by something that needs them.
//!
//! Node 1 is the primary, the others are replicas. Each node lives and dies by itself, its disk loses what was not
//! synced, and links are cut meanwhile. Then all die. Judged:
//!
//! * *durability*: what was acknowledged, or seen after a death, is in the primary's log after every death, and
//!   at the end in those of a majority.
//! * *replica*: each replica's log is a prefix of the primary's.
//! * *liveness*: when the network heals, everything gets everywhere.
//!
//! Of the faults of disks only losses at crashes strike here: a node stops at the first error, and [`crate::node`]
//! shows what the real log makes of others.

mod log;
mod protocol;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use driftdb_env::{Env, Rng, planted};
use driftdb_sim_disk::SimDisk;

use crate::ablation::oracle_of;
use crate::fault::FaultCounts;
use crate::kernel::{KernelSettings, KillAt, NodeId, Sim, simulate};
use crate::network::{Cut, host_of};
use crate::plan::{Life, Plan};
use crate::scenario::{SeedOptions, SeedReport};
use crate::sites::SiteCounts;
use log::Log;
use protocol::{PORT, Primary, Stopped, run_replica};

const PRIMARY: NodeId = NodeId(1);

/// Virtual time within which everything must be everywhere once the network has healed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a client waits for a value to be safe before it adds the next.
const CLIENT_WAITS: Duration = Duration::from_millis(60);

/// What the harness knows, outside of all nodes; never borrowed across a call of theirs.
#[derive(Default)]
struct Book {
    /// The primary's log, as it was last seen; of it, what must stay.
    settled: RefCell<Vec<u64>>,
    /// So many values were said to be safe.
    safe: Cell<u64>,
    /// Values are numbers that none had before.
    given: Cell<u64>,
    faults: RefCell<FaultCounts>,
}

struct Trial {
    sim: Sim,
    plan: Plan,
    disks: Vec<SimDisk>,
    book: Rc<Book>,
}

/// Runs one seed.
pub(crate) fn run(plan: Plan, options: &SeedOptions) -> SeedReport {
    let seed = plan.seed;
    let node_count = 1 + u64::from(plan.replica_count);
    let disks: Vec<SimDisk> = (0..node_count).map(|node| SimDisk::new(seed ^ node << 40)).collect();
    let book = Rc::new(Book::default());
    let deaf_to = plan.deaf_to.clone();
    let hears = |what: &str| !deaf_to.contains(&oracle_of(what));
    planted::activate(options.bug);
    drop(SiteCounts::taken());
    let outcome = {
        let (disks, book) = (disks.clone(), Rc::clone(&book));
        let settings = KernelSettings { max_events: plan.most_events(), ..plan.kernel };
        simulate(settings, move |sim| {
            Rc::new(Trial { sim, plan, disks, book }).run();
        })
    };
    planted::activate(None);
    let mut faults = book.faults.borrow().clone();
    disks.iter().for_each(|disk| faults.add_disk(disk));
    faults.add_kernel(&outcome);
    let disk_hash = disks.iter().fold(0_u64, |hash, disk| hash.rotate_left(7) ^ disk.trace_hash());
    SeedReport {
        failure: outcome.failure.filter(|what| hears(what)),
        trace_hash: outcome.trace_hash ^ disk_hash,
        virtual_time: outcome.virtual_time,
        committed_count: book.safe.get(),
        checked_count: 0,
        related_count: 0,
        answers_hash: 0,
        disk_op_count: outcome.disk_op_count,
        step_count: outcome.step_count,
        faults,
        sites: SiteCounts::taken(),
    }
}

impl Trial {
    fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.disks.len() as u32).map(NodeId)
    }

    fn replicas(&self) -> Vec<SocketAddr> {
        self.nodes().skip(1).map(|node| (host_of(node), PORT).into()).collect()
    }

    fn disk(&self, node: NodeId) -> &SimDisk {
        &self.disks[node.0 as usize - 1]
    }

    fn boot(&self, node: NodeId, life: &Life) -> Env {
        let seed = self.plan.seed ^ u64::from(node.0) << 48 ^ u64::from(life.number) << 56;
        self.sim.boot(node, self.disk(node), seed, life.wall)
    }

    fn run(self: &Rc<Self>) {
        self.sim.network().set_weather(self.plan.weather);
        let left = Rc::new(Cell::new(self.disks.len()));
        for node in self.nodes() {
            let (trial, left) = (Rc::clone(self), Rc::clone(&left));
            self.sim.spawn(NodeId::HARNESS, &format!("fate of node {}", node.0), move || {
                trial.live_and_die(node);
                left.set(left.get() - 1);
            });
        }
        let trial = Rc::clone(self);
        self.sim.spawn(NodeId::HARNESS, "links", move || trial.cut_links());
        if !self.sim.wait_until(PATIENCE, || left.get() == 0) {
            self.sim.fail("liveness: nodes do not come to their ends");
        }
        self.inspect(false);
        self.sim.network().heal();
        self.get_everywhere();
        self.inspect(true);
        let struck = self.sim.network().struck();
        let mut faults = self.book.faults.borrow_mut();
        struck.into_iter().for_each(|(kind, count)| faults.add(kind, count));
    }

    /// All lives of a node but the last.
    fn live_and_die(self: &Rc<Self>, node: NodeId) {
        let mut rng = Rng::stream(self.plan.seed, &format!("fate of node {}", node.0));
        let lives = &self.plan.lives;
        // Where nobody is to die, there is one life, and it ends when all do.
        let count = if self.plan.without.contains(&"kills-at-end") { 1 } else { lives.len() };
        for index in 0..count.min(lives.len()) {
            // Each node goes through the same lives, in turn, and begins with another.
            let life = &lives[(index + node.0 as usize) % lives.len()];
            let lasts = Duration::from_millis(50 + rng.below(400));
            let rests = Duration::from_micros(rng.below(100_000));
            let env = self.boot(node, life);
            self.sim.kill_at(node, life.trouble.kill_at());
            self.sim.hold(node, life.hold);
            self.start(node, env);
            self.sim.wait_until(lasts, || self.sim.is_dead(node));
            let was_killed = self.sim.is_dead(node);
            let kind = match life.trouble.kill_at() {
                Some(KillAt::DiskOp(_)) if was_killed => "kills-at-disk-op",
                Some(_) if was_killed => "kills-at-yield",
                _ => "kills-at-end",
            };
            self.book.faults.borrow_mut().add(kind, 1);
            if !was_killed {
                self.sim.kill(node);
            }
            self.disk(node).crash_with(life.crash);
            self.sim.sleep(rests);
        }
    }

    /// Starts what a node does, until it is dead.
    fn start(self: &Rc<Self>, node: NodeId, env: Env) {
        let trial = Rc::clone(self);
        self.sim.spawn(node, "node", move || {
            let ran = if node == PRIMARY { trial.lead(&env) } else { run_replica(&env) };
            if let Err(error) = ran {
                trial.sim.fail(&format!("unexpected error: node {}: {error}", node.0));
            }
        });
    }

    /// The primary: one task ships, one adds.
    fn lead(self: &Rc<Self>, env: &Env) -> Result<(), Stopped> {
        let primary = Primary::open(env, self.replicas())?;
        self.check_settled(&primary.values());
        let (trial, theirs, client_env) = (Rc::clone(self), Arc::clone(&primary), env.clone());
        self.sim.spawn(PRIMARY, "client", move || {
            if let Err(error) = trial.add_values(&theirs, &client_env, trial.plan.txn_count) {
                trial.sim.fail(&format!("unexpected error: the client: {error}"));
            }
        });
        primary.ship(env)
    }

    fn add_values(&self, primary: &Primary, env: &Env, count: usize) -> Result<(), Stopped> {
        for _ in 0..count {
            let value = self.book.given.get() + 1;
            self.book.given.set(value);
            let number = primary.add(value)?;
            if primary.is_safe(number, env, CLIENT_WAITS) {
                self.book.safe.set(self.book.safe.get().max(number));
                let known = self.book.settled.borrow().len();
                if known < number as usize {
                    let values = primary.values();
                    self.book.settled.borrow_mut().extend(&values[known..number as usize]);
                }
            }
        }
        Ok(())
    }

    /// What was settled is there, and what is there is settled.
    fn check_settled(&self, values: &[u64]) {
        let settled = self.book.settled.borrow().clone();
        if !values.starts_with(&settled) {
            let what = format!("durability: {settled:?} was settled, the primary has {values:?}");
            self.sim.fail(&what);
        }
        self.book.settled.replace(values.to_vec());
    }

    fn cut_links(&self) {
        let mut rng = Rng::stream(self.plan.seed, "links");
        let node_count = self.disks.len() as u64;
        for _ in 0..rng.below(6) {
            self.sim.sleep(Duration::from_micros(rng.below(200_000)));
            let lasts = Duration::from_micros(rng.below(250_000));
            let one = 1 + rng.below(node_count);
            let other = 1 + (one - 1 + 1 + rng.below(node_count - 1)) % node_count;
            let (from, to) = (NodeId(one as u32), NodeId(other as u32));
            let cut = match rng.below(4) {
                0 => Cut::Between(from, to),
                1 => Cut::OneWay { from, to },
                2 => Cut::Isolated(from),
                _ => Cut::Clogged { from, to },
            };
            if !self.plan.without.contains(&cut.name()) {
                self.sim.network().cut(cut, lasts);
            }
        }
    }

    /// The network has healed: everybody lives, and everything gets everywhere.
    fn get_everywhere(self: &Rc<Self>) {
        let life = Life::healthy(self.plan.lives.len() as u32 + 2);
        let is_done = Rc::new(Cell::new(false));
        for node in self.nodes() {
            let env = self.boot(node, &life);
            if node != PRIMARY {
                self.start(node, env);
                continue;
            }
            let (trial, is_done) = (Rc::clone(self), Rc::clone(&is_done));
            self.sim.spawn(node, "last life", move || {
                let ran = trial.finish(&env, &is_done);
                if let Err(error) = ran {
                    trial.sim.fail(&format!("unexpected error: the primary: {error}"));
                }
            });
        }
        if !self.sim.wait_until(PATIENCE, || is_done.get()) {
            self.sim.fail("liveness: the network healed, but not everything gets everywhere");
        }
        for node in self.nodes() {
            self.sim.kill(node);
            self.disk(node).crash_with(life.crash);
        }
    }

    fn finish(self: &Rc<Self>, env: &Env, is_done: &Cell<bool>) -> Result<(), Stopped> {
        let primary = Primary::open(env, self.replicas())?;
        self.check_settled(&primary.values());
        let (trial, theirs, ships_env) = (Rc::clone(self), Arc::clone(&primary), env.clone());
        self.sim.spawn(PRIMARY, "ships", move || {
            if let Err(error) = theirs.ship(&ships_env) {
                trial.sim.fail(&format!("unexpected error: the primary: {error}"));
            }
        });
        self.add_values(&primary, env, 2)?;
        while !primary.is_everywhere() {
            env.sleep(CLIENT_WAITS);
        }
        is_done.set(true);
        Ok(())
    }

    /// Reads all logs, with nobody else alive.
    fn inspect(self: &Rc<Self>, is_last: bool) {
        let life = Life::healthy(self.plan.lives.len() as u32 + 1 + 2 * u32::from(is_last));
        let mut logs = Vec::new();
        for node in self.nodes() {
            let env = self.boot(node, &life);
            let found = Rc::new(RefCell::new(None));
            let theirs = Rc::clone(&found);
            self.sim.spawn(node, "inspection", move || {
                let read = Log::open(&env).map(|log| log.values().to_vec());
                theirs.replace(Some(read.map_err(|error| error.to_string())));
            });
            self.sim.wait_until(PATIENCE, || found.borrow().is_some());
            self.sim.kill(node);
            match found.take() {
                Some(Ok(values)) => logs.push(values),
                found => self.sim.fail(&format!("unexpected error: a log: {found:?}")),
            }
        }
        self.judge(&logs, is_last);
    }

    fn judge(&self, logs: &[Vec<u64>], is_last: bool) {
        self.check_settled(&logs[0]);
        let stray = logs.iter().find(|log| !logs[0].starts_with(log));
        if let Some(log) = stray {
            self.sim.fail(&format!("replica: {log:?} is no prefix of the primary's {:?}", logs[0]));
        }
        let safe = self.book.safe.get();
        let holders = logs.iter().filter(|log| log.len() as u64 >= safe).count();
        if holders * 2 <= logs.len() {
            let lengths: Vec<usize> = logs.iter().map(Vec::len).collect();
            self.sim.fail(&format!("durability: {safe} values were safe, logs have {lengths:?}"));
        }
        if is_last && logs.iter().any(|log| *log != logs[0]) {
            self.sim.fail(&format!("replica: logs differ at the end: {logs:?}"));
        }
    }
}
