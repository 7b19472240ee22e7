//! Clients that speak the wire protocol over bad lines, and go in the middle of it.
//!
//! Each transaction adds a row, whose text follows from its number, and counts it in a row that all share. So a
//! client that goes with a lock in its hands is missed at once, a message that was put together wrongly shows in the
//! text, and the count says whether a transaction was whole.
//!
//! What became of a transaction is known if the server said so. If the client has gone, it depends on whether all of
//! COMMIT went out: if not, nothing of it may ever be there; if so, all or nothing.
//!
//! Some statements sort more than a statement may hold in memory: they fail with 53200 exactly if the
//! budget is short, and nothing else changes by it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::Rng;
use driftdb_server::Node;

use super::bank::go_on;
use crate::node::{Finding, Workload};
use crate::pipe::Line;
use crate::plan::Plan;
use crate::sql::{Client, Refusal, integer, text};
use crate::wire::{Answer, Gone, Manners, WireClient};

const ROWS: &str = "SELECT id, payload FROM wire ORDER BY id";
/// Above what 1 MiB holds, far below what is the default.
const LARGE_SORT: &str = "SELECT count(*) FROM (SELECT repeat('x', 4000) || n AS t \
                          FROM generate_series(1, 500) AS n ORDER BY t) AS sorted";
const LARGE_SORT_BYTES: usize = 2 << 20;

/// What is known of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Acknowledged,
    Absent,
    Unknown,
}

#[derive(Default)]
struct Book {
    fates: BTreeMap<i64, Fate>,
    next_id: i64,
    acknowledged_count: u64,
    is_prepared: bool,
    faults: BTreeMap<&'static str, u64>,
}

impl Book {
    fn count(&mut self, fault: &'static str, count: u64) {
        *self.faults.entry(fault).or_default() += count;
    }
}

pub(crate) struct Wire {
    isolation: IsolationLevel,
    is_memory_short: bool,
    /// Faults that clients do without.
    without: Vec<&'static str>,
    book: RefCell<Book>,
    rng: RefCell<Rng>,
}

/// The text of a row: long for some.
fn payload(id: i64) -> String {
    format!("{id}.").repeat(1 + (id as usize * 37) % if id % 5 == 0 { 120 } else { 20 })
}

impl Wire {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            isolation: plan.isolation,
            is_memory_short: plan.config.statement_memory_bytes < LARGE_SORT_BYTES,
            without: plan.without.clone(),
            book: RefCell::default(),
            rng: RefCell::new(Rng::stream(plan.seed, "wire")),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    /// Whether a fault may strike.
    fn may(&self, fault: &str) -> bool {
        !self.without.contains(&fault)
    }

    fn manners(&self) -> Manners {
        let capacity_bytes = [16, 200, 4 << 10, 64 << 10][self.draw(4) as usize];
        let piece_bytes = [None, Some(1), Some(7), Some(100)][self.draw(4) as usize];
        let leaves_after_bytes = (self.draw(3) == 0)
            .then(|| 1 << self.draw(13))
            .map(|most: u64| 1 + self.draw(most) as usize);
        let reads_slowly = self.draw(3) == 0;
        Manners {
            line: Line {
                capacity_bytes,
                piece_bytes: piece_bytes.filter(|_| self.may("messages-torn")),
            },
            leaves_after_bytes: leaves_after_bytes.filter(|_| self.may("clients-gone")),
            reads_slowly: reads_slowly && self.may("clients-slow"),
        }
    }

    /// Sends a transaction; whether all of its end went out, and what was said to it.
    fn transact(&self, client: &mut WireClient, id: i64) -> (bool, Result<Answer, Gone>) {
        let (id, payload) = (id.to_string(), payload(id));
        let begin = format!("BEGIN ISOLATION LEVEL {}", self.isolation);
        let insert = format!("INSERT INTO wire VALUES ({id}, '{payload}')");
        let count = "UPDATE wire_count SET n = n + 1";
        let leaves =
            self.draw(10) == 0 && self.may("clients-gone") && self.may("clients-gone-in-commit");
        let sent = match self.draw(3) {
            0 => {
                let whole = format!("{begin}; {insert}; {count}; COMMIT");
                return self.transact_at_once(client, &whole, leaves);
            }
            1 => {
                let both = "WITH new AS (INSERT INTO wire VALUES ($1::bigint, $2) RETURNING id) \
                            UPDATE wire_count SET n = n + (SELECT count(*) FROM new)";
                client.send_extended(both, &[&id, &payload])
            }
            _ => {
                for statement in [&*begin, &*insert, count] {
                    match client.query(statement) {
                        Ok(Answer { error: None, .. }) => {}
                        Ok(failed) => {
                            let ended = client.query("ROLLBACK");
                            return (false, ended.map(|_| failed));
                        }
                        Err(gone) => return (false, Err(gone)),
                    }
                }
                if leaves && self.draw(2) == 0 {
                    // With everything done, and nothing committed.
                    client.leave();
                }
                client.send_query("COMMIT")
            }
        };
        if sent.is_err() {
            return (false, Err(Gone));
        }
        (true, self.answer_or_leave(client, leaves))
    }

