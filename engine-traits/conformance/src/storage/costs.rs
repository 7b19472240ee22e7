//! What calls cost, as numbers that a test can hold an engine to: allocations, operations on the disk,
//! blocks looked at, bytes written. Time is left to the benchmarks: it depends on the machine.
//!
//! What depends on the design of an engine is a field of [`Costs`]; an engine that becomes better lowers its
//! figure, and none gets worse unnoticed.

use driftdb_sim_disk::SimDisk;
use driftdb_storage::{
    Compression, Cursor, Engine, EngineOptions, KeyRange, ScanSpec, Snapshot, Timestamp, Visible,
    WriteBatch,
};

use super::compare::scan;
use super::harness::{Harness, SPACE};
use crate::allocations;

/// The most that an engine may spend.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// Allocations in 1,000 steps of a warm cursor over more than one version of a key. All other warm
    /// steps and gets allocate nothing.
    pub allocations_among_versions: u64,
    /// Syncs, of files and directories, for everything that a group of commits brings to the disk.
    pub syncs_per_checkpoint: u64,
    /// Reads of files by a point read when nothing but what leads to the blocks is in memory.
    pub reads_per_cold_get: u64,
    /// Bytes written to files for each byte of keys and values, when small values under random keys come
    /// a buffer at a time, and everything is kept.
    pub bytes_written_per_user_byte: u64,
    /// Blocks or pages that the newest version of a key among 1,000 costs beyond that of a key with one.
    pub blocks_beyond_in_a_get: u64,
    /// The same in a scan of the present over that key and 399 others.
    pub blocks_beyond_in_a_scan: u64,
    /// Write buffers of commits that are not yet durable, when writers wait whenever they are told to and
    /// the disk does one step of maintenance meanwhile.
    pub buffers_behind_a_slow_disk: u64,
}

/// An empty engine with one keyspace, and buffers that only the case empties.
fn roomy<E: Engine>(options: EngineOptions) -> Harness<E> {
    let mut harness = Harness::<E>::closed(SimDisk::new(160), 160);
    harness.options = options;
    harness.open().expect("an empty directory opens");
    harness.create(SPACE);
    harness
}

fn options() -> EngineOptions {
    EngineOptions {
        write_buffer_bytes: 16 << 20,
        cache_bytes: 64 << 20,
        ..EngineOptions::default()
    }
}

/// Commits a version of each of `count` keys.
fn fill<E: Engine>(harness: &mut Harness<E>, count: u32, value: &[u8]) {
    let mut batch = WriteBatch::new();
    (0..count).for_each(|n| batch.put(SPACE, &n.to_be_bytes(), value));
    harness.commit(batch).expect("a healthy engine takes writes");
}

fn stat<E: Engine>(harness: &Harness<E>, name: &str) -> u64 {
    let mut found = None;
    harness.engine().stats(&mut |each, value| {
        if each == name {
            found = Some(value);
        }
    });
    found.unwrap_or_else(|| panic!("the engine does not report {name}"))
}

/// Gets of what is there and what is not, and every step of a cursor of one time, allocate nothing once
/// the data is in memory: while it is not yet on disk, and when it is.
/// `among_versions` is [`Costs::allocations_among_versions`].
pub fn warm_reads_allocate_nothing<E: Engine>(among_versions: u64) {
    const KEYS: u32 = 3000;
    let mut harness = roomy::<E>(options());
    for round in 0..4u8 {
        fill(&mut harness, KEYS, &[round; 40]);
    }
    reads_allocate_nothing(&harness, among_versions, KEYS, "in memory");
    harness.checkpoint().expect("a healthy engine checkpoints");
    reads_allocate_nothing(&harness, among_versions, KEYS, "in the cache");
}

/// Steps of a cursor before those that are counted.
const FIRST_STEPS: u32 = 500;

