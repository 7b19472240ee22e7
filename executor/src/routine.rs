//! Functions of users, as the executor sees them: somebody runs them ([`Routines`]).
//!
//! A call happens in the middle of a statement. Whoever runs it is lent the same transaction, begins
//! statements within the running one ([`driftdb_concurrency::Transaction::enter_statement`]), and runs
//! them with [`run_nested`]. So a function's statements see what was written before them, the calling
//! statement sees nothing of it, and all of it is one transaction's. A statement that is begun anew
//! takes back what its functions wrote with its own writes.

use std::sync::Arc;

use driftdb_query::{
    Expr, Language, Object, PhysicalStatement, Result, RoutineCall, SqlError, Table,
};
use driftdb_types::{DataType, Field, Record, Value};

use crate::context::{ExecContext, Run, State, on_deep_stack};
use crate::evaluate::row::evaluate_free;
use crate::statement::{CommandTag, start};
use crate::vector::{Vector, VectorBuilder};

/// What a function gave.
#[derive(Debug, Clone, PartialEq)]
pub enum RoutineOutput {
    /// One row, by the columns of the call; `None`: NULL as a whole.
    Row(Option<Vec<Value>>),
    /// The rows of a set.
    Set(Vec<Vec<Value>>),
}

/// What a trigger fires for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerEvent {
    /// INSERT
    Insert,
    /// UPDATE
    Update,
    /// DELETE
    Delete,
    /// TRUNCATE
    Truncate,
}

/// A trigger that fires.
#[derive(Debug, Clone, Copy)]
pub struct Firing<'f> {
    /// Which.
    pub trigger: &'f Arc<Object>,
    /// On.
    pub table: &'f Arc<Table>,
    /// For what.
    pub event: TriggerEvent,
    /// The row before, of triggers for rows.
    pub old: Option<&'f [Value]>,
    /// The row after.
    pub new: Option<&'f [Value]>,
}

/// What a trigger did.
#[derive(Debug, Clone, PartialEq)]
pub enum Fired {
    /// Nothing: its condition does not hold.
    Passed,
    /// It gave this row, or NULL.
    Row(Option<Vec<Value>>),
}

/// Whoever runs functions of users.
pub trait Routines {
    /// Fires a trigger, if its condition holds.
    ///
    /// # Errors
    /// As [`Routines::call`].
    fn fire(&self, firing: &Firing<'_>, cx: &mut ExecContext<'_>) -> Result<Fired>;

    /// Calls a function.
    ///
    /// # Errors
    /// Whatever it raises; 54001 if calls are nested too deeply.
    fn call(
        &self,
        call: &RoutineCall,
        args: Vec<Value>,
        cx: &mut ExecContext<'_>,
    ) -> Result<RoutineOutput>;

