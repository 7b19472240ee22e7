//! System relations under predicates: which part of the key is asked for.

use std::collections::BTreeSet;

use driftdb_query::{ColId, Expr, LogicalPlan, OutputColumn, SetFunction};
use driftdb_types::{Comparison, DataType, Value};

use crate::expr::{as_comparison, has_subquery, is_volatile, uses_any};

/// Hands a scan the limits that predicates put on its key. The predicates must still be asked: the
/// limits are only not too narrow.
pub(super) fn bounded(plan: LogicalPlan, predicates: &[Expr]) -> LogicalPlan {
    match plan {
        LogicalPlan::FunctionScan {
            function: SetFunction::System { relation, at },
            args,
            columns,
        } => {
            let args = match relation.key {
                Some(key) if args.is_empty() => limits(&columns, key, predicates),
                _ => args,
            };
            let function = SetFunction::System { relation, at };
            LogicalPlan::FunctionScan { function, args, columns }
        }
        other => other,
    }
}

fn limits(columns: &[OutputColumn], key: usize, predicates: &[Expr]) -> Vec<Expr> {
    let own: BTreeSet<ColId> = columns.iter().map(|column| column.id).collect();
    let is_key = |expr: &Expr| matches!(expr, Expr::Column { id, .. } if *id == columns[key].id);
    let is_free = |expr: &Expr| {
        let is_integer = matches!(expr.ty(), DataType::Int2 | DataType::Int4 | DataType::Int8);
        is_integer && !uses_any(expr, &own) && !is_volatile(expr) && !has_subquery(expr)
    };
    let (mut from, mut to) = (None, None);
    for predicate in predicates {
        let Some(compared) = as_comparison(predicate) else { continue };
        let (value, comparison) = if is_key(compared.left) && is_free(compared.right) {
            (compared.right, compared.comparison)
        } else if is_key(compared.right) && is_free(compared.left) {
            (compared.left, compared.comparison.commuted())
        } else {
            continue;
        };
        match comparison {
            Comparison::Eq => return vec![value.clone(), value.clone()],
            Comparison::Ge | Comparison::Gt => from = from.or(Some(value)),
            Comparison::Le | Comparison::Lt => to = to.or(Some(value)),
            Comparison::Ne => {}
        }
    }
    if from.is_none() && to.is_none() {
        return Vec::new();
    }
    let end = |value: Option<&Expr>| {
        value.cloned().unwrap_or_else(|| Expr::constant(Value::Null, DataType::Int8))
    };
    vec![end(from), end(to)]
}
