//! Cursors: DECLARE, FETCH, MOVE, CLOSE.
//!
//! A cursor runs its query as far as rows are asked for, and keeps the rows that it can go back to. Before
//! another statement moves the transaction on, and at the commit of a transaction that a WITH HOLD cursor
//! survives, the rest of its rows is computed. So a cursor gives what was there when it was declared.
//!
//! Without SCROLL or NO SCROLL it goes back where PostgreSQL's plans could, until what it keeps has grown
//! too large; then it only goes on.
//!
//! Sources: PostgreSQL 15, tcop/pquery.c (PortalRunFetch), commands/portalcmds.c, execCurrent.c.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use driftdb_executor::{Batch, CommandTag, Execution, start};
use driftdb_query::{
    DeclareCursor, Fetch, FetchStep, Field, PhysicalPlan, PhysicalStatement, Result, SqlError,
};
use driftdb_types::{SqlState, Value};

use super::run::{Ran, Wanted, exec_context};
use super::{Format, Formats, ResponseSink, Session};

/// A cursor that nobody asked to scroll keeps no more than this to go back to.
const KEPT_UNASKED_BYTES: usize = 64 << 20;

/// A session's cursors by name.
#[derive(Default)]
pub(super) struct Cursors {
    by_name: BTreeMap<String, SqlCursor>,
    /// The protocol's portal that runs: its name and statement.
    running: Option<(String, Arc<str>)>,
}

struct SqlCursor {
    declare: DeclareCursor,
    statement: Arc<str>,
    created_at: i64,
    params: Vec<Value>,
    /// What computes the rows that are not there yet.
    execution: Option<Execution>,
    rows: KeptRows,
    can_scroll: bool,
    /// The number of the row it is on, from 1; with `is_at_end` of the last row.
    position: u64,
    is_at_end: bool,
    /// Its transaction has been committed.
    is_held: bool,
    /// The savepoints there were when it was declared.
    depth: usize,
    has_failed: bool,
}

/// The rows of a cursor from some row on.
#[derive(Default)]
struct KeptRows {
    /// Each with the number of its first row, from 0.
    batches: VecDeque<(u64, Batch)>,
    /// How many rows have come, those that are not kept any more included.
    count: u64,
    bytes: usize,
}

impl KeptRows {
    fn push(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.bytes += batch.size_bytes();
            let first = self.count;
            self.count += batch.len() as u64;
            self.batches.push_back((first, batch));
        }
    }

    /// The batch that has a row, from 0, and the row's place in it.
    fn find(&self, row: u64) -> Option<(&Batch, usize)> {
        let after = self.batches.partition_point(|(first, _)| *first <= row);
        let (first, batch) = self.batches.get(after.checked_sub(1)?)?;
        let place = usize::try_from(row - first).ok()?;
        (place < batch.len()).then_some((batch, place))
    }

    /// Forgets batches that end before a row.
    fn forget_before(&mut self, row: u64) {
        while let Some((first, batch)) = self.batches.front()
            && first + (batch.len() as u64) <= row
        {
            self.bytes = self.bytes.saturating_sub(batch.size_bytes());
            self.batches.pop_front();
        }
    }
}

/// The row that WHERE CURRENT OF means.
pub(super) struct CursorPlace {
    name: String,
    /// Whether the cursor's query locks rows.
    locks: bool,
    /// Each table, with the row's key.
    keys: Vec<(u32, Value)>,
    is_on_row: bool,
}

fn no_cursor(name: &str) -> SqlError {
    let message = format!("cursor \"{name}\" does not exist");
    SqlError::new(SqlState::InvalidCursorName, message)
}

fn wrong_state(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidCursorState, message)
}

