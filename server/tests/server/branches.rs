//! Branches as their users meet them: connections, locks, retention, restarts.

use std::sync::Arc;

use driftdb_env::Env;
use driftdb_server::{Config, Node, Session, SessionOptions};

use crate::harness::{Fixture, block_on, code, connect, everywhere};
use crate::traveller::Traveller;

/// A session in a database.
fn session(node: &Arc<Node>, database: &str) -> Traveller {
    let node = node.database(database).unwrap();
    Traveller { session: Session::new(&node, &SessionOptions::default()).unwrap() }
}

#[test]
fn clients_connect_to_a_branch_by_its_name() {
    let fixture = Fixture::new();
    let url = |user: &str, database: &str| {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", fixture.port())
    };
    block_on(async {
        let main = fixture.connect().await;
        main.batch_execute("CREATE TABLE t (v int); INSERT INTO t VALUES (1)").await.unwrap();
        main.batch_execute("CREATE BRANCH dev").await.unwrap();
        let dev = connect(&url("ada", "dev")).await;
        let name: String = dev.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
        assert_eq!(name, "dev");
        dev.batch_execute("UPDATE t SET v = 2").await.unwrap();
        for (client, expected) in [(&main, 1), (&dev, 2)] {
            let v: i32 = client.query_one("SELECT v FROM t", &[]).await.unwrap().get(0);
            assert_eq!(v, expected);
        }
        // A name that nobody gave: the user's, which stands for the default.
        let ada = connect(&url("ada", "ada")).await;
        let name: String = ada.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
        assert_eq!(name, "driftdb");
        let refused = tokio_postgres::connect(&url("ada", "nowhere"), tokio_postgres::NoTls).await;
        assert_eq!(code(refused.map(|_| ())), "3D000");
        // Somebody is in it.
        assert_eq!(code(main.batch_execute("DROP BRANCH dev").await), "55006");
        assert_eq!(code(dev.batch_execute("DROP BRANCH dev").await), "55006");
        drop(dev);
        while let Err(error) = main.batch_execute("DROP BRANCH dev").await {
            assert_eq!(code::<()>(Err(error)), "55006");
        }
        let refused = tokio_postgres::connect(&url("ada", "dev"), tokio_postgres::NoTls).await;
        assert_eq!(code(refused.map(|_| ())), "3D000");
    });
}

/// What was changed before the branch was made and since, in order, and what others do elsewhere is not.
#[test]
fn changes_are_told_in_a_branch() {
    everywhere(|fixture| {
        let mut main = Traveller::new(fixture);
        main.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
        main.run("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')");
        main.run("UPDATE t SET v = 'uno' WHERE id = 1");
        main.run("CREATE BRANCH dev");
        main.run("UPDATE t SET v = 'main' WHERE id = 2");
        let mut dev = session(&fixture.node, "dev");
        dev.run("UPDATE t SET v = 'dev' WHERE id = 2");
        dev.run("DELETE FROM t WHERE id = 3");
        main.run("DELETE FROM t WHERE id = 1");
        dev.run("BEGIN; INSERT INTO t VALUES (3, 'again'), (4, 'four'); DELETE FROM t WHERE id = 4; COMMIT");
        dev.run("CREATE TABLE own (id int); INSERT INTO own VALUES (7)");
        main.run("CREATE TABLE other (id int); INSERT INTO other VALUES (8)");
        dev.run("TRUNCATE t; INSERT INTO t VALUES (5, 'five')");
        let changes = "SELECT op, old_v, new_v FROM driftdb_changes('t', 0)";
        let expected = [
            "INSERT  one",
            "INSERT  two",
            "INSERT  three",
            "UPDATE one uno",
            "UPDATE two dev",
            "DELETE three ",
            "INSERT  again",
            "TRUNCATE  ",
            "INSERT  five",
        ];
        assert_eq!(dev.rows(changes), expected);
        let all = "SELECT op, table_name, new FROM driftdb_all_changes(0) WHERE op NOT IN ('UPDATE', 'DELETE')";
        let expected = [
            "CREATE public.t ",
            "INSERT public.t (1,one)",
            "INSERT public.t (2,two)",
            "INSERT public.t (3,three)",
            "INSERT public.t (3,again)",
            "CREATE public.own ",
            "INSERT public.own (7)",
            "TRUNCATE public.t ",
            "INSERT public.t (5,five)",
        ];
        assert_eq!(dev.rows(all), expected);
        // From one number to the next nothing is missed, and nothing told twice.
        let newest = main.rows("SELECT max(seq) FROM driftdb_transactions").remove(0);
        let newest: u64 = newest.parse().unwrap();
        let mut paged = Vec::new();
        for last in 0..newest {
            let sql =
                format!("SELECT op, old_v, new_v FROM driftdb_changes('t', {last}, {})", last + 1);
            // Before the table was there.
            if last > 0 {
                paged.extend(dev.session.query(&sql).map(|_| dev.rows(&sql)).unwrap_or_default());
            }
        }
        assert_eq!(paged, dev.rows(changes));
        assert_eq!(main.rows(changes).len(), 6);
        assert_eq!(dev.code("SELECT * FROM driftdb_digest()"), "0A000");
    });
}

