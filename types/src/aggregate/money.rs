//! `sum(money)`.

use super::Accumulator;
use crate::function::mistyped;
use crate::{Value, ValueError};

/// The sum of the amounts; NULL if there is none.
#[derive(Clone, Default)]
pub(super) struct MoneySum {
    sum: Option<i64>,
}

impl Accumulator for MoneySum {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let v = match &args[0] {
            Value::Null => return Ok(()),
            Value::Money(v) => *v,
            other => return Err(mistyped(other)),
        };
        let sum = self.sum.unwrap_or(0).checked_add(v);
        self.sum = Some(sum.ok_or_else(|| ValueError::out_of_range("money"))?);
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(self.sum.map_or(Value::Null, Value::Money))
    }
}
