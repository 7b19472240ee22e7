//! DECLARE, FETCH, MOVE and CLOSE; LISTEN, UNLISTEN and NOTIFY.

use driftdb_query::{ChannelStatement, Fetch, FetchStep, Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::dispatch::{Body, body};
use super::rewrite::Lifted;

/// DECLARE, as written.
#[derive(Debug)]
pub(crate) struct Declare {
    pub(crate) name: String,
    pub(crate) binary: bool,
    pub(crate) scroll: Option<bool>,
    pub(crate) insensitive: bool,
    pub(crate) hold: bool,
}

/// DECLARE, after the word.
pub(crate) fn declare(cursor: &mut Cursor<'_>, lifted: &mut Lifted) -> Result<Body> {
    let mut declare = Declare {
        name: cursor.name()?,
        binary: false,
        scroll: None,
        insensitive: false,
        hold: false,
    };
    let (mut scroll, mut no_scroll, mut asensitive) = (false, false, false);
    loop {
        if cursor.accept(&["binary"]) {
            declare.binary = true;
        } else if cursor.accept(&["insensitive"]) {
            declare.insensitive = true;
        } else if cursor.accept(&["asensitive"]) {
            asensitive = true;
        } else if cursor.accept(&["no", "scroll"]) {
            no_scroll = true;
        } else if cursor.accept(&["scroll"]) {
            scroll = true;
        } else {
            break;
        }
    }
    cursor.expect(&["cursor"])?;
    if cursor.accept(&["with", "hold"]) {
        declare.hold = true;
    } else {
        cursor.accept(&["without", "hold"]);
    }
    let both = |what: &str| {
        let message = format!("cannot specify both {what}");
        Err(SqlError::new(SqlState::InvalidCursorDefinition, message))
    };
    if scroll && no_scroll {
        return both("SCROLL and NO SCROLL");
    }
    if asensitive && declare.insensitive {
        return both("ASENSITIVE and INSENSITIVE");
    }
    declare.scroll = if scroll || no_scroll { Some(scroll) } else { None };
    cursor.expect(&["for"])?;
    let is_query = match cursor.peek_word(0) {
        Some(word) => matches!(word.as_str(), "select" | "with" | "values" | "table"),
        None => cursor.peek().is_some_and(|token| token.token == Token::LParen),
    };
    if !is_query {
        return Err(cursor.error());
    }
    Ok(Body::Declare(declare, Box::new(body(cursor, lifted)?)))
}

/// FETCH or MOVE, after the word.
pub(crate) fn fetch(cursor: &mut Cursor<'_>, is_move: bool) -> Result<Body> {
    let step = if cursor.tokens.len() == cursor.at + 1 {
        // A name alone, whatever it is.
        FetchStep::Forward(Some(1))
    } else {
        step(cursor)?
    };
    if !cursor.accept(&["from"]) {
        cursor.accept(&["in"]);
    }
    let name = cursor.name()?;
    cursor.expect_end()?;
    Ok(Body::Fetch(Fetch { cursor: name, step, is_move }))
}

fn step(cursor: &mut Cursor<'_>) -> Result<FetchStep> {
    let Some(word) = cursor.peek_word(0) else {
        return Ok(FetchStep::Forward(Some(count(cursor)?)));
    };
    let step = match word.as_str() {
        "next" => FetchStep::Forward(Some(1)),
        "prior" => FetchStep::Backward(Some(1)),
        "first" => FetchStep::Absolute(1),
        "last" => FetchStep::Absolute(-1),
        "all" => FetchStep::Forward(None),
        "absolute" | "relative" => {
            cursor.at += 1;
            let count = count(cursor)?;
            let is_absolute = word == "absolute";
            return Ok(if is_absolute {
                FetchStep::Absolute(count)
            } else {
                FetchStep::Relative(count)
            });
        }
        "forward" | "backward" => {
            cursor.at += 1;
            let count = if cursor.accept(&["all"]) {
                None
            } else if cursor.peek_word(0).is_some() {
                Some(1)
            } else {
                Some(count(cursor)?)
            };
            let is_forward = word == "forward";
            return Ok(if is_forward {
                FetchStep::Forward(count)
            } else {
                FetchStep::Backward(count)
            });
        }
        // IN, FROM, or the cursor's name.
        _ => return Ok(FetchStep::Forward(Some(1))),
    };
    cursor.at += 1;
    Ok(step)
}

/// An integer, perhaps with a sign.
fn count(cursor: &mut Cursor<'_>) -> Result<i64> {
    let is_negative = cursor.accept_token(&Token::Minus);
    if !is_negative {
        cursor.accept_token(&Token::Plus);
    }
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(digits, _)) => {
            let number: i32 = digits.parse().map_err(|_| cursor.error())?;
            cursor.at += 1;
            let number = i64::from(number);
            Ok(if is_negative { -number } else { number })
        }
        _ => Err(cursor.error()),
    }
}

/// CLOSE, after the word.
pub(crate) fn close(cursor: &mut Cursor<'_>) -> Result<Body> {
    let name = if cursor.accept(&["all"]) { None } else { Some(cursor.name()?) };
    cursor.expect_end()?;
    Ok(Body::Close(name))
}

/// LISTEN, after the word.
pub(crate) fn listen(cursor: &mut Cursor<'_>) -> Result<Body> {
    let channel = cursor.name()?;
    cursor.expect_end()?;
    Ok(Body::Channel(ChannelStatement::Listen(channel)))
}

/// UNLISTEN, after the word.
pub(crate) fn unlisten(cursor: &mut Cursor<'_>) -> Result<Body> {
    let channel = if cursor.accept_token(&Token::Mul) { None } else { Some(cursor.name()?) };
    cursor.expect_end()?;
    Ok(Body::Channel(ChannelStatement::Unlisten(channel)))
}

/// NOTIFY, after the word.
pub(crate) fn notify(cursor: &mut Cursor<'_>) -> Result<Body> {
    let channel = cursor.name()?;
    let payload = if cursor.accept_token(&Token::Comma) { cursor.string()? } else { String::new() };
    cursor.expect_end()?;
    Ok(Body::Channel(ChannelStatement::Notify { channel, payload }))
}
