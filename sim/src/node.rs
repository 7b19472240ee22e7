//! The lives of the simulated node: open, check what recovery found, let clients work, die, again.
//!
//! The last life is without trouble: everybody must finish within a bound of virtual time, the store
//! must verify clean, close, and open once more. Where the disk was damaged ([`crate::fault`]), a life may
//! end with a report of it instead, and then it is the last; until then every answer must be right.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use driftdb_env::Rng;
use driftdb_server::{Node, NodeError};
use driftdb_sim_disk::SimDisk;
use driftdb_storage::{Damage, ErrorKind, VerifyDepth};

use crate::ablation::oracle_of;
use crate::fault::damage::Keepsake;
use crate::fault::{self, FaultCounts};
use crate::kernel::{KillAt, NodeId, Sim};
use crate::leaks;
use crate::operations;
use crate::plan::{Life, Plan};
use crate::sql::Refusal;
use crate::without::spared;

const NODE: NodeId = NodeId(1);

/// Virtual time within which anything must be over: a thousand times what it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A node whose disk has room again looks within this time.
const HEALED_WITHIN: Duration = Duration::from_millis(700);

/// What a workload stumbles over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing excuses it.
    Wrong(String),
    /// The database says that what it stored is damaged: only damage excuses that.
    Damage(String),
}

impl From<String> for Finding {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

impl From<&str> for Finding {
    fn from(what: &str) -> Self {
        Self::Wrong(what.to_owned())
    }
}

/// What clients do and what is checked.
pub(crate) trait Workload {
    /// After each opening, before clients: makes what it needs, and checks what is there. Afterwards
    /// no fate is open any more. False if the store refused, which only a fault excuses.
    ///
    /// # Errors
    /// What is violated.
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding>;

    /// One client's work in one life. Ends early when the store refuses to go on.
    ///
    /// # Errors
    /// What is violated.
    fn client(&self, node: &Arc<Node>, client: usize, count: usize) -> Result<(), Finding>;

    /// The node died: whatever was in flight has an unknown fate.
    fn crashed(&self);

    /// How many transactions were acknowledged.
    fn committed_count(&self) -> u64;

