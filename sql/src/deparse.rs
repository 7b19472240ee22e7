//! Bound expressions back to text, as PostgreSQL shows DEFAULT and CHECK.
//!
//! Every operator stands in brackets, or, pretty, only those that the rules of precedence leave open
//! (ruleutils.c, `get_rule_expr` and `isSimpleNode`). Constants carry their type unless they are read back
//! with it. Binding folds conversions of constants that PostgreSQL keeps: an integer of another numeric
//! type is shown as what it was most likely converted from, an `integer`.
//!
//! What this does not know how to show it gives up on (`None`); the stored text is shown then.

use std::sync::Arc;

use driftdb_query::{
    BoolTest, ColId, Column, ColumnId, Expr, Marker, Result, Subquery, SubqueryKind, Table, Term,
    Trigger, plain,
};
use driftdb_types::{
    ArrayOperation, CastContext, DataType, EvalContext, Value, function, type_name_with_typmod,
    write_text,
};

use crate::BindContext;
use crate::bind::index::looks_like_call;
use crate::bind::user_type::bind_condition;
use crate::bind::{
    Binder, bind_check, bound_default, bound_default_of, bound_generated, bound_term,
};

/// No column has it: what VALUE of a domain's CHECK is asked for by.
const VALUE: ColId = ColId(0);

/// A DEFAULT as PostgreSQL shows it; the stored text if it cannot be shown so.
///
/// # Errors
/// The text does not parse or bind.
pub fn show_default(
    sql: &str,
    column: &Column,
    pretty: bool,
    cx: &mut BindContext<'_>,
) -> Result<String> {
    let bound = bound_default(sql, column, cx)?;
    let name_of = &|_| None;
    let mut deparser = Deparser { name_of, query_of: None, pretty, indent: 0, out: String::new() };
    let shown = deparser.expr(&bound, false);
    Ok(shown.map_or_else(|| sql.to_owned(), |()| deparser.out))
}

/// A CHECK's condition as PostgreSQL shows it; the stored text if it cannot be shown so.
///
/// # Errors
/// The text does not parse or bind.
pub fn show_check(
    sql: &str,
    table: &Table,
    pretty: bool,
    cx: &mut BindContext<'_>,
) -> Result<String> {
    let ids: Vec<ColId> = (1..=table.columns.len() as u32).map(ColId).collect();
    let bound = bind_check(sql, table, &ids, cx)?;
    let name_of = |id: ColId| {
        let place = ids.iter().position(|known| *known == id)?;
        Some(quoted(&table.columns[place].name))
    };
    let name_of = &name_of;
    let mut deparser = Deparser { name_of, query_of: None, pretty, indent: 0, out: String::new() };
    let shown = deparser.expr(&bound, false);
    Ok(shown.map_or_else(|| format!("({sql})"), |()| deparser.out))
}

/// A generated column's expression as PostgreSQL shows it; the stored text if it cannot be shown so.
///
/// # Errors
/// The text does not parse or bind.
pub fn show_generated(
    sql: &str,
    column: &Column,
    table: &Table,
    pretty: bool,
    cx: &mut BindContext<'_>,
) -> Result<String> {
    let ids: Vec<ColId> = (1..=table.columns.len() as u32).map(ColId).collect();
    let bound = bound_generated(sql, column, table, &ids, cx)?;
    let name_of = |id: ColId| {
        let place = ids.iter().position(|known| *known == id)?;
        Some(quoted(&table.columns[place].name))
    };
    let mut deparser =
        Deparser { name_of: &name_of, query_of: None, pretty, indent: 0, out: String::new() };
    let shown = deparser.expr(&bound, false);
    Ok(shown.map_or_else(|| format!("({sql})"), |()| deparser.out))
}

