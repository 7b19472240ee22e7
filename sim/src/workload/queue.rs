//! Jobs in a table, taken by several workers with SKIP LOCKED: each is done exactly once.
//!
//! A worker takes the first job that nobody works on, notes that it has done it, and commits. Whether it waits for
//! a locked job, passes it, or gives up at once is drawn. Every note has a number of its own, so that a job that
//! was done twice shows, and so does one that was acknowledged and is not noted.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::Rng;
use driftdb_server::Node;
use driftdb_types::Value;

use super::bank::go_on;
use crate::node::{Finding, Workload};
use crate::plan::Plan;
use crate::sql::{Client, Refusal, integer};

const JOBS: &str = "SELECT id, is_done FROM jobs ORDER BY id";
const NOTES: &str = "SELECT note, job FROM notes ORDER BY note";

/// What is known of something that was to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    There,
    Absent,
}

#[derive(Default)]
struct Book {
    jobs: BTreeMap<i64, Fate>,
    /// Which job, and whether it is noted.
    notes: BTreeMap<i64, (i64, Fate)>,
    next: i64,
    /// Numbers of a sequence: each is given once.
    tickets: BTreeSet<i64>,
    acknowledged_count: u64,
    is_prepared: bool,
}

pub(crate) struct Queue {
    isolation: IsolationLevel,
    book: RefCell<Book>,
    rng: RefCell<Rng>,
}

impl Queue {
    pub(crate) fn new(plan: &Plan) -> Self {
        let rng = RefCell::new(Rng::stream(plan.seed, "queue"));
        Self { isolation: plan.isolation, book: RefCell::default(), rng }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    fn number(&self) -> i64 {
        let mut book = self.book.borrow_mut();
        book.next += 1;
        book.next
    }

    /// Adds a few jobs at once.
    fn produce(&self, client: &mut Client) -> Result<bool, Finding> {
        let ids: Vec<i64> = (0..=self.draw(3)).map(|_| self.number()).collect();
        self.book.borrow_mut().jobs.extend(ids.iter().map(|id| (*id, Fate::Open)));
        let rows: Vec<String> = ids.iter().map(|id| format!("({id}, false)")).collect();
        let added = client.script(&format!("INSERT INTO jobs VALUES {}", rows.join(", ")));
        let fate = fate_of(&added);
        let mut book = self.book.borrow_mut();
        book.jobs.extend(ids.iter().map(|id| (*id, fate)));
        book.acknowledged_count += u64::from(added.is_ok());
        added.map_or_else(go_on, |()| Ok(true))
    }

    /// Takes a job and does it.
    fn work(&self, client: &mut Client) -> Result<bool, Finding> {
        let note = self.number();
        let took = RefCell::new(None);
        let modes = format!("ISOLATION LEVEL {}", self.isolation);
        let wait = ["SKIP LOCKED", "SKIP LOCKED", "NOWAIT", ""][self.draw(4) as usize];
        let is_hurried = self.draw(6) == 0;
        let worked = client.transaction(&modes, |client| {
            if is_hurried {
                client.run("SET LOCAL lock_timeout = '1ms'", &[])?;
            }
            let first = format!(
                "SELECT id FROM jobs WHERE NOT is_done ORDER BY id LIMIT 1 FOR UPDATE {wait}"
            );
            let found = client.run(&first, &[])?;
            let Some(row) = found.first() else { return Ok(false) };
            let job = integer(&row[0])?;
            *took.borrow_mut() = Some(job);
            self.book.borrow_mut().notes.insert(note, (job, Fate::Open));
            client
                .run("INSERT INTO notes VALUES ($1, $2)", &[Value::Int8(note), Value::Int8(job)])?;
            client.run("UPDATE jobs SET is_done = true WHERE id = $1", &[Value::Int8(job)])?;
            if self.draw(12) == 0 { Err(Refusal::Retry) } else { Ok(true) }
        });
        let mut book = self.book.borrow_mut();
        if let Some(job) = took.take() {
            book.notes.insert(note, (job, fate_of(&worked)));
        }
        book.acknowledged_count += u64::from(matches!(worked, Ok(true)));
        drop(book);
        worked.map_or_else(go_on, |_| Ok(true))
    }

    /// Takes a number of a sequence, which no crash gives a second time.
    fn ticket(&self, client: &mut Client) -> Result<bool, Finding> {
        let taken =
            client.run("SELECT nextval('tickets')", &[]).and_then(|rows| integer(&rows[0][0]));
        match taken {
            Ok(ticket) if self.book.borrow_mut().tickets.insert(ticket) => Ok(true),
            Ok(ticket) => Err(format!("sequence: {ticket} was given twice").into()),
            Err(refusal) => go_on(refusal),
        }
    }

    /// Rows that come and go beside the jobs, so that there is something to let go.
    fn churn(&self, client: &mut Client) -> Result<bool, Finding> {
        let sql = match self.draw(8) {
            0 => "TRUNCATE churn".to_owned(),
            1 => "VACUUM".to_owned(),
            2 | 3 => format!("DELETE FROM churn WHERE id % 3 = {}", self.draw(3)),
            _ => format!(
                "INSERT INTO churn SELECT n, repeat('c', 100) FROM generate_series({0}, {0} + 5) AS n \
                 ON CONFLICT DO NOTHING",
                self.draw(20)
            ),
        };
        client.script(&sql).map_or_else(go_on, |()| Ok(true))
    }

    /// Reads both tables at one moment and judges them.
    fn audit(&self, client: &mut Client, is_recovered: bool) -> Result<bool, Finding> {
        let known = self.book.borrow().known();
        let modes = [
            "ISOLATION LEVEL REPEATABLE READ READ ONLY",
            "ISOLATION LEVEL SERIALIZABLE READ ONLY",
            "ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
        ][self.draw(3) as usize];
        let read = client
            .transaction(modes, |client| Ok((client.run(JOBS, &[])?, client.run(NOTES, &[])?)));
        let (jobs, notes) = match read {
            Ok(read) => read,
            Err(refusal) => return go_on(refusal),
        };
        let pairs = |rows: &[Vec<Value>]| -> Result<BTreeMap<i64, i64>, Finding> {
            let number = |value: &Value| match value {
                Value::Bool(is) => Ok(i64::from(*is)),
                value => integer(value).map_err(|_| format!("queue: a row holds {value:?}")),
            };
            rows.iter().map(|row| Ok((number(&row[0])?, number(&row[1])?))).collect()
        };
        let (jobs, notes) = (pairs(&jobs)?, pairs(&notes)?);
        let mut book = self.book.borrow_mut();
        known.judge(&jobs, &notes)?;
        if is_recovered {
            book.settle(&jobs, &notes);
        }
        Ok(true)
    }
}

/// What a refusal leaves of a transaction.
fn fate_of<T>(result: &Result<T, Refusal>) -> Fate {
    match result {
        Ok(_) => Fate::There,
        Err(Refusal::Unknown) => Fate::Open,
        Err(_) => Fate::Absent,
    }
}

/// What must be there, and what must not, by what is known at a time.
struct Known {
    jobs: BTreeMap<i64, Fate>,
    notes: BTreeMap<i64, (i64, Fate)>,
}

impl Known {
    fn judge(&self, jobs: &BTreeMap<i64, i64>, notes: &BTreeMap<i64, i64>) -> Result<(), String> {
        let wrong = |fate: Fate, is_there: bool| match fate {
            Fate::There if !is_there => Some("was acknowledged and is gone"),
            Fate::Absent if is_there => Some("is there, and was never committed"),
            _ => None,
        };
        for (id, fate) in &self.jobs {
            if let Some(what) = wrong(*fate, jobs.contains_key(id)) {
                return Err(format!("durability: job {id} {what}"));
            }
        }
        for (note, (job, fate)) in &self.notes {
            let found = notes.get(note);
            if found.is_some_and(|found| found != job) {
                return Err(format!("queue: note {note} of job {job} is of {found:?}"));
            }
            if let Some(what) = wrong(*fate, found.is_some()) {
                return Err(format!("durability: note {note} of job {job} {what}"));
            }
        }
        let mut done = BTreeMap::new();
        for (note, job) in notes {
            if let Some(other) = done.insert(*job, *note) {
                return Err(format!(
                    "queue: job {job} was done twice, by notes {other} and {note}"
                ));
            }
        }
        for (job, is_done) in jobs {
            if done.contains_key(job) != (*is_done == 1) {
                return Err(format!("atomicity: job {job} is done: {is_done}, noted: {done:?}"));
            }
        }
        Ok(())
    }
}

impl Book {
    fn known(&self) -> Known {
        Known { jobs: self.jobs.clone(), notes: self.notes.clone() }
    }

