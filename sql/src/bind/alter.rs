//! ALTER TABLE: actions, each with a query for rows that would violate it.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    AlterAction, CatalogAt, ColumnSpec, ConstraintSpec, Deferral, DropObjects, Expr, Generated,
    IndexAction, LogicalPlan, OWNER, Result, ScanColumn, SqlError, Statement, Table, Temporal,
};
use driftdb_types::{SqlState, Value};
use sqlparser::ast;

use super::Binder;
use super::alter_column::{check_may_be_null, check_may_default, is_stable};
use super::create::{Definition, column_of_spec};
use super::materialized::refuse_alteration;
use super::names::{ident, ident_position, object_name};
use super::predicate::any_of;
use super::scope::Named;
use super::stored::Renaming;
use crate::front::cursor::QualifiedName;

/// ALTER TABLE as it is collected.
pub(crate) struct Alteration {
    pub(crate) table: Arc<Table>,
    pub(crate) definition: Definition,
    /// What the columns that this statement adds hold in existing rows.
    pub(crate) added: Vec<Named>,
    pub(crate) actions: Vec<(AlterAction, Option<LogicalPlan>)>,
}

impl Alteration {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        let taken = table.indexes.iter().map(|index| index.name.clone());
        let taken = taken.chain(table.checks.iter().map(|check| check.name.clone()));
        let taken = taken.chain(table.foreign_keys.iter().map(|key| key.name.clone())).collect();
        let columns = table
            .columns
            .iter()
            .map(|column| ColumnSpec {
                name: column.name.clone(),
                ty: column.ty,
                typmod: column.typmod,
                not_null: column.not_null,
                default: column.default.clone(),
                stored: match &column.generated {
                    Some(Generated::Stored(text)) => Some(text.clone()),
                    _ => None,
                },
                sequence: None,
                needs: Vec::new(),
            })
            .collect();
        let definition = Definition {
            schema: table.schema.clone(),
            table: table.name.clone(),
            columns,
            constraints: Vec::new(),
            taken,
            has_primary: table.primary_key().is_some(),
        };
        Self { table, definition, added: Vec::new(), actions: Vec::new() }
    }
}

