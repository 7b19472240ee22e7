//! Failing I/O: an error or the right data, and after an error never a lie.

use std::io::ErrorKind as IoErrorKind;

use driftdb_env::IoOp;
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};
use driftdb_storage::{
    Cursor, Engine, KeyRange, Result, ScanSpec, Snapshot, StorageError, Timestamp, Visible,
    WriteBatch,
};

use super::compare::{Tolerance, compare, difference, entry, scan};
use super::crashes::{MOST_OPERATIONS, recovers, work};
use super::harness::{Harness, SPACE, Upkeep};
use super::model::Model;
use super::workload::{Mix, Workload};

/// Every n-th operation fails, once and for ever: what was asked either worked or is an error,
/// reads stay right or fail, a poisoned engine refuses, and after reopening everything is there.
pub fn a_failed_operation_never_changes_data<E: Engine>() {
    for n in 1..MOST_OPERATIONS {
        let kind = if n % 4 == 0 { IoErrorKind::StorageFull } else { IoErrorKind::Other };
        let once = Fault::at(n).effect(Effect::Error(kind));
        if !survives::<E>(once, n, &format!("operation {n} fails once ({kind:?})")) {
            assert!(n > 1, "an engine with files does I/O");
            return;
        }
        if n % 5 == 0 {
            let for_ever = Fault::from(n).effect(Effect::Error(kind));
            survives::<E>(for_ever, n, &format!("operations fail from {n} on ({kind:?})"));
        }
    }
    panic!("the workload does more than {MOST_OPERATIONS} operations");
}

/// The k-th sync fails and loses what it should have saved, for every k; later syncs succeed.
pub fn a_failed_sync_is_never_trusted<E: Engine>() {
    for k in 1..MOST_OPERATIONS {
        let fault = Fault::at(k).on(&[IoOp::Sync, IoOp::SyncDir]).effect(Effect::LoseDirty);
        if !survives::<E>(fault, k, &format!("sync {k} fails and loses pages")) {
            assert!(k > 1, "an engine with files syncs");
            return;
        }
    }
    panic!("the workload does more than {MOST_OPERATIONS} syncs");
}

/// Works until the fault strikes, looks at the live engine, crashes, recovers. False if the fault
/// never struck.
fn survives<E: Engine>(fault: Fault, n: u64, context: &str) -> bool {
    let mut harness = Harness::<E>::closed(SimDisk::new(n), n);
    let fault = harness.disk.inject(fault);
    let worked = work(&mut harness);
    if harness.disk.fired_by(fault) == 0 {
        assert!(worked.is_ok(), "{context}: fails without a fault: {worked:?}");
        return false;
    }
    is_honest(&worked, context);
    if harness.is_open() {
        live_reads_are_right(&harness, context);
        poison_is_for_good(&mut harness, context);
        if n.is_multiple_of(4) {
            live_reads_are_right(&harness, context);
        }
    }
    // The first crash mode keeps the machine up: a restart of the process only.
    let mode = CrashMode::ALL[n as usize % CrashMode::ALL.len()];
    harness.crash(mode, !n.is_multiple_of(3));
    recovers(&mut harness, &format!("{context}, then {mode:?}"));
    true
}

/// A failed operation is reported as such: not as damage, not as our mistake.
fn is_honest<T: std::fmt::Debug>(result: &Result<T>, context: &str) {
    let honest = matches!(result, Ok(_) | Err(StorageError::Io(_) | StorageError::Poisoned { .. }));
    assert!(honest, "{context}: reported as {result:?}");
}

fn live_reads_are_right<E: Engine>(harness: &Harness<E>, context: &str) {
    let model = Model::of(&harness.log);
    let snapshot = harness.engine().snapshot();
    if let Err(wrong) = compare(&snapshot, &model, &harness.policy, Tolerance::Faulty) {
        panic!("{context}: the live engine: {wrong}");
    }
}

/// Either the engine undid the failed step and works, or it refuses everything until reopened.
fn poison_is_for_good<E: Engine>(harness: &mut Harness<E>, context: &str) {
    harness.upkeep = Upkeep::None;
    if !harness.log.is_empty() && harness.engine().applied() < harness.last() {
        // The batch on which the fault struck is in the log and not applied: nothing can follow it.
        return;
    }
    let is_poisoned = |error: &StorageError| matches!(error, StorageError::Poisoned { .. });
    let mut batch = WriteBatch::new();
    if !harness.log.is_empty() {
        batch.put(SPACE, b"after the fault", b"value");
    }
    let first = harness.commit(batch.clone());
    is_honest(&first, context);
    if first.as_ref().is_err_and(is_poisoned) {
        for _ in 0..2 {
            let (maintained, checkpointed) = (harness.maintain(), harness.checkpoint());
            let applied = harness.engine().apply(&batch, harness.last());
            assert!(maintained.is_err_and(|e| is_poisoned(&e)), "{context}: maintain goes on");
            assert!(checkpointed.is_err_and(|e| is_poisoned(&e)), "{context}: checkpoint goes on");
            assert!(applied.is_err_and(|e| is_poisoned(&e)), "{context}: apply goes on");
        }
    } else {
        is_honest(&harness.checkpoint(), context);
    }
}

