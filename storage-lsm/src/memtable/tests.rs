//! The memtable against an ordered map, and under threads.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{KeyRange, ScanSpec, Visible};
use proptest::prelude::*;

use super::*;
use crate::span::{Source, Span};

const A: KeyspaceId = KeyspaceId(1);
const BUFFER_BYTES: usize = 64 << 10;

/// Sizes of what is drawn. Miri takes a thousand times as long, and finds in a small list what it would in a large one.
const BATCHES: usize = if cfg!(miri) { 4 } else { 12 };
const WRITES: usize = if cfg!(miri) { 5 } else { 12 };
const LARGE_BATCH: usize = if cfg!(miri) { 8 } else { 60 };
const PROBES: usize = if cfg!(miri) { 2 } else { 4 };

fn commit(n: u64) -> Commit {
    Commit { lsn: Lsn(n), ts: Timestamp(n) }
}

type Shown = (Vec<u8>, u64, Option<Vec<u8>>);

/// What a source shows from `from` on.
fn shown(memtable: &Arc<Memtable>, span: Span, from: Option<Bound<&[u8]>>) -> Vec<Shown> {
    let span = Arc::new(span);
    let mut source = MemtableSource::new(Arc::clone(memtable), Arc::clone(&span));
    source.seek(from.unwrap_or_else(|| span.first())).unwrap();
    let mut shown = Vec::new();
    while let Some(Entry { key, ts, value }) = source.head() {
        shown.push((key.to_vec(), ts.0, value.map(<[u8]>::to_vec)));
        source.advance().unwrap();
    }
    shown
}

/// Keyspace, key, newest first to value.
type Model = BTreeMap<(u32, Vec<u8>), BTreeMap<u64, Option<Vec<u8>>>>;

fn scan(model: &Model, space: KeyspaceId, spec: &ScanSpec<'_>, at: u64) -> Vec<Shown> {
    let mut all = Vec::new();
    let mut keys: Vec<_> = model
        .iter()
        .filter(|((in_space, key), _)| *in_space == space.0 && spec.range.contains(key))
        .collect();
    if spec.reverse {
        keys.reverse();
    }
    for ((_, key), versions) in keys {
        let (after, up_to, limit) = match spec.visible {
            Visible::AsOf(ts) => (0, ts.0, 1),
            Visible::All => (0, u64::MAX, usize::MAX),
            Visible::Between { after, up_to } => (after.0, up_to.0, usize::MAX),
        };
        let versions = versions.iter().rev();
        let seen = versions.filter(|&(&ts, _)| after < ts && ts <= up_to.min(at));
        all.extend(seen.take(limit).map(|(&ts, value)| (key.clone(), ts, value.clone())));
    }
    all
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few distinct bytes, so that keys meet, lengths on both sides of the prefix.
    prop_oneof![
        prop::collection::vec(0..3u8, 0..4),
        prop::collection::vec(0..2u8, 7..11),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}

type Write = (u32, Vec<u8>, Option<Vec<u8>>);

fn write() -> impl Strategy<Value = Write> {
    let value = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..30));
    (prop_oneof![0..3u32, Just(u32::MAX)], key(), value)
}

fn batch_of(writes: &[Write]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (space, key, value) in writes {
        match value {
            Some(value) => batch.put(KeyspaceId(*space), key, value),
            None => batch.delete(KeyspaceId(*space), key),
        }
    }
    batch
}

fn model_of(batches: &[Vec<Write>]) -> Model {
    let mut model = Model::new();
    for (n, writes) in (1..).zip(batches) {
        for (space, key, value) in writes {
            let versions = model.entry((*space, key.clone())).or_default();
            versions.insert(n * 10, value.clone());
        }
    }
    model
}

