//! Functions of `bytea`, and its printable encodings.

use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::{Bytea, Int4, Name, Text};
use crate::io::plain::{parse_hex, write_bytea, write_hex};
use crate::{ByteaOutput, EvalContext, SqlState, Value, ValueError};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    let mut column = 0;
    for chunk in bytes.chunks(3) {
        // MIME: lines of 76 characters.
        if column == 76 {
            out.push('\n');
            column = 0;
        }
        column += 4;
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            if index <= chunk.len() {
                out.push(char::from(BASE64[(word >> (18 - index * 6)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn decode_base64(text: &str) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut count, mut padding) = (0u32, 0, 0);
    for c in text.chars() {
        if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        }
        let digit = if c == '=' {
            if count < 2 {
                let message = "unexpected \"=\" while decoding base64 sequence";
                return Err(ValueError::invalid_parameter(message));
            }
            padding += 1;
            0
        } else {
            let digit = BASE64.iter().position(|known| char::from(*known) == c);
            match digit {
                Some(digit) if padding == 0 => digit as u32,
                _ => {
                    let message =
                        format!("invalid symbol \"{c}\" found while decoding base64 sequence");
                    return Err(ValueError::invalid_parameter(message));
                }
            }
        };
        word = word << 6 | digit;
        count += 1;
        if count == 4 {
            let bytes = word.to_be_bytes();
            out.extend(&bytes[1..4 - padding.min(2)]);
            (word, count) = (0, 0);
        }
    }
    if count != 0 {
        return Err(ValueError::invalid_parameter("invalid base64 end sequence")
            .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

fn encode(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let bytes = arg::bytes(args, 0)?;
    let format = arg::text(args, 1)?;
    match format.to_ascii_lowercase().as_str() {
        "base64" => Ok(Value::text(encode_base64(bytes))),
        "hex" => {
            let mut out = Vec::with_capacity(bytes.len() * 2);
            write_hex(bytes, &mut out);
            Ok(super::string::into_text(out))
        }
        "escape" => {
            let mut out = Vec::with_capacity(bytes.len());
            for byte in bytes {
                match byte {
                    b'\\' => out.extend(b"\\\\"),
                    0 | 0x80.. => write_bytea(&[*byte], ByteaOutput::Escape, &mut out),
                    _ => out.push(*byte),
                }
            }
            Ok(super::string::into_text(out))
        }
        _ => Err(unrecognized(format)),
    }
}

fn unrecognized(format: &str) -> ValueError {
    ValueError::invalid_parameter(format!("unrecognized encoding: \"{format}\""))
}

fn decode(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let text = arg::text(args, 0)?;
    let format = arg::text(args, 1)?;
    match format.to_ascii_lowercase().as_str() {
        "base64" => Ok(Value::Bytea(decode_base64(text)?.into())),
        "hex" => Ok(Value::Bytea(parse_hex(text)?.into())),
        "escape" => crate::parse_text(Bytea, -1, text, ctx),
        _ => Err(unrecognized(format)),
    }
}

fn is_utf8(encoding: &str) -> bool {
    matches!(encoding.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode")
}

fn unknown_encoding(encoding: &str, which: &str) -> ValueError {
    let message = format!("invalid {which} encoding name \"{encoding}\"");
    ValueError::invalid_parameter(message)
}

/// The bytes from `start` (counting from 1), `length` of them or all.
pub(super) fn substring(
    bytes: &[u8],
    start: i64,
    length: Option<i64>,
) -> Result<&[u8], ValueError> {
    let end = match length {
        Some(length) if length < 0 => {
            let message = "negative substring length not allowed";
            return Err(ValueError::new(SqlState::SubstringError, message));
        }
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let clamp = |v: i64| usize::try_from(v.max(1) - 1).unwrap_or(usize::MAX).min(bytes.len());
    let (from, to) = (clamp(start), clamp(end));
    Ok(if from < to { &bytes[from..to] } else { &[] })
}

fn byte_index(args: &[Value]) -> Result<usize, ValueError> {
    let (bytes, index) = (arg::bytes(args, 0)?, arg::int(args, 1)?);
    usize::try_from(index).ok().filter(|index| *index < bytes.len()).ok_or_else(|| {
        let message = format!("index {index} out of valid range, 0..{}", bytes.len() as i64 - 1);
        ValueError::new(SqlState::ArraySubscriptError, message)
    })
}

pub(super) fn add(t: &mut Builder) {
    for name in ["length", "octet_length"] {
        t.add(
            name,
            &[Bytea],
            Int4,
            Kernel::Values(|args, _| Value::from_int(Int4, arg::bytes(args, 0)?.len() as i64)),
        );
    }
    t.add(
        "bit_length",
        &[Bytea],
        Int4,
        Kernel::Values(|args, _| Value::from_int(Int4, arg::bytes(args, 0)?.len() as i64 * 8)),
    );
    t.add("encode", &[Bytea, Text], Text, Kernel::Values(encode));
    t.add("decode", &[Text, Text], Bytea, Kernel::Values(decode));
    t.add(
        "convert_from",
        &[Bytea, Name],
        Text,
        Kernel::Values(|args, _| {
            let encoding = arg::text(args, 1)?;
            if !is_utf8(encoding) {
                return Err(unknown_encoding(encoding, "source"));
            }
            crate::parse_binary(Text, -1, arg::bytes(args, 0)?)
        }),
    );
    t.add(
        "convert_to",
        &[Text, Name],
        Bytea,
        Kernel::Values(|args, _| {
            let encoding = arg::text(args, 1)?;
            if !is_utf8(encoding) {
                return Err(unknown_encoding(encoding, "destination"));
            }
            Ok(Value::Bytea(arg::text(args, 0)?.as_bytes().into()))
        }),
    );
    for name in ["substr", "substring"] {
        t.add(
            name,
            &[Bytea, Int4],
            Bytea,
            Kernel::Values(|args, _| {
                let bytes = substring(arg::bytes(args, 0)?, arg::int(args, 1)?, None)?;
                Ok(Value::Bytea(bytes.into()))
            }),
        );
        t.add(
            name,
            &[Bytea, Int4, Int4],
            Bytea,
            Kernel::Values(|args, _| {
                let length = Some(arg::int(args, 2)?);
                let bytes = substring(arg::bytes(args, 0)?, arg::int(args, 1)?, length)?;
                Ok(Value::Bytea(bytes.into()))
            }),
        );
    }
    t.add(
        "position",
        &[Bytea, Bytea],
        Int4,
        Kernel::Values(|args, _| {
            let (bytes, part) = (arg::bytes(args, 0)?, arg::bytes(args, 1)?);
            if part.is_empty() {
                return Ok(Value::Int4(1));
            }
            let at = bytes.windows(part.len()).position(|window| window == part);
            Value::from_int(Int4, at.map_or(0, |at| at as i64 + 1))
        }),
    );
    t.add(
        "get_byte",
        &[Bytea, Int4],
        Int4,
        Kernel::Values(|args, _| {
            let index = byte_index(args)?;
            Ok(Value::Int4(i32::from(arg::bytes(args, 0)?[index])))
        }),
    );
    t.add(
        "set_byte",
        &[Bytea, Int4, Int4],
        Bytea,
        Kernel::Values(|args, _| {
            let index = byte_index(args)?;
            let mut bytes = arg::bytes(args, 0)?.to_vec();
            bytes[index] = arg::int(args, 2)? as u8;
            Ok(Value::Bytea(bytes.into()))
        }),
    );
}