    /// A recovery shows what became of what was open; it stays so.
    fn settle(&mut self, jobs: &BTreeMap<i64, i64>, notes: &BTreeMap<i64, i64>) {
        let fate = |is_there: bool| if is_there { Fate::There } else { Fate::Absent };
        for (id, of) in &mut self.jobs {
            *of = fate(jobs.contains_key(id));
        }
        for (note, (_, of)) in &mut self.notes {
            *of = fate(notes.contains_key(note));
        }
        self.is_prepared = true;
    }
}

impl Workload for Queue {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        let prepared = Client::new(node, false).and_then(|mut client| {
            if client.is_missing(NOTES)? {
                if self.book.borrow().is_prepared {
                    let what = "durability: the tables were acknowledged and are gone";
                    return Err(Refusal::Violation(what.into()));
                }
                client.script(
                    "BEGIN; CREATE TABLE jobs (id bigint PRIMARY KEY, is_done boolean NOT NULL); \
                     CREATE TABLE notes (note bigint PRIMARY KEY, job bigint NOT NULL); \
                     CREATE TABLE churn (id int PRIMARY KEY, filling text NOT NULL); \
                     CREATE SEQUENCE tickets; COMMIT",
                )?;
            }
            Ok(client)
        });
        match prepared {
            Ok(mut client) => self.audit(&mut client, true),
            Err(refusal) => go_on(refusal),
        }
    }

    fn client(&self, node: &Arc<Node>, client: usize, count: usize) -> Result<(), Finding> {
        let mut session = match Client::new(node, self.draw(4) > 0) {
            Ok(session) => session,
            Err(refusal) => return go_on(refusal).map(|_| ()),
        };
        let mut refused_count = 0;
        for turn in 0..count {
            let goes_on = match self.draw(16) {
                0 => self.audit(&mut session, false)?,
                1..5 => self.produce(&mut session)?,
                5 => self.ticket(&mut session)?,
                6 | 7 => self.churn(&mut session)?,
                _ if turn == 0 && client == 0 => self.produce(&mut session)?,
                _ => self.work(&mut session)?,
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
        self.book.borrow().acknowledged_count
    }
}
