//! Operating on history, on every engine under every control.

use driftdb_env::Env;
use driftdb_server::session::Answers;
use driftdb_server::{Config, Node, Session, SessionOptions};
use driftdb_types::Value;

use crate::harness::{Fixture, everywhere};
use crate::traveller::Traveller;

/// A commit that was logged in parts does not say which tables it wrote to.
#[test]
fn a_commit_in_parts_is_undone_and_digested() {
    for engine in ["lsm", "btree"] {
        let fixture = Fixture::with(engine, "ssi", |config| config.transaction_memory_bytes = 4096);
        let mut t = Traveller::new(&fixture);
        t.run("CREATE TABLE big (id int PRIMARY KEY, v text); CREATE TABLE beside (id int PRIMARY KEY)");
        t.run("INSERT INTO big SELECT n, 'before ' || n FROM generate_series(1, 1000) n");
        t.run("INSERT INTO beside VALUES (1)");
        let before = t.rows("SELECT * FROM big ORDER BY id");
        t.run(
            "BEGIN; UPDATE big SET v = 'after' WHERE id <= 700; DELETE FROM big WHERE id > 900; \
             INSERT INTO big SELECT n, 'new' FROM generate_series(2000, 2100) n; \
             INSERT INTO beside VALUES (2); COMMIT",
        );
        let seq = t.rows("SELECT max(seq) FROM driftdb_transactions").remove(0);
        let digest = t.rows("SELECT format('%s, %L', seq, digest) FROM driftdb_digest()").remove(0);
        t.run("INSERT INTO beside VALUES (3)");
        t.run("UPDATE big SET v = 'later' WHERE id = 7");
        assert_eq!(t.code(&format!("UNDO TRANSACTION {seq}")), "40001");
        t.run("UPDATE big SET v = 'after' WHERE id = 7");
        t.run(&format!("UNDO TRANSACTION {seq}"));
        assert!(t.rows("SELECT * FROM big ORDER BY id") == before, "{engine}");
        assert_eq!(t.rows("SELECT * FROM beside ORDER BY id"), ["1", "3"]);
        let count = format!("SELECT count(*) FROM driftdb_all_changes({seq} - 1, {seq})");
        assert_eq!(t.rows(&count), ["902"]);
        let found = t.rows(&format!("SELECT verdict FROM driftdb_verify_digest({digest})"));
        assert_eq!(found, ["verified"], "{engine}");
    }
}

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

/// The number of the newest commit.
fn newest(t: &Traveller) -> u64 {
    let store = t.session.node().store();
    store.sequence_at(store.newest()).unwrap()
}

#[test]
fn one_transaction_is_undone() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE u (id int PRIMARY KEY, v text UNIQUE); CREATE TABLE w (a int)");
        t.run("INSERT INTO u VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO w VALUES (1)");
        t.run(
            "BEGIN; UPDATE u SET v = v || '!' WHERE id = 3; DELETE FROM u WHERE id < 3; \
             INSERT INTO u VALUES (4, 'a'); DELETE FROM w; INSERT INTO w VALUES (2), (3); COMMIT",
        );
        let bad = newest(&t);
        t.run("INSERT INTO u VALUES (5, 'e')");
        // Nothing it changed was changed since.
        let answers = t.session.query(&format!("UNDO TRANSACTION {bad}")).unwrap();
        assert_eq!(answers[0].tag.unwrap().to_string(), "UNDO TRANSACTION 7");
        assert_eq!(t.rows("SELECT * FROM u ORDER BY id"), ["1 a", "2 b", "3 c", "5 e"]);
        assert_eq!(t.rows("SELECT id FROM u WHERE v = 'a'"), ["1"]);
        assert_eq!(t.rows("SELECT * FROM w"), ["1"]);
        // An undo is a transaction, and can be undone.
        let undo = newest(&t);
        t.run(&format!("UNDO TRANSACTION {undo}"));
        assert_eq!(t.rows("SELECT * FROM u ORDER BY id"), ["3 c!", "4 a", "5 e"]);
        t.run(&format!("UNDO TRANSACTION @SEQ:{undo}", undo = newest(&t)));
        assert_eq!(t.rows("SELECT * FROM u ORDER BY id"), ["1 a", "2 b", "3 c", "5 e"]);

        // A row that was changed since.
        t.run("UPDATE u SET v = 'x' || id");
        let bad = newest(&t);
        t.run("UPDATE u SET v = 'mine' WHERE id = 2");
        let error = t.session.query(&format!("UNDO TRANSACTION {bad}")).unwrap_err();
        assert_eq!(error.state.code(), "40001");
        assert_eq!(error.table.as_deref(), Some("u"));
        assert_eq!(error.detail.as_deref(), Some("Key (id)=(2)."));
        assert_eq!(t.rows("SELECT v FROM u WHERE id = 1"), ["x1"]);
        t.run(&format!("UNDO TRANSACTION {bad} ON CONFLICT SKIP"));
        assert_eq!(t.rows("SELECT * FROM u ORDER BY id"), ["1 a", "2 mine", "3 c", "5 e"]);

        // Definitions are not undone; a table that is gone is a conflict.
        t.run("ALTER TABLE u ADD COLUMN more int");
        let definition = newest(&t);
        assert_eq!(t.code(&format!("UNDO TRANSACTION {definition}")), "0A000");
        t.run("INSERT INTO w VALUES (9)");
        let into_w = newest(&t);
        t.run("UPDATE u SET v = 'y' WHERE id = 5");
        let into_u = newest(&t);
        t.run("DROP TABLE w");
        assert_eq!(t.code(&format!("UNDO TRANSACTION {into_w}")), "40001");
        t.run(&format!("UNDO TRANSACTION {into_u}"));
        assert_eq!(t.rows("SELECT v, more FROM u WHERE id = 5"), ["e NULL".replace("NULL", "")]);
    });
}