/// Compares every answer that a memtable can give with the model's.
fn check(memtable: &Arc<Memtable>, model: &Model, probes: &[Vec<u8>], last: u64) {
    let spaces = [A, KeyspaceId(0), KeyspaceId(2), KeyspaceId(3), KeyspaceId(u32::MAX)];
    for ((space, key), versions) in model {
        for ts in (0..=last + 10).step_by(5) {
            let expected = versions.range(..=ts).next_back();
            let mut out = Vec::new();
            let found = memtable.get(KeyspaceId(*space), key, Timestamp(ts), &mut out);
            assert_eq!(
                found,
                expected.map(|(&ts, value)| match value {
                    Some(_) => Found::Value(Timestamp(ts)),
                    None => Found::Tombstone(Timestamp(ts)),
                })
            );
            assert_eq!(out, expected.and_then(|(_, value)| value.clone()).unwrap_or_default());
            let newest = memtable.newest(KeyspaceId(*space), key, Timestamp(ts));
            assert_eq!(newest, expected.map(|(&ts, _)| Timestamp(ts)));
        }
    }
    for (space, key) in spaces.iter().flat_map(|space| probes.iter().map(move |key| (space, key))) {
        let is_known = model.contains_key(&(space.0, key.clone()));
        assert_eq!(memtable.newest(*space, key, Timestamp::MAX).is_some(), is_known);
    }
    let bounds = probes.iter().flat_map(|key| [Bound::Included(&**key), Bound::Excluded(&**key)]);
    let bounds: Vec<_> = bounds.chain([Bound::Unbounded]).collect();
    let (third, half) = (Timestamp(last / 3), Timestamp(last / 2));
    for visible in [
        Visible::All,
        Visible::AsOf(half),
        Visible::AsOf(Timestamp::MAX),
        Visible::Between { after: third, up_to: Timestamp(last) },
    ] {
        for reverse in [false, true] {
            for (space, at) in spaces.into_iter().flat_map(|space| [(space, last), (space, half.0)])
            {
                for &start in &bounds {
                    for &end in &bounds {
                        let range = KeyRange { start, end };
                        let spec = ScanSpec { range, visible, reverse };
                        let span = Span::new(space, &spec, Timestamp(at));
                        if !span.is_empty() {
                            assert_eq!(
                                shown(memtable, span, None),
                                scan(model, space, &spec, at),
                                "{space} at {at}, {spec:?}"
                            );
                        }
                    }
                }
            }
        }
    }
    let entries = memtable.entries().map(|(space, entry)| {
        (space.0, entry.key.to_vec(), entry.ts.0, entry.value.map(<[u8]>::to_vec))
    });
    let expected = model.iter().flat_map(|((space, key), versions)| {
        let newest_first = versions.iter().rev();
        newest_first.map(|(&ts, value)| (*space, key.clone(), ts, value.clone()))
    });
    assert!(entries.eq(expected), "what a flush writes");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 64 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_is_an_ordered_map(
        batches in prop::collection::vec(prop::collection::vec(write(), 0..WRITES), 1..BATCHES),
        sorts: bool,
        replayed in 0..BATCHES,
        probes in prop::collection::vec(key(), 1..PROBES),
    ) {
        let mut batches = batches;
        if sorts {
            batches.iter_mut().for_each(|writes| writes.sort());
        }
        let memtable = Arc::new(match replayed {
            0 => Memtable::new(BUFFER_BYTES),
            _ => Memtable::for_replay(BUFFER_BYTES),
        });
        for (n, writes) in (1..).zip(&batches) {
            memtable.insert(&batch_of(writes), commit(n * 10));
            if n == replayed as u64 {
                memtable.settle();
            }
        }
        memtable.settle();
        let last = batches.len() as u64 * 10;
        prop_assert_eq!(memtable.last(), Some(commit(last)));
        check(&memtable, &model_of(&batches), &probes, last);
    }

    #[test]
    fn a_batch_of_its_own_is_an_ordered_map(
        writes in prop::collection::vec(write(), 0..LARGE_BATCH),
        sorts: bool,
        probes in prop::collection::vec(key(), 1..PROBES),
    ) {
        let mut writes = writes;
        if sorts {
            writes.sort();
        }
        let memtable = Arc::new(Memtable::of_batch(batch_of(&writes), commit(10)));
        check(&memtable, &model_of(&[writes]), &probes, 10);
    }
}

#[test]
fn a_long_history_is_passed_over_both_ways() {
    let memtable = Arc::new(Memtable::new(BUFFER_BYTES));
    let count = if cfg!(miri) { 5 } else { 40u8 };
    let batches: Vec<Vec<Write>> = (0..count)
        .map(|n| [b"a", b"b", b"c"].map(|key| (A.0, key.to_vec(), Some(vec![n]))).to_vec())
        .collect();
    for (n, writes) in (1..).zip(&batches) {
        memtable.insert(&batch_of(writes), commit(n * 10));
    }
    check(&memtable, &model_of(&batches), &[b"b".to_vec(), b"bb".to_vec()], u64::from(count) * 10);
}

