//! What the table holds, for those who want to look.

use std::time::Duration;

use driftdb_concurrency::{LockEntry, LockedThing};

use super::party::Who;
use super::stripe::{Stripe, Wanted};

impl Wanted {
    /// For a listing.
    pub(super) fn thing(&self) -> LockedThing {
        match self {
            Self::Key { space, key, strength } => {
                LockedThing::Key(*space, (**key).into(), *strength)
            }
            Self::Range { space, .. } => LockedThing::Ranges(*space),
            Self::Object { object, mode } => LockedThing::Object(*object, *mode),
        }
    }
}

fn entry(who: Who, thing: LockedThing, waits_since: Option<Duration>) -> LockEntry {
    LockEntry { session: who.party.session(), txn: who.txn, thing, waits_since }
}

impl Stripe {
    /// Adds what is held here and what is waited for; of the keys held, `most_keys` at most.
    pub(super) fn list(&self, most_keys: usize, out: &mut Vec<LockEntry>) {
        for (object, holders) in &self.objects {
            for holder in holders {
                for mode in holder.modes.modes() {
                    out.push(entry(holder.who, LockedThing::Object(*object, mode), None));
                }
            }
        }
        let keys =
            self.keys.iter().flat_map(|(space, keys)| keys.iter().map(move |key| (space, key)));
        for (space, (key, holders)) in keys.take(most_keys) {
            for holder in holders.iter() {
                let thing = LockedThing::Key(*space, (**key).into(), holder.strength);
                out.push(entry(holder.who, thing, None));
            }
        }
        for (space, ranges) in &self.ranges {
            for who in ranges.keys() {
                out.push(entry(*who, LockedThing::Ranges(*space), None));
            }
        }
        self.list_waiters(out);
    }

    /// Adds the keyspaces held as a whole.
    pub(super) fn list_wholes(&self, out: &mut Vec<LockEntry>) {
        for (space, holders) in &self.wholes {
            for holder in holders {
                let thing = LockedThing::Keys(*space, holder.strength);
                out.push(entry(holder.who, thing, None));
            }
        }
    }

    fn list_waiters(&self, out: &mut Vec<LockEntry>) {
        for waiting in &self.queue {
            let thing = waiting.request.wanted.thing();
            out.push(entry(waiting.request.who, thing, Some(waiting.since)));
        }
    }
}
