//! A cursor over the tokens of one statement, for the statements that we parse ourselves.

use driftdb_query::Result;
use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::{Source, end, is_word, start, syntax_error, syntax_error_at_end, word};
use super::tree;
use crate::bind::names::fold;

/// Where in a statement we are.
pub(crate) struct Cursor<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) tokens: &'a [TokenWithSpan],
    /// The semicolon after the statement, if there is one.
    pub(crate) terminator: Option<&'a TokenWithSpan>,
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn peek(&self) -> Option<&'a TokenWithSpan> {
        self.tokens.get(self.at)
    }

    /// The word `ahead` tokens from here, in lower case.
    pub(crate) fn peek_word(&self, ahead: usize) -> Option<String> {
        self.tokens.get(self.at + ahead).and_then(word)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// The position of the next token.
    pub(crate) fn position(&self) -> u32 {
        match self.peek().or(self.terminator) {
            Some(token) => start(token),
            None => self.source.end,
        }
    }

    /// A syntax error at the next token.
    pub(crate) fn error(&self) -> driftdb_query::SqlError {
        match self.peek().or(self.terminator) {
            Some(token) => syntax_error(self.source, Some(token)),
            None => syntax_error_at_end(self.source.end),
        }
    }

    /// Takes the words if they are next.
    pub(crate) fn accept(&mut self, words: &[&str]) -> bool {
        let matches = words.iter().enumerate().all(|(ahead, expected)| {
            self.tokens.get(self.at + ahead).is_some_and(|token| is_word(token, expected))
        });
        if matches {
            self.at += words.len();
        }
        matches
    }

    /// Takes the words or fails.
    pub(crate) fn expect(&mut self, words: &[&str]) -> Result<()> {
        for expected in words {
            if !self.accept(&[expected]) {
                return Err(self.error());
            }
        }
        Ok(())
    }

    /// Takes a token if it is next.
    pub(crate) fn accept_token(&mut self, expected: &Token) -> bool {
        let matches = self.peek().is_some_and(|token| token.token == *expected);
        if matches {
            self.at += 1;
        }
        matches
    }

    /// Takes a token or fails.
    pub(crate) fn expect_token(&mut self, expected: &Token) -> Result<()> {
        if self.accept_token(expected) { Ok(()) } else { Err(self.error()) }
    }

    /// Nothing may follow.
    pub(crate) fn expect_end(&self) -> Result<()> {
        if self.is_at_end() { Ok(()) } else { Err(self.error()) }
    }

    /// A name: a word or a quoted identifier.
    pub(crate) fn name(&mut self) -> Result<String> {
        match self.peek().map(|token| &token.token) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(fold(&word.value, word.quote_style))
            }
            _ => Err(self.error()),
        }
    }

    /// A name with its schema: `a.b`.
    pub(crate) fn qualified_name(&mut self) -> Result<QualifiedName> {
        let position = self.position();
        let mut parts = vec![self.name()?];
        while self.accept_token(&Token::Period) {
            parts.push(self.name()?);
        }
        let name = parts.pop().unwrap_or_default();
        Ok(QualifiedName { schema: parts.pop(), name, position })
    }

    /// A string literal.
    pub(crate) fn string(&mut self) -> Result<String> {
        match self.peek().map(|token| &token.token) {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            Some(Token::DollarQuotedString(text)) => {
                self.at += 1;
                Ok(text.value.clone())
            }
            _ => Err(self.error()),
        }
    }

    /// Lets `sqlparser` parse something from here on.
    pub(crate) fn parse<T>(
        &mut self,
        parse: impl FnOnce(
            &mut Parser<'static>,
        ) -> std::result::Result<T, sqlparser::parser::ParserError>,
    ) -> Result<T> {
        let rest = self.tokens[self.at..].to_vec();
        let (tree, left) = tree::parse_with(self.source, rest, self.terminator, parse)?;
        self.at = match left {
            Some(left) => self.tokens.partition_point(|token| start(token) < left),
            None => self.tokens.len(),
        };
        Ok(tree)
    }

    /// An expression.
    pub(crate) fn expression(&mut self) -> Result<ast::Expr> {
        self.parse(Parser::parse_expr)
    }

    /// The text from a position to the end of the statement.
    pub(crate) fn rest_text(&self) -> &'a str {
        let to = self.tokens.last().map_or(self.source.end, end);
        self.source.slice(self.position(), to)
    }
}

/// A table's or index's name as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QualifiedName {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) position: u32,
}
