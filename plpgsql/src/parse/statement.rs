//! One statement.

use driftdb_query::Result;

use super::Parser;
use crate::ast::{Direction, Into, Kind, Source, Sql, Statement};
use crate::lexer::{self, error};

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Result<Statement> {
        let label = self.label()?;
        let line = self.line();
        Ok(Statement { line, kind: self.statement_kind(label)? })
    }

    fn statement_kind(&mut self, label: Option<String>) -> Result<Kind> {
        let Some(lexer::Kind::Word(word)) = self.kind(0) else {
            if self.is_assignment() {
                return self.assignment();
            }
            if self.is_symbol_at(0, "(") {
                return self.sql_statement();
            }
            return Err(self.error());
        };
        let word = word.clone();
        match word.as_str() {
            "declare" | "begin" => {
                let block = self.block(label)?;
                self.expect_symbol(";")?;
                return Ok(Kind::Block(block));
            }
            "loop" => return self.loop_statement(label),
            "while" => return self.while_statement(label),
            "for" => return self.for_statement(label),
            "foreach" => return self.foreach_statement(label),
            _ if label.is_some() => return Err(self.error()),
            _ if self.is_assignment() => return self.assignment(),
            "exit" => return self.exit_statement(true),
            "continue" => return self.exit_statement(false),
            "if" => return self.if_statement(),
            "case" => return self.case_statement(),
            "raise" => return self.raise_statement(),
            "assert" => return self.assert_statement(),
            "return" => return self.return_statement(),
            "execute" => return self.dynamic_statement(),
            "get" => return self.diagnostics_statement(),
            "open" => return self.open_statement(),
            "fetch" | "move" => return self.fetch_statement(),
            "perform" => {
                self.at += 1;
                let sql = self.expression(&[";"])?;
                self.expect_symbol(";")?;
                return Ok(Kind::Perform(sql));
            }
            "call" | "do" => {
                let sql = self.query(&[";"])?;
                self.expect_symbol(";")?;
                return Ok(Kind::Call(sql));
            }
            "close" => {
                self.at += 1;
                let name = self.name()?;
                self.expect_symbol(";")?;
                return Ok(Kind::Close(name));
            }
            "null" if self.is_symbol_at(1, ";") => {
                self.at += 2;
                return Ok(Kind::Null);
            }
            "commit" | "rollback" if !self.is_word_at(1, "to") => {
                self.at += 1;
                return self.end_of_transaction(word == "commit");
            }
            _ => {}
        }
        self.sql_statement()
    }

    /// Whether names, fields and subscripts with `:=` or `=` follow.
    fn is_assignment(&self) -> bool {
        let mut ahead = 0;
        let is_name = |kind: Option<&lexer::Kind>| {
            matches!(
                kind,
                Some(lexer::Kind::Word(_) | lexer::Kind::Quoted(_) | lexer::Kind::Param(_))
            )
        };
        if !is_name(self.kind(0)) {
            return false;
        }
        ahead += 1;
        while self.is_symbol_at(ahead, ".") && is_name(self.kind(ahead + 1)) {
            ahead += 2;
        }
        let mut depth = 0;
        while depth > 0 || self.is_symbol_at(ahead, "[") {
            match self.kind(ahead) {
                Some(lexer::Kind::Symbol("[" | "(")) => depth += 1,
                Some(lexer::Kind::Symbol("]" | ")")) => depth -= 1,
                Some(lexer::Kind::Symbol(";")) | None => return false,
                _ => {}
            }
            ahead += 1;
        }
        self.is_symbol_at(ahead, ":=") || self.is_symbol_at(ahead, "=")
    }

    fn assignment(&mut self) -> Result<Kind> {
        let target = self.target()?;
        self.at += 1;
        let value = self.expression(&[";"])?;
        self.expect_symbol(";")?;
        Ok(Kind::Assign { target, value })
    }

    fn if_statement(&mut self) -> Result<Kind> {
        self.expect("if")?;
        let mut arms = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let condition = self.expression(&["then"])?;
            self.expect("then")?;
            arms.push((condition, self.body()?));
            if self.accept("elsif") || self.accept("elseif") {
                continue;
            }
            if self.accept("else") {
                otherwise = self.body()?;
            }
            self.expect("end")?;
            self.expect("if")?;
            self.expect_symbol(";")?;
            return Ok(Kind::If { arms, otherwise });
        }
    }

    fn case_statement(&mut self) -> Result<Kind> {
        self.expect("case")?;
        let operand = if self.is_word("when") { None } else { Some(self.expression(&["when"])?) };
        let mut arms = Vec::new();
        while self.accept("when") {
            let values = if operand.is_some() {
                self.expressions(&["then"])?
            } else {
                vec![self.expression(&["then"])?]
            };
            self.expect("then")?;
            arms.push((values, self.body()?));
        }
        let otherwise = if self.accept("else") { Some(self.body()?) } else { None };
        self.expect("end")?;
        self.expect("case")?;
        self.expect_symbol(";")?;
        Ok(Kind::Case { operand, arms, otherwise })
    }

    fn return_statement(&mut self) -> Result<Kind> {
        self.expect("return")?;
        if self.accept_symbol(";") {
            return Ok(Kind::Return(None));
        }
        if self.is_word("next") {
            self.at += 1;
            if self.accept_symbol(";") {
                return Ok(Kind::ReturnNext(None));
            }
            let value = self.expression(&[";"])?;
            self.expect_symbol(";")?;
            return Ok(Kind::ReturnNext(Some(value)));
        }
        if self.accept("query") {
            let source = if self.accept("execute") {
                let text = self.expression(&[";", "using"])?;
                let using =
                    if self.accept("using") { self.expressions(&[";"])? } else { Vec::new() };
                Source::Dynamic { text, using }
            } else {
                Source::Query(self.query(&[";"])?)
            };
            self.expect_symbol(";")?;
            return Ok(Kind::ReturnQuery(source));
        }
        let value = self.expression(&[";"])?;
        self.expect_symbol(";")?;
        Ok(Kind::Return(Some(value)))
    }

    /// `EXECUTE text [INTO …] [USING …];`, the two in either order.
    fn dynamic_statement(&mut self) -> Result<Kind> {
        self.expect("execute")?;
        let text = self.expression(&[";", "into", "using"])?;
        let (mut into, mut using) = (None, Vec::new());
        loop {
            if into.is_none() && self.accept("into") {
                into = Some(self.targets_of_into()?);
            } else if using.is_empty() && self.accept("using") {
                using = self.expressions(&[";", "into"])?;
            } else {
                self.expect_symbol(";")?;
                return Ok(Kind::Dynamic { text, into, using });
            }
        }
    }

    fn targets_of_into(&mut self) -> Result<Into> {
        let strict = self.accept("strict");
        Ok(Into { targets: self.targets()?, strict })
    }

    fn open_statement(&mut self) -> Result<Kind> {
        self.expect("open")?;
        let cursor = self.name()?;
        if self.accept("no") {
            self.expect("scroll")?;
        } else {
            self.accept("scroll");
        }
        let mut args = Vec::new();
        let source = if self.accept("for") {
            if self.accept("execute") {
                let text = self.expression(&[";", "using"])?;
                let using =
                    if self.accept("using") { self.expressions(&[";"])? } else { Vec::new() };
                Some(Source::Dynamic { text, using })
            } else {
                Some(Source::Query(self.query(&[";"])?))
            }
        } else {
            args = self.cursor_args()?;
            None
        };
        self.expect_symbol(";")?;
        Ok(Kind::Open { cursor, source, args })
    }

    /// `FETCH [direction] [FROM | IN] cursor INTO targets;`
    fn fetch_statement(&mut self) -> Result<Kind> {
        let is_move = self.is_word("move");
        self.at += 1;
        let mut direction = Direction::Next;
        let ends = ["from", "in"];
        let is_plain = self.is_word_at(1, "into") || self.is_symbol_at(1, ";");
        if !is_plain && !self.is_one_of(&ends) {
            direction = self.direction(is_move)?;
        }
        if !self.accept("from") {
            self.accept("in");
        }
        let cursor = self.name()?;
        let targets = if is_move {
            Vec::new()
        } else {
            self.expect("into")?;
            self.targets()?
        };
        self.expect_symbol(";")?;
        Ok(Kind::Fetch { cursor, direction, targets, is_move })
    }

    fn direction(&mut self, is_move: bool) -> Result<Direction> {
        let ends = ["from", "in"];
        let several = || error("FETCH statement cannot return multiple rows");
        let word = match self.kind(0) {
            Some(lexer::Kind::Word(word)) => word.clone(),
            _ => return Err(several()),
        };
        self.at += 1;
        Ok(match word.as_str() {
            "next" => Direction::Next,
            "prior" => Direction::Prior,
            "first" => Direction::First,
            "last" => Direction::Last,
            "absolute" => Direction::Absolute(self.expression(&ends)?),
            "relative" => Direction::Relative(self.expression(&ends)?),
            "all" if is_move => Direction::ForwardAll,
            "all" => return Err(several()),
            "forward" | "backward" => {
                let is_back = word == "backward";
                if self.accept("all") {
                    if !is_move {
                        return Err(several());
                    }
                    return Ok(if is_back {
                        Direction::BackwardAll
                    } else {
                        Direction::ForwardAll
                    });
                }
                if self.is_one_of(&ends) {
                    return Ok(if is_back { Direction::Prior } else { Direction::Next });
                }
                if !is_move {
                    return Err(several());
                }
                let count = self.expression(&ends)?;
                if is_back {
                    let text = format!("-({})", count.text);
                    Direction::Relative(self.sql(&text, true))
                } else {
                    Direction::Relative(count)
                }
            }
            _ => return Err(several()),
        })
    }

    fn end_of_transaction(&mut self, is_commit: bool) -> Result<Kind> {
        let mut chain = false;
        if self.accept("and") {
            chain = !self.accept("no");
            self.expect("chain")?;
        }
        self.expect_symbol(";")?;
        Ok(if is_commit { Kind::Commit { chain } } else { Kind::Rollback { chain } })
    }

    /// A statement of SQL, with INTO cut out of it.
    fn sql_statement(&mut self) -> Result<Kind> {
        let Some(end) = self.find(&[";"])? else { return Err(self.error()) };
        let start = self.at;
        let first = self.tokens[start].from;
        let last = self.tokens[end - 1].to;
        let mut into = None;
        let mut text = self.text[first..last].to_owned();
        if self.is_one_of(&["select", "insert", "update", "delete", "with", "values", "table"])
            || self.is_symbol_at(0, "(")
        {
            let found = (start..end).find(|at| {
                let is = |at: usize, word: &str| {
                    matches!(&self.tokens[at].kind, lexer::Kind::Word(found) if found == word)
                };
                is(*at, "into") && *at > 0 && !is(*at - 1, "insert") && !is(*at - 1, "merge")
            });
            if let Some(found) = found {
                self.at = found + 1;
                into = Some(self.targets_of_into()?);
                let (from, to) = (self.tokens[found].from, self.tokens[self.at - 1].to);
                let blanks: String = self.text[from..to]
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { ' ' })
                    .collect();
                text = format!("{}{blanks}{}", &self.text[first..from], &self.text[to..last]);
            }
        }
        self.at = end + 1;
        let sql: Sql = self.sql(&text, false);
        Ok(Kind::Execute { sql, into })
    }
}
