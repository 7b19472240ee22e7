//! Joins, grouping, sorting and set operations against naive loops, on random rows with NULLs and
//! duplicates.

use std::cmp::Ordering;

use driftdb_query::{Expr, JoinKind, PhysicalAggregate, PhysicalPlan, PhysicalSortKey, SetOpKind};
use driftdb_types::{DataType, Value, compare, resolve_aggregate};
use proptest::prelude::*;

use crate::support::{Database, Row, bag, binary, boxed, islot, number, values};

const TWO_INTS: [DataType; 2] = [DataType::Int4, DataType::Int4];

fn cell() -> BoxedStrategy<Value> {
    prop_oneof![6 => (0..4).prop_map(Value::Int4), 1 => Just(Value::Null)].boxed()
}

fn rows(max: usize) -> BoxedStrategy<Vec<Row>> {
    prop::collection::vec(prop::collection::vec(cell(), 2), 0..max).boxed()
}

fn kinds() -> BoxedStrategy<JoinKind> {
    prop::sample::select(vec![
        JoinKind::Inner,
        JoinKind::Left,
        JoinKind::Right,
        JoinKind::Full,
        JoinKind::Semi,
        JoinKind::Anti,
    ])
    .boxed()
}

/// `left.a = right.a AND (residual: left.b < right.b)`
fn matches(left: &Row, right: &Row, residual: bool) -> bool {
    let known = |a: &Value, b: &Value| !a.is_null() && !b.is_null();
    known(&left[0], &right[0])
        && left[0] == right[0]
        && (!residual
            || known(&left[1], &right[1]) && compare(&left[1], &right[1]) == Ordering::Less)
}

fn naive_join(kind: JoinKind, left: &[Row], right: &[Row], residual: bool) -> Vec<Row> {
    let nulls = || vec![Value::Null, Value::Null];
    let mut out = Vec::new();
    let mut right_matched = vec![false; right.len()];
    for l in left {
        let mut matched = false;
        for (index, r) in right.iter().enumerate() {
            if matches(l, r, residual) {
                right_matched[index] = true;
                if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
                    out.push([l.clone(), r.clone()].concat());
                }
                matched = true;
            }
        }
        match kind {
            JoinKind::Semi if matched => out.push(l.clone()),
            JoinKind::Anti if !matched => out.push(l.clone()),
            JoinKind::Left | JoinKind::Full if !matched => out.push([l.clone(), nulls()].concat()),
            _ => {}
        }
    }
    if matches!(kind, JoinKind::Right | JoinKind::Full) {
        let unmatched = right.iter().zip(right_matched).filter(|(_, matched)| !matched);
        out.extend(unmatched.map(|(r, _)| [nulls(), r.clone()].concat()));
    }
    out
}

fn equal(left: Expr, right: Expr) -> Expr {
    binary("=", left, right)
}

fn hash_join(kind: JoinKind, left: &[Row], right: &[Row], residual: bool) -> PhysicalPlan {
    PhysicalPlan::HashJoin {
        kind,
        left: boxed(values(&TWO_INTS, left)),
        right: boxed(values(&TWO_INTS, right)),
        left_keys: vec![islot(0)],
        right_keys: vec![islot(0)],
        residual: residual.then(|| binary("<", islot(1), islot(3))),
    }
}

fn condition(residual: bool) -> Expr {
    let keys = equal(islot(0), islot(2));
    if residual { Expr::And(vec![keys, binary("<", islot(1), islot(3))]) } else { keys }
}

fn loop_join(kind: JoinKind, left: &[Row], right: &[Row], residual: bool) -> PhysicalPlan {
    PhysicalPlan::NestedLoopJoin {
        kind,
        left: boxed(values(&TWO_INTS, left)),
        right: boxed(values(&TWO_INTS, right)),
        on: Some(condition(residual)),
    }
}

/// The key is compared inside the right side, as for an index.
fn apply(kind: JoinKind, left: &[Row], right: &[Row], residual: bool) -> PhysicalPlan {
    let outer = Expr::Outer { index: 0, ty: DataType::Int4 };
    PhysicalPlan::Apply {
        kind,
        left: boxed(values(&TWO_INTS, left)),
        right: boxed(PhysicalPlan::Filter {
            input: boxed(values(&TWO_INTS, right)),
            predicate: equal(islot(0), outer),
        }),
        outer: vec![islot(0)],
        on: residual.then(|| binary("<", islot(1), islot(3))),
    }
}

