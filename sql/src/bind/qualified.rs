//! Stored expressions that mean the same on every search path.
//!
//! What a DEFAULT, CHECK, generated column, index or trigger keeps is the text of an expression. A function
//! or type of a user's that it names without a schema gets the schema of what the name meant when it was
//! bound.

use driftdb_query::{Expr, Result, RoutineCall};
use driftdb_types::DataType;
use sqlparser::ast;
use sqlparser::parser::Parser;

use super::names::ident;
use crate::deparse::quoted;
use crate::front::tokens::{Source, tokenize};
use crate::front::tree::parse_all;

/// Names and the schemas of what they mean.
#[derive(Default)]
struct Meanings {
    functions: Vec<(String, String)>,
    types: Vec<(String, String)>,
}

/// An expression as written, with schemas for the users' functions and types in it; `bound` is what it means.
pub(crate) fn qualified(expr: &ast::Expr, bound: &Expr) -> ast::Expr {
    let mut meanings = Meanings::default();
    collect(bound, &mut meanings);
    let mut expr = expr.clone();
    if !meanings.functions.is_empty() || !meanings.types.is_empty() {
        qualify(&mut expr, &meanings);
    }
    expr
}

/// As [`qualified`], of a text; the text itself where nothing is to be said.
///
/// # Errors
/// It does not parse.
pub(crate) fn qualified_text(sql: &str, bound: &Expr) -> Result<String> {
    let source = Source::new(sql);
    let tree = parse_all(&source, tokenize(&source)?, None, Parser::parse_expr)?;
    let after = qualified(&tree, bound);
    Ok(if after == tree { sql.to_owned() } else { after.to_string() })
}

/// Visits the calls of users' functions in an expression.
pub(crate) fn routines(expr: &Expr, visit: &mut dyn FnMut(&RoutineCall)) {
    if let Expr::Routine { call, .. } = expr {
        visit(call);
    }
    expr.for_each_child(&mut |child| routines(child, visit));
}

fn collect(expr: &Expr, meanings: &mut Meanings) {
    match expr {
        Expr::Routine { call, .. } => {
            meanings.functions.push((call.object.name.clone(), call.object.schema.clone()));
        }
        Expr::Cast { to: ty, .. } | Expr::Const { ty, .. } => collect_type(*ty, meanings),
        _ => {}
    }
    expr.for_each_child(&mut |child| collect(child, meanings));
}

fn collect_type(ty: DataType, meanings: &mut Meanings) {
    if let Some(user) = ty.user() {
        let definition = user.definition();
        meanings.types.push((definition.name.clone(), definition.schema.clone()));
    }
}

fn schema_of(name: &ast::ObjectName, known: &[(String, String)]) -> Option<ast::Ident> {
    let [ast::ObjectNamePart::Identifier(name)] = name.0.as_slice() else { return None };
    let name = ident(name);
    let (_, schema) = known.iter().find(|(known, _)| *known == name)?;
    Some(if quoted(schema) == *schema {
        ast::Ident::new(schema.clone())
    } else {
        ast::Ident::with_quote('"', schema.clone())
    })
}

fn qualify_name(name: &mut ast::ObjectName, known: &[(String, String)]) {
    if let Some(schema) = schema_of(name, known) {
        name.0.insert(0, ast::ObjectNamePart::Identifier(schema));
    }
}

fn qualify_type(ty: &mut ast::DataType, meanings: &Meanings) {
    match ty {
        ast::DataType::Custom(name, _) => qualify_name(name, &meanings.types),
        ast::DataType::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _)
            | ast::ArrayElemTypeDef::Qualified(element, _),
        ) => qualify_type(element, meanings),
        _ => {}
    }
}

fn qualify(expr: &mut ast::Expr, meanings: &Meanings) {
    use ast::Expr as E;
    match expr {
        E::Function(function) => {
            qualify_name(&mut function.name, &meanings.functions);
            let ast::FunctionArguments::List(list) = &mut function.args else { return };
            for arg in &mut list.args {
                if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(arg))
                | ast::FunctionArg::Named { arg: ast::FunctionArgExpr::Expr(arg), .. }
                | ast::FunctionArg::ExprNamed {
                    arg: ast::FunctionArgExpr::Expr(arg), ..
                } = arg
                {
                    qualify(arg, meanings);
                }
            }
        }
        E::Cast { expr: inner, data_type, .. } => {
            qualify(inner, meanings);
            qualify_type(data_type, meanings);
        }
        E::TypedString(typed) => qualify_type(&mut typed.data_type, meanings),
        E::Nested(inner)
        | E::UnaryOp { expr: inner, .. }
        | E::IsNull(inner)
        | E::IsNotNull(inner)
        | E::IsTrue(inner)
        | E::IsNotTrue(inner)
        | E::IsFalse(inner)
        | E::IsNotFalse(inner)
        | E::IsUnknown(inner)
        | E::IsNotUnknown(inner)
        | E::CompoundFieldAccess { root: inner, .. }
        | E::AtTimeZone { timestamp: inner, .. }
        | E::Extract { expr: inner, .. }
        | E::Collate { expr: inner, .. } => qualify(inner, meanings),
        E::BinaryOp { left, right, .. }
        | E::AnyOp { left, right, .. }
        | E::AllOp { left, right, .. }
        | E::IsDistinctFrom(left, right)
        | E::IsNotDistinctFrom(left, right) => {
            qualify(left, meanings);
            qualify(right, meanings);
        }
        E::Between { expr, low, high, .. } => {
            [expr, low, high].into_iter().for_each(|part| qualify(part, meanings));
        }
        E::InList { expr, list, .. } => {
            qualify(expr, meanings);
            list.iter_mut().for_each(|part| qualify(part, meanings));
        }
        E::Tuple(list) => list.iter_mut().for_each(|part| qualify(part, meanings)),
        E::Array(array) => array.elem.iter_mut().for_each(|part| qualify(part, meanings)),
        E::Like { expr, pattern, .. } | E::ILike { expr, pattern, .. } => {
            qualify(expr, meanings);
            qualify(pattern, meanings);
        }
        E::Case { operand, conditions, else_result, .. } => {
            operand.iter_mut().for_each(|part| qualify(part, meanings));
            for when in conditions {
                qualify(&mut when.condition, meanings);
                qualify(&mut when.result, meanings);
            }
            else_result.iter_mut().for_each(|part| qualify(part, meanings));
        }
        _ => {}
    }
}
