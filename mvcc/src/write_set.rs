//! The uncommitted writes of one transaction.
//!
//! Per keyspace an ordered map from key to the newest own write, and beside it the newest one of an
//! earlier statement: that is all a reader can ask for, since a statement sees the writes of the
//! statements before it ([`ReadAt::Statement`]) or everything ([`ReadAt::Newest`]).
//!
//! Savepoints are positions in an undo log, which is written only while there are any.

use std::collections::BTreeMap;
use std::ops::Bound;

use driftdb_concurrency::{ReadAt, SavepointId};
use driftdb_storage::{KeyRange, KeyspaceId, WriteBatch};

/// What a transaction did to a keyspace itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing: it was there before and stays.
    Lives,
    /// This transaction made it; the engine does not know it yet.
    Created,
    /// This transaction dropped it.
    Dropped,
    /// Made and dropped by this transaction: the engine never hears of it.
    CreatedAndDropped,
}

/// An own write: a value, or `None` for a delete.
type Value = Option<Box<[u8]>>;

#[derive(Debug, Clone)]
struct Versions {
    statement: u32,
    value: Value,
    /// The newest write of a statement before `statement`.
    earlier: Option<Value>,
}

impl Versions {
    fn visible(&self, view: OwnView) -> Option<Option<&[u8]>> {
        match view {
            OwnView::Before(statement) if self.statement >= statement => {
                self.earlier.as_ref().map(Option::as_deref)
            }
            OwnView::Before(_) | OwnView::All => Some(self.value.as_deref()),
        }
    }
}

/// Which own writes a read sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnView {
    /// Those of statements before this one.
    Before(u32),
    /// Every one.
    All,
}

#[derive(Debug)]
struct Space {
    fate: Fate,
    keys: BTreeMap<Box<[u8]>, Versions>,
}

#[derive(Debug)]
enum Undo {
    Write { space: KeyspaceId, key: Box<[u8]>, before: Option<Versions> },
    Fate { space: KeyspaceId, before: Fate },
}

#[derive(Debug)]
struct Savepoint {
    id: SavepointId,
    undo_len: usize,
}

/// A write set on its way into the log.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) batch: WriteBatch,
    /// The keyspaces that the engine must know for the batch to apply.
    pub(crate) needed: Vec<KeyspaceId>,
    pub(crate) created: Vec<KeyspaceId>,
    pub(crate) dropped: Vec<KeyspaceId>,
}

/// The write set.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    // A transaction touches few keyspaces: a list, ordered by id, is the smallest map.
    spaces: Vec<(KeyspaceId, Space)>,
    statement: u32,
    savepoints: Vec<Savepoint>,
    next_savepoint: u64,
    undo: Vec<Undo>,
}

impl WriteSet {
    /// Starts the next statement.
    pub(crate) fn begin_statement(&mut self) {
        self.statement += 1;
    }

    /// The own writes that a read at `at` sees; `None` for the past.
    pub(crate) fn view(&self, at: ReadAt) -> Option<OwnView> {
        match at {
            ReadAt::Statement => Some(OwnView::Before(self.statement)),
            ReadAt::Newest => Some(OwnView::All),
            ReadAt::AsOf(_) => None,
        }
    }

    /// Whether nothing would be committed.
    pub(crate) fn is_empty(&self) -> bool {
        self.spaces.iter().all(|(_, space)| match space.fate {
            Fate::Lives => space.keys.is_empty(),
            Fate::Created | Fate::Dropped => false,
            Fate::CreatedAndDropped => true,
        })
    }

    /// What this transaction did to a keyspace.
    pub(crate) fn fate(&self, space: KeyspaceId) -> Fate {
        self.space(space).map_or(Fate::Lives, |space| space.fate)
    }

