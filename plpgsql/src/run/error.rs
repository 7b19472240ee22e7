//! Errors: which handler catches them, and what GET DIAGNOSTICS says of them.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState, Value};

use super::{Interpreter, Position};
use crate::ast::{Condition, Diagnostic, Target};
use crate::host::Host;

/// Whether a handler's condition is met by an error.
pub(super) fn catches(condition: &Condition, state: SqlState) -> bool {
    let code = state.code();
    match condition {
        // Those two are caught by name only.
        Condition::Others => !matches!(code, "57014" | "P0004"),
        Condition::State(wanted) if wanted.ends_with("000") => {
            wanted == code || wanted[..2] == code[..2]
        }
        Condition::State(wanted) => wanted == code,
    }
}

/// Where a message's context says that it is.
pub(super) fn position_text(position: Position, signature: &str) -> String {
    match position {
        Position::Statement(line, what) => {
            format!("PL/pgSQL function {signature} line {line} at {what}")
        }
        _ => format!("PL/pgSQL function {signature}"),
    }
}

impl<H: Host> Interpreter<'_, H> {
    pub(super) fn diagnostics(
        &mut self,
        is_stacked: bool,
        items: &[(Target, Diagnostic)],
    ) -> Result<()> {
        if is_stacked && self.handled.is_empty() {
            let message = "GET STACKED DIAGNOSTICS cannot be used outside an exception handler";
            return Err(SqlError::new(SqlState::Other(*b"0Z002"), message));
        }
        for (target, item) in items {
            let (value, ty) = match item {
                Diagnostic::RowCount => (Value::Int8(self.row_count as i64), DataType::Int8),
                Diagnostic::Context if !is_stacked => {
                    let text = position_text(self.at, self.signature);
                    (Value::Text(text.into()), DataType::Text)
                }
                item => {
                    let text = self.handled.last().map(|error| said(error, *item));
                    (Value::Text(text.unwrap_or_default().into()), DataType::Text)
                }
            };
            self.store(target, value, ty)?;
        }
        Ok(())
    }
}

/// One thing about an error; nothing is an empty text.
fn said(error: &SqlError, item: Diagnostic) -> String {
    let optional = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
    match item {
        Diagnostic::ReturnedSqlstate => error.state.code().to_owned(),
        Diagnostic::MessageText => error.message.clone(),
        Diagnostic::Detail => optional(&error.detail),
        Diagnostic::Hint => optional(&error.hint),
        Diagnostic::Context => optional(&error.context),
        Diagnostic::ColumnName => optional(&error.column),
        Diagnostic::ConstraintName => optional(&error.constraint),
        Diagnostic::TableName => optional(&error.table),
        Diagnostic::RowCount | Diagnostic::DatatypeName | Diagnostic::SchemaName => String::new(),
    }
}
