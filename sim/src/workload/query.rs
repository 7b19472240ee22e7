//! Generated SQL: tables with NULLs and indexes of all kinds, rows that come and go, random queries, and what must hold between
//! their answers ([`relations`]).
//!
//! Nobody knows what a query ought to give. But what one gives follows from what others give in the same snapshot, however
//! they are planned; and what it gave as of a commit it gives for ever, over any number of crashes.
//!
//! With one client and no trouble the answers of a seed depend on nothing but the statements: every engine and control must give
//! the same ([`Query::answers_hash`]; `sim/tests/queries.rs`).

mod generate;
mod relations;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::Rng;
use driftdb_server::Node;
use driftdb_types::SqlState;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bank::go_on;
use crate::node::{Finding, Workload};
use crate::operations::{self, Draws};
use crate::plan::Plan;
use crate::sql::{Client, Refusal};
use generate::{COLUMNS, Generator, TABLES};
use relations::Bag;

/// What a table may have; `UNIQUE` stands where it says so.
const INDEXES: &[&str] = &[
    "(a)",
    "(b DESC)",
    "(a, b)",
    "(c)",
    "(c DESC NULLS LAST, a)",
    "(d, a)",
    "((a + 1))",
    "(lower(c))",
    "(a) WHERE a > 1",
    "(b) WHERE c IS NOT NULL",
    "(c) WHERE d",
    "(n)",
    "(w, s)",
    "(s NULLS FIRST)",
    "(a DESC NULLS LAST)",
    "(n DESC) WHERE n >= 0.00",
    "(s) WHERE a IS NULL",
    "(a) WHERE c = 'a' OR a = 1",
];

/// A query, and what it gave as of a commit.
struct Memory {
    sequence: u64,
    query: String,
    answer: Bag,
}

pub(crate) struct Query {
    isolation: IsolationLevel,
    /// Whether history is promised for a while only.
    forgets: bool,
    definitions: String,
    is_prepared: Cell<bool>,
    memories: RefCell<Vec<Memory>>,
    checked_count: Cell<u64>,
    changed_count: Cell<u64>,
    /// Over all answers, in the order in which they came.
    answers: Cell<u64>,
    rng: Draws,
}

/// How many memories are kept.
const MEMORIES: usize = 64;

impl Query {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            isolation: plan.isolation,
            forgets: plan.config.retention.is_some(),
            definitions: definitions(&mut Rng::stream(plan.seed, "query")),
            is_prepared: Cell::new(false),
            memories: RefCell::default(),
            checked_count: Cell::new(0),
            changed_count: Cell::new(0),
            answers: Cell::new(0),
            rng: Draws::new(plan.seed, "query"),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    fn generator(&self) -> Generator {
        Generator::new(Rng::seeded(self.rng.borrow_mut().next_u64()))
    }

    fn note(&self, what: &str) {
        self.answers.set(xxh3_64_with_seed(what.as_bytes(), self.answers.get()));
    }

    /// One to three changes in a transaction.
    fn change(&self, client: &mut Client) -> Result<bool, Finding> {
        let mut generator = self.generator();
        let count = 1 + generator.below(3);
        let modes = format!("ISOLATION LEVEL {}", self.isolation);
        let changed = client.transaction(&modes, |client| {
            for _ in 0..count {
                let statement = generator.change();
                match client.attempt(&statement) {
                    Ok(_) => self.note("changed"),
                    Err(error) if is_of_the_rows(error.state) => {
                        self.note(error.state.code());
                        return Ok(false);
                    }
                    Err(error) => return Err(named(error.into(), &statement)),
                }
            }
            Ok(true)
        });
        match changed {
            Ok(is_there) => {
                self.changed_count.set(self.changed_count.get() + u64::from(is_there));
                Ok(true)
            }
            Err(refusal) => go_on(refusal),
        }
    }

    /// One relation in one snapshot.
    fn relate(&self, client: &mut Client) -> Result<bool, Finding> {
        let mut generator = self.generator();
        let modes = "ISOLATION LEVEL REPEATABLE READ READ ONLY";
        match client.transaction(modes, |client| relations::check(client, &mut generator)) {
            Ok(verdict) => {
                let count = u64::from(verdict.is_some());
                self.checked_count.set(self.checked_count.get() + count);
                Ok(true)
            }
            Err(refusal) => go_on(refusal),
        }
    }

    /// Any query, whose answer other engines must give too.
    fn answer(&self, client: &mut Client) -> Result<bool, Finding> {
        let query = relations::any(&mut self.generator());
        match relations::bag(client, &query) {
            Ok(answer) => {
                self.note(&format!("{query} {answer:?}"));
                Ok(true)
            }
            Err(refusal) => go_on(refusal),
        }
    }

