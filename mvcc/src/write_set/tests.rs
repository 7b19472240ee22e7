//! Write sets against a map, spilled or not.

use std::path::Path;

use driftdb_sim_disk::{Effect, Fault, SimDisk, sim_env};
use proptest::prelude::*;

use super::*;
use crate::spill::Spill;

const SPACE: KeyspaceId = KeyspaceId(2000);

fn got(writes: &WriteSet, key: &[u8], view: OwnView) -> Option<Option<String>> {
    let mut value = Vec::new();
    let found = writes.get(SPACE, key, view, &mut value).unwrap()?;
    Some(found.then(|| String::from_utf8(value).unwrap()))
}

fn value(text: &str) -> Option<Option<String>> {
    Some(Some(text.to_owned()))
}

#[test]
fn a_statement_sees_only_earlier_statements() {
    let mut writes = WriteSet::default();
    writes.begin_statement();
    writes.write(SPACE, b"k", Some(b"1"));
    let statement = |writes: &WriteSet| writes.view(ReadAt::Statement).unwrap();
    assert_eq!(got(&writes, b"k", statement(&writes)), None);
    assert_eq!(got(&writes, b"k", OwnView::All), value("1"));
    writes.begin_statement();
    writes.write(SPACE, b"k", None);
    writes.write(SPACE, b"k", Some(b"3"));
    assert_eq!(got(&writes, b"k", statement(&writes)), value("1"));
    assert_eq!(got(&writes, b"k", OwnView::All), value("3"));
}

#[test]
fn savepoints_nest() {
    let mut writes = WriteSet::default();
    writes.write(SPACE, b"a", Some(b"0"));
    let outer = writes.savepoint();
    writes.write(SPACE, b"a", Some(b"1"));
    writes.create_keyspace(KeyspaceId(2001));
    let inner = writes.savepoint();
    writes.write(SPACE, b"a", None);
    writes.write(SPACE, b"b", Some(b"2"));
    writes.rollback_to(inner);
    assert_eq!(got(&writes, b"a", OwnView::All), value("1"));
    assert_eq!(got(&writes, b"b", OwnView::All), None);
    writes.release(inner);
    writes.rollback_to(outer);
    writes.rollback_to(outer);
    assert_eq!(writes.fate(KeyspaceId(2001)), Fate::Lives);
    assert_eq!(got(&writes, b"a", OwnView::All), value("0"));
}

#[test]
fn what_comes_and_goes_is_not_committed() {
    let mut writes = WriteSet::default();
    writes.create_keyspace(SPACE);
    writes.write(SPACE, b"k", Some(b"v"));
    writes.drop_keyspace(SPACE);
    assert!(writes.is_empty());
    assert!(writes.to_batch().is_empty());
}

#[test]
fn an_inverted_range_is_empty() {
    let mut writes = WriteSet::default();
    writes.write(SPACE, b"k", Some(b"v"));
    let range = KeyRange { start: Bound::Excluded(b"k"), end: Bound::Excluded(b"k") };
    assert_eq!(writes.range(SPACE, &range, OwnView::All).count(), 0);
    let range = KeyRange::half_open(b"z", b"a");
    assert_eq!(writes.range(SPACE, &range, OwnView::All).count(), 0);
}

/// A load in key order asks for each new key whether it was written before: the runs are not read for that.
#[test]
fn keys_beyond_a_run_are_not_looked_for_in_it() {
    let disk = SimDisk::new(1);
    let spill = Spill::open(&sim_env(&disk, 1), Path::new("/store"), 4096).unwrap();
    let key = |number: u32| number.to_be_bytes();
    let mut writes = WriteSet::default();
    for run in 0..3 {
        (run * 100..(run + 1) * 100).for_each(|n| writes.write(SPACE, &key(n), Some(b"v")));
        writes.spill(&spill).unwrap();
    }
    let reads = || disk.counters().reads;
    let before = reads();
    assert_eq!(got(&writes, &key(300), OwnView::All), None);
    assert_eq!(reads(), before);
    assert_eq!(got(&writes, &key(299), OwnView::All), value("v"));
    assert!(reads() > before);
}

/// What two sets must agree on.
fn shown(writes: &WriteSet, range: &KeyRange<'_>, view: OwnView, reverse: bool) -> Vec<String> {
    let mut rows = writes.spilled(SPACE, range, view, reverse).unwrap();
    let mut shown = Vec::new();
    while let Some((key, value)) = rows.current() {
        shown.push(format!("{key:?} {value:?}"));
        rows.advance().unwrap();
    }
    shown
}

