//! Definitions that change beside rows: tables come, go, are renamed, emptied, get and lose columns and indexes, while others
//! write and read them.
//!
//! Every transaction keeps book in tables of its own kind: which tables there are, with which columns and indexes, and which rows. So in each
//! snapshot, as of each commit and after each crash the catalog and all rows must be what the books of that moment say
//! ([`view`]), however often the definition changed. Rows and tables have numbers, by which the durability ledger ([`book`]) knows them.

mod book;
mod view;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_server::Node;
use driftdb_types::SqlState;

use super::bank::go_on;
use crate::node::{Finding, Workload};
use crate::operations::{self, Draws};
use crate::plan::Plan;
use crate::sql::{Client, Refusal, integer};
use book::{Book, Fate, Number};
use view::View;

/// Names of tables.
const NAMES: u64 = 3;

pub(crate) struct Ddl {
    isolation: IsolationLevel,
    /// Whether history is promised for a while only.
    forgets: bool,
    is_prepared: Cell<bool>,
    book: RefCell<Book>,
    memories: RefCell<Vec<(u64, View)>>,
    acknowledged_count: Cell<u64>,
    rng: Draws,
}

/// What a transaction makes and takes away; its fate decides over all of it.
#[derive(Default)]
struct Changes {
    made: Vec<Number>,
    taken: Vec<Number>,
}

/// Runs a statement; errors that come of what others do to definitions end the transaction.
fn step(client: &mut Client, sql: &str, excused: &[SqlState]) -> Result<Vec<Vec<i64>>, Refusal> {
    match client.attempt(sql) {
        Ok(rows) => rows.iter().map(|row| row.iter().map(integer).collect()).collect(),
        Err(error) if excused.contains(&error.state) => Err(Refusal::Retry),
        Err(error) => match Refusal::from(error) {
            Refusal::Violation(what) => Err(Refusal::Violation(format!("ddl: {what}: {sql}"))),
            refusal => Err(refusal),
        },
    }
}

/// The table that was is no longer, or not yet.
const GONE: &[SqlState] = &[SqlState::UndefinedTable];

impl Ddl {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            isolation: plan.isolation.max(IsolationLevel::ReadCommitted),
            forgets: plan.config.retention.is_some(),
            is_prepared: Cell::new(false),
            book: RefCell::default(),
            memories: RefCell::default(),
            acknowledged_count: Cell::new(0),
            rng: Draws::new(plan.seed, "ddl"),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    fn name(&self) -> String {
        format!("u{}", self.draw(NAMES))
    }

    fn number(&self) -> i64 {
        self.book.borrow_mut().number()
    }

    /// A transaction, and what becomes of what it changed.
    fn transaction(
        &self,
        client: &mut Client,
        isolation: IsolationLevel,
        body: impl FnOnce(&mut Client, &RefCell<Changes>) -> Result<(), Refusal>,
    ) -> Result<bool, Finding> {
        let changes = RefCell::new(Changes::default());
        let done = client.transaction(&format!("ISOLATION LEVEL {isolation}"), |client| {
            body(client, &changes)?;
            // Sometimes the client changes its mind.
            if self.draw(8) == 0 { Err(Refusal::Retry) } else { Ok(()) }
        });
        let fate = match &done {
            Ok(()) => Fate::There,
            Err(Refusal::Unknown) => Fate::Open,
            Err(_) => Fate::Absent,
        };
        let Changes { made, taken } = changes.into_inner();
        self.book.borrow_mut().settle(&made, &taken, fate);
        self.acknowledged_count.set(self.acknowledged_count.get() + u64::from(done.is_ok()));
        done.map_or_else(go_on, |()| Ok(true))
    }

    /// Notes before it is asked for: the client may die in the call.
    fn makes(&self, changes: &RefCell<Changes>, number: Number) {
        changes.borrow_mut().made.push(number);
        self.book.borrow_mut().is_made(number);
    }

    fn takes(&self, changes: &RefCell<Changes>, number: Number) {
        changes.borrow_mut().taken.push(number);
        self.book.borrow_mut().is_taken(number);
    }

