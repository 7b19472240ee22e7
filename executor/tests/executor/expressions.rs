//! Vector evaluation against the definition, on random expressions and rows.

use driftdb_query::eval::{Scope, eval};
use driftdb_query::{BoolTest, Expr, PhysicalPlan, Result, Subplan};
use driftdb_types::{
    CastContext, DataType, EvalContext, Value, resolve_function, resolve_operator,
};
use proptest::prelude::*;

use crate::support::{Database, Row, binary, boxed, slot, values};

/// Two columns of each type.
const TYPES: [DataType; 10] = [
    DataType::Int4,
    DataType::Int4,
    DataType::Bool,
    DataType::Bool,
    DataType::Text,
    DataType::Text,
    DataType::Float8,
    DataType::Float8,
    DataType::Numeric,
    DataType::Numeric,
];

struct OneRow<'a> {
    row: &'a [Value],
    context: &'a EvalContext,
}

impl Scope for OneRow<'_> {
    fn slot(&self, index: usize) -> Value {
        self.row[index].clone()
    }

    fn outer(&self, _index: usize) -> Value {
        unreachable!("no outer values are generated")
    }

    fn param(&self, _index: usize) -> Result<Value> {
        unreachable!("no parameters are generated")
    }

    fn context(&self) -> &EvalContext {
        self.context
    }

    fn subplan(&self, _subplan: &Subplan) -> Result<Value> {
        unreachable!("no subqueries are generated")
    }
}

fn value(ty: DataType) -> BoxedStrategy<Value> {
    let present = match ty {
        DataType::Int4 => prop_oneof![
            4 => (-3..4).prop_map(Value::Int4),
            1 => any::<i32>().prop_map(Value::Int4),
        ]
        .boxed(),
        DataType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        DataType::Text => "[ab1%_]{0,3}".prop_map(Value::text).boxed(),
        DataType::Float8 => {
            let special = [0.0, -0.0, f64::NAN, f64::INFINITY, 1.5, -2.0, 1e300];
            prop::sample::select(special.to_vec()).prop_map(Value::Float8).boxed()
        }
        _ => (-50..50i128, 0..3u16)
            .prop_map(|(digits, scale)| {
                Value::Numeric(driftdb_types::Numeric::Small { digits, scale })
            })
            .boxed(),
    };
    prop_oneof![5 => present, 1 => Just(Value::Null)].boxed()
}

fn leaf(ty: DataType) -> BoxedStrategy<Expr> {
    let first = TYPES.iter().position(|column| *column == ty).unwrap();
    prop_oneof![
        2 => (first..first + 2).prop_map(move |index| slot(index, ty)),
        1 => value(ty).prop_map(move |value| Expr::constant(value, ty)),
    ]
    .boxed()
}

/// A call by name, if there is such a function on these types.
fn call(name: &str, args: Vec<Expr>) -> Expr {
    let types: Vec<DataType> = args.iter().map(Expr::ty).collect();
    let resolved = resolve_function(name, &types).unwrap();
    assert_eq!(resolved.arg_types, types);
    Expr::Call { function: resolved.id, args, ty: resolved.result }
}

fn cast(input: Expr, to: DataType) -> Expr {
    let context = CastContext::Explicit;
    Expr::Cast { input: Box::new(input), to, typmod: -1, context }
}

fn arm(ty: DataType, depth: u32) -> BoxedStrategy<Expr> {
    (expr(DataType::Bool, depth), expr(ty, depth), expr(ty, depth), expr(ty, depth))
        .prop_map(move |(condition, a, b, c)| {
            let arms = vec![(condition.clone(), a.clone()), (Expr::Not(Box::new(condition)), b)];
            prop_case(arms, c, a, ty)
        })
        .boxed()
}

fn prop_case(arms: Vec<(Expr, Expr)>, otherwise: Expr, again: Expr, ty: DataType) -> Expr {
    let case = Expr::Case { arms, otherwise: Some(Box::new(otherwise)), ty };
    Expr::Coalesce { args: vec![case, again], ty }
}

