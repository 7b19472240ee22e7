//! MERGE.

use driftdb_query::{
    Expr, LogicalPlan, Merge, MergeAction, PhysicalMerge, PhysicalMergeAction, PhysicalMergeClause,
    PhysicalPlan, PlanContext, Result,
};

use super::statement::{RowScope, plan_source, table_columns};
use crate::expr::conjoin;

/// The source of a statement that gets its rows from the MERGE around it.
fn no_source() -> PhysicalPlan {
    PhysicalPlan::Values { rows: Vec::new(), types: Vec::new() }
}

pub(super) fn plan_merge(merge: Merge, cx: &PlanContext) -> Result<PhysicalMerge> {
    let Merge { table, source, key, old, on, clauses } = merge;
    let mut exprs: Vec<&Expr> = vec![&on];
    for clause in &clauses {
        exprs.extend(&clause.condition);
        match &clause.action {
            MergeAction::Update(update) => {
                exprs.extend(update.assignments.iter().map(|(_, expr)| expr));
            }
            MergeAction::Insert(_, row) => exprs.extend(row),
            MergeAction::Delete(_) | MergeAction::Nothing => {}
        }
    }
    let (source, columns) = plan_source(source, key, &old, &table, &exprs, cx)?;
    let row = RowScope { columns, cx };
    let mut planned = Vec::with_capacity(clauses.len());
    for clause in clauses {
        let condition = clause.condition.map(|expr| row.resolve(expr)).transpose()?;
        let action = match clause.action {
            MergeAction::Nothing => PhysicalMergeAction::Nothing,
            MergeAction::Update(mut update) => {
                let assignments = row.resolve_named(std::mem::take(&mut update.assignments))?;
                update.source = LogicalPlan::one_row();
                let new = RowScope { columns: table_columns(&update.row, &table), cx };
                let checks = new.resolve_rules(update.checks)?;
                let parts = [Some(row.resolve(on.clone())?), condition.clone()];
                PhysicalMergeAction::Update(Box::new(driftdb_query::PhysicalUpdate {
                    table: update.table,
                    source: no_source(),
                    assignments,
                    system: Vec::new(),
                    recheck: conjoin(parts.into_iter().flatten().collect()),
                    checks,
                    related: update.related,
                    portion: None,
                    returning: None,
                    fields: Vec::new(),
                }))
            }
            MergeAction::Delete(delete) => {
                let parts = [Some(row.resolve(on.clone())?), condition.clone()];
                PhysicalMergeAction::Delete(Box::new(driftdb_query::PhysicalDelete {
                    table: delete.table,
                    source: no_source(),
                    system: Vec::new(),
                    recheck: conjoin(parts.into_iter().flatten().collect()),
                    related: delete.related,
                    portion: None,
                    returning: None,
                    fields: Vec::new(),
                }))
            }
            MergeAction::Insert(insert, values) => {
                let values = row.resolve_all(values)?;
                let new = RowScope { columns: table_columns(&insert.row, &table), cx };
                let checks = new.resolve_rules(insert.checks)?;
                let insert = driftdb_query::PhysicalInsert {
                    table: insert.table,
                    source: no_source(),
                    checks,
                    related: insert.related,
                    on_conflict: None,
                    returning: None,
                    fields: Vec::new(),
                };
                PhysicalMergeAction::Insert(Box::new(insert), values)
            }
        };
        planned.push(PhysicalMergeClause { matched: clause.matched, condition, action });
    }
    Ok(PhysicalMerge { table, source, on: row.resolve(on)?, clauses: planned })
}
