//! Changing the tree: copy the path once, insert, split, remove, merge.
//!
//! Sources: [Comer79] for the tree, [Rodeh08] for copy-on-write and why leaves are not linked.

use std::sync::Arc;

use driftdb_env::sometimes;
use driftdb_storage::KeyspaceId;

use crate::codec::Overflow;
use crate::facts::Facts;
use crate::history::Era;
use crate::history::split::Pending;
use crate::key::{OwnedKey, VersionKey};
use crate::node::{Body, Branch, Child, Large, Leaf, Node, PageRef};
use crate::pager::Pager;
use crate::slotted::{Tag, entry_size};
use crate::swip::Swip;

/// Children per branch. More would make the tree lower and the copy of a path dearer: copying a
/// branch takes a reference on each dirty child.
const MAX_FANOUT: usize = 256;

/// What the tree let go in one epoch.
#[derive(Debug, Default)]
pub(crate) struct LetGo {
    /// Pages that were on disk.
    pub(crate) pages: Vec<u64>,
    /// Nodes that a running checkpoint may be writing: their pages, if any, are known at its end.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Large values of which the same is true.
    pub(crate) large: Vec<Arc<Large>>,
}

impl LetGo {
    fn node(&mut self, node: &Arc<Node>) {
        match node.location.get() {
            Some(location) => self.pages.extend(location.pages()),
            None => self.nodes.push(Arc::clone(node)),
        }
    }

    /// The pages of everything let go. A node that never reached the disk has none.
    pub(crate) fn resolve(&self) -> Vec<u64> {
        let nodes = self.nodes.iter().filter_map(|node| node.location.get());
        let large = self.large.iter().filter_map(|large| large.location.get());
        let late = nodes.chain(large).flat_map(|location| location.pages());
        self.pages.iter().copied().chain(late).collect()
    }

    /// Adds what an earlier epoch let go.
    pub(crate) fn extend(&mut self, other: Self) {
        self.pages.extend(other.pages);
        self.nodes.extend(other.nodes);
        self.large.extend(other.large);
    }
}

/// The root and its height.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) child: Child,
    pub(crate) level: u8,
}

impl Root {
    pub(crate) fn share(&self) -> Self {
        Self { child: self.child.share(), level: self.level }
    }
}

/// A node that must be read before the tree can be changed. The writer does no I/O itself, since it
/// works under the latch that every new snapshot needs; whoever called it reads the node, hands it in
/// with the others, and tries again.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) at: PageRef,
    pub(crate) level: u8,
}

type Result<T> = std::result::Result<T, Missing>;

/// The one who may change the tree.
pub(crate) struct Writer<'a> {
    pub(crate) pager: &'a Pager,
    /// Nodes that were missing in earlier attempts.
    pub(crate) loaded: &'a mut Vec<Arc<Node>>,
    /// Nodes born in this epoch, and not shared, change in place.
    pub(crate) epoch: u64,
    pub(crate) let_go: &'a mut LetGo,
    /// Says which history is dead.
    pub(crate) facts: &'a Facts,
    /// Slices of history that no checkpoint has captured.
    pub(crate) history: &'a mut Pending,
    /// Bytes of nodes that no checkpoint has captured.
    pub(crate) dirty_bytes: &'a mut usize,
}

/// The right part of a node that was split.
struct Split {
    separator: OwnedKey,
    right: Child,
}

