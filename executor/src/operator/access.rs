//! A table as of some time: by scanning its keys, by one key, or through an index.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{IsolationLevel, ReadAt, RowBatch, ScanRequest, ScanState, TxnError};
use driftdb_query::{AccessPath, Expr, Result, SqlError, SystemColumn, TableAccess};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};
use driftdb_tables::{ByteRange, Cell, RowReader, point_key};
use driftdb_types::{SqlState, Value};

use super::Operator;
use super::bounds::{byte_range, fit_key, index_of};
use super::filter::filtered;
use super::system_columns::{System, Version, was_there};
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;

/// The first batch is small: a LIMIT or an EXISTS may need no more.
const FIRST_ROWS: usize = 64;
/// Rows are asked for so that a batch takes about this much.
const BATCH_BYTES: usize = 4 << 20;

pub(crate) struct Access {
    access: TableAccess,
    decoder: Decoder,
    system: System,
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

/// Turns stored rows into rows of columns: the key, if asked, the columns, the system columns.
pub(crate) struct Decoder {
    reader: RowReader,
    with_key: bool,
}

impl Decoder {
    pub(crate) fn new(access: &TableAccess) -> Self {
        let reader = RowReader::new(&access.table, &access.columns);
        Self { reader, with_key: access.with_key }
    }

    /// Adds a row.
    pub(crate) fn push(
        &self,
        key: &[u8],
        row: &[u8],
        system: Vec<Value>,
        out: &mut RowBuffer,
    ) -> Result<()> {
        let mut columns = out.builders().iter_mut();
        if self.with_key
            && let Some(column) = columns.next()
        {
            column.push(Value::Bytea(key.into()))?;
        }
        for (index, column) in columns.by_ref().take(self.reader.len()).enumerate() {
            match self.reader.cell(row, index)? {
                Cell::Null => column.push_null(),
                Cell::Bytes(bytes) => column.push_cell(bytes)?,
                Cell::Missing(value) => column.push(value.clone())?,
            }
        }
        columns.zip(system).try_for_each(|(column, value)| column.push(value))?;
        out.added();
        Ok(())
    }
}

impl Access {
    pub(crate) fn new(access: TableAccess) -> Self {
        let decoder = Decoder::new(&access);
        let system = System::new(&access.temporal.system);
        let types = access.types();
        let (state, max_rows) = (State::New, FIRST_ROWS);
        Self { access, decoder, system, types, state, max_rows, batch: RowBatch::new() }
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
        let Some(ts) = self.read(&key, &mut row, run)? else { return Ok(None) };
        let mut out = RowBuffer::new(&self.types, 1);
        self.give(&key, &row, ts, &mut out, run)?;
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
        let scanned = run.cx.txn.scan(keyspace, &request, &mut self.batch);
        let scanned = scanned.map_err(|error| about(&self.access.table.name, error))?;
        match self.batch.last_key() {
            Some(last) if scanned == ScanState::More => {
                go_on_after(range, last, self.access.reverse);
            }
            _ => self.state = State::Done,
        }
        let row_bytes = self.batch.size_bytes() / self.batch.len().max(1) + 1;
        self.max_rows = (self.max_rows * 4).min(BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS);
        let mut out = RowBuffer::new(&self.types, self.batch.len());
        let batch = std::mem::take(&mut self.batch);
        if matches!(self.access.path, AccessPath::Index { .. }) {
            self.fetch(&batch, &mut out, run)?;
        } else {
            for row in batch.rows() {
                self.give(row.key, row.value.unwrap_or_default(), row.ts, &mut out, run)?;
            }
        }
        self.batch = batch;
        self.finish(out, run)
    }

    /// Gets the rows that a batch of index entries points at.
    fn fetch(
        &mut self,
        batch: &RowBatch,
        out: &mut RowBuffer,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let table = Arc::clone(&self.access.table);
        let mut row = Vec::new();
        for entry in batch.rows() {
            let key = entry.value.unwrap_or_default();
            row.clear();
            if let Some(ts) = self.read(key, &mut row, run)? {
                self.give(key, &row, ts, out, run)?;
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

    /// Reads the row at a key, with the commit that made it where that matters.
    fn read(
        &self,
        key: &[u8],
        row: &mut Vec<u8>,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Timestamp>> {
        let (space, at) = (self.access.table.keyspace, self.access.at);
        if self.system.is_empty() {
            let found = run.cx.txn.get(space, key, at, row);
            let found = found.map_err(|error| about(&self.access.table.name, error))?;
            return Ok(found.then_some(Timestamp::MAX));
        }
        let range = KeyRange { start: Bound::Included(key), end: Bound::Included(key) };
        let request = ScanRequest { range, at, reverse: false, max_rows: 1 };
        let mut batch = RowBatch::new();
        run.cx
            .txn
            .scan(space, &request, &mut batch)
            .map_err(|error| about(&self.access.table.name, error))?;
        let found = batch.rows().next();
        row.extend_from_slice(found.and_then(|row| row.value).unwrap_or_default());
        Ok(found.map(|row| row.ts))
    }

    fn give(
        &mut self,
        key: &[u8],
        row: &[u8],
        ts: Timestamp,
        out: &mut RowBuffer,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let mut system = Vec::new();
        if !self.system.is_empty() {
            let was_there = if self.system.wants(SystemColumn::Op) {
                was_there(run.cx.txn, self.access.table.keyspace, key, ts)?
            } else {
                None
            };
            let version = Version { start: ts, end: None, was_there };
            system = self.system.values(version, run.cx.store)?;
        }
        self.decoder.push(key, row, system, out)
    }

    fn finish(&self, out: RowBuffer, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let batch = out.finish();
        Ok(Some(match &self.access.filter {
            Some(filter) => filtered(batch, filter, run)?,
            None => batch,
        }))
    }
}

/// An error of reading, with the table whose history does not reach back so far.
fn about(table: &str, error: TxnError) -> SqlError {
    SqlError::from(error).about_table(table)
}

impl Operator for Access {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if matches!(self.state, State::New) {
            if !self.access.table.is_populated() {
                return Err(self.access.table.unpopulated());
            }
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
