//! The way from a branch to a clean child: its page, and where it was last seen in memory.
//!
//! Source: the swizzled pointers ("swips") of [Leis18]. Ours is weak: the cache alone decides how long
//! a node stays, and a swip of an evicted one leads to the cache, and from there to the disk. It learns
//! the place once; after an eviction the child is found by its page until the branch itself is read
//! or copied anew. A hit takes no latch: a reference is gained or found lost by one atomic operation.

use std::sync::{Arc, OnceLock, Weak};

use driftdb_storage::Result;

use crate::node::{Node, PageRef};
use crate::pager::Pager;

/// Where a clean node was last seen in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(OnceLock<Weak<Node>>);

impl Seen {
    /// The node, if it is still there.
    #[inline]
    pub(crate) fn resident(&self) -> Option<Arc<Node>> {
        let node = self.0.get()?.upgrade()?;
        node.touch();
        Some(node)
    }

    pub(crate) fn note(&self, node: &Arc<Node>) {
        self.0.get_or_init(|| Arc::downgrade(node));
    }
}

/// A way to a clean node.
#[derive(Debug)]
pub(crate) struct Swip {
    pub(crate) at: PageRef,
    seen: Seen,
}

impl Swip {
    pub(crate) fn new(at: PageRef) -> Self {
        Self { at, seen: Seen::default() }
    }

    /// The node, if this way has led to it before and it is still in memory.
    #[inline]
    pub(crate) fn resident(&self, level: u8) -> Option<Arc<Node>> {
        self.seen.resident().filter(|node| node.level == level)
    }

    /// The node, which the parent says is of `level`.
    #[inline]
    pub(crate) fn load(&self, pager: &Pager, level: u8) -> Result<Arc<Node>> {
        if let Some(node) = self.resident(level) {
            pager.found(self.at);
            return Ok(node);
        }
        let node = pager.node(self.at, level)?;
        self.note(&node);
        Ok(node)
    }

    /// Remembers where the node is.
    pub(crate) fn note(&self, node: &Arc<Node>) {
        self.seen.note(node);
    }
}
