//! Isolation specs: sessions whose steps are interleaved in every way, and what must come of it.
//!
//! A spec (`sim/specs/*.spec`, in the manner of PostgreSQL's isolation tester) names sessions, their
//! steps, and orders of steps. Each order is played in the simulator through real sessions. A step is
//! *blocked* when its fiber waits and nobody else can run: exact, without a time-out.
//!
//! Two things come of a spec. What everybody saw goes to a golden file that a person reads
//! ([`report`]). And it is judged, independently of who was aborted: whether the anomaly that the spec
//! names was seen where the level forbids it, whether what `always` asks holds, and at SERIALIZABLE
//! whether the sessions that committed could have run one after another ([`serial`]).
//!
//! Invariants
//! * No order is left out of `permutation all` but those that ask a blocked session for its next step.
//! * A session that stays blocked although nobody has anything left to do fails the spec.
//!
//! Sources: [Adya99] for the anomalies; the cases of [Hermitage].

mod parse;
mod player;
mod report;
mod run;
mod schedule;
mod serial;
mod table;

use std::time::Duration;

use driftdb_concurrency::IsolationLevel;

pub use report::{Places, Report, report};
pub use run::{SpecOptions, SpecRun, run_spec};
pub use table::{silent, table};

/// All levels, weakest first.
pub const LEVELS: [IsolationLevel; 4] = [
    IsolationLevel::ReadUncommitted,
    IsolationLevel::ReadCommitted,
    IsolationLevel::RepeatableRead,
    IsolationLevel::Serializable,
];

/// A spec.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name of its file.
    pub name: String,
    about: String,
    setup: Vec<String>,
    teardown: Vec<String>,
    sessions: Vec<SessionSpec>,
    steps: Vec<Step>,
    check: Option<String>,
    always: Vec<String>,
    anomaly: Option<Anomaly>,
    is_serial: bool,
    levels: Vec<IsolationLevel>,
    patience: Duration,
    permutations: Vec<Permutation>,
}

#[derive(Debug, Clone)]
struct SessionSpec {
    name: String,
    setup: Vec<String>,
}

#[derive(Debug, Clone)]
struct Step {
    name: String,
    /// The session's position.
    session: usize,
    sql: String,
}

#[derive(Debug, Clone)]
struct Anomaly {
    name: String,
    /// The weakest level that must prevent it.
    forbidden_from: Option<IsolationLevel>,
    /// Each a way to see it: steps with what they answer.
    signs: Vec<Vec<(String, String)>>,
}

/// An order of steps, by their positions.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Permutation {
    Steps(Vec<usize>),
    /// Every interleaving.
    All,
}

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        parse::parse(name, text)
    }

    /// Keeps one order of steps only, given by their names.
    ///
    /// # Errors
    /// A step that there is not.
    pub fn only(&mut self, steps: &str) -> Result<(), String> {
        let steps: Result<Vec<usize>, String> =
            steps.split_whitespace().map(|name| self.step_of(name)).collect();
        self.permutations = vec![Permutation::Steps(steps?)];
        Ok(())
    }

    fn step_of(&self, name: &str) -> Result<usize, String> {
        let found = self.steps.iter().position(|step| step.name == name);
        found.ok_or_else(|| format!("there is no step \"{name}\""))
    }

    fn names(&self, steps: &[usize]) -> String {
        let names: Vec<&str> = steps.iter().map(|&step| self.steps[step].name.as_str()).collect();
        names.join(" ")
    }
}

fn level_of(name: &str) -> Result<IsolationLevel, String> {
    let found = LEVELS.into_iter().find(|level| level.to_string() == name);
    found.ok_or_else(|| format!("no isolation level \"{name}\""))
}
