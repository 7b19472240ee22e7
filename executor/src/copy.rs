//! COPY: rows from bytes and to bytes.
//!
//! [`CopyIn`] takes bytes in pieces of any size: [`lines`] cuts them into records, [`text`] or [`csv`]
//! cuts a record into fields ([`binary`] does both), each field is read as its column's type, and the
//! row is inserted at once. [`CopyOut`] writes batches.

mod binary;
mod csv;
mod lines;
mod out;
mod text;

use std::sync::Arc;

use driftdb_query::{
    Copy, CopyFormat, CopyHeader, CopyOptions, CopySource, Expr, Result, RowRules, SqlError, Table,
};
use driftdb_tables::{Inserted, TableWriter};
use driftdb_types::{SqlState, Value, check_domains, parse_binary, parse_text};

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
    filter: Option<Expr>,
    checks: RowRules,
    options: CopyOptions,
    input: Input,
    writer: TableWriter,
    integrity: Integrity,
    state: State,
    line_number: u64,
    rows: u64,
    /// Rows that WHERE or triggers left out.
    left_out: u64,
    fields: Fields,
}

/// The bytes to come, cut as their form is.
enum Input {
    Lines(Lines),
    Binary(binary::Rows),
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

    /// A field's bytes, and whether they stand for NULL.
    fn raw(&self, index: usize) -> (&[u8], bool) {
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        let (end, null) = self.ends[index];
        (&self.bytes[start..end], null)
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let (bytes, null) = self.raw(index);
        (!null).then_some(bytes)
    }
}

