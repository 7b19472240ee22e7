//! LOOP, WHILE, FOR, FOREACH, EXIT, CONTINUE.

use driftdb_query::Result;

use super::Parser;
use crate::ast::{Kind, Source, Sql, Statement};
use crate::lexer;

impl Parser<'_> {
    /// `LOOP … END LOOP [label];`
    fn loop_body(&mut self, label: Option<&str>) -> Result<Vec<Statement>> {
        self.expect("loop")?;
        let body = self.body()?;
        self.expect("end")?;
        self.expect("loop")?;
        self.end_label(label)?;
        self.expect_symbol(";")?;
        Ok(body)
    }

    pub(super) fn loop_statement(&mut self, label: Option<String>) -> Result<Kind> {
        let body = self.loop_body(label.as_deref())?;
        Ok(Kind::Loop { label, body })
    }

    pub(super) fn while_statement(&mut self, label: Option<String>) -> Result<Kind> {
        self.expect("while")?;
        let condition = self.expression(&["loop"])?;
        let body = self.loop_body(label.as_deref())?;
        Ok(Kind::While { label, condition, body })
    }

    pub(super) fn for_statement(&mut self, label: Option<String>) -> Result<Kind> {
        self.expect("for")?;
        let targets = self.targets()?;
        self.expect("in")?;
        if self.accept("execute") {
            let text = self.expression(&["loop", "using"])?;
            let using =
                if self.accept("using") { self.expressions(&["loop"])? } else { Vec::new() };
            let body = self.loop_body(label.as_deref())?;
            let source = Source::Dynamic { text, using };
            return Ok(Kind::ForQuery { label, targets, source, body });
        }
        let reverse = self.accept("reverse");
        let end = self.find(&["loop"])?;
        let range = self.find(&[".."])?;
        if range.is_some() && range < end {
            let [variable] = &targets[..] else {
                return Err(lexer::error("integer FOR loop must have only one target variable"));
            };
            let variable = variable.names.concat();
            let from = self.expression(&[".."])?;
            self.expect_symbol("..")?;
            let to = self.expression(&["loop", "by"])?;
            let step = if self.accept("by") { Some(self.expression(&["loop"])?) } else { None };
            let body = self.loop_body(label.as_deref())?;
            return Ok(Kind::ForInteger { label, variable, reverse, from, to, step, body });
        }
        if reverse {
            return Err(lexer::error("cannot specify REVERSE in query FOR loop"));
        }
        if self.is_cursor_loop() {
            let [variable] = &targets[..] else {
                return Err(lexer::error("cursor FOR loop must have only one target variable"));
            };
            let variable = variable.names.concat();
            let cursor = self.name()?;
            let args = self.cursor_args()?;
            let body = self.loop_body(label.as_deref())?;
            return Ok(Kind::ForCursor { label, variable, cursor, args, body });
        }
        let source = Source::Query(self.query(&["loop"])?);
        let body = self.loop_body(label.as_deref())?;
        Ok(Kind::ForQuery { label, targets, source, body })
    }

    /// A name alone, or with arguments.
    fn is_cursor_loop(&self) -> bool {
        let is_name = matches!(self.kind(0), Some(lexer::Kind::Word(_) | lexer::Kind::Quoted(_)));
        if !is_name || self.is_one_of(&["select", "with", "values", "table"]) {
            return false;
        }
        if self.is_word_at(1, "loop") {
            return true;
        }
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at + 1) {
            match token.kind {
                lexer::Kind::Symbol("(") => depth += 1,
                lexer::Kind::Symbol(")") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let next = self.tokens.get(at + 1).map(|token| &token.kind);
                return at > self.at + 1
                    && matches!(next, Some(lexer::Kind::Word(word)) if word == "loop");
            }
        }
        false
    }

    /// The arguments of a cursor: `(a, name := b)`.
    pub(super) fn cursor_args(&mut self) -> Result<Vec<(Option<String>, Sql)>> {
        let mut args = Vec::new();
        if !self.accept_symbol("(") {
            return Ok(args);
        }
        loop {
            let named = self.is_symbol_at(1, ":=") || self.is_symbol_at(1, "=>");
            let name = if named { Some(self.name()?) } else { None };
            self.at += usize::from(named);
            args.push((name, self.expression(&[",", ")"])?));
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok(args)
    }

    pub(super) fn foreach_statement(&mut self, label: Option<String>) -> Result<Kind> {
        self.expect("foreach")?;
        let targets = self.targets()?;
        let mut slice = 0;
        if self.accept("slice") {
            let Some(lexer::Kind::Number(digits)) = self.kind(0) else { return Err(self.error()) };
            slice = digits.parse().map_err(|_| self.error())?;
            self.at += 1;
        }
        self.expect("in")?;
        self.expect("array")?;
        let array = self.expression(&["loop"])?;
        let body = self.loop_body(label.as_deref())?;
        Ok(Kind::Foreach { label, targets, slice, array, body })
    }

    /// `EXIT [label] [WHEN condition];`
    pub(super) fn exit_statement(&mut self, is_exit: bool) -> Result<Kind> {
        self.at += 1;
        let has_label = matches!(self.kind(0), Some(lexer::Kind::Word(_) | lexer::Kind::Quoted(_)))
            && !self.is_word("when");
        let label = if has_label { Some(self.name()?) } else { None };
        let condition = if self.accept("when") { Some(self.expression(&[";"])?) } else { None };
        self.expect_symbol(";")?;
        Ok(Kind::Exit { is_exit, label, condition })
    }
}
