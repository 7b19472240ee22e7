//! UNION, INTERSECT, EXCEPT, with and without ALL.

use driftdb_env::planted;
use driftdb_query::{Result, SetOpKind};
use driftdb_types::DataType;

use super::distinct::fresh_rows;
use super::group_table::GroupTable;
use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::Batch;
use crate::context::Run;

pub(crate) struct SetOp {
    kind: SetOpKind,
    all: bool,
    left: BoxOperator,
    right: BoxOperator,
    types: Vec<DataType>,
    right_depends: bool,
    left_done: bool,
    /// UNION: what was given. The others: the rows of the right side, then also what was given.
    table: GroupTable,
    /// The right side's count of each row, if that side was read.
    counts: Option<Vec<u64>>,
    /// What is left of the counts during this start.
    left_over: Vec<u64>,
    right_rows: usize,
    held_bytes: usize,
}

impl SetOp {
    pub(crate) fn new(
        kind: SetOpKind,
        all: bool,
        left: BoxOperator,
        right: BoxOperator,
        types: Vec<DataType>,
        right_depends: bool,
    ) -> Self {
        let table = GroupTable::new(&types);
        Self {
            kind,
            all,
            left,
            right,
            types,
            right_depends,
            left_done: false,
            table,
            counts: None,
            left_over: Vec::new(),
            right_rows: 0,
            held_bytes: 0,
        }
    }

    fn next_union(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        loop {
            let input = if self.left_done { &mut self.right } else { &mut self.left };
            let Some(batch) = pull(input, run)? else {
                if self.left_done {
                    return Ok(None);
                }
                self.left_done = true;
                continue;
            };
            if self.all {
                return Ok(Some(batch));
            }
            run.check_cancel()?;
            let (fresh, bytes) = fresh_rows(&mut self.table, &batch.columns(), batch.len());
            self.held_bytes += bytes;
            run.hold(bytes)?;
            if !fresh.is_empty() {
                return Ok(Some(batch.select(&fresh)));
            }
        }
    }

    /// Counts the right side's rows.
    fn read_right(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        let mut counts = Vec::new();
        while let Some(batch) = pull(&mut self.right, run)? {
            run.check_cancel()?;
            let keys = batch.columns();
            let hashes = GroupTable::hash(&keys, batch.len());
            for (row, hash) in hashes.iter().enumerate() {
                let (number, added) = self.table.insert(&keys, row, *hash);
                if added {
                    counts.push(0u64);
                }
                counts[number as usize] += 1;
            }
            let bytes = batch.size_bytes() + batch.len() * GroupTable::ROW_BYTES;
            self.held_bytes += bytes;
            run.hold(bytes)?;
        }
        self.right_rows = counts.len();
        self.counts = Some(counts);
        Ok(())
    }

    /// Whether a left row is given, for INTERSECT and EXCEPT.
    fn admits(&mut self, number: Option<u32>, added: bool) -> bool {
        let in_right = number.is_some_and(|number| (number as usize) < self.right_rows);
        match (self.kind, self.all) {
            (SetOpKind::Intersect, all) => {
                let Some(count) = number.and_then(|n| self.left_over.get_mut(n as usize)) else {
                    return false;
                };
                if *count == 0 {
                    return false;
                }
                *count = if all { *count - 1 } else { 0 };
                true
            }
            (SetOpKind::Except, true) => {
                match number.and_then(|n| self.left_over.get_mut(n as usize)) {
                    Some(count) if *count > 0 => {
                        *count -= u64::from(!planted!("executor.except-all-forgets-its-count"));
                        false
                    }
                    _ => true,
                }
            }
            (SetOpKind::Except, false) => added && !in_right,
            (SetOpKind::Union, _) => true,
        }
    }

    fn next_other(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if self.counts.is_none() {
            self.read_right(run)?;
        }
        if !self.left_done {
            self.left_done = true;
            self.left_over = self.counts.clone().unwrap_or_default();
        }
        let remember = self.kind == SetOpKind::Except && !self.all;
        while let Some(batch) = pull(&mut self.left, run)? {
            run.check_cancel()?;
            let keys = batch.columns();
            let hashes = GroupTable::hash(&keys, batch.len());
            let mut rows = Vec::new();
            for (row, hash) in hashes.iter().enumerate() {
                let (number, added) = if remember {
                    let (number, added) = self.table.insert(&keys, row, *hash);
                    (Some(number), added)
                } else {
                    (self.table.find(&keys, row, *hash), false)
                };
                if self.admits(number, added) {
                    rows.push(row as u32);
                }
            }
            if remember {
                let bytes = batch.size_bytes() * rows.len() / batch.len().max(1);
                self.held_bytes += bytes;
                run.hold(bytes)?;
            }
            if !rows.is_empty() {
                return Ok(Some(batch.select(&rows)));
            }
        }
        Ok(None)
    }
}

impl Operator for SetOp {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        match self.kind {
            SetOpKind::Union => self.next_union(run),
            SetOpKind::Intersect | SetOpKind::Except => self.next_other(run),
        }
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        rebind(&mut self.left, run);
        self.left_done = false;
        let grown = self.table.len() > self.right_rows;
        if self.kind == SetOpKind::Union || self.right_depends || grown {
            rebind(&mut self.right, run);
            self.table = GroupTable::new(&self.types);
            self.counts = None;
            self.right_rows = 0;
            run.release(std::mem::take(&mut self.held_bytes));
        }
    }
}
