//! Names that are variables of a procedural language, or arguments of a function.

use driftdb_query::{Expr, Precedence, Result, SqlError};
use driftdb_types::{DataType, SqlState};

use super::Binder;
use super::names::ObjectName;
use super::target::{NO_META, Target};

impl Binder<'_> {
    /// The parameter that names stand for, if they are a variable's.
    pub(crate) fn variable(&mut self, names: &[String]) -> Result<Option<Expr>> {
        let Some(variables) = &mut self.variables else { return Ok(None) };
        let Some((index, ty)) = variables.find(names)? else { return Ok(None) };
        Ok(Some(self.parameter(index, ty)))
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
                    .with_detail(
                        "It could refer to either a PL/pgSQL variable or a table column.",
                    )
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
        let Some(fields) = variables.fields(&name.name)? else { return Ok(None) };
        let targets = fields.into_iter().map(|(name, (index, ty))| {
            let expr = self.parameter(index, ty);
            Target { name, expr, meta: NO_META }
        });
        Ok(Some(targets.collect()))
    }
}
