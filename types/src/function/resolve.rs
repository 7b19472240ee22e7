//! Which function or operator a call means: PostgreSQL's rules for overloads (parse_func.c,
//! parse_oper.c).
//!
//! An exact match of the argument types wins. Otherwise, of the candidates that the arguments can be
//! converted to implicitly: those with most exact matches, then those with most preferred types; then
//! the undecided literals are given a category, preferring strings; and last, they are taken to be of
//! the one type that all decided arguments have.

use super::{Function, FunctionId, polymorphic};
use crate::cast::{CastContext, can_cast};
use crate::{DataType, SqlState, TypeCategory, ValueError};

/// What a call means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The function.
    pub id: FunctionId,
    /// What each argument must be converted to.
    pub arg_types: Vec<DataType>,
    /// The type of the result.
    pub result: DataType,
}

/// One overload, with its argument types spread to the number of arguments in the call.
/// `Unknown` stands for a parameter that takes any type; polymorphic types stand for others.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<K> {
    pub(crate) key: K,
    pub(crate) args: Vec<DataType>,
}

/// The outcome of a choice.
pub(crate) enum Choice<K> {
    /// This one.
    One(Candidate<K>),
    /// None fits.
    None,
    /// Several fit equally well.
    Ambiguous,
}

fn accepts(parameter: DataType, argument: DataType) -> bool {
    parameter == DataType::Unknown
        || parameter.is_polymorphic()
        || can_cast(argument, parameter, CastContext::Implicit)
}

/// Whether a call with these arguments can mean this overload (`can_coerce_type`).
fn accepts_all(parameters: &[DataType], args: &[DataType]) -> bool {
    parameters.iter().zip(args).all(|(parameter, arg)| accepts(*parameter, *arg))
        && polymorphic::is_consistent(parameters, args)
}

/// Chooses among overloads (`func_get_detail` after its name lookup).
pub(crate) fn choose<K>(mut candidates: Vec<Candidate<K>>, args: &[DataType]) -> Choice<K> {
    if let Some(exact) = candidates.iter().position(|candidate| candidate.args == args) {
        let parameters_decided = candidates[exact].args.iter().all(|ty| *ty != DataType::Unknown);
        if parameters_decided {
            return Choice::One(candidates.swap_remove(exact));
        }
    }
    candidates.retain(|candidate| accepts_all(&candidate.args, args));
    select(candidates, args)
}

/// Keeps the candidates with the highest score.
fn keep_best<K>(candidates: &mut Vec<Candidate<K>>, score: impl Fn(&Candidate<K>) -> usize) {
    if let Some(best) = candidates.iter().map(&score).max() {
        candidates.retain(|candidate| score(candidate) == best);
    }
}

/// `func_select_candidate`
fn select<K>(mut candidates: Vec<Candidate<K>>, args: &[DataType]) -> Choice<K> {
    let one = |mut candidates: Vec<Candidate<K>>| match candidates.pop() {
        Some(last) if candidates.is_empty() => Choice::One(last),
        Some(_) => Choice::Ambiguous,
        None => Choice::None,
    };
    if candidates.len() <= 1 {
        return one(candidates);
    }
    let known = || args.iter().enumerate().filter(|(_, arg)| **arg != DataType::Unknown);
    keep_best(&mut candidates, |candidate| {
        known().filter(|(index, arg)| candidate.args[*index] == **arg).count()
    });
    if candidates.len() == 1 {
        return one(candidates);
    }
    keep_best(&mut candidates, |candidate| {
        let fits = |(index, arg): &(usize, &DataType)| {
            let parameter = candidate.args[*index];
            parameter == **arg
                || (parameter.is_preferred() && parameter.category() == arg.category())
        };
        known().filter(fits).count()
    });
    if candidates.len() == 1 || known().count() == args.len() {
        return one(candidates);
    }
    if let Some(chosen) = by_category(&mut candidates, args) {
        return Choice::One(chosen);
    }
    // Last: if all decided arguments have one type, the undecided are of that type too.
    let mut known_types = known().map(|(_, arg)| *arg);
    if let Some(first) = known_types.next()
        && known_types.all(|ty| ty == first)
    {
        let assumed = vec![first; args.len()];
        let fits = |candidate: &Candidate<K>| accepts_all(&candidate.args, &assumed);
        if candidates.iter().filter(|candidate| fits(candidate)).count() == 1 {
            candidates.retain(fits);
            return one(candidates);
        }
    }
    Choice::Ambiguous
}

