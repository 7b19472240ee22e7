//! Functions in SQL: statement after statement, the last of which gives the result.

use std::sync::Arc;

use driftdb_executor::{ExecContext, RoutineOutput};
use driftdb_query::{
    Field, Object, ObjectKind, Precedence, Result, Routine, RoutineCall, RoutineColumn, SqlError,
    Variable, Variables,
};
use driftdb_sql::{ParsedStatement, parse};
use driftdb_types::{CastContext, DataType, SqlState, Value, Volatility, can_cast};

use super::host::converted;
use super::nested::Nested;
use super::{KeptScript, MOST_KEPT, Runner, is_decided};

/// The arguments of a function, by name and by number.
struct Arguments<'c> {
    function: &'c str,
    names: Vec<&'c str>,
    types: &'c [DataType],
}

impl<'c> Arguments<'c> {
    fn of(call: &'c RoutineCall) -> Self {
        Self {
            function: &call.object.name,
            names: call.routine().inputs().map(|argument| argument.name.as_str()).collect(),
            types: &call.arg_types,
        }
    }
}

impl Variables for Arguments<'_> {
    fn find(&mut self, names: &[String]) -> Result<Option<Variable>> {
        let name = match names {
            [name] => name,
            [function, name] if function == self.function => name,
            _ => return Ok(None),
        };
        let index = match name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok()) {
            Some(number) => {
                let index = number.checked_sub(1).filter(|index| *index < self.types.len());
                let Some(index) = index else {
                    let message = format!("there is no parameter {name}");
                    return Err(SqlError::new(SqlState::UndefinedParameter, message));
                };
                Some(index)
            }
            None => self.names.iter().position(|known| known == name),
        };
        Ok(index.map(|index| (index, self.types[index])))
    }

    fn fields(&mut self, _name: &str) -> Result<Option<Vec<(String, Variable)>>> {
        Ok(None)
    }

    fn precedence(&self) -> Precedence {
        Precedence::Column
    }
}

fn routine_of(object: &Object) -> Result<&Routine> {
    match &object.kind {
        ObjectKind::Routine(routine) => Ok(routine),
        _ => Err(SqlError::internal("a call of what is no function")),
    }
}

/// A function whose last statement does not give what it declares.
fn mismatch(call: &RoutineCall, detail: impl Into<Box<str>>) -> SqlError {
    let declared = match &call.columns[..] {
        [one] if !call.is_row => one.ty.sql_name().to_owned(),
        _ => "record".to_owned(),
    };
    let message = format!("return type mismatch in function declared to return {declared}");
    SqlError::new(SqlState::InvalidFunctionDefinition, message).with_detail(detail)
}

/// Fails if the last statement does not give the declared columns.
fn check_result(call: &RoutineCall, last: Option<&Nested>) -> Result<()> {
    if call.columns.is_empty() {
        return Ok(());
    }
    let Some(fields) = last.and_then(Nested::fields) else {
        return Err(mismatch(
            call,
            "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING.",
        ));
    };
    if is_packed(call, fields) {
        return Ok(());
    }
    if !call.is_row && fields.len() != 1 {
        return Err(mismatch(call, "Final statement must return exactly one column."));
    }
    if fields.len() < call.columns.len() {
        return Err(mismatch(call, "Final statement returns too few columns."));
    }
    if fields.len() > call.columns.len() {
        return Err(mismatch(call, "Final statement returns too many columns."));
    }
    for (at, (field, column)) in fields.iter().zip(&call.columns).enumerate() {
        let fits = field.ty == column.ty
            || field.ty == DataType::Unknown
            || can_cast(field.ty, column.ty, CastContext::Assignment);
        if !fits {
            return Err(mismatch(
                call,
                if call.is_row {
                    format!(
                        "Final statement returns {} instead of {} at column {}.",
                        field.ty,
                        column.ty,
                        at + 1
                    )
                } else {
                    format!("Actual return type is {}.", field.ty)
                },
            ));
        }
    }
    Ok(())
}

/// Whether the last statement gives the row that is declared in one column.
fn is_packed(call: &RoutineCall, fields: &[Field]) -> bool {
    let [only] = fields else { return false };
    let is_column = match &call.columns[..] {
        [column] => column.ty == only.ty,
        _ => false,
    };
    if !call.is_row || is_column {
        return false;
    }
    match only.ty.fields() {
        Some(columns) => {
            columns.len() == call.columns.len()
                && columns.iter().zip(&call.columns).all(|(one, other)| one.ty == other.ty)
        }
        None => only.ty == DataType::Record,
    }
}

/// The columns of a row in one value; `None`: there is no row.
fn unpacked(
    call: &RoutineCall,
    row: Vec<Value>,
    cx: &ExecContext<'_>,
) -> Result<Option<Vec<Value>>> {
    let Some(Value::Record(record)) = row.into_iter().next() else { return Ok(None) };
    if record.values().len() != call.columns.len() {
        return Err(mismatch(call, "Final statement returns another number of columns."));
    }
    let cells = record.pairs().zip(&call.columns);
    let fitted = cells.map(|((field, value), column)| {
        converted(value.clone(), field.ty, column.ty, column.typmod, cx.eval)
    });
    fitted.collect::<Result<_>>().map(Some)
}

