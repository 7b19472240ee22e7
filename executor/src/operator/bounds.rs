//! From key bounds to the bytes of a range.
//!
//! `bigint` may be compared with `integer` without a conversion, so an integer bound may have another
//! width than its column. It is fitted here: a number that the column cannot hold equals none of its
//! values, and as a limit it lies beyond all of them.

use driftdb_query::{AccessPath, Index, KeyBound, KeyBounds, Result, SqlError, Table, TableAccess};
use driftdb_tables::{ByteRange, ValueBound, index_range, primary_range};
use driftdb_types::{DataType, Value};

use crate::context::Run;
use crate::evaluate::row::evaluate_free;

/// The bytes of a range; `None` if nothing can match.
pub(crate) fn byte_range(
    access: &TableAccess,
    bounds: &KeyBounds,
    run: &mut Run<'_, '_>,
) -> Result<Option<ByteRange>> {
    let table = &access.table;
    let index = match &access.path {
        AccessPath::Index { index, .. } => Some(index_of(access, *index)?),
        AccessPath::Table { .. } | AccessPath::Point { .. } => table.primary_key(),
    };
    let mut equal = Vec::with_capacity(bounds.equal.len());
    for expr in &bounds.equal {
        equal.push(evaluate_free(expr, run)?);
    }
    let mut lower = bound(&bounds.lower, run)?;
    let mut upper = bound(&bounds.upper, run)?;
    if let Some(index) = index {
        let ranged = column_type(table, index, equal.len());
        let possible = fit_key(table, index, &mut equal)
            && ranged.is_none_or(|ty| {
                fit_limit(&mut lower, ty, End::Lower) && fit_limit(&mut upper, ty, End::Upper)
            });
        if !possible {
            return Ok(None);
        }
    }
    Ok(match (&access.path, index) {
        (AccessPath::Index { .. }, Some(index)) => {
            index_range(table, index, &equal, &lower, &upper)
        }
        _ => primary_range(table, &equal, &lower, &upper),
    })
}

/// The index of an access.
pub(crate) fn index_of(access: &TableAccess, id: driftdb_query::IndexId) -> Result<&Index> {
    let unknown = || SqlError::internal(format!("table {} has no such index", access.table.name));
    access.table.index(id).ok_or_else(unknown)
}

fn bound(bound: &KeyBound, run: &mut Run<'_, '_>) -> Result<ValueBound> {
    Ok(match bound {
        KeyBound::Unbounded => ValueBound::Unbounded,
        KeyBound::Included(expr) => ValueBound::Included(evaluate_free(expr, run)?),
        KeyBound::Excluded(expr) => ValueBound::Excluded(evaluate_free(expr, run)?),
    })
}

fn column_type(table: &Table, index: &Index, column: usize) -> Option<DataType> {
    let place = table.place(index.columns.get(column)?.column)?;
    Some(table.type_at(place))
}

/// Gives the values of a key's leading columns the types of the columns; false if one cannot be
/// equal to anything there.
pub(crate) fn fit_key(table: &Table, index: &Index, values: &mut [Value]) -> bool {
    values.iter_mut().enumerate().all(|(column, value)| {
        let ty = column_type(table, index, column);
        ty.is_none_or(|ty| beyond(value, ty).is_none())
    })
}

/// Which end of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lower,
    Upper,
}

/// Gives a limit the type of its column; false if nothing is within it.
fn fit_limit(limit: &mut ValueBound, ty: DataType, end: End) -> bool {
    let (ValueBound::Included(value) | ValueBound::Excluded(value)) = limit else { return true };
    match beyond(value, ty) {
        None => true,
        // Not unbounded: that would let NULL in.
        Some(beyond) if beyond == end => {
            *limit = ValueBound::Included(extreme(ty, end));
            true
        }
        Some(_) => false,
    }
}

/// Gives an integer the width of a type, or says on which side of all its values it lies.
fn beyond(value: &mut Value, ty: DataType) -> Option<End> {
    let integer = |ty| matches!(ty, DataType::Int2 | DataType::Int4 | DataType::Int8);
    if value.data_type() == ty || !integer(ty) || !integer(value.data_type()) {
        return None;
    }
    let number = value.as_int()?;
    match Value::from_int(ty, number) {
        Ok(fitted) => {
            *value = fitted;
            None
        }
        Err(_) if number < 0 => Some(End::Lower),
        Err(_) => Some(End::Upper),
    }
}

/// The first or last value of an integer type.
fn extreme(ty: DataType, end: End) -> Value {
    let lower = end == End::Lower;
    match ty {
        DataType::Int2 => Value::Int2(if lower { i16::MIN } else { i16::MAX }),
        DataType::Int4 => Value::Int4(if lower { i32::MIN } else { i32::MAX }),
        _ => Value::Int8(if lower { i64::MIN } else { i64::MAX }),
    }
}
