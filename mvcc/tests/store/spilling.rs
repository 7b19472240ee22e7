//! Transactions that are too large for memory.

use std::path::Path;
use std::sync::Arc;

use driftdb_concurrency::{ConcurrencyControl, LockIntent, ReadAt, Store, TxnError};
use driftdb_env::{Env, FileKind, IoOp, OpenHow};
use driftdb_memory::MemoryEngine;
use driftdb_mvcc::{LockingControl, MvccStore, OccControl, SsiControl, SsnControl, StoreOptions};
use driftdb_sim_disk::{Effect, Fault, SimDisk, sim_env};
use driftdb_storage::{Engine, KeyRange, StorageError, VerifyDepth};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;

use crate::planted::Planted;
use crate::support::*;

const NO_SPACE: Effect = Effect::Error(std::io::ErrorKind::StorageFull);

/// A few rows are more than it keeps in memory.
fn small() -> StoreOptions {
    StoreOptions { transaction_memory_bytes: 1 << 10, ..options() }
}

fn rows(count: u32, value: &str) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("k{n:05}"), format!("{value} {n}"))).collect()
}

fn fill(txn: &mut Txn, rows: &[(String, String)]) {
    for (key, value) in rows {
        put(txn, key, value).unwrap();
    }
}

fn as_scanned(rows: &[(String, String)]) -> Vec<String> {
    rows.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

fn all(txn: &mut Txn, at: ReadAt, reverse: bool) -> Vec<String> {
    scan_by(txn, KeyRange::ALL, at, reverse, 100).unwrap()
}

fn open_on<E: Engine, C: ConcurrencyControl>(env: &Env) -> Arc<MvccStore<E, C>> {
    MvccStore::open(env, Path::new("/db"), &small()).unwrap()
}

/// Inserts, updates and deletes, each more than fits, with savepoints; then everything anew.
fn a_large_transaction_is_as_a_small_one<E: Engine, C: ConcurrencyControl>() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    let mut store = open_on::<E, C>(&env);
    let mut txn = begin(&*store, Serializable);
    txn.create_keyspace(TABLE).unwrap();
    let first = rows(500, "first");
    fill(&mut txn, &first);
    txn.begin_statement().unwrap();
    assert_eq!(all(&mut txn, ReadAt::Statement, false), as_scanned(&first));
    let ts = txn.commit().unwrap().commit.unwrap().ts;
    let mut before = as_scanned(&first);
    for round in 0..2 {
        let mut txn = begin(&*store, Serializable);
        let second = rows(500, &format!("second in round {round}"));
        fill(&mut txn, &second);
        before.reverse();
        assert!(all(&mut txn, ReadAt::Statement, true) == before, "not its own statement");
        let mut backwards = as_scanned(&second);
        backwards.reverse();
        assert!(all(&mut txn, ReadAt::Newest, true) == backwards);
        let savepoint = txn.savepoint();
        for (key, _) in &second {
            txn.begin_statement().unwrap();
            delete(&mut txn, key).unwrap();
        }
        txn.begin_statement().unwrap();
        assert_eq!(all(&mut txn, ReadAt::Statement, false), [""; 0]);
        if round == 0 {
            txn.rollback_to(savepoint);
            txn.begin_statement().unwrap();
            assert!(all(&mut txn, ReadAt::Statement, false) == as_scanned(&second));
        }
        txn.commit().unwrap();
        before = if round == 0 { as_scanned(&second) } else { Vec::new() };
        for reopens in 0..3 {
            assert!(all(&mut begin(&*store, ReadCommitted), ReadAt::Statement, false) == before);
            let past = all(&mut begin(&*store, ReadCommitted), ReadAt::AsOf(ts), false);
            assert!(past == as_scanned(&first), "the past has changed");
            let mut damages = Vec::new();
            store.verify(VerifyDepth::Full, &mut |damage| damages.push(damage)).unwrap();
            assert_eq!(damages, []);
            if reopens == 1 {
                store.checkpoint().unwrap();
            }
            drop(store);
            disk.crash();
            disk.clear_faults();
            store = open_on::<E, C>(&env);
        }
    }
    assert_eq!(store.sequence_at(driftdb_storage::Timestamp::MAX).unwrap(), 3);
    let mut spills = 0;
    set_by_spilling(&*store);
    store.stats(&mut |name, value| spills += if name == "spills" { value } else { 0 });
    assert!(spills > 0, "nothing has spilled");
}

fn set_by_spilling(store: &dyn Store) {
    let mut txn = begin(store, ReadCommitted);
    fill(&mut txn, &rows(100, "more"));
    txn.rollback();
}

