//! Our storage engines beside RocksDB, LMDB, redb and fjall.
//!
//! Every round opens every store anew and runs one workload after the other, each on all stores in
//! turn, so that neighbours in time are compared; a ratio is taken inside a round, and its median and
//! spread over the rounds are reported. CPU time is what the goals are stated in: wall time on a shared
//! machine is not the store's. The driver's own cost, measured by the same workload on a store that does
//! nothing, is taken off.

pub(crate) mod data;
mod driftdb;
mod goals;
mod history;
mod html;
mod measure;
#[cfg(feature = "peers")]
mod peers;
mod probe;
mod results;
mod rounds;
mod store;
mod workload;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use self::results::Results;
use self::workload::Workload;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) rows: u64,
    pub(crate) value_bytes: usize,
    /// Reads of a read workload; mixed ones do half as many, scans a tenth.
    pub(crate) operations: u64,
    /// Durable commits of one client.
    pub(crate) commits: u64,
    /// Name and cache bytes of each data set size.
    pub(crate) caches: Vec<(&'static str, usize)>,
    pub(crate) write_buffer_bytes: usize,
    pub(crate) rounds: usize,
    pub(crate) seed: u64,
    pub(crate) is_compressed: bool,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) with_history: bool,
    /// Keys of the history set, and the numbers of versions.
    pub(crate) history_keys: u64,
    pub(crate) versions: Vec<u64>,
    pub(crate) stores: Vec<String>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rows: 500_000,
            value_bytes: 150,
            operations: 200_000,
            commits: 2_000,
            caches: vec![("inside", 256 << 20), ("beyond", 24 << 20)],
            write_buffer_bytes: 16 << 20,
            rounds: 3,
            seed: 1,
            is_compressed: false,
            workloads: workload::ALL.to_vec(),
            with_history: true,
            history_keys: 2_000,
            versions: vec![1, 10, 100, 1000],
            stores: rounds::names(),
            dir: None,
            json: None,
            html: None,
        }
    }
}

/// What `--help` says.
pub(crate) const HELP: &str = "\
Usage: bench kv [OPTIONS]

Runs DriftDB's storage engines (each as a store with the log) and, built with --features peers, RocksDB,
LMDB, redb and fjall: same keys, same values, same cache bytes, same sync policy, interleaved. Prints a
table of CPU per operation and of ratios, and which goals are met.

Options:
  --quick            tiny sizes, one round: whether everything works, not how fast
  --rounds N         rounds; each runs every workload on every store [default: 3]
  --rows N           rows loaded [default: 500000]
  --value BYTES      bytes of a value, half of them compressible [default: 150]
  --operations N     reads of a read workload [default: 200000]
  --commits N        durable one-row commits of one client [default: 2000]
  --cache A,B        MiB of cache, data inside and data beyond [default: 256,24]; one number: only inside
  --write-buffer MIB memtable, or dirty data before a checkpoint [default: 16]
  --compressed       LZ4 in every store that has it [default: none in any]
  --only A,B         workloads (see below), or history
  --stores A,B       of lsm, btree, rocksdb, lmdb, redb, fjall [default: all that are built]
  --seed N           of keys, values and order [default: 1]
  --dir DIR          where the stores keep their files [default: the system's temporary directory]
  --json FILE        every sample, as JSON
  --html FILE        a report with plots, in one file

Workloads: fillrandom, overwrite (batches of 1000, no sync), readrandom, readmissing, seekrandom (seek and
ten rows), scan, readwhilewriting, ycsb-a to ycsb-f (zipfian; -uniform for the other), commit-1, commit-16
(one durable row at a time by 1 and 16 clients).

Examples:
  bench kv --quick
  bench kv --only readrandom,seekrandom --stores btree,lmdb,redb --cache 256 --html report.html";

/// Reads the options.
pub(crate) fn parse(args: &[String]) -> Result<Plan> {
    let mut plan = Plan::default();
    if args.iter().any(|arg| arg == "--quick") {
        plan.rows = 5_000;
        plan.operations = 2_000;
        plan.commits = 40;
        plan.rounds = 1;
        plan.caches = vec![("inside", 16 << 20), ("beyond", 256 << 10)];
        plan.write_buffer_bytes = 256 << 10;
        plan.history_keys = 100;
        plan.versions = vec![1, 10, 100];
    }
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--quick" => {}
            "--compressed" => plan.is_compressed = true,
            "--rounds" => plan.rounds = number(flag, value()?)? as usize,
            "--rows" => plan.rows = number(flag, value()?)?,
            "--value" => plan.value_bytes = number(flag, value()?)? as usize,
            "--operations" => plan.operations = number(flag, value()?)?,
            "--commits" => plan.commits = number(flag, value()?)?,
            "--seed" => plan.seed = number(flag, value()?)?,
            "--write-buffer" => plan.write_buffer_bytes = (number(flag, value()?)? << 20) as usize,
            "--cache" => plan.caches = caches(value()?)?,
            "--only" => only(&mut plan, value()?)?,
            "--stores" => plan.stores = stores(value()?)?,
            "--dir" => plan.dir = Some(value()?.into()),
            "--json" => plan.json = Some(value()?.into()),
            "--html" => plan.html = Some(value()?.into()),
            other => bail!("unknown option {other}"),
        }
    }
    if plan.rounds == 0 || plan.rows < 1000 || plan.operations < 20 {
        bail!("nothing to run: at least 1 round, 1000 rows and 20 operations");
    }
    Ok(plan)
}

