//! Branches: databases that begin as another was at some time, and then go their own way.
//!
//! A [`BranchStore`] is a [`Store`] over a store. What a branch changes of what it inherited is kept in
//! one keyspace of its own, in front of the parent's past ([`transaction`]); what is made in the branch
//! has keyspaces like any other. Which it is, the number of a keyspace says: lower than the branch's own
//! is inherited. [`Branches`] keeps the list of them.
//!
//! Always holds
//! * The parent's history up to the branch's point is never written, so that a branch reads the same of
//!   it whenever it asks.
//! * A branch writes nothing that the parent or another branch reads.
//! * A row of the branch's own keyspace is newer than everything inherited.
//!
//! Cost: making one is one commit. A read of what the branch did not change is one lookup more for each
//! level of branches.
//!
//! Sources: docs/design/0021-branches.md.

mod keys;
mod locks;
mod registry;
mod scan;
mod transaction;
mod versions;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, CancelToken, CommitHashes, CommitNote, Counter, HistoryRules, IsolationLevel,
    LockEntry, LockObject, ReadAt, Result, RowBatch, RowRef, ScanRequest, ScanState, SessionLocks,
    Store, Transaction, WaitEntry,
};
use driftdb_env::sync::RwLock;
use driftdb_env::sync::atomic::{AtomicBool, Ordering};
use driftdb_storage::{
    BackupReport, KeyRange, KeyspaceId, RetentionPolicy, StorageError, Timestamp, VerifyDepth,
    VerifyReport,
};

use keys::OwnRange;
use locks::BranchLocks;
use transaction::{BranchTransaction, Layers};

pub use registry::{BRANCHES, Branch, BranchError, Branches, NewBranch};

/// Lower keyspaces are the store's own: of all branches, the same.
const FIRST_INHERITED: KeyspaceId = KeyspaceId(16);

/// Where a branch begins, and what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// Its own keyspace.
    pub(crate) keyspace: KeyspaceId,
    /// As of when it inherits.
    pub(crate) at: Timestamp,
    /// The commit that made it.
    pub(crate) created: Timestamp,
}

/// What the transactions of a branch share.
struct Shared {
    point: Point,
    /// Keyspaces with inherited numbers that were ever made or dropped in the branch. It only grows: what
    /// is in it is looked up.
    fates: RwLock<BTreeSet<KeyspaceId>>,
    has_fates: AtomicBool,
}

impl Shared {
    /// Whether a keyspace is one of the parent's.
    fn is_inherited(&self, space: KeyspaceId) -> bool {
        (FIRST_INHERITED..self.point.keyspace).contains(&space)
    }

    fn has_fate(&self, space: KeyspaceId) -> bool {
        self.has_fates.load(Ordering::SeqCst) && self.fates.read().contains(&space)
    }

    fn note_fate(&self, space: KeyspaceId) {
        self.fates.write().insert(space);
        self.has_fates.store(true, Ordering::SeqCst);
    }

    /// The layers of what is inherited, as of a time.
    fn layers(&self, time: Option<Timestamp>) -> Layers {
        let Point { at, created, .. } = self.point;
        Layers {
            has_own: time.is_none_or(|time| time >= created),
            inherited: Some(time.map_or(at, |time| time.min(at))),
        }
    }

    fn object(&self, object: LockObject) -> LockObject {
        object.in_branch(self.point.keyspace.0)
    }
}

/// A branch, as a store.
pub struct BranchStore {
    /// The store of the whole database.
    base: Arc<dyn Store>,
    parent: Arc<dyn Store>,
    shared: Arc<Shared>,
}

impl BranchStore {
    fn open(base: Arc<dyn Store>, parent: Arc<dyn Store>, point: Point) -> Result<Self> {
        let fates = fates(&*base, point.keyspace)?;
        let has_fates = AtomicBool::new(!fates.is_empty());
        let shared = Arc::new(Shared { point, fates: RwLock::new(fates), has_fates });
        Ok(Self { base, parent, shared })
    }

    /// What a commit after the branch's point wrote in the branch.
    fn written_here(&self, spaces: Option<Vec<KeyspaceId>>) -> Option<Vec<KeyspaceId>> {
        let mut spaces = spaces?;
        if spaces.contains(&self.keyspace()) {
            // All that is inherited may be meant.
            return None;
        }
        // Others write what is inherited elsewhere.
        spaces.retain(|space| !self.shared.is_inherited(*space));
        Some(spaces)
    }

    /// The branch's own keyspace, which names it where a number must.
    pub fn keyspace(&self) -> KeyspaceId {
        self.shared.point.keyspace
    }
}

/// The keyspaces that a branch ever made or dropped, among those with inherited numbers.
fn fates(base: &dyn Store, keyspace: KeyspaceId) -> Result<BTreeSet<KeyspaceId>> {
    let mut fates = BTreeSet::new();
    let mut txn = base.begin(BeginOptions { read_only: true, ..BeginOptions::default() })?;
    let range = OwnRange::fates();
    for_each_row(&mut *txn, keyspace, range.get(), ReadAt::Newest, &mut |row| {
        fates.extend(keys::split(keys::bare(row.key)).map(|(space, _)| space));
        Ok(())
    })?;
    txn.rollback();
    Ok(fates)
}

