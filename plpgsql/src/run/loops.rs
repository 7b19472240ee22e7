//! Loops.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState, Value};

use super::scope::{Place, Slot};
use super::{Flow, Interpreter, Position};
use crate::ast::{Sql, Statement, Target};
use crate::host::{Column, Host};

/// What a loop does after its body.
enum Turn {
    Again,
    Leave(Flow),
}

/// What a body's end means for the loop around it.
fn turn(flow: Flow, label: Option<&str>) -> Turn {
    match flow {
        Flow::Next | Flow::Continue(None) => Turn::Again,
        Flow::Continue(Some(name)) if label == Some(name.as_str()) => Turn::Again,
        Flow::Exit(None) => Turn::Leave(Flow::Next),
        Flow::Exit(Some(name)) if label == Some(name.as_str()) => Turn::Leave(Flow::Next),
        flow => Turn::Leave(flow),
    }
}

fn null(what: &str) -> SqlError {
    SqlError::new(SqlState::NullValueNotAllowed, format!("{what} of FOR loop cannot be null"))
}

impl<H: Host> Interpreter<'_, H> {
    pub(super) fn endless(&mut self, label: Option<&str>, body: &[Statement]) -> Result<Flow> {
        loop {
            self.host.check_interrupt()?;
            if let Turn::Leave(flow) = turn(self.statements(body)?, label) {
                return Ok(flow);
            }
        }
    }

    pub(super) fn while_loop(
        &mut self,
        label: Option<&str>,
        condition: &Sql,
        body: &[Statement],
    ) -> Result<Flow> {
        let at = self.at;
        loop {
            self.host.check_interrupt()?;
            self.at = at;
            if self.truth(condition)? != Some(true) {
                return Ok(Flow::Next);
            }
            if let Turn::Leave(flow) = turn(self.statements(body)?, label) {
                return Ok(flow);
            }
        }
    }

    pub(super) fn integer_loop(
        &mut self,
        label: Option<&str>,
        variable: &str,
        reverse: bool,
        bounds: (&Sql, &Sql, Option<&Sql>),
        body: &[Statement],
    ) -> Result<Flow> {
        let from = self.integer(bounds.0)?.ok_or_else(|| null("lower bound"))?;
        let to = self.integer(bounds.1)?.ok_or_else(|| null("upper bound"))?;
        let step = match bounds.2 {
            Some(step) => self.integer(step)?.ok_or_else(|| null("BY value"))?,
            None => 1,
        };
        if step <= 0 {
            let message = "BY value of FOR loop must be greater than zero";
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        let flow = self.in_frame(label, |interpreter| {
            let column = Column { name: variable.to_owned(), ty: DataType::Int4, typmod: -1 };
            let slot = interpreter.declare(variable, Slot::scalar(column, Value::Null));
            let (mut at, mut found) = (from, false);
            let flow = loop {
                if if reverse { at < to } else { at > to } {
                    break Flow::Next;
                }
                interpreter.host.check_interrupt()?;
                found = true;
                interpreter.slots[slot].set(Value::Int4(at as i32));
                if let Turn::Leave(flow) = turn(interpreter.statements(body)?, label) {
                    break flow;
                }
                at += if reverse { -step } else { step };
                // Beyond the type there is nothing to count on to.
                if i32::try_from(at).is_err() {
                    break Flow::Next;
                }
            };
            Ok((flow, found))
        });
        let (flow, found) = flow?;
        self.set_found(found);
        Ok(flow)
    }

    /// The body once for each row.
    pub(super) fn row_loop(
        &mut self,
        label: Option<&str>,
        targets: &[Target],
        columns: &[Column],
        rows: Vec<Vec<Value>>,
        body: &[Statement],
    ) -> Result<Flow> {
        let at = self.at;
        let found = !rows.is_empty();
        if !found {
            self.store_row(targets, columns, None)?;
        }
        let mut result = Flow::Next;
        self.frames.push(super::Frame { label: label.map(str::to_owned), names: Vec::new() });
        let depth = self.frames.len();
        for row in rows {
            self.host.check_interrupt()?;
            self.at = at;
            self.store_row(targets, columns, Some(row))?;
            if let Turn::Leave(flow) = turn(self.statements(body)?, label) {
                result = flow;
                break;
            }
        }
        self.frames.truncate(depth - 1);
        self.set_found(found);
        Ok(result)
    }

    /// The body once for each row, in a record of the loop's own.
    pub(super) fn own_row_loop(
        &mut self,
        label: Option<&str>,
        variable: &str,
        columns: &[Column],
        rows: Vec<Vec<Value>>,
        body: &[Statement],
    ) -> Result<Flow> {
        self.in_frame(None, |interpreter| {
            interpreter.declare(variable, Slot::Record(super::Record::default()));
            let target = Target { names: vec![variable.to_owned()], subscripts: Vec::new() };
            interpreter.row_loop(label, &[target], columns, rows, body)
        })
    }

    /// FOREACH … IN ARRAY
    pub(super) fn array_loop(
        &mut self,
        label: Option<&str>,
        targets: &[Target],
        slice: u32,
        array: &Sql,
        body: &[Statement],
    ) -> Result<Flow> {
        let (value, ty) = self.value(array)?;
        if value.is_null() {
            let message = "FOREACH expression must not be null";
            return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
        }
        let (Some(array), Some(element)) = (value.as_array(), ty.element()) else {
            let message = format!("FOREACH expression must yield an array, not type {ty}");
            return Err(SqlError::new(SqlState::DatatypeMismatch, message));
        };
        let dimensions = array.dimensions();
        let slice = slice as usize;
        if slice > dimensions.len() {
            let message = format!(
                "slice dimension ({slice}) is out of the valid range 0..{}",
                dimensions.len()
            );
            return Err(SqlError::new(SqlState::ArraySubscriptError, message));
        }
        let items: Vec<(Value, DataType)> = if slice == 0 {
            array.values().iter().map(|value| (value.clone(), element)).collect()
        } else {
            let inner = dimensions[dimensions.len() - slice..].to_vec();
            let width: usize = inner.iter().map(|one| one.length as usize).product();
            let chunks = array.values().chunks(width.max(1));
            chunks
                .map(|chunk| {
                    let part = driftdb_types::Array::new(element, inner.clone(), chunk.to_vec())?;
                    Ok((Value::array(part), ty))
                })
                .collect::<Result<_>>()?
        };
        let at = self.at;
        let found = !items.is_empty();
        let mut result = Flow::Next;
        for (value, ty) in items {
            self.host.check_interrupt()?;
            self.at = at;
            match targets {
                [target] => self.store(target, value, ty)?,
                _ => {
                    return Err(SqlError::unsupported("FOREACH with several targets"));
                }
            }
            if let Turn::Leave(flow) = turn(self.statements(body)?, label) {
                result = flow;
                break;
            }
        }
        self.set_found(found);
        Ok(result)
    }

    /// Where a scalar variable of a name is.
    pub(super) fn place_named(&self, name: &str) -> Result<Place> {
        match self.meaning(&[name.to_owned()])? {
            Some(super::scope::Meaning::Value(place)) => Ok(place),
            _ => {
                let message = format!("\"{name}\" is not a known variable");
                Err(SqlError::new(SqlState::SyntaxError, message))
            }
        }
    }

    pub(super) fn note_statement(&mut self, statement: &Statement) {
        self.at = Position::Statement(statement.line, statement.kind.name());
    }
}
