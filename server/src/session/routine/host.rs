//! What PL/pgSQL's interpreter is lent: a session in the middle of a statement.

use std::sync::Arc;

use driftdb_concurrency::{SavepointId, TxnError};
use driftdb_executor::{ExecContext, PendingMark};
use driftdb_plpgsql::{Column, Found, Host, Level, Rows};
use driftdb_query::{Catalog, CatalogAt, Result, SqlError, Table, Variables, temporary_schema};
use driftdb_sql::{ParsedStatement, parse, parse_type};
use driftdb_types::{
    CastContext, DataType, SqlState, Value, can_cast, cast, parse_text, write_text,
};

use super::Runner;
use super::nested::Nested;

/// Savepoints within each other, at most.
const MAX_SAVEPOINTS: usize = 1000;

struct Mark {
    savepoint: SavepointId,
    pending: PendingMark,
    locks: usize,
}

pub(super) struct Lent<'l, 'a> {
    runner: &'l Runner<'l>,
    cx: &'l mut ExecContext<'a>,
    is_volatile: bool,
    marks: Vec<Mark>,
}

impl<'l, 'a> Lent<'l, 'a> {
    pub(super) fn new(
        runner: &'l Runner<'l>,
        cx: &'l mut ExecContext<'a>,
        is_volatile: bool,
    ) -> Self {
        Self { runner, cx, is_volatile, marks: Vec::new() }
    }

    fn table(&mut self, names: &[String]) -> Result<Option<Arc<Table>>> {
        let (schema, name) = match names {
            [name] => (None, name),
            [.., schema, name] => (Some(schema.as_str()), name),
            [] => return Ok(None),
        };
        let own_changes = self.cx.ddl.is_some();
        let node = self.runner.node;
        let eval = self.cx.eval;
        let catalog = node.catalog().reader(&mut *self.cx.txn, node.store(), own_changes);
        let temporary = temporary_schema(eval.backend_pid);
        let mut catalog = catalog.on_path(&eval.schemas).with_temporary(Some(&temporary));
        catalog.table(schema, name, CatalogAt::Statement)
    }

    /// A user's type by name; with brackets, its arrays.
    fn user_type(&mut self, names: &[String]) -> Result<Option<DataType>> {
        let (schema, name) = match names {
            [name] => (None, name),
            [.., schema, name] => (Some(schema.as_str()), name),
            [] => return Ok(None),
        };
        let (name, is_array) = match name.strip_suffix("[]") {
            Some(element) => (element, true),
            None => (name.as_str(), false),
        };
        let own_changes = self.cx.ddl.is_some();
        let node = self.runner.node;
        let eval = self.cx.eval;
        let catalog = node.catalog().reader(&mut *self.cx.txn, node.store(), own_changes);
        let (space, at) = (driftdb_query::NameSpace::Type, CatalogAt::Statement);
        let found = catalog.on_path(&eval.schemas).objects_named(space, schema, name, at)?;
        let ty = found.first().and_then(|object| driftdb_query::object_type(object));
        Ok(if is_array { ty.and_then(DataType::array) } else { ty })
    }
}

/// A column of a composite type.
fn field(field: &driftdb_types::Field) -> Column {
    Column { name: field.name.to_string(), ty: field.ty, typmod: field.typmod }
}

/// The one statement of a text.
pub(super) fn one_statement(text: &str) -> Result<Option<ParsedStatement>> {
    let mut statements = parse(text)?;
    if statements.len() > 1 {
        let message = "cannot insert multiple commands into a prepared statement";
        return Err(SqlError::new(SqlState::SyntaxError, message));
    }
    Ok(statements.pop())
}

/// Converts a value as an assignment does: by a cast if there is one, else through its text.
pub(super) fn converted(
    value: Value,
    from: DataType,
    to: DataType,
    typmod: i32,
    eval: &driftdb_types::EvalContext,
) -> Result<Value> {
    if value.is_null() || matches!(value, Value::Void) {
        return Ok(if to == DataType::Void { Value::Void } else { Value::Null });
    }
    if from == to && typmod < 0 {
        return Ok(value);
    }
    if from == DataType::Unknown || can_cast(from, to, CastContext::Assignment) {
        return Ok(cast(value, from, to, typmod, CastContext::Assignment, eval)?);
    }
    let mut text = Vec::new();
    write_text(&value, from, eval, &mut text);
    Ok(parse_text(to, typmod, &String::from_utf8_lossy(&text), eval)?)
}

impl Host for Lent<'_, '_> {
    type Prepared = Option<Nested>;

    fn prepare(
        &mut self,
        text: &str,
        is_expression: bool,
        variables: &mut dyn Variables,
    ) -> Result<Self::Prepared> {
        let whole = if is_expression { format!("SELECT {text}") } else { text.to_owned() };
        let Some(parsed) = one_statement(&whole)? else { return Ok(None) };
        if self.is_volatile {
            // It is bound to what the statements before it defined.
            self.cx.txn.begin_statement()?;
        }
        self.runner.bind_nested(&parsed, Vec::new(), Some(variables), self.cx).map(Some)
    }

