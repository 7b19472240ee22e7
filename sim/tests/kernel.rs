//! The kernel's own promises: same history for the same seed, exact deadlocks, deaths without
//! destructors, timers in order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{FileKind, OpenHow, yield_now};
use driftdb_sim::kernel::{
    Chance, Hold, KernelSettings, KillAt, NodeId, Outcome, Sim, WallClock, simulate,
};
use driftdb_sim_disk::SimDisk;

const NODE: NodeId = NodeId(1);
const LONG: Duration = Duration::from_secs(3600);

/// Three fibers that contend for a latch and write a file.
fn busy(settings: KernelSettings) -> (Outcome, Vec<u32>) {
    let order = Rc::new(RefCell::new(Vec::new()));
    let theirs = Rc::clone(&order);
    let outcome = simulate(settings, move |sim: Sim| {
        let disk = SimDisk::new(settings.seed);
        let env = sim.boot(NODE, &disk, settings.seed, WallClock::default());
        let latch = Arc::new(Mutex::new(0));
        let left = Rc::new(Cell::new(3));
        for number in 0..3 {
            let (env, latch) = (env.clone(), Arc::clone(&latch));
            let (order, left) = (Rc::clone(&theirs), Rc::clone(&left));
            sim.spawn(NODE, "worker", move || {
                let path = format!("/file-{number}");
                let file = env.disk().open(path.as_ref(), OpenHow::CreateNew, FileKind::Log);
                let file = file.expect("a new name");
                for round in 0..5 {
                    let mut guard = latch.lock();
                    *guard += 1;
                    yield_now("holding the latch");
                    order.borrow_mut().push(number);
                    file.write_at(round, b"x").expect("no faults are set");
                    drop(guard);
                    env.sleep(Duration::from_micros(10));
                }
                left.set(left.get() - 1);
            });
        }
        assert!(sim.wait_until(LONG, || left.get() == 0));
        assert_eq!(*latch.lock(), 15);
    });
    let order = order.borrow().clone();
    (outcome, order)
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let (first, first_order) = busy(KernelSettings::plain(7));
    let (again, again_order) = busy(KernelSettings::plain(7));
    assert_eq!(first.failure, None);
    assert_eq!(first, again);
    assert_eq!(first_order, again_order);
}

#[test]
fn other_seeds_give_other_histories() {
    let runs: Vec<_> = (0..10).map(|seed| busy(KernelSettings::plain(seed))).collect();
    let traces: BTreeSet<u64> = runs.iter().map(|(outcome, _)| outcome.trace_hash).collect();
    let orders: BTreeSet<&Vec<u32>> = runs.iter().map(|(_, order)| order).collect();
    assert_eq!(traces.len(), 10);
    assert!(orders.len() > 3, "{orders:?}");
}

#[test]
fn a_deadlock_is_seen_exactly() {
    let outcome = simulate(KernelSettings::plain(1), |sim: Sim| {
        sim.boot(NODE, &SimDisk::new(1), 1, WallClock::default());
        let latches = Arc::new((Mutex::new(()), Mutex::new(())));
        let meet = Arc::new((Mutex::new(0), Condvar::new()));
        for number in 0..2 {
            let (latches, meet) = (Arc::clone(&latches), Arc::clone(&meet));
            sim.spawn(NODE, if number == 0 { "left" } else { "right" }, move || {
                let (first, second) =
                    if number == 0 { (&latches.0, &latches.1) } else { (&latches.1, &latches.0) };
                let _first = first.lock();
                let mut met = meet.0.lock();
                *met += 1;
                meet.1.notify_all();
                while *met < 2 {
                    meet.1.wait(&mut met);
                }
                drop(met);
                let _second = second.lock();
            });
        }
        // Without a timer: the harness waits on a condition of its own.
        let never = (Mutex::new(()), Condvar::new());
        let mut guard = never.0.lock();
        never.1.wait(&mut guard);
    });
    let failure = outcome.failure.expect("two fibers wait for each other");
    assert!(failure.starts_with("deadlock"), "{failure}");
    assert!(failure.contains("\"left\"") && failure.contains("\"right\""), "{failure}");
}

