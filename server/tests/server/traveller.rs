//! A session for tests about time.

use driftdb_server::{Session, SessionOptions};
use driftdb_types::{EvalContext, Value, write_text};

use crate::harness::Fixture;

/// A session, and the times that it took note of.
pub(crate) struct Traveller {
    pub(crate) session: Session,
}

impl Traveller {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        Self { session: Session::new(&fixture.node, &SessionOptions::default()).unwrap() }
    }

    /// Runs statements whose answers do not matter.
    pub(crate) fn run(&mut self, sql: &str) {
        self.session.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The rows of a query as lines.
    pub(crate) fn rows(&mut self, sql: &str) -> Vec<String> {
        let answers = self.session.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let eval = EvalContext::default();
        let answer = answers.last().unwrap();
        let line = |row: &Vec<Value>| {
            let cells = row.iter().zip(&answer.fields).map(|(value, field)| {
                let mut text = Vec::new();
                if value.is_null() {
                    return String::new();
                }
                write_text(value, field.ty, &eval, &mut text);
                String::from_utf8(text).unwrap()
            });
            cells.collect::<Vec<String>>().join(" ")
        };
        answer.rows.iter().map(line).collect()
    }

    /// The SQLSTATE of a statement that must fail.
    pub(crate) fn code(&mut self, sql: &str) -> &'static str {
        self.session.query(sql).unwrap_err().state.code()
    }

    /// A time after everything so far and before everything to come, as a clause.
    pub(crate) fn now(&mut self) -> String {
        format!("FOR SYSTEM_TIME AS OF '{}'", self.clock())
    }

    /// A time after everything so far and before everything to come.
    pub(crate) fn clock(&mut self) -> String {
        let text = self.rows("SELECT clock_timestamp()").remove(0);
        // Clocks may stand still for a moment.
        while self.rows("SELECT clock_timestamp()")[0] == text {}
        text
    }

    /// The same by the number of the newest commit.
    pub(crate) fn sequence(&mut self) -> String {
        let store = self.session.node().store();
        let sequence = store.sequence_at(store.newest()).unwrap();
        format!("FOR SYSTEM_TIME AS OF @SEQ:{sequence}")
    }
}