macro_rules! on_everything {
    ($($name:ident: $engine:ty, $control:ty;)+) => {
        $(#[test] fn $name() { a_large_transaction_is_as_a_small_one::<$engine, $control>(); })+
    };
}

on_everything! {
    large_under_ssi_on_memory: MemoryEngine, SsiControl;
    large_under_ssi_on_lsm: LsmEngine, SsiControl;
    large_under_ssi_on_btree: BtreeEngine, SsiControl;
    large_under_ssn_on_lsm: LsmEngine, SsnControl;
    large_under_occ_on_lsm: LsmEngine, OccControl;
    large_under_occ_on_btree: BtreeEngine, OccControl;
    large_under_locking_on_lsm: LsmEngine, LockingControl;
    large_under_locking_on_btree: BtreeEngine, LockingControl;
}

/// How many rows of each round are there after a crash at an operation; whether it came to that.
fn crash_at<E: Engine>(operation: u64) -> (Vec<usize>, bool) {
    let disk = SimDisk::new(operation);
    let run = |disk: &SimDisk| -> Result<(), TxnError> {
        let env = sim_env(disk, 1);
        let store = MvccStore::<E, SsiControl>::open(&env, Path::new("/db"), &small())?;
        let mut txn = begin(&*store, ReadCommitted);
        txn.create_keyspace(TABLE)?;
        txn.commit()?;
        disk.halt_after(operation);
        for round in 0..3 {
            let mut txn = begin(&*store, ReadCommitted);
            for n in 0..30 {
                put(&mut txn, &format!("{round}.{n}"), &"v".repeat(50))?;
            }
            txn.commit()?;
            store.maintain()?;
        }
        Ok(())
    };
    drop(run(&disk));
    let has_finished = !disk.is_halted();
    disk.crash();
    disk.clear_faults();
    let store = open_on::<E, SsiControl>(&sim_env(&disk, 2));
    let rows = all(&mut begin(&*store, ReadCommitted), ReadAt::Statement, false);
    let of = |round: u32| rows.iter().filter(|row| row.starts_with(&format!("{round}."))).count();
    let counts = (0..3).map(of).collect();
    // What comes next is told from what the crash left.
    let mut txn = begin(&*store, ReadCommitted);
    fill(&mut txn, &self::rows(50, "after"));
    txn.commit().unwrap();
    drop(store);
    let store = open_on::<E, SsiControl>(&sim_env(&disk, 3));
    let again = all(&mut begin(&*store, ReadCommitted), ReadAt::Statement, false);
    assert_eq!(again.len(), rows.len() + 50);
    (counts, has_finished)
}

fn a_crash_leaves_all_or_nothing<E: Engine>() {
    for operation in 0.. {
        let (counts, has_finished) = crash_at::<E>(operation);
        assert!(counts.iter().all(|count| [0, 30].contains(count)), "{operation}: {counts:?}");
        assert!(counts.is_sorted_by(|left, right| left >= right), "{operation}: {counts:?}");
        if has_finished {
            assert_eq!(counts, [30; 3]);
            return;
        }
    }
}

#[test]
fn a_crash_leaves_all_or_nothing_on_memory() {
    a_crash_leaves_all_or_nothing::<MemoryEngine>();
}

#[test]
fn a_crash_leaves_all_or_nothing_on_lsm() {
    a_crash_leaves_all_or_nothing::<LsmEngine>();
}

#[test]
fn a_crash_leaves_all_or_nothing_on_btree() {
    a_crash_leaves_all_or_nothing::<BtreeEngine>();
}

/// Three large commits, some of it in the engine; then a salvage, whole and after damage to the log.
fn a_salvage_keeps_large_commits<E: driftdb_storage::FileEngine>() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    let store = open_on::<E, SsiControl>(&env);
    let mut txn = begin(&*store, ReadCommitted);
    txn.create_keyspace(TABLE).unwrap();
    txn.commit().unwrap();
    for (round, value) in ["one", "two", "three"].into_iter().enumerate() {
        let mut txn = begin(&*store, ReadCommitted);
        fill(&mut txn, &rows(300, value));
        txn.commit().unwrap();
        if round == 1 {
            store.maintain().unwrap();
        }
    }
    drop(store);
    let salvaged = |disk: &SimDisk| {
        let env = sim_env(disk, 1);
        let mut lost = Lost(0);
        let (from, to) = (Path::new("/db"), Path::new("/to"));
        driftdb_mvcc::salvage::<E, E>(&env, from, to, &small(), &mut lost).unwrap();
        let store = MvccStore::<E, SsiControl>::open(&env, to, &small()).unwrap();
        let rows = all(&mut begin(&*store, ReadCommitted), ReadAt::Statement, false);
        (rows, lost.0)
    };
    let (whole, lost) = salvaged(&disk.fork(1));
    assert_eq!((whole == as_scanned(&rows(300, "three")), lost), (true, 0));
    let files = disk.files();
    let last = files.iter().rfind(|path| path.extension().is_some_and(|end| end == "wal")).unwrap();
    let damaged = disk.fork(2);
    let file = sim_env(&damaged, 1).disk().open(last, OpenHow::ReadWrite, FileKind::Log).unwrap();
    let middle = file.len().unwrap() / 2;
    file.write_at(middle, &[0xa5; 64]).unwrap();
    file.sync_data().unwrap();
    let (left, lost) = salvaged(&damaged);
    let is_of = |value: &str| left == as_scanned(&rows(300, value));
    assert!(is_of("three") || is_of("two"), "half a commit: {left:?}");
    assert!(lost > 0 || is_of("three"), "a loss that is not told");
}

