//! Reading the past: times, sequence numbers, what retention lets go.

use std::time::Duration;

use driftdb_concurrency::{
    ConcurrencyControl, HistoryRules, Keep, Provenance, ReadAt, StatementKinds, Store, TxnError,
};
use driftdb_env::World;
use driftdb_mvcc::StoreOptions;
use driftdb_storage::{KeyspaceId, Retention, RetentionPolicy, StorageError, Timestamp};

use crate::support::*;

for_each_control!(
    every_commit_can_be_read_again,
    sequence_numbers_are_dense_and_exact,
    the_future_cannot_be_read,
    a_time_that_was_read_stays_as_it_was,
    dropped_tables_are_read_in_the_past,
    forgotten_times_are_errors,
    an_open_snapshot_keeps_its_history,
    a_retention_period_follows_the_clock,
    a_reader_below_the_floor_keeps_its_time,
    a_pinned_time_stays_until_it_is_let_go,
    nothing_is_forgotten_of_what_the_rules_do_not_know,
    nothing_is_forgotten_before_the_rules_are_known,
    commits_say_what_they_were_told,
);

fn every_commit_can_be_read_again<C: ConcurrencyControl>() {
    let db = Fixture::<C>::new();
    let empty = db.store.newest();
    let times: Vec<Timestamp> =
        (0..5).map(|i| db.set(&[("a", &i.to_string()), (&format!("k{i}"), "x")])).collect();
    let mut now = db.begin(ReadCommitted);
    put(&mut now, "a", "own").unwrap();
    now.begin_statement().unwrap();
    for (i, ts) in times.iter().enumerate() {
        let mut past = db.begin_as_of(*ts).unwrap();
        assert_eq!(get(&mut past, "a"), Some(i.to_string()));
        assert_eq!(scan(&mut past).len(), i + 2);
        assert!(matches!(put(&mut past, "a", "x"), Err(TxnError::ReadOnly)));
        // From within a transaction, without its own writes.
        assert_eq!(get_at(&mut now, "a", ReadAt::AsOf(*ts)).unwrap(), Some(i.to_string()));
        let just_before = ReadAt::AsOf(Timestamp(ts.0 - 1));
        let expected = i.checked_sub(1).map(|i| i.to_string());
        assert_eq!(get_at(&mut now, "a", just_before).unwrap(), expected);
    }
    assert_eq!(get_at(&mut now, "a", ReadAt::AsOf(empty)).unwrap(), None);
    assert_eq!(get(&mut now, "a").as_deref(), Some("own"));
}

fn sequence_numbers_are_dense_and_exact<C: ConcurrencyControl>() {
    let db = Fixture::<C>::new();
    let store = &*db.store;
    // Making the table was the first commit.
    let mut times = vec![store.timestamp_of_sequence(1).unwrap()];
    assert_eq!(store.sequence_at(Timestamp(times[0].0 - 1)).unwrap(), 0);
    for i in 0..20 {
        let mut txn = db.begin(ReadCommitted);
        put(&mut txn, "a", &i.to_string()).unwrap();
        let committed = txn.commit().unwrap();
        times.push(committed.commit.unwrap().ts);
        assert_eq!(committed.sequence, times.len() as u64);
    }
    for (index, ts) in times.iter().enumerate() {
        let sequence = index as u64 + 1;
        assert_eq!(store.timestamp_of_sequence(sequence).unwrap(), *ts);
        assert_eq!(store.sequence_at(*ts).unwrap(), sequence);
        assert_eq!(store.sequence_at(Timestamp(ts.0 - 1)).unwrap(), sequence - 1);
    }
    assert_eq!(store.sequence_at(Timestamp::MAX).unwrap(), 21);
    for requested in [0, 22] {
        let error = store.timestamp_of_sequence(requested).unwrap_err();
        assert!(matches!(error, TxnError::UnknownSequence { newest: 21, .. }), "{error}");
    }
}

fn the_future_cannot_be_read<C: ConcurrencyControl>() {
    let db = Fixture::<C>::new();
    let future = Timestamp(db.store.newest().0 + 3_600_000_000_000);
    let error = db.begin_as_of(future).err().unwrap();
    assert!(matches!(error, TxnError::FutureTime { requested } if requested == future));
    let error = get_at(&mut db.begin(ReadCommitted), "a", ReadAt::AsOf(future)).unwrap_err();
    assert!(matches!(error, TxnError::FutureTime { .. }));
}

fn a_time_that_was_read_stays_as_it_was<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let now = Timestamp(u64::try_from(db.env.wall().as_nanos()).unwrap());
    assert_eq!(get(&mut db.begin_as_of(now).unwrap(), "a").as_deref(), Some("1"));
    let later = db.set(&[("a", "2")]);
    assert!(later > now);
    assert_eq!(get(&mut db.begin_as_of(now).unwrap(), "a").as_deref(), Some("1"));
}

fn dropped_tables_are_read_in_the_past<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let before = db.store.newest();
    let mut dropper = db.begin(ReadCommitted);
    dropper.drop_keyspace(TABLE).unwrap();
    dropper.commit().unwrap();
    assert_eq!(get(&mut db.begin_as_of(before).unwrap(), "a").as_deref(), Some("1"));
}

