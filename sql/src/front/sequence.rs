//! CREATE SEQUENCE and ALTER SEQUENCE, and the options that identity columns have, too.

use driftdb_query::{Result, SequenceOptions, SqlError};
use driftdb_types::{DataType, EvalContext, SqlState, Value, parse_text};
use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};

/// What OWNED BY names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// OWNED BY NONE
    None,
    /// A table and its column.
    Column(QualifiedName, String),
    /// A name alone, which cannot be.
    Bare,
}

/// The options as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct WrittenOptions {
    /// All but these:
    pub(crate) options: SequenceOptions,
    /// AS, to be bound.
    pub(crate) ty: Option<ast::DataType>,
    /// OWNED BY
    pub(crate) owned_by: Option<Owner>,
    /// SEQUENCE NAME, in identity columns as pg_dump writes them.
    pub(crate) name: Option<QualifiedName>,
}

/// A statement about a sequence.
#[derive(Debug, Clone)]
pub(crate) enum SequenceBody {
    /// CREATE SEQUENCE
    Create { name: QualifiedName, temporary: bool, if_not_exists: bool, options: WrittenOptions },
    /// ALTER SEQUENCE
    Alter { name: QualifiedName, if_exists: bool, options: WrittenOptions },
    /// ALTER SEQUENCE … RENAME TO
    Rename { name: QualifiedName, if_exists: bool, to: String },
}

/// CREATE SEQUENCE, after the words.
pub(crate) fn create(cursor: &mut Cursor<'_>, temporary: bool) -> Result<SequenceBody> {
    let if_not_exists = cursor.accept(&["if", "not", "exists"]);
    let name = cursor.qualified_name()?;
    let options = options(cursor)?;
    cursor.expect_end()?;
    Ok(SequenceBody::Create { name, temporary, if_not_exists, options })
}

/// CREATE TEMPORARY SEQUENCE, from its first word, if it is that.
pub(crate) fn create_temporary(cursor: &mut Cursor<'_>) -> Result<Option<SequenceBody>> {
    let begin = cursor.at;
    if cursor.accept(&["create"]) && temporary(cursor) && cursor.accept(&["sequence"]) {
        return create(cursor, true).map(Some);
    }
    cursor.at = begin;
    Ok(None)
}

/// `[LOCAL | GLOBAL] TEMP | TEMPORARY`
pub(crate) fn temporary(cursor: &mut Cursor<'_>) -> bool {
    let begin = cursor.at;
    if !cursor.accept(&["local"]) {
        cursor.accept(&["global"]);
    }
    if cursor.accept(&["temp"]) || cursor.accept(&["temporary"]) {
        return true;
    }
    cursor.at = begin;
    false
}

/// ALTER SEQUENCE, after the words; `None` for what ALTER TABLE says likewise of every relation.
pub(crate) fn alter(cursor: &mut Cursor<'_>) -> Result<Option<SequenceBody>> {
    let if_exists = cursor.accept(&["if", "exists"]);
    let name = cursor.qualified_name()?;
    if cursor.accept(&["rename", "to"]) {
        let to = cursor.name()?;
        cursor.expect_end()?;
        return Ok(Some(SequenceBody::Rename { name, if_exists, to }));
    }
    if matches!(cursor.peek_word(0).as_deref(), Some("owner" | "set")) {
        return Ok(None);
    }
    if cursor.is_at_end() {
        return Err(cursor.error());
    }
    let options = options(cursor)?;
    cursor.expect_end()?;
    Ok(Some(SequenceBody::Alter { name, if_exists, options }))
}

/// `(option …)` of an identity column, if there is one.
pub(crate) fn in_brackets(cursor: &mut Cursor<'_>) -> Result<WrittenOptions> {
    if !cursor.accept_token(&Token::LParen) {
        return Ok(WrittenOptions::default());
    }
    let written = options(cursor)?;
    cursor.expect_token(&Token::RParen)?;
    Ok(written)
}

