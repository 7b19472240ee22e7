//! The interpreter over a host that knows sums of variables and numbers, and no SQL.

use driftdb_query::{Result, SqlError, Variables};
use driftdb_types::{DataType, SqlState, Value};

use super::*;
use crate::ast::Level;
use crate::host::Found;

/// A sum, product or comparison of numbers and variables, from left to right.
enum Term {
    Number(i32),
    Param(usize),
}

struct Prepared(Vec<(char, Term)>);

#[derive(Default)]
struct Calculator {
    notices: Vec<String>,
    savepoints: i32,
    prepared: usize,
}

fn terms(text: &str, variables: &mut dyn Variables) -> Result<Vec<(char, Term)>> {
    let mut found = Vec::new();
    let mut operator = '+';
    for word in text.split_whitespace() {
        if let [c] = word.as_bytes()
            && "+-*/<>=".contains(char::from(*c))
        {
            operator = char::from(*c);
            continue;
        }
        let term = match word.parse() {
            Ok(number) => Term::Number(number),
            Err(_) => {
                let names: Vec<String> = word.split('.').map(str::to_owned).collect();
                let unknown = || SqlError::new(SqlState::UndefinedColumn, word.to_owned());
                Term::Param(variables.find(&names)?.ok_or_else(unknown)?.0)
            }
        };
        found.push((operator, term));
    }
    Ok(found)
}

impl Host for Calculator {
    type Prepared = Prepared;

    fn prepare(&mut self, text: &str, _: bool, variables: &mut dyn Variables) -> Result<Prepared> {
        self.prepared += 1;
        terms(text, variables).map(Prepared)
    }

    fn prepare_dynamic(&mut self, _: &str, _: &[DataType]) -> Result<Prepared> {
        Ok(Prepared(Vec::new()))
    }

    fn still_holds(&mut self, _: &Prepared) -> bool {
        true
    }

    fn run(
        &mut self,
        prepared: &Prepared,
        params: &[(Value, DataType)],
        _: Option<u64>,
    ) -> Result<Rows> {
        let mut value = Value::Int4(0);
        for (operator, term) in &prepared.0 {
            let right = match term {
                Term::Number(number) => *number,
                Term::Param(at) => params[*at].0.as_int().unwrap_or_default() as i32,
            };
            let left = value.as_int().unwrap_or_default() as i32;
            value = match operator {
                '+' => Value::Int4(left + right),
                '-' => Value::Int4(left - right),
                '*' => Value::Int4(left * right),
                '/' if right == 0 => {
                    return Err(SqlError::new(SqlState::DivisionByZero, "division by zero"));
                }
                '/' => Value::Int4(left / right),
                '<' => Value::Bool(left < right),
                '>' => Value::Bool(left > right),
                _ => Value::Bool(left == right),
            };
        }
        let column = Column { name: "v".into(), ty: value.data_type(), typmod: -1 };
        Ok(Rows { columns: Some(vec![column]), rows: vec![vec![value]], count: 1 })
    }

    fn type_named(&mut self, _: &str) -> Result<Found> {
        Ok(Found::Type(DataType::Int4, -1))
    }

    fn column_type(&mut self, _: &[String]) -> Result<(DataType, i32)> {
        Ok((DataType::Int4, -1))
    }

    fn row_type(&mut self, _: &[String]) -> Result<Vec<Column>> {
        Ok(vec![Column { name: "a".into(), ty: DataType::Int4, typmod: -1 }])
    }

    fn convert(&mut self, value: Value, _: DataType, _: DataType, _: i32) -> Result<Value> {
        Ok(value)
    }

    fn shown(&self, value: &Value, _: DataType) -> String {
        value.as_int().map_or_else(|| format!("{value:?}"), |number| number.to_string())
    }

    fn savepoint(&mut self) -> Result<()> {
        self.savepoints += 1;
        Ok(())
    }

    fn rollback_to_savepoint(&mut self) {
        self.savepoints -= 1;
    }

    fn release_savepoint(&mut self) {
        self.savepoints -= 1;
    }

    fn notice(&mut self, _: Level, notice: SqlError) {
        self.notices.push(notice.message);
    }

    fn check_interrupt(&self) -> Result<()> {
        Ok(())
    }

    fn end_transaction(&mut self, _: bool, _: bool) -> Result<()> {
        Err(SqlError::unsupported("the end of a transaction"))
    }
}

