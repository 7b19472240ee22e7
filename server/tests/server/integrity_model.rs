//! Random changes under foreign keys against a model: the same answers, the same rows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use driftdb_env::{Env, Rng};
use driftdb_server::{CONTROLS, Config, Node, Session, SessionOptions};
use driftdb_types::Value;

const ACTIONS: [&str; 5] = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"];
/// Keys are few, so that rows meet.
const KEYS: u64 = 8;

/// A reference: the table and column that refer, the table they refer to, and the actions.
#[derive(Debug, Clone, Copy)]
struct Reference {
    child: usize,
    column: usize,
    parent: usize,
    on_delete: usize,
    on_update: usize,
}

/// Three tables in a row, the middle one a tree, too. Every row has a key and two more columns.
const TABLES: [&str; 3] = ["a", "b", "c"];

type Row = [Option<i32>; 2];

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    tables: [BTreeMap<i32, Row>; 3],
}

/// A key that went: of which table, and what it became.
struct Gone(usize, i32, Option<i32>);

impl Model {
    fn refers(&self, reference: &Reference, key: i32) -> Vec<i32> {
        let rows = self.tables[reference.child].iter();
        rows.filter(|(_, row)| row[reference.column] == Some(key)).map(|(key, _)| *key).collect()
    }

    /// Settles what became of keys: false if a constraint is violated.
    fn settle(&mut self, mut gone: VecDeque<Gone>, references: &[Reference]) -> bool {
        while let Some(Gone(table, old, new)) = gone.pop_front() {
            for reference in references.iter().filter(|reference| reference.parent == table) {
                let action = if new.is_some() { reference.on_update } else { reference.on_delete };
                let children = self.refers(reference, old);
                let rows = &mut self.tables[reference.child];
                match ACTIONS[action] {
                    "RESTRICT" if !children.is_empty() => return false,
                    "CASCADE" => {
                        for child in children {
                            if new.is_some() {
                                rows.get_mut(&child).unwrap()[reference.column] = new;
                            } else {
                                rows.remove(&child);
                                gone.push_back(Gone(reference.child, child, None));
                            }
                        }
                    }
                    "SET NULL" | "SET DEFAULT" => {
                        let value = (ACTIONS[action] == "SET DEFAULT").then_some(0);
                        for child in children {
                            rows.get_mut(&child).unwrap()[reference.column] = value;
                        }
                    }
                    _ => {}
                }
            }
        }
        self.holds(references)
    }

    fn holds(&self, references: &[Reference]) -> bool {
        references.iter().all(|reference| {
            let parents = &self.tables[reference.parent];
            self.tables[reference.child]
                .values()
                .all(|row| row[reference.column].is_none_or(|parent| parents.contains_key(&parent)))
        })
    }
}

struct Run {
    session: Session,
    rng: Rng,
    references: Vec<Reference>,
    model: Model,
    log: String,
}

fn shown(value: Option<i32>) -> String {
    value.map_or("NULL".to_owned(), |value| value.to_string())
}

impl Run {
    fn new(node: &std::sync::Arc<Node>, seed: u64, deferred: bool) -> Self {
        let mut rng = Rng::seeded(seed);
        let mut session = Session::new(node, &SessionOptions::default()).unwrap();
        let mut reference = |child, column, parent| Reference {
            child,
            column,
            parent,
            on_delete: if deferred { 0 } else { rng.index(ACTIONS.len()) },
            on_update: if deferred { 0 } else { rng.index(ACTIONS.len()) },
        };
        let references = vec![reference(1, 0, 0), reference(1, 1, 1), reference(2, 0, 1)];
        let mut sql = String::from("DROP TABLE IF EXISTS a, b, c;");
        for table in TABLES {
            write!(
                sql,
                "CREATE TABLE {table} (id int PRIMARY KEY, x int DEFAULT 0, y int DEFAULT 0);"
            )
            .unwrap();
        }
        for one in &references {
            let (child, parent) = (TABLES[one.child], TABLES[one.parent]);
            let column = ["x", "y"][one.column];
            let (on_delete, on_update) = (ACTIONS[one.on_delete], ACTIONS[one.on_update]);
            let when = if deferred { "DEFERRABLE INITIALLY DEFERRED" } else { "" };
            write!(
                sql,
                "ALTER TABLE {child} ADD FOREIGN KEY ({column}) REFERENCES {parent} \
                 ON DELETE {on_delete} ON UPDATE {on_update} {when};"
            )
            .unwrap();
            if rng.chance(1, 2) {
                write!(sql, "CREATE INDEX ON {child} ({column});").unwrap();
            }
        }
        session.query(&sql).unwrap();
        let log = format!("-- seed {seed}\n{sql}\n");
        Self { session, rng, references, model: Model::default(), log }
    }

    fn key(&mut self) -> i32 {
        self.rng.below(KEYS) as i32
    }

    fn value(&mut self) -> Option<i32> {
        let key = self.key();
        self.rng.chance(2, 3).then_some(key)
    }

