//! Set-returning functions: what they are called with, and those that stand in a select list.
//!
//! In a select list they are evaluated after grouping and before sorting, side by side: the rows that
//! the list is computed from are joined with what the functions yield for each.

use std::collections::BTreeSet;

use driftdb_query::{
    ColId, Expr, JoinKind, LogicalPlan, OutputColumn, Result, SetFunction, SqlError,
};
use driftdb_types::{
    CastContext, DataType, Resolved, SqlState, Value, ValueError, common_type, resolve_function,
    resolve_hidden, resolve_operator,
};
use sqlparser::ast;

use super::Binder;
use super::aggregate::for_each_column;
use super::position::Placed;
use super::scope::Clause;

/// A call with what it is called with.
#[derive(Debug, Clone)]
pub(crate) struct SetCall {
    pub(crate) function: SetFunction,
    pub(crate) args: Vec<Expr>,
    pub(crate) ty: DataType,
}

/// A call in a select list, and the column that it yields.
#[derive(Debug, Clone)]
pub(crate) struct ListedCall {
    pub(crate) output: ColId,
    pub(crate) call: SetCall,
}

/// Whether a function of this name yields rows.
pub(crate) fn is_set_function(name: &str) -> bool {
    matches!(
        name,
        "generate_series"
            | "unnest"
            | "generate_subscripts"
            | "pg_partition_ancestors"
            | "pg_listening_channels"
            | "regexp_matches"
    ) || is_array_function(name)
        || is_pair_function(name)
}

/// Whether a function yields the elements of an array that another makes.
fn is_array_function(name: &str) -> bool {
    matches!(
        name,
        "json_array_elements"
            | "jsonb_array_elements"
            | "json_array_elements_text"
            | "jsonb_array_elements_text"
            | "json_object_keys"
            | "jsonb_object_keys"
            | "string_to_table"
            | "regexp_split_to_table"
            | "jsonb_path_query"
            | "jsonb_path_query_tz"
    )
}

/// Whether a function yields rows of a key and a value.
pub(crate) fn is_pair_function(name: &str) -> bool {
    matches!(name, "json_each" | "jsonb_each" | "json_each_text" | "jsonb_each_text")
}

/// The hidden function behind a set-returning one.
fn resolve_named(name: &str, types: &[DataType]) -> std::result::Result<Resolved, ValueError> {
    resolve_hidden(&format!("*{name}"), types)
}

pub(crate) fn undefined(name: &str, types: &[DataType]) -> SqlError {
    let names: Vec<&str> = types.iter().map(|ty| ty.sql_name()).collect();
    let message = format!("function {name}({}) does not exist", names.join(", "));
    SqlError::new(SqlState::UndefinedFunction, message).with_hint(
        "No function matches the given name and argument types. \
         You might need to add explicit type casts.",
    )
}

