//! The query contract: what flows between text and rows.
//!
//! ```text
//! text --sql--> Statement (typed, columns by id) --planner--> PhysicalStatement --executor--> batches
//! ```
//!
//! `sql` binds names to a [`Catalog`] and yields a [`Statement`]; a [`Planner`] turns it into a
//! [`PhysicalStatement`]; the executor runs that on a [`driftdb_concurrency::Transaction`]. Nothing
//! here knows an engine, a parser's tree or the wire.
//!
//! Invariants
//! * A [`LogicalPlan`] names columns by [`ColId`], unique within a statement; a [`PhysicalPlan`] by
//!   position ([`Expr::Slot`]). No names survive binding, except for display.
//! * Every table reference carries the time it reads at, and the schema of that time.
//! * An expression has one meaning: [`eval::eval`]; vector evaluation must agree with it.

mod branch;
mod catalog;
mod changes;
mod comment;
mod error;
pub mod eval;
mod expr;
mod history;
pub mod implied;
mod index;
mod integrity;
mod logical;
mod materialized;
mod merge;
mod object;
mod period;
mod physical;
mod planner;
mod portal;
mod privilege;
mod role;
mod routine;
mod rules;
mod schema;
mod sequence;
mod statement;
mod system;
mod temporal;
mod user_type;
mod variables;
mod view;
mod window;

pub use branch::BranchStatement;
pub use catalog::{
    Catalog, CatalogAt, Check, Column, ColumnId, Generated, IndexId, RowKey, Table, TableId,
};
pub use changes::ChangesScan;
pub use comment::{Comment, CommentSubject};
pub use error::{Result, SqlError};
pub use expr::{BoolTest, ColId, Expr, Subplan, Subquery, SubqueryKind};
pub use history::{HistoryStatement, RestoredTable, TableAt};
pub use index::{BoundTerm, FIRST_TERM, Index, IndexColumn, Term};
pub use integrity::{ConstraintId, Deferral, ForeignKey, ReferentialAction, Related, RelatedTable};
pub use logical::{
    AggregateCall, CteId, JoinKind, LockClause, LogicalPlan, OutputColumn, ScanColumn, SetFunction,
    SetOpKind, SortKey,
};
pub use materialized::{Materialized, MaterializedSpec, Refresh};
pub use merge::{Merge, MergeAction, MergeClause, PhysicalMerge, PhysicalMergeAction};
pub use object::{NameSpace, Need, Object, ObjectId, ObjectKind, TableNeed, TablePart};
pub use period::{ApplicationPeriod, PeriodSpec, Portion};
pub use physical::{
    AccessPath, KeyBound, KeyBounds, PhysicalAggregate, PhysicalConflict, PhysicalDelete,
    PhysicalInsert, PhysicalLock, PhysicalPlan, PhysicalPortion, PhysicalQuery, PhysicalSortKey,
    PhysicalStatement, PhysicalUpdate, TableAccess,
};
pub use planner::{PlanContext, Planner};
pub use portal::{ChannelStatement, DeclareCursor, Fetch, FetchStep};
pub use privilege::{AclItem, Demand, Privileges, Rights, Securable, Subject};
pub use role::{
    Acting, BOOTSTRAP_ROLE, CHECKPOINT_ROLE, DATABASE_OWNER_ROLE, EVERYBODY, FIXED_ROLES, Known,
    Membership, Named, READ_ALL_ROLE, Role, RoleOptions, RoleRef, RoleStatement, SIGNAL_ROLE,
    WRITE_ALL_ROLE,
};
pub use routine::{
    Argument, ArgumentMode, Given, Language, Routine, RoutineCall, RoutineColumn, RoutineStatement,
    Trigger, TriggerEvents, TriggerTime, routine_signature,
};
pub use rules::RowRules;
pub use schema::{
    OnCommit, PUBLIC, PUBLIC_ID, Schema, SchemaStatement, TEMPORARY, is_temporary, temporary_schema,
};
pub use sequence::{SequenceDefinition, SequenceOptions, SequenceSpec, SequenceStatement};
pub use statement::{
    AlterAction, ColumnSpec, ConflictAction, ConflictTarget, ConstraintSpec, Copy, CopyFormat,
    CopyHeader, CopyOptions, CopySource, CreateIndex, CreateTable, Delete, DropObjects, Explain,
    ExplainFormat, ExplainOutput, Field, ForeignKeySpec, IndexAction, Insert, IsolationChoice,
    KeyExtra, KeyOf, KeySpec, LockTable, Parameter, PastTime, Query, SetScope, Statement,
    TransactionModes, TransactionStatement, Update,
};
pub use system::{
    INFORMATION_SCHEMA, NoSystemRows, OWNER, SYSTEM_SCHEMA, SystemRelation, SystemRows, SystemScan,
};
pub use temporal::{
    AccessTemporal, Moment, Period, PeriodForm, Span, SystemColumn, Temporal, timestamptz_of,
};
pub use user_type::{
    TypeChange, TypeDefinition, TypeOid, TypeStatement, array_type_oid, need_of_type, object_type,
    row_type_oid, table_type, view_type,
};
pub use variables::{Precedence, Variable, Variables};
pub use view::{
    CheckOption, Marker, View, ViewColumn, ViewStatement, checked_view, expand, plain, view_check,
};
pub use window::{Frame, FrameBound, FrameExclusion, FrameUnits, WindowCall, WindowFunction};
