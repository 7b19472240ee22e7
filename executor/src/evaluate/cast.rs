//! Conversions over vectors.

use std::sync::Arc;

use driftdb_query::Result;
use driftdb_types::{CastContext, DataType, EvalContext, cast};

use crate::vector::{Data, Vector, VectorBuilder};

/// Converts every row.
pub(super) fn apply(
    input: Arc<Vector>,
    from: DataType,
    to: DataType,
    typmod: i32,
    context: CastContext,
    ctx: &EvalContext,
) -> Result<Arc<Vector>> {
    if from == to && typmod < 0 {
        return Ok(input);
    }
    if let Some(value) = input.as_constant() {
        let value = cast(value.clone(), from, to, typmod, context, ctx)?;
        return Ok(Arc::new(Vector::constant(to, value, input.len())));
    }
    if typmod < 0 && is_relabeling(from, to) {
        return Ok(Arc::new(input.with_type(to)));
    }
    if let (DataType::Int2 | DataType::Int4, DataType::Float8, Data::Int(data)) =
        (from, to, input.data())
    {
        // Exact: both types fit a double.
        let data = data.iter().map(|&v| v as f64).collect();
        return Ok(Arc::new(Vector::floats(to, data, input.validity().cloned())));
    }
    // A domain may say something of NULL.
    let takes_null = to.as_domain().is_some();
    let mut out = VectorBuilder::new(to, input.len());
    for row in 0..input.len() {
        if input.is_null(row) && !takes_null {
            out.push_null();
        } else {
            out.push(cast(input.value(row), from, to, typmod, context, ctx)?)?;
        }
    }
    Ok(Arc::new(out.finish()))
}

/// Whether the conversion changes no value of the vector's kind.
fn is_relabeling(from: DataType, to: DataType) -> bool {
    use DataType as T;
    matches!(
        (from, to),
        (T::Int2, T::Int4 | T::Int8)
            | (T::Int4, T::Int8)
            | (T::Float4, T::Float8)
            | (T::Text | T::Name, T::Varchar)
            | (T::Varchar | T::Name, T::Text)
    )
}
