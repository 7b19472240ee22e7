//! Indexes on expressions and of some rows against a model, under random histories: what an index finds is
//! what a look at every row finds, now and as of every commit, and uniqueness is that of the model.

use std::collections::BTreeMap;

use crate::harness::{Fixture, everywhere};
use crate::traveller::Traveller;

type State = BTreeMap<i32, (Option<i32>, String)>;

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

    fn row(&mut self) -> (i32, (Option<i32>, String)) {
        let n = (self.below(5) > 0).then(|| self.below(4) as i32);
        let v = ["a", "A", "b", "ab", "Ab"][self.below(5) as usize].to_owned();
        (self.below(12) as i32, (n, v))
    }
}

const INDEXES: [&str; 6] = [
    "CREATE INDEX x_lower ON x (lower(v))",
    "CREATE INDEX x_ones ON x (id) WHERE n = 1",
    "CREATE UNIQUE INDEX x_part ON x (n) WHERE v = 'a'",
    "CREATE UNIQUE INDEX x_expr ON x ((n * 10 + length(v)), upper(v)) WHERE n > 1",
    "CREATE INDEX x_order ON x (n DESC NULLS LAST, v NULLS FIRST) INCLUDE (id)",
    "CREATE UNIQUE INDEX x_null ON x (n, (v || '')) NULLS NOT DISTINCT WHERE v = 'ab'",
];

/// Conditions that an index serves. In brackets and IS TRUE none does.
const QUERIES: [&str; 10] = [
    "lower(v) = 'a'",
    "lower(v) > 'a' AND lower(v) <= 'b'",
    "n = 1",
    "n = 1 AND id < 6",
    "n = 2 AND v = 'a'",
    "n * 10 + length(v) = 21 AND n > 1",
    "n * 10 + length(v) >= 22 AND n = 3",
    "n >= 1",
    "n < 2",
    "v = 'ab' AND n = 1 AND v || '' = 'ab'",
];

/// Whether two rows cannot both be there.
fn collide(a: &(Option<i32>, String), b: &(Option<i32>, String)) -> bool {
    let ((n, v), (m, w)) = (a, b);
    let part = v == "a" && w == "a" && n.is_some() && n == m;
    let expr = *n > Some(1) && n == m && v.to_uppercase() == w.to_uppercase();
    let null = v == "ab" && w == "ab" && n == m;
    part || expr || null
}

struct Model {
    t: Traveller,
    state: State,
    states: Vec<(u64, State)>,
}

impl Model {
    fn newest(&self) -> u64 {
        let store = self.t.session.node().store();
        store.sequence_at(store.newest()).unwrap()
    }

    /// Puts a row, as one statement of three kinds.
    fn put(&mut self, kind: u64, id: i32, row: (Option<i32>, String)) {
        let n = row.0.map_or("NULL".to_owned(), |n| n.to_string());
        let v = &row.1;
        let there = self.state.contains_key(&id);
        let others = self.state.iter().filter(|(other, _)| **other != id);
        let collides = others.clone().any(|(_, other)| collide(other, &row));
        let (sql, fails, writes) = match kind {
            0 => (format!("INSERT INTO x VALUES ({id}, {n}, '{v}')"), there || collides, true),
            1 => (
                format!("UPDATE x SET n = {n}, v = '{v}' WHERE id = {id}"),
                there && collides,
                there,
            ),
            2 => {
                let other = self.state.iter().find(|(_, other)| {
                    other.1 == "a" && v == "a" && other.0.is_some() && other.0 == row.0
                });
                let sql = format!(
                    "INSERT INTO x VALUES ({id}, {n}, '{v}') ON CONFLICT (n) WHERE v = 'a' \
                     DO NOTHING"
                );
                // What the named index has decides before another's conflict is an error.
                (sql, other.is_none() && (there || collides), other.is_none())
            }
            _ => (
                format!("INSERT INTO x VALUES ({id}, {n}, '{v}') ON CONFLICT DO NOTHING"),
                false,
                !there && !collides,
            ),
        };
        let result = self.t.session.query(&sql);
        match result {
            Ok(_) => assert!(!fails, "{sql} over {:?}", self.state),
            Err(error) => {
                assert_eq!(error.state.code(), "23505", "{sql}");
                assert!(fails, "{sql} over {:?}: {error}", self.state);
            }
        }
        if !fails && writes {
            self.state.insert(id, row);
        }
    }

