//! What parses, to what, and what does not.

use super::*;
use crate::ast::{Declared, Kind as K, Source, TypeText};

fn one(text: &str) -> K {
    let mut program = parse(&format!("BEGIN {text} END")).unwrap();
    assert_eq!(program.block.body.len(), 1, "{text}");
    program.block.body.remove(0).kind
}

fn fails(text: &str) -> String {
    parse(text).unwrap_err().message
}

#[test]
fn assignments_are_told_from_statements() {
    assert!(matches!(one("x := 1;"), K::Assign { .. }));
    assert!(matches!(one("r.a[1] = 2;"), K::Assign { target, .. }
        if target.names == ["r", "a"] && target.subscripts.len() == 1));
    assert!(matches!(one("update t set x = 1;"), K::Execute { into: None, .. }));
}

#[test]
fn into_is_cut_out() {
    let K::Execute { sql, into: Some(into) } = one("select a, b into strict x, y from t;") else {
        panic!()
    };
    assert_eq!(sql.text.split_whitespace().collect::<Vec<_>>().join(" "), "select a, b from t");
    assert!(into.strict);
    assert_eq!(into.targets.len(), 2);
    assert!(matches!(
        one("insert into t values (1) returning a into x;"),
        K::Execute { into: Some(_), .. }
    ));
    assert!(matches!(one("insert into t values (1);"), K::Execute { into: None, .. }));
}

#[test]
fn loops_are_told_apart() {
    assert!(matches!(
        one("for i in reverse 10..1 by 2 loop null; end loop;"),
        K::ForInteger { reverse: true, step: Some(_), .. }
    ));
    assert!(matches!(
        one("for r in select 1 loop null; end loop;"),
        K::ForQuery { source: Source::Query(_), .. }
    ));
    assert!(matches!(one("for r in execute 'x' using 1, 2 loop null; end loop;"),
        K::ForQuery { source: Source::Dynamic { using, .. }, .. } if using.len() == 2));
    assert!(matches!(one("for r in c(1, b := 2) loop null; end loop;"),
        K::ForCursor { args, .. } if args.len() == 2));
    assert!(matches!(
        one("foreach x slice 1 in array a loop null; end loop;"),
        K::Foreach { slice: 1, .. }
    ));
}

#[test]
fn declarations_have_types_and_defaults() {
    let program = parse(
        "DECLARE a int := 1; b t.c%TYPE; c t%ROWTYPE; d record; e alias for $1; \
         f cursor (x int) for select x; g constant numeric(10,2) not null default 3; BEGIN END",
    )
    .unwrap();
    let found: Vec<&Declared> = program.block.declarations.iter().map(|one| &one.what).collect();
    assert!(matches!(found[0], Declared::Variable { default: Some(_), .. }));
    assert!(matches!(found[1], Declared::Variable { ty: TypeText::Like(_), .. }));
    assert!(matches!(found[2], Declared::Variable { ty: TypeText::RowOf(_), .. }));
    assert!(matches!(found[3], Declared::Variable { ty: TypeText::Record, .. }));
    assert!(matches!(found[4], Declared::Alias(names) if names == &["$1"]));
    assert!(matches!(found[5], Declared::Cursor { args, .. } if args.len() == 1));
    assert!(matches!(found[6],
        Declared::Variable { constant: true, not_null: true, ty: TypeText::Name(name), .. }
        if name == "numeric(10,2)"));
}

#[test]
fn what_is_wrong_is_named() {
    assert_eq!(fails("BEGIN IF x THEN NULL; END"), "syntax error at end of input");
    assert_eq!(fails("BEGIN IF x THEN NULL; END; END"), "syntax error at or near \";\"");
    assert_eq!(fails("BEGIN RAISE NOTICE '%'; END"), "too few parameters specified for RAISE");
    assert_eq!(fails("DECLARE a int; a int; BEGIN END"), "duplicate declaration at or near \"a\"");
    assert_eq!(
        fails("BEGIN NULL; EXCEPTION WHEN nonsense THEN NULL; END"),
        "unrecognized exception condition \"nonsense\""
    );
    assert_eq!(fails("<<a>> BEGIN END b"), "end label \"b\" differs from block's label \"a\"");
    assert_eq!(fails(&"BEGIN ".repeat(5000)), "statements of the function are nested too deeply");
    assert_eq!(fails(""), "syntax error at end of input");
}