/// Visits every row of a range.
fn for_each_row(
    txn: &mut dyn Transaction,
    space: KeyspaceId,
    range: KeyRange<'_>,
    at: ReadAt,
    visit: &mut dyn FnMut(RowRef<'_>) -> Result<()>,
) -> Result<()> {
    let mut last: Option<Vec<u8>> = None;
    loop {
        let mut rows = RowBatch::new();
        let range = last.as_deref().map_or(range, |last| scan::after(&range, last, false));
        let request = ScanRequest { range, at, reverse: false, max_rows: 256 };
        let state = txn.scan(space, &request, &mut rows)?;
        rows.rows().try_for_each(&mut *visit)?;
        match rows.last_key() {
            Some(key) if state == ScanState::More => last = Some(key.to_vec()),
            _ => return Ok(()),
        }
    }
}

impl Store for BranchStore {
    fn begin(&self, options: BeginOptions) -> Result<Box<dyn Transaction>> {
        let mut past = options.as_of;
        if let Some(time) = &mut past
            && *time < self.shared.point.created
        {
            // Nothing happened in the branch before it was there; its beginning is promised.
            *time = self.shared.point.at.min(*time);
        }
        let isolation = committed(options.isolation);
        let inner = self.parent.begin(BeginOptions { isolation, as_of: past, ..options })?;
        Ok(Box::new(BranchTransaction::new(inner, &self.shared, past)))
    }

    fn newest(&self) -> Timestamp {
        self.base.newest()
    }

    fn timestamp_of_sequence(&self, sequence: u64) -> Result<Timestamp> {
        self.base.timestamp_of_sequence(sequence)
    }

    fn sequence_at(&self, ts: Timestamp) -> Result<u64> {
        self.base.sequence_at(ts)
    }

    fn commits(&self, first: u64, last: u64, most: usize) -> Result<Vec<CommitNote>> {
        let mut notes = self.base.commits(first, last, most)?;
        let Point { at, .. } = self.shared.point;
        let inherited = notes.partition_point(|note| note.ts <= at);
        if let Some(last) = inherited.checked_sub(1).map(|index| notes[index].sequence) {
            let own = notes.split_off(inherited);
            notes = self.parent.commits(first, last, most)?;
            notes.extend(own);
        }
        for note in notes.iter_mut().filter(|note| note.ts > at) {
            note.keyspaces = self.written_here(note.keyspaces.take());
        }
        Ok(notes)
    }

    fn hashes(&self) -> Option<&dyn CommitHashes> {
        None
    }

    fn wait_for_commit(
        &self,
        after: u64,
        limit: Duration,
        cancel: &CancelToken,
    ) -> Result<Duration> {
        self.base.wait_for_commit(after, limit, cancel)
    }

    fn unique_ids(&self, counter: Counter, count: u64) -> Result<u64> {
        self.base.unique_ids(counter, count)
    }

    fn retention(&self) -> Arc<RetentionPolicy> {
        let whole = self.base.retention();
        let keyspace = self.shared.point.keyspace;
        let mut policy = RetentionPolicy::clone(&whole);
        policy.by_keyspace.retain(|space, _| !self.shared.is_inherited(*space));
        policy.default = whole.of(keyspace).clone();
        Arc::new(policy)
    }

    fn set_retention(&self, policy: RetentionPolicy) {
        self.base.set_retention(policy);
    }

    fn set_history_rules(&self, rules: HistoryRules) {
        self.base.set_history_rules(rules);
    }

    /// A branch holds copies of what it changed, under keys of its own.
    fn can_erase(&self) -> bool {
        false
    }

    fn checkpoint(&self) -> Result<()> {
        self.base.checkpoint()
    }

    fn verify(
        &self,
        depth: VerifyDepth,
        report: &mut dyn VerifyReport,
    ) -> std::result::Result<(), StorageError> {
        self.base.verify(depth, report)
    }

    fn backup(
        &self,
        dir: &Path,
        base: Option<&Path>,
    ) -> std::result::Result<BackupReport, StorageError> {
        self.base.backup(dir, base)
    }

    fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        self.base.stats(out);
    }

    fn session_locks(&self, token: &CancelToken) -> Box<dyn SessionLocks> {
        Box::new(BranchLocks::new(self.base.session_locks(token), self.keyspace()))
    }

    fn must_lock_reads(&self) -> bool {
        self.base.must_lock_reads()
    }

    fn blockers(&self, session: i32) -> Vec<i32> {
        self.base.blockers(session)
    }

    fn locks(&self) -> Vec<LockEntry> {
        let within = |entry: LockEntry| {
            let thing = locks::within(entry.thing, self.keyspace())?;
            Some(LockEntry { thing, ..entry })
        };
        self.base.locks().into_iter().filter_map(within).collect()
    }

    fn waits(&self) -> Vec<WaitEntry> {
        let within = |entry: WaitEntry| {
            let thing = locks::within(entry.thing, self.keyspace())?;
            Some(WaitEntry { thing, ..entry })
        };
        self.base.waits().into_iter().filter_map(within).collect()
    }

    fn control_name(&self) -> &'static str {
        self.base.control_name()
    }

    fn engine_name(&self) -> &'static str {
        self.base.engine_name()
    }

    fn claims_wait(&self) -> bool {
        self.base.claims_wait()
    }

    fn granted(&self, requested: IsolationLevel) -> IsolationLevel {
        self.base.granted(committed(requested))
    }
}

/// The catalog is never read as it may not be committed, and lies in one keyspace with the rows.
fn committed(level: IsolationLevel) -> IsolationLevel {
    level.max(IsolationLevel::ReadCommitted)
}
