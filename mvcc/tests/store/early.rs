//! Claims that end before a commit is durable: who goes on, who sees what, who is told when.

use std::sync::Arc;

use driftdb_concurrency::{
    ConcurrencyControl, LockIntent, LockMode, LockObject, LockStrength, Locked, ReadAt, Result,
    Store, TxnError, WaitPolicy,
};
use driftdb_conformance::concurrency::driver::SyncGate;
use driftdb_env::planted;
use driftdb_env::sync::Mutex;
use driftdb_sim_disk::CrashMode;
use driftdb_storage::{KeyRange, KeyspaceId};

use crate::planted::Planted;
use crate::support::*;

for_each_early_control!(
    a_waiter_goes_on_and_nobody_is_told,
    a_chain_is_durable_in_order,
    later_statements_see_what_was_read,
    what_was_deleted_is_depended_on,
    what_was_not_there_is_not_depended_on,
    who_keeps_a_snapshot_waits,
    children_of_a_key_are_seen,
    locks_on_objects_stay,
    definitions_keep_their_claims,
    dirty_readers_see_the_newest,
    a_failed_log_tells_nothing,
    a_crash_takes_both,
);

const ROWS: &[(&str, &str)] = &[("a", "1"), ("b", "1")];

/// Commits on a task of its own, which waits at the gate.
fn commit<C: ConcurrencyControl>(db: &Fixture<C>, txn: Txn) -> Beside<Result<()>> {
    let is_in_log = db.store.wal().tail();
    let committing = beside(&db.env, move || txn.commit().map(drop));
    until(|| db.store.wal().tail() > is_in_log);
    committing
}

fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        driftdb_env::yield_now("test");
    }
}

/// Something that waits at the gate does not get on meanwhile.
fn a_while() {
    (0..2_000).for_each(|_| driftdb_env::yield_now("test"));
}

/// A commit that writes `a` and `b`, in the log and not durable; its claims have ended.
fn in_the_log<C: ConcurrencyControl>(db: &Fixture<C>) -> (SyncGate, Beside<Result<()>>) {
    let mut first = db.begin(ReadCommitted);
    update(&mut first, "a", "2").unwrap();
    update(&mut first, "b", "2").unwrap();
    let gate = SyncGate::close(&db.disk);
    let first = commit(db, first);
    until_free(db, "a");
    until_free(db, "b");
    (gate, first)
}

fn claim(txn: &mut Txn, key: &str, strength: LockStrength, wait: WaitPolicy) -> Result<Locked> {
    txn.lock(TABLE, key.as_bytes(), strength, LockIntent::Existing, wait)
}

fn until_free<C: ConcurrencyControl>(db: &Fixture<C>, key: &str) {
    until(|| {
        let mut txn = db.begin(ReadCommitted);
        claim(&mut txn, key, LockStrength::Update, WaitPolicy::NoWait).is_ok()
    });
}

/// What somebody is told, and when.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Option<String>>>);

impl Told {
    fn tell(&self, what: Option<String>) {
        *self.0.lock() = Some(what.unwrap_or_default());
    }

