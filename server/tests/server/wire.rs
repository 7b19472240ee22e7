//! A real client: types in both formats, errors, portals, transactions, cancel.

use std::time::Duration;

use tokio_postgres::error::ErrorPosition;
use tokio_postgres::types::Type;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::harness::{Fixture, block_on, code, everywhere};

#[test]
fn rows_come_back_in_binary_on_every_composition() {
    everywhere(|fixture| {
        block_on(async {
            let client = fixture.connect().await;
            client
                .batch_execute(
                    "CREATE TABLE t (id int PRIMARY KEY, a int2, b int8, c float4, d float8, \
                     e text, f bytea, g bool, h varchar(5))",
                )
                .await
                .unwrap();
            let insert = client
                .prepare("INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
                .await
                .unwrap();
            for id in 0..20i32 {
                let done = client
                    .execute(
                        &insert,
                        &[
                            &id,
                            &(id as i16 - 10),
                            &(i64::from(id) << 40),
                            &1.5f32,
                            &f64::from(id),
                            &format!("row {id}"),
                            &vec![0u8, 255, id as u8],
                            &(id % 2 == 0),
                            &None::<String>,
                        ],
                    )
                    .await
                    .unwrap();
                assert_eq!(done, 1);
            }
            let select = client.prepare("SELECT * FROM t WHERE id = $1").await.unwrap();
            assert_eq!(select.params(), [Type::INT4]);
            assert_eq!(select.columns()[6].type_(), &Type::BYTEA);
            for id in 0..20i32 {
                let row = client.query_one(&select, &[&id]).await.unwrap();
                assert_eq!(row.get::<_, i16>("a"), id as i16 - 10);
                assert_eq!(row.get::<_, i64>("b"), i64::from(id) << 40);
                assert!((row.get::<_, f32>("c") - 1.5).abs() < f32::EPSILON);
                assert_eq!(row.get::<_, String>("e"), format!("row {id}"));
                assert_eq!(row.get::<_, Vec<u8>>("f"), [0, 255, id as u8]);
                assert_eq!(row.get::<_, bool>("g"), id % 2 == 0);
                assert_eq!(row.get::<_, Option<String>>("h"), None);
            }
            let changed = client.execute("UPDATE t SET a = a + 1 WHERE id < $1", &[&5i32]).await;
            assert_eq!(changed.unwrap(), 5);
            let sum = client.query_one("SELECT sum(a), count(*) FROM t", &[]).await.unwrap();
            assert_eq!((sum.get::<_, i64>(0), sum.get::<_, i64>(1)), (-5, 20));
        });
    });
}

#[test]
fn errors_say_what_where_and_which() {
    let fixture = Fixture::new();
    block_on(async {
        let client = fixture.connect().await;
        client
            .batch_execute("CREATE TABLE t (id int PRIMARY KEY, v int CHECK (v > 0))")
            .await
            .unwrap();
        let error = client.query("SELECT * FROM nope", &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "42P01");
        assert_eq!(error.message(), "relation \"nope\" does not exist");
        assert_eq!(error.position(), Some(&ErrorPosition::Original(15)));
        client.execute("INSERT INTO t VALUES (1, 1)", &[]).await.unwrap();
        let error = client.execute("INSERT INTO t VALUES (1, 1)", &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "23505");
        assert_eq!(error.detail(), Some("Key (id)=(1) already exists."));
        assert_eq!((error.table(), error.constraint()), (Some("t"), Some("t_pkey")));
        assert_eq!(code(client.execute("INSERT INTO t VALUES (2, -1)", &[]).await), "23514");
        assert_eq!(code(client.simple_query("SELEC 1").await), "42601");
        assert_eq!(code(client.query("SELECT 1 / $1::int", &[&0i32]).await), "22012");
        assert_eq!(code(client.prepare("SELECT 1; SELECT 2").await), "42601");
        // The connection is as good as before.
        assert_eq!(client.query_one("SELECT 7", &[]).await.unwrap().get::<_, i32>(0), 7);
    });
}

#[test]
fn portals_give_rows_in_pieces_of_one_snapshot() {
    let fixture = Fixture::new();
    block_on(async {
        let mut client = fixture.connect().await;
        client
            .batch_execute(
                "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT * FROM generate_series(1, 5000)",
            )
            .await
            .unwrap();
        let transaction = client.transaction().await.unwrap();
        let portal = transaction.bind("SELECT id FROM t ORDER BY id", &[]).await.unwrap();
        let first = transaction.query_portal(&portal, 3).await.unwrap();
        assert_eq!(first.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1, 2, 3]);
        // What comes in between does not show in the portal.
        transaction.batch_execute("DELETE FROM t WHERE id > 4").await.unwrap();
        let second = transaction.query_portal(&portal, 3).await.unwrap();
        assert_eq!(second.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [4, 5, 6]);
        assert_eq!(transaction.query_portal(&portal, 0).await.unwrap().len(), 4994);
        assert_eq!(transaction.query_portal(&portal, 0).await.unwrap().len(), 0);
        transaction.commit().await.unwrap();
        let rows = client.query("SELECT id FROM t", &[]).await.unwrap();
        assert_eq!(rows.len(), 4);
    });
}

