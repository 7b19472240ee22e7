//! Functions and operators over vectors: loops around the kernels of `driftdb_types`.

use std::sync::Arc;

use driftdb_query::Result;
use driftdb_types::{DataType, EvalContext, Function, Kernel, Value, ValueError, Volatility};

use super::common_validity;
use crate::vector::{Bitmap, Data, TextData, Vector, VectorBuilder};

/// Calls a function for every row.
pub(super) fn apply(
    function: &Function,
    ty: DataType,
    args: &[Arc<Vector>],
    len: usize,
    ctx: &EvalContext,
) -> Result<Vector> {
    if len > 0 && function.volatility != Volatility::Volatile {
        let constants: Option<Vec<Value>> =
            args.iter().map(|arg| arg.as_constant().cloned()).collect();
        if let Some(constants) = constants {
            return Ok(Vector::constant(ty, function.eval_as(ty, &constants, ctx)?, len));
        }
    }
    if function.strict {
        let always_null = |arg: &Arc<Vector>| arg.as_constant().is_some_and(Value::is_null);
        if args.iter().any(always_null) {
            return Ok(Vector::nulls(ty, len));
        }
        if let Some(result) = by_kernel(function, ty, args, len, ctx) {
            return Ok(result?);
        }
    }
    by_row(function, ty, args, len, ctx)
}

fn by_row(
    function: &Function,
    ty: DataType,
    args: &[Arc<Vector>],
    len: usize,
    ctx: &EvalContext,
) -> Result<Vector> {
    let mut out = VectorBuilder::new(ty, len);
    let mut values = Vec::with_capacity(args.len());
    for row in 0..len {
        values.clear();
        values.extend(args.iter().map(|arg| arg.value(row)));
        out.push(function.eval_as(ty, &values, ctx)?)?;
    }
    Ok(out.finish())
}

/// One argument's rows: a slice, or the same in each row.
#[derive(Clone, Copy)]
enum Source<'a, T> {
    Rows(&'a [T]),
    One(T),
}

impl<T: Copy> Source<'_, T> {
    fn at(&self, row: usize) -> T {
        match self {
            Self::Rows(rows) => rows[row],
            Self::One(value) => *value,
        }
    }
}

#[derive(Clone, Copy)]
enum Texts<'a> {
    Rows(&'a TextData),
    One(&'a str),
}

impl<'a> Texts<'a> {
    fn at(&self, row: usize) -> &'a str {
        match self {
            Self::Rows(rows) => rows.get(row),
            Self::One(text) => text,
        }
    }
}

fn ints(vector: &Vector) -> Option<Source<'_, i64>> {
    match vector.data() {
        Data::Int(rows) => Some(Source::Rows(rows)),
        Data::Constant(value) => value.as_int().map(Source::One),
        _ => None,
    }
}

fn floats(vector: &Vector) -> Option<Source<'_, f64>> {
    match vector.data() {
        Data::Float(rows) => Some(Source::Rows(rows)),
        Data::Constant(value) => value.as_float().map(Source::One),
        _ => None,
    }
}

fn texts(vector: &Vector) -> Option<Texts<'_>> {
    match vector.data() {
        Data::Text(rows) => Some(Texts::Rows(rows)),
        Data::Constant(value) => value.as_str().map(Texts::One),
        _ => None,
    }
}

/// Computes the rows that are valid; the others get the default.
fn each<T: Copy + Default>(
    len: usize,
    validity: Option<&Bitmap>,
    f: impl Fn(usize) -> std::result::Result<T, ValueError>,
) -> std::result::Result<Vec<T>, ValueError> {
    match validity {
        None => (0..len).map(f).collect(),
        Some(valid) => {
            (0..len).map(|row| if valid.get(row) { f(row) } else { Ok(T::default()) }).collect()
        }
    }
}

/// The specialized loops; `None` where there is none for these representations.
fn by_kernel(
    function: &Function,
    ty: DataType,
    args: &[Arc<Vector>],
    len: usize,
    ctx: &EvalContext,
) -> Option<std::result::Result<Vector, ValueError>> {
    let validity = common_validity(args);
    let valid = validity.as_ref();
    Some(match (function.kernel, args) {
        (Kernel::Int1(f), [a]) => {
            let a = ints(a)?;
            each(len, valid, |row| f(a.at(row))).map(|data| Vector::ints(ty, data, validity))
        }
        (Kernel::Int2(f), [a, b]) => {
            let (a, b) = (ints(a)?, ints(b)?);
            each(len, valid, |row| f(a.at(row), b.at(row)))
                .map(|data| Vector::ints(ty, data, validity))
        }
        (Kernel::IntCompare(f), [a, b]) => {
            let (a, b) = (ints(a)?, ints(b)?);
            each(len, None, |row| Ok(f(a.at(row), b.at(row))))
                .map(|data| Vector::bools(data, validity))
        }
        (Kernel::Float1(f), [a]) => {
            let a = floats(a)?;
            each(len, valid, |row| f(a.at(row)).map(|v| narrow(ty, v)))
                .map(|data| Vector::floats(ty, data, validity))
        }
        (Kernel::Float2(f), [a, b]) => {
            let (a, b) = (floats(a)?, floats(b)?);
            each(len, valid, |row| f(a.at(row), b.at(row)).map(|v| narrow(ty, v)))
                .map(|data| Vector::floats(ty, data, validity))
        }
        (Kernel::FloatCompare(f), [a, b]) => {
            let (a, b) = (floats(a)?, floats(b)?);
            each(len, None, |row| Ok(f(a.at(row), b.at(row))))
                .map(|data| Vector::bools(data, validity))
        }
        (Kernel::TextCompare(f), [a, b]) => {
            let (a, b) = (texts(a)?, texts(b)?);
            each(len, None, |row| Ok(f(a.at(row), b.at(row))))
                .map(|data| Vector::bools(data, validity))
        }
        (Kernel::TextMatch(f), [a, b]) => {
            let (a, b) = (texts(a)?, texts(b)?);
            each(len, valid, |row| f(a.at(row), b.at(row), ctx))
                .map(|data| Vector::bools(data, validity))
        }
        (Kernel::TextToInt(f), [a]) => {
            let a = texts(a)?;
            each(len, valid, |row| f(a.at(row))).map(|data| Vector::ints(ty, data, validity))
        }
        (Kernel::Compare(f), [a, b]) if a.ty() == function.args[0] && b.ty() == a.ty() => {
            each(len, valid, |row| Ok(f(a.compare(row, b, row))))
                .map(|data| Vector::bools(data, validity))
        }
        _ => return None,
    })
}

/// A result as its type holds it.
fn narrow(ty: DataType, v: f64) -> f64 {
    if ty == DataType::Float4 { f64::from(v as f32) } else { v }
}
