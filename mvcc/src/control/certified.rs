//! Snapshot reads with first-updater-wins, and a rule that certifies SERIALIZABLE at commit.
//!
//! Reads never wait. A write claims its key first, waits for the claim's holder, and finds out
//! whether the key changed since the snapshot (`transaction/write.rs`): so READ COMMITTED and
//! REPEATABLE READ as in PostgreSQL.
//!
//! A SERIALIZABLE transaction also notes what it reads: keys, and the extents that its scans really
//! covered, so that keys not there yet count. When it ends, its edges to and from overlapping
//! transactions are looked up (`recent.rs`), and the [`Rule`] decides: that is what makes executions
//! serializable. A rule may also look ahead ([`Rule::looks_ahead`]): then some who must fail are stopped
//! while they run, as PostgreSQL stops them (`running.rs`).
//!
//! Only SERIALIZABLE transactions are considered, as in PostgreSQL: the guarantee is among them.
//!
//! A read-only transaction needs none of this once its snapshot is *safe* [Ports12]: when everybody
//! who wrote beside it has ended without an edge to a commit before it. If nobody writes when it begins,
//! that is at once. DEFERRABLE waits for it.
//!
//! READ UNCOMMITTED claims and writes as READ COMMITTED does.

use std::marker::PhantomData;
use std::sync::Arc;

use driftdb_concurrency::{
    Begin, CancelToken, ConcurrencyControl, IsolationLevel, LockStrength, Result, TxnError,
    VisibleClock, WaitPolicy, Writes,
};
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Env, planted};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use super::recent::{Footprint, Recent, Safety, SafetyCell};
use super::running::{Judged, Read, Running};
use super::written::{Key, keys_of};
use crate::lock_table::{LockTable, Owner, Striping, Target};

/// A transaction that wants to commit, and its edges.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Up to when it saw commits.
    pub snapshot: Timestamp,
    /// When it would commit; for one without writes, the last commit before its end.
    pub commit: Timestamp,
    /// Whether it wrote nothing.
    pub is_read_only: bool,
    /// The first commit that overwrote what it read; [`Timestamp::MAX`]: none did.
    pub first_overwriter: Timestamp,
    /// The smallest mark among all that did; [`Timestamp::MAX`] if none did.
    pub overwriters_mark: Timestamp,
}

/// What decides whether a transaction may commit.
pub trait Rule: Send + Sync + 'static {
    /// The name in the configuration.
    const NAME: &'static str;

    /// Returns the mark that the transaction leaves for others. `latest_reader` tells the largest
    /// [`Rule::reader_bound`] among committed transactions that read before this one's writes.
    ///
    /// # Errors
    /// Why it must fail, in words for the user.
    fn judge(
        candidate: &Candidate,
        latest_reader: impl FnOnce() -> Timestamp,
    ) -> std::result::Result<Timestamp, &'static str>;

    /// How late a committed transaction counts as a reader of what others overwrite.
    fn reader_bound(candidate: &Candidate) -> Timestamp;

    /// Whether those who run are stopped as soon as PostgreSQL stops them.
    fn looks_ahead() -> bool;
}

/// Snapshots, claims, and a rule at the end.
#[derive(Debug)]
pub struct CertifiedControl<R> {
    visible: VisibleClock,
    locks: LockTable,
    state: Mutex<State>,
    /// Some snapshot proved safe or unsafe.
    told: Arc<Condvar>,
    rule: PhantomData<R>,
}

/// What is known of SERIALIZABLE transactions.
#[derive(Debug, Default)]
struct State {
    /// Those that committed.
    recent: Recent,
    /// Those that run.
    running: Running,
}

/// One transaction's claims, and at SERIALIZABLE what it depends on.
#[derive(Debug)]
pub struct CertifiedTxn {
    owner: Owner,
    snapshot: Timestamp,
    tracking: Option<Tracking>,
}

#[derive(Debug)]
struct Tracking {
    /// Of a read-only transaction.
    safety: Option<Arc<SafetyCell>>,
    /// Once it was certified.
    mark: Option<Timestamp>,
}

