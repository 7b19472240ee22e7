//! Transfers between accounts, straight on the transactional store; the book knows every one.
//!
//! Each transfer also inserts an *entry*, so that every state explains itself: each balance is what
//! the entries present in the same snapshot make of it. The [`Book`] judges snapshots.

mod book;
mod branch;

use std::cell::RefCell;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, Counter, IsolationLevel, LockIntent, LockStrength, Locked, ReadAt, RowBatch,
    ScanRequest, ScanState, Store, Transaction, TxnError, WaitPolicy,
};
use driftdb_env::{Env, Rng};
use driftdb_server::Node;
use driftdb_storage::{ErrorKind, KeyRange, KeyspaceId, StorageError};

use crate::node::{Finding, Workload};
use crate::operations::{self, Draws};
use crate::plan::Plan;
use book::{Book, Entry, Fate, View};
use branch::InBranch;

/// The keyspace of accounts and entries.
const SPACE: KeyspaceId = KeyspaceId(1024);

pub(crate) struct Ledger {
    isolation: IsolationLevel,
    /// Whether history is promised for a while only.
    forgets: bool,
    in_branch: InBranch,
    book: RefCell<Book>,
    rng: Draws,
}

/// Why a client's transaction did not commit.
enum Failed {
    /// Refused; nothing of it is there.
    Absent(TxnError),
    /// Maybe it is there.
    Unknown(TxnError),
    /// Something is violated.
    Violation(String),
}

impl From<TxnError> for Failed {
    fn from(error: TxnError) -> Self {
        Self::Absent(error)
    }
}

/// Errors that mere crashes, full disks and failing disks can never explain.
fn must_not_happen(error: &TxnError) -> Option<Finding> {
    let what = || format!("unexpected error: {error}");
    match error.kind() {
        ErrorKind::Corruption => Some(Finding::Damage(what())),
        ErrorKind::Internal => Some(Finding::Wrong(what())),
        ErrorKind::Retry | ErrorKind::Invalid | ErrorKind::Unavailable => None,
    }
}

pub(crate) fn account_key(account: u64) -> Vec<u8> {
    format!("account {account:02}").into_bytes()
}

pub(crate) fn entry_key(id: u64) -> Vec<u8> {
    format!("entry {id:06}").into_bytes()
}

