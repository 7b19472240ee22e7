//! INSERT, UPDATE, DELETE and definitions.

use std::sync::Arc;

use driftdb_concurrency::Transaction;
use driftdb_executor::is_stale;
use driftdb_query::{
    AlterAction, ColumnSpec, ConflictTarget, ConstraintSpec, CreateIndex, DropObjects, Expr,
    PhysicalConflict, PhysicalDelete, PhysicalInsert, PhysicalPlan, PhysicalStatement,
    PhysicalUpdate, RowRules, Table,
};
use driftdb_types::{DataType, SqlState, Value};

use crate::support::{
    Database, Row, binary, boxed, fields, int, islot, number, scan, slot, target, text, values,
};

pub(crate) const TYPES: [DataType; 3] = [DataType::Int4, DataType::Int4, DataType::Text];

pub(crate) fn row(a: i32, b: i32, c: &str) -> Row {
    vec![int(a), int(b), text(c)]
}

pub(crate) fn insert(table: &Arc<Table>, rows: &[Row]) -> PhysicalInsert {
    PhysicalInsert {
        table: Arc::clone(table),
        source: values(&TYPES, rows),
        checks: RowRules::default(),
        related: Arc::default(),
        on_conflict: None,
        returning: None,
        fields: Vec::new(),
    }
}

pub(crate) fn update(
    table: &Arc<Table>,
    filter: Option<Expr>,
    assignments: Vec<(usize, Expr)>,
) -> PhysicalUpdate {
    PhysicalUpdate {
        table: Arc::clone(table),
        source: target(table, filter.clone()),
        assignments,
        recheck: filter,
        checks: RowRules::default(),
        related: Arc::default(),
        portion: None,
        system: Vec::new(),
        returning: None,
        fields: Vec::new(),
    }
}

pub(crate) fn delete(table: &Arc<Table>, filter: Option<Expr>) -> PhysicalDelete {
    PhysicalDelete {
        table: Arc::clone(table),
        source: target(table, filter.clone()),
        recheck: filter,
        related: Arc::default(),
        portion: None,
        system: Vec::new(),
        returning: None,
        fields: Vec::new(),
    }
}

impl Database {
    pub(crate) fn fill(&self, table: &Arc<Table>, rows: &[Row]) {
        self.run(&PhysicalStatement::Insert(insert(table, rows))).unwrap();
    }

    pub(crate) fn all(&self, table: &Arc<Table>) -> Vec<Row> {
        self.rows(scan(table)).unwrap()
    }
}

fn positive_b() -> Vec<(String, Expr)> {
    vec![("t_b_check".to_owned(), binary(">", islot(1), number(0)))]
}

#[test]
fn rows_are_inserted_updated_and_deleted() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let mut statement = insert(&table, &[row(1, 10, "x"), row(2, 20, "y"), row(3, 30, "z")]);
    statement.returning = Some(vec![binary("+", islot(0), islot(1))]);
    statement.fields = fields(&[DataType::Int4]);
    let answer = db.run(&PhysicalStatement::Insert(statement)).unwrap();
    assert_eq!(answer.tag.to_string(), "INSERT 0 3");
    assert_eq!(answer.rows, [[int(11)], [int(22)], [int(33)]]);

    // Source rows have the key first, so b is slot 2.
    let filter = binary(">", islot(2), number(10));
    let mut statement = update(&table, Some(filter), vec![(1, binary("+", islot(2), number(1)))]);
    statement.returning = Some(vec![islot(1)]);
    statement.fields = fields(&[DataType::Int4]);
    let answer = db.run(&PhysicalStatement::Update(statement)).unwrap();
    assert_eq!(answer.tag.to_string(), "UPDATE 2");
    assert_eq!(answer.rows, [[int(21)], [int(31)]]);

    let statement = delete(&table, Some(binary("=", islot(1), number(2))));
    let answer = db.run(&PhysicalStatement::Delete(statement)).unwrap();
    assert_eq!(answer.tag.to_string(), "DELETE 1");
    assert_eq!(db.all(&table), [row(1, 10, "x"), row(3, 31, "z")]);
}

#[test]
fn a_primary_key_can_be_moved() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 1, "x"), row(2, 2, "y")]);
    let moved = update(&table, None, vec![(0, binary("+", islot(1), number(10)))]);
    let answer = db.run(&PhysicalStatement::Update(moved)).unwrap();
    assert_eq!(answer.tag.rows, Some(2));
    assert_eq!(db.all(&table), [row(11, 1, "x"), row(12, 2, "y")]);
}

