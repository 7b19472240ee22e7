//! PostgreSQL's own names of what operators, aggregates and indexes call: `int4eq`, `float8larger`,
//! `date_cmp`, `uuid_send`.
//!
//! An operator's function (pg_operator.oprcode) is the operator's entry once more, under its name.

use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::{
    self, Bool, Bpchar, Bytea, Char, Date, Float4, Float8, Int2, Int4, Int8, Interval, Json, Jsonb,
    Name, Numeric, Oid, Text, Time, Timestamp, Timestamptz, Uuid, Varchar,
};
use crate::{EvalContext, Value, ValueError, compare_typed, write_binary};

/// Function, operator, and the types of the operands.
#[rustfmt::skip]
const OPERATORS: &[(&str, &str, &[DataType])] = &[
    ("booleq", "=", &[Bool, Bool]), ("boolge", ">=", &[Bool, Bool]), ("boolgt", ">", &[Bool, Bool]),
    ("boolle", "<=", &[Bool, Bool]), ("boollt", "<", &[Bool, Bool]),
    ("boolne", "<>", &[Bool, Bool]), ("bpchareq", "=", &[Bpchar, Bpchar]),
    ("bpcharge", ">=", &[Bpchar, Bpchar]), ("bpchargt", ">", &[Bpchar, Bpchar]),
    ("bpchariclike", "~~*", &[Bpchar, Text]), ("bpcharicnlike", "!~~*", &[Bpchar, Text]),
    ("bpcharicregexeq", "~*", &[Bpchar, Text]), ("bpcharicregexne", "!~*", &[Bpchar, Text]),
    ("bpcharle", "<=", &[Bpchar, Bpchar]), ("bpcharlike", "~~", &[Bpchar, Text]),
    ("bpcharlt", "<", &[Bpchar, Bpchar]), ("bpcharne", "<>", &[Bpchar, Bpchar]),
    ("bpcharnlike", "!~~", &[Bpchar, Text]), ("bpcharregexeq", "~", &[Bpchar, Text]),
    ("bpcharregexne", "!~", &[Bpchar, Text]), ("byteacat", "||", &[Bytea, Bytea]),
    ("byteaeq", "=", &[Bytea, Bytea]), ("byteage", ">=", &[Bytea, Bytea]),
    ("byteagt", ">", &[Bytea, Bytea]), ("byteale", "<=", &[Bytea, Bytea]),
    ("bytealike", "~~", &[Bytea, Bytea]), ("bytealt", "<", &[Bytea, Bytea]),
    ("byteane", "<>", &[Bytea, Bytea]), ("byteanlike", "!~~", &[Bytea, Bytea]),
    ("chareq", "=", &[Char, Char]), ("charge", ">=", &[Char, Char]), ("chargt", ">", &[Char, Char]),
    ("charle", "<=", &[Char, Char]), ("charlt", "<", &[Char, Char]),
    ("charne", "<>", &[Char, Char]), ("date_eq", "=", &[Date, Date]),
    ("date_eq_timestamp", "=", &[Date, Timestamp]),
    ("date_eq_timestamptz", "=", &[Date, Timestamptz]), ("date_ge", ">=", &[Date, Date]),
    ("date_ge_timestamp", ">=", &[Date, Timestamp]),
    ("date_ge_timestamptz", ">=", &[Date, Timestamptz]), ("date_gt", ">", &[Date, Date]),
    ("date_gt_timestamp", ">", &[Date, Timestamp]),
    ("date_gt_timestamptz", ">", &[Date, Timestamptz]), ("date_le", "<=", &[Date, Date]),
    ("date_le_timestamp", "<=", &[Date, Timestamp]),
    ("date_le_timestamptz", "<=", &[Date, Timestamptz]), ("date_lt", "<", &[Date, Date]),
    ("date_lt_timestamp", "<", &[Date, Timestamp]),
    ("date_lt_timestamptz", "<", &[Date, Timestamptz]), ("date_mi", "-", &[Date, Date]),
    ("date_mi_interval", "-", &[Date, Interval]), ("date_mii", "-", &[Date, Int4]),
    ("date_ne", "<>", &[Date, Date]), ("date_ne_timestamp", "<>", &[Date, Timestamp]),
    ("date_ne_timestamptz", "<>", &[Date, Timestamptz]),
    ("date_pl_interval", "+", &[Date, Interval]), ("date_pli", "+", &[Date, Int4]),
    ("datetime_pl", "+", &[Date, Time]), ("dcbrt", "||/", &[Float8]),
    ("dpow", "^", &[Float8, Float8]), ("dsqrt", "|/", &[Float8]),
    ("float48div", "/", &[Float4, Float8]), ("float48eq", "=", &[Float4, Float8]),
    ("float48ge", ">=", &[Float4, Float8]), ("float48gt", ">", &[Float4, Float8]),
    ("float48le", "<=", &[Float4, Float8]), ("float48lt", "<", &[Float4, Float8]),
    ("float48mi", "-", &[Float4, Float8]), ("float48mul", "*", &[Float4, Float8]),
    ("float48ne", "<>", &[Float4, Float8]), ("float48pl", "+", &[Float4, Float8]),
    ("float4abs", "@", &[Float4]), ("float4div", "/", &[Float4, Float4]),
    ("float4eq", "=", &[Float4, Float4]), ("float4ge", ">=", &[Float4, Float4]),
    ("float4gt", ">", &[Float4, Float4]), ("float4le", "<=", &[Float4, Float4]),
    ("float4lt", "<", &[Float4, Float4]), ("float4mi", "-", &[Float4, Float4]),
    ("float4mul", "*", &[Float4, Float4]), ("float4ne", "<>", &[Float4, Float4]),
    ("float4pl", "+", &[Float4, Float4]), ("float4um", "-", &[Float4]),
    ("float4up", "+", &[Float4]), ("float84div", "/", &[Float8, Float4]),
    ("float84eq", "=", &[Float8, Float4]), ("float84ge", ">=", &[Float8, Float4]),
    ("float84gt", ">", &[Float8, Float4]), ("float84le", "<=", &[Float8, Float4]),
    ("float84lt", "<", &[Float8, Float4]), ("float84mi", "-", &[Float8, Float4]),
    ("float84mul", "*", &[Float8, Float4]), ("float84ne", "<>", &[Float8, Float4]),
    ("float84pl", "+", &[Float8, Float4]), ("float8abs", "@", &[Float8]),
    ("float8div", "/", &[Float8, Float8]), ("float8eq", "=", &[Float8, Float8]),
    ("float8ge", ">=", &[Float8, Float8]), ("float8gt", ">", &[Float8, Float8]),
    ("float8le", "<=", &[Float8, Float8]), ("float8lt", "<", &[Float8, Float8]),
    ("float8mi", "-", &[Float8, Float8]), ("float8mul", "*", &[Float8, Float8]),
    ("float8ne", "<>", &[Float8, Float8]), ("float8pl", "+", &[Float8, Float8]),
    ("float8um", "-", &[Float8]), ("float8up", "+", &[Float8]), ("int24div", "/", &[Int2, Int4]),
    ("int24eq", "=", &[Int2, Int4]), ("int24ge", ">=", &[Int2, Int4]),
    ("int24gt", ">", &[Int2, Int4]), ("int24le", "<=", &[Int2, Int4]),
    ("int24lt", "<", &[Int2, Int4]), ("int24mi", "-", &[Int2, Int4]),
    ("int24mul", "*", &[Int2, Int4]), ("int24ne", "<>", &[Int2, Int4]),
    ("int24pl", "+", &[Int2, Int4]), ("int28div", "/", &[Int2, Int8]),
    ("int28eq", "=", &[Int2, Int8]), ("int28ge", ">=", &[Int2, Int8]),
    ("int28gt", ">", &[Int2, Int8]), ("int28le", "<=", &[Int2, Int8]),
    ("int28lt", "<", &[Int2, Int8]), ("int28mi", "-", &[Int2, Int8]),
    ("int28mul", "*", &[Int2, Int8]), ("int28ne", "<>", &[Int2, Int8]),
    ("int28pl", "+", &[Int2, Int8]), ("int2abs", "@", &[Int2]), ("int2and", "&", &[Int2, Int2]),
    ("int2div", "/", &[Int2, Int2]), ("int2eq", "=", &[Int2, Int2]),
    ("int2ge", ">=", &[Int2, Int2]), ("int2gt", ">", &[Int2, Int2]),
    ("int2le", "<=", &[Int2, Int2]), ("int2lt", "<", &[Int2, Int2]), ("int2mi", "-", &[Int2, Int2]),
    ("int2mod", "%", &[Int2, Int2]), ("int2mul", "*", &[Int2, Int2]),
    ("int2ne", "<>", &[Int2, Int2]), ("int2not", "~", &[Int2]), ("int2or", "|", &[Int2, Int2]),
    ("int2pl", "+", &[Int2, Int2]), ("int2shl", "<<", &[Int2, Int4]),
    ("int2shr", ">>", &[Int2, Int4]), ("int2um", "-", &[Int2]), ("int2up", "+", &[Int2]),
    ("int2xor", "#", &[Int2, Int2]), ("int42div", "/", &[Int4, Int2]),
    ("int42eq", "=", &[Int4, Int2]), ("int42ge", ">=", &[Int4, Int2]),
    ("int42gt", ">", &[Int4, Int2]), ("int42le", "<=", &[Int4, Int2]),
    ("int42lt", "<", &[Int4, Int2]), ("int42mi", "-", &[Int4, Int2]),
    ("int42mul", "*", &[Int4, Int2]), ("int42ne", "<>", &[Int4, Int2]),
    ("int42pl", "+", &[Int4, Int2]), ("int48div", "/", &[Int4, Int8]),
    ("int48eq", "=", &[Int4, Int8]), ("int48ge", ">=", &[Int4, Int8]),
    ("int48gt", ">", &[Int4, Int8]), ("int48le", "<=", &[Int4, Int8]),
    ("int48lt", "<", &[Int4, Int8]), ("int48mi", "-", &[Int4, Int8]),
    ("int48mul", "*", &[Int4, Int8]), ("int48ne", "<>", &[Int4, Int8]),
    ("int48pl", "+", &[Int4, Int8]), ("int4abs", "@", &[Int4]), ("int4and", "&", &[Int4, Int4]),
    ("int4div", "/", &[Int4, Int4]), ("int4eq", "=", &[Int4, Int4]),
    ("int4ge", ">=", &[Int4, Int4]), ("int4gt", ">", &[Int4, Int4]),
    ("int4le", "<=", &[Int4, Int4]), ("int4lt", "<", &[Int4, Int4]), ("int4mi", "-", &[Int4, Int4]),
    ("int4mod", "%", &[Int4, Int4]), ("int4mul", "*", &[Int4, Int4]),
    ("int4ne", "<>", &[Int4, Int4]), ("int4not", "~", &[Int4]), ("int4or", "|", &[Int4, Int4]),
    ("int4pl", "+", &[Int4, Int4]), ("int4shl", "<<", &[Int4, Int4]),
    ("int4shr", ">>", &[Int4, Int4]), ("int4um", "-", &[Int4]), ("int4up", "+", &[Int4]),
    ("int4xor", "#", &[Int4, Int4]), ("int82div", "/", &[Int8, Int2]),
    ("int82eq", "=", &[Int8, Int2]), ("int82ge", ">=", &[Int8, Int2]),
    ("int82gt", ">", &[Int8, Int2]), ("int82le", "<=", &[Int8, Int2]),
    ("int82lt", "<", &[Int8, Int2]), ("int82mi", "-", &[Int8, Int2]),
    ("int82mul", "*", &[Int8, Int2]), ("int82ne", "<>", &[Int8, Int2]),
    ("int82pl", "+", &[Int8, Int2]), ("int84div", "/", &[Int8, Int4]),
    ("int84eq", "=", &[Int8, Int4]), ("int84ge", ">=", &[Int8, Int4]),
    ("int84gt", ">", &[Int8, Int4]), ("int84le", "<=", &[Int8, Int4]),
    ("int84lt", "<", &[Int8, Int4]), ("int84mi", "-", &[Int8, Int4]),
    ("int84mul", "*", &[Int8, Int4]), ("int84ne", "<>", &[Int8, Int4]),
    ("int84pl", "+", &[Int8, Int4]), ("int8abs", "@", &[Int8]), ("int8and", "&", &[Int8, Int8]),
    ("int8div", "/", &[Int8, Int8]), ("int8eq", "=", &[Int8, Int8]),
    ("int8ge", ">=", &[Int8, Int8]), ("int8gt", ">", &[Int8, Int8]),
    ("int8le", "<=", &[Int8, Int8]), ("int8lt", "<", &[Int8, Int8]), ("int8mi", "-", &[Int8, Int8]),
    ("int8mod", "%", &[Int8, Int8]), ("int8mul", "*", &[Int8, Int8]),
    ("int8ne", "<>", &[Int8, Int8]), ("int8not", "~", &[Int8]), ("int8or", "|", &[Int8, Int8]),
    ("int8pl", "+", &[Int8, Int8]), ("int8shl", "<<", &[Int8, Int4]),
    ("int8shr", ">>", &[Int8, Int4]), ("int8um", "-", &[Int8]), ("int8up", "+", &[Int8]),
    ("int8xor", "#", &[Int8, Int8]), ("integer_pl_date", "+", &[Int4, Date]),
    ("interval_div", "/", &[Interval, Float8]), ("interval_eq", "=", &[Interval, Interval]),
    ("interval_ge", ">=", &[Interval, Interval]), ("interval_gt", ">", &[Interval, Interval]),
    ("interval_le", "<=", &[Interval, Interval]), ("interval_lt", "<", &[Interval, Interval]),
    ("interval_mi", "-", &[Interval, Interval]), ("interval_mul", "*", &[Interval, Float8]),
    ("interval_ne", "<>", &[Interval, Interval]), ("interval_pl", "+", &[Interval, Interval]),
    ("interval_pl_date", "+", &[Interval, Date]), ("interval_pl_time", "+", &[Interval, Time]),
    ("interval_pl_timestamp", "+", &[Interval, Timestamp]),
    ("interval_pl_timestamptz", "+", &[Interval, Timestamptz]), ("interval_um", "-", &[Interval]),
    ("mul_d_interval", "*", &[Float8, Interval]), ("nameeq", "=", &[Name, Name]),
    ("nameeqtext", "=", &[Name, Text]), ("namege", ">=", &[Name, Name]),
    ("namegetext", ">=", &[Name, Text]), ("namegt", ">", &[Name, Name]),
    ("namegttext", ">", &[Name, Text]), ("nameiclike", "~~*", &[Name, Text]),
    ("nameicnlike", "!~~*", &[Name, Text]), ("nameicregexeq", "~*", &[Name, Text]),
    ("nameicregexne", "!~*", &[Name, Text]), ("namele", "<=", &[Name, Name]),
    ("nameletext", "<=", &[Name, Text]), ("namelike", "~~", &[Name, Text]),
    ("namelt", "<", &[Name, Name]), ("namelttext", "<", &[Name, Text]),
    ("namene", "<>", &[Name, Name]), ("namenetext", "<>", &[Name, Text]),
    ("namenlike", "!~~", &[Name, Text]), ("nameregexeq", "~", &[Name, Text]),
    ("nameregexne", "!~", &[Name, Text]), ("numeric_abs", "@", &[Numeric]),
    ("numeric_add", "+", &[Numeric, Numeric]), ("numeric_div", "/", &[Numeric, Numeric]),
    ("numeric_eq", "=", &[Numeric, Numeric]), ("numeric_ge", ">=", &[Numeric, Numeric]),
    ("numeric_gt", ">", &[Numeric, Numeric]), ("numeric_le", "<=", &[Numeric, Numeric]),
    ("numeric_lt", "<", &[Numeric, Numeric]), ("numeric_mod", "%", &[Numeric, Numeric]),
    ("numeric_mul", "*", &[Numeric, Numeric]), ("numeric_ne", "<>", &[Numeric, Numeric]),
    ("numeric_power", "^", &[Numeric, Numeric]), ("numeric_sub", "-", &[Numeric, Numeric]),
    ("numeric_uminus", "-", &[Numeric]), ("numeric_uplus", "+", &[Numeric]),
    ("oideq", "=", &[Oid, Oid]), ("oidge", ">=", &[Oid, Oid]), ("oidgt", ">", &[Oid, Oid]),
    ("oidle", "<=", &[Oid, Oid]), ("oidlt", "<", &[Oid, Oid]), ("oidne", "<>", &[Oid, Oid]),
    ("starts_with", "^@", &[Text, Text]), ("text_ge", ">=", &[Text, Text]),
    ("text_gt", ">", &[Text, Text]), ("text_le", "<=", &[Text, Text]),
    ("text_lt", "<", &[Text, Text]), ("textcat", "||", &[Text, Text]),
    ("texteq", "=", &[Text, Text]), ("texteqname", "=", &[Text, Name]),
    ("textgename", ">=", &[Text, Name]), ("textgtname", ">", &[Text, Name]),
    ("texticlike", "~~*", &[Text, Text]), ("texticnlike", "!~~*", &[Text, Text]),
    ("texticregexeq", "~*", &[Text, Text]), ("texticregexne", "!~*", &[Text, Text]),
    ("textlename", "<=", &[Text, Name]), ("textlike", "~~", &[Text, Text]),
    ("textltname", "<", &[Text, Name]), ("textne", "<>", &[Text, Text]),
    ("textnename", "<>", &[Text, Name]), ("textnlike", "!~~", &[Text, Text]),
    ("textregexeq", "~", &[Text, Text]), ("textregexne", "!~", &[Text, Text]),
    ("time_eq", "=", &[Time, Time]), ("time_ge", ">=", &[Time, Time]),
    ("time_gt", ">", &[Time, Time]), ("time_le", "<=", &[Time, Time]),
    ("time_lt", "<", &[Time, Time]), ("time_mi_interval", "-", &[Time, Interval]),
    ("time_mi_time", "-", &[Time, Time]), ("time_ne", "<>", &[Time, Time]),
    ("time_pl_interval", "+", &[Time, Interval]), ("timedate_pl", "+", &[Time, Date]),
    ("timestamp_eq", "=", &[Timestamp, Timestamp]), ("timestamp_eq_date", "=", &[Timestamp, Date]),
    ("timestamp_eq_timestamptz", "=", &[Timestamp, Timestamptz]),
    ("timestamp_ge", ">=", &[Timestamp, Timestamp]),
    ("timestamp_ge_date", ">=", &[Timestamp, Date]),
    ("timestamp_ge_timestamptz", ">=", &[Timestamp, Timestamptz]),
    ("timestamp_gt", ">", &[Timestamp, Timestamp]), ("timestamp_gt_date", ">", &[Timestamp, Date]),
    ("timestamp_gt_timestamptz", ">", &[Timestamp, Timestamptz]),
    ("timestamp_le", "<=", &[Timestamp, Timestamp]),
    ("timestamp_le_date", "<=", &[Timestamp, Date]),
    ("timestamp_le_timestamptz", "<=", &[Timestamp, Timestamptz]),
    ("timestamp_lt", "<", &[Timestamp, Timestamp]), ("timestamp_lt_date", "<", &[Timestamp, Date]),
    ("timestamp_lt_timestamptz", "<", &[Timestamp, Timestamptz]),
    ("timestamp_mi", "-", &[Timestamp, Timestamp]),
    ("timestamp_mi_interval", "-", &[Timestamp, Interval]),
    ("timestamp_ne", "<>", &[Timestamp, Timestamp]),
    ("timestamp_ne_date", "<>", &[Timestamp, Date]),
    ("timestamp_ne_timestamptz", "<>", &[Timestamp, Timestamptz]),
    ("timestamp_pl_interval", "+", &[Timestamp, Interval]),
    ("timestamptz_eq", "=", &[Timestamptz, Timestamptz]),
    ("timestamptz_eq_date", "=", &[Timestamptz, Date]),
    ("timestamptz_eq_timestamp", "=", &[Timestamptz, Timestamp]),
    ("timestamptz_ge", ">=", &[Timestamptz, Timestamptz]),
    ("timestamptz_ge_date", ">=", &[Timestamptz, Date]),
    ("timestamptz_ge_timestamp", ">=", &[Timestamptz, Timestamp]),
    ("timestamptz_gt", ">", &[Timestamptz, Timestamptz]),
    ("timestamptz_gt_date", ">", &[Timestamptz, Date]),
    ("timestamptz_gt_timestamp", ">", &[Timestamptz, Timestamp]),
    ("timestamptz_le", "<=", &[Timestamptz, Timestamptz]),
    ("timestamptz_le_date", "<=", &[Timestamptz, Date]),
    ("timestamptz_le_timestamp", "<=", &[Timestamptz, Timestamp]),
    ("timestamptz_lt", "<", &[Timestamptz, Timestamptz]),
    ("timestamptz_lt_date", "<", &[Timestamptz, Date]),
    ("timestamptz_lt_timestamp", "<", &[Timestamptz, Timestamp]),
    ("timestamptz_mi", "-", &[Timestamptz, Timestamptz]),
    ("timestamptz_mi_interval", "-", &[Timestamptz, Interval]),
    ("timestamptz_ne", "<>", &[Timestamptz, Timestamptz]),
    ("timestamptz_ne_date", "<>", &[Timestamptz, Date]),
    ("timestamptz_ne_timestamp", "<>", &[Timestamptz, Timestamp]),
    ("timestamptz_pl_interval", "+", &[Timestamptz, Interval]),
    ("ts_match_tt", "@@", &[Text, Text]), ("uuid_eq", "=", &[Uuid, Uuid]),
    ("uuid_ge", ">=", &[Uuid, Uuid]), ("uuid_gt", ">", &[Uuid, Uuid]),
    ("uuid_le", "<=", &[Uuid, Uuid]), ("uuid_lt", "<", &[Uuid, Uuid]),
    ("uuid_ne", "<>", &[Uuid, Uuid]),
];

