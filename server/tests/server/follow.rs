//! COPY … WITH (follow): the feed of changes as a stream, over the wire.

use std::time::{Duration, Instant};

use crate::harness::{Fixture, everywhere};
use crate::raw::{Raw, Reply, query, run, sync};
use crate::traveller::Traveller;

/// A client that follows.
struct Follower {
    raw: Raw,
    pid: i32,
    /// The last number up to which it has everything.
    resolved: u64,
}

impl Follower {
    fn connect(fixture: &Fixture) -> Self {
        let mut raw = Raw::connect(fixture.port());
        raw.send(&query("SELECT pg_backend_pid()"));
        let replies = raw.until_ready();
        let row = replies.iter().find(|reply| reply.kind == b'D').unwrap();
        let pid = String::from_utf8_lossy(&row.body[6..]).parse().unwrap();
        Self { raw, pid, resolved: 0 }
    }

    /// Follows the table `w` from what it has seen last.
    fn follow(&mut self, options: &str) {
        let sql = self.sql(options);
        self.raw.send(&query(&sql));
        assert_eq!(self.raw.next().unwrap().kind, b'H');
    }

    fn sql(&self, options: &str) -> String {
        format!(
            "COPY (SELECT seq, op, old_id, new_id, new_v FROM driftdb_changes('w', {})) \
             TO STDOUT WITH (follow{options})",
            self.resolved
        )
    }

    /// The lines up to the one that says that everything up to `sequence` was given, without those that
    /// say so.
    fn up_to(&mut self, sequence: u64) -> Vec<String> {
        let mut lines = Vec::new();
        while self.resolved < sequence {
            let reply = self.raw.next().unwrap();
            assert_eq!(reply.kind, b'd', "{:?}", reply.field(b'M'));
            let line = String::from_utf8(reply.body).unwrap();
            let cells: Vec<&str> = line.trim_end().split('\t').collect();
            if cells[1] == "RESOLVED" {
                self.resolved = cells[0].parse().unwrap();
            } else {
                assert!(cells[0].parse::<u64>().unwrap() > self.resolved, "{line}");
                lines.push(cells[1..].join(" "));
            }
        }
        lines
    }

    /// What ends the stream.
    fn end(&mut self) -> Vec<Reply> {
        let mut replies = self.raw.until_ready();
        replies.retain(|reply| reply.kind != b'd');
        replies
    }

    fn ends_with(&mut self, code: &str) {
        assert_eq!(self.end()[0].field(b'C').as_deref(), Some(code));
    }
}

fn newest(t: &Traveller) -> u64 {
    let store = t.session.node().store();
    store.sequence_at(store.newest()).unwrap()
}

/// Waits until a condition holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn commits_come_as_they_happen_and_again_from_a_number() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE w (id int PRIMARY KEY, v text); CREATE TABLE other (id int)");
        t.run("INSERT INTO w VALUES (1, 'one')");
        let mut follower = Follower::connect(fixture);
        follower.follow("");
        assert_eq!(follower.up_to(newest(&t)), ["INSERT \\N 1 one"]);
        t.run("UPDATE w SET v = 'uno'; INSERT INTO other VALUES (1)");
        t.run("BEGIN; INSERT INTO w VALUES (2, 'two'), (3, 'three'); DELETE FROM w WHERE id = 1; COMMIT");
        let expected =
            ["UPDATE 1 1 uno", "DELETE 1 \\N \\N", "INSERT \\N 2 two", "INSERT \\N 3 three"];
        assert_eq!(follower.up_to(newest(&t)), expected);
        // It ends by a cancel, and goes on where it was.
        t.run(&format!("SELECT pg_cancel_backend({})", follower.pid));
        follower.ends_with("57014");
        t.run("TRUNCATE w; INSERT INTO w VALUES (9, 'nine')");
        follower.follow("");
        assert_eq!(follower.up_to(newest(&t)), ["TRUNCATE \\N \\N \\N", "INSERT \\N 9 nine"]);
        // Nobody waits for who follows; and new columns end it.
        let before = newest(&t);
        t.run("ALTER TABLE w RENAME TO w2; ALTER TABLE w2 RENAME TO w; CREATE INDEX ON w (v)");
        t.run("INSERT INTO w VALUES (10, 'ten')");
        assert_eq!(follower.up_to(newest(&t)), ["INSERT \\N 10 ten"]);
        assert!(follower.resolved > before);
        t.run("ALTER TABLE w ADD COLUMN more int");
        follower.ends_with("55000");
        follower.follow("");
        t.run("DELETE FROM w WHERE id = 9");
        assert_eq!(follower.up_to(newest(&t)), ["DELETE 9 \\N \\N"]);
        t.run("DROP TABLE w");
        let end = follower.end();
        let kinds: Vec<u8> = end.iter().map(|reply| reply.kind).collect();
        assert_eq!(kinds, b"cCZ");
    });
}