/// Runs a body with the argument `n` = 5 that returns an integer.
fn ran(body: &str) -> (Calculator, Result<Output>) {
    let program = crate::parse(body).unwrap();
    let column = |name: &str| Column { name: name.into(), ty: DataType::Int4, typmod: -1 };
    let call = Call {
        program: &program,
        name: "f",
        signature: "f(integer)",
        args: vec![(Some("n".into()), column("n"), Value::Int4(5))],
        out: Vec::new(),
        records: Vec::new(),
        others: Vec::new(),
        returns: Returns {
            columns: vec![column("f")],
            is_row: false,
            is_set: false,
            has_out: false,
            is_procedure: false,
            is_trigger: false,
        },
    };
    let mut host = Calculator::default();
    let output = run(&mut host, call, &mut Cache::default());
    (host, output)
}

fn gives(body: &str) -> i64 {
    match ran(body).1 {
        Ok(Output::Row(Some(row))) => row[0].as_int().unwrap(),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn control_flows() {
    assert_eq!(
        gives("DECLARE s int := 0; BEGIN FOR i IN 1..n LOOP s := s + i; END LOOP; RETURN s; END"),
        15
    );
    assert_eq!(
        gives(
            "DECLARE s int := 0; BEGIN <<a>> LOOP LOOP s := s + 1; EXIT a WHEN s > 3; END LOOP; \
             END LOOP a; RETURN s; END"
        ),
        4
    );
    assert_eq!(
        gives(
            "DECLARE s int := 0; BEGIN FOR i IN REVERSE 5..1 BY 2 LOOP CONTINUE WHEN i = 3; \
             s := s * 10 + i; END LOOP; RETURN s; END"
        ),
        51
    );
    assert_eq!(
        gives("BEGIN IF n < 3 THEN RETURN 1; ELSIF n = 5 THEN RETURN 2; END IF; RETURN 3; END"),
        2
    );
    assert_eq!(gives("BEGIN CASE n WHEN 1, 5 THEN RETURN 7; ELSE RETURN 8; END CASE; END"), 7);
    assert_eq!(gives("BEGIN WHILE n > 0 LOOP n := n - 2; END LOOP; RETURN n; END"), -1);
}

#[test]
fn names_are_found_from_the_inside_out() {
    assert_eq!(
        gives(
            "<<o>> DECLARE n int := 1; BEGIN DECLARE n int := 2; BEGIN RETURN n + o.n + f.n; END; END"
        ),
        8
    );
    assert_eq!(gives("DECLARE m ALIAS FOR $1; BEGIN m := m + 1; RETURN n; END"), 6);
    assert_eq!(gives("DECLARE r t%ROWTYPE; BEGIN r.a := 3; RETURN r.a + n; END"), 8);
}

#[test]
fn handlers_catch_by_condition_and_leave_no_savepoint() {
    let (host, output) =
        ran("BEGIN BEGIN n := 1 / 0; EXCEPTION WHEN unique_violation THEN RETURN 1; \
         WHEN division_by_zero THEN RAISE NOTICE 'caught % %', n, 7; RETURN 2; END; END");
    assert_eq!(output.unwrap(), Output::Row(Some(vec![Value::Int4(2)])));
    assert_eq!(host.notices, ["caught 5 7"]);
    assert_eq!(host.savepoints, 0);
    let (host, output) =
        ran("BEGIN BEGIN n := 1 / 0; EXCEPTION WHEN unique_violation THEN NULL; END; END");
    assert_eq!(output.unwrap_err().state.code(), "22012");
    assert_eq!(host.savepoints, 0);
    let (_, output) =
        ran("BEGIN BEGIN ASSERT n = 1; EXCEPTION WHEN OTHERS THEN RETURN 1; END; END");
    assert_eq!(output.unwrap_err().state.code(), "P0004");
}

#[test]
fn errors_say_where() {
    let (_, output) = ran("BEGIN\n  n := 1;\n  n := n / 0;\nEND");
    let error = output.unwrap_err();
    let context = error.context.as_deref();
    assert_eq!(context, Some("PL/pgSQL function f(integer) line 3 at assignment"));
    let (_, output) = ran("BEGIN NULL; END");
    assert_eq!(output.unwrap_err().state.code(), "2F005");
    let (_, output) = ran("DECLARE c CONSTANT int := 1; BEGIN c := 2; END");
    assert_eq!(output.unwrap_err().state.code(), "22005");
}

#[test]
fn what_runs_again_is_not_prepared_again() {
    let (host, _) = ran("BEGIN FOR i IN 1..100 LOOP n := n + i; END LOOP; RETURN n; END");
    assert_eq!(host.prepared, 4);
}
