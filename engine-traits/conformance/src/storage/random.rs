//! Random histories against the model, and the same history twice.

use std::collections::BTreeMap;

use driftdb_env::Rng;
use driftdb_sim_disk::CrashMode;
use driftdb_storage::{Engine, Retention, RetentionPolicy, Timestamp};

use super::compare::{Tolerance, compare};
use super::harness::{Harness, Upkeep};
use super::model::Model;
use super::workload::{Mix, Workload};

/// Any mix of commits, maintenance, checkpoints, held snapshots, moves of retention, reopens and
/// crashes gives what the model gives.
pub fn any_history_agrees_with_the_model<E: Engine>() {
    for seed in 0..8 {
        any_history::<E>(seed);
    }
}

fn any_history<E: Engine>(seed: u64) {
    let mut rng = Rng::stream(seed, "history");
    let mut harness = Harness::<E>::new(seed);
    let mix = Mix {
        turnover: rng.below(8),
        large: rng.below(12),
        keys: 5 + rng.below(150),
        ranges: rng.below(10),
    };
    let mut workload = Workload::new(seed, mix);
    let mut held: Vec<(E::Snapshot, Model, RetentionPolicy)> = Vec::new();
    for step in 0..60 {
        let context = format!("seed {seed}, step {step}");
        harness.upkeep = [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(9)][rng.index(3)];
        let count = 1 + rng.index(12);
        workload.run(&mut harness, count).expect("a healthy engine works");
        match rng.below(10) {
            0 => {
                let snapshot = harness.engine().snapshot();
                held.push((snapshot, Model::of(&harness.log), (*harness.policy).clone()));
            }
            1 => harness.maintain().expect("a healthy engine maintains"),
            2 => drop(harness.checkpoint().expect("a healthy engine checkpoints")),
            3 => narrow(&mut harness, &mut rng),
            4 => harness.check(&context),
            5 => {
                held.clear();
                harness.reopen().expect("a closed engine reopens");
                harness.check_whole(&context);
            }
            6 if rng.chance(1, 2) => {
                held.clear();
                let mode = CrashMode::ALL[rng.index(CrashMode::ALL.len())];
                harness.crash(mode, false);
                harness.reopen().expect("a crashed engine reopens");
                harness.check_whole(&format!("{context}, {mode:?}"));
            }
            _ => {}
        }
        if step % 10 == 9 {
            for (snapshot, model, policy) in &held {
                if let Err(wrong) = compare(snapshot, model, policy, Tolerance::Strict) {
                    panic!("{context}: a held snapshot: {wrong}");
                }
            }
        }
    }
    harness.check_whole(&format!("seed {seed}, end"));
}

/// Moves the start of the promise forward, sometimes with a pin at a time still covered.
fn narrow<E: Engine>(harness: &mut Harness<E>, rng: &mut Rng) {
    let old = &harness.policy.default;
    let last = harness.last().ts.0;
    let since = Timestamp(old.keep_since.0 + rng.below(last - old.keep_since.0.min(last) + 1));
    let mut pins: Vec<_> = old.pins.iter().copied().filter(|_| rng.chance(3, 4)).collect();
    if since > old.keep_since && rng.chance(1, 2) {
        pins.push(Timestamp(old.keep_since.0 + rng.below(since.0 - old.keep_since.0)));
        pins.sort();
        pins.dedup();
    }
    let default = Retention { keep_since: since, pins, min_versions: rng.below(3) as u32 };
    harness.retain(RetentionPolicy { default, by_keyspace: BTreeMap::new() });
}

/// The same operations do the same I/O, in the same order, with the same bytes.
pub fn same_operations_same_trace<E: Engine>() {
    let run = || {
        let mut harness = Harness::<E>::new(60);
        harness.upkeep = Upkeep::Checkpoint(15);
        let mut workload = Workload::new(60, Mix::default());
        workload.run(&mut harness, 120).expect("a healthy engine works");
        harness.check("trace");
        harness.reopen().expect("a closed engine reopens");
        harness.check("trace");
        (harness.disk.trace_hash(), harness.disk.counters())
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second, "two runs of one seed differ");
}
