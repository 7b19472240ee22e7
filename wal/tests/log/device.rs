//! Devices that report success and did something else: refused or the truth, never other records.

use std::path::Path;

use driftdb_env::{FileKind, IoOp};
use driftdb_sim_disk::{Effect, Fault, SimDisk};
use driftdb_storage::{ErrorKind, Lsn, Result};
use driftdb_wal::Wal;

use super::harness::{DIR, Records, Scratch, commit, try_records};

const RECORD_COUNT: u64 = 50;

/// Commits records, each its own write; the device misdoes the `nth` of those to files of the log
/// from now on. Returns the log's files and what was acknowledged.
fn committed_over(effect: Effect, nth: u64, seed: u64) -> (Scratch, Records) {
    let scratch = Scratch::on(SimDisk::new(seed));
    let wal = scratch.open();
    let rule = Fault::at(nth).on(&[IoOp::Write]).kind(FileKind::Log).effect(effect);
    let fault = scratch.disk.inject(rule);
    let record = |index: u64| {
        let payload = vec![index as u8 + 1; 50 + 3 * index as usize];
        (commit(&wal, &payload), payload)
    };
    let expected = (0..RECORD_COUNT).map(record).collect();
    assert_eq!(scratch.disk.fired_by(fault), 1);
    scratch.disk.clear_faults();
    (scratch, expected)
}

fn reopened(scratch: &Scratch, is_replay: bool) -> Result<Records> {
    let wal = match is_replay {
        true => Wal::open_to_replay(&scratch.env, Path::new(DIR), &scratch.options)?,
        false => scratch.try_open()?,
    };
    try_records(&wal, Lsn(0))
}

#[test]
fn what_the_device_misdid_is_refused_unless_it_was_the_last_group() {
    for effect in [Effect::LoseWrite, Effect::ZeroSector, Effect::MisdirectWrite] {
        let mut refused = 0;
        for nth in 1..=RECORD_COUNT {
            for is_replay in [false, true] {
                let (scratch, expected) = committed_over(effect, nth, nth);
                match reopened(&scratch, is_replay) {
                    // Nothing vouches for the last record. And a write may have hit zeroes that stood in for
                    // zeroes: a prepared segment, the spare end of one.
                    Ok(found) => {
                        let missing = expected.len() - found.len();
                        assert!(missing <= 1, "{effect:?} {nth}: {missing} records missing");
                        assert_eq!(found, expected[..found.len()], "{effect:?} {nth}");
                    }
                    Err(error) => {
                        assert_eq!(
                            error.kind(),
                            ErrorKind::Corruption,
                            "{effect:?} {nth}: {error}"
                        );
                        assert_ne!(scratch.verify(), [], "{effect:?} {nth}");
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > 60, "{effect:?}: {refused} of {} refused", 2 * RECORD_COUNT);
    }
}

#[test]
fn a_read_from_elsewhere_is_read_again() {
    let (scratch, expected) = {
        let scratch = Scratch::new();
        let wal = scratch.open();
        let record = |index: u8| (commit(&wal, &[index; 100]), vec![index; 100]);
        let expected: Records = (0..60).map(record).collect();
        drop(wal);
        (scratch, expected)
    };
    let mut runs = 0;
    for nth in 1.. {
        for is_replay in [false, true] {
            let again = scratch.fork();
            let rule = Fault::at(nth).on(&[IoOp::Read]).path(".wal").effect(Effect::MisdirectRead);
            let fault = again.disk.inject(rule);
            assert_eq!(reopened(&again, is_replay).unwrap(), expected, "read {nth}");
            if again.disk.fired_by(fault) == 0 {
                assert!(runs > 20, "{runs}");
                return;
            }
            runs += 1;
        }
    }
}