#[test]
fn locks_of_one_database_hold_up_nobody_in_another() {
    everywhere(|fixture| {
        let mut main = Traveller::new(fixture);
        main.run("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
        main.run("CREATE BRANCH dev");
        let (mut a, mut b) = (session(&fixture.node, "dev"), session(&fixture.node, "dev"));
        let locks = "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; \
                     UPDATE t SET v = v + 1; SELECT pg_advisory_xact_lock(7)";
        main.run(locks);
        for t in [&mut a, &mut b] {
            t.run("SET lock_timeout = '10ms'");
        }
        a.run(locks);
        assert_eq!(b.code("SELECT * FROM t"), "55P03");
        assert_eq!(b.rows("SELECT pg_try_advisory_lock(7)"), ["f"]);
        // Each sees its own, under the names that it knows.
        let listed = "SELECT DISTINCT locktype, relation IS NOT NULL FROM pg_locks \
                      WHERE locktype IN ('relation', 'advisory') ORDER BY 1";
        assert_eq!(b.rows(listed), ["advisory f", "relation t"]);
        let tables = "SELECT count(DISTINCT database) FROM pg_locks WHERE locktype = 'relation'";
        assert_eq!(b.rows(tables), ["1"]);
        assert_eq!(main.rows(tables), ["2"]);
        main.run("COMMIT");
        a.run("ROLLBACK");
        assert_eq!(b.rows("SELECT v FROM t"), ["1"]);
        assert_eq!(main.rows("SELECT v FROM t"), ["2"]);
    });
}

#[test]
fn a_branch_keeps_what_its_parent_forgets_across_restarts() {
    for engine in ["lsm", "btree", "memory"] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            data: dir.path().join("d"),
            engine: engine.into(),
            // Nothing but what is pinned.
            retention: Some(std::time::Duration::ZERO),
            write_buffer_bytes: 16 << 10,
            wal_segment_bytes: 64 << 10,
            ..Config::default()
        };
        let open = || Node::open(&Env::os(), &config).unwrap();
        let count = "SELECT count(*), sum(v), min(w) FROM t WHERE v > 0";
        let node = open();
        let mut main = session(&node, "driftdb");
        main.run("CREATE TABLE t (id int PRIMARY KEY, v int, w text)");
        main.run("CREATE INDEX t_v ON t (v)");
        main.run("CREATE TABLE gone AS SELECT * FROM generate_series(1, 50) AS g(i)");
        main.run("INSERT INTO t SELECT i, i, repeat('x', 50) FROM generate_series(1, 100) AS g(i)");
        main.run("CREATE BRANCH dev");
        let mut dev = session(&node, "dev");
        dev.run("UPDATE t SET v = 1000 WHERE id = 1; DELETE FROM t WHERE id = 2");
        dev.run("CREATE TABLE own (i int); INSERT INTO own VALUES (5)");
        dev.run("CREATE BRANCH child");
        dev.run("DELETE FROM t WHERE id > 50; DROP TABLE gone");
        for round in 0..3 {
            main.run("UPDATE t SET v = v + 1, w = 'y'");
            main.run("VACUUM");
            dev.run("UPDATE t SET w = 'z' WHERE id < 10");
            dev.run("VACUUM");
            if round == 1 {
                main.run("DROP TABLE t; DROP TABLE gone; CREATE TABLE t (v int, w text)");
                main.run("VACUUM");
                main.run("INSERT INTO t VALUES (1, 'main')");
            }
        }
        let in_child = format!("99 {} {}", 5050 - 1 + 1000 - 2, "x".repeat(50));
        let mut child = session(&node, "child");
        let check = |main: &mut Traveller, dev: &mut Traveller, child: &mut Traveller| {
            assert_eq!(main.rows(count), ["1 4 y"], "{engine}");
            assert_eq!(dev.rows("SELECT count(*), sum(v) FROM t"), ["49 2272"], "{engine}");
            assert_eq!(child.rows(count), std::slice::from_ref(&in_child), "{engine}");
            assert_eq!(child.rows("SELECT count(*), sum(i) FROM gone"), ["50 1275"], "{engine}");
            assert_eq!(child.rows("SELECT i FROM own"), ["5"], "{engine}");
            assert_eq!(dev.code("SELECT * FROM gone"), "42P01");
        };
        main.run("DELETE FROM t; INSERT INTO t VALUES (4, 'y')");
        check(&mut main, &mut dev, &mut child);
        drop((main, dev, child, node));
        // From the log, and from the engine.
        for closes in [false, true] {
            let node = open();
            let mut main = session(&node, "driftdb");
            main.run("VACUUM");
            let (mut dev, mut child) = (session(&node, "dev"), session(&node, "child"));
            check(&mut main, &mut dev, &mut child);
            drop((main, dev, child));
            if closes {
                node.close().unwrap();
            }
        }
        let node = open();
        let mut main = session(&node, "driftdb");
        assert_eq!(main.code("DROP BRANCH dev"), "2BP01");
        main.run("DROP BRANCH child");
        main.run("DROP BRANCH dev");
        assert_eq!(main.rows("SELECT count(*) FROM driftdb_branches"), ["0"]);
    }
}

