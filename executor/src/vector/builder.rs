//! Vectors that grow.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, Value, decode_int, decode_str, decode_value};

use super::{Bitmap, Data, Kind, TextData, Vector};

/// A vector to which rows are added.
#[derive(Debug, Clone)]
pub struct VectorBuilder {
    vector: Vector,
}

impl VectorBuilder {
    /// An empty one, with room for some rows.
    pub fn new(ty: DataType, capacity: usize) -> Self {
        let data = match Kind::of(ty) {
            Kind::Int => Data::Int(Vec::with_capacity(capacity)),
            Kind::Float => Data::Float(Vec::with_capacity(capacity)),
            Kind::Bool => Data::Bool(Vec::with_capacity(capacity)),
            Kind::Text => Data::Text(TextData::with_capacity(capacity)),
            Kind::Values => Data::Values(Vec::with_capacity(capacity)),
        };
        Self { vector: Vector { ty, len: 0, data, validity: None } }
    }

    /// What there is so far.
    pub fn vector(&self) -> &Vector {
        &self.vector
    }

    /// The vector.
    pub fn finish(self) -> Vector {
        self.vector
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.vector.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.vector.len == 0
    }

    /// Adds a NULL.
    pub fn push_null(&mut self) {
        let len = self.vector.len;
        self.vector.validity.get_or_insert_with(|| Bitmap::filled(len, true)).push(false);
        match &mut self.vector.data {
            Data::Int(data) => data.push(0),
            Data::Float(data) => data.push(0.0),
            Data::Bool(data) => data.push(false),
            Data::Text(data) => data.push(""),
            Data::Values(data) => data.push(Value::Null),
            Data::Constant(_) => unreachable!("a builder makes no constant"),
        }
        self.vector.len += 1;
    }

    fn pushed(&mut self) {
        self.vector.len += 1;
        if let Some(validity) = &mut self.vector.validity {
            validity.push(true);
        }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// XX000 when it is not of the type.
    pub fn push(&mut self, value: Value) -> Result<()> {
        match (&mut self.vector.data, value) {
            (_, Value::Null) => {
                self.push_null();
                return Ok(());
            }
            (Data::Text(data), Value::Text(v)) => data.push(&v),
            (Data::Bool(data), Value::Bool(v)) => data.push(v),
            (Data::Values(data), value) => data.push(value),
            (Data::Int(data), value) => match value.as_int() {
                Some(v) => data.push(v),
                None => return Err(mistyped(self.vector.ty, &value)),
            },
            (Data::Float(data), value) => match value.as_float() {
                Some(v) => data.push(v),
                None => return Err(mistyped(self.vector.ty, &value)),
            },
            (_, value) => return Err(mistyped(self.vector.ty, &value)),
        }
        self.pushed();
        Ok(())
    }

    /// Adds the value of a stored cell.
    ///
    /// # Errors
    /// XX001 when it is not a cell of the type.
    pub(crate) fn push_cell(&mut self, mut bytes: &[u8]) -> Result<()> {
        let ty = self.vector.ty;
        let is_null = match &mut self.vector.data {
            Data::Int(data) => decode_int(ty, bytes)?.map(|v| data.push(v)).is_none(),
            Data::Text(data) => decode_str(bytes)?.map(|v| data.push(v)).is_none(),
            _ => return self.push(decode_value(ty, &mut bytes)?),
        };
        if is_null {
            self.push_null();
        } else {
            self.pushed();
        }
        Ok(())
    }

    /// Adds one row of another vector of the same kind.
    pub(crate) fn push_from(&mut self, other: &Vector, row: usize) {
        if other.is_null(row) {
            self.push_null();
            return;
        }
        match (&mut self.vector.data, &other.data) {
            (Data::Int(to), Data::Int(from)) => to.push(from[row]),
            (Data::Float(to), Data::Float(from)) => to.push(from[row]),
            (Data::Bool(to), Data::Bool(from)) => to.push(from[row]),
            (Data::Text(to), Data::Text(from)) => to.push(from.get(row)),
            (Data::Values(to), Data::Values(from)) => to.push(from[row].clone()),
            (to, from) => push_across(to, from, row, self.vector.ty),
        }
        self.pushed();
    }

    /// Adds all rows of another vector of the same kind, or those at `rows`.
    pub(crate) fn extend(&mut self, other: &Vector, rows: Option<&[u32]>) {
        match rows {
            Some(rows) => rows.iter().for_each(|&row| self.push_from(other, row as usize)),
            None => (0..other.len).for_each(|row| self.push_from(other, row)),
        }
    }
}

/// Adds a value between representations: from a constant, or a literal of undecided type.
fn push_across(to: &mut Data, from: &Data, row: usize, ty: DataType) {
    let value = match from {
        Data::Constant(value) => value,
        Data::Values(values) => &values[row],
        _ => panic!("{ty} column got rows of another kind"),
    };
    match to {
        Data::Int(to) => to.push(value.as_int().expect("a constant of the column's kind")),
        Data::Float(to) => to.push(value.as_float().expect("a constant of the column's kind")),
        Data::Bool(to) => to.push(value.as_bool().expect("a constant of the column's kind")),
        Data::Text(to) => to.push(value.as_str().expect("a constant of the column's kind")),
        Data::Values(to) => to.push(value.clone()),
        Data::Constant(_) => unreachable!("a builder makes no constant"),
    }
}

fn mistyped(ty: DataType, value: &Value) -> SqlError {
    SqlError::internal(format!("a column of type {ty} got a value of type {}", value.data_type()))
}

impl Vector {
    /// A vector of the given values.
    ///
    /// # Errors
    /// XX000 when one is not of the type.
    pub fn from_values(ty: DataType, values: impl IntoIterator<Item = Value>) -> Result<Self> {
        let values = values.into_iter();
        let mut builder = VectorBuilder::new(ty, values.size_hint().0);
        values.into_iter().try_for_each(|value| builder.push(value))?;
        Ok(builder.finish())
    }
}
