//! Objects: tables and advisory locks, in PostgreSQL's modes.

use std::sync::atomic::Ordering;

use driftdb_concurrency::{
    CancelToken, LockEntry, LockMode, LockObject, ObjectLocked, ObjectLocks, Result, WaitEntry,
    WaitPolicy,
};

use super::party::{Party, Who};
use super::stripe::{Request, Wanted};
use super::{Held, LockTable, Owner, Striping, Taken};

/// Keys held that a listing names, of each stripe: a transaction may hold millions.
const MOST_LISTED_KEYS: usize = 1000;

/// A set of modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ModeSet(u8);

impl ModeSet {
    pub(super) fn of(mode: LockMode) -> Self {
        Self(1 << mode as u8)
    }

    pub(super) fn has(self, mode: LockMode) -> bool {
        self.0 & Self::of(mode).0 != 0
    }

    pub(super) fn add(&mut self, mode: LockMode) {
        self.0 |= Self::of(mode).0;
    }

    pub(super) fn remove(&mut self, mode: LockMode) {
        self.0 &= !Self::of(mode).0;
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn modes(self) -> impl Iterator<Item = LockMode> {
        LockMode::ALL.into_iter().filter(move |mode| self.has(*mode))
    }

    pub(super) fn conflicts_with(self, mode: LockMode) -> bool {
        self.modes().any(|held| held.conflicts_with(mode))
    }
}

/// One side's modes on an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectHolder {
    pub(super) who: Who,
    pub(super) modes: ModeSet,
}

impl LockTable {
    /// Counts a request for the strongest mode, before it is made.
    fn count(&self, mode: LockMode) {
        if mode == LockMode::AccessExclusive {
            self.exclusive_count.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// That mode is no longer held or waited for.
    pub(super) fn discount(&self, mode: LockMode) {
        if mode == LockMode::AccessExclusive {
            self.exclusive_count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl ObjectLocks for LockTable {
    type Owner = Owner;

    fn session_owner(&self, token: &CancelToken) -> Owner {
        let session = token.session().expect("only sessions hold locks beside transactions");
        Owner::of(Who { party: Party::Session(session), txn: None }, token.clone())
    }

    fn lock_object(
        &self,
        owner: &mut Owner,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked> {
        let stripe = self.stripe_of_object(object);
        if stripe.holds_object(owner.who, object, mode) {
            return Ok(ObjectLocked::Before);
        }
        self.count(mode);
        let request = Request { who: owner.who, wanted: Wanted::Object { object, mode } };
        let held_before = owner.held.len();
        let taken = self.take(owner, stripe, request, false, wait);
        if owner.held.len() == held_before {
            self.discount(mode);
        }
        Ok(if taken? { ObjectLocked::AfterWait } else { ObjectLocked::AtOnce })
    }

    fn unlock_object(&self, owner: &mut Owner, object: LockObject, mode: LockMode) -> bool {
        let is_it = |taken: &Taken| matches!(taken.held, Held::Object { object: held, mode: of } if held == object && of == mode);
        let Some(index) = owner.held.iter().rposition(is_it) else { return false };
        let taken = owner.held.remove(index);
        self.release(owner.who, &taken.held);
        true
    }

    fn mark(owner: &Owner) -> usize {
        owner.taken_count
    }

    fn release_since(&self, owner: &mut Owner, mark: usize) {
        let first = owner.held.partition_point(|taken| taken.at < mark);
        if owner.held.len() == first {
            return;
        }
        for taken in owner.held.split_off(first).into_iter().rev() {
            if owner.keeps_keys && !matches!(taken.held, Held::Object { .. }) {
                owner.held.push(taken);
            } else {
                owner.key_count -= usize::from(matches!(taken.held, Held::Key { .. }));
                self.release(owner.who, &taken.held);
            }
        }
        // Those that are kept stay in the order of taking.
        owner.held[first..].reverse();
    }

    fn release_keys(&self, owner: &mut Owner) {
        owner.key_count = 0;
        let is_object = |taken: &Taken| matches!(taken.held, Held::Object { .. });
        let (objects, keys) = std::mem::take(&mut owner.held).into_iter().partition(is_object);
        owner.held = objects;
        let keys: Vec<Taken> = keys;
        for taken in keys.into_iter().rev() {
            self.release(owner.who, &taken.held);
        }
    }

    fn must_lock_reads(&self) -> bool {
        self.exclusive_count.load(Ordering::SeqCst) > 0
    }

    fn blockers(&self, session: i32) -> Vec<i32> {
        self.graph.lock().blockers(Party::Session(session))
    }

    fn list(&self) -> Vec<LockEntry> {
        let mut entries = Vec::new();
        for (index, stripe) in self.stripes.iter().enumerate() {
            let stripe = stripe.lock();
            stripe.list(MOST_LISTED_KEYS, &mut entries);
            if index == 0 || self.striping == Striping::ByKeyspace {
                stripe.list_wholes(&mut entries);
            }
        }
        entries
    }

    fn waits(&self) -> Vec<WaitEntry> {
        self.graph.lock().waits()
    }
}
