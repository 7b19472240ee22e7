//! Cursors: which versions of which keys, in which direction.
//!
//! Versions of a key lie newest first in the tree, so a forward scan meets them in the order it
//! shows them; a reverse scan finds a key by its oldest version and seeks back to the newest it may
//! show. Versions that are not shown are passed by a seek, not one by one.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{
    Cursor, Entry, KeyRange, KeyspaceId, Result, ScanSpec, StorageError, Timestamp, Visible,
};

use crate::history::lens::{Lens, Times};
use crate::key::VersionKey;
use crate::position::Position;
use crate::slotted::Tag;
use crate::snapshot::{View, copy_value};

/// Walks a range of a [`crate::BtreeSnapshot`].
pub struct BtreeCursor<'a> {
    view: &'a View,
    space: KeyspaceId,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    reverse: bool,
    /// The newest time to show.
    up_to: Timestamp,
    /// The time after which to show; none for every version kept.
    after: Option<Timestamp>,
    /// Only the newest version of a key that is visible, and no tombstones.
    newest_only: bool,
    position: Position,
    state: State,
    /// The key that the cursor leaves or looks for.
    key: Vec<u8>,
    /// The value of the current entry, if it is on overflow pages.
    value: Vec<u8>,
    /// How many versions it looked at; counted with all others at its end.
    examined: u64,
}

impl Drop for BtreeCursor<'_> {
    fn drop(&mut self) {
        let hint = std::ptr::from_ref(self).addr() as u64 >> 7;
        self.view.pager.counters.versions_examined.add(hint, self.examined);
    }
}

#[derive(Debug, Clone)]
enum State {
    /// Before the first entry at or after (reverse: at or before) a key.
    Before(Option<Vec<u8>>),
    On,
    End,
    Failed(StorageError),
}

/// What a look at the position found.
enum Settled {
    /// The position is on a version to show.
    Shown,
    /// It was not, and has moved on.
    Passed,
    /// There is nothing more to show.
    End,
}

/// How far a cursor came within its leaf.
enum Stepped {
    /// The position is on a version to show.
    Shown,
    /// There is nothing more to show.
    End,
    /// The position is on the last key that was looked at, of which nothing more is to be shown.
    Leave,
    /// The position is on a version that is too new.
    TooNew,
}

/// Versions to pass one by one before a search for the next key is cheaper.
const MAX_PASSED: usize = 16;

