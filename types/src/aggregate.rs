//! Aggregates: their names and types, and the machines that compute them.
//!
//! DISTINCT, FILTER and ORDER BY are the executor's business: an accumulator sees the rows that count,
//! in their order.

mod array;
mod bits;
mod extreme;
mod json;
mod logic;
mod money;
mod ordered;
mod range;
mod regression;
mod statistics;
mod sum;
mod text;

use crate::DataType::{
    self, AnyArray, AnyMultirange, AnyNonArray, AnyRange, Bit, Bool, Bpchar, Bytea, Date, Float4,
    Float8, Int2, Int4, Int8, Interval, Json, Jsonb, Money, Numeric, Oid, Text, Time, Timestamp,
    Timestamptz, Unknown,
};
use crate::function::{Candidate, Choice, choose, decide};
use crate::{SqlState, Value, ValueError};

/// An aggregate's place in the table. Valid within one build: never store it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AggregateId(pub u16);

/// One aggregate for one signature.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// Its place.
    pub id: AggregateId,
    /// Its SQL name.
    pub name: &'static str,
    /// The types of the arguments; `Unknown` stands for any type. None for `count(*)`.
    pub args: &'static [DataType],
    /// The type of the result.
    pub result: DataType,
}

/// What a call of an aggregate means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedAggregate {
    /// The aggregate.
    pub id: AggregateId,
    /// What each argument must be converted to.
    pub arg_types: Vec<DataType>,
    /// The type of the result.
    pub result: DataType,
}

/// What every accumulator that can be cloned has.
pub trait AccumulatorParts {
    /// A copy of the state.
    fn boxed_clone(&self) -> Box<dyn Accumulator>;

    /// Itself, for [`Accumulator::merge`] of the same aggregate.
    fn as_any(&self) -> &dyn std::any::Any;
}

impl<A: Accumulator + Clone + 'static> AccumulatorParts for A {
    fn boxed_clone(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The state of one aggregate over one group.
pub trait Accumulator: Send + AccumulatorParts {
    /// Takes one row's arguments. Accumulators themselves pass over the NULLs that do not count.
    ///
    /// # Errors
    /// What PostgreSQL raises, such as 22003 when a sum overflows.
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError>;

    /// Takes one argument of an integer-like type that is not NULL; the same as [`Self::update`] with
    /// the value, but without building it where the aggregate can do so.
    ///
    /// # Errors
    /// As [`Self::update`].
    fn update_int(&mut self, ty: DataType, v: i64) -> Result<(), ValueError> {
        self.update(&[Value::from_int(ty, v)?])
    }

    /// Takes one `double precision` that is not NULL.
    ///
    /// # Errors
    /// As [`Self::update`].
    fn update_float(&mut self, v: f64) -> Result<(), ValueError> {
        self.update(&[Value::Float8(v)])
    }

    /// The result. Called once, after the last row.
    ///
    /// # Errors
    /// As [`Self::update`].
    fn finish(&mut self) -> Result<Value, ValueError>;

    /// Takes the row that was added first back out, exactly; false, and nothing done, where that cannot be.
    fn retract(&mut self, _args: &[Value]) -> bool {
        false
    }

    /// Adds the rows that another accumulator of the same aggregate has seen, after its own; false, and
    /// nothing done, where rows must be seen one by one.
    ///
    /// # Errors
    /// As [`Self::update`].
    fn merge(&mut self, _other: &dyn Accumulator) -> Result<bool, ValueError> {
        Ok(false)
    }

    /// An estimate of the memory it takes, for work_mem.
    fn size_bytes(&self) -> usize {
        64
    }
}

/// What a row of the table makes, given the type of the first argument.
type Make = fn(DataType) -> Box<dyn Accumulator>;

struct Row(&'static str, &'static [DataType], DataType, Make);

fn boxed<A: Accumulator + 'static>(accumulator: A) -> Box<dyn Accumulator> {
    Box::new(accumulator)
}

