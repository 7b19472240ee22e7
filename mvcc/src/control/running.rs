//! Edges between SERIALIZABLE transactions while they run, and who of them is doomed.
//!
//! The rule of a control finds every dangerous structure when a transaction ends (`recent.rs`): that is
//! what makes executions serializable. Here some are found sooner, by PostgreSQL's policy (predicate.c,
//! [Ports12]): of T1 → T2 → T3, where T3 committed first, the pivot T2 is stopped as soon as the pattern
//! is there, though T1 may not have committed yet. So the same transaction fails in the same statement
//! as in PostgreSQL, work that would be in vain ends early, and whoever is retried meets T3's result.
//!
//! Everybody who runs has what he read and wrote here, and the edges to others who run. An edge to
//! somebody who committed is `first_out`; one from him is found in `recent.rs` when it matters.
//!
//! Cost: a read looks up who writes the key; a write looks into the read set of everybody who runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_concurrency::TxnId;
use driftdb_env::sometimes;
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use super::read_set::{ReadSet, hash};
use super::recent::Recent;
use super::written::{Key, Written};

/// Keys that one transaction writes beyond these are known at its end only.
const KEYS_MAX: usize = 1 << 16;

const DOOMED: &str = "Canceled on identification as a pivot: another committed meanwhile.";
const ON_READ: &str =
    "Canceled on conflict out to a pivot that committed, or as a pivot, during read.";
const ON_WRITE: &str = "Canceled on identification as a pivot, during write.";

/// One who runs.
#[derive(Debug)]
struct Party {
    snapshot: Timestamp,
    is_read_only: bool,
    reads: ReadSet,
    written: BTreeSet<Key>,
    /// Who runs and read what this one overwrites.
    ins: BTreeSet<TxnId>,
    /// Who runs and overwrites what this one read.
    outs: BTreeSet<TxnId>,
    /// The first commit that overwrote what it read; [`Timestamp::MAX`]: none did.
    first_out: Timestamp,
    is_doomed: bool,
}

impl Party {
    fn new(snapshot: Timestamp, is_read_only: bool) -> Self {
        Self {
            snapshot,
            is_read_only,
            reads: ReadSet::default(),
            written: BTreeSet::new(),
            ins: BTreeSet::new(),
            outs: BTreeSet::new(),
            first_out: Timestamp::MAX,
            is_doomed: false,
        }
    }

    /// Whether a commit at `third` makes this one the first of three: one that writes nothing comes before
    /// everything that it did not see.
    fn counts_before(&self, third: Timestamp) -> bool {
        !self.is_read_only || third <= self.snapshot
    }
}

/// What is about to be read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read<'a> {
    Key(&'a [u8]),
    Range(&'a KeyRange<'a>),
}

/// Why a transaction has to end, in words for the user.
pub(super) type Judged = Result<(), &'static str>;

/// Those who run.
#[derive(Debug, Default)]
pub(super) struct Running {
    parties: BTreeMap<TxnId, Party>,
    /// What they wrote; each by its number in place of a time.
    writing: Written<TxnId>,
}

impl Running {
    pub(super) fn enter(&mut self, id: TxnId, snapshot: Timestamp, is_read_only: bool) {
        self.parties.insert(id, Party::new(snapshot, is_read_only));
    }

    /// Forgets one; gives what it read.
    pub(super) fn leave(&mut self, id: TxnId) -> ReadSet {
        let Some(party) = self.parties.remove(&id) else { return ReadSet::default() };
        for key in &party.written {
            self.writing.remove(key, Timestamp(id.0));
        }
        for other in party.ins.iter().chain(&party.outs) {
            if let Some(other) = self.parties.get_mut(other) {
                other.ins.remove(&id);
                other.outs.remove(&id);
            }
        }
        party.reads
    }

    /// What one read.
    pub(super) fn reads(&self, id: TxnId) -> &ReadSet {
        const NOTHING: &ReadSet = &ReadSet::EMPTY;
        self.parties.get(&id).map_or(NOTHING, |party| &party.reads)
    }

    /// Notes a read without judging it.
    pub(super) fn note_read(&mut self, id: TxnId, space: KeyspaceId, read: Read<'_>) {
        let Some(party) = self.parties.get_mut(&id) else { return };
        match read {
            Read::Key(key) => party.reads.add_key(space, key),
            Read::Range(range) => party.reads.add_range(space, range),
        }
    }

    /// Whoever is doomed ends at his next step.
    pub(super) fn check(&self, id: TxnId) -> Judged {
        match self.parties.get(&id) {
            Some(party) if party.is_doomed => {
                sometimes!("ssi.doomed-met-its-end");
                Err(DOOMED)
            }
            _ => Ok(()),
        }
    }

