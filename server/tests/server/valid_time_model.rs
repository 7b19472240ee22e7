//! Random changes of valid time against a model that knows what held on each day: portions updated and
//! deleted, every form of a clause, and both times at once, compared with the naive answer.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::harness::{Fixture, everywhere};
use crate::traveller::Traveller;

/// A sequence of numbers that looks random (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// A stretch of days, now and then empty or upside down.
    fn stretch(&mut self) -> (u64, u64) {
        let from = self.below(DAYS);
        match self.below(12) {
            0 => (from, from),
            1 => (from, from.saturating_sub(1 + self.below(5))),
            _ => (from, from + 1 + self.below(12)),
        }
    }
}

/// Days that rows begin on.
const DAYS: u64 = 40;

/// A row: what was inserted as one, its value, and when it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    id: u64,
    v: i64,
    from: u64,
    to: u64,
}

fn day(day: u64) -> String {
    format!("date '2026-01-01' + {day}")
}

/// The table at one commit.
type State = Vec<Row>;

struct Model {
    state: State,
    next_id: u64,
    /// By commit.
    states: BTreeMap<u64, State>,
}

impl Model {
    /// A statement, carried out on the model.
    fn change(&mut self, draw: &mut Draw) -> String {
        let (from, to) = draw.stretch();
        let meant = draw.below(1 + self.next_id);
        let clause = format!("vtm FOR PORTION OF held FROM {} TO {}", day(from), day(to));
        match draw.below(8) {
            0..=2 => self.insert(draw),
            3 | 4 => {
                let add = draw.below(100) as i64;
                self.cut(meant, from, to, Some(add));
                format!("UPDATE {clause} SET v = v + {add} WHERE id % 3 = {} % 3", meant)
            }
            5 | 6 => {
                self.cut(meant, from, to, None);
                format!("DELETE FROM {clause} AS x WHERE x.id % 3 = {} % 3", meant)
            }
            _ => {
                let limit = draw.below(100) as i64;
                self.state.retain(|row| row.v <= limit || row.id % 3 != meant % 3);
                format!("DELETE FROM vtm WHERE v > {limit} AND id % 3 = {meant} % 3")
            }
        }
    }

    fn insert(&mut self, draw: &mut Draw) -> String {
        let from = draw.below(DAYS);
        let to = from + 1 + draw.below(20);
        let row = Row { id: self.next_id, v: draw.below(100) as i64, from, to };
        self.next_id += 1;
        let values = format!("({}, {}, {}, {})", row.id, row.v, day(row.from), day(row.to));
        self.state.push(row);
        format!("INSERT INTO vtm VALUES {values}")
    }

    /// Each day that a row holds on is by itself: on those of the portion it changes, or holds no more.
    fn cut(&mut self, meant: u64, from: u64, to: u64, add: Option<i64>) {
        let mut after = Vec::new();
        for row in std::mem::take(&mut self.state) {
            let is_meant = row.id % 3 == meant % 3;
            let inside = |day: u64| is_meant && from < to && from <= day && day < to;
            let mut days = row.from..row.to;
            while let Some(first) = days.next() {
                let last = (first..row.to).take_while(|day| inside(*day) == inside(first)).last();
                let end = last.unwrap_or(first) + 1;
                days = end..row.to;
                let part = Row { from: first, to: end, ..row };
                match (inside(first), add) {
                    (false, _) => after.push(part),
                    (true, Some(add)) => after.push(Row { v: part.v + add, ..part }),
                    (true, None) => {}
                }
            }
        }
        self.state = after;
    }
}

/// The lines of rows, in order.
fn lines(rows: impl Iterator<Item = Row>) -> Vec<String> {
    let mut rows: Vec<Row> = rows.collect();
    rows.sort();
    rows.iter().map(|row| format!("{} {} {} {}", row.id, row.v, row.from, row.to)).collect()
}

fn newest(t: &Traveller) -> u64 {
    let store = t.session.node().store();
    store.sequence_at(store.newest()).unwrap()
}