fn batch_of(writes: &WriteSet, part_bytes: usize) -> Vec<String> {
    let mut operations = Vec::new();
    let mut has_ended = false;
    writes
        .parts(part_bytes, |batch, is_last| {
            assert!(!has_ended, "nothing follows the last part");
            has_ended = is_last;
            operations.extend(batch.operations().map(|operation| format!("{operation:?}")));
            Ok::<_, driftdb_storage::StorageError>(())
        })
        .unwrap();
    assert!(has_ended);
    operations
}

#[derive(Debug, Clone)]
enum Step {
    Write(u8, Option<u8>),
    Statement,
    Savepoint,
    RollbackTo(u8),
    Release(u8),
    Create(u8),
    Drop(u8),
    Spill,
    FailToSpill(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0u8..20, any::<Option<u8>>()).prop_map(|(key, value)| Step::Write(key, value)),
        3 => Just(Step::Statement),
        3 => Just(Step::Savepoint),
        2 => any::<u8>().prop_map(Step::RollbackTo),
        1 => any::<u8>().prop_map(Step::Release),
        1 => (0u8..3).prop_map(Step::Create),
        1 => (0u8..3).prop_map(Step::Drop),
        4 => Just(Step::Spill),
        1 => (1u64..6).prop_map(Step::FailToSpill),
    ]
}

fn other(space: u8) -> KeyspaceId {
    KeyspaceId(2001 + u32::from(space))
}

