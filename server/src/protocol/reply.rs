//! A session's answers as bytes.

use driftdb_executor::{Batch, CommandTag};
use driftdb_query::{Field, Result, SqlError};
use driftdb_types::{EvalContext, SqlState, Value};

use super::connection::Outlet;
use super::encode::Encoder;
use crate::session::{CopyResponse, Formats, ResponseSink, Severity};

/// Answers go out when so many bytes have gathered.
pub(super) const GATHER_BYTES: usize = 64 << 10;

/// Writes answers into a buffer, and the buffer to the outlet when it is full.
pub(super) struct Reply<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) outlet: &'a mut dyn Outlet,
    /// Whether an error was reported.
    pub(super) has_failed: bool,
}

impl Reply<'_> {
    pub(super) fn encoder(&mut self) -> Encoder<'_> {
        Encoder::new(self.out)
    }

    fn drain_if_full(&mut self) -> Result<()> {
        if self.out.len() < GATHER_BYTES { Ok(()) } else { self.drain() }
    }

    fn drain(&mut self) -> Result<()> {
        let written = self.outlet.write(self.out);
        self.out.clear();
        written.map_err(|error| {
            let message = format!("the connection to the client is lost: {error}");
            SqlError::new(SqlState::ConnectionFailure, message)
        })
    }
}

impl ResponseSink for Reply<'_> {
    fn row_description(&mut self, fields: &[Field], formats: &Formats) {
        self.encoder().row_description(fields, formats);
    }

    fn rows(&mut self, batch: &Batch, formats: &Formats, eval: &EvalContext) -> Result<()> {
        for row in 0..batch.len() {
            self.encoder().data_row(batch, row, formats, eval);
            self.drain_if_full()?;
        }
        Ok(())
    }

    fn row(
        &mut self,
        row: &[Value],
        fields: &[Field],
        formats: &Formats,
        eval: &EvalContext,
    ) -> Result<()> {
        self.encoder().value_row(row, fields, formats, eval);
        self.drain_if_full()
    }

    fn command_complete(&mut self, tag: CommandTag) {
        self.encoder().command_complete(tag);
    }

    fn empty_query(&mut self) {
        self.encoder().bare(b'I');
    }

    fn portal_suspended(&mut self) {
        self.encoder().bare(b's');
    }

    fn notice(&mut self, severity: Severity, notice: &SqlError) {
        self.encoder().report(severity, notice);
    }

    fn error(&mut self, error: &SqlError) {
        self.has_failed = true;
        self.encoder().report(Severity::Error, error);
    }

    fn copy_in(&mut self, response: CopyResponse) {
        self.encoder().copy_response(b'G', response);
    }

    fn copy_out(&mut self, response: CopyResponse) {
        self.encoder().copy_response(b'H', response);
    }

    fn copy_data(&mut self, bytes: &[u8]) -> Result<()> {
        self.encoder().copy_data(bytes);
        self.drain_if_full()
    }

    fn flush(&mut self) -> Result<()> {
        if self.out.is_empty() { Ok(()) } else { self.drain() }
    }

    fn copy_done(&mut self) {
        self.encoder().bare(b'c');
    }
}
