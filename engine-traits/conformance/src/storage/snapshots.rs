//! Snapshots: exact for as long as they live.

use driftdb_storage::{Cursor, Engine, KeyRange, ScanSpec, Snapshot, Timestamp, Visible};

use super::compare::{Tolerance, compare, difference, entry};
use super::harness::{Harness, SPACE, Upkeep};
use super::model::Model;
use super::workload::{Mix, Workload};

/// Snapshots and half-walked cursors show the same data whatever is applied, flushed, merged,
/// dropped or checkpointed meanwhile.
pub fn snapshots_are_stable<E: Engine>() {
    for upkeep in [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(7)] {
        let mut harness = Harness::<E>::new(30);
        harness.upkeep = upkeep;
        let mut workload = Workload::new(30, Mix::default());
        let mut held: Vec<(E::Snapshot, Model)> = Vec::new();
        for _ in 0..6 {
            workload.run(&mut harness, 25).expect("a healthy engine works");
            held.push((harness.engine().snapshot(), Model::of(&harness.log)));
            for (snapshot, model) in &held {
                let same = compare(snapshot, model, &harness.policy, Tolerance::Strict);
                if let Err(wrong) = same {
                    panic!("{upkeep:?}, {} commits later: {wrong}", harness.log.len());
                }
            }
        }
        half_walked_cursors_go_on(&mut harness, &mut workload);
    }
}

fn half_walked_cursors_go_on<E: Engine>(harness: &mut Harness<E>, workload: &mut Workload) {
    let snapshot = harness.engine().snapshot();
    let model = Model::of(&harness.log);
    let Some(space) = model.spaces.get(&SPACE).filter(|space| space.lives_at(Timestamp::MAX))
    else {
        panic!("the workload keeps the first keyspace");
    };
    let expected = space.as_of(Timestamp::MAX);
    let visible = Visible::AsOf(Timestamp::MAX);
    let spec = ScanSpec { range: KeyRange::ALL, visible, reverse: false };
    let mut cursor = snapshot.cursor(SPACE, &spec).expect("a healthy engine scans");
    let mut shown = Vec::new();
    while cursor.next().expect("a healthy engine scans") {
        shown.push(entry(&cursor));
        if shown.len().is_multiple_of(8) {
            workload.run(harness, 3).expect("a healthy engine works beside a cursor");
        }
    }
    if let Some(wrong) = difference(&shown, &expected) {
        panic!("a cursor that was open during writes {wrong}");
    }
}
