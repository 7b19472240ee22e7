//! The block cache: checked blocks and filters, by file and offset, within a budget of bytes.
//!
//! What is cached is decompressed, checked and shared: a hit hands out a reference that pins the
//! block, and copies nothing. Eviction is CLOCK [Corbato68]: each slot has a bit that a hit sets; the
//! hand clears bits until it finds one that is clear. Close to LRU, and a hit takes its shard's latch
//! shared, and writes at most one bool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftdb_env::HashMap;
use driftdb_env::sync::RwLock;

use crate::table::{Block, Filter};

/// Readers on different blocks seldom meet.
const SHARD_COUNT: usize = 64;
/// A smaller shard would have no room for a large block.
const MIN_SHARD_BYTES: usize = 256 << 10;

/// What is cached.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    Block(Arc<Block>),
    Filter(Arc<Filter>),
}

impl Cached {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Block(block) => block.size_bytes(),
            Self::Filter(filter) => filter.size_bytes(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockKey {
    pub(crate) file_id: u64,
    pub(crate) offset: u64,
}

#[derive(Debug)]
pub(crate) struct BlockCache {
    shards: Vec<RwLock<Shard>>,
}

#[derive(Debug)]
struct Shard {
    budget_bytes: usize,
    used_bytes: usize,
    slots: Vec<Slot>,
    places: HashMap<BlockKey, usize>,
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    key: BlockKey,
    cached: Cached,
    size_bytes: usize,
    is_hot: AtomicBool,
}

impl BlockCache {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        let count = (budget_bytes / MIN_SHARD_BYTES).clamp(1, SHARD_COUNT);
        let shard = || Shard {
            budget_bytes: budget_bytes / count,
            used_bytes: 0,
            slots: Vec::new(),
            places: HashMap::default(),
            hand: 0,
        };
        Self { shards: (0..count).map(|_| RwLock::new(shard())).collect() }
    }

    #[inline]
    pub(crate) fn get(&self, key: BlockKey) -> Option<Cached> {
        let shard = self.shard(key).read();
        let slot = &shard.slots[*shard.places.get(&key)?];
        // Relaxed: a hint. Written only when it changes, so that readers share the line.
        if !slot.is_hot.load(Ordering::Relaxed) {
            slot.is_hot.store(true, Ordering::Relaxed);
        }
        Some(slot.cached.clone())
    }

    /// Keeps what was read, unless it is larger than a shard.
    pub(crate) fn insert(&self, key: BlockKey, cached: Cached) {
        self.shard(key).write().insert(key, cached);
    }

    /// Forgets what was read of a file that goes away.
    pub(crate) fn remove(&self, key: BlockKey) {
        let mut shard = self.shard(key).write();
        if let Some(&place) = shard.places.get(&key) {
            shard.remove_at(place);
        }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().used_bytes).sum()
    }

    #[inline]
    fn shard(&self, key: BlockKey) -> &RwLock<Shard> {
        let mixed = (key.file_id ^ key.offset.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = (u128::from(mixed) * self.shards.len() as u128) >> 64;
        &self.shards[place as usize]
    }
}

impl Shard {
    fn insert(&mut self, key: BlockKey, cached: Cached) {
        let size_bytes = cached.size_bytes();
        if size_bytes > self.budget_bytes || self.places.contains_key(&key) {
            return;
        }
        while self.used_bytes + size_bytes > self.budget_bytes {
            self.evict_one();
        }
        self.used_bytes += size_bytes;
        self.places.insert(key, self.slots.len());
        // Cold at first: a block read once by a scan goes before one that was hit.
        self.slots.push(Slot { key, cached, size_bytes, is_hot: AtomicBool::new(false) });
    }

    fn evict_one(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            if !std::mem::take(self.slots[self.hand].is_hot.get_mut()) {
                return self.remove_at(self.hand);
            }
            self.hand += 1;
        }
    }

    fn remove_at(&mut self, place: usize) {
        let slot = self.slots.swap_remove(place);
        self.places.remove(&slot.key);
        self.used_bytes -= slot.size_bytes;
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.key, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use driftdb_storage::FilterKind;

    use super::*;

    fn filter(key_count: usize) -> Cached {
        let payload = crate::table::build_filter(FilterKind::Bloom, &mut vec![7; key_count], 8);
        Cached::Filter(Arc::new(Filter::parse(&payload).unwrap()))
    }

    #[test]
    fn it_stays_within_its_budget_and_keeps_what_is_hit() {
        let cache = BlockCache::new(1000);
        let key = |offset| BlockKey { file_id: 1, offset };
        cache.insert(key(0), filter(128));
        for offset in 1..100 {
            assert!(cache.get(key(0)).is_some(), "at {offset}");
            cache.insert(key(offset), filter(128));
            assert!(cache.used_bytes() <= 1000);
        }
        assert!(cache.get(key(1)).is_none());
        cache.insert(key(200), filter(1024));
        assert!(cache.get(key(200)).is_none());
        cache.remove(key(0));
        assert!(cache.get(key(0)).is_none());
    }

    #[test]
    fn what_was_handed_out_outlives_its_slot() {
        let cache = BlockCache::new(1000);
        let key = BlockKey { file_id: 1, offset: 36 };
        cache.insert(key, filter(128));
        let Some(Cached::Filter(pinned)) = cache.get(key) else { panic!("it was there") };
        cache.remove(key);
        assert_eq!(cache.used_bytes(), 0);
        assert!(pinned.may_contain(7));
    }
}
