//! Clean nodes in memory, by page: sharded CLOCK [Corbato68].
//!
//! The key holds the page's checksum, so that a page that was reused never answers for its
//! predecessor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use driftdb_env::HashMap;
use driftdb_env::sync::Mutex;

use crate::node::{Node, PageRef};
use crate::striped::Striped;

/// Shards: enough that two cores seldom meet.
const MAX_SHARDS: usize = 16;

/// A shard below this many pages would thrash on one path from root to leaf.
const MIN_PAGES_PER_SHARD: usize = 32;

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    shards: Box<[Mutex<Shard>]>,
    shard_bytes: usize,
    /// Nodes found on other ways, by page.
    found: Striped,
}

#[derive(Debug, Default)]
struct Shard {
    by_page: HashMap<PageRef, usize>,
    ring: Vec<Entry>,
    hand: usize,
    bytes: usize,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct Entry {
    at: PageRef,
    node: Arc<Node>,
    bytes: usize,
}

impl Cache {
    /// A cache of about `bytes` for pages of `page_size`.
    pub(crate) fn new(bytes: usize, page_size: usize) -> Self {
        let count = (bytes / (page_size * MIN_PAGES_PER_SHARD)).clamp(1, MAX_SHARDS);
        Self {
            shards: (0..count).map(|_| Mutex::default()).collect(),
            shard_bytes: bytes / count,
            found: Striped::default(),
        }
    }

    fn shard(&self, at: PageRef) -> &Mutex<Shard> {
        // The checksum is as good as a hash.
        &self.shards[at.crc as usize % self.shards.len()]
    }

    /// The node of a page.
    pub(crate) fn get(&self, at: PageRef) -> Option<Arc<Node>> {
        let mut shard = self.shard(at).lock();
        let Some(&index) = shard.by_page.get(&at) else {
            shard.misses += 1;
            return None;
        };
        shard.hits += 1;
        let entry = &shard.ring[index];
        entry.node.touch();
        Some(Arc::clone(&entry.node))
    }

    /// Takes a node out, for a writer that is about to replace it.
    pub(crate) fn take(&self, at: PageRef) -> Option<Arc<Node>> {
        let mut shard = self.shard(at).lock();
        let index = *shard.by_page.get(&at)?;
        Some(shard.remove(index))
    }

    /// Counts a hit on a way that needed no look-up here.
    #[inline]
    pub(crate) fn found(&self, at: PageRef) {
        self.found.add(at.page, 1);
    }

    /// How often a node was there, how often not, and how many bytes are kept.
    pub(crate) fn figures(&self) -> (u64, u64, u64) {
        self.shards.iter().fold((self.found.sum(), 0, 0), |(hits, misses, bytes), shard| {
            let shard = shard.lock();
            (hits + shard.hits, misses + shard.misses, bytes + shard.bytes as u64)
        })
    }

    /// Keeps a clean node for as long as there is room.
    pub(crate) fn insert(&self, at: PageRef, node: &Arc<Node>) {
        let bytes = node.memory();
        if bytes > self.shard_bytes {
            return;
        }
        let mut shard = self.shard(at).lock();
        if shard.by_page.contains_key(&at) {
            return;
        }
        while shard.bytes + bytes > self.shard_bytes {
            shard.evict_one();
        }
        let index = shard.ring.len();
        shard.ring.push(Entry { at, node: Arc::clone(node), bytes });
        shard.by_page.insert(at, index);
        shard.bytes += bytes;
    }
}

impl Shard {
    /// Sweeps the hand to the first entry that nobody asked for since it last came by.
    ///
    /// # Panics
    /// If the shard is empty: it has bytes, so it has entries.
    fn evict_one(&mut self) {
        assert!(!self.ring.is_empty());
        let mut passed = 0;
        loop {
            self.hand %= self.ring.len();
            // Readers may go on touching it meanwhile; a second round at most takes it all the same.
            let was_used = self.ring[self.hand].node.used.swap(false, Ordering::Relaxed);
            if !was_used || passed > self.ring.len() {
                break;
            }
            passed += 1;
            self.hand += 1;
        }
        self.remove(self.hand);
    }

    fn remove(&mut self, index: usize) -> Arc<Node> {
        let gone = self.ring.swap_remove(index);
        self.bytes -= gone.bytes;
        self.by_page.remove(&gone.at);
        if let Some(moved) = self.ring.get(index) {
            self.by_page.insert(moved.at, index);
        }
        gone.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bytes_and_keeps_what_is_used() {
        let empty = || Arc::new(Node::empty(0));
        let room = empty().memory() * 4;
        let cache = Cache::new(room, 8192);
        let at = |page| PageRef { page, crc: 0 };
        cache.insert(at(1), &empty());
        for page in 2..100 {
            assert!(cache.get(at(1)).is_some(), "page {page}");
            cache.insert(at(page), &empty());
        }
        let kept = (1..100).filter(|page| cache.get(at(*page)).is_some()).count();
        assert_eq!(kept, 4);
        assert!(cache.get(PageRef { page: 1, crc: 1 }).is_none());
    }
}
