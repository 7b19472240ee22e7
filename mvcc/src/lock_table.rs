//! Locks on keys, ranges and objects: fair queues, deadlock detection, time-outs, cancellation.
//!
//! The table is cut into stripes, each with its latch. A request that conflicts with a holder, or
//! with an earlier waiter, waits in its stripe's queue; a claim of a key passes the waiters if it
//! conflicts with no holder, as PostgreSQL's row locks do; an upgrade (the requester already holds the
//! target more weakly) goes to the front, since those behind it wait for it anyway. Whoever changes a
//! stripe settles its queue: grants what has become free and records who waits for whom in the
//! wait-for graph (`deadlock.rs`). So the edge that closes a cycle is seen when it is added. If the
//! last waiter of a cycle is only queued behind others, it is moved before them instead.
//!
//! What one session holds, in its transaction or beside it, is held by one party (`party.rs`). One that
//! holds very many keys of a keyspace comes to hold all of it instead (`whole.rs`).
//!
//! Invariants
//! * No two parties hold conflicting locks.
//! * A request that waits is granted only after earlier conflicting ones, cycles excepted.
//! * The graph holds the edges of exactly those who wait, whenever no stripe's latch is held.
//! * `exclusive_count` is the number of [`LockMode::AccessExclusive`] locks held and waited for.
//!
//! Latch order: stripe → graph → a waiter's own cell. Waiters are woken without any.

mod deadlock;
mod listing;
mod object;
mod party;
mod range;
mod stripe;
mod waiter;
mod whole;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use driftdb_concurrency::{
    CancelToken, LockMode, LockObject, LockStrength, Result, TxnError, TxnId, WaitPolicy,
};
use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::{Mutex, MutexGuard};
use driftdb_env::{Env, FixedState, buggify, planted, planted_order, sometimes};
use driftdb_storage::{KeyRange, KeyspaceId};

use self::deadlock::WaitGraph;
use self::party::{Party, Who};
pub(crate) use self::range::OwnedRange;
use self::stripe::{Request, Stripe, Wanted};
use self::waiter::{Decided, WaitCell, WaitEnd};

const STRIPE_COUNT: usize = 64;

/// Which locks share a stripe. Objects are always spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Striping {
    /// Spread by key: only keys are locked.
    ByKey,
    /// All of a keyspace together: ranges are locked too.
    ByKeyspace,
}

/// What is locked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Key(&'a [u8]),
    /// Every key in a range, there or not. Only under [`Striping::ByKeyspace`].
    Range(KeyRange<'a>),
}

/// One side of the table: who it is and what it holds, in the order in which it was taken.
#[derive(Debug)]
pub struct Owner {
    who: Who,
    cancel: CancelToken,
    /// In the order of taking.
    held: Vec<Taken>,
    /// How many locks were taken so far.
    taken_count: usize,
    keeps_keys: bool,
    /// Locks on keys among `held`.
    key_count: usize,
    /// At so many it tries to hold a whole keyspace instead.
    most_keys: usize,
}

/// A lock that is held, and how many were taken before it.
#[derive(Debug)]
struct Taken {
    at: usize,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Key {
        space: KeyspaceId,
        key: Arc<[u8]>,
        /// How strongly it was held before.
        before: Option<LockStrength>,
    },
    /// All ranges of a keyspace.
    Ranges {
        space: KeyspaceId,
    },
    /// Every key of a keyspace.
    Whole {
        space: KeyspaceId,
    },
    Object {
        object: LockObject,
        mode: LockMode,
    },
}

impl Owner {
    /// A transaction's side. Those of one session are one party.
    pub(crate) fn new(id: TxnId, cancel: CancelToken) -> Self {
        Self::of(Who { party: Party::of(id, &cancel), txn: Some(id) }, cancel)
    }

    fn of(who: Who, cancel: CancelToken) -> Self {
        Self {
            who,
            cancel,
            held: Vec::new(),
            taken_count: 0,
            keeps_keys: false,
            key_count: 0,
            most_keys: whole::KEYS_MAX,
        }
    }

    /// A transaction's side that keeps its locks on keys through a rollback to a savepoint, because
    /// what it has read there it has told its client.
    pub(crate) fn keeping_keys(id: TxnId, cancel: CancelToken) -> Self {
        Self { keeps_keys: true, ..Self::new(id, cancel) }
    }

    fn add(&mut self, held: Held) {
        self.key_count += usize::from(matches!(held, Held::Key { .. }));
        self.held.push(Taken { at: self.taken_count, held });
        self.taken_count += 1;
    }

