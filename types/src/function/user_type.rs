//! Functions of enumerations, and comparisons of rows.

use std::cmp::Ordering;

use super::table::Builder;
use super::{Kernel, Volatility, mistyped};
use crate::DataType::{self, AnyArray, AnyEnum, Bool, Int4, Record};
use crate::{Array, EvalContext, SqlState, UserType, Value, ValueError, compare};

/// The enumeration that a result is of, or is an array of.
fn enumeration(ty: DataType) -> Result<UserType, ValueError> {
    let known = ty.user().filter(|user| user.labels().is_some());
    known.ok_or_else(|| {
        let message = "could not determine actual enum type";
        ValueError::new(SqlState::FeatureNotSupported, message)
    })
}

fn end(ty: DataType, first: bool) -> Result<Value, ValueError> {
    let user = enumeration(ty)?;
    let labels = user.labels().unwrap_or_default();
    match if first { labels.first() } else { labels.last() } {
        Some(label) => Ok(Value::Enum(user, label.key)),
        None => {
            let message = format!("enum {} contains no values", DataType::User(user));
            Err(ValueError::new(SqlState::ObjectNotInPrerequisiteState, message))
        }
    }
}

/// The values from one to another; NULL is the first or the last.
fn range(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    let user = enumeration(ty)?;
    let key = |place: usize, otherwise: u64| match args.get(place) {
        Some(Value::Enum(_, key)) => *key,
        _ => otherwise,
    };
    let (from, to) = match args {
        [_] => (0, u64::MAX),
        _ => (key(0, 0), key(1, u64::MAX)),
    };
    let labels = user.labels().unwrap_or_default().iter();
    let values = labels.filter(|label| (from..=to).contains(&label.key));
    let values = values.map(|label| Value::Enum(user, label.key)).collect();
    Ok(Value::array(Array::from_values(DataType::User(user), values)?))
}

fn row_order(args: &[Value]) -> Result<Ordering, ValueError> {
    match args {
        [Value::Record(a), Value::Record(b)] => {
            a.check_comparable(b)?;
            Ok(compare(&args[0], &args[1]))
        }
        _ => Err(mistyped(&args[0])),
    }
}

/// A row of the values after a first one that says what its columns are.
fn make_row(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    match args.split_first() {
        Some((Value::Record(shape), values)) => {
            Ok(Value::record(crate::Record::anonymous(shape.fields().clone(), values.to_vec())))
        }
        _ => Err(mistyped(&Value::Null)),
    }
}

/// A row of a relation: a row that says what its columns are, what is NULL where an outer join found none, and the
/// columns' values.
fn whole_row(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let [Value::Record(shape), marker, values @ ..] = args else {
        return Err(mistyped(&Value::Null));
    };
    if marker.is_null() {
        return Ok(Value::Null);
    }
    let row = crate::Record::of_type(shape.ty(), values.to_vec());
    let row =
        row.unwrap_or_else(|| crate::Record::anonymous(shape.fields().clone(), values.to_vec()));
    Ok(Value::record(row))
}

/// A column of a row, by its place.
fn column(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    match args {
        [Value::Record(record), Value::Int4(place)] => {
            let value = usize::try_from(*place).ok().and_then(|place| record.values().get(place));
            value.cloned().ok_or_else(|| mistyped(&args[0]))
        }
        _ => Err(mistyped(&args[0])),
    }
}

/// Whether a row is NULL, or all of its columns are.
fn is_null_row(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    Ok(Value::Bool(match &args[0] {
        Value::Record(record) => record.values().iter().all(Value::is_null),
        other => other.is_null(),
    }))
}

/// Whether no column of a row is NULL.
fn is_full_row(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    Ok(Value::Bool(match &args[0] {
        Value::Record(record) => !record.values().iter().any(Value::is_null),
        other => !other.is_null(),
    }))
}