fn forgotten_times_are_errors<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let old = db.store.newest();
    let kept = db.set(&[("a", "2")]);
    db.set(&[("a", "3")]);
    let default = Retention::since(kept);
    db.store.set_retention(RetentionPolicy { default, ..RetentionPolicy::default() });
    db.store.checkpoint().unwrap();
    assert_eq!(db.store.retention().default.keep_since, kept);
    let error = db.begin_as_of(old).err().unwrap();
    let TxnError::Storage(StorageError::SnapshotTooOld { requested, oldest }) = error else {
        panic!("{error}");
    };
    assert_eq!((requested, oldest), (old, kept));
    let error = get_at(&mut db.begin(ReadCommitted), "a", ReadAt::AsOf(old)).unwrap_err();
    assert!(matches!(error, TxnError::Storage(StorageError::SnapshotTooOld { .. })));
    assert_eq!(get(&mut db.begin_as_of(kept).unwrap(), "a").as_deref(), Some("2"));
    // The index of commits is never thinned out.
    assert_eq!(db.store.sequence_at(old).unwrap(), 2);
}

fn an_open_snapshot_keeps_its_history<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let old = db.store.newest();
    let mut past = db.begin_as_of(old).unwrap();
    db.set(&[("a", "2")]);
    let newest = db.set(&[("a", "3")]);
    let forget = || {
        let default = Retention::since(Timestamp::MAX);
        db.store.set_retention(RetentionPolicy { default, ..RetentionPolicy::default() });
        db.store.checkpoint().unwrap();
        db.store.retention().default.keep_since
    };
    assert_eq!(forget(), old);
    assert_eq!(get(&mut past, "a").as_deref(), Some("1"));
    assert_eq!(get(&mut db.begin_as_of(old).unwrap(), "a").as_deref(), Some("1"));
    past.commit().unwrap();
    assert_eq!(forget(), newest);
    assert!(db.begin_as_of(old).is_err());
    assert_eq!(db.read("a").as_deref(), Some("3"));
}

fn a_retention_period_follows_the_clock<C: ConcurrencyControl>() {
    let period = Duration::from_secs(60);
    let db = Fixture::<C>::with(&StoreOptions { retention: Some(period), ..options() });
    let old = db.set(&[("a", "1")]);
    db.set(&[("a", "2")]);
    db.store.checkpoint().unwrap();
    assert_eq!(get(&mut db.begin_as_of(old).unwrap(), "a").as_deref(), Some("1"));
    db.env.sleep(period * 2);
    db.store.checkpoint().unwrap();
    assert!(db.begin_as_of(old).is_err());
    assert_eq!(db.read("a").as_deref(), Some("2"));
    // Kept below the newest commit, so that readers of now are never too late.
    assert_eq!(db.store.retention().default.keep_since, db.store.newest());
}

/// Some keyspaces forget at once, so that the floor is that of the newest commit; others keep a minute.
pub(crate) fn reader_below_the_floor<C: ConcurrencyControl>() -> (Fixture<C>, Timestamp, Txn) {
    let period = Duration::from_secs(60);
    let db = Fixture::<C>::with(&StoreOptions { retention: Some(period), ..options() });
    let old = db.set(&[("a", "1")]);
    db.set(&[("a", "2")]);
    let by_keyspace = [(KeyspaceId(1025), Keep::For(Duration::ZERO))].into();
    db.store.set_history_rules(HistoryRules { by_keyspace, ..HistoryRules::default() });
    db.store.checkpoint().unwrap();
    assert!(db.store.retention().of(KeyspaceId(1025)).keep_since > old);
    let past = db.begin_as_of(old).unwrap();
    db.env.sleep(period * 2);
    db.set(&[("a", "3")]);
    db.store.checkpoint().unwrap();
    (db, old, past)
}

fn a_reader_below_the_floor_keeps_its_time<C: ConcurrencyControl>() {
    let (db, old, mut past) = reader_below_the_floor::<C>();
    assert_eq!(get(&mut past, "a").as_deref(), Some("1"));
    // Also for others, who look with a snapshot of now.
    assert_eq!(get(&mut db.begin_as_of(old).unwrap(), "a").as_deref(), Some("1"));
    past.commit().unwrap();
    db.store.checkpoint().unwrap();
    assert!(db.begin_as_of(old).is_err());
}

/// Rules come after the commit that makes a keyspace of which they say that it remembers more.
fn nothing_is_forgotten_of_what_the_rules_do_not_know<C: ConcurrencyControl>() {
    let retention = Some(Duration::ZERO);
    let options = StoreOptions { retention, awaits_history_rules: true, ..options() };
    let db = Fixture::<C>::with(&options);
    let rules = |read_at| HistoryRules { read_at: Some(read_at), ..HistoryRules::default() };
    db.store.set_history_rules(rules(db.store.newest()));
    let mut txn = db.begin(ReadCommitted);
    txn.create_keyspace(KeyspaceId(1030)).unwrap();
    txn.commit().unwrap();
    let old = db.set(&[("a", "1")]);
    db.set(&[("a", "2")]);
    db.store.checkpoint().unwrap();
    assert_eq!(get(&mut db.begin_as_of(old).unwrap(), "a").as_deref(), Some("1"));
    db.store.set_history_rules(rules(db.store.newest()));
    db.store.checkpoint().unwrap();
    assert!(db.begin_as_of(old).is_err());
}

