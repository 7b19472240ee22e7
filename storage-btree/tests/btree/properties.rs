//! Any history agrees with a map, through checkpoints, reopening, and snapshots that live on.

use driftdb_storage::{Engine, WriteBatch};
use driftdb_storage_btree::BtreeSnapshot;
use proptest::prelude::*;

use crate::model::{Ready, SPACE, Versions, World, check};

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(u16, Option<u16>)>),
    Checkpoint,
    Maintain,
    Reopen,
    TakeSnapshot,
    DropSnapshot,
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    // Sizes on both sides of what fits a leaf (118 bytes) and a page (472).
    let size = prop_oneof![6 => 0u16..60, 2 => 100u16..130, 1 => 400u16..2000];
    let write = (0u16..60, prop::option::weighted(0.8, size));
    prop_oneof![
        12 => prop::collection::vec(write, 1..12).prop_map(Step::Commit),
        1 => Just(Step::Checkpoint),
        3 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
        2 => Just(Step::TakeSnapshot),
        1 => Just(Step::DropSnapshot),
        1 => Just(Step::Forget),
    ]
}

fn key(n: u16) -> Vec<u8> {
    match n % 10 {
        0 => vec![0; usize::from(n / 10)],
        // A key that no page holds.
        9 => vec![n as u8; 700],
        _ => format!("key-{n:03}").into_bytes(),
    }
}

struct Held {
    snapshot: BtreeSnapshot,
    versions: Versions,
    since: u64,
    now: u64,
}

fn run(steps: Vec<Step>) {
    let mut world = World::new();
    let mut held: Vec<Held> = Vec::new();
    for step in steps {
        match step {
            Step::Commit(writes) => {
                let mut batch = WriteBatch::new();
                for (n, size) in writes {
                    match size {
                        None => batch.delete(SPACE, &key(n)),
                        Some(size) => batch.put(SPACE, &key(n), &vec![n as u8; size.into()]),
                    }
                }
                world.commit(batch);
            }
            Step::Checkpoint => {
                world.checkpoint();
                world.verify();
            }
            Step::Maintain => {
                world.engine().maintain(&Ready).expect("maintenance succeeds");
            }
            Step::Reopen => {
                held.clear();
                world.reopen();
                world.verify();
            }
            Step::TakeSnapshot => held.push(Held {
                snapshot: world.engine().snapshot(),
                versions: world.versions.clone(),
                since: world.keep_since,
                now: world.now(),
            }),
            Step::DropSnapshot => {
                held.pop();
            }
            Step::Forget => {
                let now = world.now();
                world.set_retention(now - now / 4);
            }
        }
    }
    world.check();
    for held in &held {
        check(&held.snapshot, &held.versions, held.since, held.now);
    }
    world.checkpoint();
    world.verify();
    world.check();
    held.clear();
    world.reopen();
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn any_history_agrees_with_a_map(steps in prop::collection::vec(step(), 1..80)) {
        run(steps);
    }
}
