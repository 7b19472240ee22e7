//! The lives of the simulated node: open, check what recovery found, let clients work, die, again.
//!
//! The last life is without trouble: everybody must finish within a bound of virtual time, the store
//! must verify clean, close, and open once more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use driftdb_server::{Node, NodeError};
use driftdb_sim_disk::{CrashMode, SimDisk};
use driftdb_storage::{Damage, ErrorKind, VerifyDepth};

use crate::fault::{FaultCounts, Trouble};
use crate::kernel::{NodeId, Sim};
use crate::plan::{Life, Plan};
use crate::sql::Refusal;

const NODE: NodeId = NodeId(1);

/// Virtual time within which anything must be over: a thousand times what it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// What clients do and what is checked.
pub(crate) trait Workload {
    /// After each opening, before clients: makes what it needs, and checks what is there. Afterwards
    /// no fate is open any more. False if the store refused, which only a fault excuses.
    ///
    /// # Errors
    /// What is violated.
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, String>;

    /// One client's work in one life. Ends early when the store refuses to go on.
    ///
    /// # Errors
    /// What is violated.
    fn client(&self, node: &Arc<Node>, client: usize, count: usize) -> Result<(), String>;

    /// The node died: whatever was in flight has an unknown fate.
    fn crashed(&self);

    /// How many transactions were acknowledged.
    fn committed_count(&self) -> u64;

    /// How many transactions both oracles of isolation have judged.
    fn checked_count(&self) -> u64 {
        0
    }
}

/// What a node's fibers leave behind for the harness.
enum Opened {
    Not,
    Open(Arc<Node>),
    /// It refused, as it may while the disk fails.
    Refused(String),
    /// Nothing excuses this.
    Violation(String),
}

impl Opened {
    fn refused_by(error: NodeError) -> Self {
        let is_excusable = match &error {
            NodeError::Io(_) => true,
            NodeError::Storage(error) => error.kind() == ErrorKind::Unavailable,
            NodeError::Txn(error) => error.kind() == ErrorKind::Unavailable,
            NodeError::Catalog(error) => {
                !matches!(Refusal::from(error.clone()), Refusal::Violation(_))
            }
            _ => false,
        };
        let what = format!("the database does not open: {error}");
        if is_excusable { Self::Refused(what) } else { Self::Violation(what) }
    }
}

pub(crate) struct Machine {
    sim: Sim,
    plan: Plan,
    disk: SimDisk,
    workload: Rc<dyn Workload>,
    faults: Rc<RefCell<FaultCounts>>,
    boot_count: Cell<u64>,
}

impl Machine {
    pub(crate) fn new(
        sim: Sim,
        plan: Plan,
        disk: SimDisk,
        workload: Rc<dyn Workload>,
        faults: Rc<RefCell<FaultCounts>>,
    ) -> Self {
        Self { sim, plan, disk, workload, faults, boot_count: Cell::new(0) }
    }

    /// Lives all lives.
    pub(crate) fn run(&self) {
        for life in &self.plan.lives {
            self.live(life);
        }
        self.last_life();
    }

    fn live(&self, life: &Life) {
        let trouble = life.trouble;
        if let Some(db) = self.open(life, life.in_recovery.then_some(trouble)) {
            if !life.in_recovery {
                trouble.arm(&self.disk);
                self.sim.kill_at(NODE, trouble.kill_at());
            }
            self.work(&db);
            if life.closes && !self.sim.is_dead(NODE) {
                self.close(db, false);
            } else {
                // The harness is no part of the node: its destructor must not run here.
                std::mem::forget(db);
            }
        }
        self.crash(life);
    }

    fn last_life(&self) {
        let life = Life {
            // None of it is armed.
            trouble: Trouble::ReadError { nth: 1 },
            in_recovery: false,
            crash: CrashMode::LoseAll,
            closes: true,
            wall_ahead: Duration::ZERO,
        };
        let db = self.open(&life, None).unwrap_or_else(|| self.sim.fail("a healthy node died"));
        self.work(&db);
        self.verify(&db);
        self.close(db, true);
        self.sim.kill(NODE);
        self.disk.crash_with(life.crash);
        self.workload.crashed();
        let db = self.open(&life, None).unwrap_or_else(|| self.sim.fail("a healthy node died"));
        self.close(db, true);
        self.sim.kill(NODE);
    }

    /// Boots and opens; `None` if the node died of it.
    fn open(&self, life: &Life, trouble: Option<Trouble>) -> Option<Arc<Node>> {
        let boot = self.boot_count.get();
        self.boot_count.set(boot + 1);
        let env = self.sim.boot(NODE, &self.disk, self.plan.seed ^ boot << 48, life.wall_ahead);
        self.sim.kill_at(NODE, trouble.and_then(Trouble::kill_at));
        if let Some(trouble) = trouble {
            trouble.arm(&self.disk);
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
                    Err(violation) => Opened::Violation(violation),
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
            Opened::Refused(_) if trouble.is_some() => {
                self.faults.borrow_mut().add("refusals-to-open", 1);
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
            let count = self.plan.txn_count;
            self.sim.spawn(NODE, &format!("client {client}"), move || {
                if let Err(violation) = workload.client(&db, client, count) {
                    sim.fail(&violation);
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
        }
    }

    fn verify(&self, db: &Arc<Node>) {
        let (db, sim) = (Arc::clone(db), self.sim.clone());
        self.on_node("verify", move || {
            let mut damages = Vec::new();
            if let Err(error) = db
                .store()
                .verify(VerifyDepth::Full, &mut |damage: Damage| damages.push(damage.to_string()))
            {
                sim.fail(&format!("verify fails: {error}"));
            }
            if let Some(first) = damages.first() {
                sim.fail(&format!("verify finds {} damages, first: {first}", damages.len()));
            }
        });
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

    fn crash(&self, life: &Life) {
        let mut faults = self.faults.borrow_mut();
        if self.sim.is_dead(NODE) {
            faults.add(if life.in_recovery { "kills-in-recovery" } else { "kills" }, 1);
        } else {
            self.sim.kill(NODE);
            faults.add("kills-at-end", 1);
        }
        self.disk.clear_faults();
        self.disk.set_capacity(None);
        self.disk.crash_with(life.crash);
        self.sim.note("crash");
        self.workload.crashed();
    }
}
