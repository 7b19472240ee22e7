//! PostgreSQL's dialect as `sqlparser` has it, and what that lacks.
//!
//! * `COLLATE` after any operand: sqlparser takes it right after a name or literal only, not in
//!   `x::text COLLATE "C"`.
//! * `IN ((SELECT …), x)`, a list that begins with a subquery: sqlparser takes what begins with two brackets
//!   and SELECT for a subquery. What follows the inner bracket decides, which is found without parsing, so
//!   that nested lists cost no more than their length.
//! * `((SELECT 1) UNION SELECT 2)`, a subquery that begins with two brackets, told likewise.
//! * `(VALUES (1))` as a value, `ANY (VALUES (1), (2))`.
//! * Keywords that name a column only after AS, as `pg_get_keywords()` tells (`barelabel`): `SELECT 1 ON` is
//!   an error, and `INSERT … SELECT 1 ON CONFLICT …` none.
//!
//! All else is delegated. A method that sqlparser's dialect overrides in a later version must be added here;
//! the crate's version is pinned.

use std::any::TypeId;

use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::{Keyword, RESERVED_FOR_COLUMN_ALIAS};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// The dialect.
#[derive(Debug)]
pub(crate) struct Postgres(pub(crate) PostgreSqlDialect);

/// Methods without arguments that answer as the dialect within does.
macro_rules! delegated {
    ($($name:ident)*) => { $(fn $name(&self) -> bool { self.0.$name() })* };
}

impl Dialect for Postgres {
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.0.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        self.0.is_delimited_identifier_start(c)
    }

    fn is_identifier_start(&self, c: char) -> bool {
        self.0.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        self.0.is_identifier_part(c)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.0.is_reserved_for_identifier(keyword)
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.0.is_table_alias(keyword, parser)
    }

    fn is_column_alias(&self, keyword: &Keyword, _: &mut Parser<'_>) -> bool {
        !RESERVED_FOR_COLUMN_ALIAS.contains(keyword) && !NEEDS_AS.contains(keyword)
    }

    fn is_custom_operator_part(&self, c: char) -> bool {
        self.0.is_custom_operator_part(c)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        self.0.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.0.prec_value(precedence)
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let opens = |at: usize| parser.peek_nth_token_ref(at).token == Token::LParen;
        if is_keyword(parser, 0, Keyword::VALUES) && opens(1) {
            return Some(parser.parse_query().map(Expr::Subquery));
        }
        let is_query = opens(0)
            && (opens(1) && continues_query(after(parser, 1))
                || is_keyword(parser, 1, Keyword::VALUES));
        is_query.then(|| subquery(parser))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        _: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if parser.parse_keyword(Keyword::COLLATE) {
            let collation = parser.parse_object_name(false);
            return Some(
                collation
                    .map(|collation| Expr::Collate { expr: Box::new(expr.clone()), collation }),
            );
        }
        let negated = is_keyword(parser, 0, Keyword::NOT);
        let list = usize::from(negated) + 1;
        let begins = is_keyword(parser, list - 1, Keyword::IN)
            && parser.peek_nth_token_ref(list).token == Token::LParen
            && parser.peek_nth_token_ref(list + 1).token == Token::LParen;
        // What is all of the list, or goes on as a query, is no element of it.
        let is_query =
            |token: &Token| matches!(token, Token::RParen | Token::EOF) || continues_query(token);
        if !begins || is_query(after(parser, list + 1)) {
            return None;
        }
        for _ in 0..=list {
            parser.next_token();
        }
        Some(in_list(parser, expr, negated))
    }

    delegated! {
        supports_unicode_string_literal supports_filter_during_aggregation supports_group_by_expr
        supports_alter_user_as_alter_role allow_extract_custom allow_extract_single_quotes
        supports_create_index_with_clause supports_explain_with_utility_options supports_listen_notify
        supports_exclude_constraint supports_factorial_operator supports_bitwise_shift_operators
        supports_comment_on supports_load_extension supports_named_fn_args_with_colon_operator
        supports_named_fn_args_with_expr_name supports_empty_projections supports_nested_comments
        supports_string_escape_constant supports_numeric_literal_underscores
        supports_array_typedef_with_brackets supports_geometric_types supports_order_by_using_operator
        supports_set_names supports_alter_column_type_using
        supports_left_associative_joins_without_parens supports_notnull_operator
        supports_interval_options supports_insert_table_alias supports_create_table_like_parenthesized
        supports_select_wildcard_with_alias supports_comma_separated_trim supports_xml_expressions
        supports_aliased_function_args supports_comment_optimizer_hint
    }
}

/// What sqlparser would take for a column's name without AS, and PostgreSQL does not.
const NEEDS_AS: &[Keyword] = &[
    Keyword::ARRAY,
    Keyword::AS,
    Keyword::CHAR,
    Keyword::CHARACTER,
    Keyword::CREATE,
    Keyword::DAY,
    Keyword::FILTER,
    Keyword::FOR,
    Keyword::GRANT,
    Keyword::HOUR,
    Keyword::MINUTE,
    Keyword::MONTH,
    Keyword::NOTNULL,
    Keyword::ON,
    Keyword::OVER,
    Keyword::OVERLAPS,
    Keyword::PRECISION,
    Keyword::RETURNING,
    Keyword::SECOND,
    Keyword::TO,
    Keyword::VARYING,
    Keyword::WITHIN,
    Keyword::WITHOUT,
    Keyword::YEAR,
];

fn is_keyword(parser: &Parser<'_>, index: usize, keyword: Keyword) -> bool {
    matches!(&parser.peek_nth_token_ref(index).token, Token::Word(word) if word.keyword == keyword)
}

/// The token after the brackets that open at a token.
fn after<'a>(parser: &'a Parser<'_>, open: usize) -> &'a Token {
    let mut depth = 0_usize;
    let mut at = open;
    loop {
        match &parser.peek_nth_token_ref(at).token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::EOF => return &Token::EOF,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return &parser.peek_nth_token_ref(at).token;
        }
    }
}

/// Whether a query goes on at a token that follows one of its operands in brackets.
fn continues_query(token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    matches!(
        word.keyword,
        Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::FOR
    )
}

fn subquery(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Subquery(query))
}

fn in_list(parser: &mut Parser<'_>, expr: &Expr, negated: bool) -> Result<Expr, ParserError> {
    let list = parser.parse_comma_separated(Parser::parse_expr)?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::InList { expr: Box::new(expr.clone()), list, negated })
}