impl CopyIn {
    /// Starts COPY FROM.
    ///
    /// # Errors
    /// The table cannot be written; [`crate::is_stale`] tells when the statement must be bound again.
    pub fn start(copy: &Copy, cx: &mut ExecContext<'_>) -> Result<Self> {
        let CopySource::From { table, columns, row, filter, checks, related } = &copy.source else {
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
            filter: filter.clone(),
            checks: checks.clone(),
            options: copy.options.clone(),
            input: match copy.options.format {
                CopyFormat::Binary => Input::Binary(binary::Rows::new()),
                CopyFormat::Text | CopyFormat::Csv => Input::Lines(Lines::new(&copy.options)),
            },
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

    /// Whether the input is in binary.
    pub fn is_binary(&self) -> bool {
        self.options.format == CopyFormat::Binary
    }

    /// Takes some bytes and inserts the rows that are complete.
    ///
    /// # Errors
    /// Malformed input, with its line; whatever insertion raises.
    pub fn push(&mut self, bytes: &[u8], cx: &mut ExecContext<'_>) -> Result<()> {
        match &mut self.input {
            Input::Lines(lines) => lines.push(bytes)?,
            Input::Binary(rows) => rows.push(bytes)?,
        }
        self.insert_rows(false, cx)
    }

    /// Takes the end of the input.
    ///
    /// # Errors
    /// As [`CopyIn::push`].
    pub fn finish(mut self, cx: &mut ExecContext<'_>) -> Result<CommandTag> {
        self.insert_rows(true, cx)?;
        self.integrity.finish(&mut Run { cx, state: &mut self.state })?;
        Ok(CommandTag::counted("COPY", self.rows - self.left_out))
    }

    fn insert_rows(&mut self, at_end: bool, cx: &mut ExecContext<'_>) -> Result<()> {
        loop {
            let is_next = match &self.input {
                Input::Lines(_) => self.insert_line(at_end, cx)?,
                Input::Binary(_) => self.insert_binary(at_end, cx)?,
            };
            if !is_next {
                return Ok(());
            }
            self.rows += 1;
            if self.rows.is_multiple_of(ROWS_PER_CHECK) {
                Run { cx, state: &mut self.state }.check_cancel()?;
            }
        }
    }

    /// Inserts the next line's row; whether there was a complete line.
    fn insert_line(&mut self, at_end: bool, cx: &mut ExecContext<'_>) -> Result<bool> {
        let line = loop {
            let Input::Lines(lines) = &mut self.input else { return Ok(false) };
            let next = lines.next(at_end);
            let line = match next {
                Ok(None) => return Ok(false),
                Ok(Some(line)) => line,
                Err(error) => {
                    self.line_number += 1;
                    return Err(error.with_context(self.place(None, None)));
                }
            };
            self.line_number += 1;
            if self.line_number > 1 || self.options.header == CopyHeader::Absent {
                break line;
            }
            if self.options.header == CopyHeader::Match {
                let checked = self.split(&line).and_then(|()| self.check_header());
                checked.map_err(|error| error.with_context(self.place(Some(&line), None)))?;
            }
        };
        if let Err(error) = self.split(&line).and_then(|()| self.check_width()) {
            return Err(error.with_context(self.place(Some(&line), None)));
        }
        let mut input = Vec::with_capacity(self.columns.len());
        for index in 0..self.columns.len() {
            input.push(self.read_field(index, cx)?);
        }
        let inserted = self.insert_row(&input, cx);
        inserted.map_err(|error| {
            // A duplicate is found once the line has been read.
            let shown = (error.state != SqlState::UniqueViolation).then_some(&line);
            error.with_context(self.place(shown, None))
        })?;
        Ok(true)
    }

    /// Inserts the next row in binary; whether there was a complete one.
    fn insert_binary(&mut self, at_end: bool, cx: &mut ExecContext<'_>) -> Result<bool> {
        let Input::Binary(rows) = &mut self.input else { return Ok(false) };
        match rows.next(self.columns.len(), at_end, &mut self.fields) {
            Ok(true) => self.line_number += 1,
            Ok(false) => return Ok(false),
            Err(error) if !rows.is_in_rows() => return Err(error),
            Err(error) => {
                self.line_number += 1;
                return Err(error.with_context(self.place(None, None)));
            }
        }
        let mut input = Vec::with_capacity(self.columns.len());
        for (index, &position) in self.columns.iter().enumerate() {
            let column = &self.table.columns[position];
            let read = match self.fields.get(index) {
                Some(bytes) => parse_binary(column.ty, column.typmod, bytes),
                None => Ok(Value::Null),
            };
            let read = read.and_then(|value| {
                check_domains(column.ty, &value, cx.eval)?;
                Ok(value)
            });
            input.push(read.map_err(|error| {
                let place = format!("{}, column {}", self.place(None, None), column.name);
                SqlError::from(error).with_context(place)
            })?);
        }
        let inserted = self.insert_row(&input, cx);
        inserted.map_err(|error| error.with_context(self.place(None, None)))?;
        Ok(true)
    }

    fn split(&mut self, line: &Line) -> Result<()> {
        let Input::Lines(lines) = &self.input else { return Ok(()) };
        let bytes = lines.bytes(line);
        self.fields.clear();
        match self.options.format {
            CopyFormat::Csv => csv::split(bytes, &self.options, &mut self.fields),
            CopyFormat::Text | CopyFormat::Binary => {
                text::split(bytes, &self.options, &mut self.fields)
            }
        }
    }

    /// The first line must have the names of the columns.
    fn check_header(&self) -> Result<()> {
        let malformed = |message| Err(SqlError::new(SqlState::BadCopyFileFormat, message));
        let (found, expected) = (self.fields.ends.len(), self.columns.len());
        if found != expected {
            return malformed(format!(
                "wrong number of fields in header line: field count is {found}, expected {expected}"
            ));
        }
        for (index, &position) in self.columns.iter().enumerate() {
            let name = &self.table.columns[position].name;
            let place = format!("column name mismatch in header line field {}", index + 1);
            match self.fields.get(index) {
                None => {
                    let null = &self.options.null;
                    return malformed(format!(
                        "{place}: got null value (\"{null}\"), expected \"{name}\""
                    ));
                }
                Some(bytes) if bytes != name.as_bytes() => {
                    let found = String::from_utf8_lossy(bytes);
                    return malformed(format!("{place}: got \"{found}\", expected \"{name}\""));
                }
                Some(_) => {}
            }
        }
        Ok(())
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
        let (mut bytes, mut null) = self.fields.raw(index);
        let null_string = self.options.null.as_bytes();
        if null && self.options.force_not_null.contains(&index) {
            (bytes, null) = (null_string, false);
        } else if bytes == null_string && self.options.force_null.contains(&index) {
            null = true;
        }
        if null {
            if let Some(domain) = column.ty.as_domain() {
                domain.check(&Value::Null, cx.eval)?;
            }
            return Ok(Value::Null);
        }
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
        if let Some(filter) = &self.filter
            && evaluate_row(filter, &row, &mut run)? != Value::Bool(true)
        {
            self.left_out += 1;
            return Ok(());
        }
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
            Inserted::Conflict(conflict) => Err(self.writer.conflict_error(&conflict, run.cx.eval)),
        }
    }

    /// `COPY t, line 1, column a: "x"`
    fn place(&self, line: Option<&Line>, field: Option<usize>) -> String {
        let mut place = format!("COPY {}, line {}", self.table.name, self.line_number);
        let shown = match (line, field) {
            (Some(line), _) => match &self.input {
                Input::Lines(lines) => lines.bytes(line),
                Input::Binary(_) => return place,
            },
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
