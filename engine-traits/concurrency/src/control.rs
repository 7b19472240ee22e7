//! What a concurrency-control protocol implements.

use std::time::Duration;

use driftdb_env::Env;
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp, WriteBatch};

use crate::{CancelToken, IsolationLevel, ObjectLocks, Result, TxnId, VisibleClock};

/// How a transaction starts.
#[derive(Debug, Clone)]
pub struct Begin {
    /// Its identity; larger is younger.
    pub id: TxnId,
    /// The granted level.
    pub isolation: IsolationLevel,
    /// The snapshot it reads first.
    pub read_ts: Timestamp,
    /// Whether it promised not to write.
    pub read_only: bool,
    /// How it is interrupted while it waits.
    pub cancel: CancelToken,
}

/// How strongly a row is claimed (PostgreSQL's four row locks, weakest first).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockStrength {
    /// `FOR KEY SHARE`
    KeyShare,
    /// `FOR SHARE`
    Share,
    /// `FOR NO KEY UPDATE`, and an update that leaves the key alone
    NoKeyUpdate,
    /// `FOR UPDATE`, a delete, an insert, an update of the key
    Update,
}

impl LockStrength {
    /// PostgreSQL's conflict table of row locks.
    pub fn conflicts_with(self, other: Self) -> bool {
        let (weak, strong) = if self <= other { (self, other) } else { (other, self) };
        match weak {
            Self::KeyShare => strong == Self::Update,
            Self::Share => strong >= Self::NoKeyUpdate,
            Self::NoKeyUpdate | Self::Update => true,
        }
    }
}

/// What to do when a claim conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitPolicy {
    /// Wait, at most so long (`None`: as long as [`CancelToken::lock_timeout`] says).
    Wait(Option<Duration>),
    /// Fail at once with [`crate::TxnError::LockNotAvailable`] (`NOWAIT`, `SKIP LOCKED`).
    NoWait,
}

/// What a commit writes, as far as its control is told.
#[derive(Debug, Clone, Copy)]
pub enum Writes<'a> {
    /// Every key.
    Batch(&'a WriteBatch),
    /// The keyspaces alone: the keys are too many to be remembered.
    Keyspaces(&'a [KeyspaceId]),
}

/// A concurrency-control protocol. One value serves all transactions of a store; per-key state (locks,
/// read marks) is its own. All calls may come from any thread; those with one `Txn` come one at a time.
///
/// Order of calls: `begin`, then any of `read`, `scanned`, `claim`, then to commit `validate` (with
/// writes) or `validate_reads` (without), then `finish` exactly once, on every path. Historical
/// transactions make no calls; a transaction whose reads are not tracked makes none before its first claim.
pub trait ConcurrencyControl: Send + Sync + 'static {
    /// The name in the configuration.
    const NAME: &'static str;

    /// Whether transactions read the newest committed version under their locks (locking protocols)
    /// instead of their snapshot.
    const READS_NEWEST: bool;

    /// Whether a claim waits for whoever holds a conflicting one. Otherwise it is granted, and the later of
    /// the two to commit fails.
    const CLAIMS_WAIT: bool;

    /// Whether the claims on keys end when a commit has its place in the log and in the engine, before it is
    /// durable and visible. Whoever gets one then reads the newest version there is under it, and depends on
    /// that commit.
    const RELEASES_EARLY: bool;

    /// The state of one transaction.
    type Txn: Send;

    /// Where its locks are, those on tables and advisory ones included.
    type Locks: ObjectLocks;

    /// A protocol with no transactions yet. `visible` is the store's.
    fn new(env: &Env, visible: &VisibleClock) -> Self;

    /// The level really given for one asked for: the same or the next stronger that it offers.
    fn granted(requested: IsolationLevel) -> IsolationLevel;

    /// Whether it has to hear of the reads of a transaction at a granted level.
    fn tracks_reads(isolation: IsolationLevel, read_only: bool) -> bool;

    /// Starts a transaction. Never waits. `None`: commits since the snapshot are forgotten already,
    /// so that a transaction whose reads are tracked has to begin with a newer one.
    fn begin(&self, begin: Begin) -> Option<Self::Txn>;

    /// Gives a transaction that writes a newer snapshot, as if it began with that: its reads are forgotten,
    /// its claims stay. Never waits. False, as in [`ConcurrencyControl::begin`]: it has to be a newer one.
    fn renew(&self, txn: &mut Self::Txn, read_ts: Timestamp) -> bool;

    /// Before a key is read. May wait.
    ///
    /// # Errors
    /// Conflict, deadlock, cancel, timeout.
    fn read(&self, txn: &mut Self::Txn, space: KeyspaceId, key: &[u8]) -> Result<()>;

    /// As [`ConcurrencyControl::read`], for the check of a constraint at a key that is claimed. Who fails by the
    /// constraint is told of that rather than of a conflict.
    ///
    /// # Errors
    /// As [`ConcurrencyControl::read`].
    fn checks(&self, txn: &mut Self::Txn, space: KeyspaceId, key: &[u8]) -> Result<()> {
        self.read(txn, space, key)
    }

    /// Before a range of keys is scanned: the extent really covered by this batch. May wait.
    ///
    /// # Errors
    /// Conflict, deadlock, cancel, timeout.
    fn scanned(&self, txn: &mut Self::Txn, space: KeyspaceId, range: &KeyRange<'_>) -> Result<()>;

    /// Before a claimed key is written. Never waits.
    ///
    /// # Errors
    /// Conflict: the transaction could not commit.
    fn writes(&self, _txn: &mut Self::Txn, _space: KeyspaceId, _key: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Claims a key before it is written or locked by `SELECT … FOR`. May wait for its holder.
    /// From then on nobody else changes the key until this transaction ends, its commit fails, or, with
    /// [`ConcurrencyControl::RELEASES_EARLY`], its commit has a place in the order of commits.
    ///
    /// # Errors
    /// Conflict, deadlock, cancel, timeout, not available.
    fn claim(
        &self,
        txn: &mut Self::Txn,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        wait: WaitPolicy,
    ) -> Result<()>;

    /// The last check before `writes` are committed at `commit`. Called under the store's commit latch, in
    /// commit order; must not wait. The commit may still fail afterwards: `finish` tells.
    ///
    /// # Errors
    /// Conflict.
    fn validate(&self, txn: &mut Self::Txn, commit: Timestamp, writes: Writes<'_>) -> Result<()>;

    /// The last check before a transaction ends that wrote nothing. Must not wait.
    ///
    /// # Errors
    /// Conflict: what it read is no state of a serial execution.
    fn validate_reads(&self, txn: &mut Self::Txn) -> Result<()>;

    /// Waits until it is known whether the snapshot of a read-only transaction is *safe*: whether it is a
    /// state of a serial execution, so that reading it cannot fail. False: it is not.
    ///
    /// # Errors
    /// Cancel.
    fn wait_until_safe(&self, txn: &mut Self::Txn, cancel: &CancelToken) -> Result<bool>;

    /// Ends a transaction, committed at a timestamp (already visible) or aborted; releases its claims
    /// and wakes their waiters.
    fn finish(&self, txn: Self::Txn, committed: Option<Timestamp>);

    /// The table of locks.
    fn locks(&self) -> &Self::Locks;

    /// A transaction's side of it.
    fn owner(txn: &mut Self::Txn) -> &mut <Self::Locks as ObjectLocks>::Owner;
}
