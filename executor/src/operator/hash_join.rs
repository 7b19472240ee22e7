//! Hash join: a table of the right side, probed with the left.
//!
//! Rows with equal hashes are chained in the order of the right side. A NULL key matches nothing.

use std::sync::Arc;

use driftdb_env::planted;
use driftdb_query::{Expr, Result};

use super::join::{END, Emit, Pairs};
use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::{Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::evaluate_all;
use crate::vector::{NO_ROW, Vector, hash_rows};

pub(crate) struct HashJoin {
    left: BoxOperator,
    right: BoxOperator,
    left_keys: Vec<Expr>,
    right_keys: Vec<Expr>,
    emit: Emit,
    right_depends: bool,
    table: Option<Table>,
    probe: Option<Probe>,
    /// Where the right rows without a match go on, once the left side is at its end.
    rest: Option<usize>,
    held_bytes: usize,
}

/// The right side.
struct Table {
    rows: RowBuffer,
    keys: RowBuffer,
    hashes: Vec<u64>,
    heads: Vec<u32>,
    next: Vec<u32>,
}

/// A left batch on its way.
struct Probe {
    batch: Batch,
    keys: Vec<Arc<Vector>>,
    hashes: Vec<u64>,
    row: usize,
    /// The candidate to look at next; [`NO_ROW`] at the end of the chain.
    candidate: u32,
}

impl HashJoin {
    pub(crate) fn new(
        left: BoxOperator,
        right: BoxOperator,
        (left_keys, right_keys): (Vec<Expr>, Vec<Expr>),
        emit: Emit,
        right_depends: bool,
    ) -> Self {
        Self {
            left,
            right,
            left_keys,
            right_keys,
            emit,
            right_depends,
            table: None,
            probe: None,
            rest: None,
            held_bytes: 0,
        }
    }

    fn read_right(&mut self, run: &mut Run<'_, '_>) -> Result<Table> {
        let mut rows = RowBuffer::new(&self.emit.right_types, 0);
        let key_types: Vec<_> = self.right_keys.iter().map(Expr::ty).collect();
        let mut keys = RowBuffer::new(&key_types, 0);
        while let Some(batch) = pull(&mut self.right, run)? {
            run.check_cancel()?;
            let key_columns = evaluate_all(&self.right_keys, &batch, run)?;
            let key_bytes: usize = key_columns.iter().map(|column| column.size_bytes()).sum();
            let bytes = batch.size_bytes() + key_bytes + batch.len() * 20;
            self.held_bytes += bytes;
            run.hold(bytes)?;
            keys.extend(&Batch::new(key_columns, batch.len()));
            rows.extend(&batch);
        }
        Ok(Table::new(rows, keys))
    }

    /// The joined rows of as many candidates as fit a batch.
    fn probe(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let Some(table) = &self.table else { return Ok(None) };
        let Some(probe) = &mut self.probe else { return Ok(None) };
        let mut pairs = Pairs::default();
        let first_decides = self.emit.first_decides();
        while probe.row < probe.batch.len() && !pairs.is_full() {
            while probe.candidate != NO_ROW && !pairs.is_full() {
                let candidate = probe.candidate as usize;
                probe.candidate = table.next[candidate];
                if table.matches(probe, candidate) {
                    pairs.push(probe.row as u32, candidate as u32);
                    if first_decides {
                        probe.candidate = NO_ROW;
                    }
                }
            }
            if probe.candidate == NO_ROW {
                pairs.push(probe.row as u32, END);
                probe.row += 1;
                probe.candidate = table.first(probe);
            }
        }
        if pairs.is_empty() {
            return Ok(None);
        }
        let right: Vec<&Vector> = table.rows.columns().collect();
        self.emit.emit(&probe.batch, &right, &mut pairs, run).map(Some)
    }
}

impl Table {
    fn new(rows: RowBuffer, keys: RowBuffer) -> Self {
        let len = rows.len();
        assert!(len < NO_ROW as usize, "fewer than 2^32 rows");
        let hashes = hash_rows(keys.columns(), len);
        let mut heads = vec![NO_ROW; (len * 2).next_power_of_two().max(16)];
        let mut next = vec![NO_ROW; len];
        let mask = heads.len() - 1;
        // From the back, so that chains run forward.
        for row in (0..len).rev() {
            if !planted!("executor.null-keys-join") && keys.columns().any(|key| key.is_null(row)) {
                continue;
            }
            let head = &mut heads[slot(hashes[row]) & mask];
            next[row] = std::mem::replace(head, row as u32);
        }
        Self { rows, keys, hashes, heads, next }
    }

    /// The first candidate of the probe's row.
    fn first(&self, probe: &Probe) -> u32 {
        if probe.row >= probe.batch.len() {
            return NO_ROW;
        }
        let matches_null = planted!("executor.null-keys-join");
        if !matches_null && probe.keys.iter().any(|key| key.is_null(probe.row)) {
            return NO_ROW;
        }
        self.heads[slot(probe.hashes[probe.row]) & (self.heads.len() - 1)]
    }

    fn matches(&self, probe: &Probe, candidate: usize) -> bool {
        self.hashes[candidate] == probe.hashes[probe.row]
            && probe.keys.iter().enumerate().all(|(index, key)| {
                key.compare(probe.row, self.keys.column(index), candidate).is_eq()
            })
    }
}

fn slot(hash: u64) -> usize {
    (hash >> 20) as usize
}

impl Operator for HashJoin {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if self.table.is_none() {
            let table = self.read_right(run)?;
            self.emit.start(table.rows.len());
            self.table = Some(table);
        }
        while self.rest.is_none() {
            run.check_cancel()?;
            match self.probe(run)? {
                Some(batch) if batch.is_empty() => continue,
                Some(batch) => return Ok(Some(batch)),
                None => {}
            }
            let Some(batch) = pull(&mut self.left, run)? else {
                self.rest = Some(0);
                break;
            };
            let keys = evaluate_all(&self.left_keys, &batch, run)?;
            let hashes = hash_rows(keys.iter().map(|key| &**key), batch.len());
            let mut probe = Probe { batch, keys, hashes, row: 0, candidate: NO_ROW };
            if let Some(table) = &self.table {
                probe.candidate = table.first(&probe);
            }
            self.probe = Some(probe);
        }
        let (Some(table), Some(from)) = (&self.table, self.rest) else { return Ok(None) };
        let right: Vec<&Vector> = table.rows.columns().collect();
        let rest = self.emit.unmatched_right(&right, from);
        Ok(rest.map(|(batch, next)| {
            self.rest = Some(next);
            batch
        }))
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        rebind(&mut self.left, run);
        self.probe = None;
        self.rest = None;
        if self.right_depends || self.table.is_none() {
            rebind(&mut self.right, run);
            self.table = None;
            run.release(std::mem::take(&mut self.held_bytes));
        } else if let Some(table) = &self.table {
            self.emit.start(table.rows.len());
        }
    }
}
