//! Cursors. Their rows are computed when they are opened.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState, Value};

use super::scope::Slot;
use super::{Interpreter, MAX_SET_BYTES, size_bytes, too_large};
use crate::ast::{Direction, Source, Sql, Target};
use crate::host::{Column, Host, Rows};

/// An open cursor.
pub(super) struct Cursor {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    /// The row that it stands on, from 1; 0 before the first.
    at: i64,
}

impl Cursor {
    fn moved(&mut self, to: i64) -> Option<&Vec<Value>> {
        self.at = to.clamp(0, self.rows.len() as i64 + 1);
        self.rows.get(usize::try_from(self.at - 1).ok()?)
    }
}

impl<H: Host> Interpreter<'_, H> {
    /// The slot of a cursor variable.
    fn cursor_slot(&self, name: &str) -> Result<usize> {
        let place = self.place_named(name)?;
        match &self.slots[place.slot] {
            Slot::Cursor { .. } => Ok(place.slot),
            _ => {
                let message = format!("variable \"{name}\" must be of type cursor or refcursor");
                Err(SqlError::new(SqlState::DatatypeMismatch, message))
            }
        }
    }

    /// The rows of a bound cursor's query, its arguments given.
    pub(super) fn cursor_rows(
        &mut self,
        name: &str,
        args: &[(Option<String>, Sql)],
    ) -> Result<Rows> {
        let slot = self.cursor_slot(name)?;
        let Slot::Cursor { query: Some((columns, query)), .. } = self.slots[slot].clone() else {
            let message = "cursor FOR loop must use a bound cursor variable";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        };
        let mut values: Vec<Option<Value>> = vec![None; columns.len()];
        for (at, (named, sql)) in args.iter().enumerate() {
            let place = match named {
                Some(named) => columns.iter().position(|column| column.name == *named),
                None => Some(at).filter(|at| *at < columns.len()),
            };
            let Some(place) = place.filter(|place| values[*place].is_none()) else {
                let message = format!("too many arguments for cursor \"{name}\"");
                return Err(SqlError::new(SqlState::SyntaxError, message));
            };
            let (value, ty) = self.value(sql)?;
            let column = &columns[place];
            values[place] = Some(self.host.convert(value, ty, column.ty, column.typmod)?);
        }
        if values.iter().any(Option::is_none) {
            let message = format!("not enough arguments for cursor \"{name}\"");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        self.in_frame(Some(name), |interpreter| {
            for (column, value) in columns.into_iter().zip(values.into_iter().flatten()) {
                let name = column.name.clone();
                interpreter.declare(&name, Slot::scalar(column, value));
            }
            interpreter.source(&Source::Query(query))
        })
    }

    pub(super) fn open(
        &mut self,
        name: &str,
        source: Option<&Source>,
        args: &[(Option<String>, Sql)],
    ) -> Result<()> {
        let slot = self.cursor_slot(name)?;
        let Slot::Cursor { value, query, .. } = &self.slots[slot] else {
            return Err(SqlError::internal("a cursor that is none"));
        };
        let is_bound = query.is_some();
        let portal = match value.as_str() {
            Some(portal) => portal.to_owned(),
            None if is_bound => name.to_owned(),
            None => {
                self.cursor_count += 1;
                format!("<unnamed portal {}>", self.cursor_count)
            }
        };
        if self.cursors.contains_key(&portal) {
            let message = format!("cursor \"{portal}\" already in use");
            return Err(SqlError::new(SqlState::DuplicateCursor, message));
        }
        let rows = match source {
            Some(source) => self.source(source)?,
            None => self.cursor_rows(name, args)?,
        };
        if rows.rows.iter().map(|row| size_bytes(row)).sum::<usize>() > MAX_SET_BYTES {
            return Err(too_large());
        }
        self.slots[slot].set(Value::Text(portal.as_str().into()));
        let columns = rows.columns.unwrap_or_default();
        self.cursors.insert(portal, Cursor { columns, rows: rows.rows, at: 0 });
        Ok(())
    }

    /// The name of the portal that a cursor variable stands for.
    fn portal(&self, name: &str) -> Result<String> {
        let slot = self.cursor_slot(name)?;
        let Slot::Cursor { value, .. } = &self.slots[slot] else {
            return Err(SqlError::internal("a cursor that is none"));
        };
        let Some(portal) = value.as_str() else {
            let message = format!("cursor variable \"{name}\" is null");
            return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
        };
        if !self.cursors.contains_key(portal) {
            let message = format!("cursor \"{portal}\" does not exist");
            return Err(SqlError::new(SqlState::InvalidCursorName, message));
        }
        Ok(portal.to_owned())
    }

    pub(super) fn fetch(
        &mut self,
        name: &str,
        direction: &Direction,
        targets: &[Target],
        is_move: bool,
    ) -> Result<()> {
        let portal = self.portal(name)?;
        let count = match direction {
            Direction::Absolute(sql) | Direction::Relative(sql) => {
                let Some(count) = self.value_as(sql, DataType::Int8)?.as_int() else {
                    let message = "relative or absolute cursor position is null";
                    return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
                };
                count
            }
            _ => 0,
        };
        let Some(cursor) = self.cursors.get_mut(&portal) else {
            return Err(SqlError::internal("a cursor is gone"));
        };
        let (at, len) = (cursor.at, cursor.rows.len() as i64);
        let to = match direction {
            Direction::Next => at.saturating_add(1),
            Direction::Prior => at - 1,
            Direction::First => 1,
            Direction::Last => len,
            Direction::Absolute(_) if count < 0 => len.saturating_add(count).saturating_add(1),
            Direction::Absolute(_) => count,
            Direction::Relative(_) => at.saturating_add(count),
            Direction::ForwardAll => len + 1,
            Direction::BackwardAll => 0,
        };
        let row = cursor.moved(to).cloned();
        let columns = cursor.columns.clone();
        let passed = match direction {
            Direction::ForwardAll => len.saturating_sub(at).max(0) as u64,
            Direction::BackwardAll => (at - 1).max(0) as u64,
            _ => u64::from(row.is_some()),
        };
        self.row_count = passed;
        self.set_found(passed > 0);
        if !is_move {
            self.store_row(targets, &columns, row)?;
        }
        Ok(())
    }

    pub(super) fn close(&mut self, name: &str) -> Result<()> {
        let portal = self.portal(name)?;
        self.cursors.remove(&portal);
        Ok(())
    }
}