impl Writer<'_> {
    /// Puts a version into the tree; one of the same key and time is replaced.
    pub(crate) fn insert(
        &mut self,
        root: &mut Root,
        key: VersionKey<'_>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let level = root.level;
        let Some(split) = self.insert_into(&mut root.child, level, key, value)? else {
            return Ok(());
        };
        sometimes!("btree.root-grew");
        let left = std::mem::replace(&mut root.child, Child::disk(PageRef::default()));
        let mut branch = Branch::of_one(left);
        branch.insert(1, split.separator.borrow(), split.right);
        root.level += 1;
        let node = Node::new(self.epoch, root.level, Body::Branch(branch));
        *self.dirty_bytes += node.memory();
        root.child = Child::Memory(Arc::new(node));
        Ok(())
    }

    /// Takes a version out of the tree, if it is there. `chain` are the pages of its overflow chain,
    /// if it is on disk.
    pub(crate) fn remove(
        &mut self,
        root: &mut Root,
        key: VersionKey<'_>,
        chain: &[u64],
    ) -> Result<()> {
        let level = root.level;
        self.remove_from(&mut root.child, level, key, chain)?;
        self.collapse(root)
    }

    /// Makes the nodes on the way to `key` dirty, so that the next checkpoint writes them elsewhere.
    pub(crate) fn touch(&mut self, root: &mut Root, key: VersionKey<'_>) -> Result<()> {
        let mut level = root.level;
        let mut child = &mut root.child;
        loop {
            let node = self.own(child, level)?;
            let Body::Branch(branch) = &mut node.body else { return Ok(()) };
            let index = branch.child_for(key);
            child = &mut branch.children[index];
            level -= 1;
        }
    }

    /// Makes `child` a node that may change.
    fn own<'c>(&mut self, child: &'c mut Child, level: u8) -> Result<&'c mut Node> {
        let copy = match child {
            Child::Disk(swip) => {
                let node = self.take(swip, level)?;
                self.let_go.node(&node);
                Some(match Arc::try_unwrap(node) {
                    Ok(node) => node.reborn(self.epoch),
                    Err(shared) => shared.copy(self.epoch),
                })
            }
            Child::Memory(node) if node.born < self.epoch => {
                self.let_go.node(node);
                Some(node.copy(self.epoch))
            }
            Child::Memory(node) => match Arc::get_mut(node) {
                Some(_) => None,
                // A snapshot shares it. The copy takes its place among the dirty nodes.
                None => {
                    sometimes!("btree.node-copied-for-a-snapshot");
                    *self.dirty_bytes = self.dirty_bytes.saturating_sub(node.memory());
                    Some(node.copy(self.epoch))
                }
            },
        };
        if let Some(copy) = copy {
            *self.dirty_bytes += copy.memory();
            *child = Child::Memory(Arc::new(copy));
        }
        let Child::Memory(node) = child else { unreachable!("made a node in memory above") };
        Ok(Arc::get_mut(node).expect("made or found to be the only reference above"))
    }

    fn insert_into(
        &mut self,
        child: &mut Child,
        level: u8,
        key: VersionKey<'_>,
        value: Option<&[u8]>,
    ) -> Result<Option<Split>> {
        let node = self.own(child, level)?;
        let right = match &mut node.body {
            Body::Leaf(leaf) => {
                *self.dirty_bytes += entry_size(key.key.len(), value.map_or(0, <[u8]>::len)) + 4;
                self.insert_version(leaf, key, value)
            }
            Body::Branch(branch) => {
                let index = branch.child_for(key);
                let split = self.insert_into(&mut branch.children[index], level - 1, key, value)?;
                split.and_then(|split| self.insert_child(branch, index + 1, split))
            }
        };
        Ok(right.map(|(separator, body)| {
            let node = Node::new(self.epoch, level, body);
            Split { separator, right: Child::Memory(Arc::new(node)) }
        }))
    }

    fn insert_version(
        &mut self,
        leaf: &mut Leaf,
        key: VersionKey<'_>,
        value: Option<&[u8]>,
    ) -> Option<(OwnedKey, Body)> {
        let index = match leaf.entries.search(key) {
            Ok(index) => {
                self.let_go.large.extend(leaf.remove(index));
                index
            }
            Err(index) => index,
        };
        leaf.insert(index, key, value, self.pager.max_inline());
        let len = leaf.entries.len();
        if leaf.payload_size() <= self.pager.capacity() || len < 2 {
            return None;
        }
        self.shed(leaf);
        let moved_bytes = self.history.split(leaf, self.pager.capacity());
        sometimes!("btree.leaf-split-by-time", moved_bytes > 0);
        *self.dirty_bytes += moved_bytes;
        let len = leaf.entries.len();
        if leaf.payload_size() <= self.pager.capacity() || len < 2 {
            return None;
        }
        // Keys that only ever grow would leave every leaf half full.
        // And a key that comes first may have little in common with the rest: alone, it cannot make
        // their pages longer.
        let shorter = index == 0 && leaf.payload_size() > self.pager.capacity() * 3 / 2;
        let middle = match index {
            _ if moved_bytes > 0 => middle_between_keys(leaf),
            _ if index == len - 1 => index,
            0 if shorter => 1,
            _ => middle_between_keys(leaf),
        };
        sometimes!("btree.leaf-split-at-its-end", middle == len - 1);
        sometimes!("btree.leaf-split-in-the-middle", middle < len - 1);
        let separator = leaf.entries.key(middle).separator_from(leaf.entries.key(middle - 1));
        Some((separator, Body::Leaf(leaf.split_off(middle))))
    }

    fn insert_child(
        &mut self,
        branch: &mut Branch,
        index: usize,
        split: Split,
    ) -> Option<(OwnedKey, Body)> {
        branch.insert(index, split.separator.borrow(), split.right);
        let len = branch.children.len();
        // A branch of huge keys may need more than a page; it must still fan out.
        if (branch.payload_size() <= self.pager.capacity() && len <= MAX_FANOUT) || len < 4 {
            return None;
        }
        sometimes!("btree.branch-split");
        let middle =
            if index == len - 1 { len - 2 } else { branch.bounds().middle().clamp(2, len - 2) };
        let (separator, right) = branch.split_off(middle);
        Some((separator, Body::Branch(right)))
    }

    fn remove_from(
        &mut self,
        child: &mut Child,
        level: u8,
        key: VersionKey<'_>,
        chain: &[u64],
    ) -> Result<()> {
        let node = self.own(child, level)?;
        match &mut node.body {
            Body::Leaf(leaf) => {
                let Ok(index) = leaf.entries.search(key) else { return Ok(()) };
                let slot = leaf.entries.get(index);
                if slot.tag == Tag::Overflow {
                    // The caller saw the same entry: chains are written by checkpoints only, and
                    // none runs beside a fold.
                    assert_eq!(chain.first(), Some(&Overflow::decode(slot.value).at.page));
                    sometimes!("btree.overflow-pages-let-go");
                    self.let_go.pages.extend(chain);
                }
                self.let_go.large.extend(leaf.remove(index));
                self.shed(leaf);
                Ok(())
            }
            Body::Branch(branch) => {
                let index = branch.child_for(key);
                self.remove_from(&mut branch.children[index], level - 1, key, chain)?;
                self.rebalance(branch, level - 1, index)
            }
        }
    }

    /// Removes the child at `index` if it is empty, or merges it with a neighbour if both are small.
    fn rebalance(&mut self, branch: &mut Branch, level: u8, index: usize) -> Result<()> {
        let Child::Memory(child) = &branch.children[index] else { return Ok(()) };
        if child.is_disposable() {
            sometimes!("btree.empty-node-removed");
            branch.remove(index);
            return Ok(());
        }
        let small = self.pager.capacity() / 4;
        if child.payload_size() > small || branch.children.len() < 2 {
            return Ok(());
        }
        let left = index.min(branch.children.len() - 2);
        // Everything that may fail comes before the first change.
        let left_size = self.look(&branch.children[left], level)?.payload_size();
        let right = self.look(&branch.children[left + 1], level)?;
        let left_node = self.look(&branch.children[left], level)?;
        if left_size + right.payload_size() > small * 3 || !left_node.has_past_of(&right) {
            return Ok(());
        }
        drop(left_node);
        let separator = branch.separator(left + 1).to_owned();
        let owned = self.own(&mut branch.children[left], level)?;
        match (&mut owned.body, &right.body) {
            (Body::Leaf(owned), Body::Leaf(right)) => owned.append(right),
            (Body::Branch(owned), Body::Branch(right)) => {
                owned.append(separator.borrow(), right);
            }
            _ => unreachable!("neighbours are of one level"),
        }
        branch.remove(left + 1);
        sometimes!("btree.nodes-merged");
        if right.born < self.epoch {
            self.let_go.node(&right);
        }
        Ok(())
    }

    /// Drops what is dead from the list of a leaf that changes anyway.
    fn shed(&self, leaf: &mut Leaf) {
        let facts = self.facts;
        let dead = |era: &Era| facts.is_dead(KeyspaceId(era.space), era.low, era.high);
        leaf.past.shed(dead);
    }

    fn look(&self, child: &Child, level: u8) -> Result<Arc<Node>> {
        match child {
            Child::Disk(swip) => self.node(swip, level),
            Child::Memory(node) => Ok(Arc::clone(node)),
        }
    }

    /// The node, which no longer belongs in the cache: the tree is about to get another in its place.
    /// Often nobody else has it, so that it need not be copied; a snapshot that wants it once more
    /// finds it on its page.
    fn take(&mut self, swip: &Swip, level: u8) -> Result<Arc<Node>> {
        let is_it = |node: &Arc<Node>| node.location.get().is_some_and(|found| found.at == swip.at);
        let loaded = self.loaded.iter().position(is_it);
        let cached = self.pager.take(swip.at);
        let node = loaded.map(|index| self.loaded.swap_remove(index)).or(cached);
        let Some(node) = node.filter(|node| node.level == level) else {
            return Err(Missing { at: swip.at, level });
        };
        Ok(node)
    }

    fn node(&self, swip: &Swip, level: u8) -> Result<Arc<Node>> {
        let at = swip.at;
        if let Some(node) = swip.resident(level) {
            return Ok(node);
        }
        let is_it = |node: &&Arc<Node>| node.location.get().is_some_and(|found| found.at == at);
        let loaded = self.loaded.iter().find(is_it).cloned();
        let node = loaded.or_else(|| self.pager.cached(at)).filter(|node| node.level == level);
        node.ok_or(Missing { at, level })
    }

    /// Drops branches at the top that lead to one child only.
    fn collapse(&mut self, root: &mut Root) -> Result<()> {
        loop {
            let level = root.level;
            let Child::Memory(node) = &root.child else { return Ok(()) };
            if level == 0 || node.len() > 1 {
                return Ok(());
            }
            let node = self.own(&mut root.child, level)?;
            let Body::Branch(branch) = &mut node.body else { return Ok(()) };
            match branch.children.pop() {
                Some(only) => {
                    sometimes!("btree.root-shrank");
                    *root = Root { child: only, level: level - 1 };
                }
                None => {
                    let child = Child::Memory(Arc::new(Node::empty(self.epoch)));
                    *root = Root { child, level: 0 };
                }
            }
        }
    }
}

/// Where to split a leaf by key: at the first version of a key, as near to the middle as can be, so
/// that the versions of a key stay together for the next split by time.
fn middle_between_keys(leaf: &Leaf) -> usize {
    let middle = leaf.entries.middle();
    let begins = |&index: &usize| !leaf.entries.key(index - 1).same_key(&leaf.entries.key(index));
    let (before, after) =
        ((1..=middle).rev().find(begins), (middle..leaf.entries.len()).find(begins));
    match (before, after) {
        (Some(before), Some(after)) if middle - before > after - middle => after,
        (Some(index), _) | (None, Some(index)) => index,
        (None, None) => middle,
    }
}