struct Lost(usize);

impl driftdb_mvcc::SalvageReport for Lost {
    fn lost(&mut self, _damage: driftdb_storage::Damage) {
        self.0 += 1;
    }

    fn progress(&mut self, _done_bytes: u64, _total_bytes: u64) {}
}

#[test]
fn a_salvage_keeps_large_commits_on_lsm() {
    a_salvage_keeps_large_commits::<LsmEngine>();
}

#[test]
fn a_salvage_keeps_large_commits_on_btree() {
    a_salvage_keeps_large_commits::<BtreeEngine>();
}

#[test]
fn parts_replayed_without_their_commit_are_seen() {
    let _bug = Planted::new("mvcc.parts-without-commit");
    let is_broken = |operation| {
        let seen = std::panic::catch_unwind(|| crash_at::<MemoryEngine>(operation).0);
        seen.map_or(true, |counts| counts.iter().any(|count| ![0, 30].contains(count)))
    };
    assert!((0..200).any(is_broken), "half a commit is never seen");
}

/// A log that fails at its `n`th sync under a large commit, an engine that is maintained after that, and
/// a crash: how many rows there are then.
fn maintained_after_the_log_failed<E: Engine>(n: u64) -> Result<usize, StorageError> {
    let disk = SimDisk::new(n);
    let env = sim_env(&disk, 1);
    let store = open_on::<E, SsiControl>(&env);
    let mut txn = begin(&*store, ReadCommitted);
    txn.create_keyspace(TABLE).unwrap();
    txn.commit().unwrap();
    disk.inject(Fault::from(n).on(&[IoOp::Sync]).kind(FileKind::Log));
    let mut txn = begin(&*store, ReadCommitted);
    fill(&mut txn, &rows(400, "large"));
    drop(txn.commit());
    drop(store.maintain());
    drop(store);
    disk.crash();
    disk.clear_faults();
    let env = sim_env(&disk, 2);
    let store = MvccStore::<E, SsiControl>::open(&env, Path::new("/db"), &small())?;
    Ok(all(&mut begin(&*store, ReadCommitted), ReadAt::Statement, false).len())
}

fn no_engine_keeps_half_a_commit<E: Engine>() {
    for n in 1..30 {
        let count = maintained_after_the_log_failed::<E>(n).unwrap();
        assert!([0, 400].contains(&count), "{count} rows after sync {n}");
    }
}

#[test]
fn no_engine_keeps_half_a_commit_lsm() {
    no_engine_keeps_half_a_commit::<LsmEngine>();
}

#[test]
fn no_engine_keeps_half_a_commit_btree() {
    no_engine_keeps_half_a_commit::<BtreeEngine>();
}

#[test]
fn a_part_made_durable_before_its_commit_is_seen() {
    let _bug = Planted::new("mvcc.part-durable-before-its-commit");
    let is_broken = |n| !matches!(maintained_after_the_log_failed::<LsmEngine>(n), Ok(0 | 400));
    assert!((1..30).any(is_broken), "half a commit is never kept");
}

#[test]
fn a_run_left_out_is_seen() {
    let db = Fixture::<SsiControl>::with(&small());
    let _bug = Planted::new("mvcc.oldest-run-forgotten");
    let mut txn = db.begin(ReadCommitted);
    fill(&mut txn, &rows(100, "v"));
    assert!(all(&mut txn, ReadAt::Newest, false).len() < 100);
}

