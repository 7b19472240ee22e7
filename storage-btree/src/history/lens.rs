//! Reading through to history: the leaf as a reader of some time sees it.
//!
//! A point read asks for the one slice that covers its time. A cursor looks at each leaf through a
//! [`Lens`], which gives it a leaf with the versions it may show: the slice of its time in place of
//! the leaf, or the leaf and every slice that overlaps its stretch of time, merged.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use driftdb_storage::{KeyspaceId, Result, Timestamp};

use super::pack::unpack;
use super::slice;
use super::{Era, Past, Place, SliceRef};
use crate::facts::Facts;
use crate::key::OwnedKey;
use crate::node::{Body, Leaf, Node};
use crate::page::PageKind;
use crate::pager::Pager;
use crate::slotted::Tag;

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

/// The leaf that a node is.
fn leaf_of(node: &Node) -> &Leaf {
    let Body::Leaf(leaf) = &node.body else { unreachable!("slices and leaves only") };
    leaf
}

/// A slice as a leaf.
#[derive(Debug, Clone)]
pub(crate) enum Opened {
    /// Not written when the tree that leads to it was made.
    Memory(Arc<Leaf>),
    Disk(Arc<Node>),
}

impl Opened {
    pub(crate) fn leaf(&self) -> &Leaf {
        match self {
            Self::Memory(leaf) => leaf,
            Self::Disk(node) => leaf_of(node),
        }
    }
}

/// The slice of `era`.
fn open(pager: &Pager, era: &Era) -> Result<Opened> {
    match &era.place {
        Place::Memory(slice) => Ok(Opened::Memory(Arc::clone(&slice.leaf))),
        Place::Disk(at) => Ok(Opened::Disk(read(pager, *at, era.level)?)),
    }
}

/// The slice at `at`, which its era says is of `level`.
fn read(pager: &Pager, at: SliceRef, level: u8) -> Result<Arc<Node>> {
    pager.counters.history_slices_read.fetch_add(1, Ordering::Relaxed);
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
    let node = Arc::new(Node::new(0, 0, Body::Leaf(content.leaf)));
    pager.keep(key, &node);
    Ok(node)
}

/// The slice whose era covers `ts`, if there is one. Costs one read per level of index.
pub(crate) fn covering(
    pager: &Pager,
    past: &Past,
    space: u32,
    ts: Timestamp,
) -> Result<Option<Opened>> {
    let Some(era) = past.covering(space, ts) else { return Ok(None) };
    let (mut level, mut opened) = (era.level, open(pager, era)?);
    while level > 0 {
        // A decoded index holds lower levels only, so this ends.
        let Some(era) = opened.leaf().past.covering(space, ts).cloned() else { return Ok(None) };
        (level, opened) = (era.level, open(pager, &era)?);
    }
    Ok(Some(opened))
}

impl Lens {
    /// The leaf to look at in place of `node`, whose keys lie from `low` on and below `high`.
    pub(crate) fn look(
        &self,
        pager: &Pager,
        node: Arc<Node>,
        low: Option<OwnedKey>,
        high: Option<OwnedKey>,
    ) -> Result<Arc<Node>> {
        let leaf = leaf_of(&node);
        let seen = match &self.times {
            Times::AsOf(ts) if !leaf.past.reaches(*ts) => return Ok(node),
            Times::AsOf(ts) => match covering(pager, &leaf.past, self.space, *ts)? {
                None => return Ok(node),
                Some(slice) => match within(slice.leaf(), low.as_ref(), high.as_ref()) {
                    range if range.len() == slice.leaf().entries.len() => match slice {
                        Opened::Disk(node) => return Ok(node),
                        Opened::Memory(leaf) => part(&leaf, range),
                    },
                    range => part(slice.leaf(), range),
                },
            },
            Times::Between(..) | Times::All(_) => {
                if leaf.past.is_empty() {
                    return Ok(node);
                }
                let mut slices = Vec::new();
                self.gather(pager, &leaf.past, &mut slices)?;
                self.merge(leaf, &slices, low.as_ref(), high.as_ref())
            }
        };
        Ok(Arc::new(Node::new(0, 0, Body::Leaf(seen))))
    }

    fn wants(&self, era: &Era) -> bool {
        era.space == self.space
            && match &self.times {
                Times::AsOf(ts) => era.low <= *ts && *ts < era.high,
                Times::Between(after, up_to) => era.low <= *up_to && *after < era.high,
                Times::All(facts) => !facts.is_dead(KeyspaceId(era.space), era.low, era.high),
            }
    }

    fn gather(&self, pager: &Pager, past: &Past, slices: &mut Vec<Opened>) -> Result<()> {
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

    fn merge(
        &self,
        leaf: &Leaf,
        slices: &[Opened],
        low: Option<&OwnedKey>,
        high: Option<&OwnedKey>,
    ) -> Leaf {
        let every = matches!(self.times, Times::All(_));
        let mut found: Vec<(&Leaf, usize)> =
            (0..leaf.entries.len()).map(|index| (leaf, index)).collect();
        for slice in slices {
            let slice = slice.leaf();
            // What is borrowed is shown where it is owned, if it is still there: only times between
            // two that are promised are sure of its chain.
            let shown = |index: &usize| !every || slice.entries.get(*index).tag != Tag::Borrowed;
            found.extend(within(slice, low, high).filter(shown).map(|index| (slice, index)));
        }
        // Stable: of equal versions the leaf's own comes first.
        found.sort_by(|(a, i), (b, j)| a.entries.key(*i).cmp(&b.entries.key(*j)));
        found.dedup_by(|(a, i), (b, j)| a.entries.key(*i) == b.entries.key(*j));
        let mut merged = Leaf::default();
        for (from, index) in found {
            let slot = from.entries.get(index);
            merged.push(from, slot, slot.tag);
        }
        merged
    }
}

/// The entries of `leaf` from `low` on and below `high`.
fn within(leaf: &Leaf, low: Option<&OwnedKey>, high: Option<&OwnedKey>) -> std::ops::Range<usize> {
    let place = |key: &OwnedKey| leaf.entries.search(key.borrow()).unwrap_or_else(|at| at);
    let from = low.map_or(0, place);
    from..high.map_or(leaf.entries.len(), place).max(from)
}

fn part(leaf: &Leaf, range: std::ops::Range<usize>) -> Leaf {
    let mut part = Leaf::default();
    for index in range {
        let slot = leaf.entries.get(index);
        part.push(leaf, slot, slot.tag);
    }
    part
}
