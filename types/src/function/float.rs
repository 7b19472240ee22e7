//! Operators and functions of `real` and `double precision`.

use super::Kernel;
use super::libm::{acosh, asinh, atanh, cube_root};
use super::table::Builder;
use crate::DataType::{self, Float4, Float8};
use crate::{SqlState, Value, ValueError};

type Outcome = Result<f64, ValueError>;

fn overflow() -> ValueError {
    ValueError::out_of_range("value").overflow()
}

fn underflow() -> ValueError {
    ValueError::out_of_range("value").underflow()
}

/// A result is not infinite or zero unless an operand made it so.
fn check(v: f64, may_be_infinite: bool, may_be_zero: bool) -> Outcome {
    if v.is_infinite() && !may_be_infinite {
        return Err(overflow());
    }
    if v == 0.0 && !may_be_zero {
        return Err(underflow());
    }
    Ok(v)
}

fn plus(a: f64, b: f64) -> Outcome {
    check(a + b, a.is_infinite() || b.is_infinite(), true)
}

fn minus(a: f64, b: f64) -> Outcome {
    check(a - b, a.is_infinite() || b.is_infinite(), true)
}

fn times(a: f64, b: f64) -> Outcome {
    check(a * b, a.is_infinite() || b.is_infinite(), a == 0.0 || b == 0.0)
}

fn over(a: f64, b: f64) -> Outcome {
    if b == 0.0 && !a.is_nan() {
        return Err(ValueError::division_by_zero());
    }
    check(a / b, a.is_infinite(), a == 0.0 || b.is_infinite())
}

/// Rounds to `real`. The four operations on two `real`s are exact enough in double to round once.
fn narrow(v: f64, exact_zero: bool) -> Outcome {
    let single = v as f32;
    if single.is_infinite() && !v.is_infinite() {
        return Err(overflow());
    }
    if single == 0.0 && v != 0.0 && !exact_zero {
        return Err(underflow());
    }
    Ok(f64::from(single))
}

fn arithmetic(t: &mut Builder, args: &'static [DataType]) {
    t.add("+", args, Float8, Kernel::Float2(plus));
    t.add("-", args, Float8, Kernel::Float2(minus));
    t.add("*", args, Float8, Kernel::Float2(times));
    t.add("/", args, Float8, Kernel::Float2(over));
}

