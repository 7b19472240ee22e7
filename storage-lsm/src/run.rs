//! Sorted runs: tables that are disjoint and in order, read as if they were one.
//!
//! A run names the *part* of each table that is in force. A compaction moves keys from newer runs
//! into an older one piece by piece; after each piece its inputs begin at a later key. So what is
//! done stays done, and nothing about a compaction under way has to be kept but which runs it joins.
//!
//! Invariants
//! * Parts ascend: the last key of one is smaller than the first of the next. All versions of a key
//!   in a run are therefore in one part.
//! * For each key, every version in a newer run is newer than every version in an older one.
//!
//! Cost: a point read is a binary search over the parts.

mod source;

use std::cmp::Ordering;
use std::sync::Arc;

use driftdb_storage::KeyspaceId;

use crate::compaction::TableShape;
use crate::table::{Table, TableMeta};
pub(crate) use source::RunSource;

/// Where a key is in the order of all keys of all keyspaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) space: KeyspaceId,
    pub(crate) key: Box<[u8]>,
}

impl Place {
    pub(crate) fn new(space: KeyspaceId, key: &[u8]) -> Self {
        Self { space, key: key.into() }
    }

    pub(crate) fn cmp_key(&self, space: KeyspaceId, key: &[u8]) -> Ordering {
        self.space.cmp(&space).then_with(|| (*self.key).cmp(key))
    }
}

/// Which keys of a table are in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    /// The first key in force.
    pub(crate) first: Place,
    /// The last key; `None` if not known (a table that version 1 of the manifest named).
    pub(crate) last: Option<Place>,
    /// Bytes of the file that lie before the first key in force. Not zero only after a piece of a
    /// compaction took smaller keys away.
    pub(crate) skipped_bytes: u64,
}

impl Bounds {
    pub(crate) fn new(first: Place, last: Place) -> Self {
        Self { first, last: Some(last), skipped_bytes: 0 }
    }

    /// Whether every key is smaller than this one.
    pub(crate) fn is_before(&self, space: KeyspaceId, key: &[u8]) -> bool {
        self.last.as_ref().is_some_and(|last| last.cmp_key(space, key).is_lt())
    }

    /// Whether every key is smaller than every key of `other`.
    pub(crate) fn precedes(&self, other: &Self) -> bool {
        self.is_before(other.first.space, &other.first.key)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        !self.precedes(other) && !other.precedes(self)
    }

    /// The smallest bounds around both.
    pub(crate) fn around(&self, other: &Self) -> Self {
        let last = match (&self.last, &other.last) {
            (Some(a), Some(b)) => Some(a.max(b).clone()),
            _ => None,
        };
        Self { first: (&self.first).min(&other.first).clone(), last, skipped_bytes: 0 }
    }
}

/// A table, as far as it is in force.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) table: Arc<Table>,
    pub(crate) bounds: Bounds,
}

impl Part {
    pub(crate) fn meta(&self) -> &TableMeta {
        self.table.meta()
    }

    pub(crate) fn shape(&self) -> TableShape<'_> {
        TableShape { meta: self.meta(), bounds: &self.bounds }
    }

    /// Whether smaller keys lie in the table that no longer count.
    pub(crate) fn is_trimmed(&self) -> bool {
        self.bounds.skipped_bytes > 0
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct SortedRun {
    /// 0 for runs that flushes made; at most one run for each level above.
    pub(crate) level: u32,
    /// Whether a compaction under way joins it with its neighbours that are marked too.
    pub(crate) is_merging: bool,
    pub(crate) parts: Vec<Part>,
}

impl SortedRun {
    /// What a flush makes.
    pub(crate) fn flushed(part: Part) -> Self {
        Self { level: 0, is_merging: false, parts: vec![part] }
    }

    /// The part that may hold the key.
    #[inline]
    pub(crate) fn find(&self, space: KeyspaceId, key: &[u8]) -> Option<&Part> {
        let part = self.parts.get(self.first_from(space, key))?;
        part.bounds.first.cmp_key(space, key).is_le().then_some(part)
    }

    /// The first part with a key at or after this one.
    fn first_from(&self, space: KeyspaceId, key: &[u8]) -> usize {
        self.parts.partition_point(|part| part.bounds.is_before(space, key))
    }

    /// Says what is wrong, if the parts do not ascend.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let ascends = |pair: &[Part]| pair[0].bounds.precedes(&pair[1].bounds);
        if self.parts.windows(2).all(ascends) { Ok(()) } else { Err("the tables of a run overlap") }
    }
}
