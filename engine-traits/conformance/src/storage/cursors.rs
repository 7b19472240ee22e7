//! Cursors: both directions, every kind of visibility, bounds, seeks.

use std::ops::Bound;

use driftdb_storage::{Cursor, Engine, KeyRange, ScanSpec, Snapshot, Timestamp, Visible};

use super::compare::{difference, entry, scan_range};
use super::harness::{Harness, SPACE, in_every_state};
use super::model::{Model, Version, reversed};

fn fill<E: Engine>(harness: &mut Harness<E>) {
    harness.create(SPACE);
    for round in 0..60u32 {
        let value = format!("round {round} {}", "x".repeat(round as usize % 40));
        let (a, b) = (format!("k{:03}", round * 7 % 45 * 2), format!("k{:03}", round % 5 * 2));
        let tombstone = round % 6 == 5;
        harness.write(
            SPACE,
            &[
                (a.as_bytes(), Some(value.as_bytes())),
                (b.as_bytes(), (!tombstone).then_some(value.as_bytes())),
            ],
        );
    }
    harness.write(SPACE, &[(b"k088", None), (b"k002", None)]);
}

/// What the model shows of the keyspace.
fn expected<E: Engine>(harness: &Harness<E>, visible: Visible) -> Vec<Version> {
    let model = Model::of(&harness.log);
    let space = &model.spaces[&SPACE];
    match visible {
        Visible::AsOf(ts) => space.as_of(ts),
        Visible::Between { after, up_to } => space.between(Some(after), up_to),
        Visible::All => space.between(None, Timestamp::MAX),
    }
}

fn kinds<E: Engine>(harness: &Harness<E>) -> Vec<Visible> {
    let middle = harness.log[harness.log.len() / 2].0.ts;
    let last = harness.last().ts;
    let between = |after, up_to| Visible::Between { after: Timestamp(after), up_to };
    vec![
        Visible::AsOf(Timestamp::MAX),
        Visible::AsOf(middle),
        Visible::AsOf(Timestamp(middle.0 - 1)),
        Visible::All,
        between(0, Timestamp::MAX),
        between(middle.0, last),
        between(middle.0 - 100, Timestamp(middle.0 + 100)),
        between(last.0, Timestamp::MAX),
    ]
}

/// A reverse scan shows the keys of a forward scan in descending order.
pub fn cursors_walk_both_ways<E: Engine>() {
    in_every_state::<E>(20, fill, |harness, state| harness.check(state));
}

/// `AsOf`, `Between` and `All` show exactly their versions.
pub fn visible_kinds_show_their_versions<E: Engine>() {
    in_every_state::<E>(21, fill, |harness, state| {
        let snapshot = harness.engine().snapshot();
        for visible in kinds(harness) {
            let forward = expected(harness, visible);
            for reverse in [false, true] {
                let expected = if reverse { reversed(&forward) } else { forward.clone() };
                let shown = scan_range(
                    &snapshot,
                    SPACE,
                    ScanSpec { range: KeyRange::ALL, visible, reverse },
                )
                .expect("a healthy engine scans");
                if let Some(wrong) = difference(&shown, &expected) {
                    panic!("{state}: {visible:?}, reverse {reverse}: {wrong}");
                }
            }
        }
        let empty = Visible::Between { after: Timestamp(300), up_to: Timestamp(200) };
        let spec = ScanSpec { range: KeyRange::ALL, visible: empty, reverse: false };
        let shown = scan_range(&snapshot, SPACE, spec).expect("an inverted stretch scans");
        assert_eq!(shown, [], "{state}: an inverted stretch of time is empty");
    });
}

/// Scans honour included, excluded and missing bounds; an inverted range is empty.
pub fn bounds_are_honoured<E: Engine>() {
    in_every_state::<E>(22, fill, |harness, state| {
        let snapshot = harness.engine().snapshot();
        let keys: [&[u8]; 8] =
            [b"", b"k", b"k000", b"k001", b"k044", b"k045", b"k088", b"\xff\xff"];
        let bounds = |key| [Bound::Included(key), Bound::Excluded(key), Bound::Unbounded];
        let visible = Visible::All;
        let every = expected(harness, visible);
        for (start, end) in keys.iter().flat_map(|start| keys.map(|end| (*start, end))) {
            for (start, end) in
                bounds(start).into_iter().flat_map(|start| bounds(end).map(|end| (start, end)))
            {
                let range = KeyRange { start, end };
                let forward: Vec<_> =
                    every.iter().filter(|(key, _, _)| range.contains(key)).cloned().collect();
                for reverse in [false, true] {
                    let expected = if reverse { reversed(&forward) } else { forward.clone() };
                    let shown = scan_range(&snapshot, SPACE, ScanSpec { range, visible, reverse })
                        .expect("a healthy engine scans");
                    if let Some(wrong) = difference(&shown, &expected) {
                        panic!("{state}: {range:?}, reverse {reverse}: {wrong}");
                    }
                }
            }
        }
    });
}

/// A seek lands just before the first entry at or after the key (at or before, in reverse), inside
/// the range, from wherever the cursor was.
pub fn seek_lands_on_the_neighbour<E: Engine>() {
    in_every_state::<E>(23, fill, |harness, state| {
        let snapshot = harness.engine().snapshot();
        let range = KeyRange::half_open(b"k010", b"k070");
        for visible in kinds(harness) {
            let every: Vec<_> = expected(harness, visible)
                .into_iter()
                .filter(|(key, _, _)| range.contains(key))
                .collect();
            for reverse in [false, true] {
                let spec = ScanSpec { range, visible, reverse };
                let mut cursor = snapshot.cursor(SPACE, &spec).expect("a healthy engine scans");
                for step in 0..40u32 {
                    let target = format!("k{:03}", step * 37 % 92);
                    let target = if step % 9 == 8 { "" } else { &target }.as_bytes();
                    let reaches = |key: &[u8]| if reverse { key <= target } else { key >= target };
                    let rest: Vec<_> =
                        every.iter().filter(|(key, _, _)| reaches(key)).cloned().collect();
                    let rest = if reverse { reversed(&rest) } else { rest };
                    cursor.seek(target).expect("a healthy engine seeks");
                    let take = if step % 4 == 3 { usize::MAX } else { step as usize % 5 };
                    let mut shown = Vec::new();
                    while shown.len() < take && cursor.next().expect("a healthy engine scans") {
                        shown.push(entry(&cursor));
                    }
                    let expected = &rest[..rest.len().min(take)];
                    if let Some(wrong) = difference(&shown, expected) {
                        panic!("{state}: {spec:?}, seek {target:?}: {wrong}");
                    }
                    if take > rest.len() {
                        assert!(!cursor.next().expect("the end"), "{state}: the end stays the end");
                    }
                }
            }
        }
    });
}
