//! Names that are variables of a procedural language, or arguments of a function.

use std::sync::Arc;

use driftdb_query::{Expr, Precedence, Result, SqlError};
use driftdb_types::{DataType, Field, Record, SqlState, Value};
use sqlparser::ast;

use super::Binder;
use super::names::{ObjectName, object_name};
use super::target::{NO_META, Target};
use super::whole_row::STAR;

impl Binder<'_> {
    /// The parameter that names stand for, if they are a variable's.
    pub(crate) fn variable(&mut self, names: &[String]) -> Result<Option<Expr>> {
        let Some(variables) = &mut self.variables else { return Ok(None) };
        let Some((index, ty)) = variables.find(names)? else { return Ok(None) };
        Ok(Some(self.parameter(index, ty)))
    }

    /// The parameter that names stand for, or a column of one that is a row.
    pub(crate) fn variable_or_column(&mut self, names: &[String]) -> Result<Option<Expr>> {
        if let Some(variable) = self.variable(names)? {
            return Ok(Some(variable));
        }
        let [row @ .., column] = names else { return Ok(None) };
        let row = match (self.variable(row)?, row) {
            (Some(row), _) => row,
            (None, [name]) => match self.record_variable(name)? {
                Some(row) => row,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        if column == STAR {
            return Ok(Some(row));
        }
        if self.shape_of(&row).is_none() {
            return Ok(None);
        }
        self.catalog.is_asked()?;
        self.column_of_row(row, column).map(Some)
    }

    /// A variable that is a record, as a row.
    pub(crate) fn record_variable(&mut self, name: &str) -> Result<Option<Expr>> {
        let Some(variables) = &mut self.variables else { return Ok(None) };
        let Some(found) = variables.fields(name)? else { return Ok(None) };
        let fields = found.iter().zip(1..).map(|((name, (_, ty)), number)| Field {
            number,
            name: name.as_str().into(),
            ty: *ty,
            typmod: -1,
        });
        let fields: Arc<[Field]> = fields.collect();
        let values = found.into_iter().map(|(_, (index, ty))| self.parameter(index, ty));
        let values: Vec<Expr> = values.collect();
        Ok(Some(super::whole_row::row_of_shape(
            Record::anonymous(fields, vec![Value::Null; values.len()]),
            Expr::truth(),
            values,
        )))
    }

    fn parameter(&mut self, index: usize, ty: DataType) -> Expr {
        if self.param_types.len() <= index {
            self.param_types.resize(index + 1, DataType::Unknown);
        }
        self.param_types[index] = ty;
        Expr::Param { index, ty }
    }

    /// Of a column and a variable of one name, the one that is meant.
    pub(crate) fn or_variable(
        &mut self,
        column: Option<Expr>,
        names: &[String],
        position: u32,
    ) -> Result<Option<Expr>> {
        let precedence = match &self.variables {
            Some(variables) => variables.precedence(),
            None => return Ok(column),
        };
        if column.is_some() && precedence == Precedence::Column {
            return Ok(column);
        }
        let variable = self.variable(names)?;
        match (column, variable) {
            (Some(_), Some(_)) if precedence == Precedence::Neither => {
                let message = format!("column reference \"{}\" is ambiguous", names.join("."));
                Err(SqlError::new(SqlState::AmbiguousColumn, message)
                    .with_detail("It could refer to either a PL/pgSQL variable or a table column.")
                    .at(position))
            }
            (_, Some(variable)) => Ok(Some(variable)),
            (column, None) => Ok(column),
        }
    }

    /// The fields of a record, for `record.*`; `None` if a relation is meant.
    pub(crate) fn record_fields(&mut self, name: &ObjectName) -> Result<Option<Vec<Target>>> {
        if name.schema.is_some()
            || self.variables.is_none()
            || self.find_relation(None, &name.name, name.position).is_ok()
        {
            return Ok(None);
        }
        let Some(variables) = &mut self.variables else { return Ok(None) };
        let Some(fields) = variables.fields(&name.name)? else {
            // An argument that is a row.
            let row = self.variable(std::slice::from_ref(&name.name))?;
            return match row {
                Some(row) if self.shape_of(&row).is_some() => {
                    self.catalog.is_asked()?;
                    self.targets_of(row).map(Some)
                }
                _ => Ok(None),
            };
        };
        let targets = fields.into_iter().map(|(name, (index, ty))| {
            let expr = self.parameter(index, ty);
            Target { name, expr, meta: NO_META }
        });
        Ok(Some(targets.collect()))
    }

    /// VALUES in which each `record.*` is its fields; `None` where there is none.
    pub(crate) fn spread_records(
        &mut self,
        values: &ast::Values,
    ) -> Result<Option<Vec<Vec<ast::Expr>>>> {
        let is_spread = |expr: &ast::Expr| matches!(expr, ast::Expr::QualifiedWildcard(..));
        if self.variables.is_none()
            || !values.rows.iter().flat_map(|row| &row.content).any(is_spread)
        {
            return Ok(None);
        }
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            let mut cells = Vec::new();
            for cell in &row.content {
                let ast::Expr::QualifiedWildcard(name, _) = cell else {
                    cells.push(cell.clone());
                    continue;
                };
                let name = object_name(name)?;
                let Some(variables) = &mut self.variables else { continue };
                let Some(fields) = variables.fields(&name.name)? else {
                    let message = format!("missing FROM-clause entry for table \"{}\"", name.name);
                    return Err(SqlError::new(SqlState::UndefinedTable, message));
                };
                let part = |text: &str| ast::Ident::with_quote('"', text);
                cells.extend(fields.iter().map(|(field, _)| {
                    ast::Expr::CompoundIdentifier(vec![part(&name.name), part(field)])
                }));
            }
            rows.push(cells);
        }
        Ok(Some(rows))
    }
}
