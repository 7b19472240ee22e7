//! The history of an inherited keyspace: the parent's up to the branch's point, the branch's own after.
//!
//! Of one key, every version of the branch is newer than every one of the parent's, so the two lists
//! are put one after the other: unless the branch's reaches back to the beginning of the stretch.
//! Positions between batches are a key and a time, and the time says in which of the two lists.

use std::cmp::Ordering;
use std::ops::Bound;

use driftdb_concurrency::{ReadAt, Result, RowBatch, RowRef, ScanState, VersionScan};
use driftdb_env::planted;
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use super::keys::{self, Fate, OwnRange};
use super::scan::{Layer, after, order};
use super::transaction::BranchTransaction;

/// Which versions of a stretch are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What was alive at its beginning, and what began within it.
    All,
    /// What began within it.
    Begun,
}

/// Where a scan goes on: with the versions of a key older than a time.
struct Position {
    key: Vec<u8>,
    older_than: Timestamp,
}

impl BranchTransaction {
    /// See [`driftdb_concurrency::Transaction::scan_versions`] and
    /// [`driftdb_concurrency::Transaction::scan_begun`].
    pub(super) fn version_layers(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        wanted: Wanted,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        let is_made_here = match self.fate(space, ReadAt::Newest)? {
            None | Some(Fate::Dropped) => false,
            Some(Fate::Created | Fate::CreatedAndDropped) => true,
        };
        let is_past = wanted == Wanted::Begun && request.from >= self.shared.point.at;
        let has_parent = !is_made_here && !is_past;
        if request.from >= self.shared.point.created
            && let Some(Fate::Dropped | Fate::CreatedAndDropped) =
                self.fate(space, ReadAt::AsOf(request.from))?
        {
            return Ok(ScanState::Done);
        }
        let mut position = request.older_than.map(|older_than| {
            let key = first_key(&request.range, request.reverse).unwrap_or_default().to_vec();
            Position { key, older_than }
        });
        loop {
            let before = out.len();
            let inherited = match has_parent {
                true => self.inherited_versions(space, request, wanted, position.as_ref())?,
                false => Layer::default(),
            };
            let own = self.own_versions(space, request, wanted, position.as_ref(), &inherited)?;
            let merge = Merge { space, own: &own, inherited: &inherited, request };
            match merge.run(out)? {
                None => return Ok(ScanState::Done),
                Some(_) if out.len() > before => return Ok(ScanState::More),
                Some(reached) => position = Some(reached),
            }
        }
    }

    fn inherited_versions(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        wanted: Wanted,
        position: Option<&Position>,
    ) -> Result<Layer> {
        let point = self.shared.point;
        let mut scan = *request;
        (scan.from, scan.up_to) = (request.from.min(point.at), request.up_to.min(point.at));
        scan.older_than = None;
        if let Some(Position { key, older_than }) = position {
            if *older_than <= point.at {
                scan.older_than = Some(*older_than);
                begin_at(&mut scan, key);
            } else if *older_than <= request.from {
                // The branch's version that was alive at the beginning has been given.
                scan.range = after(&scan.range, key, scan.reverse);
            } else {
                begin_at(&mut scan, key);
            }
        }
        self.versions_of(space, &scan, wanted)
    }

    fn own_versions(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        wanted: Wanted,
        position: Option<&Position>,
        inherited: &Layer,
    ) -> Result<Layer> {
        let point = self.shared.point;
        if request.up_to < point.created {
            return Ok(Layer::default());
        }
        let mut range = inherited.bound(&request.range, request.reverse);
        let mut resumed = None;
        if let Some(Position { key, older_than }) = position {
            if *older_than > point.at {
                resumed = Some(*older_than);
                *(if request.reverse { &mut range.end } else { &mut range.start }) =
                    Bound::Included(key);
            } else {
                range = after(&range, key, request.reverse);
            }
        }
        let range = OwnRange::of(space, &range);
        let scan = VersionScan {
            range: range.get(),
            // Nothing was in it when it was made.
            from: request.from.max(point.created),
            older_than: resumed,
            ..*request
        };
        self.versions_of(point.keyspace, &scan, wanted)
    }

    fn versions_of(
        &mut self,
        space: KeyspaceId,
        scan: &VersionScan<'_>,
        wanted: Wanted,
    ) -> Result<Layer> {
        let mut layer = Layer::default();
        layer.state = match wanted {
            Wanted::All => self.inner.scan_versions(space, scan, &mut layer.rows)?,
            Wanted::Begun => self.inner.scan_begun(space, scan, &mut layer.rows)?,
        };
        Ok(layer)
    }

