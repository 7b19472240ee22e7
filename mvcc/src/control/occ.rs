//! Optimistic concurrency control with backward validation [Kung81], [Haerder84].
//!
//! Nobody waits for a row (for tables and advisory numbers they do). Reads are of a snapshot; a claim only notes the key, how strongly it was claimed and
//! up to when commits were visible then. At commit, under the latch that gives commits their order, a
//! transaction fails if
//!
//! * a commit since one of its claims made a claim on that key that conflicts with it (PostgreSQL's table
//!   of row locks: so two updates of a row conflict, and a foreign key's check and a delete do);
//! * at SERIALIZABLE: a commit since its snapshot claimed for writing a key that it read, or one in a range
//!   that it scanned. Then everything it read is still so when it commits, and commit order is a serial order.
//!
//! What follows for users: `FOR UPDATE` does not hold others up, NOWAIT and SKIP LOCKED never find a
//! locked row, deadlocks are among table locks only, and an update may fail with 40001 at READ COMMITTED too.
//!
//! Commits are remembered while a transaction runs that they overlap; beyond [`RECENT_KEYS_MAX`] keys the
//! oldest are forgotten, and who needs them fails.

use std::collections::{BTreeMap, BTreeSet};

use driftdb_concurrency::{
    Begin, CancelToken, ConcurrencyControl, IsolationLevel, LockStrength, Result, TxnError, TxnId,
    VisibleClock, WaitPolicy,
};
use driftdb_env::sync::Mutex;
use driftdb_env::{Env, HashMap, planted};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp, WriteBatch};

use super::read_set::{ReadSet, hash};
use super::written::{Key, Written, keys_of};
use crate::lock_table::{LockTable, Owner, Striping};

/// More claimed keys of recent commits than this are not kept.
const RECENT_KEYS_MAX: usize = 1 << 20;

/// Backward validation.
#[derive(Debug)]
pub struct OccControl {
    /// Of tables and advisory numbers: those do wait.
    locks: LockTable,
    visible: VisibleClock,
    recent: Mutex<Recent>,
}

/// One transaction's claims, and at SERIALIZABLE its reads.
#[derive(Debug)]
pub struct OccTxn {
    owner: Owner,
    /// Commits up to here are in its snapshot.
    since: Timestamp,
    claims: Vec<Claim>,
    /// Where in `claims` a key's is.
    by_key: HashMap<u64, Vec<usize>>,
    reads: Option<ReadSet>,
}

#[derive(Debug)]
struct Claim {
    key: Key,
    strength: LockStrength,
    /// What was visible when it was made: from then on nobody else may change the key.
    since: Timestamp,
}

impl OccTxn {
    fn claim_of(&mut self, space: KeyspaceId, key: &[u8]) -> Option<&mut Claim> {
        let places = self.by_key.get(&hash(space, key))?;
        let is_it = |place: &&usize| {
            let (claimed_space, claimed) = &self.claims[**place].key;
            *claimed_space == space && **claimed == *key
        };
        let place = *places.iter().find(is_it)?;
        Some(&mut self.claims[place])
    }
}

/// What was claimed lately by commits.
///
/// Invariant: every commit later than `forgotten_through` is here, as soon as it is validated.
#[derive(Debug, Default)]
struct Recent {
    /// Transactions that run, by what was visible when they began.
    running: BTreeSet<(Timestamp, TxnId)>,
    commits: BTreeMap<Timestamp, Vec<(Key, LockStrength)>>,
    claimed: Written<LockStrength>,
    key_count: usize,
    forgotten_through: Timestamp,
}

impl Recent {
    fn check(&self, txn: &OccTxn) -> std::result::Result<(), &'static str> {
        if txn.since < self.forgotten_through {
            return Err("Canceled at commit: commits since it began are no longer remembered.");
        }
        for claim in &txn.claims {
            let (space, key) = &claim.key;
            let others = self.claimed.of_key(hash(*space, key));
            let conflicts = others.iter().any(|(commit, strength)| {
                *commit > claim.since && strength.conflicts_with(claim.strength)
            });
            if conflicts && !planted!("mvcc.occ-claims-not-validated") {
                return Err("Canceled at commit: a row that it had changed or locked was changed \
                            or locked by a transaction that committed first.");
            }
        }
        let Some(reads) = &txn.reads else { return Ok(()) };
        let mut writers = self.claimed.since(txn.since, reads);
        let has_changed = writers.any(|(_, strength)| strength >= LockStrength::NoKeyUpdate);
        if has_changed && !planted!("mvcc.occ-reads-not-validated") {
            return Err("Canceled at commit: what it had read was changed by a transaction that \
                        committed first.");
        }
        Ok(())
    }

    fn record(&mut self, commit: Timestamp, claims: Vec<(Key, LockStrength)>) {
        for (key, strength) in &claims {
            self.claimed.insert(key, commit, *strength);
        }
        self.key_count += claims.len();
        self.commits.insert(commit, claims);
    }

    /// Drops what the snapshots of all that run and will run hold.
    fn forget(&mut self, visible: Timestamp) {
        let oldest = self.running.first().map_or(visible, |(since, _)| visible.min(*since));
        while let Some((&commit, _)) = self.commits.first_key_value() {
            if commit > oldest && self.key_count <= RECENT_KEYS_MAX {
                return;
            }
            let claims = self.commits.remove(&commit).unwrap_or_default();
            self.key_count -= claims.len();
            for (key, _) in &claims {
                self.claimed.remove(key, commit);
            }
            self.forgotten_through = self.forgotten_through.max(commit);
        }
    }
}

