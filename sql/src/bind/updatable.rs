//! Views that INSERT, UPDATE and DELETE write through.
//!
//! Such a view selects columns of one table, or of another such view. A change of it is bound as one of
//! the table below: the view's columns are names for expressions over the table's row, its conditions are
//! added to WHERE, and those that WITH CHECK OPTION asks for to the table's CHECKs.
//!
//! Sources: PostgreSQL 15, rewrite/rewriteHandler.c (view_query_is_auto_updatable, rewriteTargetView).

use std::sync::Arc;

use driftdb_query::{
    BoolTest, CatalogAt, CheckOption, ColId, Expr, Object, ObjectKind, Result, Rights, SqlError,
    Table, View, view_check,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::as_of::no_such_table;
use super::create::has_subquery;
use super::materialized::refuse;
use super::names::{ObjectName, ident, object_name};
use super::scope::{Clause, Named, Scope, column_of};
use super::stored::{named_row, relation};
use crate::front::dispatch::Body;
use crate::front::limits::with_room_for_more;
use crate::parsed::parse;

/// What is done to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Insert,
    Update,
    Delete,
}

impl Change {
    fn verb(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Insert => ("insert into", "inserting into", "INSERT"),
            Self::Update => ("update", "updating", "UPDATE"),
            Self::Delete => ("delete from", "deleting from", "DELETE"),
        }
    }

    /// What it takes.
    pub(crate) fn right(self) -> Rights {
        match self {
            Self::Insert => Rights::INSERT,
            Self::Update => Rights::UPDATE,
            Self::Delete => Rights::DELETE,
        }
    }

    fn refused(self, view: &str, detail: &str) -> SqlError {
        let (verb, gerund, event) = self.verb();
        SqlError::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("cannot {verb} view \"{view}\""),
        )
        .with_detail(detail)
        .with_hint(format!(
            "To enable {gerund} the view, provide an INSTEAD OF {event} trigger or an unconditional \
             ON {event} DO INSTEAD rule."
        ))
    }
}

/// A view that a statement changes.
#[derive(Debug, Clone)]
pub(crate) struct Through {
    pub(crate) object: Arc<Object>,
    /// The table below, its columns under the view's names and with the view's defaults.
    pub(crate) seen: Arc<Table>,
    /// For each of the view's columns the table's, if it is one.
    pub(crate) columns: Vec<(String, Option<usize>)>,
    change: Change,
}

/// The schema of what a statement changes.
pub(crate) fn own_schema(table: &Table, through: Option<&Through>) -> String {
    through.map_or(&table.schema, |through| &through.object.schema).to_string()
}

/// A view's columns over a row of the table below, and the conditions that the row meets.
pub(crate) struct ViewRow {
    pub(crate) columns: Vec<Named>,
    /// What columns hold that INSERT leaves out, the outermost view's last.
    defaults: Vec<(ColId, String)>,
    conditions: Vec<Condition>,
}

struct Condition {
    view: String,
    test: Expr,
    is_checked: bool,
}

impl ViewRow {
    /// What is added to WHERE.
    pub(crate) fn tests(&self) -> impl Iterator<Item = Expr> {
        self.conditions.iter().map(|condition| condition.test.clone())
    }

    /// What is added to the CHECKs of the table: unlike those it must be true.
    ///
    /// # Errors
    /// 0A000: a condition that asks other rows.
    pub(crate) fn checks(&self) -> Result<Vec<(String, Expr)>> {
        let checked = self.conditions.iter().filter(|condition| condition.is_checked);
        let mut checks = Vec::new();
        for condition in checked {
            if has_subquery(&condition.test) {
                return Err(SqlError::unsupported("WITH CHECK OPTION of a view with a subquery"));
            }
            let input = Box::new(condition.test.clone());
            let test = Expr::IsBool { input, test: BoolTest::True, negated: false };
            checks.push((view_check(&condition.view), test));
        }
        Ok(checks)
    }
}

/// No column of a table has such a name.
const NOWHERE: &str = "\u{1}";

impl Through {
    /// What is wrong with a column that the view has and cannot be written to.
    pub(crate) fn explain(&self, column: &str, error: SqlError) -> SqlError {
        let is_there = self.columns.iter().any(|(name, _)| name == column);
        if error.state != SqlState::UndefinedColumn || !is_there {
            return error;
        }
        let verb = match self.change {
            Change::Insert => "insert into",
            Change::Update | Change::Delete => "update",
        };
        let message = format!("cannot {verb} column \"{column}\" of view \"{}\"", self.object.name);
        SqlError::new(SqlState::FeatureNotSupported, message).with_detail(
            "View columns that are not columns of their base relation are not updatable.",
        )
    }
}

