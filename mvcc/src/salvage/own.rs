//! The store's own keyspaces, made whole.
//!
//! * The index of commits must be dense. Entries that are lost are taken from the log where it still has
//!   them, else filled in with times between their neighbours': `@SEQ:N` of such a commit is then close,
//!   not exact.
//! * Numbers are never to be given out twice. If anything is lost, the newest reservation may be: the
//!   counters jump ahead, by one more record in the log.

use driftdb_concurrency::Counter;
use driftdb_storage::{Entry, Result, StorageError, Timestamp, WriteBatch};

use crate::record::{self, HEADER_BYTES, RecordKind};
use crate::{COMMITS, COUNTERS, system};

type Add<'a> = &'a mut dyn FnMut(Entry<'_>) -> Result<()>;

/// The index of commits on its way into the new store.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// Those that the log has, ascending.
    logged: Vec<(u64, Timestamp)>,
    /// The last entry made.
    pub(super) last: (u64, Timestamp),
    /// Entries made up.
    pub(super) filled: u64,
    /// The commit that an erasure under way waits for, and whether it is among the entries.
    pub(super) erasing: Option<((u64, Timestamp), bool)>,
}

impl Commits {
    pub(super) fn new(logged: Vec<(u64, Timestamp)>, erasing: Option<(u64, Timestamp)>) -> Self {
        let erasing = erasing.map(|commit| (commit, false));
        Self { logged, erasing, ..Self::default() }
    }

    /// A commit is saved, with its true time.
    pub(super) fn note_saved(&mut self, sequence: u64, ts: Timestamp) {
        if let Some((commit, is_saved)) = &mut self.erasing {
            *is_saved |= *commit == (sequence, ts);
        }
    }

    /// Takes an entry that was saved. Older versions of an entry do not exist.
    pub(super) fn take(&mut self, entry: Entry<'_>, add: Add<'_>) -> Result<()> {
        let Some(sequence) = entry.key.try_into().ok().map(u64::from_be_bytes) else {
            let what = format!("a key of {} bytes", entry.key.len());
            return Err(StorageError::corruption(format!("system keyspace {COMMITS}"), 0, what));
        };
        self.fill_to(sequence, entry.ts, add)?;
        self.last = (sequence, entry.ts);
        match system::commit_entry(entry.value.unwrap_or_default()) {
            // Its note with it.
            Ok(known) if known.ts == entry.ts => {
                self.note_saved(sequence, entry.ts);
                add(entry)
            }
            _ => self.add(sequence, entry.ts, add),
        }
    }

    /// The keyspace has ended; the engine should hold all commits up to `at`.
    pub(super) fn end(&mut self, at: Timestamp, add: Add<'_>) -> Result<()> {
        let last = self.last.0;
        let known: Vec<_> =
            self.logged.iter().copied().filter(|&(n, ts)| n > last && ts <= at).collect();
        for (sequence, ts) in known {
            self.fill_to(sequence, ts, add)?;
            self.filled += 1;
            self.add(sequence, ts, add)?;
        }
        // What the log goes on with says how many are missing in between.
        let next = self.logged.iter().find(|(_, ts)| *ts > at).map(|(sequence, _)| *sequence);
        match next {
            Some(next) => self.fill_to(next, at.next(), add),
            None => Ok(()),
        }
    }

    /// Makes up the entries before `sequence`, whose time is `ts`.
    fn fill_to(&mut self, sequence: u64, ts: Timestamp, add: Add<'_>) -> Result<()> {
        let (last, last_ts) = self.last;
        let missing = sequence.saturating_sub(last + 1);
        let step = ts.0.saturating_sub(last_ts.0) / (missing + 1);
        if missing > 0 && step == 0 {
            let what = format!("commits {} to {sequence} leave no time between them", last + 1);
            return Err(StorageError::corruption(format!("system keyspace {COMMITS}"), 0, what));
        }
        for index in 1..=missing {
            let made_up = self.logged.iter().find(|(n, _)| *n == last + index).map(|(_, ts)| *ts);
            let ts = made_up.unwrap_or(Timestamp(last_ts.0 + step * index)).max(self.last.1.next());
            self.filled += 1;
            self.add(last + index, ts, add)?;
        }
        Ok(())
    }

    fn add(&mut self, sequence: u64, ts: Timestamp, add: Add<'_>) -> Result<()> {
        self.note_saved(sequence, ts);
        self.last = (sequence, ts);
        let (key, value) = (sequence.to_be_bytes(), system::value(ts.0));
        add(Entry { key: &key, ts, value: Some(&value) })
    }
}

/// The record that lets all counters jump so far ahead that no reservation which is lost can have reached
/// it: rows, then objects, then keyspaces.
pub(super) fn counters_jump(sequence: u64, ts: Timestamp) -> ([u8; HEADER_BYTES], WriteBatch) {
    const JUMPS: [(Counter, u64); 3] =
        [(Counter::RowId, 1 << 60), (Counter::ObjectId, 1 << 31), (Counter::Keyspace, 1 << 31)];
    let mut batch = WriteBatch::new();
    for (counter, number) in JUMPS {
        batch.put(COUNTERS, &system::counter_key(counter), &system::value(number));
    }
    (record::header(RecordKind::System, sequence, ts, &[]), batch)
}
