//! Columns of values: one physical kind per family of types, a validity bitmap, and constants.
//!
//! `int2`, `int4`, `int8`, `oid`, dates and times are 64-bit integers, floats are doubles, strings lie
//! end to end in one buffer; everything else is a vector of [`Value`]s. These are the kinds that the
//! kernels of `driftdb_types` compute on.
//!
//! Invariants
//! * A vector without validity has no NULL, unless it is the constant NULL.
//! * What stands in the data of a NULL row means nothing.

mod bitmap;
mod builder;
mod compare;
mod gather;
mod text;
mod write;

use driftdb_types::{DataType, Value};

pub use bitmap::Bitmap;
pub use builder::VectorBuilder;
pub(crate) use compare::{hash_rows, hashes_agree};
pub(crate) use gather::NO_ROW;
pub(crate) use text::TextData;
pub(crate) use write::{write_binary, write_text};

/// The rows of a [`Vector`].
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// Integers, dates, times.
    Int(Vec<i64>),
    /// `float4`, `float8`.
    Float(Vec<f64>),
    /// `boolean`.
    Bool(Vec<bool>),
    /// Strings.
    Text(TextData),
    /// Everything else; NULL rows hold [`Value::Null`].
    Values(Vec<Value>),
    /// The same value in all rows.
    Constant(Value),
}

/// A column of values of one type.
#[derive(Debug, Clone)]
pub struct Vector {
    ty: DataType,
    len: usize,
    data: Data,
    /// Set where there is a value. Absent: everywhere.
    validity: Option<Bitmap>,
}

/// The physical kind of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Float,
    Bool,
    Text,
    Values,
}

impl Kind {
    /// Of a type.
    pub(crate) fn of(ty: DataType) -> Self {
        match ty {
            DataType::Int2
            | DataType::Int4
            | DataType::Int8
            | DataType::Oid
            | DataType::Date
            | DataType::Time
            | DataType::Timestamp
            | DataType::Timestamptz => Self::Int,
            DataType::Float4 | DataType::Float8 => Self::Float,
            DataType::Bool => Self::Bool,
            DataType::Text | DataType::Varchar | DataType::Bpchar | DataType::Name => Self::Text,
            _ => Self::Values,
        }
    }
}

/// The value of an integer-like type.
///
/// The number is in the range of the type: kernels check their results, and nothing else makes them.
pub(crate) fn int_value(ty: DataType, v: i64) -> Value {
    match ty {
        DataType::Int2 => Value::Int2(v as i16),
        DataType::Int4 => Value::Int4(v as i32),
        DataType::Oid => Value::Oid(v as u32),
        DataType::Date => Value::Date(v as i32),
        DataType::Time => Value::Time(v),
        DataType::Timestamp => Value::Timestamp(v),
        DataType::Timestamptz => Value::Timestamptz(v),
        _ => Value::Int8(v),
    }
}

/// The value of a float type.
pub(crate) fn float_value(ty: DataType, v: f64) -> Value {
    if ty == DataType::Float4 { Value::Float4(v as f32) } else { Value::Float8(v) }
}

impl Vector {
    /// The same value `len` times.
    pub fn constant(ty: DataType, value: Value, len: usize) -> Self {
        Self { ty, len, data: Data::Constant(value), validity: None }
    }

    /// Integers of a type that travels as `i64`.
    pub(crate) fn ints(ty: DataType, data: Vec<i64>, validity: Option<Bitmap>) -> Self {
        Self { ty, len: data.len(), data: Data::Int(data), validity }
    }

    /// Floats.
    pub(crate) fn floats(ty: DataType, data: Vec<f64>, validity: Option<Bitmap>) -> Self {
        Self { ty, len: data.len(), data: Data::Float(data), validity }
    }

    /// Truth values.
    pub(crate) fn bools(data: Vec<bool>, validity: Option<Bitmap>) -> Self {
        Self { ty: DataType::Bool, len: data.len(), data: Data::Bool(data), validity }
    }

    /// Its type.
    pub fn ty(&self) -> DataType {
        self.ty
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `row` is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match &self.data {
            Data::Constant(value) => value.is_null(),
            _ => self.validity.as_ref().is_some_and(|valid| !valid.get(row)),
        }
    }

    /// The value in `row`.
    pub fn value(&self, row: usize) -> Value {
        if self.is_null(row) {
            return Value::Null;
        }
        match &self.data {
            Data::Int(data) => int_value(self.ty, data[row]),
            Data::Float(data) => float_value(self.ty, data[row]),
            Data::Bool(data) => Value::Bool(data[row]),
            Data::Text(data) => Value::text(data.get(row)),
            Data::Values(data) => data[row].clone(),
            Data::Constant(value) => value.clone(),
        }
    }

    /// The value of all rows, if it is known to be the same.
    pub(crate) fn as_constant(&self) -> Option<&Value> {
        if let Data::Constant(value) = &self.data { Some(value) } else { None }
    }

    /// Whether `row` is true: not false and not NULL.
    pub(crate) fn is_true(&self, row: usize) -> bool {
        match &self.data {
            Data::Bool(data) => data[row] && !self.is_null(row),
            Data::Constant(value) => *value == Value::Bool(true),
            _ => false,
        }
    }

    /// The truth value of `row`; `None` for NULL.
    pub(crate) fn truth(&self, row: usize) -> Option<bool> {
        match &self.data {
            Data::Bool(data) if !self.is_null(row) => Some(data[row]),
            Data::Constant(value) => value.as_bool(),
            _ => None,
        }
    }

    pub(crate) fn data(&self) -> &Data {
        &self.data
    }

    pub(crate) fn validity(&self) -> Option<&Bitmap> {
        self.validity.as_ref()
    }

    /// The same rows under another type of the same kind.
    pub(crate) fn with_type(&self, ty: DataType) -> Self {
        Self { ty, ..self.clone() }
    }

    /// An estimate of the memory it takes.
    pub fn size_bytes(&self) -> usize {
        let validity = self.validity.as_ref().map_or(0, |v| v.len().div_ceil(8));
        let heap: usize = match &self.data {
            Data::Int(data) => data.len() * 8,
            Data::Float(data) => data.len() * 8,
            Data::Bool(data) => data.len(),
            Data::Text(data) => data.size_bytes(),
            Data::Values(data) => {
                data.len() * size_of::<Value>() + data.iter().map(Value::heap_bytes).sum::<usize>()
            }
            Data::Constant(value) => value.heap_bytes(),
        };
        size_of::<Self>() + validity + heap
    }
}
