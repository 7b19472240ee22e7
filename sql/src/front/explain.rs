//! EXPLAIN: both spellings of its options, and which statements it takes.

use driftdb_query::{ExplainFormat, ExplainOutput, Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::dispatch::{Body, body};
use super::history::HistoryBody;
use super::rewrite::Lifted;
use super::utility::{refuse_nesting, value};

/// EXPLAIN, after the word.
pub(crate) fn explain(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Body> {
    let (mut analyze, mut output) = (false, ExplainOutput::TEXT);
    let bracket = cursor.peek().is_some_and(|token| token.token == Token::LParen);
    let query =
        matches!(cursor.peek_word(1).as_deref(), Some("select" | "values" | "with" | "table"));
    if bracket && !query && cursor.accept_token(&Token::LParen) {
        (analyze, output) = options(cursor)?;
    } else {
        analyze |= cursor.accept(&["analyze"]) || cursor.accept(&["analyse"]);
        cursor.accept(&["verbose"]);
    }
    refuse_nesting(cursor)?;
    let from = cursor.at;
    let inner = match body(cursor, lifted)? {
        Body::Declare(_, query) => *query,
        inner => inner,
    };
    let is_explained = matches!(
        inner,
        Body::Tree(_)
            | Body::Execute { .. }
            | Body::History(HistoryBody::Diff { .. })
            | Body::Unsupported(_)
    );
    if !is_explained {
        cursor.at = from;
        return Err(cursor.error());
    }
    Ok(Body::Explain { statement: Box::new(inner), analyze, output })
}

/// `(name [value], …)`, after the opening bracket. What we do not measure is taken and not shown.
fn options(cursor: &mut Cursor<'_>) -> Result<(bool, ExplainOutput)> {
    let (mut analyze, mut wal) = (false, false);
    let (mut timing, mut summary, mut format) = (None, None, ExplainFormat::Text);
    loop {
        let position = cursor.position();
        let name = cursor.name()?;
        let given = match cursor.peek().map(|token| &token.token) {
            Some(Token::Comma | Token::RParen) => None,
            _ => Some(value(cursor)?),
        };
        match name.as_str() {
            "analyze" | "analyse" => analyze = flag(&name, given.as_deref())?,
            "timing" => timing = Some(flag(&name, given.as_deref())?),
            "summary" => summary = Some(flag(&name, given.as_deref())?),
            "wal" => wal = flag(&name, given.as_deref())?,
            "format" => format = form(given.as_deref()).map_err(|error| error.at(position))?,
            "verbose" | "costs" | "buffers" | "settings" => {
                flag(&name, given.as_deref())?;
            }
            _ => {
                let message = format!("unrecognized EXPLAIN option \"{name}\"");
                return Err(SqlError::new(SqlState::SyntaxError, message).at(position));
            }
        }
        if !cursor.accept_token(&Token::Comma) {
            cursor.expect_token(&Token::RParen)?;
            break;
        }
    }
    let requires = |option: &str| {
        let message = format!("EXPLAIN option {option} requires ANALYZE");
        Err(SqlError::new(SqlState::InvalidParameterValue, message))
    };
    if wal && !analyze {
        return requires("WAL");
    }
    if timing == Some(true) && !analyze {
        return requires("TIMING");
    }
    let (timing, summary) = (timing.unwrap_or(analyze), summary.unwrap_or(analyze));
    Ok((analyze, ExplainOutput { format, timing, summary }))
}

fn flag(name: &str, given: Option<&str>) -> Result<bool> {
    match given.map(str::to_ascii_lowercase).as_deref() {
        None | Some("true" | "on" | "1") => Ok(true),
        Some("false" | "off" | "0") => Ok(false),
        Some(_) => {
            let message = format!("{name} requires a Boolean value");
            Err(SqlError::new(SqlState::SyntaxError, message))
        }
    }
}

fn form(given: Option<&str>) -> Result<ExplainFormat> {
    Ok(match given {
        Some("text") => ExplainFormat::Text,
        Some("json") => ExplainFormat::Json,
        Some("yaml") => ExplainFormat::Yaml,
        Some("xml") => ExplainFormat::Xml,
        Some(other) => {
            let message = format!("unrecognized value for EXPLAIN option \"format\": \"{other}\"");
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        None => {
            return Err(SqlError::new(SqlState::SyntaxError, "format requires a parameter"));
        }
    })
}
