//! Rows as values: of a composite type, or what ROW(…) makes.
//!
//! A row carries its columns, so that comparing, hashing and printing it need nothing else, as an array
//! carries the type of its elements.

use std::cmp::Ordering;
use std::hash::Hasher;
use std::sync::Arc;

use crate::io::{parse_binary, parse_text, write_binary, write_text};
use crate::{DataType, EvalContext, Field, SqlState, Value, ValueError, compare_typed, hash_typed};

/// A row.
#[derive(Debug, Clone)]
pub struct Record {
    ty: DataType,
    fields: Arc<[Field]>,
    values: Box<[Value]>,
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.ty == other.ty && self.values == other.values
    }
}

impl Record {
    /// A row of a composite type; `None` if it is none, or has another number of columns.
    pub fn of_type(ty: DataType, values: Vec<Value>) -> Option<Self> {
        let fields = ty.fields()?;
        let record = Self { ty, fields: Arc::clone(fields), values: values.into() };
        (record.values.len() == fields.len()).then_some(record)
    }

    /// A row of no named type. There must be as many values as columns.
    pub fn anonymous(fields: Arc<[Field]>, values: Vec<Value>) -> Self {
        assert_eq!(fields.len(), values.len());
        Self { ty: DataType::Record, fields, values: values.into() }
    }

    /// Its type: a composite type, or `record`.
    pub fn ty(&self) -> DataType {
        self.ty
    }

    /// The columns.
    pub fn fields(&self) -> &Arc<[Field]> {
        &self.fields
    }

    /// A value for each column.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of a column, and the column.
    pub fn get(&self, name: &str) -> Option<(&Field, &Value)> {
        let place = self.fields.iter().position(|field| *field.name == *name)?;
        Some((&self.fields[place], &self.values[place]))
    }

    /// Columns with their values.
    pub fn pairs(&self) -> impl Iterator<Item = (&Field, &Value)> {
        self.fields.iter().zip(&self.values)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.values.iter().map(|v| size_of::<Value>() + v.heap_bytes()).sum::<usize>()
    }

    /// The order of rows: by the first column in which they differ, NULL last.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        for ((field, a), b) in self.pairs().zip(&other.values) {
            let order = compare_typed(field.ty.base(), a, b);
            if order.is_ne() {
                return order;
            }
        }
        self.values.len().cmp(&other.values.len())
    }

    /// Whether rows can be compared at all.
    ///
    /// # Errors
    /// 42804 if their columns are of different types or numbers.
    pub(crate) fn check_comparable(&self, other: &Self) -> Result<(), ValueError> {
        let differ = |message| Err(ValueError::new(SqlState::DatatypeMismatch, message));
        for (index, (a, b)) in self.fields.iter().zip(&other.fields[..]).enumerate() {
            if a.ty.base() != b.ty.base() {
                let (a, b, column) = (a.ty, b.ty, index + 1);
                return differ(format!(
                    "cannot compare dissimilar column types {a} and {b} at record column {column}"
                ));
            }
            if !a.ty.base().is_comparable() {
                let message =
                    format!("could not identify a comparison function for type {}", a.ty.base());
                return Err(ValueError::new(SqlState::UndefinedFunction, message));
            }
        }
        if self.fields.len() == other.fields.len() {
            return Ok(());
        }
        differ("cannot compare record types with different numbers of columns".to_owned())
    }

    pub(crate) fn hash_into(&self, hasher: &mut impl Hasher) {
        self.pairs().for_each(|(field, value)| hash_typed(field.ty.base(), value, hasher));
    }
}

fn malformed(text: &str, detail: &str) -> ValueError {
    let message = format!("malformed record literal: \"{text}\"");
    ValueError::new(SqlState::InvalidTextRepresentation, message).with_detail(detail)
}

