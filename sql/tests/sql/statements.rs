//! Strings of statements: where they begin, what kind they are, what the session needs to know.

use driftdb_query::Statement;
use driftdb_sql::{BindContext, StatementKind, bind_check, bind_default, parse};
use driftdb_types::{DataType, EvalContext, Value};

use crate::catalog::{Fixture, bind_one, bind_text};
use crate::show;

#[test]
fn a_string_is_cut_at_its_semicolons() {
    let parsed = parse("select 1;; select ';' ; -- end\n").unwrap();
    let texts: Vec<_> = parsed.iter().map(|s| (s.text(), s.position())).collect();
    assert_eq!(texts, [("select 1", 1), ("select ';'", 12)]);
    assert!(parse(" ; -- nothing\n").unwrap().is_empty());
}

#[test]
fn positions_count_characters_in_the_whole_string() {
    let error = parse("select 'ö';\nselect frm t 1").unwrap_err();
    assert_eq!(
        (error.message.as_str(), error.position),
        ("syntax error at or near \"1\"", Some(26))
    );
    let parsed = parse("select 'ö';\nselect nope from t").unwrap();
    let error = bind_one(&parsed[1], None).unwrap_err();
    assert_eq!(error.position, Some(20));
}

#[test]
fn sessions_learn_what_they_need() {
    let of = |sql: &str| parse(sql).unwrap().remove(0);
    assert!(of("rollback to s").is_allowed_in_failed_transaction());
    assert!(of("commit").is_allowed_in_failed_transaction());
    assert!(!of("savepoint s").is_allowed_in_failed_transaction());
    assert!(!of("select 1").is_allowed_in_failed_transaction());
    assert!(of("begin").is_transaction_control());
    assert_eq!(of("values (1)").kind(), StatementKind::Query);
    assert_eq!(of("create table x as select 1").kind(), StatementKind::Definition);
    assert_eq!(of("with x as (select 1) insert into t select * from x").tag(), "INSERT");
    assert_eq!(of("copy t to stdout").kind(), StatementKind::Copy);
    assert!(of("select * from t for system_time as of now()").depends_on_time());
    assert!(!of("select * from t").depends_on_time());
    assert_eq!(of("select $3").parameter_count(), 3);
}

#[test]
fn a_time_that_is_a_parameter_waits_for_its_value() {
    let parsed = parse("select * from t for system_time as of $1").unwrap();
    let (now, types) = bind_one(&parsed[0], None).unwrap();
    assert_eq!(types, [DataType::Timestamptz]);
    assert_eq!(now.fields().unwrap().len(), 3);
    // 2023-01-01, when t had no column c.
    let then = Value::Timestamptz(725_846_400_000_000);
    let (past, _) = bind_one(&parsed[0], Some(&[then])).unwrap();
    assert_eq!(past.fields().unwrap().len(), 2);
}

#[test]
fn stored_expressions_bind_by_themselves() {
    let mut catalog = Fixture::new();
    let eval = EvalContext::default();
    let mut types = Vec::new();
    let mut cx = BindContext {
        catalog: &mut catalog,
        eval: &eval,
        param_types: &mut types,
        params: None,
        variables: None,
    };
    let table =
        driftdb_query::Catalog::table(cx.catalog, None, "t", driftdb_query::CatalogAt::Statement);
    let table = table.unwrap().unwrap();
    let default = bind_default("1 + 2", &table.columns[1], &mut cx).unwrap();
    assert_eq!(show::expr(&default), "(1 + 2)::A:text");
    let row: Vec<_> = (50..53).map(driftdb_query::ColId).collect();
    let check = bind_check("a > 0 and t.b <> ''", &table, &row, &mut cx).unwrap();
    assert_eq!(show::expr(&check), "and((#50 > 0), (#51 <> ''::text))");
    bind_check("a > $1", &table, &row, &mut cx).unwrap_err();
}

#[test]
fn declared_parameter_types_hold() {
    let parsed = parse("select $1 + 1").unwrap();
    let mut catalog = Fixture::new();
    let eval = EvalContext::default();
    let mut types = vec![DataType::Numeric];
    let mut cx = BindContext {
        catalog: &mut catalog,
        eval: &eval,
        param_types: &mut types,
        params: None,
        variables: None,
    };
    let Statement::Query(query) = driftdb_sql::bind(&parsed[0], &mut cx).unwrap() else {
        panic!("a query")
    };
    assert_eq!(query.fields[0].ty, DataType::Numeric);
    assert_eq!(bind_text("select $1 + 1").unwrap().1, [DataType::Int4]);
}