    fn heard(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// Reads `a` under a claim, and tells it as `how` says.
fn reader<C: ConcurrencyControl>(
    db: &Fixture<C>,
    how: fn(Txn) -> Result<()>,
) -> (Told, Told, Beside<Result<()>>) {
    let (read, told) = (Told::default(), Told::default());
    let (theirs, mut txn) = ((read.clone(), told.clone()), db.begin(ReadCommitted));
    let bug = Planted::is_active().then_some("mvcc.reader-ends-before-durable");
    let task = beside(&db.env, move || {
        planted::activate(bug);
        assert_eq!(lock(&mut txn, "a", LockIntent::Existing)?, Locked::Changed);
        let value = get_at(&mut txn, "a", ReadAt::Newest)?;
        theirs.0.tell(value.clone());
        let ended = how(txn);
        if ended.is_ok() {
            theirs.1.tell(value);
        }
        ended
    });
    (read, told, task)
}

fn settle(mut txn: Txn) -> Result<()> {
    txn.settle_reads()
}

fn end(txn: Txn) -> Result<()> {
    txn.commit().map(drop)
}

fn write_and_end(mut txn: Txn) -> Result<()> {
    txn.put(TABLE, b"a", b"3")?;
    txn.commit().map(drop)
}

/// The claim waits for no sync; what was read is told once it is durable, be it as a row, by the end of a
/// transaction that only locked, or by a commit.
fn a_waiter_goes_on_and_nobody_is_told<C: ConcurrencyControl>() {
    for how in [settle, end, write_and_end] {
        let db = Fixture::<C>::holding(ROWS);
        let mut first = db.begin(ReadCommitted);
        update(&mut first, "a", "2").unwrap();
        let (read, told, second) = reader(&db, how);
        until_waiting(&db.store, 1);
        let gate = SyncGate::close(&db.disk);
        let first = commit(&db, first);
        until(|| read.heard().is_some());
        assert_eq!(read.heard().as_deref(), Some("2"));
        a_while();
        assert_eq!(told.heard(), None, "told before it is durable");
        assert_eq!(db.read("a").as_deref(), Some("1"), "a fresh snapshot has what is durable");
        gate.open();
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(told.heard().as_deref(), Some("2"));
        assert_ne!(db.read("a").as_deref(), Some("1"));
    }
}

#[test]
fn a_reader_that_ends_early_tells() {
    let db = Fixture::<driftdb_mvcc::SsiControl>::holding(ROWS);
    let (gate, first) = in_the_log(&db);
    let bug = Planted::new("mvcc.reader-ends-before-durable");
    let (_, told, second) = reader(&db, end);
    second.join().unwrap();
    assert_eq!(told.heard().as_deref(), Some("2"), "the sync did not happen");
    drop(bug);
    gate.open();
    first.join().unwrap();
}

fn a_chain_is_durable_in_order<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let (gate, first) = in_the_log(&db);
    let mut chain = vec![first];
    for value in ["3", "4", "5"] {
        let mut txn = db.begin(ReadCommitted);
        assert_eq!(update(&mut txn, "a", value).unwrap(), Locked::Changed);
        chain.push(commit(&db, txn));
        until_free(&db, "a");
    }
    let before = db.store.newest();
    assert_eq!(db.read("a").as_deref(), Some("1"));
    gate.open();
    chain.into_iter().for_each(|commit| commit.join().unwrap());
    assert_eq!(db.read("a").as_deref(), Some("5"));
    assert_eq!(db.read("b").as_deref(), Some("2"));
    assert_eq!(
        get_at(&mut db.begin_as_of(before).unwrap(), "a", ReadAt::Statement).unwrap().as_deref(),
        Some("1")
    );
    assert_eq!(
        db.store.sequence_at(db.store.newest()).unwrap(),
        db.store.sequence_at(before).unwrap() + 4
    );
}

/// Who has read one thing of a commit sees all of it from his next statement on; others nothing.
fn later_statements_see_what_was_read<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let (gate, first) = in_the_log(&db);
    let mut txn = db.begin(ReadCommitted);
    assert_eq!(update(&mut txn, "a", "3").unwrap(), Locked::Changed);
    assert_eq!(get(&mut txn, "b").as_deref(), Some("1"), "the statement keeps its snapshot");
    txn.begin_statement().unwrap();
    assert!(txn.snapshot_ts() > db.store.newest());
    assert_eq!(scan(&mut txn), ["a=3", "b=2"]);
    assert_eq!(scan(&mut db.begin(ReadCommitted)), ["a=1", "b=1"]);
    assert_eq!(update(&mut txn, "b", "3").unwrap(), Locked::Unchanged);
    gate.open();
    txn.commit().unwrap();
    first.join().unwrap();
    assert_eq!(scan(&mut db.begin(ReadCommitted)), ["a=3", "b=3"]);
}

fn is_told_at_once(mut txn: Txn, db: &Fixture<impl ConcurrencyControl>) -> bool {
    let told = Told::default();
    let theirs = told.clone();
    let task = beside(&db.env, move || {
        txn.settle_reads().unwrap();
        theirs.tell(None);
    });
    a_while();
    let is_told = told.heard().is_some();
    // Whoever closed the gate opens it.
    drop(task);
    is_told
}