/// Gives each undecided argument a category and keeps the candidates that agree with it.
fn by_category<K>(candidates: &mut Vec<Candidate<K>>, args: &[DataType]) -> Option<Candidate<K>> {
    let mut slots: Vec<Option<(TypeCategory, bool)>> = vec![None; args.len()];
    for (index, slot) in slots.iter_mut().enumerate() {
        if args[index] != DataType::Unknown {
            continue;
        }
        let mut category = candidates[0].args[index].category();
        let mut preferred = candidates[0].args[index].is_preferred();
        let mut conflict = false;
        for candidate in &candidates[1..] {
            let parameter = candidate.args[index];
            if parameter.category() == category {
                preferred |= parameter.is_preferred();
            } else if parameter.category() == TypeCategory::String {
                category = TypeCategory::String;
                preferred = parameter.is_preferred();
            } else if category != TypeCategory::String {
                conflict = true;
            }
        }
        if conflict && category != TypeCategory::String {
            return None;
        }
        *slot = Some((category, preferred));
    }
    let fits = |candidate: &Candidate<K>| {
        slots.iter().zip(&candidate.args).all(|(slot, parameter)| match slot {
            None => true,
            Some((category, preferred)) => {
                parameter.category() == *category && (!preferred || parameter.is_preferred())
            }
        })
    };
    if candidates.iter().any(fits) {
        candidates.retain(fits);
    }
    if candidates.len() == 1 { candidates.pop() } else { None }
}

