//! Transfers between accounts through SQL sessions.
//!
//! Every transfer updates two balances and inserts itself, so that each state explains its
//! balances. Readers take one snapshot of both tables; others read the past, which must answer as it
//! did before.

mod book;

use std::cell::RefCell;
use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::Rng;
use driftdb_server::Node;
use driftdb_types::Value;

use crate::node::{Finding, Workload};
use crate::operations::{self, Draws};
use crate::plan::Plan;
use crate::sql::{Client, Refusal, integer};
use book::{Book, Fate, Transfer, View};

/// What each account starts with.
const INITIAL: i64 = 1000;

pub(crate) struct Bank {
    isolation: IsolationLevel,
    /// Whether history is promised for a while only.
    forgets: bool,
    /// Whether there is an index on the transfers' source.
    has_index: bool,
    /// Columns that were added, or were to be.
    column_count: RefCell<u32>,
    book: RefCell<Book>,
    rng: Draws,
}

const ACCOUNTS: &str = "SELECT id, balance FROM accounts";
const TRANSFERS: &str = "SELECT id, source, target, amount FROM transfers";

impl Bank {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::stream(plan.seed, "bank");
        let account_count = 2 + rng.below(6);
        Self {
            isolation: plan.isolation,
            forgets: plan.config.retention.is_some(),
            has_index: rng.chance(1, 2),
            column_count: RefCell::new(0),
            book: RefCell::new(Book::new(account_count)),
            rng: Draws::new(plan.seed, "bank"),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    /// Makes the tables and accounts, unless they are there.
    fn prepare(&self, client: &mut Client) -> Result<(), Refusal> {
        let account_count = self.book.borrow().account_count;
        let index = if self.has_index { "CREATE INDEX ON transfers (source);" } else { "" };
        client.script(&format!(
            "BEGIN;
             CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
             CREATE TABLE transfers (id int PRIMARY KEY, source int NOT NULL, target int NOT NULL,
                 amount bigint NOT NULL CHECK (amount > 0));
             {index}
             INSERT INTO accounts SELECT n, {INITIAL} FROM (VALUES {}) AS numbers (n);
             COMMIT",
            (0..account_count).map(|id| format!("({id})")).collect::<Vec<_>>().join(", "),
        ))
    }

    fn transfer(&self, client: &mut Client, id: usize, transfer: Transfer) -> Result<(), Refusal> {
        let modes = format!("ISOLATION LEVEL {}", self.isolation);
        let number = |number: i64| Value::Int8(number);
        client.transaction(&modes, |client| {
            let update = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
            let Transfer { source, target, amount } = transfer;
            client.run(update, &[number(-amount), Value::Int4(source as i32)])?;
            if self.draw(4) == 0 {
                client.run("SAVEPOINT mistake", &[])?;
                client.run(update, &[number(77), Value::Int4(target as i32)])?;
                client.run("ROLLBACK TO SAVEPOINT mistake", &[])?;
            }
            client.run(update, &[number(amount), Value::Int4(target as i32)])?;
            client.run(
                "INSERT INTO transfers VALUES ($1, $2, $3, $4)",
                &[
                    Value::Int4(id as i32),
                    Value::Int4(source as i32),
                    Value::Int4(target as i32),
                    number(amount),
                ],
            )?;
            // Sometimes the client changes its mind.
            if self.draw(16) == 0 { Err(Refusal::Retry) } else { Ok(()) }
        })
    }

    /// Transfers once; false if the store does not seem to go on.
    fn try_transfer(&self, client: &mut Client) -> Result<bool, Finding> {
        let (id, transfer) = self.book.borrow_mut().begin(&mut self.rng.borrow_mut());
        let outcome = self.transfer(client, id, transfer);
        let mut book = self.book.borrow_mut();
        match outcome {
            Ok(()) => {
                book.acknowledge(id);
                Ok(true)
            }
            Err(Refusal::Unknown) => {
                book.settle(id, Fate::Unknown);
                Ok(false)
            }
            Err(refusal) => {
                book.settle(id, Fate::Absent);
                go_on(refusal)
            }
        }
    }

    /// Reads both tables in one snapshot and judges them.
    fn audit(&self, client: &mut Client, is_recovered: bool) -> Result<bool, Finding> {
        let began = self.book.borrow_mut().tick();
        let modes = "ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let read = client.transaction(modes, |client| {
            let accounts = client.run(&format!("{ACCOUNTS} ORDER BY id"), &[])?;
            view(&accounts, &client.run(&format!("{TRANSFERS} ORDER BY id"), &[])?)
        });
        match read {
            Ok(view) => {
                let mut book = self.book.borrow_mut();
                book.judge(&view, began)?;
                if is_recovered {
                    book.settle_after_recovery();
                }
                Ok(true)
            }
            Err(refusal) => go_on(refusal),
        }
    }

    /// Reads the newest state by its sequence number, to compare with later.
    fn memorize(&self, node: &Node, client: &mut Client) -> Result<bool, Finding> {
        let store = node.store();
        let Ok(sequence) = store.sequence_at(store.newest()) else { return Ok(false) };
        match read_as_of(client, sequence) {
            Ok(view) => {
                self.book.borrow_mut().remember(sequence, view);
                Ok(true)
            }
            Err(Refusal::TooOld) if self.forgets => Ok(true),
            Err(refusal) => go_on(refusal),
        }
    }

    /// Reads the past again: it must not have changed.
    fn look_back(&self, client: &mut Client) -> Result<bool, Finding> {
        let Some((sequence, expected)) = self.book.borrow().draw_memory(&mut self.rng.borrow_mut())
        else {
            return Ok(true);
        };
        match read_as_of(client, sequence) {
            Ok(view) if view == expected => Ok(true),
            Ok(view) => Err(format!(
                "time travel: as of sequence number {sequence} it was {expected:?}, now {view:?}"
            )
            .into()),
            Err(Refusal::TooOld) if self.forgets => Ok(true),
            Err(refusal) => go_on(refusal),
        }
    }

    /// A definition that changes while rows and readers come and go.
    fn another_column(&self) -> String {
        let mut count = self.column_count.borrow_mut();
        *count += 1;
        format!("ALTER TABLE accounts ADD COLUMN note_{count} text")
    }

    /// Through the index, if there is one: the same rows as through the table.
    fn compare_paths(&self, client: &mut Client) -> Result<bool, Finding> {
        let source = Value::Int4(self.draw(self.book.borrow().account_count) as i32);
        let modes = "ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let read = client.transaction(modes, |client| {
            let by_source = "SELECT id FROM transfers WHERE source = $1 ORDER BY id";
            // An expression that no index serves.
            let by_scan = "SELECT id FROM transfers WHERE source + 0 = $1 ORDER BY id";
            let first = client.run(by_source, std::slice::from_ref(&source))?;
            Ok((first, client.run(by_scan, std::slice::from_ref(&source))?))
        });
        match read {
            Ok((indexed, scanned)) if indexed == scanned => Ok(true),
            Ok((indexed, scanned)) => {
                Err(format!("index: transfers from {source:?}: {indexed:?}, by scan {scanned:?}")
                    .into())
            }
            Err(refusal) => go_on(refusal),
        }
    }
}

