//! What one scan asks for, in the terms that its sources understand.

use std::ops::Bound;

use driftdb_storage::{Entry, KeyRange, KeyspaceId, Result, ScanSpec, Timestamp, Visible};

/// The keys and versions that a scan sees.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) space: KeyspaceId,
    start: Bound<Box<[u8]>>,
    end: Bound<Box<[u8]>>,
    pub(crate) reverse: bool,
    /// Excluded lower end of the versions.
    pub(crate) after: Option<Timestamp>,
    /// Included upper end of the versions.
    pub(crate) up_to: Timestamp,
    /// Of each key, only the newest version inside the bounds.
    pub(crate) newest_only: bool,
}

impl Span {
    /// The part of `spec` that a snapshot of commits up to `at` can see.
    pub(crate) fn new(space: KeyspaceId, spec: &ScanSpec<'_>, at: Timestamp) -> Self {
        let (after, up_to, newest_only) = match spec.visible {
            Visible::AsOf(ts) => (None, ts, true),
            Visible::Between { after, up_to } => (Some(after), up_to, false),
            Visible::All => (None, Timestamp::MAX, false),
        };
        Self {
            space,
            start: spec.range.start.map(Box::from),
            end: spec.range.end.map(Box::from),
            reverse: spec.reverse,
            after,
            up_to: up_to.min(at),
            newest_only,
        }
    }

    pub(crate) fn range(&self) -> KeyRange<'_> {
        KeyRange { start: as_slice(&self.start), end: as_slice(&self.end) }
    }

    /// Without the keys before `first`.
    pub(crate) fn starting_at(&self, first: &[u8]) -> Self {
        let mut span = self.clone();
        if !self.range().is_before_start(first) {
            span.start = Bound::Included(first.into());
        }
        span
    }

    /// Whether no key can lie inside.
    pub(crate) fn is_empty(&self) -> bool {
        is_inverted(as_slice(&self.start), as_slice(&self.end))
    }

    /// Whether a version of that time is inside.
    pub(crate) fn shows(&self, ts: Timestamp) -> bool {
        ts <= self.up_to && self.after.is_none_or(|after| after < ts)
    }

    /// Whether some version of a run with these bounds may be inside.
    pub(crate) fn overlaps(&self, min_ts: Timestamp, max_ts: Timestamp) -> bool {
        min_ts <= self.up_to && self.after.is_none_or(|after| after < max_ts)
    }

    /// Where the scan begins, in its direction.
    pub(crate) fn first(&self) -> Bound<&[u8]> {
        as_slice(if self.reverse { &self.end } else { &self.start })
    }

    /// Whether `key` lies beyond where the scan ends, in its direction.
    pub(crate) fn is_past(&self, key: &[u8]) -> bool {
        if self.reverse {
            self.range().is_before_start(key)
        } else {
            self.range().is_after_end(key)
        }
    }

    /// Where a scan that is to go on at `key` begins, inside the range.
    pub(crate) fn clamp<'a>(&'a self, key: &'a [u8]) -> Bound<&'a [u8]> {
        let is_outside = if self.reverse {
            self.range().is_after_end(key)
        } else {
            self.range().is_before_start(key)
        };
        if is_outside { self.first() } else { Bound::Included(key) }
    }
}

/// One run's contribution to a scan: its visible versions, in the scan's order of keys, newest
/// first within a key.
pub(crate) trait Source {
    /// Goes to the first visible version at or after `from`, in the scan's direction.
    fn seek(&mut self, from: Bound<&[u8]>) -> Result<()>;

    /// Goes to the next visible version.
    fn advance(&mut self) -> Result<()>;

    /// The version it stands on; `None` at the end.
    fn head(&self) -> Option<Entry<'_>>;

    /// Its key, for those who need no more.
    fn key(&self) -> Option<&[u8]>;

    /// Whether it is one, and says that the key is absent.
    fn is_on_tombstone(&self) -> bool;
}

pub(crate) fn as_slice(bound: &Bound<Box<[u8]>>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &**key)
}

/// Whether no key lies between the bounds.
pub(crate) fn is_inverted(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
    }
}