#[test]
fn a_session_moves_and_leaves_its_plans_and_locks_behind() {
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE t (v int); INSERT INTO t VALUES (1)");
    t.run("CREATE BRANCH dev");
    t.run("PREPARE p AS SELECT v FROM t");
    t.run("SELECT pg_advisory_lock(1)");
    // Often enough that the plan is kept.
    for _ in 0..3 {
        assert_eq!(t.rows("SELECT v FROM t"), ["1"]);
    }
    t.run("USE dev");
    assert_eq!(t.code("EXECUTE p"), "26000");
    t.run("ALTER TABLE t ADD COLUMN w int DEFAULT 9; UPDATE t SET v = 2");
    assert_eq!(t.rows("SELECT * FROM t"), ["2 9"]);
    let mut other = Traveller::new(&fixture);
    assert_eq!(other.rows("SELECT pg_try_advisory_lock(1)"), ["t"]);
    assert_eq!(t.rows("SELECT pg_try_advisory_lock(1)"), ["t"], "another database's number");
    t.run("USE driftdb");
    assert_eq!(t.rows("SELECT v FROM t"), ["1"]);
    assert_eq!(t.rows("SELECT * FROM t"), ["1"]);
    t.run("DROP BRANCH dev");
}

#[test]
fn retention_in_a_branch_is_its_own() {
    let fixture = Fixture::new();
    let mut main = Traveller::new(&fixture);
    main.run("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
    main.run("CREATE BRANCH dev");
    let mut dev = session(&fixture.node, "dev");
    dev.run("CREATE TABLE own (v int) WITH (retention = '0 seconds')");
    dev.run("INSERT INTO own VALUES (1)");
    let then = dev.now();
    dev.run("UPDATE own SET v = 2; UPDATE t SET v = 2");
    dev.run("CREATE RESTORE POINT two WITH (pin)");
    dev.run("UPDATE own SET v = 3");
    dev.run("VACUUM");
    assert_eq!(dev.code(&format!("SELECT v FROM own {then}")), "72000");
    assert_eq!(dev.rows(&format!("SELECT v FROM t {then}")), ["1"]);
    let two = "FOR SYSTEM_TIME AS OF RESTORE POINT two";
    assert_eq!(dev.rows(&format!("SELECT v FROM own {two}")), ["2"]);
    // What another database's definitions change leaves this one's rules alone.
    main.run("CREATE TABLE unrelated (v int); DROP TABLE unrelated");
    main.run("VACUUM");
    assert_eq!(dev.rows(&format!("SELECT v FROM own {two}")), ["2"]);
    assert_eq!(main.code(&format!("SELECT v FROM t {two}")), "42704");
}

#[test]
fn history_is_operated_on_in_a_branch() {
    everywhere(|fixture| {
        let mut main = Traveller::new(fixture);
        let newest = "SELECT max(seq) FROM driftdb_transactions";
        main.run("CREATE TABLE t (id int PRIMARY KEY, v int)");
        main.run("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)");
        main.run("UPDATE t SET v = 20 WHERE id = 2");
        let inherited = main.rows(newest).remove(0);
        main.run("CREATE BRANCH dev");
        let mut dev = session(&fixture.node, "dev");
        let begun = dev.clock();
        dev.run("UPDATE t SET v = v + 100; INSERT INTO t VALUES (4, 4)");
        let own = dev.rows(newest).remove(0);
        dev.run("DELETE FROM t WHERE id = 3");
        main.run("UPDATE t SET v = 7 WHERE id = 1");
        let other = main.rows(newest).remove(0);
        let diff = format!(
            "SELECT op, old_id, old_v, new_v FROM \
             driftdb_diff('t', timestamptz '{begun}', clock_timestamp()) ORDER BY old_id, new_id"
        );
        assert_eq!(
            dev.rows(&diff),
            ["UPDATE 1 1 101", "UPDATE 2 20 120", "DELETE 3 3 ", "INSERT   4"]
        );
        // What was done elsewhere was not done here.
        dev.run(&format!("UNDO TRANSACTION {other}"));
        assert_eq!(dev.rows("SELECT v FROM t WHERE id = 1"), ["101"]);
        assert_eq!(dev.code(&format!("UNDO TRANSACTION {own}")), "40001");
        dev.run(&format!("UNDO TRANSACTION {own} ON CONFLICT SKIP"));
        let rows = "SELECT id, v FROM t ORDER BY id";
        assert_eq!(dev.rows(rows), ["1 1", "2 20"]);
        // A commit of before the branch's moment is as much its own.
        dev.run(&format!("UNDO TRANSACTION {inherited}"));
        assert_eq!(dev.rows(rows), ["1 1", "2 2"]);
        dev.run(&format!("RESTORE TABLE t AS OF '{begun}'"));
        assert_eq!(dev.rows(rows), ["1 1", "2 20", "3 3"]);
        assert_eq!(main.rows(rows), ["1 7", "2 20", "3 3"]);
        let versions = "SELECT v, system_op FROM t FOR SYSTEM_TIME ALL WHERE id = 2 \
                        ORDER BY system_time_start";
        let all = ["2 INSERT", "20 UPDATE", "120 UPDATE", "20 UPDATE", "2 UPDATE", "20 UPDATE"];
        assert_eq!(dev.rows(versions), all);
        assert_eq!(main.rows(versions), all[..2]);
        drop(dev);
        main.run("DROP BRANCH dev; DROP TABLE t");
    });
}
