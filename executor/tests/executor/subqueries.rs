//! Subqueries in expressions: scalar, EXISTS, ANY and ALL, once and for each row.

use std::sync::Arc;

use driftdb_query::{Expr, PhysicalPlan, Subplan, SubqueryKind};
use driftdb_types::{DataType, FunctionId, SqlState, Value, resolve_operator};
use proptest::prelude::*;

use crate::support::{Database, Row, binary, boxed, int, islot, values};

const INT: [DataType; 1] = [DataType::Int4];

fn operator(name: &str) -> FunctionId {
    resolve_operator(name, Some(DataType::Int4), Some(DataType::Int4)).unwrap().id
}

fn subplan(kind: SubqueryKind, plan: PhysicalPlan, outer: Vec<Expr>, ty: DataType) -> Expr {
    Expr::Subplan(Box::new(Subplan { kind, plan: Arc::new(plan), outer, ty }))
}

fn column(rows: &[Value]) -> Vec<Row> {
    rows.iter().map(|value| vec![value.clone()]).collect()
}

/// The expression for each input value.
fn project(db: &Database, input: &[Value], expr: Expr) -> driftdb_query::Result<Vec<Value>> {
    let input = boxed(values(&INT, &column(input)));
    let rows = db.rows(PhysicalPlan::Project { input, exprs: vec![expr] })?;
    Ok(rows.into_iter().map(|mut row| row.remove(0)).collect())
}

/// Rows of the candidates that are equal to what is handed down.
fn correlated(candidates: &[Value]) -> PhysicalPlan {
    PhysicalPlan::Filter {
        input: boxed(values(&INT, &column(candidates))),
        predicate: binary("=", islot(0), Expr::Outer { index: 0, ty: DataType::Int4 }),
    }
}

fn cell() -> BoxedStrategy<Value> {
    prop_oneof![5 => (0..4).prop_map(Value::Int4), 1 => Just(Value::Null)].boxed()
}

fn three_valued(left: &Value, operator: &str, right: &Value) -> Option<bool> {
    let (left, right) = (left.as_int()?, right.as_int()?);
    Some(match operator {
        "=" => left == right,
        "<>" => left != right,
        _ => left < right,
    })
}

fn naive(left: &Value, operator: &str, all: bool, candidates: &[Value]) -> Value {
    let truths: Vec<Option<bool>> =
        candidates.iter().map(|right| three_valued(left, operator, right)).collect();
    if truths.contains(&Some(!all)) {
        Value::Bool(!all)
    } else if truths.contains(&None) {
        Value::Null
    } else {
        Value::Bool(all)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_and_all(
        input in prop::collection::vec(cell(), 0..8),
        candidates in prop::collection::vec(cell(), 0..8),
        name in prop::sample::select(vec!["=", "<>", "<"]),
        all in any::<bool>(),
        once in any::<bool>(),
    ) {
        let db = Database::new();
        let kind = SubqueryKind::Compare { left: vec![islot(0)], operators: vec![operator(name)], all };
        // What is handed down is not used; it only makes the subplan run for each row.
        let outer = if once { Vec::new() } else { vec![islot(0)] };
        let plan = values(&INT, &column(&candidates));
        let answers = project(&db, &input, subplan(kind, plan, outer, DataType::Bool)).unwrap();
        let expected: Vec<Value> =
            input.iter().map(|left| naive(left, name, all, &candidates)).collect();
        prop_assert_eq!(answers, expected);
    }

    #[test]
    fn exists(
        input in prop::collection::vec(cell(), 0..8),
        candidates in prop::collection::vec(cell(), 0..8),
    ) {
        let db = Database::new();
        let expr =
            subplan(SubqueryKind::Exists, correlated(&candidates), vec![islot(0)], DataType::Bool);
        let expected: Vec<Value> = input
            .iter()
            .map(|value| Value::Bool(!value.is_null() && candidates.contains(value)))
            .collect();
        prop_assert_eq!(project(&db, &input, expr).unwrap(), expected);
    }
}

#[test]
fn a_scalar_is_one_value_null_or_an_error() {
    let db = Database::new();
    let scalar = |candidates: &[Value]| {
        subplan(SubqueryKind::Scalar, correlated(candidates), vec![islot(0)], DataType::Int4)
    };
    let input = [int(1), int(2), Value::Null];
    let answers = project(&db, &input, scalar(&[int(2), int(3)])).unwrap();
    assert_eq!(answers, [Value::Null, int(2), Value::Null]);
    let error = project(&db, &input, scalar(&[int(2), int(2)])).unwrap_err();
    assert_eq!(error.state, SqlState::CardinalityViolation);
    assert_eq!(error.message, "more than one row returned by a subquery used as an expression");
}

#[test]
fn a_subquery_in_an_arm_that_is_not_taken_does_not_run() {
    let db = Database::new();
    let failing = PhysicalPlan::Project {
        input: boxed(values(&[], &[vec![]])),
        exprs: vec![binary("/", crate::support::number(1), crate::support::number(0))],
    };
    let failing = subplan(SubqueryKind::Scalar, failing, Vec::new(), DataType::Int4);
    let positive = binary(">", islot(0), crate::support::number(0));
    let case = Expr::Case {
        arms: vec![(positive, islot(0))],
        otherwise: Some(Box::new(failing)),
        ty: DataType::Int4,
    };
    assert_eq!(project(&db, &[int(1)], case.clone()).unwrap(), [int(1)]);
    assert_eq!(project(&db, &[int(0)], case).unwrap_err().message, "division by zero");
}

#[test]
fn subqueries_nest_and_hand_down_through_levels() {
    let db = Database::new();
    // For each x: (SELECT (SELECT y + x' FROM …) …), where x' was handed down twice.
    let outer = || Expr::Outer { index: 0, ty: DataType::Int4 };
    let inner_plan = PhysicalPlan::Project {
        input: boxed(values(&INT, &column(&[int(100)]))),
        exprs: vec![binary("+", islot(0), outer())],
    };
    let inner = subplan(SubqueryKind::Scalar, inner_plan, vec![outer()], DataType::Int4);
    let middle_plan = PhysicalPlan::Project {
        input: boxed(values(&[], &[vec![]])),
        exprs: vec![binary("*", inner, outer())],
    };
    let expr = subplan(SubqueryKind::Scalar, middle_plan, vec![islot(0)], DataType::Int4);
    assert_eq!(project(&db, &[int(1), int(2)], expr).unwrap(), [int(101), int(204)]);
}
