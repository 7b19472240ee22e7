//! The workloads: YCSB [Cooper10] A to F, those of RocksDB's `db_bench`, and durable commits.
//!
//! Each does the same operations in the same order on every store. Read-only workloads hold one view;
//! mixed ones take a new view for each read, since they must see what was just written.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};

use super::Plan;
use super::data::{self, Random, Rows, Skew, Zipfian, mix};
use super::measure::{self, Measurement, Recorder, Sample};
use super::store::Store;

/// Rows of one batch where the workload writes batches.
const BATCH_ROWS: u64 = 1000;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Load,
    Overwrite,
    Get { is_missing: bool },
    Seek,
    Scan,
    ReadWhileWriting,
    Commit { clients: u64 },
    Ycsb { mix: Mix, skew: Skew },
}

/// Percent of each operation; the rest are single reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mix {
    update: u64,
    insert: u64,
    scan: u64,
    modify: u64,
}

/// A named workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    kind: Kind,
}

const fn ycsb(name: &'static str, mix: Mix, skew: Skew) -> Workload {
    Workload { name, kind: Kind::Ycsb { mix, skew } }
}

const NO: Mix = Mix { update: 0, insert: 0, scan: 0, modify: 0 };
const A: Mix = Mix { update: 50, ..NO };
const B: Mix = Mix { update: 5, ..NO };
const D: Mix = Mix { insert: 5, ..NO };
const E: Mix = Mix { scan: 95, insert: 5, ..NO };
const F: Mix = Mix { modify: 50, ..NO };

/// All, in the order in which they run: a store is loaded, read, and only then mixed.
pub(crate) const ALL: &[Workload] = &[
    Workload { name: "fillrandom", kind: Kind::Load },
    Workload { name: "readrandom", kind: Kind::Get { is_missing: false } },
    Workload { name: "readmissing", kind: Kind::Get { is_missing: true } },
    Workload { name: "seekrandom", kind: Kind::Seek },
    Workload { name: "scan", kind: Kind::Scan },
    Workload { name: "overwrite", kind: Kind::Overwrite },
    Workload { name: "readwhilewriting", kind: Kind::ReadWhileWriting },
    ycsb("ycsb-a", A, Skew::Zipfian),
    ycsb("ycsb-a-uniform", A, Skew::Uniform),
    ycsb("ycsb-b", B, Skew::Zipfian),
    ycsb("ycsb-b-uniform", B, Skew::Uniform),
    ycsb("ycsb-c", NO, Skew::Zipfian),
    ycsb("ycsb-c-uniform", NO, Skew::Uniform),
    ycsb("ycsb-d", D, Skew::Latest),
    ycsb("ycsb-d-uniform", D, Skew::Uniform),
    ycsb("ycsb-e", E, Skew::Zipfian),
    ycsb("ycsb-e-uniform", E, Skew::Uniform),
    ycsb("ycsb-f", F, Skew::Zipfian),
    ycsb("ycsb-f-uniform", F, Skew::Uniform),
    Workload { name: "commit-1", kind: Kind::Commit { clients: 1 } },
    Workload { name: "commit-16", kind: Kind::Commit { clients: 16 } },
];

impl Workload {
    /// Whether rows must be there before.
    pub(crate) fn is_load(self) -> bool {
        self.kind == Kind::Load
    }

    /// Whether a store that answers differently is wrong: concurrent writers make some answers depend
    /// on timing.
    pub(crate) fn is_exact(self) -> bool {
        self.kind != Kind::ReadWhileWriting
    }