fn a_pinned_time_stays_until_it_is_let_go<C: ConcurrencyControl>() {
    let db = Fixture::<C>::with(&StoreOptions { retention: Some(Duration::ZERO), ..options() });
    let old = db.set(&[("a", "1")]);
    let hold = db.begin_as_of(old).unwrap();
    let rules = HistoryRules { pins: vec![old], ..HistoryRules::default() };
    db.store.set_history_rules(rules);
    hold.commit().unwrap();
    let between = db.set(&[("a", "2")]);
    db.set(&[("a", "3")]);
    db.store.checkpoint().unwrap();
    assert_eq!(get(&mut db.begin_as_of(old).unwrap(), "a").as_deref(), Some("1"));
    assert!(db.begin_as_of(between).is_err());
    db.store.set_history_rules(HistoryRules::default());
    db.store.checkpoint().unwrap();
    assert!(db.begin_as_of(old).is_err());
}

fn nothing_is_forgotten_before_the_rules_are_known<C: ConcurrencyControl>() {
    let retention = Some(Duration::ZERO);
    let options = StoreOptions { retention, awaits_history_rules: true, ..options() };
    let db = Fixture::<C>::with(&options);
    let old = db.set(&[("a", "1")]);
    db.set(&[("a", "2")]);
    db.store.checkpoint().unwrap();
    let by_keyspace = [(TABLE, Keep::Forever)].into();
    db.store.set_history_rules(HistoryRules { by_keyspace, ..HistoryRules::default() });
    db.store.checkpoint().unwrap();
    assert_eq!(get(&mut db.begin_as_of(old).unwrap(), "a").as_deref(), Some("1"));
}

fn commits_say_what_they_were_told<C: ConcurrencyControl>() {
    let db = Fixture::<C>::new();
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "1").unwrap();
    let said = Provenance {
        user: "ada".into(),
        application: "test".into(),
        comment: "why".into(),
        kinds: StatementKinds::INSERT,
    };
    txn.describe(&said);
    let told = txn.commit().unwrap().sequence;
    db.set(&[("a", "2")]);
    let check = |db: &Fixture<C>| {
        let notes = db.store.commits(told, u64::MAX, 10).unwrap();
        let found: Vec<_> = notes.iter().map(|n| (n.sequence, n.provenance.clone())).collect();
        assert_eq!(found, [(told, said.clone()), (told + 1, Provenance::default())]);
        assert!(notes.iter().all(|note| note.keyspaces.as_deref() == Some(&[TABLE])));
        assert_eq!(db.store.timestamp_of_sequence(told).unwrap(), notes[0].ts);
        assert_eq!(db.store.commits(told, told, 10).unwrap().len(), 1);
        assert_eq!(db.store.commits(1, told + 1, 2).unwrap().len(), 2);
        assert!(db.store.commits(told + 2, u64::MAX, 10).unwrap().is_empty());
        assert!(db.store.commits(5, 1, 10).unwrap().is_empty());
    };
    check(&db);
    let db = db.crash();
    check(&db);
}

#[test]
fn a_clock_that_jumps_back_changes_no_order() {
    /// A wall clock that goes backwards.
    struct Backwards(driftdb_sim_disk::SimWorld);
    impl World for Backwards {
        fn disk(&self) -> &dyn driftdb_env::Disk {
            self.0.disk()
        }
        fn network(&self) -> &dyn driftdb_env::Network {
            self.0.network()
        }
        fn now(&self) -> Duration {
            self.0.now()
        }
        fn wall(&self) -> Duration {
            Duration::from_secs(1_704_067_200) - self.0.now()
        }
        fn seed(&self) -> u64 {
            self.0.seed()
        }
        fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) {
            self.0.spawn(name, body);
        }
        fn sleep(&self, duration: Duration) {
            self.0.sleep(duration);
        }
    }
    let disk = driftdb_sim_disk::SimDisk::new(1);
    let world = driftdb_sim_disk::SimWorld::new(disk.clone(), 1);
    let env = driftdb_env::Env::over(std::sync::Arc::new(Backwards(world)));
    let store = open::<driftdb_mvcc::SsiControl>(&env, &options()).unwrap();
    let mut txn = begin(&*store, ReadCommitted);
    txn.create_keyspace(TABLE).unwrap();
    txn.commit().unwrap();
    let db = Fixture { disk, env, store, options: options() };
    let mut times = vec![db.store.newest()];
    for _ in 0..5 {
        times.push(db.set(&[("a", "x")]));
    }
    let db = db.crash();
    times.push(db.set(&[("a", "y")]));
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    let newest = *times.last().unwrap();
    assert_eq!(get(&mut db.begin_as_of(newest).unwrap(), "a").as_deref(), Some("y"));
}