fn anonymous_input() -> ValueError {
    let message = "input of anonymous composite types is not implemented";
    ValueError::new(SqlState::FeatureNotSupported, message)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Reads `(1,"a b",)` (`record_in`).
///
/// # Errors
/// 22P02 with PostgreSQL's texts, and what reading a column raises; 0A000 for `record`.
pub(crate) fn parse_record(
    ty: DataType,
    text: &str,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    let fields = ty.fields().ok_or_else(anonymous_input)?;
    let Some(inner) = text.trim_start_matches(is_space).strip_prefix('(') else {
        return Err(malformed(text, "Missing left parenthesis."));
    };
    let mut rest = inner.chars().peekable();
    let mut values = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        if index > 0 && rest.next_if_eq(&',').is_none() {
            return Err(malformed(text, "Too few columns."));
        }
        if matches!(rest.peek(), Some(',' | ')')) {
            // A domain may say something of NULL.
            values.push(crate::cast(
                Value::Null,
                DataType::Unknown,
                field.ty,
                field.typmod,
                crate::CastContext::Assignment,
                ctx,
            )?);
            continue;
        }
        let (mut cell, mut is_quoted) = (String::new(), false);
        while is_quoted || !matches!(rest.peek(), Some(',' | ')')) {
            let end = || malformed(text, "Unexpected end of input.");
            match rest.next().ok_or_else(end)? {
                '\\' => cell.push(rest.next().ok_or_else(end)?),
                '"' if !is_quoted => is_quoted = true,
                '"' if rest.next_if_eq(&'"').is_some() => cell.push('"'),
                '"' => is_quoted = false,
                c => cell.push(c),
            }
        }
        values.push(parse_text(field.ty, field.typmod, &cell, ctx)?);
    }
    if rest.next() != Some(')') {
        return Err(malformed(text, "Too many columns."));
    }
    if rest.any(|c| !is_space(c)) {
        return Err(malformed(text, "Junk after right parenthesis."));
    }
    Record::of_type(ty, values).map(Value::record).ok_or_else(anonymous_input)
}

/// Appends `(1,"a b",)`.
pub(crate) fn write_record(record: &Record, ctx: &EvalContext, out: &mut Vec<u8>) {
    out.push(b'(');
    let mut cell = Vec::new();
    for (index, (field, value)) in record.pairs().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if value.is_null() {
            continue;
        }
        cell.clear();
        write_text(value, field.ty, ctx, &mut cell);
        if !needs_quotes(&cell) {
            out.extend_from_slice(&cell);
            continue;
        }
        out.push(b'"');
        for &byte in &cell {
            if matches!(byte, b'"' | b'\\') {
                out.push(byte);
            }
            out.push(byte);
        }
        out.push(b'"');
    }
    out.push(b')');
}

fn needs_quotes(cell: &[u8]) -> bool {
    let is_special = |byte: &u8| {
        matches!(byte, b'"' | b'\\' | b'(' | b')' | b',' | b' ' | b'\t' | b'\n' | 11 | 12 | b'\r')
    };
    cell.is_empty() || cell.iter().any(is_special)
}

