//! The logical algebra: what is to be computed, columns by identity.

use std::sync::Arc;

use driftdb_concurrency::{LockStrength, ReadAt, WaitPolicy};
use driftdb_types::{AggregateId, DataType, FunctionId};

use crate::{
    ChangesScan, ColId, Expr, RoutineCall, Statement, SystemRelation, Table, TableAt, Temporal,
    WindowCall,
};

/// A column that a node yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputColumn {
    /// Its identity.
    pub id: ColId,
    /// Its type.
    pub ty: DataType,
}

/// A column that a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanColumn {
    /// Its identity in this statement.
    pub id: ColId,
    /// Its position in [`Table::columns`].
    pub position: usize,
}

/// Names a common table expression within a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CteId(pub u32);

/// How two inputs are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs that match (CROSS JOIN: the condition is TRUE).
    Inner,
    /// And left rows without a match.
    Left,
    /// And right rows without a match.
    Right,
    /// And both.
    Full,
    /// Left rows with a match, once; left columns only.
    Semi,
    /// Left rows without a match; left columns only.
    Anti,
}

/// UNION and its kin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOpKind {
    /// UNION
    Union,
    /// INTERSECT
    Intersect,
    /// EXCEPT
    Except,
}

/// One key of an ORDER BY.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// What.
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST (default: only with DESC).
    pub nulls_first: bool,
}

/// One aggregate of a grouping.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// The column it yields.
    pub output: ColId,
    /// Which aggregate.
    pub aggregate: AggregateId,
    /// Its arguments; none for `count(*)`.
    pub args: Vec<Expr>,
    /// DISTINCT.
    pub distinct: bool,
    /// FILTER (WHERE …).
    pub filter: Option<Expr>,
    /// ORDER BY inside the call.
    pub order_by: Vec<SortKey>,
    /// Its result type.
    pub ty: DataType,
}

/// FOR UPDATE and its kin on one table of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct LockClause {
    /// The table.
    pub table: Arc<Table>,
    /// The scan's key column.
    pub key: ColId,
    /// How strongly.
    pub strength: LockStrength,
    /// NOWAIT.
    pub wait: WaitPolicy,
    /// SKIP LOCKED.
    pub skip_locked: bool,
}

