//! COPY in both directions, in both protocols.

use crate::harness::Fixture;
use crate::raw::{Raw, message, query, run, sync};

fn table(fixture: &Fixture) -> Raw {
    let mut raw = Raw::connect(fixture.port());
    raw.ask(&query("CREATE TABLE t (id int PRIMARY KEY, v text)"));
    raw
}

fn data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

#[test]
fn rows_go_in_and_out() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    raw.send(&query("COPY t FROM STDIN; SELECT count(*) FROM t"));
    assert_eq!(raw.next().unwrap().kind, b'G');
    // Cut in the middle of a line.
    raw.send(
        &[data(b"1\tone\n2\tt"), data(b"wo\n"), data(b"3\t\\N\n"), message(b'c', b"")].concat(),
    );
    assert_eq!(raw.kinds(), "CTDCZI");
    raw.send(&query("COPY (SELECT * FROM t ORDER BY id) TO STDOUT"));
    let replies = raw.until_ready();
    let lines: Vec<u8> =
        replies.iter().filter(|r| r.kind == b'd').flat_map(|r| r.body.clone()).collect();
    assert_eq!(lines, b"1\tone\n2\ttwo\n3\t\\N\n");
    assert_eq!(replies[replies.len() - 2].body, b"COPY 3\0");
}

#[test]
fn a_bad_line_undoes_the_copy_and_the_rest_is_dropped() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    raw.send(&query("COPY t FROM STDIN"));
    raw.next();
    raw.send(&[data(b"1\tone\n"), data(b"x\ttwo\n"), data(b"3\tthree\n")].concat());
    let replies = raw.until_ready();
    assert_eq!(replies[0].field(b'C').as_deref(), Some("22P02"));
    assert_eq!(replies[0].field(b'W').as_deref(), Some("COPY t, line 2, column id: \"x\""));
    raw.send(&message(b'c', b""));
    raw.send(&query("SELECT * FROM t"));
    assert_eq!(raw.kinds(), "TCZI");
}

#[test]
fn the_client_may_give_up() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    raw.send(&query("COPY t FROM STDIN"));
    raw.next();
    raw.send(&[data(b"1\tone\n"), message(b'f', b"no more\0")].concat());
    let replies = raw.until_ready();
    assert_eq!(replies[0].field(b'C').as_deref(), Some("57014"));
    assert!(replies[0].field(b'M').unwrap().ends_with("no more"));
    assert_eq!(raw.ask(&query("SELECT * FROM t")), "TCZI");
}

#[test]
fn copy_works_in_the_extended_protocol() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    // Libraries send Sync before they know of the COPY; it is ignored until the end.
    raw.send(&[run("COPY t FROM STDIN WITH (FORMAT csv)", 0), sync()].concat());
    assert_eq!((0..3).map(|_| raw.next().unwrap().kind).collect::<Vec<u8>>(), b"12G");
    raw.send(&[data(b"1,\"a,b\"\n"), message(b'c', b""), sync()].concat());
    assert_eq!(raw.kinds(), "CZI");
    raw.send(&[run("COPY t FROM STDIN", 0), sync()].concat());
    (0..3).for_each(|_| drop(raw.next()));
    raw.send(&[data(b"1\tduplicate\n"), message(b'c', b""), sync()].concat());
    assert_eq!(raw.kinds(), "EZI");
    assert_eq!(raw.ask(&[run("COPY t TO STDOUT", 0), sync()].concat()), "12HdcCZI");
}

#[test]
fn any_other_message_ends_a_copy() {
    let fixture = Fixture::new();
    let mut raw = table(&fixture);
    raw.send(&query("COPY t FROM STDIN"));
    raw.next();
    assert_eq!(raw.ask(&query("SELECT 1")), "EZI");
    assert_eq!(raw.ask(&query("SELECT 1")), "TDCZI");
}