fn conflict(why: &str) -> TxnError {
    TxnError::ReadWriteDependency { detail: why.to_owned() }
}

impl ConcurrencyControl for OccControl {
    const NAME: &'static str = "occ";
    const READS_NEWEST: bool = false;
    const CLAIMS_WAIT: bool = false;

    type Txn = OccTxn;
    type Locks = LockTable;

    fn new(env: &Env, visible: &VisibleClock) -> Self {
        let locks = LockTable::new(env, Striping::ByKey);
        Self { locks, visible: visible.clone(), recent: Mutex::default() }
    }

    fn granted(requested: IsolationLevel) -> IsolationLevel {
        requested
    }

    fn tracks_reads(isolation: IsolationLevel, read_only: bool) -> bool {
        isolation == IsolationLevel::Serializable && !read_only
    }

    fn begin(&self, begin: Begin) -> Option<OccTxn> {
        let mut recent = self.recent.lock();
        let reads = Self::tracks_reads(begin.isolation, begin.read_only).then(ReadSet::default);
        // Without reads to validate, only what comes after the claims matters.
        let since = if reads.is_some() { begin.read_ts } else { self.visible.now() };
        if reads.is_some() && since < recent.forgotten_through {
            return None;
        }
        recent.running.insert((since, begin.id));
        Some(OccTxn {
            owner: Owner::new(begin.id, begin.cancel),
            since,
            claims: Vec::new(),
            by_key: HashMap::default(),
            reads,
        })
    }

    fn renew(&self, txn: &mut OccTxn, read_ts: Timestamp) -> bool {
        let mut recent = self.recent.lock();
        let since = if txn.reads.is_some() { read_ts } else { self.visible.now() };
        if txn.reads.is_some() && since < recent.forgotten_through {
            return false;
        }
        recent.running.remove(&(txn.since, txn.owner.id()));
        recent.running.insert((since, txn.owner.id()));
        txn.since = since;
        if let Some(reads) = &mut txn.reads {
            *reads = ReadSet::default();
        }
        // They hold nobody up, and what was claimed before the snapshot need not be valid any more.
        txn.claims.clear();
        txn.by_key.clear();
        true
    }

    fn read(&self, txn: &mut OccTxn, space: KeyspaceId, key: &[u8]) -> Result<()> {
        if let Some(reads) = &mut txn.reads {
            reads.add_key(space, key);
        }
        Ok(())
    }

    fn scanned(&self, txn: &mut OccTxn, space: KeyspaceId, range: &KeyRange<'_>) -> Result<()> {
        if let Some(reads) = &mut txn.reads {
            reads.add_range(space, range);
        }
        Ok(())
    }

    fn claim(
        &self,
        txn: &mut OccTxn,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        _wait: WaitPolicy,
    ) -> Result<()> {
        if let Some(claim) = txn.claim_of(space, key) {
            claim.strength = claim.strength.max(strength);
            return Ok(());
        }
        let claim = Claim { key: (space, key.into()), strength, since: self.visible.now() };
        txn.by_key.entry(hash(space, key)).or_default().push(txn.claims.len());
        txn.claims.push(claim);
        Ok(())
    }

    fn validate(&self, txn: &mut OccTxn, commit: Timestamp, writes: &WriteBatch) -> Result<()> {
        let unclaimed: Vec<Key> =
            keys_of(writes).filter(|(space, key)| txn.claim_of(*space, key).is_none()).collect();
        let claims = txn.claims.iter().map(|claim| (claim.key.clone(), claim.strength));
        let claims: Vec<_> =
            claims.chain(unclaimed.into_iter().map(|key| (key, LockStrength::Update))).collect();
        let mut recent = self.recent.lock();
        recent.check(txn).map_err(conflict)?;
        recent.record(commit, claims);
        Ok(())
    }

    fn validate_reads(&self, _txn: &mut OccTxn) -> Result<()> {
        // Commit order is a serial order: the snapshot is a state that it passes through.
        Ok(())
    }

    fn wait_until_safe(&self, _txn: &mut OccTxn, _cancel: &CancelToken) -> Result<bool> {
        Ok(true)
    }

    fn finish(&self, mut txn: OccTxn, _committed: Option<Timestamp>) {
        let mut recent = self.recent.lock();
        recent.running.remove(&(txn.since, txn.owner.id()));
        recent.forget(self.visible.now());
        drop(recent);
        self.locks.release_all(&mut txn.owner);
    }

    fn locks(&self) -> &LockTable {
        &self.locks
    }

    fn owner(txn: &mut OccTxn) -> &mut Owner {
        &mut txn.owner
    }
}
