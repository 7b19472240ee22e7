//! The rows in which a table differs between two moments.

use std::collections::VecDeque;

use driftdb_query::{Result, TableAt};
use driftdb_tables::{Change, RowReader, TableDiff};
use driftdb_types::{DataType, Value};

use super::Operator;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;

pub(crate) struct DiffScan {
    before: Option<TableAt>,
    after: Option<TableAt>,
    types: Vec<DataType>,
    state: State,
    /// Differences that are found and not given yet.
    found: VecDeque<Change>,
    readers: [RowReader; 2],
}

enum State {
    New,
    Running(TableDiff),
    Done,
}

impl DiffScan {
    pub(crate) fn new(
        before: Option<TableAt>,
        after: Option<TableAt>,
        types: Vec<DataType>,
    ) -> Self {
        // Where the table is missing, the other side's columns stand for it.
        let reader = |one: &Option<TableAt>, other: &Option<TableAt>| {
            let side = one.as_ref().or(other.as_ref());
            side.map(|side| RowReader::whole(&side.table)).expect("the table is on one side")
        };
        let readers = [reader(&before, &after), reader(&after, &before)];
        Self { before, after, types, state: State::New, found: VecDeque::new(), readers }
    }

    fn row(&self, change: &Change) -> Result<Vec<Value>> {
        let op = match (&change.before, &change.after) {
            (None, _) => "INSERT",
            (_, None) => "DELETE",
            (Some(_), Some(_)) => "UPDATE",
        };
        let mut row = vec![Value::text(op)];
        for (side, reader) in [&change.before, &change.after].into_iter().zip(&self.readers) {
            match side {
                Some(stored) => reader.read(stored, &mut row)?,
                None => row.extend((0..reader.len()).map(|_| Value::Null)),
            }
        }
        Ok(row)
    }
}

impl Operator for DiffScan {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        run.check_cancel()?;
        if matches!(self.state, State::New) {
            let has_own_writes = run.cx.txn.has_writes();
            let (before, after) = (self.before.clone(), self.after.clone());
            let diff = TableDiff::new(run.cx.txn, before, after, has_own_writes)?;
            self.state = State::Running(diff);
        }
        if self.found.is_empty() {
            let State::Running(diff) = &mut self.state else { return Ok(None) };
            match diff.next(run.cx.txn)? {
                Some(found) => self.found = found.into(),
                None => {
                    self.state = State::Done;
                    return Ok(None);
                }
            }
        }
        let count = self.found.len().min(BATCH_ROWS);
        let mut out = RowBuffer::new(&self.types, count);
        let given: Vec<Change> = self.found.drain(..count).collect();
        for change in &given {
            out.push(self.row(change)?)?;
        }
        Ok(Some(out.finish()))
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.state = State::New;
        self.found.clear();
    }
}