#[test]
fn a_livelock_ends() {
    let settings = KernelSettings { max_events: 1000, ..KernelSettings::plain(1) };
    let outcome = simulate(settings, |_| {
        loop {
            yield_now("for ever");
        }
    });
    assert!(outcome.failure.unwrap().starts_with("livelock"));
}

/// It passes no yield point: its steps alone would never end it.
#[test]
fn a_livelock_of_disk_operations_ends() {
    for max_disk_ns in [0, 5_000] {
        let plain = KernelSettings::plain(1);
        let settings = KernelSettings { max_events: 1000, max_disk_ns, ..plain };
        let outcome = simulate(settings, |sim: Sim| {
            let disk = SimDisk::new(1);
            let env = sim.boot(NODE, &disk, 1, WallClock::default());
            sim.spawn(NODE, "looks for a file", move || {
                loop {
                    drop(env.disk().list(Path::new("/nowhere")));
                }
            });
            sim.wait_until(Duration::from_secs(300), || false);
        });
        assert!(outcome.failure.unwrap().starts_with("livelock"), "{max_disk_ns}");
    }
}

struct Loud(Rc<Cell<u32>>);

impl Drop for Loud {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_killed_node_runs_no_destructors_and_lives_again() {
    let dropped = Rc::new(Cell::new(0));
    let theirs = Rc::clone(&dropped);
    let outcome = simulate(KernelSettings::plain(3), move |sim: Sim| {
        let disk = SimDisk::new(3);
        for life in 0..20 {
            sim.boot(NODE, &disk, life, WallClock::default());
            for _ in 0..3 {
                let loud = Loud(Rc::clone(&theirs));
                sim.spawn(NODE, "worker", move || {
                    let _loud = loud;
                    loop {
                        yield_now("working");
                    }
                });
            }
            sim.kill_at(NODE, Some(KillAt::Yield(1 + life * 3)));
            assert!(sim.wait_until(LONG, || sim.is_dead(NODE)));
        }
    });
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.kill_count, 20);
    assert_eq!(dropped.get(), 0);
}

#[test]
fn a_kill_at_a_disk_operation_comes_before_it_is_done() {
    let outcome = simulate(KernelSettings::plain(3), |sim: Sim| {
        let disk = SimDisk::new(3);
        let env = sim.boot(NODE, &disk, 1, WallClock::default());
        // Opening is the first, so the second write is not done.
        sim.kill_at(NODE, Some(KillAt::DiskOp(3)));
        sim.spawn(NODE, "writer", move || {
            let file = env.disk().open("/f".as_ref(), OpenHow::CreateNew, FileKind::Log).unwrap();
            file.write_at(0, b"one").unwrap();
            file.write_at(3, b"two").unwrap();
        });
        assert!(sim.wait_until(LONG, || sim.is_dead(NODE)));
        assert_eq!(disk.read_file("/f".as_ref()).unwrap(), b"one");
    });
    assert_eq!(outcome.failure, None);
}

#[test]
fn a_node_that_kills_itself_stops_there() {
    let reached = Rc::new(Cell::new(false));
    let theirs = Rc::clone(&reached);
    let outcome = simulate(KernelSettings::plain(5), move |sim: Sim| {
        sim.boot(NODE, &SimDisk::new(5), 5, WallClock::default());
        let killer = sim.clone();
        sim.spawn(NODE, "killer", move || {
            killer.kill(NODE);
            theirs.set(true);
        });
        assert!(sim.wait_until(LONG, || sim.is_dead(NODE)));
    });
    assert_eq!(outcome.failure, None);
    assert!(!reached.get());
}

