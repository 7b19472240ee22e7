//! Values into variables.

use std::sync::Arc;

use driftdb_query::{Result, SqlError};
use driftdb_types::{Array, DataType, Dimension, SqlState, Value};

use super::scope::{Meaning, Place, Slot};
use super::{Interpreter, Record};
use crate::ast::{Sql, Target};
use crate::host::{Column, Host, Rows};

impl<H: Host> Interpreter<'_, H> {
    /// `target := expression`
    pub(super) fn assign(&mut self, target: &Target, sql: &Sql) -> Result<()> {
        let meaning = self.target_meaning(target)?;
        if let Meaning::Record(slot) = meaning {
            let (columns, row) = self.row_value(sql)?;
            return self.set_record(slot, columns.as_deref(), row);
        }
        let (value, ty) = self.value(sql)?;
        self.store(target, value, ty)
    }

    /// A row as an expression: a record's name, a row constructor, or whatever gives columns.
    pub(super) fn row_value(
        &mut self,
        sql: &Sql,
    ) -> Result<(Option<Vec<Column>>, Option<Vec<Value>>)> {
        if sql.text.eq_ignore_ascii_case("null") {
            return Ok((None, None));
        }
        if let Some(name) = plain_name(&sql.text)
            && let Some(Meaning::Record(slot)) = self.meaning(&[name])?
            && let Slot::Record(record) = &self.slots[slot]
        {
            let columns = record.columns.as_ref().map(|columns| columns.to_vec());
            let row = if record.values.is_empty() { None } else { record.row() };
            return Ok((columns, row));
        }
        let inner =
            row_constructor(&sql.text).map(|inner| Sql { text: inner.into(), ..sql.clone() });
        let mut rows = self.query(inner.as_ref().unwrap_or(sql), Some(2))?;
        if rows.rows.len() > 1 {
            let message = "query returned more than one row";
            return Err(SqlError::new(SqlState::CardinalityViolation, message));
        }
        let mut columns = rows.columns.take().unwrap_or_default();
        if inner.is_some() {
            for (at, column) in columns.iter_mut().enumerate() {
                column.name = format!("f{}", at + 1);
            }
        }
        let row = rows.rows.pop();
        if let ([column], None) = (&columns[..], &inner)
            && column.ty.is_row()
        {
            // The expression is a row already.
            return Ok(match row.and_then(|row| row.into_iter().next()) {
                Some(Value::Record(record)) => {
                    let columns = record.fields().iter().map(|field| Column {
                        name: field.name.to_string(),
                        ty: field.ty,
                        typmod: field.typmod,
                    });
                    (Some(columns.collect()), Some(record.values().to_vec()))
                }
                _ => (None, None),
            });
        }
        Ok((Some(columns), row))
    }

    pub(super) fn target_meaning(&self, target: &Target) -> Result<Meaning> {
        self.meaning(&target.names)?.ok_or_else(|| {
            let name = target.names.join(".");
            SqlError::new(SqlState::SyntaxError, format!("\"{name}\" is not a known variable"))
        })
    }

    /// A value into a target that is no record.
    pub(super) fn store(&mut self, target: &Target, value: Value, ty: DataType) -> Result<()> {
        match self.target_meaning(target)? {
            Meaning::Record(slot) => {
                if value.is_null() {
                    return self.set_record(slot, None, None);
                }
                let message = "cannot assign non-composite value to a record variable";
                Err(SqlError::new(SqlState::DatatypeMismatch, message))
            }
            Meaning::Value(place) if target.subscripts.is_empty() => {
                self.store_at(place, value, ty)
            }
            Meaning::Value(place) => self.store_element(place, &target.subscripts, value, ty),
        }
    }

    pub(super) fn store_at(&mut self, place: Place, value: Value, from: DataType) -> Result<()> {
        let (to, typmod) = match (&self.slots[place.slot], place.field) {
            (Slot::Scalar { column, constant, .. }, _) => {
                if *constant {
                    let message = format!("variable \"{}\" is declared CONSTANT", column.name);
                    return Err(SqlError::new(SqlState::Other(*b"22005"), message));
                }
                (column.ty, column.typmod)
            }
            (Slot::Cursor { .. }, _) => (DataType::Text, -1),
            (Slot::Record(record), Some(at)) => match &record.columns {
                Some(columns) => (columns[at].ty, columns[at].typmod),
                None => return Err(super::scope::not_assigned("record")),
            },
            (Slot::Record(_), None) => return Err(SqlError::internal("a record is no value")),
        };
        let value = self.host.convert(value, from, to, typmod)?;
        match (&mut self.slots[place.slot], place.field) {
            (Slot::Scalar { column, not_null: true, .. }, _) if value.is_null() => {
                let name = &column.name;
                let message = format!(
                    "null value cannot be assigned to variable \"{name}\" declared NOT NULL"
                );
                Err(SqlError::new(SqlState::NullValueNotAllowed, message))
            }
            (Slot::Record(record), Some(at)) => {
                let width = record.columns.as_ref().map_or(0, |columns| columns.len());
                record.values.resize(width, Value::Null);
                record.values[at] = value;
                Ok(())
            }
            (slot, _) => {
                slot.set(value);
                Ok(())
            }
        }
    }

    /// `array[i] := value`
    fn store_element(
        &mut self,
        place: Place,
        subscripts: &[Sql],
        value: Value,
        from: DataType,
    ) -> Result<()> {
        let ty = self.type_at(place).unwrap_or(DataType::Unknown);
        let Some(element) = ty.element() else {
            let message =
                format!("cannot subscript type {ty} because it does not support subscripting");
            return Err(SqlError::new(SqlState::DatatypeMismatch, message));
        };
        let mut at = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            let Some(index) = self.integer(subscript)? else {
                let message = "array subscript in assignment must not be null";
                return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
            };
            at.push(i32::try_from(index).map_err(|_| out_of_range())?);
        }
        let value = self.host.convert(value, from, element, -1)?;
        let array = with_element(&self.value_at(place), element, &at, value)?;
        self.store_at(place, Value::array(array), ty)
    }

    /// A row into a record variable. Without columns: NULL.
    pub(super) fn set_record(
        &mut self,
        slot: usize,
        columns: Option<&[Column]>,
        row: Option<Vec<Value>>,
    ) -> Result<()> {
        let Slot::Record(record) = &self.slots[slot] else {
            return Err(SqlError::internal("a row for what is no record"));
        };
        let target = record.columns.clone();
        if !record.is_fixed {
            let columns = match columns {
                Some(columns) => Some(Arc::from(columns)),
                None => target,
            };
            let record = Record { columns, values: row.unwrap_or_default(), is_fixed: false };
            self.slots[slot] = Slot::Record(record);
            return Ok(());
        }
        let target = target.unwrap_or_default();
        let mut values = Vec::new();
        if let Some(row) = row {
            let from = columns.unwrap_or_default();
            for (at, column) in target.iter().enumerate() {
                let value = row.get(at).cloned().unwrap_or(Value::Null);
                let ty = from.get(at).map_or(column.ty, |column| column.ty);
                values.push(self.host.convert(value, ty, column.ty, column.typmod)?);
            }
        }
        let columns = Some(target);
        self.slots[slot] = Slot::Record(Record { columns, values, is_fixed: true });
        Ok(())
    }

    /// A row, or NULLs, into the targets of INTO or of a loop.
    pub(super) fn store_row(
        &mut self,
        targets: &[Target],
        columns: &[Column],
        row: Option<Vec<Value>>,
    ) -> Result<()> {
        if let [target] = targets
            && let Meaning::Record(slot) = self.target_meaning(target)?
        {
            return self.set_record(slot, Some(columns), row);
        }
        for (at, target) in targets.iter().enumerate() {
            let value = row.as_ref().and_then(|row| row.get(at)).cloned().unwrap_or(Value::Null);
            let ty = columns.get(at).map_or(DataType::Unknown, |column| column.ty);
            self.store(target, value, ty)?;
        }
        Ok(())
    }

    /// What INTO does with the rows of a statement.
    pub(super) fn store_into(
        &mut self,
        into: &crate::ast::Into,
        rows: Rows,
        is_change: bool,
    ) -> Result<()> {
        let columns = rows.columns.unwrap_or_default();
        let count = rows.rows.len();
        if into.strict && count == 0 {
            return Err(SqlError::new(SqlState::Other(*b"P0002"), "query returned no rows"));
        }
        if count > 1 && (into.strict || is_change) {
            let message = "query returned more than one row";
            return Err(SqlError::new(SqlState::Other(*b"P0003"), message)
                .with_hint("Make sure the query returns a single row, or use LIMIT 1."));
        }
        self.set_found(count > 0);
        self.row_count = count.min(1) as u64;
        self.store_row(&into.targets, &columns, rows.rows.into_iter().next())
    }
}

