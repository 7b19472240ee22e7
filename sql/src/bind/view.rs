//! Views: their definition, and what they are in FROM.
//!
//! CREATE VIEW binds its query and keeps a template of it (`driftdb_query::View`). Where the view is
//! named, the template is expanded with the names that its relations have then, and bound in a binder of
//! its own, in which nothing of the statement around it is in sight. `*` was replaced by the columns of
//! the time of definition.
//!
//! Sources: PostgreSQL 15, commands/view.c, rewrite/rewriteDefine.c.

use std::sync::Arc;

use driftdb_query::{
    CatalogAt, Expr, Marker, NameSpace, Need, Object, ObjectId, ObjectKind, Result, SqlError,
    Statement, TableId, View, ViewColumn, ViewStatement, expand, is_temporary, plain,
};
use driftdb_storage::Timestamp;
use driftdb_types::{CastContext, DataType, SqlState};
use sqlparser::ast;

use super::Binder;
use super::as_of::{no_such_table, qualified};
use super::from::{Aliased, item, named_column};
use super::names::{ObjectName, ident, object_name};
use super::record::Recorder;
use super::scope::FromItem;
use super::target::Rows;
use crate::front::cursor::QualifiedName;
use crate::front::dispatch::Body;
use crate::front::limits::{with_room, with_room_for_more};
use crate::front::rewrite::{TimeClause, TimeRange};
use crate::front::tokens::Source;
use crate::front::view::{AlterView, ViewBody};
use crate::parsed::parse;

fn wrong_kind(message: String) -> SqlError {
    SqlError::new(SqlState::WrongObjectType, message)
}

fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidTableDefinition, message)
}

/// What is said of a change in WITH that is not that of a whole statement.
const NOT_AT_THE_TOP: &str =
    "WITH clause containing a data-modifying statement must be at the top level";

/// A name in quotes where it must be.
pub(crate) fn quoted(name: &str) -> String {
    crate::deparse::quoted(name)
}

impl<'a> Binder<'a> {
    pub(crate) fn view_statement(&mut self, body: &ViewBody) -> Result<ViewStatement> {
        match body {
            ViewBody::Create { name, temporary, or_replace, columns, check, query, text } => {
                let (mut view, needs) = self.view_of(query, *text, columns)?;
                view.check = *check;
                self.create_view((name, *temporary), *or_replace, view, needs)
            }
            ViewBody::Drop { names, if_exists, cascade } => {
                self.drop_views(names, *if_exists, *cascade)
            }
            ViewBody::Alter { name, if_exists, action } => {
                self.alter_view(name, *if_exists, action)
            }
        }
    }

