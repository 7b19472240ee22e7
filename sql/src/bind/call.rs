//! Function calls: those of the table, aggregates, and those that are syntax in disguise.

use driftdb_query::{Expr, Result, SqlError, WindowFunction};
use driftdb_types::{
    CastContext, DataType, SqlState, Value, aggregates, ordered_set_aggregate, resolve_function,
};
use sqlparser::ast;

use super::Binder;
use super::literal::unknown;
use super::names::object_name;
use super::position::Placed;
use super::schema::no_such_schema;
use super::set_function::is_set_function;
use super::whole_row::STAR;

/// The arguments of a call, all without names.
pub(crate) fn arguments(list: &ast::FunctionArgumentList) -> Result<Vec<&ast::Expr>> {
    list.args
        .iter()
        .map(|arg| match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr),
            ast::FunctionArg::Unnamed(_) => {
                Err(SqlError::new(SqlState::WrongObjectType, "* is an argument of count only"))
            }
            _ => Err(SqlError::unsupported("a named argument")),
        })
        .collect()
}

/// Whether an aggregate has this name.
pub(crate) fn is_aggregate(name: &str) -> bool {
    aggregates().any(|aggregate| aggregate.name == name)
}

/// Whether something that is called has this name.
pub(crate) fn is_function(name: &str) -> bool {
    is_aggregate(name)
        || is_set_function(name)
        || WindowFunction::named(name).is_some()
        || driftdb_types::functions().any(|function| function.name == name)
}

/// A call in which `t.*` is an argument as one in which the row of `t` is; `None` if there is none. ROW(t.*) is
/// made of the columns.
fn with_rows(function: &ast::Function) -> Option<ast::Function> {
    use ast::{FunctionArg as Arg, FunctionArgExpr as ArgExpr};
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    let is_row = |arg: &Arg| {
        matches!(
            arg,
            Arg::Unnamed(ArgExpr::QualifiedWildcard(_))
                | Arg::Named { arg: ArgExpr::QualifiedWildcard(_), .. }
        )
    };
    let is_made = function.name.to_string().eq_ignore_ascii_case("row");
    if is_made || !list.args.iter().any(is_row) {
        return None;
    }
    let mut function = function.clone();
    if let ast::FunctionArguments::List(list) = &mut function.args {
        for arg in &mut list.args {
            let (Arg::Unnamed(arg) | Arg::Named { arg, .. } | Arg::ExprNamed { arg, .. }) = arg;
            if let ArgExpr::QualifiedWildcard(name) = arg {
                let parts = name.0.iter().filter_map(|part| part.as_ident().cloned());
                let star = ast::Ident::with_quote('"', STAR);
                let parts = parts.chain([star]).collect();
                *arg = ArgExpr::Expr(ast::Expr::CompoundIdentifier(parts));
            }
        }
    }
    Some(function)
}

