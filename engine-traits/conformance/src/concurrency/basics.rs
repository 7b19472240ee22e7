//! One transaction at a time: its own writes, its savepoints, its end.

use std::collections::BTreeSet;

use driftdb_concurrency::{Counter, IsolationLevel, LockIntent, LockStrength, ReadAt, WaitPolicy};
use driftdb_storage::{KeyRange, KeyspaceId};

use super::driver::{Fixture, LEVELS, Open, SPACE, get, put, scan_all, scan_range};

fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A statement sees the writes of earlier statements, not its own; `Newest` sees all; others see
/// nothing before the commit.
pub fn own_writes_are_seen_by_later_statements(open: &Open) {
    for level in LEVELS {
        let fixture = Fixture::new(open, &[("a", "1")]);
        let mut txn = fixture.begin(level);
        put(&mut *txn, "a", "2").expect("nobody else writes");
        put(&mut *txn, "b", "3").expect("nobody else writes");
        let mut seen = |at| {
            let a = get(&mut *txn, "a", at).expect("a healthy store reads");
            (a, get(&mut *txn, "b", at).expect("a healthy store reads"))
        };
        let some = |value: &str| Some(value.to_owned());
        assert_eq!(seen(ReadAt::Statement), (some("1"), None), "{level}: its own statement");
        assert_eq!(seen(ReadAt::Newest), (some("2"), some("3")), "{level}: newest");
        txn.begin_statement().expect("a healthy store begins statements");
        let now = scan_all(&mut *txn, ReadAt::Statement).expect("a healthy store reads");
        assert_eq!(now, owned(&[("a", "2"), ("b", "3")]), "{level}: a later statement");
        txn.delete(SPACE, b"a").expect("locked above");
        txn.begin_statement().expect("a healthy store begins statements");
        let now = scan_all(&mut *txn, ReadAt::Statement).expect("a healthy store reads");
        assert_eq!(now, owned(&[("b", "3")]), "{level}: after a delete");
        assert!(txn.has_writes(), "{level}");
        txn.commit().expect("nobody else writes");
        assert_eq!(fixture.rows(), owned(&[("b", "3")]), "{level}: after the commit");
    }
}

/// A rollback, and a transaction that is just dropped, leave nothing behind.
pub fn rollback_leaves_nothing(open: &Open) {
    for level in LEVELS {
        let fixture = Fixture::new(open, &[("a", "1")]);
        for explicit in [true, false] {
            let newest = fixture.store.newest();
            let mut txn = fixture.begin(level);
            put(&mut *txn, "a", "2").expect("nobody holds it");
            put(&mut *txn, "b", "2").expect("nobody holds it");
            if explicit {
                txn.rollback();
            } else {
                drop(txn);
            }
            assert_eq!(fixture.rows(), owned(&[("a", "1")]), "{level}");
            assert_eq!(fixture.store.newest(), newest, "{level}: no commit was made");
        }
    }
}

/// Rolling back to a savepoint undoes what came after, again and again; releasing keeps it.
pub fn savepoints_nest(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "0")]);
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    put(&mut *txn, "a", "1").expect("nobody else writes");
    let first = txn.savepoint();
    put(&mut *txn, "a", "2").expect("nobody else writes");
    put(&mut *txn, "b", "2").expect("nobody else writes");
    let second = txn.savepoint();
    txn.delete(SPACE, b"a").expect("locked above");
    put(&mut *txn, "c", "3").expect("nobody else writes");
    let seen = |txn: &mut dyn driftdb_concurrency::Transaction| {
        scan_all(txn, ReadAt::Newest).expect("a healthy store reads")
    };
    assert_eq!(seen(&mut *txn), owned(&[("b", "2"), ("c", "3")]));
    txn.rollback_to(second);
    assert_eq!(seen(&mut *txn), owned(&[("a", "2"), ("b", "2")]));
    put(&mut *txn, "c", "4").expect("nobody else writes");
    txn.rollback_to(second);
    assert_eq!(seen(&mut *txn), owned(&[("a", "2"), ("b", "2")]), "a savepoint stays usable");
    txn.rollback_to(first);
    assert_eq!(seen(&mut *txn), owned(&[("a", "1")]));
    let third = txn.savepoint();
    put(&mut *txn, "d", "5").expect("nobody else writes");
    txn.release(third);
    assert_eq!(seen(&mut *txn), owned(&[("a", "1"), ("d", "5")]));
    txn.commit().expect("nobody else writes");
    assert_eq!(fixture.rows(), owned(&[("a", "1"), ("d", "5")]));
}

