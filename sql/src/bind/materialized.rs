//! Materialized views: made of a query as views are, filled as CREATE TABLE AS fills.
//!
//! What is kept is a view's template, so that REFRESH means what was meant, whatever has been renamed
//! since. It runs with the rights of the owner.
//!
//! Source: PostgreSQL 15, commands/createas.c, commands/matview.c.

use std::sync::Arc;

use driftdb_query::{
    CatalogAt, ColumnSpec, CreateTable, DropObjects, MaterializedSpec, ObjectKind, OnCommit, Query,
    Refresh, Result, Securable, SqlError, Statement, Subject, Table, View, ViewStatement,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::as_of::qualified;
use super::create::check_storable;
use super::schema::no_such_schema;
use crate::front::cursor::QualifiedName;
use crate::front::materialized::MaterializedBody;

fn wrong_kind(message: String) -> SqlError {
    SqlError::new(SqlState::WrongObjectType, message)
}

/// An operation that a materialized view does not have.
fn not_supported(message: String) -> SqlError {
    wrong_kind(message).with_detail("This operation is not supported for materialized views.")
}

/// Fails for a materialized view, with the message that a statement has for it.
pub(crate) fn refuse(table: &Table, message: impl FnOnce(&str) -> String) -> Result<()> {
    match table.materialized() {
        Some(_) => Err(wrong_kind(message(&table.name))),
        None => Ok(()),
    }
}

/// As [`refuse`], with PostgreSQL's general DETAIL.
pub(crate) fn refuse_operation(table: &Table, message: impl FnOnce(&str) -> String) -> Result<()> {
    match table.materialized() {
        Some(_) => Err(not_supported(message(&table.name))),
        None => Ok(()),
    }
}

/// Fails for what ALTER TABLE cannot do with a materialized view.
pub(crate) fn refuse_alteration(
    table: &Table,
    operations: &[ast::AlterTableOperation],
) -> Result<()> {
    if table.materialized().is_none() {
        return Ok(());
    }
    use ast::AlterTableOperation as Operation;
    for operation in operations {
        let action = match operation {
            Operation::RenameTable { .. } | Operation::RenameColumn { .. } => continue,
            Operation::AddColumn { .. } => "ADD COLUMN",
            Operation::DropColumn { .. } => "DROP COLUMN",
            Operation::AddConstraint { .. } => "ADD CONSTRAINT",
            Operation::DropConstraint { .. } => "DROP CONSTRAINT",
            Operation::ValidateConstraint { .. } => "VALIDATE CONSTRAINT",
            Operation::AlterColumn { op, .. } => match op {
                ast::AlterColumnOperation::SetNotNull => "ALTER COLUMN ... SET NOT NULL",
                ast::AlterColumnOperation::DropNotNull => "ALTER COLUMN ... DROP NOT NULL",
                ast::AlterColumnOperation::SetDefault { .. }
                | ast::AlterColumnOperation::DropDefault => "ALTER COLUMN ... SET DEFAULT",
                ast::AlterColumnOperation::SetDataType { .. } => "ALTER COLUMN ... SET DATA TYPE",
                ast::AlterColumnOperation::AddGenerated { .. } => "ALTER COLUMN ... ADD IDENTITY",
            },
            other => {
                let what = format!("{other} of a materialized view");
                return Err(SqlError::unsupported(what));
            }
        };
        let message =
            format!("ALTER action {action} cannot be performed on relation \"{}\"", table.name);
        return Err(not_supported(message));
    }
    Ok(())
}

impl Binder<'_> {
    pub(crate) fn materialized_statement(&mut self, body: &MaterializedBody) -> Result<Statement> {
        match body {
            MaterializedBody::Create { .. } => self.create_materialized(body),
            MaterializedBody::Drop { names, if_exists, cascade } => {
                let objects = self.drop_materialized(names, *if_exists)?;
                Ok(Statement::Drop(DropObjects { cascade: *cascade, ..objects }))
            }
            MaterializedBody::Alter { name, if_exists, change } => {
                let schema = name.schema.as_deref();
                match self.catalog.table(schema, &name.name, CatalogAt::Statement)? {
                    Some(table) if table.materialized().is_some() => {}
                    Some(_) => return Err(self.not_materialized(name)),
                    None if self
                        .relation_named(schema, &name.name, CatalogAt::Statement)?
                        .is_some() =>
                    {
                        return Err(self.not_materialized(name));
                    }
                    None if *if_exists => {
                        let relation = qualified(schema, &name.name);
                        let notices =
                            vec![format!("relation \"{relation}\" does not exist, skipping")];
                        let command = body.tag();
                        return Ok(Statement::View(ViewStatement::Nothing { notices, command }));
                    }
                    None => return Err(self.missing_table(schema, &name.name)),
                }
                self.statement(change)
            }
            MaterializedBody::Refresh { name, concurrently, with_data } => {
                self.refresh(name, *concurrently, *with_data)
            }
        }
    }

    fn not_materialized(&self, name: &QualifiedName) -> SqlError {
        wrong_kind(format!("\"{}\" is not a materialized view", name.name))
    }

    fn create_materialized(&mut self, body: &MaterializedBody) -> Result<Statement> {
        let MaterializedBody::Create {
            name,
            if_not_exists,
            columns,
            options,
            query,
            text,
            with_data,
        } = body
        else {
            return Err(SqlError::internal("a statement that makes no materialized view"));
        };
        let schema = self
            .creation_schema(name.schema.as_deref(), &name.name)
            .map_err(|error| error.at(name.position))?;
        let retention = self.kept(options)?;
        let (view, needs) = self.view_of(query, *text, columns).map_err(in_its_words)?;
        if self.needs_temporary(&needs)? {
            let message = "materialized views must not use temporary tables or views";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let columns = view.columns.iter().map(|column| {
            check_storable(&column.name, column.ty)?;
            Ok(ColumnSpec::new(column.name.clone(), column.ty, column.typmod))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let query = self.filling(&view)?;
        let spec = MaterializedSpec { view, needs, with_data: *with_data };
        let table = CreateTable {
            schema,
            name: name.name.clone(),
            if_not_exists: *if_not_exists,
            columns,
            constraints: Vec::new(),
            retention,
            period: None,
            on_commit: OnCommit::PreserveRows,
            materialized: Some(Box::new(spec)),
        };
        Ok(Statement::CreateTableAs(table, query))
    }

    /// The query whose rows a materialized view holds.
    fn filling(&mut self, view: &View) -> Result<Query> {
        let mut rows = self.stored_rows(view, CatalogAt::Statement, None, Vec::new())?;
        self.fit_columns(&mut rows, view)?;
        let fields = rows.fields();
        Ok(Query { plan: rows.plan, fields })
    }

    fn drop_materialized(
        &mut self,
        names: &[QualifiedName],
        if_exists: bool,
    ) -> Result<DropObjects> {
        let mut objects = DropObjects { are_materialized: true, ..DropObjects::default() };
        for name in names {
            let schema = name.schema.as_deref();
            if let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? {
                if table.materialized().is_none() {
                    let error = self.not_materialized(name);
                    return Err(error.with_hint("Use DROP TABLE to remove a table."));
                }
                if objects.tables.iter().all(|other| other.id != table.id) {
                    objects.tables.push(table);
                }
                continue;
            }
            if let Some(object) = self.relation_named(schema, &name.name, CatalogAt::Statement)? {
                let word = object.kind.word();
                let article = if matches!(object.kind, ObjectKind::Type(_)) { "" } else { "a " };
                let hint = format!("Use DROP {} to remove {article}{word}.", word.to_uppercase());
                return Err(self.not_materialized(name).with_hint(hint));
            }
            if self.catalog.index(schema, &name.name)?.is_some() {
                let error = self.not_materialized(name);
                return Err(error.with_hint("Use DROP INDEX to remove an index."));
            }
            if let Some(schema) = self.missing_schema(schema)? {
                if !if_exists {
                    return Err(no_such_schema(&schema));
                }
                objects.notices.push(format!("schema \"{schema}\" does not exist, skipping"));
                continue;
            }
            let shown = qualified(schema, &name.name);
            let message = format!("materialized view \"{shown}\" does not exist");
            if !if_exists {
                return Err(SqlError::new(SqlState::UndefinedTable, message));
            }
            objects.notices.push(format!("{message}, skipping"));
        }
        Ok(objects)
    }

    /// The query of a materialized view of which a column gets another name.
    pub(crate) fn renamed_filling(
        &mut self,
        table: &Table,
        position: usize,
        new: &str,
    ) -> Result<Option<View>> {
        let Some(id) = table.materialized() else { return Ok(None) };
        let definition = self.catalog.object_by_id(id, CatalogAt::Statement)?;
        let Some(ObjectKind::Materialized(it)) = definition.as_ref().map(|object| &object.kind)
        else {
            return Ok(None);
        };
        let names = table.columns.iter().map(|column| column.name.clone());
        let mut names: Vec<String> = names.collect();
        names[position] = new.to_owned();
        self.renamed_view(&it.view, &names).map(Some)
    }

    fn refresh(
        &mut self,
        name: &QualifiedName,
        concurrently: bool,
        with_data: bool,
    ) -> Result<Statement> {
        let schema = name.schema.as_deref();
        let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? else {
            let is_other = self.relation_named(schema, &name.name, CatalogAt::Statement)?.is_some()
                || self.catalog.index(schema, &name.name)?.is_some();
            if is_other {
                let message = format!("\"{}\" is not a table or materialized view", name.name);
                return Err(wrong_kind(message));
            }
            return Err(self.missing_table(schema, &name.name));
        };
        let unsupported = |message: String| SqlError::new(SqlState::FeatureNotSupported, message);
        let definition = match table.materialized() {
            None => None,
            Some(id) => self.catalog.object_by_id(id, CatalogAt::Statement)?,
        };
        let Some(ObjectKind::Materialized(it)) = definition.as_ref().map(|object| &object.kind)
        else {
            let message = format!("\"{}\" is not a materialized view", table.name);
            return Err(unsupported(message));
        };
        if concurrently {
            check_concurrent(&table)?;
        }
        let table = self.with_terms(table)?;
        let mut query = None;
        if with_data {
            let subject = Subject::whole(Securable::Table, table.id.0);
            self.inner_role = Some(self.catalog.owner_of(subject)?);
            query = Some(self.filling(&it.view)?);
        }
        Ok(Statement::Refresh(Refresh { table, concurrently }, query))
    }
}

/// CONCURRENTLY pairs rows, which must be there and told apart.
fn check_concurrent(table: &Arc<Table>) -> Result<()> {
    if !table.is_populated() {
        let message = "CONCURRENTLY cannot be used when the materialized view is not populated";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let tells_apart =
        |index: &&driftdb_query::Index| index.is_key() && !index.deferral.is_deferrable();
    if table.indexes.iter().any(|index| tells_apart(&index)) {
        return Ok(());
    }
    let (schema, name) = (super::view::quoted(&table.schema), super::view::quoted(&table.name));
    let message = format!("cannot refresh materialized view \"{schema}.{name}\" concurrently");
    Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message).with_hint(
        "Create a unique index with no WHERE clause on one or more columns of the materialized \
         view.",
    ))
}

/// What is said of views, as it is said of materialized ones.
fn in_its_words(error: SqlError) -> SqlError {
    let (state, message) = match &*error.message {
        "views must not contain data-modifying statements in WITH" => (
            SqlState::FeatureNotSupported,
            "materialized views must not use data-modifying statements in WITH",
        ),
        "CREATE VIEW specifies more column names than columns" => {
            (SqlState::SyntaxError, "too many column names were specified")
        }
        _ => return error,
    };
    SqlError { state, message: message.into(), ..error }
}
