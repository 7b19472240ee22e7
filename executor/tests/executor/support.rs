//! A database in few words.

use std::path::Path;
use std::sync::Arc;

use driftdb_concurrency::{BeginOptions, CancelToken, ReadAt, Store, Transaction};
use driftdb_executor::{CommandTag, DEFAULT_MEMORY_LIMIT_BYTES, ExecContext, PendingChecks, start};
use driftdb_memory::MemoryEngine;
use driftdb_mvcc::{MvccStore, SsiControl, StoreOptions};
use driftdb_query::{
    AccessPath, AccessTemporal, ColumnSpec, ConstraintSpec, CreateTable, Deferral, Expr, Field,
    KeyBounds, NoSystemRows, PhysicalPlan, PhysicalQuery, PhysicalStatement, Result, SqlError,
    Table, TableAccess,
};
use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_tables::{CatalogStore, DdlContext, create_table};
use driftdb_types::{DataType, EvalContext, Value, resolve_operator};

pub(crate) type Row = Vec<Value>;

/// A store with a catalog.
pub(crate) struct Database {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) eval: EvalContext,
    pub(crate) cancel: CancelToken,
    pub(crate) memory_limit_bytes: usize,
}

/// What a statement gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) tag: CommandTag,
    pub(crate) notices: Vec<SqlError>,
}

impl Database {
    pub(crate) fn new() -> Self {
        let env = sim_env(&SimDisk::new(1), 1);
        let options = StoreOptions { background: false, ..StoreOptions::tiny() };
        let store: Arc<dyn Store> =
            MvccStore::<MemoryEngine, SsiControl>::open(&env, Path::new("/db"), &options).unwrap();
        CatalogStore::open(&*store).unwrap();
        let memory_limit_bytes = DEFAULT_MEMORY_LIMIT_BYTES;
        Self { store, eval: EvalContext::default(), cancel: CancelToken::new(), memory_limit_bytes }
    }

    pub(crate) fn begin(&self) -> Box<dyn Transaction> {
        let mut txn = self.store.begin(BeginOptions::default()).unwrap();
        txn.begin_statement().unwrap();
        txn
    }

