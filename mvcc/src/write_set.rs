//! The uncommitted writes of one transaction.
//!
//! Per keyspace an ordered map from key to the newest own write, and beside it the newest one of an
//! earlier statement: that is all a reader can ask for, since a statement sees the writes of the
//! statements before it ([`ReadAt::Statement`]) or everything ([`ReadAt::Newest`]).
//!
//! Statements may begin within a statement. What the outer one reads at is then a *floor*: where a key is
//! written again above it, so that two values no longer tell what it saw, that is kept as an *image*.
//!
//! Savepoints are positions in an undo log, which is written only while there are any.
//!
//! What takes more memory than it may goes into a run on disk ([`spilling`]); memory then begins anew,
//! and hides what the runs say. Reads and the commit merge the two ([`rows`]).

mod rows;
mod run;
mod spilling;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use driftdb_concurrency::{ReadAt, SavepointId};
use driftdb_storage::{KeyRange, KeyspaceId, Result, WriteBatch};

pub(crate) use self::rows::{Imaged, InMemory, OwnRows, Spilled};
use self::run::Run;
use crate::system::FIRST_USER_KEYSPACE;

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
    fn as_ref(&self) -> VersionsRef<'_> {
        VersionsRef {
            statement: self.statement,
            value: self.value.as_deref(),
            earlier: self.earlier.as_ref().map(Option::as_deref),
        }
    }

    fn visible(&self, view: OwnView) -> Option<Option<&[u8]>> {
        self.as_ref().visible(view)
    }

    /// Bytes of memory, about.
    fn size_bytes(&self, key: &[u8]) -> usize {
        let len = |value: &Value| value.as_ref().map_or(0, |value| value.len());
        ENTRY_BYTES + key.len() + len(&self.value) + self.earlier.as_ref().map_or(0, len)
    }
}

/// What an entry takes in its map beside its bytes: its place in a node, and three allocations.
const ENTRY_BYTES: usize = 144;

/// As [`Versions`], wherever they are.
#[derive(Debug, Clone, Copy)]
struct VersionsRef<'a> {
    statement: u32,
    value: Option<&'a [u8]>,
    earlier: Option<Option<&'a [u8]>>,
}

