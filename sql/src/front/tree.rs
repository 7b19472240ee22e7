//! `sqlparser` at work: tokens to its tree, its complaints to PostgreSQL's.

use driftdb_query::{Result, SqlError};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::dialect::Postgres;
use super::limits::{PARSER_DEPTH, too_deep};
use super::tokens::{Source, end, start, syntax_error, syntax_error_at, syntax_error_at_end};

/// What we lift out of the tokens, no dialect has; the rest is PostgreSQL.
static DIALECT: Postgres = Postgres(PostgreSqlDialect {});

/// Runs a parsing function over tokens; also returns the position of the first token it left.
pub(crate) fn parse_with<T>(
    source: &Source<'_>,
    tokens: Vec<TokenWithSpan>,
    terminator: Option<&TokenWithSpan>,
    parse: impl FnOnce(&mut Parser<'static>) -> std::result::Result<T, ParserError>,
) -> Result<(T, Option<u32>)> {
    let count = tokens.len();
    let mut parser =
        Parser::new(&DIALECT).with_recursion_limit(PARSER_DEPTH).with_tokens_with_locations(tokens);
    match parse(&mut parser) {
        Ok(tree) => {
            let next = parser.peek_token_ref();
            let left = if next.token == Token::EOF { None } else { Some(start(next)) };
            Ok((tree, left))
        }
        Err(error) => Err(parser_error(source, &parser, count, terminator, &error)),
    }
}

/// As [`parse_with`], but everything must be taken.
pub(crate) fn parse_all<T>(
    source: &Source<'_>,
    tokens: Vec<TokenWithSpan>,
    terminator: Option<&TokenWithSpan>,
    parse: impl FnOnce(&mut Parser<'static>) -> std::result::Result<T, ParserError>,
) -> Result<T> {
    let whole = |parser: &mut Parser<'static>| {
        let tree = parse(parser)?;
        let next = parser.peek_token_ref();
        if next.token == Token::EOF { Ok(tree) } else { parser.expected_ref("the end", next) }
    };
    Ok(parse_with(source, tokens, terminator, whole)?.0)
}

/// The parser's complaint: at the token that it names, or at the end.
fn parser_error(
    source: &Source<'_>,
    parser: &Parser<'static>,
    count: usize,
    terminator: Option<&TokenWithSpan>,
    error: &ParserError,
) -> SqlError {
    let message = match error {
        ParserError::RecursionLimitExceeded => return too_deep(),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let column = message
        .rsplit_once(", Column: ")
        .and_then(|(_, column)| column.trim().parse::<u32>().ok())
        .filter(|column| *column > 0);
    let Some(column) = column else {
        return match terminator {
            Some(token) => syntax_error(source, Some(token)),
            None => syntax_error_at_end(source.end),
        };
    };
    let token = (0..count).map(|index| parser.token_at(index)).find(|t| start(t) == column);
    match token {
        Some(token) => syntax_error_at(source.slice(start(token), end(token)), column),
        None => syntax_error_at(source.slice(column, column + 1), column),
    }
}
