//! Reads a whole table in order, for merges: every keyspace, every version, past the cache.
//!
//! Both sections are read front to back, side by side: after the newest version of a key come, if its
//! bit says so, the older ones from the history section.

use std::sync::Arc;

use driftdb_storage::{Entry, KeyspaceId, Result, StorageError};

use super::cursor::SectionCursor;
use super::{Fill, Section, Table};
use crate::run::Place;

#[derive(Debug)]
pub(crate) struct TableScan {
    table: Arc<Table>,
    newest: SectionCursor,
    history: SectionCursor,
    /// The newest versions, or all in a table of version 1, are at their end.
    is_at_end: bool,
    /// The history section has entries left.
    has_history: bool,
    /// It stands in the history section.
    is_in_history: bool,
}

impl TableScan {
    /// Stands on the first entry.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn new(table: Arc<Table>) -> Result<Self> {
        Self::open(table, SectionCursor::seek_start)
    }

    /// Stands on the first entry at or after `first`.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn starting_at(table: Arc<Table>, first: &Place) -> Result<Self> {
        Self::open(table, |cursor| cursor.seek_entry(first.space, &first.key))
    }

    fn open(table: Arc<Table>, seek: impl Fn(&mut SectionCursor) -> Result<bool>) -> Result<Self> {
        let sections = table.sections()?;
        let is_mixed = sections.is_mixed();
        let cursor = |section| {
            SectionCursor::new(Arc::clone(&table), Arc::clone(sections), section, Fill::Bypass)
        };
        let (mut newest, mut history) = (cursor(Section::Newest), cursor(Section::History));
        let is_at_end = !seek(&mut newest)?;
        let has_history = !is_mixed && seek(&mut history)?;
        Ok(Self { table, newest, history, is_at_end, has_history, is_in_history: false })
    }

    /// Where in the file the block of newest versions begins in which it stands; the end of the file, at
    /// the end.
    pub(crate) fn offset(&self) -> u64 {
        self.newest.block_offset().unwrap_or(self.table.meta().size_bytes)
    }

    /// The entry it stands on; `None` at the end.
    #[inline]
    pub(crate) fn head(&self) -> Option<(KeyspaceId, Entry<'_>)> {
        if self.is_at_end {
            return None;
        }
        let cursor = if self.is_in_history { &self.history } else { &self.newest };
        Some((cursor.space(), cursor.head()))
    }

    /// # Errors
    /// I/O; damage.
    pub(crate) fn advance(&mut self) -> Result<()> {
        if self.is_at_end {
            return Ok(());
        }
        if self.is_in_history {
            self.has_history = self.history.next_entry()?;
            if self.is_at_key() {
                return Ok(());
            }
            self.is_in_history = false;
        } else if self.newest.has_older() {
            if !self.is_at_key() {
                return Err(self.damage("the history of a key is missing"));
            }
            self.is_in_history = true;
            return Ok(());
        }
        self.is_at_end = !self.newest.next_entry()?;
        if self.is_at_end && self.has_history {
            return Err(self.damage("the history of a key has no newest version"));
        }
        Ok(())
    }

    /// Whether the history section stands on an older version of the key.
    fn is_at_key(&self) -> bool {
        self.has_history
            && self.history.key() == self.newest.key()
            && self.history.space() == self.newest.space()
    }

    fn damage(&self, what: &str) -> StorageError {
        StorageError::corruption(self.table.name(), 0, what)
    }
}
