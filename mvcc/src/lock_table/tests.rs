//! The table, driven by hand and by threads.

use std::ops::Bound;

use driftdb_concurrency::{ObjectLocked, ObjectLocks};

use super::*;

const SPACE: KeyspaceId = KeyspaceId(2000);
const NOWAIT: WaitPolicy = WaitPolicy::NoWait;
const WAIT: WaitPolicy = WaitPolicy::Wait(None);

fn owner(id: u64) -> Owner {
    Owner::new(TxnId(id), CancelToken::new())
}

fn table(striping: Striping) -> Arc<LockTable> {
    Arc::new(LockTable::new(&Env::os(), striping))
}

fn until_waiting(table: &LockTable, count: usize) {
    while table.waits().len() < count {
        driftdb_env::yield_now("test");
    }
}

/// Asks for a key in a task of its own; the order in which keys are given is noted in `order`.
fn ask(
    table: &Arc<LockTable>,
    id: u64,
    strength: LockStrength,
    order: &Arc<Mutex<Vec<u64>>>,
) -> driftdb_env::Task {
    let (table, order) = (Arc::clone(table), Arc::clone(order));
    let env = table.env.clone();
    env.spawn("asker", move || {
        let mut owner = owner(id);
        table.acquire_in_turn(&mut owner, SPACE, Target::Key(b"k"), strength, WAIT).unwrap();
        order.lock().push(id);
        table.release_all(&mut owner);
    })
}

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let table = table(Striping::ByKey);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut holder = owner(1);
    let key = Target::Key(b"k");
    table.acquire(&mut holder, SPACE, key, LockStrength::Share, NOWAIT).unwrap();
    let first = ask(&table, 2, LockStrength::Update, &order);
    until_waiting(&table, 1);
    // A share lock would be compatible with the holder, but it must not overtake the update.
    let second = ask(&table, 3, LockStrength::Share, &order);
    until_waiting(&table, 2);
    let mut third = owner(4);
    let share = LockStrength::Share;
    let refused = table.acquire_in_turn(&mut third, SPACE, key, share, NOWAIT);
    assert!(matches!(refused, Err(TxnError::LockNotAvailable)));
    // A claim only asks the holders.
    table.acquire(&mut third, SPACE, key, share, NOWAIT).unwrap();
    table.release_all(&mut third);
    assert!(order.lock().is_empty());
    // The holder itself may: those in the queue wait for it anyway.
    table.acquire(&mut holder, SPACE, key, LockStrength::Update, NOWAIT).unwrap();
    table.release_all(&mut holder);
    first.join();
    second.join();
    assert_eq!(*order.lock(), [2, 3]);
    assert!(table.waits().is_empty());
    table.acquire(&mut third, SPACE, key, LockStrength::Update, NOWAIT).unwrap();
}

/// Else a queue of many for one row would take the cube of its length to settle, at every release.
#[test]
fn who_waits_for_a_row_names_only_the_last_before_it() {
    let table = table(Striping::ByKey);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut holder = owner(1);
    let strength = LockStrength::NoKeyUpdate;
    table.acquire(&mut holder, SPACE, Target::Key(b"k"), strength, NOWAIT).unwrap();
    let tasks: Vec<_> = (2..10)
        .map(|id| {
            let task = ask(&table, id, strength, &order);
            until_waiting(&table, id as usize - 1);
            task
        })
        .collect();
    let waits = table.waits();
    assert!(waits.iter().all(|wait| wait.blockers.len() == 1), "{waits:?}");
    table.release_all(&mut holder);
    tasks.into_iter().for_each(driftdb_env::Task::join);
    assert_eq!(*order.lock(), Vec::from_iter(2..10));
}

#[test]
fn ranges_and_keys_exclude_each_other() {
    let table = table(Striping::ByKeyspace);
    let (mut reader, mut writer) = (owner(1), owner(2));
    let range = KeyRange { start: Bound::Included(b"c"), end: Bound::Excluded(b"f") };
    let share = LockStrength::Share;
    table.acquire(&mut reader, SPACE, Target::Range(range), share, NOWAIT).unwrap();
    let update = LockStrength::Update;
    for (key, is_free) in [(b"b", true), (b"c", false), (b"e", false), (b"f", true)] {
        let result = table.acquire(&mut writer, SPACE, Target::Key(key), update, NOWAIT);
        assert_eq!(result.is_ok(), is_free, "{key:?}");
    }
    // Weak claims and other keyspaces do not mind.
    table.acquire(&mut writer, SPACE, Target::Key(b"d"), LockStrength::KeyShare, NOWAIT).unwrap();
    table.acquire(&mut writer, KeyspaceId(2001), Target::Key(b"d"), update, NOWAIT).unwrap();
    let all = Target::Range(KeyRange::ALL);
    assert!(table.acquire(&mut reader, SPACE, all, share, NOWAIT).is_err());
    table.release_all(&mut writer);
    table.acquire(&mut reader, SPACE, all, share, NOWAIT).unwrap();
    // What is in an own range is held already.
    table.acquire(&mut reader, SPACE, Target::Key(b"x"), share, NOWAIT).unwrap();
    assert!(!reader.held.iter().any(|taken| matches!(taken.held, Held::Key { .. })));
    table.release_all(&mut reader);
    table.acquire(&mut writer, SPACE, Target::Key(b"d"), update, NOWAIT).unwrap();
}

