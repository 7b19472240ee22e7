//! Scenarios by name, and how one seed of one is run.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use driftdb_env::{Rng, planted};
use driftdb_sim_disk::SimDisk;

use crate::ablation::oracle_of;
use crate::cut;
use crate::fault::FaultCounts;
use crate::kernel::record::Record;
use crate::kernel::{KernelSettings, record, simulate};
use crate::node::{Machine, Workload};
use crate::operations::{self, Account};
use crate::plan::{Plan, is_calm};
use crate::shipping;
use crate::sites::SiteCounts;
use crate::workload::bank::Bank;
use crate::workload::ddl::Ddl;
use crate::workload::feed::Feed;
use crate::workload::isolation::Isolation;
use crate::workload::ledger::Ledger;
use crate::workload::list_append::ListAppend;
use crate::workload::query::Query;
use crate::workload::queue::Queue;
use crate::workload::tpcc::Tpcc;
use crate::workload::wire::Wire;

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Transfers straight on the transactional store: every commit accounted for.
    Ledger,
    /// Transfers through SQL sessions: balances, time travel, indexes.
    Bank,
    /// Appending to lists through SQL sessions: which anomalies occur.
    ListAppend,
    /// Appending to lists straight on the transactional store, with ranges and the past: exactly what
    /// each level promises.
    Isolation,
    /// Definitions change beside rows.
    Ddl,
    /// A consumer follows the changes of a table, over the node's deaths.
    Feed,
    /// Jobs are taken with SKIP LOCKED, and each is done once.
    Queue,
    /// Generated SQL: what must hold between the answers of queries.
    Query,
    /// Orders, payments and deliveries in the manner of TPC-C.
    Tpcc,
    /// Clients speak the wire protocol over bad lines, and go in the middle of it.
    Wire,
    /// A log is shipped to replicas over a network that promises nothing.
    Shipping,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Ledger,
        Self::Bank,
        Self::ListAppend,
        Self::Isolation,
        Self::Ddl,
        Self::Feed,
        Self::Queue,
        Self::Query,
        Self::Tpcc,
        Self::Wire,
        Self::Shipping,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Bank => "bank",
            Self::ListAppend => "list-append",
            Self::Isolation => "isolation",
            Self::Ddl => "ddl",
            Self::Feed => "feed",
            Self::Queue => "queue",
            Self::Query => "query",
            Self::Tpcc => "tpcc",
            Self::Wire => "wire",
            Self::Shipping => "shipping",
        }
    }

    /// The scenario of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// What clients of its one node do; `None` if it has several nodes, and a harness of its own.
    fn workload(self, plan: &Plan) -> Option<Rc<dyn Workload>> {
        Some(match self {
            Self::Ledger => Rc::new(Ledger::new(plan)),
            Self::Bank => Rc::new(Bank::new(plan)),
            Self::ListAppend => Rc::new(ListAppend::new(plan)),
            Self::Isolation => Rc::new(Isolation::new(plan)),
            Self::Ddl => Rc::new(Ddl::new(plan)),
            Self::Feed => Rc::new(Feed::new(plan)),
            Self::Queue => Rc::new(Queue::new(plan)),
            Self::Query => Rc::new(Query::new(plan)),
            Self::Tpcc => Rc::new(Tpcc::new(plan)),
            Self::Wire => Rc::new(Wire::new(plan)),
            Self::Shipping => return None,
        })
    }
}

/// What to run a seed with.
#[derive(Debug, Clone, Default)]
pub struct SeedOptions {
    /// Fixed settings, over what the seed draws.
    pub settings: Vec<(String, String)>,
    /// The planted bug.
    pub bug: Option<&'static str>,
}

/// What came of a seed.
#[derive(Debug, Clone)]
pub struct SeedReport {
    /// What was violated.
    pub failure: Option<String>,
    /// The hash over all that happened.
    pub trace_hash: u64,
    /// How far virtual time went.
    pub virtual_time: Duration,
    /// Acknowledged transactions.
    pub committed_count: u64,
    /// Transactions that both oracles of isolation have judged.
    pub checked_count: u64,
    /// Relations between answers of queries that were asked and hold.
    pub related_count: u64,
    /// Over answers that every engine and control must give, if one client is alone and nothing fails.
    pub answers_hash: u64,
    /// Disk operations.
    pub disk_op_count: u64,
    /// Yield points.
    pub step_count: u64,
    /// Faults that struck.
    pub faults: FaultCounts,
    /// Places of the product that were seen.
    pub sites: SiteCounts,
}

/// Runs one seed.
///
/// # Errors
/// A setting that there is not.
pub fn run_seed(
    scenario: Scenario,
    seed: u64,
    options: &SeedOptions,
) -> Result<SeedReport, String> {
    let plan = plan(scenario, seed, options)?;
    Ok(match scenario.workload(&plan) {
        Some(workload) => run(plan, &workload, options),
        None => shipping::run(plan, options),
    })
}