fn comparison(depth: u32) -> BoxedStrategy<Expr> {
    let ty = prop::sample::select(vec![
        DataType::Int4,
        DataType::Text,
        DataType::Float8,
        DataType::Numeric,
    ]);
    let operator = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    (ty, operator)
        .prop_flat_map(move |(ty, operator)| {
            (expr(ty, depth), expr(ty, depth)).prop_map(move |(a, b)| binary(operator, a, b))
        })
        .boxed()
}

/// A few expressions, or so many constants that they are looked up.
fn in_candidates(depth: u32) -> BoxedStrategy<Vec<Expr>> {
    let constant = value(DataType::Int4).prop_map(|value| Expr::constant(value, DataType::Int4));
    prop_oneof![
        prop::collection::vec(expr(DataType::Int4, depth), 1..4),
        prop::collection::vec(constant, 8..10),
    ]
    .boxed()
}

fn in_list(depth: u32) -> BoxedStrategy<Expr> {
    (expr(DataType::Int4, depth), in_candidates(depth), any::<bool>())
        .prop_map(|(input, list, negated)| {
            let equal =
                resolve_operator("=", Some(DataType::Int4), Some(DataType::Int4)).unwrap().id;
            Expr::InList { input: Box::new(input), list, equal, negated }
        })
        .boxed()
}

fn expr(ty: DataType, depth: u32) -> BoxedStrategy<Expr> {
    if depth == 0 {
        return leaf(ty);
    }
    let depth = depth - 1;
    let two = |ty| (expr(ty, depth), expr(ty, depth));
    let special = match ty {
        DataType::Int4 => prop_oneof![
            (two(ty), prop::sample::select(vec!["+", "-", "*", "/", "%"]))
                .prop_map(|((a, b), operator)| binary(operator, a, b)),
            expr(DataType::Text, depth).prop_map(|a| call("length", vec![a])),
            expr(DataType::Text, depth).prop_map(|a| cast(a, DataType::Int4)),
            two(ty).prop_map(move |(a, b)| Expr::Extreme {
                args: vec![a, b],
                greatest: true,
                ty
            }),
        ]
        .boxed(),
        DataType::Bool => prop_oneof![
            3 => comparison(depth),
            2 => two(ty).prop_map(|(a, b)| Expr::And(vec![a, b])),
            2 => two(ty).prop_map(|(a, b)| Expr::Or(vec![a, b])),
            1 => expr(ty, depth).prop_map(|a| Expr::Not(Box::new(a))),
            1 => expr(DataType::Int4, depth).prop_map(|a| Expr::IsNull(Box::new(a))),
            1 => (expr(ty, depth), any::<bool>()).prop_map(|(a, negated)| Expr::IsBool {
                input: Box::new(a),
                test: BoolTest::Unknown,
                negated
            }),
            1 => (two(DataType::Text), any::<bool>()).prop_map(|((a, b), negated)| {
                let equal = resolve_operator("=", Some(DataType::Text), Some(DataType::Text)).unwrap().id;
                Expr::IsDistinct { left: Box::new(a), right: Box::new(b), equal, negated }
            }),
            1 => two(DataType::Text).prop_map(|(a, b)| binary("~~", a, b)),
            1 => in_list(depth),
        ]
        .boxed(),
        DataType::Text => prop_oneof![
            two(ty).prop_map(|(a, b)| binary("||", a, b)),
            expr(ty, depth).prop_map(|a| call("upper", vec![a])),
            expr(DataType::Int4, depth).prop_map(|a| cast(a, DataType::Text)),
        ]
        .boxed(),
        DataType::Float8 => prop_oneof![
            (two(ty), prop::sample::select(vec!["+", "-", "*", "/"]))
                .prop_map(|((a, b), operator)| binary(operator, a, b)),
            expr(DataType::Int4, depth).prop_map(|a| cast(a, DataType::Float8)),
        ]
        .boxed(),
        _ => prop_oneof![
            (two(ty), prop::sample::select(vec!["+", "-", "*", "/"]))
                .prop_map(|((a, b), operator)| binary(operator, a, b)),
            expr(DataType::Int4, depth).prop_map(|a| cast(a, DataType::Numeric)),
        ]
        .boxed(),
    };
    prop_oneof![4 => special, 1 => arm(ty, depth), 1 => leaf(ty)].boxed()
}

