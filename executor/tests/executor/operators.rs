//! Operators one by one: paths to rows, limits, common table expressions, locks, memory, cancel.

use std::sync::Arc;

use driftdb_concurrency::{BeginOptions, LockStrength, ReadAt, WaitPolicy};
use driftdb_query::{
    AccessPath, CreateIndex, CteId, Expr, IndexId, JoinKind, KeyBound, KeyBounds, PhysicalLock,
    PhysicalPlan, PhysicalSortKey, PhysicalStatement, SetFunction, SetOpKind, Table, TableAccess,
};
use driftdb_tables::table_by_id;
use driftdb_types::{DataType, Interval, SqlState, Value, resolve_operator};

use crate::statements::{row, update};
use crate::support::{
    Database, Row, access, bigint, binary, boxed, int, islot, number, query, values,
};

const INT: [DataType; 1] = [DataType::Int4];

fn first_column(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| row[0].as_int().unwrap()).collect()
}

fn series(from: i64, to: i64) -> PhysicalPlan {
    let add = resolve_operator("+", Some(DataType::Int8), Some(DataType::Int8)).unwrap().id;
    PhysicalPlan::FunctionScan {
        function: SetFunction::GenerateSeries { element: DataType::Int8, add },
        args: vec![bigint(from), bigint(to)],
        types: vec![DataType::Int8],
    }
}

fn limit(input: PhysicalPlan, count: Option<Expr>, offset: Option<Expr>) -> PhysicalPlan {
    PhysicalPlan::Limit { input: boxed(input), count, offset }
}

fn bounds(lower: KeyBound, upper: KeyBound) -> KeyBounds {
    KeyBounds { equal: Vec::new(), lower, upper }
}

/// Creates an index on `b` and returns the table with it.
fn index_b(db: &Database, table: &Arc<Table>) -> (Arc<Table>, IndexId) {
    let spec = CreateIndex::on(Arc::clone(table), "t_b_idx", &[(1, false)]);
    db.run(&PhysicalStatement::CreateIndex(spec)).unwrap();
    let mut txn = db.begin();
    let table = table_by_id(&mut *txn, table.id, ReadAt::Statement).unwrap().unwrap();
    let id = table.indexes.iter().find(|index| !index.primary).unwrap().id;
    (table, id)
}

#[test]
fn paths_to_rows() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let rows: Vec<Row> = (0..5000).map(|a| row(a, a % 100, "x")).collect();
    db.fill(&table, &rows);
    assert_eq!(db.all(&table), rows);
    let keys = |path: AccessPath, reverse: bool| {
        let access = TableAccess { reverse, columns: vec![0], ..access(&table, path) };
        first_column(&db.rows(PhysicalPlan::Access(access)).unwrap())
    };
    let range = || bounds(KeyBound::Excluded(number(10)), KeyBound::Included(number(4000)));
    let expected: Vec<i64> = (11..=4000).collect();
    assert_eq!(keys(AccessPath::Table { bounds: range() }, false), expected);
    let backwards: Vec<i64> = (11..=4000).rev().collect();
    assert_eq!(keys(AccessPath::Table { bounds: range() }, true), backwards);
    assert_eq!(keys(AccessPath::Point { key: vec![number(7)] }, false), [7]);
    assert!(keys(AccessPath::Point { key: vec![number(-7)] }, false).is_empty());

    let (table, index) = index_b(&db, &table);
    let equal = KeyBounds { equal: vec![number(42)], ..KeyBounds::ALL };
    let by_index = TableAccess {
        columns: vec![0, 1],
        filter: Some(binary(">", islot(0), number(1000))),
        ..access(&table, AccessPath::Index { index, bounds: equal })
    };
    let expected: Vec<i64> = (1000..5000).filter(|a| a % 100 == 42).collect();
    assert_eq!(first_column(&db.rows(PhysicalPlan::Access(by_index)).unwrap()), expected);
}

