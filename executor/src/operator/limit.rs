//! LIMIT and OFFSET.

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{SqlState, Value};

use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::Batch;
use crate::context::Run;
use crate::evaluate::row::evaluate_free;

pub(crate) struct Limit {
    input: BoxOperator,
    count: Option<Expr>,
    offset: Option<Expr>,
    /// Rows still to skip and to give, once known.
    left: Option<(u64, u64)>,
}

impl Limit {
    pub(crate) fn new(input: BoxOperator, count: Option<Expr>, offset: Option<Expr>) -> Self {
        Self { input, count, offset, left: None }
    }
}

/// The value of a row count: not negative; `None` for NULL.
fn row_count(
    expr: Option<&Expr>,
    clause: &str,
    state: SqlState,
    run: &mut Run<'_, '_>,
) -> Result<Option<u64>> {
    let Some(expr) = expr else { return Ok(None) };
    let value = evaluate_free(expr, run)?;
    match value.as_int() {
        Some(count) => match u64::try_from(count) {
            Ok(count) => Ok(Some(count)),
            Err(_) => Err(SqlError::new(state, format!("{clause} must not be negative"))),
        },
        None if value == Value::Null => Ok(None),
        None => Err(SqlError::internal(format!("{clause} is not a number"))),
    }
}

impl Operator for Limit {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let (mut skip, mut give) = match self.left {
            Some(left) => left,
            None => {
                let invalid = SqlState::InvalidRowCountInResultOffsetClause;
                let skip = row_count(self.offset.as_ref(), "OFFSET", invalid, run)?.unwrap_or(0);
                let invalid = SqlState::InvalidRowCountInLimitClause;
                let give =
                    row_count(self.count.as_ref(), "LIMIT", invalid, run)?.unwrap_or(u64::MAX);
                (skip, give)
            }
        };
        let mut out = None;
        while give > 0 && out.is_none() {
            let Some(batch) = pull(&mut self.input, run)? else { break };
            let rows = batch.len() as u64;
            let from = skip.min(rows);
            skip -= from;
            let count = give.min(rows - from);
            give -= count;
            if count > 0 {
                out = Some(batch.slice(from as usize, count as usize));
            }
        }
        self.left = Some((skip, give));
        Ok(out)
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        self.left = None;
        rebind(&mut self.input, run);
    }
}
