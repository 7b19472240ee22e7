//! Casts called like functions: `int4(3.5)`, `date('2020-01-01')`, `text(5)`.

use super::Kernel;
use super::table::Builder;
use crate::DataType::{
    self, Bool, Bpchar, Date, Float4, Float8, Int2, Int4, Int8, Interval, Name, Numeric, Oid, Text,
    Time, Timestamp, Timestamptz, Varchar,
};
use crate::cast::{CastContext, cast};
use crate::{EvalContext, Value, ValueError};

/// One kernel for each target; the source is known by the value, but for `character`, whose values are text.
macro_rules! to {
    ($target:ident from $source:ident) => {{
        fn kernel(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
            cast(args[0].clone(), $source, $target, -1, CastContext::Explicit, ctx)
        }
        Kernel::Values(kernel)
    }};
    ($target:ident) => {{
        fn kernel(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
            let from = args[0].data_type();
            cast(args[0].clone(), from, $target, -1, CastContext::Explicit, ctx)
        }
        Kernel::Values(kernel)
    }};
}

pub(super) fn add(t: &mut Builder) {
    let mut casts =
        |name: &'static str, target: DataType, kernel: Kernel, sources: &[&'static [DataType]]| {
            for source in sources {
                // Through text, and across time zones, the session decides.
                let stable = [Text, Timestamptz, Date, Timestamp].contains(&source[0])
                    || target == Timestamptz
                    || target == Text;
                if stable {
                    t.stable(name, source, target, kernel);
                } else {
                    t.add(name, source, target, kernel);
                }
            }
        };
    casts("int2", Int2, to!(Int2), &[&[Int4], &[Int8], &[Float4], &[Float8], &[Numeric], &[Text]]);
    casts(
        "int4",
        Int4,
        to!(Int4),
        &[&[Int2], &[Int8], &[Float4], &[Float8], &[Numeric], &[Bool], &[Text]],
    );
    casts(
        "int8",
        Int8,
        to!(Int8),
        &[&[Int2], &[Int4], &[Oid], &[Float4], &[Float8], &[Numeric], &[Text]],
    );
    casts("oid", Oid, to!(Oid), &[&[Int8], &[Text]]);
    casts(
        "float4",
        Float4,
        to!(Float4),
        &[&[Int2], &[Int4], &[Int8], &[Float8], &[Numeric], &[Text]],
    );
    casts(
        "float8",
        Float8,
        to!(Float8),
        &[&[Int2], &[Int4], &[Int8], &[Float4], &[Numeric], &[Text]],
    );
    casts(
        "numeric",
        Numeric,
        to!(Numeric),
        &[&[Int2], &[Int4], &[Int8], &[Float4], &[Float8], &[Text]],
    );
    casts("bool", Bool, to!(Bool), &[&[Int4], &[Text]]);
    casts("date", Date, to!(Date), &[&[Timestamp], &[Timestamptz], &[Text]]);
    casts("time", Time, to!(Time), &[&[Timestamp], &[Timestamptz], &[Interval], &[Text]]);
    casts("timestamp", Timestamp, to!(Timestamp), &[&[Date], &[Timestamptz], &[Text]]);
    casts("timestamptz", Timestamptz, to!(Timestamptz), &[&[Date], &[Timestamp], &[Text]]);
    casts("interval", Interval, to!(Interval), &[&[Time], &[Text]]);
    casts(
        "text",
        Text,
        to!(Text),
        &[
            &[Bool],
            &[Name],
            &[Text],
            &[Int4],
            &[Int8],
            &[Numeric],
            &[Float8],
            &[Date],
            &[Timestamp],
            &[Timestamptz],
        ],
    );
    casts("varchar", Varchar, to!(Varchar), &[&[Name], &[Text]]);
    casts("name", Name, to!(Name), &[&[Text], &[Varchar]]);
    casts("text", Text, to!(Text from Bpchar), &[&[Bpchar]]);
    casts("name", Name, to!(Name from Bpchar), &[&[Bpchar]]);
}
