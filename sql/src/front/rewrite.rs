//! What the parser does not know, lifted out of its way.
//!
//! * `FOR SYSTEM_TIME …` (AS OF, BETWEEN, FROM … TO, CONTAINED IN, ALL) and `AS OF @SEQ:N` are cut out and
//!   kept under the position of the word before them, which is the table's name or its alias: the binder
//!   asks for both.
//! * Clauses of application time, and the periods of tables, are cut out likewise (`period`).
//! * A row lock becomes `FOR UPDATE OF "#n"`, where *n* is its place in a list that keeps the whole of it.
//! * `BETWEEN SYMMETRIC` becomes BETWEEN with the marker `@-@` before the lower bound; PostgreSQL has
//!   that operator for paths only.
//! * The columns in `ON DELETE SET NULL (a, b)` are cut out and kept under the position of the word after
//!   the REFERENCES before them, which begins the referenced table's name.
//! * `CURRENT OF cursor` after WHERE becomes TRUE, and the cursor's name is kept.
//! * `OPERATOR(schema.op)` before ANY and ALL becomes the operator alone.
//! * Subscripts after the targets of SET and the columns of INSERT are cut out and kept under the position
//!   of the column's name.
//! * The expression of `FETCH FIRST (…) ROWS` becomes the parameter `$fetch` and is kept under its position.
//! * A row lock right after a list without FROM gets OFFSET 0 before it: the parser would take FOR as a name.
//! * Grouping sets and what a frame excludes: see `grouping`.
//! * The options of identity columns, and OVERRIDING … VALUE of INSERT, are cut out and kept under the positions
//!   of GENERATED and of the table's name.
//! * The star of `(row).*`, and of `t.*` where a value stands, becomes a name: see `star`.
//! * `TABLE t` becomes `SELECT * FROM t`; `ISNULL`, `NOTNULL` and `TRIM(LEADING FROM x)` are spelt out.

use std::collections::BTreeMap;

use driftdb_concurrency::LockStrength;
use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::conflict::{self, Inference};
use super::cursor::{Cursor, QualifiedName};
use super::period::{self, PeriodClause, PeriodDefinition};
use super::sequence::{self, WrittenOptions};
use super::tokens::{Source, end, is_word, start, syntax_error, token_at};
use super::{grouping, special, star, subscript, tree};
use crate::bind::generated::Overriding;

/// At most so many time clauses and lock clauses in a statement: each is parsed by itself.
pub(crate) const MAX_CLAUSES: usize = 500;

/// The instant that a table is read at.
#[derive(Debug)]
pub(crate) enum TimePoint {
    /// A timestamp.
    Expression(ast::Expr),
    /// The commit with this number.
    Sequence(u64),
    /// The restore point with this name, and where it stands.
    RestorePoint(String, u32),
}

/// What a time clause asks for.
#[derive(Debug)]
pub(crate) enum TimeRange {
    AsOf(TimePoint),
    Between(TimePoint, TimePoint),
    FromTo(TimePoint, TimePoint),
    ContainedIn(TimePoint, TimePoint),
    All,
}

impl TimeRange {
    /// How messages name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::AsOf(_) => "FOR SYSTEM_TIME AS OF",
            Self::Between(..) => "FOR SYSTEM_TIME BETWEEN",
            Self::FromTo(..) => "FOR SYSTEM_TIME FROM",
            Self::ContainedIn(..) => "FOR SYSTEM_TIME CONTAINED IN",
            Self::All => "FOR SYSTEM_TIME ALL",
        }
    }
}

/// A time clause.
#[derive(Debug)]
pub(crate) struct TimeClause {
    pub(crate) position: u32,
    pub(crate) range: TimeRange,
}

/// A row-lock clause.
#[derive(Debug)]
pub(crate) struct LockRequest {
    pub(crate) strength: LockStrength,
    pub(crate) of: Vec<QualifiedName>,
    pub(crate) no_wait: bool,
    pub(crate) skip_locked: bool,
}

