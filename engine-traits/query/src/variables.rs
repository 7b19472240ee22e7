//! Names besides columns that the expressions of a statement may use: variables of a procedural language,
//! arguments of a function. The binder makes them parameters.

use driftdb_types::DataType;

use crate::Result;

/// A parameter's place and its type.
pub type Variable = (usize, DataType);

/// What a name means that both a column and a variable have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// It is an error.
    Neither,
    /// The variable.
    Variable,
    /// The column.
    Column,
}

/// Whoever knows the variables.
pub trait Variables {
    /// The parameter that a name of one or more parts stands for.
    ///
    /// # Errors
    /// A record without the field, or without any yet.
    fn find(&mut self, names: &[String]) -> Result<Option<Variable>>;

    /// The fields of a record, for `record.*`; `None`: it is none.
    ///
    /// # Errors
    /// A record without fields yet.
    fn fields(&mut self, name: &str) -> Result<Option<Vec<(String, Variable)>>>;

    /// What comes first.
    fn precedence(&self) -> Precedence;
}