impl Binder<'_> {
    /// What a statement changes: a table, or a view and the table below it.
    pub(crate) fn target_of(
        &mut self,
        name: &ObjectName,
        change: Change,
    ) -> Result<(Arc<Table>, Option<Through>)> {
        let schema = name.schema.as_deref();
        let place = |error: SqlError| error.at(name.position);
        let found = self.catalog.table(schema, &name.name, CatalogAt::Statement).map_err(place)?;
        if let Some(table) = found {
            refuse(&table, |name| format!("cannot change materialized view \"{name}\""))?;
            return Ok((self.with_terms(table)?, None));
        }
        let Some(object) = self.relation_named(schema, &name.name, CatalogAt::Statement)? else {
            return Err(place(no_such_table(schema, &name.name)));
        };
        if !matches!(object.kind, ObjectKind::View(_)) {
            let message = format!("cannot change relation \"{}\"", object.name);
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        let table = self.base_of(&object, change)?;
        let ids = self.row_ids(&table);
        let row = self.view_row(&object, &ids)?;
        let mut seen = Table { name: object.name.clone(), ..(*table).clone() };
        seen.columns.iter_mut().for_each(|column| column.name = NOWHERE.to_owned());
        let mut columns = Vec::with_capacity(row.columns.len());
        for named in &row.columns {
            let position = column_of(&named.expr)
                .and_then(|id| ids.iter().position(|known| *known == id))
                .filter(|position| seen.columns[*position].name == NOWHERE);
            if let Some(position) = position {
                let column = &mut seen.columns[position];
                column.name.clone_from(&named.name);
            }
            columns.push((named.name.clone(), position));
        }
        for (id, default) in &row.defaults {
            if let Some(position) = ids.iter().position(|known| known == id) {
                seen.columns[position].default = Some(default.clone());
            }
        }
        if change != Change::Delete && columns.iter().all(|(_, position)| position.is_none()) {
            let detail =
                "View columns that are not columns of their base relation are not updatable.";
            return Err(change.refused(&object.name, detail));
        }
        let through = Through { object, seen: Arc::new(seen), columns, change };
        Ok((table, Some(through)))
    }

    /// The table below a view that can be changed.
    fn base_of(&mut self, object: &Arc<Object>, change: Change) -> Result<Arc<Table>> {
        self.in_view(object, |inner, query, _| {
            let (_, name, _) =
                simple(query).map_err(|detail| change.refused(&object.name, detail))?;
            let name = object_name(name)?;
            let schema = name.schema.as_deref();
            if let Some(table) = inner.catalog.table(schema, &name.name, CatalogAt::Statement)? {
                if table.materialized().is_some() {
                    return Err(change.refused(&object.name, NOT_ONE));
                }
                inner.ask_change(&table, None, change.right(), &[]);
                return Ok(table);
            }
            match inner.relation_named(schema, &name.name, CatalogAt::Statement)? {
                Some(below) if matches!(below.kind, ObjectKind::View(_)) => {
                    inner.ask_change_of_view(&below, change.right());
                    inner.deeper(1, |inner| inner.base_of(&below, change))
                }
                _ => Err(change.refused(&object.name, NOT_ONE)),
            }
        })
    }

    /// A view's columns over a row of the table below.
    pub(crate) fn view_row(&mut self, object: &Arc<Object>, ids: &[ColId]) -> Result<ViewRow> {
        self.view_row_in(object, ids, false)
    }

    fn view_row_in(
        &mut self,
        object: &Arc<Object>,
        ids: &[ColId],
        is_cascaded: bool,
    ) -> Result<ViewRow> {
        self.in_view(object, |inner, query, view| {
            let (select, name, alias) =
                simple(query).map_err(|detail| SqlError::new(SqlState::WrongObjectType, detail))?;
            let parsed = object_name(name)?;
            let schema = parsed.schema.as_deref();
            let below = match inner.catalog.table(schema, &parsed.name, CatalogAt::Statement)? {
                Some(table) => {
                    let columns = named_row(&table, ids);
                    ViewRow { columns, defaults: Vec::new(), conditions: Vec::new() }
                }
                None => {
                    let below = inner.relation_named(schema, &parsed.name, CatalogAt::Statement)?;
                    let below = below.ok_or_else(no_view)?;
                    let cascades = is_cascaded || view.check == Some(CheckOption::Cascaded);
                    inner.deeper(1, |inner| inner.view_row_in(&below, ids, cascades))?
                }
            };
            let mut named = below.columns;
            if let Some(alias) = alias {
                for (column, rename) in named.iter_mut().zip(&alias.columns) {
                    column.name = ident(&rename.name);
                }
            }
            let shown = alias.map_or_else(|| parsed.name.clone(), |alias| ident(&alias.name));
            let mut own = relation(&shown, named.clone());
            own.schema = parsed.schema.clone().filter(|_| alias.is_none());
            inner.scopes.push(Scope::with(Clause::Select, vec![own], named));
            let mut conditions = below.conditions;
            if let Some(condition) = &select.selection {
                let test = inner.in_clause(Clause::Where, |b| b.predicate(condition, "WHERE"))?;
                let is_checked = is_cascaded || view.check.is_some();
                conditions.push(Condition { view: object.name.clone(), test, is_checked });
            }
            let targets = inner.targets(&select.projection)?;
            inner.scopes.pop();
            let mut defaults = below.defaults;
            let mut columns = Vec::with_capacity(view.columns.len());
            for (target, column) in targets.into_iter().zip(&view.columns) {
                if let (Some(default), Some(id)) = (&column.default, column_of(&target.expr)) {
                    defaults.push((id, default.clone()));
                }
                columns.push(Named { name: column.name.clone(), expr: target.expr });
            }
            Ok(ViewRow { columns, defaults, conditions })
        })
    }

    /// Works in the query of a view, with a binder of its own.
    fn in_view<T>(
        &mut self,
        object: &Arc<Object>,
        work: impl FnOnce(&mut Binder<'_>, &ast::Query, &View) -> Result<T>,
    ) -> Result<T> {
        let ObjectKind::View(view) = &object.kind else { return Err(no_view()) };
        self.inner_role = Some(self.owner_of_view(object)?);
        let text = self.expanded(&view.query, CatalogAt::Statement)?;
        let parsed = parse(&text)?;
        let [parsed] = &parsed[..] else { return Err(no_view()) };
        let result = with_room_for_more(parsed.depth(), || {
            self.inside(parsed, None, Vec::new(), |inner, query| work(inner, query, view))
        });
        result.map_err(|error| SqlError { position: None, ..error })
    }
}

/// The relation below that a view's query can be written through to, by schema and name, and whether any
/// of its columns is one of it; `None` if it cannot.
pub fn written_through(text: &str) -> Option<(Option<String>, String, bool)> {
    let parsed = parse(text).ok()?;
    let [parsed] = &parsed[..] else { return None };
    with_room_for_more(parsed.depth(), || {
        let Body::Tree(tree) = parsed.body() else { return None };
        let ast::Statement::Query(query) = &**tree else { return None };
        let (select, name, _) = simple(query).ok()?;
        let name = object_name(name).ok()?;
        let is_column = |item: &ast::SelectItem| {
            matches!(item,
                ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. }
                    if matches!(expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)))
        };
        Some((name.schema, name.name, select.projection.iter().any(is_column)))
    })
}