/// Whether the client should go on after a refusal.
pub(crate) fn go_on(refusal: Refusal) -> Result<bool, Finding> {
    match refusal {
        Refusal::Retry => Ok(true),
        Refusal::Unavailable | Refusal::Unknown => Ok(false),
        Refusal::TooOld => Err("a present time is said to be forgotten".into()),
        Refusal::Damage(what) => Err(Finding::Damage(what)),
        Refusal::Violation(what) => Err(what.into()),
    }
}

fn view(accounts: &[Vec<Value>], transfers: &[Vec<Value>]) -> Result<View, Refusal> {
    let numbers = |rows: &[Vec<Value>]| -> Result<Vec<Vec<i64>>, Refusal> {
        rows.iter().map(|row| row.iter().map(integer).collect()).collect()
    };
    Ok(View { accounts: numbers(accounts)?, transfers: numbers(transfers)?, columns: None })
}

fn read_as_of(client: &mut Client, sequence: u64) -> Result<View, Refusal> {
    let past = format!("FOR SYSTEM_TIME AS OF @SEQ:{sequence} ORDER BY id");
    let accounts = client.run(&format!("{ACCOUNTS} {past}"), &[])?;
    let view = view(&accounts, &client.run(&format!("{TRANSFERS} {past}"), &[])?)?;
    // The definition is that of then, too.
    let whole = client.run(&format!("SELECT * FROM accounts {past}"), &[])?;
    Ok(View { columns: whole.first().map(Vec::len), ..view })
}

impl Workload for Bank {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        let mut client = match Client::new(node, false) {
            Ok(client) => client,
            Err(refusal) => return go_on(refusal),
        };
        match client.is_missing(TRANSFERS) {
            Ok(false) => {}
            Ok(true) if self.book.borrow().prepared => {
                return Err("durability: the tables were acknowledged and are gone".into());
            }
            Ok(true) => {
                if let Err(refusal) = self.prepare(&mut client) {
                    return go_on(refusal);
                }
            }
            Err(refusal) => return go_on(refusal),
        }
        self.book.borrow_mut().prepared = true;
        Ok(self.audit(&mut client, true)?
            && self.look_back(&mut client)?
            && (self.draw(2) > 0 || self.compare_paths(&mut client)?))
    }

    fn client(&self, node: &Arc<Node>, _client: usize, count: usize) -> Result<(), Finding> {
        let mut client = match Client::new(node, self.draw(4) > 0) {
            Ok(client) => client,
            Err(refusal) => return go_on(refusal).map(|_| ()),
        };
        let mut refused_count = 0;
        // Transfers only, transfers and audits, or everything.
        let choices = [1, 12, 16][self.draw(3) as usize];
        for turn in 0..count {
            if !operations::begins(turn) {
                continue;
            }
            let goes_on = match self.draw(choices) {
                0..10 => self.try_transfer(&mut client)?,
                10 | 11 => self.audit(&mut client, false)?,
                12 => self.memorize(node, &mut client)?,
                13 => self.look_back(&mut client)?,
                14 => self.compare_paths(&mut client)?,
                _ => {
                    let sql = match self.draw(2) {
                        0 => "VACUUM".to_owned(),
                        _ => self.another_column(),
                    };
                    match client.script(&sql) {
                        Ok(()) => true,
                        Err(refusal) => go_on(refusal)?,
                    }
                }
            };
            refused_count += usize::from(!goes_on);
            if refused_count > 2 {
                break;
            }
        }
        Ok(())
    }

    fn crashed(&self) {
        self.book.borrow_mut().crashed();
    }

    fn committed_count(&self) -> u64 {
        self.book.borrow().acknowledged_count
    }
}
