//! Own writes, statements, savepoints, keyspaces of a transaction's own.

use driftdb_concurrency::{ConcurrencyControl, ReadAt, RowBatch, ScanRequest, TxnError};
use driftdb_storage::{KeyRange, KeyspaceId, StorageError};

use crate::support::*;

for_each_control!(
    a_statement_does_not_chase_its_own_writes,
    scans_merge_own_writes_both_ways,
    savepoints_nest,
    a_new_keyspace_is_usable_at_once,
    a_dropped_keyspace_is_gone_at_once,
    a_keyspace_dropped_meanwhile_fails_the_commit,
    an_empty_commit_costs_nothing,
);

fn a_statement_does_not_chase_its_own_writes<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "2").unwrap();
    put(&mut txn, "b", "2").unwrap();
    assert_eq!(scan(&mut txn), ["a=1"]);
    let newest = scan_by(&mut txn, KeyRange::ALL, ReadAt::Newest, false, 9).unwrap();
    assert_eq!(newest, ["a=2", "b=2"]);
    txn.begin_statement().unwrap();
    delete(&mut txn, "a").unwrap();
    assert_eq!(scan(&mut txn), ["a=2", "b=2"]);
    txn.begin_statement().unwrap();
    assert_eq!(scan(&mut txn), ["b=2"]);
    txn.commit().unwrap();
    assert_eq!(db.read("a"), None);
}

fn scans_merge_own_writes_both_ways<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("b", "1"), ("d", "1"), ("f", "1")]);
    for level in [ReadCommitted, RepeatableRead, Serializable] {
        let mut txn = db.begin(level);
        put(&mut txn, "a", "2").unwrap();
        put(&mut txn, "d", "2").unwrap();
        put(&mut txn, "g", "2").unwrap();
        delete(&mut txn, "f").unwrap();
        txn.begin_statement().unwrap();
        let mut expected = vec!["a=2", "b=1", "d=2", "g=2"];
        for max_rows in 1..6 {
            let rows = scan_by(&mut txn, KeyRange::ALL, ReadAt::Statement, false, max_rows);
            assert_eq!(rows.unwrap(), expected);
        }
        expected.reverse();
        for max_rows in 1..6 {
            let rows = scan_by(&mut txn, KeyRange::ALL, ReadAt::Statement, true, max_rows);
            assert_eq!(rows.unwrap(), expected);
        }
        let inner = KeyRange::half_open(b"b", b"g");
        let rows = scan_by(&mut txn, inner, ReadAt::Statement, true, 9).unwrap();
        assert_eq!(rows, ["d=2", "b=1"]);
        let inverted = KeyRange::half_open(b"g", b"b");
        assert!(scan_by(&mut txn, inverted, ReadAt::Statement, false, 9).unwrap().is_empty());
    }
}

fn savepoints_nest<C: ConcurrencyControl>() {
    let db = Fixture::<C>::new();
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "0").unwrap();
    let outer = txn.savepoint();
    put(&mut txn, "a", "1").unwrap();
    let inner = txn.savepoint();
    put(&mut txn, "a", "2").unwrap();
    put(&mut txn, "b", "2").unwrap();
    txn.rollback_to(inner);
    txn.begin_statement().unwrap();
    assert_eq!(scan(&mut txn), ["a=1"]);
    put(&mut txn, "c", "3").unwrap();
    txn.release(inner);
    txn.rollback_to(outer);
    txn.begin_statement().unwrap();
    assert_eq!(scan(&mut txn), ["a=0"]);
    txn.rollback_to(outer);
    txn.commit().unwrap();
    assert_eq!(db.read("a").as_deref(), Some("0"));
    assert_eq!(db.read("c"), None);
}

fn a_new_keyspace_is_usable_at_once<C: ConcurrencyControl>() {
    let db = Fixture::<C>::new();
    let space = KeyspaceId(1025);
    let mut txn = db.begin(Serializable);
    txn.create_keyspace(space).unwrap();
    let mut out = Vec::new();
    assert!(!txn.get(space, b"k", ReadAt::Newest, &mut out).unwrap());
    txn.put(space, b"k", b"v").unwrap();
    assert!(txn.get(space, b"k", ReadAt::Newest, &mut out).unwrap());
    let at = ReadAt::Newest;
    let request = ScanRequest { range: KeyRange::ALL, at, reverse: false, max_rows: 9 };
    let mut rows = RowBatch::new();
    txn.scan(space, &request, &mut rows).unwrap();
    assert_eq!(rows.len(), 1);
    // Nobody else knows it yet.
    let mut other = db.begin(ReadCommitted);
    let unknown = other.get(space, b"k", ReadAt::Statement, &mut out).unwrap_err();
    assert!(matches!(unknown, TxnError::Storage(StorageError::UnknownKeyspace { .. })));
    txn.commit().unwrap();
    other.begin_statement().unwrap();
    assert!(other.get(space, b"k", ReadAt::Statement, &mut out).unwrap());
}

fn a_dropped_keyspace_is_gone_at_once<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "2").unwrap();
    let mark = txn.savepoint();
    txn.drop_keyspace(TABLE).unwrap();
    get_at(&mut txn, "a", ReadAt::Newest).unwrap_err();
    assert!(put(&mut txn, "a", "3").is_err());
    txn.rollback_to(mark);
    assert_eq!(get_at(&mut txn, "a", ReadAt::Newest).unwrap().as_deref(), Some("2"));
    txn.drop_keyspace(TABLE).unwrap();
    let before = db.store.wal().tail();
    txn.commit().unwrap();
    assert!(db.store.wal().tail() > before);
    let mut later = db.begin(ReadCommitted);
    get_at(&mut later, "a", ReadAt::Statement).unwrap_err();
}

fn a_keyspace_dropped_meanwhile_fails_the_commit<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let mut writer = db.begin(ReadCommitted);
    put(&mut writer, "a", "2").unwrap();
    let mut dropper = db.begin(ReadCommitted);
    dropper.drop_keyspace(TABLE).unwrap();
    dropper.commit().unwrap();
    let error = writer.commit().unwrap_err();
    assert!(matches!(error, TxnError::Storage(StorageError::UnknownKeyspace { .. })), "{error}");
    // The log holds nothing that a restart would choke on.
    let db = db.crash();
    db.begin(ReadCommitted).commit().unwrap();
}

fn an_empty_commit_costs_nothing<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let tail = db.store.wal().tail();
    let mut txn = db.begin(Serializable);
    assert_eq!(get(&mut txn, "a").as_deref(), Some("1"));
    lock(&mut txn, "a", driftdb_concurrency::LockIntent::Existing).unwrap();
    assert!(!txn.has_writes());
    let committed = txn.commit().unwrap();
    assert_eq!((committed.commit, committed.sequence), (None, 2));
    assert_eq!(db.store.wal().tail(), tail);
}
