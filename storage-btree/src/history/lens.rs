//! Reading through to history: the leaf as a reader of some time sees it.
//!
//! A point read asks for the one slice that covers its time. A cursor looks at each leaf through a
//! [`Lens`], which gives it a leaf with the versions it may show: the slice of its time in place of
//! the leaf, or the leaf and every slice that overlaps its stretch of time, merged.

use std::ops::Range;
use std::sync::Arc;

use driftdb_storage::{KeyspaceId, Result, StorageError, Timestamp};

use super::pack::unpack;
use super::slice;
use super::{Era, Past, Place, SliceRef};
use crate::facts::Facts;
use crate::key::VersionKey;
use crate::node::{Leaf, Node};
use crate::page::PageKind;
use crate::pager::Pager;
use crate::slotted::Tag;

/// From the first key on, and below the second; none is without end.
pub(crate) type KeyRange<'a> = (Option<VersionKey<'a>>, Option<VersionKey<'a>>);

/// What a cursor wants to see of a leaf.
#[derive(Debug, Clone)]
pub(crate) struct Lens {
    pub(crate) space: u32,
    pub(crate) times: Times,
}

/// The versions wanted.
#[derive(Debug, Clone)]
pub(crate) enum Times {
    /// Those that this time reads.
    AsOf(Timestamp),
    /// Those made after the first, and up to the second.
    Between(Timestamp, Timestamp),
    /// All that the facts leave.
    All(Arc<Facts>),
}

/// The slice of `era`.
fn open(pager: &Pager, era: &Era) -> Result<Arc<Node>> {
    pager.counters.history_slices_read.add(era.low.0, 1);
    match &era.place {
        Place::Memory(slice) => Ok(Arc::clone(&slice.node)),
        Place::Disk(at, seen) => {
            if let Some(node) = seen.resident() {
                pager.found(at.page);
                return Ok(node);
            }
            let node = read(pager, *at, era.level)?;
            seen.note(&node);
            Ok(node)
        }
    }
}

/// The slice at `at`, which its era says is of `level`.
fn read(pager: &Pager, at: SliceRef, level: u8) -> Result<Arc<Node>> {
    let key = at.cache_key();
    if let Some(node) = pager.cached(key) {
        return Ok(node);
    }
    let damage = |what| pager.damage(at.page.page, what);
    let chain = pager.read_chain(at.page, PageKind::History, u64::MAX)?;
    let slices = unpack(&chain.payload).ok_or_else(|| damage("malformed history page"))?;
    let bytes = slices.get(usize::from(at.slot));
    let (found, content) = bytes
        .and_then(|bytes| slice::decode(bytes))
        .ok_or_else(|| damage("malformed slice of history"))?;
    if found != level {
        return Err(damage("slice of history of the wrong level"));
    }
    let node = Arc::new(Node::of_slice(content.leaf));
    pager.keep(key, &node);
    Ok(node)
}

/// The slice whose era covers `ts`, if there is one. Costs one read per level of index.
pub(crate) fn covering(
    pager: &Pager,
    past: &Past,
    space: u32,
    ts: Timestamp,
) -> Result<Option<Arc<Node>>> {
    let Some(era) = past.covering(space, ts) else { return Ok(None) };
    let (mut level, mut opened) = (era.level, open(pager, era)?);
    while level > 0 {
        // A decoded index holds lower levels only, so this ends.
        let Some(era) = opened.leaf().past.covering(space, ts) else { return Ok(None) };
        (level, opened) = (era.level, open(pager, era)?);
    }
    Ok(Some(opened))
}

impl Lens {
    /// Whether all that is wanted of the leaf lies in it.
    #[inline]
    pub(crate) fn shows_as_it_is(&self, leaf: &Leaf) -> bool {
        match &self.times {
            Times::AsOf(ts) => !leaf.past.reaches(*ts),
            Times::Between(..) | Times::All(_) => leaf.past.is_empty(),
        }
    }