impl Binder<'_> {
    /// A call of a set-returning function.
    pub(crate) fn set_call(&mut self, name: &str, exprs: &[&ast::Expr]) -> Result<SetCall> {
        let bound = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
        match name {
            "unnest" => self.unnest(bound),
            "generate_subscripts" => self.subscripts_call(bound),
            "pg_partition_ancestors" => self.partition_ancestors(bound),
            "generate_series" => self.series(bound),
            "regexp_matches" => self.rows_of(name, bound),
            _ if is_pair_function(name) => {
                Err(SqlError::unsupported(format!("{name} in a select list, which yields rows")))
            }
            _ => self.elements_of(name, name, bound),
        }
    }

    /// A call that yields the elements of the array that a hidden function makes.
    fn elements_of(&mut self, name: &str, maker: &str, bound: Vec<Expr>) -> Result<SetCall> {
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let resolved = match (maker, &types[..]) {
            ("pg_listening_channels", types) => resolve_function(maker, types),
            ("string_to_table", types) => resolve_function("string_to_array", types),
            (
                "unnest" | "regexp_split_to_table" | "jsonb_path_query" | "jsonb_path_query_tz",
                types,
            ) => resolve_named(maker, types),
            (maker, [one]) => resolve_operator(&format!("*{maker}"), None, Some(*one)),
            _ => return Err(undefined(name, &types)),
        };
        let resolved = resolved.map_err(|_| undefined(name, &types))?;
        let array = self.resolved_call(&resolved, bound)?;
        let ty = array.ty().element().unwrap_or(resolved.result);
        Ok(SetCall { function: SetFunction::Unnest, args: vec![array], ty })
    }

    /// A call that yields the rows of the array of two dimensions that a hidden function makes.
    fn rows_of(&mut self, name: &str, bound: Vec<Expr>) -> Result<SetCall> {
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let resolved = resolve_named(name, &types).map_err(|_| undefined(name, &types))?;
        let array = self.resolved_call(&resolved, bound)?;
        Ok(SetCall { function: SetFunction::UnnestRows, args: vec![array], ty: resolved.result })
    }

    /// The two calls, of keys and of values, that a function like `json_each` is.
    pub(crate) fn pair_calls(&mut self, name: &str, exprs: &[&ast::Expr]) -> Result<[SetCall; 2]> {
        let mut call = |part: &str| {
            let bound = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
            self.elements_of(name, &format!("{name} {part}"), bound)
        };
        Ok([call("key")?, call("value")?])
    }

    fn unnest(&mut self, bound: Vec<Expr>) -> Result<SetCall> {
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        match types[..] {
            [DataType::Unknown] => Err(SqlError::new(
                SqlState::AmbiguousFunction,
                "function unnest(unknown) is not unique",
            )
            .with_hint(
                "Could not choose a best candidate function. You might need to add explicit \
                 type casts.",
            )),
            [ty] => match ty.element() {
                Some(element) => {
                    Ok(SetCall { function: SetFunction::Unnest, args: bound, ty: element })
                }
                None if ty.is_multirange() => self.elements_of("unnest", "unnest", bound),
                None => Err(undefined("unnest", &types)),
            },
            _ => Err(undefined("unnest", &types)),
        }
    }

    fn subscripts_call(&mut self, bound: Vec<Expr>) -> Result<SetCall> {
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let missing = || undefined("generate_subscripts", &types);
        if !(2..=3).contains(&bound.len()) || types[0].element().is_none() {
            return Err(missing());
        }
        let wanted = [types[0], DataType::Int4, DataType::Bool];
        let mut args = Vec::with_capacity(3);
        for (arg, ty) in bound.into_iter().zip(wanted) {
            if !driftdb_types::can_cast(arg.ty(), ty, CastContext::Implicit) {
                return Err(missing());
            }
            args.push(self.coerce(arg, ty, -1, CastContext::Implicit)?);
        }
        Ok(SetCall { function: SetFunction::Subscripts, args, ty: DataType::Int4 })
    }

    /// No relation is a partition, so that there are none; but the relation must be one.
    fn partition_ancestors(&mut self, bound: Vec<Expr>) -> Result<SetCall> {
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let ty = DataType::Regclass;
        let [relation] = <[Expr; 1]>::try_from(bound)
            .map_err(|_| undefined("pg_partition_ancestors", &types))?;
        self.coerce(relation, ty, -1, CastContext::Implicit)?;
        let none = Expr::constant(Value::Null, ty.array().unwrap_or(ty));
        Ok(SetCall { function: SetFunction::Unnest, args: vec![none], ty })
    }

    fn series(&mut self, bound: Vec<Expr>) -> Result<SetCall> {
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let undefined = || undefined("generate_series", &types);
        if !(2..=3).contains(&bound.len()) {
            return Err(undefined());
        }
        let mut element = common_type(&types[..2]).map_err(|_| undefined())?;
        if types[..2] == [DataType::Unknown; 2] {
            element = types.get(2).copied().unwrap_or(DataType::Int4);
        }
        let step = match element {
            DataType::Int2 | DataType::Int4 => {
                element = DataType::Int4;
                if types.get(2) == Some(&DataType::Int8) {
                    element = DataType::Int8;
                }
                if types.get(2) == Some(&DataType::Numeric) {
                    element = DataType::Numeric;
                }
                element
            }
            DataType::Int8 if types.get(2) == Some(&DataType::Numeric) => {
                element = DataType::Numeric;
                element
            }
            DataType::Int8 | DataType::Numeric => element,
            DataType::Date | DataType::Timestamp | DataType::Timestamptz if bound.len() == 3 => {
                if element == DataType::Date {
                    element = DataType::Timestamptz;
                }
                DataType::Interval
            }
            _ => return Err(undefined()),
        };
        let mut args = Vec::with_capacity(3);
        for (index, arg) in bound.into_iter().enumerate() {
            let ty = if index == 2 { step } else { element };
            args.push(self.coerce(arg, ty, -1, CastContext::Implicit)?);
        }
        let add = resolve_operator("+", Some(element), Some(step))?.id;
        Ok(SetCall { function: SetFunction::GenerateSeries { element, add }, args, ty: element })
    }

    /// A call in a select list: the column that it yields.
    pub(crate) fn listed_set_call(&mut self, name: &str, exprs: &[&ast::Expr]) -> Result<Expr> {
        let refused = |message: String| Err(SqlError::new(SqlState::FeatureNotSupported, message));
        const HINT: &str = "You might be able to move the set-returning function into a LATERAL \
                            FROM item.";
        let scope = self.scope();
        if scope.in_aggregate {
            let message = "aggregate function calls cannot contain set-returning function calls";
            return refused(message.to_owned()).map_err(|error| error.with_hint(HINT));
        }
        if !matches!(
            scope.clause,
            Clause::Select | Clause::OrderBy | Clause::DistinctOn | Clause::GroupBy
        ) {
            let place = scope.clause.name();
            return refused(format!("set-returning functions are not allowed in {place}"));
        }
        let call = self.set_call(name, exprs)?;
        let same = |known: &&ListedCall| {
            known.call.function == call.function && known.call.args == call.args
        };
        // What is sorted, grouped or partitioned by is the same call as the one in the list.
        if !call.args.iter().any(is_volatile)
            && let Some(known) = self.scope().set_calls.iter().find(same)
        {
            return Ok(Expr::Column { id: known.output, ty: known.call.ty });
        }
        let output = self.column_id();
        let ty = call.ty;
        self.scope().set_calls.push(ListedCall { output, call });
        Ok(Expr::Column { id: output, ty })
    }

    /// Runs `bind`, in which no set-returning function may be called.
    pub(crate) fn without_sets<T>(
        &mut self,
        construct: &str,
        at: &ast::Expr,
        bind: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before = self.scopes.last().map_or(0, |scope| scope.set_calls.len());
        let bound = bind(self)?;
        if self.scopes.last().is_some_and(|scope| scope.set_calls.len() > before) {
            let message = format!("set-returning functions are not allowed in {construct}");
            let hint = "You might be able to move the set-returning function into a LATERAL FROM \
                        item.";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message).with_hint(hint))
                .at_expr(at);
        }
        Ok(bound)
    }
}

