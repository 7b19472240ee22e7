//! Calls of users' functions: which of them, with what arguments, and what they yield.

use std::sync::Arc;

use driftdb_query::{
    ArgumentMode, CatalogAt, ColId, Expr, Field, Given, LogicalPlan, NameSpace, Object, ObjectKind,
    OutputColumn, Query, Result, Routine, RoutineCall, RoutineColumn, SetFunction, SqlError, Table,
    TableId, Trigger, table_type,
};
use driftdb_types::{
    ArrayOperation, CastContext, DataType, SqlState, decide_result, resolve_among, resolve_function,
};
use sqlparser::ast;

use super::from::{Aliased, item};
use super::names::{ObjectName, ident, object_name};
use super::scope::{Clause, FromItem, Named, Scope};
use super::set_function::{ListedCall, SetCall};
use super::target::NO_META;
use super::{BindContext, Binder, Meta};
use crate::front::special::VARIADIC;

/// An argument as given.
struct Passed<'e> {
    name: Option<String>,
    expr: Expr,
    source: &'e ast::Expr,
}

/// One overload, laid beside the arguments.
struct Fit {
    object: Arc<Object>,
    /// For each given argument the parameter it is for.
    slots: Vec<usize>,
    /// The types of those parameters.
    types: Vec<DataType>,
    /// Whether the arguments from the last parameter on become its array.
    is_spread: bool,
}

fn routine_of(object: &Object) -> Option<&Routine> {
    match &object.kind {
        ObjectKind::Routine(routine) => Some(routine),
        _ => None,
    }
}

