//! EXPLAIN's lines and JSON.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    AccessPath, CteId, ExplainFormat, ExplainOutput, Expr, JoinKind, KeyBound, KeyBounds,
    PhysicalPlan, PhysicalSortKey, PhysicalStatement, Subplan, SubqueryKind, TableAccess,
};
use driftdb_storage::Timestamp;
use driftdb_types::{DataType, Value};

use crate::statements::{row, update};
use crate::support::{Database, access, bigint, binary, boxed, islot, number, query, scan, slot};

#[track_caller]
fn check(db: &Database, statement: PhysicalStatement, analyze: bool, expected: &str) {
    let output = ExplainOutput::TEXT;
    let statement = Box::new(statement);
    let answer = db.run(&PhysicalStatement::Explain { statement, analyze, output }).unwrap();
    assert_eq!(answer.tag.to_string(), "EXPLAIN");
    let lines: Vec<&str> = answer.rows.iter().map(|row| row[0].as_str().unwrap()).collect();
    assert_eq!(lines.join("\n"), expected.trim_matches('\n'));
}

#[test]
fn scans_show_their_path_and_conditions() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let filter = Expr::And(vec![
        binary(">", islot(1), number(3)),
        Expr::IsNull(Box::new(slot(2, DataType::Text))),
    ]);
    let filtered = TableAccess {
        filter: Some(filter),
        ..access(&table, AccessPath::Table { bounds: KeyBounds::ALL })
    };
    check(
        &db,
        query(PhysicalPlan::Access(filtered)),
        false,
        "
Seq Scan on t
  Filter: ((b > 3) AND (c IS NULL))
",
    );
    let bounds = KeyBounds {
        lower: KeyBound::Included(number(1)),
        upper: KeyBound::Excluded(Expr::Param { index: 0, ty: DataType::Int4 }),
        ..KeyBounds::ALL
    };
    let range = TableAccess {
        reverse: true,
        at: ReadAt::AsOf(Timestamp(1_700_000_000_000_000_000)),
        ..access(&table, AccessPath::Table { bounds })
    };
    check(
        &db,
        query(PhysicalPlan::Access(range)),
        false,
        "
Index Scan Backward using t_pkey on t
  Index Cond: ((a >= 1) AND (a < $1))
  As Of: 2023-11-14 22:13:20+00
",
    );
    let point = access(&table, AccessPath::Point { key: vec![number(-1)] });
    check(
        &db,
        query(PhysicalPlan::Access(point)),
        false,
        "
Index Scan using t_pkey on t
  Index Cond: (a = '-1'::integer)
",
    );
}

#[test]
fn joins_sorts_and_limits_nest() {
    let db = Database::new();
    let (t, u) = (db.create("t", &["a"]), db.create("u", &["a"]));
    let join = PhysicalPlan::HashJoin {
        kind: JoinKind::Left,
        left: boxed(scan(&t)),
        right: boxed(scan(&u)),
        left_keys: vec![islot(0)],
        right_keys: vec![islot(1)],
        residual: Some(binary("<", islot(1), islot(4))),
    };
    let key = PhysicalSortKey { expr: islot(1), descending: true, nulls_first: false };
    let sort = PhysicalPlan::Sort { input: boxed(join), keys: vec![key], top: vec![bigint(5)] };
    let limit = PhysicalPlan::Limit { input: boxed(sort), count: Some(bigint(5)), offset: None };
    check(
        &db,
        query(limit),
        false,
        "
Limit
  ->  Sort
        Sort Key: t.b DESC NULLS LAST
        ->  Hash Left Join
              Hash Cond: (t.a = u.b)
              Join Filter: (t.b < u.b)
              ->  Seq Scan on t
              ->  Hash
                    ->  Seq Scan on u
",
    );
}