    /// All of it in one message. If that fails the block is still to be ended.
    fn transact_at_once(
        &self,
        client: &mut WireClient,
        whole: &str,
        leaves: bool,
    ) -> (bool, Result<Answer, Gone>) {
        if client.send_query(whole).is_err() {
            return (false, Err(Gone));
        }
        let answer = self.answer_or_leave(client, leaves);
        if let Ok(Answer { error: Some(_), .. }) = &answer {
            drop(client.query("ROLLBACK"));
        }
        (true, answer)
    }

    /// The end of a transaction was sent.
    fn answer_or_leave(&self, client: &mut WireClient, leaves: bool) -> Result<Answer, Gone> {
        if leaves {
            self.book.borrow_mut().count("clients-gone-in-commit", 1);
            client.leave();
            return Err(Gone);
        }
        client.answer()
    }

    /// One transaction, and what is known of it then; false if the server does not seem to go on.
    fn try_transact(&self, client: &mut WireClient) -> Result<bool, Finding> {
        let id = {
            let mut book = self.book.borrow_mut();
            book.next_id += 1;
            let id = book.next_id;
            book.fates.insert(id, Fate::Open);
            id
        };
        let (was_sent, answer) = self.transact(client, id);
        let mut book = self.book.borrow_mut();
        let (fate, goes_on) = match answer {
            Err(Gone) if was_sent => (Fate::Unknown, Ok(true)),
            Err(Gone) => (Fate::Absent, Ok(true)),
            Ok(Answer { error: Some(error), .. }) => match refusal(&error) {
                Refusal::Unknown => (Fate::Unknown, Ok(false)),
                other => (Fate::Absent, go_on(other)),
            },
            Ok(answer) if answer.tags.iter().any(|tag| tag == "ROLLBACK") => {
                (Fate::Absent, Err(format!("wire: {:?} and no error", answer.tags).into()))
            }
            Ok(_) => {
                book.acknowledged_count += 1;
                (Fate::Acknowledged, Ok(true))
            }
        };
        book.fates.insert(id, fate);
        goes_on
    }

    /// What was acknowledged before is there, and every row is what it was sent as.
    fn look(&self, client: &mut WireClient) -> Result<bool, Finding> {
        let known: BTreeSet<i64> = {
            let book = self.book.borrow();
            let is_known = |(_, fate): &(&i64, &Fate)| **fate == Fate::Acknowledged;
            book.fates.iter().filter(is_known).map(|(id, _)| *id).collect()
        };
        let answer = match client.query(ROWS) {
            Ok(Answer { error: Some(error), .. }) => return go_on(refusal(&error)),
            Ok(answer) => answer,
            Err(Gone) => return Ok(true),
        };
        let mut seen = BTreeSet::new();
        for row in &answer.rows {
            let [id, found] = &row[..] else { return Err(format!("wire: a row {row:?}").into()) };
            let id: i64 = id.parse().map_err(|_| format!("wire: a row {row:?}"))?;
            if *found != payload(id) {
                return Err(format!("wire: row {id} came as {found:?}").into());
            }
            seen.insert(id);
        }
        match known.difference(&seen).next() {
            Some(missing) => {
                Err(format!("wire: row {missing} was acknowledged and is gone").into())
            }
            None => Ok(true),
        }
    }

    /// More than fits, if memory is short.
    fn sort(&self, client: &mut WireClient) -> Result<bool, Finding> {
        match client.query(LARGE_SORT) {
            Err(Gone) => Ok(true),
            Ok(Answer { error: Some((state, _)), .. }) if state == "53200" => {
                if !self.is_memory_short {
                    return Err("memory: 53200 though there is enough".into());
                }
                self.book.borrow_mut().count("memory-short", 1);
                Ok(true)
            }
            Ok(Answer { error: Some(error), .. }) => go_on(refusal(&error)),
            Ok(answer) if self.is_memory_short => {
                Err(format!("memory: a sort took more than its limit: {:?}", answer.rows).into())
            }
            Ok(answer) if answer.rows == [["500"]] => Ok(true),
            Ok(answer) => Err(format!("wire: 500 rows are {:?}", answer.rows).into()),
        }
    }