#[test]
fn the_last_write_of_a_batch_counts() {
    let writes = [Some(b"first".to_vec()), None, Some(b"last".to_vec())];
    let batch = batch_of(&writes.map(|value| (A.0, b"k".to_vec(), value)));
    let grown = [Memtable::new(BUFFER_BYTES), Memtable::for_replay(BUFFER_BYTES)];
    for memtable in &grown {
        memtable.insert(&batch, commit(3));
        memtable.settle();
    }
    for memtable in grown.into_iter().chain([Memtable::of_batch(batch, commit(3))]) {
        let mut out = Vec::new();
        let found = memtable.get(A, b"k", Timestamp(3), &mut out);
        assert_eq!(found, Some(Found::Value(Timestamp(3))));
        assert_eq!(out, b"last");
        assert_eq!(memtable.entries().count(), 1);
        assert_eq!(memtable.last(), Some(commit(3)));
    }
}

/// Whatever batches come, a memtable that is not full has room for one that is not large.
#[test]
fn the_arena_holds_what_it_promises() {
    for (buffer_bytes, key_len, value_len) in
        [(0, 1, 0), (1 << 10, 0, 1), (4 << 10, 1, 1), (64 << 10, 9, 3000), (64 << 10, 1, 0)]
    {
        let memtable = Memtable::new(buffer_bytes);
        for n in 1.. {
            let mut batch = WriteBatch::new();
            while !Memtable::is_large(&batch, buffer_bytes) {
                let mut key = format!("{n}-{}", batch.len()).into_bytes();
                key.resize(key.len() + key_len, 0);
                batch.put(A, &key, &vec![7; value_len]);
            }
            // One less than large.
            let mut fitting = WriteBatch::new();
            for operation in batch.operations().take(batch.len() - 1) {
                let Operation::Put { space, key, value } = operation else { unreachable!() };
                fitting.put(space, key, value);
            }
            let before_bytes = memtable.bytes();
            memtable.insert(&fitting, commit(n));
            assert!(memtable.bytes() - before_bytes <= footprint_bytes(&fitting) + EMPTY_BYTES);
            if memtable.is_full() {
                break;
            }
        }
    }
}

/// One writer, two readers, on real threads. Each batch moves every key to its own number.
#[test]
fn readers_see_whole_batches() {
    let (batch_count, key_count) = if cfg!(miri) { (3, 3) } else { (400, 50) };
    // Miri pays for every byte of the arena.
    let memtable = Arc::new(Memtable::new(if cfg!(miri) { 4 << 10 } else { 8 << 20 }));
    let applied = AtomicU64::new(0);
    let key_of = |n: u64| format!("{:03}", n * 37 % 101).into_bytes();
    std::thread::scope(|scope| {
        for reverse in [false, true] {
            let (memtable, applied) = (&memtable, &applied);
            scope.spawn(move || {
                let mut at = 0;
                // Under Miri a reader that never rests keeps the writer from its work.
                let mut rounds = if cfg!(miri) { 8 } else { u64::MAX };
                while at < batch_count && rounds > 0 {
                    rounds -= 1;
                    // Miri gives a thread that only looks most of its time.
                    driftdb_env::yield_now("reader");
                    at = applied.load(Ordering::Acquire);
                    let spec = ScanSpec {
                        range: KeyRange { start: Bound::Unbounded, end: Bound::Unbounded },
                        visible: Visible::AsOf(Timestamp::MAX),
                        reverse,
                    };
                    let found = shown(memtable, Span::new(A, &spec, Timestamp(at)), None);
                    let count = if at == 0 { 0 } else { key_count };
                    assert_eq!(found.len() as u64, count, "at {at}");
                    assert!(found.is_sorted_by_key(|(key, ..)| key) || reverse);
                    for (_, ts, value) in found {
                        assert_eq!((ts, value), (at, Some(at.to_string().into_bytes())));
                    }
                    let mut out = Vec::new();
                    memtable.get(A, &key_of(at % key_count), Timestamp(at), &mut out);
                    assert_eq!(out, if at == 0 { vec![] } else { at.to_string().into_bytes() });
                }
            });
        }
        for n in 1..=batch_count {
            let mut batch = WriteBatch::new();
            for key in 0..key_count {
                batch.put(A, &key_of(key), b"overwritten in the same batch");
                batch.put(A, &key_of(key), n.to_string().as_bytes());
            }
            memtable.insert(&batch, commit(n));
            applied.store(n, Ordering::Release);
        }
    });
}
