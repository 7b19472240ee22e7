//! Diff, RESTORE and UNDO against a model that keeps every state, under random histories.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use driftdb_env::planted;

use crate::harness::{Fixture, everywhere};
use crate::traveller::Traveller;

/// A table as the model has it.
type State = BTreeMap<i32, Row>;
type Row = (Option<i32>, String);

/// Random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn row(&mut self) -> Row {
        let n = (self.below(4) > 0).then(|| self.below(3) as i32);
        (n, ["", "a", "b", "ab"][self.below(4) as usize].to_owned())
    }

    /// Rows written (`Some`) and removed (`None`).
    fn rows(&mut self) -> Vec<(i32, Option<Row>)> {
        let count = 1 + self.below(4);
        (0..count)
            .map(|_| (self.below(8) as i32, (self.below(10) < 7).then(|| self.row())))
            .collect()
    }
}

/// The table, and each state that it had with the number of the commit that made it.
struct Model {
    t: Traveller,
    states: Vec<(u64, State)>,
}

fn number(value: Option<i32>) -> String {
    value.map_or("NULL".to_owned(), |value| value.to_string())
}

fn shown(value: Option<i32>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

impl Model {
    fn state(&self) -> &State {
        &self.states.last().unwrap().1
    }

    fn newest(&self) -> u64 {
        let store = self.t.session.node().store();
        store.sequence_at(store.newest()).unwrap()
    }

    fn push(&mut self, state: State) {
        self.states.push((self.newest(), state));
    }

    fn write(&mut self, rows: &[(i32, Option<Row>)]) {
        let mut state = self.state().clone();
        self.t.run("BEGIN");
        for (id, row) in rows {
            match row {
                Some((n, v)) => {
                    let values = format!("{id}, {}, '{v}'", number(*n));
                    self.t.run(&format!(
                        "INSERT INTO m VALUES ({values}) ON CONFLICT (id) \
                         DO UPDATE SET n = excluded.n, v = excluded.v"
                    ));
                    state.insert(*id, (*n, v.clone()));
                }
                None => {
                    self.t.run(&format!("DELETE FROM m WHERE id = {id}"));
                    state.remove(id);
                }
            }
        }
        self.t.run("COMMIT");
        if self.newest() != self.states.last().unwrap().0 {
            self.push(state);
        }
    }

    fn restore(&mut self, place: usize) {
        let (sequence, state) = self.states[place].clone();
        let expected = differing(self.state(), &state).len();
        let answers = self.t.session.query(&format!("RESTORE TABLE m AS OF @SEQ:{sequence}"));
        assert_eq!(answers.unwrap()[0].tag.unwrap().rows, Some(expected as u64));
        if expected > 0 {
            self.push(state);
        }
    }

    fn undo(&mut self, place: usize) {
        let Some(before) = place.checked_sub(1).map(|before| self.states[before].1.clone()) else {
            return;
        };
        let (sequence, after) = self.states[place].clone();
        let changed = differing(&before, &after);
        let conflicts = changed.iter().filter(|id| self.state().get(id) != after.get(id)).count();
        let undo = format!("UNDO TRANSACTION {sequence}");
        let plain = self.t.session.query(&undo);
        if conflicts > 0 {
            assert_eq!(plain.unwrap_err().state.code(), "40001");
            let skip = format!("{undo} ON CONFLICT SKIP");
            let tag = self.t.session.query(&skip).unwrap()[0].tag.unwrap();
            assert_eq!(tag.rows, Some((changed.len() - conflicts) as u64));
        } else {
            assert_eq!(plain.unwrap()[0].tag.unwrap().rows, Some(changed.len() as u64));
        }
        let mut state = self.state().clone();
        for id in changed {
            if state.get(&id) != after.get(&id) {
                continue;
            }
            match before.get(&id) {
                Some(row) => state.insert(id, row.clone()),
                None => state.remove(&id),
            };
        }
        if self.newest() != self.states.last().unwrap().0 {
            self.push(state);
        }
    }

    fn check(&mut self) {
        let state = self.state().clone();
        let line = |(id, (n, v)): (&i32, &Row)| format!("{id} {} {v}", shown(*n));
        let expected: Vec<String> = state.iter().map(line).collect();
        assert_eq!(self.t.rows("SELECT * FROM m ORDER BY id"), expected);
        // Through the index.
        let zeros: Vec<String> = state
            .iter()
            .filter(|(_, (n, _))| *n == Some(0))
            .map(|(id, _)| id.to_string())
            .collect();
        assert_eq!(self.t.rows("SELECT id FROM m WHERE n = 0 ORDER BY id"), zeros);
    }

    /// The difference between two states, every way.
    fn check_diff(&mut self, from: usize, to: usize) {
        let ((from, before), (to, after)) = (self.states[from].clone(), self.states[to].clone());
        let changed = differing(&before, &after);
        let op = |id: &i32| match (before.get(id), after.get(id)) {
            (None, _) => "INSERT",
            (_, None) => "DELETE",
            _ => "UPDATE",
        };
        let expected: Vec<String> = changed.iter().map(|id| format!("{} {id}", op(id))).collect();
        let order = "coalesce(old_id, new_id)";
        let by_key =
            format!("SELECT op, {order} FROM driftdb_diff('m', {from}, {to}) ORDER BY {order}");
        assert_eq!(self.t.rows(&by_key), expected);
        let mut by_query: Vec<String> = self
            .t
            .rows(&format!("DIFF (SELECT * FROM m) BETWEEN @SEQ:{from} AND @SEQ:{to} KEY (id)"))
            .iter()
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect();
        by_query.sort();
        assert_eq!(by_query.len(), expected.len());
        let bag = format!("DIFF (SELECT * FROM m) BETWEEN @SEQ:{from} AND @SEQ:{to}");
        let updates = changed.iter().filter(|id| op(id) == "UPDATE").count();
        assert_eq!(self.t.rows(&bag).len(), changed.len() + updates);
    }
}

fn differing(a: &State, b: &State) -> Vec<i32> {
    let mut ids: Vec<i32> = a.keys().chain(b.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| a.get(id) != b.get(id));
    ids
}

fn run(fixture: &Fixture, seed: u64) {
    let mut random = Random(seed);
    let mut t = Traveller::new(fixture);
    t.run("DROP TABLE IF EXISTS m");
    t.run("CREATE TABLE m (id int PRIMARY KEY, n int, v text); CREATE INDEX ON m (n)");
    let mut model = Model { t, states: Vec::new() };
    model.push(State::new());
    for _ in 0..14 {
        let count = model.states.len() as u64;
        match random.below(13) {
            0..=5 => model.write(&random.rows()),
            6 => {
                model.t.run("TRUNCATE m");
                model.push(State::new());
            }
            7 | 8 => model.restore(random.below(count) as usize),
            9..=11 => {
                let place = random.below(count) as usize;
                let kinds = "SELECT statements FROM driftdb_transactions WHERE seq =";
                let kinds = model.t.rows(&format!("{kinds} {}", model.states[place].0));
                // What TRUNCATE did is a definition, which is not undone.
                if !kinds[0].contains("DDL") {
                    model.undo(place);
                }
            }
            _ => model.t.run("CHECKPOINT"),
        }
        model.check();
    }
    let last = model.states.len() - 1;
    for other in 0..=last {
        model.check_diff(other, last);
        model.check_diff(last, other);
    }
}

#[test]
fn random_histories_agree_with_the_model() {
    everywhere(|fixture| (0..6).for_each(|seed| run(fixture, seed)));
}

#[test]
fn the_model_would_see_a_change_that_an_undo_loses() {
    let fixture = Fixture::new();
    planted::activate(Some("executor.undo-without-conflict-check"));
    let is_found =
        (0..12).any(|seed| catch_unwind(AssertUnwindSafe(|| run(&fixture, seed))).is_err());
    planted::activate(None);
    assert!(is_found);
}