    /// Runs it.
    pub(crate) fn run(self, plan: &Plan, target: &Target<'_>) -> Result<Sample> {
        let measurement = Measurement::begin();
        let begun = measurement.begun();
        let driver = Driver { plan, target, begun };
        let threads = match self.kind {
            Kind::Load => vec![driver.write_batches(0..plan.rows, |index| index)?],
            Kind::Overwrite => {
                let rows = plan.rows;
                let order = move |index| mix(index ^ 0x0e) % rows;
                vec![driver.write_batches(rows..2 * rows, order)?]
            }
            Kind::Get { is_missing } => vec![driver.get(is_missing)?],
            Kind::Seek => vec![driver.seek()?],
            Kind::Scan => vec![driver.scan()?],
            Kind::ReadWhileWriting => vec![driver.read_while_writing()?],
            Kind::Commit { clients } => driver.commit(clients)?,
            Kind::Ycsb { mix, skew } => vec![driver.ycsb(mix, skew)?],
        };
        let wall = begun.elapsed();
        target.store.settle()?;
        // What a store leaves to its threads is its own cost, and not that of the store which comes next.
        measure::wait_until_quiet();
        let sample = measurement.end(wall, threads, target.dir);
        if sample.operations == 0 {
            bail!("{} did nothing", self.name);
        }
        Ok(sample)
    }
}

/// What a workload runs against.
pub(crate) struct Target<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) dir: &'a Path,
    /// Rows that exist; inserts add to it. The same on every store at the same moment.
    pub(crate) row_count: &'a AtomicU64,
    pub(crate) zipfian: &'a Zipfian,
}

struct Driver<'a> {
    plan: &'a Plan,
    target: &'a Target<'a>,
    begun: Instant,
}

