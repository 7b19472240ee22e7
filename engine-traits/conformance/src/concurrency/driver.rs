//! Drives several transactions at once: each on its own task, step by step.
//!
//! A step that waits for another transaction is left waiting and the next step goes to its own
//! transaction, as in PostgreSQL's isolation tester. How long a step may take before it counts as
//! waiting is real time; results never depend on it, only which interleaving is tried.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, CancelToken, Committed, IsolationLevel, LockIntent, LockStrength, Locked, ReadAt,
    Result, RowBatch, ScanRequest, Store, Transaction, TxnError, WaitPolicy,
};
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Disk, Env, IoOp, Task, World};
use driftdb_sim_disk::SimDisk;
use driftdb_storage::{ErrorKind, KeyRange, KeyspaceId};

/// Opens the store of an environment.
pub type Open = dyn Fn(&Env) -> Arc<dyn Store>;

/// Where cases write.
pub const SPACE: KeyspaceId = KeyspaceId(2000);

/// How long a step may take before it counts as waiting.
const PATIENCE: Duration = Duration::from_millis(40);
/// How long anything may take before the test gives up.
const FOREVER: Duration = Duration::from_secs(20);

/// The levels a case can ask for.
pub const LEVELS: [IsolationLevel; 3] =
    [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable];

/// The virtual disk under real time: lock timeouts and waits are those of threads.
struct RealTime {
    disk: SimDisk,
    os: Env,
}

impl World for RealTime {
    fn disk(&self) -> &dyn Disk {
        &self.disk
    }

    fn network(&self) -> &dyn driftdb_env::Network {
        self.os.network()
    }

    fn now(&self) -> Duration {
        self.os.now()
    }

    fn wall(&self) -> Duration {
        self.os.wall()
    }

    fn seed(&self) -> u64 {
        1
    }

    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) {
        // The handle is not needed: whoever spawned has its own.
        drop(self.os.spawn(name, body));
    }

    fn sleep(&self, duration: Duration) {
        self.os.sleep(duration);
    }
}

/// A store with [`SPACE`] and some rows, on a disk of its own.
pub struct Fixture {
    /// The disk.
    pub disk: SimDisk,
    /// The environment.
    pub env: Env,
    /// The store.
    pub store: Arc<dyn Store>,
}

impl Fixture {
    /// A new store with these rows.
    ///
    /// # Panics
    /// If the store refuses.
    pub fn new(open: &Open, rows: &[(&str, &str)]) -> Self {
        let disk = SimDisk::new(1);
        let env = Env::over(Arc::new(RealTime { disk: disk.clone(), os: Env::os() }));
        let store = open(&env);
        let fixture = Self { disk, env, store };
        let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
        txn.create_keyspace(SPACE).expect("a fresh keyspace");
        for (key, value) in rows {
            put(&mut *txn, key, value).expect("nobody else writes yet");
        }
        txn.commit().expect("the first commit");
        fixture
    }

    /// A transaction.
    ///
    /// # Panics
    /// If the store refuses.
    pub fn begin(&self, isolation: IsolationLevel) -> Box<dyn Transaction> {
        let mut txn = self
            .store
            .begin(BeginOptions { isolation, ..BeginOptions::default() })
            .expect("a healthy store begins transactions");
        txn.begin_statement().expect("a healthy store begins statements");
        txn
    }

    /// All rows that a new transaction sees.
    ///
    /// # Panics
    /// If the store refuses.
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut txn = self.begin(IsolationLevel::ReadCommitted);
        scan_all(&mut *txn, ReadAt::Statement).expect("a healthy store reads")
    }

    /// One value that a new transaction sees.
    ///
    /// # Panics
    /// If the store refuses.
    pub fn value(&self, key: &str) -> Option<String> {
        let mut txn = self.begin(IsolationLevel::ReadCommitted);
        get(&mut *txn, key, ReadAt::Statement).expect("a healthy store reads")
    }

    /// One write as a transaction of its own.
    ///
    /// # Panics
    /// If the store refuses.
    pub fn set(&self, key: &str, value: &str) -> Committed {
        let mut txn = self.begin(IsolationLevel::ReadCommitted);
        put(&mut *txn, key, value).expect("nobody else writes this key");
        txn.commit().expect("nobody else writes this key")
    }

    /// Starts an actor.
    pub fn actor(&self, isolation: IsolationLevel) -> Actor {
        Actor::new(&self.env, Arc::clone(&self.store), isolation)
    }
}