/// Appends the binary form (`record_send`).
pub(crate) fn write_record_binary(record: &Record, out: &mut Vec<u8>) {
    out.extend((record.values.len() as u32).to_be_bytes());
    for (field, value) in record.pairs() {
        out.extend(field.ty.oid().to_be_bytes());
        let start = out.len();
        out.extend((-1i32).to_be_bytes());
        if !value.is_null() {
            write_binary(value, field.ty, out);
            let length = (out.len() - start - 4) as u32;
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// Reads the binary form (`record_recv`).
///
/// # Errors
/// 42804, 08P01 and 22P03 with PostgreSQL's texts, and what reading a column raises; 0A000 for `record`.
pub(crate) fn read_record_binary(ty: DataType, bytes: &[u8]) -> Result<Value, ValueError> {
    let short = || {
        let message = "insufficient data left in message";
        ValueError::new(SqlState::ProtocolViolation, message)
    };
    let mut rest = bytes;
    let int = |rest: &mut &[u8]| -> Result<i32, ValueError> {
        let (head, tail) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        *rest = tail;
        Ok(i32::from_be_bytes(*head))
    };
    let fields = ty.fields().ok_or_else(anonymous_input)?;
    let count = int(&mut rest)?;
    if usize::try_from(count) != Ok(fields.len()) {
        let message = format!("wrong number of columns: {count}, expected {}", fields.len());
        return Err(ValueError::new(SqlState::DatatypeMismatch, message));
    }
    let mut values = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let oid = int(&mut rest)? as u32;
        if oid != field.ty.oid() {
            let found = DataType::from_oid(oid).map_or("???", DataType::sql_name);
            let message = format!(
                "binary data has type {oid} ({found}) instead of expected {} ({}) in record column {}",
                field.ty.oid(),
                field.ty,
                index + 1
            );
            return Err(ValueError::new(SqlState::DatatypeMismatch, message));
        }
        values.push(match int(&mut rest)? {
            -1 => Value::Null,
            length => {
                let length = usize::try_from(length).map_err(|_| short())?;
                let (head, tail) = rest.split_at_checked(length).ok_or_else(short)?;
                rest = tail;
                parse_binary(field.ty, field.typmod, head)?
            }
        });
    }
    if !rest.is_empty() {
        let message = "incorrect binary data format";
        return Err(ValueError::new(SqlState::InvalidBinaryRepresentation, message));
    }
    Record::of_type(ty, values).map(Value::record).ok_or_else(anonymous_input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{UserDefinition, UserKind, UserType};

    fn field(number: u16, name: &str, ty: DataType) -> Field {
        Field { number, name: name.into(), ty, typmod: -1 }
    }

    fn pair() -> DataType {
        let fields = Arc::from([field(1, "a", DataType::Int4), field(3, "b", DataType::Text)]);
        DataType::User(UserType::new(UserDefinition {
            oid: 20_101,
            array_oid: 20_102,
            schema: "public".into(),
            name: "pair".into(),
            kind: UserKind::Composite { fields, relation: None },
        }))
    }

    #[test]
    fn texts_are_read_and_written_as_postgresql_does() {
        let ctx = EvalContext::default();
        for (text, written) in [
            ("(1,2)", "(1,2)"),
            (" ( 1 ,) ", "(1,)"),
            ("(,\"\")", "(,\"\")"),
            ("(1,\"a\"\"b\\\\ c\")", "(1,\"a\"\"b\\\\ c\")"),
            ("(1,a\\,b)", "(1,\"a,b\")"),
        ] {
            let value = parse_text(pair(), -1, text, &ctx).unwrap();
            let mut out = Vec::new();
            write_text(&value, pair(), &ctx, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), written, "{text}");
            let mut bytes = Vec::new();
            write_binary(&value, pair(), &mut bytes);
            assert_eq!(parse_binary(pair(), -1, &bytes).unwrap(), value);
            let mut cell = Vec::new();
            crate::encode_value(&value, pair(), &mut cell);
            assert_eq!(crate::decode_value(pair(), &mut &cell[..]).unwrap(), value);
            let mut key = Vec::new();
            crate::encode_key(&value, pair(), &mut key);
            assert_eq!(crate::decode_key(pair(), &mut &key[..]).unwrap(), value);
        }
        for (text, detail) in [
            ("1,2", "Missing left parenthesis."),
            ("(1)", "Too few columns."),
            ("(1,2,3)", "Too many columns."),
            ("(1,2) x", "Junk after right parenthesis."),
            ("(1,\"2", "Unexpected end of input."),
        ] {
            let error = parse_text(pair(), -1, text, &ctx).unwrap_err();
            assert_eq!(error.detail.as_deref(), Some(detail), "{text}");
        }
    }
}
