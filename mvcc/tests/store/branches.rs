//! Branches: what they cost, keyspaces in them, rows that others want to stay, and how deep they go.

use std::sync::Arc;

use driftdb_concurrency::{
    ConcurrencyControl, Counter, LockIntent, LockStrength, Locked, Provenance, ReadAt, Store,
    TxnError,
};
use driftdb_mvcc::{BranchError, Branches, NewBranch};
use driftdb_storage::{KeyspaceId, StorageError};

use crate::support::*;

for_each_control!(
    making_a_branch_costs_the_same_whatever_the_size,
    keyspaces_of_inherited_numbers_come_and_go,
    a_row_that_is_wanted_to_stay_is_missed,
    branches_on_branches_end_somewhere,
);

fn branches<C: ConcurrencyControl>(db: &Fixture<C>) -> Branches {
    let base: Arc<dyn Store> = Arc::<TestStore<C>>::clone(&db.store);
    Branches::new(base)
}

fn make(branches: &Branches, name: &str, parent: Option<&str>) -> Arc<dyn Store> {
    let new = NewBranch { name, parent, at: None };
    branches.create(&new, &Provenance::default()).unwrap();
    branches.open(name).unwrap()
}

fn making_a_branch_costs_the_same_whatever_the_size<C: ConcurrencyControl>() {
    let logged = |row_count: usize| {
        let db = Fixture::<C>::new();
        for n in 0..row_count {
            db.set(&[(&format!("k{n}"), "a row that is long enough to be noticed")]);
        }
        db.store.unique_ids(Counter::Keyspace, 1).unwrap();
        let branches = branches(&db);
        make(&branches, "first", None);
        let before = db.store.wal().tail();
        make(&branches, "second", None);
        db.store.wal().tail().0 - before.0
    };
    assert_eq!(logged(1), logged(2000));
    assert!(logged(1) < 500, "{} bytes", logged(1));
}

/// An upgrade may make a keyspace of the catalog in a branch that is older than it.
fn keyspaces_of_inherited_numbers_come_and_go<C: ConcurrencyControl>() {
    const LATE: KeyspaceId = KeyspaceId(20);
    let db = Fixture::<C>::holding(&[("a", "1")]);
    db.store.unique_ids(Counter::Keyspace, 1).unwrap();
    let branches = branches(&db);
    let mut store = make(&branches, "b", None);
    let read = |txn: &mut Txn, space| {
        let mut out = Vec::new();
        let found = txn.get(space, b"a", ReadAt::Statement, &mut out);
        found.map(|found| found.then(|| String::from_utf8(out).unwrap()))
    };
    let is_unknown = |read: driftdb_concurrency::Result<Option<String>>| {
        matches!(read, Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })))
    };
    assert!(is_unknown(read(&mut begin(&*store, ReadCommitted), LATE)));
    let mut txn = begin(&*store, ReadCommitted);
    txn.create_keyspace(LATE).unwrap();
    txn.put(LATE, b"a", b"late").unwrap();
    let savepoint = txn.savepoint();
    txn.drop_keyspace(TABLE).unwrap();
    assert!(is_unknown(read(&mut txn, TABLE)), "at once");
    txn.rollback_to(savepoint);
    txn.begin_statement().unwrap();
    assert_eq!(read(&mut txn, TABLE).unwrap().as_deref(), Some("1"));
    txn.drop_keyspace(TABLE).unwrap();
    txn.commit().unwrap();
    let between = db.store.newest();
    for _ in 0..2 {
        let mut txn = begin(&*store, ReadCommitted);
        assert_eq!(read(&mut txn, LATE).unwrap().as_deref(), Some("late"));
        assert!(is_unknown(read(&mut txn, TABLE)));
        assert!(is_unknown(read(&mut begin(&*db.store, ReadCommitted), LATE)), "the parent's");
        assert_eq!(
            read(&mut begin(&*db.store, ReadCommitted), TABLE).unwrap().as_deref(),
            Some("1")
        );
        drop(txn);
        // As after a restart.
        store = branches.open("b").unwrap();
    }
    let mut txn = begin(&*store, ReadCommitted);
    txn.drop_keyspace(LATE).unwrap();
    txn.commit().unwrap();
    let mut txn = begin(&*store, ReadCommitted);
    assert!(is_unknown(read(&mut txn, LATE)));
    let mut out = Vec::new();
    assert!(txn.get(LATE, b"a", ReadAt::AsOf(between), &mut out).unwrap(), "in the past");
}

/// A foreign key wants its row to stay: that it was deleted is a value to those below.
fn a_row_that_is_wanted_to_stay_is_missed<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1"), ("b", "1")]);
    db.store.unique_ids(Counter::Keyspace, 1).unwrap();
    let store = make(&branches(&db), "b", None);
    let mut txn = begin(&*store, RepeatableRead);
    if db.store.granted(RepeatableRead) != RepeatableRead {
        // What it reads is locked: nobody could delete it.
        return;
    }
    assert_eq!(get(&mut txn, "a").as_deref(), Some("1"));
    let mut other = begin(&*store, ReadCommitted);
    delete(&mut other, "a").unwrap();
    update(&mut other, "b", "2").unwrap();
    other.commit().unwrap();
    let mut key_share = |key: &str| {
        let (strength, intent) = (LockStrength::KeyShare, LockIntent::Existing);
        txn.lock(TABLE, key.as_bytes(), strength, intent, WAIT)
    };
    assert!(matches!(key_share("b"), Ok(Locked::Changed)));
    assert!(matches!(key_share("a"), Err(TxnError::ConcurrentUpdate)));
}

fn branches_on_branches_end_somewhere<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    db.store.unique_ids(Counter::Keyspace, 1).unwrap();
    let branches = branches(&db);
    let names: Vec<String> = (0..9).map(|n| format!("b{n}")).collect();
    for level in 0..names.len() {
        let parent = level.checked_sub(1).map(|parent| names[parent].as_str());
        let new = NewBranch { name: &names[level], parent, at: None };
        let made = branches.create(&new, &Provenance::default());
        assert_eq!(made.is_ok(), level < 8, "level {level}");
        if made.is_ok() {
            let store = branches.open(&names[level]).unwrap();
            let mut txn = begin(&*store, ReadCommitted);
            put(&mut txn, &names[level], "own").unwrap();
            txn.commit().unwrap();
            assert_eq!(scan(&mut begin(&*store, ReadCommitted)).len(), level + 2);
        }
    }
    assert!(matches!(branches.open("b8"), Err(BranchError::Unknown { .. })));
}
