//! A device that lies: lost, misdirected and half-zeroed writes, misdirected reads; and a system that
//! opens no more files.
//!
//! Nobody is told when these strike. What holds: an answer is right or an error, work on top of the
//! damage does not make it look sound, and `verify` finds what a reader would meet.

use driftdb_env::IoOp;
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};
use driftdb_storage::{Commit, Engine, ErrorKind, Result, StorageError};

use super::compare::{Tolerance, compare};
use super::crashes::{MOST_OPERATIONS, recovers, work};
use super::damage::{Noticed, inspect};
use super::harness::{Harness, Upkeep};
use super::model::Model;
use super::workload::{Mix, Workload};

/// The n-th write is lost, for every n.
pub fn a_lost_write_is_never_believed<E: Engine>() {
    every_write_goes_wrong::<E>(Effect::LoseWrite);
}

/// The n-th write lands at another place of its file, for every n.
pub fn a_misdirected_write_is_never_believed<E: Engine>() {
    every_write_goes_wrong::<E>(Effect::MisdirectWrite);
}

/// The n-th write leaves a sector of zeroes, for every n.
pub fn a_zeroed_sector_is_never_believed<E: Engine>() {
    every_write_goes_wrong::<E>(Effect::ZeroSector);
}

fn every_write_goes_wrong<E: Engine>(effect: Effect) {
    let mut noticed = 0u64;
    for n in 1..MOST_OPERATIONS {
        let context = format!("write {n} meets {effect:?}");
        let mut harness = Harness::<E>::closed(SimDisk::new(n), n);
        let fault = harness.disk.inject(Fault::at(n).on(&[IoOp::Write]).effect(effect));
        let worked = work(&mut harness);
        if harness.disk.fired_by(fault) == 0 {
            assert!(worked.is_ok(), "{context}: fails without a fault: {worked:?}");
            assert!(n > 1, "an engine with files writes");
            // Most of what is written early is written anew later, unread.
            assert!(noticed * 8 > n, "only {noticed} of {n} were noticed at all");
            return;
        }
        is_clear(&worked, &context);
        let durable = live(&harness, &context);
        harness.disk.clear_faults();
        harness.close();
        let seen = inspect(harness, durable, &context);
        noticed += u64::from(worked.is_err() || seen != Noticed::Nowhere);
    }
    panic!("the workload does more than {MOST_OPERATIONS} writes");
}

/// The n-th read brings what stands elsewhere, for every n. The device itself is unharmed: after a
/// restart everything is there, and nothing wrong was written from what was read.
pub fn a_misdirected_read_is_never_believed<E: Engine>() {
    for n in 1..MOST_OPERATIONS {
        let context = format!("read {n} is misdirected");
        let mut harness = Harness::<E>::closed(SimDisk::new(n), n);
        let fault = Fault::at(n).on(&[IoOp::Read]).effect(Effect::MisdirectRead);
        let fault = harness.disk.inject(fault);
        let worked = read_and_work(&mut harness, &context);
        let struck = harness.disk.fired_by(fault) > 0;
        is_clear(&worked, &context);
        live(&harness, &context);
        harness.crash(CrashMode::Process, false);
        recovers(&mut harness, &context);
        if !struck {
            assert!(worked.is_ok(), "{context}: fails without a fault: {worked:?}");
            assert!(n > 1, "an engine with files reads");
            return;
        }
    }
    panic!("the workload does more than {MOST_OPERATIONS} reads");
}

/// Work, open again, read everything, work on: reads of every kind.
fn read_and_work<E: Engine>(harness: &mut Harness<E>, context: &str) -> Result<()> {
    work(harness)?;
    harness.reopen()?;
    live(harness, context);
    Workload::after(151, Mix::default(), &Model::of(&harness.log)).run(harness, 14)
}

/// Damage that was met, or what stopped the engine because of it: nothing else is a reason to fail.
fn is_clear<T: std::fmt::Debug>(result: &Result<T>, context: &str) {
    let clear = match result {
        Ok(_) => true,
        Err(StorageError::Poisoned { .. }) => true,
        Err(error) => matches!(error.kind(), ErrorKind::Corruption | ErrorKind::Invalid),
    };
    assert!(clear, "{context}: reported as {result:?}");
}

/// What the open engine shows is right or an error. Returns what it is durable up to.
fn live<E: Engine>(harness: &Harness<E>, context: &str) -> Commit {
    if !harness.is_open() {
        return Commit::default();
    }
    let model = Model::of(&harness.log);
    let snapshot = harness.engine().snapshot();
    if let Err(wrong) = compare(&snapshot, &model, &harness.policy, Tolerance::Faulty) {
        panic!("{context}: the live engine: {wrong}");
    }
    harness.engine().durable()
}

/// However few files the system lets it open: the engine says so or works, shows nothing wrong
/// meanwhile, and once it may open files again, everything is there.
pub fn too_few_handles_lose_nothing<E: Engine>() {
    let mut refused = 0;
    for limit in 0..12 {
        for starts_limited in [true, false] {
            let context = format!("{limit} files may be open, at the start {starts_limited}");
            let mut harness = Harness::<E>::closed(SimDisk::new(limit), limit);
            harness.upkeep = Upkeep::Checkpoint(12);
            let mut workload = Workload::new(152, Mix::default());
            if !starts_limited {
                harness.open().expect("an empty directory opens");
                workload.run(&mut harness, 30).expect("a healthy engine works");
            }
            harness.disk.set_handle_limit(Some(limit as usize));
            let opened = if starts_limited { harness.open() } else { Ok(()) };
            let worked = opened.and_then(|()| workload.run(&mut harness, 60));
            let honest =
                matches!(worked, Ok(()) | Err(StorageError::Io(_) | StorageError::Poisoned { .. }));
            assert!(honest, "{context}: reported as {worked:?}");
            live(&harness, &context);
            // A restart while the limit stands: it opens, or says why not.
            harness.crash(CrashMode::Process, false);
            let reopened = harness.reopen();
            let honest = matches!(reopened, Ok(()) | Err(StorageError::Io(_)));
            assert!(honest, "{context}: opened again with {reopened:?}");
            live(&harness, &context);
            refused += harness.disk.fired().opens_refused;
            harness.disk.set_handle_limit(None);
            harness.crash(CrashMode::Process, false);
            recovers(&mut harness, &context);
        }
    }
    assert!(refused > 2, "the limit was met {refused} times only");
}
