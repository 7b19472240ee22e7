//! A place in a tree: the path from the root to one version.
//!
//! Pages vouch for their own order only. So a step to a neighbouring leaf compares the keys on both
//! sides of the step, and a search what it found with what it looked for: a cursor over damaged pages
//! ends in an error, and never goes round in a circle.

use std::ops::Range;
use std::sync::Arc;

use driftdb_storage::{Result, StorageError};

use crate::history::lens::{self, Lens};
use crate::key::VersionKey;
use crate::node::{Body, Child, Leaf, Node};
use crate::pager::Pager;
use crate::slotted::Slot;
use crate::tree::Root;

/// A place on a version, or after the last (before the first) one.
#[derive(Debug, Default)]
pub(crate) struct Position {
    /// From the root to a leaf, each with the index taken; empty when off the tree.
    path: Vec<(Arc<Node>, usize)>,
    /// Which entries of the leaf are shown: with a slice of history in its place, those that lie between
    /// the keys of the leaf.
    shown: Range<usize>,
    /// How leaves are looked at; none shows them as they are.
    lens: Option<Lens>,
}

/// The node that `child` leads to.
pub(crate) fn load(pager: &Pager, child: &Child, level: u8) -> Result<Arc<Node>> {
    match child {
        Child::Disk(swip) => swip.load(pager, level),
        Child::Memory(node) => Ok(Arc::clone(node)),
    }
}

impl Position {
    /// A place off the tree, from where leaves are looked at through `lens`.
    pub(crate) fn through(lens: Lens) -> Self {
        Self { lens: Some(lens), ..Self::default() }
    }

    /// Ends the path with a leaf, or with what the lens makes of it.
    fn enter(&mut self, pager: &Pager, mut node: Arc<Node>) -> Result<()> {
        self.shown = 0..node.len();
        if let Some(lens) = &self.lens
            && !lens.shows_as_it_is(node.leaf())
        {
            let bound = |after: usize| {
                self.path.iter().rev().find_map(|(node, index)| {
                    let Body::Branch(branch) = &node.body else { return None };
                    let at = index + after;
                    let is_bound = 0 < at && at < branch.children.len();
                    is_bound.then(|| branch.separator(at))
                })
            };
            (node, self.shown) = lens.look(pager, node, (bound(0), bound(1)))?;
        }
        self.path.push((node, self.shown.start));
        Ok(())
    }

    /// The first entry of the leaf at or above `key` that may be shown, perhaps just beyond the last.
    fn place_of(&self, leaf: &Leaf, key: VersionKey<'_>) -> usize {
        let place = leaf.entries.search(key).unwrap_or_else(|index| index);
        place.clamp(self.shown.start, self.shown.end)
    }

    /// The leaf and the entry it is on.
    #[inline]
    pub(crate) fn get(&self) -> Option<(&Leaf, Slot<'_>)> {
        let (leaf, index) = self.leaf()?;
        Some((leaf, leaf.entries.get(index)))
    }

    /// The leaf, and the index in it.
    #[inline]
    pub(crate) fn leaf(&self) -> Option<(&Leaf, usize)> {
        let (node, index) = self.path.last()?;
        let Body::Leaf(leaf) = &node.body else { return None };
        Some((leaf, *index))
    }

    /// The last entry of the leaf that is shown. The position must be on one.
    #[inline]
    pub(crate) fn last_shown(&self) -> usize {
        self.shown.end - 1
    }

    /// To another entry of the same leaf.
    #[inline]
    pub(crate) fn set(&mut self, index: usize) {
        self.path.last_mut().expect("the caller is on a leaf").1 = index;
    }

    /// Moves off the tree.
    pub(crate) fn clear(&mut self) {
        self.path.clear();
    }

    /// To the first version at or above `key`.
    pub(crate) fn seek(&mut self, pager: &Pager, root: &Root, key: VersionKey<'_>) -> Result<()> {
        if let Some(index) = self.search_leaf(key) {
            self.set(index);
            return Ok(());
        }
        let index = self.descend_to(pager, root, key)?;
        self.settle_forward(pager, index)?;
        self.check_found(pager, |found| found >= key)
    }

    /// To the last version below `key`.
    pub(crate) fn seek_below(
        &mut self,
        pager: &Pager,
        root: &Root,
        key: VersionKey<'_>,
    ) -> Result<()> {
        if let Some(index) = self.search_leaf(key).filter(|index| *index > self.shown.start) {
            self.set(index - 1);
            return Ok(());
        }
        let index = self.descend_to(pager, root, key)?;
        self.settle_backward(pager, index)?;
        self.check_found(pager, |found| found < key)
    }

    /// To the last version of the tree.
    pub(crate) fn seek_last(&mut self, pager: &Pager, root: &Root) -> Result<()> {
        self.path.clear();
        let node = load(pager, &root.child, root.level)?;
        self.descend(pager, node, false)?;
        self.settle_backward(pager, self.shown.end)
    }

