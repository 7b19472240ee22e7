//! The engine: the tree in memory, and who may do what to it when.
//!
//! Latches, in the order they are taken:
//! 1. `maintenance`: one checkpoint or fold at a time.
//! 2. `applying`: one batch at a time, and none while a checkpoint takes its picture.
//! 3. `state`: the root and all that changes with it; held for one operation or one reference count.
//! 4. `readers`: the durable superblock, and who may still read old pages.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::Mutex;
use driftdb_env::{Env, planted_order, sometimes};
use driftdb_storage::{
    BackupReport, Commit, Compression, KeyspaceId, LogBarrier, Maintained, Operation, Result,
    RetentionPolicy, StorageError, VerifyDepth, VerifyReport, WriteBatch, expand_range_deletes,
};

use crate::checkpoint::Maintenance;
use crate::facts::Facts;
use crate::health::Health;
use crate::history::split::Pending;
use crate::key::VersionKey;
use crate::pager::Pager;
use crate::snapshot::{BtreeSnapshot, Pin, View};
use crate::superblock::Superblock;
use crate::tree::{LetGo, Missing, Root, Writer};
use crate::verify;

/// The engine over one page file.
///
/// A checkpoint drops history by a walk over all leaves, unless everything is kept for ever
/// or nothing has changed since the last; a step of maintenance only in leaves that it writes anyway.
pub(crate) struct PageFile {
    pub(crate) pager: Arc<Pager>,
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) applying: Mutex<()>,
    pub(crate) state: Mutex<State>,
    pub(crate) readers: Mutex<Readers>,
    pub(crate) health: Health,
    pub(crate) write_buffer_bytes: usize,
    pub(crate) env: Env,
    pub(crate) step_bytes: usize,
    /// How history is compressed.
    pub(crate) compression: Compression,
    /// Pages in the catalogue of history.
    pub(crate) history_page_count: AtomicU64,
}

/// The present.
pub(crate) struct State {
    pub(crate) root: Root,
    pub(crate) applied: Commit,
    pub(crate) facts: Arc<Facts>,
    pub(crate) policy: Arc<RetentionPolicy>,
    /// Counts the pictures that checkpoints took.
    pub(crate) epoch: u64,
    pub(crate) pin: Arc<Pin>,
    pub(crate) let_go: LetGo,
    /// Slices of history made since the last picture.
    pub(crate) history: Pending,
    pub(crate) dirty_bytes: usize,
    /// Whether there is anything that the durable root does not have.
    pub(crate) changed: bool,
    /// The view of this very moment, if somebody asked for it already.
    pub(crate) view: Option<Arc<View>>,
}

/// What readers of pages rely on.
pub(crate) struct Readers {
    pub(crate) superblock: Superblock,
    /// The epoch after the one whose end that superblock made durable.
    pub(crate) since_epoch: u64,
    /// For each epoch, whether somebody still reads.
    pub(crate) pins: Vec<(u64, Weak<Pin>)>,
}

impl Readers {
    /// A pin on everything that the durable root reaches.
    pub(crate) fn pin_durable(&mut self) -> (Superblock, Arc<Pin>) {
        let pin = Arc::new(Pin);
        self.pins.push((self.since_epoch, Arc::downgrade(&pin)));
        (self.superblock, pin)
    }

    /// The oldest epoch that somebody still reads.
    pub(crate) fn oldest(&mut self) -> u64 {
        if planted_order!("btree.page-reused-under-reader") {
            return u64::MAX;
        }
        self.pins.retain(|(_, pin)| pin.strong_count() > 0);
        self.pins.iter().map(|(epoch, _)| *epoch).min().unwrap_or(0)
    }
}

