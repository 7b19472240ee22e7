//! Which anomalies each level admits under each control [Berenson95], [Adya99].

use driftdb_concurrency::{ConcurrencyControl, LockIntent, Locked, ReadAt, Result, TxnError};
use driftdb_mvcc::{LockingControl, SsiControl};
use driftdb_storage::{ErrorKind, KeyRange};

use crate::support::*;

for_each_control!(
    nobody_reads_uncommitted_data,
    read_committed_sees_each_commit_at_its_next_statement,
    read_committed_finds_out_that_a_row_changed,
    serializable_has_no_write_skew_on_keys,
    serializable_has_no_write_skew_on_ranges,
    a_read_only_snapshot_never_waits,
    an_insert_does_not_conflict_by_itself,
);

fn nobody_reads_uncommitted_data<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let mut writer = db.begin(ReadCommitted);
    update(&mut writer, "a", "2").unwrap();
    assert_eq!(db.read("a").as_deref(), Some("1"));
    writer.rollback();
    assert_eq!(db.read("a").as_deref(), Some("1"));
}

fn read_committed_sees_each_commit_at_its_next_statement<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let mut reader = db.begin(ReadCommitted);
    assert_eq!(get(&mut reader, "a").as_deref(), Some("1"));
    db.set(&[("a", "2")]);
    assert_eq!(get(&mut reader, "a").as_deref(), Some("1"));
    assert_eq!(get_at(&mut reader, "a", ReadAt::Newest).unwrap().as_deref(), Some("2"));
    reader.begin_statement().unwrap();
    assert_eq!(get(&mut reader, "a").as_deref(), Some("2"));
}

fn read_committed_finds_out_that_a_row_changed<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1"), ("b", "1")]);
    let mut first = db.begin(ReadCommitted);
    let mut second = db.begin(ReadCommitted);
    assert_eq!(get(&mut second, "a").as_deref(), Some("1"));
    update(&mut first, "a", "2").unwrap();
    first.commit().unwrap();
    assert_eq!(lock(&mut second, "a", LockIntent::Existing).unwrap(), Locked::Changed);
    assert_eq!(lock(&mut second, "b", LockIntent::Existing).unwrap(), Locked::Unchanged);
    assert_eq!(get_at(&mut second, "a", ReadAt::Newest).unwrap().as_deref(), Some("2"));

    // A row that was deleted has changed too.
    let mut first = db.begin(ReadCommitted);
    let mut third = db.begin(ReadCommitted);
    assert_eq!(get(&mut third, "b").as_deref(), Some("1"));
    second.rollback();
    delete(&mut first, "b").unwrap();
    first.commit().unwrap();
    assert_eq!(lock(&mut third, "b", LockIntent::Existing).unwrap(), Locked::Changed);
    assert_eq!(get_at(&mut third, "b", ReadAt::Newest).unwrap(), None);
}

/// Runs two transactions side by side: each reads, both have read, each writes and commits.
fn race<C: ConcurrencyControl>(
    db: &Fixture<C>,
    level: driftdb_concurrency::IsolationLevel,
    read: fn(&mut Txn) -> Result<()>,
    writes: [&'static str; 2],
) -> Vec<Result<()>> {
    let mut txns: Vec<Txn> = writes.iter().map(|_| db.begin(level)).collect();
    for txn in &mut txns {
        read(txn).unwrap();
    }
    let run = |(mut txn, key): (Txn, &'static str)| {
        beside(&db.env, move || {
            put(&mut txn, key, "changed")?;
            txn.commit().map(drop)
        })
    };
    let started: Vec<_> = txns.into_iter().zip(writes).map(run).collect();
    started.into_iter().map(Beside::join).collect()
}

fn assert_one_retries(results: &[Result<()>]) {
    let errors: Vec<&TxnError> =
        results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(errors.len(), 1, "{results:?}");
    assert_eq!(errors[0].kind(), ErrorKind::Retry, "{errors:?}");
}

fn read_both(txn: &mut Txn) -> Result<()> {
    get_at(txn, "a", ReadAt::Statement)?;
    get_at(txn, "b", ReadAt::Statement)?;
    Ok(())
}

fn read_range(txn: &mut Txn) -> Result<()> {
    scan_by(txn, KeyRange::half_open(b"a", b"m"), ReadAt::Statement, false, 1).map(drop)
}

fn serializable_has_no_write_skew_on_keys<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1"), ("b", "1")]);
    assert_one_retries(&race(&db, Serializable, read_both, ["a", "b"]));
    // Keys that do not exist count as well.
    let db = Fixture::<C>::new();
    assert_one_retries(&race(&db, Serializable, read_both, ["a", "b"]));
}

