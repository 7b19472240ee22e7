//! Constraints between two sessions, in both orders, under every control and level: whatever is
//! answered, no row refers to nothing and no key is there twice.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use driftdb_env::{Env, Rng, planted};
use driftdb_query::Result;
use driftdb_server::session::Answer;
use driftdb_server::{CONTROLS, Config, Node, Session, SessionOptions};
use driftdb_types::Value;
use tempfile::TempDir;

const LEVELS: [&str; 4] = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];
const READ_COMMITTED: &str = LEVELS[1];
/// So long a statement that must wait is watched.
const WATCHED: Duration = Duration::from_millis(60);

/// A database with parents 1 to 3 and a child of 1 by each kind of reference.
struct Database {
    node: Arc<Node>,
    _dir: TempDir,
}

impl Database {
    fn new(control: &str) -> Self {
        Self::with(control, 1 << 30)
    }

    fn with(control: &str, statement_memory_bytes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            data: dir.path().join("data"),
            engine: "memory".into(),
            control: control.into(),
            statement_memory_bytes,
            ..Config::default()
        };
        let node = Node::open(&Env::os(), &config).unwrap();
        let db = Self { node, _dir: dir };
        db.session()
            .query(
                "CREATE TABLE p (id int PRIMARY KEY, v int);
                 CREATE TABLE held (p int REFERENCES p);
                 CREATE TABLE follows (p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
                 CREATE TABLE late (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);
                 CREATE TABLE k (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
                 CREATE TABLE elsewhere (n int);
                 INSERT INTO p VALUES (1, 0), (2, 0), (3, 0);",
            )
            .unwrap();
        db
    }

    fn session(&self) -> Session {
        Session::new(&self.node, &SessionOptions::default()).unwrap()
    }

    /// A session in a transaction that has its snapshot.
    fn begin(&self, level: &str) -> Session {
        let mut session = self.session();
        session.query(&format!("BEGIN ISOLATION LEVEL {level}")).unwrap();
        session.query("SELECT * FROM elsewhere").unwrap();
        session
    }

    fn count(&self, query: &str) -> i64 {
        let answers = self.session().query(query).unwrap();
        match answers[0].rows[0][0] {
            Value::Int8(count) => count,
            ref other => panic!("a count, not {other:?}"),
        }
    }

    /// Rows that refer to nothing, and keys that are there twice.
    fn violations(&self) -> i64 {
        ["held", "follows", "late"]
            .iter()
            .map(|table| {
                self.count(&format!(
                    "SELECT count(*) FROM {table} c WHERE c.p IS NOT NULL AND NOT EXISTS \
                     (SELECT 1 FROM p WHERE p.id = c.p)"
                ))
            })
            .sum::<i64>()
            + self.count("SELECT count(*) - count(DISTINCT id) FROM k")
    }
}

/// A statement on a thread of its own.
struct Running {
    thread: JoinHandle<Session>,
    result: Receiver<Result<Vec<Answer>>>,
}

fn start(mut session: Session, sql: &str) -> Running {
    let (sender, result) = channel();
    let sql = sql.to_owned();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(session.query(&sql));
        session
    });
    Running { thread, result }
}

impl Running {
    /// It waits for another transaction.
    fn expect_waiting(&self) {
        let early = self.result.recv_timeout(WATCHED);
        assert!(matches!(early, Err(RecvTimeoutError::Timeout)), "it did not wait: {early:?}");
    }

    fn finish(self) -> (Session, Result<Vec<Answer>>) {
        let result = self.result.recv().unwrap();
        (self.thread.join().unwrap(), result)
    }
}

/// Whether who claims a row waits for its holder; else the second to commit fails.
fn waits(control: &str) -> bool {
    control != "occ"
}

/// Whether looking at a row keeps others from changing it.
fn locks_reads(control: &str, level: &str) -> bool {
    control == "locking" && LEVELS[2..].contains(&level)
}

/// Ends a transaction according to how its statement went.
fn end(mut session: Session, result: Result<Vec<Answer>>) -> Result<()> {
    match result.and_then(|_| session.query("COMMIT").map(drop)) {
        Ok(()) => Ok(()),
        Err(error) => {
            session.query("ROLLBACK").unwrap();
            Err(error)
        }
    }
}

fn code(result: &Result<()>) -> &'static str {
    match result {
        Ok(()) => "00000",
        Err(error) => error.state.code(),
    }
}

