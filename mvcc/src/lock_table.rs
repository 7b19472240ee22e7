//! Locks on keys and ranges: fair queues, deadlock detection, time-outs, cancellation.
//!
//! The table is cut into stripes, each with its latch. A request that conflicts with a holder, or
//! with an earlier waiter, waits in its stripe's queue; an upgrade (the requester already holds the
//! key more weakly) goes to the front, since those behind it wait for it anyway. Whoever changes a
//! stripe settles its queue: grants what has become free and records who waits for whom in the
//! wait-for graph (`deadlock.rs`). So the edge that closes a cycle is seen when it is added.
//!
//! Invariants
//! * No two transactions hold conflicting locks.
//! * A request is granted only if no earlier conflicting request waits.
//! * The graph holds the edges of exactly those who wait, whenever no stripe's latch is held.
//!
//! Latch order: stripe → graph → a waiter's own cell.

mod deadlock;
mod range;
mod stripe;
mod waiter;

use std::hash::BuildHasher;
use std::sync::Arc;

use driftdb_concurrency::{CancelToken, LockStrength, Result, TxnError, TxnId, WaitPolicy};
use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::{Mutex, MutexGuard};
use driftdb_env::{Env, FixedState};
use driftdb_storage::{KeyRange, KeyspaceId};

use self::deadlock::WaitGraph;
pub(crate) use self::range::OwnedRange;
use self::stripe::{Request, Stripe};
use self::waiter::{WaitCell, WaitEnd};

const STRIPE_COUNT: usize = 64;

/// Which locks share a stripe.
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

/// A transaction's side: who it is and what it holds.
#[derive(Debug)]
pub(crate) struct Owner {
    id: TxnId,
    cancel: CancelToken,
    held: Vec<Held>,
}

#[derive(Debug)]
enum Held {
    Key {
        space: KeyspaceId,
        key: Arc<[u8]>,
        strength: LockStrength,
    },
    /// All ranges of a keyspace.
    Ranges {
        space: KeyspaceId,
    },
}

impl Owner {
    pub(crate) fn new(id: TxnId, cancel: CancelToken) -> Self {
        Self { id, cancel, held: Vec::new() }
    }

    pub(crate) fn id(&self) -> TxnId {
        self.id
    }

    /// The keys held; one that was upgraded comes more than once.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (KeyspaceId, &Arc<[u8]>, LockStrength)> {
        self.held.iter().filter_map(|held| match held {
            Held::Key { space, key, strength } => Some((*space, key, *strength)),
            Held::Ranges { .. } => None,
        })
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct LockTable {
    env: Env,
    striping: Striping,
    stripes: Vec<Mutex<Stripe>>,
    graph: Mutex<WaitGraph>,
}

impl LockTable {
    pub(crate) fn new(env: &Env, striping: Striping) -> Self {
        Self {
            env: env.clone(),
            striping,
            stripes: (0..STRIPE_COUNT).map(|_| Mutex::default()).collect(),
            graph: Mutex::default(),
        }
    }

    /// Takes a lock, or a stronger one on what is held already.
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
        let mut stripe = self.stripe(space, &target);
        if stripe.holds(owner.id, space, &target, strength) {
            return Ok(());
        }
        let request = Request::new(owner.id, space, &target, strength);
        if stripe.is_free(&request) {
            stripe.grant(&request);
            // An upgrade may stand in the way of more waiters than before.
            self.settle(&mut stripe);
            drop(stripe);
            owner.held.push(request.into_held());
            return Ok(());
        }
        if wait == WaitPolicy::NoWait {
            return Err(TxnError::LockNotAvailable);
        }
        let cell = Arc::new(WaitCell::default());
        stripe.enqueue(request.clone(), Arc::clone(&cell));
        self.settle(&mut stripe);
        drop(stripe);
        preemption_point("mvcc.lock.wait");
        let end = cell.wait(&self.env, &owner.cancel, wait);
        self.end_wait(owner, request, &cell, end)
    }

    /// Releases everything a transaction holds.
    pub(crate) fn release_all(&self, owner: &mut Owner) {
        for held in owner.held.drain(..) {
            let mut stripe = match &held {
                Held::Key { space, key, .. } => self.stripe(*space, &Target::Key(key)),
                Held::Ranges { space } => self.stripe(*space, &Target::Range(KeyRange::ALL)),
            };
            match &held {
                Held::Key { space, key, .. } => stripe.release_key(owner.id, *space, key),
                Held::Ranges { space } => stripe.release_ranges(owner.id, *space),
            }
            self.settle(&mut stripe);
        }
    }

    /// (waiter, holder) pairs.
    pub(crate) fn waits(&self) -> Vec<(TxnId, TxnId)> {
        self.graph.lock().edges()
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

    /// Grants what has become free, and looks for deadlocks among those whose edges changed.
    fn settle(&self, stripe: &mut Stripe) {
        if !stripe.has_waiters() {
            return;
        }
        let mut graph = self.graph.lock();
        let suspects = stripe.settle(&mut graph);
        for suspect in suspects {
            graph.break_cycles_through(suspect);
        }
    }

    fn end_wait(
        &self,
        owner: &mut Owner,
        request: Request,
        cell: &Arc<WaitCell>,
        end: WaitEnd,
    ) -> Result<()> {
        let was_granted = end == WaitEnd::Granted || {
            let mut stripe = self.stripe(request.space, &request.target.as_target());
            // A grant may have come between the end of the wait and this latch.
            let was_granted = cell.is_granted();
            if !was_granted {
                stripe.withdraw(cell);
                self.graph.lock().remove(owner.id);
                self.settle(&mut stripe);
            }
            was_granted
        };
        if was_granted {
            owner.held.push(request.into_held());
        }
        match end {
            WaitEnd::Granted => Ok(()),
            WaitEnd::Victim { detail } => Err(TxnError::Deadlock { detail }),
            WaitEnd::TimedOut if was_granted => Ok(()),
            WaitEnd::TimedOut => Err(TxnError::LockTimeout),
            WaitEnd::Canceled => Err(TxnError::Canceled),
        }
    }
}

#[cfg(test)]
mod tests;