#[test]
fn it_says_how_far_it_is_while_nothing_happens() {
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE w (id int, v text); CREATE TABLE other (id int)");
    let mut follower = Follower::connect(&fixture);
    follower.follow(", heartbeat '20 milliseconds'");
    assert!(follower.up_to(newest(&t)).is_empty());
    // Commits that concern other tables only move the number on.
    for _ in 0..3 {
        t.run("INSERT INTO other VALUES (1)");
        assert!(follower.up_to(newest(&t)).is_empty());
    }
    // With the extended protocol, too.
    t.run(&format!("SELECT pg_cancel_backend({})", follower.pid));
    follower.ends_with("57014");
    let sql = follower.sql("");
    follower.raw.send(&[run(&sql, 0), sync()].concat());
    for kind in *b"12H" {
        assert_eq!(follower.raw.next().unwrap().kind, kind);
    }
    t.run("INSERT INTO w VALUES (1, 'one')");
    assert_eq!(follower.up_to(newest(&t)), ["INSERT \\N 1 one"]);
}

#[test]
fn a_reader_that_does_not_read_holds_nobody_up() {
    for engine in ["lsm", "btree", "memory"] {
        let fixture = Fixture::with(engine, "ssi", |_| {});
        let mut t = Traveller::new(&fixture);
        t.run("CREATE TABLE w (id int PRIMARY KEY, v text)");
        let mut follower = Follower::connect(&fixture);
        follower.follow("");
        // More than the buffers between the two take, and more than a window.
        for round in 0..12 {
            t.run(&format!(
                "INSERT INTO w SELECT i, repeat('x', 1000) FROM generate_series({}, {}) AS i",
                round * 1000,
                round * 1000 + 999
            ));
        }
        t.run("CHECKPOINT; VACUUM");
        let mut long_readers = 1;
        fixture.node.store().stats(&mut |name, value| {
            if name == "long_reader_count" {
                long_readers = value;
            }
        });
        assert_eq!(long_readers, 0);
        let lines = follower.up_to(newest(&t));
        assert_eq!(lines.len(), 12_000);
        for (id, line) in lines.iter().enumerate() {
            assert!(line.starts_with(&format!("INSERT \\N {id} x")), "{line}");
        }
    }
}

#[test]
fn who_falls_behind_what_is_kept_is_told() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE w (id int PRIMARY KEY, v text) WITH (retention = '0 seconds')");
        let begin = newest(&t);
        t.run("INSERT INTO w VALUES (1, 'one'); UPDATE w SET v = 'two'; UPDATE w SET v = 'three'");
        t.run("VACUUM");
        let from = format!("SELECT * FROM driftdb_changes('w', {begin})");
        let error = t.session.query(&from).unwrap_err();
        assert_eq!(error.state.code(), "72000", "{error}");
        assert!(error.message.starts_with("cannot read table \"w\" as of"), "{error}");
        let mut follower = Follower::connect(fixture);
        follower.resolved = begin;
        follower.follow("");
        follower.ends_with("72000");
    });
}

#[test]
fn it_ends_with_its_session_and_its_server() {
    let mut fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE w (id int PRIMARY KEY, v text)");
    let mut terminated = Follower::connect(&fixture);
    terminated.follow("");
    terminated.up_to(newest(&t));
    t.run(&format!("SELECT pg_terminate_backend({})", terminated.pid));
    assert_eq!(terminated.raw.next().unwrap().field(b'C').as_deref(), Some("57P01"));
    // One that is gone is noticed when it is written to.
    let mut gone = Follower::connect(&fixture);
    gone.follow(", heartbeat '10 milliseconds'");
    drop(gone);
    eventually("the session of a client that is gone ends", || fixture.node.session_count() == 1);
    let mut last = Follower::connect(&fixture);
    last.follow("");
    last.up_to(newest(&t));
    let begin = Instant::now();
    fixture.stop();
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "stopping waits for a stream that never ends"
    );
    assert_eq!(last.raw.next().unwrap().field(b'C').as_deref(), Some("57P01"));
}

#[test]
fn what_cannot_be_followed() {
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE w (id int PRIMARY KEY, v text)");
    let mut check = |what: &str, options: &str, code: &str| {
        let sql = format!("COPY ({what}) TO STDOUT WITH ({options})");
        assert_eq!(t.code(&sql), code, "{sql}");
    };
    let changes = "SELECT * FROM driftdb_changes('w', 0)";
    check("SELECT * FROM w", "follow", "0A000");
    check("SELECT * FROM driftdb_changes('w', 0, now())", "follow", "0A000");
    check(&format!("{changes} ORDER BY seq"), "follow", "0A000");
    check(&format!("{changes} LIMIT 1"), "follow", "0A000");
    check("SELECT count(*) FROM driftdb_changes('w', 0)", "follow", "0A000");
    check(changes, "follow maybe", "42601");
    check(changes, "heartbeat '1 second'", "0A000");
    check(changes, "follow, heartbeat '1 millisecond'", "22023");
    check(changes, "follow, heartbeat 'often'", "22023");
    check("SELECT * FROM driftdb_changes('w', 1000000)", "follow", "22023");
    assert_eq!(t.code("COPY w TO STDOUT WITH (follow)"), "0A000");
    assert_eq!(t.code("COPY w FROM STDIN WITH (follow)"), "0A000");
    let follow = format!("COPY ({changes}) TO STDOUT WITH (follow)");
    t.run("BEGIN");
    assert_eq!(t.code(&follow), "25001");
    t.run("ROLLBACK; SET default_transaction_isolation = 'repeatable read'");
    assert_eq!(t.code(&follow), "55000");
    t.run("RESET default_transaction_isolation; SET driftdb.as_of = '@SEQ:2'");
    assert_eq!(t.code(&follow), "55000");
}
