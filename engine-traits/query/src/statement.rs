//! Bound statements.

use std::sync::Arc;

use driftdb_concurrency::{IsolationLevel, Keep, LockMode};
use driftdb_storage::Timestamp;
use driftdb_types::{DataType, Value};

use crate::{
    BranchStatement, ChannelStatement, ColId, ColumnId, Comment, DeclareCursor, Deferral, Expr,
    Fetch, HistoryStatement, IndexId, LogicalPlan, MaterializedSpec, Need, OnCommit, PeriodSpec,
    Portion, ReferentialAction, Related, RoleStatement, RoutineStatement, RowRules,
    SchemaStatement, SequenceSpec, SequenceStatement, SystemColumn, Table, TableNeed, Term,
    TypeStatement, ViewStatement,
};

/// A column of a result, as the wire describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
    /// Its type's modifier, or -1.
    pub typmod: i32,
    /// The table's identifier and the column's number, if it is a bare column; else zeroes.
    pub origin: (u32, u16),
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Its plan; yields exactly the fields, in order.
    pub plan: LogicalPlan,
    /// The result columns.
    pub fields: Vec<Field>,
}

/// INSERT.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// Into.
    pub table: Arc<Table>,
    /// Yields whole rows: one value per table column, coerced, defaults filled in.
    pub source: LogicalPlan,
    /// The identities under which the other expressions name the new row's columns.
    pub row: Vec<ColId>,
    /// What new rows have to go through, over `row`.
    pub checks: RowRules,
    /// What foreign keys lead to.
    pub related: Arc<Related>,
    /// ON CONFLICT.
    pub on_conflict: Option<ConflictAction>,
    /// RETURNING, over `row`.
    pub returning: Option<Vec<Expr>>,
    /// The columns of RETURNING.
    pub fields: Vec<Field>,
}

/// Which conflicts ON CONFLICT means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConflictTarget {
    /// Any unique index.
    Any,
    /// One of these.
    Indexes(Vec<IndexId>),
}

/// ON CONFLICT.
#[derive(Debug, Clone, PartialEq)]
pub struct ConflictAction {
    /// Which conflicts.
    pub target: ConflictTarget,
    /// The identities under which `update` and `filter` name the existing row's columns; the row
    /// proposed for insertion (`excluded`) is the statement's `row`.
    pub existing: Vec<ColId>,
    /// `None`: DO NOTHING. Else (table position, value).
    pub update: Option<Vec<(usize, Expr)>>,
    /// WHERE of DO UPDATE.
    pub filter: Option<Expr>,
}

/// UPDATE.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What.
    pub table: Arc<Table>,
    /// Yields the storage key first, then the whole old row (the target's scan reads every column, in
    /// order), then the columns of other FROM items; WHERE is a Filter in it.
    pub source: LogicalPlan,
    /// The storage key's identity.
    pub key: ColId,
    /// The old row's identities, one per table column.
    pub old: Vec<ColId>,
    /// The target's system columns, as the scan has them.
    pub system: Vec<(ColId, SystemColumn)>,
    /// (table position, value over the source).
    pub assignments: Vec<(usize, Expr)>,
    /// WHERE again, over the source: for a row that changed while it was waited for.
    pub recheck: Option<Expr>,
    /// The identities under which `checks` and `returning` name the new row's columns.
    pub row: Vec<ColId>,
    /// What new rows have to go through, over `row`.
    pub checks: RowRules,
    /// What foreign keys lead to.
    pub related: Arc<Related>,
    /// FOR PORTION OF.
    pub portion: Option<Portion>,
    /// RETURNING, over `row` and the other FROM items' columns.
    pub returning: Option<Vec<Expr>>,
    /// The columns of RETURNING.
    pub fields: Vec<Field>,
}

