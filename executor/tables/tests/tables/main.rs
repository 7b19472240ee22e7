//! Tables, indexes, the catalog and DDL over a real transactional store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod objects;

use std::path::Path;
use std::sync::Arc;

use driftdb_concurrency::{
    BeginOptions, IsolationLevel, LockStrength, ReadAt, Store, Transaction, WaitPolicy,
};
use driftdb_memory::MemoryEngine;
use driftdb_mvcc::{MvccStore, SsiControl, StoreOptions};
use driftdb_query::{
    AlterAction, Catalog, CatalogAt, ColumnSpec, ConstraintSpec, CreateIndex, CreateTable,
    Deferral, DropObjects, KeyExtra, RowKey, Table,
};
use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::Timestamp;
use driftdb_tables::{
    CatalogStore, DdlContext, Inserted, NoTerms, RowReader, RowState, TableWriter, alter_table,
    create_index, create_table, drop_objects, fetch_row, point_key, tables, truncate,
};
use driftdb_types::{DataType, EvalContext, SqlState, Value};

struct Database {
    store: Arc<dyn Store>,
    catalog: Arc<CatalogStore>,
    eval: EvalContext,
}

impl Database {
    fn new() -> Self {
        let env = sim_env(&SimDisk::new(1), 1);
        let options = StoreOptions { background: false, ..StoreOptions::tiny() };
        let store: Arc<dyn Store> =
            MvccStore::<MemoryEngine, SsiControl>::open(&env, Path::new("/db"), &options).unwrap();
        let catalog = Arc::new(CatalogStore::open(&*store).unwrap());
        Self { store, catalog, eval: EvalContext::default() }
    }

    fn begin(&self) -> Box<dyn Transaction> {
        let mut txn = self.store.begin(BeginOptions::default()).unwrap();
        txn.begin_statement().unwrap();
        txn
    }