fn aggregate(name: &str, arg: Option<Expr>) -> PhysicalAggregate {
    let types: Vec<DataType> = arg.iter().map(Expr::ty).collect();
    let resolved = resolve_aggregate(name, &types, arg.is_none()).unwrap().unwrap();
    PhysicalAggregate {
        aggregate: resolved.id,
        args: arg.into_iter().collect(),
        distinct: false,
        filter: None,
        order_by: Vec::new(),
        ty: resolved.result,
    }
}

/// count(*), sum(b), count(DISTINCT b), max(b) FILTER (WHERE b > 1), grouped by a.
fn naive_groups(rows: &[Row]) -> Vec<Row> {
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(key, _)| *key == row[0]) {
            Some((_, members)) => members.push(row[1].clone()),
            None => groups.push((row[0].clone(), vec![row[1].clone()])),
        }
    }
    let summary = |(key, members): (Value, Vec<Value>)| {
        let known: Vec<i64> = members.iter().filter_map(Value::as_int).collect();
        let sum = if known.is_empty() { Value::Null } else { Value::Int8(known.iter().sum()) };
        let distinct: std::collections::BTreeSet<i64> = known.iter().copied().collect();
        let large = known.iter().copied().filter(|v| *v > 1).max();
        vec![
            key,
            Value::Int8(members.len() as i64),
            sum,
            Value::Int8(distinct.len() as i64),
            large.map_or(Value::Null, |v| Value::Int4(v as i32)),
        ]
    };
    groups.into_iter().map(summary).collect()
}

fn calls() -> Vec<PhysicalAggregate> {
    let distinct = PhysicalAggregate { distinct: true, ..aggregate("count", Some(islot(1))) };
    let filter = Some(binary(">", islot(1), number(1)));
    let filtered = PhysicalAggregate { filter, ..aggregate("max", Some(islot(1))) };
    vec![aggregate("count", None), aggregate("sum", Some(islot(1))), distinct, filtered]
}

fn sort_key(index: usize, descending: bool, nulls_first: bool) -> PhysicalSortKey {
    PhysicalSortKey { expr: islot(index), descending, nulls_first }
}