#[test]
fn transactions_are_atomic_and_isolated_on_every_composition() {
    everywhere(|fixture| {
        block_on(async {
            let (mut a, b) = (fixture.connect().await, fixture.connect().await);
            a.batch_execute(
                "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)",
            )
            .await
            .unwrap();
            let transaction = a.transaction().await.unwrap();
            transaction.execute("UPDATE t SET v = 1 WHERE id = 1", &[]).await.unwrap();
            assert_eq!(b.query_one("SELECT v FROM t", &[]).await.unwrap().get::<_, i32>(0), 0);
            const ADD: &str = "UPDATE t SET v = v + 10 WHERE id = 1";
            if fixture.node.store().claims_wait() {
                // Waits for the lock, then adds to what was committed.
                let committing = async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    transaction.commit().await.unwrap();
                };
                let (waited, ()) = futures(b.execute(ADD, &[]), committing).await;
                assert_eq!(waited.unwrap(), 1);
            } else {
                // The first to commit wins; the other is asked to try again.
                b.execute(ADD, &[]).await.unwrap();
                assert_eq!(code(transaction.commit().await), "40001");
                a.execute("UPDATE t SET v = v + 1 WHERE id = 1", &[]).await.unwrap();
            }
            assert_eq!(b.query_one("SELECT v FROM t", &[]).await.unwrap().get::<_, i32>(0), 11);

            let transaction = a.transaction().await.unwrap();
            transaction.execute("UPDATE t SET v = 99", &[]).await.unwrap();
            assert_eq!(code(transaction.execute("SELECT 1 / 0", &[]).await), "22012");
            assert_eq!(code(transaction.execute("SELECT 1", &[]).await), "25P02");
            transaction.rollback().await.unwrap();
            assert_eq!(a.query_one("SELECT v FROM t", &[]).await.unwrap().get::<_, i32>(0), 11);
        });
    });
}

/// Both of two futures.
pub(crate) async fn futures<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|cx| {
        use std::task::Poll;
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            second = Some(output);
        }
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.unwrap(), second.unwrap())
}

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000000000)";

#[test]
fn a_running_statement_can_be_canceled() {
    let fixture = Fixture::new();
    block_on(async {
        let client = fixture.connect().await;
        let token = client.cancel_token();
        let canceling = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let (result, ()) = futures(client.simple_query(ENDLESS), canceling).await;
        assert_eq!(code(result), "57014");
        assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    });
}

#[test]
fn a_waiting_statement_can_be_canceled() {
    let fixture = Fixture::new();
    block_on(async {
        let (mut a, b) = (fixture.connect().await, fixture.connect().await);
        a.batch_execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
            .await
            .unwrap();
        let transaction = a.transaction().await.unwrap();
        transaction.execute("DELETE FROM t", &[]).await.unwrap();
        let token = b.cancel_token();
        let canceling = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let (result, ()) = futures(b.execute("DELETE FROM t", &[]), canceling).await;
        assert_eq!(code(result), "57014");
    });
}

#[test]
fn statement_timeout_ends_what_takes_too_long() {
    let fixture = Fixture::new();
    block_on(async {
        let client = fixture.connect().await;
        client.batch_execute("SET statement_timeout = '100ms'").await.unwrap();
        let error = client.simple_query(ENDLESS).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.message(), "canceling statement due to statement timeout");
        client.batch_execute("SELECT 1").await.unwrap();
    });
}

#[test]
fn one_string_is_one_transaction() {
    let fixture = Fixture::new();
    block_on(async {
        let client = fixture.connect().await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY)").await.unwrap();
        let failed = client.simple_query("INSERT INTO t VALUES (1); SELECT 1 / 0; SELECT 2").await;
        assert_eq!(code(failed), "22012");
        let text = "INSERT INTO t VALUES (2); COMMIT; INSERT INTO t VALUES (3); SELECT 1 / 0";
        assert_eq!(code(client.simple_query(text).await), "22012");
        let messages = client.simple_query("SELECT id FROM t").await.unwrap();
        let rows: Vec<&str> = messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        assert_eq!(rows, ["2"]);
    });
}