impl CertifiedTxn {
    /// Whether what it reads and writes has to be known.
    fn is_tracked(&self) -> bool {
        self.tracking.as_ref().is_some_and(|tracking| match &tracking.safety {
            Some(safety) => safety.get() != Safety::Safe,
            None => true,
        })
    }
}

/// The error of one who was judged.
fn told(judged: Judged) -> Result<()> {
    judged.map_err(|why| TxnError::ReadWriteDependency { detail: why.to_owned() })
}

impl<R: Rule> CertifiedControl<R> {
    /// Before something is read.
    fn note_read(&self, txn: &CertifiedTxn, space: KeyspaceId, read: Read<'_>) -> Result<()> {
        if !txn.is_tracked() {
            return Ok(());
        }
        let mut state = self.state.lock();
        let State { recent, running } = &mut *state;
        running.note_read(txn.owner.id(), space, read);
        if !R::looks_ahead() {
            return Ok(());
        }
        told(running.judge_read(recent, txn.owner.id(), space, read))
    }

    /// Certifies a commit and what it writes, or the end of one that wrote nothing.
    fn certify(
        &self,
        txn: &mut CertifiedTxn,
        commit: Option<(Timestamp, Writes<'_>)>,
    ) -> Result<()> {
        if !txn.is_tracked() {
            return Ok(());
        }
        let Some(tracking) = &mut txn.tracking else { return Ok(()) };
        let (commit, writes) = commit.unzip();
        let (written, spaces): (Vec<Key>, &[KeyspaceId]) = match writes {
            None => (Vec::new(), &[]),
            Some(Writes::Batch(batch)) => (keys_of(batch).collect(), &[]),
            Some(Writes::Keyspaces(spaces)) => (Vec::new(), spaces),
        };
        let mut state = self.state.lock();
        let State { recent, running } = &mut *state;
        let id = txn.owner.id();
        if R::looks_ahead() {
            told(running.check(id))?;
        }
        let outgoing = recent.outgoing(txn.snapshot, running.reads(id));
        let candidate = Candidate {
            snapshot: txn.snapshot,
            commit: commit.unwrap_or_else(|| recent.last()),
            is_read_only: commit.is_none(),
            first_overwriter: outgoing.first,
            overwriters_mark: outgoing.mark,
        };
        let latest_reader =
            || recent.latest_reader(written.iter()).max(recent.latest_reader_of_any(spaces));
        let mark = R::judge(&candidate, latest_reader)
            .map_err(|why| TxnError::ReadWriteDependency { detail: why.to_owned() })?;
        if R::looks_ahead() && !candidate.is_read_only {
            running.commit(id, candidate.commit);
        }
        let mut reads = running.leave(id);
        // The next version of what one writes is one's own.
        written.iter().for_each(|(space, key)| reads.remove_key(*space, key));
        let bound = R::reader_bound(&candidate);
        recent.summarise_writes(candidate.commit, mark, spaces);
        recent.record(candidate.commit, id, Footprint { bound, mark, written, reads });
        tracking.mark = Some(mark);
        Ok(())
    }
}

impl<R: Rule> ConcurrencyControl for CertifiedControl<R> {
    const NAME: &'static str = R::NAME;
    const READS_NEWEST: bool = false;
    const CLAIMS_WAIT: bool = true;
    const RELEASES_EARLY: bool = true;

    type Txn = CertifiedTxn;
    type Locks = LockTable;

    fn new(env: &Env, visible: &VisibleClock) -> Self {
        Self {
            visible: visible.clone(),
            locks: LockTable::new(env, Striping::ByKey),
            state: Mutex::default(),
            told: Arc::default(),
            rule: PhantomData,
        }
    }

    fn granted(requested: IsolationLevel) -> IsolationLevel {
        requested
    }

    fn tracks_reads(isolation: IsolationLevel, _read_only: bool) -> bool {
        // A read-only transaction too may see what no serial execution passes through [Fekete04].
        isolation == IsolationLevel::Serializable
    }

