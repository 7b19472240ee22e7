//! Expressions as EXPLAIN shows them.

use driftdb_query::{BoolTest, Expr, Subplan, SubqueryKind};
use driftdb_types::{DataType, EvalContext, Value, function, type_name_with_typmod, write_text};

use crate::context::on_deep_stack;

/// What an expression's leaves are called.
pub(super) struct Names<'a> {
    pub(super) slots: &'a [String],
    pub(super) outer: &'a [String],
    pub(super) ctx: &'a EvalContext,
}

/// The text of an expression. Subplans met on the way are named by `subplan`.
pub(super) fn show(
    expr: &Expr,
    names: &Names<'_>,
    subplan: &mut dyn FnMut(&Subplan) -> String,
) -> String {
    on_deep_stack(|| node(expr, names, subplan))
}

fn list(
    exprs: &[Expr],
    separator: &str,
    names: &Names<'_>,
    subplan: &mut dyn FnMut(&Subplan) -> String,
) -> String {
    let shown: Vec<String> = exprs.iter().map(|expr| show(expr, names, subplan)).collect();
    shown.join(separator)
}

fn node(expr: &Expr, names: &Names<'_>, subplan: &mut dyn FnMut(&Subplan) -> String) -> String {
    match expr {
        Expr::Const { value, ty } => constant(value, *ty, names.ctx),
        Expr::Column { id, .. } => format!("column{}", id.0),
        Expr::Slot { index, .. } => {
            names.slots.get(*index).cloned().unwrap_or_else(|| format!("column{}", index + 1))
        }
        Expr::Outer { index, .. } => {
            names.outer.get(*index).cloned().unwrap_or_else(|| format!("outer{}", index + 1))
        }
        Expr::Param { index, .. } => format!("${}", index + 1),
        Expr::Call { function: id, args, .. } => {
            let function = function(*id);
            match (function.is_operator(), &args[..]) {
                (true, [left, right]) => format!(
                    "({} {} {})",
                    show(left, names, subplan),
                    function.name,
                    show(right, names, subplan)
                ),
                (true, [arg]) => format!("({} {})", function.name, show(arg, names, subplan)),
                _ => format!("{}({})", function.name, list(args, ", ", names, subplan)),
            }
        }
        Expr::Cast { input, to, typmod, .. } => {
            format!("({})::{}", show(input, names, subplan), type_name_with_typmod(*to, *typmod))
        }
        Expr::And(args) => format!("({})", list(args, " AND ", names, subplan)),
        Expr::Or(args) => format!("({})", list(args, " OR ", names, subplan)),
        Expr::Not(input) => format!("(NOT {})", show(input, names, subplan)),
        Expr::IsNull(input) => format!("({} IS NULL)", show(input, names, subplan)),
        Expr::IsBool { input, test, negated } => {
            let not = if *negated { "NOT " } else { "" };
            let test = match test {
                BoolTest::True => "TRUE",
                BoolTest::False => "FALSE",
                BoolTest::Unknown => "UNKNOWN",
            };
            format!("({} IS {not}{test})", show(input, names, subplan))
        }
        Expr::IsDistinct { left, right, negated, .. } => {
            let not = if *negated { "NOT " } else { "" };
            let (left, right) = (show(left, names, subplan), show(right, names, subplan));
            format!("({left} IS {not}DISTINCT FROM {right})")
        }
        Expr::InList { input, list: candidates, negated, .. } => {
            let not = if *negated { "NOT " } else { "" };
            let input = show(input, names, subplan);
            format!("({input} {not}IN ({}))", list(candidates, ", ", names, subplan))
        }
        Expr::Quantified { input, array, operator, all } => {
            let (input, array) = (show(input, names, subplan), show(array, names, subplan));
            let quantifier = if *all { "ALL" } else { "ANY" };
            format!("({input} {} {quantifier} ({array}))", function(*operator).name)
        }
        Expr::Case { arms, otherwise, .. } => {
            let mut text = "CASE".to_owned();
            for (condition, result) in arms {
                let condition = show(condition, names, subplan);
                let result = show(result, names, subplan);
                text.push_str(&format!(" WHEN {condition} THEN {result}"));
            }
            if let Some(otherwise) = otherwise {
                text.push_str(&format!(" ELSE {}", show(otherwise, names, subplan)));
            }
            text + " END"
        }
        Expr::Coalesce { args, .. } => format!("COALESCE({})", list(args, ", ", names, subplan)),
        Expr::Extreme { args, greatest, .. } => {
            let name = if *greatest { "GREATEST" } else { "LEAST" };
            format!("{name}({})", list(args, ", ", names, subplan))
        }
        Expr::Routine { call, args, .. } => {
            format!("{}({})", call.object.name, list(args, ", ", names, subplan))
        }
        Expr::Subquery(_) => "(SubQuery)".to_owned(),
        Expr::Subplan(inner) => {
            let name = subplan(inner);
            match &inner.kind {
                SubqueryKind::Scalar => format!("({name})"),
                SubqueryKind::Exists => format!("EXISTS({name})"),
                SubqueryKind::Compare { left, operators, all } => {
                    let left = list(left, ", ", names, subplan);
                    let operator = operators.first().map_or("=", |id| function(*id).name);
                    let quantifier = if *all { "ALL" } else { "ANY" };
                    format!("({left} {operator} {quantifier} ({name}))")
                }
            }
        }
    }
}

/// A constant as PostgreSQL deparses it: with its type, unless the text alone says it.
fn constant(value: &Value, ty: DataType, ctx: &EvalContext) -> String {
    let mut text = Vec::new();
    write_text(value, ty, ctx, &mut text);
    let text = String::from_utf8_lossy(&text);
    match value {
        Value::Null => format!("NULL::{ty}"),
        Value::Bool(v) => v.to_string(),
        Value::Int4(v) if *v >= 0 => text.into_owned(),
        Value::Numeric(_) if text.starts_with(|c: char| c.is_ascii_digit()) => text.into_owned(),
        _ => format!("'{}'::{ty}", text.replace('\'', "''")),
    }
}
