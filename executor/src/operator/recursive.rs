//! WITH RECURSIVE: the seed's rows, then what the step makes of the rows that were new last time.
//!
//! Rows are given as they come, so that a reader with a LIMIT ends a recursion that has no end. The step
//! sees the rows of one round at a time as its working table; what it keeps between rounds is what does
//! not depend on that table (`outer::depends_on_frame`).

use std::sync::Arc;

use driftdb_query::{CteId, Result, SqlError};
use driftdb_types::DataType;

use super::distinct::fresh_rows;
use super::group_table::GroupTable;
use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::Batch;
use crate::context::Run;
use crate::subplan::SubplanState;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Seed,
    /// Whether the step has run before.
    Step {
        started: bool,
    },
    Done,
}

pub(crate) struct Recursive {
    table: CteId,
    all: bool,
    seed: BoxOperator,
    step: BoxOperator,
    types: Vec<DataType>,
    phase: Phase,
    /// UNION: every row so far.
    seen: GroupTable,
    /// The rows that the step reads, and those of this round.
    working: Arc<Vec<Batch>>,
    fresh: Vec<Batch>,
    has_run: bool,
    seen_bytes: usize,
    working_bytes: usize,
    fresh_bytes: usize,
}

impl Recursive {
    pub(crate) fn new(
        table: CteId,
        all: bool,
        seed: BoxOperator,
        step: BoxOperator,
        types: Vec<DataType>,
    ) -> Self {
        let seen = GroupTable::new(&types);
        Self {
            table,
            all,
            seed,
            step,
            types,
            phase: Phase::Seed,
            seen,
            working: Arc::default(),
            fresh: Vec::new(),
            has_run: false,
            seen_bytes: 0,
            working_bytes: 0,
            fresh_bytes: 0,
        }
    }

    /// The rows of a batch that are new; remembered for the next round.
    fn admit(&mut self, batch: Batch, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let batch = if self.all {
            batch
        } else {
            let (rows, bytes) = fresh_rows(&mut self.seen, &batch.columns(), batch.len());
            self.seen_bytes += bytes;
            run.hold(bytes)?;
            batch.select(&rows)
        };
        if batch.is_empty() {
            return Ok(None);
        }
        // Without the rows that were left out.
        let batch = Batch::new(batch.columns(), batch.len());
        let bytes = batch.size_bytes();
        self.fresh_bytes += bytes;
        run.hold(bytes)?;
        self.fresh.push(batch.clone());
        Ok(Some(batch))
    }

    /// Ends a round.
    fn turn(&mut self, run: &mut Run<'_, '_>) {
        run.release(std::mem::replace(
            &mut self.working_bytes,
            std::mem::take(&mut self.fresh_bytes),
        ));
        self.working = Arc::new(std::mem::take(&mut self.fresh));
        if self.working.is_empty() {
            self.phase = Phase::Done;
            run.state.working.remove(&self.table);
            return;
        }
        self.phase = Phase::Step { started: false };
    }
}

impl Operator for Recursive {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        loop {
            run.check_cancel()?;
            let pulled = match self.phase {
                Phase::Done => return Ok(None),
                Phase::Seed => pull(&mut self.seed, run)?,
                Phase::Step { started } => {
                    // Another start of the same plan may have run in between.
                    run.state.working.insert(self.table, Arc::clone(&self.working));
                    if !started {
                        run.state.subplans.values_mut().for_each(SubplanState::forget_ctes);
                        if self.has_run {
                            rebind(&mut self.step, run);
                        }
                        self.has_run = true;
                        self.phase = Phase::Step { started: true };
                    }
                    pull(&mut self.step, run)?
                }
            };
            match pulled {
                Some(batch) => {
                    if let Some(batch) = self.admit(batch, run)? {
                        return Ok(Some(batch));
                    }
                }
                None => self.turn(run),
            }
        }
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        rebind(&mut self.seed, run);
        self.phase = Phase::Seed;
        self.seen = GroupTable::new(&self.types);
        self.working = Arc::default();
        self.fresh.clear();
        for bytes in [&mut self.seen_bytes, &mut self.working_bytes, &mut self.fresh_bytes] {
            run.release(std::mem::take(bytes));
        }
    }
}

/// Reads the rows that were new last time.
pub(crate) struct WorkingTable {
    table: CteId,
    next: usize,
}

impl WorkingTable {
    pub(crate) fn new(table: CteId) -> Self {
        Self { table, next: 0 }
    }
}

impl Operator for WorkingTable {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let Some(batches) = run.state.working.get(&self.table) else {
            return Err(SqlError::internal("a working table is read outside of its recursion"));
        };
        let batch = batches.get(self.next).cloned();
        self.next += 1;
        Ok(batch)
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.next = 0;
    }
}