#[test]
fn timers_fire_in_order_and_time_jumps_to_them() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let theirs = Rc::clone(&order);
    let quiet = KernelSettings { delay: Chance::NEVER, ..KernelSettings::plain(9) };
    let outcome = simulate(quiet, move |sim: Sim| {
        for seconds in [30, 10, 20] {
            let (sleeper, order) = (sim.clone(), Rc::clone(&theirs));
            sim.spawn(NodeId::HARNESS, "sleeper", move || {
                sleeper.sleep(Duration::from_secs(seconds));
                assert_eq!(sleeper.now(), Duration::from_secs(seconds));
                order.borrow_mut().push(seconds);
            });
        }
        assert!(sim.wait_until(LONG, || theirs.borrow().len() == 3));
        // And a condition that nobody notifies ends at its deadline.
        let latch = Mutex::new(());
        let mut guard = latch.lock();
        assert!(!Condvar::new().wait_for(&mut guard, Duration::from_secs(5)));
        assert_eq!(sim.now(), Duration::from_secs(35));
    });
    assert_eq!(outcome.failure, None);
    assert_eq!(*order.borrow(), [10, 20, 30]);
}

#[test]
fn a_panic_fails_the_simulation_with_its_message() {
    let outcome = simulate(KernelSettings::plain(2), |sim: Sim| {
        sim.boot(NODE, &SimDisk::new(2), 2, WallClock::default());
        sim.spawn(NODE, "clumsy", || panic!("dropped the plates"));
        sim.sleep(LONG);
    });
    let failure = outcome.failure.unwrap();
    assert!(failure.contains("dropped the plates"), "{failure}");
    assert!(failure.contains("kernel.rs"), "{failure}");
}

#[test]
fn a_panic_that_somebody_caught_still_counts() {
    let outcome = simulate(KernelSettings::plain(2), |_| {
        assert!(std::panic::catch_unwind(|| panic!("hushed up")).is_err());
    });
    assert!(outcome.failure.unwrap().contains("hushed up"));
}

#[test]
fn blocked_is_told_from_asleep_without_passing_time() {
    let settings = KernelSettings {
        delay: Chance::NEVER,
        switch: Chance::NEVER,
        max_disk_ns: 0,
        ..KernelSettings::plain(3)
    };
    let outcome = simulate(settings, |sim: Sim| {
        let env = sim.boot(NODE, &SimDisk::new(3), 3, WallClock::default());
        let cell = Arc::new((Mutex::new(false), Condvar::new()));
        let (theirs, sleeper) = (Arc::clone(&cell), env.clone());
        // It looks again from time to time, as waiters for locks do: that is still to be blocked.
        let blocked = sim.spawn(NODE, "blocked", move || {
            let mut is_free = theirs.0.lock();
            while !*is_free {
                theirs.1.wait_for(&mut is_free, Duration::from_millis(50));
            }
        });
        let asleep = sim.spawn(NODE, "asleep", move || sleeper.sleep(Duration::from_secs(1)));
        sim.wait_until_idle();
        assert_eq!(sim.now(), Duration::ZERO);
        assert!(sim.is_waiting(blocked) && !sim.is_waiting(asleep));
        sim.sleep(Duration::from_secs(2));
        sim.wait_until_idle();
        assert!(sim.is_waiting(blocked));
        *cell.0.lock() = true;
        cell.1.notify_all();
        sim.wait_until_idle();
        assert!(!sim.is_waiting(blocked));
        assert_eq!(sim.now(), Duration::from_secs(2));
    });
    assert_eq!(outcome.failure, None);
}

#[test]
fn a_kill_at_a_point_counts_that_point_only() {
    let passed = Rc::new(Cell::new(0));
    let theirs = Rc::clone(&passed);
    let outcome = simulate(KernelSettings::plain(3), move |sim: Sim| {
        sim.boot(NODE, &SimDisk::new(3), 1, WallClock::default());
        sim.kill_at(NODE, Some(KillAt::Site { site: "here", nth: 3 }));
        sim.spawn(NODE, "worker", move || {
            loop {
                yield_now("elsewhere");
                yield_now("here");
                theirs.set(theirs.get() + 1);
            }
        });
        assert!(sim.wait_until(LONG, || sim.is_dead(NODE)));
    });
    assert_eq!((outcome.failure, passed.get()), (None, 2));
}

