//! Where a session's answers go.

use driftdb_executor::{Batch, CommandTag};
use driftdb_query::{Field, Result, SqlError};
use driftdb_types::{EvalContext, Value};

/// The two forms of a value on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As text.
    Text,
    /// As PostgreSQL's binary form.
    Binary,
}

impl Format {
    /// From the protocol's code.
    pub fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Text),
            1 => Some(Self::Binary),
            _ => None,
        }
    }
}

/// The forms of a result's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Formats {
    /// All alike.
    All(Format),
    /// One by one.
    Each(Vec<Format>),
}

impl Formats {
    /// The form of a column.
    pub fn of(&self, column: usize) -> Format {
        match self {
            Self::All(format) => *format,
            Self::Each(formats) => formats.get(column).copied().unwrap_or(Format::Text),
        }
    }
}

/// What COPY tells the client before the bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyResponse {
    /// How many columns a line has.
    pub columns: usize,
    /// Whether fields are in binary.
    pub is_binary: bool,
}

/// Takes a session's answers, in the order of the protocol. A sink may block until its reader has
/// taken what was written, so that a large result never lies in memory.
pub trait ResponseSink {
    /// The columns of the rows that follow.
    fn row_description(&mut self, fields: &[Field], formats: &Formats);

    /// Rows.
    ///
    /// # Errors
    /// The reader is gone: the statement must stop.
    fn rows(&mut self, batch: &Batch, formats: &Formats, eval: &EvalContext) -> Result<()>;

    /// One row.
    ///
    /// # Errors
    /// As [`ResponseSink::rows`].
    fn row(
        &mut self,
        row: &[Value],
        fields: &[Field],
        formats: &Formats,
        eval: &EvalContext,
    ) -> Result<()>;

    /// A statement is finished.
    fn command_complete(&mut self, tag: CommandTag);

    /// There was no statement.
    fn empty_query(&mut self);

    /// A portal gave as many rows as were asked for, and may have more.
    fn portal_suspended(&mut self);

    /// A notice or warning.
    fn notice(&mut self, severity: Severity, notice: &SqlError);

    /// A statement failed.
    fn error(&mut self, error: &SqlError);

    /// The session waits for COPY's bytes.
    fn copy_in(&mut self, response: CopyResponse);

    /// COPY's bytes follow.
    fn copy_out(&mut self, response: CopyResponse);

    /// Some of COPY's bytes: one or more whole lines.
    ///
    /// # Errors
    /// As [`ResponseSink::rows`].
    fn copy_data(&mut self, bytes: &[u8]) -> Result<()>;

    /// Hands on what has gathered: nothing may follow for a while.
    ///
    /// # Errors
    /// As [`ResponseSink::rows`].
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// COPY's bytes are complete.
    fn copy_done(&mut self);
}

/// How serious a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
    /// Something to worry about.
    Warning,
    /// Something to know.
    Notice,
}

impl Severity {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
        }
    }
}
