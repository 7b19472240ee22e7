//! CREATE TABLE.

use driftdb_query::{
    Column, ColumnId, ColumnSpec, ConstraintSpec, CreateTable, Expr, LogicalPlan, OnCommit, Query,
    Result, SqlError, Statement,
};
use driftdb_types::{DataType, SqlState};
use sqlparser::ast;

use super::Binder;
use super::generated::{ColumnValue as Value, check_one_value, sequences_in, serial_type};
use super::names::{ident, ident_position, object_name};
use super::position::Placed;
use super::scope::{Clause, Scope};

/// A table's definition as it is collected.
pub(crate) struct Definition {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) columns: Vec<ColumnSpec>,
    pub(crate) constraints: Vec<ConstraintSpec>,
    /// Names of constraints and indexes that are taken.
    pub(crate) taken: Vec<String>,
    pub(crate) has_primary: bool,
}

impl Binder<'_> {
    pub(crate) fn create_table(&mut self, create: &ast::CreateTable) -> Result<Statement> {
        let unsupported = if create.inherits.is_some() {
            "INHERITS"
        } else if create.partition_by.is_some() || create.partition_of.is_some() {
            "a partitioned table"
        } else if create.like.is_some() {
            "CREATE TABLE LIKE"
        } else if create.on_commit.is_some() && !create.temporary {
            "ON COMMIT"
        } else if create.or_replace || create.external || create.clone.is_some() {
            "this form of CREATE TABLE"
        } else {
            ""
        };
        if !unsupported.is_empty() {
            return Err(SqlError::unsupported(unsupported));
        }
        let name = object_name(&create.name)?;
        let named = name.schema.as_deref();
        let schema = if create.temporary {
            self.temporary_creation_schema(named)
        } else {
            self.creation_schema(named, &name.name)
        };
        let schema = schema.map_err(|error| error.at(name.position))?;
        let mut definition = Definition {
            schema: schema.clone(),
            table: name.name.clone(),
            columns: Vec::new(),
            constraints: Vec::new(),
            taken: Vec::new(),
            has_primary: false,
        };
        let likes = self.content.map_or(&[][..], |content| &content.lifted.likes[..]);
        let names = names_alone(create);
        let columns = if names.is_some() { &[][..] } else { &create.columns[..] };
        let mut copied = Vec::new();
        for place in 0..=columns.len() {
            for like in likes.iter().filter(|like| like.before == place) {
                copied.push(self.like_columns(&mut definition, like)?);
            }
            if let Some(column) = columns.get(place) {
                self.column(&mut definition, column)?;
            }
        }
        for (like, copied) in likes.iter().zip(copied) {
            self.like_constraints(&mut definition, like, copied.as_deref())?;
        }
        let columns = columns.to_vec();
        for column in &columns {
            self.column_constraints(&mut definition, column)?;
        }
        for constraint in &create.constraints {
            self.constraint(&mut definition, constraint)?;
        }
        let period = self.periods(&mut definition, &create.table_options)?;
        let mut table = CreateTable {
            schema,
            name: name.name,
            if_not_exists: create.if_not_exists,
            columns: definition.columns,
            constraints: definition.constraints,
            retention: self.table_options(&create.table_options)?,
            period,
            on_commit: match create.on_commit {
                Some(ast::OnCommit::DeleteRows) => OnCommit::DeleteRows,
                Some(ast::OnCommit::Drop) => OnCommit::Drop,
                Some(ast::OnCommit::PreserveRows) | None => OnCommit::PreserveRows,
            },
            materialized: None,
        };
        let Some(query) = &create.query else { return Ok(Statement::CreateTable(table)) };
        if !table.columns.is_empty() {
            return Err(SqlError::unsupported("CREATE TABLE AS with column definitions"));
        }
        let mut rows = self.query(query)?;
        self.decide_columns(&mut rows)?;
        let names = names.unwrap_or_default();
        if names.len() > rows.columns.len() {
            let message = "too many column names were specified";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        for (column, name) in rows.columns.iter_mut().zip(names) {
            column.name = name;
        }
        for column in &rows.columns {
            if table.columns.iter().any(|other| other.name == column.name) {
                return Err(twice(&column.name));
            }
            check_storable(&column.name, column.ty)?;
            table.columns.push(ColumnSpec::new(column.name.clone(), column.ty, column.meta.typmod));
        }
        let fields = rows.fields();
        let mut plan = rows.plan;
        if create.with_data.as_ref().is_some_and(|with| !with.data) {
            let none = Expr::constant(driftdb_types::Value::Int8(0), DataType::Int8);
            plan = LogicalPlan::Limit { input: Box::new(plan), count: Some(none), offset: None };
        }
        Ok(Statement::CreateTableAs(table, Query { plan, fields }))
    }

    /// Adds a column without its constraints.
    pub(crate) fn column(
        &mut self,
        definition: &mut Definition,
        column: &ast::ColumnDef,
    ) -> Result<()> {
        let name = ident(&column.name);
        let place = |error: SqlError| error.at(ident_position(&column.name));
        if definition.columns.iter().any(|other| other.name == name) {
            return Err(place(twice(&name)));
        }
        let serial = serial_type(&column.data_type);
        let (ty, typmod) = match serial {
            Some(ty) => (ty, -1),
            None => self.type_name(&column.data_type).map_err(place)?,
        };
        check_storable(&name, ty).map_err(place)?;
        let mut spec = ColumnSpec::new(name, ty, typmod);
        spec.not_null = serial.is_some();
        if serial.is_some() {
            self.serial(definition, &mut spec)?;
        }
        let mut is_nullable = false;
        for option in &column.options {
            match &option.option {
                ast::ColumnOption::NotNull => spec.not_null = true,
                ast::ColumnOption::Null => is_nullable = true,
                ast::ColumnOption::Default(expr) => {
                    check_one_value(definition, &spec, Value::Default).map_err(place)?;
                    let text = self.default_expr(&spec, expr)?;
                    spec.needs = sequences_in(&text);
                    spec.default = Some(text);
                }
                ast::ColumnOption::PrimaryKey(_)
                | ast::ColumnOption::Unique(_)
                | ast::ColumnOption::Check(_)
                | ast::ColumnOption::ForeignKey(_)
                | ast::ColumnOption::Collation(_) => {}
                ast::ColumnOption::Generated { generation_expr: Some(expr), .. } => {
                    check_one_value(definition, &spec, Value::Stored).map_err(place)?;
                    spec.stored = Some(expr.to_string());
                }
                ast::ColumnOption::Generated { generated_as, .. } => {
                    check_one_value(definition, &spec, Value::Identity).map_err(place)?;
                    let always = *generated_as == ast::GeneratedAs::Always;
                    let position = ident_position(&column.name);
                    self.identity(definition, &mut spec, position, always).map_err(place)?;
                }
                other => {
                    return Err(place(SqlError::unsupported(format!("the column option {other}"))));
                }
            }
        }
        if is_nullable && spec.not_null {
            let message = format!(
                "conflicting NULL/NOT NULL declarations for column \"{}\" of table \"{}\"",
                spec.name, definition.table
            );
            return Err(place(SqlError::new(SqlState::SyntaxError, message)));
        }
        definition.columns.push(spec);
        Ok(())
    }

    /// Checks a DEFAULT and gives its text.
    pub(crate) fn default_expr(&mut self, spec: &ColumnSpec, expr: &ast::Expr) -> Result<String> {
        let bound = self.bound_default(spec, expr)?;
        self.stored_text(&super::qualified::qualified(expr, &bound))
    }

    /// A DEFAULT, bound.
    pub(crate) fn bound_default(&mut self, spec: &ColumnSpec, expr: &ast::Expr) -> Result<Expr> {
        self.scopes.push(Scope::new(Clause::Default));
        let bound = self.expr(expr);
        self.scopes.pop();
        let bound = bound.map_err(|error| match error.state {
            SqlState::UndefinedColumn => SqlError {
                state: SqlState::FeatureNotSupported,
                message: "cannot use column reference in DEFAULT expression".into(),
                hint: None,
                ..error
            },
            _ => error,
        })?;
        if has_subquery(&bound) {
            let message = "cannot use subquery in DEFAULT expression";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message)).at_expr(expr);
        }
        let from = bound.ty();
        self.assign(bound, &column_of_spec(spec))
            .map_err(|error| match error.state {
                SqlState::DatatypeMismatch => SqlError {
                    message: format!(
                        "column \"{}\" is of type {} but default expression is of type {from}",
                        spec.name, spec.ty
                    ),
                    ..error
                },
                _ => error,
            })
            .at_expr(expr)
    }
}

