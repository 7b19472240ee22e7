//! Reading: which moment, which own writes, and what the control hears of it.

use std::ops::Bound;

use driftdb_concurrency::{
    ConcurrencyControl, ReadAt, Result, RowBatch, ScanRequest, ScanState, TxnError,
};
use driftdb_env::{buggify, planted, sometimes};
use driftdb_storage::{Engine, KeyRange, KeyspaceId, ScanSpec, Snapshot, Timestamp, Visible};

use super::{Mode, MvccTransaction};
use crate::merge::{self, Limit};
use crate::pending::{self, Looker};
use crate::system::FIRST_USER_KEYSPACE;
use crate::view::View;
use crate::write_set::{Fate, Imaged, InMemory, OwnView};

/// At least so many pending writes are looked at in one go.
const MIN_PENDING: usize = 64;

impl<E: Engine, C: ConcurrencyControl> MvccTransaction<E, C> {
    pub(super) fn read_key(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        at: ReadAt,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        if let Some(own) = self.own_view(space, at)? {
            if let Some(found) = self.read_own(space, key, own, out)? {
                return Ok(found);
            }
            if self.is_dirty(space, at)
                && let Some(value) = self.shared.pending.get(self.looker(own), space, key)?
            {
                sometimes!("mvcc.read-what-is-not-committed");
                out.extend_from_slice(value.as_deref().unwrap_or_default());
                return Ok(value.is_some());
            }
            if self.tracks_reads {
                let control = self.control.as_mut().expect("begun with the transaction");
                match at {
                    ReadAt::Newest => self.shared.control.checks(control, space, key)?,
                    _ => self.shared.control.read(control, space, key)?,
                }
            }
        }
        let view = self.view_at(at)?;
        let found = view.snapshot.get(space, key, view.ts, out)?;
        if self.reads_claimed(at) {
            self.depend_on_key(space, key, found)?;
        }
        Ok(found.is_some())
    }

    /// Whether there is a value among the own writes, if they say anything about the key.
    fn read_own(
        &self,
        space: KeyspaceId,
        key: &[u8],
        own: OwnView,
        out: &mut Vec<u8>,
    ) -> Result<Option<bool>> {
        if self.is_untouched {
            return Ok(None);
        }
        let writes = self.writes.lock();
        Ok(match writes.get(space, key, own, out)? {
            Some(found) => Some(found),
            None => (writes.fate(space) == Fate::Created).then_some(false),
        })
    }

    /// Whether a read sees what others have not committed.
    fn is_dirty(&self, space: KeyspaceId, at: ReadAt) -> bool {
        // The catalog is read as it was committed: a definition is either there or not.
        self.mode == Mode::Dirty && at == ReadAt::Statement && space >= FIRST_USER_KEYSPACE
    }

    fn looker(&self, own: OwnView) -> Looker {
        Looker { id: self.id, own }
    }

    pub(super) fn read_range(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        if self.cancel.is_canceled() {
            return Err(TxnError::Canceled);
        }
        let max_rows = if buggify!("mvcc.scan-short") { 1 } else { request.max_rows };
        let limit = Limit::after(out, max_rows);
        let Some(own) = self.own_view(space, request.at)? else {
            return self.scan_past(space, request, limit, out);
        };
        let state = if self.tracks_reads && self.fate(space) != Fate::Created {
            self.scan_tracked(space, request, own, out)?
        } else if self.is_dirty(space, request.at) && self.fate(space) != Fate::Created {
            self.scan_dirty(space, request, own, out)?
        } else {
            self.scan_merged(space, request, own, limit, out)?
        };
        if self.reads_claimed(request.at)
            && let Some(ts) = self.other.as_ref().map(|view| view.ts)
        {
            self.depend_on(ts);
        }
        Ok(state)
    }

    /// The own writes a read sees: none of the past, none in a historical transaction.
    fn own_view(&self, space: KeyspaceId, at: ReadAt) -> Result<Option<OwnView>> {
        let own = match at {
            ReadAt::AsOf(_) => None,
            // Nothing is seen of nothing.
            _ if self.is_untouched => Some(OwnView::All),
            at => self.writes.lock().view(at),
        };
        if own.is_some() {
            self.check_not_dropped(space)?;
        }
        Ok(own)
    }

