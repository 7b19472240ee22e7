//! The timestamps that open transactions read at, so that history they need is kept.
//!
//! Only long readers register: transactions that keep one snapshot for their life, and historical
//! ones. A READ COMMITTED statement does not: its engine snapshot is exact while it lives.
//!
//! Cost: one short latch of its own shard to enter and one to leave.

use std::collections::BTreeMap;

use driftdb_concurrency::TxnId;
use driftdb_env::sync::Mutex;
use driftdb_env::sync::atomic::{AtomicU64, Ordering};
use driftdb_env::{planted, planted_order};
use driftdb_storage::Timestamp;

const SHARD_COUNT: usize = 16;

/// Who reads when, and the oldest time that may be asked for.
#[derive(Default)]
pub(crate) struct Readers {
    shards: [Mutex<BTreeMap<Timestamp, usize>>; SHARD_COUNT],
    floor: AtomicU64,
}

impl Readers {
    fn shard(&self, id: TxnId) -> &Mutex<BTreeMap<Timestamp, usize>> {
        &self.shards[id.0 as usize % SHARD_COUNT]
    }

    /// Registers a reader at `ts`; false if history before `ts` may already be gone.
    pub(crate) fn enter(&self, id: TxnId, ts: Timestamp) -> bool {
        self.enter_anyway(id, ts);
        if self.floor() <= ts {
            return true;
        }
        self.leave(id, ts);
        false
    }

    /// Registers a reader that takes what is left at `ts`: some keyspaces may promise more than
    /// others, and the engine refuses the rest. What the policy then promises is kept for it.
    pub(crate) fn enter_anyway(&self, id: TxnId, ts: Timestamp) {
        *self.shard(id).lock().entry(ts).or_default() += 1;
    }

    /// Ends what [`Readers::enter`] began.
    pub(crate) fn leave(&self, id: TxnId, ts: Timestamp) {
        if planted!("mvcc.reader-stays") {
            return;
        }
        let mut shard = self.shard(id).lock();
        let count = shard.get_mut(&ts).expect("a reader entered before it leaves");
        *count -= 1;
        if *count == 0 {
            shard.remove(&ts);
        }
    }

    /// Below this time, history may be gone.
    pub(crate) fn floor(&self) -> Timestamp {
        Timestamp(self.floor.load(Ordering::SeqCst))
    }

    /// The oldest registered time.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        if planted!("mvcc.vacuum-passes-readers") {
            return None;
        }
        self.shards.iter().filter_map(|shard| shard.lock().keys().next().copied()).min()
    }

    /// How many readers are registered.
    pub(crate) fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().values().sum::<usize>()).sum()
    }

    /// Raises the floor towards `target`, as far as the registered readers let it; returns it.
    /// One caller at a time.
    pub(crate) fn raise_floor(&self, target: Timestamp) -> Timestamp {
        let before = self.floor();
        let allowed = |ts: Timestamp| self.oldest().map_or(ts, |oldest| ts.min(oldest)).max(before);
        // Announce first, then look again: who enters after the second look sees the announcement
        // and is turned away; who entered before it is respected by it.
        let announced = allowed(target);
        if !planted_order!("mvcc.floor-not-announced") {
            self.floor.store(announced.0, Ordering::SeqCst);
        }
        let floor = allowed(announced);
        self.floor.store(floor.0, Ordering::SeqCst);
        floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_stops_at_the_oldest_reader() {
        let readers = Readers::default();
        assert!(readers.enter(TxnId(1), Timestamp(5)));
        assert!(readers.enter(TxnId(17), Timestamp(5)));
        assert!(readers.enter(TxnId(2), Timestamp(8)));
        assert_eq!(readers.raise_floor(Timestamp(9)), Timestamp(5));
        readers.leave(TxnId(1), Timestamp(5));
        assert_eq!(readers.raise_floor(Timestamp(9)), Timestamp(5));
        readers.leave(TxnId(17), Timestamp(5));
        assert_eq!(readers.raise_floor(Timestamp(7)), Timestamp(7));
        assert!(!readers.enter(TxnId(3), Timestamp(6)));
        assert_eq!(readers.raise_floor(Timestamp(1)), Timestamp(7));
        assert_eq!(readers.count(), 1);
    }
}

/// Run by `.ci/shuttle`.
#[cfg(all(test, shuttle))]
mod schedules {
    use std::sync::Arc;

    use driftdb_env::schedules::Schedules;
    use driftdb_env::{Env, Task};

    use super::*;

    const SCHEDULES: Schedules = Schedules { random: 10_000, priority: 10_000 };

    /// Whoever was let in has the history of its time until it leaves.
    fn nobody_loses_its_time() {
        let env = Env::os();
        let readers = Arc::new(Readers::default());
        let mut tasks = Vec::new();
        for id in [1, 2] {
            let readers = Arc::clone(&readers);
            tasks.push(env.spawn("reader", move || {
                for ts in [4, 7].map(Timestamp) {
                    if readers.enter(TxnId(id), ts) {
                        for _ in 0..3 {
                            assert!(readers.floor() <= ts, "the floor passed a reader at {ts}");
                        }
                        readers.leave(TxnId(id), ts);
                    }
                }
            }));
        }
        let raising = Arc::clone(&readers);
        tasks.push(env.spawn("raiser", move || {
            for target in [5, 9].map(Timestamp) {
                let floor = raising.raise_floor(target);
                assert!(floor <= target, "raised to {floor}, beyond {target}");
            }
        }));
        tasks.into_iter().for_each(Task::join);
        assert_eq!(readers.count(), 0);
        assert_eq!(readers.raise_floor(Timestamp(10)), Timestamp(10));
    }

    #[test]
    fn schedules_hold() {
        SCHEDULES.all_hold(nobody_loses_its_time);
    }

    #[test]
    fn schedules_find_a_floor_raised_without_a_word() {
        SCHEDULES.find("mvcc.floor-not-announced", nobody_loses_its_time);
    }
}
