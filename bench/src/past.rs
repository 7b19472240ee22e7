//! Reading the past beside MariaDB's system-versioned tables: points and scans as of random times, by
//! how many versions each row has.
//!
//! Both systems get the same statements as text through their own command-line clients, one after the
//! other. The clients differ and so does the parsing of a text: what is compared is the server's CPU time,
//! and above all how it grows with the number of versions.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::kv::data::Random;
use crate::scratch::Scratch;
use crate::system::System;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) rows: u32,
    pub(crate) versions: Vec<u32>,
    pub(crate) reads: u32,
    pub(crate) scans: u32,
    pub(crate) rounds: usize,
    pub(crate) engines: Vec<String>,
    pub(crate) with_mariadb: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rows: 1000,
            versions: vec![10, 100, 1000],
            reads: 4000,
            scans: 20,
            rounds: 3,
            engines: vec!["lsm".into(), "btree".into()],
            with_mariadb: true,
        }
    }
}

pub(crate) const HELP: &str = "\
Usage: driftdb bench past [OPTIONS]

Reads rows as of random times of the past, from DriftDB on each engine and from MariaDB's system-versioned
tables, and prints the server's CPU time and the wall time per statement.

Options:
  --rows N           rows of the table [default: 1000]
  --versions A,B     versions of each row [default: 10,100,1000]
  --reads N          point reads per round [default: 4000]
  --scans N          sums over all rows per round [default: 20]
  --rounds N         rounds; each runs every system once [default: 3]
  --engines A,B      DriftDB engines [default: lsm,btree]
  --no-mariadb       leave MariaDB out

Needs psql, and MariaDB's server and client (Debian: mariadb-server). Started as root, MariaDB runs as the
unprivileged user mysql.";

/// Reads the options.
pub(crate) fn parse(args: &[String]) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        let number = |text: &String| text.parse().with_context(|| format!("{flag} takes a number"));
        match flag.as_str() {
            "--rows" => plan.rows = number(value()?)?,
            "--versions" => {
                let list = value()?.split(',').map(str::parse).collect::<Result<_, _>>();
                plan.versions = list.context("--versions takes numbers")?;
            }
            "--reads" => plan.reads = number(value()?)?,
            "--scans" => plan.scans = number(value()?)?,
            "--rounds" => plan.rounds = number(value()?)? as usize,
            "--engines" => plan.engines = value()?.split(',').map(str::to_owned).collect(),
            "--no-mariadb" => plan.with_mariadb = false,
            other => bail!("unknown option {other}"),
        }
    }
    if [plan.rows, plan.reads, plan.scans].contains(&0) || plan.rounds == 0 {
        bail!("nothing to run");
    }
    Ok(plan)
}

/// How a system is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    DriftDb,
    MariaDb,
}

impl Dialect {
    fn create(self) -> &'static str {
        match self {
            Self::DriftDb => "CREATE TABLE t (id int PRIMARY KEY, v int, filler char(80));",
            Self::MariaDb => {
                "CREATE TABLE t (id int PRIMARY KEY, v int, filler char(80)) WITH SYSTEM VERSIONING;"
            }
        }
    }

    fn client(self, system: &System) -> Command {
        match self {
            Self::DriftDb => {
                let mut psql = system.client("psql");
                psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1"]);
                psql
            }
            Self::MariaDb => system.mariadb_client(),
        }
    }

    /// A table as of a time, or now.
    fn table(self, time: Option<&str>) -> String {
        match (self, time) {
            (_, None) => "t".to_owned(),
            (Self::DriftDb, Some(time)) => format!("t FOR SYSTEM_TIME AS OF '{time}'"),
            (Self::MariaDb, Some(time)) => format!("t FOR SYSTEM_TIME AS OF TIMESTAMP'{time}'"),
        }
    }
}

/// A system with a table of so many versions, and a time at which each was the newest.
struct Subject {
    system: System,
    dialect: Dialect,
    times: Vec<String>,
}

