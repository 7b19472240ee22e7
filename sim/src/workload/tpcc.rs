//! An order-entry business in the manner of TPC-C: new orders, payments, deliveries, looks at the stock.
//!
//! Each transaction touches several tables, and what it writes in one must agree with what it writes in the others. The conditions of
//! consistency ([`conditions`]) say how; they hold in every snapshot, at every level, as of every commit. Each order and each
//! payment has a token of its own, by which the durability ledger knows it.
//!
//! Source: TPC Benchmark C 5.11, clauses 2.4 to 2.8 and 3.3.2 [TPCC]. Departures: a few rows instead of hundreds of thousands, no
//! think times, and one new order in ten is given up instead of one in a hundred.

mod conditions;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::Rng;
use driftdb_server::Node;
use driftdb_types::Value;

use super::bank::go_on;
use crate::node::{Finding, Workload};
use crate::operations::{self, Draws};
use crate::plan::Plan;
use crate::sql::{Client, Refusal, integer};
use conditions::{CONDITIONS, TOKENS};

/// Items, and rows of stock in each warehouse.
const ITEMS: u64 = 8;
const DISTRICTS: u64 = 2;
const CUSTOMERS: u64 = 3;

/// What is known of an order or a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    There,
    Absent,
}

pub(crate) struct Tpcc {
    isolation: IsolationLevel,
    /// Whether history is promised for a while only.
    forgets: bool,
    has_references: bool,
    /// Whether who cannot commit may meet a duplicate before it hears of it: nobody waits for a district's number under
    /// `occ`, and later statements of READ COMMITTED see the order of whoever was first.
    meets_duplicates: bool,
    warehouse_count: u64,
    is_prepared: Cell<bool>,
    /// By token.
    fates: RefCell<BTreeMap<i64, Fate>>,
    next_token: Cell<i64>,
    acknowledged_count: Cell<u64>,
    rng: Draws,
}

/// A customer's district.
#[derive(Clone, Copy)]
struct Place {
    warehouse: i32,
    district: i32,
    customer: i32,
}

impl Place {
    fn params(self) -> [Value; 3] {
        [self.warehouse, self.district, self.customer].map(Value::Int4)
    }

    fn district(self) -> [Value; 2] {
        [self.warehouse, self.district].map(Value::Int4)
    }
}

fn number(row: Option<&Vec<Value>>) -> Result<i64, Refusal> {
    match row.and_then(|row| row.first()) {
        Some(value) => integer(value),
        None => Err(Refusal::Violation("tpcc: a row that is never removed is gone".into())),
    }
}

