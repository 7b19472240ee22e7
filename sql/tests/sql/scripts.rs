//! Golden scripts: lines that begin with `> ` are statements, the line after is what becomes of them.

use driftdb_query::SqlError;

use crate::{catalog, show};

/// What a text becomes: the bound statement, or the error, on one line.
pub(crate) fn outcome(sql: &str) -> String {
    match catalog::bind_text(sql) {
        Ok((statement, params)) => {
            let shown = show::statement(&statement).replace('\n', "\\n");
            if params.is_empty() {
                return shown;
            }
            let names: Vec<&str> = params.iter().map(|ty| ty.name()).collect();
            format!("({}) {shown}", names.join(", "))
        }
        Err(error) => failure(&error),
    }
}

fn failure(error: &SqlError) -> String {
    let position = error.position.map_or(String::new(), |position| format!("@{position}"));
    let detail = error.detail.as_ref().map_or(String::new(), |d| format!(" DETAIL {d}"));
    let hint = error.hint.as_ref().map_or(String::new(), |h| format!(" HINT {h}"));
    format!("! {}{position} {}{detail}{hint}", error.state.code(), error.message)
}

fn check(name: &str, script: &str) {
    let mut expected = script.lines().peekable();
    let mut actual = String::new();
    while let Some(line) = expected.next() {
        actual.push_str(line);
        actual.push('\n');
        if let Some(sql) = line.strip_prefix("> ") {
            expected.next_if(|line| !line.is_empty() && !line.starts_with("> "));
            actual.push_str(&outcome(sql));
            actual.push('\n');
        }
    }
    if std::env::var_os("DRIFTDB_GOLDEN").is_some_and(|value| value == "rewrite") {
        let path = format!("{}/tests/scripts/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        #[expect(clippy::disallowed_methods, reason = "the golden file is the test's own source")]
        std::fs::write(path, actual).expect("the script can be written");
        return;
    }
    for (line, (actual, expected)) in actual.lines().zip(script.lines()).enumerate() {
        assert_eq!(actual, expected, "{name}.txt, line {}", line + 1);
    }
    assert_eq!(actual.lines().count(), script.lines().count(), "{name}.txt");
}

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), include_str!(concat!("../scripts/", stringify!($name), ".txt")));
        })*
    };
}

scripts!(expressions, queries, grouping, joins, changes, definitions, time_travel, utility, errors);
