//! The writes of open transactions, for READ UNCOMMITTED.
//!
//! A transaction's write set is registered from its first write to its end. Only dirty readers look into
//! sets that are not their own; the latch of a set is otherwise its owner's, and free.
//!
//! Of several pending writes of one key those of commits on their way, whose claims have ended, come first, in
//! order of commit; of the others, which come later, that of the youngest transaction counts: under locks there
//! is only one, under `occ` there may be more.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::TxnId;
use driftdb_env::sync::Mutex;
use driftdb_storage::{KeyRange, KeyspaceId, Result, Timestamp};

use crate::write_set::{Fate, OwnRows, OwnView, WriteSet};

const SHARD_COUNT: usize = 16;

/// A write set that others may look into.
pub(crate) type SharedWrites = Arc<Mutex<WriteSet>>;

/// The registered write sets.
#[derive(Default)]
pub(crate) struct Pending {
    shards: [Mutex<BTreeMap<TxnId, Set>>; SHARD_COUNT],
}

/// A write set, and the time of its commit once its claims have ended.
#[derive(Clone)]
struct Set {
    writes: SharedWrites,
    released: Option<Timestamp>,
}

/// Pending writes in key order, values and deletes.
pub(crate) type PendingRows = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

/// Who looks: own writes are seen as the statement sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looker {
    pub(crate) id: TxnId,
    pub(crate) own: OwnView,
}

impl Looker {
    fn view(self, of: TxnId) -> OwnView {
        if of == self.id { self.own } else { OwnView::All }
    }
}

impl Pending {
    pub(crate) fn register(&self, id: TxnId, writes: &SharedWrites) {
        let set = Set { writes: Arc::clone(writes), released: None };
        self.shard(id).lock().insert(id, set);
    }

    /// The claims of a transaction are about to end, with its commit on its way: others may write its keys.
    pub(crate) fn release(&self, id: TxnId, commit: Timestamp) {
        if let Some(set) = self.shard(id).lock().get_mut(&id) {
            set.released = Some(commit);
        }
    }

    pub(crate) fn forget(&self, id: TxnId) {
        self.shard(id).lock().remove(&id);
    }

    /// The newest pending write of a key: none, a delete, or a value.
    ///
    /// # Errors
    /// A write set that has spilled cannot be read.
    pub(crate) fn get(
        &self,
        looker: Looker,
        space: KeyspaceId,
        key: &[u8],
    ) -> Result<Option<Option<Vec<u8>>>> {
        let mut newest = None;
        for (id, writes) in self.sets(looker) {
            let writes = writes.lock();
            let mut value = Vec::new();
            if is_shown(&writes, looker, id, space)
                && let Some(found) = writes.get(space, key, looker.view(id), &mut value)?
            {
                newest = Some(found.then_some(value));
            }
        }
        Ok(newest)
    }

    /// The pending writes in a range, of each transaction at most `limit`, and the last key up to which
    /// they are complete, if that is not the whole range.
    ///
    /// # Errors
    /// A write set that has spilled cannot be read.
    pub(crate) fn range(
        &self,
        looker: Looker,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        reverse: bool,
        limit: usize,
    ) -> Result<(PendingRows, Option<Box<[u8]>>)> {
        let mut rows = PendingRows::new();
        let mut complete_to: Option<Box<[u8]>> = None;
        for (id, writes) in self.sets(looker) {
            let writes = writes.lock();
            if !is_shown(&writes, looker, id, space) {
                continue;
            }
            let mut own = writes.spilled(space, range, looker.view(id), reverse)?;
            for taken in 0.. {
                let Some((key, value)) = own.current() else { break };
                rows.insert(key.into(), value.map(Into::into));
                if taken + 1 >= limit {
                    let is_nearer = |to: &[u8]| if reverse { key > to } else { key < to };
                    if complete_to.as_deref().is_none_or(is_nearer) {
                        complete_to = Some(key.into());
                    }
                    break;
                }
                own.advance()?;
            }
        }
        if let Some(to) = &complete_to {
            rows.retain(|key, _| if reverse { key >= to } else { key <= to });
        }
        Ok((rows, complete_to))
    }

    /// Commits on their way in their order, then the others by age, the looker's own last: each hides those
    /// before it.
    fn sets(&self, looker: Looker) -> Vec<(TxnId, SharedWrites)> {
        let of_shard = |shard: &Mutex<BTreeMap<TxnId, Set>>| {
            let sets = shard.lock();
            sets.iter().map(|(id, set)| (*id, set.clone())).collect::<Vec<_>>()
        };
        let mut sets: Vec<_> = self.shards.iter().flat_map(of_shard).collect();
        sets.sort_by_key(|(id, set)| {
            (*id == looker.id, set.released.unwrap_or(Timestamp::MAX), *id)
        });
        sets.into_iter().map(|(id, set)| (id, set.writes)).collect()
    }

    fn shard(&self, id: TxnId) -> &Mutex<BTreeMap<TxnId, Set>> {
        &self.shards[id.0 as usize % SHARD_COUNT]
    }
}

/// Whether a keyspace is the same to the looker as to the owner of a write set.
fn is_shown(writes: &WriteSet, looker: Looker, id: TxnId, space: KeyspaceId) -> bool {
    id == looker.id || writes.fate(space) == Fate::Lives
}

/// The part of a range that ends with a key.
pub(crate) fn up_to<'a>(range: &KeyRange<'a>, key: &'a [u8], reverse: bool) -> KeyRange<'a> {
    if reverse {
        KeyRange { start: Bound::Included(key), end: range.end }
    } else {
        KeyRange { start: range.start, end: Bound::Included(key) }
    }
}