#[test]
fn an_index_is_joined_by_applying_it() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    let rows: Vec<Row> = (0..100).map(|a| row(a, a % 10, "x")).collect();
    db.fill(&table, &rows);
    let (table, index) = index_b(&db, &table);
    let outer = Expr::Outer { index: 0, ty: DataType::Int4 };
    let bounds = KeyBounds { equal: vec![outer], ..KeyBounds::ALL };
    let right =
        TableAccess { columns: vec![0], ..access(&table, AccessPath::Index { index, bounds }) };
    let left: Vec<Row> = [3, 7, 50].map(|v| vec![int(v)]).to_vec();
    let apply = PhysicalPlan::Apply {
        kind: JoinKind::Left,
        left: boxed(values(&INT, &left)),
        right: boxed(PhysicalPlan::Access(right)),
        outer: vec![islot(0)],
        on: None,
    };
    let answer = db.rows(apply).unwrap();
    assert_eq!(answer.len(), 21);
    assert_eq!(answer[0], [int(3), int(3)]);
    assert_eq!(answer[20], [int(50), Value::Null]);
}

#[test]
fn integer_bounds_may_have_another_width() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 1, ""), row(2, 2, ""), vec![int(3), Value::Null, Value::Null]]);
    let (table, index) = index_b(&db, &table);
    let keys = |bounds: KeyBounds| {
        let path = AccessPath::Index { index, bounds };
        let access = TableAccess { columns: vec![0], ..access(&table, path) };
        first_column(&db.rows(PhysicalPlan::Access(access)).unwrap())
    };
    let equal = |v| KeyBounds { equal: vec![bigint(v)], ..KeyBounds::ALL };
    assert_eq!(keys(equal(2)), [2]);
    assert_eq!(keys(equal(1 << 40)), [0i64; 0]);
    let none = || KeyBound::Unbounded;
    // NULL is within no bounds.
    assert_eq!(keys(bounds(none(), KeyBound::Excluded(bigint(1 << 40)))), [1, 2]);
    assert_eq!(keys(bounds(KeyBound::Included(bigint(-1 << 40)), none())), [1, 2]);
    assert_eq!(keys(bounds(KeyBound::Excluded(bigint(1)), none())), [2]);
    assert_eq!(keys(bounds(KeyBound::Included(bigint(1 << 40)), none())), [0i64; 0]);
    assert_eq!(keys(bounds(none(), KeyBound::Included(bigint(-1 << 40)))), [0i64; 0]);
    let point = access(&table, AccessPath::Point { key: vec![bigint(1 << 40)] });
    assert!(db.rows(PhysicalPlan::Access(point)).unwrap().is_empty());
}

#[test]
fn the_past_is_read_as_of_its_time() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 10, "x")]);
    let then = db.store.newest();
    let change = update(&table, None, vec![(1, number(99))]);
    db.run(&PhysicalStatement::Update(change)).unwrap();
    let past = TableAccess {
        at: ReadAt::AsOf(then),
        ..access(&table, AccessPath::Table { bounds: KeyBounds::ALL })
    };
    assert_eq!(db.rows(PhysicalPlan::Access(past)).unwrap(), [row(1, 10, "x")]);
    assert_eq!(db.all(&table), [row(1, 99, "x")]);
}

#[test]
fn limits() {
    let db = Database::new();
    let rows = |count: Option<i64>, offset: Option<i64>| {
        let plan = limit(series(1, 5000), count.map(bigint), offset.map(bigint));
        db.rows(plan).map(|rows| first_column(&rows))
    };
    assert_eq!(rows(Some(3), Some(2046)).unwrap(), [2047, 2048, 2049]);
    assert_eq!(rows(Some(0), None).unwrap(), [0i64; 0]);
    assert_eq!(rows(None, Some(4999)).unwrap(), [5000]);
    assert_eq!(rows(None, None).unwrap().len(), 5000);
    let error = rows(Some(-1), None).unwrap_err();
    assert_eq!(error.state, SqlState::InvalidRowCountInLimitClause);
    assert_eq!(error.message, "LIMIT must not be negative");
    let error = rows(None, Some(-1)).unwrap_err();
    assert_eq!(error.state, SqlState::InvalidRowCountInResultOffsetClause);
    let null = Expr::constant(Value::Null, DataType::Int8);
    let plan = limit(series(1, 10), Some(null.clone()), Some(null));
    assert_eq!(db.rows(plan).unwrap().len(), 10);
}

