//! Rows as values: ROW(…), and the columns of rows.
//!
//! Source: PostgreSQL 15, src/backend/parser/parse_expr.c and parse_func.c, whose texts these are.

use std::sync::Arc;

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{DataType, Field, Record, RowOperation, SqlState, Value};
use sqlparser::ast;

use super::Binder;
use super::names::object_name;
use super::whole_row::{STAR, starred};

/// No row has more columns.
const MOST_COLUMNS: usize = 1664;

impl Binder<'_> {
    /// ROW(…): its columns are called f1, f2 and so on.
    pub(crate) fn row_value(&mut self, fields: &[&ast::Expr]) -> Result<Expr> {
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            if let ast::Expr::QualifiedWildcard(name, _) = field {
                values.extend(self.columns_under(name)?);
                continue;
            }
            self.fields_of(field, &mut values)?;
        }
        self.row_of(values)
    }

    /// A field of ROW(…), or those that `(row).*` stands for.
    fn fields_of(&mut self, field: &ast::Expr, values: &mut Vec<Expr>) -> Result<()> {
        match starred(field) {
            Some(row) => {
                let columns = self.columns_of(&row)?;
                values.extend(columns.into_iter().map(|column| column.expr));
            }
            None => {
                let bound = self.expr(field)?;
                values.push(self.decided(bound)?);
            }
        }
        Ok(())
    }

    /// ROW(…) as it is called.
    pub(crate) fn row_call(&mut self, list: &ast::FunctionArgumentList) -> Result<Expr> {
        let mut values = Vec::with_capacity(list.args.len());
        for arg in &list.args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::QualifiedWildcard(name)) => {
                    values.extend(self.columns_under(name)?);
                }
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard) => {
                    let columns = self.scope().visible.clone();
                    columns.iter().for_each(|column| self.note_used(&column.expr));
                    values.extend(columns.into_iter().map(|column| column.expr));
                }
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(field)) => {
                    self.fields_of(field, &mut values)?;
                }
                _ => return Err(SqlError::unsupported("a named field of a row")),
            }
        }
        self.row_of(values)
    }

    /// A row of values, which are called f1, f2 and so on.
    fn row_of(&mut self, values: Vec<Expr>) -> Result<Expr> {
        if self.recorder.is_some() {
            return Err(SqlError::unsupported("a row value in a view"));
        }
        if values.len() > MOST_COLUMNS {
            let message = format!("ROW expressions can have at most {MOST_COLUMNS} entries");
            return Err(SqlError::new(SqlState::TooManyColumns, message));
        }
        let columns = values.iter().zip(1..).map(|(value, number)| Field {
            number,
            name: format!("f{number}").into(),
            ty: value.ty(),
            typmod: self.typmod(value),
        });
        let columns: Arc<[Field]> = columns.collect();
        let nulls = vec![Value::Null; columns.len()];
        let shape = Value::record(Record::anonymous(columns, nulls));
        let shape = Expr::constant(shape, DataType::Record);
        let args = std::iter::once(shape).chain(values).collect();
        Ok(Expr::Call { function: RowOperation::Make.function(), args, ty: DataType::Record })
    }

    /// `(row).column`
    pub(crate) fn column_of_row(&mut self, row: Expr, name: &str) -> Result<Expr> {
        if name == STAR {
            let message = "row expansion via \"*\" is not supported here";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let undefined = |message| Err(SqlError::new(SqlState::UndefinedColumn, message));
        // What was just made need not be made.
        if let Expr::Call { function, args, .. } = &row
            && *function == RowOperation::Make.function()
        {
            let place = name.strip_prefix('f').and_then(|number| number.parse::<usize>().ok());
            return match place.filter(|place| *place > 0).and_then(|place| args.get(place)) {
                Some(value) => Ok(value.clone()),
                None => {
                    undefined(format!("could not identify column \"{name}\" in record data type"))
                }
            };
        }
        let ty = row.ty();
        let Some(fields) = self.shape_of(&row) else {
            if ty == DataType::Record {
                return undefined(format!(
                    "could not identify column \"{name}\" in record data type"
                ));
            }
            let message = format!(
                "column notation .{name} applied to type {ty}, which is not a composite type"
            );
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        };
        let Some(place) = fields.iter().position(|field| *field.name == *name) else {
            return undefined(match ty {
                DataType::Record => {
                    format!("could not identify column \"{name}\" in record data type")
                }
                ty => format!("column \"{name}\" not found in data type {ty}"),
            });
        };
        if self.recorder.is_some() {
            return Err(SqlError::unsupported("a column of a row value in a view"));
        }
        Ok(self.column_at(row, place, &fields[place]))
    }

    /// The columns of a relation, for `t.*` in ROW(…).
    fn columns_under(&mut self, name: &ast::ObjectName) -> Result<Vec<Expr>> {
        let parsed = object_name(name)?;
        if let Some(fields) = self.record_fields(&parsed)? {
            return Ok(fields.into_iter().map(|field| field.expr).collect());
        }
        let schema = parsed.schema.as_deref();
        let (level, index) = self.find_relation(schema, &parsed.name, parsed.position)?;
        let columns = &self.scopes[level].relations[index].columns;
        let columns: Vec<Expr> = columns.iter().map(|column| column.expr.clone()).collect();
        columns.iter().for_each(|column| self.note(level, column, parsed.position));
        Ok(columns)
    }

    /// `row IS [NOT] NULL`
    pub(crate) fn row_is_null(&mut self, row: Expr, negated: bool) -> Expr {
        let operation = if negated { RowOperation::IsNotNull } else { RowOperation::IsNull };
        Expr::Call { function: operation.function(), args: vec![row], ty: DataType::Bool }
    }
}
