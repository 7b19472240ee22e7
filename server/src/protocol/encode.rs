//! Writing the messages that a server sends.

use driftdb_executor::{Batch, CommandTag};
use driftdb_query::{Field, SqlError};
use driftdb_types::{EvalContext, Value, write_binary, write_text};

use crate::node::Notification;
use crate::session::{CopyResponse, Format, Formats, Severity, TransactionStatus};

/// Appends messages to a buffer.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A message of a kind with a body.
    fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(kind);
        let start = self.out.len();
        self.out.extend([0; 4]);
        body(self.out);
        let length = self.out.len() - start;
        set_length(self.out, start, length);
    }

    /// AuthenticationOk.
    pub(super) fn authentication_ok(&mut self) {
        self.message(b'R', |out| out.extend(0i32.to_be_bytes()));
    }

    /// ParameterStatus.
    pub(super) fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |out| {
            put_string(out, name);
            put_string(out, value);
        });
    }

    /// BackendKeyData.
    pub(super) fn backend_key_data(&mut self, pid: i32, secret: &[u8]) {
        self.message(b'K', |out| {
            out.extend(pid.to_be_bytes());
            out.extend(secret);
        });
    }

    /// NegotiateProtocolVersion: the newest minor version that is spoken, and options not known.
    pub(super) fn negotiate_protocol_version(&mut self, version: i32, unknown: &[String]) {
        self.message(b'v', |out| {
            out.extend(version.to_be_bytes());
            out.extend((unknown.len() as i32).to_be_bytes());
            unknown.iter().for_each(|option| put_string(out, option));
        });
    }

    /// NotificationResponse.
    pub(crate) fn notification(&mut self, message: &Notification) {
        self.message(b'A', |out| {
            out.extend(message.pid.to_be_bytes());
            put_string(out, &message.channel);
            put_string(out, &message.payload);
        });
    }

    /// ReadyForQuery.
    pub(super) fn ready_for_query(&mut self, status: TransactionStatus) {
        let status = match status {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InBlock => b'T',
            TransactionStatus::Failed => b'E',
        };
        self.out.extend([b'Z', 0, 0, 0, 5, status]);
    }

    /// A message without a body: ParseComplete, BindComplete, NoData and their like.
    pub(super) fn bare(&mut self, kind: u8) {
        self.out.extend([kind, 0, 0, 0, 4]);
    }

    /// ParameterDescription.
    pub(super) fn parameter_description(&mut self, oids: impl ExactSizeIterator<Item = u32>) {
        self.message(b't', |out| {
            out.extend((oids.len() as u16).to_be_bytes());
            oids.for_each(|oid| out.extend(oid.to_be_bytes()));
        });
    }

    /// RowDescription.
    pub(super) fn row_description(&mut self, fields: &[Field], formats: &Formats) {
        self.message(b'T', |out| {
            out.extend((fields.len() as u16).to_be_bytes());
            for (index, field) in fields.iter().enumerate() {
                put_string(out, &field.name);
                out.extend(field.origin.0.to_be_bytes());
                out.extend(field.origin.1.to_be_bytes());
                // Of a domain clients see what it is over.
                let (ty, typmod) = field.ty.base_with_typmod(field.typmod);
                out.extend(ty.oid().to_be_bytes());
                out.extend(ty.wire_len().to_be_bytes());
                out.extend(typmod.to_be_bytes());
                out.extend(format_code(formats.of(index)).to_be_bytes());
            }
        });
    }

    /// DataRow from a batch, straight from its columns.
    pub(super) fn data_row(
        &mut self,
        batch: &Batch,
        row: usize,
        formats: &Formats,
        eval: &EvalContext,
    ) {
        self.message(b'D', |out| {
            out.extend((batch.width() as u16).to_be_bytes());
            for column in 0..batch.width() {
                put_cell(out, |out| match formats.of(column) {
                    Format::Text => batch.write_text(column, row, eval, out),
                    Format::Binary => batch.write_binary(column, row, out),
                });
            }
        });
    }

    /// DataRow from values.
    pub(super) fn value_row(
        &mut self,
        row: &[Value],
        fields: &[Field],
        formats: &Formats,
        eval: &EvalContext,
    ) {
        self.message(b'D', |out| {
            out.extend((row.len() as u16).to_be_bytes());
            for (index, (value, field)) in row.iter().zip(fields).enumerate() {
                put_cell(out, |out| {
                    match formats.of(index) {
                        Format::Text => write_text(value, field.ty, eval, out),
                        Format::Binary => write_binary(value, field.ty, out),
                    }
                    value.is_null()
                });
            }
        });
    }

    /// CommandComplete.
    pub(super) fn command_complete(&mut self, tag: CommandTag) {
        self.message(b'C', |out| {
            use std::io::Write;
            // Writing to memory does not fail.
            let written = write!(out, "{tag}");
            debug_assert!(written.is_ok());
            out.push(0);
        });
    }

    /// CopyInResponse (`G`) or CopyOutResponse (`H`).
    pub(super) fn copy_response(&mut self, kind: u8, response: CopyResponse) {
        self.message(kind, |out| {
            let format = u8::from(response.is_binary);
            out.push(format);
            out.extend((response.columns as u16).to_be_bytes());
            (0..response.columns).for_each(|_| out.extend([0, format]));
        });
    }

    /// CopyData.
    pub(super) fn copy_data(&mut self, bytes: &[u8]) {
        self.message(b'd', |out| out.extend(bytes));
    }

    /// ErrorResponse or NoticeResponse.
    pub fn report(&mut self, severity: Severity, error: &SqlError) {
        let kind = match severity {
            Severity::Error | Severity::Fatal => b'E',
            Severity::Warning | Severity::Notice => b'N',
        };
        self.message(kind, |out| {
            error_fields(severity, error, &mut |field, text| {
                out.push(field);
                put_string(out, text);
            });
            out.push(0);
        });
    }
}

