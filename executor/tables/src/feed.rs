//! The changes of rows in the order of commits, each once: what a change feed gives.
//!
//! Engines keep history by key, a feed is by commit. So the commits of a stretch (a *window*: a few at
//! first, more while they are small) are taken together: the versions that they made are read by key and
//! sorted by commit. A commit's entry names the keyspaces it wrote to, so that only those are read, and
//! nothing is read for commits that concern other tables. What does not fit into the window's memory is
//! dropped from its newest commit on and read again in the next one; a single commit that does not fit is
//! not gathered at all but given key by key, which is its order.
//!
//! Definitions come along: which tables there are at the window's beginning is kept, and changed by the
//! commits that wrote to the catalog. So each row is read in the keyspace, and by the definition, of its
//! time.
//!
//! Invariants
//! * Changes come in ascending order of commit; within one of table, then definition before rows, then
//!   key. Each comes once; their place in the commit is counted from 1 and is always the same.
//! * Memory is that of a window and a row, whatever the stretch holds.

mod definitions;
mod window;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    CommitNote, ReadAt, RowBatch, ScanState, Store, Transaction, TxnError, VersionScan,
};
use driftdb_env::{buggify, planted, sometimes};
use driftdb_query::{Result, SqlError, Table, TableId};
use driftdb_storage::{KeyRange, KeyspaceId, StorageError, Timestamp};

use crate::catalog::TABLES;
pub(crate) use definitions::keyspaces_within;
use definitions::{Segment, alive_at, defined_since, segments};
use window::Window;

/// Commits of a window, at first and at most.
const FIRST_COMMITS: usize = 64;
const MOST_COMMITS: usize = 8192;
/// Changes given, and versions read, at a time.
const CHUNK: usize = 1024;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedOp {
    /// The table came into being.
    Create,
    /// It lost all rows: TRUNCATE, or a change of what its rows are keyed by, which puts them in again.
    Truncate,
    /// Its name or columns changed.
    Alter,
    /// It went, and its rows with it.
    Drop,
    /// A row came.
    Insert,
    /// A row was written again.
    Update,
    /// A row went.
    Delete,
}

impl FeedOp {
    /// Its name in the column `op`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Truncate => "TRUNCATE",
            Self::Alter => "ALTER",
            Self::Drop => "DROP",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// One change.
#[derive(Debug, Clone)]
pub struct FeedChange {
    /// The commit.
    pub commit: Arc<CommitNote>,
    /// Its place among the commit's changes, from 1.
    pub ordinal: u64,
    /// The definition to read the rows by: the one that is shown, or else that of the commit.
    pub table: Arc<Table>,
    /// What happened.
    pub op: FeedOp,
    /// The stored row before.
    pub before: Option<Vec<u8>>,
    /// The stored row after.
    pub after: Option<Vec<u8>>,
}

/// A change that was found and is still to be given.
#[derive(Debug)]
struct Item {
    ts: Timestamp,
    table: Arc<Table>,
    what: What,
}

#[derive(Debug)]
enum What {
    Definition(FeedOp),
    Row { space: KeyspaceId, key: Vec<u8>, after: Option<Vec<u8>> },
}

/// A commit that is given as it is read.
#[derive(Debug)]
struct Streamed {
    commit: Arc<CommitNote>,
    parts: VecDeque<Part>,
    /// The last key given of the first part.
    last: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Part {
    Definition(Item),
    Rows(Segment),
}

/// Walks the changes after one moment, up to another.
#[derive(Debug)]
pub struct Feed {
    /// The only table, as it is shown; `None`: every table.
    shown: Option<Arc<Table>>,
    /// Commits up to here are done with, but for `items` and `streamed`.
    sequence: u64,
    at: Timestamp,
    up_to: Timestamp,
    /// The definitions at `at`; unknown at first.
    tables: Option<BTreeMap<TableId, Arc<Table>>>,
    window_commits: usize,
    window_bytes: usize,
    items: VecDeque<Item>,
    /// The commits of `items`.
    commits: Vec<Arc<CommitNote>>,
    streamed: Option<Streamed>,
    /// The commit of the last change given, and its place there.
    counted: (u64, u64),
}

impl Feed {
    /// Changes of `shown`, or of every table, in commits later than `after`, up to `up_to`. Holds about
    /// `window_bytes` of them at a time.
    ///
    /// # Errors
    /// `after` is in the future; storage.
    pub fn new(
        shown: Option<Arc<Table>>,
        after: Timestamp,
        up_to: Timestamp,
        window_bytes: usize,
        txn: &mut dyn Transaction,
        store: &dyn Store,
    ) -> Result<Self> {
        if after > txn.snapshot_ts() {
            // Refuses what is still to come.
            alive_at(txn, shown.as_ref().map(|table| table.id), after)?;
        }
        Ok(Self {
            shown,
            sequence: store.sequence_at(after)?,
            at: after,
            up_to,
            tables: None,
            window_commits: FIRST_COMMITS,
            window_bytes,
            items: VecDeque::new(),
            commits: Vec::new(),
            streamed: None,
            counted: (0, 0),
        })
    }

