//! The feed of changes as rows: those of a stretch, or, followed, also what is committed from then on.

use std::collections::VecDeque;
use std::sync::Arc;

use driftdb_query::{ChangesScan, Result, Table, timestamptz_of};
use driftdb_tables::{Feed, FeedChange, FeedOp, RowReader};
use driftdb_types::{DataType, EvalContext, Value};

use super::Operator;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::record_text::write_record;

/// The part of a statement's memory that changes may take, and the most that they do.
const MEMORY_PART: usize = 64;
const WINDOW_BYTES: usize = 8 << 20;

pub(crate) struct Changes {
    scan: ChangesScan,
    types: Vec<DataType>,
    feed: Option<Feed>,
    /// Changes that are found and not given yet.
    found: VecDeque<FeedChange>,
    /// Reads rows of the one table, or of the table that was met last.
    reader: Option<(Arc<Table>, RowReader)>,
}

impl Changes {
    pub(crate) fn new(scan: ChangesScan, types: Vec<DataType>) -> Self {
        Self { scan, types, feed: None, found: VecDeque::new(), reader: None }
    }

    /// Whether a change is one of those that are shown: definitions only where tables are told apart, but
    /// for what takes all rows away.
    fn is_shown(&self, change: &FeedChange) -> bool {
        self.scan.table.is_none() || !matches!(change.op, FeedOp::Create | FeedOp::Alter)
    }

    fn row(&mut self, change: &FeedChange, eval: &EvalContext) -> Result<Vec<Value>> {
        let said = &change.commit.provenance;
        let text = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
        let number = |number: u64| Value::Int8(i64::try_from(number).unwrap_or(i64::MAX));
        let mut row = vec![
            number(change.commit.sequence),
            number(change.ordinal),
            Value::Timestamptz(timestamptz_of(change.commit.ts)),
            text(&said.user),
            text(&said.application),
            text(&said.comment),
            Value::text(change.op.name()),
        ];
        let is_of_one = self.scan.table.is_some();
        if !is_of_one {
            row.push(Value::text(format!("{}.{}", change.table.schema, change.table.name)));
        }
        let table = &change.table;
        if !self.reader.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, table)) {
            self.reader = Some((Arc::clone(table), RowReader::whole(table)));
        }
        let Some((_, reader)) = &self.reader else { return Ok(row) };
        for side in [&change.before, &change.after] {
            match side {
                Some(stored) if is_of_one => reader.read(stored, &mut row)?,
                Some(stored) => {
                    let mut values = Vec::with_capacity(reader.len());
                    reader.read(stored, &mut values)?;
                    let types = table.columns.iter().map(|column| column.ty);
                    row.push(Value::text(write_record(values.iter().zip(types), eval)));
                }
                None if is_of_one => row.extend((0..reader.len()).map(|_| Value::Null)),
                None => row.push(Value::Null),
            }
        }
        Ok(row)
    }

    fn batch(&mut self, eval: &EvalContext) -> Result<Batch> {
        let count = self.found.len().min(BATCH_ROWS);
        let mut out = RowBuffer::new(&self.types, count);
        let given: Vec<FeedChange> = self.found.drain(..count).collect();
        for change in &given {
            out.push(self.row(change, eval)?)?;
        }
        Ok(out.finish())
    }
}

impl Operator for Changes {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        while self.found.is_empty() {
            run.check_cancel()?;
            let feed = match &mut self.feed {
                Some(feed) => feed,
                None => {
                    let snapshot = run.cx.txn.snapshot_ts();
                    let up_to = self.scan.up_to.unwrap_or(snapshot);
                    let window = WINDOW_BYTES.min(run.cx.memory_limit_bytes / MEMORY_PART);
                    let (table, after) = (self.scan.table.clone(), self.scan.after);
                    let feed = Feed::new(table, after, up_to, window, run.cx.txn, run.cx.store)?;
                    self.feed.insert(feed)
                }
            };
            let Some(found) = feed.next(run.cx.txn, run.cx.store)? else { return Ok(None) };
            self.found = found.into_iter().filter(|change| self.is_shown(change)).collect();
        }
        self.batch(run.cx.eval).map(Some)
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.feed = None;
        self.found.clear();
    }
}
