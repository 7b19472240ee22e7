//! MERGE.

use driftdb_query::{
    Expr, Merge, MergeAction, MergeClause, PhysicalDelete, PhysicalMerge, PhysicalMergeAction,
    PhysicalPlan, PhysicalUpdate, PlanContext, Result,
};

use super::statement::{RowScope, places, plan_source};

/// The source of a statement that gets its rows from the MERGE around it.
fn no_source() -> PhysicalPlan {
    PhysicalPlan::Values { rows: Vec::new(), types: Vec::new() }
}

pub(super) fn plan_merge(merge: Merge, cx: &PlanContext) -> Result<PhysicalMerge> {
    let mut exprs: Vec<&Expr> = vec![&merge.on];
    for clause in &merge.clauses {
        exprs.extend(&clause.condition);
        match &clause.action {
            MergeAction::Update(assignments) => {
                exprs.extend(assignments.iter().map(|(_, expr)| expr));
            }
            MergeAction::Insert(row) => exprs.extend(row),
            MergeAction::Delete | MergeAction::Nothing => {}
        }
    }
    let (source, columns) =
        plan_source(merge.source, merge.key, &merge.old, &merge.table, &exprs, cx)?;
    let checks = RowScope::of_table(&merge.row, &merge.table, cx).resolve_rules(merge.checks)?;
    let system = places(&merge.system, &columns);
    let row = RowScope { columns, cx };
    let mut clauses = Vec::with_capacity(merge.clauses.len());
    for MergeClause { matched, condition, action } in merge.clauses {
        let condition = condition.map(|expr| row.resolve(expr)).transpose()?;
        let action = match action {
            MergeAction::Nothing => PhysicalMergeAction::Nothing,
            MergeAction::Insert(values) => PhysicalMergeAction::Insert(row.resolve_all(values)?),
            MergeAction::Update(assignments) => {
                PhysicalMergeAction::Update(Box::new(PhysicalUpdate {
                    table: merge.table.clone(),
                    source: no_source(),
                    assignments: row.resolve_named(assignments)?,
                    system: system.clone(),
                    recheck: None,
                    checks: checks.clone(),
                    related: merge.related.clone(),
                    portion: None,
                    returning: None,
                    fields: Vec::new(),
                }))
            }
            MergeAction::Delete => PhysicalMergeAction::Delete(Box::new(PhysicalDelete {
                table: merge.table.clone(),
                source: no_source(),
                system: system.clone(),
                recheck: None,
                related: merge.related.clone(),
                portion: None,
                returning: None,
                fields: Vec::new(),
            })),
        };
        clauses.push(MergeClause { matched, condition, action });
    }
    let on = row.resolve(merge.on)?;
    let (table, related) = (merge.table, merge.related);
    Ok(PhysicalMerge { table, source, system, on, clauses, checks, related })
}
