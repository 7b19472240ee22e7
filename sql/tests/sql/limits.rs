//! Statements that would grow too deep a tree: an answer or a clean error, never the process's end.

use driftdb_sql::parse;
use driftdb_types::SqlState;

use crate::catalog::bind_one;

/// Binds on a stack as small as servers' threads have.
fn bounded(sql: &str) {
    let begin = &sql[..sql.len().min(60)];
    let parsed = match parse(sql) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert_eq!(error.state, SqlState::StatementTooComplex, "{begin}: {}", error.message);
            return;
        }
    };
    for statement in &parsed {
        if let Err(error) = bind_one(statement, None) {
            let clean = [SqlState::StatementTooComplex, SqlState::FeatureNotSupported];
            assert!(clean.contains(&error.state), "{begin}: {}", error.message);
        }
        let copy = statement.clone();
        drop(copy);
    }
}

fn chain(item: &str, separator: &str, count: usize) -> String {
    vec![item; count].join(separator)
}

#[test]
fn long_chains_work_or_fail_cleanly() {
    for count in [30, 400, 600, 5_000, 20_000] {
        bounded(&format!("select {}", chain("1", "+", count)));
        bounded(&format!("select {}", chain("'a'", "||", count)));
        bounded(&format!("select {}", chain("true", " and ", count)));
        bounded(&format!("select {}", chain("true", " or ", count)));
        bounded(&format!("select 1{}", "::int".repeat(count)));
        bounded(&format!("select 1 {}", "is null ".repeat(count)));
        bounded(&format!("select {}1", "- ".repeat(count)));
        bounded(&format!("select {}true", "not ".repeat(count)));
        bounded(&chain("select 1", " union ", count));
        bounded(&chain("select 1", " except all ", count));
        bounded(&chain("values (1)", " union all ", count));
        let joins: Vec<String> = (0..count).map(|i| format!("join t t{i} on true")).collect();
        bounded(&format!("select 1 from t {}", joins.join(" ")));
        bounded(&format!("select int{} '{{}}'", "[]".repeat(count)));
    }
}

#[test]
fn deep_nesting_works_or_fails_cleanly() {
    for count in [20, 200, 1_000, 10_000] {
        bounded(&format!("select {}1{}", "(".repeat(count), ")".repeat(count)));
        bounded(&format!("select {}1{}", "abs(".repeat(count), ")".repeat(count)));
        bounded(&format!("select {}1{}", "(select ".repeat(count), ")".repeat(count)));
        let subqueries = "select * from (".repeat(count);
        bounded(&format!("{subqueries}select 1{}", ") x".repeat(count)));
        bounded(&format!(
            "select {}1{}",
            "case when true then ".repeat(count),
            " end".repeat(count)
        ));
        bounded(&format!("{}select 1{}", "with a as (".repeat(count), ") select 1".repeat(count)));
    }
}

#[test]
fn wide_statements_are_not_deep() {
    let values = vec!["(1, -2 + 3)"; 5_000].join(", ");
    let parsed = parse(&format!("values {values}")).unwrap();
    bind_one(&parsed[0], None).unwrap();
    let parsed = parse(&format!("select {}", chain("true", " and ", 5_000))).unwrap();
    bind_one(&parsed[0], None).unwrap();
}

#[test]
fn texts_have_a_longest_length() {
    let error = parse(&" ".repeat((16 << 20) + 1)).unwrap_err();
    assert_eq!(error.state, SqlState::ProgramLimitExceeded);
}

#[test]
fn explain_and_prepare_do_not_nest() {
    for word in ["explain ", "prepare a as ", "explain prepare a as "] {
        let error = parse(&format!("{}select 1", word.repeat(5_000))).unwrap_err();
        assert_eq!(error.state, SqlState::SyntaxError, "{word}");
    }
    parse("prepare a as select 1").unwrap();
    parse("explain select 1").unwrap();
}