fn no_view() -> SqlError {
    SqlError::internal("a view that is none")
}

const NOT_ONE: &str =
    "Views that do not select from a single table or view are not automatically updatable.";

/// The SELECT, and the relation it is from, of a query that can be written through; else why not.
fn simple(
    query: &ast::Query,
) -> std::result::Result<(&ast::Select, &ast::ObjectName, Option<&ast::TableAlias>), &'static str> {
    let select = match &*query.body {
        ast::SetExpr::Select(select) => select,
        ast::SetExpr::SetOperation { .. } => {
            return Err(
                "Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable.",
            );
        }
        _ => return Err(NOT_ONE),
    };
    if select.distinct.is_some() {
        return Err("Views containing DISTINCT are not automatically updatable.");
    }
    let groups = match &select.group_by {
        ast::GroupByExpr::Expressions(exprs, modifiers) => {
            !exprs.is_empty() || !modifiers.is_empty()
        }
        ast::GroupByExpr::All(_) => true,
    };
    if groups {
        return Err("Views containing GROUP BY are not automatically updatable.");
    }
    if select.having.is_some() {
        return Err("Views containing HAVING are not automatically updatable.");
    }
    if query.with.is_some() {
        return Err("Views containing WITH are not automatically updatable.");
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return Err("Views containing LIMIT or OFFSET are not automatically updatable.");
    }
    for item in &select.projection {
        let (ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. }) =
            item
        else {
            continue;
        };
        if let Some(detail) = several(expr) {
            return Err(detail);
        }
    }
    let [only] = &select.from[..] else { return Err(NOT_ONE) };
    if !only.joins.is_empty() {
        return Err(NOT_ONE);
    }
    match &only.relation {
        ast::TableFactor::Table { sample: Some(_), .. } => {
            Err("Views containing TABLESAMPLE are not automatically updatable.")
        }
        ast::TableFactor::Table { name, alias, args: None, .. } => {
            Ok((select, name, alias.as_ref()))
        }
        _ => Err(NOT_ONE),
    }
}

/// Why a column keeps a view from being written through: it is not of one row.
fn several(expr: &ast::Expr) -> Option<&'static str> {
    use ast::Expr as E;
    match expr {
        E::Function(function) => {
            let name = object_name(&function.name).map(|name| name.name).unwrap_or_default();
            if function.over.is_some() {
                return Some("Views that return window functions are not automatically updatable.");
            }
            if super::call::is_aggregate(&name) {
                return Some(
                    "Views that return aggregate functions are not automatically updatable.",
                );
            }
            if super::set_function::is_set_function(&name) {
                return Some(
                    "Views that return set-returning functions are not automatically updatable.",
                );
            }
            let ast::FunctionArguments::List(list) = &function.args else { return None };
            list.args.iter().find_map(|arg| match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => several(expr),
                _ => None,
            })
        }
        E::BinaryOp { left, right, .. } => several(left).or_else(|| several(right)),
        E::UnaryOp { expr, .. } | E::Nested(expr) | E::Cast { expr, .. } => several(expr),
        E::Case { conditions, else_result, .. } => conditions
            .iter()
            .find_map(|when| several(&when.condition).or_else(|| several(&when.result)))
            .or_else(|| else_result.as_deref().and_then(several)),
        _ => None,
    }
}
