//! The meaning of an expression, one row at a time.
//!
//! This is the definition: vector evaluation in the executor must agree with it, and does so by
//! calling the same functions. It is also what folds constants and runs the direct point path.

use driftdb_types::{
    CastContext, DataType, EvalContext, FunctionId, Value, cast, compare, function,
};

use crate::{BoolTest, Expr, Result, RoutineCall, SqlError, Subplan};

/// What an expression can reach besides its own tree.
pub trait Scope {
    /// Column `index` of the input row.
    fn slot(&self, index: usize) -> Value;

    /// Value `index` handed down by the enclosing apply or subplan.
    fn outer(&self, index: usize) -> Value;

    /// Parameter `index`.
    ///
    /// # Errors
    /// None was given.
    fn param(&self, index: usize) -> Result<Value>;

    /// Session and time.
    fn context(&self) -> &EvalContext;

    /// The answer of a subquery for this row.
    ///
    /// # Errors
    /// Whatever running it raises.
    fn subplan(&self, subplan: &Subplan) -> Result<Value>;

    /// Calls a function of a user's.
    ///
    /// # Errors
    /// Whatever it raises.
    fn routine(&self, _call: &RoutineCall, _args: Vec<Value>) -> Result<Value> {
        Err(SqlError::unsupported("a call of a user's function in this place"))
    }
}

/// A scope without rows, parameters or subqueries: for constants.
#[derive(Debug)]
pub struct Constants<'a> {
    /// Session and time.
    pub context: &'a EvalContext,
    /// The parameters, if they are known.
    pub params: &'a [Value],
}

impl Scope for Constants<'_> {
    fn slot(&self, _index: usize) -> Value {
        panic!("a constant expression has no columns")
    }

    fn outer(&self, _index: usize) -> Value {
        panic!("a constant expression has no outer values")
    }

    fn param(&self, index: usize) -> Result<Value> {
        self.params.get(index).cloned().ok_or_else(|| missing_parameter(index))
    }

    fn context(&self) -> &EvalContext {
        self.context
    }

    fn subplan(&self, _subplan: &Subplan) -> Result<Value> {
        Err(SqlError::unsupported("a subquery in a constant expression"))
    }
}

/// The error for a parameter without a value.
pub fn missing_parameter(index: usize) -> SqlError {
    SqlError::new(
        driftdb_types::SqlState::UndefinedParameter,
        format!("there is no parameter ${}", index + 1),
    )
}

