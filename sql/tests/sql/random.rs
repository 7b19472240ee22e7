//! Garbage: an answer or an error, never a panic.

use driftdb_sql::parse;
use proptest::prelude::*;

use crate::catalog::bind_one;

fn survives(text: &str) {
    if let Ok(statements) = parse(text) {
        for statement in &statements {
            let position = bind_one(statement, None).err().and_then(|error| error.position);
            let end = text.chars().count() as u32 + 1;
            assert!(position.is_none_or(|position| (1..=end).contains(&position)), "{text}");
        }
    }
}

const WORDS: [&str; 102] = [
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "having",
    "limit",
    "t",
    "u",
    "a",
    "b",
    "c",
    "d",
    "t.a",
    "*",
    "t.*",
    "(",
    ")",
    ",",
    ";",
    "+",
    "-",
    "||",
    "=",
    "<>",
    "<",
    "and",
    "or",
    "not",
    "null",
    "1",
    "2.5",
    "'x'",
    "'1'",
    "$1",
    "$2",
    "::int",
    "::text",
    "count(*)",
    "sum(a)",
    "max(",
    "case",
    "when",
    "then",
    "else",
    "end",
    "in",
    "exists",
    "between",
    "symmetric",
    "like",
    "is",
    "distinct",
    "union",
    "all",
    "except",
    "join",
    "left join",
    "using (a)",
    "on",
    "natural",
    "lateral",
    "as",
    "x",
    "insert into t",
    "values",
    "default",
    "on conflict",
    "do nothing",
    "do update set",
    "update t set",
    "delete from t",
    "returning",
    "create table",
    "int",
    "primary key",
    "check",
    "with",
    "for update",
    "for system_time as of",
    "for system_time between",
    "for system_time from",
    "for system_time contained in",
    "for system_time all",
    "as of @seq:1",
    "as of system time",
    "system_op",
    "now()",
    "interval '1 day'",
    "copy t from stdin",
    "begin",
    "explain",
    "prepare p as",
    "execute p",
    "alter table t",
    "add column",
    "drop",
    "table",
    "generate_series(1,2)",
    "any",
    "current_date",
    "true",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn printable(text in "[ -~]{0,80}") {
        survives(&text);
    }

    #[test]
    fn words(words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..24)) {
        survives(&words.join(" "));
    }

    #[test]
    fn queries(words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..16)) {
        survives(&format!("select {} from t, u", words.join(" ")));
        survives(&format!("select a from t where {}", words.join(" ")));
    }
}