/// `first` is done and left open; `second` must wait for it. Then `first` ends as `how` says.
fn race(control: &str, level: &str, first: &str, second: &str, how: &str) -> (String, Database) {
    let db = Database::new(control);
    let waiter = db.begin(level);
    let mut holder = db.begin(level);
    holder.query(first).unwrap();
    let running = start(waiter, second);
    if waits(control) {
        running.expect_waiting();
    }
    let ended = holder.query(how).map(drop);
    let (session, result) = running.finish();
    let result = end(session, result);
    assert_eq!(code(&ended), "00000", "{control} {level}: {first}");
    assert_eq!(db.violations(), 0, "{control} {level}: {first} / {second} / {how}");
    (code(&result).to_owned(), db)
}

/// Commits `first` while the commit of `second` waits for it, or before; gives what that came to.
fn commit_in_order(control: &str, mut first: Session, mut second: Session) -> Result<()> {
    if !waits(control) {
        first.query("COMMIT").unwrap();
        return second.query("COMMIT").map(drop);
    }
    let running = start(second, "COMMIT");
    running.expect_waiting();
    first.query("COMMIT").unwrap();
    running.finish().1.map(drop)
}

fn everywhere(mut test: impl FnMut(&str, &str)) {
    for control in CONTROLS {
        for level in LEVELS {
            println!("{control}, {level}");
            test(control, level);
        }
    }
}

/// What the loser of a race gets: PostgreSQL's error at READ COMMITTED; above it, or without waiting,
/// the conflict may be noticed first.
fn expect_lost(code: &str, (control, level): (&str, &str), at_read_committed: &str) {
    if waits(control) && [LEVELS[0], READ_COMMITTED].contains(&level) {
        assert_eq!(code, at_read_committed, "{control} {level}");
    } else {
        let known = [at_read_committed, "23503", "40001", "40P01"].contains(&code);
        assert!(known, "{control} {level}: {code}");
    }
}

#[test]
fn a_child_is_there_before_its_parent_is_deleted() {
    everywhere(|control, level| {
        let (insert, delete) = ("INSERT INTO held VALUES (1)", "DELETE FROM p WHERE id = 1");
        let (code, _) = race(control, level, insert, delete, "COMMIT");
        expect_lost(&code, (control, level), "23503");
        let (code, db) = race(control, level, insert, delete, "ROLLBACK");
        assert_eq!(code, "00000", "{control} {level}");
        assert_eq!(db.count("SELECT count(*) FROM p"), 2);
    });
}

#[test]
fn a_parent_is_deleted_before_its_child_comes() {
    everywhere(|control, level| {
        for change in ["DELETE FROM p WHERE id = 1", "UPDATE p SET id = 9 WHERE id = 1"] {
            let insert = "INSERT INTO held VALUES (1)";
            let (code, _) = race(control, level, change, insert, "COMMIT");
            expect_lost(&code, (control, level), "23503");
            let (code, db) = race(control, level, change, insert, "ROLLBACK");
            assert_eq!(code, "00000", "{control} {level}");
            assert_eq!(db.count("SELECT count(*) FROM held"), 1);
        }
    });
}

#[test]
fn a_parent_that_the_snapshot_does_not_show_is_none() {
    everywhere(|control, level| {
        let db = Database::new(control);
        let mut child = db.begin(level);
        db.session().query("INSERT INTO p VALUES (4, 0)").unwrap();
        let result = child.query("INSERT INTO held VALUES (4)");
        let code = code(&end(child, result));
        let sees_it = control == "locking" || !LEVELS[2..].contains(&level);
        assert_eq!(code, if sees_it { "00000" } else { "23503" }, "{control} {level}");
        // Its own parents it sees, and those that only changed beside the key.
        let mut child = db.begin(level);
        db.session().query("UPDATE p SET v = 9 WHERE id = 2").unwrap();
        child.query("INSERT INTO p VALUES (5, 0); INSERT INTO held VALUES (5)").unwrap();
        let result = child.query("INSERT INTO held VALUES (2)");
        let code = self::code(&end(child, result));
        assert!(["00000", "40001"].contains(&code), "{control} {level}: {code}");
        assert_eq!(db.violations(), 0);
    });
}

#[test]
fn a_child_that_comes_just_before_is_taken_along() {
    everywhere(|control, level| {
        let (insert, delete) = ("INSERT INTO follows VALUES (1)", "DELETE FROM p WHERE id = 1");
        let (code, db) = race(control, level, insert, delete, "COMMIT");
        // Above READ COMMITTED the row is not in the snapshot that the cascade would change.
        expect_lost(&code, (control, level), "00000");
        let left = i64::from(code != "00000");
        assert_eq!(db.count("SELECT count(*) FROM follows"), left);
        let update = "UPDATE p SET id = 9 WHERE id = 1";
        let (code, db) = race(control, level, insert, update, "COMMIT");
        expect_lost(&code, (control, level), "00000");
        let moved = if code == "00000" { 9 } else { 1 };
        assert_eq!(db.count("SELECT sum(p) FROM follows"), moved);
    });
}

