//! How many rows a plan yields, guessed without statistics but the last row count.

use driftdb_query::{Expr, JoinKind, LogicalPlan, ScanColumn, Table};
use driftdb_types::Comparison;

use crate::expr::{as_comparison, conjuncts};

/// Rows of a table that was never analyzed.
const UNKNOWN_TABLE: f64 = 1000.0;
/// The share of rows that pass an equality on a column that is no key.
const EQUALITY: f64 = 0.01;
/// The share of rows that pass any other predicate.
const OTHER: f64 = 0.33;

/// Guesses the rows that a plan yields.
pub(crate) fn guess_rows(plan: &LogicalPlan) -> f64 {
    match plan {
        LogicalPlan::Values { rows, .. } => rows.len() as f64,
        LogicalPlan::Scan { table, .. } => table_rows(table),
        LogicalPlan::FunctionScan { .. }
        | LogicalPlan::CteScan { .. }
        | LogicalPlan::WorkingTable { .. }
        | LogicalPlan::Change { .. } => UNKNOWN_TABLE,
        LogicalPlan::Window { input, .. } => guess_rows(input),
        LogicalPlan::Recursive { seed, step, .. } => guess_rows(seed) + 10.0 * guess_rows(step),
        LogicalPlan::GroupingSets { input, sets, .. } => {
            (guess_rows(input) * 0.1 * sets.len() as f64).max(1.0)
        }
        LogicalPlan::Filter { input, predicate } => {
            let mut predicates = Vec::new();
            conjuncts(predicate.clone(), &mut predicates);
            match &**input {
                LogicalPlan::Scan { table, columns, .. } => {
                    filtered_rows(table, columns, &predicates)
                }
                other => guess_rows(other) * predicates.iter().map(share).product::<f64>(),
            }
        }
        LogicalPlan::Project { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::Lock { input, .. } => guess_rows(input),
        LogicalPlan::Limit { input, count, .. } => match count {
            Some(Expr::Const { value: driftdb_types::Value::Int8(count), .. }) => {
                guess_rows(input).min(*count as f64)
            }
            _ => guess_rows(input),
        },
        LogicalPlan::Distinct { input, .. } => (guess_rows(input) * 0.5).max(1.0),
        LogicalPlan::Aggregate { groups, .. } if groups.is_empty() => 1.0,
        LogicalPlan::Aggregate { input, .. } => (guess_rows(input) * 0.1).max(1.0),
        LogicalPlan::Join { kind: JoinKind::Semi | JoinKind::Anti, left, .. } => {
            guess_rows(left) * 0.5
        }
        LogicalPlan::Join { left, right, on, .. } => {
            let (left, right) = (guess_rows(left), guess_rows(right));
            let mut conditions = Vec::new();
            conjuncts(on.clone(), &mut conditions);
            if conditions.is_empty() { left * right } else { left.max(right) }
        }
        LogicalPlan::SetOp { left, right, .. } => guess_rows(left) + guess_rows(right),
        LogicalPlan::With { body, .. } => guess_rows(body),
    }
}

fn table_rows(table: &Table) -> f64 {
    table.row_count.map_or(UNKNOWN_TABLE, |count| count as f64).max(1.0)
}

fn share(predicate: &Expr) -> f64 {
    match as_comparison(predicate) {
        Some(compared) if compared.comparison == Comparison::Eq => EQUALITY,
        _ => OTHER,
    }
}

/// Rows of a table that pass the predicates: at most one if they fix a unique key.
pub(super) fn filtered_rows(table: &Table, columns: &[ScanColumn], predicates: &[Expr]) -> f64 {
    let fixed: Vec<usize> =
        predicates.iter().filter_map(|predicate| fixed_position(columns, predicate)).collect();
    let unique = table.indexes.iter().filter(|index| index.is_key()).any(|index| {
        index.columns.iter().all(|column| {
            table.position(column.column).is_some_and(|position| fixed.contains(&position))
        })
    });
    if unique {
        return 1.0;
    }
    (table_rows(table) * predicates.iter().map(share).product::<f64>()).max(1.0)
}

/// The column that an equality fixes.
fn fixed_position(columns: &[ScanColumn], predicate: &Expr) -> Option<usize> {
    let compared = as_comparison(predicate)?;
    let scanned = |expr: &Expr| match expr {
        Expr::Column { id, .. } => columns.iter().find(|c| c.id == *id).map(|c| c.position),
        _ => None,
    };
    (compared.comparison == Comparison::Eq)
        .then(|| scanned(compared.left).or_else(|| scanned(compared.right)))
        .flatten()
}
