//! PostgreSQL's type system: values, input and output, casts, operators and functions.
//!
//! One definition for each thing: a function or operator is written once, here, and the executor
//! derives its scalar and its vector use from that one definition, so that the two cannot disagree.
//! The semantics are PostgreSQL 15's, down to names, NULLs, rounding and error texts.

mod data_type;
mod error;
mod numeric;
mod value;

pub use data_type::{DataType, TypeCategory};
pub use error::{SqlState, ValueError};
pub use numeric::Numeric;
pub use value::{Interval, Value};
