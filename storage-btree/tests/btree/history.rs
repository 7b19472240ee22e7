//! Long histories: time splits between key splits, merges, moving promises, pins, crashes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_sim_disk::CrashMode;
use driftdb_storage::{
    Compression, Damage, Engine, EngineOptions, Retention, RetentionPolicy, Snapshot, StorageError,
    Timestamp, Visible, WriteBatch,
};
use driftdb_storage_btree::BtreeSnapshot;
use proptest::prelude::*;

use crate::model::{DIR, Ready, SPACE, Versions, World, as_of, check, scan};

fn pages() -> PathBuf {
    Path::new(DIR).join("pages.db")
}

fn retain(world: &mut World, retention: Retention) {
    world.keep_since = retention.keep_since.0;
    let policy = RetentionPolicy { default: retention, ..RetentionPolicy::default() };
    world.engine().set_retention(Arc::new(policy));
}

/// A key's value `n`, mostly as the one before.
fn value(key: u32, n: u32, len: usize) -> Vec<u8> {
    let mut value: Vec<u8> = (0..len).map(|i| (key as usize * 31 + i * 7) as u8).collect();
    value[..4].copy_from_slice(&n.to_be_bytes());
    value
}

/// `rounds` updates of each of `keys` keys.
fn updates(world: &mut World, keys: u32, rounds: u32, len: usize) {
    for n in 0..rounds {
        for key in 0..keys {
            world.put(&key.to_be_bytes(), &value(key, n, len));
        }
    }
}

/// Every version after `after` and up to `up_to`, newest first within a key.
fn between(versions: &Versions, after: u64, up_to: u64) -> Vec<(Vec<u8>, u64, Option<Vec<u8>>)> {
    let of_key = |(key, times): (&Vec<u8>, &BTreeMap<u64, Option<Vec<u8>>>)| {
        let shown = times.range(after + 1..=up_to).rev();
        shown.map(|(ts, value)| (key.clone(), *ts, value.clone())).collect::<Vec<_>>()
    };
    versions.iter().flat_map(of_key).collect()
}