impl Ledger {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::stream(plan.seed, "ledger");
        let accounts = 2 + rng.below(6);
        Self {
            isolation: plan.isolation,
            forgets: plan.config.retention.is_some(),
            in_branch: InBranch::new(plan),
            book: RefCell::new(Book::new(accounts)),
            rng: Draws::new(plan.seed, "ledger"),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    /// Makes the accounts, unless they are there; false if the store refuses.
    fn prepare(&self, store: &dyn Store) -> Result<bool, Finding> {
        let refused = |error: TxnError| match must_not_happen(&error) {
            Some(what) => Err(what),
            None => Ok(false),
        };
        let mut txn = match store.begin(BeginOptions::default()) {
            Ok(txn) => txn,
            Err(error) => return refused(error),
        };
        let is_there = match txn.get(SPACE, &account_key(0), ReadAt::Statement, &mut Vec::new()) {
            Ok(found) => found,
            Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => false,
            Err(error) => return refused(error),
        };
        if !is_there && self.book.borrow().prepared {
            return Err("durability: the accounts were acknowledged and are gone".into());
        }
        let make = |mut txn: Box<dyn Transaction>| -> Result<(), TxnError> {
            if self.in_branch.is_wanted() {
                // A branch's number is higher than that of what it inherits.
                store.unique_ids(Counter::Keyspace, 1)?;
            }
            txn.create_keyspace(SPACE)?;
            // Not borrowed while it writes: a write may be where the node dies.
            let account_count = self.book.borrow().account_count;
            for account in 0..account_count {
                txn.put(SPACE, &account_key(account), &book::INITIAL.to_le_bytes())?;
            }
            txn.commit().map(|_| ())
        };
        if !is_there && let Err(error) = make(txn) {
            return refused(error);
        }
        self.book.borrow_mut().prepared = true;
        Ok(true)
    }

    /// Moves money and commits.
    fn transfer(&self, store: &dyn Store, id: u64, entry: Entry) -> Result<(), Failed> {
        let newest_ack = self.book.borrow().newest_ack;
        let options = BeginOptions { isolation: self.isolation, ..BeginOptions::default() };
        let mut txn = store.begin(options)?;
        if txn.snapshot_ts() < newest_ack {
            return Err(Failed::Violation(format!(
                "real time: acknowledged at {newest_ack}, but a later transaction reads at {}",
                txn.snapshot_ts()
            )));
        }
        change(&mut *txn, entry.from, -entry.amount)?;
        change(&mut *txn, entry.to, entry.amount)?;
        txn.begin_statement()?;
        lock(&mut *txn, &entry_key(id), LockIntent::Insert)?;
        txn.put(SPACE, &entry_key(id), &entry.to_bytes())?;
        if self.draw(16) == 0 {
            txn.rollback();
            return Err(Failed::Absent(TxnError::Canceled));
        }
        match txn.commit() {
            Ok(committed) => {
                let Some(commit) = committed.commit else {
                    return Err(Failed::Violation("a commit with writes has no place".into()));
                };
                let mut book = self.book.borrow_mut();
                book.acknowledge(id, commit.ts, committed.sequence).map_err(Failed::Violation)
            }
            Err(error @ TxnError::OutcomeUnknown { .. }) => Err(Failed::Unknown(error)),
            Err(error) => Err(Failed::Absent(error)),
        }
    }

    /// Transfers once; false if the store does not seem to go on.
    fn try_transfer(&self, store: &dyn Store) -> Result<bool, Finding> {
        let (id, entry) = self.book.borrow_mut().begin(&mut self.rng.borrow_mut());
        let outcome = self.transfer(store, id, entry);
        say_transfer(id, entry, &outcome);
        let mut book = self.book.borrow_mut();
        let error = match outcome {
            Ok(()) => return Ok(true),
            Err(Failed::Violation(what)) => return Err(what.into()),
            Err(Failed::Absent(error)) => {
                book.settle(id, Fate::Absent);
                error
            }
            Err(Failed::Unknown(error)) => {
                book.settle(id, Fate::Unknown);
                error
            }
        };
        match must_not_happen(&error) {
            Some(what) => Err(what),
            None => Ok(error.kind() != ErrorKind::Unavailable),
        }
    }

    /// Reads everything as of some time and shows it to the book.
    fn audit(&self, store: &dyn Store, is_recovered: bool) -> Result<bool, Finding> {
        let newest_ack = self.book.borrow().newest_ack;
        let options = BeginOptions {
            isolation: IsolationLevel::RepeatableRead,
            read_only: true,
            ..BeginOptions::default()
        };
        let read = read_all(store, options);
        say_read("all rows", &read);
        match read {
            Ok(view) => {
                let mut book = self.book.borrow_mut();
                book.judge(&view, newest_ack)?;
                if is_recovered {
                    book.settle_after_recovery(&view)?;
                }
                book.remember(&view);
                Ok(true)
            }
            Err(error) => match must_not_happen(&error) {
                Some(what) => Err(what),
                None => Ok(false),
            },
        }
    }

    /// While a transaction reads at a time, others may come in at it: nothing that it may ask for goes.
    fn read_beside(&self, env: &Env, store: &dyn Store) -> Result<bool, Finding> {
        let options = BeginOptions {
            isolation: IsolationLevel::RepeatableRead,
            read_only: true,
            ..BeginOptions::default()
        };
        operations::say(|| "reads, and others at the same time beside it".to_owned());
        let read = || {
            let mut open = store.begin(options.clone())?;
            open.begin_statement()?;
            let ts = open.snapshot_ts();
            env.sleep(Duration::from_micros(self.draw(3000)));
            store.checkpoint()?;
            let beside =
                read_all(store, BeginOptions { as_of: Some(ts), ..BeginOptions::default() });
            Ok((beside, scan_all(&mut *open)?))
        };
        match read() {
            Ok((Ok(beside), own)) if beside.hash() == own.hash() => Ok(true),
            Ok((Ok(beside), own)) => {
                Err(format!("time travel: {own:?} reads as {beside:?} beside it").into())
            }
            Ok((Err(error @ TxnError::Storage(StorageError::SnapshotTooOld { .. })), own)) => {
                Err(format!("retention: a reader is at {}, but: {error}", own.ts).into())
            }
            Ok((Err(error), _)) | Err(error) => match must_not_happen(&error) {
                Some(what) => Err(what),
                None => Ok(false),
            },
        }
    }

    /// Reads the past again: it must not have changed.
    fn look_back(&self, store: &dyn Store) -> Result<bool, Finding> {
        let Some((ts, expected)) = self.book.borrow().draw_memory(&mut self.rng.borrow_mut())
        else {
            return Ok(true);
        };
        let read = read_all(store, BeginOptions { as_of: Some(ts), ..BeginOptions::default() });
        say_read("the past", &read);
        match read {
            Ok(view) if view.hash() == expected => {}
            Ok(view) => return Err(format!("time travel: as of {ts} it is now {view:?}").into()),
            Err(TxnError::Storage(StorageError::SnapshotTooOld { .. })) if self.forgets => {}
            Err(error) if error.kind() == ErrorKind::Unavailable => return Ok(false),
            Err(error) => {
                let what = format!("time travel: as of {ts}: {error}");
                return Err(must_not_happen(&error).unwrap_or(Finding::Wrong(what)));
            }
        }
        let Some((sequence, ts)) = self.book.borrow().draw_sequence(&mut self.rng.borrow_mut())
        else {
            return Ok(true);
        };
        match store.timestamp_of_sequence(sequence) {
            Ok(found) if found == ts => Ok(true),
            Ok(found) => {
                Err(format!("sequence number {sequence} was at {ts} and is now at {found}").into())
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(false),
            Err(error) => {
                let what = format!("sequence number {sequence}: {error}");
                Err(must_not_happen(&error).unwrap_or(Finding::Wrong(what)))
            }
        }
    }
}

impl Workload for Ledger {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        if !self.prepare(node.store())? {
            return Ok(false);
        }
        let accounts = self.book.borrow().account_count;
        let Some(database) = self.in_branch.database(node)? else { return Ok(false) };
        let db = database.store();
        Ok(self.in_branch.judge_main(node, accounts)?
            && self.audit(db, true)?
            && self.look_back(db)?
            && self.look_back(db)?)
    }

    fn client(&self, node: &Arc<Node>, _client: usize, count: usize) -> Result<(), Finding> {
        let Some(database) = self.in_branch.database(node)? else { return Ok(()) };
        let db = database.store();
        let mut refused_count = 0;
        for turn in 0..count {
            if !operations::begins(turn) {
                continue;
            }
            let goes_on = match self.draw(16) {
                0..11 => self.try_transfer(db)?,
                11..13 if self.draw(4) > 0 => self.audit(db, false)?,
                11..13 => self.read_beside(node.env(), db)?,
                13..15 => self.look_back(db)?,
                _ => match said_checkpoint(db) {
                    Ok(()) => true,
                    Err(error) => match must_not_happen(&error) {
                        Some(what) => return Err(what),
                        None => false,
                    },
                },
            };
            refused_count += usize::from(!goes_on);
            if refused_count > 2 {
                break;
            }
        }
        Ok(())
    }

    fn crashed(&self) {
        self.book.borrow_mut().crashed();
    }

    fn committed_count(&self) -> u64 {
        self.book.borrow().acknowledged_count
    }
}

fn say_read(what: &str, read: &Result<View, TxnError>) {
    operations::say(|| match read {
        Ok(view) => format!("reads {what} as of {}: {} of them", view.ts, view.rows.len()),
        Err(error) => format!("reads {what}: {error}"),
    });
}

fn said_checkpoint(db: &dyn Store) -> Result<(), TxnError> {
    let done = db.checkpoint();
    operations::say(|| match &done {
        Ok(()) => "checkpoint".to_owned(),
        Err(error) => format!("checkpoint: {error}"),
    });
    done
}

/// For a report.
fn say_transfer(id: u64, entry: Entry, outcome: &Result<(), Failed>) {
    operations::say(|| {
        let Entry { from, to, amount } = entry;
        let outcome = match outcome {
            Ok(()) => "acknowledged".to_owned(),
            Err(Failed::Absent(error)) => format!("refused: {error}"),
            Err(Failed::Unknown(error)) => format!("unknown: {error}"),
            Err(Failed::Violation(what)) => format!("VIOLATION: {what}"),
        };
        format!("entry {id}: account {from} gives {amount} to {to}: {outcome}")
    });
}

fn lock(txn: &mut dyn Transaction, key: &[u8], intent: LockIntent) -> Result<Locked, TxnError> {
    txn.lock(SPACE, key, LockStrength::Update, intent, WaitPolicy::Wait(None))
}

fn balance(txn: &mut dyn Transaction, key: &[u8], at: ReadAt) -> Result<i64, Failed> {
    let mut bytes = Vec::new();
    let found = txn.get(SPACE, key, at, &mut bytes)?;
    match <[u8; 8]>::try_from(&bytes[..]) {
        Ok(bytes) if found => Ok(i64::from_le_bytes(bytes)),
        _ => Err(Failed::Violation(format!("an account reads as {found} {bytes:?}"))),
    }
}

/// As `UPDATE … SET balance = balance + change WHERE account = …` does.
fn change(txn: &mut dyn Transaction, account: u64, change: i64) -> Result<(), Failed> {
    txn.begin_statement()?;
    let key = account_key(account);
    let mut old = balance(txn, &key, ReadAt::Statement)?;
    let is_dirty = txn.isolation() == IsolationLevel::ReadUncommitted;
    if lock(txn, &key, LockIntent::Existing)? == Locked::Changed || is_dirty {
        old = balance(txn, &key, ReadAt::Newest)?;
    }
    txn.put(SPACE, &key, &(old + change).to_le_bytes())?;
    Ok(())
}

/// Everything as one snapshot shows it, read in small batches so that much can happen between them.
fn read_all(store: &dyn Store, options: BeginOptions) -> Result<View, TxnError> {
    let mut txn = store.begin(options)?;
    txn.begin_statement()?;
    scan_all(&mut *txn)
}

fn scan_all(txn: &mut dyn Transaction) -> Result<View, TxnError> {
    let mut view = View { ts: txn.snapshot_ts(), rows: Vec::new() };
    let mut batch = RowBatch::new();
    loop {
        let last: Option<Vec<u8>> = view.rows.last().map(|row: &book::Row| row.key.clone());
        let start = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { start, end: Bound::Unbounded };
        let request = ScanRequest { range, at: ReadAt::Statement, reverse: false, max_rows: 16 };
        batch.clear();
        let state = txn.scan(SPACE, &request, &mut batch)?;
        for row in batch.rows() {
            let value = row.value.unwrap_or_default().to_vec();
            view.rows.push(book::Row { key: row.key.to_vec(), value, ts: row.ts });
        }
        if state == ScanState::Done {
            return Ok(view);
        }
    }
}
