//! Snapshot reads with first-updater-wins; SERIALIZABLE by backward validation [Haerder84].
//!
//! Reads never wait. A write claims its key first, waits for the claim's holder, and finds out
//! whether the key changed since the snapshot (`transaction/write.rs`): so READ COMMITTED and
//! REPEATABLE READ as in PostgreSQL.
//!
//! A SERIALIZABLE transaction that writes also remembers what it read. It commits only if no commit
//! since its snapshot wrote any of that: then everything it read is still so when it commits, and
//! commit order is a serial order. This is sound and simple, and aborts more than serializable
//! snapshot isolation [Cahill08] would, which follows in its own issue and keeps this contract.
//!
//! Point reads are validated against the engine's newest versions. Ranges need the keys that recent
//! commits wrote: they are kept while a serializable transaction is older than they are.
//!
//! READ UNCOMMITTED is granted READ COMMITTED.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_concurrency::{
    Begin, ConcurrencyControl, IsolationLevel, LockStrength, Result, TxnError, TxnId, WaitPolicy,
};
use driftdb_env::Env;
use driftdb_env::sync::Mutex;
use driftdb_storage::{KeyRange, KeyspaceId, StorageError, Timestamp};

use crate::lock_table::{LockTable, OwnedRange, Owner, Striping, Target};

/// More keys of recent commits than this are not kept; who needs them is aborted.
const RECENT_KEYS_MAX: usize = 1 << 20;

/// Snapshots, claims, and validation at commit.
#[derive(Debug)]
pub struct SsiControl {
    locks: LockTable,
    recent: Mutex<Recent>,
}

/// One transaction's claims, and at SERIALIZABLE its reads.
#[derive(Debug)]
pub struct SsiTxn {
    owner: Owner,
    read_ts: Timestamp,
    reads: Option<Reads>,
    is_validated: bool,
}

#[derive(Debug, Default)]
struct Reads {
    keys: BTreeMap<KeyspaceId, BTreeSet<Box<[u8]>>>,
    ranges: BTreeMap<KeyspaceId, Vec<OwnedRange>>,
}

type Keys = Vec<(KeyspaceId, Arc<[u8]>)>;

/// What was written lately.
///
/// Invariant: every commit later than `forgotten_through` is in `committed` or in `in_flight`, as
/// soon as it is validated.
#[derive(Debug, Default)]
struct Recent {
    /// Serializable transactions that run, by snapshot.
    active: BTreeSet<(Timestamp, TxnId)>,
    /// Validated, but not finished.
    in_flight: BTreeMap<TxnId, Keys>,
    committed: BTreeMap<Timestamp, Keys>,
    committed_key_count: usize,
    forgotten_through: Timestamp,
}

impl Recent {
    /// Moves a commit from in flight to committed, if somebody may have to know.
    fn settle(&mut self, id: TxnId, committed: Option<Timestamp>) {
        let (Some(keys), Some(ts)) = (self.in_flight.remove(&id), committed) else { return };
        self.committed_key_count += keys.len();
        self.committed.insert(ts, keys);
        self.forget();
    }

    /// Drops what every active transaction's snapshot holds.
    fn forget(&mut self) {
        let oldest = self.active.first().map_or(Timestamp::MAX, |(read_ts, _)| *read_ts);
        while let Some(entry) = self.committed.first_entry() {
            if *entry.key() > oldest && self.committed_key_count <= RECENT_KEYS_MAX {
                return;
            }
            self.forgotten_through = self.forgotten_through.max(*entry.key());
            self.committed_key_count -= entry.remove().len();
        }
    }

    /// The keys written by commits that a snapshot at `read_ts` may not hold.
    fn written_since(&self, read_ts: Timestamp) -> impl Iterator<Item = &(KeyspaceId, Arc<[u8]>)> {
        let committed = self.committed.range(read_ts.next()..).flat_map(|(_, keys)| keys);
        self.in_flight.values().flatten().chain(committed)
    }
}

impl SsiControl {
    fn check_keys(
        txn: &SsiTxn,
        reads: &Reads,
        newest: &dyn Fn(KeyspaceId, &[u8]) -> Result<Option<Timestamp>>,
    ) -> Result<()> {
        for (space, keys) in &reads.keys {
            for key in keys {
                if is_newer(newest(*space, key), txn.read_ts)? {
                    return Err(conflict(*space, "a key it had read was changed"));
                }
            }
        }
        Ok(())
    }