    fn create(&self, client: &mut Client, changes: &RefCell<Changes>) -> Result<(), Refusal> {
        let (name, tid) = (self.name(), self.number());
        self.makes(changes, Number::Table(tid));
        let there = &[SqlState::DuplicateTable, SqlState::UniqueViolation];
        step(
            client,
            &format!(
                "CREATE TABLE {name} (id bigint PRIMARY KEY, v bigint NOT NULL, a int,
                     tid bigint NOT NULL DEFAULT {tid})"
            ),
            there,
        )?;
        step(client, &format!("INSERT INTO tables VALUES ('{name}', {tid})"), there)?;
        Ok(())
    }

    /// The number of a table that nobody else changes from now on.
    fn locked(&self, client: &mut Client, name: &str) -> Result<i64, Refusal> {
        step(client, &format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"), GONE)?;
        let found = step(client, &format!("SELECT tid FROM tables WHERE name = '{name}'"), &[])?;
        // It was renamed while the lock was waited for.
        found.first().map(|row| row[0]).ok_or(Refusal::Retry)
    }

    /// Another definition of a table that is there.
    fn define(&self, client: &mut Client, changes: &RefCell<Changes>) -> Result<(), Refusal> {
        let name = self.name();
        let tid = self.locked(client, &name)?;
        if self.draw(4) == 0 {
            step(client, "SAVEPOINT mistake", &[])?;
            step(client, &format!("ALTER TABLE {name} ADD COLUMN mistake text DEFAULT 'x'"), GONE)?;
            step(client, &format!("CREATE INDEX ON {name} (mistake)"), GONE)?;
            step(client, "ROLLBACK TO SAVEPOINT mistake", &[])?;
        }
        match self.draw(9) {
            0 => self.empty(client, changes, &name, tid, true),
            1 => self.empty(client, changes, &name, tid, false),
            2 => self.rename(client, &name, tid),
            3..6 => self.add_column(client, &name, tid),
            6 => self.drop_column(client, &name, tid),
            7 => self.add_index(client, &name, tid),
            _ => self.drop_index(client, tid),
        }
    }

    /// DROP or TRUNCATE.
    fn empty(
        &self,
        client: &mut Client,
        changes: &RefCell<Changes>,
        name: &str,
        tid: i64,
        drops: bool,
    ) -> Result<(), Refusal> {
        let command = if drops { format!("DROP TABLE {name}") } else { format!("TRUNCATE {name}") };
        let is_first = self.draw(2) == 0;
        if is_first {
            step(client, &command, GONE)?;
        }
        let rows = step(client, &format!("SELECT id FROM log WHERE tid = {tid}"), &[])?;
        rows.iter().for_each(|row| self.takes(changes, Number::Row(row[0])));
        step(client, &format!("DELETE FROM log WHERE tid = {tid}"), &[])?;
        if drops {
            self.takes(changes, Number::Table(tid));
            for table in ["tables", "columns", "indexes"] {
                step(client, &format!("DELETE FROM {table} WHERE tid = {tid}"), &[])?;
            }
        }
        if !is_first {
            step(client, &command, GONE)?;
        }
        Ok(())
    }

    fn rename(&self, client: &mut Client, name: &str, tid: i64) -> Result<(), Refusal> {
        let to = self.name();
        let there = &[SqlState::DuplicateTable, SqlState::UniqueViolation];
        step(client, &format!("ALTER TABLE {name} RENAME TO {to}"), there)?;
        step(client, &format!("UPDATE tables SET name = '{to}' WHERE tid = {tid}"), there)?;
        Ok(())
    }

    /// With its number as the default, of old rows as of new ones.
    fn add_column(&self, client: &mut Client, name: &str, tid: i64) -> Result<(), Refusal> {
        let number = self.number();
        let not_null = ["", " NOT NULL"][self.draw(2) as usize];
        step(
            client,
            &format!("ALTER TABLE {name} ADD COLUMN x{number} bigint DEFAULT {number}{not_null}"),
            &[],
        )?;
        step(client, &format!("INSERT INTO columns VALUES ({number}, {tid})"), &[])?;
        Ok(())
    }

    fn drop_column(&self, client: &mut Client, name: &str, tid: i64) -> Result<(), Refusal> {
        let columns = step(client, &format!("SELECT number FROM columns WHERE tid = {tid}"), &[])?;
        if columns.is_empty() {
            return Ok(());
        }
        let number = columns[self.draw(columns.len() as u64) as usize][0];
        step(client, &format!("ALTER TABLE {name} DROP COLUMN x{number}"), &[])?;
        step(client, &format!("DELETE FROM columns WHERE number = {number}"), &[])?;
        // What was indexed by it is indexed no longer.
        step(client, &format!("DELETE FROM indexes WHERE by = {number}"), &[])?;
        Ok(())
    }

    fn add_index(&self, client: &mut Client, name: &str, tid: i64) -> Result<(), Refusal> {
        let number = self.number();
        let columns = step(client, &format!("SELECT number FROM columns WHERE tid = {tid}"), &[])?;
        let by = match columns.first() {
            Some(row) if self.draw(3) == 0 => row[0],
            _ => 0,
        };
        let on = match by {
            0 => ["(a)", "(a) WHERE a > 1", "((a + 1))", "(a DESC, v)"][self.draw(4) as usize]
                .to_owned(),
            by => format!("(x{by}, a)"),
        };
        step(client, &format!("CREATE INDEX i{number} ON {name} {on}"), &[])?;
        step(client, &format!("INSERT INTO indexes VALUES ({number}, {tid}, {by})"), &[])?;
        Ok(())
    }

    fn drop_index(&self, client: &mut Client, tid: i64) -> Result<(), Refusal> {
        let indexes = step(client, &format!("SELECT number FROM indexes WHERE tid = {tid}"), &[])?;
        if let Some(row) = indexes.first() {
            let number = row[0];
            step(client, &format!("DROP INDEX i{number}"), &[])?;
            step(client, &format!("DELETE FROM indexes WHERE number = {number}"), &[])?;
        }
        Ok(())
    }

    /// Rows come, change and go.
    fn write(&self, client: &mut Client, changes: &RefCell<Changes>) -> Result<(), Refusal> {
        for _ in 0..=self.draw(2) {
            let name = self.name();
            match self.draw(6) {
                0..3 => {
                    let id = self.number();
                    self.makes(changes, Number::Row(id));
                    let (v, a) = (id * 7, self.draw(4));
                    let insert = format!(
                        "INSERT INTO {name} (id, v, a) VALUES ({id}, {v}, {a}) RETURNING tid"
                    );
                    let inserted = step(client, &insert, GONE)?;
                    let tid = inserted[0][0];
                    step(client, &format!("INSERT INTO log VALUES ({id}, {tid})"), &[])?;
                }
                3 | 4 => {
                    let (from, to) = (self.draw(4), self.draw(4));
                    let update =
                        format!("UPDATE {name} SET a = {to} WHERE a = {from} RETURNING id");
                    step(client, &update, GONE)?;
                }
                _ => {
                    let oldest = format!("SELECT min(id) FROM {name} HAVING min(id) IS NOT NULL");
                    let Some(row) = step(client, &oldest, GONE)?.pop() else { continue };
                    self.takes(changes, Number::Row(row[0]));
                    let delete = format!("DELETE FROM {name} WHERE id = {} RETURNING id", row[0]);
                    if !step(client, &delete, GONE)?.is_empty() {
                        step(client, &format!("DELETE FROM log WHERE id = {}", row[0]), &[])?;
                    } else {
                        // Somebody else was first; whether it is gone is theirs to say.
                        return Err(Refusal::Retry);
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything in one snapshot, against the books of that moment and the ledger.
    fn audit(&self, client: &mut Client, is_recovered: bool) -> Result<bool, Finding> {
        let known = self.book.borrow().known();
        match view::read(client, "ISOLATION LEVEL REPEATABLE READ READ ONLY") {
            Ok(view) => {
                view.check().map_err(|what| format!("ddl: {what}"))?;
                let mut book = self.book.borrow_mut();
                book.judge(&known, &view.numbers())?;
                if is_recovered {
                    book.settle_after_recovery(&view.numbers());
                }
                Ok(true)
            }
            Err(refusal) if is_recovered && matches!(refusal, Refusal::Retry) => {
                Err("ddl: what was recovered cannot be read: a table of the books is not there"
                    .into())
            }
            Err(refusal) => go_on(refusal),
        }
    }

    /// The newest state by its number, to compare with later.
    fn memorize(&self, node: &Node, client: &mut Client) -> Result<bool, Finding> {
        let store = node.store();
        let Ok(sequence) = store.sequence_at(store.newest()) else { return Ok(false) };
        match view::read(client, &format!("AS OF @SEQ:{sequence}")) {
            Ok(view) => {
                let check = view.check();
                check.map_err(|what| format!("ddl: as of sequence number {sequence}: {what}"))?;
                self.memories.borrow_mut().push((sequence, view));
                Ok(true)
            }
            Err(Refusal::TooOld) if self.forgets => Ok(true),
            Err(refusal) => go_on(refusal),
        }
    }

    /// The past, with the definitions of then: as it was.
    fn look_back(&self, client: &mut Client) -> Result<bool, Finding> {
        let (sequence, expected) = {
            let memories = self.memories.borrow();
            if memories.is_empty() {
                return Ok(true);
            }
            memories[self.rng.borrow_mut().index(memories.len())].clone()
        };
        match view::read(client, &format!("AS OF @SEQ:{sequence}")) {
            Ok(view) if view == expected => Ok(true),
            Ok(view) => Err(format!(
                "time travel: as of sequence number {sequence} it was {expected:?}, now {view:?}"
            )
            .into()),
            Err(Refusal::TooOld) if self.forgets => Ok(true),
            Err(Refusal::Retry) => {
                Err(format!("time travel: as of sequence number {sequence} a table is gone").into())
            }
            Err(refusal) => go_on(refusal),
        }
    }
}

impl Workload for Ddl {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        let prepared = Client::new(node, false).and_then(|mut client| {
            if client.is_missing("SELECT FROM indexes")? {
                if self.is_prepared.get() {
                    let what = "durability: the tables were acknowledged and are gone";
                    return Err(Refusal::Violation(what.into()));
                }
                client.script(
                    "BEGIN; CREATE TABLE tables (name text PRIMARY KEY, tid bigint NOT NULL);
                     CREATE TABLE columns (number bigint PRIMARY KEY, tid bigint NOT NULL);
                     CREATE TABLE indexes (number bigint PRIMARY KEY, tid bigint NOT NULL, by bigint NOT NULL);
                     CREATE TABLE log (id bigint PRIMARY KEY, tid bigint NOT NULL); COMMIT",
                )?;
            }
            Ok(client)
        });
        let mut client = match prepared {
            Ok(client) => client,
            Err(refusal) => return go_on(refusal),
        };
        self.is_prepared.set(true);
        Ok(self.audit(&mut client, true)? && self.look_back(&mut client)?)
    }

    fn client(&self, node: &Arc<Node>, _client: usize, count: usize) -> Result<(), Finding> {
        let mut client = match Client::new(node, false) {
            Ok(client) => client,
            Err(refusal) => return go_on(refusal).map(|_| ()),
        };
        let mut refused_count = 0;
        for turn in 0..count {
            if !operations::begins(turn) {
                continue;
            }
            // What a definition needs to know it reads after its lock, in a snapshot of then.
            let now = IsolationLevel::ReadCommitted;
            let goes_on = match self.draw(16) {
                0..2 => self.transaction(&mut client, now, |client, changes| {
                    self.create(client, changes)
                })?,
                2..6 => self.transaction(&mut client, now, |client, changes| {
                    self.define(client, changes)
                })?,
                6..12 => self.transaction(&mut client, self.isolation, |client, changes| {
                    self.write(client, changes)
                })?,
                12 | 13 => self.audit(&mut client, false)?,
                14 => self.memorize(node, &mut client)?,
                _ => self.look_back(&mut client)?,
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
        self.acknowledged_count.get()
    }
}
