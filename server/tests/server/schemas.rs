//! Schemas between two sessions, and over the life of a database.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use driftdb_env::Env;
use driftdb_query::SqlError;
use driftdb_server::{CONTROLS, Config, Node, Session, SessionOptions};
use driftdb_types::Value;

/// So long a statement that must wait is watched.
const WATCHED: Duration = Duration::from_millis(60);

fn config(dir: &tempfile::TempDir, control: &str) -> Config {
    let (data, engine) = (dir.path().join("data"), "memory".into());
    Config { data, engine, control: control.into(), ..Config::default() }
}

fn session(node: &Arc<Node>) -> Session {
    Session::new(node, &SessionOptions::default()).unwrap()
}

fn rows(session: &mut Session, sql: &str) -> Vec<Vec<Value>> {
    session.query(sql).unwrap().pop().unwrap().rows
}

fn told(error: SqlError) -> String {
    format!("{} {}", error.state.code(), error.message)
}

#[test]
fn nothing_is_left_without_its_schema() {
    for control in CONTROLS {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::open(&Env::os(), &config(&dir, control)).unwrap();
        // Made before the drop looks: it waits, and then finds what is there.
        let mut maker = session(&node);
        maker.query("CREATE SCHEMA s").unwrap();
        maker.query("BEGIN; CREATE TABLE s.made (a int)").unwrap();
        let (done, wait) = channel();
        let other = Arc::clone(&node);
        let dropper = std::thread::spawn(move || {
            let result = session(&other).query("DROP SCHEMA s");
            done.send(()).unwrap();
            result
        });
        assert_eq!(wait.recv_timeout(WATCHED), Err(RecvTimeoutError::Timeout), "{control}");
        maker.query("COMMIT").unwrap();
        let error = dropper.join().unwrap().unwrap_err();
        assert_eq!(
            told(error),
            "2BP01 cannot drop schema s because other objects depend on it",
            "{control}"
        );
        // And the other way round.
        maker.query("BEGIN; DROP SCHEMA s CASCADE").unwrap();
        let (done, wait) = channel();
        let other = Arc::clone(&node);
        let late = std::thread::spawn(move || {
            let result = session(&other).query("CREATE TABLE s.late (a int)");
            done.send(()).unwrap();
            result
        });
        assert_eq!(wait.recv_timeout(WATCHED), Err(RecvTimeoutError::Timeout), "{control}");
        maker.query("COMMIT").unwrap();
        let error = late.join().unwrap().unwrap_err();
        assert_eq!(told(error), "3F000 schema \"s\" does not exist", "{control}");
        let left =
            rows(&mut maker, "SELECT relname FROM pg_class WHERE relname IN ('made', 'late')");
        assert!(left.is_empty(), "{control}: {left:?}");
        node.close().unwrap();
    }
}

#[test]
fn public_is_a_schema_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(&Env::os(), &config(&dir, "ssi")).unwrap();
    let mut one = session(&node);
    one.query("CREATE TABLE t (a int); INSERT INTO t VALUES (7)").unwrap();
    one.query("CREATE RESTORE POINT before").unwrap();
    one.query("ALTER SCHEMA public RENAME TO private").unwrap();
    assert_eq!(
        told(one.query("SELECT * FROM t").unwrap_err()),
        "42P01 relation \"t\" does not exist"
    );
    assert_eq!(rows(&mut one, "SELECT a FROM private.t"), [[Value::Int4(7)]]);
    one.query("DROP SCHEMA private CASCADE").unwrap();
    assert_eq!(
        told(one.query("CREATE TABLE t (a int)").unwrap_err()),
        "3F000 no schema has been selected to create in"
    );
    drop(one);
    node.close().unwrap();
    drop(node);
    // It does not come back by itself.
    let node = Node::open(&Env::os(), &config(&dir, "ssi")).unwrap();
    let mut one = session(&node);
    let current = rows(&mut one, "SELECT current_schema");
    assert_eq!(current, [[Value::Null]]);
    one.query("CREATE SCHEMA public; CREATE TABLE t (b text)").unwrap();
    let past = "SELECT a FROM t FOR SYSTEM_TIME AS OF RESTORE POINT before";
    assert_eq!(rows(&mut one, past), [[Value::Int4(7)]]);
    node.close().unwrap();
}

