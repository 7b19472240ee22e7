//! What recent commits read and wrote, as long as a running transaction overlaps them.
//!
//! Edges between transactions are found when the later one of the two ends: by then both read sets and
//! both write sets are known. So reading touches nothing shared, and this structure is visited once a
//! transaction.
//!
//! A commit is kept until every running transaction's snapshot holds it. Beyond [`UNITS_MAX`] keys and
//! ranges the oldest commits are summarised: one entry for each keyspace tells until when anybody read it
//! and wrote it. Whoever overlaps a summary finds edges that may not be there, and aborts a little more. A
//! commit that wrote more keys than a transaction keeps in memory is summarised at once.
//!
//! Invariants
//! * Every commit that is not in the snapshot of a running tracked transaction is in `committed` or in
//!   a summary, from its validation on.
//! * No tracked transaction runs with a snapshot before `welcome_from`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_concurrency::TxnId;
use driftdb_env::sync::atomic::{AtomicU32, Ordering};
use driftdb_env::{HashMap, buggify, planted, planted_order, sometimes};
use driftdb_storage::{KeyspaceId, Timestamp};

use super::range_set::RangeSet;
use super::read_set::{ReadSet, hash};
use super::running::Read;
use super::written::{Key, Written};

/// Keys and ranges kept exactly.
const UNITS_MAX: usize = 1 << 20;

/// What a commit leaves behind.
#[derive(Debug)]
pub(super) struct Footprint {
    /// How late it counts as a reader.
    pub(super) bound: Timestamp,
    /// What its rule noted of it.
    pub(super) mark: Timestamp,
    pub(super) written: Vec<Key>,
    pub(super) reads: ReadSet,
}

impl Footprint {
    fn units(&self) -> usize {
        self.written.len() + self.reads.len()
    }
}

/// The commits that overwrote what a transaction read: its outgoing edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// The first of them; [`Timestamp::MAX`]: there is none.
    pub(super) first: Timestamp,
    /// The smallest mark among them.
    pub(super) mark: Timestamp,
}

/// The oldest commits of one keyspace together.
#[derive(Debug)]
struct Summary {
    through: Timestamp,
    written_through: Timestamp,
    mark: Timestamp,
    read_bound: Timestamp,
}

/// Whether a read-only transaction's snapshot is a state of every serial order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Safety {
    Unknown = 0,
    Safe = 1,
    Unsafe = 2,
}

/// Told when it is known.
#[derive(Debug, Default)]
pub(super) struct SafetyCell(AtomicU32);

impl SafetyCell {
    pub(super) fn get(&self) -> Safety {
        match self.0.load(Ordering::Acquire) {
            0 => Safety::Unknown,
            1 => Safety::Safe,
            _ => Safety::Unsafe,
        }
    }

    fn set(&self, safety: Safety) {
        self.0.store(safety as u32, Ordering::Release);
    }
}

/// A read-only transaction that waits to hear that its snapshot is safe.
#[derive(Debug)]
struct Watch {
    snapshot: Timestamp,
    /// Those who write and ran when it began.
    running: BTreeSet<TxnId>,
    safety: Arc<SafetyCell>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Tracked transactions that run, by snapshot.
    running: BTreeSet<(Timestamp, TxnId)>,
    /// Those of them that may write.
    writers: BTreeSet<TxnId>,
    watches: BTreeMap<TxnId, Watch>,
    committed: BTreeMap<(Timestamp, TxnId), Footprint>,
    written: Written<Timestamp>,
    /// By hash, how late a key was read.
    read_bounds: HashMap<u64, Timestamp>,
    range_readers: BTreeMap<KeyspaceId, BTreeMap<(Timestamp, TxnId), RangeSet>>,
    summaries: BTreeMap<KeyspaceId, Summary>,
    units: usize,
    welcome_from: Timestamp,
    /// The last commit that was validated.
    last: Timestamp,
}

