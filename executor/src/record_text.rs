//! A row as one text, as PostgreSQL writes composite values: `(1,"a b",)`.
//!
//! A value is in quotes if it is empty or holds a quote, a backslash, a bracket, a comma or white space;
//! inside, quotes and backslashes are doubled. NULL is nothing at all.

use driftdb_types::{DataType, EvalContext, Value, write_text};

/// The text of a row.
pub(crate) fn write_record<'a>(
    row: impl Iterator<Item = (&'a Value, DataType)>,
    eval: &EvalContext,
) -> String {
    let (mut out, mut cell) = (Vec::from(b"("), Vec::new());
    for (index, (value, ty)) in row.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if value.is_null() {
            continue;
        }
        cell.clear();
        write_text(value, ty, eval, &mut cell);
        if needs_quotes(&cell) {
            out.push(b'"');
            for &byte in &cell {
                if matches!(byte, b'"' | b'\\') {
                    out.push(byte);
                }
                out.push(byte);
            }
            out.push(b'"');
        } else {
            out.extend_from_slice(&cell);
        }
    }
    out.push(b')');
    String::from_utf8_lossy(&out).into_owned()
}

fn needs_quotes(cell: &[u8]) -> bool {
    let is_special = |byte: &u8| {
        matches!(byte, b'"' | b'\\' | b'(' | b')' | b',' | b' ' | b'\t' | b'\n' | 11 | 12 | b'\r')
    };
    cell.is_empty() || cell.iter().any(is_special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_as_postgresql_does() {
        // SELECT ROW(1, NULL, '', 'a b', 'x"y\z', '(,)', 'plain')
        let row = [
            (Value::Int4(1), DataType::Int4),
            (Value::Null, DataType::Text),
            (Value::text(""), DataType::Text),
            (Value::text("a b"), DataType::Text),
            (Value::text("x\"y\\z"), DataType::Text),
            (Value::text("(,)"), DataType::Text),
            (Value::text("plain"), DataType::Text),
        ];
        let text = write_record(row.iter().map(|(v, t)| (v, *t)), &EvalContext::default());
        assert_eq!(text, r#"(1,,"","a b","x""y\\z","(,)",plain)"#);
        assert_eq!(write_record([].into_iter(), &EvalContext::default()), "()");
    }
}
