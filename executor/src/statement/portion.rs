//! FOR PORTION OF: what is left of a row before and after the portion of time that is changed.
//!
//! The changed row keeps its identity; what is left are new rows with the old values, inserted after the
//! change, so that a key which the row gave up is free. They are not seen by the running statement, and
//! neither counted nor returned.

use driftdb_env::planted;
use driftdb_query::{PhysicalPortion, Result};
use driftdb_tables::{Inserted, TableWriter};
use driftdb_types::Value;

use super::row::check_row;
use crate::context::Run;
use crate::evaluate::row::{evaluate_row, holds};
use crate::integrity::Integrity;

/// What is left of the row of a source row, whose table has so many columns.
pub(crate) fn left_of(
    portion: Option<&PhysicalPortion>,
    source: &[Value],
    width: usize,
    run: &mut Run<'_, '_>,
) -> Result<Vec<Vec<Value>>> {
    let Some(portion) = portion else { return Ok(Vec::new()) };
    let mut left = Vec::with_capacity(2);
    for (is_left, column, limit) in [
        (&portion.is_before, portion.end, &portion.from),
        (&portion.is_after, portion.start, &portion.to),
    ] {
        let is_forgotten = column == portion.start && planted!("executor.portion-forgets-after");
        if holds(is_left, source, run)? && !is_forgotten {
            let mut row = source[1..=width].to_vec();
            if !planted!("executor.portion-leaves-the-whole") {
                row[column] = evaluate_row(limit, source, run)?;
            }
            left.push(row);
        }
    }
    Ok(left)
}

/// Inserts what is left.
pub(crate) fn insert(
    portion: Option<&PhysicalPortion>,
    left: Vec<Vec<Value>>,
    writer: &mut TableWriter,
    integrity: &mut Integrity,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let Some(portion) = portion else { return Ok(()) };
    for mut row in left {
        check_row(writer.table(), &portion.checks, &mut row, run)?;
        if let Inserted::Conflict(conflict) = integrity.insert(writer, &row, run)? {
            return Err(writer.conflict_error(&conflict, run.cx.eval));
        }
    }
    Ok(())
}
