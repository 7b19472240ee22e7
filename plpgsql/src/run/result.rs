//! What a function gives back.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState, Value};

use super::scope::Place;
use super::{Flow, Interpreter, MAX_SET_BYTES, Output, Position, size_bytes, too_large};
use crate::ast::{Source, Sql};
use crate::host::{Column, Host};

fn mismatch(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::DatatypeMismatch, message)
}

impl<H: Host> Interpreter<'_, H> {
    /// The OUT arguments' values.
    fn out_row(&self) -> Vec<Value> {
        self.out.iter().map(|slot| self.value_at(Place { slot: *slot, field: None })).collect()
    }

    pub(super) fn return_value(&mut self, value: Option<&Sql>) -> Result<Flow> {
        let returns = &self.returns;
        let Some(sql) = value else {
            let is_free = returns.is_set
                || returns.has_out
                || returns.is_procedure
                || returns.columns.is_empty();
            if !is_free {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "missing expression at or near \";\"",
                ));
            }
            return Ok(Flow::Return);
        };
        if returns.is_set {
            let message = "RETURN cannot have a parameter in function returning set";
            return Err(mismatch(message).with_hint("Use RETURN NEXT or RETURN QUERY."));
        }
        if returns.is_procedure {
            let message = "RETURN cannot have a parameter in a procedure";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        if returns.has_out {
            let message = "RETURN cannot have a parameter in function with OUT parameters";
            return Err(mismatch(message));
        }
        if returns.columns.is_empty() && !returns.is_trigger && !returns.is_row {
            let message = "RETURN cannot have a parameter in function returning void";
            return Err(mismatch(message));
        }
        let row = if self.returns.is_row || self.returns.is_trigger {
            let (columns, row) = self.row_value(sql)?;
            match row {
                Some(row) if !self.returns.is_trigger => {
                    Some(self.fitted(columns.as_deref().unwrap_or_default(), row)?)
                }
                Some(row) => {
                    Some(self.fitted_trigger(columns.as_deref().unwrap_or_default(), row)?)
                }
                None => None,
            }
        } else {
            let column = self.returns.columns[0].clone();
            let (value, ty) = self.value(sql)?;
            Some(vec![self.host.convert(value, ty, column.ty, column.typmod)?])
        };
        self.returned = Some(row);
        Ok(Flow::Return)
    }

    /// A row as the result has it; a record's result takes any.
    fn fitted(&mut self, from: &[Column], row: Vec<Value>) -> Result<Vec<Value>> {
        let columns = self.returns.columns.clone();
        if columns.is_empty() {
            return Ok(row);
        }
        if columns.len() != row.len() {
            return Err(mismatch("returned record type does not match expected record type")
                .with_detail(format!(
                    "Number of returned columns ({}) does not match expected column count ({}).",
                    row.len(),
                    columns.len()
                )));
        }
        let mut fitted = Vec::with_capacity(row.len());
        for (at, (value, column)) in row.into_iter().zip(&columns).enumerate() {
            let ty = from.get(at).map_or(column.ty, |column| column.ty);
            fitted.push(self.host.convert(value, ty, column.ty, column.typmod)?);
        }
        Ok(fitted)
    }

    /// A trigger's row must be one of the table.
    fn fitted_trigger(&mut self, from: &[Column], row: Vec<Value>) -> Result<Vec<Value>> {
        if !self.returns.columns.is_empty() && self.returns.columns.len() != row.len() {
            let message =
                "returned row structure does not match the structure of the triggering table";
            return Err(mismatch(message));
        }
        self.fitted(from, row)
    }

    pub(super) fn return_next(&mut self, value: Option<&Sql>) -> Result<()> {
        if !self.returns.is_set {
            let message = "cannot use RETURN NEXT in a non-SETOF function";
            return Err(mismatch(message));
        }
        let row = match value {
            None if self.returns.has_out => self.out_row(),
            None => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "missing expression at or near \";\"",
                ));
            }
            Some(_) if self.returns.has_out => {
                let message = "RETURN NEXT cannot have a parameter in function with OUT parameters";
                return Err(mismatch(message));
            }
            Some(sql) if self.returns.is_row => {
                let (columns, row) = self.row_value(sql)?;
                match row {
                    Some(row) => self.fitted(columns.as_deref().unwrap_or_default(), row)?,
                    None => vec![Value::Null; self.returns.columns.len()],
                }
            }
            Some(sql) => {
                let column = self.returns.columns[0].clone();
                let (value, ty) = self.value(sql)?;
                vec![self.host.convert(value, ty, column.ty, column.typmod)?]
            }
        };
        self.add(row)
    }

    pub(super) fn return_query(&mut self, source: &Source) -> Result<()> {
        if !self.returns.is_set {
            let message = "cannot use RETURN QUERY in a non-SETOF function";
            return Err(mismatch(message));
        }
        let rows = self.source(source)?;
        self.check_structure(rows.columns.as_deref().unwrap_or_default())?;
        self.row_count = rows.count;
        self.set_found(!rows.rows.is_empty());
        rows.rows.into_iter().try_for_each(|row| self.add(row))
    }

    fn check_structure(&self, from: &[Column]) -> Result<()> {
        let to = &self.returns.columns;
        let message = "structure of query does not match function result type";
        if to.len() != from.len() {
            return Err(mismatch(message).with_detail(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                from.len(),
                to.len()
            )));
        }
        for (at, (from, to)) in from.iter().zip(to).enumerate() {
            if from.ty != to.ty && from.ty != DataType::Unknown {
                return Err(mismatch(message).with_detail(format!(
                    "Returned type {} does not match expected type {} in column {}.",
                    from.ty,
                    to.ty,
                    at + 1
                )));
            }
        }
        Ok(())
    }

    fn add(&mut self, row: Vec<Value>) -> Result<()> {
        self.set_bytes += size_bytes(&row);
        if self.set_bytes > MAX_SET_BYTES {
            return Err(too_large());
        }
        self.set.push(row);
        Ok(())
    }

    /// What the call gives.
    pub(super) fn output(&mut self) -> Result<Output> {
        if self.returns.is_set {
            return Ok(Output::Set(std::mem::take(&mut self.set)));
        }
        if !self.out.is_empty() {
            return Ok(Output::Row(Some(self.out_row())));
        }
        if self.returns.columns.is_empty() && !self.returns.is_row && !self.returns.is_trigger {
            return Ok(Output::Row(Some(Vec::new())));
        }
        match self.returned.take() {
            Some(row) => Ok(Output::Row(row)),
            None => {
                self.at = Position::Exit;
                let what = if self.returns.is_trigger { "trigger procedure" } else { "function" };
                let message = format!("control reached end of {what} without RETURN");
                Err(SqlError::new(SqlState::Other(*b"2F005"), message))
            }
        }
    }
}