/// DELETE.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// From.
    pub table: Arc<Table>,
    /// As for [`Update::source`].
    pub source: LogicalPlan,
    /// The storage key's identity.
    pub key: ColId,
    /// The old row's identities, one per table column.
    pub old: Vec<ColId>,
    /// The target's system columns, as the scan has them.
    pub system: Vec<(ColId, SystemColumn)>,
    /// WHERE again, over the source.
    pub recheck: Option<Expr>,
    /// What foreign keys lead to.
    pub related: Arc<Related>,
    /// FOR PORTION OF.
    pub portion: Option<Portion>,
    /// RETURNING, over `old` and the other FROM items' columns.
    pub returning: Option<Vec<Expr>>,
    /// The columns of RETURNING.
    pub fields: Vec<Field>,
}

/// LOCK TABLE.
#[derive(Debug, Clone, PartialEq)]
pub struct LockTable {
    /// Which, in order.
    pub tables: Vec<Arc<Table>>,
    /// How.
    pub mode: LockMode,
    /// NOWAIT.
    pub no_wait: bool,
}

/// A column to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
    /// Its type's modifier, or -1.
    pub typmod: i32,
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT, as SQL text (checked by the binder).
    pub default: Option<String>,
    /// GENERATED ALWAYS AS (…) STORED, as SQL text (checked by the binder).
    pub stored: Option<String>,
    /// The sequence that comes with it.
    pub sequence: Option<SequenceSpec>,
    /// What its default needs.
    pub needs: Vec<Need>,
}

impl ColumnSpec {
    /// A column that may be NULL, without a default.
    pub fn new(name: String, ty: DataType, typmod: i32) -> Self {
        let (not_null, default, stored, sequence, needs) = (false, None, None, None, Vec::new());
        Self { name, ty, typmod, not_null, default, stored, sequence, needs }
    }
}

/// A constraint to be created. Names are chosen by the binder where the user gave none.
#[derive(Debug, Clone, PartialEq)]
pub enum ConstraintSpec {
    /// PRIMARY KEY
    PrimaryKey {
        /// Its name.
        name: String,
        /// Its columns by name.
        columns: Vec<String>,
        /// When it is checked.
        deferral: Deferral,
        /// What else is said of its index.
        extra: KeyExtra,
    },
    /// UNIQUE
    Unique {
        /// Its name.
        name: String,
        /// Its columns by name.
        columns: Vec<String>,
        /// When it is checked.
        deferral: Deferral,
        /// What else is said of its index.
        extra: KeyExtra,
    },
    /// CHECK
    Check {
        /// Its name.
        name: String,
        /// Its condition, as SQL text (checked by the binder).
        condition: String,
        /// NOT VALID: existing rows are not looked at.
        not_valid: bool,
        /// NO INHERIT
        no_inherit: bool,
    },
    /// PRIMARY KEY or UNIQUE USING INDEX: an index that is there becomes the constraint's.
    UsingIndex {
        /// Its name, which the index takes.
        name: String,
        /// Which.
        index: IndexId,
        /// PRIMARY KEY rather than UNIQUE.
        primary: bool,
        /// When it is checked.
        deferral: Deferral,
    },
    /// FOREIGN KEY
    ForeignKey(ForeignKeySpec),
}

/// What is said of the index of a PRIMARY KEY or UNIQUE besides its columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyExtra {
    /// INCLUDE: columns by name.
    pub include: Vec<String>,
    /// NULLS NOT DISTINCT
    pub nulls_equal: bool,
    /// WITH (…)
    pub options: Vec<(String, String)>,
}

/// A foreign key to be created: by names, since the columns may come with it.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignKeySpec {
    /// Its name.
    pub name: String,
    /// The referencing columns.
    pub columns: Vec<String>,
    /// The referenced table; `None`: the same.
    pub referenced: Option<Arc<Table>>,
    /// The referenced columns; empty: the primary key's.
    pub referenced_columns: Vec<String>,
    /// MATCH FULL
    pub match_full: bool,
    /// ON DELETE
    pub on_delete: ReferentialAction,
    /// The columns that ON DELETE sets; empty: all.
    pub delete_columns: Vec<String>,
    /// ON UPDATE
    pub on_update: ReferentialAction,
    /// When it is checked.
    pub deferral: Deferral,
    /// NOT VALID: existing rows are not looked at.
    pub not_valid: bool,
}

