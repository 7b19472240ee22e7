//! A table's application-time period comes and goes.
//!
//! Its columns stay NOT NULL and its CHECK stays as long as the period does: what reads or changes a
//! portion of time relies on them.

use driftdb_query::{ApplicationPeriod, Column, PeriodSpec, Result, SqlError, Table};
use driftdb_types::SqlState;

use super::foreign::still_needed;

/// Adds a period to the definition of a table.
pub(super) fn add(table: &mut Table, spec: &PeriodSpec) -> Result<()> {
    if let Some(other) = &table.period {
        let message = format!("table \"{}\" already has a period \"{}\"", table.name, other.name);
        return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
    }
    let column = |name: &str| match table.column(name) {
        Some((_, column)) => Ok(column.id),
        None => {
            let message =
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            Err(SqlError::new(SqlState::UndefinedColumn, message))
        }
    };
    table.period = Some(ApplicationPeriod {
        name: spec.name.clone(),
        start: column(&spec.start)?,
        end: column(&spec.end)?,
        check: spec.check.clone(),
    });
    Ok(())
}

/// Takes the period and its CHECK out of the definition.
pub(super) fn remove(table: &mut Table) {
    if let Some(period) = table.period.take() {
        table.checks.retain(|check| check.name != period.check);
    }
}

/// A column goes, and the period with it if CASCADE was said.
pub(super) fn drop_with_column(table: &mut Table, column: &Column, cascade: bool) -> Result<()> {
    if !is_bound(table, column) {
        return Ok(());
    }
    let object = format!("column {} of table {}", column.name, table.name);
    drop_needing(table, &object, cascade)
}

/// A CHECK goes, and the period with it if CASCADE was said.
pub(super) fn drop_with_check(table: &mut Table, name: &str, cascade: bool) -> Result<()> {
    if table.period.as_ref().is_none_or(|period| period.check != name) {
        return Ok(());
    }
    let object = format!("constraint {name} on table {}", table.name);
    drop_needing(table, &object, cascade)
}

/// Drops the period, which depends on an object that goes.
fn drop_needing(table: &mut Table, object: &str, cascade: bool) -> Result<()> {
    let Some(period) = table.period.as_ref().filter(|_| !cascade) else {
        remove(table);
        return Ok(());
    };
    let line = format!("period {} of table {} depends on {object}", period.name, table.name);
    Err(still_needed(object, &[line]))
}

/// 42P16 if a column is one of the period's.
pub(super) fn check_not_bound(table: &Table, position: usize) -> Result<()> {
    let column = &table.columns[position];
    if is_bound(table, column) {
        let message = format!("column \"{}\" is in a period", column.name);
        return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
    }
    Ok(())
}

fn is_bound(table: &Table, column: &Column) -> bool {
    table.period.as_ref().is_some_and(|period| [period.start, period.end].contains(&column.id))
}
