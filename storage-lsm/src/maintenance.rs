//! The background work: what is due, and one step of it.

use std::sync::Arc;

use driftdb_env::kernel;
use driftdb_storage::{LogBarrier, Result};

use crate::engine::LsmEngine;
use crate::health::Failure;
use crate::history;
use crate::manifest::Manifest;
use crate::merge::{self, MergeJob, MergeProgress};
use crate::table::{Table, TableMeta, path_of};
use crate::version::Version;

/// Tables beyond which merges go before flushes.
const MAX_CROWD: usize = 24;

/// What only the maintaining thread uses.
#[derive(Debug)]
pub(crate) struct Maintenance {
    /// As it is on disk, but for `next_file_id`, which runs ahead.
    pub(crate) manifest: Manifest,
    job: Option<MergeJob>,
    /// Tables that the manifest no longer names; a snapshot may still read them.
    obsolete: Vec<Arc<Table>>,
}

impl Maintenance {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest, job: None, obsolete: Vec::new() }
    }
}

impl LsmEngine {
    /// One step of what is due. False if nothing is.
    pub(crate) fn work(&self, state: &mut Maintenance, log: &dyn LogBarrier) -> Result<bool> {
        // Flushes first: memory is what writers run out of. Unless tables pile up meanwhile.
        let is_crowded = self.present.version().tables.len() > MAX_CROWD;
        let has_worked = (is_crowded && self.merge_step(state)?)
            || self.flush_oldest(state, log)?
            || self.merge_step(state)?;
        let has_removed = self.remove_obsolete(state);
        Ok(has_worked || has_removed)
    }

    /// Goes on with the merge under way, or starts the one that is due.
    fn merge_step(&self, state: &mut Maintenance) -> Result<bool> {
        if state.job.is_none() {
            let present = self.present.get();
            let tables: Vec<_> = present.version.tables.iter().map(|table| *table.meta()).collect();
            let window = merge::choose(&tables, merge::horizon(&present.policy));
            let Some(window) = window else { return Ok(false) };
            if !self.has_room_for(&tables[window.clone()])? {
                return Ok(false);
            }
            let started = self.start_merge(state, window);
            self.health.settle(started)?;
        }
        self.run_merge(state)?;
        Ok(true)
    }

    /// Whether the inputs fit on the disk a second time, with a flush beside them. A merge that fills
    /// the disk and then fails takes what the log and the flushes need meanwhile.
    fn has_room_for(&self, inputs: &[TableMeta]) -> Result<bool> {
        let free_bytes = self.env.disk().free_bytes(&self.dir)?;
        let sizes = inputs.iter().map(|input| input.size_bytes);
        let need_bytes = sizes.fold(self.options.write_buffer_bytes as u64, u64::saturating_add);
        Ok(need_bytes <= free_bytes)
    }

    fn start_merge(
        &self,
        state: &mut Maintenance,
        window: std::ops::Range<usize>,
    ) -> std::result::Result<(), Failure> {
        let present = self.present.get();
        let version = &present.version;
        let durable = version.durable.ts;
        let spaces = version.keyspaces.iter();
        let gone = spaces
            .filter(|(space, life)| history::is_gone(life, present.policy.of(**space), durable))
            .map(|(&space, _)| space)
            .collect();
        let is_bottom = window.end == version.tables.len();
        let writer = self.new_table(state)?;
        let policy = Arc::clone(&present.policy);
        match MergeJob::start(&version.tables[window], writer, policy, gone, is_bottom) {
            Ok(job) => {
                state.job = Some(job);
                Ok(())
            }
            Err((error, writer)) => {
                writer.discard();
                Err(Failure::Undone(error))
            }
        }
    }

