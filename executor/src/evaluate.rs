//! Expressions over vectors.
//!
//! The meaning of an expression is `driftdb_query::eval::eval`; this gives the same values for many
//! rows at once, by the same kernels. Results have one row for each selected row of the input. Parts
//! that a row does not need are not evaluated for it: AND and OR go on with the undecided rows only,
//! an arm of CASE sees the rows that take it, so that `CASE WHEN b <> 0 THEN a / b END` cannot fail.
//! With several rows that fail, it is not said which one's error is reported.

mod call;
mod cast;
mod choice;
mod logic;
pub(crate) mod row;

use std::sync::Arc;

use driftdb_query::{BoolTest, Expr, Result, SqlError, eval::missing_parameter};

use crate::batch::Batch;
use crate::context::Run;
use crate::subplan;
use crate::vector::{Bitmap, Vector};

/// The rows that an expression is evaluated over.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    columns: &'a [Arc<Vector>],
    selection: Option<&'a [u32]>,
    len: usize,
}

impl<'a> Rows<'a> {
    /// All rows of a batch.
    pub(crate) fn of(batch: &'a Batch) -> Self {
        Self { columns: batch.stored(), selection: batch.selection(), len: batch.len() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The places in the columns of the rows at `positions`.
    fn places(&self, positions: &[u32]) -> Vec<u32> {
        match self.selection {
            Some(selection) => positions.iter().map(|&row| selection[row as usize]).collect(),
            None => positions.to_vec(),
        }
    }

    /// The same columns, at some places of theirs.
    fn at(&self, places: &'a [u32]) -> Self {
        Self { columns: self.columns, selection: Some(places), len: places.len() }
    }
}

/// Evaluates over all rows of a batch.
pub(crate) fn evaluate_batch(
    expr: &Expr,
    batch: &Batch,
    run: &mut Run<'_, '_>,
) -> Result<Arc<Vector>> {
    evaluate(expr, Rows::of(batch), run)
}

/// Evaluates several expressions over all rows of a batch.
pub(crate) fn evaluate_all(
    exprs: &[Expr],
    batch: &Batch,
    run: &mut Run<'_, '_>,
) -> Result<Vec<Arc<Vector>>> {
    exprs.iter().map(|expr| evaluate(expr, Rows::of(batch), run)).collect()
}

/// Evaluates some expressions over some rows.
fn evaluate_args(
    exprs: &[Expr],
    rows: Rows<'_>,
    run: &mut Run<'_, '_>,
) -> Result<Vec<Arc<Vector>>> {
    exprs.iter().map(|expr| evaluate(expr, rows, run)).collect()
}

/// Evaluates over some rows.
pub(crate) fn evaluate(expr: &Expr, rows: Rows<'_>, run: &mut Run<'_, '_>) -> Result<Arc<Vector>> {
    if rows.len == 0 {
        return Ok(Arc::new(Vector::nulls(expr.ty(), 0)));
    }
    match expr {
        Expr::Const { value, ty } => Ok(Arc::new(Vector::constant(*ty, value.clone(), rows.len))),
        Expr::Slot { index, .. } => Ok(match rows.selection {
            Some(selection) => Arc::new(rows.columns[*index].gather(selection)),
            None => Arc::clone(&rows.columns[*index]),
        }),
        Expr::Outer { index, ty } => {
            let value = run.state.frame[*index].clone();
            Ok(Arc::new(Vector::constant(*ty, value, rows.len)))
        }
        Expr::Param { index, ty } => {
            let value = run.cx.params.get(*index).ok_or_else(|| missing_parameter(*index))?;
            Ok(Arc::new(Vector::constant(*ty, value.clone(), rows.len)))
        }
        _ => run.nested(|run| evaluate_node(expr, rows, run)),
    }
}

fn evaluate_node(expr: &Expr, rows: Rows<'_>, run: &mut Run<'_, '_>) -> Result<Arc<Vector>> {
    let vector = match expr {
        Expr::Call { function, args, ty } => {
            let args = evaluate_args(args, rows, run)?;
            call::apply(driftdb_types::function(*function), *ty, &args, rows.len, run.cx.eval)?
        }
        Expr::Routine { call, args, ty } => {
            let args = evaluate_args(args, rows, run)?;
            crate::routine::evaluate(call, *ty, &args, rows.len, run)?
        }
        Expr::Cast { input, to, typmod, context } => {
            let from = input.ty();
            let input = evaluate(input, rows, run)?;
            return cast::apply(input, from, *to, *typmod, *context, run.cx.eval);
        }
        Expr::And(args) => logic::connective(args, false, rows, run)?,
        Expr::Or(args) => logic::connective(args, true, rows, run)?,
        Expr::Not(input) => {
            let input = evaluate(input, rows, run)?;
            logic::from_truth(rows.len, |row| input.truth(row).map(|truth| !truth))
        }
        Expr::IsNull(input) => {
            let input = evaluate(input, rows, run)?;
            logic::from_truth(rows.len, |row| Some(input.is_null(row)))
        }
        Expr::IsBool { input, test, negated } => {
            let input = evaluate(input, rows, run)?;
            logic::from_truth(rows.len, |row| {
                let holds = match test {
                    BoolTest::True => input.truth(row) == Some(true),
                    BoolTest::False => input.truth(row) == Some(false),
                    BoolTest::Unknown => input.is_null(row),
                };
                Some(holds != *negated)
            })
        }
        Expr::IsDistinct { left, right, equal, negated } => {
            let sides = [evaluate(left, rows, run)?, evaluate(right, rows, run)?];
            let same = call::apply(
                driftdb_types::function(*equal),
                driftdb_types::DataType::Bool,
                &sides,
                rows.len,
                run.cx.eval,
            )?;
            logic::from_truth(rows.len, |row| {
                let same = match (sides[0].is_null(row), sides[1].is_null(row)) {
                    (true, true) => true,
                    (false, false) => same.is_true(row),
                    _ => false,
                };
                Some(same == *negated)
            })
        }
        Expr::InList { input, list, equal, negated } => {
            logic::in_list(input, list, *equal, *negated, rows, run)?
        }
        Expr::Quantified { input, array, operator, all } => {
            logic::quantified(input, array, *operator, *all, rows, run)?
        }
        Expr::Case { arms, otherwise, ty } => {
            choice::case(arms, otherwise.as_deref(), *ty, rows, run)?
        }
        Expr::Coalesce { args, ty } => choice::coalesce(args, *ty, rows, run)?,
        Expr::Extreme { args, greatest, ty } => choice::extreme(args, *greatest, *ty, rows, run)?,
        Expr::Subplan(subplan) => subplan::evaluate(subplan, rows, run)?,
        Expr::Column { id, .. } => {
            return Err(SqlError::internal(format!("column {} was not planned", id.0)));
        }
        Expr::Subquery(_) => return Err(SqlError::internal("a subquery was not planned")),
        Expr::Const { .. } | Expr::Slot { .. } | Expr::Outer { .. } | Expr::Param { .. } => {
            unreachable!("leaves are not nodes")
        }
    };
    Ok(Arc::new(vector))
}

/// The rows in which all vectors have a value; `None`: all rows.
fn common_validity(vectors: &[Arc<Vector>]) -> Option<Bitmap> {
    let mut valid = vectors.iter().filter_map(|vector| vector.validity());
    let first = valid.next()?.clone();
    Some(valid.fold(first, |all, next| all.and(next)))
}
