//! `numeric`: exact decimal numbers.

use num_bigint::BigInt;

/// An exact decimal number, or one of the three special values.
#[derive(Debug, Clone, PartialEq)]
pub enum Numeric {
    /// `digits / 10^scale`, when the digits fit 38 decimal places.
    Small {
        /// The unscaled number.
        digits: i128,
        /// Digits after the point that are displayed.
        scale: u16,
    },
    /// The same, beyond.
    Large(Box<(BigInt, u16)>),
    /// Not a number; equal to itself and above everything.
    NaN,
    /// Infinity.
    Infinity,
    /// Negative infinity.
    NegInfinity,
}
