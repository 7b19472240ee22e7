//! The background work: what is due, and one step of it.

use std::sync::Arc;

use driftdb_env::{buggify, kernel, sometimes};
use driftdb_storage::{LogBarrier, Result, RetentionPolicy, StorageError};

use crate::compaction::job::{Job, Order, Progress};
use crate::compaction::piece::{Piece, Target};
use crate::compaction::{self, Horizon, Plan, Sizes, keep_since, stale};
use crate::engine::LsmEngine;
use crate::health::Failure;
use crate::history;
use crate::manifest;
use crate::manifest::Manifest;
use crate::run::{Part, SortedRun};
use crate::table::{Table, TableWriter, path_of};
use crate::version::{Present, Version};

/// Runs beyond which compaction goes before flushes.
const MAX_CROWD: usize = 24;

type Step<T> = std::result::Result<T, Failure>;

/// What only the maintaining thread uses.
#[derive(Debug)]
pub(crate) struct Maintenance {
    /// As it is on disk, but for `next_file_id`, which runs ahead.
    pub(crate) manifest: Manifest,
    job: Option<Job>,
    /// Tables that the manifest no longer names; a snapshot may still read them.
    pub(crate) obsolete: Vec<Arc<Table>>,
}

impl Maintenance {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest, job: None, obsolete: Vec::new() }
    }
}