/// The columns of CREATE TABLE … AS, if it names any: they have no types.
fn names_alone(create: &ast::CreateTable) -> Option<Vec<String>> {
    create.query.as_ref()?;
    let is_name = |column: &ast::ColumnDef| {
        column.data_type == ast::DataType::Unspecified && column.options.is_empty()
    };
    let are_names = !create.columns.is_empty() && create.columns.iter().all(is_name);
    are_names.then(|| create.columns.iter().map(|column| ident(&column.name)).collect())
}

/// What an index is on needs an order.
///
/// # Errors
/// 42704
pub(crate) fn check_indexable(ty: DataType) -> Result<()> {
    if ty.is_comparable() {
        return Ok(());
    }
    let message =
        format!("data type {ty} has no default operator class for access method \"btree\"");
    Err(SqlError::new(SqlState::UndefinedObject, message).with_hint(
        "You must specify an operator class for the index or define a default operator class \
         for the data type.",
    ))
}

/// What has no type that says its columns cannot be kept.
///
/// # Errors
/// 42P16
pub(crate) fn check_storable(name: &str, ty: DataType) -> Result<()> {
    let inner = ty.element().unwrap_or(ty);
    if inner != DataType::Record {
        return Ok(());
    }
    let message = format!("column \"{name}\" has pseudo-type {ty}");
    Err(SqlError::new(SqlState::InvalidTableDefinition, message))
}

fn twice(name: &str) -> SqlError {
    let message = format!("column \"{name}\" specified more than once");
    SqlError::new(SqlState::DuplicateColumn, message)
}

/// A column that is not in the catalog yet.
pub(crate) fn column_of_spec(spec: &ColumnSpec) -> Column {
    Column {
        id: ColumnId(0),
        name: spec.name.clone(),
        ty: spec.ty,
        typmod: spec.typmod,
        not_null: spec.not_null,
        default: None,
        missing: driftdb_types::Value::Null,
        generated: None,
    }
}

pub(crate) fn has_subquery(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Subquery(_));
    expr.for_each_child(&mut |child| found |= has_subquery(child));
    found
}
