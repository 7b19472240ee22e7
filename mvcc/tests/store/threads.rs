//! Many threads at once.

use std::sync::Arc;

use driftdb_concurrency::{
    ConcurrencyControl, IsolationLevel, LockIntent, Locked, ReadAt, Result, Store, TxnError,
};
use driftdb_mvcc::StoreOptions;
use driftdb_storage::ErrorKind;

use crate::support::*;

for_each_control!(
    no_increment_is_lost_at_read_committed,
    no_increment_is_lost_at_repeatable_read,
    no_increment_is_lost_at_serializable,
    snapshots_always_see_whole_transfers,
    acknowledged_commits_of_many_threads_survive,
);

const THREAD_COUNT: usize = 4;
const ROUNDS: usize = 60;

/// Adds `by` to a number the way UPDATE does: read, lock, read again if it changed.
fn add(txn: &mut Txn, key: &str, by: i64) -> Result<()> {
    let mut value = get_at(txn, key, ReadAt::Statement)?;
    if lock(txn, key, LockIntent::Existing)? == Locked::Changed {
        value = get_at(txn, key, ReadAt::Newest)?;
    }
    let number: i64 = value.expect("the row is there").parse().unwrap();
    txn.put(TABLE, key.as_bytes(), (number + by).to_string().as_bytes())
}

/// Runs a transaction again until it commits.
fn retry(store: &dyn Store, level: IsolationLevel, mut body: impl FnMut(&mut Txn) -> Result<()>) {
    loop {
        let mut txn = begin(store, level);
        match body(&mut txn).and_then(|()| txn.commit()) {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Retry, "{error}"),
        }
    }
}

fn count_together<C: ConcurrencyControl>(level: IsolationLevel) {
    let db = Fixture::<C>::with(&StoreOptions::tiny());
    db.set(&[("a", "0"), ("b", "0")]);
    let started: Vec<_> = (0..THREAD_COUNT)
        .map(|thread| {
            let store = Arc::clone(&db.store);
            beside(&db.env, move || {
                for round in 0..ROUNDS {
                    let key = if (thread + round) % 3 == 0 { "b" } else { "a" };
                    retry(&*store, level, |txn| add(txn, key, 1));
                }
            })
        })
        .collect();
    started.into_iter().for_each(Beside::join);
    let total: usize =
        ["a", "b"].map(|key| db.read(key).unwrap().parse::<usize>().unwrap()).iter().sum();
    assert_eq!(total, THREAD_COUNT * ROUNDS);
    assert!(db.store.background_error().is_none());
    db.store.close().unwrap();
}

fn no_increment_is_lost_at_read_committed<C: ConcurrencyControl>() {
    count_together::<C>(ReadCommitted);
}

fn no_increment_is_lost_at_repeatable_read<C: ConcurrencyControl>() {
    count_together::<C>(RepeatableRead);
}

fn no_increment_is_lost_at_serializable<C: ConcurrencyControl>() {
    count_together::<C>(Serializable);
}

fn snapshots_always_see_whole_transfers<C: ConcurrencyControl>() {
    let db = Fixture::<C>::with(&StoreOptions::tiny());
    let keys = ["a", "b", "c", "d"];
    db.set(&keys.map(|key| (key, "100")));
    let started: Vec<_> = (0..THREAD_COUNT)
        .map(|thread| {
            let store = Arc::clone(&db.store);
            let env = db.env.clone();
            beside(&db.env, move || {
                let mut rng = env.rng(&format!("transfer {thread}"));
                for _ in 0..ROUNDS {
                    let (from, to) = (keys[rng.index(4)], keys[rng.index(4)]);
                    if from == to {
                        continue;
                    }
                    retry(&*store, ReadCommitted, |txn| {
                        add(txn, from, -1)?;
                        add(txn, to, 1)
                    });
                }
            })
        })
        .collect();
    for level in [ReadCommitted, RepeatableRead, Serializable].into_iter().cycle().take(90) {
        let mut txn = begin(&*db.store, level);
        match scan_by(&mut txn, driftdb_storage::KeyRange::ALL, ReadAt::Statement, false, 9) {
            Ok(rows) => {
                let sum: i64 = rows.iter().map(|row| row[2..].parse::<i64>().unwrap()).sum();
                assert_eq!(sum, 400, "{rows:?} at {level}");
            }
            Err(error) => assert!(matches!(error, TxnError::Deadlock { .. }), "{error}"),
        }
    }
    started.into_iter().for_each(Beside::join);
}

fn acknowledged_commits_of_many_threads_survive<C: ConcurrencyControl>() {
    let db = Fixture::<C>::with(&StoreOptions::tiny());
    let started: Vec<_> = (0..THREAD_COUNT)
        .map(|thread| {
            let store = Arc::clone(&db.store);
            beside(&db.env, move || {
                for round in 0..ROUNDS {
                    let mut txn = begin(&*store, ReadCommitted);
                    put(&mut txn, &format!("{thread}/{round:03}"), "x").unwrap();
                    txn.commit().unwrap();
                }
            })
        })
        .collect();
    started.into_iter().for_each(Beside::join);
    let db = db.crash();
    assert_eq!(scan(&mut db.begin(ReadCommitted)).len(), THREAD_COUNT * ROUNDS);
    assert_eq!(
        db.store.sequence_at(driftdb_storage::Timestamp::MAX).unwrap(),
        1 + (THREAD_COUNT * ROUNDS) as u64
    );
}
