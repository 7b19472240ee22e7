//! The table, driven by hand and by threads.

use std::ops::Bound;

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
    while table.graph.lock().edges().len() < count {
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
        table.acquire(&mut owner, SPACE, Target::Key(b"k"), strength, WAIT).unwrap();
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
    let refused = table.acquire(&mut third, SPACE, key, LockStrength::Share, NOWAIT);
    assert!(matches!(refused, Err(TxnError::LockNotAvailable)));
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
    assert_eq!(reader.keys().count(), 0);
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
