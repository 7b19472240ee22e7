//! The table under every order of steps that a few thousand draws find. Run by `.ci/shuttle`.

use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{CancelToken, LockStrength, TxnError, TxnId, WaitPolicy};
use driftdb_env::schedules::Schedules;
use driftdb_env::sync::Mutex;
use driftdb_env::{Env, Task, yield_now};
use driftdb_storage::KeyspaceId;

use super::{LockTable, Owner, Striping, Target};

const SCHEDULES: Schedules = Schedules { random: 3_000, priority: 3_000 };
const SPACE: KeyspaceId = KeyspaceId(1);
const KEYS: [&[u8]; 2] = [b"a", b"b"];

/// Who is inside of each key's lock.
type Inside = [Mutex<usize>; 2];

/// Takes both keys in an order; true if it got through.
fn pass(
    table: &LockTable,
    inside: &Inside,
    id: u64,
    order: [usize; 2],
    wait: WaitPolicy,
) -> Result<(), TxnError> {
    let mut owner = Owner::new(TxnId(id), CancelToken::new());
    let mut entered = Vec::new();
    let mut take = || {
        for key in order {
            let target = Target::Key(KEYS[key]);
            table.acquire(&mut owner, SPACE, target, LockStrength::Update, wait)?;
            *inside[key].lock() += 1;
            entered.push(key);
            yield_now("inside");
            assert_eq!(*inside[key].lock(), 1, "two hold key {key}");
        }
        Ok(())
    };
    let taken = take();
    for key in entered {
        *inside[key].lock() -= 1;
    }
    table.release_all(&mut owner);
    taken
}

/// Runs one task per order; afterwards nothing is held.
fn run(orders: &'static [[usize; 2]], wait: WaitPolicy, check: fn(&[Result<(), TxnError>])) {
    let env = Env::os();
    let table = Arc::new(LockTable::new(&env, Striping::ByKey));
    let inside: Arc<Inside> = Arc::default();
    let results: Arc<Mutex<Vec<Result<(), TxnError>>>> = Arc::default();
    let tasks = orders.iter().zip(1..).map(|(order, id)| {
        let (table, inside) = (Arc::clone(&table), Arc::clone(&inside));
        let results = Arc::clone(&results);
        env.spawn("owner", move || {
            let result = pass(&table, &inside, id, *order, wait);
            results.lock().push(result);
        })
    });
    let tasks: Vec<Task> = tasks.collect();
    tasks.into_iter().for_each(Task::join);
    check(&results.lock());
    let mut last = Owner::new(TxnId(9), CancelToken::new());
    for key in KEYS {
        let taken = table.acquire(
            &mut last,
            SPACE,
            Target::Key(key),
            LockStrength::Update,
            WaitPolicy::NoWait,
        );
        assert!(taken.is_ok(), "a lock outlives its owners: {taken:?}");
    }
}

fn one_order_excludes() {
    run(&[[0, 1], [0, 1], [0, 1]], WaitPolicy::Wait(None), |results| {
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    });
}

fn opposite_orders_have_a_victim_at_most() {
    run(&[[0, 1], [1, 0]], WaitPolicy::Wait(None), |results| {
        assert!(results.iter().any(Result::is_ok), "{results:?}");
        let is_fine = |result: &Result<(), TxnError>| {
            matches!(result, Ok(()) | Err(TxnError::Deadlock { .. }))
        };
        assert!(results.iter().all(is_fine), "{results:?}");
    });
}

fn who_gives_up_holds_nothing() {
    run(&[[0, 1], [0, 1], [1, 0]], WaitPolicy::Wait(Some(Duration::from_nanos(1))), |results| {
        let is_fine = |result: &Result<(), TxnError>| {
            matches!(result, Ok(()) | Err(TxnError::Deadlock { .. } | TxnError::LockTimeout))
        };
        assert!(results.iter().all(is_fine), "{results:?}");
    });
}

#[test]
fn schedules_hold() {
    SCHEDULES.all_hold(one_order_excludes);
    SCHEDULES.all_hold(opposite_orders_have_a_victim_at_most);
    SCHEDULES.all_hold(who_gives_up_holds_nothing);
}

#[test]
fn schedules_find_a_release_that_settles_nothing() {
    SCHEDULES.find("mvcc.release-without-settling", one_order_excludes);
}

#[test]
fn schedules_find_a_cycle_that_nobody_looks_for() {
    SCHEDULES.find("mvcc.cycle-not-looked-for", opposite_orders_have_a_victim_at_most);
}

#[test]
fn schedules_find_a_grant_that_came_too_late() {
    SCHEDULES.find("mvcc.late-grant-lost", who_gives_up_holds_nothing);
}