/// Runs one seed, and keeps what happened.
///
/// # Errors
/// A setting that there is not.
pub(crate) fn run_recorded(
    scenario: Scenario,
    seed: u64,
    options: &SeedOptions,
) -> Result<(SeedReport, Account, Record), String> {
    record::start();
    let report = run_seed(scenario, seed, options);
    let record = record::finish();
    Ok((report?, operations::account(), record))
}

/// The mischief of a seed's lives: its names, and what it is.
///
/// # Errors
/// A setting that there is not.
pub(crate) fn fault_names(
    scenario: Scenario,
    seed: u64,
    options: &SeedOptions,
) -> Result<Vec<(String, String)>, String> {
    Ok(cut::faults(&plan(scenario, seed, options)?.lives))
}

/// The plan of a seed, to be read.
///
/// # Errors
/// A setting that there is not.
pub fn plan_text(scenario: Scenario, seed: u64, options: &SeedOptions) -> Result<String, String> {
    Ok(plan(scenario, seed, options)?.describe())
}

/// A history of the scenario `isolation`, for another checker to judge.
#[derive(Debug, Clone)]
pub struct IsolationHistory {
    /// As of any seed.
    pub report: SeedReport,
    /// The kinds of cycle that are there by our oracles, allowed or not.
    pub anomalies: Vec<&'static str>,
    /// The history in Elle's format, in lines of JSON.
    pub elle: String,
}

/// Runs a seed of the scenario `isolation` and keeps its history.
///
/// # Errors
/// A setting that there is not, or a violation.
pub fn isolation_history(seed: u64, options: &SeedOptions) -> Result<IsolationHistory, String> {
    let plan = plan(Scenario::Isolation, seed, options)?;
    let isolation = Rc::new(Isolation::new(&plan));
    let workload: Rc<dyn Workload> = isolation.clone();
    let report = run(plan, &workload, options);
    match (&report.failure, isolation.judged()) {
        (None, Some(judged)) => {
            let anomalies = judged.anomalies.iter().map(|anomaly| anomaly.name()).collect();
            Ok(IsolationHistory { report, anomalies, elle: judged.elle })
        }
        (failure, _) => Err(failure.clone().unwrap_or_else(|| "nothing was judged".to_owned())),
    }
}

fn plan(scenario: Scenario, seed: u64, options: &SeedOptions) -> Result<Plan, String> {
    let mut plan = Plan::of(seed);
    if scenario == Scenario::Isolation && is_calm(seed) {
        // Schedules alone: such seeds are several times as fast.
        plan.lives.clear();
    }
    if scenario == Scenario::Wire {
        // Each piece of a message is an event, and some are of one byte.
        plan.kernel.max_events *= 10;
    }
    for (key, value) in &options.settings {
        plan.set(key, drawn(seed, key, value))?;
    }
    Ok(plan)
}

/// One of several values, if there are several.
fn drawn<'a>(seed: u64, key: &str, value: &'a str) -> &'a str {
    let values: Vec<&str> = value.split('|').collect();
    values[Rng::stream(seed, &format!("of several: {key}")).index(values.len())]
}

fn run(plan: Plan, workload: &Rc<dyn Workload>, options: &SeedOptions) -> SeedReport {
    let seed = plan.seed;
    let deaf_to = plan.deaf_to.clone();
    let disk = SimDisk::new(seed);
    let faults = Rc::new(RefCell::new(FaultCounts::default()));
    planted::activate(options.bug);
    // What somebody else left on this thread.
    drop(SiteCounts::taken());
    operations::begin_run(plan.operations.clone(), record::is_on());
    let outcome = {
        let (disk, workload, faults) = (disk.clone(), Rc::clone(workload), Rc::clone(&faults));
        let settings = KernelSettings { max_events: plan.most_events(), ..plan.kernel };
        simulate(settings, move |sim| Machine::new(sim, plan, disk, workload, faults).run())
    };
    planted::activate(None);
    let mut faults = faults.borrow().clone();
    faults.add_disk(&disk);
    workload.faults().into_iter().for_each(|(kind, count)| faults.add(kind, count));
    faults.add_kernel(&outcome);
    SeedReport {
        // Where nothing is left to go on with, the end of the run was the complaint.
        failure: outcome.failure.filter(|what| !deaf_to.contains(&oracle_of(what))),
        trace_hash: outcome.trace_hash ^ disk.trace_hash(),
        virtual_time: outcome.virtual_time,
        committed_count: workload.committed_count(),
        checked_count: workload.checked_count(),
        related_count: workload.related_count(),
        answers_hash: workload.answers_hash(),
        disk_op_count: outcome.disk_op_count,
        step_count: outcome.step_count,
        faults,
        sites: SiteCounts::taken(),
    }
}

/// Whether the settings exist.
///
/// # Errors
/// One does not.
pub(crate) fn check_settings(options: &SeedOptions) -> Result<(), String> {
    let mut plan = Plan::of(0);
    let each = |(key, values): &(String, String)| {
        values.split('|').try_for_each(|value| plan.set(key, value))
    };
    options.settings.iter().try_for_each(each)
}