impl LsmEngine {
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes { write_buffer_bytes: self.options.write_buffer_bytes as u64 }
    }

    /// One step of what is due. False if nothing is.
    pub(crate) fn work(&self, state: &mut Maintenance, log: &dyn LogBarrier) -> Result<bool> {
        // Flushes first: memory is what writers run out of. Unless runs pile up meanwhile.
        let run_count = self.present.version().runs.len();
        let is_crowded =
            run_count > MAX_CROWD || run_count > 2 && buggify!("lsm.compact-before-flush");
        sometimes!("lsm.compaction-before-a-flush", is_crowded);
        let has_worked = (is_crowded && self.compact(state)?)
            || self.flush_oldest(state, log)?
            || self.compact(state)?;
        let has_removed = self.remove_obsolete(state);
        Ok(has_worked || has_removed)
    }

    /// Goes on with the compaction under way, or starts the one that is due.
    fn compact(&self, state: &mut Maintenance) -> Result<bool> {
        if state.job.is_none() {
            let present = self.present.get();
            let horizon = horizon(&present, &present.policy);
            let shapes = compaction::shapes(&present.version.runs);
            let kind = self.options.compaction;
            let Some(plan) = compaction::choose(kind, &shapes, &horizon, self.sizes()) else {
                return Ok(false);
            };
            let policy = Arc::clone(&present.policy);
            if !self.start(state, &present.version, &plan, policy, horizon, false)? {
                return Ok(false);
            }
        }
        self.run_job(state)?;
        Ok(true)
    }

    /// Starts what a plan says; what needs no reading is done at once. False if the disk has no room.
    fn start(
        &self,
        state: &mut Maintenance,
        version: &Version,
        plan: &Plan,
        policy: Arc<RetentionPolicy>,
        horizon: Horizon,
        is_thorough: bool,
    ) -> Result<bool> {
        let runs = &version.runs;
        let target = |run: usize, level: u32, joins_runs: bool| Target {
            older_count: runs.len() - 1 - run,
            level,
            joins_runs,
        };
        let at_once = |state: &mut Maintenance, run: usize, level: u32, mut piece: Piece| {
            piece.is_last = true;
            let outcome = self.install_piece(state, target(run, level, false), &piece, &policy);
            self.health.settle(outcome).map(|()| true)
        };
        let (inputs, target) = match *plan {
            Plan::Relabel { run, level } => {
                sometimes!("lsm.run-moved-by-name-only");
                return at_once(state, run, level, Piece::default());
            }
            Plan::Drop { run, table } => {
                sometimes!("lsm.table-dropped-whole");
                let part = &runs[run].parts[table];
                let piece = Piece {
                    consumed: [part.meta().file_id].into(),
                    dropped_in: [part.bounds.first.space].into(),
                    dropped_count: part.meta().entry_count,
                    ..Piece::default()
                };
                return at_once(state, run, runs[run].level, piece);
            }
            Plan::Rewrite { run, table } => {
                sometimes!("lsm.table-rewritten-alone");
                (vec![vec![runs[run].parts[table].clone()]], target(run, runs[run].level, false))
            }
            Plan::Push { run, table } => {
                sometimes!("lsm.table-pushed-down");
                let part = runs[run].parts[table].clone();
                let next = overlapping(&runs[run + 1], std::slice::from_ref(&part));
                (vec![vec![part], next], target(run + 1, runs[run + 1].level, false))
            }
            Plan::Merge { ref window, level } => {
                let into = window.end - 1;
                let mut inputs: Vec<Vec<Part>> =
                    runs[window.start..into].iter().map(|run| run.parts.clone()).collect();
                let sources: Vec<Part> = inputs.iter().flatten().cloned().collect();
                inputs.push(if is_thorough {
                    runs[into].parts.clone()
                } else {
                    overlapping(&runs[into], &sources)
                });
                (inputs, target(into, level, true))
            }
        };
        if !is_thorough && !self.has_room_for(&inputs)? {
            sometimes!("lsm.merge-waits-for-room");
            return Ok(false);
        }
        let older = runs[runs.len() - target.older_count..].to_vec();
        let sizes = self.sizes();
        let erasure = None;
        let order = Order { inputs, target, older, policy, horizon, sizes, is_thorough, erasure };
        let started = Job::start(order).map_err(Failure::Undone);
        state.job = Some(self.health.settle(started)?);
        Ok(true)
    }

    /// Whether the disk has room for a compaction, with a flush beside it. An input goes when its
    /// last key has moved, so beside one output each run needs room for one table at a time. A
    /// compaction that fills the disk and then fails takes what the log and the flushes need meanwhile.
    fn has_room_for(&self, inputs: &[Vec<Part>]) -> Result<bool> {
        let free_bytes = self.env.disk().free_bytes(&self.dir)?;
        let largest = |parts: &Vec<Part>| parts.iter().map(|part| part.shape().bytes()).max();
        let need_bytes = inputs
            .iter()
            .filter_map(largest)
            .fold(self.sizes().table_bytes(), u64::saturating_add)
            .saturating_add(self.options.write_buffer_bytes as u64);
        Ok(need_bytes <= free_bytes)
    }

    /// One step of the compaction under way, if there is one.
    fn run_job(&self, state: &mut Maintenance) -> Result<()> {
        let Some(mut job) = state.job.take() else { return Ok(()) };
        let step_bytes =
            if buggify!("lsm.merge-in-small-steps") { 1 } else { self.options.step_bytes };
        let is_last = match job.step(step_bytes, &mut || self.new_table(state)) {
            Ok(Progress::More) => {
                sometimes!("lsm.merge-gave-way");
                state.job = Some(job);
                return Ok(());
            }
            Ok(Progress::Piece) => {
                sometimes!("lsm.merge-in-pieces");
                false
            }
            Ok(Progress::Done) => true,
            Err(error) => {
                sometimes!("lsm.merge-given-up");
                job.discard();
                return self.health.settle(Err(Failure::Undone(error)));
            }
        };
        let mut writer = job.take_writer();
        let outcome = self.finish_piece(state, &mut job, writer.as_mut(), is_last);
        if let (Err(Failure::Undone(_)), Some(writer)) = (&outcome, writer) {
            writer.discard();
        }
        self.health.settle(outcome)?;
        if is_last {
            self.context.stats.compactions.add(1);
        } else {
            state.job = Some(job);
        }
        Ok(())
    }

    /// Puts what was done since the last piece into force.
    fn finish_piece(
        &self,
        state: &mut Maintenance,
        job: &mut Job,
        writer: Option<&mut TableWriter>,
        is_last: bool,
    ) -> Step<()> {
        let output = match writer {
            Some(writer) => {
                let meta = writer.finish(job.folded_to())?;
                self.context.stats.compaction_bytes_written.add(meta.size_bytes);
                Some(Part { table: self.seal(writer, meta)?, bounds: writer.bounds() })
            }
            None => None,
        };
        kernel::preemption_point("lsm.merge-before-manifest");
        let piece = job.take_piece(output, is_last);
        self.install_piece(state, job.target, &piece, &job.policy)
    }

    pub(crate) fn install_piece(
        &self,
        state: &mut Maintenance,
        target: Target,
        piece: &Piece,
        policy: &RetentionPolicy,
    ) -> Step<()> {
        let before = self.present.version();
        let mut floors = history::Floors::clone(&before.floors);
        for &space in &piece.dropped_in {
            history::raise(&mut floors, space, policy.of(space));
        }
        // Before it is written: what the manifest says of the inputs may be untrue.
        piece.apply(&before.runs, target).map_err(|what| {
            let manifest = self.dir.join(manifest::NAME).display().to_string();
            StorageError::corruption(manifest, 0, what)
        })?;
        self.install(state, Some(floors), |version| {
            let runs = piece.apply(&version.runs, target);
            version.runs = runs.expect("flushes add runs in front, and nobody else changes them");
        })?;
        self.context.stats.compaction_bytes_read.add(piece.read_bytes);
        self.context.stats.versions_dropped.add(piece.dropped_count);
        let removed: Vec<u64> = piece.removed().collect();
        let is_removed = |table: &&Arc<Table>| removed.contains(&table.meta().file_id);
        state.obsolete.extend(before.tables().filter(is_removed).cloned());
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
        sometimes!("lsm.table-kept-for-a-reader", !state.obsolete.is_empty());
        state.obsolete.len() < before
    }

    /// Flushes everything and drops what retention no longer covers.
    pub(crate) fn work_all(&self, state: &mut Maintenance, log: &dyn LogBarrier) -> Result<()> {
        self.freeze();
        // Those of now: writers may fill further ones as fast as these are flushed.
        for _ in 0..self.present.version().frozen.len() {
            self.flush_oldest(state, log)?;
        }
        self.finish_job(state)?;
        // The promise of now: one that moves on while we work would keep us here.
        let policy = self.present.get().policy;
        loop {
            let present = self.present.get();
            let horizon = horizon(&present, &policy);
            let Some(plan) = reclaim(&present.version.runs, &horizon) else { break };
            self.start(state, &present.version, &plan, Arc::clone(&policy), horizon, true)?;
            drop(present);
            self.finish_job(state)?;
        }
        self.remove_obsolete(state);
        Ok(())
    }

    pub(crate) fn finish_job(&self, state: &mut Maintenance) -> Result<()> {
        while state.job.is_some() {
            self.run_job(state)?;
            self.remove_obsolete(state);
        }
        Ok(())
    }
}

