//! Functions and operators: what they are called, what they take and give, and how they compute.
//!
//! There is one table. An operator is a function whose name is the operator's symbol. Each entry has
//! one [`Kernel`], from which both the scalar and the vector use are derived.

mod actions;
mod array;
mod array_search;
mod array_text;
mod bit;
mod bytes;
mod bytes_edit;
mod cast_calls;
mod catalog;
mod compare;
mod datetime;
mod digest;
mod float;
mod hash;
mod identifier;
mod integer;
mod internal;
mod json;
mod json_build;
mod json_record;
mod jsonpath;
mod libm;
mod money;
mod network;
mod numeric;
mod pattern;
mod polymorphic;
mod range;
mod regexp;
mod resolve;
mod sequence;
mod session;
mod string;
mod string_format;
mod table;
mod text_search;
mod timetz;
mod user_type;
mod variadic;

use std::cmp::Ordering;

pub use array::ArrayOperation;
pub(crate) use array::nested;
pub use catalog::asks_catalog;
pub(crate) use polymorphic::decide;
pub(crate) use resolve::{Candidate, Choice, choose};
pub use resolve::{
    Resolved, decide_result, resolve_among, resolve_function, resolve_hidden, resolve_operator,
};
pub use sequence::SEQUENCE_STATE;
pub use table::{function, functions};
pub(crate) use text_search::regex_of;
pub use user_type::RowOperation;

use crate::{DataType, EvalContext, SqlState, Value, ValueError, compare_typed};

/// A function's place in the table. Valid within one build: never store it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct FunctionId(pub u16);

/// How much a function's result may vary for the same arguments.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Volatility {
    /// Never: it may be folded when planning.
    Immutable,
    /// Not within a statement.
    Stable,
    /// At every call.
    Volatile,
}

/// How a function computes. The forms other than `Values` are free of NULL and of allocation.
///
/// `int2`, `int4`, `int8`, `oid`, `date`, `time`, `timestamp` and `timestamptz` travel as `i64`,
/// `float4` and `float8` as `f64`, strings as `&str`. A kernel checks the range of its result type.
#[derive(Copy, Clone, Debug)]
pub enum Kernel {
    /// One integer to an integer.
    Int1(fn(i64) -> Result<i64, ValueError>),
    /// Two integers to an integer.
    Int2(fn(i64, i64) -> Result<i64, ValueError>),
    /// Two integers compared.
    IntCompare(fn(i64, i64) -> bool),
    /// One float to a float.
    Float1(fn(f64) -> Result<f64, ValueError>),
    /// Two floats to a float.
    Float2(fn(f64, f64) -> Result<f64, ValueError>),
    /// Two floats compared.
    FloatCompare(fn(f64, f64) -> bool),
    /// Two strings compared by their bytes.
    TextCompare(fn(&str, &str) -> bool),
    /// A string against a pattern.
    TextMatch(fn(&str, &str, &EvalContext) -> Result<bool, ValueError>),
    /// A string to an integer.
    TextToInt(fn(&str) -> Result<i64, ValueError>),
    /// Two values of one type compared by [`compare_typed`] on the type of the first argument.
    Compare(fn(Ordering) -> bool),
    /// The general form.
    Values(fn(&[Value], &EvalContext) -> Result<Value, ValueError>),
    /// The general form of what must know the type of its result, which the call decides.
    Typed(fn(&[Value], DataType, &EvalContext) -> Result<Value, ValueError>),
}

/// One entry of the table.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its place.
    pub id: FunctionId,
    /// Its SQL name, or the operator's symbol.
    pub name: &'static str,
    /// The types of the fixed arguments. `Unknown` stands for any type, taken as it is; types such as
    /// `AnyArray` stand for what a call makes of them.
    pub args: &'static [DataType],
    /// The type of the one or more arguments after those. `Unknown` stands for any type.
    pub variadic: Option<DataType>,
    /// The type of the result, or what stands for it.
    pub result: DataType,
    /// Whether a NULL argument makes the result NULL without a call.
    pub strict: bool,
    /// Whether it may be folded.
    pub volatility: Volatility,
    /// How it computes.
    pub kernel: Kernel,
}

/// The comparison that an operator makes, for planners.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Comparison {
    /// The same comparison with its sides exchanged.
    #[must_use]
    pub fn commuted(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }

    /// The comparison that is true exactly when this one is false.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
        }
    }

    /// Whether it holds for an order.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }

    /// The operator's symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

impl Function {
    /// Whether it is an operator.
    pub fn is_operator(&self) -> bool {
        Self::name_is_symbol(self.name)
    }