/// Holds up every sync of a disk until it is opened, or dropped.
pub struct SyncGate {
    disk: SimDisk,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl SyncGate {
    /// From now on nothing is synced.
    pub fn close(disk: &SimDisk) -> Self {
        let gate = Arc::<(Mutex<bool>, Condvar)>::default();
        let theirs = Arc::clone(&gate);
        disk.set_pause(Some(Arc::new(move |op, _| {
            let mut is_open = theirs.0.lock();
            while op == IoOp::Sync && !*is_open {
                theirs.1.wait(&mut is_open);
            }
        })));
        Self { disk: disk.clone(), gate }
    }

    /// Lets the syncs pass that wait, and all to come.
    pub fn open(&self) {
        *self.gate.0.lock() = true;
        self.gate.1.notify_all();
    }
}

impl Drop for SyncGate {
    fn drop(&mut self) {
        self.open();
        self.disk.set_pause(None);
    }
}

/// The value of a key.
///
/// # Errors
/// As [`Transaction::get`].
pub fn get(txn: &mut dyn Transaction, key: &str, at: ReadAt) -> Result<Option<String>> {
    let mut out = b"kept".to_vec();
    let found = txn.get(SPACE, key.as_bytes(), at, &mut out)?;
    assert!(out.starts_with(b"kept"), "get appends");
    assert!(found || out.len() == 4, "get leaves the buffer alone when there is nothing");
    Ok(found.then(|| String::from_utf8_lossy(&out[4..]).into_owned()))
}

/// Locks a key, waiting, and writes it.
///
/// # Errors
/// As [`Transaction::lock`].
pub fn put(txn: &mut dyn Transaction, key: &str, value: &str) -> Result<()> {
    let intent = LockIntent::Existing;
    let wait = WaitPolicy::Wait(None);
    txn.lock(SPACE, key.as_bytes(), LockStrength::NoKeyUpdate, intent, wait)?;
    txn.put(SPACE, key.as_bytes(), value.as_bytes())
}

/// Every row, in small batches.
///
/// # Errors
/// As [`Transaction::scan`].
pub fn scan_all(txn: &mut dyn Transaction, at: ReadAt) -> Result<Vec<(String, String)>> {
    scan_range(txn, KeyRange::ALL, at, false, 3)
}

/// The rows of a range in batches of `max_rows`.
///
/// # Errors
/// As [`Transaction::scan`].
pub fn scan_range(
    txn: &mut dyn Transaction,
    range: KeyRange<'_>,
    at: ReadAt,
    reverse: bool,
    max_rows: usize,
) -> Result<Vec<(String, String)>> {
    use driftdb_concurrency::ScanState;
    use std::ops::Bound;
    let mut rows = Vec::new();
    let mut last: Option<Vec<u8>> = None;
    loop {
        let mut rest = range;
        if let Some(last) = &last {
            *(if reverse { &mut rest.end } else { &mut rest.start }) = Bound::Excluded(last);
        }
        let mut batch = RowBatch::new();
        let request = ScanRequest { range: rest, at, reverse, max_rows };
        let state = txn.scan(SPACE, &request, &mut batch)?;
        assert!(batch.len() <= max_rows, "a batch of {} rows, asked for {max_rows}", batch.len());
        for row in batch.rows() {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            rows.push((text(row.key), text(row.value.expect("a scan shows live rows"))));
        }
        if state == ScanState::Done {
            return Ok(rows);
        }
        last = Some(batch.last_key().expect("More comes with at least one row").to_vec());
    }
}

/// What a step of an actor does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Reads a key in a new statement.
    Read(&'static str),
    /// Scans everything in a new statement.
    Scan,
    /// Locks and writes a key in a new statement, whatever it held.
    Write(&'static str, &'static str),
    /// Inserts a key in a new statement.
    Insert(&'static str, &'static str),
    /// Reads a number, adds to it, writes it back, as UPDATE does: re-read if it changed meanwhile.
    Add(&'static str, i64),
    /// Commits.
    Commit,
    /// Rolls back.
    Rollback,
}

/// What came of a step.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A read.
    Value(Option<String>),
    /// A scan.
    Rows(Vec<(String, String)>),
    /// A write, a commit or a rollback.
    Done,
    /// The transaction failed, and was rolled back.
    Failed(TxnError),
    /// It had ended before.
    Ended,
}

#[derive(Default)]
struct Mailbox {
    steps: VecDeque<Step>,
    outcomes: Vec<Outcome>,
    closed: bool,
}

type Shared = Arc<(Mutex<Mailbox>, Condvar)>;

/// One transaction on its own task.
pub struct Actor {
    shared: Shared,
    task: Option<Task>,
    cancel: CancelToken,
    sent: usize,
}

impl Actor {
    fn new(env: &Env, store: Arc<dyn Store>, isolation: IsolationLevel) -> Self {
        let shared = Shared::default();
        let cancel = CancelToken::new();
        let options = BeginOptions { isolation, cancel: cancel.clone(), ..BeginOptions::default() };
        let txn = store.begin(options).expect("a healthy store begins transactions");
        let theirs = Arc::clone(&shared);
        let task = env.spawn("actor", move || run(txn, &theirs));
        Self { shared, task: Some(task), cancel, sent: 0 }
    }

