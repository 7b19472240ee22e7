//! A client of the simulated node: a session, its answers as numbers and text, and its errors sorted
//! by what they leave of the transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_query::SqlError;
use driftdb_server::session::{Answers, ResponseSink};
use driftdb_server::{Node, Session, SessionOptions};
use driftdb_types::{SqlState, Value};

use crate::operations;

/// Why a statement or transaction was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Conflict or deadlock: nothing of it is there; trying again makes sense.
    Retry,
    /// The store does not go on: nothing of it is there.
    Unavailable,
    /// It may be there.
    Unknown,
    /// The past is no longer promised.
    TooOld,
    /// What is stored is said to be damaged; nothing of it is there.
    Damage(String),
    /// Crashes, full and failing disks can never explain this.
    Violation(String),
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Self {
        match error.state {
            SqlState::SerializationFailure
            | SqlState::DeadlockDetected
            | SqlState::LockNotAvailable => Self::Retry,
            SqlState::IoError | SqlState::DiskFull | SqlState::AdminShutdown => Self::Unavailable,
            SqlState::TransactionResolutionUnknown => Self::Unknown,
            SqlState::SnapshotTooOld => Self::TooOld,
            SqlState::DataCorrupted => Self::Damage(format!("unexpected error XX001: {error}")),
            state => Self::Violation(format!("unexpected error {}: {error}", state.code())),
        }
    }
}

/// A client's connection.
pub(crate) struct Client {
    session: Session,
    /// The names of prepared statements by their text; `None` if every statement is sent anew.
    prepared: Option<BTreeMap<String, String>>,
}

impl Client {
    /// A connection that prepares each statement once, or sends each anew.
    pub(crate) fn new(node: &Arc<Node>, prepares: bool) -> Result<Self, Refusal> {
        let session = Session::new(node, &SessionOptions::default())?;
        Ok(Self { session, prepared: prepares.then(BTreeMap::new) })
    }

    /// Runs one statement with parameters; its rows.
    pub(crate) fn run(&mut self, text: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, Refusal> {
        let ran = self.run_silently(text, params);
        say(text, params, &ran);
        ran
    }

    /// Runs one statement; its rows, or its error as it is.
    pub(crate) fn attempt(&mut self, text: &str) -> Result<Vec<Vec<Value>>, SqlError> {
        let ran = self.session.execute_with(text, &[]).map(|answer| answer.rows);
        operations::say(|| match &ran {
            Ok(rows) => format!("{text} → {} rows", rows.len()),
            Err(error) => format!("{text} → {error}"),
        });
        ran
    }

    fn run_silently(&mut self, text: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, Refusal> {
        if self.prepared.is_none() {
            return Ok(self.session.execute_with(text, params)?.rows);
        }
        let mut answers = Answers::default();
        let ran = self.run_prepared(text, params, &mut answers);
        // As a driver does: Sync also after an error.
        let synced = self.session.sync(&mut answers);
        ran?;
        synced?;
        match (answers.error, answers.finished.pop()) {
            (Some(error), _) => Err(error.into()),
            (None, Some(answer)) => Ok(answer.rows),
            (None, None) => Err(Refusal::Violation(format!("\"{text}\" gave no answer"))),
        }
    }

    fn run_prepared(
        &mut self,
        text: &str,
        params: &[Value],
        answers: &mut Answers,
    ) -> Result<(), SqlError> {
        let Self { session, prepared: Some(prepared) } = self else {
            return Err(SqlError::internal("asked only if statements are prepared"));
        };
        let name = match prepared.get(text) {
            Some(name) => name.clone(),
            None => {
                let name = format!("s{}", prepared.len());
                let oids: Vec<u32> = params.iter().map(|value| value.data_type().oid()).collect();
                session.prepare(&name, text, &oids)?;
                prepared.insert(text.to_owned(), name.clone());
                name
            }
        };
        let texts: Vec<String> = params.iter().map(wire_text).collect();
        let raw: Vec<Option<&[u8]>> = texts.iter().map(|text| Some(text.as_bytes())).collect();
        session.bind("", &name, &raw, &[], &[])?;
        session.execute("", 0, answers)?;
        Ok(())
    }

    /// Whether a query names a table that there is not.
    pub(crate) fn is_missing(&mut self, query: &str) -> Result<bool, Refusal> {
        match self.session.execute_with(query, &[]) {
            Ok(_) => Ok(false),
            Err(error) if error.state == SqlState::UndefinedTable => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs statements as one string.
    pub(crate) fn script(&mut self, text: &str) -> Result<(), Refusal> {
        let ran = self.session.query(text);
        let ran = ran.map(|_| Vec::new()).map_err(Refusal::from);
        say(text, &[], &ran);
        ran.map(|_| ())
    }

    /// Runs statements as one string, with the answers as they come.
    pub(crate) fn stream(&mut self, text: &str, sink: &mut dyn ResponseSink) {
        self.session.simple_query(text, sink);
    }

    /// Runs `body` between BEGIN with `modes` and COMMIT; rolls back when it is refused.
    pub(crate) fn transaction<T>(
        &mut self,
        modes: &str,
        body: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.run(&format!("BEGIN {modes}"), &[])?;
        match body(self) {
            Ok(value) => {
                self.run("COMMIT", &[])?;
                Ok(value)
            }
            Err(refusal) => {
                self.run("ROLLBACK", &[])?;
                Err(refusal)
            }
        }
    }
}

/// For a report.
fn say(text: &str, params: &[Value], ran: &Result<Vec<Vec<Value>>, Refusal>) {
    operations::say(|| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let params: Vec<String> = params.iter().map(wire_text).collect();
        let with = if params.is_empty() { String::new() } else { format!(" with {params:?}") };
        let cell = |value: &Value| match value {
            Value::Int4(_) | Value::Int8(_) | Value::Text(_) => wire_text(value),
            other => format!("{other:?}"),
        };
        let came = match ran {
            Ok(rows) if rows.is_empty() => String::new(),
            Ok(rows) if rows.len() > 6 => format!(" → {} rows", rows.len()),
            Ok(rows) => {
                let row = |row: &Vec<Value>| row.iter().map(cell).collect::<Vec<_>>().join(", ");
                format!(" → {}", rows.iter().map(row).collect::<Vec<_>>().join("; "))
            }
            Err(refusal) => format!(" → {refusal:?}"),
        };
        format!("{}{with}{came}", words.join(" "))
    });
}

/// A parameter as the wire has it in text format.
fn wire_text(value: &Value) -> String {
    match value {
        Value::Int4(number) => number.to_string(),
        Value::Int8(number) => number.to_string(),
        Value::Text(text) => text.to_string(),
        other => unreachable!("workloads pass numbers and text, not {other:?}"),
    }
}

/// A whole number of any width.
pub(crate) fn integer(value: &Value) -> Result<i64, Refusal> {
    match value {
        Value::Int4(number) => Ok(i64::from(*number)),
        Value::Int8(number) => Ok(*number),
        other => Err(Refusal::Violation(format!("{other:?} is not a whole number"))),
    }
}

/// A text.
pub(crate) fn text(value: &Value) -> Result<&str, Refusal> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(Refusal::Violation(format!("{other:?} is not a text"))),
    }
}
