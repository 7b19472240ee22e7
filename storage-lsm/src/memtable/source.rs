//! A scan over a memtable, in place.
//!
//! It holds the memtable and stands on one of its versions. Versions that the writer adds meanwhile
//! are newer than the scan's snapshot and therefore invisible.
//!
//! Passing over what the scan does not show, it walks a few versions and then searches, so that
//! neither a key with a long history nor one with a short one costs more than it should.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{Entry, Result};

use super::list::Version;
use super::order::Probe;
use super::{Memtable, Place};
use crate::span::{Source, Span};

/// Versions passed one by one before a search takes over: a search is about twenty comparisons.
const MAX_WALK: usize = 8;

#[derive(Debug)]
pub(crate) struct MemtableSource {
    memtable: Arc<Memtable>,
    span: Arc<Span>,
    place: Option<Place>,
}

impl MemtableSource {
    pub(crate) fn new(memtable: Arc<Memtable>, span: Arc<Span>) -> Self {
        Self { memtable, span, place: None }
    }

    /// The first version at or after `probe`, given one before it.
    fn skip_to(&self, mut place: Place, probe: Probe<'_>) -> Option<Place> {
        for _ in 0..MAX_WALK {
            place = self.memtable.next(place)?;
            if !self.memtable.is_before(place, probe) {
                return Some(place);
            }
        }
        self.memtable.first_at(probe)
    }

    /// The last version before `probe`, given one that is not.
    fn skip_back(&self, mut place: Place, probe: Probe<'_>) -> Option<Place> {
        for _ in 0..MAX_WALK {
            place = self.memtable.previous(place)?;
            if self.memtable.is_before(place, probe) {
                return Some(place);
            }
        }
        self.memtable.last_before(probe)
    }

    /// The version there, unless the scan ends before it.
    fn inside(&self, place: Place) -> Option<Version<'_>> {
        let version = self.memtable.version(place);
        (version.space == self.span.space && !self.span.is_past(version.key)).then_some(version)
    }

    /// From `place` on upwards, the first visible version.
    fn settle(&self, mut place: Place) -> Option<Place> {
        let span = &self.span;
        loop {
            let version = self.inside(place)?;
            if span.shows(version.ts) {
                return Some(place);
            }
            let probe = if version.ts > span.up_to {
                Probe::new(span.space, version.key, span.up_to)
            } else {
                Probe::after_key(span.space, version.key)
            };
            place = self.skip_to(place, probe)?;
        }
    }

    /// Of the first key downwards that has any, the newest visible version. `oldest` is the oldest
    /// version of a key.
    fn settle_back(&self, mut oldest: Place) -> Option<Place> {
        let span = &self.span;
        loop {
            let version = self.inside(oldest)?;
            if version.ts <= span.up_to {
                let newest = self.newest_of(oldest, version)?;
                if span.shows(self.memtable.version(newest).ts) {
                    return Some(newest);
                }
            }
            let key = Probe::before_key(span.space, version.key);
            oldest = self.skip_back(oldest, key)?;
        }
    }

    /// The newest version not too new, of the key whose oldest is given and is not too new either.
    fn newest_of(&self, oldest: Place, version: Version<'_>) -> Option<Place> {
        let probe = Probe::new(self.span.space, version.key, self.span.up_to);
        let mut newest = oldest;
        for _ in 0..MAX_WALK {
            match self.memtable.previous(newest) {
                Some(place) if !self.memtable.is_before(place, probe) => newest = place,
                _ => return Some(newest),
            }
        }
        self.memtable.first_at(probe)
    }

    /// The next visible version of the same key.
    fn next_of_key(&self, place: Place, key: &[u8]) -> Option<Place> {
        let next = self.memtable.next(place)?;
        let version = self.inside(next)?;
        (version.key == key && self.span.shows(version.ts)).then_some(next)
    }

    fn after(&self, place: Place) -> Option<Place> {
        let key = self.memtable.version(place).key;
        let space = self.span.space;
        if self.span.reverse {
            if !self.span.newest_only
                && let Some(next) = self.next_of_key(place, key)
            {
                return Some(next);
            }
            self.settle_back(self.skip_back(place, Probe::before_key(space, key))?)
        } else if self.span.newest_only {
            self.settle(self.skip_to(place, Probe::after_key(space, key))?)
        } else {
            self.settle(self.memtable.next(place)?)
        }
    }

    fn start(&self, from: Bound<&[u8]>) -> Option<Place> {
        let (space, memtable) = (self.span.space, &self.memtable);
        if self.span.reverse {
            let end = match from {
                Bound::Included(key) => Probe::after_key(space, key),
                Bound::Excluded(key) => Probe::before_key(space, key),
                Bound::Unbounded => Probe::after_space(space),
            };
            self.settle_back(memtable.last_before(end)?)
        } else {
            let start = match from {
                Bound::Included(key) => Probe::before_key(space, key),
                Bound::Excluded(key) => Probe::after_key(space, key),
                Bound::Unbounded => Probe::before_key(space, b""),
            };
            self.settle(memtable.first_at(start)?)
        }
    }
}

impl Source for MemtableSource {
    fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        self.place = self.start(from);
        Ok(())
    }

    #[inline]
    fn advance(&mut self) -> Result<()> {
        self.place = self.place.and_then(|place| self.after(place));
        Ok(())
    }

    #[inline]
    fn head(&self) -> Option<Entry<'_>> {
        let Version { key, ts, value, .. } = self.memtable.version(self.place?);
        Some(Entry { key, ts, value })
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        Some(self.memtable.version(self.place?).key)
    }

    #[inline]
    fn is_on_tombstone(&self) -> bool {
        self.place.is_some_and(|place| self.memtable.version(place).value.is_none())
    }
}
