//! COPY: rows from bytes and to bytes.
//!
//! [`CopyIn`] takes bytes in pieces of any size: [`lines`] cuts them into records, [`text`] or [`csv`]
//! cuts a record into fields, each field is read as its column's type, and the row is inserted at
//! once. [`CopyOut`] writes batches.

mod csv;
mod lines;
mod out;
mod text;

use std::sync::Arc;

use driftdb_query::{
    Copy, CopyFormat, CopyOptions, CopySource, Expr, Result, RowRules, SqlError, Table,
};
use driftdb_tables::{Inserted, TableWriter};
use driftdb_types::{SqlState, Value, parse_text};

use crate::context::{ExecContext, Run, State};
use crate::evaluate::row::evaluate_row;
use crate::integrity::Integrity;
use crate::routine::TriggerEvent;
use crate::statement::CommandTag;
use crate::statement::row::{check_row, hold_definition};
use lines::{Line, Lines};
pub use out::CopyOut;

/// Rows between two looks at the request to cancel.
const ROWS_PER_CHECK: u64 = 1024;
/// How much of a line an error shows.
const SHOWN_CHARS: usize = 100;

/// COPY FROM STDIN on its way.
pub struct CopyIn {
    table: Arc<Table>,
    columns: Vec<usize>,
    row: Vec<Expr>,
    checks: RowRules,
    options: CopyOptions,
    lines: Lines,
    writer: TableWriter,
    integrity: Integrity,
    state: State,
    line_number: u64,
    rows: u64,
    /// Rows that triggers left out.
    left_out: u64,
    fields: Fields,
}

/// The fields of one record: their bytes end to end, and where each ends; absent for NULL.
#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    ends: Vec<(usize, bool)>,
}

impl Fields {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Ends the field whose bytes were added last.
    fn end(&mut self, null: bool) {
        self.ends.push((self.bytes.len(), null));
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        let (end, null) = self.ends[index];
        (!null).then(|| &self.bytes[start..end])
    }
}

impl CopyIn {
    /// Starts COPY FROM.
    ///
    /// # Errors
    /// The table cannot be written; [`crate::is_stale`] tells when the statement must be bound again.
    pub fn start(copy: &Copy, cx: &mut ExecContext<'_>) -> Result<Self> {
        let CopySource::From { table, columns, row, checks, related } = &copy.source else {
            return Err(SqlError::internal("COPY TO reads no rows"));
        };
        let mut state = State::default();
        let mut run = Run { cx, state: &mut state };
        hold_definition(table, &mut run)?;
        let mut integrity = Integrity::new(table, related);
        integrity.hold_definitions(&mut run)?;
        integrity.begin(TriggerEvent::Insert, Vec::new(), &mut run)?;
        Ok(Self {
            table: Arc::clone(table),
            columns: columns.clone(),
            row: row.clone(),
            checks: checks.clone(),
            options: copy.options.clone(),
            lines: Lines::new(&copy.options),
            writer: TableWriter::new(Arc::clone(table)),
            integrity,
            state,
            line_number: 0,
            rows: 0,
            left_out: 0,
            fields: Fields::default(),
        })
    }

    /// How many columns the input has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Takes some bytes and inserts the rows that are complete.
    ///
    /// # Errors
    /// Malformed input, with its line; whatever insertion raises.
    pub fn push(&mut self, bytes: &[u8], cx: &mut ExecContext<'_>) -> Result<()> {
        self.lines.push(bytes)?;
        self.insert_lines(false, cx)
    }

    /// Takes the end of the input.
    ///
    /// # Errors
    /// As [`CopyIn::push`].
    pub fn finish(mut self, cx: &mut ExecContext<'_>) -> Result<CommandTag> {
        self.insert_lines(true, cx)?;
        self.integrity.finish(&mut Run { cx, state: &mut self.state })?;
        Ok(CommandTag::counted("COPY", self.rows - self.left_out))
    }

    fn insert_lines(&mut self, at_end: bool, cx: &mut ExecContext<'_>) -> Result<()> {
        loop {
            let next = self.lines.next(at_end);
            let line = match next {
                Ok(None) => return Ok(()),
                Ok(Some(line)) => line,
                Err(error) => {
                    self.line_number += 1;
                    return Err(error.with_context(self.place(None, None)));
                }
            };
            self.line_number += 1;
            if self.line_number == 1 && self.options.header {
                continue;
            }
            self.insert_line(&line, cx)?;
            self.rows += 1;
            if self.rows.is_multiple_of(ROWS_PER_CHECK) {
                Run { cx, state: &mut self.state }.check_cancel()?;
            }
        }
    }

