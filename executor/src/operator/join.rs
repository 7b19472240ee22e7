//! What all joins share: from candidate pairs to joined rows.
//!
//! A join lists, for each left row in order, its candidates on the right and then an end mark. [`Emit`]
//! evaluates the rest of the condition over all candidates at once and walks the list: pairs that hold
//! become rows, and at the end mark it is known whether the left row had a match.

use std::sync::Arc;

use driftdb_query::{Expr, JoinKind, Result};
use driftdb_types::DataType;

use crate::batch::{BATCH_ROWS, Batch};
use crate::context::Run;
use crate::evaluate::evaluate_batch;
use crate::vector::{Bitmap, NO_ROW, Vector};

/// The end mark of a left row, in place of a right row.
pub(crate) const END: u32 = NO_ROW;

/// Candidates: left rows of one batch, right rows of one buffer.
#[derive(Default)]
pub(crate) struct Pairs {
    left: Vec<u32>,
    right: Vec<u32>,
}

impl Pairs {
    pub(crate) fn push(&mut self, left: u32, right: u32) {
        self.left.push(left);
        self.right.push(right);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.left.len() >= BATCH_ROWS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    fn clear(&mut self) {
        self.left.clear();
        self.right.clear();
    }
}

/// The kind of a join and the rest of its condition.
pub(crate) struct Emit {
    pub(crate) kind: JoinKind,
    residual: Option<Expr>,
    left_types: Vec<DataType>,
    pub(crate) right_types: Vec<DataType>,
    /// Whether the left row whose end mark has not come yet has a match.
    matched: bool,
    /// The right rows with a match, where that matters.
    matched_right: Option<Bitmap>,
}

impl Emit {
    pub(crate) fn new(
        kind: JoinKind,
        residual: Option<Expr>,
        left_types: Vec<DataType>,
        right_types: Vec<DataType>,
    ) -> Self {
        Self { kind, residual, left_types, right_types, matched: false, matched_right: None }
    }

    /// Starts over, with so many rows on the right.
    pub(crate) fn start(&mut self, right_rows: usize) {
        self.matched = false;
        let tracks = matches!(self.kind, JoinKind::Right | JoinKind::Full);
        self.matched_right = tracks.then(|| Bitmap::filled(right_rows, false));
    }

    /// Whether the first candidate decides about a left row.
    pub(crate) fn first_decides(&self) -> bool {
        self.residual.is_none() && matches!(self.kind, JoinKind::Semi | JoinKind::Anti)
    }

    /// The joined rows of a list, which is emptied.
    pub(crate) fn emit(
        &mut self,
        left: &Batch,
        right: &[&Vector],
        pairs: &mut Pairs,
        run: &mut Run<'_, '_>,
    ) -> Result<Batch> {
        let holds = self.test(left, right, pairs, run)?;
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        let mut real = 0;
        for (&left_row, &right_row) in pairs.left.iter().zip(&pairs.right) {
            if right_row == END {
                let alone = match self.kind {
                    JoinKind::Semi => self.matched,
                    JoinKind::Left | JoinKind::Full | JoinKind::Anti => !self.matched,
                    JoinKind::Inner | JoinKind::Right => false,
                };
                self.matched = false;
                if alone {
                    left_rows.push(left_row);
                    right_rows.push(NO_ROW);
                }
                continue;
            }
            real += 1;
            if holds.as_ref().is_some_and(|holds| !holds.is_true(real - 1)) {
                continue;
            }
            self.matched = true;
            if let Some(matched) = &mut self.matched_right {
                matched.set(right_row as usize, true);
            }
            if !matches!(self.kind, JoinKind::Semi | JoinKind::Anti) {
                left_rows.push(left_row);
                right_rows.push(right_row);
            }
        }
        pairs.clear();
        if matches!(self.kind, JoinKind::Semi | JoinKind::Anti) {
            return Ok(left.select(&left_rows));
        }
        Ok(joined(left, right, &left_rows, &right_rows))
    }

    /// The rest of the condition over the candidates without the end marks.
    fn test(
        &self,
        left: &Batch,
        right: &[&Vector],
        pairs: &Pairs,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Arc<Vector>>> {
        let Some(residual) = &self.residual else { return Ok(None) };
        let real = || pairs.left.iter().zip(&pairs.right).filter(|(_, right)| **right != END);
        let left_rows: Vec<u32> = real().map(|(left, _)| *left).collect();
        let right_rows: Vec<u32> = real().map(|(_, right)| *right).collect();
        let candidates = joined(left, right, &left_rows, &right_rows);
        evaluate_batch(residual, &candidates, run).map(Some)
    }

    /// The right rows without a match from `from` on, with NULLs on the left, and where to go on.
    pub(crate) fn unmatched_right(&self, right: &[&Vector], from: usize) -> Option<(Batch, usize)> {
        let matched = self.matched_right.as_ref()?;
        let end = matched.len().min(from + BATCH_ROWS);
        if from == end {
            return None;
        }
        let rows: Vec<u32> =
            (from..end).filter(|&row| !matched.get(row)).map(|row| row as u32).collect();
        let nulls = self.left_types.iter().map(|ty| Arc::new(Vector::nulls(*ty, rows.len())));
        let columns = nulls.chain(right.iter().map(|column| Arc::new(column.gather(&rows))));
        Some((Batch::new(columns.collect(), rows.len()), end))
    }
}

/// The columns of both sides at some rows.
fn joined(left: &Batch, right: &[&Vector], left_rows: &[u32], right_rows: &[u32]) -> Batch {
    let left = left.select(left_rows);
    let right = right.iter().map(|column| Arc::new(column.gather_or_null(right_rows)));
    let columns = left.columns().into_iter().chain(right).collect();
    Batch::new(columns, left_rows.len())
}
