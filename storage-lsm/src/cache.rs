//! The block cache: checked frames, by file and offset, within a budget of bytes.
//!
//! Eviction is CLOCK [Corbato68]: each slot has a bit that a hit sets; the hand clears bits until
//! it finds one that is clear. Close to LRU, and a hit writes one bool. Sharded, so that readers
//! on different blocks seldom meet at a latch.

use std::sync::Arc;

use driftdb_env::HashMap;
use driftdb_env::sync::Mutex;

/// A checked frame.
pub(crate) type Frame = Arc<Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockKey {
    pub(crate) file_id: u64,
    pub(crate) offset: u64,
}

#[derive(Debug)]
pub(crate) struct BlockCache {
    shards: Vec<Mutex<Shard>>,
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
    frame: Frame,
    is_hot: bool,
}

impl BlockCache {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        // Shards of a small cache would each be too small for a block.
        let count = if budget_bytes >= 4 << 20 { 16 } else { 1 };
        let shard = || Shard {
            budget_bytes: budget_bytes / count,
            used_bytes: 0,
            slots: Vec::new(),
            places: HashMap::default(),
            hand: 0,
        };
        Self { shards: (0..count).map(|_| Mutex::new(shard())).collect() }
    }

    pub(crate) fn get(&self, key: BlockKey) -> Option<Frame> {
        let mut shard = self.shard(key).lock();
        let place = *shard.places.get(&key)?;
        let slot = &mut shard.slots[place];
        slot.is_hot = true;
        Some(Arc::clone(&slot.frame))
    }

    /// Keeps a frame, unless it is larger than a shard.
    pub(crate) fn insert(&self, key: BlockKey, frame: Frame) {
        self.shard(key).lock().insert(key, frame);
    }

    /// Forgets a frame of a file that goes away.
    pub(crate) fn remove(&self, key: BlockKey) {
        let mut shard = self.shard(key).lock();
        if let Some(&place) = shard.places.get(&key) {
            shard.remove_at(place);
        }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().used_bytes).sum()
    }

    fn shard(&self, key: BlockKey) -> &Mutex<Shard> {
        let mixed = (key.file_id ^ key.offset.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.shards[(mixed >> 32) as usize % self.shards.len()]
    }
}

impl Shard {
    fn insert(&mut self, key: BlockKey, frame: Frame) {
        if frame.len() > self.budget_bytes || self.places.contains_key(&key) {
            return;
        }
        while self.used_bytes + frame.len() > self.budget_bytes {
            self.evict_one();
        }
        self.used_bytes += frame.len();
        self.places.insert(key, self.slots.len());
        // Cold at first: a block read once by a scan goes before one that was hit.
        self.slots.push(Slot { key, frame, is_hot: false });
    }

    fn evict_one(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = &mut self.slots[self.hand];
            if !slot.is_hot {
                return self.remove_at(self.hand);
            }
            slot.is_hot = false;
            self.hand += 1;
        }
    }

    fn remove_at(&mut self, place: usize) {
        let slot = self.slots.swap_remove(place);
        self.places.remove(&slot.key);
        self.used_bytes -= slot.frame.len();
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.key, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_budget_and_keeps_what_is_hit() {
        let cache = BlockCache::new(1000);
        let key = |offset| BlockKey { file_id: 1, offset };
        cache.insert(key(0), Arc::new(vec![7; 100]));
        for offset in 1..100 {
            assert!(cache.get(key(0)).is_some(), "at {offset}");
            cache.insert(key(offset), Arc::new(vec![0; 100]));
            assert!(cache.used_bytes() <= 1000);
        }
        assert!(cache.get(key(1)).is_none());
        cache.insert(key(200), Arc::new(vec![0; 1001]));
        assert!(cache.get(key(200)).is_none());
        cache.remove(key(0));
        assert!(cache.get(key(0)).is_none());
    }
}
