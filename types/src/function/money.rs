//! Functions of `money`.

use super::table::Builder;
use super::{Kernel, arg, mistyped};
use crate::DataType::{self, Float4, Float8, Int2, Int4, Int8, Money, Text};
use crate::money::money_in_words;
use crate::{EvalContext, Value, ValueError};

fn cents(args: &[Value], index: usize) -> Result<i64, ValueError> {
    match &args[index] {
        Value::Money(v) => Ok(*v),
        other => Err(mistyped(other)),
    }
}

fn money(v: Option<i64>) -> Result<Value, ValueError> {
    v.map(Value::Money).ok_or_else(|| ValueError::out_of_range("money"))
}

/// The amount nearest to a number of cents.
fn rounded(v: f64) -> Result<Value, ValueError> {
    let v = v.round_ties_even();
    // 2^63 is the first number beyond.
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&v);
    money(fits.then_some(v as i64))
}

/// The product of an amount and a number, which stands at `factor`.
fn times(args: &[Value], factor: usize) -> Result<Value, ValueError> {
    let v = cents(args, 1 - factor)?;
    match args[factor].as_int() {
        Some(by) => money(v.checked_mul(by)),
        None => rounded(v as f64 * arg::float(args, factor)?),
    }
}

fn over(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let v = cents(args, 0)?;
    match args[1].as_int() {
        Some(0) => Err(ValueError::division_by_zero()),
        Some(by) => money(v.checked_div(by)),
        None => match arg::float(args, 1)? {
            0.0 => Err(ValueError::division_by_zero()),
            by => rounded(v as f64 / by),
        },
    }
}

pub(super) fn add(t: &mut Builder) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    const TWO: &[DataType] = &[Money, Money];
    let mut op = |name: &'static str, args: &'static [DataType], result, kernel: General| {
        t.add(name, args, result, Kernel::Values(kernel));
    };
    op("+", TWO, Money, |args, _| money(cents(args, 0)?.checked_add(cents(args, 1)?)));
    op("-", TWO, Money, |args, _| money(cents(args, 0)?.checked_sub(cents(args, 1)?)));
    op("/", TWO, Float8, |args, _| match cents(args, 1)? {
        0 => Err(ValueError::division_by_zero()),
        by => Ok(Value::Float8(cents(args, 0)? as f64 / by as f64)),
    });
    let left: [&'static [DataType]; 5] =
        [&[Money, Int2], &[Money, Int4], &[Money, Int8], &[Money, Float4], &[Money, Float8]];
    for args in left {
        op("*", args, Money, |args, _| times(args, 1));
        op("/", args, Money, over);
    }
    let right: [&'static [DataType]; 5] =
        [&[Int2, Money], &[Int4, Money], &[Int8, Money], &[Float4, Money], &[Float8, Money]];
    for args in right {
        op("*", args, Money, |args, _| times(args, 0));
    }
    op("cash_words", &[Money], Text, |args, _| Ok(Value::text(money_in_words(cents(args, 0)?))));
    op("cashlarger", TWO, Money, |args, _| money(Some(cents(args, 0)?.max(cents(args, 1)?))));
    op("cashsmaller", TWO, Money, |args, _| money(Some(cents(args, 0)?.min(cents(args, 1)?))));
}
