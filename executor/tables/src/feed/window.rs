//! The changes of some commits that fit into memory: the oldest ones.

use driftdb_storage::Timestamp;

use super::{Item, before};

/// Gathers changes in any order. What does not fit is dropped from the newest commit on.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) items: Vec<Item>,
    pub(super) bytes: usize,
    most_bytes: usize,
    /// Everything up to here that was added is there; later commits are left for the next window.
    pub(super) bound: Timestamp,
    /// The oldest commit that does not fit even alone.
    pub(super) too_large: Option<Timestamp>,
}

impl Window {
    pub(super) fn new(most_bytes: usize, bound: Timestamp) -> Self {
        Self { items: Vec::new(), bytes: 0, most_bytes, bound, too_large: None }
    }

    pub(super) fn add(&mut self, item: Item) {
        if item.ts > self.bound {
            return;
        }
        self.bytes += item.size_bytes();
        self.items.push(item);
        while self.bytes > self.most_bytes {
            self.drop_newest();
        }
    }

    /// Drops about half of it.
    fn drop_newest(&mut self) {
        let mut times: Vec<Timestamp> = self.items.iter().map(|item| item.ts).collect();
        times.sort_unstable();
        let (oldest, newest) = (times[0], times[times.len() - 1]);
        self.bound = if oldest == newest {
            self.too_large = Some(oldest);
            before(oldest)
        } else {
            let middle = times[times.len() / 2];
            let below = |ts: Timestamp| times[times.partition_point(|other| *other < ts) - 1];
            if middle < newest { middle } else { below(newest) }
        };
        self.items.retain(|item| item.ts <= self.bound);
        self.bytes = self.items.iter().map(Item::size_bytes).sum();
    }
}
