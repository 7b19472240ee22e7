//! RAISE, ASSERT and GET DIAGNOSTICS.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use super::{Parser, unknown_condition};
use crate::ast::{Diagnostic, Kind, Level, RaiseOption};
use crate::conditions::{codes_named, is_code};
use crate::lexer::{self, error};

impl Parser<'_> {
    pub(super) fn raise_statement(&mut self) -> Result<Kind> {
        self.expect("raise")?;
        if self.accept_symbol(";") {
            return Ok(Kind::Raise {
                level: Level::Exception,
                condition: None,
                format: None,
                args: Vec::new(),
                options: Vec::new(),
                is_again: true,
            });
        }
        let level = self.raise_level();
        let (mut condition, mut format, mut args) = (None, None, Vec::new());
        if let Some(lexer::Kind::String(text)) = self.kind(0) {
            let text = text.clone();
            self.at += 1;
            while self.accept_symbol(",") {
                args.push(self.expression(&[",", ";", "using"])?);
            }
            check_arguments(&text, args.len())?;
            format = Some(text);
        } else if self.accept("sqlstate") {
            let Some(lexer::Kind::String(code)) = self.kind(0) else { return Err(self.error()) };
            if !is_code(code) {
                return Err(error("invalid SQLSTATE code"));
            }
            condition = Some(code.clone());
            self.at += 1;
        } else if !self.is_word("using") {
            let name = self.name()?;
            if codes_named(&name).is_empty() {
                return Err(unknown_condition(&name));
            }
            condition = Some(name);
        }
        let mut options = Vec::new();
        if self.accept("using") {
            loop {
                let option = self.raise_option()?;
                if !self.accept_symbol(":=") {
                    self.expect_symbol("=")?;
                }
                options.push((option, self.expression(&[",", ";"])?));
                if !self.accept_symbol(",") {
                    break;
                }
            }
        }
        self.expect_symbol(";")?;
        Ok(Kind::Raise { level, condition, format, args, options, is_again: false })
    }

    fn raise_level(&mut self) -> Level {
        let levels = [
            ("exception", Level::Exception),
            ("warning", Level::Warning),
            ("notice", Level::Notice),
            ("info", Level::Info),
            ("log", Level::Log),
            ("debug", Level::Debug),
        ];
        for (word, level) in levels {
            if self.accept(word) {
                return level;
            }
        }
        Level::Exception
    }

    fn raise_option(&mut self) -> Result<RaiseOption> {
        let name = self.name()?;
        Ok(match name.as_str() {
            "errcode" => RaiseOption::Errcode,
            "message" => RaiseOption::Message,
            "detail" => RaiseOption::Detail,
            "hint" => RaiseOption::Hint,
            "column" => RaiseOption::Column,
            "constraint" => RaiseOption::Constraint,
            "datatype" => RaiseOption::Datatype,
            "table" => RaiseOption::Table,
            "schema" => RaiseOption::Schema,
            _ => return Err(error("unrecognized RAISE statement option")),
        })
    }

    pub(super) fn assert_statement(&mut self) -> Result<Kind> {
        self.expect("assert")?;
        let condition = self.expression(&[";", ","])?;
        let message = if self.accept_symbol(",") { Some(self.expression(&[";"])?) } else { None };
        self.expect_symbol(";")?;
        Ok(Kind::Assert { condition, message })
    }

    /// `GET [CURRENT | STACKED] DIAGNOSTICS target = item, …;`
    pub(super) fn diagnostics_statement(&mut self) -> Result<Kind> {
        self.expect("get")?;
        let is_stacked = self.accept("stacked");
        if !is_stacked {
            self.accept("current");
        }
        self.expect("diagnostics")?;
        let mut items = Vec::new();
        loop {
            let target = self.target()?;
            if !self.accept_symbol(":=") {
                self.expect_symbol("=")?;
            }
            let name = self.name()?;
            let item = diagnostic(&name).ok_or_else(|| {
                error(format!("unrecognized GET DIAGNOSTICS item at or near \"{name}\""))
            })?;
            let of_current = matches!(item, Diagnostic::RowCount);
            let of_both = matches!(item, Diagnostic::Context);
            if !of_both && of_current == is_stacked {
                let kind = if is_stacked { "STACKED" } else { "CURRENT" };
                let name = name.to_uppercase();
                let message =
                    format!("diagnostics item {name} is not allowed in GET {kind} DIAGNOSTICS");
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
            items.push((target, item));
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(";")?;
        Ok(Kind::GetDiagnostics { is_stacked, items })
    }
}

fn diagnostic(name: &str) -> Option<Diagnostic> {
    Some(match name {
        "row_count" => Diagnostic::RowCount,
        "pg_context" | "pg_exception_context" => Diagnostic::Context,
        "returned_sqlstate" => Diagnostic::ReturnedSqlstate,
        "message_text" => Diagnostic::MessageText,
        "pg_exception_detail" => Diagnostic::Detail,
        "pg_exception_hint" => Diagnostic::Hint,
        "column_name" => Diagnostic::ColumnName,
        "constraint_name" => Diagnostic::ConstraintName,
        "pg_datatype_name" => Diagnostic::DatatypeName,
        "table_name" => Diagnostic::TableName,
        "schema_name" => Diagnostic::SchemaName,
        _ => return None,
    })
}

/// Each `%` takes an argument; `%%` is a percent sign.
fn check_arguments(format: &str, count: usize) -> Result<()> {
    let expected = format.replace("%%", "").matches('%').count();
    match count.cmp(&expected) {
        std::cmp::Ordering::Less => Err(error("too few parameters specified for RAISE")),
        std::cmp::Ordering::Greater => Err(error("too many parameters specified for RAISE")),
        std::cmp::Ordering::Equal => Ok(()),
    }
}
