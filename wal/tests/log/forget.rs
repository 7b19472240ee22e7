//! Forgetting: not a byte of a record stays in the directory.

use driftdb_env::{FileKind, OpenHow};
use driftdb_sim_disk::{CrashMode, Effect, Fault};
use driftdb_storage::Lsn;
use driftdb_wal::Wal;

use super::harness::{Scratch, commit, records};

const MARKER: &[u8] = b"~forget-me-19c3~";

fn files_with_marker(scratch: &Scratch) -> Vec<String> {
    let holds = |path: &std::path::PathBuf| {
        let file =
            scratch.env.disk().open(path, OpenHow::Read, FileKind::Log).expect("a healthy disk");
        let mut bytes = vec![0; file.len().expect("a healthy disk") as usize];
        file.read_at(0, &mut bytes).expect("a healthy disk");
        bytes.windows(MARKER.len()).any(|window| window == MARKER)
    };
    scratch.files("").into_iter().filter(holds).map(|path| path.display().to_string()).collect()
}

/// Marked records all over, in segments that were used before, in spares and in one prepared.
fn fill(scratch: &Scratch, wal: &Wal, rounds: usize) {
    for round in 0..rounds {
        let mut last = Lsn(0);
        for _ in 0..20 {
            last = commit(wal, &MARKER.repeat(20 + round % 7));
        }
        if round % 3 == 1 {
            wal.release_before(last).expect("a healthy disk");
        }
    }
    assert!(!files_with_marker(scratch).is_empty());
}

fn forget(wal: &Wal) -> driftdb_storage::Result<Lsn> {
    wal.begin_afresh()?;
    let end = wal.append(&[b"after"])?;
    wal.wait_durable(end)?;
    assert!(wal.forget_before(end)?);
    Ok(end)
}

#[test]
fn what_is_forgotten_is_in_no_file() {
    for rounds in 1..12 {
        let scratch = Scratch::new();
        let wal = scratch.open();
        fill(&scratch, &wal, rounds);
        let end = forget(&wal).expect("a healthy disk");
        assert_eq!(files_with_marker(&scratch), [""; 0], "{rounds} rounds");
        let more = (0..60).fold(end, |_, _| commit(&wal, &[7; 300]));
        wal.release_before(more).expect("a healthy disk");
        assert!(!scratch.files(".spare").is_empty(), "afterwards files are used again");
        drop(wal);
        let wal = scratch.open();
        assert!(wal.tail() >= end);
        commit(&wal, b"more");
        assert_eq!(files_with_marker(&scratch), [""; 0], "{rounds} rounds, later");
        assert_eq!(scratch.verify(), []);
    }
}

#[test]
fn a_new_log_and_an_empty_segment_can_begin_afresh() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let first = forget(&wal).expect("a healthy disk");
    wal.begin_afresh().expect("a healthy disk");
    wal.begin_afresh().expect("a healthy disk");
    let second = commit(&wal, b"again");
    assert!(wal.forget_before(second).expect("a healthy disk"));
    drop(wal);
    let wal = scratch.open();
    assert_eq!(records(&wal, first), [(second, b"again".to_vec())]);
}

#[test]
fn a_reader_is_waited_for() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    fill(&scratch, &wal, 3);
    let from = wal.tail();
    commit(&wal, MARKER);
    let reader = wal.reader(from).expect("a healthy disk");
    wal.begin_afresh().expect("a healthy disk");
    let end = commit(&wal, b"after");
    assert!(!wal.forget_before(end).expect("a healthy disk"), "a reader pins the segment before");
    drop(reader);
    assert!(wal.forget_before(end).expect("a healthy disk"));
    assert_eq!(files_with_marker(&scratch), [""; 0]);
}

#[test]
fn a_crash_anywhere_leaves_a_log_that_can_forget() {
    for n in 1..200 {
        let scratch = Scratch::new();
        let wal = scratch.open();
        fill(&scratch, &wal, 5);
        let before = wal.tail();
        let fault = scratch.disk.inject(Fault::at(n).effect(Effect::Halt));
        let forgotten = forget(&wal);
        if scratch.disk.fired_by(fault) == 0 {
            forgotten.expect("a healthy disk");
            assert!(n > 5);
            return;
        }
        scratch.disk.crash_with(CrashMode::ALL[n as usize % CrashMode::ALL.len()]);
        drop(wal);
        scratch.disk.clear_faults();
        let wal = scratch.open();
        assert!(wal.tail() >= before, "crash at {n}: acknowledged records are there");
        forget(&wal).expect("a healthy disk");
        assert_eq!(files_with_marker(&scratch), [""; 0], "crash at {n}");
        drop(wal);
        assert_eq!(scratch.verify(), []);
    }
    panic!("forgetting comes to no end");
}