#[test]
fn time_passes_in_a_pause_and_in_a_stall() {
    let quiet = KernelSettings { delay: Chance::NEVER, ..KernelSettings::plain(3) };
    let outcome = simulate(quiet, |sim: Sim| {
        let env = sim.boot(NODE, &SimDisk::new(3), 1, WallClock::default());
        let second = 1_000_000_000;
        sim.hold(NODE, Some(Hold::Pause { nth: 2, for_ns: second }));
        let (inner, done) = (sim.clone(), Rc::new(Cell::new(false)));
        let theirs = Rc::clone(&done);
        sim.spawn(NODE, "worker", move || {
            yield_now("first");
            assert_eq!(inner.now(), Duration::ZERO);
            yield_now("second");
            assert_eq!(inner.now(), Duration::from_secs(1));
            inner.hold(NODE, Some(Hold::Stall { nth: 2, for_ns: second }));
            let file = env.disk().open("/f".as_ref(), OpenHow::CreateNew, FileKind::Log).unwrap();
            assert!(inner.now() < Duration::from_millis(1001));
            file.write_at(0, b"x").unwrap();
            assert!(inner.now() >= Duration::from_secs(2));
            let before = inner.now();
            inner.hold(NODE, Some(Hold::Slow { nth: 1, count: 2, times: 1000 }));
            (0..3).for_each(|_| file.write_at(0, b"x").unwrap());
            assert!(inner.now() - before > Duration::from_millis(1));
            theirs.set(true);
        });
        assert!(sim.wait_until(LONG, || done.get()));
    });
    assert_eq!(outcome.failure, None);
    let counts = (outcome.pause_count, outcome.stall_count, outcome.slow_op_count);
    assert_eq!(counts, (1, 1, 2));
}

/// Whether one fiber passes forty yield points before the other has begun.
fn runs_far_ahead(seed: u64, priority_changes: Option<u32>) -> (bool, u64) {
    let settings =
        KernelSettings { delay: Chance::NEVER, priority_changes, ..KernelSettings::plain(seed) };
    let is_ahead = Rc::new(Cell::new(false));
    let theirs = Rc::clone(&is_ahead);
    let outcome = simulate(settings, move |sim: Sim| {
        sim.boot(NODE, &SimDisk::new(1), 1, WallClock::default());
        let (step, left) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(2)));
        let (steps, lefts) = (Rc::clone(&step), Rc::clone(&left));
        sim.spawn(NODE, "far", move || {
            for number in 1..=40 {
                yield_now("far");
                steps.set(number);
            }
            lefts.set(lefts.get() - 1);
        });
        let lefts = Rc::clone(&left);
        sim.spawn(NODE, "late", move || {
            theirs.set(step.get() == 40);
            lefts.set(lefts.get() - 1);
        });
        assert!(sim.wait_until(LONG, || left.get() == 0));
    });
    assert_eq!(outcome.failure, None);
    (is_ahead.get(), outcome.trace_hash)
}

#[test]
fn priorities_reach_orders_that_chance_does_not() {
    let ahead = |changes| (0..100).filter(|&seed| runs_far_ahead(seed, changes).0).count();
    assert_eq!(ahead(None), 0);
    let by_priority = ahead(Some(2));
    assert!((20..80).contains(&by_priority), "{by_priority} of 100");
    assert_eq!(runs_far_ahead(5, Some(2)), runs_far_ahead(5, Some(2)));
}

#[test]
fn who_waits_by_yielding_does_not_stop_the_others() {
    for seed in 0..20 {
        let settings = KernelSettings { priority_changes: Some(0), ..KernelSettings::plain(seed) };
        let outcome = simulate(settings, |sim: Sim| {
            sim.boot(NODE, &SimDisk::new(1), 1, WallClock::default());
            let ready = Rc::new(Cell::new(false));
            let (theirs, done) = (Rc::clone(&ready), Rc::new(Cell::new(false)));
            let dones = Rc::clone(&done);
            sim.spawn(NODE, "spinner", move || {
                while !theirs.get() {
                    yield_now("spin");
                }
                dones.set(true);
            });
            sim.spawn(NODE, "worker", move || ready.set(true));
            assert!(sim.wait_until(LONG, || done.get()));
        });
        assert_eq!(outcome.failure, None);
    }
}