    /// The faults that it made by itself, and how often.
    fn faults(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// How many transactions both oracles of isolation have judged.
    fn checked_count(&self) -> u64 {
        0
    }

    /// How many relations between the answers of queries were asked and hold.
    fn related_count(&self) -> u64 {
        0
    }

    /// Over all answers that depend on nothing but the statements, if one client is alone.
    fn answers_hash(&self) -> u64 {
        0
    }
}

/// A fault of the disk, and the name to count it by.
type Armed = Option<(usize, &'static str)>;

/// What a node's fibers leave behind for the harness.
enum Opened {
    Not,
    Open(Arc<Node>),
    /// It refused, as it may while the disk fails.
    Refused(String),
    /// What it finds is not what it stored.
    Damaged(String),
    /// Nothing excuses this.
    Violation(String),
}

impl Opened {
    fn refused_by(error: NodeError) -> Self {
        let what = format!("the database does not open: {error}");
        let kind = match error {
            NodeError::Io(_) => ErrorKind::Unavailable,
            NodeError::Storage(error) => error.kind(),
            NodeError::Txn(error) => error.kind(),
            NodeError::Catalog(error) => match Refusal::from(error) {
                Refusal::Violation(_) => ErrorKind::Internal,
                Refusal::Damage(_) => ErrorKind::Corruption,
                _ => ErrorKind::Unavailable,
            },
            NodeError::Format { .. }
            | NodeError::OtherEngine { .. }
            | NodeError::NotOurs { .. }
            | NodeError::Marker { .. } => ErrorKind::Corruption,
            _ => ErrorKind::Internal,
        };
        match kind {
            ErrorKind::Unavailable => Self::Refused(what),
            ErrorKind::Corruption => Self::Damaged(what),
            _ => Self::Violation(what),
        }
    }
}

fn is_deaf(plan: &Plan, what: &str) -> bool {
    plan.deaf_to.contains(&oracle_of(what))
}

fn complain(sim: &Sim, plan: &Plan, what: &str) {
    if is_deaf(plan, what) {
        sim.note("a complaint that nobody hears");
    } else {
        sim.fail(what);
    }
}

pub(crate) struct Machine {
    sim: Sim,
    plan: Plan,
    disk: SimDisk,
    workload: Rc<dyn Workload>,
    faults: Rc<RefCell<FaultCounts>>,
    boot_count: Cell<u64>,
    /// Whether the last life ended in recovery.
    died_in_recovery: Cell<bool>,
    /// Whether the database reported damage and is done for.
    has_ended: Rc<Cell<bool>>,
}

impl Machine {
    pub(crate) fn new(
        sim: Sim,
        plan: Plan,
        disk: SimDisk,
        workload: Rc<dyn Workload>,
        faults: Rc<RefCell<FaultCounts>>,
    ) -> Self {
        Self {
            sim,
            plan,
            disk,
            workload,
            faults,
            boot_count: Cell::new(0),
            died_in_recovery: Cell::new(false),
            has_ended: Rc::default(),
        }
    }

    /// Lives all lives.
    pub(crate) fn run(&self) {
        let mut rng = Rng::stream(self.plan.seed, "damage at rest");
        if let Some(wanted) = &self.plan.preemptions {
            self.sim.preempt_only(wanted.clone());
        }
        for life in self.plan.lives.iter().filter(|life| self.plan.lives_through(life)) {
            operations::begin_life(life.number);
            self.live(life, &mut rng);
            if self.has_ended.get() {
                return;
            }
        }
        self.last_life();
    }

    /// Whether the disk did or holds what it should not.
    fn is_damaged(&self) -> bool {
        self.disk.fired().lies() > 0
    }

    /// Fails, unless nobody listens to that oracle: then it goes on.
    fn complain(&self, what: &str) {
        complain(&self.sim, &self.plan, what);
    }

    /// The database reports damage: an end if there is some, else a violation.
    fn reported(&self, what: &str) {
        if !self.is_damaged() {
            self.complain(what);
            return;
        }
        self.faults.borrow_mut().add("damage-reported", 1);
        self.sim.note("damage reported");
    }

    fn live(&self, life: &Life, rng: &mut Rng) {
        let keepsake = life.damage.map(|it| it.keepsake(&self.disk, &self.plan.config.engine));
        let keepsake = keepsake.unwrap_or_default();
        let began = self.sim.now();
        let mut armed = None;
        if let Some(db) = self.open(life, &mut armed) {
            if !life.in_recovery {
                armed = self.arm(life);
            }
            self.work(&db);
            if life.trouble.passes() && !self.sim.is_dead(NODE) {
                // Room comes back, and the node finds out by itself.
                self.disk.set_capacity(None);
                self.sim.sleep(HEALED_WITHIN);
                self.work(&db);
            }
            if life.closes && !self.sim.is_dead(NODE) {
                self.close(db, false);
            } else {
                // The harness is no part of the node: its destructor must not run here.
                std::mem::forget(db);
            }
        }
        self.crash(life, armed, self.sim.now() - began);
        self.damage(life, &keepsake, rng);
    }

    /// Lets the trouble of a life begin. The fault that the disk does not count by itself.
    fn arm(&self, life: &Life) -> Armed {
        let armed = life.trouble.arm(&self.disk);
        if let Some(damage) = life.damage {
            damage.arm(&self.disk, &self.plan.config.engine);
        }
        self.sim.kill_at(NODE, life.trouble.kill_at());
        self.sim.hold(NODE, life.hold);
        armed
    }

    fn damage(&self, life: &Life, keepsake: &Keepsake, rng: &mut Rng) {
        let (disk, engine) = (&self.disk, &self.plan.config.engine);
        let strike = |damage: fault::damage::Damage| damage.strike(disk, engine, keepsake, rng);
        if let Some(struck) = life.damage.and_then(strike) {
            self.faults.borrow_mut().add(struck, 1);
            self.sim.note(struck);
        }
    }

    fn last_life(&self) {
        let number = self.plan.lives.last().map_or(1, |life| life.number + 1);
        let life = Life::healthy(number);
        operations::begin_life(number);
        let handle_count = self.disk.handle_count();
        let open = || {
            let db = self.open(&life, &mut None);
            if db.is_none() && !self.has_ended.get() {
                self.sim.fail("a healthy node died");
            }
            db
        };
        let Some(db) = open() else { return };
        self.work(&db);
        self.holds_nothing(&db);
        self.verify(&db);
        self.close(db, !self.is_damaged());
        self.leaves_nothing(handle_count);
        self.sim.kill(NODE);
        let left_out = self.plan.without.iter().chain(&self.plan.without);
        let crash = left_out.fold(life.crash, |mode, kind| spared(mode, kind));
        self.disk.crash_with(crash);
        self.workload.crashed();
        let Some(db) = open() else { return };
        self.close(db, !self.is_damaged());
        self.sim.kill(NODE);
    }

    /// Boots and opens; `None` if the node died of it, or is not to be opened again.
    fn open(&self, life: &Life, armed: &mut Armed) -> Option<Arc<Node>> {
        let boot = self.boot_count.get();
        self.boot_count.set(boot + 1);
        let env = self.sim.boot(NODE, &self.disk, self.plan.seed ^ boot << 48, life.wall);
        if life.in_recovery {
            *armed = self.arm(life);
        }
        let opened = Rc::new(RefCell::new(Opened::Not));
        let (result, plan) = (Rc::clone(&opened), self.plan.clone());
        let workload = Rc::clone(&self.workload);
        self.sim.spawn(NODE, "open", move || {
            let db = Node::open(&env, &plan.config);
            let checked = match db {
                Err(error) => Opened::refused_by(error),
                Ok(db) => match workload.recovered(&db) {
                    Ok(true) => Opened::Open(db),
                    Ok(false) => Opened::Refused("the recovered database refuses".into()),
                    Err(Finding::Damage(what)) => Opened::Damaged(what),
                    Err(Finding::Wrong(what)) if is_deaf(&plan, &what) => Opened::Open(db),
                    Err(Finding::Wrong(what)) => Opened::Violation(what),
                },
            };
            *result.borrow_mut() = checked;
        });
        let done = || self.sim.is_dead(NODE) || !matches!(*opened.borrow(), Opened::Not);
        if !self.sim.wait_until(PATIENCE, done) {
            self.sim.fail("liveness: the database does not finish opening");
        }
        self.sim.kill_at(NODE, None);
        match opened.replace(Opened::Not) {
            dead if self.sim.is_dead(NODE) => {
                // As in `live`: what a dead node leaves is not the harness's to destroy.
                std::mem::forget(dead);
                None
            }
            Opened::Open(db) => Some(db),
            Opened::Refused(_) if life.in_recovery => {
                self.faults.borrow_mut().add("refusals-to-open", 1);
                None
            }
            Opened::Damaged(what) => {
                self.reported(&what);
                // A read that lied may be right the next time; what is at rest stays as it is.
                self.has_ended.set(!life.in_recovery);
                None
            }
            Opened::Refused(what) if self.is_damaged() => {
                self.reported(&what);
                self.has_ended.set(true);
                None
            }
            Opened::Refused(what) | Opened::Violation(what) => self.sim.fail(&what),
            Opened::Not => unreachable!("waited for"),
        }
    }

    /// Lets all clients work until they are done or the node is dead.
    fn work(&self, db: &Arc<Node>) {
        let running = Rc::new(Cell::new(self.plan.client_count));
        for client in 0..self.plan.client_count {
            let (db, sim) = (Arc::clone(db), self.sim.clone());
            let (running, workload) = (Rc::clone(&running), Rc::clone(&self.workload));
            let (disk, faults) = (self.disk.clone(), Rc::clone(&self.faults));
            let (count, plan) = (self.plan.txn_count, self.plan.clone());
            self.sim.spawn(NODE, &format!("client {client}"), move || {
                operations::begin_client(client);
                match workload.client(&db, client, count) {
                    Ok(()) => {}
                    Err(Finding::Damage(_)) if disk.fired().lies() > 0 => {
                        faults.borrow_mut().add("damage-reported", 1);
                    }
                    Err(Finding::Damage(what) | Finding::Wrong(what)) => {
                        complain(&sim, &plan, &what);
                    }
                }
                if db.panic_count() > 0 {
                    sim.fail("a statement panicked");
                }
                drop(db);
                running.set(running.get() - 1);
            });
        }
        if !self.sim.wait_until(PATIENCE, || self.sim.is_dead(NODE) || running.get() == 0) {
            self.sim.fail("liveness: clients do not finish");
        }
        if !self.sim.is_dead(NODE) {
            self.sim.kill_at(NODE, None);
            self.sim.hold(NODE, None);
        }
    }

    /// Nobody wants anything of the node: it holds nothing for anybody.
    fn holds_nothing(&self, db: &Arc<Node>) {
        let began = self.sim.now();
        loop {
            let held = Rc::new(RefCell::new(None));
            let (theirs, db) = (Rc::clone(&held), Arc::clone(db));
            self.on_node("look for leaks", move || *theirs.borrow_mut() = leaks::held(&db));
            let Some(what) = held.take() else { return };
            if self.is_damaged() {
                return;
            }
            if self.sim.now() - began > leaks::PATIENCE {
                self.sim.fail(&what);
            }
            self.sim.sleep(leaks::PATIENCE / 50);
        }
    }

    /// The node was closed: it runs nothing and has no more open files than there were before.
    fn leaves_nothing(&self, handle_count: usize) {
        let began = self.sim.now();
        loop {
            let fibers = self.sim.fibers_of(NODE);
            let open = self.disk.handle_count();
            if self.is_damaged() || (fibers.is_empty() && open == handle_count) {
                return;
            }
            if self.sim.now() - began > leaks::PATIENCE {
                self.sim.fail(&format!(
                    "leak: fibers {fibers:?} and {open} open files of a closed node, {handle_count} before"
                ));
            }
            self.sim.sleep(leaks::PATIENCE / 50);
        }
    }

    fn verify(&self, db: &Arc<Node>) {
        let db = Arc::clone(db);
        let found = Rc::new(RefCell::new(None));
        let theirs = Rc::clone(&found);
        self.on_node("verify", move || {
            let mut damages = Vec::new();
            let report = &mut |damage: Damage| damages.push(damage.to_string());
            let failed = db.store().verify(VerifyDepth::Full, report);
            let failed = failed.err().map(|error| format!("verify fails: {error}"));
            *theirs.borrow_mut() = failed.or_else(|| {
                let first = damages.first()?;
                Some(format!("verify finds {} damages, first: {first}", damages.len()))
            });
        });
        if let Some(what) = found.take() {
            self.reported(&what);
        }
    }

    fn close(&self, db: Arc<Node>, must_succeed: bool) {
        let sim = self.sim.clone();
        self.on_node("close", move || {
            if let Err(error) = db.close()
                && must_succeed
            {
                sim.fail(&format!("a healthy database does not close: {error}"));
            }
        });
    }

    /// Runs something on the node and waits for it, or for the node's death.
    fn on_node(&self, what: &'static str, body: impl FnOnce() + 'static) {
        let done = Rc::new(Cell::new(false));
        let theirs = Rc::clone(&done);
        self.sim.spawn(NODE, what, move || {
            body();
            theirs.set(true);
        });
        if !self.sim.wait_until(PATIENCE, || done.get() || self.sim.is_dead(NODE)) {
            self.sim.fail(&format!("liveness: {what} does not finish"));
        }
    }

    fn crash(&self, life: &Life, armed: Armed, lived: Duration) {
        let mut faults = self.faults.borrow_mut();
        let was_killed = self.sim.is_dead(NODE);
        if was_killed {
            let kind = match life.trouble.kill_at() {
                Some(KillAt::DiskOp(_)) => "kills-at-disk-op",
                Some(KillAt::Site { .. }) => "kills-at-point",
                _ => "kills-at-yield",
            };
            faults.add(kind, 1);
        } else {
            self.sim.kill(NODE);
            // One that was closed in order is switched off.
            faults.add("kills-at-end", u64::from(!life.closes));
        }
        let in_recovery = was_killed && life.in_recovery;
        if in_recovery {
            faults.add("kills-in-recovery", 1);
        }
        if self.died_in_recovery.replace(in_recovery) && in_recovery {
            faults.add("kills-in-recovery-again", 1);
        }
        if let Some((fault, kind)) = armed {
            faults.add(kind, self.disk.fired_by(fault));
        }
        if life.wall.was_set(lived) {
            faults.add(if life.wall.set_by_ns > 0 { "clock-ahead" } else { "clock-back" }, 1);
        }
        faults.add("clock-drift", u64::from(life.wall.drift_ppm != 0));
        self.disk.clear_faults();
        self.disk.set_capacity(None);
        self.disk.set_handle_limit(None);
        self.disk.crash_with(life.crash);
        self.sim.note("crash");
        self.workload.crashed();
    }
}