#[test]
fn a_deferred_check_waits_for_whoever_takes_the_parent() {
    everywhere(|control, level| {
        let db = Database::new(control);
        let mut holder = db.begin(level);
        let mut child = db.begin(level);
        holder.query("DELETE FROM p WHERE id = 1").unwrap();
        if locks_reads(control, level) {
            // The look at the parent takes a share of it: the insertion waits already.
            let running = start(child, "INSERT INTO late VALUES (1)");
            running.expect_waiting();
            holder.query("COMMIT").unwrap();
            let (session, result) = running.finish();
            expect_lost(code(&end(session, result)), (control, level), "23503");
        } else {
            child.query("INSERT INTO late VALUES (1)").unwrap();
            let result = commit_in_order(control, holder, child);
            expect_lost(code(&result), (control, level), "23503");
        }
        assert_eq!(db.violations(), 0);
    });
}

#[test]
fn of_two_that_bring_the_same_key_one_commits() {
    everywhere(|control, level| {
        let db = Database::new(control);
        let mut first = db.begin(level);
        let mut second = db.begin(level);
        let insert = "INSERT INTO k VALUES (1)";
        first.query(insert).unwrap();
        if locks_reads(control, level) {
            let running = start(second, insert);
            let _ = running.result.recv_timeout(WATCHED);
            first.query("COMMIT").unwrap();
            running.thread.join().unwrap();
        } else {
            second.query(insert).unwrap();
            let result = commit_in_order(control, first, second);
            let code = code(&result);
            assert!(["23505", "40001"].contains(&code), "{level}: {code}");
        }
        assert_eq!(db.count("SELECT count(*) FROM k"), 1);
    });
}

#[test]
fn a_parent_may_change_beside_its_key() {
    for control in CONTROLS {
        let db = Database::new(control);
        let mut holder = db.begin(READ_COMMITTED);
        holder.query("UPDATE p SET v = 7 WHERE id = 1").unwrap();
        db.session().query("INSERT INTO held VALUES (1)").unwrap();
        holder.query("COMMIT").unwrap();
        let mut child = db.begin(READ_COMMITTED);
        child.query("INSERT INTO held VALUES (2)").unwrap();
        db.session().query("UPDATE p SET v = 8 WHERE id = 2").unwrap();
        child.query("COMMIT").unwrap();
        assert_eq!(db.violations(), 0);
    }
}

#[test]
fn definitions_wait_for_children_on_their_way() {
    for control in CONTROLS {
        for change in [
            "DROP TABLE p CASCADE",
            "TRUNCATE p CASCADE",
            "ALTER TABLE p DROP CONSTRAINT p_pkey CASCADE",
        ] {
            let db = Database::new(control);
            let mut child = db.begin(READ_COMMITTED);
            child.query("INSERT INTO held VALUES (1)").unwrap();
            let running = start(db.session(), change);
            running.expect_waiting();
            child.query("COMMIT").unwrap();
            running.finish().1.unwrap();
        }
        // TRUNCATE reaches tables through foreign keys, and waits for their writers, too.
        let db = Database::new(control);
        db.session().query("INSERT INTO held VALUES (2)").unwrap();
        let mut writer = db.begin(READ_COMMITTED);
        writer.query("DELETE FROM held WHERE p = 2").unwrap();
        let running = start(db.session(), "TRUNCATE p CASCADE");
        running.expect_waiting();
        writer.query("COMMIT").unwrap();
        running.finish().1.unwrap();
        // A new foreign key waits for those who write either table, and then sees their rows.
        let db = Database::new(control);
        let mut writer = db.begin(READ_COMMITTED);
        writer.query("INSERT INTO elsewhere VALUES (77)").unwrap();
        let running = start(db.session(), "ALTER TABLE elsewhere ADD FOREIGN KEY (n) REFERENCES p");
        running.expect_waiting();
        writer.query("COMMIT").unwrap();
        assert_eq!(running.finish().1.unwrap_err().state.code(), "23503");
    }
}

/// As many bytes of deferred checks as a constraint may keep, and more.
const MANY: usize = 400;

