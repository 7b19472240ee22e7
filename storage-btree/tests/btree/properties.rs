//! Any history agrees with a map, through checkpoints, reopening, and snapshots that live on.

use driftdb_storage::{Engine, WriteBatch};
use driftdb_storage_btree::BtreeSnapshot;
use proptest::prelude::*;

use crate::model::{Ready, SPACE, Versions, World, check};

type Writes = Vec<(u16, Option<u16>)>;

#[derive(Debug, Clone)]
enum Step {
    Commit(Writes),
    Checkpoint,
    BusyCheckpoint(Vec<Writes>),
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
    let writes = prop::collection::vec(write, 1..12);
    prop_oneof![
        12 => writes.clone().prop_map(Step::Commit),
        1 => Just(Step::Checkpoint),
        2 => prop::collection::vec(writes, 1..4).prop_map(Step::BusyCheckpoint),
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

impl Held {
    fn of(world: &World, snapshot: BtreeSnapshot) -> Self {
        let (since, now) = (world.keep_since, world.now());
        Self { snapshot, versions: world.versions.clone(), since, now }
    }
}

fn batch(writes: Writes) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (n, size) in writes {
        match size {
            None => batch.delete(SPACE, &key(n)),
            Some(size) => batch.put(SPACE, &key(n), &vec![n as u8; size.into()]),
        }
    }
    batch
}

fn run(steps: Vec<Step>) {
    let mut world = World::new();
    let mut held: Vec<Held> = Vec::new();
    for step in steps {
        match step {
            Step::Commit(writes) => {
                world.commit(batch(writes));
            }
            Step::BusyCheckpoint(batches) => {
                let snapshot = world.busy_checkpoint(batches.into_iter().map(batch).collect());
                held.extend(snapshot.map(|snapshot| Held::of(&world, snapshot)));
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
            Step::TakeSnapshot => held.push(Held::of(&world, world.engine().snapshot())),
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
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_history_agrees_with_a_map(steps in prop::collection::vec(step(), 1..80)) {
        run(steps);
    }
}

/// The last commit parts the versions of the empty key: its tombstones stay in one leaf, and what they
/// hide lies in the history of the next. Found by the property above.
#[test]
fn a_tombstone_stays_while_the_next_leaf_remembers_what_it_hides() {
    run(vec![
        Step::Commit(vec![(0, Some(35)), (30, Some(58))]),
        Step::Commit(vec![(41, None)]),
        Step::Commit(vec![(30, None), (10, Some(34)), (49, None), (0, None)]),
        Step::Commit(vec![(40, Some(54)), (30, Some(400))]),
        Step::Commit(vec![(50, Some(54))]),
        Step::Commit(vec![(20, Some(400)), (10, Some(44))]),
        Step::Forget,
        Step::Commit(vec![(10, Some(22)), (40, Some(100))]),
        Step::Commit(vec![(0, None)]),
    ]);
}
