//! The order of things: sizes, rounds, workloads, stores.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;

use super::Plan;
use super::data::Zipfian;
use super::driftdb::{Kv, options};
use super::probe::Probe;
use super::results::{Cell, Results};
use super::store::{Null, Open, Settings, Store};
use super::workload::{Target, Workload};

/// Every store of this build, ours first.
const STORES: &[(&str, Open)] = &[
    ("lsm", |dir, settings| Ok(Box::new(Kv::<LsmEngine>::open(dir, &options(settings))?))),
    ("btree", |dir, settings| Ok(Box::new(Kv::<BtreeEngine>::open(dir, &options(settings))?))),
    #[cfg(feature = "peers")]
    ("rocksdb", super::peers::rocksdb::open),
    #[cfg(feature = "peers")]
    ("lmdb", super::peers::lmdb::open),
    #[cfg(feature = "peers")]
    ("redb", super::peers::redb::open),
    #[cfg(feature = "peers")]
    ("fjall", super::peers::fjall::open),
];

/// The names of the stores.
pub(crate) fn names() -> Vec<String> {
    STORES.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// A store in the middle of its round.
struct Runner {
    name: &'static str,
    store: Box<dyn Store>,
    dir: std::path::PathBuf,
    row_count: AtomicU64,
}

/// Runs all workloads of the plan on all its stores.
pub(crate) fn run(plan: &Plan, scratch: &Path, results: &mut Results) -> Result<()> {
    let zipfian = Zipfian::new(plan.rows);
    let total = plan.caches.len() * plan.rounds * plan.workloads.len() * plan.stores.len();
    let mut progress = Progress::new(total);
    for &(size, cache_bytes) in &plan.caches {
        let settings = Settings {
            cache_bytes,
            write_buffer_bytes: plan.write_buffer_bytes,
            is_compressed: plan.is_compressed,
        };
        for round in 0..plan.rounds {
            let dir = scratch.join(format!("{size}-{round}"));
            std::fs::create_dir_all(&dir)?;
            results.probes.push(Probe::take(&dir)?);
            let runners = open_all(plan, &dir, &settings)?;
            let null = Runner {
                name: "driver",
                store: Box::new(Null),
                dir: dir.clone(),
                row_count: AtomicU64::new(plan.rows),
            };
            for &workload in &plan.workloads {
                let driver = run_one(plan, workload, &null, &zipfian)?;
                for runner in &runners {
                    progress.step(size, round, workload.name, runner.name);
                    let sample = run_one(plan, workload, runner, &zipfian)
                        .with_context(|| format!("{} on {}", workload.name, runner.name))?;
                    let cell = Cell {
                        size,
                        workload: workload.name,
                        store: runner.name,
                        round,
                        driver_cpu_ns: driver.cpu_ns(),
                        sample,
                    };
                    results.cells.push(cell);
                }
                check_answers(workload, size, round, results)?;
            }
            for runner in &runners {
                results.figures.push((size, round, runner.name, runner.store.figures()));
            }
            drop(runners);
            std::fs::remove_dir_all(&dir)?;
        }
    }
    progress.end();
    Ok(())
}

fn open_all(plan: &Plan, dir: &Path, settings: &Settings) -> Result<Vec<Runner>> {
    let wanted = STORES.iter().filter(|(name, _)| plan.stores.iter().any(|store| store == name));
    wanted
        .map(|&(name, open)| {
            let dir = dir.join(name);
            std::fs::create_dir_all(&dir)?;
            let store = open(&dir, settings).with_context(|| format!("could not open {name}"))?;
            Ok(Runner { name, store, dir, row_count: AtomicU64::new(plan.rows) })
        })
        .collect()
}

fn run_one(
    plan: &Plan,
    workload: Workload,
    runner: &Runner,
    zipfian: &Zipfian,
) -> Result<super::measure::Sample> {
    let target =
        Target { store: &*runner.store, dir: &runner.dir, row_count: &runner.row_count, zipfian };
    workload.run(plan, &target)
}

/// A store that finds other rows than its neighbour is wrong, and how fast it is does not matter.
fn check_answers(workload: Workload, size: &str, round: usize, results: &Results) -> Result<()> {
    let of_this =
        |cell: &&Cell| cell.workload == workload.name && cell.size == size && cell.round == round;
    let mut cells = results.cells.iter().filter(of_this);
    let Some(first) = cells.next() else { return Ok(()) };
    for cell in cells {
        if workload.is_exact() && cell.sample.found != first.sample.found {
            bail!(
                "{}: {} found {} rows, {} found {}",
                workload.name,
                first.store,
                first.sample.found,
                cell.store,
                cell.sample.found
            );
        }
    }
    Ok(())
}

/// What runs now, on the terminal's last line.
struct Progress {
    begun: Instant,
    done: usize,
    total: usize,
    is_terminal: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self { begun: Instant::now(), done: 0, total, is_terminal: std::io::stderr().is_terminal() }
    }

    fn step(&mut self, size: &str, round: usize, workload: &str, store: &str) {
        let elapsed = self.begun.elapsed();
        let rest = match self.done {
            0 => String::new(),
            done => {
                let rest = elapsed.mul_f64((self.total - done) as f64 / done as f64);
                format!(", about {} s to go", rest.as_secs())
            }
        };
        let line = format!(
            "[{}/{}] {size}, round {}: {workload} on {store} ({} s{rest})",
            self.done + 1,
            self.total,
            round + 1,
            elapsed.as_secs(),
        );
        if self.is_terminal {
            eprint!("\r\x1b[K{line}");
        } else if self.done.is_multiple_of(20) {
            eprintln!("{line}");
        }
        self.done += 1;
    }

    fn end(&self) {
        if self.is_terminal && self.begun.elapsed() > Duration::ZERO {
            eprint!("\r\x1b[K");
        }
    }
}
