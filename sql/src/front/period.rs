//! Application time, as it is written: periods of tables, and clauses that name one.
//!
//! The parser knows none of it. `PERIOD FOR p (a, b)` is cut out of CREATE TABLE; `FOR p AS OF …` and its
//! kin, and `FOR PORTION OF p FROM … TO …`, are cut out like the clauses of system time, and kept under the
//! word before them.

use driftdb_query::Result;
use sqlparser::ast;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::{Cursor, QualifiedName};
use super::rewrite::{Operand, expression};
use super::tokens::{Source, is_word, tokenize};

/// PERIOD FOR name (start, end)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeriodDefinition {
    pub(crate) name: String,
    pub(crate) position: u32,
    /// The columns, and where they are named.
    pub(crate) columns: [(String, u32); 2],
}

/// ALTER TABLE … ADD or DROP PERIOD
#[derive(Debug)]
pub(crate) enum PeriodChange {
    Add(PeriodDefinition),
    Drop { name: String, position: u32, if_exists: bool },
}

/// A clause after a table's name.
#[derive(Debug)]
pub(crate) struct PeriodClause {
    pub(crate) position: u32,
    pub(crate) period: String,
    pub(crate) range: PeriodRange,
}

/// Which rows it means.
#[derive(Debug)]
pub(crate) enum PeriodRange {
    AsOf(ast::Expr),
    Between(ast::Expr, ast::Expr),
    FromTo(ast::Expr, ast::Expr),
    ContainedIn(ast::Expr, ast::Expr),
    All,
    /// FOR PORTION OF
    Portion(ast::Expr, ast::Expr),
}

impl PeriodClause {
    /// How messages name it.
    pub(crate) fn name(&self) -> String {
        let form = match &self.range {
            PeriodRange::AsOf(_) => "AS OF",
            PeriodRange::Between(..) => "BETWEEN",
            PeriodRange::FromTo(..) => "FROM",
            PeriodRange::ContainedIn(..) => "CONTAINED IN",
            PeriodRange::All => "ALL",
            PeriodRange::Portion(..) => return format!("FOR PORTION OF {}", self.period),
        };
        format!("FOR {} {form}", self.period)
    }

    pub(crate) fn is_portion(&self) -> bool {
        matches!(self.range, PeriodRange::Portion(..))
    }
}

/// The clause at the cursor, if it is one; `before` is what stands before it.
pub(crate) fn clause(
    cursor: &mut Cursor<'_>,
    before: &[TokenWithSpan],
) -> Result<Option<PeriodClause>> {
    let position = cursor.position();
    if cursor.accept(&["for", "portion", "of"]) {
        let period = cursor.name()?;
        cursor.expect(&["from"])?;
        let from = expression(cursor, Operand::Whole)?;
        cursor.expect(&["to"])?;
        let to = expression(cursor, Operand::Whole)?;
        let range = PeriodRange::Portion(from, to);
        return Ok(Some(PeriodClause { position, period, range }));
    }
    if !is_clause(cursor) || is_in_string_function(before) {
        return Ok(None);
    }
    cursor.at += 1;
    let period = cursor.name()?;
    let range = if cursor.accept(&["as", "of"]) {
        PeriodRange::AsOf(expression(cursor, Operand::Whole)?)
    } else if cursor.accept(&["between"]) {
        let from = expression(cursor, Operand::BeforeAnd)?;
        cursor.expect(&["and"])?;
        PeriodRange::Between(from, expression(cursor, Operand::BeforeAnd)?)
    } else if cursor.accept(&["from"]) {
        let from = expression(cursor, Operand::Whole)?;
        cursor.expect(&["to"])?;
        PeriodRange::FromTo(from, expression(cursor, Operand::Whole)?)
    } else if cursor.accept(&["contained", "in"]) {
        cursor.expect_token(&Token::LParen)?;
        let from = expression(cursor, Operand::Whole)?;
        cursor.expect_token(&Token::Comma)?;
        let to = expression(cursor, Operand::Whole)?;
        cursor.expect_token(&Token::RParen)?;
        PeriodRange::ContainedIn(from, to)
    } else {
        cursor.expect(&["all"])?;
        PeriodRange::All
    };
    Ok(Some(PeriodClause { position, period, range }))
}

