//! Writing memtables to tables, and putting tables into force.
//!
//! Order is everything here: wait for the log, write the table, sync it, sync the directory, and
//! only then name it in the manifest. Readers meet the new table after that.

use std::sync::Arc;

use driftdb_env::{kernel, planted, planted_order, sometimes};
use driftdb_storage::{LogBarrier, Result, Timestamp};

use crate::engine::LsmEngine;
use crate::health::Failure;
use crate::history::Floors;
use crate::keyspaces;
use crate::maintenance::Maintenance;
use crate::manifest::{self, RunRecord};
use crate::memtable::Memtable;
use crate::run::{Part, SortedRun};
use crate::table::{Table, TableMeta, TableWriter};
use crate::version::Version;

type Step<T> = std::result::Result<T, Failure>;

impl LsmEngine {
    /// Flushes the oldest frozen memtable. False if there is none.
    pub(crate) fn flush_oldest(
        &self,
        state: &mut Maintenance,
        log: &dyn LogBarrier,
    ) -> Result<bool> {
        let Some(memtable) = self.present.version().frozen.last().map(Arc::clone) else {
            return Ok(false);
        };
        if let Some(last) = memtable.last() {
            // A refusal of the log is no failure of ours: nothing was written yet.
            log.wait_durable(last.lsn)?;
        }
        let outcome = self.flush(state, &memtable);
        self.health.settle(outcome)?;
        self.context.stats.flushes.add(1);
        Ok(true)
    }

    fn flush(&self, state: &mut Maintenance, memtable: &Memtable) -> Step<()> {
        kernel::preemption_point("lsm.flush-begin");
        let is_empty = memtable.entries().next().is_none();
        sometimes!("lsm.empty-memtable-flushed", is_empty);
        let table = if is_empty {
            None
        } else {
            let mut writer = self.new_table(state)?;
            match self.write(&mut writer, memtable) {
                Ok(table) => Some((table, writer)),
                Err(failure) => {
                    sometimes!("lsm.flush-undone");
                    writer.discard();
                    return Err(failure);
                }
            }
        };
        kernel::preemption_point("lsm.flush-before-manifest");
        let (table, writer) = table.unzip();
        let is_gone = planted_order!("lsm.memtable-gone-before-table");
        if is_gone {
            self.present.update(|present| {
                let mut next = Version::clone(&present.version);
                next.frozen.pop();
                present.version = Arc::new(next);
            });
        }
        let outcome = self.install(state, None, |version| {
            if !is_gone {
                version.frozen.pop();
            }
            version.durable = memtable.last().unwrap_or(version.durable);
            let run = table.iter().map(|part| Arc::new(SortedRun::flushed(part.clone())));
            version.runs.splice(0..0, run);
        });
        match (outcome, writer) {
            (Ok(()), Some(writer)) if planted!("lsm.manifest-before-table-sync") => {
                Ok(writer.sync()?)
            }
            (Err(Failure::Undone(error)), Some(writer)) => {
                writer.discard();
                Err(Failure::Undone(error))
            }
            (outcome, _) => outcome,
        }
    }

    fn write(&self, writer: &mut TableWriter, memtable: &Memtable) -> Step<Part> {
        for (space, entry) in memtable.entries() {
            writer.add(space, entry)?;
        }
        let meta = writer.finish(Timestamp::MIN)?;
        if planted!("lsm.manifest-before-table-sync") {
            return Ok(Part { table: self.open_table(meta)?, bounds: writer.bounds() });
        }
        Ok(Part { table: self.seal(writer, meta)?, bounds: writer.bounds() })
    }

    /// A new table file with the next number.
    pub(crate) fn new_table(&self, state: &mut Maintenance) -> Result<TableWriter> {
        let file_id = state.manifest.next_file_id;
        // Taken even if the step fails: a number is never used twice while the engine is open.
        state.manifest.next_file_id += 1;
        TableWriter::create(&self.env, &self.dir, file_id, &self.options, &self.context)
    }

    /// Makes a finished table and its name durable.
    pub(crate) fn seal(&self, writer: &TableWriter, meta: TableMeta) -> Step<Arc<Table>> {
        writer.sync()?;
        kernel::preemption_point("lsm.table-synced");
        // Nobody can say what a failed sync of the directory leaves, of this name or of others.
        let synced = self.env.disk().sync_dir(&self.dir);
        synced.map_err(|error| Failure::Unknown(error.into()))?;
        self.open_table(meta)
    }

    fn open_table(&self, meta: TableMeta) -> Step<Arc<Table>> {
        Ok(Arc::new(Table::open(&self.env, &self.dir, meta, &self.context)?))
    }

    /// Writes the manifest of the version that `change` makes, then publishes it.
    pub(crate) fn install(
        &self,
        state: &mut Maintenance,
        floors: Option<Floors>,
        change: impl Fn(&mut Version),
    ) -> Step<()> {
        let mut next = Version::clone(&self.present.version());
        change(&mut next);
        let floors = floors.map_or(next.floors, Arc::new);
        let manifest = manifest::Manifest {
            generation: state.manifest.generation + 1,
            durable: next.durable,
            next_file_id: state.manifest.next_file_id,
            runs: next.runs.iter().map(|run| record(run)).collect(),
            // Later facts belong to commits that the log still has to replay.
            keyspaces: keyspaces::known_at(&next.keyspaces, next.durable.ts),
            floors: Floors::clone(&floors),
        };
        let was_applied = self.present.applied();
        let bytes = manifest::save(&self.env, &self.dir, &manifest)?;
        self.context.stats.bytes_written.add(bytes);
        self.context.stats.manifest_bytes.set(bytes);
        state.manifest = manifest;
        kernel::preemption_point("lsm.before-publish");
        self.present.update(|present| {
            // Commits went on meanwhile: the change applies to the version of now.
            sometimes!("lsm.commit-during-a-switch", present.applied != was_applied);
            let mut next = Version::clone(&present.version);
            change(&mut next);
            next.floors = Arc::clone(&floors);
            present.version = Arc::new(next);
        });
        self.note_debt();
        Ok(())
    }
}

/// What the manifest says of a run.
pub(crate) fn record(run: &SortedRun) -> RunRecord {
    let parts = run.parts.iter().map(|part| (*part.meta(), part.bounds.clone()));
    RunRecord { level: run.level, is_merging: run.is_merging, parts: parts.collect() }
}