/// A term of a table as definitions of indexes have it, in brackets unless it is a call; the stored text if
/// it cannot be shown so.
///
/// # Errors
/// The text does not parse or bind.
pub fn show_term(
    term: &Term,
    table: &Table,
    pretty: bool,
    is_predicate: bool,
    cx: &mut BindContext<'_>,
) -> Result<String> {
    let ids: Vec<ColId> = (1..=table.columns.len() as u32).map(ColId).collect();
    let bound = bound_term(term, table, &ids, cx)?;
    Ok(match show_over(&bound, table, &ids, pretty) {
        Some(text) if is_predicate || looks_like_call(&text) => text,
        Some(text) => format!("({text})"),
        None => format!("({})", term.sql),
    })
}

/// The condition of a domain's CHECK as PostgreSQL shows it; the stored text if it cannot be shown so.
///
/// # Errors
/// The text does not parse or bind.
pub fn show_domain_check(condition: &str, base: DataType, pretty: bool) -> Result<String> {
    let bound = bind_condition(condition, base, &EvalContext::default())?;
    let name_of = &|id| (id == VALUE).then(|| "VALUE".to_owned());
    let mut deparser = Deparser { name_of, query_of: None, pretty, indent: 0, out: String::new() };
    let shown = deparser.expr(&bound, false);
    Ok(shown.map_or_else(|| format!("({condition})"), |()| deparser.out))
}

/// The DEFAULT of a domain as PostgreSQL shows it; the stored text if it cannot be shown so.
///
/// # Errors
/// The text does not parse or bind.
pub fn show_domain_default(sql: &str, base: DataType, cx: &mut BindContext<'_>) -> Result<String> {
    let bound = bound_default_of(sql, base, cx)?;
    let (name_of, pretty) = (&|_| None, false);
    let mut deparser = Deparser { name_of, query_of: None, pretty, indent: 0, out: String::new() };
    let shown = deparser.expr(&bound, false);
    Ok(shown.map_or_else(|| sql.to_owned(), |()| deparser.out))
}

/// WHEN of a trigger as PostgreSQL shows it; the stored text if it cannot be shown so.
///
/// # Errors
/// The text does not parse or bind.
pub fn show_trigger_condition(
    sql: &str,
    table: &Arc<Table>,
    trigger: &Trigger,
    pretty: bool,
    cx: &mut BindContext<'_>,
) -> Result<String> {
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    let (old, new, bound) = binder.trigger_condition(table, trigger, sql)?;
    let name_of = |id: ColId| {
        [("old", &old), ("new", &new)].into_iter().find_map(|(row, ids)| {
            let place = ids.iter().position(|known| *known == id)?;
            Some(format!("{row}.{}", quoted(&table.columns[place].name)))
        })
    };
    let name_of = &name_of;
    let mut deparser = Deparser { name_of, query_of: None, pretty, indent: 0, out: String::new() };
    let shown = deparser.expr(&bound, false);
    Ok(shown.map_or_else(|| sql.to_owned(), |()| deparser.out))
}

/// An expression over a row of a table as PostgreSQL shows it, if it can be.
pub(crate) fn show_over(expr: &Expr, table: &Table, row: &[ColId], pretty: bool) -> Option<String> {
    let name_of = |id: ColId| {
        let place = row.iter().position(|known| *known == id)?;
        Some(quoted(&table.columns[place].name))
    };
    let name_of = &name_of;
    let mut deparser = Deparser { name_of, query_of: None, pretty, indent: 0, out: String::new() };
    deparser.expr(expr, false)?;
    Some(deparser.out)
}

/// The columns that a CHECK's condition names, in the order in which it does.
///
/// # Errors
/// The text does not parse or bind.
pub fn check_columns(sql: &str, table: &Table, cx: &mut BindContext<'_>) -> Result<Vec<ColumnId>> {
    let ids: Vec<ColId> = (1..=table.columns.len() as u32).map(ColId).collect();
    let mut used = Vec::new();
    collect_columns(&bind_check(sql, table, &ids, cx)?, &mut used);
    let places = used.iter().filter_map(|id| ids.iter().position(|known| known == id));
    Ok(places.map(|place| table.columns[place].id).collect())
}

