//! Which function or operator a call means, and what the errors say.

use DataType as T;
use driftdb_types::{
    CastContext, DataType, EvalContext, Value, can_cast, cast, common_type, function, functions,
    make_typmod, resolve_aggregate, resolve_function, resolve_operator,
};

fn operator(left: T, name: &str, right: T) -> String {
    match resolve_operator(name, Some(left), Some(right)) {
        Ok(found) => {
            let args: Vec<&str> = found.arg_types.iter().map(|ty| ty.name()).collect();
            format!("{} > {}", args.join(" "), found.result.name())
        }
        Err(error) => format!("{} {}", error.state.code(), error.message),
    }
}

#[test]
fn operators_resolve_as_in_postgresql() {
    let cases = [
        (T::Int4, "+", T::Int8, "int4 int8 > int8"),
        (T::Int4, "+", T::Numeric, "numeric numeric > numeric"),
        (T::Int4, "+", T::Float8, "float8 float8 > float8"),
        (T::Numeric, "+", T::Float8, "float8 float8 > float8"),
        (T::Int4, "=", T::Unknown, "int4 int4 > bool"),
        (T::Unknown, "=", T::Unknown, "text text > bool"),
        (T::Varchar, "=", T::Unknown, "text text > bool"),
        (T::Varchar, "=", T::Varchar, "text text > bool"),
        (T::Bpchar, "=", T::Unknown, "bpchar bpchar > bool"),
        (T::Bpchar, "=", T::Varchar, "bpchar bpchar > bool"),
        (T::Bpchar, "=", T::Text, "text text > bool"),
        (T::Name, "=", T::Unknown, "name name > bool"),
        (T::Text, "||", T::Int4, "text text > text"),
        (T::Unknown, "||", T::Unknown, "text text > text"),
        (T::Unknown, "||", T::Int4, "text text > text"),
        (T::Varchar, "||", T::Unknown, "text text > text"),
        (T::Date, "+", T::Int4, "date int4 > date"),
        (T::Date, "-", T::Unknown, "date date > int4"),
        (T::Date, "+", T::Unknown, "42725 operator is not unique: date + unknown"),
        (T::Timestamp, "-", T::Unknown, "timestamp timestamp > interval"),
        (T::Timestamptz, "+", T::Interval, "timestamptz interval > timestamptz"),
        (T::Interval, "*", T::Int4, "interval float8 > interval"),
        (T::Text, "~~", T::Unknown, "text text > bool"),
        (T::Oid, "=", T::Int4, "oid oid > bool"),
        (T::Int4, "+", T::Bool, "42883 operator does not exist: integer + boolean"),
        (T::Unknown, "+", T::Unknown, "42725 operator is not unique: unknown + unknown"),
        (T::Text, "=", T::Int4, "42883 operator does not exist: text = integer"),
        (T::Int4, "!=", T::Int4, "int4 int4 > bool"),
    ];
    let wrong: Vec<String> = cases
        .into_iter()
        .filter(|(left, name, right, expected)| operator(*left, name, *right) != *expected)
        .map(|(left, name, right, expected)| {
            format!("{left} {name} {right}: {} not {expected}", operator(left, name, right))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn call(name: &str, args: &[T]) -> String {
    match resolve_function(name, args) {
        Ok(found) => {
            let args: Vec<&str> = found.arg_types.iter().map(|ty| ty.name()).collect();
            format!("{} > {}", args.join(" "), found.result.name())
        }
        Err(error) => format!("{} {}", error.state.code(), error.message),
    }
}

#[test]
fn functions_resolve_as_in_postgresql() {
    let cases: [(&str, &[T], &str); 20] = [
        ("abs", &[T::Int4], "int4 > int4"),
        ("abs", &[T::Unknown], "float8 > float8"),
        ("round", &[T::Int4], "float8 > float8"),
        ("round", &[T::Numeric], "numeric > numeric"),
        (
            "round",
            &[T::Float8, T::Int4],
            "42883 function round(double precision, integer) does not exist",
        ),
        ("sqrt", &[T::Int4], "float8 > float8"),
        ("length", &[T::Varchar], "text > int4"),
        ("length", &[T::Bpchar], "bpchar > int4"),
        ("length", &[T::Unknown], "text > int4"),
        ("lower", &[T::Bpchar], "text > text"),
        ("concat", &[T::Int4, T::Unknown, T::Date], "int4 text date > text"),
        ("format", &[T::Unknown], "text > text"),
        ("date", &[T::Unknown], "text > date"),
        ("int4", &[T::Numeric], "numeric > int4"),
        ("now", &[], " > timestamptz"),
        ("date_trunc", &[T::Unknown, T::Date], "text timestamptz > timestamptz"),
        ("extract", &[T::Unknown, T::Date], "text date > numeric"),
        ("substring", &[T::Unknown, T::Int4], "text int4 > text"),
        ("nosuch", &[T::Int4], "42883 function nosuch(integer) does not exist"),
        ("mod", &[T::Int4, T::Int8], "int8 int8 > int8"),
    ];
    let wrong: Vec<String> = cases
        .into_iter()
        .filter(|(name, args, expected)| call(name, args) != *expected)
        .map(|(name, args, expected)| format!("{name}: {} not {expected}", call(name, args)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let hint = resolve_function("nosuch", &[]).unwrap_err().hint.unwrap();
    assert!(hint.starts_with("No function matches the given name and argument types."));
}

#[test]
fn aggregates_resolve() {
    assert!(resolve_aggregate("lower", &[T::Text], false).is_none());
    let of = |name, args: &[T], star| resolve_aggregate(name, args, star).unwrap();
    assert_eq!(of("count", &[], true).unwrap().result, T::Int8);
    assert_eq!(of("count", &[T::Date], false).unwrap().arg_types, [T::Date]);
    assert_eq!(of("sum", &[T::Int4], false).unwrap().result, T::Int8);
    assert_eq!(of("max", &[T::Varchar], false).unwrap().result, T::Text);
    assert_eq!(of("min", &[T::Unknown], false).unwrap().result, T::Text);
    let error = of("sum", &[T::Text], false).unwrap_err();
    assert_eq!(error.message, "function sum(text) does not exist");
    assert_eq!(of("string_agg", &[T::Text, T::Unknown], false).unwrap().result, T::Text);
}

#[test]
fn common_types_are_chosen_as_in_postgresql() {
    assert_eq!(common_type(&[T::Unknown, T::Unknown]), Ok(T::Text));
    assert_eq!(common_type(&[T::Int4, T::Unknown, T::Numeric]), Ok(T::Numeric));
    assert_eq!(common_type(&[T::Numeric, T::Float8, T::Int2]), Ok(T::Float8));
    assert_eq!(common_type(&[T::Varchar, T::Text]), Ok(T::Varchar));
    assert_eq!(common_type(&[T::Date, T::Timestamptz]), Ok(T::Timestamptz));
    let error = common_type(&[T::Int4, T::Text]).unwrap_err().error("UNION");
    assert_eq!(error.message, "UNION types integer and text cannot be matched");
    assert_eq!(error.state.code(), "42804");
}

#[test]
fn lengths_are_strict_on_assignment_and_cut_when_asked() {
    let ctx = EvalContext::default();
    let typmod = make_typmod(T::Varchar, &[3]).unwrap();
    let to =
        |text: &str, context| cast(Value::text(text), T::Text, T::Varchar, typmod, context, &ctx);
    assert_eq!(to("abcd", CastContext::Explicit), Ok(Value::text("abc")));
    assert_eq!(to("abc  ", CastContext::Assignment), Ok(Value::text("abc")));
    let error = to("abcd", CastContext::Assignment).unwrap_err();
    assert_eq!(error.message, "value too long for type character varying(3)");
    assert_eq!(error.state.code(), "22001");
    assert!(can_cast(T::Int4, T::Text, CastContext::Assignment));
    assert!(!can_cast(T::Int4, T::Text, CastContext::Implicit));
    assert!(!can_cast(T::Text, T::Int4, CastContext::Assignment));
    let error =
        cast(Value::Int4(1), T::Int4, T::Date, -1, CastContext::Explicit, &ctx).unwrap_err();
    assert_eq!(error.message, "cannot cast type integer to date");
}

#[test]
fn the_table_is_consistent() {
    for entry in functions() {
        assert_eq!(function(entry.id).name, entry.name);
        let same = functions()
            .filter(|other| {
                other.name == entry.name
                    && other.args == entry.args
                    && other.variadic == entry.variadic
            })
            .count();
        assert_eq!(same, 1, "{} {:?} is defined {same} times", entry.name, entry.args);
    }
}

#[test]
fn null_goes_in_null_comes_out() {
    let ctx = EvalContext::default();
    let plus = resolve_operator("+", Some(T::Int4), Some(T::Int4)).unwrap();
    let result = function(plus.id).eval(&[Value::Null, Value::Int4(1)], &ctx);
    assert_eq!(result, Ok(Value::Null));
    let concat = resolve_function("concat", &[T::Text, T::Int4]).unwrap();
    let result = function(concat.id).eval(&[Value::Null, Value::Int4(1)], &ctx);
    assert_eq!(result, Ok(Value::text("1")));
}