/// The candidate of a table entry for a number of arguments.
fn candidate(function: &'static Function, count: usize) -> Option<Candidate<&'static Function>> {
    let fixed = function.args.len();
    let args = match function.variadic {
        None if fixed == count => function.args.to_vec(),
        Some(rest) if count > fixed => {
            let mut args = function.args.to_vec();
            args.resize(count, rest);
            args
        }
        _ => return None,
    };
    Some(Candidate { key: function, args })
}

/// The types to convert to: parameters that take anything take the argument's own type.
fn resolved(
    candidate: &Candidate<&'static Function>,
    args: &[DataType],
) -> Result<Resolved, ValueError> {
    // A domain is what it is over, but where any type is taken as it is.
    let bases = bases(args);
    let (mut arg_types, result) =
        polymorphic::decide(&candidate.args, &bases, candidate.key.result)?;
    for ((ty, parameter), arg) in arg_types.iter_mut().zip(&candidate.args).zip(args) {
        if *parameter == DataType::Unknown && arg.as_domain().is_some() {
            *ty = *arg;
        }
    }
    // These print what they are given. The operator does so by a conversion, in which truth values are
    // spelt out; the others by the type's output, of which identifiers shown as names have need here.
    let is_operator = candidate.key.name == "||" && candidate.key.result == DataType::Text;
    if is_operator || matches!(candidate.key.name, "concat" | "concat_ws" | "format") {
        for ty in &mut arg_types {
            let shows_type =
                ty.is_reg() || matches!(ty, DataType::Int2vector | DataType::Oidvector);
            if is_operator || shows_type {
                *ty = DataType::Text;
            }
        }
    }
    Ok(Resolved { id: candidate.key.id, arg_types, result })
}

/// What arguments are, of domains what they are over.
fn bases(args: &[DataType]) -> Vec<DataType> {
    args.iter().map(|ty| ty.base()).collect()
}

fn signature(args: &[DataType]) -> String {
    args.iter().map(|ty| ty.sql_name()).collect::<Vec<_>>().join(", ")
}

/// The function that a call means.
///
/// # Errors
/// 42883 when there is none, 42725 when there are several, with PostgreSQL's texts and hints.
pub fn resolve_function(name: &str, args: &[DataType]) -> Result<Resolved, ValueError> {
    if Function::name_is_symbol(name) {
        return Err(undefined_function(name, args));
    }
    resolve_hidden(name, args)
}

/// As [`resolve_function`], of those too whose names no statement can spell.
///
/// # Errors
/// As [`resolve_function`].
pub fn resolve_hidden(name: &str, args: &[DataType]) -> Result<Resolved, ValueError> {
    let candidates: Vec<_> =
        super::table::named(name).filter_map(|function| candidate(function, args.len())).collect();
    // date('2020-01-01'): a type's name applied to one undecided literal is a conversion.
    if let ([DataType::Unknown], Some(_)) = (args, type_called(name))
        && let Some(chosen) = candidates.iter().find(|entry| entry.args == [DataType::Text])
    {
        return resolved(chosen, &[DataType::Text]);
    }
    match choose(candidates, &bases(args)) {
        Choice::One(chosen) => resolved(&chosen, args),
        Choice::None => Err(undefined_function(name, args)),
        Choice::Ambiguous => Err(ValueError::new(
            SqlState::AmbiguousFunction,
            format!("function {name}({}) is not unique", signature(args)),
        )
        .with_hint(
            "Could not choose a best candidate function. You might need to add explicit type casts.",
        )),
    }
}

/// The one of several overloads that a call means: its place, what each argument must be converted to, and
/// the type of the result; `None` if none fits. Each overload is given by the types of as many parameters
/// as there are arguments, and the type of its result.
///
/// # Errors
/// 42725 when there are several; 42804 when arguments do not say what a polymorphic type stands for.
pub fn resolve_among(
    name: &str,
    overloads: &[(Vec<DataType>, DataType)],
    args: &[DataType],
) -> Result<Option<(usize, Vec<DataType>, DataType)>, ValueError> {
    let candidates = overloads
        .iter()
        .enumerate()
        .map(|(key, (parameters, _))| Candidate { key, args: parameters.clone() })
        .collect();
    let is_exact = overloads.iter().any(|(parameters, _)| parameters == args);
    let bases = bases(args);
    let args = if is_exact { args } else { &bases };
    match choose(candidates, args) {
        Choice::One(chosen) => {
            let result = overloads[chosen.key].1;
            let (types, result) = polymorphic::decide(&chosen.args, args, result)?;
            Ok(Some((chosen.key, types, result)))
        }
        Choice::None => Ok(None),
        Choice::Ambiguous => Err(not_unique(name, args)),
    }
}

fn not_unique(name: &str, args: &[DataType]) -> ValueError {
    let message = format!("function {name}({}) is not unique", signature(args));
    ValueError::new(SqlState::AmbiguousFunction, message).with_hint(
        "Could not choose a best candidate function. You might need to add explicit type casts.",
    )
}

/// What a polymorphic result stands for in a call.
///
/// # Errors
/// 42804 when the arguments do not say.
pub fn decide_result(
    parameters: &[DataType],
    args: &[DataType],
    result: DataType,
) -> Result<DataType, ValueError> {
    Ok(polymorphic::decide(parameters, args, result)?.1)
}

fn type_called(name: &str) -> Option<DataType> {
    DataType::all().find(|ty| ty.name() == name)
}

fn undefined_function(name: &str, args: &[DataType]) -> ValueError {
    let text = format!("function {name}({}) does not exist", signature(args));
    ValueError::new(SqlState::UndefinedFunction, text).with_hint(
        "No function matches the given name and argument types. \
         You might need to add explicit type casts.",
    )
}

/// The operator between two operands, or before one (`left` is `None`).
///
/// # Errors
/// 42883 when there is none, 42725 when there are several, with PostgreSQL's texts and hints.
pub fn resolve_operator(
    name: &str,
    left: Option<DataType>,
    right: Option<DataType>,
) -> Result<Resolved, ValueError> {
    let name = if name == "!=" { "<>" } else { name };
    let given: Vec<DataType> = left.into_iter().chain(right).collect();
    let args = bases(&given);
    let candidates: Vec<_> = super::table::named(name)
        .filter(|function| function.is_operator())
        .filter_map(|function| candidate(function, args.len()))
        .collect();
    // A literal beside a decided operand is first tried as being of that operand's type.
    let assumed: Vec<DataType> = match args[..] {
        [DataType::Unknown, right] if right != DataType::Unknown => vec![right, right],
        [left, DataType::Unknown] if left != DataType::Unknown => vec![left, left],
        _ => args.clone(),
    };
    let decided = assumed.iter().all(|ty| *ty != DataType::Unknown);
    if decided && let Some(exact) = candidates.iter().find(|entry| entry.args == assumed) {
        return resolved(exact, &args);
    }
    match choose(candidates, &args) {
        Choice::One(chosen) => resolved(&chosen, &args),
        Choice::None => Err(undefined_operator(name, left, &given)),
        Choice::Ambiguous => {
            let text = format!("operator is not unique: {}", operation(name, &given));
            let hint = "Could not choose a best candidate operator. \
                        You might need to add explicit type casts.";
            Err(ValueError::new(SqlState::AmbiguousFunction, text).with_hint(hint))
        }
    }
}

fn operation(name: &str, args: &[DataType]) -> String {
    match args {
        [left, right] => format!("{left} {name} {right}"),
        [right] => format!("{name} {right}"),
        _ => name.to_owned(),
    }
}

fn undefined_operator(name: &str, left: Option<DataType>, args: &[DataType]) -> ValueError {
    let text = format!("operator does not exist: {}", operation(name, args));
    let hint = if left.is_some() {
        "No operator matches the given name and argument types. \
         You might need to add explicit type casts."
    } else {
        "No operator matches the given name and argument type. \
         You might need to add an explicit type cast."
    };
    ValueError::new(SqlState::UndefinedFunction, text).with_hint(hint)
}