fn what_was_deleted_is_depended_on<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let mut first = db.begin(ReadCommitted);
    delete(&mut first, "a").unwrap();
    let gate = SyncGate::close(&db.disk);
    let first = commit(&db, first);
    until_free(&db, "a");
    let mut txn = db.begin(ReadCommitted);
    assert_eq!(get_at(&mut txn, "a", ReadAt::Newest).unwrap(), None);
    assert!(!is_told_at_once(txn, &db));
    gate.open();
    first.join().unwrap();
}

/// A key that no commit under way touches is told at once, there or not.
fn what_was_not_there_is_not_depended_on<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1"), ("b", "1"), ("c", "1")]);
    let (gate, first) = in_the_log(&db);
    for (key, found) in [("c", Some("1")), ("d", None)] {
        let mut txn = db.begin(ReadCommitted);
        assert_eq!(lock(&mut txn, key, LockIntent::Insert).unwrap(), Locked::Unchanged);
        assert_eq!(get_at(&mut txn, key, ReadAt::Newest).unwrap().as_deref(), found);
        assert!(is_told_at_once(txn, &db), "{key}");
    }
    gate.open();
    first.join().unwrap();
}

/// Above READ COMMITTED the conflict is told when it is durable, and whoever begins anew then sees it.
fn who_keeps_a_snapshot_waits<C: ConcurrencyControl>() {
    for level in [RepeatableRead, Serializable] {
        let db = Fixture::<C>::holding(ROWS);
        let (gate, first) = in_the_log(&db);
        let told = Told::default();
        let (theirs, mut txn) = (told.clone(), db.begin(level));
        let second = beside(&db.env, move || {
            let refused = lock(&mut txn, "a", LockIntent::Existing);
            theirs.tell(None);
            assert!(matches!(refused, Err(TxnError::ConcurrentUpdate)), "{refused:?}");
            assert!(txn.restart()?);
            assert_eq!(get(&mut txn, "a").as_deref(), Some("2"));
            assert_eq!(update(&mut txn, "a", "3")?, Locked::Unchanged);
            txn.commit().map(drop)
        });
        a_while();
        assert_eq!(told.heard(), None);
        gate.open();
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(db.read("a").as_deref(), Some("3"));
    }
}

/// A foreign key's check and the removal of what it holds: the latter sees the new child, at any level.
fn children_of_a_key_are_seen<C: ConcurrencyControl>() {
    for level in [ReadCommitted, RepeatableRead, Serializable] {
        let db = Fixture::<C>::holding(&[("parent", "1")]);
        let mut first = db.begin(ReadCommitted);
        claim(&mut first, "parent", LockStrength::KeyShare, WAIT).unwrap();
        put(&mut first, "parent/child", "1").unwrap();
        let gate = SyncGate::close(&db.disk);
        let first = commit(&db, first);
        until_free(&db, "parent");
        let mut txn = db.begin(level);
        assert_eq!(lock(&mut txn, "parent", LockIntent::Existing).unwrap(), Locked::Unchanged);
        let found = scan_by(&mut txn, KeyRange::ALL, ReadAt::Newest, false, 9).unwrap();
        assert_eq!(found, ["parent=1", "parent/child=1"], "{level}");
        assert!(!is_told_at_once(txn, &db), "{level}");
        gate.open();
        first.join().unwrap();
    }
}

/// Whoever gets an advisory lock or a table takes a snapshot next, which must have it all.
fn locks_on_objects_stay<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let objects = [LockObject::Table(7), LockObject::Advisory { class: 1, object: 2, form: 1 }];
    let mut first = db.begin(ReadCommitted);
    for object in objects {
        first.lock_object(object, LockMode::Exclusive, WAIT).unwrap();
    }
    update(&mut first, "a", "2").unwrap();
    let gate = SyncGate::close(&db.disk);
    let first = commit(&db, first);
    until_free(&db, "a");
    for object in objects {
        let mut txn = db.begin(ReadCommitted);
        let taken = txn.lock_object(object, LockMode::Exclusive, WaitPolicy::NoWait);
        assert!(matches!(taken, Err(TxnError::LockNotAvailable)), "{taken:?}");
    }
    gate.open();
    first.join().unwrap();
    for object in objects {
        let mut txn = db.begin(ReadCommitted);
        txn.lock_object(object, LockMode::Exclusive, WaitPolicy::NoWait).unwrap();
    }
    assert!(db.store.locks().is_empty());
}

