//! Constraints: their columns, conditions and names.

use driftdb_query::{CatalogAt, ConstraintSpec, Deferral, Expr, KeyExtra, Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::create::{Definition, check_indexable, has_subquery};
use super::names::{MAX_NAME_BYTES, ident, ident_position, truncate};
use super::position::{Placed, bare};
use super::scope::{Clause, Named, Scope};
use super::stored::relation;

impl Binder<'_> {
    /// The constraints in a column's definition.
    pub(crate) fn column_constraints(
        &mut self,
        definition: &mut Definition,
        column: &ast::ColumnDef,
    ) -> Result<()> {
        let name = ident(&column.name);
        for option in &column.options {
            let given = option.name.as_ref();
            match &option.option {
                ast::ColumnOption::PrimaryKey(key) => {
                    let deferral = deferral(key.characteristics.as_ref())?;
                    self.primary_key(
                        definition,
                        given,
                        vec![name.clone()],
                        deferral,
                        KeyExtra::default(),
                    )?;
                }
                ast::ColumnOption::Unique(key) => {
                    let deferral = deferral(key.characteristics.as_ref())?;
                    self.unique(
                        definition,
                        given,
                        vec![name.clone()],
                        deferral,
                        KeyExtra::default(),
                    )?;
                }
                ast::ColumnOption::ForeignKey(key) => {
                    self.foreign_key(definition, given, key, vec![name.clone()])?;
                }
                ast::ColumnOption::Check(check) => {
                    self.check(
                        definition,
                        given.or(check.name.as_ref()),
                        &check.expr,
                        Some(&name),
                    )?;
                }
                ast::ColumnOption::Generated { generation_expr: Some(expr), .. } => {
                    let bound = self.check_generation(definition, &name, expr)?;
                    let text = super::qualified::qualified(expr, &bound).to_string();
                    let spec = definition.columns.iter_mut().find(|spec| spec.name == name);
                    if let Some(spec) = spec {
                        spec.stored = Some(text);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A constraint of the table.
    pub(crate) fn constraint(
        &mut self,
        definition: &mut Definition,
        constraint: &ast::TableConstraint,
    ) -> Result<()> {
        match constraint {
            ast::TableConstraint::PrimaryKey(key) => {
                let include = key.include.iter().map(ident).collect();
                let extra = KeyExtra { include, ..KeyExtra::default() };
                let columns = key_columns(&key.columns)?;
                let deferral = deferral(key.characteristics.as_ref())?;
                self.primary_key(definition, key.name.as_ref(), columns, deferral, extra)
            }
            ast::TableConstraint::Unique(key) => {
                let extra = KeyExtra {
                    include: key.include.iter().map(ident).collect(),
                    nulls_equal: key.nulls_distinct == ast::NullsDistinctOption::NotDistinct,
                    options: Vec::new(),
                };
                let columns = key_columns(&key.columns)?;
                let deferral = deferral(key.characteristics.as_ref())?;
                self.unique(definition, key.name.as_ref(), columns, deferral, extra)
            }
            ast::TableConstraint::Check(check) => {
                self.check(definition, check.name.as_ref(), &check.expr, None)
            }
            ast::TableConstraint::ForeignKey(key) => {
                let columns = key.columns.iter().map(ident).collect();
                self.foreign_key(definition, key.name.as_ref(), key, columns)
            }
            ast::TableConstraint::PrimaryKeyUsingIndex(using)
            | ast::TableConstraint::UniqueUsingIndex(using) => {
                self.using_index(definition, None, using, false)
            }
            ast::TableConstraint::Exclude(_) => Err(SqlError::unsupported("EXCLUDE")),
            _ => Err(SqlError::unsupported("this kind of constraint")),
        }
    }

    fn primary_key(
        &mut self,
        definition: &mut Definition,
        name: Option<&ast::Ident>,
        columns: Vec<String>,
        deferral: Deferral,
        extra: KeyExtra,
    ) -> Result<()> {
        if definition.has_primary {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", definition.table);
            let error = SqlError::new(SqlState::InvalidTableDefinition, message);
            return Err(error);
        }
        definition.has_primary = true;
        check_key(definition, &columns, "primary key")?;
        check_included(definition, &extra)?;
        for column in &mut definition.columns {
            column.not_null |= columns.contains(&column.name);
        }
        let name = self.constraint_name(definition, name, &[], "pkey")?;
        definition.constraints.push(ConstraintSpec::PrimaryKey { name, columns, deferral, extra });
        Ok(())
    }

    fn unique(
        &mut self,
        definition: &mut Definition,
        name: Option<&ast::Ident>,
        columns: Vec<String>,
        deferral: Deferral,
        extra: KeyExtra,
    ) -> Result<()> {
        check_key(definition, &columns, "unique")?;
        check_included(definition, &extra)?;
        let named: Vec<String> = columns.iter().chain(&extra.include).cloned().collect();
        let name = self.constraint_name(definition, name, &named, "key")?;
        definition.constraints.push(ConstraintSpec::Unique { name, columns, deferral, extra });
        Ok(())
    }

    fn check(
        &mut self,
        definition: &mut Definition,
        name: Option<&ast::Ident>,
        expr: &ast::Expr,
        column: Option<&String>,
    ) -> Result<()> {
        let columns: Vec<Named> = definition
            .columns
            .iter()
            .map(|spec| {
                let id = self.column_id();
                Named { name: spec.name.clone(), expr: Expr::Column { id, ty: spec.ty } }
            })
            .collect();
        let bound = self.check_over(&definition.table, columns.clone(), expr)?;
        // Named after the column, if there is but one.
        let mut used: Vec<String> = Vec::new();
        super::aggregate::for_each_column(&bound, &mut |id| {
            let name = columns.iter().find(|c| super::scope::column_of(&c.expr) == Some(id));
            if let Some(named) = name
                && !used.contains(&named.name)
            {
                used.push(named.name.clone());
            }
        });
        let about = match (column, &used[..]) {
            (Some(column), _) | (None, [column]) => vec![column.clone()],
            _ => Vec::new(),
        };
        let name = self.constraint_name(definition, name, &about, "check")?;
        let condition = super::qualified::qualified(expr, &bound).to_string();
        let (not_valid, no_inherit) = (false, false);
        let check = ConstraintSpec::Check { name, condition, not_valid, no_inherit };
        definition.constraints.push(check);
        Ok(())
    }

    /// A CHECK's condition, bound over some columns.
    pub(crate) fn check_over(
        &mut self,
        table: &str,
        columns: Vec<Named>,
        expr: &ast::Expr,
    ) -> Result<Expr> {
        let relations = vec![relation(table, columns.clone())];
        self.scopes.push(Scope::with(Clause::Check, relations, columns));
        let bound = self.predicate(expr, "CHECK");
        self.scopes.pop();
        let bound = bound?;
        if has_subquery(&bound) {
            let message = "cannot use subquery in check constraint";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message)).at_expr(expr);
        }
        Ok(bound)
    }

    /// The name that was given, or the one that PostgreSQL would choose: table, columns and a label,
    /// with a number if that is taken.
    pub(crate) fn constraint_name(
        &mut self,
        definition: &mut Definition,
        given: Option<&ast::Ident>,
        columns: &[String],
        label: &str,
    ) -> Result<String> {
        if let Some(given) = given {
            let name = ident(given);
            if definition.taken.contains(&name) {
                let message = format!(
                    "constraint \"{name}\" for relation \"{}\" already exists",
                    definition.table
                );
                return Err(
                    SqlError::new(SqlState::DuplicateObject, message).at(ident_position(given))
                );
            }
            definition.taken.push(name.clone());
            return Ok(name);
        }
        let Definition { schema, table, taken, .. } = &*definition;
        let name = self.free_name(schema, table, columns, label, taken)?;
        definition.taken.push(name.clone());
        Ok(name)
    }

    pub(crate) fn free_name(
        &mut self,
        schema: &str,
        table: &str,
        columns: &[String],
        label: &str,
        taken: &[String],
    ) -> Result<String> {
        let columns = addition(columns);
        for number in 0..10_000_u32 {
            let suffix = if number == 0 { String::new() } else { number.to_string() };
            let name = object_name_of(table, &columns, &format!("{label}{suffix}"));
            let clash = taken.contains(&name)
                || !matches!(label, "check" | "fkey")
                    && (self.catalog.table(Some(schema), &name, CatalogAt::Statement)?.is_some()
                        || self.catalog.index(Some(schema), &name)?.is_some());
            if !clash {
                return Ok(name);
            }
        }
        Err(SqlError::new(SqlState::ProgramLimitExceeded, format!("no free name for \"{table}\"")))
    }
}

/// The names of columns in that of an index or constraint: as many as there is room for.
fn addition(columns: &[String]) -> String {
    let mut out = String::new();
    for column in columns {
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(column);
        if out.len() > MAX_NAME_BYTES {
            break;
        }
    }
    truncate(out)
}

/// `table_columns_label`, the longer of the first two cut until it fits.
fn object_name_of(table: &str, columns: &str, label: &str) -> String {
    let (mut first, mut second) = (table.to_owned(), columns.to_owned());
    let separators = if columns.is_empty() { 1 } else { 2 };
    while first.len() + second.len() + separators + label.len() > MAX_NAME_BYTES {
        let longer = if first.len() > second.len() { &mut first } else { &mut second };
        if longer.pop().is_none() {
            break;
        }
    }
    if second.is_empty() { format!("{first}_{label}") } else { format!("{first}_{second}_{label}") }
}

/// When a constraint is checked, as its characteristics say.
pub(super) fn deferral(given: Option<&ast::ConstraintCharacteristics>) -> Result<Deferral> {
    let Some(given) = given else { return Ok(Deferral::Never) };
    if given.enforced.is_some() {
        return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"ENFORCED\""));
    }
    let deferred = matches!(given.initially, Some(ast::DeferrableInitial::Deferred));
    match (given.deferrable, deferred) {
        (Some(false), true) => Err(SqlError::new(
            SqlState::SyntaxError,
            "constraint declared INITIALLY DEFERRED must be DEFERRABLE",
        )),
        (_, true) => Ok(Deferral::Deferred),
        (Some(true), false) => Ok(Deferral::Immediate),
        (Some(false) | None, false) => Ok(Deferral::Never),
    }
}

/// The names of a key's columns.
fn key_columns(columns: &[ast::IndexColumn]) -> Result<Vec<String>> {
    columns
        .iter()
        .map(|column| match bare(&column.column.expr) {
            ast::Expr::Identifier(name) => Ok(ident(name)),
            other => Err(SqlError::unsupported("a key on an expression")).at_expr(other),
        })
        .collect()
}

fn check_included(definition: &Definition, extra: &KeyExtra) -> Result<()> {
    for column in &extra.include {
        if !definition.columns.iter().any(|spec| spec.name == *column) {
            let message = format!("column \"{column}\" named in key does not exist");
            return Err(SqlError::new(SqlState::UndefinedColumn, message));
        }
    }
    Ok(())
}

fn check_key(definition: &Definition, columns: &[String], kind: &str) -> Result<()> {
    for (index, column) in columns.iter().enumerate() {
        let Some(spec) = definition.columns.iter().find(|spec| spec.name == *column) else {
            let message = format!("column \"{column}\" named in key does not exist");
            return Err(SqlError::new(SqlState::UndefinedColumn, message));
        };
        check_indexable(spec.ty)?;
        if columns[..index].contains(column) {
            let message = format!("column \"{column}\" appears twice in {kind} constraint");
            return Err(SqlError::new(SqlState::DuplicateColumn, message));
        }
    }
    Ok(())
}
