//! DECLARE.

use driftdb_query::Result;

use super::Parser;
use crate::ast::{Declaration, Declared, TypeText};
use crate::lexer::{Kind, error};

impl Parser<'_> {
    pub(super) fn declaration(&mut self) -> Result<Declaration> {
        let line = self.line();
        let name = self.name()?;
        let what = if self.accept("alias") {
            self.expect("for")?;
            Declared::Alias(self.names()?)
        } else if self.is_cursor() {
            self.cursor()?
        } else {
            self.variable(&name)?
        };
        self.expect_symbol(";")?;
        Ok(Declaration { line, name, what })
    }

    fn is_cursor(&self) -> bool {
        self.is_word("cursor")
            || self.is_word("scroll") && self.is_word_at(1, "cursor")
            || self.is_word("no") && self.is_word_at(1, "scroll")
    }

    /// `[NO] SCROLL CURSOR (args) FOR query`
    fn cursor(&mut self) -> Result<Declared> {
        self.accept("no");
        self.accept("scroll");
        self.expect("cursor")?;
        let mut args = Vec::new();
        if self.accept_symbol("(") {
            loop {
                let name = self.name()?;
                let ty = self.type_text(&[",", ")"])?;
                args.push((name, ty));
                if !self.accept_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        if !self.accept("is") {
            self.expect("for")?;
        }
        Ok(Declared::Cursor { args, query: self.query(&[";"])? })
    }

    fn variable(&mut self, name: &str) -> Result<Declared> {
        let constant = self.accept("constant");
        let ty = self.type_text(&[";", "not", "default", ":=", "=", "collate"])?;
        if self.accept("collate") {
            self.names()?;
        }
        let not_null = self.accept("not");
        if not_null {
            self.expect("null")?;
        }
        let has_default =
            self.accept("default") || self.accept_symbol(":=") || self.accept_symbol("=");
        let default = if has_default { Some(self.expression(&[";"])?) } else { None };
        if not_null && default.is_none() {
            let message = format!(
                "variable \"{name}\" must have a default value, since it's declared NOT NULL"
            );
            return Err(driftdb_query::SqlError::new(
                driftdb_types::SqlState::NullValueNotAllowed,
                message,
            ));
        }
        Ok(Declared::Variable { ty, constant, not_null, default })
    }

    /// A type up to one of the ends.
    pub(super) fn type_text(&mut self, ends: &[&str]) -> Result<TypeText> {
        let start = self.at;
        if let Ok(names) = self.names()
            && self.accept_symbol("%")
        {
            let what = self.name()?;
            return match what.as_str() {
                "type" => Ok(TypeText::Like(names)),
                "rowtype" => Ok(TypeText::RowOf(names)),
                _ => Err(error(format!("syntax error at or near \"{what}\""))),
            };
        }
        self.at = start;
        let is_end = |token: Option<&Kind>| match token {
            Some(Kind::Word(word)) => ends.contains(&word.as_str()),
            Some(Kind::Symbol(symbol)) => ends.contains(symbol),
            _ => false,
        };
        let single = is_end(self.kind(1));
        if single && self.accept("record") {
            return Ok(TypeText::Record);
        }
        if single && self.accept("refcursor") {
            return Ok(TypeText::Cursor);
        }
        if is_end(self.kind(0)) || self.peek().is_none() {
            return Err(error("missing data type declaration"));
        }
        Ok(TypeText::Name(self.text_until(ends)?.to_owned()))
    }
}
