//! `driftdb bench …`.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::pgbench::{self, Level, Mode, Plan, Workload};
use crate::{counts, kv, past};

const OVERVIEW: &str = "\
Usage: driftdb bench COMMAND [OPTIONS]

Commands:
  kv        the storage engines beside RocksDB, LMDB, redb and fjall
  counts    instructions of the engines' hot paths against their baseline
  pgbench   the server beside PostgreSQL
  past      reading the past, beside MariaDB's system-versioned tables

Each has --help.";

const HELP: &str = "\
Usage: driftdb bench pgbench [OPTIONS]

Runs PostgreSQL's pgbench, unmodified, against DriftDB on each engine and against a PostgreSQL that it
starts itself on this machine, and prints throughput as a ratio to PostgreSQL with its spread.

Options:
  --scale N          pgbench scale factor [default: 5]
  --time SECONDS     length of one run [default: 10]
  --rounds N         rounds; each runs every system once [default: 3]
  --clients A,B,C    numbers of clients [default: 1,4,16]
  --engines A,B      DriftDB engines [default: lsm,btree]
  --controls A,B     concurrency controls, each on each engine [default: ssi]
  --levels A,B       isolation levels, for PostgreSQL too, of read-committed, repeatable-read,
                     serializable; what fails with 40001 or 40P01 is retried and counted
                     [default: read-committed]
  --workloads A,B    of select-only, simple-update, tpcb [default: these], hot-counter (one row), and
                     read-mostly (reads of one row, with sums of the whole table and updates between),
                     commit-1, commit-10, commit-1000, commit-100000 (rows inserted at once)
  --mode M           simple, extended or prepared [default: prepared]
  --set KEY=VALUE    a setting for every DriftDB server; may be repeated
  --no-postgres      leave PostgreSQL out
  --json             print the figures as JSON, too

Example:
  driftdb bench pgbench --time 20 --clients 4 --workloads select-only
  driftdb bench pgbench --controls ssi,ssn,occ,locking --levels repeatable-read,serializable \
      --engines lsm --workloads simple-update,hot-counter

Needs pgbench and PostgreSQL 15's server (Debian: postgresql-15). Started as root, PostgreSQL runs as
the unprivileged user postgres.";

/// Runs the command; returns the exit code: 0 done, 1 failed, 2 wrong usage.
pub fn run(args: &[String]) -> i32 {
    let is_help = |arg: &String| matches!(arg.as_str(), "--help" | "-h" | "help");
    match args.first().map(String::as_str) {
        Some("kv") => command(&args[1..], kv::HELP, kv::parse, kv::run),
        Some("counts") => command(&args[1..], counts::HELP, counts::parse, counts::run),
        Some("past") => command(&args[1..], past::HELP, past::parse, past::run),
        Some("pgbench") => command(&args[1..], HELP, parse, pgbench::run),
        Some(other) if !is_help(&args[0]) => {
            eprintln!("driftdb bench: unknown benchmark \"{other}\"\n\n{OVERVIEW}");
            2
        }
        _ => {
            println!("{OVERVIEW}");
            0
        }
    }
}

fn command<P>(
    args: &[String],
    help: &str,
    parse: impl FnOnce(&[String]) -> Result<P>,
    run: impl FnOnce(&P) -> Result<()>,
) -> i32 {
    if args.iter().any(|arg| matches!(arg.as_str(), "--help" | "-h")) {
        println!("{help}");
        return 0;
    }
    let plan = match parse(args) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("driftdb bench: {error:#}\n\n{help}");
            return 2;
        }
    };
    match run(&plan) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("driftdb bench: {error:#}");
            1
        }
    }
}

fn parse(args: &[String]) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--scale" => plan.scale = value()?.parse().context("--scale takes a number")?,
            "--time" => {
                let seconds = value()?.parse().context("--time takes seconds")?;
                plan.time = Duration::from_secs(seconds);
            }
            "--rounds" => plan.rounds = value()?.parse().context("--rounds takes a number")?,
            "--clients" => {
                let list = value()?.split(',').map(str::parse).collect::<Result<_, _>>();
                plan.clients = list.context("--clients takes numbers")?;
            }
            "--engines" => plan.engines = value()?.split(',').map(str::to_owned).collect(),
            "--controls" => plan.controls = value()?.split(',').map(str::to_owned).collect(),
            "--levels" => {
                plan.levels = value()?.split(',').map(Level::named).collect::<Result<_>>()?;
            }
            "--workloads" => {
                plan.workloads = value()?.split(',').map(Workload::named).collect::<Result<_>>()?;
            }
            "--mode" => plan.mode = Mode::named(value()?)?,
            "--set" => plan.settings.push(value()?.clone()),
            "--no-postgres" => plan.with_postgres = false,
            "--json" => plan.json = true,
            other => bail!("unknown option {other}"),
        }
    }
    if plan.rounds == 0 || plan.clients.is_empty() || plan.workloads.is_empty() {
        bail!("nothing to run");
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        let plan = parse(&words("--scale 2 --clients 1,8 --workloads tpcb --mode simple")).unwrap();
        parse(&words("--workloads commit-1,commit-100000,hot-counter,read-mostly")).unwrap();
        assert_eq!((plan.scale, plan.clients, plan.mode), (2, vec![1, 8], Mode::Simple));
        let mistake = |line| format!("{:#}", parse(&words(line)).unwrap_err());
        assert!(mistake("--colour").contains("unknown option --colour"));
        assert!(mistake("--mode fast").contains("fast"));
        assert!(mistake("--levels snapshot").contains("snapshot"));
        assert!(mistake("--scale").contains("needs a value"));
    }
}