fn power(a: f64, b: f64) -> Outcome {
    let invalid = |text: &str| ValueError::new(SqlState::InvalidArgumentForPowerFunction, text);
    if a.is_nan() || b.is_nan() {
        return Ok(a.powf(b));
    }
    if a == 0.0 && b < 0.0 {
        return Err(invalid("zero raised to a negative power is undefined"));
    }
    if a < 0.0 && b.floor() != b {
        return Err(invalid(
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    let v = a.powf(b);
    check(v, a.is_infinite() || b.is_infinite(), a == 0.0 || a.is_infinite() || b.is_infinite())
}

fn square_root(a: f64) -> Outcome {
    if a < 0.0 {
        let text = "cannot take square root of a negative number";
        return Err(ValueError::new(SqlState::InvalidArgumentForPowerFunction, text));
    }
    Ok(a.sqrt())
}

fn logarithm(a: f64, f: fn(f64) -> f64) -> Outcome {
    let problem = if a == 0.0 {
        "cannot take logarithm of zero"
    } else if a < 0.0 {
        "cannot take logarithm of a negative number"
    } else {
        return Ok(f(a));
    };
    Err(ValueError::new(SqlState::InvalidArgumentForLogarithm, problem))
}

fn exponential(a: f64) -> Outcome {
    check(a.exp(), a.is_infinite(), a == f64::NEG_INFINITY)
}

fn input_range() -> ValueError {
    ValueError::new(SqlState::NumericValueOutOfRange, "input is out of range")
}

fn within(a: f64, low: f64, high: f64, f: fn(f64) -> f64) -> Outcome {
    if a.is_nan() || (low..=high).contains(&a) { Ok(f(a)) } else { Err(input_range()) }
}

fn periodic(a: f64, f: fn(f64) -> f64) -> Outcome {
    if a.is_infinite() { Err(input_range()) } else { Ok(f(a)) }
}

/// Degrees to radians, as PostgreSQL rounds it.
const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;

/// The sine between 0 and 90 degrees, exact at 30 and 90.
fn sine_of_quadrant(degrees: f64) -> f64 {
    if degrees <= 30.0 { small_sine(degrees) } else { small_cosine(90.0 - degrees) }
}

/// The cosine between 0 and 90 degrees, exact at 60 and 90.
fn cosine_of_quadrant(degrees: f64) -> f64 {
    if degrees <= 60.0 { small_cosine(degrees) } else { small_sine(90.0 - degrees) }
}

fn small_sine(degrees: f64) -> f64 {
    let sine_30 = (30.0 * RADIANS_PER_DEGREE).sin();
    (degrees * RADIANS_PER_DEGREE).sin() / sine_30 / 2.0
}

fn small_cosine(degrees: f64) -> f64 {
    let rest_60 = 1.0 - (60.0 * RADIANS_PER_DEGREE).cos();
    let rest = 1.0 - (degrees * RADIANS_PER_DEGREE).cos();
    1.0 - rest / rest_60 / 2.0
}

/// An angle folded into the first quadrant, and the signs that its sine and cosine have there.
fn fold(degrees: f64) -> (f64, f64, f64) {
    let reduced = degrees % 360.0;
    let (mut sine, mut cosine) = (1.0, 1.0);
    let mut angle = reduced;
    if angle < 0.0 {
        angle = -angle;
        sine = -sine;
    }
    if angle > 180.0 {
        angle = 360.0 - angle;
        sine = -sine;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
        cosine = -cosine;
    }
    (angle, sine, cosine)
}

fn tangent_of_degrees(degrees: f64) -> f64 {
    let (angle, sine, cosine) = fold(degrees);
    let tangent_45 = sine_of_quadrant(45.0) / cosine_of_quadrant(45.0);
    let tangent = sine_of_quadrant(angle) / cosine_of_quadrant(angle);
    let v = sine * cosine * (tangent / tangent_45);
    // No negative zero.
    if v == 0.0 { 0.0 } else { v }
}

fn arc_sine_of_quadrant(v: f64) -> f64 {
    if v <= 0.5 { v.asin() / 0.5f64.asin() * 30.0 } else { 90.0 - v.acos() / 0.5f64.acos() * 60.0 }
}

fn arc_cosine_of_quadrant(v: f64) -> f64 {
    if v <= 0.5 { 90.0 - v.asin() / 0.5f64.asin() * 30.0 } else { v.acos() / 0.5f64.acos() * 60.0 }
}

fn trigonometry(t: &mut Builder) {
    let mut one = |name: &'static str, kernel: fn(f64) -> Outcome| {
        t.add(name, &[Float8], Float8, Kernel::Float1(kernel));
    };
    one("sin", |a| periodic(a, f64::sin));
    one("cos", |a| periodic(a, f64::cos));
    one("tan", |a| periodic(a, f64::tan));
    one("cot", |a| periodic(a, |a| 1.0 / a.tan()));
    one("asin", |a| within(a, -1.0, 1.0, f64::asin));
    one("acos", |a| within(a, -1.0, 1.0, f64::acos));
    one("atan", |a| Ok(a.atan()));
    one("sinh", |a| Ok(a.sinh()));
    one("cosh", |a| Ok(a.cosh()));
    one("tanh", |a| Ok(a.tanh()));
    one("asinh", |a| Ok(asinh(a)));
    one("acosh", |a| within(a, 1.0, f64::INFINITY, acosh));
    one("atanh", |a| within(a, -1.0, 1.0, atanh));
    one("degrees", |a| check(a / RADIANS_PER_DEGREE, a.is_infinite(), a == 0.0));
    one("radians", |a| check(a * RADIANS_PER_DEGREE, a.is_infinite(), a == 0.0));
    one("sind", |a| {
        periodic(a, |a| {
            let (angle, sine, _) = fold(a);
            sine * sine_of_quadrant(angle)
        })
    });
    one("cosd", |a| {
        periodic(a, |a| {
            let (angle, _, cosine) = fold(a);
            cosine * cosine_of_quadrant(angle)
        })
    });
    one("tand", |a| periodic(a, tangent_of_degrees));
    one("cotd", |a| {
        periodic(a, |a| {
            let (angle, sine, cosine) = fold(a);
            let cotangent_45 = cosine_of_quadrant(45.0) / sine_of_quadrant(45.0);
            let cotangent = cosine_of_quadrant(angle) / sine_of_quadrant(angle);
            let v = sine * cosine * (cotangent / cotangent_45);
            if v == 0.0 { 0.0 } else { v }
        })
    });
    one("asind", |a| {
        let of = |a: f64| a.signum() * arc_sine_of_quadrant(a.abs());
        within(a, -1.0, 1.0, of)
    });
    one("acosd", |a| {
        within(a, -1.0, 1.0, |a| {
            if a >= 0.0 { arc_cosine_of_quadrant(a) } else { 90.0 + arc_sine_of_quadrant(-a) }
        })
    });
    one("atand", |a| Ok(a.atan() / 1.0f64.atan() * 45.0));
    let degrees = |a: f64, b: f64| Ok(a.atan2(b) / 1.0f64.atan() * 45.0);
    t.add("atan2d", &[Float8, Float8], Float8, Kernel::Float2(degrees));
    t.add("atan2", &[Float8, Float8], Float8, Kernel::Float2(|a, b| Ok(a.atan2(b))));
}

/// The histogram bucket of an operand.
pub(super) fn width_bucket(v: f64, low: f64, high: f64, count: i64) -> Result<Value, ValueError> {
    let invalid =
        |text: &str| ValueError::new(SqlState::InvalidArgumentForWidthBucketFunction, text);
    if count <= 0 {
        return Err(invalid("count must be greater than zero"));
    }
    if v.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(invalid("lower and upper bounds must be finite"));
    }
    if low == high {
        return Err(invalid("lower bound cannot equal upper bound"));
    }
    let (position, span, below, above) = if low < high {
        (v - low, high - low, v < low, v >= high)
    } else {
        (low - v, low - high, v > low, v <= high)
    };
    let bucket = if below {
        0
    } else if above {
        count + 1
    } else {
        ((count as f64 * (position / span)) as i64).min(count - 1) + 1
    };
    i32::try_from(bucket).map(Value::Int4).map_err(|_| ValueError::out_of_range("integer"))
}

pub(super) fn add(t: &mut Builder) {
    t.add("+", &[Float4, Float4], Float4, Kernel::Float2(|a, b| narrow(plus(a, b)?, false)));
    t.add("-", &[Float4, Float4], Float4, Kernel::Float2(|a, b| narrow(minus(a, b)?, false)));
    t.add("*", &[Float4, Float4], Float4, Kernel::Float2(|a, b| narrow(times(a, b)?, false)));
    t.add(
        "/",
        &[Float4, Float4],
        Float4,
        Kernel::Float2(|a, b| narrow(over(a, b)?, b.is_infinite())),
    );
    arithmetic(t, &[Float8, Float8]);
    arithmetic(t, &[Float4, Float8]);
    arithmetic(t, &[Float8, Float4]);
    t.add("+", &[Float4], Float4, Kernel::Float1(Ok));
    t.add("+", &[Float8], Float8, Kernel::Float1(Ok));
    t.add("-", &[Float4], Float4, Kernel::Float1(|a| Ok(-a)));
    t.add("-", &[Float8], Float8, Kernel::Float1(|a| Ok(-a)));
    for name in ["@", "abs"] {
        t.add(name, &[Float4], Float4, Kernel::Float1(|a| Ok(a.abs())));
        t.add(name, &[Float8], Float8, Kernel::Float1(|a| Ok(a.abs())));
    }
    for name in ["^", "power", "pow"] {
        t.add(name, &[Float8, Float8], Float8, Kernel::Float2(power));
    }
    let mut one = |name: &'static str, kernel: fn(f64) -> Outcome| {
        t.add(name, &[Float8], Float8, Kernel::Float1(kernel));
    };
    one("|/", square_root);
    one("sqrt", square_root);
    one("||/", |a| Ok(cube_root(a)));
    one("cbrt", |a| Ok(cube_root(a)));
    one("exp", exponential);
    one("ln", |a| logarithm(a, f64::ln));
    one("log", |a| logarithm(a, f64::log10));
    one("log10", |a| logarithm(a, f64::log10));
    // Halves go to the even neighbour, as rint has it.
    one("round", |a| Ok(a.round_ties_even()));
    one("trunc", |a| Ok(a.trunc()));
    one("ceil", |a| Ok(a.ceil()));
    one("ceiling", |a| Ok(a.ceil()));
    one("floor", |a| Ok(a.floor()));
    one("sign", |a| {
        Ok(if a > 0.0 {
            1.0
        } else if a < 0.0 {
            -1.0
        } else {
            0.0
        })
    });
    trigonometry(t);
    t.add("pi", &[], Float8, Kernel::Values(|_, _| Ok(Value::Float8(std::f64::consts::PI))));
}
