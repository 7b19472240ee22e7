//! After an opening: decides what a crash left open, and lets both oracles judge everything so far.
//!
//! The notes of commits ([`Store::commits`]) say whose each is, and when: so unknown fates get their
//! times, and no acknowledged commit may have lost its note. The black-box oracle decides by the lists
//! alone, so the two must agree.

use std::collections::BTreeMap;

use driftdb_concurrency::{BeginOptions, IsolationLevel, ReadAt, Store, TxnError};
use driftdb_storage::{StorageError, Timestamp};

use super::{Failed, Isolation, Judged, SPACE, key_name};

type Lists = BTreeMap<u64, Vec<u64>>;

impl Isolation {
    /// Makes the keyspace if there is none, or judges.
    pub(super) fn recover(&self, store: &dyn Store) -> Result<bool, Failed> {
        if !self.is_there(store)? {
            if self.is_prepared.get() {
                let what = "durability: the lists were acknowledged and are gone";
                return Err(Failed::Violation(what.into()));
            }
            let mut txn = store.begin(BeginOptions::default())?;
            txn.create_keyspace(SPACE)?;
            txn.commit()?;
        }
        self.is_prepared.set(true);
        self.judge(store)?;
        Ok(true)
    }

    fn is_there(&self, store: &dyn Store) -> Result<bool, Failed> {
        let mut txn = store.begin(BeginOptions::default())?;
        match txn.get(SPACE, &key_name(0), ReadAt::Statement, &mut Vec::new()) {
            Ok(_) => Ok(true),
            Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything as of now, or of a time.
    fn read_all(&self, store: &dyn Store, as_of: Option<Timestamp>) -> Result<Lists, Failed> {
        let mut txn = store.begin(BeginOptions { as_of, ..BeginOptions::default() })?;
        let mut rows = BTreeMap::new();
        self.scan(&mut *txn, 0, self.key_count - 1, &mut rows)?;
        Ok(rows.into_iter().map(|(key, row)| (key, row.list)).collect())
    }

    /// Whose the commits are that the store knows of, and when they were.
    fn noted(&self, store: &dyn Store) -> Result<BTreeMap<usize, Timestamp>, Failed> {
        let notes = store.commits(1, u64::MAX, usize::MAX)?;
        let mut noted = BTreeMap::new();
        // The harness's own commits say nothing of themselves.
        for note in notes.iter().filter(|note| !note.provenance.comment.is_empty()) {
            let comment = &note.provenance.comment;
            let txn = comment.parse().ok();
            let is_new = txn.is_some_and(|txn| noted.insert(txn, note.ts).is_none());
            if !is_new {
                let what = format!("a commit at {} says that it is \"{comment}\"", note.ts);
                return Err(Failed::Violation(what));
            }
        }
        Ok(noted)
    }

    /// Both oracles on everything that happened.
    fn judge(&self, store: &dyn Store) -> Result<(), Failed> {
        let found = self.read_all(store, None)?;
        let noted = self.noted(store)?;
        let of = |key| found.get(&key).cloned().unwrap_or_default();
        let lists: Vec<Vec<u64>> = (0..self.key_count).map(of).collect();
        let level = self.judged_as.unwrap_or_else(|| store.granted(self.isolation));
        let by_times = {
            let mut versions = self.versions.borrow_mut();
            versions.decide(&noted).and_then(|()| versions.judge(&lists, level))
        };
        let by_lists = self.lists.borrow_mut().judge(&lists, level).map_err(Failed::Violation);
        let by_times = by_times.map_err(Failed::Violation)?;
        by_lists?;
        let by_lists = self.lists.borrow().anomalies(&lists);
        // Dirty reads are of no version, which only one of them can say.
        let reads_versions = store.granted(self.isolation) >= IsolationLevel::ReadCommitted;
        if reads_versions && by_times != by_lists {
            let what =
                format!("the oracles disagree: {by_times:?} by times, {by_lists:?} by lists");
            return Err(Failed::Violation(what));
        }
        let elle = self.lists.borrow().for_elle(&lists);
        self.judged.replace(Some(Judged { anomalies: by_lists, elle }));
        self.checked_count.set(self.lists.borrow().ended_count());
        self.look_back(store)
    }

    /// The past, at some of the times that ever were.
    fn look_back(&self, store: &dyn Store) -> Result<(), Failed> {
        let times = self.versions.borrow().commit_times();
        for _ in 0..times.len().min(8) {
            let ts = times[self.rng.borrow_mut().index(times.len())];
            let ts = [ts, Timestamp(ts.0 - 1)][self.draw(2) as usize];
            let found = match self.read_all(store, Some(ts)) {
                Err(Failed::Refused(TxnError::Storage(StorageError::SnapshotTooOld {
                    ..
                }))) => continue,
                found => found?,
            };
            let expected = self.versions.borrow().as_of(ts);
            if found != expected {
                let what =
                    format!("time travel: as of {ts} lists are {found:?}, were {expected:?}");
                return Err(Failed::Violation(what));
            }
        }
        Ok(())
    }
}