/// What retention says of a version, under a policy.
pub(crate) fn horizon(present: &Present, policy: &RetentionPolicy) -> Horizon {
    let version = &present.version;
    let spaces = version.keyspaces.iter();
    let gone = spaces.filter_map(|(&space, life)| {
        let is_gone = history::is_gone(life, policy.of(space), version.durable.ts);
        is_gone.then_some((space, life.dropped?))
    });
    Horizon { keep_since: keep_since(policy), gone: gone.collect() }
}

/// What is left to do before everything that can go has gone: a join of all runs, since history
/// may be spread over them, then table by table.
fn reclaim(runs: &[Arc<SortedRun>], horizon: &Horizon) -> Option<Plan> {
    let shapes = compaction::shapes(runs);
    let mut tables = shapes.iter().flat_map(|run| &run.tables);
    match &shapes[..] {
        [] | [_] => stale::reclaimable(&shapes, horizon),
        [.., oldest] => {
            let has_old = tables.any(|table| table.meta.min_ts < horizon.keep_since);
            let window = 0..shapes.len();
            has_old.then_some(Plan::Merge { window, level: oldest.level })
        }
    }
}

/// The parts of a run that lie between the first and the last key of `sources`.
fn overlapping(run: &SortedRun, sources: &[Part]) -> Vec<Part> {
    let around = |bounds: Option<crate::run::Bounds>, part: &Part| {
        Some(bounds.map_or_else(|| part.bounds.clone(), |bounds| bounds.around(&part.bounds)))
    };
    let Some(bounds) = sources.iter().fold(None, around) else { return Vec::new() };
    run.parts.iter().filter(|part| part.bounds.overlaps(&bounds)).cloned().collect()
}