/// A relational expression. Duplicates are kept unless a node says otherwise; only `Sort` gives an
/// order, and only `Limit`, `Project` and `Filter` keep their input's.
#[derive(Debug, Clone, PartialEq)]
pub enum LogicalPlan {
    /// Constant rows. A SELECT without FROM is one row of no columns.
    Values {
        /// What it yields.
        columns: Vec<OutputColumn>,
        /// The rows.
        rows: Vec<Vec<Expr>>,
    },
    /// A table as of some time.
    Scan {
        /// The table, with the schema of that time.
        table: Arc<Table>,
        /// The time.
        at: ReadAt,
        /// The columns read.
        columns: Vec<ScanColumn>,
        /// If set, also yields (first) each row's storage key, as `bytea`.
        key: Option<ColId>,
        /// More times than one, and what versions know of themselves.
        temporal: Temporal,
    },
    /// A set-returning function, such as `generate_series`, in FROM. Arguments may use columns of
    /// earlier FROM items when it is the right side of a lateral join.
    FunctionScan {
        /// Which.
        function: SetFunction,
        /// Its arguments.
        args: Vec<Expr>,
        /// What it yields.
        columns: Vec<OutputColumn>,
    },
    /// Rows for which the predicate is true.
    Filter {
        /// From.
        input: Box<Self>,
        /// The predicate.
        predicate: Expr,
    },
    /// New columns from old ones. A bare column keeps its identity.
    Project {
        /// From.
        input: Box<Self>,
        /// What it yields.
        exprs: Vec<(ColId, Expr)>,
    },
    /// A join. If `lateral`, the right side may use the left side's columns.
    Join {
        /// Which.
        kind: JoinKind,
        /// The left side.
        left: Box<Self>,
        /// The right side.
        right: Box<Self>,
        /// The condition.
        on: Expr,
        /// LATERAL.
        lateral: bool,
    },
    /// Grouping. Without groups there is exactly one row, also for no input.
    Aggregate {
        /// From.
        input: Box<Self>,
        /// The grouping expressions and the columns they become.
        groups: Vec<(ColId, Expr)>,
        /// The aggregates.
        aggregates: Vec<AggregateCall>,
    },
    /// Grouping by several sets of the same expressions. A group's column is NULL in the rows of the
    /// sets without it.
    GroupingSets {
        /// From.
        input: Box<Self>,
        /// The grouping expressions and the columns they become.
        groups: Vec<(ColId, Expr)>,
        /// The sets, as places in `groups`. An empty one yields one row, also for no input.
        sets: Vec<Vec<usize>>,
        /// The aggregates.
        aggregates: Vec<AggregateCall>,
        /// GROUPING(…): a bit for each place in `groups`, the last one lowest, set where the row's set
        /// is without it.
        groupings: Vec<(ColId, Vec<usize>)>,
    },
    /// Window functions over one partitioning and order. Yields the input's columns, then the calls'.
    Window {
        /// From.
        input: Box<Self>,
        /// PARTITION BY
        partition: Vec<Expr>,
        /// ORDER BY
        order: Vec<SortKey>,
        /// The calls.
        calls: Vec<WindowCall>,
    },
    /// An order.
    Sort {
        /// From.
        input: Box<Self>,
        /// By what.
        keys: Vec<SortKey>,
    },
    /// LIMIT and OFFSET: `int8`, evaluated once; NULL means none.
    Limit {
        /// From.
        input: Box<Self>,
        /// At most so many.
        count: Option<Expr>,
        /// After skipping so many.
        offset: Option<Expr>,
    },
    /// DISTINCT over all columns, or DISTINCT ON (keeps the first row of each group in input order).
    Distinct {
        /// From.
        input: Box<Self>,
        /// ON.
        on: Option<Vec<Expr>>,
    },
    /// UNION, INTERSECT, EXCEPT. Both sides have as many columns, of the same types.
    SetOp {
        /// Which.
        kind: SetOpKind,
        /// ALL.
        all: bool,
        /// The left side.
        left: Box<Self>,
        /// The right side.
        right: Box<Self>,
        /// What it yields.
        columns: Vec<OutputColumn>,
    },
    /// WITH: each common table expression is computed at most once.
    With {
        /// Their plans, in order; later ones may read earlier ones.
        ctes: Vec<(CteId, Self)>,
        /// The query.
        body: Box<Self>,
    },
    /// Reads a common table expression.
    CteScan {
        /// Which.
        cte: CteId,
        /// What it yields: one for each column of the expression's plan.
        columns: Vec<OutputColumn>,
    },
    /// A query that refers to its own rows: the seed's rows, then again and again what the step makes of
    /// the rows that were new last time, until there are none.
    Recursive {
        /// What the step reads the rows of last time as, by [`LogicalPlan::WorkingTable`].
        table: CteId,
        /// UNION ALL; else a row that was there before is not new.
        all: bool,
        /// The rows to begin with.
        seed: Box<Self>,
        /// The rows to go on with.
        step: Box<Self>,
        /// What it yields.
        columns: Vec<OutputColumn>,
    },
    /// A change in a WITH clause, and what its RETURNING yields. It happens once, whether it is read or not,
    /// and sees what was there before the statement.
    Change {
        /// INSERT, UPDATE or DELETE.
        change: Box<Statement>,
        /// What it yields.
        columns: Vec<OutputColumn>,
    },
    /// The rows that were new last time, in the step of a [`LogicalPlan::Recursive`].
    WorkingTable {
        /// Of which.
        table: CteId,
        /// What it yields.
        columns: Vec<OutputColumn>,
    },
    /// FOR UPDATE and its kin.
    Lock {
        /// From.
        input: Box<Self>,
        /// The tables concerned.
        clauses: Vec<LockClause>,
    },
}

/// A function that yields rows.
#[derive(Debug, Clone, PartialEq)]
pub enum SetFunction {
    /// `generate_series(start, stop [, step])`; the element type decides the arithmetic. For
    /// timestamps the addition function is given.
    GenerateSeries {
        /// The element type.
        element: DataType,
        /// element + step → element.
        add: FunctionId,
    },
    /// `unnest(array)`: its elements in row-major order.
    Unnest,
    /// The rows of an array of two dimensions: each an array of one.
    UnnestRows,
    /// `generate_subscripts(array, dimension [, reverse])`.
    Subscripts,
    /// Several side by side, each with so many of the arguments; one that ends before the others yields
    /// NULLs.
    Zip {
        /// Which, and how many arguments each takes.
        functions: Vec<(Self, usize)>,
        /// Whether the number of the row, from 1, comes after their columns.
        ordinality: bool,
    },
    /// A system relation. Its arguments are none, or where its key begins and where it ends, both
    /// included (NULL: nowhere): rows beyond may be left out, need not be.
    System {
        /// Which.
        relation: Arc<SystemRelation>,
        /// As of when.
        at: ReadAt,
    },
    /// The rows in which a table differs between two moments: what to do to the first to get the second
    /// (`INSERT`, `UPDATE`, `DELETE`), then the columns of the first (NULL if the row is not there), then
    /// those of the second. A side is missing where the table did not exist; then the other's columns
    /// stand for it.
    TableDiff {
        /// The first.
        before: Option<TableAt>,
        /// The second.
        after: Option<TableAt>,
    },
    /// Changes in the order of commits.
    Changes(ChangesScan),
    /// A function of a user's: its rows, perhaps numbered.
    Routine {
        /// Which.
        call: Arc<RoutineCall>,
        /// Whether the number of the row, from 1, comes after its columns.
        ordinality: bool,
    },
    /// `driftdb_digest([sequence])`: the digest of history, and of what.
    Digest,
    /// `driftdb_verify_digest(sequence, digest)`: what became of the commits that a digest covers.
    VerifyDigest,
}