impl Binder<'_> {
    pub(crate) fn function(&mut self, function: &ast::Function) -> Result<Expr> {
        if let Some(function) = with_rows(function) {
            return self.function(&function);
        }
        let name = object_name(&function.name)?;
        let place = |error: SqlError| error.at(name.position);
        if let Some(called) = self.routine_expr(&name, function).map_err(place)? {
            return Ok(called);
        }
        if let Some(schema) = &name.schema
            && schema != "pg_catalog"
        {
            if let Some(missing) = self.missing_schema(Some(schema))? {
                return Err(place(no_such_schema(&missing)));
            }
            let message = format!("function {schema}.{}() does not exist", name.name);
            return Err(place(SqlError::new(SqlState::UndefinedFunction, message)));
        }
        let list = match &function.args {
            ast::FunctionArguments::None => return self.bare_function(&name.name).map_err(place),
            ast::FunctionArguments::List(list) => list,
            ast::FunctionArguments::Subquery(query) if name.name == "array" => {
                return self.array_subquery(query);
            }
            ast::FunctionArguments::Subquery(_) => {
                return Err(place(SqlError::unsupported("a subquery without its own brackets")));
            }
        };
        let has_rows = !function.within_group.is_empty() || function.over.is_some();
        if has_rows && !is_function(&name.name) && ordered_set_aggregate(&name.name).is_none() {
            return self.named_call(&name.name, &arguments(list)?).map_err(place);
        }
        if !function.within_group.is_empty() {
            return self.ordered_set(&name.name, function, list, name.position).map_err(place);
        }
        if let Some(over) = &function.over {
            return self.window_call(&name.name, function, list, over).map_err(place);
        }
        if let Some(window) = WindowFunction::named(&name.name) {
            let message = format!("window function {} requires an OVER clause", window.name());
            return Err(place(SqlError::new(SqlState::WrongObjectType, message)));
        }
        super::ordered_set::check_within_group(&name.name).map_err(place)?;
        if name.name == "grouping" && name.schema.is_none() {
            return self.grouping_call(list).map_err(place);
        }
        if is_aggregate(&name.name) {
            return self.aggregate(&name.name, function, list, name.position).map_err(place);
        }
        self.plain_call(&name.name, function, list).map_err(place)
    }

    fn plain_call(
        &mut self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
    ) -> Result<Expr> {
        let only_aggregates = |what: &str| {
            let message = format!("{what} specified, but {name} is not an aggregate function");
            Err(SqlError::new(SqlState::WrongObjectType, message))
        };
        // A function that is not there is that first of all.
        let has_clause = function.filter.is_some()
            || list.duplicate_treatment.is_some()
            || !list.clauses.is_empty();
        if has_clause && !is_function(name) {
            return self.named_call(name, &arguments(list)?);
        }
        if function.filter.is_some() {
            return only_aggregates("FILTER");
        }
        if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct) {
            return only_aggregates("DISTINCT");
        }
        if !list.clauses.is_empty() {
            return only_aggregates("ORDER BY");
        }
        if let Some(call) = self.spelt_call(name, list)? {
            return Ok(call);
        }
        if name == "row" {
            return self.row_call(list);
        }
        let args = arguments(list)?;
        match name {
            "coalesce" => self.coalesce(&args),
            "nullif" => self.nullif(&args),
            "greatest" => self.extreme(&args, true),
            "least" => self.extreme(&args, false),
            "pg_typeof" => {
                let [arg] = args[..] else {
                    return Err(SqlError::new(
                        SqlState::UndefinedFunction,
                        "pg_typeof takes one argument",
                    ));
                };
                let ty = self.expr(arg)?.ty();
                if ty.user().is_some() {
                    self.catalog.is_asked()?;
                }
                Ok(Expr::constant(Value::Oid(ty.oid()), DataType::Regtype))
            }
            name if is_set_function(name) => self.listed_set_call(name, &args),
            // A type's name called with one argument converts it.
            _ => {
                let (scopes, depth) = (self.scopes.len(), self.depth);
                match self.named_call(name, &args) {
                    Err(error) if error.state == SqlState::UndefinedFunction => {
                        self.scopes.truncate(scopes);
                        self.depth = depth;
                        match self.conversion_call(name, &args)? {
                            Some(converted) => Ok(converted),
                            None => self.as_column(name, &args)?.ok_or(error),
                        }
                    }
                    other => other,
                }
            }
        }
    }

    /// `float8(x)`, `text(x)`
    fn conversion_call(&mut self, name: &str, args: &[&ast::Expr]) -> Result<Option<Expr>> {
        let ty = DataType::all().find(|ty| ty.name() == name);
        let (Some(ty), [arg]) = (ty, args) else { return Ok(None) };
        let bound = self.expr(arg)?;
        if !driftdb_types::can_cast(bound.ty(), ty, CastContext::Explicit) {
            return Ok(None);
        }
        self.coerce(bound, ty, -1, CastContext::Explicit).at_expr(arg).map(Some)
    }

    /// CURRENT_DATE and the others that are called without brackets.
    pub(crate) fn bare_function(&mut self, name: &str) -> Result<Expr> {
        let context = self.eval;
        match name {
            "current_catalog" => self.named_call("current_database", &[]),
            "user" | "current_role" => self.named_call("current_user", &[]),
            "current_date" | "current_time" | "current_timestamp" | "localtime"
            | "localtimestamp" => match self.named_call(name, &[]) {
                Err(error) if error.state == SqlState::UndefinedFunction => {
                    // They are conversions of the transaction's start.
                    let ty = match name {
                        "current_date" => DataType::Date,
                        "localtime" => DataType::Time,
                        "localtimestamp" => DataType::Timestamp,
                        "current_timestamp" => DataType::Timestamptz,
                        _ => return Err(SqlError::unsupported("time with time zone")),
                    };
                    let now = resolve_function("now", &[])?;
                    let now = self.resolved_call(&now, Vec::new())?;
                    self.coerce(now, ty, -1, CastContext::Explicit)
                }
                other => other,
            },
            "current_user" | "session_user" => match self.named_call(name, &[]) {
                Err(error) if error.state == SqlState::UndefinedFunction => {
                    let text = match name {
                        "current_user" => &context.user,
                        _ => &context.session_user,
                    };
                    self.coerce(unknown(&**text), DataType::Name, -1, CastContext::Implicit)
                }
                other => other,
            },
            _ => self.named_call(name, &[]),
        }
    }
}