/// How an overload takes the arguments, if it can.
fn fit(object: &Arc<Object>, passed: &[Passed<'_>], is_variadic: bool) -> Option<Fit> {
    let inputs: Vec<_> = routine_of(object)?.inputs().collect();
    let positional = passed.iter().take_while(|arg| arg.name.is_none()).count();
    let spread = inputs.last().filter(|last| last.mode == ArgumentMode::Variadic && !is_variadic);
    let is_spread = spread.is_some() && passed.len() >= inputs.len() && positional == passed.len();
    let mut slots = Vec::with_capacity(passed.len());
    for (at, arg) in passed.iter().enumerate() {
        let slot = match &arg.name {
            None if is_spread => at.min(inputs.len() - 1),
            None if at < inputs.len() => at,
            None => return None,
            Some(name) => inputs.iter().position(|input| input.name == *name)?,
        };
        if !is_spread && slots.contains(&slot) {
            return None;
        }
        slots.push(slot);
    }
    let is_given = |slot: usize| slots.contains(&slot);
    let lacks =
        inputs.iter().enumerate().any(|(slot, input)| !is_given(slot) && input.default.is_none());
    if lacks {
        return None;
    }
    let types = slots
        .iter()
        .map(|slot| {
            let ty = inputs[*slot].ty;
            if !is_spread || *slot + 1 < inputs.len() {
                return ty;
            }
            match ty {
                DataType::AnyArray => DataType::AnyElement,
                DataType::AnyCompatibleArray => DataType::AnyCompatible,
                ty => ty.element().unwrap_or(ty),
            }
        })
        .collect();
    Some(Fit { object: Arc::clone(object), slots, types, is_spread })
}

/// The columns of the row that a call gives.
pub(crate) fn fields_of(call: &RoutineCall) -> Arc<[driftdb_types::Field]> {
    let fields = call.columns.iter().zip(1..).map(|(column, number)| driftdb_types::Field {
        number,
        name: column.name.as_str().into(),
        ty: column.ty,
        typmod: column.typmod,
    });
    fields.collect()
}

/// A call and its arguments.
type Bound = (Arc<RoutineCall>, Vec<Expr>);

impl Binder<'_> {
    /// The users' functions of a name.
    fn routines_named(&mut self, name: &ObjectName) -> Result<Vec<Arc<Object>>> {
        if name.schema.as_deref() == Some("pg_catalog") {
            return Ok(Vec::new());
        }
        let schema = name.schema.as_deref();
        self.catalog.objects_named(NameSpace::Routine, schema, &name.name, CatalogAt::Statement)
    }

    /// The function of a user's that a call means; `None` if it means none.
    fn routine_call(
        &mut self,
        name: &ObjectName,
        list: &ast::FunctionArgumentList,
        definition: Option<Vec<RoutineColumn>>,
    ) -> Result<Option<Bound>> {
        let objects = self.routines_named(name)?;
        if objects.is_empty() {
            return Ok(None);
        }
        let (passed, is_variadic) = self.passed(list)?;
        let types: Vec<DataType> = passed.iter().map(|arg| arg.expr.ty()).collect();
        let fits: Vec<Fit> =
            objects.iter().filter_map(|object| fit(object, &passed, is_variadic)).collect();
        let is_exact = fits.iter().any(|fit| fit.types == types);
        if !is_exact && name.schema.is_none() && resolve_function(&name.name, &types).is_ok() {
            // One of the system's fits better, or comes first.
            return Ok(None);
        }
        let overloads: Vec<(Vec<DataType>, DataType)> =
            fits.iter().map(|fit| (fit.types.clone(), DataType::Void)).collect();
        let Some((chosen, types_wanted, _)) = resolve_among(&name.name, &overloads, &types)? else {
            return Err(self.undefined_routine(name, &passed, &objects));
        };
        let fit = &fits[chosen];
        let call = self.routine_call_of(fit, &types, definition)?;
        let args = self.arranged_args(fit, passed, &types_wanted)?;
        Ok(Some((Arc::new(call), args)))
    }

    fn undefined_routine(
        &self,
        name: &ObjectName,
        passed: &[Passed<'_>],
        objects: &[Arc<Object>],
    ) -> SqlError {
        let shown: Vec<String> = passed
            .iter()
            .map(|arg| match &arg.name {
                Some(name) => format!("{name} => {}", arg.expr.ty()),
                None => arg.expr.ty().to_string(),
            })
            .collect();
        let is_procedure =
            objects.iter().filter_map(|object| routine_of(object)).all(|r| r.is_procedure);
        let word = if is_procedure { "procedure" } else { "function" };
        let name = super::as_of::qualified(name.schema.as_deref(), &name.name);
        let message = format!("{word} {name}({}) does not exist", shown.join(", "));
        SqlError::new(SqlState::UndefinedFunction, message).with_hint(format!(
            "No {word} matches the given name and argument types. You might need to add explicit \
             type casts."
        ))
    }

    /// The arguments as given, and whether the last is marked VARIADIC.
    fn passed<'e>(
        &mut self,
        list: &'e ast::FunctionArgumentList,
    ) -> Result<(Vec<Passed<'e>>, bool)> {
        let mut passed: Vec<Passed<'e>> = Vec::with_capacity(list.args.len());
        let mut is_variadic = false;
        for arg in &list.args {
            let (name, arg) = match arg {
                ast::FunctionArg::Unnamed(arg) => (None, arg),
                ast::FunctionArg::Named { name, arg, .. }
                | ast::FunctionArg::ExprNamed { name: ast::Expr::Identifier(name), arg, .. } => {
                    // So the front marks an argument after VARIADIC.
                    let is_marked = name.quote_style.is_some() && name.value == VARIADIC;
                    is_variadic |= is_marked;
                    ((!is_marked).then(|| ident(name)), arg)
                }
                ast::FunctionArg::ExprNamed { .. } => {
                    return Err(SqlError::unsupported("an argument named by an expression"));
                }
            };
            let ast::FunctionArgExpr::Expr(source) = arg else {
                let message = "* is an argument of count only";
                return Err(SqlError::new(SqlState::WrongObjectType, message));
            };
            if name.is_none() && passed.iter().any(|before| before.name.is_some()) {
                let message = "positional argument cannot follow named argument";
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
            let expr = self.expr(source)?;
            passed.push(Passed { name, expr, source });
        }
        Ok((passed, is_variadic))
    }

    /// The arguments in the order of the parameters.
    fn arranged_args(
        &mut self,
        fit: &Fit,
        passed: Vec<Passed<'_>>,
        wanted: &[DataType],
    ) -> Result<Vec<Expr>> {
        use super::position::Placed;
        let Some(routine) = routine_of(&fit.object) else {
            return Err(SqlError::internal("a call of what is no function"));
        };
        let inputs: Vec<_> = routine.inputs().cloned().collect();
        let mut args: Vec<Option<Expr>> = vec![None; inputs.len()];
        let mut spread = Vec::new();
        let mut element = None;
        for ((arg, slot), ty) in passed.into_iter().zip(&fit.slots).zip(wanted) {
            let value =
                self.coerce(arg.expr, *ty, -1, CastContext::Implicit).at_expr(arg.source)?;
            if fit.is_spread && *slot + 1 == inputs.len() {
                element = Some(*ty);
                spread.push(value);
            } else {
                args[*slot] = Some(value);
            }
        }
        if let Some(ty) = element.and_then(DataType::array)
            && let Some(last) = args.last_mut()
        {
            let function = ArrayOperation::Construct.function();
            *last = Some(Expr::Call { function, args: spread, ty });
        }
        let mut whole = Vec::with_capacity(args.len());
        for (arg, input) in args.into_iter().zip(&inputs) {
            whole.push(match (arg, &input.default) {
                (Some(arg), _) => arg,
                (None, Some(default)) => self.argument_default(default, input.ty)?,
                (None, None) => return Err(SqlError::internal("an argument is missing")),
            });
        }
        Ok(whole)
    }

    /// What a call yields.
    fn routine_call_of(
        &mut self,
        fit: &Fit,
        types: &[DataType],
        definition: Option<Vec<RoutineColumn>>,
    ) -> Result<RoutineCall> {
        let object = &fit.object;
        let Some(routine) = routine_of(object) else {
            return Err(SqlError::internal("a call of what is no function"));
        };
        let column = |name: &str, ty| RoutineColumn { name: name.to_owned(), ty, typmod: -1 };
        let decide = |ty: DataType| -> Result<DataType> {
            Ok(if ty.is_polymorphic() { decide_result(&fit.types, types, ty)? } else { ty })
        };
        let outputs: Vec<_> = routine.outputs().cloned().collect();
        let mut is_row = outputs.len() > 1;
        let columns = if outputs.is_empty() {
            match routine.given {
                Given::Value(ty) => match decide(ty)? {
                    ty if ty.fields().is_some() => {
                        is_row = true;
                        self.catalog.is_asked()?;
                        ty.fields()
                            .into_iter()
                            .flat_map(|all| all.iter())
                            .map(RoutineColumn::of)
                            .collect()
                    }
                    ty => vec![column(&object.name, ty)],
                },
                Given::RowOf(id) => {
                    is_row = true;
                    self.columns_of_table(id)?
                }
                Given::Record => {
                    is_row = true;
                    definition.unwrap_or_default()
                }
                Given::Void => Vec::new(),
                Given::Trigger => {
                    let message = "trigger functions can only be called as triggers";
                    return Err(SqlError::new(SqlState::FeatureNotSupported, message));
                }
            }
        } else {
            let mut columns = Vec::with_capacity(outputs.len());
            for (at, output) in outputs.iter().enumerate() {
                let name = if output.name.is_empty() {
                    if is_row { format!("column{}", at + 1) } else { object.name.clone() }
                } else {
                    output.name.clone()
                };
                columns.push(column(&name, decide(output.ty)?));
            }
            columns
        };
        let mut arg_types: Vec<DataType> = routine.input_types();
        for (slot, ty) in arg_types.iter_mut().enumerate() {
            if !ty.is_polymorphic() {
                continue;
            }
            *ty = decide_result(&fit.types, types, *ty).or_else(|error| {
                match fit.slots.iter().position(|other| *other == slot) {
                    Some(at) if types[at] != DataType::Unknown => Ok(types[at]),
                    _ => Err(error),
                }
            })?;
        }
        self.ask_call(object);
        Ok(RoutineCall { object: Arc::clone(object), arg_types, columns, is_row, whole: None })
    }

    fn columns_of_table(&mut self, id: TableId) -> Result<Vec<RoutineColumn>> {
        let Some(table) = self.catalog.table_by_id(id)? else {
            let message = format!("relation with OID {} does not exist", id.0);
            return Err(SqlError::new(SqlState::UndefinedTable, message));
        };
        let columns = table.columns.iter().map(|column| RoutineColumn {
            name: column.name.clone(),
            ty: column.ty,
            typmod: column.typmod,
        });
        Ok(columns.collect())
    }

    /// A call as an expression; `None` if it means no function of a user's.
    pub(crate) fn routine_expr(
        &mut self,
        name: &ObjectName,
        function: &ast::Function,
    ) -> Result<Option<Expr>> {
        let ast::FunctionArguments::List(list) = &function.args else { return Ok(None) };
        let Some((mut call, args)) = self.routine_call(name, list, None)? else {
            return Ok(None);
        };
        if call.is_row {
            let whole = self.row_type_of(&call)?;
            Arc::make_mut(&mut call).whole = Some(whole);
        }
        self.note_object(&function.name, call.object.id.0);
        let routine = call.routine();
        if function.filter.is_some() || function.over.is_some() {
            let what = if function.over.is_some() { "OVER" } else { "FILTER" };
            let message = if function.over.is_some() {
                format!(
                    "{what} specified, but {} is not a window function nor an aggregate function",
                    name.name
                )
            } else {
                format!("{what} specified, but {} is not an aggregate function", name.name)
            };
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        if routine.is_procedure {
            let signature = driftdb_query::routine_signature(&name.name, &call.arg_types);
            let message = format!("{signature} is a procedure");
            return Err(SqlError::new(SqlState::WrongObjectType, message)
                .with_hint("To call a procedure, use CALL."));
        }
        if call.is_row && call.columns.is_empty() {
            let message =
                "function returning record called in context that cannot accept type record";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let value = call.columns.first().map_or(DataType::Void, |column| column.ty);
        let ty = call.whole.unwrap_or(value);
        if routine.is_set {
            let shape = call.whole.map(|_| fields_of(&call));
            let function = SetFunction::Routine { call, ordinality: false };
            let listed = self.listed(SetCall { function, args, ty })?;
            if let (Some(shape), Some(id)) = (shape, super::scope::column_of(&listed)) {
                self.shapes.insert(id, shape);
            }
            return Ok(Some(listed));
        }
        Ok(Some(Expr::Routine { call, args, ty }))
    }

    /// The type of the row that a call gives.
    fn row_type_of(&mut self, call: &RoutineCall) -> Result<DataType> {
        let routine = call.routine();
        if routine.outputs().next().is_some() {
            return Ok(DataType::Record);
        }
        Ok(match routine.given {
            Given::RowOf(id) => match self.catalog.table_by_id(id)? {
                Some(table) => table_type(&table),
                None => DataType::Record,
            },
            Given::Value(ty) if ty.fields().is_some() => ty,
            _ => DataType::Record,
        })
    }

    /// A set in a select list: the column that it yields.
    fn listed(&mut self, call: SetCall) -> Result<Expr> {
        let clause = self.scope().clause;
        if self.scope().in_aggregate
            || !matches!(
                clause,
                Clause::Select | Clause::OrderBy | Clause::DistinctOn | Clause::GroupBy
            )
        {
            let message = format!("set-returning functions are not allowed in {}", clause.name());
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let output = self.column_id();
        let ty = call.ty;
        self.scope().set_calls.push(ListedCall { output, call });
        Ok(Expr::Column { id: output, ty })
    }

    /// A call in FROM; `None` if it means no function of a user's.
    pub(crate) fn routine_item(
        &mut self,
        (name, written): (&ObjectName, &ast::ObjectName),
        list: &ast::FunctionArgumentList,
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
    ) -> Result<Option<FromItem>> {
        let place = |error: SqlError| error.at(name.position);
        let definition = self.column_definitions(alias)?;
        let has_definition = definition.is_some();
        let call = self.routine_call(name, list, definition).map_err(place)?;
        let Some((call, args)) = call else { return Ok(None) };
        self.note_object(written, call.object.id.0);
        let is_record =
            call.routine().given == Given::Record && call.routine().outputs().next().is_none();
        if is_record && !has_definition {
            let message = "a column definition list is required for functions returning \"record\"";
            return Err(place(SqlError::new(SqlState::SyntaxError, message)));
        }
        if has_definition && !is_record {
            let message = if call.routine().given == Given::Record {
                "a column definition list is redundant for a function with OUT parameters"
            } else {
                "a column definition list is only allowed for functions returning \"record\""
            };
            return Err(place(SqlError::new(SqlState::SyntaxError, message)));
        }
        if call.routine().is_procedure {
            let signature = driftdb_query::routine_signature(&name.name, &call.arg_types);
            let message = format!("{signature} is a procedure");
            return Err(place(
                SqlError::new(SqlState::WrongObjectType, message)
                    .with_hint("To call a procedure, use CALL."),
            ));
        }
        let mut named = Vec::new();
        let mut columns = Vec::new();
        let is_value = !call.is_row && call.columns.len() <= 1;
        // Nothing is a value, too, in FROM.
        let void = RoutineColumn { name: name.name.clone(), ty: DataType::Void, typmod: -1 };
        let given = if call.columns.is_empty() { vec![void] } else { call.columns.clone() };
        for column in &given {
            let id = self.column_id();
            self.meta.insert(id, Meta { typmod: column.typmod, origin: (0, 0) });
            columns.push(OutputColumn { id, ty: column.ty });
            let own = match alias {
                Some(alias) if is_value && column.name == name.name => ident(&alias.name),
                _ => column.name.clone(),
            };
            named.push(Named { name: own, expr: Expr::Column { id, ty: column.ty } });
            if is_value && !ordinality {
                self.function_values.insert(id);
            }
        }
        if call.columns.is_empty() {
            let value = Expr::Routine { call, args, ty: DataType::Void };
            let plan = LogicalPlan::Project {
                input: Box::new(LogicalPlan::one_row()),
                exprs: vec![(columns[0].id, value)],
            };
            let own = Aliased { alias, own: name.name.clone(), schema: None };
            return item(plan, named, own, None, None).map(Some);
        }
        if ordinality {
            let id = self.column_id();
            self.meta.insert(id, NO_META);
            columns.push(OutputColumn { id, ty: DataType::Int8 });
            named.push(Named {
                name: "ordinality".to_owned(),
                expr: Expr::Column { id, ty: DataType::Int8 },
            });
        }
        let whole = if call.is_row && !ordinality { Some(self.row_type_of(&call)?) } else { None };
        let function = SetFunction::Routine { call, ordinality };
        let plan = LogicalPlan::FunctionScan { function, args, columns };
        let own = Aliased { alias, own: name.name.clone(), schema: None };
        let mut item = item(plan, named, own, None, None)?;
        let whole = whole.filter(|ty| ty.fields().is_some());
        item.relations.iter_mut().for_each(|relation| relation.whole.ty = whole);
        Ok(Some(item))
    }

    /// The columns that an alias defines: names with types.
    fn column_definitions(
        &mut self,
        alias: Option<&ast::TableAlias>,
    ) -> Result<Option<Vec<RoutineColumn>>> {
        let Some(alias) = alias else { return Ok(None) };
        if alias.columns.iter().all(|column| column.data_type.is_none()) {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(alias.columns.len());
        for column in &alias.columns {
            let Some(data_type) = &column.data_type else {
                let message = "a column definition list needs a type for each column";
                return Err(SqlError::new(SqlState::SyntaxError, message));
            };
            let (ty, typmod) = self.type_name(data_type)?;
            columns.push(RoutineColumn { name: ident(&column.name), ty, typmod });
        }
        Ok(Some(columns))
    }

    /// CALL: a query that yields the OUT arguments, and whether there are any.
    pub(crate) fn call_statement(&mut self, function: &ast::Function) -> Result<(Query, bool)> {
        let name = object_name(&function.name)?;
        let place = |error: SqlError| error.at(name.position);
        let ast::FunctionArguments::List(list) = &function.args else {
            return Err(place(SqlError::new(SqlState::SyntaxError, "CALL needs arguments")));
        };
        self.scopes.push(Scope::new(Clause::Other));
        let list = self.without_outputs(&name, list)?;
        let call = self.routine_call(&name, &list, None).map_err(place)?;
        self.scopes.pop();
        let Some((call, args)) = call else {
            let shown = super::as_of::qualified(name.schema.as_deref(), &name.name);
            let message = format!("procedure {shown}() does not exist");
            return Err(place(SqlError::new(SqlState::UndefinedFunction, message).with_hint(
                "No procedure matches the given name and argument types. You might need to add \
                 explicit type casts.",
            )));
        };
        if !call.routine().is_procedure {
            let signature = driftdb_query::routine_signature(&name.name, &call.arg_types);
            let message = format!("{signature} is not a procedure");
            return Err(place(
                SqlError::new(SqlState::WrongObjectType, message)
                    .with_hint("To call a function, use SELECT."),
            ));
        }
        let columns: Vec<OutputColumn> = call
            .columns
            .iter()
            .map(|column| OutputColumn { id: self.column_id(), ty: column.ty })
            .collect();
        let fields: Vec<Field> = call
            .columns
            .iter()
            .map(|column| Field {
                name: column.name.clone(),
                ty: column.ty,
                typmod: column.typmod,
                origin: (0, 0),
            })
            .collect();
        let has_output = !columns.is_empty();
        let function = SetFunction::Routine { call, ordinality: false };
        let plan = LogicalPlan::FunctionScan { function, args, columns };
        Ok((Query { plan, fields }, has_output))
    }

    /// CALL gives OUT arguments, too, whose values are not looked at.
    fn without_outputs(
        &mut self,
        name: &ObjectName,
        list: &ast::FunctionArgumentList,
    ) -> Result<ast::FunctionArgumentList> {
        let mut list = list.clone();
        let objects = self.routines_named(name)?;
        let fits = objects.iter().filter_map(|object| routine_of(object)).find(|routine| {
            routine.arguments.len() == list.args.len()
                && routine.arguments.iter().any(|arg| arg.mode == ArgumentMode::Out)
        });
        if let Some(routine) = fits {
            let mut modes = routine.arguments.iter().map(|argument| argument.mode);
            list.args.retain(|_| modes.next() != Some(ArgumentMode::Out));
        }
        Ok(list)
    }
}

/// Binds WHEN of a trigger: over the old row, then the new one ([`Expr::Slot`]).
///
/// # Errors
/// The text does not parse or bind.
pub fn bind_trigger_condition(
    table: &Arc<Table>,
    trigger: &Trigger,
    condition: &str,
    cx: &mut BindContext<'_>,
) -> Result<Expr> {
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    let (old, new, mut bound) = binder.trigger_condition(table, trigger, condition)?;
    let ids: Vec<ColId> = old.into_iter().chain(new).collect();
    slots(&mut bound, &ids);
    Ok(bound)
}

/// Makes places of identities.
pub(crate) fn slots(expr: &mut Expr, ids: &[ColId]) {
    if let Expr::Column { id, ty } = expr
        && let Some(index) = ids.iter().position(|known| known == id)
    {
        *expr = Expr::Slot { index, ty: *ty };
        return;
    }
    expr.for_each_child_mut(&mut |child| slots(child, ids));
}