    /// To the next version.
    pub(crate) fn next(&mut self, pager: &Pager) -> Result<()> {
        match self.path.last() {
            Some(&(_, index)) => self.settle_forward(pager, index + 1),
            None => Ok(()),
        }
    }

    /// Where `key` is in the present leaf, if that leaf has entries on both sides of it.
    fn search_leaf(&self, key: VersionKey<'_>) -> Option<usize> {
        let (node, _) = self.path.last()?;
        let Body::Leaf(leaf) = &node.body else { return None };
        if self.shown.is_empty() {
            return None;
        }
        let (first, last) =
            (leaf.entries.key(self.shown.start), leaf.entries.key(self.last_shown()));
        let inside = first <= key && key <= last;
        inside.then(|| self.place_of(leaf, key))
    }

    /// To the leaf whose range holds `key`; gives the index of the first entry at or above it, which
    /// may be just beyond the leaf's end.
    fn descend_to(&mut self, pager: &Pager, root: &Root, key: VersionKey<'_>) -> Result<usize> {
        self.path.clear();
        let mut node = load(pager, &root.child, root.level)?;
        loop {
            let Body::Branch(branch) = &node.body else {
                self.enter(pager, node)?;
                let (leaf, _) = self.leaf().expect("a leaf was just entered");
                let index = self.place_of(leaf, key);
                self.set(index);
                return Ok(index);
            };
            let index = branch.child_for(key);
            let below = load(pager, &branch.children[index], node.level - 1)?;
            self.path.push((node, index));
            node = below;
        }
    }

    /// Down from `node` along its first children, or its last ones.
    fn descend(&mut self, pager: &Pager, mut node: Arc<Node>, first: bool) -> Result<()> {
        loop {
            let Body::Branch(branch) = &node.body else {
                return self.enter(pager, node);
            };
            let index = if first { 0 } else { branch.children.len() - 1 };
            let below = load(pager, &branch.children[index], node.level - 1)?;
            self.path.push((node, index));
            node = below;
        }
    }

    /// On to entry `index` of the present leaf, or to the first of the leaves after it.
    fn settle_forward(&mut self, pager: &Pager, mut index: usize) -> Result<()> {
        let mut left: Option<(Arc<Node>, usize)> = None;
        loop {
            let Some((node, at)) = self.path.last_mut() else { return Ok(()) };
            if index < self.shown.end {
                *at = index;
                return match left {
                    Some((left, last)) => check_order(pager, (&left, last), (node, index)),
                    None => Ok(()),
                };
            }
            if !self.shown.is_empty() {
                left = Some((Arc::clone(node), self.shown.end - 1));
            }
            if !self.step(pager, true)? {
                return Ok(());
            }
            index = self.shown.start;
        }
    }

    /// On to the entry before `index` of the present leaf, or to the last of the leaves before it.
    fn settle_backward(&mut self, pager: &Pager, mut index: usize) -> Result<()> {
        let mut right: Option<(Arc<Node>, usize)> = None;
        loop {
            let Some((node, at)) = self.path.last_mut() else { return Ok(()) };
            if index > self.shown.start {
                *at = index.min(self.shown.end) - 1;
                return match right {
                    Some((right, first)) => check_order(pager, (node, *at), (&right, first)),
                    None => Ok(()),
                };
            }
            if !self.shown.is_empty() {
                right = Some((Arc::clone(node), self.shown.start));
            }
            if !self.step(pager, false)? {
                return Ok(());
            }
            index = self.shown.end;
        }
    }

