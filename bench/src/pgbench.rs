//! pgbench against every system, interleaved.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::report::{Cell, Report, Sample};
use crate::scratch::Scratch;
use crate::system::System;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) scale: u32,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    pub(crate) clients: Vec<u32>,
    pub(crate) engines: Vec<String>,
    pub(crate) controls: Vec<String>,
    pub(crate) levels: Vec<Level>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) mode: Mode,
    pub(crate) settings: Vec<String>,
    pub(crate) with_postgres: bool,
    pub(crate) json: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            scale: 5,
            time: Duration::from_secs(10),
            rounds: 3,
            clients: vec![1, 4, 16],
            engines: vec!["lsm".into(), "btree".into()],
            controls: vec!["ssi".into()],
            levels: vec![Level::ReadCommitted],
            workloads: vec![Workload::SelectOnly, Workload::SimpleUpdate, Workload::TpcB],
            mode: Mode::Prepared,
            settings: Vec::new(),
            with_postgres: true,
            json: false,
        }
    }
}

/// pgbench's built-in scripts, and two of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    SelectOnly,
    SimpleUpdate,
    TpcB,
    /// Every client adds to one row.
    HotCounter,
    /// Reads of one row, with long scans and updates between.
    ReadMostly,
    /// So many rows inserted by each transaction.
    Commit(u32),
}

/// The sizes of [`Workload::Commit`].
const COMMITS: [(&str, u32); 4] =
    [("commit-1", 1), ("commit-10", 10), ("commit-1000", 1_000), ("commit-100000", 100_000)];

const COUNT: &str = "UPDATE pgbench_branches SET bbalance = bbalance + 1 WHERE bid = 1;\n";
const READ: &str = "\\set aid random(1, 100000 * :scale)\n\
    SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n";
const WRITE: &str = "\\set aid random(1, 100000 * :scale)\n\
    UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\n";
const SCAN: &str = "SELECT sum(abalance) FROM pgbench_accounts;\n";

impl Workload {
    pub(crate) fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "select-only" => Self::SelectOnly,
            "simple-update" => Self::SimpleUpdate,
            "tpcb" => Self::TpcB,
            "hot-counter" => Self::HotCounter,
            "read-mostly" => Self::ReadMostly,
            other => match COMMITS.iter().find(|(name, _)| *name == other) {
                Some((_, rows)) => Self::Commit(*rows),
                None => bail!(
                    "unknown workload \"{other}\" (select-only, simple-update, tpcb, hot-counter, \
                     read-mostly, commit-1, commit-10, commit-1000, commit-100000)"
                ),
            },
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SelectOnly => "select-only",
            Self::SimpleUpdate => "simple-update",
            Self::TpcB => "tpcb",
            Self::HotCounter => "hot-counter",
            Self::ReadMostly => "read-mostly",
            Self::Commit(rows) => {
                COMMITS.iter().find(|(_, known)| *known == rows).map_or("commit", |(name, _)| name)
            }
        }
    }

    /// pgbench's options for its scripts: built in, or written into `dir`, with their shares.
    fn scripts(self, dir: &Path) -> Result<Vec<String>> {
        let insert;
        let own: &[(&str, &str, u32)] = match self {
            Self::TpcB => return Ok(vec!["-b".into(), "tpcb-like".into()]),
            Self::SelectOnly | Self::SimpleUpdate => {
                return Ok(vec!["-b".into(), self.name().into()]);
            }
            Self::HotCounter => &[("count.sql", COUNT, 1)],
            Self::ReadMostly => {
                &[("read.sql", READ, 900), ("write.sql", WRITE, 90), ("scan.sql", SCAN, 1)]
            }
            Self::Commit(rows) => {
                insert =
                    format!("INSERT INTO commits SELECT n FROM generate_series(1, {rows}) n;\n");
                &[("insert.sql", &insert, 1)]
            }
        };
        let mut options = Vec::new();
        for (name, text, share) in own {
            let path = dir.join(name);
            std::fs::write(&path, text)?;
            options.extend(["-f".to_owned(), format!("{}@{share}", path.display())]);
        }
        Ok(options)
    }
}