    /// Judges what a recovery shows; makes the tables if there are none yet.
    fn check(&self, client: &mut Client) -> Result<(), Refusal> {
        if client.is_missing(ROWS)? {
            if self.book.borrow().is_prepared {
                let what = "durability: the table was acknowledged and is gone";
                return Err(Refusal::Violation(what.into()));
            }
            client.script(
                "BEGIN; CREATE TABLE wire (id bigint PRIMARY KEY, payload text NOT NULL); \
                 CREATE TABLE wire_count (n bigint NOT NULL); INSERT INTO wire_count VALUES (0); COMMIT",
            )?;
        }
        let mut rows = BTreeMap::new();
        for row in client.run(ROWS, &[])? {
            rows.insert(integer(&row[0])?, text(&row[1])?.to_owned());
        }
        let counted = integer(&client.run("SELECT n FROM wire_count", &[])?[0][0])?;
        let mut book = self.book.borrow_mut();
        book.is_prepared = true;
        book.judge(&rows, counted).map_err(Refusal::Violation)
    }
}

impl Book {
    fn judge(&mut self, rows: &BTreeMap<i64, String>, counted: i64) -> Result<(), String> {
        if counted != rows.len() as i64 {
            return Err(format!("atomicity: {} rows, and {counted} were counted", rows.len()));
        }
        for (id, fate) in &mut self.fates {
            let is_there = rows.contains_key(id);
            match fate {
                Fate::Acknowledged if !is_there => {
                    return Err(format!("durability: row {id} was acknowledged and is gone"));
                }
                Fate::Absent if is_there => {
                    return Err(format!("atomicity: row {id} is there, and was never committed"));
                }
                Fate::Unknown | Fate::Open if is_there => *fate = Fate::Acknowledged,
                Fate::Unknown | Fate::Open => *fate = Fate::Absent,
                Fate::Acknowledged | Fate::Absent => {}
            }
        }
        for (id, found) in rows {
            if *found != payload(*id) || !self.fates.contains_key(id) {
                return Err(format!("wire: row {id} is {found:?}"));
            }
        }
        Ok(())
    }
}

/// An error by its SQLSTATE, as [`Refusal`] has it of sessions.
fn refusal((state, message): &(String, String)) -> Refusal {
    match &**state {
        "40001" | "40P01" | "55P03" => Refusal::Retry,
        "58030" | "53100" | "57P01" | "57P03" => Refusal::Unavailable,
        "08007" => Refusal::Unknown,
        "XX001" => Refusal::Damage(format!("unexpected error XX001: {message}")),
        state => Refusal::Violation(format!("unexpected error {state}: {message}")),
    }
}

impl Workload for Wire {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        match Client::new(node, false).and_then(|mut client| self.check(&mut client)) {
            Ok(()) => Ok(true),
            Err(refusal) => go_on(refusal),
        }
    }

    fn client(&self, node: &Arc<Node>, _client: usize, count: usize) -> Result<(), Finding> {
        let mut refused_count = 0;
        let mut done = 0;
        while done < count && refused_count <= 2 {
            let rng = Rng::stream(self.rng.borrow_mut().next_u64(), "client");
            let (mut client, hello) = WireClient::connect(node, self.manners(), rng);
            let mut result = match &hello {
                Ok(Answer { error: Some(error), .. }) => go_on(refusal(error)).map(|_| ()),
                _ => Ok(()),
            };
            let visit = 1 + self.draw(4) as usize;
            while result.is_ok() && !client.has_left && hello.is_ok() && refused_count <= 2 {
                let went_on = match self.draw(12) {
                    0 => self.sort(&mut client),
                    1 | 2 => self.look(&mut client),
                    _ => self.try_transact(&mut client),
                };
                done += 1;
                refused_count += usize::from(went_on.as_ref().is_ok_and(|goes_on| !goes_on));
                result = went_on.map(|_| ());
                if done >= count || done.is_multiple_of(visit) {
                    break;
                }
            }
            done += usize::from(hello.is_err());
            let left_in_the_middle = client.has_left;
            // Also when something was found: who waits for this client's locks must not be blamed for it.
            client.close();
            let mut book = self.book.borrow_mut();
            let (there, back) =
                (client.duplex().to_server.befell(), client.duplex().to_client.befell());
            // A line is counted once, however many pieces its messages came in.
            book.count("messages-torn", u64::from(there.torn + back.torn > 0));
            book.count("clients-slow", u64::from(back.waits.min(client.slow_reads) > 0));
            book.count("clients-gone", u64::from(left_in_the_middle));
            result?;
        }
        Ok(())
    }

    fn crashed(&self) {
        for fate in self.book.borrow_mut().fates.values_mut() {
            if *fate == Fate::Open {
                *fate = Fate::Unknown;
            }
        }
    }

    fn committed_count(&self) -> u64 {
        self.book.borrow().acknowledged_count
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        self.book.borrow().faults.iter().map(|(fault, count)| (*fault, *count)).collect()
    }
}