const COUNT: Make = |_| boxed(sum::Count::default());
const INT_SUM: Make = |_| boxed(sum::IntSum::default());
const BIG_SUM: Make = |_| boxed(sum::BigSum { average: false, ..Default::default() });
const BIG_AVG: Make = |_| boxed(sum::BigSum { average: true, ..Default::default() });
const NUMERIC_SUM: Make = |_| boxed(sum::NumericSum { average: false, ..Default::default() });
const NUMERIC_AVG: Make = |_| boxed(sum::NumericSum { average: true, ..Default::default() });
const FLOAT_SUM: Make = |ty| boxed(sum::FloatSum::new(ty == Float4));
const FLOAT_AVG: Make = |_| boxed(statistics::FloatMoments::new(statistics::Statistic::Average));
const SPAN_SUM: Make = |_| boxed(sum::IntervalSum { average: false, ..Default::default() });
const SPAN_AVG: Make = |_| boxed(sum::IntervalSum { average: true, ..Default::default() });
const MIN: Make = |ty| boxed(extreme::Extreme::new(ty, true));
const MAX: Make = |ty| boxed(extreme::Extreme::new(ty, false));
const ALL: Make = |_| boxed(logic::Truth::new(true));
const ANY: Make = |_| boxed(logic::Truth::new(false));
const RANGE_INTERSECTION: Make = |_| boxed(range::RangeIntersection::default());
const BIT_AND: Make = |ty| boxed(logic::Bits::new(ty, |a, b| a & b));
const BIT_OR: Make = |ty| boxed(logic::Bits::new(ty, |a, b| a | b));
const BIT_XOR: Make = |ty| boxed(logic::Bits::new(ty, |a, b| a ^ b));

/// The eight members of the variance family for one type.
macro_rules! variances {
    ($machine:ident, $args:expr, $result:expr) => {
        [
            Row("var_pop", $args, $result, |_| {
                boxed(statistics::$machine::new(statistics::Statistic::VarPop))
            }),
            Row("var_samp", $args, $result, |_| {
                boxed(statistics::$machine::new(statistics::Statistic::VarSamp))
            }),
            Row("variance", $args, $result, |_| {
                boxed(statistics::$machine::new(statistics::Statistic::VarSamp))
            }),
            Row("stddev_pop", $args, $result, |_| {
                boxed(statistics::$machine::new(statistics::Statistic::StddevPop))
            }),
            Row("stddev_samp", $args, $result, |_| {
                boxed(statistics::$machine::new(statistics::Statistic::StddevSamp))
            }),
            Row("stddev", $args, $result, |_| {
                boxed(statistics::$machine::new(statistics::Statistic::StddevSamp))
            }),
        ]
    };
}

const SUMS: &[Row] = &[
    Row("count", &[], Int8, COUNT),
    Row("count", &[Unknown], Int8, COUNT),
    Row("sum", &[Int2], Int8, INT_SUM),
    Row("sum", &[Int4], Int8, INT_SUM),
    Row("sum", &[Int8], Numeric, BIG_SUM),
    Row("sum", &[Numeric], Numeric, NUMERIC_SUM),
    Row("sum", &[Float4], Float4, FLOAT_SUM),
    Row("sum", &[Float8], Float8, FLOAT_SUM),
    Row("sum", &[Interval], Interval, SPAN_SUM),
    Row("avg", &[Int2], Numeric, BIG_AVG),
    Row("avg", &[Int4], Numeric, BIG_AVG),
    Row("avg", &[Int8], Numeric, BIG_AVG),
    Row("avg", &[Numeric], Numeric, NUMERIC_AVG),
    Row("avg", &[Float4], Float8, FLOAT_AVG),
    Row("avg", &[Float8], Float8, FLOAT_AVG),
    Row("avg", &[Interval], Interval, SPAN_AVG),
    Row("bool_and", &[Bool], Bool, ALL),
    Row("every", &[Bool], Bool, ALL),
    Row("bool_or", &[Bool], Bool, ANY),
    Row("bit_and", &[Int2], Int2, BIT_AND),
    Row("bit_and", &[Int4], Int4, BIT_AND),
    Row("bit_and", &[Int8], Int8, BIT_AND),
    Row("bit_or", &[Int2], Int2, BIT_OR),
    Row("bit_or", &[Int4], Int4, BIT_OR),
    Row("bit_or", &[Int8], Int8, BIT_OR),
    Row("bit_xor", &[Int2], Int2, BIT_XOR),
    Row("bit_xor", &[Int4], Int4, BIT_XOR),
    Row("bit_xor", &[Int8], Int8, BIT_XOR),
    Row("bit_and", &[Bit], Bit, |_| boxed(bits::BitStrings::new(|a, b| a && b))),
    Row("bit_or", &[Bit], Bit, |_| boxed(bits::BitStrings::new(|a, b| a || b))),
    Row("bit_xor", &[Bit], Bit, |_| boxed(bits::BitStrings::new(|a, b| a != b))),
    Row("sum", &[Money], Money, |_| boxed(money::MoneySum::default())),
    Row("range_agg", &[AnyRange], AnyMultirange, |ty| boxed(range::RangeUnion::new(ty))),
    Row("range_agg", &[AnyMultirange], AnyMultirange, |ty| boxed(range::RangeUnion::new(ty))),
    Row("range_intersect_agg", &[AnyRange], AnyRange, RANGE_INTERSECTION),
    Row("range_intersect_agg", &[AnyMultirange], AnyMultirange, RANGE_INTERSECTION),
    Row("array_agg", &[AnyNonArray], AnyArray, |ty| boxed(array::ArrayAgg::new(ty))),
    Row("array_agg", &[AnyArray], AnyArray, |ty| boxed(array::ArrayOfArrays::new(ty))),
    // Their arguments have been made JSON by the binder.
    Row("json_agg", &[Json], Json, |_| boxed(json::JsonAgg::new(false, false))),
    Row("jsonb_agg", &[Jsonb], Jsonb, |_| boxed(json::JsonAgg::new(true, false))),
    Row("json_object_agg", &[Text, Json], Json, |_| boxed(json::JsonAgg::new(false, true))),
    Row("jsonb_object_agg", &[Text, Jsonb], Jsonb, |_| boxed(json::JsonAgg::new(true, true))),
    Row("min", &[DataType::AnyEnum], DataType::AnyEnum, MIN),
    Row("max", &[DataType::AnyEnum], DataType::AnyEnum, MAX),
    Row("min", &[AnyArray], AnyArray, MIN),
    Row("max", &[AnyArray], AnyArray, MAX),
    Row("string_agg", &[Text, Text], Text, |_| boxed(text::StringAgg::default())),
    Row("string_agg", &[Bytea, Bytea], Bytea, |_| boxed(text::ByteaAgg::default())),
];