/// One question, asked of both.
fn check(t: &mut Traveller, model: &Model, draw: &mut Draw) -> usize {
    let (from, to) = draw.stretch();
    type Holds = Box<dyn Fn(&Row) -> bool>;
    let (clause, holds): (String, Holds) = match draw.below(5) {
        0 | 1 => {
            (format!("AS OF {}", day(from)), Box::new(move |row| row.from <= from && from < row.to))
        }
        2 => (
            format!("BETWEEN {} AND {}", day(from), day(to)),
            Box::new(move |row| (from..=to).any(|day| row.from <= day && day < row.to)),
        ),
        3 => (
            format!("FROM {} TO {}", day(from), day(to)),
            Box::new(move |row| (from..to).any(|day| row.from <= day && day < row.to)),
        ),
        _ => (
            format!("CONTAINED IN ({}, {})", day(from), day(to)),
            Box::new(move |row| from <= row.from && row.to <= to),
        ),
    };
    // Now, or as of any commit.
    let (commit, state) =
        model.states.iter().nth(draw.below(model.states.len() as u64) as usize).unwrap();
    let (system, state) = match draw.below(2) {
        0 => (String::new(), &model.state),
        _ => (format!("FOR SYSTEM_TIME AS OF @SEQ:{commit}"), state),
    };
    let (id, condition) = match draw.below(3) {
        0 => (None, String::new()),
        _ => {
            let id = draw.below(model.next_id.max(1));
            (Some(id), format!("WHERE id = {id}"))
        }
    };
    let both = match draw.below(2) {
        0 => format!("FOR held {clause} {system}"),
        _ => format!("{system} FOR held {clause}"),
    };
    let sql = format!(
        "SELECT id, v, a - date '2026-01-01', b - date '2026-01-01' FROM vtm {both} {condition} \
         ORDER BY 1, 2, 3, 4"
    );
    let wanted = |row: &&Row| holds(row) && id.is_none_or(|id| row.id == id);
    let expected = lines(state.iter().filter(wanted).cloned());
    assert_eq!(t.rows(&sql), expected, "{sql}");
    expected.len()
}

fn run(fixture: &Fixture, seed: u64, commits: u64) {
    let mut draw = Draw(seed);
    let mut t = Traveller::new(fixture);
    t.run("DROP TABLE IF EXISTS vtm");
    // Rows that were one have no day in common, so the key with the start stays unique.
    let key = ["", ", PRIMARY KEY (id, a)", ", UNIQUE (a, id)"][draw.below(3) as usize];
    t.run(&format!(
        "CREATE TABLE vtm (id int, v int, a date, b date, PERIOD FOR held (a, b){key})"
    ));
    let mut model = Model { state: Vec::new(), next_id: 0, states: BTreeMap::new() };
    let mut shown = 0;
    for round in 0..commits {
        let mut script = "BEGIN".to_owned();
        for _ in 0..=draw.below(3) {
            write!(script, "; {}", model.change(&mut draw)).unwrap();
        }
        t.run(&format!("{script}; COMMIT"));
        model.states.insert(newest(&t), model.state.clone());
        if round % 5 == 4 {
            shown += (0..6).map(|_| check(&mut t, &model, &mut draw)).sum::<usize>();
        }
    }
    println!("seed {seed}: {} rows, {shown} shown", model.state.len());
    assert!(shown > 20, "seed {seed} hardly shows anything");
}

#[test]
fn valid_time_agrees_with_the_model() {
    let fixture = Fixture::new();
    for seed in 0..12 {
        run(&fixture, seed, 60);
    }
}

#[test]
fn valid_time_agrees_with_the_model_everywhere() {
    everywhere(|fixture| {
        for seed in 100..103 {
            run(fixture, seed, 40);
        }
    });
}

/// The model notices what it is there to notice.
#[test]
fn planted_bugs_of_valid_time_are_found() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    for bug in ["executor.portion-forgets-after", "executor.portion-leaves-the-whole"] {
        let is_found = |seed: &u64| {
            let fixture = Fixture::new();
            driftdb_env::planted::activate(Some(bug));
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&fixture, *seed, 60)));
            driftdb_env::planted::activate(None);
            outcome.is_err()
        };
        // Without it, these seeds pass: see `valid_time_agrees_with_the_model`.
        let found = (0..12).find(is_found);
        println!("{bug}: found by seed {found:?}");
        assert!(found.is_some(), "{bug} is not found");
    }
}
