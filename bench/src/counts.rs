//! Instructions of the hot paths, against a baseline kept beside the code.
//!
//! Time on a shared machine cannot gate anything; instructions can. Each path runs under callgrind
//! twice, with N and with 2 N operations after the same preparation, on one thread: the difference is
//! N operations and nothing else. `counts` fails when a path takes over 5 % more than `counts.json`
//! says; `--accept REASON` writes a new baseline and keeps the reason in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use driftdb_env::Env;
use driftdb_storage::{
    Commit, Cursor, Engine, EngineOptions, KeyRange, KeyspaceId, LogBarrier, Lsn, ScanSpec,
    Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;
use driftdb_wal::{Wal, WalOptions};
use serde_json::{Value, json};

use crate::kv::data::{self, Random, Rows};

/// What `--help` says.
pub(crate) const HELP: &str = "\
Usage: bench counts [OPTIONS]

Counts the instructions of the hot paths under valgrind (callgrind) and compares them with the baseline;
fails when one takes over 5 % more. Build with --release.

Options:
  --accept REASON    write what is counted as the new baseline, with the reason
  --baseline FILE    [default: bench/counts.json]";

/// By how much a path may grow.
const TOLERANCE: f64 = 1.05;
/// Rows there before the counting begins.
const ROWS: u64 = 10_000;
/// Operations of the shorter run.
const OPERATIONS: u64 = 2_000;
const SPACE: KeyspaceId = KeyspaceId(2000);
const PATHS: &[&str] = &[
    "lsm get hit",
    "lsm get miss",
    "lsm seek+10",
    "lsm scan step",
    "lsm apply row",
    "lsm replay row",
    "lsm apply+flush+merge row",
    "btree get hit",
    "btree get miss",
    "btree seek+10",
    "btree scan step",
    "btree apply row",
    "btree replay row",
    "btree apply+checkpoint row",
    "wal append",
    "wal append+flush",
];

/// What to do.
#[derive(Debug)]
pub(crate) struct Plan {
    accept: Option<String>,
    baseline: PathBuf,
    /// Run by valgrind: one path, so many operations.
    one: Option<(String, u64)>,
}

/// Reads the options.
pub(crate) fn parse(args: &[String]) -> Result<Plan> {
    let mut plan = Plan { accept: None, baseline: "bench/counts.json".into(), one: None };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--accept" => plan.accept = Some(value()?.clone()),
            "--baseline" => plan.baseline = value()?.into(),
            "--one" => plan.one = Some((value()?.clone(), value()?.parse()?)),
            other => bail!("unknown option {other}"),
        }
    }
    Ok(plan)
}

/// Counts, compares, perhaps accepts.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    if let Some((path, operations)) = &plan.one {
        return exercise(path, *operations);
    }
    let mut counted = BTreeMap::new();
    for path in PATHS {
        let once = under_valgrind(path, OPERATIONS)?;
        let twice = under_valgrind(path, 2 * OPERATIONS)?;
        let each = twice.saturating_sub(once) as f64 / OPERATIONS as f64;
        eprintln!("{path:28} {each:10.1} instructions");
        counted.insert((*path).to_owned(), each);
    }
    if let Some(reason) = &plan.accept {
        return accept(&plan.baseline, &counted, reason);
    }
    let text = std::fs::read_to_string(&plan.baseline)
        .with_context(|| format!("no baseline {}; --accept makes one", plan.baseline.display()))?;
    let grown = grown(&serde_json::from_str(&text)?, &counted);
    if !grown.is_empty() {
        bail!("more instructions than the baseline allows:\n{}", grown.join("\n"));
    }
    println!("{} paths within 5 % of the baseline", counted.len());
    Ok(())
}

/// The paths that take too much, or that the baseline does not know.
fn grown(baseline: &Value, counted: &BTreeMap<String, f64>) -> Vec<String> {
    let judge = |(path, &is): (&String, &f64)| match baseline["paths"][path].as_f64() {
        None => Some(format!("  {path}: {is:.1}, not in the baseline")),
        Some(was) if is > was * TOLERANCE => {
            Some(format!("  {path}: {is:.1}, was {was:.1} ({:+.1} %)", (is / was - 1.0) * 100.0))
        }
        Some(_) => None,
    };
    counted.iter().filter_map(judge).collect()
}

fn accept(path: &Path, counted: &BTreeMap<String, f64>, reason: &str) -> Result<()> {
    let before: Value = std::fs::read_to_string(path)
        .ok()
        .map_or(Ok(json!({})), |text| serde_json::from_str(&text))?;
    let mut reasons = before["reasons"].as_array().cloned().unwrap_or_default();
    reasons.push(reason.into());
    let text = serde_json::to_string_pretty(&json!({"reasons": reasons, "paths": counted}))?;
    Ok(std::fs::write(path, text + "\n")?)
}

/// Instructions of the whole program.
fn under_valgrind(path: &str, operations: u64) -> Result<u64> {
    let program = std::env::current_exe()?;
    // `driftdb` has the benchmarks under a command of their own.
    let is_driftdb = program.file_name().is_some_and(|name| name == "driftdb");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&program)
        .args(is_driftdb.then_some("bench"))
        .args(["counts", "--one", path, &operations.to_string()])
        .output()
        .context("could not run valgrind (Debian: apt-get install valgrind)")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected :"));
    match count.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(count) if output.status.success() => Ok(count),
        _ => bail!("{path} failed under valgrind:\n{text}"),
    }
}