/// Evaluates `expr`.
///
/// # Errors
/// Whatever its functions, casts and subqueries raise.
pub fn eval(expr: &Expr, scope: &dyn Scope) -> Result<Value> {
    Ok(match expr {
        Expr::Const { value, .. } => value.clone(),
        Expr::Slot { index, .. } => scope.slot(*index),
        Expr::Outer { index, .. } => scope.outer(*index),
        Expr::Param { index, .. } => scope.param(*index)?,
        Expr::Column { id, .. } => {
            return Err(SqlError::internal(format!("column {} was not planned", id.0)));
        }
        Expr::Subquery(_) => return Err(SqlError::internal("a subquery was not planned")),
        Expr::Subplan(subplan) => scope.subplan(subplan)?,
        Expr::Call { function: id, args, ty } => call(*id, args, *ty, scope)?,
        Expr::Routine { call, args, .. } => {
            let args = args.iter().map(|arg| eval(arg, scope)).collect::<Result<_>>()?;
            scope.routine(call, args)?
        }
        Expr::Cast { input, to, typmod, context } => convert(input, *to, *typmod, *context, scope)?,
        Expr::And(args) => connective(args, false, scope)?,
        Expr::Or(args) => connective(args, true, scope)?,
        Expr::Not(input) => match eval(input, scope)? {
            Value::Bool(truth) => Value::Bool(!truth),
            other => other,
        },
        Expr::IsNull(input) => Value::Bool(eval(input, scope)?.is_null()),
        Expr::IsBool { input, test, negated } => {
            let input = eval(input, scope)?;
            let holds = match test {
                BoolTest::True => input == Value::Bool(true),
                BoolTest::False => input == Value::Bool(false),
                BoolTest::Unknown => input.is_null(),
            };
            Value::Bool(holds != *negated)
        }
        Expr::IsDistinct { left, right, equal, negated } => {
            let (left, right) = (eval(left, scope)?, eval(right, scope)?);
            let same = match (left.is_null(), right.is_null()) {
                (true, true) => true,
                (false, false) => {
                    apply(*equal, [left, right], DataType::Bool, scope)? == Value::Bool(true)
                }
                _ => false,
            };
            Value::Bool(same == *negated)
        }
        Expr::InList { input, list, equal, negated } => {
            in_list(input, list, *equal, *negated, scope)?
        }
        Expr::Quantified { input, array, operator, all } => {
            let (input, array) = (eval(input, scope)?, eval(array, scope)?);
            quantified(&input, &array, *operator, *all, scope.context())?
        }
        Expr::Case { arms, otherwise, .. } => {
            for (condition, result) in arms {
                if eval(condition, scope)? == Value::Bool(true) {
                    return eval(result, scope);
                }
            }
            match otherwise {
                Some(otherwise) => eval(otherwise, scope)?,
                None => Value::Null,
            }
        }
        Expr::Coalesce { args, .. } => {
            for arg in args {
                let value = eval(arg, scope)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            Value::Null
        }
        Expr::Extreme { args, greatest, .. } => extreme(args, *greatest, scope)?,
    })
}

/// Whether a predicate holds: true, not false and not NULL.
///
/// # Errors
/// As [`eval`].
pub fn holds(predicate: &Expr, scope: &dyn Scope) -> Result<bool> {
    Ok(eval(predicate, scope)? == Value::Bool(true))
}

/// `input op ANY (array)` or ALL, three-valued; NULL if the array is.
///
/// # Errors
/// What the operator raises.
pub fn quantified(
    input: &Value,
    array: &Value,
    operator: FunctionId,
    all: bool,
    context: &EvalContext,
) -> Result<Value> {
    let Some(array) = array.as_array() else { return Ok(Value::Null) };
    let operator = function(operator);
    let mut unknown = false;
    for element in array.values() {
        match operator.eval(&[input.clone(), element.clone()], context)? {
            Value::Bool(truth) if truth != all => return Ok(Value::Bool(truth)),
            Value::Bool(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(all) })
}

fn call(id: FunctionId, args: &[Expr], ty: DataType, scope: &dyn Scope) -> Result<Value> {
    match args {
        [a] => apply(id, [eval(a, scope)?], ty, scope),
        [a, b] => apply(id, [eval(a, scope)?, eval(b, scope)?], ty, scope),
        _ => {
            let values: Vec<Value> =
                args.iter().map(|arg| eval(arg, scope)).collect::<Result<_>>()?;
            Ok(function(id).eval_as(ty, &values, scope.context())?)
        }
    }
}

fn apply<const N: usize>(
    id: FunctionId,
    args: [Value; N],
    ty: DataType,
    scope: &dyn Scope,
) -> Result<Value> {
    Ok(function(id).eval_as(ty, &args, scope.context())?)
}

fn convert(
    input: &Expr,
    to: DataType,
    typmod: i32,
    context: CastContext,
    scope: &dyn Scope,
) -> Result<Value> {
    let value = eval(input, scope)?;
    Ok(cast(value, input.ty(), to, typmod, context, scope.context())?)
}

/// AND (absorbed by false) and OR (absorbed by true), three-valued.
fn connective(args: &[Expr], absorbing: bool, scope: &dyn Scope) -> Result<Value> {
    let mut unknown = false;
    for arg in args {
        match eval(arg, scope)? {
            Value::Bool(truth) if truth == absorbing => return Ok(Value::Bool(absorbing)),
            Value::Bool(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(!absorbing) })
}

fn in_list(
    input: &Expr,
    list: &[Expr],
    equal: FunctionId,
    negated: bool,
    scope: &dyn Scope,
) -> Result<Value> {
    let input = eval(input, scope)?;
    if input.is_null() {
        return Ok(Value::Null);
    }
    let mut unknown = false;
    for candidate in list {
        let candidate = eval(candidate, scope)?;
        if candidate.is_null() {
            unknown = true;
        } else if apply(equal, [input.clone(), candidate], DataType::Bool, scope)?
            == Value::Bool(true)
        {
            return Ok(Value::Bool(!negated));
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(negated) })
}

fn extreme(args: &[Expr], greatest: bool, scope: &dyn Scope) -> Result<Value> {
    let mut best = Value::Null;
    for arg in args {
        let value = eval(arg, scope)?;
        if value.is_null() {
            continue;
        }
        if best.is_null() || (compare(&value, &best).is_gt()) == greatest {
            best = value;
        }
    }
    Ok(best)
}
