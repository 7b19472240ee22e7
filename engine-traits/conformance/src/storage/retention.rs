//! Retention: what is promised stays exact, what is not is refused, nothing in between.

use std::collections::BTreeMap;

use driftdb_storage::{
    Engine, Retention, RetentionPolicy, Snapshot, StorageError, Timestamp, Visible,
};

use super::compare::{Tolerance, compare, scan};
use super::harness::{Harness, OTHER, SPACE, Upkeep};
use super::model::Model;
use super::workload::{Mix, Workload};

fn policy(default: Retention) -> RetentionPolicy {
    RetentionPolicy { default, by_keyspace: BTreeMap::new() }
}

/// As the start of the promise moves on through maintenance, checkpoints and reopens, every time
/// it covers reads as ever.
pub fn covered_times_stay_exact<E: Engine>() {
    for upkeep in [Upkeep::Maintain, Upkeep::Checkpoint(6)] {
        let mut harness = Harness::<E>::new(50);
        harness.upkeep = upkeep;
        let mut workload = Workload::new(50, Mix::default());
        for round in 0..12u64 {
            workload.run(&mut harness, 20).expect("a healthy engine works");
            let since = harness.last().ts.0.saturating_sub(250);
            let mut policy = policy(Retention::since(Timestamp(since)));
            if round % 2 == 0 {
                // Another promise for one keyspace: the default must not touch it.
                policy.by_keyspace.insert(SPACE, Retention::since(Timestamp(since / 2)));
            } else {
                policy.by_keyspace.insert(SPACE, Retention::since(Timestamp((since - 1) / 2)));
            }
            if round > 0 {
                harness.retain(policy);
            }
            harness.maintain().expect("a healthy engine maintains");
            harness.check(&format!("{upkeep:?}, round {round}, since {since}"));
            if round % 4 == 3 {
                harness.checkpoint().expect("a healthy engine checkpoints");
                harness.check(&format!("{upkeep:?}, round {round}, checkpoint"));
                harness.reopen().expect("a closed engine reopens");
                harness.check_whole(&format!("{upkeep:?}, round {round}, reopened"));
            }
        }
    }
}

/// Reads below the promise are `SnapshotTooOld` with the oldest time, whether or not the data is
/// gone already; what is gone stays refused when the promise is widened again, also after a reopen.
pub fn uncovered_times_are_refused<E: Engine>() {
    let mut harness = Harness::<E>::new(51);
    let mut workload = Workload::new(51, Mix { turnover: 0, ..Mix::default() });
    workload.run(&mut harness, 80).expect("a healthy engine works");
    let since = Timestamp(400);
    harness.retain(policy(Retention::since(since)));
    let refused = |harness: &Harness<E>, context: &str| {
        let snapshot = harness.engine().snapshot();
        let read = snapshot.get(SPACE, b"key/005", Timestamp(399), &mut Vec::new());
        let scanned = scan(&snapshot, SPACE, Visible::AsOf(Timestamp(200)), true);
        for result in [read.map(|_| ()), scanned.map(|_| ())] {
            let Err(StorageError::SnapshotTooOld { requested, oldest }) = result else {
                panic!("{context}: a read below the promise gives {result:?}");
            };
            assert!(requested < since, "{context}: requested {requested:?}");
            assert_eq!(oldest, since, "{context}: the oldest readable time");
        }
        harness.check(context);
    };
    refused(&harness, "promise set");
    harness.checkpoint().expect("a healthy engine checkpoints");
    refused(&harness, "after a checkpoint");
    workload.run(&mut harness, 40).expect("a healthy engine works");
    harness.maintain().expect("a healthy engine maintains");
    harness.checkpoint().expect("a healthy engine checkpoints");
    harness.reopen().expect("a closed engine reopens");
    refused(&harness, "reopened");
    // An engine that came back by replay has forgotten nothing yet.
    harness.checkpoint().expect("a healthy engine checkpoints");
    refused(&harness, "reopened, checkpoint");
    widened_promises_invent_nothing(&mut harness);
}

