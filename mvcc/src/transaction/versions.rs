//! Reading many moments at once: the versions of a range over a stretch of time.
//!
//! Two cursors of the engine walk the range side by side: one over what was alive at the beginning
//! of the stretch, one over what began within it. A batch may end in the middle of a key's versions;
//! the next one then starts there, without walking the newer ones again.
//!
//! Always holds: a version that lived at any time of the stretch is given exactly once, after every
//! newer version of its key within the stretch.

use std::cmp::Ordering;
use std::ops::Bound;

use driftdb_concurrency::{
    ConcurrencyControl, ReadAt, Result, RowBatch, ScanState, TxnError, VersionScan,
};
use driftdb_env::planted;
use driftdb_storage::{
    Cursor, Engine, KeyRange, KeyspaceId, ScanSpec, Snapshot, StorageError, Timestamp, Visible,
};

use super::{Mode, MvccTransaction};
use crate::merge::Limit;
use crate::view::View;

impl<E: Engine, C: ConcurrencyControl> MvccTransaction<E, C> {
    /// See [`driftdb_concurrency::Transaction::scan_versions`], and without what was alive at the
    /// beginning [`driftdb_concurrency::Transaction::scan_begun`].
    pub(super) fn read_versions(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        with_alive: bool,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        if self.cancel.is_canceled() {
            return Err(TxnError::Canceled);
        }
        let view = self.history_view(request.up_to)?;
        if request.from > request.up_to {
            return Ok(ScanState::Done);
        }
        let limit = Limit::after(out, request.max_rows);
        let mut rest = *request;
        if let Some(older_than) = rest.older_than.take() {
            let key = first_key(request).ok_or_else(no_first_key)?;
            let up_to = request.up_to.min(Timestamp(older_than.0.saturating_sub(1)));
            if up_to >= request.from {
                let only = KeyRange { start: Bound::Included(key), end: Bound::Included(key) };
                let versions = VersionScan { range: only, up_to, older_than: None, ..*request };
                let state = give(&view.snapshot, space, &versions, with_alive, limit, out)?;
                if state == ScanState::More {
                    return Ok(ScanState::More);
                }
            }
            *(if request.reverse { &mut rest.range.end } else { &mut rest.range.start }) =
                Bound::Excluded(key);
        }
        Ok(give(&view.snapshot, space, &rest, with_alive, limit, out)?)
    }