fn serializable_has_no_write_skew_on_ranges<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("b", "1"), ("d", "1")]);
    assert_one_retries(&race(&db, Serializable, read_range, ["c", "e"]));
    // Outside of the range there is nothing to mind.
    let results = race(&db, Serializable, read_range, ["x", "y"]);
    assert!(results.iter().all(|result| result.is_ok()), "{results:?}");
}

#[test]
fn snapshots_admit_write_skew_below_serializable() {
    for level in [ReadCommitted, RepeatableRead] {
        let db = Fixture::<SsiControl>::holding(&[("a", "1"), ("b", "1")]);
        let results = race(&db, level, read_both, ["a", "b"]);
        assert!(results.iter().all(|result| result.is_ok()), "{results:?}");
    }
}

#[test]
fn locking_has_no_write_skew_from_repeatable_read_on() {
    let db = Fixture::<LockingControl>::holding(&[("a", "1"), ("b", "1")]);
    assert_one_retries(&race(&db, RepeatableRead, read_both, ["a", "b"]));
    assert_one_retries(&race(&db, RepeatableRead, read_range, ["c", "e"]));
}

#[test]
fn a_snapshot_repeats_its_reads_and_refuses_lost_updates() {
    let db = Fixture::<SsiControl>::holding(&[("a", "1"), ("b", "1")]);
    let mut txn = db.begin(RepeatableRead);
    db.set(&[("a", "2"), ("c", "2")]);
    txn.begin_statement().unwrap();
    assert_eq!(scan(&mut txn), ["a=1", "b=1"]);
    assert_eq!(get(&mut txn, "a").as_deref(), Some("1"));
    assert!(matches!(update(&mut txn, "a", "3"), Err(TxnError::ConcurrentUpdate)));
    txn.rollback();
    assert_eq!(db.read("a").as_deref(), Some("2"));
}

#[test]
fn a_writer_waits_for_a_reader_under_locking() {
    let db = Fixture::<LockingControl>::holding(&[("a", "1")]);
    let mut reader = db.begin(RepeatableRead);
    assert_eq!(get(&mut reader, "a").as_deref(), Some("1"));
    let mut writer = db.begin(ReadCommitted);
    let writing = beside(&db.env, move || {
        update(&mut writer, "a", "2")?;
        writer.commit()
    });
    until_waiting(&db.store, 1);
    reader.begin_statement().unwrap();
    assert_eq!(get(&mut reader, "a").as_deref(), Some("1"));
    reader.commit().unwrap();
    writing.join().unwrap();
    assert_eq!(db.read("a").as_deref(), Some("2"));
}

#[test]
fn a_scan_under_locking_sees_what_it_waited_for() {
    let db = Fixture::<LockingControl>::holding(&[("a", "1"), ("b", "1"), ("c", "1")]);
    let mut writer = db.begin(ReadCommitted);
    put(&mut writer, "aa", "2").unwrap();
    delete(&mut writer, "a").unwrap();
    let mut reader = db.begin(Serializable);
    let reading = beside(&db.env, move || scan(&mut reader));
    until_waiting(&db.store, 1);
    writer.commit().unwrap();
    assert_eq!(reading.join(), ["aa=2", "b=1", "c=1"]);
}

fn a_read_only_snapshot_never_waits<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let mut writer = db.begin(Serializable);
    update(&mut writer, "a", "2").unwrap();
    let options = driftdb_concurrency::BeginOptions {
        isolation: Serializable,
        read_only: true,
        ..Default::default()
    };
    let mut reader = driftdb_concurrency::Store::begin(&*db.store, options).unwrap();
    assert_eq!(get(&mut reader, "a").as_deref(), Some("1"));
    assert!(matches!(put(&mut reader, "a", "3"), Err(TxnError::ReadOnly)));
    writer.commit().unwrap();
    reader.begin_statement().unwrap();
    assert_eq!(scan(&mut reader), ["a=1"]);
    reader.commit().unwrap();
}

fn an_insert_does_not_conflict_by_itself<C: ConcurrencyControl>() {
    let db = Fixture::<C>::new();
    let mut txn = db.begin(RepeatableRead);
    db.set(&[("a", "1")]);
    assert_eq!(lock(&mut txn, "a", LockIntent::Insert).unwrap(), Locked::Changed);
    assert_eq!(get_at(&mut txn, "a", ReadAt::Newest).unwrap().as_deref(), Some("1"));
}
