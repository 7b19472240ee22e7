//! Statements by kind, and those that need little binding.

use std::sync::Arc;

use driftdb_query::{
    CatalogAt, DropObjects, Explain, LockTable, LogicalPlan, Query, Result, SqlError, Statement,
    Table,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::as_of::qualified;
use super::materialized::{refuse, refuse_operation};
use super::names::ObjectName;
use super::schema::no_such_schema;
use super::scope::{Clause, Scope};
use crate::front::cursor::QualifiedName;
use crate::front::dispatch::{Body, DropKind, unsupported};

impl Binder<'_> {
    pub(crate) fn statement(&mut self, body: &Body) -> Result<Statement> {
        Ok(match body {
            Body::Empty => Statement::Empty,
            Body::Tree(tree) => self.tree(tree)?,
            Body::Transaction(statement) => Statement::Transaction(self.transaction(statement)?),
            Body::Set { name, value, scope } => {
                Statement::Set { name: name.clone(), value: value.clone(), scope: *scope }
            }
            Body::Reset(name) => Statement::Reset(name.clone()),
            Body::Show(name) => Statement::Show(name.clone()),
            Body::Prepare { name, types, text } => {
                let types = types
                    .iter()
                    .map(|(ty, position)| {
                        self.type_name(ty).map(|(ty, _)| ty).map_err(|e| e.at(*position))
                    })
                    .collect::<Result<_>>()?;
                Statement::Prepare { name: name.clone(), types, text: text.clone() }
            }
            Body::Execute { name, args } => self.execute(name, args)?,
            Body::Deallocate(name) => Statement::Deallocate(name.clone()),
            Body::DiscardAll => Statement::DiscardAll,
            Body::DiscardSequences => Statement::DiscardSequences,
            Body::Checkpoint => Statement::Checkpoint,
            Body::Vacuum { tables, analyze } => {
                Statement::Vacuum { tables: self.tables(tables)?, analyze: *analyze }
            }
            Body::Analyze(tables) => Statement::Analyze(self.tables(tables)?),
            Body::LockTable { tables, mode, no_wait } => Statement::LockTable(LockTable {
                tables: self.lockable_tables(tables)?,
                mode: *mode,
                no_wait: *no_wait,
            }),
            Body::Truncate { tables, cascade, restart } => {
                let (tables, cascade, restart) = (self.tables(tables)?, *cascade, *restart);
                for table in &tables {
                    refuse(table, |name| format!("\"{name}\" is not a table"))?;
                }
                Statement::Truncate { tables, cascade, restart }
            }
            Body::AlterConstraint { table, if_exists, name, deferral } => {
                self.alter_constraint(table, *if_exists, name, *deferral)?
            }
            Body::SetConstraints { names, deferred } => {
                let named = |name: &QualifiedName| (name.schema.clone(), name.name.clone());
                let names = names.as_ref().map(|names| names.iter().map(named).collect());
                Statement::SetConstraints { names, deferred: *deferred }
            }
            Body::Drop { kind: DropKind::Sequence, if_exists, names, cascade } => {
                self.drop_sequences(names, *if_exists, *cascade)?
            }
            Body::AlterColumn { table, if_exists, column, change } => {
                self.change_column(table, *if_exists, column, change)?
            }
            Body::Sequence(body) => self.sequence_statement(body)?,
            Body::Type(body) => self.type_statement(body)?,
            Body::Drop { kind, if_exists, names, cascade } => {
                let objects = self.drop(*kind, *if_exists, names)?;
                Statement::Drop(DropObjects { cascade: *cascade, ..objects })
            }
            Body::Explain { statement, .. } if matches!(**statement, Body::Execute { .. }) => {
                return Err(unsupported("EXPLAIN EXECUTE"));
            }
            Body::Explain { statement, analyze, output } => Statement::Explain(Explain {
                statement: Box::new(self.statement(statement)?),
                analyze: *analyze,
                output: *output,
            }),
            Body::Copy(copy) => Statement::Copy(self.copy(copy)?),
            Body::Materialized(body) => self.materialized_statement(body)?,
            Body::Extension(body) => Statement::View(super::extension::create(body)?),
            Body::View(body) => Statement::View(self.view_statement(body)?),
            Body::Declare(declare, query) => {
                Statement::DeclareCursor(self.declare_cursor(declare, query)?)
            }
            Body::Fetch(fetch) => Statement::Fetch(fetch.clone()),
            Body::Close(name) => Statement::CloseCursor(name.clone()),
            Body::Channel(statement) => Statement::Channel(statement.clone()),
            Body::History(body) => self.history(body)?,
            Body::Branch(body) => Statement::Branch(self.branch(body)?),
            Body::Routine(body) => Statement::Routine(self.routine_statement(body)?),
            Body::Schema(body) => self.schema_statement(body)?,
            Body::Absent(body) => Statement::View(self.drop_absent(body)?),
            Body::Role(body) => Statement::Role(self.role_statement(body)?),
            Body::Comment(body) => Statement::Comment(self.comment(body)?),
            Body::Index(body) => self.index_statement(body)?,
            Body::Unsupported(what) => return Err(unsupported(what)),
        })
    }

    fn tree(&mut self, tree: &ast::Statement) -> Result<Statement> {
        match tree {
            ast::Statement::Query(query) => match &*query.body {
                // WITH before INSERT, UPDATE and DELETE.
                ast::SetExpr::Insert(inner)
                | ast::SetExpr::Update(inner)
                | ast::SetExpr::Merge(inner)
                | ast::SetExpr::Delete(inner) => self.with_change(query.with.as_ref(), inner),
                _ => {
                    self.may_change = true;
                    let mut rows = self.query(query)?;
                    self.decide_columns(&mut rows)?;
                    let fields = rows.fields();
                    Ok(Statement::Query(Query { plan: rows.plan, fields }))
                }
            },
            ast::Statement::Insert(insert) => self.insert(insert).map(Statement::Insert),
            ast::Statement::Update(update) => self.update(update).map(Statement::Update),
            ast::Statement::Delete(delete) => self.delete(delete).map(Statement::Delete),
            ast::Statement::Merge(merge) => {
                self.merge_statement(merge).map(|merge| Statement::Merge(Box::new(merge)))
            }
            ast::Statement::CreateTable(create) => self.create_table(create),
            ast::Statement::CreateIndex(create) => self.create_index(create),
            ast::Statement::AlterTable(alter) => self.alter_table(alter),
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                Err(unsupported(&words.join(" ")))
            }
        }
    }

    /// A change whose source may read common table expressions.
    pub(crate) fn with_change(
        &mut self,
        with: Option<&ast::With>,
        change: &ast::Statement,
    ) -> Result<Statement> {
        let is_recursive = with.is_some_and(|with| with.recursive);
        if is_recursive && matches!(change, ast::Statement::Merge(_)) {
            let message = "WITH RECURSIVE is not supported for MERGE statement";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        self.may_change = true;
        let outside = self.ctes.len();
        let ctes = match with {
            Some(with) => self.with(with)?,
            None => Vec::new(),
        };
        self.may_change = false;
        let mut statement = self.tree(change)?;
        self.ctes.truncate(outside);
        let ctes: Vec<_> = ctes.into_iter().filter(|(id, _)| self.used_ctes.contains(id)).collect();
        if ctes.is_empty() {
            return Ok(statement);
        }
        let source = match &mut statement {
            Statement::Insert(insert) => &mut insert.source,
            Statement::Update(update) => &mut update.source,
            Statement::Delete(delete) => &mut delete.source,
            Statement::Merge(merge) => &mut merge.source,
            _ => return Err(SqlError::internal("a change that is none")),
        };
        let body = Box::new(std::mem::replace(source, LogicalPlan::one_row()));
        *source = LogicalPlan::With { ctes, body };
        Ok(statement)
    }

    fn execute(&mut self, name: &str, args: &[ast::Expr]) -> Result<Statement> {
        self.scopes.push(Scope::new(Clause::Other));
        let args = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        self.scopes.pop();
        Ok(Statement::Execute { name: name.to_owned(), args })
    }

    fn lockable_tables(&mut self, names: &[QualifiedName]) -> Result<Vec<Arc<Table>>> {
        let tables = self.tables(names)?;
        for table in &tables {
            refuse_operation(table, |name| format!("cannot lock relation \"{name}\""))?;
        }
        Ok(tables)
    }

    pub(crate) fn tables(&mut self, names: &[QualifiedName]) -> Result<Vec<Arc<Table>>> {
        names
            .iter()
            .map(|name| {
                if let Some(schema) = self.missing_schema(name.schema.as_deref())? {
                    return Err(no_such_schema(&schema));
                }
                self.table_now(&ObjectName {
                    schema: name.schema.clone(),
                    name: name.name.clone(),
                    position: name.position,
                    last: name.position,
                })
            })
            .collect()
    }

    fn drop(
        &mut self,
        kind: DropKind,
        if_exists: bool,
        names: &[QualifiedName],
    ) -> Result<DropObjects> {
        let mut objects = DropObjects {
            concurrently: kind == DropKind::IndexConcurrently,
            ..DropObjects::default()
        };
        let kind = if kind == DropKind::IndexConcurrently { DropKind::Index } else { kind };
        for name in names {
            let schema = name.schema.as_deref();
            let table = self.catalog.table(schema, &name.name, CatalogAt::Statement)?;
            let index = self.catalog.index(schema, &name.name)?;
            let wrong = |message: String| Err(SqlError::new(SqlState::WrongObjectType, message));
            match (kind, table, index) {
                (DropKind::Table, Some(table), _) => {
                    if table.materialized().is_some() {
                        let message = format!("\"{}\" is not a table", name.name);
                        return Err(SqlError::new(SqlState::WrongObjectType, message).with_hint(
                            "Use DROP MATERIALIZED VIEW to remove a materialized view.",
                        ));
                    }
                    if !objects.tables.iter().any(|other| other.id == table.id) {
                        objects.tables.push(table);
                    }
                }
                (DropKind::Index, _, Some((table, id))) => {
                    if table.index(id).is_some_and(|index| index.constraint) {
                        let message = format!(
                            "cannot drop index {} because constraint {} on table {} requires it",
                            name.name, name.name, table.name
                        );
                        let hint = format!(
                            "You can drop constraint {} on table {} instead.",
                            name.name, table.name
                        );
                        return Err(SqlError::new(SqlState::DependentObjectsStillExist, message)
                            .with_hint(hint));
                    }
                    if !objects.indexes.iter().any(|(_, other)| *other == id) {
                        objects.indexes.push((table, id));
                    }
                }
                (DropKind::Sequence | DropKind::IndexConcurrently, ..) => {
                    return Err(SqlError::internal("sequences are dropped elsewhere"));
                }
                (DropKind::Table, None, Some(_)) => {
                    return wrong(format!("\"{}\" is not a table", name.name));
                }
                (DropKind::Index, Some(_), None) => {
                    return wrong(format!("\"{}\" is not an index", name.name));
                }
                (_, None, None) => {
                    if let Some(object) =
                        self.relation_named(schema, &name.name, CatalogAt::Statement)?
                    {
                        let what = if kind == DropKind::Table { "a table" } else { "an index" };
                        let word = object.kind.word();
                        let message = format!("\"{}\" is not {what}", name.name);
                        let hint = format!("Use DROP {} to remove a {word}.", word.to_uppercase());
                        let error = SqlError::new(SqlState::WrongObjectType, message);
                        return Err(error.with_hint(hint));
                    }
                    let what = if kind == DropKind::Table { "table" } else { "index" };
                    let shown = qualified(schema, &name.name);
                    if let Some(schema) = self.missing_schema(schema)? {
                        if !if_exists {
                            return Err(no_such_schema(&schema));
                        }
                        let notice = format!("schema \"{schema}\" does not exist, skipping");
                        objects.notices.push(notice);
                        continue;
                    }
                    if !if_exists {
                        let message = format!("{what} \"{shown}\" does not exist");
                        let state = if kind == DropKind::Table {
                            SqlState::UndefinedTable
                        } else {
                            SqlState::UndefinedObject
                        };
                        return Err(SqlError::new(state, message));
                    }
                    objects.notices.push(format!("{what} \"{shown}\" does not exist, skipping"));
                }
            }
        }
        Ok(objects)
    }
}