/// The isolation level of every transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Level {
    pub(crate) fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "read-committed" => Self::ReadCommitted,
            "repeatable-read" => Self::RepeatableRead,
            "serializable" => Self::Serializable,
            other => {
                bail!("unknown level \"{other}\" (read-committed, repeatable-read, serializable)")
            }
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }

    /// What libpq tells the server at the start.
    fn options(self) -> String {
        format!("-c default_transaction_isolation={}", self.name().replace(' ', "\\ "))
    }
}

/// How statements travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Simple,
    Extended,
    Prepared,
}

impl Mode {
    pub(crate) fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "simple" => Self::Simple,
            "extended" => Self::Extended,
            "prepared" => Self::Prepared,
            other => bail!("unknown mode \"{other}\" (simple, extended, prepared)"),
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Prepared => "prepared",
        }
    }
}

/// Runs the plan and prints the report.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let scratch = Scratch::new()?;
    let mut systems = Vec::new();
    if plan.with_postgres {
        systems.push(System::postgres(scratch.dir())?);
    }
    for engine in &plan.engines {
        for control in &plan.controls {
            systems.push(System::driftdb(engine, control, &plan.settings, scratch.dir())?);
        }
    }
    for system in &systems {
        eprintln!("loading scale {} into {} …", plan.scale, system.name);
        initialize(system, plan.scale)?;
    }
    let mut report = Report::default();
    for &workload in &plan.workloads {
        for &clients in &plan.clients {
            for &level in &plan.levels {
                let cell = Cell { workload: workload.name(), clients, level };
                for round in 1..=plan.rounds {
                    for system in &systems {
                        let sample = measure(system, workload, cell, plan, scratch.dir())?;
                        eprintln!(
                            "{} clients={clients} {} round {round}/{}: {:<18} {:>9.0} tps {:>7.1} µs CPU",
                            workload.name(),
                            level.name(),
                            plan.rounds,
                            system.name,
                            sample.tps,
                            sample.cpu_micros,
                        );
                        report.add(cell, &system.name, sample);
                    }
                }
            }
        }
    }
    println!("{}", report.to_table(plan));
    if plan.json {
        println!("{}", report.to_json(plan));
    }
    Ok(())
}

fn initialize(system: &System, scale: u32) -> Result<()> {
    let output = system
        .client("pgbench")
        .args(["-i", "-q", "-s", &scale.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("could not run pgbench (Debian: apt-get install postgresql-15)")?;
    if !output.status.success() {
        bail!("pgbench -i failed on {}: {}", system.name, String::from_utf8_lossy(&output.stderr));
    }
    let create = "CREATE TABLE commits (v int)";
    let created =
        system.client("psql").args(["-qc", create]).status().context("could not run psql")?;
    if !created.success() {
        bail!("{create} failed on {}", system.name);
    }
    Ok(())
}

fn measure(
    system: &System,
    workload: Workload,
    cell: Cell,
    plan: &Plan,
    scratch: &Path,
) -> Result<Sample> {
    let before = system.cpu_seconds()?;
    let mut pgbench: Command = system.client("pgbench");
    let output = pgbench
        .args(workload.scripts(scratch)?)
        .args(["-M", plan.mode.name(), "-n", "--max-tries", "0"])
        .args(["-c", &cell.clients.to_string(), "-j", &cell.clients.min(2).to_string()])
        .args(["-T", &plan.time.as_secs().to_string()])
        .env("PGOPTIONS", cell.level.options())
        .stdin(Stdio::null())
        .output()
        .context("could not run pgbench")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("pgbench failed on {}: {}", system.name, String::from_utf8_lossy(&output.stderr));
    }
    let figure = |name: &str| -> Result<f64> {
        let found = text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let word = found.and_then(|rest| rest.split_whitespace().next());
        word.context("pgbench printed something else")?.parse().context("not a number")
    };
    let transactions = figure("number of transactions actually processed:")?;
    if transactions < 1.0 {
        bail!("{} finished no transaction", system.name);
    }
    Ok(Sample {
        tps: figure("tps =")?,
        latency_ms: figure("latency average =")?,
        cpu_micros: (system.cpu_seconds()? - before) * 1e6 / transactions,
        retries: figure("total number of retries:")? / transactions,
    })
}
