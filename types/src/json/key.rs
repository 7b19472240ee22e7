//! `jsonb` as a key: bytes in the order of [`Json::compare`].
//!
//! A byte says the kind, in the order of the kinds; at the top the array without elements has a byte of
//! its own below them. Members are counted first, in four bytes.

use super::Json;
use crate::key::{decode_bytes, decode_numeric, encode_bytes, encode_numeric, take};
use crate::{SqlState, ValueError};

const EMPTY: u8 = 0x08;
const NULL: u8 = 0x10;
const STRING: u8 = 0x20;
const NUMBER: u8 = 0x30;
const FALSE: u8 = 0x40;
const TRUE: u8 = 0x41;
const ARRAY: u8 = 0x50;
const OBJECT: u8 = 0x60;

/// Appends the key of a value.
pub(crate) fn encode_json_key(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Array(items) if items.is_empty() => out.push(EMPTY),
        json => encode(json, out),
    }
}

fn encode(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.push(NULL),
        Json::String(text) => {
            out.push(STRING);
            encode_bytes(text.as_bytes(), out);
        }
        Json::Number(number) => {
            out.push(NUMBER);
            encode_numeric(number, out);
        }
        Json::Bool(v) => out.push(if *v { TRUE } else { FALSE }),
        Json::Array(items) => {
            out.push(ARRAY);
            out.extend((items.len() as u32).to_be_bytes());
            items.iter().for_each(|item| encode(item, out));
        }
        Json::Object(pairs) => {
            out.push(OBJECT);
            out.extend((pairs.len() as u32).to_be_bytes());
            for (key, value) in pairs {
                encode_bytes(key.as_bytes(), out);
                encode(value, out);
            }
        }
    }
}

fn damaged() -> ValueError {
    ValueError::new(SqlState::DataCorrupted, "malformed key")
}

/// Reads the key of a value and moves past it. Numbers come back without trailing zeros.
pub(crate) fn decode_json_key(bytes: &mut &[u8]) -> Result<Json, ValueError> {
    if bytes.first() == Some(&EMPTY) {
        take(bytes, 1)?;
        return Ok(Json::Array(Vec::new()));
    }
    decode(bytes, 0)
}

fn decode(bytes: &mut &[u8], depth: usize) -> Result<Json, ValueError> {
    let count = |bytes: &mut &[u8]| -> Result<u32, ValueError> {
        let four = take(bytes, 4)?.try_into().map_err(|_| damaged())?;
        Ok(u32::from_be_bytes(four))
    };
    let text = |bytes: &mut &[u8]| -> Result<Box<str>, ValueError> {
        let text = String::from_utf8(decode_bytes(bytes)?).map_err(|_| damaged())?;
        Ok(text.into())
    };
    if depth > super::MAX_DEPTH {
        return Err(damaged());
    }
    Ok(match take(bytes, 1)?[0] {
        NULL => Json::Null,
        STRING => Json::String(text(bytes)?),
        NUMBER => Json::Number(decode_numeric(bytes)?),
        FALSE => Json::Bool(false),
        TRUE => Json::Bool(true),
        ARRAY => {
            let mut items = Vec::new();
            for _ in 0..count(bytes)? {
                items.push(decode(bytes, depth + 1)?);
            }
            Json::Array(items)
        }
        OBJECT => {
            let mut pairs = Vec::new();
            for _ in 0..count(bytes)? {
                let key = text(bytes)?;
                pairs.push((key, decode(bytes, depth + 1)?));
            }
            Json::object(pairs)
        }
        _ => return Err(damaged()),
    })
}