    /// Runs a definition change in a transaction of its own.
    fn ddl<T>(
        &self,
        change: impl FnOnce(&mut DdlContext<'_>) -> driftdb_query::Result<T>,
    ) -> driftdb_query::Result<T> {
        let guard = self.catalog.begin_ddl();
        let mut txn = self.begin();
        let mut cx = DdlContext {
            txn: &mut *txn,
            store: &*self.store,
            eval: &self.eval,
            terms: Box::new(NoTerms),
        };
        let changed = change(&mut cx);
        drop(cx);
        match changed {
            Ok(value) => {
                let committed = txn.commit().unwrap();
                guard.finish(committed.commit.map(|commit| commit.ts));
                Ok(value)
            }
            Err(error) => {
                txn.rollback();
                guard.finish(None);
                Err(error)
            }
        }
    }

    fn create(&self, name: &str, constraints: Vec<ConstraintSpec>) -> Arc<Table> {
        let spec = CreateTable {
            schema: "public".into(),
            name: name.into(),
            if_not_exists: false,
            columns: vec![column("a", DataType::Int4), column("b", DataType::Text)],
            constraints,
            retention: None,
            period: None,
            on_commit: driftdb_query::OnCommit::PreserveRows,
            materialized: None,
        };
        self.ddl(|cx| create_table(cx, &spec)).unwrap().unwrap()
    }

    fn insert(&self, table: &Arc<Table>, row: &[Value]) -> Inserted {
        let mut txn = self.begin();
        let mut writer = TableWriter::new(Arc::clone(table));
        let inserted = writer.insert(&mut *txn, &*self.store, row, &self.eval).unwrap();
        txn.commit().unwrap();
        inserted
    }

    fn lookup(&self, name: &str, at: CatalogAt) -> Option<Arc<Table>> {
        let mut txn = self.begin();
        let mut reader = self.catalog.reader(&mut *txn, &*self.store, false);
        reader.table(None, name, at).unwrap()
    }

    fn count(&self, table: &Table, at: ReadAt) -> usize {
        let mut txn = self.begin();
        let mut rows = driftdb_concurrency::RowBatch::new();
        let request = driftdb_concurrency::ScanRequest {
            range: driftdb_storage::KeyRange::ALL,
            at,
            reverse: false,
            max_rows: 1000,
        };
        txn.scan(table.keyspace, &request, &mut rows).unwrap();
        rows.len()
    }

    fn now(&self) -> Timestamp {
        self.store.newest()
    }
}

fn column(name: &str, ty: DataType) -> ColumnSpec {
    ColumnSpec::new(name.into(), ty, -1)
}

fn primary_key(name: &str) -> ConstraintSpec {
    ConstraintSpec::PrimaryKey {
        name: name.into(),
        columns: vec!["a".into()],
        deferral: Deferral::Never,
        extra: KeyExtra::default(),
    }
}

fn row(a: i32, b: &str) -> Vec<Value> {
    vec![Value::Int4(a), Value::text(b)]
}

#[test]
fn a_primary_key_is_the_rows_place_and_is_unique() {
    let db = Database::new();
    let table = db.create("t", vec![primary_key("t_pkey")]);
    assert!(matches!(db.insert(&table, &row(1, "x")), Inserted::Done { .. }));
    let Inserted::Conflict(conflict) = db.insert(&table, &row(1, "y")) else {
        panic!("the key is taken");
    };
    let error = TableWriter::new(Arc::clone(&table)).conflict_error(&conflict, &db.eval);
    assert_eq!(error.state, SqlState::UniqueViolation);
    assert_eq!(error.detail.as_deref(), Some("Key (a)=(1) already exists."));

    let key = point_key(&table, &[Value::Int4(1)]).unwrap();
    let mut found = Vec::new();
    let reader = RowReader::whole(&table);
    let mut txn = db.begin();
    assert!(fetch_row(&mut *txn, &table, &key, ReadAt::Statement, &reader, &mut found).unwrap());
    assert_eq!(found, row(1, "x"));
}

#[test]
fn index_entries_follow_their_rows() {
    let db = Database::new();
    let unique = ConstraintSpec::Unique {
        name: "t_b_key".into(),
        columns: vec!["b".into()],
        deferral: Deferral::Never,
        extra: KeyExtra::default(),
    };
    let table = db.create("t", vec![primary_key("t_pkey"), unique]);
    db.insert(&table, &row(1, "x"));
    assert!(matches!(db.insert(&table, &row(2, "x")), Inserted::Conflict(_)));

    let key = point_key(&table, &[Value::Int4(1)]).unwrap();
    let mut txn = db.begin();
    let mut writer = TableWriter::new(Arc::clone(&table));
    let state =
        writer.lock_row(&mut *txn, &key, LockStrength::Update, WaitPolicy::Wait(None)).unwrap();
    assert_eq!(state, RowState::Unchanged);
    writer.update(&mut *txn, &*db.store, &key, &row(1, "x"), &row(3, "z"), &db.eval).unwrap();
    txn.commit().unwrap();

    assert!(matches!(db.insert(&table, &row(2, "x")), Inserted::Done { .. }), "x is free again");
    assert!(matches!(db.insert(&table, &row(4, "z")), Inserted::Conflict(_)), "z is taken");
    assert_eq!(db.count(&table, ReadAt::Statement), 2);
}

#[test]
fn nulls_do_not_collide_but_may_be_forbidden() {
    let db = Database::new();
    let unique = ConstraintSpec::Unique {
        name: "t_b_key".into(),
        columns: vec!["b".into()],
        deferral: Deferral::Never,
        extra: KeyExtra::default(),
    };
    let table = db.create("t", vec![primary_key("t_pkey"), unique]);
    for a in 0..3 {
        let null = [Value::Int4(a), Value::Null];
        assert!(matches!(db.insert(&table, &null), Inserted::Done { .. }));
    }
    let mut txn = db.begin();
    let mut writer = TableWriter::new(Arc::clone(&table));
    let error =
        writer.insert(&mut *txn, &*db.store, &[Value::Null, Value::Null], &db.eval).unwrap_err();
    assert_eq!(error.state, SqlState::NotNullViolation);
    assert_eq!(error.detail.as_deref(), Some("Failing row contains (null, null)."));
}

#[test]
fn adding_a_primary_key_rewrites_the_rows_and_keeps_the_past() {
    let db = Database::new();
    let table = db.create("t", Vec::new());
    db.insert(&table, &row(2, "two"));
    db.insert(&table, &row(1, "one"));
    let before = db.now();
    let action = AlterAction::AddConstraint(primary_key("t_pkey"));
    let (keyed, _) = db.ddl(|cx| alter_table(cx, &table, &action)).unwrap();
    assert_eq!(keyed.key, RowKey::Primary);
    assert_eq!(db.count(&keyed, ReadAt::Statement), 2);
    assert!(matches!(db.insert(&keyed, &row(1, "again")), Inserted::Conflict(_)));

    let then = db.lookup("t", CatalogAt::AsOf(before)).unwrap();
    assert_eq!(then.key, RowKey::RowId);
    assert_eq!(db.count(&then, ReadAt::AsOf(before)), 2);
}

#[test]
fn duplicate_keys_stop_a_unique_index() {
    let db = Database::new();
    let table = db.create("t", Vec::new());
    db.insert(&table, &row(1, "x"));
    db.insert(&table, &row(1, "y"));
    let spec =
        CreateIndex { unique: true, ..CreateIndex::on(Arc::clone(&table), "t_a", &[(0, false)]) };
    let error = db.ddl(|cx| create_index(cx, &spec)).unwrap_err();
    assert_eq!(error.state, SqlState::UniqueViolation);
    assert_eq!(error.detail.as_deref(), Some("Key (a)=(1) is duplicated."));
    let action = AlterAction::AddConstraint(primary_key("t_pkey"));
    let error = db.ddl(|cx| alter_table(cx, &table, &action)).unwrap_err();
    assert_eq!(error.state, SqlState::UniqueViolation);
    // Rolled back: the name is free, and another index may take it.
    assert!(db.ddl(|cx| create_index(cx, &CreateIndex { unique: false, ..spec })).unwrap());
}

#[test]
fn columns_come_and_go_and_the_past_keeps_its_schema() {
    let db = Database::new();
    let table = db.create("t", vec![primary_key("t_pkey")]);
    db.insert(&table, &row(1, "x"));
    let before = db.now();
    let added = AlterAction::AddColumn {
        column: column("c", DataType::Int4),
        default: Some(driftdb_query::Expr::constant(Value::Int4(9), DataType::Int4)),
        fill: None,
        if_not_exists: false,
    };
    let (table, _) = db.ddl(|cx| alter_table(cx, &table, &added)).unwrap();
    let (table, _) = db
        .ddl(|cx| alter_table(cx, &table, &AlterAction::DropColumn { position: 1, cascade: false }))
        .unwrap();
    let mut txn = db.begin();
    let key = point_key(&table, &[Value::Int4(1)]).unwrap();
    let mut found = Vec::new();
    let reader = RowReader::whole(&table);
    fetch_row(&mut *txn, &table, &key, ReadAt::Statement, &reader, &mut found).unwrap();
    assert_eq!(found, [Value::Int4(1), Value::Int4(9)]);
    // A new column does not see the dropped one's cells.
    let readded = AlterAction::AddColumn {
        column: column("b", DataType::Text),
        default: None,
        fill: None,
        if_not_exists: false,
    };
    let (table, _) = db.ddl(|cx| alter_table(cx, &table, &readded)).unwrap();
    let mut txn = db.begin();
    found.clear();
    let reader = RowReader::whole(&table);
    fetch_row(&mut *txn, &table, &key, ReadAt::Statement, &reader, &mut found).unwrap();
    assert_eq!(found, [Value::Int4(1), Value::Int4(9), Value::Null]);

    let then = db.lookup("t", CatalogAt::AsOf(before)).unwrap();
    assert_eq!(then.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn dropped_and_truncated_tables_are_readable_in_the_past() {
    let db = Database::new();
    let table = db.create("t", vec![primary_key("t_pkey")]);
    db.insert(&table, &row(1, "x"));
    let full = db.now();
    db.ddl(|cx| truncate(cx, &[Arc::clone(&table)], false, false)).unwrap();
    let emptied = db.lookup("t", CatalogAt::Statement).unwrap();
    assert_eq!(db.count(&emptied, ReadAt::Statement), 0);
    let objects = DropObjects { tables: vec![emptied], ..DropObjects::default() };
    db.ddl(|cx| drop_objects(cx, &objects)).unwrap();
    assert_eq!(db.lookup("t", CatalogAt::Statement), None);
    let then = db.lookup("t", CatalogAt::AsOf(full)).unwrap();
    assert_eq!(db.count(&then, ReadAt::AsOf(full)), 1);
    assert_eq!(db.lookup("t", CatalogAt::AsOf(Timestamp(1))), None);
    assert!(tables(&mut *db.begin(), ReadAt::Statement).unwrap().is_empty());
}

#[test]
fn a_definition_that_rolled_back_was_never_there() {
    let db = Database::new();
    let mut txn = db.begin();
    let guard = db.catalog.begin_ddl();
    let spec = CreateTable {
        schema: "public".into(),
        name: "t".into(),
        if_not_exists: false,
        columns: vec![column("a", DataType::Int4)],
        constraints: Vec::new(),
        retention: None,
        period: None,
        on_commit: driftdb_query::OnCommit::PreserveRows,
        materialized: None,
    };
    let mut cx =
        DdlContext { txn: &mut *txn, store: &*db.store, eval: &db.eval, terms: Box::new(NoTerms) };
    create_table(&mut cx, &spec).unwrap();
    drop(cx);
    txn.begin_statement().unwrap();
    let mut reader = db.catalog.reader(&mut *txn, &*db.store, true);
    assert!(reader.table(None, "t", CatalogAt::Statement).unwrap().is_some(), "own change");
    assert_eq!(db.lookup("t", CatalogAt::Statement), None, "not yet for others");
    drop(reader);
    txn.rollback();
    guard.finish(None);
    assert_eq!(db.lookup("t", CatalogAt::Statement), None);
    db.create("t", Vec::new());
    assert!(db.lookup("t", CatalogAt::Statement).is_some());
}

#[test]
fn a_writer_that_waited_sees_the_newest_row() {
    let db = Database::new();
    let table = db.create("t", vec![primary_key("t_pkey")]);
    db.insert(&table, &row(1, "x"));
    let key = point_key(&table, &[Value::Int4(1)]).unwrap();
    let change = |txn: &mut Box<dyn Transaction>| {
        let mut writer = TableWriter::new(Arc::clone(&table));
        let state = writer.lock_row(&mut **txn, &key, LockStrength::Update, WaitPolicy::Wait(None));
        if state.as_ref().is_ok_and(|state| *state == RowState::Unchanged) {
            let (old, new) = (row(1, "x"), row(1, "y"));
            writer.update(&mut **txn, &*db.store, &key, &old, &new, &db.eval).unwrap();
        }
        state
    };
    let options = |isolation| BeginOptions { isolation, ..BeginOptions::default() };
    let mut committed = db.store.begin(options(IsolationLevel::ReadCommitted)).unwrap();
    let mut repeatable = db.store.begin(options(IsolationLevel::RepeatableRead)).unwrap();
    committed.begin_statement().unwrap();
    repeatable.begin_statement().unwrap();
    let mut first = db.begin();
    assert_eq!(change(&mut first).unwrap(), RowState::Unchanged);
    first.commit().unwrap();
    assert_eq!(change(&mut committed).unwrap(), RowState::Changed(Some(row(1, "y"))));
    committed.rollback();
    let error = change(&mut repeatable).unwrap_err();
    assert_eq!(error.state, SqlState::SerializationFailure);
}
