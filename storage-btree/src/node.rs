//! Nodes of the tree in memory.
//!
//! A node is immutable once another tree (a snapshot, a checkpoint) shares it: the writer copies the
//! path to what it changes. A node that a checkpoint has written knows its pages; all others are
//! dirty. Dirty nodes hang in the tree by reference, clean ones by page, through the cache.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::history::Past;
use crate::key::{OwnedKey, VersionKey};
use crate::slotted::{Slotted, Tag, Unpacked};
use crate::swip::Swip;

/// Names a page, or the first page of a chain, and the bytes that must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct PageRef {
    /// The page; 0 is none.
    pub(crate) page: u64,
    /// The page's own checksum: a stale or misdirected page has another.
    pub(crate) crc: u32,
}

impl PageRef {
    pub(crate) fn is_none(self) -> bool {
        self.page == 0
    }
}

/// Where a node lies on disk.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) at: PageRef,
    /// The further pages of its chain: none, unless a key is huge.
    pub(crate) more: Vec<u64>,
}

impl Location {
    pub(crate) fn pages(&self) -> impl Iterator<Item = u64> + '_ {
        std::iter::once(self.at.page).chain(self.more.iter().copied())
    }
}

/// A value too large for a leaf, not yet on disk when it was made.
#[derive(Debug)]
pub(crate) struct Large {
    pub(crate) bytes: Vec<u8>,
    /// Its chain, once a checkpoint has written it.
    pub(crate) location: OnceLock<Location>,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    /// The writer's epoch in which it was made: only in that epoch may it still change.
    pub(crate) born: u64,
    /// Its pages, once written.
    pub(crate) location: OnceLock<Location>,
    /// 0 for a leaf.
    pub(crate) level: u8,
    /// Whether somebody asked for it since the cache's hand last came by.
    pub(crate) used: AtomicBool,
    pub(crate) body: Body,
}

/// What a node holds.
#[derive(Debug)]
pub(crate) enum Body {
    Leaf(Leaf),
    Branch(Branch),
}

/// Versions.
#[derive(Debug, Default)]
pub(crate) struct Leaf {
    pub(crate) entries: Slotted,
    /// Large values that [`Tag::Pending`] entries name by index.
    pub(crate) large: Vec<Arc<Large>>,
    /// Where the versions are that left it by time splits.
    pub(crate) past: Past,
}

/// Children, and between them the lowest key that each but the first may hold.
#[derive(Debug, Default)]
pub(crate) struct Branch {
    /// One fewer than children.
    bounds: Slotted,
    pub(crate) children: Vec<Child>,
}

/// A way to a node.
#[derive(Debug)]
pub(crate) enum Child {
    /// Clean: on disk, perhaps also in the cache.
    Disk(Swip),
    /// Dirty, or written so recently that the tree has not been trimmed yet.
    Memory(Arc<Node>),
}

impl Child {
    /// A way to the node of a page.
    pub(crate) fn disk(at: PageRef) -> Self {
        Self::Disk(Swip::new(at))
    }

    /// Another way to the same node, by page if it has one.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::Disk(swip) => Self::disk(swip.at),
            Self::Memory(node) => match node.location.get() {
                Some(location) => Self::disk(location.at),
                None => Self::Memory(Arc::clone(node)),
            },
        }
    }
}

impl Node {
    /// An empty leaf.
    pub(crate) fn empty(born: u64) -> Self {
        Self::new(born, 0, Body::Leaf(Leaf::default()))
    }

    pub(crate) fn new(born: u64, level: u8, body: Body) -> Self {
        Self { born, location: OnceLock::new(), level, used: AtomicBool::new(false), body }
    }

    /// A slice of history, which looks like a leaf.
    pub(crate) fn of_slice(leaf: Leaf) -> Self {
        Self::new(0, 0, Body::Leaf(leaf))
    }

    /// The leaf that it is.
    ///
    /// # Panics
    /// If it is a branch.
    #[inline]
    pub(crate) fn leaf(&self) -> &Leaf {
        let Body::Leaf(leaf) = &self.body else { unreachable!("a leaf was asked for") };
        leaf
    }

    /// The same node as one that may change in epoch `born`.
    pub(crate) fn reborn(self, born: u64) -> Self {
        Self::new(born, self.level, self.body)
    }

