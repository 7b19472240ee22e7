//! Waiting, as clients see it: who waits for whom, deadlocks, time-outs, sessions that are ended.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::harness::{Fixture, block_on, code, wherever_rows_are_waited_for};
use crate::wire::futures;

const TABLE: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)";

async fn value(client: &Client, sql: &str) -> String {
    let messages = client.simple_query(sql).await.unwrap();
    let cell = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    });
    cell.unwrap_or_else(|| "no row".to_owned())
}

async fn pid(client: &Client) -> String {
    value(client, "SELECT pg_backend_pid()").await
}

/// Returns when a session waits for another.
async fn until_blocked(watcher: &Client, waiter: &str, blocker: &str) {
    let sql =
        format!("SELECT pg_isolation_test_session_is_blocked({waiter}, '{{{blocker},999999}}')");
    while value(watcher, &sql).await != "t" {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_waiter_is_seen_to_wait() {
    wherever_rows_are_waited_for(|fixture| {
        block_on(async {
            let (a, b) = (fixture.connect().await, fixture.connect().await);
            let watcher = fixture.connect().await;
            a.batch_execute(TABLE).await.unwrap();
            let (holder, waiter) = (pid(&a).await, pid(&b).await);
            a.batch_execute("BEGIN; UPDATE t SET v = 5 WHERE id = 1").await.unwrap();
            let watching = async {
                until_blocked(&watcher, &waiter, &holder).await;
                let blockers = format!("SELECT pg_blocking_pids({waiter})");
                assert_eq!(value(&watcher, &blockers).await, format!("{{{holder}}}"));
                let waits = "SELECT pid || '<' || blocking_pid || ' ' || locktype || ' ' || mode || \
                             ': ' || statement || '|' || blocking_statement FROM driftdb_waits";
                let expected = format!(
                    "{waiter}<{holder} tuple AccessExclusiveLock: DELETE FROM t WHERE id = 1|\
                     UPDATE t SET v = 5 WHERE id = 1"
                );
                assert_eq!(value(&watcher, waits).await, expected);
                let held = format!(
                    "SELECT mode FROM pg_locks WHERE pid = {holder} AND locktype = 'relation' AND \
                     granted"
                );
                assert_eq!(value(&watcher, &held).await, "RowExclusiveLock");
                let wanted =
                    format!("SELECT count(*) FROM pg_locks WHERE pid = {waiter} AND NOT granted");
                assert_eq!(value(&watcher, &wanted).await, "1");
                a.batch_execute("COMMIT").await.unwrap();
            };
            let (deleted, ()) =
                futures(b.execute("DELETE FROM t WHERE id = 1", &[]), watching).await;
            assert_eq!(deleted.unwrap(), 1);
            assert_eq!(value(&watcher, "SELECT count(*) FROM driftdb_waits").await, "0");
        });
    });
}

#[test]
fn lock_table_comes_before_the_snapshot() {
    wherever_rows_are_waited_for(|fixture| {
        block_on(async {
            let (a, b) = (fixture.connect().await, fixture.connect().await);
            let watcher = fixture.connect().await;
            a.batch_execute(TABLE).await.unwrap();
            let (holder, waiter) = (pid(&a).await, pid(&b).await);
            for level in ["REPEATABLE READ", "SERIALIZABLE"] {
                a.batch_execute("BEGIN; LOCK TABLE t; UPDATE t SET v = v + 1").await.unwrap();
                let watching = async {
                    until_blocked(&watcher, &waiter, &holder).await;
                    let since = format!(
                        "SELECT waitstart <= clock_timestamp() AND waitstart > clock_timestamp() - \
                         interval '1 hour' FROM pg_locks WHERE pid = {waiter} AND NOT granted"
                    );
                    assert_eq!(value(&watcher, &since).await, "t");
                    a.batch_execute("COMMIT").await.unwrap();
                };
                let begin = format!("BEGIN ISOLATION LEVEL {level}; LOCK TABLE t");
                futures(b.batch_execute(&begin), watching).await.0.unwrap();
                // What the other committed before the lock was granted is seen, and can be changed.
                let before =
                    value(&watcher, "SELECT sum(v) FROM t FOR SYSTEM_TIME AS OF now()").await;
                assert_eq!(value(&b, "SELECT sum(v) FROM t").await, before, "{level}");
                // It is still locked, and once only.
                let nowait = a.batch_execute("BEGIN; LOCK TABLE t IN SHARE MODE NOWAIT").await;
                assert_eq!(code(nowait), "55P03");
                a.batch_execute("ROLLBACK").await.unwrap();
                b.batch_execute("UPDATE t SET v = v + 1; COMMIT").await.unwrap();
                a.batch_execute("BEGIN; LOCK TABLE t NOWAIT; COMMIT").await.unwrap();
            }
            // A query before it has fixed the snapshot.
            b.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
            a.batch_execute("BEGIN; LOCK TABLE t; UPDATE t SET v = 100").await.unwrap();
            let watching = async {
                until_blocked(&watcher, &waiter, &holder).await;
                a.batch_execute("COMMIT").await.unwrap();
            };
            futures(b.batch_execute("LOCK TABLE t"), watching).await.0.unwrap();
            let seen = if fixture.node.store().control_name() == "locking" { "200" } else { "11" };
            assert_eq!(value(&b, "SELECT sum(v) FROM t").await, seen);
            b.batch_execute("COMMIT; DROP TABLE t").await.unwrap();
        });
    });
}

#[test]
fn a_row_that_was_waited_for_has_its_new_number() {
    wherever_rows_are_waited_for(|fixture| {
        block_on(async {
            let (a, b) = (fixture.connect().await, fixture.connect().await);
            let watcher = fixture.connect().await;
            a.batch_execute(TABLE).await.unwrap();
            let (holder, waiter) = (pid(&a).await, pid(&b).await);
            for (change, changed) in [
                // Whoever changes only what it has seen does not change what came since.
                ("UPDATE t SET v = 7 WHERE id = 1 AND system_seq = ", 0),
                ("DELETE FROM t WHERE id = 1 AND system_seq = ", 0),
                ("UPDATE t SET v = system_seq::int WHERE id = 1 AND system_seq >= ", 1),
            ] {
                let seen = value(&b, "SELECT system_seq FROM t WHERE id = 1").await;
                a.batch_execute("BEGIN; UPDATE t SET v = v WHERE id = 1").await.unwrap();
                let watching = async {
                    until_blocked(&watcher, &waiter, &holder).await;
                    a.batch_execute("COMMIT").await.unwrap();
                };
                let change = format!("{change}{seen}");
                let (ran, ()) = futures(b.execute(&change, &[]), watching).await;
                assert_eq!(ran.unwrap(), changed, "{change}");
            }
            let written = "SELECT v = (SELECT seq FROM driftdb_transactions WHERE seq < t.system_seq \
                           ORDER BY seq DESC LIMIT 1) FROM t WHERE id = 1";
            assert_eq!(value(&b, written).await, "t");
        });
    });
}

#[test]
fn a_deadlock_through_a_row_and_a_table_names_both_sides() {
    wherever_rows_are_waited_for(|fixture| {
        block_on(async {
            let (a, b) = (fixture.connect().await, fixture.connect().await);
            let watcher = fixture.connect().await;
            a.batch_execute(TABLE).await.unwrap();
            a.batch_execute("CREATE TABLE u (id int)").await.unwrap();
            let (old, young) = (pid(&a).await, pid(&b).await);
            a.batch_execute("BEGIN; UPDATE t SET v = 5 WHERE id = 1").await.unwrap();
            b.batch_execute("BEGIN; LOCK TABLE u").await.unwrap();
            let insert = a.batch_execute("INSERT INTO u VALUES (1)");
            let closing = async {
                until_blocked(&watcher, &old, &young).await;
                let error = b.batch_execute("DELETE FROM t WHERE id = 1").await.unwrap_err();
                let error = error.as_db_error().unwrap().clone();
                b.batch_execute("ROLLBACK").await.unwrap();
                error
            };
            let (inserted, error) = futures(insert, closing).await;
            inserted.unwrap();
            assert_eq!(error.code().code(), "40P01");
            let detail = error.detail().unwrap();
            let lines: Vec<&str> = detail.lines().collect();
            let first = format!("Process {young} waits for ShareLock on transaction ");
            assert!(lines[0].starts_with(&first), "{detail}");
            assert!(lines[0].ends_with(&format!("; blocked by process {old}.")), "{detail}");
            let second = format!("Process {old} waits for RowExclusiveLock on relation ");
            assert!(lines[1].starts_with(&second), "{detail}");
            assert_eq!(lines[2], format!("Process {young}: DELETE FROM t WHERE id = 1"));
            assert_eq!(lines[3], format!("Process {old}: INSERT INTO u VALUES (1)"));
        });
    });
}

#[test]
fn every_wait_ends_at_lock_timeout_and_statement_timeout() {
    wherever_rows_are_waited_for(|fixture| {
        block_on(async {
            let (a, b) = (fixture.connect().await, fixture.connect().await);
            a.batch_execute(TABLE).await.unwrap();
            a.batch_execute(
                "BEGIN; UPDATE t SET v = 5 WHERE id = 1; INSERT INTO t VALUES (3, 3); \
                 SELECT pg_advisory_xact_lock(4)",
            )
            .await
            .unwrap();
            for (setting, state) in [("lock_timeout", "55P03"), ("statement_timeout", "57014")] {
                b.batch_execute(&format!("SET {setting} = '10ms'")).await.unwrap();
                for sql in [
                    "UPDATE t SET v = 6 WHERE id = 1",
                    "DELETE FROM t",
                    "INSERT INTO t VALUES (3, 4)",
                    "SELECT * FROM t WHERE id = 1 FOR SHARE",
                    "ALTER TABLE t ADD COLUMN w int",
                    "BEGIN; LOCK TABLE t IN SHARE MODE",
                    "SELECT pg_advisory_lock(4)",
                ] {
                    assert_eq!(code(b.simple_query(sql).await), state, "{sql}");
                    b.batch_execute("ROLLBACK").await.unwrap();
                }
                b.batch_execute(&format!("RESET {setting}")).await.unwrap();
            }
            a.batch_execute("ROLLBACK").await.unwrap();
            b.batch_execute("DELETE FROM t").await.unwrap();
        });
    });
}

#[test]
fn who_is_idle_too_long_is_sent_away() {
    let fixture = Fixture::new();
    block_on(async {
        let (a, b) = (fixture.connect().await, fixture.connect().await);
        a.batch_execute(TABLE).await.unwrap();
        a.batch_execute("SET idle_in_transaction_session_timeout = '20ms'").await.unwrap();
        // Outside of a transaction it may take its time.
        tokio::time::sleep(Duration::from_millis(60)).await;
        a.batch_execute("BEGIN; DELETE FROM t WHERE id = 1").await.unwrap();
        // Its locks go with it.
        assert_eq!(b.execute("DELETE FROM t WHERE id = 1", &[]).await.unwrap(), 1);
        while !a.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        b.batch_execute("SET idle_session_timeout = '20ms'").await.unwrap();
        while !b.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_session_can_be_ended_by_another() {
    let fixture = Fixture::new();
    block_on(async {
        let (idle, busy) = (fixture.connect().await, fixture.connect().await);
        let boss = fixture.connect().await;
        let (idle_pid, busy_pid) = (pid(&idle).await, pid(&busy).await);
        idle.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
        let ending = async {
            while value(&boss, "SELECT count(*) FROM pg_locks WHERE NOT granted").await != "1" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            value(&boss, &format!("SELECT pg_terminate_backend({busy_pid})")).await
        };
        let (ended, was_told) =
            futures(busy.simple_query("SELECT pg_advisory_lock(1)"), ending).await;
        assert_eq!(was_told, "t");
        assert_eq!(code(ended), "57P01");
        assert_eq!(value(&boss, &format!("SELECT pg_terminate_backend({idle_pid})")).await, "t");
        while !(idle.is_closed() && busy.is_closed()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Nothing of theirs is left.
        while value(&boss, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await != "0"
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(value(&boss, "SELECT pg_try_advisory_lock(1)").await, "t");
    });
}

#[test]
fn a_cancel_ends_a_sleep_and_leaves_the_session() {
    let fixture = Fixture::new();
    block_on(async {
        let (a, b) = (fixture.connect().await, fixture.connect().await);
        let sleeper = pid(&a).await;
        let canceling = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            value(&b, &format!("SELECT pg_cancel_backend({sleeper})")).await
        };
        let (slept, was_told) = futures(a.simple_query("SELECT pg_sleep(1000)"), canceling).await;
        assert_eq!((code(slept).as_str(), was_told.as_str()), ("57014", "t"));
        assert_eq!(value(&a, "SELECT pg_sleep(0.001) || 'awake'").await, "awake");
    });
}
