//! Crashes: at every operation, at every sync, and while recovering from one.
//!
//! After each, the engine reopens, replays what the log still holds, and shows exactly that: no
//! commit lost, none invented, none in part, and nothing that the log has lost.

use driftdb_env::IoOp;
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};
use driftdb_storage::{Engine, Result};

use super::harness::{Harness, Upkeep};
use super::model::Model;
use super::workload::{Mix, Workload};

/// A sweep that never reaches its end is an engine that never stops doing I/O.
pub(crate) const MOST_OPERATIONS: u64 = 20_000;

/// Open, work, checkpoint now and then: enough for flushes, merges and page reuse.
pub(crate) fn work<E: Engine>(harness: &mut Harness<E>) -> Result<()> {
    harness.upkeep = Upkeep::Checkpoint(12);
    harness.open()?;
    Workload::new(80, Mix::default()).run(harness, 44)
}

/// Work under `fault`; false if it never struck. Errors other than the machine's stop are not
/// expected.
fn work_until<E: Engine>(harness: &mut Harness<E>, fault: Fault, context: &str) -> bool {
    let fault = harness.disk.inject(fault);
    let result = work(harness);
    if harness.disk.fired_by(fault) == 0 {
        assert!(result.is_ok(), "{context}: fails without a fault: {result:?}");
        return false;
    }
    assert!(harness.disk.is_halted(), "{context}: the machine stands still");
    true
}

/// After the crash: reopen, compare, go on working, compare again.
pub(crate) fn recovers<E: Engine>(harness: &mut Harness<E>, context: &str) {
    if let Err(error) = harness.reopen() {
        panic!("{context}: does not reopen: {error}");
    }
    harness.check_whole(context);
    let mut workload = Workload::after(81, Mix::default(), &Model::of(&harness.log));
    let went_on = workload.run(harness, 6).and_then(|()| harness.checkpoint());
    if let Err(error) = went_on {
        panic!("{context}: does not work after recovery: {error}");
    }
    if let Err(error) = harness.reopen() {
        panic!("{context}: does not reopen after recovery and more work: {error}");
    }
    harness.check_whole(&format!("{context}, after more work"));
}

/// The machine stops at the n-th operation on the disk, for every n; the mode of the crash goes
/// round.
pub fn a_crash_at_every_operation<E: Engine>() {
    for n in 1..MOST_OPERATIONS {
        let mode = CrashMode::ALL[n as usize % CrashMode::ALL.len()];
        let context = format!("crash at operation {n}, {mode:?}");
        let mut harness = Harness::<E>::closed(SimDisk::new(n), n);
        if !work_until(&mut harness, Fault::at(n).effect(Effect::Halt), &context) {
            assert!(n > 1, "an engine with files does I/O");
            return;
        }
        harness.crash(mode, !n.is_multiple_of(3));
        recovers(&mut harness, &context);
    }
    panic!("the workload does more than {MOST_OPERATIONS} operations");
}

/// The machine stops at the k-th sync, for every k, and everything unsynced meets each fate.
pub fn a_crash_at_every_sync<E: Engine>() {
    for k in 1..MOST_OPERATIONS {
        for (index, mode) in CrashMode::ALL.into_iter().enumerate().skip(1) {
            let context = format!("crash at sync {k}, {mode:?}");
            let seed = k * 10 + index as u64;
            let mut harness = Harness::<E>::closed(SimDisk::new(seed), seed);
            let fault = Fault::at(k).on(&[IoOp::Sync, IoOp::SyncDir]).effect(Effect::Halt);
            if !work_until(&mut harness, fault, &context) {
                assert!(k > 1, "an engine with files syncs");
                return;
            }
            harness.crash(mode, (k + index as u64).is_multiple_of(2));
            if let Err(error) = harness.reopen() {
                panic!("{context}: does not reopen: {error}");
            }
            harness.check_whole(&context);
        }
    }
    panic!("the workload does more than {MOST_OPERATIONS} syncs");
}

/// After a crash, the machine stops again at the m-th operation of the recovery, for every m, and
/// once more in the second recovery.
pub fn a_crash_during_recovery<E: Engine>() {
    for first in [15, 40, 90, 160, 250] {
        let mut base = Harness::<E>::closed(SimDisk::new(first), first);
        let fault = Fault::at(first).effect(Effect::Halt);
        if !work_until(&mut base, fault, &format!("crash at operation {first}")) {
            return;
        }
        base.crash(CrashMode::Subset, true);
        for m in 1.. {
            let mode = CrashMode::ALL[(first + m) as usize % CrashMode::ALL.len()];
            let context = format!("crash at operation {first}, again at {m} of recovery, {mode:?}");
            let mut harness = base.fork(first * 1000 + m);
            let fault = harness.disk.inject(Fault::at(m).effect(Effect::Halt));
            let recovered = harness.reopen().and_then(|()| harness.checkpoint());
            if harness.disk.fired_by(fault) == 0 {
                assert!(recovered.is_ok(), "{context}: fails without a fault: {recovered:?}");
                break;
            }
            harness.crash(mode, false);
            // A third crash, in the middle of the second recovery.
            harness.disk.halt_after(m / 2);
            drop(harness.reopen());
            harness.crash(CrashMode::Torn, false);
            recovers(&mut harness, &context);
        }
    }
}

/// A checkpoint makes everything applied durable without the log: after a power failure the engine
/// opens at that commit, and no replay is needed.
pub fn checkpoints_free_the_log<E: Engine>() {
    let mut harness = Harness::<E>::new(82);
    let mut workload = Workload::new(82, Mix::default());
    for round in 0..8 {
        harness.upkeep = [Upkeep::None, Upkeep::Maintain][round % 2];
        workload.run(&mut harness, 9 * round).expect("a healthy engine works");
        let durable = harness.checkpoint().expect("a healthy engine checkpoints");
        assert_eq!(durable, harness.last(), "round {round}: everything applied is durable");
        harness.crash(CrashMode::LoseAll, true);
        harness.open().expect("a crashed engine opens");
        assert_eq!(harness.engine().durable(), durable, "round {round}: durable() after a crash");
        harness.check_whole(&format!("round {round}, without replay"));
    }
}