/// The name that a text is, if it is nothing else.
fn plain_name(text: &str) -> Option<String> {
    let is_name = !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    is_name.then(|| text.to_ascii_lowercase())
}

/// What stands in the brackets of `ROW(…)` or `(a, b)`, if a text is nothing else.
fn row_constructor(text: &str) -> Option<&str> {
    let is_row = text.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("row"));
    let rest = if is_row { text[3..].trim_start() } else { text };
    let inner = rest.strip_prefix('(')?.strip_suffix(')')?;
    let (mut depth, mut has_comma, mut quote) = (0i32, false, None);
    for c in inner.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            (None, ',') if depth == 0 => has_comma = true,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    (is_row || has_comma).then_some(inner)
}

fn out_of_range() -> SqlError {
    SqlError::new(SqlState::ArraySubscriptError, "array subscript out of range")
}

/// The most elements that an assignment to one beyond the end may make.
const MAX_ELEMENTS: i64 = 8 << 20;

/// An array with one element replaced; one of one dimension grows to hold it.
fn with_element(array: &Value, element: DataType, at: &[i32], value: Value) -> Result<Array> {
    let empty = Array::empty(element);
    let array = array.as_array().unwrap_or(&empty);
    if array.is_empty() {
        let dimensions = at.iter().map(|lower| Dimension { length: 1, lower: *lower }).collect();
        return Ok(Array::new(element, dimensions, vec![value])?);
    }
    let dimensions = array.dimensions().to_vec();
    if dimensions.len() != at.len() {
        let message = "wrong number of array subscripts";
        return Err(SqlError::new(SqlState::ArraySubscriptError, message));
    }
    let mut values = array.values().to_vec();
    if let ([dimension], [at]) = (&dimensions[..], at) {
        let (lower, upper) = (i64::from(dimension.lower), i64::from(dimension.upper()));
        let at = i64::from(*at);
        let (first, last) = (lower.min(at), upper.max(at));
        if last - first >= MAX_ELEMENTS {
            return Err(out_of_range());
        }
        let mut grown = vec![Value::Null; (last - first + 1) as usize];
        let start = (lower - first) as usize;
        for (place, old) in grown[start..].iter_mut().zip(values) {
            *place = old;
        }
        grown[(at - first) as usize] = value;
        let lower = i32::try_from(first).map_err(|_| out_of_range())?;
        let length = grown.len().try_into().map_err(|_| out_of_range())?;
        return Ok(Array::new(element, vec![Dimension { length, lower }], grown)?);
    }
    let mut place = 0usize;
    for (dimension, at) in dimensions.iter().zip(at) {
        if *at < dimension.lower || *at > dimension.upper() {
            return Err(out_of_range());
        }
        place = place * dimension.length as usize + (at - dimension.lower) as usize;
    }
    values[place] = value;
    Ok(Array::new(element, dimensions, values)?)
}