#[test]
fn violations_are_reported_in_postgres_words() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let mut statement = insert(&table, &[row(1, 0, "x")]);
    statement.checks = positive_b().into();
    let error = db.run(&PhysicalStatement::Insert(statement.clone())).unwrap_err();
    assert_eq!(error.state, SqlState::CheckViolation);
    assert_eq!(error.message, "new row for relation \"t\" violates check constraint \"t_b_check\"");
    assert_eq!(error.detail.as_deref(), Some("Failing row contains (1, 0, x)."));
    assert_eq!(error.constraint.as_deref(), Some("t_b_check"));
    // NULL violates no check.
    statement.source = values(&TYPES, &[vec![int(1), Value::Null, Value::Null]]);
    db.run(&PhysicalStatement::Insert(statement.clone())).unwrap();
    // The missing key is reported before the check.
    statement.source = values(&TYPES, &[vec![Value::Null, int(0), Value::Null]]);
    let error = db.run(&PhysicalStatement::Insert(statement)).unwrap_err();
    assert_eq!(error.state, SqlState::NotNullViolation);
    let error = db.run(&PhysicalStatement::Insert(insert(&table, &[row(1, 1, "")]))).unwrap_err();
    assert_eq!(error.state, SqlState::UniqueViolation);
    assert_eq!(error.detail.as_deref(), Some("Key (a)=(1) already exists."));
}

fn upsert(
    table: &Arc<Table>,
    rows: &[Row],
    update: Option<Vec<(usize, Expr)>>,
) -> PhysicalStatement {
    let conflict = PhysicalConflict { target: ConflictTarget::Any, update, filter: None };
    PhysicalStatement::Insert(PhysicalInsert { on_conflict: Some(conflict), ..insert(table, rows) })
}

#[test]
fn on_conflict() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 1, "old")]);
    let rows = [row(1, 5, "new"), row(2, 6, "new"), row(2, 7, "again")];
    let answer = db.run(&upsert(&table, &rows, None)).unwrap();
    assert_eq!(answer.tag.to_string(), "INSERT 0 1");
    assert_eq!(db.all(&table), [row(1, 1, "old"), row(2, 6, "new")]);

    // b = existing b + excluded b
    let sum = || Some(vec![(1, binary("+", islot(1), islot(4)))]);
    let answer = db.run(&upsert(&table, &[row(1, 5, "x"), row(3, 9, "y")], sum())).unwrap();
    assert_eq!(answer.tag.to_string(), "INSERT 0 2");
    assert_eq!(db.all(&table), [row(1, 6, "old"), row(2, 6, "new"), row(3, 9, "y")]);

    for rows in [[row(1, 1, ""), row(1, 1, "")], [row(8, 1, ""), row(8, 1, "")]] {
        let error = db.run(&upsert(&table, &rows, sum())).unwrap_err();
        assert_eq!(error.state, SqlState::CardinalityViolation);
        assert_eq!(error.message, "ON CONFLICT DO UPDATE command cannot affect row a second time");
    }
}

#[test]
fn on_conflict_filter_and_target() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 1, "old")]);
    let never = Expr::constant(Value::Bool(false), DataType::Bool);
    let conflict = PhysicalConflict {
        target: ConflictTarget::Any,
        update: Some(vec![(1, number(9))]),
        filter: Some(never),
    };
    let filtered =
        PhysicalInsert { on_conflict: Some(conflict.clone()), ..insert(&table, &[row(1, 2, "")]) };
    let answer = db.run(&PhysicalStatement::Insert(filtered.clone())).unwrap();
    assert_eq!(answer.tag.rows, Some(0));
    let elsewhere = PhysicalConflict { target: ConflictTarget::Indexes(Vec::new()), ..conflict };
    let statement = PhysicalInsert { on_conflict: Some(elsewhere), ..filtered };
    let error = db.run(&PhysicalStatement::Insert(statement)).unwrap_err();
    assert_eq!(error.state, SqlState::UniqueViolation);
}