impl Binder<'_> {
    pub(crate) fn alter_table(&mut self, alter: &ast::AlterTable) -> Result<Statement> {
        let name = object_name(&alter.name)?;
        let schema = name.schema.as_deref();
        let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? else {
            if let [
                ast::AlterTableOperation::RenameTable {
                    table_name: ast::RenameTableNameKind::To(to),
                },
            ] = &alter.operations[..]
                && let Some((table, id)) = self.catalog.index(schema, &name.name)?
            {
                let rename = IndexAction::Rename(object_name(to)?.name);
                let actions = vec![(AlterAction::Index(id, rename), None)];
                return Ok(Statement::AlterTable { table, actions });
            }
            if let Some(renamed) = self.renamed_sequence(&name, &alter.operations)? {
                return Ok(renamed);
            }
            if let Some(statement) = self.altered_view(&name, &alter.operations)? {
                return Ok(Statement::View(statement));
            }
            if alter.if_exists {
                return Ok(skipped(&name.name));
            }
            return Err(self.missing_table(schema, &name.name));
        };
        refuse_alteration(&table, &alter.operations)?;
        let mut alteration = Alteration::new(table);
        for operation in &alter.operations {
            self.alter_action(&mut alteration, operation)?;
        }
        Ok(Statement::AlterTable { table: alteration.table, actions: alteration.actions })
    }

    /// ALTER TABLE … ALTER CONSTRAINT.
    pub(crate) fn alter_constraint(
        &mut self,
        table: &QualifiedName,
        if_exists: bool,
        name: &str,
        deferral: Deferral,
    ) -> Result<Statement> {
        let schema = table.schema.as_deref();
        let Some(found) = self.catalog.table(schema, &table.name, CatalogAt::Statement)? else {
            if if_exists {
                return Ok(skipped(&table.name));
            }
            return Err(self.missing_table(schema, &table.name));
        };
        let action = AlterAction::AlterConstraint { name: name.to_owned(), deferral };
        Ok(Statement::AlterTable { table: found, actions: vec![(action, None)] })
    }

    fn alter_action(
        &mut self,
        alteration: &mut Alteration,
        operation: &ast::AlterTableOperation,
    ) -> Result<()> {
        use ast::AlterTableOperation as O;
        let table = alteration.table.clone();
        let column = |name: &ast::Ident| {
            let text = ident(name);
            table.column(&text).map(|(position, _)| position).ok_or_else(|| {
                let message =
                    format!("column \"{text}\" of relation \"{}\" does not exist", table.name);
                SqlError::new(SqlState::UndefinedColumn, message).at(ident_position(name))
            })
        };
        let action = match operation {
            O::AddColumn { if_not_exists, column_def, .. } => {
                return self.add_column(alteration, column_def, *if_not_exists);
            }
            O::AddConstraint { constraint, not_valid } => {
                match constraint {
                    ast::TableConstraint::PrimaryKeyUsingIndex(using) => {
                        self.using_index(&mut alteration.definition, Some(&table), using, true)?;
                    }
                    ast::TableConstraint::UniqueUsingIndex(using) => {
                        self.using_index(&mut alteration.definition, Some(&table), using, false)?;
                    }
                    _ => self.constraint(&mut alteration.definition, constraint)?,
                }
                if *not_valid {
                    match alteration.definition.constraints.last_mut() {
                        Some(ConstraintSpec::ForeignKey(key)) => key.not_valid = true,
                        Some(ConstraintSpec::Check { not_valid, .. }) => *not_valid = true,
                        _ => return Err(never_not_valid(constraint)),
                    }
                }
                return self.add_constraints(alteration);
            }
            O::ValidateConstraint { name } => {
                return self.validate_constraint(alteration, ident(name));
            }
            O::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                let cascade = *drop_behavior == Some(ast::DropBehavior::Cascade);
                for name in column_names {
                    match column(name) {
                        Ok(position) => {
                            let drop = AlterAction::DropColumn { position, cascade };
                            alteration.actions.push((drop, None));
                        }
                        Err(_) if *if_exists => {}
                        Err(error) => return Err(error),
                    }
                }
                return Ok(());
            }
            O::DropConstraint { if_exists, name, drop_behavior } => {
                let text = ident(name);
                if !alteration.definition.taken.contains(&text) {
                    if *if_exists {
                        return Ok(());
                    }
                    let message = format!(
                        "constraint \"{text}\" of relation \"{}\" does not exist",
                        table.name
                    );
                    return Err(
                        SqlError::new(SqlState::UndefinedObject, message).at(ident_position(name))
                    );
                }
                let cascade = *drop_behavior == Some(ast::DropBehavior::Cascade);
                AlterAction::DropConstraint { name: text, cascade }
            }
            O::RenameColumn { old_column_name, new_column_name } => {
                let position = column(old_column_name);
                return self.rename_column(alteration, old_column_name, position, new_column_name);
            }
            O::RenameConstraint { old_name, new_name } => {
                let (name, to) = (ident(old_name), ident(new_name));
                AlterAction::RenameConstraint { name, to }
            }
            O::RenameTable { table_name: ast::RenameTableNameKind::To(name) } => {
                let new = object_name(name)?.name;
                let rename = AlterAction::RenameTable(new.clone());
                return self.rename(alteration, rename, Renaming::Table, &new);
            }
            O::AlterColumn { column_name, op } => {
                let position = column(column_name)?;
                let place = ident_position(column_name);
                return self.alter_column(alteration, position, place, op);
            }
            O::OwnerTo { new_owner } => return self.check_owner(new_owner),
            other => {
                let text = other.to_string();
                let brief: String = text.chars().take(40).collect();
                return Err(SqlError::unsupported(format!("ALTER TABLE ... {brief}")));
            }
        };
        alteration.actions.push((action, None));
        Ok(())
    }

    /// OWNER TO: everything belongs to one role.
    fn check_owner(&self, owner: &ast::Owner) -> Result<()> {
        let (name, position) = match owner {
            ast::Owner::Ident(name) => (ident(name), Some(ident_position(name))),
            ast::Owner::SessionUser => (self.eval.session_user.to_string(), None),
            ast::Owner::CurrentRole | ast::Owner::CurrentUser => (self.eval.user.to_string(), None),
        };
        if name == OWNER {
            return Ok(());
        }
        let error = SqlError::unsupported(format!("ALTER TABLE ... OWNER TO {name}"))
            .with_hint(format!("The owner of every table is {OWNER}."));
        Err(match position {
            Some(position) => error.at(position),
            None => error,
        })
    }

    fn rename_column(
        &mut self,
        alteration: &mut Alteration,
        old: &ast::Ident,
        position: Result<usize>,
        new: &ast::Ident,
    ) -> Result<()> {
        let table = alteration.table.clone();
        let position = position.map_err(|error| {
            let message = format!("column \"{}\" does not exist", ident(old));
            SqlError { message, position: None, ..error }
        })?;
        let new = ident(new);
        if table.column(&new).is_some() {
            return Err(exists(&new, &table.name));
        }
        if let Some(view) = self.renamed_filling(&table, position, &new)? {
            let respell = AlterAction::RespellQuery(Box::new(view));
            alteration.actions.push((respell, None));
        }
        let rename = AlterAction::RenameColumn(position, new.clone());
        self.rename(alteration, rename, Renaming::Column(position), &new)
    }

    /// A renaming, and the CHECKs that name what is renamed anew: they are kept as text.
    pub(crate) fn rename(
        &mut self,
        alteration: &mut Alteration,
        action: AlterAction,
        renaming: Renaming,
        new: &str,
    ) -> Result<()> {
        let table = alteration.table.clone();
        let mut changed = Vec::new();
        for check in &table.checks {
            let condition = self.renamed_in(&check.condition, &table, renaming, new)?;
            if condition != check.condition {
                changed.push((check.name.clone(), condition));
            }
        }
        let mut respelled = Vec::new();
        for term in &table.terms {
            if let Some((sql, shown)) = self.respelled(term, &table, renaming, new)? {
                respelled.push(AlterAction::RespellTerm { id: term.id, sql, shown });
            }
        }
        alteration.actions.push((action, None));
        alteration.actions.extend(respelled.into_iter().map(|action| (action, None)));
        for (name, condition) in changed {
            alteration.actions.push((AlterAction::RespellCheck { name, condition }, None));
        }
        Ok(())
    }

    fn alter_column(
        &mut self,
        alteration: &mut Alteration,
        position: usize,
        place: u32,
        operation: &ast::AlterColumnOperation,
    ) -> Result<()> {
        use ast::AlterColumnOperation as O;
        let entry = match operation {
            O::SetNotNull => {
                let name = alteration.table.columns[position].name.clone();
                let plan = self.null_rows(alteration, &[name]);
                (AlterAction::SetNotNull(position, true), Some(plan))
            }
            O::DropNotNull => {
                check_may_be_null(&alteration.table, position)?;
                (AlterAction::SetNotNull(position, false), None)
            }
            O::SetDefault { value } => {
                check_may_default(&alteration.table, position)?;
                let spec = alteration.definition.columns[position].clone();
                let text = self.default_expr(&spec, value)?;
                return self.set_default(alteration, position, Some(text));
            }
            O::DropDefault => {
                check_may_default(&alteration.table, position)?;
                return self.set_default(alteration, position, None);
            }
            O::SetDataType { data_type, using, .. } => {
                return self.set_type(alteration, position, data_type, using.as_ref());
            }
            O::AddGenerated { generated_as, .. } => {
                let always = *generated_as == Some(ast::GeneratedAs::Always);
                let entry = self.add_identity(alteration, position, place, always)?;
                alteration.actions.push((entry, None));
                return Ok(());
            }
        };
        alteration.actions.push(entry);
        Ok(())
    }

    fn add_column(
        &mut self,
        alteration: &mut Alteration,
        column: &ast::ColumnDef,
        if_not_exists: bool,
    ) -> Result<()> {
        let name = ident(&column.name);
        if alteration.definition.columns.iter().any(|spec| spec.name == name) {
            if if_not_exists {
                return Ok(());
            }
            return Err(exists(&name, &alteration.table.name).at(ident_position(&column.name)));
        }
        self.column(&mut alteration.definition, column)?;
        let mut spec = alteration.definition.columns.last().expect("just added").clone();
        let written = column.options.iter().find_map(|option| match &option.option {
            ast::ColumnOption::Default(expr) => Some(expr),
            _ => None,
        });
        let default = match written {
            Some(expr) => Some(self.bound_default(&spec, expr)?),
            None if super::stored::has_domain_default(spec.ty) && spec.sequence.is_none() => {
                Some(self.default_of(&column_of_spec(&spec))?)
            }
            None => None,
        };
        let generation = column.options.iter().find_map(|option| match &option.option {
            ast::ColumnOption::Generated { generation_expr: Some(expr), .. } => Some(expr),
            _ => None,
        });
        let mut default = default;
        let (fill, held) = match (generation, &default) {
            (Some(expr), _) => {
                let (plan, named) = self.existing_rows(alteration);
                drop(plan);
                let fill = self.fill(alteration, &named, |binder| binder.expr(expr))?;
                spec.stored = Some(super::qualified::qualified(expr, &fill).to_string());
                let column = column_of_spec(&spec);
                let fill = self.assign(fill, &column)?;
                (Some(fill), None)
            }
            // Each row gets its own.
            (None, Some(value)) if !is_stable(value) => (default.take(), None),
            (None, Some(value)) => (None, Some(value.clone())),
            (None, None) => (None, Some(Expr::constant(Value::Null, spec.ty))),
        };
        // What rows hold that get a value of their own is checked while they do.
        let is_known = held.is_some() && spec.sequence.is_none();
        let unknown = Expr::constant(Value::Null, spec.ty);
        alteration.added.push(Named { name: name.clone(), expr: held.unwrap_or(unknown) });
        let refuses_null = spec.ty.as_domain().and_then(driftdb_types::UserType::domain);
        let refuses_null = spec.not_null || refuses_null.is_some_and(|domain| domain.not_null);
        let violation =
            if refuses_null && is_known { Some(self.null_rows(alteration, &[name])) } else { None };
        let action = AlterAction::AddColumn { column: spec, default, fill, if_not_exists };
        alteration.actions.push((action, violation));
        self.column_constraints(&mut alteration.definition, column)?;
        self.add_constraints(alteration)
    }

    /// Turns the constraints collected since last time into actions.
    pub(crate) fn add_constraints(&mut self, alteration: &mut Alteration) -> Result<()> {
        for constraint in std::mem::take(&mut alteration.definition.constraints) {
            let violation = match &constraint {
                ConstraintSpec::PrimaryKey { columns, .. } => {
                    Some(self.null_rows(alteration, columns))
                }
                // They are found while it is added.
                ConstraintSpec::Unique { .. } | ConstraintSpec::ForeignKey(_) => None,
                ConstraintSpec::UsingIndex { primary: false, .. } => None,
                ConstraintSpec::UsingIndex { index, .. } => {
                    let names = key_names(&alteration.table, *index);
                    Some(self.null_rows(alteration, &names))
                }
                ConstraintSpec::Check { not_valid: true, .. } => None,
                ConstraintSpec::Check { condition, .. } => {
                    Some(self.failing_rows(alteration, condition)?)
                }
            };
            alteration.actions.push((AlterAction::AddConstraint(constraint), violation));
        }
        Ok(())
    }

    /// VALIDATE CONSTRAINT: of a CHECK that was not, the rows are looked at.
    fn validate_constraint(&mut self, alteration: &mut Alteration, name: String) -> Result<()> {
        let table = alteration.table.clone();
        let check = table.checks.iter().find(|check| check.name == name);
        let violation = match check.filter(|check| !check.validated) {
            Some(check) => Some(self.failing_rows(alteration, &check.condition)?),
            None => None,
        };
        alteration.actions.push((AlterAction::ValidateConstraint(name), violation));
        Ok(())
    }

    /// A scan of the existing rows, and its columns, added ones included.
    pub(crate) fn existing_rows(&mut self, alteration: &Alteration) -> (LogicalPlan, Vec<Named>) {
        let ids = self.row_ids(&alteration.table);
        let mut named = super::stored::named_row(&alteration.table, &ids);
        named.extend(alteration.added.iter().cloned());
        let columns =
            ids.into_iter().enumerate().map(|(position, id)| ScanColumn { id, position }).collect();
        let table = alteration.table.clone();
        let (at, key) = (ReadAt::Statement, None);
        let temporal = Temporal::default();
        (LogicalPlan::Scan { table, at, columns, key, temporal }, named)
    }

    /// A row with NULL in one of the columns.
    pub(crate) fn null_rows(&mut self, alteration: &Alteration, columns: &[String]) -> LogicalPlan {
        let (scan, named) = self.existing_rows(alteration);
        let tests = named
            .into_iter()
            .filter(|column| columns.contains(&column.name))
            .map(|column| Expr::IsNull(Box::new(column.expr)))
            .collect();
        one_row(scan, any_of(tests))
    }

    /// A row for which a condition is false.
    pub(crate) fn failing_rows(
        &mut self,
        alteration: &Alteration,
        condition: &str,
    ) -> Result<LogicalPlan> {
        let (scan, named) = self.existing_rows(alteration);
        let name = alteration.table.name.clone();
        let condition = self.condition_text(condition, &name, named)?;
        Ok(one_row(scan, Expr::Not(Box::new(condition))))
    }
}