fn naive_sort(rows: &[Row], keys: &[PhysicalSortKey]) -> Vec<Row> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| {
        keys.iter()
            .enumerate()
            .map(|(index, key)| match (a[index].is_null(), b[index].is_null()) {
                (false, false) => {
                    let order = compare(&a[index], &b[index]);
                    if key.descending { order.reverse() } else { order }
                }
                (a, b) if key.nulls_first => b.cmp(&a),
                (a, b) => a.cmp(&b),
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    sorted
}

fn naive_set_op(kind: SetOpKind, all: bool, left: &[Row], right: &[Row]) -> Vec<Row> {
    let count = |rows: &[Row], row: &Row| rows.iter().filter(|r| *r == row).count();
    let mut distinct: Vec<Row> = Vec::new();
    for row in left.iter().chain(right) {
        if !distinct.contains(row) {
            distinct.push(row.clone());
        }
    }
    let mut out = Vec::new();
    for row in distinct {
        let (l, r) = (count(left, &row), count(right, &row));
        let copies = match (kind, all) {
            (SetOpKind::Union, true) => l + r,
            (SetOpKind::Union, false) => 1,
            (SetOpKind::Intersect, true) => l.min(r),
            (SetOpKind::Intersect, false) => usize::from(l > 0 && r > 0),
            (SetOpKind::Except, true) => l.saturating_sub(r),
            (SetOpKind::Except, false) => usize::from(l > 0 && r == 0),
        };
        out.extend(std::iter::repeat_n(row, copies));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn joins(kind in kinds(), left in rows(12), right in rows(12), residual in any::<bool>()) {
        let db = Database::new();
        let expected = naive_join(kind, &left, &right, residual);
        let hashed = db.rows(hash_join(kind, &left, &right, residual)).unwrap();
        prop_assert_eq!(bag(&hashed), bag(&expected));
        let looped = db.rows(loop_join(kind, &left, &right, residual)).unwrap();
        prop_assert_eq!(bag(&looped), bag(&expected));
        if !matches!(kind, JoinKind::Right | JoinKind::Full) {
            // These keep the order of the left side, and the right side's within it.
            prop_assert_eq!(&hashed, &expected);
            prop_assert_eq!(&looped, &expected);
            prop_assert_eq!(db.rows(apply(kind, &left, &right, residual)).unwrap(), expected);
        }
    }

    #[test]
    fn groups(rows in rows(40)) {
        let db = Database::new();
        let plan = PhysicalPlan::Aggregate {
            input: boxed(values(&TWO_INTS, &rows)),
            groups: vec![islot(0)],
            aggregates: calls(),
        };
        prop_assert_eq!(db.rows(plan).unwrap(), naive_groups(&rows));
    }

    #[test]
    fn sorts(
        rows in rows(40),
        flags in prop::collection::vec(any::<bool>(), 4),
        limit in prop::option::of(0..50i64),
    ) {
        let db = Database::new();
        let keys = vec![sort_key(0, flags[0], flags[1]), sort_key(1, flags[2], flags[3])];
        let mut expected = naive_sort(&rows, &keys);
        // A third column, not sorted by, shows that equal rows keep their order.
        let numbered: Vec<Row> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| [row.clone(), vec![Value::Int4(index as i32)]].concat())
            .collect();
        let plan = PhysicalPlan::Sort {
            input: boxed(values(&[DataType::Int4; 3], &numbered)),
            keys: keys.clone(),
            top: limit.iter().map(|limit| crate::support::bigint(*limit)).collect(),
        };
        let sorted = db.rows(plan).unwrap();
        expected.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
        let visible: Vec<Row> = sorted.iter().map(|row| row[..2].to_vec()).collect();
        prop_assert_eq!(visible, expected);
        for pair in sorted.windows(2) {
            prop_assert!(pair[0][..2] != pair[1][..2] || compare(&pair[0][2], &pair[1][2]).is_lt());
        }
    }

    #[test]
    fn set_operations(
        kind in prop::sample::select(vec![SetOpKind::Union, SetOpKind::Intersect, SetOpKind::Except]),
        all in any::<bool>(),
        left in rows(20),
        right in rows(20),
    ) {
        let db = Database::new();
        let plan = PhysicalPlan::SetOp {
            kind,
            all,
            left: boxed(values(&TWO_INTS, &left)),
            right: boxed(values(&TWO_INTS, &right)),
        };
        let expected = naive_set_op(kind, all, &left, &right);
        prop_assert_eq!(bag(&db.rows(plan).unwrap()), bag(&expected));
    }
}

#[test]
fn no_groups_is_one_row() {
    let db = Database::new();
    let plan = PhysicalPlan::Aggregate {
        input: boxed(values(&TWO_INTS, &[])),
        groups: Vec::new(),
        aggregates: calls(),
    };
    let zero = Value::Int8(0);
    assert_eq!(db.rows(plan).unwrap(), [[zero.clone(), Value::Null, zero, Value::Null]]);
}

#[test]
fn joins_of_many_rows_go_on_from_batch_to_batch() {
    let db = Database::new();
    let left: Vec<Row> = (0..3000).map(|i| vec![Value::Int4(i % 3), Value::Int4(i)]).collect();
    let right: Vec<Row> = (0..5).map(|i| vec![Value::Int4(i % 2), Value::Int4(i)]).collect();
    for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Semi, JoinKind::Anti] {
        let expected = naive_join(kind, &left, &right, true);
        for plan in [hash_join, loop_join, apply] {
            let rows = db.rows(plan(kind, &left, &right, true)).unwrap();
            assert!(rows == expected, "{kind:?}: {} rows", rows.len());
        }
    }
    let expected = naive_join(JoinKind::Full, &right, &left, true);
    let full = db.rows(hash_join(JoinKind::Full, &right, &left, true)).unwrap();
    assert!(bag(&full) == bag(&expected));
}