/// What was lifted out of a statement.
#[derive(Debug, Default)]
pub(crate) struct Lifted {
    /// By the position of the word before the clause.
    pub(crate) times: BTreeMap<u32, TimeClause>,
    /// In order.
    pub(crate) locks: Vec<LockRequest>,
    /// The past that BEGIN or SET TRANSACTION asks for.
    pub(crate) transaction_time: Option<TimePoint>,
    /// Clauses of application time, by the position of the word before the clause.
    pub(crate) periods: BTreeMap<u32, PeriodClause>,
    /// The periods that CREATE TABLE defines.
    pub(crate) period_definitions: Vec<PeriodDefinition>,
    /// The columns that ON DELETE sets, by the position of the referenced table's name.
    pub(crate) delete_columns: BTreeMap<u32, Vec<String>>,
    /// The alias after the columns of USING, by the position of the first of them.
    pub(crate) join_aliases: BTreeMap<u32, (String, u32)>,
    /// WHERE CURRENT OF: the cursor, and where TRUE stands in its place.
    pub(crate) current_of: Option<(String, u32)>,
    /// SEARCH and CYCLE of common table expressions, by the position of the bracket before them.
    pub(crate) cte_clauses: BTreeMap<u32, &'static str>,
    /// What ON CONFLICT says of its index, by the position of the bracket before it.
    pub(crate) inferences: BTreeMap<u32, Inference>,
    /// The options of identity columns, by the position of GENERATED.
    pub(crate) identities: BTreeMap<u32, WrittenOptions>,
    /// OVERRIDING, by the position of the table's name.
    pub(crate) overriding: BTreeMap<u32, Overriding>,
    /// How many rows FETCH takes, by the position of the bracket.
    pub(crate) fetches: BTreeMap<u32, ast::Expr>,
    /// The subscripts of what is assigned to, by the position of the column's name.
    pub(crate) subscripts: BTreeMap<u32, Vec<ast::AccessExpr>>,
    /// LIKE among the elements of CREATE TABLE.
    pub(crate) likes: Vec<super::like::LikeClause>,
}

/// Rewrites the tokens of a query or of a statement that contains one.
pub(crate) fn rewrite(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Vec<TokenWithSpan>> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(cursor.tokens.len() + 8);
    while let Some(token) = cursor.peek() {
        if let Token::Word(word) = &token.token
            && word.quote_style.is_none()
            && interesting(&word.value)
            && one(cursor, token, &mut out, lifted)?
        {
            continue;
        }
        if token.token == Token::LParen && grouping::empty_set(cursor, &mut out) {
            continue;
        }
        if special::typed_literal(cursor, &mut out) {
            continue;
        }
        if token.token == Token::Mul && star::rewritten(cursor, &mut out) {
            continue;
        }
        if token.token == Token::Assignment {
            out.push(token_at(Token::RArrow, start(token), end(token)));
            cursor.at += 1;
            continue;
        }
        if token.token == Token::LBracket
            && let Some((position, chain)) = subscript::target(cursor, &out)?
        {
            if lifted.subscripts.len() >= MAX_CLAUSES {
                return Err(too_many());
            }
            lifted.subscripts.insert(position, chain);
            continue;
        }
        out.push(token.clone());
        cursor.at += 1;
    }
    Ok(out)
}

