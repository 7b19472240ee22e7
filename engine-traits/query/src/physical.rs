//! The physical algebra: how it is computed, columns by position.

use std::sync::Arc;

use driftdb_concurrency::{LockStrength, ReadAt, WaitPolicy};
use driftdb_types::{AggregateId, DataType};

use crate::logical::SetFunction;
use crate::{
    AccessTemporal, AlterAction, Comment, ConflictTarget, Copy, CreateIndex, CreateTable, CteId,
    DropObjects, ExplainOutput, Expr, Field, HistoryStatement, IndexId, JoinKind, LockTable,
    Related, RoutineStatement, RowRules, SchemaStatement, SequenceStatement, SetOpKind,
    SystemColumn, Table, TypeStatement, ViewStatement, WindowCall,
};

/// One end of a key range.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyBound {
    /// No limit.
    Unbounded,
    /// Up to and including.
    Included(Expr),
    /// Up to, not including.
    Excluded(Expr),
}

/// Which entries of a key or index to visit: equality on a prefix of its columns, then at most one
/// range on the next. Expressions are free of columns (constants, parameters, outer values) and have
/// their column's type, or a string's or integer's of another width; if one is NULL, nothing matches.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyBounds {
    /// Values of the leading columns.
    pub equal: Vec<Expr>,
    /// Lower limit on the column after them.
    pub lower: KeyBound,
    /// Upper limit on the same column.
    pub upper: KeyBound,
}

impl KeyBounds {
    /// Everything.
    pub const ALL: Self =
        Self { equal: Vec::new(), lower: KeyBound::Unbounded, upper: KeyBound::Unbounded };
}

/// How a table's rows are reached.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessPath {
    /// In key order: all rows, or a range of the primary key.
    Table {
        /// The range; only a [`crate::RowKey::Primary`] table has one.
        bounds: KeyBounds,
    },
    /// One row by its whole primary key ([`crate::RowKey::Primary`]).
    Point {
        /// The key's values.
        key: Vec<Expr>,
    },
    /// Through a secondary index, then the rows.
    Index {
        /// Which.
        index: IndexId,
        /// The range.
        bounds: KeyBounds,
    },
}

/// A table as of some time or over a stretch of time, by some path. Yields the storage key (if asked,
/// first), then the columns, then the system columns.
#[derive(Debug, Clone, PartialEq)]
pub struct TableAccess {
    /// The table, with the schema of that time.
    pub table: Arc<Table>,
    /// The time.
    pub at: ReadAt,
    /// The path.
    pub path: AccessPath,
    /// Positions in [`Table::columns`], in output order.
    pub columns: Vec<usize>,
    /// Whether the storage key comes first, as `bytea`.
    pub with_key: bool,
    /// Over the output; rows for which it is not true are skipped.
    pub filter: Option<Expr>,
    /// Descending.
    pub reverse: bool,
    /// More times than one, and what versions know of themselves. Unless [`crate::Span::Once`], the
    /// path is only where to look: `filter` decides by itself, and no order is promised.
    pub temporal: AccessTemporal,
}

impl TableAccess {
    /// The types of the columns it yields.
    pub fn types(&self) -> Vec<DataType> {
        let key = self.with_key.then_some(DataType::Bytea);
        let columns = self.columns.iter().map(|&position| self.table.columns[position].ty);
        let system = self.temporal.system.iter().map(|column| column.ty());
        key.into_iter().chain(columns).chain(system).collect()
    }
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalSortKey {
    /// What.
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST.
    pub nulls_first: bool,
}

/// One aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalAggregate {
    /// Which.
    pub aggregate: AggregateId,
    /// Its arguments over the input.
    pub args: Vec<Expr>,
    /// DISTINCT.
    pub distinct: bool,
    /// FILTER.
    pub filter: Option<Expr>,
    /// ORDER BY inside the call.
    pub order_by: Vec<PhysicalSortKey>,
    /// Its result type.
    pub ty: DataType,
}