#[test]
fn many_deferred_checks_become_one_look_at_the_table() {
    for control in CONTROLS {
        let db = Database::with(control, 1 << 20);
        let mut session = db.begin(READ_COMMITTED);
        let children = format!("INSERT INTO late SELECT i FROM generate_series(11, {MANY}) i");
        let parents = format!("INSERT INTO p SELECT i, 0 FROM generate_series(11, {MANY}) i");
        let keys = format!("INSERT INTO k SELECT i FROM generate_series(11, {MANY}) i");
        session.query(&format!("{children}; {parents}; {keys}; {keys}")).unwrap();
        session.query("SAVEPOINT s; INSERT INTO late VALUES (5000)").unwrap();
        let error = session.query("SET CONSTRAINTS late_p_fkey IMMEDIATE").unwrap_err();
        assert_eq!(error.detail.as_deref(), Some("Key (p)=(5000) is not present in table \"p\"."));
        session.query("ROLLBACK TO s; SET CONSTRAINTS late_p_fkey IMMEDIATE").unwrap();
        let error = session.query("SET CONSTRAINTS k_id_key IMMEDIATE").unwrap_err();
        assert_eq!(error.state.code(), "23505");
        session.query("ROLLBACK TO s").unwrap();
        if !waits(control) {
            continue;
        }
        // Its keys are claimed, so that another transaction cannot bring one unseen.
        let running = start(db.begin(READ_COMMITTED), "INSERT INTO k VALUES (11); COMMIT");
        running.expect_waiting();
        session.query("DELETE FROM k; INSERT INTO k VALUES (11); COMMIT").unwrap();
        assert_eq!(running.finish().1.unwrap_err().state.code(), "23505");
        assert_eq!(db.violations(), 0);
        assert_eq!(db.count("SELECT count(*) FROM late"), MANY as i64 - 10);
    }
}

#[test]
fn the_past_has_the_constraints_of_its_time() {
    for control in CONTROLS {
        let db = Database::new(control);
        let mut session = db.session();
        session.query("INSERT INTO held VALUES (1), (2)").unwrap();
        let store = db.node.store();
        let then = store.sequence_at(store.newest()).unwrap();
        session
            .query("ALTER TABLE held DROP CONSTRAINT held_p_fkey; DROP TABLE p CASCADE")
            .unwrap();
        let joined = format!(
            "SELECT count(*) FROM held FOR SYSTEM_TIME AS OF @SEQ:{then} c \
             JOIN p FOR SYSTEM_TIME AS OF @SEQ:{then} ON p.id = c.p"
        );
        assert_eq!(db.count(&joined), 2);
        session.query("INSERT INTO held VALUES (77)").unwrap();
    }
}

/// A short random transaction over few keys.
fn churn(session: &mut Session, level: &str, rng: &mut Rng) -> Result<()> {
    session.query(&format!("BEGIN ISOLATION LEVEL {level}"))?;
    for _ in 0..1 + rng.below(3) {
        let key = rng.below(4);
        let child = ["held", "follows", "late"][rng.index(3)];
        session.query(&match rng.below(8) {
            0 | 1 => format!("INSERT INTO p VALUES ({key}, 0) ON CONFLICT DO NOTHING"),
            2 => format!("DELETE FROM p WHERE id = {key}"),
            3 => format!("UPDATE p SET id = {} WHERE id = {key}", rng.below(4)),
            4 | 5 => format!("INSERT INTO {child} VALUES ({key})"),
            6 => format!("DELETE FROM {child} WHERE p = {key}"),
            _ => format!("INSERT INTO k VALUES ({})", rng.below(40)),
        })?;
    }
    session.query("COMMIT").map(drop)
}

#[test]
fn sessions_at_once_leave_nothing_that_refers_to_nothing() {
    everywhere(|control, level| {
        let db = Database::new(control);
        let threads: Vec<_> = (0..4)
            .map(|seed| {
                let (mut session, level) = (db.session(), level.to_owned());
                std::thread::spawn(move || {
                    let mut rng = Rng::seeded(seed);
                    let mut committed = 0;
                    for _ in 0..40 {
                        match churn(&mut session, &level, &mut rng) {
                            Ok(()) => committed += 1,
                            Err(error) => {
                                let code = error.state.code();
                                let known = ["23503", "23505", "40001", "40P01"].contains(&code);
                                assert!(known, "{code} {error}");
                                session.query("ROLLBACK").unwrap();
                            }
                        }
                    }
                    committed
                })
            })
            .collect();
        let committed: i32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(committed > 8, "{control} {level}: only {committed} committed");
        assert_eq!(db.violations(), 0, "{control} {level}");
    });
}

#[test]
fn these_tests_would_see_a_parent_that_is_not_locked() {
    for control in CONTROLS {
        let db = Database::new(control);
        let mut child = db.begin(READ_COMMITTED);
        planted::activate(Some("integrity.no-parent-lock"));
        let inserted = child.query("INSERT INTO held VALUES (1)");
        planted::activate(None);
        inserted.unwrap();
        // Nothing holds the parent, and the child is not there yet.
        db.session().query("DELETE FROM p WHERE id = 1").unwrap();
        child.query("COMMIT").unwrap();
        assert_eq!(db.violations(), 1, "{control}");
    }
}
