//! A session or a transaction in the past.
//!
//! `SET driftdb.as_of`, also as a connection option, makes every later transaction of the session read
//! as of a time, the catalog included; `BEGIN … AS OF` and `SET TRANSACTION AS OF` do so for one. Such a
//! transaction is read-only. A clause at a table still names that table's own time.
//!
//! The setting is kept in one form that means the same under every other setting: a number of a commit,
//! or a time in UTC. What is relative, like `-10 minutes`, is so to the moment of SET.

use driftdb_concurrency::BeginOptions;
use driftdb_query::{Moment, PastTime, Result, SqlError};
use driftdb_storage::Timestamp;
use driftdb_types::{
    CastContext, DataType, EvalContext, SqlState, Value, cast, function, resolve_operator,
    write_text,
};

use super::Session;

/// The setting.
pub(super) const AS_OF: &str = "driftdb.as_of";

/// A time as text: every form that the setting takes comes through here.
fn parse(text: &str, eval: &EvalContext) -> Result<PastTime> {
    let text = text.trim();
    if let Some(number) = text.get(..5).filter(|start| start.eq_ignore_ascii_case("@SEQ:")) {
        let number = text[number.len()..].trim().parse();
        return number.map(PastTime::Sequence).map_err(|_| invalid(text));
    }
    let to = |ty| cast(Value::text(text), DataType::Unknown, ty, -1, CastContext::Explicit, eval);
    if text.starts_with('-')
        && let Ok(Value::Interval(ago)) = to(DataType::Interval)
    {
        // Like any sum of a time and an interval.
        let sum = resolve_operator("+", Some(DataType::Timestamptz), Some(DataType::Interval))?;
        let args = [Value::Timestamptz(eval.statement_ts), Value::Interval(ago)];
        return match function(sum.id).eval(&args, eval)? {
            Value::Timestamptz(micros) => Ok(PastTime::Timestamptz(micros)),
            _ => Err(invalid(text)),
        };
    }
    match to(DataType::Timestamptz)? {
        Value::Timestamptz(micros) => Ok(PastTime::Timestamptz(micros)),
        _ => Err(invalid(text)),
    }
}

fn invalid(text: &str) -> SqlError {
    let message = format!("invalid value for parameter \"{AS_OF}\": \"{text}\"");
    SqlError::new(SqlState::InvalidParameterValue, message)
        .with_hint("Give a timestamp, an interval such as '-10 minutes', or '@SEQ:n'.")
}

/// The form in which the setting is kept.
fn canonical(time: PastTime) -> String {
    match time {
        PastTime::Sequence(number) => format!("@SEQ:{number}"),
        PastTime::Timestamptz(micros) => {
            let mut out = Vec::new();
            let utc = EvalContext::default();
            write_text(&Value::Timestamptz(micros), DataType::Timestamptz, &utc, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
    }
}

impl Session {
    /// What the setting becomes; `None`: what RESET goes back to.
    ///
    /// # Errors
    /// No time, one that cannot be read (22023, 72000), or the transaction has read already.
    pub(super) fn past_setting(&self, value: Option<&str>) -> Result<Option<String>> {
        if self.block.txn.is_some() {
            let message = format!("{AS_OF} must be set before any query of the transaction");
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
        }
        let Some(text) = value else { return Ok(None) };
        if text.trim().is_empty() {
            return Ok(Some(String::new()));
        }
        let time = parse(text, &self.eval)?;
        self.check_past(time)?;
        Ok(Some(canonical(time)))
    }

    /// Fails if nothing can be read as of a time.
    pub(super) fn check_past(&self, time: PastTime) -> Result<()> {
        let as_of = Some(self.past_timestamp(time)?);
        self.node.store().begin(BeginOptions { as_of, ..BeginOptions::default() })?.rollback();
        Ok(())
    }

    fn past_timestamp(&self, time: PastTime) -> Result<Timestamp> {
        Ok(match time {
            PastTime::Timestamptz(micros) => Moment::of_timestamptz(micros).last,
            PastTime::Sequence(number) => self.node.store().timestamp_of_sequence(number)?,
        })
    }

    /// The time that the next transaction of the session reads at, unless it is now.
    pub(super) fn past(&self) -> Result<Option<Timestamp>> {
        let time = match self.block.past() {
            Some(time) => time,
            None => match self.settings.as_of() {
                "" => return Ok(None),
                text => parse(text, &EvalContext::default())?,
            },
        };
        self.past_timestamp(time).map(Some)
    }

    /// Whether the running transaction, or the next, reads the past.
    pub(super) fn is_in_past(&self) -> bool {
        self.block.past().is_some() || !self.settings.as_of().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let eval = EvalContext { statement_ts: 3_600_000_000, ..EvalContext::default() };
        let shown = match parse(text, &eval) {
            Ok(time) => canonical(time),
            Err(error) => error.state.code().to_owned(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn a_time_has_one_form() {
        check("2026-11-22 12:00:00+02", "2026-11-22 10:00:00+00");
        check("-30 minutes", "2000-01-01 00:30:00+00");
        check("@seq: 42", "@SEQ:42");
        check("@SEQ:", "22023");
        check("@SEQ:-1", "22023");
        check("yesterdayish", "22007");
        check("-", "22007");
    }
}