    /// After a read was noted: its edges.
    pub(super) fn judge_read(
        &mut self,
        recent: &Recent,
        id: TxnId,
        space: KeyspaceId,
        read: Read<'_>,
    ) -> Judged {
        self.check(id)?;
        let Some(snapshot) = self.parties.get(&id).map(|party| party.snapshot) else {
            return Ok(());
        };
        // Only who writes the next version overwrites what is read.
        let is_next = |key: &[u8]| !recent.is_overwritten(snapshot, space, key);
        let writers: Vec<TxnId> = match read {
            Read::Key(key) if is_next(key) => {
                self.writing.of_key(hash(space, key)).iter().map(|writer| writer.1).collect()
            }
            Read::Key(_) => Vec::new(),
            Read::Range(range) => {
                let keys = self.writing.keys_in_range(space, *range);
                let next = keys.filter(|(key, _)| is_next(key));
                next.flat_map(|(_, writers)| writers).map(|writer| writer.1).collect()
            }
        };
        for writer in writers.into_iter().filter(|writer| *writer != id) {
            self.join(id, writer);
            if self.makes_pivot(writer, id)
                && let Some(writer) = self.parties.get_mut(&writer)
            {
                sometimes!("ssi.writer-doomed-by-a-reader");
                writer.is_doomed = true;
            }
        }
        let outgoing = recent.outgoing_of(snapshot, space, read);
        let Some(party) = self.parties.get_mut(&id) else { return Ok(()) };
        if outgoing.mark != Timestamp::MAX && party.counts_before(outgoing.mark) {
            sometimes!("ssi.read-after-a-committed-pivot");
            return Err(ON_READ);
        }
        if outgoing.first < party.first_out {
            party.first_out = outgoing.first;
            if !party.is_read_only && self.is_pivot(recent, id) {
                return Err(ON_READ);
            }
        }
        Ok(())
    }

    /// Notes a write, and judges its edges.
    pub(super) fn judge_write(
        &mut self,
        recent: &Recent,
        id: TxnId,
        space: KeyspaceId,
        key: &[u8],
    ) -> Judged {
        self.check(id)?;
        let Some(party) = self.parties.get_mut(&id) else { return Ok(()) };
        if party.written.len() >= KEYS_MAX {
            return Ok(());
        }
        let key: Key = (space, Arc::from(key));
        if !party.written.insert(key.clone()) {
            return Ok(());
        }
        let first_out = party.first_out;
        self.writing.insert(&key, Timestamp(id.0), id);
        let has_read = |(other, party): &(&TxnId, &Party)| {
            **other != id
                && !party.is_doomed
                && party.reads.contains(space, &key.1)
                && !party.written.contains(&key)
                && !recent.is_overwritten(party.snapshot, space, &key.1)
        };
        let readers: Vec<TxnId> = self.parties.iter().filter(has_read).map(|r| *r.0).collect();
        for reader in readers {
            self.join(reader, id);
            if self.makes_pivot(id, reader) {
                sometimes!("ssi.pivot-by-its-write");
                return Err(ON_WRITE);
            }
        }
        let reader_committed =
            first_out != Timestamp::MAX && recent.latest_reader(std::iter::once(&key)) >= first_out;
        if reader_committed { Err(ON_WRITE) } else { Ok(()) }
    }

    /// One commits at `commit`: who read what it overwrites has an edge to it now. Of those the ones that
    /// are pivots thereby are doomed.
    pub(super) fn commit(&mut self, id: TxnId, commit: Timestamp) {
        let readers: Vec<TxnId> = self
            .parties
            .get(&id)
            .map(|party| party.ins.iter().copied().collect())
            .unwrap_or_default();
        for reader in readers {
            let Some(pivot) = self.parties.get(&reader) else { continue };
            let is_first = |first: &TxnId| {
                *first == id
                    || self
                        .parties
                        .get(first)
                        .is_some_and(|first| !first.is_read_only && !first.is_doomed)
            };
            let is_doomed = pivot.is_doomed || pivot.ins.iter().any(is_first);
            if let Some(pivot) = self.parties.get_mut(&reader) {
                sometimes!("ssi.pivot-doomed-by-a-commit", is_doomed && !pivot.is_doomed);
                pivot.is_doomed = is_doomed;
                pivot.first_out = pivot.first_out.min(commit);
            }
        }
    }

    fn join(&mut self, reader: TxnId, writer: TxnId) {
        if let Some(party) = self.parties.get_mut(&reader) {
            party.outs.insert(writer);
        }
        if let Some(party) = self.parties.get_mut(&writer) {
            party.ins.insert(reader);
        }
    }

    /// Whether `first` completes a pattern of three around `pivot`.
    fn makes_pivot(&self, pivot: TxnId, first: TxnId) -> bool {
        let (Some(pivot), Some(first)) = (self.parties.get(&pivot), self.parties.get(&first))
        else {
            return false;
        };
        pivot.first_out != Timestamp::MAX && first.counts_before(pivot.first_out)
    }

    /// Whether somebody read what one that has an edge to a commit overwrites.
    fn is_pivot(&self, recent: &Recent, id: TxnId) -> bool {
        let Some(party) = self.parties.get(&id) else { return false };
        let runs = |first: &TxnId| {
            let first = self.parties.get(first);
            first.is_some_and(|first| !first.is_doomed && first.counts_before(party.first_out))
        };
        party.ins.iter().any(runs) || recent.latest_reader(party.written.iter()) >= party.first_out
    }
}