/// CREATE TABLE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The columns.
    pub columns: Vec<ColumnSpec>,
    /// The constraints.
    pub constraints: Vec<ConstraintSpec>,
    /// How long its history is kept; `None`: as long as the database's.
    pub retention: Option<Keep>,
    /// PERIOD FOR
    pub period: Option<PeriodSpec>,
    /// ON COMMIT, of a temporary table.
    pub on_commit: OnCommit,
    /// What makes it a materialized view, if it shall be one.
    pub materialized: Option<Box<MaterializedSpec>>,
}

/// CREATE INDEX.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateIndex {
    /// On.
    pub table: Arc<Table>,
    /// Its name, chosen by the binder where the user gave none.
    pub name: String,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// UNIQUE.
    pub unique: bool,
    /// Its columns.
    pub columns: Vec<KeySpec>,
    /// WHERE
    pub predicate: Option<Term>,
    /// INCLUDE: columns by position.
    pub include: Vec<usize>,
    /// NULLS NOT DISTINCT
    pub nulls_equal: bool,
    /// USING hash
    pub is_hash: bool,
    /// WITH (…)
    pub options: Vec<(String, String)>,
    /// CONCURRENTLY, which no block of statements may hold.
    pub concurrently: bool,
    /// What its expressions need.
    pub needs: Vec<Need>,
}

/// One column of an index to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySpec {
    /// What it is of.
    pub of: KeyOf,
    /// DESC
    pub descending: bool,
    /// NULLS FIRST
    pub nulls_first: bool,
    /// An operator class that orders texts by bytes was named.
    pub by_pattern: bool,
}

/// What a column of an index is of.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyOf {
    /// A column of the table, by position.
    Column(usize),
    /// An expression; its number is chosen when it is created.
    Term(Term),
}

impl CreateIndex {
    /// An index on columns by position, each with DESC or not.
    pub fn on(table: Arc<Table>, name: impl Into<String>, columns: &[(usize, bool)]) -> Self {
        let key = |&(position, descending): &(usize, bool)| KeySpec {
            of: KeyOf::Column(position),
            descending,
            nulls_first: descending,
            by_pattern: false,
        };
        Self {
            table,
            name: name.into(),
            if_not_exists: false,
            unique: false,
            columns: columns.iter().map(key).collect(),
            predicate: None,
            include: Vec::new(),
            nulls_equal: false,
            is_hash: false,
            options: Vec::new(),
            concurrently: false,
            needs: Vec::new(),
        }
    }
}

/// DROP TABLE, DROP INDEX. Missing objects under IF EXISTS are left out, with a notice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DropObjects {
    /// Tables.
    pub tables: Vec<Arc<Table>>,
    /// Indexes and their tables.
    pub indexes: Vec<(Arc<Table>, IndexId)>,
    /// What IF EXISTS did not find: texts of notices.
    pub notices: Vec<String>,
    /// CASCADE: what depends on them goes, too.
    pub cascade: bool,
    /// DROP INDEX CONCURRENTLY, which no block of statements may hold.
    pub concurrently: bool,
    /// DROP MATERIALIZED VIEW: the tables are such.
    pub are_materialized: bool,
}

