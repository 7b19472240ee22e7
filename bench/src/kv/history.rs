//! What history costs: our engines only, since no peer keeps it.
//!
//! The number of keys is fixed and the number of versions grows, so that what differs is history and
//! not the size of the newest state.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use driftdb_env::Env;
use driftdb_storage::{
    Cursor, Engine, EngineOptions, KeyRange, ScanSpec, Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;
use driftdb_wal::{Wal, WalOptions};

use super::Plan;
use super::data::{KEY_BYTES, Random, Rows, key};
use super::driftdb::{Kv, SPACE};
use super::measure::{cpu_time, disk_bytes};
use super::results::{HistoryCell, Results};
use super::store::Store;

/// Rows of one batch.
const BATCH_ROWS: u64 = 1000;

/// Runs the set on both engines, interleaved by round.
pub(crate) fn run(plan: &Plan, scratch: &Path, results: &mut Results) -> Result<()> {
    for round in 0..plan.rounds {
        for name in &plan.stores {
            eprintln!("history, round {}: {name}", round + 1);
            let dir = scratch.join(format!("history-{round}-{name}"));
            match name.as_str() {
                "lsm" => Set::<LsmEngine>::new(plan, &dir, round, results).run()?,
                "btree" => Set::<BtreeEngine>::new(plan, &dir, round, results).run()?,
                // A peer: it has no history.
                _ => continue,
            }
            std::fs::remove_dir_all(&dir)?;
        }
    }
    Ok(())
}

struct Set<'a, E> {
    plan: &'a Plan,
    dir: &'a Path,
    round: usize,
    results: &'a mut Results,
    options: EngineOptions,
    engine: std::marker::PhantomData<E>,
}

/// A loaded store, and the timestamp at which each version of all keys was complete.
struct Loaded<E: Engine> {
    kv: Kv<E>,
    versions: u64,
    passes: Vec<Timestamp>,
}

impl<'a, E: Engine> Set<'a, E> {
    fn new(plan: &'a Plan, dir: &'a Path, round: usize, results: &'a mut Results) -> Self {
        let options = EngineOptions {
            cache_bytes: 256 << 20,
            write_buffer_bytes: plan.write_buffer_bytes,
            ..EngineOptions::default()
        };
        Self { plan, dir, round, results, options, engine: std::marker::PhantomData }
    }

    fn run(&mut self) -> Result<()> {
        self.reads()?;
        self.writes()?;
        self.space()?;
        self.open_after_a_crash()
    }

    fn note(&mut self, name: &'static str, versions: u64, operations: u64, cpu: Duration) {
        let value = cpu.as_nanos() as f64 / operations.max(1) as f64;
        self.note_value(name, versions, operations, "CPU ns/op", value);
    }

    fn note_value(
        &mut self,
        name: &'static str,
        versions: u64,
        operations: u64,
        unit: &'static str,
        value: f64,
    ) {
        let round = self.round;
        let store = E::NAME;
        self.results.history.push(HistoryCell {
            store,
            name,
            versions,
            round,
            operations,
            unit,
            value,
        });
    }

    fn open(&self, name: &str, options: &EngineOptions) -> Result<Kv<E>> {
        let dir = self.dir.join(name);
        std::fs::create_dir_all(&dir)?;
        Kv::open(&dir, options)
    }

    /// Writes `versions` passes over all keys.
    fn load(
        &self,
        kv: &Kv<E>,
        keys: u64,
        versions: u64,
        is_dropping: bool,
    ) -> Result<Vec<Timestamp>> {
        let mut rows = Rows::new(self.plan.value_bytes);
        let mut passes = Vec::new();
        for version in 0..versions {
            for start in (0..keys).step_by(BATCH_ROWS as usize) {
                rows.clear();
                for row in start..(start + BATCH_ROWS).min(keys) {
                    rows.push_similar(key(self.plan.seed, row), row, version);
                }
                kv.write(&rows, false)?;
            }
            if is_dropping {
                kv.keep_only_newest();
            }
            passes.push(kv.engine().applied().ts);
        }
        Ok(passes)
    }

    fn reads(&mut self) -> Result<()> {
        let keys = self.plan.history_keys;
        let mut all = Vec::new();
        for &versions in &self.plan.versions {
            let kv = self.open(&format!("reads-{versions}"), &self.options)?;
            let passes = self.load(&kv, keys, versions, false)?;
            kv.checkpoint()?;
            all.push(Loaded { kv, versions, passes });
        }
        for loaded in &all {
            // Once over everything: the cache is warm, as it is for one version.
            self.scan("warm", loaded, Visible::All)?;
            self.results.history.pop();
            let newest = *loaded.passes.last().expect("at least one pass");
            let recent = loaded.passes[loaded.passes.len().saturating_sub(2)];
            let median = loaded.passes[(loaded.passes.len() - 1) / 2];
            self.get("get newest", loaded, |_| newest)?;
            self.get("get recent", loaded, |_| recent)?;
            self.get("get median", loaded, |_| median)?;
            let passes = &loaded.passes;
            self.get("get uniform", loaded, |random| {
                passes[random.below(passes.len() as u64) as usize]
            })?;
            self.scan("scan newest", loaded, Visible::AsOf(newest))?;
            self.scan("scan median", loaded, Visible::AsOf(median))?;
            let after = loaded.passes[(loaded.passes.len() * 9 / 10).saturating_sub(1)];
            let after = if loaded.versions == 1 { Timestamp::MIN } else { after };
            self.scan("BETWEEN feed", loaded, Visible::Between { after, up_to: newest })?;
        }
        Ok(())
    }

