//! Constraints: their columns, conditions and names.

use driftdb_query::{CatalogAt, ConstraintSpec, Deferral, Expr, Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::create::{Definition, check_indexable, has_subquery};
use super::names::{ident, ident_position, truncate};
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
                    self.primary_key(definition, given, vec![name.clone()], deferral)?;
                }
                ast::ColumnOption::Unique(key) => {
                    let deferral = deferral(key.characteristics.as_ref())?;
                    self.unique(definition, given, vec![name.clone()], deferral)?;
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
                    self.check_generation(definition, &name, expr)?;
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
                let columns = key_columns(&key.columns)?;
                let deferral = deferral(key.characteristics.as_ref())?;
                self.primary_key(definition, key.name.as_ref(), columns, deferral)
            }
            ast::TableConstraint::Unique(key) => {
                if key.nulls_distinct == ast::NullsDistinctOption::NotDistinct {
                    return Err(SqlError::unsupported("UNIQUE NULLS NOT DISTINCT"));
                }
                let columns = key_columns(&key.columns)?;
                let deferral = deferral(key.characteristics.as_ref())?;
                self.unique(definition, key.name.as_ref(), columns, deferral)
            }
            ast::TableConstraint::Check(check) => {
                self.check(definition, check.name.as_ref(), &check.expr, None)
            }
            ast::TableConstraint::ForeignKey(key) => {
                let columns = key.columns.iter().map(ident).collect();
                self.foreign_key(definition, key.name.as_ref(), key, columns)
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
    ) -> Result<()> {
        if definition.has_primary {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", definition.table);
            let error = SqlError::new(SqlState::InvalidTableDefinition, message);
            return Err(error);
        }
        definition.has_primary = true;
        check_key(definition, &columns, "primary key")?;
        for column in &mut definition.columns {
            column.not_null |= columns.contains(&column.name);
        }
        let name = self.constraint_name(definition, name, &[], "pkey")?;
        definition.constraints.push(ConstraintSpec::PrimaryKey { name, columns, deferral });
        Ok(())
    }

    fn unique(
        &mut self,
        definition: &mut Definition,
        name: Option<&ast::Ident>,
        columns: Vec<String>,
        deferral: Deferral,
    ) -> Result<()> {
        check_key(definition, &columns, "unique")?;
        let name = self.constraint_name(definition, name, &columns, "key")?;
        definition.constraints.push(ConstraintSpec::Unique { name, columns, deferral });
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
        let condition = expr.to_string();
        definition.constraints.push(ConstraintSpec::Check { name, condition });
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
        let mut base = table.to_owned();
        for column in columns {
            base = format!("{base}_{column}");
        }
        for number in 0..10_000_u32 {
            let suffix = if number == 0 { String::new() } else { number.to_string() };
            let tail = format!("_{label}{suffix}");
            let mut head = base.clone();
            while head.len() + tail.len() > super::names::MAX_NAME_BYTES {
                head.pop();
            }
            let name = truncate(format!("{head}{tail}"));
            let clash = taken.contains(&name)
                || !matches!(label, "check" | "fkey")
                    && (self.catalog.table(Some(schema), &name, CatalogAt::Statement)?.is_some()
                        || self.catalog.index(Some(schema), &name)?.is_some());
            if !clash {
                return Ok(name);
            }
        }
        Err(SqlError::new(SqlState::ProgramLimitExceeded, format!("no free name for \"{base}\"")))
    }
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
