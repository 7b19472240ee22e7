//! Arguments with names, and VARIADIC.

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{DataType, SqlState, resolve_hidden};
use sqlparser::ast;

use super::Binder;
use super::names::ident;
use super::position::position;
use super::set_function::is_set_function;
use crate::front::special::VARIADIC;

/// The names of a function's arguments, and what stands for those that are left out.
struct Signature {
    name: &'static str,
    arguments: &'static [(&'static str, Option<&'static str>)],
}

/// What asks a path takes.
const PATH: &[(&str, Option<&str>)] =
    &[("target", None), ("path", None), ("vars", Some("{}")), ("silent", Some("false"))];

const SIGNATURES: &[Signature] = &[
    Signature { name: "jsonb_path_exists", arguments: PATH },
    Signature { name: "jsonb_path_exists_tz", arguments: PATH },
    Signature { name: "jsonb_path_match", arguments: PATH },
    Signature { name: "jsonb_path_match_tz", arguments: PATH },
    Signature { name: "jsonb_path_query", arguments: PATH },
    Signature { name: "jsonb_path_query_tz", arguments: PATH },
    Signature { name: "jsonb_path_query_array", arguments: PATH },
    Signature { name: "jsonb_path_query_array_tz", arguments: PATH },
    Signature { name: "jsonb_path_query_first", arguments: PATH },
    Signature { name: "jsonb_path_query_first_tz", arguments: PATH },
    Signature {
        name: "make_interval",
        arguments: &[
            ("years", Some("0")),
            ("months", Some("0")),
            ("weeks", Some("0")),
            ("days", Some("0")),
            ("hours", Some("0")),
            ("mins", Some("0")),
            ("secs", Some("0.0")),
        ],
    },
    Signature { name: "make_date", arguments: &[("year", None), ("month", None), ("day", None)] },
    Signature { name: "make_time", arguments: &[("hour", None), ("min", None), ("sec", None)] },
    Signature {
        name: "make_timestamp",
        arguments: &[
            ("year", None),
            ("month", None),
            ("mday", None),
            ("hour", None),
            ("min", None),
            ("sec", None),
        ],
    },
    Signature { name: "parse_ident", arguments: &[("str", None), ("strict", Some("true"))] },
    Signature {
        name: "jsonb_set",
        arguments: &[
            ("jsonb_in", None),
            ("path", None),
            ("replacement", None),
            ("create_if_missing", Some("true")),
        ],
    },
    Signature {
        name: "jsonb_insert",
        arguments: &[
            ("jsonb_in", None),
            ("path", None),
            ("replacement", None),
            ("insert_after", Some("false")),
        ],
    },
];

/// A constant as the parser reads it.
fn constant(text: &str) -> ast::Expr {
    let value = match text {
        "true" | "false" => ast::Value::Boolean(text == "true"),
        "{}" => ast::Value::SingleQuotedString(text.to_owned()),
        digits => ast::Value::Number(digits.to_owned(), false),
    };
    ast::Expr::Value(value.into())
}

/// The name and the expression of an argument that has a name.
fn named(arg: &ast::FunctionArg) -> Option<(&ast::Ident, &ast::Expr)> {
    match arg {
        ast::FunctionArg::ExprNamed {
            name: ast::Expr::Identifier(name),
            arg: ast::FunctionArgExpr::Expr(expr),
            ..
        }
        | ast::FunctionArg::Named { name, arg: ast::FunctionArgExpr::Expr(expr), .. } => {
            Some((name, expr))
        }
        _ => None,
    }
}

/// The arguments of a set-returning function in FROM, in their order where they have names.
///
/// # Errors
/// Names that the function does not have.
pub(crate) fn ordered_arguments(
    name: &str,
    args: &[ast::FunctionArg],
) -> Result<Option<Vec<ast::Expr>>> {
    if args.last().and_then(named).is_none() {
        return Ok(None);
    }
    let list = ast::FunctionArgumentList {
        duplicate_treatment: None,
        args: args.to_vec(),
        clauses: Vec::new(),
    };
    let mut exprs = Vec::new();
    for arg in args.iter().take_while(|arg| named(arg).is_none()) {
        match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => exprs.push(expr),
            _ => return Err(SqlError::unsupported("a named argument")),
        }
    }
    in_order(name, &list, &exprs).map(Some)
}