/// Who makes or drops a keyspace, or writes to the system's, keeps every claim until the commit shows.
fn definitions_keep_their_claims<C: ConcurrencyControl>() {
    let system = KeyspaceId(16);
    let works: [fn(&mut Txn) -> Result<()>; 3] = [
        |txn| txn.create_keyspace(KeyspaceId(1030)),
        |txn| txn.drop_keyspace(KeyspaceId(1025)),
        |txn| txn.put(KeyspaceId(16), b"name", b"1"),
    ];
    for work in works {
        let db = Fixture::<C>::holding(ROWS);
        let mut txn = db.begin(ReadCommitted);
        txn.create_keyspace(KeyspaceId(1025)).unwrap();
        txn.create_keyspace(system).unwrap();
        txn.commit().unwrap();
        let mut first = db.begin(ReadCommitted);
        update(&mut first, "a", "2").unwrap();
        work(&mut first).unwrap();
        let gate = SyncGate::close(&db.disk);
        let first = commit(&db, first);
        a_while();
        let mut txn = db.begin(ReadCommitted);
        let taken = claim(&mut txn, "a", LockStrength::Update, WaitPolicy::NoWait);
        assert!(matches!(taken, Err(TxnError::LockNotAvailable)), "{taken:?}");
        gate.open();
        first.join().unwrap();
    }
}

/// At READ UNCOMMITTED a later pending write of a key hides one that is on its way into the log.
fn dirty_readers_see_the_newest<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let mut older = db.begin(ReadCommitted);
    let (gate, first) = in_the_log(&db);
    let mut dirty = db.begin(driftdb_concurrency::IsolationLevel::ReadUncommitted);
    assert_eq!(get(&mut dirty, "a").as_deref(), Some("2"));
    update(&mut older, "a", "3").unwrap();
    assert_eq!(get(&mut dirty, "a").as_deref(), Some("3"));
    assert_eq!(scan(&mut dirty), ["a=3", "b=2"]);
    gate.open();
    first.join().unwrap();
}

/// Where the log fails, everything that depends on it fails, and no row of it is given.
fn a_failed_log_tells_nothing<C: ConcurrencyControl>() {
    for how in [settle, end, write_and_end] {
        let db = Fixture::<C>::holding(ROWS);
        let (gate, first) = in_the_log(&db);
        let (read, told, second) = reader(&db, how);
        until(|| read.heard().is_some());
        a_while();
        db.disk.halt();
        gate.open();
        let failed = first.join().unwrap_err();
        assert!(matches!(failed, TxnError::OutcomeUnknown { .. }), "{failed}");
        second.join().unwrap_err();
        assert_eq!(told.heard(), None);
        assert_eq!(db.read("b").as_deref(), Some("1"), "reads go on");
        let mut late = db.begin(ReadCommitted);
        lock(&mut late, "b", LockIntent::Existing).unwrap();
        assert_eq!(get_at(&mut late, "b", ReadAt::Newest).unwrap().as_deref(), Some("2"));
        late.settle_reads().unwrap_err();
    }
}

fn a_crash_takes_both<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(ROWS);
    let (gate, first) = in_the_log(&db);
    let mut txn = db.begin(ReadCommitted);
    update(&mut txn, "b", "3").unwrap();
    let second = commit(&db, txn);
    db.disk.halt();
    gate.open();
    first.join().unwrap_err();
    second.join().unwrap_err();
    drop(gate);
    db.disk.crash_with(CrashMode::LoseAll);
    let db = db.crash();
    assert_eq!(scan(&mut db.begin(ReadCommitted)), ["a=1", "b=1"]);
}
