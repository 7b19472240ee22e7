//! No value of a sequence is given twice: whoever asks at once, whoever rolls back, whatever stops.

use std::collections::BTreeSet;

use driftdb_env::{Env, planted};
use driftdb_server::{Config, Node, Session, SessionOptions};
use driftdb_types::Value;

use crate::harness::everywhere;

fn take(session: &mut Session, sequence: &str) -> i64 {
    let answer = session.query(&format!("SELECT nextval('{sequence}')")).unwrap();
    match answer[0].rows[0][0] {
        Value::Int8(value) => value,
        ref other => panic!("{other:?}"),
    }
}

/// Takes values from nodes that are closed and that are not; whether one came twice.
fn repeats(engine: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let config =
        Config { data: dir.path().join("data"), engine: engine.into(), ..Config::default() };
    let mut seen = BTreeSet::new();
    for round in 0..6 {
        let node = Node::open(&Env::os(), &config).unwrap();
        let mut session = Session::new(&node, &SessionOptions::default()).unwrap();
        if round == 0 {
            session.query("CREATE SEQUENCE s; CREATE SEQUENCE c CACHE 7").unwrap();
        }
        session.query("BEGIN").unwrap();
        for _ in 0..=round * 11 {
            for sequence in ["s", "c"] {
                if !seen.insert((sequence, take(&mut session, sequence))) {
                    return true;
                }
            }
        }
        session.query("ROLLBACK").unwrap();
        if round % 2 == 0 {
            drop(session);
            node.close().unwrap();
        }
    }
    // What is skipped is bounded: 32 logged ahead and what a session kept, for each stop.
    let highest = |name| seen.iter().filter(|value| value.0 == name).map(|value| value.1).max();
    let count = seen.len() as i64 / 2;
    assert!(highest("s").unwrap() <= count + 6 * 33, "{seen:?}");
    assert!(highest("c").unwrap() <= count + 6 * 40, "{seen:?}");
    false
}

#[test]
fn no_value_comes_twice_after_a_stop() {
    for engine in ["lsm", "btree", "memory"] {
        assert!(!repeats(engine), "{engine}");
    }
}

#[test]
fn a_sequence_that_is_not_logged_repeats() {
    planted::activate(Some("tables.sequence-not-logged"));
    let repeated = repeats("lsm");
    planted::activate(None);
    assert!(repeated, "the check is vacuous");
}

#[test]
fn sessions_share_a_sequence_and_no_value() {
    everywhere(|fixture| {
        let open = || Session::new(&fixture.node, &SessionOptions::default()).unwrap();
        let mut first = open();
        first.query("CREATE SEQUENCE shared CACHE 3").unwrap();
        first.query("CREATE TABLE st (id bigserial PRIMARY KEY, who int)").unwrap();
        let tasks: Vec<_> = (0..3)
            .map(|who| {
                let mut session = open();
                std::thread::spawn(move || {
                    let insert = format!("INSERT INTO st (who) VALUES ({who})");
                    for _ in 0..30 {
                        session.query(&insert).unwrap();
                    }
                    (0..50).map(|_| take(&mut session, "shared")).collect::<Vec<_>>()
                })
            })
            .collect();
        let values: Vec<i64> = tasks.into_iter().flat_map(|task| task.join().unwrap()).collect();
        let distinct: BTreeSet<i64> = values.iter().copied().collect();
        assert_eq!((values.len(), distinct.len()), (150, 150));
        let count = first.query("SELECT count(*), count(DISTINCT id) FROM st").unwrap();
        assert_eq!(count[0].rows, [[Value::Int8(90), Value::Int8(90)]]);
    });
}

#[test]
fn a_branch_goes_on_by_itself() {
    everywhere(|fixture| {
        let open = || Session::new(&fixture.node, &SessionOptions::default()).unwrap();
        let mut main = open();
        main.query("CREATE SEQUENCE b").unwrap();
        let before = take(&mut main, "b");
        main.query("CREATE BRANCH twig").unwrap();
        let mut branch = open();
        branch.query("USE twig").unwrap();
        let values = [take(&mut branch, "b"), take(&mut branch, "b"), take(&mut main, "b")];
        assert!(values.iter().all(|value| *value > before), "{values:?}");
        branch.query("ALTER SEQUENCE b RESTART 1000").unwrap();
        assert_eq!(take(&mut branch, "b"), 1000);
        assert_eq!(take(&mut main, "b"), before + 2);
        branch.query("USE driftdb").unwrap();
        drop(branch);
        main.query("DROP BRANCH twig").unwrap();
    });
}