impl Tpcc {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::stream(plan.seed, "tpcc");
        Self {
            // Below, a delivery sees what others have not delivered yet, and may never.
            isolation: plan.isolation.max(IsolationLevel::ReadCommitted),
            forgets: plan.config.retention.is_some(),
            has_references: rng.chance(1, 2),
            meets_duplicates: plan.config.control == "occ",
            warehouse_count: 1 + rng.below(2),
            is_prepared: Cell::new(false),
            fates: RefCell::default(),
            next_token: Cell::new(0),
            acknowledged_count: Cell::new(0),
            rng: Draws::new(plan.seed, "tpcc"),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    fn place(&self) -> Place {
        Place {
            warehouse: self.draw(self.warehouse_count) as i32,
            district: self.draw(DISTRICTS) as i32,
            customer: self.draw(CUSTOMERS) as i32,
        }
    }

    fn token(&self) -> i64 {
        let token = self.next_token.get();
        self.next_token.set(token + 1);
        self.fates.borrow_mut().insert(token, Fate::Open);
        token
    }

    fn prepare(&self, client: &mut Client) -> Result<(), Refusal> {
        let mut text = conditions::definitions(self.has_references);
        let warehouses = self.warehouse_count;
        text.push_str(&format!(
            "INSERT INTO warehouse SELECT w, 0 FROM generate_series(0, {warehouses} - 1) AS w;
             INSERT INTO district SELECT w_id, d, 0, 1 FROM warehouse, generate_series(0, {DISTRICTS} - 1) AS d;
             INSERT INTO customer SELECT d_w_id, d_id, c, 0, 0
                 FROM district, generate_series(0, {CUSTOMERS} - 1) AS c;
             INSERT INTO item SELECT i, i + 1 FROM generate_series(0, {ITEMS} - 1) AS i;
             INSERT INTO stock SELECT w_id, i_id, 50, 0, 0 FROM warehouse, item;
             COMMIT"
        ));
        client.script(&text)
    }

    /// Clause 2.4: a few lines, each of which takes from the stock.
    fn new_order(&self, client: &mut Client, token: i64) -> Result<(), Refusal> {
        let place = self.place();
        let lines: Vec<(i32, i64)> = (0..1 + self.draw(4))
            .map(|_| (self.draw(ITEMS) as i32, 1 + self.draw(9) as i64))
            .collect();
        let numbered = client.run(
            "UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_w_id = $1 AND d_id = $2
             RETURNING d_next_o_id - 1",
            &place.district(),
        )?;
        let order = Value::Int8(number(numbered.first())?);
        let [warehouse, district, customer] = place.params();
        let key = [warehouse.clone(), district.clone(), order.clone()];
        let head =
            [&key[..], &[customer, Value::Int8(lines.len() as i64), Value::Int8(token)]].concat();
        client.run("INSERT INTO orders VALUES ($1, $2, $3, $4, NULL, $5, $6)", &head)?;
        client.run("INSERT INTO new_order VALUES ($1, $2, $3)", &key)?;
        for (line, (item, quantity)) in lines.iter().enumerate() {
            let item = Value::Int4(*item);
            let found = client
                .run("SELECT i_price FROM item WHERE i_id = $1", std::slice::from_ref(&item))?;
            let amount = Value::Int8(number(found.first())? * quantity);
            let quantity = Value::Int8(*quantity);
            client.run(
                "UPDATE stock SET s_ytd = s_ytd + $1, s_order_cnt = s_order_cnt + 1,
                     s_quantity = CASE WHEN s_quantity >= $1 + 10 THEN s_quantity - $1
                         ELSE s_quantity - $1 + 91 END
                 WHERE s_w_id = $2 AND s_i_id = $3",
                &[quantity.clone(), warehouse.clone(), item.clone()],
            )?;
            let rest = [Value::Int4(line as i32), item, quantity, amount];
            let row = [&key[..], &rest].concat();
            client
                .run("INSERT INTO order_line VALUES ($1, $2, $3, $4, $5, $6, $7, false)", &row)?;
        }
        // An item that there is not.
        if self.draw(10) == 0 { Err(Refusal::Retry) } else { Ok(()) }
    }

    /// Clause 2.5.
    fn payment(&self, client: &mut Client, token: i64) -> Result<(), Refusal> {
        let place = self.place();
        let amount = Value::Int8(1 + self.draw(500) as i64);
        let [warehouse, district, customer] = place.params();
        client.run(
            "UPDATE warehouse SET w_ytd = w_ytd + $1 WHERE w_id = $2",
            &[amount.clone(), warehouse.clone()],
        )?;
        client.run(
            "UPDATE district SET d_ytd = d_ytd + $1 WHERE d_w_id = $2 AND d_id = $3",
            &[amount.clone(), warehouse.clone(), district.clone()],
        )?;
        client.run(
            "UPDATE customer SET c_balance = c_balance - $1, c_payment_cnt = c_payment_cnt + 1
             WHERE c_w_id = $2 AND c_d_id = $3 AND c_id = $4",
            &[amount.clone(), warehouse.clone(), district.clone(), customer.clone()],
        )?;
        client.run(
            "INSERT INTO history VALUES ($1, $2, $3, $4, $5)",
            &[warehouse, district, customer, amount, Value::Int8(token)],
        )?;
        Ok(())
    }

    /// Clause 2.7: the oldest order of each district.
    fn delivery(&self, client: &mut Client) -> Result<(), Refusal> {
        let warehouse = Value::Int4(self.draw(self.warehouse_count) as i32);
        let carrier = Value::Int4(self.draw(10) as i32);
        for district in 0..DISTRICTS {
            let place = [warehouse.clone(), Value::Int4(district as i32)];
            let oldest = client.run(
                "DELETE FROM new_order WHERE no_w_id = $1 AND no_d_id = $2 AND no_o_id =
                     (SELECT min(no_o_id) FROM new_order WHERE no_w_id = $1 AND no_d_id = $2)
                 RETURNING no_o_id",
                &place,
            )?;
            // None is open, or somebody else was first.
            let Some(order) = oldest.first() else { continue };
            let order = Value::Int8(integer(&order[0])?);
            let key = [&place[..], std::slice::from_ref(&order)].concat();
            let customer = client.run(
                "UPDATE orders SET o_carrier_id = $4 WHERE o_w_id = $1 AND o_d_id = $2 AND o_id = $3
                 RETURNING o_c_id",
                &[&key[..], std::slice::from_ref(&carrier)].concat(),
            )?;
            let customer = Value::Int8(number(customer.first())?);
            client.run(
                "UPDATE order_line SET ol_is_delivered = true
                 WHERE ol_w_id = $1 AND ol_d_id = $2 AND ol_o_id = $3",
                &key,
            )?;
            client.run(
                "UPDATE customer SET c_balance = c_balance + (SELECT sum(ol_amount)::bigint FROM order_line
                     WHERE ol_w_id = $1 AND ol_d_id = $2 AND ol_o_id = $3)
                 WHERE c_w_id = $1 AND c_d_id = $2 AND c_id = $4",
                &[&key[..], std::slice::from_ref(&customer)].concat(),
            )?;
        }
        Ok(())
    }

