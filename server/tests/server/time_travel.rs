//! Reading the past, on every engine under every control.

use driftdb_server::{Session, SessionOptions};
use driftdb_types::Value;

use crate::harness::{Fixture, everywhere};
use crate::traveller::Traveller;

#[test]
fn any_table_at_any_time() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE INDEX a_v ON a (v)");
        let empty = t.now();
        t.run("INSERT INTO a VALUES (1, 10), (2, 20)");
        let (first, first_sequence) = (t.now(), t.sequence());
        t.run("UPDATE a SET v = v + 1; DELETE FROM a WHERE id = 2; INSERT INTO a VALUES (3, 30)");
        let second = t.now();
        t.run("UPDATE a SET v = 0");

        assert_eq!(t.rows("SELECT * FROM a ORDER BY id"), ["1 0", "3 0"]);
        assert!(t.rows(&format!("SELECT * FROM a {empty}")).is_empty());
        assert_eq!(t.rows(&format!("SELECT * FROM a {first} ORDER BY id")), ["1 10", "2 20"]);
        assert_eq!(
            t.rows(&format!("SELECT * FROM a {first_sequence} ORDER BY id")),
            ["1 10", "2 20"]
        );
        assert_eq!(t.rows(&format!("SELECT * FROM a {second} ORDER BY id")), ["1 11", "3 30"]);
        // By key, by index, by aggregate.
        assert_eq!(t.rows(&format!("SELECT v FROM a {first} WHERE id = 2")), ["20"]);
        assert_eq!(t.rows(&format!("SELECT id FROM a {second} WHERE v = 30")), ["3"]);
        assert!(t.rows(&format!("SELECT id FROM a {second} WHERE v = 20")).is_empty());
        assert_eq!(t.rows(&format!("SELECT count(*), sum(v) FROM a {first}")), ["2 30"]);
        // Two times and now in one statement.
        let join = format!(
            "SELECT x.id, x.v, y.v, z.v FROM a {first} AS x JOIN a {second} AS y USING (id) \
             LEFT JOIN a AS z USING (id) ORDER BY x.id"
        );
        assert_eq!(t.rows(&join), ["1 10 11 0"]);
        // In subqueries, and as the source of an insert.
        let gone =
            format!("SELECT id FROM a {first} WHERE id NOT IN (SELECT id FROM a) ORDER BY 1");
        assert_eq!(t.rows(&gone), ["2"]);
        t.run(&format!("INSERT INTO a SELECT * FROM a {first} WHERE id NOT IN (SELECT id FROM a)"));
        assert_eq!(t.rows("SELECT * FROM a ORDER BY id"), ["1 0", "2 20", "3 0"]);
        // The past does not change.
        assert_eq!(t.rows(&format!("SELECT * FROM a {second} ORDER BY id")), ["1 11", "3 30"]);
    });
}

#[test]
fn the_schema_of_the_time() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE b (id int PRIMARY KEY, old text); INSERT INTO b VALUES (1, 'x')");
        let before = t.now();
        t.run("ALTER TABLE b DROP COLUMN old; ALTER TABLE b ADD COLUMN fresh int DEFAULT 7");
        assert_eq!(t.rows("SELECT * FROM b"), ["1 7"]);
        assert_eq!(t.rows(&format!("SELECT * FROM b {before}")), ["1 x"]);
        assert_eq!(t.rows(&format!("SELECT old FROM b {before}")), ["x"]);
        assert_eq!(t.code(&format!("SELECT fresh FROM b {before}")), "42703");
        assert_eq!(t.code("SELECT old FROM b"), "42703");
        let truncated = t.now();
        t.run("TRUNCATE b");
        assert_eq!(t.rows(&format!("SELECT * FROM b {truncated}")), ["1 7"]);
        let dropped = t.now();
        t.run("DROP TABLE b");
        assert_eq!(t.code("SELECT * FROM b"), "42P01");
        assert!(t.rows(&format!("SELECT * FROM b {dropped}")).is_empty());
        assert_eq!(t.rows(&format!("SELECT * FROM b {before}")), ["1 x"]);
        // A new table of the name is another one.
        t.run("CREATE TABLE b (other bool)");
        assert_eq!(t.rows(&format!("SELECT * FROM b {before}")), ["1 x"]);
    });
}

#[test]
fn a_time_may_be_a_parameter_and_prepared() {
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE c (v int); INSERT INTO c VALUES (1)");
    let time = t.rows("SELECT clock_timestamp()").remove(0);
    t.run("UPDATE c SET v = 2");
    let select = "SELECT v FROM c FOR SYSTEM_TIME AS OF $1::text::timestamptz";
    for _ in 0..2 {
        let answer = t.session.execute_with(select, &[Value::text(time.clone())]).unwrap();
        assert_eq!(answer.rows, [[Value::Int4(1)]]);
    }
    // Relative to the running statement: a repeated text is bound anew.
    let repeated = "SELECT v FROM c FOR SYSTEM_TIME AS OF now()";
    assert_eq!(t.rows(repeated), ["2"]);
    t.run("UPDATE c SET v = 3");
    let seen: Vec<String> = (0..2).flat_map(|_| t.rows(repeated)).collect();
    assert_eq!(seen, ["3", "3"]);
}

#[test]
fn the_past_survives_a_restart() {
    use driftdb_env::Env;
    use driftdb_server::{Config, Node};
    for engine in ["lsm", "btree", "memory"] {
        let dir = tempfile::tempdir().unwrap();
        let config =
            Config { data: dir.path().join("d"), engine: engine.into(), ..Config::default() };
        let open = || {
            let node = Node::open(&Env::os(), &config).unwrap();
            let session = Session::new(&node, &SessionOptions::default()).unwrap();
            (node, Traveller { session })
        };
        let (node, mut t) = open();
        t.run("CREATE TABLE d (v int); INSERT INTO d VALUES (1)");
        let before = t.now();
        t.run("UPDATE d SET v = 2");
        drop(t);
        node.close().unwrap();
        drop(node);
        let (_node, mut t) = open();
        t.run("DELETE FROM d");
        assert_eq!(t.rows(&format!("SELECT * FROM d {before}")), ["1"], "{engine}");
    }
}