/// Whether FOR, a name, and the beginning of a range stand here. No lock clause goes on so.
fn is_clause(cursor: &Cursor<'_>) -> bool {
    let is_name =
        matches!(cursor.tokens.get(cursor.at + 1).map(|token| &token.token), Some(Token::Word(_)));
    let words = [cursor.peek_word(2), cursor.peek_word(3)];
    is_name
        && matches!(
            words.each_ref().map(Option::as_deref),
            [Some("as"), Some("of")]
                | [Some("contained"), Some("in")]
                | [Some("between" | "from" | "all"), _]
        )
}

/// Whether the innermost open bracket is that of `substring(s FOR n FROM m)` or its kin.
fn is_in_string_function(before: &[TokenWithSpan]) -> bool {
    let mut closed = 0;
    for (at, token) in before.iter().enumerate().rev() {
        match token.token {
            Token::RParen => closed += 1,
            Token::LParen if closed > 0 => closed -= 1,
            Token::LParen => {
                let function = at.checked_sub(1).map(|at| &before[at]);
                return function
                    .is_some_and(|word| is_word(word, "substring") || is_word(word, "overlay"));
            }
            _ => {}
        }
    }
    false
}

/// Cuts `PERIOD FOR p (a, b)` at the cursor out of a CREATE TABLE, with the comma that separated it.
pub(crate) fn definition_in_table(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<TokenWithSpan>,
) -> Result<Option<PeriodDefinition>> {
    let is_table = matches!(out.first(), Some(first) if is_word(first, "create"))
        && matches!(out.last(), Some(last) if matches!(last.token, Token::Comma | Token::LParen));
    if !is_table || !cursor.accept(&["period", "for"]) {
        return Ok(None);
    }
    let definition = definition(cursor)?;
    if out.last().is_some_and(|last| last.token == Token::Comma) {
        out.pop();
    } else {
        cursor.accept_token(&Token::Comma);
    }
    Ok(Some(definition))
}

/// What stands after PERIOD FOR, as a text of its own.
pub(crate) fn definition_of(text: &str) -> Result<PeriodDefinition> {
    let source = Source::new(text);
    let tokens = tokenize(&source)?;
    let mut cursor = Cursor { source: &source, tokens: &tokens, terminator: None, at: 0 };
    let definition = definition(&mut cursor)?;
    cursor.expect_end()?;
    Ok(definition)
}

/// What stands after PERIOD FOR.
fn definition(cursor: &mut Cursor<'_>) -> Result<PeriodDefinition> {
    let position = cursor.position();
    let name = cursor.name()?;
    cursor.expect_token(&Token::LParen)?;
    let first = cursor.position();
    let from = (cursor.name()?, first);
    cursor.expect_token(&Token::Comma)?;
    let second = cursor.position();
    let to = (cursor.name()?, second);
    cursor.expect_token(&Token::RParen)?;
    Ok(PeriodDefinition { name, position, columns: [from, to] })
}

/// ALTER TABLE … ADD PERIOD and DROP PERIOD; the cursor stays where it is before all other forms.
pub(crate) fn alter(
    cursor: &mut Cursor<'_>,
) -> Result<Option<(QualifiedName, bool, PeriodChange)>> {
    let start = cursor.at;
    if !cursor.accept(&["alter", "table"]) {
        return Ok(None);
    }
    let if_exists = cursor.accept(&["if", "exists"]);
    cursor.accept(&["only"]);
    if let Ok(table) = cursor.qualified_name() {
        if cursor.accept(&["add", "period", "for"]) {
            let change = PeriodChange::Add(definition(cursor)?);
            return Ok(Some((table, if_exists, change)));
        }
        let drop = cursor.at;
        if cursor.accept(&["drop", "period"]) {
            let or_not = cursor.accept(&["if", "exists"]);
            if cursor.accept(&["for"]) {
                let position = cursor.position();
                let name = cursor.name()?;
                // Nothing depends on a period.
                if !cursor.accept(&["cascade"]) {
                    cursor.accept(&["restrict"]);
                }
                let change = PeriodChange::Drop { name, position, if_exists: or_not };
                return Ok(Some((table, if_exists, change)));
            }
        }
        cursor.at = drop;
    }
    cursor.at = start;
    Ok(None)
}