    /// See [`driftdb_concurrency::Transaction::scan_changes`].
    pub(super) fn change_layers(
        &mut self,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        (from, up_to): (Timestamp, Timestamp),
        max_rows: usize,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        let point = self.shared.point;
        let mut has_parent = from < point.at;
        if up_to >= point.created {
            match self.fate(space, ReadAt::AsOf(up_to))? {
                None => {}
                Some(Fate::Created) => has_parent = false,
                Some(Fate::Dropped | Fate::CreatedAndDropped) => return Ok(ScanState::Done),
            }
        }
        let mut inherited = Layer::default();
        if has_parent {
            let (up_to, rows) = (up_to.min(point.at), &mut inherited.rows);
            inherited.state = self.inner.scan_changes(space, range, from, up_to, max_rows, rows)?;
        }
        let mut own = Layer::default();
        if up_to >= point.created {
            let range = OwnRange::of(space, &inherited.bound(range, false));
            let (from, rows) = (from.max(point.created), &mut own.rows);
            own.state = self.inner.scan_changes(
                point.keyspace,
                &range.get(),
                from,
                up_to,
                max_rows,
                rows,
            )?;
        }
        merge_changes(space, &own, &inherited, max_rows, out)
    }
}

/// The key that a scan begins with.
fn first_key<'a>(range: &KeyRange<'a>, reverse: bool) -> Option<&'a [u8]> {
    let end = if reverse { range.end } else { range.start };
    if let Bound::Included(key) = end { Some(key) } else { None }
}

fn begin_at<'a>(scan: &mut VersionScan<'a>, key: &'a [u8]) {
    *(if scan.reverse { &mut scan.range.end } else { &mut scan.range.start }) =
        Bound::Included(key);
}

/// Both layers of a batch.
struct Merge<'a> {
    space: KeyspaceId,
    own: &'a Layer,
    inherited: &'a Layer,
    request: &'a VersionScan<'a>,
}

impl Merge<'_> {
    /// Gives versions as far as both layers are known; `None`: to the end.
    fn run(&self, out: &mut RowBatch) -> driftdb_storage::Result<Option<Position>> {
        let limit = out.len().saturating_add(self.request.max_rows);
        let (mut own_index, mut inherited_index) = (0, 0);
        let mut reached = Position { key: Vec::new(), older_than: Timestamp::MAX };
        // The key whose own versions reach back to the beginning of the stretch.
        let mut is_hidden = false;
        while out.len() < limit {
            let own = self.own.row(own_index);
            let inherited = self.inherited.row(inherited_index);
            if own.is_none() && self.own.state == ScanState::More {
                break;
            }
            let Some(order) = order(own, inherited, self.request.reverse) else { break };
            if let Some(row) = own.filter(|_| order != Ordering::Greater) {
                let key = keys::bare(row.key);
                is_hidden = row.ts <= self.request.from;
                self.give_own(key, row, out)?;
                reached.set(key, row.ts);
                own_index += 1;
            } else if let Some(row) = inherited {
                let is_of_last = is_hidden && reached.key == row.key;
                if !is_of_last || planted!("mvcc.branch-versions-overlap") {
                    out.push(row.key, row.value, row.ts);
                    is_hidden = false;
                    reached.set(row.key, row.ts);
                }
                inherited_index += 1;
            }
        }
        let is_end = self.own.ends_at(own_index) && self.inherited.ends_at(inherited_index);
        Ok((!is_end).then_some(reached))
    }

    fn give_own(
        &self,
        key: &[u8],
        row: RowRef<'_>,
        out: &mut RowBatch,
    ) -> driftdb_storage::Result<()> {
        let value = match row.value {
            Some(bytes) => keys::read_value(self.space, bytes)?,
            None => None,
        };
        // What was deleted at the beginning was not alive then.
        if value.is_some() || row.ts > self.request.from {
            out.push(key, value, row.ts);
        }
        Ok(())
    }
}

impl Position {
    fn set(&mut self, key: &[u8], older_than: Timestamp) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.older_than = older_than;
    }
}

fn merge_changes(
    space: KeyspaceId,
    own: &Layer,
    inherited: &Layer,
    max_rows: usize,
    out: &mut RowBatch,
) -> Result<ScanState> {
    let limit = out.len().saturating_add(max_rows);
    let (mut own_index, mut inherited_index) = (0, 0);
    while out.len() < limit {
        let (own_row, inherited_row) = (own.row(own_index), inherited.row(inherited_index));
        if own_row.is_none() && own.state == ScanState::More {
            break;
        }
        let Some(order) = order(own_row, inherited_row, false) else { break };
        if let Some(row) = own_row.filter(|_| order != Ordering::Greater) {
            let value = row.value.map(|bytes| keys::read_value(space, bytes)).transpose()?;
            out.push(keys::bare(row.key), value.flatten(), row.ts);
            own_index += 1;
        } else if let Some(row) = inherited_row {
            out.push(row.key, row.value, row.ts);
        }
        inherited_index += usize::from(order != Ordering::Less);
    }
    let is_end = own.ends_at(own_index) && inherited.ends_at(inherited_index);
    Ok(if is_end { ScanState::Done } else { ScanState::More })
}