    /// The number of the last commit that is given wholly, once [`Feed::next`] has come to its end.
    pub fn resolved(&self) -> u64 {
        self.sequence
    }

    /// Goes on up to a later moment.
    pub fn extend(&mut self, up_to: Timestamp) {
        self.up_to = self.up_to.max(up_to);
    }

    /// The next changes, perhaps none; `None` at the end.
    ///
    /// # Errors
    /// 72000 where history is not kept any more; storage; canceled.
    pub fn next(
        &mut self,
        txn: &mut dyn Transaction,
        store: &dyn Store,
    ) -> Result<Option<Vec<FeedChange>>> {
        if !self.items.is_empty() {
            return self.give(txn).map(Some);
        }
        if self.streamed.is_some() {
            return self.give_streamed(txn).map(Some);
        }
        let window = if buggify!("feed.window-of-one") { 1 } else { self.window_commits };
        let mut notes = store.commits(self.sequence + 1, u64::MAX, window)?;
        sometimes!("feed.window-of-many", notes.len() > 1);
        notes.retain(|note| note.ts <= self.up_to);
        if notes.is_empty() {
            return Ok(None);
        }
        self.look(notes.into_iter().map(Arc::new).collect(), txn)?;
        Ok(Some(Vec::new()))
    }

    /// Finds the changes of some commits, or of the first ones of them that fit.
    fn look(&mut self, notes: Vec<Arc<CommitNote>>, txn: &mut dyn Transaction) -> Result<()> {
        let (Some(first), Some(last)) = (notes.first(), notes.last()) else { return Ok(()) };
        let (first, high) = (first.ts, last.ts);
        let only = self.shown.as_ref().map(|table| table.id);
        let tables = match self.tables.take() {
            Some(known) => known,
            // Just before the first commit is as good as `at`, and kept for longer.
            None => alive_at(txn, only, self.at.max(before(first)))?,
        };
        let since = match notes.iter().any(|note| may_touch(note, TABLES)) {
            true => defined_since(txn, only, self.at.max(before(first)), high)?,
            false => Vec::new(),
        };
        let (segments, definitions) = segments(&tables, &since, self.at, high);
        let mut window = Window::new(self.window_bytes, high);
        for item in definitions {
            window.add(self.as_shown(item));
        }
        for segment in &segments {
            self.read(segment, &notes, &mut window, txn)?;
        }
        let Window { mut items, bytes, bound, too_large, .. } = window;
        let mut bound = bound;
        if items.is_empty()
            && let Some(ts) = too_large
        {
            sometimes!("feed.commit-larger-than-a-window");
            self.streamed = self.stream(ts, &notes, segments, &tables, &since);
            bound = ts;
        }
        items.sort_by(|a, b| a.place().cmp(&b.place()));
        self.items = items.into();
        let whole = notes.partition_point(|note| note.ts <= bound);
        sometimes!("feed.window-cut-short", bound < high);
        if bound < high {
            self.window_commits = whole.max(1);
        } else if bytes < self.window_bytes / 4 {
            self.window_commits = (self.window_commits * 4).min(MOST_COMMITS);
        }
        self.tables = Some(definitions::later(tables, since, bound));
        self.at = bound;
        self.sequence = whole.checked_sub(1).map_or(self.sequence, |last| notes[last].sequence);
        self.commits = notes;
        Ok(())
    }

