//! Backups: the copy answers like the original, the original does not notice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use driftdb_sim_disk::{CrashMode, Effect, Fault, sim_env};
use driftdb_storage::{Engine, ErrorKind};

use super::compare::{Tolerance, compare};
use super::crashes::MOST_OPERATIONS;
use super::harness::{Harness, Upkeep, directory};
use super::model::Model;
use super::workload::{Mix, Workload};

const COPY: &str = "/data/copy";

/// An engine with data in files and some in memory only.
fn original<E: Engine>(seed: u64) -> Harness<E> {
    let mut harness = Harness::<E>::new(seed);
    harness.upkeep = Upkeep::Checkpoint(14);
    let mut workload = Workload::new(seed, Mix::default());
    workload.run(&mut harness, 60).expect("a healthy engine works");
    harness
}

/// The engine's own files.
fn files<E: Engine>(harness: &Harness<E>) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let own = harness.disk.files().into_iter().filter(|path| path.starts_with(directory()));
    own.map(|path| (path.clone(), harness.disk.read_file(&path))).collect()
}

fn copy_answers_the_same<E: Engine>(harness: &Harness<E>, dir: &str, context: &str) {
    let env = sim_env(&harness.disk, 1);
    let copy = E::open(&env, Path::new(dir), &harness.options).expect("a backup opens");
    copy.set_retention(harness.policy.clone());
    let upto: Vec<_> =
        harness.log.iter().filter(|(at, _)| *at <= copy.durable()).cloned().collect();
    for (model, is_replayed) in [(Model::of(&upto), false), (Model::of(&harness.log), true)] {
        if is_replayed {
            for (at, batch) in &harness.log {
                copy.apply(batch, *at).expect("a backup takes what the log holds");
            }
        }
        let compared = compare(&copy.snapshot(), &model, &harness.policy, Tolerance::Strict);
        assert!(compared.is_ok(), "{context}, replayed {is_replayed}: {compared:?}");
    }
}

/// A copy, and a copy on top of it after more work, survive a power failure and answer the same up
/// to the commit that the report names; the files of the original are as before.
pub fn a_backup_answers_the_same<E: Engine>() {
    let mut harness = original::<E>(120);
    for (round, dir) in ["/data/one", "/data/two", "/data/three"].into_iter().enumerate() {
        let before = files(&harness);
        let base = [None, Some("/data/one"), Some("/data/two")][round].map(Path::new);
        let report = harness.engine().backup(Path::new(dir), base).expect("a backup succeeds");
        assert_eq!(report.at, harness.engine().durable(), "round {round}");
        assert!(report.copied_bytes + report.linked_bytes > 0, "round {round}: {report:?}");
        assert!(files(&harness) == before, "round {round}: the original's files changed");
        let again = harness.engine().backup(Path::new(dir), None);
        assert!(again.is_err(), "round {round}: a backup over a backup gives {again:?}");
        harness.check_whole(&format!("round {round}, the original"));
        let mut workload = Workload::after(round as u64, Mix::default(), &Model::of(&harness.log));
        workload.run(&mut harness, 30).expect("a healthy engine works after a backup");
        harness.crash(CrashMode::LoseAll, false);
        copy_answers_the_same(&harness, dir, &format!("round {round}"));
        harness.reopen().expect("a crashed engine reopens");
    }
}

/// Each operation of a backup fails once, for want of space or otherwise: the original works on, and
/// the directory is free for another try. And the machine stops there: the original recovers.
pub fn a_failed_backup_leaves_the_original<E: Engine>() {
    let mut base = original::<E>(121);
    base.close();
    for n in 1..MOST_OPERATIONS {
        let full = Effect::Error(std::io::ErrorKind::StorageFull);
        let mut struck = false;
        for effect in [full, Effect::Error(std::io::ErrorKind::Other), Effect::Halt] {
            let context = format!("operation {n} of a backup meets {effect:?}");
            let mut harness = base.fork(n);
            harness.reopen().expect("a closed engine reopens");
            let halts = matches!(effect, Effect::Halt);
            let fault = harness.disk.inject(Fault::at(n).effect(effect));
            let outcome = harness.engine().backup(Path::new(COPY), None);
            struck |= harness.disk.fired_by(fault) > 0;
            harness.disk.clear_faults();
            if halts {
                harness.crash(CrashMode::ALL[n as usize % CrashMode::ALL.len()], false);
                harness.reopen().expect("a crashed engine reopens");
            } else if let Err(error) = outcome {
                assert_ne!(error.kind(), ErrorKind::Corruption, "{context}: {error}");
                let again = harness.engine().backup(Path::new(COPY), None);
                assert!(again.is_ok(), "{context}: another try gives {again:?}");
                copy_answers_the_same(&harness, COPY, &context);
            }
            harness.check_whole(&context);
            harness.checkpoint().expect("the original works on");
        }
        if !struck {
            assert!(n > 3, "a backup does I/O");
            return;
        }
    }
    panic!("a backup does more than {MOST_OPERATIONS} operations");
}
