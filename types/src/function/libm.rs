//! Functions that Rust's library computes otherwise than the C library that PostgreSQL asks.
//!
//! Both are right to about a unit in the last place, and differ there. PostgreSQL's answers are those of
//! glibc, so these are its algorithms, operation by operation.
//!
//! Sources: glibc 2.36, sysdeps/ieee754/dbl-64: s_cbrt.c, e_acosh.c, s_asinh.c, e_atanh.c.

use std::f64::consts::LN_2;

/// 2^28: beyond it the square swallows the one beside it.
const LARGE: f64 = 268_435_456.0;

/// The cube root: a polynomial of the mantissa, one step of Halley's method, a factor for the exponent.
pub(super) fn cube_root(x: f64) -> f64 {
    const CBRT_2: f64 = 1.259_921_049_894_873_2;
    const CBRT_4: f64 = 1.587_401_051_968_199_6;
    const FACTORS: [f64; 5] = [1.0 / CBRT_4, 1.0 / CBRT_2, 1.0, CBRT_2, CBRT_4];
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let (m, exponent) = split(x.abs());
    let u = 0.354_895_765_043_919_84
        + ((1.508_191_937_815_849
            - ((2.114_994_941_673_713
                - ((2.446_931_225_635_344_4
                    - ((1.834_692_774_836_130_8
                        - (0.784_932_344_976_639_2 - 0.145_263_899_385_486_37 * m) * m)
                        * m))
                    * m))
                * m))
            * m);
    let cube = u * u * u;
    let root = u * (cube + 2.0 * m) / (2.0 * cube + m) * FACTORS[(2 + exponent % 3) as usize];
    let root = root * f64::powi(2.0, exponent / 3);
    if x > 0.0 { root } else { -root }
}

/// Mantissa from one half to one, and exponent.
fn split(x: f64) -> (f64, i32) {
    // Denormal numbers are made normal first.
    let (x, shift) = if x < f64::MIN_POSITIVE { (x * LARGE * LARGE, -56) } else { (x, 0) };
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i32 - 1022;
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1022 << 52));
    (mantissa, exponent + shift)
}

/// The inverse hyperbolic cosine of what is at least one.
pub(super) fn acosh(x: f64) -> f64 {
    if x > LARGE {
        return if x.is_finite() { x.ln() + LN_2 } else { x };
    }
    if x == 1.0 {
        return 0.0;
    }
    if x > 2.0 {
        let square = x * x;
        return (2.0 * x - 1.0 / (x + (square - 1.0).sqrt())).ln();
    }
    let t = x - 1.0;
    (t + (2.0 * t + t * t).sqrt()).ln_1p()
}

/// The inverse hyperbolic sine.
pub(super) fn asinh(x: f64) -> f64 {
    let a = x.abs();
    if a < 1.0 / LARGE || !x.is_finite() {
        return x;
    }
    let w = if a > LARGE {
        a.ln() + LN_2
    } else if a > 2.0 {
        (2.0 * a + 1.0 / ((a * a + 1.0).sqrt() + a)).ln()
    } else {
        let square = a * a;
        (a + square / (1.0 + (1.0 + square).sqrt())).ln_1p()
    };
    w.copysign(x)
}

/// The inverse hyperbolic tangent of what is between minus one and one.
pub(super) fn atanh(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let a = x.abs();
    let t = if a < 0.5 {
        if a < 1.0 / LARGE {
            return x;
        }
        let double = a + a;
        0.5 * (double + double * a / (1.0 - a)).ln_1p()
    } else if a < 1.0 {
        0.5 * ((a + a) / (1.0 - a)).ln_1p()
    } else {
        // One has no finite one.
        f64::INFINITY
    };
    t.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_glibc_computes_them() {
        let cases: [(f64, f64); 6] = [
            (1.5, 1.1447142425533317),
            (7.0, 1.9129311827723894),
            (0.1, 0.46415888336127786),
            (1e200, 4.64158883361278e66),
            (1e-200, 2.1544346900318834e-67),
            (4.9e-324, 1.7031839360032601e-108),
        ];
        for (x, root) in cases {
            assert_eq!(cube_root(x), root, "the cube root of {x}");
            assert_eq!(cube_root(-x), -root, "the cube root of -{x}");
        }
        assert_eq!(acosh(2.5), 1.566799236972411);
        assert_eq!((acosh(1.0), asinh(0.0), atanh(0.0)), (0.0, 0.0, 0.0));
        assert!(asinh(-1.0) < 0.0 && atanh(1.0).is_infinite() && atanh(f64::NAN).is_nan());
    }
}
