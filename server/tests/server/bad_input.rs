//! What no client should send.

use std::io::Write;
use std::time::Duration;

use crate::harness::Fixture;
use crate::raw::{Raw, message, query};

/// A well-behaved client is served.
fn is_alive(fixture: &Fixture) {
    assert_eq!(Raw::connect(fixture.port()).ask(&query("SELECT 1")), "TDCZI");
}

/// The code of the error with which the server ends the connection.
fn last_words(raw: &mut Raw) -> Option<String> {
    let reply = raw.next()?;
    assert_eq!(reply.field(b'S').as_deref(), Some("FATAL"));
    assert!(raw.next().is_none());
    reply.field(b'C')
}

#[test]
fn garbage_instead_of_a_hello() {
    let fixture = Fixture::new();
    for garbage in
        [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0xff; 100], &[0; 100], b"\x16\x03\x01\x02\0"]
    {
        let mut raw = Raw::silent(fixture.port());
        raw.send(garbage);
        assert_eq!(last_words(&mut raw).as_deref(), Some("08P01"));
    }
    is_alive(&fixture);
}

#[test]
fn a_length_of_a_gigabyte() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    raw.send(b"Q\x40\0\0\0SELECT");
    assert_eq!(last_words(&mut raw).as_deref(), Some("08P01"));
    let mut raw = Raw::connect(fixture.port());
    raw.send(b"\x01\0\0\0\x04");
    assert_eq!(last_words(&mut raw).as_deref(), Some("08P01"));
    is_alive(&fixture);
}

#[test]
fn bodies_that_do_not_fit() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    assert_eq!(raw.ask(&message(b'Q', b"no end")), "EZI");
    assert_eq!(raw.ask(&message(b'Q', b"\xff\xfe\0")), "EZI");
    assert_eq!(raw.ask(&[message(b'B', b"\0\0\xff\xff"), message(b'S', b"")].concat()), "EZI");
    assert_eq!(raw.ask(&[message(b'F', b"\0\0\0\x01"), message(b'S', b"")].concat()), "EZI");
    assert_eq!(raw.ask(&query("SELECT 1")), "TDCZI");
}

/// Each view is bound within the one before: that they are too many is an error and not the end of the server.
#[test]
fn a_view_of_a_view_of_a_view() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    assert_eq!(raw.ask(&query("CREATE TABLE chain_0 (a int)")), "CZI");
    let mut refused = 0;
    for view in 1..200 {
        let text = format!("CREATE VIEW chain_{view} AS SELECT a FROM chain_{}", view - 1);
        refused += usize::from(raw.ask(&query(&text)) == "EZI");
    }
    assert!(refused < 100, "{refused} of them are too many");
    assert_eq!(raw.ask(&query("SELECT * FROM chain_99")), "TCZI");
    is_alive(&fixture);
}

#[test]
fn half_a_message_and_gone() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    raw.ask(&query("CREATE TABLE t (id int)"));
    raw.ask(&query("BEGIN; INSERT INTO t VALUES (1)"));
    raw.send(b"Q\0\0\0\xffINSERT");
    drop(raw);
    // Its transaction is rolled back: nothing holds the table.
    let mut raw = Raw::connect(fixture.port());
    assert_eq!(raw.ask(&query("SELECT * FROM t")), "TCZI");
    assert_eq!(raw.ask(&query("DROP TABLE t")), "CZI");
}

#[test]
fn a_client_that_never_reads() {
    let mut fixture = Fixture::new();
    let mut greedy = Raw::connect(fixture.port());
    greedy.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let flood = query("SELECT * FROM generate_series(1, 100000)").repeat(50);
    // The answers fill the sockets' buffers, and the server stops reading.
    while greedy.stream.write_all(&flood).is_ok() {}
    (0..4).for_each(|_| is_alive(&fixture));
    // Nor does it keep the server from stopping.
    fixture.stop();
}

#[test]
fn a_statement_too_deep_for_any_stack() {
    let fixture = Fixture::new();
    let mut raw = Raw::connect(fixture.port());
    let deep = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    let chained = format!("SELECT {}", vec!["1"; 5000].join(" + "));
    let unions = vec!["SELECT 1"; 5000].join(" UNION ALL ");
    for text in [deep, chained, unions] {
        raw.send(&query(&text));
        let replies = raw.until_ready();
        let failed = replies.iter().find(|reply| reply.kind == b'E');
        if let Some(error) = failed {
            let code = error.field(b'C').unwrap();
            assert!(["54000", "54001"].contains(&code.as_str()), "{code}");
        }
        assert_eq!(raw.ask(&query("SELECT 1")), "TDCZI");
    }
}
