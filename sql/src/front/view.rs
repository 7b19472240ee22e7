//! CREATE, DROP and ALTER VIEW.

use driftdb_query::{CheckOption, Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::{Body, body};
use super::rewrite::Lifted;
use super::tokens::{end, is_word, start};

/// A statement about a view, as written.
#[derive(Debug)]
pub(crate) enum ViewBody {
    Create {
        name: QualifiedName,
        temporary: bool,
        or_replace: bool,
        /// The names of its columns, as far as given.
        columns: Vec<String>,
        check: Option<CheckOption>,
        query: Box<Body>,
        /// Where the query begins and ends.
        text: (u32, u32),
    },
    Drop {
        names: Vec<QualifiedName>,
        if_exists: bool,
        cascade: bool,
    },
    Alter {
        name: QualifiedName,
        if_exists: bool,
        /// Whether it was written as ALTER TABLE.
        action: AlterView,
    },
}

/// What ALTER VIEW does.
#[derive(Debug)]
pub(crate) enum AlterView {
    Rename(String),
    RenameColumn(String, u32, String),
    SetSchema(String, u32),
    /// `None`: DROP DEFAULT.
    Default(String, u32, Option<Box<ast::Expr>>),
    Owner,
    /// SET or RESET of storage parameters; the check option if it is among them.
    Options(Option<Option<CheckOption>>),
}

/// CREATE [OR REPLACE] VIEW, from its first word, if it is that.
pub(crate) fn create(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Option<Body>> {
    let at = cursor.at;
    let or_replace = cursor.accept(&["create", "or", "replace"]);
    if !or_replace && !cursor.accept(&["create"]) {
        return Ok(None);
    }
    let temporary = super::sequence::temporary(cursor);
    if !cursor.accept(&["view"]) {
        cursor.at = at;
        return Ok(None);
    }
    let name = cursor.qualified_name()?;
    let columns = column_names(cursor)?;
    let mut check = None;
    if cursor.accept(&["with"]) {
        check = parameters(cursor)?.flatten();
    }
    cursor.expect(&["as"])?;
    let (tokens, written) = without_check(cursor);
    if written.is_some() {
        check = written;
    }
    let Some((first, last)) = tokens.first().zip(tokens.last()) else {
        return Err(cursor.error());
    };
    let is_query = is_word(first, "select")
        || is_word(first, "with")
        || is_word(first, "values")
        || is_word(first, "table")
        || first.token == Token::LParen;
    if !is_query {
        return Err(cursor.error());
    }
    let text = (start(first), end(last));
    let mut inner = Cursor { source: cursor.source, tokens, terminator: cursor.terminator, at: 0 };
    let query = Box::new(body(&mut inner, lifted)?);
    cursor.at = cursor.tokens.len();
    Ok(Some(Body::View(ViewBody::Create {
        name,
        temporary,
        or_replace,
        columns,
        check,
        query,
        text,
    })))
}

/// The query's tokens, and the WITH CHECK OPTION behind it.
fn without_check<'a>(
    cursor: &Cursor<'a>,
) -> (&'a [sqlparser::tokenizer::TokenWithSpan], Option<CheckOption>) {
    let rest = &cursor.tokens[cursor.at..];
    let forms: [(&[&str], CheckOption); 3] = [
        (&["with", "check", "option"], CheckOption::Cascaded),
        (&["with", "cascaded", "check", "option"], CheckOption::Cascaded),
        (&["with", "local", "check", "option"], CheckOption::Local),
    ];
    for (words, check) in forms {
        if let Some(before) = rest.len().checked_sub(words.len())
            && rest[before..].iter().zip(words).all(|(token, word)| is_word(token, word))
        {
            return (&rest[..before], Some(check));
        }
    }
    (rest, None)
}

/// `(a, b)`, if there is a list.
pub(crate) fn column_names(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if cursor.accept_token(&Token::LParen) {
        names.push(cursor.name()?);
        while cursor.accept_token(&Token::Comma) {
            names.push(cursor.name()?);
        }
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(names)
}

/// `(check_option = local, …)`: the check option, if it is among them.
fn parameters(cursor: &mut Cursor<'_>) -> Result<Option<Option<CheckOption>>> {
    cursor.expect_token(&Token::LParen)?;
    let mut check = None;
    loop {
        let name = cursor.name()?;
        let mut value = None;
        if cursor.accept_token(&Token::Eq) {
            value = Some(match cursor.peek().map(|token| &token.token) {
                Some(Token::SingleQuotedString(_)) => cursor.string()?,
                Some(Token::Number(digits, _)) => {
                    let digits = digits.clone();
                    cursor.at += 1;
                    digits
                }
                _ => cursor.name()?,
            });
        }
        match (name.as_str(), value.as_deref()) {
            ("check_option", Some("local")) => check = Some(Some(CheckOption::Local)),
            ("check_option", Some("cascaded")) => check = Some(Some(CheckOption::Cascaded)),
            ("check_option", None) => check = Some(None),
            ("check_option", Some(value)) => {
                let message = format!("invalid value for enum option \"check_option\": {value}");
                return Err(SqlError::new(SqlState::InvalidParameterValue, message)
                    .with_detail("Valid values are \"local\" and \"cascaded\"."));
            }
            // Everybody may read everything, so that these change nothing.
            ("security_barrier" | "security_invoker", value) => {
                let is_truth = value.is_none_or(|value| {
                    matches!(
                        value.to_ascii_lowercase().as_str(),
                        "true" | "false" | "on" | "off" | "yes" | "no" | "1" | "0"
                    )
                });
                if !is_truth {
                    let value = value.unwrap_or_default();
                    let message = format!("invalid value for boolean option \"{name}\": {value}");
                    return Err(SqlError::new(SqlState::InvalidParameterValue, message));
                }
            }
            (name, _) => {
                let message = format!("unrecognized parameter \"{name}\"");
                return Err(SqlError::new(SqlState::InvalidParameterValue, message));
            }
        }
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(check)
}

/// What follows DROP and its kind: IF EXISTS, the names, and whether what needs them goes too.
pub(crate) fn dropped(cursor: &mut Cursor<'_>) -> Result<(bool, Vec<QualifiedName>, bool)> {
    let if_exists = cursor.accept(&["if", "exists"]);
    let mut names = vec![cursor.qualified_name()?];
    while cursor.accept_token(&Token::Comma) {
        names.push(cursor.qualified_name()?);
    }
    let cascade = cursor.accept(&["cascade"]);
    if !cascade {
        cursor.accept(&["restrict"]);
    }
    cursor.expect_end()?;
    Ok((if_exists, names, cascade))
}

/// DROP VIEW, after the words.
pub(crate) fn drop(cursor: &mut Cursor<'_>) -> Result<Body> {
    let (if_exists, names, cascade) = dropped(cursor)?;
    Ok(Body::View(ViewBody::Drop { names, if_exists, cascade }))
}

/// ALTER VIEW, from its first word.
pub(crate) fn alter(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.expect(&["alter", "view"])?;
    let if_exists = cursor.accept(&["if", "exists"]);
    let name = cursor.qualified_name()?;
    let action = if cursor.accept(&["rename", "to"]) {
        AlterView::Rename(cursor.name()?)
    } else if cursor.accept(&["rename"]) {
        cursor.accept(&["column"]);
        let position = cursor.position();
        let column = cursor.name()?;
        cursor.expect(&["to"])?;
        AlterView::RenameColumn(column, position, cursor.name()?)
    } else if cursor.accept(&["set", "schema"]) {
        let position = cursor.position();
        AlterView::SetSchema(cursor.name()?, position)
    } else if cursor.accept(&["owner", "to"]) {
        cursor.name()?;
        AlterView::Owner
    } else if cursor.accept(&["set"]) || cursor.accept(&["reset"]) {
        AlterView::Options(parameters(cursor)?)
    } else {
        cursor.expect(&["alter"])?;
        cursor.accept(&["column"]);
        let position = cursor.position();
        let column = cursor.name()?;
        let default = if cursor.accept(&["drop", "default"]) {
            None
        } else {
            cursor.expect(&["set", "default"])?;
            Some(Box::new(cursor.expression()?))
        };
        AlterView::Default(column, position, default)
    };
    cursor.expect_end()?;
    Ok(Body::View(ViewBody::Alter { name, if_exists, action }))
}