    /// Reads what the commits wrote within a segment.
    fn read(
        &self,
        segment: &Segment,
        notes: &[Arc<CommitNote>],
        window: &mut Window,
        txn: &mut dyn Transaction,
    ) -> Result<()> {
        let space = segment.table.keyspace;
        let is_within = |note: &CommitNote| note.ts > segment.after && note.ts <= segment.up_to;
        let mut wrote = notes.iter().filter(|note| is_within(note) && may_touch(note, space));
        let Some(first) = wrote.next() else { return Ok(()) };
        let last = wrote.next_back().unwrap_or(first).ts;
        let from = if planted!("tables.feed-begins-late") { first.ts } else { before(first.ts) };
        let mut resume: Option<(Vec<u8>, Timestamp)> = None;
        let mut batch = RowBatch::new();
        loop {
            let up_to = last.min(window.bound);
            if up_to <= from {
                return Ok(());
            }
            let start =
                resume.as_ref().map_or(Bound::Unbounded, |(key, _)| Bound::Included(&key[..]));
            let scan = VersionScan {
                range: KeyRange { start, end: Bound::Unbounded },
                from,
                up_to,
                older_than: resume.as_ref().map(|(_, ts)| *ts),
                reverse: false,
                max_rows: if buggify!("feed.versions-one-by-one") { 1 } else { CHUNK },
            };
            batch.clear();
            let state = txn
                .scan_begun(space, &scan, &mut batch)
                .map_err(|error| about(&segment.table, error))?;
            for row in batch.rows() {
                let (key, after) = (row.key.to_vec(), row.value.map(<[u8]>::to_vec));
                let table = self.read_by(segment)?;
                let what = What::Row { space, key, after };
                window.add(Item { ts: row.ts, table: Arc::clone(table), what });
            }
            let next = batch.len().checked_sub(1).map(|index| batch.row(index));
            match next {
                Some(row) if state == ScanState::More => resume = Some((row.key.to_vec(), row.ts)),
                _ => return Ok(()),
            }
        }
    }

    /// A commit, to be given as it is read.
    fn stream(
        &self,
        ts: Timestamp,
        notes: &[Arc<CommitNote>],
        all: Vec<Segment>,
        tables: &BTreeMap<TableId, Arc<Table>>,
        since: &[definitions::Defined],
    ) -> Option<Streamed> {
        let commit = Arc::clone(notes.iter().find(|note| note.ts == ts)?);
        let (_, definitions) = segments(tables, since, self.at, ts);
        let definitions = definitions.into_iter().filter(|item| item.ts == ts);
        let mut parts: Vec<Part> =
            definitions.map(|item| Part::Definition(self.as_shown(item))).collect();
        let is_its = |segment: &Segment| segment.after < ts && ts <= segment.up_to;
        parts.extend(all.into_iter().filter(is_its).map(Part::Rows));
        parts.sort_by_key(|part| match part {
            Part::Definition(item) => (item.table.id, false),
            Part::Rows(segment) => (segment.table.id, true),
        });
        Some(Streamed { commit, parts: parts.into(), last: None })
    }

    /// The definition that rows of a segment are read by.
    fn read_by<'s>(&'s self, segment: &'s Segment) -> Result<&'s Arc<Table>> {
        let Some(shown) = &self.shown else { return Ok(&segment.table) };
        crate::diff::check_same_types(shown, &segment.table)?;
        Ok(shown)
    }

    fn as_shown(&self, item: Item) -> Item {
        match &self.shown {
            // An ALTER is of interest for what it made of the table.
            Some(shown) if !matches!(item.what, What::Definition(FeedOp::Alter)) => {
                Item { table: Arc::clone(shown), ..item }
            }
            _ => item,
        }
    }

    fn give(&mut self, txn: &mut dyn Transaction) -> Result<Vec<FeedChange>> {
        let count = self.items.len().min(CHUNK);
        let items: Vec<Item> = self.items.drain(..count).collect();
        let mut changes = Vec::with_capacity(count);
        for item in items {
            let found = self.commits.binary_search_by_key(&item.ts, |note| note.ts);
            let Ok(found) = found else {
                return Err(SqlError::internal(format!("a change of no commit, at {}", item.ts)));
            };
            let commit = Arc::clone(&self.commits[found]);
            changes.extend(self.change(commit, item, txn)?);
        }
        Ok(changes)
    }