#[test]
fn series_of_numbers_and_times() {
    let db = Database::new();
    let at_the_edge = series(i64::MAX - 2, i64::MAX);
    assert_eq!(db.rows(at_the_edge).unwrap().len(), 3);
    assert!(db.rows(series(2, 1)).unwrap().is_empty());
    let (ty, step_ty) = (DataType::Timestamp, DataType::Interval);
    let add = resolve_operator("+", Some(ty), Some(step_ty)).unwrap().id;
    let timestamps = |step: Interval| {
        let constant = |micros| Expr::constant(Value::Timestamp(micros), ty);
        db.rows(PhysicalPlan::FunctionScan {
            function: SetFunction::GenerateSeries { element: ty, add },
            args: vec![
                constant(0),
                constant(86_400_000_000 * 60),
                Expr::constant(Value::Interval(step), step_ty),
            ],
            types: vec![ty],
        })
    };
    let months = timestamps(Interval { months: 1, ..Interval::default() }).unwrap();
    let day = 86_400_000_000;
    // 2000 was a leap year.
    let expected = [0, 31 * day, 60 * day].map(|micros| vec![Value::Timestamp(micros)]);
    assert_eq!(months, expected);
    let error = timestamps(Interval::default()).unwrap_err();
    assert_eq!(error.message, "step size cannot equal zero");
}

#[test]
fn distinct_on_keeps_the_first_row() {
    let db = Database::new();
    let rows: Vec<Row> =
        [(1, 5), (1, 6), (2, 7), (1, 8)].map(|(a, b)| vec![int(a), int(b)]).to_vec();
    let types = [DataType::Int4; 2];
    let distinct = |on: Vec<Expr>| {
        db.rows(PhysicalPlan::Distinct { input: boxed(values(&types, &rows)), on }).unwrap()
    };
    assert_eq!(distinct(vec![islot(0)]), [[int(1), int(5)], [int(2), int(7)]]);
    assert_eq!(distinct(Vec::new()), rows);
}

#[test]
fn common_table_expressions_are_computed_once() {
    let db = Database::new();
    // random() would differ if it were computed twice.
    let random = driftdb_types::resolve_function("random", &[]).unwrap();
    let call = Expr::Call { function: random.id, args: Vec::new(), ty: random.result };
    let cte = PhysicalPlan::Project { input: boxed(series(1, 3)), exprs: vec![call] };
    let read = || PhysicalPlan::CteScan { cte: CteId(7), types: vec![DataType::Float8] };
    let body = PhysicalPlan::SetOp {
        kind: SetOpKind::Intersect,
        all: false,
        left: boxed(read()),
        right: boxed(read()),
    };
    let with = PhysicalPlan::With { ctes: vec![(CteId(7), cte)], body: boxed(body) };
    assert_eq!(db.rows(with).unwrap().len(), 3);
}

#[test]
fn a_common_table_expression_under_an_apply_is_computed_for_each_row() {
    let db = Database::new();
    let outer = Expr::Outer { index: 0, ty: DataType::Int4 };
    let cte = PhysicalPlan::Project { input: boxed(values(&[], &[vec![]])), exprs: vec![outer] };
    let read = PhysicalPlan::CteScan { cte: CteId(1), types: INT.to_vec() };
    let apply = PhysicalPlan::Apply {
        kind: JoinKind::Inner,
        left: boxed(values(&INT, &[vec![int(4)], vec![int(5)]])),
        right: boxed(PhysicalPlan::With { ctes: vec![(CteId(1), cte)], body: boxed(read) }),
        outer: vec![islot(0)],
        on: None,
    };
    assert_eq!(db.rows(apply).unwrap(), [[int(4), int(4)], [int(5), int(5)]]);
}