impl State {
    /// Refuses a batch that cannot be applied, before anything is changed.
    fn check(&self, batch: &WriteBatch, at: Commit) -> Result<()> {
        if at.ts < self.applied.ts || at.lsn <= self.applied.lsn {
            let applied = self.applied;
            let text = format!("commit {at:?} comes after {applied:?} but is not later");
            return Err(StorageError::Internal(text));
        }
        let mut scratch: Option<Facts> = None;
        // Batches write in runs of one keyspace; a look-up per run is enough.
        let mut known: Option<KeyspaceId> = None;
        for operation in batch.operations() {
            let facts = scratch.as_ref().unwrap_or(&self.facts);
            match operation {
                Operation::Put { space, .. }
                | Operation::Delete { space, .. }
                | Operation::DeleteRange { space, .. }
                    if known == Some(space) => {}
                Operation::Put { space, .. }
                | Operation::Delete { space, .. }
                | Operation::DeleteRange { space, .. }
                | Operation::DropKeyspace(space)
                    if !facts.is_live(space) =>
                {
                    return Err(StorageError::UnknownKeyspace { space, at: at.ts });
                }
                Operation::CreateKeyspace(space) if facts.keyspaces.contains_key(&space) => {
                    let text = format!("keyspace {space} is created a second time");
                    return Err(StorageError::Internal(text));
                }
                Operation::CreateKeyspace(space) => {
                    scratch.get_or_insert_with(|| (*self.facts).clone()).create(space, at.ts);
                }
                Operation::DropKeyspace(space) => {
                    known = None;
                    scratch.get_or_insert_with(|| (*self.facts).clone()).drop_at(space, at.ts);
                }
                Operation::Put { space, .. }
                | Operation::Delete { space, .. }
                | Operation::DeleteRange { space, .. } => known = Some(space),
            }
        }
        Ok(())
    }
}

impl PageFile {
    /// Changes the tree. The state is held only while nothing has to be read from disk.
    pub(crate) fn change(
        &self,
        mut change: impl FnMut(&mut Root, &mut Writer<'_>) -> std::result::Result<(), Missing>,
    ) -> Result<()> {
        let mut loaded = Vec::new();
        loop {
            let mut state = self.state.lock();
            // The view of this moment would keep the root shared.
            state.view = None;
            state.changed = true;
            let State { root, let_go, dirty_bytes, epoch, facts, history, .. } = &mut *state;
            let (pager, epoch) = (&*self.pager, *epoch);
            let mut writer =
                Writer { pager, loaded: &mut loaded, epoch, let_go, facts, history, dirty_bytes };
            let Err(Missing { at, level }) = change(root, &mut writer) else { return Ok(()) };
            drop(state);
            sometimes!("btree.node-read-for-a-change");
            sometimes!("btree.many-nodes-read-for-a-change", loaded.len() > 1);
            loaded.push(Arc::new(self.pager.read_node(at, level)?));
        }
    }

    fn apply_one(&self, operation: Operation<'_>, at: Commit) -> Result<()> {
        preemption_point("btree.apply");
        let (space, key, value) = match operation {
            Operation::Put { space, key, value } => (space, key, Some(value)),
            Operation::Delete { space, key } => (space, key, None),
            // They have been spelled out.
            Operation::DeleteRange { .. } => return Ok(()),
            Operation::CreateKeyspace(space) => {
                self.change_facts(|facts| facts.create(space, at.ts));
                return Ok(());
            }
            Operation::DropKeyspace(space) => {
                self.change_facts(|facts| facts.drop_at(space, at.ts));
                return Ok(());
            }
        };
        let key = VersionKey::at(space, key, at.ts);
        self.change(|root, writer| writer.insert(root, key, value))
    }

    /// Goes on with the figures of the file before it.
    pub(crate) fn keep_counting(&mut self, old: &Self) {
        if let Some(pager) = Arc::get_mut(&mut self.pager) {
            pager.counters = Arc::clone(&old.pager.counters);
        }
    }

    /// Changes what is known about keyspaces.
    pub(crate) fn change_facts(&self, change: impl FnOnce(&mut Facts)) {
        let mut state = self.state.lock();
        state.view = None;
        state.changed = true;
        change(Arc::make_mut(&mut state.facts));
    }
}

impl std::fmt::Debug for PageFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageFile")
    }
}

