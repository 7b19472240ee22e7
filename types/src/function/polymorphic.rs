//! What `anyelement`, `anyarray` and their kin stand for in a call
//! (`enforce_generic_type_consistency`).
//!
//! There are two families. `anyelement`, `anynonarray`, `anyarray`, `anyrange` and `anymultirange` stand
//! for one type, its array and its ranges, which the arguments must have as they are. `anycompatible` and `anycompatiblearray` stand for the
//! common type of their arguments, to which these are converted.

use crate::DataType::{
    self, AnyArray, AnyCompatible, AnyCompatibleArray, AnyElement, AnyEnum, AnyMultirange,
    AnyNonArray, AnyRange,
};
use crate::cast::common_type;
use crate::{SqlState, ValueError};

/// What the arguments say about both families; `None` where nothing is said yet.
#[derive(Default)]
struct Bindings {
    element: Option<DataType>,
    array: Option<DataType>,
    range: Option<DataType>,
    multirange: Option<DataType>,
    compatible: Option<DataType>,
}

/// The parameters and arguments that both are decided.
fn decided<'a>(
    parameters: &'a [DataType],
    args: &'a [DataType],
) -> impl Iterator<Item = (DataType, DataType)> + 'a {
    parameters
        .iter()
        .copied()
        .zip(args.iter().copied())
        .filter(|(_, arg)| *arg != DataType::Unknown)
}

/// What the decided arguments make of the families; `None` if they contradict each other.
fn bind(parameters: &[DataType], args: &[DataType]) -> Option<Bindings> {
    let mut found = Bindings::default();
    let mut compatible = Vec::new();
    for (parameter, arg) in decided(parameters, args) {
        let slot = match parameter {
            AnyElement => &mut found.element,
            AnyNonArray if arg.element().is_none() => &mut found.element,
            AnyEnum if arg.is_enum() => &mut found.element,
            AnyArray if arg.element().is_some() => &mut found.array,
            AnyCompatible => {
                compatible.push(arg);
                continue;
            }
            AnyCompatibleArray => {
                compatible.push(arg.element()?);
                continue;
            }
            AnyRange if arg.is_range() => &mut found.range,
            AnyMultirange if arg.is_multirange() => &mut found.multirange,
            AnyArray | AnyNonArray | AnyEnum | AnyRange | AnyMultirange => return None,
            _ => continue,
        };
        if *slot.get_or_insert(arg) != arg {
            return None;
        }
    }
    if let (Some(array), Some(element)) = (found.array, found.element)
        && array.element() != Some(element)
    {
        return None;
    }
    let subtypes = [found.range, found.multirange].map(|ty| ty.and_then(DataType::subtype));
    for subtype in subtypes.into_iter().flatten() {
        if *found.element.get_or_insert(subtype) != subtype {
            return None;
        }
    }
    found.element = found.element.or(found.array.and_then(DataType::element));
    if !compatible.is_empty() {
        found.compatible = Some(common_type(&compatible).ok()?);
    }
    Some(found)
}

/// Whether a call with these arguments can have this signature.
pub(super) fn is_consistent(parameters: &[DataType], args: &[DataType]) -> bool {
    bind(parameters, args).is_some()
}

/// The types to convert the arguments to, and the type of the result.
///
/// # Errors
/// 42804 when the arguments do not say what a family stands for, 42704 when there is no array type.
pub(crate) fn decide(
    parameters: &[DataType],
    args: &[DataType],
    result: DataType,
) -> Result<(Vec<DataType>, DataType), ValueError> {
    let mut found = bind(parameters, args).unwrap_or_default();
    if found.compatible.is_none() {
        found.compatible = Some(DataType::Text);
    }
    let decide = |(parameter, arg): (&DataType, &DataType)| match (*parameter, *arg) {
        (DataType::Unknown, DataType::Unknown) => Ok(DataType::Text),
        (DataType::Unknown, arg) => Ok(arg),
        // An array is taken as it is where its elements are what they shall be.
        (AnyCompatibleArray, arg)
            if arg != DataType::Unknown && arg.element() == found.compatible =>
        {
            Ok(arg)
        }
        (parameter, _) => found.stands_for(parameter),
    };
    let types = parameters.iter().zip(args).map(decide).collect::<Result<_, _>>()?;
    Ok((types, found.stands_for(result)?))
}

impl Bindings {
    fn stands_for(&self, parameter: DataType) -> Result<DataType, ValueError> {
        let unknown = || {
            let message = "could not determine polymorphic type because input has type unknown";
            ValueError::new(SqlState::DatatypeMismatch, message)
        };
        match parameter {
            AnyElement | AnyNonArray | AnyEnum => self.element.ok_or_else(unknown),
            AnyArray => match self.array {
                Some(array) => Ok(array),
                None => array_of(self.element.ok_or_else(unknown)?),
            },
            AnyRange => match self.range.or(self.element.and_then(DataType::range_of)) {
                Some(range) => Ok(range),
                None => Err(unknown()),
            },
            AnyMultirange => {
                match self.multirange.or(self.element.and_then(DataType::multirange_of)) {
                    Some(multirange) => Ok(multirange),
                    None => Err(unknown()),
                }
            }
            AnyCompatible => self.compatible.ok_or_else(unknown),
            AnyCompatibleArray => array_of(self.compatible.ok_or_else(unknown)?),
            other => Ok(other),
        }
    }
}

/// The array type of a type that is no array.
fn array_of(element: DataType) -> Result<DataType, ValueError> {
    match element {
        DataType::Array(_) => None,
        element => element.array(),
    }
    .ok_or_else(|| {
        let message = format!("could not find array type for data type {element}");
        ValueError::new(SqlState::UndefinedObject, message)
    })
}
