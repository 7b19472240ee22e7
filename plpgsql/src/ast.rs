//! The tree of a body. Expressions and SQL statements in it are text.
#![expect(missing_docs, reason = "the parts are named after the words that users write")]

use std::sync::Arc;

/// A piece of SQL: an expression, or a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    /// Which of the function's pieces it is: what is prepared for it is kept under this number.
    pub id: usize,
    /// Its text: for an expression what follows SELECT.
    pub text: Arc<str>,
    /// Whether it is an expression.
    pub is_expression: bool,
}

/// A body.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Its outermost block.
    pub block: Block,
    /// How many pieces of SQL it has.
    pub sql_count: usize,
    /// What a name that is a variable's and a column's means.
    pub conflict: Conflict,
}

/// `#variable_conflict`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conflict {
    /// It is an error.
    #[default]
    Error,
    /// The variable.
    Variable,
    /// The column.
    Column,
}

/// DECLARE … BEGIN … EXCEPTION … END
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub line: u32,
    pub label: Option<String>,
    pub declarations: Vec<Declaration>,
    pub body: Vec<Statement>,
    pub handlers: Vec<Handler>,
}

/// WHEN conditions THEN statements
#[derive(Debug, Clone, PartialEq)]
pub struct Handler {
    pub conditions: Vec<Condition>,
    pub body: Vec<Statement>,
}

/// What a handler catches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All but cancellation and failed assertions.
    Others,
    /// These five characters; a class if the last three are zeros.
    State(String),
}

/// One declared name.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    pub line: u32,
    pub name: String,
    pub what: Declared,
}

/// What a declaration makes.
#[derive(Debug, Clone, PartialEq)]
pub enum Declared {
    Variable { ty: TypeText, constant: bool, not_null: bool, default: Option<Sql> },
    Alias(Vec<String>),
    Cursor { args: Vec<(String, TypeText)>, query: Sql },
}

/// A type as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeText {
    /// A type's name, perhaps of a table or composite type.
    Name(String),
    /// `x.y%TYPE`, perhaps an array of it.
    Like(Vec<String>),
    /// `x%ROWTYPE`
    RowOf(Vec<String>),
    /// RECORD
    Record,
    /// REFCURSOR
    Cursor,
}

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Into {
    pub targets: Vec<Target>,
    pub strict: bool,
}

/// What is assigned to: a variable, a field of a record, an element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub names: Vec<String>,
    /// Of the element that is assigned.
    pub subscripts: Vec<Sql>,
}

/// A statement and its line.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub line: u32,
    pub kind: Kind,
}

/// RAISE's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Log,
    Info,
    Notice,
    Warning,
    Exception,
}

/// What RAISE … USING sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RaiseOption {
    Errcode,
    Message,
    Detail,
    Hint,
    Column,
    Constraint,
    Datatype,
    Table,
    Schema,
}

/// What GET DIAGNOSTICS asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnostic {
    RowCount,
    Context,
    ReturnedSqlstate,
    MessageText,
    Detail,
    Hint,
    ColumnName,
    ConstraintName,
    DatatypeName,
    TableName,
    SchemaName,
}

/// The query of a loop or cursor: as written, or a text computed at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Query(Sql),
    Dynamic { text: Sql, using: Vec<Sql> },
}

/// How FETCH and MOVE move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    Next,
    Prior,
    First,
    Last,
    Absolute(Sql),
    Relative(Sql),
    /// Of MOVE only.
    ForwardAll,
    BackwardAll,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Block(Block),
    Assign {
        target: Target,
        value: Sql,
    },
    If {
        arms: Vec<(Sql, Vec<Statement>)>,
        otherwise: Vec<Statement>,
    },
    Case {
        operand: Option<Sql>,
        arms: Vec<(Vec<Sql>, Vec<Statement>)>,
        otherwise: Option<Vec<Statement>>,
    },
    Loop {
        label: Option<String>,
        body: Vec<Statement>,
    },
    While {
        label: Option<String>,
        condition: Sql,
        body: Vec<Statement>,
    },
    ForInteger {
        label: Option<String>,
        variable: String,
        reverse: bool,
        from: Sql,
        to: Sql,
        step: Option<Sql>,
        body: Vec<Statement>,
    },
    ForQuery {
        label: Option<String>,
        targets: Vec<Target>,
        source: Source,
        body: Vec<Statement>,
    },
    ForCursor {
        label: Option<String>,
        variable: String,
        cursor: String,
        args: Vec<(Option<String>, Sql)>,
        body: Vec<Statement>,
    },
    Foreach {
        label: Option<String>,
        targets: Vec<Target>,
        slice: u32,
        array: Sql,
        body: Vec<Statement>,
    },
    Exit {
        is_exit: bool,
        label: Option<String>,
        condition: Option<Sql>,
    },
    Return(Option<Sql>),
    ReturnNext(Option<Sql>),
    ReturnQuery(Source),
    Raise {
        level: Level,
        /// A condition's name or five characters.
        condition: Option<String>,
        format: Option<String>,
        args: Vec<Sql>,
        options: Vec<(RaiseOption, Sql)>,
        /// RAISE alone: the error that is being handled.
        is_again: bool,
    },
    Assert {
        condition: Sql,
        message: Option<Sql>,
    },
    Execute {
        sql: Sql,
        into: Option<Into>,
    },
    Perform(Sql),
    Call(Sql),
    Dynamic {
        text: Sql,
        into: Option<Into>,
        using: Vec<Sql>,
    },
    GetDiagnostics {
        is_stacked: bool,
        items: Vec<(Target, Diagnostic)>,
    },
    Open {
        cursor: String,
        source: Option<Source>,
        args: Vec<(Option<String>, Sql)>,
    },
    Fetch {
        cursor: String,
        direction: Direction,
        targets: Vec<Target>,
        is_move: bool,
    },
    Close(String),
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Null,
}

impl Kind {
    /// How messages name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Block(_) => "statement block",
            Self::Assign { .. } => "assignment",
            Self::If { .. } => "IF",
            Self::Case { .. } => "CASE",
            Self::Loop { .. } => "LOOP",
            Self::While { .. } => "WHILE",
            Self::ForInteger { .. } => "FOR with integer loop variable",
            Self::ForQuery { source: Source::Query(_), .. } => "FOR over SELECT rows",
            Self::ForQuery { .. } => "FOR over EXECUTE statement",
            Self::ForCursor { .. } => "FOR over cursor",
            Self::Foreach { .. } => "FOREACH over array",
            Self::Exit { is_exit: true, .. } => "EXIT",
            Self::Exit { .. } => "CONTINUE",
            Self::Return(_) => "RETURN",
            Self::ReturnNext(_) => "RETURN NEXT",
            Self::ReturnQuery(_) => "RETURN QUERY",
            Self::Raise { .. } => "RAISE",
            Self::Assert { .. } => "ASSERT",
            Self::Execute { .. } => "SQL statement",
            Self::Perform(_) => "PERFORM",
            Self::Call(_) => "CALL",
            Self::Dynamic { .. } => "EXECUTE",
            Self::GetDiagnostics { is_stacked: false, .. } => "GET DIAGNOSTICS",
            Self::GetDiagnostics { .. } => "GET STACKED DIAGNOSTICS",
            Self::Open { .. } => "OPEN",
            Self::Fetch { is_move: false, .. } => "FETCH",
            Self::Fetch { .. } => "MOVE",
            Self::Close(_) => "CLOSE",
            Self::Commit { .. } => "COMMIT",
            Self::Rollback { .. } => "ROLLBACK",
            Self::Null => "NULL",
        }
    }
}