    /// Sends a step and waits a little for its outcome. True if it came.
    pub fn send(&mut self, step: Step) -> bool {
        self.shared.0.lock().steps.push_back(step);
        self.shared.1.notify_all();
        self.sent += 1;
        self.wait(PATIENCE)
    }

    /// Sends a step that has nothing to wait for, and waits for its outcome however slow the machine.
    ///
    /// # Panics
    /// If it waits all the same.
    pub fn complete(&mut self, step: Step) {
        self.shared.0.lock().steps.push_back(step.clone());
        self.shared.1.notify_all();
        self.sent += 1;
        assert!(self.wait(FOREVER), "{step:?} waits, and nobody is in its way");
    }

    /// Waits until everything sent has an outcome. False if `patience` ended first.
    fn wait(&self, patience: Duration) -> bool {
        let mut mailbox = self.shared.0.lock();
        let slice = Duration::from_millis(2);
        let mut waited = Duration::ZERO;
        while mailbox.outcomes.len() < self.sent && waited < patience {
            if !self.shared.1.wait_for(&mut mailbox, slice) {
                waited += slice;
            }
        }
        mailbox.outcomes.len() == self.sent
    }

    /// Asks the running step to stop.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for every outcome, ends the transaction, returns what came.
    ///
    /// # Panics
    /// If a step never ends.
    pub fn finish(mut self) -> Vec<Outcome> {
        assert!(self.wait(FOREVER), "a step waits for ever");
        self.shared.0.lock().closed = true;
        self.shared.1.notify_all();
        self.task.take().expect("joined once").join();
        std::mem::take(&mut self.shared.0.lock().outcomes)
    }
}

fn run(txn: Box<dyn Transaction>, shared: &Shared) {
    let mut txn = Some(txn);
    loop {
        let step = {
            let mut mailbox = shared.0.lock();
            loop {
                if let Some(step) = mailbox.steps.pop_front() {
                    break step;
                }
                if mailbox.closed {
                    return;
                }
                shared.1.wait(&mut mailbox);
            }
        };
        let outcome = match perform(&mut txn, &step) {
            Ok(outcome) => outcome,
            Err(error) => {
                if let Some(txn) = txn.take() {
                    txn.rollback();
                }
                Outcome::Failed(error)
            }
        };
        shared.0.lock().outcomes.push(outcome);
        shared.1.notify_all();
    }
}

fn perform(slot: &mut Option<Box<dyn Transaction>>, step: &Step) -> Result<Outcome> {
    let Some(txn) = slot else { return Ok(Outcome::Ended) };
    match step {
        Step::Commit => {
            slot.take().expect("present").commit()?;
            return Ok(Outcome::Done);
        }
        Step::Rollback => {
            slot.take().expect("present").rollback();
            return Ok(Outcome::Done);
        }
        _ => txn.begin_statement()?,
    }
    match step {
        Step::Read(key) => Ok(Outcome::Value(get(&mut **txn, key, ReadAt::Statement)?)),
        Step::Scan => Ok(Outcome::Rows(scan_all(&mut **txn, ReadAt::Statement)?)),
        Step::Write(key, value) => put(&mut **txn, key, value).map(|()| Outcome::Done),
        Step::Insert(key, value) => {
            let (strength, wait) = (LockStrength::Update, WaitPolicy::Wait(None));
            txn.lock(SPACE, key.as_bytes(), strength, LockIntent::Insert, wait)?;
            txn.put(SPACE, key.as_bytes(), value.as_bytes()).map(|()| Outcome::Done)
        }
        Step::Add(key, amount) => add(&mut **txn, key, *amount).map(|()| Outcome::Done),
        Step::Commit | Step::Rollback => Ok(Outcome::Done),
    }
}

/// What `UPDATE … SET v = v + amount` does.
///
/// # Errors
/// As [`Transaction::lock`].
pub fn add(txn: &mut dyn Transaction, key: &str, amount: i64) -> Result<()> {
    let mut before = get(txn, key, ReadAt::Statement)?;
    let (strength, wait) = (LockStrength::NoKeyUpdate, WaitPolicy::Wait(None));
    let locked = txn.lock(SPACE, key.as_bytes(), strength, LockIntent::Existing, wait)?;
    if locked == Locked::Changed {
        before = get(txn, key, ReadAt::Newest)?;
    }
    let before: i64 = before.as_deref().unwrap_or("0").parse().expect("cases add to numbers");
    txn.put(SPACE, key.as_bytes(), (before + amount).to_string().as_bytes())
}

/// The results of a script.
#[derive(Debug)]
pub struct Results {
    /// Per transaction, per step.
    pub outcomes: Vec<Vec<Outcome>>,
}

impl Results {
    /// Whether a transaction committed.
    pub fn committed(&self, txn: usize) -> bool {
        matches!(self.outcomes[txn].last(), Some(Outcome::Done))
    }

