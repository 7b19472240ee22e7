//! Numbers that are never given out twice, also across crashes.
//!
//! A block of numbers is reserved by a logged record before the first of it is given out; what is
//! left of a block at a crash is lost.

use driftdb_concurrency::{ConcurrencyControl, Counter, Result};
use driftdb_env::sync::Mutex;
use driftdb_storage::{Engine, Snapshot, StorageError, WriteBatch};

use crate::store::Shared;
use crate::system::{self, COUNTERS};
use crate::view::View;

/// The block of one counter: `next..until` may be given out.
#[derive(Debug, Clone, Copy)]
struct Block {
    next: u64,
    until: u64,
}

/// The blocks of all counters, each under its own latch: it is held across the log's sync.
pub(crate) struct Counters {
    blocks: [Mutex<Block>; 3],
}

const COUNTERS_ALL: [Counter; 3] = [Counter::RowId, Counter::ObjectId, Counter::Keyspace];

fn index(counter: Counter) -> usize {
    match counter {
        Counter::RowId => 0,
        Counter::ObjectId => 1,
        Counter::Keyspace => 2,
    }
}

/// The first number of a new database, the last that may be given out, and how many are reserved
/// at once.
fn limits(counter: Counter) -> (u64, u64, u64) {
    match counter {
        Counter::RowId => (1, i64::MAX as u64, 8192),
        Counter::ObjectId => (16384, u64::from(u32::MAX), 64),
        Counter::Keyspace => (1024, u64::from(u32::MAX), 64),
    }
}

impl Counters {
    /// Goes on after what was reserved before.
    pub(crate) fn restore<S: Snapshot>(view: &View<S>) -> driftdb_storage::Result<Self> {
        let mut blocks = [0; 3];
        for counter in COUNTERS_ALL {
            let mut value = Vec::new();
            let key = system::counter_key(counter);
            let found = view.snapshot.get(COUNTERS, &key, view.ts, &mut value)?;
            blocks[index(counter)] = match found {
                Some(_) => system::number(COUNTERS, &value)?,
                None => limits(counter).0,
            };
        }
        Ok(Self { blocks: blocks.map(|next| Mutex::new(Block { next, until: next })) })
    }
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    pub(crate) fn unique_ids(&self, counter: Counter, count: u64) -> Result<u64> {
        let (_, last, block_count) = limits(counter);
        let mut block = self.counters.blocks[index(counter)].lock();
        let first = block.next;
        let Some(next) = first.checked_add(count).filter(|next| *next <= last) else {
            let what = format!("{counter:?} numbers are used up at {first}");
            return Err(StorageError::Internal(what).into());
        };
        if next > block.until {
            let until = next.saturating_add(block_count).min(last);
            let mut batch = WriteBatch::new();
            batch.put(COUNTERS, &system::counter_key(counter), &system::value(until));
            self.commit_system(batch)?;
            block.until = until;
        }
        block.next = next;
        Ok(first)
    }
}
