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
//! oldest are forgotten, and who needs them fails. A transaction that claims more than [`CLAIMS_MAX`]
//! keys, or writes more than fits into its memory, counts as claiming whole tables.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use driftdb_concurrency::{
    Begin, CancelToken, ConcurrencyControl, IsolationLevel, LockStrength, Result, TxnError, TxnId,
    VisibleClock, WaitPolicy, Writes,
};
use driftdb_env::sync::Mutex;
use driftdb_env::{Env, HashMap, buggify, planted, sometimes};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use super::read_set::{ReadSet, hash};
use super::written::{Key, Written, keys_of};
use crate::lock_table::{LockTable, Owner, Striping};

/// More claims of one transaction than this are not kept: those on one keyspace become one on all of it.
const CLAIMS_MAX: usize = 1 << 16;

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
    /// Keyspaces of which it claims more keys than are kept: it counts as claiming all.
    wholly: BTreeMap<KeyspaceId, Whole>,
    reads: Option<ReadSet>,
}

#[derive(Debug)]
struct Claim {
    key: Key,
    strength: LockStrength,
    /// What was visible when it was made: from then on nobody else may change the key.
    since: Timestamp,
}

/// A claim on every key of a keyspace.
#[derive(Debug)]
struct Whole {
    strength: LockStrength,
    /// What was visible at the first claim.
    since: Timestamp,
}

impl OccTxn {
    /// Makes one claim of all those on the keyspace that has most.
    fn claim_wholly(&mut self) {
        let mut counts = BTreeMap::<KeyspaceId, usize>::new();
        self.claims.iter().for_each(|claim| *counts.entry(claim.key.0).or_default() += 1);
        let Some((most, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return };
        sometimes!("occ.keyspace-claimed-wholly");
        let claims = std::mem::take(&mut self.claims);
        self.by_key.clear();
        for claim in claims {
            if claim.key.0 == most {
                let whole = Whole { strength: claim.strength, since: claim.since };
                let whole = self.wholly.entry(most).or_insert(whole);
                whole.strength = whole.strength.max(claim.strength);
                whole.since = whole.since.min(claim.since);
            } else {
                self.add_claim(claim);
            }
        }
    }

    fn add_claim(&mut self, claim: Claim) {
        let (space, key) = &claim.key;
        self.by_key.entry(hash(*space, key)).or_default().push(self.claims.len());
        self.claims.push(claim);
    }

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
    commits: BTreeMap<Timestamp, Claims>,
    claimed: Written<LockStrength>,
    /// Commits that count as having claimed every key of a keyspace.
    wholly: BTreeMap<KeyspaceId, BTreeMap<Timestamp, LockStrength>>,
    key_count: usize,
    forgotten_through: Timestamp,
}

/// What one commit claimed.
#[derive(Debug, Default)]
struct Claims {
    keys: Vec<(Key, LockStrength)>,
    spaces: Vec<(KeyspaceId, LockStrength)>,
}

impl Recent {
    /// The claims after `since` on all of a keyspace.
    fn wholly_since(
        &self,
        space: KeyspaceId,
        since: Timestamp,
    ) -> impl Iterator<Item = LockStrength> {
        let later = (Bound::Excluded(since), Bound::Unbounded);
        let commits = self.wholly.get(&space).into_iter();
        commits.flat_map(move |commits| commits.range(later)).map(|(_, strength)| *strength)
    }

