//! A scan over one run: its tables one after the other, each opened when the scan gets there.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{Entry, Result};

use super::SortedRun;
use crate::span::{Source, Span};
use crate::table::TableSource;

#[derive(Debug)]
pub(crate) struct RunSource {
    run: Arc<SortedRun>,
    span: Arc<Span>,
    /// The part that is open.
    position: usize,
    source: Option<TableSource>,
}

impl RunSource {
    pub(crate) fn new(run: Arc<SortedRun>, span: Arc<Span>) -> Self {
        Self { run, span, position: 0, source: None }
    }

    /// The first part, in the scan's direction, that may hold keys from `from` on.
    fn position_of(&self, from: Bound<&[u8]>) -> Option<usize> {
        let (space, parts) = (self.span.space, &self.run.parts);
        if !self.span.reverse {
            return Some(match from {
                Bound::Included(key) | Bound::Excluded(key) => self.run.first_from(space, key),
                Bound::Unbounded => self.run.first_from(space, &[]),
            });
        }
        let after = parts.partition_point(|part| match from {
            Bound::Included(key) | Bound::Excluded(key) => {
                part.bounds.first.cmp_key(space, key).is_le()
            }
            Bound::Unbounded => part.bounds.first.space <= space,
        });
        after.checked_sub(1)
    }

    /// Opens a part and goes to its first visible version from `from` on. False if the scan ends
    /// before the part.
    fn open(&mut self, position: usize, from: Bound<&[u8]>) -> Result<bool> {
        self.source = None;
        self.position = position;
        let Some(part) = self.run.parts.get(position) else { return Ok(false) };
        let (space, bounds) = (self.span.space, &part.bounds);
        let is_beyond = if self.span.reverse {
            bounds.is_before(space, &[])
                || bounds.last.as_ref().is_some_and(|last| {
                    last.space == space && self.span.range().is_before_start(&last.key)
                })
        } else {
            bounds.first.space > space
                || (bounds.first.space == space
                    && self.span.range().is_after_end(&bounds.first.key))
        };
        if is_beyond {
            return Ok(false);
        }
        // Keys before the first one in force lie in the table still, but no longer count.
        let first = (part.is_trimmed() && bounds.first.space == space).then_some(&bounds.first.key);
        let (span, from) = match first {
            None => (Arc::clone(&self.span), from),
            Some(first) => {
                let is_inside = self.span.reverse
                    || matches!(from, Bound::Included(key) | Bound::Excluded(key) if *key >= **first);
                let from = if is_inside { from } else { Bound::Included(&**first) };
                (Arc::new(self.span.starting_at(first)), from)
            }
        };
        let mut source = TableSource::new(Arc::clone(&part.table), span);
        source.seek(from)?;
        self.source = Some(source);
        Ok(true)
    }

    /// From an exhausted part on to the next that has something visible.
    fn settle(&mut self) -> Result<()> {
        while self.source.as_ref().is_some_and(TableSource::is_at_end) {
            let next = if self.span.reverse {
                self.position.checked_sub(1)
            } else {
                Some(self.position + 1)
            };
            let Some(next) = next else {
                self.source = None;
                return Ok(());
            };
            self.open(next, Bound::Unbounded)?;
        }
        Ok(())
    }
}

impl Source for RunSource {
    fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        self.source = None;
        let Some(position) = self.position_of(from) else { return Ok(()) };
        self.open(position, from)?;
        self.settle()
    }

    fn advance(&mut self) -> Result<()> {
        let Some(source) = &mut self.source else { return Ok(()) };
        source.advance()?;
        self.settle()
    }

    #[inline]
    fn head(&self) -> Option<Entry<'_>> {
        self.source.as_ref()?.head()
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.source.as_ref()?.key()
    }

    #[inline]
    fn is_on_tombstone(&self) -> bool {
        self.source.as_ref().is_some_and(Source::is_on_tombstone)
    }
}