type Call = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;

/// The order of two values of the type, as -1, 0 or 1.
fn order<const BLANKS: bool>(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let ty = if BLANKS { Bpchar } else { args[0].data_type() };
    Ok(Value::Int4(compare_typed(ty, &args[0], &args[1]) as i32))
}

fn chosen<const LARGER: bool>(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let order = compare_typed(args[0].data_type(), &args[0], &args[1]);
    let first = if LARGER { order.is_gt() } else { order.is_lt() };
    Ok(args[usize::from(!first)].clone())
}

/// The binary form of a value, as the wire has it.
fn send(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let mut out = Vec::new();
    write_binary(&args[0], args[0].data_type(), &mut out);
    Ok(Value::Bytea(out.into()))
}

/// What compares, what gives the larger and the smaller, and of which type.
const ORDERED: [(&str, &str, &str, &[DataType]); 16] = [
    ("btint2cmp", "int2larger", "int2smaller", &[Int2, Int2]),
    ("btint4cmp", "int4larger", "int4smaller", &[Int4, Int4]),
    ("btint8cmp", "int8larger", "int8smaller", &[Int8, Int8]),
    ("btfloat4cmp", "float4larger", "float4smaller", &[Float4, Float4]),
    ("btfloat8cmp", "float8larger", "float8smaller", &[Float8, Float8]),
    ("numeric_cmp", "numeric_larger", "numeric_smaller", &[Numeric, Numeric]),
    ("bttextcmp", "text_larger", "text_smaller", &[Text, Text]),
    ("date_cmp", "date_larger", "date_smaller", &[Date, Date]),
    ("time_cmp", "time_larger", "time_smaller", &[Time, Time]),
    ("timestamp_cmp", "timestamp_larger", "timestamp_smaller", &[Timestamp, Timestamp]),
    ("timestamptz_cmp", "timestamptz_larger", "timestamptz_smaller", &[Timestamptz, Timestamptz]),
    ("interval_cmp", "interval_larger", "interval_smaller", &[Interval, Interval]),
    ("btoidcmp", "oidlarger", "oidsmaller", &[Oid, Oid]),
    ("uuid_cmp", "", "", &[Uuid, Uuid]),
    ("byteacmp", "", "", &[Bytea, Bytea]),
    ("btboolcmp", "", "", &[Bool, Bool]),
];