#[test]
fn on_conflict_asks_its_own_index_first() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let on_b = CreateIndex::on(Arc::clone(&table), "t_b_key", &[(1, false)]);
    let spec = CreateIndex { unique: true, ..on_b };
    db.run(&PhysicalStatement::CreateIndex(spec)).unwrap();
    let mut txn = db.begin();
    let at = driftdb_concurrency::ReadAt::Statement;
    let table = driftdb_tables::table_by_id(&mut *txn, table.id, at).unwrap().unwrap();
    let index = table.indexes.iter().find(|index| !index.primary).unwrap().id;
    db.fill(&table, &[row(1, 10, ""), row(2, 20, "")]);
    // The primary key of one row, and the other's b.
    let statement = |update| {
        let target = ConflictTarget::Indexes(vec![index]);
        PhysicalStatement::Insert(PhysicalInsert {
            on_conflict: Some(PhysicalConflict { target, update, filter: None }),
            ..insert(&table, &[row(1, 20, "new")])
        })
    };
    db.run(&statement(None)).unwrap();
    db.run(&statement(Some(vec![(2, slot(5, DataType::Text))]))).unwrap();
    assert_eq!(db.all(&table), [row(1, 10, ""), row(2, 20, "new")]);
}

#[test]
fn a_row_is_updated_once_even_if_joined_twice() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 0, "x")]);
    let ints = [DataType::Int4];
    let source = PhysicalPlan::NestedLoopJoin {
        kind: driftdb_query::JoinKind::Inner,
        left: boxed(target(&table, None)),
        right: boxed(values(&ints, &[vec![int(5)], vec![int(6)]])),
        on: None,
    };
    let mut statement = update(&table, None, vec![(1, binary("+", islot(2), islot(4)))]);
    statement.source = source;
    statement.returning = Some(vec![islot(1), islot(3)]);
    statement.fields = fields(&[DataType::Int4, DataType::Int4]);
    let answer = db.run(&PhysicalStatement::Update(statement)).unwrap();
    assert_eq!(answer.tag.rows, Some(1));
    assert_eq!(answer.rows, [[int(5), int(5)]]);
}

#[test]
fn a_changed_row_is_updated_from_its_newest_version() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 10, "x"), row(2, 10, "y"), row(3, 10, "z")]);
    let plus = |n| vec![(1, binary("+", islot(2), number(n)))];
    // The statement's snapshot is taken here; READ COMMITTED goes on from what came after.
    let mut txn = db.begin();
    db.run(&PhysicalStatement::Update(update(
        &table,
        Some(binary("=", islot(1), number(1))),
        plus(5),
    )))
    .unwrap();
    db.run(&PhysicalStatement::Update(update(
        &table,
        Some(binary("=", islot(1), number(2))),
        plus(50),
    )))
    .unwrap();
    db.run(&PhysicalStatement::Delete(delete(&table, Some(binary("=", islot(1), number(3))))))
        .unwrap();
    let small = binary("<", islot(2), number(20));
    let answer = db
        .run_in(&mut *txn, &PhysicalStatement::Update(update(&table, Some(small), plus(1))))
        .unwrap();
    // Row 2 no longer qualifies, row 3 is gone.
    assert_eq!(answer.tag.rows, Some(1));
    txn.commit().unwrap();
    assert_eq!(db.all(&table), [row(1, 16, "x"), row(2, 60, "y")]);
}

#[test]
fn a_statement_does_not_see_its_own_rows() {
    let db = Database::new();
    let table = db.create("t", &[]);
    db.fill(&table, &[row(1, 1, "x"), row(2, 2, "y")]);
    let again = PhysicalInsert { source: scan(&table), ..insert(&table, &[]) };
    let answer = db.run(&PhysicalStatement::Insert(again)).unwrap();
    assert_eq!(answer.tag.to_string(), "INSERT 0 2");
    assert_eq!(db.all(&table).len(), 4);
}

fn alter(
    table: &Arc<Table>,
    action: AlterAction,
    violation: Option<PhysicalPlan>,
) -> PhysicalStatement {
    PhysicalStatement::AlterTable { table: Arc::clone(table), actions: vec![(action, violation)] }
}

#[test]
fn alter_table_looks_at_the_rows() {
    let db = Database::new();
    let table = db.create("t", &[]);
    db.fill(&table, &[vec![int(1), Value::Null, text("x")]]);
    let null_b = |index: usize| {
        let is_null = Expr::IsNull(Box::new(islot(index)));
        PhysicalPlan::Filter { input: boxed(scan(&table)), predicate: is_null }
    };
    let error =
        db.run(&alter(&table, AlterAction::SetNotNull(1, true), Some(null_b(1)))).unwrap_err();
    assert_eq!(error.message, "column \"b\" of relation \"t\" contains null values");
    let check = ConstraintSpec::Check {
        name: "c1".into(),
        condition: "a > 1".into(),
        not_valid: false,
        no_inherit: false,
    };
    let violation = PhysicalPlan::Filter {
        input: boxed(scan(&table)),
        predicate: binary("<=", islot(0), number(1)),
    };
    let error =
        db.run(&alter(&table, AlterAction::AddConstraint(check), Some(violation))).unwrap_err();
    assert_eq!(error.message, "check constraint \"c1\" of relation \"t\" is violated by some row");
    let column =
        ColumnSpec { default: Some("7".into()), ..ColumnSpec::new("d".into(), DataType::Int4, -1) };
    let add = AlterAction::AddColumn {
        column,
        default: Some(number(7)),
        fill: None,
        if_not_exists: false,
    };
    let answer = db.run(&alter(&table, add, None)).unwrap();
    assert_eq!(answer.tag.to_string(), "ALTER TABLE");
    // The old definition is stale now.
    let error = db.run(&PhysicalStatement::Insert(insert(&table, &[]))).err();
    assert!(error.is_none_or(|error| !is_stale(&error)), "its snapshot is newer than the change");
}

