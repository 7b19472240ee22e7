//! Random histories under many settings give what the model gives.

use std::ops::Bound;

use driftdb_storage::{
    Compaction, Compression, Cursor, Engine, EngineOptions, FilterKind, KeyRange, Retention,
    ScanSpec, Snapshot, Timestamp, Visible,
};
use proptest::prelude::*;

use crate::store::{Always, SPACE, Store, get, scan};

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Maintain,
    /// This many steps, which may end inside a compaction.
    Steps(u8),
    Checkpoint,
    Reopen,
    /// Forget what is older than this share of all time, in 16ths.
    Retain(u8),
    Read(Query),
}

#[derive(Debug, Clone)]
struct Query {
    /// Times in 16ths of all time.
    from: u8,
    to: u8,
    start: Bound<u8>,
    end: Bound<u8>,
    kind: u8,
    reverse: bool,
    seek: Option<u8>,
}

/// Keys of several lengths, some a prefix of others.
fn key(number: u8) -> Vec<u8> {
    let mut key = vec![b'a' + number % 7; 1 + usize::from(number / 7 % 4)];
    if number.is_multiple_of(5) {
        key.extend_from_slice(b"-a-longer-tail-that-fills-a-block");
    }
    key
}

fn bound() -> impl Strategy<Value = Bound<u8>> {
    prop_oneof![
        Just(Bound::Unbounded),
        (0u8..28).prop_map(Bound::Included),
        (0u8..28).prop_map(Bound::Excluded),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let seek = prop::option::of(0u8..28);
    (0u8..17, 0u8..17, bound(), bound(), 0u8..3, any::<bool>(), seek).prop_map(
        |(from, to, start, end, kind, reverse, seek)| Query {
            from,
            to,
            start,
            end,
            kind,
            reverse,
            seek,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u8..28, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        4 => (0u8..28).prop_map(Step::Delete),
        2 => Just(Step::Maintain),
        3 => (1u8..12).prop_map(Step::Steps),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => (0u8..17).prop_map(Step::Retain),
        4 => query().prop_map(Step::Read),
    ]
}

fn options() -> impl Strategy<Value = EngineOptions> {
    let sizes = (prop_oneof![Just(64), Just(300)], prop_oneof![Just(100), Just(1500)]);
    let memory = (prop_oneof![Just(0), Just(2000)], prop_oneof![Just(0), Just(10)]);
    let filter = prop_oneof![Just(FilterKind::Bloom), Just(FilterKind::Fuse)];
    // Training takes long beside all else here.
    let samples = prop_oneof![4 => Just(0), 1 => Just(600)];
    let compression = (
        prop_oneof![Just(Compression::None), Just(Compression::Lz4), Just(Compression::Zstd),],
        samples,
    );
    let work = (
        prop_oneof![Just(Compaction::Leveled), Just(Compaction::Tiered)],
        prop_oneof![Just(1), Just(100), Just(8 << 10)],
    );
    let all = (sizes, memory, filter, compression, work);
    all.prop_map(|(sizes, memory, filter, compression, (compaction, step_bytes))| {
        let (block_size_bytes, write_buffer_bytes) = sizes;
        let (cache_bytes, bits) = memory;
        let (compression, dictionary_sample_bytes) = compression;
        EngineOptions {
            write_buffer_bytes,
            cache_bytes,
            block_size_bytes,
            filter_bits_per_key: bits,
            filter,
            compression,
            dictionary_sample_bytes,
            compaction,
            step_bytes,
        }
    })
}

fn time(store: &Store, share: u8) -> Timestamp {
    Timestamp(store.model.last().ts.0 * u64::from(share) / 16)
}

/// Compares one scan, and one read of every key, with the model.
fn check(store: &Store, keep_since: Timestamp, query: &Query) -> Result<(), TestCaseError> {
    let snapshot = store.engine.snapshot();
    let (from, to) =
        (time(store, query.from).max(keep_since), time(store, query.to).max(keep_since));
    for known in store.model.keys() {
        prop_assert_eq!(get(&snapshot, known, to).unwrap(), store.model.get(known, to));
        let newest = snapshot.newest(SPACE, known).unwrap();
        let expected = store.model.get(known, Timestamp::MAX);
        prop_assert!(expected.is_none() || newest == expected.map(|(ts, _)| ts));
    }
    let visible = match query.kind {
        0 => Visible::AsOf(to),
        1 => Visible::Between { after: from, up_to: to },
        _ if keep_since == Timestamp::MIN => Visible::All,
        _ => Visible::AsOf(Timestamp::MAX),
    };
    let (start, end) = (query.start.map(key), query.end.map(key));
    let range =
        KeyRange { start: start.as_ref().map(|key| &**key), end: end.as_ref().map(|key| &**key) };
    let spec = ScanSpec { range, visible, reverse: query.reverse };
    let mut expected = store.model.scan(&spec);
    prop_assert_eq!(scan(&snapshot, &spec).unwrap(), expected.clone(), "{:?}", spec);
    if let Some(target) = query.seek.map(key) {
        expected.retain(|(key, _, _)| if spec.reverse { *key <= target } else { *key >= target });
        let mut cursor = snapshot.cursor(SPACE, &spec).unwrap();
        let _ = cursor.next().unwrap();
        cursor.seek(&target).unwrap();
        for (key, ts, value) in expected {
            prop_assert!(cursor.next().unwrap());
            let entry = cursor.entry();
            prop_assert_eq!((entry.key, entry.ts, entry.value), (&*key, ts, value.as_deref()));
        }
        prop_assert!(!cursor.next().unwrap());
        prop_assert!(!cursor.next().unwrap());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_history_reads_as_the_model(
        options in options(),
        steps in prop::collection::vec(step(), 1..150),
        last in query(),
    ) {
        let mut store = Store::new(options);
        let mut keep_since = store.model.last().ts;
        store.retain(Retention::since(keep_since));
        for step in steps {
            match step {
                Step::Put(number, value) => {
                    store.write(&key(number), Some(&vec![value; usize::from(value)]));
                }
                Step::Delete(number) => {
                    store.write(&key(number), None);
                }
                Step::Maintain => store.maintain(),
                Step::Steps(count) => {
                    for _ in 0..count {
                        store.engine.maintain(&Always).unwrap();
                    }
                }
                Step::Checkpoint => store.checkpoint(),
                Step::Reopen => store.reopen(),
                Step::Retain(share) => {
                    keep_since = keep_since.max(time(&store, share));
                    store.retain(Retention::since(keep_since));
                }
                Step::Read(query) => check(&store, keep_since, &query)?,
            }
        }
        check(&store, keep_since, &last)?;
        let mut damages = Vec::new();
        store.engine.verify(driftdb_storage::VerifyDepth::Full, &mut |damage: driftdb_storage::Damage| damages.push(damage)).unwrap();
        prop_assert!(damages.is_empty(), "{:?}", damages);
    }
}
