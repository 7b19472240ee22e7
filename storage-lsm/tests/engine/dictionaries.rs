//! Dictionaries of tables: where they pay, and what becomes of a table whose dictionary is damaged.

use std::path::{Path, PathBuf};

use driftdb_sim_disk::sim_env;
use driftdb_storage::{
    Commit, Compression, Damage, Engine, EngineOptions, Entry, FileEngine, Keyspace, KeyspaceId,
    Result, Retention, SalvageSink, StorageError, Timestamp, VerifyDepth, Visible,
};
use driftdb_storage_lsm::LsmEngine;

use crate::store::{DIR, SPACE, Store, everything, get, open, scan};

/// A row as tables of orders have them: few words, and a number.
fn row(n: u32) -> String {
    let pick = |words: [&'static str; 4], by: u32| words[(n.wrapping_mul(by) >> 16) as usize % 4];
    let status = pick(["open", "filled", "pending", "returned"], 2_654_435_761);
    let how = pick(["deliver in person", "take back return", "collect", "none"], 40_503_911);
    format!("order {:08x} is {status}, instructions: {how}", n.wrapping_mul(2_246_822_519))
}

fn options(sample_bytes: usize) -> EngineOptions {
    EngineOptions {
        write_buffer_bytes: 64 << 20,
        cache_bytes: 1 << 20,
        compression: Compression::Zstd,
        dictionary_sample_bytes: sample_bytes,
        ..EngineOptions::tiny()
    }
}

fn fill<V: AsRef<[u8]>>(store: &mut Store, keys: std::ops::Range<u32>, value: impl Fn(u32) -> V) {
    for n in keys {
        store.write(&n.to_be_bytes(), Some(value(n).as_ref()));
    }
}

/// One small table with a dictionary, history and a tombstone.
pub(crate) fn small() -> Store {
    let mut store = Store::new(EngineOptions {
        // A large memtable takes longer to make than all else that tests do with this store.
        write_buffer_bytes: 64 << 10,
        block_size_bytes: 128,
        ..options(4 << 10)
    });
    fill(&mut store, 0..70, row);
    fill(&mut store, 0..3, |n| row(n + 100));
    store.write(&9u32.to_be_bytes(), None);
    store.checkpoint();
    store
}

fn table(number: u32) -> PathBuf {
    Path::new(DIR).join(format!("{number:06}.table"))
}

fn damages(store: &Store, depth: VerifyDepth) -> Vec<Damage> {
    let mut found = Vec::new();
    store.engine.verify(depth, &mut |damage: Damage| found.push(damage)).unwrap();
    found
}

fn check(store: &Store) {
    for reverse in [false, true] {
        for visible in [Visible::All, Visible::AsOf(Timestamp::MAX), Visible::AsOf(Timestamp(500))]
        {
            let spec = everything(visible, reverse);
            let shown = scan(&store.engine.snapshot(), &spec).unwrap();
            assert!(shown == store.model.scan(&spec), "{spec:?}");
        }
    }
    assert_eq!(damages(store, VerifyDepth::Full), []);
}

/// The bytes of the table that so many rows give, and the store.
fn written<V: AsRef<[u8]>>(
    sample_bytes: usize,
    count: u32,
    value: impl Fn(u32) -> V,
) -> (Vec<u8>, Store) {
    let mut store = Store::new(options(sample_bytes));
    fill(&mut store, 0..count, value);
    store.checkpoint();
    check(&store);
    (store.disk.read_file(&table(1)).unwrap(), store)
}

#[test]
fn rows_alike_get_one_and_take_less_room() {
    let (without, store) = written(0, 4000, row);
    assert_eq!((store.stat("dictionaries"), store.stat("dictionaries_declined")), (0, 0));
    let (with, store) = written(64 << 10, 4000, row);
    assert_eq!((store.stat("dictionaries"), store.stat("dictionaries_declined")), (1, 0));
    let percent = 100 * with.len() / without.len();
    assert!(percent < 90, "{} bytes instead of {}: {percent} %", with.len(), without.len());
    assert!(store.stat("pinned_bytes_now") > 0);
    let (again, _) = written(64 << 10, 4000, row);
    assert!(again == with, "the same rows give the same bytes");
}

/// A row as the orders of TPC-H are: numbers, a few fixed words, and a comment of many.
fn order(n: u32) -> String {
    const WORDS: [&str; 32] = [
        "accounts",
        "deposits",
        "packages",
        "requests",
        "theodolites",
        "pinto beans",
        "platelets",
        "foxes",
        "ideas",
        "instructions",
        "sleep",
        "wake",
        "haggle",
        "nag",
        "cajole",
        "boost",
        "detect",
        "integrate",
        "furiously",
        "carefully",
        "quickly",
        "slyly",
        "blithely",
        "final",
        "regular",
        "express",
        "ironic",
        "pending",
        "unusual",
        "special",
        "even",
        "bold",
    ];
    let mut state = u64::from(n) + 1;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let priority = ["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW"];
    let mut row = format!(
        "{}|O|{}.{:02}|199{}-{:02}-{:02}|{}|Clerk#{:09}|0|",
        next(150_000),
        next(400_000),
        next(100),
        next(8),
        1 + next(12),
        1 + next(28),
        priority[next(5) as usize],
        next(1000),
    );
    for _ in 0..4 + next(6) {
        row.push_str(WORDS[next(32) as usize]);
        row.push(' ');
    }
    row
}

/// The sizes of the product: what docs/performance.md says is printed here.
#[test]
fn orders_take_less_room_at_the_default_sizes() {
    let table_bytes = |dictionary_sample_bytes| {
        let defaults = EngineOptions::default();
        let block_size_bytes = defaults.block_size_bytes;
        let mut store =
            Store::new(EngineOptions { block_size_bytes, ..options(dictionary_sample_bytes) });
        fill(&mut store, 0..60_000, order);
        store.checkpoint();
        let count = u64::from(dictionary_sample_bytes > 0);
        assert_eq!(store.stat("dictionaries"), count);
        assert_eq!(damages(&store, VerifyDepth::Checksums), []);
        store.stat("table_bytes_now")
    };
    let without = table_bytes(0);
    let with = table_bytes(EngineOptions::default().dictionary_sample_bytes);
    let raw: usize = (0..60_000).map(|n| 4 + order(n).len()).sum();
    println!("{raw} bytes of rows: {without} without a dictionary, {with} with");
    assert!(with * 100 < without * 95, "{with} bytes instead of {without}");
}

#[test]
fn what_gains_nothing_gets_none_and_is_as_it_was() {
    let noise = |n: u32| {
        let mut state = u64::from(n);
        let next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(60).collect::<Vec<u8>>()
    };
    let (without, _) = written(0, 4000, noise);
    let (with, store) = written(64 << 10, 4000, noise);
    assert_eq!((store.stat("dictionaries"), store.stat("dictionaries_declined")), (0, 1));
    assert!(with == without, "byte by byte");
    // Too short: not even tried.
    let (without, _) = written(0, 500, row);
    let (with, store) = written(64 << 10, 500, row);
    assert_eq!((store.stat("dictionaries"), store.stat("dictionaries_declined")), (0, 0));
    assert!(with == without, "byte by byte");
}

#[test]
fn compactions_make_and_read_them() {
    let mut store = Store::new(EngineOptions {
        write_buffer_bytes: 16 << 10,
        step_bytes: 2 << 10,
        ..options(4 << 10)
    });
    for round in 0..6 {
        fill(&mut store, 0..400, |n| row(n + round * 1000));
        store.maintain();
    }
    store.checkpoint();
    assert!(store.stat("compactions") > 0);
    assert!(store.stat("dictionaries") > 5, "{}", store.stat("dictionaries"));
    check(&store);
    // Those of before are read, and the next tables have none.
    store.options.dictionary_sample_bytes = 0;
    store.reopen();
    store.retain(Retention::since(Timestamp(12_000)));
    fill(&mut store, 0..400, row);
    store.checkpoint();
    assert_eq!(store.stat("dictionaries"), 0);
    let spec = everything(Visible::AsOf(Timestamp::MAX), false);
    assert!(scan(&store.engine.snapshot(), &spec).unwrap() == store.model.scan(&spec));
}

/// The scripts of the shared suite have too little in common from block to block for dictionaries, so here
/// are some with rows that do.
#[test]
fn any_course_of_writes_and_merges_comes_back() {
    let mut made = 0;
    for seed in 0..8 {
        let mut state: u64 = seed;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let mut store = Store::new(EngineOptions {
            write_buffer_bytes: 16 << 10,
            block_size_bytes: 128,
            step_bytes: 1 << 10,
            ..options(4 << 10)
        });
        for _ in 0..600 {
            let key = (next(150) as u32).to_be_bytes();
            match next(100) {
                0 => {
                    made += store.stat("dictionaries");
                    store.reopen();
                }
                1 => store.checkpoint(),
                2..12 => store.maintain(),
                12..20 => {
                    store.write(&key, None);
                }
                _ => {
                    store.write(&key, Some(row(next(1 << 20) as u32).as_bytes()));
                }
            }
        }
        made += store.stat("dictionaries");
        check(&store);
    }
    assert!(made > 8, "{made} dictionaries");
}

/// Where the dictionary of a table lies.
fn dictionary_of(bytes: &[u8]) -> std::ops::Range<u64> {
    assert_eq!(bytes[36], 6, "it comes first");
    let len = u32::from_le_bytes(bytes[40..44].try_into().unwrap());
    36..36 + 12 + u64::from(len)
}

#[derive(Default)]
struct Found {
    versions: usize,
    lost: Vec<Damage>,
}

impl SalvageSink for Found {
    fn begin(&mut self, _at: Commit) -> Result<()> {
        Ok(())
    }

    fn keyspace(&mut self, _space: &Keyspace) -> Result<()> {
        Ok(())
    }

    fn version(&mut self, _space: KeyspaceId, _entry: Entry<'_>) -> Result<()> {
        self.versions += 1;
        Ok(())
    }

    fn lost(&mut self, damage: Damage) {
        self.lost.push(damage);
    }

    fn progress(&mut self, _done_bytes: u64, _total_bytes: u64) {}
}

#[test]
fn a_damaged_dictionary_costs_its_table_and_is_told_with_its_place() {
    let mut store = small();
    fill(&mut store, 1000..1003, row);
    store.checkpoint();
    let place = dictionary_of(&store.disk.read_file(&table(1)).unwrap());
    let sound = store.disk.fork(1);
    for offset in place {
        store.disk = sound.fork(1);
        assert!(store.disk.corrupt(&table(1), offset, 1 << (offset % 8)));
        store.engine = open(&store.disk, &store.options).unwrap();
        for depth in [VerifyDepth::Structure, VerifyDepth::Checksums, VerifyDepth::Full] {
            let found = damages(&store, depth);
            let [damage] = &found[..] else { panic!("byte {offset}: {found:?}") };
            assert_eq!(damage.offset_bytes, 36, "{damage:?}");
            assert!(damage.file.ends_with("000001.table"), "{damage:?}");
        }
        let snapshot = store.engine.snapshot();
        let error = get(&snapshot, &3u32.to_be_bytes(), Timestamp::MAX).unwrap_err();
        assert!(matches!(error, StorageError::Corruption(_)), "{error}");
        let other = get(&snapshot, &1001u32.to_be_bytes(), Timestamp::MAX).unwrap();
        assert_eq!(other.map(|(_, value)| value), Some(row(1001).into_bytes()));

        let mut salvaged = Found::default();
        let env = sim_env(&store.disk, 1);
        LsmEngine::salvage(&env, Path::new(DIR), &store.options, &mut salvaged).unwrap();
        assert_eq!(salvaged.versions, 3, "the other table");
        let [lost] = &salvaged.lost[..] else { panic!("{:?}", salvaged.lost) };
        let keys = lost.keys.as_ref().expect("the manifest knows what lay there");
        assert_eq!((lost.offset_bytes, keys.space), (36, SPACE));
    }
}