fn interesting(word: &str) -> bool {
    const WORDS: [&str; 31] = [
        "fetch",
        "only",
        "tablespace",
        "conflict",
        "default",
        "generated",
        "current",
        "overriding",
        "for",
        "as",
        "between",
        "table",
        "isnull",
        "notnull",
        "leading",
        "trailing",
        "both",
        "set",
        "period",
        "operator",
        "group",
        "grouping",
        "rollup",
        "cube",
        "exclude",
        "preceding",
        "following",
        "search",
        "cycle",
        "substring",
        "variadic",
    ];
    WORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Handles the construct at the cursor, if it is one.
fn one(
    cursor: &mut Cursor<'_>,
    token: &TokenWithSpan,
    out: &mut Vec<TokenWithSpan>,
    lifted: &mut Lifted,
) -> Result<bool> {
    let position = start(token);
    if cursor.accept(&["for", "system_time"]) {
        let range = range(cursor)?;
        keep_time(TimeClause { position, range }, cursor, out, lifted)?;
    } else if is_word(token, "as") && is_sequence(cursor, 2) && cursor.accept(&["as", "of"]) {
        let range = TimeRange::AsOf(point(cursor, Operand::Whole)?);
        keep_time(TimeClause { position, range }, cursor, out, lifted)?;
    } else if is_word(token, "for") {
        if table_word(out).is_some()
            && let Some(clause) = period::clause(cursor, out)?
        {
            keep_period(clause, cursor, out, lifted)?;
            return Ok(true);
        }
        return lock(cursor, position, out, lifted);
    } else if is_word(token, "overriding") {
        return overriding(cursor, out, lifted);
    } else if is_word(token, "fetch") {
        return fetched(cursor, out, lifted);
    } else if is_word(token, "generated") {
        return identity(cursor, out, lifted);
    } else if is_word(token, "period") {
        let Some(found) = period::definition_in_table(cursor, out)? else { return Ok(false) };
        lifted.period_definitions.push(found);
    } else if cursor.accept(&["between", "symmetric"]) {
        out.push(token.clone());
        out.push(token_at(Token::AtDashAt, position, end(token)));
    } else if cursor.accept(&["between", "asymmetric"]) {
        out.push(token.clone());
    } else if is_word(token, "table") && starts_query(out.last()) && !ends_alias(cursor) {
        cursor.at += 1;
        let keyword = |word: &str| token_at(Token::make_keyword(word), position, end(token));
        let star = token_at(Token::Mul, position, end(token));
        out.extend([keyword("SELECT"), star, keyword("FROM")]);
    } else if is_word(token, "isnull") || is_word(token, "notnull") {
        cursor.at += 1;
        let words: &[&str] =
            if is_word(token, "isnull") { &["IS", "NULL"] } else { &["IS", "NOT", "NULL"] };
        let keywords = words.iter().map(|w| token_at(Token::make_keyword(w), position, end(token)));
        out.extend(keywords);
    } else if is_word(token, "current") && current_of(cursor, out, lifted)? {
        // TRUE has been pushed.
    } else if is_word(token, "only") && starts_index(out) {
        // There are no partitions.
        cursor.at += 1;
    } else if is_word(token, "tablespace") && cursor.accept(&["tablespace", "pg_default"]) {
        // Where everything is.
    } else if is_word(token, "conflict") && conflict::inference(cursor, out, lifted)? {
        // Its list has been pushed.
    } else if is_word(token, "operator") && quantified_operator(cursor, out) {
        // Its symbol has been pushed.
    } else if is_word(token, "set") && set_columns(cursor, out, lifted)? {
        // Its words have been pushed.
    } else if is_word(token, "default") && merges_defaults(cursor, out) {
        // Its symbols have been pushed.
    } else if is_word(token, "as")
        && let Some(first) = join_columns(out)
    {
        cursor.at += 1;
        let position = cursor.position();
        if lifted.join_aliases.len() >= MAX_CLAUSES {
            return Err(too_many());
        }
        lifted.join_aliases.insert(first, (cursor.name()?, position));
    } else if let Some(what) = cte_clause(cursor, out)? {
        lifted.cte_clauses.insert(out.last().map_or(0, start), what);
    } else if grouping::rewritten(cursor, out)
        || special::substring(cursor, out, lifted)?
        || special::variadic(cursor, out)
    {
        // Its words have been pushed.
    } else if is_trim(cursor, out.last()) {
        cursor.at += 1;
        out.push(token.clone());
        let blank = Token::SingleQuotedString(" ".to_owned());
        out.push(token_at(blank, position, end(token)));
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Whether CREATE INDEX … ON ends here.
fn starts_index(out: &[TokenWithSpan]) -> bool {
    let is = |at: usize, word: &str| out.get(at).is_some_and(|token| is_word(token, word));
    is(0, "create")
        && (is(1, "index") || is(1, "unique") && is(2, "index"))
        && out.last().is_some_and(|token| is_word(token, "on"))
}

/// `THEN INSERT DEFAULT VALUES`: columns that are left out get their defaults.
fn merges_defaults(cursor: &mut Cursor<'_>, out: &mut Vec<TokenWithSpan>) -> bool {
    let is_clause = matches!(&out[..], [.., then, insert]
        if is_word(then, "then") && is_word(insert, "insert"));
    let rest = &cursor.tokens[cursor.at..];
    let [default, values, ..] = rest else { return false };
    if !is_clause || !is_word(values, "values") {
        return false;
    }
    let (from, to) = (start(default), end(values));
    out.push(values.clone());
    out.push(token_at(Token::LParen, from, to));
    out.push(default.clone());
    out.push(token_at(Token::RParen, from, to));
    cursor.at += 2;
    true
}

/// Where the columns of `USING (a, b)` begin, if that ends here.
fn join_columns(out: &[TokenWithSpan]) -> Option<u32> {
    if out.last()?.token != Token::RParen {
        return None;
    }
    let open = out.iter().rposition(|token| token.token == Token::LParen)?;
    let inner = &out[open + 1..out.len() - 1];
    let is_list = inner.iter().enumerate().all(|(at, token)| match token.token {
        Token::Word(_) => at % 2 == 0,
        Token::Comma => at % 2 == 1,
        _ => false,
    });
    let before = open.checked_sub(1).map(|at| &out[at])?;
    (is_list && !inner.is_empty() && is_word(before, "using")).then(|| start(&inner[0]))
}

/// SEARCH or CYCLE after the brackets of a common table expression: passes over it, says which it was.
fn cte_clause(cursor: &mut Cursor<'_>, out: &[TokenWithSpan]) -> Result<Option<&'static str>> {
    if out.last().is_none_or(|token| token.token != Token::RParen) {
        return Ok(None);
    }
    let names = |cursor: &mut Cursor<'_>| -> Result<()> {
        cursor.name()?;
        while cursor.accept_token(&Token::Comma) {
            cursor.name()?;
        }
        Ok(())
    };
    if cursor.accept(&["search", "depth", "first", "by"])
        || cursor.accept(&["search", "breadth", "first", "by"])
    {
        names(cursor)?;
        cursor.expect(&["set"])?;
        cursor.name()?;
        return Ok(Some("SEARCH"));
    }
    let rest = &cursor.tokens[cursor.at..];
    let sets =
        |at: usize| rest.get(at).is_some_and(|t| is_word(t, "set") || t.token == Token::Comma);
    if is_word(&rest[0], "cycle") && sets(2) {
        cursor.at += 1;
        names(cursor)?;
        cursor.expect(&["set"])?;
        cursor.name()?;
        if cursor.accept(&["to"]) {
            cursor.expression()?;
            cursor.expect(&["default"])?;
            cursor.expression()?;
        }
        cursor.expect(&["using"])?;
        cursor.name()?;
        return Ok(Some("CYCLE"));
    }
    Ok(None)
}

/// `OVERRIDING SYSTEM VALUE` after INSERT's table and columns.
fn overriding(cursor: &mut Cursor<'_>, out: &[TokenWithSpan], lifted: &mut Lifted) -> Result<bool> {
    let is_near = |at: Option<usize>, word| {
        at.and_then(|at| out.get(at)).is_some_and(|token| is_word(token, word))
    };
    let begins = |at: &usize| {
        is_near(Some(*at), "insert")
            && (is_near(Some(at + 1), "into") || is_near(at.checked_sub(1), "then"))
    };
    let Some(insert) = (0..out.len()).rev().find(begins) else { return Ok(false) };
    // In a clause of MERGE there is no table: the word itself stands for it.
    let mut at = insert;
    if is_near(Some(insert + 1), "into") {
        // The last part of the name.
        at += 2;
        while out.get(at + 1).is_some_and(|token| token.token == Token::Period) {
            at += 2;
        }
    }
    let Some(name) = out.get(at).map(start) else { return Ok(false) };
    let which = if cursor.accept(&["overriding", "system", "value"]) {
        Overriding::System
    } else if cursor.accept(&["overriding", "user", "value"]) {
        Overriding::User
    } else {
        return Ok(false);
    };
    if lifted.overriding.len() >= MAX_CLAUSES {
        return Err(too_many());
    }
    lifted.overriding.insert(name, which);
    Ok(true)
}

/// `GENERATED … AS IDENTITY (…)`: without its options.
fn identity(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<TokenWithSpan>,
    lifted: &mut Lifted,
) -> Result<bool> {
    let (from, position) = (cursor.at, cursor.position());
    let is_identity = cursor.accept(&["generated", "always", "as", "identity"])
        || cursor.accept(&["generated", "by", "default", "as", "identity"]);
    if !is_identity {
        return Ok(false);
    }
    out.extend_from_slice(&cursor.tokens[from..cursor.at]);
    let options = sequence::in_brackets(cursor)?;
    if lifted.identities.len() >= MAX_CLAUSES {
        return Err(too_many());
    }
    lifted.identities.insert(position, options);
    Ok(true)
}

/// Whether the word here is an alias: nothing that it could select from follows.
fn ends_alias(cursor: &Cursor<'_>) -> bool {
    match cursor.tokens.get(cursor.at + 1).map(|token| &token.token) {
        Some(Token::Word(word)) => {
            word.quote_style.is_none() && word.value.eq_ignore_ascii_case("from")
        }
        _ => true,
    }
}

/// `WHERE CURRENT OF cursor` becomes WHERE TRUE; the binder makes the condition.
fn current_of(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<TokenWithSpan>,
    lifted: &mut Lifted,
) -> Result<bool> {
    let position = cursor.position();
    if !out.last().is_some_and(|token| is_word(token, "where"))
        || !cursor.accept(&["current", "of"])
    {
        return Ok(false);
    }
    if lifted.current_of.is_some() {
        return Err(SqlError::unsupported("WHERE CURRENT OF in two places").at(position));
    }
    lifted.current_of = Some((cursor.name()?, position));
    out.push(token_at(Token::make_keyword("TRUE"), position, position + 7));
    Ok(true)
}

/// `OPERATOR(pg_catalog.=) ANY`, which the parser takes with bare operators only.
fn quantified_operator(cursor: &mut Cursor<'_>, out: &mut Vec<TokenWithSpan>) -> bool {
    let rest = &cursor.tokens[cursor.at + 1..];
    let is = |at: usize, token: &Token| rest.get(at).is_some_and(|found| found.token == *token);
    let symbol = if is(2, &Token::Period) { 3 } else { 1 };
    let is_quantified = is(0, &Token::LParen)
        && is(symbol + 1, &Token::RParen)
        && rest
            .get(symbol + 2)
            .is_some_and(|token| ["any", "all", "some"].iter().any(|word| is_word(token, word)));
    if is_quantified {
        out.push(rest[symbol].clone());
        cursor.at += symbol + 3;
    }
    is_quantified
}

/// `SET NULL (a, b)` or `SET DEFAULT (a, b)` after ON DELETE: without its columns.
fn set_columns(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<TokenWithSpan>,
    lifted: &mut Lifted,
) -> Result<bool> {
    let bracket = cursor.tokens.get(cursor.at + 2);
    let is_list = matches!(cursor.peek_word(1).as_deref(), Some("null" | "default"))
        && bracket.is_some_and(|token| token.token == Token::LParen);
    let [.., on, event] = &out[..] else { return Ok(false) };
    if !is_list || !is_word(on, "on") {
        return Ok(false);
    }
    if is_word(event, "update") {
        let message = "a column list with SET NULL is only supported for ON DELETE actions";
        let message = match cursor.peek_word(1).as_deref() {
            Some("default") => message.replace("SET NULL", "SET DEFAULT"),
            _ => message.to_owned(),
        };
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let Some(references) = out.iter().rposition(|token| is_word(token, "references")) else {
        return Ok(false);
    };
    let table = start(&out[references + 1]);
    if !is_word(event, "delete") || lifted.delete_columns.len() >= MAX_CLAUSES {
        return Err(too_many());
    }
    out.extend_from_slice(&cursor.tokens[cursor.at..cursor.at + 2]);
    cursor.at += 3;
    let mut columns = vec![cursor.name()?];
    while cursor.accept_token(&Token::Comma) {
        columns.push(cursor.name()?);
    }
    cursor.expect_token(&Token::RParen)?;
    lifted.delete_columns.insert(table, columns);
    Ok(true)
}

/// Whether `TRIM(LEADING FROM` and its kin stand here: the parser wants the characters named.
fn is_trim(cursor: &Cursor<'_>, before: Option<&TokenWithSpan>) -> bool {
    before.is_some_and(|token| token.token == Token::LParen)
        && matches!(cursor.peek_word(0).as_deref(), Some("leading" | "trailing" | "both"))
        && cursor.peek_word(1).as_deref() == Some("from")
}

/// Whether a query may start after a token.
fn starts_query(before: Option<&TokenWithSpan>) -> bool {
    match before {
        None => true,
        Some(token) => {
            token.token == Token::LParen
                || ["union", "all", "except", "intersect", "as"].iter().any(|w| is_word(token, w))
        }
    }
}

/// Whether `@SEQ:` stands so many tokens ahead.
fn is_sequence(cursor: &Cursor<'_>, ahead: usize) -> bool {
    let at = |offset: usize| cursor.tokens.get(cursor.at + ahead + offset);
    at(0).is_some_and(|token| token.token == Token::AtSign)
        && at(1).is_some_and(|token| is_word(token, "seq"))
        && at(2).is_some_and(|token| token.token == Token::Colon)
}

/// What stands after FOR SYSTEM_TIME.
fn range(cursor: &mut Cursor<'_>) -> Result<TimeRange> {
    if cursor.accept(&["as", "of"]) {
        Ok(TimeRange::AsOf(point(cursor, Operand::Whole)?))
    } else if cursor.accept(&["between"]) {
        let from = point(cursor, Operand::BeforeAnd)?;
        cursor.expect(&["and"])?;
        Ok(TimeRange::Between(from, point(cursor, Operand::BeforeAnd)?))
    } else if cursor.accept(&["from"]) {
        let from = point(cursor, Operand::Whole)?;
        cursor.expect(&["to"])?;
        Ok(TimeRange::FromTo(from, point(cursor, Operand::Whole)?))
    } else if cursor.accept(&["contained", "in"]) {
        cursor.expect_token(&Token::LParen)?;
        let from = point(cursor, Operand::Whole)?;
        cursor.expect_token(&Token::Comma)?;
        let to = point(cursor, Operand::Whole)?;
        cursor.expect_token(&Token::RParen)?;
        Ok(TimeRange::ContainedIn(from, to))
    } else if cursor.accept(&["all"]) {
        Ok(TimeRange::All)
    } else {
        Err(cursor.error())
    }
}

/// Whether an expression may go on over an AND.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operand {
    Whole,
    BeforeAnd,
}

/// One time: here are all the ways to write one.
pub(crate) fn time_point(cursor: &mut Cursor<'_>) -> Result<TimePoint> {
    point(cursor, Operand::Whole)
}

/// The number in `@SEQ:N`, if that is what stands here.
pub(crate) fn sequence_number(cursor: &mut Cursor<'_>) -> Result<Option<u64>> {
    if !is_sequence(cursor, 0) {
        return Ok(None);
    }
    cursor.at += 3;
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(digits, _)) => {
            let sequence = digits.parse().map_err(|_| cursor.error())?;
            cursor.at += 1;
            Ok(Some(sequence))
        }
        _ => Err(cursor.error()),
    }
}

/// One time.
pub(crate) fn point(cursor: &mut Cursor<'_>, operand: Operand) -> Result<TimePoint> {
    if let Some(sequence) = sequence_number(cursor)? {
        return Ok(TimePoint::Sequence(sequence));
    }
    if cursor.accept(&["restore", "point"]) {
        let position = cursor.position();
        return Ok(TimePoint::RestorePoint(cursor.name()?, position));
    }
    expression(cursor, operand).map(TimePoint::Expression)
}

/// An expression.
pub(crate) fn expression(cursor: &mut Cursor<'_>, operand: Operand) -> Result<ast::Expr> {
    match operand {
        Operand::Whole => cursor.parse(Parser::parse_expr),
        Operand::BeforeAnd => cursor.parse(|parser| {
            let between = PostgreSqlDialect {}.prec_value(Precedence::Between);
            parser.parse_subexpr(between)
        }),
    }
}

/// Keeps a clause of application time under the word before it.
fn keep_period(
    clause: PeriodClause,
    cursor: &Cursor<'_>,
    out: &[TokenWithSpan],
    lifted: &mut Lifted,
) -> Result<()> {
    let position = clause.position;
    let Some(key) = table_word(out) else {
        return Err(syntax_error_for(cursor.source, position));
    };
    if lifted.periods.len() >= MAX_CLAUSES {
        return Err(too_many());
    }
    if lifted.periods.insert(key, clause).is_some() {
        return Err(syntax_error_for(cursor.source, position));
    }
    Ok(())
}

/// Keeps a clause under the word before it.
fn keep_time(
    clause: TimeClause,
    cursor: &Cursor<'_>,
    out: &[TokenWithSpan],
    lifted: &mut Lifted,
) -> Result<()> {
    let position = clause.position;
    let Some(key) = table_word(out) else {
        return Err(syntax_error_for(cursor.source, position));
    };
    if lifted.times.len() >= MAX_CLAUSES {
        return Err(too_many());
    }
    if lifted.times.insert(key, clause).is_some() {
        return Err(syntax_error_for(cursor.source, position));
    }
    Ok(())
}

fn syntax_error_for(source: &Source<'_>, position: u32) -> SqlError {
    let rest = source.slice(position, source.end);
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    super::tokens::syntax_error_at(&word, position)
}

pub(crate) fn too_many() -> SqlError {
    SqlError::new(
        SqlState::StatementTooComplex,
        format!("more than {MAX_CLAUSES} clauses of one kind"),
    )
}

/// The position of the table's name or alias that ends here: a word, perhaps with a list in brackets.
fn table_word(out: &[TokenWithSpan]) -> Option<u32> {
    let mut index = out.len().checked_sub(1)?;
    if out[index].token == Token::RParen {
        while out[index].token != Token::LParen {
            index = index.checked_sub(1)?;
        }
        index = index.checked_sub(1)?;
    }
    if out[index].token == Token::Mul {
        index = index.checked_sub(1)?;
    }
    matches!(out[index].token, Token::Word(_)).then(|| start(&out[index]))
}

fn lock(
    cursor: &mut Cursor<'_>,
    position: u32,
    out: &mut Vec<TokenWithSpan>,
    lifted: &mut Lifted,
) -> Result<bool> {
    let strength = if cursor.accept(&["for", "update"]) {
        LockStrength::Update
    } else if cursor.accept(&["for", "no", "key", "update"]) {
        LockStrength::NoKeyUpdate
    } else if cursor.accept(&["for", "share"]) {
        LockStrength::Share
    } else if cursor.accept(&["for", "key", "share"]) {
        LockStrength::KeyShare
    } else {
        return Ok(false);
    };
    let mut of = Vec::new();
    if cursor.accept(&["of"]) {
        of.push(cursor.qualified_name()?);
        while cursor.accept_token(&Token::Comma) {
            of.push(cursor.qualified_name()?);
        }
    }
    let no_wait = cursor.accept(&["nowait"]);
    let skip_locked = !no_wait && cursor.accept(&["skip", "locked"]);
    if lifted.locks.len() >= MAX_CLAUSES {
        return Err(too_many());
    }
    if !has_source(out) {
        let offset = [Token::make_keyword("OFFSET"), Token::Number("0".to_owned(), false)];
        out.extend(offset.into_iter().map(|token| token_at(token, position, position)));
    }
    let index = lifted.locks.len();
    lifted.locks.push(LockRequest { strength, of, no_wait, skip_locked });
    let words = [
        Token::make_keyword("FOR"),
        Token::make_keyword("UPDATE"),
        Token::make_keyword("OF"),
        Token::make_word(&format!("#{index}"), Some('"')),
    ];
    out.extend(words.into_iter().map(|token| token_at(token, position, position + 3)));
    Ok(true)
}

/// Whether something stands between the list of the SELECT before here and here.
fn has_source(out: &[TokenWithSpan]) -> bool {
    const CLAUSES: [&str; 11] = [
        "from", "where", "group", "having", "window", "order", "limit", "offset", "fetch",
        "values", "for",
    ];
    let mut depth = 0u32;
    for token in out.iter().rev() {
        match token.token {
            Token::RParen | Token::RBracket => depth += 1,
            Token::LParen | Token::LBracket if depth == 0 => return true,
            Token::LParen | Token::LBracket => depth -= 1,
            Token::Word(_) if depth > 0 => {}
            Token::Word(_) if is_word(token, "select") => return false,
            Token::Word(_) if CLAUSES.iter().any(|word| is_word(token, word)) => return true,
            _ => {}
        }
    }
    true
}

/// The parameter in the place of what is in the brackets after FETCH FIRST.
pub(crate) const FETCH: &str = "$fetch";

/// `FETCH FIRST (…) ROWS`, which the parser takes with a number only.
fn fetched(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<TokenWithSpan>,
    lifted: &mut Lifted,
) -> Result<bool> {
    let is_bracketed =
        cursor.tokens.get(cursor.at + 2).is_some_and(|token| token.token == Token::LParen);
    let from = cursor.at;
    if !is_bracketed || !(cursor.accept(&["fetch", "first"]) || cursor.accept(&["fetch", "next"])) {
        return Ok(false);
    }
    out.extend_from_slice(&cursor.tokens[from..cursor.at]);
    if lifted.fetches.len() >= MAX_CLAUSES {
        return Err(too_many());
    }
    let position = cursor.position();
    let count = cursor.expression()?;
    lifted.fetches.insert(position, count);
    out.push(token_at(Token::Placeholder(FETCH.to_owned()), position, position + 1));
    Ok(true)
}

/// The lock clause that a rewritten name stands for.
pub(crate) fn lock_index(name: &ast::ObjectName) -> Option<usize> {
    let ident = name.0.first()?.as_ident()?;
    ident.value.strip_prefix('#')?.parse().ok()
}

/// Rewrites and parses a whole statement.
pub(crate) fn parse_statement(
    cursor: &mut Cursor<'_>,
    lifted: &mut Lifted,
) -> Result<ast::Statement> {
    if let Some(last) = cursor.tokens.last()
        && cursor.is_at_end()
    {
        return Err(match cursor.terminator {
            Some(token) => syntax_error(cursor.source, Some(token)),
            None => super::tokens::syntax_error_at_end(end(last)),
        });
    }
    let tokens = rewrite(cursor, lifted)?;
    tree::parse_all(cursor.source, tokens, cursor.terminator, Parser::parse_statement)
}
