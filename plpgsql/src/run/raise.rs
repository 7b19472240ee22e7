//! RAISE and ASSERT.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState};

use super::error::position_text;
use super::scope::Meaning;
use super::{Interpreter, add_context};
use crate::ast::{Level, RaiseOption, Sql};
use crate::conditions::{codes_named, is_code};
use crate::host::Host;

/// The state of five characters.
fn state_of(code: &str) -> SqlState {
    let mut bytes = [b'0'; 5];
    bytes.copy_from_slice(code.as_bytes());
    SqlState::Other(bytes)
}

/// The condition of RAISE EXCEPTION without another.
const RAISED: SqlState = SqlState::Other(*b"P0001");

impl<H: Host> Interpreter<'_, H> {
    pub(super) fn raise(
        &mut self,
        level: Level,
        condition: Option<&str>,
        format: Option<&str>,
        args: &[Sql],
        options: &[(RaiseOption, Sql)],
    ) -> Result<()> {
        let mut state = None;
        let mut message = None;
        if let Some(condition) = condition {
            state = Some(self.state_named(condition)?);
        }
        if let Some(format) = format {
            message = Some(self.formatted(format, args)?);
        }
        let mut error = SqlError::new(RAISED, "");
        for (option, sql) in options {
            let Some(text) = self.text(sql)? else {
                let message = "RAISE statement option cannot be null";
                return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
            };
            let twice = |what: &str| {
                let message = format!("RAISE option already specified: {what}");
                Err(SqlError::new(SqlState::SyntaxError, message))
            };
            match option {
                RaiseOption::Errcode if state.is_some() => return twice("ERRCODE"),
                RaiseOption::Errcode => state = Some(self.state_named(&text)?),
                RaiseOption::Message if message.is_some() => return twice("MESSAGE"),
                RaiseOption::Message => message = Some(text),
                RaiseOption::Detail if error.detail.is_some() => return twice("DETAIL"),
                RaiseOption::Detail => error.detail = Some(text.into()),
                RaiseOption::Hint if error.hint.is_some() => return twice("HINT"),
                RaiseOption::Hint => error.hint = Some(text.into()),
                RaiseOption::Column => error.column = Some(text.into()),
                RaiseOption::Constraint => error.constraint = Some(text.into()),
                RaiseOption::Table => error.table = Some(text.into()),
                // An error has no place for them.
                RaiseOption::Datatype | RaiseOption::Schema => {}
            }
        }
        error.message = message.unwrap_or_else(|| match (condition, state) {
            (Some(condition), _) => condition.to_owned(),
            (None, Some(state)) => state.code().to_owned(),
            (None, None) => RAISED.code().to_owned(),
        });
        error.state = state.unwrap_or(match level {
            Level::Exception => RAISED,
            Level::Warning => SqlState::Warning,
            _ => SqlState::SuccessfulCompletion,
        });
        if level == Level::Exception {
            return Err(error);
        }
        let context = position_text(self.at, self.signature);
        self.host.notice(level, add_context(error, &context));
        Ok(())
    }

    fn state_named(&self, condition: &str) -> Result<SqlState> {
        if is_code(condition) {
            return Ok(state_of(condition));
        }
        match codes_named(condition).first() {
            Some(code) => Ok(state_of(code)),
            None => Err(crate::parse::unknown_condition(condition)),
        }
    }

    /// A format with its arguments for `%`.
    fn formatted(&mut self, format: &str, args: &[Sql]) -> Result<String> {
        let (mut out, mut args) = (String::new(), args.iter());
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                out.push('%');
                rest = after;
            } else if let Some(arg) = args.next() {
                out.push_str(&self.shown(arg)?);
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// An expression's value for people: also of a record as a whole.
    fn shown(&mut self, sql: &Sql) -> Result<String> {
        let name = [sql.text.to_ascii_lowercase()];
        if let Some(Meaning::Record(_)) = self.meaning(&name)? {
            let (columns, row) = self.row_value(sql)?;
            let (Some(columns), Some(row)) = (columns, row) else { return Ok("<NULL>".to_owned()) };
            let values = columns.iter().zip(&row).map(|(column, value)| {
                if value.is_null() { String::new() } else { self.host.shown(value, column.ty) }
            });
            let cells: Vec<String> = values.map(|text| quoted_cell(&text)).collect();
            return Ok(format!("({})", cells.join(",")));
        }
        Ok(self.text(sql)?.unwrap_or_else(|| "<NULL>".to_owned()))
    }

    pub(super) fn assertion(&mut self, condition: &Sql, message: Option<&Sql>) -> Result<()> {
        if self.truth(condition)? == Some(true) {
            return Ok(());
        }
        let message = match message {
            Some(message) => {
                let value = self.value_as(message, DataType::Text)?;
                value.as_str().map(str::to_owned)
            }
            None => None,
        };
        let message = message.unwrap_or_else(|| "assertion failed".to_owned());
        Err(SqlError::new(SqlState::Other(*b"P0004"), message))
    }
}

/// A value as it stands in a row's text.
fn quoted_cell(text: &str) -> String {
    let needs = text.contains(['"', '\\', '(', ')', ',']) || text.contains(char::is_whitespace);
    if needs {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