const SENT: [(&str, &[DataType]); 22] = [
    ("boolsend", &[Bool]),
    ("int2send", &[Int2]),
    ("int4send", &[Int4]),
    ("int8send", &[Int8]),
    ("oidsend", &[Oid]),
    ("float4send", &[Float4]),
    ("float8send", &[Float8]),
    ("numeric_send", &[Numeric]),
    ("textsend", &[Text]),
    ("varcharsend", &[Varchar]),
    ("bpcharsend", &[Bpchar]),
    ("namesend", &[Name]),
    ("byteasend", &[Bytea]),
    ("charsend", &[Char]),
    ("date_send", &[Date]),
    ("time_send", &[Time]),
    ("timestamp_send", &[Timestamp]),
    ("timestamptz_send", &[Timestamptz]),
    ("interval_send", &[Interval]),
    ("uuid_send", &[Uuid]),
    ("json_send", &[Json]),
    ("jsonb_send", &[Jsonb]),
];

/// The step of `bool_and` (`or` is false) and `bool_or`.
fn step(args: &[Value], or: bool) -> Value {
    let both = args[0].as_bool().zip(args[1].as_bool());
    both.map_or(Value::Null, |(a, b)| Value::Bool(if or { a || b } else { a && b }))
}

pub(super) fn add(t: &mut Builder) {
    for (name, operator, args) in OPERATORS {
        t.alias(name, operator, args);
    }
    for (cmp, larger, smaller, args) in ORDERED {
        t.add(cmp, args, Int4, Kernel::Values(order::<false>));
        if !larger.is_empty() {
            t.add(larger, args, args[0], Kernel::Values(chosen::<true>));
            t.add(smaller, args, args[0], Kernel::Values(chosen::<false>));
        }
    }
    t.add("bpcharcmp", &[Bpchar, Bpchar], Int4, Kernel::Values(order::<true>));
    for (name, args) in SENT {
        t.add(name, args, Bytea, Kernel::Values(send));
    }
    let logic: [(&'static str, Call); 2] = [
        ("booland_statefunc", |args, _| Ok(step(args, false))),
        ("boolor_statefunc", |args, _| Ok(step(args, true))),
    ];
    for (name, kernel) in logic {
        t.add(name, &[Bool, Bool], Bool, Kernel::Values(kernel));
    }
    t.add(
        "textlen",
        &[Text],
        Int4,
        Kernel::Values(|args, _| Value::from_int(Int4, arg::text(args, 0)?.chars().count() as i64)),
    );
}