    /// Whether the search ended where it should.
    fn check_found(&self, pager: &Pager, is_right: impl Fn(VersionKey<'_>) -> bool) -> Result<()> {
        let Some((leaf, index)) = self.leaf() else { return Ok(()) };
        if is_right(leaf.entries.key(index)) { Ok(()) } else { Err(self.out_of_order(pager)) }
    }

    /// The damage that the leaf is not where its keys belong.
    pub(crate) fn out_of_order(&self, pager: &Pager) -> StorageError {
        match self.path.last() {
            Some((node, _)) => out_of_order(pager, node),
            None => pager.damage(0, OUT_OF_ORDER),
        }
    }

    /// To the neighbouring leaf; false, and off the tree, if there is none.
    fn step(&mut self, pager: &Pager, forward: bool) -> Result<bool> {
        self.path.pop();
        while let Some((node, index)) = self.path.last_mut() {
            let Body::Branch(branch) = &node.body else { break };
            let next = if forward { index.checked_add(1) } else { index.checked_sub(1) };
            if let Some(child) = next.and_then(|next| branch.children.get(next)) {
                let below = load(pager, child, node.level - 1)?;
                *index = next.unwrap_or_default();
                self.descend(pager, below, forward)?;
                return Ok(true);
            }
            self.path.pop();
        }
        Ok(false)
    }
}

const OUT_OF_ORDER: &str = "entries out of order between pages";

fn out_of_order(pager: &Pager, node: &Node) -> StorageError {
    pager.damage(node.location.get().map_or(0, |location| location.at.page), OUT_OF_ORDER)
}

/// Whether what a leaf shows comes before what the next one shows: its last entry, and the first there.
fn check_order(pager: &Pager, left: (&Node, usize), right: (&Node, usize)) -> Result<()> {
    if left.0.leaf().entries.key(left.1) < right.0.leaf().entries.key(right.1) {
        return Ok(());
    }
    Err(out_of_order(pager, right.0))
}

/// Calls `found` with the first version at or after `key` that is of the same key, if there is one.
/// Nothing is allocated on the way: the path lives on the stack.
pub(crate) fn find<T>(
    pager: &Pager,
    child: &Child,
    level: u8,
    key: VersionKey<'_>,
    found: &mut impl FnMut(&Leaf, Slot<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let cached;
    let node = match child {
        Child::Memory(node) => node,
        Child::Disk(swip) => {
            cached = swip.load(pager, level)?;
            &cached
        }
    };
    match &node.body {
        Body::Leaf(leaf) => {
            if leaf.past.reaches(key.ts())
                && let Some(slice) = lens::covering(pager, &leaf.past, key.space, key.ts())?
            {
                return find_in(pager, slice.leaf(), key, found);
            }
            find_in(pager, leaf, key, found)
        }
        Body::Branch(branch) => {
            let index = branch.child_for(key);
            let here = find(pager, &branch.children[index], level - 1, key, found)?;
            // Older versions of the key may begin the next child; its separator then says so.
            let next = index + 1;
            if here.is_some()
                || next == branch.children.len()
                || !branch.separator(next).same_key(&key)
            {
                return Ok(here);
            }
            find(pager, &branch.children[next], level - 1, key, found)
        }
    }
}

fn find_in<T>(
    pager: &Pager,
    leaf: &Leaf,
    key: VersionKey<'_>,
    found: &mut impl FnMut(&Leaf, Slot<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let index = leaf.entries.search(key).unwrap_or_else(|index| index);
    if index == leaf.entries.len() {
        return Ok(None);
    }
    let slot = leaf.entries.get(index);
    // Leaves differ in the page that they lie in.
    let hint = std::ptr::from_ref(leaf).addr() as u64 >> 7;
    pager.counters.versions_examined.add(hint, 1);
    if slot.key.same_key(&key) { found(leaf, slot).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use driftdb_env::{Disk, FileKind, OpenHow};
    use driftdb_sim_disk::SimDisk;

    use super::*;
    use crate::node::Branch;
    use crate::slotted::Tag;
    use crate::superblock::Superblock;

    /// A pager over nothing: all nodes of these tests are in memory.
    fn pager() -> Pager {
        let file = SimDisk::new(1)
            .open(Path::new("/pages.db"), OpenHow::CreateNew, FileKind::Pages)
            .unwrap();
        let superblock = Superblock::empty(1, 512);
        Pager::new(file, "pages.db".to_owned(), &superblock, 1 << 16)
    }

    fn key(key: &[u8]) -> VersionKey<'_> {
        VersionKey { space: 1, key, age: 7 }
    }

    /// A tree of two leaves, with the separator "m" between them.
    fn tree(left: &[&[u8]], right: &[&[u8]]) -> Root {
        let leaf = |keys: &[&[u8]]| {
            let mut leaf = Leaf::default();
            for (index, bytes) in keys.iter().enumerate() {
                leaf.entries.insert(index, key(bytes), Tag::Tombstone, &[]);
            }
            Child::Memory(Arc::new(Node::new(0, 0, Body::Leaf(leaf))))
        };
        let mut branch = Branch::of_one(leaf(left));
        branch.insert(1, key(b"m"), leaf(right));
        Root { child: Child::Memory(Arc::new(Node::new(0, 1, Body::Branch(branch)))), level: 1 }
    }

    #[test]
    fn leaves_whose_keys_belong_elsewhere_are_damage_in_both_directions() {
        let pager = pager();
        let is_refused = |result: Result<()>| matches!(result, Err(StorageError::Corruption(_)));
        let mut position = Position::default();
        let sound = tree(&[b"a", b"c"], &[b"m", b"x"]);
        position.seek(&pager, &sound, key(b"d")).unwrap();
        assert_eq!(position.get().unwrap().1.key, key(b"m"));
        position.seek_below(&pager, &sound, key(b"m")).unwrap();
        assert_eq!(position.get().unwrap().1.key, key(b"c"));
        // "z" is found left of "m": a search from it finds what lies below it, and goes round.
        let damaged = tree(&[b"a", b"z"], &[b"m", b"x"]);
        position.clear();
        assert!(is_refused(position.seek_below(&pager, &damaged, key(b"m"))));
        position.clear();
        position.seek(&pager, &damaged, key(b"b")).unwrap();
        assert!(is_refused(position.next(&pager)));
    }
}