    fn check_ranges(
        txn: &SsiTxn,
        reads: &Reads,
        recent: &Recent,
        newest: &dyn Fn(KeyspaceId, &[u8]) -> Result<Option<Timestamp>>,
    ) -> Result<()> {
        let Some((space, _)) = reads.ranges.first_key_value() else { return Ok(()) };
        if txn.read_ts < recent.forgotten_through {
            return Err(conflict(*space, "commits since its snapshot are no longer remembered"));
        }
        for (space, key) in recent.written_since(txn.read_ts) {
            let ranges = reads.ranges.get(space).map_or(&[][..], Vec::as_slice);
            // A claimed key may not have been written, and one in flight may be in the snapshot:
            // the engine knows.
            if ranges.iter().any(|range| range.as_range().contains(key))
                && is_newer(newest(*space, key), txn.read_ts)?
            {
                return Err(conflict(*space, "a key in a range it had read was changed"));
            }
        }
        Ok(())
    }
}

/// Whether the newest version is after the snapshot; a keyspace that is gone has changed.
fn is_newer(newest: Result<Option<Timestamp>>, read_ts: Timestamp) -> Result<bool> {
    match newest {
        Ok(newest) => Ok(newest.is_some_and(|newest| newest > read_ts)),
        Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => Ok(true),
        Err(error) => Err(error),
    }
}

fn conflict(space: KeyspaceId, what: &str) -> TxnError {
    TxnError::ReadWriteDependency {
        detail: format!("Canceled at commit: {what} by a later commit (keyspace {space})."),
    }
}

impl ConcurrencyControl for SsiControl {
    const NAME: &'static str = "ssi";
    const READS_NEWEST: bool = false;

    type Txn = SsiTxn;
    type Locks = LockTable;

    fn new(env: &Env) -> Self {
        Self { locks: LockTable::new(env, Striping::ByKey), recent: Mutex::default() }
    }

    fn granted(requested: IsolationLevel) -> IsolationLevel {
        requested.max(IsolationLevel::ReadCommitted)
    }

    fn begin(&self, begin: Begin) -> SsiTxn {
        let is_tracked = begin.isolation == IsolationLevel::Serializable && !begin.read_only;
        if is_tracked {
            self.recent.lock().active.insert((begin.read_ts, begin.id));
        }
        SsiTxn {
            owner: Owner::new(begin.id, begin.cancel),
            read_ts: begin.read_ts,
            reads: is_tracked.then(Reads::default),
            is_validated: false,
        }
    }

    fn read(&self, txn: &mut SsiTxn, space: KeyspaceId, key: &[u8]) -> Result<()> {
        if let Some(reads) = &mut txn.reads {
            let keys = reads.keys.entry(space).or_default();
            if !keys.contains(key) {
                keys.insert(key.into());
            }
        }
        Ok(())
    }

    fn scanned(&self, txn: &mut SsiTxn, space: KeyspaceId, range: &KeyRange<'_>) -> Result<()> {
        if let Some(reads) = &mut txn.reads {
            OwnedRange::add(reads.ranges.entry(space).or_default(), range);
        }
        Ok(())
    }

    fn claim(
        &self,
        txn: &mut SsiTxn,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        wait: WaitPolicy,
    ) -> Result<()> {
        self.locks.acquire(&mut txn.owner, space, Target::Key(key), strength, wait)
    }

    fn validate(
        &self,
        txn: &mut SsiTxn,
        newest: &dyn Fn(KeyspaceId, &[u8]) -> Result<Option<Timestamp>>,
    ) -> Result<()> {
        if let Some(reads) = &txn.reads {
            Self::check_keys(txn, reads, newest)?;
        }
        let mut recent = self.recent.lock();
        if let Some(reads) = &txn.reads {
            Self::check_ranges(txn, reads, &recent, newest)?;
        }
        let written = txn.owner.keys().filter(|(_, _, held)| *held >= LockStrength::NoKeyUpdate);
        let written = written.map(|(space, key, _)| (space, Arc::clone(key))).collect();
        recent.in_flight.insert(txn.owner.id(), written);
        txn.is_validated = true;
        Ok(())
    }

    fn finish(&self, mut txn: SsiTxn, committed: Option<Timestamp>) {
        if txn.is_validated || txn.reads.is_some() {
            let mut recent = self.recent.lock();
            recent.active.remove(&(txn.read_ts, txn.owner.id()));
            recent.settle(txn.owner.id(), committed);
            recent.forget();
        }
        self.locks.release_all(&mut txn.owner);
    }

    fn locks(&self) -> &LockTable {
        &self.locks
    }

    fn owner(txn: &mut SsiTxn) -> &mut Owner {
        &mut txn.owner
    }
}