    fn begin(&self, begin: Begin) -> Option<CertifiedTxn> {
        let mut tracking = None;
        if Self::tracks_reads(begin.isolation, begin.read_only) {
            let mut state = self.state.lock();
            let State { recent, running } = &mut *state;
            let is_safe = begin.read_only && recent.is_safe(begin.read_ts);
            if !is_safe {
                if !recent.admit(begin.id, begin.read_ts, !begin.read_only) {
                    return None;
                }
                let safety = begin.read_only.then(|| recent.watch(begin.id, begin.read_ts));
                running.enter(begin.id, begin.read_ts, begin.read_only);
                tracking = Some(Tracking { safety, mark: None });
            }
        }
        let owner = Owner::new(begin.id, begin.cancel);
        Some(CertifiedTxn { owner, snapshot: begin.read_ts, tracking })
    }

    fn renew(&self, txn: &mut CertifiedTxn, read_ts: Timestamp) -> bool {
        if txn.tracking.is_some() {
            let (id, mut state) = (txn.owner.id(), self.state.lock());
            if !state.recent.renew(id, txn.snapshot, read_ts) {
                return false;
            }
            state.running.leave(id);
            state.running.enter(id, read_ts, false);
        }
        txn.snapshot = read_ts;
        true
    }

    fn read(&self, txn: &mut CertifiedTxn, space: KeyspaceId, key: &[u8]) -> Result<()> {
        self.note_read(txn, space, Read::Key(key))
    }

    fn checks(&self, txn: &mut CertifiedTxn, space: KeyspaceId, key: &[u8]) -> Result<()> {
        if txn.is_tracked() {
            self.state.lock().running.note_read(txn.owner.id(), space, Read::Key(key));
        }
        Ok(())
    }

    fn scanned(
        &self,
        txn: &mut CertifiedTxn,
        space: KeyspaceId,
        range: &KeyRange<'_>,
    ) -> Result<()> {
        if planted!("mvcc.scan-extent-not-tracked") {
            return Ok(());
        }
        self.note_read(txn, space, Read::Range(range))
    }

    fn writes(&self, txn: &mut CertifiedTxn, space: KeyspaceId, key: &[u8]) -> Result<()> {
        if !R::looks_ahead() || !txn.is_tracked() {
            return Ok(());
        }
        let mut state = self.state.lock();
        let State { recent, running } = &mut *state;
        told(running.judge_write(recent, txn.owner.id(), space, key))
    }

    fn claim(
        &self,
        txn: &mut CertifiedTxn,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        wait: WaitPolicy,
    ) -> Result<()> {
        self.locks.acquire(&mut txn.owner, space, Target::Key(key), strength, wait)
    }

    fn validate(
        &self,
        txn: &mut CertifiedTxn,
        commit: Timestamp,
        writes: Writes<'_>,
    ) -> Result<()> {
        self.certify(txn, Some((commit, writes)))
    }

    fn validate_reads(&self, txn: &mut CertifiedTxn) -> Result<()> {
        if planted!("mvcc.readers-not-certified") {
            return Ok(());
        }
        self.certify(txn, None)
    }

    fn wait_until_safe(&self, txn: &mut CertifiedTxn, cancel: &CancelToken) -> Result<bool> {
        let Some(Tracking { safety: Some(safety), .. }) = &txn.tracking else { return Ok(true) };
        cancel.set_waiting_on(Some(Arc::clone(&self.told)));
        let mut state = self.state.lock();
        while safety.get() == Safety::Unknown && !cancel.is_canceled() {
            self.told.wait_for(&mut state, CancelToken::LOOK_AGAIN_AFTER);
        }
        drop(state);
        cancel.set_waiting_on(None);
        match safety.get() {
            Safety::Safe => Ok(true),
            Safety::Unsafe => Ok(false),
            Safety::Unknown => Err(TxnError::Canceled),
        }
    }

    fn finish(&self, mut txn: CertifiedTxn, committed: Option<Timestamp>) {
        if let Some(tracking) = &txn.tracking {
            let mark = tracking.mark.filter(|_| committed.is_some());
            let visible = self.visible.now();
            let (id, mut state) = (txn.owner.id(), self.state.lock());
            state.running.leave(id);
            let has_told = state.recent.leave(id, txn.snapshot, mark, visible);
            drop(state);
            if has_told {
                self.told.notify_all();
            }
        }
        self.locks.release_all(&mut txn.owner);
    }

    fn locks(&self) -> &LockTable {
        &self.locks
    }