/// One action of ALTER TABLE.
#[derive(Debug, Clone, PartialEq)]
pub enum AlterAction {
    /// ADD COLUMN. The default's value for existing rows is evaluated once, by the executor.
    AddColumn {
        /// The column.
        column: ColumnSpec,
        /// Its default, bound, if it has one and all existing rows get the same.
        default: Option<Expr>,
        /// What each existing row gets, over its columns by position, if not all get the same: the table is
        /// rewritten.
        fill: Option<Expr>,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// DROP COLUMN
    DropColumn {
        /// Its position in the table.
        position: usize,
        /// CASCADE: what depends on it goes, too.
        cascade: bool,
    },
    /// ADD CONSTRAINT
    AddConstraint(ConstraintSpec),
    /// DROP CONSTRAINT
    DropConstraint {
        /// Its name.
        name: String,
        /// CASCADE: what depends on it goes, too.
        cascade: bool,
    },
    /// ALTER CONSTRAINT
    AlterConstraint {
        /// Its name.
        name: String,
        /// When it is checked from now on.
        deferral: Deferral,
    },
    /// VALIDATE CONSTRAINT
    ValidateConstraint(String),
    /// RENAME COLUMN position TO
    RenameColumn(usize, String),
    /// RENAME TO
    RenameTable(String),
    /// ALTER COLUMN position SET DEFAULT (SQL text) or DROP DEFAULT
    SetDefault(usize, Option<String>),
    /// ALTER COLUMN position SET NOT NULL (true) or DROP NOT NULL (false)
    SetNotNull(usize, bool),
    /// ALTER COLUMN position TYPE: the table is rewritten.
    SetType {
        /// Its position in the table.
        position: usize,
        /// Its new type.
        ty: DataType,
        /// Its new type's modifier, or -1.
        typmod: i32,
        /// USING, over the old row's columns by position.
        using: Expr,
    },
    /// Nothing, unless rows are in the way: a CHECK, by its name, of a table whose column gets another type.
    Recheck(String),
    /// RENAME CONSTRAINT
    RenameConstraint {
        /// Its name.
        name: String,
        /// Its new name.
        to: String,
    },
    /// ALTER COLUMN position ADD GENERATED … AS IDENTITY
    AddIdentity(usize, SequenceSpec),
    /// ALTER COLUMN position SET GENERATED: whether ALWAYS
    SetIdentity(usize, bool),
    /// ALTER COLUMN position DROP IDENTITY
    DropIdentity(usize),
    /// ALTER COLUMN position DROP EXPRESSION
    DropExpression(usize),
    /// A CHECK's condition, by its name, after a renaming: it means what it meant.
    RespellCheck {
        /// The constraint's name.
        name: String,
        /// The condition, as SQL text.
        condition: String,
    },
    /// A materialized view's query, after a renaming of its columns.
    RespellQuery(Box<crate::View>),
    /// A term's texts, by its number, after a renaming: it means what it meant.
    RespellTerm {
        /// Its number.
        id: ColumnId,
        /// The expression, as SQL text.
        sql: String,
        /// As it is shown.
        shown: String,
    },
    /// What is said of an index of the table; it changes nothing that is stored.
    Index(IndexId, IndexAction),
    /// REINDEX of an index, or of all of the table's; CONCURRENTLY
    Reindex(Option<IndexId>, bool),
    /// ADD PERIOD; its columns are NOT NULL and its CHECK is there
    AddPeriod(PeriodSpec),
    /// DROP PERIOD, with its CHECK
    DropPeriod,
    /// What parts of the table need, from now on: all of it.
    SetNeeds(Vec<TableNeed>),
    /// SET (retention = …); `None`: RESET (retention)
    SetRetention(Option<Keep>),
}

/// What is said of an index that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexAction {
    /// RENAME TO
    Rename(String),
    /// SET (…)
    Set(Vec<(String, String)>),
    /// RESET (…)
    Reset(Vec<String>),
    /// CLUSTER ON it, which every other index loses; SET WITHOUT CLUSTER
    Cluster(bool),
    /// CLUSTER
    ClusterNow,
}

/// The forms of COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's text form.
    Text,
    /// Comma-separated values.
    Csv,
    /// PostgreSQL's binary form.
    Binary,
}

/// What the first line of text or CSV is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyHeader {
    /// A row.
    Absent,
    /// The columns' names, which are skipped when they are read.
    Names,
    /// The columns' names, which must be those of the columns that are read.
    Match,
}

/// COPY's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// The form.
    pub format: CopyFormat,
    /// Between columns.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// What the first line is.
    pub header: CopyHeader,
    /// CSV's quote.
    pub quote: u8,
    /// CSV's escape inside quotes.
    pub escape: u8,
    /// Columns (positions in the list) that are always quoted (FORCE QUOTE).
    pub force_quote: Vec<usize>,
    /// Columns whose NULL string is that string, quoted or not (FORCE_NOT_NULL).
    pub force_not_null: Vec<usize>,
    /// Columns whose NULL string is NULL even in quotes (FORCE_NULL).
    pub force_null: Vec<usize>,
    /// COPY TO: whether it goes on with what is committed later, until somebody ends it (FOLLOW).
    pub follow: bool,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq)]
