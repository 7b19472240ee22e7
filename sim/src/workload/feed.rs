//! A consumer of the feed of changes, which lives through the node's deaths.
//!
//! One client follows a table (`COPY … WITH (follow)`) while the others write to it. Between lives it
//! remembers what a consumer should: the number up to which it has everything, and from there it goes on.
//! After each opening, what it was ever given must be history, word for word: a change that is visible is
//! durable. All of history up to its number must have been given. And history, replayed, must be the table.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_query::{Field, SqlError};
use driftdb_server::Node;
use driftdb_server::session::{Batch, CommandTag, CopyResponse, Formats, ResponseSink, Severity};
use driftdb_types::{EvalContext, SqlState, Value};

use super::bank::go_on;
use crate::node::{Finding, Workload};
use crate::operations::{self, Draws};
use crate::plan::Plan;
use crate::sql::{Client, Refusal, integer, text};

const COLUMNS: &str = "seq, ordinal, op, old_id, old_v, new_id, new_v";
const IDS: u64 = 8;

/// What happened to a row: the operation; key and value before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    op: String,
    cells: [Option<i64>; 4],
}

/// Changes by commit and place in it.
type Changes = BTreeMap<(i64, i64), Change>;

/// What the consumer remembers.
#[derive(Default)]
struct Consumer {
    given: Changes,
    resolved: i64,
}

pub(crate) struct Feed {
    isolation: IsolationLevel,
    consumer: RefCell<Consumer>,
    next_value: RefCell<i64>,
    is_prepared: RefCell<bool>,
    /// The last commit before the first change of a row. Before the table there was none that was to be
    /// remembered for ever.
    origin: RefCell<Option<i64>>,
    committed_count: RefCell<u64>,
    rng: Draws,
}

impl Feed {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            isolation: plan.isolation,
            consumer: RefCell::default(),
            next_value: RefCell::default(),
            is_prepared: RefCell::default(),
            origin: RefCell::default(),
            committed_count: RefCell::default(),
            rng: Draws::new(plan.seed, "feed"),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    fn write(&self, client: &mut Client) -> Result<(), Refusal> {
        let id = Value::Int4(self.draw(IDS) as i32);
        match self.draw(24) {
            0 => client.run("TRUNCATE feed", &[])?,
            1..7 => client.run("DELETE FROM feed WHERE id = $1", &[id])?,
            7..10 => client.run("UPDATE feed SET v = v + 1 WHERE id >= $1", &[id])?,
            _ => {
                *self.next_value.borrow_mut() += 1;
                let value = Value::Int8(*self.next_value.borrow() * 1000);
                let upsert = "INSERT INTO feed VALUES ($1, $2)
                              ON CONFLICT (id) DO UPDATE SET v = excluded.v";
                client.run(upsert, &[id, value])?
            }
        };
        Ok(())
    }

    fn transact(&self, client: &mut Client) -> Result<(), Refusal> {
        let statements = 1 + self.draw(3);
        if statements == 1 {
            return self.write(client);
        }
        client.transaction(&format!("ISOLATION LEVEL {}", self.isolation), |client| {
            (0..statements).try_for_each(|_| self.write(client))?;
            if self.draw(16) == 0 { Err(Refusal::Retry) } else { Ok(()) }
        })
    }

    fn try_transact(&self, client: &mut Client) -> Result<bool, Finding> {
        match self.transact(client) {
            Ok(()) => {
                *self.committed_count.borrow_mut() += 1;
                Ok(true)
            }
            Err(refusal) => go_on(refusal),
        }
    }

