//! Crashes at every operation of the disk, also during recovery, in every mode.

use driftdb_env::{IoOp, Rng, planted};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};
use driftdb_storage::Lsn;

use super::harness::{Model, Scratch, commit, records};

/// Works until the disk stops or fails, crashes, opens again (with crashes meanwhile), works on,
/// crashes, opens again. Whether the fault struck, and what was wrong.
fn run(seed: u64, fault: Fault, mode: CrashMode) -> (bool, Result<(), String>) {
    let disk = SimDisk::new(seed);
    let scratch = Scratch::on(disk.clone());
    let mut rng = Rng::seeded(seed);
    let mut model = Model::default();
    let fault = disk.inject(fault);
    // Whatever this returns: the fault stopped it, or it is done.
    drop(scratch.try_open().and_then(|wal| model.work(&wal, &mut rng, 40)));
    let struck = disk.fired_by(fault) > 0;
    disk.clear_faults();
    disk.crash_with(mode);
    let mut rest = || {
        for stop_after in [3, 7, 12] {
            disk.halt_after(stop_after + rng.below(4));
            drop(scratch.try_open());
            disk.clear_faults();
            disk.crash_with(mode);
        }
        for _ in 0..2 {
            let wal = scratch.try_open().map_err(|error| error.to_string())?;
            model.check(&wal)?;
            model.work(&wal, &mut rng, 20).map_err(|error| error.to_string())?;
            drop(wal);
            disk.crash();
        }
        let wal = scratch.try_open().map_err(|error| error.to_string())?;
        model.check(&wal)
    };
    (struck, rest())
}

/// Strikes the n-th operation for every n; the first thing found wrong.
fn sweep(fault: impl Fn(u64) -> Fault, modes: &[CrashMode], seeds: u64) -> Result<u64, String> {
    let mut runs = 0;
    for seed in 0..seeds {
        for &mode in modes {
            for n in 1.. {
                let (struck, result) = run(seed, fault(n), mode);
                result.map_err(|error| format!("seed {seed}, {mode:?}, operation {n}: {error}"))?;
                runs += 1;
                if !struck {
                    break;
                }
            }
        }
    }
    Ok(runs)
}

#[test]
fn a_stop_at_any_operation_loses_nothing_acknowledged() {
    let runs = sweep(|n| Fault::at(n).effect(Effect::Halt), &CrashMode::ALL, 2).unwrap();
    assert!(runs > 500, "{runs}");
}

#[test]
fn an_error_of_any_operation_loses_nothing_acknowledged() {
    let error = Effect::Error(std::io::ErrorKind::Other);
    sweep(|n| Fault::at(n).effect(error), &CrashMode::ALL, 1).unwrap();
}

#[test]
fn a_failed_sync_that_drops_pages_loses_nothing_acknowledged() {
    let fault = |n| Fault::at(n).on(&[IoOp::Sync]).effect(Effect::LoseDirty);
    sweep(fault, &CrashMode::ALL, 3).unwrap();
}

#[test]
fn a_bit_flipped_on_the_way_in_is_not_the_end() {
    let fault = |n| Fault::at(n).on(&[IoOp::Read]).effect(Effect::FlipRead);
    for seed in 0..3 {
        let scratch = Scratch::on(SimDisk::new(seed));
        let mut model = Model::default();
        model.work(&scratch.open(), &mut Rng::seeded(seed), 40).unwrap();
        scratch.disk.crash();
        for n in 1.. {
            let again = scratch.fork();
            let id = again.disk.inject(fault(n));
            let wal = again.open();
            let mut copy = Model {
                appended: model.appended.clone(),
                acknowledged_count: model.acknowledged_count,
                released: model.released,
            };
            copy.check(&wal).unwrap();
            if again.disk.fired_by(id) == 0 {
                break;
            }
        }
    }
}

#[test]
fn an_unreadable_log_is_an_error_and_not_the_end() {
    let scratch = Scratch::new();
    let mut model = Model::default();
    model.work(&scratch.open(), &mut Rng::seeded(1), 40).unwrap();
    for n in 1.. {
        let again = scratch.fork();
        let id = again.disk.inject(Fault::at(n).on(&[IoOp::Read]));
        let opened = again.try_open();
        if again.disk.fired_by(id) == 0 {
            break;
        }
        assert!(opened.is_err(), "read {n}");
    }
}

#[test]
fn a_name_that_was_never_synced_is_synced_before_it_is_relied_on() {
    let scratch = Scratch::new();
    // The process dies between the first segment's rename and the directory's sync.
    scratch.disk.inject(Fault::at(1).on(&[IoOp::SyncDir]).effect(Effect::Halt));
    scratch.try_open().unwrap_err();
    scratch.disk.clear_faults();
    scratch.disk.crash_with(CrashMode::Process);
    let wal = scratch.open();
    let end = commit(&wal, b"kept");
    drop(wal);
    scratch.disk.crash_with(CrashMode::LoseAll);
    assert_eq!(records(&scratch.open(), Lsn(0)), [(end, b"kept".to_vec())]);
}

/// The sweeps find each planted bug: they would find its like.
#[test]
fn planted_bugs_are_found() {
    let halt = |n| Fault::at(n).effect(Effect::Halt);
    let lose = |n| Fault::at(n).on(&[IoOp::Sync]).effect(Effect::LoseDirty);
    let modes = [CrashMode::LoseAll, CrashMode::Torn];
    let found = |bug, fault: &dyn Fn(u64) -> Fault| {
        planted::activate(Some(bug));
        let found = sweep(fault, &modes, 20);
        planted::activate(None);
        assert!(found.is_err(), "{bug} was not found");
    };
    found("wal.ack-before-sync", &halt);
    found("wal.sync-error-swallowed", &lose);
    found("wal.checksum-not-checked", &halt);
    found("wal.append-after-torn-tail", &halt);
}