#[test]
fn a_full_disk_fails_the_statement_and_the_savepoint_lives() {
    let db = Fixture::<SsiControl>::with(&small());
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "1").unwrap();
    let savepoint = txn.savepoint();
    db.disk.inject(Fault::from(1).on(&[IoOp::Write]).kind(FileKind::Temp).effect(NO_SPACE));
    let mut tries = 0..100;
    let error = tries.find_map(|n| put(&mut txn, &format!("b{n}"), &"v".repeat(100)).err());
    let Some(TxnError::Storage(StorageError::Io(error))) = error else { panic!("{error:?}") };
    assert!(error.is_disk_full(), "{error}");
    txn.rollback_to(savepoint);
    txn.begin_statement().unwrap();
    assert_eq!(all(&mut txn, ReadAt::Statement, false), ["a=1"]);
    put(&mut txn, "c", "2").unwrap();
    txn.commit().unwrap();
    assert_eq!(all(&mut db.begin(ReadCommitted), ReadAt::Statement, false), ["a=1", "c=2"]);
    db.disk.clear_faults();
    let mut txn = db.begin(ReadCommitted);
    fill(&mut txn, &rows(100, "v"));
    txn.commit().unwrap();
    assert_eq!(all(&mut db.begin(ReadCommitted), ReadAt::Statement, false).len(), 102);
}

#[test]
fn a_log_that_is_full_half_way_keeps_nothing_of_it() {
    let db = Fixture::<SsiControl>::with(&small());
    db.set(&[("a", "1")]);
    // Some parts go into the segment at hand, and there is no other.
    db.disk.inject(Fault::from(1).on(&[IoOp::Open]).kind(FileKind::Log).effect(NO_SPACE));
    let mut txn = db.begin(ReadCommitted);
    fill(&mut txn, &rows(200, "lost"));
    let error = txn.commit().unwrap_err();
    let TxnError::Storage(StorageError::Io(error)) = error else { panic!("{error:?}") };
    assert!(error.is_disk_full(), "{error}");
    db.disk.clear_faults();
    assert_eq!(all(&mut db.begin(ReadCommitted), ReadAt::Statement, false), ["a=1"]);
    let db = db.crash();
    assert_eq!(all(&mut db.begin(ReadCommitted), ReadAt::Statement, false), ["a=1"]);
    let mut txn = db.begin(ReadCommitted);
    fill(&mut txn, &rows(200, "kept"));
    txn.commit().unwrap();
    let db = db.crash();
    assert_eq!(all(&mut db.begin(ReadCommitted), ReadAt::Statement, false).len(), 201);
}

#[test]
fn dirty_readers_see_what_has_spilled() {
    let db = Fixture::<SsiControl>::with(&small());
    db.set(&[("k00007", "old"), ("z", "1")]);
    let mut writer = db.begin(ReadCommitted);
    let pending = rows(100, "pending");
    fill(&mut writer, &pending);
    let mut reader = db.begin(driftdb_concurrency::IsolationLevel::ReadUncommitted);
    assert_eq!(get(&mut reader, "k00007").as_deref(), Some("pending 7"));
    let mut expected = as_scanned(&pending);
    expected.push("z=1".to_owned());
    for max_rows in [1, 7, 1000] {
        for reverse in [false, true] {
            let found = scan_by(&mut reader, KeyRange::ALL, ReadAt::Statement, reverse, max_rows);
            assert_eq!(found.unwrap(), expected);
            expected.reverse();
        }
    }
}

for_each_control!(a_large_commit_counts_as_having_written_its_table);

/// Two that each read what the other writes, one of them too much of it: only one commits.
fn a_large_commit_counts_as_having_written_its_table<C: ConcurrencyControl>() {
    if C::READS_NEWEST {
        return;
    }
    for large_first in [false, true] {
        let db = Fixture::<C>::with(&small());
        db.set(&[("x", "1"), ("y", "1")]);
        let [mut large, mut other] = [(); 2].map(|()| db.begin(Serializable));
        assert_eq!(get(&mut large, "x").as_deref(), Some("1"));
        assert_eq!(get(&mut other, "y").as_deref(), Some("1"));
        update(&mut large, "y", "2").unwrap();
        fill(&mut large, &rows(50, "v"));
        update(&mut other, "x", "2").unwrap();
        let (first, second) = if large_first { (large, other) } else { (other, large) };
        first.commit().unwrap();
        let error = second.commit().unwrap_err();
        assert!(matches!(error, TxnError::ReadWriteDependency { .. }), "{error}");
    }
}

#[test]
fn occ_counts_many_claims_as_the_whole_table() {
    let db = Fixture::<OccControl>::new();
    db.set(&[("x", "1")]);
    let mut many = db.begin(ReadCommitted);
    for n in 0..70_000 {
        lock(&mut many, &format!("k{n}"), LockIntent::Insert).unwrap();
    }
    update(&mut many, "y", "2").unwrap();
    let mut other = db.begin(ReadCommitted);
    update(&mut other, "x", "2").unwrap();
    let mut late = db.begin(ReadCommitted);
    update(&mut late, "x", "3").unwrap();
    many.commit().unwrap();
    let error = other.commit().unwrap_err();
    assert!(matches!(error, TxnError::ReadWriteDependency { .. }), "{error}");
    late.commit().unwrap_err();
    db.set(&[("x", "4")]);
}