    pub(crate) fn id(&self) -> TxnId {
        self.who.txn.expect("a transaction's side has its identity")
    }
}

/// The table.
#[derive(Debug)]
pub struct LockTable {
    env: Env,
    striping: Striping,
    stripes: Vec<Mutex<Stripe>>,
    graph: Mutex<WaitGraph>,
    exclusive_count: AtomicUsize,
}

impl LockTable {
    pub(crate) fn new(env: &Env, striping: Striping) -> Self {
        Self {
            env: env.clone(),
            striping,
            stripes: (0..STRIPE_COUNT).map(|_| Mutex::default()).collect(),
            graph: Mutex::default(),
            exclusive_count: AtomicUsize::new(0),
        }
    }

    /// Takes a lock, or a stronger one on what is held already. A key that no holder keeps is taken
    /// at once, whoever waits for it.
    ///
    /// # Errors
    /// Deadlock (as the victim), cancel, time-out, not available.
    pub(crate) fn acquire(
        &self,
        owner: &mut Owner,
        space: KeyspaceId,
        target: Target<'_>,
        strength: LockStrength,
        wait: WaitPolicy,
    ) -> Result<()> {
        let passes = matches!(target, Target::Key(_));
        self.acquire_either_way(owner, space, target, strength, passes, wait)
    }

    /// As [`LockTable::acquire`], but after those who wait already: for protocols that lock whatever
    /// they read, under which writers would starve.
    ///
    /// # Errors
    /// As [`LockTable::acquire`].
    pub(crate) fn acquire_in_turn(
        &self,
        owner: &mut Owner,
        space: KeyspaceId,
        target: Target<'_>,
        strength: LockStrength,
        wait: WaitPolicy,
    ) -> Result<()> {
        self.acquire_either_way(owner, space, target, strength, false, wait)
    }

    fn acquire_either_way(
        &self,
        owner: &mut Owner,
        space: KeyspaceId,
        target: Target<'_>,
        strength: LockStrength,
        passes: bool,
        wait: WaitPolicy,
    ) -> Result<()> {
        let stripe = self.stripe(space, &target);
        if stripe.holds(owner.who, space, &target, strength) {
            return Ok(());
        }
        let request = Request::new(owner.who, space, &target, strength);
        self.take(owner, stripe, request, passes, wait)?;
        let is_many = owner.key_count >= owner.most_keys;
        if is_many || owner.key_count > 1 && buggify!("lock.hold-whole-early") {
            self.hold_whole(owner);
        }
        Ok(())
    }

    /// Takes what is not held yet, passing those who wait or not; true if it had to wait.
    fn take(
        &self,
        owner: &mut Owner,
        mut stripe: MutexGuard<'_, Stripe>,
        request: Request,
        passes: bool,
        wait: WaitPolicy,
    ) -> Result<bool> {
        if stripe.is_free(&request, passes) {
            sometimes!("lock.granted-past-those-who-wait", stripe.has_waiters());
            let before = stripe.grant(&request);
            // An upgrade may stand in the way of more waiters than before.
            self.settle_and_leave(stripe);
            owner.add(request.into_held(before));
            return Ok(false);
        }
        sometimes!("lock.refused-at-once", wait == WaitPolicy::NoWait);
        if wait == WaitPolicy::NoWait {
            return Err(TxnError::LockNotAvailable);
        }
        let cell = Arc::new(WaitCell::default());
        let since = self.env.wall();
        stripe.enqueue(request.clone(), owner.cancel.clone(), Arc::clone(&cell), since);
        self.settle_and_leave(stripe);
        preemption_point("mvcc.lock.wait");
        let end = cell.wait(&self.env, &owner.cancel, wait);
        self.end_wait(owner, request, &cell, end)
    }

    /// Releases everything an owner holds.
    pub(crate) fn release_all(&self, owner: &mut Owner) {
        owner.key_count = 0;
        for taken in owner.held.drain(..).rev() {
            let is_of_table = matches!(taken.held, Held::Object { .. });
            if is_of_table && planted!("lock.table-lock-stays") {
                continue;
            }
            self.release(owner.who, &taken.held);
        }
    }