/// Plays the steps on a set that spills where they say so and on one that does not, and compares.
fn agrees(steps: &[Step]) -> std::result::Result<(), TestCaseError> {
    let disk = SimDisk::new(1);
    let spill = Spill::open(&sim_env(&disk, 1), Path::new("/db"), 300).unwrap();
    let (mut plain, mut spilling) = (WriteSet::default(), WriteSet::default());
    let mut savepoints = Vec::new();
    for step in steps {
        for writes in [&mut plain, &mut spilling] {
            match step {
                Step::Write(key, value) => {
                    let value = value.map(|value| vec![value; usize::from(value) % 50]);
                    writes.write(SPACE, &[*key], value.as_deref());
                    writes.write(other(key % 3), &[*key], value.as_deref());
                }
                Step::Statement => writes.begin_statement(),
                Step::Create(space) if writes.fate(other(*space)) == Fate::Lives => {
                    writes.create_keyspace(other(*space));
                }
                Step::Drop(space) => writes.drop_keyspace(other(*space)),
                _ => {}
            }
        }
        let pick =
            |index: &u8| (!savepoints.is_empty()).then(|| *index as usize % savepoints.len());
        match step {
            Step::Savepoint => {
                savepoints.push(plain.savepoint());
                assert_eq!(savepoints.last(), Some(&spilling.savepoint()));
            }
            Step::RollbackTo(index) => {
                if let Some(index) = pick(index) {
                    savepoints.truncate(index + 1);
                    plain.rollback_to(savepoints[index]);
                    spilling.rollback_to(savepoints[index]);
                }
            }
            Step::Release(index) => {
                if let Some(index) = pick(index) {
                    plain.release(savepoints[index]);
                    spilling.release(savepoints[index]);
                    savepoints.truncate(index);
                }
            }
            Step::Spill => spilling.spill(&spill).unwrap(),
            Step::FailToSpill(operation) => {
                let full = Effect::Error(std::io::ErrorKind::StorageFull);
                let operations = [driftdb_env::IoOp::Open, driftdb_env::IoOp::Write];
                disk.inject(Fault::from(*operation).on(&operations).effect(full));
                drop(spilling.spill(&spill));
                disk.clear_faults();
            }
            _ => {}
        }
        let entries = spilling.spaces.iter().flat_map(|(_, space)| &space.keys);
        let entries: usize = entries.map(|(key, versions)| versions.size_bytes(key)).sum();
        let undo: usize = spilling.undo.iter().map(Undo::size_bytes).sum();
        prop_assert_eq!(spilling.memory_bytes(), entries + undo);
        prop_assert_eq!(plain.is_empty(), spilling.is_empty());
        prop_assert!(plain.needed_spaces().eq(spilling.needed_spaces()));
        prop_assert_eq!(plain.written_spaces(), spilling.written_spaces());
        for view in [OwnView::All, OwnView::Before(plain.statement)] {
            for (low, high, reverse) in [(0, 20, false), (0, 20, true), (5, 9, false), (5, 9, true)]
            {
                let (low, high) = ([low], [high]);
                let range = KeyRange::half_open(&low, &high);
                let expected = shown(&plain, &range, view, reverse);
                prop_assert_eq!(shown(&spilling, &range, view, reverse), expected);
            }
            for key in 0..20u8 {
                let (mut expected, mut value) = (Vec::new(), Vec::new());
                let found = plain.get(SPACE, &[key], view, &mut expected).unwrap();
                prop_assert_eq!(spilling.get(SPACE, &[key], view, &mut value).unwrap(), found);
                prop_assert_eq!(value, expected);
            }
        }
    }
    let expected = batch_of(&plain, usize::MAX);
    prop_assert_eq!(batch_of(&spilling, 50), expected.clone());
    let whole = plain.to_batch();
    let mut whole: Vec<_> = whole.operations().map(|it| format!("{it:?}")).collect();
    let mut parts = expected;
    whole.sort_unstable();
    parts.sort_unstable();
    prop_assert_eq!(parts, whole);
    prop_assert_eq!(disk.files().len(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spilling_changes_nothing(steps in prop::collection::vec(step(), 0..80)) {
        agrees(&steps)?;
    }
}

#[test]
fn many_runs_become_few() {
    let disk = SimDisk::new(1);
    let spill = Spill::open(&sim_env(&disk, 1), Path::new("/db"), 300).unwrap();
    let mut writes = WriteSet::default();
    for n in 0..1000u32 {
        writes.write(SPACE, &(n % 500).to_be_bytes(), Some(&n.to_be_bytes()));
        writes.spill(&spill).unwrap();
    }
    assert!(writes.runs.len() < 4 * 8, "{} runs", writes.runs.len());
    let mut value = Vec::new();
    assert_eq!(
        writes.get(SPACE, &7u32.to_be_bytes(), OwnView::All, &mut value).unwrap(),
        Some(true)
    );
    assert_eq!(value, 507u32.to_be_bytes());
    assert_eq!(shown(&writes, &KeyRange::ALL, OwnView::All, true).len(), 500);
}

#[test]
fn what_a_crash_left_is_removed() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    env.disk().create_dir_all(Path::new("/db/spill")).unwrap();
    let left = Path::new("/db/spill/0000000000000001.run");
    let (how, kind) = (driftdb_env::OpenHow::CreateNew, driftdb_env::FileKind::Temp);
    env.disk().open(left, how, kind).unwrap();
    let spill = Spill::open(&env, Path::new("/db"), 300).unwrap();
    assert_eq!(disk.files().len(), 0);
    spill.create().unwrap();
}

#[test]
fn a_statement_does_not_see_what_those_within_it_write() {
    let mut writes = WriteSet::default();
    writes.begin_statement();
    writes.write(SPACE, b"k", Some(b"1"));
    writes.begin_statement();
    let own =
        |writes: &WriteSet, key: &[u8]| got(writes, key, writes.view(ReadAt::Statement).unwrap());
    // A function with three statements, each of which sees those before it.
    writes.enter_statement();
    for (number, seen) in [(b"2", "1"), (b"3", "2"), (b"4", "3")] {
        assert_eq!(own(&writes, b"k"), value(seen));
        writes.write(SPACE, b"k", Some(number));
        writes.write(SPACE, b"new", Some(number));
        writes.begin_statement();
    }
    // Within it another one.
    writes.enter_statement();
    writes.write(SPACE, b"k", None);
    writes.begin_statement();
    assert_eq!(own(&writes, b"k"), Some(None));
    writes.leave_statement();
    assert_eq!(own(&writes, b"k"), value("4"));
    writes.leave_statement();
    assert_eq!(own(&writes, b"k"), value("1"));
    assert_eq!(own(&writes, b"new"), None);
    writes.write(SPACE, b"new", Some(b"5"));
    writes.enter_statement();
    writes.write(SPACE, b"new", Some(b"6"));
    writes.leave_statement();
    assert_eq!(own(&writes, b"new"), None);
    assert_eq!(got(&writes, b"new", OwnView::All), value("6"));
    writes.begin_statement();
    assert_eq!(own(&writes, b"new"), value("6"));
    assert_eq!(own(&writes, b"k"), Some(None));
}