/// Scans show committed rows and own writes as one, in order, both ways, in batches of any size.
pub fn scans_merge_own_writes(open: &Open) {
    let keys: Vec<String> = (0..40).map(|number| format!("k{number:02}")).collect();
    let rows: Vec<_> = keys.iter().step_by(2).map(|key| (key.as_str(), "committed")).collect();
    let fixture = Fixture::new(open, &rows);
    let mut txn = fixture.begin(IsolationLevel::RepeatableRead);
    let mut expected = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let value = match number % 6 {
            // Written over, deleted, left, or new between committed rows.
            0 | 1 => Some("own"),
            2 => None,
            3 | 5 => continue,
            _ => Some("committed"),
        };
        if number % 6 < 2 {
            put(&mut *txn, key, "own").expect("nobody else writes");
        } else if number % 6 == 2 {
            let (strength, wait) = (LockStrength::Update, WaitPolicy::NoWait);
            txn.lock(SPACE, key.as_bytes(), strength, LockIntent::Existing, wait)
                .expect("nobody else writes");
            txn.delete(SPACE, key.as_bytes()).expect("locked above");
        }
        expected.extend(value.map(|value| (key.clone(), value.to_owned())));
    }
    txn.begin_statement().expect("a healthy store begins statements");
    for (start, end) in [("", "~"), ("k05", "k21"), ("k06", "k06"), ("k30", "k10")] {
        let range = KeyRange::half_open(start.as_bytes(), end.as_bytes());
        let inside = expected.iter().filter(|(key, _)| range.contains(key.as_bytes()));
        let inside: Vec<_> = inside.cloned().collect();
        for (reverse, max_rows) in [(false, 1), (true, 1), (false, 7), (true, 7), (false, 1000)] {
            let mut inside = inside.clone();
            if reverse {
                inside.reverse();
            }
            let shown = scan_range(&mut *txn, range, ReadAt::Statement, reverse, max_rows)
                .expect("a healthy store reads");
            assert_eq!(shown, inside, "{start}..{end}, reverse {reverse}, {max_rows} rows");
        }
    }
}

/// Keyspaces exist for others from the commit that creates them to the one that drops them.
pub fn keyspaces_come_and_go_with_their_transaction(open: &Open) {
    let fixture = Fixture::new(open, &[]);
    let space = KeyspaceId(3000);
    for commits in [false, true] {
        let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
        txn.create_keyspace(space).expect("a fresh keyspace");
        txn.put(space, b"k", b"v").expect("its creator writes without a lock");
        let mut out = Vec::new();
        assert!(txn.get(space, b"k", ReadAt::Newest, &mut out).expect("its creator reads"));
        let mut other = fixture.begin(IsolationLevel::ReadCommitted);
        let early = other.get(space, b"k", ReadAt::Statement, &mut out);
        assert!(!matches!(early, Ok(true)), "others see it before the commit");
        drop(other);
        if commits {
            txn.commit().expect("nobody else writes");
        } else {
            txn.rollback();
        }
        let mut later = fixture.begin(IsolationLevel::ReadCommitted);
        let read = later.get(space, b"k", ReadAt::Statement, &mut out);
        assert_eq!(matches!(read, Ok(true)), commits, "after the end: {read:?}");
    }
    let before = fixture.store.newest();
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    txn.drop_keyspace(space).expect("it exists");
    let mut out = Vec::new();
    txn.get(space, b"k", ReadAt::Newest, &mut out).expect_err("unreadable at once");
    txn.commit().expect("nobody else writes");
    let mut later = fixture.begin(IsolationLevel::ReadCommitted);
    later.get(space, b"k", ReadAt::Statement, &mut out).expect_err("gone");
    drop(later);
    let mut past = fixture.begin(IsolationLevel::ReadCommitted);
    assert!(past.get(space, b"k", ReadAt::AsOf(before), &mut out).expect("the past has it"));
}

/// Timestamps and sequence numbers rise with the commits and name each other; reading makes none.
pub fn commits_number_themselves(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "0")]);
    let store = &fixture.store;
    let mut last = None;
    for round in 0..20 {
        let done = fixture.set("a", &round.to_string());
        let commit = done.commit.expect("something was written");
        assert_eq!(store.newest(), commit.ts, "the commit is visible when it returns");
        let named = store.timestamp_of_sequence(done.sequence).expect("it was given out");
        assert_eq!(named, commit.ts);
        assert_eq!(store.sequence_at(commit.ts).expect("a healthy store"), done.sequence);
        if let Some((sequence, ts)) = last {
            assert_eq!(done.sequence, sequence + 1, "sequence numbers are dense");
            assert!(commit.ts > ts, "timestamps rise");
        }
        last = Some((done.sequence, commit.ts));
        let mut reader = fixture.begin(IsolationLevel::RepeatableRead);
        get(&mut *reader, "a", ReadAt::Statement).expect("a healthy store reads");
        let read = reader.commit().expect("reading conflicts with nobody here");
        assert_eq!((read.commit, read.sequence), (None, done.sequence));
    }
    let unknown = store.timestamp_of_sequence(1_000_000);
    assert!(unknown.is_err(), "a number that was never given out gives {unknown:?}");
}

/// Numbers are unique per counter, across rollbacks and across a restart.
pub fn unique_ids_are_never_given_twice(open: &Open) {
    let fixture = Fixture::new(open, &[]);
    let mut given = BTreeSet::new();
    let mut take = |store: &dyn driftdb_concurrency::Store, count: u64| {
        for counter in [Counter::RowId, Counter::ObjectId, Counter::Keyspace] {
            let first = store.unique_ids(counter, count).expect("a healthy store");
            for id in first..first + count {
                assert!(given.insert((counter, id)), "{counter:?} {id} is given twice");
            }
        }
    };
    for count in [1, 3, 1000, 1] {
        take(&*fixture.store, count);
    }
    let Fixture { disk, env, store } = fixture;
    drop(store);
    let store = open(&env);
    take(&*store, 5);
    drop(store);
    disk.crash_with(driftdb_sim_disk::CrashMode::LoseAll);
    take(&*open(&env), 5);
}
