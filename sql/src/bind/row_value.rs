//! Rows as values: ROW(…), and the columns of rows.
//!
//! Source: PostgreSQL 15, src/backend/parser/parse_expr.c and parse_func.c, whose texts these are.

use std::sync::Arc;

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{DataType, Field, Record, RowOperation, SqlState, Value};
use sqlparser::ast;

use super::Binder;

/// No row has more columns.
const MOST_COLUMNS: usize = 1664;

impl Binder<'_> {
    /// ROW(…): its columns are called f1, f2 and so on.
    pub(crate) fn row_value(&mut self, fields: &[&ast::Expr]) -> Result<Expr> {
        if self.recorder.is_some() {
            return Err(SqlError::unsupported("a row value in a view"));
        }
        if fields.len() > MOST_COLUMNS {
            let message = format!("ROW expressions can have at most {MOST_COLUMNS} entries");
            return Err(SqlError::new(SqlState::TooManyColumns, message));
        }
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            let bound = self.expr(field)?;
            values.push(self.decided(bound)?);
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
        if ty == DataType::Record {
            return undefined(format!("could not identify column \"{name}\" in record data type"));
        }
        let Some(fields) = ty.fields() else {
            let message = format!(
                "column notation .{name} applied to type {ty}, which is not a composite type"
            );
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        };
        let Some(place) = fields.iter().position(|field| *field.name == *name) else {
            return undefined(format!("column \"{name}\" not found in data type {ty}"));
        };
        if self.recorder.is_some() {
            return Err(SqlError::unsupported("a column of a row value in a view"));
        }
        let at = Expr::constant(Value::Int4(place as i32), DataType::Int4);
        let (function, ty) = (RowOperation::Column.function(), fields[place].ty);
        Ok(Expr::Call { function, args: vec![row, at], ty })
    }

    /// `row IS [NOT] NULL`
    pub(crate) fn row_is_null(&mut self, row: Expr, negated: bool) -> Expr {
        let operation = if negated { RowOperation::IsNotNull } else { RowOperation::IsNull };
        Expr::Call { function: operation.function(), args: vec![row], ty: DataType::Bool }
    }
}