    fn check(&self, txn: &OccTxn) -> std::result::Result<(), &'static str> {
        if txn.since < self.forgotten_through {
            sometimes!("occ.began-before-what-is-remembered");
            return Err("Canceled at commit: commits since it began are no longer remembered.");
        }
        for claim in &txn.claims {
            let (space, key) = &claim.key;
            let others = self.claimed.of_key(hash(*space, key));
            let of_key = others.iter().filter(|(commit, _)| *commit > claim.since);
            let of_space = self.wholly_since(*space, claim.since);
            let mut others = of_key.map(|(_, strength)| *strength).chain(of_space);
            let conflicts = others.any(|strength| strength.conflicts_with(claim.strength));
            if conflicts && !planted!("mvcc.occ-claims-not-validated") {
                sometimes!("occ.claim-refused");
                return Err("Canceled at commit: a row that it had changed or locked was changed \
                            or locked by a transaction that committed first.");
            }
        }
        for (space, whole) in &txn.wholly {
            let of_keys = self.claimed.of_space_since(*space, whole.since);
            let mut others = of_keys.chain(self.wholly_since(*space, whole.since));
            if others.any(|strength| strength.conflicts_with(whole.strength)) {
                return Err(
                    "Canceled at commit: it had changed or locked too many rows of a table \
                            to remember each, and a transaction that committed first had one.",
                );
            }
        }
        let Some(reads) = &txn.reads else { return Ok(()) };
        let of_keys = self.claimed.since(txn.since, reads).map(|(_, strength)| strength);
        let of_spaces = reads.spaces().flat_map(|(space, _)| self.wholly_since(space, txn.since));
        let mut writers = of_keys.chain(of_spaces);
        let has_changed = writers.any(|strength| strength >= LockStrength::NoKeyUpdate);
        if has_changed && !planted!("mvcc.occ-reads-not-validated") {
            sometimes!("occ.read-refused");
            return Err("Canceled at commit: what it had read was changed by a transaction that \
                        committed first.");
        }
        Ok(())
    }

    fn record(&mut self, commit: Timestamp, claims: Claims) {
        for (key, strength) in &claims.keys {
            self.claimed.insert(key, commit, *strength);
        }
        for (space, strength) in &claims.spaces {
            self.wholly.entry(*space).or_default().insert(commit, *strength);
        }
        self.key_count += claims.keys.len();
        self.commits.insert(commit, claims);
    }

    /// Drops what the snapshots of all that run and will run hold.
    fn forget(&mut self, visible: Timestamp) {
        let oldest = self.running.first().map_or(visible, |(since, _)| visible.min(*since));
        while let Some((&commit, _)) = self.commits.first_key_value() {
            let is_many = self.key_count > RECENT_KEYS_MAX || buggify!("occ.forget-early");
            // What is not visible stays: whoever began now would come too late for it, again and again.
            if commit > oldest && (!is_many || commit > visible) {
                return;
            }
            sometimes!("occ.forgotten-while-needed", commit > oldest);
            let claims = self.commits.remove(&commit).unwrap_or_default();
            self.key_count -= claims.keys.len();
            for (key, _) in &claims.keys {
                self.claimed.remove(key, commit);
            }
            for (space, _) in &claims.spaces {
                if let Some(commits) = self.wholly.get_mut(space) {
                    commits.remove(&commit);
                    if commits.is_empty() {
                        self.wholly.remove(space);
                    }
                }
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
    // Nobody waits for a claim.
    const RELEASES_EARLY: bool = false;

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
            wholly: BTreeMap::new(),
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
        if let Some(whole) = txn.wholly.get_mut(&space) {
            whole.strength = whole.strength.max(strength);
            return Ok(());
        }
        txn.add_claim(Claim { key: (space, key.into()), strength, since: self.visible.now() });
        let is_many = txn.claims.len() > CLAIMS_MAX;
        if is_many || txn.claims.len() > 1 && buggify!("occ.claim-wholly-early") {
            txn.claim_wholly();
        }
        Ok(())
    }

    fn validate(&self, txn: &mut OccTxn, commit: Timestamp, writes: Writes<'_>) -> Result<()> {
        let mut claims = Claims::default();
        let claimed = txn.claims.iter().map(|claim| (claim.key.clone(), claim.strength));
        claims.keys.extend(claimed);
        let wholly = txn.wholly.iter().map(|(space, whole)| (*space, whole.strength));
        claims.spaces.extend(wholly);
        match writes {
            Writes::Batch(batch) => {
                let unclaimed = keys_of(batch).filter(|(space, key)| {
                    !txn.wholly.contains_key(space) && txn.claim_of(*space, key).is_none()
                });
                claims.keys.extend(unclaimed.map(|key| (key, LockStrength::Update)));
            }
            // The strongest comes last and stays.
            Writes::Keyspaces(spaces) => {
                claims.spaces.extend(spaces.iter().map(|space| (*space, LockStrength::Update)));
            }
        }
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