    fn give_streamed(&mut self, txn: &mut dyn Transaction) -> Result<Vec<FeedChange>> {
        let Some(mut streamed) = self.streamed.take() else { return Ok(Vec::new()) };
        let commit = Arc::clone(&streamed.commit);
        let ts = commit.ts;
        let mut changes = Vec::new();
        match streamed.parts.pop_front() {
            None => return Ok(changes),
            Some(Part::Definition(item)) => changes.extend(self.change(commit, item, txn)?),
            Some(Part::Rows(segment)) => {
                let space = segment.table.keyspace;
                let start = streamed.last.take();
                let start = start.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let range = KeyRange { start, end: Bound::Unbounded };
                let mut batch = RowBatch::new();
                let state = txn
                    .scan_changes(space, &range, before(ts), ts, CHUNK, &mut batch)
                    .map_err(|error| about(&segment.table, error))?;
                let table = Arc::clone(self.read_by(&segment)?);
                for row in batch.rows() {
                    let (key, after) = (row.key.to_vec(), row.value.map(<[u8]>::to_vec));
                    let what = What::Row { space, key, after };
                    let item = Item { ts, table: Arc::clone(&table), what };
                    changes.extend(self.change(Arc::clone(&commit), item, txn)?);
                }
                if let Some(last) = batch.last_key()
                    && state == ScanState::More
                {
                    streamed.last = Some(last.to_vec());
                    streamed.parts.push_front(Part::Rows(segment));
                }
            }
        }
        self.streamed = Some(streamed);
        Ok(changes)
    }

    /// The change that was found, with the row before it; `None` if nothing changed: a row came and went
    /// within the transaction.
    fn change(
        &mut self,
        commit: Arc<CommitNote>,
        item: Item,
        txn: &mut dyn Transaction,
    ) -> Result<Option<FeedChange>> {
        let Item { ts, table, what } = item;
        let (op, before, after) = match what {
            What::Definition(op) => (op, None, None),
            What::Row { space, key, after } => {
                let old = row_before(txn, space, &key, ts).map_err(|error| about(&table, error))?;
                let op = match (&old, &after) {
                    (None, None) => return Ok(None),
                    (None, Some(_)) => FeedOp::Insert,
                    (Some(_), None) => FeedOp::Delete,
                    (Some(_), Some(_)) => FeedOp::Update,
                };
                (op, old, after)
            }
        };
        let ordinal = if self.counted.0 == commit.sequence { self.counted.1 + 1 } else { 1 };
        self.counted = (commit.sequence, ordinal);
        Ok(Some(FeedChange { commit, ordinal, table, op, before, after }))
    }
}

impl Item {
    /// Where it comes.
    fn place(&self) -> (Timestamp, TableId, FeedOp, &[u8]) {
        match &self.what {
            What::Definition(op) => (self.ts, self.table.id, *op, &[]),
            // What happens to the row is not known yet, and does not matter.
            What::Row { key, .. } => (self.ts, self.table.id, FeedOp::Insert, key),
        }
    }

    fn size_bytes(&self) -> usize {
        let bytes = match &self.what {
            What::Definition(_) => 0,
            What::Row { key, after, .. } => key.len() + after.as_ref().map_or(0, Vec::len),
        };
        bytes + size_of::<Self>()
    }
}

/// Whether a commit may have written to a keyspace.
pub(crate) fn may_touch(note: &CommitNote, space: KeyspaceId) -> bool {
    note.keyspaces.as_ref().is_none_or(|spaces| spaces.binary_search(&space).is_ok())
}

pub(crate) fn before(ts: Timestamp) -> Timestamp {
    Timestamp(ts.0.saturating_sub(1))
}

/// The row that a commit replaced.
pub(crate) fn row_before(
    txn: &mut dyn Transaction,
    space: KeyspaceId,
    key: &[u8],
    ts: Timestamp,
) -> driftdb_concurrency::Result<Option<Vec<u8>>> {
    let mut row = Vec::new();
    match txn.get(space, key, ReadAt::AsOf(before(ts)), &mut row) {
        Ok(found) => Ok(found.then_some(row)),
        // The commit made the keyspace.
        Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

fn about(table: &Table, error: TxnError) -> SqlError {
    SqlError::from(error).about_table(&table.name)
}