    fn prepare_dynamic(&mut self, text: &str, params: &[DataType]) -> Result<Self::Prepared> {
        // Several statements may stand in one text; all but the last are run at once.
        let mut statements = parse(text)?;
        let Some(last) = statements.pop() else { return Ok(None) };
        for statement in statements {
            let nested = self.runner.bind_nested(&statement, params.to_vec(), None, self.cx)?;
            self.runner.run_bound(&nested, &[], None, self.is_volatile, self.cx)?;
        }
        if self.is_volatile {
            self.cx.txn.begin_statement()?;
        }
        self.runner.bind_nested(&last, params.to_vec(), None, self.cx).map(Some)
    }

    fn still_holds(&mut self, prepared: &Self::Prepared) -> bool {
        prepared.as_ref().is_none_or(|nested| self.runner.nested_holds(nested, self.cx))
    }

    fn run(
        &mut self,
        prepared: &Self::Prepared,
        params: &[(Value, DataType)],
        limit: Option<u64>,
    ) -> Result<Rows> {
        let Some(nested) = prepared else { return Ok(Rows::default()) };
        let values: Vec<Value> = params.iter().map(|(value, _)| value.clone()).collect();
        self.runner.run_bound(nested, &values, limit, self.is_volatile, self.cx)
    }

    fn type_named(&mut self, text: &str) -> Result<Found> {
        let error = match parse_type(text) {
            Ok((ty, typmod)) => return Ok(Found::Type(ty, typmod)),
            Err(error) => SqlError { position: None, ..error },
        };
        if error.state != SqlState::UndefinedObject {
            return Err(error);
        }
        let fold = |part: &str| {
            let quoted = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            quoted.map_or_else(|| part.to_lowercase(), str::to_owned)
        };
        let names: Vec<String> = text.split('.').map(str::trim).map(fold).collect();
        if let Some(table) = self.table(&names)? {
            return Ok(Found::Row(columns(&table)));
        }
        match self.user_type(&names)? {
            Some(ty) => Ok(match ty.fields() {
                Some(fields) => Found::Row(fields.iter().map(field).collect()),
                None => Found::Type(ty, -1),
            }),
            None => Err(error),
        }
    }

    fn column_type(&mut self, names: &[String]) -> Result<(DataType, i32)> {
        let [table @ .., column] = names else {
            return Err(SqlError::internal("a type like nothing"));
        };
        if table.is_empty() {
            let message = format!("variable \"{column}\" does not exist");
            return Err(SqlError::new(SqlState::UndefinedTable, message));
        }
        let Some(found) = self.table(table)? else { return Err(no_relation(table)) };
        match found.column(column) {
            Some((_, column)) => Ok((column.ty, column.typmod)),
            None => {
                let message =
                    format!("column \"{column}\" of relation \"{}\" does not exist", found.name);
                Err(SqlError::new(SqlState::UndefinedColumn, message))
            }
        }
    }

    fn row_type(&mut self, names: &[String]) -> Result<Vec<Column>> {
        match self.table(names)? {
            Some(table) => Ok(columns(&table)),
            None => Err(no_relation(names)),
        }
    }

    fn convert(
        &mut self,
        value: Value,
        from: DataType,
        to: DataType,
        typmod: i32,
    ) -> Result<Value> {
        converted(value, from, to, typmod, self.cx.eval)
    }

    fn shown(&self, value: &Value, ty: DataType) -> String {
        let mut text = Vec::new();
        write_text(value, ty, self.cx.eval, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn savepoint(&mut self) -> Result<()> {
        if self.marks.len() >= MAX_SAVEPOINTS {
            return Err(super::too_deep());
        }
        let mark = Mark {
            savepoint: self.cx.txn.savepoint(),
            pending: self.cx.pending.mark(),
            locks: self.runner.actions.mark(),
        };
        self.marks.push(mark);
        Ok(())
    }

    fn rollback_to_savepoint(&mut self) {
        let Some(mark) = self.marks.pop() else { return };
        self.cx.pending.rollback_to(&mark.pending);
        self.cx.txn.rollback_to(mark.savepoint);
        self.cx.txn.release(mark.savepoint);
        self.runner.actions.release_since(mark.locks);
        self.runner.note_change();
    }

    fn release_savepoint(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.cx.txn.release(mark.savepoint);
        }
    }

    fn notice(&mut self, level: Level, notice: SqlError) {
        match level {
            // No client asks for these.
            Level::Debug | Level::Log => {}
            Level::Info | Level::Notice => {
                let state = SqlState::SuccessfulCompletion;
                self.cx.notices.push(SqlError { state, ..notice });
            }
            Level::Warning | Level::Exception => self.cx.notices.push(notice),
        }
    }

    fn check_interrupt(&self) -> Result<()> {
        if self.cx.cancel.is_canceled() {
            return Err(TxnError::Canceled.into());
        }
        Ok(())
    }

    fn end_transaction(&mut self, _is_commit: bool, _chain: bool) -> Result<()> {
        let state = SqlState::Other(*b"2D000");
        Err(SqlError::new(state, "invalid transaction termination"))
    }
}

fn no_relation(names: &[String]) -> SqlError {
    let message = format!("relation \"{}\" does not exist", names.join("."));
    SqlError::new(SqlState::UndefinedTable, message)
}

/// The columns of a table's rows.
pub(super) fn columns(table: &Table) -> Vec<Column> {
    let column = |column: &driftdb_query::Column| Column {
        name: column.name.clone(),
        ty: column.ty,
        typmod: column.typmod,
    };
    table.columns.iter().map(column).collect()
}