fn reads_allocate_nothing<E: Engine>(
    harness: &Harness<E>,
    among_versions: u64,
    keys: u32,
    state: &str,
) {
    let snapshot = harness.engine().snapshot();
    let middle = harness.log[2].0.ts;
    let mut out = Vec::with_capacity(100);
    for ts in [Timestamp::MAX, middle] {
        let mut gets = || {
            for n in 0..keys + 10 {
                out.clear();
                let key = n.to_be_bytes();
                let found =
                    snapshot.get(SPACE, &key, ts, &mut out).expect("a healthy engine reads");
                assert_eq!(found.is_some(), n < keys, "{state}: key {n} at {ts:?}");
                let newest = snapshot.newest(SPACE, &key).expect("a healthy engine reads");
                assert_eq!(newest.is_some(), n < keys, "{state}: key {n}");
            }
        };
        gets();
        assert_eq!(allocations::during(gets), 0, "{state}: gets at {ts:?}");
    }
    let between = Visible::Between { after: middle, up_to: Timestamp::MAX };
    for visible in [Visible::AsOf(Timestamp::MAX), Visible::AsOf(middle), between, Visible::All] {
        for reverse in [false, true] {
            let spec = ScanSpec { range: KeyRange::ALL, visible, reverse };
            let walk = |count: &mut u32| {
                let mut cursor = snapshot.cursor(SPACE, &spec).expect("a healthy engine reads");
                // The first steps, over the first leaf or so, make room for the path and for keys.
                for _ in 0..FIRST_STEPS {
                    assert!(cursor.next().expect("a healthy engine reads"));
                }
                allocations::during(|| {
                    while cursor.next().expect("a healthy engine reads") {
                        assert_eq!(cursor.entry().value.map(<[u8]>::len), Some(40));
                        *count += 1;
                    }
                })
            };
            walk(&mut 0);
            let mut count = FIRST_STEPS;
            let allocations = walk(&mut count);
            let most = match visible {
                Visible::AsOf(_) => 0,
                _ => among_versions * u64::from(count) / 1000,
            };
            assert!(
                allocations <= most,
                "{state}: {allocations} in {count} steps of {visible:?}, reverse {reverse}"
            );
            assert!(count >= keys, "{state}: {visible:?} shows {count}");
        }
    }
}

/// A commit is memory only, and however many wait to become durable, they share the syncs.
pub fn a_group_of_commits_shares_its_syncs<E: Engine>(costs: Costs) {
    for count in [1, 10, 300] {
        let mut harness = roomy::<E>(options());
        harness.checkpoint().expect("a healthy engine checkpoints");
        let before = harness.disk.counters();
        for n in 0..count {
            harness.write(SPACE, &[(format!("key {n}").as_bytes(), Some(&[7; 100]))]);
        }
        assert_eq!(harness.disk.counters(), before, "{count} commits touch the disk");
        harness.checkpoint().expect("a healthy engine checkpoints");
        let after = harness.disk.counters();
        let syncs = after.syncs + after.dir_syncs - before.syncs - before.dir_syncs;
        let most = costs.syncs_per_checkpoint;
        assert!((1..=most).contains(&syncs), "{count} commits take {syncs} syncs, not {most}");
    }
}

/// A point read of anything, with an empty cache, reads so many times at most.
pub fn cold_gets_read_little<E: Engine>(costs: Costs) {
    let mut harness = roomy::<E>(EngineOptions {
        write_buffer_bytes: 64 << 10,
        cache_bytes: 0,
        ..EngineOptions::default()
    });
    load(&mut harness, 60);
    harness.checkpoint().expect("a healthy engine checkpoints");
    let snapshot = harness.engine().snapshot();
    let mut out = Vec::new();
    let middle = Timestamp(harness.last().ts.0 / 2);
    let mut worst = 0;
    for round in 0..2 {
        for n in (0..LOAD_KEYS).step_by(61) {
            for (suffix, ts) in
                [(&b""[..], Timestamp::MAX), (b"", middle), (b"absent", Timestamp::MAX)]
            {
                let key = [&load_key(n)[..], suffix].concat();
                let before = harness.disk.counters().reads;
                out.clear();
                snapshot.get(SPACE, &key, ts, &mut out).expect("a healthy engine reads");
                // The first round loads what leads to the blocks.
                if round == 1 {
                    worst = worst.max(harness.disk.counters().reads - before);
                }
            }
        }
    }
    let most = costs.reads_per_cold_get;
    assert!((1..=most).contains(&worst), "a cold get reads {worst} times, not {most}");
}

const LOAD_KEYS: u64 = 4000;