    /// The own write of a key: not written, deleted, or a value.
    pub(crate) fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        view: OwnView,
    ) -> Option<Option<&[u8]>> {
        self.space(space)?.keys.get(key)?.visible(view)
    }

    /// The own writes in a range, ascending.
    pub(crate) fn range<'a>(
        &'a self,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        view: OwnView,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let keys = self.space(space).map(|space| &space.keys).filter(|_| !is_inverted(range));
        keys.into_iter()
            .flat_map(|keys| keys.range::<[u8], _>((range.start, range.end)))
            .filter_map(move |(key, versions)| Some((&**key, versions.visible(view)?)))
    }

    /// Writes a value or a delete.
    pub(crate) fn write(&mut self, space: KeyspaceId, key: &[u8], value: Option<&[u8]>) {
        let statement = self.statement;
        let value: Value = value.map(Into::into);
        let has_savepoint = !self.savepoints.is_empty();
        let keys = &mut self.space_mut(space).keys;
        let before = match keys.get_mut(key) {
            Some(versions) => {
                let before = has_savepoint.then(|| versions.clone());
                let old = std::mem::replace(&mut versions.value, value);
                if versions.statement < statement {
                    versions.earlier = Some(old);
                    versions.statement = statement;
                }
                before
            }
            None => {
                keys.insert(key.into(), Versions { statement, value, earlier: None });
                None
            }
        };
        if has_savepoint {
            self.undo.push(Undo::Write { space, key: key.into(), before });
        }
    }

    /// Notes that this transaction makes a keyspace.
    pub(crate) fn create_keyspace(&mut self, space: KeyspaceId) {
        let before = self.fate(space);
        assert!(before == Fate::Lives, "keyspace {space} is made once and never again");
        self.set_fate(space, before, Fate::Created);
    }

    /// Notes that this transaction drops a keyspace.
    pub(crate) fn drop_keyspace(&mut self, space: KeyspaceId) {
        let before = self.fate(space);
        let after = match before {
            Fate::Lives => Fate::Dropped,
            Fate::Created => Fate::CreatedAndDropped,
            Fate::Dropped | Fate::CreatedAndDropped => return,
        };
        self.set_fate(space, before, after);
    }

    /// Marks the present state.
    pub(crate) fn savepoint(&mut self) -> SavepointId {
        self.next_savepoint += 1;
        let id = SavepointId(self.next_savepoint);
        self.savepoints.push(Savepoint { id, undo_len: self.undo.len() });
        id
    }

    /// Undoes what came after a savepoint, which stays.
    pub(crate) fn rollback_to(&mut self, savepoint: SavepointId) {
        let index = self.index_of(savepoint);
        self.savepoints.truncate(index + 1);
        let keep = self.savepoints[index].undo_len;
        while self.undo.len() > keep {
            let undo = self.undo.pop().expect("longer than what is kept");
            self.undo_one(undo);
        }
    }

    /// Forgets a savepoint and those after it.
    pub(crate) fn release(&mut self, savepoint: SavepointId) {
        let index = self.index_of(savepoint);
        self.savepoints.truncate(index);
        if self.savepoints.is_empty() {
            self.undo.clear();
        }
    }

    /// The keyspaces that the engine must know for this write set to apply.
    fn needed_spaces(&self) -> impl Iterator<Item = KeyspaceId> {
        self.spaces
            .iter()
            .filter(|(_, space)| match space.fate {
                Fate::Lives => !space.keys.is_empty(),
                Fate::Dropped => true,
                Fate::Created | Fate::CreatedAndDropped => false,
            })
            .map(|(id, _)| *id)
    }

    /// The keyspaces of one fate.
    fn spaces_of(&self, fate: Fate) -> impl Iterator<Item = KeyspaceId> {
        self.spaces.iter().filter(move |(_, space)| space.fate == fate).map(|(id, _)| *id)
    }

    /// What a commit needs to know.
    pub(crate) fn to_changes(&self) -> Changes {
        Changes {
            batch: self.to_batch(),
            needed: self.needed_spaces().collect(),
            created: self.spaces_of(Fate::Created).collect(),
            dropped: self.spaces_of(Fate::Dropped).collect(),
        }
    }

    /// Everything as a batch: keyspaces made, writes in key order, keyspaces dropped.
    fn to_batch(&self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for space in self.spaces_of(Fate::Created) {
            batch.create_keyspace(space);
        }
        for (id, space) in &self.spaces {
            if matches!(space.fate, Fate::Dropped | Fate::CreatedAndDropped) {
                continue;
            }
            for (key, versions) in &space.keys {
                match &versions.value {
                    Some(value) => batch.put(*id, key, value),
                    None if space.fate == Fate::Created => {}
                    None => batch.delete(*id, key),
                }
            }
        }
        for space in self.spaces_of(Fate::Dropped) {
            batch.drop_keyspace(space);
        }
        batch
    }

    fn space(&self, id: KeyspaceId) -> Option<&Space> {
        let index = self.spaces.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.spaces[index].1)
    }

    fn space_mut(&mut self, id: KeyspaceId) -> &mut Space {
        let index = match self.spaces.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(index) => index,
            Err(index) => {
                let space = Space { fate: Fate::Lives, keys: BTreeMap::new() };
                self.spaces.insert(index, (id, space));
                index
            }
        };
        &mut self.spaces[index].1
    }

    fn set_fate(&mut self, space: KeyspaceId, before: Fate, after: Fate) {
        self.space_mut(space).fate = after;
        if !self.savepoints.is_empty() {
            self.undo.push(Undo::Fate { space, before });
        }
    }

    fn index_of(&self, savepoint: SavepointId) -> usize {
        let found = self.savepoints.binary_search_by_key(&savepoint, |mark| mark.id);
        found.expect("a savepoint is named only while it exists")
    }

    fn undo_one(&mut self, undo: Undo) {
        match undo {
            Undo::Write { space, key, before: Some(before) } => {
                self.space_mut(space).keys.insert(key, before);
            }
            Undo::Write { space, key, before: None } => {
                self.space_mut(space).keys.remove(&key);
            }
            Undo::Fate { space, before } => self.space_mut(space).fate = before,
        }
    }
}

