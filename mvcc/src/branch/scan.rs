//! A scan of an inherited keyspace: what the branch has and what the parent had as one ordered stream.
//!
//! Each batch is made of two: first the parent's, then the branch's up to where the parent's ends, so
//! that a control hears of what is really covered and of no more. Nothing is kept between batches; of
//! the longer of the two, at most a batch is read again.

use std::cmp::Ordering;
use std::ops::Bound;

use driftdb_concurrency::{ReadAt, Result, RowBatch, RowRef, ScanRequest, ScanState};
use driftdb_env::planted;
use driftdb_storage::{KeyRange, KeyspaceId};

use super::keys::{self, OwnRange};
use super::transaction::{BranchTransaction, Layers};

impl BranchTransaction {
    pub(super) fn scan_layers(
        &mut self,
        space: KeyspaceId,
        layers: Layers,
        request: &ScanRequest<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        let mut resume: Option<Vec<u8>> = None;
        loop {
            let mut rest = *request;
            if let Some(last) = &resume {
                rest.range = after(&request.range, last, request.reverse);
            }
            let mut inherited = Layer::default();
            if let Some(ts) = layers.inherited {
                let at = ReadAt::AsOf(ts);
                let past = ScanRequest { at, ..rest };
                if !layers.has_own {
                    return self.inner.scan(space, &past, out);
                }
                inherited.state = self.inner.scan(space, &past, &mut inherited.rows)?;
            }
            let mut own = Layer::default();
            if layers.has_own {
                let bounded = inherited.bound(&rest.range, rest.reverse);
                let range = OwnRange::of(space, &bounded);
                let request = ScanRequest { range: range.get(), ..rest };
                let keyspace = self.shared.point.keyspace;
                own.state = self.inner.scan(keyspace, &request, &mut own.rows)?;
            }
            if own.rows.is_empty() && out.is_empty() {
                *out = inherited.rows;
                return Ok(inherited.state);
            }
            let before = out.len();
            let merged = merge(space, &own, &inherited, request.reverse, request.max_rows, out)?;
            match merged {
                Merged::All => return Ok(ScanState::Done),
                Merged::UpTo(_) if out.len() > before => return Ok(ScanState::More),
                // Every row was deleted in the branch: the caller has no key to go on from.
                Merged::UpTo(last) => resume = Some(last),
            }
        }
    }
}

/// A batch of one layer.
pub(super) struct Layer {
    pub(super) rows: RowBatch,
    pub(super) state: ScanState,
}

impl Default for Layer {
    fn default() -> Self {
        Self { rows: RowBatch::new(), state: ScanState::Done }
    }
}

impl Layer {
    /// The part of a range in which this layer is known.
    pub(super) fn bound<'a>(&'a self, range: &KeyRange<'a>, reverse: bool) -> KeyRange<'a> {
        match self.rows.last_key() {
            Some(last) if self.state == ScanState::More => up_to(range, last, reverse),
            _ => *range,
        }
    }

    pub(super) fn row(&self, index: usize) -> Option<RowRef<'_>> {
        (index < self.rows.len()).then(|| self.rows.row(index))
    }

    /// Whether nothing follows from a row on.
    pub(super) fn ends_at(&self, index: usize) -> bool {
        self.state == ScanState::Done && index >= self.rows.len()
    }
}

/// The rest of a range after a key.
pub(super) fn after<'a>(range: &KeyRange<'a>, last: &'a [u8], reverse: bool) -> KeyRange<'a> {
    let mut rest = *range;
    *(if reverse { &mut rest.end } else { &mut rest.start }) = Bound::Excluded(last);
    rest
}

/// The beginning of a range up to a key.
fn up_to<'a>(range: &KeyRange<'a>, last: &'a [u8], reverse: bool) -> KeyRange<'a> {
    let mut part = *range;
    *(if reverse { &mut part.start } else { &mut part.end }) = Bound::Included(last);
    part
}

/// Which of two rows comes first in a scan, if there are any.
pub(super) fn order(
    own: Option<RowRef<'_>>,
    inherited: Option<RowRef<'_>>,
    reverse: bool,
) -> Option<Ordering> {
    match (own, inherited) {
        (None, None) => None,
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (Some(own), Some(inherited)) if reverse => Some(inherited.key.cmp(keys::bare(own.key))),
        (Some(own), Some(inherited)) => Some(keys::bare(own.key).cmp(inherited.key)),
    }
}

/// How far two layers were merged.
enum Merged {
    /// To the end of the range.
    All,
    /// Up to this key.
    UpTo(Vec<u8>),
}

/// Merges the layers as far as both are known. An own row hides the parent's.
fn merge(
    space: KeyspaceId,
    own: &Layer,
    inherited: &Layer,
    reverse: bool,
    max_rows: usize,
    out: &mut RowBatch,
) -> Result<Merged> {
    let limit = out.len().saturating_add(max_rows);
    let (mut own_index, mut inherited_index) = (0, 0);
    let mut last = Vec::new();
    while out.len() < limit {
        let (own_row, inherited_row) = (own.row(own_index), inherited.row(inherited_index));
        if own_row.is_none() && own.state == ScanState::More {
            break;
        }
        let Some(order) = order(own_row, inherited_row, reverse) else { break };
        let hides = order != Ordering::Greater;
        if let Some(row) = own_row.filter(|_| hides) {
            let key = keys::bare(row.key);
            if let Some(value) = keys::read_value(space, row.value.unwrap_or_default())? {
                out.push(key, Some(value), row.ts);
            }
            replace(&mut last, key);
            own_index += 1;
        } else if let Some(row) = inherited_row {
            out.push(row.key, row.value, row.ts);
            replace(&mut last, row.key);
        }
        let is_both = order == Ordering::Equal && !planted!("mvcc.branch-shows-what-it-hides");
        inherited_index += usize::from(is_both || order == Ordering::Greater);
    }
    if own.ends_at(own_index) && inherited.ends_at(inherited_index) {
        return Ok(Merged::All);
    }
    Ok(Merged::UpTo(last))
}

fn replace(last: &mut Vec<u8>, key: &[u8]) {
    last.clear();
    last.extend_from_slice(key);
}