    /// The value that the n-th step of a transaction read.
    pub fn read(&self, txn: usize, step: usize) -> Option<&str> {
        match &self.outcomes[txn][step] {
            Outcome::Value(value) => value.as_deref(),
            _ => None,
        }
    }

    /// The rows that the n-th step of a transaction scanned.
    pub fn rows(&self, txn: usize, step: usize) -> Option<&[(String, String)]> {
        match &self.outcomes[txn][step] {
            Outcome::Rows(rows) => Some(rows),
            _ => None,
        }
    }
}

/// Runs an interleaving: each step by its transaction, in this order, a waiting one left behind.
/// Every transaction's last step must end it.
///
/// # Panics
/// If a step never ends, or fails for a reason that is no conflict.
pub fn script(fixture: &Fixture, level: IsolationLevel, steps: &[(usize, Step)]) -> Results {
    let count = steps.iter().map(|(txn, _)| txn + 1).max().unwrap_or(0);
    let mut actors: Vec<Actor> = (0..count).map(|_| fixture.actor(level)).collect();
    for (txn, step) in steps {
        actors[*txn].send(step.clone());
    }
    let outcomes: Vec<Vec<Outcome>> = actors.into_iter().map(Actor::finish).collect();
    for outcome in outcomes.iter().flatten() {
        if let Outcome::Failed(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Retry, "{level}: {steps:?}: {error}");
        }
    }
    Results { outcomes }
}