/// The names of an index's columns.
fn key_names(table: &Table, index: driftdb_query::IndexId) -> Vec<String> {
    let columns = table.index(index).map_or(&[][..], |index| &index.columns);
    let columns = columns.iter().filter_map(|key| table.position(key.column));
    columns.map(|position| table.columns[position].name.clone()).collect()
}

fn never_not_valid(constraint: &ast::TableConstraint) -> SqlError {
    let kind = match constraint {
        ast::TableConstraint::PrimaryKey(_) | ast::TableConstraint::PrimaryKeyUsingIndex(_) => {
            "PRIMARY KEY"
        }
        _ => "UNIQUE",
    };
    let message = format!("{kind} constraints cannot be marked NOT VALID");
    SqlError::new(SqlState::FeatureNotSupported, message)
}

pub(crate) fn one_row(scan: LogicalPlan, predicate: Expr) -> LogicalPlan {
    let filter = LogicalPlan::Filter { input: Box::new(scan), predicate };
    let one = Expr::constant(Value::Int8(1), driftdb_types::DataType::Int8);
    LogicalPlan::Limit { input: Box::new(filter), count: Some(one), offset: None }
}

/// ALTER TABLE IF EXISTS of a table that does not.
pub(crate) fn skipped(name: &str) -> Statement {
    let notice = format!("relation \"{name}\" does not exist, skipping");
    Statement::Drop(DropObjects { notices: vec![notice], ..DropObjects::default() })
}

fn exists(column: &str, table: &str) -> SqlError {
    let message = format!("column \"{column}\" of relation \"{table}\" already exists");
    SqlError::new(SqlState::DuplicateColumn, message)
}