/// An operator and its inputs. Expressions are over the operator's input row (joins: left columns,
/// then right).
#[derive(Debug, Clone, PartialEq)]
pub enum PhysicalPlan {
    /// Constant rows.
    Values {
        /// The rows.
        rows: Vec<Vec<Expr>>,
        /// The types of the columns.
        types: Vec<DataType>,
    },
    /// A table.
    Access(TableAccess),
    /// A set-returning function.
    FunctionScan {
        /// Which.
        function: SetFunction,
        /// Its arguments, free of columns.
        args: Vec<Expr>,
        /// The types of the columns.
        types: Vec<DataType>,
    },
    /// Rows for which the predicate is true.
    Filter {
        /// From.
        input: Box<Self>,
        /// The predicate.
        predicate: Expr,
    },
    /// New columns.
    Project {
        /// From.
        input: Box<Self>,
        /// The columns.
        exprs: Vec<Expr>,
    },
    /// Builds a hash table of the right side, probes with the left. Keeps the left side's order for
    /// Inner, Left, Semi and Anti.
    HashJoin {
        /// Which.
        kind: JoinKind,
        /// The left side.
        left: Box<Self>,
        /// The right side.
        right: Box<Self>,
        /// Over the left side.
        left_keys: Vec<Expr>,
        /// Over the right side; of the same types.
        right_keys: Vec<Expr>,
        /// The rest of the condition, over both.
        residual: Option<Expr>,
    },
    /// Compares all pairs; the right side is computed once and kept.
    NestedLoopJoin {
        /// Which.
        kind: JoinKind,
        /// The left side.
        left: Box<Self>,
        /// The right side.
        right: Box<Self>,
        /// The condition, over both.
        on: Option<Expr>,
    },
    /// Runs the right side again for each left row, handing down values: lateral joins, and index
    /// nested-loop joins (the right side then is an access with `Expr::Outer` in its bounds).
    Apply {
        /// Inner, Left, Semi or Anti.
        kind: JoinKind,
        /// The left side.
        left: Box<Self>,
        /// The right side; `Expr::Outer { index }` in it is `outer[index]`.
        right: Box<Self>,
        /// Over the left row.
        outer: Vec<Expr>,
        /// The condition, over both.
        on: Option<Expr>,
    },
    /// Grouping by hashing. Yields the groups, then the aggregates.
    Aggregate {
        /// From.
        input: Box<Self>,
        /// The groups; if empty there is exactly one row.
        groups: Vec<Expr>,
        /// The aggregates.
        aggregates: Vec<PhysicalAggregate>,
    },
    /// Grouping by several sets of the same expressions. Yields the groups, then the aggregates, then the
    /// bits of GROUPING.
    GroupingSets {
        /// From.
        input: Box<Self>,
        /// The groups.
        groups: Vec<Expr>,
        /// The sets, as places in `groups`.
        sets: Vec<Vec<usize>>,
        /// The aggregates.
        aggregates: Vec<PhysicalAggregate>,
        /// For each GROUPING its places in `groups`.
        groupings: Vec<Vec<usize>>,
    },
    /// Window functions over rows that are sorted by partition, then by the order. Keeps that order.
    Window {
        /// From.
        input: Box<Self>,
        /// Where these change, a partition begins.
        partition: Vec<Expr>,
        /// The order within.
        order: Vec<PhysicalSortKey>,
        /// The calls.
        calls: Vec<WindowCall>,
    },
    /// A query that refers to its own rows; as [`crate::LogicalPlan::Recursive`].
    Recursive {
        /// The rows of last time.
        table: CteId,
        /// UNION ALL.
        all: bool,
        /// The rows to begin with.
        seed: Box<Self>,
        /// The rows to go on with.
        step: Box<Self>,
    },
    /// A change in a WITH clause.
    Change {
        /// Which.
        change: Box<PhysicalStatement>,
        /// The types of what it returns.
        types: Vec<DataType>,
    },
    /// The rows that were new last time.
    WorkingTable {
        /// Of which.
        table: CteId,
        /// The types of its columns.
        types: Vec<DataType>,
    },
    /// An order; stable. With a limit only the first rows are kept.
    Sort {
        /// From.
        input: Box<Self>,
        /// By what.
        keys: Vec<PhysicalSortKey>,
        /// `int8` expressions whose sum bounds the rows that are needed (LIMIT + OFFSET).
        top: Vec<Expr>,
    },
    /// LIMIT and OFFSET.
    Limit {
        /// From.
        input: Box<Self>,
        /// At most so many.
        count: Option<Expr>,
        /// After skipping so many.
        offset: Option<Expr>,
    },
    /// The first row of each group of equal values of `on` (all columns if empty), in input order.
    Distinct {
        /// From.
        input: Box<Self>,
        /// ON.
        on: Vec<Expr>,
    },
    /// UNION, INTERSECT, EXCEPT; UNION ALL is the left rows, then the right rows.
    SetOp {
        /// Which.
        kind: SetOpKind,
        /// ALL.
        all: bool,
        /// The left side.
        left: Box<Self>,
        /// The right side.
        right: Box<Self>,
    },
    /// WITH.
    With {
        /// The common table expressions; each computed when first read, and kept.
        ctes: Vec<(CteId, Self)>,
        /// The query.
        body: Box<Self>,
    },
    /// Reads a common table expression.
    CteScan {
        /// Which.
        cte: CteId,
        /// The types of its columns.
        types: Vec<DataType>,
    },
    /// FOR UPDATE and its kin: locks each row's key; one that changed meanwhile is read again (READ
    /// COMMITTED) and must still pass `recheck`.
    Lock {
        /// From.
        input: Box<Self>,
        /// What to lock.
        clauses: Vec<PhysicalLock>,
    },
}

