//! Own writes in the order of a scan, from memory alone or from memory and runs.

use driftdb_env::planted;
use driftdb_storage::{KeyRange, KeyspaceId, Result};

use super::run::{Run, RunCursor};
use super::{Images, OwnView, Versions, VersionsRef};

/// A stream of keys with a value or a delete, which stands on one.
pub(crate) trait OwnRows {
    /// The row it stands on; `None` beyond the last.
    fn current(&self) -> Option<(&[u8], Option<&[u8]>)>;

    /// Goes on.
    fn advance(&mut self) -> Result<()>;
}

/// Rows that an iterator gives.
pub(crate) struct InMemory<'a, I> {
    rows: I,
    current: Option<(&'a [u8], Option<&'a [u8]>)>,
}

impl<'a, I: Iterator<Item = (&'a [u8], Option<&'a [u8]>)>> InMemory<'a, I> {
    pub(crate) fn new(mut rows: I) -> Self {
        let current = rows.next();
        Self { rows, current }
    }
}

impl<'a, I: Iterator<Item = (&'a [u8], Option<&'a [u8]>)>> OwnRows for InMemory<'a, I> {
    fn current(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.current
    }

    fn advance(&mut self) -> Result<()> {
        self.current = self.rows.next();
        Ok(())
    }
}

/// Rows with the images of a statement in their place.
pub(crate) struct Imaged<'a, R> {
    rows: R,
    images: &'a Images,
}

impl<'a, R: OwnRows> Imaged<'a, R> {
    pub(crate) fn new(rows: R, images: &'a Images) -> Result<Self> {
        let mut imaged = Self { rows, images };
        imaged.find()?;
        Ok(imaged)
    }

    /// Stands on the next row that the statement saw, the present one included.
    fn find(&mut self) -> Result<()> {
        while let Some((key, _)) = self.rows.current()
            && matches!(self.images.get(key), Some(None))
        {
            self.rows.advance()?;
        }
        Ok(())
    }
}

impl<R: OwnRows> OwnRows for Imaged<'_, R> {
    fn current(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let (key, value) = self.rows.current()?;
        match self.images.get(key) {
            Some(image) => Some((key, image.as_ref()?.as_deref())),
            None => Some((key, value)),
        }
    }

    fn advance(&mut self) -> Result<()> {
        self.rows.advance()?;
        self.find()
    }
}

type Memory<'a> = Box<dyn Iterator<Item = (&'a [u8], &'a Versions)> + 'a>;

/// Rows of a write set that has spilled: memory and runs as one, the newer hiding the older.
pub(crate) struct Spilled<'a> {
    memory: Memory<'a>,
    head: Option<(&'a [u8], &'a Versions)>,
    /// Newest first.
    runs: Vec<RunCursor<'a>>,
    space: KeyspaceId,
    range: KeyRange<'a>,
    view: OwnView,
    reverse: bool,
    /// Which source the current row is from: 0 is memory, 1 the newest run.
    current: Option<usize>,
    /// The sources that stand on one key.
    on_key: Vec<usize>,
}

impl<'a> Spilled<'a> {
    pub(super) fn new(
        mut memory: Memory<'a>,
        runs: &'a [Run],
        space: KeyspaceId,
        range: KeyRange<'a>,
        view: OwnView,
        reverse: bool,
    ) -> Result<Self> {
        let forgotten = usize::from(planted!("mvcc.oldest-run-forgotten"));
        let runs = runs.iter().skip(forgotten).rev();
        let runs = runs.map(|run| RunCursor::seek(run, space, &range, reverse));
        let (runs, head) = (runs.collect::<Result<_>>()?, memory.next());
        let (current, on_key) = (None, Vec::new());
        let mut rows = Self { memory, head, runs, space, range, view, reverse, current, on_key };
        rows.find()?;
        Ok(rows)
    }

    /// What a source stands on.
    fn head(&self, source: usize) -> Option<(&[u8], VersionsRef<'_>)> {
        let Some(run) = source.checked_sub(1) else {
            return self.head.map(|(key, versions)| (key, versions.as_ref()));
        };
        let entry = self.runs[run].entry()?;
        let is_inside = entry.space == self.space && self.range.contains(entry.key);
        is_inside.then_some((entry.key, entry.versions))
    }

    fn key(&self, source: usize) -> Option<&[u8]> {
        self.head(source).map(|(key, _)| key)
    }

    /// Stands on the next key of which something is seen, the present one included.
    fn find(&mut self) -> Result<()> {
        loop {
            let mut next: Option<usize> = None;
            for source in 0..=self.runs.len() {
                let Some(key) = self.key(source) else { continue };
                let is_nearer = match next.and_then(|next| self.key(next)) {
                    None => true,
                    Some(other) if self.reverse => key > other,
                    Some(other) => key < other,
                };
                if is_nearer {
                    next = Some(source);
                }
            }
            self.current = None;
            let Some(next) = next else { return Ok(()) };
            let sees = |source: usize| {
                self.head(source).is_some_and(|(key, versions)| {
                    Some(key) == self.key(next) && versions.visible(self.view).is_some()
                })
            };
            self.current = (next..=self.runs.len()).find(|source| sees(*source));
            if self.current.is_some() {
                return Ok(());
            }
            self.skip(next)?;
        }
    }

    /// Moves every source that stands on the key of one.
    fn skip(&mut self, source: usize) -> Result<()> {
        let mut on_key = std::mem::take(&mut self.on_key);
        on_key.clear();
        let key = self.key(source);
        on_key.extend((0..=self.runs.len()).filter(|other| self.key(*other) == key));
        for source in &on_key {
            match source.checked_sub(1) {
                None => self.head = self.memory.next(),
                Some(run) => self.runs[run].advance()?,
            }
        }
        self.on_key = on_key;
        Ok(())
    }
}

impl OwnRows for Spilled<'_> {
    fn current(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let (key, versions) = self.head(self.current?)?;
        Some((key, versions.visible(self.view)?))
    }

    fn advance(&mut self) -> Result<()> {
        match self.current {
            Some(source) => {
                self.skip(source)?;
                self.find()
            }
            None => Ok(()),
        }
    }
}