#[test]
fn two_upgrades_of_one_key_are_a_deadlock() {
    let table = table(Striping::ByKeyspace);
    let (mut first, mut second) = (owner(1), owner(2));
    let key = Target::Key(b"k");
    table.acquire(&mut first, SPACE, key, LockStrength::Share, NOWAIT).unwrap();
    table.acquire(&mut second, SPACE, key, LockStrength::Share, NOWAIT).unwrap();
    let theirs = Arc::clone(&table);
    let task = table.env.spawn("upgrade", move || {
        theirs.acquire(&mut first, SPACE, key, LockStrength::Update, WAIT).unwrap();
        theirs.release_all(&mut first);
    });
    until_waiting(&table, 1);
    let result = table.acquire(&mut second, SPACE, key, LockStrength::Update, WAIT);
    assert!(matches!(result, Err(TxnError::Deadlock { .. })), "{result:?}");
    table.release_all(&mut second);
    task.join();
    assert!(table.waits().is_empty());
}

#[test]
fn an_insert_into_an_own_range_passes_a_waiter() {
    let table = table(Striping::ByKeyspace);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut holder = owner(1);
    let all = Target::Range(KeyRange::ALL);
    table.acquire(&mut holder, SPACE, all, LockStrength::Share, NOWAIT).unwrap();
    let waiter = ask(&table, 2, LockStrength::Update, &order);
    until_waiting(&table, 1);
    let key = Target::Key(b"k");
    table.acquire(&mut holder, SPACE, key, LockStrength::Update, NOWAIT).unwrap();
    table.release_all(&mut holder);
    waiter.join();
    assert_eq!(*order.lock(), [2]);
}

fn session(table: &LockTable, number: i32) -> (CancelToken, Owner) {
    let token = CancelToken::of_session(number);
    let owner = table.session_owner(&token);
    (token, owner)
}

const OBJECT: LockObject = LockObject::Table(7);

#[test]
fn a_session_does_not_exclude_itself() {
    let table = table(Striping::ByKey);
    let (token, mut beside) = session(&table, 3);
    let mut inside = Owner::new(TxnId(1), token);
    let mut other = owner(2);
    let exclusive = LockMode::Exclusive;
    let at_once = table.lock_object(&mut beside, OBJECT, exclusive, NOWAIT).unwrap();
    assert_eq!(at_once, ObjectLocked::AtOnce);
    let before = table.lock_object(&mut beside, OBJECT, exclusive, NOWAIT).unwrap();
    assert_eq!(before, ObjectLocked::Before);
    table.lock_object(&mut inside, OBJECT, exclusive, NOWAIT).unwrap();
    table.lock_object(&mut other, OBJECT, LockMode::RowShare, NOWAIT).unwrap_err();
    table.release_all(&mut inside);
    table.lock_object(&mut other, OBJECT, LockMode::RowShare, NOWAIT).unwrap_err();
    assert!(table.unlock_object(&mut beside, OBJECT, exclusive));
    assert!(!table.unlock_object(&mut beside, OBJECT, exclusive));
    table.lock_object(&mut other, OBJECT, LockMode::RowShare, NOWAIT).unwrap();
    assert_eq!(table.list().len(), 1);
}