    fn name_is_symbol(name: &str) -> bool {
        !name.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    /// The comparison it is, if it is one.
    pub fn comparison(&self) -> Option<Comparison> {
        Some(match self.name {
            "=" => Comparison::Eq,
            "<>" => Comparison::Ne,
            "<" => Comparison::Lt,
            "<=" => Comparison::Le,
            ">" => Comparison::Gt,
            ">=" => Comparison::Ge,
            _ => return None,
        })
    }

    /// Computes the result for arguments of the types that resolution asked for.
    ///
    /// # Errors
    /// What PostgreSQL raises for them; XX000 when an argument is not of its type.
    pub fn eval(&self, args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
        self.eval_as(self.result, args, ctx)
    }

    /// As [`Function::eval`], for a call whose result is of type `ty`.
    ///
    /// # Errors
    /// As [`Function::eval`].
    pub fn eval_as(
        &self,
        ty: DataType,
        args: &[Value],
        ctx: &EvalContext,
    ) -> Result<Value, ValueError> {
        if self.strict && args.iter().any(Value::is_null) {
            return Ok(Value::Null);
        }
        match (self.kernel, args) {
            (Kernel::Int1(f), [a]) => Value::from_int(self.result, f(self.int(a)?)?),
            (Kernel::Int2(f), [a, b]) => {
                Value::from_int(self.result, f(self.int(a)?, self.int(b)?)?)
            }
            (Kernel::IntCompare(f), [a, b]) => Ok(Value::Bool(f(self.int(a)?, self.int(b)?))),
            (Kernel::Float1(f), [a]) => Ok(self.float_result(f(self.float(a)?)?)),
            (Kernel::Float2(f), [a, b]) => {
                Ok(self.float_result(f(self.float(a)?, self.float(b)?)?))
            }
            (Kernel::FloatCompare(f), [a, b]) => Ok(Value::Bool(f(self.float(a)?, self.float(b)?))),
            (Kernel::TextCompare(f), [a, b]) => Ok(Value::Bool(f(self.text(a)?, self.text(b)?))),
            (Kernel::TextMatch(f), [a, b]) => {
                Ok(Value::Bool(f(self.text(a)?, self.text(b)?, ctx)?))
            }
            (Kernel::TextToInt(f), [a]) => Value::from_int(self.result, f(self.text(a)?)?),
            (Kernel::Compare(f), [a, b]) => Ok(Value::Bool(f(compare_typed(self.args[0], a, b)))),
            (Kernel::Values(f), args) => f(args, ctx),
            (Kernel::Typed(f), args) => f(args, ty, ctx),
            _ => Err(self.mistyped(args.first().unwrap_or(&Value::Null))),
        }
    }

    fn int(&self, value: &Value) -> Result<i64, ValueError> {
        value.as_int().ok_or_else(|| self.mistyped(value))
    }

    fn float(&self, value: &Value) -> Result<f64, ValueError> {
        value.as_float().ok_or_else(|| self.mistyped(value))
    }

    fn text<'a>(&self, value: &'a Value) -> Result<&'a str, ValueError> {
        value.as_str().ok_or_else(|| self.mistyped(value))
    }

    fn float_result(&self, v: f64) -> Value {
        if self.result == DataType::Float4 { Value::Float4(v as f32) } else { Value::Float8(v) }
    }

    fn mistyped(&self, value: &Value) -> ValueError {
        let text = format!("{} got an argument of type {}", self.name, value.data_type());
        ValueError::new(SqlState::InternalError, text)
    }
}

/// The error of a general kernel whose argument is not of the type it was resolved for.
pub(crate) fn mistyped(value: &Value) -> ValueError {
    let text = format!("function got an argument of type {}", value.data_type());
    ValueError::new(SqlState::InternalError, text)
}

/// Typed access to the arguments of general kernels.
pub(crate) mod arg {
    use super::mistyped;
    use crate::{Array, Interval, Json, Numeric, Value, ValueError};

    pub(crate) fn int(args: &[Value], index: usize) -> Result<i64, ValueError> {
        args[index].as_int().ok_or_else(|| mistyped(&args[index]))
    }

    pub(crate) fn float(args: &[Value], index: usize) -> Result<f64, ValueError> {
        args[index].as_float().ok_or_else(|| mistyped(&args[index]))
    }

    pub(crate) fn text(args: &[Value], index: usize) -> Result<&str, ValueError> {
        args[index].as_str().ok_or_else(|| mistyped(&args[index]))
    }

    pub(crate) fn bytes(args: &[Value], index: usize) -> Result<&[u8], ValueError> {
        match &args[index] {
            Value::Bytea(bytes) => Ok(bytes),
            other => Err(mistyped(other)),
        }
    }

    pub(crate) fn array(args: &[Value], index: usize) -> Result<&Array, ValueError> {
        args[index].as_array().ok_or_else(|| mistyped(&args[index]))
    }

    pub(crate) fn json(args: &[Value], index: usize) -> Result<&Json, ValueError> {
        match &args[index] {
            Value::Jsonb(json) => Ok(json),
            other => Err(mistyped(other)),
        }
    }

    pub(crate) fn numeric(args: &[Value], index: usize) -> Result<&Numeric, ValueError> {
        match &args[index] {
            Value::Numeric(number) => Ok(number),
            other => Err(mistyped(other)),
        }
    }

    pub(crate) fn interval(args: &[Value], index: usize) -> Result<Interval, ValueError> {
        match &args[index] {
            Value::Interval(interval) => Ok(*interval),
            other => Err(mistyped(other)),
        }
    }
}
