//! Functions, procedures and triggers of users.

use std::sync::Arc;

use driftdb_types::{DataType, Volatility};

use crate::{ColumnId, Object, ObjectId, Query, Table, TableId};

/// What language a body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// SQL
    Sql,
    /// PL/pgSQL
    Plpgsql,
}

impl Language {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Plpgsql => "plpgsql",
        }
    }
}

/// How an argument is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentMode {
    /// IN
    In,
    /// OUT
    Out,
    /// INOUT
    InOut,
    /// VARIADIC
    Variadic,
    /// A column of RETURNS TABLE
    Table,
}

impl ArgumentMode {
    /// Whether a call gives it.
    pub fn is_input(self) -> bool {
        matches!(self, Self::In | Self::InOut | Self::Variadic)
    }

    /// Whether it is part of the result.
    pub fn is_output(self) -> bool {
        matches!(self, Self::Out | Self::InOut | Self::Table)
    }
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name, or empty.
    pub name: String,
    /// How it is passed.
    pub mode: ArgumentMode,
    /// Its type; of a variadic one the array.
    pub ty: DataType,
    /// Its default, as SQL text.
    pub default: Option<String>,
}

/// What a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// A value.
    Value(DataType),
    /// A row of a table.
    RowOf(TableId),
    /// A row whose columns the OUT arguments are, or that a call names.
    Record,
    /// Nothing.
    Void,
    /// What a trigger's function gives.
    Trigger,
}

/// A function or procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routine {
    /// CREATE PROCEDURE
    pub is_procedure: bool,
    /// The body's language.
    pub language: Language,
    /// All arguments, in order.
    pub arguments: Vec<Argument>,
    /// What it gives.
    pub given: Given,
    /// SETOF, TABLE
    pub is_set: bool,
    /// The body.
    pub body: String,
    /// Whether the body was written as SQL, not as a string.
    pub is_sql_body: bool,
    /// How much its result may vary.
    pub volatility: Volatility,
    /// Whether a NULL argument makes the result NULL without a call.
    pub is_strict: bool,
    /// SECURITY DEFINER
    pub is_definer: bool,
    /// LEAKPROOF
    pub is_leakproof: bool,
    /// PARALLEL: `u`, `r` or `s`
    pub parallel: char,
    /// COST, if given.
    pub cost: Option<String>,
    /// ROWS, if given.
    pub rows: Option<String>,
    /// SET name = value
    pub settings: Vec<(String, String)>,
}

impl Routine {
    /// The arguments that a call gives.
    pub fn inputs(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.mode.is_input())
    }

    /// The arguments that are the result.
    pub fn outputs(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.mode.is_output())
    }

    /// The types of the arguments that a call gives: what tells functions of one name apart.
    pub fn input_types(&self) -> Vec<DataType> {
        self.inputs().map(|argument| argument.ty).collect()
    }

    /// Its kind, as messages name it.
    pub fn word(&self) -> &'static str {
        if self.is_procedure { "procedure" } else { "function" }
    }
}

/// `f(integer, text)`
pub fn routine_signature(name: &str, types: &[DataType]) -> String {
    let types: Vec<&str> = types.iter().map(|ty| ty.sql_name()).collect();
    format!("{name}({})", types.join(","))
}

/// A column of what a function gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutineColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
    /// Its type's modifier, or -1.
    pub typmod: i32,
}

impl RoutineColumn {
    /// A column of a composite type.
    pub fn of(field: &driftdb_types::Field) -> Self {
        Self { name: field.name.to_string(), ty: field.ty, typmod: field.typmod }
    }
}

/// A call, resolved; its arguments stand beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutineCall {
    /// Which.
    pub object: Arc<Object>,
    /// The types of the arguments given.
    pub arg_types: Vec<DataType>,
    /// The columns of the result: one for a value, none for nothing.
    pub columns: Vec<RoutineColumn>,
    /// Whether the result is a row, not a value.
    pub is_row: bool,
    /// Where one value is wanted of a result that is a row: the type of it, composite or `record`.
    pub whole: Option<DataType>,
}

impl RoutineCall {
    /// What is called.
    ///
    /// # Panics
    /// If the object is no function: our mistake.
    pub fn routine(&self) -> &Routine {
        match &self.object.kind {
            crate::ObjectKind::Routine(routine) => routine,
            _ => panic!("only functions are called"),
        }
    }
}

/// When a trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerTime {
    /// BEFORE
    Before,
    /// AFTER
    After,
    /// INSTEAD OF
    InsteadOf,
}

/// What a trigger fires for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TriggerEvents {
    /// INSERT
    pub insert: bool,
    /// UPDATE
    pub update: bool,
    /// DELETE
    pub delete: bool,
    /// TRUNCATE
    pub truncate: bool,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// On.
    pub table: TableId,
    /// The function.
    pub function: ObjectId,
    /// When.
    pub time: TriggerTime,
    /// For what.
    pub events: TriggerEvents,
    /// UPDATE OF
    pub columns: Vec<ColumnId>,
    /// FOR EACH ROW
    pub is_row: bool,
    /// WHEN, as SQL text.
    pub condition: Option<String>,
    /// The function's arguments.
    pub arguments: Vec<String>,
    /// REFERENCING OLD TABLE AS
    pub old_table: Option<String>,
    /// REFERENCING NEW TABLE AS
    pub new_table: Option<String>,
    /// `O`: enabled; `D`: not; `R`, `A`: by the role of the session.
    pub enabled: char,
    /// CREATE CONSTRAINT TRIGGER, and when it fires.
    pub constraint: Option<crate::Deferral>,
}

/// Statements about functions and triggers.
#[derive(Debug, Clone, PartialEq)]
pub enum RoutineStatement {
    /// CREATE FUNCTION, CREATE PROCEDURE
    Create {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// What.
        routine: Box<Routine>,
        /// OR REPLACE
        replace: bool,
    },
    /// DROP FUNCTION, PROCEDURE, ROUTINE, TRIGGER
    Drop {
        /// Which.
        objects: Vec<Arc<Object>>,
        /// What IF EXISTS did not find: texts of notices.
        notices: Vec<String>,
        /// CASCADE
        cascade: bool,
        /// `DROP FUNCTION`
        command: &'static str,
    },
    /// ALTER FUNCTION …: another definition.
    Alter {
        /// Which.
        object: Arc<Object>,
        /// What it becomes.
        changed: Box<Object>,
        /// `ALTER FUNCTION`
        command: &'static str,
    },
    /// CREATE TRIGGER
    CreateTrigger {
        /// On.
        table: Arc<Table>,
        /// Its name.
        name: String,
        /// What.
        trigger: Box<Trigger>,
        /// OR REPLACE
        replace: bool,
    },
    /// ALTER TABLE … ENABLE, DISABLE TRIGGER
    EnableTriggers {
        /// Of.
        table: Arc<Table>,
        /// Which.
        triggers: Vec<ObjectId>,
        /// What [`Trigger::enabled`] becomes.
        enabled: char,
    },
    /// DO
    Do {
        /// The language.
        language: Language,
        /// The body.
        body: String,
    },
    /// CALL
    Call {
        /// Yields the OUT arguments.
        query: Box<Query>,
        /// Whether there are any.
        has_output: bool,
    },
}