#[test]
fn a_rollback_to_a_savepoint_gives_back_what_came_after_it() {
    let table = table(Striping::ByKeyspace);
    let key = Target::Key(b"k");
    let (share, update) = (LockStrength::KeyShare, LockStrength::Update);
    let refuses = |strength| {
        let mut other = owner(9);
        let refused = table.acquire(&mut other, SPACE, key, strength, NOWAIT).is_err();
        table.release_all(&mut other);
        refused
    };
    let mut holder = owner(1);
    table.acquire(&mut holder, SPACE, key, share, NOWAIT).unwrap();
    let mark = LockTable::mark(&holder);
    table.acquire(&mut holder, SPACE, key, update, NOWAIT).unwrap();
    table.lock_object(&mut holder, OBJECT, LockMode::AccessExclusive, NOWAIT).unwrap();
    assert!(table.must_lock_reads());
    assert!(refuses(share));
    table.release_since(&mut holder, mark);
    assert!(!refuses(share));
    assert!(refuses(update));
    assert!(!table.must_lock_reads());
    assert_eq!(table.list().len(), 1);
    // Who has told its client what it read keeps the keys, and gives back the objects.
    let mut strict = Owner::keeping_keys(TxnId(2), CancelToken::new());
    table.acquire(&mut strict, SPACE, Target::Key(b"a"), share, NOWAIT).unwrap();
    table.acquire(&mut strict, SPACE, Target::Range(KeyRange::ALL), share, NOWAIT).unwrap();
    table.lock_object(&mut strict, OBJECT, LockMode::Share, NOWAIT).unwrap();
    table.release_since(&mut strict, 0);
    assert_eq!(table.list().len(), 3);
    table.release_all(&mut strict);
    table.release_all(&mut holder);
    assert!(table.list().is_empty());
}

#[test]
fn a_cycle_through_a_place_in_the_queue_is_solved_by_another_place() {
    let table = table(Striping::ByKey);
    let (mode, alone) = (LockMode::ShareUpdateExclusive, LockMode::AccessExclusive);
    let (first, second) = (LockObject::Table(1), LockObject::Table(2));
    let mut one = owner(1);
    let mut two = owner(2);
    table.lock_object(&mut one, first, mode, NOWAIT).unwrap();
    table.lock_object(&mut two, second, LockMode::AccessShare, NOWAIT).unwrap();
    let wait = |mut owner: Owner, object, mode| {
        let at = Arc::clone(&table);
        table.env.spawn("waiter", move || {
            at.lock_object(&mut owner, object, mode, WAIT).unwrap();
            at.release_all(&mut owner);
        })
    };
    let two = wait(two, first, mode);
    until_waiting(&table, 1);
    let three = wait(owner(3), second, alone);
    until_waiting(&table, 2);
    // It waits behind the third, which waits for the second, which waits for it: nobody has to die.
    let locked = table.lock_object(&mut one, second, mode, WAIT).unwrap();
    assert_eq!(locked, ObjectLocked::AfterWait);
    table.release_all(&mut one);
    two.join();
    three.join();
    assert!(table.waits().is_empty());
    assert!(!table.must_lock_reads());
}

#[test]
fn a_deadlock_may_go_through_rows_tables_and_sessions() {
    let table = table(Striping::ByKey);
    let (token, mut beside) = session(&table, 5);
    token.set_activity(&Arc::from("SELECT 1"));
    let mut old = Owner::new(TxnId(1), token);
    let mut young = owner(2);
    let advisory = LockObject::Advisory { class: 0, object: 1, form: 1 };
    table.lock_object(&mut beside, advisory, LockMode::Exclusive, NOWAIT).unwrap();
    table.acquire(&mut young, SPACE, Target::Key(b"k"), LockStrength::Update, NOWAIT).unwrap();
    let at = Arc::clone(&table);
    let waiting = table.env.spawn("old", move || {
        at.acquire(&mut old, SPACE, Target::Key(b"k"), LockStrength::Update, WAIT).unwrap();
        at.release_all(&mut old);
    });
    until_waiting(&table, 1);
    assert!(table.blockers(5).is_empty());
    let error = table.lock_object(&mut young, advisory, LockMode::Share, WAIT).unwrap_err();
    let TxnError::Deadlock { detail } = error else { panic!("{error}") };
    assert_eq!(
        detail,
        "Transaction 2 waits for ShareLock on advisory lock [1,0,1,1]; blocked by process 5.\n\
         Process 5 waits for ShareLock on transaction 2; blocked by transaction 2.\n\
         Process 5: SELECT 1"
    );
    table.release_all(&mut young);
    waiting.join();
}

/// Takes keys until it has all of them as one.
fn hold_whole(table: &LockTable, owner: &mut Owner, strength: LockStrength) {
    owner.most_keys = 100;
    for n in 0..100u32 {
        table.acquire(owner, SPACE, Target::Key(&n.to_be_bytes()), strength, NOWAIT).unwrap();
    }
    assert_eq!(owner.held.len(), 1, "{:?}", owner.held);
}

