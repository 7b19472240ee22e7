//! The interpreter.
//!
//! One call has a stack of variables and a stack of frames, each a block's or loop's names. A piece of SQL
//! is prepared when it is first met: the names in it that are variables become parameters, and which they
//! are is kept beside it ([`Cache`]), so that running it again fetches values and no more. What was
//! prepared is prepared again if a variable has another type by then (a record) or the host says that it
//! no longer holds.
//!
//! Invariants
//! * The place of a variable on the stack is the same whenever a piece of SQL runs, because blocks nest as
//!   they are written; what was prepared may name variables by place.
//! * Frames and variables of a block are gone when it is left, however it is left.
//!
//! Source: PostgreSQL 15, src/pl/plpgsql/src/pl_exec.c.

mod assign;
mod block;
mod cursor;
mod error;
mod loops;
mod raise;
mod result;
mod scope;
mod statement;

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState, Value};

use crate::ast::{Conflict, Program, Sql};
use crate::host::{Column, Host, Returns, Rows};
use cursor::Cursor;
use scope::{Collector, Frame, Place, Slot};

/// A variable that holds a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Its fields; `None`: not assigned yet.
    pub columns: Option<Arc<[Column]>>,
    /// Their values; as long as the fields, unless all are NULL.
    pub values: Vec<Value>,
    /// Whether the fields stay what they are.
    pub is_fixed: bool,
}

impl Record {
    /// A row of certain columns.
    pub fn of(columns: Vec<Column>, values: Option<Vec<Value>>, is_fixed: bool) -> Self {
        Self { columns: Some(columns.into()), values: values.unwrap_or_default(), is_fixed }
    }

    fn value(&self, at: usize) -> Value {
        self.values.get(at).cloned().unwrap_or(Value::Null)
    }

    /// Its values, one for each field.
    pub fn row(&self) -> Option<Vec<Value>> {
        let columns = self.columns.as_ref()?;
        Some((0..columns.len()).map(|at| self.value(at)).collect())
    }
}

/// What was prepared for each piece of a body's SQL.
pub struct Cache<P> {
    entries: Vec<Option<Entry<P>>>,
}

struct Entry<P> {
    prepared: Arc<P>,
    /// The parameters: where from, and of which type.
    params: Vec<(Place, DataType)>,
}

impl<P> Default for Cache<P> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

/// A call.
pub struct Call<'a> {
    /// The body.
    pub program: &'a Program,
    /// The function's name, which qualifies its arguments.
    pub name: &'a str,
    /// How messages name the function: `f(integer)`.
    pub signature: &'a str,
    /// The arguments: name, type, modifier, value; a second name is `$n`.
    pub args: Vec<(Option<String>, Column, Value)>,
    /// Which of `args` are OUT or INOUT, in order: together the result.
    pub out: Vec<usize>,
    /// Row variables: NEW and OLD.
    pub records: Vec<(String, Record)>,
    /// Other variables: TG_OP and so on.
    pub others: Vec<(Column, Value)>,
    /// What it gives back.
    pub returns: Returns,
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A row, by the columns of [`Returns`]; `None`: NULL as a whole.
    Row(Option<Vec<Value>>),
    /// The rows of a set.
    Set(Vec<Vec<Value>>),
}

/// Runs a body.
///
/// # Errors
/// Whatever it raises, with the lines that led to it.
pub fn run<H: Host>(
    host: &mut H,
    call: Call<'_>,
    cache: &mut Cache<H::Prepared>,
) -> Result<Output> {
    cache.entries.resize_with(call.program.sql_count, || None);
    let mut interpreter = Interpreter {
        host,
        cache,
        signature: call.signature,
        conflict: call.program.conflict,
        returns: call.returns,
        slots: Vec::new(),
        frames: Vec::new(),
        out: Vec::new(),
        found: 0,
        at: Position::Entry,
        returned: None,
        set: Vec::new(),
        set_bytes: 0,
        row_count: 0,
        handled: Vec::new(),
        cursors: BTreeMap::new(),
        cursor_count: 0,
    };
    let output = interpreter
        .declare_arguments(call.name, call.args, &call.out, call.records, call.others)
        .and_then(|()| interpreter.whole(&call.program.block));
    output.map_err(|error| interpreter.with_context(error))
}

/// What is being done, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Entry,
    Declarations(u32),
    Statement(u32, &'static str),
    Exit,
}

/// How a statement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flow {
    Next,
    Exit(Option<String>),
    Continue(Option<String>),
    Return,
}

struct Interpreter<'a, H: Host> {
    host: &'a mut H,
    cache: &'a mut Cache<H::Prepared>,
    signature: &'a str,
    conflict: Conflict,
    returns: Returns,
    slots: Vec<Slot>,
    frames: Vec<Frame>,
    /// The slots of OUT arguments.
    out: Vec<usize>,
    /// The slot of FOUND.
    found: usize,
    at: Position,
    /// The value of RETURN.
    returned: Option<Option<Vec<Value>>>,
    /// The rows of RETURN NEXT and RETURN QUERY.
    set: Vec<Vec<Value>>,
    set_bytes: usize,
    row_count: u64,
    /// The errors being handled, innermost last.
    handled: Vec<SqlError>,
    cursors: BTreeMap<String, Cursor>,
    cursor_count: u32,
}

