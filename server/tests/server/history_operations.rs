//! Operating on history, on every engine under every control.

use driftdb_env::Env;
use driftdb_server::{Config, Node, Session, SessionOptions};

use crate::harness::everywhere;
use crate::time_travel::Traveller;

#[test]
fn a_table_forgets_by_itself_and_a_pin_holds_it() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE short (id int PRIMARY KEY, v int) WITH (retention = '0 seconds')");
        t.run("CREATE INDEX short_v ON short (v)");
        t.run("CREATE TABLE long (id int PRIMARY KEY, v int)");
        t.run("INSERT INTO short VALUES (1, 1); INSERT INTO long VALUES (1, 1)");
        let first = t.now();
        t.run("UPDATE short SET v = 2; UPDATE long SET v = 2");
        t.run("CREATE RESTORE POINT two WITH (pin)");
        t.run("UPDATE short SET v = 3; UPDATE long SET v = 3");
        t.run("VACUUM");
        let query = |table: &str, time: &str| format!("SELECT v FROM {table} {time} WHERE v > 0");
        let two = "FOR SYSTEM_TIME AS OF RESTORE POINT two";
        assert_eq!(t.rows(&query("long", &first)), ["1"]);
        assert_eq!(t.rows(&query("long", two)), ["2"]);
        // By index, by key, whole: the pinned moment is there, the one before it is not.
        assert_eq!(t.rows(&query("short", two)), ["2"]);
        assert_eq!(t.rows(&format!("SELECT v FROM short {two} WHERE id = 1")), ["2"]);
        assert_eq!(t.rows(&format!("SELECT v FROM short {two}")), ["2"]);
        for gone in [
            query("short", &first),
            format!("SELECT v FROM short {first} WHERE id = 1"),
            format!("SELECT v FROM short {first}"),
        ] {
            let error = t.session.query(&gone).unwrap_err();
            assert_eq!(error.state.code(), "72000", "{gone}: {error}");
            assert!(error.message.starts_with("cannot read table \"short\" as of"), "{error}");
        }
        // Without the pin it goes.
        for sql in ["DROP RESTORE POINT two", "UPDATE short SET v = 4", "VACUUM"] {
            t.run(sql);
        }
        assert_eq!(t.rows("SELECT v FROM short"), ["4"]);
        let since =
            t.rows("SELECT readable_since IS NULL FROM driftdb_retention ORDER BY table_name");
        assert_eq!(since, ["t", "f"]);
    });
}

#[test]
fn what_transactions_said_survives_a_restart() {
    for engine in ["lsm", "btree", "memory"] {
        let dir = tempfile::tempdir().unwrap();
        let config =
            Config { data: dir.path().join("d"), engine: engine.into(), ..Config::default() };
        let open = || {
            let node = Node::open(&Env::os(), &config).unwrap();
            let options = SessionOptions { user: "ada".into(), ..SessionOptions::default() };
            let session = Session::new(&node, &options).unwrap();
            (node, Traveller { session })
        };
        let said = "SELECT user_name, statements, comment FROM driftdb_transactions \
                    WHERE seq >= (SELECT max(seq) FROM driftdb_transactions) - 1 ORDER BY seq";
        let expected = ["ada DDL why", "ada INSERT why"];
        let (node, mut t) = open();
        t.run("SET driftdb.comment = 'why'");
        t.run("CREATE TABLE d (v int)");
        t.run("INSERT INTO d VALUES (1)");
        assert_eq!(t.rows(said), expected, "{engine}");
        // From the log.
        drop(t);
        drop(node);
        let (node, mut t) = open();
        assert_eq!(t.rows(said), expected, "{engine}");
        // From the engine.
        drop(t);
        node.close().unwrap();
        drop(node);
        let (_node, mut t) = open();
        assert_eq!(t.rows(said), expected, "{engine}");
    }
}