    fn check_at(&mut self, time: &str) {
        for condition in QUERIES {
            let by_index = format!("SELECT id FROM x {time} WHERE {condition} ORDER BY id");
            let by_rows =
                format!("SELECT id FROM x {time} WHERE ({condition}) IS TRUE ORDER BY id");
            let (found, expected) = (self.t.rows(&by_index), self.t.rows(&by_rows));
            assert_eq!(found, expected, "{by_index}");
        }
    }

    fn check(&mut self) {
        let line = |(id, (n, v)): (&i32, &(Option<i32>, String))| {
            format!("{id} {} {v}", n.map_or(String::new(), |n| n.to_string()))
        };
        let expected: Vec<String> = self.state.iter().map(line).collect();
        assert_eq!(self.t.rows("SELECT id, n, v FROM x ORDER BY id"), expected);
        self.check_at("");
        let newest = self.newest();
        if self.states.last().is_none_or(|(sequence, _)| *sequence != newest) {
            self.states.push((newest, self.state.clone()));
        }
    }
}

fn run(fixture: &Fixture, seed: u64) {
    let mut random = Random(seed);
    let mut t = Traveller::new(fixture);
    t.run("DROP TABLE IF EXISTS x");
    t.run("CREATE TABLE x (id int PRIMARY KEY, n int, v text)");
    INDEXES.iter().for_each(|index| t.run(index));
    let mut model = Model { t, state: State::new(), states: Vec::new() };
    model.check();
    for _ in 0..40 {
        let (id, row) = random.row();
        match random.below(22) {
            kind @ 0..=13 => model.put(kind % 4, id, row),
            14 | 15 => {
                model.t.run(&format!("DELETE FROM x WHERE id = {id} OR lower(v) = 'zz'"));
                model.state.remove(&id);
            }
            16 => {
                model.t.run("TRUNCATE x");
                model.state.clear();
            }
            17 => {
                let place = random.below(model.states.len() as u64) as usize;
                let (sequence, state) = model.states[place].clone();
                model.t.run(&format!("RESTORE TABLE x AS OF @SEQ:{sequence}"));
                model.state = state;
            }
            18 => {
                let index = random.below(INDEXES.len() as u64) as usize;
                let name = INDEXES[index].split(' ').find(|word| word.starts_with("x_")).unwrap();
                model.t.run(&format!("DROP INDEX {name}"));
                model.t.run(INDEXES[index]);
            }
            19 => model.t.run("REINDEX TABLE x"),
            // Every row is written anew.
            20 => {
                model.t.run("ALTER TABLE x ADD COLUMN r float8 DEFAULT random()");
                model.t.run("ALTER TABLE x DROP COLUMN r");
            }
            _ => {
                model.t.run("BEGIN; UPDATE x SET v = v || 'a', n = n + 1; DELETE FROM x; ROLLBACK");
                model.t.run("CHECKPOINT");
            }
        }
        model.check();
    }
    for place in 0..model.states.len() {
        let time = format!("FOR SYSTEM_TIME AS OF @SEQ:{}", model.states[place].0);
        let count = model.states[place].1.len().to_string();
        assert_eq!(model.t.rows(&format!("SELECT count(*) FROM x {time}")), [count]);
        model.check_at(&time);
    }
    model.t.run(&format!("CREATE BRANCH b{seed}"));
    model.t.run(&format!("USE b{seed}"));
    model.check_at("");
    for _ in 0..10 {
        let (id, row) = random.row();
        model.put(random.below(4), id, row);
        model.check_at("");
    }
    model.t.run("USE driftdb");
}

#[test]
fn random_histories_agree_with_the_model() {
    everywhere(|fixture| (0..3).for_each(|seed| run(fixture, seed)));
}
