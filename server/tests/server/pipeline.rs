//! Sequences of messages that client libraries rarely send, and must work all the same.

use driftdb_server::protocol::{Connection, Outlet};

use crate::harness::Fixture;
use crate::raw::{HELLO, Raw, execute, message, query, run, sync};

#[test]
fn after_an_error_everything_up_to_sync_is_skipped() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    let bytes = [run("SELECT 1/0", 0), run("SELECT 2", 0), sync(), query("SELECT 3")].concat();
    assert_eq!(raw.ask(&bytes), "12EZI");
    assert_eq!(raw.kinds(), "TDCZI");
}

#[test]
fn a_pipeline_up_to_sync_is_one_transaction() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    raw.ask(&query("CREATE TABLE t (id int PRIMARY KEY)"));
    let insert = run("INSERT INTO t VALUES (1)", 0);
    let bytes = [insert.clone(), insert.clone(), sync()].concat();
    assert_eq!(raw.ask(&bytes), "12C12EZI");
    let bytes = [insert, sync(), run("SELECT * FROM t", 0), sync()].concat();
    assert_eq!(raw.ask(&bytes), "12CZI");
    assert_eq!(raw.kinds(), "12DCZI");
}

#[test]
fn messages_may_come_byte_by_byte() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    raw.stream.set_nodelay(true).unwrap();
    for byte in [run("SELECT 1", 0), sync()].concat() {
        raw.send(&[byte]);
    }
    assert_eq!(raw.kinds(), "12DCZI");
}

#[test]
fn rows_come_in_portions_and_flush_asks_for_them() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    raw.send(&[run("SELECT * FROM generate_series(1, 3)", 2), message(b'H', b"")].concat());
    let kinds: Vec<u8> = (0..5).map(|_| raw.next().unwrap().kind).collect();
    assert_eq!(kinds, b"12DDs");
    assert_eq!(raw.ask(&[execute(2), execute(2), sync()].concat()), "DCCZI");
    assert_eq!(raw.ask(&[execute(0), sync()].concat()), "EZI");
}

#[test]
fn describe_and_close_of_what_is_there_and_what_is_not() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    let parse = message(b'P', b"s\0SELECT $1::int + 1\0\0\0");
    let bytes = [parse, message(b'D', b"Ss\0"), message(b'C', b"Ss\0"), sync()].concat();
    assert_eq!(raw.ask(&bytes), "1tT3ZI");
    assert_eq!(raw.ask(&[message(b'D', b"Ss\0"), sync()].concat()), "EZI");
    assert_eq!(raw.ask(&[message(b'D', b"Pp\0"), sync()].concat()), "EZI");
    assert_eq!(raw.ask(&[message(b'C', b"Pp\0"), sync()].concat()), "3ZI");
    assert_eq!(
        raw.ask(
            &[
                message(b'P', b"\0\0\0\0"),
                message(b'B', b"\0\0\0\0\0\0\0\0"),
                message(b'D', b"P\0"),
                execute(0),
                sync()
            ]
            .concat()
        ),
        "12nIZI"
    );
}

#[test]
fn begin_and_commit_work_in_the_extended_protocol() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    assert_eq!(raw.ask(&[run("BEGIN", 0), sync()].concat()), "12CZT");
    assert_eq!(raw.ask(&[run("SELECT 1/0", 0), sync()].concat()), "12EZE");
    assert_eq!(raw.ask(&[run("SELECT 1", 0), sync()].concat()), "EZE");
    raw.send(&[run("COMMIT", 0), sync()].concat());
    let replies = raw.until_ready();
    assert_eq!(replies[2].body, b"ROLLBACK\0");
}

#[test]
fn warnings_and_changed_settings_are_told() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    assert_eq!(raw.ask(&query("COMMIT")), "NCZI");
    assert_eq!(raw.ask(&query("BEGIN; BEGIN")), "CNCZT");
    assert_eq!(raw.ask(&query("ROLLBACK")), "CZI");
    assert_eq!(raw.ask(&query("SET TimeZone = 'Asia/Tokyo'")), "CSZI");
    assert_eq!(raw.ask(&query("")), "IZI");
}

/// What a statement answers goes out in one piece, on a connection that was asked before, too: each write is
/// a system call, and wakes the client.
#[test]
fn a_statement_is_answered_in_one_write() {
    let fixture = Fixture::new();
    let mut connection = Connection::new(&fixture.node);
    let mut ask = |bytes: &[u8]| {
        let mut early = Early(0);
        connection.receive(bytes);
        connection.process(&mut early);
        let rest = std::mem::take(connection.output());
        (early.0, rest)
    };
    ask(HELLO);
    for _ in 0..3 {
        let (early, rest) = ask(&[run("SELECT 1", 0), sync()].concat());
        assert_eq!(early, 0);
        assert!(rest.ends_with(b"Z\0\0\0\x05I"));
    }
    // But what was asked for before the next statement does not wait for it.
    let (early, _) = ask(&[run("SELECT 1", 0), sync(), run("SELECT 2", 0), sync()].concat());
    assert_eq!(early, 1);
}

/// Counts what is written before the end.
struct Early(usize);

impl Outlet for Early {
    fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        self.0 += 1;
        Ok(())
    }
}