impl Subject {
    /// Runs a script; returns what it printed.
    fn run(&self, script: &str, dir: &Path) -> Result<String> {
        let path = dir.join("script.sql");
        std::fs::write(&path, script)?;
        let output = self.dialect.client(&self.system).stdin(File::open(&path)?).output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("a script failed on {}: {error}", self.system.name);
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn load(&mut self, plan: &Plan, versions: u32, dir: &Path) -> Result<()> {
        let mut script = self.dialect.create().to_owned();
        script.push_str("\nINSERT INTO t VALUES ");
        for id in 1..=plan.rows {
            let comma = if id == 1 { "" } else { "," };
            write!(script, "{comma}({id},0,'')").context("a string takes everything")?;
        }
        script.push_str(";\nSELECT now(6);\n");
        for _ in 1..versions {
            script.push_str("UPDATE t SET v = v + 1;\nSELECT now(6);\n");
        }
        if self.dialect == Dialect::DriftDb {
            script = script.replace("now(6)", "clock_timestamp()");
        }
        let printed = self.run(&script, dir)?;
        self.times = printed.lines().map(str::to_owned).collect();
        if self.times.len() != versions as usize {
            bail!(
                "{} printed {} times for {versions} versions",
                self.system.name,
                self.times.len()
            );
        }
        Ok(())
    }

    /// CPU and wall microseconds per statement, having checked every answer.
    fn measure(&self, statements: &[(String, i64)], dir: &Path) -> Result<(f64, f64)> {
        let mut script = String::new();
        for (statement, _) in statements {
            script.push_str(statement);
            script.push_str(";\n");
        }
        let cpu = self.system.cpu_seconds()?;
        let start = Instant::now();
        let printed = self.run(&script, dir)?;
        let wall = start.elapsed().as_secs_f64();
        let cpu = self.system.cpu_seconds()? - cpu;
        let answers = printed.lines().map(str::parse::<i64>).collect::<Result<Vec<_>, _>>()?;
        if !answers.iter().eq(statements.iter().map(|(_, expected)| expected)) {
            bail!("{} gave other answers than were written", self.system.name);
        }
        let per_statement = 1e6 / statements.len() as f64;
        Ok((cpu * per_statement, wall * per_statement))
    }

    /// Statements with their answers: version *n* holds *n* in each row.
    fn statements(&self, what: &str, plan: &Plan, random: &mut Random) -> Vec<(String, i64)> {
        let newest = self.times.len() - 1;
        let count = if what == "scan as of" { plan.scans } else { plan.reads };
        let statement = |_| {
            let version = random.below(self.times.len() as u64) as usize;
            let id = 1 + random.below(u64::from(plan.rows));
            let past = self.dialect.table(Some(&self.times[version]));
            let now = self.dialect.table(None);
            match what {
                "point now" => (format!("SELECT v FROM {now} WHERE id = {id}"), newest as i64),
                "point as of" => (format!("SELECT v FROM {past} WHERE id = {id}"), version as i64),
                _ => {
                    let sum = version as i64 * i64::from(plan.rows);
                    (format!("SELECT sum(v) FROM {past}"), sum)
                }
            }
        };
        (0..count).map(statement).collect()
    }
}

/// Runs the plan and prints the table.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let scratch = Scratch::new()?;
    println!(
        "{} rows, {} reads, {} scans, {} rounds; µs per statement: CPU of the server (wall), the least of \
         the rounds\n",
        plan.rows, plan.reads, plan.scans, plan.rounds
    );
    println!("| versions | system | point now | point as of | scan as of |");
    println!("| ---: | --- | ---: | ---: | ---: |");
    for &versions in &plan.versions {
        let mut subjects = Vec::new();
        for engine in &plan.engines {
            let system = System::driftdb(engine, "ssi", &[], scratch.dir())?;
            subjects.push(Subject { system, dialect: Dialect::DriftDb, times: Vec::new() });
        }
        if plan.with_mariadb {
            let system = System::mariadb(scratch.dir())?;
            subjects.push(Subject { system, dialect: Dialect::MariaDb, times: Vec::new() });
        }
        for subject in &mut subjects {
            eprintln!("loading {versions} versions into {} …", subject.system.name);
            subject.load(plan, versions, scratch.dir())?;
        }
        const KINDS: [&str; 3] = ["point now", "point as of", "scan as of"];
        let mut least = vec![[(f64::INFINITY, f64::INFINITY); KINDS.len()]; subjects.len()];
        for round in 0..plan.rounds {
            for (subject, least) in subjects.iter().zip(&mut least) {
                let mut random = Random::new(round as u64);
                for (what, least) in KINDS.iter().zip(least.iter_mut()) {
                    let statements = subject.statements(what, plan, &mut random);
                    let (cpu, wall) = subject.measure(&statements, scratch.dir())?;
                    *least = (least.0.min(cpu), least.1.min(wall));
                }
            }
        }
        for (subject, least) in subjects.iter().zip(&least) {
            let cells = least.map(|(cpu, wall)| format!("{cpu:.0} ({wall:.0})")).join(" | ");
            println!("| {versions} | {} | {cells} |", subject.system.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_named() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let plan = parse(&words("--rows 5 --versions 1,2 --no-mariadb")).unwrap();
        assert_eq!((plan.rows, plan.versions, plan.with_mariadb), (5, vec![1, 2], false));
        assert!(format!("{:#}", parse(&words("--scans 0")).unwrap_err()).contains("nothing"));
        assert!(format!("{:#}", parse(&words("--reads many")).unwrap_err()).contains("--reads"));
    }
}
