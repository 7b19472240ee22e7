//! LISTEN and NOTIFY between clients: what comes when, also to those that wait for nothing.

use crate::harness::Fixture;
use crate::raw::{Raw, query};

/// The channel and payload of the next message, which is a notification.
fn told(raw: &mut Raw) -> (String, String) {
    let reply = raw.next().unwrap();
    assert_eq!(reply.kind, b'A');
    let mut texts = reply.body[4..].split(|byte| *byte == 0).map(String::from_utf8_lossy);
    (texts.next().unwrap().into_owned(), texts.next().unwrap().into_owned())
}

fn pair(channel: &str, payload: &str) -> (String, String) {
    (channel.to_owned(), payload.to_owned())
}

#[test]
fn an_idle_client_is_told_when_the_other_commits() {
    let fixture = Fixture::new();
    let (mut listener, mut sender) = (Raw::connect(fixture.port()), Raw::connect(fixture.port()));
    assert_eq!(listener.ask(&query("LISTEN a; LISTEN b")), "CCZI");
    assert_eq!(sender.ask(&query("NOTIFY a, 'one'")), "CZI");
    assert_eq!(told(&mut listener), pair("a", "one"));
    sender.ask(&query("BEGIN; NOTIFY b; SAVEPOINT s; NOTIFY a, 'undone'; ROLLBACK TO s"));
    sender.ask(&query("SELECT pg_notify('a', 'x'), pg_notify('a', 'x'), pg_notify('nobody', '')"));
    sender.ask(&query("COMMIT"));
    assert_eq!(told(&mut listener), pair("b", ""));
    assert_eq!(told(&mut listener), pair("a", "x"));
    sender.ask(&query("BEGIN; NOTIFY a, 'never'; ROLLBACK"));
    sender.ask(&query("BEGIN; NOTIFY a, 'neither'; SELECT 1/0"));
    sender.ask(&query("COMMIT"));
    assert_eq!(listener.ask(&query("SELECT 1")), "TDCZI");
}

#[test]
fn a_client_in_a_transaction_is_told_after_it_and_the_sender_before_it_is_ready() {
    let fixture = Fixture::new();
    let (mut listener, mut sender) = (Raw::connect(fixture.port()), Raw::connect(fixture.port()));
    listener.ask(&query("LISTEN a"));
    listener.ask(&query("BEGIN"));
    sender.ask(&query("NOTIFY a, 'one'"));
    assert_eq!(listener.ask(&query("SELECT 1")), "TDCZT");
    assert_eq!(listener.ask(&query("COMMIT")), "CAZI");
    assert_eq!(listener.ask(&query("NOTIFY a, 'to myself'")), "CAZI");
    assert_eq!(listener.ask(&query("UNLISTEN a")), "CZI");
    sender.ask(&query("NOTIFY a, 'two'"));
    assert_eq!(listener.ask(&query("SELECT 1")), "TDCZI");
}

#[test]
fn many_messages_come_in_the_order_of_commits() {
    let fixture = Fixture::new();
    let mut listener = Raw::connect(fixture.port());
    listener.ask(&query("LISTEN a"));
    let mut sender = Raw::connect(fixture.port());
    for number in 0..200 {
        sender.send(&query(&format!("NOTIFY a, '{number}'")));
    }
    // Its own statements come between them.
    let mut heard = Vec::new();
    for _ in 0..5 {
        listener.send(&query("SELECT 1"));
        loop {
            let reply = listener.next().unwrap();
            match reply.kind {
                b'A' => heard.push(reply.body[4 + 2..reply.body.len() - 1].to_vec()),
                b'Z' => break,
                _ => {}
            }
        }
    }
    while heard.len() < 200 {
        heard.push(told(&mut listener).1.into_bytes());
    }
    let expected: Vec<Vec<u8>> = (0..200).map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(heard, expected);
}
