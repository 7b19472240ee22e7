//! A scan over one table: the visible versions of a span, either way.
//!
//! One cursor walks the keys of the newest section, in the scan's direction. For each key it shows the
//! newest version if the span does; where an older one is wanted, and a bit says that there are some,
//! a second cursor goes to it in the history section. That one moves in the same direction, so that it
//! mostly stays in its block. A scan of the present never touches it. Blocks whose time bounds lie
//! outside of the span are skipped unread.
//!
//! In a table of version 1 both cursors walk the one section, and every key is looked up.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{Entry, Result, StorageError};

use super::cursor::SectionCursor;
use super::{Fill, Section, Table};
use crate::span::{Source, Span};

#[derive(Debug)]
pub(crate) struct TableSource {
    table: Arc<Table>,
    span: Arc<Span>,
    cursors: Option<Cursors>,
    place: Place,
}

#[derive(Debug)]
struct Cursors {
    keys: SectionCursor,
    older: SectionCursor,
    is_mixed: bool,
}

/// Which cursor stands on the version that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Newest,
    Older,
}

impl TableSource {
    pub(crate) fn new(table: Arc<Table>, span: Arc<Span>) -> Self {
        Self { table, span, cursors: None, place: Place::Nowhere }
    }

    /// The cursor that stands on the version that is shown.
    #[inline]
    fn shown(&self) -> Option<&SectionCursor> {
        let cursors = self.cursors.as_ref()?;
        match self.place {
            Place::Nowhere => None,
            Place::Newest => Some(&cursors.keys),
            Place::Older => Some(&cursors.older),
        }
    }

    /// Whether it stands nowhere.
    #[inline]
    pub(crate) fn is_at_end(&self) -> bool {
        self.place == Place::Nowhere
    }

    fn open(&mut self) -> Result<()> {
        if self.cursors.is_none() {
            let sections = Arc::clone(self.table.sections()?);
            let is_mixed = sections.is_mixed();
            let cursor = |section| {
                let (table, sections) = (Arc::clone(&self.table), Arc::clone(&sections));
                SectionCursor::new(table, sections, section, Fill::Cache)
            };
            let (keys, older) = (cursor(Section::Newest), cursor(Section::History));
            self.cursors = Some(Cursors { keys, older, is_mixed });
        }
        Ok(())
    }
}

impl Cursors {
    /// From the key it stands on, goes to the first version that is visible.
    fn settle(&mut self, span: &Span, mut has_key: bool) -> Result<Place> {
        while has_key && !span.is_past(self.keys.key()) {
            let place = self.show(span)?;
            if place != Place::Nowhere {
                return Ok(place);
            }
            has_key = self.keys.next_key(span)?;
        }
        Ok(Place::Nowhere)
    }

    /// The newest visible version of the key.
    fn show(&mut self, span: &Span) -> Result<Place> {
        if self.is_mixed {
            return self.show_older(span);
        }
        let ts = self.keys.ts();
        if span.shows(ts) {
            return Ok(Place::Newest);
        }
        // Too new, or else too old, as all the others then are.
        if ts > span.up_to && self.keys.has_older() {
            return self.show_older(span);
        }
        Ok(Place::Nowhere)
    }

    fn show_older(&mut self, span: &Span) -> Result<Place> {
        let is_found = self.older.seek_version(span.space, self.keys.key(), span.up_to)?;
        Ok(if is_found && span.shows(self.older.ts()) { Place::Older } else { Place::Nowhere })
    }

    /// The next version after the one that is shown at `place`.
    fn advance(&mut self, span: &Span, place: Place, name: &str) -> Result<Place> {
        if !span.newest_only {
            let has_more = match place {
                Place::Nowhere => false,
                Place::Newest => {
                    self.keys.has_older() && {
                        // All of them are below the newest, and so below the end of the span.
                        if !self.older.seek_version(span.space, self.keys.key(), span.up_to)? {
                            let what = "the history of a key is missing";
                            return Err(StorageError::corruption(name, 0, what));
                        }
                        true
                    }
                }
                Place::Older => self.older.next_version()?,
            };
            if has_more && span.shows(self.older.ts()) {
                return Ok(Place::Older);
            }
        }
        let has_key = self.keys.next_key(span)?;
        self.settle(span, has_key)
    }
}

impl Source for TableSource {
    fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        self.place = Place::Nowhere;
        let meta = self.table.meta();
        if !self.span.overlaps(meta.min_ts, meta.max_ts) {
            return Ok(());
        }
        self.open()?;
        if let Some(cursors) = &mut self.cursors {
            let has_key = cursors.keys.seek_key(&self.span, from)?;
            self.place = cursors.settle(&self.span, has_key)?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        let place = std::mem::replace(&mut self.place, Place::Nowhere);
        if let (Some(cursors), true) = (&mut self.cursors, place != Place::Nowhere) {
            self.place = cursors.advance(&self.span, place, self.table.name())?;
        }
        Ok(())
    }

    #[inline]
    fn head(&self) -> Option<Entry<'_>> {
        Some(self.shown()?.head())
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        Some(self.shown()?.key())
    }

    #[inline]
    fn is_on_tombstone(&self) -> bool {
        self.shown().is_some_and(SectionCursor::is_on_tombstone)
    }
}
