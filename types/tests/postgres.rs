//! Replays what a PostgreSQL 15 server answered (`postgres/generate.py`, `postgres/generate_regexp.py`)
//! and wants the same answers.
//!
//! A case names an input function, an operator, a function, a cast or an aggregate. Results are compared
//! as text, errors by SQLSTATE and message. `postgres/known.tsv` lists the cases where we differ, each
//! with the reason: a case there that begins to agree fails the test, so that the list stays true.

#[path = "postgres/fuzz.rs"]
mod fuzz;

use std::collections::BTreeSet;

use driftdb_types::{
    CastContext, DataType, EvalContext, TimeZone, Value, ValueError, accumulator, cast, function,
    make_typmod, parse_text, resolve_aggregate, resolve_function, resolve_operator, write_text,
};

struct Case<'a> {
    kind: &'a str,
    name: &'a str,
    expected: String,
    args: Vec<(DataType, Option<String>)>,
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('b')) => out.push('\x08'),
            ('\\', Some('f')) => out.push('\x0c'),
            ('\\', Some('v')) => out.push('\x0b'),
            ('\\', Some(other)) => out.push(other),
            _ => out.push(c),
        }
    }
    out
}

fn parse(line: &str) -> Case<'_> {
    let mut fields = line.split('\t');
    let mut next = || fields.next().expect("a field");
    let (kind, name, expected) = (next(), next(), unescape(next()));
    let rest: Vec<&str> = fields.collect();
    let arg = |pair: &[&str]| {
        let ty = DataType::from_name(pair[0]).expect("a type");
        (ty, if pair[1] == "\\N" { None } else { Some(unescape(pair[1])) })
    };
    Case { kind, name, expected, args: rest.chunks(2).map(arg).collect() }
}

fn value(arg: &(DataType, Option<String>), ctx: &EvalContext) -> Result<Value, ValueError> {
    arg.1.as_ref().map_or(Ok(Value::Null), |text| parse_text(arg.0, -1, text, ctx))
}

fn show(value: &Value, ty: DataType, ctx: &EvalContext) -> Result<String, ValueError> {
    Ok(match value {
        Value::Null => "NULL".to_owned(),
        // What `::text` prints.
        _ if ty == DataType::Bpchar => {
            let text = cast(value.clone(), ty, DataType::Text, -1, CastContext::Explicit, ctx)?;
            text.as_str().unwrap_or_default().to_owned()
        }
        Value::Bool(v) => v.to_string(),
        _ => {
            let mut out = Vec::new();
            write_text(value, ty, ctx, &mut out);
            String::from_utf8(out).expect("text")
        }
    })
}

fn answer(case: &Case<'_>, ctx: &EvalContext) -> Result<String, ValueError> {
    let types: Vec<DataType> = case.args.iter().map(|arg| arg.0).collect();
    match case.kind {
        "in" => show(&value(&case.args[0], ctx)?, types[0], ctx),
        "op" | "fn" => {
            let resolved = match (case.kind, &types[..]) {
                ("op", [right]) => resolve_operator(case.name, None, Some(*right))?,
                ("op", [left, right]) => resolve_operator(case.name, Some(*left), Some(*right))?,
                _ => resolve_function(case.name, &types)?,
            };
            let mut values = Vec::new();
            for (arg, to) in case.args.iter().zip(&resolved.arg_types) {
                let context = CastContext::Implicit;
                values.push(cast(value(arg, ctx)?, arg.0, *to, -1, context, ctx)?);
            }
            let result = function(resolved.id).eval_as(resolved.result, &values, ctx)?;
            show(&result, resolved.result, ctx)
        }
        "cast" => {
            let (name, suffix) = match case.name.strip_suffix("[]") {
                Some(element) => (element, "[]"),
                None => (case.name, ""),
            };
            let (base, modifiers) = name.split_once('(').unwrap_or((name, ""));
            let modifiers: Vec<i64> = modifiers
                .trim_end_matches(')')
                .split(',')
                .filter_map(|modifier| modifier.parse().ok())
                .collect();
            let to = DataType::from_name(&format!("{base}{suffix}")).expect("a type");
            let typmod = make_typmod(to, &modifiers)?;
            let from = value(&case.args[0], ctx)?;
            let result = cast(from, types[0], to, typmod, CastContext::Explicit, ctx)?;
            show(&result, to, ctx)
        }
        "agg" => {
            let resolved =
                resolve_aggregate(case.name, &types[..1], false).expect("an aggregate")?;
            let mut state = accumulator(resolved.id, &resolved.arg_types);
            for arg in &case.args {
                state.update(&[value(arg, ctx)?])?;
            }
            show(&state.finish()?, resolved.result, ctx)
        }
        other => panic!("unknown kind {other}"),
    }
}

#[test]
fn the_answers_are_those_of_postgresql() {
    let ctx = EvalContext {
        time_zone: TimeZone::parse("America/New_York").expect("a zone"),
        ..EvalContext::default()
    };
    let key = |line: &str| {
        let mut fields: Vec<&str> = line.split('\t').collect();
        fields.remove(2);
        fields.join("\t")
    };
    let known: BTreeSet<&str> = include_str!("postgres/known.tsv")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    let mut wrong = Vec::new();
    let cases = [include_str!("postgres/cases.tsv"), include_str!("postgres/regexp.tsv")];
    for line in cases.into_iter().flat_map(str::lines) {
        let case = parse(line);
        let got = match answer(&case, &ctx) {
            Ok(text) => format!("ok {text}"),
            Err(error) => format!("error {} {}", error.state.code(), error.message),
        };
        let differs = got != case.expected;
        if differs != known.contains(key(line).as_str()) {
            wrong.push(format!("{}\n    want {}\n    got  {got}", key(line), case.expected));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}
