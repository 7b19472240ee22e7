//! DISTINCT and DISTINCT ON: the first row of each group, in input order.

use driftdb_env::planted;
use driftdb_query::{Expr, Result};
use driftdb_types::DataType;

use super::group_table::GroupTable;
use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::Batch;
use crate::context::Run;
use crate::evaluate::evaluate_all;

pub(crate) struct Distinct {
    input: BoxOperator,
    on: Vec<Expr>,
    types: Vec<DataType>,
    seen: GroupTable,
    held_bytes: usize,
}

impl Distinct {
    pub(crate) fn new(input: BoxOperator, on: Vec<Expr>, types: Vec<DataType>) -> Self {
        let types = if on.is_empty() { types } else { on.iter().map(Expr::ty).collect() };
        let seen = GroupTable::new(&types);
        Self { input, on, types, seen, held_bytes: 0 }
    }
}

impl Operator for Distinct {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        while let Some(batch) = pull(&mut self.input, run)? {
            run.check_cancel()?;
            let keys = if self.on.is_empty() {
                batch.columns()
            } else {
                evaluate_all(&self.on, &batch, run)?
            };
            let (fresh, bytes) = fresh_rows(&mut self.seen, &keys, batch.len());
            self.held_bytes += bytes;
            run.hold(bytes)?;
            if !fresh.is_empty() {
                return Ok(Some(batch.select(&fresh)));
            }
        }
        Ok(None)
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        self.seen = GroupTable::new(&self.types);
        run.release(std::mem::take(&mut self.held_bytes));
        rebind(&mut self.input, run);
    }
}

/// Adds rows to a table: those that were new, and the memory they took.
pub(crate) fn fresh_rows(
    seen: &mut GroupTable,
    keys: &[std::sync::Arc<crate::vector::Vector>],
    len: usize,
) -> (Vec<u32>, usize) {
    let hashes = GroupTable::hash(keys, len);
    let fresh: Vec<u32> = (0..len)
        .filter(|&row| seen.insert(keys, row, hashes[row]).1)
        .filter(|&row| {
            let is_null = |key: &std::sync::Arc<crate::vector::Vector>| key.is_null(row);
            !(planted!("executor.distinct-loses-null") && keys.iter().any(is_null))
        })
        .map(|row| row as u32)
        .collect();
    let key_bytes: usize = keys.iter().map(|key| key.size_bytes()).sum();
    let bytes = fresh.len() * GroupTable::ROW_BYTES + key_bytes * fresh.len() / len.max(1);
    (fresh, bytes)
}
