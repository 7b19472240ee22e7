//! A transaction in a branch: what it reads and writes where.
//!
//! It is a transaction of the parent that reads and writes other keys. What it reads of the parent is
//! the past, which never changes, so that no control hears of it; what it reads and writes of its own
//! is claimed, validated and committed like anything else.

use std::sync::Arc;

use driftdb_concurrency::{
    IsolationLevel, LockIntent, LockMode, LockObject, LockStrength, Locked, ObjectLocked, ReadAt,
    Result, RowBatch, SavepointId, ScanRequest, ScanState, Transaction, TxnError, VersionScan,
    WaitPolicy,
};
use driftdb_env::planted;
use driftdb_storage::{Erasure, KeyRange, KeyspaceId, StorageError, Timestamp};

use super::Shared;
use super::keys::{self, Fate};
use super::versions::Wanted;

pub(super) struct BranchTransaction {
    pub(super) inner: Box<dyn Transaction>,
    pub(super) shared: Arc<Shared>,
    /// The time that it reads at, if that is the past.
    pub(super) past: Option<Timestamp>,
    /// What this statement did to inherited keyspaces; it counts at once.
    changed: Vec<(KeyspaceId, Fate)>,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Where the rows of a keyspace are, as of some time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// All in the keyspace itself: it was made in the branch.
    Itself,
    /// In layers.
    Layers(Layers),
}

/// The layers of an inherited keyspace, as of some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layers {
    /// Whether the branch may have rows of its own.
    pub(super) has_own: bool,
    /// As of when the parent's rows lie below them, if they do.
    pub(super) inherited: Option<Timestamp>,
}

impl BranchTransaction {
    pub(super) fn new(
        inner: Box<dyn Transaction>,
        shared: &Arc<Shared>,
        past: Option<Timestamp>,
    ) -> Self {
        let shared = Arc::clone(shared);
        Self { inner, shared, past, changed: Vec::new(), key: Vec::new(), value: Vec::new() }
    }

    /// Where to look for the rows of a keyspace.
    ///
    /// # Errors
    /// It was dropped.
    pub(super) fn place(&mut self, space: KeyspaceId, at: ReadAt) -> Result<Place> {
        if !self.shared.is_inherited(space) {
            return Ok(Place::Itself);
        }
        let time = match at {
            ReadAt::AsOf(ts) => Some(ts),
            ReadAt::Statement | ReadAt::Newest => self.past,
        };
        let mut layers = self.shared.layers(time);
        if layers.has_own {
            match self.fate(space, at)? {
                None => {}
                Some(Fate::Created) => layers.inherited = None,
                Some(Fate::Dropped | Fate::CreatedAndDropped) => return Err(self.unknown(space)),
            }
        }
        Ok(Place::Layers(layers))
    }

    /// What the branch did to a keyspace.
    pub(super) fn fate(&mut self, space: KeyspaceId, at: ReadAt) -> Result<Option<Fate>> {
        if !self.shared.has_fate(space) {
            return Ok(None);
        }
        if !matches!(at, ReadAt::AsOf(_))
            && let Some((_, fate)) = self.changed.iter().rfind(|(changed, _)| *changed == space)
        {
            return Ok(Some(*fate));
        }
        self.value.clear();
        let key = keys::fate_key(space);
        match self.inner.get(self.shared.point.keyspace, &key, at, &mut self.value)? {
            true => Ok(Some(Fate::decode(space, &self.value)?)),
            false => Ok(None),
        }
    }

    fn set_fate(&mut self, space: KeyspaceId, fate: Fate) -> Result<()> {
        let (own, key) = (self.shared.point.keyspace, keys::fate_key(space));
        let wait = WaitPolicy::Wait(None);
        self.inner.lock(own, &key, LockStrength::Update, LockIntent::Insert, wait)?;
        // Before it is written, so that nobody who could see it does not look.
        self.shared.note_fate(space);
        self.inner.put(own, &key, &[fate as u8])?;
        self.changed.push((space, fate));
        Ok(())
    }

    pub(super) fn unknown(&self, space: KeyspaceId) -> TxnError {
        StorageError::UnknownKeyspace { space, at: self.inner.snapshot_ts() }.into()
    }

    fn refuse_read_only(&self) -> Result<()> {
        if self.inner.is_read_only() { Err(TxnError::ReadOnly) } else { Ok(()) }
    }

    /// Writes the own key of a row to `self.key`.
    fn own_key(&mut self, space: KeyspaceId, key: &[u8]) -> KeyspaceId {
        keys::write_key(space, key, &mut self.key);
        self.shared.point.keyspace
    }

    fn scan_stretch(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        wanted: Wanted,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        match () {
            () if request.from > request.up_to => Ok(ScanState::Done),
            () if request.max_rows == 0 => Ok(ScanState::More),
            () => self.version_layers(space, request, wanted, out),
        }
    }

    /// Whether the branch says anything about a key: the value, or that it is deleted.
    fn get_own(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        at: ReadAt,
        out: &mut Vec<u8>,
    ) -> Result<Option<bool>> {
        let own = self.own_key(space, key);
        let start = out.len();
        if !self.inner.get(own, &self.key, at, out)? {
            return Ok(None);
        }
        let live = keys::read_value(space, &out[start..])?.map(<[u8]>::len);
        out.truncate(start + live.unwrap_or(0));
        Ok(Some(live.is_some()))
    }
}

impl Transaction for BranchTransaction {
    driftdb_concurrency::delegate_transaction!(
        inner: id, isolation, is_read_only, snapshot_ts, settle_reads, savepoint, release, describe,
        has_writes, commit, rollback,
    );

    fn begin_statement(&mut self) -> Result<()> {
        self.changed.clear();
        self.inner.begin_statement()
    }