fn borrow(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

impl<'a> BtreeCursor<'a> {
    pub(crate) fn new(view: &'a View, space: KeyspaceId, spec: &ScanSpec<'_>) -> Self {
        let (after, up_to, newest_only, times) = match spec.visible {
            Visible::AsOf(ts) => (None, ts, true, Times::AsOf(ts.min(view.at.ts))),
            Visible::Between { after, up_to } => {
                (Some(after), up_to, false, Times::Between(after, up_to))
            }
            Visible::All => (None, Timestamp::MAX, false, Times::All(Arc::clone(&view.facts))),
        };
        Self {
            view,
            space,
            start: spec.range.start.map(<[u8]>::to_vec),
            end: spec.range.end.map(<[u8]>::to_vec),
            reverse: spec.reverse,
            up_to: up_to.min(view.at.ts),
            after,
            newest_only,
            position: Position::through(Lens { space: space.0, times }),
            state: State::Before(None),
            key: Vec::new(),
            value: Vec::new(),
            examined: 0,
        }
    }

    fn range(&self) -> KeyRange<'_> {
        KeyRange { start: borrow(&self.start), end: borrow(&self.end) }
    }

    fn advance(&mut self) -> Result<bool> {
        match std::mem::replace(&mut self.state, State::End) {
            State::Before(from) if self.reverse => self.enter_backward(from)?,
            State::Before(from) => self.enter_forward(from)?,
            State::On if self.newest_only && !self.reverse => match self.step_in_leaf() {
                Stepped::Shown => {
                    self.state = State::On;
                    return self.fetch();
                }
                Stepped::End => return Ok(false),
                Stepped::Leave => self.leave_key()?,
                Stepped::TooNew => {}
            },
            State::On if self.newest_only => self.leave_key()?,
            State::On if !self.reverse => self.position.next(&self.view.pager)?,
            State::On => {
                if self.next_older()? {
                    self.state = State::On;
                    return self.fetch();
                }
            }
            State::End | State::Failed(_) => return Ok(false),
        }
        loop {
            let settled =
                if self.reverse { self.settle_backward()? } else { self.settle_forward()? };
            match settled {
                Settled::Passed => {}
                Settled::End => return Ok(false),
                Settled::Shown => {
                    self.state = State::On;
                    return self.fetch();
                }
            }
        }
    }

    /// Reads the value of the entry that the cursor is now on, if it is elsewhere.
    fn fetch(&mut self) -> Result<bool> {
        if let Some((leaf, slot)) = self.position.get()
            && matches!(slot.tag, Tag::Overflow | Tag::Borrowed)
        {
            self.value.clear();
            copy_value(&self.view.pager, leaf, slot, &mut self.value)?;
        }
        Ok(true)
    }

    fn enter_forward(&mut self, from: Option<Vec<u8>>) -> Result<()> {
        let low: &[u8] = match (&self.start, &from) {
            (_, Some(key)) if !self.range().is_before_start(key) => key,
            (Bound::Included(key) | Bound::Excluded(key), _) => key,
            (Bound::Unbounded, _) => &[],
        };
        let key = VersionKey::newest(self.space, low);
        self.position.seek(&self.view.pager, &self.view.root, key)
    }

    fn enter_backward(&mut self, from: Option<Vec<u8>>) -> Result<()> {
        let view = self.view;
        // The key just above another one is that key and a zero byte.
        let above = |key: &[u8]| [key, &[0]].concat();
        let high = match (&self.end, &from) {
            (_, Some(key)) if !self.range().is_after_end(key) => above(key),
            (Bound::Included(key), _) => above(key),
            (Bound::Excluded(key), _) => key.clone(),
            (Bound::Unbounded, _) => match self.space.0.checked_add(1) {
                Some(next) => {
                    let key = VersionKey { space: next, ..VersionKey::LOWEST };
                    return self.position.seek_below(&view.pager, &view.root, key);
                }
                None => return self.position.seek_last(&view.pager, &view.root),
            },
        };
        let key = VersionKey::newest(self.space, &high);
        self.position.seek_below(&view.pager, &view.root, key)
    }

    /// From a version that was shown to the next key's, as far as one leaf and few versions go. Most
    /// steps of most scans end here, after a look at one or two entries.
    fn step_in_leaf(&mut self) -> Stepped {
        let Some((leaf, mut index)) = self.position.leaf() else { return Stepped::End };
        let entries = &leaf.entries;
        let first = index;
        let last = (index + MAX_PASSED).min(self.position.last_shown());
        let mut is_done = true;
        let mut stepped = None;
        while index < last {
            index += 1;
            let continues = entries.continues(index);
            if continues && is_done {
                continue;
            }
            let slot = entries.get(index);
            if !continues && !self.is_inside(slot.key) {
                return Stepped::End;
            }
            is_done = slot.key.ts() <= self.up_to;
            if is_done && slot.tag != Tag::Tombstone {
                stepped = Some(Stepped::Shown);
                break;
            }
        }
        self.examined += (index - first) as u64;
        self.position.set(index);
        stepped.unwrap_or(if is_done { Stepped::Leave } else { Stepped::TooNew })
    }

    /// Whether a forward scan that meets `key` has not come to its end.
    fn is_inside(&self, key: VersionKey<'_>) -> bool {
        let is_before_end = match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => key.key <= &end[..],
            Bound::Excluded(end) => key.key < &end[..],
        };
        key.space == self.space.0 && is_before_end
    }

    /// Remembers the key that the position is on; false if it is on none.
    fn note_key(&mut self) -> bool {
        let Some((_, slot)) = self.position.get() else { return false };
        self.key.clear();
        self.key.extend_from_slice(slot.key.key);
        true
    }

    /// Past all versions of the current key, in the direction of the scan.
    fn leave_key(&mut self) -> Result<()> {
        if !self.note_key() {
            return Ok(());
        }
        let (view, space) = (self.view, self.space);
        if self.reverse {
            let key = VersionKey::newest(space, &self.key);
            return self.position.seek_below(&view.pager, &view.root, key);
        }
        self.position.next(&view.pager)?;
        if self.is_on_noted_key() {
            let last = VersionKey { space: space.0, key: &self.key, age: u64::MAX };
            self.position.seek(&view.pager, &view.root, last)?;
            if self.is_on_noted_key() {
                self.position.next(&view.pager)?;
            }
        }
        Ok(())
    }

    fn is_on_noted_key(&self) -> bool {
        let same = |slot: VersionKey<'_>| slot.space == self.space.0 && slot.key == self.key;
        self.position.get().is_some_and(|(_, slot)| same(slot.key))
    }

    /// In reverse: from a version that was shown to the next older one of the key, or to the key
    /// before (and false) if there is none to show.
    fn next_older(&mut self) -> Result<bool> {
        self.note_key();
        self.position.next(&self.view.pager)?;
        if self.is_on_noted_key() && self.is_after_low() {
            return Ok(true);
        }
        let key = VersionKey::newest(self.space, &self.key);
        self.position.seek_below(&self.view.pager, &self.view.root, key)?;
        Ok(false)
    }

    /// Whether the version that the position is on is new enough to be shown.
    fn is_after_low(&self) -> bool {
        let shown = |ts| self.after.is_none_or(|after| ts > after);
        self.position.get().is_some_and(|(_, slot)| shown(slot.key.ts()))
    }

    /// Whether the version that the position is on, which is not too new, is to be shown.
    fn is_shown(&self) -> bool {
        let is_tombstone = self.position.get().is_some_and(|(_, slot)| slot.tag == Tag::Tombstone);
        self.is_after_low() && !(self.newest_only && is_tombstone)
    }

    fn settle_forward(&mut self) -> Result<Settled> {
        let Some((_, slot)) = self.position.get() else { return Ok(Settled::End) };
        self.examined += 1;
        let key = slot.key;
        if !self.is_inside(key) {
            return Ok(Settled::End);
        }
        if self.range().is_before_start(key.key) {
            self.leave_key()?;
            return Ok(Settled::Passed);
        }
        if key.ts() > self.up_to {
            self.seek_newest_shown()?;
            return Ok(Settled::Passed);
        }
        if self.is_shown() {
            return Ok(Settled::Shown);
        }
        self.leave_key()?;
        Ok(Settled::Passed)
    }

    /// The position is on the oldest version of a key.
    fn settle_backward(&mut self) -> Result<Settled> {
        let Some((_, slot)) = self.position.get() else { return Ok(Settled::End) };
        self.examined += 1;
        let key = slot.key;
        if key.space != self.space.0 || self.range().is_before_start(key.key) {
            return Ok(Settled::End);
        }
        if key.ts() <= self.up_to && !self.range().is_after_end(key.key) {
            self.seek_newest_shown()?;
            if !self.is_on_noted_key() {
                return Err(self.position.out_of_order(&self.view.pager));
            }
            if self.is_shown() {
                return Ok(Settled::Shown);
            }
        }
        self.leave_key()?;
        Ok(Settled::Passed)
    }

    /// Within a key, to its newest version that is not too new; beyond it if there is none.
    fn seek_newest_shown(&mut self) -> Result<()> {
        self.note_key();
        let key = VersionKey::at(self.space, &self.key, self.up_to);
        self.position.seek(&self.view.pager, &self.view.root, key)
    }
}

impl Cursor for BtreeCursor<'_> {
    fn next(&mut self) -> Result<bool> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone());
        }
        let result = self.advance();
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.position.clear();
        self.state = State::Before(Some(key.to_vec()));
        Ok(())
    }

    fn entry(&self) -> Entry<'_> {
        assert!(matches!(self.state, State::On), "the cursor is on an entry");
        let (leaf, slot) = self.position.get().expect("a cursor on an entry has a position");
        let value = match slot.tag {
            Tag::Inline => Some(slot.value),
            Tag::Pending => Some(&leaf.pending(slot.value).bytes[..]),
            Tag::Overflow | Tag::Borrowed => Some(&self.value[..]),
            Tag::Tombstone | Tag::Child => None,
        };
        Entry { key: slot.key.key, ts: slot.key.ts(), value }
    }
}
