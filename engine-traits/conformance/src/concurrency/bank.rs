//! Transfers between accounts from several tasks: the sum stays, for every reader at every time.

use std::sync::Arc;

use driftdb_concurrency::{IsolationLevel, ReadAt, Store, Transaction};
use driftdb_env::Rng;
use driftdb_storage::ErrorKind;

use super::driver::{Fixture, LEVELS, Open, add, scan_all};

const ACCOUNTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TASKS: u64 = 3;
const TRANSFERS: u64 = 60;

/// Money moves, and is neither made nor lost; above READ COMMITTED a transaction's two scans agree.
pub fn money_is_neither_made_nor_lost(open: &Open) {
    for level in LEVELS {
        let fixture = Fixture::new(open, &ACCOUNTS.map(|account| (account, "100")));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let store = Arc::clone(&fixture.store);
                fixture.env.spawn("teller", move || transfers(&*store, level, task))
            })
            .collect();
        for _ in 0..20 {
            let mut txn = fixture.begin(level);
            match sum(&mut *txn) {
                Ok(sum) => assert_eq!(sum, 600, "{level}: during transfers"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Retry, "{level}: {error}"),
            }
        }
        for task in tasks {
            task.join();
        }
        let mut txn = fixture.begin(level);
        assert_eq!(sum(&mut *txn).expect("nobody else is there"), 600, "{level}: at the end");
        let done = fixture.store.sequence_at(fixture.store.newest()).expect("a healthy store");
        assert!(done > TASKS * TRANSFERS, "{level}: a teller died: {done} commits");
    }
}

fn sum(txn: &mut dyn Transaction) -> driftdb_concurrency::Result<i64> {
    let rows = scan_all(txn, ReadAt::Statement)?;
    assert_eq!(rows.len(), ACCOUNTS.len());
    Ok(rows.iter().map(|(_, value)| value.parse::<i64>().expect("accounts are numbers")).sum())
}

fn transfers(store: &dyn Store, level: IsolationLevel, task: u64) {
    let mut rng = Rng::seeded(task);
    for _ in 0..TRANSFERS {
        let from = rng.index(ACCOUNTS.len());
        let to = (from + 1 + rng.index(ACCOUNTS.len() - 1)) % ACCOUNTS.len();
        let amount = rng.below(20) as i64;
        let mut attempts = 0;
        while let Err(error) = transfer(store, level, ACCOUNTS[from], ACCOUNTS[to], amount) {
            assert_eq!(error.kind(), ErrorKind::Retry, "{level}: {error}");
            attempts += 1;
            assert!(attempts < 2000, "{level}: no progress: {error}");
            driftdb_env::yield_now("retry");
        }
    }
}

fn transfer(
    store: &dyn Store,
    isolation: IsolationLevel,
    from: &str,
    to: &str,
    amount: i64,
) -> driftdb_concurrency::Result<()> {
    let options = driftdb_concurrency::BeginOptions { isolation, ..Default::default() };
    let mut txn = store.begin(options)?;
    txn.begin_statement()?;
    add(&mut *txn, from, -amount)?;
    txn.begin_statement()?;
    add(&mut *txn, to, amount)?;
    txn.commit().map(|_| ())
}