#[test]
fn many_keys_become_the_keyspace() {
    for striping in [Striping::ByKey, Striping::ByKeyspace] {
        let table = table(striping);
        let [mut large, mut other] = [1, 2].map(owner);
        let before = LockTable::mark(&large);
        table
            .acquire(&mut large, KeyspaceId(1), Target::Key(b"k"), LockStrength::Share, NOWAIT)
            .unwrap();
        hold_others_and_whole(&table, &mut large);
        let key = Target::Key(b"never locked");
        for strength in [LockStrength::NoKeyUpdate, LockStrength::Update] {
            let refused = table.acquire(&mut other, SPACE, key, strength, NOWAIT);
            assert!(matches!(refused, Err(TxnError::LockNotAvailable)), "{striping:?}");
        }
        table.acquire(&mut other, SPACE, key, LockStrength::KeyShare, NOWAIT).unwrap();
        let listed = table.list();
        assert_eq!(listed.len(), 3, "{listed:?}");
        // What is held is held: nothing is added.
        table.acquire(&mut large, SPACE, key, LockStrength::NoKeyUpdate, NOWAIT).unwrap();
        assert_eq!(large.held.len(), 2);
        table.release_since(&mut large, before);
        table.acquire(&mut other, SPACE, key, LockStrength::Update, NOWAIT).unwrap();
        table.release_all(&mut other);
        assert!(table.list().is_empty(), "{striping:?}");
    }
}

fn hold_others_and_whole(table: &LockTable, large: &mut Owner) {
    let first = large.held.len();
    large.most_keys = 101;
    for n in 0..100u32 {
        let key = n.to_be_bytes();
        let strength = LockStrength::NoKeyUpdate;
        table.acquire(large, SPACE, Target::Key(&key), strength, NOWAIT).unwrap();
    }
    assert_eq!(large.held.len(), first + 1, "{:?}", large.held);
}

#[test]
fn a_savepoint_keeps_the_keyspace_if_it_keeps_a_key() {
    let table = table(Striping::ByKey);
    let [mut large, mut other] = [1, 2].map(owner);
    let update = LockStrength::Update;
    table.acquire(&mut large, SPACE, Target::Key(b"first"), update, NOWAIT).unwrap();
    let mark = LockTable::mark(&large);
    table.acquire(&mut large, KeyspaceId(1), Target::Key(b"k"), update, NOWAIT).unwrap();
    hold_whole_since(&table, &mut large);
    table.release_since(&mut large, mark);
    table.acquire(&mut other, KeyspaceId(1), Target::Key(b"k"), update, NOWAIT).unwrap();
    let refused = table.acquire(&mut other, SPACE, Target::Key(b"first"), update, NOWAIT);
    assert!(matches!(refused, Err(TxnError::LockNotAvailable)));
    table.release_all(&mut large);
    table.acquire(&mut other, SPACE, Target::Key(b"first"), update, NOWAIT).unwrap();
}

fn hold_whole_since(table: &LockTable, large: &mut Owner) {
    large.most_keys = 100;
    for n in 0..98u32 {
        let key = n.to_be_bytes();
        table.acquire(large, SPACE, Target::Key(&key), LockStrength::Update, NOWAIT).unwrap();
    }
    assert_eq!(large.held.len(), 2, "{:?}", large.held);
}

#[test]
fn nobody_is_pushed_aside_for_a_keyspace() {
    let table = table(Striping::ByKey);
    let [mut large, mut other] = [1, 2].map(owner);
    let key_share = LockStrength::KeyShare;
    table.acquire(&mut other, SPACE, Target::Key(b"k"), key_share, NOWAIT).unwrap();
    large.most_keys = 100;
    for n in 0..150u32 {
        let key = n.to_be_bytes();
        table.acquire(&mut large, SPACE, Target::Key(&key), LockStrength::Update, NOWAIT).unwrap();
    }
    assert_eq!(large.held.len(), 150);
    table.release_all(&mut other);
    large.most_keys = 151;
    table.acquire(&mut large, SPACE, Target::Key(b"k"), LockStrength::Update, NOWAIT).unwrap();
    assert_eq!(large.held.len(), 1);
}

#[test]
fn a_deadlock_through_a_keyspace_is_found() {
    let table = table(Striping::ByKey);
    let mut large = owner(1);
    hold_whole(&table, &mut large, LockStrength::Update);
    let task = {
        let theirs = Arc::clone(&table);
        table.env.spawn("other", move || {
            let mut other = owner(2);
            let update = LockStrength::Update;
            theirs.acquire(&mut other, KeyspaceId(1), Target::Key(b"x"), update, NOWAIT).unwrap();
            let end = theirs.acquire(&mut other, SPACE, Target::Key(b"free"), update, WAIT);
            assert!(matches!(end, Err(TxnError::Deadlock { .. })), "{end:?}");
            theirs.release_all(&mut other);
        })
    };
    until_waiting(&table, 1);
    let update = LockStrength::Update;
    table.acquire(&mut large, KeyspaceId(1), Target::Key(b"x"), update, WAIT).unwrap();
    task.join();
}