fn any_expr() -> BoxedStrategy<Expr> {
    prop::sample::select(vec![
        DataType::Int4,
        DataType::Bool,
        DataType::Text,
        DataType::Float8,
        DataType::Numeric,
    ])
    .prop_flat_map(|ty| expr(ty, 4))
    .boxed()
}

fn row() -> BoxedStrategy<Row> {
    TYPES.map(value).to_vec().boxed()
}

/// By vectors: all rows at once, behind a filter that leaves a selection.
fn by_vectors(db: &Database, expr: &Expr, rows: &[Row]) -> Result<Vec<Value>> {
    let input = PhysicalPlan::Filter {
        input: boxed(values(&TYPES, rows)),
        predicate: Expr::Not(Box::new(Expr::IsNull(Box::new(slot(2, DataType::Bool))))),
    };
    let plan = PhysicalPlan::Project { input: boxed(input), exprs: vec![expr.clone()] };
    Ok(db.rows(plan)?.into_iter().map(|mut row| row.remove(0)).collect())
}

fn same(a: &Value, b: &Value) -> bool {
    // NaN is not equal to itself, and -0 is not 0, in the text.
    format!("{a:?}") == format!("{b:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn vectors_agree_with_the_definition(
        expr in any_expr(),
        rows in prop::collection::vec(row(), 0..20),
    ) {
        let db = Database::new();
        let selected: Vec<&Row> = rows.iter().filter(|row| !row[2].is_null()).collect();
        let expected: Result<Vec<Value>> = selected
            .iter()
            .map(|row| eval(&expr, &OneRow { row, context: &db.eval }))
            .collect();
        let actual = by_vectors(&db, &expr, &rows);
        match (&expected, &actual) {
            (Ok(expected), Ok(actual)) => {
                prop_assert_eq!(expected.len(), actual.len());
                for (expected, actual) in expected.iter().zip(actual) {
                    prop_assert!(same(expected, actual), "{expected:?} is not {actual:?}");
                }
            }
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "{expected:?} is not {actual:?}"),
        }
        // One row alone must give the very same error.
        for row in selected {
            let expected = eval(&expr, &OneRow { row, context: &db.eval });
            let actual = by_vectors(&db, &expr, std::slice::from_ref(row));
            match (expected, actual) {
                (Ok(expected), Ok(actual)) => prop_assert!(same(&expected, &actual[0])),
                (Err(expected), Err(actual)) => prop_assert_eq!(expected, actual),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}

#[test]
fn an_arm_that_is_not_taken_does_not_fail() {
    let db = Database::new();
    let rows: Vec<Row> = [2, 0, 5].into_iter().map(|v| vec![Value::Int4(v)]).collect();
    let column = || slot(0, DataType::Int4);
    let nonzero = binary("<>", column(), crate::support::number(0));
    let quotient = binary("/", crate::support::number(10), column());
    let guarded = Expr::Case {
        arms: vec![(nonzero.clone(), quotient.clone())],
        otherwise: None,
        ty: DataType::Int4,
    };
    let also = Expr::And(vec![nonzero, binary(">", quotient.clone(), crate::support::number(2))]);
    let project =
        |exprs| PhysicalPlan::Project { input: boxed(values(&[DataType::Int4], &rows)), exprs };
    let answer = db.rows(project(vec![guarded, also])).unwrap();
    assert_eq!(answer[0], [Value::Int4(5), Value::Bool(true)]);
    assert_eq!(answer[1], [Value::Null, Value::Bool(false)]);
    assert_eq!(answer[2], [Value::Int4(2), Value::Bool(false)]);
    let error = db.rows(project(vec![quotient])).unwrap_err();
    assert_eq!(error.message, "division by zero");
}

#[test]
fn a_deep_expression_does_not_overflow_the_stack() {
    let db = Database::new();
    let mut deep = slot(0, DataType::Int4);
    for _ in 0..500 {
        deep = binary("+", deep, crate::support::number(1));
    }
    let plan = PhysicalPlan::Project {
        input: boxed(values(&[DataType::Int4], &[vec![Value::Int4(1)]])),
        exprs: vec![deep],
    };
    assert_eq!(db.rows(plan).unwrap(), [[Value::Int4(501)]]);
}
