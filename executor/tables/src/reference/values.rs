//! Which types may refer to each other, and a value of the one as a value of the other.

use driftdb_types::{CastContext, DataType, EvalContext, Value, can_cast, cast, compare_typed};

/// Types whose values compare with each other without a conversion (PostgreSQL's operator families).
const FAMILIES: [&[DataType]; 4] = [
    &[DataType::Int2, DataType::Int4, DataType::Int8],
    &[DataType::Float4, DataType::Float8],
    &[DataType::Text, DataType::Varchar, DataType::Name],
    &[DataType::Date, DataType::Timestamp, DataType::Timestamptz],
];

/// Whether a column of type `referencing` may refer to one of type `referenced`: they compare, or the
/// former converts to the latter unasked.
pub(crate) fn are_comparable(referencing: DataType, referenced: DataType) -> bool {
    let both = |family: &[DataType]| family.contains(&referencing) && family.contains(&referenced);
    referencing == referenced
        || FAMILIES.iter().any(|family| both(family))
        || can_cast(referencing, referenced, CastContext::Implicit)
}

/// The value of type `to` that equals a value of type `from`; `None` if there is none.
pub(super) fn converted(
    value: &Value,
    from: DataType,
    to: DataType,
    context: &EvalContext,
) -> Option<Value> {
    if from == to || value.is_null() {
        return Some(value.clone());
    }
    let explicit = CastContext::Explicit;
    let fitted = cast(value.clone(), from, to, -1, explicit, context).ok()?;
    // A conversion may round: then nothing there equals the value.
    let back = cast(fitted.clone(), to, from, -1, explicit, context).ok()?;
    compare_typed(from, &back, value).is_eq().then_some(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_of_integers_compare_and_what_does_not_fit_equals_nothing() {
        use DataType as T;
        assert!(are_comparable(T::Int8, T::Int4));
        assert!(are_comparable(T::Int4, T::Numeric));
        assert!(!are_comparable(T::Numeric, T::Int4));
        assert!(!are_comparable(T::Int4, T::Text));
        let context = EvalContext::default();
        let fit = |value: Value, to| converted(&value, value.data_type(), to, &context);
        assert_eq!(fit(Value::Int8(5), T::Int2), Some(Value::Int2(5)));
        assert_eq!(fit(Value::Int8(1 << 20), T::Int2), None);
        assert_eq!(fit(Value::Float8(0.5), T::Float4), Some(Value::Float4(0.5)));
        assert_eq!(fit(Value::Float8(0.1), T::Float4), None);
    }
}
