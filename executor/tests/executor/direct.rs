//! The direct path gives what operators give.

use std::sync::Arc;

use driftdb_executor::Direct;
use driftdb_query::{
    AccessPath, Expr, PhysicalPlan, PhysicalStatement, Result, SqlError, Table, TableAccess,
};
use driftdb_types::{DataType, Value};

use crate::statements::{TYPES, delete, insert, row, update};
use crate::support::{
    Database, Row, access, binary, boxed, fields, int, islot, number, query, scan,
};

fn param(index: usize) -> Expr {
    Expr::Param { index, ty: DataType::Int4 }
}

fn point(table: &Arc<Table>) -> TableAccess {
    access(table, AccessPath::Point { key: vec![param(0)] })
}

/// The target row of an UPDATE or DELETE.
fn target(table: &Arc<Table>) -> PhysicalPlan {
    PhysicalPlan::Access(TableAccess { with_key: true, ..point(table) })
}

/// Runs a prepared statement in a transaction of its own.
fn run(db: &Database, direct: &mut Direct, params: &[Value]) -> Result<(String, Row)> {
    let mut txn = db.begin();
    let mut out = Vec::new();
    let tag = db.with(&mut *txn, params, &mut Vec::new(), |cx| direct.run(cx, &mut out))?;
    txn.commit()?;
    Ok((tag.to_string(), out))
}

fn prepare(statement: PhysicalStatement) -> Direct {
    Direct::prepare(&Arc::new(statement)).expect("it has a direct form")
}

#[test]
fn a_point_is_read_filtered_and_projected() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 10, "x"), row(2, 20, "y")]);
    let filtered = TableAccess { filter: Some(binary(">", islot(1), number(10))), ..point(&table) };
    let plan = PhysicalPlan::Project {
        input: boxed(PhysicalPlan::Access(filtered)),
        exprs: vec![binary("+", islot(0), islot(1)), islot(0)],
    };
    let mut direct = prepare(query(plan));
    let found = run(&db, &mut direct, &[int(2)]).unwrap();
    assert_eq!(found, ("SELECT 1".to_owned(), vec![int(22), int(2)]));
    for missing in [int(1), int(3), Value::Null] {
        assert_eq!(run(&db, &mut direct, &[missing]).unwrap(), ("SELECT 0".to_owned(), vec![]));
    }
    let error = run(&db, &mut direct, &[]).unwrap_err();
    assert_eq!(error.message, "there is no parameter $1");
}

#[test]
fn points_are_updated_inserted_and_deleted() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let values = vec![param(0), param(1), Expr::constant(Value::text("x"), TYPES[2])];
    let mut insertion = insert(&table, &[]);
    insertion.source = PhysicalPlan::Values { rows: vec![values], types: TYPES.to_vec() };
    let mut insertion = prepare(PhysicalStatement::Insert(insertion));
    for (a, b) in [(1, 10), (2, 20)] {
        let done = run(&db, &mut insertion, &[int(a), int(b)]).unwrap();
        assert_eq!(done, ("INSERT 0 1".to_owned(), vec![]));
    }

    let mut change = update(&table, None, vec![(1, binary("+", islot(2), param(1)))]);
    change.source = target(&table);
    change.returning = Some(vec![islot(1)]);
    change.fields = fields(&[DataType::Int4]);
    let mut change = prepare(PhysicalStatement::Update(change));
    let done = run(&db, &mut change, &[int(2), int(5)]).unwrap();
    assert_eq!(done, ("UPDATE 1".to_owned(), vec![int(25)]));
    let done = run(&db, &mut change, &[int(9), int(5)]).unwrap();
    assert_eq!(done, ("UPDATE 0".to_owned(), vec![]));

    let mut removal = delete(&table, None);
    removal.source = target(&table);
    let mut removal = prepare(PhysicalStatement::Delete(removal));
    assert_eq!(run(&db, &mut removal, &[int(1)]).unwrap().0, "DELETE 1");
    assert_eq!(run(&db, &mut removal, &[int(1)]).unwrap().0, "DELETE 0");
    assert_eq!(db.all(&table), [row(2, 25, "x")]);
}

#[test]
fn a_changed_row_is_read_again() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 10, "x")]);
    let mut change = update(&table, None, vec![(1, binary("+", islot(2), param(1)))]);
    change.source = target(&table);
    let mut change = prepare(PhysicalStatement::Update(change));
    let mut txn = db.begin();
    run(&db, &mut change, &[int(1), int(100)]).unwrap();
    let params = [int(1), int(1)];
    db.with(&mut *txn, &params, &mut Vec::new(), |cx| {
        change.run(cx, &mut Vec::new())?;
        Ok::<(), SqlError>(())
    })
    .unwrap();
    txn.commit().unwrap();
    assert_eq!(db.all(&table), [row(1, 111, "x")]);
}

#[test]
fn other_statements_have_no_direct_form() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let many: Vec<Row> = (0..100).map(|a| row(a, a, "")).collect();
    for statement in [
        query(scan(&table)),
        PhysicalStatement::Insert(insert(&table, &many)),
        PhysicalStatement::Update(update(&table, None, Vec::new())),
        PhysicalStatement::Analyze(Vec::new()),
    ] {
        assert!(Direct::prepare(&Arc::new(statement)).is_none());
    }
}