fn load_key(n: u64) -> Vec<u8> {
    format!("key {:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
}

/// Groups of 100 puts under random keys, with the maintenance that is due after each.
fn load<E: Engine>(harness: &mut Harness<E>, groups: u64) {
    for _ in 0..groups {
        let mut batch = WriteBatch::new();
        for _ in 0..100 {
            let mut value = [0; 100];
            harness.rng.fill(&mut value);
            let n = harness.rng.below(LOAD_KEYS);
            batch.put(SPACE, &load_key(n), &value);
        }
        harness.commit(batch).expect("a healthy engine takes writes");
        harness.maintain().expect("a healthy engine maintains");
    }
}

/// A load is written so many times over at most, compactions and checkpoints counted. The figures that the
/// engine reports are those of the disk.
pub fn a_load_is_written_few_times<E: Engine>(costs: Costs) {
    let mut harness = roomy::<E>(EngineOptions {
        write_buffer_bytes: 128 << 10,
        compression: Compression::None,
        ..EngineOptions::default()
    });
    load(&mut harness, 200);
    harness.checkpoint().expect("a healthy engine checkpoints");
    let on_disk = harness.disk.counters().bytes_written;
    let user_bytes = 200 * 100 * (load_key(0).len() as u64 + 100);
    let (reported, user_reported) =
        (stat(&harness, "bytes_written"), stat(&harness, "user_bytes_written"));
    assert!(
        user_reported.abs_diff(user_bytes) * 50 < user_bytes,
        "{user_reported} of {user_bytes}"
    );
    assert!(reported.abs_diff(on_disk) * 50 < on_disk, "{reported} reported, {on_disk} written");
    let most = costs.bytes_written_per_user_byte;
    assert!(
        on_disk <= most * user_bytes,
        "{on_disk} bytes for {user_bytes}, more than {most} times"
    );
    assert!(on_disk > user_bytes, "everything is written once");
}

/// The newest version of a key with 1,000 versions costs as many blocks as that of a key with one, and a scan
/// of the present does not walk through the past.
pub fn a_long_history_does_not_stand_before_the_present<E: Engine>(costs: Costs) {
    let hot = 200u32.to_be_bytes();
    let cost = |versions: u32| {
        let mut harness = roomy::<E>(EngineOptions { block_size_bytes: 4 << 10, ..options() });
        fill(&mut harness, 400, &[1; 40]);
        for version in 1..versions {
            harness.write(SPACE, &[(&hot, Some(&[version as u8; 100]))]);
            if version % 250 == 0 {
                harness.checkpoint().expect("a healthy engine checkpoints");
                harness.maintain().expect("a healthy engine maintains");
            }
        }
        harness.checkpoint().expect("a healthy engine checkpoints");
        let snapshot = harness.engine().snapshot();
        let blocks = || stat(&harness, "cache_hits") + stat(&harness, "cache_misses");
        let get = || {
            let before = blocks();
            let found = snapshot.get(SPACE, &hot, Timestamp::MAX, &mut Vec::new());
            assert!(found.expect("a healthy engine reads").is_some());
            blocks() - before
        };
        // Once for what is loaded by the first read.
        get();
        let got = get();
        let before = blocks();
        let present = scan(&snapshot, SPACE, Visible::AsOf(Timestamp::MAX), false);
        assert_eq!(present.expect("a healthy engine scans").len(), 400);
        (got, blocks() - before)
    };
    let (short, long) = (cost(1), cost(1000));
    assert!(short.0 > 0, "a get looks at blocks");
    let most = (costs.blocks_beyond_in_a_get, costs.blocks_beyond_in_a_scan);
    assert!(long.0 <= short.0 + most.0, "a get: {} blocks instead of {}", long.0, short.0);
    assert!(long.1 <= short.1 + most.1, "a scan: {} blocks instead of {}", long.1, short.1);
}

/// However slow the disk is, writers who wait when they are told to never get further ahead of it than so
/// many buffers: what is not durable is in memory.
pub fn a_slow_disk_holds_writers_back<E: Engine>(costs: Costs) {
    let mut harness = roomy::<E>(EngineOptions { step_bytes: 1, ..EngineOptions::tiny() });
    let buffer_bytes = harness.options.write_buffer_bytes as u64;
    let mut waits = 0u32;
    let mut worst = 0;
    for n in 0..4000u32 {
        // The disk does nothing but what a writer waits for.
        while harness.engine().write_pressure() >= 1000 {
            waits += 1;
            harness.engine().maintain(&harness.barrier).expect("a healthy engine maintains");
            assert!(waits < 100_000, "the pressure does not go down");
        }
        let key = (n % 700).to_be_bytes();
        harness.write(SPACE, &[(&key, Some(&[n as u8; 60]))]);
        let behind = harness.last().lsn.0 - harness.engine().durable().lsn.0;
        worst = worst.max(behind.div_ceil(buffer_bytes));
    }
    assert!(waits > 10, "writers were held back {waits} times");
    let most = costs.buffers_behind_a_slow_disk;
    assert!(worst <= most, "{worst} buffers are not durable, more than {most}");
    harness.check("after a slow disk");
}