/// The aggregates of pairs.
macro_rules! pairs {
    ($($name:literal, $relation:ident, $result:ident;)*) => {
        [$(Row($name, &[Float8, Float8], $result, |_| {
            boxed(regression::Pairs::new(regression::Relation::$relation))
        }),)*]
    };
}

const PAIRS: [Row; 12] = pairs! {
    "regr_count", Count, Int8;
    "regr_sxx", Sxx, Float8;
    "regr_syy", Syy, Float8;
    "regr_sxy", Sxy, Float8;
    "regr_avgx", MeanX, Float8;
    "regr_avgy", MeanY, Float8;
    "regr_r2", Determination, Float8;
    "regr_slope", Slope, Float8;
    "regr_intercept", Intercept, Float8;
    "covar_pop", CovarPop, Float8;
    "covar_samp", CovarSamp, Float8;
    "corr", Correlation, Float8;
};

/// Aggregates that are called with WITHIN GROUP: the binder knows their types.
const ORDERED_SETS: &[Row] = &[
    Row("mode", &[Unknown], Unknown, |ty| boxed(ordered::Mode::new(ty))),
    Row("percentile_disc", &[Unknown, Unknown], Unknown, |ty| {
        boxed(ordered::Percentile::new(ty, false))
    }),
    Row("percentile_cont", &[Unknown, Unknown], Unknown, |ty| {
        boxed(ordered::Percentile::new(ty, true))
    }),
];

const VARIANCES: [[Row; 6]; 6] = [
    variances!(NumericMoments, &[Int2], Numeric),
    variances!(NumericMoments, &[Int4], Numeric),
    variances!(NumericMoments, &[Int8], Numeric),
    variances!(NumericMoments, &[Numeric], Numeric),
    variances!(FloatMoments, &[Float4], Float8),
    variances!(FloatMoments, &[Float8], Float8),
];

/// The types `min` and `max` are defined for.
const ORDERED: [&[DataType]; 17] = [
    &[DataType::Timetz],
    &[Money],
    &[DataType::Inet],
    &[DataType::PgLsn],
    &[Int2],
    &[Int4],
    &[Int8],
    &[Oid],
    &[Float4],
    &[Float8],
    &[Numeric],
    &[Text],
    &[Bpchar],
    &[Date],
    &[Time],
    &[Timestamp],
    &[Timestamptz],
];