    /// Any query as of the newest commit, to be asked again.
    fn memorize(&self, node: &Node, client: &mut Client) -> Result<bool, Finding> {
        let store = node.store();
        let Ok(sequence) = store.sequence_at(store.newest()) else { return Ok(false) };
        let query = relations::any(&mut self.generator());
        match as_of(client, sequence, &query) {
            Ok(Some(answer)) => {
                let mut memories = self.memories.borrow_mut();
                if memories.len() < MEMORIES {
                    memories.push(Memory { sequence, query, answer });
                }
                Ok(true)
            }
            Ok(None) => Ok(true),
            Err(Refusal::TooOld) if self.forgets => Ok(true),
            Err(refusal) => go_on(refusal),
        }
    }

    /// Asks a query of the past again.
    fn look_back(&self, client: &mut Client) -> Result<bool, Finding> {
        let (sequence, query, expected) = {
            let memories = self.memories.borrow();
            if memories.is_empty() {
                return Ok(true);
            }
            let index = self.rng.borrow_mut().index(memories.len());
            let Memory { sequence, query, answer } = &memories[index];
            (*sequence, query.clone(), answer.clone())
        };
        match as_of(client, sequence, &query) {
            Ok(Some(answer)) if answer != expected => Err(format!(
                "time travel: as of sequence number {sequence} it was {expected:?}, now {answer:?}: {query}"
            )
            .into()),
            Ok(_) => Ok(true),
            Err(Refusal::TooOld) if self.forgets => Ok(true),
            Err(refusal) => go_on(refusal),
        }
    }
}

/// The tables and their indexes.
fn definitions(rng: &mut Rng) -> String {
    let mut text = String::from("BEGIN;");
    for table in 0..TABLES {
        let columns: Vec<String> =
            COLUMNS.iter().map(|(name, ty, _)| format!("{name} {ty}")).collect();
        let columns = columns.join(", ");
        // The last has no key, so that rows may be there twice.
        let key = if table + 1 < TABLES { ", PRIMARY KEY (id)" } else { "" };
        text.push_str(&format!("CREATE TABLE t{table} ({columns}{key});"));
        for _ in 0..rng.below(5) {
            let index = INDEXES[rng.index(INDEXES.len())];
            text.push_str(&format!("CREATE INDEX ON t{table} {index};"));
        }
        if table + 1 < TABLES && rng.chance(1, 3) {
            text.push_str(&format!("CREATE UNIQUE INDEX ON t{table} (b, c);"));
        }
    }
    text + "COMMIT"
}

/// Errors of changes that come of the rows that are there.
fn is_of_the_rows(state: SqlState) -> bool {
    matches!(
        state,
        SqlState::UniqueViolation
            | SqlState::NotNullViolation
            | SqlState::CardinalityViolation
            | SqlState::NumericValueOutOfRange
            | SqlState::DatetimeFieldOverflow
            | SqlState::OutOfMemory
    )
}

/// A violation with the statement.
fn named(refusal: Refusal, statement: &str) -> Refusal {
    match refusal {
        Refusal::Violation(what) => Refusal::Violation(format!("query: {what}: {statement}")),
        other => other,
    }
}

fn as_of(client: &mut Client, sequence: u64, query: &str) -> Result<Option<Bag>, Refusal> {
    client.transaction(&format!("AS OF @SEQ:{sequence}"), |client| relations::bag(client, query))
}

impl Workload for Query {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        let prepared = Client::new(node, false).and_then(|mut client| {
            if client.is_missing("SELECT FROM t0")? {
                if self.is_prepared.get() {
                    let what = "durability: the tables were acknowledged and are gone";
                    return Err(Refusal::Violation(what.into()));
                }
                client.script(&self.definitions)?;
            }
            Ok(client)
        });
        let mut client = match prepared {
            Ok(client) => client,
            Err(refusal) => return go_on(refusal),
        };
        self.is_prepared.set(true);
        Ok(self.look_back(&mut client)? && self.look_back(&mut client)?)
    }

    fn client(&self, node: &Arc<Node>, _client: usize, count: usize) -> Result<(), Finding> {
        let mut client = match Client::new(node, false) {
            Ok(client) => client,
            Err(refusal) => return go_on(refusal).map(|_| ()),
        };
        let mut refused_count = 0;
        for turn in 0..count * 2 {
            if !operations::begins(turn) {
                continue;
            }
            let goes_on = match self.draw(16) {
                0..5 => self.change(&mut client)?,
                _ if turn == 0 => self.change(&mut client)?,
                5 => self.answer(&mut client)?,
                6 => self.memorize(node, &mut client)?,
                7 => self.look_back(&mut client)?,
                _ => self.relate(&mut client)?,
            };
            refused_count += usize::from(!goes_on);
            if refused_count > 2 {
                break;
            }
        }
        Ok(())
    }

    fn crashed(&self) {}

    fn committed_count(&self) -> u64 {
        self.changed_count.get()
    }

    fn related_count(&self) -> u64 {
        self.checked_count.get()
    }

    fn answers_hash(&self) -> u64 {
        self.answers.get()
    }
}
