//! COPY TO: batches to bytes.

use driftdb_query::{CopyFormat, CopyHeader, CopyOptions, Field};
use driftdb_types::EvalContext;

use super::binary;
use crate::batch::Batch;

/// Writes rows in one of COPY's forms.
pub struct CopyOut {
    options: CopyOptions,
    names: Vec<String>,
    field: Vec<u8>,
}

impl CopyOut {
    /// A writer of rows with some columns.
    pub fn new(options: &CopyOptions, fields: &[Field]) -> Self {
        let names = fields.iter().map(|field| field.name.clone()).collect();
        Self { options: options.clone(), names, field: Vec::new() }
    }

    /// How many columns the output has.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// Whether fields are in binary.
    pub fn is_binary(&self) -> bool {
        self.options.format == CopyFormat::Binary
    }

    /// Appends what stands before the rows: the line of column names, if it was asked for; in binary,
    /// the signature without flags or extension.
    pub fn header(&mut self, out: &mut Vec<u8>) {
        if self.is_binary() {
            out.extend(binary::SIGNATURE);
            out.extend([0; 8]);
        }
        if self.options.header == CopyHeader::Absent {
            return;
        }
        let names = std::mem::take(&mut self.names);
        for (index, name) in names.iter().enumerate() {
            self.separate(index, out);
            self.field.clear();
            self.field.extend_from_slice(name.as_bytes());
            self.write_field(false, out);
        }
        out.push(b'\n');
        self.names = names;
    }

    /// Appends what stands after the rows.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.is_binary() {
            out.extend(binary::END.to_be_bytes());
        }
    }

    /// Appends the line of one row.
    pub fn row(&mut self, batch: &Batch, row: usize, ctx: &EvalContext, out: &mut Vec<u8>) {
        if self.is_binary() {
            return self.binary_row(batch, row, out);
        }
        for column in 0..batch.width() {
            self.separate(column, out);
            self.field.clear();
            if batch.write_text(column, row, ctx, &mut self.field) {
                out.extend_from_slice(self.options.null.as_bytes());
            } else {
                self.write_field(self.options.force_quote.contains(&column), out);
            }
        }
        out.push(b'\n');
    }

    fn binary_row(&mut self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        out.extend((batch.width() as i16).to_be_bytes());
        for column in 0..batch.width() {
            self.field.clear();
            let length = match batch.write_binary(column, row, &mut self.field) {
                true => -1,
                false => self.field.len() as i32,
            };
            out.extend(length.to_be_bytes());
            out.extend_from_slice(&self.field);
        }
    }

    fn separate(&self, index: usize, out: &mut Vec<u8>) {
        if index > 0 {
            out.push(self.options.delimiter);
        }
    }

    fn write_field(&self, force_quote: bool, out: &mut Vec<u8>) {
        match self.options.format {
            CopyFormat::Text | CopyFormat::Binary => self.write_escaped(out),
            CopyFormat::Csv if force_quote || self.needs_quotes() => self.write_quoted(out),
            CopyFormat::Csv => out.extend_from_slice(&self.field),
        }
    }

    fn write_escaped(&self, out: &mut Vec<u8>) {
        for &byte in &self.field {
            let letter = match byte {
                8 => b'b',
                12 => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                11 => b'v',
                b'\\' => b'\\',
                _ if byte == self.options.delimiter => byte,
                _ => {
                    out.push(byte);
                    continue;
                }
            };
            out.extend([b'\\', letter]);
        }
    }

    fn needs_quotes(&self) -> bool {
        // A lone \. would end the input when it is read back.
        let ends_input = self.names.len() <= 1 && self.field == b"\\.";
        ends_input
            || self.field == self.options.null.as_bytes()
            || self.field.iter().any(|&byte| {
                byte == self.options.delimiter
                    || byte == self.options.quote
                    || byte == b'\n'
                    || byte == b'\r'
            })
    }

    fn write_quoted(&self, out: &mut Vec<u8>) {
        out.push(self.options.quote);
        for &byte in &self.field {
            if byte == self.options.quote || byte == self.options.escape {
                out.push(self.options.escape);
            }
            out.push(byte);
        }
        out.push(self.options.quote);
    }
}