    /// A copy that may change in epoch `born`.
    pub(crate) fn copy(&self, born: u64) -> Self {
        let body = match &self.body {
            Body::Leaf(leaf) => {
                let (entries, large) = (leaf.entries.copy(), leaf.large.clone());
                Body::Leaf(Leaf { entries, large, past: leaf.past.clone() })
            }
            Body::Branch(branch) => Body::Branch(Branch {
                bounds: branch.bounds.copy(),
                children: branch.children.iter().map(Child::share).collect(),
            }),
        };
        Self::new(born, self.level, body)
    }

    /// Notes for the cache that somebody asked for it.
    #[inline]
    pub(crate) fn touch(&self) {
        // A look first: a store would take the line from the other readers each time.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Bytes of memory held, children aside.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + match &self.body {
                Body::Leaf(leaf) => {
                    let large: usize = leaf.large.iter().map(|large| large.bytes.len()).sum();
                    leaf.entries.memory() + large + size_of_val(leaf.past.eras())
                }
                Body::Branch(branch) => {
                    branch.bounds.memory() + branch.children.capacity() * size_of::<Child>()
                }
            }
    }

    /// Bytes that its page needs.
    pub(crate) fn payload_size(&self) -> usize {
        match &self.body {
            Body::Leaf(leaf) => leaf.payload_size(),
            Body::Branch(branch) => branch.payload_size(),
        }
    }

    /// Whether nothing is lost if the node goes.
    pub(crate) fn is_disposable(&self) -> bool {
        let has_past = matches!(&self.body, Body::Leaf(leaf) if !leaf.past.is_empty());
        self.len() == 0 && !has_past
    }

    /// Whether one leaf may take the place of this one and `other`; branches may always.
    pub(crate) fn has_past_of(&self, other: &Self) -> bool {
        match (&self.body, &other.body) {
            (Body::Leaf(leaf), Body::Leaf(other)) => leaf.past.is_same(&other.past),
            _ => true,
        }
    }

    /// Entries or children.
    pub(crate) fn len(&self) -> usize {
        match &self.body {
            Body::Leaf(leaf) => leaf.entries.len(),
            Body::Branch(branch) => branch.children.len(),
        }
    }
}

/// Bytes of a node's payload before its entries: their count.
pub(crate) const NODE_HEAD: usize = 4;

/// Bytes of a child's reference in a page.
pub(crate) const CHILD_BYTES: usize = 12;

/// Bytes of an overflow reference in a leaf entry; a pending entry is padded to the same.
pub(crate) const OVERFLOW_BYTES: usize = 20;

/// The value of a pending entry that names large value `index`.
fn pending_reference(index: usize) -> [u8; OVERFLOW_BYTES] {
    let mut reference = [0; OVERFLOW_BYTES];
    reference[..8].copy_from_slice(&(index as u64).to_le_bytes());
    reference
}

impl Leaf {
    /// Bytes that its page needs, at most.
    pub(crate) fn payload_size(&self) -> usize {
        NODE_HEAD + self.entries.packed_bytes() + self.past.encoded_len()
    }

    /// Adds `value` at `index`, beside the leaf if it is longer than `max_inline`.
    pub(crate) fn insert(
        &mut self,
        index: usize,
        key: VersionKey<'_>,
        value: Option<&[u8]>,
        max_inline: usize,
    ) {
        match value {
            None => self.entries.insert(index, key, Tag::Tombstone, &[]),
            Some(value) if value.len() <= max_inline => {
                self.entries.insert(index, key, Tag::Inline, value);
            }
            Some(value) => {
                let large = Large { bytes: value.to_vec(), location: OnceLock::new() };
                self.insert_pending(index, key, Arc::new(large));
            }
        }
    }

    fn insert_pending(&mut self, index: usize, key: VersionKey<'_>, large: Arc<Large>) {
        let reference = pending_reference(self.large.len());
        self.large.push(large);
        self.entries.insert(index, key, Tag::Pending, &reference);
    }

    /// The large value that a pending entry names.
    pub(crate) fn pending(&self, reference: &[u8]) -> &Arc<Large> {
        &self.large[Self::pending_index(reference)]
    }

    /// The index of the large value that a pending entry names.
    pub(crate) fn pending_index(reference: &[u8]) -> usize {
        u64::from_le_bytes(*reference.first_chunk().expect("a pending reference")) as usize
    }

    /// Takes the entry at `index` out, and gives its large value if that is in memory.
    pub(crate) fn remove(&mut self, index: usize) -> Option<Arc<Large>> {
        let slot = self.entries.get(index);
        let large = (slot.tag == Tag::Pending).then(|| Arc::clone(self.pending(slot.value)));
        self.entries.remove(index);
        if large.is_some() {
            self.renumber();
        }
        large
    }