fn for_update(table: &Arc<Table>, skip_locked: bool, wait: WaitPolicy, count: i64) -> PhysicalPlan {
    let all = access(table, AccessPath::Table { bounds: KeyBounds::ALL });
    let clause = PhysicalLock {
        table: Arc::clone(table),
        key: 0,
        columns: vec![(1, 0), (2, 1), (3, 2)],
        strength: LockStrength::Update,
        wait,
        skip_locked,
        recheck: Some(binary("<", islot(2), number(100))),
    };
    let lock = PhysicalPlan::Lock {
        input: boxed(PhysicalPlan::Access(TableAccess { with_key: true, ..all })),
        clauses: vec![clause],
    };
    let rows = PhysicalPlan::Project { input: boxed(lock), exprs: vec![islot(1), islot(2)] };
    limit(rows, Some(bigint(count)), None)
}

#[test]
fn rows_are_locked_as_they_are_given() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 1, ""), row(2, 2, ""), row(3, 3, "")]);
    let wait = WaitPolicy::Wait(None);
    let (mut one, mut two) = (db.begin(), db.begin());
    let first = db.run_in(&mut *one, &query(for_update(&table, true, wait, 1))).unwrap();
    assert_eq!(first.rows, [[int(1), int(1)]]);
    let second = db.run_in(&mut *two, &query(for_update(&table, true, wait, 1))).unwrap();
    assert_eq!(second.rows, [[int(2), int(2)]]);
    let mut three = db.begin();
    let error = db
        .run_in(&mut *three, &query(for_update(&table, false, WaitPolicy::NoWait, 3)))
        .unwrap_err();
    assert_eq!(error.state, SqlState::LockNotAvailable);
    assert_eq!(error.message, "could not obtain lock on row in relation \"t\"");
}

#[test]
fn a_locked_row_that_changed_is_read_again() {
    let db = Database::new();
    let table = db.create("t", &["a"]);
    db.fill(&table, &[row(1, 1, ""), row(2, 2, "")]);
    let mut txn = db.store.begin(BeginOptions::default()).unwrap();
    txn.begin_statement().unwrap();
    for (key, value) in [(1, 100), (2, 50)] {
        let change =
            update(&table, Some(binary("=", islot(1), number(key))), vec![(1, number(value))]);
        db.run(&PhysicalStatement::Update(change)).unwrap();
    }
    let plan = for_update(&table, false, WaitPolicy::Wait(None), 10);
    let answer = db.run_in(&mut *txn, &query(plan)).unwrap();
    assert_eq!(answer.rows, [[int(2), int(50)]]);
}

#[test]
fn memory_is_bounded() {
    let mut db = Database::new();
    db.memory_limit_bytes = 20_000;
    let key = || PhysicalSortKey {
        expr: crate::support::slot(0, DataType::Int8),
        descending: true,
        nulls_first: false,
    };
    let sort = |top: Vec<Expr>| PhysicalPlan::Sort {
        input: boxed(series(1, 100_000)),
        keys: vec![key()],
        top,
    };
    let error = db.rows(sort(Vec::new())).unwrap_err();
    assert_eq!(error.state, SqlState::OutOfMemory);
    let distinct = PhysicalPlan::Distinct { input: boxed(series(1, 100_000)), on: Vec::new() };
    assert_eq!(db.rows(distinct).unwrap_err().state, SqlState::OutOfMemory);
    // The first rows alone need no more than a few batches.
    db.memory_limit_bytes = 400_000;
    assert_eq!(first_column(&db.rows(sort(vec![bigint(2)])).unwrap()), [100_000, 99_999]);
}

#[test]
fn a_request_to_cancel_is_heard() {
    let db = Database::new();
    db.cancel.cancel();
    let error = db.rows(series(1, i64::MAX)).unwrap_err();
    assert_eq!(error.state, SqlState::QueryCanceled);
}

#[test]
fn hundreds_of_unions_do_not_overflow_the_stack() {
    let db = Database::new();
    let mut plan = values(&INT, &[vec![int(0)]]);
    for v in 1..500 {
        let right = boxed(values(&INT, &[vec![int(v)]]));
        plan = PhysicalPlan::SetOp { kind: SetOpKind::Union, all: true, left: boxed(plan), right };
    }
    assert_eq!(db.rows(plan).unwrap().len(), 500);
}
