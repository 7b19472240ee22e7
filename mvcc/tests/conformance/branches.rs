//! Branches that inherit what a case has made first.
//!
//! A case sets its store up in one transaction and then begins. So the store here is the database itself
//! up to the first commit, and from then on a branch of it (or a branch of a branch), in which the case's
//! table and rows are inherited.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, CancelToken, CommitNote, Committed, ConcurrencyControl, Counter, HistoryRules,
    IsolationLevel, LockEntry, LockIntent, LockMode, LockObject, LockStrength, Locked,
    ObjectLocked, Provenance, ReadAt, Result, RowBatch, SavepointId, ScanRequest, ScanState,
    SessionLocks, Store, Transaction, TxnId, VersionScan, WaitEntry, WaitPolicy,
};
use driftdb_env::Env;
use driftdb_env::sync::RwLock;
use driftdb_mvcc::{BranchError, Branches, MvccStore, NewBranch, StoreOptions};
use driftdb_storage::{
    BackupReport, Engine, Erasure, KeyRange, KeyspaceId, RetentionPolicy, StorageError, Timestamp,
    VerifyDepth, VerifyReport,
};

/// So many numbers of keyspaces are used up before the branch gets its own: those of the cases' table
/// are lower, those of the keyspaces that they make in the branch are higher.
const USED_UP: u64 = 1500;

fn database<E: Engine, C: ConcurrencyControl>(env: &Env) -> Arc<dyn Store> {
    MvccStore::<E, C>::open(env, Path::new("/data"), &StoreOptions::tiny()).unwrap()
}

/// The store of the branch at the end of a chain, which is made if it is not there.
fn branch(base: &Arc<dyn Store>, names: &[&str]) -> Arc<dyn Store> {
    let branches = Branches::new(Arc::clone(base));
    let mut parent = None;
    for name in names {
        match branches.create(&NewBranch { name, parent, at: None }, &Provenance::default()) {
            Ok(_) | Err(BranchError::Exists { .. }) => parent = Some(*name),
            Err(error) => panic!("{error}"),
        }
    }
    let pins = branches.pins().unwrap();
    base.set_history_rules(HistoryRules { pins, ..HistoryRules::default() });
    branches.open(names.last().unwrap()).unwrap()
}

/// A branch of an empty database: everything is made in it.
pub(crate) fn of_nothing<E: Engine, C: ConcurrencyControl>(env: &Env) -> Arc<dyn Store> {
    branch(&database::<E, C>(env), &["b"])
}

/// A branch that inherits what the first transaction makes.
pub(crate) fn inheriting<E: Engine, C: ConcurrencyControl>(env: &Env) -> Arc<dyn Store> {
    Late::open(database::<E, C>(env), &["b"])
}

/// The same at the end of a chain of branches.
pub(crate) fn nested<E: Engine, C: ConcurrencyControl>(env: &Env) -> Arc<dyn Store> {
    Late::open(database::<E, C>(env), &["a", "b", "c"])
}

/// A database that a branch takes the place of at its first commit.
struct Late {
    now: Arc<RwLock<Arc<dyn Store>>>,
    names: &'static [&'static str],
}

impl Late {
    fn open(base: Arc<dyn Store>, names: &'static [&'static str]) -> Arc<dyn Store> {
        let has_branches = !Branches::new(Arc::clone(&base)).now().unwrap().is_empty();
        let now = if has_branches { branch(&base, names) } else { base };
        let names = if has_branches { &[] } else { names };
        Arc::new(Self { now: Arc::new(RwLock::new(now)), names })
    }

    fn now(&self) -> Arc<dyn Store> {
        Arc::clone(&self.now.read())
    }
}

impl Store for Late {
    fn begin(&self, options: BeginOptions) -> Result<Box<dyn Transaction>> {
        let inner = self.now().begin(options)?;
        if self.now().commits(1, 1, 1)?.is_empty() && !self.names.is_empty() {
            return Ok(Box::new(First { inner, now: Arc::clone(&self.now), names: self.names }));
        }
        Ok(inner)
    }

    fn newest(&self) -> Timestamp {
        self.now().newest()
    }

    fn timestamp_of_sequence(&self, sequence: u64) -> Result<Timestamp> {
        self.now().timestamp_of_sequence(sequence)
    }

    fn sequence_at(&self, ts: Timestamp) -> Result<u64> {
        self.now().sequence_at(ts)
    }

    fn commits(&self, first: u64, last: u64, most: usize) -> Result<Vec<CommitNote>> {
        self.now().commits(first, last, most)
    }

    fn wait_for_commit(
        &self,
        after: u64,
        limit: Duration,
        cancel: &CancelToken,
    ) -> Result<Duration> {
        self.now().wait_for_commit(after, limit, cancel)
    }

    fn unique_ids(&self, counter: Counter, count: u64) -> Result<u64> {
        self.now().unique_ids(counter, count)
    }

    fn retention(&self) -> Arc<RetentionPolicy> {
        self.now().retention()
    }