impl Recent {
    /// Admits a transaction; false if its snapshot is too old.
    pub(super) fn admit(&mut self, id: TxnId, snapshot: Timestamp, writes: bool) -> bool {
        sometimes!("ssi.late-comer-turned-away", snapshot < self.welcome_from);
        if snapshot < self.welcome_from && !planted_order!("mvcc.late-comer-admitted") {
            return false;
        }
        self.running.insert((snapshot, id));
        if writes {
            self.writers.insert(id);
        }
        true
    }

    /// Replaces the snapshot of one that was admitted. False as in [`Recent::admit`]; then it keeps the old one.
    pub(super) fn renew(&mut self, id: TxnId, from: Timestamp, to: Timestamp) -> bool {
        if to < self.welcome_from {
            return false;
        }
        self.running.remove(&(from, id));
        self.running.insert((to, id));
        true
    }

    /// Whether nobody who runs could make a read-only snapshot unsafe, and if so sees to it that nobody
    /// comes who could: whoever began before it and is not known yet is turned away.
    pub(super) fn is_safe(&mut self, snapshot: Timestamp) -> bool {
        if !self.writers.is_empty() || snapshot < self.welcome_from {
            return false;
        }
        sometimes!("ssi.reader-safe-at-once");
        self.welcome_from = snapshot;
        true
    }

    /// Lets a read-only transaction, admitted before, know when its snapshot proves safe or not.
    pub(super) fn watch(&mut self, id: TxnId, snapshot: Timestamp) -> Arc<SafetyCell> {
        self.welcome_from = self.welcome_from.max(snapshot);
        let safety = Arc::new(SafetyCell::default());
        let running = self.writers.clone();
        self.watches.insert(id, Watch { snapshot, running, safety: Arc::clone(&safety) });
        safety
    }

    /// The last commit that was validated.
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    /// The outgoing edges of a transaction.
    pub(super) fn outgoing(&self, snapshot: Timestamp, reads: &ReadSet) -> Outgoing {
        let none = Outgoing { first: Timestamp::MAX, mark: Timestamp::MAX };
        if self.last <= snapshot {
            return none;
        }
        let exact = self.written.since(snapshot, reads);
        let summarised = reads.spaces().filter_map(|(space, _)| {
            let summary = self.summaries.get(&space)?;
            // The first of them may have committed right after the snapshot.
            let is_later = summary.written_through > snapshot;
            sometimes!("ssi.edge-to-a-summary", is_later);
            is_later.then_some((snapshot.next(), summary.mark))
        });
        exact.chain(summarised).fold(none, |out, (commit, mark)| Outgoing {
            first: out.first.min(commit),
            mark: out.mark.min(mark),
        })
    }

    /// The outgoing edges of one read.
    pub(super) fn outgoing_of(
        &self,
        snapshot: Timestamp,
        space: KeyspaceId,
        read: Read<'_>,
    ) -> Outgoing {
        let mut out = Outgoing { first: Timestamp::MAX, mark: Timestamp::MAX };
        if self.last <= snapshot {
            return out;
        }
        let mut add = |(commit, mark): &(Timestamp, Timestamp)| {
            if *commit > snapshot {
                out.first = out.first.min(*commit);
                out.mark = out.mark.min(*mark);
            }
        };
        match read {
            Read::Key(key) => self.written.of_key(hash(space, key)).iter().for_each(&mut add),
            Read::Range(range) => self.written.in_range(space, *range).for_each(&mut add),
        }
        out
    }

    /// Whether a commit after `snapshot` wrote a key.
    pub(super) fn is_overwritten(
        &self,
        snapshot: Timestamp,
        space: KeyspaceId,
        key: &[u8],
    ) -> bool {
        let writers = self.written.of_key(hash(space, key));
        writers.iter().any(|(commit, _)| *commit > snapshot)
    }

