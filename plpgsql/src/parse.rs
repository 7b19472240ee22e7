//! A body's tokens to its tree.
//!
//! Recursive descent, one token ahead. SQL is cut out as text: what ends it is looked for outside of
//! brackets, as PostgreSQL does. Whether SQL itself is right shows when it is bound.
//!
//! Source: PostgreSQL 15, src/pl/plpgsql/src/pl_gram.y, whose texts the errors have.

mod declare;
mod loops;
mod raise;
mod statement;

use std::sync::Arc;

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use crate::ast::{Block, Conflict, Handler, Program, Sql, Statement, Target};
use crate::conditions::{codes_named, is_code};
use crate::lexer::{Kind, Token, error, tokenize};

/// Blocks and loops within each other, at most.
const MAX_DEPTH: u32 = 200;

/// Parses a body.
///
/// # Errors
/// 42601.
pub fn parse(text: &str) -> Result<Program> {
    let tokens = tokenize(text)?;
    let mut parser = Parser { text, tokens, at: 0, sql_count: 0, depth: 0 };
    let conflict = parser.options()?;
    let label = parser.label()?;
    let block = parser.block(label)?;
    parser.accept_symbol(";");
    if parser.peek().is_some() {
        return Err(parser.error());
    }
    Ok(Program { block, sql_count: parser.sql_count, conflict })
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    sql_count: usize,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn kind(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }

    fn line(&self) -> u32 {
        self.peek().or(self.tokens.last()).map_or(1, |token| token.line)
    }

    /// A syntax error at the next token.
    fn error(&self) -> SqlError {
        match self.peek() {
            Some(token) => {
                let found = &self.text[token.from..token.to];
                error(format!("syntax error at or near \"{found}\""))
            }
            None => error("syntax error at end of input"),
        }
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.kind(ahead), Some(Kind::Word(found)) if found == word)
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) { Ok(()) } else { Err(self.error()) }
    }

    fn is_symbol_at(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.kind(ahead), Some(Kind::Symbol(found)) if *found == symbol)
    }

    fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol_at(0, symbol);
        self.at += usize::from(found);
        found
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.error()) }
    }

    /// A name.
    fn name(&mut self) -> Result<String> {
        match self.kind(0) {
            Some(Kind::Word(name) | Kind::Quoted(name)) => {
                let name = cut(name.clone());
                self.at += 1;
                Ok(name)
            }
            Some(Kind::Param(number)) => {
                let name = format!("${number}");
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.error()),
        }
    }

    /// `a.b.c`
    fn names(&mut self) -> Result<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.accept_symbol(".") {
            names.push(self.name()?);
        }
        Ok(names)
    }

    /// A name, perhaps with fields and subscripts.
    fn target(&mut self) -> Result<Target> {
        let names = self.names()?;
        let mut subscripts = Vec::new();
        while self.accept_symbol("[") {
            subscripts.push(self.expression(&["]", ":"])?);
            if self.is_symbol_at(0, ":") {
                return Err(SqlError::unsupported("assignment to a slice in PL/pgSQL"));
            }
            self.expect_symbol("]")?;
        }
        Ok(Target { names, subscripts })
    }

    fn targets(&mut self) -> Result<Vec<Target>> {
        let mut targets = vec![self.target()?];
        while self.accept_symbol(",") {
            targets.push(self.target()?);
        }
        Ok(targets)
    }

    /// A new piece of SQL.
    fn sql(&mut self, text: &str, is_expression: bool) -> Sql {
        self.sql_count += 1;
        Sql { id: self.sql_count - 1, text: Arc::from(text.trim()), is_expression }
    }

    /// Where, from the next token on, one of the words or symbols stands outside of brackets.
    fn find(&self, ends: &[&str]) -> Result<Option<usize>> {
        let mut depth = 0i32;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at) {
            let word = match &token.kind {
                Kind::Word(word) => word.as_str(),
                Kind::Symbol(symbol) => symbol,
                _ => continue,
            };
            if depth == 0 && ends.contains(&word) {
                return Ok(Some(at));
            }
            match word {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                ";" => {
                    return if depth > 0 { Err(error("mismatched parentheses")) } else { Ok(None) };
                }
                _ => {}
            }
            if depth < 0 {
                return Err(error("mismatched parentheses"));
            }
        }
        Ok(None)
    }

    /// The text from the next token up to one of the ends, which is not taken.
    fn text_until(&mut self, ends: &[&str]) -> Result<&str> {
        let Some(end) = self.find(ends)? else {
            if ends[0] == ";" {
                return Err(error("syntax error at end of input"));
            }
            let wanted = ends[0].to_ascii_uppercase();
            return Err(error(format!("missing \"{wanted}\" at end of SQL expression")));
        };
        if end == self.at {
            return Err(error(format!(
                "missing expression at or near \"{}\"",
                &self.text[self.tokens[end].from..self.tokens[end].to]
            )));
        }
        let text = &self.text[self.tokens[self.at].from..self.tokens[end - 1].to];
        self.at = end;
        Ok(text)
    }

    /// An expression up to one of the ends, which is not taken.
    fn expression(&mut self, ends: &[&str]) -> Result<Sql> {
        let text = self.text_until(ends)?.to_owned();
        Ok(self.sql(&text, true))
    }

    /// A query or other statement up to one of the ends.
    fn query(&mut self, ends: &[&str]) -> Result<Sql> {
        let text = self.text_until(ends)?.to_owned();
        Ok(self.sql(&text, false))
    }

    /// Expressions separated by commas, up to one of the ends.
    fn expressions(&mut self, ends: &[&str]) -> Result<Vec<Sql>> {
        let stops: Vec<&str> = ends.iter().copied().chain([","]).collect();
        let mut list = vec![self.expression(&stops)?];
        while self.accept_symbol(",") {
            list.push(self.expression(&stops)?);
        }
        Ok(list)
    }

    /// `#option value` before everything.
    fn options(&mut self) -> Result<Conflict> {
        let mut conflict = Conflict::default();
        while self.accept_symbol("#") {
            let option = self.name()?;
            let value = self.name()?;
            match (option.as_str(), value.as_str()) {
                ("variable_conflict", "error") => conflict = Conflict::Error,
                ("variable_conflict", "use_variable") => conflict = Conflict::Variable,
                ("variable_conflict", "use_column") => conflict = Conflict::Column,
                ("option" | "print_strict_params", _) => {}
                _ => return Err(error(format!("syntax error at or near \"{option}\""))),
            }
        }
        Ok(conflict)
    }

    /// `<<label>>`
    fn label(&mut self) -> Result<Option<String>> {
        if !self.accept_symbol("<<") {
            return Ok(None);
        }
        let name = self.name()?;
        self.expect_symbol(">>")?;
        Ok(Some(name))
    }

    /// DECLARE … BEGIN … END [label]
    fn block(&mut self, label: Option<String>) -> Result<Block> {
        let line = self.line();
        let mut declarations = Vec::new();
        if self.accept("declare") {
            // Several DECLAREs may follow each other.
            while !self.is_word("begin") {
                if !self.accept("declare") {
                    declarations.push(self.declaration()?);
                }
            }
        }
        self.expect("begin")?;
        let body = self.body()?;
        let mut handlers = Vec::new();
        if self.accept("exception") {
            while self.accept("when") {
                let conditions = self.conditions()?;
                self.expect("then")?;
                handlers.push(Handler { conditions, body: self.body()? });
            }
            if handlers.is_empty() {
                return Err(self.error());
            }
        }
        self.expect("end")?;
        self.end_label(label.as_deref())?;
        check_twice(&declarations)?;
        Ok(Block { line, label, declarations, body, handlers })
    }

    /// The label after END, which must be the one before.
    fn end_label(&mut self, label: Option<&str>) -> Result<()> {
        if !matches!(self.kind(0), Some(Kind::Word(_) | Kind::Quoted(_))) {
            return Ok(());
        }
        let end = self.name()?;
        match label {
            None => Err(error(format!("end label \"{end}\" specified for unlabeled block"))),
            Some(label) if label != end => {
                Err(error(format!("end label \"{end}\" differs from block's label \"{label}\"")))
            }
            Some(_) => Ok(()),
        }
    }

    fn conditions(&mut self) -> Result<Vec<crate::ast::Condition>> {
        use crate::ast::Condition;
        let mut conditions = Vec::new();
        loop {
            let name = self.name()?;
            match name.as_str() {
                "others" => conditions.push(Condition::Others),
                "sqlstate" => {
                    let Some(Kind::String(code)) = self.kind(0) else { return Err(self.error()) };
                    if !is_code(code) {
                        return Err(error("invalid SQLSTATE code"));
                    }
                    conditions.push(Condition::State(code.clone()));
                    self.at += 1;
                }
                name => {
                    let codes = codes_named(name);
                    if codes.is_empty() {
                        return Err(unknown_condition(name));
                    }
                    let states = codes.into_iter().map(|code| Condition::State(code.to_owned()));
                    conditions.extend(states);
                }
            }
            if !self.accept("or") {
                return Ok(conditions);
            }
        }
    }

    /// Statements up to a word that ends them.
    fn body(&mut self) -> Result<Vec<Statement>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SqlError::new(
                SqlState::StatementTooComplex,
                "statements of the function are nested too deeply",
            ));
        }
        let mut body = Vec::new();
        while !self.is_one_of(&["end", "else", "elsif", "elseif", "when", "exception"]) {
            if self.peek().is_none() {
                return Err(self.error());
            }
            body.push(crate::with_room(|| self.statement())?);
        }
        self.depth -= 1;
        Ok(body)
    }
}

pub(crate) fn unknown_condition(name: &str) -> SqlError {
    let message = format!("unrecognized exception condition \"{name}\"");
    SqlError::new(SqlState::UndefinedObject, message)
}

/// A name as the catalog has it: 63 bytes at most.
fn cut(mut name: String) -> String {
    if name.len() > 63 {
        let end = (0..=63).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(end);
    }
    name
}

fn check_twice(declarations: &[crate::ast::Declaration]) -> Result<()> {
    let mut names: Vec<&str> = declarations.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(error(format!("duplicate declaration at or near \"{}\"", pair[0]))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