/// Whether a range cannot hold any key, in a way that ordered maps refuse.
pub(crate) fn is_inverted(range: &KeyRange<'_>) -> bool {
    match (range.start, range.end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: KeyspaceId = KeyspaceId(2000);

    #[test]
    fn a_statement_sees_only_earlier_statements() {
        let mut writes = WriteSet::default();
        writes.begin_statement();
        writes.write(SPACE, b"k", Some(b"1"));
        let statement = |writes: &WriteSet| writes.view(ReadAt::Statement).unwrap();
        assert_eq!(writes.get(SPACE, b"k", statement(&writes)), None);
        assert_eq!(writes.get(SPACE, b"k", OwnView::All), Some(Some(&b"1"[..])));
        writes.begin_statement();
        writes.write(SPACE, b"k", None);
        writes.write(SPACE, b"k", Some(b"3"));
        assert_eq!(writes.get(SPACE, b"k", statement(&writes)), Some(Some(&b"1"[..])));
        assert_eq!(writes.get(SPACE, b"k", OwnView::All), Some(Some(&b"3"[..])));
    }

    #[test]
    fn savepoints_nest() {
        let mut writes = WriteSet::default();
        writes.write(SPACE, b"a", Some(b"0"));
        let outer = writes.savepoint();
        writes.write(SPACE, b"a", Some(b"1"));
        writes.create_keyspace(KeyspaceId(2001));
        let inner = writes.savepoint();
        writes.write(SPACE, b"a", None);
        writes.write(SPACE, b"b", Some(b"2"));
        writes.rollback_to(inner);
        assert_eq!(writes.get(SPACE, b"a", OwnView::All), Some(Some(&b"1"[..])));
        assert_eq!(writes.get(SPACE, b"b", OwnView::All), None);
        writes.release(inner);
        writes.rollback_to(outer);
        writes.rollback_to(outer);
        assert_eq!(writes.fate(KeyspaceId(2001)), Fate::Lives);
        assert_eq!(writes.get(SPACE, b"a", OwnView::All), Some(Some(&b"0"[..])));
    }

    #[test]
    fn what_comes_and_goes_is_not_committed() {
        let mut writes = WriteSet::default();
        writes.create_keyspace(SPACE);
        writes.write(SPACE, b"k", Some(b"v"));
        writes.drop_keyspace(SPACE);
        assert!(writes.is_empty());
        assert!(writes.to_batch().is_empty());
    }

    #[test]
    fn an_inverted_range_is_empty() {
        let mut writes = WriteSet::default();
        writes.write(SPACE, b"k", Some(b"v"));
        let range = KeyRange { start: Bound::Excluded(b"k"), end: Bound::Excluded(b"k") };
        assert_eq!(writes.range(SPACE, &range, OwnView::All).count(), 0);
        let range = KeyRange::half_open(b"z", b"a");
        assert_eq!(writes.range(SPACE, &range, OwnView::All).count(), 0);
    }
}