    fn set_retention(&self, policy: RetentionPolicy) {
        self.now().set_retention(policy);
    }

    fn set_history_rules(&self, rules: HistoryRules) {
        self.now().set_history_rules(rules);
    }

    fn can_erase(&self) -> bool {
        self.now().can_erase()
    }

    fn checkpoint(&self) -> Result<()> {
        self.now().checkpoint()
    }

    fn verify(
        &self,
        depth: VerifyDepth,
        report: &mut dyn VerifyReport,
    ) -> std::result::Result<(), StorageError> {
        self.now().verify(depth, report)
    }

    fn backup(
        &self,
        dir: &Path,
        base: Option<&Path>,
    ) -> std::result::Result<BackupReport, StorageError> {
        self.now().backup(dir, base)
    }

    fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        self.now().stats(out);
    }

    fn session_locks(&self, token: &CancelToken) -> Box<dyn SessionLocks> {
        self.now().session_locks(token)
    }

    fn must_lock_reads(&self) -> bool {
        self.now().must_lock_reads()
    }

    fn blockers(&self, session: i32) -> Vec<i32> {
        self.now().blockers(session)
    }

    fn locks(&self) -> Vec<LockEntry> {
        self.now().locks()
    }

    fn waits(&self) -> Vec<WaitEntry> {
        self.now().waits()
    }

    fn control_name(&self) -> &'static str {
        self.now().control_name()
    }

    fn engine_name(&self) -> &'static str {
        self.now().engine_name()
    }

    fn claims_wait(&self) -> bool {
        self.now().claims_wait()
    }

    fn granted(&self, requested: IsolationLevel) -> IsolationLevel {
        self.now().granted(requested)
    }
}

/// The first transaction: when it has committed, the branch is made.
struct First {
    inner: Box<dyn Transaction>,
    now: Arc<RwLock<Arc<dyn Store>>>,
    names: &'static [&'static str],
}

impl Transaction for First {
    fn id(&self) -> TxnId {
        self.inner.id()
    }

    fn isolation(&self) -> IsolationLevel {
        self.inner.isolation()
    }

    fn is_read_only(&self) -> bool {
        self.inner.is_read_only()
    }

    fn snapshot_ts(&self) -> Timestamp {
        self.inner.snapshot_ts()
    }

    fn begin_statement(&mut self) -> Result<()> {
        self.inner.begin_statement()
    }

    fn restart(&mut self) -> Result<bool> {
        self.inner.restart()
    }

    fn get(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        at: ReadAt,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        self.inner.get(space, key, at, out)
    }

    fn scan(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.inner.scan(space, request, out)
    }

    fn scan_versions(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.inner.scan_versions(space, request, out)
    }

    fn scan_begun(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.inner.scan_begun(space, request, out)
    }

    fn scan_changes(
        &mut self,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        after: Timestamp,
        up_to: Timestamp,
        max_rows: usize,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.inner.scan_changes(space, range, after, up_to, max_rows, out)
    }

    fn oldest_readable(&mut self, space: KeyspaceId) -> Result<Timestamp> {
        self.inner.oldest_readable(space)
    }

    fn lock(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        intent: LockIntent,
        wait: WaitPolicy,
    ) -> Result<Locked> {
        self.inner.lock(space, key, strength, intent, wait)
    }

    fn lock_object(
        &mut self,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked> {
        self.inner.lock_object(object, mode, wait)
    }

    fn settle_reads(&mut self) -> Result<()> {
        self.inner.settle_reads()
    }

    fn has_changed(&mut self, space: KeyspaceId, key: &[u8]) -> Result<bool> {
        self.inner.has_changed(space, key)
    }

    fn put(&mut self, space: KeyspaceId, key: &[u8], value: &[u8]) -> Result<()> {
        self.inner.put(space, key, value)
    }

    fn delete(&mut self, space: KeyspaceId, key: &[u8]) -> Result<()> {
        self.inner.delete(space, key)
    }

    fn create_keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        self.inner.create_keyspace(space)
    }

    fn drop_keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        self.inner.drop_keyspace(space)
    }

    fn savepoint(&mut self) -> SavepointId {
        self.inner.savepoint()
    }

    fn rollback_to(&mut self, savepoint: SavepointId) {
        self.inner.rollback_to(savepoint);
    }

    fn release(&mut self, savepoint: SavepointId) {
        self.inner.release(savepoint);
    }

    fn erase(&mut self, erasure: Erasure) -> Result<()> {
        self.inner.erase(erasure)
    }

    fn describe(&mut self, provenance: &Provenance) {
        self.inner.describe(provenance);
    }

    fn has_writes(&self) -> bool {
        self.inner.has_writes()
    }

    fn commit(self: Box<Self>) -> Result<Committed> {
        let committed = self.inner.commit()?;
        let mut now = self.now.write();
        now.unique_ids(Counter::Keyspace, USED_UP)?;
        *now = branch(&now, self.names);
        Ok(committed)
    }

    fn rollback(self: Box<Self>) {
        self.inner.rollback();
    }
}