/// The fields of an error or notice: code and text.
pub fn error_fields(severity: Severity, error: &SqlError, field: &mut dyn FnMut(u8, &str)) {
    field(b'S', severity.name());
    field(b'V', severity.name());
    field(b'C', error.state.code());
    field(b'M', &error.message);
    let position = error.position.map(|position| position.to_string());
    let optional = [
        (b'D', error.detail.as_deref()),
        (b'H', error.hint.as_deref()),
        (b'P', position.as_deref()),
        (b'W', error.context.as_deref()),
        (b's', error.table.as_ref().map(|_| "public")),
        (b't', error.table.as_deref()),
        (b'c', error.column.as_deref()),
        (b'n', error.constraint.as_deref()),
    ];
    for (code, text) in optional {
        if let Some(text) = text {
            field(code, text);
        }
    }
}

fn format_code(format: Format) -> i16 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

/// Text and a zero byte. A zero byte inside would end it early, and shift everything after it.
fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}

fn set_length(out: &mut [u8], at: usize, length: usize) {
    // What is written here was in memory as one value; values are far below 2 GiB.
    let length = u32::try_from(length).expect("a message below 4 GiB");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// A cell: its length, then what `write` appends; NULL if it returns true.
fn put_cell(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) {
    let start = out.len();
    out.extend([0xff; 4]);
    let is_null = write(out);
    if !is_null {
        let length = out.len() - start - 4;
        set_length(out, start, length);
    }
}

#[cfg(test)]
mod tests {
    use driftdb_types::{DataType, SqlState};

    use super::*;

    fn written(write: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Encoder::new(&mut out));
        out
    }

    #[test]
    fn rows_in_both_formats() {
        let field = |ty| Field { name: "a".into(), ty, typmod: -1, origin: (0, 0) };
        let fields = [field(DataType::Int4), field(DataType::Text)];
        let row = [Value::Int4(258), Value::Null];
        let eval = EvalContext::default();
        let text = written(|e| e.value_row(&row, &fields, &Formats::All(Format::Text), &eval));
        assert_eq!(text, b"D\0\0\0\x11\0\x02\0\0\0\x03258\xff\xff\xff\xff");
        let formats = Formats::Each(vec![Format::Binary, Format::Text]);
        let binary = written(|e| e.value_row(&row, &fields, &formats, &eval));
        assert_eq!(binary, b"D\0\0\0\x12\0\x02\0\0\0\x04\0\0\x01\x02\xff\xff\xff\xff");
    }

    #[test]
    fn errors_carry_their_fields() {
        let error = SqlError::new(SqlState::UndefinedTable, "relation \"x\" does not exist").at(15);
        let bytes = written(|e| e.report(Severity::Error, &error));
        let body = &bytes[5..];
        let expected =
            b"SERROR\0VERROR\0C42P01\0Mrelation \"x\" does not exist\0P15\0\0".as_slice();
        assert_eq!(body, expected);
        let tag = CommandTag { command: "INSERT", rows: Some(2) };
        assert_eq!(written(|e| e.command_complete(tag)), b"C\0\0\0\x0fINSERT 0 2\0");
    }
}
