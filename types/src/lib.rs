//! PostgreSQL's type system: values, input and output, casts, operators and functions.
//!
//! One definition for each thing: a function or operator is written once, here, and the executor
//! derives its scalar and its vector use from that one definition, so that the two cannot disagree.
//! The semantics are PostgreSQL 15's, down to names, NULLs, rounding and error texts.

mod actions;
mod aggregate;
mod array;
mod bits;
mod cast;
mod cell;
mod compare;
mod context;
mod data_type;
mod datetime;
mod error;
mod function;
mod in_range;
mod io;
mod json;
mod jsonpath;
mod key;
mod mac;
mod money;
mod net;
mod numeric;
mod range;
mod record;
mod regexp;
mod typmod;
mod user_type;
mod value;

pub use actions::{
    AdvisoryKey, AdvisoryRequest, CatalogQuestion, NoActions, SequenceCall, SequenceState,
    SessionActions,
};
pub use aggregate::{
    Accumulator, AccumulatorParts, Aggregate, AggregateId, ResolvedAggregate, accumulator,
    aggregate, aggregates, ordered_set_aggregate, resolve_aggregate,
};
pub use array::{Array, Dimension};
pub use bits::Bits;
pub use cast::{CastContext, TypesDiffer, can_cast, cast, common_type};
pub use cell::{decode_int, decode_str, decode_value, encode_value, skip_value};
pub use compare::{compare, compare_typed, hash_typed, hash_value};
pub use context::{ByteaOutput, DateFormat, DateOrder, EvalContext, IntervalStyle};
pub use data_type::{DataType, Element, TypeCategory};
pub use datetime::{TimeZone, Timetz};
pub use error::{SqlState, ValueError};
pub use function::{
    ArrayOperation, Comparison, Function, FunctionId, Kernel, Resolved, RowOperation,
    SEQUENCE_STATE, Volatility, asks_catalog, decide_result, function, functions, resolve_among,
    resolve_function, resolve_hidden, resolve_operator,
};
pub use in_range::{check_range_offset, in_range, range_offset_types};
pub use io::{parse_binary, parse_text, write_binary, write_text};
pub use json::Json;
pub use jsonpath::JsonPath;
pub use key::{decode_key, encode_key, key_is_lossless};
pub use net::Inet;
pub use numeric::Numeric;
pub use range::{Bound, Multirange, Range};
pub use record::Record;
pub use typmod::{NO_TYPMOD, length_typmod, make_typmod, numeric_typmod, type_name_with_typmod};
pub use user_type::{
    Domain, DomainCheck, DomainChecks, EnumLabel, Field, UserDefinition, UserKind, UserType,
    check_domains,
};
pub use value::{Interval, Value};
