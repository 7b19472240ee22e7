//! Appending to lists on the transactional store, with reads of keys, of ranges, and of the past; judged
//! by both oracles of isolation, which must agree.
//!
//! The black-box one hears of the same reads and appends, and of no timestamp. A list is not there
//! before the first append to it, so reads of ranges meet phantoms. All transactions of a seed run at
//! one level, so that what SERIALIZABLE promises is owed. After each opening everything so far is judged
//! ([`recovery`]); what a crash left open is decided by what recovery shows.

mod recovery;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    BeginOptions, IsolationLevel, LockIntent, LockStrength, Locked, Provenance, ReadAt, RowBatch,
    ScanRequest, ScanState, Store, Transaction, TxnError, WaitPolicy,
};
use driftdb_env::Rng;
use driftdb_server::Node;
use driftdb_storage::{ErrorKind, KeyRange, KeyspaceId, StorageError, Timestamp};

use crate::node::{Finding, Workload};
use crate::operations::{self, Draws};
use crate::oracle::graph::Anomaly;
use crate::oracle::lists::{Fate, History, Op};
use crate::oracle::versions::{Act, Reads, Row, Versions};
use crate::plan::Plan;

const SPACE: KeyspaceId = KeyspaceId(1024);

pub(crate) struct Isolation {
    isolation: IsolationLevel,
    judged_as: Option<IsolationLevel>,
    /// Whether the control reads the newest version under locks.
    locks_reads: bool,
    key_count: u64,
    /// Whether the keyspace was acknowledged, or seen.
    is_prepared: Cell<bool>,
    /// Transactions that both oracles have judged.
    checked_count: Cell<u64>,
    lists: RefCell<History>,
    versions: RefCell<Versions>,
    rng: Draws,
    judged: RefCell<Option<Judged>>,
}

/// What the oracles found, when nothing was violated.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    /// Kinds of cycle that are there, allowed or not.
    pub(crate) anomalies: BTreeSet<Anomaly>,
    /// The history, for another checker.
    pub(crate) elle: String,
}

/// Why a transaction did not commit.
enum Failed {
    Refused(TxnError),
    Violation(String),
}

impl From<TxnError> for Failed {
    fn from(error: TxnError) -> Self {
        Self::Refused(error)
    }
}

/// A running transaction, by its number in either oracle.
struct Running {
    txn: Box<dyn Transaction>,
    in_lists: Option<usize>,
    in_versions: usize,
}

/// The keys from `first` to `last` as a statement read them at `at`.
struct Seen {
    at: Timestamp,
    first: u64,
    last: u64,
    rows: BTreeMap<u64, Row>,
}

fn key_name(key: u64) -> Vec<u8> {
    format!("list {key:03}").into_bytes()
}

fn key_of(name: &[u8]) -> Option<u64> {
    std::str::from_utf8(name).ok()?.strip_prefix("list ")?.parse().ok()
}

fn to_bytes(list: &[u64]) -> Vec<u8> {
    let values: Vec<String> = list.iter().map(u64::to_string).collect();
    values.join(",").into_bytes()
}

fn from_bytes(bytes: &[u8]) -> Result<Vec<u64>, Failed> {
    let text = String::from_utf8_lossy(bytes);
    let list: Result<Vec<u64>, _> = text.split(',').map(str::parse).collect();
    list.map_err(|_| Failed::Violation(format!("a list reads as \"{text}\"")))
}