/// Functions under names that no statement can spell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOperation {
    /// ROW(…): a row that says what the columns are, then their values.
    Make,
    /// A relation's name in an expression: a row that says what the columns are, what is not NULL if there is a row,
    /// then the columns' values.
    Whole,
    /// `(row).column`: the row, and the place of the column from 0.
    Column,
    /// `row IS NULL`
    IsNull,
    /// `row IS NOT NULL`
    IsNotNull,
}

impl RowOperation {
    fn name(self) -> &'static str {
        match self {
            Self::Make => "(,)",
            Self::Whole => "(*)",
            Self::Column => "(.)",
            Self::IsNull => "(null)",
            Self::IsNotNull => "(not null)",
        }
    }

    /// The function.
    pub fn function(self) -> super::FunctionId {
        super::table::named(self.name()).next().expect("it is in the table").id
    }
}

pub(super) fn add(t: &mut Builder) {
    let make = t.add(RowOperation::Make.name(), &[Record], Record, Kernel::Values(make_row));
    (make.strict, make.variadic) = (false, Some(DataType::Unknown));
    let shape: &'static [DataType] = &[DataType::Unknown, DataType::Unknown];
    let whole = t.add(RowOperation::Whole.name(), shape, Record, Kernel::Values(whole_row));
    (whole.strict, whole.variadic) = (false, Some(DataType::Unknown));
    let any: &'static [DataType] = &[DataType::Unknown, Int4];
    t.add(RowOperation::Column.name(), any, DataType::Unknown, Kernel::Values(column));
    let row: &'static [DataType] = &[DataType::Unknown];
    t.add(RowOperation::IsNull.name(), row, Bool, Kernel::Values(is_null_row)).strict = false;
    t.add(RowOperation::IsNotNull.name(), row, Bool, Kernel::Values(is_full_row)).strict = false;
    let typed: [(&'static str, &'static [DataType], DataType, Kernel); 4] = [
        ("enum_first", &[AnyEnum], AnyEnum, Kernel::Typed(|_, ty, _| end(ty, true))),
        ("enum_last", &[AnyEnum], AnyEnum, Kernel::Typed(|_, ty, _| end(ty, false))),
        ("enum_range", &[AnyEnum], AnyArray, Kernel::Typed(range)),
        ("enum_range", &[AnyEnum, AnyEnum], AnyArray, Kernel::Typed(range)),
    ];
    for (name, args, result, kernel) in typed {
        let entry = t.add(name, args, result, kernel);
        (entry.strict, entry.volatility) = (false, Volatility::Stable);
    }
    let pair: &'static [DataType] = &[AnyEnum, AnyEnum];
    t.add(
        "enum_cmp",
        pair,
        Int4,
        Kernel::Values(|args, _| Ok(Value::Int4(compare(&args[0], &args[1]) as i32))),
    );
    t.add(
        "enum_smaller",
        pair,
        AnyEnum,
        Kernel::Values(
            |args, _| Ok(args[usize::from(compare(&args[0], &args[1]).is_gt())].clone()),
        ),
    );
    t.add(
        "enum_larger",
        pair,
        AnyEnum,
        Kernel::Values(
            |args, _| Ok(args[usize::from(compare(&args[0], &args[1]).is_le())].clone()),
        ),
    );
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    let kernels: [(&'static str, General); 6] = [
        ("=", |args, _| Ok(Value::Bool(row_order(args)?.is_eq()))),
        ("<>", |args, _| Ok(Value::Bool(row_order(args)?.is_ne()))),
        ("<", |args, _| Ok(Value::Bool(row_order(args)?.is_lt()))),
        ("<=", |args, _| Ok(Value::Bool(row_order(args)?.is_le()))),
        (">", |args, _| Ok(Value::Bool(row_order(args)?.is_gt()))),
        (">=", |args, _| Ok(Value::Bool(row_order(args)?.is_ge()))),
    ];
    for (name, kernel) in kernels {
        t.add(name, &[Record, Record], Bool, Kernel::Values(kernel));
    }
}