#[test]
fn a_definition_that_changed_makes_a_statement_stale() {
    let db = Database::new();
    let table = db.create("t", &[]);
    let mut txn = db.begin();
    let drop_b = alter(&table, AlterAction::DropColumn { position: 1, cascade: false }, None);
    db.run(&drop_b).unwrap();
    let error = db
        .run_in(&mut *txn, &PhysicalStatement::Insert(insert(&table, &[row(1, 1, "")])))
        .unwrap_err();
    assert!(is_stale(&error), "{error:?}");
}

#[test]
fn definitions_report_tags_and_notices() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 5, "x"), row(2, 5, "y")]);
    let index = |if_not_exists| {
        PhysicalStatement::CreateIndex(CreateIndex {
            if_not_exists,
            ..CreateIndex::on(Arc::clone(&table), "t_b_idx", &[(1, false)])
        })
    };
    assert_eq!(db.run(&index(false)).unwrap().tag.to_string(), "CREATE INDEX");
    let again = db.run(&index(true)).unwrap();
    assert_eq!(again.notices[0].message, "relation \"t_b_idx\" already exists, skipping");
    let truncate = PhysicalStatement::Truncate {
        tables: vec![Arc::clone(&table)],
        cascade: false,
        restart: false,
    };
    for (statement, tag) in [
        (PhysicalStatement::Analyze(Vec::new()), "ANALYZE"),
        (PhysicalStatement::Vacuum { tables: vec![Arc::clone(&table)], analyze: true }, "VACUUM"),
        (truncate, "TRUNCATE TABLE"),
    ] {
        assert_eq!(db.run(&statement).unwrap().tag.to_string(), tag);
    }
    let objects =
        DropObjects { tables: vec![table], notices: vec!["gone".into()], ..DropObjects::default() };
    let dropped = db.run(&PhysicalStatement::Drop(objects)).unwrap();
    assert_eq!(dropped.tag.to_string(), "DROP TABLE");
    assert_eq!(dropped.notices[0].message, "gone");
    let notices = vec!["relation \"nope\" does not exist, skipping".into()];
    let nothing = DropObjects { notices, ..DropObjects::default() };
    let altered = db.run(&PhysicalStatement::Drop(nothing)).unwrap();
    assert_eq!(altered.tag.to_string(), "ALTER TABLE");
}

#[test]
fn create_table_as() {
    let db = Database::new();
    let spec = driftdb_query::CreateTable {
        schema: "public".into(),
        name: "copy".into(),
        if_not_exists: true,
        columns: vec![ColumnSpec::new("a".into(), DataType::Int4, -1)],
        constraints: Vec::new(),
        retention: None,
        period: None,
        on_commit: driftdb_query::OnCommit::PreserveRows,
        materialized: None,
    };
    let source = values(&[DataType::Int4], &[vec![int(1)], vec![int(2)]]);
    let statement = PhysicalStatement::CreateTable(spec, Some(source));
    assert_eq!(db.run(&statement).unwrap().tag.to_string(), "SELECT 2");
    let again = db.run(&statement).unwrap();
    assert_eq!(again.tag.to_string(), "CREATE TABLE AS");
    assert_eq!(again.notices[0].message, "relation \"copy\" already exists, skipping");
}

/// The type of a slot for text columns, so that the helpers stay in use.
#[test]
fn text_columns_can_be_assigned() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 1, "x")]);
    let doubled = binary("||", slot(3, DataType::Text), slot(3, DataType::Text));
    let mut txn: Box<dyn Transaction> = db.begin();
    db.run_in(&mut *txn, &PhysicalStatement::Update(update(&table, None, vec![(2, doubled)])))
        .unwrap();
    txn.commit().unwrap();
    assert_eq!(db.all(&table), [row(1, 1, "xx")]);
}