/// The most bytes that a set or a cursor's rows may take.
const MAX_SET_BYTES: usize = 256 << 20;

fn too_large() -> SqlError {
    SqlError::new(SqlState::OutOfMemory, "out of memory")
        .with_detail("The rows of a PL/pgSQL function take too much of it.")
}

fn size_bytes(row: &[Value]) -> usize {
    32 + row.iter().map(|value| size_of::<Value>() + value.heap_bytes()).sum::<usize>()
}

impl<H: Host> Interpreter<'_, H> {
    /// A piece of SQL, ready to run, with its parameters' values.
    fn ready(&mut self, sql: &Sql) -> Result<(Arc<H::Prepared>, Vec<(Value, DataType)>)> {
        if let Some(entry) = &self.cache.entries[sql.id]
            && entry.params.iter().all(|(place, ty)| self.type_at(*place) == Some(*ty))
        {
            let prepared = Arc::clone(&entry.prepared);
            if self.host.still_holds(&prepared) {
                let params = entry.params.iter().map(|(place, ty)| (self.value_at(*place), *ty));
                return Ok((prepared, params.collect()));
            }
        }
        let mut collector = Collector {
            slots: &self.slots,
            frames: &self.frames,
            conflict: self.conflict,
            params: Vec::new(),
        };
        let prepared = self.host.prepare(&sql.text, sql.is_expression, &mut collector);
        let places = collector.params;
        let prepared = Arc::new(prepared?);
        let params = places.iter().map(|(place, ty)| (self.value_at(*place), *ty)).collect();
        self.cache.entries[sql.id] =
            Some(Entry { prepared: Arc::clone(&prepared), params: places });
        Ok((prepared, params))
    }

    /// Runs a piece of SQL.
    fn query(&mut self, sql: &Sql, limit: Option<u64>) -> Result<Rows> {
        let (prepared, params) = self.ready(sql)?;
        let ran = self.host.run(&prepared, &params, limit);
        ran.map_err(|error| {
            if sql.is_expression {
                error
            } else {
                add_context(error, &statement_context(&sql.text))
            }
        })
    }

    /// The value of an expression.
    fn value(&mut self, sql: &Sql) -> Result<(Value, DataType)> {
        let mut rows = self.query(sql, Some(2))?;
        let columns = rows.columns.take().unwrap_or_default();
        let [column] = &columns[..] else {
            let count = columns.len();
            let noun = if count == 1 { "column" } else { "columns" };
            let message = format!("query returned {count} {noun}");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        };
        if rows.rows.len() > 1 {
            let message = "query returned more than one row";
            return Err(SqlError::new(SqlState::CardinalityViolation, message));
        }
        let value = rows.rows.pop().and_then(|mut row| row.pop()).unwrap_or(Value::Null);
        Ok((value, column.ty))
    }

    fn value_as(&mut self, sql: &Sql, ty: DataType) -> Result<Value> {
        let (value, from) = self.value(sql)?;
        self.host.convert(value, from, ty, -1)
    }

    fn truth(&mut self, sql: &Sql) -> Result<Option<bool>> {
        Ok(self.value_as(sql, DataType::Bool)?.as_bool())
    }

    fn integer(&mut self, sql: &Sql) -> Result<Option<i64>> {
        Ok(self.value_as(sql, DataType::Int4)?.as_int())
    }

    fn text(&mut self, sql: &Sql) -> Result<Option<String>> {
        let (value, ty) = self.value(sql)?;
        Ok((!value.is_null()).then(|| self.host.shown(&value, ty)))
    }

    fn set_found(&mut self, found: bool) {
        self.slots[self.found].set(Value::Bool(found));
    }

    fn with_context(&self, error: SqlError) -> SqlError {
        let place = match self.at {
            Position::Entry => " during function entry".to_owned(),
            Position::Declarations(_) => {
                " during statement block local variable initialization".to_owned()
            }
            Position::Statement(line, what) => format!(" line {line} at {what}"),
            Position::Exit => " during function exit".to_owned(),
        };
        add_context(error, &format!("PL/pgSQL function {}{place}", self.signature))
    }
}

fn statement_context(text: &str) -> String {
    format!("SQL statement \"{text}\"")
}

/// The longest context that is gathered: deep recursion would give a line for each level.
const MAX_CONTEXT_BYTES: usize = 8 << 10;

/// Adds a line to what led to an error.
fn add_context(mut error: SqlError, line: &str) -> SqlError {
    let before = error.context.take();
    error.context = Some(match before {
        Some(before) if before.len() > MAX_CONTEXT_BYTES => before,
        Some(before) => format!("{before}\n{line}").into(),
        None => line.into(),
    });
    // It counts in a text that the client did not send.
    error.position = None;
    error
}

#[cfg(test)]
mod tests;