    /// Clause 2.8: how many of the items that were ordered last are low; and the same by a subquery.
    fn stock_level(&self, client: &mut Client) -> Result<(), Refusal> {
        let place = self.place().district();
        let joined = client.run(
            "SELECT count(DISTINCT s_i_id) FROM district
             JOIN order_line ON ol_w_id = d_w_id AND ol_d_id = d_id
                 AND ol_o_id < d_next_o_id AND ol_o_id >= d_next_o_id - 5
             JOIN stock ON s_w_id = ol_w_id AND s_i_id = ol_i_id
             WHERE d_w_id = $1 AND d_id = $2 AND s_quantity < 40",
            &place,
        )?;
        let nested = client.run(
            "SELECT count(*) FROM stock WHERE s_w_id = $1 AND s_quantity < 40 AND s_i_id IN
                 (SELECT ol_i_id FROM order_line WHERE ol_w_id = $1 AND ol_d_id = $2
                  AND ol_o_id BETWEEN (SELECT d_next_o_id - 5 FROM district WHERE d_w_id = $1 AND d_id = $2)
                      AND (SELECT d_next_o_id - 1 FROM district WHERE d_w_id = $1 AND d_id = $2))",
            &place,
        )?;
        match joined == nested {
            true => Ok(()),
            false => {
                Err(Refusal::Violation(format!("tpcc: stock level {joined:?}, or {nested:?}")))
            }
        }
    }

    /// A transaction that leaves a token.
    fn with_token(
        &self,
        client: &mut Client,
        body: impl FnOnce(&mut Client, i64) -> Result<(), Refusal>,
    ) -> Result<bool, Finding> {
        let token = self.token();
        let modes = format!("ISOLATION LEVEL {}", self.isolation);
        let done = client.transaction(&modes, |client| body(client, token));
        let done = done.map_err(|refusal| match refusal {
            Refusal::Violation(what) if self.meets_duplicates && what.contains("error 23505") => {
                Refusal::Retry
            }
            other => other,
        });
        let fate = match &done {
            Ok(()) => Fate::There,
            Err(Refusal::Unknown) => Fate::Open,
            Err(_) => Fate::Absent,
        };
        if fate != Fate::Open {
            self.fates.borrow_mut().insert(token, fate);
        }
        self.acknowledged_count.set(self.acknowledged_count.get() + u64::from(done.is_ok()));
        done.map_or_else(go_on, |()| Ok(true))
    }

