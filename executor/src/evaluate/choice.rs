//! CASE, COALESCE, GREATEST and LEAST over vectors.

use std::sync::Arc;

use driftdb_query::{Expr, Result};
use driftdb_types::DataType;

use super::{Rows, evaluate, evaluate_args};
use crate::context::Run;
use crate::vector::{NO_ROW, Vector};

const NONE: (u32, u32) = (NO_ROW, NO_ROW);

/// Searched CASE: each condition sees the rows that took no arm before, each result the rows that
/// take its arm.
pub(super) fn case(
    arms: &[(Expr, Expr)],
    otherwise: Option<&Expr>,
    ty: DataType,
    rows: Rows<'_>,
    run: &mut Run<'_, '_>,
) -> Result<Vector> {
    let mut picks = vec![NONE; rows.len()];
    let mut parts = Vec::new();
    let mut open: Vec<u32> = (0..rows.len() as u32).collect();
    let mut take = |taken: &[u32], result: &Expr, run: &mut Run<'_, '_>| -> Result<()> {
        if taken.is_empty() {
            return Ok(());
        }
        let places = rows.places(taken);
        let part = parts.len() as u32;
        parts.push(evaluate(result, rows.at(&places), run)?);
        for (index, &row) in taken.iter().enumerate() {
            picks[row as usize] = (part, index as u32);
        }
        Ok(())
    };
    for (condition, result) in arms {
        if open.is_empty() {
            break;
        }
        let places = rows.places(&open);
        let truth = evaluate(condition, rows.at(&places), run)?;
        let (mut taken, mut still_open) = (Vec::new(), Vec::new());
        for (index, &row) in open.iter().enumerate() {
            if truth.is_true(index) { taken.push(row) } else { still_open.push(row) }
        }
        take(&taken, result, run)?;
        open = still_open;
    }
    if let Some(otherwise) = otherwise {
        take(&open, otherwise, run)?;
    }
    Ok(Vector::assemble(ty, &parts, &picks))
}

/// COALESCE: each argument sees the rows for which all before it were NULL.
pub(super) fn coalesce(
    args: &[Expr],
    ty: DataType,
    rows: Rows<'_>,
    run: &mut Run<'_, '_>,
) -> Result<Vector> {
    let mut picks = vec![NONE; rows.len()];
    let mut parts: Vec<Arc<Vector>> = Vec::new();
    let mut open: Vec<u32> = (0..rows.len() as u32).collect();
    for arg in args {
        if open.is_empty() {
            break;
        }
        let places = rows.places(&open);
        let values = evaluate(arg, rows.at(&places), run)?;
        let part = parts.len() as u32;
        let mut index = 0;
        open.retain(|&row| {
            let null = values.is_null(index as usize);
            if !null {
                picks[row as usize] = (part, index);
            }
            index += 1;
            null
        });
        parts.push(values);
    }
    Ok(Vector::assemble(ty, &parts, &picks))
}

/// GREATEST or LEAST.
pub(super) fn extreme(
    args: &[Expr],
    greatest: bool,
    ty: DataType,
    rows: Rows<'_>,
    run: &mut Run<'_, '_>,
) -> Result<Vector> {
    let parts = evaluate_args(args, rows, run)?;
    let mut picks = vec![NONE; rows.len()];
    for (row, pick) in picks.iter_mut().enumerate() {
        for (part, values) in parts.iter().enumerate() {
            if values.is_null(row) {
                continue;
            }
            let better = pick.0 == NO_ROW || {
                // Compared as values: the definition does not look at the type either.
                let best = parts[pick.0 as usize].value(row);
                driftdb_types::compare(&values.value(row), &best).is_gt() == greatest
            };
            if better {
                *pick = (part as u32, row as u32);
            }
        }
    }
    Ok(Vector::assemble(ty, &parts, &picks))
}
