//! Random transactions, one at a time, against ordered maps.

use std::collections::BTreeMap;

use driftdb_concurrency::{ConcurrencyControl, ReadAt, SavepointId, Store};
use driftdb_mvcc::{LockingControl, OccControl, SsiControl, StoreOptions};
use driftdb_storage::{KeyRange, Timestamp};
use proptest::prelude::*;

use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Statement,
    Savepoint,
    RollbackTo(u8),
    Release(u8),
    Commit,
    Rollback,
    Crash,
    Scan { low: u8, high: u8, reverse: bool, max_rows: usize },
    Past(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..12, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (0u8..12).prop_map(Step::Delete),
        4 => Just(Step::Statement),
        2 => Just(Step::Savepoint),
        2 => any::<u8>().prop_map(Step::RollbackTo),
        1 => any::<u8>().prop_map(Step::Release),
        2 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::Crash),
        4 => (0u8..13, 0u8..13, any::<bool>(), 1usize..5).prop_map(
            |(low, high, reverse, max_rows)| Step::Scan { low, high, reverse, max_rows }
        ),
        2 => any::<u8>().prop_map(Step::Past),
    ]
}

type Rows = BTreeMap<String, String>;

/// What the store should hold.
#[derive(Default)]
struct Model {
    history: Vec<(Timestamp, Rows)>,
    committed: Rows,
    /// As the running statement sees it.
    statement: Rows,
    newest: Rows,
    savepoints: Vec<(SavepointId, Rows)>,
}

impl Model {
    fn begin(&mut self) {
        self.statement = self.committed.clone();
        self.newest = self.committed.clone();
        self.savepoints.clear();
    }

    fn pick(&self, index: u8) -> Option<usize> {
        (!self.savepoints.is_empty()).then(|| index as usize % self.savepoints.len())
    }
}

fn key(n: u8) -> String {
    format!("k{n:02}")
}

fn expected(rows: &Rows, low: &str, high: &str, reverse: bool) -> Vec<String> {
    let inside = rows.iter().filter(|(key, _)| (low..high).contains(&key.as_str()));
    let mut list: Vec<String> = inside.map(|(key, value)| format!("{key}={value}")).collect();
    if reverse {
        list.reverse();
    }
    list
}

fn run<C: ConcurrencyControl>(
    level: driftdb_concurrency::IsolationLevel,
    transaction_memory_bytes: usize,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let mut db = Fixture::<C>::with(&StoreOptions { transaction_memory_bytes, ..options() });
    let mut model = Model::default();
    let mut txn = db.begin(level);
    for step in steps {
        match step {
            Step::Put(n, value) => {
                put(&mut txn, &key(*n), &value.to_string()).unwrap();
                model.newest.insert(key(*n), value.to_string());
            }
            Step::Delete(n) => {
                delete(&mut txn, &key(*n)).unwrap();
                model.newest.remove(&key(*n));
            }
            Step::Statement => {
                txn.begin_statement().unwrap();
                model.statement = model.newest.clone();
            }
            Step::Savepoint => {
                // SQL takes savepoints in statements of their own.
                txn.begin_statement().unwrap();
                model.statement = model.newest.clone();
                model.savepoints.push((txn.savepoint(), model.newest.clone()));
            }
            Step::RollbackTo(index) => {
                if let Some(index) = model.pick(*index) {
                    txn.rollback_to(model.savepoints[index].0);
                    txn.begin_statement().unwrap();
                    model.savepoints.truncate(index + 1);
                    model.newest = model.savepoints[index].1.clone();
                    model.statement = model.newest.clone();
                }
            }
            Step::Release(index) => {
                if let Some(index) = model.pick(*index) {
                    txn.release(model.savepoints[index].0);
                    model.savepoints.truncate(index);
                }
            }
            Step::Commit => {
                let committed = txn.commit().unwrap();
                model.committed = model.newest.clone();
                if let Some(commit) = committed.commit {
                    model.history.push((commit.ts, model.committed.clone()));
                }
                model.begin();
                txn = db.begin(level);
            }
            Step::Rollback => {
                txn.rollback();
                model.begin();
                txn = db.begin(level);
            }
            Step::Crash => {
                drop(txn);
                db = db.crash();
                model.begin();
                txn = db.begin(level);
            }
            Step::Scan { low, high, reverse, max_rows } => {
                let (low, high) = (key(*low), key(*high));
                let range = KeyRange::half_open(low.as_bytes(), high.as_bytes());
                for (at, rows) in
                    [(ReadAt::Statement, &model.statement), (ReadAt::Newest, &model.newest)]
                {
                    let found = scan_by(&mut txn, range, at, *reverse, *max_rows).unwrap();
                    prop_assert_eq!(found, expected(rows, &low, &high, *reverse));
                    let one = get_at(&mut txn, &low, at).unwrap();
                    prop_assert_eq!(one.as_ref(), rows.get(&low));
                }
            }
            Step::Past(index) => {
                let Some((ts, rows)) = (!model.history.is_empty())
                    .then(|| &model.history[*index as usize % model.history.len()])
                else {
                    continue;
                };
                let at = ReadAt::AsOf(*ts);
                let found = scan_by(&mut txn, KeyRange::ALL, at, false, 3).unwrap();
                prop_assert_eq!(found, expected(rows, "", "z", false));
                let sequence = db.store.sequence_at(*ts).unwrap();
                prop_assert_eq!(db.store.timestamp_of_sequence(sequence).unwrap(), *ts);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn ssi_agrees_with_the_model(
        steps in prop::collection::vec(step(), 0..60),
        level in prop::sample::select(vec![ReadCommitted, RepeatableRead, Serializable]),
    ) {
        run::<SsiControl>(level, 1 << 20, &steps)?;
    }

    #[test]
    fn locking_agrees_with_the_model(
        steps in prop::collection::vec(step(), 0..60),
        level in prop::sample::select(vec![ReadCommitted, RepeatableRead, Serializable]),
    ) {
        run::<LockingControl>(level, 1 << 20, &steps)?;
    }

    #[test]
    fn whatever_spills_agrees_with_the_model(
        steps in prop::collection::vec(step(), 0..60),
        level in prop::sample::select(vec![ReadCommitted, RepeatableRead, Serializable]),
        memory_bytes in prop::sample::select(vec![1, 200, 400, 1000]),
    ) {
        run::<SsiControl>(level, memory_bytes, &steps)?;
        run::<OccControl>(level, memory_bytes, &steps)?;
    }
}