    /// Follows until it was told so many times that it has everything.
    fn follow(&self, client: &mut Client, rounds: u64) -> Result<(), Finding> {
        let origin = self.origin.borrow().unwrap_or_default();
        let resolved = self.consumer.borrow().resolved.max(origin);
        let copy = format!(
            "COPY (SELECT {COLUMNS} FROM driftdb_changes('feed', {resolved})) TO STDOUT \
             WITH (follow, heartbeat '50 milliseconds')"
        );
        let mut reader =
            Reader { feed: self, rounds, last: (resolved, i64::MAX), wrong: None, error: None };
        client.stream(&copy, &mut reader);
        match (reader.wrong, reader.error) {
            (Some(wrong), _) => Err(wrong.into()),
            (None, Some(_)) if reader.rounds == 0 => Ok(()),
            (None, Some(error)) => go_on(error.into()).map(|_| ()),
            (None, None) => Err("a stream ended by itself".into()),
        }
    }

    /// Compares what the consumer has with history, and history with the table; makes the table if there
    /// is none yet.
    fn check(&self, client: &mut Client) -> Result<(), Refusal> {
        let rows = "SELECT id, v FROM feed ORDER BY id";
        if client.is_missing(rows)? {
            if *self.is_prepared.borrow() {
                let what = "durability: the table was acknowledged and is gone";
                return Err(Refusal::Violation(what.into()));
            }
            client.script(
                "CREATE TABLE feed (id int PRIMARY KEY, v bigint) WITH (retention = 'forever')",
            )?;
        }
        *self.is_prepared.borrow_mut() = true;
        let origin = match *self.origin.borrow() {
            Some(origin) => origin,
            // Nobody has written yet.
            None => {
                let newest = client.run("SELECT max(seq) FROM driftdb_transactions", &[])?;
                integer(&newest[0][0])?
            }
        };
        *self.origin.borrow_mut() = Some(origin);
        let changes = format!("SELECT {COLUMNS} FROM driftdb_changes('feed', {origin})");
        let mut history = Changes::new();
        for row in client.run(&changes, &[])? {
            let number = |value: &Value| match value {
                Value::Null => Ok(None),
                value => integer(value).map(Some),
            };
            let mut cells = [None; 4];
            for (cell, value) in cells.iter_mut().zip(&row[3..]) {
                *cell = number(value)?;
            }
            let change = Change { op: text(&row[2])?.to_owned(), cells };
            history.insert((integer(&row[0])?, integer(&row[1])?), change);
        }
        let mut table = Vec::new();
        for row in client.run(rows, &[])? {
            table.push((integer(&row[0])?, integer(&row[1])?));
        }
        self.consumer.borrow().judge(&history, &table).map_err(Refusal::Violation)
    }
}

impl Consumer {
    fn judge(&self, history: &Changes, table: &[(i64, i64)]) -> Result<(), String> {
        for (place, change) in &self.given {
            if history.get(place) != Some(change) {
                let is = history.get(place);
                return Err(format!("feed: {place:?} was given as {change:?} and is {is:?}"));
            }
        }
        let due = history.keys().filter(|place| place.0 <= self.resolved);
        if let Some(missed) = due.into_iter().find(|place| !self.given.contains_key(place)) {
            return Err(format!("feed: {missed:?} was not given up to {}", self.resolved));
        }
        let mut replayed = BTreeMap::new();
        for (place, Change { op, cells }) in history {
            let before = match (op.as_str(), cells) {
                ("TRUNCATE", _) => {
                    replayed.clear();
                    continue;
                }
                (_, [_, _, Some(id), Some(v)]) => replayed.insert(*id, *v),
                (_, [Some(id), ..]) => replayed.remove(id),
                _ => return Err(format!("feed: {place:?} is {op} {cells:?}")),
            };
            if before != cells[1] {
                return Err(format!("feed: {place:?} replaces {before:?}: {op} {cells:?}"));
            }
        }
        if !replayed.iter().map(|(id, v)| (*id, *v)).eq(table.iter().copied()) {
            return Err(format!("feed: replayed it is {replayed:?}, and the table is {table:?}"));
        }
        Ok(())
    }
}

/// Takes a stream's lines; stops it after some rounds.
struct Reader<'a> {
    feed: &'a Feed,
    rounds: u64,
    last: (i64, i64),
    wrong: Option<String>,
    error: Option<SqlError>,
}

