//! A store on a virtual disk, and transactions in few words.

use std::path::Path;
use std::sync::Arc;

use driftdb_concurrency::{
    BeginOptions, ConcurrencyControl, IsolationLevel, LockIntent, LockStrength, Locked, ReadAt,
    Result, RowBatch, ScanRequest, ScanState, Store, Transaction, WaitPolicy,
};
use driftdb_env::Env;
use driftdb_memory::MemoryEngine;
use driftdb_mvcc::{MvccStore, StoreOptions};
use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

pub(crate) use IsolationLevel::{ReadCommitted, RepeatableRead, Serializable};

/// The table of most tests.
pub(crate) const TABLE: KeyspaceId = KeyspaceId(1024);

pub(crate) const WAIT: WaitPolicy = WaitPolicy::Wait(None);

/// Runs each generic test under each control whose claims wait, as a test of its own.
macro_rules! for_each_waiting_control {
    ($($name:ident),* $(,)?) => {
        mod ssi {
            $(#[test] fn $name() { super::$name::<driftdb_mvcc::SsiControl>(); })*
        }
        mod ssn {
            $(#[test] fn $name() { super::$name::<driftdb_mvcc::SsnControl>(); })*
        }
        mod locking {
            $(#[test] fn $name() { super::$name::<driftdb_mvcc::LockingControl>(); })*
        }
    };
}

/// Runs each generic test under each control, as a test of its own.
macro_rules! for_each_control {
    ($($name:ident),* $(,)?) => {
        for_each_waiting_control!($($name),*);
        mod occ {
            $(#[test] fn $name() { super::$name::<driftdb_mvcc::OccControl>(); })*
        }
    };
}

/// Runs each generic test under each control whose claims on keys end before a commit is durable.
macro_rules! for_each_early_control {
    ($($name:ident),* $(,)?) => {
        mod ssi {
            $(#[test] fn $name() { super::$name::<driftdb_mvcc::SsiControl>(); })*
        }
        mod ssn {
            $(#[test] fn $name() { super::$name::<driftdb_mvcc::SsnControl>(); })*
        }
    };
}

pub(crate) type TestStore<C> = MvccStore<MemoryEngine, C>;
pub(crate) type Txn = Box<dyn Transaction>;

/// A disk, and the store that is open on it.
pub(crate) struct Fixture<C: ConcurrencyControl> {
    pub(crate) disk: SimDisk,
    pub(crate) env: Env,
    pub(crate) store: Arc<TestStore<C>>,
    pub(crate) options: StoreOptions,
}

/// Small, and without a background task: a test decides when something happens.
pub(crate) fn options() -> StoreOptions {
    StoreOptions { background: false, ..StoreOptions::tiny() }
}

pub(crate) fn open<C: ConcurrencyControl>(
    env: &Env,
    options: &StoreOptions,
) -> driftdb_storage::Result<Arc<TestStore<C>>> {
    MvccStore::open(env, Path::new("/db"), options)
}

impl<C: ConcurrencyControl> Fixture<C> {
    /// A store with an empty table.
    pub(crate) fn new() -> Self {
        Self::with(&options())
    }

    pub(crate) fn with(options: &StoreOptions) -> Self {
        let disk = SimDisk::new(1);
        let env = sim_env(&disk, 1);
        let store = open(&env, options).unwrap();
        let mut txn = begin(&*store, ReadCommitted);
        txn.create_keyspace(TABLE).unwrap();
        txn.commit().unwrap();
        Self { disk, env, store, options: options.clone() }
    }

    /// A store with rows that were committed together.
    pub(crate) fn holding(rows: &[(&str, &str)]) -> Self {
        let fixture = Self::new();
        fixture.set(rows);
        fixture
    }

    pub(crate) fn begin(&self, isolation: IsolationLevel) -> Txn {
        begin(&*self.store, isolation)
    }

    pub(crate) fn begin_as_of(&self, ts: Timestamp) -> Result<Txn> {
        self.store.begin(BeginOptions { as_of: Some(ts), ..BeginOptions::default() })
    }

    /// Writes rows in a transaction of their own; returns its timestamp.
    pub(crate) fn set(&self, rows: &[(&str, &str)]) -> Timestamp {
        let mut txn = self.begin(ReadCommitted);
        for (key, value) in rows {
            put(&mut txn, key, value).unwrap();
        }
        txn.commit().unwrap().commit.unwrap().ts
    }

    /// What a new transaction reads.
    pub(crate) fn read(&self, key: &str) -> Option<String> {
        get(&mut self.begin(ReadCommitted), key)
    }

    /// Loses power and opens again.
    pub(crate) fn crash(self) -> Self {
        self.disk.crash();
        drop(self.store);
        self.disk.clear_faults();
        let store = open(&self.env, &self.options).unwrap();
        Self { store, ..self }
    }
}

pub(crate) fn begin(store: &dyn Store, isolation: IsolationLevel) -> Txn {
    let mut txn = store.begin(BeginOptions { isolation, ..BeginOptions::default() }).unwrap();
    txn.begin_statement().unwrap();
    txn
}

pub(crate) fn get_at(txn: &mut Txn, key: &str, at: ReadAt) -> Result<Option<String>> {
    let mut value = Vec::new();
    let found = txn.get(TABLE, key.as_bytes(), at, &mut value)?;
    Ok(found.then(|| String::from_utf8(value).unwrap()))
}

pub(crate) fn get(txn: &mut Txn, key: &str) -> Option<String> {
    get_at(txn, key, ReadAt::Statement).unwrap()
}

pub(crate) fn lock(txn: &mut Txn, key: &str, intent: LockIntent) -> Result<Locked> {
    txn.lock(TABLE, key.as_bytes(), LockStrength::Update, intent, WAIT)
}

/// Inserts or overwrites, whatever is there.
pub(crate) fn put(txn: &mut Txn, key: &str, value: &str) -> Result<()> {
    lock(txn, key, LockIntent::Insert)?;
    txn.put(TABLE, key.as_bytes(), value.as_bytes())
}

/// Updates a row that the statement saw.
pub(crate) fn update(txn: &mut Txn, key: &str, value: &str) -> Result<Locked> {
    let locked = lock(txn, key, LockIntent::Existing)?;
    txn.put(TABLE, key.as_bytes(), value.as_bytes())?;
    Ok(locked)
}

pub(crate) fn delete(txn: &mut Txn, key: &str) -> Result<()> {
    lock(txn, key, LockIntent::Existing)?;
    txn.delete(TABLE, key.as_bytes())
}

/// All rows of a range in batches of `max_rows`, as `key=value`.
pub(crate) fn scan_by(
    txn: &mut Txn,
    range: KeyRange<'_>,
    at: ReadAt,
    reverse: bool,
    max_rows: usize,
) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    let mut last: Option<Vec<u8>> = None;
    loop {
        let mut range = range;
        if let Some(last) = &last {
            let end = std::ops::Bound::Excluded(&last[..]);
            *(if reverse { &mut range.end } else { &mut range.start }) = end;
        }
        let mut batch = RowBatch::new();
        let request = ScanRequest { range, at, reverse, max_rows };
        let state = txn.scan(TABLE, &request, &mut batch)?;
        assert!(batch.len() <= max_rows);
        for row in batch.rows() {
            let value = row.value.expect("scans of one time yield no tombstones");
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            rows.push(format!("{}={}", text(row.key), text(value)));
        }
        if state == ScanState::Done {
            return Ok(rows);
        }
        last = Some(batch.last_key().expect("more means that there is a key").to_vec());
    }
}

pub(crate) fn scan(txn: &mut Txn) -> Vec<String> {
    scan_by(txn, KeyRange::ALL, ReadAt::Statement, false, 2).unwrap()
}

/// Returns when `count` edges stand in the wait-for graph.
pub(crate) fn until_waiting<C: ConcurrencyControl>(store: &TestStore<C>, count: usize) {
    while store.waits().len() < count {
        driftdb_env::yield_now("test");
    }
}

/// Runs a body beside the test; [`Beside::join`] gives its result.
pub(crate) struct Beside<T> {
    task: driftdb_env::Task,
    result: Arc<driftdb_env::sync::Mutex<Option<T>>>,
}

pub(crate) fn beside<T: Send + 'static>(
    env: &Env,
    body: impl FnOnce() -> T + Send + 'static,
) -> Beside<T> {
    let result = Arc::new(driftdb_env::sync::Mutex::new(None));
    let theirs = Arc::clone(&result);
    let task = env.spawn("beside", move || {
        let value = body();
        *theirs.lock() = Some(value);
    });
    Beside { task, result }
}

impl<T> Beside<T> {
    pub(crate) fn join(self) -> T {
        self.task.join();
        self.result.lock().take().expect("the body did not panic")
    }
}