/// One table's part of a [`PhysicalPlan::Lock`].
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalLock {
    /// The table.
    pub table: Arc<Table>,
    /// The input slot with the storage key.
    pub key: usize,
    /// For each input slot that holds a column of this table: (slot, position in the table).
    pub columns: Vec<(usize, usize)>,
    /// How strongly.
    pub strength: LockStrength,
    /// NOWAIT.
    pub wait: WaitPolicy,
    /// SKIP LOCKED.
    pub skip_locked: bool,
    /// Over the input row with the new column values: whether it still qualifies.
    pub recheck: Option<Expr>,
}

/// A query with its result columns.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalQuery {
    /// The plan; yields exactly the fields.
    pub plan: PhysicalPlan,
    /// The result columns.
    pub fields: Vec<Field>,
}

/// An INSERT, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalInsert {
    /// Into.
    pub table: Arc<Table>,
    /// Yields whole rows: one value per table column, coerced, defaults filled in.
    pub source: PhysicalPlan,
    /// What new rows have to go through, over the row.
    pub checks: RowRules,
    /// What foreign keys lead to.
    pub related: Arc<Related>,
    /// ON CONFLICT.
    pub on_conflict: Option<PhysicalConflict>,
    /// RETURNING, over the row.
    pub returning: Option<Vec<Expr>>,
    /// The columns of RETURNING.
    pub fields: Vec<Field>,
}

/// ON CONFLICT, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalConflict {
    /// Which unique indexes count; all if absent.
    pub target: ConflictTarget,
    /// `None`: DO NOTHING. Else assignments (table position, value) over the existing row followed by
    /// the row proposed for insertion.
    pub update: Option<Vec<(usize, Expr)>>,
    /// WHERE of DO UPDATE, over the same.
    pub filter: Option<Expr>,
}

/// FOR PORTION OF, ready to run: see [`crate::Portion`].
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalPortion {
    /// The position of the column with which a row begins to hold.
    pub start: usize,
    /// The position of the column with which it ends.
    pub end: usize,
    /// The portion's beginning.
    pub from: Expr,
    /// The portion's end.
    pub to: Expr,
    /// Over the source row: whether the row holds before the portion, too.
    pub is_before: Expr,
    /// Over the source row: whether the row holds after the portion, too.
    pub is_after: Expr,
    /// What new rows have to go through, over what is left.
    pub checks: RowRules,
}

/// An UPDATE, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalUpdate {
    /// What.
    pub table: Arc<Table>,
    /// Yields the storage key, then the whole old row (every table column in order), then whatever
    /// else the expressions need.
    pub source: PhysicalPlan,
    /// (table position, value over the source row).
    pub assignments: Vec<(usize, Expr)>,
    /// The target's system columns that the expressions need, and where the source row has them.
    pub system: Vec<(usize, SystemColumn)>,
    /// Over the source row: whether a row that changed meanwhile still qualifies.
    pub recheck: Option<Expr>,
    /// What new rows have to go through, over the new row.
    pub checks: RowRules,
    /// What foreign keys lead to.
    pub related: Arc<Related>,
    /// FOR PORTION OF.
    pub portion: Option<PhysicalPortion>,
    /// RETURNING, over the new row followed by the rest of the source row (after key and old row).
    pub returning: Option<Vec<Expr>>,
    /// The columns of RETURNING.
    pub fields: Vec<Field>,
}

/// A DELETE, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalDelete {
    /// From.
    pub table: Arc<Table>,
    /// As for an UPDATE.
    pub source: PhysicalPlan,
    /// As for an UPDATE.
    pub system: Vec<(usize, SystemColumn)>,
    /// As for an UPDATE.
    pub recheck: Option<Expr>,
    /// What foreign keys lead to.
    pub related: Arc<Related>,
    /// FOR PORTION OF.
    pub portion: Option<PhysicalPortion>,
    /// RETURNING, over the old row followed by the rest of the source row.
    pub returning: Option<Vec<Expr>>,
    /// The columns of RETURNING.
    pub fields: Vec<Field>,
}