struct Entry {
    aggregate: Aggregate,
    make: Make,
}

fn table() -> &'static [Entry] {
    static TABLE: std::sync::OnceLock<Vec<Entry>> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        let mut entries = Vec::new();
        let mut add = |name: &'static str, args: &'static [DataType], result, make| {
            let id = AggregateId(entries.len() as u16);
            entries.push(Entry { aggregate: Aggregate { id, name, args, result }, make });
        };
        for Row(name, args, result, make) in SUMS {
            add(name, args, *result, *make);
        }
        for Row(name, args, result, make) in VARIANCES.iter().flatten().chain(&PAIRS) {
            add(name, args, *result, *make);
        }
        for args in ORDERED.into_iter().chain([&[Interval][..]]) {
            add("min", args, args[0], MIN);
            add("max", args, args[0], MAX);
        }
        // Last: they are found by `ordered_set_aggregate` only.
        for Row(name, args, result, make) in ORDERED_SETS {
            add(name, args, *result, *make);
        }
        entries
    })
}

/// The aggregate with an id.
///
/// # Panics
/// If this build did not hand out the id.
pub fn aggregate(id: AggregateId) -> &'static Aggregate {
    &table()[usize::from(id.0)].aggregate
}

/// Every aggregate that is called without WITHIN GROUP.
pub fn aggregates() -> impl Iterator<Item = &'static Aggregate> {
    let count = table().len() - ORDERED_SETS.len();
    table()[..count].iter().map(|entry| &entry.aggregate)
}

/// The aggregate of a name that is called with WITHIN GROUP. Its rows must come sorted; its arguments are
/// the value that they are sorted by, and the fraction, a `float8` or an array of them, if it takes one.
pub fn ordered_set_aggregate(name: &str) -> Option<AggregateId> {
    let from = table().len() - ORDERED_SETS.len();
    let mut entries = table()[from..].iter();
    entries.find(|entry| entry.aggregate.name == name).map(|entry| entry.aggregate.id)
}

/// A fresh accumulator for arguments of these types, which resolution asked for.
///
/// # Panics
/// If this build did not hand out the id.
pub fn accumulator(id: AggregateId, arg_types: &[DataType]) -> Box<dyn Accumulator> {
    let entry = &table()[usize::from(id.0)];
    (entry.make)(arg_types.first().copied().unwrap_or(Unknown))
}

/// The aggregate that a call means; `None` when no aggregate has the name. `star` is `count(*)`.
pub fn resolve_aggregate(
    name: &str,
    args: &[DataType],
    star: bool,
) -> Option<Result<ResolvedAggregate, ValueError>> {
    let given = args;
    let args: &[DataType] = &given.iter().map(|ty| ty.base()).collect::<Vec<_>>();
    let mut named = aggregates().filter(|aggregate| aggregate.name == name).peekable();
    named.peek()?;
    let shown = || {
        let types: Vec<&str> = given.iter().map(|ty| ty.sql_name()).collect();
        if star { "*".to_owned() } else { types.join(", ") }
    };
    let undefined = || {
        let message = format!(
            "function {name}({}) does not exist",
            if star { String::new() } else { shown() }
        );
        ValueError::new(SqlState::UndefinedFunction, message).with_hint(
            "No function matches the given name and argument types. \
             You might need to add explicit type casts.",
        )
    };
    if !star && args.is_empty() && name == "count" {
        return Some(Err(ValueError::new(
            SqlState::WrongObjectType,
            "count(*) must be used to call a parameterless aggregate function",
        )));
    }
    let candidates: Vec<_> = named
        .filter(|aggregate| aggregate.args.len() == args.len() && aggregate.args.is_empty() == star)
        .map(|aggregate| Candidate { key: aggregate, args: aggregate.args.to_vec() })
        .collect();
    Some(match choose(candidates, args) {
        Choice::One(chosen) => decide(&chosen.args, args, chosen.key.result)
            .map(|(arg_types, result)| ResolvedAggregate { id: chosen.key.id, arg_types, result }),
        Choice::None => Err(undefined()),
        Choice::Ambiguous => Err(ValueError::new(
            SqlState::AmbiguousFunction,
            format!("function {name}({}) is not unique", shown()),
        )
        .with_hint(
            "Could not choose a best candidate function. You might need to add explicit type casts.",
        )),
    })
}