    fn get(
        &mut self,
        name: &'static str,
        loaded: &Loaded<E>,
        ts: impl Fn(&mut Random) -> Timestamp,
    ) -> Result<()> {
        let operations = self.plan.operations;
        let snapshot = loaded.kv.engine().snapshot();
        let mut random = Random::new(self.plan.seed);
        let mut out = Vec::new();
        let begun = cpu_time();
        for _ in 0..operations {
            out.clear();
            let row = key(self.plan.seed, random.below(self.plan.history_keys));
            let ts = ts(&mut random);
            if snapshot.get(SPACE, &row, ts, &mut out)?.is_none() {
                bail!("{name}: a row of {} versions is not there at {ts}", loaded.versions);
            }
        }
        self.note(name, loaded.versions, operations, cpu_time() - begun);
        Ok(())
    }

    /// The whole keyspace, as often as makes enough rows to measure; operations are rows.
    fn scan(&mut self, name: &'static str, loaded: &Loaded<E>, visible: Visible) -> Result<()> {
        let snapshot = loaded.kv.engine().snapshot();
        let spec = ScanSpec { range: KeyRange::ALL, visible, reverse: false };
        let mut rows = 0;
        let begun = cpu_time();
        while rows < self.plan.operations {
            let before = rows;
            let mut cursor = snapshot.cursor(SPACE, &spec)?;
            while cursor.next()? {
                std::hint::black_box(cursor.entry());
                rows += 1;
            }
            if rows == before {
                bail!("{name}: no rows at {} versions", loaded.versions);
            }
        }
        self.note(name, loaded.versions, rows, cpu_time() - begun);
        Ok(())
    }

    /// The same writes, once with a promise of all history and once with none.
    fn writes(&mut self) -> Result<()> {
        const VERSIONS: u64 = 10;
        let keys = self.plan.rows / VERSIONS;
        for (name, is_dropping) in [("write keeping", false), ("write dropping", true)] {
            let begun = cpu_time();
            let kv = self.open(name, &self.options)?;
            self.load(&kv, keys, VERSIONS, is_dropping)?;
            kv.settle()?;
            self.note(name, VERSIONS, keys * VERSIONS, cpu_time() - begun);
        }
        Ok(())
    }

    /// Ten versions that differ in a few bytes, at rest. Compression as the engine has it by default.
    fn space(&mut self) -> Result<()> {
        const VERSIONS: u64 = 10;
        let keys = self.plan.rows / VERSIONS;
        let kv = self.open("space", &self.options)?;
        self.load(&kv, keys, VERSIONS, false)?;
        // At rest: a checkpoint of the B+tree moves a bounded number of pages to where others were freed.
        let engine = self.dir.join("space").join("engine");
        loop {
            let before = disk_bytes(&engine);
            kv.checkpoint()?;
            kv.settle()?;
            if disk_bytes(&engine) >= before {
                break;
            }
        }
        let rows = keys * VERSIONS;
        let user_bytes = rows * (KEY_BYTES + self.plan.value_bytes) as u64;
        let disk = disk_bytes(&engine);
        self.note_value("user bytes", VERSIONS, rows, "bytes", user_bytes as f64);
        self.note_value("disk", VERSIONS, rows, "bytes", disk as f64);
        Ok(())
    }

    /// Opening when all data is in the log, up to the first answer; and reading that log without an
    /// engine: finding its end, checksums, and taking every batch apart.
    fn open_after_a_crash(&mut self) -> Result<()> {
        let keys = self.plan.rows.min(200_000);
        let options = EngineOptions { write_buffer_bytes: 1 << 30, ..self.options.clone() };
        {
            let kv = self.open("crash", &options)?;
            self.load(&kv, keys, 1, false)?;
            kv.commit(true, |batch| batch.put(SPACE, b"last", b""))?;
        }
        let dir = self.dir.join("crash");
        let begun = cpu_time();
        let mut operations = 0;
        {
            let wal = Wal::open_to_replay(&Env::os(), &dir.join("wal"), &WalOptions::default())?;
            wal.replay(driftdb_storage::Lsn(0), &mut |_, payload| {
                let batch = WriteBatch::from_bytes(payload.get(8..).unwrap_or_default());
                operations += batch.map_or(0, |batch| batch.len() as u64);
                Ok(())
            })?;
        }
        self.note("read log", 1, operations, cpu_time() - begun);
        let begun = cpu_time();
        let kv = self.open("crash", &self.options)?;
        let is_there = kv.reader()?.get(b"last", &mut Vec::new())?;
        self.note("open", 1, operations, cpu_time() - begun);
        if !is_there {
            bail!("the last commit is not there after a crash");
        }
        Ok(())
    }
}