#[test]
fn a_prepared_statement_follows_the_catalog() {
    let fixture = Fixture::new();
    block_on(async {
        let client = fixture.connect().await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, v int)").await.unwrap();
        client.batch_execute("INSERT INTO t VALUES (1, 1)").await.unwrap();
        let narrow = client.prepare("SELECT v FROM t WHERE id = $1").await.unwrap();
        let all = client.prepare("SELECT * FROM t").await.unwrap();
        let other = fixture.connect().await;
        other.batch_execute("ALTER TABLE t ADD COLUMN w int DEFAULT 5").await.unwrap();
        assert_eq!(client.query_one(&narrow, &[&1i32]).await.unwrap().get::<_, i32>(0), 1);
        let error = client.query(&all, &[]).await.unwrap_err();
        assert_eq!(
            error.as_db_error().unwrap().message(),
            "cached plan must not change result type"
        );
        other.batch_execute("DROP TABLE t").await.unwrap();
        assert_eq!(code(client.query(&narrow, &[&1i32]).await), "42P01");
    });
}

#[test]
fn a_text_that_is_prepared_anew_gives_what_there_is_now() {
    let fixture = Fixture::new();
    block_on(async {
        let client = fixture.connect().await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, v int)").await.unwrap();
        let text = "SELECT * FROM t WHERE v = $1 OR $1 IS NULL";
        let mut before = Vec::new();
        // A session remembers texts that come more than once.
        for _ in 0..4 {
            before.push(client.prepare(text).await.unwrap());
        }
        let other = fixture.connect().await;
        other.batch_execute("ALTER TABLE t ADD COLUMN w int DEFAULT 5").await.unwrap();
        other.batch_execute("ALTER TABLE t ALTER COLUMN v TYPE text").await.unwrap();
        let now = client.prepare(text).await.unwrap();
        assert_eq!(now.columns().len(), 3);
        assert_eq!(now.params(), [Type::TEXT]);
        assert!(client.query(&now, &[&"x"]).await.unwrap().is_empty());
        for old in &before {
            assert!(client.query(old, &[&1i32]).await.is_err(), "it was told of two columns");
        }
        let all = "SELECT * FROM t";
        for _ in 0..4 {
            before.push(client.prepare(all).await.unwrap());
        }
        other.batch_execute("ALTER TABLE t DROP COLUMN v").await.unwrap();
        client.simple_query(all).await.unwrap();
        assert_eq!(client.prepare(all).await.unwrap().columns().len(), 2);
    });
}

#[test]
fn settings_reach_the_client() {
    let fixture = Fixture::new();
    block_on(async {
        let url =
            format!("{}?options=-c%20TimeZone%3DAsia/Tokyo&application_name=x", fixture.url());
        let client = crate::harness::connect(&url).await;
        let show = async |name: &str| {
            let messages = client.simple_query(&format!("SHOW {name}")).await.unwrap();
            messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
        };
        assert_eq!(show("timezone").await.as_deref(), Some("Asia/Tokyo"));
        assert_eq!(show("application_name").await.as_deref(), Some("x"));
        client.batch_execute("BEGIN; SET LOCAL timezone TO 'UTC'; COMMIT").await.unwrap();
        assert_eq!(show("timezone").await.as_deref(), Some("Asia/Tokyo"));
        client.batch_execute("BEGIN; SET timezone TO 'UTC'; ROLLBACK").await.unwrap();
        assert_eq!(show("timezone").await.as_deref(), Some("Asia/Tokyo"));
        client.batch_execute("SET timezone TO 'UTC'; RESET timezone").await.unwrap();
        assert_eq!(show("timezone").await.as_deref(), Some("Asia/Tokyo"));
        assert_eq!(code(client.batch_execute("SET nope = 1").await), "42704");
        let refused = tokio_postgres::connect(
            &format!("postgresql://driftdb@127.0.0.1:{}/other", fixture.port()),
            NoTls,
        )
        .await;
        assert_eq!(code(refused.map(|_| ())), "3D000");
    });
}

#[test]
fn maintenance_runs_over_the_extended_protocol_but_not_in_a_block() {
    let fixture = Fixture::new();
    block_on(async {
        let client = fixture.connect().await;
        client.batch_execute("CREATE TABLE t (a int)").await.unwrap();
        // Parse, Describe, Bind, Execute: preparing it must not count as a statement of a block.
        client.execute("VACUUM t", &[]).await.unwrap();
        client.execute("ANALYZE t", &[]).await.unwrap();
        client.batch_execute("BEGIN").await.unwrap();
        assert_eq!(code(client.execute("VACUUM t", &[]).await), "25001");
    });
}