    fn scan_past(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        limit: Limit,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        let view = self.view_at(request.at)?;
        let cursor = view.snapshot.cursor(space, &spec(request, view.ts))?;
        Ok(merge::copy(cursor, limit, out)?)
    }

    fn scan_merged(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        own: OwnView,
        limit: Limit,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        if self.fate(space) == Fate::Created {
            let none = None::<<E::Snapshot as Snapshot>::Cursor<'_>>;
            return self.merge_own(space, request, own, none, limit, out);
        }
        self.view_at(request.at)?;
        let view = self.held_view(request.at);
        let cursor = view.snapshot.cursor(space, &spec(request, view.ts))?;
        if self.is_untouched || planted!("mvcc.scan-misses-own-writes") {
            return Ok(merge::copy(cursor, limit, out)?);
        }
        self.merge_own(space, request, own, Some(cursor), limit, out)
    }

    fn merge_own<'a>(
        &'a self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        own: OwnView,
        cursor: Option<<E::Snapshot as Snapshot>::Cursor<'a>>,
        limit: Limit,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        let writes = self.writes.lock();
        let (range, reverse) = (&request.range, request.reverse);
        if let Some(images) = writes.images(space, own) {
            let own = Imaged::new(writes.spilled(space, range, own, reverse)?, images)?;
            return Ok(merge::merge(cursor, own, reverse, limit, out)?);
        }
        if !writes.is_in_memory() {
            let own = writes.spilled(space, range, own, reverse)?;
            return Ok(merge::merge(cursor, own, reverse, limit, out)?);
        }
        let own = writes.range(space, range, own);
        let state = if reverse {
            merge::merge(cursor, InMemory::new(own.rev()), true, limit, out)
        } else {
            merge::merge(cursor, InMemory::new(own), false, limit, out)
        };
        Ok(state?)
    }

    /// Scans and tells the control what was really covered. Where that may have waited (the protocol
    /// reads the newest version), the covered part is scanned again: under the claim it stays.
    fn scan_tracked(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        own: OwnView,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        let mut resume: Option<Vec<u8>> = None;
        loop {
            let request = match &resume {
                Some(end) => after(request, end),
                None => *request,
            };
            let mut rows = RowBatch::new();
            let limit = Limit::after(&rows, request.max_rows);
            let mut state = self.scan_merged(space, &request, own, limit, &mut rows)?;
            let end = rows.last_key().map(<[u8]>::to_vec);
            let mut covered = covered(&request, state, end.as_deref());
            if let Some(last) = &end
                && planted!("mvcc.range-ends-at-its-last-row")
            {
                covered = self::covered(&request, ScanState::More, Some(last));
            }
            let control = self.control.as_mut().expect("begun with the transaction");
            self.shared.control.scanned(control, space, &covered)?;
            let seen = self.held_view(request.at).ts;
            if self.mode == Mode::Newest && seen != self.shared.visible() {
                let again = ScanRequest { range: covered, ..request };
                rows.clear();
                let limit = Limit::after(&rows, usize::MAX);
                if self.scan_merged(space, &again, own, limit, &mut rows)? == ScanState::More {
                    state = ScanState::More;
                }
            }
            rows.rows().for_each(|row| out.push(row.key, row.value, row.ts));
            if state == ScanState::Done || !rows.is_empty() || end.is_none() {
                return Ok(state);
            }
            // A batch that turned out empty gives the caller no key to go on from.
            resume = end;
        }
    }

    /// Scans what is pending and what is committed.
    fn scan_dirty(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        own: OwnView,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        let limit = Limit::after(out, request.max_rows);
        let row_count = out.len();
        let mut resume: Option<Vec<u8>> = None;
        loop {
            let mut request = match &resume {
                Some(end) => after(request, end),
                None => *request,
            };
            let (rows, complete_to) = self.shared.pending.range(
                self.looker(own),
                space,
                &request.range,
                request.reverse,
                request.max_rows.max(MIN_PENDING),
            )?;
            if let Some(key) = &complete_to {
                request.range = pending::up_to(&request.range, key, request.reverse);
            }
            self.newest_view(request.at);
            let view = self.held_view(request.at);
            let cursor = Some(view.snapshot.cursor(space, &spec(&request, view.ts))?);
            let rows = rows.iter().map(|(key, value)| (&**key, value.as_deref()));
            let state = if request.reverse {
                merge::merge(cursor, InMemory::new(rows.rev()), true, limit, out)?
            } else {
                merge::merge(cursor, InMemory::new(rows), false, limit, out)?
            };
            match complete_to {
                _ if state == ScanState::More => return Ok(state),
                None => return Ok(ScanState::Done),
                Some(_) if out.len() > row_count => return Ok(ScanState::More),
                // The batch turned out empty, and the caller has no key to go on from.
                Some(key) => resume = Some(key.into_vec()),
            }
        }
    }

    /// The moment to read at, with its snapshot.
    fn view_at(&mut self, at: ReadAt) -> Result<&View<E::Snapshot>> {
        match (at, self.mode) {
            (ReadAt::AsOf(ts), _) => self.past_view(ts)?,
            (_, Mode::Historical) | (ReadAt::Statement, Mode::Snapshot) => {}
            (ReadAt::Statement, Mode::Statement) => self.statement_view(),
            (ReadAt::Statement, Mode::Newest | Mode::Dirty) | (ReadAt::Newest, _) => {
                self.newest_view(at);
            }
        }
        Ok(self.held_view(at))
    }

    /// What [`Self::view_at`] just provided.
    pub(super) fn held_view(&self, at: ReadAt) -> &View<E::Snapshot> {
        let statement = self.view.as_ref();
        let is_other = match at {
            ReadAt::AsOf(_) => true,
            ReadAt::Newest => self.mode != Mode::Historical,
            ReadAt::Statement => matches!(self.mode, Mode::Newest | Mode::Dirty),
        };
        let view = if is_other { self.other.as_ref() } else { statement };
        view.expect("provided before it is used")
    }

    pub(super) fn statement_view(&mut self) {
        if self.view.is_some() {
            return;
        }
        let snapshot = self.shared.engine.snapshot();
        let mut view = View { ts: self.snapshot_ts, snapshot };
        if self.shared.readers.floor() > view.ts {
            // History moved on between the start of the statement and its first read.
            view = self.shared.newest_view();
            self.snapshot_ts = view.ts;
        }
        self.view = Some(view);
    }

    fn newest_view(&mut self, at: ReadAt) {
        let is_claimed = self.reads_claimed(at);
        let shared = &self.shared;
        let newest = if is_claimed { shared.newest_claimed() } else { shared.visible() };
        if self.other.as_ref().is_none_or(|view| view.ts != newest) {
            let view = if is_claimed { shared.claimed_view() } else { shared.newest_view() };
            self.other = Some(view);
        }
    }

    pub(super) fn past_view(&mut self, ts: Timestamp) -> Result<()> {
        if self.other.as_ref().is_some_and(|view| view.ts == ts) {
            return Ok(());
        }
        // The statement's own snapshot answers for every earlier time, and is exact while it lives.
        let own = self.view.as_ref().filter(|view| ts <= view.ts);
        self.other = Some(match own {
            Some(view) => View { ts, snapshot: view.snapshot.clone() },
            None => self.shared.view_as_of(ts)?,
        });
        Ok(())
    }
}

fn spec<'a>(request: &ScanRequest<'a>, ts: Timestamp) -> ScanSpec<'a> {
    ScanSpec { range: request.range, visible: Visible::AsOf(ts), reverse: request.reverse }
}

/// The rest of a scan after the key `end`.
fn after<'a>(request: &ScanRequest<'a>, end: &'a [u8]) -> ScanRequest<'a> {
    let mut rest = *request;
    if request.reverse {
        rest.range.end = Bound::Excluded(end);
    } else {
        rest.range.start = Bound::Excluded(end);
    }
    rest
}

/// The part of the range that a batch answers for, if it ended at the key `end`.
fn covered<'a>(request: &ScanRequest<'a>, state: ScanState, end: Option<&'a [u8]>) -> KeyRange<'a> {
    match (state, end) {
        (ScanState::Done, _) | (ScanState::More, None) => request.range,
        (ScanState::More, Some(last)) if request.reverse => {
            KeyRange { start: Bound::Included(last), end: request.range.end }
        }
        (ScanState::More, Some(last)) => {
            KeyRange { start: request.range.start, end: Bound::Included(last) }
        }
    }
}
