//! Opening, limits, stopping, and opening again.

use driftdb_env::Env;
use driftdb_server::adapter::Server;
use driftdb_server::{Config, Node, Session, SessionOptions};
use driftdb_types::Value;

use crate::harness::{Fixture, block_on, code, everywhere};
use crate::raw::{Raw, query};

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let fixture = Fixture::with("memory", "ssi", |config| config.max_connections = 2);
    let _held = (Raw::connect(fixture.port()), Raw::connect(fixture.port()));
    block_on(async {
        let refused = tokio_postgres::connect(&fixture.url(), tokio_postgres::NoTls).await;
        assert_eq!(code(refused.map(|_| ())), "53300");
    });
}

#[test]
fn stopping_tells_idle_clients() {
    let mut fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    raw.ask(&query("BEGIN"));
    fixture.stop();
    assert_eq!(raw.next().unwrap().field(b'C').as_deref(), Some("57P01"));
    assert!(raw.next().is_none());
}

#[test]
fn only_loopback_is_listened_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        data: dir.path().join("data"),
        listen: "0.0.0.0:0".parse().unwrap(),
        engine: "memory".into(),
        ..Config::default()
    };
    let node = Node::open(&Env::os(), &config).unwrap();
    let error = Server::start(&node).unwrap_err().to_string();
    assert!(error.contains("refusing to listen on 0.0.0.0:0"), "{error}");
}

#[test]
fn what_was_committed_is_there_after_closing_and_after_not_closing() {
    for engine in ["lsm", "btree", "memory"] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            data: dir.path().join("data"),
            engine: engine.into(),
            write_buffer_bytes: 16 << 10,
            wal_segment_bytes: 64 << 10,
            ..Config::default()
        };
        for round in 0..4i64 {
            let node = Node::open(&Env::os(), &config).unwrap();
            let mut session = Session::new(&node, &SessionOptions::default()).unwrap();
            if round == 0 {
                session.query("CREATE TABLE t (id bigint PRIMARY KEY, v text)").unwrap();
            }
            let count = session.query("SELECT count(*) FROM t").unwrap();
            assert_eq!(count[0].rows, [[Value::Int8(round * 100)]], "{engine}");
            for id in 0..100 {
                let params = [Value::Int8(round * 100 + id), Value::text("x".repeat(200))];
                session.execute_with("INSERT INTO t VALUES ($1, $2)", &params).unwrap();
            }
            // Never committed.
            session.query("BEGIN; DELETE FROM t").unwrap();
            if round % 2 == 0 {
                drop(session);
                node.close().unwrap();
            }
        }
    }
}

#[test]
fn sessions_answer_with_values_on_every_composition() {
    everywhere(|fixture| {
        let mut session = Session::new(&fixture.node, &SessionOptions::default()).unwrap();
        session.query("CREATE TABLE t (id int PRIMARY KEY, v int)").unwrap();
        let insert = "INSERT INTO t VALUES ($1, $2) RETURNING v";
        for id in 0..10 {
            let answer = session.execute_with(insert, &[Value::Int4(id), Value::Null]).unwrap();
            assert_eq!(answer.rows, [[Value::Null]]);
        }
        let answers = session.query("SELECT 1; UPDATE t SET v = id; SELECT sum(v) FROM t").unwrap();
        assert_eq!(answers[1].tag.unwrap().to_string(), "UPDATE 10");
        assert_eq!(answers[2].rows, [[Value::Int8(45)]]);
        let error = session.execute_with(insert, &[Value::Int4(1), Value::Int4(1)]).unwrap_err();
        assert_eq!(error.state.code(), "23505");
        let error = session.query("COPY t FROM STDIN").unwrap_err();
        assert_eq!(error.state.code(), "57014");
        let empty = session.execute_with("", &[]).unwrap();
        assert_eq!(empty.tag, None);
    });
}