    /// Runs a body without a name.
    ///
    /// # Errors
    /// As [`Routines::call`].
    fn block(&self, language: Language, body: &str, cx: &mut ExecContext<'_>) -> Result<()>;

    /// Looks at the body of a function that is about to be created.
    ///
    /// # Errors
    /// It cannot be right.
    fn check(&self, call: &RoutineCall, cx: &mut ExecContext<'_>) -> Result<()>;

    /// Binds the terms of a table, in order, over its rows.
    ///
    /// # Errors
    /// One does not bind; there is no session to bind it.
    fn terms(&self, _table: &Table, _cx: &mut ExecContext<'_>) -> Result<Vec<Arc<Expr>>> {
        Err(SqlError::unsupported("an index on an expression, here"))
    }
}

/// Where there are none.
#[derive(Debug, Clone, Copy)]
pub struct NoRoutines;

impl Routines for NoRoutines {
    fn call(
        &self,
        call: &RoutineCall,
        _args: Vec<Value>,
        _cx: &mut ExecContext<'_>,
    ) -> Result<RoutineOutput> {
        Err(SqlError::unsupported(format!("a call of {} here", call.object.name)))
    }

    fn fire(&self, firing: &Firing<'_>, _cx: &mut ExecContext<'_>) -> Result<Fired> {
        Err(SqlError::unsupported(format!("trigger {} here", firing.trigger.name)))
    }

    fn block(&self, _language: Language, _body: &str, _cx: &mut ExecContext<'_>) -> Result<()> {
        Err(SqlError::unsupported("DO here"))
    }

    fn check(&self, _call: &RoutineCall, _cx: &mut ExecContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Calls a function, unless it is strict and an argument NULL.
fn called(
    call: &RoutineCall,
    args: Vec<Value>,
    run: &mut Run<'_, '_>,
) -> Result<Option<RoutineOutput>> {
    run.check_cancel()?;
    if call.routine().is_strict && args.iter().any(Value::is_null) {
        return Ok(None);
    }
    run.state.has_called = true;
    let routines = run.cx.routines;
    on_deep_stack(|| routines.call(call, args, run.cx)).map(Some)
}

/// The one value of a call.
pub(crate) fn call_value(
    call: &RoutineCall,
    args: Vec<Value>,
    run: &mut Run<'_, '_>,
) -> Result<Value> {
    let row = match called(call, args, run)? {
        Some(RoutineOutput::Row(row)) => row,
        Some(RoutineOutput::Set(rows)) => rows.into_iter().next(),
        None => None,
    };
    if let Some(ty) = call.whole {
        return Ok(row.map_or(Value::Null, |row| packed(call, ty, row)));
    }
    let is_void = call.columns.is_empty();
    match row.and_then(|row| row.into_iter().next()) {
        Some(value) => Ok(value),
        None if is_void => Ok(Value::Void),
        None => Ok(Value::Null),
    }
}

/// A row as one value.
fn packed(call: &RoutineCall, ty: DataType, row: Vec<Value>) -> Value {
    let named =
        if row.len() == call.columns.len() { Record::of_type(ty, row.clone()) } else { None };
    Value::record(named.unwrap_or_else(|| {
        let fields = call.columns.iter().zip(1..).map(|(column, number)| Field {
            number,
            name: column.name.as_str().into(),
            ty: column.ty,
            typmod: column.typmod,
        });
        Record::anonymous(fields.collect(), row)
    }))
}

/// The rows of a call.
pub(crate) fn call_rows(
    call: &RoutineCall,
    args: Vec<Value>,
    run: &mut Run<'_, '_>,
) -> Result<Vec<Vec<Value>>> {
    let nulls = || vec![Value::Null; call.columns.len()];
    let rows = match called(call, args, run)? {
        Some(RoutineOutput::Row(row)) => vec![row.unwrap_or_else(nulls)],
        Some(RoutineOutput::Set(rows)) => rows,
        // Of a NULL argument a set is empty.
        None if call.routine().is_set => Vec::new(),
        None => vec![nulls()],
    };
    if let Some(row) = rows.iter().find(|row| row.len() != call.columns.len()) {
        return Err(SqlError::new(
            driftdb_types::SqlState::DatatypeMismatch,
            "function return row and query-specified return row do not match",
        )
        .with_detail(format!(
            "Returned row contains {} attributes, but query expects {}.",
            row.len(),
            call.columns.len()
        )));
    }
    if let Some(ty) = call.whole {
        return Ok(rows.into_iter().map(|row| vec![packed(call, ty, row)]).collect());
    }
    Ok(rows)
}

/// A call for each row.
pub(crate) fn evaluate(
    call: &RoutineCall,
    ty: DataType,
    args: &[Arc<Vector>],
    len: usize,
    run: &mut Run<'_, '_>,
) -> Result<Vector> {
    let mut out = VectorBuilder::new(ty, len);
    for row in 0..len {
        let values = args.iter().map(|arg| arg.value(row)).collect();
        out.push(call_value(call, values, run)?)?;
    }
    Ok(out.finish())
}

/// The value of an expression that uses no columns.
///
/// # Errors
/// Whatever it raises.
pub fn evaluate_alone(expr: &Expr, cx: &mut ExecContext<'_>) -> Result<Value> {
    let mut state = State::default();
    evaluate_free(expr, &mut Run { cx, state: &mut state })
}

/// Whether a predicate over a row holds.
///
/// # Errors
/// Whatever it raises.
pub fn holds_over(predicate: &Expr, row: &[Value], cx: &mut ExecContext<'_>) -> Result<bool> {
    let mut state = State::default();
    crate::evaluate::row::holds(predicate, row, &mut Run { cx, state: &mut state })
}

/// Runs a statement of a function to its end, or until it has given so many rows.
///
/// # Errors
/// Whatever it raises.
pub fn run_nested(
    statement: &PhysicalStatement,
    limit: Option<u64>,
    cx: &mut ExecContext<'_>,
) -> Result<(Vec<Vec<Value>>, CommandTag)> {
    let mut execution = start(statement, cx)?;
    let limit = limit.unwrap_or(u64::MAX);
    let has_rows = execution.fields().is_some();
    let (mut rows, mut bytes) = (Vec::new(), 0usize);
    'batches: while let Some(batch) = execution.next(cx)? {
        for at in 0..batch.len() {
            if !has_rows {
                continue;
            }
            let row = batch.row(at);
            bytes +=
                32 + row.iter().map(|value| size_of::<Value>() + value.heap_bytes()).sum::<usize>();
            if bytes > cx.memory_limit_bytes {
                return Err(SqlError::new(driftdb_types::SqlState::OutOfMemory, "out of memory")
                    .with_detail("The rows of a function's statement take too much of it."));
            }
            rows.push(row);
            if rows.len() as u64 >= limit {
                break 'batches;
            }
        }
    }
    Ok((rows, execution.tag()))
}
