//! Whether predicates that hold imply another: which rows a partial index surely has.
//!
//! A conjunct of the index's predicate is implied by itself, by a comparison of the same thing with a constant
//! that leaves no room (`a > 5` by `a = 7`), and, if it says that something is not NULL, by any comparison
//! of that. Whatever else follows by logic goes unnoticed, and the index unused.
//!
//! Source: PostgreSQL 15, src/backend/optimizer/util/predtest.c, which proves more.

use driftdb_types::{Comparison, DataType, Value, compare, function};

use crate::Expr;

/// Whether rows that pass all of `given` pass `predicate`.
pub fn is_implied(predicate: &Expr, given: &[Expr]) -> bool {
    let mut wanted = Vec::new();
    conjuncts(predicate, &mut wanted);
    wanted.into_iter().all(|wanted| implies_one(wanted, given))
}

/// The parts of a conjunction.
pub fn conjuncts<'e>(expr: &'e Expr, out: &mut Vec<&'e Expr>) {
    match expr {
        Expr::And(args) => args.iter().for_each(|arg| conjuncts(arg, out)),
        Expr::Const { value: Value::Bool(true), .. } => {}
        other => out.push(other),
    }
}

fn as_comparison(expr: &Expr) -> Option<(&Expr, Comparison, &Expr)> {
    let Expr::Call { function: id, args, .. } = expr else { return None };
    let [left, right] = args.as_slice() else { return None };
    Some((left, function(*id).comparison()?, right))
}

fn implies_one(wanted: &Expr, given: &[Expr]) -> bool {
    if let Expr::Or(arms) = wanted
        && arms.iter().any(|arm| is_implied(arm, given))
    {
        return true;
    }
    given.iter().any(|given| given == wanted || follows(wanted, given))
}

fn follows(wanted: &Expr, given: &Expr) -> bool {
    if let Expr::Not(inner) = wanted
        && let Expr::IsNull(tested) = &**inner
    {
        return rejects_null(given, tested);
    }
    let (Some(wanted), Some(given)) = (against_constant(wanted), against_constant(given)) else {
        return false;
    };
    wanted.0 == given.0
        && wanted.2.data_type() == given.2.data_type()
        && within(wanted.1, wanted.2, given.1, given.2)
}

/// Whether `x given a` implies `x wanted b`.
fn within(wanted: Comparison, b: &Value, given: Comparison, a: &Value) -> bool {
    use Comparison::{Eq, Ge, Gt, Le, Lt, Ne};
    let order = compare(a, b);
    match (given, wanted) {
        (Eq, Eq) => order.is_eq(),
        (Eq, Ne) => order.is_ne(),
        (Eq | Gt | Ge, Ge) => order.is_ge(),
        (Eq, Gt) | (Ge, Gt | Ne) => order.is_gt(),
        (Gt, Gt | Ne) => order.is_ge(),
        (Eq | Lt | Le, Le) => order.is_le(),
        (Eq, Lt) | (Le, Lt | Ne) => order.is_lt(),
        (Lt, Lt | Ne) => order.is_le(),
        (Ne, Ne) => order.is_eq(),
        _ => false,
    }
}

/// A comparison of something with a constant that is not NULL.
fn against_constant(expr: &Expr) -> Option<(&Expr, Comparison, &Value)> {
    let (left, comparison, right) = as_comparison(expr)?;
    let constant = |expr: &'_ Expr| matches!(expr, Expr::Const { value, .. } if !value.is_null());
    let (side, comparison, value) = match (constant(left), constant(right)) {
        (false, true) => (left, comparison, right),
        (true, false) => (right, comparison.commuted(), left),
        _ => return None,
    };
    match value {
        // Blanks at the end do not count there, for `compare` they do.
        Expr::Const { ty: DataType::Bpchar, .. } => None,
        Expr::Const { value, .. } => Some((side, comparison, value)),
        _ => None,
    }
}

/// Whether something is not NULL where a predicate holds.
fn rejects_null(given: &Expr, tested: &Expr) -> bool {
    if let Some((left, _, right)) = as_comparison(given) {
        return left == tested || right == tested;
    }
    match given {
        Expr::InList { input, negated: false, .. } => **input == *tested,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    const ALL: [Comparison; 6] = [
        Comparison::Eq,
        Comparison::Ne,
        Comparison::Lt,
        Comparison::Le,
        Comparison::Gt,
        Comparison::Ge,
    ];

    fn holds(x: i32, comparison: Comparison, y: i32) -> bool {
        let order = x.cmp(&y);
        match comparison {
            Comparison::Eq => order == Ordering::Equal,
            Comparison::Ne => order != Ordering::Equal,
            Comparison::Lt => order == Ordering::Less,
            Comparison::Le => order != Ordering::Greater,
            Comparison::Gt => order == Ordering::Greater,
            Comparison::Ge => order != Ordering::Less,
        }
    }

    #[test]
    fn what_is_within_holds_for_every_value() {
        let mut proved = 0;
        for (given, wanted) in ALL.into_iter().flat_map(|a| ALL.map(|b| (a, b))) {
            for (a, b) in (-2..=2).flat_map(|a| (-2..=2).map(move |b| (a, b))) {
                if !within(wanted, &Value::Int4(b), given, &Value::Int4(a)) {
                    continue;
                }
                proved += 1;
                for x in -5..=5 {
                    assert!(!holds(x, given, a) || holds(x, wanted, b), "{x} {given:?} {a}");
                }
            }
        }
        // Of 900 pairs.
        assert!(proved > 150, "{proved}");
    }
}
