//! A place in a tree: the path from the root to one version.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use driftdb_storage::Result;

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
    /// How leaves are looked at; none shows them as they are.
    lens: Option<Lens>,
}

/// The node that `child` leads to.
pub(crate) fn load(pager: &Pager, child: &Child, level: u8) -> Result<Arc<Node>> {
    match child {
        Child::Disk(at) => pager.node(*at, level),
        Child::Memory(node) => Ok(Arc::clone(node)),
    }
}

impl Position {
    /// A place off the tree, from where leaves are looked at through `lens`.
    pub(crate) fn through(lens: Lens) -> Self {
        Self { path: Vec::new(), lens: Some(lens) }
    }

    /// What the lens makes of the leaf that the path leads to.
    fn look(&self, pager: &Pager, leaf: Arc<Node>) -> Result<Arc<Node>> {
        let Some(lens) = &self.lens else { return Ok(leaf) };
        if matches!(&leaf.body, Body::Leaf(leaf) if leaf.past.is_empty()) {
            return Ok(leaf);
        }
        let bound = |after: usize| {
            self.path.iter().rev().find_map(|(node, index)| {
                let Body::Branch(branch) = &node.body else { return None };
                let at = index + after;
                let is_bound = 0 < at && at < branch.children.len();
                is_bound.then(|| branch.separators.key(at).to_owned())
            })
        };
        lens.look(pager, leaf, bound(0), bound(1))
    }

    /// The leaf and the entry it is on.
    pub(crate) fn get(&self) -> Option<(&Leaf, Slot<'_>)> {
        let (node, index) = self.path.last()?;
        let Body::Leaf(leaf) = &node.body else { return None };
        Some((leaf, leaf.entries.get(*index)))
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
        self.settle_forward(pager, index)
    }

    /// To the last version below `key`.
    pub(crate) fn seek_below(
        &mut self,
        pager: &Pager,
        root: &Root,
        key: VersionKey<'_>,
    ) -> Result<()> {
        if let Some(index) = self.search_leaf(key).filter(|index| *index > 0) {
            self.set(index - 1);
            return Ok(());
        }
        let index = self.descend_to(pager, root, key)?;
        self.settle_backward(pager, index)
    }

    /// To the last version of the tree.
    pub(crate) fn seek_last(&mut self, pager: &Pager, root: &Root) -> Result<()> {
        self.path.clear();
        let node = load(pager, &root.child, root.level)?;
        self.descend(pager, node, false)?;
        let len = self.path.last().map_or(0, |(node, _)| node.len());
        self.settle_backward(pager, len)
    }

    /// To the next version.
    pub(crate) fn next(&mut self, pager: &Pager) -> Result<()> {
        match self.path.last() {
            Some(&(_, index)) => self.settle_forward(pager, index + 1),
            None => Ok(()),
        }
    }

    fn set(&mut self, index: usize) {
        self.path.last_mut().expect("the caller is on a leaf").1 = index;
    }

    /// Where `key` is in the present leaf, if that leaf has entries on both sides of it.
    fn search_leaf(&self, key: VersionKey<'_>) -> Option<usize> {
        let (node, _) = self.path.last()?;
        let Body::Leaf(leaf) = &node.body else { return None };
        let last = leaf.entries.len().checked_sub(1)?;
        let inside = leaf.entries.key(0) <= key && key <= leaf.entries.key(last);
        inside.then(|| leaf.entries.search(key).unwrap_or_else(|index| index))
    }

    /// To the leaf whose range holds `key`; gives the index of the first entry at or above it, which
    /// may be just beyond the leaf's end.
    fn descend_to(&mut self, pager: &Pager, root: &Root, key: VersionKey<'_>) -> Result<usize> {
        self.path.clear();
        let mut node = load(pager, &root.child, root.level)?;
        loop {
            let (index, below) = match &node.body {
                Body::Leaf(_) => {
                    let node = self.look(pager, node)?;
                    let Body::Leaf(leaf) = &node.body else {
                        unreachable!("a leaf looks like one")
                    };
                    let index = leaf.entries.search(key).unwrap_or_else(|index| index);
                    self.path.push((node, index));
                    return Ok(index);
                }
                Body::Branch(branch) => {
                    let index = branch.child_for(key);
                    (index, load(pager, &branch.children[index], node.level - 1)?)
                }
            };
            self.path.push((node, index));
            node = below;
        }
    }

    /// Down from `node` along its first children, or its last ones.
    fn descend(&mut self, pager: &Pager, mut node: Arc<Node>, first: bool) -> Result<()> {
        loop {
            if let Body::Leaf(_) = &node.body {
                node = self.look(pager, node)?;
            }
            let index = if first { 0 } else { node.len().saturating_sub(1) };
            let Body::Branch(branch) = &node.body else {
                self.path.push((node, index));
                return Ok(());
            };
            let below = load(pager, &branch.children[index], node.level - 1)?;
            self.path.push((node, index));
            node = below;
        }
    }

    /// On to entry `index` of the present leaf, or to the first of the leaves after it.
    fn settle_forward(&mut self, pager: &Pager, mut index: usize) -> Result<()> {
        loop {
            let Some((node, at)) = self.path.last_mut() else { return Ok(()) };
            if index < node.len() {
                *at = index;
                return Ok(());
            }
            if !self.step(pager, true)? {
                return Ok(());
            }
            index = 0;
        }
    }

    /// On to the entry before `index` of the present leaf, or to the last of the leaves before it.
    fn settle_backward(&mut self, pager: &Pager, mut index: usize) -> Result<()> {
        loop {
            let Some((node, at)) = self.path.last_mut() else { return Ok(()) };
            if index > 0 {
                *at = index.min(node.len()) - 1;
                return Ok(());
            }
            if !self.step(pager, false)? {
                return Ok(());
            }
            index = self.path.last().map_or(0, |(node, _)| node.len());
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
        Child::Disk(at) => {
            cached = pager.node(*at, level)?;
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
                || !branch.separators.key(next).same_key(&key)
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
    pager.counters.versions_examined.fetch_add(1, Ordering::Relaxed);
    if slot.key.same_key(&key) { found(leaf, slot).map(Some) } else { Ok(None) }
}
