//! Reads of what is in memory allocate nothing. A binary of its own: it counts all allocations.
#![expect(unsafe_code, reason = "an allocator that counts is the only way to count allocations")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{
    Commit, Cursor, Engine, EngineOptions, KeyRange, KeyspaceId, LogBarrier, Lsn, Result, ScanSpec,
    Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_btree::BtreeEngine;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc`, that is, from the system, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Ready;

impl LogBarrier for Ready {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        Ok(())
    }
}

const SPACE: KeyspaceId = KeyspaceId(1);
const ROWS: u32 = 5000;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// All in one test: another test of the binary would be counted with it.
#[test]
fn warm_gets_and_cursor_steps_allocate_nothing() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    let options = EngineOptions { cache_bytes: 64 << 20, ..EngineOptions::tiny() };
    let engine =
        BtreeEngine::open(&env, Path::new("/data"), &options).expect("what is whole reads");
    let mut batch = WriteBatch::new();
    batch.create_keyspace(SPACE);
    engine.apply(&batch, Commit { lsn: Lsn(1), ts: Timestamp(1) }).expect("what is whole reads");
    for round in 2..5 {
        let mut batch = WriteBatch::new();
        (0..ROWS).for_each(|n| batch.put(SPACE, &n.to_be_bytes(), &[7; 40]));
        engine
            .apply(&batch, Commit { lsn: Lsn(round), ts: Timestamp(round) })
            .expect("what is whole reads");
    }
    let dirty = engine.snapshot();
    read(&dirty);
    engine.checkpoint(&Ready).expect("what is whole reads");
    let clean = engine.snapshot();
    read(&clean);
    assert!(allocations(|| drop(vec![1u8])) > 0, "the count does not count");
}

fn read(snapshot: &impl Snapshot) {
    let mut out = Vec::with_capacity(100);
    let mut gets = || {
        for n in 0..ROWS + 10 {
            out.clear();
            let found = snapshot
                .get(SPACE, &n.to_be_bytes(), Timestamp::MAX, &mut out)
                .expect("what is whole reads");
            assert_eq!(found.is_some(), n < ROWS);
            assert_eq!(
                snapshot.newest(SPACE, &n.to_be_bytes()).expect("what is whole reads").is_some(),
                n < ROWS
            );
        }
    };
    gets();
    assert_eq!(allocations(gets), 0, "in gets");
    for (visible, rows) in [
        (Visible::AsOf(Timestamp::MAX), ROWS),
        (Visible::AsOf(Timestamp(2)), ROWS),
        (Visible::All, 3 * ROWS),
    ] {
        for reverse in [false, true] {
            let spec = ScanSpec { range: KeyRange::ALL, visible, reverse };
            let mut warming = snapshot.cursor(SPACE, &spec).expect("what is whole reads");
            while warming.next().expect("what is whole reads") {}
            let mut cursor = snapshot.cursor(SPACE, &spec).expect("what is whole reads");
            // The first steps make room for the path and for a key.
            for _ in 0..5 {
                assert!(cursor.next().expect("what is whole reads"));
            }
            let steps = allocations(|| {
                for _ in 5..rows {
                    assert!(cursor.next().expect("what is whole reads"));
                    assert_eq!(cursor.entry().value.expect("what is whole reads").len(), 40);
                }
                assert!(!cursor.next().expect("what is whole reads"));
            });
            // Every version kept is shown from the leaf and its history, merged for each leaf; in
            // reverse that is done up to four times, on the ways to and from the versions of a key.
            let merges = match (visible, reverse) {
                (Visible::All, false) => rows * 2 / 3,
                (Visible::All, true) => rows * 8 / 3,
                _ => 0,
            };
            assert!(steps <= merges.into(), "{steps} in steps of {visible:?}, reverse {reverse}");
        }
    }
}