/// What the contract asks of an engine, of this file.
impl PageFile {
    pub(crate) fn durable(&self) -> Commit {
        self.readers.lock().superblock.commit
    }

    pub(crate) fn applied(&self) -> Commit {
        self.state.lock().applied
    }

    pub(crate) fn apply(&self, batch: &WriteBatch, at: Commit) -> Result<()> {
        let _one_at_a_time = self.applying.lock();
        self.health.check()?;
        {
            let state = self.state.lock();
            if at <= state.applied {
                // A replay of what is already here.
                return Ok(());
            }
            state.check(batch, at)?;
        }
        // A snapshot would keep the root shared.
        let expanded = match batch.has_range_delete() {
            true => expand_range_deletes(batch, &self.snapshot())?,
            false => None,
        };
        for operation in expanded.as_ref().unwrap_or(batch).operations() {
            // Until the whole batch is there, no view reaches its time. If it fails half-way, none
            // ever will, and no checkpoint comes after a failure.
            self.apply_one(operation, at).map_err(|error| self.health.poison(error))?;
        }
        let user_bytes = batch.content_bytes() as u64;
        self.pager.counters.user_bytes.fetch_add(user_bytes, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.applied = at;
        state.changed = true;
        state.view = None;
        Ok(())
    }

    pub(crate) fn snapshot(&self) -> BtreeSnapshot {
        let mut state = self.state.lock();
        if let Some(view) = &state.view {
            sometimes!("btree.view-shared");
            return BtreeSnapshot { view: Arc::clone(view) };
        }
        let (root, at) = (state.root.share(), state.applied);
        let is_late = planted_order!("btree.pin-after-root");
        if is_late {
            drop(state);
            state = self.state.lock();
        }
        let view = Arc::new(View {
            pager: Arc::clone(&self.pager),
            root,
            at,
            facts: Arc::clone(&state.facts),
            policy: Arc::clone(&state.policy),
            _pin: Arc::clone(&state.pin),
        });
        state.view = (!is_late).then(|| Arc::clone(&view));
        BtreeSnapshot { view }
    }

    pub(crate) fn set_retention(&self, policy: Arc<RetentionPolicy>) {
        let mut state = self.state.lock();
        state.policy = policy;
        state.view = None;
    }

    pub(crate) fn maintain(&self, log: &dyn LogBarrier) -> Result<Maintained> {
        self.step_checkpoint(log)
    }

    pub(crate) fn write_pressure(&self) -> u32 {
        // A checkpoint is due at one buffer of dirty nodes; from two on writers outrun it.
        let dirty_bytes = self.state.lock().dirty_bytes as u64;
        let buffer_bytes = (self.write_buffer_bytes as u64).max(1);
        let over = dirty_bytes.saturating_sub(2 * buffer_bytes).saturating_mul(1000);
        (over / (6 * buffer_bytes)).min(1000) as u32
    }

    pub(crate) fn checkpoint(&self, log: &dyn LogBarrier) -> Result<Commit> {
        self.run_checkpoint(log)?;
        Ok(self.durable())
    }

    pub(crate) fn verify(&self, depth: VerifyDepth, report: &mut dyn VerifyReport) -> Result<()> {
        verify::verify(self, depth, report)
    }

    pub(crate) fn backup(&self, dir: &Path, _base: Option<&Path>) -> Result<BackupReport> {
        // The one file changes: nothing of an earlier copy can be shared.
        self.back_up(dir)
    }

    pub(crate) fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        self.pager.report(out);
        let dirty = self.state.lock().dirty_bytes as u64;
        out("dirty_bytes_now", dirty);
        out("history_page_count", self.history_page_count.load(Ordering::Relaxed));
        let superblock = self.readers.lock().superblock;
        out("page_count", superblock.page_count);
        out("free_page_count", superblock.free_count);
    }
}