    fn release(&self, who: Who, held: &Held) {
        let mut stripe = match held {
            Held::Key { space, key, .. } => self.stripe(*space, &Target::Key(key)),
            Held::Ranges { space } => self.stripe(*space, &Target::Range(KeyRange::ALL)),
            Held::Object { object, .. } => self.stripe_of_object(*object),
            Held::Whole { space } => return self.release_whole(who, *space),
        };
        match held {
            Held::Key { space, key, before, .. } => stripe.release_key(who, *space, key, *before),
            Held::Ranges { space } => stripe.release_ranges(who, *space),
            Held::Whole { .. } => unreachable!("it is in many stripes"),
            Held::Object { object, mode } => {
                stripe.release_object(who, *object, *mode);
                self.discount(*mode);
            }
        }
        if !planted!("mvcc.release-without-settling") {
            self.settle_and_leave(stripe);
        }
    }

    fn stripe(&self, space: KeyspaceId, target: &Target<'_>) -> MutexGuard<'_, Stripe> {
        let hash = match (self.striping, target) {
            (Striping::ByKey, Target::Key(key)) => FixedState.hash_one((space, key)),
            (Striping::ByKey, Target::Range(_)) => {
                unreachable!("ranges are locked only where a keyspace shares a stripe")
            }
            (Striping::ByKeyspace, _) => FixedState.hash_one(space),
        };
        self.stripes[(hash >> 32) as usize % STRIPE_COUNT].lock()
    }

    fn stripe_of_object(&self, object: LockObject) -> MutexGuard<'_, Stripe> {
        self.stripes[(FixedState.hash_one(object) >> 32) as usize % STRIPE_COUNT].lock()
    }

    /// Grants what has become free, and looks for deadlocks among those whose edges changed. Whose wait is
    /// over is told when the result is dropped: after the latches.
    #[must_use]
    fn settle(&self, stripe: &mut Stripe) -> Decided {
        let mut decided = Decided::default();
        if !stripe.has_waiters() {
            return decided;
        }
        let mut graph = self.graph.lock();
        let mut suspects = stripe.settle(&mut graph, &mut decided);
        let mut promoted = Vec::new();
        while let Some(suspect) = suspects.pop() {
            if !promoted.contains(&suspect) && graph.is_in_cycle(suspect) && stripe.promote(suspect)
            {
                // Those before it hold nothing that it waits for.
                sometimes!("lock.moved-up-out-of-a-cycle");
                promoted.push(suspect);
                suspects.extend(stripe.settle(&mut graph, &mut decided));
            }
            if !planted_order!("mvcc.cycle-not-looked-for") {
                graph.break_cycles_through(suspect, &mut decided);
            }
        }
        decided
    }

    /// As [`LockTable::settle`], and gives the stripe back before anybody is woken.
    fn settle_and_leave(&self, mut stripe: MutexGuard<'_, Stripe>) {
        let decided = self.settle(&mut stripe);
        drop(stripe);
        drop(decided);
    }

    fn end_wait(
        &self,
        owner: &mut Owner,
        request: Request,
        cell: &Arc<WaitCell>,
        end: WaitEnd,
    ) -> Result<bool> {
        let mut before = cell.granted();
        if before.is_none() {
            let mut stripe = self.stripe_of(&request.wanted);
            // A grant may have come between the end of the wait and this latch.
            if !planted_order!("mvcc.late-grant-lost") {
                before = cell.granted();
            }
            if before.is_none() {
                if !planted!("lock.victim-keeps-its-place") {
                    stripe.withdraw(cell);
                }
                self.graph.lock().remove(owner.who.party);
                self.settle_and_leave(stripe);
            }
        }
        let was_granted = before.is_some();
        sometimes!("lock.granted-after-a-wait", was_granted);
        if let Some(before) = before {
            owner.add(request.into_held(before));
        }
        match end {
            WaitEnd::Granted { .. } => Ok(true),
            WaitEnd::Victim { detail } => Err(TxnError::Deadlock { detail }),
            WaitEnd::TimedOut if was_granted => Ok(true),
            WaitEnd::TimedOut => {
                sometimes!("lock.timed-out");
                Err(TxnError::LockTimeout)
            }
            WaitEnd::Canceled => Err(TxnError::Canceled),
        }
    }

    fn stripe_of(&self, wanted: &Wanted) -> MutexGuard<'_, Stripe> {
        match wanted {
            Wanted::Key { space, key, .. } => self.stripe(*space, &Target::Key(key)),
            Wanted::Range { space, range } => self.stripe(*space, &Target::Range(range.as_range())),
            Wanted::Object { object, .. } => self.stripe_of_object(*object),
        }
    }
}

#[cfg(all(test, shuttle))]
mod schedules;
#[cfg(test)]
mod tests;