impl Cursors {
    pub(super) fn clear(&mut self) {
        self.by_name.clear();
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// The cursors of the transaction go; those that it held stay if it was committed.
    pub(super) fn end_transaction(&mut self, is_committed: bool) {
        self.by_name.retain(|_, cursor| cursor.is_held || is_committed && cursor.declare.hold);
        for cursor in self.by_name.values_mut() {
            cursor.is_held = true;
            cursor.depth = 0;
        }
    }

    /// Those that were declared after a savepoint go.
    pub(super) fn rollback_to(&mut self, savepoint: usize) {
        self.by_name.retain(|_, cursor| cursor.depth <= savepoint);
    }

    /// Those that were declared after a savepoint belong to what is around it.
    pub(super) fn release(&mut self, savepoint: usize) {
        for cursor in self.by_name.values_mut() {
            cursor.depth = cursor.depth.min(savepoint);
        }
    }

    /// A cursor's columns, and their formats.
    pub(super) fn described_as(&self, name: &str) -> Option<(Vec<Field>, Formats)> {
        let cursor = self.by_name.get(name)?;
        Some((cursor.declare.query.fields.clone(), cursor.formats()))
    }

    /// Says which of the protocol's portals runs.
    pub(super) fn set_running(&mut self, portal: Option<(String, Arc<str>)>) {
        self.running = portal;
    }

    /// What `pg_cursors` says, where portals are cursors; their time is left out.
    pub(super) fn described(&self) -> impl Iterator<Item = [Value; 6]> {
        let no = || Value::Bool(false);
        let running = self.running.iter().map(move |(name, statement)| {
            [Value::text(name.as_str()), Value::text(&**statement), no(), no(), no(), Value::Null]
        });
        let declared = self.by_name.iter().map(|(name, cursor)| {
            [
                Value::text(name.as_str()),
                Value::text(&*cursor.statement),
                Value::Bool(cursor.declare.hold),
                Value::Bool(cursor.declare.binary),
                Value::Bool(cursor.can_scroll),
                Value::Timestamptz(cursor.created_at),
            ]
        });
        running.chain(declared)
    }

    /// Where WHERE CURRENT OF finds a cursor.
    pub(super) fn place(&self, name: &str) -> Result<CursorPlace> {
        let cursor = self.by_name.get(name).ok_or_else(|| no_cursor(name))?;
        if cursor.is_held {
            let message = format!("cursor \"{name}\" is held from a previous transaction");
            return Err(wrong_state(message));
        }
        let width = cursor.declare.query.fields.len();
        let row = cursor.current().and_then(|row| cursor.rows.find(row));
        let tables = cursor.declare.keys.iter().enumerate();
        let keys = tables.map(|(index, table)| {
            let key = row.map(|(batch, place)| batch.value(width + index, place));
            (table.0, key.unwrap_or(Value::Null))
        });
        Ok(CursorPlace {
            name: name.to_owned(),
            locks: cursor.declare.locks,
            keys: keys.collect(),
            is_on_row: row.is_some(),
        })
    }
}

impl CursorPlace {
    /// The storage key of the row that is a table's.
    pub(super) fn row_of(&self, table: u32, name: &str) -> Result<Option<Box<[u8]>>> {
        let cursor = &self.name;
        let mut own = self.keys.iter().filter(|(owner, _)| *owner == table);
        let found = own.next();
        if own.next().is_some() && self.locks {
            return Err(wrong_state(format!(
                "cursor \"{cursor}\" has multiple FOR UPDATE/SHARE references to table \"{name}\""
            )));
        }
        let Some((_, key)) = found else {
            return Err(wrong_state(if self.locks {
                format!(
                    "cursor \"{cursor}\" does not have a FOR UPDATE/SHARE reference to table \
                     \"{name}\""
                )
            } else {
                format!("cursor \"{cursor}\" is not a simply updatable scan of table \"{name}\"")
            }));
        };
        if !self.is_on_row {
            return Err(wrong_state(format!("cursor \"{cursor}\" is not positioned on a row")));
        }
        Ok(match key {
            Value::Bytea(key) => Some(key.clone()),
            _ => None,
        })
    }
}

impl SqlCursor {
    fn formats(&self) -> Formats {
        Formats::All(if self.declare.binary { Format::Binary } else { Format::Text })
    }

