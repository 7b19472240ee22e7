//! The cursor: a k-way merge of the runs that a scan may need.
//!
//! Each run contributes a source of visible versions in the scan's order. The next entry is the
//! head with the first key; where heads share a key, the newest version comes first. Heads are
//! compared one by one: merges keep the runs few, and a heap repays only beyond about ten. The one
//! that comes second is remembered: as long as the first stays before it, nobody else is compared,
//! so that runs that lie one after the other, as a load leaves them, cost one comparison an entry.

use std::cmp::Ordering;
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
    On(Lead),
    End,
}

/// Which head is first.
#[derive(Debug, Clone, Copy)]
struct Lead {
    source: usize,
    /// Whose head is the first among the others'.
    next: Option<usize>,
    /// Whether the two are of one key.
    is_shared: bool,
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
        let mut lead = match std::mem::replace(&mut self.place, Place::End) {
            Place::Before(from) => {
                for source in &mut self.sources {
                    source.seek(from.as_ref().map(|key| &**key))?;
                }
                self.lead()
            }
            Place::On(lead) => self.leave(lead)?,
            Place::End => return Ok(false),
        };
        while let Some(first) = lead {
            let is_hidden = self.span.newest_only && self.sources[first.source].is_on_tombstone();
            if !is_hidden {
                self.place = Place::On(first);
                return Ok(true);
            }
            lead = self.leave(first)?;
        }
        Ok(false)
    }

    /// Compares all heads.
    fn lead(&self) -> Option<Lead> {
        let mut first: Option<(usize, &[u8])> = None;
        let mut next: Option<(usize, &[u8])> = None;
        for (at, source) in self.sources.iter().enumerate() {
            let Some(key) = source.key() else { continue };
            let head = Some((at, key));
            if first.is_none_or(|first| self.is_before((at, key), first)) {
                next = std::mem::replace(&mut first, head);
            } else if next.is_none_or(|next| self.is_before((at, key), next)) {
                next = head;
            }
        }
        let (source, key) = first?;
        let is_shared = next.is_some_and(|(_, of_next)| of_next == key);
        Some(Lead { source, next: next.map(|(at, _)| at), is_shared })
    }

    /// Whether one source's head, with its key, comes before another's.
    fn is_before(&self, (at, key): (usize, &[u8]), (other, of_other): (usize, &[u8])) -> bool {
        let ts = |at: usize| self.sources[at].head().map(|entry| entry.ts);
        self.by_key(key, of_other).then_with(|| ts(other).cmp(&ts(at))).is_lt()
    }

    fn by_key(&self, key: &[u8], other: &[u8]) -> Ordering {
        if self.span.reverse { other.cmp(key) } else { key.cmp(other) }
    }

    /// Moves past the entry under the cursor; if only the newest counts, past its key everywhere.
    fn leave(&mut self, lead: Lead) -> Result<Option<Lead>> {
        if lead.is_shared {
            self.leave_shared(lead.source)?;
            return Ok(self.lead());
        }
        self.sources[lead.source].advance()?;
        let key_of = |at: usize| self.sources[at].key();
        let is_first = match (key_of(lead.source), lead.next.and_then(key_of)) {
            (Some(key), Some(next)) => self.by_key(key, next).is_lt(),
            (key, _) => key.is_some(),
        };
        Ok(if is_first { Some(lead) } else { self.lead() })
    }

    /// The same, of a key that other heads have, too.
    fn leave_shared(&mut self, current: usize) -> Result<()> {
        if self.span.newest_only {
            for other in 0..self.sources.len() {
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
        let Place::On(lead) = self.place else { panic!("the cursor is not on an entry") };
        self.sources[lead.source].head().expect("the cursor is on a head")
    }
}