    /// Lends everything to `f`.
    pub(crate) fn with<R>(
        &self,
        txn: &mut dyn Transaction,
        params: &[Value],
        notices: &mut Vec<SqlError>,
        f: impl FnOnce(&mut ExecContext<'_>) -> R,
    ) -> R {
        f(&mut ExecContext {
            txn,
            store: &*self.store,
            system: &NoSystemRows,
            eval: &self.eval,
            params,
            cancel: &self.cancel,
            pending: &mut PendingChecks::default(),
            routines: &driftdb_executor::NoRoutines,
            ddl: &mut None,
            kinds: &mut driftdb_concurrency::StatementKinds::default(),
            notices,
            memory_limit_bytes: self.memory_limit_bytes,
        })
    }

    /// Runs a statement in a transaction.
    pub(crate) fn run_in(
        &self,
        txn: &mut dyn Transaction,
        statement: &PhysicalStatement,
    ) -> Result<Answer> {
        let mut notices = Vec::new();
        let (rows, tag) = self.with(txn, &[], &mut notices, |cx| {
            let mut execution = start(statement, cx)?;
            let mut rows = Vec::new();
            while let Some(batch) = execution.next(cx)? {
                rows.extend((0..batch.len()).map(|row| batch.row(row)));
            }
            Ok::<_, SqlError>((rows, execution.tag()))
        })?;
        Ok(Answer { rows, tag, notices })
    }

    /// Runs a statement in a transaction of its own.
    pub(crate) fn run(&self, statement: &PhysicalStatement) -> Result<Answer> {
        let mut txn = self.begin();
        let answer = self.run_in(&mut *txn, statement)?;
        txn.commit()?;
        Ok(answer)
    }

    /// The rows of a plan.
    pub(crate) fn rows(&self, plan: PhysicalPlan) -> Result<Vec<Row>> {
        Ok(self.run(&query(plan))?.rows)
    }

    /// A table with columns `a int4`, `b int4`, `c text`.
    pub(crate) fn create(&self, name: &str, primary_key: &[&str]) -> Arc<Table> {
        let key = ConstraintSpec::PrimaryKey {
            name: format!("{name}_pkey"),
            columns: primary_key.iter().map(|&column| column.to_owned()).collect(),
            deferral: Deferral::Never,
            extra: driftdb_query::KeyExtra::default(),
        };
        let spec = CreateTable {
            schema: "public".into(),
            name: name.into(),
            if_not_exists: false,
            columns: vec![
                column("a", DataType::Int4),
                column("b", DataType::Int4),
                column("c", DataType::Text),
            ],
            constraints: if primary_key.is_empty() { Vec::new() } else { vec![key] },
            retention: None,
            period: None,
            on_commit: driftdb_query::OnCommit::PreserveRows,
            materialized: None,
        };
        let mut txn = self.begin();
        let (store, eval) = (&*self.store, &self.eval);
        let terms = Box::new(driftdb_tables::NoTerms);
        let mut cx = DdlContext { txn: &mut *txn, store, eval, terms };
        let table = create_table(&mut cx, &spec).unwrap().unwrap();
        drop(cx);
        txn.commit().unwrap();
        table
    }
}

fn column(name: &str, ty: DataType) -> ColumnSpec {
    ColumnSpec::new(name.into(), ty, -1)
}

pub(crate) fn query(plan: PhysicalPlan) -> PhysicalStatement {
    let fields = fields(&plan.types());
    PhysicalStatement::Query(PhysicalQuery { plan, fields })
}

pub(crate) fn fields(types: &[DataType]) -> Vec<Field> {
    let field = |(index, ty): (usize, &DataType)| Field {
        name: format!("column{}", index + 1),
        ty: *ty,
        typmod: -1,
        origin: (0, 0),
    };
    types.iter().enumerate().map(field).collect()
}

pub(crate) fn int(v: i32) -> Value {
    Value::Int4(v)
}

pub(crate) fn text(v: &str) -> Value {
    Value::text(v)
}

/// A constant `int4`.
pub(crate) fn number(v: i32) -> Expr {
    Expr::constant(int(v), DataType::Int4)
}

pub(crate) fn bigint(v: i64) -> Expr {
    Expr::constant(Value::Int8(v), DataType::Int8)
}

pub(crate) fn slot(index: usize, ty: DataType) -> Expr {
    Expr::Slot { index, ty }
}

/// An `int4` column.
pub(crate) fn islot(index: usize) -> Expr {
    slot(index, DataType::Int4)
}

/// `left operator right`, of arguments that need no conversion.
pub(crate) fn binary(operator: &str, left: Expr, right: Expr) -> Expr {
    let resolved = resolve_operator(operator, Some(left.ty()), Some(right.ty())).unwrap();
    assert_eq!(resolved.arg_types, [left.ty(), right.ty()]);
    Expr::Call { function: resolved.id, args: vec![left, right], ty: resolved.result }
}

/// Constant rows.
pub(crate) fn values(types: &[DataType], rows: &[Row]) -> PhysicalPlan {
    let constant = |(value, ty): (&Value, &DataType)| Expr::constant(value.clone(), *ty);
    let rows = rows.iter().map(|row| row.iter().zip(types).map(constant).collect()).collect();
    PhysicalPlan::Values { rows, types: types.to_vec() }
}

/// All columns of a table, by a path.
pub(crate) fn access(table: &Arc<Table>, path: AccessPath) -> TableAccess {
    TableAccess {
        table: Arc::clone(table),
        at: ReadAt::Statement,
        path,
        columns: (0..table.columns.len()).collect(),
        with_key: false,
        filter: None,
        reverse: false,
        temporal: AccessTemporal::default(),
    }
}

pub(crate) fn scan(table: &Arc<Table>) -> PhysicalPlan {
    PhysicalPlan::Access(access(table, AccessPath::Table { bounds: KeyBounds::ALL }))
}

/// The rows of [`scan`] with their storage keys, as UPDATE and DELETE want them.
pub(crate) fn target(table: &Arc<Table>, filter: Option<Expr>) -> PhysicalPlan {
    let all = access(table, AccessPath::Table { bounds: KeyBounds::ALL });
    PhysicalPlan::Access(TableAccess { with_key: true, filter, ..all })
}

pub(crate) fn boxed(plan: PhysicalPlan) -> Box<PhysicalPlan> {
    Box::new(plan)
}

/// Rows as sorted text, to compare bags of rows.
pub(crate) fn bag(rows: &[Row]) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    lines.sort();
    lines
}
