//! Counting rows for EXPLAIN ANALYZE.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use driftdb_query::Result;

use super::{BoxOperator, Operator};
use crate::batch::Batch;
use crate::context::Run;

/// What one operator did. Shared with the operator that counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    rows: AtomicU64,
    loops: AtomicU64,
    micros: AtomicI64,
    versions: AtomicU64,
}

impl Meter {
    /// Rows given, over all loops.
    pub(crate) fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// How often it was started.
    pub(crate) fn loops(&self) -> u64 {
        self.0.loops.load(Ordering::Relaxed)
    }

    /// Versions of rows and index entries read, over all loops; 0 where it reads none.
    pub(crate) fn versions(&self) -> u64 {
        self.0.versions.load(Ordering::Relaxed)
    }

    /// Counts versions read.
    pub(crate) fn add_versions(&self, count: u64) {
        self.0.versions.fetch_add(count, Ordering::Relaxed);
    }

    /// Time spent in it and its inputs.
    pub(crate) fn micros(&self) -> i64 {
        self.0.micros.load(Ordering::Relaxed)
    }
}

/// An operator with a meter.
pub(crate) struct Metered {
    inner: BoxOperator,
    meter: Meter,
    started: bool,
}

impl Metered {
    pub(crate) fn new(inner: BoxOperator, meter: Meter) -> Self {
        Self { inner, meter, started: false }
    }
}

impl Operator for Metered {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let counts = &self.meter.0;
        if !self.started {
            self.started = true;
            counts.loops.fetch_add(1, Ordering::Relaxed);
        }
        let clock = Arc::clone(&run.cx.eval.clock);
        let start = clock();
        let batch = self.inner.next(run);
        counts.micros.fetch_add(clock() - start, Ordering::Relaxed);
        if let Ok(Some(batch)) = &batch {
            counts.rows.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        batch
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        self.started = false;
        self.inner.rebind(run);
    }
}
