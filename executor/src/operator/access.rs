//! A table as of some time: by scanning its keys, by one key, or through an index.

use std::ops::Bound;

use driftdb_concurrency::{IsolationLevel, ReadAt, RowBatch, ScanRequest, ScanState};
use driftdb_query::{AccessPath, Expr, Result, SqlError, TableAccess};
use driftdb_storage::KeyspaceId;
use driftdb_tables::{ByteRange, Cell, RowReader, point_key};
use driftdb_types::{SqlState, Value, decode_value};

use super::Operator;
use super::bounds::{byte_range, fit_key, index_of};
use super::filter::filtered;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;

/// The first batch is small: a LIMIT or an EXISTS may need no more.
const FIRST_ROWS: usize = 64;
/// Rows are asked for so that a batch takes about this much.
const BATCH_BYTES: usize = 4 << 20;

pub(crate) struct Access {
    access: TableAccess,
    reader: RowReader,
    types: Vec<driftdb_types::DataType>,
    state: State,
    max_rows: usize,
    batch: RowBatch,
}

enum State {
    /// The bounds are not known yet.
    New,
    /// What is left of the range, in the table's or the index's keyspace.
    Scanning(ByteRange),
    Done,
}

/// Leaves out of a range what was read, up to and including `last`.
pub(crate) fn go_on_after(range: &mut ByteRange, last: &[u8], reverse: bool) {
    let bound = Bound::Excluded(last.to_vec());
    if reverse {
        range.end = bound;
    } else {
        range.start = bound;
    }
}

impl Access {
    pub(crate) fn new(access: TableAccess) -> Self {
        let reader = RowReader::new(&access.table, &access.columns);
        let key = access.with_key.then_some(driftdb_types::DataType::Bytea);
        let columns = access.columns.iter().map(|&position| access.table.columns[position].ty);
        let types = key.into_iter().chain(columns).collect();
        let (state, max_rows) = (State::New, FIRST_ROWS);
        Self { access, reader, types, state, max_rows, batch: RowBatch::new() }
    }

    /// The rows of a point, which is the whole result.
    fn point(&mut self, key: &[Expr], run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        self.state = State::Done;
        let table = &self.access.table;
        let mut values = Vec::with_capacity(key.len());
        for expr in key {
            values.push(evaluate_free(expr, run)?);
        }
        let fits = table.primary_key().is_some_and(|index| fit_key(table, index, &mut values));
        let Some(key) = point_key(table, &values).filter(|_| fits) else { return Ok(None) };
        let mut row = Vec::new();
        if !run.cx.txn.get(self.access.table.keyspace, &key, self.access.at, &mut row)? {
            return Ok(None);
        }
        let mut out = RowBuffer::new(&self.types, 1);
        self.decode(&key, &row, &mut out)?;
        self.finish(out, run)
    }

    /// The keyspace that is scanned.
    fn keyspace(&self) -> Result<KeyspaceId> {
        match &self.access.path {
            AccessPath::Index { index, .. } => index_of(&self.access, *index)?
                .keyspace
                .ok_or_else(|| SqlError::internal("the primary key is no index of its own")),
            AccessPath::Table { .. } | AccessPath::Point { .. } => Ok(self.access.table.keyspace),
        }
    }

    /// The next batch of a scan.
    fn scan(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let keyspace = self.keyspace()?;
        let State::Scanning(range) = &mut self.state else { return Ok(None) };
        self.batch.clear();
        let request = ScanRequest {
            range: range.as_range(),
            at: self.access.at,
            reverse: self.access.reverse,
            max_rows: self.max_rows,
        };
        let scanned = run.cx.txn.scan(keyspace, &request, &mut self.batch)?;
        match self.batch.last_key() {
            Some(last) if scanned == ScanState::More => {
                go_on_after(range, last, self.access.reverse);
            }
            _ => self.state = State::Done,
        }
        let row_bytes = self.batch.size_bytes() / self.batch.len().max(1) + 1;
        self.max_rows = (self.max_rows * 4).min(BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS);
        let mut out = RowBuffer::new(&self.types, self.batch.len());
        if matches!(self.access.path, AccessPath::Index { .. }) {
            self.fetch(&mut out, run)?;
        } else {
            for row in self.batch.rows() {
                self.decode(row.key, row.value.unwrap_or_default(), &mut out)?;
            }
        }
        self.finish(out, run)
    }

    /// Gets the rows that a batch of index entries points at.
    fn fetch(&self, out: &mut RowBuffer, run: &mut Run<'_, '_>) -> Result<()> {
        let table = &self.access.table;
        let mut row = Vec::new();
        for entry in self.batch.rows() {
            let key = entry.value.unwrap_or_default();
            row.clear();
            if run.cx.txn.get(table.keyspace, key, self.access.at, &mut row)? {
                self.decode(key, &row, out)?;
            } else if self.access.at != ReadAt::Newest
                && run.cx.txn.isolation() != IsolationLevel::ReadUncommitted
            {
                // Both are written in one transaction and read as of one time.
                let what = format!("an index of table \"{}\" points at no row", table.name);
                return Err(SqlError::new(SqlState::DataCorrupted, what));
            }
        }
        Ok(())
    }

    fn decode(&self, key: &[u8], row: &[u8], out: &mut RowBuffer) -> Result<()> {
        let mut columns = out.builders().iter_mut();
        if self.access.with_key
            && let Some(column) = columns.next()
        {
            column.push(Value::Bytea(key.into()))?;
        }
        for (index, column) in columns.enumerate() {
            match self.reader.cell(row, index)? {
                Cell::Null => column.push_null(),
                Cell::Bytes(mut bytes) => {
                    column.push(decode_value(self.reader.ty(index), &mut bytes)?)?;
                }
                Cell::Missing(value) => column.push(value.clone())?,
            }
        }
        out.added();
        Ok(())
    }

    fn finish(&self, out: RowBuffer, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let batch = out.finish();
        Ok(Some(match &self.access.filter {
            Some(filter) => filtered(batch, filter, run)?,
            None => batch,
        }))
    }
}

impl Operator for Access {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if matches!(self.state, State::New) {
            let range = match &self.access.path {
                AccessPath::Point { key } => {
                    let key = key.clone();
                    return self.point(&key, run);
                }
                AccessPath::Table { bounds } | AccessPath::Index { bounds, .. } => {
                    byte_range(&self.access, bounds, run)?
                }
            };
            self.state = range.map_or(State::Done, State::Scanning);
        }
        while matches!(self.state, State::Scanning(_)) {
            run.check_cancel()?;
            if let Some(batch) = self.scan(run)?
                && !batch.is_empty()
            {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.state = State::New;
        self.max_rows = FIRST_ROWS;
    }
}