impl LogicalPlan {
    /// Calls `visit` for each direct input.
    pub fn for_each_input(&self, visit: &mut dyn FnMut(&Self)) {
        match self {
            Self::Values { .. }
            | Self::Scan { .. }
            | Self::FunctionScan { .. }
            | Self::WorkingTable { .. }
            | Self::Change { .. }
            | Self::CteScan { .. } => {}
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Aggregate { input, .. }
            | Self::GroupingSets { input, .. }
            | Self::Window { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input, .. }
            | Self::Lock { input, .. } => visit(input),
            Self::Join { left, right, .. }
            | Self::SetOp { left, right, .. }
            | Self::Recursive { seed: left, step: right, .. } => {
                visit(left);
                visit(right);
            }
            Self::With { ctes, body } => {
                ctes.iter().for_each(|(_, plan)| visit(plan));
                visit(body);
            }
        }
    }

    /// What the node yields, in order.
    pub fn columns(&self) -> Vec<OutputColumn> {
        match self {
            Self::Values { columns, .. }
            | Self::FunctionScan { columns, .. }
            | Self::SetOp { columns, .. }
            | Self::Recursive { columns, .. }
            | Self::WorkingTable { columns, .. }
            | Self::Change { columns, .. }
            | Self::CteScan { columns, .. } => columns.clone(),
            Self::Window { input, calls, .. } => {
                let mut columns = input.columns();
                columns.extend(calls.iter().map(|c| OutputColumn { id: c.output, ty: c.ty }));
                columns
            }
            Self::GroupingSets { groups, aggregates, groupings, .. } => {
                let groups =
                    groups.iter().map(|(id, expr)| OutputColumn { id: *id, ty: expr.ty() });
                let calls = aggregates.iter().map(|a| OutputColumn { id: a.output, ty: a.ty });
                let bits =
                    groupings.iter().map(|(id, _)| OutputColumn { id: *id, ty: DataType::Int4 });
                groups.chain(calls).chain(bits).collect()
            }
            Self::Scan { table, columns, key, temporal, .. } => {
                let system = temporal.system.iter();
                let system = system.map(|(id, column)| OutputColumn { id: *id, ty: column.ty() });
                let key = key.map(|id| OutputColumn { id, ty: DataType::Bytea });
                let scanned = columns
                    .iter()
                    .map(|c| OutputColumn { id: c.id, ty: table.columns[c.position].ty });
                key.into_iter().chain(scanned).chain(system).collect()
            }
            Self::Filter { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input, .. }
            | Self::Lock { input, .. } => input.columns(),
            Self::With { body, .. } => body.columns(),
            Self::Project { exprs, .. } => {
                exprs.iter().map(|(id, expr)| OutputColumn { id: *id, ty: expr.ty() }).collect()
            }
            Self::Join { kind: JoinKind::Semi | JoinKind::Anti, left, .. } => left.columns(),
            Self::Join { left, right, .. } => {
                let mut columns = left.columns();
                columns.extend(right.columns());
                columns
            }
            Self::Aggregate { groups, aggregates, .. } => {
                let groups =
                    groups.iter().map(|(id, expr)| OutputColumn { id: *id, ty: expr.ty() });
                let calls = aggregates.iter().map(|a| OutputColumn { id: a.output, ty: a.ty });
                groups.chain(calls).collect()
            }
        }
    }

    /// One row without columns.
    pub fn one_row() -> Self {
        Self::Values { columns: Vec::new(), rows: vec![Vec::new()] }
    }
}