fn number(flag: &str, text: &str) -> Result<u64> {
    text.parse().with_context(|| format!("{flag} takes a number, not {text}"))
}

fn caches(list: &str) -> Result<Vec<(&'static str, usize)>> {
    let sizes: Vec<u64> =
        list.split(',').map(|size| number("--cache", size)).collect::<Result<_>>()?;
    Ok(["inside", "beyond"].into_iter().zip(sizes.iter().map(|mib| (mib << 20) as usize)).collect())
}

fn only(plan: &mut Plan, list: &str) -> Result<()> {
    plan.workloads.clear();
    plan.with_history = false;
    for name in list.split(',') {
        if name == "history" {
            plan.with_history = true;
            continue;
        }
        let known = workload::ALL.iter().find(|workload| workload.name == name);
        plan.workloads.push(*known.with_context(|| format!("no workload is called {name}"))?);
    }
    // Rows must be there; the order is that of the whole list.
    if !plan.workloads.is_empty() {
        let named = std::mem::take(&mut plan.workloads);
        let is_wanted = |workload: &Workload| workload.is_load() || named.contains(workload);
        plan.workloads = workload::ALL.iter().copied().filter(is_wanted).collect();
    }
    Ok(())
}

fn stores(list: &str) -> Result<Vec<String>> {
    let known = rounds::names();
    for name in list.split(',') {
        if !known.iter().any(|store| store == name) {
            bail!("no store {name} in this build; there are {}", known.join(", "));
        }
    }
    Ok(list.split(',').map(str::to_owned).collect())
}

/// Runs the plan, prints the table, writes the reports.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let results = measure_all(plan)?;
    println!("{}", results.to_table());
    let report = results.to_json(plan);
    if let Some(path) = &plan.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    if let Some(path) = &plan.html {
        std::fs::write(path, html::page(&report))
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}

fn measure_all(plan: &Plan) -> Result<Results> {
    let scratch = match &plan.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.context("could not make a directory for the stores")?;
    let mut results = Results::default();
    if !plan.workloads.is_empty() {
        rounds::run(plan, scratch.path(), &mut results)?;
    }
    if plan.with_history {
        history::run(plan, scratch.path(), &mut results)?;
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        let plan = parse(&words("--quick --only seekrandom --stores lsm --cache 8")).unwrap();
        let names: Vec<_> = plan.workloads.iter().map(|workload| workload.name).collect();
        assert_eq!(names, ["fillrandom", "seekrandom"]);
        assert_eq!(plan.caches, [("inside", 8 << 20)]);
        assert!(!plan.with_history);
        let mistake = |line| format!("{:#}", parse(&words(line)).unwrap_err());
        assert!(mistake("--only sprint").contains("no workload is called sprint"));
        assert!(mistake("--stores oracle").contains("no store oracle"));
        assert!(mistake("--rows many").contains("--rows takes a number"));
        assert!(mistake("--rows").contains("needs a value"));
    }

    /// The smoke run of CI: every workload on both engines, and every part of the report.
    #[test]
    fn every_cell_of_a_quick_run_has_operations() {
        let mut plan =
            parse(&words("--quick --rows 1000 --operations 200 --stores lsm,btree")).unwrap();
        plan.versions = vec![1, 10];
        plan.commits = 4;
        let results = measure_all(&plan).unwrap();
        let report = results.to_json(&plan);
        let cells = report["cells"].as_array().unwrap();
        assert_eq!(cells.len(), workload::ALL.len() * 2 * 2);
        for cell in cells {
            assert!(cell["operations"].as_u64().unwrap() > 0, "{cell}");
        }
        let history = report["history"].as_array().unwrap();
        assert!(!history.is_empty());
        for cell in history {
            assert!(cell["operations"].as_u64().unwrap() > 0, "{cell}");
        }
        let page = html::page(&report);
        let start = page.find(html::DATA_BEGIN).unwrap() + html::DATA_BEGIN.len();
        let end = start + page[start..].find(html::DATA_END).unwrap();
        let again: serde_json::Value = serde_json::from_str(&page[start..end]).unwrap();
        assert_eq!(again["cells"].as_array().unwrap().len(), cells.len());
        assert!(results.to_table().contains("readrandom"));
    }
}
