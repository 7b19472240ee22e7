//! All keys of a keyspace in place of very many: lock escalation, so that the memory of a transaction's
//! locks is bounded [Gray76].
//!
//! A side that holds [`KEYS_MAX`] keys tries to hold the whole keyspace of which it has most, as strongly
//! as it holds the strongest of them. It never waits for that: if another holds something there that
//! conflicts, it goes on with single keys and tries again later. So nobody deadlocks for an escalation
//! that would not have otherwise, but for those who then wait for a key of the keyspace that nobody had.
//!
//! The lock stands in every stripe that keys of the keyspace go to, and is put there with all of their
//! latches held, taken in order: else another could take a key in between.
//!
//! Invariant: whoever holds a keyspace holds it in each of its stripes.

use std::collections::BTreeMap;

use driftdb_concurrency::LockStrength;
use driftdb_env::sync::MutexGuard;
use driftdb_env::{HashMap, sometimes};
use driftdb_storage::{KeyRange, KeyspaceId};

use super::party::Who;
use super::stripe::Stripe;
use super::{Held, LockTable, Owner, Striping, Taken, Target};

/// So many locks on keys become one.
pub(super) const KEYS_MAX: usize = 1 << 17;

impl LockTable {
    /// Makes one lock of those on the keyspace of which most keys are held, if nobody is in the way.
    pub(super) fn hold_whole(&self, owner: &mut Owner) {
        let Some((space, strength)) = self.most_held(owner) else { return };
        let who = owner.who;
        let mut stripes = self.stripes_of(space);
        if stripes.iter().any(|stripe| stripe.is_contested(who, space, strength)) {
            sometimes!("lock.whole-in-the-way");
            // The next try is worth its cost only after as many more.
            owner.most_keys = owner.key_count + KEYS_MAX;
            return;
        }
        sometimes!("lock.whole-held");
        let mut decided = Vec::new();
        for stripe in &mut stripes {
            stripe.grant_whole(who, space, strength);
            // Those who wait here may now wait for one more.
            decided.push(self.settle(stripe));
        }
        drop(stripes);
        drop(decided);
        let is_within = |taken: &Taken| match &taken.held {
            Held::Key { space: of, .. } | Held::Whole { space: of } => *of == space,
            Held::Ranges { .. } | Held::Object { .. } => false,
        };
        // A rollback to a savepoint gives it back only if it gives back the first.
        let first = owner.held.iter().position(is_within).expect("most are of this keyspace");
        let at = owner.held[first].at;
        owner.held.retain(|taken| !is_within(taken));
        owner.held.insert(first, Taken { at, held: Held::Whole { space } });
        owner.held.shrink_to_fit();
        let is_key = |taken: &&Taken| matches!(taken.held, Held::Key { .. });
        owner.key_count = owner.held.iter().filter(is_key).count();
        owner.most_keys = owner.key_count + KEYS_MAX;
    }

    /// The keyspace of which a side holds most keys, and how strongly it holds the strongest.
    fn most_held(&self, owner: &Owner) -> Option<(KeyspaceId, LockStrength)> {
        let mut counts = HashMap::<KeyspaceId, usize>::default();
        for taken in &owner.held {
            if let Held::Key { space, .. } = taken.held {
                *counts.entry(space).or_default() += 1;
            }
        }
        let counts: BTreeMap<_, _> = counts.into_iter().collect();
        let (space, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        let stripes = self.stripes_of(space);
        let strongest = stripes.iter().filter_map(|stripe| stripe.strongest(owner.who, space));
        Some((space, strongest.max()?))
    }

    /// Gives a keyspace back.
    pub(super) fn release_whole(&self, who: Who, space: KeyspaceId) {
        let mut stripes = self.stripes_of(space);
        let mut decided = Vec::new();
        for stripe in &mut stripes {
            stripe.release_whole(who, space);
            decided.push(self.settle(stripe));
        }
        drop(stripes);
        drop(decided);
    }

    /// The stripes that keys of a keyspace go to, in order.
    fn stripes_of(&self, space: KeyspaceId) -> Vec<MutexGuard<'_, Stripe>> {
        match self.striping {
            Striping::ByKey => self.stripes.iter().map(|stripe| stripe.lock()).collect(),
            Striping::ByKeyspace => vec![self.stripe(space, &Target::Range(KeyRange::ALL))],
        }
    }
}