impl Isolation {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::stream(plan.seed, "isolation workload");
        let key_count = 3 + rng.below(6);
        Self {
            isolation: plan.isolation,
            judged_as: plan.judged_as,
            locks_reads: plan.config.control == "locking",
            key_count,
            is_prepared: Cell::new(false),
            checked_count: Cell::new(0),
            lists: RefCell::new(History::new(key_count)),
            versions: RefCell::default(),
            rng: Draws::new(plan.seed, "isolation"),
            judged: RefCell::default(),
        }
    }

    /// What came of it.
    pub(crate) fn judged(&self) -> Option<Judged> {
        self.judged.borrow().clone()
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    fn begin(&self, store: &dyn Store) -> Result<Running, Failed> {
        let past = match self.draw(8) {
            0 => {
                let times = self.versions.borrow().commit_times();
                (!times.is_empty()).then(|| times[self.rng.borrow_mut().index(times.len())])
            }
            _ => None,
        };
        let options = BeginOptions {
            isolation: self.isolation,
            read_only: past.is_some() || self.draw(8) == 0,
            as_of: past,
            ..BeginOptions::default()
        };
        let newest_ack = self.versions.borrow().newest_ack();
        let txn = store.begin(options)?;
        let reads = match (txn.isolation(), past) {
            (_, Some(_)) => Reads::Past,
            (IsolationLevel::ReadUncommitted, _) => Reads::Dirty,
            (IsolationLevel::ReadCommitted, _) => Reads::Statement,
            _ if self.locks_reads && !txn.is_read_only() => Reads::Newest,
            _ => Reads::Snapshot,
        };
        let mut versions = self.versions.borrow_mut();
        let begun = versions.begin(reads, txn.snapshot_ts(), newest_ack);
        let in_versions = begun.map_err(Failed::Violation)?;
        // The past is a matter of timestamps: the black-box oracle knows none.
        let in_lists = past.is_none().then(|| self.lists.borrow_mut().begin());
        Ok(Running { txn, in_lists, in_versions })
    }

    /// Reads the keys from `first` to `last`, one by its key, several by a scan in batches.
    fn read(&self, running: &mut Running, first: u64, last: u64) -> Result<(), Failed> {
        let seen = self.look(running, first, last)?;
        // From here on somebody knows of it.
        running.txn.settle_reads()?;
        self.note(running.in_lists, running.in_versions, seen);
        Ok(())
    }

    /// As [`Isolation::read`], and tells nobody.
    fn look(&self, running: &mut Running, first: u64, last: u64) -> Result<Seen, Failed> {
        running.txn.begin_statement()?;
        let mut rows = BTreeMap::new();
        if first == last && self.draw(3) > 0 {
            if let Some(list) = get(&mut *running.txn, first, ReadAt::Statement)? {
                rows.insert(first, Row { list, ts: None });
            }
        } else {
            self.scan(&mut *running.txn, first, last, &mut rows)?;
        }
        Ok(Seen { at: running.txn.snapshot_ts(), first, last, rows })
    }

    /// Tells both oracles of a read.
    fn note(&self, in_lists: Option<usize>, in_versions: usize, seen: Seen) {
        let Seen { at, first, last, rows } = seen;
        operations::say(|| {
            let rows: Vec<String> =
                rows.iter().map(|(key, row)| format!("{key} = {:?}", row.list)).collect();
            let rows = if rows.is_empty() { "nothing".to_owned() } else { rows.join(", ") };
            match first == last {
                true => format!("transaction {in_versions} reads {first}: {rows}"),
                false => format!("transaction {in_versions} reads {first} to {last}: {rows}"),
            }
        });
        if let Some(txn) = in_lists {
            let mut lists = self.lists.borrow_mut();
            for key in first..=last {
                let list = rows.get(&key).map(|row: &Row| row.list.clone()).unwrap_or_default();
                lists.push(txn, Op::Read { key, list });
            }
        }
        self.versions.borrow_mut().act(in_versions, Act::Read { at, first, last, rows });
    }

    /// Locks a list and reads all of them. Nobody is told before the transaction, which writes nothing, has
    /// ended: only then it is sure.
    fn hold(&self, running: &mut Running) -> Result<Seen, Failed> {
        running.txn.begin_statement()?;
        let name = key_name(self.draw(self.key_count));
        let (strength, intent) = (LockStrength::Update, LockIntent::Existing);
        running.txn.lock(SPACE, &name, strength, intent, WaitPolicy::Wait(None))?;
        self.look(running, 0, self.key_count - 1)
    }

    fn scan(
        &self,
        txn: &mut dyn Transaction,
        first: u64,
        last: u64,
        rows: &mut BTreeMap<u64, Row>,
    ) -> Result<(), Failed> {
        let (mut start, mut end) =
            (Bound::Included(key_name(first)), Bound::Included(key_name(last)));
        let (reverse, max_rows) = (self.draw(2) == 0, [1, 2, 100][self.draw(3) as usize]);
        let mut batch = RowBatch::new();
        loop {
            let range = KeyRange {
                start: start.as_ref().map(Vec::as_slice),
                end: end.as_ref().map(Vec::as_slice),
            };
            let request = ScanRequest { range, at: ReadAt::Statement, reverse, max_rows };
            batch.clear();
            let state = txn.scan(SPACE, &request, &mut batch)?;
            for row in batch.rows() {
                let Some(key) = key_of(row.key) else {
                    return Err(Failed::Violation(format!("a key reads as {:?}", row.key)));
                };
                let list = from_bytes(row.value.unwrap_or_default())?;
                if rows.insert(key, Row { list, ts: Some(row.ts) }).is_some() {
                    return Err(Failed::Violation(format!("a scan gives list {key} twice")));
                }
            }
            let Some(reached) = batch.last_key().filter(|_| state == ScanState::More) else {
                return Ok(());
            };
            let bound = Bound::Excluded(reached.to_vec());
            if reverse { end = bound } else { start = bound }
        }
    }

    /// As an upsert does; the value.
    fn append(&self, running: &mut Running, key: u64) -> Result<u64, Failed> {
        let txn = &mut *running.txn;
        txn.begin_statement()?;
        let name = key_name(key);
        let mut list = get(txn, key, ReadAt::Statement)?;
        let (strength, intent) = match list {
            Some(_) => (LockStrength::NoKeyUpdate, LockIntent::Existing),
            None => (LockStrength::Update, LockIntent::Insert),
        };
        let locked = txn.lock(SPACE, &name, strength, intent, WaitPolicy::Wait(None))?;
        if locked == Locked::Changed || txn.isolation() == IsolationLevel::ReadUncommitted {
            let was_there = list.is_some();
            list = get(txn, key, ReadAt::Newest)?;
            if !was_there && list.is_some() && txn.isolation() >= IsolationLevel::RepeatableRead {
                // SQL finds the key taken by a row that its snapshot does not show.
                return Err(Failed::Refused(TxnError::ConcurrentUpdate));
            }
        }
        let in_lists = running.in_lists.expect("the past is not written to");
        let value = self.lists.borrow_mut().new_value(in_lists, key);
        let mut list = list.unwrap_or_default();
        list.push(value);
        txn.put(SPACE, &name, &to_bytes(&list))?;
        let number = running.in_versions;
        operations::say(|| format!("transaction {number} appends {value} to {key}: {list:?}"));
        self.versions.borrow_mut().act(running.in_versions, Act::Append { key, value });
        Ok(value)
    }

    fn undone_appends(&self, running: &mut Running) -> Result<(), Failed> {
        let savepoint = running.txn.savepoint();
        let mut values = Vec::new();
        for _ in 0..1 + self.draw(2) {
            let key = self.draw(self.key_count);
            values.push(self.append(running, key)?);
        }
        running.txn.rollback_to(savepoint);
        if let Some(txn) = running.in_lists {
            self.lists.borrow_mut().undo(txn, &values);
        }
        self.versions.borrow_mut().undo(running.in_versions, &values);
        Ok(())
    }

    fn acts(&self, running: &mut Running) -> Result<(), Failed> {
        for _ in 0..1 + self.draw(4) {
            let key = self.draw(self.key_count);
            match self.draw(10) {
                0..3 => self.read(running, key, key)?,
                3..6 => {
                    let other = self.draw(self.key_count);
                    self.read(running, key.min(other), key.max(other))?;
                }
                _ if running.txn.is_read_only() => self.read(running, 0, self.key_count - 1)?,
                6..9 => {
                    self.append(running, key)?;
                }
                _ => self.undone_appends(running)?,
            }
        }
        if self.draw(12) == 0 { Err(Failed::Refused(TxnError::Canceled)) } else { Ok(()) }
    }

    /// One transaction; false if the store does not seem to go on.
    fn transact(&self, store: &dyn Store) -> Result<bool, Finding> {
        let mut running = match self.begin(store) {
            Ok(running) => running,
            Err(failed) => return go_on(failed),
        };
        let (in_lists, in_versions) = (running.in_lists, running.in_versions);
        let settle = |fate| {
            if let Some(txn) = in_lists {
                self.lists.borrow_mut().settle(txn, fate);
            }
        };
        let only_holds = in_lists.is_some() && !running.txn.is_read_only() && self.draw(8) == 0;
        let done = match only_holds {
            true => self.hold(&mut running).map(Some),
            false => self.acts(&mut running).map(|()| None),
        };
        let done = done.and_then(|seen| {
            // The commit says whose it is: a recovery may have to tell.
            let comment = in_versions.to_string();
            running.txn.describe(&Provenance { comment, ..Provenance::default() });
            Ok((running.txn.commit()?, seen))
        });
        operations::say(|| match &done {
            Ok(_) => format!("transaction {in_versions} commits"),
            Err(Failed::Refused(error)) => format!("transaction {in_versions}: {error}"),
            Err(Failed::Violation(what)) => format!("transaction {in_versions}: {what}"),
        });
        match done {
            Ok((committed, seen)) => {
                if let Some(seen) = seen {
                    self.note(in_lists, in_versions, seen);
                }
                self.versions.borrow_mut().commit(in_versions, committed.commit.map(|it| it.ts));
                settle(Fate::Committed);
                Ok(true)
            }
            Err(failed) => {
                let fate = match &failed {
                    Failed::Refused(TxnError::OutcomeUnknown { .. }) => Fate::Unknown,
                    _ => Fate::Aborted,
                };
                self.versions.borrow_mut().settle(in_versions, fate);
                settle(fate);
                go_on(failed)
            }
        }
    }
}