    fn insert_line(&mut self, line: &Line, cx: &mut ExecContext<'_>) -> Result<()> {
        let bytes = self.lines.bytes(line);
        self.fields.clear();
        let split = match self.options.format {
            CopyFormat::Text => text::split(bytes, &self.options, &mut self.fields),
            CopyFormat::Csv => csv::split(bytes, &self.options, &mut self.fields),
        };
        if let Err(error) = split.and_then(|()| self.check_width()) {
            return Err(error.with_context(self.place(Some(line), None)));
        }
        let mut input = Vec::with_capacity(self.columns.len());
        for index in 0..self.columns.len() {
            input.push(self.read_field(index, cx)?);
        }
        let inserted = self.insert_row(&input, cx);
        inserted.map_err(|error| {
            // A duplicate is found once the line has been read.
            let shown = (error.state != SqlState::UniqueViolation).then_some(line);
            error.with_context(self.place(shown, None))
        })
    }

    fn check_width(&self) -> Result<()> {
        let malformed = |message| SqlError::new(SqlState::BadCopyFileFormat, message);
        let fields = self.fields.ends.len();
        if fields > self.columns.len() {
            return Err(malformed("extra data after last expected column".to_owned()));
        }
        match self.columns.get(fields) {
            Some(&missing) => {
                let name = &self.table.columns[missing].name;
                Err(malformed(format!("missing data for column \"{name}\"")))
            }
            None => Ok(()),
        }
    }

    fn read_field(&self, index: usize, cx: &ExecContext<'_>) -> Result<Value> {
        let column = &self.table.columns[self.columns[index]];
        let Some(bytes) = self.fields.get(index) else {
            if let Some(domain) = column.ty.as_domain() {
                domain.check(&Value::Null, cx.eval)?;
            }
            return Ok(Value::Null);
        };
        let read = || {
            let text = std::str::from_utf8(bytes).map_err(|error| invalid_utf8(bytes, &error))?;
            Ok(parse_text(column.ty, column.typmod, text, cx.eval)?)
        };
        read().map_err(|error: SqlError| error.with_context(self.place(None, Some(index))))
    }

    fn insert_row(&mut self, input: &[Value], cx: &mut ExecContext<'_>) -> Result<()> {
        let mut run = Run { cx, state: &mut self.state };
        let row: Vec<Value> = self
            .row
            .iter()
            .map(|expr| evaluate_row(expr, input, &mut run))
            .collect::<Result<_>>()?;
        let event = TriggerEvent::Insert;
        let Some(mut row) =
            self.integrity.before_row(&self.table, event, None, Some(row), &mut run)?
        else {
            self.left_out += 1;
            return Ok(());
        };
        check_row(&self.table, &self.checks, &mut row, &mut run)?;
        match self.integrity.insert(&mut self.writer, &row, &mut run)? {
            Inserted::Done { .. } => Ok(()),
            Inserted::Conflict(conflict) => {
                Err(self.writer.conflict_error(&conflict, &row, run.cx.eval))
            }
        }
    }

    /// `COPY t, line 1, column a: "x"`
    fn place(&self, line: Option<&Line>, field: Option<usize>) -> String {
        let mut place = format!("COPY {}, line {}", self.table.name, self.line_number);
        let shown = match (line, field) {
            (Some(line), _) => self.lines.bytes(line),
            (None, Some(field)) => {
                let name = &self.table.columns[self.columns[field]].name;
                place.push_str(&format!(", column {name}"));
                self.fields.get(field).unwrap_or_default()
            }
            (None, None) => return place,
        };
        let shown = String::from_utf8_lossy(shown);
        match shown.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => place.push_str(&format!(": \"{}...\"", &shown[..end])),
            None => place.push_str(&format!(": \"{shown}\"")),
        }
        place
    }
}

fn invalid_utf8(bytes: &[u8], error: &std::str::Utf8Error) -> SqlError {
    let at = error.valid_up_to();
    let bad = &bytes[at..bytes.len().min(at + error.error_len().unwrap_or(1))];
    let bad: Vec<String> = bad.iter().map(|byte| format!("0x{byte:02x}")).collect();
    let message = format!("invalid byte sequence for encoding \"UTF8\": {}", bad.join(" "));
    SqlError::new(SqlState::CharacterNotInRepertoire, message)
}
