//! `bit_and`, `bit_or` and `bit_xor` of bit strings.

use super::Accumulator;
use crate::function::mistyped;
use crate::{Bits, SqlState, Value, ValueError};

/// All strings, which must be of one length, bit by bit.
#[derive(Clone)]
pub(super) struct BitStrings {
    join: fn(bool, bool) -> bool,
    joined: Option<Value>,
}

impl BitStrings {
    pub(super) fn new(join: fn(bool, bool) -> bool) -> Self {
        Self { join, joined: None }
    }
}

impl Accumulator for BitStrings {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let next = match &args[0] {
            Value::Null => return Ok(()),
            Value::Bits(bits) => bits,
            other => return Err(mistyped(other)),
        };
        let Some(Value::Bits(before)) = &self.joined else {
            self.joined = Some(args[0].clone());
            return Ok(());
        };
        if before.len() != next.len() {
            let what = match ((self.join)(true, false), (self.join)(true, true)) {
                (false, _) => "AND",
                (true, true) => "OR",
                (true, false) => "XOR",
            };
            let message = format!("cannot {what} bit strings of different sizes");
            return Err(ValueError::new(SqlState::StringDataLengthMismatch, message));
        }
        let bit = |at: usize| (self.join)(before.get(at), next.get(at));
        self.joined = Some(Value::bits(Bits::from_bits((0..next.len()).map(bit))?));
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(self.joined.take().unwrap_or(Value::Null))
    }
}
