//! Quoting, and `format`.

use super::string::append;
use super::table::Builder;
use super::{Kernel, Volatility, arg};
use crate::DataType::{Text, Unknown};
use crate::{EvalContext, SqlState, Value, ValueError};

/// An identifier as SQL would have to write it.
fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The key words that cannot be names without quotes (all but the unreserved ones).
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// A string as SQL would have to write it.
fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

fn printed(value: &Value, ctx: &EvalContext) -> String {
    let mut out = Vec::new();
    append(value, ctx, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// One `%` of a format.
struct Specifier {
    position: Option<usize>,
    left: bool,
    width: Option<Width>,
    conversion: char,
}

enum Width {
    Fixed(i64),
    /// The next argument, or one by its number.
    Argument(Option<usize>),
}

fn number(rest: &mut &str) -> Result<Option<i64>, ValueError> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 {
        return Ok(None);
    }
    let parsed: Result<i32, _> = rest[..end].parse();
    let v = parsed
        .map_err(|_| ValueError::new(SqlState::NumericValueOutOfRange, "number is out of range"))?;
    *rest = &rest[end..];
    Ok(Some(i64::from(v)))
}

fn argument_number(v: i64) -> Result<usize, ValueError> {
    let zero = "format specifies argument 0, but arguments are numbered from 1";
    usize::try_from(v).ok().filter(|v| *v > 0).ok_or_else(|| ValueError::invalid_parameter(zero))
}

fn specifier(rest: &mut &str) -> Result<Specifier, ValueError> {
    let unterminated = || {
        ValueError::invalid_parameter("unterminated format() type specifier")
            .with_hint("For a single \"%\" use \"%%\".")
    };
    let mut spec = Specifier { position: None, left: false, width: None, conversion: ' ' };
    if let Some(v) = number(rest)? {
        if let Some(after) = rest.strip_prefix('$') {
            *rest = after;
            spec.position = Some(argument_number(v)?);
        } else {
            spec.width = Some(Width::Fixed(v));
        }
    }
    if spec.width.is_none() {
        while let Some(after) = rest.strip_prefix('-') {
            spec.left = true;
            *rest = after;
        }
        if let Some(after) = rest.strip_prefix('*') {
            *rest = after;
            let position = number(rest)?;
            if let Some(v) = position {
                *rest = rest.strip_prefix('$').ok_or_else(|| {
                    ValueError::invalid_parameter("width argument position must be ended by \"$\"")
                })?;
                spec.width = Some(Width::Argument(Some(argument_number(v)?)));
            } else {
                spec.width = Some(Width::Argument(None));
            }
        } else if let Some(v) = number(rest)? {
            spec.width = Some(Width::Fixed(v));
        }
    }
    let mut chars = rest.chars();
    spec.conversion = chars.next().ok_or_else(unterminated)?;
    *rest = chars.as_str();
    Ok(spec)
}

pub(super) fn format(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let Value::Text(template) = &args[0] else { return Ok(Value::Null) };
    let too_few = || ValueError::invalid_parameter("too few arguments for format()");
    let mut out = String::new();
    let mut rest: &str = template;
    let mut next = 1;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let mut spec = specifier(&mut rest)?;
        let width = match spec.width {
            None => 0,
            Some(Width::Fixed(width)) => width,
            Some(Width::Argument(position)) => {
                let index = position.unwrap_or(next);
                next = index + 1;
                match args.get(index).ok_or_else(too_few)? {
                    Value::Null => 0,
                    value => printed(value, ctx)
                        .parse::<i32>()
                        .map(i64::from)
                        .map_err(|_| ValueError::invalid_syntax("integer", &printed(value, ctx)))?,
                }
            }
        };
        spec.left |= width < 0;
        if !matches!(spec.conversion, 's' | 'I' | 'L') {
            let message = format!("unrecognized format() type specifier \"{}\"", spec.conversion);
            return Err(
                ValueError::invalid_parameter(message).with_hint("For a single \"%\" use \"%%\".")
            );
        }
        let index = spec.position.unwrap_or(next);
        next = index + 1;
        let value = args.get(index).ok_or_else(too_few)?;
        let text = match (spec.conversion, value) {
            ('s', Value::Null) => String::new(),
            ('L', Value::Null) => "NULL".to_owned(),
            ('I', Value::Null) => {
                return Err(ValueError::new(
                    SqlState::NullValueNotAllowed,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            ('I', value) => quote_ident(&printed(value, ctx)),
            ('L', value) => quote_literal(&printed(value, ctx)),
            (_, value) => printed(value, ctx),
        };
        let width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        let missing = width.saturating_sub(text.chars().count());
        if missing > super::string::MAX_BYTES {
            return Err(super::string::too_long());
        }
        let padding = " ".repeat(missing);
        if spec.left {
            out.push_str(&text);
            out.push_str(&padding);
        } else {
            out.push_str(&padding);
            out.push_str(&text);
        }
    }
    out.push_str(rest);
    Ok(Value::text(out))
}

pub(super) fn add(t: &mut Builder) {
    t.add(
        "quote_ident",
        &[Text],
        Text,
        Kernel::Values(|args, _| Ok(Value::text(quote_ident(arg::text(args, 0)?)))),
    );
    t.add(
        "quote_literal",
        &[Text],
        Text,
        Kernel::Values(|args, _| Ok(Value::text(quote_literal(arg::text(args, 0)?)))),
    );
    t.stable(
        "quote_literal",
        &[Unknown],
        Text,
        Kernel::Values(|args, ctx| Ok(Value::text(quote_literal(&printed(&args[0], ctx))))),
    );
    for args in [&[Text], &[Unknown]] {
        let nullable = t.add(
            "quote_nullable",
            args,
            Text,
            Kernel::Values(|args, ctx| {
                Ok(match &args[0] {
                    Value::Null => Value::text("NULL"),
                    value => Value::text(quote_literal(&printed(value, ctx))),
                })
            }),
        );
        nullable.strict = false;
        nullable.volatility = Volatility::Stable;
    }
    for variadic in [None, Some(Unknown)] {
        let entry = t.add("format", &[Text], Text, Kernel::Values(format));
        entry.variadic = variadic;
        entry.strict = false;
        entry.volatility = Volatility::Stable;
    }
}
