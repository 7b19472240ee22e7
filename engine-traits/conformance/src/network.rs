//! The network suite: what every network does, however bad.
//!
//! Cases see two [`Network`]s, of two nodes that may be one; they take care to rely on nothing more than is promised:
//! what must arrive is sent again until it does, and what arrives twice or late is told by its bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use driftdb_env::{MOST_MESSAGE_BYTES, Mailbox, Message, Network};

/// How long a case waits for an answer before it sends again.
const SOON: Duration = Duration::from_millis(20);

/// How often a case sends again before it says that nothing arrives.
const MOST_TRIES: u32 = 500;

/// A case: of two nodes that can reach each other, at least now and then.
pub type Case = fn(&dyn Network, &dyn Network);

/// Makes the tests of the network suite. The argument names a `fn(Case)` that runs a case, once or over many seeds.
#[macro_export]
macro_rules! network_suite {
    ($run:expr) => {
        $crate::network_cases!(
            $run,
            a_mailbox_waits_no_longer_than_told,
            a_message_arrives_whole_and_unchanged,
            a_message_goes_to_its_address,
            a_message_that_is_too_long_is_refused,
            an_address_has_one_mailbox,
            doubles_can_be_told,
            free_ports_are_free,
            nobody_there_is_no_error,
            senders_do_not_wait,
            who_sent_it_can_be_answered,
        );
    };
}

/// Makes a test of each case: see [`network_suite!`](crate::network_suite).
#[macro_export]
macro_rules! network_cases {
    ($run:expr, $($case:ident),* $(,)?) => {
        $(#[test] fn $case() { ($run)($crate::network::$case); })*
    };
}

fn open(network: &dyn Network) -> Arc<dyn Mailbox> {
    network.open(0).expect("a port is free")
}

fn received(mailbox: &dyn Mailbox, timeout: Duration) -> Option<Message> {
    mailbox.receive(timeout).expect("a mailbox can be read")
}

/// Sends until it arrives; what else arrives must be of those that may.
fn deliver(from: &dyn Mailbox, to: &dyn Mailbox, bytes: &[u8], may: &dyn Fn(&Message) -> bool) {
    for _ in 0..MOST_TRIES {
        from.send(to.address(), bytes).expect("it can be sent");
        while let Some(message) = received(to, SOON) {
            if message.bytes == bytes {
                assert_eq!(message.from, from.address());
                return;
            }
            assert!(may(&message), "nobody sent {message:?} here");
        }
    }
    panic!("sent {MOST_TRIES} times, {} bytes never arrive", bytes.len());
}

/// A message arrives whole and unchanged, or not at all.
pub fn a_message_arrives_whole_and_unchanged(one: &dyn Network, other: &dyn Network) {
    let (from, to) = (open(one), open(other));
    let sizes = [0, 1, 2, 511, 1400, 1500, 9000, MOST_MESSAGE_BYTES];
    let message = |size: usize| -> Vec<u8> {
        (0..size).map(|at| (at * 31 + at / 253 + size) as u8).collect()
    };
    for size in sizes {
        let is_one_of_ours = |other: &Message| other.bytes == message(other.bytes.len());
        deliver(&*from, &*to, &message(size), &is_one_of_ours);
    }
}

/// What is too long is refused, and nothing of it is sent.
pub fn a_message_that_is_too_long_is_refused(one: &dyn Network, other: &dyn Network) {
    let (from, to) = (open(one), open(other));
    let error = from.send(to.address(), &vec![7; MOST_MESSAGE_BYTES + 1]).expect_err("too long");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(received(&*to, SOON), None);
    deliver(&*from, &*to, b"short", &|_| false);
}

/// A deadline ends the wait, and one that has passed is a look.
pub fn a_mailbox_waits_no_longer_than_told(one: &dyn Network, other: &dyn Network) {
    let (from, to) = (open(one), open(other));
    assert_eq!(received(&*to, Duration::ZERO), None);
    assert_eq!(received(&*to, SOON), None);
    deliver(&*from, &*to, b"late", &|_| false);
}

/// Each mailbox receives what was sent to it.
pub fn a_message_goes_to_its_address(one: &dyn Network, other: &dyn Network) {
    let from = open(one);
    let boxes = [open(other), open(other), open(one)];
    for round in 0..4_u8 {
        for (number, to) in boxes.iter().enumerate() {
            let is_its_own = |message: &Message| message.bytes.get(1) == Some(&(number as u8));
            deliver(&*from, &**to, &[round, number as u8], &is_its_own);
        }
    }
}

/// An address that is in use is refused, and is free when its mailbox is gone.
pub fn an_address_has_one_mailbox(one: &dyn Network, other: &dyn Network) {
    let (from, to) = (open(one), open(other));
    let address = to.address();
    let error = other.open(address.port()).err().expect("it is in use");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(to);
    let to = other.open(address.port()).expect("it is free again");
    assert_eq!(to.address(), address);
    deliver(&*from, &*to, b"again", &|_| false);
}

/// Ports that nobody asked for differ, and are of the node.
pub fn free_ports_are_free(one: &dyn Network, other: &dyn Network) {
    let boxes: Vec<_> = (0..5).flat_map(|_| [open(one), open(other)]).collect();
    let mut addresses: Vec<SocketAddr> = boxes.iter().map(|it| it.address()).collect();
    assert!(addresses.iter().all(|it| it.ip() == one.host() || it.ip() == other.host()));
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), boxes.len());
}