/// Stretches of history, both ways.
fn check_between(snapshot: &BtreeSnapshot, versions: &Versions, since: u64, now: u64) {
    let middle = since.midpoint(now);
    for (after, up_to) in [(since, now), (since, middle), (middle, now), (middle, middle + 30)] {
        // Before the keyspace was made there is nothing to ask about.
        if up_to < 10 {
            continue;
        }
        let mut expected = between(versions, after, up_to.min(now));
        let visible = Visible::Between { after: Timestamp(after), up_to: Timestamp(up_to) };
        let shown = scan(snapshot, visible, false).expect("a scan succeeds");
        assert!(shown == expected, "{after}..={up_to}: {} of {}", shown.len(), expected.len());
        let mut shown = scan(snapshot, visible, true).expect("a scan succeeds");
        // Backwards the keys fall, the versions of each still come newest first.
        shown.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        expected.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        assert!(shown == expected, "{after}..={up_to} backwards");
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Each of these keys once, in one batch.
    Update(Vec<(u8, Option<u16>)>),
    Checkpoint,
    Busy(Vec<(u8, Option<u16>)>),
    Maintain,
    Reopen,
    Hold,
    Release,
    /// Keep so many of a hundred parts of history, a pin before that, so many versions.
    Retain(u64, bool, u32),
    /// Delete every key from this one on.
    Sweep(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![20 => 0u16..60, 1 => 100u16..130, 1 => 400u16..1200];
    let write = (0u8..24, prop::option::weighted(0.9, size));
    let writes = prop::collection::vec(write, 1..10);
    prop_oneof![
        60 => writes.clone().prop_map(Step::Update),
        3 => Just(Step::Checkpoint),
        3 => writes.prop_map(Step::Busy),
        4 => Just(Step::Maintain),
        2 => Just(Step::Reopen),
        3 => Just(Step::Hold),
        2 => Just(Step::Release),
        3 => (0u64..100, any::<bool>(), 0u32..3).prop_map(|(part, pin, min)| Step::Retain(part, pin, min)),
        1 => (0u8..24).prop_map(Step::Sweep),
    ]
}

fn batch(writes: &[(u8, Option<u16>)]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, size) in writes {
        match size {
            None => batch.delete(SPACE, &[*key]),
            Some(size) => batch.put(SPACE, &[*key], &vec![*key; usize::from(*size)]),
        }
    }
    batch
}

struct Held {
    snapshot: BtreeSnapshot,
    versions: Versions,
    since: u64,
    now: u64,
}

/// The pinned time reads as it always did.
fn check_pin(world: &World, pin: u64) {
    let snapshot = world.engine().snapshot();
    let shown = scan(&snapshot, Visible::AsOf(Timestamp(pin)), false).expect("a pin is readable");
    let shown: Vec<_> =
        shown.into_iter().map(|(key, ts, v)| (key, ts, v.expect("a value"))).collect();
    assert!(shown == as_of(&world.versions, pin), "as of the pin {pin}");
}

/// What a scan of everything shows is history, and all of it since the promise began.
fn check_all(world: &World) {
    let every = between(&world.versions, 0, world.now());
    let shown = scan(&world.engine().snapshot(), Visible::All, false).expect("a scan succeeds");
    let backwards = scan(&world.engine().snapshot(), Visible::All, true).expect("a scan succeeds");
    assert_eq!(shown.len(), backwards.len());
    assert!(shown.is_sorted_by(|a, b| (&a.0, !a.1) < (&b.0, !b.1)), "in order, and none twice");
    assert!(shown.iter().all(|version| every.contains(version)), "something was invented");
    let mut recent = every.iter().filter(|version| version.1 > world.keep_since);
    assert!(recent.all(|version| shown.contains(version)), "something is missing");
}

fn run(steps: Vec<Step>, compression: Compression) {
    let mut world = World::with(1, EngineOptions { compression, ..EngineOptions::tiny() });
    let mut retention = Retention::FOREVER;
    let mut held: Vec<Held> = Vec::new();
    let hold = |world: &World, snapshot| {
        let (versions, since, now) = (world.versions.clone(), world.keep_since, world.now());
        Held { snapshot, versions, since, now }
    };
    for step in steps {
        match step {
            Step::Update(writes) => world.commit(batch(&writes)),
            Step::Busy(writes) => {
                let snapshot = world.busy_checkpoint(vec![batch(&writes)]);
                held.extend(snapshot.map(|snapshot| hold(&world, snapshot)));
            }
            Step::Checkpoint => {
                world.checkpoint();
                world.verify();
            }
            Step::Maintain => {
                world.engine().maintain(&Ready).expect("maintenance succeeds");
            }
            Step::Reopen => {
                held.clear();
                world.reopen();
                world.engine().set_retention(Arc::new(RetentionPolicy {
                    default: retention.clone(),
                    ..RetentionPolicy::default()
                }));
                world.verify();
            }
            Step::Hold => held.push(hold(&world, world.engine().snapshot())),
            Step::Release => {
                held.pop();
            }
            Step::Retain(part, pin, min_versions) => {
                let (old, now) = (retention.keep_since.0, world.now());
                let since = old + (now - old) * part / 100;
                let pins = (pin && since > old.max(10)).then(|| old.max(10).midpoint(since - 1));
                // A pin from before stays one: it was promised all the time.
                let pins = retention.pins.iter().map(|pin| pin.0).chain(pins);
                let pins: std::collections::BTreeSet<_> = pins.map(Timestamp).collect();
                let pins = pins.into_iter().collect();
                retention = Retention { keep_since: Timestamp(since), pins, min_versions };
                retain(&mut world, retention.clone());
            }
            Step::Sweep(from) => {
                let mut batch = WriteBatch::new();
                (from..24).for_each(|key| batch.delete(SPACE, &[key]));
                world.commit(batch);
            }
        }
    }
    for look in 0..3 {
        world.check();
        check_between(&world.engine().snapshot(), &world.versions, world.keep_since, world.now());
        check_all(&world);
        retention.pins.iter().for_each(|pin| check_pin(&world, pin.0));
        for held in held.drain(..) {
            check(&held.snapshot, &held.versions, held.since, held.now);
            check_between(&held.snapshot, &held.versions, held.since, held.now);
        }
        if look == 0 {
            world.checkpoint();
        } else {
            world.reopen();
            retain(&mut world, retention.clone());
        }
        world.verify();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn long_histories_agree_with_a_map(
        steps in prop::collection::vec(step(), 50..300),
        compression in prop_oneof![Just(Compression::None), Just(Compression::Lz4), Just(Compression::Zstd)],
    ) {
        run(steps, compression);
    }
}

#[test]
fn a_newest_read_examines_one_version_of_a_thousand() {
    let mut world = World::new();
    updates(&mut world, 3, 1000, 20);
    world.checkpoint();
    let examined = |world: &World, ts| {
        let before = world.stat("versions_examined");
        let found = world.engine().snapshot().get(SPACE, &[0, 0, 0, 1], ts, &mut Vec::new());
        assert!(found.expect("a get succeeds").is_some());
        world.stat("versions_examined") - before
    };
    assert_eq!(examined(&world, Timestamp::MAX), 1);
    assert_eq!(examined(&world, Timestamp(500)), 1);
    // A newest scan meets of each key what its leaf still has.
    let before = world.stat("versions_examined");
    let slices = world.stat("history_slices_read");
    assert_eq!(
        scan(&world.engine().snapshot(), Visible::AsOf(Timestamp::MAX), false).unwrap().len(),
        3
    );
    let examined = world.stat("versions_examined") - before;
    assert!(examined <= 3 * 16, "{examined} versions of 3000 examined");
    assert_eq!(world.stat("history_slices_read"), slices, "the newest is in the leaf");
}

#[test]
fn what_a_batch_superseded_after_its_own_split_leaves_as_well() {
    let mut world = World::new();
    for n in 0..300u32 {
        // One timestamp for all: leaves are split by time while a batch is half applied.
        let mut batch = WriteBatch::new();
        (0..20u32).for_each(|key| batch.put(SPACE, &key.to_be_bytes(), &value(key, n, 40)));
        world.commit(batch);
    }
    world.checkpoint();
    world.checkpoint();
    let other = world.stat("history_page_count") + world.stat("free_page_count");
    let pages = world.stat("page_count") - other;
    // 20 keys of 60 bytes fill three leaves of 512; then there are branches, facts and lists.
    assert!(pages < 20, "{pages} pages beside history for 20 keys");
    world.verify();
    world.check();
}

#[test]
fn a_read_as_of_any_age_opens_few_slices() {
    let mut world =
        World::with(1, EngineOptions { block_size_bytes: 4096, ..EngineOptions::tiny() });
    updates(&mut world, 2, 12_000, 40);
    world.checkpoint();
    let splits = world.stat("history_slices_written");
    assert!(splits > 60, "{splits} slices");
    for ts in (30..world.now()).step_by(2997) {
        let before = world.stat("history_slices_read");
        let found = world.engine().snapshot().get(SPACE, &[0; 4], Timestamp(ts), &mut Vec::new());
        assert!(found.expect("a get succeeds").is_some());
        let slices = world.stat("history_slices_read") - before;
        // The slice itself, and its indexes: log to the base of 4 of the number of eras.
        assert!(slices <= 5, "{slices} slices as of {ts}");
    }
}

#[test]
fn whole_pages_are_freed_as_the_promise_moves() {
    let mut world = World::new();
    let mut sizes = Vec::new();
    for round in 0..60u32 {
        updates(&mut world, 20, 5, 60);
        let now = world.now();
        world.set_retention(now.saturating_sub(4000));
        world.checkpoint();
        if round % 10 == 9 {
            world.verify();
            world.check();
            sizes.push(world.stat("page_count"));
        }
    }
    assert!(world.stat("history_pages_freed") > 100);
    // A window of 400 versions: after it is full once, the file does not grow any more.
    assert!(sizes[5] <= sizes[1] + sizes[1] / 10, "page counts {sizes:?}");
    // And when nothing old is promised any more, no page of history stays.
    world.set_retention(world.now());
    world.checkpoint();
    world.checkpoint();
    world.verify();
    assert_eq!(world.stat("history_page_count"), 0);
}

#[test]
fn a_held_snapshot_reads_pages_that_were_freed_since() {
    let mut world = World::new();
    updates(&mut world, 10, 60, 60);
    world.checkpoint();
    let (snapshot, versions) = (world.engine().snapshot(), world.versions.clone());
    let then = world.now();
    world.set_retention(then);
    for _ in 0..5 {
        updates(&mut world, 10, 30, 60);
        world.checkpoint();
    }
    assert!(world.stat("history_pages_freed") > 0);
    check(&snapshot, &versions, 0, then);
    check_between(&snapshot, &versions, 0, then);
}

#[test]
fn damaged_history_is_reported_with_its_keys_and_never_wrong() {
    let mut world = World::new();
    updates(&mut world, 12, 40, 60);
    world.checkpoint();
    world.verify();
    world.engine = None;
    let whole = world.disk.read_file(&pages()).unwrap();
    let mut with_keys = 0;
    for page in 0..(whole.len() - 16_384) / 512 {
        let at = 16_384 + page * 512;
        if whole[at + 4] != 6 {
            continue;
        }
        assert!(world.disk.corrupt(&pages(), at as u64 + 50, 1));
        world.open();
        let mut found: Vec<Damage> = Vec::new();
        world
            .engine()
            .verify(driftdb_storage::VerifyDepth::Full, &mut |damage: Damage| found.push(damage))
            .unwrap();
        assert!(found.iter().any(|damage| damage.offset_bytes == at as u64), "page {page}");
        with_keys += found
            .iter()
            .filter(|damage| damage.keys.as_ref().is_some_and(|keys| keys.space == SPACE))
            .count();
        let snapshot = world.engine().snapshot();
        for ts in (20..world.now()).step_by(170) {
            match scan(&snapshot, Visible::AsOf(Timestamp(ts)), false) {
                Err(StorageError::Corruption(_)) => {}
                Err(other) => panic!("{other}"),
                Ok(shown) => {
                    let shown: Vec<_> =
                        shown.into_iter().map(|(key, ts, v)| (key, ts, v.unwrap())).collect();
                    assert!(shown == as_of(&world.versions, ts), "page {page} as of {ts}");
                }
            }
        }
        drop(snapshot);
        world.engine = None;
        assert!(world.disk.write_file(&pages(), &whole));
    }
    assert!(with_keys > 5, "{with_keys} damaged pages with keys");
}

#[test]
fn small_updates_take_little_space() {
    let mut world = World::with(
        1,
        EngineOptions {
            compression: Compression::Zstd,
            write_buffer_bytes: 2 << 20,
            cache_bytes: 1 << 20,
            ..EngineOptions::default()
        },
    );
    let mut user_bytes = 0;
    for n in 0..10 {
        for key in 0..2000u32 {
            // Scattered keys, so that leaves are as full as any.
            let key = key.wrapping_mul(2_654_435_761);
            let value = value(key, n, 100);
            user_bytes += 4 + value.len() as u64;
            world.put(&key.to_be_bytes(), &value);
            world.engine().maintain(&Ready).expect("maintenance succeeds");
        }
    }
    world.checkpoint();
    world.verify();
    let used = world.stat("page_count") - world.stat("free_page_count");
    let ratio = (used * 8192) as f64 / user_bytes as f64;
    eprintln!("space: {ratio:.2} of {user_bytes} user bytes");
    assert!(ratio <= 0.6, "{ratio:.2} of the user bytes");
}

/// Stops the machine at every write of a checkpoint that makes, indexes and frees history.
#[test]
fn a_crash_anywhere_in_a_checkpoint_leaves_all_of_history_or_none() {
    for (seed, mode) in (0..60).zip(CrashMode::ALL.into_iter().cycle()) {
        let mut world = World::seeded(seed);
        updates(&mut world, 8, 30, 60);
        world.checkpoint();
        updates(&mut world, 8, 40, 60);
        world.set_retention(1500);
        world.disk.halt_after(seed % 40);
        let _stopped = world.engine().checkpoint(&Ready);
        world.disk.crash_with(mode);
        world.disk.clear_faults();
        world.reopen();
        world.verify();
        world.check();
        check_between(&world.engine().snapshot(), &world.versions, 1500, world.now());
        updates(&mut world, 8, 10, 60);
        world.checkpoint();
        world.verify();
        world.check();
    }
}

#[test]
fn a_large_value_that_only_an_older_slice_remembers_gives_its_pages_back() {
    let mut world = World::new();
    world.put(b"a", &[1; 900]);
    // Splits by time, so that slices hold copies of the large value that lives on.
    updates(&mut world, 1, 60, 20);
    world.put(b"a", b"small");
    // Versions are kept by number, so no slice is dead; but the large value is promised to nobody.
    let keep_since = Timestamp(world.now());
    retain(&mut world, Retention { min_versions: 1, ..Retention::since(keep_since) });
    world.checkpoint();
    assert!(world.stat("history_slices_written") > 0);
    world.verify();
    world.check();
}