pub enum CopySource {
    /// FROM STDIN into a table. `row` builds a whole table row from the listed columns, which it names
    /// by position with `Expr::Slot`.
    From {
        /// Into.
        table: Arc<Table>,
        /// The columns that the input has, by position in the table.
        columns: Vec<usize>,
        /// One expression per table column over the input's columns (`Expr::Slot`), defaults filled in.
        row: Vec<Expr>,
        /// Which rows are taken, over the whole row (`Expr::Slot`); none: all.
        filter: Option<Expr>,
        /// What new rows have to go through, over the whole row (`Expr::Slot`).
        checks: RowRules,
        /// What foreign keys lead to.
        related: Arc<Related>,
    },
    /// TO STDOUT from a query.
    To(Box<Query>),
}

/// COPY.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// What.
    pub source: CopySource,
    /// How.
    pub options: CopyOptions,
}

/// The forms of EXPLAIN's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainFormat {
    /// Indented lines.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// XML.
    Xml,
}

/// What EXPLAIN shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainOutput {
    /// The form.
    pub format: ExplainFormat,
    /// With ANALYZE: the times of the nodes.
    pub timing: bool,
    /// With ANALYZE: the time of all.
    pub summary: bool,
}

impl ExplainOutput {
    /// Everything, as lines.
    pub const TEXT: Self = Self { format: ExplainFormat::Text, timing: true, summary: true };

    /// The type of the column: JSON has its own.
    pub fn column_type(self) -> DataType {
        match self.format {
            ExplainFormat::Json => DataType::Json,
            ExplainFormat::Text | ExplainFormat::Yaml | ExplainFormat::Xml => DataType::Text,
        }
    }
}

/// EXPLAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// What.
    pub statement: Box<Statement>,
    /// ANALYZE.
    pub analyze: bool,
    /// What it shows.
    pub output: ExplainOutput,
}

/// The level in BEGIN or SET TRANSACTION.
pub type IsolationChoice = Option<IsolationLevel>;

/// Modes of BEGIN, SET TRANSACTION, SET SESSION CHARACTERISTICS. `None`: not mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransactionModes {
    /// The level.
    pub isolation: IsolationChoice,
    /// READ ONLY or READ WRITE.
    pub read_only: Option<bool>,
    /// DEFERRABLE or NOT DEFERRABLE.
    pub deferrable: Option<bool>,
    /// AS OF: the past that it reads.
    pub as_of: Option<PastTime>,
}

/// A time of the past, as a transaction or session names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastTime {
    /// A `timestamptz`.
    Timestamptz(i64),
    /// The commit with this number.
    Sequence(u64),
    /// The time of a restore point.
    Commit(Timestamp),
}

/// Transaction control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionStatement {
    /// BEGIN, START TRANSACTION
    Begin(TransactionModes),
    /// COMMIT, END; AND CHAIN
    Commit {
        /// Start the next one at once.
        chain: bool,
    },
    /// ROLLBACK, ABORT; AND CHAIN
    Rollback {
        /// Start the next one at once.
        chain: bool,
    },
    /// SAVEPOINT
    Savepoint(String),
    /// RELEASE
    Release(String),
    /// ROLLBACK TO
    RollbackTo(String),
    /// SET TRANSACTION
    SetTransaction(TransactionModes),
    /// SET SESSION CHARACTERISTICS AS TRANSACTION
    SetSession(TransactionModes),
}

/// How long a SET lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetScope {
    /// To the end of the session (undone if the transaction is).
    Session,
    /// To the end of the transaction.
    Local,
}