    fn is_at_start(&self) -> bool {
        self.position == 0 && !self.is_at_end
    }

    /// The row that it is on, from 0.
    fn current(&self) -> Option<u64> {
        if self.is_at_end { None } else { self.position.checked_sub(1) }
    }

    fn check_can_go_back(&self) -> Result<()> {
        if self.can_scroll {
            return Ok(());
        }
        let message = "cursor can only scan forward";
        Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
            .with_hint("Declare it with SCROLL option to enable backward scan."))
    }

    /// Before the first row.
    fn rewind(&mut self) -> Result<()> {
        if !self.is_at_start() {
            self.check_can_go_back()?;
            (self.position, self.is_at_end) = (0, false);
        }
        Ok(())
    }

    fn give(&self, row: u64, count: usize, sink: &mut Out<'_, '_>) -> Result<()> {
        let Some((batch, place)) = self.rows.find(row) else {
            return Err(SqlError::internal("a cursor lost a row"));
        };
        let width = self.declare.query.fields.len();
        sink.sink.rows(&batch.slice(place, count).narrow(width), sink.formats, sink.eval)
    }
}

/// Where fetched rows go.
struct Out<'a, 's> {
    sink: &'s mut dyn ResponseSink,
    formats: &'a Formats,
    eval: &'a driftdb_types::EvalContext,
}

/// Whether PostgreSQL's executor could read such a plan backwards.
fn goes_back(plan: &PhysicalPlan) -> bool {
    match plan {
        PhysicalPlan::Access(_)
        | PhysicalPlan::FunctionScan { .. }
        | PhysicalPlan::CteScan { .. }
        | PhysicalPlan::Sort { .. } => true,
        PhysicalPlan::Values { types, .. } => !types.is_empty(),
        PhysicalPlan::Filter { input, .. }
        | PhysicalPlan::Project { input, .. }
        | PhysicalPlan::Limit { input, .. } => goes_back(input),
        PhysicalPlan::With { body, .. } => goes_back(body),
        _ => false,
    }
}