    /// A random statement, and the state after it; `None` if a key is there already.
    fn statement(&mut self) -> (String, Option<(Model, VecDeque<Gone>)>) {
        let table = self.rng.index(3);
        let name = TABLES[table];
        let mut next = self.model.clone();
        let mut gone = VecDeque::new();
        match self.rng.below(8) {
            0..=3 => {
                let (key, mut row) = (self.key(), [self.value(), self.value()]);
                if table == 0 {
                    row = [None; 2];
                }
                let (x, y) = (shown(row[0]), shown(row[1]));
                let sql = format!("INSERT INTO {name} VALUES ({key}, {x}, {y})");
                let taken = next.tables[table].insert(key, row).is_some();
                (sql, (!taken).then_some((next, gone)))
            }
            4 => {
                let keys: BTreeSet<i32> = (0..2).map(|_| self.key()).collect();
                let list: Vec<String> = keys.iter().map(i32::to_string).collect();
                for key in keys {
                    if next.tables[table].remove(&key).is_some() {
                        gone.push_back(Gone(table, key, None));
                    }
                }
                (
                    format!("DELETE FROM {name} WHERE id IN ({})", list.join(", ")),
                    Some((next, gone)),
                )
            }
            5 => {
                let (old, new) = (self.key(), self.key());
                let sql = format!("UPDATE {name} SET id = {new} WHERE id = {old}");
                let Some(row) = next.tables[table].remove(&old) else {
                    return (sql, Some((next, gone)));
                };
                let taken = next.tables[table].insert(new, row).is_some();
                if old != new {
                    gone.push_back(Gone(table, old, Some(new)));
                }
                (sql, (!taken).then_some((next, gone)))
            }
            _ => {
                let (key, value) = (self.key(), self.value());
                let column = self.rng.index(2);
                let sql = format!(
                    "UPDATE {name} SET {} = {} WHERE id = {key}",
                    ["x", "y"][column],
                    shown(value)
                );
                if let Some(row) = next.tables[table].get_mut(&key) {
                    row[column] = value;
                }
                (sql, Some((next, gone)))
            }
        }
    }

    fn query(&mut self, sql: &str) -> String {
        let answer = self.session.query(sql);
        let code = answer.map_or_else(|error| error.state.code(), |_| "00000");
        writeln!(self.log, "{sql}; -- {code}").unwrap();
        code.to_owned()
    }

    fn check_rows(&mut self) {
        for (name, expected) in TABLES.iter().zip(&self.model.tables) {
            let rows = self.session.query(&format!("SELECT id, x, y FROM {name}")).unwrap();
            let int = |value: &Value| value.as_int().map(|int| int as i32);
            let rows: BTreeMap<i32, Row> = rows[0]
                .rows
                .iter()
                .map(|row| (int(&row[0]).unwrap(), [int(&row[1]), int(&row[2])]))
                .collect();
            assert_eq!(rows, *expected, "table {name} after\n{}", self.log);
        }
    }
}

/// `statement_memory_bytes`: a 64th of it is what the deferred checks of a constraint may take.
fn node(control: &str, statement_memory_bytes: usize) -> (std::sync::Arc<Node>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        data: dir.path().join("data"),
        engine: "memory".into(),
        control: control.into(),
        statement_memory_bytes,
        ..Config::default()
    };
    (Node::open(&Env::os(), &config).unwrap(), dir)
}

#[test]
fn actions_do_as_the_model_does() {
    for control in CONTROLS {
        let (node, _dir) = node(control, 1 << 30);
        for seed in 0..8 {
            let mut run = Run::new(&node, seed, false);
            for _ in 0..60 {
                let (sql, outcome) = run.statement();
                let code = run.query(&sql);
                let settled = outcome.map(|(mut next, gone)| {
                    let holds = next.settle(gone, &run.references);
                    holds.then_some(next)
                });
                match settled {
                    None => assert_eq!(code, "23505", "{}", run.log),
                    Some(None) => assert_eq!(code, "23503", "{}", run.log),
                    Some(Some(next)) => {
                        assert_eq!(code, "00000", "{}", run.log);
                        run.model = next;
                    }
                }
            }
            run.check_rows();
        }
    }
}

#[test]
fn deferred_checks_and_savepoints_do_as_the_model_does() {
    // With so little memory the fifth check makes a look at the whole table of them.
    for (control, memory_bytes) in [("ssi", 1 << 30), ("locking", 1 << 30), ("ssi", 32 << 10)] {
        let (node, _dir) = node(control, memory_bytes);
        for seed in 100..115 {
            let mut run = Run::new(&node, seed, true);
            for _ in 0..8 {
                let before = run.model.clone();
                let mut savepoints: Vec<Model> = Vec::new();
                let mut alive = true;
                run.query("BEGIN");
                for _ in 0..run.rng.below(12) {
                    match run.rng.below(10) {
                        0 => {
                            run.query(&format!("SAVEPOINT s{}", savepoints.len()));
                            savepoints.push(run.model.clone());
                        }
                        1 if !savepoints.is_empty() => {
                            let at = run.rng.index(savepoints.len());
                            run.query(&format!("ROLLBACK TO s{at}"));
                            savepoints.truncate(at + 1);
                            run.model = savepoints[at].clone();
                        }
                        2 => {
                            let holds = run.model.holds(&run.references);
                            let code = run.query("SET CONSTRAINTS ALL IMMEDIATE");
                            assert_eq!(code, if holds { "00000" } else { "23503" }, "{}", run.log);
                            if !holds {
                                alive = false;
                                break;
                            }
                            run.query("SET CONSTRAINTS ALL DEFERRED");
                        }
                        _ => {
                            let (sql, outcome) = run.statement();
                            // A statement that fails ends the transaction; that is not the point here.
                            let Some((next, _)) = outcome else { continue };
                            assert_eq!(run.query(&sql), "00000", "{}", run.log);
                            run.model = next;
                        }
                    }
                }
                let holds = run.model.holds(&run.references);
                let code = run.query("COMMIT");
                if alive {
                    assert_eq!(code, if holds { "00000" } else { "23503" }, "{}", run.log);
                }
                if !alive || !holds {
                    run.model = before;
                }
            }
            run.check_rows();
        }
    }
}
