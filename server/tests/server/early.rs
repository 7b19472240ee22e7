//! What clients are told of commits that are not durable yet: nothing but that their own statement went on.

use std::sync::Arc;
use std::time::Duration;

use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Env, IoOp, Task};
use driftdb_server::{Config, Node, Session, SessionOptions};
use driftdb_sim_disk::{SimDisk, sim_env};

/// Holds up syncs until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn close(disk: &SimDisk) -> Self {
        let gate = Self::default();
        let theirs = gate.clone();
        disk.set_pause(Some(Arc::new(move |op, _| {
            let mut is_open = theirs.0.0.lock();
            while op == IoOp::Sync && !*is_open {
                theirs.0.1.wait(&mut is_open);
            }
        })));
        gate
    }

    fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }
}

/// A client that runs one string of statements after the other.
struct Client {
    answers: Arc<Mutex<Vec<String>>>,
    task: Task,
}

impl Client {
    fn start(env: &Env, mut session: Session, texts: &'static [&'static str]) -> Self {
        let answers = Arc::<Mutex<Vec<String>>>::default();
        let theirs = Arc::clone(&answers);
        let task = env.spawn("client", move || {
            for text in texts {
                let answer = shown(&mut session, text);
                theirs.lock().push(answer);
            }
        });
        Self { answers, task }
    }

    fn answers(&self) -> Vec<String> {
        self.answers.lock().clone()
    }

    fn finish(self) -> Vec<String> {
        self.task.join();
        std::mem::take(&mut self.answers.lock())
    }
}

/// The rows of the last statement, or its error.
fn shown(session: &mut Session, text: &str) -> String {
    match session.query(text) {
        Ok(answers) => format!("{:?}", answers.last().map(|answer| &answer.rows)),
        Err(error) => error.state.code().to_owned(),
    }
}

fn session(node: &Arc<Node>) -> Session {
    Session::new(node, &SessionOptions::default()).unwrap()
}

fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("not within ten seconds");
}

const NOTHING: &str = "Some([])";

#[test]
fn rows_and_errors_wait_and_changes_go_on() {
    let disk = SimDisk::new(3);
    let env = sim_env(&disk, 3);
    let config = Config { data: "/data".into(), engine: "lsm".into(), ..Config::default() };
    let node = Node::open(&env, &config).unwrap();
    let mut first = session(&node);
    first
        .query(
            "CREATE TABLE t (id int PRIMARY KEY, v int); \
             INSERT INTO t VALUES (1, 1), (2, 1), (3, 1), (4, 1)",
        )
        .unwrap();
    first.query("BEGIN; UPDATE t SET v = 2; INSERT INTO t VALUES (9, 2)").unwrap();
    let [later, returning, locking, failing] = [(); 4].map(|()| session(&node));
    let gate = Gate::close(&disk);
    let first = Client::start(&env, first, &["COMMIT"]);

    // It has the row, reads on at a snapshot that nobody else has, and keeps it to itself.
    const LATER: &[&str] = &[
        "BEGIN",
        "UPDATE t SET v = v + 10 WHERE id = 1",
        "UPDATE t SET v = v + 10 WHERE v = 12",
        "SELECT id, v FROM t ORDER BY id LIMIT 2",
        "COMMIT",
    ];
    let later = Client::start(&env, later, LATER);
    eventually(|| later.answers().len() == 3);
    let returning =
        Client::start(&env, returning, &["UPDATE t SET v = v + 20 WHERE id = 3 RETURNING v"]);
    let locking = Client::start(&env, locking, &["SELECT v FROM t WHERE id = 4 FOR UPDATE"]);
    let failing = Client::start(&env, failing, &["INSERT INTO t VALUES (9, 9)"]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(later.answers(), [NOTHING; 3]);
    let unanswered = [&first, &returning, &locking, &failing].map(Client::answers);
    assert_eq!(unanswered, [(); 4].map(|()| Vec::<String>::new()));
    let fresh = shown(&mut session(&node), "SELECT v FROM t WHERE id = 1");
    assert_eq!(fresh, "Some([[Int4(1)]])");

    gate.open();
    assert_eq!(first.finish(), [NOTHING]);
    let seen = "Some([[Int4(1), Int4(22)], [Int4(2), Int4(2)]])";
    assert_eq!(later.finish(), [NOTHING, NOTHING, NOTHING, seen, NOTHING]);
    assert_eq!(returning.finish(), ["Some([[Int4(22)]])"]);
    assert_eq!(locking.finish(), ["Some([[Int4(2)]])"]);
    assert_eq!(failing.finish(), ["23505"]);
    disk.set_pause(None);
    let end = shown(&mut session(&node), "SELECT sum(v) FROM t");
    assert_eq!(end, "Some([[Int8(50)]])");
    node.close().unwrap();
}
