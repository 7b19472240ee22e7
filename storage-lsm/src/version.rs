//! What the engine consists of at one moment.
//!
//! A version is immutable; every change of structure publishes a new one. A snapshot holds the
//! version of its moment, and with it every memtable and table it may need.

use std::sync::Arc;

use driftdb_env::sync::RwLock;
use driftdb_storage::{Commit, RetentionPolicy};

use crate::history::Floors;
use crate::keyspaces::Keyspaces;
use crate::memtable::Memtable;
use crate::run::{Part, SortedRun};
use crate::table::Table;

/// What holds versions, newest first: the active memtable, the frozen ones, the runs of tables.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) active: Arc<Memtable>,
    pub(crate) frozen: Vec<Arc<Memtable>>,
    pub(crate) runs: Vec<Arc<SortedRun>>,
    pub(crate) keyspaces: Arc<Keyspaces>,
    pub(crate) floors: Arc<Floors>,
    /// Up to here the runs hold everything.
    pub(crate) durable: Commit,
}

impl Version {
    /// The memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.frozen)
    }

    /// The parts of all runs, newest run first.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.runs.iter().flat_map(|run| &run.parts)
    }

    /// The tables of all runs, newest run first.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.parts().map(|part| &part.table)
    }

    /// With the active memtable, if it holds a commit, frozen and `empty` in its place.
    pub(crate) fn freeze(&self, empty: Memtable) -> Self {
        let mut next = self.clone();
        if next.active.last().is_some() {
            next.active.settle();
            next.frozen.insert(0, std::mem::replace(&mut next.active, Arc::new(empty)));
        }
        next
    }
}

/// The newest version and what goes with it.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    pub(crate) version: Arc<Version>,
    pub(crate) applied: Commit,
    pub(crate) policy: Arc<RetentionPolicy>,
}

/// Where the present is found.
#[derive(Debug)]
pub(crate) struct PresentCell {
    latch: RwLock<Present>,
}

impl PresentCell {
    pub(crate) fn new(present: Present) -> Self {
        Self { latch: RwLock::new(present) }
    }

    pub(crate) fn get(&self) -> Present {
        self.latch.read().clone()
    }

    pub(crate) fn version(&self) -> Arc<Version> {
        Arc::clone(&self.latch.read().version)
    }

    pub(crate) fn applied(&self) -> Commit {
        self.latch.read().applied
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Present)) {
        let before = {
            let mut present = self.latch.write();
            let before = Arc::clone(&present.version);
            change(&mut present);
            before
        };
        // The last reference to a version frees its memtables: not under the latch.
        drop(before);
    }
}