/// To send says nothing of whether somebody is there.
pub fn nobody_there_is_no_error(one: &dyn Network, other: &dyn Network) {
    let (from, gone, to) = (open(one), open(other), open(other));
    let nowhere = gone.address();
    drop(gone);
    for _ in 0..5 {
        from.send(nowhere, b"hello").expect("nobody is told");
        assert_eq!(received(&*from, Duration::ZERO), None);
    }
    deliver(&*from, &*to, b"somebody", &|_| false);
}

/// A mailbox that nobody reads holds nobody up.
pub fn senders_do_not_wait(one: &dyn Network, other: &dyn Network) {
    let (from, to) = (open(one), open(other));
    for number in 0..6000_u32 {
        from.send(to.address(), &number.to_le_bytes()).expect("it can be sent");
    }
    while let Some(message) = received(&*to, SOON) {
        let number: Option<[u8; 4]> = message.bytes.as_slice().try_into().ok();
        assert!(number.is_some_and(|number| u32::from_le_bytes(number) < 6000), "{message:?}");
    }
    deliver(&*from, &*to, b"after all", &|message| message.bytes.len() == 4);
}

/// An answer finds back to who asked.
pub fn who_sent_it_can_be_answered(one: &dyn Network, other: &dyn Network) {
    let (asks, answers) = (open(one), open(other));
    for _ in 0..MOST_TRIES {
        asks.send(answers.address(), b"question").expect("it can be sent");
        while let Some(question) = received(&*answers, SOON) {
            assert_eq!(
                (question.bytes.as_slice(), question.from),
                (&b"question"[..], asks.address())
            );
            answers.send(question.from, b"answer").expect("it can be sent");
        }
        if let Some(answer) = received(&*asks, SOON) {
            assert_eq!((answer.bytes.as_slice(), answer.from), (&b"answer"[..], answers.address()));
            return;
        }
    }
    panic!("no answer to {MOST_TRIES} questions");
}

/// Numbers make of it what is in order and once: what replication builds on.
pub fn doubles_can_be_told(one: &dyn Network, other: &dyn Network) {
    let (from, to) = (open(one), open(other));
    let (mut taken, mut acknowledged) = (0_u8, 0_u8);
    let mut tries = 0;
    while acknowledged < 30 {
        tries += 1;
        assert!(tries < 30 * MOST_TRIES, "it comes to a halt at {acknowledged}");
        for number in acknowledged + 1..=(acknowledged + 3).min(30) {
            from.send(to.address(), &[number]).expect("it can be sent");
        }
        while let Some(message) = received(&*to, SOON) {
            let number = *message.bytes.first().expect("it has a number");
            assert!((1..=30).contains(&number));
            // The next is taken; a double, or one after a gap, is answered with what is there.
            taken = if number == taken + 1 { number } else { taken };
            to.send(message.from, &[taken]).expect("it can be sent");
        }
        while let Some(message) = received(&*from, Duration::ZERO) {
            acknowledged = acknowledged.max(message.bytes[0]);
        }
        assert!(acknowledged <= taken);
    }
    assert_eq!(taken, 30);
}
