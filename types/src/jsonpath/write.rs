//! Printing paths (`printJsonPathItem`).

use super::{JsonPath, Kind, Node, Operator};
use crate::json::write_quoted;

/// Appends a path.
pub(crate) fn write_path(path: &JsonPath, out: &mut Vec<u8>) {
    if path.strict {
        out.extend(b"strict ");
    }
    write(&path.root, false, true, out);
}

/// How tightly a kind binds.
fn priority(kind: &Kind) -> u8 {
    match kind {
        Kind::Or(..) => 0,
        Kind::And(..) => 1,
        Kind::Compare(..) | Kind::StartsWith(..) => 2,
        Kind::Arithmetic(Operator::Add | Operator::Sub, ..) => 3,
        Kind::Arithmetic(..) => 4,
        Kind::Plus(_) | Kind::Minus(_) => 5,
        _ => 6,
    }
}

fn binary(node: &Node, sides: (&Node, &Node), symbol: &str, brackets: bool, out: &mut Vec<u8>) {
    let own = priority(&node.kind);
    if brackets {
        out.push(b'(');
    }
    write(sides.0, false, priority(&sides.0.kind) <= own, out);
    out.extend(format!(" {symbol} ").as_bytes());
    write(sides.1, false, priority(&sides.1.kind) <= own, out);
    if brackets {
        out.push(b')');
    }
}

fn level(level: Option<u32>) -> String {
    level.map_or("last".to_owned(), |level| level.to_string())
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
fn write(node: &Node, in_key: bool, brackets: bool, out: &mut Vec<u8>) {
    let open = |out: &mut Vec<u8>, text: &[u8]| {
        if brackets {
            out.extend(text);
        }
    };
    match &node.kind {
        Kind::Null => out.extend(b"null"),
        Kind::Bool(v) => out.extend(if *v { &b"true"[..] } else { b"false" }),
        Kind::Number(number) => number.write(out),
        Kind::String(text) => write_quoted(text, out),
        Kind::Variable(name) => {
            out.push(b'$');
            write_quoted(name, out);
        }
        Kind::Root => out.push(b'$'),
        Kind::Current => out.push(b'@'),
        Kind::Last => out.extend(b"last"),
        Kind::Key(key) => {
            if in_key {
                out.push(b'.');
            }
            write_quoted(key, out);
        }
        Kind::AnyKey => out.extend(if in_key { &b".*"[..] } else { b"*" }),
        Kind::AnyArray => out.extend(b"[*]"),
        Kind::Index(ranges) => {
            out.push(b'[');
            for (index, (from, to)) in ranges.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(from, false, false, out);
                if let Some(to) = to {
                    out.extend(b" to ");
                    write(to, false, false, out);
                }
            }
            out.push(b']');
        }
        Kind::Any(from, to) => {
            if in_key {
                out.push(b'.');
            }
            match (from, to) {
                (Some(0), None) => out.extend(b"**"),
                (from, to) if from == to => {
                    out.extend(format!("**{{{}}}", level(*from)).as_bytes());
                }
                (from, to) => {
                    out.extend(format!("**{{{} to {}}}", level(*from), level(*to)).as_bytes());
                }
            }
        }
        Kind::Filter(condition) => {
            out.extend(b"?(");
            write(condition, false, false, out);
            out.push(b')');
        }
        Kind::And(left, right) => binary(node, (left, right), "&&", brackets, out),
        Kind::Or(left, right) => binary(node, (left, right), "||", brackets, out),
        Kind::Compare(comparator, left, right) => {
            binary(node, (left, right), comparator.symbol(), brackets, out);
        }
        Kind::Arithmetic(operator, left, right) => {
            binary(node, (left, right), operator.symbol(), brackets, out);
        }
        Kind::Not(operand) => {
            out.extend(b"!(");
            write(operand, false, false, out);
            out.push(b')');
        }
        Kind::IsUnknown(operand) => {
            out.push(b'(');
            write(operand, false, false, out);
            out.extend(b") is unknown");
        }
        Kind::Exists(operand) => {
            out.extend(b"exists (");
            write(operand, false, false, out);
            out.push(b')');
        }
        Kind::StartsWith(left, right) => {
            open(out, b"(");
            write(left, false, false, out);
            out.extend(b" starts with ");
            write(right, false, false, out);
            open(out, b")");
        }
        Kind::LikeRegex(operand, pattern, flags) => {
            open(out, b"(");
            write(operand, false, false, out);
            out.extend(b" like_regex ");
            write_quoted(pattern, out);
            if !flags.is_empty() {
                out.extend(format!(" flag \"{flags}\"").as_bytes());
            }
            open(out, b")");
        }
        Kind::Plus(operand) | Kind::Minus(operand) => {
            open(out, b"(");
            out.push(if matches!(node.kind, Kind::Plus(_)) { b'+' } else { b'-' });
            write(operand, false, priority(&operand.kind) <= priority(&node.kind), out);
            open(out, b")");
        }
        Kind::Method(method) => out.extend(format!(".{}()", method.name()).as_bytes()),
        Kind::Datetime(template) => {
            out.extend(b".datetime(");
            if let Some(template) = template {
                write_quoted(template, out);
            }
            out.push(b')');
        }
    }
    if let Some(next) = &node.next {
        write(next, true, true, out);
    }
}
