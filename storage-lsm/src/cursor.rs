//! The cursor: a k-way merge of the runs that a scan may need.
//!
//! Each run contributes a source of visible versions in the scan's order. The next entry is the
//! head with the first key; where heads share a key, the newest version comes first. Heads are
//! compared one by one: merges keep the runs few, and a heap repays only beyond about ten.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{Cursor, Entry, Result, StorageError};

use crate::memtable::MemtableSource;
use crate::run::{Part, RunSource};
use crate::span::{Source, Span};
use crate::version::Version;

/// Walks a range of one snapshot. It keeps what it reads alive by itself.
#[derive(Debug)]
pub struct LsmCursor {
    span: Arc<Span>,
    /// Newest run first.
    sources: Vec<RunOf>,
    place: Place,
    failed: Option<StorageError>,
}

#[derive(Debug)]
enum RunOf {
    Memtable(MemtableSource),
    Sorted(RunSource),
}

#[derive(Debug)]
enum Place {
    /// Before the first entry at or after the bound.
    Before(Bound<Box<[u8]>>),
    /// On the head of a source.
    On(usize),
    End,
}

impl LsmCursor {
    pub(crate) fn new(version: &Version, span: Span) -> Self {
        let span = Arc::new(span);
        let memtables = version.memtables().map(|memtable| {
            RunOf::Memtable(MemtableSource::new(Arc::clone(memtable), Arc::clone(&span)))
        });
        let may_show = |part: &Part| span.overlaps(part.meta().min_ts, part.meta().max_ts);
        let runs = version
            .runs
            .iter()
            .filter(|run| run.parts.iter().any(may_show))
            .map(|run| RunOf::Sorted(RunSource::new(Arc::clone(run), Arc::clone(&span))));
        let sources = if span.is_empty() { Vec::new() } else { memtables.chain(runs).collect() };
        let place = Place::Before(span.first().map(Box::from));
        Self { span, sources, place, failed: None }
    }

    fn step(&mut self) -> Result<bool> {
        match std::mem::replace(&mut self.place, Place::End) {
            Place::Before(from) => {
                for source in &mut self.sources {
                    source.seek(from.as_ref().map(|key| &**key))?;
                }
            }
            Place::On(current) => self.leave(current)?,
            Place::End => return Ok(false),
        }
        while let Some(first) = self.first() {
            let is_hidden = self.span.newest_only && self.sources[first].is_on_tombstone();
            if !is_hidden {
                self.place = Place::On(first);
                return Ok(true);
            }
            self.leave(first)?;
        }
        Ok(false)
    }

    /// The source whose head comes next.
    fn first(&self) -> Option<usize> {
        let ts = |source: &RunOf| source.head().map(|entry| entry.ts);
        let mut first: Option<(usize, &[u8])> = None;
        for (at, source) in self.sources.iter().enumerate() {
            let Some(key) = source.key() else { continue };
            let comes_first = first.is_none_or(|(best_at, best)| {
                let by_key = key.cmp(best);
                let by_key = if self.span.reverse { by_key.reverse() } else { by_key };
                by_key.then_with(|| ts(&self.sources[best_at]).cmp(&ts(source))).is_lt()
            });
            if comes_first {
                first = Some((at, key));
            }
        }
        first.map(|(at, _)| at)
    }

    /// Moves past the entry under the cursor; if only the newest counts, past its key everywhere.
    fn leave(&mut self, current: usize) -> Result<()> {
        if self.span.newest_only {
            for other in 0..self.sources.len() {
                // Most sources are at their end: they cost no look at the current one.
                let is_same = other != current
                    && self.sources[other]
                        .key()
                        .is_some_and(|key| self.sources[current].key() == Some(key));
                if is_same {
                    self.sources[other].advance()?;
                }
            }
        }
        self.sources[current].advance()
    }
}

impl RunOf {
    fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        match self {
            Self::Memtable(source) => source.seek(from),
            Self::Sorted(source) => source.seek(from),
        }
    }

    fn advance(&mut self) -> Result<()> {
        match self {
            Self::Memtable(source) => source.advance(),
            Self::Sorted(source) => source.advance(),
        }
    }

    #[inline]
    fn head(&self) -> Option<Entry<'_>> {
        match self {
            Self::Memtable(source) => source.head(),
            Self::Sorted(source) => source.head(),
        }
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Memtable(source) => source.key(),
            Self::Sorted(source) => source.key(),
        }
    }

    #[inline]
    fn is_on_tombstone(&self) -> bool {
        match self {
            Self::Memtable(source) => source.is_on_tombstone(),
            Self::Sorted(source) => source.is_on_tombstone(),
        }
    }
}

impl Cursor for LsmCursor {
    fn next(&mut self) -> Result<bool> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.step();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        // The I/O happens in `next`, where its errors stick.
        self.failed = None;
        self.place = Place::Before(self.span.clamp(key).map(Box::from));
        Ok(())
    }

    fn entry(&self) -> Entry<'_> {
        let Place::On(current) = self.place else { panic!("the cursor is not on an entry") };
        self.sources[current].head().expect("the cursor is on a head")
    }
}
