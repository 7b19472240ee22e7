//! Appending to lists through SQL sessions, and reading them, by key and by range.
//!
//! Each value is appended once in the whole run, so a read of a list shows which versions of it came
//! before, and in which order. From that alone [`History`] derives who depends on whom, without
//! trusting a timestamp of the store: the idea of Elle [Kingsbury20].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::Rng;
use driftdb_server::Node;
use driftdb_types::Value;

use super::bank::go_on;
use crate::node::{Finding, Workload};
use crate::operations::{self, Draws};
use crate::oracle::lists::{Fate, History, Op};
use crate::plan::Plan;
use crate::sql::{Client, Refusal, integer, text};

pub(crate) struct ListAppend {
    isolation: IsolationLevel,
    judged_as: Option<IsolationLevel>,
    key_count: u64,
    /// Whether lists come into being by the first append to them.
    upserts: bool,
    history: RefCell<History>,
    rng: Draws,
}

impl ListAppend {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::stream(plan.seed, "list-append");
        let key_count = 2 + rng.below(4);
        Self {
            isolation: plan.isolation,
            judged_as: plan.judged_as,
            key_count,
            upserts: rng.chance(1, 2),
            history: RefCell::new(History::new(key_count)),
            rng: Draws::new(plan.seed, "list-append"),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    fn append(&self, client: &mut Client, key: u64, value: u64) -> Result<(), Refusal> {
        let params = [Value::Int4(key as i32), Value::Text(value.to_string().into())];
        let statement = if self.upserts {
            "INSERT INTO lists VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET list = lists.list || ',' || excluded.list"
        } else {
            "UPDATE lists SET list = list || ',' || $2 WHERE key = $1"
        };
        client.run(statement, &params)?;
        Ok(())
    }

    fn read(client: &mut Client, key: u64) -> Result<Vec<u64>, Refusal> {
        let key = Value::Int4(key as i32);
        let rows = client.run("SELECT list FROM lists WHERE key = $1", &[key])?;
        match &rows[..] {
            [] => Ok(Vec::new()),
            [row] => values(text(&row[0])?),
            _ => Err(Refusal::Violation(format!("two rows of one key: {rows:?}"))),
        }
    }

    /// Reads the lists from `first` to `last` in one statement; a list that is not there is empty.
    fn read_range(
        client: &mut Client,
        first: u64,
        last: u64,
        is_backward: bool,
    ) -> Result<BTreeMap<u64, Vec<u64>>, Refusal> {
        let order = if is_backward { "DESC" } else { "ASC" };
        let query =
            format!("SELECT key, list FROM lists WHERE key BETWEEN $1 AND $2 ORDER BY key {order}");
        let bounds = [Value::Int4(first as i32), Value::Int4(last as i32)];
        let mut lists: BTreeMap<u64, Vec<u64>> = (first..=last).map(|key| (key, vec![])).collect();
        let mut before = None;
        for row in client.run(&query, &bounds)? {
            let key = integer(&row[0])? as u64;
            let Some(list) = lists.get_mut(&key) else {
                return Err(Refusal::Violation(format!("list {key} is not in {first}..={last}")));
            };
            *list = values(text(&row[1])?)?;
            if before.is_some_and(|before| (before < key) == is_backward) || before == Some(key) {
                return Err(Refusal::Violation(format!("list {key} follows {before:?}, {order}")));
            }
            before = Some(key);
        }
        Ok(lists)
    }

    /// One transaction of a few appends and reads; what it did is in the history as it happens.
    fn transact(&self, client: &mut Client, txn: usize) -> Result<(), Refusal> {
        let modes = format!("ISOLATION LEVEL {}", self.isolation);
        client.transaction(&modes, |client| {
            for _ in 0..1 + self.draw(4) {
                let key = self.draw(self.key_count);
                match self.draw(4) {
                    0 | 1 => {
                        let value = self.history.borrow_mut().new_value(txn, key);
                        self.append(client, key, value)?;
                    }
                    2 => {
                        let list = Self::read(client, key)?;
                        self.history.borrow_mut().push(txn, Op::Read { key, list });
                    }
                    _ => {
                        let other = self.draw(self.key_count);
                        let (first, last) = (key.min(other), key.max(other));
                        let lists = Self::read_range(client, first, last, self.draw(2) == 0)?;
                        for (key, list) in lists {
                            self.history.borrow_mut().push(txn, Op::Read { key, list });
                        }
                    }
                }
            }
            if self.draw(16) == 0 { Err(Refusal::Retry) } else { Ok(()) }
        })
    }

    fn try_transact(&self, client: &mut Client) -> Result<bool, Finding> {
        let txn = self.history.borrow_mut().begin();
        let outcome = self.transact(client, txn);
        let mut history = self.history.borrow_mut();
        match outcome {
            Ok(()) => {
                history.settle(txn, Fate::Committed);
                Ok(true)
            }
            Err(Refusal::Unknown) => {
                history.settle(txn, Fate::Unknown);
                Ok(false)
            }
            Err(refusal) => {
                history.settle(txn, Fate::Aborted);
                go_on(refusal)
            }
        }
    }

    fn prepare(&self, client: &mut Client) -> Result<(), Refusal> {
        // A list begins with 0, which nobody appends; or with its first append.
        let rows: Vec<String> = (0..self.key_count).map(|key| format!("({key}, '0')")).collect();
        let rows = match self.upserts {
            true => String::new(),
            false => format!("INSERT INTO lists VALUES {};", rows.join(", ")),
        };
        client.script(&format!(
            "BEGIN; CREATE TABLE lists (key int PRIMARY KEY, list text NOT NULL); {rows} COMMIT"
        ))
    }
}

impl ListAppend {
    /// All lists; makes the table if there is none yet.
    fn read_all(&self, client: &mut Client) -> Result<Vec<Vec<u64>>, Refusal> {
        let all = "SELECT key, list FROM lists ORDER BY key";
        if client.is_missing(all)? {
            if self.history.borrow().prepared {
                let what = "durability: the table was acknowledged and is gone";
                return Err(Refusal::Violation(what.into()));
            }
            self.prepare(client)?;
        }
        self.history.borrow_mut().prepared = true;
        let mut lists = vec![Vec::new(); self.key_count as usize];
        for row in client.run(all, &[])? {
            lists[integer(&row[0])? as usize] = values(text(&row[1])?)?;
        }
        Ok(lists)
    }
}

fn values(list: &str) -> Result<Vec<u64>, Refusal> {
    let parse = |value: &str| {
        value.parse().map_err(|_| Refusal::Violation(format!("a list reads as \"{list}\"")))
    };
    let values: Result<Vec<u64>, Refusal> = list.split(',').map(parse).collect();
    Ok(values?.into_iter().filter(|&value| value != 0).collect())
}

impl Workload for ListAppend {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        match Client::new(node, false).and_then(|mut client| self.read_all(&mut client)) {
            Ok(lists) => {
                let granted = node.store().granted(self.isolation);
                let level = self.judged_as.unwrap_or(granted);
                self.history.borrow_mut().judge(&lists, level)?;
                Ok(true)
            }
            Err(refusal) => go_on(refusal),
        }
    }

    fn client(&self, node: &Arc<Node>, _client: usize, count: usize) -> Result<(), Finding> {
        let mut client = match Client::new(node, self.draw(4) > 0) {
            Ok(client) => client,
            Err(refusal) => return go_on(refusal).map(|_| ()),
        };
        let mut refused_count = 0;
        for turn in 0..count {
            if !operations::begins(turn) {
                continue;
            }
            let goes_on = match self.draw(24) {
                0 => match client.script("VACUUM") {
                    Ok(()) => true,
                    Err(refusal) => go_on(refusal)?,
                },
                _ => self.try_transact(&mut client)?,
            };
            refused_count += usize::from(!goes_on);
            if refused_count > 2 {
                break;
            }
        }
        Ok(())
    }

    fn crashed(&self) {
        self.history.borrow_mut().crashed();
    }

    fn committed_count(&self) -> u64 {
        self.history.borrow().committed_count
    }
}
