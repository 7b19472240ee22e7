//! Strict two-phase locking [Eswaran76], [Gray76].
//!
//! From REPEATABLE READ on, a transaction that may write locks each key it reads and each range it
//! scans in share mode before it reads the newest version there, and claims what it writes; all of
//! it is held to the end. Ranges lock keys that do not exist yet, so there are no phantoms, and
//! REPEATABLE READ is granted SERIALIZABLE.
//!
//! At READ COMMITTED reads take no locks: a statement reads a snapshot of what was committed when it
//! began, as under `ssi`.

use driftdb_concurrency::{
    Begin, CancelToken, ConcurrencyControl, IsolationLevel, LockStrength, Result, VisibleClock,
    WaitPolicy, Writes,
};
use driftdb_env::Env;
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use crate::lock_table::{LockTable, Owner, Striping, Target};

/// Strict two-phase locking.
#[derive(Debug)]
pub struct LockingControl {
    locks: LockTable,
}

/// One transaction's locks.
#[derive(Debug)]
pub struct LockingTxn {
    owner: Owner,
    locks_reads: bool,
}

impl ConcurrencyControl for LockingControl {
    const NAME: &'static str = "locking";
    const READS_NEWEST: bool = true;
    const CLAIMS_WAIT: bool = true;
    // Whoever reads under locks would depend on all that he reads.
    const RELEASES_EARLY: bool = false;

    type Txn = LockingTxn;
    type Locks = LockTable;

    fn new(env: &Env, _visible: &VisibleClock) -> Self {
        // A range and the keys in it must meet under one latch.
        Self { locks: LockTable::new(env, Striping::ByKeyspace) }
    }

    fn granted(requested: IsolationLevel) -> IsolationLevel {
        // What is read is locked to the end, ranges too: REPEATABLE READ is SERIALIZABLE.
        match requested {
            IsolationLevel::RepeatableRead => IsolationLevel::Serializable,
            other => other,
        }
    }

    fn tracks_reads(isolation: IsolationLevel, read_only: bool) -> bool {
        isolation >= IsolationLevel::RepeatableRead && !read_only
    }

    fn begin(&self, begin: Begin) -> Option<LockingTxn> {
        let locks_reads = Self::tracks_reads(begin.isolation, begin.read_only);
        let owner = if locks_reads {
            Owner::keeping_keys(begin.id, begin.cancel)
        } else {
            Owner::new(begin.id, begin.cancel)
        };
        Some(LockingTxn { owner, locks_reads })
    }

    fn renew(&self, _txn: &mut LockingTxn, _read_ts: Timestamp) -> bool {
        // What it read is locked, and stays so.
        true
    }

    fn read(&self, txn: &mut LockingTxn, space: KeyspaceId, key: &[u8]) -> Result<()> {
        if !txn.locks_reads {
            return Ok(());
        }
        let forever = WaitPolicy::Wait(None);
        let share = LockStrength::Share;
        self.locks.acquire_in_turn(&mut txn.owner, space, Target::Key(key), share, forever)
    }

    fn scanned(&self, txn: &mut LockingTxn, space: KeyspaceId, range: &KeyRange<'_>) -> Result<()> {
        if !txn.locks_reads {
            return Ok(());
        }
        let (target, forever) = (Target::Range(*range), WaitPolicy::Wait(None));
        self.locks.acquire_in_turn(&mut txn.owner, space, target, LockStrength::Share, forever)
    }

    fn claim(
        &self,
        txn: &mut LockingTxn,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        wait: WaitPolicy,
    ) -> Result<()> {
        self.locks.acquire(&mut txn.owner, space, Target::Key(key), strength, wait)
    }

    fn validate(
        &self,
        _txn: &mut LockingTxn,
        _commit: Timestamp,
        _writes: Writes<'_>,
    ) -> Result<()> {
        // The locks have seen to it.
        Ok(())
    }

    fn validate_reads(&self, _txn: &mut LockingTxn) -> Result<()> {
        Ok(())
    }

    fn wait_until_safe(&self, _txn: &mut LockingTxn, _cancel: &CancelToken) -> Result<bool> {
        // Commit order is a serial order: every snapshot is a state that it passes through.
        Ok(true)
    }

    fn finish(&self, mut txn: LockingTxn, _committed: Option<Timestamp>) {
        self.locks.release_all(&mut txn.owner);
    }

    fn locks(&self) -> &LockTable {
        &self.locks
    }

    fn owner(txn: &mut LockingTxn) -> &mut Owner {
        &mut txn.owner
    }
}