/// Options until something else comes.
pub(crate) fn options(cursor: &mut Cursor<'_>) -> Result<WrittenOptions> {
    let mut written = WrittenOptions::default();
    loop {
        let position = cursor.position();
        let is_new = if cursor.accept(&["as"]) {
            let ty = cursor.parse(Parser::parse_data_type)?;
            written.ty.replace(ty).is_none()
        } else if cursor.accept(&["owned", "by"]) {
            let owner = owner(cursor)?;
            written.owned_by.replace(owner).is_none()
        } else if cursor.accept(&["sequence", "name"]) {
            let name = cursor.qualified_name()?;
            written.name.replace(name).is_none()
        } else {
            match option(cursor, &mut written.options)? {
                Some(is_new) => is_new,
                None => return Ok(written),
            }
        };
        if !is_new {
            let message = "conflicting or redundant options";
            return Err(SqlError::new(SqlState::SyntaxError, message).at(position));
        }
    }
}

/// An option that is kept as it is: whether it is given for the first time; `None` if there is none.
fn option(cursor: &mut Cursor<'_>, options: &mut SequenceOptions) -> Result<Option<bool>> {
    Ok(Some(if cursor.accept(&["increment"]) {
        cursor.accept(&["by"]);
        options.increment.replace(number(cursor)?).is_none()
    } else if cursor.accept(&["minvalue"]) {
        options.min.replace(Some(number(cursor)?)).is_none()
    } else if cursor.accept(&["no", "minvalue"]) {
        options.min.replace(None).is_none()
    } else if cursor.accept(&["maxvalue"]) {
        options.max.replace(Some(number(cursor)?)).is_none()
    } else if cursor.accept(&["no", "maxvalue"]) {
        options.max.replace(None).is_none()
    } else if cursor.accept(&["start"]) {
        cursor.accept(&["with"]);
        options.start.replace(number(cursor)?).is_none()
    } else if cursor.accept(&["restart"]) {
        let has_value = cursor.accept(&["with"]) || is_number(cursor);
        let value = if has_value { Some(number(cursor)?) } else { None };
        options.restart.replace(value).is_none()
    } else if cursor.accept(&["cache"]) {
        options.cache.replace(number(cursor)?).is_none()
    } else if cursor.accept(&["cycle"]) {
        options.cycle.replace(true).is_none()
    } else if cursor.accept(&["no", "cycle"]) {
        options.cycle.replace(false).is_none()
    } else {
        return Ok(None);
    }))
}

fn owner(cursor: &mut Cursor<'_>) -> Result<Owner> {
    let position = cursor.position();
    let mut parts = vec![cursor.name()?];
    while cursor.accept_token(&Token::Period) {
        parts.push(cursor.name()?);
    }
    let column = parts.pop().unwrap_or_default();
    match parts.pop() {
        Some(name) => {
            let schema = parts.pop();
            Ok(Owner::Column(QualifiedName { schema, name, position }, column))
        }
        None if column == "none" => Ok(Owner::None),
        None => Ok(Owner::Bare),
    }
}

fn is_number(cursor: &Cursor<'_>) -> bool {
    matches!(
        cursor.peek().map(|token| &token.token),
        Some(Token::Number(..) | Token::Minus | Token::Plus)
    )
}

/// A number with its sign.
fn number(cursor: &mut Cursor<'_>) -> Result<i64> {
    let is_negative = cursor.accept_token(&Token::Minus);
    if !is_negative {
        cursor.accept_token(&Token::Plus);
    }
    let Some(Token::Number(digits, _)) = cursor.peek().map(|token| &token.token) else {
        return Err(cursor.error());
    };
    let text = if is_negative { format!("-{digits}") } else { digits.clone() };
    cursor.at += 1;
    match parse_text(DataType::Int8, -1, &text, &EvalContext::default())? {
        Value::Int8(number) => Ok(number),
        _ => Err(cursor.error()),
    }
}