    /// The leaf to look at in place of `node`, which does not show all, and which of its entries; the keys
    /// of `node` lie within `range`.
    pub(crate) fn look(
        &self,
        pager: &Pager,
        node: Arc<Node>,
        range: KeyRange<'_>,
    ) -> Result<(Arc<Node>, Range<usize>)> {
        let leaf = node.leaf();
        let seen = match &self.times {
            Times::AsOf(ts) => match covering(pager, &leaf.past, self.space, *ts)? {
                Some(slice) => {
                    let within = within(slice.leaf(), range);
                    return Ok((slice, within));
                }
                None => node,
            },
            Times::Between(..) | Times::All(_) => {
                let mut slices = Vec::new();
                self.gather(pager, &leaf.past, &mut slices)?;
                let shows_all = matches!(self.times, Times::All(_));
                Arc::new(Node::of_slice(merge(leaf, &slices, shows_all, range)))
            }
        };
        let all = 0..seen.len();
        Ok((seen, all))
    }

    fn wants(&self, era: &Era) -> bool {
        era.space == self.space
            && match &self.times {
                Times::AsOf(ts) => era.low <= *ts && *ts < era.high,
                Times::Between(after, up_to) => era.low <= *up_to && *after < era.high,
                Times::All(facts) => !facts.is_dead(KeyspaceId(era.space), era.low, era.high),
            }
    }

    fn gather(&self, pager: &Pager, past: &Past, slices: &mut Vec<Arc<Node>>) -> Result<()> {
        for era in past.eras().iter().filter(|era| self.wants(era)) {
            let opened = open(pager, era)?;
            if era.level == 0 {
                slices.push(opened);
            } else {
                self.gather(pager, &opened.leaf().past, slices)?;
            }
        }
        Ok(())
    }
}

/// All versions of a leaf and of its history that can be read; what cannot goes to `damaged`.
///
/// # Errors
/// I/O.
pub(crate) fn whole(
    pager: &Pager,
    leaf: &Leaf,
    facts: &Facts,
    range: KeyRange<'_>,
    damaged: &mut Vec<StorageError>,
) -> Result<Leaf> {
    let mut slices = Vec::new();
    let mut ahead: Vec<Era> = leaf.past.eras().to_vec();
    while let Some(era) = ahead.pop() {
        if facts.is_dead(KeyspaceId(era.space), era.low, era.high) {
            continue;
        }
        match open(pager, &era) {
            Ok(opened) if era.level == 0 => slices.push(opened),
            Ok(opened) => ahead.extend_from_slice(opened.leaf().past.eras()),
            Err(error @ StorageError::Corruption(_)) => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(merge(leaf, &slices, true, range))
}

/// A leaf, and what `slices` have within its keys, in one. If `shows_all`, what is borrowed is shown where
/// it is owned, if it is still there: only times between two that are promised are sure of its chain.
fn merge(leaf: &Leaf, slices: &[Arc<Node>], shows_all: bool, range: KeyRange<'_>) -> Leaf {
    let mut found: Vec<(&Leaf, usize)> =
        (0..leaf.entries.len()).map(|index| (leaf, index)).collect();
    for slice in slices {
        let slice = slice.leaf();
        let shown = |index: &usize| !shows_all || slice.entries.get(*index).tag != Tag::Borrowed;
        found.extend(within(slice, range).filter(shown).map(|index| (slice, index)));
    }
    // Stable: of equal versions the leaf's own comes first.
    found.sort_by(|(a, i), (b, j)| a.entries.key(*i).cmp(&b.entries.key(*j)));
    found.dedup_by(|(a, i), (b, j)| a.entries.key(*i) == b.entries.key(*j));
    let bytes = found.len() * leaf.entries.bytes() / leaf.entries.len().max(1);
    let count = found.len();
    let tagged = found.into_iter().map(|(from, index)| (from, index, from.entries.get(index).tag));
    Leaf::gather(tagged, count, bytes)
}

/// The entries of `leaf` that lie within `low..high`.
fn within(leaf: &Leaf, (low, high): KeyRange<'_>) -> Range<usize> {
    let place = |key| leaf.entries.search(key).unwrap_or_else(|at| at);
    let from = low.map_or(0, place);
    from..high.map_or(leaf.entries.len(), place).max(from)
}
