//! Erasing from all history: one join of everything, put into force at once.
//!
//! What is in memory is flushed first. Then all runs become one, as at a checkpoint that reclaims, with
//! what goes left out; tables that cannot hold any of it are moved unread. Its pieces are not put into
//! force one by one: readers must not see rows without their index entries. After the one manifest
//! that names the result, the old files lose their names, also those that a snapshot still reads: it has
//! them open. Compression dictionaries are of their tables, and go with them.
//!
//! A crash before the manifest leaves tables that nothing names, one after it the old tables: opening
//! removes either.

use std::sync::Arc;

use driftdb_env::{kernel, planted};
use driftdb_storage::{Erasure, LogBarrier, Result};

use crate::compaction::job::{Job, Order, Progress};
use crate::compaction::piece::{Piece, Target};
use crate::engine::LsmEngine;
use crate::health::Failure;
use crate::maintenance::{Maintenance, horizon};
use crate::run::Part;
use crate::table::{Table, path_of};

type Step<T> = std::result::Result<T, Failure>;

impl LsmEngine {
    pub(crate) fn erase_now(
        &self,
        state: &mut Maintenance,
        erasure: &Erasure,
        log: &dyn LogBarrier,
    ) -> Result<()> {
        self.freeze();
        for _ in 0..self.present.version().frozen.len() {
            self.flush_oldest(state, log)?;
        }
        self.finish_job(state)?;
        let outcome = self.rewrite_all(state, erasure);
        self.health.settle(outcome)?;
        let outcome = self.unname_obsolete(state);
        self.health.settle(outcome)
    }

    /// Joins all runs without what is erased, and puts the result into force.
    fn rewrite_all(&self, state: &mut Maintenance, erasure: &Erasure) -> Step<()> {
        let present = self.present.get();
        let runs = &present.version.runs;
        let Some(oldest) = runs.last() else { return Ok(()) };
        let target = Target { older_count: 0, level: oldest.level, joins_runs: true };
        let order = Order {
            inputs: runs.iter().map(|run| run.parts.clone()).collect(),
            target,
            older: Vec::new(),
            policy: Arc::clone(&present.policy),
            horizon: horizon(&present, &present.policy),
            sizes: self.sizes(),
            is_thorough: true,
            erasure: Some(Arc::new(erasure.clone())),
        };
        let mut job = Job::start(order)?;
        drop(present);
        let mut made: Vec<Arc<Table>> = Vec::new();
        let mut outcome = self.join(state, &mut job, &mut made);
        job.discard();
        if let Ok(whole) = &outcome {
            kernel::preemption_point("lsm.erase-before-manifest");
            if let Err(failure) = self.install_whole(state, target, whole) {
                outcome = Err(failure);
            }
        }
        if let Err(Failure::Undone(_)) = &outcome {
            state.obsolete.append(&mut made);
        }
        outcome.map(drop)
    }

    fn install_whole(&self, state: &mut Maintenance, target: Target, whole: &Piece) -> Step<()> {
        let policy = self.present.get().policy;
        self.install_piece(state, target, whole, &policy)
    }

    /// Everything that the join does, as one piece. Adds the tables that it makes to `made`.
    fn join(
        &self,
        state: &mut Maintenance,
        job: &mut Job,
        made: &mut Vec<Arc<Table>>,
    ) -> Step<Piece> {
        let mut whole = Piece { is_last: true, ..Piece::default() };
        loop {
            let is_last = match job.step(self.options.step_bytes, &mut || self.new_table(state))? {
                Progress::More => continue,
                Progress::Piece => false,
                Progress::Done => true,
            };
            let output = match job.take_writer() {
                None => None,
                Some(mut writer) => {
                    let sealed = writer
                        .finish(job.folded_to())
                        .map_err(Failure::from)
                        .and_then(|meta| self.seal(&writer, meta));
                    match sealed {
                        Ok(table) => {
                            made.push(Arc::clone(&table));
                            Some(Part { table, bounds: writer.bounds() })
                        }
                        Err(failure) => {
                            if let Failure::Undone(_) = failure {
                                writer.discard();
                            }
                            return Err(failure);
                        }
                    }
                }
            };
            whole.join(job.take_piece(output, is_last));
            if is_last {
                return Ok(whole);
            }
        }
    }

    /// Takes the names of files that nothing in force needs, though a snapshot may still read them.
    fn unname_obsolete(&self, state: &mut Maintenance) -> Step<()> {
        // A copy finds tables by their names.
        let _nobody_copies = self.names.lock();
        if planted!("lsm.erased-tables-stay") {
            return Ok(());
        }
        while let Some(table) = state.obsolete.pop() {
            let path = path_of(&self.dir, table.meta().file_id);
            if let Err(error) = self.env.disk().remove(&path)
                && !error.is_not_found()
            {
                state.obsolete.push(table);
                return Err(error.into());
            }
            table.forget();
        }
        // Also for those that opening removed, or an attempt before.
        Ok(self.env.disk().sync_dir(&self.dir)?)
    }
}