/// Without space, old data stays readable; when space returns, the engine works again, at the
/// latest when reopened.
pub fn a_full_disk_keeps_old_data<E: Engine>() {
    for step in 0..30u64 {
        let context = format!("{} bytes of free space", step * 300);
        let mut harness = Harness::<E>::new(step);
        harness.upkeep = Upkeep::Checkpoint(12);
        let mut workload = Workload::new(step, Mix { turnover: 0, large: 20, keys: 80, ranges: 0 });
        workload.run(&mut harness, 30).expect("a healthy engine works");
        harness.disk.set_capacity(Some(harness.disk.used_bytes() + step * 300));
        let filled = workload.run(&mut harness, 400);
        assert!(harness.disk.fired().disk_full > 0, "{context}: 400 commits fit");
        is_honest(&filled, &context);
        let model = Model::of(&harness.log);
        let snapshot = harness.engine().snapshot();
        if let Err(wrong) = compare(&snapshot, &model, &harness.policy, Tolerance::Strict) {
            panic!("{context}: while the disk is full: {wrong}");
        }
        drop(snapshot);
        if step % 2 == 0 {
            // A restart while it is still full: it opens, or says why not; it never makes it worse.
            harness.crash(CrashMode::Process, false);
            let reopened = harness.reopen();
            is_honest(&reopened, &format!("{context}: reopened while full"));
        }
        harness.disk.set_capacity(None);
        let resumed = if harness.is_open() { harness.checkpoint().is_ok() } else { false };
        if resumed && harness.engine().applied() == harness.last() {
            harness.check_whole(&format!("{context}: space returned"));
        }
        harness.crash(CrashMode::LoseAll, step % 3 == 0);
        recovers(&mut harness, &format!("{context}: reopened with space"));
    }
}

/// After a failed read, a cursor gives the same error until it is sought again; before it, and
/// after the seek, it shows what is there.
pub fn cursor_errors_are_sticky<E: Engine>() {
    let mut base = Harness::<E>::new(92);
    base.upkeep = Upkeep::Checkpoint(20);
    let mut workload = Workload::new(92, Mix { turnover: 0, large: 10, keys: 120, ranges: 0 });
    workload.run(&mut base, 150).expect("a healthy engine works");
    base.checkpoint().expect("a healthy engine checkpoints");
    base.close();
    for reverse in [false, true] {
        for visible in [Visible::AsOf(Timestamp::MAX), Visible::All] {
            let mut struck = 0;
            for n in 1..400 {
                let context = format!("read {n} fails, {visible:?}, reverse {reverse}");
                if !one_sticky_error(&mut base, n, visible, reverse, &context) {
                    break;
                }
                struck += 1;
            }
            assert!(struck > 2, "{visible:?}: a cold scan of 150 commits reads the disk");
        }
    }
}

/// False if the scan ended before the n-th read.
fn one_sticky_error<E: Engine>(
    base: &mut Harness<E>,
    n: u64,
    visible: Visible,
    reverse: bool,
    context: &str,
) -> bool {
    let mut harness = base.fork(n);
    harness.reopen().expect("a closed engine reopens");
    let snapshot = harness.engine().snapshot();
    let fault = harness.disk.inject(Fault::at(n).on(&[IoOp::Read]));
    let spec = ScanSpec { range: KeyRange::ALL, visible, reverse };
    let mut shown = Vec::new();
    let mut failed = None;
    let mut cursor = match snapshot.cursor(SPACE, &spec) {
        Ok(cursor) => cursor,
        Err(error) => {
            is_honest::<()>(&Err(error), context);
            return true;
        }
    };
    loop {
        match cursor.next() {
            Ok(true) => shown.push(entry(&cursor)),
            Ok(false) => break,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let struck = harness.disk.fired_by(fault) > 0;
    harness.disk.clear_faults();
    if let Some(error) = failed {
        for _ in 0..3 {
            let again = cursor.next().expect_err("an error stays until the next seek");
            assert_eq!(again.to_string(), error.to_string(), "{context}");
        }
        is_honest::<()>(&Err(error), context);
        cursor.seek(if reverse { &[0xff; 200] } else { b"" }).expect("the disk is well again");
        let before = std::mem::take(&mut shown);
        while cursor.next().expect("the disk is well again") {
            shown.push(entry(&cursor));
        }
        assert!(shown.starts_with(&before), "{context}: entries before the error were wrong");
    }
    let expected = scan(&snapshot, SPACE, visible, reverse).expect("the disk is well again");
    if let Some(wrong) = difference(&shown, &expected) {
        panic!("{context}: the scan {wrong}");
    }
    if n.is_multiple_of(16) {
        harness.check(context);
    }
    struck
}

/// When the log cannot promise durability, nothing that depends on it becomes durable.
pub fn engines_never_run_ahead_of_the_log<E: Engine>() {
    for count in (1..60).step_by(4) {
        let context = format!("the log refuses after {count} commits");
        let mut harness = Harness::<E>::new(count as u64);
        harness.upkeep = Upkeep::Checkpoint(10);
        let mut workload = Workload::new(93, Mix::default());
        workload.run(&mut harness, count).expect("a healthy engine works");
        let (durable, granted) = (harness.engine().durable(), harness.granted());
        assert!(durable.lsn <= granted, "{context}: durable beyond the log");
        harness.upkeep = Upkeep::None;
        harness.refuse_barrier(true);
        workload.run(&mut harness, 25).expect("memory takes writes while the log is stuck");
        drop(harness.maintain());
        let checkpoint = harness.checkpoint();
        assert!(checkpoint.is_err(), "{context}: a checkpoint without the log: {checkpoint:?}");
        assert_eq!(harness.engine().durable(), durable, "{context}: durable() moved");
        live_reads_are_right(&harness, &context);
        harness.crash(CrashMode::KeepAll, true);
        recovers(&mut harness, &context);
    }
}