    /// How late what a transaction wrote was read by those who did not see it; [`Timestamp::MIN`] if
    /// by nobody who overlaps.
    pub(super) fn latest_reader<'a>(&self, written: impl Iterator<Item = &'a Key>) -> Timestamp {
        let mut latest = Timestamp::MIN;
        for (space, key) in written {
            if let Some(bound) = self.read_bounds.get(&hash(*space, key)) {
                latest = latest.max(*bound);
            }
            if let Some(summary) = self.summaries.get(space) {
                sometimes!("ssi.edge-from-a-summary", summary.read_bound > latest);
                latest = latest.max(summary.read_bound);
            }
            for (commit, ranges) in self.range_readers.get(space).into_iter().flatten() {
                if let Some(footprint) = self.committed.get(commit)
                    && footprint.bound > latest
                    && ranges.contains(key)
                {
                    sometimes!("ssi.edge-from-a-range");
                    latest = footprint.bound;
                }
            }
        }
        latest
    }

    /// How late anything in some keyspaces was read by those who did not see their last commits; as
    /// [`Recent::latest_reader`].
    pub(super) fn latest_reader_of_any(&self, spaces: &[KeyspaceId]) -> Timestamp {
        let summarised =
            spaces.iter().filter_map(|space| self.summaries.get(space)).map(|of| of.read_bound);
        let has_read = |footprint: &&Footprint| {
            footprint.reads.spaces().any(|(space, _)| spaces.contains(&space))
        };
        let exact = self.committed.values().filter(has_read).map(|footprint| footprint.bound);
        let exact = exact.filter(|_| !spaces.is_empty());
        summarised.chain(exact).max().unwrap_or(Timestamp::MIN)
    }

    /// Keeps a commit that wrote more keys than are remembered: as if it had written all of these keyspaces.
    pub(super) fn summarise_writes(
        &mut self,
        commit: Timestamp,
        mark: Timestamp,
        spaces: &[KeyspaceId],
    ) {
        for space in spaces {
            let summary = self.summary(*space, commit);
            summary.written_through = summary.written_through.max(commit);
            summary.mark = summary.mark.min(mark);
        }
    }

    /// Keeps a commit; also if it fails after all, until its time is visible: that makes edges that are
    /// not there, and such failures are rare.
    pub(super) fn record(&mut self, commit: Timestamp, id: TxnId, mut footprint: Footprint) {
        self.last = self.last.max(commit);
        self.units += footprint.units();
        for key in &footprint.written {
            self.written.insert(key, commit, footprint.mark);
        }
        for (space, reads) in footprint.reads.spaces_mut() {
            for hash in &reads.hashes {
                let bound = self.read_bounds.entry(*hash).or_default();
                *bound = footprint.bound.max(*bound);
            }
            if !reads.ranges.is_empty() {
                let ranges = std::mem::take(&mut reads.ranges);
                self.range_readers.entry(space).or_default().insert((commit, id), ranges);
            }
        }
        self.committed.insert((commit, id), footprint);
        while (self.units > UNITS_MAX || buggify!("ssi.summarise-early")) && self.summarise_oldest()
        {
        }
    }

    /// A transaction has ended; `mark` if it committed writes. `visible` is up to when commits show.
    pub(super) fn leave(
        &mut self,
        id: TxnId,
        snapshot: Timestamp,
        mark: Option<Timestamp>,
        visible: Timestamp,
    ) -> bool {
        self.running.remove(&(snapshot, id));
        self.watches.remove(&id);
        let has_told = self.writers.remove(&id) && self.tell_watches(id, mark);
        // A commit that is not visible yet is in nobody's snapshot: who comes next overlaps it.
        let mut oldest = self.running.first().map_or(visible, |(oldest, _)| visible.min(*oldest));
        if planted!("mvcc.footprint-forgotten-early") {
            oldest = visible;
        }
        while let Some((commit, _)) = self.committed.first_key_value()
            && commit.0 <= oldest
        {
            let commit = *commit;
            sometimes!("ssi.footprint-forgotten");
            self.welcome_from = self.welcome_from.max(commit.0);
            self.remove(commit);
        }
        let welcome_from = &mut self.welcome_from;
        self.summaries.retain(|_, summary| {
            let is_needed = summary.through > oldest;
            if !is_needed {
                *welcome_from = (*welcome_from).max(summary.through);
            }
            is_needed
        });
        has_told
    }

    /// Tells those who wait for one that wrote. True if somebody now knows.
    fn tell_watches(&mut self, id: TxnId, mark: Option<Timestamp>) -> bool {
        let mut has_told = false;
        self.watches.retain(|_, watch| {
            if !watch.running.remove(&id) {
                return true;
            }
            let safety = if mark.is_some_and(|mark| mark <= watch.snapshot) {
                Safety::Unsafe
            } else if watch.running.is_empty() {
                Safety::Safe
            } else {
                return true;
            };
            sometimes!("ssi.reader-proved-safe", safety == Safety::Safe);
            sometimes!("ssi.reader-proved-unsafe", safety == Safety::Unsafe);
            watch.safety.set(safety);
            has_told = true;
            false
        });
        has_told
    }

    /// Takes a commit out.
    ///
    /// With its bound on a key an earlier bound of another reader is lost. That reader no longer counts:
    /// its bound is before this commit, which everybody's snapshot holds, and so before the first
    /// outgoing edge that anybody can have. Where a summary follows, that has the bound.
    fn remove(&mut self, commit: (Timestamp, TxnId)) -> Option<Footprint> {
        let footprint = self.committed.remove(&commit)?;
        self.units -= footprint.units();
        for key in &footprint.written {
            self.written.remove(key, commit.0);
        }
        for (space, reads) in footprint.reads.spaces() {
            for hash in &reads.hashes {
                if self.read_bounds.get(hash) == Some(&footprint.bound) {
                    self.read_bounds.remove(hash);
                }
            }
            if let Some(readers) = self.range_readers.get_mut(&space) {
                if let Some(ranges) = readers.remove(&commit) {
                    self.units -= ranges.len();
                }
                if readers.is_empty() {
                    self.range_readers.remove(&space);
                }
            }
        }
        Some(footprint)
    }

    fn summarise_oldest(&mut self) -> bool {
        let Some((&commit, _)) = self.committed.first_key_value() else { return false };
        let Some(footprint) = self.remove(commit) else { return false };
        for (space, _) in &footprint.written {
            let summary = self.summary(*space, commit.0);
            summary.written_through = summary.written_through.max(commit.0);
            summary.mark = summary.mark.min(footprint.mark);
        }
        for (space, _) in footprint.reads.spaces() {
            let summary = self.summary(space, commit.0);
            summary.read_bound = summary.read_bound.max(footprint.bound);
        }
        true
    }

    fn summary(&mut self, space: KeyspaceId, through: Timestamp) -> &mut Summary {
        let summary = self.summaries.entry(space).or_insert(Summary {
            through,
            written_through: Timestamp::MIN,
            mark: Timestamp::MAX,
            read_bound: Timestamp::MIN,
        });
        summary.through = summary.through.max(through);
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As for what is remembered exactly: who has a snapshot without it, and is not known yet, overlaps it.
    #[test]
    fn who_comes_too_late_for_a_summary_is_turned_away() {
        let mut recent = Recent::default();
        let (writer, late) = (TxnId(1), TxnId(2));
        assert!(recent.admit(writer, Timestamp(5), true));
        recent.summarise_writes(Timestamp(10), Timestamp::MAX, &[KeyspaceId(2000)]);
        recent.leave(writer, Timestamp(5), Some(Timestamp::MAX), Timestamp(10));
        assert!(!recent.admit(late, Timestamp(7), true));
        assert!(recent.admit(late, Timestamp(10), true));
    }
}