    /// Moves the entries from `index` on into a leaf of their own.
    pub(crate) fn split_off(&mut self, index: usize) -> Self {
        let right = self.entries.split_off(index);
        let last = self.entries.key(self.entries.len() - 1).space;
        let first = right.key(0).space;
        let past = self.past.of_spaces(first, u32::MAX);
        let mut right = Self { entries: right, large: self.large.clone(), past };
        self.past = self.past.of_spaces(0, last);
        self.renumber();
        right.renumber();
        right
    }

    /// A leaf of `count` entries of others, in ascending order, each under a tag, which take about `bytes`.
    ///
    /// # Panics
    /// If they do not ascend.
    pub(crate) fn gather<'a>(
        entries: impl Iterator<Item = (&'a Self, usize, Tag)>,
        count: usize,
        bytes: usize,
    ) -> Self {
        let mut large = Vec::new();
        let mut gathered = Unpacked::with_capacity(count, bytes);
        for (from, index, tag) in entries {
            let slot = from.entries.get(index);
            let pushed = if tag == Tag::Pending {
                let reference = pending_reference(large.len());
                large.push(Arc::clone(from.pending(slot.value)));
                gathered.push(slot.key, tag, &reference)
            } else {
                gathered.push(slot.key, tag, slot.value)
            };
            pushed.expect("entries ascend");
        }
        Self { entries: gathered.finish(), large, past: Past::default() }
    }

    /// Adds all of `right`, whose keys are above and whose past is the same.
    pub(crate) fn append(&mut self, right: &Self) {
        for slot in right.entries.iter() {
            let end = self.entries.len();
            if slot.tag == Tag::Pending {
                self.insert_pending(end, slot.key, Arc::clone(right.pending(slot.value)));
            } else {
                self.entries.insert(end, slot.key, slot.tag, slot.value);
            }
        }
    }

    /// Forgets large values that no entry names any more.
    fn renumber(&mut self) {
        if self.large.is_empty() {
            return;
        }
        let mut fresh = Self { past: self.past.clone(), ..Self::default() };
        fresh.append(self);
        *self = fresh;
    }
}

impl Branch {
    /// A branch over one node.
    pub(crate) fn of_one(child: Child) -> Self {
        Self { bounds: Slotted::default(), children: vec![child] }
    }

    /// The lowest key that the child at `index`, which is not the first, may hold.
    pub(crate) fn separator(&self, index: usize) -> VersionKey<'_> {
        self.bounds.key(index - 1)
    }

    /// All separators: the first is of the second child.
    pub(crate) fn bounds(&self) -> &Slotted {
        &self.bounds
    }

    /// The same separators over `children`.
    pub(crate) fn over(&self, children: Vec<Child>) -> Self {
        assert_eq!(self.children.len(), children.len());
        Self { bounds: self.bounds.copy(), children }
    }

    /// The child whose range holds `key`.
    #[inline]
    pub(crate) fn child_for(&self, key: VersionKey<'_>) -> usize {
        match self.bounds.search(key) {
            Ok(index) => index + 1,
            Err(index) => index,
        }
    }

    /// Bytes that its page needs, at most.
    pub(crate) fn payload_size(&self) -> usize {
        NODE_HEAD + self.bounds.packed_bytes() + self.children.len() * CHILD_BYTES
    }

    /// Adds a child that is not the first.
    pub(crate) fn insert(&mut self, index: usize, separator: VersionKey<'_>, child: Child) {
        self.bounds.insert(index - 1, separator, Tag::Tombstone, &[]);
        self.children.insert(index, child);
    }

    pub(crate) fn remove(&mut self, index: usize) -> Child {
        // The range of the first child goes to the next one, that of any other to the one before.
        if !self.bounds.is_empty() {
            self.bounds.remove(index.saturating_sub(1));
        }
        self.children.remove(index)
    }

    /// Moves the children from `index` on into a branch of their own, and gives its lowest key.
    pub(crate) fn split_off(&mut self, index: usize) -> (OwnedKey, Self) {
        let lowest = self.separator(index).to_owned();
        let bounds = self.bounds.split_off(index);
        self.bounds.remove(index - 1);
        (lowest, Self { bounds, children: self.children.split_off(index) })
    }

    /// Adds all children of `right`, whose lowest key is `separator`.
    pub(crate) fn append(&mut self, separator: VersionKey<'_>, right: &Self) {
        for (index, child) in right.children.iter().enumerate() {
            let key = if index == 0 { separator } else { right.separator(index) };
            self.insert(self.children.len(), key, child.share());
        }
    }
}