    fn owner(txn: &mut CertifiedTxn) -> &mut Owner {
        &mut txn.owner
    }
}

/// Run by `.ci/shuttle`.
#[cfg(all(test, shuttle))]
mod schedules {
    use driftdb_concurrency::TxnId;
    use driftdb_env::Task;
    use driftdb_env::schedules::Schedules;
    use driftdb_storage::WriteBatch;

    use super::*;
    use crate::control::{Ssi, Ssn};

    const SCHEDULES: Schedules = Schedules { random: 4_000, priority: 4_000 };
    const SPACE: KeyspaceId = KeyspaceId(1);
    const KEYS: [&[u8]; 2] = [b"x", b"y"];

    /// A commit: the snapshot it read, when it was, and the key that it wrote.
    type Commits = Mutex<Vec<(Timestamp, Timestamp, usize)>>;

    struct Fixture<R> {
        control: CertifiedControl<R>,
        visible: VisibleClock,
        /// The commit latch, and the last timestamp.
        pipeline: Mutex<u64>,
        commits: Commits,
    }

    /// Reads both keys and writes one, as a transaction of the store does; a snapshot may be old by
    /// the time that the control hears of it.
    fn transact<R: Rule>(fixture: &Fixture<R>, id: u64, own: usize) {
        let Fixture { control, visible, .. } = fixture;
        let (mut txn, snapshot) = loop {
            let read_ts = visible.now();
            driftdb_env::yield_now("in between");
            let begin = Begin {
                id: TxnId(id),
                isolation: IsolationLevel::Serializable,
                read_ts,
                read_only: false,
                cancel: CancelToken::new(),
            };
            if let Some(txn) = control.begin(begin) {
                break (txn, read_ts);
            }
        };
        for key in KEYS {
            control.read(&mut txn, SPACE, key).unwrap();
        }
        let (strength, wait) = (LockStrength::Update, WaitPolicy::Wait(None));
        control.claim(&mut txn, SPACE, KEYS[own], strength, wait).unwrap();
        // The store refuses a row that changed since the snapshot.
        let has_changed =
            |(_, commit, key): &(_, Timestamp, usize)| *key == own && *commit > snapshot;
        let is_late = fixture.commits.lock().iter().any(has_changed);
        if is_late {
            control.finish(txn, None);
            return;
        }
        let mut last = fixture.pipeline.lock();
        *last += 1;
        let commit = Timestamp(*last);
        let mut writes = WriteBatch::new();
        writes.put(SPACE, KEYS[own], b"");
        let certified = control.validate(&mut txn, commit, Writes::Batch(&writes));
        drop(last);
        let committed = certified.is_ok().then(|| {
            visible.advance(commit);
            fixture.commits.lock().push((snapshot, commit, own));
            commit
        });
        control.finish(txn, committed);
    }

    /// Each reads both keys and writes one: of two that overlap only one commits.
    fn no_write_skew<R: Rule>() {
        let env = Env::os();
        let visible = VisibleClock::new(Timestamp(1));
        let fixture = Arc::new(Fixture::<R> {
            control: CertifiedControl::new(&env, &visible),
            visible,
            pipeline: Mutex::new(1),
            commits: Mutex::default(),
        });
        let tasks = [(1, 0), (2, 1), (3, 0)].map(|(id, own)| {
            let fixture = Arc::clone(&fixture);
            env.spawn("transaction", move || transact(&fixture, id, own))
        });
        tasks.into_iter().for_each(Task::join);
        let commits = fixture.commits.lock();
        for (index, (snapshot, commit, _)) in commits.iter().enumerate() {
            for (other_snapshot, other_commit, _) in &commits[..index] {
                let overlaps = snapshot < other_commit && other_snapshot < commit;
                assert!(!overlaps, "two that overlap committed: {commits:?}");
            }
        }
        assert!(!commits.is_empty(), "nobody got through");
    }

    #[test]
    fn schedules_hold() {
        SCHEDULES.all_hold(no_write_skew::<Ssi>);
        SCHEDULES.all_hold(no_write_skew::<Ssn>);
    }

    #[test]
    fn schedules_find_a_late_comer_who_is_admitted() {
        SCHEDULES.find("mvcc.late-comer-admitted", no_write_skew::<Ssi>);
    }
}