fn collect_columns(expr: &Expr, used: &mut Vec<ColId>) {
    if let Expr::Column { id, .. } = expr
        && !used.contains(id)
    {
        used.push(*id);
    }
    expr.for_each_child(&mut |child| collect_columns(child, used));
}

/// A name in quotes where it must be.
pub(crate) fn quoted(name: &str) -> String {
    let args = [Value::text(name)];
    let found = driftdb_types::resolve_function("quote_ident", &[DataType::Text]);
    match found.and_then(|found| function(found.id).eval(&args, &EvalContext::default())) {
        Ok(Value::Text(text)) => text.into_string(),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// What an expression stands in.
#[derive(Clone, Copy)]
enum Parent<'a> {
    /// An operator with this symbol; first of its operands or not.
    Operator(&'a str, bool),
    And,
    Or,
    Not,
    Cast,
    /// Something with brackets of its own.
    Brackets,
    /// IS NULL and its kin.
    Test,
}

/// What gives the text of the query in a subquery.
type QueryText<'a> = &'a dyn Fn(&Subquery) -> Option<String>;

/// An expression of a query, with names for its columns and texts for its subqueries; as a template.
pub(crate) fn expression(
    expr: &Expr,
    pretty: bool,
    show_implicit: bool,
    indent: usize,
    name_of: &dyn Fn(ColId) -> Option<String>,
    query_of: QueryText<'_>,
) -> Option<String> {
    let query_of = Some(query_of);
    let mut deparser = Deparser { name_of, query_of, pretty, indent, out: String::new() };
    deparser.expr(expr, show_implicit)?;
    Some(deparser.out)
}

struct Deparser<'a> {
    name_of: &'a dyn Fn(ColId) -> Option<String>,
    query_of: Option<QueryText<'a>>,
    pretty: bool,
    /// How far in the next line begins.
    indent: usize,
    out: String,
}

impl Deparser<'_> {
    /// An expression within another, in brackets where pretty printing needs them.
    fn nested(&mut self, expr: &Expr, parent: Parent<'_>, show_implicit: bool) -> Option<()> {
        if self.pretty && !is_simple(expr, parent) {
            self.out.push('(');
            self.expr(expr, show_implicit)?;
            self.out.push(')');
            return Some(());
        }
        self.expr(expr, show_implicit)
    }

    /// In brackets unless pretty.
    fn open(&mut self) {
        if !self.pretty {
            self.out.push('(');
        }
    }

    fn close(&mut self) {
        if !self.pretty {
            self.out.push(')');
        }
    }

    fn expr(&mut self, expr: &Expr, show_implicit: bool) -> Option<()> {
        match expr {
            Expr::Const { value, ty } => self.constant(value, *ty, show_implicit)?,
            Expr::Column { id, .. } => {
                let name = (self.name_of)(*id)?;
                self.out.push_str(&name);
            }
            Expr::Call { function: id, args, .. } => self.call(function(*id), args)?,
            Expr::Cast { input, to, typmod, context } => {
                if *context != CastContext::Explicit && !show_implicit {
                    return self.expr(input, false);
                }
                self.open();
                self.nested(input, Parent::Cast, false)?;
                self.close();
                self.out.push_str("::");
                self.out.push_str(&type_name_with_typmod(*to, *typmod));
            }
            Expr::And(terms) => self.connected(terms, " AND ", Parent::And)?,
            Expr::Or(terms) => self.connected(terms, " OR ", Parent::Or)?,
            Expr::Not(test) if matches!(**test, Expr::IsNull(_)) => {
                if let Expr::IsNull(input) = &**test {
                    self.test(input, " IS NOT NULL")?;
                }
            }
            Expr::Not(input) => {
                self.open();
                self.out.push_str("NOT ");
                self.nested(input, Parent::Not, false)?;
                self.close();
            }
            Expr::IsNull(input) => self.test(input, " IS NULL")?,
            Expr::IsBool { input, test, negated } => {
                let text = match (test, negated) {
                    (BoolTest::True, false) => " IS TRUE",
                    (BoolTest::True, true) => " IS NOT TRUE",
                    (BoolTest::False, false) => " IS FALSE",
                    (BoolTest::False, true) => " IS NOT FALSE",
                    (BoolTest::Unknown, false) => " IS UNKNOWN",
                    (BoolTest::Unknown, true) => " IS NOT UNKNOWN",
                };
                self.test(input, text)?;
            }
            Expr::IsDistinct { left, right, negated, .. } => {
                if *negated {
                    self.open();
                    self.out.push_str("NOT ");
                }
                self.open();
                self.nested(left, Parent::Test, true)?;
                self.out.push_str(" IS DISTINCT FROM ");
                self.nested(right, Parent::Test, true)?;
                self.close();
                if *negated {
                    self.close();
                }
            }
            Expr::InList { input, list, negated, .. } => self.in_list(input, list, *negated)?,
            Expr::Case { arms, otherwise, .. } => self.case(arms, otherwise.as_deref())?,
            Expr::Coalesce { args, .. } => self.bracketed("COALESCE", args)?,
            Expr::Routine { call, args, .. } => {
                let object = &call.object;
                let name = match self.query_of {
                    // A template's names are by identity.
                    Some(_) => Marker::Relation(object.id.0).write(),
                    None if self.pretty && object.schema == "public" => quoted(&object.name),
                    None => format!("{}.{}", quoted(&object.schema), quoted(&object.name)),
                };
                self.bracketed(&name, args)?;
            }
            // The value that a domain's CHECK is about.
            Expr::Param { .. } => {
                let name = (self.name_of)(VALUE)?;
                self.out.push_str(&name);
            }
            Expr::Extreme { args, greatest, .. } => {
                self.bracketed(if *greatest { "GREATEST" } else { "LEAST" }, args)?;
            }
            Expr::Subquery(subquery) => self.subquery(subquery)?,
            Expr::Quantified { input, array, operator, all } => {
                self.open();
                self.nested(input, Parent::Operator(function(*operator).name, true), true)?;
                let word = if *all { "ALL" } else { "ANY" };
                self.out.push_str(&format!(" {} {word} (", function(*operator).name));
                self.expr(array, true)?;
                self.out.push(')');
                self.close();
            }
            _ => return None,
        }
        Some(())
    }

    fn subquery(&mut self, subquery: &Subquery) -> Option<()> {
        let query = (self.query_of?)(subquery)?;
        match &subquery.kind {
            SubqueryKind::Scalar => self.out.push_str(&format!("({query})")),
            SubqueryKind::Exists => self.out.push_str(&format!("(EXISTS ({query}))")),
            SubqueryKind::Compare { left, operators, all } => {
                let symbol = function(*operators.first()?).name;
                self.out.push('(');
                match &left[..] {
                    [one] => self.nested(one, Parent::Operator(symbol, true), true)?,
                    several => {
                        self.out.push('(');
                        self.list(several)?;
                        self.out.push(')');
                    }
                }
                let word = match (symbol, all) {
                    ("=", false) => "IN".to_owned(),
                    (symbol, false) => format!("{symbol} ANY"),
                    (symbol, true) => format!("{symbol} ALL"),
                };
                self.out.push_str(&format!(" {word} ({query}))"));
            }
        }
        Some(())
    }

    /// IN: as the comparison with an array that PostgreSQL makes of it.
    fn in_list(&mut self, input: &Expr, list: &[Expr], negated: bool) -> Option<()> {
        self.open();
        self.nested(input, Parent::Operator("=", true), true)?;
        self.out.push_str(if negated { " <> ALL (" } else { " = ANY (" });
        // Literals beside a varchar are of its type, and converted with it.
        let varchar = matches!(input, Expr::Cast { input, to: DataType::Text, context, .. }
            if input.ty() == DataType::Varchar && *context == CastContext::Implicit);
        if varchar {
            self.open();
        }
        self.out.push_str("ARRAY[");
        for (index, item) in list.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            match item {
                Expr::Const { value, ty: DataType::Text } if varchar => {
                    self.constant(value, DataType::Varchar, true)?;
                }
                item => self.nested(item, Parent::Brackets, true)?,
            }
        }
        self.out.push(']');
        if varchar {
            self.close();
            self.out.push_str("::text[]");
        }
        self.out.push(')');
        self.close();
        Some(())
    }

    /// CASE, which PostgreSQL always shows on several lines.
    fn case(&mut self, arms: &[(Expr, Expr)], otherwise: Option<&Expr>) -> Option<()> {
        self.line("CASE");
        self.indent += 4;
        for (condition, result) in arms {
            self.line("WHEN ");
            self.expr(condition, false)?;
            self.out.push_str(" THEN ");
            self.expr(result, true)?;
        }
        self.line("ELSE ");
        match otherwise {
            Some(otherwise) => self.expr(otherwise, true)?,
            None => self.constant(&Value::Null, arms.first()?.1.ty(), true)?,
        }
        self.indent -= 4;
        self.line("END");
        Some(())
    }

    /// A word on a line of its own.
    fn line(&mut self, word: &str) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', self.indent));
        self.out.push_str(word);
    }

    fn test(&mut self, input: &Expr, text: &str) -> Option<()> {
        self.open();
        self.nested(input, Parent::Test, true)?;
        self.out.push_str(text);
        self.close();
        Some(())
    }

    fn connected(&mut self, terms: &[Expr], word: &str, parent: Parent<'_>) -> Option<()> {
        self.open();
        for (index, term) in terms.iter().enumerate() {
            if index > 0 {
                self.out.push_str(word);
            }
            self.nested(term, parent, false)?;
        }
        self.close();
        Some(())
    }

    fn list(&mut self, exprs: &[Expr]) -> Option<()> {
        for (index, expr) in exprs.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.nested(expr, Parent::Brackets, true)?;
        }
        Some(())
    }

    fn bracketed(&mut self, name: &str, args: &[Expr]) -> Option<()> {
        self.out.push_str(name);
        self.out.push('(');
        self.list(args)?;
        self.out.push(')');
        Some(())
    }

    fn call(&mut self, function: &driftdb_types::Function, args: &[Expr]) -> Option<()> {
        if function.id == ArrayOperation::Construct.function() {
            self.out.push_str("ARRAY[");
            self.list(args)?;
            self.out.push(']');
            return Some(());
        }
        // Subscripts and the like have no name to be shown by.
        if function.name.starts_with(['{', '[']) {
            return None;
        }
        if !function.is_operator() {
            return match (function.name, args) {
                // Names that the grammar takes without brackets.
                ("current_user" | "session_user" | "current_role" | "current_schema", [])
                | ("current_date" | "current_timestamp" | "localtime" | "localtimestamp", []) => {
                    self.out.push_str(&function.name.to_uppercase());
                    Some(())
                }
                // Constructs with a syntax of their own.
                ("extract" | "timezone" | "like_escape" | "similar_to_escape", _) => None,
                (name, args) => self.bracketed(&quoted(name), args),
            };
        }
        self.open();
        match args {
            [left, right] => {
                self.nested(left, Parent::Operator(function.name, true), true)?;
                self.out.push(' ');
                self.out.push_str(function.name);
                self.out.push(' ');
                self.nested(right, Parent::Operator(function.name, false), true)?;
            }
            [operand] => {
                self.out.push_str(function.name);
                self.out.push(' ');
                self.nested(operand, Parent::Operator("", false), true)?;
            }
            _ => return None,
        }
        self.close();
        Some(())
    }

    fn constant(&mut self, value: &Value, ty: DataType, show_implicit: bool) -> Option<()> {
        let ty = if ty == DataType::Unknown { DataType::Text } else { ty };
        let text = match value {
            Value::Null => {
                self.out.push_str("NULL::");
                self.out.push_str(ty.sql_name());
                return Some(());
            }
            Value::Bool(truth) => {
                self.out.push_str(if *truth { "true" } else { "false" });
                return Some(());
            }
            value => {
                let mut bytes = Vec::new();
                write_text(value, ty, &EvalContext::default(), &mut bytes);
                String::from_utf8(bytes).ok()?
            }
        };
        let is_bare = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let fits_integer = text.parse::<i32>().is_ok();
        if ty.is_numeric() && ty != DataType::Int4 && fits_integer {
            // A conversion that was folded.
            return self.folded(&text, DataType::Int4, ty, show_implicit);
        }
        match ty {
            DataType::Int4 | DataType::Numeric if is_bare => self.out.push_str(&text),
            DataType::Float4 | DataType::Float8 if is_bare => {
                return self.folded(&text, DataType::Numeric, ty, show_implicit);
            }
            _ => {
                let text = text.replace('\'', "''");
                let text = if self.query_of.is_some() { plain(&text) } else { text };
                self.out.push_str(&format!("'{text}'::{}", type_name_with_typmod(ty, -1)));
            }
        }
        Some(())
    }

    fn folded(
        &mut self,
        text: &str,
        from: DataType,
        to: DataType,
        show_implicit: bool,
    ) -> Option<()> {
        let inner =
            if text.starts_with('-') { format!("'{text}'::{from}") } else { text.to_owned() };
        self.out.push_str(&match (show_implicit, self.pretty) {
            (false, _) => inner,
            (true, true) => format!("{inner}::{to}"),
            (true, false) => format!("({inner})::{to}"),
        });
        Some(())
    }
}