fn exercise(path: &str, operations: u64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    match path.split_once(' ') {
        Some(("lsm", path)) => Exercise::<LsmEngine>::new(dir.path())?.run(path, operations),
        Some(("btree", path)) => Exercise::<BtreeEngine>::new(dir.path())?.run(path, operations),
        Some(("wal", path)) => log(dir.path(), path == "append+flush", operations),
        _ => bail!("no path {path}"),
    }
}

fn log(dir: &Path, is_flushed: bool, operations: u64) -> Result<()> {
    let wal = Wal::open(&Env::os(), dir, &WalOptions::default())?;
    for _ in 0..operations {
        let end = wal.append(&[&[7; 200]])?;
        if is_flushed {
            wal.wait_durable(end)?;
        }
    }
    Ok(())
}

/// No log: engines are counted without it.
struct NoLog;

impl LogBarrier for NoLog {
    fn wait_durable(&self, _lsn: Lsn) -> driftdb_storage::Result<()> {
        Ok(())
    }
}

struct Exercise<E> {
    dir: PathBuf,
    engine: E,
    at: u64,
}

impl<E: Engine> Exercise<E> {
    /// An engine with rows on disk.
    fn new(dir: &Path) -> Result<Self> {
        let dir = dir.join("engine");
        let engine = E::open(&Env::os(), &dir, &EngineOptions::default())?;
        let mut exercise = Self { dir, engine, at: 0 };
        let mut batch = WriteBatch::new();
        batch.create_keyspace(SPACE);
        exercise.apply(&batch)?;
        // Somebody reads: it is no replay.
        exercise.engine.snapshot();
        exercise.write(0..ROWS)?;
        exercise.engine.checkpoint(&NoLog)?;
        Ok(exercise)
    }

    fn apply(&mut self, batch: &WriteBatch) -> Result<()> {
        self.at += 1;
        self.engine.apply(batch, Commit { lsn: Lsn(self.at * 1000), ts: Timestamp(self.at) })?;
        Ok(())
    }

    fn write(&mut self, indexes: std::ops::Range<u64>) -> Result<()> {
        let (mut batch, mut rows) = (WriteBatch::new(), Rows::new(150));
        for index in indexes {
            rows.clear();
            rows.push(data::key(1, index), index);
            for (key, value) in rows.iter() {
                batch.put(SPACE, key, value);
            }
            if batch.len() == 100 {
                self.apply(&batch)?;
                batch.clear();
            }
        }
        self.apply(&batch)
    }

    fn run(mut self, path: &str, operations: u64) -> Result<()> {
        match path {
            "get hit" => self.get(operations, |index| data::key(1, index)),
            "get miss" => self.get(operations, |index| data::missing_key(1, index)),
            "seek+10" => self.scan(operations, 10),
            "scan step" => self.scan(1, operations as usize),
            "apply row" => self.write(ROWS..ROWS + operations),
            "replay row" => self.replay(operations),
            _ => {
                self.write(ROWS..ROWS + operations)?;
                self.engine.checkpoint(&NoLog)?;
                Ok(())
            }
        }
    }

    /// What opening does with the rows of a log, up to the first answer.
    fn replay(mut self, operations: u64) -> Result<()> {
        let Self { dir, engine, at } = self;
        drop(engine);
        let engine = E::open(&Env::os(), &dir, &EngineOptions::default())?;
        self = Self { dir, engine, at };
        self.write(ROWS..ROWS + operations)?;
        self.get(1, |index| data::key(1, index))
    }

    fn get(&self, operations: u64, key: impl Fn(u64) -> data::Key) -> Result<()> {
        let snapshot = self.engine.snapshot();
        let (mut random, mut out) = (Random::new(1), Vec::new());
        for _ in 0..operations {
            out.clear();
            let key = key(random.below(ROWS));
            std::hint::black_box(snapshot.get(SPACE, &key, Timestamp(self.at), &mut out)?);
        }
        Ok(())
    }

    fn scan(&self, operations: u64, limit: usize) -> Result<()> {
        let snapshot = self.engine.snapshot();
        let mut random = Random::new(1);
        for _ in 0..operations {
            let key = data::key(1, random.below(ROWS));
            let mut range = KeyRange::ALL;
            // One long scan begins at the first key, so that it does not end early.
            if operations > 1 {
                range.start = std::ops::Bound::Included(&key);
            }
            let visible = Visible::AsOf(Timestamp(self.at));
            let mut cursor =
                snapshot.cursor(SPACE, &ScanSpec { range, visible, reverse: false })?;
            let mut count = 0;
            while count < limit && cursor.next()? {
                std::hint::black_box(cursor.entry());
                count += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_past_the_tolerance_is_named() {
        let baseline = json!({"paths": {"a": 100.0, "b": 100.0}});
        let counted = [("a", 104.0), ("b", 106.0), ("c", 1.0)];
        let counted = counted.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let grown = grown(&baseline, &counted);
        assert_eq!(grown.len(), 2);
        assert!(grown[0].contains("b: 106.0, was 100.0 (+6.0 %)"), "{grown:?}");
        assert!(grown[1].contains("not in the baseline"), "{grown:?}");
    }

    #[test]
    fn every_path_runs() {
        for path in PATHS {
            exercise(path, 10).unwrap();
        }
    }
}