    /// One step of the merge under way, if there is one; its last step puts the result into force.
    fn run_merge(&self, state: &mut Maintenance) -> Result<()> {
        let Some(mut job) = state.job.take() else { return Ok(()) };
        let outcome = match job.step() {
            Ok(MergeProgress::More) => {
                state.job = Some(job);
                return Ok(());
            }
            Ok(MergeProgress::Done) => self.finish_merge(state, &mut job),
            Err(error) => Err(Failure::Undone(error)),
        };
        // A merge that dropped everything puts no table into force.
        let is_unnamed = match &outcome {
            Ok(()) => job.writer().entry_count() == 0,
            Err(Failure::Undone(_)) => true,
            Err(Failure::Unknown(_)) => false,
        };
        if is_unnamed {
            job.discard();
        }
        self.health.settle(outcome)
    }

    fn finish_merge(
        &self,
        state: &mut Maintenance,
        job: &mut MergeJob,
    ) -> std::result::Result<(), Failure> {
        let folded_to = merge::horizon(job.policy());
        let output = if job.writer().entry_count() == 0 {
            None
        } else {
            let meta = job.writer().finish(folded_to)?;
            Some(self.seal(job.writer(), meta)?)
        };
        kernel::preemption_point("lsm.merge-before-manifest");
        let mut floors = history::Floors::clone(&self.present.version().floors);
        for &space in &job.dropped_in {
            history::raise(&mut floors, space, job.policy().of(space));
        }
        let inputs: Vec<_> = job.inputs().map(Arc::clone).collect();
        let replace = |version: &mut Version| {
            let is_input =
                |table: &Arc<Table>| inputs.iter().any(|input| Arc::ptr_eq(input, table));
            let start = version.tables.iter().position(is_input);
            let start = start.expect("only this thread removes tables");
            version.tables.splice(start..start + inputs.len(), output.clone());
        };
        self.install(state, Some(floors), replace)?;
        self.context.stats.merges.add(1);
        self.context.stats.versions_dropped.add(job.dropped_count);
        state.obsolete.extend(inputs);
        Ok(())
    }

    /// Removes files that nobody reads any more. What fails here, the next open cleans up.
    fn remove_obsolete(&self, state: &mut Maintenance) -> bool {
        let before = state.obsolete.len();
        // The one reference is ours: no version, and so no snapshot, has the table.
        let is_unused = |table: &mut Arc<Table>| Arc::strong_count(table) == 1;
        for table in state.obsolete.extract_if(.., is_unused) {
            table.forget();
            drop(self.env.disk().remove(&path_of(&self.dir, table.meta().file_id)));
        }
        state.obsolete.len() < before
    }

    /// Flushes everything and drops what retention no longer covers.
    pub(crate) fn work_all(&self, state: &mut Maintenance, log: &dyn LogBarrier) -> Result<()> {
        self.freeze();
        // Those of now: writers may fill further ones as fast as these are flushed.
        for _ in 0..self.present.version().frozen.len() {
            self.flush_oldest(state, log)?;
        }
        while state.job.is_some() {
            self.run_merge(state)?;
        }
        if self.is_reclaim_due() {
            let count = self.present.version().tables.len();
            let started = self.start_merge(state, 0..count);
            self.health.settle(started)?;
            while state.job.is_some() {
                self.run_merge(state)?;
            }
        }
        self.remove_obsolete(state);
        Ok(())
    }

    /// Whether a merge of all tables may drop something.
    fn is_reclaim_due(&self) -> bool {
        let present = self.present.get();
        let horizon = merge::horizon(&present.policy);
        match &present.version.tables[..] {
            [] => false,
            [only] => {
                let meta = only.meta();
                let is_dropped_since = present.version.keyspaces.values().any(|life| {
                    life.dropped.is_some_and(|ts| meta.folded_to < ts && ts <= horizon)
                });
                meta.min_ts < horizon
                    && meta.folded_to < horizon
                    && (merge::garbage_count(meta) > 0 || is_dropped_since)
            }
            tables => tables.iter().any(|table| table.meta().min_ts < horizon),
        }
    }
}