#[test]
fn temporary_tables_end_with_their_session() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(&Env::os(), &config(&dir, "ssi")).unwrap();
    let (mut one, mut other) = (session(&node), session(&node));
    one.query("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").unwrap();
    let newest = "SELECT max(seq) FROM driftdb_transactions";
    let Value::Int8(before) = rows(&mut one, newest)[0][0] else { panic!("no commits") };
    for session in [&mut one, &mut other] {
        session
            .query("CREATE TEMP TABLE t (b text PRIMARY KEY); INSERT INTO t VALUES ('x')")
            .unwrap();
    }
    // Nobody reads another's, now or in the past, and they are no changes of the database.
    let name = rows(&mut one, "SELECT pg_my_temp_schema()::regnamespace::text");
    let Value::Text(name) = &name[0][0] else { panic!("no schema") };
    assert_eq!(
        told(other.query(&format!("SELECT * FROM {name}.t")).unwrap_err()),
        "0A000 cannot access temporary tables of other sessions"
    );
    let past = "SELECT * FROM pg_temp.t FOR SYSTEM_TIME AS OF now()";
    assert_eq!(one.query(past).unwrap_err().state.code(), "42P01");
    assert_eq!(rows(&mut one, "SELECT * FROM t FOR SYSTEM_TIME AS OF now()"), [[Value::Int4(1)]]);
    let changes = format!("SELECT * FROM driftdb_all_changes({before})");
    assert!(rows(&mut one, &changes).is_empty());
    one.query("DROP TABLE t").unwrap();
    assert_eq!(rows(&mut one, "SELECT a FROM t"), [[Value::Int4(1)]]);
    let left = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'";
    assert_eq!(rows(&mut one, left), [[Value::Int8(2)]]);
    drop(other);
    assert_eq!(rows(&mut one, left), [[Value::Int8(0)]]);
    // A session that ends with the process, in the middle of a transaction.
    one.query("CREATE TEMP TABLE u (b text); INSERT INTO u VALUES ('y')").unwrap();
    // What a crash would leave: the session does not get to its end.
    let after = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("data"), after.path().join("data"));
    let status = std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(status.success());
    drop(one);
    node.close().unwrap();
    drop(node);
    let node = Node::open(&Env::os(), &config(&after, "ssi")).unwrap();
    let mut one = session(&node);
    assert_eq!(rows(&mut one, left), [[Value::Int8(0)]]);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^pg_temp'";
    assert_eq!(rows(&mut one, schemas), [[Value::Int8(0)]]);
    node.close().unwrap();
}

/// A schema that holds thousands of tables goes in a moment.
#[test]
fn a_large_schema_is_dropped_at_once() {
    const TABLES: usize = 1500;
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(&Env::os(), &config(&dir, "ssi")).unwrap();
    let mut one = session(&node);
    one.query("CREATE SCHEMA s; SET search_path = s; BEGIN").unwrap();
    for number in 0..TABLES {
        let references = if number % 100 == 1 { "REFERENCES t0" } else { "" };
        one.query(&format!("CREATE TABLE t{number} (a int PRIMARY KEY, b int {references})"))
            .unwrap();
    }
    one.query("COMMIT; BEGIN; SET LOCAL statement_timeout = '60s'; DROP SCHEMA s CASCADE; COMMIT")
        .unwrap();
    let left = rows(&mut one, "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]'");
    assert_eq!(left, [[Value::Int8(0)]]);
    node.close().unwrap();
}
