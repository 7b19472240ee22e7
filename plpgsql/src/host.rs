//! What an interpreter needs of the world.

use driftdb_query::{Result, SqlError, Variables};
use driftdb_types::{DataType, Value};

use crate::ast::Level;

/// A column of a row: name, type and modifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
    /// Its type's modifier, or -1.
    pub typmod: i32,
}

/// What a statement yields.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The columns; `None` if it yields no rows at all.
    pub columns: Option<Vec<Column>>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
    /// How many rows were given or changed.
    pub count: u64,
}

/// What the name of a type stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A type and a modifier.
    Type(DataType, i32),
    /// The rows of a table or of a composite type.
    Row(Vec<Column>),
}

/// What a function gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returns {
    /// The columns of the result; one for a plain value, none for `void`.
    pub columns: Vec<Column>,
    /// Whether the result is a row, not a value.
    pub is_row: bool,
    /// SETOF, TABLE
    pub is_set: bool,
    /// Whether OUT arguments or TABLE's columns are the result.
    pub has_out: bool,
    /// Whether it is a procedure.
    pub is_procedure: bool,
    /// Whether it is a trigger's function.
    pub is_trigger: bool,
}

/// Binds and runs SQL for a body.
pub trait Host {
    /// A statement that is ready to run.
    type Prepared;

    /// Makes a statement ready. Names that are variables become parameters; an expression is what follows
    /// SELECT.
    ///
    /// # Errors
    /// Whatever parsing and binding raise.
    fn prepare(
        &mut self,
        text: &str,
        is_expression: bool,
        variables: &mut dyn Variables,
    ) -> Result<Self::Prepared>;

    /// Makes a statement ready whose parameters are given.
    ///
    /// # Errors
    /// As [`Host::prepare`].
    fn prepare_dynamic(&mut self, text: &str, params: &[DataType]) -> Result<Self::Prepared>;

    /// Whether what was prepared can still be run.
    fn still_holds(&mut self, prepared: &Self::Prepared) -> bool;

    /// Runs a statement; of its rows at most so many are wanted.
    ///
    /// # Errors
    /// Whatever it raises.
    fn run(
        &mut self,
        prepared: &Self::Prepared,
        params: &[(Value, DataType)],
        limit: Option<u64>,
    ) -> Result<Rows>;

    /// What a type's name stands for.
    ///
    /// # Errors
    /// Nothing.
    fn type_named(&mut self, text: &str) -> Result<Found>;

    /// The type of a table's column.
    ///
    /// # Errors
    /// There is none.
    fn column_type(&mut self, names: &[String]) -> Result<(DataType, i32)>;

    /// The columns of a table's rows.
    ///
    /// # Errors
    /// There is no such table.
    fn row_type(&mut self, names: &[String]) -> Result<Vec<Column>>;

    /// Converts a value as an assignment does.
    ///
    /// # Errors
    /// It cannot be.
    fn convert(&mut self, value: Value, from: DataType, to: DataType, typmod: i32)
    -> Result<Value>;

    /// A value as text.
    fn shown(&self, value: &Value, ty: DataType) -> String;

    /// Opens what can be undone.
    ///
    /// # Errors
    /// Too deep.
    fn savepoint(&mut self) -> Result<()>;

    /// Undoes everything since the newest savepoint, which is gone.
    fn rollback_to_savepoint(&mut self);

    /// Keeps everything since the newest savepoint, which is gone.
    fn release_savepoint(&mut self);

    /// Tells the client something.
    fn notice(&mut self, level: Level, notice: SqlError);

    /// Fails if somebody asked to stop.
    ///
    /// # Errors
    /// 57014.
    fn check_interrupt(&self) -> Result<()>;

    /// COMMIT or ROLLBACK.
    ///
    /// # Errors
    /// Where it cannot be done.
    fn end_transaction(&mut self, is_commit: bool, chain: bool) -> Result<()>;
}
