//! Writing JSON.

use super::Json;

/// Appends a string in quotes, with escapes.
pub(crate) fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'\x08' => out.extend(b"\\b"),
            b'\x0c' => out.extend(b"\\f"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            b'"' => out.extend(b"\\\""),
            b'\\' => out.extend(b"\\\\"),
            0..=0x1f => out.extend(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn write_scalar(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::String(text) => write_quoted(text, out),
        Json::Number(number) => number.write(out),
        Json::Bool(true) => out.extend(b"true"),
        Json::Bool(false) => out.extend(b"false"),
        _ => out.extend(b"null"),
    }
}

/// Appends a value as `jsonb` is printed: with a blank after each comma and colon.
pub(crate) fn write_json(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.extend(b", ");
                }
                write_json(item, out);
            }
            out.push(b']');
        }
        Json::Object(pairs) => {
            out.push(b'{');
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.extend(b", ");
                }
                write_quoted(key, out);
                out.extend(b": ");
                write_json(value, out);
            }
            out.push(b'}');
        }
        scalar => write_scalar(scalar, out),
    }
}

/// Appends a value over several lines (`jsonb_pretty`).
pub(crate) fn write_pretty(json: &Json, indent: usize, out: &mut Vec<u8>) {
    let line = |indent: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', indent * 4));
    };
    match json {
        Json::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                line(indent + 1, out);
                write_pretty(item, indent + 1, out);
            }
            line(indent, out);
            out.push(b']');
        }
        Json::Object(pairs) => {
            out.push(b'{');
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                line(indent + 1, out);
                write_quoted(key, out);
                out.extend(b": ");
                write_pretty(value, indent + 1, out);
            }
            line(indent, out);
            out.push(b'}');
        }
        scalar => write_scalar(scalar, out),
    }
}