#[test]
fn undoing_looks_at_no_table_that_the_commit_left_alone() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE brief (id int PRIMARY KEY) WITH (retention = '0 seconds')");
        t.run("CREATE TABLE kept (id int PRIMARY KEY)");
        t.run("INSERT INTO brief VALUES (1)");
        t.run("INSERT INTO kept VALUES (1)");
        let bad = newest(&t);
        t.run("INSERT INTO brief VALUES (2)");
        let of_brief = newest(&t);
        t.run("UPDATE brief SET id = id + 10");
        t.run("VACUUM");
        // The history of `brief` is gone, and nobody asks for it.
        t.run(&format!("UNDO TRANSACTION {bad}"));
        assert_eq!(t.rows("SELECT count(*) FROM kept"), ["0"]);
        assert_eq!(t.code(&format!("UNDO TRANSACTION {of_brief}")), "72000");
    });
}

#[test]
fn foreign_keys_that_stay_away_are_named() {
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p)");
    t.run("INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)");
    t.run("DROP TABLE c, p");
    let notices = |t: &mut Traveller, sql: &str| -> Vec<String> {
        let mut answers = Answers::default();
        t.session.simple_query(sql, &mut answers);
        assert_eq!(answers.error, None);
        answers.notices.iter().map(|notice| notice.message.to_string()).collect()
    };
    let gone = "foreign key \"c_p_fkey\" of table \"c\" was not brought back: \
                the table that it referred to is gone";
    assert_eq!(notices(&mut t, "UNDROP TABLE c"), [gone]);
    t.run("DROP TABLE c");
    assert!(notices(&mut t, "UNDROP TABLE p").is_empty());
    t.run("DROP TABLE p");
    t.run("CREATE TABLE q (id int PRIMARY KEY); CREATE TABLE r (q int REFERENCES q)");
    t.run("DROP TABLE q CASCADE; INSERT INTO r VALUES (5)");
    let broken = "foreign key \"r_q_fkey\" of table \"r\" was not brought back: \
                  rows violate it. Key (q)=(5) is not present in table \"q\"";
    assert_eq!(notices(&mut t, "UNDROP TABLE q"), [broken]);
}

#[test]
fn a_repeated_diff_is_of_the_time_of_each_run() {
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE r (id int PRIMARY KEY)");
    t.run("CREATE RESTORE POINT start");
    let table =
        "SELECT op, new_id FROM driftdb_diff('r', restore_point('start'), now()) ORDER BY 2";
    let query = "DIFF (SELECT * FROM r) BETWEEN RESTORE POINT start AND now()";
    for id in 1..4 {
        t.run(&format!("INSERT INTO r VALUES ({id})"));
        // Kept by its text from the second time on.
        for text in [table, table, query, query] {
            let found = t.rows(text);
            assert_eq!(found.len(), id, "{text}");
            assert_eq!(found[0], "INSERT 1", "{text}");
        }
    }
    // As parameters, which have no values while it is described.
    let text = "SELECT op FROM driftdb_diff('r', $1::text::timestamptz, $2::text::timestamptz)";
    let times = ["2001-01-01", "2001-01-02"].map(Value::text);
    let error = t.session.execute_with(text, &times).unwrap_err();
    assert_eq!(error.state.code(), "42P01");
    let point = t.rows("SELECT at FROM driftdb_restore_points").remove(0);
    let now = t.rows("SELECT clock_timestamp()").remove(0);
    let times = [point, now].map(Value::text);
    assert_eq!(t.session.execute_with(text, &times).unwrap().rows.len(), 3);
}
