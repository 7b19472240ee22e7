//! Waiting for claims: deadlocks, time-outs, NOWAIT, cancel.

use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, CancelToken, ConcurrencyControl, LockIntent, LockStrength, Locked, Result, Store,
    TxnError, WaitPolicy,
};

use crate::support::*;

for_each_waiting_control!(
    a_deadlock_of_two_ends_the_younger,
    a_deadlock_of_three_ends_the_youngest,
    nowait_and_time_outs_fail,
    a_cancel_ends_a_wait,
    a_waiter_gets_the_claim_and_sees_the_change,
    key_share_lets_updates_of_other_columns_pass,
    a_claim_ends_with_its_transaction,
);

const ROWS: &[(&str, &str)] = &[("a", "0"), ("b", "0"), ("c", "0")];

/// A ring: transaction *i* holds key *i* and asks for key *i + 1*.
fn ring<C: ConcurrencyControl>(size: usize) {
    let db = Fixture::<C>::holding(ROWS);
    let keys = ["a", "b", "c"];
    let mut txns: Vec<Txn> = (0..size).map(|_| db.begin(ReadCommitted)).collect();
    for (txn, key) in txns.iter_mut().zip(keys) {
        update(txn, key, "1").unwrap();
    }
    let ids: Vec<_> = txns.iter().map(|txn| txn.id()).collect();
    let youngest = ids.iter().max().copied();
    let mut started = Vec::new();
    for (index, mut txn) in txns.into_iter().enumerate() {
        let id = txn.id();
        let next = keys[(index + 1) % size];
        started.push(beside(&db.env, move || -> (_, Result<()>) {
            let result = update(&mut txn, next, "2");
            (id, result.and_then(|_| txn.commit()).map(drop))
        }));
        if index + 1 < size {
            until_waiting(&db.store, index + 1);
        }
    }
    let results: Vec<_> = started.into_iter().map(Beside::join).collect();
    for (id, result) in &results {
        match result {
            Err(TxnError::Deadlock { detail }) => {
                assert_eq!(Some(*id), youngest);
                assert_eq!(detail.matches("waits for").count(), size, "{detail}");
            }
            other => assert!(other.is_ok() && Some(*id) != youngest, "{results:?}"),
        }
    }
    assert!(db.store.waits().is_empty());
}

fn a_deadlock_of_two_ends_the_younger<C: ConcurrencyControl>() {
    ring::<C>(2);
}

fn a_deadlock_of_three_ends_the_youngest<C: ConcurrencyControl>() {
    ring::<C>(3);
}

fn nowait_and_time_outs_fail<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let mut holder = db.begin(ReadCommitted);
    update(&mut holder, "a", "1").unwrap();
    let mut txn = db.begin(ReadCommitted);
    let mut claim = |wait| {
        txn.lock(TABLE, b"a", LockStrength::NoKeyUpdate, LockIntent::Existing, wait).unwrap_err()
    };
    assert!(matches!(claim(WaitPolicy::NoWait), TxnError::LockNotAvailable));
    let short = WaitPolicy::Wait(Some(Duration::from_millis(2)));
    assert!(matches!(claim(short), TxnError::LockTimeout));
    holder.rollback();
    assert_eq!(lock(&mut txn, "a", LockIntent::Existing).unwrap(), Locked::Unchanged);
}

fn a_cancel_ends_a_wait<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let mut holder = db.begin(ReadCommitted);
    update(&mut holder, "a", "1").unwrap();
    let cancel = CancelToken::new();
    let options = BeginOptions { cancel: cancel.clone(), ..BeginOptions::default() };
    let mut txn = db.store.begin(options).unwrap();
    let waiting = beside(&db.env, move || update(&mut txn, "a", "2"));
    until_waiting(&db.store, 1);
    cancel.cancel();
    assert!(matches!(waiting.join(), Err(TxnError::Canceled)));
    assert!(db.store.waits().is_empty());
    holder.commit().unwrap();
}

fn a_waiter_gets_the_claim_and_sees_the_change<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let mut first = db.begin(ReadCommitted);
    update(&mut first, "a", "1").unwrap();
    let mut second = db.begin(ReadCommitted);
    let waiting = beside(&db.env, move || {
        let locked = lock(&mut second, "a", LockIntent::Existing).unwrap();
        let newest = get_at(&mut second, "a", driftdb_concurrency::ReadAt::Newest).unwrap();
        (locked, newest)
    });
    until_waiting(&db.store, 1);
    first.commit().unwrap();
    assert_eq!(waiting.join(), (Locked::Changed, Some("1".to_owned())));

    let mut first = db.begin(ReadCommitted);
    update(&mut first, "b", "1").unwrap();
    let mut second = db.begin(ReadCommitted);
    let waiting = beside(&db.env, move || lock(&mut second, "b", LockIntent::Existing).unwrap());
    until_waiting(&db.store, 1);
    first.rollback();
    assert_eq!(waiting.join(), Locked::Unchanged);
}

fn key_share_lets_updates_of_other_columns_pass<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let mut child = db.begin(ReadCommitted);
    let nowait = WaitPolicy::NoWait;
    let existing = LockIntent::Existing;
    child.lock(TABLE, b"a", LockStrength::KeyShare, existing, nowait).unwrap();
    let mut parent = db.begin(ReadCommitted);
    parent.lock(TABLE, b"a", LockStrength::NoKeyUpdate, existing, nowait).unwrap();
    parent.put(TABLE, b"a", b"1").unwrap();
    let refused = parent.lock(TABLE, b"a", LockStrength::Update, existing, nowait);
    assert!(matches!(refused, Err(TxnError::LockNotAvailable)));
    parent.commit().unwrap();
    child.commit().unwrap();
}

fn a_claim_ends_with_its_transaction<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    for end in [|txn: Txn| drop(txn), |txn: Txn| txn.rollback(), |txn: Txn| drop(txn.commit())] {
        let mut txn = db.begin(Serializable);
        update(&mut txn, "a", "1").unwrap();
        end(txn);
        let mut next = db.begin(ReadCommitted);
        let nowait = WaitPolicy::NoWait;
        next.lock(TABLE, b"a", LockStrength::Update, LockIntent::Insert, nowait).unwrap();
    }
}