impl Driver<'_> {
    fn recorder(&self) -> Recorder {
        Recorder::new(self.begun)
    }

    fn key(&self, index: u64) -> data::Key {
        data::key(self.plan.seed, index)
    }

    fn random(&self, purpose: u64) -> Random {
        Random::new(self.plan.seed ^ (purpose << 32))
    }

    /// Writes one batch after another; operations are rows, latencies are those of batches.
    fn write_batches(
        &self,
        versions: std::ops::Range<u64>,
        row: impl Fn(u64) -> u64,
    ) -> Result<Recorder> {
        let mut recorder = self.recorder();
        let mut rows = Rows::new(self.plan.value_bytes);
        let mut next = versions.start;
        while next < versions.end {
            let end = (next + BATCH_ROWS).min(versions.end);
            rows.clear();
            for version in next..end {
                rows.push(self.key(row(version)), version);
            }
            recorder.user_bytes += rows.bytes();
            recorder.time(end - next, |_| self.target.store.write(&rows, false))?;
            next = end;
        }
        Ok(recorder)
    }

    fn get(&self, is_missing: bool) -> Result<Recorder> {
        let mut recorder = self.recorder();
        let mut random = self.random(1);
        let mut reader = self.target.store.reader()?;
        let mut out = Vec::new();
        for _ in 0..self.plan.operations {
            let index = random.below(self.plan.rows);
            let key =
                if is_missing { data::missing_key(self.plan.seed, index) } else { self.key(index) };
            out.clear();
            recorder.time(1, |recorder| {
                recorder.found += u64::from(reader.get(&key, &mut out)?);
                Ok(())
            })?;
        }
        Ok(recorder)
    }

    fn seek(&self) -> Result<Recorder> {
        let mut recorder = self.recorder();
        let mut random = self.random(2);
        let mut reader = self.target.store.reader()?;
        for _ in 0..self.plan.operations / 2 {
            let key = self.key(random.below(self.plan.rows));
            recorder.time(1, |recorder| {
                recorder.found += reader.scan(&key, 10)? as u64;
                Ok(())
            })?;
        }
        Ok(recorder)
    }

    /// Every row, twice; operations are rows.
    fn scan(&self) -> Result<Recorder> {
        let mut recorder = self.recorder();
        let mut reader = self.target.store.reader()?;
        for _ in 0..2 {
            recorder.time(self.plan.rows, |recorder| {
                recorder.found += reader.scan(&[], usize::MAX)? as u64;
                Ok(())
            })?;
        }
        Ok(recorder)
    }

    /// Reads on this thread while another overwrites single rows, one for each two reads.
    fn read_while_writing(&self) -> Result<Recorder> {
        let is_done = AtomicBool::new(false);
        let read_count = AtomicU64::new(0);
        let store = self.target.store;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| -> Result<u64> {
                let mut random = self.random(3);
                let mut rows = Rows::new(self.plan.value_bytes);
                let (mut bytes, mut count) = (0, 0);
                while !is_done.load(Ordering::Relaxed) {
                    if count * 2 > read_count.load(Ordering::Relaxed) {
                        std::thread::sleep(std::time::Duration::from_micros(50));
                        continue;
                    }
                    rows.clear();
                    rows.push(self.key(random.below(self.plan.rows)), random.next());
                    store.write(&rows, false)?;
                    bytes += rows.bytes();
                    count += 1;
                }
                Ok(bytes)
            });
            let read = || -> Result<Recorder> {
                let mut recorder = self.recorder();
                let mut random = self.random(4);
                let mut out = Vec::new();
                for _ in 0..self.plan.operations {
                    let key = self.key(random.below(self.plan.rows));
                    out.clear();
                    recorder.time(1, |recorder| {
                        recorder.found += u64::from(store.reader()?.get(&key, &mut out)?);
                        Ok(())
                    })?;
                    read_count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(recorder)
            };
            let result = read();
            is_done.store(true, Ordering::Relaxed);
            let written = writer.join().expect("the writer does not panic");
            let mut recorder = result?;
            recorder.user_bytes = written?;
            Ok(recorder)
        })
    }

    /// Single rows, each durable before the client writes its next.
    fn commit(&self, clients: u64) -> Result<Vec<Recorder>> {
        let count = self.plan.commits * if clients > 1 { 4 } else { 1 } / clients;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|client| {
                    scope.spawn(move || -> Result<Recorder> {
                        let mut recorder = self.recorder();
                        let mut random = self.random(100 + client);
                        let mut rows = Rows::new(self.plan.value_bytes);
                        for _ in 0..count.max(1) {
                            rows.clear();
                            rows.push(self.key(random.below(self.plan.rows)), random.next());
                            recorder.user_bytes += rows.bytes();
                            recorder.time(1, |_| self.target.store.write(&rows, true))?;
                        }
                        Ok(recorder)
                    })
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Recorder>>| {
                thread.join().expect("a client does not panic")
            };
            threads.into_iter().map(join).collect()
        })
    }

    fn ycsb(&self, mix: Mix, skew: Skew) -> Result<Recorder> {
        let mut recorder = self.recorder();
        let mut random = self.random(5);
        let mut rows = Rows::new(self.plan.value_bytes);
        let mut out = Vec::new();
        let store = self.target.store;
        // A scan is worth about ten reads.
        let operations = self.plan.operations / if mix.scan > 0 { 10 } else { 2 };
        for version in 0..operations.max(1) {
            let row_count = self.target.row_count.load(Ordering::Relaxed);
            let die = random.below(100);
            let is_insert = die < mix.insert;
            let index = if is_insert {
                self.target.row_count.fetch_add(1, Ordering::Relaxed)
            } else {
                self.target.zipfian.index(skew, row_count, &mut random)
            };
            let key = self.key(index);
            let is_modify = die < mix.modify;
            let is_write = is_insert || is_modify || die < mix.update;
            let limit = random.below(100) as usize + 1;
            rows.clear();
            if is_write {
                rows.push(key, version);
                recorder.user_bytes += rows.bytes();
            }
            out.clear();
            recorder.time(1, |recorder| {
                if !is_write && mix.scan > 0 {
                    recorder.found += store.reader()?.scan(&key, limit)? as u64;
                } else if !is_write || is_modify {
                    recorder.found += u64::from(store.reader()?.get(&key, &mut out)?);
                }
                if is_write { store.write(&rows, false) } else { Ok(()) }
            })?;
        }
        Ok(recorder)
    }
}