fn widened_promises_invent_nothing<E: Engine>(harness: &mut Harness<E>) {
    let model = Model::of(&harness.log);
    let since = harness.policy.default.keep_since;
    for reopened in [false, true] {
        harness.retain(RetentionPolicy::default());
        if reopened {
            harness.reopen().expect("a closed engine reopens");
        }
        let snapshot = harness.engine().snapshot();
        for ts in (5..since.0 + 100).step_by(15).map(Timestamp) {
            let lives = model.spaces.get(&SPACE).is_some_and(|space| space.lives_at(ts));
            match scan(&snapshot, SPACE, Visible::AsOf(ts), false) {
                Ok(shown) => {
                    let expected = model.spaces[&SPACE].as_of(ts);
                    assert_eq!(shown, expected, "widened, reopened {reopened}: as of {ts:?}");
                }
                Err(StorageError::SnapshotTooOld { .. }) if ts < since => {}
                Err(StorageError::UnknownKeyspace { .. }) if !lives => {}
                Err(error) => panic!("widened, reopened {reopened}: as of {ts:?}: {error}"),
            }
        }
    }
}

/// A pinned time reads exactly, long after the times around it are gone.
pub fn pins_keep_single_times<E: Engine>() {
    for upkeep in [Upkeep::Maintain, Upkeep::Checkpoint(6)] {
        let mut harness = Harness::<E>::new(52);
        harness.upkeep = upkeep;
        let mut workload = Workload::new(52, Mix::default());
        let pins = vec![Timestamp(100), Timestamp(155), Timestamp(300)];
        for round in 0..8u64 {
            workload.run(&mut harness, 15).expect("a healthy engine works");
            let last = harness.last().ts.0;
            let since = Timestamp((last / 2).max(pins[2].0 * round.min(2)).min(last));
            let pins = if round < 6 { pins.clone() } else { pins[1..2].to_vec() };
            harness.retain(policy(Retention { keep_since: since, pins, min_versions: 0 }));
            harness.maintain().expect("a healthy engine maintains");
            harness.check(&format!("{upkeep:?}, round {round}"));
            if round % 3 == 2 {
                harness.checkpoint().expect("a healthy engine checkpoints");
                harness.reopen().expect("a closed engine reopens");
                harness.check_whole(&format!("{upkeep:?}, round {round}, reopened"));
            }
        }
    }
}

/// A snapshot keeps the promise under which it was taken, though the engine's has moved on.
pub fn open_snapshots_outlive_their_promise<E: Engine>() {
    let mut harness = Harness::<E>::new(53);
    harness.upkeep = Upkeep::Maintain;
    let mut workload = Workload::new(53, Mix::default());
    workload.run(&mut harness, 60).expect("a healthy engine works");
    let everything = (*harness.policy).clone();
    let snapshot = harness.engine().snapshot();
    let model = Model::of(&harness.log);
    for round in 0..6 {
        harness.retain(policy(Retention::since(harness.last().ts)));
        workload.run(&mut harness, 20).expect("a healthy engine works");
        harness.checkpoint().expect("a healthy engine checkpoints");
        if let Err(wrong) = compare(&snapshot, &model, &everything, Tolerance::Strict) {
            panic!("round {round}: a snapshot from before the promise moved: {wrong}");
        }
        harness.check(&format!("round {round}: a new snapshot"));
    }
    drop(snapshot);
    harness.checkpoint().expect("a healthy engine checkpoints");
    harness.check_whole("after the old snapshot is gone");
    min_versions_stay::<E>();
}

/// The newest `min_versions` of a key stay in a scan of all versions, whatever their age.
fn min_versions_stay<E: Engine>() {
    let mut harness = Harness::<E>::new(54);
    harness.create(OTHER);
    for round in 0..10u8 {
        harness.write(OTHER, &[(b"k", Some(&[round]))]);
    }
    let keep_since = harness.last().ts;
    harness.retain(policy(Retention { keep_since, pins: Vec::new(), min_versions: 3 }));
    harness.checkpoint().expect("a healthy engine checkpoints");
    harness.reopen().expect("a closed engine reopens");
    let all = scan(&harness.engine().snapshot(), OTHER, Visible::All, false)
        .expect("a healthy engine scans");
    let values: Vec<_> = all.iter().take(3).map(|(_, _, value)| value.clone()).collect();
    assert_eq!(values, [Some(vec![9]), Some(vec![8]), Some(vec![7])]);
}