impl Reader<'_> {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let cells: Vec<&str> = line.trim_end().split('\t').collect();
        let number = |cell: &str| match cell {
            "\\N" => Ok(None),
            cell => cell.parse().map(Some).map_err(|_| format!("feed: a line is \"{line}\"")),
        };
        let [sequence, ordinal, op, sides @ ..] = &cells[..] else {
            return Err(format!("feed: a line is \"{line}\""));
        };
        let sequence = number(sequence)?.unwrap_or_default();
        let mut consumer = self.feed.consumer.borrow_mut();
        if *op == "RESOLVED" {
            if sequence < consumer.resolved || sequence < self.last.0 {
                return Err(format!("feed: resolved {sequence} after {:?}", self.last));
            }
            consumer.resolved = sequence;
            self.last = (sequence, i64::MAX);
            self.rounds = self.rounds.saturating_sub(1);
            return Ok(());
        }
        let place = (sequence, number(ordinal)?.unwrap_or_default());
        if place <= self.last {
            return Err(format!("feed: {place:?} after {:?}", self.last));
        }
        self.last = place;
        let mut values = [None; 4];
        for (value, side) in values.iter_mut().zip(sides) {
            *value = number(side)?;
        }
        let change = Change { op: (*op).to_owned(), cells: values };
        let known = consumer.given.entry(place).or_insert_with(|| change.clone());
        if *known != change {
            return Err(format!("feed: {place:?} was {known:?} and is {change:?}"));
        }
        Ok(())
    }
}

impl ResponseSink for Reader<'_> {
    fn row_description(&mut self, _fields: &[Field], _formats: &Formats) {}

    fn rows(&mut self, _: &Batch, _: &Formats, _: &EvalContext) -> driftdb_query::Result<()> {
        Ok(())
    }

    fn row(
        &mut self,
        _row: &[Value],
        _fields: &[Field],
        _formats: &Formats,
        _eval: &EvalContext,
    ) -> driftdb_query::Result<()> {
        Ok(())
    }

    fn command_complete(&mut self, _tag: CommandTag) {}

    fn empty_query(&mut self) {}

    fn portal_suspended(&mut self) {}

    fn notice(&mut self, _severity: Severity, _notice: &SqlError) {}

    fn error(&mut self, error: &SqlError) {
        self.error = Some(error.clone());
    }

    fn copy_in(&mut self, _response: CopyResponse) {}

    fn copy_out(&mut self, _response: CopyResponse) {}

    fn copy_data(&mut self, bytes: &[u8]) -> driftdb_query::Result<()> {
        let line = String::from_utf8_lossy(bytes).into_owned();
        if let Err(wrong) = self.line(&line) {
            self.wrong = Some(wrong);
        } else if self.rounds > 0 {
            return Ok(());
        }
        Err(SqlError::new(SqlState::ConnectionFailure, "the consumer has had enough"))
    }

    fn copy_done(&mut self) {}
}

impl Workload for Feed {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        match Client::new(node, false).and_then(|mut client| self.check(&mut client)) {
            Ok(()) => Ok(true),
            Err(refusal) => go_on(refusal),
        }
    }

    fn client(&self, node: &Arc<Node>, client: usize, count: usize) -> Result<(), Finding> {
        let mut session = match Client::new(node, self.draw(4) > 0) {
            Ok(session) => session,
            Err(refusal) => return go_on(refusal).map(|_| ()),
        };
        if client == 0 {
            if !operations::begins(0) {
                return Ok(());
            }
            // It may be the only one.
            self.try_transact(&mut session)?;
            let rounds = 2 + self.draw(count as u64 * 2 + 1);
            return self.follow(&mut session, rounds);
        }
        let mut refused_count = 0;
        for turn in 0..count {
            if !operations::begins(turn) {
                continue;
            }
            let goes_on = match self.draw(24) {
                0 => match session.script("VACUUM") {
                    Ok(()) => true,
                    Err(refusal) => go_on(refusal)?,
                },
                _ => self.try_transact(&mut session)?,
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
        *self.committed_count.borrow()
    }
}