/// The plan of calls side by side, and their columns.
pub(crate) fn scan_of(
    calls: Vec<(ColId, SetCall)>,
    ordinality: Option<ColId>,
) -> (LogicalPlan, Vec<OutputColumn>) {
    let mut columns: Vec<OutputColumn> =
        calls.iter().map(|(id, call)| OutputColumn { id: *id, ty: call.ty }).collect();
    columns.extend(ordinality.map(|id| OutputColumn { id, ty: DataType::Int8 }));
    let mut args = Vec::new();
    let mut functions = Vec::with_capacity(calls.len());
    for (_, call) in calls {
        functions.push((call.function, call.args.len()));
        args.extend(call.args);
    }
    let function = match functions.pop() {
        Some((only, _)) if functions.is_empty() && ordinality.is_none() => only,
        last => {
            functions.extend(last);
            SetFunction::Zip { functions, ordinality: ordinality.is_some() }
        }
    };
    let plan = LogicalPlan::FunctionScan { function, args, columns: columns.clone() };
    (plan, columns)
}

/// Whether evaluating an expression twice may give two values.
fn is_volatile(expr: &Expr) -> bool {
    let mut found = match expr {
        Expr::Call { function, .. } => {
            driftdb_types::function(*function).volatility == driftdb_types::Volatility::Volatile
        }
        Expr::Subquery(_) => true,
        _ => false,
    };
    expr.for_each_child(&mut |child| found = found || is_volatile(child));
    found
}

/// Joins a plan with what calls yield for each of its rows. Calls whose arguments are what others yield
/// come above those; all others stand side by side.
pub(crate) fn expanded(mut plan: LogicalPlan, mut calls: Vec<ListedCall>) -> LogicalPlan {
    while !calls.is_empty() {
        let yielded: BTreeSet<ColId> = calls.iter().map(|listed| listed.output).collect();
        let is_above = |listed: &ListedCall| {
            let mut found = false;
            for arg in &listed.call.args {
                for_each_column(arg, &mut |id| found |= yielded.contains(&id));
            }
            found
        };
        let (above, level): (Vec<_>, Vec<_>) = calls.into_iter().partition(is_above);
        let level = level.into_iter().map(|listed| (listed.output, listed.call)).collect();
        plan = LogicalPlan::Join {
            kind: JoinKind::Inner,
            left: Box::new(plan),
            right: Box::new(scan_of(level, None).0),
            on: Expr::truth(),
            lateral: true,
        };
        calls = above;
    }
    plan
}

/// Splits off the calls whose columns are among `used`, and those that they are called with.
pub(crate) fn take_used(calls: &mut Vec<ListedCall>, used: &BTreeSet<ColId>) -> Vec<ListedCall> {
    let mut used = used.clone();
    // A call stands behind those that its arguments name.
    for listed in calls.iter().rev().filter(|listed| !listed.call.args.is_empty()) {
        if used.contains(&listed.output) {
            for arg in &listed.call.args {
                for_each_column(arg, &mut |id| {
                    used.insert(id);
                });
            }
        }
    }
    let (taken, rest) =
        std::mem::take(calls).into_iter().partition(|listed| used.contains(&listed.output));
    *calls = rest;
    taken
}