    /// A view's definition from its query.
    pub(crate) fn view_of(
        &mut self,
        query: &Body,
        text: (u32, u32),
        names: &[String],
    ) -> Result<(View, Vec<Need>)> {
        if !self.param_types.is_empty() {
            let message = "there is no parameter $1";
            return Err(SqlError::new(SqlState::UndefinedParameter, message));
        }
        self.recorder = Some(Box::default());
        let bound = self.statement(query);
        let recorder = self.recorder.take().unwrap_or_default();
        let Statement::Query(bound) = bound? else {
            let message = "views must not contain data-modifying statements in WITH";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        };
        if names.len() > bound.fields.len() {
            let message = "CREATE VIEW specifies more column names than columns";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        let given = names.iter().map(Some).chain(std::iter::repeat(None));
        let columns: Vec<ViewColumn> = bound
            .fields
            .iter()
            .zip(given)
            .map(|(field, given)| ViewColumn {
                name: given.unwrap_or(&field.name).clone(),
                ty: field.ty,
                typmod: field.typmod,
                default: None,
            })
            .collect();
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].iter().any(|other| other.name == column.name) {
                let message = format!("column \"{}\" specified more than once", column.name);
                return Err(SqlError::new(SqlState::DuplicateColumn, message));
            }
        }
        let Some((whole, position)) = self.text else {
            return Err(SqlError::internal("a view without a text"));
        };
        let template = template(whole, position, text, &recorder);
        let needs = needs_of(&recorder);
        let is_renamed =
            columns.iter().zip(&bound.fields).any(|(column, field)| column.name != field.name);
        let shown = if is_renamed { renamed(&template, &columns) } else { template.clone() };
        let mut view = View { columns, query: template, pretty: shown.clone(), shown, check: None };
        // What is kept must mean what was written.
        let rows =
            self.stored_rows(&view, CatalogAt::Statement, None, Vec::new()).map_err(|error| {
                match &*error.message {
                    NOT_AT_THE_TOP => {
                        let message = "views must not contain data-modifying statements in WITH";
                        SqlError::new(SqlState::FeatureNotSupported, message)
                    }
                    _ => error,
                }
            })?;
        let types = rows.columns.iter().map(|column| column.ty);
        if !types.eq(bound.fields.iter().map(|field| field.ty)) {
            return Err(SqlError::unsupported("a view with this query"));
        }
        if let Body::Tree(tree) = query
            && let ast::Statement::Query(tree) = &**tree
        {
            let shown = [false, true].map(|pretty| {
                let names: Vec<(&str, DataType)> =
                    view.columns.iter().map(|column| (column.name.as_str(), column.ty)).collect();
                crate::show::query(tree, &recorder, &names, pretty)
            });
            // PostgreSQL shows VALUES as a table of its own, which is another plan.
            let is_values = matches!(*tree.body, ast::SetExpr::Values(_));
            if let [Some(query), Some(pretty)] = shown
                && (is_values || self.means(&query, &bound.plan)?)
                && (is_values || self.means(&pretty, &bound.plan)?)
            {
                if !is_values {
                    view.query.clone_from(&query);
                }
                (view.shown, view.pretty) = (query, pretty);
            }
        }
        Ok((view, needs))
    }

    /// A view with other names for its columns.
    pub(crate) fn renamed_view(&mut self, view: &View, names: &[String]) -> Result<View> {
        let text = self.expanded(&view.query, CatalogAt::Statement)?;
        let parsed = parse(&text)?;
        let [parsed] = &parsed[..] else {
            return Err(SqlError::internal("a view that is not one query"));
        };
        let (catalog, eval) = (&mut *self.catalog, self.eval);
        let mut types = Vec::new();
        with_room(parsed.depth(), || {
            let content = Some(parsed.content());
            let mut inner = Binder::new(catalog, eval, &mut types, None, content);
            inner.text = Some((parsed.text(), parsed.position()));
            let end = parsed.position() + parsed.text().chars().count() as u32;
            let (view, _) = inner.view_of(parsed.body(), (parsed.position(), end), names)?;
            Ok(view)
        })
    }

    /// Whether a template, bound, is a certain plan.
    fn means(&mut self, template: &str, plan: &driftdb_query::LogicalPlan) -> Result<bool> {
        let text = self.expanded(template, CatalogAt::Statement)?;
        let Ok(parsed) = parse(&text) else { return Ok(false) };
        let [parsed] = &parsed[..] else { return Ok(false) };
        let (catalog, eval) = (&mut *self.catalog, self.eval);
        let mut types = Vec::new();
        let bound = with_room(parsed.depth(), || {
            let content = Some(parsed.content());
            let mut inner = Binder::new(catalog, eval, &mut types, None, content);
            inner.statement(&parsed.content().body)
        });
        // What was converted unasked is shown, and is then asked for: it converts in the same way.
        let spelt = |plan: &driftdb_query::LogicalPlan| {
            format!("{plan:?}").replace("context: Implicit", "context: Explicit")
        };
        let Ok(Statement::Query(query)) = bound else { return Ok(false) };
        Ok(query.plan == *plan || spelt(&query.plan) == spelt(plan))
    }

    fn create_view(
        &mut self,
        (name, temporary): (&QualifiedName, bool),
        or_replace: bool,
        view: View,
        needs: Vec<Need>,
    ) -> Result<ViewStatement> {
        // What names temporary things is temporary itself.
        let schema = match temporary || self.needs_temporary(&needs)? {
            true => self.temporary_creation_schema(name.schema.as_deref()),
            false => self.creation_schema(name.schema.as_deref(), &name.name),
        };
        let schema = schema.map_err(|error| error.at(name.position))?;
        let there = self.catalog.table(Some(&schema), &name.name, CatalogAt::Statement)?;
        let index = self.catalog.index(Some(&schema), &name.name)?;
        if or_replace && (there.is_some() || index.is_some()) {
            return Err(wrong_kind(format!("\"{}\" is not a view", name.name)));
        }
        let mut replaced = None;
        if or_replace
            && let Some(old) =
                self.relation_named(Some(&schema), &name.name, CatalogAt::Statement)?
        {
            let ObjectKind::View(before) = &old.kind else {
                return Err(wrong_kind(format!("\"{}\" is not a view", name.name)));
            };
            check_replaces(before, &view)?;
            if needs.iter().any(|need| need.id == old.id.0) {
                return Err(infinite_recursion(&name.name));
            }
            replaced = Some(old.id);
        }
        Ok(ViewStatement::Create { schema, name: name.name.clone(), replaced, view, needs })
    }

    pub(crate) fn needs_temporary(&mut self, needs: &[Need]) -> Result<bool> {
        for need in needs {
            let schema = match self.catalog.table_by_id(TableId(need.id))? {
                Some(table) => Some(table.schema.clone()),
                None => {
                    let at = CatalogAt::Statement;
                    let found = self.catalog.object_by_id(ObjectId(need.id), at)?;
                    found.map(|object| object.schema.clone())
                }
            };
            if schema.is_some_and(|schema| is_temporary(&schema)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn drop_views(
        &mut self,
        names: &[QualifiedName],
        if_exists: bool,
        cascade: bool,
    ) -> Result<ViewStatement> {
        let (mut views, mut notices) = (Vec::new(), Vec::new());
        for name in names {
            match self.existing_view(name)? {
                Some(object) => {
                    if !views.contains(&object.id) {
                        views.push(object.id);
                    }
                }
                None => {
                    let shown = qualified(name.schema.as_deref(), &name.name);
                    let message = format!("view \"{shown}\" does not exist");
                    if !if_exists {
                        let state = no_such_table(name.schema.as_deref(), &name.name).state;
                        return Err(SqlError::new(state, message));
                    }
                    notices.push(format!("{message}, skipping"));
                }
            }
        }
        Ok(ViewStatement::Drop { views, notices, cascade })
    }

    /// A view by name; an error for what is not one.
    fn existing_view(&mut self, name: &QualifiedName) -> Result<Option<Arc<Object>>> {
        let schema = name.schema.as_deref();
        let not_a_view = |hint: &str| {
            let error = wrong_kind(format!("\"{}\" is not a view", name.name));
            Err(if hint.is_empty() { error } else { error.with_hint(hint) })
        };
        if let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? {
            return match table.materialized() {
                None => not_a_view("Use DROP TABLE to remove a table."),
                Some(_) => not_a_view("Use DROP MATERIALIZED VIEW to remove a materialized view."),
            };
        }
        if self.catalog.index(schema, &name.name)?.is_some() {
            return not_a_view("Use DROP INDEX to remove an index.");
        }
        match self.relation_named(schema, &name.name, CatalogAt::Statement)? {
            Some(object) if matches!(object.kind, ObjectKind::View(_)) => Ok(Some(object)),
            Some(_) => not_a_view(""),
            None => Ok(None),
        }
    }

    fn alter_view(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
        action: &AlterView,
    ) -> Result<ViewStatement> {
        let command = "ALTER VIEW";
        let Some(object) = self.existing_view(name)? else {
            let shown = qualified(name.schema.as_deref(), &name.name);
            let message = format!("relation \"{shown}\" does not exist");
            if !if_exists {
                let error = no_such_table(name.schema.as_deref(), &name.name);
                return Err(error);
            }
            let notices = vec![format!("{message}, skipping")];
            return Ok(ViewStatement::Nothing { notices, command });
        };
        let ObjectKind::View(view) = &object.kind else {
            return Err(SqlError::internal("a view that is none"));
        };
        let mut view = view.clone();
        let column = |view: &View, wanted: &str, position: u32| {
            let found = view.columns.iter().position(|column| column.name == wanted);
            found.ok_or_else(|| {
                let message =
                    format!("column \"{wanted}\" of relation \"{}\" does not exist", object.name);
                SqlError::new(SqlState::UndefinedColumn, message).at(position)
            })
        };
        let id = object.id;
        match action {
            AlterView::Rename(new) => Ok(ViewStatement::Rename {
                view: id,
                schema: object.schema.clone(),
                name: new.clone(),
                command,
            }),
            AlterView::SetSchema(schema, _) if *schema == object.schema => {
                Ok(ViewStatement::Nothing { notices: Vec::new(), command })
            }
            AlterView::SetSchema(schema, position) => {
                let space = NameSpace::Schema;
                let found =
                    self.catalog.objects_named(space, None, schema, CatalogAt::Statement)?;
                if schema != "public" && found.is_empty() {
                    let message = format!("schema \"{schema}\" does not exist");
                    let error = SqlError::new(SqlState::InvalidSchemaName, message);
                    return Err(error.at(*position));
                }
                let (schema, name) = (schema.clone(), object.name.clone());
                Ok(ViewStatement::Rename { view: id, schema, name, command })
            }
            AlterView::RenameColumn(old, position, new) => {
                let index = column(&view, old, *position).map_err(|error| {
                    let message = format!("column \"{old}\" does not exist");
                    SqlError { message, position: None, ..error }
                })?;
                if view.columns.iter().any(|column| column.name == *new) {
                    let message =
                        format!("column \"{new}\" of relation \"{}\" already exists", object.name);
                    return Err(SqlError::new(SqlState::DuplicateColumn, message));
                }
                let mut names: Vec<String> =
                    view.columns.iter().map(|column| column.name.clone()).collect();
                names[index].clone_from(new);
                let mut renamed = self.renamed_view(&view, &names)?;
                renamed.check = view.check;
                for (column, old) in renamed.columns.iter_mut().zip(view.columns) {
                    column.default = old.default;
                }
                Ok(ViewStatement::Change { id, view: renamed, command })
            }
            AlterView::Default(name, position, default) => {
                let index = column(&view, name, *position)?;
                view.columns[index].default = match default {
                    None => None,
                    Some(expr) => {
                        let ViewColumn { name, ty, typmod, .. } = view.columns[index].clone();
                        Some(self.view_default(name, ty, typmod, expr)?)
                    }
                };
                Ok(ViewStatement::Change { id, view, command })
            }
            AlterView::Options(Some(check)) => {
                view.check = *check;
                Ok(ViewStatement::Change { id, view, command })
            }
            AlterView::Owner | AlterView::Options(None) => {
                Ok(ViewStatement::Nothing { notices: Vec::new(), command })
            }
        }
    }

    /// ALTER TABLE of a view: SET and DROP DEFAULT of one column, as pg_dump writes them.
    pub(crate) fn altered_view(
        &mut self,
        name: &ObjectName,
        operations: &[ast::AlterTableOperation],
    ) -> Result<Option<ViewStatement>> {
        let [ast::AlterTableOperation::AlterColumn { column_name, op }] = operations else {
            return Ok(None);
        };
        let default = match op {
            ast::AlterColumnOperation::SetDefault { value } => Some(Box::new(value.clone())),
            ast::AlterColumnOperation::DropDefault => None,
            _ => return Ok(None),
        };
        let (schema, view) = (name.schema.clone(), name.name.clone());
        let found = self.relation_named(schema.as_deref(), &view, CatalogAt::Statement)?;
        if !found.is_some_and(|object| matches!(object.kind, ObjectKind::View(_))) {
            return Ok(None);
        }
        let name = QualifiedName { schema, name: view, position: name.position };
        let place = super::names::ident_position(column_name);
        let action = AlterView::Default(ident(column_name), place, default);
        Ok(Some(match self.alter_view(&name, false, &action)? {
            ViewStatement::Change { id, view, .. } => {
                ViewStatement::Change { id, view, command: "ALTER TABLE" }
            }
            other => other,
        }))
    }

    fn view_default(
        &mut self,
        name: String,
        ty: DataType,
        typmod: i32,
        expr: &ast::Expr,
    ) -> Result<String> {
        let spec = driftdb_query::ColumnSpec::new(name, ty, typmod);
        self.default_expr(&spec, expr)
    }

    /// A view in FROM, if the name is one's.
    pub(crate) fn view_item(
        &mut self,
        name: &ast::ObjectName,
        clause: Option<&TimeClause>,
        alias: Option<&ast::TableAlias>,
    ) -> Result<Option<FromItem>> {
        let parsed = object_name(name)?;
        let time = match clause.map(|clause| &clause.range) {
            None => self.default_time,
            Some(TimeRange::AsOf(point)) => self.point(point, "FOR SYSTEM_TIME AS OF")?,
            Some(range) => {
                let found = self.view_named(&parsed, CatalogAt::Statement)?;
                if found.is_none() {
                    return Ok(None);
                }
                let what = format!("{} on a view", range.name());
                return Err(SqlError::unsupported(what).at(parsed.position));
            }
        };
        let at = time.map_or(CatalogAt::Statement, CatalogAt::AsOf);
        let Some(object) = self.view_named(&parsed, at)? else { return Ok(None) };
        let ObjectKind::View(view) = &object.kind else { return Ok(None) };
        if self.views.contains(&object.id) {
            return Err(infinite_recursion(&object.name));
        }
        let shown = alias.map_or_else(|| object.name.clone(), |alias| ident(&alias.name));
        let locking = self.handed_to(&shown);
        self.inner_role = Some(self.owner_of_view(&object)?);
        self.views.push(object.id);
        let rows = self.deeper(1, |binder| {
            binder.stored_rows(view, at, time, locking).map_err(|error| match error.position {
                Some(_) => SqlError { position: None, ..error },
                None => error,
            })
        });
        self.views.pop();
        let mut rows = rows?;
        self.fit_columns(&mut rows, view)?;
        if let Some(recorder) = &mut self.recorder {
            recorder.relation(name, object.id.0, Vec::new());
            let relation = match alias {
                Some(alias) => plain(&quoted(&ident(&alias.name))),
                None => Marker::Name(object.id.0).write(),
            };
            for column in &rows.columns {
                let note = (relation.clone(), plain(&quoted(&column.name)));
                recorder.columns.insert(column.id, note);
            }
        }
        let numbers = rows.columns.iter().map(|column| column.id).zip(1..).collect();
        self.ask_read_object(&object, numbers);
        let named = rows.columns.iter().map(named_column).collect();
        let own = Aliased { alias, own: object.name.clone(), schema: Some(object.schema.clone()) };
        // Row locks are those of the tables below.
        let lockable = self.column_id();
        item(rows.plan, named, own, None, Some(lockable)).map(Some)
    }

    fn view_named(&mut self, name: &ObjectName, at: CatalogAt) -> Result<Option<Arc<Object>>> {
        let (space, schema) = (NameSpace::Relation, name.schema.as_deref());
        let found = self.catalog.objects_named(space, schema, &name.name, at)?;
        Ok(found.into_iter().find(|object| matches!(object.kind, ObjectKind::View(_))))
    }

    /// A view's rows under its columns' names and types.
    pub(crate) fn fit_columns(&mut self, rows: &mut Rows, view: &View) -> Result<()> {
        if rows.columns.len() != view.columns.len() {
            return Err(SqlError::internal("a view has other columns than its query"));
        }
        for (index, column) in view.columns.iter().enumerate() {
            let context = CastContext::Explicit;
            self.coerce_column(rows, index, column.ty, column.typmod, context)?;
            rows.columns[index].name.clone_from(&column.name);
        }
        Ok(())
    }

    /// A template's text, with the names of a time.
    pub(crate) fn expanded(&mut self, template: &str, at: CatalogAt) -> Result<String> {
        let mut failed = None;
        let text = expand(template, &mut |marker| match self.name_of(marker, at) {
            Ok(name) => Some(name),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        match (text, failed) {
            (Some(text), _) => Ok(text),
            (None, Some(error)) => Err(error),
            (None, None) => Err(SqlError::internal("a malformed template")),
        }
    }

    fn name_of(&mut self, marker: Marker<'_>, at: CatalogAt) -> Result<String> {
        let (Marker::Relation(id)
        | Marker::Name(id)
        | Marker::Column(id, _)
        | Marker::Alias(id, ..)) = marker;
        let (schema, name, table) = match self.table_at_time(TableId(id), at)? {
            Some(table) => (table.schema.clone(), table.name.clone(), Some(table)),
            None => match self.catalog.object_by_id(ObjectId(id), at)? {
                Some(object) => (object.schema.clone(), object.name.clone(), None),
                None => {
                    let message = format!("could not open relation with OID {id}");
                    return Err(SqlError::new(SqlState::UndefinedTable, message));
                }
            },
        };
        Ok(match (marker, table) {
            (Marker::Relation(_), _) => format!("{}.{}", quoted(&schema), quoted(&name)),
            (Marker::Name(_), _) => quoted(&name),
            (Marker::Column(_, column), Some(table)) => {
                let column = table.position(column).map(|place| &table.columns[place].name);
                quoted(column.map_or("?", String::as_str))
            }
            (Marker::Alias(_, column, name), Some(table)) => {
                let is_called = |place: usize| table.columns[place].name == name;
                if table.position(column).is_some_and(is_called) {
                    String::new()
                } else {
                    format!(" AS {}", quoted(name))
                }
            }
            (Marker::Column(..) | Marker::Alias(..), None) => "?".to_owned(),
        })
    }

    fn table_at_time(
        &mut self,
        id: TableId,
        at: CatalogAt,
    ) -> Result<Option<Arc<driftdb_query::Table>>> {
        match at {
            CatalogAt::Statement => self.catalog.table_by_id(id),
            CatalogAt::AsOf(_) => {
                Ok(self.catalog.tables(at)?.into_iter().find(|table| table.id == id))
            }
        }
    }

    /// The rows of a view's query, all that it names read at one time.
    pub(crate) fn stored_rows(
        &mut self,
        view: &View,
        at: CatalogAt,
        time: Option<Timestamp>,
        locking: Vec<super::lock::Locking<'a>>,
    ) -> Result<Rows> {
        let text = self.expanded(&view.query, at)?;
        let parsed = parse(&text)?;
        let [parsed] = &parsed[..] else {
            return Err(SqlError::internal("a view that is not one query"));
        };
        with_room_for_more(parsed.depth(), || {
            self.inside(parsed, time, locking, |inner, query| {
                let mut rows = inner.query(query)?;
                inner.decide_columns(&mut rows)?;
                Ok(rows)
            })
        })
    }

    /// Binds a stored query with a binder of its own, which goes on with this one's identities.
    pub(crate) fn inside<T>(
        &mut self,
        parsed: &crate::ParsedStatement,
        time: Option<Timestamp>,
        locking: Vec<super::lock::Locking<'a>>,
        work: impl FnOnce(&mut Binder<'_>, &ast::Query) -> Result<T>,
    ) -> Result<T> {
        let Body::Tree(tree) = parsed.body() else {
            return Err(SqlError::internal("a view that is no query"));
        };
        let ast::Statement::Query(query) = &**tree else {
            return Err(SqlError::internal("a view that is no query"));
        };
        let mut types = Vec::new();
        let content = Some(parsed.content());
        let mut inner = Binder::new(&mut *self.catalog, self.eval, &mut types, None, content);
        inner.handed_down = locking;
        inner.default_time = time;
        inner.next_column = self.next_column;
        inner.next_cte = self.next_cte;
        inner.next_scan = self.next_scan;
        inner.depth = self.depth;
        inner.views.clone_from(&self.views);
        inner.watch_for(self.inner_role.take().unwrap_or(driftdb_query::BOOTSTRAP_ROLE));
        let result = work(&mut inner, query);
        let result = result.and_then(|done| inner.demand_access().map(|()| done));
        let (column, cte, scan) = (inner.next_column, inner.next_cte, inner.next_scan);
        let (mut meta, mut values) = (inner.meta, inner.function_values);
        let mut used = inner.used_ctes;
        (self.next_column, self.next_cte, self.next_scan) = (column, cte, scan);
        self.meta.append(&mut meta);
        self.function_values.append(&mut values);
        self.used_ctes.append(&mut used);
        result
    }
}

fn infinite_recursion(view: &str) -> SqlError {
    let message = format!("infinite recursion detected in rules for relation \"{view}\"");
    SqlError::new(SqlState::InvalidObjectDefinition, message)
}

/// What a view may be replaced by: more columns at the end.
fn check_replaces(before: &View, after: &View) -> Result<()> {
    if after.columns.len() < before.columns.len() {
        return Err(invalid("cannot drop columns from view".into()));
    }
    for (old, new) in before.columns.iter().zip(&after.columns) {
        if old.name != new.name {
            let message =
                format!("cannot change name of view column \"{}\" to \"{}\"", old.name, new.name);
            return Err(invalid(message).with_hint(
                "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
            ));
        }
        if (old.ty, old.typmod) != (new.ty, new.typmod) {
            let shown = |column: &ViewColumn| {
                driftdb_types::type_name_with_typmod(column.ty, column.typmod)
            };
            return Err(invalid(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name,
                shown(old),
                shown(new)
            )));
        }
    }
    Ok(())
}

/// The query's text with relations by identity and `*` spelt out.
fn template(whole: &str, position: u32, (from, to): (u32, u32), recorder: &Recorder) -> String {
    let source = Source::new(whole);
    let slice =
        |from: u32, to: u32| plain(source.slice(from - position + 1, to.max(from) - position + 1));
    let (mut out, mut at) = (String::new(), from);
    for (start, (end, replacement)) in recorder.edits.range(from..to) {
        // What was bound twice is edited once.
        if *start >= at {
            out.push_str(&slice(at, *start));
            out.push_str(replacement);
            at = *end;
        }
    }
    out.push_str(&slice(at, to));
    out
}

/// A query as it is shown where its columns have other names than the view's.
fn renamed(template: &str, columns: &[ViewColumn]) -> String {
    let names: Vec<String> = columns.iter().map(|column| plain(&quoted(&column.name))).collect();
    let names = names.join(", ");
    format!(" SELECT {names}\n   FROM ({template}) v({names})")
}

/// What a query needs: the columns that it uses, and relations of which it uses none.
fn needs_of(recorder: &Recorder) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut add = |need: Need| {
        if !needs.contains(&need) {
            needs.push(need);
        }
    };
    for (id, columns) in &recorder.relations {
        let used = columns.iter().filter(|(column, _)| recorder.used.contains(column));
        let mut is_named = false;
        for (_, column) in used {
            is_named = true;
            add(Need { column: Some(*column), ..Need::of(*id) });
        }
        if !is_named {
            add(Need::of(*id));
        }
    }
    recorder.objects.iter().for_each(|id| add(Need::of(*id)));
    needs
}

/// How a column of a relation is shown in a list that stands for `*`.
pub(crate) fn starred(
    columns: &[(Expr, String)],
    recorder: &Recorder,
    is_qualified: bool,
) -> String {
    let shown = columns.iter().enumerate().map(|(index, (expr, name))| {
        let note = super::scope::column_of(expr).and_then(|id| recorder.columns.get(&id));
        match note {
            Some((_, column)) if index == 0 && is_qualified => column.clone(),
            Some((relation, column)) => format!("{relation}.{column}"),
            None => plain(&quoted(name)),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}