/// The arguments in the function's order, what is left out filled in.
fn in_order(
    name: &str,
    list: &ast::FunctionArgumentList,
    exprs: &[&ast::Expr],
) -> Result<Vec<ast::Expr>> {
    let positional = exprs.len();
    let Some(signature) = SIGNATURES.iter().find(|signature| signature.name == name) else {
        return Err(SqlError::unsupported(format!("a named argument of {name}")));
    };
    let mut places: Vec<Option<ast::Expr>> = vec![None; signature.arguments.len()];
    for (place, expr) in places.iter_mut().zip(exprs) {
        *place = Some((*expr).clone());
    }
    let undefined = || {
        let message = format!("function {name}() does not exist with arguments of these names");
        SqlError::new(SqlState::UndefinedFunction, message)
    };
    if exprs.len() > places.len() {
        return Err(undefined());
    }
    for arg in &list.args[positional..] {
        let Some((argument, expr)) = named(arg) else {
            let message = "positional argument cannot follow named argument";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        };
        let argument = ident(argument);
        let found = signature.arguments.iter().position(|(known, _)| *known == argument);
        let place = found.ok_or_else(undefined)?;
        if places[place].is_some() {
            let message = format!("argument name \"{argument}\" used more than once");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        places[place] = Some(expr.clone());
    }
    let mut all = Vec::with_capacity(places.len());
    for (place, (_, default)) in places.into_iter().zip(signature.arguments) {
        match (place, default) {
            (Some(expr), _) => all.push(expr),
            (None, Some(default)) => all.push(constant(default)),
            (None, None) => return Err(undefined()),
        }
    }
    Ok(all)
}

impl Binder<'_> {
    /// A call in which arguments have names, or an array stands for the last ones.
    pub(crate) fn spelt_call(
        &mut self,
        name: &str,
        list: &ast::FunctionArgumentList,
    ) -> Result<Option<Expr>> {
        let Some(last) = list.args.last().and_then(named) else { return Ok(None) };
        let is_variadic = last.0.quote_style.is_some() && last.0.value == VARIADIC;
        let positional = list.args.iter().take_while(|arg| named(arg).is_none()).count();
        let mut exprs = Vec::with_capacity(list.args.len());
        for arg in &list.args[..positional] {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => exprs.push(expr),
                _ => return Err(SqlError::unsupported("a named argument")),
            }
        }
        if is_variadic && positional + 1 == list.args.len() {
            exprs.push(last.1);
            return self.variadic_call(name, &exprs).map(Some);
        }
        let all = in_order(name, list, &exprs)?;
        let all: Vec<&ast::Expr> = all.iter().collect();
        if is_set_function(name) {
            return self.listed_set_call(name, &all).map(Some);
        }
        self.named_call(name, &all).map(Some)
    }

    fn variadic_call(&mut self, name: &str, exprs: &[&ast::Expr]) -> Result<Expr> {
        let bound = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        if let (Some(ty), Some(expr)) = (types.last(), exprs.last())
            && ty.element().is_none()
        {
            let message = "VARIADIC argument must be an array";
            let error = SqlError::new(SqlState::DatatypeMismatch, message);
            return Err(match position(expr) {
                Some(position) => error.at(position),
                None => error,
            });
        }
        let hidden = format!("*{VARIADIC} {name}");
        let resolved = resolve_hidden(&hidden, &types).map_err(|error| {
            let mut error = SqlError::from(error);
            error.message = error.message.replace(&hidden, name);
            error
        })?;
        self.call_of(&resolved, bound, exprs)
    }
}
