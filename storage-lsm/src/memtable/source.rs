//! A scan over a memtable, in bounded copies.
//!
//! Each time it runs dry it takes the latch, copies the next stretch of visible versions and gives
//! the latch back. Versions that a writer adds meanwhile are newer than the scan's snapshot and
//! therefore invisible, so a stretch boundary never shows.

use std::ops::{Bound, Range};
use std::sync::Arc;

use driftdb_storage::{Entry, Result, Timestamp};

use super::{Chain, Memtable};
use crate::span::{Source, Span, as_slice, is_inverted};

/// Versions in the first stretch: enough for a short scan.
const FIRST_STRETCH: usize = 16;
/// Versions in a stretch at most; each is twice the one before.
const MAX_STRETCH: usize = 256;
/// Bytes after which a stretch ends early.
const STRETCH_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct MemtableSource {
    memtable: Arc<Memtable>,
    span: Arc<Span>,
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// The item it stands on.
    position: usize,
    stretch: usize,
    /// Where the next stretch begins; `None` when there is none.
    resume: Option<Resume>,
}

#[derive(Debug)]
struct Item {
    key: Range<usize>,
    ts: Timestamp,
    value: Option<Range<usize>>,
}

/// The place after a stretch.
#[derive(Debug)]
struct Resume {
    from: Bound<Box<[u8]>>,
    /// In the first key, only versions older than this.
    below: Option<Timestamp>,
}

impl MemtableSource {
    pub(crate) fn new(memtable: Arc<Memtable>, span: Arc<Span>) -> Self {
        Self {
            memtable,
            span,
            bytes: Vec::new(),
            items: Vec::new(),
            position: 0,
            stretch: FIRST_STRETCH,
            resume: None,
        }
    }

    fn fill(&mut self) {
        self.bytes.clear();
        self.items.clear();
        self.position = 0;
        let Some(resume) = self.resume.take() else { return };
        let memtable = Arc::clone(&self.memtable);
        let span = Arc::clone(&self.span);
        let contents = memtable.read();
        let Some(keys) = contents.spaces.get(&span.space) else { return };
        let from = as_slice(&resume.from);
        let (start, end) =
            if span.reverse { (span.range().start, from) } else { (from, span.range().end) };
        // An ordered map panics on an inverted range.
        if is_inverted(start, end) {
            return;
        }
        let mut below = resume.below;
        let mut range = keys.range::<[u8], _>((start, end));
        while let Some((key, chain)) = if span.reverse { range.next_back() } else { range.next() } {
            if let Some(resume) = self.copy(key, chain, below.take()) {
                self.resume = Some(resume);
                break;
            }
        }
        self.stretch = (self.stretch * 2).min(MAX_STRETCH);
    }

    /// Copies the visible versions of a key. Returns where to go on if the stretch is full.
    fn copy(&mut self, key: &[u8], chain: &Chain, below: Option<Timestamp>) -> Option<Resume> {
        let first = self.bytes.len();
        let key_range = first..first + key.len();
        let mut has_key = false;
        for version in chain.versions_at(self.span.up_to) {
            if below.is_some_and(|below| version.ts >= below) {
                continue;
            }
            if !self.span.shows(version.ts) {
                break;
            }
            if !has_key {
                self.bytes.extend_from_slice(key);
                has_key = true;
            }
            let value = version.value.as_ref().map(|value| {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(value);
                start..self.bytes.len()
            });
            self.items.push(Item { key: key_range.clone(), ts: version.ts, value });
            if self.items.len() >= self.stretch || self.bytes.len() >= STRETCH_BYTES {
                return Some(if self.span.newest_only {
                    Resume { from: Bound::Excluded(key.into()), below: None }
                } else {
                    Resume { from: Bound::Included(key.into()), below: Some(version.ts) }
                });
            }
            if self.span.newest_only {
                break;
            }
        }
        None
    }
}

impl Source for MemtableSource {
    fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        self.stretch = FIRST_STRETCH;
        self.resume = Some(Resume { from: from.map(Box::from), below: None });
        self.fill();
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.position += 1;
        if self.position >= self.items.len() {
            self.fill();
        }
        Ok(())
    }

    fn head(&self) -> Option<Entry<'_>> {
        let item = self.items.get(self.position)?;
        let value = item.value.clone().map(|range| &self.bytes[range]);
        Some(Entry { key: &self.bytes[item.key.clone()], ts: item.ts, value })
    }
}