/// What the executor runs. Session statements (SET, BEGIN, PREPARE, …) never get here.
#[derive(Debug, Clone, PartialEq)]
pub enum PhysicalStatement {
    /// A query.
    Query(PhysicalQuery),
    /// INSERT
    Insert(PhysicalInsert),
    /// UPDATE
    Update(PhysicalUpdate),
    /// DELETE
    Delete(PhysicalDelete),
    /// MERGE
    Merge(Box<crate::PhysicalMerge>),
    /// CREATE TABLE, with the query of CREATE TABLE AS
    CreateTable(CreateTable, Option<PhysicalPlan>),
    /// REFRESH MATERIALIZED VIEW; without a query WITH NO DATA
    Refresh(crate::Refresh, Option<PhysicalPlan>),
    /// CREATE INDEX
    CreateIndex(CreateIndex),
    /// DROP TABLE, DROP INDEX
    Drop(DropObjects),
    /// ALTER TABLE: each action with a plan that yields a row if existing rows violate it
    AlterTable {
        /// Which.
        table: Arc<Table>,
        /// What, in order.
        actions: Vec<(AlterAction, Option<PhysicalPlan>)>,
    },
    /// TRUNCATE
    Truncate {
        /// Which.
        tables: Vec<Arc<Table>>,
        /// CASCADE: tables that refer to them, too.
        cascade: bool,
        /// RESTART IDENTITY: the sequences of their columns begin anew.
        restart: bool,
    },
    /// CREATE SEQUENCE and its kin
    Sequence(SequenceStatement),
    /// CREATE, ALTER and DROP of TYPE and DOMAIN.
    Type(TypeStatement),
    /// SET CONSTRAINTS
    SetConstraints {
        /// Which, with their schemas if named; `None`: ALL.
        names: Option<Vec<(Option<String>, String)>>,
        /// DEFERRED, not IMMEDIATE.
        deferred: bool,
    },
    /// CREATE VIEW and its kin
    View(ViewStatement),
    /// COMMENT ON
    Comment(Comment),
    /// CREATE SCHEMA and its kin
    Schema(SchemaStatement),
    /// CREATE ROLE, GRANT and their kin
    Role(crate::RoleStatement),
    /// LOCK TABLE
    LockTable(LockTable),
    /// COPY FROM: rows arrive outside; TO: the query
    Copy(Copy, Option<PhysicalPlan>),
    /// EXPLAIN
    Explain {
        /// What.
        statement: Box<Self>,
        /// ANALYZE: run it, too.
        analyze: bool,
        /// What it shows.
        output: ExplainOutput,
    },
    /// CREATE FUNCTION and its kin, without a plan
    Routine(RoutineStatement),
    /// CALL: a query whose rows are given if the procedure has OUT arguments
    Call(PhysicalQuery, bool),
    /// VACUUM [ANALYZE] of some tables, or all
    Vacuum {
        /// Which; empty: all.
        tables: Vec<Arc<Table>>,
        /// Count rows, too.
        analyze: bool,
    },
    /// ANALYZE of some tables, or all
    Analyze(Vec<Arc<Table>>),
    /// RESTORE POINT and its kin
    History(HistoryStatement),
}

impl PhysicalPlan {
    /// The changes of a statement's WITH clause, which stands at its top.
    pub fn changes(&self) -> Vec<&PhysicalStatement> {
        match self {
            Self::With { ctes, body } => {
                let own = ctes.iter().filter_map(|(_, plan)| match plan {
                    Self::Change { change, .. } => Some(&**change),
                    _ => None,
                });
                own.chain(body.changes()).collect()
            }
            Self::Project { input, .. }
            | Self::Filter { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. } => input.changes(),
            _ => Vec::new(),
        }
    }

    /// The types of the columns it yields.
    pub fn types(&self) -> Vec<DataType> {
        match self {
            Self::Values { types, .. }
            | Self::FunctionScan { types, .. }
            | Self::WorkingTable { types, .. }
            | Self::Change { types, .. }
            | Self::CteScan { types, .. } => types.clone(),
            Self::Recursive { seed, .. } => seed.types(),
            Self::Window { input, calls, .. } => {
                let mut types = input.types();
                types.extend(calls.iter().map(|call| call.ty));
                types
            }
            Self::GroupingSets { groups, aggregates, groupings, .. } => {
                let calls = aggregates.iter().map(|a| a.ty);
                let bits = groupings.iter().map(|_| DataType::Int4);
                groups.iter().map(Expr::ty).chain(calls).chain(bits).collect()
            }
            Self::Access(access) => access.types(),
            Self::Filter { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input, .. }
            | Self::Lock { input, .. } => input.types(),
            Self::With { body, .. } => body.types(),
            Self::SetOp { left, .. } => left.types(),
            Self::Project { exprs, .. } => exprs.iter().map(Expr::ty).collect(),
            Self::HashJoin { kind, left, right, .. }
            | Self::NestedLoopJoin { kind, left, right, .. }
            | Self::Apply { kind, left, right, .. } => {
                let mut types = left.types();
                if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
                    types.extend(right.types());
                }
                types
            }
            Self::Aggregate { groups, aggregates, .. } => {
                groups.iter().map(Expr::ty).chain(aggregates.iter().map(|a| a.ty)).collect()
            }
        }
    }
}