    /// See [`driftdb_concurrency::Transaction::oldest_readable`].
    pub(super) fn oldest_time(&mut self, space: KeyspaceId) -> Result<Timestamp> {
        let up_to = self.snapshot_ts;
        let mut oldest = self.shared.retention.policy().of(space).keep_since;
        let view = self.history_view(up_to)?;
        let none = KeyRange { start: Bound::Excluded(&[]), end: Bound::Excluded(&[]) };
        loop {
            // The snapshot may hold to a later promise than the one that is asked for now, never to
            // one that moves.
            let visible = Visible::Between { after: oldest, up_to };
            let spec = ScanSpec { range: none, visible, reverse: false };
            match view.snapshot.cursor(space, &spec).map(|_| ()) {
                Err(StorageError::SnapshotTooOld { oldest: later, .. }) if later > oldest => {
                    oldest = later;
                }
                Ok(()) | Err(StorageError::UnknownKeyspace { .. }) => return Ok(oldest),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// See [`driftdb_concurrency::Transaction::scan_changes`].
    pub(super) fn read_changes(
        &mut self,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        (after, up_to): (Timestamp, Timestamp),
        max_rows: usize,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        if self.cancel.is_canceled() {
            return Err(TxnError::Canceled);
        }
        let view = self.history_view(up_to)?;
        let limit = Limit::after(out, max_rows);
        let spec =
            ScanSpec { range: *range, visible: Visible::Between { after, up_to }, reverse: false };
        let mut cursor = match view.snapshot.cursor(space, &spec) {
            Ok(cursor) => cursor,
            Err(StorageError::UnknownKeyspace { .. }) => return Ok(ScanState::Done),
            Err(error) => return Err(error.into()),
        };
        let mut last: Option<Vec<u8>> = None;
        while cursor.next()? {
            let entry = cursor.entry();
            // The newest comes first; what was before it within the stretch does not matter.
            if last.as_deref() == Some(entry.key) {
                continue;
            }
            if limit.is_reached(out) {
                return Ok(ScanState::More);
            }
            out.push(entry.key, entry.value, entry.ts);
            let last = last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(entry.key);
        }
        Ok(ScanState::Done)
    }

    /// A view that can answer for every time up to `up_to`, the same for the whole statement as far as
    /// the statement's own snapshot reaches.
    fn history_view(&mut self, up_to: Timestamp) -> Result<&View<E::Snapshot>> {
        // Commits are told by their numbers, which have only those that are visible.
        self.settle()?;
        if self.mode == Mode::Statement {
            self.statement_view();
        }
        self.past_view(up_to)?;
        Ok(self.held_view(ReadAt::AsOf(up_to)))
    }
}

/// The key that a resumed scan begins with.
fn first_key<'a>(request: &VersionScan<'a>) -> Option<&'a [u8]> {
    let end = if request.reverse { request.range.end } else { request.range.start };
    if let Bound::Included(key) = end { Some(key) } else { None }
}

fn no_first_key() -> TxnError {
    StorageError::Internal("a scan of versions goes on at no key".into()).into()
}

/// Copies the versions of a range.
fn give<S: Snapshot>(
    snapshot: &S,
    space: KeyspaceId,
    request: &VersionScan<'_>,
    with_alive: bool,
    limit: Limit,
    out: &mut RowBatch,
) -> driftdb_storage::Result<ScanState> {
    let spec = |visible| ScanSpec { range: request.range, visible, reverse: request.reverse };
    let alive = if with_alive && !planted!("mvcc.versions-begin-within") {
        match snapshot.cursor(space, &spec(Visible::AsOf(request.from))) {
            Ok(cursor) => Some(cursor),
            Err(StorageError::UnknownKeyspace { .. }) => None,
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    let between = |up_to| spec(Visible::Between { after: request.from, up_to });
    let began = if request.from < request.up_to {
        match snapshot.cursor(space, &between(request.up_to)) {
            Ok(cursor) => Some(cursor),
            // It may have begun later. One that was never there is an error.
            Err(StorageError::UnknownKeyspace { .. }) => {
                snapshot.cursor(space, &between(Timestamp::MAX))?;
                None
            }
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    merge(Stream::new(alive)?, Stream::new(began)?, request.reverse, limit, out)
}

/// A cursor that stands on its next entry.
struct Stream<C> {
    cursor: Option<C>,
    is_on_entry: bool,
}

impl<C: Cursor> Stream<C> {
    fn new(cursor: Option<C>) -> driftdb_storage::Result<Self> {
        let mut stream = Self { cursor, is_on_entry: false };
        stream.advance()?;
        Ok(stream)
    }

    fn advance(&mut self) -> driftdb_storage::Result<()> {
        self.is_on_entry = self.cursor.as_mut().map_or(Ok(false), Cursor::next)?;
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        self.cursor.as_ref().filter(|_| self.is_on_entry).map(|cursor| cursor.entry().key)
    }

    fn give(&mut self, out: &mut RowBatch) -> driftdb_storage::Result<()> {
        if let Some(cursor) = self.cursor.as_ref().filter(|_| self.is_on_entry) {
            let entry = cursor.entry();
            out.push(entry.key, entry.value, entry.ts);
        }
        self.advance()
    }
}

fn merge<C: Cursor>(
    mut alive: Stream<C>,
    mut began: Stream<C>,
    reverse: bool,
    limit: Limit,
    out: &mut RowBatch,
) -> driftdb_storage::Result<ScanState> {
    while !limit.is_reached(out) {
        let order = match (began.key(), alive.key()) {
            (None, None) => return Ok(ScanState::Done),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(began), Some(alive)) if reverse => alive.cmp(began),
            (Some(began), Some(alive)) => began.cmp(alive),
        };
        // Of one key, what began later comes first.
        if order == Ordering::Greater { alive.give(out)? } else { began.give(out)? }
    }
    Ok(ScanState::More)
}