impl Runner<'_> {
    pub(super) fn call_sql(
        &self,
        call: &RoutineCall,
        args: Vec<Value>,
        cx: &mut ExecContext<'_>,
    ) -> Result<RoutineOutput> {
        let (statements, mut nested) = self.script(&call.object, &call.arg_types)?;
        let is_volatile = call.routine().volatility == Volatility::Volatile;
        let result = self.within(is_volatile, cx, |cx| {
            self.run_script(call, &statements, &mut nested, &args, is_volatile, cx)
        });
        let mut state = self.kept.state.lock();
        if let Some(kept) = state.scripts.get_mut(&call.object.id.0)
            && Arc::ptr_eq(&kept.statements, &statements)
        {
            kept.nested = Some(nested);
        }
        result
    }

    fn run_script(
        &self,
        call: &RoutineCall,
        statements: &[ParsedStatement],
        kept: &mut [Option<Nested>],
        args: &[Value],
        is_volatile: bool,
        cx: &mut ExecContext<'_>,
    ) -> Result<RoutineOutput> {
        let mut last = None;
        for (at, parsed) in statements.iter().enumerate() {
            let is_last = at + 1 == statements.len();
            let context = |error: SqlError| {
                let name = &call.object.name;
                let line = format!("SQL function \"{name}\" statement {}", at + 1);
                let context = match &error.context {
                    Some(before) => format!("{before}\n{line}"),
                    None => line,
                };
                SqlError { position: None, ..error }.with_context(context)
            };
            if is_volatile && at > 0 {
                cx.txn.begin_statement()?;
            }
            let holds = kept[at].as_ref().is_some_and(|nested| self.nested_holds(nested, cx));
            if !holds {
                let bound = self.bind_argued(call, parsed, cx).map_err(context)?;
                if is_last {
                    check_result(call, Some(&bound))?;
                }
                kept[at] = Some(bound);
            }
            let Some(nested) = &kept[at] else { continue };
            let limit =
                (is_last && !call.routine().is_set && nested.fields().is_some()).then_some(1);
            let rows = self.run_bound(nested, args, limit, is_volatile, cx).map_err(context)?;
            last = Some((rows, nested.fields().map(<[_]>::to_vec).unwrap_or_default()));
        }
        if call.columns.is_empty() {
            return Ok(RoutineOutput::Row(Some(Vec::new())));
        }
        let Some((rows, fields)) = last else {
            check_result(call, None)?;
            return Err(SqlError::internal("a function in SQL without a result"));
        };
        let fit = |row: Vec<Value>| -> Result<Vec<Value>> {
            let cells = row.into_iter().zip(&fields).zip(&call.columns);
            cells
                .map(|((value, field), RoutineColumn { ty, typmod, .. })| {
                    converted(value, field.ty, *ty, *typmod, cx.eval)
                })
                .collect()
        };
        let mut rows = rows.rows.into_iter();
        if is_packed(call, &fields) {
            let nulls = || vec![Value::Null; call.columns.len()];
            if call.routine().is_set {
                let rows = rows.map(|row| Ok(unpacked(call, row, cx)?.unwrap_or_else(nulls)));
                return Ok(RoutineOutput::Set(rows.collect::<Result<_>>()?));
            }
            let row = rows.next().map(|row| unpacked(call, row, cx)).transpose()?;
            return Ok(RoutineOutput::Row(row.flatten()));
        }
        if call.routine().is_set {
            return Ok(RoutineOutput::Set(rows.map(fit).collect::<Result<_>>()?));
        }
        Ok(RoutineOutput::Row(rows.next().map(fit).transpose()?))
    }

    fn bind_argued(
        &self,
        call: &RoutineCall,
        parsed: &ParsedStatement,
        cx: &mut ExecContext<'_>,
    ) -> Result<Nested> {
        let mut arguments = Arguments::of(call);
        self.bind_nested(parsed, call.arg_types.clone(), Some(&mut arguments), cx)
    }

    /// The statements of a function's body, and what was bound of them.
    fn script(
        &self,
        object: &Arc<Object>,
        arg_types: &[DataType],
    ) -> Result<(Arc<[ParsedStatement]>, Vec<Option<Nested>>)> {
        let id = object.id.0;
        let mut state = self.kept.state.lock();
        let fresh = |count: usize| (0..count).map(|_| None).collect::<Vec<_>>();
        if let Some(kept) = state.scripts.get_mut(&id)
            && kept.arg_types == arg_types
            && (Arc::ptr_eq(&kept.object, object) || kept.object == *object)
        {
            let count = kept.statements.len();
            let nested = kept.nested.take().unwrap_or_else(|| fresh(count));
            return Ok((Arc::clone(&kept.statements), nested));
        }
        let statements: Arc<[ParsedStatement]> = parse(&routine_of(object)?.body)?.into();
        if state.scripts.len() >= MOST_KEPT {
            state.scripts.clear();
        }
        let kept = KeptScript {
            object: Arc::clone(object),
            arg_types: arg_types.to_vec(),
            statements: Arc::clone(&statements),
            nested: None,
        };
        let count = statements.len();
        state.scripts.insert(id, kept);
        Ok((statements, fresh(count)))
    }

    /// Looks at a body that is about to be kept.
    pub(super) fn check_sql(&self, call: &RoutineCall, cx: &mut ExecContext<'_>) -> Result<()> {
        let context = |error: SqlError| {
            let name = &call.object.name;
            SqlError { position: None, ..error }.with_context(format!("SQL function \"{name}\""))
        };
        let statements = parse(&call.routine().body).map_err(context)?;
        if !is_decided(call) {
            return Ok(());
        }
        let mut last = None;
        for parsed in &statements {
            last = Some(self.bind_argued(call, parsed, cx).map_err(context)?);
        }
        check_result(call, last.as_ref()).map_err(context)
    }
}
