//! Reading: which moment, which own writes, and what the control hears of it.

use std::ops::Bound;

use driftdb_concurrency::{
    ConcurrencyControl, ReadAt, Result, RowBatch, ScanRequest, ScanState, TxnError,
};
use driftdb_storage::{Engine, KeyRange, KeyspaceId, ScanSpec, Snapshot, Timestamp, Visible};

use super::{Mode, MvccTransaction};
use crate::merge::{self, Limit};
use crate::view::View;
use crate::write_set::{Fate, OwnView};

impl<E: Engine, C: ConcurrencyControl> MvccTransaction<E, C> {
    pub(super) fn read_key(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        at: ReadAt,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        if let Some(own) = self.own_view(space, at)? {
            match self.writes.get(space, key, own) {
                Some(Some(value)) => {
                    out.extend_from_slice(value);
                    return Ok(true);
                }
                Some(None) => return Ok(false),
                None if self.writes.fate(space) == Fate::Created => return Ok(false),
                None => {}
            }
            if self.tracks_reads {
                let control = self.control.as_mut().expect("begun with the transaction");
                self.shared.control.read(control, space, key)?;
            }
        }
        let view = self.view_at(at)?;
        Ok(view.snapshot.get(space, key, view.ts, out)?.is_some())
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
        let limit = Limit::after(out, request.max_rows);
        let Some(own) = self.own_view(space, request.at)? else {
            return self.scan_past(space, request, limit, out);
        };
        if self.tracks_reads && self.writes.fate(space) != Fate::Created {
            return self.scan_tracked(space, request, own, out);
        }
        self.scan_merged(space, request, own, limit, out)
    }

    /// The own writes a read sees: none of the past, none in a historical transaction.
    fn own_view(&self, space: KeyspaceId, at: ReadAt) -> Result<Option<OwnView>> {
        let own = self.writes.view(at);
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
        if self.writes.fate(space) == Fate::Created {
            let none = None::<<E::Snapshot as Snapshot>::Cursor<'_>>;
            return self.merge_own(space, request, own, none, limit, out);
        }
        self.view_at(request.at)?;
        let view = self.held_view(request.at);
        let cursor = view.snapshot.cursor(space, &spec(request, view.ts))?;
        if self.writes.is_empty() {
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
        let own = self.writes.range(space, &request.range, own);
        let state = if request.reverse {
            merge::merge(cursor, own.rev(), true, limit, out)
        } else {
            merge::merge(cursor, own, false, limit, out)
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
            let covered = covered(&request, state, end.as_deref());
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

    /// The moment to read at, with its snapshot.
    fn view_at(&mut self, at: ReadAt) -> Result<&View<E::Snapshot>> {
        match (at, self.mode) {
            (ReadAt::AsOf(ts), _) => self.past_view(ts)?,
            (_, Mode::Historical) | (ReadAt::Statement, Mode::Snapshot) => {}
            (ReadAt::Statement, Mode::Statement) => self.statement_view(),
            (ReadAt::Statement, Mode::Newest) | (ReadAt::Newest, _) => self.newest_view(),
        }
        Ok(self.held_view(at))
    }

    /// What [`Self::view_at`] just provided.
    pub(super) fn held_view(&self, at: ReadAt) -> &View<E::Snapshot> {
        let statement = self.view.as_ref();
        let is_other = match at {
            ReadAt::AsOf(_) => true,
            ReadAt::Newest => self.mode != Mode::Historical,
            ReadAt::Statement => self.mode == Mode::Newest,
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

    fn newest_view(&mut self) {
        let is_current = |view: &View<E::Snapshot>| view.ts == self.shared.visible();
        if !self.other.as_ref().is_some_and(is_current) {
            self.other = Some(self.shared.newest_view());
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