    /// Every condition, in one snapshot or as of a commit, and every token.
    fn audit(
        &self,
        client: &mut Client,
        modes: &str,
        judges_tokens: bool,
    ) -> Result<bool, Refusal> {
        let known = judges_tokens.then(|| self.fates.borrow().clone());
        let tokens = client.transaction(modes, |client| {
            for (what, query) in CONDITIONS {
                let wrong = client.run(query, &[])?;
                if let Some(row) = wrong.first() {
                    let place = if judges_tokens { "now" } else { modes };
                    let what = format!("tpcc consistency: {what} ({place}): {row:?}");
                    return Err(Refusal::Violation(what));
                }
            }
            client.run(TOKENS, &[])
        })?;
        let Some(known) = known else { return Ok(true) };
        let tokens: Result<Vec<i64>, Refusal> = tokens.iter().map(|row| integer(&row[0])).collect();
        let tokens = tokens?;
        for (token, fate) in known {
            let count = tokens.iter().filter(|other| **other == token).count();
            let what = match (fate, count) {
                (Fate::There, 0) => "was acknowledged and is gone",
                (Fate::Absent, 1..) => "was never committed and is there",
                (_, 2..) => "is there twice",
                _ => continue,
            };
            return Err(Refusal::Violation(format!("durability: token {token} {what}")));
        }
        // What somebody has seen stays.
        let mut fates = self.fates.borrow_mut();
        tokens.into_iter().for_each(|token| {
            fates.insert(token, Fate::There);
        });
        Ok(true)
    }

    fn look_back(&self, node: &Node, client: &mut Client) -> Result<bool, Finding> {
        let store = node.store();
        let Ok(newest) = store.sequence_at(store.newest()) else { return Ok(false) };
        let sequence = newest - self.draw(newest.clamp(1, 20));
        match self.audit(client, &format!("AS OF @SEQ:{sequence}"), false) {
            Err(Refusal::TooOld) if self.forgets => Ok(true),
            // Before the tables were.
            Err(Refusal::Violation(what)) if what.contains("42P01") => Ok(true),
            answer => answer.or_else(go_on),
        }
    }
}

impl Workload for Tpcc {
    fn recovered(&self, node: &Arc<Node>) -> Result<bool, Finding> {
        let prepared = Client::new(node, false).and_then(|mut client| {
            if client.is_missing("SELECT FROM orders")? {
                if self.is_prepared.get() {
                    let what = "durability: the tables were acknowledged and are gone";
                    return Err(Refusal::Violation(what.into()));
                }
                self.prepare(&mut client)?;
            }
            Ok(client)
        });
        let mut client = match prepared {
            Ok(client) => client,
            Err(refusal) => return go_on(refusal),
        };
        self.is_prepared.set(true);
        let audited = self.audit(&mut client, SNAPSHOT, true);
        if !audited.or_else(go_on)? {
            return Ok(false);
        }
        for fate in self.fates.borrow_mut().values_mut().filter(|fate| **fate == Fate::Open) {
            *fate = Fate::Absent;
        }
        self.look_back(node, &mut client)
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
            let modes = format!("ISOLATION LEVEL {}", self.isolation);
            let goes_on = match self.draw(20) {
                0..8 => {
                    self.with_token(&mut client, |client, token| self.new_order(client, token))?
                }
                8..13 => {
                    self.with_token(&mut client, |client, token| self.payment(client, token))?
                }
                13..16 => client
                    .transaction(&modes, |client| self.delivery(client))
                    .map_or_else(go_on, |()| Ok(true))?,
                16 => client
                    .transaction(SNAPSHOT, |client| self.stock_level(client))
                    .map_or_else(go_on, |()| Ok(true))?,
                17 | 18 => self.audit(&mut client, SNAPSHOT, true).or_else(go_on)?,
                _ => self.look_back(node, &mut client)?,
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

const SNAPSHOT: &str = "ISOLATION LEVEL REPEATABLE READ READ ONLY";