impl<'a> VersionsRef<'a> {
    fn visible(self, view: OwnView) -> Option<Option<&'a [u8]>> {
        match view {
            OwnView::Before(statement) if self.statement >= statement => self.earlier,
            OwnView::Before(_) | OwnView::All => Some(self.value),
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

/// What a statement saw of keys that were written more than once since it began, within it; `None`:
/// nothing of this transaction's.
pub(crate) type Images = BTreeMap<Box<[u8]>, Option<Value>>;

/// A statement that waits for those within it.
#[derive(Debug)]
struct Floor {
    statement: u32,
    images: BTreeMap<KeyspaceId, Images>,
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

impl Undo {
    /// Bytes of memory, about.
    fn size_bytes(&self) -> usize {
        match self {
            Self::Write { key, before: None, .. } => ENTRY_BYTES + key.len(),
            Self::Write { key, before: Some(before), .. } => before.size_bytes(key),
            Self::Fate { .. } => 0,
        }
    }
}

#[derive(Debug)]
struct Savepoint {
    id: SavepointId,
    undo_len: usize,
    /// The runs that were there, those included that later held what was in memory then.
    run_count: usize,
    /// Whether what was in memory then is in a run.
    has_spilled: bool,
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

impl Changes {
    /// Whether rows change and nothing else: no definition, nothing of the store's own.
    pub(crate) fn only_rows(&self) -> bool {
        self.created.is_empty()
            && self.dropped.is_empty()
            && self.needed.iter().all(|space| *space >= FIRST_USER_KEYSPACE)
    }
}

/// The write set.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    // A transaction touches few keyspaces: a list, ordered by id, is the smallest map.
    spaces: Vec<(KeyspaceId, Space)>,
    /// The newest statement: writes are its.
    statement: u32,
    /// The statement that reads: the newest, or one that others ran within.
    reading: u32,
    /// The images of the statement that reads.
    images: BTreeMap<KeyspaceId, Images>,
    /// The statements around it, outermost first.
    floors: Vec<Floor>,
    savepoints: Vec<Savepoint>,
    next_savepoint: u64,
    undo: Vec<Undo>,
    /// What `spaces` and `undo` take, about.
    memory_bytes: usize,
    /// Oldest first.
    runs: Vec<Run>,
}

impl WriteSet {
    /// Starts the next statement.
    pub(crate) fn begin_statement(&mut self) {
        self.statement += 1;
        self.reading = self.statement;
        self.images.clear();
    }

    /// Starts a statement within the one that reads.
    pub(crate) fn enter_statement(&mut self) {
        let images = std::mem::take(&mut self.images);
        self.floors.push(Floor { statement: self.reading, images });
        self.begin_statement();
    }

    /// Goes back to the statement around.
    pub(crate) fn leave_statement(&mut self) {
        let floor = self.floors.pop().expect("each is left that was entered");
        self.reading = floor.statement;
        self.images = floor.images;
    }

    /// What the statement that reads saw of keys of a keyspace that were written since.
    pub(crate) fn images(&self, space: KeyspaceId, view: OwnView) -> Option<&Images> {
        let is_present = view == OwnView::Before(self.reading);
        self.images.get(&space).filter(|_| is_present)
    }

    /// Whether a statement may still ask what was before writes of statements within it.
    fn has_inner_statements(&self) -> bool {
        !self.floors.is_empty() || self.reading != self.statement
    }

    /// The own writes that a read at `at` sees; `None` for the past.
    pub(crate) fn view(&self, at: ReadAt) -> Option<OwnView> {
        match at {
            ReadAt::Statement => Some(OwnView::Before(self.reading)),
            ReadAt::Newest => Some(OwnView::All),
            ReadAt::AsOf(_) => None,
        }
    }

    /// Whether nothing would be committed.
    pub(crate) fn is_empty(&self) -> bool {
        self.spaces.iter().all(|(id, space)| match space.fate {
            Fate::Lives => !self.has_keys(*id, space),
            Fate::Created | Fate::Dropped => false,
            Fate::CreatedAndDropped => true,
        })
    }

    /// What this transaction did to a keyspace.
    pub(crate) fn fate(&self, space: KeyspaceId) -> Fate {
        self.space(space).map_or(Fate::Lives, |space| space.fate)
    }

    /// The own write of a key: not written, deleted, or a value, which is appended to `out`.
    ///
    /// # Errors
    /// A run cannot be read.
    pub(crate) fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        view: OwnView,
        out: &mut Vec<u8>,
    ) -> Result<Option<bool>> {
        let give = |value: Option<&[u8]>, out: &mut Vec<u8>| {
            out.extend_from_slice(value.unwrap_or_default());
            Ok(Some(value.is_some()))
        };
        if let Some(image) = self.images(space, view).and_then(|images| images.get(key)) {
            return match image {
                Some(value) => give(value.as_deref(), out),
                None => Ok(None),
            };
        }
        let in_memory = self.space(space).and_then(|space| space.keys.get(key));
        if let Some(value) = in_memory.and_then(|versions| versions.visible(view)) {
            return give(value, out);
        }
        for run in self.runs.iter().rev() {
            let found = run.find(space, key)?;
            if let Some(value) = found.as_ref().and_then(|found| found.versions().visible(view)) {
                return give(value, out);
            }
        }
        Ok(None)
    }

    /// Whether all of it is in memory, so that [`WriteSet::range`] may be asked.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.runs.is_empty()
    }

    /// The own writes in a range, in memory and in runs, in the order of a scan.
    ///
    /// # Errors
    /// A run cannot be read.
    pub(crate) fn spilled<'a>(
        &'a self,
        space: KeyspaceId,
        range: &KeyRange<'a>,
        view: OwnView,
        reverse: bool,
    ) -> Result<Spilled<'a>> {
        let keys = self.space(space).map(|space| &space.keys).filter(|_| !is_inverted(range));
        let rows = keys.into_iter().flat_map({
            let bounds = (range.start, range.end);
            move |keys| keys.range::<[u8], _>(bounds)
        });
        let rows = rows.map(|(key, versions)| (&**key, versions));
        let memory: Box<dyn Iterator<Item = _> + 'a> =
            if reverse { Box::new(rows.rev()) } else { Box::new(rows) };
        Spilled::new(memory, &self.runs, space, *range, view, reverse)
    }

    /// The own writes in a range, ascending, of a set that [is in memory](WriteSet::is_in_memory).
    pub(crate) fn range<'a>(
        &'a self,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        view: OwnView,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        assert!(self.is_in_memory(), "runs are merged by `spilled`");
        let keys = self.space(space).map(|space| &space.keys).filter(|_| !is_inverted(range));
        keys.into_iter()
            .flat_map(|keys| keys.range::<[u8], _>((range.start, range.end)))
            .filter_map(move |(key, versions)| Some((&**key, versions.visible(view)?)))
    }

    /// Writes a value or a delete.
    pub(crate) fn write(&mut self, space: KeyspaceId, key: &[u8], value: Option<&[u8]>) {
        if self.has_inner_statements() {
            self.keep_images(space, key);
        }
        let statement = self.statement;
        let value: Value = value.map(Into::into);
        let has_savepoint = !self.savepoints.is_empty();
        let keys = &mut self.space_mut(space).keys;
        let (mut bytes_before, mut before) = (0, None);
        // One search, at the price of a key for nothing where there is one: that is the rarer case.
        let bytes_after = match keys.entry(key.into()) {
            Entry::Occupied(entry) => {
                let versions = entry.into_mut();
                bytes_before = versions.size_bytes(key);
                before = has_savepoint.then(|| versions.clone());
                let old = std::mem::replace(&mut versions.value, value);
                if versions.statement < statement {
                    versions.earlier = Some(old);
                    versions.statement = statement;
                }
                versions.size_bytes(key)
            }
            Entry::Vacant(entry) => {
                entry.insert(Versions { statement, value, earlier: None }).size_bytes(key)
            }
        };
        self.memory_bytes = self.memory_bytes + bytes_after - bytes_before;
        if has_savepoint {
            let undo = Undo::Write { space, key: key.into(), before };
            self.memory_bytes += undo.size_bytes();
            self.undo.push(undo);
        }
    }

    /// Before a write within a statement: keeps what statements around saw of the key, if afterwards
    /// its two values would not tell.
    fn keep_images(&mut self, space: KeyspaceId, key: &[u8]) {
        let statement = self.statement;
        let found = self.space(space).and_then(|space| space.keys.get(key));
        let Some(versions) = found.filter(|versions| versions.statement < statement) else {
            return;
        };
        let (written, earlier) = (versions.statement, versions.earlier.clone());
        let keep = |floor: u32, images: &mut BTreeMap<KeyspaceId, Images>| {
            if written >= floor {
                let images = images.entry(space).or_default();
                images.entry(key.into()).or_insert_with(|| earlier.clone());
            }
        };
        if self.reading != statement {
            keep(self.reading, &mut self.images);
        }
        for floor in &mut self.floors {
            keep(floor.statement, &mut floor.images);
        }
    }

    /// What it takes in memory, in bytes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
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
        self.savepoints.push(Savepoint {
            id,
            undo_len: self.undo.len(),
            run_count: self.runs.len(),
            has_spilled: false,
        });
        id
    }

    /// Undoes what came after a savepoint, which stays.
    pub(crate) fn rollback_to(&mut self, savepoint: SavepointId) {
        let index = self.index_of(savepoint);
        self.savepoints.truncate(index + 1);
        let Savepoint { undo_len: keep, run_count, .. } = self.savepoints[index];
        self.runs.truncate(run_count);
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
            self.memory_bytes -= self.undo.iter().map(Undo::size_bytes).sum::<usize>();
            self.undo.clear();
        }
    }

    /// The keyspaces that the engine must know for this write set to apply.
    fn needed_spaces(&self) -> impl Iterator<Item = KeyspaceId> {
        self.spaces
            .iter()
            .filter(|(id, space)| match space.fate {
                Fate::Lives => self.has_keys(*id, space),
                Fate::Dropped => true,
                Fate::Created | Fate::CreatedAndDropped => false,
            })
            .map(|(id, _)| *id)
    }

    /// The keyspaces of one fate.
    fn spaces_of(&self, fate: Fate) -> impl Iterator<Item = KeyspaceId> {
        self.spaces.iter().filter(move |(_, space)| space.fate == fate).map(|(id, _)| *id)
    }

    /// What a commit needs to know. The batch is empty if it is not [in memory](WriteSet::is_in_memory):
    /// then there are [parts](WriteSet::parts).
    pub(crate) fn to_changes(&self) -> Changes {
        Changes {
            batch: if self.is_in_memory() { self.to_batch() } else { WriteBatch::new() },
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

    fn has_keys(&self, id: KeyspaceId, space: &Space) -> bool {
        !space.keys.is_empty() || self.runs.iter().any(|run| run.has(id))
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
        self.memory_bytes -= undo.size_bytes();
        match undo {
            Undo::Write { space, key, before } => {
                let size_bytes = |versions: &Versions| versions.size_bytes(&key);
                let added = before.as_ref().map_or(0, size_bytes);
                let keys = &mut self.space_mut(space).keys;
                let removed = keys.get(&key).map_or(0, size_bytes);
                match before {
                    Some(before) => keys.insert(key, before),
                    None => keys.remove(&key),
                };
                self.memory_bytes = self.memory_bytes + added - removed;
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
