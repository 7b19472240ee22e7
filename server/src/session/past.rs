//! A session or a transaction in the past.
//!
//! `SET driftdb.as_of`, also as a connection option, makes every later transaction of the session read
//! as of a time, the catalog included; `BEGIN … AS OF` and `SET TRANSACTION AS OF` do so for one. Such a
//! transaction is read-only. A clause at a table still names that table's own time.
//!
//! The setting is kept in one form that means the same under every other setting: a number of a commit,
//! or a time in UTC. What is relative, like `-10 minutes`, is so to the moment of SET.

use driftdb_concurrency::BeginOptions;
use driftdb_query::{Catalog, Moment, PastTime, Result, SqlError, timestamptz_of};
use driftdb_storage::Timestamp;
use driftdb_types::{
    CastContext, DataType, EvalContext, SqlState, Value, cast, function, resolve_operator,
    write_text,
};

use super::Session;

/// The setting.
pub(super) const AS_OF: &str = "driftdb.as_of";

/// What the setting names.
#[derive(Debug, PartialEq, Eq)]
enum Past {
    Time(PastTime),
    /// Looked up whenever a transaction begins.
    RestorePoint(String),
}

/// A time as text: every form that the setting takes comes through here.
fn parse(text: &str, eval: &EvalContext) -> Result<Past> {
    let text = text.trim();
    const POINT: &str = "restore point ";
    if text.get(..POINT.len()).is_some_and(|start| start.eq_ignore_ascii_case(POINT)) {
        let name = text[POINT.len()..].trim();
        let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        return Ok(Past::RestorePoint(match quoted {
            Some(name) => name.replace("\"\"", "\""),
            None => name.to_ascii_lowercase(),
        }));
    }
    parse_time(text, eval).map(Past::Time)
}

fn parse_time(text: &str, eval: &EvalContext) -> Result<PastTime> {
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
    SqlError::new(SqlState::InvalidParameterValue, message).with_hint(
        "Give a timestamp, an interval such as '-10 minutes', '@SEQ:n', or 'RESTORE POINT name'.",
    )
}

/// The form in which the setting is kept.
fn canonical(past: &Past) -> String {
    let micros = match past {
        Past::RestorePoint(name) => {
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            return if name.chars().all(is_plain) {
                format!("RESTORE POINT {name}")
            } else {
                format!("RESTORE POINT \"{}\"", name.replace('"', "\"\""))
            };
        }
        Past::Time(PastTime::Sequence(number)) => return format!("@SEQ:{number}"),
        Past::Time(PastTime::Timestamptz(micros)) => *micros,
        Past::Time(PastTime::Commit(ts)) => timestamptz_of(*ts),
    };
    let mut out = Vec::new();
    let utc = EvalContext::default();
    write_text(&Value::Timestamptz(micros), DataType::Timestamptz, &utc, &mut out);
    String::from_utf8_lossy(&out).into_owned()
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
        let past = parse(text, &self.eval)?;
        self.check_past(self.time_of(&past)?)?;
        Ok(Some(canonical(&past)))
    }

    fn time_of(&self, past: &Past) -> Result<PastTime> {
        match past {
            Past::Time(time) => Ok(*time),
            Past::RestorePoint(name) => match self.time_of_restore_point(name)? {
                Some(time) => Ok(PastTime::Commit(time)),
                None => {
                    let message = format!("restore point \"{name}\" does not exist");
                    Err(SqlError::new(SqlState::UndefinedObject, message))
                }
            },
        }
    }

    /// The time of a restore point, as committed.
    pub(super) fn time_of_restore_point(&self, name: &str) -> Result<Option<Timestamp>> {
        let options = BeginOptions { read_only: true, ..BeginOptions::default() };
        let mut txn = self.node.store().begin(options)?;
        txn.begin_statement()?;
        let mut catalog = self.node.catalog().reader(txn.as_mut(), self.node.store(), false);
        let time = catalog.time_of_restore_point(name);
        drop(catalog);
        txn.rollback();
        time
    }

    /// Fails if nothing can be read as of a time.
    pub(super) fn check_past(&self, time: PastTime) -> Result<()> {
        let as_of = Some(self.past_timestamp(time)?);
        self.node.store().begin(BeginOptions { as_of, ..BeginOptions::default() })?.rollback();
        Ok(())
    }

    pub(super) fn past_timestamp(&self, time: PastTime) -> Result<Timestamp> {
        Ok(match time {
            PastTime::Timestamptz(micros) => Moment::of_timestamptz(micros).last,
            PastTime::Sequence(number) => self.node.store().timestamp_of_sequence(number)?,
            PastTime::Commit(ts) => ts,
        })
    }

    /// The time that the next transaction of the session reads at, unless it is now.
    pub(super) fn past(&self) -> Result<Option<Timestamp>> {
        let time = match self.block.past() {
            Some(time) => time,
            None => match self.settings.as_of() {
                "" => return Ok(None),
                text => self.time_of(&parse(text, &EvalContext::default())?)?,
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
            Ok(past) => canonical(&past),
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
        check("Restore Point Before_Import", "RESTORE POINT before_import");
        check("restore point \"Q 1\"", "RESTORE POINT \"Q 1\"");
    }
}