/// A bound statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH
    Query(Query),
    /// INSERT
    Insert(Insert),
    /// UPDATE
    Update(Update),
    /// DELETE
    Delete(Delete),
    /// MERGE
    Merge(Box<crate::Merge>),
    /// CREATE TABLE
    CreateTable(CreateTable),
    /// CREATE TABLE AS; the columns of the table are the query's
    CreateTableAs(CreateTable, Query),
    /// REFRESH MATERIALIZED VIEW; without a query WITH NO DATA
    Refresh(crate::Refresh, Option<Query>),
    /// CREATE INDEX
    CreateIndex(CreateIndex),
    /// DROP TABLE, DROP INDEX
    Drop(DropObjects),
    /// ALTER TABLE: each action with a query that yields a row if existing rows violate it
    AlterTable {
        /// Which.
        table: Arc<Table>,
        /// What, in order.
        actions: Vec<(AlterAction, Option<LogicalPlan>)>,
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
    /// COMMENT ON
    Comment(Comment),
    /// CREATE SCHEMA and its kin
    Schema(SchemaStatement),
    /// CREATE ROLE, GRANT and their kin
    Role(RoleStatement),
    /// LOCK TABLE
    LockTable(LockTable),
    /// COPY
    Copy(Copy),
    /// EXPLAIN
    Explain(Explain),
    /// VACUUM
    Vacuum {
        /// Which; empty: all.
        tables: Vec<Arc<Table>>,
        /// ANALYZE, too.
        analyze: bool,
    },
    /// ANALYZE
    Analyze(Vec<Arc<Table>>),
    /// BEGIN and its kin
    Transaction(TransactionStatement),
    /// SET name = value; `None`: DEFAULT
    Set {
        /// The setting, in lower case.
        name: String,
        /// Its new value, as text.
        value: Option<String>,
        /// For how long.
        scope: SetScope,
    },
    /// RESET name; `None`: ALL
    Reset(Option<String>),
    /// SHOW name; `None`: ALL
    Show(Option<String>),
    /// PREPARE name (types) AS text
    Prepare {
        /// The name.
        name: String,
        /// The declared types, as far as given.
        types: Vec<DataType>,
        /// The statement's text.
        text: String,
    },
    /// EXECUTE name (values): constants, in order, with their types
    Execute {
        /// The name.
        name: String,
        /// The arguments: free of columns.
        args: Vec<Expr>,
    },
    /// DEALLOCATE name; `None`: ALL
    Deallocate(Option<String>),
    /// CREATE VIEW and its kin
    View(ViewStatement),
    /// DECLARE CURSOR
    DeclareCursor(DeclareCursor),
    /// FETCH, MOVE
    Fetch(Fetch),
    /// CLOSE name; `None`: ALL
    CloseCursor(Option<String>),
    /// LISTEN, UNLISTEN, NOTIFY
    Channel(ChannelStatement),
    /// DISCARD ALL
    DiscardAll,
    /// DISCARD SEQUENCES
    DiscardSequences,
    /// CHECKPOINT
    Checkpoint,
    /// RESTORE POINT and its kin
    History(HistoryStatement),
    /// CREATE BRANCH and its kin
    Branch(BranchStatement),
    /// CREATE FUNCTION and its kin
    Routine(RoutineStatement),
    /// Nothing between two semicolons.
    Empty,
}

/// A parameter's value with the type it was bound to.
pub type Parameter = (Value, DataType);

impl Statement {
    /// The result columns, if the statement returns rows.
    pub fn fields(&self) -> Option<Vec<Field>> {
        let text = |name: &str| {
            vec![Field { name: name.into(), ty: DataType::Text, typmod: -1, origin: (0, 0) }]
        };
        match self {
            Self::Query(query) => Some(query.fields.clone()),
            Self::Insert(Insert { returning: Some(_), fields, .. })
            | Self::Update(Update { returning: Some(_), fields, .. })
            | Self::Delete(Delete { returning: Some(_), fields, .. }) => Some(fields.clone()),
            Self::Explain(explain) => {
                let ty = explain.output.column_type();
                Some(text("QUERY PLAN").into_iter().map(|field| Field { ty, ..field }).collect())
            }
            Self::Routine(RoutineStatement::Call { query, has_output: true }) => {
                Some(query.fields.clone())
            }
            Self::Show(Some(name)) => Some(text(name)),
            Self::Show(None) => Some(
                ["name", "setting", "description"].iter().flat_map(|name| text(name)).collect(),
            ),
            _ => None,
        }
    }
}