#[test]
fn subqueries_and_common_table_expressions_are_sections() {
    let db = Database::new();
    let (t, u) = (db.create("t", &["a"]), db.create("u", &["a"]));
    let outer = Expr::Outer { index: 0, ty: DataType::Int4 };
    let point = PhysicalPlan::Access(access(&u, AccessPath::Point { key: vec![outer] }));
    let subplan = Subplan {
        kind: SubqueryKind::Exists,
        plan: Arc::new(point),
        outer: vec![islot(1)],
        ty: DataType::Bool,
    };
    let filter = PhysicalPlan::Filter {
        input: boxed(scan(&t)),
        predicate: Expr::Not(Box::new(Expr::Subplan(Box::new(subplan)))),
    };
    let body = PhysicalPlan::CteScan { cte: CteId(1), types: vec![DataType::Int4; 2] };
    let with = PhysicalPlan::With { ctes: vec![(CteId(1), filter)], body: boxed(body) };
    check(
        &db,
        query(with),
        false,
        "
CTE Scan on cte1
  CTE cte1
    ->  Seq Scan on t
          Filter: (NOT EXISTS(SubPlan 1))
          SubPlan 1
            ->  Index Scan using u_pkey on u
                  Index Cond: (a = b)
",
    );
}

#[test]
fn analyze_counts_rows_and_runs_the_statement() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 1, ""), row(2, 2, ""), row(3, 3, "")]);
    let filter = Some(binary(">", islot(1), number(1)));
    let statement = update(&table, filter, vec![(1, number(0))]);
    check(
        &db,
        PhysicalStatement::Update(statement),
        true,
        "
Update on t
  ->  Seq Scan on t (actual time=0.000..0.000 rows=2 loops=1)
        Filter: (a > 1)
Execution Time: 0.000 ms
",
    );
    assert_eq!(db.all(&table), [row(1, 1, ""), row(2, 0, ""), row(3, 0, "")]);
}

#[test]
fn documents() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let limit =
        PhysicalPlan::Limit { input: boxed(scan(&table)), count: Some(bigint(1)), offset: None };
    let explained = |format: ExplainFormat, analyze: bool| {
        let output = ExplainOutput { format, timing: false, summary: false };
        let statement = Box::new(query(limit.clone()));
        let explain = PhysicalStatement::Explain { statement, analyze, output };
        let mut rows = db.run(&explain).unwrap().rows;
        assert_eq!(rows.len(), 1);
        rows.remove(0).remove(0)
    };
    let json = r#"[
  {
    "Plan": {
      "Node Type": "Limit",
      "Parallel Aware": false,
      "Async Capable": false,
      "Plans": [
        {
          "Node Type": "Seq Scan",
          "Parent Relationship": "Outer",
          "Parallel Aware": false,
          "Async Capable": false,
          "Relation Name": "t"
        }
      ]
    }
  }
]"#;
    assert_eq!(explained(ExplainFormat::Json, false), Value::Json(json.into()));
    let yaml = r#"- Plan: 
    Node Type: "Limit"
    Parallel Aware: false
    Async Capable: false
    Actual Rows: 0
    Actual Loops: 1
    Plans: 
      - Node Type: "Seq Scan"
        Parent Relationship: "Outer"
        Parallel Aware: false
        Async Capable: false
        Relation Name: "t"
        Actual Rows: 0
        Actual Loops: 1"#;
    assert_eq!(explained(ExplainFormat::Yaml, true), Value::text(yaml));
    let xml = r#"<explain xmlns="http://www.postgresql.org/2009/explain">
  <Query>
    <Plan>
      <Node-Type>Limit</Node-Type>
      <Parallel-Aware>false</Parallel-Aware>
      <Async-Capable>false</Async-Capable>
      <Plans>
        <Plan>
          <Node-Type>Seq Scan</Node-Type>
          <Parent-Relationship>Outer</Parent-Relationship>
          <Parallel-Aware>false</Parallel-Aware>
          <Async-Capable>false</Async-Capable>
          <Relation-Name>t</Relation-Name>
        </Plan>
      </Plans>
    </Plan>
  </Query>
</explain>"#;
    assert_eq!(explained(ExplainFormat::Xml, false), Value::text(xml));
}
