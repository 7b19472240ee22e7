//! The parts below SQL: log append, put, point get and scan on each engine.
//!
//! `cargo bench -p bench`. Ratios between engines within one run are what counts; the numbers
//! are kept in docs/performance.md with the machine they were taken on.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use driftdb_env::{Env, Rng};
use driftdb_memory::MemoryEngine;
use driftdb_storage::{
    Commit, Cursor, Engine, EngineOptions, KeyRange, KeyspaceId, LogBarrier, Lsn, Result, ScanSpec,
    Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;
use driftdb_wal::{Wal, WalOptions};

const SPACE: KeyspaceId = KeyspaceId(1024);
const ROWS: u64 = 100_000;
const VALUE: [u8; 100] = [7; 100];

/// A log that is always durable: engines are measured without one.
struct NoLog;

impl LogBarrier for NoLog {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        Ok(())
    }
}

/// Keys in no order, as TPC-B draws them.
fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn commit(number: u64) -> Commit {
    Commit { lsn: Lsn(number), ts: Timestamp(number) }
}

/// An engine with `ROWS` rows, all of them on disk where the engine has one.
fn filled<E: Engine>(dir: &tempfile::TempDir) -> E {
    let engine = E::open(&Env::os(), dir.path(), &EngineOptions::default()).expect("a new engine");
    let mut batch = WriteBatch::new();
    batch.create_keyspace(SPACE);
    engine.apply(&batch, commit(1)).expect("a keyspace");
    for first in (0..ROWS).step_by(1000) {
        batch.clear();
        (first..first + 1000).for_each(|number| batch.put(SPACE, &key(number), &VALUE));
        engine.apply(&batch, commit(first + 2)).expect("rows");
    }
    engine.checkpoint(&NoLog).expect("a checkpoint");
    engine
}

fn engine<E: Engine>(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let engine: E = filled(&dir);
    let mut group = criterion.benchmark_group(E::NAME);
    let mut rng = Rng::seeded(1);

    let snapshot = engine.snapshot();
    let mut out = Vec::new();
    group.bench_function("get", |bencher| {
        bencher.iter(|| {
            out.clear();
            let key = key(rng.below(ROWS));
            snapshot.get(SPACE, &key, Timestamp::MAX, black_box(&mut out)).expect("a read")
        });
    });

    group.throughput(Throughput::Elements(1000));
    group.bench_function("scan 1000", |bencher| {
        bencher.iter(|| {
            let start = key(rng.below(ROWS));
            let range = KeyRange {
                start: std::ops::Bound::Included(&start),
                end: std::ops::Bound::Unbounded,
            };
            let visible = Visible::AsOf(Timestamp::MAX);
            let spec = ScanSpec { range, visible, reverse: false };
            let mut cursor = snapshot.cursor(SPACE, &spec).expect("a cursor");
            let mut bytes = 0;
            for _ in 0..1000 {
                if !cursor.next().expect("a row") {
                    break;
                }
                bytes += cursor.entry().value.map_or(0, <[u8]>::len);
            }
            bytes
        });
    });

    let mut number = ROWS + 2;
    group.throughput(Throughput::Elements(1));
    group.bench_function("put", |bencher| {
        bencher.iter_batched(
            || {
                let mut batch = WriteBatch::new();
                batch.put(SPACE, &key(rng.below(ROWS)), &VALUE);
                number += 1;
                (batch, commit(number))
            },
            |(batch, at)| {
                engine.apply(&batch, at).expect("a put");
                // What keeps memory bounded belongs to the price of a put.
                if at.ts.0.is_multiple_of(4096) {
                    engine.maintain(&NoLog).expect("maintenance");
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn log(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let wal = Wal::open(&Env::os(), dir.path(), &WalOptions::default()).expect("a new log");
    let mut group = criterion.benchmark_group("wal");
    group.bench_function("append 128 bytes", |bencher| {
        bencher.iter(|| wal.append(&[&VALUE, &VALUE[..28]]).expect("an append"));
    });
    group.bench_function("append and sync", |bencher| {
        bencher.iter(|| {
            let lsn = wal.append(&[&VALUE]).expect("an append");
            wal.wait_durable(lsn).expect("a sync");
            wal.release_before(lsn).expect("a release");
        });
    });
    group.finish();
}

criterion_group!(benches, log, engine::<MemoryEngine>, engine::<LsmEngine>, engine::<BtreeEngine>);
criterion_main!(benches);
