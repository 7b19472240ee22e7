//! What is done to both engines, and how it is drawn.

use std::ops::Bound;

use driftdb_conformance::storage::script::{Change, draw_options};
use driftdb_env::Rng;
use driftdb_sim_disk::CrashMode;
use driftdb_storage::EngineOptions;
use proptest::prelude::*;

/// Distinct keys, see `script::key`.
const KEYS: u64 = 56;

/// One step. Each makes sense after any other, so that a list stays a history when steps are left out.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Commit(Vec<Change>),
    /// So many steps of maintenance, which may end in the middle of a merge or a checkpoint.
    Maintain(u8),
    Checkpoint,
    /// A snapshot of each is held; questions may go to it.
    Hold,
    Release,
    /// The promise begins at this share of the time that it covers, in 16ths.
    Narrow(u64),
    Reopen,
    /// In the mode of this index.
    Crash(usize),
    Get {
        which: usize,
        other: bool,
        key: u64,
        time: u64,
    },
    Walk {
        which: usize,
        other: bool,
        query: Query,
        moves: Vec<Move>,
    },
}

/// A cursor. Times are in 16ths of all time; beyond, the end of time.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) kind: Kind,
    pub(crate) start: Bound<u64>,
    pub(crate) end: Bound<u64>,
    pub(crate) reverse: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    AsOf(u64),
    Between(u64, u64),
    All,
}

/// What a cursor does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Move {
    /// So many entries on.
    Next(u8),
    Seek(u64),
    ToTheEnd,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..80)
}

/// Settings from one end to the other, drawn by the suite.
pub(crate) fn options() -> impl Strategy<Value = EngineOptions> {
    any::<u64>().prop_map(|seed| draw_options(&mut Rng::stream(seed, "options")))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => prop::collection::vec(change(), 1..7).prop_map(Step::Commit),
        2 => (1u8..20).prop_map(Step::Maintain),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Hold),
        1 => Just(Step::Release),
        1 => (0u64..10).prop_map(Step::Narrow),
        1 => Just(Step::Reopen),
        1 => (0..CrashMode::ALL.len()).prop_map(Step::Crash),
        4 => get(),
        4 => walk(),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let len = prop_oneof![9 => 0usize..80, 1 => 80usize..3000];
    prop_oneof![
        8 => (any::<bool>(), 0..KEYS, len).prop_map(|(other, key, len)| Change::Put { other, key, len }),
        2 => (any::<bool>(), 0..KEYS).prop_map(|(other, key)| Change::Delete { other, key }),
        1 => (0..KEYS, 0..KEYS).prop_map(|(start, end)| Change::DeleteRange(start, end)),
    ]
}

fn get() -> impl Strategy<Value = Step> {
    (0usize..4, any::<bool>(), 0..KEYS + 4, 0u64..18)
        .prop_map(|(which, other, key, time)| Step::Get { which, other, key, time })
}

fn walk() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        3 => (0u64..18).prop_map(Kind::AsOf),
        2 => (0u64..18, 0u64..18).prop_map(|(after, up_to)| Kind::Between(after, up_to)),
        1 => Just(Kind::All),
    ];
    let query = (kind, bound(), bound(), any::<bool>());
    let query = query.prop_map(|(kind, start, end, reverse)| Query { kind, start, end, reverse });
    let moves = prop::collection::vec(one_move(), 1..8);
    (0usize..4, any::<bool>(), query, moves).prop_map(|(which, other, query, moves)| Step::Walk {
        which,
        other,
        query,
        moves,
    })
}

fn bound() -> impl Strategy<Value = Bound<u64>> {
    prop_oneof![
        3 => Just(Bound::Unbounded),
        1 => (0..KEYS).prop_map(Bound::Included),
        1 => (0..KEYS).prop_map(Bound::Excluded),
    ]
}

fn one_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        (1u8..30).prop_map(Move::Next),
        (0..KEYS).prop_map(Move::Seek),
        Just(Move::ToTheEnd),
    ]
}