/// Whether an expression needs no brackets where it stands.
fn is_simple(expr: &Expr, parent: Parent<'_>) -> bool {
    let of_bracketed = matches!(parent, Parent::Brackets);
    match expr {
        Expr::Cast { input, .. } => is_simple(input, Parent::Cast),
        Expr::Call { function: id, args, .. } => {
            let function = function(*id);
            if !function.is_operator() || function.name.starts_with('{') {
                return true;
            }
            match parent {
                Parent::And | Parent::Or | Parent::Not => true,
                Parent::Operator(around, is_first) => {
                    args.len() == 2 && binds_tighter(function.name, around, is_first)
                }
                _ => of_bracketed,
            }
        }
        Expr::IsNull(_) | Expr::IsBool { .. } | Expr::InList { .. } => {
            of_bracketed || matches!(parent, Parent::And | Parent::Or | Parent::Not)
        }
        Expr::IsDistinct { negated, .. } => {
            of_bracketed
                || matches!(parent, Parent::And)
                || (!negated && matches!(parent, Parent::Or | Parent::Not))
        }
        Expr::Not(test) if matches!(**test, Expr::IsNull(_)) => is_simple(test, parent),
        Expr::And(_) | Expr::Not(_) => of_bracketed || matches!(parent, Parent::And | Parent::Or),
        Expr::Or(_) => of_bracketed || matches!(parent, Parent::Or),
        _ => true,
    }
}

/// Whether an operation is one operand of another without brackets.
fn binds_tighter(inner: &str, outer: &str, is_first: bool) -> bool {
    let level = |symbol: &str| match symbol {
        "+" | "-" => Some(0),
        "*" | "/" | "%" => Some(1),
        _ => None,
    };
    match (level(inner), level(outer)) {
        (Some(inner), Some(outer)) => inner > outer || (inner == outer && is_first),
        _ => false,
    }
}