impl Session {
    /// Fails if a portal or cursor has the name.
    pub(super) fn check_free(&self, name: &str) -> Result<()> {
        if self.portals.contains_key(name) || self.cursors.by_name.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicateCursor, message));
        }
        Ok(())
    }

    pub(super) fn declare_cursor(
        &mut self,
        declare: &DeclareCursor,
        statement: &Arc<str>,
        physical: &Arc<PhysicalStatement>,
        params: &[Value],
    ) -> Result<Ran> {
        if declare.name.is_empty() {
            let message = "invalid cursor name: must not be empty";
            return Err(SqlError::new(SqlState::InvalidCursorName, message));
        }
        self.check_free(&declare.name)?;
        let can_scroll = declare.scroll.unwrap_or_else(|| {
            !declare.locks
                && matches!(&**physical, PhysicalStatement::Query(query) if goes_back(&query.plan))
        });
        let cursor = SqlCursor {
            declare: declare.clone(),
            statement: Arc::clone(statement),
            created_at: self.eval.statement_ts,
            params: params.to_vec(),
            execution: Some(start(physical, &mut exec_context!(self, params))?),
            rows: KeptRows::default(),
            can_scroll,
            position: 0,
            is_at_end: false,
            is_held: false,
            depth: self.savepoint_depth(),
            has_failed: false,
        };
        self.cursors.by_name.insert(declare.name.clone(), cursor);
        Ok(Ran::Complete(CommandTag { command: "DECLARE CURSOR", rows: None }))
    }

    pub(super) fn close_cursor(&mut self, name: Option<&str>) -> Result<Ran> {
        let command = match name {
            None => {
                self.cursors.clear();
                self.portals.retain(|name, _| name.is_empty());
                "CLOSE CURSOR ALL"
            }
            Some(name) => {
                let is_cursor = self.cursors.by_name.remove(name).is_some();
                if !is_cursor && self.portals.remove(name).is_none() {
                    return Err(no_cursor(name));
                }
                "CLOSE CURSOR"
            }
        };
        Ok(Ran::Complete(CommandTag { command, rows: None }))
    }

    /// The columns that FETCH gives.
    pub(super) fn fetched_fields(&self, fetch: &Fetch) -> Option<Vec<Field>> {
        if fetch.is_move {
            return None;
        }
        let cursor = self.cursors.by_name.get(&fetch.cursor)?;
        Some(cursor.declare.query.fields.clone())
    }

    pub(super) fn fetch(
        &mut self,
        fetch: &Fetch,
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let name = &fetch.cursor;
        // Out of the way of what its query may ask of the session.
        let mut cursor = self.cursors.by_name.remove(name).ok_or_else(|| no_cursor(name))?;
        if cursor.has_failed {
            let message = format!("portal \"{name}\" cannot be run");
            self.cursors.by_name.insert(name.clone(), cursor);
            return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
        }
        let formats = if cursor.declare.binary { cursor.formats() } else { wanted.formats.clone() };
        if wanted.describe && !fetch.is_move {
            sink.row_description(&cursor.declare.query.fields, &formats);
        }
        let eval = self.eval.clone();
        let mut out = Out { sink, formats: &formats, eval: &eval };
        let fetched = self.fetch_from(&mut cursor, fetch, &mut out);
        self.cursors.by_name.insert(name.clone(), cursor);
        let command = if fetch.is_move { "MOVE" } else { "FETCH" };
        Ok(Ran::Complete(CommandTag { command, rows: Some(fetched?) }))
    }

    /// The number of rows given, or passed by MOVE.
    fn fetch_from(
        &mut self,
        cursor: &mut SqlCursor,
        fetch: &Fetch,
        out: &mut Out<'_, '_>,
    ) -> Result<u64> {
        let is_move = fetch.is_move;
        let mut last = |session: &mut Self, cursor: &mut SqlCursor, forward: bool| {
            let out = if is_move { None } else { Some(&mut *out) };
            session.step(cursor, forward, Some(1), out)
        };
        match fetch.step {
            FetchStep::Forward(Some(0)) | FetchStep::Backward(Some(0)) | FetchStep::Relative(0) => {
                if cursor.current().is_none() {
                    return Ok(0);
                }
                if is_move {
                    return Ok(1);
                }
                self.step(cursor, false, Some(1), None)?;
                last(self, cursor, true)
            }
            FetchStep::Forward(count) | FetchStep::Backward(count) => {
                let is_forward = matches!(fetch.step, FetchStep::Forward(_))
                    == count.is_none_or(|count| count >= 0);
                let count = count.map(i64::unsigned_abs);
                let out = if is_move { None } else { Some(out) };
                self.step(cursor, is_forward, count, out)
            }
            FetchStep::Absolute(0) => {
                cursor.rewind()?;
                Ok(0)
            }
            FetchStep::Absolute(row) if row > 0 => {
                let goal = row.unsigned_abs();
                let from = cursor.position + u64::from(cursor.is_at_end);
                // The goal is reached going on; a near start is gone back to at once.
                if goal - 1 <= cursor.position / 2 {
                    cursor.rewind()?;
                    self.step(cursor, true, Some(goal - 1), None)?;
                } else if goal <= from {
                    self.step(cursor, false, Some(from - goal + 1), None)?;
                } else {
                    self.step(cursor, true, Some(goal - from - 1), None)?;
                }
                last(self, cursor, true)
            }
            FetchStep::Absolute(row) => {
                self.step(cursor, true, None, None)?;
                self.step(cursor, false, Some(row.unsigned_abs() - 1), None)?;
                last(self, cursor, false)
            }
            FetchStep::Relative(count) => {
                let is_forward = count > 0;
                self.step(cursor, is_forward, Some(count.unsigned_abs() - 1), None)?;
                last(self, cursor, is_forward)
            }
        }
    }

    /// Goes so many rows on or back (`None`: all), giving each; returns how many there were.
    fn step(
        &mut self,
        cursor: &mut SqlCursor,
        is_forward: bool,
        count: Option<u64>,
        out: Option<&mut Out<'_, '_>>,
    ) -> Result<u64> {
        if count == Some(0) {
            return Ok(0);
        }
        if is_forward {
            self.step_on(cursor, count.unwrap_or(u64::MAX), out)
        } else {
            step_back(cursor, count.unwrap_or(u64::MAX), out)
        }
    }

    fn step_on(
        &mut self,
        cursor: &mut SqlCursor,
        count: u64,
        mut out: Option<&mut Out<'_, '_>>,
    ) -> Result<u64> {
        let mut passed = 0;
        if cursor.is_at_end {
            return Ok(0);
        }
        while passed < count {
            let row = cursor.position;
            let found = cursor.rows.find(row).map(|(batch, place)| batch.len() - place);
            let Some(available) = found else {
                if self.compute_more(cursor)? {
                    continue;
                }
                cursor.is_at_end = true;
                break;
            };
            let take = available.min(usize::try_from(count - passed).unwrap_or(usize::MAX));
            if let Some(out) = &mut out {
                cursor.give(row, take, out)?;
            }
            cursor.position += take as u64;
            passed += take as u64;
        }
        Ok(passed)
    }

    /// Computes some more rows; false at the end.
    fn compute_more(&mut self, cursor: &mut SqlCursor) -> Result<bool> {
        let Some(execution) = &mut cursor.execution else { return Ok(false) };
        let next = execution.next(&mut exec_context!(self, &cursor.params));
        match next {
            Ok(Some(batch)) => {
                cursor.rows.push(batch);
                if cursor.declare.scroll.is_none() && cursor.rows.bytes > KEPT_UNASKED_BYTES {
                    cursor.can_scroll = false;
                }
                if !cursor.can_scroll {
                    cursor.rows.forget_before(cursor.position.saturating_sub(1));
                }
                if cursor.rows.bytes > self.node.config().statement_memory_bytes {
                    let message = "the rows of a cursor take too much memory";
                    return Err(SqlError::new(SqlState::OutOfMemory, message).with_hint(
                        "Fetch all rows before the next statement, or declare it NO SCROLL.",
                    ));
                }
                Ok(true)
            }
            Ok(None) => {
                cursor.execution = None;
                Ok(false)
            }
            Err(error) => {
                cursor.has_failed = true;
                cursor.execution = None;
                Err(error)
            }
        }
    }

    /// Computes what cursors have still to give, before the next statement makes the transaction see
    /// newer rows.
    pub(super) fn keep_cursors(&mut self) -> Result<()> {
        self.compute_all(|_| true)
    }

    /// Computes what the cursors that survive the transaction have still to give.
    pub(super) fn hold_cursors(&mut self) -> Result<()> {
        self.compute_all(|cursor| cursor.declare.hold)
    }

    fn compute_all(&mut self, is_wanted: impl Fn(&SqlCursor) -> bool) -> Result<()> {
        let open = self.cursors.by_name.iter();
        let open = open.filter(|(_, cursor)| cursor.execution.is_some() && is_wanted(cursor));
        let names: Vec<String> = open.map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(mut cursor) = self.cursors.by_name.remove(&name) else { continue };
            let computed = loop {
                match self.compute_more(&mut cursor) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            self.cursors.by_name.insert(name, cursor);
            computed?;
        }
        Ok(())
    }
}

fn step_back(cursor: &mut SqlCursor, count: u64, mut out: Option<&mut Out<'_, '_>>) -> Result<u64> {
    cursor.check_can_go_back()?;
    if cursor.is_at_start() {
        return Ok(0);
    }
    // The rows before the one it is on; after the end that is the last.
    let before = if cursor.is_at_end { cursor.position } else { cursor.position - 1 };
    let passed = before.min(count);
    if let Some(out) = &mut out {
        for step in 1..=passed {
            cursor.give(before - step, 1, out)?;
        }
    }
    cursor.is_at_end = false;
    cursor.position = if passed < count { 0 } else { before - passed + 1 };
    Ok(passed)
}