    fn enter_statement(&mut self) -> Result<()> {
        self.changed.clear();
        self.inner.enter_statement()
    }

    fn leave_statement(&mut self) {
        self.changed.clear();
        self.inner.leave_statement();
    }

    fn restart(&mut self) -> Result<bool> {
        let is_renewed = self.inner.restart()?;
        if is_renewed {
            self.changed.clear();
        }
        Ok(is_renewed)
    }

    fn get(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        at: ReadAt,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let layers = match self.place(space, at)? {
            Place::Itself => return self.inner.get(space, key, at, out),
            Place::Layers(layers) => layers,
        };
        if layers.has_own
            && let Some(found) = self.get_own(space, key, at, out)?
        {
            return Ok(found);
        }
        match layers.inherited {
            Some(ts) => self.inner.get(space, key, ReadAt::AsOf(ts), out),
            None => Ok(false),
        }
    }

    fn scan(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        if request.max_rows == 0 {
            return Ok(ScanState::More);
        }
        match self.place(space, request.at)? {
            Place::Itself => self.inner.scan(space, request, out),
            Place::Layers(layers) => self.scan_layers(space, layers, request, out),
        }
    }

    fn scan_versions(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        if !self.shared.is_inherited(space) {
            return self.inner.scan_versions(space, request, out);
        }
        self.scan_stretch(space, request, Wanted::All, out)
    }

    fn scan_begun(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        if !self.shared.is_inherited(space) {
            return self.inner.scan_begun(space, request, out);
        }
        self.scan_stretch(space, request, Wanted::Begun, out)
    }

    fn scan_changes(
        &mut self,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        after: Timestamp,
        up_to: Timestamp,
        max_rows: usize,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        if !self.shared.is_inherited(space) {
            return self.inner.scan_changes(space, range, after, up_to, max_rows, out);
        }
        if max_rows == 0 {
            return Ok(ScanState::More);
        }
        self.change_layers(space, range, (after, up_to), max_rows, out)
    }

    fn oldest_readable(&mut self, space: KeyspaceId) -> Result<Timestamp> {
        let inherited = self.inner.oldest_readable(space)?;
        if !self.shared.is_inherited(space) {
            return Ok(inherited);
        }
        let point = self.shared.point;
        let own = self.inner.oldest_readable(point.keyspace)?;
        // The parent's moment is pinned; before the branch was made, it has nothing to remember.
        let own = if own <= point.created { Timestamp::MIN } else { own };
        Ok(inherited.min(point.at).max(own))
    }

    fn lock(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        intent: LockIntent,
        wait: WaitPolicy,
    ) -> Result<Locked> {
        if !self.shared.is_inherited(space) {
            return self.inner.lock(space, key, strength, intent, wait);
        }
        let own = self.own_key(space, key);
        let locked = self.inner.lock(own, &self.key, strength, intent, wait)?;
        // Whoever only wants the key to stay does not mind a new value; that a row is deleted is a
        // value to those below.
        if locked == Locked::Changed
            && (strength, intent) == (LockStrength::KeyShare, LockIntent::Existing)
            && self.isolation() >= IsolationLevel::RepeatableRead
            && !self.get(space, key, ReadAt::Newest, &mut Vec::new())?
        {
            return Err(TxnError::ConcurrentUpdate);
        }
        Ok(locked)
    }

    fn lock_object(
        &mut self,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked> {
        self.inner.lock_object(self.shared.object(object), mode, wait)
    }

    fn has_changed(&mut self, space: KeyspaceId, key: &[u8]) -> Result<bool> {
        if !self.shared.is_inherited(space) {
            return self.inner.has_changed(space, key);
        }
        let own = self.own_key(space, key);
        self.inner.has_changed(own, &self.key)
    }

    fn put(&mut self, space: KeyspaceId, key: &[u8], value: &[u8]) -> Result<()> {
        if !self.shared.is_inherited(space) {
            return self.inner.put(space, key, value);
        }
        let own = self.own_key(space, key);
        keys::write_value(value, &mut self.value);
        self.inner.put(own, &self.key, &self.value)
    }

    fn delete(&mut self, space: KeyspaceId, key: &[u8]) -> Result<()> {
        self.refuse_read_only()?;
        let layers = match self.place(space, ReadAt::Newest)? {
            Place::Itself => return self.inner.delete(space, key),
            Place::Layers(layers) => layers,
        };
        let is_inherited = match layers.inherited {
            Some(ts) => {
                self.value.clear();
                self.inner.get(space, key, ReadAt::AsOf(ts), &mut self.value)?
            }
            None => false,
        };
        let own = self.own_key(space, key);
        if is_inherited && !planted!("mvcc.branch-deletes-without-a-mark") {
            self.inner.put(own, &self.key, keys::DELETED)
        } else {
            self.inner.delete(own, &self.key)
        }
    }

    fn create_keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        if !self.shared.is_inherited(space) {
            return self.inner.create_keyspace(space);
        }
        self.refuse_read_only()?;
        self.set_fate(space, Fate::Created)
    }

    fn drop_keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        if !self.shared.is_inherited(space) {
            return self.inner.drop_keyspace(space);
        }
        self.refuse_read_only()?;
        // It must be there.
        self.get(space, &[], ReadAt::Newest, &mut Vec::new())?;
        let fate = match self.fate(space, ReadAt::Newest)? {
            Some(_) => Fate::CreatedAndDropped,
            None => Fate::Dropped,
        };
        self.set_fate(space, fate)
    }

    fn rollback_to(&mut self, savepoint: SavepointId) {
        self.changed.clear();
        self.inner.rollback_to(savepoint);
    }

    fn erase(&mut self, _erasure: Erasure) -> Result<()> {
        Err(StorageError::Internal("nothing can be erased in a branch".to_owned()).into())
    }
}
