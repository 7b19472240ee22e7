//! What statements that write rows share: constraints, locks, and which rows they met.

use driftdb_concurrency::{LockMode, LockStrength, WaitPolicy};
use driftdb_env::HashSet;
use driftdb_query::{
    Expr, PhysicalPlan, Result, RowRules, SqlError, SystemColumn, Table, checked_view,
};
use driftdb_tables::{lock_table, row_detail};
use driftdb_types::{SqlState, Value};

use super::stale;
use crate::context::Run;
use crate::evaluate::row::evaluate_row;
use crate::operator::system_columns::{System, newest_version};

/// Holds the table's definition still for a statement that writes rows.
pub(crate) fn hold_definition(table: &Table, run: &mut Run<'_, '_>) -> Result<()> {
    if lock_table(run.cx.txn, table, LockMode::RowExclusive, WaitPolicy::Wait(None))? {
        return Err(stale(&table.name));
    }
    Ok(())
}

/// Computes the generated columns of a new row, and fails if it violates a CHECK constraint; NULL does not
/// violate.
pub(crate) fn check_row(
    table: &Table,
    rules: &RowRules,
    row: &mut [Value],
    run: &mut Run<'_, '_>,
) -> Result<()> {
    for (position, value) in &rules.generated {
        row[*position] = evaluate_row(value, row, run)?;
    }
    if rules.checks.is_empty() || lacks_value(table, row) {
        // The writer reports a missing value, which comes first.
        return Ok(());
    }
    for (name, condition) in &rules.checks {
        if evaluate_row(condition, row, run)? == Value::Bool(false) {
            if let Some(view) = checked_view(name) {
                let message = format!("new row violates check option for view \"{view}\"");
                return Err(SqlError::new(SqlState::WithCheckOptionViolation, message)
                    .with_detail(row_detail(table, row, run.cx.eval)));
            }
            let message = format!(
                "new row for relation \"{}\" violates check constraint \"{name}\"",
                table.name
            );
            return Err(SqlError::new(SqlState::CheckViolation, message)
                .with_detail(row_detail(table, row, run.cx.eval))
                .with_constraint(&table.name, name));
        }
    }
    Ok(())
}

fn lacks_value(table: &Table, row: &[Value]) -> bool {
    table.columns.iter().zip(row).any(|(column, value)| column.not_null && value.is_null())
}

/// How strongly an update locks: others may still refer to a row whose keys stay.
pub(crate) fn update_strength(table: &Table, assignments: &[(usize, Expr)]) -> LockStrength {
    update_strength_of(table, assignments.iter().map(|(position, _)| *position))
}

/// The same, by the positions of the columns that change.
pub(crate) fn update_strength_of(
    table: &Table,
    changed: impl Iterator<Item = usize> + Clone,
) -> LockStrength {
    let assigned = |id| {
        let Some(position) = table.position(id) else { return false };
        // What is computed changes with what it is computed from.
        table.columns[position].is_stored() || changed.clone().any(|changed| changed == position)
    };
    let changes_key = table
        .indexes
        .iter()
        .filter(|index| index.is_key())
        .any(|index| index.columns.iter().any(|column| assigned(column.column)));
    if changes_key { LockStrength::Update } else { LockStrength::NoKeyUpdate }
}

/// Whether a source may give the same target row twice: only joins do.
pub(crate) fn may_repeat(source: &PhysicalPlan) -> bool {
    match source {
        PhysicalPlan::Access(_) => false,
        PhysicalPlan::Filter { input, .. }
        | PhysicalPlan::Project { input, .. }
        | PhysicalPlan::Sort { input, .. }
        | PhysicalPlan::Limit { input, .. } => may_repeat(input),
        _ => true,
    }
}

/// The storage keys of rows that a statement changed.
#[derive(Default)]
pub(crate) struct Touched {
    keys: HashSet<Box<[u8]>>,
}

impl Touched {
    /// Remembers a key; false if it was there.
    pub(crate) fn add(&mut self, key: &[u8], run: &mut Run<'_, '_>) -> Result<bool> {
        if self.keys.contains(key) {
            return Ok(false);
        }
        run.hold(key.len() + 32)?;
        self.keys.insert(key.into());
        Ok(true)
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.keys.contains(key)
    }
}

/// The storage key that a source gives first.
pub(crate) fn storage_key(row: &[Value]) -> Result<&[u8]> {
    match row.first() {
        Some(Value::Bytea(key)) => Ok(key),
        _ => Err(SqlError::internal("the source gives no storage key")),
    }
}

/// Brings the target's system columns in a source row up to date, after the row had changed before it was
/// locked: they are those of its newest version, which nobody changes now.
pub(crate) fn refresh_system(
    table: &Table,
    system: &[(usize, SystemColumn)],
    row: &mut [Value],
    run: &mut Run<'_, '_>,
) -> Result<()> {
    if system.is_empty() {
        return Ok(());
    }
    let key = storage_key(row)?;
    let columns: Vec<SystemColumn> = system.iter().map(|(_, column)| *column).collect();
    let version = newest_version(run.cx.txn, run.cx.store, table.keyspace, key)?;
    let values = System::new(&columns).values(version, run.cx.store)?;
    for ((at, _), value) in system.iter().zip(values) {
        row[*at] = value;
    }
    Ok(())
}
