//! Branches that inherit what a case has made first.
//!
//! A case sets its store up in one transaction and then begins. So the store here is the database itself
//! up to the first commit, and from then on a branch of it (or a branch of a branch), in which the case's
//! table and rows are inherited.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, CancelToken, CommitHashes, CommitNote, Committed, ConcurrencyControl, Counter,
    HistoryRules, IsolationLevel, LockEntry, Provenance, Result, SessionLocks, Store, Transaction,
    WaitEntry,
};
use driftdb_env::Env;
use driftdb_env::sync::RwLock;
use driftdb_mvcc::{BranchError, Branches, MvccStore, NewBranch, StoreOptions};
use driftdb_storage::{
    BackupReport, Engine, RetentionPolicy, StorageError, Timestamp, VerifyDepth, VerifyReport,
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

    fn hashes(&self) -> Option<&dyn CommitHashes> {
        // Of the branch there are none, and a reference to the database would not live long enough.
        None
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
    driftdb_concurrency::delegate_transaction!(
        inner: id, isolation, is_read_only, snapshot_ts, begin_statement, enter_statement,
        leave_statement, restart, get, scan, scan_versions, scan_begun, scan_changes, oldest_readable, lock,
        lock_object, settle_reads, has_changed, put, delete,
        create_keyspace, drop_keyspace, savepoint, rollback_to, release, erase, describe, has_writes,
        rollback,
    );

    fn commit(self: Box<Self>) -> Result<Committed> {
        let committed = self.inner.commit()?;
        let mut now = self.now.write();
        now.unique_ids(Counter::Keyspace, USED_UP)?;
        *now = branch(&now, self.names);
        Ok(committed)
    }
}
