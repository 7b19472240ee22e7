//! The feed of changes as rows: those of a stretch, or, followed, also what is committed from then on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{IsolationLevel, Transaction};
use driftdb_query::{ChangesScan, Result, SqlError, Table, timestamptz_of};
use driftdb_storage::Timestamp;
use driftdb_tables::{Feed, FeedChange, FeedOp, RowReader};
use driftdb_types::{DataType, EvalContext, SqlState, Value};

use super::Operator;
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::record_text::write_record;

/// The part of a statement's memory that changes may take, and the most that they do.
const MEMORY_PART: usize = 64;
const WINDOW_BYTES: usize = 8 << 20;

/// What a feed that is followed says of itself in the column `op`.
const RESOLVED: &str = "RESOLVED";

pub(crate) struct Changes {
    scan: ChangesScan,
    types: Vec<DataType>,
    feed: Option<Feed>,
    /// Changes that are found and not given yet.
    found: VecDeque<FeedChange>,
    /// Reads rows of the one table, or of the table that was met last.
    reader: Option<(Arc<Table>, RowReader)>,
    following: Following,
}

/// How far a feed that is followed has come.
#[derive(Default)]
struct Following {
    /// The snapshot that it began with: what was defined later is news.
    began: Timestamp,
    /// Whether something was given since the last row that says up to where.
    owes_resolved: bool,
    /// Until it must be said again.
    left: Duration,
    /// What ends it, once everything before has been given.
    end: Option<Result<()>>,
}

impl Changes {
    pub(crate) fn new(scan: ChangesScan, types: Vec<DataType>) -> Self {
        Self {
            scan,
            types,
            feed: None,
            found: VecDeque::new(),
            reader: None,
            following: Following::default(),
        }
    }

    /// Whether a change is one of those that are shown: definitions only where tables are told apart, but
    /// for what takes all rows away.
    fn is_shown(&self, change: &FeedChange) -> bool {
        self.scan.table.is_none() || !matches!(change.op, FeedOp::Create | FeedOp::Alter)
    }

    fn row(&mut self, change: &FeedChange, eval: &EvalContext) -> Result<Vec<Value>> {
        let said = &change.commit.provenance;
        let text = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
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

impl Changes {
    /// Begins, or goes on; the next changes, perhaps none.
    fn advance(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Vec<FeedChange>>> {
        let feed = match &mut self.feed {
            Some(feed) => feed,
            None => {
                // Only visible commits are listed.
                run.cx.txn.settle_reads()?;
                let snapshot = run.cx.txn.snapshot_ts();
                let up_to = self.scan.up_to.unwrap_or(snapshot);
                let window = WINDOW_BYTES.min(run.cx.memory_limit_bytes / MEMORY_PART);
                let (table, after) = (self.scan.table.clone(), self.scan.after);
                if let Some(left) = self.scan.follow {
                    check_level(run.cx.txn)?;
                    self.following =
                        Following { began: snapshot, owes_resolved: true, left, end: None };
                }
                let feed = Feed::new(table, after, up_to, window, run.cx.txn, run.cx.store)?;
                self.feed.insert(feed)
            }
        };
        feed.next(run.cx.txn, run.cx.store)
    }

    /// Takes changes over; those that end the feed are not followed by others.
    fn take(&mut self, found: Vec<FeedChange>) {
        for change in found {
            if self.scan.follow.is_some() && change.commit.ts > self.following.began {
                self.following.end = self.end_by(&change);
            }
            let is_error = matches!(self.following.end, Some(Err(_)));
            if !is_error && self.is_shown(&change) {
                self.found.push_back(change);
            }
            if self.following.end.is_some() {
                return;
            }
        }
    }

    /// How a change ends a feed of one table, if it does.
    fn end_by(&self, change: &FeedChange) -> Option<Result<()>> {
        let shown = self.scan.table.as_ref()?;
        let columns = |table: &Table| -> Vec<_> {
            table.columns.iter().map(|column| (column.id, column.name.clone(), column.ty)).collect()
        };
        match change.op {
            FeedOp::Drop => Some(Ok(())),
            FeedOp::Alter if columns(&change.table) != columns(shown) => {
                let sequence = change.commit.sequence;
                let (name, before) = (&shown.name, sequence - 1);
                let message =
                    format!("the columns of table \"{name}\" changed in commit {sequence}");
                let error = SqlError::new(SqlState::ObjectNotInPrerequisiteState, message);
                let hint = format!("Follow again from {before} on, to have the new columns.");
                Some(Err(error.with_hint(hint)))
            }
            _ => None,
        }
    }

    /// Everything is given: says so, or waits for more. `None`: it ends.
    fn wait(&mut self, heartbeat: Duration, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let Some(feed) = &mut self.feed else { return Ok(None) };
        if let Some(end) = self.following.end.take() {
            self.following.end = Some(Ok(()));
            return end.map(|()| None);
        }
        let empty = RowBuffer::new(&self.types, 0);
        if self.following.owes_resolved || self.following.left.is_zero() {
            self.following.owes_resolved = false;
            self.following.left = heartbeat;
            let mut out = empty;
            let mut row = vec![Value::Null; self.types.len()];
            row[0] = number(feed.resolved());
            row[ChangesScan::OP] = Value::text(RESOLVED);
            out.push(row)?;
            return Ok(Some(out.finish()));
        }
        // A snapshot would keep memory and files while nothing happens.
        run.cx.txn.begin_statement()?;
        let left =
            run.cx.store.wait_for_commit(feed.resolved(), self.following.left, run.cx.cancel)?;
        self.following.left = left;
        run.cx.txn.begin_statement()?;
        feed.extend(run.cx.txn.snapshot_ts());
        Ok(Some(empty.finish()))
    }
}

/// A feed that is followed sees each commit as it comes.
fn check_level(txn: &dyn Transaction) -> Result<()> {
    if txn.isolation() <= IsolationLevel::ReadCommitted {
        return Ok(());
    }
    let message = "COPY can follow only at READ COMMITTED";
    Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
        .with_hint("Set default_transaction_isolation to 'read committed' in this session."))
}

fn number(number: u64) -> Value {
    Value::Int8(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Operator for Changes {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        while self.found.is_empty() {
            run.check_cancel()?;
            let is_over = self.following.end.is_some();
            let found = if is_over { None } else { self.advance(run)? };
            match (found, self.scan.follow) {
                (Some(found), _) => self.take(found),
                (None, None) => return Ok(None),
                (None, Some(heartbeat)) => match self.wait(heartbeat, run)? {
                    Some(batch) if batch.is_empty() => {}
                    waited => return Ok(waited),
                },
            }
        }
        if self.scan.follow.is_some() {
            self.following.owes_resolved = true;
            // Whoever reads slowly keeps no snapshot.
            run.cx.txn.begin_statement()?;
        }
        self.batch(run.cx.eval).map(Some)
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.feed = None;
        self.found.clear();
    }
}