/// Whether the client should go on.
fn go_on(failed: Failed) -> Result<bool, Finding> {
    match failed {
        Failed::Violation(what) => Err(what.into()),
        Failed::Refused(TxnError::Storage(StorageError::SnapshotTooOld { .. })) => Ok(true),
        Failed::Refused(error) => match error.kind() {
            ErrorKind::Retry => Ok(true),
            ErrorKind::Unavailable => Ok(false),
            ErrorKind::Invalid if matches!(error, TxnError::Canceled) => Ok(true),
            ErrorKind::Corruption => Err(Finding::Damage(format!("unexpected error: {error}"))),
            _ => Err(format!("unexpected error: {error}").into()),
        },
    }
}

fn get(txn: &mut dyn Transaction, key: u64, at: ReadAt) -> Result<Option<Vec<u64>>, Failed> {
    let mut bytes = Vec::new();
    match txn.get(SPACE, &key_name(key), at, &mut bytes)? {
        true => from_bytes(&bytes).map(Some),
        false => Ok(None),
    }
}

impl Workload for Isolation {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        self.recover(node.store()).or_else(go_on)
    }

    fn client(&self, node: &Arc<Node>, _client: usize, count: usize) -> Result<(), Finding> {
        let store = node.store();
        let mut refused_count = 0;
        for turn in 0..count {
            if !operations::begins(turn) {
                continue;
            }
            let goes_on = match self.draw(16) {
                0 => store.checkpoint().map(|()| true).or_else(|error| go_on(error.into()))?,
                _ => self.transact(store)?,
            };
            refused_count += usize::from(!goes_on);
            if refused_count > 2 {
                break;
            }
        }
        Ok(())
    }

    fn crashed(&self) {
        self.lists.borrow_mut().crashed();
        self.versions.borrow_mut().crashed();
    }

    fn committed_count(&self) -> u64 {
        self.lists.borrow().committed_count
    }

    fn checked_count(&self) -> u64 {
        self.checked_count.get()
    }
}
